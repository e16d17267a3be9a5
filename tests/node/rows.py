"""Files in a row with units of any size, and a small source of numbers, for the picker's tests."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import attrs

from p2pwire.content.units import Layout
from p2pwire.wire.registry import BLOCK_SIZE


@attrs.frozen
class Row:
    """Files of so many blocks each. Units of more than one block need no 65537 blocks here."""

    files: tuple[int, ...]
    unit_exponent: int = 0

    @property
    def total_blocks(self) -> int:
        return sum(self.files)

    def locate(self, block: int, /) -> tuple[int, int]:
        return self._layout.locate(block)

    def blocks_of(self, file: int, /) -> int:
        return self.files[file]

    def units_of(self, first: int, count: int) -> set[int]:
        return {block >> self.unit_exponent for block in range(first, first + count)}

    @property
    def units(self) -> int:
        return -(-self.total_blocks >> self.unit_exponent)

    @property
    def _layout(self) -> Layout:
        return Layout.of_lengths(blocks * BLOCK_SIZE for blocks in self.files)


def numbers(seed: int = 0) -> Callable[[int], bytes]:
    """Bytes that look random and are the same each time."""
    return Random(seed).randbytes
