"""EN: records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from p2pwire_conformance.bugs import Bug
from p2pwire_conformance.carrier import Inline
from p2pwire_conformance.case import INLINE, RESPONDER, add, case
from p2pwire_conformance.link import REKEY, Link, close, ping, unknown
from p2pwire_conformance.message import Tree, frame
from p2pwire_conformance.protocol import constant
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import NotApplicable

_PING: Final = frame(ping())


def _dropped(bug: Bug) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open()
        link.expect_open()
        link.send(ping(), bug=bug)
        link.expect_dropped(never="Pong")

    return run


_BUGS: Final[Mapping[str, tuple[str, Bug]]] = {
    "EN-0001": ("EN-005 EN-006", Bug.BAD_TAG),
    "EN-0002": ("EN-005 EN-006", Bug.BAD_CIPHERTEXT),
    "EN-0003": ("EN-002 EN-005", Bug.SKIPPED_COUNTER),
    "EN-0004": ("EN-002 EN-005", Bug.REUSED_COUNTER),
    "EN-0005": ("HS-014 EN-005", Bug.OTHER_DIRECTION),
    "EN-0006": ("EN-005 EN-006", Bug.PLAINTEXT),
}
for _id, (_cited, _bug) in _BUGS.items():
    add(_id, _cited, f"Sends a PING and {_bug}. The subject ends the link without PONG and CLOSE.", _dropped(_bug))


@case("EN-0007", "EN-005 EN-002")
def replayed_record(t: Trial) -> None:
    """Sends one record twice. The subject answers its PING once and ends the link without CLOSE."""
    link = t.open()
    record = link.seal(_PING)
    link.send_bytes(record, "a record")
    link.expect("Pong")
    link.send_bytes(record, "the same record")
    link.expect_dropped(never="Pong")


@case("EN-0008", "EN-005 EN-002")
def reordered_records(t: Trial) -> None:
    """Sends two records in the wrong order. The subject ends the link without CLOSE."""
    link = t.open()
    one, other = link.seal(_PING), link.seal(_PING)
    link.send_bytes(other + one, "two records, the second first")
    link.expect_dropped()


@case("EN-0009", "EN-005")
def reflected_record(t: Trial) -> None:
    """Sends the subject's own first record back to it (T3). The subject ends the link without CLOSE."""
    link = t.handshaken()
    link.send(Tree("Hello", max_requests=1, max_handles=1, idle=150))
    size = link.read(2, "a record's length")
    record = size + link.read(int.from_bytes(size, "big"), "a record")
    link.send_bytes(record, "its own record")
    link.into.n += 1
    link.expect_dropped()


def _short_length(length: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open()
        link.send_bytes(length.to_bytes(2, "big"), f"a record length of {length}")
        link.expect_dropped()

    return run


for _number, _length in enumerate((0, 1, 16)):
    _title = f"Sends the record length {_length} and no more. The subject ends the link at once, without CLOSE."
    add(f"EN-001{_number}", "EN-004", _title, _short_length(_length))


def _left(plaintext: bytes) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open()
        link.send(plaintext)
        link.expect_close("PROTOCOL")

    return run


_LEFT: Final[Mapping[str, tuple[str, str, bytes]]] = {
    "EN-0020": ("EN-009", "one byte where a frame would begin", b"\x04"),
    "EN-0021": ("EN-009", "two bytes where a frame would begin", b"\x04\x00"),
    "EN-0022": ("EN-008", "a frame header whose body is not there", _PING[:3]),
    "EN-0023": ("EN-008", "a frame without its last byte", _PING[:-1]),
    "EN-0024": ("EN-008", "a PAD of length 65535 in a record of 3 bytes", b"\x01\xff\xff"),
    "EN-0025": ("EN-008", "an unknown odd frame that goes past its record", b"\x03\x00\x02x"),
}
for _id, (_cited, _what, _data) in _LEFT.items():
    add(_id, _cited, f"Sends a record with {_what}. The subject closes with PROTOCOL.", _left(_data))


def _after_ping(data: bytes) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open()
        link.send(ping(b"before!!"), data)
        link.expect("Pong", "frames-before", data=b"before!!")
        link.expect_close("PROTOCOL")

    return run


_title = "Sends a record with a PING and {}. The subject answers the PING, and then closes with PROTOCOL."
add("EN-0030", "EN-010 EN-009", _title.format("one byte more"), _after_ping(b"\0"))
add("EN-0031", "EN-010 EN-008", _title.format("a frame that goes past the record"), _after_ping(_PING[:-1]))
add("EN-0032", "EN-010 GN-007", _title.format("a malformed PING"), _after_ping(frame(ping(b"short"))))


@case("EN-0033", "EN-008 EN-007")
def frame_over_two_records(t: Trial) -> None:
    """Sends one PING in two records. The subject closes with PROTOCOL."""
    link = t.open()
    link.send_bytes(link.seal(_PING[:6]) + link.seal(_PING[6:]), "two records with half a frame each")
    link.expect_close("PROTOCOL")


@case("EN-0040", "EN-015 FR-001 KA-002 KA-005")
def coalesced_frames(t: Trial) -> None:
    """Sends 50 PINGs in one record. The subject answers all, in order."""
    link = t.open()
    data = [number.to_bytes(8, "big") for number in range(50)]
    link.send(*map(ping, data))
    for one in data:
        link.expect("Pong", data=one)


@case("EN-0041", "GN-002 EN-015")
def coalesced_records(t: Trial) -> None:
    """Sends 50 records in one piece. The subject reads all."""
    link = t.open()
    link.send_bytes(b"".join(link.seal(frame(ping(bytes([n] * 8)))) for n in range(50)), "50 records")
    for number in range(50):
        link.expect("Pong", data=bytes([number] * 8))


@case("EN-0042", "GN-002 EN-006 HS-008")
def record_in_pieces(t: Trial) -> None:
    """Sends records byte by byte. The subject reads them."""
    link = t.open()
    link.send_slowly(link.seal(_PING) + link.seal(frame(ping(b"another!"))))
    link.expect("Pong", data=b"12345678")
    link.expect("Pong", data=b"another!")


@case("EN-0043", "EN-015 FR-040")
def largest_record(t: Trial) -> None:
    """Sends a record of 65535 bytes, filled by one PAD, and one of 19 bytes, an empty PAD. The subject goes on."""
    link = t.open()
    link.send(Tree("Pad", data=bytes(constant("MAX_FRAME_BODY"))))
    link.send(Tree("Pad"))
    link.expect_open()


@case("EN-0044", "EN-015")
def records_of_many_sizes(t: Trial) -> None:
    """Sends records of 40 sizes, around powers of two. The subject goes on."""
    link = t.open()
    for bits in range(4, 14):
        for off in (-1, 0, 1, 2):
            link.send(Tree("Pad", data=bytes((1 << bits) + off - 19 if bits > 4 else 0)))
    link.expect_open()


@case("EN-0045", "EN-006", nets=INLINE)
def incomplete_record(t: Trial) -> None:
    """Sends a record of two frames, but for its last byte. The subject answers nothing before that byte."""
    link = t.open()
    record = link.seal(_PING + _PING)
    link.send_bytes(record[:-1])
    link.expect_nothing()
    link.send_bytes(record[-1:])
    link.expect("Pong")
    link.expect("Pong")


@case("EN-0046", "EN-001 EN-003 EN-007 EN-014 FR-004 FR-008")
def many_records(t: Trial) -> None:
    """Sends 20 PINGs and waits for each answer. The subject's records are numbered from 0 without a gap, not
    compressed, and have whole frames that a peer may send, at least one each."""
    link = t.open()
    for number in range(20):
        link.send(ping(bytes([number]) * 8))
        link.expect("Pong", data=bytes([number]) * 8)
    link.expect_open()


_AT_ONCE: Final = 450
"""counted frames for which half of the control budget's refill suffices within 9 s of virtual time."""


def _carried(t: Trial, link: Link, one: Tree, bug: Bug | None = None, *, each: bool = False) -> Iterator[int]:
    """65536 records of one small frame each, as fast as the control budget allows, and so many by now after each part.
    With `each` the subject has to say something after each record. The bug is the last one's."""
    assert isinstance(link.carrier, Inline)
    data = frame(one)
    while link.out.n < REKEY:
        left = min(_AT_ONCE, REKEY - link.out.n)
        sealed = [link.seal(data, bug if link.out.n == REKEY - 1 else None) for _ in range(left)]
        t.tick(link, 4.5)
        link.note("→", f"{left} records of a {one.name.upper()}")
        link.carrier.send(b"".join(sealed), len(sealed[0]) if each else 0)
        yield link.out.n


def _through_rekey(bug: Bug | None) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open()
        assert isinstance(link.carrier, Inline)
        for _ in _carried(t, link, Tree("Pad"), bug):
            if link.carrier.ended:
                break
        if bug is None:
            link.expect_open()
            return
        link.send(ping())
        link.expect_dropped(never="Pong")

    return run


add(
    "EN-0050",
    "EN-011 EN-012",
    "Sends 65536 records, replaces its key, and goes on with n (T28). The subject does the same.",
    _through_rekey(None),
    nets=INLINE,
)
add(
    "EN-0051",
    "EN-011",
    "Sends 65536 records and does not replace its key. The subject does, and ends the link without CLOSE.",
    _through_rekey(Bug.NO_REKEY),
    nets=INLINE,
    roles=RESPONDER,
)


@case("EN-0054", "EN-011 EN-012", nets=INLINE, roles=RESPONDER)
def subject_replaces_its_key(t: Trial) -> None:
    """Sends 65536 PINGs one by one. The subject answers each by a record, replaces its key after 65536 of these, and
    goes on with n (T28)."""
    link = t.open()
    for sent in _carried(t, link, ping(), each=True):
        link.skip_records()
        if link.into.n < sent - _AT_ONCE:
            raise NotApplicable("it answers several PINGs by one record")
    t.tick(link, 4.5)
    while link.into.n <= REKEY:
        link.fence()
    link.expect_open()


@case("EN-0052", "CL-001 CL-002")
def garbage_after_close(t: Trial) -> None:
    """Sends CLOSE and then bytes that are no record. The subject ends the link and says nothing."""
    link = t.open()
    link.send_bytes(link.seal(frame(close())) + b"\0\0 no record", "CLOSE and garbage")
    link.expect_dropped()


@case("EN-0053", "EN-010 FR-006")
def frames_before_a_fault(t: Trial) -> None:
    """Sends a PING, an unknown even frame and another PING in one record. The subject answers the first alone, and
    closes with UNKNOWN_FRAME."""
    link = t.open()
    link.send(ping(b"before!!"), unknown(0x7E), ping(b"after!!!"))
    link.expect("Pong", data=b"before!!")
    link.expect_close("UNKNOWN_FRAME")
    link.expect_end("nothing-after-close")
