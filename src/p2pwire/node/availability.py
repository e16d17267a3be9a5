"""How many links hold each unit of a resource, and which units are the rarest.

A set of units is a Python integer: bit n is set if unit n is in the set. With at most 65536 units such a set takes
8 KiB, and an operation on all of its bits costs less than a microsecond.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

UnitSet: TypeAlias = int


def unit_range(first: int, last: int) -> UnitSet:
    """Units `first` to `last`, both included; none if `last` is before `first`."""
    return ((1 << (last - first + 1)) - 1) << first if first <= last else 0


def unit_set(spans: Iterable[tuple[int, int]], total: int) -> UnitSet:
    """The units of inclusive spans, in any order; units from `total` on are left out."""
    kept = [(first, min(last, total - 1)) for first, last in spans if first < total]
    if len(kept) == 1:
        return unit_range(*kept[0])
    if not kept:
        return 0
    # A map full of holes has thousands of spans: each touches its own few bytes here, and not the whole number.
    start = min(first for first, _ in kept) >> 3
    marks = bytearray((max(last for _, last in kept) >> 3) + 1 - start)
    for first, last in kept:
        low, high = (first >> 3) - start, (last >> 3) - start
        head, tail = 0xFF << (first & 7) & 0xFF, 0xFF >> (7 - (last & 7))
        if low == high:
            marks[low] |= head & tail
        else:
            marks[low] |= head
            marks[low + 1 : high] = b"\xff" * (high - low - 1)
            marks[high] |= tail
    return int.from_bytes(marks, "little") << (start << 3)


def lowest(bits: int) -> int:
    """The lowest bit that is set; one must be."""
    return (bits ^ (bits - 1)).bit_length() - 1


def each(bits: int) -> Iterator[int]:
    """The bits that are set, ascending. Meant for few: each costs a pass over the number."""
    while bits:
        yield lowest(bits)
        bits &= bits - 1


def random_unit(units: UnitSet, random: Callable[[int], bytes]) -> int:
    """A unit of a set that is not empty: the next one from a random place on."""
    place = int.from_bytes(random(4)) % units.bit_length()
    rest = units >> place
    return place + lowest(rest)


class Availability:
    """A counter per unit, written vertically: bit n of slice k is bit k of unit n's count.

    So adding a link's map, whatever its size, is one addition with carry over whole sets, and the rarest of some
    units are found in one step per slice: log2(links) steps.
    """

    __slots__ = ("_slices",)

    def __init__(self) -> None:
        self._slices: list[UnitSet] = []

    def add(self, units: UnitSet) -> None:
        """One more link holds these units."""
        slices = self._slices
        for index, bits in enumerate(slices):
            if not units:
                return
            slices[index] = bits ^ units
            units &= bits
        if units:
            slices.append(units)

    def remove(self, units: UnitSet) -> None:
        """One link less holds these units; each was added before."""
        slices = self._slices
        for index, bits in enumerate(slices):
            if not units:
                break
            slices[index] = bits = bits ^ units
            units &= bits
        while slices and not slices[-1]:
            slices.pop()

    def rarest(self, among: UnitSet) -> UnitSet:
        """Those of the given units that the fewest links hold."""
        for bits in reversed(self._slices):
            common = among & bits
            if common != among:
                among ^= common
        return among

    def count(self, unit: int) -> int:
        """The number of links that hold a unit."""
        return sum((bits >> unit & 1) << index for index, bits in enumerate(self._slices))
