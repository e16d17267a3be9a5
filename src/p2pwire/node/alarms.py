"""Things to look at again at a time: one time each, changed or cancelled in O(log n)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_SLACK: Final = 64
"""entries of the heap that may be out of date beside as many as are not, before they are swept out."""


def earliest(*times: float | None) -> float | None:
    """The earliest of some times, of which None is none at all: quicker than `min`, and asked after every event."""
    found = None
    for time in times:
        if time is not None and (found is None or time < found):
            found = time
    return found


class Horizon:
    """Up to when nothing is due, so that after most events nobody need ask what is: alarms that are set move it nearer,
    and who has come so far looks for what is next."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = inf

    def near(self, when: float) -> None:
        """Something is to be done then."""
        if when < self.at:
            self.at = when


class Alarms(Generic[Key]):
    """A heap of times whose entries are left behind when a key's time changes, and skipped when they come up."""

    __slots__ = ("_heap", "_horizon", "_order", "_times")

    def __init__(self, horizon: Horizon | None = None) -> None:
        self._horizon = horizon or Horizon()
        self._times: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = count()  # keys need not be comparable

    def __len__(self) -> int:
        return len(self._times)

    def __contains__(self, key: Key) -> bool:
        return key in self._times

    def set(self, key: Key, when: float) -> None:
        """Look at `key` at `when`, and at no other time."""
        if self._times.get(key) == when:
            return
        self._times[key] = when
        self._horizon.near(when)
        heappush(self._heap, (when, next(self._order), key))
        if len(self._heap) > 2 * len(self._times) + _SLACK:
            self._heap = [(time, next(self._order), name) for name, time in self._times.items()]
            heapify(self._heap)

    def cancel(self, key: Key) -> None:
        """Do not look at `key`."""
        self._times.pop(key, None)

    def next(self) -> float | None:
        """The earliest time; None if there is none."""
        while self._heap:
            when, _, key = self._heap[0]
            if self._times.get(key) == when:
                return when
            heappop(self._heap)
        return None

    def due(self, now: float) -> Iterator[Key]:
        """Takes out the keys whose time has come, earliest first. A key may be set again meanwhile."""
        while (when := self.next()) is not None and when <= now:
            _, _, key = heappop(self._heap)
            del self._times[key]
            yield key
