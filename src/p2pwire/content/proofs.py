"""Proofs: how many hashes one takes, and the check of an answer, block by block, against the root of the file."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import attrs

from p2pwire.content.hashing import BLOCK, HASH, block_count, tree_height
from p2pwire.wire.registry import MAX_LENGTH, MAX_LEVEL

if TYPE_CHECKING:
    from p2pwire.wire.messages import Buffer


def proof_count(height: int, block: int, first: int) -> int:
    """The sibling hashes that prove `block` in the answer to a request from `first` on.

    The first block climbs to the root. A later one climbs to a node that an earlier proof already named: as many levels
    as its offset from the first has trailing zero bits.
    """
    offset = block - first
    return (offset & -offset).bit_length() - 1 if offset else height


class ProofError(ValueError):
    """A block of an answer that is not what the root says; whoever sent this very block is to blame."""

    def __init__(self, block: int, field: str, text: str) -> None:
        super().__init__(f"block {block}: {text}")
        self.block = block
        """The index of the block in its file."""
        self.field = field
        """What differs: "block" (another one is due), "proof" (number of hashes), "data" (its length) or "hash"."""


@attrs.frozen
class Proved:
    """The nodes that one checked block established, lowest level first; both have the same length.

    `ancestors[l]` is the node of level l above the block (its leaf for 0), and `siblings[l]` its parent's other child.
    """

    ancestors: tuple[bytes, ...]
    siblings: tuple[bytes, ...]


_NOTHING_NEW: Final = Proved((), ())


class ProofChecker:
    """Checks the answer to one request, block after block in ascending order, against the root of the file.

    It keeps, for each level below the request's own, the one hash that a later block of the answer must climb to, and
    the root: at most 7 hashes. The last block of the file ends the answer, however many more were asked for.
    """

    __slots__ = ("_expected", "_final", "_final_length", "_first", "_height", "_level", "end", "next_block")

    def __init__(self, length: int, root: bytes, first: int, level: int) -> None:
        """For the request of 2^level blocks from `first` on. Raises `ValueError` for one that can have no answer."""
        if not 0 < length <= MAX_LENGTH:
            raise ValueError(f"length: {length}, must be 1 to {MAX_LENGTH}")
        blocks = block_count(length)
        height = tree_height(length)
        if len(root) != HASH:
            raise ValueError(f"root: {len(root)} bytes, must be {HASH}")
        if not 0 <= level <= MAX_LEVEL or level > height:
            raise ValueError(f"level: {level}, must be 0 to {min(MAX_LEVEL, height)} in a tree of height {height}")
        if not 0 <= first < blocks or first % (1 << level):
            raise ValueError(f"first: {first}, must be a multiple of {1 << level} below {blocks}")
        self.next_block = first
        """The block that is due."""
        self.end = end if (end := first + (1 << level)) < blocks else blocks
        """The block after the last one of the answer."""
        self._first = first
        self._level = level
        self._height = height
        self._final = blocks - 1
        self._final_length = length - (blocks - 1) * BLOCK
        # expected[l], l < level: the proved node of level l that no block has climbed to yet; expected[level]: root.
        self._expected = [b""] * level + [bytes(root)]

    @property
    def complete(self) -> bool:
        """Whether all blocks of the answer came."""
        return self.next_block == self.end

    def check(self, block: int, siblings: Sequence[bytes], data: Buffer) -> Proved:
        """Check one block of the answer; raises `ProofError` and stays as it was if anything differs."""
        if block != self.next_block or block == self.end:
            raise self._out_of_turn(block)
        offset = block - self._first
        if offset:
            climb = turn = (offset & -offset).bit_length() - 1
        else:
            climb, turn = self._height, self._level
        if len(siblings) != climb:
            raise ProofError(block, "proof", f"has {len(siblings)} sibling hashes, must have {climb}")
        if len(data) != (BLOCK if block != self._final else self._final_length):
            raise self._wrong_length(block, len(data))
        expected = self._expected
        node = sha256(data).digest()
        if not climb:
            if node != expected[turn]:
                raise _differs(block, offset)
            self.next_block = block + 1
            return _NOTHING_NEW
        ancestors = []
        index = block
        for sibling in siblings:
            ancestors.append(node)
            node = sha256(sibling + node if index & 1 else node + sibling).digest()
            index >>= 1
        if node != expected[turn]:
            raise _differs(block, offset)
        # What the climb proved beside its path is what the following blocks will climb to.
        expected[:turn] = siblings[:turn]
        self.next_block = block + 1
        return Proved(tuple(ancestors), tuple(siblings))

    def _out_of_turn(self, block: int) -> ProofError:
        if self.complete:
            return ProofError(block, "block", f"the answer ended with block {self.end - 1}")
        return ProofError(block, "block", f"block {self.next_block} is due")

    def _wrong_length(self, block: int, length: int) -> ProofError:
        due = self._final_length if block == self._final else BLOCK
        return ProofError(block, "data", f"has {length} bytes, must have {due}")


def _differs(block: int, offset: int) -> ProofError:
    known = "a hash that an earlier block of the answer proved" if offset else "the root of the file"
    return ProofError(block, "hash", f"data and proof do not hash to {known}")
