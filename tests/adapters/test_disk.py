"""Disk work in order."""

from __future__ import annotations

import threading
from collections import deque
from select import select

from p2pwire.adapters.disk import Line
from p2pwire.adapters.workers import Ending, Work, Workers


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
