"""Two links between the same two nodes, and of a node with itself: exactly one stays, or none, in every order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from p2pwire.connection.config import Role
from p2pwire.crypto.identity import Identity
from p2pwire.node import actions as act
from p2pwire.node.events import FetchComplete, LinkFailed, NodeEvent, PeerConnected, PeerDisconnected
from p2pwire.node.node import Node, NodeConfig
from p2pwire.node.swarm import Resource
from p2pwire.storage.memory import SharedMemory
from p2pwire.testing.disks import Disk
from p2pwire.testing.network import START, Network
from p2pwire.testing.pair import seeded
from p2pwire.wire.registry import DRAIN_TIMEOUT, CloseCode
from tests.node.hosts import blob, connected, hosts, lasting, of, when

CONTENT = blob(1, "duplicates")
GIVEN_UP = ("there is a link to this identity already", "another link to the same peer stays")


class Peer:
    """A node and its disk, whose links are moved by hand."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        random = seeded(f"peer {seed}")
        self.node = Node(
            Identity.from_seed(bytes((seed,)) * 32), NodeConfig(grease=b""), now=0.0, unix_time=START, random=random
        )
        self.disk = Disk()
        self.events: list[NodeEvent] = []
        self.ended: dict[int, bool] = {}
        """link -> whether its end was told to the other side."""

    def attach(self, role: Role) -> int:
        link = self.node.attach(role, self.now)
        self.ended[link] = False
        return link

    def share(self, content: SharedMemory) -> None:
        self.disk.keep(content)
        self.node.share(Resource(content.info, content.manifest, content.trees), self.now)

    def pump(self) -> None:
        while (action := self.node.next_action()) is not None:
            if isinstance(action, act.OpenDownload | act.WriteBlocks | act.ReadBlocks | act.FinishDownload):
                self.node.disk_done(action.ticket, self.disk.work(action), self.now)
        while (event := self.node.next_event()) is not None:
            self.events.append(event)

    def take(self, link: int) -> bytes | None:
        """What a link has to send; b"" at its end, None for nothing."""
        data = b"".join(self.node.data_to_send(link, self.now))
        self.pump()
        if data:
            return data
        if self.node.output_ended(link) and not self.ended[link]:
            self.ended[link] = True
            return b""
        return None

    def give(self, link: int, data: bytes) -> None:
        if self.node.wants_data(link):
            self.node.receive_data(link, data, self.now)
        self.pump()

    def established(self) -> list[int]:
        return [peer.link for peer in self.node.peers()]

    @property
    def decided(self) -> bool:
        """Whether one link stays, and the others are over."""
        return sum(not link.over for link in self.node._core.links.values()) == len(self.established()) == 1


class Wires:
    """Links between peers: what is on its way in each direction is delivered when the schedule says so."""

    def __init__(self) -> None:
        self.channels: list[tuple[Peer, int, Peer, int]] = []
        self.waiting: dict[int, list[bytes]] = {}

    def join(self, one: Peer, other: Peer) -> None:
        initiator, responder = one.attach(Role.INITIATOR), other.attach(Role.RESPONDER)
        self.channels += [(one, initiator, other, responder), (other, responder, one, initiator)]

    def ready(self) -> list[int]:
        """The directions in which something is on its way."""
        for number, (source, link, _, _) in enumerate(self.channels):
            while (data := source.take(link)) is not None:
                self.waiting.setdefault(number, []).append(data)
        return [number for number, waiting in sorted(self.waiting.items()) if waiting]

    def deliver(self, number: int) -> None:
        """Let all that is on its way in one direction arrive."""
        _, _, target, link = self.channels[number]
        waiting, self.waiting[number] = self.waiting[number], []
        for data in waiting:
            target.give(link, data)


def schedules(build: Callable[[], tuple[Wires, list[Peer]]]) -> Iterator[list[Peer]]:
    """The peers at the end of every order of deliveries, up to the moment when all is decided."""
    schedule: list[int] = []
    while True:
        wires, peers = build()
        widths: list[int] = []
        while ready := wires.ready():
            at = len(widths)
            if at == len(schedule):
                schedule.append(0)
            widths.append(1 if all(peer.decided for peer in peers) else len(ready))
            wires.deliver(ready[schedule[at]])
        yield peers
        del schedule[len(widths) :]
        while schedule and schedule[-1] + 1 == widths[len(schedule) - 1]:
            schedule.pop()
        if not schedule:
            return
        schedule[-1] += 1


@pytest.mark.parametrize(("crossing", "swapped"), [(False, False), (True, False), (True, True)])
def test_of_two_links_exactly_one_survives_in_every_order(crossing: bool, swapped: bool) -> None:
    orders = doubled = 0

    def build() -> tuple[Wires, list[Peer]]:
        alice, bob = Peer(2 if swapped else 1), Peer(1 if swapped else 2)
        bob.share(CONTENT)
        alice.node.fetch(CONTENT.info.oid, 0.0)
        wires = Wires()
        wires.join(alice, bob)
        wires.join(*((bob, alice) if crossing else (alice, bob)))
        return wires, [alice, bob]

    for alice, bob in schedules(build):
        orders += 1
        (mine,), (theirs,) = alice.established(), bob.established()
        assert mine == theirs  # the n-th link of the one is the n-th of the other
        for peer in (alice, bob):
            # Whoever was told of a link was told of its end, and no link is told of twice.
            opened = [event.link for event in peer.events if isinstance(event, PeerConnected)]
            closed = [event for event in peer.events if isinstance(event, PeerDisconnected)]
            assert len(opened) == len(set(opened))
            assert set(opened) - {event.link for event in closed} == {mine}
            assert {event.code for event in closed} <= {CloseCode.DUPLICATE}
            # Whoever gives up a link early because of the other one says so.
            failed = [event for event in peer.events if isinstance(event, LinkFailed)]
            assert all(event.taken is (event.reason in GIVEN_UP) for event in failed)
            doubled += any(event.taken for event in failed)
        # What the one was made for goes over the other.
        assert any(isinstance(event, FetchComplete) for event in alice.events)
    assert orders > 50
    assert doubled


def test_a_link_to_oneself_ends_in_every_order() -> None:
    def build() -> tuple[Wires, list[Peer]]:
        alice = Peer(1)
        wires = Wires()
        wires.join(alice, alice)
        wires.join(alice, alice)
        return wires, [alice]

    for (alice,) in schedules(build):
        assert alice.established() == []
        assert not alice.events or not any(isinstance(event, PeerConnected) for event in alice.events)
        alice.node.handle_timeout(DRAIN_TIMEOUT, START)
        alice.pump()
        assert not alice.node._core.links
        assert not alice.node._links._admission.taken


# --- on a network ---


def test_a_node_that_is_given_its_own_address_finds_out_and_does_not_dial_it_again() -> None:
    network = Network("self")
    (alice,) = hosts(network, "alice")
    # Behind a translator a peer does not know its own address.
    mirror = network.host("mirror", "8.8.8.8")
    network.hosts[mirror.endpoint] = alice
    alice.fetch(blob(1), mirror)
    network.run(2000)
    assert not of(alice, PeerConnected)
    assert alice.links() == 0


def test_peers_that_dial_each_other_all_the_time_keep_one_link() -> None:
    network = Network("crossing", latency=0.05)
    bob, alice = hosts(network, "bob", "alice")
    one, other = blob(30, "one"), blob(30, "other")
    first, second = bob.share(one), alice.share(other)
    alice.fetch(one, bob)
    bob.fetch(other, alice)
    when(20, network, lambda: alice.complete(first) and bob.complete(second))
    network.run(300)
    assert network.connections(alice, bob) == 1
    assert len(lasting(alice)) == len(lasting(bob)) == 1
    assert connected(alice) == {bob.identity}


@pytest.mark.parametrize("silently", [False, True])
@pytest.mark.parametrize("dialler", ["the one that crashes", "the other"])
def test_a_peer_that_restarted_is_back_at_once(silently: bool, dialler: str) -> None:
    network = Network("restart")
    bob, alice = hosts(network, "bob", "alice")
    content = blob(2000)
    topic = bob.share(content)
    bob.uplink = 1_000_000
    crashing = alice
    alice.fetch(content, bob)
    if dialler == "the other":
        crashing = bob
    network.run(2)
    crashing.crash(silently=silently)
    crashing.start()
    network.run(4)
    # Its old link may look alive to the other for minutes; the new one replaces it.
    assert network.connections(alice, bob) == 1
    assert len(lasting(bob)) == 1 or crashing is bob
    assert connected(alice) == {bob.identity}
    when(60, network, lambda: alice.complete(topic))
