"""The machine-readable protocol and its requirements: the only source of numbers, names and layouts in the suite."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

DATA: Final = (
    "protocol.json",
    "requirements.json",
    "threats.json",
    "pctl.schema.json",
    "results.schema.json",
    "vectors.schema.json",
)
"""Files that lie beside the package in a wheel, and above it in the source tree."""


def read_data(name: str) -> Any:
    """One of the files of `DATA`."""
    packed = resources.files("p2pwire_conformance") / name
    if packed.is_file():
        return json.loads(packed.read_text(encoding="utf-8"))
    return json.loads((Path(__file__).parents[2] / name).read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a layout."""

    name: str
    type: str
    limit: str
    text: str
    requirement: str
    width: int = 0
    """Bytes of an integer; 0: it is none."""
    minimum: int = 0
    maximum: int = 0
    grease: bool = True
    names: str = ""
    closed: bool = False
    prefix_of: str = ""
    """The field whose size or count this integer tells."""
    size: int | None = None
    """Bytes of a field of fixed size."""
    minimum_size: int = 0
    maximum_size: int = 0
    value: bytes | None = None
    """The only value that the field may have."""
    element: str = ""
    """Of a sequence: the layout of its elements, or `u16`, or `bytes[n]`."""
    minimum_count: int = 0
    maximum_count: int = 0
    greedy: bool = False
    """Whether it goes on to the end of the message."""
    is_text: bool = False
    rules: tuple[Mapping[str, Any], ...] = ()
    absent: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """One message: a frame's body, a preamble's body, or a part of either."""

    name: str
    text: str
    minimum_size: int
    maximum_size: int
    requirement: str
    fields: tuple[Field, ...]
    rules: tuple[Mapping[str, Any], ...]
    frame_type: int | None = None
    preamble_kind: int | None = None


def _field(raw: Mapping[str, Any]) -> Field:
    kind = raw["type"]
    rules = list(raw.get("rules", ()))
    if "text_rule" in raw:
        rules.append(raw["text_rule"])
    return Field(
        name=raw["name"],
        type=kind,
        limit=raw["limit"],
        text=raw["text"],
        requirement=raw["requirement"],
        width=int(kind[1:]) // 8 if kind in ("u8", "u16", "u32", "u64") else 0,
        minimum=raw.get("minimum", 0),
        maximum=raw.get("maximum", 0),
        grease=raw.get("grease", True),
        names=raw.get("names", ""),
        closed=raw.get("closed", False),
        prefix_of=raw.get("prefix_of", ""),
        size=raw.get("size"),
        minimum_size=raw.get("minimum_size", 0),
        maximum_size=raw.get("maximum_size", 0),
        value=bytes.fromhex(raw["value"]) if "value" in raw else None,
        element=raw.get("element", ""),
        minimum_count=raw.get("minimum_count", 0),
        maximum_count=raw.get("maximum_count", 0),
        greedy=kind.endswith(("*", "to the end")),
        is_text=kind.startswith("text"),
        rules=tuple(rules),
        absent=raw.get("absent"),
    )


@dataclass(frozen=True, slots=True)
class Requirement:
    """One normative sentence."""

    id: str
    level: str
    section: str
    text: str
    revision: int

    @property
    def is_must(self) -> bool:
        """Whether breaking it is a failure; else it is a warning."""
        return self.level.startswith("MUST")


@dataclass(frozen=True)
class Protocol:
    """`protocol.json`."""

    layouts: Mapping[str, Layout]
    enumerations: Mapping[str, Mapping[str, int]]
    constants: Mapping[str, Any]
    states: Mapping[str, Any]
    by_type: Mapping[int, Layout] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Protocol:
        """Read the generated file."""
        layouts = {
            message["name"]: Layout(
                name=message["name"],
                text=message["text"],
                minimum_size=message["minimum_size"],
                maximum_size=message["maximum_size"],
                requirement=message["requirement"],
                fields=tuple(map(_field, message["fields"])),
                rules=tuple(message["rules"]),
                frame_type=message.get("frame_type"),
                preamble_kind=message.get("preamble_kind"),
            )
            for message in raw["messages"]
        }
        return cls(
            layouts,
            {e["name"]: {member["name"]: member["value"] for member in e["members"]} for e in raw["enumerations"]},
            {constant["name"]: constant["value"] for constant in raw["constants"]},
            raw["states"],
            {layout.frame_type: layout for layout in layouts.values() if layout.frame_type is not None},
        )

    def number(self, enumeration: str, name: str) -> int:
        """The value of a name, for example that of a close code."""
        return self.enumerations[enumeration][name]

    def name(self, enumeration: str, value: int) -> str:
        """The name of a value, or the value itself in hexadecimal."""
        found = (name for name, number in self.enumerations[enumeration].items() if number == value)
        return next(found, f"{value:#x}")

    def frame_name(self, frame_type: int) -> str:
        """The name of a frame type."""
        return self.name("FrameType", frame_type)


@cache
def protocol() -> Protocol:
    """The protocol that this suite tests."""
    return Protocol.parse(read_data("protocol.json"))


@cache
def threats() -> Mapping[str, str]:
    """All attacks that the specification answers: the number, and in a few words what it is."""
    return {raw["id"]: raw["attack"] for raw in read_data("threats.json")}


@cache
def requirements() -> Mapping[str, Requirement]:
    """All requirements, by id."""
    return {raw["id"]: Requirement(**raw) for raw in read_data("requirements.json")}


def close_code(name: str) -> int:
    """A close code by its name."""
    return protocol().number("CloseCode", name)


def frame_type(name: str) -> int:
    """A frame type by its name."""
    return protocol().number("FrameType", name)


def constant(name: str) -> Any:
    """A constant by its name."""
    return protocol().constants[name]


def is_grease16(value: int) -> bool:
    """Whether a version, suite or close code is one that never gets a meaning."""
    return value & 0x0F0F == 0x0A0A
