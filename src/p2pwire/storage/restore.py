"""Finding out what an earlier attempt left: the state file's claims, checked against the content from the root down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

import attrs

from p2pwire.content.merkle import BLOCK, Tree, block_count, tree_height
from p2pwire.content.units import BlockMap, Layout
from p2pwire.storage.files import ObjectFiles
from p2pwire.storage.hashing import BlockHasher, runs
from p2pwire.storage.interface import Progress
from p2pwire.storage.journal import Claim


@attrs.frozen
class Claimed:
    """What a state file says, unproved."""

    blocks: BlockMap
    trees: dict[int, Tree]
    """Every hash that it holds, by file, of files with more than one block."""


def collect(files: ObjectFiles, claims: Iterable[Claim]) -> Claimed:
    """Gather claims, passing over those that fit no file."""
    blocks = BlockMap(files.layout.total_blocks)
    trees: dict[int, Tree] = {}
    for claim in claims:
        if claim.file >= files.layout.files:
            continue
        length, root = files.file(claim.file)
        height = tree_height(length)
        if claim.block >= block_count(length) or len(claim.siblings) > height:
            continue
        blocks.add(files.layout.first_block(claim.file) + claim.block)
        if height:
            tree = trees.get(claim.file) or trees.setdefault(claim.file, Tree(length, root))
            tree.add(claim.block, _climb(claim), claim.siblings)
    return Claimed(blocks, trees)


def restore(files: ObjectFiles, claimed: Claimed, progress: Progress | None = None) -> tuple[BlockMap, dict[int, Tree]]:
    """The claimed blocks whose bytes are what their proofs say, and the proved part of the trees.

    All hashing is done anew; a claim that does not hold, for whatever reason, is passed over. Raises StorageError if
    the content cannot be read.
    """
    trees = {file: Tree.load(tree.length, tree.root, tree.dump()) for file, tree in claimed.trees.items()}
    held = BlockMap(claimed.blocks.total)
    done, total = 0, held_bytes(files, claimed.blocks)
    with BlockHasher() as hasher:
        for file, spans in _by_file(files.layout, claimed.blocks):
            first_block = files.layout.first_block(file)
            (length, root), tree = files.file(file), trees.get(file)
            wanted = (run for first, last in spans for run in runs(first, last + 1))
            count = sum(last + 1 - first for first, last in spans)
            with files.use(file) as fd:
                for first, hashes in hasher.hashes(fd, length, wanted, count, files.where(file)):
                    for block, found in enumerate(hashes, first):
                        if found == (root if tree is None else tree.knows(block) and tree.leaf(block)):
                            held.add(first_block + block)
                    done += len(hashes)
                    if progress is not None:
                        progress(min(done * BLOCK, total), total)
    return held, trees


def _climb(claim: Claim) -> Sequence[bytes]:
    """The ancestors that a claim's leaf and siblings lead to."""
    node, index = claim.leaf, claim.block
    ancestors = []
    for sibling in claim.siblings:
        ancestors.append(node)
        node = sha256(sibling + node if index & 1 else node + sibling).digest()
        index >>= 1
    return ancestors


def _by_file(layout: Layout, held: BlockMap) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """The held blocks as (file, its spans of blocks), both included."""
    current, spans = -1, list[tuple[int, int]]()
    for first, last in held.spans():
        for file, low, high in layout.files_of(first, last):
            if file != current and spans:
                yield current, spans
                spans = []
            current = file
            spans.append((low, high))
    if spans:
        yield current, spans


def held_bytes(files: ObjectFiles, held: BlockMap) -> int:
    """The bytes of the held blocks."""
    total = 0
    for file, spans in _by_file(files.layout, held):
        length, _ = files.file(file)
        total += sum(min((last + 1) * BLOCK, length) - first * BLOCK for first, last in spans)
    return total
