"""A set of the blocks of one resource: one bit a block, changed in place, read in windows.

Ten million blocks (150 GiB) take 1.2 MB, and none of that before it differs from what the set began with: a length that
somebody claims takes no memory. A window is an integer whose bit n speaks of the window's n-th block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_PAGE: Final = 65536
"""blocks in a page: no less than any unit has, so that a unit lies in one."""


class BlockSet:
    """Blocks 0 to `total` - 1, at first all of them or none."""

    __slots__ = ("_full", "_pages", "total")

    def __init__(self, total: int, *, full: bool) -> None:
        self.total = total
        self._full = full
        self._pages: dict[int, bytearray] = {}

    def __contains__(self, block: int) -> bool:
        page = self._pages.get(block // _PAGE)
        if page is None:
            return self._full and 0 <= block < self.total
        block %= _PAGE
        return page[block >> 3] >> (block & 7) & 1 == 1

    def window(self, first: int, count: int) -> int:
        """Which of the blocks `first` to `first + count - 1` are in the set."""
        if first % _PAGE + count <= _PAGE:
            return self._window(first // _PAGE, first % _PAGE, count)
        window = 0
        for at, number, low, part in self._parts(first, count):
            window |= self._window(number, low, part) << at
        return window

    def assign(self, first: int, count: int, window: int) -> None:
        """Makes `window(first, count)` equal to `window`."""
        if first % _PAGE + count <= _PAGE:
            self._assign(first // _PAGE, first % _PAGE, count, window)
            return
        for at, number, low, part in self._parts(first, count):
            self._assign(number, low, part, window >> at & ((1 << part) - 1))

    def take(self, first: int, count: int) -> int:
        """Takes a window out of the set, and says what was in it: `window`, and `assign` to nothing."""
        if first % _PAGE + count > _PAGE:
            was = self.window(first, count)
            self.assign(first, count, 0)
            return was
        page = self._pages.get(first // _PAGE)
        if page is None:
            if not self._full:
                return 0
            page = self._page(first // _PAGE)
        low = first % _PAGE
        start, stop, shift = low >> 3, (low + count + 7) >> 3, low & 7
        around = int.from_bytes(page[start:stop], "little")
        was = around & ((1 << count) - 1) << shift
        if was:
            page[start:stop] = (around ^ was).to_bytes(stop - start, "little")
        return was >> shift

    def _parts(self, first: int, count: int) -> Iterator[tuple[int, int, int, int]]:
        """A window by pages: where the part begins in it, the page, where it begins in that, and how long it is."""
        at = 0
        while at < count:
            number, low = divmod(first + at, _PAGE)
            part = min(_PAGE - low, count - at)
            yield at, number, low, part
            at += part

    def _window(self, number: int, low: int, count: int) -> int:
        page = self._pages.get(number)
        if page is None:
            return (1 << min(count, self.total - number * _PAGE - low)) - 1 if self._full else 0
        return int.from_bytes(page[low >> 3 : (low + count + 7) >> 3], "little") >> (low & 7) & ((1 << count) - 1)

    def _assign(self, number: int, low: int, count: int, window: int) -> None:
        if number not in self._pages and window == self._window(number, low, count):
            return
        page = self._page(number)
        start, stop, shift = low >> 3, (low + count + 7) >> 3, low & 7
        around = int.from_bytes(page[start:stop], "little")
        around = around & ~(((1 << count) - 1) << shift) | window << shift
        page[start:stop] = around.to_bytes(stop - start, "little")

    def _page(self, number: int) -> bytearray:
        """The page to be changed."""
        page = self._pages.get(number)
        if page is None:
            size = min(_PAGE, self.total - number * _PAGE)
            page = bytearray(b"\xff" if self._full else b"\x00") * ((size + 7) >> 3)
            if self._full and size & 7:
                page[-1] = (1 << (size & 7)) - 1
            self._pages[number] = page
        return page
