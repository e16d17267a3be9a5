"""PX: peer exchange, as the side that tells: its own record, and whom it shares with whom and when."""

from __future__ import annotations

from typing import Final

from p2pwire_conformance.case import case
from p2pwire_conformance.cases.swarm import (
    FAR,
    HERE,
    LAN,
    OTHER,
    SHARED,
    SOUGHT,
    WANTS_PEERS,
    expect_count,
    expect_dials,
    joined,
    peers,
    record,
    records_in,
    sharing,
    source,
    split,
    swarm,
    told,
)
from p2pwire_conformance.content import blob
from p2pwire_conformance.keys import Identity, verify
from p2pwire_conformance.link import Frame, Link, parameter
from p2pwire_conformance.message import Tree, decode
from p2pwire_conformance.protocol import protocol
from p2pwire_conformance.records import peer_record
from p2pwire_conformance.trial import UNIX_TIME, Trial
from p2pwire_conformance.verdict import Kind

SECOND: Final = "11.2.0.1:7001"
THIRD: Final = "11.3.0.1:7001"
OWN: Final = "11.44.0.1:7044"
"""Where the subject listens, as it is told."""


def _ask(link: Link, handle: int, most: int = 32) -> list[Frame]:
    link.send(Tree("GetPeers", handle=handle, max=most))
    return told(link)


def _expect_records(link: Link, frames: list[Frame], due: list[bytes], check: str) -> None:
    found = records_in(frames)
    if sorted(found) != sorted(due):
        link.fail(check, Kind.WRONG, f"{len(due)} records, as they were signed", f"{len(found)} came, or others")


# --- the subject's own record ---


def _own_record(hello: Frame, link: Link) -> Tree:
    """The record in the subject's HELLO, judged."""
    found = next((one["value"] for one in hello["parameters"] if one["tag"] == 2), None)
    if found is None:
        link.fail("own-record", Kind.WRONG, "a record in HELLO of a subject that listens", "none came")
    if not verify(link.peer, "peer-record", found[:-64], found[-64:]):
        link.fail("signature", Kind.WRONG, "a record that the subject signed", "the signature is wrong")
    read: Tree = decode("PeerRecord", found)
    if read["identity"] != link.peer:
        link.fail("identity", Kind.WRONG, "the subject's own identity", "another one came")
    return read


@case("PX-0500", "PX-001 FR-026", features="record")
def own_record(t: Trial) -> None:
    """Meets a subject that listens. Its HELLO holds its own record with a right signature."""
    t.start(listening=[OWN], unix_time=UNIX_TIME)
    link = t.connect()
    link.shake()
    read = _own_record(link.hello(), link)
    if not UNIX_TIME - 5 <= read["sequence"] <= UNIX_TIME + 600:
        link.fail("seq", Kind.WRONG, "the time of day as seq", str(read["sequence"]))


@case("PX-0501", "PX-003 PX-004", features="record")
def own_addresses(t: Trial) -> None:
    """Meets a subject that listens at one address. Its record has that address and no host name."""
    t.start(listening=[OWN], unix_time=UNIX_TIME)
    link = t.connect()
    link.shake()
    read = _own_record(link.hello(), link)
    known = set(protocol().enumerations["AddressType"].values())
    if any(one["type"] not in known for one in read["addresses"]):
        link.fail("types", Kind.WRONG, "addresses of the types that there are", str(read["addresses"]))
    if [one.encode() for one in read["addresses"]] != [split(OWN).encode()]:
        link.fail("addresses", Kind.WRONG, f"the address {OWN} alone", str(read["addresses"]))


@swarm("PX-0502", "PX-002 PX-005", "record")
def renews_its_record(t: Trial) -> None:
    """Meets a subject that listens, and meets it again a day later. Its record is another one by then, with a higher
    seq, and good for as long as half its ttl at least."""
    t.start(listening=[OWN], unix_time=UNIX_TIME, remote=FAR)
    link = t.connect()
    link.shake()
    first = _own_record(link.hello(), link)
    t.pass_time(40.0)
    link = t.stranger("soon", SECOND)
    link.shake()
    soon = _own_record(link.hello(), link)
    if soon.values != first.values and soon["sequence"] <= first["sequence"]:
        link.fail("seq", Kind.WRONG, "a higher seq in a new record", f"{soon['sequence']} after {first['sequence']}")
    t.tick(link, 86400)
    link = t.stranger("later", THIRD)
    link.shake()
    later = _own_record(link.hello(), link)
    if later["sequence"] <= first["sequence"]:
        link.fail("seq", Kind.WRONG, "a higher seq after a day", f"{later['sequence']} after {first['sequence']}")
    if later["sequence"] + later["ttl"] // 2 < UNIX_TIME + 86400:
        link.fail("renewed", Kind.WRONG, "a record renewed when half of its ttl has passed", str(later["sequence"]))


# --- whom it shares ---


@swarm("PX-0510", "PX-055@2 PX-040 PX-009 PX-007", "share record")
def shares_a_peer(t: Trial) -> None:
    """A peer whose record has an address of an unknown type, too, opens a topic; another asks for peers. The subject
    tells the record, byte for byte."""
    sharing(t)
    odd = Tree("Address", type=77, value=b"somewhere else")
    identity = Identity("odd")
    raw = peer_record(identity, UNIX_TIME, addresses=[odd, split(SECOND)])
    first = t.peer("first", SECOND, identity, parameters=[parameter(2, raw)], idle=600)
    first.open_topic(SHARED)
    second, handle, _ = joined(t, "second", THIRD)
    _expect_records(second, _ask(second, handle), [raw], "record")


@swarm("PX-0511", "PX-041", "share record")
def not_the_receivers_own(t: Trial) -> None:
    """A peer with a record opens a topic alone and asks for peers. The subject does not tell it its own record."""
    sharing(t)
    link, handle, _ = joined(t, "first", SECOND, own=SECOND, flags=WANTS_PEERS)
    _expect_records(link, _ask(link, handle), [], "own-record")


@swarm("PX-0512", "PX-040", "share record")
def peers_of_another_topic(t: Trial) -> None:
    """A peer opens one topic, and another peer asks for peers in a second one. The subject names nobody."""
    sharing(t, share=[SHARED.recipe, OTHER.recipe])
    joined(t, "first", SECOND, own=SECOND)
    link, handle, _ = joined(t, "second", THIRD, shared=OTHER)
    _expect_records(link, _ask(link, handle), [], "other-topic")


@swarm("PX-0513", "PX-040", "fetch record")
def peers_by_hearsay(t: Trial) -> None:
    """Tells the subject of a peer that it has never met, and another peer asks for peers. The subject does not pass on
    what it has from hearsay."""
    link, handle = source(t, dials=False)
    link.send(peers(handle, record("a", "11.80.0.1:7001")))
    link.fence()
    second = t.peer("second", THIRD, idle=600)
    own, _ = second.open_topic(SOUGHT, tell=False)
    _expect_records(second, _ask(second, own), [], "hearsay")


@swarm("PX-0514", "PX-040", "share record")
def peers_that_have_gone(t: Trial) -> None:
    """A peer ends its link. Another one that comes 500 s later is told of it; one that comes after 620 s is not."""
    sharing(t)
    first, _, raw = joined(t, "first", SECOND, own=SECOND)
    first.send(Tree("Close", code=0, frame_type=255))
    t.pass_time(500.0)
    second, handle, _ = joined(t, "second", THIRD)
    _expect_records(second, _ask(second, handle), [raw], "within-600-s")
    t.pass_time(120.0, second)
    third, handle, _ = joined(t, "third", "11.4.0.1:7001")
    _expect_records(third, _ask(third, handle), [], "after-600-s")


@swarm("PX-0515", "PX-042", "fetch record dials actions")
def flag_reachable(t: Trial) -> None:
    """The subject dials a peer, and another peer comes to it. Asked for peers, the subject says that it reached the
    first at an address of its record, and not the second."""
    _reached(t, SECOND, flags={"dialled": 1, "came": 0})


@swarm("PX-0516", "PX-042", "fetch record dials actions")
def flag_of_another_address(t: Trial) -> None:
    """The subject dials a peer at an address that is not in the peer's record. Asked for peers, it does not say that it
    reached an address of the record."""
    _reached(t, "11.60.0.1:7001", flags={"dialled": 0, "came": 0})


def _reached(t: Trial, at: str, flags: dict[str, int]) -> None:
    link, _ = source(t)
    t.do("fetch", oid=OTHER.oid.hex(), peers=[at])
    dial = expect_dials(t, link, at)[0]
    names: dict[bytes, str] = {}
    met = t.answer_dial(dial, "dialled")
    met.shake()
    raw = peer_record(met.identity, UNIX_TIME, addresses=[split(SECOND)])
    names[raw] = "dialled"
    met.hello(parameters=[parameter(2, raw)])
    met.topic_joined(OTHER)
    met.send(met.join_frame(OTHER))
    _, _, raw = joined(t, "came", THIRD, own=THIRD, shared=OTHER)
    names[raw] = "came"
    asking, handle, _ = joined(t, "asking", "11.4.0.1:7001", shared=OTHER)
    frames = _ask(asking, handle)
    found = {names.get(one["record"], "?"): one["flags"] & 1 for frame in frames for one in frame["added"]}
    if found != flags:
        asking.fail("reachable", Kind.WRONG, f"flag 1 as {flags}", str(found))


@swarm("PX-0517", "PX-057", "share record")
def not_what_cannot_be_dialled(t: Trial) -> None:
    """Two peers with private and loopback addresses open a topic. One that asks from a global address is told of
    neither; one that asks from a private address of the first; one over loopback of both."""
    sharing(t)
    _, _, private = joined(t, "private", LAN, own="192.168.7.7:7001")
    _, _, loopback = joined(t, "loopback", HERE, own="127.0.0.1:7099")
    for name, come_from, due in (
        ("global", FAR, []),
        ("near", "192.168.1.1:7001", [private]),
        ("here", "127.0.0.1:7002", [private, loopback]),
    ):
        link, handle, _ = joined(t, name, come_from)
        _expect_records(link, _ask(link, handle), due, f"told-{name}")


@swarm("PX-0518", "PX-057", "share record")
def relayed_peers(t: Trial) -> None:
    """A peer whose record has nothing but a private address and a relay opens a topic. One that asks from a global
    address is told of it."""
    sharing(t)
    identity = Identity("relayed")
    relay = Tree("Address", type=3, value=Identity("relay").public)
    raw = peer_record(identity, UNIX_TIME, addresses=[split("192.168.7.7:7001"), relay])
    first = t.peer("relayed", SECOND, identity, parameters=[parameter(2, raw)], idle=600)
    first.open_topic(SHARED)
    link, handle, _ = joined(t, "asking", FAR)
    _expect_records(link, _ask(link, handle), [raw], "relayed")


@swarm("PX-0519", "PX-029", "share record")
def expired_records_are_not_told(t: Trial) -> None:
    """A peer with a record that ends in 30 s opens a topic. One that asks a minute later is not told of it."""
    sharing(t)
    identity = Identity("late")
    raw = peer_record(identity, UNIX_TIME - 630, ttl=60, addresses=[split(SECOND)])
    first = t.peer("late", SECOND, identity, parameters=[parameter(2, raw)], idle=600)
    first.open_topic(SHARED)
    t.pass_time(60.0, first)
    link, handle, _ = joined(t, "asking", FAR)
    _expect_records(link, _ask(link, handle), [], "expired")


# --- when, and how often ---


@swarm("PX-0520", "PX-043 PX-059", "share record")
def told_unasked(t: Trial) -> None:
    """Two peers are in a topic, one of which wants PEERS. When a third comes, the subject tells the one at once and the
    other nothing."""
    t.need("peers", "told")
    sharing(t)
    wants, _, _ = joined(t, "wants", FAR, flags=WANTS_PEERS)
    not_, _, _ = joined(t, "not", "11.5.0.1:7001")
    _, _, raw = joined(t, "newcomer", SECOND, own=SECOND)
    _expect_records(wants, told(wants), [raw], "wants")
    _expect_records(not_, told(not_), [], "unasked")


@swarm("PX-0521", "PX-044", "share record")
def peers_frames_a_minute(t: Trial) -> None:
    """Five peers come to a topic one after another. One that wants PEERS hears of some at once in two frames at most,
    and of the others in one frame within a minute."""
    t.need("peers", "told")
    sharing(t)
    link, _, _ = joined(t, "wants", FAR, flags=WANTS_PEERS)
    frames: list[Frame] = []
    for number in range(5):
        joined(t, f"p{number}", f"11.2{number}.0.1:7001", own=f"11.2{number}.0.1:7001")
        frames += told(link)
    expect_count(link, len(frames), 1, 2, "PEERS at once", "burst")
    t.pass_time(61.0, link)
    later = told(link)
    expect_count(link, len(later), 1, 1, "PEERS within the next minute", "refill")
    expect_count(link, len(records_in([*frames, *later])), 5, 5, "records in all", "all")


@swarm("PX-0522", "PX-044", "share record")
def asked_for_more_often(t: Trial) -> None:
    """Peers come to a topic one after another, and another peer asks for peers each time. It gets two answers at once,
    and no third within the minute."""
    sharing(t)
    link, handle, _ = joined(t, "asking", FAR)
    frames: list[Frame] = []
    for number in range(5):
        joined(t, f"p{number}", f"11.2{number}.0.1:7001", own=f"11.2{number}.0.1:7001")
        frames += _ask(link, handle)
    expect_count(link, len(frames), 2, 2, "PEERS at once", "burst")


@swarm("PX-0523", "PX-045", "share record")
def records_at_once(t: Trial) -> None:
    """Of 23 peers with records all are in three topics. One that opens all and asks in all, twice, gets at most 64
    records at once, and more within a minute."""
    topics = [SHARED, OTHER, blob(1000, 2)]
    sharing(t, share=[one.recipe for one in topics])
    for number in range(23):
        at = f"11.{100 + number}.0.1:7001"
        first, _, _ = joined(t, f"p{number}", at, own=at)
        for one in topics[1:]:
            first.open_topic(one)
    link, handle, _ = joined(t, "asking", FAR)
    handles = [handle, *(link.open_topic(one)[0] for one in topics[1:])]
    frames = [frame for _ in range(2) for one in handles for frame in _ask(link, one)]
    expect_count(link, len(records_in(frames)), 60, 64, "records at once", "burst")
    t.pass_time(61.0, link)
    frames += [frame for one in handles for frame in _ask(link, one)]
    expect_count(link, len(records_in(frames)), 65, 69, "records after a minute", "refill")


@swarm("PX-0524", "PX-050", "share record")
def nothing_to_tell(t: Trial) -> None:
    """Asks for peers where there are none, and for none where there is one. No PEERS comes."""
    sharing(t)
    link, handle, _ = joined(t, "asking", FAR)
    expect_count(link, len(_ask(link, handle)), 0, 0, "PEERS where nobody is", "nobody")
    joined(t, "first", SECOND, own=SECOND)
    expect_count(link, len(_ask(link, handle, 0)), 0, 0, "PEERS of at most 0 records", "none-wanted")


@swarm("PX-0525", "PX-052", "share record")
def not_told_twice(t: Trial) -> None:
    """Asks for peers twice, and again after the peer has come back with a newer record. It is told the record once, and
    the newer one once."""
    sharing(t)
    first, _, raw = joined(t, "first", SECOND, own=SECOND)
    link, handle, _ = joined(t, "asking", FAR)
    _expect_records(link, _ask(link, handle), [raw], "first")
    _expect_records(link, _ask(link, handle), [], "again")
    newer = peer_record(first.identity, UNIX_TIME + 60, addresses=[split(SECOND)])
    first.send(Tree("Close", code=0, frame_type=255))
    back = t.peer("back", SECOND, first.identity, parameters=[parameter(2, newer)], idle=600)
    back.open_topic(SHARED)
    t.pass_time(61.0, link, back)
    _expect_records(link, _ask(link, handle), [newer], "newer")


@swarm("PX-0526", "PX-053 PX-052", "share record")
def withdrawn(t: Trial) -> None:
    """A peer that was told leaves the topic. One that wants PEERS is told so, and is told the record anew when the peer
    is back."""
    t.need("peers", "told")
    sharing(t)
    link, _, _ = joined(t, "wants", FAR, flags=WANTS_PEERS)
    first, handle, raw = joined(t, "first", SECOND, own=SECOND)
    _expect_records(link, told(link), [raw], "told")
    first.send(Tree("Leave", handle=handle))
    first.expect("Leave")
    t.pass_time(121.0, link, first)
    dropped = [name for one in told(link) for name in one["dropped"]]
    if dropped != [first.identity.public]:
        link.fail("dropped", Kind.WRONG, "the identity of the peer that has left", f"{len(dropped)} came")
    first.send(first.join_frame(SHARED, handle=handle))
    t.pass_time(61.0, link, first)
    _expect_records(link, told(link), [raw], "told-anew")


@swarm("PX-0527", "PX-055@2", "share record")
def at_most_so_many(t: Trial) -> None:
    """Asks for two peers where there are five. One PEERS with two records comes, and then no other."""
    sharing(t)
    for number in range(5):
        joined(t, f"p{number}", f"11.2{number}.0.1:7001", own=f"11.2{number}.0.1:7001")
    link, handle, _ = joined(t, "asking", FAR)
    found = _ask(link, handle, 2)
    expect_count(link, len(found), 1, 1, "PEERS", "one")
    expect_count(link, len(records_in(found)), 2, 2, "records", "max")
    expect_count(link, len(told(link)), 0, 0, "PEERS more", "no-more")


@swarm("PX-0528", "PX-056 PX-055@2", "share record")
def the_later_question_counts(t: Trial) -> None:
    """Asks for peers until the subject may send no more for a minute, and then for nine and for one. One PEERS with one
    record comes when it may."""
    sharing(t)
    for number in range(5):
        joined(t, f"p{number}", f"11.2{number}.0.1:7001", own=f"11.2{number}.0.1:7001")
    link, handle, _ = joined(t, "asking", FAR)
    for _ in range(2):
        expect_count(link, len(records_in(_ask(link, handle, 1))), 1, 1, "records", "first")
    link.send(Tree("GetPeers", handle=handle, max=9), Tree("GetPeers", handle=handle, max=1))
    expect_count(link, len(told(link)), 0, 0, "PEERS beyond the bucket", "bucket")
    t.pass_time(125.0, link)
    found = told(link)
    expect_count(link, len(found), 1, 1, "PEERS", "one-answer")
    expect_count(link, len(records_in(found)), 1, 1, "records", "the-later")


@swarm("PX-0529", "PX-055@2 PX-058", "share record")
def its_own_record_counts(t: Trial) -> None:
    """Asks a subject that listens for peers where there is one beside it, whose record comes at most once. What comes
    are that record and the subject's own, at most."""
    sharing(t, listening=[OWN])
    _, _, raw = joined(t, "first", SECOND, own=SECOND)
    link, handle, _ = joined(t, "asking", FAR)
    found = records_in(_ask(link, handle))
    others = [one for one in found if one[1:33] != link.peer]
    if others != [raw] or len(found) > 2:
        link.fail("records", Kind.WRONG, "the record of the peer", f"{len(found)} records came")
