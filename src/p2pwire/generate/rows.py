"""A message as the rows of a table: where each field begins, what type it has, and what limits it."""

from __future__ import annotations

import attrs

from p2pwire.generate.form import (
    Constant,
    Field,
    FixedBytes,
    MessageForm,
    Number,
    Sequence,
    VariableBytes,
)
from p2pwire.generate.wording import limit_text, prefix_name, range_limit


@attrs.frozen
class FieldRow:
    """One row: a field, or the length or count before one."""

    name: str
    offset: str
    """Bytes from the message's start, as an expression: a number, counts, and `len(field)`."""
    type: str
    limit: str
    text: str
    unit: str
    requirement: str
    field: Field
    prefix: bool = False
    """Whether this is the length or count before the field."""


class _Offset:
    """A sum of a number and terms."""

    def __init__(self) -> None:
        self._number = 0
        self._terms: list[str] = []

    def __str__(self) -> str:
        terms = [str(self._number), *self._terms] if self._number or not self._terms else self._terms
        return " + ".join(terms)

    def add(self, field: Field) -> None:
        """Goes past a field (but not past its prefix)."""
        if field.fixed_size is not None:
            self._number += field.fixed_size
        elif isinstance(field.form, Sequence) and field.form.prefix is not None:
            size = _element_size(field.form.element)
            count = prefix_name(field)
            self._terms.append(f"len({field.name})" if size is None else count if size == 1 else f"{size} × {count}")
        elif isinstance(field.form, VariableBytes) and field.form.prefix is not None:
            self._terms.append(prefix_name(field))
        else:
            self._terms.append(f"len({field.name})")

    def add_prefix(self, prefix: Number) -> None:
        self._number += prefix.size


def _element_size(element: Number | FixedBytes | MessageForm) -> int | None:
    match element:
        case Number(size=size):
            return size
        case FixedBytes(length=length):
            return length
        case MessageForm(fixed_size=fixed):
            return fixed


def _type(field: Field) -> str:
    match field.form:
        case Number() as number:
            return number.type
        case FixedBytes(length=length):
            return f"bytes[{length}]"
        case Constant(value=value):
            return f"bytes[{len(value)}]"
        case VariableBytes(prefix=prefix, text=rule):
            kind = "bytes" if rule is None else "text"
            return f"{kind} to the end" if prefix is None else f"{kind}[{prefix_name(field)}]"
        case Sequence(element=element, prefix=prefix):
            each = element_type(element)
            return f"{each}*" if prefix is None else f"{each} × {prefix_name(field)}"


def element_type(element: Number | FixedBytes | MessageForm) -> str:
    match element:
        case Number():
            return element.type
        case FixedBytes(length=length):
            return f"bytes[{length}]"
        case MessageForm(title=title):
            return title


def _limit(field: Field) -> str:
    """What limits the field beyond its type, and beyond its length or count if that has a row of its own."""
    match field.form:
        case Number(boolean=True):
            limit = "0..1"
        case FixedBytes():
            limit = ""
        case VariableBytes(prefix=Number(), text=rule):
            limit = "" if rule is None else f"UTF-8, {rule.limit}"
        case Sequence(prefix=Number()) as form:
            limit = ", ".join(rule.limit for rule in form.rules)
        case _:
            limit = limit_text(field)
    if field.condition is None:
        return limit
    unless = f"absent if {field.condition.other} = {field.condition.absent_at}"
    return f"{limit}; {unless}" if limit else unless


def field_rows(message: MessageForm) -> list[FieldRow]:
    """The rows of a message, in order."""
    rows = []
    offset = _Offset()
    for field in message.fields:
        form = field.form
        if isinstance(form, VariableBytes | Sequence) and form.prefix is not None:
            what = "count of" if isinstance(form, Sequence) else "size of"
            rows.append(
                FieldRow(
                    name=prefix_name(field),
                    offset=str(offset),
                    type=form.prefix.type,
                    limit=range_limit(form.minimum, min(form.maximum, form.prefix.maximum)),
                    text=f"{what} {field.name}",
                    unit="" if isinstance(form, Sequence) else "bytes",
                    requirement=field.requirement or message.requirement,
                    field=field,
                    prefix=True,
                )
            )
            offset.add_prefix(form.prefix)
        rows.append(
            FieldRow(
                name=field.name,
                offset=str(offset),
                type=_type(field),
                limit="; ".join(filter(None, [_limit(field), *_message_limits(message, field)])),
                text=field.text,
                unit=field.unit,
                requirement=field.requirement or message.requirement,
                field=field,
            )
        )
        offset.add(field)
    return rows


def _message_limits(message: MessageForm, field: Field) -> list[str]:
    return [rule.limit for rule in message.rules if rule.field == field.name]
