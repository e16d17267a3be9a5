"""`p2pwire simulate`: a swarm on virtual time, as often as wanted, and what it took."""

from __future__ import annotations

import json
import os
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Final, TypeVar

import attrs
import click

from p2pwire.cli.arguments import reporting
from p2pwire.cli.errors import CommandError
from p2pwire.cli.output import Output
from p2pwire.cli.text import count_text
from p2pwire.testing.attackers import TRIALS, Finding, event_of
from p2pwire.testing.simulation import Outcome, Scenario, ScenarioError, changed, load, shrink
from p2pwire.testing.simulation import simulate as run

_Result = TypeVar("_Result")

ABLATIONS: Final[Mapping[str, Mapping[str, object]]] = {
    "as it is": {},
    "picker: random": {"policy.picker": "random"},
    "window: fixed": {"policy.window": "fixed"},
    "serving: in turn": {"policy.serving": "turns"},
    "handing: early": {"policy.handing": "early"},
    "no duplicates": {"policy.duplicates": 0},
    "none of these": {
        "policy.picker": "random",
        "policy.window": "fixed",
        "policy.serving": "turns",
        "policy.handing": "early",
        "policy.duplicates": 0,
    },
}
"""What `--ablation` compares."""


@attrs.frozen
class _Run:
    """One run, and the processor time that it took."""

    outcome: Outcome
    cpu: float
    peers: int
    """Links that each host dialled."""


@click.command()
@click.argument("scenario")
@click.option("--seeds", type=click.IntRange(1, 10**6), default=1, help="How many runs.  [default: 1]")
@click.option("--seed", "first", type=click.IntRange(0), default=0, help="The seed of the first.  [default: 0]")
@click.option("--jobs", type=click.IntRange(1, 256), help="Runs at a time.  [default: as many as processors]")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Change the scenario; may be repeated.")
@click.option("--ablation", is_flag=True, help="Compare with nodes that lack parts of the policy.")
@click.option("--no-shrink", is_flag=True, help="Do not look for a smaller scenario that fails as well.")
@reporting
def simulate(
    output: Output,
    scenario: str,
    seeds: int,
    first: int,
    jobs: int | None,
    settings: tuple[str, ...],
    ablation: bool,
    no_shrink: bool,
) -> None:
    """Run SCENARIO on virtual time: one that comes along, or a .toml or .json file; or `attacks`, all attacks at full
    size, with the figures of each (`--set attack=NAME` for one alone, `--set size=small` for small ones).

    The same scenario and seed give the same run, to the byte. Exits with 1 if a fetch fails, is not complete in time,
    or brings wrong bytes; then the seed is told, and the smallest scenario found that fails with it.

    \b
        p2pwire simulate churn --seeds 100
        p2pwire simulate flash-crowd --set leechers=50 --set policy.picker=random
    """
    if scenario == "attacks":
        _attack(output, settings, str(first), jobs or os.cpu_count() or 1)
        return
    chosen = _scenario(scenario, settings)
    variants = ABLATIONS if ablation else {"": {}}
    failed: list[tuple[Scenario, Outcome]] = []
    for name, changes in variants.items():
        variant = changed(chosen, changes)
        runs = []
        for one in _runs(variant, [str(first + n) for n in range(seeds)], jobs or os.cpu_count() or 1):
            runs.append(one)
            _tell(output, name, one, alone=seeds == 1)
            if one.outcome.failures:
                failed.append((variant, one.outcome))
        if seeds > 1:
            _sum_up(output, name, runs)
    if failed:
        _explain(output, *failed[0], small=not no_shrink)
        text = (
            f"{failed[0][1].scenario}: {count_text(len(failed), 'run')} failed, the first with seed {failed[0][1].seed}"
        )
        raise CommandError("simulation-failed", text)


def _attack(output: Output, settings: tuple[str, ...], seed: str, jobs: int) -> None:
    """Try attacks, and tell what came of each."""
    size = "full"
    names: list[str] = []
    for setting in settings:
        match setting.partition("="):
            case ("size", "=", ("small" | "full") as size):
                pass
            case ("attack", "=", name) if name in TRIALS:
                names.append(name)
            case _:
                raise click.BadParameter(
                    f"attacks takes size=small or size=full, and attack= of {', '.join(TRIALS)}", param_hint="'--set'"
                )
    broken = []
    for finding in _mapped(partial(_try, size, seed), names or list(TRIALS), jobs):
        lines = [f"{finding.attack}: {finding.promise}"]
        for figure in finding.figures:
            most = "" if figure.most is None else f", at most {figure.most:,} promised"
            lines.append(
                f"    {figure.name}: {figure.value:,} {figure.unit}".rstrip() + most + " BROKEN" * (not figure.kept)
            )
        output.result(lines, event_of(finding))
        if not finding.kept:
            broken.append(finding.attack)
    if broken:
        raise CommandError("simulation-failed", f"promises broken: {', '.join(broken)}")


def _try(size: str, seed: str, attack: str) -> Finding:
    trial = TRIALS[attack]
    return (trial.small if size == "small" else trial.full)(seed)


def _scenario(name: str, settings: tuple[str, ...]) -> Scenario:
    changes: dict[str, object] = {}
    for setting in settings:
        field, equals, value = setting.partition("=")
        if not equals:
            raise click.BadParameter(f"{setting!r} is not FIELD=VALUE", param_hint="'--set'")
        try:
            changes[field.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            changes[field.strip()] = value
    try:
        return changed(load(name), changes)
    except ScenarioError as error:
        if error.field == "scenario":
            raise click.BadParameter(f"{str(error).partition(': ')[2]}", param_hint="'SCENARIO'") from None
        raise click.BadParameter(str(error), param_hint=f"'{name}'") from None


def _runs(scenario: Scenario, seeds: list[str], jobs: int) -> Iterator[_Run]:
    """All runs, in the order of their seeds."""
    return _mapped(partial(_one, scenario), seeds, jobs)


def _mapped(work: Callable[[str], _Result], names: list[str], jobs: int) -> Iterator[_Result]:
    """What work comes to for each name, in their order, so many at a time."""
    if len(names) == 1 or jobs == 1:
        yield from map(work, names)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(work, names)


def _one(scenario: Scenario, seed: str) -> _Run:
    began = time.process_time()
    outcome = run(scenario, seed)
    return _Run(outcome, time.process_time() - began, scenario.peers)


def _tell(output: Output, name: str, one: _Run, *, alone: bool) -> None:
    outcome = one.outcome
    parts = [f"{outcome.scenario}, seed {outcome.seed}"]
    if name:
        parts.append(name)
    parts.append(f"{outcome.complete} of {outcome.fetches} fetches in {outcome.time:.1f} s")
    if outcome.ratio is not None:
        parts.append(f"{outcome.ratio:.3f} times the bound of {outcome.bound:.1f} s")
    if alone:
        parts.append(f"{one.cpu:.1f} s of processor time")
    lines = ["; ".join(parts), *(f"    {failure}" for failure in outcome.failures[:10])]
    fields = {**attrs.asdict(outcome), "ratio": outcome.ratio, "peers": one.peers, "cpu": round(one.cpu, 3)}
    output.result(lines, {"event": "run", "policy": name, **fields})


def _sum_up(output: Output, name: str, runs: list[_Run]) -> None:
    well = sum(not one.outcome.failures for one in runs)
    cpu = sum(one.cpu for one in runs)
    slowest = max(one.outcome.time for one in runs)
    ratios = [one.outcome.ratio for one in runs if one.outcome.ratio is not None]
    mean = sum(ratios) / len(ratios) if ratios else None
    text = f"{name + ': ' if name else ''}{well} of {len(runs)} runs well; the slowest took {slowest:.1f} s"
    if mean is not None:
        text += f"; {mean:.3f} times the bound on average, {max(ratios):.3f} at most"
    fields = {"scenario": runs[0].outcome.scenario, "runs": len(runs), "well": well}
    times = {"slowest": slowest, "cpu": round(cpu, 3)}
    ratio = {"ratio": mean, "worst_ratio": max(ratios, default=None)}
    output.result([text], {"event": "summary", "policy": name, **fields, **times, **ratio})


def _explain(output: Output, scenario: Scenario, outcome: Outcome, *, small: bool) -> None:
    """How to see it again."""
    if small:
        output.say("looking for a smaller scenario that fails")
        scenario = shrink(scenario, outcome.seed)
    table = json.dumps(scenario.to_table())
    lines = [f"fails with --seed {outcome.seed}, as a .json file:", table]
    output.result(lines, {"event": "failing", "seed": outcome.seed, "scenario": scenario.to_table()})
