"""FC: back-pressure, and the credit that the subject grants."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from p2pwire_conformance.case import INLINE, RESPONDER, case
from p2pwire_conformance.cases.tr import request
from p2pwire_conformance.content import BLOCK, Object, blob
from p2pwire_conformance.link import Frame, Link, ping
from p2pwire_conformance.message import Tree, raw_frame
from p2pwire_conformance.protocol import constant
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind, NotApplicable

QUEUE: Final[int] = constant("SEND_QUEUE_DATA")
ANSWERS: Final[int] = constant("SEND_QUEUE_ANSWERS")
UNWRITTEN: Final[int] = constant("MAX_UNWRITTEN_BLOCKS")
PONG: Final = 11
"""bytes of a PONG with its header."""
WIDE: Final = blob(64 * BLOCK)


def serve_all(link: Link, sought: Object, most: int) -> int:
    """Inline: answer REQUESTs of a blob until the subject asks no more or so many blocks were sent; how many were."""
    sent = 0
    while sent < most and (found := link.next_frame(0.0)) is not None:
        if found.name != "Request":
            continue
        last = min(found["block"] + (1 << found["level"]), sought.main.count)
        for block in range(found["block"], last):
            link.send(sought.main.data_frame(found["id"], found["block"], block))
            sent += 1
    return sent


def _credits(link: Link) -> list[int]:
    return [one["blocks"] for one in link.noticed if one.name == "Credit"]


@case("FC-0040", "FC-005 FC-010 FC-012 FC-011", features="share")
def totals_grow(t: Trial) -> None:
    """Is interested, and requests 8 blocks 48 times. The totals that the subject grants grow, are always enough, and
    come in steps of an eighth of ahead or more."""
    link = t.open(share=[WIDE.recipe])
    handle, _ = link.open_topic(WIDE)
    link.send(Tree("Interest", handle=handle, on=1))
    for number in range(48):
        link.fence()
        granted = max([64, *_credits(link)])
        if granted - number * 8 < 64:
            link.fail("ahead", Kind.WRONG, "64 blocks ahead at least", f"{granted - number * 8}")
        link.send(request(number, handle, number % 8 * 8, 3))
        for block in range(8):
            link.expect("Data", id=number, block=number % 8 * 8 + block)
    totals = [64, *_credits(link)]
    if totals != sorted(totals):
        link.fail("totals", Kind.WRONG, "totals that never fall", str(totals))
    steps = [after - before for before, after in pairwise(totals)]
    if any(step < 8 for step in steps):
        link.fail("steps", Kind.WRONG, "steps of 8 at least", str(steps))


def _all_credit(link: Link, *open: Object) -> list[int]:
    """Handles of topics on which there are the initial 64 blocks of credit, and no more."""
    handles = [link.open_topic(one)[0] for one in open]
    link.fence()
    if _credits(link):
        raise NotApplicable("it grants more than the initial credit to a peer that is not interested")
    return handles


@case("FC-0004", "FC-003 FC-004", features="share")
def cancelling_gives_nothing_back(t: Trial) -> None:
    """Requests 64 blocks, cancels that, and requests one more, in one record. The subject closes with
    CREDIT_EXCEEDED."""
    link = t.open(share=[WIDE.recipe])
    (handle,) = _all_credit(link, WIDE)
    link.send(request(1, handle, 0, 6), Tree("Cancel", id=1), request(2, handle, 0))
    link.expect_close("CREDIT_EXCEEDED")


@case("FC-0005", "FC-001 FC-004", features="share")
def one_credit_for_all_topics(t: Trial) -> None:
    """Requests 32 blocks of each of two objects, and one more, in one record. The subject, which would serve both,
    closes with CREDIT_EXCEEDED on the last."""
    other = blob(64 * BLOCK - 1)
    link = t.open(share=[WIDE.recipe, other.recipe])
    link.need(max_requests=3)
    one, two = _all_credit(link, WIDE, other)
    link.send(request(1, one, 0, 5), request(2, two, 0, 5), request(3, two, 32))
    link.expect_close("CREDIT_EXCEEDED")


def _cost(link: Link, offered: Mapping[int, Object], found: list[Frame]) -> int:
    """Serve these REQUESTs and all that follow on them: how many blocks they cost."""
    cost = 0
    while found:
        for one in found:
            cost += 1 << one["level"]
            content = offered[one["handle"]].main
            for block in range(one["block"], min(one["block"] + (1 << one["level"]), content.count)):
                link.send(content.data_frame(one["id"], one["block"], block))
        found = [one for one in link.fence() if one.name == "Request"]
    return cost


@case("FC-0032", "FC-002", features="fetch", depends="TR-0082")
def own_credit_for_all_topics(t: Trial) -> None:
    """Offers two blobs of 100 blocks, grants nothing beyond the initial 64, and serves what the subject asks for. Its
    REQUESTs cost no more, both together."""
    sought = [blob(100 * BLOCK), blob(100 * BLOCK - 1)]
    link = t.open(fetch=[one.oid.hex() for one in sought])
    link.need(max_handles=2)
    handles = [link.open_topic(one) for one in sought]
    offered = {theirs: one for (_, theirs), one in zip(handles, sought, strict=True)}
    link.send(*(Tree("Have", handle=own, spans=[Tree("Span", first=0, last=99)]) for own, _ in handles))
    first = link.expect("Request", "request")
    cost = _cost(link, offered, [first, *(one for one in link.fence() if one.name == "Request")])
    if cost > 64:
        link.fail("credit", Kind.WRONG, "REQUESTs that cost at most 64 blocks", f"they cost {cost}")


@case("FC-0033", "FC-002", features="fetch", depends="TR-0082")
def own_credit_in_drops(t: Trial) -> None:
    """Offers a blob of 200 blocks, serves what the subject asks for, and grants one block more, five times. What it
    asks for never costs more than was granted by then."""
    sought = blob(200 * BLOCK)
    link = t.open(fetch=[sought.oid.hex()])
    handle, theirs = link.open_topic(sought)
    link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=199)]))
    cost = _cost(link, {theirs: sought}, [link.expect("Request", "request")])
    for total in range(64, 70):
        link.send(Tree("Credit", blocks=total))
        cost += _cost(link, {theirs: sought}, [one for one in link.fence() if one.name == "Request"])
        if cost > total:
            link.fail("credit", Kind.WRONG, f"REQUESTs that cost at most {total} blocks", f"they cost {cost}")


@case("FC-0041", "FC-030", nets=INLINE, features="share hold")
def data_into_room_alone(t: Trial) -> None:
    """Requests 64 blocks and sends PING while the subject's carrier takes nothing (T11). When it does, no more than the
    bound of DATA and one block come before the PONG."""
    link = t.open(share=[WIDE.recipe])
    handle, _ = link.open_topic(WIDE)
    link.fence()
    t.do("hold", what="output", on=True)
    link.send(request(1, handle, 0, 6))
    link.send(ping(b"how much"))
    t.do("hold", what="output", on=False)
    came = 0
    while True:
        found = link.next_frame()
        if found is None:
            link.fail("pong", Kind.SILENT_DROP, "a PONG", "nothing came")
        if found.name == "Pong":
            break
        came += len(found.body) + 3
    if came > QUEUE + BLOCK + 1200:
        link.fail("bound", Kind.WRONG, f"at most {QUEUE} bytes and one DATA before the PONG", f"{came} bytes came")


@case("FC-0042", "FC-031 FC-034", nets=INLINE, features="share hold events")
def reads_while_data_wait(t: Trial) -> None:
    """Requests 64 blocks while the subject's carrier takes nothing, and sends CLOSE (T11). The subject reads it, though
    its DATA wait."""
    link = t.open(share=[WIDE.recipe])
    handle, _ = link.open_topic(WIDE)
    link.fence()
    t.do("hold", what="output", on=True)
    link.send(request(1, handle, 0, 6))
    link.send(Tree("Close", code=0, frame_type=255))
    if not t.running.events("closed"):
        link.fail("read", Kind.WRONG, "the link to be over for the subject's application", "it does not say so")


@case("FC-0043", "FC-032", nets=INLINE, roles=RESPONDER, features="hold events")
def answers_stop_the_reading(t: Trial) -> None:
    """Sends PINGs, as many as the budget allows, while the subject's carrier takes nothing, until more than 64 KiB of
    answers have to wait, and then CLOSE (T11). The subject reads it only when its answers have gone."""
    link = t.open()
    link.need(idle=100)
    link.fence()
    t.do("hold", what="output", on=True)
    one = ping()
    sent = 0
    while sent * PONG <= ANSWERS + 100 * PONG:
        count = 900 if not sent else 490
        link.send(*([one] * count))
        sent += count
        t.tick(link, 5.0)
    link.send(Tree("Close", code=0, frame_type=255))
    if t.running.events("closed"):
        link.fail("stopped", Kind.WRONG, "no reading beyond 64 KiB of answers", "CLOSE is read")
    t.do("hold", what="output", on=False)
    if not t.running.events("closed"):
        link.fail("resumed", Kind.WRONG, "reading when the answers have gone", "CLOSE is not read")


@case("FC-0044", "FC-033", nets=INLINE, features="fetch hold", depends="TR-0083")
def blocks_stop_the_reading(t: Trial) -> None:
    """Serves what a subject asks for whose disk does not answer, until 70 blocks have come that it cannot write, and
    sends PING. It does not read on with more than 64, so the PONG comes only when the disk answers."""
    big = blob(130 * BLOCK)
    link = t.open(fetch=[big.oid.hex()])
    handle, _ = link.open_topic(big, tell=False)
    link.send(Tree("Credit", blocks=1024), big.object_frame(handle))
    link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=129)]))
    t.do("hold", what="disk", on=True)
    sent = serve_all(link, big, UNWRITTEN + 6)
    if sent <= UNWRITTEN:
        raise NotApplicable(f"it asks for {sent} blocks and no more while its disk does not answer")
    link.send(ping(b"disk..??"))
    if any(found.name == "Pong" for found in link.drained()):
        link.fail("stopped", Kind.WRONG, "no reading beyond 64 blocks for the disk", "a PONG came")
    t.do("hold", what="disk", on=False)
    link.expect("Pong", "resumed", but="Request", data=b"disk..??")


@case("FC-0045", "FC-036", nets=INLINE, roles=RESPONDER, features="share hold memory")
def memory_of_one_link(t: Trial) -> None:
    """Announces 16384 units with gaps, sends 64 REQUESTs while the subject's disk does not answer, and 300 PINGs
    while its carrier takes nothing (T12). All of it takes less than 2.4 MB of the subject's memory."""
    link = t.open(share=[WIDE.recipe])
    handle, _ = link.open_topic(WIDE)
    link.fence()
    t.do("hold", what="disk", on=True)
    t.do("hold", what="output", on=True)
    t.do("memory", on=True)
    for first in (0, 32768):
        spans = b"".join(unit.to_bytes(2, "big") * 2 for unit in range(first, first + 16384, 2))
        link.send(raw_frame(0x18, handle.to_bytes(2, "big") + (8192).to_bytes(2, "big") + spans))
    link.send(*(request(number, handle, number) for number in range(64)))
    link.send(*([ping()] * 300))
    found = t.do("memory", on=False)["bytes"]
    if found > 2_400_000:
        link.fail("memory", Kind.WRONG, "less than 2.4 MB", f"{found} bytes")
