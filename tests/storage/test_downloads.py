"""Downloads into a directory and into memory: one set of rules for both."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.content.manifest import Manifest
from p2pwire.content.merkle import BLOCK, Tree
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.units import BlockMap
from p2pwire.storage import (
    BlockWrite,
    Content,
    Download,
    FileSystemStorage,
    MemoryFile,
    MemoryStorage,
    RecallingStorage,
    RunWrite,
    Storage,
    StorageError,
    StorageErrorKind,
    share_bytes,
    share_folder,
)
from p2pwire.storage.hashing import RUN_BLOCKS
from p2pwire.wire.registry import MANIFEST_FILE

from .answers import answer, answers, blob, folder, in_memory, noise, number, on_disk, requests


@attrs.frozen
class Place:
    """A storage, and a way to look at what it finished that does not go through it."""

    storage: Storage
    look: Callable[[Path], object]


def disk(directory: Path) -> Place:
    return Place(FileSystemStorage(directory), on_disk)


def memory() -> Place:
    storage = MemoryStorage()
    return Place(storage, lambda path: storage.finished[path.name])


@pytest.fixture(params=["disk", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return disk(tmp_path / "new" / "directory") if request.param == "disk" else memory()


def start(place: Place, content: Content, name: str = "name") -> Download:
    """A download that has the manifest."""
    download = place.storage.open_download(content.info, name)
    if content.manifest is not None and download.manifest is None:
        download.put_manifest(bytes(content.manifest.data), content.manifest)
    return download


def receive(place: Place, content: Content, name: str = "name") -> Download:
    """A finished download."""
    download = start(place, content, name)
    for writes in answers(content):
        download.write_blocks(writes)
    download.finish()
    return download


OBJECTS = {
    "empty blob": share_bytes(b""),
    "small blob": share_bytes(b"hello"),
    "one block": blob(1),
    "blob": blob(300.3),
    "folder": folder(),
    "empty folder": share_folder({}),
    "folder of nothing": share_folder({"a": b"", "b/c": b"", "d": None}),
    "large manifest": share_folder({f"{n:04}" * 50: b"%d" % n for n in range(100)}),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_what_was_sent_arrives(place: Place, name: str) -> None:
    content = OBJECTS[name]
    download = receive(place, content, "näme 🙂")
    assert download.path is not None
    assert download.path.name == "näme 🙂"
    assert place.look(download.path) == in_memory(content)
    assert in_memory(download) == in_memory(content)  # it can still be served
    assert download.finish() == download.path
    download.close()


def test_a_manifest_can_be_served_in_blocks(place: Place) -> None:
    content = OBJECTS["large manifest"]
    download = start(place, content)
    blocks = -(-content.info.length // BLOCK)
    assert blocks > 1
    assert download.read_blocks(MANIFEST_FILE, 0, blocks) == content.read_blocks(MANIFEST_FILE, 0, blocks)
    assert download.read_blocks(MANIFEST_FILE, 1, 1) == content.read_blocks(MANIFEST_FILE, 1, 1)
    download.close()
    again = place.storage.open_download(content.info, "name")
    assert again.manifest is not None
    assert bytes(again.manifest.data) == content.read_blocks(MANIFEST_FILE, 0, blocks)
    tree = again.trees[MANIFEST_FILE]
    assert [tree.leaf(block) for block in range(blocks)] == [
        content.trees[MANIFEST_FILE].leaf(block) for block in range(blocks)
    ]
    again.close()


def recall(place: Place, oid: bytes) -> ObjectInfo | None:
    assert isinstance(place.storage, RecallingStorage)
    return place.storage.recall(oid)


@pytest.mark.parametrize("name", OBJECTS)
def test_what_was_begun_tells_what_it_is(place: Place, name: str) -> None:
    content = OBJECTS[name]
    assert recall(place, content.info.oid) is None
    download = start(place, content)
    for request in requests(content, 2)[:1]:
        download.write_blocks(answer(content, request))
    assert recall(place, content.info.oid) == content.info  # another process may ask
    download.close()
    # A directory in which there is nothing to go on with is removed.
    gone = not content.info.length and isinstance(place.storage, FileSystemStorage)
    assert recall(place, content.info.oid) == (None if gone else content.info)
    assert recall(place, bytes(32)) is None


def test_remains_that_are_not_what_they_were_tell_nothing_and_are_mended(tmp_path: Path) -> None:
    content = blob(9)
    place = disk(tmp_path)
    receive_some(place, content)
    file = FileSystemStorage(tmp_path).area(content.info.oid) / "object"
    whole = file.read_bytes()
    wrong = [whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :] for at in range(len(whole))]
    for damaged in (*wrong, *(whole[:at] for at in range(len(whole))), whole + b"!"):
        file.write_bytes(damaged)
        assert recall(place, content.info.oid) is None
    receive_some(place, content)
    assert recall(place, content.info.oid) == content.info
    file.unlink()
    file.symlink_to(tmp_path)
    assert recall(place, content.info.oid) is None
    assert recall(disk(tmp_path / "nowhere"), content.info.oid) is None


def receive_some(place: Place, content: Content) -> None:
    download = start(place, content)
    download.write_blocks(answer(content, requests(content, 1)[0]))
    download.close()


def test_blocks_are_served_while_others_are_missing(place: Place) -> None:
    content = folder()
    download = start(place, content)
    for request in requests(content, 2)[::2]:
        writes = answer(content, request)
        download.write_blocks(writes)
        for write in writes:
            assert download.read_blocks(write.file, write.block, 1) == bytes(write.data)
        assert download.read_blocks(request[0], request[1], len(writes)) == b"".join(
            bytes(write.data) for write in writes
        )
    download.close()


file_sizes = st.integers(0, 9 * BLOCK) | st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 70 * BLOCK + 3])
names = st.text(st.characters(exclude_categories=["C"], exclude_characters="/\\"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
kinds = st.tuples(st.sampled_from(["file", "executable", "directory"]), file_sizes)


def build(tree: dict[str, tuple[str, int]]) -> Content:
    """A folder of these paths, without those that would be both a file and a directory."""
    files: dict[str, bytes | MemoryFile | None] = {}
    for path, (kind, size) in tree.items():
        if not any(other.startswith(path + "/") or path.startswith(other + "/") for other in files):
            data = noise(size, len(files))
            files[path] = None if kind == "directory" else MemoryFile(data, kind == "executable")
    return share_folder(files)


objects = file_sizes.map(lambda size: share_bytes(noise(size))) | st.dictionaries(paths, kinds, max_size=6).map(build)


def places() -> Iterator[Place]:
    yield memory()
    root = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
    directory = Path(tempfile.mkdtemp(dir=root))
    try:
        yield disk(directory)
    finally:
        shutil.rmtree(directory)


@settings(max_examples=30, deadline=None)
@given(content=objects, chance=st.randoms(use_true_random=False), level=st.integers(0, 6))
def test_any_order_with_any_breaks_gives_the_object(content: Content, chance: random.Random, level: int) -> None:
    todo = requests(content, level)
    chance.shuffle(todo)
    cuts = [chance.random() < 0.3 for _ in todo]
    for place in places():
        download = start(place, content)
        stored: set[int] = set()
        for request, cut in zip(todo, cuts, strict=True):
            writes = answer(content, request)
            chance.shuffle(writes)
            download.write_blocks(writes + writes[:1])
            stored |= {number(content, write) for write in writes}
            if cut:
                download.close()
                download = start(place, content)
                assert {block for first, last in download.held.spans() for block in range(first, last + 1)} == stored
                check_trees(content, download, stored)
        path = download.finish()
        assert place.look(path) == in_memory(content)
        download.close()


def check_trees(content: Content, download: Download, stored: set[int]) -> None:
    """What is known of the trees is right, and enough to prove every stored block."""
    for file, whole in content.trees.items():
        if file == MANIFEST_FILE:
            continue
        tree = download.trees.get(file) or Tree(whole.length, whole.root)
        first = content.manifest.first_block(file) if content.manifest is not None else 0
        for block in range(whole.blocks):
            if first + block in stored:
                assert tree.siblings(block, tree.height) == whole.siblings(block, tree.height)
                assert tree.leaf(block) == whole.leaf(block)


def test_held_and_trees_are_the_callers(place: Place) -> None:
    content = blob(5)
    download = start(place, content)
    download.held.add(3)
    download.trees[0] = Tree(content.info.length, content.info.root)
    with pytest.raises(ValueError, match="5 blocks missing"):
        download.finish()
    for writes in answers(content):
        download.write_blocks(writes)
    assert place.look(download.finish()) == in_memory(content)
    download.close()


def test_an_unfinished_object_is_not_under_its_name(place: Place, tmp_path: Path) -> None:
    content = folder()
    download = place.storage.open_download(content.info, "name")
    with pytest.raises(ValueError, match=r"(the manifest|0 blocks) missing"):
        download.finish()
    with pytest.raises(ValueError, match="nothing that they belong to"):
        download.write_blocks(answer(content, (1, 0, 0)))
    assert content.manifest is not None
    download.put_manifest(bytes(content.manifest.data), content.manifest)
    for writes in list(answers(content))[1:]:
        download.write_blocks(writes)
    with pytest.raises(ValueError, match="1 blocks missing"):
        download.finish()
    assert download.path is None
    assert not (tmp_path / "new" / "directory" / "name").exists()
    download.close()


def test_discarded_means_gone(place: Place, tmp_path: Path) -> None:
    content = folder()
    download = start(place, content)
    download.write_blocks(answer(content, requests(content)[0]))
    download.discard()
    download.discard()
    again = place.storage.open_download(content.info, "name")
    assert again.manifest is None
    assert not again.held.count
    again.close()
    assert not any((tmp_path / "new").glob("*/*"))


def test_discarding_leaves_what_is_finished(place: Place) -> None:
    download = receive(place, OBJECTS["folder"])
    assert download.path is not None
    download.discard()
    assert place.look(download.path) == in_memory(OBJECTS["folder"])


def test_closed_twice(place: Place) -> None:
    download = start(place, OBJECTS["blob"])
    download.close()
    download.close()
    with pytest.raises(ValueError, match="nothing that they belong to"):
        download.write_blocks(answer(OBJECTS["blob"], (0, 0, 0)))


def test_blocks_that_come_after_the_end(place: Place) -> None:
    download = receive(place, OBJECTS["folder"])
    assert download.path is not None
    for writes in answers(OBJECTS["folder"]):
        download.write_blocks(writes)
    assert place.look(download.path) == in_memory(OBJECTS["folder"])
    download.close()


def test_one_download_at_a_time(place: Place) -> None:
    download = start(place, OBJECTS["blob"])
    with pytest.raises(StorageError, match="already") as caught:
        place.storage.open_download(OBJECTS["blob"].info, "name")
    assert caught.value.kind == StorageErrorKind.BUSY
    other = start(place, OBJECTS["folder"], "other")  # another object does not mind
    other.close()
    download.close()
    start(place, OBJECTS["blob"]).close()


def test_the_name_is_taken_meanwhile(place: Place, tmp_path: Path) -> None:
    first, second = start(place, blob(3, seed=1)), start(place, blob(3, seed=2))
    for download, content in ((first, blob(3, seed=1)), (second, blob(3, seed=2))):
        for writes in answers(content):
            download.write_blocks(writes)
    path = first.finish()
    with pytest.raises(StorageError) as caught:
        second.finish()
    assert caught.value.kind == StorageErrorKind.EXISTS
    assert place.look(path) == in_memory(blob(3, seed=1))
    first.close()
    second.close()


@pytest.mark.parametrize("content", [OBJECTS["blob"], OBJECTS["folder"]], ids=["blob", "folder"])
def test_the_name_belongs_to_something_else(place: Place, content: Content) -> None:
    receive(place, blob(2, seed=5)).close()
    with pytest.raises(StorageError, match="exists and is not the same content") as caught:
        place.storage.open_download(content.info, "name")
    assert caught.value.kind == StorageErrorKind.EXISTS


@pytest.mark.parametrize("name", OBJECTS)
def test_received_again_it_is_finished_at_once(place: Place, name: str) -> None:
    content = OBJECTS[name]
    receive(place, content).close()
    download = place.storage.open_download(content.info, "name")
    assert download.path is not None
    assert download.held.complete
    assert (download.manifest is None) == (content.manifest is None)
    assert download.finish() == download.path
    assert in_memory(download) == in_memory(content)
    check_trees(content, download, set(range(download.held.total)))
    download.close()


def test_blocks_that_no_file_has(place: Place) -> None:
    content = blob(2.5)
    download = start(place, content)
    first, second, third = answer(content, (0, 0, 2))
    with pytest.raises(ValueError, match="are not its length"):
        download.write_blocks([first, attrs.evolve(third, data=bytes(BLOCK))])
    with pytest.raises(IndexError):
        download.write_blocks([attrs.evolve(second, block=3)])
    with pytest.raises(IndexError):
        download.write_blocks([attrs.evolve(second, file=1)])
    for file, block, count in ((0, 3, 1), (0, 0, 4), (0, -1, 1), (0, 1, 0), (1, 0, 1)):
        with pytest.raises(IndexError):
            download.read_blocks(file, block, count)
    download.write_runs([RunWrite(0, 1, [], [])])
    assert not list(download.held.spans())
    download.write_blocks([first, second, third])
    download.finish()
    download.close()


def test_manifests_that_nobody_waits_for(place: Place) -> None:
    content = folder()
    assert content.manifest is not None
    raw = bytes(content.manifest.data)
    for wrong in (place.storage.open_download(blob(1).info, "blob"), place.storage.open_download(content.info, "name")):
        with pytest.raises(ValueError, match="not one that this download waits for"):
            wrong.put_manifest(raw + b"x", content.manifest)
        wrong.close()
    download = start(place, content)
    download.put_manifest(raw, content.manifest)  # a second time changes nothing
    download.close()


def test_objects_that_cannot_be(place: Place) -> None:
    with pytest.raises(ValueError, match="kind: 9"):
        place.storage.open_download(ObjectInfo(9, 0, bytes(32)), "name")


@pytest.mark.parametrize("limit", [0, 1, 2 * BLOCK - 1])
def test_no_more_than_the_caller_consents_to(tmp_path: Path, limit: int) -> None:
    big = ObjectInfo(0, 2**46, bytes(32))
    folders = share_folder({"a": noise(BLOCK), "b": noise(BLOCK)})
    assert folders.manifest is not None
    for storage in (FileSystemStorage(tmp_path, quota=limit), MemoryStorage(quota=limit)):
        with pytest.raises(StorageError, match=f"70368744177664 bytes in .*: at most {limit} are accepted") as caught:
            storage.open_download(big, "big")
        assert caught.value.kind == StorageErrorKind.OVER_QUOTA
        download = storage.open_download(folders.info, "folder")
        with pytest.raises(StorageError, match=f"at most {limit} are accepted") as caught:
            download.put_manifest(bytes(folders.manifest.data), folders.manifest)
        assert caught.value.kind == StorageErrorKind.OVER_QUOTA
        download.close()
    assert not any(tmp_path.iterdir())


def test_the_quota_admits_what_fits(tmp_path: Path) -> None:
    for storage in (FileSystemStorage(tmp_path, quota=2 * BLOCK), MemoryStorage(quota=2 * BLOCK)):
        receive(Place(storage, on_disk), blob(2), "blob").close()


def test_a_declared_length_reserves_nothing(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    before = free // BLOCK * BLOCK // 2
    download = FileSystemStorage(tmp_path).open_download(ObjectInfo(0, before, noise(32)), "half")
    used = sum(file.stat().st_blocks * 512 for file in tmp_path.rglob("*"))
    assert used < 64 * 1024
    download.close()
    with pytest.raises(StorageError, match="are free") as caught:
        FileSystemStorage(tmp_path).open_download(ObjectInfo(0, 2**46, noise(32)), "all")
    assert caught.value.kind == StorageErrorKind.NO_SPACE
    assert not any(tmp_path.iterdir())


def test_a_hundred_thousand_terabytes_in_a_manifest(tmp_path: Path) -> None:
    content = share_folder({"a": b"x"})
    assert content.manifest is not None
    entry = attrs.evolve(content.manifest[0], length=2**46)
    manifest = Manifest.from_entries([entry])
    info = ObjectInfo(1, manifest.length, noise(32))
    download = FileSystemStorage(tmp_path).open_download(info, "name")
    with pytest.raises(StorageError, match="are free") as caught:
        download.put_manifest(bytes(manifest.data), manifest)
    assert caught.value.kind == StorageErrorKind.NO_SPACE
    download.close()
    assert not any(tmp_path.iterdir())


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    place = disk(tmp_path)
    for name in OBJECTS:
        download = start(place, OBJECTS[name], name)
        for writes in answers(OBJECTS[name]):
            download.write_blocks(writes)
        download.close()
        download = start(place, OBJECTS[name], name)
        download.finish()
        download.close()
        place.storage.open_download(OBJECTS[name].info, name).close()
        with pytest.raises(StorageError):
            place.storage.open_download(blob(1, seed=99).info, name)
    assert set(os.listdir("/proc/self/fd")) == before


def test_few_files_are_open_at_once(tmp_path: Path) -> None:
    content = share_folder({f"{n % 90:03}/{n:04}": b"%d" % n for n in range(1000)})
    before = len(os.listdir("/proc/self/fd"))
    download = start(disk(tmp_path), content)
    writes = [write for each in answers(content) for write in each]
    for at in range(0, len(writes), 100):
        download.write_blocks(writes[at : at + 100])
        assert len(os.listdir("/proc/self/fd")) - before < 250
    download.finish()
    assert in_memory(download) == in_memory(content)
    assert len(os.listdir("/proc/self/fd")) - before < 250
    download.close()


def test_neighbours_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = blob(200)
    download = start(disk(tmp_path), content)
    calls: list[tuple[int, int]] = []
    real = os.pwritev

    def count(fd: int, buffers: list[bytes], offset: int) -> int:
        calls.append((offset // BLOCK, len(buffers)))
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "pwritev", count)
    writes = [write for each in answers(content) for write in each]
    download.write_blocks(writes[64:128])
    download.write_blocks(writes[:10] + writes[20:30] + writes[10:15])
    download.write_blocks(writes)
    assert calls == [(64, 64), (0, 15), (20, 10), (15, 5), (30, 34), (128, 72)]
    download.finish()
    download.close()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = blob(10.5)
    download = start(disk(tmp_path), content)
    many, one = os.pwritev, os.pwrite
    monkeypatch.setattr(os, "pwritev", lambda fd, buffers, at: many(fd, [buffers[0][:1000]], at))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: one(fd, data[:7777], at))
    for writes in answers(content):
        download.write_blocks(writes)
    monkeypatch.undo()
    download.close()
    again = start(disk(tmp_path), content)
    assert again.held.complete
    assert on_disk(again.finish()) == in_memory(content)
    again.close()


def test_many_threads(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    content = folder()
    download = start(disk(tmp_path), content)

    def work(writes: list[BlockWrite]) -> bool:
        download.write_blocks(writes)
        return all(download.read_blocks(write.file, write.block, 1) == bytes(write.data) for write in writes)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, answers(content, 0)))
    download.close()
    again = start(disk(tmp_path), content)
    assert again.held.complete
    assert on_disk(again.finish()) == in_memory(content)
    again.close()


def test_progress_of_checking_can_be_followed_and_stopped(tmp_path: Path) -> None:
    content = blob(2.1 * RUN_BLOCKS)
    download = start(disk(tmp_path), content)
    for writes in answers(content):
        download.write_blocks(writes)
    download.close()
    seen: list[tuple[int, int]] = []
    FileSystemStorage(tmp_path).open_download(content.info, "name", lambda *done: seen.append(done)).close()
    assert seen[-1] == (content.info.length, content.info.length)
    assert seen == sorted(seen)
    assert len(seen) == 3

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FileSystemStorage(tmp_path).open_download(content.info, "name", stop)
    download = start(disk(tmp_path), content)
    assert download.held.complete
    download.close()


def test_a_complete_map_of_nothing() -> None:
    assert BlockMap(0).complete  # what finishing an empty object rests on
