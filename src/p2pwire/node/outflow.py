"""Whose block goes out next, of all links that wait to send one.

As long as carriers take what they are given at once, each link sends as it can. Where they do not, what has been handed
out can not be thought over any more: so no more is handed out than is on its way within a quarter of a second, and the
links that wait are ranked anew whenever something was taken. Links with the rarest blocks come first, since a block
that few peers hold keeps many others waiting; but no link gets far ahead of the others in that way.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from math import inf
from typing import TypeAlias

import attrs

from p2pwire.node.rates import Recent
from p2pwire.wire.registry import BLOCK_SIZE

Rank: TypeAlias = Callable[[int], tuple[int, int]]
"""Of two waiting links, the one whose rank is lower is preferred."""


@attrs.frozen
class OutflowConfig:
    """The figures of the policy."""

    horizon: float = 0.25
    """Seconds of sending that are handed to carriers at a time."""
    least: int = BLOCK_SIZE
    """Bytes that are handed out in any case. What waits behind them can still be cancelled, or give way to others."""
    lead: int = 8
    """Blocks by which a link may get ahead of the others for what it asks for."""
    ranked: int = 64
    """Links, at most, of which the best gets a turn: those that have waited longest. To rank a thousand for each block
    would take longer than to send it."""
    patience: float = 1.0
    """Seconds, at least, for which a carrier that takes nothing holds up others."""
    patience_factor: float = 4.0
    """How many times longer than usual a carrier may take."""
    longest_patience: float = 10.0
    """Seconds, at most."""
    probation: int = 16
    """Turns for which a link does not count that held up others."""
    rarest_first: bool = True
    """Whether rank counts at all; else links take turns."""


@attrs.define(eq=False)
class _Lane:
    """One link."""

    turns: int = 0
    """Blocks sent, as far as they count against others'."""
    turn: bool = False
    """It may send now."""
    given: int = 0
    """Bytes, handed out or to be, that are not known to be taken."""
    until: float = inf
    """When it is no longer waited for that they are taken."""
    probation: int = 0


class Outflow:
    """The turns of one node's links, which are the caller's numbers. Sizes are bytes of content, times seconds."""

    def __init__(self, config: OutflowConfig | None = None) -> None:
        self._config = config or OutflowConfig()
        self._lanes: dict[int, _Lane] = {}
        self._waiting: dict[int, _Lane] = {}
        """In the order in which they came to wait."""
        self._busy: dict[int, _Lane] = {}
        self._forgive_at = inf
        """No carrier has taken too long before."""
        self._full = False
        """Enough was handed out when that was last looked at, and since then nothing was sent or taken."""
        self._out = 0
        """Bytes handed out that are waited for."""
        self._sent = Recent(2.0)
        self._floor = 0
        """What a link's turns count from at least that comes late or after a pause."""

    def bound(self, now: float) -> int:
        """Bytes that may be handed out and not taken."""
        config = self._config
        return max(config.least, int(self._sent.total(now) / 2.0 * config.horizon))

    def ready(self, link: int) -> None:
        """The link has a block to send; without effect while its carrier has not taken what was handed out before."""
        lane = self._lanes.get(link)
        if lane is None:
            lane = self._lanes[link] = _Lane()
        if not (link in self._waiting or lane.turn or lane.given):
            lane.turns = max(lane.turns, self._floor)
            self._waiting[link] = lane

    def removed(self, link: int) -> None:
        """The link is over."""
        lane = self._lanes.pop(link, None)
        if lane is not None:
            self._waiting.pop(link, None)
            self._settle(link, lane)

    def taken(self, link: int) -> bool:
        """The carrier has taken all that the link has handed out. Whether that was any."""
        lane = self._lanes.get(link)
        if lane is None or lane.turn or not lane.given:
            return False
        self._settle(link, lane)
        return True

    @property
    def waits(self) -> bool:
        """Whether a link waits for its turn."""
        return bool(self._waiting)

    def has_turn(self, link: int) -> bool:
        """Whether the link may send now."""
        lane = self._lanes.get(link)
        return lane is not None and lane.turn

    def sent(self, link: int, size: int, now: float) -> None:
        """The link has used its turn, for so much, nothing perhaps."""
        lane = self._lanes[link]
        lane.turn = False
        lane.turns += -(-size // BLOCK_SIZE)
        lane.probation = max(0, lane.probation - 1)
        self._sent.add(size, now)
        self._full = False
        if not size:
            self._settle(link, lane)
        elif link in self._busy:
            self._out += size - lane.given
            lane.given = size

    def next(self, rank: Rank, now: float) -> int | None:
        """Gives the next turn, and says to whom; None: nobody waits, or enough is handed out."""
        if not self._waiting or (self._full and now < self._forgive_at):
            return None
        self._forgive(now)
        self._full = self._out >= self.bound(now)
        if self._full:
            return None
        least = min(lane.turns for lane in self._waiting.values())
        self._floor = max(self._floor, least)
        link = self._choose(rank, least)
        lane = self._waiting.pop(link)
        lane.turn = True
        if not lane.probation:
            lane.given, lane.until = BLOCK_SIZE, now + self._patience(now)
            self._forgive_at = min(self._forgive_at, lane.until)
            self._busy[link] = lane
            self._out += BLOCK_SIZE
        return link

    def share(self, now: float) -> int:
        """Bytes that a turn is good for, beside the block that it is given for."""
        others = len(self._waiting) + len(self._busy)
        return (self.bound(now) - self._config.least) // max(1, others)

    @property
    def forgives_at(self) -> float:
        """No later than `next_timeout`, and sooner said."""
        return self._forgive_at

    def next_timeout(self) -> float | None:
        """When `next` may have something that it did not have before."""
        if not self._waiting:
            return None
        return min((lane.until for lane in self._busy.values()), default=None)

    def _choose(self, rank: Rank, least: int) -> int:
        if len(self._waiting) == 1:
            return next(iter(self._waiting))
        lanes = self._waiting
        # Of equals `min` takes the first, who has waited longest.
        if not self._config.rarest_first:
            return min(lanes, key=lambda link: lanes[link].turns)
        near = (link for link, lane in lanes.items() if lane.turns < least + self._config.lead)
        return min(islice(near, self._config.ranked), key=rank)

    def _patience(self, now: float) -> float:
        config = self._config
        rate = self._sent.total(now) / 2.0
        usual = (self._out + BLOCK_SIZE) / rate if rate else inf
        return min(config.longest_patience, max(config.patience, config.patience_factor * usual))

    def _forgive(self, now: float) -> None:
        """Waits no longer for carriers that take too long."""
        if now < self._forgive_at:
            return
        for link, lane in [(link, lane) for link, lane in self._busy.items() if lane.until <= now]:
            del self._busy[link]
            self._out -= lane.given
            lane.given, lane.until = 0, inf
            lane.probation = self._config.probation
        self._forgive_at = min((lane.until for lane in self._busy.values()), default=inf)

    def _settle(self, link: int, lane: _Lane) -> None:
        if self._busy.pop(link, None) is not None:
            self._out -= lane.given
            self._full = False
        lane.given, lane.until = 0, inf
