"""What the disk and the system refuse: one clear sentence each, and what was verified is kept."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from p2pwire.storage import Content, FileSystemStorage, StorageError, StorageErrorKind
from p2pwire.storage.errors import shown, storage_error

from .answers import answers, blob, folder, in_memory, number, on_disk

CONTENT = blob(100)
FOLDER = folder()


@attrs.frozen
class SmallDisk:
    """A directory with room for 2 MiB."""

    directory: Path
    fill: Callable[[], object]
    """Take all but about half a MiB of the room."""
    free: Callable[[], object]
    """Give it back."""


@pytest.fixture(params=["real", "imitated"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    """A small file system of its own, where one can be had, or writes that fail like those to a full one."""
    directory = tmp_path / "small"
    directory.mkdir()
    filler = directory / "filler"
    if request.param == "real" and mounted(directory, "size=2m"):
        yield SmallDisk(directory, lambda: filler.write_bytes(bytes(1_500_000)), filler.unlink)
        subprocess.run(["umount", str(directory)], check=True)
        return
    room = [2 << 20]
    real = os.pwrite

    def pwrite(fd: int, data: bytes | memoryview, offset: int) -> int:
        fitting = bytes(data)[: room[0]]
        if not fitting:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= len(fitting)
        return real(fd, fitting, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "pwritev", lambda fd, buffers, offset: pwrite(fd, b"".join(buffers), offset))
    yield SmallDisk(directory, lambda: room.__setitem__(0, 500_000), lambda: room.__setitem__(0, 2 << 20))


def mounted(directory: Path, option: str) -> bool:
    """Whether a file system in memory could be mounted there."""
    if shutil.which("mount") is None:
        return False
    command = ["mount", "-t", "tmpfs", "-o", option, "none", str(directory)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def blocks_held(download: Content) -> set[int]:
    return {block for first, last in download.held.spans() for block in range(first, last + 1)}


def test_a_disk_that_fills_up(small_disk: SmallDisk) -> None:
    storage = FileSystemStorage(small_disk.directory)
    download = storage.open_download(CONTENT.info, "name")
    small_disk.fill()
    stored: set[int] = set()
    caught: list[StorageError] = []
    for writes in answers(CONTENT, 2):
        try:
            download.write_blocks(writes)
        except StorageError as error:
            caught.append(error)
        else:
            stored |= {number(CONTENT, write) for write in writes}
    assert 4 < len(stored) < 60
    assert len(caught) > 5
    assert {error.kind for error in caught} == {StorageErrorKind.NO_SPACE}
    assert {error.text for error in caught} <= {f"cannot write {error.path}: the disk is full" for error in caught}
    for block in stored:  # what is there is served on
        assert download.read_blocks(0, block, 1) == CONTENT.read_blocks(0, block, 1)
    download.close()
    small_disk.free()
    download = storage.open_download(CONTENT.info, "name")
    assert blocks_held(download) >= stored
    for writes in answers(CONTENT, 2):
        download.write_blocks(writes)
    assert on_disk(download.finish()) == in_memory(CONTENT)
    download.close()


def test_what_the_disk_has_no_room_for_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    free = CONTENT.info.length // real.f_frsize
    fields = list(real)
    fields[4] = free  # f_bavail: one block less than it takes
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(fields))
    storage = FileSystemStorage(tmp_path)
    with pytest.raises(StorageError) as caught:
        storage.open_download(blob(101).info, "name")
    assert caught.value.kind == StorageErrorKind.NO_SPACE
    assert caught.value.text == (
        f"cannot store {101 * 16384} more bytes in {tmp_path}: {free * real.f_frsize} are free"
    )
    assert not any(tmp_path.iterdir())
    download = storage.open_download(CONTENT.info, "name")
    download.write_blocks(next(answers(CONTENT)))
    download.close()
    fields[4] = free - 64 * 16384 // real.f_frsize  # what is stored needs no room again
    storage.open_download(CONTENT.info, "name").close()
    fields[4] -= 1
    with pytest.raises(StorageError, match="are free"):
        storage.open_download(CONTENT.info, "name")
    fields[2] = 0  # f_blocks: a file system that does not know its size
    download = storage.open_download(CONTENT.info, "name")
    assert blocks_held(download) == set(range(64))
    download.close()


def fail(code: int) -> Callable[..., int]:
    def call(*args: object, **options: object) -> int:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("content", [CONTENT, FOLDER], ids=["blob", "folder"])
def test_an_area_that_vanishes(tmp_path: Path, content: Content) -> None:
    storage = FileSystemStorage(tmp_path / "new")
    download = storage.open_download(content.info, "name")
    if content.manifest is not None:
        download.put_manifest(bytes(content.manifest.data), content.manifest)
    parts = list(answers(content))
    download.write_blocks(parts[0])
    shutil.rmtree(tmp_path / "new")
    kinds = set()
    for part in parts[1:]:
        try:
            download.write_blocks(part)
        except StorageError as error:
            kinds.add(error.kind)
    if not kinds:  # all of it went into files that are open, and belong to no directory any more
        with pytest.raises(StorageError) as caught:
            download.finish()
        kinds.add(caught.value.kind)
    assert kinds <= {StorageErrorKind.VANISHED, StorageErrorKind.CHANGED}
    assert not (tmp_path / "new").exists()
    download.close()
    receive(storage, content)
    assert on_disk(tmp_path / "new" / "name") == in_memory(content)


def test_a_state_file_that_cannot_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = FileSystemStorage(tmp_path)
    download = storage.open_download(CONTENT.info, "name")
    parts = list(answers(CONTENT, 3))
    download.write_blocks(parts[0])
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fail(errno.EDQUOT))
        with pytest.raises(StorageError, match="state: the disk quota is used up") as caught:
            download.write_blocks(parts[1])
        assert caught.value.kind == StorageErrorKind.NO_SPACE
    with pytest.raises(ValueError, match="92 blocks missing"):
        download.finish()
    real = os.pwrite
    with monkeypatch.context() as patch:  # half a record is overwritten by the next
        patch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:100], at) if len(data) > 101 else fail(28)())
        with pytest.raises(StorageError):
            download.write_blocks(parts[2])
    download.write_blocks(parts[3][:1])
    download.close()
    download = storage.open_download(CONTENT.info, "name")
    assert blocks_held(download) == {*range(8), 24}
    for part in parts:
        download.write_blocks(part)
    assert on_disk(download.finish()) == in_memory(CONTENT)
    download.close()


def test_each_error_has_its_kind_and_sentence() -> None:
    kinds = {
        errno.ENOSPC: StorageErrorKind.NO_SPACE,
        errno.EDQUOT: StorageErrorKind.NO_SPACE,
        errno.EFBIG: StorageErrorKind.NO_SPACE,
        errno.EROFS: StorageErrorKind.READ_ONLY,
        errno.EACCES: StorageErrorKind.DENIED,
        errno.EPERM: StorageErrorKind.DENIED,
        errno.ENOENT: StorageErrorKind.VANISHED,
        errno.EEXIST: StorageErrorKind.EXISTS,
        errno.ELOOP: StorageErrorKind.OUTSIDE,
        errno.ENOTDIR: StorageErrorKind.OUTSIDE,
        errno.ENAMETOOLONG: StorageErrorKind.NAME,
        errno.EIO: StorageErrorKind.FAILED,
        errno.EMFILE: StorageErrorKind.FAILED,
    }
    texts = set()
    for code, kind in kinds.items():
        error = storage_error(OSError(code, os.strerror(code)), "write", "/a/b")
        assert (error.kind, error.path) == (kind, "/a/b")
        assert error.text == str(error)
        assert error.text.startswith("cannot write /a/b: ")
        texts.add(error.text)
    assert len(texts) == len(kinds)
    assert storage_error(OSError("odd"), "read", b"/a").text == "cannot read /a: OSError"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/a b/ä/日本\u3000語", "/a b/ä/日本\u3000語"),
        ("/a\x1b[31m", "'/a\\x1b[31m'"),
        (b"/a\xff", "'/a\\udcff'"),
        ("/a\u202egpj", "'/a\\u202egpj'"),
        ("/a\nb", "'/a\\nb'"),
    ],
)
def test_no_name_steers_a_terminal(path: str | bytes, text: str) -> None:
    assert shown(path) == text


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["mkdir", "open", "rename", "link", "fsync", "pwritev", "unlink", "rmdir"])
def test_whatever_fails_can_be_tried_again(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """Each single call fails in one attempt; the next one succeeds."""
    calls, errors = 0, []
    for content in (blob(3), FOLDER):
        for turn in range(1000):
            storage = FileSystemStorage(quick_path / f"{content.info.kind} {turn}")
            fallible = FailsOnce(getattr(os, call), turn, code)
            with monkeypatch.context() as patch:
                patch.setattr(os, call, fallible)
                try:
                    receive(storage, content)
                except StorageError as error:
                    errors.append((error, storage.directory))
            receive(storage, content)
            assert on_disk(storage.directory / "name") == in_memory(content)
            assert os.listdir(storage.directory) == ["name"]
            if fallible.calls <= turn:
                break
        calls += turn
    assert calls
    assert all(error.path.startswith(str(directory)) for error, directory in errors)
    # Remains that cannot be removed are nobody's concern, and without links there is another way.
    assert len(errors) > calls // 2 or call in ("link", "unlink", "rmdir")


class FailsOnce:
    """A call to the system of which the one after `turn` others fails."""

    def __init__(self, real: Callable[..., object], turn: int, code: int) -> None:
        self.calls = 0
        self._real = real
        self._turn = turn
        self._code = code

    def __call__(self, *args: object, **options: object) -> object:
        self.calls += 1
        return fail(self._code)() if self.calls == self._turn + 1 else self._real(*args, **options)


def receive(storage: FileSystemStorage, content: Content) -> None:
    download = storage.open_download(content.info, "name")
    try:
        if download.path is None:
            if content.manifest is not None and download.manifest is None:
                download.put_manifest(bytes(content.manifest.data), content.manifest)
            for writes in answers(content):
                download.write_blocks(writes)
        download.finish()
    finally:
        download.close()


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from p2pwire.storage import FileSystemStorage, StorageError, scan
from tests.storage.answers import blob
content = blob(1)
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for attempt in (lambda: FileSystemStorage(Path("closed")).open_download(content.info, "name"),
                lambda: FileSystemStorage(Path("closed/below")).open_download(content.info, "name"),
                lambda: scan(Path("secrets/file")),
                lambda: scan(Path("secrets"))):
    try:
        attempt()
    except StorageError as error:
        print(error.kind.name, error.text, sep="|")
"""


def test_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0o555)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "file").write_bytes(b"x")
    (tmp_path / "secrets" / "file").chmod(0)
    command = [sys.executable, "-c", UNPRIVILEGED, str(tmp_path)]
    result = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert not result.stderr
    lines = [line.split("|") for line in result.stdout.splitlines()]
    assert [kind for kind, _ in lines] == ["DENIED"] * 4
    assert all(text.endswith(": permission denied") for _, text in lines)
    assert "closed" in lines[0][1]
    assert "secrets/file" in lines[2][1]
    assert "secrets/file" in lines[3][1]
