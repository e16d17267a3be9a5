"""The committed vectors: where they are, what is wrong with one in the eyes of a judge, and how a rejected one is
mended."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from p2pwire_conformance import contract
from p2pwire_conformance.protocol import read_data, requirements

Json = Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge makes of an input."""

    accepted: bool
    output: Mapping[str, Json] | None = None
    outcome: str | None = None
    """What follows a rejection; None if the judge cannot tell."""
    why: str = ""


Judge = Callable[[Json], Verdict]


def directory() -> Traversable:
    """Where the vectors lie: beside the package in a wheel, and above it in the source tree."""
    packed = resources.files("p2pwire_conformance") / "vectors"
    return packed if packed.is_dir() else Path(__file__).parents[2] / "vectors"


def files(place: Traversable | None = None) -> list[Traversable]:
    """Every file of vectors, in the order of families and names."""
    found = [each for each in (directory() if place is None else place).iterdir() if each.is_dir()]
    inner = (each for family in sorted(found, key=lambda one: one.name) for each in family.iterdir())
    return sorted((each for each in inner if each.name.endswith(".json")), key=lambda one: str(one).replace("\\", "/"))


def read(file: Traversable) -> Json:
    """One file. Raises `ValueError` for what is none."""
    return json.loads(file.read_text(encoding="utf-8"))


def schema() -> Json:
    """The JSON Schema of all files."""
    return read_data("vectors.schema.json")


def undo(vector: Json) -> Json:
    """The input of a rejected vector without its damage. Raises `ValueError` if it is not damaged like that."""
    mended = copy.deepcopy(vector["input"])
    for part in vector["damage"]:
        *steps, last = (int(step) if step.isdecimal() else step for step in part["field"].split("."))
        place = mended
        for step in steps:
            place = place[step]
        if "at" not in part:
            if place[last] != part["is"]:
                raise ValueError(f"{part['field']} is {place[last]!r:.60}, and the damage says {part['is']!r:.60}")
            place[last] = part["was"]
            continue
        begin, end = 2 * part["at"], 2 * part["at"] + len(part["is"])
        if place[last][begin:end] != part["is"]:
            raise ValueError(f"{part['field']} has at byte {part['at']} not what the damage says")
        place[last] = place[last][:begin] + part["was"] + place[last][end:]
    return mended


def _named(found: Json) -> None:
    """Raises `KeyError` or `TypeError` if a file has not what every one has."""
    for vector in found["vectors"]:
        for name in ("id", "result", "requirements", "input"):
            vector[name]


class Collection:
    """All vectors of a directory, and what is wrong with them."""

    def __init__(self, place: Traversable | None = None) -> None:
        """Raises `ValueError` for a directory without vectors, or with files that are none."""
        self.files: dict[str, Json] = {}
        for file in files(place):
            try:
                found = read(file)
                _named(found)
                self.files[f"{found['family']}/{file.name.removesuffix('.json')}"] = found
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{file}: no file of vectors: {error}") from None
        if not self.files:
            raise ValueError(f"{place}: there are no vectors")
        self.by_id = {vector["id"]: vector for found in self.files.values() for vector in found["vectors"]}

    @property
    def families(self) -> list[str]:
        """Their names."""
        return list(dict.fromkeys(found["family"] for found in self.files.values()))

    def of(self, family: str) -> list[Json]:
        """The vectors of a family."""
        return [v for found in self.files.values() if found["family"] == family for v in found["vectors"]]

    def problems(self, family: str, judge: Judge) -> Iterator[str]:
        """What is wrong with the vectors of a family."""
        known = requirements()
        for vector in self.of(family):
            for cited in vector["requirements"]:
                id, _, revision = cited.partition("@")
                if id not in known or known[id].revision != int(revision or 1):
                    yield f"{vector['id']}: {cited} is no requirement of this revision"
            try:
                yield from self._problems(vector, judge)
            except (KeyError, IndexError, TypeError, ValueError) as error:
                yield f"{vector['id']}: not a vector of this family: {type(error).__name__}: {error}"

    def form_problems(self) -> Iterator[str]:
        """Where the files break their schema, or use an id twice."""
        rules = schema()
        for name, found in self.files.items():
            wrong = contract.problem(found, rules)
            if wrong is not None:
                yield f"{name}: {wrong}"
        if len(self.by_id) != sum(len(found["vectors"]) for found in self.files.values()):
            yield "an id is used twice"

    def _problems(self, vector: Json, judge: Judge) -> Iterator[str]:
        verdict = judge(vector["input"])
        if vector["result"].startswith("choice:"):
            return
        if verdict.accepted != (vector["result"] == "accept"):
            yield f"{vector['id']}: {'accepted' if verdict.accepted else f'rejected: {verdict.why}'}"
        elif verdict.accepted and verdict.output != vector["output"]:
            yield f"{vector['id']}: it comes to {verdict.output!r:.300}, not to {vector['output']!r:.300}"
        elif not verdict.accepted:
            if "output" in vector and verdict.output != vector["output"]:
                yield f"{vector['id']}: before it {verdict.output!r:.300}, not {vector['output']!r:.300}"
            yield from self._damage_problems(vector, verdict, judge)

    def _damage_problems(self, vector: Json, verdict: Verdict, judge: Judge) -> Iterator[str]:
        if verdict.outcome is not None and verdict.outcome != vector["outcome"]:
            yield f"{vector['id']}: {verdict.outcome} follows, not {vector['outcome']}"
        origin = self.by_id.get(vector["from"])
        mended = undo(vector)
        if origin is None or origin["result"] != "accept" or mended != origin["input"]:
            yield f"{vector['id']}: without its damage it is not {vector['from']}"
        elif not judge(mended).accepted:
            yield f"{vector['id']}: without its damage it is not accepted"
