"""CL: closing, with CLOSE and without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from p2pwire_conformance.carrier import Inline
from p2pwire_conformance.case import INLINE, RESPONDER, TCP, add, case
from p2pwire_conformance.content import BLOCK, Object, blob
from p2pwire_conformance.keys import leaks
from p2pwire_conformance.link import Link, close, ping, unknown
from p2pwire_conformance.message import Tree, frame
from p2pwire_conformance.protocol import close_code, protocol
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind


def _received(code: int, *, established: bool = True) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open() if established else t.handshaken()
        link.send(close(code, detail="a sentence"))
        link.expect_dropped("close-not-answered")

    return run


for _name, _code in protocol().enumerations["CloseCode"].items():
    _title = f"Sends CLOSE {_name}. The subject does not answer it and closes the carrier."
    add(f"CL-{_code:04d}", "CL-030 CL-031", _title, _received(_code))
for _number, _code in enumerate((15, 0x7FFF, 0x8000, 0xFFFF, 0x0A0A, 0xFAFA)):
    _title = f"Sends CLOSE with the unknown code {_code:#06x}. The subject closes the carrier like for any other."
    add(f"CL-002{_number}", "CL-006 CL-031", _title, _received(_code))
add(
    "CL-0026",
    "FR-002 CL-030 CL-031",
    "Sends CLOSE in place of HELLO. The subject does not answer it and closes the carrier.",
    _received(0, established=False),
)


def _told(code: int, due: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open()
        link.send(close(code))
        link.expect_dropped("close-not-answered")
        told = t.event("closed")
        if (told["code"], told["by_peer"], told["truncated"]) != (due, True, False):
            link.fail("told", Kind.WRONG, f"code {due}, by_peer and not truncated", str(told))

    return run


for _number, (_code, _due) in enumerate(((0, 0), (5, 5), (13, 13), (99, 1), (0xFFFF, 1))):
    _title = f"Sends CLOSE with code {_code}. The subject tells its application code {_due}, and no truncation."
    add(f"CL-003{_number}", "CL-006 CL-041 CL-043", _title, _told(_code, _due), features="events")


@case("CL-0040", "CL-040 CL-043", features="events")
def truncation(t: Trial) -> None:
    """Ends the stream without CLOSE, at a record's end (T7). The subject tells its application of a truncation."""
    link = t.open()
    link.expect_open()
    link.finish()
    link.expect_dropped()
    told = t.event("closed")
    if not told["truncated"]:
        link.fail("told", Kind.WRONG, "a truncation", str(told))


@case("CL-0041", "CL-040", features="events")
def truncated_record(t: Trial) -> None:
    """Ends the stream within a record (T7). The subject tells its application of a truncation."""
    link = t.open()
    link.send_bytes(link.seal(frame(ping()))[:-1], "a record without its last byte")
    link.finish()
    link.expect_dropped()
    told = t.event("closed")
    if not told["truncated"]:
        link.fail("told", Kind.WRONG, "a truncation", str(told))


@case("CL-0042", "CL-041", features="events")
def own_close_is_no_truncation(t: Trial) -> None:
    """Makes the subject send CLOSE, and ends the stream. It tells its application of no truncation."""
    link = t.open()
    link.send(unknown(0x7E))
    link.expect_close("UNKNOWN_FRAME")
    link.finish()
    link.expect_end()
    told = t.event("closed")
    if told["truncated"] or told["by_peer"] or told["code"] != close_code("UNKNOWN_FRAME"):
        link.fail("told", Kind.WRONG, "UNKNOWN_FRAME, not by_peer, not truncated", str(told))


_BAD: Final = unknown(0x7E)


@case("CL-0050", "CL-001")
def nothing_after_close(t: Trial) -> None:
    """Sends an unknown even frame with PINGs before and after it in one record. The subject answers those before it,
    sends CLOSE, and not a byte more."""
    link = t.open()
    link.send(ping(b"before!!"), _BAD, *(ping(b"after!!!") for _ in range(20)))
    link.expect("Pong", data=b"before!!")
    link.expect_close("UNKNOWN_FRAME")
    link.finish()
    link.expect_end("nothing-after-close")


@case("CL-0051", "CL-001 CL-010")
def records_after_a_fault(t: Trial) -> None:
    """Sends an unknown even frame, and then 50 records with PINGs in the same piece. The subject sends CLOSE and not a
    byte more."""
    link = t.open()
    link.send_bytes(link.seal(_BAD) + b"".join(link.seal(frame(ping())) for _ in range(50)), "51 records")
    link.expect_close("UNKNOWN_FRAME")
    link.finish()
    link.expect_end("nothing-after-close")


@case("CL-0052", "CL-002")
def frames_after_close(t: Trial) -> None:
    """Sends CLOSE with a PING and an unknown even frame after it, in the same record and in another. The subject
    answers nothing."""
    link = t.open()
    link.send_bytes(link.seal(frame(close()) + frame(ping()) + _BAD) + link.seal(frame(ping())), "CLOSE and more")
    link.expect_dropped("close-not-answered")


@case("CL-0053", "CL-010 CL-020", nets=TCP)
def lingers(t: Trial) -> None:
    """Sends an unknown even frame and then 4 MiB of bytes before it reads. CLOSE arrives all the same: the subject
    reads and discards, and sends no reset that would destroy it."""
    link = t.open()
    link.send(_BAD)
    link.send_bytes(bytes(4 << 20), "4 MiB")
    link.expect_close("UNKNOWN_FRAME")
    link.finish()
    link.expect_end()


@case("CL-0054", "CL-010 CL-020", nets=INLINE)
def drains_for_5_seconds(t: Trial) -> None:
    """Makes the subject send CLOSE, and neither sends nor ends the stream. It keeps the carrier for 5 s, and closes it
    then."""
    link = t.open()
    link.send(_BAD)
    link.expect_close("UNKNOWN_FRAME")
    carrier = link.carrier
    assert isinstance(carrier, Inline)
    t.tick(link, 4.9)
    if carrier.closed:
        link.fail("drain-time", Kind.WRONG, "the carrier to be read for 5 s", "it was closed before")
    t.tick(link, 0.2)
    if not carrier.closed:
        link.fail("drain-time", Kind.NOT_REJECTED, "the carrier to be closed after 5 s", "it is open")


@case("CL-0055", "CL-010 CL-020", nets=INLINE, roles=RESPONDER)
def drains_20_mib(t: Trial) -> None:
    """Makes the subject send CLOSE, and sends 20 MiB. It keeps the carrier until the last byte, and closes it then."""
    link = t.open()
    link.send(_BAD)
    link.expect_close("UNKNOWN_FRAME")
    carrier = link.carrier
    assert isinstance(carrier, Inline)
    total = protocol().constants["DRAIN_BYTES"]
    piece = bytes(1 << 18)
    for _ in range(total // len(piece) - 1):
        carrier.send(piece)
    carrier.send(piece[:-1])
    if carrier.closed:
        link.fail("drain-bytes", Kind.WRONG, "20 MiB to be read", "the carrier was closed before")
    carrier.send(b"\0")
    if not carrier.closed:
        link.fail("drain-bytes", Kind.NOT_REJECTED, "the carrier to be closed after 20 MiB", "it is open")


@case("CL-0056", "CL-020", nets=INLINE)
def closes_at_the_end(t: Trial) -> None:
    """Makes the subject send CLOSE, and ends the stream. It closes the carrier at once."""
    link = t.open()
    link.send(_BAD)
    link.expect_close("UNKNOWN_FRAME")
    carrier = link.carrier
    assert isinstance(carrier, Inline)
    link.finish()
    if not carrier.closed:
        link.fail("closes", Kind.NOT_REJECTED, "the carrier to be closed", "it is open")


@case("CL-0057", "CL-021", nets=INLINE)
def ends_its_direction(t: Trial) -> None:
    """Makes the subject send CLOSE. It ends its own direction at once."""
    link = t.open()
    link.send(_BAD)
    link.expect_close("UNKNOWN_FRAME")
    link.expect_end()


def _blamed(frames: tuple[Tree | bytes, ...], code: str, blame: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open()
        link.send(*frames)
        found = link.expect_close(code)
        if found["frame_type"] != blame:
            link.fail("close-blame", Kind.WRONG, f"frame_type {blame:#04x}", f"{found['frame_type']:#04x} came")

    return run


_BLAMES: Final[Mapping[str, tuple[tuple[Tree | bytes, ...], str, int]]] = {
    "CL-0060": ((unknown(0xFE),), "UNKNOWN_FRAME", 0xFE),
    "CL-0061": ((ping(b"short"),), "PROTOCOL", 0x04),
    "CL-0062": ((Tree("Interest", handle=3, on=1),), "PROTOCOL", 0x1C),
    "CL-0063": ((Tree("Data", id=4, data=b"x"),), "UNSOLICITED", 0x22),
    "CL-0064": ((Tree("Reject", id=4, code=1),), "UNSOLICITED", 0x24),
    "CL-0065": ((Tree("Credit", blocks=63),), "PROTOCOL", 0x1E),
}
for _id, (_frames, _close, _type) in _BLAMES.items():
    _title = (
        f"Sends a frame of type {_type:#04x} that is at fault. The subject closes with {_close} and blames that type."
    )
    add(_id, "CL-003 CL-004 GN-011", _title, _blamed(_frames, _close, _type))


@case("CL-0070", "CL-009 CL-011 CL-005")
def shutdown(t: Trial) -> None:
    """Has the subject close. It says SHUTDOWN or NONE, and blames no frame."""
    link = t.open()
    link.expect_open()
    t.running.do("close")
    if isinstance(link.carrier, Inline):
        t.tick(link, 0)
    found = link.expect_close("SHUTDOWN", "NONE")
    if found["frame_type"] != 0xFF:
        link.fail("close-blame", Kind.WRONG, "frame_type 0xff", f"{found['frame_type']:#04x} came")


@case("CL-0080", "CL-007", features="events")
def detail_is_text(t: Trial) -> None:
    """Sends CLOSE NONE with a detail that speaks of BAD_DATA, SHUTDOWN and PROTOCOL. The subject tells its application
    NONE."""
    link = t.open()
    link.send(close(0, detail="BAD_DATA: SHUTDOWN, code 2 PROTOCOL, truncated"))
    link.expect_dropped("close-not-answered")
    told = t.event("closed")
    if told["code"] or told["truncated"]:
        link.fail("told", Kind.WRONG, "code 0 and no truncation", str(told))


@case("CL-0081", "CL-008", features="fetch")
def detail_keeps_secrets(t: Trial) -> None:
    """Makes a subject that seeks an object send CLOSE. The detail has neither the object's id, nor its own key, nor
    names of this machine."""
    sought = blob(1000)
    for bad in (_BAD, frame(ping(b"short")), frame(Tree("Interest", handle=3, on=1))):
        t.start(fetch=[sought.oid.hex()])
        link = t.connect()
        link.shake()
        link.hello()
        link.send(bad)
        detail = link.expect_close("UNKNOWN_FRAME", "PROTOCOL")["detail"]
        if found := leaks(detail.decode(), t.subject_identity.seed, sought.oid):
            link.fail("detail", Kind.NOT_SILENT, "a detail without secrets and names", f"{found} is in {detail!r}")
        link.carrier.close()


@case("CL-0082", "CL-032", features="fetch events")
def frames_before_close(t: Trial) -> None:
    """Answers a REQUEST for the only block of a blob with DATA and CLOSE in one record. The subject has the blob."""
    sought = blob(1000)
    link = t.open(fetch=[sought.oid.hex()])
    handle, _ = link.open_topic(sought)
    link.send(Tree("Have", handle=handle, spans=[Tree("Span")]))
    asked = link.expect("Request")
    link.send(sought.main.data_frame(asked["id"], 0, 0), close())
    link.expect_dropped("close-not-answered")
    if not t.told("fetched"):
        link.fail("fetched", Kind.WRONG, "the object to be complete", "it is not")


@case("CL-0083", "CL-042", roles=RESPONDER, nets=INLINE, features="fetch links")
def content_survives_a_truncation(t: Trial) -> None:
    """Serves two of 40 blocks and ends the stream without CLOSE (T7). On another link the subject requests the others
    and not these two."""
    sought = blob(40 * BLOCK)
    t.start(fetch=[sought.oid.hex()])
    first = t.connect("first")
    first.shake()
    first.hello()
    served = _served(first, sought, 2)
    first.finish()
    first.expect_dropped()
    second = t.peer("second")
    again = _served(second, sought, 38) & served
    if again:
        second.fail("kept", Kind.WRONG, f"no REQUEST of the blocks {sorted(served)}", f"{sorted(again)} came again")


def _served(link: Link, sought: Object, most: int) -> set[int]:
    """Offer an object and serve so many of its blocks: the blocks served."""
    handle, _ = link.open_topic(sought)
    spans = [Tree("Span", first=0, last=sought.units - 1)]
    link.send(Tree("Credit", blocks=1 << 20), Tree("Have", handle=handle, spans=spans))
    served: set[int] = set()
    while len(served) < most:
        asked = link.expect("Request", "request")
        for block in range(asked["block"], min(asked["block"] + (1 << asked["level"]), sought.main.count)):
            if len(served) < most:
                link.send(sought.main.data_frame(asked["id"], asked["block"], block))
                served.add(block)
    link.fence()
    return served


@case("CL-0084", "CL-012", features="fails")
def own_fault(t: Trial) -> None:
    """Has the subject find a fault of its own. It says INTERNAL and blames no frame."""
    link = t.open()
    link.expect_open()
    t.running.do("fail")
    if isinstance(link.carrier, Inline):
        t.tick(link, 0)
    link.expect_close("INTERNAL", blame=0xFF)
