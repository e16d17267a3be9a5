"""The interpreted schema as the oracle of the generated codec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import construct

from p2pwire.wire import messages, schema

CLASSES: dict[str, Any] = {message.title: getattr(messages, message.title) for message in schema.MESSAGES}
"""The generated class of each message."""

SCHEMA = {message.title: message for message in schema.MESSAGES}


def plain(value: Any) -> Any:
    """A message, or what construct parsed, as dicts, lists, numbers, texts and bytes."""
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    match value:
        case dict():
            # construct keeps its stream and constant fields among the values; a class has neither.
            return {name: plain(each) for name, each in value.items() if name != "_io" and name != "magic"}
        case tuple() | list():
            return [plain(each) for each in value]
        case memoryview():
            return bytes(value)
    return value


def parsed(title: str, data: bytes) -> Any:
    """What interpreted construct reads, or None if it refuses."""
    try:
        return plain(SCHEMA[title].parse(data))
    except construct.ConstructError:
        return None


def decoded(title: str, data: bytes) -> Any:
    """What the generated decoder reads, or None if it refuses."""
    try:
        return plain(CLASSES[title].decode(data))
    except messages.DecodeError:
        return None


def built(title: str, value: Any) -> bytes | None:
    """What interpreted construct builds, or None if it refuses."""
    try:
        return SCHEMA[title].build(plain(value))
    except construct.ConstructError:
        return None


def encoded(message: Any) -> bytes | None:
    """What the generated encoder makes, or None if it refuses."""
    try:
        made = message.encode()
    except messages.EncodeError:
        return None
    assert isinstance(made, bytes)
    return made


def prefixes(data: bytes) -> Iterator[bytes]:
    """Every truncation; of long data all near its ends and some between."""
    for end in range(len(data)):
        if end < 300 or end > len(data) - 300 or end % 997 == 0:
            yield data[:end]
