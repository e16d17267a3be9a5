"""The state file of an unfinished download: which blocks were stored, and the proofs that came with them.

It only grows: one record per batch, written after the batch's content, so that a process may die between any two
instructions. Nothing in it is believed when it is read again: a block counts only if its bytes hash to a leaf that the
proofs, checked anew, lead to the root. A torn or damaged record therefore costs the blocks that it names and no more.

    header  "P2PS" | version u8 = 1 | 0 0 0 | id[32]
    record  length u32 | CRC-32 u32 | entry*
    entry   file u32 | block u32 | n u8 | (leaf[32] | n × sibling[32], lowest first) if n > 0
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from zlib import crc32

import attrs

from p2pwire.content.merkle import HASH
from p2pwire.storage.directory import Directory
from p2pwire.storage.interface import ProvedRun

_MAGIC: Final = b"P2PS\x01\0\0\0"
_HEADER: Final = len(_MAGIC) + HASH
_RECORD: Final = struct.Struct(">II")
_ENTRY: Final = struct.Struct(">IIB")

MAX_STATE_RECORD: Final = 1 << 20
"""bytes of one record above which a batch goes on in the next: what a reader takes into memory at once."""


@attrs.frozen
class Claim:
    """A block that was stored, as the state file has it: nothing here is proved."""

    file: int
    block: int
    leaf: bytes
    """Empty if an earlier block's proof named it."""
    siblings: Sequence[bytes]


def write_claims(runs: Iterable[ProvedRun]) -> Iterator[bytes]:
    """The records for stored blocks, to be appended one after another."""
    pieces: list[bytes] = []
    size = 0
    for run in runs:
        for block, proved in enumerate(run.proved, run.block):
            count = len(proved.siblings)
            pieces.append(_ENTRY.pack(run.file, block, count))
            if count:
                pieces.append(proved.ancestors[0])
                pieces += proved.siblings
            size += _ENTRY.size + (count + 1) * HASH
            if size > MAX_STATE_RECORD - 64 * HASH:
                yield _record(pieces)
                pieces, size = [], 0
    if pieces:
        yield _record(pieces)


def _record(pieces: list[bytes]) -> bytes:
    payload = b"".join(pieces)
    return _RECORD.pack(len(payload), crc32(payload)) + payload


@attrs.define(eq=False)
class Journal:
    """An open state file. Methods raise OSError; not safe for threads."""

    _fd: int
    _end: int
    """Where the next record goes: after the last good one, over whatever a failed write left."""

    @classmethod
    def open(cls, directory: Directory, name: bytes, oid: bytes) -> Journal:
        """Open the state file of an object, or begin it anew if it is missing or another object's."""
        fd = directory.open_file(name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            header = _MAGIC + oid
            if os.pread(fd, _HEADER, 0) != header:
                os.ftruncate(fd, 0)
                os.pwrite(fd, header, 0)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, _HEADER)

    @property
    def fd(self) -> int:
        """The open file."""
        return self._fd

    def read(self) -> Iterator[Claim]:
        """Every claim in the file. Read to the end before appending: only then is it known where that is."""
        with open(os.dup(self._fd), "rb") as file:
            file.seek(_HEADER)
            at = _HEADER
            while len(head := file.read(_RECORD.size)) == _RECORD.size:
                length, check = _RECORD.unpack(head)
                if length > MAX_STATE_RECORD or len(payload := file.read(length)) < length:
                    break
                at += _RECORD.size + length
                if crc32(payload) == check:
                    self._end = at
                    yield from _claims(payload)

    def append(self, record: bytes) -> None:
        """Write one record. On an error the file is as if nothing was written."""
        view = memoryview(record)
        while view:
            view = view[os.pwrite(self._fd, view, self._end + len(record) - len(view)) :]
        self._end += len(record)

    def close(self) -> None:
        """Close the file. A second time does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _claims(payload: bytes) -> Iterator[Claim]:
    at = 0
    while at + _ENTRY.size <= len(payload):
        file, block, count = _ENTRY.unpack_from(payload, at)
        at += _ENTRY.size
        hashes = [payload[start : start + HASH] for start in range(at, at + (count + 1) * HASH, HASH)] if count else []
        at += len(hashes) * HASH
        yield Claim(file, block, hashes[0] if hashes else b"", hashes[1:])
