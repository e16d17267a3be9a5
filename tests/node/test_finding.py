"""Book, exchange and dialer of many peers together: from one address each to everyone knowing everyone."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import attrs
import pytest

from p2pwire.node.address import Endpoint
from p2pwire.node.bans import Bans
from p2pwire.node.dialer import Dialer, DialFailure, DialLimits
from p2pwire.node.dialqueue import DialTarget
from p2pwire.node.exchange import Exchange, ExchangeLink
from p2pwire.node.peerbook import Origin, PeerBook
from tests.node.peers import TOPIC, UNIX, Verifier, at, chance, identity, record


class Peer:
    """A peer that listens at its own address, and does what its parts say."""

    def __init__(self, number: int, address: str, limits: DialLimits | None = None) -> None:
        self.identity = identity(number)
        self.endpoint = at(address)
        self.record = record(number, address)
        self.book = PeerBook(self.identity, random=chance(number), verify=Verifier())
        self.exchange = Exchange(self.book, random=chance(number))
        self.exchange.set_own_record(self.record)
        self.dialer = Dialer(self.book, Bans(), random=chance(number), limits=limits)
        self.dialer.want(TOPIC, 0.0)
        self.dialer.add_own(self.endpoint)
        self.links: dict[bytes, Link] = {}

    def open(self, other: Peer, target: DialTarget | None, now: float) -> list[Peer]:
        """The link is established; who has to go for it."""
        origin = Origin.of(other.identity, other.endpoint)
        link = self.exchange.open_link(origin, now, dialled=None if target is None else target.endpoint)
        self.links[other.identity] = Link(other, link, target)
        gone: tuple[DialTarget, ...] = ()
        if target is None:
            self.dialer.accepted(other.identity, now)
        else:
            gone = self.dialer.succeeded(target, other.identity, now)
        self.book.offer(other.record, origin, UNIX + now, topic=None)
        self.exchange.open_topic(link, TOPIC, now, pushes=True)
        self.follow(now)
        return [link.other for link in self.links.values() if link.target in gone and link.target is not None]

    def close(self, other: Peer, now: float) -> None:
        link = self.links.pop(other.identity)
        self.exchange.close_link(link.exchange, now)
        self.dialer.closed(other.identity, now, target=link.target)

    def follow(self, now: float) -> None:
        for changed in self.book.take_changes():
            self.exchange.refresh(changed)
            self.dialer.refresh(changed, now)

    def next_timeout(self, now: float) -> float:
        times = self.exchange.next_timeout(now), self.dialer.next_timeout(now)
        return min((time for time in times if time is not None), default=inf)


@attrs.frozen(eq=False)
class Link:
    """One end of a link."""

    other: Peer
    exchange: ExchangeLink
    target: DialTarget | None


class Network:
    """Peers whose dials and frames take no time."""

    def __init__(self, peers: list[Peer]) -> None:
        self.peers = peers
        self.at: dict[Endpoint, Peer] = {peer.endpoint: peer for peer in peers}
        self.now = 0.0
        self.dials = 0

    def run(self, until: float) -> None:
        while True:
            while sum(self.step(peer) for peer in self.peers):
                pass  # until no peer has anything to do at this moment
            self.now = min(peer.next_timeout(self.now) for peer in self.peers)
            if self.now > until:
                self.now = until
                return

    def step(self, peer: Peer) -> bool:
        busy = False
        while (target := peer.dialer.next(self.now)) is not None:
            busy = True
            self.dial(peer, target)
        for exchange in peer.exchange.due(self.now):
            while (command := peer.exchange.next_peers(exchange, self.now, UNIX + self.now)) is not None:
                busy = True
                other = peer.links[exchange.origin.identity].other
                back = other.links[peer.identity].exchange
                result = other.exchange.receive(
                    back, command.topic, command.added, command.dropped, self.now, UNIX + self.now
                )
                assert not result.flood
                other.follow(self.now)
        return busy

    def dial(self, peer: Peer, target: DialTarget) -> None:
        self.dials += 1
        other = self.at.get(target.endpoint)
        if other is None:
            peer.dialer.failed(target, DialFailure.UNREACHABLE, self.now)
        elif other is peer:
            peer.dialer.failed(target, DialFailure.SELF, self.now, identity=peer.identity)
        elif target.identity not in (None, other.identity):
            peer.dialer.failed(target, DialFailure.WRONG_IDENTITY, self.now, identity=other.identity)
        elif other.identity in peer.links:
            peer.dialer.failed(target, DialFailure.DUPLICATE, self.now, identity=other.identity)
        else:
            gone = peer.open(other, target, self.now)
            assert other.open(peer, None, self.now) == []
            for former in gone:
                peer.close(former, self.now)
                former.close(peer, self.now)


def test_alice_who_knows_only_bob_meets_charlie_at_once() -> None:
    alice, bob, charlie = (Peer(number, f"127.0.0.1:{4000 + number}") for number in range(3))
    network = Network([alice, bob, charlie])
    charlie.dialer.give(bob.endpoint, 0.0)
    network.run(100.0)
    alice.dialer.give(bob.endpoint, network.now)
    network.run(100.0)
    assert set(alice.links) == {bob.identity, charlie.identity}
    met = {alice.links[charlie.identity].target, charlie.links[alice.identity].target} - {None}
    (target,) = met
    assert target is not None
    assert target.learned_from == bob.identity
    known = alice.book.get(charlie.identity)
    assert known is not None
    assert known.vouchers[bob.identity].reachable is False  # Charlie dialled Bob


@pytest.mark.parametrize("shape", ["127.0.0.1:4{}", "8.{}.8.8:4000", "8.8.{}.8:4000"])
def test_a_chain_of_peers_becomes_a_swarm(shape: str) -> None:
    peers = [Peer(number, shape.format(number + 100)) for number in range(30)]
    network = Network(peers)
    for left, right in pairwise(peers):
        right.dialer.give(left.endpoint, 0.0)
    network.run(600.0)
    everyone = {peer.identity for peer in peers}
    for peer in peers:
        assert {known.identity for known in peer.book} == everyone - {peer.identity}
        assert len(peer.links) >= 8
    for peer in peers[10:15]:
        for link in list(peer.links.values()):
            peer.close(link.other, network.now)
            link.other.close(peer, network.now)
        network.at.pop(peer.endpoint)
        network.peers.remove(peer)
    dials = network.dials
    network.run(1200.0)
    assert network.dials - dials < 25 * 5 * 12  # the lost ones are looked for with growing waits
    newcomer = Peer(99, shape.format(99))
    network.peers.append(newcomer)
    network.at[newcomer.endpoint] = newcomer
    newcomer.dialer.give(peers[0].endpoint, network.now)
    network.run(1800.0)
    assert len(newcomer.links) >= 8
