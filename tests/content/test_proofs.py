"""Proofs are enough, hold nothing twice, and a changed bit is blamed where it is."""

from __future__ import annotations

from hashlib import sha256
from random import Random

import pytest

from p2pwire.content.merkle import BLOCK, NO_ROOT, ProofChecker, ProofError, Proved, Tree, proof_count
from p2pwire.wire.registry import MAX_BLOCKS, MAX_LENGTH, MAX_LEVEL

from .reference import blocks_of, climbs, content, proof, rows_of, rows_over

LARGEST = 199


@pytest.fixture(scope="module")
def data() -> bytes:
    return content(LARGEST)


def test_count_of_siblings() -> None:
    assert proof_count(16, 64, 64) == 16
    assert [proof_count(16, 64 + offset, 64) for offset in range(1, 9)] == [0, 1, 0, 2, 0, 1, 0, 3]
    assert list(climbs(7, 32, 64)) == [(block, proof_count(7, block, 32)) for block in range(32, 64)]


def test_every_request_of_every_small_tree(data: bytes) -> None:
    """Trees of 1 to 199 blocks, all levels, all positions: always enough, and nothing that is known is sent."""
    pieces = blocks_of(data)
    leaves = [sha256(piece).digest() for piece in pieces]
    requests = 0
    for blocks in range(1, LARGEST + 1):
        last = pieces[blocks - 1][: BLOCK - blocks]  # a short last block, but for none that is whole
        rows = rows_over([*leaves[: blocks - 1], sha256(last).digest()])
        height, root = len(rows) - 1, rows[-1][0]
        length = (blocks - 1) * BLOCK + len(last)
        tree = Tree.from_leaves(length, b"".join(rows[0][:blocks]))
        assert tree.root == root
        for level in range(min(MAX_LEVEL, height) + 1):
            for first in range(0, blocks, 1 << level):
                requests += 1
                checker = ProofChecker(length, root, first, level)
                known = {(height, 0)}
                for block, count in climbs(height, first, min(first + 2**level, blocks)):
                    siblings = tree.siblings(block, count)
                    assert siblings == tuple(proof(rows, block)[:count])
                    sent = {(step, block >> step ^ 1) for step in range(count)}
                    assert not sent & known
                    known |= sent | {(step, block >> step) for step in range(count + 1)}
                    proved = checker.check(block, siblings, pieces[block] if block < blocks - 1 else last)
                    assert proved.siblings == siblings
                    assert proved.ancestors == tuple(rows[step][block >> step] for step in range(count))
                assert checker.complete
                assert len(checker._expected) <= 7  # 224 bytes a request, which a hostile link's bound counts on
    assert requests == 39_934


def changed(random: Random, siblings: list[bytes], piece: bytes) -> tuple[str, list[bytes], bytes]:
    """One change to a DATA: the field that is to blame, and what came instead."""
    kinds = ["bit", "bit", "short", "long", "more"] + ["hash", "hash", "fewer", "swap"] * (len(siblings) > 1)
    kind = random.choice(kinds)
    siblings = list(siblings)
    if kind == "bit":
        at = random.randrange(len(piece))
        return "hash", siblings, piece[:at] + bytes([piece[at] ^ 1 << random.randrange(8)]) + piece[at + 1 :]
    if kind == "short":
        return "data", siblings, piece[:-1]
    if kind == "long":
        return "data", siblings, piece + b"\0"
    if kind == "more":
        return "proof", [*siblings, bytes(32)], piece
    at = random.randrange(len(siblings))
    if kind == "hash":
        place = random.randrange(32)
        old = siblings[at]
        siblings[at] = old[:place] + bytes([old[place] ^ 1 << random.randrange(8)]) + old[place + 1 :]
        return "hash", siblings, piece
    if kind == "fewer":
        del siblings[at]
        return "proof", siblings, piece
    other = (at + 1) % len(siblings)
    siblings[at], siblings[other] = siblings[other], siblings[at]
    return "hash", siblings, piece


def test_changes_are_blamed_at_the_very_block(data: bytes) -> None:
    random = Random(20)
    trees = {}
    for blocks in (1, 2, 3, 7, 8, 9, 31, 64, 65, 130, 199):
        part = data[: blocks * BLOCK - random.choice([0, 1, 7000])]
        trees[blocks] = (part, blocks_of(part), rows_of(part))
    blamed = 0
    for _ in range(1000):
        blocks, (part, pieces, rows) = random.choice(list(trees.items()))
        height = len(rows) - 1
        level = random.randrange(min(4, height) + 1)
        first = random.randrange(0, blocks, 1 << level)
        end = min(first + 2**level, blocks)
        victim = random.randrange(first, end)
        checker = ProofChecker(len(part), rows[-1][0], first, level)
        for block, count in climbs(height, first, end):
            siblings = proof(rows, block)[:count]
            if block == victim:
                field, wrong, piece = changed(random, siblings, pieces[block])
                with pytest.raises(ProofError, match=f"block {block}:") as caught:
                    checker.check(block, wrong, piece)
                assert (caught.value.block, caught.value.field) == (block, field)
                assert checker.next_block == block
                blamed += 1
            checker.check(
                block, siblings, pieces[block]
            )  # the true block still fits: nothing was kept of the wrong one
        assert checker.complete
    assert blamed == 1000


def test_order_and_end(data: bytes) -> None:
    part = data[: 5 * BLOCK]
    rows, pieces = rows_of(part), blocks_of(part)
    checker = ProofChecker(len(part), rows[-1][0], 4, 2)
    assert (checker.next_block, checker.end, checker.complete) == (4, 5, False)
    for wrong in (0, 3, 5):
        with pytest.raises(ProofError, match="block 4 is due") as caught:
            checker.check(wrong, proof(rows, 4), pieces[4])
        assert (caught.value.block, caught.value.field) == (wrong, "block")
    checker.check(4, proof(rows, 4), pieces[4])
    assert checker.complete
    with pytest.raises(ProofError, match="ended with block 4"):
        checker.check(5, [], bytes(BLOCK))
    with pytest.raises(ProofError, match="ended with block 4"):
        checker.check(4, proof(rows, 4), pieces[4])


def test_a_file_of_one_block() -> None:
    checker = ProofChecker(5, sha256(b"hello").digest(), 0, 0)
    with pytest.raises(ProofError, match="do not hash to the root"):
        checker.check(0, (), b"hallo")
    assert checker.check(0, (), b"hello") == Proved((), ())
    assert checker.complete


def test_errors_say_what_differs(data: bytes) -> None:
    part = data[: 4 * BLOCK - 1]
    rows, pieces = rows_of(part), blocks_of(part)
    checker = ProofChecker(len(part), rows[-1][0], 0, 2)
    with pytest.raises(ProofError, match="block 0: has 1 sibling hashes, must have 2"):
        checker.check(0, proof(rows, 0)[:1], pieces[0])
    with pytest.raises(ProofError, match="block 0: has 1 bytes, must have 16384"):
        checker.check(0, proof(rows, 0), b"x")
    with pytest.raises(ProofError, match="do not hash to the root of the file"):
        checker.check(0, proof(rows, 0), pieces[1])
    for block in range(3):
        checker.check(block, proof(rows, block)[: proof_count(2, block, 0)], pieces[block])
    with pytest.raises(ProofError, match="block 3: has 16384 bytes, must have 16383"):
        checker.check(3, [], pieces[3] + b"\0")
    with pytest.raises(ProofError, match="do not hash to a hash that an earlier block"):
        checker.check(3, [], bytes(16383))


def test_the_largest_file_and_its_last_block() -> None:
    """Height 32: all siblings of block 0 of a tree of which only one path is known."""
    siblings = [bytes([level]) * 32 for level in range(32)]
    last = MAX_BLOCKS - 1
    root = sha256(b"x" * BLOCK).digest()
    for sibling in siblings:
        root = sha256(sibling + root).digest()
    checker = ProofChecker(MAX_LENGTH, root, last, 0)
    proved = checker.check(last, siblings, b"x" * BLOCK)
    assert len(proved.ancestors) == 32
    assert checker.complete


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, bytes(32), 0, 0), "length: 0, must be 1 to"),
        ((MAX_LENGTH + 1, bytes(32), 0, 0), "length: "),
        ((1, bytes(31), 0, 0), "root: 31 bytes, must be 32"),
        ((1, NO_ROOT, 0, 1), "level: 1, must be 0 to 0 in a tree of height 0"),
        ((1, NO_ROOT, 0, -1), "level: -1"),
        ((2**30, NO_ROOT, 0, 7), "level: 7, must be 0 to 6"),
        ((3 * BLOCK, NO_ROOT, 1, 1), "first: 1, must be a multiple of 2 below 3"),
        ((3 * BLOCK, NO_ROOT, 3, 0), "first: 3"),
        ((3 * BLOCK, NO_ROOT, -1, 0), "first: -1"),
    ],
)
def test_requests_without_an_answer_are_the_callers_mistake(arguments: tuple[int, bytes, int, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ProofChecker(*arguments)
