"""FR: frames and their form; EX: extensions and GREASE."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from p2pwire_conformance.case import INITIATOR, INLINE, RESPONDER, add, case
from p2pwire_conformance.content import blob
from p2pwire_conformance.keys import Identity, verify
from p2pwire_conformance.link import Link, hello, parameter, ping, unknown
from p2pwire_conformance.message import Change, Malformed, Tree, decode, frame, long, raw_frame, short
from p2pwire_conformance.protocol import Layout, constant, frame_type
from p2pwire_conformance.records import address, peer_record
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


def _malformed(name: str, tree: Tree | bytes) -> Callable[[Trial], None]:
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
        add(_id, _cited, _title, _malformed(_name, _bytes))


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


# --- HELLO ---


def _accepted_hello(tree: Tree) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.handshaken()
        link.send(tree)
        link.expect_hello()
        link.expect_open()

    return run


def _record_of(name: str) -> bytes:
    return peer_record(Identity(name), UNIX_TIME, addresses=[address("127.0.0.1", 7000)])


_HELLOS: Final[Mapping[str, tuple[str, str, Tree]]] = {
    "FR-0300": ("GN-008", "the smallest values", hello(max_requests=1, max_handles=1, idle=30)),
    "FR-0301": ("GN-008", "the largest values", hello(max_requests=1024, max_handles=1024, idle=600)),
    "FR-0302": ("FR-022", "a parameter of an unknown tag", hello(parameters=[parameter(200, b"what?")])),
    "FR-0303": ("FR-022 EX-021", "a parameter of a GREASE tag", hello(parameters=[parameter(0x0B, b"x" * 300)])),
    "FR-0304": ("GN-008", "an empty agent", hello(parameters=[parameter(1, b"")])),
    "FR-0305": ("GN-008", "an agent of 64 bytes", hello(parameters=[parameter(1, "é".encode() * 32)])),
    "FR-0306": ("FR-028 PX-020", "an own record that is no record", hello(parameters=[parameter(2, b"garbage")])),
    "FR-0307": ("FR-027", "a record of somebody else", hello(parameters=[parameter(2, _record_of("somebody"))])),
    "FR-0308": (
        "GN-008",
        "an observed address of an unknown type",
        hello(parameters=[parameter(3, b"\xc8\x03abc")]),
    ),
    "FR-0309": (
        "GN-008",
        "a body of the largest size",
        hello(parameters=[parameter(200, bytes(constant("MAX_FRAME_BODY") - 9))]),
    ),
}
for _id, (_cited, _what, _tree) in _HELLOS.items():
    add(_id, _cited, f"Sends HELLO with {_what}. The subject goes on.", _accepted_hello(_tree))

_AGENTS: Final = ("mallory/6.6", "p2pwire-python", "p2pwire-conformance", "curl/8.0", "ünïcode ☃")


@case("FR-0311", "FR-032")
def any_agent(t: Trial) -> None:
    """Calls itself by one of five names, from one run to the next. The subject goes on and answers in the same way."""
    for name in _AGENTS:
        t.start()
        link = t.connect()
        link.shake()
        link.hello(parameters=[parameter(1, name.encode())])
        link.expect_open()
        link.carrier.close()


def _not_kept(record: Callable[[Link], bytes]) -> Callable[[Trial], None]:
    """A record in HELLO that must not count, and one that does."""

    def run(t: Trial) -> None:
        t.start(unix_time=UNIX_TIME)
        first = t.connect("first")
        first.shake()
        first.hello(parameters=[parameter(2, record(first))])
        first.expect_open()
        if kept := t.do("count")["records"]:
            first.fail("records", Kind.NOT_REJECTED, "no record kept", f"{kept} are")
        second = t.stranger("second", "127.0.0.1:7001")
        second.shake()
        good = peer_record(second.identity, UNIX_TIME, addresses=[address("127.0.0.1", 7001)])
        second.hello(parameters=[parameter(2, good)])
        second.expect_open()
        if (kept := t.do("count")["records"]) != 1:
            second.fail("records", Kind.WRONG, "the record of the second peer kept", f"{kept} are")

    return run


def _spoiled_record(link: Link) -> bytes:
    good = peer_record(link.identity, UNIX_TIME, addresses=[address("127.0.0.1", 7800)])
    return good[:-1] + bytes([good[-1] ^ 1])


_title = "Sends a record {} in HELLO. The subject goes on and does not keep it, but keeps that of another peer."
add(
    "FR-0310",
    "FR-027",
    _title.format("of somebody else"),
    _not_kept(lambda link: _record_of("somebody")),
    roles=RESPONDER,
    nets=INLINE,
    features="record links count",
)
add(
    "FR-0312",
    "FR-028",
    _title.format("with a wrong signature"),
    _not_kept(_spoiled_record),
    roles=RESPONDER,
    nets=INLINE,
    features="record links count",
)

# --- extensions ---


def entry(name: bytes, base: int = 0x80, count: int = 1) -> Tree:
    """One extension of HELLO."""
    return Tree("Extension", name=name, base=base, count=count)


def _listing(*entries: Tree, trail: bytes = b"") -> Tree:
    return hello(parameters=[parameter(4, b"".join(one.encode() for one in entries) + trail)])


_BAD_LISTS: Final[Mapping[str, tuple[str, Tree]]] = {
    "EX-0001": ("25 extensions", _listing(*(entry(b"x/%d" % n, 0x80 + n) for n in range(25)))),
    "EX-0002": ("a name twice", _listing(entry(b"x/1"), entry(b"x/1", 0x90))),
    "EX-0003": ("ranges that overlap", _listing(entry(b"x/1", 0x80, 3), entry(b"y/1", 0x82))),
    "EX-0004": ("a range that ends beyond 0xFE", _listing(entry(b"x/1", 0xFE, 2))),
    "EX-0005": ("a base below 0x80", _listing(entry(b"x/1", 0x7E))),
    "EX-0006": ("a base of 0xFF", _listing(entry(b"x/1", 0xFF))),
    "EX-0007": ("a count of 0", _listing(entry(b"x/1", 0x80, 0))),
    "EX-0008": ("a count of 17", _listing(entry(b"x/1", 0x80, 17))),
    "EX-0009": ("an empty name", _listing(entry(b""))),
    "EX-0010": ("a name of 33 characters", _listing(entry(b"x" * 33))),
    "EX-0011": ("a capital letter in a name", _listing(entry(b"X/1"))),
    "EX-0012": ("params that go past the parameter", _listing(entry(b"x/1").with_(params_length=1))),
    "EX-0013": ("a byte after the last entry", _listing(entry(b"x/1"), trail=b"\x01")),
}
for _id, (_what, _tree) in _BAD_LISTS.items():
    _title = f"Lists extensions in HELLO with {_what}. The subject closes with PROTOCOL."
    add(_id, "EX-004 FR-023", _title, _malformed("Hello", _tree))

_GOOD_LISTS: Final[Mapping[str, tuple[str, str, Tree]]] = {
    "EX-0020": ("EX-009", "24 unknown extensions", _listing(*(entry(b"x/%d" % n, 0x80 + n) for n in range(24)))),
    "EX-0021": ("EX-009 EX-021", "a GREASE name", _listing(entry(b"grease/anything"))),
    "EX-0022": ("EX-009", "the largest range at the end", _listing(entry(b"x/1", 0xEF, 16))),
    "EX-0023": ("EX-009", "adjacent ranges", _listing(entry(b"x/1", 0x80, 2), entry(b"y/1", 0x82, 2))),
    "EX-0024": ("EX-009", "no entries", _listing()),
}
for _id, (_cited, _what, _tree) in _GOOD_LISTS.items():
    add(_id, _cited, f"Lists extensions in HELLO: {_what}. The subject goes on.", _accepted_hello(_tree))

_OWN: Final = {"extensions": [{"name": "conformance/1", "base": 0xA0, "count": 2}]}


def _with_extension(t: Trial, *, agreed: bool) -> Link:
    t.start(**_OWN)
    link = t.connect()
    link.shake()
    link.send(_listing(entry(b"conformance/1", 0x90, 4)) if agreed else hello())
    link.expect_hello()
    return link


@case("EX-0030", "EX-007 EX-008", features="extensions")
def agreed_extension(t: Trial) -> None:
    """Agrees on an extension to which the subject gave two types, and sends the even one. The subject takes it."""
    link = _with_extension(t, agreed=True)
    link.send(unknown(0xA0, b"a frame of the extension"))
    link.expect_open()


@case("EX-0031", "EX-008 FR-006", features="extensions")
def beyond_the_extension(t: Trial) -> None:
    """Agrees on an extension of two types from 0xA0 on, and sends 0xA2. The subject closes with UNKNOWN_FRAME."""
    link = _with_extension(t, agreed=True)
    link.send(unknown(0xA2))
    link.expect_close("UNKNOWN_FRAME")


@case("EX-0032", "EX-008 FR-006", features="extensions")
def extension_not_agreed(t: Trial) -> None:
    """Does not list the subject's extension, and sends its even type. The subject closes with UNKNOWN_FRAME."""
    link = _with_extension(t, agreed=False)
    link.send(unknown(0xA0))
    link.expect_close("UNKNOWN_FRAME")


@case("EX-0033", "EX-007 EX-008", features="extensions")
def own_number_of_the_extension(t: Trial) -> None:
    """Agrees on an extension, and sends the even type of its own range in place of the subject's. The subject closes
    with UNKNOWN_FRAME, for each side numbers for itself."""
    link = _with_extension(t, agreed=True)
    link.send(unknown(0x90))
    link.expect_close("UNKNOWN_FRAME")


@case("EX-0035", "EX-001 EX-002 EX-003", features="extensions")
def own_list(t: Trial) -> None:
    """Reads the HELLO of a subject that understands two extensions. It lists both under the numbers that it was given,
    no name twice, and at most 24 whose ranges are disjoint."""
    wanted = [("conformance/1", 0xA0, 2), ("conformance/2", 0xB0, 16)]
    t.start(extensions=[{"name": name, "base": base, "count": count} for name, base, count in wanted])
    link = t.connect()
    link.shake()
    values = [one["value"] for one in link.hello()["parameters"] if one["tag"] == 4]
    listed = decode("Extensions", values[0])["entries"] if values else []
    found = [(one["name"].decode(), one["base"], one["count"]) for one in listed]
    if not set(wanted) <= set(found):  # it may have others of its own
        link.fail("extensions", Kind.WRONG, f"{wanted}", f"{found} came")


@case("EX-0036", "EX-011 GN-007", features="extensions")
def extensions_weaken_nothing(t: Trial) -> None:
    """Agrees on an extension, and sends a malformed PING. The subject closes with PROTOCOL."""
    link = _with_extension(t, agreed=True)
    link.expect_open()
    link.send(ping(b"short"))
    link.expect_close("PROTOCOL", blame=frame_type("PING"))


@case("EX-0034", "EX-020 FR-040 FR-041", roles=RESPONDER)
def grease_everywhere(t: Trial) -> None:
    """Sends GREASE frames and PAD between PINGs (T30). The subject answers all PINGs, in order, and nothing else."""
    link = t.open()
    for number in range(8):
        kinds = constant("GREASE_FRAMES")
        link.send(unknown(kinds[number % 4], bytes(number)), ping(bytes([number] * 8)), frame(Tree("Pad", data=b"?")))
        link.expect("Pong", data=bytes([number] * 8))
    link.expect_open()
