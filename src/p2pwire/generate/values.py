"""Values as people read them: names beside numbers, addresses, and text that can do a terminal no harm."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from p2pwire.generate.form import Field, Form, Number
from p2pwire.generate.wording import number_text
from p2pwire.wire.registry import AddressType, is_grease16

_SHOWN: Final = 64  # bytes of a value that are shown


def hex_text(raw: bytes) -> str:
    return raw.hex() if len(raw) <= _SHOWN else f"{raw[:_SHOWN].hex()}... ({len(raw)} bytes)"


def quoted(text: str) -> str:
    """Text in quotes; what could drive a terminal is escaped."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else _escape(c) for c in text) + '"'


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii") if character not in '"\\' else f"\\{character}"


def value_text(field: Field, value: Any, beside: Mapping[str, Any] | None = None) -> str:
    match value:
        case int():
            return _number(field.form, value)
        case str():
            return quoted(value)
        case bytes():
            address = _address(value, (beside or {}).get("type")) if field.name == "value" else None
            return address or hex_text(value)
    return f"{len(value)} elements"


def _number(form: Form, value: int) -> str:
    names = form.names if isinstance(form, Number) else None
    if names is None:
        return number_text(value)
    if issubclass(names, IntEnum):
        if value in list(names):
            return f"{value} ({names(value).name})"
        grease = isinstance(form, Number) and form.size == 2 and is_grease16(value)
        return f"{value} ({'GREASE' if grease else 'unknown'})"
    known = [member.name or "" for member in names if value & member.value]
    return f"{value} ({' | '.join(known)})" if known else str(value)


def _address(value: bytes, kind: object) -> str | None:
    """IP addresses as people write them."""
    match kind, len(value):
        case AddressType.TCP4, 6:
            return f"{ipaddress.IPv4Address(value[:4])}:{int.from_bytes(value[4:], 'big')}"
        case AddressType.TCP6, 18:
            return f"[{ipaddress.IPv6Address(value[:16])}]:{int.from_bytes(value[16:], 'big')}"
    return None
