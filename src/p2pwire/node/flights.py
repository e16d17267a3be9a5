"""Own requests in flight, found by any block that they cover."""

from __future__ import annotations

from typing import Protocol

import attrs

from p2pwire.content.units import unit_exponent
from p2pwire.wire.registry import MAX_LEVEL


class Layout(Protocol):
    """How the files of a resource lie one after another, each beginning at a block: `content.units.Layout`."""

    @property
    def total_blocks(self) -> int:
        """Blocks of all files."""
        ...

    @property
    def unit_exponent(self) -> int:
        """A unit is 2^this many blocks."""
        ...

    def locate(self, block: int, /) -> tuple[int, int]:
        """A block of the resource as (file, block in the file)."""
        ...

    def blocks_of(self, file: int, /) -> int:
        """How many blocks a file has."""
        ...


@attrs.frozen
class OneFile:
    """The layout of a file by itself, whatever its number: that of a manifest that is still to be fetched."""

    file: int
    total_blocks: int

    @property
    def unit_exponent(self) -> int:
        """A unit is 2^this many blocks."""
        return unit_exponent(self.total_blocks)

    def locate(self, block: int, /) -> tuple[int, int]:
        """The same block, in the one file."""
        return self.file, block

    def blocks_of(self, file: int, /) -> int:
        """All blocks."""
        return self.total_blocks


@attrs.frozen(eq=False)
class PickedRequest:
    """One REQUEST to send. Two are equal only if they are the same object: a request may be made again."""

    file: int
    block: int
    """The first block, counted within the file; a multiple of 2^level."""
    level: int
    """0..6; the request costs 2^level."""
    global_first: int
    """The first block, counted over all files."""
    count: int
    """Blocks that it really covers: 2^level, or fewer where the file ends."""
    at: float
    """When it was picked."""

    @property
    def cost(self) -> int:
        """What it takes from the link's credit."""
        return 1 << self.level


class Flights:
    """Which link was asked for what. Requests are aligned within their file, so a block has at most 7 beginnings."""

    __slots__ = ("_by_first", "_layout")

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._by_first: dict[int, list[tuple[int, PickedRequest]]] = {}

    def add(self, link: int, request: PickedRequest) -> None:
        """A request has been picked."""
        self._by_first.setdefault(request.global_first, []).append((link, request))

    def remove(self, link: int, request: PickedRequest) -> None:
        """A request is over, or not waited for any longer."""
        flights = self._by_first[request.global_first]
        flights.remove((link, request))
        if not flights:
            del self._by_first[request.global_first]

    def covering(self, block: int) -> list[tuple[int, PickedRequest]]:
        """All (link, request) in flight whose blocks include this one."""
        _, offset = self._layout.locate(block)
        found: list[tuple[int, PickedRequest]] = []
        known = -1
        for level in range(MAX_LEVEL + 1):
            first = block - (offset & ((1 << level) - 1))
            if first != known and first in self._by_first:
                found += [flight for flight in self._by_first[first] if first + flight[1].count > block]
            known = first
        return found

    def touching(self, first: int, count: int) -> list[tuple[int, PickedRequest]]:
        """All (link, request) in flight whose blocks include one of these, which are of one file."""
        found = self.covering(first)
        for block in range(first + 1, first + count):
            if block in self._by_first:
                found += self._by_first[block]
        return found

    def within(self, first: int, last: int) -> int:
        """Which of these blocks are in flight: bit n speaks of the n-th. Looks at all requests."""
        window = 0
        for flights in self._by_first.values():
            for _, request in flights:
                start = max(first, request.global_first)
                stop = min(last + 1, request.global_first + request.count)
                if start < stop:
                    window |= ((1 << (stop - start)) - 1) << (start - first)
        return window
