"""KA: PING, PONG, the fence and the control budget; FC: credit; PV: what must not show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pwire_conformance.case import INLINE, TCP, add, case
from p2pwire_conformance.content import BLOCK, blob
from p2pwire_conformance.keys import cap_of
from p2pwire_conformance.link import Frame, Link, ping, unknown
from p2pwire_conformance.message import Tree, frame
from p2pwire_conformance.protocol import constant
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind

BURST: Final[int] = constant("CONTROL_BURST")


@case("KA-0001", "KA-001 KA-002 KA-005")
def many_pings(t: Trial) -> None:
    """Sends 100 PINGs in 100 records without waiting. The subject answers all, in order, with their bytes."""
    link = t.open()
    data = [bytes([number]) * 8 for number in range(100)]
    link.send_bytes(b"".join(link.seal(frame(ping(one))) for one in data), "100 PINGs")
    for one in data:
        link.expect("Pong", data=one)


@case("KA-0002", "KA-004")
def pong_unasked(t: Trial) -> None:
    """Sends PONGs that answer nothing. The subject goes on."""
    link = t.open()
    link.send(*(Tree("Pong", data=bytes([n] * 8)) for n in range(20)))
    link.expect_open()


@case("KA-0003", "KA-006 TP-027 TP-063")
def fence(t: Trial) -> None:
    """Sends a JOIN of an unknown topic, a REQUEST on the refused handle and a PING in one record. REFUSE and REJECT
    come before PONG."""
    link = t.open()
    link.send(
        Tree("Join", handle=4, topic=b"t" * 32), Tree("Request", id=8, handle=4), ping(b"fence!!!")
    )  # fmt: skip
    link.expect("Refuse", "fence", handle=4)
    link.expect("Reject", "fence", id=8, code=6)
    link.expect("Pong", "fence", data=b"fence!!!")


def _exactly(kind: bytes) -> Callable[[Trial], None]:
    """Virtual time stands still: so many counted frames, and one more."""

    def run(t: Trial) -> None:
        link = t.open()
        for _ in range(BURST // 100):
            link.send(kind * 100)
        link.expect_nothing("within-budget")
        link.send(kind)
        link.expect_close("FLOOD", check="flood")

    return run


_title = (
    "Sends exactly 1000 {} while no time goes by, and one more (T11). The subject takes the 1000 and closes with FLOOD."
)
add("KA-0010", "KA-020 KA-022", _title.format("empty PADs"), _exactly(frame(Tree("Pad"))), nets=INLINE)
add("KA-0011", "KA-020 KA-022", _title.format("unknown odd frames"), _exactly(unknown(0x0B)), nets=INLINE)
add("KA-0012", "KA-020 KA-022", _title.format("CREDITs of 64"), _exactly(frame(Tree("Credit", blocks=64))), nets=INLINE)
add(
    "KA-0013",
    "KA-020 KA-022",
    _title.format("LEAVEs of handle 5"),
    _exactly(frame(Tree("Leave", handle=5))),
    nets=INLINE,
)
add(
    "KA-0014",
    "KA-020 KA-022",
    _title.format("CANCELs of no request"),
    _exactly(frame(Tree("Cancel", id=5))),
    nets=INLINE,
)
add(
    "KA-0015",
    "KA-020 KA-022",
    _title.format("REFUSEs of no handle"),
    _exactly(frame(Tree("Refuse", handle=5))),
    nets=INLINE,
)


def _flood(kind: bytes) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open()
        for _ in range(100):
            link.send(kind * 1000)
        link.expect_close("FLOOD", check="flood")

    return run


_title = "Sends 100000 {} as fast as it can (T11). The subject closes with FLOOD."
add("KA-0016", "KA-020 KA-022", _title.format("empty PADs"), _flood(frame(Tree("Pad"))), nets=TCP)
add("KA-0017", "KA-020 KA-022", _title.format("unknown odd frames"), _flood(unknown(0x0B)), nets=TCP)


@case("KA-0018", "KA-021 KA-022", nets=INLINE)
def bytes_budget(t: Trial) -> None:
    """Sends 16 PADs of the largest size, 1048304 bytes, while no time goes by, and one of 269 bytes with its header,
    and one more. The subject takes what makes 1 MiB and closes with FLOOD on what goes beyond."""
    link = t.open()
    for _ in range(16):
        link.send(Tree("Pad", data=bytes(constant("MAX_FRAME_BODY"))))
    left = constant("CONTROL_BYTES_BURST") - 16 * (constant("MAX_FRAME_BODY") + 3)
    link.send(Tree("Pad", data=bytes(left - 3)))
    link.expect_nothing("within-budget")
    link.send(Tree("Pad"))
    link.expect_close("FLOOD", check="flood")


@case("KA-0019", "KA-020", nets=INLINE)
def budget_refills(t: Trial) -> None:
    """Uses the budget of 1000 frames up, lets a second go by, sends 100 more and then one. The subject takes the 100
    and closes with FLOOD on the last."""
    link = t.open()
    link.send(frame(Tree("Pad")) * BURST)
    t.tick(link, 1.0)
    link.send(frame(Tree("Pad")) * 100)
    link.expect_nothing("within-budget")
    link.send(Tree("Pad"))
    link.expect_close("FLOOD", check="flood")


@case("KA-0020", "KA-020", nets=INLINE, features="fetch")
def uncounted_frames(t: Trial) -> None:
    """Sends 5000 HAVEs while no time goes by, each with a unit not announced before. None is counted."""
    sought = blob(BLOCK * 3)
    link = t.open(fetch=[sought.oid.hex()])
    handle, _ = link.open_topic(sought, tell=False)
    for first in range(0, 5000, 100):
        spans = [Tree("Span", first=unit, last=unit) for unit in range(first, first + 100)]
        link.send(*(Tree("Have", handle=handle, spans=[span]) for span in spans))
    link.expect_open()


@case("KA-0021", "KA-020 KA-022", nets=INLINE, features="fetch")
def repeated_have(t: Trial) -> None:
    """Sends HAVE of one unit 2000 times while no time goes by. All but the first are counted: the subject closes with
    FLOOD."""
    sought = blob(BLOCK * 3)
    link = t.open(fetch=[sought.oid.hex()])
    handle, _ = link.open_topic(sought, tell=False)
    one = frame(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=0)]))
    for _ in range(20):
        link.send(one * 100)
    link.expect_close("FLOOD", check="flood")


@case("KA-0022", "KA-020 TP-027", nets=INLINE)
def refused_joins_are_counted(t: Trial) -> None:
    """Sends JOINs of unknown topics while no time goes by (T12). The subject refuses 1000 and closes with FLOOD on the
    next."""
    link = t.open()
    for first in range(0, BURST + 1, 91):
        join = [Tree("Join", handle=n, topic=n.to_bytes(32, "big")) for n in range(first, min(first + 91, BURST + 1))]
        link.send(*join)
    for number in range(BURST):
        link.expect("Refuse", "refused", handle=number)
    link.expect_close("FLOOD", check="flood")


@case("KA-0030", "KA-023", nets=INLINE, features="fetch")
def own_frames_within_half(t: Trial) -> None:
    """Offers a subject 60 objects that it seeks, of one block each, while no time goes by. Those of its frames that are
    counted stay within half of the budget."""
    sought = [blob(1000 + number) for number in range(60)]
    link = t.open({"max_handles": 1024}, fetch=[one.oid.hex() for one in sought])
    for one in sought:
        handle, _ = link.open_topic(one)
        link.send(Tree("Have", handle=handle, spans=[Tree("Span")]))
        link.fence()
    counted = [one for one in link.noticed if one.name not in ("Join", "Request", "Data", "Reject", "Refuse", "Have")]
    if len(counted) > BURST // 2:
        link.fail("own-budget", Kind.WRONG, f"at most {BURST // 2} counted frames", f"{len(counted)} came")


# --- credit ---


def _request(id: int, handle: int, *, level: int = 0, block: int = 0, file: int = 0) -> Tree:
    return Tree("Request", id=id, handle=handle, file=file, block=block, level=level)


def _ended_handle(link: Link) -> int:
    link.send(Tree("Join", handle=77, topic=b"nobody knows this topic at all.."))
    link.expect("Refuse", handle=77)
    return 77


@case("FC-0001", "FC-004 FC-003")
def credit_exceeded(t: Trial) -> None:
    """Sends a REQUEST of 64 blocks and one of 1 on a handle that has ended. The first is rejected and yet costs all the
    credit there is; the second makes the subject close with CREDIT_EXCEEDED."""
    link = t.open()
    handle = _ended_handle(link)
    link.send(_request(1, handle, level=6), _request(2, handle))
    link.expect("Reject", id=1, code=6)
    link.expect_close("CREDIT_EXCEEDED")


@case("FC-0002", "FC-001 FC-004")
def whole_credit(t: Trial) -> None:
    """Sends 64 REQUESTs of one block on a handle that has ended, and one more. The 64 are rejected with NOT_JOINED, and
    the subject closes with CREDIT_EXCEEDED on the last."""
    link = t.open()
    handle = _ended_handle(link)
    link.send(*(_request(number, handle) for number in range(64)))
    for number in range(64):
        link.expect("Reject", "within-credit", id=number, code=6)
    link.send(_request(64, handle))
    link.expect_close("CREDIT_EXCEEDED")


@case("FC-0003", "FC-003 FC-004 TR-042", features="share")
def out_of_range_costs(t: Trial) -> None:
    """Requests 64 blocks that a blob does not have, and one that it has. The first is rejected with OUT_OF_RANGE and
    costs its 64 blocks; the second makes the subject close with CREDIT_EXCEEDED."""
    shared = blob(1000)
    link = t.open(share=[shared.recipe])
    handle, _ = link.open_topic(shared)
    link.send(_request(1, handle, level=6), _request(2, handle))
    link.expect("Reject", id=1, code=5)
    link.expect_close("CREDIT_EXCEEDED")


def _credits(*totals: int, fault: bool) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open()
        for total in totals:
            link.send(Tree("Credit", blocks=total))
        if fault:
            link.expect_close("PROTOCOL")
        else:
            link.expect_open()

    return run


_title = "Sends CREDIT {}. The subject {}."
_CLOSES: Final = "closes with PROTOCOL"
add("FC-0010", "FC-006", _title.format("0", _CLOSES), _credits(0, fault=True))
add("FC-0011", "FC-006", _title.format("63, less than the initial 64", _CLOSES), _credits(63, fault=True))
add("FC-0012", "FC-006", _title.format("100 and then 99", _CLOSES), _credits(100, 99, fault=True))
add("FC-0013", "FC-006 FC-008", _title.format("2^64 - 1 and then 0", _CLOSES), _credits(2**64 - 1, 0, fault=True))
add("FC-0014", "FC-007", _title.format("64 three times", "goes on"), _credits(64, 64, 64, fault=False))
add(
    "FC-0015",
    "FC-008",
    _title.format("2^63 and 2^64 - 1 twice", "goes on"),
    _credits(2**63, 2**64 - 1, 2**64 - 1, fault=False),
)


@case("FC-0020", "FC-010", features="share")
def keeps_ahead(t: Trial) -> None:
    """Is interested and spends 64 blocks. The subject, which serves nobody else, grants at least 64 more than what has
    ended."""
    shared = blob(65 * BLOCK)
    link = t.open(share=[shared.recipe])
    handle, _ = link.open_topic(shared)
    link.send(Tree("Interest", handle=handle, on=1), _request(1, handle, level=6))
    for number in range(64):
        link.expect("Data", id=1, block=number)
    link.fence()
    granted = max([64, *(one["blocks"] for one in link.noticed if one.name == "Credit")])
    if granted < 128:
        link.fail("ahead", Kind.WRONG, "a CREDIT of 128 or more", f"{granted} are granted")


def _fetching(t: Trial, blocks: int, *, max_requests: int = 1024) -> tuple[Link, int]:
    """A link on which the subject fetches a blob of so many blocks and knows its OBJECT; the suite's handle."""
    sought = blob(blocks * BLOCK)
    link = t.open({"max_requests": max_requests}, fetch=[sought.oid.hex()])
    handle, _ = link.open_topic(sought)
    return link, handle


def _requests(link: Link, handle: int, blocks: int) -> list[Frame]:
    """Announce all blocks, and take the REQUESTs that the subject sends before its next PONG."""
    link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=blocks - 1)]))
    first = link.expect("Request", "request")
    return [first, *(one for one in link.fence() if one.name == "Request")]


@case("FC-0030", "FC-002 TR-034", features="fetch")
def stays_within_credit(t: Trial) -> None:
    """Offers a blob of 300 blocks, grants nothing beyond the initial 64, and serves what the subject asks for. Its
    REQUESTs cost no more."""
    sought = blob(300 * BLOCK)
    link, handle = _fetching(t, 300)
    found = _requests(link, handle, 300)
    cost = 0
    while found:
        cost += sum(1 << one["level"] for one in found)
        if cost > 64:
            link.fail("credit", Kind.WRONG, "REQUESTs that cost at most 64 blocks", f"they cost {cost}")
        for one in found:
            for block in range(one["block"], min(one["block"] + (1 << one["level"]), 300)):
                link.send(sought.main.data_frame(one["id"], one["block"], block))
        found = [one for one in link.fence() if one.name == "Request"]


@case("FC-0031", "TR-032 TR-030", features="fetch")
def stays_within_max_requests(t: Trial) -> None:
    """Lets the subject have 2 REQUESTs open, and 1024 blocks, in a blob of 300 blocks. It has no more than 2 open."""
    link, handle = _fetching(t, 300, max_requests=2)
    link.send(Tree("Credit", blocks=1024))
    found = _requests(link, handle, 300)
    if len(found) > 2 or len({one["id"] for one in found}) < len(found):
        link.fail("max-requests", Kind.WRONG, "at most 2 open REQUESTs", f"{len(found)} are")


# --- privacy ---


@case("PV-0001", "PV-003 TP-027 OB-012", features="share")
def one_refusal_for_all(t: Trial) -> None:
    """Joins an unknown topic, and a known one with a wrong cap and with the cap of the other role (T27). The subject
    refuses all three with the same bytes, and tells nothing of the object."""
    shared = blob(1000)
    link = t.open(share=[shared.recipe])
    other = cap_of(shared.oid, link.hash, initiator=not link.initiator)
    known = [link.join_frame(shared, handle=1, cap=bytes(32)), link.join_frame(shared, handle=2, cap=other)]
    if t.responds:
        link.send(Tree("Join", handle=3, topic=b"x" * 32), *known)
        bodies = [link.expect("Refuse", handle=number).body[2:] for number in (3, 1, 2)]
        if len(set(bodies)) != 1:
            link.fail("refusals", Kind.WRONG, "the same REFUSE three times", str(bodies))
    else:
        link.send(Tree("Join", handle=3, topic=b"x" * 32))
        link.expect("Refuse", handle=3)
    link.expect_open(but="Join")
    told = [one for one in link.noticed if one.name in ("Object", "Have", "Peers")]
    if told:
        link.fail("told", Kind.NOT_SILENT, "nothing of the object", f"{told[0]} came")
