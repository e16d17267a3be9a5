"""TP: topics that the subject joins, leaves and is left in, and what becomes of its handles and requests then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pwire_conformance.case import INITIATOR, INLINE, RESPONDER, add, case
from p2pwire_conformance.cases.tr import FIVE, FOLDER, MANIFEST, request
from p2pwire_conformance.content import Object, blob
from p2pwire_conformance.link import Frame, Link
from p2pwire_conformance.message import Tree
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind

SHARED: Final = blob(1000)
OTHER: Final = blob(1000, 1)
HANDLE: Final = 40
SPAN: Final = Tree("Span", first=0, last=0)


def _joins(link: Link, object: Object) -> list[Frame]:
    """The subject's JOINs of a topic that came up to now."""
    link.fence()
    return [one for one in link.noticed if one.name == "Join" and one["topic"] == object.topic]


def _ended_topic(t: Trial) -> tuple[Link, int]:
    """The subject has left an open topic, and its LEAVE is not answered: (link, the subject's handle)."""
    link = t.open(share=[SHARED.recipe])
    link.send(link.join_frame(SHARED, handle=HANDLE))
    theirs: int = link.topic_joined(SHARED)["handle"]
    link.fence()
    t.do("forget", oid=SHARED.oid.hex())
    link.expect("Leave", "leave", handle=theirs)
    return link, theirs


@case("TP-0200", "TP-013 TP-014 TP-015", features="fetch events")
def flags_change(t: Trial) -> None:
    """Has the subject fetch a folder. It says that it has the manifest once it has, and that it wants no content once
    it has all, by repeating its JOIN with the same handle and cap."""
    link = t.open(fetch=[FOLDER.oid.hex()])
    handle, _ = link.open_topic(FOLDER, flags=1)
    asked = link.expect("Request", file=MANIFEST)
    early = [one for one in link.noticed if one.name == "Join" and one["flags"] & 1]
    if early:
        link.fail("has-manifest", Kind.WRONG, "no flag 1 before the manifest is there", str(early[0]))
    link.send(FOLDER.main.data_frame(asked["id"], 0, 0))
    link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=FOLDER.units - 1)]))
    left = {(file, block) for file in range(5) for block in range(FOLDER.file(file).count)}
    while left:
        found = link.expect("Request")
        file = FOLDER.file(found["file"])
        for block in range(found["block"], min(found["block"] + (1 << found["level"]), file.count)):
            link.send(file.data_frame(found["id"], found["block"], block))
            left.discard((found["file"], block))
    t.event("fetched")
    joins = _joins(link, FOLDER)
    if len({(one["handle"], one["cap"]) for one in joins}) != 1:
        link.fail("repeated", Kind.WRONG, "one handle and cap in all JOINs of an open topic", f"{len(joins)} came")
    if not any(one["flags"] & 1 for one in joins) or not joins[-1]["flags"] & 2:
        link.fail("flags", Kind.WRONG, "flag 1 and then flag 2", f"{[one['flags'] for one in joins]} came")


@case("TP-0201", "TP-015", features="share fetch")
def no_manifest_of_a_blob(t: Trial) -> None:
    """Opens the topics of a blob that the subject has and of one that it seeks. Neither JOIN has flag 1."""
    link = t.open(share=[SHARED.recipe], fetch=[OTHER.oid.hex()])
    for one in (SHARED, OTHER):
        link.open_topic(one)
        found = link.topic_joined(one)
        if found["flags"] & 1:
            link.fail("has-manifest", Kind.WRONG, "no flag 1 for a blob", str(found))


@case("TP-0202", "TP-018", roles=INITIATOR, nets=INLINE, features="share joins")
def refused(t: Trial) -> None:
    """Refuses the subject's JOIN. It does not join unasked again for 60 s."""
    link = t.open(share=[SHARED.recipe])
    link.send(Tree("Refuse", handle=link.topic_joined(SHARED)["handle"]))
    link.fence()
    link.noticed.clear()
    t.pass_time(59.0, link)
    if _joins(link, SHARED):
        link.fail("again", Kind.WRONG, "no JOIN within 60 s after a refusal", "one came")


@case("TP-0203", "TP-017@2", roles=RESPONDER, features="share")
def joins_nothing_unasked(t: Trial) -> None:
    """Comes to a subject that shares, and joins nothing (T26). The subject joins nothing either."""
    link = t.open(share=[SHARED.recipe, OTHER.recipe])
    link.fence()
    link.fence()
    if any(one.name == "Join" for one in link.noticed):
        link.fail("unasked", Kind.NOT_SILENT, "no JOIN", "one came")


@case("TP-0204", "TP-010 TP-001", features="share", roles=INITIATOR)
def own_handles_differ(t: Trial) -> None:
    """Meets a subject that joins two topics. Their handles differ."""
    link = t.open(share=[SHARED.recipe, OTHER.recipe])
    handles = [link.open_topic(one)[1] for one in (SHARED, OTHER)]
    if len(set(handles)) != 2:
        link.fail("handles", Kind.WRONG, "two handles", str(handles))


@case("TP-0205", "TP-010 TP-001 TP-016", features="share", roles=RESPONDER)
def own_handles_differ_in_answers(t: Trial) -> None:
    """Joins two topics. The handles of the subject's answers differ."""
    link = t.open(share=[SHARED.recipe, OTHER.recipe])
    handles = [link.open_topic(one)[1] for one in (SHARED, OTHER)]
    if len(set(handles)) != 2:
        link.fail("handles", Kind.WRONG, "two handles", str(handles))


@case("TP-0206", "TP-011 TP-051 TP-010", roles=INITIATOR, nets=INLINE, features="share joins actions")
def left_and_wanted_again(t: Trial) -> None:
    """Has the subject leave an open topic and share it again before its LEAVE is answered. It joins only when the
    answer has come."""
    link, _ = _ended_topic(t)
    link.noticed.clear()
    t.do("share", content=SHARED.recipe)
    if _joins(link, SHARED):
        link.fail("too-early", Kind.WRONG, "no JOIN while the handle is LEFT", "one came")
    link.send(Tree("Leave", handle=HANDLE))
    link.expect_open("leave-answered", but="Join")


@case("TP-0207", "TP-023 TP-051", nets=INLINE, features="share actions")
def join_again_while_left(t: Trial) -> None:
    """Repeats its JOIN when the subject has left the topic. The subject ignores it."""
    link, _ = _ended_topic(t)
    link.send(link.join_frame(SHARED, handle=HANDLE))
    link.expect_open("ignored")


@case("TP-0208", "TP-024", nets=INLINE, features="share actions")
def other_join_while_left(t: Trial) -> None:
    """Sends JOIN with another cap for a handle that the subject has left. The subject closes with PROTOCOL."""
    link, _ = _ended_topic(t)
    link.send(link.join_frame(SHARED, handle=HANDLE, cap=bytes(32)))
    link.expect_close("PROTOCOL", blame=0x10)


@case("TP-0209", "TP-025", nets=INLINE, features="share actions")
def second_handle_while_left(t: Trial) -> None:
    """Joins a topic under a second handle that the subject has left under the first. It closes with PROTOCOL."""
    link, _ = _ended_topic(t)
    link.send(link.join_frame(SHARED, handle=HANDLE + 1))
    link.expect_close("PROTOCOL", blame=0x10)


@case("TP-0210", "TP-053 TP-062 TP-063", nets=INLINE, features="share actions")
def leave_answered(t: Trial) -> None:
    """Sends HAVE, REQUEST and LEAVE for a handle that the subject has left. HAVE is ignored, REQUEST is rejected with
    NOT_JOINED, LEAVE gets no answer. Then the number can be used anew."""
    link, _ = _ended_topic(t)
    link.send(Tree("Have", handle=HANDLE, spans=[SPAN]), request(3, HANDLE))
    link.expect("Reject", "not-joined", id=3, code=6)
    link.send(Tree("Leave", handle=HANDLE))
    link.expect_open("no-answer")
    link.send(link.join_frame(SHARED, handle=HANDLE))
    link.expect("Refuse", "anew", handle=HANDLE)


def _crossing(cap: bytes | None) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open(share=[SHARED.recipe])
        theirs = link.topic_joined(SHARED)["handle"]
        t.do("forget", oid=SHARED.oid.hex())
        link.expect("Leave", "leave", handle=theirs)
        link.send(link.join_frame(SHARED, handle=HANDLE, cap=cap))
        link.expect_open("no-answer")
        link.send(Tree("Interest", handle=HANDLE, on=1), request(3, HANDLE))
        link.expect("Reject", "left", id=3, code=6)

    return run


for _id, _what, _cap in (("TP-0211", "the right cap", None), ("TP-0212", "a wrong cap", bytes(32))):
    _title = f"The subject leaves a topic that only it has joined; JOIN with {_what} crosses. It sends no answer."
    add(_id, "TP-026 TP-050", _title, _crossing(_cap), roles=INITIATOR, nets=INLINE, features="share joins actions")


@case("TP-0213", "TP-029 TP-003", roles=INITIATOR, features="share joins")
def crossing_joins(t: Trial) -> None:
    """Joins a topic that the subject has joined already. The topic is open, and no second JOIN comes."""
    link = t.open(share=[SHARED.recipe])
    link.topic_joined(SHARED)
    link.send(link.join_frame(SHARED, handle=HANDLE))
    link.send(request(1, HANDLE))
    link.expect("Data", "open", id=1)
    if len(_joins(link, SHARED)) != 1:
        link.fail("second-join", Kind.WRONG, "one JOIN", f"{len(_joins(link, SHARED))} came")


@case("TP-0214", "TP-042 TP-023", roles=INITIATOR, features="share joins")
def crossing_with_a_wrong_cap(t: Trial) -> None:
    """Joins a topic that the subject has joined already with a wrong cap. It refuses, ignores the same JOIN again, and
    does not answer LEAVE of the handle."""
    link = t.open(share=[SHARED.recipe])
    link.topic_joined(SHARED)
    wrong = link.join_frame(SHARED, handle=HANDLE, cap=bytes(32))
    link.send(wrong)
    link.expect("Refuse", handle=HANDLE)
    link.send(wrong)
    link.expect_open("ignored")
    link.send(Tree("Leave", handle=HANDLE))
    link.expect_open("no-answer")


@case("TP-0215", "TP-041 TP-062 TP-063 TP-002", features="share", roles=RESPONDER)
def refused_handle_is_ended(t: Trial) -> None:
    """Sends HAVE, REQUEST and LEAVE on a handle whose JOIN was refused, and uses its number for another JOIN. HAVE and
    LEAVE are ignored, REQUEST is rejected with NOT_JOINED, the JOIN is answered."""
    link = t.open(share=[SHARED.recipe])
    link.send(Tree("Join", handle=HANDLE, topic=b"nobody knows this topic at all.."))
    link.expect("Refuse", handle=HANDLE)
    link.send(Tree("Have", handle=HANDLE, spans=[SPAN]), request(3, HANDLE), Tree("Leave", handle=HANDLE))
    link.expect("Reject", "not-joined", id=3, code=6)
    link.expect_open("ignored")
    link.send(link.join_frame(SHARED, handle=HANDLE))
    link.topic_joined(SHARED)


@case("TP-0216", "TP-060 OB-012", roles=INITIATOR, features="share fetch joins")
def nothing_before_it_is_open(t: Trial) -> None:
    """Does not answer the JOINs of a subject (T27). It sends no other frame of these topics."""
    link = t.open(share=[SHARED.recipe], fetch=[OTHER.oid.hex()])
    link.need(max_handles=8)  # one that takes few topics may join fewer itself
    for one in (SHARED, OTHER):
        link.topic_joined(one)
    found = [*link.fence(), *link.noticed]
    told = [one for one in found if one.name in ("Object", "Have", "Interest", "Peers", "GetPeers", "Request")]
    if told:
        link.fail("told", Kind.NOT_SILENT, "nothing but JOIN", f"{told[0]} came")


@case("TP-0217", "TP-064 TR-004", features="fetch")
def object_forgotten(t: Trial) -> None:
    """Tells OBJECT, leaves the topic, joins it anew and tells OBJECT again. The subject goes on."""
    link = t.open(fetch=[FIVE.oid.hex()])
    handle, theirs = link.open_topic(FIVE)
    link.send(Tree("Leave", handle=handle))
    link.expect("Leave", handle=theirs)
    link.noticed.clear()
    link.send(link.join_frame(FIVE, handle=handle))
    link.topic_joined(FIVE)
    link.send(FIVE.object_frame(handle))
    link.expect_open("second-object", but="Join")


@case("TP-0218", "TP-070 KA-006", features="share")
def requests_end_with_the_topic(t: Trial) -> None:
    """Sends REQUEST and LEAVE in one record. The REQUEST ends, by all its DATA or by REJECT NOT_JOINED."""
    link = t.open(share=[FIVE.recipe])
    handle, _ = link.open_topic(FIVE)
    link.send(request(7, handle, 0, 2), Tree("Leave", handle=handle))
    _expect_end(link, 7, 4)


def _expect_end(link: Link, id: int, blocks: int, object: Object = FIVE) -> None:
    """A REQUEST ends by all its DATA, which are right, or by REJECT 6."""
    came = 0
    while came < blocks:
        found = link.next_frame()
        if found is None:
            link.fail("ended", Kind.SILENT_DROP, f"the end of REQUEST {id}", "nothing came")
        if found.name == "Reject" and found["id"] == id:
            if found["code"] != 6:
                link.fail("ended", Kind.WRONG, "REJECT NOT_JOINED", f"{found} came")
            return
        if found.name == "Data" and found["id"] == id:
            if found["data"] != object.main.block(found["block"]):
                link.fail("ended", Kind.WRONG, "blocks of the topic that was requested", "others came")
            came += 1


@case("TP-0219", "TP-071", features="fetch", depends="TR-0082")
def data_after_leave(t: Trial) -> None:
    """Leaves the topic while a REQUEST of the subject is open, and answers it with DATA and REJECT. The subject takes
    both."""
    link = t.open(fetch=[FIVE.oid.hex()])
    handle, theirs = link.open_topic(FIVE)
    link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=4)]))
    asked = link.expect("Request")
    open_ones = [asked, *(one for one in link.fence() if one.name == "Request")]
    link.send(Tree("Leave", handle=handle))
    link.expect("Leave", handle=theirs)
    link.send(FIVE.main.data_frame(asked["id"], asked["block"], asked["block"]))
    link.expect_open("data")
    for one in open_ones:
        if one is not asked or one["level"]:
            link.send(Tree("Reject", id=one["id"], code=6))
    link.expect_open("reject")


@case("TP-0220", "TP-072", features="share", roles=RESPONDER)
def number_used_again(t: Trial) -> None:
    """Opens a topic, requests, leaves it, opens another one under the same number and requests again, all at once. Each
    REQUEST is for the topic that the number stood for."""
    link = t.open(share=[FIVE.recipe, OTHER.recipe])
    link.send(link.join_frame(FIVE, handle=HANDLE))
    link.topic_joined(FIVE)
    link.send(
        request(1, HANDLE, 0, 1),
        Tree("Leave", handle=HANDLE),
        link.join_frame(OTHER, handle=HANDLE),
        request(2, HANDLE),
    )
    seen: dict[int, Frame] = {}
    while 2 not in seen:
        found = link.next_frame()
        if found is None:
            link.fail("served", Kind.SILENT_DROP, "both REQUESTs to end", "nothing came")
        if found.name in ("Data", "Reject"):
            seen[found["id"]] = found
    if 1 in seen and seen[1].name == "Data" and seen[1]["data"] not in (FIVE.main.block(0), FIVE.main.block(1)):
        link.fail("first", Kind.WRONG, "blocks of the first topic, or REJECT", "others came")
    if seen[2].name != "Data" or seen[2]["data"] != OTHER.main.data:
        link.fail("second", Kind.WRONG, "the block of the second topic", f"{seen[2].name} came, or others")


@case("TP-0221", "TP-040 TP-050 TP-052", features="share")
def ends_of_ended_handles(t: Trial) -> None:
    """Leaves a topic, and sends LEAVE and REFUSE for its handles again. The subject says nothing."""
    link = t.open(share=[SHARED.recipe])
    handle, theirs = link.open_topic(SHARED)
    link.send(Tree("Leave", handle=handle))
    link.expect("Leave", handle=theirs)
    link.send(Tree("Leave", handle=handle), Tree("Refuse", handle=theirs), Tree("Leave", handle=handle))
    link.expect_open("nothing")
