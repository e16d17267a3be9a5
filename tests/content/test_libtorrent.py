"""The same files and folders, hashed and ordered by libtorrent as a BitTorrent v2 torrent."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import libtorrent
import pytest

from p2pwire.content.manifest import Entry, Manifest
from p2pwire.content.merkle import BLOCK, NO_ROOT, TreeBuilder, root_of_leaves
from p2pwire.content.objects import object_id
from p2pwire.wire.registry import EntryType

Row = tuple[bytes, int, bytes]
"""Path, length and pieces root."""

PIECE = 4 * BLOCK


def decoded(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Bencoded data; dictionaries as lists of pairs, in the order in which they were written."""
    if data[at : at + 1] == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if data[at : at + 1] in (b"l", b"d"):
        items, kind, at = [], data[at : at + 1], at + 1
        while data[at : at + 1] != b"e":
            item, at = decoded(data, at)
            items.append(item)
        return (items if kind == b"l" else list(zip(items[::2], items[1::2], strict=True))), at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    return data[colon + 1 : end], end


def rows(tree: list[tuple[bytes, Any]], above: bytes = b"") -> Iterator[Row]:
    for name, value in tree:
        if name:
            yield from rows(value, above + b"/" + name if above else name)
        else:
            facts = dict(value)
            yield above, facts[b"length"], facts.get(b"pieces root", NO_ROOT)


def torrent(place: Path) -> tuple[list[Row], dict[bytes, bytes]]:
    """What libtorrent makes of a file or folder: its files in order, and the piece layers by root."""
    flags = libtorrent.create_torrent.v2_only | libtorrent.create_torrent.canonical_files
    made = libtorrent.create_torrent(libtorrent.list_files(str(place)), PIECE, flags)
    libtorrent.set_piece_hashes(made, str(place.parent))
    everything = dict(decoded(libtorrent.bencode(made.generate()))[0])
    return list(rows(dict(everything[b"info"])[b"file tree"])), dict(everything[b"piece layers"])


def hashed(place: Path) -> tuple[int, bytes, bytes]:
    builder = TreeBuilder()
    with place.open("rb") as file:
        while piece := file.read(100_000):
            builder.update(piece)
    leaves = builder.finish()
    return leaves.length, leaves.root, bytes(leaves.hashes)


LENGTHS = [
    0,
    1,
    64,
    BLOCK - 1,
    BLOCK,
    BLOCK + 1,
    2 * BLOCK,
    3 * BLOCK,
    4 * BLOCK,
    4 * BLOCK + 1,
    7 * BLOCK - 5,
    65 * BLOCK,
]


def test_roots_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    random = Random(1)
    for length in [*LENGTHS, *(random.randrange(1, 40 * BLOCK) for _ in range(12))]:
        (folder / f"{length}").write_bytes(random.randbytes(length))
    found, layers = torrent(folder)
    for path, length, root in found:
        ours = hashed(folder / path.decode())
        assert ours[:2] == (length, root)
        if length > PIECE:  # only then does a torrent carry a row of the tree, that of its pieces
            leaves = ours[2] + bytes(-len(ours[2]) % 128)
            assert layers[root] == b"".join(root_of_leaves(leaves[at : at + 128]) for at in range(0, len(leaves), 128))
    assert len(found) == len(LENGTHS) + 12


def test_two_files_of_one_root(tmp_path: Path) -> None:
    zeros = tmp_path / "zeros"
    zeros.write_bytes(bytes(2 * BLOCK))
    length, root, leaves = hashed(zeros)
    short = tmp_path / "short"
    short.write_bytes(leaves)
    assert torrent(zeros)[0][0][2] == torrent(short)[0][0][2] == root == hashed(short)[1]
    assert object_id(0, length, root) != object_id(0, len(leaves), root)


NAMES = [
    "a",
    "b",
    "a.txt",
    "a-b",
    "a b",
    "B",
    "Z",
    "~",
    "ä",
    "z",
    "0",
    "a!",
    "é",
    "日本",
    "\U0001f600",
    "a.b.c",
    ".hidden",
    "_",
]


@pytest.mark.parametrize("seed", range(6))
def test_folders_have_the_order_of_a_file_tree(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    folder = tmp_path / "folder"
    for _ in range(40):
        path = folder.joinpath(*(random.choice(NAMES) for _ in range(random.randint(1, 4))))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.randbytes(random.choice([0, 1, 500, BLOCK, 3 * BLOCK + 7])))
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue  # one name can not be both a file and a folder
    entries = []
    for above, _, files in os.walk(folder):
        for name in files:
            place = Path(above, name)
            length, root, _ = hashed(place)
            entries.append(Entry(EntryType.FILE, place.relative_to(folder).as_posix(), length, root))
    manifest = Manifest.from_entries(entries)
    assert len(manifest) > 10
    assert [(entry.path.encode(), entry.length, entry.root) for entry in manifest] == torrent(folder)[0]


def test_a_torrent_becomes_a_manifest_without_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "x").write_bytes(b"x" * 70_000)
    (folder / "deep.txt").write_bytes(b"")
    written = b"P2PM\x01" + struct.pack(">I", 2)
    for path, length, root in torrent(folder)[0]:
        written += struct.pack(">BH", 0, len(path)) + path + struct.pack(">Q", length) + (root if length else b"")
    assert [(entry.path, entry.length) for entry in Manifest.decode(written)] == [("deep/x", 70_000), ("deep.txt", 0)]
