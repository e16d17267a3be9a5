"""What runs came to, as a page: from the lines of the command, and the published page from the published lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p2pwire.testing.simulation.__main__ import main
from p2pwire.testing.simulation.page import others, page, results_of

DOCS = Path(__file__).parents[2] / "docs"


def line(seed: int, ratio: float | None, policy: str = "", fetches: int = 100, **more: object) -> str:
    run = {"event": "run", "scenario": "flash-crowd", "policy": policy, "seed": str(seed), "peers": 6}
    sizes = {"fetches": fetches, "complete": fetches, "sent": 200, "wasted": 10}
    return json.dumps({**run, **sizes, "ratio": ratio, "cpu": 7.5, **more})


def total(scenario: str, runs: int, well: int) -> str:
    """The last line of a command with several seeds."""
    sizes = {"runs": runs, "well": well, "slowest": 123.6, "cpu": 1.5, "ratio": None, "worst_ratio": None}
    return json.dumps({"event": "summary", "scenario": scenario, "policy": "", **sizes})


def test_crowds_of_each_size_have_a_row_with_their_median() -> None:
    lines = [line(0, 1.2), line(1, 1.3), line(2, 1.21), line(7, 1.1, fetches=1000), line(0, None)]
    lines += [line(3, 1.4, peers=4), json.dumps({"event": "summary", "ratio": 9.0})]
    found, sums = results_of(lines)
    rows = [row for row in page(found).splitlines() if row.startswith("| 1")]
    assert not sums
    assert rows == [
        "| 100 | 4 | 3 | 1 of 1 | 1.400 | 1.400 to 1.400 | 5.0% | 8 s |",
        "| 100 | 6 | 0 to 2 | 3 of 3 | 1.210 | 1.200 to 1.300 | 5.0% | 8 s |",
        "| 1,000 | 6 | 7 | 1 of 1 | 1.100 | 1.100 to 1.100 | 5.0% | 8 s |",
    ]


def test_what_is_left_out_is_compared_with_all_of_it() -> None:
    lines = [line(0, 1.2, "as it is"), line(2, 1.3, "as it is"), line(0, 1.5, "picker: random")]
    rows, _ = results_of([*lines, line(2, 1.1, "picker: random", complete=99)])
    text = page(rows)
    assert "100 leechers, seeds 0, 2:" in text
    assert "| nothing | 1.250 | 1.200 to 1.300 |  | 5.0% |" in text
    assert "| picker: random | 1.300 | 1.100 to 1.500 | +0.050 | 5.0% |" in text


def test_a_run_that_sent_nothing_wasted_nothing() -> None:
    (row,), _ = results_of([line(0, 1.0, sent=0, wasted=0)])
    assert row.waste == 0


def test_scenarios_without_a_bound_are_summed_up() -> None:
    lines = [line(0, None), total("churn", 1000, 999), total("rough", 10, 10)]
    rows, sums = results_of(lines)
    assert not rows
    assert others(sums).splitlines()[2:] == [
        "| `churn` | 1,000 | 999 | 124 s |",
        "| `rough` | 10 | 10 | 124 s |",
    ]


@pytest.mark.parametrize("text", ["", "not json", "{}"])
def test_what_is_no_run_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        results_of([text])


def test_the_command_prints_either_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "runs.jsonl"
    lines = [line(0, 1.2), total("churn", 3, 3)]
    rows, sums = results_of(lines)
    file.write_text("\n".join(lines), encoding="utf-8")
    assert main(["--page", str(file)]) == 0
    assert capsys.readouterr().out == page(rows)
    assert main(["--others", str(file)]) == 0
    assert capsys.readouterr().out == others(sums)
    assert main([]) == main(["--some", str(file)]) == 2


def test_the_published_pages_are_those_of_the_published_runs() -> None:
    rows, sums = results_of((DOCS / "simulation.jsonl").read_text(encoding="utf-8").splitlines())
    assert all(row.complete == row.fetches for row in rows)
    assert all(each.well == each.runs for each in sums)
    assert (DOCS / "simulation.inc").read_text(encoding="utf-8") == page(rows)
    assert (DOCS / "scenarios.inc").read_text(encoding="utf-8") == others(sums)
