"""What a download gets in these tests: blocks of complete content, with the proofs that really come with them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

from p2pwire.content.merkle import BLOCK, ProofChecker, Tree, block_count, block_length, proof_count, tree_height
from p2pwire.storage import BlockWrite, Content
from p2pwire.storage.memory import MemoryFile, SharedMemory, share_bytes, share_folder
from p2pwire.wire.registry import MAX_LEVEL

Request = tuple[int, int, int]
"""File, first block, level."""


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes without a pattern."""
    return random.Random(seed << 32 | size).randbytes(size)


def blob(blocks: float, seed: int = 0) -> SharedMemory:
    """A blob of so many blocks."""
    return share_bytes(noise(int(blocks * BLOCK), seed), "blob")


def folder(seed: int = 0) -> SharedMemory:
    """A folder with one of everything."""
    return share_folder(
        {
            "a/empty": b"",
            "a/one": noise(BLOCK, seed),
            "a/tool": MemoryFile(noise(3 * BLOCK + 5, seed), executable=True),
            "b/c/d/deep": noise(70 * BLOCK + 1, seed),
            "b/hollow": None,
            "b/ä ö 日本語\u3000🙂": noise(10, seed),
            "last": noise(2 * BLOCK, seed),
        },
        "folder",
    )


def file_of(content: Content, file: int) -> tuple[int, bytes]:
    """Length and root of a file."""
    return (content.info.length, content.info.root) if content.manifest is None else content.manifest.file(file)


def requests(content: Content, level: int = MAX_LEVEL) -> list[Request]:
    """Requests of at most 2^level blocks for everything, in order."""
    found: list[Request] = []
    for file in range(1 if content.manifest is None else len(content.manifest)):
        length, _ = file_of(content, file)
        size = min(level, tree_height(length))
        found += [(file, first, size) for first in range(0, block_count(length), 1 << size)]
    return found


def answer(content: Content, request: Request) -> list[BlockWrite]:
    """The blocks of one answer, checked as a receiver checks them."""
    file, first, level = request
    length, root = file_of(content, file)
    tree = content.trees.get(file) or Tree(length, root)
    checker = ProofChecker(length, root, first, level)
    data = memoryview(content.read_blocks(file, first, checker.end - first))
    writes = []
    for block in range(first, checker.end):
        piece = data[(block - first) * BLOCK :][: block_length(length, block)]
        proof = tree.siblings(block, proof_count(tree.height, block, first))
        writes.append(BlockWrite(file, block, piece, checker.check(block, proof, piece)))
    return writes


def answers(content: Content, level: int = MAX_LEVEL) -> Iterator[list[BlockWrite]]:
    """The answers to all requests."""
    return (answer(content, request) for request in requests(content, level))


def number(content: Content, write: BlockWrite) -> int:
    """The global number of a block."""
    return write.block if content.manifest is None else content.manifest.first_block(write.file) + write.block


def on_disk(path: Path) -> bytes | dict[str, bytes | MemoryFile | None]:
    """What lies at a path, read with the plainest means; in a folder each file says whether it is executable."""
    if path.is_symlink() or path.is_file():
        return path.read_bytes()
    found: dict[str, bytes | MemoryFile | None] = {}
    for top, directories, names in os.walk(path):
        here = Path(top)
        if not directories and not names and here != path:
            found[here.relative_to(path).as_posix()] = None
        for name in names:
            file = here / name
            assert not file.is_symlink()
            found[(here / name).relative_to(path).as_posix()] = MemoryFile(
                file.read_bytes(), bool(file.stat().st_mode & 0o100)
            )
    return found


def in_memory(content: Content) -> bytes | dict[str, bytes | MemoryFile | None]:
    """What `on_disk` has to find of some content."""

    def whole(file: int, length: int) -> bytes:
        return content.read_blocks(file, 0, block_count(length)) if length else b""

    if content.manifest is None:
        return whole(0, content.info.length)
    return {
        entry.path: None if entry.type == 2 else MemoryFile(whole(file, entry.length), entry.type == 1)
        for file, entry in enumerate(content.manifest)
    }
