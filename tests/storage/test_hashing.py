"""Hashing files block by block: short reads, short files, threads, and errors in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from p2pwire.content.merkle import BLOCK, Tree
from p2pwire.storage import StorageError, StorageErrorKind
from p2pwire.storage import hashing as module
from p2pwire.storage.hashing import READ_BLOCKS, RUN_BLOCKS, BlockHasher, BlockReader, runs

from .answers import noise


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    count: int = request.param
    monkeypatch.setattr(module, "_THREADS", count)
    return count


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[int, bytes]]:
    """A file of some runs, and its content."""
    content = noise(int(2.3 * RUN_BLOCKS * BLOCK))
    (tmp_path / "file").write_bytes(content)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    yield fd, content
    os.close(fd)


def hashes_of(content: bytes) -> list[bytes]:
    return [sha256(content[at : at + BLOCK]).digest() for at in range(0, len(content), BLOCK)]


@pytest.mark.parametrize(
    "blocks", [0, 0.5, 1, READ_BLOCKS - 0.5, READ_BLOCKS, READ_BLOCKS + 0.1, 3 * READ_BLOCKS - 0.1]
)
def test_any_part_of_a_file(tmp_path: Path, blocks: float) -> None:
    content = noise(int(blocks * BLOCK))
    (tmp_path / "file").write_bytes(b"before" + content + b"after")
    reader = BlockReader()
    with (tmp_path / "file").open("rb") as file:
        for _ in range(2):
            assert reader.hashes(file.fileno(), 6, len(content)) == hashes_of(content)


@pytest.mark.parametrize("wanting", [1, BLOCK, READ_BLOCKS * BLOCK, READ_BLOCKS * BLOCK + 1])
def test_a_file_that_is_shorter_than_it_should_be(tmp_path: Path, wanting: int) -> None:
    content = noise(int(2.5 * READ_BLOCKS * BLOCK))
    (tmp_path / "file").write_bytes(content[: len(content) - wanting])
    with (tmp_path / "file").open("rb") as file:
        found = BlockReader().hashes(file.fileno(), 0, len(content))
        assert found == hashes_of(content[: len(content) - wanting])


def test_reads_that_bring_less_than_was_asked_for(opened: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    fd, content = opened
    real = os.preadv

    def stingy(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        return real(fd, [buffers[0][:10_000]], offset)

    monkeypatch.setattr(os, "preadv", stingy)
    assert BlockReader().hashes(fd, 0, len(content)) == hashes_of(content)


def test_runs_and_pages_come_in_order(opened: tuple[int, bytes], threads: int) -> None:
    fd, content = opened
    leaves = hashes_of(content)
    with BlockHasher() as hasher:
        found = list(hasher.hashes(fd, len(content), runs(0, len(leaves)), len(leaves), Path("file")))
        pages = [page for some in hasher.pages(fd, len(content), Path("file")) for page in some]
    assert [first for first, _ in found] == [0, RUN_BLOCKS, 2 * RUN_BLOCKS]
    assert [leaf for _, some in found for leaf in some] == leaves
    assert Tree.from_pages(len(content), pages).dump() == Tree.from_leaves(len(content), b"".join(leaves)).dump()


def test_pages_end_where_the_file_does(opened: tuple[int, bytes], threads: int) -> None:
    fd, content = opened
    with BlockHasher() as hasher:
        pages = [page for some in hasher.pages(fd, len(content) + 100 * BLOCK, Path("file")) for page in some]
    assert len(pages) == len(content) // BLOCK // 64


def test_what_goes_wrong_in_a_thread_is_reported(
    opened: tuple[int, bytes], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd, content = opened

    def broken(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "preadv", broken)
    with BlockHasher() as hasher, pytest.raises(StorageError) as caught:
        list(hasher.pages(fd, len(content), Path("/place"), "file"))
    assert caught.value.kind == StorageErrorKind.DENIED
    assert caught.value.path == "/place/file"


def test_no_thread_works_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops early may close the file at once."""
    monkeypatch.setattr(module, "_THREADS", 2)
    begun: list[int] = []
    ended: list[int] = []
    data = noise(1 << 20)

    def work(reader: BlockReader, job: int) -> int:
        begun.append(job)
        sha256(data).digest()
        ended.append(job)
        return job

    with BlockHasher() as hasher:
        for _ in range(20):
            results = hasher.each(work, range(100), threads=True)
            assert next(results) == 0
            results.close()
            assert sorted(begun) == sorted(ended)
        assert list(hasher.each(work, range(9), threads=True)) == list(range(9))
