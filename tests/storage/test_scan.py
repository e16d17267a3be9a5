"""Sharing what lies on a disk: all of it, only it, and only as it was."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings

from p2pwire.content.merkle import BLOCK
from p2pwire.storage import (
    Content,
    MemoryFile,
    Skipped,
    StorageError,
    StorageErrorKind,
    scan,
    share_bytes,
    share_folder,
)
from p2pwire.storage.scan import Survey
from p2pwire.wire.registry import MANIFEST_FILE

from .answers import blob, folder, in_memory, noise
from .test_downloads import check_trees, objects

LONG_AGO = (1e9, 1e9)
"""Some systems' clocks for files stand still for milliseconds: what is written twice in that time looks the same."""


def put(path: Path, content: Content) -> Path:
    """Write content with the plainest means."""
    whole = in_memory(content)
    if isinstance(whole, bytes):
        path.write_bytes(whole)
        os.utime(path, LONG_AGO)
        return path
    path.mkdir()
    for name, file in whole.items():
        if file is None:
            (path / name).mkdir(parents=True)
        else:
            assert isinstance(file, MemoryFile)
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(file.data)
            (path / name).chmod(0o700 if file.executable else 0o600)
            os.utime(path / name, LONG_AGO)
    return path


def same(found: Content, wanted: Content) -> None:
    assert found.info == wanted.info
    assert (found.manifest is None) == (wanted.manifest is None)
    if found.manifest is not None and wanted.manifest is not None:
        assert found.manifest.data == wanted.manifest.data
    assert found.held.complete
    assert found.held.total == wanted.held.total
    assert found.trees.keys() == wanted.trees.keys()
    check_trees(wanted, found, set(range(found.held.total)))  # type: ignore[arg-type]  # only its trees are looked at
    assert in_memory(found) == in_memory(wanted)


@settings(max_examples=40, deadline=None)
@given(content=objects)
def test_a_path_becomes_the_object_that_its_content_is(
    tmp_path_factory: pytest.TempPathFactory, content: Content
) -> None:
    path = put(tmp_path_factory.mktemp("scan") / "name", content)
    found = scan(path)
    same(found, content)
    assert found.name == "name"
    assert found.skipped == []
    found.close()


@pytest.mark.parametrize("content", [blob(600.3), folder(), share_folder({}), share_bytes(b"")])
def test_large_and_empty_ones(tmp_path: Path, content: Content) -> None:
    found = scan(put(tmp_path / "näme", content))
    same(found, content)
    assert found.name == "näme"
    found.close()


def test_a_manifest_of_many_blocks(tmp_path: Path) -> None:
    content = share_folder({f"{n % 70:03}/{n:04}": b"%d" % n for n in range(2000)})
    found = scan(put(tmp_path / "name", content))
    same(found, content)
    last = -(-content.info.length // BLOCK) - 1
    assert found.read_blocks(MANIFEST_FILE, last, 1) == content.read_blocks(MANIFEST_FILE, last, 1)
    assert found.trees[MANIFEST_FILE].leaf(last) == content.trees[MANIFEST_FILE].leaf(last)
    found.close()


def test_names_of_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "folder", folder())
    put(tmp_path / "file", blob(1))
    put(tmp_path / "odd\x1bname", blob(1))
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "file link").symlink_to("file")
    monkeypatch.chdir(tmp_path / "folder")
    for path, name in {
        ".": "folder",
        "../folder/": "folder",
        "../file": "file",
        "../link": "link",
        "../file link": "file link",
        "../odd\x1bname": None,
        "b/..": "folder",
    }.items():
        found = scan(path)
        assert found.name == name
        same(found, folder() if found.manifest is not None else blob(1))
        found.close()


def test_what_is_neither_file_nor_directory_is_left_out_and_listed(tmp_path: Path) -> None:
    path = put(tmp_path / "name", folder())
    (path / "a" / "link").symlink_to("one")
    (path / "a" / "loop").symlink_to("..")
    (path / "b" / "dangling").symlink_to("nothing")
    (path / "b" / "hollow" / "outside").symlink_to("/etc")
    os.mkfifo(path / "pipe")
    (path / ".p2pwire-abcdefghijklmnop" / "content").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        place = os.getcwd()
        os.chdir(path)
        server.bind("socket")
        os.chdir(place)
        found = scan(path)
    same(found, folder())  # and a directory in which nothing is left counts as empty
    assert sorted(found.skipped, key=lambda skipped: skipped.path) == [
        Skipped(".p2pwire-abcdefghijklmnop", "an unfinished download"),
        Skipped("a/link", "a symbolic link"),
        Skipped("a/loop", "a symbolic link"),
        Skipped("b/dangling", "a symbolic link"),
        Skipped("b/hollow/outside", "a symbolic link"),
        Skipped("pipe", "neither a file nor a directory"),
        Skipped("socket", "neither a file nor a directory"),
    ]
    found.close()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (b"back\\slash", "backslash"),
        (b"escape\x1b[31m", "control bytes"),
        (b"latin\xe4", "Unicode|UTF-8"),
        (b"/".join([b"d" * 200] * 6), "1024 bytes"),
        (b"/".join([b"d"] * 33), "at most 32 components"),
        (b"/".join([b"d"] * 300), "at most 32 components"),
    ],
)
def test_names_that_no_manifest_can_say(tmp_path: Path, name: bytes, rule: str) -> None:
    path = put(tmp_path / "name", folder())
    target = os.fsencode(path) + b"/x/" + name
    os.makedirs(os.path.dirname(target))
    with open(target, "wb") as file:
        file.write(b"x")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StorageError, match=rule) as caught:
        scan(path)
    assert caught.value.kind == StorageErrorKind.UNSUITABLE
    assert caught.value.text.startswith("cannot share ")
    assert caught.value.text.isprintable()
    assert f"{path}/x/" in caught.value.text
    assert len(os.listdir("/proc/self/fd")) == before


def test_more_than_a_manifest_can_say(tmp_path: Path) -> None:
    path = tmp_path / "name"
    path.mkdir()
    for name in "ab":
        with (path / name).open("wb") as file:
            try:
                file.truncate(2**46 - 2**30)
            except OSError:  # a file system with a lower limit: there is nothing to be refused
                return
    with pytest.raises(StorageError, match="entry 1 length") as caught:
        scan(path)
    assert caught.value.kind == StorageErrorKind.UNSUITABLE


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: None, StorageErrorKind.VANISHED),
        (lambda path: path.symlink_to("nothing"), StorageErrorKind.VANISHED),
        (lambda path: os.mkfifo(path), StorageErrorKind.UNSUITABLE),
        (lambda path: path.symlink_to(path.name), StorageErrorKind.OUTSIDE),
    ],
)
def test_paths_that_are_nothing_to_share(tmp_path: Path, make: Callable[[Path], None], kind: StorageErrorKind) -> None:
    make(tmp_path / "name")
    with pytest.raises(StorageError) as caught:
        scan(tmp_path / "name")
    assert caught.value.kind == kind
    assert "name" in caught.value.text


def rewrite(path: Path) -> None:
    path.write_bytes(bytes(len(path.read_bytes())))


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def become_a_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def become_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: dict[str, tuple[Callable[[Path], object], StorageErrorKind]] = {
    "rewritten": (rewrite, StorageErrorKind.CHANGED),
    "longer": (grow, StorageErrorKind.CHANGED),
    "shorter": (shrink, StorageErrorKind.CHANGED),
    "gone": (Path.unlink, StorageErrorKind.VANISHED),
    "a link": (become_a_link, StorageErrorKind.OUTSIDE),
    "a directory": (become_a_directory, StorageErrorKind.OUTSIDE),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_since_is_not_served(tmp_path: Path, change: str) -> None:
    content = share_folder({f"{n}": noise(2 * BLOCK, n) for n in range(3)})
    path = put(tmp_path / "name", content)
    shared = scan(path)
    make, kind = CHANGES[change]
    make(path / "1")
    with pytest.raises(StorageError) as caught:
        shared.read_blocks(1, 0, 1)
    assert caught.value.kind == kind
    assert caught.value.path == str(path / "1")
    for file in (0, 2):  # the others are
        assert shared.read_blocks(file, 0, 2) == content.read_blocks(file, 0, 2)
    shared.close()


@pytest.mark.parametrize("change", ["rewritten", "longer", "shorter"])
def test_what_changes_while_its_file_is_open_is_not_served(tmp_path: Path, change: str) -> None:
    path = put(tmp_path / "name", blob(3))
    shared = scan(path)
    assert shared.read_blocks(0, 1, 1) == blob(3).read_blocks(0, 1, 1)
    CHANGES[change][0](path)
    with pytest.raises(StorageError, match="was changed after its content had been checked") as caught:
        shared.read_blocks(0, 0, 1)
    assert caught.value.kind == StorageErrorKind.CHANGED
    shared.close()


def test_a_file_that_is_replaced_while_it_is_open_is_still_the_old_one(tmp_path: Path) -> None:
    path = put(tmp_path / "name", blob(3))
    shared = scan(path)
    shared.read_blocks(0, 0, 1)
    path.unlink()
    put(path, blob(3, seed=1))
    assert shared.read_blocks(0, 0, 3) == blob(3).read_blocks(0, 0, 3)
    shared.close()


@pytest.mark.parametrize("change", ["rewritten", "longer", "shorter"])
def test_what_changes_while_it_is_hashed(tmp_path: Path, change: str) -> None:
    path = put(tmp_path / "name", blob(200))
    seen: list[int] = []

    def interfere(done: int, total: int) -> None:
        if not seen:
            CHANGES[change][0](path)
        seen.append(done)

    with pytest.raises(StorageError, match="was changed") as caught:
        scan(path, interfere)
    assert caught.value.kind == StorageErrorKind.CHANGED


def test_a_file_that_goes_while_another_is_hashed(tmp_path: Path) -> None:
    path = put(tmp_path / "name", folder())
    with pytest.raises(StorageError, match="it does not exist") as caught:
        scan(path, lambda done, total: shutil.rmtree(path / "b", ignore_errors=True))
    assert caught.value.kind == StorageErrorKind.VANISHED


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("blocks", [2, 70])
def test_what_changes_between_the_walk_and_the_hashing(tmp_path: Path, change: str, blocks: int) -> None:
    """It counts as it is when it is hashed."""
    path = put(tmp_path / "name", share_folder({f"a/{n}": noise(blocks * BLOCK, n) for n in range(3)}))
    survey = Survey.of(path)
    make, kind = CHANGES[change]
    make(path / "a" / "1")
    if kind == StorageErrorKind.CHANGED:
        found, again = survey.hash(), scan(path)
        same(found, share_folder({f"a/{n}": (path / "a" / f"{n}").read_bytes() for n in range(3)}))
        assert found.info == again.info
        found.close()
        again.close()
    else:
        with pytest.raises(StorageError) as caught:
            survey.hash()
        assert (caught.value.kind, caught.value.path) == (kind, str(path / "a" / "1"))
        survey.directory.close()


def test_a_directory_that_becomes_a_link_before_the_hashing(tmp_path: Path) -> None:
    path = put(tmp_path / "name", folder())
    survey = Survey.of(path)
    become_a_link(path / "a")
    with pytest.raises(StorageError) as caught:
        survey.hash()
    assert (caught.value.kind, caught.value.path) == (StorageErrorKind.OUTSIDE, str(path / "a" / "empty"))
    survey.directory.close()


def test_more_small_files_than_a_thread_is_given_at_once(tmp_path: Path) -> None:
    content = share_folder({f"{n % 3}/{n:04}": noise(n) for n in range(600)} | {"large": noise(300 * BLOCK), "z": b"z"})
    found = scan(put(tmp_path / "name", content))
    same(found, content)
    found.close()


@pytest.mark.parametrize("blocks", [10.5, 600.3])
def test_progress_can_be_followed_and_stopped(tmp_path: Path, blocks: float) -> None:
    path = put(tmp_path / "name", blob(blocks))
    seen: list[tuple[int, int]] = []
    scan(path, lambda *done: seen.append(done)).close()
    size = path.stat().st_size
    assert seen == sorted(seen)
    assert seen[-1] == (size, size)
    before = len(os.listdir("/proc/self/fd"))

    def stop(done: int, total: int) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        scan(path, stop)
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    path = put(tmp_path / "name", folder())
    before = set(os.listdir("/proc/self/fd"))
    shared = scan(path)
    in_memory(shared)
    shared.close()
    shared.close()
    assert set(os.listdir("/proc/self/fd")) == before


ANY_LOCALE = """
import os, sys
from pathlib import Path
from p2pwire.storage import FileSystemStorage, scan
from tests.storage.answers import answers
shared = scan(Path(sys.argv[1]))
print(shared.info.oid.hex())
download = FileSystemStorage(Path(sys.argv[2])).open_download(shared.info, "n\\xe4me")
download.put_manifest(bytes(shared.manifest.data), shared.manifest)
for writes in answers(shared):
    download.write_blocks(writes)
download.finish()
"""


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_names_are_bytes_whatever_the_locale(tmp_path: Path, locale: str) -> None:
    path = put(tmp_path / "name", folder())
    command = [sys.executable, "-X", "utf8=0", "-c", ANY_LOCALE, str(path), str(tmp_path / "new")]
    environment = {**os.environ, "LC_ALL": locale, "PYTHONCOERCECLOCALE": "0"}
    result = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stderr == ""
    assert result.stdout.strip() == folder().info.oid.hex()
    found = scan(tmp_path / "new" / "näme")
    same(found, folder())
    found.close()
