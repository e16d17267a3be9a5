"""Nodes whose disks are slow, full, torn or gone: what was verified stays, and nothing wrong is ever shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import attrs
import pytest

from p2pwire.connection.transfer import MAX_RUN
from p2pwire.content.manifest import Manifest, ManifestError
from p2pwire.content.merkle import BLOCK
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.units import BlockMap, Layout
from p2pwire.node import actions as act
from p2pwire.node.asking import BACKLOG
from p2pwire.node.downloads import LengthError
from p2pwire.node.events import (
    BlocksStored,
    FetchComplete,
    FetchFailed,
    PeerBanned,
    PeerConnected,
    PeerDisconnected,
    ShareFailed,
)
from p2pwire.node.swarm import Phase
from p2pwire.storage.memory import SharedMemory, share_bytes
from p2pwire.testing.network import Host, Network
from p2pwire.wire.registry import DEFAULT_IDLE, MANIFEST_FILE, MAX_UNWRITTEN_BLOCKS, ObjectKind
from tests.node.hosts import blob, folder, has_content, hosts, lasting, of, original, when

DISK_ACTIONS = (act.OpenDownload, act.StoreManifest, act.WriteBlocks, act.FinishDownload)


class DiskFullError(Exception):
    """What a disk says that is told to fail."""


def failing(kind: type, error: Exception, after: int = 0) -> Callable[[act.DiskAction], Exception | None]:
    """A disk that fails at one kind of work, after it has succeeded a few times."""
    left = after

    def fault(action: act.DiskAction) -> Exception | None:
        nonlocal left
        if not isinstance(action, kind):
            return None
        left -= 1
        return error if left < 0 else None

    return fault


@pytest.mark.parametrize("content", [blob(60), folder(12, 8 * BLOCK)], ids=["blob", "folder"])
def test_holders_of_parts_that_come_back_complete_it_together(content: SharedMemory) -> None:
    """The source is gone as soon as nobody needs it, and the others come back: their disks say what it is."""
    network = Network("parts")
    source, bob, alice = hosts(network, "source", "bob", "alice")
    topic = source.share(content)
    source.uplink = 500_000
    bob.fetch(content, source, alice)
    alice.fetch(content, source, bob)

    def all_there() -> bool:
        held = [host.node._core.swarms[topic].held for host in (bob, alice)]
        return all(part.total for part in held) and all(
            any(block in part for part in held) for block in range(content.held.total)
        )

    when(60, network, all_there)
    assert not bob.complete(topic)
    for host in (source, bob, alice):
        host.crash()
    for host in (bob, alice):
        host.start()
    when(100, network, lambda: bob.complete(topic) and alice.complete(topic))
    assert has_content(bob, content)
    assert has_content(alice, content)


def test_a_node_is_told_of_the_object_that_it_fetches_and_of_no_other() -> None:
    network = Network("told")
    (alice,) = hosts(network, "alice")
    content, other = blob(3), blob(4)
    topic = alice.fetch(content)
    with pytest.raises(ValueError, match="info: it is of another topic"):
        alice.node.describe(topic, other.info, network.now)
    nothing = ObjectInfo(7, 1, bytes(32))
    with pytest.raises(ValueError, match="info: kind: 7 is unknown"):
        alice.node.describe(nothing.topic, nothing, network.now)
    alice.node.describe(other.info.topic, other.info, network.now)  # it is not fetched
    assert alice.node.progress(topic).phase is Phase.SEEKING
    alice.node.describe(topic, content.info, network.now)
    alice.node.describe(topic, content.info, network.now)
    alice.pump()
    network.run(1)
    assert alice.node.progress(topic).phase is Phase.CONTENT
    assert alice.node.progress(topic).total == content.info.length


def fetching(content: SharedMemory, seed: str = "disk") -> tuple[Network, Host, Host, bytes]:
    """Alice fetches from Bob."""
    network = Network(seed)
    bob, alice = hosts(network, "bob", "alice")
    topic = bob.share(content)
    bob.uplink = 4_000_000
    alice.fetch(content, bob)
    return network, bob, alice, topic


# --- crashes ---


@pytest.mark.parametrize("seed", range(6))
def test_after_a_crash_only_what_was_not_written_is_fetched_again(seed: int) -> None:
    content = blob(200.3, seed) if seed % 2 else folder(30, 200_000, seed)
    network, _, alice, topic = fetching(content, f"crash {seed}")
    alice.disk.delay = 0.05
    when(60, network, lambda: sum(event.blocks for event in of(alice, BlocksStored)) > 50)
    alice.crash()
    stored = alice.disk.storage.open_download(content.info, topic.hex())
    held = stored.held.count
    stored.close()
    assert 0 < held < content.held.total
    network.run(3)
    alice.start()
    before = sum(event.blocks for event in of(alice, BlocksStored))
    when(60, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert sum(event.blocks for event in of(alice, BlocksStored)) - before == content.held.total - held
    assert alice.node.progress(topic).done == alice.node.progress(topic).total


def test_a_crash_in_every_phase_leads_to_the_same_end() -> None:
    content = folder(5, 50_000)
    for kind in DISK_ACTIONS:
        network, _, alice, topic = fetching(content, f"phase {kind.__name__}")
        crashed = []

        def fault(action: act.DiskAction, kind: type = kind, alice: Host = alice, crashed: list[int] = crashed) -> None:
            if isinstance(action, kind) and not crashed:
                crashed.append(1)
                alice.network.after(0, alice.crash)
                alice.network.after(2, alice.start)

        alice.disk.fault = fault
        when(60, network, lambda alice=alice, topic=topic: alice.complete(topic))
        assert crashed
        assert has_content(alice, content)


def test_the_source_crashes_and_comes_back() -> None:
    content = blob(300)
    network, bob, alice, topic = fetching(content)
    when(10, network, lambda: alice.node.progress(topic).done > BLOCK * 50)
    bob.crash()
    network.run(5)
    assert not alice.complete(topic)
    assert lasting(alice) == []
    bob.start()
    when(60, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert sum(event.blocks for event in of(alice, BlocksStored)) == content.held.total


def test_the_power_of_the_source_fails_and_returns_at_once() -> None:
    content = blob(300)
    network, bob, alice, topic = fetching(content)
    when(10, network, lambda: alice.node.progress(topic).done > BLOCK * 50)
    bob.crash(silently=True)
    bob.start()
    # Alice's link looks alive, but whatever she says on it is answered by a reset.
    when(100, network, lambda: alice.complete(topic))
    assert has_content(alice, content)


# --- slow disks ---


def test_a_slow_disk_bounds_what_waits_for_it() -> None:
    content = blob(2000)
    network, bob, alice, topic = fetching(content)
    bob.uplink = None
    alice.disk.delay = 0.2
    links = alice.node._core.links
    waiting: list[int] = []

    def watch() -> None:
        waiting.append(max((link.unwritten for link in links.values()), default=0))
        network.after(0.01, watch)

    watch()
    when(60, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert MAX_UNWRITTEN_BLOCKS + 1 - MAX_RUN < max(waiting) <= MAX_UNWRITTEN_BLOCKS + 1
    assert not of(alice, PeerDisconnected)


def test_a_few_blocks_do_not_wait_long_for_others() -> None:
    network = Network("few")
    alice, bob = hosts(network, "alice", "bob")
    content = blob(100)
    bob.uplink = 100_000
    bob.share(content)
    topic = alice.fetch(content, bob)
    when(30, network, lambda: alice.node.progress(topic).done > 0)
    links = alice.node._core.links
    for _ in range(100):
        network.run(0.05)
        # At six blocks a second: what the last record had.
        assert sum(link.unwritten for link in links.values()) <= 3
    assert 30 <= sum(event.blocks for event in of(alice, BlocksStored)) < 100


@pytest.mark.parametrize("seconds", [100, 1000])
def test_a_disk_that_stands_still_costs_no_link_unless_the_other_side_gives_up(seconds: int) -> None:
    content = blob(1000)
    network, bob, alice, topic = fetching(content)
    bob.uplink = None
    when(10, network, lambda: alice.node.progress(topic).done > BLOCK * 20)
    alice.disk.delay = seconds  # own timers stand still while this side does not read
    network.run(seconds - 10)
    alice.disk.delay = 0.0
    when(seconds, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert (len(of(alice, PeerConnected)) == 1) is (seconds < DEFAULT_IDLE)


def test_reads_that_end_in_any_order_are_sent_in_order() -> None:
    content = folder(10, 400_000)
    network, bob, alice, topic = fetching(content)
    bob.disk.jitter = 0.5
    when(100, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert not of(bob, PeerDisconnected)


def test_many_sources_and_reconnections_do_not_fill_the_memory_either() -> None:
    network = Network("backlog")
    *sources, alice = hosts(network, *(f"bob {n}" for n in range(8)), "alice")
    content = blob(3500)
    topic = content.info.topic
    for bob in sources:
        bob.share(content)
    alice.fetch(content, *sources)
    swarm = alice.node._core.swarms[topic]
    when(10, network, lambda: swarm.phase is Phase.CONTENT)
    alice.disk.delay = 200.0
    for _ in range(6):
        network.run(30)
        for bob in sources:
            network.cut(alice, bob)
        assert swarm.backlog <= BACKLOG + len(sources) * (MAX_UNWRITTEN_BLOCKS + 1)
    assert swarm.backlog > BACKLOG
    alice.disk.delay = 0.0
    when(300, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert swarm.backlog == 0


# --- disks that fail ---


@pytest.mark.parametrize("kind", DISK_ACTIONS)
def test_a_disk_that_fails_ends_the_fetch_with_its_own_error(kind: type) -> None:
    content = folder(20, 100_000)
    network, bob, alice, topic = fetching(content)
    error = DiskFullError("no space left")
    alice.disk.fault = failing(kind, error, after=3 if kind is act.WriteBlocks else 0)
    when(20, network, lambda: alice.failure(topic) is not None)
    network.run(200)
    assert alice.failure(topic) is error
    assert [event.error for event in of(alice, FetchFailed)] == [error]
    assert not of(alice, FetchComplete)
    assert alice.node.progress(topic).phase is Phase.FAILED
    # The topic is left on all links, and nothing is asked for or waits any more.
    assert alice.node.progress(topic).peers == bob.node.progress(topic).peers == 0
    core = alice.node._core
    assert all(not link.asked and not link.unwritten and not link.stalled for link in core.links.values())
    assert not core.swarms[topic].unwritten
    # What was verified is kept: another attempt goes on from there.
    alice.disk.fault = lambda action: None
    alice.forget(topic)
    alice.fetch(content, bob)
    done = alice.node.progress(topic).done
    when(100, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert done == 0


def test_one_fetch_that_fails_does_not_disturb_another_on_the_same_link() -> None:
    network = Network("one of two")
    bob, alice = hosts(network, "bob", "alice")
    bad, good = blob(300, "bad"), blob(300, "good")
    for content in (bad, good):
        bob.share(content)
        alice.fetch(content, bob)
    alice.disk.delay = 0.02

    def fault(action: act.DiskAction) -> Exception | None:
        failing_now = isinstance(action, act.WriteBlocks) and action.topic == bad.info.topic
        return DiskFullError() if failing_now and alice.node.progress(bad.info.topic).done else None

    alice.disk.fault = fault
    when(60, network, lambda: alice.complete(good.info.topic))
    assert isinstance(alice.failure(bad.info.topic), DiskFullError)
    assert has_content(alice, good)
    assert [event.link for event in of(alice, PeerConnected)] == [1]


@pytest.mark.parametrize("steps", range(0, 60, 3))
def test_a_resource_may_be_forgotten_at_any_moment(steps: int) -> None:
    content, other = folder(5, 60_000), blob(5, "other")
    network, bob, alice, topic = fetching(content, "forget")
    bob.share(other)
    alice.disk.delay = 0.01
    network.run(0.02 * steps)
    alice.forget(topic)
    if steps % 2:
        bob.forget(topic)
        bob.share(content)
    second = alice.fetch(other, bob)
    when(10, network, lambda: alice.complete(second))
    alice.fetch(content, bob)
    when(120, network, lambda: alice.complete(topic))
    assert has_content(alice, content)
    assert not of(alice, FetchFailed)
    assert all(not link.in_flight and not link.asked for link in alice.node._core.links.values())


# --- content that is not what it should be ---


@attrs.frozen
class Careless:
    """Bytes that someone takes for a manifest."""

    data: bytes
    layout: Layout = attrs.field(factory=lambda: Layout.of_lengths(()))
    total_length: int = 0


def manifest_like(raw: bytes) -> SharedMemory:
    """An object of kind 1 whose bytes are whatever they are, shared by someone who does not look."""
    made = share_bytes(raw)
    info = ObjectInfo(ObjectKind.MANIFEST, made.info.length, made.info.root)
    trees = {MANIFEST_FILE: made.trees[0]} if 0 in made.trees else {}
    return SharedMemory(info, cast(Manifest, Careless(raw)), None, trees, BlockMap(0), [])


@pytest.mark.interpreted
@pytest.mark.parametrize("blocks", [1, 5])
def test_an_invalid_manifest_ends_the_fetch_and_is_held_against_nobody(blocks: int) -> None:
    content = manifest_like(b"P2PM\x01" + b"\xff" * (blocks * BLOCK - 5))
    network, bob, alice, topic = fetching(content)
    when(10, network, lambda: alice.failure(topic) is not None)
    assert isinstance(alice.failure(topic), ManifestError)
    network.run(1)
    assert alice.node.progress(topic).peers == 0
    assert bob.node.progress(topic).peers == 0
    assert not of(alice, PeerBanned)
    assert lasting(alice)


def test_another_length_than_expected_ends_the_fetch_before_anything_is_stored() -> None:
    network = Network("length")
    bob, alice = hosts(network, "bob", "alice")
    content = blob(3)
    topic = bob.share(content)
    alice.node.fetch(content.info.oid, 0.0, peers=[bob.endpoint], length=content.info.length - 1)
    alice.pump()
    when(10, network, lambda: alice.failure(topic) is not None)
    assert isinstance(alice.failure(topic), LengthError)
    assert str(alice.failure(topic)) == "length: the object has 49152 bytes, expected are 49151"
    assert alice.content(topic) is None
    network.run(1)
    assert bob.node.progress(topic).peers == 0


# --- shared content that vanishes ---


def test_a_shared_file_that_vanishes_is_told_as_lost_before_the_request_is_refused() -> None:
    content = folder(6, 200_000)
    network, bob, alice, topic = fetching(content)
    assert content.manifest is not None
    gone = max(range(len(content.manifest)), key=content.manifest.layout.blocks_of)

    def fault(action: act.DiskAction) -> Exception | None:
        vanished = isinstance(action, act.ReadBlocks) and action.file == gone
        return FileNotFoundError("gone") if vanished else None

    bob.disk.fault = fault
    network.run(60)
    assert len(of(bob, ShareFailed)) == 1
    assert not alice.complete(topic)
    assert lasting(alice)
    missing = content.manifest.layout.blocks_of(gone) * BLOCK
    total = alice.node.progress(topic).total
    assert total is not None
    assert total - alice.node.progress(topic).done <= missing
    assert bob.node.progress(topic).done < total
    # Somebody else has it.
    (charlie,) = hosts(network, "charlie")
    charlie.share(content)
    alice.node.add_peers(topic, [charlie.endpoint], network.now)
    alice.pump()
    when(30, network, lambda: alice.complete(topic))
    assert alice.content(topic) == original(content)


def test_a_file_that_got_shorter_is_not_sent() -> None:
    content = blob(40)
    network, bob, alice, topic = fetching(content)
    work = bob.disk.work
    bob.disk.work = lambda action: bytes(work(action))[:-1]  # type: ignore[method-assign, call-overload]
    network.run(30)
    assert len(of(bob, ShareFailed)) == 1
    assert "bytes came instead of" in str(of(bob, ShareFailed)[0].error)
    assert not of(alice, PeerBanned)
    assert alice.node.progress(topic).done == 0


def test_a_download_whose_own_blocks_can_not_be_read_fails() -> None:
    network = Network("unreadable")
    bob, charlie, alice = hosts(network, "bob", "charlie", "alice")
    content = blob(200)
    topic = bob.share(content)
    bob.uplink = 300_000
    charlie.disk.fault = failing(act.ReadBlocks, OSError("broken"))
    charlie.fetch(content, bob)
    alice.fetch(content, charlie)
    when(60, network, lambda: charlie.failure(topic) is not None)
    assert isinstance(charlie.failure(topic), OSError)
    when(60, network, lambda: alice.complete(topic))
