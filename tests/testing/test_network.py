"""The network in memory: ways, clocks, disks, and hosts that are driven by hand."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

from p2pwire.node.events import LinkFailed
from p2pwire.storage.memory import share_bytes
from p2pwire.testing.network import START, Clock, Host, Network, Reach, Way, Wire, address
from p2pwire.testing.speaker import Speaker
from p2pwire.wire import messages as msg

CONTENT = share_bytes(bytes(range(256)) * 4096)  # 64 blocks
TOPIC = CONTENT.info.topic


def pair(network: Network, **options: Clock) -> tuple[Host, Host]:
    bob, alice = network.host("bob", "1.2.0.1"), network.host("alice", "1.3.0.1", **options)
    bob.share(CONTENT)
    return bob, alice


def fetched(alice: Host, within: float = 100.0) -> float:
    """When she has everything."""
    assert alice.network.run(within, until=lambda: alice.complete(TOPIC))
    at = alice.completed_at(TOPIC)
    assert at is not None
    return at


@pytest.mark.parametrize("name", ["network", "speaker", "simulation"])
def test_the_examples_in_the_documentation_run(name: str) -> None:
    result = doctest.testmod(import_module(f"p2pwire.testing.{name}"))
    assert result.attempted
    assert not result.failed


def test_a_way_delays_cuts_into_pieces_and_keeps_the_order() -> None:
    network = Network("way")
    bob, alice = pair(network)
    network.set_way(bob, alice, Way(0.5, jitter=0.5, segment=700, ragged=True), Way(0.1))
    alice.fetch(CONTENT, bob)
    assert fetched(alice) > 2  # handshake, JOIN, HAVE, and blocks
    assert alice.content(TOPIC) == CONTENT.read_blocks(0, 0, 64)


def test_a_downlink_bounds_what_comes_from_many() -> None:
    network = Network("downlink")
    bob, alice = pair(network)
    charlie = network.host("charlie", "1.4.0.1")
    charlie.share(CONTENT)
    alice.downlink = CONTENT.info.length / 10
    alice.fetch(CONTENT, bob, charlie)
    assert 10 < fetched(alice) < 13


def test_connections_that_break_by_chance_bring_everything_in_the_end() -> None:
    network = Network("resets")
    bob, alice = pair(network)
    network.usual = Way(segment=8192, resets=0.02)
    alice.fetch(CONTENT, bob)
    fetched(alice, 1000)


def test_who_cannot_be_dialled_dials() -> None:
    network = Network("nat")
    bob, alice = pair(network)
    for reach, reason in ((Reach.SILENT, "no answer in time"), (Reach.REFUSING, "refused")):
        bob.reach = reach
        began = network.now
        alice.fetch(CONTENT, bob)
        network.run(11)
        (failed, *_) = [event for event in alice.events if isinstance(event, LinkFailed)]
        assert failed.reason == reason
        assert not alice.links()
        assert network.now == began + 11
        alice.forget(TOPIC)
        alice.events.clear()
    alice.fetch(CONTENT)
    bob.add_peers(TOPIC, alice)
    fetched(alice)


def test_of_a_half_open_connection_one_side_knows_nothing() -> None:
    network = Network("half-open")
    bob, alice = pair(network)
    bob.uplink = 100_000.0
    alice.fetch(CONTENT, bob)
    network.run(2)
    assert network.half_open(alice, bob) == 1
    assert bob.links() == 1
    fetched(alice)


def test_a_clock_of_ones_own_is_what_the_node_goes_by() -> None:
    clock = Clock(offset=5000, rate=1.01, wrong_by=-100)
    assert clock.time_of(clock.monotonic(123.0)) == pytest.approx(123.0)
    network = Network("clocks")
    bob, alice = pair(network, clock=clock)
    assert (alice.now, alice.unix_time) == (5000, START - 100)
    alice.fetch(CONTENT, bob)
    fetched(alice)
    network.run(1000)
    assert alice.now == pytest.approx(5000 + network.now * 1.01)
    assert network.connections(alice, bob) == 1, "timers run by that clock, and the link lives on"
    with pytest.raises(ValueError, match="rate"):
        Clock(rate=3.0)


def test_a_disk_that_is_full_fails_the_fetch_and_keeps_what_it_has() -> None:
    network = Network("full")
    bob, alice = pair(network)
    bob.uplink = 200_000.0
    alice.disk.capacity = 20 * 16384
    alice.fetch(CONTENT, bob)
    assert network.run(60, until=lambda: alice.failure(TOPIC) is not None)
    assert "are free" in str(alice.failure(TOPIC))
    alice.disk.capacity = None
    alice.forget(TOPIC)
    alice.fetch(CONTENT, bob)
    fetched(alice)
    assert alice.disk.used == CONTENT.info.length, "nothing was written twice"


def test_a_slow_disk_takes_its_time_for_each_byte() -> None:
    network = Network("slow")
    bob, alice = pair(network)
    alice.disk.rate = CONTENT.info.length / 20
    alice.fetch(CONTENT, bob)
    assert fetched(alice) > 20


@pytest.mark.parametrize("power", [False, True])
def test_a_disk_that_lies_loses_at_a_power_failure_what_it_said_was_written(power: bool) -> None:
    network = Network("power")
    bob, alice = pair(network)
    bob.uplink = 100_000.0
    alice.disk.unsynced = 2.0
    alice.fetch(CONTENT, bob)
    network.run(6)
    before = alice.node.progress(TOPIC).done
    alice.crash(silently=power)
    alice.start()
    assert network.run(5, until=lambda: alice.node.progress(TOPIC).done > 0)
    lost = before - alice.node.progress(TOPIC).done
    assert 5 * 16384 < lost < 16 * 16384 if power else lost <= 0
    fetched(alice, 300)
    assert alice.content(TOPIC) == CONTENT.read_blocks(0, 0, 64)


def test_a_watch_sees_every_step() -> None:
    network = Network("watch")
    seen: list[Host] = []
    network.watch = seen.append
    bob, alice = pair(network)
    alice.fetch(CONTENT, bob)
    fetched(alice)
    assert set(seen) == {bob, alice}
    assert len(seen) > 20


def test_puppets_talk_in_bytes_to_nodes_and_to_each_other() -> None:
    network = Network("puppets")
    left, right = network.puppet("left", "1.2.0.1"), network.puppet("right", "1.3.0.1")
    met: list[Wire] = []
    refused = right.connect(left)
    network.run(1)
    assert refused.over
    right.on_connect = met.append
    wire = left.connect(right)
    wire.send(b"before it is open")
    network.run(1)
    (other,) = met
    assert wire.open
    assert bytes(other.received) == b"before it is open"
    other.reads = False
    wire.send(bytes(500_000))
    network.run(1)
    assert len(other.received) == 17
    other.resume()
    network.run(1)
    assert len(other.received) == 500_017
    other.send(b"and back")
    other.end()
    network.run(1)
    assert (bytes(wire.received), wire.ended) == (b"and back", True)
    wire.reset()
    network.run(1)
    assert other.over


def test_a_speaker_is_dialled_and_serves_wrong_bytes() -> None:
    network = Network("speaker")
    alice, mallory = network.host("alice", "1.2.0.1"), network.puppet("mallory", "1.3.0.1")
    speakers: list[Speaker] = []

    def meet(wire: Wire) -> None:
        speaker = Speaker.over(wire)
        speakers.append(speaker)
        info = CONTENT.info

        def answer(frame: msg.Frame) -> None:
            match frame:
                case msg.Hello():
                    speaker.say(msg.Hello(1024, 64, 150, ()))
                case msg.Join():
                    have = msg.Have(0, (msg.Span(0, 63),))
                    speaker.say(speaker.join(info), msg.Object(0, info.kind, info.length, info.root), have)
                case msg.Request():
                    proof = CONTENT.trees[0].siblings(frame.block, 6)
                    speaker.say(msg.Data(frame.id, frame.block, proof, bytes(16384)))

        speaker.on_frame = answer

    mallory.on_connect = meet
    alice.fetch(CONTENT, mallory)
    assert network.run(10, until=lambda: bool(speakers and speakers[0].heard(msg.Close)))
    assert speakers[0].peer == alice.identity
    assert speakers[0].heard(msg.Close)[0].code == 5  # BAD_DATA


def test_addresses_are_global_different_and_in_the_group_that_is_asked_for() -> None:
    network = Network("addresses")
    alone = [network.host(f"{n}", address(n)) for n in (0, 1, 255, 256, 22783)]
    assert len({host.group for host in alone}) == 5
    crowd = [network.puppet(f"c{n}", address(n, group=9)) for n in (0, 1, 65533)]
    assert len({puppet.group for puppet in crowd}) == 1
    assert all(host.endpoint.scope.name == "GLOBAL" for host in (*alone, *crowd))
    with pytest.raises(ValueError, match="group is 22784, must be 0 to 22783"):
        address(22784)
    with pytest.raises(ValueError, match="number is 65534, must be 0 to 65533 in one group"):
        address(65534, group=1)
