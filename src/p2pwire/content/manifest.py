"""Manifests: the list of files that makes a folder one object.

    manifest = "P2PM" 01 | count u32 | entry*
    entry    = type u8 | path length u16 | path | [length u64 | root[32] if length > 0]     (type 2 has no length)

There is exactly one manifest for a folder: entries are ordered by their path components, as bytes, and whatever could
be said in two ways is invalid. This order is also that of a BitTorrent v2 (BEP 52) file tree. Paths can not lead out of
the folder; rules that depend on the local file system are left to whoever writes files.

A manifest stays in the bytes in which it came, with the place of each entry beside it: 12 bytes an entry.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import attrs

from p2pwire.content.hashing import BLOCK, HASH, NO_ROOT
from p2pwire.content.units import Layout
from p2pwire.wire.registry import (
    MANIFEST_MAGIC,
    MAX_BLOCKS,
    MAX_LENGTH,
    MAX_MANIFEST_ENTRIES,
    MAX_MANIFEST_LENGTH,
    MAX_PATH,
    MAX_PATH_COMPONENT,
    MAX_PATH_COMPONENTS,
    MIN_MANIFEST_LENGTH,
    EntryType,
)

if TYPE_CHECKING:
    from p2pwire.wire.messages import Buffer

_COUNT: Final = struct.Struct(">I")
_ENTRY: Final = struct.Struct(">BH")
_LENGTH: Final = struct.Struct(">Q")

_COMPONENT: Final = rb"(?!\.\.?(?:/|\Z))[^\x00-\x1f\x7f\\/]{1,%d}" % MAX_PATH_COMPONENT
_PATH: Final = re.compile(rb"%b(?:/%b){0,%d}" % (_COMPONENT, _COMPONENT, MAX_PATH_COMPONENTS - 1))
_FORBIDDEN: Final = re.compile(rb"[\x00-\x1f\x7f\\]")


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
        """Bytes from the start of the manifest to the header or entry that is wrong."""


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
        rows = sorted(((_sort_key(entry), entry) for entry in entries), key=lambda row: row[0])
        reader = ManifestReader()  # what is written is held to the rules for what is read
        reader.feed(MANIFEST_MAGIC + _COUNT.pack(min(len(rows), 2**32 - 1)))
        for index, (_, entry) in enumerate(rows):
            reader.feed(_encode_entry(entry, index, reader.length))
        return reader.finish()

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> Entry:
        """The entry of a file index. Raises `IndexError` outside 0 to `len - 1`."""
        kind, path, length, root = self._parts(index)
        return Entry(EntryType(kind), str(path, "utf-8"), length, root)

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
        _, _, length, root = self._parts(index)
        return length, root

    def first_block(self, index: int) -> int:
        """The global number of a file's first block. Raises `IndexError`."""
        return self.layout.first_block(index)

    def locate(self, block: int) -> tuple[int, int]:
        """A global block as (file, block in the file). Raises `IndexError`."""
        return self.layout.locate(block)

    def _parts(self, index: int) -> tuple[int, memoryview, int, bytes]:
        if index < 0:
            raise IndexError(f"file {index}: there are {len(self)}")
        at = self._offsets[index]
        kind, size = _ENTRY.unpack_from(self.data, at)
        start = at + _ENTRY.size
        end = start + size
        length = 0 if kind == EntryType.EMPTY_DIRECTORY else _LENGTH.unpack_from(self.data, end)[0]
        root = bytes(self.data[end + _LENGTH.size : end + _LENGTH.size + HASH]) if length else NO_ROOT
        return kind, self.data[start:end], length, root


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
        self._previous = bytearray()  # the sort key of the entry before
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
            self._data += data
            try:
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

    def _read(self) -> None:
        if len(self._data) > MAX_MANIFEST_LENGTH:
            raise ManifestError("length", len(self._data), f"at most {MAX_MANIFEST_LENGTH} bytes", MAX_MANIFEST_LENGTH)
        if self._count is None:
            self._read_header()
        if self._count is not None:
            self._read_entries(self._count)

    def _read_header(self) -> None:
        magic = bytes(self._data[: len(MANIFEST_MAGIC)])
        if not MANIFEST_MAGIC.startswith(magic):
            raise ManifestError("magic", magic, f"must be {MANIFEST_MAGIC!r}", 0)
        if len(self._data) < MIN_MANIFEST_LENGTH:
            return
        (count,) = _COUNT.unpack_from(self._data, len(MANIFEST_MAGIC))
        if count > MAX_MANIFEST_ENTRIES:
            raise ManifestError("count", count, f"at most {MAX_MANIFEST_ENTRIES} entries", len(MANIFEST_MAGIC))
        self._count = count
        self._at = MIN_MANIFEST_LENGTH

    def _read_entries(self, count: int) -> None:
        data, at = self._data, self._at
        end = len(data)
        for index in range(len(self._offsets), count):
            start = at + _ENTRY.size
            if start > end:
                return
            kind, size = _ENTRY.unpack_from(data, at)
            if kind > EntryType.EMPTY_DIRECTORY:
                raise ManifestError(f"entry {index} type", kind, "must be 0, 1 or 2", at)
            if not 0 < size <= MAX_PATH:
                raise ManifestError(f"entry {index} path length", size, f"must be 1 to {MAX_PATH} bytes", at)
            stop = start + size
            length = 0
            if kind != EntryType.EMPTY_DIRECTORY:
                stop += _LENGTH.size
                if stop > end:
                    return
                (length,) = _LENGTH.unpack_from(data, stop - _LENGTH.size)
                if length:
                    stop += HASH
            if stop > end:
                return
            self._take_path(index, data[start : start + size])
            self._take_length(index, length)
            self._offsets.append(at)
            self._at = at = stop
        if at < end:
            raise ManifestError("end", bytes(data[at : at + 16]), "nothing may follow the last entry", at)

    def _take_path(self, index: int, path: bytearray) -> None:
        if not _PATH.fullmatch(path):
            raise ManifestError(f"entry {index} path", bytes(path), _broken_path_rule(path), self._at)
        try:
            path.decode()
        except UnicodeDecodeError as error:
            rule = f"must be UTF-8: {error.reason}"
            raise ManifestError(f"entry {index} path", bytes(path), rule, self._at) from None
        key = path.replace(b"/", b"\0")
        previous = self._previous
        if key <= previous:
            rule = "is there twice" if key == previous else "must come after the path before it, by components"
            raise ManifestError(f"entry {index} path", bytes(path), rule, self._at)
        # Whatever lies below a path follows it at once: 00 sorts before all that a component may begin with.
        if key.startswith(previous) and previous and key[len(previous)] == 0:
            raise ManifestError(f"entry {index} path", bytes(path), "lies below the entry before it", self._at)
        self._previous = key

    def _take_length(self, index: int, length: int) -> None:
        self._bytes += length
        if self._bytes > MAX_LENGTH:
            rule = f"at most {MAX_LENGTH} bytes with all entries before it, which makes {self._bytes}"
            raise ManifestError(f"entry {index} length", length, rule, self._at)
        blocks = self._firsts[-1] + -(-length // BLOCK)
        if blocks > MAX_BLOCKS:
            rule = f"at most {MAX_BLOCKS} blocks with all entries before it, which makes {blocks}"
            raise ManifestError(f"entry {index} length", length, rule, self._at)
        self._firsts.append(blocks)


def encode_manifest(entries: Iterable[Entry]) -> bytes:
    """The bytes of the manifest of these entries, in whatever order they come. Raises `ManifestError`."""
    return bytes(Manifest.from_entries(entries).data)


def _sort_key(entry: Entry) -> bytes:
    # Names that a file system gave in another encoding hold lone surrogates; they sort somewhere and fail as an entry.
    return entry.path.encode("utf-8", "surrogatepass").replace(b"/", b"\0")


def _encode_entry(entry: Entry, index: int, offset: int) -> bytes:
    """One entry as bytes; refuses what the format can not even say, and leaves the other rules to the reader."""
    try:
        path = entry.path.encode()
    except UnicodeEncodeError:
        raise ManifestError(f"entry {index} path", entry.path, "must be UTF-8", offset) from None
    if len(path) > MAX_PATH:
        raise ManifestError(f"entry {index} path length", len(path), f"must be 1 to {MAX_PATH} bytes", offset)
    if not 0 <= entry.length <= MAX_LENGTH:
        raise ManifestError(f"entry {index} length", entry.length, f"must be 0 to {MAX_LENGTH}", offset)
    if len(entry.root) != HASH or (not entry.length and entry.root != NO_ROOT):
        rule = "must be 32 bytes, and 32 zero bytes without content"
        raise ManifestError(f"entry {index} root", entry.root, rule, offset)
    head = _ENTRY.pack(entry.type, len(path)) + path
    if entry.type == EntryType.EMPTY_DIRECTORY:
        if entry.length:
            raise ManifestError(f"entry {index} length", entry.length, "a directory has none", offset)
        return head
    return head + _LENGTH.pack(entry.length) + (entry.root if entry.length else b"")


def _broken_path_rule(path: bytearray) -> str:
    """Which rule a path breaks that is not like `_PATH`."""
    components = path.split(b"/")
    if _FORBIDDEN.search(path):
        return "no byte below 20, no 7F and no backslash"
    if b"." in components or b".." in components:
        return 'no component may be "." or ".."'
    if b"" in components:
        return "no component may be empty: no '/' at either end, and no two in a row"
    if len(components) > MAX_PATH_COMPONENTS:
        return f"at most {MAX_PATH_COMPONENTS} components"
    return f"at most {MAX_PATH_COMPONENT} bytes in a component"
