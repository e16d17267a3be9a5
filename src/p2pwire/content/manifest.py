"""Manifests: the list of files that makes a folder one object.

It is a header and then entry after entry, as the schema of the wire has them; here are the rules between entries.
There is exactly one manifest for a folder: entries are ordered by their path components, as bytes, each path is there
once, and nothing lies below an entry. This order is also that of a BitTorrent v2 (BEP 52) file tree. Paths can not lead
out of the folder; rules that depend on the local file system are left to whoever writes files.

A manifest stays in the bytes in which it came, with the place of each entry beside it: 12 bytes an entry.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

import attrs

from p2pwire.content.hashing import HASH, NO_ROOT, block_count
from p2pwire.content.units import Layout
from p2pwire.wire.messages import Buffer, DecodeError, EncodeError, ManifestEntry, ManifestHeader, TruncatedError
from p2pwire.wire.registry import (
    MAX_BLOCKS,
    MAX_LENGTH,
    MAX_MANIFEST_LENGTH,
    MIN_MANIFEST_LENGTH,
    EntryType,
)


class ManifestError(ValueError):
    """A manifest that breaks a rule. The text shows control characters escaped."""

    def __init__(self, field: str, value: object, limit: str, offset: int) -> None:
        shown = repr(value)
        super().__init__(f"{field} at byte {offset} is {shown if len(shown) <= 80 else shown[:77] + '...'}: {limit}")
        self.field = field
        """What is wrong: "magic", "count", "entry 3 path" and the like; entries count from 0, in the order of paths."""
        self.value = value
        self.limit = limit
        """The rule that is broken."""
        self.offset = offset
        """Bytes from the start of the manifest to what is wrong."""


@attrs.frozen
class Entry:
    """A file, or a directory in which there is nothing."""

    type: EntryType
    path: str
    """Relative to the folder, with "/" between components."""
    length: int = 0
    """Bytes of the file."""
    root: bytes = NO_ROOT
    """Root of its tree, 32 bytes; `NO_ROOT` if there is no content."""


class Manifest:
    """A valid manifest; a sequence of entries, each under its file index, and the layout of their blocks."""

    __slots__ = ("_offsets", "data", "layout")

    def __init__(self, data: memoryview, offsets: array[int], layout: Layout) -> None:
        """Of bytes that `ManifestReader` checked, and what it found. See `decode` and `from_entries`."""
        self.data = data
        """The bytes of the manifest, which is itself an object and served to others."""
        self.layout = layout
        """Where the files' blocks lie in the row of all blocks."""
        self._offsets = offsets

    @classmethod
    def decode(cls, data: Buffer) -> Manifest:
        """The manifest in these bytes, exactly. Raises `ManifestError`."""
        reader = ManifestReader()
        reader.feed(data)
        return reader.finish()

    @classmethod
    def from_entries(cls, entries: Iterable[Entry]) -> Manifest:
        """The manifest of these entries, in whatever order they come. Raises `ManifestError`."""
        rows = sorted(entries, key=lambda entry: _sort_key(entry.path))
        return cls.decode(_encode(rows))  # what is written is held to the rules for what is read

    def with_roots(self, roots: Sequence[bytes]) -> Manifest:
        """The manifest of the same entries with these roots, one for each; `NO_ROOT` where there is no content.

        Raises `ValueError` for other roots than that, or more or fewer of them.
        """
        data = bytearray(self.data)
        ends = (*self._offsets, len(data))[1:]
        for index, (root, end) in enumerate(zip(roots, ends, strict=True)):
            if len(root) != HASH or (root == NO_ROOT) is (self.layout.blocks_of(index) > 0):
                raise ValueError(f"root {index}: {root.hex()} for {self.layout.blocks_of(index)} blocks")
            if root != NO_ROOT:
                data[end - HASH : end] = root
        return Manifest(memoryview(data).toreadonly(), self._offsets, self.layout)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> Entry:
        """The entry of a file index. Raises `IndexError` outside 0 to `len - 1`."""
        entry = self._entry(index)
        return Entry(EntryType(entry.type), entry.path, entry.length, entry.root)

    def __iter__(self) -> Iterator[Entry]:
        return map(self.__getitem__, range(len(self)))

    def __repr__(self) -> str:
        return f"<Manifest of {len(self)} entries, {self.total_blocks} blocks>"

    @property
    def length(self) -> int:
        """Bytes of the manifest itself."""
        return len(self.data)

    @property
    def total_blocks(self) -> int:
        """T, the blocks of all files."""
        return self.layout.total_blocks

    @property
    def total_length(self) -> int:
        """Bytes of all files."""
        return sum(self.file(index)[0] for index in range(len(self)))

    def file(self, index: int) -> tuple[int, bytes]:
        """Length and root of a file; (0, `NO_ROOT`) for what has no content. Raises `IndexError` if there is none."""
        entry = self._entry(index)
        return entry.length, entry.root

    def first_block(self, index: int) -> int:
        """The global number of a file's first block. Raises `IndexError`."""
        return self.layout.first_block(index)

    def locate(self, block: int) -> tuple[int, int]:
        """A global block as (file, block in the file). Raises `IndexError`."""
        return self.layout.locate(block)

    def _entry(self, index: int) -> ManifestEntry:
        if not 0 <= index < len(self):
            raise IndexError(f"file {index}: there are {len(self)}")
        return ManifestEntry.read(self.data, self._offsets[index])[0]


class ManifestReader:
    """Reads a manifest that comes in pieces of any size; raises at the first entry that breaks a rule.

    It keeps the bytes that came and 12 bytes an entry. After an error it can do nothing but raise it again.
    """

    __slots__ = ("_at", "_bytes", "_count", "_data", "_error", "_firsts", "_offsets", "_previous")

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0  # the first byte that is not read
        self._count: int | None = None
        self._bytes = 0  # of all files
        self._previous = b""  # the sort key of the entry before
        self._offsets = array("I")
        self._firsts = array("Q", [0])
        self._error: ManifestError | None = None

    @property
    def length(self) -> int:
        """Bytes that came so far."""
        return len(self._data)

    def feed(self, data: Buffer) -> None:
        """Take the next bytes. Raises `ManifestError`."""
        if self._error is None:
            try:
                self._check_size(len(self._data) + len(data))
                self._data += data
                self._read()
            except ManifestError as error:
                self._error = error
        if self._error is not None:
            raise self._error

    def finish(self) -> Manifest:
        """The manifest. Raises `ManifestError` if it is not complete; the reader is used up."""
        self.feed(b"")
        if self._count is None or len(self._offsets) < self._count:
            missing = "the header" if self._count is None else f"{self._count - len(self._offsets)} entries"
            raise ManifestError("length", len(self._data), f"ends before {missing} came", self._at)
        return Manifest(memoryview(self._data).toreadonly(), self._offsets, Layout(self._firsts))

    def _check_size(self, size: int) -> None:
        if size > MAX_MANIFEST_LENGTH:
            raise ManifestError("length", size, f"at most {MAX_MANIFEST_LENGTH} bytes", MAX_MANIFEST_LENGTH)

    def _read(self) -> None:
        if self._count is None:
            self._read_header()
        if self._count is not None:
            self._read_entries(self._count)

    def _read_header(self) -> None:
        if len(self._data) < MIN_MANIFEST_LENGTH:
            return
        try:
            self._count = ManifestHeader.decode(self._data[:MIN_MANIFEST_LENGTH]).count
        except DecodeError as error:
            raise ManifestError(error.field, error.value, f"must be {error.limit}", error.offset) from None
        self._at = MIN_MANIFEST_LENGTH

    def _read_entries(self, count: int) -> None:
        data = self._data
        while len(self._offsets) < count:
            try:
                entry, end = ManifestEntry.read(data, self._at)
            except TruncatedError:
                return
            except DecodeError as error:
                self._refuse(error.field, error.value, f"must be {error.limit}", error.offset)
            self._check_order(entry.path)
            self._check_sums(entry.length)
            self._offsets.append(self._at)
            self._at = end
        if self._at < len(data):
            rest = bytes(data[self._at : self._at + 16])
            raise ManifestError("end", rest, "nothing may follow the last entry", self._at)

    def _check_order(self, path: str) -> None:
        key = _sort_key(path)
        previous = self._previous
        if key <= previous:
            self._refuse("path", path, "is there twice" if key == previous else "must come after the path before it")
        # Whatever lies below a path follows it at once: 00 sorts before all that a name may hold.
        if previous and key.startswith(previous) and key[len(previous)] == 0:
            self._refuse("path", path, "lies below the entry before it")
        self._previous = key

    def _check_sums(self, length: int) -> None:
        self._bytes += length
        blocks = self._firsts[-1] + block_count(length)
        if self._bytes > MAX_LENGTH:
            self._refuse("length", length, f"makes {self._bytes} bytes with all before, at most {MAX_LENGTH}")
        if blocks > MAX_BLOCKS:
            self._refuse("length", length, f"makes {blocks} blocks with all before, at most {MAX_BLOCKS}")
        self._firsts.append(blocks)

    def _refuse(self, field: str, value: object, limit: str, offset: int | None = None) -> NoReturn:
        """Raise for the entry that is being read."""
        raise ManifestError(
            f"entry {len(self._offsets)} {field}", value, limit, self._at if offset is None else offset
        ) from None


def encode_manifest(entries: Iterable[Entry]) -> bytes:
    """The bytes of the manifest of these entries, in whatever order they come. Raises `ManifestError`."""
    return bytes(Manifest.from_entries(entries).data)


def _encode(entries: Sequence[Entry]) -> bytearray:
    """The bytes of a manifest with these entries, in this order; says no only to what can not be written."""
    data = bytearray()
    field = ""
    try:
        data += ManifestHeader(len(entries)).encode()
        for index, entry in enumerate(entries):
            field = f"entry {index} "
            data += ManifestEntry(entry.type, entry.path, entry.length, entry.root).encode()
    except EncodeError as error:
        raise ManifestError(field + error.field, error.value, f"must be {error.limit}", len(data)) from None
    return data


def _sort_key(path: str) -> bytes:
    # A name that a file system gave in another encoding holds lone surrogates: it sorts somewhere and is refused later.
    return path.encode("utf-8", "surrogatepass").replace(b"/", b"\0")
