"""Hashing what lies on a disk, with as many threads as help.

A thread gets pieces that are large enough for the way to it and back to cost nothing, and reads them through a buffer
of its own that stays in the processor's cache: what a call to the system copies is still there when it is hashed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

from p2pwire.content.merkle import SUBTREE_LEAVES, LeafPage, block_count, leaf_page
from p2pwire.storage.errors import reported
from p2pwire.wire.registry import BLOCK_SIZE

RUN_BLOCKS: Final = 8 * SUBTREE_LEAVES
"""blocks that a thread is given at once: 8 MiB, some milliseconds."""

READ_BLOCKS: Final = 16
"""blocks read at once: 256 KiB, which the cache next to a core has room for."""

_PARALLEL_FROM: Final = 2 * RUN_BLOCKS
"""blocks of a file from which threads are worth their start."""

_THREADS: Final = min(4, os.cpu_count() or 1)
"""hashlib lets other threads run while it hashes; beyond a few the interpreter is the limit."""

Job = TypeVar("Job")
Result = TypeVar("Result")


def runs(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Blocks `first` to `last` (exclusive) as (first, count) of at most RUN_BLOCKS each."""
    for block in range(first, last, RUN_BLOCKS):
        yield block, min(RUN_BLOCKS, last - block)


def read_exactly(fd: int, size: int, offset: int) -> bytes:
    """`size` bytes from `offset`, fewer only where the file ends."""
    data = os.pread(fd, size, offset)
    if len(data) == size or not data:
        return data
    pieces = [data]
    while data and size > (got := sum(map(len, pieces))):
        pieces.append(data := os.pread(fd, size - got, offset + got))
    return b"".join(pieces)


class BlockReader:
    """Reads blocks of files into a buffer and hashes them there. For one thread at a time."""

    __slots__ = ("_blocks", "_view")

    def __init__(self) -> None:
        self._view = memoryview(bytearray(READ_BLOCKS * BLOCK_SIZE))
        self._blocks = [self._view[at : at + BLOCK_SIZE] for at in range(0, len(self._view), BLOCK_SIZE)]

    def hashes(self, fd: int, offset: int, size: int) -> list[bytes]:
        """SHA-256 of each block of `size` bytes from `offset`; what lies past the file's end is left out."""
        found: list[bytes] = []
        while size:
            wanted = min(size, len(self._view))
            got = os.preadv(fd, [self._view[:wanted]], offset)
            if got < wanted:
                got += self._read_on(fd, offset, got, wanted)
            whole, rest = divmod(got, BLOCK_SIZE)
            found += [sha256(block).digest() for block in self._blocks[:whole]]
            if rest:
                found.append(sha256(self._blocks[whole][:rest]).digest())
            if got < wanted:
                break
            offset += got
            size -= got
        return found

    def _read_on(self, fd: int, offset: int, got: int, wanted: int) -> int:
        """A call brought less than was wanted: what more there is before the file ends."""
        start = got
        while got < wanted and (more := os.preadv(fd, [self._view[got:wanted]], offset + got)):
            got += more
        return got - start


class BlockHasher:
    """Hashes blocks of open files; a context manager, because it may start threads."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._idle: list[BlockReader] = []

    def __enter__(self) -> BlockHasher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def hashes(
        self, fd: int, length: int, wanted: Iterable[tuple[int, int]], blocks: int, place: Path, below: str = ""
    ) -> Iterator[tuple[int, list[bytes]]]:
        """(first block, hashes) of each run (first block, count) of a file of `length` bytes, in order.

        `blocks` is how many blocks the runs have. Fewer hashes come where the file is shorter than it should be.
        Raises StorageError about `below` in `place`.
        """

        def hash_run(reader: BlockReader, run: tuple[int, int]) -> tuple[int, list[bytes]]:
            first, count = run
            return first, reader.hashes(fd, first * BLOCK_SIZE, min(count * BLOCK_SIZE, length - first * BLOCK_SIZE))

        with reported("read", place, below):
            yield from self.each(hash_run, wanted, threads=blocks >= _PARALLEL_FROM)

    def pages(self, fd: int, length: int, place: Path, below: str = "") -> Iterator[list[LeafPage]]:
        """The pages of the tree of a file of `length` bytes, some at a time, in order.

        Fewer come where the file is shorter than it should be. Raises StorageError about `below` in `place`.
        """

        def make_pages(reader: BlockReader, run: tuple[int, int]) -> list[LeafPage]:
            return list(_pages(reader, fd, length, *run))

        blocks = block_count(length)
        with reported("read", place, below):
            yield from self.each(make_pages, runs(0, blocks), threads=blocks >= _PARALLEL_FROM)

    def each(
        self, work: Callable[[BlockReader, Job], Result], jobs: Iterable[Job], *, threads: bool
    ) -> Iterator[Result]:
        """What `work` makes of each job, in order; in threads if they are wanted, and if there is more than one core.

        No thread works any more when this ends, in whatever way.
        """
        if not threads or _THREADS == 1:
            for job in jobs:
                yield self._do(work, job)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, "hash")
        ahead: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                ahead.append(self._pool.submit(self._do, work, job))
                if len(ahead) > 2 * _THREADS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            # The caller may close a descriptor as soon as this ends, and its number may be given away.
            wait([future for future in ahead if not future.cancel()])

    def _do(self, work: Callable[[BlockReader, Job], Result], job: Job) -> Result:
        reader = self._idle.pop() if self._idle else BlockReader()
        try:
            return work(reader, job)
        finally:
            self._idle.append(reader)


def _pages(reader: BlockReader, fd: int, length: int, first: int, count: int) -> Iterator[LeafPage]:
    """The pages over `count` blocks, until the file ends."""
    for block in range(first, first + count, SUBTREE_LEAVES):
        size = min(SUBTREE_LEAVES * BLOCK_SIZE, length - block * BLOCK_SIZE)
        leaves = reader.hashes(fd, block * BLOCK_SIZE, size)
        if len(leaves) < block_count(size):
            return
        yield leaf_page(length, b"".join(leaves))
