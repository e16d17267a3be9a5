"""What a vector is, and how a family's vectors are gathered: accepted ones, and damaged copies of them.

A vector that is to be rejected names the valid one that it is made `from`, and its `damage`: where its input differs
from that of the valid one. Undone, the damage gives the valid input again, so that nothing else can be the reason.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from p2pwire.generate.vectors.citing import Citations

Json: TypeAlias = Any
"""A value of JSON, in which bytes stand for their hexadecimal text."""

SILENT: Final = "silent"
"""The carrier is closed and nothing is said."""
DROP: Final = "drop"
"""The thing is thrown away, and the link stays."""
UNUSABLE: Final = "unusable"
"""Nothing can be done with the object, and nobody is to blame."""
ERROR: Final = "error"
"""A person gets an error."""

_ID: Final = re.compile(r"[a-z]+(?:-[a-z]+)*(?:/[A-Za-z0-9=._+-]+){1,4}")


@attrs.frozen
class Vector:
    """One input, and what is to become of it."""

    id: str
    about: str
    result: str
    """accept, reject, or choice:NAME where two outcomes are legal."""
    requirements: tuple[str, ...]
    """As `FR-003`, or `FR-003@2` for a later revision."""
    input: Mapping[str, Json]
    output: Mapping[str, Json] | None = None
    """What is accepted comes to this."""
    flags: tuple[str, ...] = ()
    outcome: str = ""
    """What follows a rejection: the name of a close code as "CLOSE PROTOCOL", or one of the words above."""
    origin: Vector | None = None

    def entry(self) -> dict[str, Json]:
        """The JSON object, without a revision."""
        entry: dict[str, Json] = {
            "id": self.id,
            "about": self.about,
            "result": self.result,
            "flags": list(self.flags),
            "requirements": list(self.requirements),
            "input": plain(self.input),
        }
        if self.outcome:
            entry["outcome"] = self.outcome
            word, _, code = self.outcome.partition(" ")
            if word == "CLOSE":
                entry["close"] = code
        if self.output is not None:
            entry["output"] = plain(self.output)
        if self.origin is not None:
            entry["from"] = self.origin.id
            entry["damage"] = list(damage(self.origin.input, self.input))
        return entry

    @property
    def digest(self) -> str:
        """What the id stands for, shortened: everything but words and citations."""
        kept = {name: part for name, part in self.entry().items() if name not in ("about", "flags", "requirements")}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


class Book:
    """The vectors of one file, in the order in which they were entered."""

    def __init__(self, name: str, about: str, citations: Citations) -> None:
        self.name = name
        """Family and file, as `codec/topics`."""
        self.about = about
        self.vectors: list[Vector] = []
        self._citations = citations

    @property
    def family(self) -> str:
        """The directory."""
        return self.name.partition("/")[0]

    def accept(
        self,
        id: str,
        about: str,
        requirements: Iterable[str],
        input: Mapping[str, Json],
        output: Mapping[str, Json],
        *,
        flags: Sequence[str] = (),
        result: str = "accept",
    ) -> Vector:
        """Enter what is to be accepted and comes to `output`."""
        return self._enter(
            Vector(f"{self.family}/{id}", about, result, self._cite(requirements), input, output, tuple(flags))
        )

    def reject(
        self,
        id: str,
        about: str,
        requirements: Iterable[str],
        input: Mapping[str, Json],
        outcome: str,
        *,
        origin: Vector,
        flags: Sequence[str] = (),
        output: Mapping[str, Json] | None = None,
        result: str = "reject",
    ) -> Vector:
        """Enter a damaged copy of the input of `origin`."""
        name = f"{self.family}/{id}"
        if plain(input) == plain(origin.input):
            raise ValueError(f"{name}: it is not damaged")
        cited = self._cite(requirements)
        return self._enter(Vector(name, about, result, cited, input, output, tuple(flags), outcome, origin))

    def _cite(self, requirements: Iterable[str]) -> tuple[str, ...]:
        return tuple(self._citations[name] for name in dict.fromkeys(requirements))

    def _enter(self, vector: Vector) -> Vector:
        if not _ID.fullmatch(vector.id):
            raise ValueError(f"{vector.id!r} is no id")
        if not vector.requirements:
            raise ValueError(f"{vector.id}: it cites nothing")
        self.vectors.append(vector)
        return vector

    def text(self, revisions: Mapping[str, int]) -> str:
        """The file: one vector a line."""
        rows = []
        for vector in self.vectors:
            entry = vector.entry()
            row = {"id": entry.pop("id"), "revision": revisions[vector.id], **entry}
            rows.append(json.dumps(row, ensure_ascii=False))
        head = json.dumps({"family": self.family, "about": self.about}, ensure_ascii=False)[:-1]
        return f'{head}, "vectors": [\n' + ",\n".join(rows) + "\n]}\n"


def plain(value: Json) -> Json:
    """A value as JSON has it."""
    match value:
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case Mapping():
            return {str(key): plain(part) for key, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
        case bool() | None | str():
            return value
        case int():
            return int(value)
    raise TypeError(f"{value!r} has no place in a vector")


def damage(valid: Json, damaged: Json, path: str = "") -> Iterator[dict[str, Json]]:
    """Where two inputs differ. Bytes: the shortest run that was put in the place of another; else the whole value."""
    if isinstance(valid, Mapping) and isinstance(damaged, Mapping) and set(valid) == set(damaged):
        for key in valid:
            yield from damage(valid[key], damaged[key], f"{path}.{key}" if path else key)
    elif isinstance(valid, list | tuple) and isinstance(damaged, list | tuple) and len(valid) == len(damaged):
        for index, (one, other) in enumerate(zip(valid, damaged, strict=True)):
            yield from damage(one, other, f"{path}.{index}" if path else str(index))
    elif isinstance(valid, bytes) and isinstance(damaged, bytes):
        if valid != damaged:
            yield {"field": path, **_splice(valid, damaged)}
    elif plain(valid) != plain(damaged):
        yield {"field": path, "is": plain(damaged), "was": plain(valid)}


def _splice(valid: bytes, damaged: bytes) -> dict[str, Json]:
    shorter = min(len(valid), len(damaged))
    at = next((n for n in range(shorter) if valid[n] != damaged[n]), shorter)
    end = next((n for n in range(shorter - at) if valid[-1 - n] != damaged[-1 - n]), shorter - at)
    return {"at": at, "is": damaged[at : len(damaged) - end].hex(), "was": valid[at : len(valid) - end].hex()}
