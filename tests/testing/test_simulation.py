"""Scenarios: every kind runs to its end, the same each time, and one that fails is made small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from p2pwire.testing.simulation import (
    Policy,
    Scenario,
    ScenarioError,
    Simulation,
    bound,
    bundled,
    changed,
    expand,
    load,
    of_table,
    shrink,
    simulate,
)
from tests.node.consistency import check

SMALL = {
    "churn": {"leechers": 4, "blocks": 8},
    "flash-crowd": {"leechers": 12, "blocks": 16, "peers": 4},
    "flash-crowd-1000": {"leechers": 12, "blocks": 8, "peers": 3},
    "hostile": {"leechers": 4, "blocks": 8},
    "late-joiner": {"leechers": 4, "blocks": 8},
    "many-resources": {"leechers": 3, "resources": 6},
    "mixed": {"leechers": 6, "blocks": 12},
    "partition": {"leechers": 5, "blocks": 8},
    "rough": {"leechers": 5, "blocks": 8},
    "slow-seed": {"leechers": 5, "blocks": 8},
    "unreachable": {"leechers": 10, "blocks": 6},
}


def test_every_bundled_scenario_is_tried() -> None:
    assert sorted(SMALL) == bundled()
    assert all(load(name).about for name in SMALL)


@pytest.mark.parametrize("seed", ["0", "1"])
@pytest.mark.parametrize("name", SMALL)
def test_every_kind_completes_and_nothing_inside_disagrees(name: str, seed: str) -> None:
    scenario = load(name, **SMALL[name])
    outcome = simulate(scenario, seed, check=lambda host: check(host.node) if host.up else None)
    assert outcome.failures == ()
    assert outcome.complete == outcome.fetches > 0


@pytest.mark.parametrize("name", ["churn", "rough"])
def test_one_seed_gives_one_run_to_the_byte(name: str) -> None:
    code = (
        "import sys, json\n"
        "from p2pwire.testing.simulation import load, simulate\n"
        "print(simulate(load(sys.argv[1], **json.loads(sys.argv[2])), '7').trace)"
    )
    arguments = [sys.executable, "-c", code, name, json.dumps(SMALL[name])]
    traces = {
        subprocess.run(
            arguments, env={**os.environ, "PYTHONHASHSEED": hash_seed}, check=True, capture_output=True, text=True
        ).stdout
        for hash_seed in ("1", "12345")
    }
    assert traces == {simulate(load(name, **SMALL[name]), "7").trace + "\n"}
    assert simulate(load(name, **SMALL[name]), "8").trace + "\n" not in traces


def test_what_chance_decides_is_written_down_first_and_changes_nothing() -> None:
    scenario = load("churn", **SMALL["churn"])
    written = expand(scenario, "3")
    assert written.churn.crashes == 0
    assert len(written.events) > 4
    assert simulate(written, "3") == simulate(scenario, "3")


def test_the_bound_of_a_flash_crowd() -> None:
    scenario = load("flash-crowd")
    assert scenario.is_flash_crowd
    assert bound(scenario) == 64 + 6
    assert bound(load("flash-crowd-1000")) == 64 + 9
    assert not load("churn").is_flash_crowd
    assert not load("late-joiner").is_flash_crowd
    assert not load("unreachable").is_flash_crowd, "its limit is who can dial whom"
    assert not load("flash-crowd", attackers=[{"kind": "liar"}]).is_flash_crowd


def test_a_small_flash_crowd_is_near_the_bound_and_the_policy_is_why() -> None:
    scenario = load("flash-crowd", leechers=16, peers=5)
    ratio = simulate(scenario, "0").ratio
    plain = changed(scenario, {"policy.serving": "turns", "policy.handing": "early", "policy.window": "fixed"})
    plain_ratio = simulate(plain, "0").ratio
    assert ratio is not None
    assert plain_ratio is not None
    assert ratio < 1.45
    assert plain_ratio > 1.3 * ratio


def test_a_run_that_fails_says_so_and_shrinks_to_what_matters() -> None:
    events = [{"at": 1, "kind": "partition", "hosts": [0]}, {"at": 2, "kind": "cut", "hosts": [1, 2]}]
    scenario = load("partition", leechers=4, blocks=4, limit=50, events=events)
    outcome = simulate(scenario, "5")
    assert outcome.failures
    assert outcome.failures[0].endswith("bytes of 65536")
    small = shrink(scenario, "5", most_runs=60)
    assert simulate(small, "5").failures
    assert (small.leechers, small.blocks) == (1, 2), "one block comes before the partition"
    assert [event.kind for event in small.events] == ["partition"]
    assert of_table(small.to_table()) == small


def test_what_a_check_raises_is_a_failure() -> None:
    def never(host: object) -> None:
        raise AssertionError("no")

    outcome = simulate(load("churn", **SMALL["churn"]), "0", check=never)
    assert outcome.failures[0].startswith("AssertionError at 0.000 s: no")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"leechers": 0}, "leechers: is 0, must be 1 to 10000"),
        ({"leechers": "many"}, "leechers: is 'many', must be a whole number"),
        ({"leechers": True}, "leechers: is True, must be a whole number"),
        ({"uplink": None}, "uplink: is None, must be a number"),
        ({"exchange": 1}, "exchange: is 1, must be true or false"),
        ({"lechers": 1}, "lechers: there is no such field, only name, about"),
        ({"late": 11}, "late: is 11, there are 10 leechers"),
        ({"seeds": 5000, "leechers": 6000}, "leechers: is 6000, 5000 seeds leave 5000"),
        ({"resources": 1000, "blocks": 2000}, "blocks: is 2000, 1000 resources leave 1048576"),
        ({"uplinks": [1, 0]}, r"uplinks\[1\]: is 0, must be 1 to"),
        ({"uplinks": 3}, "uplinks: is 3, must be a list"),
        ({"paths": {"latency": -1}}, "paths.latency: is -1.0, must be 0 to 60"),
        ({"paths": 3}, "paths: is 3, must be a table"),
        ({"policy": {"picker": "best"}}, "policy.picker: is 'best', must be one of rarest, random"),
        ({"events": [{"at": 1}, {"kind": "explode"}]}, r"events\[1\].kind: is 'explode', must be one of crash"),
        ({"events": [{"kind": "cut", "hosts": [1]}]}, r"events\[0\].hosts: 1 hosts, cut takes 2"),
        ({"events": [{"kind": "crash", "hosts": [11]}]}, r"events\[0\].hosts: has host 11, the last is 10"),
    ],
)
def test_errors_name_the_field_the_value_and_the_limit(table: dict[str, object], said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        of_table(table)


def test_files_are_read_and_their_mistakes_named(tmp_path: Path) -> None:
    toml, jason = tmp_path / "one.toml", tmp_path / "two.json"
    toml.write_text("leechers = 3\n[policy]\nslots = 2\n")
    jason.write_text('{"leechers": 3, "policy": {"slots": 2}}')
    assert load(str(toml)) == Scenario(name="one", leechers=3, policy=Policy(slots=2))
    assert load(str(jason)).policy.slots == 2
    jason.write_text("[1]")
    with pytest.raises(ScenarioError, match="holds list, must be a table"):
        load(str(jason))
    toml.write_text("leechers = ")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load(str(toml))
    with pytest.raises(ScenarioError, match=r"'nothing', must be a \.toml or \.json file, or one of churn, "):
        load("nothing")
    with pytest.raises(ScenarioError, match=r"name\.x: name has no fields"):
        changed(Scenario(name="a"), {"name.x": 1})


def test_hosts_are_told_of_others_evenly_and_a_seed_of_somebody() -> None:
    simulation = Simulation(load("flash-crowd", leechers=40, peers=4), "2")
    simulation.begin()
    told = [other for known in simulation.known for other in known]
    assert all(len(set(known)) == len(known) for known in simulation.known)
    assert told.count(0) == 8, "it dials nobody, and has as many links as the others all the same"
    assert max(told.count(other) for other in range(1, 41)) <= 6
