"""Hashing content: blocks, leaves, and the root of a file.

The tree is that of BitTorrent v2 (BEP 52): SHA-256 over blocks of 16 KiB, nodes over the 64 bytes of their two
children, and leaves of 32 zero bytes up to the next power of two. So a file's root is its BitTorrent v2 `pieces root`,
and that of a file of at most one block is its plain SHA-256. An empty file has no root; `NO_ROOT` stands in its place.

Levels count from the leaves (0) to the root (the height). A hash is 32 bytes; a block is named by its index in the
file.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import attrs

from p2pwire.wire.registry import BLOCK_SIZE, MAX_LENGTH, MAX_LEVEL, MAX_PROOF_HASHES

if TYPE_CHECKING:
    from p2pwire.wire.messages import Buffer

BLOCK: Final = BLOCK_SIZE
"""bytes of a block: the unit in which content is hashed, proved and sent."""

HASH: Final = 32
"""bytes of a hash."""

NO_ROOT: Final = bytes(HASH)
"""Stands for the root of an empty file, which has none."""


# --- Arithmetic ----------------------------------------------------------------------------------------------------


def block_count(length: int) -> int:
    """The blocks of a file of `length` bytes; 0 for an empty one."""
    return -(-length // BLOCK)


def tree_height(length: int) -> int:
    """The height of the tree of a file of `length` bytes, from the length alone: ceil(log2(blocks)), 0 if empty."""
    return (block_count(length) - 1).bit_length() if length else 0


def block_length(length: int, block: int) -> int:
    """The bytes of one block: `BLOCK`, or less for the last one. Raises `IndexError` for a block outside the file."""
    if not 0 <= block < block_count(length):
        raise IndexError(f"block {block}: a file of {length} bytes has {block_count(length)} blocks")
    return min(BLOCK, length - block * BLOCK)


def _padding() -> tuple[bytes, ...]:
    hashes = [bytes(HASH)]
    while len(hashes) <= MAX_PROOF_HASHES:
        hashes.append(sha256(hashes[-1] * 2).digest())
    return tuple(hashes)


PADDING: Final = _padding()
"""The node of each level under which lie only leaves past the end of the file."""


# --- Hashing -------------------------------------------------------------------------------------------------------


def leaf_hash(data: Buffer) -> bytes:
    """The leaf of one block: its SHA-256. Releases the interpreter lock while it works."""
    return sha256(data).digest()


SUBTREE_LEVELS: Final = MAX_LEVEL
"""Levels that are climbed, and kept, together: a subtree is that of the largest request."""

SUBTREE_LEAVES: Final = 1 << SUBTREE_LEVELS
"""Nodes of the lowest level of such a subtree."""


_PAIRS: Final = tuple(slice(at, at + 2 * HASH) for at in range(0, SUBTREE_LEAVES * HASH, 2 * HASH))
"""Where the pairs of a row lie: made once, for hashing 64 bytes takes little longer than making a slice."""


def subtree(nodes: bytes, tier: int, height: int) -> list[bytes]:
    """The rows of a subtree over its lowest nodes, 32 bytes each, in a tree of this height.

    They go from the lowest level, filled up with padding, to the one above the subtree.
    """
    level = tier * SUBTREE_LEVELS
    climb = min(SUBTREE_LEVELS, height - level)
    row = nodes + PADDING[level] * ((1 << climb) - len(nodes) // HASH)
    rows = [row]
    for up in range(1, climb + 1):
        row = b"".join([sha256(row[pair]).digest() for pair in _PAIRS[: 1 << climb - up]])
        rows.append(row)
    return rows


def subtrees(nodes: Buffer, height: int, tier: int = 0) -> Iterator[tuple[int, int, list[bytes]]]:
    """Climb from the leaves to the root, or from the lowest nodes of a tier: (tier, number, rows of the subtree).

    Tier t holds the levels from 6t on; `number` counts the subtrees of a tier from the left. The single node of the
    last row is a lowest node of the next tier, or in the last tier the root.
    """
    row = memoryview(nodes)
    size = SUBTREE_LEAVES * HASH
    for above in range(tier, tier_count(height)):
        tops = bytearray()
        for number, start in enumerate(range(0, len(row), size)):
            rows = subtree(bytes(row[start : start + size]), above, height)
            tops += rows[-1]
            yield above, number, rows
        row = memoryview(tops)


def tier_count(height: int) -> int:
    """The tiers of subtrees below the root of a tree of this height."""
    return -(-height // SUBTREE_LEVELS)


def root_of_leaves(leaves: Buffer) -> bytes:
    """The root over the leaves of a file, 32 bytes each; `NO_ROOT` if there are none.

    Raises `ValueError` if the size is not a multiple of 32.
    """
    count, odd = divmod(len(leaves), HASH)
    if odd:
        raise ValueError(f"leaves: {len(leaves)} bytes are no multiple of {HASH}")
    if count <= 1:
        return bytes(leaves) or NO_ROOT
    rows: list[bytes] = []
    for _, _, rows in subtrees(leaves, (count - 1).bit_length()):  # noqa: B007 - the last one is wanted
        pass
    return rows[-1]


@attrs.frozen
class Leaves:
    """What the content of one file hashes to."""

    length: int
    """Bytes of the file."""
    root: bytes
    """`NO_ROOT` if the file is empty."""
    hashes: memoryview = attrs.field(repr=False)
    """One leaf after another, 32 bytes each."""


class TreeBuilder:
    """Hashes a file that comes in pieces of any size; keeps 32 bytes a block and nothing else that grows."""

    __slots__ = ("_filled", "_finished", "_leaves", "_open", "length")

    def __init__(self) -> None:
        self.length = 0
        """Bytes that came so far."""
        self._leaves = bytearray()
        self._open = sha256()
        self._filled = 0
        self._finished: Leaves | None = None

    def update(self, data: Buffer) -> None:
        """Take the next bytes. Raises `ValueError` past the largest length, 2^46 bytes, and after `finish`."""
        view = memoryview(data).cast("B")
        if self._finished is not None:
            raise ValueError("update: the tree is finished")
        if self.length + len(view) > MAX_LENGTH:
            raise ValueError(f"length: {self.length + len(view)} bytes, at most {MAX_LENGTH}")
        self.length += len(view)
        start = 0
        if self._filled:
            start = min(BLOCK - self._filled, len(view))
            self._open.update(view[:start])
            self._filled += start
            if self._filled < BLOCK:
                return
            self._leaves += self._open.digest()
        whole = start + (len(view) - start) // BLOCK * BLOCK
        for at in range(start, whole, BLOCK):
            self._leaves += sha256(view[at : at + BLOCK]).digest()
        self._open = sha256(view[whole:])
        self._filled = len(view) - whole

    def finish(self) -> Leaves:
        """The leaves and the root of all that came."""
        if self._finished is None:
            if self._filled:
                self._leaves += self._open.digest()
            self._finished = Leaves(self.length, root_of_leaves(self._leaves), memoryview(self._leaves).toreadonly())
        return self._finished
