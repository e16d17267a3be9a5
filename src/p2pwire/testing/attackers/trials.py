"""All trials, small and full, and what they found as data and as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from p2pwire.testing.attackers.arena import Figure, Finding
from p2pwire.testing.attackers.loads import flooder, memory_hog, slow_loris
from p2pwire.testing.attackers.rumours import eclipse, forger, poisoner, reflector
from p2pwire.testing.attackers.transfers import Size, free_rider, liar, replayer, silent, sybil_crowd


@attrs.frozen
class Trial:
    """An attack that is tried, with a small swarm and a large one."""

    small: Callable[[str], Finding]
    full: Callable[[str], Finding]


def _trial(
    run: Callable[..., Finding],
    full: Size,
    small: Size | None = None,
    more: Mapping[str, int] | None = None,
) -> Trial:
    """`more`: what the full trial takes beside its size."""
    return Trial(
        lambda seed: attrs.evolve(run(seed, small or Size()), seed=seed),
        lambda seed: attrs.evolve(run(seed, full, **(more or {})), seed=seed, size="full"),
    )


TRIALS: Final[Mapping[str, Trial]] = {
    "liar": _trial(liar, Size(20, 10, 128)),
    "silent": _trial(silent, Size(10, 10, 256)),
    "slow-loris": _trial(slow_loris, Size(10, 10, 64)),
    "flooder": _trial(flooder, Size(10, 10, 64)),
    "memory-hog": _trial(memory_hog, Size(10, 4, 64), Size(2, 1, 32)),
    "poisoner": _trial(poisoner, Size(10, 200, 64), more={"records": 100_000, "per_group": 8}),
    "reflector": _trial(reflector, Size(10, 40, 64), more={"records": 256}),
    "eclipse": _trial(eclipse, Size(24, 1, 64), more={"crowd": 10_000}),
    "free-rider": _trial(free_rider, Size(20, 10, 64)),
    "sybil-crowd": _trial(sybil_crowd, Size(20, 100, 64)),
    "replayer": _trial(replayer, Size(10, 25, 64)),
    "forger": _trial(forger, Size(10, 20, 64), more={"records": 5_000}),
}
"""By the name of the attack."""


def event_of(finding: Finding) -> dict[str, Any]:
    """A finding as data: what `p2pwire simulate attacks --json` prints, one in a line."""
    return {"event": "attack", **attrs.asdict(finding)}


def findings_of(lines: Iterable[str]) -> list[Finding]:
    """The findings of such lines. Raises `ValueError` for what is no JSON, and `KeyError` or `TypeError` for findings
    that lack something."""
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [
        Finding(
            event["attack"],
            event["promise"],
            tuple(Figure(**figure) for figure in event["figures"]),
            event["size"],
            event["seed"],
        )
        for event in events
        if event["event"] == "attack"
    ]


def page(findings: Iterable[Finding]) -> str:
    """Findings as a Markdown page part: for each attack the promise, and what was measured."""
    lines: list[str] = []
    for finding in findings:
        lines += [
            f"### {finding.attack.replace('-', ' ').capitalize()}",
            "",
            f"{finding.promise} Tried at {finding.size} size, with seed {finding.seed}.",
            "",
        ]
        lines += ["| figure | measured | promised: at most |", "| --- | ---: | ---: |"]
        for figure in finding.figures:
            most = "" if figure.most is None else _number(figure.most, figure.unit)
            lines.append(f"| {figure.name} | {_number(figure.value, figure.unit)} | {most} |")
        lines.append("")
    return "\n".join(lines)


def _number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if value == int(value) else f"{value:,}"
    return f"{text} {unit}".strip()
