"""VN: versions, suites, preambles, refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from p2pwire_conformance.carrier import Inline
from p2pwire_conformance.case import INITIATOR, INLINE, RESPONDER, add, case
from p2pwire_conformance.keys import psk_of
from p2pwire_conformance.link import Link, Plan
from p2pwire_conformance.message import Tree, duplicated, preamble, raw, short
from p2pwire_conformance.protocol import constant, is_grease16
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind, Untestable

SECRET: Final = b"sixteen and more random bytes"
GREASE: Final = 0x1A1A
OTHER_GREASE: Final = 0xFAFA
UNKNOWN: Final = 0x0100
"""A number that nobody has, and that is no GREASE."""


def _offers(plan: Plan) -> Callable[[Trial], None]:
    """The whole handshake, and a fence."""

    def run(t: Trial) -> None:
        link = t.handshaken(plan)
        link.hello()
        link.expect_open()

    return run


def _silent_offer(plan: Plan, *, cut: int | None = None) -> Callable[[Trial], None]:
    """An offer that the responder must not answer; of which only `cut` bytes are sent."""

    def run(t: Trial) -> None:
        link = t.connect()
        link.send_bytes(link.flight_1(plan)[:cut], "offer")
        link.expect_silence()

    return run


def _refused(plan: Plan, reason: str) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.connect()
        link.send_offer(plan)
        _judge_lists(link, link.read_refusal(reason))

    return run


def _judge_lists(link: Link, refusal: Tree) -> None:
    if 1 not in refusal["versions"] or 1 not in refusal["suites"]:
        expected = "all versions and suites that the responder accepts, 1 and 1 among them"
        link.fail("refusal-lists", Kind.WRONG, expected, f"{refusal['versions']} and {refusal['suites']} came")


_ACCEPTED: Final[Mapping[str, tuple[str, str, Plan]]] = {
    "VN-0001": ("VN-030 VN-032 VN-061", "a GREASE version before version 1", Plan(versions=[GREASE, 1])),
    "VN-0002": ("VN-030 VN-032", "an unknown, higher version after version 1", Plan(versions=[1, 0x0002])),
    "VN-0003": ("VN-030 VN-032", "16 versions, one of them known", Plan(versions=[*range(0x200, 0x20F), 1])),
    "VN-0004": ("VN-031 VN-032 VN-061", "a GREASE suite before suite 1", Plan(suites=[GREASE, 1], key_suite=1)),
    "VN-0005": ("VN-031 VN-032", "an unknown suite before suite 1", Plan(suites=[UNKNOWN, 1], key_suite=1)),
    "VN-0006": ("VN-031 VN-032", "16 suites, one of them known", Plan(suites=[*range(0x200, 0x20F), 1], key_suite=1)),
    "VN-0007": ("VN-011", "a TLV with an unknown tag", Plan(parameters=[Tree("Parameter", tag=200, value=b"what?")])),
    "VN-0008": ("VN-011", "a TLV with a GREASE tag", Plan(parameters=[Tree("Parameter", tag=0x2B, value=b"")])),
    "VN-0009": (
        "VN-011",
        "a preamble of the largest size, 512 bytes, two TLVs filling it",
        Plan(parameters=[Tree("Parameter", tag=1, value=bytes(255)), Tree("Parameter", tag=2, value=bytes(245))]),
    ),
}
for _id, (_cited, _what, _plan) in _ACCEPTED.items():
    add(
        _id, _cited, f"Offers {_what}. The subject goes on with version 1 and suite 1.", _offers(_plan), roles=RESPONDER
    )

_REFUSED: Final[Mapping[str, tuple[str, str, Plan, str]]] = {
    "VN-0020": ("VN-033 VN-050 VN-051", "version 2 alone", Plan(versions=[2]), "NO_VERSION"),
    "VN-0021": ("VN-033 VN-061", "GREASE versions alone", Plan(versions=[GREASE, OTHER_GREASE]), "NO_VERSION"),
    "VN-0022": ("VN-034 VN-050 VN-051", "an unknown suite alone", Plan(suites=[UNKNOWN]), "NO_SUITE"),
    "VN-0023": (
        "VN-035 VN-031 VN-050",
        "suites 1 and 2 with a message 1 made for suite 2",
        Plan(suites=[1, 2], key_suite=2),
        "USE_SUITE",
    ),
    "VN-0024": (
        "VN-028 VN-034",
        "suite 3 alone, without a network secret",
        Plan(suites=[3], psk=bytes(32)),
        "NO_SUITE",
    ),
    "VN-0025": (
        "VN-033",
        "neither a known version nor a known suite",
        Plan(versions=[2], suites=[UNKNOWN]),
        "NO_VERSION",
    ),
}
for _id, (_cited, _what, _plan, _reason) in _REFUSED.items():
    _title = f"Offers {_what}. The subject refuses with {_reason}, lists what it accepts, and closes."
    add(_id, _cited, _title, _refused(_plan, _reason), roles=RESPONDER)


@case("VN-0026", "VN-050", roles=RESPONDER, features="chacha")
def refusal_lists_all(t: Trial) -> None:
    """Offers version 2 alone to a subject that has suites 1 and 2. Its refusal lists version 1, both suites, and
    nothing more but GREASE."""
    t.start(suites=[1, 2])
    link = t.connect()
    link.send_offer(Plan(versions=[2]))
    refusal = link.read_refusal("NO_VERSION")
    versions, suites = (sorted(v for v in refusal[name] if not is_grease16(v)) for name in ("versions", "suites"))
    if (versions, suites) != ([1], [1, 2]):
        link.fail("refusal-lists", Kind.WRONG, "version 1 and suites 1 and 2", f"{versions} and {suites} came")


@case("VN-0027", "VN-051 CL-010", roles=RESPONDER, nets=INLINE)
def lingers_after_a_refusal(t: Trial) -> None:
    """Offers version 2 alone, and neither sends nor ends the stream after the refusal. The subject keeps the carrier
    for 5 s, so that the refusal arrives, and closes it then."""
    link = t.connect()
    link.send_offer(Plan(versions=[2]))
    link.read_refusal("NO_VERSION")
    carrier = link.carrier
    assert isinstance(carrier, Inline)
    t.tick(link, 4.9)
    if carrier.closed:
        link.fail("drain-time", Kind.WRONG, "the carrier to be read for 5 s", "it was closed before")
    t.tick(link, 0.2)
    if not carrier.closed:
        link.fail("drain-time", Kind.NOT_REJECTED, "the carrier to be closed after 5 s", "it is open")


_HEAD: Final = constant("PREAMBLE_HEADER")
_MALFORMED: Final[Mapping[str, tuple[str, str, Plan, int | None]]] = {
    "VN-0030": ("VN-004", "a preamble of length 3, without the body", Plan(head={"length": 3}), _HEAD),
    "VN-0031": ("VN-004 GN-004", "a preamble of length 513, without the body", Plan(head={"length": 513}), _HEAD),
    "VN-0032": ("VN-004", "a preamble of length 0", Plan(head={"length": 0}), _HEAD),
    "VN-0033": ("VN-004 GN-004", "a preamble of length 65535, without the body", Plan(head={"length": 65535}), _HEAD),
    "VN-0034": ("VN-005", "a preamble of kind 00", Plan(head={"kind": 0}), None),
    "VN-0035": ("VN-005", "a preamble of kind 02", Plan(head={"kind": 2}), None),
    "VN-0036": ("VN-005", "a preamble of kind 03", Plan(head={"kind": 3}), None),
    "VN-0037": ("VN-005", "a preamble of kind 04", Plan(head={"kind": 4}), None),
    "VN-0038": ("VN-007", "one byte after the preamble's last field", Plan(trail=b"\0"), None),
    "VN-0039": (
        "VN-007",
        "a TLV whose length goes past the preamble",
        Plan(parameters=[Tree("Parameter", tag=1, value=b"x").with_(value_length=2)]),
        None,
    ),
    "VN-0040": ("VN-008", "version 1 twice", Plan(versions=[1, 1]), None),
    "VN-0041": ("VN-008", "suite 1 twice", Plan(suites=[1, 1]), None),
    "VN-0042": ("VN-007", "no versions", Plan(versions=[]), None),
    "VN-0043": ("VN-007", "17 versions", Plan(versions=[1, *range(0x200, 0x210)]), None),
    "VN-0044": ("VN-007", "no suites", Plan(suites=[], key_suite=1), None),
    "VN-0045": ("VN-007", "17 suites", Plan(suites=[1, *range(0x200, 0x210)]), None),
    "VN-0046": ("VN-007", "a version count one too high", Plan(preamble=lambda p: p.with_(versions_count=2)), None),
    "VN-0047": ("VN-007", "a preamble without key_suite", Plan(preamble=lambda p: p.with_(key_suite=raw(b""))), None),
    "VN-0048": ("VN-007", "half a key_suite", Plan(preamble=lambda p: p.with_(key_suite=short(1))), None),
    "VN-0049": (
        "VN-010",
        "TLVs in descending order",
        Plan(parameters=[Tree("Parameter", tag=9), Tree("Parameter", tag=8)]),
        None,
    ),
    "VN-0050": ("VN-010", "one tag twice", Plan(parameters=[Tree("Parameter", tag=9), Tree("Parameter", tag=9)]), None),
    "VN-0051": ("VN-024", "a key_suite that is not in the list", Plan(suites=[1], key_suite=2), None),
    "VN-0052": ("VN-024", "a key_suite that is a GREASE value", Plan(suites=[1, GREASE], key_suite=GREASE), None),
    "VN-0053": ("VN-007", "a key_suite of four bytes", Plan(preamble=lambda p: p.with_(key_suite=duplicated)), None),
}


def _malformed_offer(plan: Plan, cut: int | None) -> Callable[[Trial], None]:
    """Noise needs a suite that it knows; what the preamble says is another matter."""

    def run(t: Trial) -> None:
        link = t.connect()
        offer = link.offer(plan)
        # message 1 of an unknown suite has 32 bytes as well
        message = (32).to_bytes(2, "big") + bytes([9]) * 32
        link.send_bytes((offer + message)[:cut], "offer")
        link.expect_silence()

    return run


for _id, (_cited, _what, _plan, _cut) in _MALFORMED.items():
    _title = f"Offers with {_what}. The subject closes without a byte."
    add(_id, _cited, _title, _malformed_offer(_plan, _cut), roles=RESPONDER)


def _wrong_magic(place: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.connect()
        if not t.responds:
            link.read_offer()
        magic = bytearray.fromhex(constant("MAGIC"))
        magic[place] ^= 0x20
        link.send_bytes(bytes(magic[: place + 1]), "the beginning of a wrong magic")
        link.expect_silence()

    return run


for _place in range(8):
    _title = f"Sends {_place} bytes of the magic and one that differs. The subject closes as soon as it has seen it."
    add(f"VN-006{_place}", "VN-003", _title, _wrong_magic(_place))


@case("VN-0070", "VN-002", roles=RESPONDER, nets=INLINE)
def does_not_speak_first(t: Trial) -> None:
    """Sends a preamble byte by byte but the last. The subject sends nothing meanwhile."""
    link = t.connect()
    offer = link.flight_1()
    size = _HEAD + int.from_bytes(offer[9:11], "big")
    link.expect_nothing()
    for at in range(size - 1):
        link.send_bytes(offer[at : at + 1])
        link.expect_nothing()
    link.send_bytes(offer[size - 1 :])
    link.read_answer()


@case("VN-0071", "GN-002", roles=RESPONDER)
def offer_in_pieces(t: Trial) -> None:
    """Sends flight 1 byte by byte. The subject goes on."""
    link = t.connect()
    link.send_slowly(link.flight_1())
    link.read_answer()
    link.send_proof()
    link.hello()


@case("VN-0072", "VN-031 VN-027", roles=RESPONDER, features="chacha")
def initiators_order_decides(t: Trial) -> None:
    """Prefers suite 2 to suite 1 before a subject that has both. It selects suite 2, whatever it likes itself."""
    link = t.handshaken(Plan(suites=[2, 1]), suites=[1, 2])
    link.hello()
    link.expect_open()


@case("VN-0073", "VN-031 VN-035", roles=RESPONDER, features="chacha")
def prefers_another_suite(t: Trial) -> None:
    """Prefers suite 2, and makes message 1 for suite 1, before a subject that has both. It refuses with USE_SUITE."""
    t.start(suites=[1, 2])
    link = t.connect()
    link.send_offer(Plan(suites=[2, 1], key_suite=1))
    _judge_lists(link, link.read_refusal("USE_SUITE"))


# --- private networks ---


@case("VN-0080", "VN-040 HS-010", features="psk")
def network_secret(t: Trial) -> None:
    """Speaks suite 3 with the network's secret. The handshake works; an initiator offers no other suite."""
    t.start(network_secret=SECRET.hex())
    link = t.connect()
    plan = Plan(suites=[3], psk=psk_of(SECRET))
    if t.responds:
        link.shake(plan)
    else:
        offer = link.read_offer(plan)
        others = [suite for suite in offer["suites"] if suite != 3 and not is_grease16(suite)]
        if others:
            link.fail("private-offer", Kind.WRONG, "suite 3 alone, apart from GREASE", f"{others} came too")
        link.send_answer(plan)
        link.read_proof()
    link.hello()
    link.expect_open()


_PRIVATE: Final[Mapping[str, tuple[str, str, Plan]]] = {
    "VN-0081": ("VN-041 VN-042", "suite 1 alone", Plan()),
    "VN-0082": (
        "HS-026 VN-041",
        "suite 3 with another secret",
        Plan(suites=[3], psk=psk_of(b"another secret of ours")),
    ),
    "VN-0083": ("VN-041 VN-042", "version 2 alone", Plan(versions=[2], suites=[3], psk=psk_of(SECRET))),
    "VN-0084": ("VN-041 VN-042", "suites 1 and 3, message 1 made for suite 1", Plan(suites=[1, 3])),
    "VN-0085": (
        "HS-002",
        "a message 1 with a payload",
        Plan(suites=[3], psk=psk_of(SECRET), message_1=b"hello?"),
    ),
}


def _private(plan: Plan) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        t.start(network_secret=SECRET.hex())
        _silent_offer(plan)(t)

    return run


for _id, (_cited, _what, _plan) in _PRIVATE.items():
    _title = f"Offers {_what} to a subject with a network secret. It closes without a byte."
    add(_id, _cited, _title, _private(_plan), roles=RESPONDER, features="psk")


# --- the initiator's side ---


@case("VN-0100", "VN-020 VN-023 VN-026 VN-009 VN-001", roles=INITIATOR)
def honest_offer(t: Trial) -> None:
    """Reads the subject's first flight. Version 1 and suite 1 are in its lists, and key_suite is a suite of its own."""
    link = t.connect()
    offer = link.read_offer()
    if 1 not in offer["versions"] or 1 not in offer["suites"]:
        actual = f"versions {offer['versions']} and suites {offer['suites']} came"
        link.fail("offer", Kind.WRONG, "version 1 and suite 1 among those offered", actual)
    if 3 in offer["suites"]:
        link.fail("offer", Kind.WRONG, "no suite 3 without a network secret", f"{offer['suites']} came")


@case("VN-0102", "VN-021 VN-022 HS-010", roles=INITIATOR, features="chacha")
def own_preference(t: Trial) -> None:
    """Reads the first flight of a subject that prefers suite 2. It lists suite 2 before suite 1, and the handshake
    works in the suite that it names as key_suite."""
    t.start(suites=[2, 1])
    link = t.connect()
    offer = link.read_offer()
    listed = [suite for suite in offer["suites"] if suite in (1, 2)]
    if listed != [2, 1]:
        link.fail("preference", Kind.WRONG, "suite 2 before suite 1", f"{offer['suites']} came")
    link.send_answer()
    link.read_proof()
    link.hello()


@case("VN-0101", "GN-002", roles=INITIATOR)
def answer_in_pieces(t: Trial) -> None:
    """Answers byte by byte. The subject goes on."""
    link = t.connect()
    link.read_offer()
    link.send_slowly(link.answer())
    link.read_proof()
    link.hello()


def _answers(plan: Plan, *, silent: bool, cut: int | None = None) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.connect()
        link.read_offer()
        link.send_bytes(link.answer(plan)[:cut], "answer")
        if silent:
            link.expect_silence()
            return
        link.read_proof()
        link.hello()
        link.expect_open()

    return run


_ANSWERS: Final[Mapping[str, tuple[str, str, Plan, int | None]]] = {
    "VN-0110": ("VN-037", "version 2", Plan(version=2), None),
    "VN-0111": ("VN-037", "a GREASE version", Plan(version=GREASE), None),
    "VN-0112": ("VN-038", "an unknown suite", Plan(key_suite=UNKNOWN), None),
    "VN-0113": ("VN-038", "suite 3", Plan(key_suite=3), None),
    "VN-0114": ("VN-006", "a preamble of kind 01", Plan(head={"kind": 1}), None),
    "VN-0115": ("VN-006", "a preamble of kind 00", Plan(head={"kind": 0}), None),
    "VN-0116": ("VN-006", "a preamble of kind 04", Plan(head={"kind": 4}), None),
    "VN-0117": ("VN-004", "a preamble of length 3, without the body", Plan(head={"length": 3}), _HEAD),
    "VN-0118": ("VN-004", "a preamble of length 513, without the body", Plan(head={"length": 513}), _HEAD),
    "VN-0119": ("VN-007", "one byte after the preamble's last field", Plan(trail=b"\0"), None),
    "VN-0120": (
        "VN-010",
        "one tag twice in the preamble",
        Plan(parameters=[Tree("Parameter", tag=9), Tree("Parameter", tag=9)]),
        None,
    ),
}
for _id, (_cited, _what, _plan, _cut) in _ANSWERS.items():
    _title = f"Answers with {_what}. The subject closes without message 3."
    add(_id, _cited, _title, _answers(_plan, silent=True, cut=_cut), roles=INITIATOR)

add(
    "VN-0125",
    "VN-011",
    "Answers with TLVs of unknown and GREASE tags. The subject goes on.",
    _answers(Plan(parameters=[Tree("Parameter", tag=0x0B, value=b"x"), Tree("Parameter", tag=200)]), silent=False),
    roles=INITIATOR,
)


def refusal(reason: int, **values: Any) -> bytes:
    """A refusal that lists version 1 and suites 1 and 2, unless told otherwise."""
    return preamble(Tree("Refusal", **{"reason": reason, "versions": [1], "suites": [1, 2], **values}))


_TRAILING: Final = refusal(1)[:10] + bytes([refusal(1)[10] + 1]) + refusal(1)[11:] + b"\0"

_REFUSALS: Final[Mapping[str, tuple[str, str, bytes]]] = {
    "VN-0130": ("VN-058 VN-065 VN-066", "NO_VERSION", refusal(1, versions=[2])),
    "VN-0131": ("VN-058 VN-065 VN-066", "NO_SUITE", refusal(2, suites=[UNKNOWN])),
    "VN-0132": ("VN-058 VN-065 VN-066", "BUSY", refusal(4)),
    "VN-0133": ("VN-059", "an unknown reason", refusal(99)),
    "VN-0134": ("VN-053", "USE_SUITE and nothing but an unknown suite", refusal(3, suites=[UNKNOWN])),
    "VN-0135": ("VN-053", "USE_SUITE and suite 1, for which message 1 was made", refusal(3, suites=[1])),
    "VN-0136": ("VN-007", "a refusal with a byte after its last field", _TRAILING),
    "VN-0137": ("VN-007", "a refusal without suites", refusal(1, suites=[])),
}


def _refuses(data: bytes) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.connect()
        link.read_offer()
        link.send_bytes(data, "refusal")
        link.expect_silence()

    return run


for _id, (_cited, _what, _data) in _REFUSALS.items():
    _title = f"Refuses with {_what} (T6). The subject closes without a byte more."
    add(_id, _cited, _title, _refuses(_data), roles=INITIATOR)


@case("VN-0140", "VN-052 VN-057", roles=INITIATOR, features="chacha events")
def reports_the_suite(t: Trial) -> None:
    """Refuses with USE_SUITE and suite 1, where the subject made message 1 for suite 2 and has both. It tries nothing
    on this carrier and tells its application of suite 1."""
    t.start(suites=[2, 1])
    link = t.connect()
    link.read_offer()
    link.send_bytes(refusal(3, suites=[1]), "refusal")
    link.expect_silence()
    told = t.event("refused")
    if told.get("suite") != 1:
        link.fail("suite-reported", Kind.WRONG, "suite 1 reported", f"{told.get('suite')} was")


def _no_advice(data: bytes, **config: Any) -> Callable[[Trial], None]:
    """A refusal that leads to no suite."""

    def run(t: Trial) -> None:
        t.start(**config)
        link = t.connect()
        link.read_offer(Plan(psk=psk_of(SECRET) if "network_secret" in config else b""))
        link.send_bytes(data, "refusal")
        link.expect_silence()
        told = t.event("refused")
        if told.get("suite") is not None:
            link.fail("suite-reported", Kind.WRONG, "no suite reported", f"{told['suite']} was")

    return run


add(
    "VN-0142",
    "VN-052 VN-053",
    """Refuses with USE_SUITE and suites 1 and 2, where the subject made message 1 for suite 2, which it prefers. By its
    own order the suite is 2 again: it takes the handshake for failed and reports no suite.""",
    _no_advice(refusal(3, suites=[1, 2]), suites=[2, 1]),
    roles=INITIATOR,
    features="chacha events",
)
add(
    "VN-0143",
    "VN-053",
    "Refuses with USE_SUITE and the suite for which message 1 was made. The subject reports no suite.",
    _no_advice(refusal(3, suites=[1]), suites=[1]),
    roles=INITIATOR,
    features="events",
)
add(
    "VN-0144",
    "VN-043",
    "Refuses a subject with a network secret, with USE_SUITE and suite 1. It closes silently and reports no suite.",
    _no_advice(refusal(3, suites=[1]), network_secret=SECRET.hex()),
    roles=INITIATOR,
    features="psk events",
)


@case("VN-0090", "VN-044", features="psk")
def short_secret(t: Trial) -> None:
    """Gives the subject a network secret of 15 bytes. It does not begin with it."""
    try:
        t.start(network_secret=bytes(range(15)).hex())
    except Untestable:
        return
    t.connect().fail("short-secret", Kind.NOT_REJECTED, "a secret of 15 bytes to be refused", "it is taken")
