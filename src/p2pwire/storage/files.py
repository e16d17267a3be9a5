"""The files of one object on a disk: blocks in, blocks out."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from p2pwire.content.manifest import Manifest
from p2pwire.content.merkle import BLOCK, block_count
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.units import Layout
from p2pwire.storage.cached import CachedReader
from p2pwire.storage.directory import Directory, OpenFiles
from p2pwire.storage.errors import StorageError, StorageErrorKind, shown, storage_error
from p2pwire.storage.hashing import read_exactly
from p2pwire.wire.registry import MANIFEST_FILE, EntryType

if TYPE_CHECKING:
    from p2pwire.wire.messages import Buffer

_MAX_BUFFERS: Final = 1024
"""buffers in one call: IOV_MAX of every system that we know."""


@attrs.define(eq=False)
class ObjectFiles:
    """A blob's file, or a folder's files, below an open directory. Safe for threads but for `close`."""

    info: ObjectInfo
    manifest: Manifest | None
    """None for a blob."""
    directory: Directory
    place: Path
    """The file or folder, for messages."""
    name: bytes = b""
    """A blob's file name in the directory."""
    flags: int = os.O_RDONLY
    stamps: array[int] | None = None
    """When each file was last written (st_mtime_ns), once it is complete: later it may only be read as it was."""
    layout: Layout = attrs.field(init=False)
    _open: OpenFiles = attrs.field(init=False, repr=False)
    _cached: CachedReader = attrs.field(factory=CachedReader, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.layout = Layout.of_lengths([self.info.length]) if self.manifest is None else self.manifest.layout
        self._open = OpenFiles(self._open_file)

    def file(self, file: int) -> tuple[int, bytes]:
        """Length and root of a file; IndexError if there is none."""
        if self.manifest is not None:
            return self.manifest.file(file)
        if file:
            raise IndexError(f"file {file}: a blob is file 0")
        return self.info.length, self.info.root

    def path(self, file: int) -> bytes:
        """The path of a file below the directory."""
        return self.name if self.manifest is None else self.manifest[file].path.encode()

    def type(self, file: int) -> EntryType:
        """What the entry is; a blob is a file."""
        return EntryType.FILE if self.manifest is None else self.manifest[file].type

    def where(self, file: int) -> Path:
        """A file for messages."""
        return self.place if self.manifest is None else self.place / self.manifest[file].path

    def read(self, file: int, first: int, count: int) -> bytes:
        """Some blocks of a file or of the manifest, one after another. IndexError if they do not exist."""
        if file == MANIFEST_FILE and self.manifest is not None:
            start, end = extent(self.info.length, first, count)
            return bytes(self.manifest.data[start:end])
        length, _ = self.file(file)
        start, end = extent(length, first, count)
        try:
            with self._open.use(file) as fd:
                data = read_exactly(fd, end - start, start)
                # Looked at after reading: what was written before is then known to be so.
                now = os.fstat(fd)
        except OSError as error:
            raise storage_error(error, "read", self.where(file)) from error
        if self._changed(file, now) or len(data) < end - start:
            raise changed_error(self.where(file))
        return data

    def read_cached(self, file: int, first: int, count: int) -> Buffer | None:
        """The same, if it can be had without waiting; None if not, or if anything is wrong: `read` tells what."""
        if file == MANIFEST_FILE:
            return self.read(file, first, count)
        start, end = extent(self.file(file)[0], first, count)
        try:
            with self._open.use_open(file) as fd:
                data = None if fd is None else self._cached.read(fd, end - start, start)
                if fd is None or data is None or self._changed(file, os.fstat(fd)):
                    return None
        except OSError:
            return None
        return data

    def in_memory(self, file: int) -> bool:
        """Whether a file is open, and lies in memory alone."""
        try:
            with self._open.use_open(file) as fd:
                return fd is not None and self._cached.in_memory(fd)
        except OSError:
            return False

    def _changed(self, file: int, now: os.stat_result) -> bool:
        """Whether a file that was complete is not what it was."""
        return self.stamps is not None and (now.st_mtime_ns != self.stamps[file] or now.st_size != self.file(file)[0])

    def write(self, file: int, first: int, blocks: Sequence[Buffer]) -> None:
        """Write neighbouring blocks of a file."""
        try:
            with self._open.use(file) as fd:
                at = first * BLOCK
                for start in range(0, len(blocks), _MAX_BUFFERS):
                    at = _write_all(fd, blocks[start : start + _MAX_BUFFERS], at)
        except OSError as error:
            raise storage_error(error, "write", self.where(file)) from error

    def use(self, file: int) -> AbstractContextManager[int]:
        """The descriptor of a file, open at least as long as this block lasts; StorageError if it cannot be opened."""
        return self._open.use(file)

    def _open_file(self, file: int) -> int:
        try:
            return self.directory.open_file(self.path(file), self.flags)
        except OSError as error:
            raise storage_error(error, "open", self.where(file)) from error

    def close(self) -> None:
        """Close all descriptors. A second time does nothing."""
        self._open.close()
        self.directory.close()


def changed_error(path: str | os.PathLike[str]) -> StorageError:
    """A StorageError (CHANGED) about a file."""
    return StorageError(
        StorageErrorKind.CHANGED, shown(path), f"{shown(path)} was changed after its content had been checked"
    )


def extent(length: int, first: int, count: int) -> tuple[int, int]:
    """The bytes of some blocks of a file: start, end."""
    if not (first >= 0 and 0 < count <= block_count(length) - first):
        raise IndexError(f"blocks {first} to {first + count - 1}: the file has {block_count(length)}")
    return first * BLOCK, min((first + count) * BLOCK, length)


def _write_all(fd: int, buffers: Sequence[Buffer], at: int) -> int:
    """Write buffers at an offset, however many calls it takes; where they end."""
    written = os.pwritev(fd, buffers, at)
    end = at + sum(map(len, buffers))
    if at + written < end:  # rare: a signal, or a disk that is nearly full, whose error the next call gets
        rest = memoryview(b"".join(buffers))[written:]
        while rest:
            rest = rest[os.pwrite(fd, rest, end - len(rest)) :]
    return end
