"""Announcing: HAVE for what was completed, LOST for what is gone.

What the other side of a link holds itself is told with what it does not, or after a while: it matters only for how
rare things are.

Changes links' `untold` and `tells`, and swarms' `fresh`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from p2pwire.connection import commands as cmd
from p2pwire.content.bitmap import Span
from p2pwire.node.alarms import Alarms
from p2pwire.node.core import Core
from p2pwire.node.link import Link
from p2pwire.node.swarm import Swarm
from p2pwire.wire.registry import HAVE_DELAY, HAVE_PATIENCE

MAX_SPANS: Final = 8192
"""spans in one HAVE: 32 KiB of the 64 KiB that a frame holds."""


class Announcing:
    """What all links are told of a node's holdings."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._alarms: Alarms[Swarm] = Alarms(core.horizon)
        self._held_back: Alarms[Link] = Alarms(core.horizon)

    def link_opened(self, swarm: Swarm, link: Link) -> None:
        """The topic is open on a link: it is told everything [TR-012]."""
        units = list(swarm.held.units())
        if units:
            link.untold[swarm.topic] = units
            self._tell_soon(link)

    def link_closed(self, swarm: Swarm, link: Link) -> None:
        """The topic is open on a link no longer."""
        link.untold.pop(swarm.topic, None)

    def blocks_held(self, swarm: Swarm, first: int, last: int) -> None:
        """Further blocks are held: their units may be complete."""
        exponent = swarm.layout.unit_exponent
        if not exponent:
            self.units_held(swarm, [(first, last)])
            return
        low, high = first >> exponent, last >> exponent
        # Between the first unit and the last one there are only whole ones.
        if not swarm.held.holds_unit(low):
            low += 1
        if low <= high and not swarm.held.holds_unit(high):
            high -= 1
        if low <= high:
            self.units_held(swarm, [(low, high)])

    def units_held(self, swarm: Swarm, units: list[Span]) -> None:
        """These units are complete; more of them are waited for before it is told [TR-013]."""
        if units and not swarm.fresh:
            self._alarms.set(swarm, self._core.now + HAVE_DELAY)
        swarm.fresh += units

    def lose(self, swarm: Swarm, first: int, last: int) -> bool:
        """A span of blocks is held no longer; everyone hears of it at once [TR-014]. Says whether any block was."""
        lost = sum(
            swarm.length_of(max(first, low), min(last, high))
            for low, high in swarm.held.spans()
            if low <= last and high >= first
        )
        if not swarm.held.remove_span(first, last):
            return False
        swarm.done -= lost
        units = (first >> swarm.layout.unit_exponent, last >> swarm.layout.unit_exponent)
        swarm.fresh = without(swarm.fresh, units)
        for number in swarm.links:
            link = self._core.links[number]
            if swarm.topic in link.untold:
                link.untold[swarm.topic] = without(link.untold[swarm.topic], units)
            if link.established and link.connection.is_open(swarm.topic):
                self._core.send_counted(link, cmd.TellLost(swarm.topic, (units,)))
        return True

    def forget(self, swarm: Swarm) -> None:
        """Nothing is announced for this swarm any more."""
        self._alarms.cancel(swarm)
        swarm.fresh = []

    def on_time(self) -> list[Swarm]:
        """Tell the units that were completed since the last time; of which swarms there were any."""
        due = list(self._alarms.due(self._core.now))
        for swarm in due:
            spans, swarm.fresh = merged(swarm.fresh), []
            for number in swarm.links:
                link = self._core.links[number]
                link.untold.setdefault(swarm.topic, []).extend(spans)
                if not all(link.connection.peer_holds(swarm.topic, first, last) for first, last in spans):
                    self._tell_soon(link)
                elif not link.tells and link not in self._held_back:
                    self._held_back.set(link, self._core.now + HAVE_PATIENCE)
        for link in list(self._held_back.due(self._core.now)):
            if link.id in self._core.links:
                self._tell_soon(link)
        return due

    def _tell_soon(self, link: Link) -> None:
        link.tells = True
        self._held_back.cancel(link)
        self._core.unsettle(link)

    def tell(self, link: Link) -> None:
        """Send the HAVEs that are due on a link, as far as there is room."""
        if not link.tells:
            return
        while link.untold and link.connection.can_send:
            topic, untold = next(iter(link.untold.items()))
            del link.untold[topic]
            spans = merged(untold)
            if spans and link.connection.is_open(topic):
                link.connection.send(cmd.TellUnits(topic, tuple(spans[:MAX_SPANS])))
                if len(spans) > MAX_SPANS:
                    link.untold[topic] = spans[MAX_SPANS:]
        link.tells = bool(link.untold)

    def next_timeout(self) -> float | None:
        """When `on_time` has something to do."""
        return min((time for time in (self._alarms.next(), self._held_back.next()) if time is not None), default=None)


def merged(spans: Iterable[Span]) -> list[Span]:
    """Ascending disjoint spans that cover the same units, as few as can be."""
    result: list[Span] = []
    for first, last in sorted(spans):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result


def without(spans: list[Span], gone: Span) -> list[Span]:
    """What is left of spans when those units are taken out."""
    first, last = gone
    parts = ((low, min(high, first - 1)) for low, high in spans)
    rest = ((max(low, last + 1), high) for low, high in spans)
    return [(low, high) for low, high in (*parts, *rest) if low <= high]
