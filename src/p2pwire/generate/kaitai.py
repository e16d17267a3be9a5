"""Writes the messages for Kaitai Struct, from which readers in a dozen languages are compiled.

The file says where each field lies, what a number may be, and what it is called; rules between fields it can not say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import IntFlag
from typing import Any, Final

from p2pwire.generate.form import (
    MESSAGES,
    Condition,
    Constant,
    Field,
    FixedBytes,
    MessageForm,
    Number,
    Sequence,
    VariableBytes,
)
from p2pwire.generate.registry import REGISTRY
from p2pwire.generate.wording import constant_name, prefix_name
from p2pwire.wire.constructs import KnownValues
from p2pwire.wire.registry import FrameType

_HEAD: Final = """\
# The messages of p2pwire/1, for Kaitai Struct. Written by `python -m p2pwire.generate` from the protocol's schema.
# A file of this type is the plaintext of a record: frames, one after another.
meta:
  id: p2pwire
  title: "p2pwire/1"
  license: MIT
  endian: be
  encoding: UTF-8
seq:
  - id: frames
    type: frame
    repeat: eos
types:
  frame:
    doc: "A frame: its header and its body."
    seq:
      - id: header
        type: frame_header
      - id: body
        size: header.length
        type:
          switch-on: header.type
          cases:
"""


def kaitai_yaml() -> str:
    """The text of `p2pwire.ksy`."""
    lines = [_HEAD.rstrip("\n")]
    for message in MESSAGES:
        if message.frame_type is not None:
            value = f"frame_type::{FrameType(message.frame_type).name.lower()}"
            lines.append(f"            '{value}': {type_name(message.title)}")
    for message in MESSAGES:
        lines += _type(message)
    lines.append("enums:")
    for enumeration in REGISTRY.enumerations.values():
        lines.append(f"  {type_name(enumeration.name)}:")
        for member in enumeration.members:
            lines += [f"    {member.value}:", f"      id: {member.name.lower()}", f"      doc: {_text(member.text)}"]
    return "\n".join(lines) + "\n"


def type_name(title: str) -> str:
    """PeerRecord -> peer_record."""
    return constant_name(title).lower()


def _text(text: str) -> str:
    # A JSON text is a YAML text.
    return json.dumps(text, ensure_ascii=False)


def _type(message: MessageForm) -> list[str]:
    lines = [f"  {type_name(message.title)}:", f"    doc: {_text(message.text)}", "    seq:"]
    for field in message.fields:
        lines += _field(message, field)
    return lines


def _field(message: MessageForm, field: Field) -> Iterator[str]:
    form = field.form
    if isinstance(form, VariableBytes | Sequence) and form.prefix is not None:
        yield f"      - id: {prefix_name(field)}"
        yield from _number(form.prefix, minimum=form.minimum, maximum=form.maximum)
        yield from _condition(message, field.condition)
    yield f"      - id: {field.name}"
    yield f"        doc: {_text(field.text)}"
    yield from _condition(message, field.condition)
    match form:
        case Number():
            yield from _number(form, minimum=form.minimum, maximum=form.maximum)
        case FixedBytes(length=length):
            yield f"        size: {length}"
        case Constant(value=value):
            yield f"        contents: [{', '.join(f'0x{byte:02x}' for byte in value)}]"
        case VariableBytes():
            yield "        size-eos: true" if form.prefix is None else f"        size: {prefix_name(field)}"
            if form.text is not None:
                yield "        type: str"
            elif (known := _known(message)) is not None and known.value == field.name:
                yield "        type:"
                yield f"          switch-on: {known.key}"
                yield "          cases:"
                for number, value in known.messages.items():
                    if number in known.lenient:
                        continue  # a wrong one does not make the message wrong, and so stays bytes
                    yield f"            {_case(message, known.key, int(number))}: {type_name(value.title)}"
        case Sequence():
            yield from _element(form.element)
            if form.prefix is None:
                yield "        repeat: eos"
            else:
                yield "        repeat: expr"
                yield f"        repeat-expr: {prefix_name(field)}"


def _case(message: MessageForm, key: str, number: int) -> str:
    """A number as a case of a switch on that field."""
    names = next(field.form.names for field in message.fields if field.name == key and isinstance(field.form, Number))
    return str(number) if names is None else f"'{type_name(names.__name__)}::{str(names(number).name).lower()}'"


def _known(element: MessageForm) -> KnownValues | None:
    """The rule of whoever holds the element, if one says how its value is read."""
    for message in MESSAGES:
        for field in message.fields:
            if isinstance(field.form, Sequence) and field.form.element == element:
                for rule in field.form.rules:
                    if isinstance(rule, KnownValues):
                        return rule
    return None


def _element(element: Number | FixedBytes | MessageForm) -> Iterator[str]:
    match element:
        case Number():
            yield from _number(element, minimum=element.minimum, maximum=element.maximum)
        case FixedBytes(length=length):
            yield f"        size: {length}"
        case MessageForm(title=title):
            yield f"        type: {type_name(title)}"


def _number(number: Number, *, minimum: int, maximum: int) -> Iterator[str]:
    """The type of a number, what it is called and what it may be."""
    yield f"        type: u{number.size}"
    maximum = min(maximum, 256**number.size - 1)
    names: Any = number.names
    if names is not None and not issubclass(names, IntFlag):
        yield f"        enum: {type_name(names.__name__)}"
    elif (minimum, maximum) != (0, 256**number.size - 1):
        yield "        valid:"
        yield from (f"          {name}: {value}" for name, value in (("min", minimum), ("max", maximum)))


def _condition(message: MessageForm, condition: Condition | None) -> Iterator[str]:
    if condition is not None:
        yield f"        if: {' and '.join(_present(message, condition))}"


def _present(message: MessageForm, condition: Condition) -> Iterator[str]:
    """What has to be so for the field to be there; the field that it depends on has to be there itself."""
    other = next(field for field in message.fields if field.name == condition.other)
    if other.condition is not None:
        yield from _present(message, other.condition)
    enumerated = isinstance(other.form, Number) and other.form.names is not None
    yield f"{condition.other}{'.to_i' if enumerated else ''} != {condition.absent_at}"
