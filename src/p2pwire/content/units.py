"""Blocks and units: where the blocks of an object's files lie in one row, and who holds what of it.

The files of an object, one after another and each beginning with a new block, form a row of T blocks, numbered from 0:
*global* blocks. HAVE speaks of them in units of 2^u blocks, with u such that there are at most 65536 units. A unit may
lie across the borders of files; the last one may be short.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final, Self

from p2pwire.content.bitmap import Bitmap, Span
from p2pwire.content.hashing import block_count
from p2pwire.wire.registry import MAX_BLOCKS, MAX_UNITS

_UNIT_BITS: Final = MAX_UNITS.bit_length() - 1


def unit_exponent(total_blocks: int) -> int:
    """u for a row of so many blocks: a unit is 2^u of them."""
    return max(0, (total_blocks - 1).bit_length() - _UNIT_BITS) if total_blocks else 0


class Layout:
    """Where the blocks of the files of one object lie in the row."""

    __slots__ = ("_firsts", "total_blocks", "unit_exponent")

    def __init__(self, firsts: array[int]) -> None:
        """From the first block of each file and, last, the number of all blocks (array of type Q). See `of_lengths`."""
        self._firsts = firsts
        self.total_blocks = firsts[-1]
        """T."""
        self.unit_exponent = unit_exponent(self.total_blocks)
        """u."""

    @classmethod
    def of_lengths(cls, lengths: Iterable[int]) -> Self:
        """For files of these lengths in bytes, by file index. Raises `ValueError` above 2^32 blocks in all."""
        firsts = array("Q", [0])
        for length in lengths:
            firsts.append(firsts[-1] + block_count(length))
        if firsts[-1] > MAX_BLOCKS:
            raise ValueError(f"blocks: {firsts[-1]} in all, at most {MAX_BLOCKS}")
        return cls(firsts)

    @property
    def files(self) -> int:
        """How many files there are, empty ones included."""
        return len(self._firsts) - 1

    @property
    def unit_count(self) -> int:
        """How many units there are; none if there is no block."""
        return -(-self.total_blocks >> self.unit_exponent)

    def first_block(self, file: int) -> int:
        """The global number of a file's first block; for an empty file that of the next block. `IndexError` if none."""
        return self._firsts[self._index(file)]

    def blocks_of(self, file: int) -> int:
        """How many blocks a file has. `IndexError` for a file that does not exist."""
        return self._firsts[self._index(file) + 1] - self._firsts[file]

    def locate(self, block: int) -> tuple[int, int]:
        """A global block as (file, block in the file). `IndexError` for one that does not exist."""
        if not 0 <= block < self.total_blocks:
            raise IndexError(f"block {block}: there are {self.total_blocks}")
        # Files without blocks begin where the next file does, so the last one that begins here has the block.
        file = bisect_right(self._firsts, block) - 1
        return file, block - self._firsts[file]

    def files_of(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """A span of global blocks as (file, first block in it, last block in it), file by file."""
        if first > last:
            return
        file, _ = self.locate(first)
        end, _ = self.locate(last)
        for index in range(file, end + 1):
            start, stop = self._firsts[index], self._firsts[index + 1]
            if start < stop:
                yield index, max(first, start) - start, min(last + 1, stop) - start - 1

    def unit_of(self, file: int, block: int) -> int:
        """The unit in which a block of a file lies. `IndexError` for one that does not exist."""
        if not 0 <= block < self.blocks_of(file):
            raise IndexError(f"block {block}: file {file} has {self.blocks_of(file)}")
        return self._firsts[file] + block >> self.unit_exponent

    def unit_span(self, unit: int) -> Span:
        """The global blocks of a unit. `IndexError` for one that does not exist."""
        if not 0 <= unit < self.unit_count:
            raise IndexError(f"unit {unit}: there are {self.unit_count}")
        first = unit << self.unit_exponent
        return first, min(first + (1 << self.unit_exponent), self.total_blocks) - 1

    def _index(self, file: int) -> int:
        if not 0 <= file < self.files:
            raise IndexError(f"file {file}: there are {self.files}")
        return file


class UnitMap(Bitmap):
    """The units that a peer says it holds: at most 65536 of them, 8 KiB.

    It can be kept before the object is known; `limit_to` then drops what lies past the end, and cuts later spans there.
    """

    __slots__ = ()

    def __init__(self, limit: int = MAX_UNITS) -> None:
        super().__init__(limit)

    def add(self, spans: Iterable[Span]) -> list[Span]:
        """Units that are held from now on; those of them that were not, ascending if the spans are."""
        added: list[Span] = []
        end = self.limit - 1
        for first, last in spans:
            if first == last <= end:  # as they are told one by one
                if self.add_number(first):
                    added.append((first, last))
            elif first <= end:
                added += self.add_span(first, min(last, end))
        return added

    def remove(self, spans: Iterable[Span]) -> list[Span]:
        """Units that are held no longer; those of them that were."""
        removed: list[Span] = []
        for first, last in spans:
            removed += self.remove_span(first, last)
        return removed

    def limit_to(self, units: int) -> None:
        """There are so many units: what was held past the end is dropped, and ignored from now on."""
        self.remove_span(units, self.limit - 1)
        self.limit = units


class BlockMap:
    """The blocks that are held, of a row of `total` (up to 2^32): 8 KiB per 65536 where some but not all are."""

    __slots__ = ("_full", "_pages", "count", "total", "unit_exponent")

    def __init__(self, total: int) -> None:
        if not 0 <= total <= MAX_BLOCKS:
            raise ValueError(f"blocks: {total}, must be 0 to {MAX_BLOCKS}")
        self.total = total
        self.count = 0
        """How many blocks are held."""
        self.unit_exponent = unit_exponent(total)
        # A page is as large as the largest unit, so no unit lies in two. Full pages need no bits.
        self._pages: dict[int, Bitmap] = {}
        self._full: set[int] = set()

    @property
    def complete(self) -> bool:
        """Whether all blocks are held."""
        return self.count == self.total

    def __contains__(self, block: int) -> bool:
        number = block >> _UNIT_BITS
        page = self._pages.get(number)
        return number in self._full if page is None else block & MAX_UNITS - 1 in page

    def add(self, block: int) -> bool:
        """Hold one block; says whether it is new. `IndexError` for one that does not exist."""
        if not 0 <= block < self.total:
            raise IndexError(f"block {block}: there are {self.total}")
        number = block >> _UNIT_BITS
        page = self._pages.get(number) or self._page(number)
        if page is None or not page.add_number(block & MAX_UNITS - 1):
            return False
        self.count += 1
        if page.count == page.limit:
            self._fill(number)
        return True

    def add_span(self, first: int, last: int) -> int:
        """Hold a span of blocks; how many of them are new. `IndexError` if one does not exist."""
        before = self.count
        for number, low, high in self._cut(first, last):
            page = self._page(number)
            if page is None:
                continue
            held = page.count
            if high - low + 1 == page.limit:  # not worth setting its bits
                self.count += page.limit - held
                self._fill(number)
                continue
            page.add_span(low, high)
            self.count += page.count - held
            if page.count == page.limit:
                self._fill(number)
        return self.count - before

    def remove_span(self, first: int, last: int) -> int:
        """Hold a span of blocks no longer; how many were held. `IndexError` if one does not exist."""
        before = self.count
        for number, low, high in self._cut(first, last):
            if number in self._full:
                self._full.remove(number)
                page = self._pages[number] = Bitmap(self._size(number))
                page.add_span(0, page.limit - 1)
            elif number not in self._pages:
                continue
            page = self._pages[number]
            held = page.count
            page.remove_span(low, high)
            self.count += page.count - held
            if not page.count:
                del self._pages[number]
        return before - self.count

    def holds(self, first: int, last: int) -> bool:
        """Whether a whole span of blocks is held. `IndexError` if one does not exist."""
        return all(
            number in self._full or (number in self._pages and self._pages[number].holds(low, high))
            for number, low, high in self._cut(first, last)
        )

    def holds_any(self, first: int, last: int) -> bool:
        """Whether a block of a span is held. `IndexError` if one does not exist."""
        return any(
            number in self._full or (number in self._pages and self._pages[number].holds_any(low, high))
            for number, low, high in self._cut(first, last)
        )

    def spans(self) -> Iterator[Span]:
        """The runs of held blocks, ascending and as long as can be."""
        start = end = 0  # the run that may go on in the next page
        for number in sorted([*self._pages, *self._full]):
            base = number << _UNIT_BITS
            for low, high in [(0, self._size(number) - 1)] if number in self._full else self._pages[number].spans():
                if base + low != end:
                    if start < end:
                        yield start, end - 1
                    start = base + low
                end = base + high + 1
        if start < end:
            yield start, end - 1

    def missing(self) -> Iterator[Span]:
        """The runs of blocks that are not held, ascending and as long as can be."""
        start = 0
        for first, last in self.spans():
            if start < first:
                yield start, first - 1
            start = last + 1
        if start < self.total:
            yield start, self.total - 1

    def holds_unit(self, unit: int) -> bool:
        """Whether all blocks of a unit are held, across files. `IndexError` for a unit that does not exist."""
        first = unit << self.unit_exponent
        return self.holds(first, min(first + (1 << self.unit_exponent), self.total) - 1)

    def units(self) -> Iterator[Span]:
        """The runs of units that are held whole: what HAVE says."""
        for first, last in self.spans():
            start = -(-first >> self.unit_exponent)
            stop = last + 1 >> self.unit_exponent if last + 1 < self.total else -(-self.total >> self.unit_exponent)
            if start < stop:
                yield start, stop - 1

    def _size(self, number: int) -> int:
        return min(MAX_UNITS, self.total - (number << _UNIT_BITS))

    def _page(self, number: int) -> Bitmap | None:
        """The page to be added to; None if nothing is missing in it."""
        if number in self._full:
            return None
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = Bitmap(self._size(number))
        return page

    def _fill(self, number: int) -> None:
        del self._pages[number]
        self._full.add(number)

    def _cut(self, first: int, last: int) -> Iterator[tuple[int, int, int]]:
        """A span as (page, first in it, last in it)."""
        if not 0 <= first <= last < self.total:
            raise IndexError(f"blocks {first} to {last}: there are {self.total}")
        for number in range(first >> _UNIT_BITS, (last >> _UNIT_BITS) + 1):
            base = number << _UNIT_BITS
            yield number, max(first - base, 0), min(last - base, MAX_UNITS - 1)
