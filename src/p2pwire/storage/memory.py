"""Content in memory: for tests, simulations, and programs whose objects are small."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from p2pwire.content.manifest import Entry, Manifest
from p2pwire.content.merkle import BLOCK, Leaves, Tree, TreeBuilder, block_count, block_length
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.units import BlockMap, Layout
from p2pwire.storage.errors import StorageError, StorageErrorKind, shown
from p2pwire.storage.files import extent
from p2pwire.storage.interface import BlockWrite, Progress, ProvedBlock, ProvedRun, Skipped
from p2pwire.wire.registry import MANIFEST_FILE, EntryType, ObjectKind

if TYPE_CHECKING:
    from p2pwire.wire.messages import Buffer


@attrs.frozen
class MemoryFile:
    """A file of a folder in memory."""

    data: bytes = attrs.field(repr=False)
    executable: bool = False


@attrs.define(eq=False)
class SharedMemory:
    """A blob or folder in memory that is complete (`Shared`). Made by `share_bytes` and `share_folder`."""

    info: ObjectInfo
    manifest: Manifest | None
    name: str | None
    trees: dict[int, Tree] = attrs.field(repr=False)
    held: BlockMap = attrs.field(repr=False)
    _files: Sequence[bytes] = attrs.field(repr=False)
    skipped: Sequence[Skipped] = ()

    def read_blocks(self, file: int, first: int, count: int) -> bytes:
        """See `Content.read_blocks`."""
        whole = self.manifest.data if file == MANIFEST_FILE and self.manifest is not None else self._files[file]
        start, end = extent(len(whole), first, count)
        return bytes(whole[start:end])

    def close(self) -> None:
        """Nothing is to be given back."""


def share_bytes(data: bytes, name: str | None = None) -> SharedMemory:
    """A blob."""
    leaves = hash_bytes(data)
    info = ObjectInfo(ObjectKind.BLOB, leaves.length, leaves.root)
    trees = {0: Tree.from_leaves(leaves.length, leaves.hashes)} if leaves.length > BLOCK else {}
    return SharedMemory(info, None, name, trees, _full(block_count(leaves.length)), [data])


def share_folder(files: Mapping[str, bytes | MemoryFile | None], name: str | None = None) -> SharedMemory:
    """A folder, from path to content; None is an empty directory. Raises `ManifestError` for an impossible one."""
    contents: dict[str, bytes] = {}
    leaves: dict[str, Leaves] = {}
    entries: list[Entry] = []
    for path, file in files.items():
        if file is None:
            entries.append(Entry(EntryType.EMPTY_DIRECTORY, path))
            continue
        executable = isinstance(file, MemoryFile) and file.executable
        contents[path] = data = file.data if isinstance(file, MemoryFile) else file
        leaves[path] = found = hash_bytes(data)
        entries.append(Entry(EntryType.EXECUTABLE if executable else EntryType.FILE, path, found.length, found.root))
    manifest = Manifest.from_entries(entries)
    own = hash_bytes(manifest.data)
    trees = {MANIFEST_FILE: Tree.from_leaves(own.length, own.hashes)} if own.length > BLOCK else {}
    for index, entry in enumerate(manifest):
        if entry.length > BLOCK:
            trees[index] = Tree.from_leaves(entry.length, leaves[entry.path].hashes)
    info = ObjectInfo(ObjectKind.MANIFEST, own.length, own.root)
    by_index = [contents.get(entry.path, b"") for entry in manifest]
    return SharedMemory(info, manifest, name, trees, _full(manifest.total_blocks), by_index)


@attrs.define(eq=False)
class MemoryStorage:
    """Keeps downloads in memory; one that was closed before its end goes on when it is opened again."""

    quota: int | None = None
    """Bytes of content that one object may have; None: any number."""
    finished: dict[str, bytes | dict[str, MemoryFile | None]] = attrs.field(factory=dict, init=False, repr=False)
    """What is complete, by name: a blob's bytes, or a folder's files, with None for an empty directory."""
    _stores: dict[tuple[bytes, str], _Store] = attrs.field(factory=dict, init=False, repr=False)

    def open_download(self, info: ObjectInfo, name: str, progress: Progress | None = None) -> MemoryDownload:
        """See `Storage.open_download`. Raises StorageError: EXISTS, BUSY or OVER_QUOTA."""
        if info.fault is not None:
            raise ValueError(f"object: {info.fault}")
        store = self._stores.get((info.oid, name))
        if store is None:
            if name in self.finished:
                raise _taken(name)
            store = _Store(info)
            if info.kind == ObjectKind.BLOB:
                self.check_quota(info.length)
                store.expect(Layout.of_lengths([info.length]))
            self._stores[info.oid, name] = store
        if store.busy:
            text = f"{shown(name)} is already being received"
            raise StorageError(StorageErrorKind.BUSY, shown(name), text)
        store.busy = True
        return MemoryDownload(info, name, self, store)

    def recall(self, oid: bytes) -> ObjectInfo | None:
        """See `RecallingStorage.recall`."""
        return next((store.info for known, store in self._stores.items() if known[0] == oid), None)

    def check_quota(self, total: int) -> None:
        """Raise StorageError (OVER_QUOTA) for content of more bytes than consented to."""
        if self.quota is not None and total > self.quota:
            text = f"cannot store {total} bytes in memory: at most {self.quota} are accepted"
            raise StorageError(StorageErrorKind.OVER_QUOTA, "memory", text)

    def forget(self, info: ObjectInfo, name: str) -> None:
        """Drop the blocks of a download."""
        self._stores.pop((info.oid, name), None)


@attrs.define(eq=False)
class _Store:
    """What a download has so far."""

    info: ObjectInfo
    manifest: Manifest | None = None
    layout: Layout | None = None
    """None while the manifest is not known."""
    held: BlockMap = attrs.field(factory=lambda: BlockMap(0))
    trees: dict[int, Tree] = attrs.field(factory=dict)
    blocks: dict[int, bytes] = attrs.field(factory=dict)
    """By global number."""
    busy: bool = False
    done: bool = False

    def expect(self, layout: Layout) -> None:
        self.layout = layout
        self.held = BlockMap(layout.total_blocks)

    def file(self, file: int) -> tuple[int, bytes]:
        if self.manifest is not None:
            return self.manifest.file(file)
        if file:
            raise IndexError(f"file {file}: a blob is file 0")
        return self.info.length, self.info.root

    def content(self, file: int) -> bytes:
        """A whole file."""
        assert self.layout is not None
        first = self.layout.first_block(file)
        return b"".join(map(self.blocks.__getitem__, range(first, first + self.layout.blocks_of(file))))


class MemoryDownload:
    """One object on its way into memory (`Download`). Made by `MemoryStorage.open_download`."""

    def __init__(self, info: ObjectInfo, name: str, storage: MemoryStorage, store: _Store) -> None:
        self.info = info
        self.name = name
        self._storage = storage
        self._store = store
        self._lock = threading.Lock()
        self.held = BlockMap(store.held.total)
        for first, last in store.held.spans():
            self.held.add_span(first, last)
        self.trees = {file: Tree.load(tree.length, tree.root, tree.dump()) for file, tree in store.trees.items()}

    def __repr__(self) -> str:
        return f"<MemoryDownload of {self.name!r}>"

    @property
    def manifest(self) -> Manifest | None:
        """See `Content.manifest`."""
        return self._store.manifest

    @property
    def path(self) -> Path | None:
        """The bare name, once it is finished."""
        return Path(self.name) if self._store.done else None

    def put_manifest(self, raw: bytes, manifest: Manifest) -> None:
        """See `Download.put_manifest`."""
        with self._lock:
            if self.info.kind != ObjectKind.MANIFEST or len(raw) != self.info.length:
                raise ValueError("manifest: not one that this download waits for")
            if self._store.manifest is not None:
                return
            self._storage.check_quota(manifest.total_length)
            self._store.manifest = manifest
            self._store.expect(manifest.layout)
            if len(raw) > BLOCK:
                self._store.trees[MANIFEST_FILE] = Tree.from_leaves(len(raw), hash_bytes(raw).hashes)

    def write_runs(self, runs: Sequence[ProvedRun]) -> None:
        """See `Download.write_runs`."""
        self.write_blocks(
            [
                BlockWrite(run.file, block, data, proved)
                for run in runs
                for block, (data, proved) in enumerate(zip(run.data, run.proved, strict=True), run.block)
            ]
        )

    def write_blocks(self, blocks: Sequence[ProvedBlock]) -> None:
        """See `Download.write_blocks`."""
        with self._lock:
            store = self._store
            if store.done:
                return
            if store.layout is None or not store.busy:
                raise ValueError("blocks: there is nothing that they belong to")
            for block in blocks:
                length, root = store.file(block.file)
                if len(block.data) != block_length(length, block.block):
                    raise ValueError(
                        f"file {block.file} block {block.block}: {len(block.data)} bytes are not its length"
                    )
                if length > BLOCK:
                    tree = store.trees.get(block.file) or store.trees.setdefault(block.file, Tree(length, root))
                    tree.add(block.block, block.proved.ancestors, block.proved.siblings)
                number = store.layout.first_block(block.file) + block.block
                if store.held.add(number):
                    store.blocks[number] = bytes(block.data)

    def lose_blocks(self, blocks: Iterable[tuple[int, int]]) -> int:
        """Forget blocks (file, block) that were written, as a disk does that has lied about them; how many there were.

        For tests: what is finished is not touched, and the download is to be opened again afterwards.
        """
        store, lost = self._store, 0
        for file, block in blocks:
            if store.layout is not None and not store.done:
                number = store.layout.first_block(file) + block
                lost += store.held.remove_span(number, number)
                store.blocks.pop(number, None)
        return lost

    def read_blocks(self, file: int, first: int, count: int) -> bytes:
        """See `Content.read_blocks`."""
        store = self._store
        if file == MANIFEST_FILE and store.manifest is not None:
            start, end = extent(self.info.length, first, count)
            return bytes(store.manifest.data[start:end])
        if store.layout is None:
            raise ValueError("blocks: nothing is stored")
        extent(store.file(file)[0], first, count)
        number = store.layout.first_block(file) + first
        return b"".join(map(store.blocks.__getitem__, range(number, number + count)))

    def finish(self) -> Path:
        """See `Download.finish`; the path is the bare name."""
        with self._lock:
            if self.path is None:
                if self._store.layout is None or not self._store.held.complete:
                    raise ValueError(f"not complete: {self._store.held.total - self._store.held.count} blocks missing")
                if self.name in self._storage.finished:
                    raise _taken(self.name)
                self._storage.finished[self.name] = self._content()
                self._store.done = True
            return Path(self.name)

    def _content(self) -> bytes | dict[str, MemoryFile | None]:
        if self._store.manifest is None:
            return self._store.content(0)
        return {
            entry.path: None
            if entry.type == EntryType.EMPTY_DIRECTORY
            else MemoryFile(self._store.content(file), entry.type == EntryType.EXECUTABLE)
            for file, entry in enumerate(self._store.manifest)
        }

    def discard(self) -> None:
        """See `Download.discard`."""
        if self.path is None:
            self._storage.forget(self.info, self.name)
        self.close()

    def close(self) -> None:
        """See `Content.close`."""
        self._store.busy = False


def _taken(name: str) -> StorageError:
    return StorageError(StorageErrorKind.EXISTS, shown(name), f"{shown(name)} exists and is not the same content")


def hash_bytes(data: Buffer) -> Leaves:
    """What a file in memory hashes to."""
    builder = TreeBuilder()
    builder.update(data)
    return builder.finish()


def _full(total: int) -> BlockMap:
    blocks = BlockMap(total)
    if total:
        blocks.add_span(0, total - 1)
    return blocks
