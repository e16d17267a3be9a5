"""Peers who meet through each other, and take one resource from all who have it."""

from __future__ import annotations

import pytest

from p2pwire.content.merkle import BLOCK
from p2pwire.node.address import Endpoint
from p2pwire.node.events import (
    BlocksStored,
    ContentKnown,
    FetchComplete,
    ObjectKnown,
    PeerConnected,
    PeerDisconnected,
    PeerLearned,
)
from p2pwire.node.node import NodeConfig
from p2pwire.node.serving import ServingConfig
from p2pwire.node.swarm import Phase
from p2pwire.storage.memory import SharedMemory, share_bytes, share_folder
from p2pwire.testing.network import Network
from p2pwire.wire.registry import INITIAL_CREDIT
from tests.node.hosts import blob, connected, folder, has_content, hosts, of, original, when


def test_alice_learns_of_charlie_from_bob_and_takes_from_both_at_once() -> None:
    network = Network("story")
    bob, charlie, alice = hosts(network, "bob", "charlie", "alice")
    content = folder(20, 400_000)
    topic = bob.share(content)
    charlie.fetch(content, bob)
    when(30, network, lambda: charlie.complete(topic))
    bob.uplink = charlie.uplink = 500_000
    began = network.now
    alice.fetch(content, bob)
    when(60, network, lambda: alice.complete(topic))

    assert has_content(alice, content)
    (learned,) = of(alice, PeerLearned)
    assert (learned.topic, learned.identity, learned.learned_from) == (topic, charlie.identity, bob.identity)
    found = {event.identity: event for event in of(alice, PeerConnected)}
    assert found[bob.identity].learned_from is None
    dialled = [event for event in of(alice, PeerConnected) if event.identity == charlie.identity and event.outbound]
    assert all(event.learned_from == bob.identity for event in dialled)
    sources = of(alice, FetchComplete)[0].sources
    assert set(sources) == {bob.identity, charlie.identity}
    assert sum(sources.values()) == content.manifest.total_length if content.manifest else False
    # From both at once: sooner than either alone could have sent it.
    assert network.now - began < content.manifest.total_length / 500_000 * 0.8


def test_a_downloader_serves_on_what_it_has_before_it_has_all() -> None:
    network = Network("chain")
    bob, charlie, alice = hosts(network, "bob", "charlie", "alice")
    content = blob(200)
    topic = bob.share(content)
    bob.uplink = 400_000
    charlie.fetch(content, bob)
    alice.fetch(content, charlie)
    when(60, network, lambda: alice.complete(topic) and charlie.complete(topic))
    assert has_content(alice, content)
    assert has_content(charlie, content)
    # Alice took from Charlie while Charlie was not complete; without that Bob would have sent everything twice.
    assert network.now < 2 * content.info.length / 400_000
    from_charlie = of(alice, FetchComplete)[0].sources[charlie.identity]
    assert from_charlie > content.info.length // 10


@pytest.mark.parametrize(
    "content",
    [
        share_bytes(b""),
        share_bytes(b"x"),
        blob(1),
        blob(2.5),
        share_folder({}),
        share_folder({"only an empty file": b""}),
        share_folder({"nothing": None}),
        folder(4),
        share_folder({f"a rather long name, so that the manifest takes some blocks {n:060}": b"" for n in range(600)}),
    ],
    ids=["empty", "byte", "block", "blocks", "no files", "empty file", "directory", "folder", "large manifest"],
)
def test_every_form_of_content_travels(content: SharedMemory) -> None:
    network = Network("forms")
    bob, alice = hosts(network, "bob", "alice")
    bob.share(content)
    topic = alice.fetch(content, bob)
    when(20, network, lambda: alice.complete(topic))
    assert alice.content(topic) == original(content)
    progress = alice.node.progress(topic)
    assert progress.phase is Phase.COMPLETE
    assert progress.done == progress.total == sum(progress.sources.values())


def test_events_tell_a_fetch_in_order() -> None:
    network = Network("order")
    bob, alice = hosts(network, "bob", "alice")
    content = folder(3)
    topic = bob.share(content)
    alice.fetch(content, bob)
    when(20, network, lambda: alice.complete(topic))
    told = [event for event in alice.events if not isinstance(event, PeerConnected | BlocksStored)]
    assert [type(event) for event in told] == [ObjectKnown, ContentKnown, FetchComplete]
    assert sum(event.size for event in of(alice, BlocksStored)) == of(alice, FetchComplete)[0].total


def test_a_fetch_that_begins_before_there_is_anyone_is_served_as_soon_as_there_is() -> None:
    network = Network("early")
    bob, alice = hosts(network, "bob", "alice")
    content = blob(3)
    topic = alice.fetch(content, bob)
    network.run(5)
    assert alice.node.progress(topic).peers == 0
    assert connected(alice) == {bob.identity}
    bob.share(content)
    when(2, network, lambda: alice.complete(topic))  # Bob remembers who asked, and need not be asked again


def test_a_peer_that_comes_later_is_dialled_again() -> None:
    network = Network("late")
    (alice,) = hosts(network, "alice")
    content = blob(3)
    topic = alice.fetch(content, Endpoint.parse("2.2.0.1", 7000))
    network.run(100)
    (bob,) = hosts(network, "bob")
    bob.share(content)
    when(200, network, lambda: alice.complete(topic))


def test_peers_that_do_not_listen_are_served_and_serve() -> None:
    network = Network("closed")
    alice, bob = hosts(network, "alice", "bob", listens=False)
    (meeting_place,) = hosts(network, "charlie")
    content = blob(40)
    topic = bob.share(content)
    meeting_place.fetch(content)
    bob.node.add_peers(topic, [meeting_place.endpoint], network.now)
    bob.pump()
    alice.fetch(content, meeting_place)
    when(20, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert has_content(meeting_place, content)


def test_many_resources_over_one_link() -> None:
    network = Network("many")
    bob, alice = hosts(network, "bob", "alice")
    contents = [blob(2, seed=n) for n in range(150)]
    for content in contents:
        bob.share(content)
        alice.fetch(content, bob)
    # There are 64 handles, and a node may not flood: the rest waits until some are given back.
    forgotten = 0
    while forgotten < len(contents):
        done = [content.info.topic for content in contents if alice.complete(content.info.topic)]
        network.run(0.5)
        for topic in done:
            alice.forget(topic)
            forgotten += 1
        assert network.now < 60
    assert [event.link for event in of(alice, PeerConnected)] == [1]
    assert not of(alice, PeerDisconnected)
    assert len(of(alice, FetchComplete)) == len(contents)
    assert all(alice.content(content.info.topic) == original(content) for content in contents)


def test_topics_of_one_link_take_turns() -> None:
    network = Network("turns")
    bob, alice = hosts(network, "bob", "alice")
    contents = [blob(300, seed=n) for n in range(4)]
    topics = [bob.share(content) for content in contents]
    bob.uplink = 2_000_000
    for content in contents:
        alice.fetch(content, bob)
    when(30, network, lambda: sum(alice.node.progress(topic).done for topic in topics) > 10_000_000)
    done = [alice.node.progress(topic).done for topic in topics]
    # The first is ahead by what a newcomer is granted, and by two turns; after that they are served alike.
    assert max(done) - min(done) < (INITIAL_CREDIT + 2 * ServingConfig().chunk_blocks) * BLOCK


def test_a_sequential_fetch_comes_in_order() -> None:
    network = Network("reader")
    bob, alice = hosts(network, "bob", "alice")
    content = blob(300)
    topic = bob.share(content)
    bob.uplink = 1_000_000
    alice.fetch(content, bob, sequential=True)
    when(30, network, lambda: alice.node.progress(topic).done > content.info.length // 2)
    held = alice.node._core.swarms[topic].held
    first = next(iter(held.spans()))
    assert first[0] == 0
    assert first[1] + 1 > held.count * 0.9


def test_a_share_and_a_fetch_of_the_same_object_exclude_each_other() -> None:
    network = Network("both")
    bob, alice = hosts(network, "bob", "alice")
    content = blob(3)
    topic = bob.share(content)
    with pytest.raises(ValueError, match="shared or fetched already"):
        bob.fetch(content, alice)
    alice.fetch(content, bob)
    with pytest.raises(ValueError, match="shared or fetched already"):
        alice.fetch(content, bob)
    when(10, network, lambda: alice.complete(topic))
    alice.forget(topic)
    alice.share(content)
    assert alice.node.progress(topic).phase is Phase.COMPLETE


def test_a_second_fetch_uses_the_link_that_there_is() -> None:
    network = Network("second")
    bob, alice = hosts(network, "bob", "alice")
    first, second, third = blob(3, "first"), blob(3, "second"), blob(3, "third")
    for content in (first, second, third):
        bob.share(content)
    one = alice.fetch(first, bob)
    when(10, network, lambda: alice.complete(one))
    two = alice.fetch(second, bob)
    when(10, network, lambda: alice.complete(two))
    # Known by its identity alone, which is as good as an address while there is a link.
    three = alice.node.fetch(third.info.oid, network.now, identity=bob.identity)
    alice.pump()
    when(10, network, lambda: alice.complete(three))
    assert [event.link for event in of(alice, PeerConnected)] == [1]


def test_an_address_given_again_stands_for_the_peer_that_is_linked_by_a_dial_of_its_own() -> None:
    network = Network("met")
    bob, alice = hosts(network, "bob", "alice")
    first, second, third = blob(3, "first"), blob(3, "second"), blob(3, "third")
    alice.share(first)
    for content in (second, third):
        bob.share(content)
    one = bob.fetch(first, alice)
    when(10, network, lambda: bob.complete(one))
    # Bob dialled. Alice has to dial once to learn who is at the address; the second time she knows.
    for content, most in ((second, 10), (third, 1)):
        topic = alice.fetch(content, bob)
        when(most, network, lambda topic=topic: alice.complete(topic))
    assert network.connections(alice, bob) == 1


def test_a_private_network_is_one_of_its_own() -> None:
    network = Network("private")
    inside = NodeConfig(psk=b"k" * 32)
    bob, alice = (network.host(name, f"{n}.2.0.1", inside) for n, name in ((1, "bob"), (2, "alice")))
    (outsider,) = hosts(network, "outsider")
    content = blob(3)
    topic = bob.share(content)
    alice.fetch(content, bob)
    outsider.fetch(content, bob)
    when(10, network, lambda: alice.complete(topic))
    network.run(10)
    assert not of(outsider, PeerConnected)
    assert connected(bob) == {alice.identity}


def test_suites_are_agreed_on_by_a_second_attempt() -> None:
    network = Network("suites")
    bob = network.host("bob", "1.2.0.1", NodeConfig(suites=(1,)))
    alice = network.host("alice", "2.2.0.1", NodeConfig(suites=(2, 1)))
    content = blob(3)
    topic = bob.share(content)
    alice.fetch(content, bob)
    when(1, network, lambda: alice.complete(topic))
    assert len(of(alice, PeerConnected)) == 1
