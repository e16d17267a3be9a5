"""Hashing what lies on a disk, block by block, with as many threads as help."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Final

from p2pwire.storage.errors import reported
from p2pwire.wire.registry import BLOCK_SIZE

RUN_BLOCKS: Final = 64
"""blocks read and hashed at once: 1 MiB, long enough that the call costs nothing beside the hashing."""

_PARALLEL_FROM: Final = 4 * RUN_BLOCKS
"""blocks of a file from which threads are worth their start."""

_THREADS: Final = min(4, os.cpu_count() or 1)
"""hashlib lets other threads run while it hashes; beyond a few the interpreter is the limit."""


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


def hash_run(fd: int, length: int, first: int, count: int) -> list[bytes]:
    """SHA-256 of each block of a file of `length` bytes; what lies past its real end is left out."""
    start = first * BLOCK_SIZE
    data = memoryview(read_exactly(fd, min(count * BLOCK_SIZE, length - start), start))
    return [sha256(data[start : start + BLOCK_SIZE]).digest() for start in range(0, len(data), BLOCK_SIZE)]


class BlockHasher:
    """Hashes blocks of open files; a context manager, because it may start threads."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

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
        if blocks < _PARALLEL_FROM or _THREADS == 1:
            for first, count in wanted:
                with reported("read", place, below):
                    hashes = hash_run(fd, length, first, count)
                yield first, hashes
            return
        for first, future in self._submit(fd, length, wanted):
            with reported("read", place, below):
                hashes = future.result()
            yield first, hashes

    def _submit(
        self, fd: int, length: int, wanted: Iterable[tuple[int, int]]
    ) -> Iterator[tuple[int, Future[list[bytes]]]]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, "hash")
        ahead: deque[tuple[int, Future[list[bytes]]]] = deque()
        try:
            for first, count in wanted:
                ahead.append((first, self._pool.submit(hash_run, fd, length, first, count)))
                if len(ahead) > 2 * _THREADS:
                    yield ahead[0]
                    ahead.popleft()
            while ahead:
                yield ahead[0]
                ahead.popleft()
        finally:
            # The caller may close the descriptor as soon as this ends, and its number may be given away.
            wait([future for _, future in ahead if not future.cancel()])
