"""What an earlier attempt left is not believed: damage costs the blocks that it touches and admits no wrong byte."""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.content.merkle import BLOCK
from p2pwire.storage import (
    Content,
    FileSystemDownload,
    FileSystemStorage,
    StorageError,
    StorageErrorKind,
)
from p2pwire.storage.journal import _HEADER

from .answers import answers, blob, folder, in_memory, number, on_disk

FOLDER = folder(3)
BLOB = blob(40.2)


def begin(directory: Path, content: Content, skip: int = 0) -> set[int]:
    """Receive all but the first `skip` answers, and stop; what was stored."""
    download = FileSystemStorage(directory).open_download(content.info, "name")
    if content.manifest is not None:
        download.put_manifest(bytes(content.manifest.data), content.manifest)
    stored = set()
    for writes in list(answers(content, 2))[skip:]:
        download.write_blocks(writes)
        stored |= {number(content, write) for write in writes}
    download.close()
    return stored


def area(directory: Path) -> Path:
    (found,) = directory.glob(".p2pwire-*")
    return found


def reopen(directory: Path, content: Content) -> tuple[FileSystemDownload, set[int]]:
    download = FileSystemStorage(directory).open_download(content.info, "name")
    return download, {block for first, last in download.held.spans() for block in range(first, last + 1)}


def complete(download: FileSystemDownload, content: Content) -> None:
    """Receive the rest, and compare."""
    if content.manifest is not None and download.manifest is None:
        download.put_manifest(bytes(content.manifest.data), content.manifest)
    for writes in answers(content, 1):
        download.write_blocks(writes)
    path = download.finish()
    assert on_disk(path) == in_memory(content)
    assert os.listdir(path.parent) == ["name"]
    download.close()


def test_a_wrong_byte_costs_its_block(tmp_path: Path) -> None:
    stored = begin(tmp_path, BLOB)
    with (area(tmp_path) / "content").open("r+b") as file:
        for block in (0, 7, 8, 40):
            file.seek(block * BLOCK + 77)
            byte = file.read(1)[0]
            file.seek(block * BLOCK + 77)
            file.write(bytes([byte ^ 1]))
    download, held = reopen(tmp_path, BLOB)
    assert stored - held == {0, 7, 8, 40}
    complete(download, BLOB)


def test_content_that_is_too_short_or_too_long(tmp_path: Path) -> None:
    stored = begin(tmp_path, BLOB)
    content = area(tmp_path) / "content"
    os.truncate(content, 10 * BLOCK + 5)
    download, held = reopen(tmp_path, BLOB)
    assert held == {block for block in stored if block < 10}
    download.close()
    with content.open("ab") as file:
        file.write(bytes(50 * BLOCK))
    download, held = reopen(tmp_path, BLOB)
    assert held == {block for block in stored if block < 10}
    complete(download, BLOB)


def test_a_missing_file_of_a_folder(tmp_path: Path) -> None:
    assert FOLDER.manifest is not None
    stored = begin(tmp_path, FOLDER)
    deep = [entry.path for entry in FOLDER.manifest].index("b/c/d/deep")
    shutil.rmtree(area(tmp_path) / "content" / "b" / "c")
    download, held = reopen(tmp_path, FOLDER)
    first = FOLDER.manifest.first_block(deep)
    assert stored - held == set(range(first, first + 71))
    complete(download, FOLDER)


@pytest.mark.parametrize("name", ["state", "content"])
def test_a_missing_part(tmp_path: Path, name: str) -> None:
    begin(tmp_path, BLOB, 1)
    (area(tmp_path) / name).unlink()
    download, held = reopen(tmp_path, BLOB)
    assert not held
    complete(download, BLOB)


@pytest.mark.parametrize("damage", [b"", b"junk", None])
def test_a_damaged_manifest(tmp_path: Path, damage: bytes | None) -> None:
    begin(tmp_path, FOLDER)
    manifest = area(tmp_path) / "manifest"
    raw = manifest.read_bytes()
    manifest.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]) if damage is None else damage)
    download, held = reopen(tmp_path, FOLDER)
    assert download.manifest is None
    assert not held
    complete(download, FOLDER)


def test_the_state_of_another_object(tmp_path: Path) -> None:
    begin(tmp_path / "other", blob(40.2, seed=9))
    begin(tmp_path, BLOB)
    shutil.copy(area(tmp_path / "other") / "state", area(tmp_path) / "state")
    shutil.rmtree(tmp_path / "other")
    download, held = reopen(tmp_path, BLOB)
    assert not held
    complete(download, BLOB)


def test_the_content_of_another_object(tmp_path: Path) -> None:
    begin(tmp_path / "other", blob(40.2, seed=9))
    begin(tmp_path, BLOB)
    shutil.copy(area(tmp_path / "other") / "content", area(tmp_path) / "content")
    shutil.rmtree(tmp_path / "other")
    download, held = reopen(tmp_path, BLOB)
    assert not held
    complete(download, BLOB)


def test_a_state_that_was_cut_anywhere(tmp_path: Path) -> None:
    stored = begin(tmp_path, BLOB)
    state = area(tmp_path) / "state"
    whole = state.read_bytes()
    counts = []
    for size in [*range(0, len(whole), 97), len(whole) - 1, len(whole)]:
        state.write_bytes(whole[:size])
        download, held = reopen(tmp_path, BLOB)
        assert held <= stored
        counts.append(len(held))
        if size < len(whole):
            # What is stored after a torn end is found again.
            download.write_blocks(list(answers(BLOB, 2))[-1])
            download.close()
            download, again = reopen(tmp_path, BLOB)
            assert again == held | {40}
        download.close()
    assert counts == sorted(counts)
    assert counts[-1] == len(stored)
    assert len(set(counts)) > 8


@settings(max_examples=60, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=3), data=st.data())
def test_a_state_of_which_any_byte_changed(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]], data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("flips")
    stored = begin(directory, BLOB)
    state = area(directory) / "state"
    raw = bytearray(state.read_bytes())
    for place, bits in flips:
        raw[place % len(raw)] ^= bits
    state.write_bytes(raw)
    download, held = reopen(directory, BLOB)
    assert held <= stored
    complete(download, BLOB)


def test_a_damaged_record_costs_what_it_names(tmp_path: Path) -> None:
    stored = begin(tmp_path, BLOB)
    state = area(tmp_path) / "state"
    raw = bytearray(state.read_bytes())
    raw[_HEADER + 8 + 20] ^= 1  # in the first entry
    state.write_bytes(raw)
    download, held = reopen(tmp_path, BLOB)
    assert stored - held == {0, 1, 2, 3}
    complete(download, BLOB)


def test_records_in_any_order(tmp_path: Path) -> None:
    stored = begin(tmp_path, BLOB)
    state = area(tmp_path) / "state"
    raw = state.read_bytes()
    records, at = [], _HEADER
    while at < len(raw):
        size = 8 + int.from_bytes(raw[at : at + 4], "big")
        records.append(raw[at : at + size])
        at += size
    assert len(records) == 11
    random.Random(1).shuffle(records)
    state.write_bytes(raw[:_HEADER] + b"".join(records + records[:3]))
    download, held = reopen(tmp_path, BLOB)
    assert held == stored
    complete(download, BLOB)


# --- Things that stand in the way ---


def test_a_finished_file_of_which_the_area_is_left(tmp_path: Path) -> None:
    # A process that dies between linking the file to its final name and removing the area leaves both.
    begin(tmp_path, BLOB)
    os.link(area(tmp_path) / "content", tmp_path / "name")
    download, _ = reopen(tmp_path, BLOB)
    assert download.path == tmp_path / "name"
    assert os.listdir(tmp_path) == ["name"]
    download.close()


def test_a_finished_file_that_was_moved_is_not_written_again(tmp_path: Path) -> None:
    begin(tmp_path, BLOB)
    os.link(area(tmp_path) / "content", tmp_path / "moved")
    before = (tmp_path / "moved").read_bytes()
    with (tmp_path / "moved").open("r+b") as file:
        file.write(b"changed by its owner")
    download, held = reopen(tmp_path, BLOB)
    assert not held
    for writes in answers(BLOB):
        download.write_blocks(writes)
    download.finish()
    download.close()
    assert (tmp_path / "moved").read_bytes() == b"changed by its owner" + before[20:]
    assert on_disk(tmp_path / "name") == in_memory(BLOB)


def plant_link(path: Path, target: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A folder outside, in which nothing may change."""
    path = tmp_path / "victim"
    path.mkdir()
    for name in ("tool", "one", "empty", "file"):
        (path / name).write_bytes(b"precious")
    before = on_disk(path)
    yield path
    assert on_disk(path) == before
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", ["a/tool", "a", "b/c", "b/hollow", "last", "b/c/d/deep"])
@pytest.mark.parametrize("target", ["victim", "victim/tool", "nothing"])
def test_a_link_in_the_content_is_replaced(tmp_path: Path, victim: Path, name: str, target: str) -> None:
    directory = tmp_path / "destination"
    begin(directory, FOLDER)
    plant_link(area(directory) / "content" / name, tmp_path / target)
    download, _ = reopen(directory, FOLDER)
    complete(download, FOLDER)


@pytest.mark.parametrize("name", ["content", "manifest", "object", "state", "lock"])
@pytest.mark.parametrize("target", ["victim", "victim/tool", "nothing"])
def test_a_link_for_a_part_of_the_area(tmp_path: Path, victim: Path, name: str, target: str) -> None:
    directory = tmp_path / "destination"
    begin(directory, FOLDER)
    plant_link(area(directory) / name, tmp_path / target)
    with pytest.raises(StorageError, match="link") as caught:
        reopen(directory, FOLDER)
    assert caught.value.kind == StorageErrorKind.OUTSIDE


@pytest.mark.parametrize("place", ["a/tool", "a", "b/c/d/deep", "last"])
def test_a_link_planted_while_blocks_arrive(tmp_path: Path, victim: Path, place: str) -> None:
    directory = tmp_path / "destination"
    assert FOLDER.manifest is not None
    download = FileSystemStorage(directory).open_download(FOLDER.info, "name")
    download.put_manifest(bytes(FOLDER.manifest.data), FOLDER.manifest)
    plant_link(area(directory) / "content" / place, victim if place == "a" else victim / "tool")
    caught: list[StorageError] = []
    for writes in answers(FOLDER):
        try:
            download.write_blocks(writes)
        except StorageError as error:
            caught.append(error)
    download.close()
    # The directory of "a" is still open, and empty.
    kind = StorageErrorKind.VANISHED if place == "a" else StorageErrorKind.OUTSIDE
    assert {error.kind for error in caught} == {kind}
    assert all(error.path.startswith(str(directory)) for error in caught)
    download, _ = reopen(directory, FOLDER)
    complete(download, FOLDER)


def test_a_link_for_the_area(tmp_path: Path, victim: Path) -> None:
    directory = tmp_path / "destination"
    begin(directory, BLOB)
    plant_link(area(directory), victim)
    with pytest.raises(StorageError, match="link") as caught:
        reopen(directory, BLOB)
    assert caught.value.kind == StorageErrorKind.OUTSIDE


def test_a_link_under_the_final_name(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(bytes(in_memory(BLOB)))  # type: ignore[arg-type]  # a blob is bytes
    directory = tmp_path / "destination"
    directory.mkdir()
    (directory / "name").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError) as caught:
        reopen(directory, BLOB)
    assert caught.value.kind == StorageErrorKind.EXISTS
    (directory / "name").unlink()
    download, _ = reopen(directory, BLOB)
    (directory / "name").symlink_to(tmp_path / "nowhere")
    for writes in answers(BLOB):
        download.write_blocks(writes)
    with pytest.raises(StorageError) as caught:
        download.finish()
    assert caught.value.kind == StorageErrorKind.EXISTS
    assert not (tmp_path / "nowhere").exists()
    download.close()


def test_the_destination_may_be_a_link_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    download, _ = reopen(tmp_path / "link", BLOB)
    complete(download, BLOB)
    assert on_disk(tmp_path / "real" / "name") == in_memory(BLOB)


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_directory(path: Path) -> None:
    path.unlink()
    (path / "below").mkdir(parents=True)


@pytest.mark.parametrize("make", [make_fifo, make_directory])
def test_something_else_in_place_of_a_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    begin(tmp_path, FOLDER)
    make(area(tmp_path) / "content" / "a" / "tool")
    download, _ = reopen(tmp_path, FOLDER)
    make(area(tmp_path) / "content" / "a" / "one")
    download.close()
    download, _ = reopen(tmp_path, FOLDER)
    complete(download, FOLDER)


def test_the_area_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(tmp_path, BLOB)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(StorageError, match="belongs to another user") as caught:
        reopen(tmp_path, BLOB)
    assert caught.value.kind == StorageErrorKind.DENIED


def test_nobody_else_enters_the_area(tmp_path: Path) -> None:
    begin(tmp_path, BLOB)
    assert stat.S_IMODE(area(tmp_path).stat().st_mode) == 0o700


# --- The finished folder ---


def test_what_programs_leave_in_the_folder_does_not_travel_on(tmp_path: Path) -> None:
    begin(tmp_path, FOLDER)
    content = area(tmp_path) / "content"
    (content / ".DS_Store").write_bytes(b"x")
    (content / "b" / "extra" / "more").mkdir(parents=True)
    (content / "b" / "hollow" / "Thumbs.db").write_bytes(b"x")
    (content / "a" / "link").symlink_to(tmp_path)
    download, _ = reopen(tmp_path, FOLDER)
    complete(download, FOLDER)


def test_executable_bits_are_what_the_manifest_says(tmp_path: Path) -> None:
    begin(tmp_path, FOLDER)
    content = area(tmp_path) / "content"
    (content / "a" / "tool").chmod(0o640)
    (content / "a" / "one").chmod(0o755)
    download, _ = reopen(tmp_path, FOLDER)
    complete(download, FOLDER)
    assert stat.S_IMODE((tmp_path / "name" / "a" / "tool").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "name" / "a" / "one").stat().st_mode) == 0o644


def test_the_umask_is_obeyed(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        begin(tmp_path, FOLDER)
        download, _ = reopen(tmp_path, FOLDER)
        complete(download, FOLDER)
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "name").rglob("*")}
    assert modes["tool"] == modes["hollow"] == modes["c"] == 0o750
    assert modes["one"] == modes["empty"] == 0o640
    assert stat.S_IMODE((tmp_path / "name").stat().st_mode) == 0o750


@pytest.mark.parametrize("how", ["short", "long", "missing", "directory", "hollow"])
def test_a_file_that_was_touched_while_it_arrived(tmp_path: Path, how: str) -> None:
    download, _ = reopen(tmp_path, FOLDER)
    assert FOLDER.manifest is not None
    download.put_manifest(bytes(FOLDER.manifest.data), FOLDER.manifest)
    for writes in answers(FOLDER):
        download.write_blocks(writes)
    file = area(tmp_path) / "content" / "a" / "tool"
    if how in ("short", "long"):
        os.truncate(file, 3 * BLOCK + (4 if how == "short" else 6))
    elif how == "hollow":
        (area(tmp_path) / "content" / "b" / "hollow").rmdir()
    else:
        file.unlink()
        if how == "directory":
            file.mkdir()
    with pytest.raises(StorageError, match="was changed after") as caught:
        download.finish()
    assert caught.value.kind == StorageErrorKind.CHANGED
    assert not (tmp_path / "name").exists()
    download.close()
    download, _ = reopen(tmp_path, FOLDER)
    complete(download, FOLDER)


def test_a_blob_that_was_touched_while_it_arrived(tmp_path: Path) -> None:
    download, _ = reopen(tmp_path, BLOB)
    for writes in answers(BLOB):
        download.write_blocks(writes)
    os.truncate(area(tmp_path) / "content", 5)
    with pytest.raises(StorageError) as caught:
        download.finish()
    assert caught.value.kind == StorageErrorKind.CHANGED
    download.close()
    download, held = reopen(tmp_path, BLOB)
    assert not held
    complete(download, BLOB)


@pytest.mark.parametrize("content", [BLOB, FOLDER], ids=["blob", "folder"])
def test_finished_content_that_the_user_edits_is_not_served(tmp_path: Path, content: Content) -> None:
    download, _ = reopen(tmp_path, content)
    if content.manifest is not None:
        download.put_manifest(bytes(content.manifest.data), content.manifest)
    for writes in answers(content):
        download.write_blocks(writes)
    path = download.finish()
    edited = path if content.manifest is None else path / "last"
    file = 0 if content.manifest is None else len(content.manifest) - 1
    assert download.read_blocks(file, 0, 1) == content.read_blocks(file, 0, 1)
    with edited.open("r+b") as stream:
        stream.write(b"edited")
    os.utime(edited, (1e9, 1e9))  # the clock of some systems stands still for milliseconds
    with pytest.raises(StorageError, match="was changed") as caught:
        download.read_blocks(file, 0, 1)
    assert caught.value.kind == StorageErrorKind.CHANGED
    assert caught.value.path == str(edited)
    download.close()
