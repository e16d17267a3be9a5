"""Reads the committed vectors and holds a judge to them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

Json = Any
DIRECTORY = Path(__file__).parents[2] / "conformance" / "vectors"


@attrs.frozen
class Verdict:
    """What a judge makes of an input."""

    accepted: bool
    output: Mapping[str, Json] | None = None
    outcome: str | None = None
    """What follows a rejection; None if the judge can not tell."""


Judge = Callable[[Json], Verdict]


def files() -> list[Path]:
    """Every file of vectors."""
    return sorted(DIRECTORY.glob("*/*.json"))


def vectors(path: Path) -> list[Json]:
    """The vectors of one file."""
    found: list[Json] = json.loads(path.read_text(encoding="utf-8"))["vectors"]
    return found


def everything() -> dict[str, Json]:
    """All vectors, by id."""
    return {vector["id"]: vector for path in files() for vector in vectors(path)}


def undo(vector: Json) -> Json:
    """The input without its damage."""
    mended = copy.deepcopy(vector["input"])
    for part in vector["damage"]:
        *path, last = part["field"].split(".")
        place = mended
        for step in path:
            place = place[int(step) if isinstance(place, list) else step]
        key = int(last) if isinstance(place, list) else last
        if "at" in part:
            at, end = 2 * part["at"], 2 * part["at"] + len(part["is"])
            assert place[key][at:end] == part["is"], f"{vector['id']}: {part['field']} is not damaged like this"
            place[key] = place[key][:at] + part["was"] + place[key][end:]
        else:
            assert place[key] == part["is"], f"{vector['id']}: {part['field']} is not damaged like this"
            place[key] = part["was"]
    return mended


def problems(found: list[Json], known: Mapping[str, Json], judge: Judge) -> Iterator[str]:
    """What is wrong with vectors, in the eyes of a judge."""
    for vector in found:
        verdict = judge(vector["input"])
        if vector["result"].startswith("choice:"):
            continue
        if verdict.accepted != (vector["result"] == "accept"):
            yield f"{vector['id']}: {'accepted' if verdict.accepted else 'rejected'}"
            continue
        if "output" in vector and verdict.output != vector["output"]:
            yield f"{vector['id']}: it comes to {verdict.output!r:.300}, not {vector['output']!r:.300}"
        if not verdict.accepted:
            yield from _damage_problems(vector, verdict, known, judge)


def _damage_problems(vector: Json, verdict: Verdict, known: Mapping[str, Json], judge: Judge) -> Iterator[str]:
    if verdict.outcome is not None and verdict.outcome != vector["outcome"]:
        yield f"{vector['id']}: {verdict.outcome} follows, not {vector['outcome']}"
    origin = known[vector["from"]]
    mended = undo(vector)
    if mended != origin["input"]:
        yield f"{vector['id']}: without its damage it is not {vector['from']}"
    elif origin["result"] != "accept" or not judge(mended).accepted:
        yield f"{vector['id']}: without its damage it is not accepted"
