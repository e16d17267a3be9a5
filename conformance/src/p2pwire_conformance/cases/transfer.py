"""OB and TR: objects, what is told of them, REQUESTs in odd circumstances, blame, and several sources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pwire_conformance.case import BOTH, INLINE, RESPONDER, add, case
from p2pwire_conformance.cases.swarm import FAR, SOUGHT, expect_dials, more, source, swarm
from p2pwire_conformance.cases.tr import FIVE, MANIFEST, request
from p2pwire_conformance.content import BLOCK, NO_ROOT, File, Object, blob, folder, pattern
from p2pwire_conformance.link import Frame, Link
from p2pwire_conformance.message import Tree
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind

SECOND: Final = "11.2.0.1:7001"


def _span(first: int, last: int) -> Tree:
    return Tree("Span", first=first, last=last)


def _have(handle: int, first: int, last: int) -> Tree:
    return Tree("Have", handle=handle, spans=[_span(first, last)])


def _noticed(link: Link, name: str) -> list[Frame]:
    link.fence()
    return [one for one in link.noticed if one.name == name]


def _units(link: Link) -> list[int]:
    return sorted(
        unit
        for one in _noticed(link, "Have")
        for span in one["spans"]
        for unit in range(span["first"], span["last"] + 1)
    )


# --- what is told ---


@case("OB-0001", "OB-004 OB-013", features="share")
def empty_blob(t: Trial) -> None:
    """Opens the topic of an empty blob that the subject has. Its OBJECT has length 0 and no root."""
    empty = blob(0)
    link = t.open(share=[empty.recipe])
    link.open_topic(empty, tell=False)
    found = _noticed(link, "Object")
    if not found or found[0]["length"] or found[0]["root"] != NO_ROOT:
        link.fail("object", Kind.WRONG, "OBJECT of length 0 with a root of zero bytes", str(found))


@case("OB-0002", "OB-011", features="share")
def no_oid_on_the_link(t: Trial) -> None:
    """Opens the topic of a blob that the subject has, and is served (T27). The oid is in none of its frames."""
    link = t.open(share=[FIVE.recipe])
    handle, _ = link.open_topic(FIVE, tell=False)
    link.send(Tree("Interest", handle=handle, on=1), request(1, handle, 0, 2))
    for block in range(4):
        link.expect("Data", block=block)
    link.fence()
    if any(FIVE.oid in line.data for line in t.log if line.direction == "←"):
        link.fail("oid", Kind.NOT_SILENT, "no frame with the oid", "one has it")


@case("OB-0003", "TR-003 TR-001", features="share")
def object_once(t: Trial) -> None:
    """Opens a topic and repeats its JOIN with other flags. The subject tells OBJECT once."""
    link = t.open(share=[FIVE.recipe])
    handle, _ = link.open_topic(FIVE, tell=False)
    for flags in (2, 4, 0):
        link.send(link.join_frame(FIVE, handle=handle, flags=flags))
    if len(_noticed(link, "Object")) != 1:
        link.fail("object", Kind.WRONG, "one OBJECT", f"{len(_noticed(link, 'Object'))} came")


@swarm("OB-0004", "TR-002", "fetch")
def object_learned_later(t: Trial) -> None:
    """Two peers open the topic of a blob that the subject seeks and does not know. One tells OBJECT. The subject tells
    it to the other."""
    link, handle = source(t, dials=False)
    other, _ = more(t, "second", SECOND)
    link.send(SOUGHT.object_frame(handle))
    found = _noticed(other, "Object")
    if len(found) != 1 or found[0]["root"] != SOUGHT.main.root:
        other.fail("object", Kind.WRONG, "the OBJECT that the first peer told", f"{len(found)} came")


def _root_of_nothing(t: Trial) -> None:
    """See below."""
    file = File(b"")
    odd = Object(0, _Rooted(file, bytes([7] * 32)), [file], {})
    link = t.open(fetch=[odd.oid.hex()])
    handle, _ = link.open_topic(odd, tell=False)
    link.send(Tree("Object", handle=handle, kind=0, length=0, root=bytes([7] * 32)))
    link.expect_close("BAD_DATA", blame=0x16)


class _Rooted(File):
    """A file that says it has another root."""

    def __init__(self, file: File, root: bytes) -> None:
        super().__init__(file.data)
        self._said = root

    @property
    def root(self) -> bytes:
        """What it says."""
        return self._said


_title = "Tells an OBJECT of length 0 with a root that gives the oid all the same. The subject closes with BAD_DATA."
add("OB-0005", "TR-006", _title, _root_of_nothing, features="fetch")


def _spans(name: str, *spans: tuple[int, int]) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open(fetch=[FIVE.oid.hex()])
        handle, _ = link.open_topic(FIVE)
        if name == "Suggest":
            link.send(Tree(name, handle=handle, first=spans[0][0], last=spans[0][1]))
        else:
            link.send(Tree(name, handle=handle, spans=[_span(*one) for one in spans]))
        link.expect_close("PROTOCOL")

    return run


for _number, (_name, _pairs) in enumerate(
    (("Have", ((2, 2), (0, 0))), ("Have", ((0, 1), (1, 2))), ("Have", ((2, 1),)), ("Have", ((0, 0), (0, 0))),
     ("Lost", ((2, 2), (0, 0))), ("Lost", ((3, 0),)), ("Suggest", ((2, 1),)))
):  # fmt: skip
    _title = f"Sends {_name.upper()} of the units {', '.join(f'{a}-{b}' for a, b in _pairs)}. The subject closes."
    add(f"TR-020{_number}", "TR-011", _title, _spans(_name, *_pairs), features="fetch")


def _reject(code: int, retry: int, fine: bool) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open(fetch=[FIVE.oid.hex()])
        handle, _ = link.open_topic(FIVE)
        link.send(_have(handle, 0, 4))
        asked = link.expect("Request")
        link.send(Tree("Reject", id=asked["id"], code=code, retry=retry))
        if fine:
            link.expect_open()
        else:
            link.expect_close("PROTOCOL", blame=0x24)

    return run


for _number, (_code, _retry, _fine) in enumerate(
    ((1, 5, False), (3, 1, False), (5, 9, False), (6, 65535, False), (0, 0, False), (7, 0, False), (2, 9, True),
     (4, 65535, True), (1, 0, True), (6, 0, True))
):  # fmt: skip
    _does = "goes on" if _fine else "closes with PROTOCOL"
    _title = f"Rejects a REQUEST with code {_code} and retry {_retry}. The subject {_does}."
    add(f"TR-021{_number}", "TR-062", _title, _reject(_code, _retry, _fine), features="fetch", depends="TR-0082")


def _misaligned(block: int, level: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        big = blob(130 * BLOCK)
        link = t.open(share=[big.recipe])
        handle, _ = link.open_topic(big)
        link.send(request(1, handle, block, level))
        link.expect_close("PROTOCOL", blame=0x20)

    return run


for _number, (_block, _level) in enumerate(((1, 1), (6, 2), (32, 6), (0, 7), (0, 255))):
    _title = f"Sends REQUEST for block {_block} with level {_level}. The subject closes with PROTOCOL."
    add(f"TR-022{_number}", "TR-036", _title, _misaligned(_block, _level), features="share")


# --- the order of checks ---


@case("TR-0230", "TR-037 TR-039", features="share limits", depends="TR-0046")
def limit_before_credit(t: Trial) -> None:
    """Sends, where max_requests is 2, two REQUESTs of 32 blocks and one of 64 in one record. The third breaks the limit
    and the credit: the subject closes with LIMIT."""
    t.need("requests", "queued")
    big = blob(128 * BLOCK)
    link = t.open(share=[big.recipe], limits={"max_requests": 2})
    handle, _ = link.open_topic(big)
    link.send(request(1, handle, 0, 5), request(2, handle, 32, 5), request(3, handle, 64, 6))
    link.expect_close("LIMIT", blame=0x20)


@case("TR-0231", "TR-037 FC-004", features="share", depends="SA-0004")
def credit_before_range(t: Trial) -> None:
    """Sends a REQUEST of 64 blocks of a blob of 5, and one of a file that it does not have. The first is rejected with
    OUT_OF_RANGE, the second makes the subject close with CREDIT_EXCEEDED."""
    link = t.open(share=[FIVE.recipe])
    handle, _ = link.open_topic(FIVE)
    link.send(request(1, handle, 0, 6), request(2, handle, 0, 0, file=9))
    link.expect("Reject", id=1, code=5)
    link.expect_close("CREDIT_EXCEEDED", blame=0x20)


@case("TR-0232", "TR-037 TR-041 TR-068", features="fetch")
def unknown_before_range(t: Trial) -> None:
    """Requests file 9 of an object that the subject does not know. It rejects with NOT_AVAILABLE, and not with
    OUT_OF_RANGE or CANCELLED."""
    link = t.open(fetch=[FIVE.oid.hex()])
    handle, _ = link.open_topic(FIVE, tell=False)
    link.send(request(7, handle, file=9))
    link.expect("Reject", "reject", id=7, code=1, retry=0)


# --- serving ---


@case("TR-0240", "TR-014 TR-015 TR-043", nets=INLINE, features="share actions")
def lost_content(t: Trial) -> None:
    """Requests a block that the subject announced and can read no more. It says LOST before it rejects the REQUEST."""
    link = t.open(share=[FIVE.recipe])
    handle, theirs = link.open_topic(FIVE)
    link.fence()
    t.do("lose", oid=FIVE.oid.hex())
    link.send(request(7, handle, 1))
    link.expect("Reject", "reject", id=7, code=1)
    lost = [one for one in link.noticed if one.name == "Lost"]
    if not lost or lost[0]["handle"] != theirs or not _covers(lost[0], 1):
        link.fail("lost", Kind.WRONG, "LOST of the unit before the REJECT", f"{len(lost)} came")


def _covers(frame: Frame, unit: int) -> bool:
    return any(span["first"] <= unit <= span["last"] for span in frame["spans"])


@case("TR-0241", "TR-067 TR-040", nets=INLINE, features="share hold")
def cancelled_in_time(t: Trial) -> None:
    """Requests 4 blocks while the subject's disk does not answer, and cancels. It rejects with CANCELLED, once, and
    sends no DATA when the disk answers."""
    link = t.open(share=[FIVE.recipe])
    handle, _ = link.open_topic(FIVE)
    link.fence()
    t.do("hold", what="disk", on=True)
    link.send(request(7, handle, 0, 2), Tree("Cancel", id=7))
    link.expect("Reject", "cancelled", id=7, code=3)
    t.do("hold", what="disk", on=False)
    if any(one.name in ("Data", "Reject") for one in link.fence()):
        link.fail("ended-once", Kind.WRONG, "nothing after the REJECT", "more came")


@swarm("TR-0242", "TR-045", "share hold")
def served_in_turn(t: Trial) -> None:
    """Two peers request 32 blocks each while the subject's disk does not answer. When it does, each gets its blocks."""
    big = blob(64 * BLOCK)
    t.start(share=[big.recipe], remote=FAR)
    links = [t.connect("unused"), t.peer("one", SECOND), t.peer("two", "11.3.0.1:7001")][1:]
    handles = [link.open_topic(big)[0] for link in links]
    t.do("hold", what="disk", on=True)
    for link, handle in zip(links, handles, strict=True):
        link.send(request(1, handle, 0, 5))
    t.do("hold", what="disk", on=False)
    for link in links:
        for block in range(32):
            link.expect("Data", "served", id=1, block=block)


# --- fetching ---


@case("TR-0250", "TR-064", nets=INLINE, features="fetch", depends="TR-0082")
def waits_for_retry(t: Trial) -> None:
    """Rejects all REQUESTs with BUSY and a retry of 20 s. The subject requests nothing for 20 s, and then again."""
    link = t.open(fetch=[FIVE.oid.hex()])
    handle, _ = link.open_topic(FIVE)
    link.send(_have(handle, 0, 4))
    asked = [link.expect("Request"), *(one for one in link.fence() if one.name == "Request")]
    link.send(*(Tree("Reject", id=one["id"], code=4, retry=20000) for one in asked))
    link.expect_open()
    t.tick(link, 19.5)
    if any(one.name == "Request" for one in link.fence()):
        link.fail("too-early", Kind.WRONG, "no REQUEST within 20 s", "one came")
    t.tick(link, 1.5)
    link.expect("Request", "again")


@case("TR-0251", "TR-026 TR-025", nets=INLINE, features="fetch", depends="TR-0082")
def interest_ends(t: Trial) -> None:
    """Serves all that the subject seeks. It says INTEREST on and, at the end, off."""
    link = t.open(fetch=[SOUGHT.oid.hex()])
    handle, _ = link.open_topic(SOUGHT)
    link.send(_have(handle, 0, 2))
    left = 3
    while left:
        found = link.expect("Request")
        for block in range(found["block"], min(found["block"] + (1 << found["level"]), 3)):
            link.send(SOUGHT.main.data_frame(found["id"], found["block"], block))
            left -= 1
    t.tick(link, 1.0)
    told = [one["on"] for one in _noticed(link, "Interest")]
    if told != [1, 0]:
        link.fail("interest", Kind.WRONG, "INTEREST on and then off", f"{told} came")


def _completes_three(t: Trial) -> Link:
    """Serves blocks 0, 2 and 4 of five, and lets 200 ms go by: another peer in the topic."""
    link, handle = source(t, dials=False, sought=FIVE)
    other, _ = more(t, "second", SECOND, FIVE)
    link.send(FIVE.object_frame(handle))
    for unit in (0, 2, 4):
        link.send(_have(handle, unit, unit))
        found = link.expect("Request")
        link.send(FIVE.main.data_frame(found["id"], unit, unit))
    t.pass_time(0.2, link)
    return other


@swarm("TR-0252", "TR-012 TR-010 OB-050", "fetch")
def announces_what_it_gets(t: Trial) -> None:
    """Serves blocks 0, 2 and 4 of five to a subject, and lets 200 ms go by. Another peer in the topic is told of
    exactly these units."""
    other = _completes_three(t)
    if set(_units(other)) != {0, 2, 4}:
        other.fail("have", Kind.WRONG, "HAVE of the units 0, 2 and 4", f"{_units(other)} came")


@swarm("TR-0262", "TR-013@2", "fetch")
def gathers_what_it_gets(t: Trial) -> None:
    """The same. The other peer is told of all three by one HAVE."""
    other = _completes_three(t)
    if len(_noticed(other, "Have")) != 1:
        other.fail("one-have", Kind.WRONG, "one HAVE of the units 0, 2 and 4", f"HAVEs of {_units(other)} came")


def _served(link: Link, asked: Frame) -> set[int]:
    """Answer a REQUEST; the blocks that it was for."""
    blocks = range(asked["block"], min(asked["block"] + (1 << asked["level"]), 3))
    for block in blocks:
        link.send(SOUGHT.main.data_frame(asked["id"], asked["block"], block))
    return set(blocks)


@swarm("TR-0253", "TR-016 TR-059 TR-074", "fetch")
def two_sources_one_lies(t: Trial) -> None:
    """Two peers offer what the subject seeks, and one answers with bad data (T14). The subject closes that link, says
    HAVE of nothing that came from it, and requests all of the other."""
    link, handle = source(t, dials=False)
    other, others = more(t, "second", SECOND)
    link.send(SOUGHT.object_frame(handle), _have(handle, 0, 2))
    asked = link.expect("Request")
    link.send(SOUGHT.main.data_frame(asked["id"], asked["block"], asked["block"]).with_(data=bytes(BLOCK)))
    link.expect_close("BAD_DATA")
    t.pass_time(0.3, other)
    if _units(other):
        other.fail("unverified", Kind.WRONG, "no HAVE of what is not verified", f"{_units(other)} came")
    other.send(_have(others, 0, 2))
    seen: set[int] = set()
    while seen != {0, 1, 2}:
        seen |= _served(other, other.expect("Request", "other-source"))


@swarm("TR-0254", "TR-060", "fetch")
def keeps_what_was_verified(t: Trial) -> None:
    """Serves a subject one good block and then a bad one. Of another peer, which has all, it requests the others."""
    link, handle = source(t, dials=False)
    other, others = more(t, "second", SECOND)
    link.send(SOUGHT.object_frame(handle), _have(handle, 1, 1))
    asked = link.expect("Request", block=1)
    link.send(SOUGHT.main.data_frame(asked["id"], 1, 1), _have(handle, 0, 2))
    asked = link.expect("Request")
    link.send(SOUGHT.main.data_frame(asked["id"], asked["block"], asked["block"]).with_(data=bytes(BLOCK)))
    link.expect_close("BAD_DATA")
    other.send(_have(others, 0, 2))
    found = [other.expect("Request")]
    blocks: set[int] = set()
    while found:
        blocks |= {block for one in found for block in _served(other, one)}
        found = [one for one in other.fence() if one.name == "Request"]
    if blocks != {0, 2}:
        other.fail("kept", Kind.WRONG, "REQUESTs for the blocks 0 and 2", f"for {sorted(blocks)}")


@case("TR-0255", "TR-057", features="fetch", depends="TR-0082")
def length_of_a_block(t: Trial) -> None:
    """Serves an object of 4 blocks and 100 bytes whose tree was made for 99 bytes in the last block: DATA has 99 bytes,
    and its hashes fit. The subject closes with BAD_DATA."""
    short = File(pattern(4 * BLOCK + 99))
    odd = Object(0, _Longer(short), [short], {})
    link = t.open(fetch=[odd.oid.hex()])
    handle, _ = link.open_topic(odd, tell=False)
    link.send(Tree("Object", handle=handle, kind=0, length=4 * BLOCK + 100, root=short.root), _have(handle, 4, 4))
    asked = link.expect("Request", block=4)
    link.send(short.data_frame(asked["id"], 4, 4))
    link.expect_close("BAD_DATA", blame=0x22)


class _Longer(File):
    """A file with a byte more than its tree knows of."""

    def __init__(self, file: File) -> None:
        super().__init__(file.data)
        self.data = file.data + b"\0"


@swarm("TR-0256", "TR-075", "fetch dials actions")
def banned_identity_answers_a_dial(t: Trial) -> None:
    """Sends bad data, and answers at another address that the subject's user gives. The subject reads the identity that
    it banned, and ends the handshake without message 3."""
    link, handle = source(t)
    link.send(SOUGHT.object_frame(handle), _have(handle, 0, 2))
    asked = link.expect("Request")
    link.send(SOUGHT.main.data_frame(asked["id"], asked["block"], asked["block"]).with_(data=bytes(BLOCK)))
    link.expect_close("BAD_DATA")
    t.do("fetch", oid=FIVE.oid.hex(), peers=["11.60.0.1:7001"])
    dial = expect_dials(t, link, "11.60.0.1:7001")[0]
    met = t.answer_dial(dial, "again", link.identity)
    met.read_offer()
    met.send_answer()
    met.expect_silence("banned")


@case("TR-0257", "OB-026 OB-014", features="fetch", nets=INLINE, roles=BOTH)
def smallest_manifest(t: Trial) -> None:
    """Has the subject fetch a folder with nothing in it, whose manifest has 9 bytes. It takes it."""
    empty = folder({})
    link = t.open(fetch=[empty.oid.hex()])
    link.open_topic(empty, flags=1)
    asked = link.expect("Request", "request", file=MANIFEST)
    link.send(empty.main.data_frame(asked["id"], 0, 0))
    link.expect_open("taken", but="Join")


@case("TR-0258", "OB-033", features="fetch", roles=RESPONDER)
def manifest_before_files(t: Trial) -> None:
    """Has the subject fetch a folder whose manifest has two blocks, and sends the first. It requests no file before it
    has the second."""
    wide = folder({f"{'n' * 200}{n:03d}": 1 for n in range(70)})
    link = t.open(fetch=[wide.oid.hex()])
    handle, _ = link.open_topic(wide, flags=1)
    link.send(_have(handle, 0, 69))
    asked = link.expect("Request", file=MANIFEST)
    link.send(wide.main.data_frame(asked["id"], asked["block"], asked["block"]))
    early = [one for one in link.fence() if one.name == "Request" and one["file"] != MANIFEST]
    if early:
        link.fail("too-early", Kind.WRONG, "no REQUEST for a file before the manifest is checked", str(early[0]))


@case("OB-0011", "OB-013 OB-004", features="fetch")
def empty_blob_offered(t: Trial) -> None:
    """Tells OBJECT of an empty blob that the subject seeks. It goes on, and requests nothing."""
    empty = blob(0)
    link = t.open(fetch=[empty.oid.hex()])
    link.open_topic(empty)
    link.expect_open("goes-on", but="Join")
    if _noticed(link, "Request"):
        link.fail("request", Kind.WRONG, "no REQUEST for an empty blob", "one came")
