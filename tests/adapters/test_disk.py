"""Disk work in order."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from select import select

import pytest

from p2pwire.adapters.disk import Line, Store
from p2pwire.adapters.workers import Ending, Work, Workers
from p2pwire.content.merkle import BLOCK, ProofChecker, proof_count
from p2pwire.node.actions import FinishDownload, OpenDownload, RunToWrite, WriteBlocks
from p2pwire.storage import FileSystemDownload, FileSystemStorage, cached

from .blobs import Blob, some_bytes


class ByHand:
    """Workers that work when the test says so."""

    def __init__(self) -> None:
        self.visits: deque[tuple[Work, Ending]] = deque()

    def run(self, work: Work, ending: Ending) -> None:
        self.visits.append((work, ending))

    def visit(self) -> None:
        """One worker does what it was given."""
        work, ending = self.visits.popleft()
        ending(work(), None)


def test_one_worker_at_a_time_does_what_has_gathered_in_order() -> None:
    workers, done = ByHand(), []
    line = Line(workers.run)

    def submit(name: str) -> None:
        line.submit(lambda: name.upper(), lambda result, error: done.append((name, result, error)))

    submit("a")
    submit("b")
    submit("c")
    assert len(workers.visits) == 1
    workers.visit()
    assert done == [("a", "A", None)]
    assert len(workers.visits) == 1
    workers.visit()
    assert done == [("a", "A", None), ("b", "B", None), ("c", "C", None)]
    assert not workers.visits
    submit("d")
    workers.visit()
    assert done[-1] == ("d", "D", None)


def test_a_failure_is_that_of_its_own_piece() -> None:
    workers, done = ByHand(), []
    line = Line(workers.run)
    error = OSError("no")

    def fail() -> None:
        raise error

    for work in (lambda: 1, fail, lambda: 3):
        line.submit(work, lambda result, failure: done.append((result, failure)))
    workers.visit()
    workers.visit()
    assert done == [(1, None), (None, error), (3, None)]


def test_what_an_ending_submits_waits_for_its_turn() -> None:
    workers, done = ByHand(), []
    line = Line(workers.run)

    def again(result: object, error: Exception | None) -> None:
        done.append(result)
        line.submit(lambda: "second", lambda result, error: done.append(result))
        assert not workers.visits

    line.submit(lambda: "first", again)
    workers.visit()
    assert len(workers.visits) == 1
    workers.visit()
    assert done == ["first", "second"]


def test_blocks_are_written_at_once_where_that_can_not_wait_and_nothing_else_is_to_be_done_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached, "_lies_in_memory", lambda device: True)
    workers, done = ByHand(), []
    blob = Blob(some_bytes(4 * BLOCK))
    store = Store(Line(workers.run), Line(workers.run), place=FileSystemStorage(tmp_path), name="name")
    checker = ProofChecker(len(blob.data), blob.info.root, 0, 2)
    writes = []
    for n, data in enumerate(map(blob.block, range(4))):
        proved = checker.check(n, blob.tree.siblings(n, proof_count(blob.tree.height, n, 0)), data)
        writes.append(WriteBlocks(n, blob.info.topic, (RunToWrite(0, n, (data,), (proved,)),)))
    assert not store.write_at_once(writes[0])  # nothing is open
    store.submit(OpenDownload(0, blob.info.topic, blob.info), lambda result, error: done.append(error))
    workers.visit()
    assert not store.write_at_once(writes[0])  # the file is not
    store.submit(writes[0], lambda result, error: done.append(error))
    assert not store.write_at_once(writes[1])  # what came before is not written
    workers.visit()
    assert all(store.write_at_once(write) for write in writes[1:])
    assert done == [None, None]
    assert not workers.visits
    store.submit(FinishDownload(9, blob.info.topic), lambda result, error: done.append(result))
    workers.visit()
    assert (tmp_path / "name").read_bytes() == blob.data
    store.close()


def test_what_can_not_be_written_at_once_is_left_to_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers, blob = ByHand(), Blob(some_bytes(BLOCK))
    store = Store(Line(workers.run), Line(workers.run), place=FileSystemStorage(tmp_path), name="name")
    store.submit(OpenDownload(0, blob.info.topic, blob.info), lambda result, error: None)
    workers.visit()

    def fail(*_: object) -> bool:
        raise ValueError("these are no blocks")

    monkeypatch.setattr(FileSystemDownload, "write_at_once", fail)
    assert not store.write_at_once(WriteBlocks(1, blob.info.topic, ()))
    monkeypatch.delattr(FileSystemDownload, "write_at_once")
    assert not store.write_at_once(WriteBlocks(1, blob.info.topic, ()))  # a storage need not offer it
    store.close()


def collected(workers: Workers) -> None:
    """Wait until all work is done, and call its endings."""
    while workers.busy:
        select([workers.ear], [], [], 20.0)
        workers.collect()


def test_workers_tell_when_they_are_done_and_what_went_wrong() -> None:
    workers = Workers()
    endings: list[tuple[object, Exception | None]] = []
    error = OSError("no")

    def fail() -> None:
        raise error

    def end(result: object, failure: Exception | None) -> None:
        assert threading.current_thread() is threading.main_thread()
        endings.append((result, failure))

    for work in (lambda: 1, fail, threading.current_thread):
        workers.submit(work, end)
    collected(workers)
    assert (1, None) in endings
    assert (None, error) in endings
    assert all(result is not threading.main_thread() for result, _ in endings)
    workers.close()


def test_workers_work_side_by_side_and_are_no_more_than_allowed() -> None:
    workers = Workers(3)
    together = threading.Barrier(3, timeout=20.0)
    names: set[object] = set()

    def meet() -> str:
        together.wait()
        return str(threading.get_ident())

    for _ in range(9):
        workers.submit(meet, lambda result, error: names.add(result))
    collected(workers)
    assert len(names) == 3
    before = threading.active_count()
    workers.close()
    assert threading.active_count() == before - 3


def test_what_an_ending_submits_to_workers_is_done_too() -> None:
    workers, done = Workers(1), []
    workers.submit(
        lambda: 1, lambda result, error: workers.submit(lambda: 2, lambda result, error: done.append(result))
    )
    collected(workers)
    assert done == [2]
    workers.close()
