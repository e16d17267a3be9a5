"""Trials of what stalled links, floods and memory hogs cost."""

from __future__ import annotations

from collections.abc import Sequence

from p2pwire.testing.attackers.arena import LINK_MEMORY, Arena, Figure, Finding, Swarm, peace
from p2pwire.testing.attackers.attacker import Voice
from p2pwire.testing.attackers.floods import FLOODS, Flooder, Hog, unknown
from p2pwire.testing.attackers.holding import held
from p2pwire.testing.attackers.stallers import SlowLoris, Stall
from p2pwire.testing.attackers.transfers import Size
from p2pwire.testing.network import Host
from p2pwire.wire.registry import (
    DEFAULT_HANDLES,
    DEFAULT_IDLE,
    HALF_OPEN_PER_GROUP,
    HANDSHAKE_TIMEOUT,
    HELLO_TIMEOUT,
    SERVE_TIMEOUT,
    CloseCode,
)

ALLOWED = {
    Stall.BEGINNING: HANDSHAKE_TIMEOUT,
    Stall.HANDSHAKE: HANDSHAKE_TIMEOUT,
    Stall.HELLO: HANDSHAKE_TIMEOUT + HELLO_TIMEOUT,
    Stall.RECORD: DEFAULT_IDLE,
    Stall.SILENCE: DEFAULT_IDLE,
    Stall.READING: DEFAULT_IDLE + SERVE_TIMEOUT + HANDSHAKE_TIMEOUT,
}
"""Seconds for which a link may stand still somewhere, from the opening of the carrier; the last three from HELLO."""

GRACE = 6.0
"""seconds: CLOSE is waited for DRAIN_TIMEOUT, and the end has to arrive."""


class Peak:
    """The most that a host held at any time that was looked at."""

    def __init__(self, host: Host, every: int = 50) -> None:
        self.before = self.most = held(host)
        self.now = self.before
        self._host = host
        self._every = every
        self._calls = 0

    def __call__(self, host: Host) -> None:
        """Look, once in a while."""
        if host is self._host:
            self._calls += 1
            if self._calls % self._every == 0:
                self.look()

    def look(self) -> None:
        """Look now."""
        self.now = held(self._host)
        self.most = max(self.most, self.now)

    @property
    def growth(self) -> int:
        """By how much more than before."""
        return self.most - self.before


def slow_loris(seed: str, size: Size) -> Finding:
    """Links that stand still in each of the ways there are."""
    peaceful = peace(seed, size.swarm())
    arena = Arena(seed, size.swarm())
    slow = SlowLoris(arena.network, [arena.content], [arena.source], count=len(Stall) * size.attackers)
    peak = Peak(arena.source)
    slow.begin()
    arena.network.run(9.0)
    peak.look()
    holding = peak.growth / slow.count
    arena.begin()
    began = arena.network.now
    time = arena.run() - began
    arena.network.run(400)
    peak.look()
    figures = [
        Figure(
            f"{way.value}: longest link",
            round(max(_length(slow, way, arena.network.now)), 2),
            "s",
            ALLOWED[way] + GRACE,
        )
        for way in Stall
    ]
    crowd = _half_open(seed, 5 * HALF_OPEN_PER_GROUP)
    figures += [
        Figure("bytes held per stalled link", round(holding), "bytes", LINK_MEMORY),
        Figure("bytes held of them at the end", peak.now - peak.before, "bytes", 30_000 * size.leechers),
        Figure("half-open links of one /24", crowd, "", HALF_OPEN_PER_GROUP),
        *arena.honest(time, peaceful),
    ]
    return Finding("slow-loris", "A link that stands still is cut off by a timer, wherever it does.", tuple(figures))


def _length(slow: SlowLoris, way: Stall, now: float) -> Sequence[float]:
    return [slow.ended.get(wire, now) - slow.opened[wire] for tried, wire in slow.stalls if tried is way]


def _half_open(seed: str, count: int) -> int:
    """How many of so many connections at once from one /24 are taken."""
    arena = Arena(seed, Swarm(leechers=1, blocks=1))
    slow = SlowLoris(arena.network, [arena.content], [arena.source], count=count, ways=(Stall.BEGINNING,), spread=False)
    slow.begin()
    arena.network.run(5)
    return len(slow.opened)


def flooder(seed: str, size: Size) -> Finding:
    """Every kind of frame that is not DATA, as quickly as it is read."""
    peaceful = peace(seed, size.swarm())
    arena = Arena(seed, size.swarm())
    flood = Flooder(arena.network, [arena.content], [arena.source], most=2_000 * size.attackers)
    peak = Peak(arena.source)
    arena.watches.append(peak)
    flood.begin()
    arena.begin()
    time = arena.run()
    arena.network.run(60)
    by_kind = {flood.kind(voice): voice for voice in flood.voices}
    ended = {kind: voice for kind, voice in by_kind.items() if voice.close is not None}
    closed = [kind for kind, voice in ended.items() if _code(voice) == CloseCode.FLOOD]
    longest = max(_seconds(flood, ended[kind]) for kind in closed)
    most = max(flood.sent[ended[kind]] for kind in closed)
    answered = {kind: voice.heard_bytes / voice.wire.sent for kind, voice in by_kind.items()}
    figures = (
        Figure("kinds of floods", len(by_kind)),
        Figure("of these, ended with FLOOD", len(closed)),
        Figure("ended with another code, at the first frame that is wrong", len(ended) - len(closed)),
        Figure("not ended, since each frame is new or paid for", len(by_kind) - len(ended), "", len(ENDLESS)),
        Figure("time until FLOOD, at most", round(longest, 2), "s", QUICKLY),
        Figure("frames that were on the way until FLOOD came, at most", most),
        Figure("bytes answered per byte sent, at most", round(max(answered.values()), 2), "", 2.0),
        Figure("bytes held per link, at most", round(peak.growth / len(by_kind)), "bytes", LINK_MEMORY),
        *arena.honest(time, peaceful),
    )
    promise = "A flood ends its link within the budget, makes the victim send little, and hurts nobody else."
    return Finding("flooder", promise, figures)


QUICKLY = 2.0
"""seconds in which a flood of five thousand frames a second has used up any budget."""

ENDLESS = ("HAVE, one unit each", "REQUEST and CANCEL", "CANCEL", "unknown frame, to be ignored")
"""Floods that need not end: what costs the victim next to nothing, or is limited by credit."""


def _code(voice: Voice) -> int:
    return -1 if voice.close is None else voice.close.code


def _seconds(flood: Flooder, voice: Voice) -> float:
    return (voice.closed_at or flood.network.now) - 1.0


def memory_hog(seed: str, size: Size) -> Finding:
    """Everything that makes a peer keep something, all at once."""
    peaceful = peace(seed, size.swarm())
    arena = Arena(seed, size.swarm())
    victim, network = arena.leechers[0], arena.network
    big = Arena(f"{seed}/hog", Swarm(leechers=1, blocks=1024)).content
    shared = Arena(f"{seed}/shared", Swarm(leechers=1, blocks=64)).content
    wanted = [unknown(f"{seed}/{n}") for n in range(DEFAULT_HANDLES - 2)]
    arena.begin()
    time = arena.run()
    victim.fetch(big)
    victim.share(shared)
    victim.uplink = None
    for info in wanted:
        victim.fetch(info.oid)
    hog = Hog(network, [shared, big], [victim], wanted=wanted, count=size.attackers)
    peak = Peak(victim, every=500)
    hog.begin()
    network.run(hog.SERVES - 1)
    victim.disk.delay = 1e6
    arena.watches.append(peak)
    network.run(30)
    peak.look()
    figures = (
        Figure("hostile links", len(hog.voices)),
        Figure("bytes held per hostile link, at most", round(peak.growth / len(hog.voices)), "bytes", LINK_MEMORY),
        *arena.honest(time, peaceful),
    )
    return Finding("memory-hog", "A hostile link makes a peer hold so much, and no more.", figures)


__all__ = ["ALLOWED", "ENDLESS", "FLOODS", "Peak", "flooder", "memory_hog", "slow_loris"]
