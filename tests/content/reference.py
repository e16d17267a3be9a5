"""A plain hash tree, written for clarity alone, and content for it."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from random import Random

BLOCK = 16384


def content(blocks: int, last: int = BLOCK, seed: int = 0) -> bytes:
    """A file of so many blocks, the last one of `last` bytes."""
    return Random(seed).randbytes((blocks - 1) * BLOCK + last)


def some_leaves(count: int) -> list[bytes]:
    """Leaves of no content at all, for trees that would be too large with it."""
    random = Random(count)
    return [random.randbytes(32) for _ in range(count)]


def blocks_of(data: bytes) -> list[bytes]:
    return [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]


def rows_over(leaves: list[bytes]) -> list[list[bytes]]:
    """All rows of the tree, leaves first, root last."""
    row = list(leaves)
    while len(row) & (len(row) - 1):
        row.append(bytes(32))
    rows = [row]
    while len(row) > 1:
        row = [sha256(row[at] + row[at + 1]).digest() for at in range(0, len(row), 2)]
        rows.append(row)
    return rows


def rows_of(data: bytes) -> list[list[bytes]]:
    return rows_over([sha256(block).digest() for block in blocks_of(data)])


def proof(rows: list[list[bytes]], block: int) -> list[bytes]:
    """The whole path of siblings, bottom-up."""
    return [rows[level][block >> level ^ 1] for level in range(len(rows) - 1)]


def climbs(height: int, first: int, end: int) -> Iterator[tuple[int, int]]:
    """The blocks of an answer, and how many siblings come with each."""
    for block in range(first, end):
        count = height
        if block != first:
            count = 0
            while (block - first) % 2 ** (count + 1) == 0:
                count += 1
        yield block, count
