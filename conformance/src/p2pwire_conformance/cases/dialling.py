"""PX: how many addresses are dialled, and how often."""

from __future__ import annotations

from typing import Any

from p2pwire_conformance.cases.px import DIALS, HOUR, MINUTE
from p2pwire_conformance.cases.swarm import (
    HERE,
    SOUGHT,
    addresses,
    expect_count,
    expect_dials,
    more,
    peers,
    record,
    source,
    swarm,
)
from p2pwire_conformance.content import BLOCK
from p2pwire_conformance.keys import Identity
from p2pwire_conformance.link import Link
from p2pwire_conformance.message import Tree
from p2pwire_conformance.trial import UNIX_TIME, Trial
from p2pwire_conformance.verdict import Kind


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
