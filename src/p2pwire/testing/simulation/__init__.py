"""Swarms on virtual time, from scenarios that are data: `p2pwire simulate` for programs.

    >>> from p2pwire.testing.simulation import load, simulate
    >>> scenario = load("flash-crowd", leechers=4, blocks=4, peers=2)
    >>> outcome = simulate(scenario, seed="1")
    >>> outcome.complete, outcome.failures
    (4, ())
    >>> outcome.trace == simulate(scenario, seed="1").trace
    True

A run that fails says so in `Outcome.failures`; `shrink` finds the smallest scenario that fails with the same seed, and
`Scenario.to_table` gives what a file needs to say to run it again. What is simplified is told in
`p2pwire.testing.network`; everything else is the library itself, cryptography included.
"""

from __future__ import annotations

from p2pwire.testing.simulation.run import Outcome, Simulation, bound, expand, simulate
from p2pwire.testing.simulation.scenario import (
    Attack,
    Event,
    Policy,
    Scenario,
    ScenarioError,
    bundled,
    changed,
    load,
    of_table,
)
from p2pwire.testing.simulation.shrink import shrink

__all__ = [
    "Attack",
    "Event",
    "Outcome",
    "Policy",
    "Scenario",
    "ScenarioError",
    "Simulation",
    "bound",
    "bundled",
    "changed",
    "expand",
    "load",
    "of_table",
    "shrink",
    "simulate",
]
