"""What the pages are made from: schemas, enumerations, requirements, vectors, each from where it is kept."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from p2pwire.generate.form import MessageForm, read_message
from p2pwire.generate.registry import Constant, Enumeration, Registry

MOST_BYTES: Final = 512
"""of an example that a page shows whole."""
_CODE: Final = re.compile(r"\b[A-Z][A-Z_]{2,}\b")


T = TypeVar("T")


class SourceError(ValueError):
    """A page asks for something that its sources do not have, or they can not be read."""


@attrs.frozen
class Requirement:
    """A normative sentence, and what checks it."""

    id: str
    level: str
    section: str
    text: str
    revision: int
    cases: tuple[str, ...] = ()
    """Conformance cases that cite it."""
    vectors: int = 0
    """Vectors that cite it."""
    trace: str = ""
    """How well it is proved, C0 to C3; empty if that was not given."""

    def names(self, word: str) -> bool:
        """Whether its sentence or its section's heading names something."""
        return re.search(rf"\b{re.escape(word)}\b", f"{self.section} {self.text}") is not None


@attrs.frozen
class Vector:
    """Bytes that an implementation is to accept, or to reject."""

    id: str
    about: str
    result: str
    requirements: tuple[str, ...]
    message: str
    """The message that they are, by its title; empty if the vector is about something else."""
    data: bytes


class Sources:
    """All that the directives of a project may ask for."""

    def __init__(
        self,
        *,
        schemas: Sequence[str],
        registries: Sequence[str],
        requirements: Path | None = None,
        trace: Path | None = None,
        vectors: Path | None = None,
    ) -> None:
        """`schemas` are names of modules with `MESSAGES`, `registries` of modules with enumerations and constants.

        `trace` is what `p2pwire-conformance trace --json` writes. Raises SourceError.
        """
        self.messages: dict[str, MessageForm] = {}
        for name in schemas:
            for message in _attribute(name, "MESSAGES"):
                form = read_message(message)
                self.messages[form.title] = form
        self.enumerations: dict[str, Enumeration] = {}
        self.constants: dict[str, Constant] = {}
        for name in registries:
            registry = Registry(_module(name))
            self.enumerations |= registry.enumerations
            self.constants |= registry.constants
        self.requirements = {each.id: each for each in _requirements(requirements, trace)}
        self.traced = trace is not None
        """Whether it is known what checks each requirement."""
        self._vectors = vectors
        self._read: dict[str, tuple[Vector, ...]] = {}

    def message(self, title: str) -> MessageForm:
        """A message by its title. Raises SourceError."""
        return _get(self.messages, title, "message")

    def enumeration(self, name: str) -> Enumeration:
        """An enumeration by its name. Raises SourceError."""
        return _get(self.enumerations, name, "enumeration")

    def requirements_of(self, message: MessageForm) -> list[Requirement]:
        """Those that its schema cites, and those that name it as the specification writes frames: JOIN."""
        cited = {message.requirement, message.size_requirement, *(field.requirement for field in message.fields)}
        name = self.frame_name(message)
        return [
            each for each in self.requirements.values() if each.id in cited or (name is not None and each.names(name))
        ]

    def frame_name(self, message: MessageForm) -> str | None:
        """What the specification calls a frame; None for what is no frame."""
        if message.frame_type is None:
            return None
        types = self.enumerations.get("FrameType")
        for member in types.members if types else ():
            if member.value == message.frame_type:
                return member.name
        return message.title.upper()

    def codes_of(self, requirements: Sequence[Requirement], enumeration: str) -> list[str]:
        """The members of an enumeration of codes that requirements name, in the enumeration's order."""
        named = {word for each in requirements for word in _CODE.findall(each.text)}
        codes = self.enumerations.get(enumeration)
        return [member.name for member in codes.members if member.name in named] if codes else []

    def vectors(self, pattern: str) -> tuple[Vector, ...]:
        """Vectors of a family whose files match, in the files' order. Raises SourceError."""
        if self._vectors is None:
            raise SourceError("vectors: p2p_vectors names no directory")
        if pattern not in self._read:
            self._read[pattern] = tuple(_vectors(self._vectors, pattern))
        return self._read[pattern]

    def example(self, message: MessageForm) -> Vector | None:
        """The first accepted vector of a message that a page can show whole and that has something to show."""
        if self._vectors is None:
            return None
        accepted = [
            each for each in self.vectors("codec/*.json") if each.message == message.title and each.result == "accept"
        ]
        fitting = (each for each in accepted if 0 < len(each.data) <= MOST_BYTES)
        return next(fitting, accepted[0] if accepted else None)


def _get(where: Mapping[str, T], name: str, kind: str) -> T:
    if name not in where:
        raise SourceError(f"{kind}: {name!r} is unknown; there are {', '.join(sorted(where)) or 'none'}")
    return where[name]


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SourceError(f"module: {name} can not be imported: {error}") from error


def _attribute(module: str, name: str) -> Any:
    found = getattr(_module(module), name, None)
    if found is None:
        raise SourceError(f"module: {module} has no {name}")
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: {error}") from error


def _vectors(directory: Path, pattern: str) -> Iterator[Vector]:
    for path in sorted(directory.glob(pattern)):
        for row in _json(path)["vectors"]:
            given = row.get("input", {})
            message = given.get("message", "")
            data = bytes.fromhex(given.get("bytes", "")) if message else b""
            yield Vector(row["id"], row["about"], row["result"], tuple(row["requirements"]), message, data)


def _requirements(path: Path | None, trace: Path | None) -> Iterator[Requirement]:
    if path is None:
        return
    proved = {row["id"]: row for row in _json(trace)["requirements"]} if trace is not None else {}
    for row in _json(path):
        found = proved.get(row["id"], {})
        yield Requirement(
            **{key: row[key] for key in ("id", "level", "section", "text", "revision")},
            cases=tuple(found.get("cases", ())),
            vectors=found.get("vectors", 0),
            trace=found.get("level", ""),
        )
