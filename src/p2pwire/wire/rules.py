"""The rules that values, sequences and messages keep, as plain values.

Each has a `fault` (what is wrong with a value, or None) and a `limit` (the rule in words).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum, IntFlag
from itertools import pairwise
from typing import Any, Protocol

import attrs

from p2pwire.wire.registry import is_grease16

# --- Rules of one value --------------------------------------------------------------------------------------------


class Rule(Protocol):
    """A rule that a value keeps or breaks."""

    @property
    def limit(self) -> str:
        """The rule in words."""

    def fault(self, value: Any) -> str | None:
        """What is wrong with the value; None if nothing is."""


def complaint(rule: Rule, broken: bool) -> str | None:
    return f"must be {rule.limit}" if broken else None


@attrs.frozen
class Range:
    """A number from minimum to maximum, both included."""

    minimum: int
    maximum: int

    @property
    def limit(self) -> str:
        return f"{self.minimum}..{self.maximum}" if self.minimum < self.maximum else str(self.minimum)

    def fault(self, value: Any) -> str | None:
        return complaint(self, not self.minimum <= value <= self.maximum)


@attrs.frozen
class Named:
    """A number that the registry has names for. Open: others pass too; closed: they do not."""

    names: type[IntEnum] | type[IntFlag]
    closed: bool = False

    @property
    def limit(self) -> str:
        values = ", ".join(str(member.value) for member in self.names)
        return f"one of {values}" if self.closed else f"a {self.names.__name__}"

    def fault(self, value: Any) -> str | None:
        return complaint(self, self.closed and value not in list(self.names))


@attrs.frozen
class NotGrease:
    """A u16 that is no GREASE value."""

    limit: str = "no GREASE value"

    def fault(self, value: Any) -> str | None:
        return complaint(self, is_grease16(value))


@attrs.frozen
class NoControls:
    """Text without control characters (U+0000 to U+001F and U+007F to U+009F), which could drive a terminal."""

    limit: str = "without control characters"

    def fault(self, value: Any) -> str | None:
        return complaint(self, any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in value))


@attrs.frozen
class Characters:
    """Text of the listed characters only; `allowed` is written as inside the brackets of a regular expression."""

    allowed: str

    @property
    def limit(self) -> str:
        return f"of the characters {self.allowed}"

    def fault(self, value: Any) -> str | None:
        return complaint(self, re.fullmatch(f"[{self.allowed}]*", value) is None)


@attrs.frozen
class RelativePath:
    """A path of at most `components` components of 1 to `component` bytes, each a harmless name."""

    components: int
    component: int

    @property
    def limit(self) -> str:
        return (
            f"at most {self.components} components of 1..{self.component} bytes, "
            "none '.' or '..', without control bytes and backslashes"
        )

    def fault(self, value: Any) -> str | None:
        parts = value.split("/")
        broken = (
            len(parts) > self.components
            or any(not 1 <= len(part.encode()) <= self.component or part in (".", "..") for part in parts)
            or any(ord(c) < 0x20 or c in "\x7f\\" for c in value)
        )
        return complaint(self, broken)


# --- Rules of a sequence -------------------------------------------------------------------------------------------


@attrs.frozen
class Unique:
    """No value twice."""

    limit: str = "without duplicates"

    def fault(self, value: Any) -> str | None:
        return complaint(self, len(set(value)) != len(value))


@attrs.frozen
class UniqueKey:
    """No two elements with an equal field `key`."""

    key: str

    @property
    def limit(self) -> str:
        return f"unique by {self.key}"

    def fault(self, value: Any) -> str | None:
        return complaint(self, len({element[self.key] for element in value}) != len(value))


@attrs.frozen
class AscendingKey:
    """Elements ascend by the field `key`; so no two are equal in it."""

    key: str

    @property
    def limit(self) -> str:
        return f"ascending and unique by {self.key}"

    def fault(self, value: Any) -> str | None:
        keys = [element[self.key] for element in value]
        return complaint(self, any(a >= b for a, b in pairwise(keys)))


@attrs.frozen
class AscendingSpans:
    """Elements (first, last) ascend and share nothing."""

    limit: str = "ascending and disjoint"

    def fault(self, value: Any) -> str | None:
        return complaint(self, any(a["last"] >= b["first"] for a, b in pairwise(value)))


@attrs.frozen
class DisjointRanges:
    """The ranges [base, base + count) of the elements share nothing."""

    limit: str = "frame types disjoint"

    def fault(self, value: Any) -> str | None:
        taken = [t for element in value for t in range(element["base"], element["base"] + element["count"])]
        return complaint(self, len(set(taken)) != len(taken))


# --- Rules between the fields of a message -------------------------------------------------------------------------


@attrs.frozen
class Aligned:
    """field mod 2^level = 0."""

    field: str
    level: str

    @property
    def limit(self) -> str:
        return f"a multiple of 2^{self.level}"

    def fault(self, value: Any) -> str | None:
        return complaint(self, value[self.field] % 2 ** value[self.level] != 0)


@attrs.frozen
class NotBelow:
    """field >= other."""

    field: str
    other: str

    @property
    def limit(self) -> str:
        return f"at least {self.other}"

    def fault(self, value: Any) -> str | None:
        return complaint(self, value[self.field] < value[self.other])


@attrs.frozen
class MemberOf:
    """field is one of the values of the sequence `sequence`."""

    field: str
    sequence: str

    @property
    def limit(self) -> str:
        return f"one of {self.sequence}"

    def fault(self, value: Any) -> str | None:
        return complaint(self, value[self.field] not in value[self.sequence])


@attrs.frozen
class ZeroUnless:
    """field is 0 unless `other` is one of `values`."""

    field: str
    other: str
    values: tuple[int, ...]

    @property
    def limit(self) -> str:
        return f"0 unless {self.other} is {' or '.join(str(int(v)) for v in self.values)}"

    def fault(self, value: Any) -> str | None:
        return complaint(self, value[self.field] != 0 and value[self.other] not in self.values)


@attrs.frozen
class LengthBy:
    """The length of the bytes `field` follows from the number `other`, where that is known."""

    field: str
    other: str
    lengths: Mapping[int, int]

    @property
    def limit(self) -> str:
        pairs = ", ".join(f"{length} for {int(key)}" for key, length in self.lengths.items())
        return f"as long as {self.other} says ({pairs})"

    def fault(self, value: Any) -> str | None:
        length = len(value[self.field])
        return complaint(self, self.lengths.get(value[self.other], length) != length)


@attrs.frozen
class EndsBy:
    """field + count - 1 <= last: a range of numbers that ends in time."""

    field: str
    count: str
    last: int

    @property
    def limit(self) -> str:
        return f"such that {self.field} + {self.count} - 1 <= {self.last}"

    def fault(self, value: Any) -> str | None:
        return complaint(self, value[self.field] + value[self.count] - 1 > self.last)


@attrs.frozen
class NotAllEmpty:
    """At least one of two sequences has an element."""

    field: str
    other: str

    @property
    def limit(self) -> str:
        return f"not empty together with {self.other}"

    def fault(self, value: Any) -> str | None:
        return complaint(self, not value[self.field] and not value[self.other])


TextRule = NoControls | Characters | RelativePath
ValueRule = Range | Named | NotGrease
MessageRule = Aligned | NotBelow | MemberOf | ZeroUnless | LengthBy | EndsBy | NotAllEmpty
