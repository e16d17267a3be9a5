"""The messages of an extension and their codec.

Written by `python -m p2pwire.generate.extension chat.schema`; edit that module instead. Integers are big-endian and
unsigned. `decode` takes the whole message and nothing else, and checks every limit and rule. Objects are not checked
when they are made but when they are encoded.
"""

from __future__ import annotations

import re
import struct
from typing import Any, ClassVar, Final, TypeAlias

import attrs

from p2pwire.wire.messages import (
    Buffer,
    DecodeError,
    EncodeError,
    _trailing,
    _truncated,
    _unlocked,
    _unpackable,
)

_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


_SAY: Final = struct.Struct(">I")


@attrs.frozen(weakref_slot=False)
class Say:
    """A line of a conversation.

    Bytes: `number u32 | text (to the end)`
    """

    INDEX: ClassVar[int] = 0x00

    number: int
    """Counts the sender's lines from 0."""
    text: str
    """What was said, in UTF-8 (1..1000 bytes of UTF-8, without control characters)."""

    @classmethod
    def decode(cls, data: Buffer) -> Say:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        try:
            (number,) = _SAY.unpack_from(data)
        except struct.error:
            raise _truncated("Say", 0, len(data), number=4) from None
        if not 1 <= len(data) - 4 <= 1000:
            raise DecodeError("Say", "text", len(data) - 4, "1..1000 bytes", 4)
        raw = bytes(data[4:])
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise DecodeError("Say", "text", raw, "UTF-8", 4) from None
        if not text.isprintable() and _CONTROLS.search(text):
            raise DecodeError("Say", "text", text, "without control characters", 4)
        message: Any = _UNLOCKED_SAY()
        message.number = number
        message.text = text
        message.__class__ = cls
        made: Say = message
        return made

    def _parts(self) -> list[Buffer]:
        try:
            text_raw = self.text.encode("utf-8")
        except UnicodeEncodeError:
            raise EncodeError("Say", "text", self.text, "Unicode text") from None
        if not 1 <= len(text_raw) <= 1000:
            raise EncodeError("Say", "text", self.text, "1..1000 bytes of UTF-8")
        if not self.text.isprintable() and _CONTROLS.search(self.text):
            raise EncodeError("Say", "text", self.text, "without control characters")
        try:
            return [_SAY.pack(self.number), text_raw]
        except struct.error:
            raise _unpackable(self, number=32) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return b"".join(self._parts())


_UNLOCKED_SAY: Final = _unlocked(Say)


_SEEN: Final = struct.Struct(">I")


@attrs.frozen(weakref_slot=False)
class Seen:
    """Which lines were shown to a person.

    Bytes: `numbers_count u32 | numbers u32 × numbers_count`
    """

    INDEX: ClassVar[int] = 0x01

    numbers: tuple[int, ...]
    """Lines of the receiver of this message (1..100 elements, without duplicates)."""

    @classmethod
    def read(cls, data: Buffer, at: int = 0) -> tuple[Seen, int]:
        """The message that begins at `at`, and where it ends. Raises `DecodeError`."""
        try:
            (numbers_count,) = _SEEN.unpack_from(data, at)
        except struct.error:
            raise _truncated("Seen", at, len(data), numbers_count=4) from None
        if not 1 <= numbers_count <= 100:
            raise DecodeError("Seen", "numbers_count", numbers_count, "1..100", at)
        end = at + 4 + 4 * numbers_count
        if end > len(data):
            raise _truncated("Seen", at + 4, len(data), numbers=4 * numbers_count)
        numbers = struct.unpack_from(f">{numbers_count}I", data, at + 4)
        if len(set(numbers)) != len(numbers):
            raise DecodeError("Seen", "numbers", numbers, "without duplicates", at + 4)
        message: Any = _UNLOCKED_SEEN()
        message.numbers = numbers
        message.__class__ = cls
        made: Seen = message
        return made, end

    @classmethod
    def decode(cls, data: Buffer) -> Seen:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        message, end = cls.read(data)
        if end != len(data):
            raise _trailing("Seen", end, len(data))
        return message

    def _parts(self) -> list[Buffer]:
        if not 1 <= len(self.numbers) <= 100:
            raise EncodeError("Seen", "numbers", len(self.numbers), "1..100 elements")
        if len(set(self.numbers)) != len(self.numbers):
            raise EncodeError("Seen", "numbers", self.numbers, "without duplicates")
        try:
            return [_SEEN.pack(len(self.numbers)), struct.pack(f">{len(self.numbers)}I", *self.numbers)]
        except struct.error:
            raise _unpackable(self, numbers=32) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return b"".join(self._parts())


_UNLOCKED_SEEN: Final = _unlocked(Seen)


Frame: TypeAlias = Say | Seen
"""Any frame of the extension."""

FRAMES: Final[tuple[type[Frame], ...]] = (Say, Seen)
"""The class of each of the extension's frames, by its number in the extension."""


def decode_frame(index: int, body: Buffer) -> Frame:
    """The frame of a number that is within FRAMES, from its body. Raises `DecodeError`."""
    return FRAMES[index].decode(body)
