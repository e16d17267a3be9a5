"""Blocks, leaves and roots."""

from __future__ import annotations

import tracemalloc
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.content.merkle import (
    BLOCK,
    NO_ROOT,
    PADDING,
    TreeBuilder,
    block_count,
    block_length,
    leaf_hash,
    root_of_leaves,
    tree_height,
)
from p2pwire.wire.registry import MAX_BLOCKS, MAX_LENGTH

from .reference import blocks_of, content, rows_of, rows_over, some_leaves


@pytest.mark.parametrize(
    ("length", "blocks", "height"),
    [
        (0, 0, 0),
        (1, 1, 0),
        (BLOCK, 1, 0),
        (BLOCK + 1, 2, 1),
        (2 * BLOCK, 2, 1),
        (2 * BLOCK + 1, 3, 2),
        (4 * BLOCK + 1, 5, 3),
        (2**30, 65536, 16),
        (2**30 + 1, 65537, 17),
        (MAX_LENGTH, MAX_BLOCKS, 32),
    ],
)
def test_blocks_and_height_follow_from_the_length(length: int, blocks: int, height: int) -> None:
    assert block_count(length) == blocks
    assert tree_height(length) == height


def test_all_blocks_but_the_last_are_whole() -> None:
    length = 3 * BLOCK + 5
    assert [block_length(length, block) for block in range(4)] == [BLOCK, BLOCK, BLOCK, 5]
    assert block_length(2 * BLOCK, 1) == BLOCK
    for block in (-1, 4):
        with pytest.raises(IndexError, match="has 4 blocks"):
            block_length(length, block)
    with pytest.raises(IndexError, match="has 0 blocks"):
        block_length(0, 0)


def test_padding_of_each_level_is_the_tree_over_zero_leaves() -> None:
    rows = rows_over([bytes(32)] * 64)
    assert [row[0] for row in rows] == list(PADDING[:7])
    assert len(PADDING) == 33


def test_a_leaf_is_plain_sha256() -> None:
    assert leaf_hash(b"hello") == leaf_hash(bytearray(b"hello")) == leaf_hash(memoryview(b"hello"))
    assert leaf_hash(b"hello") == sha256(b"hello").digest()


@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 8193])
def test_root_over_leaves(blocks: int) -> None:
    leaves = some_leaves(blocks)
    assert root_of_leaves(b"".join(leaves)) == rows_over(leaves)[-1][0]


def test_root_of_odd_sizes() -> None:
    assert root_of_leaves(b"") == NO_ROOT
    with pytest.raises(ValueError, match="33 bytes are no multiple of 32"):
        root_of_leaves(bytes(33))


def test_empty_file_has_no_root() -> None:
    leaves = TreeBuilder().finish()
    assert (leaves.length, leaves.root, bytes(leaves.hashes)) == (0, NO_ROOT, b"")


def test_a_file_of_one_block_has_its_sha256_as_root() -> None:
    builder = TreeBuilder()
    builder.update(b"hello")
    assert builder.finish().root == sha256(b"hello").digest()


@given(
    blocks=st.integers(1, 9),
    last=st.integers(1, BLOCK),
    cuts=st.lists(st.integers(0, 9 * BLOCK), max_size=8),
    kind=st.sampled_from([bytes, bytearray, memoryview]),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_pieces_of_any_size_build_the_same_tree(blocks: int, last: int, cuts: list[int], kind: type[bytes]) -> None:
    data = content(blocks, last)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    builder = TreeBuilder()
    for start, stop in pairwise(places):
        builder.update(kind(data[start:stop]))
    leaves = builder.finish()
    assert leaves.length == builder.length == len(data)
    assert bytes(leaves.hashes) == b"".join(sha256(block).digest() for block in blocks_of(data))
    assert leaves.root == rows_of(data)[-1][0]


def test_bytewise_around_a_border() -> None:
    data = content(2, 7)
    builder = TreeBuilder()
    builder.update(data[: BLOCK - 5])
    for at in range(BLOCK - 5, len(data)):
        builder.update(data[at : at + 1])
    assert builder.finish().root == rows_of(data)[-1][0]


def test_finishing_twice_says_the_same_and_ends_it() -> None:
    builder = TreeBuilder()
    builder.update(b"x" * (BLOCK + 1))
    assert builder.finish() is builder.finish()
    assert len(builder.finish().hashes) == 64
    with pytest.raises(ValueError, match="finished"):
        builder.update(b"y")


def test_length_is_bounded() -> None:
    builder = TreeBuilder()
    builder.length = MAX_LENGTH - 1
    with pytest.raises(ValueError, match=f"length: {MAX_LENGTH + 1} bytes, at most {MAX_LENGTH}"):
        builder.update(b"ab")
    builder.update(b"a")


def test_memory_of_the_builder_is_32_bytes_a_block() -> None:
    def peak(mebibytes: int) -> int:
        piece = bytes(2**20)
        tracemalloc.start()
        builder = TreeBuilder()
        for _ in range(mebibytes):
            builder.update(piece)
        builder.finish()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    small, large = peak(16), peak(144)
    # A bytearray keeps an eighth in reserve while it grows; the row of subtrees above takes a 64th.
    assert (large - small) / (128 * 64) < 32 * 1.15
    assert small < 16 * 64 * 32 * 1.15 + 16384
