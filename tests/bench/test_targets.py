"""How targets are judged, and that they speak of what is measured."""

from __future__ import annotations

import pytest

from tests.bench.figures import Figure, Results
from tests.bench.growth import GROWTHS
from tests.bench.targets import AIMED, MET, MISSED, TARGETS, UNMEASURED, Target, Verdict, assess

AGAINST = Target("ours over others", "link/ours", ("link/one", "link/two"), least=1.0, aim=1.25)
SMALL = Target("an idle link", "memory/link", most=10)


@pytest.mark.parametrize(
    ("value", "word", "shown"),
    [
        (None, UNMEASURED, "–"),
        (0.99, MISSED, "0.99 ×"),
        (0.9951, MISSED, "0.995 ×"),
        (1.0, MET, "1.00 ×"),
        (1.25, AIMED, "1.25 ×"),
    ],
)
def test_a_ratio_has_to_reach_the_least(value: float | None, word: str, shown: str) -> None:
    verdict = Verdict(AGAINST, value)
    assert (verdict.word, verdict.shown) == (word, shown)
    assert AGAINST.wanted == "at least 1 ×, better 1.25"


@pytest.mark.parametrize(("value", "word"), [(9.9, MET), (10.0, MET), (10.1, MISSED)])
def test_a_size_may_not_pass_the_most(value: float, word: str) -> None:
    assert Verdict(SMALL, value).word == word
    assert SMALL.wanted == "at most 10"


def verdicts(monkeypatch: pytest.MonkeyPatch, *figures: Figure) -> list[Verdict]:
    monkeypatch.setattr("tests.bench.targets.TARGETS", (AGAINST, SMALL))
    results = Results()
    for figure in figures:
        results.add(figure)
    return assess(results)


def test_the_best_of_the_others_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(
        monkeypatch,
        Figure("link/ours", "1/s", (300.0,)),
        Figure("link/one", "1/s", (100.0,)),
        Figure("link/two", "1/s", (200.0,)),
        Figure("memory/link", "KB", (7.0,), less=True),
    )
    assert [verdict.value for verdict in found] == [1.5, 7.0]


def test_a_rival_that_is_missing_is_left_out_and_all_of_them_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Figure("link/ours", "1/s", (300.0,))
    assert verdicts(monkeypatch, ours, Figure("link/two", "1/s", (200.0,)))[0].value == 1.5
    assert [verdict.word for verdict in verdicts(monkeypatch, ours)] == [UNMEASURED, UNMEASURED]


def test_each_target_has_one_way_to_be_judged() -> None:
    for target in TARGETS:
        assert (target.least is None) != (target.most is None), target
        assert target.least is not None or not target.over, target
    assert len({(target.figure, target.over) for target in TARGETS}) == len(TARGETS)


def test_everything_that_grows_has_a_target() -> None:
    assert {f"growth/{name}" for name in GROWTHS} == {
        target.figure for target in TARGETS if target.figure.startswith("growth/")
    }
