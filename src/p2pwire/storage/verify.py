"""Comparing what lies on a disk with an object's id, and saying as exactly as can be what differs.

An id alone tells whether content is right, not where it is wrong. With the manifest the files that differ are known,
and with hash trees the blocks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from p2pwire.content.manifest import Entry, Manifest
from p2pwire.content.merkle import Tree, TreeBuilder
from p2pwire.content.objects import ObjectInfo
from p2pwire.storage.errors import shown
from p2pwire.storage.interface import Progress
from p2pwire.storage.scan import SharedFiles, scan
from p2pwire.wire.registry import EntryType, ObjectKind

NO_TREES: Final[Mapping[int, Tree]] = {}


@attrs.frozen
class Difference:
    """One thing that is not as it should be."""

    path: str
    """The file in the folder, with "/"; empty for the object as a whole."""
    block: int | None
    """The block of the file, if that is known."""
    text: str
    """One sentence."""


@attrs.frozen
class Verification:
    """What a comparison found."""

    info: ObjectInfo
    """The object that is there."""
    differences: tuple[Difference, ...]
    """Empty if it is the right one."""

    @property
    def ok(self) -> bool:
        """Whether the content is exactly the object's."""
        return not self.differences


def verify(
    path: str | os.PathLike[str],
    oid: bytes,
    *,
    length: int | None = None,
    manifest: Manifest | None = None,
    trees: Mapping[int, Tree] = NO_TREES,
    progress: Progress | None = None,
) -> Verification:
    """Hash the file or folder at `path` and compare it with the object `oid`.

    `length` (bytes of the object, what a URI calls xl), `manifest` and `trees` (by file) let the answer say more; the
    manifest must be the object's own, ValueError otherwise. Raises StorageError if the content cannot be read.
    """
    if manifest is not None and _manifest_info(manifest).oid != oid:
        raise ValueError("manifest: not that of the object")
    content = scan(path, progress)
    try:
        return Verification(content.info, tuple(_differences(content, shown(path), oid, length, manifest, trees)))
    finally:
        content.close()


def _manifest_info(manifest: Manifest) -> ObjectInfo:
    builder = TreeBuilder()
    builder.update(manifest.data)
    leaves = builder.finish()
    return ObjectInfo(ObjectKind.MANIFEST, leaves.length, leaves.root)


def _differences(
    content: SharedFiles,
    place: str,
    oid: bytes,
    length: int | None,
    manifest: Manifest | None,
    trees: Mapping[int, Tree],
) -> Iterator[Difference]:
    info = content.info
    if info.oid == oid:
        return
    folder = content.manifest
    if manifest is not None:
        if folder is None:
            yield Difference("", None, f"{place} is a file, and should be a folder")
        else:
            yield from _between(folder, manifest, content.trees, trees)
    elif length is not None and folder is None and info.length != length:
        yield Difference("", None, f"{place} has {info.length} bytes, and should have {length}")
    elif folder is None and 0 in trees and trees[0].length == info.length:
        yield from _blocks("", place, info.root, content.trees.get(0), trees[0])
    else:
        what = "other content than" if folder is None else "other files, names or content than"
        yield Difference("", None, f"{place} has {what} the object of this id")


def _between(
    found: Manifest, wanted: Manifest, found_trees: Mapping[int, Tree], wanted_trees: Mapping[int, Tree]
) -> Iterator[Difference]:
    there = {entry.path: file for file, entry in enumerate(found)}
    for file, entry in enumerate(wanted):
        other = there.pop(entry.path, None)
        if other is None:
            yield Difference(entry.path, None, f"{entry.path} is missing")
        elif text := _entry_differs(found[other], entry):
            yield Difference(entry.path, None, text)
        elif found[other].root != entry.root:
            yield from _blocks(
                entry.path, entry.path, found[other].root, found_trees.get(other), wanted_trees.get(file)
            )
    for path in there:
        yield Difference(path, None, f"{shown(path)} is not part of the object")


def _entry_differs(found: Entry, wanted: Entry) -> str | None:
    """What differs but the content, as a sentence."""
    if EntryType.EMPTY_DIRECTORY in (found.type, wanted.type) and found.type != wanted.type:
        return f"{wanted.path} is {_KINDS[found.type]}, and should be {_KINDS[wanted.type]}"
    if found.length != wanted.length:
        return f"{wanted.path} has {found.length} bytes, and should have {wanted.length}"
    if found.type != wanted.type:
        return f"{wanted.path} is {_KINDS[found.type]}, and should be {_KINDS[wanted.type]}"
    return None


_KINDS: Final = {
    EntryType.FILE: "a file that is not executable",
    EntryType.EXECUTABLE: "an executable file",
    EntryType.EMPTY_DIRECTORY: "an empty directory",
}


def _blocks(path: str, place: str, root: bytes, found: Tree | None, wanted: Tree | None) -> Iterator[Difference]:
    """The blocks that differ in a file of the right length, as far as its tree is known."""
    named = False
    if found is not None and wanted is not None:
        for block in range(wanted.blocks):
            if wanted.knows(block) and wanted.leaf(block) != found.leaf(block):
                named = True
                yield Difference(path, block, f"{place} differs in block {block}")
    if not named:
        yield Difference(path, None, f"{place} has other content")
