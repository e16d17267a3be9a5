"""How rounds are taken, and what happens to rivals that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench.run import Run, repeated


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def counted(calls: list[str], name: str) -> Callable[[], float]:
    def sample() -> float:
        calls.append(name)
        return float(len(calls))

    return sample


def test_rounds_begin_with_another_case_each_time(run: Run) -> None:
    calls: list[str] = []
    samples = run.interleave({name: counted(calls, name) for name in "abcde"})
    assert "".join(calls) == "abcde bcdea cdeab deabc eabcd".replace(" ", "")
    assert samples["a"] == [1.0, 10.0, 14.0, 18.0, 22.0]


def test_a_quick_run_takes_one_round(tmp_path: Path) -> None:
    calls: list[str] = []
    Run(tmp_path, quick=True).interleave({name: counted(calls, name) for name in "ab"})
    assert calls == ["a", "b"]


def test_a_rival_that_fails_is_left_out_with_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[str] = []

    def broken() -> float:
        calls.append("b")
        raise ImportError("no module\nof that name")

    samples = run.interleave({"a": counted(calls, "a"), "b": broken}, {"b": "the rival"})
    assert samples["b"] == []
    assert len(samples["a"]) == 5
    assert calls.count("b") == 1
    assert run.results.missing == {"the rival": "ImportError: no module of that name"}
    assert capsys.readouterr().err == "  the rival is not measured: ImportError: no module of that name\n"
    run.add("bench/b", "1/s", samples["b"])
    assert not run.results.figures


def test_what_is_no_rival_must_not_fail(run: Run) -> None:
    def broken() -> float:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        run.interleave({"a": broken}, {"b": "the rival"})


def test_preparing_a_rival_may_fail_too(run: Run) -> None:
    with run.rival("h2"):
        raise ImportError("h2")
    with run.rival("h2"):
        raise ImportError("again")
    assert run.results.missing == {"h2": "ImportError: h2"}


def test_work_is_prepared_before_each_piece_and_counted(tmp_path: Path) -> None:
    run = Run(tmp_path, quick=True)
    prepared: list[int] = []
    done: list[int] = []

    def prepare() -> Callable[[], int]:
        prepared.append(1)

        def work() -> int:
            done.append(sum(range(10_000)))
            return 7

        return work

    assert run.rate(prepare)() > 0
    assert len(prepared) == len(done) >= 1


def test_work_can_be_repeated_in_one_piece() -> None:
    calls: list[None] = []
    prepare = repeated(lambda: calls.append(None), 5)
    assert prepare()() == 5
    assert len(calls) == 5
