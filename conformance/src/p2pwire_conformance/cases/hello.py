"""FR and EX: what HELLO says, and the frames of extensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from p2pwire_conformance.case import INLINE, RESPONDER, add, case
from p2pwire_conformance.cases.fr import malformed_closes
from p2pwire_conformance.keys import Identity
from p2pwire_conformance.link import Link, hello, parameter, ping, unknown
from p2pwire_conformance.message import Tree, decode, frame
from p2pwire_conformance.protocol import constant, frame_type
from p2pwire_conformance.records import address, peer_record
from p2pwire_conformance.trial import UNIX_TIME, Trial
from p2pwire_conformance.verdict import Kind

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
    add(_id, "EX-004 FR-023", _title, malformed_closes("Hello", _tree))

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
