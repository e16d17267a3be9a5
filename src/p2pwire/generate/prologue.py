"""The part of `wire/messages.py` that is the same for every schema."""

from __future__ import annotations

from typing import Final

PROLOGUE: Final = '''\
"""The messages of the protocol and their codec.

Written by `python -m p2pwire.generate` from `schema.py`; edit that instead. Integers are big-endian and unsigned.
`decode` takes the whole message and nothing else; it checks every limit and rule that one message alone can break.
Objects are not checked when they are made but when they are encoded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias

import attrs

Buffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes, whoever owns them."""

_SHOWN: Final = 80


class EncodeError(ValueError):
    """A message can not be encoded: its class, the field (empty: the whole), the value and the limit it breaks."""

    def __init__(self, message: str, field: str, value: object, limit: str) -> None:
        self.message = message
        self.field = field
        self.value = value
        self.limit = limit
        self.text = f"{_dotted(message, field)} is {_short(value)}, must be {limit}"
        super().__init__(self.text)


class DecodeError(ValueError):
    """Bytes are no valid message: its class, the field (dotted; empty: the whole), the value found, the limit that it
    breaks, and where it begins, in bytes from the start of the buffer."""

    def __init__(self, message: str, field: str, value: object, limit: str, offset: int) -> None:
        self.message = message
        self.field = field
        self.value = value
        self.limit = limit
        self.offset = offset
        self.text = f"{_dotted(message, field)} at byte {offset} is {_short(value)}, must be {limit}"
        super().__init__(self.text)

    def within(self, message: str, field: str, offset: int = 0) -> DecodeError:
        """The same fault, told of the message whose field holds the faulty one, in a buffer that begins at `offset`."""
        path = f"{field}.{self.field}" if self.field else field
        return type(self)(message, path, self.value, self.limit, self.offset + offset)


class TruncatedError(DecodeError):
    """The bytes end before the message does; `value` is how many are left for the field."""


def _unlocked(message: type) -> type:
    """A class like that of a message, whose fields can be set: decoders fill an instance, and make it one of the frozen
    class then. That takes a third of the time of a frozen class's `__init__`, and decoding half as long in all."""
    return type(f"Unlocked{message.__name__}", (), {"__slots__": vars(message)["__slots__"]})


def _dotted(message: str, field: str) -> str:
    return f"{message}.{field}" if field else message


def _short(value: object) -> str:
    text = repr(bytes(value)) if isinstance(value, memoryview) else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _size(data: Buffer) -> str:
    return f"<{len(data)} bytes>"


def _truncated(message: str, at: int, end: int, **sizes: int) -> DecodeError:
    """The first of the fields of these sizes, from `at` on, that goes past `end`."""
    for field, size in sizes.items():
        if at + size > end:
            return TruncatedError(message, field, end - at, f"{size} bytes", at)
        at += size
    raise AssertionError(message)


def _trailing(message: str, end: int, size: int) -> DecodeError:
    return DecodeError(message, "", size, f"{end} bytes", end)


def _wrong_size(message: str, size: int, **sizes: int) -> DecodeError:
    end = sum(sizes.values())
    return _trailing(message, end, size) if size > end else _truncated(message, 0, size, **sizes)


def _unpackable(message: object, **bits: int) -> EncodeError:
    """The first field that is no number of so many bits (0: that is no bytes)."""
    title = type(message).__name__
    for field, count in bits.items():
        value = getattr(message, field)
        for number in value if isinstance(value, tuple | list) else (value,):
            if count and not (isinstance(number, int) and 0 <= number < 1 << count):
                return EncodeError(title, field, number, f"0..{(1 << count) - 1}")
            if not count and not isinstance(number, bytes | bytearray):
                return EncodeError(title, field, number, "bytes")
    raise AssertionError(title)

'''
