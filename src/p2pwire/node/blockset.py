"""A set of the blocks of one resource: one bit a block, changed in place, read in windows.

Ten million blocks (150 GiB) take 1.2 MB. A window is an integer whose bit n speaks of the window's n-th block.
"""

from __future__ import annotations


class BlockSet:
    """Blocks 0 to `total` - 1, at first all of them or none."""

    __slots__ = ("_bits", "total")

    def __init__(self, total: int, *, full: bool) -> None:
        self.total = total
        self._bits = bytearray(b"\xff" if full else b"\x00") * ((total + 7) >> 3)
        if full and total & 7:
            self._bits[-1] = (1 << (total & 7)) - 1

    def __contains__(self, block: int) -> bool:
        return self._bits[block >> 3] >> (block & 7) & 1 == 1

    def window(self, first: int, count: int) -> int:
        """Which of the blocks `first` to `first + count - 1` are in the set."""
        return int.from_bytes(self._bits[first >> 3 : (first + count + 7) >> 3], "little") >> (first & 7) & (
            (1 << count) - 1
        )

    def assign(self, first: int, count: int, window: int) -> None:
        """Makes `window(first, count)` equal to `window`."""
        start, stop, shift = first >> 3, (first + count + 7) >> 3, first & 7
        around = int.from_bytes(self._bits[start:stop], "little")
        around = around & ~(((1 << count) - 1) << shift) | window << shift
        self._bits[start:stop] = around.to_bytes(stop - start, "little")

    def discard(self, block: int) -> None:
        """Takes one block out of the set, if it is in it."""
        self._bits[block >> 3] &= ~(1 << (block & 7))
