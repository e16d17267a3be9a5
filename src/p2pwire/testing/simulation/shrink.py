"""Shrinking: from a run that fails to the smallest one that still does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from p2pwire.testing.simulation.run import expand, simulate
from p2pwire.testing.simulation.scenario import Churn, Clocks, Disks, Event, Paths, Policy, Scenario, ScenarioError


def fails(scenario: Scenario, seed: str) -> bool:
    """Whether a run has any failure."""
    return bool(simulate(scenario, seed).failures)


def shrink(
    scenario: Scenario, seed: str, *, fails: Callable[[Scenario, str], bool] = fails, most_runs: int = 200
) -> Scenario:
    """The smallest scenario found, in so many runs, that fails with this seed as the given one does.

    Events are dropped, by halves and then one by one; then hosts; sizes are halved; and what is out of the ordinary is
    made ordinary. What was drawn by chance is written down first, so that it stays as it is.
    """
    best = expand(scenario, seed)
    runs = 0
    tried: set[Scenario] = set()
    shrunk = True
    while shrunk:
        shrunk = False
        for candidate in _smaller(best):
            if candidate in tried:
                continue
            tried.add(candidate)
            if runs >= most_runs:
                return best
            runs += 1
            if fails(candidate, seed):
                best, shrunk = candidate, True
                break
    return best


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios that are a step smaller, the largest steps first."""
    for events in _fewer(scenario.events):
        yield attrs.evolve(scenario, events=events)
    for leechers in _halves(scenario.leechers):
        yield from _with_hosts(scenario, leechers)
    for host in reversed(range(scenario.seeds, scenario.hosts)):
        if scenario.leechers > 1:
            yield from _without(scenario, host)
    for name in ("blocks", "resources", "peers", "seeds"):
        for value in _halves(getattr(scenario, name)):
            yield from _changed(scenario, **{name: value})
    plain = {"paths": Paths(), "disks": Disks(), "clocks": Clocks(), "churn": Churn(), "policy": Policy()}
    numbers = {"unreachable": 0.0, "join_within": 0.0, "late": 0, "uplinks": (), "seed_uplink": None, "downlink": 0.0}
    for name, ordinary in {**plain, **numbers}.items():
        if getattr(scenario, name) != ordinary:
            yield from _changed(scenario, **{name: ordinary})


def _fewer(events: tuple[Event, ...]) -> Iterator[tuple[Event, ...]]:
    size = len(events) // 2
    while size:
        for start in range(0, len(events), size):
            yield events[:start] + events[start + size :]
        size //= 2
    if len(events) == 1:
        yield ()


def _halves(value: int) -> Iterator[int]:
    if value > 1:
        yield value // 2
        yield value - 1


def _with_hosts(scenario: Scenario, leechers: int) -> Iterator[Scenario]:
    last = scenario.seeds + leechers
    events = [event for event in scenario.events if all(host < last for host in event.hosts)]
    yield from _changed(scenario, leechers=leechers, late=min(scenario.late, leechers), events=tuple(events))


def _without(scenario: Scenario, gone: int) -> Iterator[Scenario]:
    """Without one leecher; those after it move up."""
    events = []
    for event in scenario.events:
        hosts = tuple(host - (host > gone) for host in event.hosts if host != gone)
        if hosts == event.hosts or (hosts and (len(hosts) == len(event.hosts) or event.kind == "partition")):
            events.append(attrs.evolve(event, hosts=hosts))
    leechers = scenario.leechers - 1
    yield from _changed(scenario, leechers=leechers, late=min(scenario.late, leechers), events=tuple(events))


def _changed(scenario: Scenario, **changes: Any) -> Iterator[Scenario]:
    try:
        yield attrs.evolve(scenario, **changes)
    except ScenarioError:
        return
