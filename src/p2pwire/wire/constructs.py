"""The closed set of constructs that the schema may use: a few of construct's own, and those of this module.

Everything that reads the schema (the generator, the tables, the explaining decoder) knows these constructs and refuses
any other, so whatever the schema says, all of them can say. Each construct here parses and builds by itself: the
interpreted schema is the oracle that the generated codec is tested against.

Rules are plain values with a `fault` (what is wrong with a value, or None) and a `limit` (the rule in words).
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from enum import IntEnum, IntFlag
from itertools import pairwise
from typing import Any, Final, Protocol

import attrs
import construct
from construct.core import stream_iseof, stream_read, stream_read_entire, stream_write

from p2pwire.wire.registry import is_grease16

u8: Final = construct.Int8ub
u16: Final = construct.Int16ub
u32: Final = construct.Int32ub
u64: Final = construct.Int64ub


class Doc(str):
    """The text of a field, with its unit and the requirements that bind it."""

    unit: str
    requirements: tuple[str, ...]

    def __new__(cls, text: str, *, unit: str = "", requirements: tuple[str, ...] = ()) -> Doc:
        doc = super().__new__(cls, text)
        doc.unit = unit
        doc.requirements = requirements
        return doc


# --- Rules of one value --------------------------------------------------------------------------------------------


class Rule(Protocol):
    """A rule that a value keeps or breaks."""

    @property
    def limit(self) -> str:
        """The rule in words."""

    def fault(self, value: Any) -> str | None:
        """What is wrong with the value; None if nothing is."""


def _broken(rule: Rule, broken: bool) -> str | None:
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
        return _broken(self, not self.minimum <= value <= self.maximum)


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
        return _broken(self, self.closed and value not in list(self.names))


@attrs.frozen
class NotGrease:
    """A u16 that is no GREASE value."""

    limit: str = "no GREASE value"

    def fault(self, value: Any) -> str | None:
        return _broken(self, is_grease16(value))


@attrs.frozen
class NoControls:
    """Text without control characters (U+0000 to U+001F and U+007F to U+009F), which could drive a terminal."""

    limit: str = "without control characters"

    def fault(self, value: Any) -> str | None:
        return _broken(self, any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in value))


@attrs.frozen
class Characters:
    """Text of the listed characters only; `allowed` is written as inside the brackets of a regular expression."""

    allowed: str

    @property
    def limit(self) -> str:
        return f"of the characters {self.allowed}"

    def fault(self, value: Any) -> str | None:
        return _broken(self, re.fullmatch(f"[{self.allowed}]*", value) is None)


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
        return _broken(self, broken)


# --- Rules of a sequence -------------------------------------------------------------------------------------------


@attrs.frozen
class Unique:
    """No value twice."""

    limit: str = "without duplicates"

    def fault(self, value: Any) -> str | None:
        return _broken(self, len(set(value)) != len(value))


@attrs.frozen
class UniqueKey:
    """No two elements with an equal field `key`."""

    key: str

    @property
    def limit(self) -> str:
        return f"unique by {self.key}"

    def fault(self, value: Any) -> str | None:
        return _broken(self, len({element[self.key] for element in value}) != len(value))


@attrs.frozen
class AscendingKey:
    """Elements ascend by the field `key`; so no two are equal in it."""

    key: str

    @property
    def limit(self) -> str:
        return f"ascending and unique by {self.key}"

    def fault(self, value: Any) -> str | None:
        keys = [element[self.key] for element in value]
        return _broken(self, any(a >= b for a, b in pairwise(keys)))


@attrs.frozen
class AscendingSpans:
    """Elements (first, last) ascend and share nothing."""

    limit: str = "ascending and disjoint"

    def fault(self, value: Any) -> str | None:
        return _broken(self, any(a["last"] >= b["first"] for a, b in pairwise(value)))


@attrs.frozen
class DisjointRanges:
    """The ranges [base, base + count) of the elements share nothing."""

    limit: str = "frame types disjoint"

    def fault(self, value: Any) -> str | None:
        taken = [t for element in value for t in range(element["base"], element["base"] + element["count"])]
        return _broken(self, len(set(taken)) != len(taken))


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
        return _broken(self, value[self.field] % 2 ** value[self.level] != 0)


@attrs.frozen
class NotBelow:
    """field >= other."""

    field: str
    other: str

    @property
    def limit(self) -> str:
        return f"at least {self.other}"

    def fault(self, value: Any) -> str | None:
        return _broken(self, value[self.field] < value[self.other])


@attrs.frozen
class MemberOf:
    """field is one of the values of the sequence `sequence`."""

    field: str
    sequence: str

    @property
    def limit(self) -> str:
        return f"one of {self.sequence}"

    def fault(self, value: Any) -> str | None:
        return _broken(self, value[self.field] not in value[self.sequence])


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
        return _broken(self, value[self.field] != 0 and value[self.other] not in self.values)


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
        return _broken(self, self.lengths.get(value[self.other], length) != length)


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
        return _broken(self, value[self.field] + value[self.count] - 1 > self.last)


@attrs.frozen
class NotAllEmpty:
    """At least one of two sequences has an element."""

    field: str
    other: str

    @property
    def limit(self) -> str:
        return f"not empty together with {self.other}"

    def fault(self, value: Any) -> str | None:
        return _broken(self, not value[self.field] and not value[self.other])


ValueRule = Range | Named | NotGrease | NoControls | Characters | RelativePath
SequenceRule = Unique | UniqueKey | AscendingKey | AscendingSpans | DisjointRanges
MessageRule = Aligned | NotBelow | MemberOf | ZeroUnless | LengthBy | EndsBy | NotAllEmpty

# --- Constructs ----------------------------------------------------------------------------------------------------


class Shape(construct.Construct):  # type: ignore[misc]  # construct has no types
    """Base of the constructs below."""


class Checked(Shape):
    """A construct whose value keeps a rule."""

    def __init__(self, subcon: construct.Construct, rule: ValueRule | SequenceRule) -> None:
        super().__init__()
        self.subcon = subcon
        self.rule = rule

    def _check(self, value: Any, path: str) -> Any:
        fault = self.rule.fault(value)
        if fault is not None:
            raise construct.ValidationError(f"{value!r} {fault}", path=path)
        return value

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> Any:
        return self._check(self.subcon._parsereport(stream, context, path), path)

    def _build(self, value: Any, stream: io.BytesIO, context: Any, path: str) -> Any:
        self.subcon._build(self._check(value, path), stream, context, path)
        return value


def bounded(subcon: construct.Construct, minimum: int, maximum: int) -> Checked:
    """A number from minimum to maximum, both included."""
    return Checked(subcon, Range(minimum, maximum))


class Boolean(Shape):
    """One byte, 0 or 1, nothing else."""

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> bool:
        value = u8._parsereport(stream, context, path)
        if value > 1:
            raise construct.ValidationError(f"{value} must be 0..1", path=path)
        return bool(value)

    def _build(self, value: Any, stream: io.BytesIO, context: Any, path: str) -> Any:
        if value not in (0, 1):
            raise construct.ValidationError(f"{value} must be 0..1", path=path)
        u8._build(int(value), stream, context, path)
        return value


class Sized(Shape):
    """Bytes after their length, which is from minimum to maximum."""

    def __init__(self, prefix: construct.Construct, minimum: int, maximum: int) -> None:
        super().__init__()
        self.prefix = prefix
        self.minimum = minimum
        self.maximum = maximum

    def _check(self, length: int, path: str) -> None:
        if not self.minimum <= length <= self.maximum:
            raise construct.RangeError(f"{length} bytes, must be {self.minimum}..{self.maximum}", path=path)

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> bytes:
        length = self.prefix._parsereport(stream, context, path)
        self._check(length, path)
        return bytes(stream_read(stream, length, path))

    def _build(self, value: Any, stream: io.BytesIO, context: Any, path: str) -> Any:
        self._check(len(value), path)
        self.prefix._build(len(value), stream, context, path)
        stream_write(stream, bytes(value), len(value), path)
        return value


class Rest(Shape):
    """All bytes to the end, from minimum to maximum. With `view` a decoder may give a view in place of a copy."""

    def __init__(self, minimum: int, maximum: int, *, view: bool = False) -> None:
        super().__init__()
        self.minimum = minimum
        self.maximum = maximum
        self.view = view

    def _check(self, length: int, path: str) -> None:
        if not self.minimum <= length <= self.maximum:
            raise construct.RangeError(f"{length} bytes, must be {self.minimum}..{self.maximum}", path=path)

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> bytes:
        value = bytes(stream_read_entire(stream, path))
        self._check(len(value), path)
        return value

    def _build(self, value: Any, stream: io.BytesIO, context: Any, path: str) -> Any:
        self._check(len(value), path)
        stream_write(stream, bytes(value), len(value), path)
        return value


class Text(Shape):
    """UTF-8 text in Sized or Rest bytes, whose limits count bytes."""

    def __init__(self, subcon: Sized | Rest, rule: NoControls | Characters | RelativePath) -> None:
        super().__init__()
        self.subcon = subcon
        self.rule = rule

    def _check(self, text: str, path: str) -> str:
        fault = self.rule.fault(text)
        if fault is not None:
            raise construct.ValidationError(f"{text!r} {fault}", path=path)
        return text

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> str:
        raw = self.subcon._parsereport(stream, context, path)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise construct.StringError(f"{raw!r} must be UTF-8", path=path) from None
        return self._check(text, path)

    def _build(self, value: Any, stream: io.BytesIO, context: Any, path: str) -> Any:
        try:
            raw = value.encode("utf-8")
        except UnicodeEncodeError:
            raise construct.StringError(f"{value!r} must be Unicode text", path=path) from None
        self._check(value, path)
        self.subcon._build(raw, stream, context, path)
        return value


class Counted(Shape):
    """Elements after their count, which is from minimum to maximum."""

    def __init__(self, prefix: construct.Construct, element: construct.Construct, minimum: int, maximum: int) -> None:
        super().__init__()
        self.prefix = prefix
        self.element = element
        self.minimum = minimum
        self.maximum = maximum

    def _check(self, count: int, path: str) -> None:
        if not self.minimum <= count <= self.maximum:
            raise construct.RangeError(f"{count} elements, must be {self.minimum}..{self.maximum}", path=path)

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> list[Any]:
        count = self.prefix._parsereport(stream, context, path)
        self._check(count, path)
        return [self.element._parsereport(stream, context, path) for _ in range(count)]

    def _build(self, value: Any, stream: io.BytesIO, context: Any, path: str) -> Any:
        self._check(len(value), path)
        self.prefix._build(len(value), stream, context, path)
        for element in value:
            self.element._build(element, stream, context, path)
        return value


class UntilEnd(Shape):
    """Elements up to the end of the bytes, at most `maximum`."""

    def __init__(self, element: construct.Construct, maximum: int) -> None:
        super().__init__()
        self.element = element
        self.maximum = maximum

    def _check(self, count: int, path: str) -> None:
        if count > self.maximum:
            raise construct.RangeError(f"more than {self.maximum} elements", path=path)

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> list[Any]:
        values: list[Any] = []
        while not stream_iseof(stream):
            self._check(len(values) + 1, path)
            values.append(self.element._parsereport(stream, context, path))
        return values

    def _build(self, value: Any, stream: io.BytesIO, context: Any, path: str) -> Any:
        self._check(len(value), path)
        for element in value:
            self.element._build(element, stream, context, path)
        return value


class Present(Shape):
    """A field that is there unless the earlier field `other` equals `absent_at`; then its value is `absent`."""

    def __init__(self, subcon: construct.Construct, *, other: str, absent_at: int, absent: int | bytes) -> None:
        super().__init__()
        self.subcon = subcon
        self.other = other
        self.absent_at = absent_at
        self.absent = absent

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> Any:
        if context[self.other] == self.absent_at:
            return self.absent
        return self.subcon._parsereport(stream, context, path)

    def _build(self, value: Any, stream: io.BytesIO, context: Any, path: str) -> Any:
        if context[self.other] != self.absent_at:
            self.subcon._build(value, stream, context, path)
        elif value != self.absent:
            raise construct.ValidationError(f"{value!r} must be {self.absent!r}", path=path)
        return value


class Message(construct.Struct):  # type: ignore[misc]  # construct has no types
    """A message: fields in order, rules between them, and nothing after the last field.

    `title` is the class that the generator makes of it, `text` says what it is. A message with a `frame_type` is the
    body of that frame.
    """

    def __init__(
        self,
        title: str,
        text: str,
        *fields: construct.Construct,
        rules: Sequence[MessageRule] = (),
        minimum: int = 0,
        maximum: int | None = None,
        frame_type: int | None = None,
    ) -> None:
        super().__init__(*fields)
        self.title = title
        self.text = text
        self.rules = tuple(rules)
        self.minimum = minimum
        self.maximum = maximum
        self.frame_type = frame_type

    def _check_rules(self, value: Mapping[str, Any], path: str) -> None:
        for rule in self.rules:
            fault = rule.fault(value)
            if fault is not None:
                raise construct.ValidationError(f"{rule.field} {fault}", path=path)

    def _check_size(self, size: int) -> None:
        if size < self.minimum or (self.maximum is not None and size > self.maximum):
            raise construct.RangeError(f"{self.title}: {size} bytes, must be {self.minimum}..{self.maximum}")

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> Any:
        value = super()._parse(stream, context, path)
        self._check_rules(value, path)
        return value

    def _build(self, value: Any, stream: io.BytesIO, context: Any, path: str) -> Any:
        self._check_rules(value, path)
        return super()._build(value, stream, context, path)

    def parse(self, data: bytes | bytearray | memoryview, **contextkw: Any) -> Any:
        """The value of a message that fills `data` exactly; raises construct.ConstructError."""
        self._check_size(len(data))
        stream = io.BytesIO(data)
        value = self.parse_stream(stream, **contextkw)
        if not stream_iseof(stream):
            raise construct.TerminatedError(f"{self.title}: bytes after the end")
        return value

    def build(self, obj: Mapping[str, Any], **contextkw: Any) -> bytes:
        """The bytes of a message; raises construct.ConstructError."""
        data = bytes(super().build(obj, **contextkw))
        self._check_size(len(data))
        return data
