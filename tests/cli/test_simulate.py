"""`simulate`: what it tells of a run, of many, and of one that fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from p2pwire.cli.simulate import ABLATIONS
from p2pwire.testing.attackers import TRIALS, Figure, Finding, Trial, findings_of, page
from p2pwire.testing.simulation import load, of_table, simulate

from .program import Run, run

SMALL = ("--set", "leechers=2", "--set", "blocks=2", "--set", "peers=2")


def test_a_run_is_told_in_a_line() -> None:
    done = run("simulate", "flash-crowd", *SMALL)
    assert (done.code, done.err) == (0, "")
    (line,) = done.out.splitlines()
    assert line.startswith("flash-crowd, seed 0; 2 of 2 fetches in ")
    assert " times the bound of 3.0 s; " in line


def test_as_json_it_is_the_outcome_and_the_same_each_time() -> None:
    first, second = (run("simulate", "flash-crowd", *SMALL, "--seed", "7", "--json").events for _ in range(2))
    (told,) = first
    outcome = simulate(load("flash-crowd", leechers=2, blocks=2, peers=2), "7")
    assert (told["event"], told["scenario"], told["seed"]) == ("run", "flash-crowd", "7")
    assert (told["fetches"], told["complete"], told["failures"]) == (2, 2, [])
    assert (told["ratio"], told["trace"]) == (outcome.ratio, outcome.trace)
    assert [one | {"cpu": 0} for one in first] == [one | {"cpu": 0} for one in second]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_many_runs_are_summed_up_in_the_order_of_their_seeds(jobs: str) -> None:
    *runs, summary = run(
        "simulate", "flash-crowd", *SMALL, "--seeds", "3", "--seed", "4", "--jobs", jobs, "--json"
    ).events
    assert [one["seed"] for one in runs] == ["4", "5", "6"]
    ratios = [one["ratio"] for one in runs]
    assert (summary["event"], summary["runs"], summary["well"]) == ("summary", 3, 3)
    assert summary["scenario"] == runs[0]["scenario"]
    assert summary["worst_ratio"] == max(ratios)
    assert summary["ratio"] == pytest.approx(sum(ratios) / 3)
    assert summary["slowest"] == max(one["time"] for one in runs)


def test_a_scenario_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("leechers = 1\nblocks = 1\n")
    (told,) = run("simulate", file, "--json").events
    assert (told["scenario"], told["fetches"]) == ("mine", 1)


def test_the_parts_of_the_policy_are_compared() -> None:
    told = run("simulate", "flash-crowd", *SMALL, "--ablation", "--json").events
    assert [one["policy"] for one in told] == list(ABLATIONS)
    assert all(one["complete"] == 2 for one in told)
    lines = run("simulate", "flash-crowd", *SMALL, "--ablation").out.splitlines()
    assert [line.split("; ")[1] for line in lines] == list(ABLATIONS)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_attacks_are_told_one_in_a_line_from_which_the_page_is_made(tmp_path: Path, jobs: str) -> None:
    """What a stranger types to have the published figures anew, but for the size."""
    small = ("--set", "size=small", "--set", "attack=liar", "--set", "attack=forger")
    done = run("simulate", "attacks", *small, "--seed", "5", "--jobs", jobs, "--json")
    assert (done.code, done.err) == (0, "")
    assert [(event["event"], event["attack"], event["size"], event["seed"]) for event in done.events] == [
        ("attack", "liar", "small", "5"),
        ("attack", "forger", "small", "5"),
    ]
    results = tmp_path / "attacks.jsonl"
    results.write_text(done.out)
    again = subprocess.run(
        [sys.executable, "-m", "p2pwire.testing.attackers", "--page", results], capture_output=True, text=True
    )
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == page(findings_of(done.out.splitlines())) + "\n"
    assert [line for line in again.stdout.splitlines() if line.startswith("#")] == ["### Liar", "### Forger"]
    assert "| honest fetches that failed | 0 | 0 |" in again.stdout


def test_an_attack_is_told_in_words_too() -> None:
    done = run("simulate", "attacks", "--set", "size=small", "--set", "attack=forger")
    assert (done.code, done.err) == (0, "")
    first, *figures = done.out.splitlines()
    assert first == "forger: What nobody signed, or signed for another time, is not believed."
    assert "    forged records believed: 0, at most 0 promised" in figures
    assert not any(line.endswith("BROKEN") for line in figures)


def test_a_broken_promise_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Finding("forger", "It holds.", (Figure("things that fell", 2, "", 1),))
    monkeypatch.setitem(TRIALS, "forger", Trial(lambda seed: broken, lambda seed: broken))
    done = run("simulate", "attacks", "--set", "attack=forger")
    assert done.code == 1
    assert done.out.splitlines() == ["forger: It holds.", "    things that fell: 2, at most 1 promised BROKEN"]
    assert done.sentence == "p2pwire: promises broken: forger"


@pytest.mark.parametrize("setting", ["size=huge", "attack=nothing", "leechers=3", "attack"])
def test_a_wrong_setting_of_attacks_is_a_mistake_in_usage(setting: str) -> None:
    assert (
        "attacks takes size=small or size=full, and attack= of liar, silent,"
        in usage("attacks", "--set", setting).sentence
    )


def usage(*arguments: object) -> Run:
    done = run("simulate", *arguments)
    assert (done.code, done.out) == (2, "")
    return done


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("leechers=0", "leechers: is 0, must be 1 to 10000"),
        ("leechers=many", "leechers: is 'many', must be a whole number"),
        ("lechers=1", "lechers: there is no such field, only name, about"),
        ("policy.picker=best", "policy.picker: is 'best', must be one of rarest, random"),
        ("name.x=1", "name.x: name has no fields"),
        ("leechers", "'leechers' is not FIELD=VALUE"),
    ],
)
def test_a_wrong_setting_is_a_mistake_in_usage_told_in_a_sentence(setting: str, said: str) -> None:
    assert said in usage("flash-crowd", "--set", setting).sentence


def test_so_is_a_scenario_that_is_none(tmp_path: Path) -> None:
    assert "'nothing', must be a .toml or .json file, or one of churn, " in usage("nothing").sentence
    file = tmp_path / "torn.json"
    file.write_text("{")
    assert "torn.json cannot be read" in usage(file).sentence


FAILING = {"leechers": 2, "blocks": 2, "peers": 2, "limit": 20, "events": [{"kind": "partition", "hosts": [0]}]}


def test_a_run_that_fails_ends_with_1_and_the_smallest_scenario_that_does(tmp_path: Path) -> None:
    file = tmp_path / "apart.json"
    file.write_text(json.dumps(FAILING))
    done = run("simulate", file, "--seed", "3", "--json")
    assert done.code == 1
    first, failing, error = done.events
    assert (error["event"], error["code"]) == ("error", "simulation-failed")
    assert first["failures"]
    assert (failing["event"], failing["seed"]) == ("failing", "3")
    small = of_table(failing["scenario"])
    assert small.leechers == small.blocks == 1
    assert simulate(small, "3").failures


def test_what_fails_is_told_and_not_made_small_if_that_is_not_wanted(tmp_path: Path) -> None:
    file = tmp_path / "apart.json"
    file.write_text(json.dumps(FAILING))
    done = run("simulate", file, "--seed", "3", "--no-shrink")
    assert done.code == 1
    assert done.sentence == "p2pwire: apart: 1 run failed, the first with seed 3"
    *told, how, table = done.out.splitlines()
    assert told[1].endswith("bytes of 32768")
    assert how == "fails with --seed 3, as a .json file:"
    assert of_table(json.loads(table)).leechers == 2
