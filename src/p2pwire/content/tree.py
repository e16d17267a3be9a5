"""What a peer knows of the hash tree of one file, from which it proves blocks to others, and which it can save.

A tree may be complete (its own content, hashed) or partial (blocks that came with proofs). Every known node is proved:
its hash, with its sibling's, leads to the root. Nodes become known in pairs, both children of a known node; so wherever
a leaf is known, all that it takes to prove that block to others is known too.

Nodes lie in pages, each the subtree of one largest request (64 blocks): tier 0 holds levels 0 to 5 of the tree, tier 1
levels 6 to 11, and so on. Within a page nodes are numbered as in a heap: 64 to 127 are its lowest level, and the
children of n are 2n and 2n + 1; nodes 0 and 1 stay empty, for the top of a page is a lowest node of the tier above. A
page exists only where a node is known: 64 bytes per block, whatever the file's length claims. An unknown node is 32
zero bytes, which no SHA-256 ever is; padding at level 0 has that value too, and follows from the file's length.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Self

import attrs

from p2pwire.content.hashing import (
    HASH,
    PADDING,
    SUBTREE_LEAVES,
    SUBTREE_LEVELS,
    block_count,
    subtree,
    subtrees,
    tier_count,
    tree_height,
)
from p2pwire.wire.registry import MAX_LENGTH

if TYPE_CHECKING:
    from p2pwire.wire.messages import Buffer

_UNKNOWN: Final = bytes(HASH)
_PAGE_NODES: Final = 2 * SUBTREE_LEAVES
_PAGE_SIZE: Final = _PAGE_NODES * HASH
_LEAVES_AT: Final = SUBTREE_LEAVES * HASH
_RECORD: Final = struct.Struct(">BI16s")
"""Tier, number and a bit per node of a dumped page (bit n: node n follows); then those nodes, ascending."""
_NODE: Final = struct.Struct(f"{HASH}s")
"""A node in its page: taken out this way, it is not copied twice."""
_NO_PAGE: Final = bytearray(_PAGE_SIZE)
_ALL_LEAVES: Final = (1 << _PAGE_NODES) - (1 << SUBTREE_LEAVES)


class UnknownNodeError(LookupError):
    """A proof was asked for that takes a node which is not known."""


@attrs.frozen(eq=False)
class LeafPage:
    """The part of a tree that lies over 64 neighbouring leaves, or over the last ones."""

    nodes: bytearray = attrs.field(repr=False)
    top: bytes
    """The node above it."""


def leaf_page(length: int, leaves: Buffer) -> LeafPage:
    """The page over 64 leaves of a file of `length` bytes, or over the last ones; what `Tree.from_pages` takes.

    Pages need nothing of each other, so that they can be made by several threads.
    """
    rows = subtree(bytes(leaves), 0, tree_height(length))
    return LeafPage(_filled(rows), rows[-1])


class Tree:
    """The known nodes of the tree of one file of at least one byte."""

    __slots__ = ("_pages", "blocks", "height", "length", "root")

    def __init__(self, length: int, root: bytes) -> None:
        """A tree of which only the root is known. Raises `ValueError` for an empty or impossible file."""
        if not 0 < length <= MAX_LENGTH:
            raise ValueError(f"length: {length}, must be 1 to {MAX_LENGTH}")
        if len(root) != HASH:
            raise ValueError(f"root: {len(root)} bytes, must be {HASH}")
        self.length = length
        """Bytes of the file."""
        self.root = bytes(root)
        self.blocks = block_count(length)
        self.height = tree_height(length)
        self._pages: dict[int, bytearray] = {}  # by tier << 32 | number

    @classmethod
    def from_leaves(cls, length: int, leaves: Buffer) -> Self:
        """The complete tree of a file of `length` bytes over its leaves, 32 bytes each.

        Raises `ValueError` if there are more or fewer leaves than the file has blocks.
        """
        if len(leaves) != block_count(length) * HASH:
            raise ValueError(f"leaves: {len(leaves)} bytes, must be {block_count(length) * HASH}")
        view, size = memoryview(leaves), SUBTREE_LEAVES * HASH
        return cls.from_pages(length, [leaf_page(length, view[at : at + size]) for at in range(0, len(view), size)])

    @classmethod
    def from_pages(cls, length: int, pages: Sequence[LeafPage]) -> Self:
        """The complete tree of a file of `length` bytes from what `leaf_page` gave for it, which becomes its own.

        Raises `ValueError` if there are more or fewer of them than the file has.
        """
        wanted = -(-block_count(length) // SUBTREE_LEAVES)
        if len(pages) != wanted:
            raise ValueError(f"pages: {len(pages)}, must be {wanted}")
        tree = cls(length, pages[0].top if pages else b"")
        if tree.height:
            tree._pages = {number: page.nodes for number, page in enumerate(pages)}
        for tier, number, rows in subtrees(b"".join([page.top for page in pages]), tree.height, 1):
            tree._pages[tier << 32 | number] = _filled(rows)
            tree.root = rows[-1]
        return tree

    def __repr__(self) -> str:
        return f"<Tree of {self.blocks} blocks, {len(self._pages)} pages known>"

    def knows(self, block: int) -> bool:
        """Whether the block's leaf is known, and with it all that proves it to others."""
        if not 0 <= block < self.blocks:
            return False
        page = self._pages.get(block >> SUBTREE_LEVELS)
        if page is None:
            return not self.height
        start = (SUBTREE_LEAVES | block % SUBTREE_LEAVES) * HASH
        return page[start : start + HASH] != _UNKNOWN

    def leaf(self, block: int) -> bytes:
        """The hash of the block's bytes. Raises `UnknownNodeError` if it is not known, or there is no such block."""
        if not self.knows(block):
            raise UnknownNodeError(f"block {block}: its leaf is not known")
        return self._node(0, block) if self.height else self.root

    def siblings(self, block: int, count: int) -> tuple[bytes, ...]:
        """The first `count` hashes of the block's proof, bottom-up. Raises `UnknownNodeError` if one is not known."""
        key = block >> SUBTREE_LEVELS
        slot = SUBTREE_LEAVES | block % SUBTREE_LEAVES
        page = self._pages.get(key, _NO_PAGE)
        proof: tuple[bytes, ...] = ()
        for _ in range(count):
            if slot == 1:
                key, slot = _above(key)
                page = self._pages.get(key, _NO_PAGE)
            proof += _NODE.unpack_from(page, (slot ^ 1) * HASH)
            slot >>= 1
        if _UNKNOWN in proof:
            return tuple([self._kept(node, level, block >> level ^ 1) for level, node in enumerate(proof)])
        return proof

    def add(self, block: int, ancestors: Sequence[bytes], siblings: Sequence[bytes]) -> None:
        """Keep the nodes that a `ProofChecker` proved with this block (its `Proved`), in the order in which it did.

        They are stored unchecked. What an answer proves later leans on what it proved before: add every block.
        """
        key = block >> SUBTREE_LEVELS
        slot = SUBTREE_LEAVES | block % SUBTREE_LEAVES
        page: bytearray | None = None
        for node, sibling in zip(ancestors, siblings, strict=True):
            if slot == 1:
                key, slot = _above(key)
                page = None
            if page is None:
                page = self._pages.get(key)
                if page is None:
                    page = self._pages[key] = bytearray(_PAGE_SIZE)
            pair = slot >> 1
            page[pair * 64 : pair * 64 + 64] = sibling + node if slot & 1 else node + sibling
            slot = pair

    def _node(self, level: int, index: int) -> bytes:
        """One node below the root; `_UNKNOWN` if it is."""
        tier, depth = divmod(level, SUBTREE_LEVELS)
        page = self._pages.get(tier << 32 | index >> SUBTREE_LEVELS - depth)
        slot = SUBTREE_LEAVES >> depth | index % (SUBTREE_LEAVES >> depth)
        return bytes(page[slot * HASH : slot * HASH + HASH]) if page is not None else _UNKNOWN

    def _kept(self, node: bytes, level: int, index: int) -> bytes:
        """A node as it is kept; what is nowhere kept has a value all the same if it covers only padding."""
        if node != _UNKNOWN:
            return node
        if index << level < self.blocks:
            raise UnknownNodeError(f"node {index} of level {level} is not known")
        return PADDING[level]

    # --- Saved and restored ---

    def dump(self) -> bytes:
        """All that is known, for `load`: about 33 bytes per block where all blocks are known."""
        # From the top, so that what is left of a torn dump still leads to the root.
        return b"".join([_record(key, self._pages[key]) for key in sorted(self._pages, reverse=True)])

    @classmethod
    def load(cls, length: int, root: bytes, dump: Buffer) -> Self:
        """The tree whose `dump` this is; dumps of several trees of the file, one after another, add up.

        Each node is proved anew against the root. Damage and torn ends only lose nodes, and those below them.
        """
        tree = cls(length, root)
        claimed: dict[int, bytearray] = {}
        view = memoryview(dump)
        at = 0
        while at + _RECORD.size <= len(view):
            tier, number, bits = _RECORD.unpack_from(view, at)
            known = int.from_bytes(bits, "big")
            at += _RECORD.size
            nodes = view[at : at + known.bit_count() * HASH]
            at += known.bit_count() * HASH
            if at <= len(view) and number << (tier + 1) * SUBTREE_LEVELS < tree.blocks:
                _merge(claimed.setdefault(tier << 32 | number, bytearray(_PAGE_SIZE)), known, nodes)
        for key in sorted(claimed, reverse=True):  # the tiers from the top
            tree._prove(key, claimed[key])
        return tree

    def _prove(self, key: int, claimed: bytearray) -> None:
        """Keep of a page what leads to the root, given that all above it is already kept."""
        tier, number = key >> 32, key & 0xFFFFFFFF
        level = tier * SUBTREE_LEVELS
        climb = min(SUBTREE_LEVELS, self.height - level)
        if climb <= 0:
            return
        last_tier = tier + 1 == tier_count(self.height)
        top = self.root if last_tier else self._node(level + SUBTREE_LEVELS, number)
        if top == _UNKNOWN:
            return
        self._pad(claimed, level, number, climb)
        lowest = memoryview(claimed)[_LEAVES_AT : _LEAVES_AT + (HASH << climb)]
        rows = subtree(bytes(lowest), 0, climb)
        if rows[-1] == top:
            page = _filled(rows)
        else:
            page = bytearray(_PAGE_SIZE)
            _prove_partly(page, claimed, top, SUBTREE_LEAVES >> climb)
        if page != bytes(_PAGE_SIZE):
            self._pages[key] = page

    def _pad(self, page: bytearray, level: int, number: int, climb: int) -> None:
        """Set the nodes of a page that cover only padding."""
        for depth in range(climb):
            row = SUBTREE_LEAVES >> depth
            width = 1 << climb - depth
            content = -(-self.blocks >> level + depth) - number * row  # nodes of this row over content
            for index in range(max(0, content), width):
                at = (row + index) * HASH
                page[at : at + HASH] = PADDING[level + depth]


def _above(key: int) -> tuple[int, int]:
    """Where the top of a page lies: the key of the page above, and the node there."""
    number = key & 0xFFFFFFFF
    return (key >> 32) + 1 << 32 | number >> SUBTREE_LEVELS, SUBTREE_LEAVES | number % SUBTREE_LEAVES


def _filled(rows: Sequence[bytes]) -> bytearray:
    """The page of a whole subtree, from its rows; its top is no part of it."""
    page = bytearray(_PAGE_SIZE)
    for depth, row in enumerate(rows[:-1]):
        start = _LEAVES_AT >> depth
        page[start : start + len(row)] = row
    return page


def _record(key: int, page: bytearray) -> bytes:
    """A page as bytes: its known nodes, without those that follow from their children."""
    unknown = [page[at : at + HASH] == _UNKNOWN for at in range(0, _PAGE_SIZE, HASH)]
    if not any(unknown[SUBTREE_LEAVES:]):
        known, nodes = _ALL_LEAVES, page[_LEAVES_AT:]
    else:
        known, nodes = 0, bytearray()
        for slot in range(2, _PAGE_NODES):
            follows = slot < SUBTREE_LEAVES and not unknown[2 * slot] and not unknown[2 * slot + 1]
            if not unknown[slot] and not follows:
                known |= 1 << slot
                nodes += page[slot * HASH : slot * HASH + HASH]
    return _RECORD.pack(key >> 32, key & 0xFFFFFFFF, known.to_bytes(16, "big")) + nodes


def _merge(page: bytearray, known: int, nodes: memoryview) -> None:
    """Set the nodes that a record holds."""
    if known == _ALL_LEAVES:
        page[_LEAVES_AT:] = nodes
        return
    at = 0
    for slot in range(_PAGE_NODES):
        if known >> slot & 1:
            page[slot * HASH : slot * HASH + HASH] = nodes[at : at + HASH]
            at += HASH


def _prove_partly(page: bytearray, claimed: bytearray, top: bytes, top_slot: int) -> None:
    """Copy from a claimed page the nodes that lead to its top, which is node `top_slot` of the page."""
    for slot in range(SUBTREE_LEAVES - 1, top_slot, -1):  # what dumps leave out
        left, right = claimed[slot * 64 : slot * 64 + HASH], claimed[slot * 64 + HASH : slot * 64 + 64]
        if claimed[slot * HASH : slot * HASH + HASH] == _UNKNOWN and left != _UNKNOWN and right != _UNKNOWN:
            claimed[slot * HASH : slot * HASH + HASH] = sha256(left + right).digest()
    for slot in range(top_slot, SUBTREE_LEAVES):
        node = bytes(page[slot * HASH : slot * HASH + HASH]) if slot != top_slot else top
        pair = claimed[slot * 64 : slot * 64 + 64]
        if node != _UNKNOWN and sha256(pair).digest() == node:
            page[slot * 64 : slot * 64 + 64] = pair
