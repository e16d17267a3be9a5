"""PX: peer exchange, as the side that is told: which records count, and whom it dials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from p2pwire_conformance.case import INLINE, RESPONDER, add
from p2pwire_conformance.cases.swarm import (
    FAR,
    HERE,
    LAN,
    expect_dials,
    peers,
    record,
    source,
    split,
    swarm,
)
from p2pwire_conformance.keys import SMALL_ORDER_Y, Identity
from p2pwire_conformance.message import Tree
from p2pwire_conformance.records import peer_record
from p2pwire_conformance.trial import UNIX_TIME, Trial

DIALS: Final = "fetch record dials"
GOOD: Final = "11.77.0.1:7001"
"""The address of the record beside one that is not to be dialled."""
MINUTE: Final = 60.0
HOUR: Final = 3600.0

# --- which addresses are dialled ---


def _dialled(come_from: str, at: str, due: bool) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link, handle = source(t, come_from)
        link.send(peers(handle, record("candidate", at), record("good", GOOD)))
        expect_dials(t, link, *((at, GOOD) if due else (GOOD,)))

    return run


def _enter_address(id: str, cited: str, come_from: str, at: str, due: bool) -> None:
    far_end = come_from.rpartition(":")[0]
    verb = "dials it" if due else "does not dial it, and dials the other"
    title = f"Names, from {far_end}, a peer at {at} and one at {GOOD} (T22, T23). The subject {verb}."
    add(id, cited, title, _dialled(come_from, at, due), roles=RESPONDER, nets=INLINE, features=f"links {DIALS}")


_NEVER: Final = (
    "0.1.2.3", "169.254.169.254", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "255.255.255.255", "[2001::1]", "[2001:db8::1]", "[2002:808:808::1]",
    "[3fff::1]", "[fe80::1]", "[ff02::1]", "[64:ff9b::808:808]", "[::]",
)  # fmt: skip
for _number, _ip in enumerate(_NEVER):
    _enter_address(f"PX-01{_number:02d}", "PX-071", HERE, f"{_ip}:7001", due=False)
for _number, _port in enumerate((0, 1, 22, 25, 53, 6667, 10080)):
    _enter_address(f"PX-012{_number}", "PX-072", HERE, f"11.78.0.1:{_port}", due=False)
for _number, (_from, _at, _due) in enumerate(
    ((FAR, "127.0.0.1", False), (LAN, "127.0.0.1", False), (HERE, "127.0.0.1", True), (FAR, "[::1]", False),
     (LAN, "127.9.9.9", False), (HERE, "[::1]", True))
):  # fmt: skip
    _enter_address(f"PX-013{_number}", "PX-073", _from, f"{_at}:7009", _due)
for _number, (_from, _at, _due) in enumerate(
    ((FAR, "10.1.2.3", False), (FAR, "172.16.0.9", False), (FAR, "192.168.1.9", False), (FAR, "100.64.0.9", False),
     (FAR, "[fd00::9]", False), (LAN, "192.168.1.9", True), (HERE, "10.1.2.3", True), (LAN, "[fd00::9]", True),
     (FAR, "172.32.0.9", True), (FAR, "100.128.0.9", True))
):  # fmt: skip
    _enter_address(f"PX-014{_number}", "PX-074", _from, f"{_at}:7009", _due)


@swarm("PX-0150", "PX-008 PX-007", DIALS)
def unknown_address_types(t: Trial) -> None:
    """Names a peer whose record has an address of an unknown type, of the size of an IPv4 address, and one of IPv4. The
    subject dials the second alone."""
    link, handle = source(t)
    odd = Tree("Address", type=77, value=bytes([11, 79, 0, 1, 27, 89]))
    link.send(peers(handle, peer_record(Identity("odd"), UNIX_TIME, addresses=[odd, split("11.79.0.2:7001")])))
    expect_dials(t, link, "11.79.0.2:7001")


@swarm("PX-0151", "PX-071 PX-073 PX-074", DIALS)
def mapped_addresses(t: Trial) -> None:
    """Names peers at IPv4-mapped addresses, private, loopback and of scope never. The subject dials none."""
    link, handle = source(t)
    mapped = ["[::ffff:10.0.0.9]:7001", "[::ffff:127.0.0.1]:7001", "[::ffff:169.254.169.254]:7001"]
    link.send(peers(handle, *(record(at, at) for at in mapped), record("good", GOOD)))
    expect_dials(t, link, GOOD)


# --- which records count ---


def _forged_small_order() -> bytes:
    """The neutral element as identity: R = neutral and S = 0 make a signature that a careless verifier takes."""
    content = record("x", "11.80.0.1:7001")[:-64]
    return content[:1] + SMALL_ORDER_Y[1] + content[33:] + SMALL_ORDER_Y[1] + bytes(32)


def _spoiled(raw: bytes, at: int = -1) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + (raw[at + 1 :] if at != -1 else b"")


def _own(t: Trial) -> bytes:
    return peer_record(t.subject_identity, UNIX_TIME + 9, addresses=[split("11.80.0.1:7001")])


def _named(name: str, **changes: Any) -> Callable[[Trial], bytes]:
    return lambda t: record(name, "11.80.0.1:7001", **changes)


def _too_long(t: Trial) -> bytes:
    """513 bytes, and else right."""
    fill = Tree("Address", type=77, value=bytes(255))
    rest = Tree("Address", type=77, value=bytes(513 - 111 - 8 - 257 - 2))
    return peer_record(Identity("long"), UNIX_TIME, addresses=[split("11.80.0.1:7001"), fill, rest])


def _nine_addresses(t: Trial) -> bytes:
    return record("nine", *(f"11.80.0.{n}:7001" for n in range(1, 10)))


def _short_address(t: Trial) -> bytes:
    short = Tree("Address", type=1, value=bytes(5))
    return peer_record(Identity("short"), UNIX_TIME, addresses=[split("11.80.0.1:7001"), short])


NO_POINT: Final = (2).to_bytes(32, "little")
"""No x has this y on the curve."""
_RECORDS: Final[dict[str, tuple[str, str, Callable[[Trial], bytes], bool]]] = {
    "PX-0200": ("PX-027", "a signature with a bit flipped", lambda t: _spoiled(record("a", "11.80.0.1:7001")), False),
    "PX-0201": ("PX-027", "an address that is not the signed one", lambda t: _spoiled(
        record("a", "11.80.0.1:7001"), 54), False),
    "PX-0202": ("PX-021", "version 2", _named("a", version=2), False),
    "PX-0203": ("PX-021", "a ttl of 59 s", _named("a", ttl=59), False),
    "PX-0204": ("PX-021", "a ttl of 86401 s", _named("a", ttl=86401), False),
    "PX-0205": ("PX-021", "nine addresses", _nine_addresses, False),
    "PX-0206": ("PX-006", "an IPv4 address of 5 bytes", _short_address, False),
    "PX-0207": ("PX-023", "a seq 601 s ahead", _named("a", sequence=UNIX_TIME + 601), False),
    "PX-0208": ("PX-023", "a seq 600 s ahead", _named("a", sequence=UNIX_TIME + 600), True),
    "PX-0209": ("PX-023", "an end 601 s ago", _named("a", sequence=UNIX_TIME - 661, ttl=60), False),
    "PX-0210": ("PX-023", "an end 599 s ago", _named("a", sequence=UNIX_TIME - 659, ttl=60), True),
    "PX-0211": ("PX-022 ID-004", "an identity of small order, for which anyone can sign",
                lambda t: _forged_small_order(), False),
    "PX-0212": ("PX-022", "the subject's own identity, and an address that it does not have", _own, False),
    "PX-0213": ("PX-022 ID-004", "an identity that is no point", _named("a", identity=NO_POINT), False),
    "PX-0214": ("PX-021", "a ttl of 60 s", _named("a", ttl=60), True),
    "PX-0215": ("PX-021", "a ttl of 86400 s and reserved flags", _named("a", ttl=86400, flags=255), True),
}  # fmt: skip


def _counts(make: Callable[[Trial], bytes], due: bool) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link, handle = source(t)
        link.send(peers(handle, record("one", "11.81.0.1:7001"), make(t), record("two", "11.82.0.1:7001")))
        link.expect_open()
        wanted = ["11.81.0.1:7001", "11.82.0.1:7001", *(["11.80.0.1:7001"] if due else [])]
        expect_dials(t, link, *wanted)

    return run


for _id, (_cited, _what, _make, _due) in _RECORDS.items():
    _verb = "dials it, too" if _due else "drops it alone, dials the others and goes on"
    _title = f"Names three peers, the second by a record with {_what} (T24). The subject {_verb}."
    add(_id, f"{_cited} PX-020 PX-030", _title, _counts(_make, _due), roles=RESPONDER, nets=INLINE,
        features=f"links {DIALS}")  # fmt: skip


@swarm("PX-0220", "PX-024", DIALS)
def older_record(t: Trial) -> None:
    """Names a peer by a record, and then by an older one, and by another one of the same seq, with other addresses.
    The subject dials what the newest says, when the dial before has failed."""
    link, handle = source(t)
    link.send(peers(handle, record("a", "11.80.0.1:7001", sequence=UNIX_TIME)))
    dials = expect_dials(t, link, "11.80.0.1:7001")
    link.send(peers(handle, record("a", "11.80.0.2:7001", sequence=UNIX_TIME - 1), record("a", "11.80.0.3:7001")))
    expect_dials(t, link)
    t.fail_dial(dials[0])
    t.pass_time(5.0, link)
    expect_dials(t, link, "11.80.0.1:7001", check="old-record")


@swarm("PX-0221", "PX-024", DIALS)
def newer_record(t: Trial) -> None:
    """Names a peer by a record, and then by a newer one with another address. The subject dials the new address once
    the dial before has failed."""
    link, handle = source(t)
    link.send(peers(handle, record("a", "11.80.0.1:7001")))
    dials = expect_dials(t, link, "11.80.0.1:7001")
    link.send(peers(handle, record("a", "11.80.0.2:7001", sequence=UNIX_TIME + 1)))
    t.fail_dial(dials[0])
    t.pass_time(5.0, link)
    expect_dials(t, link, "11.80.0.2:7001", check="new-record")


@swarm("PX-0222", "PX-029", DIALS)
def expires_while_it_waits(t: Trial) -> None:
    """Names four peers and one whose record ends in 30 s, while four dials are under way. When they fail after 61 s,
    the subject dials the fifth no more."""
    link, handle = source(t)
    four = [f"11.8{n}.0.1:7001" for n in range(1, 5)]
    link.send(peers(handle, *(record(at, at) for at in four)))
    dials = expect_dials(t, link, *four)
    link.send(peers(handle, record("late", "11.90.0.1:7001", sequence=UNIX_TIME - 630, ttl=60)))
    expect_dials(t, link, check="parallel")
    t.pass_time(MINUTE + 1, link)
    for dial in dials:
        t.fail_dial(dial)
    t.pass_time(0.5, link)
    expect_dials(t, link, check="expired")


@swarm("PX-0223", "PX-051")
def nothing_in_peers(t: Trial) -> None:
    """Sends PEERS with both lists empty. The subject closes with PROTOCOL."""
    link, handle = source(t)
    link.send(peers(handle))
    link.expect_close("PROTOCOL", blame=0x30)
