"""Peers and networks that do not do what they should: nobody loses more than the fault itself costs."""

from __future__ import annotations

from random import Random

import pytest

from p2pwire.connection.config import Timeouts
from p2pwire.content.merkle import BLOCK
from p2pwire.node import actions as act
from p2pwire.node.events import (
    BlocksStored,
    FetchComplete,
    PeerBanned,
    PeerConnected,
    PeerDisconnected,
)
from p2pwire.node.node import NodeConfig
from p2pwire.node.swarm import Phase
from p2pwire.node.uploads import UploadConfig
from p2pwire.testing.network import Host, Network
from p2pwire.wire.registry import BAN_TIME, REQUEST_TIMEOUT, SNUB_TIMEOUTS, CloseCode
from tests.node.hosts import all_complete, blob, connected, folder, has_content, hosts, lasting, of, when


def lie(host: Host, *, after: int = 0) -> None:
    """Let a host's disk give wrong bytes, after so many right reads."""
    work = host.disk.work
    left = after

    def lying(action: act.DiskAction) -> object:
        nonlocal left
        found = work(action)
        if isinstance(action, act.ReadBlocks) and isinstance(found, bytes):
            left -= 1
            if left < 0:
                return bytes((found[0] ^ 1,)) + found[1:]
        return found

    host.disk.work = lying  # type: ignore[method-assign]


# --- liars ---


@pytest.mark.parametrize("after", [0, 3])
def test_a_liar_is_banned_at_its_first_bad_block_and_costs_nothing_else(after: int) -> None:
    network = Network(f"liar {after}")
    liar, bob, alice = hosts(network, "liar", "bob", "alice")
    content = folder(10, 500_000)
    topic = liar.share(content)
    bob.share(content)
    liar.uplink = bob.uplink = 1_000_000
    lie(liar, after=after)
    alice.fetch(content, liar, bob)
    when(60, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    (banned,) = of(alice, PeerBanned)
    assert banned.identity == liar.identity
    (over,) = [event for event in of(alice, PeerDisconnected) if event.identity == liar.identity]
    assert over.code is CloseCode.BAD_DATA
    assert not over.by_peer
    # The good blocks that came before the bad one are kept, and none of them was fetched twice.
    sources = of(alice, FetchComplete)[0].sources
    assert (liar.identity in sources) is (after > 0)
    assert sum(event.blocks for event in of(alice, BlocksStored)) == content.held.total
    (seen,) = [event for event in of(liar, PeerDisconnected) if event.identity == alice.identity]
    assert (seen.code, seen.by_peer) == (CloseCode.BAD_DATA, True)


def test_a_banned_peer_is_neither_dialled_nor_let_in_until_its_time_is_over() -> None:
    network = Network("ban")
    liar, alice = hosts(network, "liar", "alice")
    content = blob(10)
    topic = liar.share(content)
    lie(liar)
    alice.fetch(content, liar)
    when(10, network, lambda: bool(of(alice, PeerBanned)))
    network.run(BAN_TIME - 60)
    assert len([event for event in of(alice, PeerConnected) if event.outbound]) == 1
    assert not lasting(alice)
    # It dials too: what was said in time is all that it ever gets.
    liar.fetch(blob(3, "other"), alice)
    network.run(20)
    assert not lasting(alice)
    liar.disk.work = type(liar.disk).work.__get__(liar.disk)  # type: ignore[method-assign]
    when(BAN_TIME, network, lambda: alice.complete(topic))


def test_a_neighbour_of_a_liar_is_not_banned_with_it() -> None:
    network = Network("neighbours")
    liar = network.host("liar", "1.2.0.1", port=7000)
    good = network.host("good", "1.2.0.1", port=7001)
    alice = network.host("alice", "2.2.0.1")
    content = blob(50)
    topic = liar.share(content)
    good.share(content)
    lie(liar)
    alice.fetch(content, liar, good)
    when(20, network, lambda: alice.complete(topic))
    assert [event.identity for event in of(alice, PeerBanned)] == [liar.identity]
    assert set(of(alice, FetchComplete)[0].sources) == {good.identity}


def test_many_liars_and_one_honest_peer() -> None:
    network = Network("liars")
    *liars, bob, alice = hosts(network, *(f"liar {n}" for n in range(6)), "bob", "alice")
    content = blob(300)
    topic = bob.share(content)
    bob.uplink = 2_000_000
    for number, liar in enumerate(liars):
        liar.share(content)
        lie(liar, after=number)
    alice.fetch(content, *liars, bob)
    when(60, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert sum(event.blocks for event in of(alice, BlocksStored)) == content.held.total
    assert {event.identity for event in of(alice, PeerBanned)} <= {liar.identity for liar in liars}


# --- peers that give nothing ---


def silent() -> NodeConfig:
    """A server that never answers, nor says so."""
    return NodeConfig(timeouts=Timeouts(serve=1e9))


def test_a_silent_peer_with_everything_does_not_hold_up_a_fetch() -> None:
    network = Network("silent")
    mute = network.host("mute", "1.2.0.1", silent())
    bob, alice = hosts(network, "bob", "alice")
    content = blob(400)
    topic = bob.share(content)
    mute.share(content)
    mute.disk.delay = 1e9
    bob.uplink = 2_000_000
    alice.fetch(content, mute)
    network.run(1)
    assert alice.node.progress(topic).done == 0
    alice.node.add_peers(topic, [bob.endpoint], network.now)
    alice.pump()
    began = network.now
    when(60, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    # What was asked of the silent one alone is asked of Bob too, at the end, or after the request time at the latest.
    assert network.now - began < REQUEST_TIMEOUT + 10
    assert not [event for event in of(alice, PeerDisconnected) if not event.by_peer]


def test_a_silent_peer_is_snubbed_and_asked_again_when_a_block_comes() -> None:
    network = Network("snub")
    mute = network.host("mute", "1.2.0.1", silent())
    (alice,) = hosts(network, "alice")
    content = blob(50)
    topic = mute.share(content)
    mute.disk.delay = 1e9
    alice.fetch(content, mute)
    network.run(REQUEST_TIMEOUT * SNUB_TIMEOUTS - 1)
    (link,) = alice.node._core.links.values()
    asked = link._last_request
    network.run(REQUEST_TIMEOUT * 20)
    assert link.connection.snub_count >= SNUB_TIMEOUTS
    assert link._last_request - asked <= 5
    assert lasting(alice)  # a timer alone ends no link
    assert alice.node.progress(topic).done == 0


def test_a_peer_that_is_busy_is_left_alone_for_a_while() -> None:
    network = Network("busy")
    bob, alice = hosts(network, "bob", "alice")
    content = blob(30)
    topic = bob.share(content)
    bob.disk.delay = 25.0  # above the time after which a server says BUSY
    alice.fetch(content, bob)
    network.run(300)
    assert not alice.complete(topic)
    assert not of(alice, PeerDisconnected)
    bob.disk.delay = 0.0
    when(60, network, lambda: alice.complete(topic))


def test_choking_takes_turns_and_starves_nobody() -> None:
    network = Network("choke")
    bob = network.host(
        "bob", "1.2.0.1", NodeConfig(uploads=UploadConfig(slots=2, rate_slots=1, reject_when_choked=True))
    )
    others = hosts(network, *(f"{n}" for n in range(6)), listens=False)
    content = blob(300)
    topic = bob.share(content)
    bob.uplink = 3_000_000
    for host in others:
        host.fetch(content, bob)
    when(600, network, all_complete(others, topic))
    assert all(has_content(host, content) for host in others)
    assert not any(of(host, PeerDisconnected) for host in others)


def taken_by(seed: int, *, rate_slots: int) -> list[int]:
    """What one who gives and five who do not took from a host with two slots within 16 s, the giver's first.

    The host has one resource and wants another, which the giver has. The first seconds do not count: there everybody
    spends the credit that all have at the beginning.
    """
    network = Network(f"rider {seed}")
    quick = UploadConfig(
        slots=2, rate_slots=rate_slots, review_interval=1.0, lot_interval=3.0, rate_span=4.0, reject_when_choked=True
    )
    bob = network.host("bob", "1.2.0.1", NodeConfig(uploads=quick))
    giver, *riders = hosts(network, "giver", *(f"rider {n}" for n in range(5)), listens=False)
    first, second = blob(2000, "first"), blob(500, "second")
    topic = bob.share(first)
    giver.share(second)
    bob.uplink, giver.uplink = 1_000_000, 400_000
    for host in (giver, *riders):
        host.fetch(first, bob)
    giver.node.add_peers(second.info.topic, [bob.endpoint], network.now)
    bob.fetch(second)
    network.run(4)
    before = [host.node.progress(topic).done for host in (giver, *riders)]
    network.run(16)
    assert not bob.complete(second.info.topic)
    return [host.node.progress(topic).done - was for host, was in zip((giver, *riders), before, strict=True)]


def test_a_free_rider_gets_less_than_one_who_gives() -> None:
    """One of two slots goes by what was received: half of everything, if nothing else did. Where all are served alike
    it is a sixth, and so twice that tells one from the other, from three seeds together."""
    paid, alike = (
        [sum(taken) for taken in zip(*(taken_by(seed, rate_slots=slots) for seed in range(3)), strict=True)]
        for slots in (1, 0)
    )
    assert paid[0] > sum(paid) / 3
    assert alike[0] < sum(alike) / 3
    assert paid[0] > max(paid[1:])
    assert sum(size > 0 for size in paid[1:]) >= 3  # what is left over goes round


# --- networks ---


def test_partition_and_heal() -> None:
    network = Network("partition")
    bob, alice, charlie, dora = hosts(network, "bob", "alice", "charlie", "dora")
    content = blob(400)
    topic = bob.share(content)
    bob.uplink = 1_000_000
    for host in (alice, charlie, dora):
        host.fetch(content, bob)
    when(20, network, lambda: alice.node.progress(topic).done > 30 * BLOCK)
    network.partition([bob, alice], [charlie, dora])
    network.run(40)
    assert alice.complete(topic)
    assert not charlie.complete(topic)
    assert not dora.complete(topic)
    network.heal()
    when(60, network, all_complete((charlie, dora), topic))
    assert all(has_content(host, content) for host in (alice, charlie, dora))


def test_a_long_partition_ends_links_and_its_end_brings_new_ones() -> None:
    network = Network("long partition")
    bob, alice = hosts(network, "bob", "alice")
    content = blob(400)
    topic = bob.share(content)
    bob.uplink = 1_000_000
    alice.fetch(content, bob)
    when(20, network, lambda: alice.node.progress(topic).done > 30 * BLOCK)
    network.partition([bob])
    network.run(2000)
    assert not lasting(alice)
    assert not lasting(bob)
    network.heal()
    when(1200, network, lambda: alice.complete(topic))
    assert len(lasting(alice)) == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_link_that_is_cut_again_and_again_brings_everything_in_the_end(seed: int) -> None:
    network = Network(f"cuts {seed}")
    bob, alice = hosts(network, "bob", "alice")
    content = blob(300, seed)
    topic = bob.share(content)
    bob.uplink = 1_000_000
    alice.fetch(content, bob)
    random = Random(seed)
    for _ in range(8):
        network.run(random.uniform(0.01, 1.5))
        network.cut(alice, bob)
    when(300, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert sum(event.blocks for event in of(alice, BlocksStored)) == content.held.total


def test_the_peer_with_the_manifest_leaves_while_it_is_fetched() -> None:
    network = Network("manifest")
    bob, charlie, alice = hosts(network, "bob", "charlie", "alice")
    content = folder(2000, 10)  # the manifest is the larger part
    topic = bob.share(content)
    charlie.share(content)
    bob.uplink = charlie.uplink = 100_000
    alice.fetch(content, bob)
    swarm = alice.node._core.swarms[topic]
    when(10, network, lambda: len(swarm.manifest_blocks) > 1)
    alice.node.add_peers(topic, [charlie.endpoint], network.now)
    alice.pump()
    network.run(0.1)
    assert swarm.phase is Phase.MANIFEST
    bob.forget(topic)
    when(60, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert bob.identity in connected(alice)


def test_who_gets_the_manifest_says_so_and_hands_it_on() -> None:
    network = Network("hand on")
    bob, charlie, alice = hosts(network, "bob", "charlie", "alice", listens=False)
    (meeting_place,) = hosts(network, "place")
    content = folder(400, 10)
    topic = bob.share(content)
    # Nobody but Bob has the manifest at first; Alice is linked to Charlie's swarm through one place alone.
    for host in (charlie, alice):
        host.fetch(content, meeting_place)
    meeting_place.fetch(content)
    network.run(5)
    assert not alice.node.progress(topic).done
    bob.node.add_peers(topic, [meeting_place.endpoint], network.now)
    bob.pump()
    when(20, network, all_complete((meeting_place, charlie, alice), topic))


def test_time_that_goes_back_and_timers_that_come_early_do_no_harm() -> None:
    network = Network("clock")
    bob, alice = hosts(network, "bob", "alice")
    content = blob(60)
    topic = bob.share(content)
    bob.uplink = 400_000
    alice.fetch(content, bob)
    random = Random(1)
    for _ in range(40):
        network.run(0.1)
        for host in (bob, alice):
            host.node.handle_timeout(network.now - random.uniform(0, 100), random.uniform(0, 4e9))
            host.pump()
    when(20, network, lambda: alice.complete(topic))
