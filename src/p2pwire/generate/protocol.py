"""Writes `conformance/protocol.json`: the whole protocol for programs, from the schema, the registry and the states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from p2pwire.generate.form import (
    MESSAGES,
    Constant,
    FixedBytes,
    MessageForm,
    Number,
    Sequence,
    VariableBytes,
)
from p2pwire.generate.registry import REGISTRY
from p2pwire.generate.rows import FieldRow, element_type, field_rows
from p2pwire.generate.states import machines
from p2pwire.generate.wording import layout
from p2pwire.wire import schema
from p2pwire.wire.constructs import KnownValues, SequenceRule
from p2pwire.wire.registry import PROTOCOL_NAME
from p2pwire.wire.rules import MessageRule, TextRule

_KINDS: Final = {body.title: int(kind) for kind, body in schema.PREAMBLES.items()}


def protocol_json() -> str:
    """The text of the file."""
    protocol = {
        "protocol": PROTOCOL_NAME.decode(),
        "messages": [_message(message) for message in MESSAGES],
        "enumerations": [
            {**attrs.asdict(enumeration, recurse=False), "members": [attrs.asdict(m) for m in enumeration.members]}
            for enumeration in REGISTRY.enumerations.values()
        ],
        "constants": [
            {**attrs.asdict(constant), "value": _plain(constant.value)} for constant in REGISTRY.constants.values()
        ],
        "states": machines(),
    }
    return json.dumps(protocol, indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """A value as JSON has it: bytes in hexadecimal."""
    match value:
        case bytes():
            return value.hex()
        case tuple() | list():
            return [_plain(each) for each in value]
        case Mapping():
            return {str(int(key)): _plain(each) for key, each in value.items()}
        case bool() | float() | str() | None:
            return value
        case int():
            return int(value)
    raise TypeError(f"{value!r} has no place in JSON")


def _message(message: MessageForm) -> dict[str, Any]:
    least, most = message.size_range
    entry: dict[str, Any] = {"name": message.title, "text": message.text}
    if message.frame_type is not None:
        entry["frame_type"] = message.frame_type
    if message.title in _KINDS:
        entry["preamble_kind"] = _KINDS[message.title]
    return {
        **entry,
        "layout": " | ".join(layout(message)),
        "minimum_size": least,
        "maximum_size": most,
        "requirement": message.requirement,
        "size_requirement": message.size_requirement,
        "fields": [_field(row) for row in field_rows(message)],
        "rules": [_rule(rule) for rule in message.rules],
    }


def _field(row: FieldRow) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": row.name,
        "offset": row.offset,
        "type": row.type,
        "limit": row.limit,
        "text": row.text,
        "unit": row.unit,
        "requirement": row.requirement,
    }
    if row.prefix:
        form = row.field.form
        assert isinstance(form, VariableBytes | Sequence)
        assert form.prefix is not None
        maximum = min(form.maximum, form.prefix.maximum)
        return {**entry, "prefix_of": row.field.name, "minimum": form.minimum, "maximum": maximum}
    entry.update(_form(row))
    if row.field.condition is not None:
        condition = row.field.condition
        entry["absent"] = {
            "if": condition.other,
            "equals": condition.absent_at,
            "value": _plain(condition.absent),
        }
    return entry


def _form(row: FieldRow) -> dict[str, Any]:
    match row.field.form:
        case Number() as number:
            names = {} if number.names is None else {"names": number.names.__name__, "closed": number.closed}
            flags = {"boolean": number.boolean, "grease": number.grease}
            return {"minimum": number.minimum, "maximum": number.maximum, **flags, **names}
        case FixedBytes(length=length):
            return {"size": length}
        case Constant(value=value):
            return {"size": len(value), "value": value.hex()}
        case VariableBytes() as form:
            rule = {} if form.text is None else {"text_rule": _rule(form.text)}
            return {"minimum_size": form.minimum, "maximum_size": form.maximum, **rule}
        case Sequence() as form:
            limits = {"minimum_count": form.minimum, "maximum_count": form.maximum}
            return {"element": element_type(form.element), **limits, "rules": [_rule(rule) for rule in form.rules]}


def _rule(rule: MessageRule | SequenceRule | TextRule) -> dict[str, Any]:
    if isinstance(rule, KnownValues):
        titles = {str(int(key)): message.title for key, message in rule.messages.items()}
        return {"rule": "KnownValues", "key": rule.key, "value": rule.value, "messages": titles, "limit": rule.limit}
    values = {name: _plain(value) for name, value in attrs.asdict(rule, recurse=False).items()}
    return {"rule": type(rule).__name__, **values, "limit": rule.limit}
