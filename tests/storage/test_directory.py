"""Files below one directory: no component of a path may be a link, and few descriptors are open at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from p2pwire.storage import StorageError, StorageErrorKind
from p2pwire.storage.directory import DEFAULT_OPEN_DIRECTORIES, Directory, OpenFiles


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "file").write_bytes(b"precious")
    return path


@pytest.fixture
def inside(tmp_path: Path, outside: Path) -> Path:
    path = tmp_path / "inside"
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "b" / "file").write_bytes(b"own")
    (path / "out").symlink_to(outside)
    (path / "a" / "out").symlink_to(outside)
    (path / "a" / "file").symlink_to(outside / "deep" / "file")
    return path


@pytest.mark.parametrize("path", [b"out/deep/file", b"a/out/deep/file", b"a/file", b"out", b"a/b/file/x", b"a/b"])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_TRUNC])
def test_what_leads_out_or_is_no_file_is_not_opened(inside: Path, outside: Path, path: bytes, flags: int) -> None:
    directory = Directory.open(inside)
    with pytest.raises(OSError, match=r"(symbolic links|Not a directory|Is a directory|exists)"):
        directory.open_file(path, flags)
    with pytest.raises(OSError, match=r"(symbolic links|Not a directory|exists)"):
        directory.make_directory(path + b"/new" if path == b"a/b/file/x" else path)
    directory.close()
    assert (outside / "deep" / "file").read_bytes() == b"precious"
    assert os.listdir(outside) == ["deep"]


def test_links_are_removed_and_not_what_they_lead_to(inside: Path, outside: Path) -> None:
    directory = Directory.open(inside)
    fd = directory.open_file(b"a/b/file", os.O_RDONLY)  # "a" and "a/b" are known now
    os.close(fd)
    for path in (b"a/out", b"a/file", b"out", b"a", b"nothing", b"no/thing"):
        directory.remove(path)
    assert not os.listdir(inside)
    directory.make_directory(b"a")
    directory.make_directory(b"a/b")
    os.close(directory.open_file(b"a/b/file", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    assert (inside / "a" / "b" / "file").exists()
    assert (outside / "deep" / "file").read_bytes() == b"precious"
    directory.close()
    directory.close()


def test_stat_is_of_the_link_itself(inside: Path) -> None:
    directory = Directory.open(inside)
    found = directory.stat(b"a/file")
    assert found is not None
    assert found.st_ino == (inside / "a" / "file").lstat().st_ino
    assert directory.stat(b"a/nothing") is None
    assert directory.stat(b"no/thing") is None
    with pytest.raises(NotADirectoryError):
        directory.stat(b"out/deep")
    directory.close()


def test_a_bounded_number_of_directories_is_open(tmp_path: Path) -> None:
    deep = [f"{n}/x/y/z" for n in range(2 * DEFAULT_OPEN_DIRECTORIES)]
    for path in deep:
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "file").write_text(path)
    before = len(os.listdir("/proc/self/fd"))
    directory = Directory.open(tmp_path)
    for path in deep + deep[::-1]:
        fd = directory.open_file(f"{path}/file".encode(), os.O_RDONLY)
        assert os.read(fd, 100).decode() == path
        os.close(fd)
        assert len(os.listdir("/proc/self/fd")) - before <= DEFAULT_OPEN_DIRECTORIES + 1
    directory.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_files_in_use_stay_open(tmp_path: Path) -> None:
    opened: list[int] = []

    def open_file(number: int) -> int:
        opened.append(number)
        return os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT)

    before = len(os.listdir("/proc/self/fd"))
    files = OpenFiles(open_file, limit=2)
    with files.use(0) as a, files.use(1) as b, files.use(2) as c, files.use(0) as again:
        assert len({a, b, c}) == 3
        assert again == a
        files.close()  # takes effect as they are given back
        for fd in (a, b, c):
            os.fstat(fd)
    assert len(os.listdir("/proc/self/fd")) == before
    files = OpenFiles(open_file, limit=2)
    opened.clear()
    for number in (0, 1, 0, 2, 0, 1, 2):
        with files.use(number) as fd:
            os.pwrite(fd, b"%d" % number, 0)
    assert opened == [0, 1, 2, 1, 2]  # the one that was not used for the longest time goes first
    assert len(os.listdir("/proc/self/fd")) - before == 2
    files.close()
    assert [(tmp_path / str(number)).read_text() for number in range(3)] == ["0", "1", "2"]


def test_systems_that_cannot_do_this_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pwire.storage.directory._WALKS", False)
    with pytest.raises(StorageError, match="cannot open files relative to a directory") as caught:
        Directory.open(tmp_path)
    assert caught.value.kind == StorageErrorKind.UNSUITABLE
