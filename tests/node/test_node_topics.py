"""More resources than a link has handles: their topics take turns."""

from __future__ import annotations

import pytest

from p2pwire.connection.config import Limits, Role
from p2pwire.connection.tap import Piece
from p2pwire.node.node import NodeConfig
from p2pwire.storage.memory import SharedMemory, share_bytes
from p2pwire.testing.network import Host, Network
from p2pwire.wire.registry import DEFAULT_HANDLES, MAX_HANDLES
from tests.node.hosts import hosts


def objects(count: int, name: str) -> list[SharedMemory]:
    """Small objects, each another one."""
    return [share_bytes(f"{name} {number}".encode() * 50) for number in range(count)]


def exchange(network: Network, *wanted: tuple[Host, Host, list[SharedMemory]], within: float = 600.0) -> None:
    """Who wants what of whom comes, over one link between each two, within so many seconds."""
    for _, holder, contents in wanted:
        for content in contents:
            holder.share(content)
    topics = [
        (seeker, seeker.fetch(content, holder), content) for seeker, holder, contents in wanted for content in contents
    ]
    network.run(within, until=lambda: all(seeker.complete(topic) for seeker, topic, _ in topics))
    missing = [topic for seeker, topic, _ in topics if not seeker.complete(topic)]
    assert not missing, f"{len(missing)} of {len(topics)} did not come"
    for seeker, topic, content in topics:
        assert seeker.content(topic) == content.read_blocks(0, 0, 1)
    for seeker, holder, _ in wanted:
        assert len(seeker.node.peers()) == len(holder.node.peers()) == 1


@pytest.mark.parametrize("count", [100, 300])
def test_more_objects_than_handles(count: int) -> None:
    network = Network(f"objects {count}", latency=0.02)
    bob, alice = hosts(network, "bob", "alice")
    assert count > DEFAULT_HANDLES
    exchange(network, (alice, bob, objects(count, "bob's")))


@pytest.mark.parametrize("count", [100, 300])
def test_more_objects_than_handles_both_ways(count: int) -> None:
    network = Network(f"both ways {count}", latency=0.02)
    bob, alice = hosts(network, "bob", "alice")
    exchange(network, (alice, bob, objects(count, "bob's")), (bob, alice, objects(count, "alice's")))


def test_control_frames_that_wait_for_the_allowance_go_out_together() -> None:
    """More is joined at once than the control frames are for: it is not said in a record for each frame."""
    records = 0

    def heard(speaker: Role, piece: Piece, data: bytes) -> None:
        nonlocal records
        records += piece is Piece.FRAMES

    network = Network("together", latency=0.02)
    limits = Limits(max_handles=MAX_HANDLES)
    bob = network.host("bob", "1.2.0.1", NodeConfig(limits=limits))
    alice = network.host("alice", "1.3.0.1", NodeConfig(limits=limits, tap=lambda role, remote: heard))
    exchange(network, (alice, bob, objects(500, "bob's")))
    assert records < 2 * 500


def test_a_few_of_a_thousand_shared_objects() -> None:
    network = Network("library", latency=0.02)
    bob, alice = hosts(network, "bob", "alice")
    contents = objects(1000, "bob's")
    for content in contents:
        bob.share(content)
    topics = [alice.fetch(content, bob) for content in contents[::10]]
    assert network.run(600.0, until=lambda: all(alice.complete(topic) for topic in topics))


@pytest.mark.parametrize("handles", [1, 2, 3, 5])
def test_hardly_any_handles(handles: int) -> None:
    network = Network(f"handles {handles}", latency=0.02)
    bob = network.host("bob", "1.2.0.1", NodeConfig(limits=Limits(max_handles=handles)))
    alice = network.host("alice", "1.3.0.1")
    exchange(network, (alice, bob, objects(12, "bob's")), (bob, alice, objects(12, "alice's")), within=3600.0)


def test_what_nobody_has_yet_does_not_keep_the_rest_waiting() -> None:
    """Bob seeks half of what Alice seeks, and has it as little: these topics are left for others, and come again."""
    network = Network("nobody", latency=0.02)
    bob, alice, carol = hosts(network, "bob", "alice", "carol")
    held, sought = objects(80, "held"), objects(80, "sought")
    for content in held:
        bob.share(content)
    early = [alice.fetch(content, bob) for content in sought]
    for content in sought:
        bob.fetch(content)
    late = [alice.fetch(content, bob) for content in held]
    assert network.run(900.0, until=lambda: all(alice.complete(topic) for topic in late))
    assert not any(alice.complete(topic) for topic in early)
    for content in sought:
        carol.share(content)
        bob.node.add_peers(content.info.topic, [carol.endpoint], network.now)
    bob.pump()
    assert network.run(3600.0, until=lambda: all(alice.complete(topic) for topic in early))
