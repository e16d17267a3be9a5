"""Trials of what attacks on peer exchange come to."""

from __future__ import annotations

from collections import Counter
from functools import partial
from time import process_time
from typing import Final

from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.dialrules import PORT_PERIOD
from p2pwire.node.events import PeerConnected
from p2pwire.node.peerbook import Origin, PeerBook
from p2pwire.testing.attackers.arena import LINK_MEMORY, Arena, Figure, Finding, Swarm, peace
from p2pwire.testing.attackers.attacker import Attacker
from p2pwire.testing.attackers.exchanging import Eclipse, Forger, Poisoner, Reflector
from p2pwire.testing.attackers.loads import Peak
from p2pwire.testing.attackers.transfers import Size
from p2pwire.testing.network import Host, Puppet, address
from p2pwire.wire.messages import PeerRecord
from p2pwire.wire.registry import (
    BOOK_PER_GROUP,
    BOOK_PER_SOURCE,
    BOOK_TOTAL,
    MAX_INBOUND,
    MIN_OUTBOUND_SLOTS,
    PORTS_PER_GLOBAL_IP,
    RECONNECT_MAX,
    RECONNECT_MIN,
    RECORDS_KEPT_BURST,
    RECORDS_KEPT_RATE,
)

TIME_PER_RECORD: Final = 0.1 / (MAX_INBOUND * RECORDS_KEPT_RATE) * 1e6
"""microseconds of processor time that a record may take: when all inbound links tell as much as is taken from them, one
record a second each, they shall not have more than a tenth of a processor."""


def book_of(host: Host) -> PeerBook:
    """What a host knows of others."""
    return host.node._links.meeting._book


def brought(host: Host, attacker: Attacker) -> Counter[bytes]:
    """How many records each of the attackers vouches for in a host's book."""
    names = {attacker.identity(number).public for number in range(attacker.count)}
    found: Counter[bytes] = Counter()
    for known in book_of(host):
        found.update(name for name in known.vouchers if name in names)
    return found


def poisoner(seed: str, size: Size, records: int = 2_000, per_group: int = 2) -> Finding:
    """Very many records, each of which is right, of peers that do not exist."""
    peaceful = peace(seed, size.swarm())
    arena = Arena(seed, size.swarm())
    victim = arena.leechers[0]
    liars = Poisoner(arena.network, [arena.content], [victim], count=size.attackers, records=records)
    book, checked = book_of(victim), 0
    verify = book._verify

    def count(record: PeerRecord, raw: bytes) -> bool:
        nonlocal checked
        checked += 1
        return verify(record, raw)

    book._verify = count
    peak = Peak(victim, every=10_000)
    arena.begin()
    for number in range(liars.count):  # several in each /16
        liars.puppets.append(_settle(liars, number, per_group))
        liars.after(0.1 * number, partial(liars.link, number, victim))
    time = arena.run()
    arena.network.run(600, until=lambda: liars.told >= records)
    arena.network.run(5)
    peak.look()
    sources = brought(victim, liars)
    groups: Counter[bytes] = Counter()
    for number, puppet in enumerate(liars.puppets):
        groups[puppet.group] += sources[liars.identity(number).public]
    figures = (
        Figure("right records told", liars.told),
        Figure("signatures checked", checked, "", _most_checked(arena, victim)),
        Figure("records in the book", len(book), "", BOOK_TOTAL),
        Figure("records of one source, at most", max(sources.values(), default=0), "", BOOK_PER_SOURCE),
        Figure("records of the sources of one /16, at most", max(groups.values()), "", BOOK_PER_GROUP),
        Figure("processor time per record", round(1e6 * _cost(liars), 1), "µs", TIME_PER_RECORD, exact=False),
        Figure("bytes held per hostile link", round(peak.growth / liars.count), "bytes", LINK_MEMORY),
        *arena.honest(time, peaceful),
    )
    promise = "However many records come, few are kept of a source and of a network, and each costs little."
    return Finding("poisoner", promise, figures)


def _most_checked(arena: Arena, victim: Host) -> int:
    """Signatures that the budgets of all of a host's links allow [PX-046], and that of the record in each HELLO."""
    links = sum(isinstance(event, PeerConnected) for event in victim.events)
    return int(links * (1 + RECORDS_KEPT_BURST + RECORDS_KEPT_RATE * arena.network.now))


def _settle(attacker: Attacker, number: int, per_group: int) -> Puppet:
    ip = address(number % per_group, attacker.group + number // per_group)
    return attacker.network.puppet(f"{attacker.name}{number}", ip)


def _cost(attacker: Poisoner, records: int = 500) -> float:
    """Seconds of processor time that a book spends on a record, signature and all."""
    origin = Origin(bytes(32), b"", Scope.GLOBAL)
    raw = [attacker.record(attacker.someone(f"cost/{n}"), Endpoint.parse("9.9.9.9", 7000)) for n in range(records)]
    book = PeerBook(bytes(32), random=attacker.network.random)
    began = process_time()
    for record in raw:
        book.offer(record, origin, attacker.network.unix_time, topic=bytes(32))
    return (process_time() - began) / records


def reflector(seed: str, size: Size, records: int = 300) -> Finding:
    """Records that point at somebody who has nothing to do with it."""
    peaceful = peace(seed, size.swarm())
    arena = Arena(seed, size.swarm())
    mirrors = Reflector(
        arena.network, [arena.content], arena.hosts, count=size.attackers, records=records * size.attackers
    )
    arena.begin()
    mirrors.begin()
    time = arena.run()
    for leecher in arena.leechers:  # who has everything dials nobody
        leecher.fetch(bytes(32), *mirrors.puppets[:0])
    arena.network.run(PORT_PERIOD - arena.network.now)
    target = Endpoint.parse(mirrors.TARGET, 1).ip
    dials: dict[str, list[float]] = {}
    ports: dict[str, set[int]] = {}
    for at, host, endpoint in arena.network.dials:
        if endpoint.ip == target:
            dials.setdefault(host.name, []).append(at)
            ports.setdefault(host.name, set()).add(endpoint.port)
    figures = (
        Figure("records told that point at the target", mirrors.told),
        Figure(
            "ports of it that one peer dialled within an hour", max(map(len, ports.values())), "", PORTS_PER_GLOBAL_IP
        ),
        Figure("dials of one peer to it within an hour", max(map(len, dials.values())), "", most_dials(PORT_PERIOD)),
        Figure("dials of one peer to it within a minute", max(map(_in_a_minute, dials.values())), "", most_dials(60.0)),
        Figure("dials to it per record", round(sum(map(len, dials.values())) / mirrors.told, 3)),
        *arena.honest(time, peaceful),
    )
    return Finding(
        "reflector", "Records do not turn peers against somebody: few ports, and ever longer waits.", figures
    )


def most_dials(period: float) -> int:
    """Dials to one host within a time: three ports, each again after 1 s, then 2 s, up to 15 min [TM-020], if all of
    them fail at once."""
    count, at, wait = 0, 0.0, float(RECONNECT_MIN)
    while at < period:
        count, at, wait = count + 1, at + wait, min(float(RECONNECT_MAX), 2 * wait)
    return count * PORTS_PER_GLOBAL_IP


def _in_a_minute(dials: list[float]) -> int:
    """The most within any 60 s."""
    return max(sum(first <= at < first + 60 for at in dials[number:]) for number, first in enumerate(dials))


def forger(seed: str, size: Size, records: int = 256) -> Finding:
    """Records that are not true, in each way in which they can be."""
    peaceful = peace(seed, size.swarm())
    arena = Arena(seed, size.swarm())
    forgers = Forger(arena.network, [arena.content], arena.hosts, count=size.attackers, records=records)
    arena.begin()
    forgers.begin()
    time = arena.run()
    arena.network.run(120)
    there = Endpoint.parse(forgers.ADDRESS, 1).ip
    believed = sum(
        any(endpoint.ip == there for endpoint in known.endpoints) for host in arena.hosts for known in book_of(host)
    )
    figures = (
        Figure("records told", forgers.told),
        Figure("kinds of forgeries", len(forgers.KINDS) - 1),
        Figure("forged records believed", believed, "", 0),
        Figure("dials to where they point", sum(e.ip == there for _, _, e in arena.network.dials), "", 0),
        *arena.honest(time, peaceful),
    )
    return Finding("forger", "What nobody signed, or signed for another time, is not believed.", figures)


def eclipse(seed: str, size: Size, crowd: int = 200) -> Finding:
    """A crowd in one /16 around a peer that seeks what nobody has, among honest peers in networks of their own."""
    honest = max(2 * MIN_OUTBOUND_SLOTS, size.leechers)
    swarm = Swarm(leechers=honest, blocks=size.blocks, known=1)
    peaceful = peace(seed, swarm)
    arena = Arena(seed, swarm)
    network = arena.network
    arena.begin()
    time = arena.run()
    victim = network.host("victim", address(5000))
    victim.fetch(arena.content, arena.source)
    network.run(60, until=lambda: victim.complete(arena.topic))
    network.run(200)  # it has met the others
    ring = Eclipse(network, [arena.content], [victim], count=crowd, rate=crowd / 60)
    group = ring.settle(0).group
    ring.puppets.clear()
    network.hosts.pop(Endpoint.parse(address(0, ring.group), 7000))
    ring.begin()
    outbound, inbound = 0, 0
    for _ in range(120):
        network.run(1)
        peers = [peer for peer in victim.node.peers() if peer.endpoint is not None and peer.endpoint.group == group]
        outbound = max(outbound, sum(peer.outbound for peer in peers))
        inbound = max(inbound, sum(not peer.outbound for peer in peers))
    late = network.host("late", address(5001))
    late.fetch(arena.content, victim)
    network.run(60, until=lambda: late.complete(arena.topic))
    known = [known for known in book_of(victim) if any(end.group == group for end in known.endpoints)]
    figures = (
        Figure("identities in one /16", crowd),
        Figure("outbound links to them, at most", outbound, "", 1),
        Figure("inbound links from them, at most", inbound, "", MAX_INBOUND),
        Figure("records of theirs in the book", len(known), "", BOOK_PER_GROUP),
        Figure("honest peers in the book", len(book_of(victim)) - len(known)),
        Figure("newcomers that were not served", int(not late.complete(arena.topic)), "", 0),
        *arena.honest(time, peaceful),
    )
    return Finding("eclipse", "A crowd in one network gets one outbound link of a peer that knows others.", figures)


__all__ = ["eclipse", "forger", "poisoner", "reflector"]
