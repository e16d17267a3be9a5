"""Trials of what stalled links, floods and memory hogs cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from p2pwire.node.events import PeerDisconnected
from p2pwire.testing.attackers.arena import LINK_MEMORY, Arena, Figure, Finding, Swarm, peace
from p2pwire.testing.attackers.attacker import Voice
from p2pwire.testing.attackers.floods import FLOODS, Flooder, Hog, unknown
from p2pwire.testing.attackers.holding import held
from p2pwire.testing.attackers.stallers import SlowLoris, Stall
from p2pwire.testing.attackers.transfers import Size
from p2pwire.testing.network import Host
from p2pwire.wire.registry import (
    CONTROL_BURST,
    CONTROL_RATE,
    DEFAULT_HANDLES,
    DEFAULT_IDLE,
    DRAIN_TIMEOUT,
    HALF_OPEN_PER_GROUP,
    HANDSHAKE_TIMEOUT,
    HELLO_TIMEOUT,
    MAX_PEER_RECORD,
    CloseCode,
)

ALLOWED: Final = {
    Stall.BEGINNING: HANDSHAKE_TIMEOUT,  # [TM-004]
    Stall.HANDSHAKE: HANDSHAKE_TIMEOUT,
    Stall.HELLO: HANDSHAKE_TIMEOUT + HELLO_TIMEOUT,  # [TM-005]
    Stall.RECORD: HANDSHAKE_TIMEOUT + DEFAULT_IDLE,  # [KA-011], from the end of the handshake
    Stall.SILENCE: HANDSHAKE_TIMEOUT + DEFAULT_IDLE,
    # [KA-014]: from when something waits, at the latest the answer to the next PING; and by the next one the attacker,
    # which reads nothing, notices that nobody is there.
    Stall.READING: DEFAULT_IDLE + 2 * SlowLoris.PING_EVERY,
}
"""Seconds for which a link may stand still somewhere: from the opening of the carrier, and for one that reads nothing
from when its carrier was full."""

GRACE: Final = DRAIN_TIMEOUT + 0.5
"""seconds: for so long CLOSE is waited for [CL-010], and the end has to arrive, after twelve round trips at most."""

REMEMBERED: Final = 2 * MAX_PEER_RECORD
"""bytes that may be left of a link that is over. Two tables keep something of a peer that was there, each of at most
16384 of them: that it may be told of, and how a link to it failed. As much as its record is enough for either."""


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
    left = held(arena.source) - _held_in_peace(seed, size, arena.network.now)
    figures = [
        Figure(
            f"{way.value}: longest link{' with a full carrier' if way is Stall.READING else ''}",
            round(max(_length(slow, way, arena.network.now)), 2),
            "s",
            ALLOWED[way] + GRACE,
        )
        for way in Stall
    ]
    crowd = _half_open(seed, 5 * HALF_OPEN_PER_GROUP)
    figures += [
        Figure("bytes held per stalled link", round(holding), "bytes", LINK_MEMORY),
        Figure("bytes held of them at the end", left, "bytes", REMEMBERED * slow.count),
        Figure("half-open links of one /24", crowd, "", HALF_OPEN_PER_GROUP),
        *arena.honest(time, peaceful),
    ]
    return Finding("slow-loris", "A link that stands still is cut off by a timer, wherever it does.", tuple(figures))


def _length(slow: SlowLoris, way: Stall, now: float) -> Sequence[float]:
    since = slow.carried if way is Stall.READING else slow.opened
    return [slow.ended.get(wire, now) - since[wire] for tried, wire in slow.stalls if tried is way]


def _held_in_peace(seed: str, size: Size, until: float) -> int:
    """What a source holds at a time when all that fetched from it have been complete for long."""
    arena = Arena(seed, size.swarm())
    arena.network.run(9.0)
    arena.begin()
    arena.run()
    arena.network.run(until - arena.network.now)
    return held(arena.source)


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
    closed_at: dict[bytes, float] = {}

    def watch(host: Host) -> None:
        if host is arena.source:
            for event in host.events[-3:]:
                if isinstance(event, PeerDisconnected):
                    closed_at.setdefault(event.identity, arena.network.now)

    arena.watches += [peak, watch]
    flood.begin()
    arena.begin()
    time = arena.run()
    arena.network.run(60)
    by_kind = {flood.kind(voice): voice for voice in flood.voices}
    ended = {kind: voice for kind, voice in by_kind.items() if voice.close is not None}
    closed = {kind: voice for kind, voice in ended.items() if _code(voice) == CloseCode.FLOOD}
    longest = max(_seconds(flood, voice) for voice in closed.values())
    # Of the kind that came nearest to its budget, or went furthest beyond it.
    pairs = [_taken(flood, voice, closed_at) for voice in closed.values()]
    taken, most = max(pairs, key=lambda pair: pair[0] - pair[1])
    endless = [kind for kind in by_kind if kind not in ended]
    answered = {kind: voice.heard_bytes / voice.wire.sent for kind, voice in by_kind.items()}
    figures = (
        Figure("kinds of floods", len(by_kind)),
        Figure("of these, ended with FLOOD", len(closed)),
        Figure("ended with another code, at the first frame that is wrong", len(ended) - len(closed)),
        Figure("not ended, since each frame is new", len(endless)),
        Figure("not ended, though they count", sum(kind not in ENDLESS for kind in endless), "", 0),
        Figure("counted frames that were taken until FLOOD, at most", taken, "", most),
        Figure("time until FLOOD came, at most", round(longest, 2), "s"),
        Figure("bytes answered per byte sent, at most", round(max(answered.values()), 2), "", AMPLIFICATION),
        Figure("bytes held per link, at most", round(peak.growth / len(by_kind)), "bytes", LINK_MEMORY),
        *arena.honest(time, peaceful),
    )
    promise = "A flood ends its link within the budget, makes the victim send little, and hurts nobody else."
    return Finding("flooder", promise, figures)


AMPLIFICATION: Final = 1.0
"""bytes that may be answered per byte: no answer is longer than its question, so nobody can be made to send more than
the attacker does itself."""

COUNTED: Final = {"HAVE and LOST": 0.5}
"""The part of a flood's frames that counts, where it is not all of them: of each two the HAVE adds units."""

ENDLESS: Final = ("HAVE, one unit each",)
"""Floods that need not end: a HAVE that adds a unit does not count (6.7), and there are 65536 of them."""


def _code(voice: Voice) -> int:
    return -1 if voice.close is None else voice.close.code


def _seconds(flood: Flooder, voice: Voice) -> float:
    return (voice.closed_at or flood.network.now) - flood.poured[voice][0][0]


def _taken(flood: Flooder, voice: Voice, closed_at: Mapping[bytes, float]) -> tuple[int, int]:
    """Counted frames that a victim had from a link when it closed it, and how many the budget allows by then [KA-020]:
    the bucket, what came into it since the first of them, and as the network brings them by the piece, one piece."""
    end = closed_at[flood.identity(voice.number).public]
    came = [(at, frames) for at, frames in flood.poured[voice] if at + flood.network.latency <= end]
    most = CONTROL_BURST + CONTROL_RATE * (end - came[0][0]) + flood.PIECE
    return int(came[-1][1] * COUNTED.get(flood.kind(voice), 1)), int(most)


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
