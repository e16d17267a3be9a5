"""What is computed from samples."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.figures import Figure, Results, advantage, exponent, ratio


def figure(*samples: float, key: str = "bulk/ours", less: bool = False) -> Figure:
    return Figure(key, "MiB/s", samples, less)


def test_the_middle_is_the_median() -> None:
    assert figure(3, 1, 100).middle == 3
    assert figure(1, 2).middle == 1.5


def test_a_figure_without_samples_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="bulk/ours: no samples"):
        figure()


def test_rounds_are_compared_one_by_one() -> None:
    # The machine was ten times slower in the second round, for both.
    ours, other = figure(200, 20, 220), figure(100, 10, 100, key="bulk/other")
    assert ratio(ours, other) == 2.0


def test_figures_of_different_benches_are_compared_by_their_medians() -> None:
    assert ratio(figure(200, 20, 220), figure(100, 10, 100, key="bounds/other")) == 2.0
    assert ratio(figure(10, 20, 30, 40), figure(5, key="bulk/other")) == 5.0


def test_less_is_better_where_it_is() -> None:
    ours, other = figure(5, less=True), figure(10, key="bulk/other", less=True)
    assert ratio(ours, other) == 0.5
    assert advantage(ours, other) == 2.0
    assert advantage(figure(20), figure(10, key="bulk/other")) == 2.0


@given(st.floats(-1, 3), st.floats(1e-6, 1e3), st.lists(st.integers(1, 10**6), min_size=2, max_size=6, unique=True))
def test_an_exponent_is_found_again(power: float, factor: float, sizes: list[int]) -> None:
    points = [(float(size), factor * size**power) for size in sizes]
    assert exponent(points) == pytest.approx(power, abs=1e-4)


def test_an_exponent_needs_two_sizes() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        exponent([(10, 1.0), (10, 2.0)])


def test_results_come_back_from_a_file() -> None:
    results = Results({"cores": 2}, missing={"h2": "ImportError: no"}, quick=True)
    results.add(Figure("bulk/ours", "MiB/s", (1.0, 2.0), True, ("bulk/other",), "bounds/all", "a note", "bulk/x"))
    results.points = {"links": [(10.0, 0.5), (100.0, 5.0)]}
    assert Results.from_json(json.loads(json.dumps(results.to_json()))) == results


def test_a_file_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format: 99, must be 1"):
        Results.from_json({"format": 99})


def test_a_figure_is_measured_once() -> None:
    results = Results()
    results.add(figure(1))
    with pytest.raises(ValueError, match="measured before"):
        results.add(figure(2))
