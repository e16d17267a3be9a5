"""Families tree and proof: hashes of files, arithmetic on their lengths, and answers to requests, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final

from p2pwire.generate.vectors.book import Book, Vector
from p2pwire.generate.vectors.citing import Citations
from p2pwire.wire.registry import BLOCK_SIZE, MAX_LENGTH, MAX_LEVEL

SALT: Final = 0


def pattern(length: int, salt: int = SALT, start: int = 0) -> bytes:
    """Byte i of a content is (salt + i) mod 251: its blocks differ, since 251 is prime."""
    turn = bytes((salt + start + n) % 251 for n in range(251))
    return (turn * (length // 251 + 1))[:length]


def blocks_of(length: int) -> int:
    """How many blocks a file has."""
    return -(-length // BLOCK_SIZE)


def height_of(length: int) -> int:
    """Of its tree."""
    return max(0, blocks_of(length) - 1).bit_length()


@cache
def levels(length: int, salt: int = SALT) -> tuple[tuple[bytes, ...], ...]:
    """All nodes of a tree, leaves first, after section 7.1; none for an empty file."""
    data = pattern(length, salt)
    row = [sha256(data[at : at + BLOCK_SIZE]).digest() for at in range(0, length, BLOCK_SIZE)]
    if not row:
        return ()
    row += [bytes(32)] * ((1 << height_of(length)) - len(row))
    found = [tuple(row)]
    while len(row) > 1:
        row = [sha256(row[at] + row[at + 1]).digest() for at in range(0, len(row), 2)]
        found.append(tuple(row))
    return tuple(found)


def root_of(length: int, salt: int = SALT) -> bytes:
    """The topmost hash."""
    return levels(length, salt)[-1][0] if length else bytes(32)


COUNTS: Final = (*range(1, 18), 31, 32, 33, 63, 64, 65, 127, 128, 129)
SIZES: Final = (0, 1, 55, 56, 63, 64, 65, 16383)
"""Bytes of a single block; 55 and 56 are where SHA-256 needs one block more."""


def tree(citations: Citations) -> Iterator[Book]:
    """Contents, lengths, units."""
    book = Book("tree/contents", "Files by their content, and their trees.", citations)
    lengths = [*SIZES, *(length for n in COUNTS for length in _lengths(n))]
    for length in dict.fromkeys(lengths):
        _content(book, length, SALT)
    for length in (1, BLOCK_SIZE, 3 * BLOCK_SIZE):
        _content(book, length, 100)
    yield book
    book = Book("tree/sizes", "Lengths alone: blocks, height, and the last block.", citations)
    edges = {0, 1, BLOCK_SIZE, MAX_LENGTH, MAX_LENGTH - 1, MAX_LENGTH - BLOCK_SIZE}
    edges |= {(BLOCK_SIZE << k) + d for k in range(33) for d in (-1, 0, 1) if (BLOCK_SIZE << k) + d <= MAX_LENGTH}
    for length in sorted(edges):
        last = length - (blocks_of(length) - 1) * BLOCK_SIZE if length else 0
        output = {"blocks": blocks_of(length), "height": height_of(length), "last_block": last}
        book.accept(f"length/{length}", f"{length} bytes", ("OB-001", "OB-003", "OB-013"), {"length": length}, output)
    yield book
    book = Book("tree/units", "Units of a content of so many blocks.", citations)
    edges = {0, 1, 2, 3, 65535, 65536, 65537, 131071, 131072, 131073, 2**20, 2**31 + 1, 2**32 - 1, 2**32}
    for total in sorted(edges):
        u = max(0, (total - 1).bit_length() - 16) if total else 0
        output = {"u": u, "units": -(-total >> u)}
        book.accept(f"blocks/{total}", f"T = {total}", ("OB-050",), {"blocks": total}, output)
    yield book


def _lengths(count: int) -> list[int]:
    whole = count * BLOCK_SIZE
    return [whole - BLOCK_SIZE + 1, whole - 1, whole] if count <= 9 else [whole - 1, whole]


def _content(book: Book, length: int, salt: int) -> None:
    rows = levels(length, salt)
    output: dict[str, Any] = {
        "blocks": blocks_of(length),
        "height": height_of(length),
        "root": root_of(length, salt),
        "levels": rows if len(rows) < 5 else (),
    }
    cited = ("OB-004",) if not length else ("OB-001", "OB-002", "OB-003")
    given = {"content": {"salt": salt, "start": 0, "length": length}}
    book.accept(f"content/{length}-{salt}", f"{length} bytes", cited, given, output)


# --- proofs ---


def proof(citations: Citations) -> Iterator[Book]:
    """Answers to requests, right and wrong."""
    book = Book("proof/answers", "REQUESTs and the DATA that answer them.", citations)
    made: dict[tuple[int, int, int], Vector] = {}
    for count in (1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 33, 64, 65):
        length = count * BLOCK_SIZE - 5
        for level in range(min(MAX_LEVEL, height_of(length)) + 1):
            firsts = range(0, count, 1 << level)
            for first in firsts if count <= 9 else sorted({0, firsts[len(firsts) // 2], firsts[-1]}):
                made[count, first, level] = _answer(book, length, first, level)
    yield book
    for name, keys in (
        ("few", ((1, 0, 0), (2, 0, 1), (3, 0, 0), (3, 0, 2), (3, 2, 1), (5, 4, 2), (9, 8, 0))),
        ("many", ((8, 0, 3), (17, 0, 4))),
    ):
        book = Book(f"proof/wrong-{name}", "Answers of which one DATA is wrong.", citations)
        for key in keys:
            _Wrong(book, made[key], *key).all()
        yield book


def _answer(book: Book, length: int, first: int, level: int) -> Vector:
    count = blocks_of(length)
    wanted = range(first, min(first + (1 << level), count))
    answers = [_data(length, first, block) for block in wanted]
    given = {"length": length, "root": root_of(length), "first": first, "level": level, "answers": answers}
    return book.accept(
        f"answers/{count}-blocks-from-{first}-level-{level}",
        f"a file of {count} blocks: from block {first}, level {level}",
        ("TR-050", "TR-051", "TR-052", "TR-053"),
        given,
        {"blocks": list(wanted)},
    )


def _data(length: int, first: int, block: int) -> dict[str, Any]:
    offset = block - first
    count = (offset & -offset).bit_length() - 1 if offset else height_of(length)
    hashes = [levels(length)[height][block >> height ^ 1] for height in range(count)]
    start = block * BLOCK_SIZE
    size = min(BLOCK_SIZE, length - start)
    return {"block": block, "proof": hashes, "data": {"salt": SALT, "start": start, "length": size}}


class _Wrong:
    def __init__(self, book: Book, origin: Vector, count: int, first: int, level: int) -> None:
        self.book = book
        self.origin = origin
        self.answers: Sequence[dict[str, Any]] = origin.input["answers"]
        self.count, self.first, self.level = count, first, level

    def all(self) -> None:
        for index, answer in enumerate(self.answers):
            self._hashes(index, answer)
            self._content(index, answer)
            self._order(index, answer)
        last = self.answers[-1]
        after = {**last, "block": last["block"] + 1, "proof": []}
        about = "a block after the last one of the answer"
        self._reject("after", about, ("TR-054", "TR-050"), [*self.answers, after], "UNSOLICITED", len(self.answers))
        height = height_of(self.origin.input["length"])
        if height and not self.first:
            root = self.origin.input["root"]
            other = {**self.origin.input, "root": root[:-1] + bytes((root[-1] ^ 1,))}
            self._enter("root", "the root differs", ("TR-058",), other, "BAD_DATA", 0)

    def _reject(
        self, name: str, about: str, cited: Sequence[str], answers: Sequence[Any], code: str, good: int
    ) -> None:
        self._enter(name, about, cited, {**self.origin.input, "answers": list(answers)}, code, good)

    def _enter(self, name: str, about: str, cited: Sequence[str], given: dict[str, Any], code: str, good: int) -> None:
        stem = f"wrong/{self.count}-blocks-from-{self.first}-level-{self.level}"
        output = {"blocks": [answer["block"] for answer in self.answers[:good]]}
        outcome = f"CLOSE {code}"
        cited = (*cited, "CL-003")
        self.book.reject(f"{stem}/{name}", about, cited, given, outcome, origin=self.origin, output=output)

    def _put(self, index: int, answer: dict[str, Any]) -> list[Any]:
        return [*self.answers[:index], answer, *self.answers[index + 1 :]]

    def _hashes(self, index: int, answer: dict[str, Any]) -> None:
        block, hashes = answer["block"], answer["proof"]
        changes: list[tuple[str, str, str, list[bytes]]] = [
            ("one-more", "a hash too many", "TR-056", [*hashes, bytes(32)]),
        ]
        if hashes:
            changes.append(("one-fewer", "a hash too few", "TR-056", hashes[:-1]))
            changes.append(("none", "no hash", "TR-056", []))
        if len(hashes) > 1:
            changes.append(("reversed", "the hashes top down", "TR-058", hashes[::-1]))
        whole = [row[block >> height ^ 1] for height, row in enumerate(levels(self.origin.input["length"])[:-1])]
        if len(whole) > len(hashes) + 1:
            changes.append(("whole", "the hashes up to the root", "TR-056", whole))
        for at, each in enumerate(hashes):
            spoiled = [*hashes[:at], bytes((each[0] ^ 1,)) + each[1:], *hashes[at + 1 :]]
            changes.append((f"hash-{at}", f"hash {at} differs", "TR-058", spoiled))
        for name, about, cited, changed in changes:
            if changed == hashes or (name == "none" and len(hashes) == 1):
                continue
            answers = self._put(index, {**answer, "proof": changed})
            self._reject(f"block-{block}-{name}", f"block {block}: {about}", (cited,), answers, "BAD_DATA", index)

    def _content(self, index: int, answer: dict[str, Any]) -> None:
        block, data = answer["block"], answer["data"]
        size = data["length"]
        for name, about, changed, cited in (
            ("first-byte", "the first byte differs", {**data, "flip": 0}, "TR-058"),
            ("last-byte", "the last byte differs", {**data, "flip": size - 1}, "TR-058"),
            ("other", "the content of another block", {**data, "salt": 1}, "TR-058"),
            ("short", "a byte is missing", {**data, "length": size - 1}, "TR-057"),
            ("long", "a byte too many", {**data, "length": size + 1}, "TR-057"),
            ("tiny", "one byte", {**data, "length": 1}, "TR-057"),
        ):
            if changed["length"] > BLOCK_SIZE:
                continue  # malformed as such
            answers = self._put(index, {**answer, "data": changed})
            name = f"block-{block}-data-{name}"
            self._reject(name, f"block {block}: {about}", (cited, "TR-059"), answers, "BAD_DATA", index)

    def _order(self, index: int, answer: dict[str, Any]) -> None:
        block = answer["block"]
        for other in sorted({block + 1, block - 1, self.first, 2**32 - 1} - {block, -1}):
            answers = self._put(index, {**answer, "block": other})
            about = f"block {other} comes where {block} is due"
            self._reject(f"block-{block}-is-{other}", about, ("TR-055", "TR-050"), answers, "UNSOLICITED", index)
        if index:
            answers = [*self.answers[:index], self.answers[index - 1], *self.answers[index:]]
            about = f"block {block - 1} comes twice"
            self._reject(f"block-{block - 1}-twice", about, ("TR-055",), answers, "UNSOLICITED", index)
