"""Sharing: a file or folder as it lies on the disk becomes an object.

A folder is walked without following links. What is neither a file nor a directory (links, sockets, devices), and the
areas of unfinished downloads, is left out and listed; what is content but cannot be said in a manifest, or read, is an
error that names it, so that nobody shares less than they think. A directory in which nothing is left counts as empty.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import attrs

from p2pwire.content.manifest import Entry, Manifest, ManifestError
from p2pwire.content.merkle import BLOCK, NO_ROOT, SUBTREE_LEAVES, LeafPage, Tree, TreeBuilder, block_count
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.units import BlockMap
from p2pwire.content.uri import UriError, check_name
from p2pwire.storage.directory import FILE_FLAGS, Directory
from p2pwire.storage.errors import StorageError, StorageErrorKind, reported, shown, storage_error
from p2pwire.storage.files import ObjectFiles, changed_error
from p2pwire.storage.hashing import BlockHasher, BlockReader
from p2pwire.storage.interface import Progress, Skipped
from p2pwire.storage.names import AREA_PREFIX
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import MANIFEST_FILE, MAX_LENGTH, MAX_PATH_COMPONENTS, EntryType, ObjectKind

_SMALL: Final = SUBTREE_LEAVES * BLOCK
"""bytes of a file up to which many are hashed at a time."""

_BATCH_FILES: Final = 128
_BATCH_BYTES: Final = 8 << 20
"""Small files that a thread is given at once: some milliseconds' work, whichever is reached first."""


@attrs.define(eq=False)
class SharedFiles:
    """A file or folder that was hashed (`Shared`). Each read checks that the file is still what it was."""

    _files: ObjectFiles
    name: str | None
    skipped: Sequence[Skipped]
    trees: dict[int, Tree]
    held: BlockMap = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.held = BlockMap(self._files.layout.total_blocks)
        if self.held.total:
            self.held.add_span(0, self.held.total - 1)

    @property
    def info(self) -> ObjectInfo:
        return self._files.info

    @property
    def manifest(self) -> Manifest | None:
        return self._files.manifest

    @property
    def files(self) -> ObjectFiles:
        """What it is read from."""
        return self._files

    def read_blocks(self, file: int, first: int, count: int) -> bytes:
        return self._files.read(file, first, count)

    def read_cached(self, file: int, first: int, count: int) -> Buffer | None:
        return self._files.read_cached(file, first, count)

    def close(self) -> None:
        self._files.close()


def scan(path: str | os.PathLike[str], progress: Progress | None = None) -> SharedFiles:
    """Hash a file or folder. A link is followed if the user names it here, and nowhere below. Raises StorageError."""
    survey = Survey.of(path)
    try:
        return survey.hash(progress)
    except BaseException:
        survey.directory.close()
        raise


@attrs.define(eq=False)
class Survey:
    """What lies at a path, before any of its content is read."""

    directory: Directory
    """The folder, or the directory of a single file."""
    place: Path
    called: str
    """The name of the file or folder, as the user gave it."""
    name: bytes
    """A single file's name on the disk; empty for a folder."""
    entries: list[Entry]
    """With lengths as they were, and without roots; in the order of a manifest."""
    stamps: list[int]
    """When each of them was last written (st_mtime_ns)."""
    skipped: list[Skipped]
    manifest: Manifest = attrs.field(init=False)
    """Of the entries of a folder."""

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Survey:
        """Walk a folder, or look at a file. Raises StorageError."""
        with reported("read", path):
            called = Path(os.path.abspath(path)).name
            place = Path(path)
            if place.is_symlink():
                place = Path(os.path.realpath(place, strict=True))
            found = place.stat()
            if not stat.S_ISDIR(found.st_mode):
                if not stat.S_ISREG(found.st_mode):
                    raise StorageError(
                        StorageErrorKind.UNSUITABLE, shown(path), f"{shown(path)} is neither a file nor a directory"
                    )
                entry = Entry(EntryType.FILE, "", found.st_size)
                directory = Directory.open(place.parent)
                return cls(directory, place, called, os.fsencode(place.name), [entry], [found.st_mtime_ns], [])
            directory = Directory.open(place)
        survey = cls(directory, place, called, b"", [], [], [])
        try:
            survey._walk(directory.fd, "")
            survey._check()
        except BaseException:
            directory.close()
            raise
        return survey

    @property
    def length(self) -> int:
        """The object's length, if the content stays as it is: the file's, or the manifest's."""
        return self.entries[0].length if self.name else self.manifest.length

    def _walk(self, fd: int, prefix: str) -> None:
        with os.scandir(fd) as found:
            children = sorted(found, key=lambda child: child.name)  # as manifests have them
        before = len(self.entries)
        path = prefix
        try:
            for child in children:
                path = prefix + os.fsencode(child.name).decode("utf-8", "surrogateescape")
                status = child.stat(follow_symlinks=False)
                mode = status.st_mode
                if stat.S_ISREG(mode):
                    kind = EntryType.EXECUTABLE if mode & stat.S_IXUSR else EntryType.FILE
                    self._add(Entry(kind, path, status.st_size), status.st_mtime_ns)
                elif reason := _left_out(mode, child.name):
                    self.skipped.append(Skipped(path, reason))
                else:
                    self._enter(fd, child.name, path + "/")
        except OSError as error:
            raise storage_error(error, "read", self.place / path) from error
        if prefix and len(self.entries) == before:
            self._add(Entry(EntryType.EMPTY_DIRECTORY, prefix[:-1]), 0)

    def _add(self, entry: Entry, stamp: int) -> None:
        self.entries.append(entry)
        self.stamps.append(stamp)

    def _enter(self, parent: int, name: str, prefix: str) -> None:
        if prefix.count("/") > MAX_PATH_COMPONENTS:
            raise _unsayable(self.place / prefix[:-1], f"at most {MAX_PATH_COMPONENTS} components")
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            self._walk(fd, prefix)
        finally:
            os.close(fd)

    def _check(self) -> None:
        """See that a manifest can say all this, before hours of hashing."""
        try:
            self.manifest = Manifest.from_entries(self.entries)
        except ManifestError as error:
            for entry in self.entries:
                try:
                    Manifest.from_entries([entry])
                except ManifestError as alone:
                    raise _unsayable(self.place / entry.path, alone.limit) from None
            raise _unsayable(self.place, str(error)) from None

    def hash(self, progress: Progress | None = None) -> SharedFiles:
        """Read and hash everything. The directory belongs to what is returned."""
        meter = _Meter(progress, sum(entry.length for entry in self.entries))
        with BlockHasher() as hasher:
            hashed = list(self._hash_all(hasher, meter))
        trees = {file: found.tree for file, found in enumerate(hashed) if found.tree is not None}
        if self.name:
            manifest = None
            info = ObjectInfo(ObjectKind.BLOB, hashed[0].length, hashed[0].root)
        else:
            manifest = self._manifest(hashed)
            own = TreeBuilder()
            own.update(manifest.data)
            leaves = own.finish()
            info = ObjectInfo(ObjectKind.MANIFEST, leaves.length, leaves.root)
            if leaves.length > BLOCK:
                trees[MANIFEST_FILE] = Tree.from_leaves(leaves.length, leaves.hashes)
        stamps = array("q", [file.stamp for file in hashed])
        files = ObjectFiles(info, manifest, self.directory, self.place, self.name, stamps=stamps)
        return SharedFiles(files, _sayable(self.called), self.skipped, trees)

    def _manifest(self, hashed: Sequence[_Hashed]) -> Manifest:
        if all(file.length == entry.length for file, entry in zip(hashed, self.entries, strict=True)):
            return self.manifest.with_roots([file.root for file in hashed])
        return Manifest.from_entries(
            Entry(entry.type, entry.path, file.length, file.root)
            for file, entry in zip(hashed, self.entries, strict=True)
        )

    def _hash_all(self, hasher: BlockHasher, meter: _Meter) -> Iterator[_Hashed]:
        """Each entry in turn: small files many at a time, large ones one by one."""
        for small, numbers in groupby(range(len(self.entries)), lambda file: self.entries[file].length <= _SMALL):
            if not small:
                yield from (self._hash(file, hasher, meter) for file in numbers)
                continue
            batches = self._batches(numbers)
            results = hasher.each(self._hash_batch, batches, threads=len(batches) > 1)
            for batch, hashed in zip(batches, results, strict=True):
                for file, found in zip(batch, hashed, strict=True):
                    if found is None:
                        yield self._hash(file, hasher, meter)
                    else:
                        if found.length:
                            meter.add(found.length)
                        yield found

    def _batches(self, numbers: Iterable[int]) -> list[range]:
        """Neighbouring entries of one directory each, as many as are worth the way to a thread and back."""
        batches: list[range] = []
        parent, full = "", 0
        for file in numbers:
            directory = self.entries[file].path.rpartition("/")[0]
            if batches and directory == parent and len(batches[-1]) < _BATCH_FILES and full < _BATCH_BYTES:
                batches[-1] = range(batches[-1].start, file + 1)
            else:
                batches.append(range(file, file + 1))
                parent, full = directory, 0
            full += self.entries[file].length
        return batches

    def _hash_batch(self, reader: BlockReader, batch: range) -> list[_Hashed | None]:
        """Small files of one directory; None for each that is not what it was: the long way tells what is wrong."""
        parent = self.entries[batch[0]].path.rpartition("/")[0]
        try:
            directory = self.directory.directory(_name_bytes(parent)) if parent else self.directory.duplicate()
        except OSError:
            return [None] * len(batch)
        try:
            return [self._hash_small(reader, directory.fd, file) for file in batch]
        finally:
            directory.close()

    def _hash_small(self, reader: BlockReader, directory: int, file: int) -> _Hashed | None:
        entry = self.entries[file]
        if entry.type == EntryType.EMPTY_DIRECTORY:
            return _Hashed(0, NO_ROOT, None, 0)
        name = self.name or _name_bytes(entry.path.rpartition("/")[2])
        try:
            fd = os.open(name, os.O_RDONLY | FILE_FLAGS, dir_fd=directory)
            try:
                leaves = reader.hashes(fd, 0, entry.length)
                now = os.fstat(fd)
            finally:
                os.close(fd)
        except OSError:
            return None
        # It is what the survey saw, and has been all the time.
        length, stamp = now.st_size, now.st_mtime_ns
        if not stat.S_ISREG(now.st_mode) or (length, stamp) != (entry.length, self.stamps[file]):
            return None
        if len(leaves) != block_count(length):
            return None
        if len(leaves) <= 1:
            return _Hashed(length, leaves[0] if leaves else NO_ROOT, None, stamp)
        tree = Tree.from_leaves(length, b"".join(leaves))
        return _Hashed(length, tree.root, tree, stamp)

    def _hash(self, file: int, hasher: BlockHasher, meter: _Meter) -> _Hashed:
        """An entry of any size, and whatever it was when it was surveyed."""
        entry = self.entries[file]
        if entry.type == EntryType.EMPTY_DIRECTORY:
            return _Hashed(0, NO_ROOT, None, 0)
        with reported("read", self.place, entry.path):
            fd = self.directory.open_file(self.name or _name_bytes(entry.path), os.O_RDONLY)
        try:
            before = os.fstat(fd)
            length = before.st_size
            if length > MAX_LENGTH:
                raise _unsayable(self.place / entry.path, f"at most {MAX_LENGTH} bytes")
            pages: list[LeafPage] = []
            for found in hasher.pages(fd, length, self.place, entry.path):
                pages += found
                meter.add(len(found) * SUBTREE_LEAVES * BLOCK)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        unchanged = (length, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        if not unchanged or len(pages) * SUBTREE_LEAVES < block_count(length):
            raise changed_error(self.place / entry.path)
        if not length:
            return _Hashed(0, NO_ROOT, None, after.st_mtime_ns)
        tree = Tree.from_pages(length, pages)
        return _Hashed(length, tree.root, tree if tree.height else None, after.st_mtime_ns)


@attrs.define
class _Hashed:
    """What one entry turned out to be."""

    length: int
    root: bytes
    tree: Tree | None
    """Of more than one block."""
    stamp: int


class _Meter:
    """Adds up what is done and says so."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def add(self, count: int) -> None:
        self._done = min(self._done + count, self._total)
        if self._progress is not None:
            self._progress(self._done, self._total)


def _left_out(mode: int, name: str) -> str | None:
    """Why something in a folder is no part of the object, or None."""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISDIR(mode):
        return "an unfinished download" if name.startswith(AREA_PREFIX) else None
    return None if stat.S_ISREG(mode) else "neither a file nor a directory"


def _name_bytes(path: str) -> bytes:
    """A path as the file system has it, whatever the locale; paths that are not UTF-8 get as far as the check."""
    return path.encode("utf-8", "surrogateescape")


def _sayable(name: str) -> str | None:
    try:
        check_name(name)
    except UriError:
        return None
    return name


def _unsayable(path: Path, rule: str) -> StorageError:
    return StorageError(StorageErrorKind.UNSUITABLE, shown(path), f"cannot share {shown(path)}: {rule}")
