"""Writes the dissector for Wireshark: the tables of the schema, and `dissector.lua`, which reads by them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from p2pwire.connection.tap import Piece
from p2pwire.generate.describe import INSIDE
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
from p2pwire.generate.wording import constant_name, filter_name, prefix_name
from p2pwire.wire import schema
from p2pwire.wire.constructs import KnownValues
from p2pwire.wire.registry import MAGIC, FrameType, PreambleKind

_MARK: Final = "--@TABLES@"


def dissector_lua() -> str:
    """The text of the dissector."""
    frames = {message.frame_type: message.title for message in MESSAGES if message.frame_type is not None}
    tables = {
        "MAGIC": MAGIC.hex().upper(),
        "CLEAR": Piece.CLEAR.value,
        "INITIATOR": int(PreambleKind.INITIATOR),
        "FRAMES": frames,
        "FRAME_NAMES": {int(member): member.name for member in FrameType},
        "PREAMBLES": {int(kind): body.title for kind, body in schema.PREAMBLES.items()},
        "MESSAGES": {message.title: _message(message) for message in MESSAGES},
    }
    lines = [f"local {name} = {_lua(value)}" for name, value in tables.items()]
    text = files("p2pwire.generate").joinpath("dissector.lua").read_text(encoding="utf-8")
    return text.replace(_MARK, "\n".join(lines))


def _message(message: MessageForm) -> dict[str, Any]:
    return {
        "abbr": f"p2pwire.{constant_name(message.title).lower()}",
        "text": message.text,
        "fields": [_field(message, field) for field in message.fields],
    }


def _field(message: MessageForm, field: Field) -> dict[str, Any]:
    row: dict[str, Any] = {"abbr": filter_name(message, field.name), "name": field.name, "text": field.text}
    match field.form:
        case Number(size=size, names=names):
            row |= {"kind": "number", "size": size, "names": _names(names)}
        case FixedBytes(length=length):
            row |= {"kind": "bytes", "size": length}
        case Constant(value=value):
            row |= {"kind": "constant", "size": len(value)}
        case VariableBytes(prefix=prefix, text=rule):
            inside = INSIDE.get((message.title, field.name))
            row |= {"kind": "blob", "prefix": _prefix(message, field, prefix), "utf8": rule is not None}
            row |= {"inside": None if inside is None else inside.title}
        case Sequence(prefix=prefix, element=element, rules=rules):
            row |= {"kind": "list", "prefix": _prefix(message, field, prefix), **_element(element)}
            known = next((rule for rule in rules if isinstance(rule, KnownValues)), None)
            if known is not None:
                titles = {int(number): value.title for number, value in known.messages.items()}
                row["known"] = {"key": known.key, "value": known.value, "messages": titles}
    if field.condition is not None:
        row["absent"] = [field.condition.other, field.condition.absent_at]
    return row


def _element(element: Number | FixedBytes | MessageForm) -> dict[str, Any]:
    match element:
        case Number(size=size, names=names):
            return {"element": size, "plain": True, "names": _names(names)}
        case FixedBytes(length=length):
            return {"element": length}
        case MessageForm(title=title):
            return {"element": title}


def _prefix(message: MessageForm, field: Field, prefix: Number | None) -> dict[str, Any] | None:
    if prefix is None:
        return None
    name = prefix_name(field)
    return {"abbr": filter_name(message, name), "name": name, "size": prefix.size}


def _names(names: Any) -> dict[int, str] | None:
    return None if names is None else {int(member): member.name for member in names}


def _lua(value: Any, indent: int = 0) -> str:
    """A value as Lua; what is None is left out of tables."""
    inner = "    " * (indent + 1)
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case list():
            return _table([_lua(item, indent + 1) for item in value], inner, indent)
        case Mapping():
            pairs = [(key, item) for key, item in value.items() if item is not None and item is not False]
            return _table([f"[{_lua(key)}] = {_lua(item, indent + 1)}" for key, item in pairs], inner, indent)
    raise TypeError(f"{value!r} is no value for a table")


def _table(items: list[str], inner: str, indent: int) -> str:
    flat = "{ " + ", ".join(items) + " }" if items else "{}"
    if len(flat) + len(inner) <= 110 and "\n" not in flat:
        return flat
    return "{\n" + "".join(f"{inner}{item},\n" for item in items) + "    " * indent + "}"
