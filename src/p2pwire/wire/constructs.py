"""The closed set of constructs that the schema may use: a few of construct's own, and those of this module.

Everything that reads the schema (the generator, the tables, the explaining decoder) knows these constructs and refuses
any other, so whatever the schema says, all of them can say. Each construct here parses and builds by itself: the
interpreted schema is the oracle that the generated codec is tested against.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import construct
from construct.core import stream_iseof, stream_read, stream_read_entire, stream_write

from p2pwire.wire.rules import (
    AscendingKey,
    AscendingSpans,
    DisjointRanges,
    MessageRule,
    Range,
    TextRule,
    Unique,
    UniqueKey,
    ValueRule,
    complaint,
)

u8: Final = construct.Int8ub
u16: Final = construct.Int16ub
u32: Final = construct.Int32ub
u64: Final = construct.Int64ub


class Doc(str):
    """The text of a field, with its unit and the requirement of the specification that limits its value."""

    unit: str
    requirement: str

    def __new__(cls, text: str, *, unit: str = "", requirement: str = "") -> Doc:
        doc = super().__new__(cls, text)
        doc.unit = unit
        doc.requirement = requirement
        return doc


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

    def __init__(self, subcon: Sized | Rest, rule: TextRule) -> None:
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
    body of that frame. `requirement` binds its form where no field names one of its own, `size_requirement` its size.
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
        requirement: str = "",
        size_requirement: str = "",
    ) -> None:
        super().__init__(*fields)
        self.title = title
        self.text = text
        self.rules = tuple(rules)
        self.minimum = minimum
        self.maximum = maximum
        self.frame_type = frame_type
        self.requirement = requirement
        self.size_requirement = size_requirement or requirement

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
        built = super()._build(value, stream, context, path)
        # Only now each value is known to keep its own limits.
        self._check_rules(value, path)
        return built

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


# --- Rules that speak of messages ---------------------------------------------------------------------------------


@attrs.frozen
class KnownValues:
    """Where an element's number `key` is known, its bytes `value` are the message given for that number.

    What the `lenient` numbers have is judged by whoever uses it.
    """

    key: str
    value: str
    messages: Mapping[int, Message]
    lenient: frozenset[int] = frozenset()

    @property
    def limit(self) -> str:
        judged = {key: message for key, message in self.messages.items() if key not in self.lenient}
        pairs = ", ".join(f"{message.title} for {int(key)}" for key, message in judged.items())
        return f"with a {self.value} as its {self.key} says ({pairs})"

    def fault(self, value: Any) -> str | None:
        for element in value:
            message = self.messages.get(element[self.key])
            if message is not None and element[self.key] not in self.lenient:
                try:
                    message.parse(element[self.value])
                except construct.ConstructError as error:
                    return f"{complaint(self, True)}: {error}"
        return None


SequenceRule = Unique | UniqueKey | AscendingKey | AscendingSpans | DisjointRanges | KnownValues
