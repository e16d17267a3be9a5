"""A set of small numbers as a bitmap, changed and read in spans: (first, last), both included."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

Span: TypeAlias = tuple[int, int]
"""First and last number of a run, both included."""

_ONES: Final = re.compile("1+")


def spans_of(bits: int, base: int = 0) -> list[Span]:
    """The runs of set bits, ascending; bit 0 stands for the number `base`."""
    text = bin(bits)[:1:-1]  # lowest bit first, and without "0b"
    return [(base + run.start(), base + run.end() - 1) for run in _ONES.finditer(text)]


class Bitmap:
    """Numbers from 0 to `limit` - 1; as many bytes as the highest number that was ever in it takes."""

    __slots__ = ("_bits", "count", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """What all numbers are below."""
        self.count = 0
        """How many numbers are in the set."""
        self._bits = bytearray()

    def __contains__(self, number: int) -> bool:
        at = number >> 3
        return 0 <= at < len(self._bits) and self._bits[at] >> (number & 7) & 1 == 1

    def __iter__(self) -> Iterator[int]:
        for first, last in self.spans():
            yield from range(first, last + 1)

    @property
    def bits(self) -> int:
        """The whole set as an integer: bit n is set if n is in it."""
        return int.from_bytes(self._bits, "little")

    def spans(self) -> list[Span]:
        """The runs of numbers in the set, ascending and as long as can be."""
        return spans_of(self.bits)

    def holds(self, first: int, last: int) -> bool:
        """Whether the whole span is in the set."""
        if last >> 3 >= len(self._bits):
            return False
        low, high = first >> 3, (last >> 3) + 1
        mask = (1 << last - first + 1) - 1 << (first & 7)
        return int.from_bytes(self._bits[low:high], "little") & mask == mask

    def holds_any(self, first: int, last: int) -> bool:
        """Whether a number of a span is in the set."""
        low, high = first >> 3, (last >> 3) + 1
        mask = (1 << last - first + 1) - 1 << (first & 7)
        return int.from_bytes(self._bits[low:high], "little") & mask != 0

    def add_number(self, number: int) -> bool:
        """Add one number; says whether it is new."""
        at, bit = number >> 3, 1 << (number & 7)
        if at >= len(self._bits):
            self._grow(number)
        if self._bits[at] & bit:
            return False
        self._bits[at] |= bit
        self.count += 1
        return True

    def add_span(self, first: int, last: int) -> list[Span]:
        """Add a span; the runs in it that are new."""
        if last >> 3 >= len(self._bits):
            self._grow(last)
        return self._change(first, last, present=True)

    def remove_span(self, first: int, last: int) -> list[Span]:
        """Take a span out; the runs that were in the set."""
        last = min(last, len(self._bits) * 8 - 1)
        return self._change(first, last, present=False) if first <= last else []

    def _change(self, first: int, last: int, *, present: bool) -> list[Span]:
        low, high = first >> 3, (last >> 3) + 1
        mask = (1 << last - first + 1) - 1 << (first & 7)
        before = int.from_bytes(self._bits[low:high], "little")
        changed = mask & ~before if present else mask & before
        if not changed:
            return []
        self._bits[low:high] = (before ^ changed).to_bytes(high - low, "little")
        count = changed.bit_count()
        self.count += count if present else -count
        return [(first, last)] if changed == mask else spans_of(changed, low * 8)

    def _grow(self, last: int) -> None:
        """Make room up to `last`, by at least an eighth, so that growing number by number stays cheap."""
        size = max((last >> 3) + 1, min(len(self._bits) * 9 // 8 + 8, (self.limit + 7) >> 3))
        self._bits.extend(bytes(size - len(self._bits)))
