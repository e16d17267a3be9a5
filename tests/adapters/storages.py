"""Storages that tell of writes, hold them up, or fail."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.to_thread

from p2pwire.content.merkle import ProofChecker, tree_height
from p2pwire.content.objects import ObjectInfo
from p2pwire.storage.errors import storage_error
from p2pwire.storage.interface import BlockWrite, Download, Progress, ProvedRun, Storage
from p2pwire.storage.memory import MemoryStorage, SharedMemory

PATIENCE = 30.0
"""seconds after which a held write gives up: a guard, so that a failing test ends."""


class WatchedStorage:
    """Another storage, with a call before each write: it gets the number of blocks, in the worker's thread."""

    def __init__(self, inner: Storage, before_write: Callable[[int], None]) -> None:
        self._inner = inner
        self._before_write = before_write

    def open_download(self, info: ObjectInfo, name: str, progress: Progress | None = None) -> Download:
        return WatchedDownload(self._inner.open_download(info, name, progress), self._before_write)


class WatchedDownload:
    """Another download, with a call before each write."""

    def __init__(self, inner: Download, before_write: Callable[[int], None]) -> None:
        self._inner = inner
        self._before_write = before_write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write_at_once(self, runs: Sequence[ProvedRun]) -> bool:
        return False

    def write_runs(self, runs: Sequence[ProvedRun]) -> None:
        self._before_write(sum(len(run.data) for run in runs))
        self._inner.write_runs(runs)


class Gate:
    """Holds up writes while it is closed."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._reached = threading.Event()

    def open(self) -> None:
        self._open.set()

    async def reached(self) -> None:
        """Wait until a write has come to the gate."""
        await anyio.to_thread.run_sync(self._reached.wait, abandon_on_cancel=True)

    def __call__(self, blocks: int) -> None:
        self._reached.set()
        if not self._open.wait(PATIENCE):
            raise TimeoutError("nobody opened the gate")


class FullDisk:
    """Fails after some blocks, as a full disk does."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, blocks: int) -> None:
        self.room -= blocks
        if self.room < 0:
            raise storage_error(OSError(errno.ENOSPC, "no space left"), "write", "the disk")


def holding(shared: SharedMemory, name: str, first: int, last: int) -> MemoryStorage:
    """A storage that holds blocks `first` to `last` of a blob already, from an earlier attempt."""
    storage = MemoryStorage()
    leave(storage, shared, name, first, last)
    return storage


def leave(storage: Storage, shared: SharedMemory, name: str, first: int, last: int) -> None:
    """Begin to receive a blob, and end after blocks `first` to `last`."""
    length, root = shared.info.length, shared.info.root
    download = storage.open_download(shared.info, name)
    blocks = []
    for block in range(first, last + 1):
        data = shared.read_blocks(0, block, 1)
        siblings = shared.trees[0].siblings(block, tree_height(length))
        blocks.append(BlockWrite(0, block, data, ProofChecker(length, root, block, 0).check(block, siblings, data)))
    download.write_blocks(blocks)
    download.close()
