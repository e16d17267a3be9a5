"""Saying what differs from an object, as exactly as what is known allows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from p2pwire.content.merkle import BLOCK
from p2pwire.storage import StorageError, StorageErrorKind, Verification, share_folder, verify

from .answers import blob, folder
from .test_scan import put

BLOB = blob(10.5)
FOLDER = folder()


def flip(path: Path, *blocks: int) -> None:
    """Change a byte in each of some blocks."""
    with path.open("r+b") as file:
        for block in blocks:
            file.seek(block * BLOCK)
            byte = file.read(1)[0]
            file.seek(block * BLOCK)
            file.write(bytes([byte ^ 255]))


def test_equal_content(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    for content in (BLOB, FOLDER, blob(0), share_folder({})):
        path = put(tmp_path / "name", content)
        seen.clear()
        found = verify(path, content.info.oid, length=content.info.length, progress=lambda *done: seen.append(done))
        assert found.ok
        assert found.info == content.info
        assert bool(seen) == bool(content.held.total)
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_blob_that_differs(tmp_path: Path) -> None:
    path = put(tmp_path / "name", BLOB)
    flip(path, 3, 10)
    oid = BLOB.info.oid
    assert texts(verify(path, oid)) == [("", None, f"{path} has other content than the object of this id")]
    assert texts(verify(path, oid, length=BLOB.info.length, trees=BLOB.trees)) == [
        ("", 3, f"{path} differs in block 3"),
        ("", 10, f"{path} differs in block 10"),
    ]
    os.truncate(path, 5)
    assert texts(verify(path, oid, length=BLOB.info.length, trees=BLOB.trees)) == [
        ("", None, f"{path} has 5 bytes, and should have {BLOB.info.length}")
    ]
    assert texts(verify(path, oid, trees=BLOB.trees)) == [
        ("", None, f"{path} has other content than the object of this id")
    ]


def texts(found: Verification) -> list[tuple[str, int | None, str]]:
    return [(each.path, each.block, each.text) for each in found.differences]


def swap_tool(path: Path) -> None:
    (path / "a" / "tool").chmod(0o600)


def swap_one(path: Path) -> None:
    (path / "a" / "one").chmod(0o700)


def replace_hollow(path: Path) -> None:
    (path / "b" / "hollow").rmdir()
    (path / "b" / "hollow").write_bytes(b"")


def replace_file(path: Path) -> None:
    (path / "last").unlink()
    (path / "last").mkdir()


CHANGES: dict[str, tuple[Callable[[Path], object], list[tuple[str, int | None, str]]]] = {
    "content": (
        lambda path: flip(path / "b/c/d/deep", 0, 69),
        [
            ("b/c/d/deep", 0, "b/c/d/deep differs in block 0"),
            ("b/c/d/deep", 69, "b/c/d/deep differs in block 69"),
        ],
    ),
    "small content": (lambda path: flip(path / "a/one", 0), [("a/one", None, "a/one has other content")]),
    "length": (
        lambda path: os.truncate(path / "last", 7),
        [("last", None, f"last has 7 bytes, and should have {2 * BLOCK}")],
    ),
    "missing": (lambda path: (path / "a/one").unlink(), [("a/one", None, "a/one is missing")]),
    "missing directory": (lambda path: (path / "b/hollow").rmdir(), [("b/hollow", None, "b/hollow is missing")]),
    "more": (
        lambda path: (path / "b/more").write_bytes(b""),
        [("b/more", None, "b/more is not part of the object")],
    ),
    "not executable": (
        swap_tool,
        [("a/tool", None, "a/tool is a file that is not executable, and should be an executable file")],
    ),
    "executable": (
        swap_one,
        [("a/one", None, "a/one is an executable file, and should be a file that is not executable")],
    ),
    "file for directory": (
        replace_hollow,
        [("b/hollow", None, "b/hollow is a file that is not executable, and should be an empty directory")],
    ),
    "directory for file": (
        replace_file,
        [("last", None, "last is an empty directory, and should be a file that is not executable")],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_that_differs(tmp_path: Path, change: str) -> None:
    path = put(tmp_path / "name", FOLDER)
    make, expected = CHANGES[change]
    make(path)
    oid = FOLDER.info.oid
    assert texts(verify(path, oid, length=FOLDER.info.length)) == [
        ("", None, f"{path} has other files, names or content than the object of this id")
    ]
    assert texts(verify(path, oid, manifest=FOLDER.manifest, trees=FOLDER.trees)) == expected
    without_trees = [(name, None, text) for name, _, text in expected]
    if change == "content":
        without_trees = [("b/c/d/deep", None, "b/c/d/deep has other content")]
    assert texts(verify(path, oid, manifest=FOLDER.manifest)) == without_trees


def test_a_file_for_a_folder(tmp_path: Path) -> None:
    path = put(tmp_path / "name", BLOB)
    assert texts(verify(path, FOLDER.info.oid, manifest=FOLDER.manifest)) == [
        ("", None, f"{path} is a file, and should be a folder")
    ]


def test_the_manifest_must_be_the_objects(tmp_path: Path) -> None:
    path = put(tmp_path / "name", FOLDER)
    with pytest.raises(ValueError, match="not that of the object"):
        verify(path, FOLDER.info.oid, manifest=share_folder({"a": b""}).manifest)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        verify(tmp_path / "name", BLOB.info.oid)
    assert caught.value.kind == StorageErrorKind.VANISHED
