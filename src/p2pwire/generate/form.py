"""The intermediate form: what the schema says, as plain values that every generator reads.

`read_message` walks a construct of the schema and refuses whatever is not in the closed set of `wire.constructs`.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, Final

import attrs
import construct

from p2pwire.wire import schema
from p2pwire.wire.constructs import (
    Boolean,
    Checked,
    Counted,
    Message,
    Present,
    Rest,
    SequenceRule,
    Sized,
    Text,
    UntilEnd,
    u8,
    u16,
    u32,
    u64,
)
from p2pwire.wire.rules import MessageRule, Named, NotGrease, Range, TextRule


class UnknownConstructError(TypeError):
    """The schema uses a construct that the generators do not understand."""


@attrs.frozen
class Number:
    """A big-endian unsigned number of `size` bytes from minimum to maximum."""

    size: int
    minimum: int
    maximum: int
    names: type[IntEnum] | type[IntFlag] | None = None
    closed: bool = False
    boolean: bool = False
    grease: bool = True

    @property
    def natural(self) -> bool:
        """Whether every number of the size is allowed."""
        return self.minimum == 0 and self.maximum == 256**self.size - 1

    @property
    def type(self) -> str:
        return f"u{8 * self.size}"


@attrs.frozen
class FixedBytes:
    """Exactly `length` bytes."""

    length: int


@attrs.frozen
class Constant:
    """Exactly these bytes; not a field of the message's class."""

    value: bytes


@attrs.frozen
class VariableBytes:
    """Bytes after their length, or (prefix None) all to the end. With a `text` rule the bytes are UTF-8 text."""

    prefix: Number | None
    minimum: int
    maximum: int
    text: TextRule | None = None
    view: bool = False


@attrs.frozen
class Sequence:
    """Elements after their count, or (prefix None) up to the end."""

    prefix: Number | None
    element: Number | FixedBytes | MessageForm
    minimum: int
    maximum: int
    rules: tuple[SequenceRule, ...] = ()


@attrs.frozen
class Condition:
    """The field is there unless the field `other` equals `absent_at`; then its value is `absent`."""

    other: str
    absent_at: int
    absent: int | bytes


Form = Number | FixedBytes | Constant | VariableBytes | Sequence


@attrs.frozen
class Field:
    """One field of a message."""

    name: str
    form: Form
    text: str
    unit: str = ""
    requirement: str = ""
    condition: Condition | None = None

    @property
    def fixed_size(self) -> int | None:
        """Bytes that the field always takes; None if they vary."""
        if self.condition is not None:
            return None
        match self.form:
            case Number(size=size):
                return size
            case FixedBytes(length=length):
                return length
            case Constant(value=value):
                return len(value)
        return None


@attrs.frozen
class MessageForm:
    """A message: its fields in order and the rules between them."""

    title: str
    text: str
    fields: tuple[Field, ...]
    rules: tuple[MessageRule, ...]
    minimum: int
    maximum: int | None
    frame_type: int | None
    requirement: str = ""
    size_requirement: str = ""

    @property
    def fixed_size(self) -> int | None:
        """Bytes that the message always takes; None if they vary."""
        total = 0
        for field in self.fields:
            if field.fixed_size is None:
                return None
            total += field.fixed_size
        return total

    @property
    def natural_range(self) -> tuple[int, int]:
        """The least and the most bytes that the fields alone allow."""
        ranges = [_size_range(field) for field in self.fields]
        return sum(low for low, _ in ranges), sum(high for _, high in ranges)

    @property
    def size_range(self) -> tuple[int, int]:
        """The least and the most bytes that the message takes."""
        low, high = self.natural_range
        return max(low, self.minimum), high if self.maximum is None else min(high, self.maximum)

    @property
    def delimits_itself(self) -> bool:
        """Whether the message's end follows from its own bytes."""
        return not any(
            isinstance(field.form, VariableBytes | Sequence) and field.form.prefix is None for field in self.fields
        )

    @property
    def size_is_limited(self) -> bool:
        """Whether the message has a limit that its fields do not keep by themselves."""
        return self.size_range != self.natural_range

    @property
    def is_element(self) -> bool:
        """Whether the message can be read from where others follow."""
        return self.delimits_itself and not self.size_is_limited and self.frame_type is None


def _size_range(field: Field) -> tuple[int, int]:
    match field.form:
        case Number(size=size):
            low = high = size
        case FixedBytes(length=length):
            low = high = length
        case Constant(value=value):
            low = high = len(value)
        case VariableBytes() as form:
            prefix = form.prefix.size if form.prefix else 0
            low, high = prefix + form.minimum, prefix + form.maximum
        case Sequence() as form:
            prefix = form.prefix.size if form.prefix else 0
            least, most = element_size(form.element)
            low, high = prefix + form.minimum * least, prefix + form.maximum * most
    return (0, high) if field.condition is not None else (low, high)


def element_size(element: Number | FixedBytes | MessageForm) -> tuple[int, int]:
    """The least and the most bytes of a sequence's element."""
    match element:
        case Number(size=size):
            return size, size
        case FixedBytes(length=length):
            return length, length
        case MessageForm():
            return element.size_range


# --- The walk ------------------------------------------------------------------------------------------------------

_SIZES: Final = {id(u8): 1, id(u16): 2, id(u32): 4, id(u64): 8}


def read_message(message: Message) -> MessageForm:
    """The form of a message of the schema."""
    form = MessageForm(
        title=message.title,
        text=message.text,
        fields=tuple(_read_field(subcon) for subcon in message.subcons),
        rules=message.rules,
        minimum=message.minimum,
        maximum=message.maximum,
        frame_type=None if message.frame_type is None else int(message.frame_type),
        requirement=message.requirement,
        size_requirement=message.size_requirement,
    )
    if form.size_range[0] > form.natural_range[0]:
        raise UnknownConstructError(f"{form.title}: a least size that its fields do not keep by themselves")
    return form


def _read_field(renamed: Any) -> Field:
    if not isinstance(renamed, construct.Renamed) or not renamed.docs:
        raise UnknownConstructError(f"{renamed!r}: a field needs a name and a text")
    name, docs = str(renamed.name), renamed.docs
    subcon = renamed
    while isinstance(subcon, construct.Renamed):
        subcon = subcon.subcon
    condition = None
    if isinstance(subcon, Present):
        condition = Condition(subcon.other, int(subcon.absent_at), subcon.absent)
        subcon = subcon.subcon
    return Field(
        name=name,
        form=_read_form(subcon),
        text=str(docs),
        unit=getattr(docs, "unit", ""),
        requirement=getattr(docs, "requirement", ""),
        condition=condition,
    )


def _read_form(subcon: Any) -> Form:
    # Exact types: a subclass could mean anything.
    kind = type(subcon)
    if id(subcon) in _SIZES or kind is Boolean:
        return _read_number(subcon)
    if kind is construct.Bytes and isinstance(subcon.length, int):
        return FixedBytes(subcon.length)
    if kind is construct.Const and isinstance(subcon.value, bytes):
        return Constant(subcon.value)
    if kind is Sized:
        return VariableBytes(_read_number(subcon.prefix), subcon.minimum, subcon.maximum)
    if kind is Rest:
        return VariableBytes(None, subcon.minimum, subcon.maximum, view=subcon.view)
    if kind is Text:
        inner = _read_form(subcon.subcon)
        if isinstance(inner, VariableBytes):
            return attrs.evolve(inner, text=subcon.rule)
    if kind is Counted:
        return Sequence(_read_number(subcon.prefix), _read_element(subcon.element), subcon.minimum, subcon.maximum)
    if kind is UntilEnd:
        return Sequence(None, _read_element(subcon.element), 0, subcon.maximum)
    if kind is Checked:
        return _read_checked(_read_form(subcon.subcon), subcon.rule)
    raise UnknownConstructError(f"{subcon!r} is not in the closed set")


def _read_checked(form: Form, rule: Any) -> Form:
    if isinstance(form, Number):
        match rule:
            case Range(minimum=minimum, maximum=maximum):
                return attrs.evolve(form, minimum=max(form.minimum, minimum), maximum=min(form.maximum, maximum))
            case Named(names=names, closed=closed):
                values = [int(member) for member in names]
                if not closed:
                    return attrs.evolve(form, names=names)
                if values == list(range(values[0], values[-1] + 1)):
                    return attrs.evolve(form, names=names, closed=True, minimum=values[0], maximum=values[-1])
            case NotGrease():
                return attrs.evolve(form, grease=False)
    elif isinstance(form, Sequence) and isinstance(rule, SequenceRule):
        return attrs.evolve(form, rules=(*form.rules, rule))
    raise UnknownConstructError(f"{rule!r} on {form!r} is not in the closed set")


def _read_number(subcon: Any) -> Number:
    if type(subcon) is Boolean:
        return Number(1, 0, 1, boolean=True)
    if id(subcon) not in _SIZES:
        raise UnknownConstructError(f"{subcon!r} is not in the closed set")
    size = _SIZES[id(subcon)]
    return Number(size, 0, 256**size - 1)


def _read_element(subcon: Any) -> Number | FixedBytes | MessageForm:
    if type(subcon) is Message:
        return read_message(subcon)
    form = _read_form(subcon)
    if isinstance(form, FixedBytes) or (isinstance(form, Number) and form.natural and form.grease):
        return form
    raise UnknownConstructError(f"{subcon!r} can not be an element")


MESSAGES: Final = tuple(read_message(message) for message in schema.MESSAGES)
"""The form of every message, elements before the messages that hold them."""
