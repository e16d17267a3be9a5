"""What runs came to, as a part of a page: from the lines that `p2pwire simulate --json` prints, of as many commands as
wanted, one after another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from statistics import mean, median
from typing import Any, Final, TypeVar

import attrs

AS_IT_IS: Final = "as it is"
"""What `--ablation` calls the nodes that lack nothing."""


_Key = TypeVar("_Key")


@attrs.frozen
class Row:
    """One run of a flash crowd."""

    scenario: str
    policy: str
    """What it lacks; empty: it was not compared with anything."""
    seed: str
    peers: int
    """Links that each host dialled."""
    fetches: int
    complete: int
    ratio: float
    """The time over the bound."""
    waste: float
    """Of all content that was sent, the part that came to somebody who had it."""
    cpu: float
    """Seconds."""


@attrs.frozen
class Sum:
    """What all runs of a scenario came to that has no bound to be compared with."""

    scenario: str
    runs: int
    well: int
    """In which every fetch was complete in time, and byte for byte what was shared."""
    slowest: float
    """Seconds of virtual time."""


def results_of(lines: Iterable[str]) -> tuple[list[Row], list[Sum]]:
    """The runs of flash crowds, and the sums of other scenarios. Raises `ValueError` for what is no JSON, and
    `KeyError` for a run or sum without its figures."""
    rows: list[Row] = []
    sums: list[Sum] = []
    for line in lines:
        found: dict[str, Any] = json.loads(line)
        match found["event"], found["ratio"]:
            case "run", float(ratio):
                waste = found["wasted"] / found["sent"] if found["sent"] else 0.0
                names = found["scenario"], found["policy"], found["seed"]
                sizes = found["peers"], found["fetches"], found["complete"]
                rows.append(Row(*names, *sizes, ratio, waste, found["cpu"]))
            case "summary", None:
                sums.append(Sum(found["scenario"], found["runs"], found["well"], found["slowest"]))
    return rows, sums


def page(rows: Iterable[Row]) -> str:
    """How near to the bound flash crowds of each size came, and then what each part of the policy is worth."""
    plain = [row for row in rows if not row.policy]
    compared = [row for row in rows if row.policy]
    parts = [_crowds(plain)] if plain else []
    parts += [_comparison(compared)] if compared else []
    return "\n\n".join(parts) + "\n"


def others(sums: Iterable[Sum]) -> str:
    """How many runs of each other scenario went well."""
    lines = ["| scenario | runs | all well | the slowest took |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| `{each.scenario}` | {each.runs:,} | {each.well:,} | {each.slowest:,.0f} s |" for each in sums]
    return "\n".join(lines) + "\n"


def _grouped(rows: Iterable[Row], key: Callable[[Row], _Key]) -> dict[_Key, list[Row]]:
    groups: dict[_Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _crowds(rows: list[Row]) -> str:
    lines = [
        "| leechers | dialled by each | seeds | complete | times the bound: median | range | in vain | processor |",
        "| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (fetches, peers), group in sorted(_grouped(rows, lambda row: (row.fetches, row.peers)).items()):
        ratios = [row.ratio for row in group]
        cells = [
            f"{fetches:,}",
            f"{peers}",
            _seeds(group),
            f"{sum(row.complete == row.fetches for row in group)} of {len(group)}",
            f"{median(ratios):.3f}",
            f"{min(ratios):.3f} to {max(ratios):.3f}",
            f"{mean(row.waste for row in group):.1%}",
            f"{median(row.cpu for row in group):.0f} s",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _comparison(rows: list[Row]) -> str:
    groups = _grouped(rows, lambda row: row.policy)
    usual = mean(row.ratio for row in groups[AS_IT_IS])
    lines = [
        f"{rows[0].fetches:,} leechers, seeds {_seeds(groups[AS_IT_IS])}:",
        "",
        "| left out | times the bound: mean | least to most | more than with it | sent in vain |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for policy, group in groups.items():
        ratios = [row.ratio for row in group]
        cells = [
            "nothing" if policy == AS_IT_IS else policy,
            f"{mean(ratios):.3f}",
            f"{min(ratios):.3f} to {max(ratios):.3f}",
            "" if policy == AS_IT_IS else f"{mean(ratios) - usual:+.3f}",
            f"{mean(row.waste for row in group):.1%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _seeds(rows: list[Row]) -> str:
    """As few words as can be: `0 to 4, 10`."""
    spans: list[list[int]] = []
    for number in sorted({int(row.seed) for row in rows}):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{low}" if low == high else f"{low} to {high}" for low, high in spans)
