"""Requirement by requirement: what cites it, what proves it, and the gate that every requirement has to pass.

The levels: C0 nobody cites it; C1 the source code does; C2 a case or a vector does; C3 a case that cites it kills a
mutant that violates it. That the kills are real is for `selfcheck` to show, whose results may be given.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from p2pwire_conformance.case import Case
from p2pwire_conformance.protocol import Requirement
from p2pwire_conformance.selfcheck import Mutant

MOST_EXCEPTIONS: Final = 0.08
"""of the requirements with MUST or MUST NOT."""
LEAST_CITED: Final = 0.95
"""of those with SHOULD or SHOULD NOT."""
LEVELS: Final = ("C0", "C1", "C2", "C3")
SHOWN: Final = 6
"""cases of a requirement that a line names."""
_MENTION: Final = re.compile(r"\b[A-Z]{2}-\d{3}\b")


@dataclass(frozen=True)
class Exempt:
    """A requirement, or an attack, that no case can show from outside, and what shows it instead."""

    id: str
    reason: str
    evidence: tuple[str, ...]
    """Files, or `file::test`, relative to the list's own directory."""


@dataclass(frozen=True)
class Traced:
    """One requirement and what leads to it."""

    requirement: Requirement
    cases: tuple[str, ...]
    vectors: int
    mutants: tuple[str, ...]
    """Mutants that violate it and that a case which cites it kills."""
    in_code: bool

    @property
    def level(self) -> str:
        """C0 to C3."""
        if self.mutants:
            return "C3"
        return "C2" if self.cases or self.vectors else "C1" if self.in_code else "C0"


@dataclass(frozen=True)
class Trace:
    """All requirements and attacks, and what keeps the gate shut."""

    rows: tuple[Traced, ...]
    threats: Mapping[str, tuple[str, ...]]
    """Attack -> the cases that make it."""
    exempt: Mapping[str, Exempt]
    faults: tuple[str, ...]


def read_exceptions(path: Path) -> dict[str, Exempt]:
    """The list of exceptions: for each id a `reason` and `evidence`, one or more paths."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))
    return {id: Exempt(id, str(row.get("reason", "")), tuple(row.get("evidence", ()))) for id, row in rows.items()}


def read_requirements(path: Path) -> dict[str, Requirement]:
    """A `requirements.json`."""
    return {raw["id"]: Requirement(**raw) for raw in json.loads(path.read_text(encoding="utf-8"))}


def read_kills(path: Path) -> dict[str, set[str]]:
    """The results of `selfcheck`: mutant -> the cases that killed it."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return {one["name"]: set(one["killed_by"]) for one in found["mutants"]}


def read_vectors(directory: Path) -> Counter[str]:
    """Requirement -> how many vectors below the directory cite it."""
    return Counter(
        id for path in sorted(directory.rglob("*.json")) for id in _cited(json.loads(path.read_text(encoding="utf-8")))
    )


def _cited(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        listed = value.get("requirements", ())
        yield from (str(id).partition("@")[0] for id in listed if isinstance(id, str))
        for inner in value.values():
            yield from _cited(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _cited(inner)


def read_source(directory: Path) -> set[str]:
    """The ids that the source code below a directory names."""
    return {id for path in directory.rglob("*.py") for id in _MENTION.findall(path.read_text(encoding="utf-8"))}


def trace(
    requirements: Mapping[str, Requirement],
    threats: Iterable[str],
    cases: Sequence[Case],
    mutants: Sequence[Mutant],
    *,
    exempt: Mapping[str, Exempt],
    evidence: Path,
    vectors: Mapping[str, int] | None = None,
    in_code: frozenset[str] | set[str] = frozenset(),
    kills: Mapping[str, set[str]] | None = None,
) -> Trace:
    """Follow all. `evidence` is the directory to which the paths of exceptions are relative; with `kills`, a mutant
    counts as killed by what they say and not by what its list says."""
    vectors = vectors or {}
    citing = {
        id: {case.id for case in cases if id in {one.partition("@")[0] for one in case.citations}}
        for id in requirements
    }  # fmt: skip
    rows = tuple(
        Traced(
            requirement,
            tuple(sorted(citing[id])),
            vectors.get(id, 0),
            tuple(m.name for m in mutants if id in m.violates and citing[id] & _killers(m, kills)),
            id in in_code,
        )
        for id, requirement in requirements.items()
    )
    made = {id: tuple(sorted(case.id for case in cases if id in case.threats)) for id in threats}
    faults = (
        *_dangling(requirements, made, cases, mutants, vectors),
        *_exceptions(rows, made, exempt, evidence),
        *_gate(rows, exempt),
        *(f"{id}: no case makes this attack" for id, found in made.items() if not found and id not in exempt),
    )
    return Trace(rows, made, exempt, faults)


def _killers(mutant: Mutant, kills: Mapping[str, set[str]] | None) -> set[str]:
    return set(mutant.killed_by) if kills is None else kills.get(mutant.name, set())


def _dangling(
    requirements: Mapping[str, Requirement],
    threats: Mapping[str, object],
    cases: Sequence[Case],
    mutants: Sequence[Mutant],
    vectors: Mapping[str, int],
) -> Iterator[str]:
    for case in cases:
        if not case.citations:
            yield f"{case.id}: cites no requirement"
        for citation in case.citations:
            id, _, revision = citation.partition("@")
            if id not in requirements:
                yield f"{case.id}: {id} is no requirement"
            elif int(revision or 1) != requirements[id].revision:
                yield f"{case.id}: cites {citation}, and the sentence is in revision {requirements[id].revision}"
        yield from (f"{case.id}: {id} is no attack" for id in case.threats if id not in threats)
    for mutant in mutants:
        if not mutant.violates:
            yield f"{mutant.name}: violates no requirement"
        yield from (f"{mutant.name}: {id} is no requirement" for id in mutant.violates if id not in requirements)
    yield from (f"a vector: {id} is no requirement" for id in sorted(vectors) if id not in requirements)


def _exceptions(
    rows: Sequence[Traced], threats: Mapping[str, Sequence[str]], exempt: Mapping[str, Exempt], evidence: Path
) -> Iterator[str]:
    known = {row.requirement.id: row for row in rows}
    for one in exempt.values():
        row = known.get(one.id)
        if row is None and one.id not in threats:
            yield f"exception {one.id}: is no requirement and no attack"
        elif row is not None and not row.requirement.is_must:
            yield f"exception {one.id}: is {row.requirement.level}, which needs none"
        elif (row is not None and row.level == "C3") or threats.get(one.id):
            yield f"exception {one.id}: is stale, since it is tested now"
        if not one.reason.strip():
            yield f"exception {one.id}: gives no reason"
        if not one.evidence:
            yield f"exception {one.id}: gives no other evidence"
        yield from (
            f"exception {one.id}: {path} does not exist" for path in one.evidence if not _exists(evidence, path)
        )
    musts = sum(row.requirement.is_must for row in rows)
    used = sum(id in known for id in exempt)
    if used > MOST_EXCEPTIONS * musts:
        yield f"{used} exceptions of {musts} requirements with MUST, at most {MOST_EXCEPTIONS:.0%} may be"


def _exists(directory: Path, path: str) -> bool:
    """Whether there is such a file, and in it such a test."""
    file, _, name = path.partition("::")
    found = directory / file
    return found.is_file() and (
        not name or re.search(rf"\bdef {name}\b", found.read_text(encoding="utf-8")) is not None
    )


def _gate(rows: Sequence[Traced], exempt: Mapping[str, Exempt]) -> Iterator[str]:
    for row in rows:
        id = row.requirement.id
        if row.requirement.is_must and row.level != "C3" and id not in exempt:
            yield f"{id}: is {row.requirement.level} and at {row.level}: {row.requirement.text}"
    should = [row for row in rows if row.requirement.level.startswith("SHOULD")]
    cited = sum(row.level >= "C2" for row in should)
    if cited < LEAST_CITED * len(should):
        lacking = ", ".join(row.requirement.id for row in should if row.level < "C2")
        yield f"{cited} of {len(should)} requirements with SHOULD are cited, {LEAST_CITED:.0%} have to be: {lacking}"


# --- reports ---


def lines(found: Trace) -> Iterator[str]:
    """A line for each requirement and attack."""
    for row in found.rows:
        one = row.requirement
        by = " ".join(row.cases[:SHOWN]) + (f" +{len(row.cases) - SHOWN}" if len(row.cases) > SHOWN else "")
        vectors = f" {row.vectors} vectors" if row.vectors else ""
        mutants = f"; mutants {', '.join(row.mutants)}" if row.mutants else ""
        mark = " (exception)" if one.id in found.exempt else ""
        yield f"{one.id} {one.level:<10} {row.level}{mark} {by}{vectors}{mutants}"
    for id, cases in found.threats.items():
        yield f"{id:<6} attack     {' '.join(cases[:SHOWN]) or 'exception' * (id in found.exempt) or 'no case'}"


def summary(found: Trace) -> list[list[str]]:
    """A table: for each group of requirements, and for all, how many of each keyword are at each level."""
    names = ["requirements", "number", *LEVELS, "MUST at C3", "exceptions", "SHOULD at C2"]
    groups = list(dict.fromkeys(row.requirement.id[:2] for row in found.rows))
    return [names, *(_counted(found, group) for group in groups), _counted(found, "")]


def _counted(found: Trace, group: str) -> list[str]:
    rows = [row for row in found.rows if row.requirement.id.startswith(group)]
    must = [row for row in rows if row.requirement.is_must]
    should = [row for row in rows if row.requirement.level.startswith("SHOULD")]
    return [
        group or "all",
        str(len(rows)),
        *(str(sum(row.level == level for row in rows)) for level in LEVELS),
        f"{sum(row.level == 'C3' for row in must)} of {len(must)}",
        str(sum(row.requirement.id in found.exempt for row in rows)),
        f"{sum(row.level >= 'C2' for row in should)} of {len(should)}",
    ]


def text_table(found: Trace) -> Iterator[str]:
    """The summary, aligned."""
    table = summary(found)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def markdown(found: Trace) -> str:
    """The summary, the exceptions, and the whole as Markdown."""
    head, *body = summary(found)
    table = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body)]
    exceptions = [
        f"- {one.id}: {one.reason} See {', '.join(f'`{e}`' for e in one.evidence)}." for one in found.exempt.values()
    ]
    faults = [f"- {fault}" for fault in found.faults] or ["None."]
    each = [f"- {line}" for line in lines(found)]
    parts = [["# Requirements and their tests"], table, ["## What is missing"], faults]
    parts += [["## Exceptions"], exceptions or ["None."], ["## Each requirement"], each]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def as_json(found: Trace) -> dict[str, Any]:
    """All of it."""
    return {
        "requirements": [
            {
                "id": row.requirement.id,
                "revision": row.requirement.revision,
                "keyword": row.requirement.level,
                "level": row.level,
                "cases": list(row.cases),
                "vectors": row.vectors,
                "mutants": list(row.mutants),
                "exception": row.requirement.id in found.exempt,
            }
            for row in found.rows
        ],
        "threats": {id: list(cases) for id, cases in found.threats.items()},
        "faults": list(found.faults),
    }
