"""Sharing: a file or folder as it lies on the disk becomes an object.

A folder is walked without following links. What is neither a file nor a directory (links, sockets, devices), and the
areas of unfinished downloads, is left out and listed; what is content but cannot be said in a manifest, or read, is an
error that names it, so that nobody shares less than they think. A directory in which nothing is left counts as empty.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Sequence
from pathlib import Path

import attrs

from p2pwire.content.manifest import Entry, Manifest, ManifestError
from p2pwire.content.merkle import BLOCK, HASH, NO_ROOT, Tree, TreeBuilder, block_count
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.units import BlockMap
from p2pwire.content.uri import UriError, check_name
from p2pwire.storage.directory import Directory
from p2pwire.storage.errors import StorageError, StorageErrorKind, reported, shown
from p2pwire.storage.files import ObjectFiles, changed_error
from p2pwire.storage.hashing import BlockHasher, runs
from p2pwire.storage.interface import Progress, Skipped
from p2pwire.storage.names import AREA_PREFIX
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import MANIFEST_FILE, MAX_LENGTH, MAX_PATH_COMPONENTS, EntryType, ObjectKind


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
    """With lengths as they were, and without roots."""
    skipped: list[Skipped]

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
                return cls(Directory.open(place.parent), place, called, os.fsencode(place.name), [entry], [])
            directory = Directory.open(place)
        survey = cls(directory, place, called, b"", [], [])
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
        return self.entries[0].length if self.name else Manifest.from_entries(self.entries).length

    def _walk(self, fd: int, prefix: str) -> None:
        with os.scandir(fd) as found:
            children = sorted(found, key=lambda child: child.name)
        before = len(self.entries)
        for child in children:
            path = prefix + os.fsencode(child.name).decode("utf-8", "surrogateescape")
            with reported("read", self.place, path):
                status = child.stat(follow_symlinks=False)
                if reason := _left_out(status.st_mode, child.name):
                    self.skipped.append(Skipped(path, reason))
                elif stat.S_ISDIR(status.st_mode):
                    self._enter(fd, child.name, path + "/")
                else:
                    kind = EntryType.EXECUTABLE if status.st_mode & stat.S_IXUSR else EntryType.FILE
                    self.entries.append(Entry(kind, path, status.st_size))
        if prefix and len(self.entries) == before:
            self.entries.append(Entry(EntryType.EMPTY_DIRECTORY, prefix[:-1]))

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
            Manifest.from_entries(self.entries)
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
            hashed = [self._hash(entry, hasher, meter) for entry in self.entries]
        if self.name:
            manifest = None
            info = ObjectInfo(ObjectKind.BLOB, hashed[0].entry.length, hashed[0].entry.root)
            trees = {0: hashed[0].tree}
        else:
            manifest = Manifest.from_entries(file.entry for file in hashed)
            own = TreeBuilder()
            own.update(manifest.data)
            leaves = own.finish()
            info = ObjectInfo(ObjectKind.MANIFEST, leaves.length, leaves.root)
            by_path = {file.entry.path: file for file in hashed}
            hashed = [by_path[entry.path] for entry in manifest]
            trees = {file: found.tree for file, found in enumerate(hashed)}
            trees[MANIFEST_FILE] = Tree.from_leaves(leaves.length, leaves.hashes)
        stamps = array("q", [file.stamp for file in hashed])
        files = ObjectFiles(info, manifest, self.directory, self.place, self.name, stamps=stamps)
        known = {file: tree for file, tree in trees.items() if tree is not None and tree.height}
        return SharedFiles(files, _sayable(self.called), self.skipped, known)

    def _hash(self, entry: Entry, hasher: BlockHasher, meter: _Meter) -> _Hashed:
        if entry.type == EntryType.EMPTY_DIRECTORY:
            return _Hashed(entry, None, 0)
        with reported("read", self.place, entry.path):
            fd = self.directory.open_file(self.name or _name_bytes(entry.path), os.O_RDONLY)
        try:
            before = os.fstat(fd)
            length = before.st_size
            if length > MAX_LENGTH:
                raise _unsayable(self.place / entry.path, f"at most {MAX_LENGTH} bytes")
            blocks = block_count(length)
            leaves = bytearray()
            for _, hashes in hasher.hashes(fd, length, runs(0, blocks), blocks, self.place, entry.path):
                leaves += b"".join(hashes)
                meter.add(len(hashes) * BLOCK)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        if (length, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(leaves) != blocks * HASH:
            raise changed_error(self.place / entry.path)
        tree = Tree.from_leaves(length, leaves) if blocks > 1 else None
        root = tree.root if tree is not None else bytes(leaves) or NO_ROOT
        return _Hashed(Entry(entry.type, entry.path, length, root), tree, after.st_mtime_ns)


@attrs.frozen
class _Hashed:
    entry: Entry
    tree: Tree | None
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
