"""The folder of the demonstration: made, cut into halves, and compared byte by byte."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from p2pwire.cli.errors import CommandError
from p2pwire.content.merkle import BLOCK, ProofChecker, block_length
from p2pwire.content.units import Layout
from p2pwire.storage.filesystem import FileSystemStorage
from p2pwire.storage.interface import BlockWrite, Shared
from p2pwire.wire.registry import MAX_LEVEL

SCRIPT: Final = b"#!/bin/sh\necho 'Hello from Alice'\n"

_SHARES: Final = {
    "film.raw": 35,
    "music/song.raw": 15,
    "photos/2024/summer/lighthouse.raw": 25,
    "photos/harbour.raw": 24,
    "notes/of/a/long/journey.txt": 1,
}
"""Percents of the whole that each file has."""

_RUN: Final = 1 << MAX_LEVEL
"""blocks read and stored at once: 1 MiB."""

_PIECE: Final = 1 << 20
"""bytes made and compared at once."""


def make_folder(place: Path, size: int) -> None:
    """Make a folder of `size` bytes: nested files of random bytes, an executable, an empty directory, an empty file."""
    (place / "empty").mkdir(parents=True)
    (place / "empty.txt").touch()
    (place / "hello.sh").write_bytes(SCRIPT)
    (place / "hello.sh").chmod(0o755)
    rest = size - len(SCRIPT)
    for path, share in _SHARES.items():
        last = path == list(_SHARES)[-1]
        length = rest if last else (size - len(SCRIPT)) * share // 100
        rest -= length
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            for start in range(0, length, _PIECE):
                out.write(os.urandom(min(_PIECE, length - start)))


def halves(layout: Layout) -> tuple[tuple[int, int], tuple[int, int]]:
    """The first and the last block of each half: cut where the file begins that begins nearest to the middle."""
    firsts = (layout.first_block(file) for file in range(layout.files))
    border = min(firsts, key=lambda first: abs(2 * first - layout.total_blocks))
    unit = 1 << layout.unit_exponent
    # A unit of which each had a part would be announced by neither.
    return (0, -(-border // unit) * unit - 1), (border, layout.total_blocks - 1)


def store_blocks(shared: Shared, storage: FileSystemStorage, name: str, first: int, last: int) -> int:
    """Store the blocks `first` to `last` of a shared folder as an unfinished download has them; their bytes.

    Each block is checked against the root with its proof, as if it had come from a peer.
    """
    manifest = shared.manifest
    assert manifest is not None
    download = storage.open_download(shared.info, name)
    stored = 0
    try:
        download.put_manifest(bytes(manifest.data), manifest)
        for file, low, high in manifest.layout.files_of(first, last):
            for start in range(low, high + 1, _RUN):
                writes = _proved(shared, file, start, min(_RUN, high + 1 - start))
                download.write_blocks(writes)
                stored += sum(len(write.data) for write in writes)
    finally:
        download.close()
    return stored


def _proved(shared: Shared, file: int, first: int, count: int) -> list[BlockWrite]:
    """Blocks of a file, each with its own proof."""
    assert shared.manifest is not None
    length, root = shared.manifest.file(file)
    tree = shared.trees.get(file)
    data = memoryview(shared.read_blocks(file, first, count))
    writes = []
    for block in range(first, first + count):
        siblings = tree.siblings(block, tree.height) if tree is not None else ()
        start = (block - first) * BLOCK
        piece = data[start : start + block_length(length, block)]
        writes.append(
            BlockWrite(file, block, piece, ProofChecker(length, root, block, 0).check(block, siblings, piece))
        )
    return writes


def check_equal(copy: Path, original: Path) -> int:
    """Read both folders from the disk and compare every name, kind, executable bit and byte; the bytes compared.

    Raises CommandError that names the first difference.
    """
    names, wanted = _tree(copy), _tree(original)
    if names != wanted:
        differing = sorted(names.items() ^ wanted.items())[0][0]
        raise CommandError("mismatch", f"{differing} is not there, or not of the same kind, in both folders")
    return sum(_compare(copy, original, name) for name, kind in wanted.items() if kind != "directory")


def _tree(folder: Path) -> dict[str, str]:
    """Path -> directory, file, executable or something else."""
    found = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            kind = "directory"
        elif stat.S_ISREG(mode):
            kind = "executable" if mode & stat.S_IXUSR else "file"
        else:
            kind = "something else"
        found[str(path.relative_to(folder))] = kind
    return found


def _compare(copy: Path, original: Path, name: str) -> int:
    size = 0
    with (copy / name).open("rb") as one, (original / name).open("rb") as other:
        while True:
            here, there = one.read(_PIECE), other.read(_PIECE)
            if here != there:
                raise CommandError(
                    "mismatch", f"{name} differs from the original within {_PIECE} bytes from byte {size}"
                )
            if not here:
                return size
            size += len(here)
