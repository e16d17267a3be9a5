"""Content as the suite makes and serves it: blocks, trees, proofs, manifests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from p2pwire_conformance.keys import oid_of, topic_of
from p2pwire_conformance.message import Tree
from p2pwire_conformance.protocol import constant, protocol

BLOCK: Final = 16384
NO_ROOT: Final = bytes(32)
PATTERN: Final = bytes(range(251))
"""Repeated, it makes blocks that differ from one another: 251 is prime to the block size."""


def pattern(length: int, salt: int = 0) -> bytes:
    """Bytes of any length whose blocks differ."""
    turned = PATTERN[salt % 251 :] + PATTERN[: salt % 251]
    return (turned * (length // 251 + 1))[:length]


def _sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def blocks_of(length: int) -> int:
    """How many blocks a file of that length has."""
    return -(-length // BLOCK)


class File:
    """One file with its whole tree."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.count = blocks_of(len(data))
        self.levels: list[list[bytes]] = []
        if self.count:
            leaves = [_sha(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]
            size = 1 << (self.count - 1).bit_length()
            self.levels.append(leaves + [bytes(32)] * (size - len(leaves)))
            while len(self.levels[-1]) > 1:
                below = self.levels[-1]
                self.levels.append([_sha(below[at] + below[at + 1]) for at in range(0, len(below), 2)])

    @property
    def root(self) -> bytes:
        """The topmost hash."""
        return self.levels[-1][0] if self.levels else NO_ROOT

    @property
    def height(self) -> int:
        """Of the tree; 0 for one block."""
        return max(0, len(self.levels) - 1)

    def block(self, number: int) -> bytes:
        """The bytes of one block."""
        return self.data[number * BLOCK : (number + 1) * BLOCK]

    def siblings(self, block: int, count: int) -> list[bytes]:
        """The nodes beside the path from a block to the root, bottom-up."""
        return [self.levels[height][block >> height ^ 1] for height in range(count)]

    def proof_size(self, first: int, block: int) -> int:
        """How many hashes a DATA has for this block of a request that begins with `first`."""
        offset = block - first
        return self.height if not offset else (offset & -offset).bit_length() - 1

    def data_frame(self, id: int, first: int, block: int) -> Tree:
        """DATA for one block."""
        proof = self.siblings(block, self.proof_size(first, block))
        return Tree("Data", id=id, block=block, proof=proof, data=self.block(block))


@dataclass(frozen=True)
class Object:
    """A blob or a folder, and how an adapter is told to make it."""

    kind: int
    main: File
    """The blob, or the manifest."""
    files: Sequence[File]
    """What REQUEST can name, by index."""
    recipe: Mapping[str, Any] = field(repr=False)
    """For `config.share` of PCTL."""

    @property
    def oid(self) -> bytes:
        """The object's id."""
        return oid_of(self.kind, len(self.main.data), self.main.root)

    @property
    def topic(self) -> bytes:
        """Where its peers meet."""
        return topic_of(self.oid)

    @property
    def units(self) -> int:
        """Units of HAVE, while they are one block each."""
        return sum(file.count for file in self.files)

    def object_frame(self, handle: int) -> Tree:
        """OBJECT."""
        return Tree("Object", handle=handle, kind=self.kind, length=len(self.main.data), root=self.main.root)

    def file(self, index: int) -> File:
        """The file that an index names."""
        return self.main if index == constant("MANIFEST_FILE") else self.files[index]


def _recipe(length: int, salt: int) -> dict[str, Any]:
    return {"hex": (PATTERN[salt % 251 :] + PATTERN[: salt % 251]).hex(), "length": length}


def blob(length: int, salt: int = 0) -> Object:
    """A blob of a pattern."""
    file = File(pattern(length, salt))
    return Object(0, file, [file], {"kind": "blob", "bytes": _recipe(length, salt)})


def entry(type: int, path: str | bytes, file: File | None = None) -> Tree:
    """An entry of a manifest."""
    name = path if isinstance(path, bytes) else path.encode()
    if file is None:
        return Tree("ManifestEntry", type=type, path=name, length=0)
    return Tree("ManifestEntry", type=type, path=name, length=len(file.data), root=file.root)


def manifest(entries: Iterable[Tree], *, count: int | None = None) -> bytes:
    """A manifest in the order given, right or wrong."""
    listed = list(entries)
    head = Tree("ManifestHeader", count=len(listed) if count is None else count)
    return head.encode() + b"".join(item.encode() for item in listed)


def folder(files: Mapping[str, int | None], salt: int = 0) -> Object:
    """A folder, from path to length (None: an empty directory), in the order of OB-020."""
    paths = sorted(files, key=lambda path: path.encode().replace(b"/", b"\0"))
    entries: list[Tree] = []
    listed: list[File] = []
    recipes: list[dict[str, Any]] = []
    types = protocol().enumerations["EntryType"]
    for number, path in enumerate(paths):
        length = files[path]
        if length is None:
            listed.append(File(b""))
            entries.append(entry(types["EMPTY_DIRECTORY"], path))
            recipes.append({"path": path, "type": types["EMPTY_DIRECTORY"]})
            continue
        listed.append(File(pattern(length, salt + number)))
        entries.append(entry(types["FILE"], path, listed[-1]))
        recipes.append({"path": path, "type": types["FILE"], "bytes": _recipe(length, salt + number)})
    return Object(1, File(manifest(entries)), listed, {"kind": "folder", "files": recipes})


def crafted(raw: bytes, files: Sequence[File] = ()) -> Object:
    """A folder with a manifest of the case's own making; no adapter can be told to share it."""
    return Object(1, File(raw), files, {})


def unit_shift(blocks: int) -> int:
    """u of section 7.5."""
    return max(0, (blocks - 1).bit_length() - 16) if blocks else 0
