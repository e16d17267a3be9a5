"""Explains bytes: every field with its place, its value and what is wrong with it, as far as can be read.

Unlike a decoder this goes on after a fault: a wrong value does not hide the fields after it, a truncated field ends its
message alone. Nothing here raises, whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

import attrs

from p2pwire.generate.form import (
    MESSAGES,
    Constant,
    Field,
    FixedBytes,
    MessageForm,
    Number,
    Sequence,
    VariableBytes,
)
from p2pwire.generate.values import hex_text, quoted, value_text
from p2pwire.generate.wording import prefix_name, range_limit
from p2pwire.wire import schema
from p2pwire.wire.constructs import KnownValues
from p2pwire.wire.registry import (
    FIRST_EXTENSION_FRAME,
    GREASE_FRAMES,
    MAGIC,
    MANIFEST_MAGIC,
    FrameType,
    PreambleKind,
    is_critical,
)
from p2pwire.wire.rules import NotGrease

_BY_TITLE: Final[Mapping[str, MessageForm]] = {message.title: message for message in MESSAGES}
_FRAMES: Final = {message.frame_type: message for message in MESSAGES if message.frame_type is not None}
INSIDE: Final = {("SharedRecord", "record"): _BY_TITLE["PeerRecord"]}
"""Fields whose bytes are a message that the frame itself does not vouch for."""


class Kind(Enum):
    """What bytes are taken for; the value is the name that people give it."""

    STREAM = "stream"
    """All that one side sent: a preamble, handshake messages, records."""
    PREAMBLE = "preamble"
    """One preamble."""
    PAYLOAD = "payload"
    """The decrypted payload of handshake message 2 or 3."""
    RECORDS = "records"
    """Encrypted records, one after another."""
    FRAMES = "frames"
    """Frames, one after another: the plaintext of records."""
    MANIFEST = "manifest"
    """A manifest."""
    PEER_RECORD = "peer-record"
    """One peer record."""


@attrs.frozen
class Row:
    """One explained piece of the bytes."""

    offset: int
    """Bytes from the start."""
    length: int
    """Bytes that it takes."""
    path: str
    """The field, from the outermost message inwards; empty for bytes that belong to none."""
    type: str
    value: str
    """For people; control characters are escaped."""
    problem: str | None = None
    """What is wrong with it."""
    requirement: str | None = None
    """The requirement of the specification that it breaks, where one is known."""


def guess(data: bytes) -> Kind:
    """What the bytes look like."""
    if data[: len(MAGIC)] == MAGIC:
        return Kind.STREAM
    if data[: len(MANIFEST_MAGIC)] == MANIFEST_MAGIC:
        return Kind.MANIFEST
    for kind in (Kind.PEER_RECORD, Kind.FRAMES, Kind.RECORDS):
        if data and not any(row.problem for row in describe(data, kind)):
            return kind
    return Kind.FRAMES


def describe(data: bytes, kind: Kind | None = None) -> Iterator[Row]:
    """The rows of the bytes, in order. Without a kind it is guessed."""
    reader = _Reader(data)
    match guess(data) if kind is None else kind:
        case Kind.STREAM:
            yield from _stream(reader)
        case Kind.PREAMBLE:
            yield from _preamble(reader)
        case Kind.PAYLOAD:
            yield from _whole(reader, _BY_TITLE["HandshakePayload"])
        case Kind.RECORDS:
            yield from _records(reader)
        case Kind.FRAMES:
            yield from _frames(reader)
        case Kind.MANIFEST:
            yield from _manifest(reader)
        case Kind.PEER_RECORD:
            yield from _whole(reader, _BY_TITLE["PeerRecord"])
    if reader.at < len(data) and not reader.stuck:
        yield reader.rest("", "nothing more belongs here", None)


def describe_message(data: bytes, title: str) -> Iterator[Row]:
    """The rows of bytes that are to be the message of that class, and nothing else."""
    yield from _whole(_Reader(data), _BY_TITLE[title])


def describe_form(data: bytes, message: MessageForm) -> Iterator[Row]:
    """The rows of bytes that are to be a message of any schema, and nothing else."""
    yield from _whole(_Reader(data), message)


# --- Messages in their frames --------------------------------------------------------------------------------------


def _whole(reader: _Reader, message: MessageForm) -> Iterator[Row]:
    yield from reader.bounded(message, message.title, len(reader.data))


def _preamble(reader: _Reader) -> Iterator[Row]:
    header: dict[str, Any] = {}
    yield from reader.message(_BY_TITLE["PreambleHeader"], "preamble", header)
    if "length" not in header:
        return
    kind = header["kind"]
    body = _BY_TITLE[schema.PREAMBLES[kind].title] if kind in list(PreambleKind) else None
    yield from _body(reader, body, f"preamble.{body.title if body else 'body'}", header["length"], "VN-007")


def _stream(reader: _Reader) -> Iterator[Row]:
    yield from _preamble(reader)
    kind = reader.data[len(MAGIC)] if len(reader.data) > len(MAGIC) else None
    numbers = {PreambleKind.INITIATOR.value: (1, 3), PreambleKind.RESPONDER.value: (2,)}.get(kind or 0, ())
    for number in numbers:
        if reader.done:
            return
        yield from _enveloped(reader, "HandshakeHeader", f"message {number}", "HS-001")
    if numbers:
        yield from _records(reader)


def _records(reader: _Reader) -> Iterator[Row]:
    index = 0
    while not reader.done:
        yield from _enveloped(reader, "RecordHeader", f"record {index}", "EN-004")
        index += 1


def _enveloped(reader: _Reader, header: str, path: str, requirement: str) -> Iterator[Row]:
    """A length and that many encrypted bytes."""
    values: dict[str, Any] = {}
    yield from reader.message(_BY_TITLE[header], path, values)
    if "length" in values:
        yield from _body(reader, None, f"{path}.ciphertext", values["length"], requirement)


def _frames(reader: _Reader) -> Iterator[Row]:
    while not reader.done:
        header: dict[str, Any] = {}
        begin = reader.at
        name = _frame_name(reader.data[begin])
        for row in reader.message(_BY_TITLE["FrameHeader"], name, header):
            if row.path == f"{name}.type":
                yield _with_frame_type(row, reader.data[begin])
            else:
                yield row
        if "length" not in header:
            return
        yield from _body(reader, _FRAMES.get(header["type"]), name, header["length"], "EN-008")


def _frame_name(number: int) -> str:
    return FrameType(number).name if number in _FRAMES else f"frame 0x{number:02X}"


def _with_frame_type(row: Row, number: int) -> Row:
    if number in _FRAMES:
        return row
    row = attrs.evolve(row, value=f"0x{number:02X}")
    if number in GREASE_FRAMES:
        return attrs.evolve(row, value=f"{row.value} (GREASE)")
    if number == 0xFF:
        return attrs.evolve(row, problem="0xFF is no frame type", requirement="FR-008")
    if number >= FIRST_EXTENSION_FRAME:
        return attrs.evolve(row, value=f"{row.value} (of an extension)")
    if is_critical(number):
        return attrs.evolve(row, problem="no such critical frame: CLOSE(UNKNOWN_FRAME)", requirement="FR-006")
    return attrs.evolve(row, value=f"{row.value} (unknown, ignored)")


def _body(reader: _Reader, message: MessageForm | None, path: str, length: int, requirement: str) -> Iterator[Row]:
    """`length` bytes that are a message, or opaque."""
    end = reader.at + length
    if end > len(reader.data):
        left = len(reader.data) - reader.at
        problem = f"{length} bytes are announced, {left} are there"
        if message is None or left == 0:
            yield reader.rest(path, problem, requirement)
            return
        yield from reader.bounded(message, path, len(reader.data))
        if not reader.stuck:
            yield Row(reader.at, 0, path, "", "", problem, requirement)
            reader.stuck = True
        return
    if message is None:
        if length:
            yield Row(reader.at, length, path, "bytes", hex_text(reader.data[reader.at : end]))
        reader.at = end
        return
    yield from reader.bounded(message, path, end)
    reader.at, reader.stuck = end, False


def _manifest(reader: _Reader) -> Iterator[Row]:
    header: dict[str, Any] = {}
    yield from reader.message(_BY_TITLE["ManifestHeader"], "manifest", header)
    last = b""
    for index in range(header.get("count", 0)):
        if reader.stuck:
            return
        entry: dict[str, Any] = {}
        begin = reader.at
        yield from reader.message(_BY_TITLE["ManifestEntry"], f"entries[{index}]", entry)
        path = entry.get("path")
        if isinstance(path, str):
            key = path.encode("utf-8", "replace").replace(b"/", b"\0")
            problem, requirement = _order_problem(last, key)
            if problem and index:
                yield Row(begin, reader.at - begin, f"entries[{index}]", "", quoted(path), problem, requirement)
            last = key
    if not reader.done:
        yield reader.rest("manifest", "bytes after the last entry", "OB-023")


def _order_problem(last: bytes, key: bytes) -> tuple[str | None, str | None]:
    """Manifests are canonical: paths ascend with '/' taken as 00, and none is a directory of another."""
    if key <= last:
        return "its path does not come after the one before", "OB-021"
    if key.startswith(last + b"\0"):
        return "its path lies below the entry before", "OB-022"
    return None, None


# --- Fields --------------------------------------------------------------------------------------------------------


class _Reader:
    """Walks over bytes; `stuck` when what follows can not be read any more."""

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end
        self.stuck = False

    @property
    def done(self) -> bool:
        return self.stuck or self.at >= self.end

    def rest(self, path: str, problem: str, requirement: str | None) -> Row:
        """What is left, as a problem; nothing can be read after it."""
        row = Row(
            self.at,
            self.end - self.at,
            path,
            "bytes",
            hex_text(self.data[self.at : self.end]),
            problem,
            requirement or None,
        )
        self.at, self.stuck = self.end, True
        return row

    def bounded(self, message: MessageForm, path: str, end: int) -> Iterator[Row]:
        """A message that fills the bytes up to `end`."""
        inner = _Reader(self.data, self.at, end)
        begin = self.at
        least, most = message.size_range
        yield from inner.message(message, path, {})
        size = end - begin
        if not inner.stuck and inner.at < end:
            yield inner.rest(path, "bytes after the message's end", message.size_requirement)
        elif message.size_is_limited and size > most:
            problem = f"{size} bytes, must be {range_limit(least, most)}"
            yield Row(begin, size, path, "", "", problem, message.size_requirement or None)
        self.at, self.stuck = inner.at, inner.stuck

    def message(self, message: MessageForm, path: str, values: dict[str, Any]) -> Iterator[Row]:
        """The fields of a message; their values go into `values`."""
        begin = self.at
        places: dict[str, tuple[int, int]] = {}
        for field in message.fields:
            if self.stuck:
                return
            start = self.at
            yield from self._field(message, field, f"{path}.{field.name}", values)
            places[field.name] = (start, self.at - start)
        if self.stuck:
            return
        for rule in message.rules:
            try:
                fault = rule.fault(values)
            except (KeyError, TypeError):  # a field that could not be read
                continue
            if fault is not None:
                offset, length = places.get(rule.field, (begin, 0))
                requirement = _requirement(message, rule.field)
                shown = value_text(next(f for f in message.fields if f.name == rule.field), values[rule.field])
                yield Row(offset, length, f"{path}.{rule.field}", "", shown, fault, requirement)

    def _field(self, message: MessageForm, field: Field, path: str, values: dict[str, Any]) -> Iterator[Row]:
        condition = field.condition
        if condition is not None and values.get(condition.other, condition.absent_at) == condition.absent_at:
            values[field.name] = condition.absent
            return
        match field.form:
            case Number() | FixedBytes() | Constant() as form:
                yield self._plain(message, field, form, path, values)
            case VariableBytes() as form:
                yield from self._variable(message, field, form, path, values)
            case Sequence() as form:
                yield from self._sequence(message, field, form, path, values)

    def _short(self, path: str, type_: str, need: int, message: MessageForm) -> Row:
        left = self.end - self.at
        row = self.rest(path, f"{need} bytes are needed, {left} are left", message.size_requirement)
        return attrs.evolve(row, type=type_)

    def _plain(
        self,
        message: MessageForm,
        field: Field,
        form: Number | FixedBytes | Constant,
        path: str,
        values: dict[str, Any],
    ) -> Row:
        size = _size(form)
        if self.at + size > self.end:
            return self._short(path, _type(form), size, message)
        raw = self.data[self.at : self.at + size]
        value: int | bytes = int.from_bytes(raw, "big") if isinstance(form, Number) else raw
        values[field.name] = value
        fault = _fault(form, value)
        row = Row(self.at, size, path, _type(form), value_text(field, value), fault)
        self.at += size
        return attrs.evolve(row, requirement=_requirement(message, field.name)) if fault else row

    def _extent(
        self, message: MessageForm, field: Field, form: VariableBytes | Sequence, path: str, prefix: Number
    ) -> tuple[Row, int | None]:
        """The row of the length or count before a field, and its value."""
        outer = path[: -len(field.name)] + prefix_name(field)
        if self.at + prefix.size > self.end:
            return self._short(outer, prefix.type, prefix.size, message), None
        count = int.from_bytes(self.data[self.at : self.at + prefix.size], "big")
        maximum = min(form.maximum, prefix.maximum)
        row = Row(self.at, prefix.size, outer, prefix.type, str(count))
        self.at += prefix.size
        if not form.minimum <= count <= maximum:
            problem = f"must be {range_limit(form.minimum, maximum)}"
            row = attrs.evolve(row, problem=problem, requirement=_requirement(message, field.name))
        return row, count

    def _variable(
        self, message: MessageForm, field: Field, form: VariableBytes, path: str, values: dict[str, Any]
    ) -> Iterator[Row]:
        type_ = "bytes" if form.text is None else "text"
        length = self.end - self.at
        problem = None
        if form.prefix is not None:
            row, count = self._extent(message, field, form, path, form.prefix)
            yield row
            if count is None:
                return
            length = count
        elif not form.minimum <= length <= form.maximum:
            problem = f"{length} bytes, must be {range_limit(form.minimum, form.maximum)}"
        if self.at + length > self.end:
            yield self._short(path, type_, length, message)
            return
        raw = self.data[self.at : self.at + length]
        value, fault = _decoded(form, raw)
        problem = problem or fault
        values[field.name] = value
        requirement = _requirement(message, field.name) if problem else None
        offset = self.at
        self.at += length
        yield Row(offset, length, path, type_, value_text(field, value, values), problem, requirement)
        inside = INSIDE.get((message.title, field.name))
        if inside is not None:
            inner = path[: -len(field.name)] + inside.title
            yield from _Reader(self.data, offset).bounded(inside, inner, offset + length)

    def _sequence(
        self, message: MessageForm, field: Field, form: Sequence, path: str, values: dict[str, Any]
    ) -> Iterator[Row]:
        count: int | None = form.maximum + 1
        if form.prefix is not None:
            row, count = self._extent(message, field, form, path, form.prefix)
            yield row
            if count is None:
                return
        elements: list[Any] = []
        begin = self.at
        while not self.stuck and (len(elements) < (count or 0) if form.prefix is not None else self.at < self.end):
            yield from self._element(message, field, form, f"{path}[{len(elements)}]", elements)
        if self.stuck:
            return
        values[field.name] = elements
        problems = [] if len(elements) <= form.maximum or form.prefix else [f"more than {form.maximum} elements"]
        for rule in form.rules:
            try:
                fault = None if isinstance(rule, KnownValues) else rule.fault(elements)
            except (KeyError, TypeError):
                continue
            if fault is not None:
                problems.append(fault)
        for problem in problems:
            shown = f"{len(elements)} elements"
            yield Row(begin, self.at - begin, path, "", shown, problem, _requirement(message, field.name))

    def _element(
        self, message: MessageForm, field: Field, form: Sequence, path: str, elements: list[Any]
    ) -> Iterator[Row]:
        match form.element:
            case Number() | FixedBytes() as plain:
                values: dict[str, Any] = {}
                each = Field(name=field.name, form=plain, text=field.text, requirement=field.requirement)
                yield self._plain(message, each, plain, path, values)
                elements.append(values.get(field.name))
            case MessageForm() as inner:
                values = {}
                yield from self.message(inner, path, values)
                elements.append(values)
                for rule in form.rules:
                    if isinstance(rule, KnownValues):
                        yield from self._known_value(rule, values, path)

    def _known_value(self, rule: KnownValues, values: dict[str, Any], path: str) -> Iterator[Row]:
        raw = values.get(rule.value)
        known = rule.messages.get(values.get(rule.key, -1))
        if known is not None and isinstance(raw, bytes):
            start = self.at - len(raw)
            yield from _Reader(self.data, start).bounded(_BY_TITLE[known.title], f"{path}.{known.title}", self.at)


def _requirement(message: MessageForm, name: str) -> str | None:
    field = next(field for field in message.fields if field.name == name)
    return field.requirement or message.requirement or None


def _size(form: Number | FixedBytes | Constant) -> int:
    match form:
        case Number(size=size):
            return size
        case FixedBytes(length=length):
            return length
        case Constant(value=value):
            return len(value)


def _type(form: Number | FixedBytes | Constant) -> str:
    return form.type if isinstance(form, Number) else f"bytes[{_size(form)}]"


def _fault(form: Number | FixedBytes | Constant, value: int | bytes) -> str | None:
    match form, value:
        case Number() as number, int() as found:
            if not number.minimum <= found <= number.maximum:
                return f"must be {range_limit(number.minimum, number.maximum)}"
            return None if number.grease else NotGrease().fault(found)
        case Constant(value=wanted), bytes() if value != wanted:
            return f"must be {wanted.hex(' ').upper()}"
    return None


def _decoded(form: VariableBytes, raw: bytes) -> tuple[str | bytes, str | None]:
    """The value of bytes or text, and what is wrong with it."""
    if form.text is None:
        return raw, None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return raw.decode("utf-8", "replace"), f"no UTF-8 from its byte {error.start} on"
    return text, form.text.fault(text)
