"""TP: topics and handles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pwire_conformance.case import INITIATOR, RESPONDER, add, case
from p2pwire_conformance.content import Object, blob
from p2pwire_conformance.link import Link
from p2pwire_conformance.message import Tree
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind

SHARED: Final = blob(1000)
OTHER: Final = blob(1000, 1)
THIRD: Final = blob(1000, 2)


def _open(t: Trial, *objects: Object) -> tuple[Link, int, int]:
    """A link on which the first of these objects, which the subject shares, is open: (link, own handle, its handle)."""
    link = t.open(share=[one.recipe for one in objects or (SHARED,)])
    own, theirs = link.open_topic((objects or (SHARED,))[0])
    return link, own, theirs


@case("TP-0001", "TP-054", features="share")
def leave(t: Trial) -> None:
    """Leaves an open topic. The subject answers with LEAVE of its own handle."""
    link, own, theirs = _open(t)
    link.send(Tree("Leave", handle=own))
    link.expect("Leave", "leave", handle=theirs)
    link.expect_open()


@case("TP-0002", "TP-054 TP-030 TR-001", features="share")
def join_again_after_leave(t: Trial) -> None:
    """Leaves an open topic and joins it again with the same number. The subject joins again and tells OBJECT again."""
    link, own, theirs = _open(t)
    link.send(Tree("Leave", handle=own))
    link.expect("Leave", handle=theirs)
    link.fence()
    link.noticed.clear()
    link.send(link.join_frame(SHARED, handle=own))
    link.topic_joined(SHARED)
    link.fence()
    if not any(one.name == "Object" for one in link.noticed):
        link.fail("object", Kind.WRONG, "OBJECT in the topic opened anew", "none came")


@case("TP-0003", "TP-021", features="share")
def join_repeated(t: Trial) -> None:
    """Repeats the JOIN of an open topic, with other flags and reserved bits. The subject answers nothing."""
    link, own, _ = _open(t)
    link.fence()
    for flags in (1, 2, 4, 0xF8):
        link.send(link.join_frame(SHARED, handle=own, flags=flags))
    link.expect_open()


@case("TP-0004", "TP-022", features="share")
def live_handle_other_topic(t: Trial) -> None:
    """Uses the handle of an open topic for another topic. The subject closes with PROTOCOL."""
    link, own, _ = _open(t, SHARED, OTHER)
    link.send(link.join_frame(OTHER, handle=own))
    link.expect_close("PROTOCOL", blame=0x10)


@case("TP-0005", "TP-022", features="share")
def live_handle_other_cap(t: Trial) -> None:
    """Repeats the JOIN of an open topic with another cap. The subject closes with PROTOCOL."""
    link, own, _ = _open(t)
    link.send(link.join_frame(SHARED, handle=own, cap=bytes(32)))
    link.expect_close("PROTOCOL", blame=0x10)


@case("TP-0006", "TP-025", features="share")
def second_handle(t: Trial) -> None:
    """Joins an open topic under a second handle. The subject closes with PROTOCOL."""
    link, own, _ = _open(t)
    link.send(link.join_frame(SHARED, handle=own + 1))
    link.expect_close("PROTOCOL", blame=0x10)


@case("TP-0007", "TP-052")
def leave_without_effect(t: Trial) -> None:
    """Sends LEAVE for a handle that was never used and for one that was refused. The subject ignores both."""
    link = t.open()
    link.send(Tree("Leave", handle=9), Tree("Join", handle=10, topic=b"x" * 32), Tree("Leave", handle=10))
    link.expect("Refuse", handle=10)
    link.expect_open()


@case("TP-0008", "TP-043")
def refuse_without_effect(t: Trial) -> None:
    """Sends REFUSE for handles that the subject has not used. It ignores them."""
    link = t.open()
    link.send(*(Tree("Refuse", handle=number) for number in (300, 9999, 65535)))
    link.expect_open()


@case("TP-0009", "TP-044 TP-045 TP-046", features="share")
def refuse_of_open_topic(t: Trial) -> None:
    """Refuses the JOIN of an open topic, as happens when JOINs cross. The subject answers with LEAVE of its handle."""
    link, _, theirs = _open(t)
    link.send(Tree("Refuse", handle=theirs))
    link.expect("Leave", "leave", handle=theirs)
    link.expect_open()


@case("TP-0010", "TP-045 TP-062", features="share")
def ended_by_refuse(t: Trial) -> None:
    """Refuses the JOIN of an open topic, and sends HAVE and REQUEST in it. HAVE is ignored, REQUEST is rejected with
    NOT_JOINED."""
    link, own, theirs = _open(t)
    link.send(Tree("Refuse", handle=theirs))
    link.expect("Leave", handle=theirs)
    link.send(Tree("Have", handle=own, spans=[Tree("Span")]), Tree("Request", id=3, handle=own))
    link.expect("Reject", "not-joined", id=3, code=6)


@case("TP-0011", "TP-062 TP-063", features="share")
def ended_by_leave(t: Trial) -> None:
    """Leaves a topic, and sends INTEREST, HAVE, GET_PEERS and REQUEST in it. All are ignored but REQUEST, which is
    rejected with NOT_JOINED."""
    link, own, theirs = _open(t)
    link.send(Tree("Leave", handle=own))
    link.expect("Leave", handle=theirs)
    link.send(
        Tree("Interest", handle=own, on=1),
        Tree("Have", handle=own, spans=[Tree("Span")]),
        Tree("GetPeers", handle=own, max=9),
        Tree("Request", id=3, handle=own),
    )
    link.expect("Reject", "not-joined", id=3, code=6)
    link.expect_open()


@case("TP-0012", "TP-001 TP-030", features="share", roles=RESPONDER)
def extreme_handles(t: Trial) -> None:
    """Joins two topics with the handles 0 and 65535. The subject joins both."""
    link = t.open(share=[SHARED.recipe, OTHER.recipe])
    link.need(max_handles=2)
    for one, handle in ((SHARED, 0), (OTHER, 65535)):
        link.send(link.join_frame(one, handle=handle))
        link.topic_joined(one)


@case("TP-0013", "TP-028 FR-025", features="share limits")
def too_many_handles(t: Trial) -> None:
    """Opens as many topics as the subject's max_handles, 2, and one more. The subject closes with LIMIT (T12)."""
    link = t.open(share=[SHARED.recipe, OTHER.recipe, THIRD.recipe], limits={"max_handles": 2})
    for one in (SHARED, OTHER):
        link.send(link.join_frame(one))
    link.send(link.join_frame(THIRD))
    link.expect_close("LIMIT", blame=0x10)


@case("TP-0014", "TP-027 TP-020", features="share limits")
def refused_before_the_limit(t: Trial) -> None:
    """Opens as many topics as the subject's max_handles, 1, and joins an unknown one. The subject refuses it: the
    refusal comes before the limit."""
    link = t.open(share=[SHARED.recipe], limits={"max_handles": 1})
    link.open_topic(SHARED)
    link.send(Tree("Join", handle=500, topic=b"x" * 32))
    link.expect("Refuse", handle=500)


@case("TP-0015", "TP-012 FR-024", features="share", roles=INITIATOR)
def keeps_to_max_handles(t: Trial) -> None:
    """Grants one handle to a subject that shares three objects. It joins at most one."""
    link = t.open({"max_handles": 1}, share=[SHARED.recipe, OTHER.recipe, THIRD.recipe])
    link.fence()
    link.fence()
    joins = [one for one in link.noticed if one.name == "Join"]
    if len(joins) > 1:
        link.fail("max-handles", Kind.WRONG, "at most one JOIN", f"{len(joins)} came")


@case("TP-0016", "TP-027 TP-016", features="share", roles=RESPONDER)
def wrong_cap(t: Trial) -> None:
    """Joins a topic that the subject shares with a cap whose last bit is flipped. The subject refuses."""
    link = t.open(share=[SHARED.recipe])
    right = link.join_frame(SHARED, handle=5)["cap"]
    link.send(link.join_frame(SHARED, handle=5, cap=right[:-1] + bytes([right[-1] ^ 1])))
    link.expect("Refuse", handle=5)
    link.send(link.join_frame(SHARED, handle=5))
    link.topic_joined(SHARED)


_FRAMES: Final = (
    SHARED.object_frame(9),
    Tree("Have", handle=9, spans=[Tree("Span")]),
    Tree("Lost", handle=9, spans=[Tree("Span")]),
    Tree("Interest", handle=9),
    Tree("Suggest", handle=9),
    Tree("Request", id=1, handle=9),
    Tree("Peers", handle=9, dropped=[bytes(32)]),
    Tree("GetPeers", handle=9),
)


def _stray(tree: Tree) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open()
        link.send(tree)
        link.expect_close("PROTOCOL", blame=tree.layout.frame_type)

    return run


for _tree in _FRAMES:
    _title = f"Sends {_tree.name.upper()} with a handle that was never joined. The subject closes with PROTOCOL."
    add(f"TP-{100 + (_tree.layout.frame_type or 0):04d}", "TP-061 TP-002", _title, _stray(_tree))
