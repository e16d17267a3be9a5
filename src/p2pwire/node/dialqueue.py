"""Who may be dialled now, and whose turn it is: candidates, in one queue per source that named them.

What the user and the local network gave waits in one queue of its own, which takes no part in the turns.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterator, Mapping
from enum import Enum
from typing import Final, TypeAlias

import attrs

from p2pwire.node.address import Endpoint
from p2pwire.node.alarms import Alarms, Horizon
from p2pwire.node.dialrules import FREE, Window


class Local(Enum):
    """Sources of addresses that are not peers."""

    USER = "user"
    """The user, on the command line or in a URI."""
    LAN = "lan"
    """An announcement in the local network."""
    ANCHOR = "anchor"
    """A peer that was linked before this process began."""


SourceName: TypeAlias = bytes | Local
"""Who named an address: a peer's identity, or a local source."""

MINUTE: Final = 60.0
"""seconds within which a source's dials are counted."""


@attrs.frozen(eq=False)
class DialTarget:
    """What to dial. It stands for the attempt, and for the link that comes of it, until that is over."""

    endpoint: Endpoint
    identity: bytes | None
    """Who has to answer; None: whoever does."""
    topics: frozenset[bytes]
    """For which the dial is made."""
    source: SourceName

    @property
    def learned_from(self) -> bytes | None:
        """The peer that named this one; None if no peer did."""
        return self.source if isinstance(self.source, bytes) else None


@attrs.define(eq=False)
class Candidate:
    """A peer whose record is in the book, or an address from a local source."""

    identity: bytes | None
    """Who has to answer; always known for a peer of the book."""
    local: Local | None = None
    """The local source; None: a peer of the book."""
    fixed: Endpoint | None = None
    """The address that a local source gave; a peer of the book has those of its record."""
    topics: frozenset[bytes] = frozenset()
    """Of a local source: for which the address was given; none: for all."""
    met: bytes | None = None
    """Of a local source: who answered there last."""
    endpoint: Endpoint | None = None
    """While ready: the address to dial."""
    group: bytes | None = None
    """While ready: the address's group; None if it is not global, and so bound by no group limit."""
    queues: list[SourceQueue] = attrs.field(factory=list)
    """While ready: where it waits."""

    @property
    def names(self) -> tuple[bytes, ...]:
        """The identities that are, or are taken to be, at the other end."""
        return tuple(name for name in (self.identity, self.met) if name is not None)

    @property
    def exempt(self) -> bool:
        """Whether only back-off and the count of parallel dials hold it back."""
        return self.local in (Local.USER, Local.LAN)


@attrs.define(eq=False)
class SourceQueue:
    """The ready candidates of one source. Those that it calls reachable come first; then groups take turns."""

    name: SourceName
    parallel: int
    """Dials in progress at most [PX-075, PX-082]."""
    window: Window | None
    """Dials per minute [PX-076]; None: no limit."""
    dialling: int = 0
    active: bool = False
    """Whether one of its candidates may be dialled now."""
    _tiers: tuple[dict[bytes | None, dict[Candidate, None]], ...] = attrs.field(factory=lambda: ({}, {}), init=False)
    _places: dict[Candidate, tuple[int, bytes | None]] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, candidate: Candidate, *, reachable: bool) -> None:
        """Last of its group."""
        tier = 0 if reachable else 1
        self._places[candidate] = tier, candidate.group
        self._tiers[tier].setdefault(candidate.group, {})[candidate] = None

    def remove(self, candidate: Candidate) -> None:
        """The candidate waits no longer; its group is last in turn now."""
        tier, group = self._places.pop(candidate)
        members = self._tiers[tier].pop(group)
        del members[candidate]
        if members:
            self._tiers[tier][group] = members

    def groups(self) -> Iterator[tuple[bytes | None, int]]:
        """Groups and counts of candidates; a group may come twice."""
        for tier in self._tiers:
            for group, members in tier.items():
                yield group, len(members)

    def first(self, occupied: Container[bytes | None]) -> Candidate | None:
        """The candidate whose turn it is among those outside the occupied groups."""
        for tier in self._tiers:
            for group, members in tier.items():
                if group not in occupied:
                    return next(iter(members))
        return None

    def free_at(self) -> float:
        """From which time on its rate allows a dial."""
        return FREE if self.window is None else self.window.free_at()

    def idle_at(self) -> float:
        """From which time on none of its dials counts any more."""
        return FREE if self.window is None else self.window.idle_at()


class DialQueues:
    """The queues of all sources. Times are monotonic seconds."""

    def __init__(self, parallel: int, per_minute: int, horizon: Horizon) -> None:
        """Bounds of each source: dials in progress, and dials begun in a minute."""
        self._parallel = parallel
        self._per_minute = per_minute
        self._given = SourceQueue(Local.USER, parallel, None)
        self._sources: dict[SourceName, SourceQueue] = {}
        self._turns: OrderedDict[SourceQueue, None] = OrderedDict()
        self._groups: dict[bytes | None, int] = {}
        self._alarms: Alarms[SourceQueue] = Alarms(horizon)

    def enqueue(self, candidate: Candidate, sources: Mapping[SourceName, bool], now: float) -> None:
        """The candidate, with its endpoint and group set, is ready, by the word of these sources: name -> whether the
        source calls it reachable."""
        for name, reachable in sources.items():
            source = self._source(name)
            source.add(candidate, reachable=reachable)
            candidate.queues.append(source)
            if source.active:
                self._count(source, candidate.group, 1)
            self._regard(source, now)

    def dequeue(self, candidate: Candidate, now: float) -> None:
        """The candidate is ready no longer."""
        for source in candidate.queues:
            source.remove(candidate)
            if source.active:
                self._count(source, candidate.group, -1)
            self._regard(source, now)
        candidate.queues.clear()
        candidate.endpoint = candidate.group = None

    def begin(self, source: SourceQueue, now: float) -> None:
        """A dial begins by the word of this source."""
        source.dialling += 1
        if source.window is not None:
            source.window.enter(now)
        self._regard(source, now)

    def end(self, source: SourceQueue, now: float) -> None:
        """A dial is over."""
        source.dialling -= 1
        self._regard(source, now)

    def next_given(self) -> tuple[SourceQueue, Candidate] | None:
        """What the user or the local network gave and may be dialled now."""
        candidate = self._given.first(()) if self._given.active else None
        return None if candidate is None else (self._given, candidate)

    def next_outside(self, occupied: Container[bytes | None]) -> tuple[SourceQueue, Candidate] | None:
        """The candidate whose turn it is outside the given groups; the turn goes on."""
        if all(group in occupied for group in self._groups):
            return None
        for source in self._turns:
            candidate = source.first(occupied)
            if candidate is not None:
                self._turns.move_to_end(source)
                return source, candidate
        return None

    def wake(self, now: float) -> bool:
        """Let the sources whose time has come take part again; whether there were any."""
        woken = False
        for source in self._alarms.due(now):
            woken = True
            self._regard(source, now)
        return woken

    def next_timeout(self) -> float | None:
        """When `wake` is to be called next."""
        return self._alarms.next()

    def _source(self, name: SourceName) -> SourceQueue:
        if name in (Local.USER, Local.LAN):
            return self._given
        source = self._sources.get(name)
        if source is None:
            window = Window(self._per_minute, MINUTE)
            source = self._sources[name] = SourceQueue(name, self._parallel, window)
        return source

    def _regard(self, source: SourceQueue, now: float) -> None:
        """Whether the source takes part in the turns now, or when next."""
        free = source.dialling < source.parallel
        self._set_active(source, active=len(source) > 0 and free and source.free_at() <= now)
        if source.active or not free:
            self._alarms.cancel(source)
        elif len(source):
            self._alarms.set(source, source.free_at())
        elif source.idle_at() > now:
            # It is forgotten only when its dials count no longer: else it could begin anew by coming again.
            self._alarms.set(source, source.idle_at())
        elif not source.dialling:
            self._alarms.cancel(source)
            self._sources.pop(source.name, None)

    def _set_active(self, source: SourceQueue, *, active: bool) -> None:
        if source.active == active:
            return
        source.active = active
        if source is self._given:
            return
        if active:
            self._turns[source] = None
        else:
            del self._turns[source]
        for group, count in source.groups():
            self._count(source, group, count if active else -count)

    def _count(self, source: SourceQueue, group: bytes | None, change: int) -> None:
        """Keep count of the groups of candidates in the turns, so that it is cheap to see that none is outside some."""
        if source is self._given:
            return
        count = self._groups.get(group, 0) + change
        if count:
            self._groups[group] = count
        else:
            del self._groups[group]
