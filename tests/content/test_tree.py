"""Trees: what came with proofs is proved to others, and what was saved counts as far as it leads to the root."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.content.merkle import BLOCK, ProofChecker, Tree, UnknownNodeError, leaf_page, proof_count
from p2pwire.wire.registry import MAX_BLOCKS, MAX_LENGTH, MAX_LEVEL

from .reference import blocks_of, climbs, content, proof, rows_of, rows_over, some_leaves

SIZES = (1, 2, 3, 5, 63, 64, 65, 100, 127, 129)

Request = tuple[int, int]
"""First block and level."""


def transfer(source: Tree, target: Tree, pieces: list[bytes], requests: Iterable[Request]) -> set[int]:
    """Carry the answers to requests from one peer's tree to another's; the blocks that came."""
    came = set()
    for first, level in requests:
        checker = ProofChecker(source.length, source.root, first, level)
        for block, count in climbs(source.height, first, checker.end):
            proved = checker.check(block, source.siblings(block, count), pieces[block])
            target.add(block, proved.ancestors, proved.siblings)
            came.add(block)
    return came


def learn(tree: Tree, rows: list[list[bytes]], block: int) -> None:
    """Add a block's whole path, as the first DATA of an answer brings it."""
    tree.add(block, [rows[level][block >> level] for level in range(tree.height)], proof(rows, block))


def some_requests(random: Random, blocks: int, height: int, count: int) -> list[Request]:
    requests = []
    for _ in range(count):
        level = random.randrange(min(MAX_LEVEL, height) + 1)
        requests.append((random.randrange(0, blocks, 1 << level), level))
    return requests


def held_requests(random: Random, held: set[int], blocks: int, height: int) -> list[Request]:
    """Requests for blocks that are all held, of every level, in random order."""
    requests = [
        (first, level)
        for level in range(min(MAX_LEVEL, height) + 1)
        for first in range(0, blocks, 1 << level)
        if held.issuperset(range(first, min(first + 2**level, blocks)))
    ]
    random.shuffle(requests)
    return requests


def known_only_truth(tree: Tree, rows: list[list[bytes]]) -> int:
    """Check all that a tree says against the true rows; how many leaves it knows."""
    known = 0
    for block in range(tree.blocks):
        if tree.knows(block):
            known += 1
            assert tree.leaf(block) == rows[0][block]
            assert tree.siblings(block, tree.height) == tuple(proof(rows, block))
            continue
        for level in range(1, tree.height + 1):  # even what lies above an unknown leaf is either unknown or true
            try:
                assert tree.siblings(block, level)[-1] == rows[level - 1][block >> level - 1 ^ 1]
            except UnknownNodeError:
                continue
    return known


@pytest.mark.parametrize("blocks", [*SIZES, 4095, 4096, 4097, 4200])
def test_complete_tree(blocks: int) -> None:
    leaves = some_leaves(blocks)
    rows = rows_over(leaves)
    tree = Tree.from_leaves(blocks * BLOCK - 3, b"".join(leaves))
    assert (tree.root, tree.height, tree.blocks) == (rows[-1][0], len(rows) - 1, blocks)
    assert known_only_truth(tree, rows) == blocks
    assert not tree.knows(blocks)
    assert not tree.knows(-1)


@pytest.mark.parametrize("blocks", [1, 2, 63, 64, 65, 129, 4097])
def test_pages_that_were_made_apart_make_the_same_tree(blocks: int) -> None:
    length = blocks * BLOCK - 3
    leaves = some_leaves(blocks)
    rows = rows_over(leaves)
    pages = [leaf_page(length, b"".join(leaves[at : at + 64])) for at in range(0, blocks, 64)]
    tree = Tree.from_pages(length, pages)
    assert tree.root == rows[-1][0]
    assert tree.dump() == Tree.from_leaves(length, b"".join(leaves)).dump()
    assert known_only_truth(tree, rows) == blocks
    for wrong in (pages[:-1], [*pages, pages[0]]):
        with pytest.raises(ValueError, match=f"pages: {len(wrong)}, must be {len(pages)}"):
            Tree.from_pages(length, wrong)


@pytest.mark.parametrize("seed", range(40))
def test_blocks_travel_on_from_peer_to_peer(seed: int) -> None:
    """Whatever requests a block came in, its holder proves it in any other, down a chain of peers."""
    random = Random(seed)
    blocks = random.choice(SIZES)
    data = content(blocks, random.randint(1, BLOCK), seed)
    pieces, rows = blocks_of(data), rows_of(data)
    first = Tree.from_leaves(len(data), b"".join(rows[0][:blocks]))
    second, third, fourth = (Tree(len(data), first.root) for _ in range(3))
    held = transfer(first, second, pieces, some_requests(random, blocks, first.height, random.randint(1, 12)))
    assert all(second.knows(block) for block in held)
    known_only_truth(second, rows)
    assert transfer(second, third, pieces, held_requests(random, held, blocks, first.height)) == held
    assert transfer(third, fourth, pieces, held_requests(random, held, blocks, first.height)) == held
    assert known_only_truth(fourth, rows) >= len(held)


def test_unknown_nodes_are_an_error() -> None:
    data = content(100)
    rows = rows_of(data)
    tree = Tree(len(data), rows[-1][0])
    with pytest.raises(UnknownNodeError, match="node 1 of level 0 is not known"):
        tree.siblings(0, 1)
    with pytest.raises(UnknownNodeError, match="block 0: its leaf is not known"):
        tree.leaf(0)
    assert tree.siblings(0, 0) == ()
    assert not tree.knows(0)
    assert "100 blocks" in repr(tree)


def test_padding_is_known_from_the_length() -> None:
    leaf = sha256(b"x").digest()
    tree = Tree.from_leaves(4 * BLOCK + 1, leaf * 5)
    rows = rows_over([leaf] * 5)
    partial = Tree(tree.length, tree.root)
    learn(partial, rows, 4)
    assert partial.siblings(4, 3) == tuple(proof(rows, 4))
    assert not partial.knows(5)


def test_a_tree_of_one_block_is_its_root() -> None:
    tree = Tree.from_leaves(5, sha256(b"hello").digest())
    assert tree.root == sha256(b"hello").digest() == tree.leaf(0)
    assert tree.siblings(0, 0) == ()
    assert tree.dump() == b""
    loaded = Tree.load(5, tree.root, b"")
    assert loaded.knows(0)
    with pytest.raises(UnknownNodeError):
        tree.leaf(1)


@pytest.mark.parametrize(
    ("length", "root", "text"),
    [
        (0, bytes(32), "length: 0"),
        (MAX_LENGTH + 1, bytes(32), "length: "),
        (1, bytes(33), "root: 33 bytes"),
    ],
)
def test_impossible_trees(length: int, root: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Tree(length, root)


def test_leaves_must_be_those_of_the_length() -> None:
    with pytest.raises(ValueError, match="leaves: 64 bytes, must be 96"):
        Tree.from_leaves(3 * BLOCK, bytes(64))
    with pytest.raises(ValueError, match="length: 0"):
        Tree.from_leaves(0, b"")


def test_unequal_nodes_are_the_callers_mistake() -> None:
    tree = Tree(2 * BLOCK, bytes(32))
    with pytest.raises(ValueError, match="zip"):
        tree.add(0, [bytes(32)], [])


def test_the_largest_file_takes_no_room_before_it_comes() -> None:
    siblings = [bytes([level + 1]) * 32 for level in range(32)]
    block = 0xDEADBEEF
    ancestors = [sha256(b"x").digest()]
    for level, sibling in enumerate(siblings):
        pair = sibling + ancestors[-1] if block >> level & 1 else ancestors[-1] + sibling
        ancestors.append(sha256(pair).digest())
    root = ancestors.pop()
    tracemalloc.start()
    tree = Tree(MAX_LENGTH, root)
    tree.add(block, ancestors, siblings)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 32768
    assert (tree.height, tree.blocks) == (32, MAX_BLOCKS)
    again = Tree.load(MAX_LENGTH, root, tree.dump())
    assert again.siblings(block, 32) == tree.siblings(block, 32) == tuple(siblings)


# --- Dumps ---


@pytest.mark.parametrize("blocks", [*SIZES, 4096, 4097])
def test_a_complete_tree_comes_back(blocks: int) -> None:
    leaves = some_leaves(blocks)
    tree = Tree.from_leaves(blocks * BLOCK, b"".join(leaves))
    dump = tree.dump()
    again = Tree.load(tree.length, tree.root, dump)
    assert known_only_truth(again, rows_over(leaves)) == blocks
    assert again.dump() == dump
    if blocks >= 4096:
        assert len(dump) < 34 * blocks


def partial_tree(seed: int, blocks: int) -> tuple[Tree, list[list[bytes]], set[int]]:
    random = Random(seed)
    data = content(blocks, random.randint(1, BLOCK), seed)
    rows = rows_of(data)
    whole = Tree.from_leaves(len(data), b"".join(rows[0][:blocks]))
    tree = Tree(len(data), whole.root)
    held = transfer(whole, tree, blocks_of(data), some_requests(random, blocks, whole.height, random.randint(1, 8)))
    return tree, rows, held


@pytest.mark.parametrize("seed", range(30))
def test_a_partial_tree_comes_back(seed: int) -> None:
    tree, rows, held = partial_tree(seed, Random(seed).choice(SIZES))
    again = Tree.load(tree.length, tree.root, memoryview(tree.dump()))
    assert known_only_truth(again, rows) == known_only_truth(tree, rows)
    assert all(again.knows(block) for block in held)


def test_dumps_add_up() -> None:
    random = Random(7)
    data = content(129, 9)
    rows, pieces = rows_of(data), blocks_of(data)
    whole = Tree.from_leaves(len(data), b"".join(rows[0][:129]))
    both, saved = Tree(len(data), whole.root), b""
    for _ in range(12):
        part = Tree(len(data), whole.root)
        requests = some_requests(random, 129, whole.height, 2)
        held = transfer(whole, part, pieces, requests)
        assert transfer(whole, both, pieces, requests) == held
        saved += part.dump()
        again = Tree.load(both.length, both.root, saved)
        assert known_only_truth(again, rows) == known_only_truth(both, rows)


def test_nodes_that_were_never_proved_are_sorted_out() -> None:
    """Claims may be gathered unchecked, as long as they go through a dump before they are believed."""
    rows = rows_over(some_leaves(200))
    tree = Tree(200 * BLOCK, rows[-1][0])
    for block in (0, 77, 199):
        learn(tree, rows, block)
    tree.add(100, [bytes([level]) * 32 for level in range(8)], proof(rows, 100))
    tree.add(150, [rows[level][150 >> level] for level in range(8)], [b"no sibling of anything at all..."] * 8)
    checked = Tree.load(tree.length, tree.root, tree.dump())
    assert known_only_truth(checked, rows) <= 6
    assert not checked.knows(100)
    assert not checked.knows(150)


def test_of_a_torn_dump_the_rest_counts() -> None:
    leaves = some_leaves(300)
    rows = rows_over(leaves)
    tree = Tree.from_leaves(300 * BLOCK, b"".join(leaves))
    dump = tree.dump()
    for end in range(0, len(dump), 97):
        known_only_truth(Tree.load(tree.length, tree.root, dump[:end]), rows)
    without_last = Tree.load(tree.length, tree.root, dump[:-1])
    assert known_only_truth(without_last, rows) == 300 - 64


@given(seed=st.integers(0, 2**32), blocks=st.sampled_from(SIZES), data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_damage_loses_nodes_and_adds_none(seed: int, blocks: int, data: st.DataObject) -> None:
    random = Random(seed)
    rows = rows_over([random.randbytes(32) for _ in range(blocks)])
    tree = Tree(blocks * BLOCK, rows[-1][0])
    for block in random.sample(range(blocks), random.randint(1, blocks)):
        learn(tree, rows, block)
    dump = bytearray(tree.dump())
    for at in data.draw(st.lists(st.integers(0, max(0, len(dump) - 1)), max_size=4)) if dump else []:
        dump[at] ^= data.draw(st.integers(1, 255))
    extra = data.draw(st.binary(max_size=64))
    damaged = Tree.load(tree.length, tree.root, dump + extra)
    assert known_only_truth(damaged, rows) <= known_only_truth(tree, rows)


def test_one_damaged_leaf_costs_one_largest_request() -> None:
    blocks = 4096 + 64
    rows = rows_over(some_leaves(blocks))
    tree = Tree.from_leaves(blocks * BLOCK, b"".join(rows[0][:blocks]))
    dump = bytearray(tree.dump())
    dump[dump.index(rows[0][1000])] ^= 1
    damaged = Tree.load(tree.length, tree.root, dump)
    lost = [block for block in range(blocks) if not damaged.knows(block)]
    assert lost == list(range(960, 1024))


def test_a_dump_of_another_file_is_worth_nothing() -> None:
    tree = Tree.from_leaves(100 * BLOCK, bytes(range(32)) * 100)
    other = Tree.from_leaves(100 * BLOCK, bytes(range(1, 33)) * 100)
    loaded = Tree.load(tree.length, tree.root, other.dump())
    assert not any(loaded.knows(block) for block in range(100))
    assert Tree.load(BLOCK, sha256(b"x").digest(), other.dump()).knows(0)


def test_records_of_impossible_pages_are_passed_over() -> None:
    tree = Tree.from_leaves(100 * BLOCK, bytes(range(32)) * 100)
    nodes = (1 << 64 | 1 << 65).to_bytes(16, "big") + bytes(64)
    wild = b"".join(
        tier.to_bytes(1, "big") + number.to_bytes(4, "big") + nodes
        for tier, number in ((0, 2), (0, 2**32 - 1), (1, 1), (2, 0), (5, 0), (255, 0), (255, 2**32 - 1))
    )
    loaded = Tree.load(tree.length, tree.root, wild + tree.dump())
    assert all(loaded.knows(block) for block in range(100))


def test_proof_counts_of_a_served_request() -> None:
    tree = Tree.from_leaves(4200 * BLOCK, Random(1).randbytes(4200 * 32))
    assert [len(tree.siblings(block, proof_count(tree.height, block, 4160))) for block in range(4160, 4165)] == [
        13,
        0,
        1,
        0,
        2,
    ]
