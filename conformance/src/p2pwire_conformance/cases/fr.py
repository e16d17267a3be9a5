"""FR: frames and their form; EX: extensions and GREASE."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from p2pwire_conformance.case import INITIATOR, RESPONDER, add, case
from p2pwire_conformance.content import blob
from p2pwire_conformance.keys import verify
from p2pwire_conformance.link import Link, hello, parameter, ping, unknown
from p2pwire_conformance.message import Change, Malformed, Tree, decode, frame, long, raw_frame, short
from p2pwire_conformance.protocol import Layout, constant, frame_type
from p2pwire_conformance.trial import UNIX_TIME, Trial
from p2pwire_conformance.verdict import Kind

# --- order ---


@case("FR-0001", "FR-003")
def first_frame_ping(t: Trial) -> None:
    """Sends a PING before HELLO. The subject closes with PROTOCOL."""
    link = t.handshaken()
    link.send(ping())
    link.expect_hello()
    link.expect_close("PROTOCOL", blame=frame_type("PING"))


@case("FR-0002", "FR-003 FR-007")
def first_frame_unknown(t: Trial) -> None:
    """Sends an unknown odd frame before HELLO. The subject closes with PROTOCOL, since the order comes first."""
    link = t.handshaken()
    link.send(unknown(0x0B, b"grease"))
    link.expect_hello()
    link.expect_close("PROTOCOL")


@case("FR-0003", "FR-003 GN-009")
def first_frame_unknown_even(t: Trial) -> None:
    """Sends an unknown even frame before HELLO. The subject closes with PROTOCOL and not with UNKNOWN_FRAME."""
    link = t.handshaken()
    link.send(unknown(0x7E))
    link.expect_hello()
    link.expect_close("PROTOCOL")


@case("FR-0004", "FR-005")
def second_hello(t: Trial) -> None:
    """Sends HELLO twice. The subject closes with PROTOCOL."""
    link = t.open()
    link.send(hello())
    link.expect_close("PROTOCOL", blame=0)


@case("FR-0005", "FR-002 FR-012")
def hello_and_more(t: Trial) -> None:
    """Sends HELLO and a PING in one record, before it has seen the subject's HELLO. The subject sends HELLO first."""
    link = t.handshaken()
    link.send(hello(), ping())
    link.expect_hello()
    link.expect("Pong")


@case("FR-0006", "FR-026 FR-020 GN-005 GN-020 GN-021", features="record")
def own_record(t: Trial) -> None:
    """Reads the HELLO of a subject that listens. Its own peer record is there, well-formed, signed and current."""
    t.start(listening=["127.0.0.1:7001"], unix_time=UNIX_TIME)
    link = t.connect()
    link.shake()
    found = {one["tag"]: one["value"] for one in link.hello()["parameters"]}
    if 2 not in found:
        link.fail("own-record", Kind.WRONG, "an own record in HELLO", f"tags {sorted(found)} came")
    try:
        record = decode("PeerRecord", found[2])
    except Malformed as error:
        link.fail("own-record", Kind.WRONG, "a well-formed record", str(error))
    if record["flags"]:
        link.fail("reserved-bits", Kind.WRONG, "reserved bits that are 0", f"flags {record['flags']:#04x} came")
    if record["identity"] != link.peer:
        link.fail("own-record", Kind.WRONG, "a record of the link's identity", record["identity"].hex())
    if not verify(link.peer, "peer-record", found[2][:-64], record["signature"]):
        link.fail("record-signature", Kind.WRONG, "a signature that verifies", "it does not")
    if abs(record["sequence"] - UNIX_TIME) > 600:
        link.fail("record-time", Kind.WRONG, f"a seq near {UNIX_TIME}", str(record["sequence"]))


@case("FR-0007", "FR-024", roles=INITIATOR, features="share joins")
def one_handle_before_hello(t: Trial) -> None:
    """Waits with its HELLO, where the subject shares three objects and joins them unasked. The subject has joined at
    most one before HELLO, and joins the others after it."""
    t.start(share=[blob(1000 + number).recipe for number in range(3)])
    link = t.connect()
    link.shake()
    link.expect_hello()
    link.need(max_handles=8)  # one that takes few topics may join fewer itself
    early = _joins(link)
    if early > 1:
        link.fail("handles-before-hello", Kind.WRONG, "at most 1 JOIN before the other side's HELLO", f"{early} came")
    link.send(hello())
    for _ in range(3):  # it may join after the answer to a PING
        link.fence()
    if (late := sum(one.name == "Join" for one in link.noticed)) != 3:
        link.fail("handles-after-hello", Kind.SILENT_DROP, "3 JOINs in all", f"{late} came")


def _joins(link: Link) -> int:
    """How many JOINs come before a while without any frame; time costs it on a real clock."""
    patience = 0.0 if link.carrier.exact else 0.3
    while (found := link.next_frame(patience)) is not None:
        if found.name == "Close":
            link.fail("goes-on", Kind.REJECTED, "the link to go on", str(found))
        link.noticed.append(found)
    return sum(one.name == "Join" for one in link.noticed)


@case("FR-0008", "FR-025 TP-028", roles=RESPONDER, features="share limits")
def limits_from_the_first_frame(t: Trial) -> None:
    """Sends HELLO and two JOINs in one record, before it can have read HELLO of a subject that takes one topic. The
    subject closes with LIMIT on the second."""
    one, other = blob(1000), blob(1001)
    link = t.handshaken(share=[one.recipe, other.recipe], limits={"max_handles": 1})
    link.send(hello(), link.join_frame(one), link.join_frame(other))
    link.expect_hello()
    link.expect("Join", topic=one.topic)
    link.expect_close("LIMIT")


@case("FR-0210", "GN-001")
def byte_order(t: Trial) -> None:
    """Joins unknown topics under the handles 1, 256 and 0x0102, and sends REQUESTs with ids that read otherwise from
    behind. The subject repeats the same numbers in REFUSE and REJECT."""
    link = t.open()
    for handle, id in ((1, 0x01000000), (256, 0x00000001), (0x0102, 0x01020304)):
        link.send(Tree("Join", handle=handle, topic=b"nobody knows this topic at all.."))
        link.expect("Refuse", "byte-order", handle=handle)
        link.send(Tree("Request", id=id, handle=handle))
        link.expect("Reject", "byte-order", id=id, code=6)


@case("FR-0211", "GN-003 GN-007")
def malformed_and_ignored(t: Trial) -> None:
    """Sends a PING with a byte too many. The subject closes with PROTOCOL, and has not answered it."""
    link = t.open()
    link.send(raw_frame(frame_type("PING"), b"123456789"))
    link.expect_close("PROTOCOL", never="Pong")


@case("FR-0212", "GN-003 GN-007", roles=RESPONDER, features="share")
def malformed_join(t: Trial) -> None:
    """Joins a topic that the subject shares, with the right cap and a byte too many. The subject closes with PROTOCOL,
    and has neither joined nor told anything."""
    shared = blob(1000)
    link = t.open(share=[shared.recipe])
    link.send(raw_frame(frame_type("JOIN"), link.join_frame(shared).encode() + b"\0"))
    link.expect_close("PROTOCOL", never="Join")


@case("FR-0213", "GN-005 GN-006", features="share")
def reserved_bits(t: Trial) -> None:
    """Joins a topic with all reserved bits of the flags set. The subject joins too and goes on; its own reserved bits
    are 0."""
    shared = blob(1000)
    link = t.open(share=[shared.recipe])
    link.send(link.join_frame(shared, flags=0xF8))
    joined = link.topic_joined(shared)
    link.expect_open(but="Join")
    if joined["flags"] & 0xF8:
        link.fail("reserved-bits", Kind.WRONG, "reserved bits that are 0", f"flags {joined['flags']:#04x} came")


# --- unknown types ---

for _type in (0x08, 0x0E, 0x28, 0x34, 0x7E, 0x80, 0xFE):

    def _even(t: Trial, kind: int = _type) -> None:
        link = t.open()
        link.send(unknown(kind, b"what is this"))
        link.expect_close("UNKNOWN_FRAME", blame=kind)

    _title = (
        f"Sends a frame of the unknown even type {_type:#04x}. The subject closes with UNKNOWN_FRAME and blames it."
    )
    add(f"FR-{400 + _type:04d}", "FR-006 EX-008 CL-004", _title, _even)

for _type in (0x03, 0x0B, 0x2B, 0x4B, 0x6B, 0x7F, 0x81, 0xFD, 0xFF):

    def _odd(t: Trial, kind: int = _type) -> None:
        link = t.open()
        link.send(
            unknown(kind), unknown(kind, b"\x02\0\x03" * 9), unknown(kind, bytes(constant("MAX_FRAME_BODY") - 30000))
        )
        link.expect_open()

    _title = f"Sends frames of the unknown odd type {_type:#04x}, empty and long ones. The subject goes on."
    add(f"FR-{400 + _type:04d}", "FR-007 EX-008 GN-008", _title, _odd)

# --- the form of each frame ---

SAMPLES: Final[Mapping[str, Tree]] = {
    "Hello": hello(),
    "Close": Tree("Close", code=0, frame_type=0xFF),
    "Ping": ping(),
    "Pong": Tree("Pong", data=bytes(8)),
    "Join": Tree("Join", handle=9),
    "Refuse": Tree("Refuse", handle=9),
    "Leave": Tree("Leave", handle=9),
    "Object": Tree("Object", handle=9, length=1),
    "Have": Tree("Have", handle=9, spans=[Tree("Span", first=0, last=1), Tree("Span", first=2, last=2)]),
    "Lost": Tree("Lost", handle=9, spans=[Tree("Span", first=0, last=1), Tree("Span", first=2, last=2)]),
    "Interest": Tree("Interest", handle=9),
    "Credit": Tree("Credit", blocks=64),
    "Suggest": Tree("Suggest", handle=9, first=1, last=1),
    "Request": Tree("Request", id=1, handle=9),
    "Data": Tree("Data", id=1, proof=[bytes(32)], data=b"x"),
    "Reject": Tree("Reject", id=1, code=1),
    "Cancel": Tree("Cancel", id=1),
    "Peers": Tree("Peers", handle=9, dropped=[bytes(32)]),
    "GetPeers": Tree("GetPeers", handle=9, max=1),
}
"""A well-formed frame of each type that has a form. Handle 9 is one that has ended, so that nothing else is wrong."""


def end_handle_9(link: Link) -> None:
    """Use handle 9 in a JOIN of an unknown topic, which is refused."""
    link.send(Tree("Join", handle=9, topic=b"nobody knows this topic at all.."))
    link.expect("Refuse", handle=9)


def _spans(*pairs: tuple[int, int]) -> list[Tree]:
    return [Tree("Span", first=first, last=last) for first, last in pairs]


def _shared(record: bytes) -> Tree:
    return Tree("SharedRecord", record=record)


_SPECIAL: Final[Mapping[str, Mapping[str, Tree]]] = {
    "Hello": {
        "tags in descending order": hello(parameters=[parameter(9, b""), parameter(8, b"")]),
        "one tag twice": hello(parameters=[parameter(9, b""), parameter(9, b"")]),
        "an agent of 65 bytes": hello(parameters=[parameter(1, b"a" * 65)]),
        "an escape sequence in the agent": hello(parameters=[parameter(1, b"\x1b[2J")]),
        "a C1 control character in the agent": hello(parameters=[parameter(1, "\u0085".encode())]),
        "an agent that is no UTF-8": hello(parameters=[parameter(1, b"\xff\xfe")]),
        "an observed IPv4 address of 5 bytes": hello(parameters=[parameter(3, b"\x01\x05" + bytes(5))]),
        "an observed address with bytes after it": hello(parameters=[parameter(3, b"\x01\x06" + bytes(7))]),
        "a parameter that goes past the frame": hello(parameters=[parameter(9, b"x").with_(value_length=2)]),
    },
    "Close": {
        "a detail of 257 bytes": Tree("Close", detail=b"a" * 257),
        "a control character in the detail": Tree("Close", detail=b"\n"),
        "a detail that is no UTF-8": Tree("Close", detail=b"\xc0\x80"),
    },
    "Have": {
        "no spans": Tree("Have", handle=9),
        "a span that ends before it begins": Tree("Have", handle=9, spans=_spans((3, 2))),
        "spans in descending order": Tree("Have", handle=9, spans=_spans((5, 6), (1, 2))),
        "spans that overlap": Tree("Have", handle=9, spans=_spans((1, 3), (3, 4))),
        "a count one too high": Tree("Have", handle=9, spans=_spans((1, 3))).with_(spans_count=2),
        "a count one too low": Tree("Have", handle=9, spans=_spans((1, 3), (5, 5))).with_(spans_count=1),
    },
    "Lost": {
        "no spans": Tree("Lost", handle=9),
        "spans in descending order": Tree("Lost", handle=9, spans=_spans((5, 6), (1, 2))),
        "spans that overlap": Tree("Lost", handle=9, spans=_spans((1, 3), (3, 4))),
    },
    "Suggest": {"a span that ends before it begins": Tree("Suggest", handle=9, first=2, last=1)},
    "Request": {
        "level 7": Tree("Request", id=1, handle=9, level=7),
        "a block that is no multiple of 2^level": Tree("Request", id=1, handle=9, block=2, level=2),
    },
    "Data": {
        "33 hashes": Tree("Data", id=1, proof=[bytes(32)] * 33, data=b"x"),
        "no data": Tree("Data", id=1),
        "16385 bytes of data": Tree("Data", id=1, data=bytes(16385)),
        "a hash count that goes past the frame": Tree("Data", id=1, data=b"x").with_(proof_count=1),
    },
    "Reject": {
        "code 0": Tree("Reject", id=1, code=0),
        "code 7": Tree("Reject", id=1, code=7),
        "a retry with code 1": Tree("Reject", id=1, code=1, retry=5),
        "a retry with code 6": Tree("Reject", id=1, code=6, retry=1),
    },
    "Peers": {
        "both lists empty": Tree("Peers", handle=9),
        "33 records": Tree("Peers", handle=9, added=[_shared(b"x")] * 33),
        "65 dropped identities": Tree("Peers", handle=9, dropped=[bytes(32)] * 65),
        "an empty record": Tree("Peers", handle=9, added=[_shared(b"")]),
        "a record of 513 bytes": Tree("Peers", handle=9, added=[_shared(bytes(513))]),
        "a record that goes past the frame": Tree("Peers", handle=9, added=[_shared(b"x").with_(record_length=9)]),
    },
}


def _ranges(layout: Layout, sample: Tree) -> Iterator[tuple[str, Tree]]:
    """A value below and one above the range of each integer that has one."""
    for known in layout.fields:
        full = (1 << 8 * known.width) - 1 if known.width else 0
        if not known.width or known.prefix_of:
            continue
        if known.minimum > 0:
            yield f"{known.name} {known.minimum - 1}", sample.with_(**{known.name: known.minimum - 1})
        if known.maximum < full:
            yield f"{known.name} {known.maximum + 1}", sample.with_(**{known.name: known.maximum + 1})


def malformed_closes(name: str, tree: Tree | bytes) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.handshaken() if name == "Hello" else t.open()
        if name != "Hello":
            end_handle_9(link)
        link.send(tree)
        if name == "Hello":
            link.expect_hello()
        link.expect_close("PROTOCOL", check="malformed")

    return run


def _sizes(sample: Tree) -> Iterator[tuple[str, Tree]]:
    changes: list[Change] = []
    layout = sample.layout
    if layout.minimum_size == layout.maximum_size or not layout.fields[-1].greedy:
        changes.append(long(1))
    if layout.minimum_size:
        changes.append(short(1))
    last = layout.fields[-1].name
    for change in changes:
        yield f"a body {change.text}", sample.with_(**{last: change})


def _variants(name: str, sample: Tree) -> list[tuple[str, bytes]]:
    """Malformed frames of a type, in an order that never changes: new ones are added at the end."""
    layout = sample.layout
    found = [("an empty body", raw_frame(layout.frame_type or 0, b""))] if layout.minimum_size else []
    trees = list(_sizes(sample)) if name not in ("Hello", "Close", "Data") else []
    trees += _ranges(layout, sample)
    known = {text for text, _ in trees}
    trees += [(text, tree) for text, tree in _SPECIAL.get(name, {}).items() if text not in known]
    return found + [(text, frame(tree)) for text, tree in trees]


_MORE: Final[Mapping[str, str]] = {
    "body": "FR-009",
    "UTF-8": "GN-010",
    "control": "GN-012",
    "escape": "GN-012",
    "tag": "FR-021",
}
"""Words of a fault -> another requirement that it breaks."""
_ATTACKS: Final[Mapping[str, str]] = {
    "an escape sequence in the agent": " (T20)",
    "a control character in the detail": " (T20)",
    "a count one too high": " (T10)",
    "a hash count that goes past the frame": " (T10)",
}

for _name, _sample in SAMPLES.items():
    _layout = _sample.layout
    for _number, (_what, _bytes) in enumerate(_variants(_name, _sample)):
        _id = f"FR-{1000 + 40 * (_layout.frame_type or 0) + _number:04d}"
        _cited = " ".join(("GN-007", "FR-011", *(id for word, id in _MORE.items() if word in _what)))
        _cited += " FR-023" if _name == "Hello" and ("agent" in _what or "observed" in _what) else ""
        _title = f"Sends {_name.upper()} with {_what}, which is malformed{_ATTACKS.get(_what, '')}."
        _title += " The subject closes with PROTOCOL."
        add(_id, _cited, _title, malformed_closes(_name, _bytes))


@case("FR-0200", "FR-010 TP-062 TP-063 KA-004 TR-066 FC-007")
def well_formed_frames(t: Trial) -> None:
    """Sends a well-formed frame of each type that may come at any time, on a handle that has ended where it names one.
    The subject ignores them, but for REQUEST, which it rejects with NOT_JOINED."""
    link = t.open()
    end_handle_9(link)
    others = {"Hello", "Close", "Ping", "Join", "Data", "Reject"}
    link.send(*(tree for name, tree in SAMPLES.items() if name not in others))
    link.expect("Reject", id=1, code=6)
    link.expect_open()
