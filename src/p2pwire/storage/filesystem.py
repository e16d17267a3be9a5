"""Downloads into a directory of the file system.

What arrives is kept in a partial area beside its final name (`p2pwire.storage.area`), with a state file that lets
another process go on (`p2pwire.storage.journal`). Content that was read back is believed once it was hashed again.
"""

from __future__ import annotations

import operator
import os
import stat
import threading
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from p2pwire.content.manifest import Manifest, ManifestError
from p2pwire.content.merkle import BLOCK, Proved, Tree, TreeBuilder, block_length
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.units import BlockMap
from p2pwire.storage.area import CONTENT, MANIFEST, STATE, Area, area_name, mend, mend_tree, object_in, settle
from p2pwire.storage.directory import Directory
from p2pwire.storage.errors import StorageError, StorageErrorKind, reported, shown
from p2pwire.storage.files import ObjectFiles, changed_error
from p2pwire.storage.interface import Progress, ProvedBlock, ProvedRun, RunWrite
from p2pwire.storage.journal import Journal, write_claims
from p2pwire.storage.names import NameRules, check_final_name, check_paths, local_names
from p2pwire.storage.restore import collect, held_bytes, restore
from p2pwire.storage.scan import Survey
from p2pwire.wire.keys import encode_name
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import MANIFEST_FILE, EntryType, ObjectKind


@attrs.frozen
class FileSystemStorage:
    """Puts downloads into `directory`, which is made if it is missing."""

    directory: Path = attrs.field(converter=Path)
    quota: int | None = None
    """Bytes of content that one object may have; None: as many as fit on the disk."""
    names: NameRules = attrs.field(factory=local_names)
    """What the file system does to names."""

    def open_download(self, info: ObjectInfo, name: str, progress: Progress | None = None) -> FileSystemDownload:
        """See `Storage.open_download`. What is already there under the name is hashed: equal content is finished.

        Raises StorageError: EXISTS if something else has the name, BUSY if the object is already being received here,
        NAME, OVER_QUOTA, NO_SPACE; ValueError for an object that cannot exist.
        """
        if info.fault is not None:
            raise ValueError(f"object: {info.fault}")
        check_final_name(name, self.names)
        with reported("create", self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            destination = Directory.open(self.directory)
        download = FileSystemDownload(info, name, self, destination)
        try:
            download.open(progress)
        except BaseException:
            download.close()
            raise
        return download

    def recall(self, oid: bytes) -> ObjectInfo | None:
        """See `RecallingStorage.recall`. What cannot be read tells nothing: `open_download` says what is wrong."""
        try:
            destination = Directory.open(self.directory)
        except (OSError, StorageError):
            return None
        try:
            area = destination.directory(os.fsencode(self.area(oid).name))
            try:
                return object_in(area, oid)
            finally:
                area.close()
        except OSError:
            return None
        finally:
            destination.close()

    def area(self, oid: bytes) -> Path:
        """Where the unfinished content of an object is kept."""
        return self.directory / area_name(encode_name(oid))

    def check_room(self, total: int, missing: int) -> None:
        """Raise StorageError if there is no room here for `total` bytes of content, of which `missing` are to come."""
        place = shown(self.directory)
        if self.quota is not None and total > self.quota:
            text = f"cannot store {total} bytes in {place}: at most {self.quota} are accepted"
            raise StorageError(StorageErrorKind.OVER_QUOTA, place, text)
        with reported("examine", self.directory):
            disk = os.statvfs(self.directory)
        free = disk.f_bavail * disk.f_frsize
        if disk.f_blocks and missing > free:  # some file systems do not know their size
            text = f"cannot store {missing} more bytes in {place}: {free} are free"
            raise StorageError(StorageErrorKind.NO_SPACE, place, text)


@attrs.define(eq=False)
class FileSystemDownload:
    """One object on its way into a directory (`Download`). Made by `FileSystemStorage.open_download`."""

    info: ObjectInfo
    name: str
    _storage: FileSystemStorage = attrs.field(repr=False)
    _destination: Directory = attrs.field(repr=False)
    manifest: Manifest | None = attrs.field(default=None, init=False)
    held: BlockMap = attrs.field(factory=lambda: BlockMap(0), init=False, repr=False)
    trees: dict[int, Tree] = attrs.field(factory=dict, init=False, repr=False)
    path: Path | None = attrs.field(default=None, init=False)
    _area: Area | None = attrs.field(default=None, init=False, repr=False)
    _journal: Journal | None = attrs.field(default=None, init=False, repr=False)
    _files: ObjectFiles | None = attrs.field(default=None, init=False, repr=False)
    _stored: BlockMap = attrs.field(factory=lambda: BlockMap(0), init=False, repr=False)
    _began_empty: bool = attrs.field(default=False, init=False, repr=False)
    """Whether it is certain that an earlier attempt left nothing."""
    _in_memory: bool = attrs.field(default=False, init=False, repr=False)
    """Whether it is known that nothing here waits for a disk."""
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    @property
    def place(self) -> Path:
        """Where the object is going to be."""
        return self._storage.directory / os.fsdecode(self.name.encode())  # UTF-8 on the disk, whatever the locale

    # --- Opening ---

    def open(self, progress: Progress | None) -> None:
        """Find out what is there. Called once, by the storage."""
        if self._take_finished(progress):
            return
        if self.info.kind == ObjectKind.BLOB:
            self._storage.check_room(self.info.length, 0)
        self._area = Area.open(self._destination, self._storage.area(self.info.oid))
        if self._take_finished(progress):  # by another process, before we got the lock
            return
        self._area.write_object(self.info)
        with reported("open", self._area.place):
            self._journal = Journal.open(self._area.directory, STATE, self.info.oid)
        if self.info.kind == ObjectKind.BLOB:
            with reported("create", self._area.content):
                mend(self._area.directory, CONTENT, EntryType.FILE, self.info.length)
            self._files = ObjectFiles(
                self.info, None, self._area.directory.duplicate(), self._area.content, CONTENT, os.O_RDWR
            )
        else:
            self._restore_manifest(self._area)
        self._restore_blocks(self._journal, progress)

    def _take_finished(self, progress: Progress | None) -> bool:
        """Whether the object is there under its name; raises StorageError (EXISTS) if something else is."""
        with reported("examine", self.place):
            found = self._destination.stat(self.name.encode())
        if found is None:
            return False
        blob = self.info.kind == ObjectKind.BLOB
        if not (stat.S_ISREG if blob else stat.S_ISDIR)(found.st_mode):
            raise self._taken()
        try:
            survey = Survey.of(self.place)
        except StorageError as error:
            if error.kind == StorageErrorKind.UNSUITABLE:
                raise self._taken() from error
            raise
        try:
            if survey.length != self.info.length:
                raise self._taken()
            shared = survey.hash(progress)
            if shared.info != self.info:
                raise self._taken()
        except BaseException:
            survey.directory.close()
            raise
        self._files, self.manifest = shared.files, shared.manifest
        self.held, self.trees, self.path = shared.held, shared.trees, self.place
        with suppress(StorageError, OSError):  # what a process left that died after its last step but one
            self._remove_area()
        return True

    def _taken(self) -> StorageError:
        place = shown(self.place)
        return StorageError(StorageErrorKind.EXISTS, place, f"{place} exists and is not the same content")

    def _restore_manifest(self, area: Area) -> None:
        raw = area.read(MANIFEST)
        tree = _manifest_tree(raw, self.info) if raw is not None else None
        if raw is None or tree is None:
            return
        with suppress(ManifestError):
            self._use_manifest(area, Manifest.decode(raw))
            if tree.height:
                self.trees[MANIFEST_FILE] = tree

    def _use_manifest(self, area: Area, manifest: Manifest) -> None:
        content = area.open_content()
        if content is None:
            content = area.make_content(manifest)
        else:
            mend_tree(content, area.content, manifest)
        self.manifest = manifest
        self._files = ObjectFiles(self.info, manifest, content, area.content, flags=os.O_RDWR)

    def _restore_blocks(self, journal: Journal, progress: Progress | None) -> None:
        if self._files is None:
            self._began_empty = True
            return
        with reported("read", self._storage.area(self.info.oid) / os.fsdecode(STATE)):
            claimed = collect(self._files, journal.read())
        self._began_empty = not claimed.blocks.count
        self._stored, trees = restore(self._files, claimed, progress)
        self.trees |= trees
        self.held = _copy(self._stored)
        total = self.info.length if self.manifest is None else self.manifest.total_length
        self._storage.check_room(total, total - held_bytes(self._files, self._stored))

    # --- Storing ---

    def put_manifest(self, raw: bytes, manifest: Manifest) -> None:
        """See `Download.put_manifest`."""
        with self._lock:
            if self._area is None or self.info.kind != ObjectKind.MANIFEST or len(raw) != self.info.length:
                raise ValueError("manifest: not one that this download waits for")
            if self.manifest is not None:
                return
            total = manifest.total_length
            self._storage.check_room(total, total)
            check_paths((entry.path for entry in manifest), self._storage.names)
            self._area.write_manifest(raw)
            self._files = ObjectFiles(
                self.info, manifest, self._area.make_content(manifest), self._area.content, flags=os.O_RDWR
            )
            self.manifest = manifest
            self._stored = BlockMap(manifest.total_blocks)

    def write_blocks(self, blocks: Sequence[ProvedBlock]) -> None:
        """See `Download.write_blocks`."""
        self.write_runs([RunWrite(block.file, block.block, (block.data,), (block.proved,)) for block in blocks])

    def write_runs(self, runs: Sequence[ProvedRun]) -> None:
        """See `Download.write_runs`."""
        with self._lock:
            self._write(runs)

    def write_at_once(self, runs: Sequence[ProvedRun]) -> bool:
        """See `PromptDownload.write_at_once`: where the files lie in memory."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if not self._in_memory:
                # One that is open tells for all, which lie in one area with the state file.
                files = self._files
                self._in_memory = files is not None and any(files.in_memory(run.file) for run in runs)
            if not self._in_memory:
                return False
            self._write(runs)
        except StorageError:
            return False
        finally:
            self._lock.release()
        return True

    def _write(self, runs: Sequence[ProvedRun]) -> None:
        """Write what is new, and then claim it. The lock is held."""
        files, area, journal = self._files, self._area, self._journal
        if self.path is not None:  # nothing can be new
            return
        if files is None or area is None or journal is None:
            raise ValueError("blocks: there is nothing that they belong to")
        written: list[_Run] = []
        try:
            for run in self._new_runs(files, runs):
                files.write(run.file, run.block, run.data)
                written.append(run)
        finally:
            # The claims follow the content, so that a death in between costs a block and never a lie.
            with reported("write", area.place, os.fsdecode(STATE)):
                for record in write_claims(written):
                    journal.append(record)
            for run in written:
                self._stored.add_span(run.number, run.number + len(run.data) - 1)

    def _new_runs(self, files: ObjectFiles, runs: Iterable[ProvedRun]) -> list[_Run]:
        """The blocks that are not stored yet, in long runs. ValueError or IndexError if no file has one."""
        found: list[_Run] = []
        file = -1
        length = first = following = 0
        for run in sorted(runs, key=_file_and_block):
            if run.file != file:
                file, following = run.file, 0
                length, first = files.file(file)[0], files.layout.first_block(file)
            number, end = run.block, run.block + len(run.data)
            _check_lengths(run, length)
            start = max(number, following)
            parts = [(start, end)] if start < end else []
            if parts and self._stored.holds_any(first + start, first + end - 1):
                parts = [(at, at + 1) for at in range(start, end) if first + at not in self._stored]
            for low, high in parts:
                data, proved = run.data[low - number : high - number], run.proved[low - number : high - number]
                if found and found[-1].file == file and found[-1].block + len(found[-1].data) == low:
                    found[-1].data.extend(data)
                    found[-1].proved.extend(proved)
                else:
                    found.append(_Run(file, low, first + low, list(data), list(proved)))
            following = max(following, end)
        return found

    def read_blocks(self, file: int, first: int, count: int) -> bytes:
        """See `Content.read_blocks`."""
        if self._files is None:
            raise ValueError("blocks: nothing is stored")
        return self._files.read(file, first, count)

    def read_cached(self, file: int, first: int, count: int) -> Buffer | None:
        """See `CachedContent.read_cached`."""
        return None if self._files is None else self._files.read_cached(file, first, count)

    # --- Ending ---

    def finish(self) -> Path:
        """See `Download.finish`."""
        with self._lock:
            if self.path is not None:
                return self.path
            files, area = self._files, self._area
            if files is None or area is None or not self._stored.complete:
                missing = "the manifest" if files is None else f"{self._stored.total - self._stored.count} blocks"
                raise ValueError(f"not complete: {missing} missing")
            if self.manifest is None:
                files.stamps = _settle_blob(files)
            else:
                files.stamps = settle(files.directory, files.place, self.manifest)
            area.publish(self.name)
            # What is open stays open: a directory and a blob's file are the same under the new name.
            files.place, files.flags = self.place, os.O_RDONLY
            self.path = self.place
            with suppress(StorageError, OSError):  # it is done, whatever becomes of the remains
                self._remove_area()
        return self.place

    def discard(self) -> None:
        """See `Download.discard`."""
        with self._lock:
            if self.path is None and self._area is not None:
                if self._files is not None:
                    self._files.close()
                self._remove_area()
        self.close()

    def close(self) -> None:
        """See `Content.close`. An area in which nothing was stored is removed."""
        with self._lock:
            if self._files is not None:
                self._files.close()
            if self._area is not None:
                if self._began_empty and self.path is None and self.manifest is None and not self._stored.count:
                    with suppress(StorageError, OSError):
                        self._remove_area()
                else:
                    self._area.close()
                self._area = None
            if self._journal is not None:
                self._journal.close()
            self._destination.close()

    def _remove_area(self) -> None:
        """Remove the area, if there is one that nobody else uses."""
        place = self._storage.area(self.info.oid)
        area, self._area = self._area, None
        if area is None:
            if self._destination.stat(os.fsencode(place.name)) is None:
                return
            area = Area.open(self._destination, place)
        try:
            area.remove()
        finally:
            area.close()


@attrs.frozen
class _Run:
    """Neighbouring blocks that are written at once."""

    file: int
    block: int
    """The first."""
    number: int
    """The same, counted over all files."""
    data: list[Buffer]
    proved: list[Proved]


def _check_lengths(run: ProvedRun, length: int) -> None:
    """Raise ValueError or IndexError for blocks that a file of this length has not."""
    last = run.block + len(run.data) - 1
    block_length(length, run.block)
    short = block_length(length, last)
    sizes = list(map(len, run.data))
    due = ([BLOCK] * (len(sizes) - 1) + [short])[: len(sizes)]
    if sizes != due:
        wrong = list(map(operator.eq, sizes, due)).index(False)
        raise ValueError(f"file {run.file} block {run.block + wrong}: {sizes[wrong]} bytes are not its length")


_file_and_block: Final = operator.attrgetter("file", "block")


def _settle_blob(files: ObjectFiles) -> array[int]:
    # The file is opened here, if it was not, and stays open.
    with files.use(0) as fd, reported("write", files.place):
        os.fsync(fd)
        found = os.fstat(fd)
    if found.st_size != files.info.length:
        raise changed_error(files.place)
    return array("q", [found.st_mtime_ns])


def _manifest_tree(raw: bytes, info: ObjectInfo) -> Tree | None:
    """The tree of a manifest's bytes, if they are the object's."""
    if len(raw) != info.length:
        return None
    builder = TreeBuilder()
    builder.update(raw)
    tree = Tree.from_leaves(info.length, builder.finish().hashes)
    return tree if tree.root == info.root else None


def _copy(blocks: BlockMap) -> BlockMap:
    copy = BlockMap(blocks.total)
    for first, last in blocks.spans():
        copy.add_span(first, last)
    return copy
