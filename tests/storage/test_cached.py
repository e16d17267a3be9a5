"""Reading and writing at once what lies in memory: the same bytes as otherwise, or nothing at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2pwire.storage import (
    Content,
    FileSystemDownload,
    FileSystemStorage,
    PromptDownload,
    RunWrite,
    StorageError,
    cached,
    scan,
)
from p2pwire.storage.cached import CachedReader
from p2pwire.storage.directory import OpenFiles
from p2pwire.storage.interface import CachedContent
from p2pwire.wire.registry import MANIFEST_FILE

from .answers import answers, blob, folder, on_disk
from .answers import in_memory as whole
from .test_scan import CHANGES, put

DATA = bytes(range(256)) * 64


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(DATA)
    found = os.open(tmp_path / "file", os.O_RDONLY)
    yield found
    os.close(found)


def on_a_disk(monkeypatch: pytest.MonkeyPatch, preadv: Callable[..., int]) -> None:
    """Files lie on a disk, and `preadv` reads them."""
    monkeypatch.setattr(cached, "_NOWAIT", 8)
    monkeypatch.setattr(cached, "_lies_in_memory", lambda device: False)
    monkeypatch.setattr(os, "preadv", preadv, raising=False)


def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files lie in memory, wherever the tests' files do."""
    monkeypatch.setattr(cached, "_NOWAIT", 8)
    monkeypatch.setattr(cached, "_lies_in_memory", lambda device: True)


def test_from_a_disk_what_the_system_has_in_memory(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def preadv(file: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        asked.append((file, offset, flags))
        buffers[0][:] = DATA[offset : offset + len(buffers[0])]
        return len(buffers[0])

    on_a_disk(monkeypatch, preadv)
    assert CachedReader().read(fd, 1000, 30) == DATA[30:1030]
    assert asked == [(fd, 30, 8)]


@pytest.mark.parametrize("size", [0, 1, 99])
def test_not_a_part_of_it(fd: int, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    on_a_disk(monkeypatch, lambda *_: size)
    assert CachedReader().read(fd, 100, 0) is None


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EOPNOTSUPP])
def test_what_would_have_to_wait_is_not_read(fd: int, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def preadv(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    on_a_disk(monkeypatch, preadv)
    assert CachedReader().read(fd, 100, 0) is None


def test_other_errors_are_raised(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def preadv(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    on_a_disk(monkeypatch, preadv)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        CachedReader().read(fd, 100, 0)


def test_from_memory_all_that_is_there(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch)
    reader = CachedReader()
    assert reader.read(fd, len(DATA), 0) == DATA
    assert reader.read(fd, 10, len(DATA) - 10) == DATA[-10:]
    assert reader.read(fd, 11, len(DATA) - 10) is None


def test_where_the_system_cannot_say_nothing_is_read(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "_NOWAIT", 0)
    assert CachedReader().read(fd, 100, 0) is None


@pytest.mark.parametrize(
    ("device", "lies"),
    [(os.makedev(0, 24), True), (os.makedev(254, 0), False), (os.makedev(0, 2), False), (os.makedev(8, 1), False)],
)
def test_which_file_systems_lie_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: int, lies: bool
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        "31 22 0:24 / /tmpfs\\040place rw,nosuid shared:4 master:1 - tmpfs tmpfs rw,size=1k\n"
        "40 22 0:2 / /net rw - nfs tmpfs rw\n"
    )
    monkeypatch.setattr(cached, "_MOUNTS", mounts)
    assert cached._lies_in_memory(device) is lies
    mounts.unlink()
    assert cached._lies_in_memory(device) is False


def test_content_is_read_at_once_when_its_file_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch)
    content = blob(5)
    shared = scan(put(tmp_path / "name", content))
    assert isinstance(shared, CachedContent)
    assert shared.read_cached(0, 0, 2) is None  # to open a file may take long
    shared.read_blocks(0, 0, 1)
    for first, count in ((0, 1), (1, 3), (4, 1), (0, 5)):
        assert shared.read_cached(0, first, count) == content.read_blocks(0, first, count)
    with pytest.raises(IndexError):
        shared.read_cached(0, 4, 2)
    shared.close()
    assert shared.read_cached(0, 0, 1) is None


def test_a_manifest_lies_in_memory(tmp_path: Path) -> None:
    content = folder()
    shared = scan(put(tmp_path / "name", content))
    assert shared.read_cached(MANIFEST_FILE, 0, 1) == content.read_blocks(MANIFEST_FILE, 0, 1)
    shared.close()


@pytest.mark.parametrize("change", ["rewritten", "longer", "shorter"])
def test_what_changed_since_is_not_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    in_memory(monkeypatch)
    path = put(tmp_path / "name", blob(3))
    shared = scan(path)
    shared.read_blocks(0, 0, 1)
    assert shared.read_cached(0, 0, 1) is not None
    CHANGES[change][0](path)
    assert shared.read_cached(0, 0, 1) is None
    with pytest.raises(StorageError, match="was changed"):
        shared.read_blocks(0, 0, 1)
    shared.close()


def test_an_error_is_left_to_reading_that_may_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def preadv(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    shared = scan(put(tmp_path / "name", blob(3)))
    shared.read_blocks(0, 0, 1)
    on_a_disk(monkeypatch, preadv)
    assert shared.read_cached(0, 0, 1) is None
    shared.close()


def test_a_list_of_open_files_that_is_in_use_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"it")
    files = OpenFiles(lambda number: os.open(tmp_path / "file", os.O_RDONLY))
    with files.use_open(0) as fd:
        assert fd is None
    with files.use(0) as fd, files.use_open(0) as found:
        assert found == fd
        with files.use_open(0) as again:
            assert again is None
    files.close()
    with files.use_open(0) as fd:
        assert fd is None


def to_write(content: Content) -> list[RunWrite]:
    """Whole content as one run for each request."""
    return [
        RunWrite(blocks[0].file, blocks[0].block, [one.data for one in blocks], [one.proved for one in blocks])
        for blocks in answers(content)
    ]


def begun(place: Path, content: Content) -> tuple[FileSystemDownload, list[RunWrite]]:
    """A download of which the first run is written, and its file open; and the other runs."""
    download = FileSystemStorage(place).open_download(content.info, "name")
    first, *others = to_write(content)
    download.write_runs([first])
    return download, others


def test_a_download_in_memory_is_written_at_once_when_its_file_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory(monkeypatch)
    content = blob(130.5)
    download = FileSystemStorage(tmp_path).open_download(content.info, "name")
    assert isinstance(download, PromptDownload)
    first, *others = to_write(content)
    assert not download.write_at_once([first])  # to open a file may take long
    download.write_runs([first])
    assert len(others) > 1
    assert all(download.write_at_once([run]) for run in others)
    assert download.finish().read_bytes() == content.read_blocks(0, 0, 131)
    download.close()


def test_what_was_written_at_once_is_found_by_another_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch)
    content = blob(130.5)
    download, (second, *_) = begun(tmp_path, content)
    assert download.write_at_once([second])
    download.close()
    again = FileSystemStorage(tmp_path).open_download(content.info, "name")
    assert list(again.held.spans()) == [(0, 127)]
    again.close()


def test_a_download_on_a_disk_is_not_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "_lies_in_memory", lambda device: False)
    content = blob(130.5)
    download, (second, *_) = begun(tmp_path, content)
    assert not download.write_at_once([second])
    download.close()
    again = FileSystemStorage(tmp_path).open_download(content.info, "name")
    assert list(again.held.spans()) == [(0, 63)]
    again.close()


def test_nothing_is_written_at_once_while_another_thread_writes_or_if_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory(monkeypatch)
    content = blob(130.5)
    download, (second, third) = begun(tmp_path, content)
    written: list[bool] = []
    write = os.pwritev

    def meanwhile(fd: int, buffers: list[bytes], offset: int) -> int:
        written.append(download.write_at_once([third]))
        return write(fd, buffers, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", meanwhile)
        download.write_runs([second])
    assert written == [False]

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", full)
        assert not download.write_at_once([third])
        with pytest.raises(StorageError, match="the disk is full"):
            download.write_runs([third])
    assert download.write_at_once([third])
    assert download.finish().read_bytes() == content.read_blocks(0, 0, 131)
    download.close()


def test_one_open_file_tells_that_a_folder_lies_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch)
    content = folder()
    assert content.manifest is not None
    download = FileSystemStorage(tmp_path).open_download(content.info, "name")
    download.put_manifest(bytes(content.manifest.data), content.manifest)
    first, *_ = answers(content)
    download.write_blocks(first)
    for run in to_write(content)[1:]:
        assert download.write_at_once([RunWrite(first[0].file, 0, [first[0].data], [first[0].proved]), run])
        assert download.write_at_once([run])
    assert on_disk(download.finish()) == whole(content)
    download.close()
