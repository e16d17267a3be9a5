"""Trials of what attacks on transfers come to."""

from __future__ import annotations

from typing import Final

import attrs

from p2pwire.node.config import NodeConfig
from p2pwire.node.events import PeerBanned, PeerConnected
from p2pwire.node.picker import PickerConfig
from p2pwire.testing.attackers.arena import Arena, Figure, Finding, Swarm, peace
from p2pwire.testing.attackers.replays import Replayer
from p2pwire.testing.attackers.servers import Dripper, Liar, Silent
from p2pwire.testing.attackers.takers import FreeRider, Sybils
from p2pwire.testing.network import Host
from p2pwire.wire.registry import BLOCK_SIZE, REQUEST_TIMEOUT, SNUB_TIMEOUTS

FIRST_FLIGHT: Final = 1549
"""bytes that a responder sends at most before it knows who is there [PV-011]."""


@attrs.frozen
class Size:
    """How large a trial is: honest leechers, attackers, and blocks."""

    leechers: int = 3
    attackers: int = 2
    blocks: int = 32

    def swarm(self, uplink: float = 262_144.0) -> Swarm:
        """The honest peers."""
        return Swarm(leechers=self.leechers, blocks=self.blocks, uplink=uplink)


def liar(seed: str, size: Size) -> Finding:
    """Wrong bytes among right ones."""
    swarm = size.swarm(65_536.0)
    peaceful = peace(seed, swarm)
    arena = Arena(seed, swarm)
    liars = Liar(arena.network, [arena.content], arena.leechers, count=size.attackers)
    arena.begin()
    liars.begin()
    time = arena.run()
    met = [voice for voice in liars.voices if liars.wrong.get(voice)]
    names = {liars.identity(number).public for number in range(liars.count)}
    bans = [event for host in arena.leechers for event in host.events if isinstance(event, PeerBanned)]
    right = sum(liars.right.values())
    taken = sum(_from(host, arena.topic, names) for host in arena.leechers) / BLOCK_SIZE
    for number in range(liars.count):  # they come back
        for host in arena.leechers:
            liars.link(number, host)
    links = _links(arena, names)
    arena.network.run(30)
    figures = (
        Figure("links on which a liar sent a wrong block", len(met)),
        Figure("of these, links that did not end with a ban", len(met) - len(bans), "", 0),
        Figure("honest peers banned", sum(event.identity not in names for event in bans), "", 0),
        Figure("right blocks that liars sent before", right, "blocks"),
        Figure("blocks that were taken from liars", taken, "blocks", right),
        Figure("links to banned liars afterwards", _links(arena, names) - links, "", 0),
        *arena.honest(time, peaceful),
    )
    return Finding("liar", "A peer is banned at its first wrong block, and nothing right is lost.", figures)


def _from(host: Host, topic: bytes, names: set[bytes]) -> int:
    return sum(size for name, size in host.node.progress(topic).sources.items() if name in names)


def _links(arena: Arena, names: set[bytes]) -> int:
    found = [event for host in arena.hosts for event in host.events if isinstance(event, PeerConnected)]
    return sum(event.identity in names for event in found)


def silent(seed: str, size: Size) -> Finding:
    """Everything announced, nothing served.

    When the request timer of 30 s expires [TM-010] [TM-011], whatever was asked of the silent is free again, be it all
    of the content: from then on the fetch takes no longer than a whole one in peace. Without second requests it may go
    to another silent peer then, until all of them are snubbed, after three expiries [TM-013]. Who drips restarts the
    timer with each block: there it is only by second requests, after as long at the most, that nothing is held up.
    """
    figures: list[Figure] = []
    for name, kind in (("silent", Silent), ("dripping", Dripper)):
        for copies in (2, 0):
            config = NodeConfig(picker=PickerConfig(endgame_duplicates=copies))
            swarm = attrs.evolve(size.swarm(65_536.0), config=config)
            peaceful = peace(seed, swarm)
            arena = Arena(seed, swarm)
            servers = kind(arena.network, [arena.content], arena.leechers, count=size.attackers)
            arena.begin()
            servers.begin()
            time = arena.run()
            more = f"{name}: time lost{'' if copies else ', without second requests at the end'}"
            rounds = 1 if copies else SNUB_TIMEOUTS
            most = round(rounds * REQUEST_TIMEOUT + peaceful, 2) if copies or name == "silent" else None
            figures.append(Figure(more, round(time - peaceful, 2), "s", most))
            figures.append(Figure(f"{more}: fetches that failed", arena.unserved(), "", 0))
    text = "What a peer was asked for and does not send is asked of others, after the request timeout at the latest."
    return Finding("silent", text, tuple(figures))


def free_rider(seed: str, size: Size) -> Finding:
    """Peers that only take, in a swarm whose uplinks are all alike."""
    return _taking(seed, size, FreeRider, shared=False)


def sybil_crowd(seed: str, size: Size) -> Finding:
    """One program with many names that only takes."""
    return _taking(seed, size, Sybils, shared=True)


def _taking(seed: str, size: Size, kind: type[FreeRider], *, shared: bool) -> Finding:
    """What takers get, against what they would get if every uploader served all of its links alike.

    Of H honest leechers each would then give each of T takers as much as each of the H - 1 others: so a taker gets
    from H of them and an honest one from H - 1, and the takers' part of all uploads is T / (T + H - 1). Of the
    source's it is T / (T + H). A fetch waits for two things: that the source has sent every block to somebody who
    passes it on, and that these have done so. Each takes longer by what takers get of it: (T + H) / H times, and
    (T + H - 1) / (H - 1) times; at the worst one of them begins when the other one is over.

    With `shared` T is 1, however many names there are: they want one copy together.
    """
    swarm = size.swarm(65_536.0)
    peaceful = peace(seed, swarm)
    arena = Arena(seed, swarm)
    takers = kind(arena.network, [arena.content], arena.hosts, count=size.attackers, shared=shared)
    takers.begin()
    arena.begin()
    time = arena.run(7200)
    taken = takers.got
    given = sum(host.node.progress(arena.topic).done for host in arena.leechers)
    wanting, others = 1 if shared else size.attackers, size.leechers - 1
    part = wanting / (wanting + others)
    slower = (wanting + size.leechers) / size.leechers + (wanting + others) / others
    each, honest = taken / size.attackers, given / size.leechers
    figures = (
        Figure("honest leechers", size.leechers),
        Figure("takers", size.attackers),
        Figure("part of all uploads that takers got", round(taken / (taken + given), 3), "", round(part, 3)),
        Figure("what one taker got, over what one honest leecher did", round(each / honest, 3)),
        Figure("time with takers over time without", round(time / peaceful, 3), "", round(slower, 3)),
        *arena.honest(time, peaceful),
    )
    takers_text = "One program with many names gets" if shared else "Peers that give nothing get"
    text = f"{takers_text} no more than {'one' if shared else 'they'} would if all were served alike."
    return Finding(kind.name, text, figures)


def replayer(seed: str, size: Size) -> Finding:
    """Somebody on the way who writes sessions down and plays them again."""
    peaceful = peace(seed, size.swarm())
    arena = Arena(seed, size.swarm())
    thief = Replayer(arena.network, [arena.content], [arena.source])
    thief.begin()
    arena.leechers[0].fetch(arena.content, thief.puppets[0])
    first = arena.leechers[0]
    arena.network.run(60, until=lambda: first.complete(arena.topic))
    direct = first.complete(arena.topic)
    sent = sum(peer.bytes_sent for peer in arena.source.node.peers())
    links = len([event for event in arena.source.events if isinstance(event, PeerConnected)])
    whole = len(thief.said[0])
    tries = [*range(0, whole, max(1, whole // (4 * size.attackers))), whole][1:]
    most = 0
    for upto in tries:
        before = thief.answered
        thief.replay(0, upto)
        arena.network.run(15)
        most = max(most, thief.answered - before)
    after = len([event for event in arena.source.events if isinstance(event, PeerConnected)])
    again = sum(peer.bytes_sent for peer in arena.source.node.peers())
    thief.repeat(0)
    arena.network.run(5)
    for leecher in arena.leechers[1:]:
        leecher.fetch(arena.content, arena.source)
    began = arena.network.now
    arena.run()
    figures = (
        Figure("fetches through the attacker that failed", int(not direct), "", 0),
        Figure("replays", len(tries)),
        Figure("links that replays opened", after - links, "", 0),
        Figure("bytes of content that replays got", max(0, again - sent), "bytes", 0),
        Figure("bytes sent in answer to one replay", most, "bytes", FIRST_FLIGHT),
        *arena.honest(arena.network.now - began, peaceful),
    )
    return Finding(
        "replayer", "What was recorded opens no link, gets no content, and is answered with one flight.", figures
    )


__all__ = ["Size", "free_rider", "liar", "replayer", "silent", "sybil_crowd"]
