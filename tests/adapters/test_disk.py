"""Disk work in order."""

from __future__ import annotations

from collections import deque

from p2pwire.adapters.disk import Line
from p2pwire.adapters.workers import Ending, Work


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
