"""The walk over the schema: what it understands, and that it refuses all else."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import construct
import pytest

from p2pwire.generate.form import (
    MESSAGES,
    Condition,
    FixedBytes,
    MessageForm,
    Number,
    Sequence,
    UnknownConstructError,
    VariableBytes,
    read_message,
)
from p2pwire.wire import schema
from p2pwire.wire.constructs import Checked, Counted, Message, Rest, Sized, Text, UntilEnd, bounded, u8, u16
from p2pwire.wire.rules import AscendingSpans, Named, NoControls, Range


def field_of(subcon: Any) -> Any:
    return read_message(Message("M", "A message.", "field" / subcon * "a field")).fields[0]


def by_title(title: str) -> MessageForm:
    return next(message for message in MESSAGES if message.title == title)


class Gap(IntEnum):
    ONE = 1
    THREE = 3


@pytest.mark.parametrize(
    "subcon",
    [
        construct.VarInt,
        construct.Int16ul,
        construct.Int8sb,
        construct.Flag,
        construct.GreedyBytes,
        construct.Bytes(construct.this.length),
        construct.Const(1, u8),
        construct.PascalString(u8, "utf8"),
        construct.Array(2, u8),
        construct.GreedyRange(u8),
        construct.Optional(u8),
        construct.Switch(0, {}),
        construct.Enum(u8, Gap),
        construct.Padded(4, u8),
        construct.Struct("inner" / u8),
        Checked(construct.Bytes(4), Range(0, 1)),
        Checked(u8, AscendingSpans()),
        Checked(u8, Named(Gap, closed=True)),
        Text(construct.Bytes(4), NoControls()),
        Counted(u8, construct.Int16ul, 0, 1),
        Counted(u8, bounded(u8, 0, 1), 0, 1),
        Counted(construct.Int8sb, u8, 0, 1),
        UntilEnd(construct.Struct("inner" / u8), 1),
        Sized(construct.VarInt, 0, 1),
    ],
    ids=lambda subcon: type(subcon).__name__,
)
def test_any_other_construct_is_refused(subcon: Any) -> None:
    with pytest.raises(UnknownConstructError):
        field_of(subcon)


def test_a_subclass_of_a_known_construct_is_refused() -> None:
    class Longer(Rest):
        pass

    with pytest.raises(UnknownConstructError):
        field_of(Longer(0, 1))


def test_fields_need_names_and_texts() -> None:
    with pytest.raises(UnknownConstructError, match="a name and a text"):
        read_message(Message("M", "A message.", "field" / u8))
    with pytest.raises(UnknownConstructError, match="a name and a text"):
        read_message(Message("M", "A message.", u8))


def test_limits_are_narrowed_not_replaced() -> None:
    form = field_of(bounded(bounded(u16, 5, 10), 0, 7)).form
    assert form == Number(2, 5, 7)


def test_forms_say_what_the_schema_says() -> None:
    request = by_title("Request")
    assert (request.fixed_size, request.frame_type) == (15, 0x20)
    assert request.fields[4].form == Number(1, 0, 6)
    assert request.fields[4].requirement == "TR-036"
    data = by_title("Data")
    assert data.fixed_size is None
    assert data.size_range == (10, 17417)
    assert data.fields[2].form == Sequence(Number(1, 0, 255), FixedBytes(32), 0, 32)
    assert data.fields[3].form == VariableBytes(None, 1, 16384, view=True)
    assert not data.delimits_itself
    entry = by_title("ManifestEntry")
    assert entry.fields[2].condition == Condition("type", 2, 0)
    assert entry.is_element
    record = by_title("PeerRecord")
    assert record.size_range == (111, 512)
    assert record.size_is_limited
    assert not record.is_element


def test_every_message_is_walked_once_and_after_its_elements() -> None:
    titles = [message.title for message in MESSAGES]
    assert len(set(titles)) == len(titles) == len(schema.MESSAGES)
    defined = {name for name, value in vars(schema).items() if isinstance(value, Message)}
    assert len(defined) == len(titles)
    for index, message in enumerate(MESSAGES):
        for field in message.fields:
            if isinstance(field.form, Sequence) and isinstance(field.form.element, MessageForm):
                assert field.form.element.title in titles[:index]


def test_frame_types_are_unique() -> None:
    types = [message.frame_type for message in MESSAGES if message.frame_type is not None]
    assert len(set(types)) == len(types)
