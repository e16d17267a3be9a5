"""The partial area: the directory beside the destination in which an unfinished download lives.

    DIR/.p2pwire-<first 16 characters of the id>/
        lock        held by the process that fetches
        object      kind, length and root of the object: whoever goes on needs nobody who says it
        state       which blocks were stored, and their proofs (`p2pwire.storage.journal`)
        manifest    a folder's manifest, once it is complete
        content     the file, or the folder with all its files, under its own names

`content` moves to its final name in one step, when everything in it is complete and on the disk; so that name never
holds anything else. Only the owner can enter the area: what was verified there stays as it was.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from p2pwire.content.manifest import Entry, Manifest
from p2pwire.content.objects import ObjectInfo
from p2pwire.storage.directory import Directory
from p2pwire.storage.errors import StorageError, StorageErrorKind, reported, shown
from p2pwire.storage.files import changed_error
from p2pwire.storage.names import AREA_PREFIX, name_error
from p2pwire.wire.registry import EntryType

if sys.platform != "win32":
    import fcntl

CONTENT: Final = b"content"
MANIFEST: Final = b"manifest"
STATE: Final = b"state"
OBJECT: Final = b"object"
_LOCK: Final = b"lock"
_OBJECT: Final = struct.Struct(">BQ32s")
_DRAFT: Final = b"content.new"

_SYNC_EACH: Final = 256
"""files above which one sync of the whole system is quicker than one for each file."""

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES})
"""What file systems without hard links answer."""


def area_name(oid_text: str) -> str:
    """The name of an object's area, from its id in base32."""
    return AREA_PREFIX + oid_text[:16]


@attrs.define(eq=False)
class Area:
    """An open and locked partial area. Methods raise StorageError."""

    destination: Directory
    directory: Directory
    place: Path
    """Where it is, for messages."""
    _lock: int

    @classmethod
    def open(cls, destination: Directory, place: Path) -> Area:
        """Make the area `place` in the directory `destination`, or enter the one that is there, and lock it."""
        name = os.fsencode(place.name)
        while True:
            with reported("create", place):
                directory = _enter(destination, name, place)
                try:
                    lock = _take_lock(directory, place)
                except BaseException:
                    directory.close()
                    raise
            now = destination.stat(name)
            if now is not None and os.path.samestat(now, os.fstat(directory.fd)):
                return cls(destination, directory, place, lock)
            # Another process finished and removed this area between our two steps.
            os.close(lock)
            directory.close()

    def read(self, name: bytes) -> bytes | None:
        """A small file of the area, or None if there is none."""
        with reported("read", self.place / os.fsdecode(name)):
            try:
                fd = self.directory.open_file(name, os.O_RDONLY)
            except FileNotFoundError:
                return None
            with open(fd, "rb") as file:
                return file.read()

    def write_manifest(self, raw: bytes) -> None:
        """Store the manifest's bytes. If the process dies meanwhile, they do not hash to what they should."""
        self._write(MANIFEST, raw)

    def write_object(self, info: ObjectInfo) -> None:
        """Store what the object is, if it is not there. If the process dies meanwhile, it does not give the id."""
        with reported("read", self.place / os.fsdecode(OBJECT)):
            known = object_in(self.directory, info.oid)
        if known is None:
            self._write(OBJECT, _OBJECT.pack(info.kind, info.length, info.root))

    def _write(self, name: bytes, data: bytes) -> None:
        with reported("write", self.place / os.fsdecode(name)):
            fd = self.directory.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(fd, "wb") as file:
                file.write(data)

    def open_content(self) -> Directory | None:
        """The folder of a manifest's files, if it is there: with all of its files."""
        with reported("open", self.content):
            return self.directory.directory(CONTENT) if self.directory.stat(CONTENT) is not None else None

    def make_content(self, entries: Iterable[Entry]) -> Directory:
        """Make the folder of a manifest's files: every file, empty, and every directory, or nothing at all.

        The file system itself says here which names it takes for the same: each is made once, so a second time is a
        collision. Raises StorageError, NAME among others.
        """
        with reported("create", self.content):
            self.directory.remove(CONTENT)
            self.directory.remove(_DRAFT)
            self.directory.make_directory(_DRAFT)
            draft = self.directory.directory(_DRAFT)
        try:
            _make_tree(draft, self.content, entries)
            with reported("create", self.content):
                os.rename(_DRAFT, CONTENT, src_dir_fd=self.directory.fd, dst_dir_fd=self.directory.fd)
        except BaseException:
            draft.close()
            with suppress(OSError):
                self.directory.remove(_DRAFT)
            raise
        return draft

    @property
    def content(self) -> Path:
        """Where the content is, for messages."""
        return self.place / os.fsdecode(CONTENT)

    def clear(self) -> None:
        """Remove everything but the lock."""
        with reported("remove", self.place):
            for name in (STATE, OBJECT, MANIFEST, _DRAFT, CONTENT):
                self.directory.remove(name)

    def publish(self, name: str) -> None:
        """Move the content to its final name, which must be free: StorageError (EXISTS) otherwise."""
        final, place = name.encode(), self.place.parent / name
        with reported("create", place):
            content = self.directory.stat(CONTENT)
            if content is not None and stat.S_ISREG(content.st_mode):
                try:
                    # Unlike a rename this fails if the name was taken a moment ago.
                    area, destination = self.directory.fd, self.destination.fd
                    os.link(CONTENT, final, src_dir_fd=area, dst_dir_fd=destination, follow_symlinks=False)
                    os.unlink(CONTENT, dir_fd=area)
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    self._rename(final)
            else:
                self._rename(final)
            os.fsync(self.destination.fd)

    def _rename(self, final: bytes) -> None:
        if self.destination.stat(final) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(CONTENT, final, src_dir_fd=self.directory.fd, dst_dir_fd=self.destination.fd)

    def remove(self) -> None:
        """Remove the area and everything in it, and give the lock back."""
        self.clear()
        with reported("remove", self.place):
            self.directory.remove(_LOCK)
            os.rmdir(os.fsencode(self.place.name), dir_fd=self.destination.fd)
        self.close()

    def close(self) -> None:
        """Leave the area as it is. A second time does nothing."""
        self.directory.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def object_in(area: Directory, oid: bytes) -> ObjectInfo | None:
    """What the object of an area is; None if nothing there says it. Raises OSError."""
    try:
        fd = area.open_file(OBJECT, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        raw = file.read(_OBJECT.size + 1)
    if len(raw) != _OBJECT.size:
        return None
    info = ObjectInfo(*_OBJECT.unpack(raw))
    return info if info.oid == oid and info.fault is None else None


def _enter(destination: Directory, name: bytes, place: Path) -> Directory:
    try:
        destination.make_directory(name, 0o700)
        made = True
    except FileExistsError:
        made = False
    directory = destination.directory(name)
    if not made and os.fstat(directory.fd).st_uid != os.geteuid():
        directory.close()
        raise StorageError(
            StorageErrorKind.DENIED, shown(place), f"cannot use {shown(place)}: it belongs to another user"
        )
    return directory


def _take_lock(directory: Directory, place: Path) -> int:
    fd = directory.open_file(_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise StorageError(
            StorageErrorKind.BUSY, shown(place), f"{shown(place.parent)} is already receiving the same object"
        ) from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def _make_tree(content: Directory, place: Path, entries: Iterable[Entry]) -> None:
    parents: set[bytes] = set()
    for entry in entries:
        path = entry.path.encode()
        with reported("create", place, entry.path):
            try:
                for parent in _missing(path, parents):
                    content.make_directory(parent)
                _make(content, path, entry.type)
            except FileExistsError:
                raise name_error(entry.path, "this file system takes it for another path of the same folder") from None


def mend_tree(content: Directory, place: Path, entries: Iterable[Entry]) -> None:
    """Bring back what is missing or of another nature in a tree that `make_content` made, and cut what is too long."""
    parents: set[bytes] = set()
    for entry in entries:
        path = entry.path.encode()
        with reported("create", place, entry.path):
            for parent in _missing(path, parents):
                found = content.stat(parent)
                if found is None or not stat.S_ISDIR(found.st_mode):
                    content.remove(parent)
                    content.make_directory(parent)
            mend(content, path, entry.type, entry.length)


def mend(content: Directory, path: bytes, kind: EntryType, length: int) -> None:
    """See that a file, or empty directory, stands at `path`, is no link of any sort, and not longer than `length`."""
    found = content.stat(path)
    if found is not None and kind == EntryType.EMPTY_DIRECTORY and stat.S_ISDIR(found.st_mode):
        return
    # A second hard link would be changed with it: perhaps the finished file that a user has moved meanwhile.
    if found is None or not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or kind == EntryType.EMPTY_DIRECTORY:
        content.remove(path)
        _make(content, path, kind)
    elif found.st_size > length:
        fd = content.open_file(path, os.O_WRONLY)
        try:
            os.ftruncate(fd, length)
        finally:
            os.close(fd)


def _missing(path: bytes, parents: set[bytes]) -> list[bytes]:
    """The directories on the way to `path` that `parents` does not know yet, outermost first; now it does."""
    found: list[bytes] = []
    end = path.rfind(b"/")
    while end > 0 and (parent := path[:end]) not in parents:
        parents.add(parent)
        found.append(parent)
        end = path.rfind(b"/", 0, end)
    return found[::-1]


def _make(content: Directory, path: bytes, kind: EntryType) -> None:
    if kind == EntryType.EMPTY_DIRECTORY:
        content.make_directory(path)
    else:
        mode = 0o777 if kind == EntryType.EXECUTABLE else 0o666
        os.close(content.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))


def settle(content: Directory, place: Path, manifest: Manifest) -> array[int]:
    """Make a folder whose blocks are all stored exactly what the manifest says, and see that it is on the disk.

    Executable bits are set, and what else has come into the folder is removed. Returns when each file was last written
    (st_mtime_ns). Raises StorageError: CHANGED if something was done to a file meanwhile.
    """
    stamps = array("q")
    paths: list[bytes] = []
    for entry in manifest:
        path, empty = entry.path.encode(), entry.type == EntryType.EMPTY_DIRECTORY
        with reported("examine", place, entry.path):
            found = content.stat(path)
            if found is None or not (stat.S_ISDIR if empty else stat.S_ISREG)(found.st_mode):
                raise changed_error(place / entry.path)
            stamps.append(found.st_mtime_ns)
            if empty:
                continue
            if found.st_size != entry.length:
                raise changed_error(place / entry.path)
            if bool(found.st_mode & stat.S_IXUSR) != (entry.type == EntryType.EXECUTABLE):
                _set_executable(content, path, found.st_mode, entry.type == EntryType.EXECUTABLE)
            paths.append(path)
    with reported("write", place):
        _remove_strays(content, manifest)
        _sync(content, paths)
    return stamps


def _set_executable(content: Directory, path: bytes, mode: int, executable: bool) -> None:
    fd = content.open_file(path, os.O_RDONLY)
    try:
        # Who may read may execute. Where the file system has no such bit there is nothing to keep.
        with suppress(PermissionError):
            os.fchmod(fd, mode & 0o666 | (mode & 0o444) >> 2 if executable else mode & 0o666)
    finally:
        os.close(fd)


def _remove_strays(content: Directory, manifest: Manifest) -> None:
    """Remove what the manifest does not name: what programs leave in every folder that they look into."""
    expected: set[bytes] = set()
    for entry in manifest:
        path = entry.path.encode()
        expected.add(path)
        _missing(path, expected)
    strays = list(_unexpected(content, b"", expected))
    if strays:
        # A file system that spells names in its own way lists ours under names that we did not give.
        ours = {(found.st_dev, found.st_ino) for path in expected if (found := content.stat(path)) is not None}
        for path in strays:
            found = content.stat(path)
            if found is not None and (found.st_dev, found.st_ino) not in ours:
                content.remove(path)


def _unexpected(directory: Directory, prefix: bytes, expected: set[bytes]) -> Iterator[bytes]:
    with os.scandir(directory.fd) as found:
        children = [(os.fsencode(child.name), child.is_dir(follow_symlinks=False)) for child in found]
    for name, is_directory in children:
        if prefix + name not in expected:
            yield prefix + name
        elif is_directory:
            child = directory.directory(name)
            try:
                yield from _unexpected(child, prefix + name + b"/", expected)
            finally:
                child.close()


def _sync(content: Directory, paths: Sequence[bytes]) -> None:
    """See that files, and the directories on the way to them, are on the disk."""
    if len(paths) > _SYNC_EACH and sys.platform == "linux":  # where it waits until all is written
        os.sync()
        return
    directories: set[bytes] = set()
    for path in paths:
        _missing(path, directories)
        fd = content.open_file(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    for path in directories:
        directory = content.directory(path)
        try:
            os.fsync(directory.fd)
        finally:
            directory.close()
    os.fsync(content.fd)
