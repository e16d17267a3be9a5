"""Files below one directory, and nowhere else.

Every path is walked one component at a time from an open directory, and no component may be a link: whatever a manifest
or another process plants, nothing is read or written outside. That needs the POSIX calls that take a directory's
descriptor; without them (Windows) `Directory.open` says so.

Paths are `bytes` relative to the directory, components divided by b"/": what the manifest holds, whatever the locale.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs

from p2pwire.storage.errors import StorageError, StorageErrorKind, shown

DEFAULT_OPEN_DIRECTORIES: Final = 64
"""directories kept open below one Directory: neighbours in a manifest mostly share one."""

DEFAULT_OPEN_FILES: Final = 128
"""files kept open per object: a small part of the 1024 descriptors that a process usually has."""

_WALKS: Final = os.open in os.supports_dir_fd
"""Whether this system opens files relative to a directory."""

# Windows lacks these; there `Directory.open` refuses before any is used.
_DIRECTORY: Final[int] = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
FILE_FLAGS: Final[int] = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
"""With which a file in a directory is opened: no link is followed, and nothing is waited for."""


@attrs.define(eq=False)
class Directory:
    """An open directory. All methods raise OSError; ELOOP and ENOTDIR mean that a link stands in the way."""

    fd: int
    _parents: OrderedDict[bytes, int] = attrs.field(factory=OrderedDict, init=False, repr=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Directory:
        """Open a directory that the user named: links on the way to it are followed."""
        if not _WALKS:
            raise StorageError(
                StorageErrorKind.UNSUITABLE, shown(path), "this system cannot open files relative to a directory"
            )
        return cls(os.open(path, _DIRECTORY & ~getattr(os, "O_NOFOLLOW", 0)))

    def directory(self, path: bytes) -> Directory:
        """The directory at `path`, on its own descriptor."""
        with self._parent(path) as (parent, name):
            return Directory(os.open(name, _DIRECTORY, dir_fd=parent))

    def duplicate(self) -> Directory:
        """The same directory on a descriptor of its own."""
        return Directory(os.dup(self.fd))

    def open_file(self, path: bytes, flags: int, mode: int = 0o666) -> int:
        """A descriptor of the regular file at `path`; OSError for anything else: ELOOP, EISDIR or ENXIO."""
        with self._parent(path) as (parent, name):
            fd = os.open(name, flags | FILE_FLAGS, mode, dir_fd=parent)
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            os.close(fd)
            code = errno.EISDIR if stat.S_ISDIR(mode) else errno.ENXIO
            raise OSError(code, os.strerror(code))
        return fd

    def make_directory(self, path: bytes, mode: int = 0o777) -> None:
        """Make one directory; its parent exists."""
        with self._parent(path) as (parent, name):
            os.mkdir(name, mode, dir_fd=parent)

    def stat(self, path: bytes) -> os.stat_result | None:
        """What stands at `path`, itself if it is a link; None if nothing does."""
        try:
            with self._parent(path) as (parent, name):
                return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def remove(self, path: bytes) -> None:
        """Remove what stands at `path`, with everything below it, following no link; nothing there is fine."""
        found = self.stat(path)
        if found is None:
            return
        with self._parent(path) as (parent, name):
            if stat.S_ISDIR(found.st_mode):
                shutil.rmtree(name, dir_fd=parent)
                self._close_parents()
            else:
                os.unlink(name, dir_fd=parent)

    def close(self) -> None:
        """Close every descriptor. A second time does nothing."""
        with self._lock:
            self._close_parents()
            if self.fd >= 0:
                os.close(self.fd)
                self.fd = -1

    def _close_parents(self) -> None:
        while self._parents:
            os.close(self._parents.popitem()[1])

    @contextmanager
    def _parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        # The lock is held while the descriptor is in use, so that no other thread closes it.
        parent, _, name = path.rpartition(b"/")
        with self._lock:
            yield (self._walk(parent) if parent else self.fd), name

    def _walk(self, path: bytes) -> int:
        if (fd := self._parents.get(path)) is not None:
            self._parents.move_to_end(path)
            return fd
        parent, _, name = path.rpartition(b"/")
        fd = os.open(name, _DIRECTORY, dir_fd=self._walk(parent) if parent else self.fd)
        self._parents[path] = fd
        if len(self._parents) > DEFAULT_OPEN_DIRECTORIES:
            os.close(self._parents.popitem(last=False)[1])
        return fd


@attrs.define(eq=False)
class _OpenFile:
    fd: int
    users: int = 0


@attrs.define(eq=False)
class OpenFiles:
    """Descriptors of numbered files, the latest `limit` of them kept open. Safe for threads."""

    _open: Callable[[int], int]
    """Opens a file, by its number."""
    limit: int = DEFAULT_OPEN_FILES
    _files: OrderedDict[int, _OpenFile] = attrs.field(factory=OrderedDict, init=False, repr=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    @contextmanager
    def use(self, number: int) -> Iterator[int]:
        """The descriptor of a file, open at least as long as this block lasts."""
        with self._lock:
            file = self._files.get(number)
            if file is None:
                self._drop_to(self.limit - 1)
                self._files[number] = file = _OpenFile(self._open(number))
            else:
                self._files.move_to_end(number)
            file.users += 1
        try:
            yield file.fd
        finally:
            with self._lock:
                file.users -= 1
                self._drop_to(self.limit)

    @contextmanager
    def use_open(self, number: int) -> Iterator[int | None]:
        """The same without waiting: None for a file that is not open, or if another thread is just at the list."""
        if not self._lock.acquire(blocking=False):
            yield None
            return
        try:
            file = self._files.get(number)
            if file is not None:
                self._files.move_to_end(number)
            yield None if file is None else file.fd
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close all files; those in use as soon as they no longer are."""
        with self._lock:
            self.limit = 0
            self._drop_to(0)

    def _drop_to(self, count: int) -> None:
        while len(self._files) > count:
            idle = next((number for number, file in self._files.items() if not file.users), None)
            if idle is None:
                return
            os.close(self._files.pop(idle).fd)
