"""PX: peer exchange, as the side that is told: which records count, and whom it dials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from p2pwire_conformance.case import INLINE, RESPONDER, add
from p2pwire_conformance.cases.swarm import (
    FAR,
    HERE,
    LAN,
    SOUGHT,
    addresses,
    expect_count,
    expect_dials,
    more,
    peers,
    record,
    source,
    split,
    swarm,
)
from p2pwire_conformance.content import BLOCK, blob
from p2pwire_conformance.keys import SMALL_ORDER_Y, Identity
from p2pwire_conformance.link import Link
from p2pwire_conformance.message import Tree
from p2pwire_conformance.records import peer_record
from p2pwire_conformance.trial import UNIX_TIME, Trial
from p2pwire_conformance.verdict import Kind

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


# --- how many are dialled, and how often ---


@swarm("PX-0300", "PX-075", DIALS)
def dials_at_once(t: Trial) -> None:
    """Names seven peers. The subject dials four, and one more when one of the dials has failed."""
    link, handle = source(t)
    link.send(peers(handle, *(record(f"p{n}", f"11.8{n}.0.1:7001") for n in range(7))))
    found = t.dials()
    expect_count(link, len(found), 4, 4, "dials at once", "parallel")
    t.fail_dial(found[0])
    expect_count(link, len(t.dials()), 1, 1, "dials after one has failed", "one-more")


@swarm("PX-0301", "PX-076", DIALS)
def dials_a_minute(t: Trial) -> None:
    """Names 24 peers and lets each dial fail at once. The subject dials 16 within a minute, the others in the next."""
    link, handle = source(t)
    link.send(peers(handle, *(record(f"p{n}", f"11.{100 + n}.0.1:7001") for n in range(24))))
    expect_count(link, len(_fail_all(t)), 16, 16, "dials within a minute", "rate")
    t.pass_time(MINUTE + 0.5, link)
    found = {dial["addr"] for dial in _fail_all(t)}
    expect_count(link, len(found), 8, 24, "dials in the next minute", "next-minute")


def _fail_all(t: Trial) -> list[dict[str, Any]]:
    """Let each dial fail until there is none any more."""
    found: list[dict[str, Any]] = []
    while dials := t.dials():
        found += dials
        for dial in dials:
            t.fail_dial(dial)
    return found


@swarm("PX-0302", "PX-077", DIALS)
def ports_of_a_global_address(t: Trial) -> None:
    """Names five peers at five ports of one global address (T22), and lets each dial fail. The subject dials three of
    the ports in a quarter of an hour, and not the others."""
    link, handle = source(t)
    long = {"ttl": 86400}
    link.send(peers(handle, *(record(f"p{n}", f"11.80.0.1:{7001 + n}", **long) for n in range(5))))
    seen: set[str] = set()
    for _ in range(15):
        seen |= {dial["addr"] for dial in _fail_all(t)}
        t.pass_time(MINUTE, link)
    expect_count(link, len(seen), 3, 3, "ports of one global address", "ports")


@swarm("PX-0303", "PX-078", DIALS)
def ports_of_a_local_address(t: Trial) -> None:
    """Names, over loopback, 70 peers at 70 ports of one loopback address, and lets each dial fail. The subject dials 64
    of the ports within an hour."""
    link, handle = source(t, HERE)
    named = [record(f"p{n}", f"127.0.0.1:{7100 + n}", ttl=86400) for n in range(70)]
    for first in range(0, 70, 32):
        link.send(peers(handle, *named[first : first + 32]))
    seen: set[str] = set()
    for _ in range(8):
        seen |= {dial["addr"] for dial in _fail_all(t)}
        t.pass_time(MINUTE + 0.5, link)
    expect_count(link, len(seen), 64, 64, "ports of one loopback address within an hour", "ports")


@swarm("PX-0304", "PX-079 ID-010", DIALS)
def another_identity_answers(t: Trial) -> None:
    """Names a peer, and answers the dial with another identity. The subject ends the handshake without message 3."""
    link, handle = source(t)
    link.send(peers(handle, record("a", "11.80.0.1:7001")))
    other = t.answer_dial(expect_dials(t, link, "11.80.0.1:7001")[0], "other")
    other.read_offer()
    other.send_answer()
    other.expect_silence("another-identity")


@swarm("PX-0305", "PX-079", DIALS)
def the_identity_answers(t: Trial) -> None:
    """Names a peer, and answers the dial with its identity. The subject goes on and joins the topic."""
    link, handle = source(t)
    identity = Identity("a")
    link.send(peers(handle, record("a", "11.80.0.1:7001")))
    met = t.answer_dial(expect_dials(t, link, "11.80.0.1:7001")[0], "met", identity)
    met.shake()
    met.hello()
    met.topic_joined(SOUGHT)


@swarm("PX-0306", "PX-080", DIALS)
def another_identity_again(t: Trial) -> None:
    """Answers the dials for a peer with another identity, again and again. The subject dials the address for that peer
    only after 10 min, and then only after 20."""
    link, handle = source(t)
    link.send(peers(handle, record("a", "11.80.0.1:7001", ttl=86400)))
    dial = expect_dials(t, link, "11.80.0.1:7001")[0]
    for number, wait in enumerate((600.0, 1200.0)):
        other = t.answer_dial(dial, f"other {number}")
        other.read_offer()
        other.send_answer()
        other.expect_silence()
        t.pass_time(wait - 5, link)
        expect_dials(t, link, check="too-early")
        t.pass_time(10.0, link)
        dial = expect_dials(t, link, "11.80.0.1:7001", check="again")[0]


@swarm("PX-0307", "PX-081 PX-094", DIALS)
def sources_take_turns(t: Trial) -> None:
    """Two sources name four peers each. The subject, which keeps room for eight outbound links, dials all eight."""
    link, handle = source(t)
    other, others = more(t, "second", "11.2.0.1:7001")
    link.send(peers(handle, *(record(f"p{n}", f"11.8{n}.0.1:7001") for n in range(8))))
    found = t.dials()
    other.send(peers(others, *(record(f"q{n}", f"11.9{n}.0.1:7001") for n in range(4))))
    found += t.dials()
    expect_count(link, sum(dial["addr"].startswith("11.8") for dial in found), 4, 4, "dials for the first", "first")
    expect_count(link, sum(dial["addr"].startswith("11.9") for dial in found), 4, 4, "dials for the second", "second")


@swarm("PX-0308", "PX-082 UR-010", "fetch dials actions")
def dials_of_the_user(t: Trial) -> None:
    """Has the subject's user give seven addresses. The subject dials four, and one more when one has failed."""
    t.start(dials=True, unix_time=UNIX_TIME)
    link = t.connect()
    t.do("fetch", oid=SOUGHT.oid.hex(), peers=[f"11.8{n}.0.1:7001" for n in range(7)])
    found = t.dials()
    expect_count(link, len(found), 4, 4, "dials at once", "parallel")
    t.fail_dial(found[0])
    expect_count(link, len(t.dials()), 1, 1, "dials after one has failed", "one-more")


@swarm("PX-0309", "PX-083 PX-028", DIALS)
def counted_against_the_source(t: Trial) -> None:
    """A source has four dials under way and names a fifth peer. A second source, which has none, names the same fifth
    by the same record. The subject dials it, because of the second; and of a sixth that the first names it does not."""
    link, handle = source(t)
    other, others = more(t, "second", "11.2.0.1:7001")
    fifth = record("fifth", "11.90.0.1:7001")
    link.send(peers(handle, *(record(f"p{n}", f"11.8{n}.0.1:7001") for n in range(4)), fifth))
    first = t.dials()
    expect_count(link, len(first), 4, 4, "dials for the first source", "parallel")
    if "11.90.0.1:7001" in addresses(first):
        first_left = next(f"11.8{n}.0.1:7001" for n in range(4) if f"11.8{n}.0.1:7001" not in addresses(first))
        name = f"p{first_left[4]}"
        other.send(peers(others, record(name, first_left)))
        expect_dials(t, other, first_left, check="second-source")
    else:
        other.send(peers(others, fifth))
        expect_dials(t, other, "11.90.0.1:7001", check="second-source")
    link.send(peers(handle, record("sixth", "11.91.0.1:7001")))
    expect_dials(t, link, check="first-source")


@swarm("PX-0310", "PX-095", DIALS)
def other_groups_first(t: Trial) -> None:
    """Names three peers in one group of addresses, and one in another. The subject's first two dials go to different
    groups."""
    link, handle = source(t)
    named = ["11.80.0.1:7001", "11.80.0.2:7001", "11.80.0.3:7001", "11.99.0.1:7001"]
    link.send(peers(handle, *(record(at, at) for at in named)))
    found = addresses(t.dials())
    if len({at[:6] for at in found[:2]}) != 2:
        link.fail("groups", Kind.WRONG, "two groups among the first two dials", ", ".join(found))


@swarm("PX-0311", "ID-014 ID-015", f"{DIALS} identity actions")
def meets_itself(t: Trial) -> None:
    """Has the subject's user give an address at which the subject itself answers. It closes, and does not dial the
    address again."""
    t.start(dials=True, unix_time=UNIX_TIME)
    link = t.connect()
    t.do("fetch", oid=SOUGHT.oid.hex(), peers=["11.80.0.1:7001"])
    met = t.answer_dial(expect_dials(t, link, "11.80.0.1:7001")[0], "self", t.subject_identity)
    met.shake()
    met.expect_close("SELF")
    met.finish()
    t.pass_time(HOUR)
    expect_dials(t, link, check="again")


@swarm("PX-0312", "TM-020 TM-023", "fetch dials actions")
def waits_longer_each_time(t: Trial) -> None:
    """Has the subject's user give an address, and lets each dial fail. The subject waits 1 s, 2 s, 4 s, 8 s at least
    before the next, and up to a quarter longer, and never more than 15 min and a quarter."""
    t.start(dials=True, unix_time=UNIX_TIME)
    link = t.connect()
    t.do("fetch", oid=SOUGHT.oid.hex(), peers=["11.80.0.1:7001"])
    (dial,) = expect_dials(t, link, "11.80.0.1:7001")
    for wait in (1.0, 2.0, 4.0, 8.0, 16.0):
        t.fail_dial(dial)
        t.pass_time(wait - 0.05)
        expect_dials(t, link, check="too-early")
        t.pass_time(wait / 4 + 0.1)
        (dial,) = expect_dials(t, link, "11.80.0.1:7001", check="again")


@swarm("PX-0313", "TR-071", f"{DIALS} actions")
def bad_data_bans_the_address(t: Trial) -> None:
    """Answers a dial and then a REQUEST with bad data (T14). The subject closes with BAD_DATA, and does not dial that
    address for an hour, and then does."""
    t.start(dials=True, unix_time=UNIX_TIME)
    link = t.connect()
    t.do("fetch", oid=SOUGHT.oid.hex(), peers=["11.80.0.1:7001"])
    met = t.answer_dial(expect_dials(t, link, "11.80.0.1:7001")[0], "liar")
    met.shake()
    met.hello()
    theirs = met.topic_joined(SOUGHT)
    met.send(met.join_frame(SOUGHT, handle=7), SOUGHT.object_frame(7))
    met.send(Tree("Have", handle=7, spans=[Tree("Span", first=0, last=2)]))
    asked = met.expect("Request", handle=theirs["handle"])
    met.send(SOUGHT.main.data_frame(asked["id"], asked["block"], asked["block"]).with_(data=bytes(BLOCK)))
    met.expect_close("BAD_DATA")
    met.finish()
    t.pass_time(HOUR - 10)
    expect_dials(t, link, check="banned")
    t.pass_time(30.0)
    expect_dials(t, link, "11.80.0.1:7001", check="again")


@swarm("PX-0314", "PX-096", DIALS)
def crowded_groups_yield(t: Trial) -> None:
    """Two sources name eight peers, two of them in one group of addresses, and all answer. Then one of another group is
    named. The subject dials it, and closes the link to one of the two."""
    link, handle = source(t)
    other, others = more(t, "second", "11.2.0.1:7001")
    places = [f"11.{80 + n}.0.1:7001" for n in range(7)] + ["11.86.0.2:7001"]
    link.send(peers(handle, *(record(at, at, ttl=86400) for at in places[:4])))
    other.send(peers(others, *(record(at, at, ttl=86400) for at in places[4:])))
    met = {}
    for dial in t.dials():
        met[dial["addr"]] = _meet(t, dial)
    last = "11.99.0.1:7001"
    link.send(peers(handle, record(last, last)))
    for dial in expect_dials(t, link, last):
        _meet(t, dial)
    if not any(_closed(met[at]) for at in places[6:]):
        link.fail("yields", Kind.WRONG, "CLOSE on a link to the crowded group", "both go on")


def _meet(t: Trial, dial: dict[str, Any]) -> Link:
    """Be who is expected there."""
    met = t.answer_dial(dial, dial["addr"], Identity(dial["addr"]))
    met.shake()
    met.hello(idle=600)
    met.topic_joined(SOUGHT)
    met.send(met.join_frame(SOUGHT))
    return met


def _closed(link: Link) -> bool:
    while (found := link.next_frame(0.0)) is not None:
        if found.name == "Close":
            return True
    return False


@swarm("PX-0315", "PX-097", f"{DIALS} anchors")
def anchors(t: Trial) -> None:
    """The subject dials two peers, and is started again with what it remembered. It dials them, though nobody names
    them."""
    link, handle = source(t)
    places = ["11.80.0.1:7001", "11.81.0.1:7001"]
    link.send(peers(handle, *(record(at, at) for at in places)))
    for dial in expect_dials(t, link, *places):
        _meet(t, dial)
    kept = t.do("anchors")["anchors"]
    t.restart(fetch=[SOUGHT.oid.hex()], dials=True, anchors=kept, unix_time=UNIX_TIME)
    link = t.connect("again")
    expect_dials(t, link, *places, check="anchors")


# --- what is kept ---


def _keeps(t: Trial) -> int:
    found: int = t.do("count")["records"]
    return found


def _fakes(first: int, count: int) -> list[bytes]:
    """Records that pass every check but that of the signature, which is the last."""
    good = record("fake", "11.80.0.1:7001")
    return [good[:1] + Identity(f"fake {n}").public + good[33:] for n in range(first, first + count)]


@swarm("PX-0400", "PX-025 PX-046", f"{DIALS} count")
def records_beyond_the_bucket(t: Trial) -> None:
    """Names 160 peers at once, in two topics (T21). The subject keeps 128 and drops the others; it takes one more of
    them a second later."""
    second = blob(4 * BLOCK)
    link, handle = source(t, fetch=[SOUGHT.oid.hex(), second.oid.hex()], dials=False)
    other, _ = link.open_topic(second, tell=False)
    named = [record(f"p{n}", f"11.{100 + n % 100}.{n}.1:7001") for n in range(160)]
    for part in range(5):
        link.send(peers(handle if part < 3 else other, *named[part * 32 : part * 32 + 32]))
    expect_count(link, _keeps(t), 128, 128, "records", "bucket")
    t.pass_time(1.5, link)
    link.send(peers(other, *named[128:131]))
    expect_count(link, _keeps(t), 129, 129, "records a second later", "refill")


@swarm("PX-0401", "PX-047", DIALS)
def flood_of_records(t: Trial) -> None:
    """Sends 512 records that are wrong only in their signatures, and one more, in five topics (T21). The subject closes
    with FLOOD on the last."""
    link, handles = _five_topics(t)
    named = _fakes(0, 513)
    for part in range(16):
        link.send(peers(handles[part // 4], *named[part * 32 : part * 32 + 32]))
    link.expect_open("512-records")
    link.send(peers(handles[4], named[512]))
    link.expect_close("FLOOD", blame=0x30)


def _five_topics(t: Trial) -> tuple[Any, list[int]]:
    sought = [SOUGHT, *(blob(n * BLOCK) for n in range(4, 8))]
    link, handle = source(t, fetch=[one.oid.hex() for one in sought], dials=False)
    return link, [handle, *(link.open_topic(one, tell=False)[0] for one in sought[1:])]


@swarm("PX-0402", "PX-049", DIALS)
def old_records_do_not_count(t: Trial) -> None:
    """Sends 639 records that are expired, and one that is good. The subject goes on: only what passes the checks before
    the budgets is counted."""
    link, handles = _five_topics(t)
    good = record("fake", "11.80.0.1:7001", sequence=UNIX_TIME - 90000)
    for part in range(20):
        named = [good[:1] + Identity(f"old {part} {n}").public + good[33:] for n in range(32)]
        if part == 19:
            named[31] = record("good", GOOD)
        link.send(peers(handles[part // 4], *named))
    link.expect_open()


@swarm("PX-0403", "PX-028 PX-054 PX-098", f"{DIALS} count")
def vouchers(t: Trial) -> None:
    """Two sources name a peer by the same record. The first withdraws its word: the subject keeps the record. The
    second does: it forgets it."""
    link, handle = source(t, dials=False)
    other, others = more(t, "second", "11.2.0.1:7001")
    named = record("a", "11.80.0.1:7001")
    link.send(peers(handle, named))
    expect_count(link, _keeps(t), 1, 1, "records", "told")
    other.send(peers(others, named))
    link.send(peers(handle, dropped=[Identity("a").public]))
    expect_count(link, _keeps(t), 1, 1, "records while one source vouches", "one-voucher")
    other.send(peers(others, dropped=[Identity("a").public]))
    expect_count(link, _keeps(t), 0, 0, "records when no source vouches", "no-voucher")


@swarm("PX-0404", "PX-028 PX-025", f"{DIALS} count")
def equal_records_cost_nothing(t: Trial) -> None:
    """Names the same 32 peers four times and then 96 others, 128 in all. The subject keeps them all: an equal record
    takes no token."""
    second = blob(4 * BLOCK)
    link, handle = source(t, fetch=[SOUGHT.oid.hex(), second.oid.hex()], dials=False)
    other, _ = link.open_topic(second, tell=False)
    named = [record(f"p{n}", f"11.{100 + n % 100}.{n}.1:7001") for n in range(128)]
    for _ in range(4):
        link.send(peers(handle, *named[:32]))
    for part in range(1, 4):
        link.send(peers(other, *named[part * 32 : part * 32 + 32]))
    expect_count(link, _keeps(t), 128, 128, "records", "equal")


@swarm("PX-0405", "PX-090", f"{DIALS} count")
def records_of_one_source(t: Trial) -> None:
    """One source names 384 peers, as fast as the budgets allow. The subject keeps 256 of them."""
    link, handle = source(t, dials=False)
    for part in range(12):
        first = part * 32
        link.send(
            peers(handle, *(record(f"p{n}", f"11.{n % 200}.{n // 200}.1:7001") for n in range(first, first + 32)))
        )
        if part % 4 == 3:
            t.pass_time(130.0, link)
    expect_count(link, _keeps(t), 200, 256, "records of one source", "per-source")


@swarm("PX-0406", "PX-091", f"{DIALS} count")
def records_of_one_group(t: Trial) -> None:
    """Three sources in one group name 256 peers each (T25). The subject keeps 512 of them."""
    link, handle = source(t, dials=False)
    sources = [(link, handle), *(more(t, f"s{n}", f"11.1.{n}.1:7001") for n in (1, 2))]
    links = [one for one, _ in sources]
    for part in range(8):
        for place, (one, number) in enumerate(sources):
            first = part * 32
            named = [record(f"s{place} {n}", f"11.{n % 200}.{place}.1:7001") for n in range(first, first + 32)]
            one.send(peers(number, *named))
        if part == 3:
            t.pass_time(130.0, *links)
    expect_count(link, _keeps(t), 400, 512, "records of one group", "per-group")


@swarm("PX-0407", "PX-029 PX-098", f"{DIALS} count")
def expired_records_go(t: Trial) -> None:
    """Names a peer by a record that ends in 30 s. After a minute the subject keeps it no more."""
    link, handle = source(t, dials=False)
    link.send(peers(handle, record("late", "11.80.0.1:7001", sequence=UNIX_TIME - 630, ttl=60)))
    expect_count(link, _keeps(t), 1, 1, "records", "told")
    t.pass_time(MINUTE, link)
    expect_count(link, _keeps(t), 0, 0, "records", "expired")


@swarm("PX-0408", "PX-093", f"{DIALS} count")
def replaced_at_random(t: Trial) -> None:
    """One source names 384 peers, of which the subject keeps 256, and then withdraws the first 64. Some of these were
    kept and some were not: what gives way is not the oldest, nor what comes last (T25)."""
    link, handle = source(t, dials=False)
    for part in range(12):
        named = range(part * 32, part * 32 + 32)
        link.send(peers(handle, *(record(f"p{n}", f"11.{n % 200}.{n // 200}.1:7001") for n in named)))
        if part % 4 == 3:
            t.pass_time(130.0, link)
    before = _keeps(t)
    link.send(peers(handle, dropped=[Identity(f"p{n}").public for n in range(64)]))
    expect_count(link, before - _keeps(t), 1, 63, "of the first 64 kept", "random")
