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


_NAME: Final = re.compile("[a-z0-9./-]*")
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_PATH: Final = re.compile(
    rb"(?!\.\.?(?:/|\Z))[^\x00-\x1f\x7f/\\]{1,255}(?:/(?!\.\.?(?:/|\Z))[^\x00-\x1f\x7f/\\]{1,255}){0,31}"
)


_PREAMBLE_HEADER: Final = struct.Struct(">8sBH")


@attrs.frozen(weakref_slot=False)
class PreambleHeader:
    """Begins a preamble.

    Bytes: `89 50 32 50 57 0D 0A 1A | kind u8 | length u16`
    """

    kind: int
    """Which body follows (1..3; PreambleKind)."""
    length: int
    """Size of the body, in bytes (4..512)."""

    @classmethod
    def decode(cls, data: Buffer) -> PreambleHeader:
        """The message that fills `data` exactly (11 bytes). Raises `DecodeError`."""
        try:
            magic, kind, length = _PREAMBLE_HEADER.unpack(data)
        except struct.error:
            raise _wrong_size("PreambleHeader", len(data), magic=8, kind=1, length=2) from None
        if magic != b"\x89P2PW\x0d\x0a\x1a":
            raise DecodeError("PreambleHeader", "magic", magic, "89 50 32 50 57 0D 0A 1A", 0)
        if not 1 <= kind <= 3:
            raise DecodeError("PreambleHeader", "kind", kind, "1..3", 8)
        if not 4 <= length <= 512:
            raise DecodeError("PreambleHeader", "length", length, "4..512", 9)
        message: Any = _UNLOCKED_PREAMBLE_HEADER()
        message.kind = kind
        message.length = length
        message.__class__ = cls
        made: PreambleHeader = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        if not 1 <= self.kind <= 3:
            raise EncodeError("PreambleHeader", "kind", self.kind, "1..3")
        if not 4 <= self.length <= 512:
            raise EncodeError("PreambleHeader", "length", self.length, "4..512")
        try:
            return _PREAMBLE_HEADER.pack(b"\x89P2PW\x0d\x0a\x1a", self.kind, self.length)
        except struct.error:
            raise _unpackable(self, kind=8, length=16) from None


_UNLOCKED_PREAMBLE_HEADER: Final = _unlocked(PreambleHeader)


_PARAMETER: Final = struct.Struct(">BB")


@attrs.frozen(weakref_slot=False)
class Parameter:
    """One parameter of a preamble or handshake payload.

    Bytes: `tag u8 | value_length u8 | value[value_length]`
    """

    tag: int
    """What the value is; an unknown tag is ignored."""
    value: bytes
    """Read by the tag's definition (0..255 bytes)."""

    @classmethod
    def read(cls, data: Buffer, at: int = 0) -> tuple[Parameter, int]:
        """The message that begins at `at`, and where it ends. Raises `DecodeError`."""
        try:
            tag, value_length = _PARAMETER.unpack_from(data, at)
        except struct.error:
            raise _truncated("Parameter", at, len(data), tag=1, value_length=1) from None
        end = at + 2 + value_length
        if end > len(data):
            raise _truncated("Parameter", at + 2, len(data), value=value_length)
        value = bytes(data[at + 2 : end])
        message: Any = _UNLOCKED_PARAMETER()
        message.tag = tag
        message.value = value
        message.__class__ = cls
        made: Parameter = message
        return made, end

    @classmethod
    def decode(cls, data: Buffer) -> Parameter:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        message, end = cls.read(data)
        if end != len(data):
            raise _trailing("Parameter", end, len(data))
        return message

    def _parts(self) -> list[Buffer]:
        if len(self.value) > 255:
            raise EncodeError("Parameter", "value", len(self.value), "0..255 bytes")
        try:
            return [_PARAMETER.pack(self.tag, len(self.value)), self.value]
        except struct.error:
            raise _unpackable(self, tag=8) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return b"".join(self._parts())


_UNLOCKED_PARAMETER: Final = _unlocked(Parameter)


_INITIATOR_PREAMBLE: Final = struct.Struct(">B")
_INITIATOR_PREAMBLE_KEY_SUITE: Final = struct.Struct(">H")


@attrs.frozen(weakref_slot=False)
class InitiatorPreamble:
    """What the initiator can speak.

    Bytes: `versions_count u8 | versions u16 × versions_count | suites_count u8 | suites u16 × suites_count |
            key_suite u16 | parameters Parameter*`
    """

    KIND: ClassVar[int] = 0x01

    versions: tuple[int, ...]
    """Versions offered, GREASE among them (1..16 elements, without duplicates)."""
    suites: tuple[int, ...]
    """Suites offered in order of preference, GREASE among them (1..16 elements, without duplicates)."""
    key_suite: int
    """The suite that message 1 is made for (Suite; no GREASE value)."""
    parameters: tuple[Parameter, ...]
    """Parameters (0..256 elements, ascending and unique by tag)."""

    @classmethod
    def decode(cls, data: Buffer) -> InitiatorPreamble:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        if len(data) > 512:
            raise DecodeError("InitiatorPreamble", "", len(data), "8..512 bytes", 0)
        try:
            (versions_count,) = _INITIATOR_PREAMBLE.unpack_from(data)
        except struct.error:
            raise _truncated("InitiatorPreamble", 0, len(data), versions_count=1) from None
        if not 1 <= versions_count <= 16:
            raise DecodeError("InitiatorPreamble", "versions_count", versions_count, "1..16", 0)
        end = 1 + 2 * versions_count
        if end > len(data):
            raise _truncated("InitiatorPreamble", 1, len(data), versions=2 * versions_count)
        versions = struct.unpack_from(f">{versions_count}H", data, 1)
        if len(set(versions)) != len(versions):
            raise DecodeError("InitiatorPreamble", "versions", versions, "without duplicates", 1)
        at = end
        try:
            (suites_count,) = _INITIATOR_PREAMBLE.unpack_from(data, at)
        except struct.error:
            raise _truncated("InitiatorPreamble", at, len(data), suites_count=1) from None
        if not 1 <= suites_count <= 16:
            raise DecodeError("InitiatorPreamble", "suites_count", suites_count, "1..16", at)
        end = at + 1 + 2 * suites_count
        if end > len(data):
            raise _truncated("InitiatorPreamble", at + 1, len(data), suites=2 * suites_count)
        suites = struct.unpack_from(f">{suites_count}H", data, at + 1)
        if len(set(suites)) != len(suites):
            raise DecodeError("InitiatorPreamble", "suites", suites, "without duplicates", at + 1)
        at = end
        try:
            (key_suite,) = _INITIATOR_PREAMBLE_KEY_SUITE.unpack_from(data, at)
        except struct.error:
            raise _truncated("InitiatorPreamble", at, len(data), key_suite=2) from None
        if key_suite & 0x0F0F == 0x0A0A:
            raise DecodeError("InitiatorPreamble", "key_suite", key_suite, "no GREASE value", at)
        if key_suite not in suites:
            raise DecodeError("InitiatorPreamble", "key_suite", key_suite, "one of suites", at)
        at += 2
        begin = at
        parameters_list: list[Parameter] = []
        while at < len(data):
            try:
                element, at = Parameter.read(data, at)
            except DecodeError as error:
                raise error.within("InitiatorPreamble", f"parameters[{len(parameters_list)}]") from None
            parameters_list.append(element)
        parameters = tuple(parameters_list)
        if len(parameters) > 256:
            raise DecodeError("InitiatorPreamble", "parameters", len(parameters), "0..256 elements", begin)
        if len(parameters) > 1 and any(a.tag >= b.tag for a, b in pairwise(parameters)):
            raise DecodeError("InitiatorPreamble", "parameters", parameters, "ascending and unique by tag", begin)
        message: Any = _UNLOCKED_INITIATOR_PREAMBLE()
        message.versions = versions
        message.suites = suites
        message.key_suite = key_suite
        message.parameters = parameters
        message.__class__ = cls
        made: InitiatorPreamble = message
        return made

    def _parts(self) -> list[Buffer]:
        if not 1 <= len(self.versions) <= 16:
            raise EncodeError("InitiatorPreamble", "versions", len(self.versions), "1..16 elements")
        if len(set(self.versions)) != len(self.versions):
            raise EncodeError("InitiatorPreamble", "versions", self.versions, "without duplicates")
        if not 1 <= len(self.suites) <= 16:
            raise EncodeError("InitiatorPreamble", "suites", len(self.suites), "1..16 elements")
        if len(set(self.suites)) != len(self.suites):
            raise EncodeError("InitiatorPreamble", "suites", self.suites, "without duplicates")
        if self.key_suite & 0x0F0F == 0x0A0A:
            raise EncodeError("InitiatorPreamble", "key_suite", self.key_suite, "no GREASE value")
        if len(self.parameters) > 256:
            raise EncodeError("InitiatorPreamble", "parameters", len(self.parameters), "0..256 elements")
        if len(self.parameters) > 1 and any(a.tag >= b.tag for a, b in pairwise(self.parameters)):
            raise EncodeError("InitiatorPreamble", "parameters", self.parameters, "ascending and unique by tag")
        if self.key_suite not in self.suites:
            raise EncodeError("InitiatorPreamble", "key_suite", self.key_suite, "one of suites")
        try:
            return [
                _INITIATOR_PREAMBLE.pack(len(self.versions)),
                struct.pack(f">{len(self.versions)}H", *self.versions),
                _INITIATOR_PREAMBLE.pack(len(self.suites)),
                struct.pack(f">{len(self.suites)}H", *self.suites),
                _INITIATOR_PREAMBLE_KEY_SUITE.pack(self.key_suite),
                *[e.encode() for e in self.parameters],
            ]
        except struct.error:
            raise _unpackable(self, versions=16, suites=16, key_suite=16) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        data = b"".join(self._parts())
        if len(data) > 512:
            raise EncodeError("InitiatorPreamble", "", len(data), "8..512 bytes")
        return data


_UNLOCKED_INITIATOR_PREAMBLE: Final = _unlocked(InitiatorPreamble)


_RESPONDER_PREAMBLE: Final = struct.Struct(">HH")


@attrs.frozen(weakref_slot=False)
class ResponderPreamble:
    """What the responder selected.

    Bytes: `version u16 | suite u16 | parameters Parameter*`
    """

    KIND: ClassVar[int] = 0x02

    version: int
    """The highest common version (Version; no GREASE value)."""
    suite: int
    """The first suite of the initiator's list that the responder has (Suite; no GREASE value)."""
    parameters: tuple[Parameter, ...]
    """Parameters (0..256 elements, ascending and unique by tag)."""

    @classmethod
    def decode(cls, data: Buffer) -> ResponderPreamble:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        if len(data) > 512:
            raise DecodeError("ResponderPreamble", "", len(data), "4..512 bytes", 0)
        try:
            version, suite = _RESPONDER_PREAMBLE.unpack_from(data)
        except struct.error:
            raise _truncated("ResponderPreamble", 0, len(data), version=2, suite=2) from None
        if version & 0x0F0F == 0x0A0A:
            raise DecodeError("ResponderPreamble", "version", version, "no GREASE value", 0)
        if suite & 0x0F0F == 0x0A0A:
            raise DecodeError("ResponderPreamble", "suite", suite, "no GREASE value", 2)
        at = 4
        parameters_list: list[Parameter] = []
        while at < len(data):
            try:
                element, at = Parameter.read(data, at)
            except DecodeError as error:
                raise error.within("ResponderPreamble", f"parameters[{len(parameters_list)}]") from None
            parameters_list.append(element)
        parameters = tuple(parameters_list)
        if len(parameters) > 256:
            raise DecodeError("ResponderPreamble", "parameters", len(parameters), "0..256 elements", 4)
        if len(parameters) > 1 and any(a.tag >= b.tag for a, b in pairwise(parameters)):
            raise DecodeError("ResponderPreamble", "parameters", parameters, "ascending and unique by tag", 4)
        message: Any = _UNLOCKED_RESPONDER_PREAMBLE()
        message.version = version
        message.suite = suite
        message.parameters = parameters
        message.__class__ = cls
        made: ResponderPreamble = message
        return made

    def _parts(self) -> list[Buffer]:
        if self.version & 0x0F0F == 0x0A0A:
            raise EncodeError("ResponderPreamble", "version", self.version, "no GREASE value")
        if self.suite & 0x0F0F == 0x0A0A:
            raise EncodeError("ResponderPreamble", "suite", self.suite, "no GREASE value")
        if len(self.parameters) > 256:
            raise EncodeError("ResponderPreamble", "parameters", len(self.parameters), "0..256 elements")
        if len(self.parameters) > 1 and any(a.tag >= b.tag for a, b in pairwise(self.parameters)):
            raise EncodeError("ResponderPreamble", "parameters", self.parameters, "ascending and unique by tag")
        try:
            return [_RESPONDER_PREAMBLE.pack(self.version, self.suite), *[e.encode() for e in self.parameters]]
        except struct.error:
            raise _unpackable(self, version=16, suite=16) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        data = b"".join(self._parts())
        if len(data) > 512:
            raise EncodeError("ResponderPreamble", "", len(data), "4..512 bytes")
        return data


_UNLOCKED_RESPONDER_PREAMBLE: Final = _unlocked(ResponderPreamble)


_REFUSAL: Final = struct.Struct(">BB")
_REFUSAL_SUITES_COUNT: Final = struct.Struct(">B")


@attrs.frozen(weakref_slot=False)
class Refusal:
    """Why the responder does not go on, and what it can speak.

    Bytes: `reason u8 | versions_count u8 | versions u16 × versions_count | suites_count u8 | suites u16 × suites_count`
    """

    KIND: ClassVar[int] = 0x03

    reason: int
    """Why (RefusalReason)."""
    versions: tuple[int, ...]
    """Versions that the responder speaks (1..16 elements, without duplicates)."""
    suites: tuple[int, ...]
    """Suites that the responder has (1..16 elements, without duplicates)."""

    @classmethod
    def read(cls, data: Buffer, at: int = 0) -> tuple[Refusal, int]:
        """The message that begins at `at`, and where it ends. Raises `DecodeError`."""
        try:
            reason, versions_count = _REFUSAL.unpack_from(data, at)
        except struct.error:
            raise _truncated("Refusal", at, len(data), reason=1, versions_count=1) from None
        if not 1 <= versions_count <= 16:
            raise DecodeError("Refusal", "versions_count", versions_count, "1..16", at + 1)
        end = at + 2 + 2 * versions_count
        if end > len(data):
            raise _truncated("Refusal", at + 2, len(data), versions=2 * versions_count)
        versions = struct.unpack_from(f">{versions_count}H", data, at + 2)
        if len(set(versions)) != len(versions):
            raise DecodeError("Refusal", "versions", versions, "without duplicates", at + 2)
        at = end
        try:
            (suites_count,) = _REFUSAL_SUITES_COUNT.unpack_from(data, at)
        except struct.error:
            raise _truncated("Refusal", at, len(data), suites_count=1) from None
        if not 1 <= suites_count <= 16:
            raise DecodeError("Refusal", "suites_count", suites_count, "1..16", at)
        end = at + 1 + 2 * suites_count
        if end > len(data):
            raise _truncated("Refusal", at + 1, len(data), suites=2 * suites_count)
        suites = struct.unpack_from(f">{suites_count}H", data, at + 1)
        if len(set(suites)) != len(suites):
            raise DecodeError("Refusal", "suites", suites, "without duplicates", at + 1)
        message: Any = _UNLOCKED_REFUSAL()
        message.reason = reason
        message.versions = versions
        message.suites = suites
        message.__class__ = cls
        made: Refusal = message
        return made, end

    @classmethod
    def decode(cls, data: Buffer) -> Refusal:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        message, end = cls.read(data)
        if end != len(data):
            raise _trailing("Refusal", end, len(data))
        return message

    def _parts(self) -> list[Buffer]:
        if not 1 <= len(self.versions) <= 16:
            raise EncodeError("Refusal", "versions", len(self.versions), "1..16 elements")
        if len(set(self.versions)) != len(self.versions):
            raise EncodeError("Refusal", "versions", self.versions, "without duplicates")
        if not 1 <= len(self.suites) <= 16:
            raise EncodeError("Refusal", "suites", len(self.suites), "1..16 elements")
        if len(set(self.suites)) != len(self.suites):
            raise EncodeError("Refusal", "suites", self.suites, "without duplicates")
        try:
            return [
                _REFUSAL.pack(self.reason, len(self.versions)),
                struct.pack(f">{len(self.versions)}H", *self.versions),
                _REFUSAL_SUITES_COUNT.pack(len(self.suites)),
                struct.pack(f">{len(self.suites)}H", *self.suites),
            ]
        except struct.error:
            raise _unpackable(self, reason=8, versions=16, suites=16) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return b"".join(self._parts())


_UNLOCKED_REFUSAL: Final = _unlocked(Refusal)


_HANDSHAKE_HEADER: Final = struct.Struct(">H")


@attrs.frozen(weakref_slot=False)
class HandshakeHeader:
    """Precedes each Noise message.

    Bytes: `length u16`
    """

    length: int
    """Size of the message, in bytes (1..1024)."""

    @classmethod
    def decode(cls, data: Buffer) -> HandshakeHeader:
        """The message that fills `data` exactly (2 bytes). Raises `DecodeError`."""
        try:
            (length,) = _HANDSHAKE_HEADER.unpack(data)
        except struct.error:
            raise _wrong_size("HandshakeHeader", len(data), length=2) from None
        if not 1 <= length <= 1024:
            raise DecodeError("HandshakeHeader", "length", length, "1..1024", 0)
        message: Any = _UNLOCKED_HANDSHAKE_HEADER()
        message.length = length
        message.__class__ = cls
        made: HandshakeHeader = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        if not 1 <= self.length <= 1024:
            raise EncodeError("HandshakeHeader", "length", self.length, "1..1024")
        try:
            return _HANDSHAKE_HEADER.pack(self.length)
        except struct.error:
            raise _unpackable(self, length=16) from None


_UNLOCKED_HANDSHAKE_HEADER: Final = _unlocked(HandshakeHeader)


_HANDSHAKE_PAYLOAD: Final = struct.Struct(">32s64s")


@attrs.frozen(weakref_slot=False)
class HandshakePayload:
    """Who speaks: the payload of messages 2 and 3.

    Bytes: `identity[32] | signature[64] | parameters Parameter*`
    """

    identity: bytes
    """Ed25519 public key (32 bytes)."""
    signature: bytes
    """Over this handshake (64 bytes)."""
    parameters: tuple[Parameter, ...]
    """Parameters, used only after the signature is verified (0..256 elements, ascending and unique by tag)."""

    @classmethod
    def decode(cls, data: Buffer) -> HandshakePayload:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        if len(data) > 928:
            raise DecodeError("HandshakePayload", "", len(data), "96..928 bytes", 0)
        try:
            identity, signature = _HANDSHAKE_PAYLOAD.unpack_from(data)
        except struct.error:
            raise _truncated("HandshakePayload", 0, len(data), identity=32, signature=64) from None
        at = 96
        parameters_list: list[Parameter] = []
        while at < len(data):
            try:
                element, at = Parameter.read(data, at)
            except DecodeError as error:
                raise error.within("HandshakePayload", f"parameters[{len(parameters_list)}]") from None
            parameters_list.append(element)
        parameters = tuple(parameters_list)
        if len(parameters) > 256:
            raise DecodeError("HandshakePayload", "parameters", len(parameters), "0..256 elements", 96)
        if len(parameters) > 1 and any(a.tag >= b.tag for a, b in pairwise(parameters)):
            raise DecodeError("HandshakePayload", "parameters", parameters, "ascending and unique by tag", 96)
        message: Any = _UNLOCKED_HANDSHAKE_PAYLOAD()
        message.identity = identity
        message.signature = signature
        message.parameters = parameters
        message.__class__ = cls
        made: HandshakePayload = message
        return made

    def _parts(self) -> list[Buffer]:
        if len(self.identity) != 32:
            raise EncodeError("HandshakePayload", "identity", self.identity, "32 bytes")
        if len(self.signature) != 64:
            raise EncodeError("HandshakePayload", "signature", self.signature, "64 bytes")
        if len(self.parameters) > 256:
            raise EncodeError("HandshakePayload", "parameters", len(self.parameters), "0..256 elements")
        if len(self.parameters) > 1 and any(a.tag >= b.tag for a, b in pairwise(self.parameters)):
            raise EncodeError("HandshakePayload", "parameters", self.parameters, "ascending and unique by tag")
        try:
            return [_HANDSHAKE_PAYLOAD.pack(self.identity, self.signature), *[e.encode() for e in self.parameters]]
        except struct.error:
            raise _unpackable(self, identity=0, signature=0) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        data = b"".join(self._parts())
        if len(data) > 928:
            raise EncodeError("HandshakePayload", "", len(data), "96..928 bytes")
        return data


_UNLOCKED_HANDSHAKE_PAYLOAD: Final = _unlocked(HandshakePayload)


_RECORD_HEADER: Final = struct.Struct(">H")


@attrs.frozen(weakref_slot=False)
class RecordHeader:
    """Precedes each encrypted record.

    Bytes: `length u16`
    """

    length: int
    """Size of the ciphertext with its tag, in bytes (17..65535)."""

    @classmethod
    def decode(cls, data: Buffer) -> RecordHeader:
        """The message that fills `data` exactly (2 bytes). Raises `DecodeError`."""
        try:
            (length,) = _RECORD_HEADER.unpack(data)
        except struct.error:
            raise _wrong_size("RecordHeader", len(data), length=2) from None
        if length < 17:
            raise DecodeError("RecordHeader", "length", length, "17..65535", 0)
        message: Any = _UNLOCKED_RECORD_HEADER()
        message.length = length
        message.__class__ = cls
        made: RecordHeader = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        if not 17 <= self.length <= 65535:
            raise EncodeError("RecordHeader", "length", self.length, "17..65535")
        try:
            return _RECORD_HEADER.pack(self.length)
        except struct.error:
            raise _unpackable(self, length=16) from None


_UNLOCKED_RECORD_HEADER: Final = _unlocked(RecordHeader)


_FRAME_HEADER: Final = struct.Struct(">BH")


@attrs.frozen(weakref_slot=False)
class FrameHeader:
    """Precedes each frame's body.

    Bytes: `type u8 | length u16`
    """

    type: int
    """Frame type; even types are critical, odd ones are ignorable (FrameType)."""
    length: int
    """Size of the body, in bytes (0..65516)."""

    @classmethod
    def decode(cls, data: Buffer) -> FrameHeader:
        """The message that fills `data` exactly (3 bytes). Raises `DecodeError`."""
        try:
            type_, length = _FRAME_HEADER.unpack(data)
        except struct.error:
            raise _wrong_size("FrameHeader", len(data), type=1, length=2) from None
        if length > 65516:
            raise DecodeError("FrameHeader", "length", length, "0..65516", 1)
        message: Any = _UNLOCKED_FRAME_HEADER()
        message.type = type_
        message.length = length
        message.__class__ = cls
        made: FrameHeader = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        if not 0 <= self.length <= 65516:
            raise EncodeError("FrameHeader", "length", self.length, "0..65516")
        try:
            return _FRAME_HEADER.pack(self.type, self.length)
        except struct.error:
            raise _unpackable(self, type=8, length=16) from None


_UNLOCKED_FRAME_HEADER: Final = _unlocked(FrameHeader)


_ADDRESS: Final = struct.Struct(">BB")
_ADDRESS_VALUE_LENGTHS: Final = {1: 6, 2: 18, 3: 32, 4: 34, 5: 32}


@attrs.frozen(weakref_slot=False)
class Address:
    """Where a peer can be reached.

    Bytes: `type u8 | value_length u8 | value[value_length]`
    """

    type: int
    """Kind of address; unknown kinds are kept and not dialled (AddressType)."""
    value: bytes
    """The address; a port comes last (0..255 bytes)."""

    @classmethod
    def read(cls, data: Buffer, at: int = 0) -> tuple[Address, int]:
        """The message that begins at `at`, and where it ends. Raises `DecodeError`."""
        try:
            type_, value_length = _ADDRESS.unpack_from(data, at)
        except struct.error:
            raise _truncated("Address", at, len(data), type=1, value_length=1) from None
        end = at + 2 + value_length
        if end > len(data):
            raise _truncated("Address", at + 2, len(data), value=value_length)
        value = bytes(data[at + 2 : end])
        if _ADDRESS_VALUE_LENGTHS.get(type_, len(value)) != len(value):
            raise DecodeError(
                "Address",
                "value",
                value,
                "as long as type says (6 for 1, 18 for 2, 32 for 3, 34 for 4, 32 for 5)",
                at + 2,
            )
        message: Any = _UNLOCKED_ADDRESS()
        message.type = type_
        message.value = value
        message.__class__ = cls
        made: Address = message
        return made, end

    @classmethod
    def decode(cls, data: Buffer) -> Address:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        message, end = cls.read(data)
        if end != len(data):
            raise _trailing("Address", end, len(data))
        return message

    def _parts(self) -> list[Buffer]:
        if len(self.value) > 255:
            raise EncodeError("Address", "value", len(self.value), "0..255 bytes")
        if _ADDRESS_VALUE_LENGTHS.get(self.type, len(self.value)) != len(self.value):
            raise EncodeError(
                "Address", "value", self.value, "as long as type says (6 for 1, 18 for 2, 32 for 3, 34 for 4, 32 for 5)"
            )
        try:
            return [_ADDRESS.pack(self.type, len(self.value)), self.value]
        except struct.error:
            raise _unpackable(self, type=8) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return b"".join(self._parts())


_UNLOCKED_ADDRESS: Final = _unlocked(Address)


_PEER_RECORD: Final = struct.Struct(">B32sQIBB")
_PEER_RECORD_SIGNATURE: Final = struct.Struct(">64s")


@attrs.frozen(weakref_slot=False)
class PeerRecord:
    """Where a peer says it can be reached, signed by it.

    Bytes: `version u8 | identity[32] | sequence u64 | ttl u32 | flags u8 |
            addresses_count u8 | addresses Address × addresses_count | signature[64]`
    """

    version: int
    """Version of this format (1)."""
    identity: bytes
    """Ed25519 public key of the peer (32 bytes)."""
    sequence: int
    """When the record was made; a higher one replaces a lower one, in Unix seconds."""
    ttl: int
    """How long the record is good for, in seconds (60..86400)."""
    flags: int
    """Reserved: sent 0, ignored."""
    addresses: tuple[Address, ...]
    """In order of preference (0..8 elements)."""
    signature: bytes
    """Over all bytes before it (64 bytes)."""

    @classmethod
    def decode(cls, data: Buffer) -> PeerRecord:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        if len(data) > 512:
            raise DecodeError("PeerRecord", "", len(data), "111..512 bytes", 0)
        try:
            version, identity, sequence, ttl, flags, addresses_count = _PEER_RECORD.unpack_from(data)
        except struct.error:
            raise _truncated(
                "PeerRecord", 0, len(data), version=1, identity=32, sequence=8, ttl=4, flags=1, addresses_count=1
            ) from None
        if version != 1:
            raise DecodeError("PeerRecord", "version", version, "1", 0)
        if not 60 <= ttl <= 86400:
            raise DecodeError("PeerRecord", "ttl", ttl, "60..86400", 41)
        if addresses_count > 8:
            raise DecodeError("PeerRecord", "addresses_count", addresses_count, "0..8", 46)
        at = 47
        addresses_list: list[Address] = []
        for _ in range(addresses_count):
            try:
                element, at = Address.read(data, at)
            except DecodeError as error:
                raise error.within("PeerRecord", f"addresses[{len(addresses_list)}]") from None
            addresses_list.append(element)
        addresses = tuple(addresses_list)
        try:
            (signature,) = _PEER_RECORD_SIGNATURE.unpack_from(data, at)
        except struct.error:
            raise _truncated("PeerRecord", at, len(data), signature=64) from None
        if at + 64 != len(data):
            raise _trailing("PeerRecord", at + 64, len(data))
        message: Any = _UNLOCKED_PEER_RECORD()
        message.version = version
        message.identity = identity
        message.sequence = sequence
        message.ttl = ttl
        message.flags = flags
        message.addresses = addresses
        message.signature = signature
        message.__class__ = cls
        made: PeerRecord = message
        return made

    def _parts(self) -> list[Buffer]:
        if self.version != 1:
            raise EncodeError("PeerRecord", "version", self.version, "1")
        if len(self.identity) != 32:
            raise EncodeError("PeerRecord", "identity", self.identity, "32 bytes")
        if not 60 <= self.ttl <= 86400:
            raise EncodeError("PeerRecord", "ttl", self.ttl, "60..86400")
        if len(self.addresses) > 8:
            raise EncodeError("PeerRecord", "addresses", len(self.addresses), "0..8 elements")
        if len(self.signature) != 64:
            raise EncodeError("PeerRecord", "signature", self.signature, "64 bytes")
        try:
            return [
                _PEER_RECORD.pack(
                    self.version, self.identity, self.sequence, self.ttl, self.flags, len(self.addresses)
                ),
                *[e.encode() for e in self.addresses],
                _PEER_RECORD_SIGNATURE.pack(self.signature),
            ]
        except struct.error:
            raise _unpackable(self, version=8, identity=0, sequence=64, ttl=32, flags=8, signature=0) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        data = b"".join(self._parts())
        if len(data) > 512:
            raise EncodeError("PeerRecord", "", len(data), "111..512 bytes")
        return data


_UNLOCKED_PEER_RECORD: Final = _unlocked(PeerRecord)


_HELLO_PARAMETER: Final = struct.Struct(">BH")


@attrs.frozen(weakref_slot=False)
class HelloParameter:
    """One parameter of HELLO.

    Bytes: `tag u8 | value_length u16 | value[value_length]`
    """

    tag: int
    """What the value is; an unknown tag is ignored (HelloTag)."""
    value: bytes
    """Read by the tag's definition (0..65516 bytes)."""

    @classmethod
    def read(cls, data: Buffer, at: int = 0) -> tuple[HelloParameter, int]:
        """The message that begins at `at`, and where it ends. Raises `DecodeError`."""
        try:
            tag, value_length = _HELLO_PARAMETER.unpack_from(data, at)
        except struct.error:
            raise _truncated("HelloParameter", at, len(data), tag=1, value_length=2) from None
        if value_length > 65516:
            raise DecodeError("HelloParameter", "value_length", value_length, "0..65516", at + 1)
        end = at + 3 + value_length
        if end > len(data):
            raise _truncated("HelloParameter", at + 3, len(data), value=value_length)
        value = bytes(data[at + 3 : end])
        message: Any = _UNLOCKED_HELLO_PARAMETER()
        message.tag = tag
        message.value = value
        message.__class__ = cls
        made: HelloParameter = message
        return made, end

    @classmethod
    def decode(cls, data: Buffer) -> HelloParameter:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        message, end = cls.read(data)
        if end != len(data):
            raise _trailing("HelloParameter", end, len(data))
        return message

    def _parts(self) -> list[Buffer]:
        if len(self.value) > 65516:
            raise EncodeError("HelloParameter", "value", len(self.value), "0..65516 bytes")
        try:
            return [_HELLO_PARAMETER.pack(self.tag, len(self.value)), self.value]
        except struct.error:
            raise _unpackable(self, tag=8) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return b"".join(self._parts())


_UNLOCKED_HELLO_PARAMETER: Final = _unlocked(HelloParameter)


@attrs.frozen(weakref_slot=False)
class Agent:
    """The value of HELLO's parameter AGENT.

    Bytes: `name (to the end)`
    """

    name: str
    """Name and version of the implementation (0..64 bytes of UTF-8, without control characters)."""

    @classmethod
    def decode(cls, data: Buffer) -> Agent:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        if len(data) > 64:
            raise DecodeError("Agent", "name", len(data), "0..64 bytes", 0)
        raw = bytes(data)
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise DecodeError("Agent", "name", raw, "UTF-8", 0) from None
        if not name.isprintable() and _CONTROLS.search(name):
            raise DecodeError("Agent", "name", name, "without control characters", 0)
        message: Any = _UNLOCKED_AGENT()
        message.name = name
        message.__class__ = cls
        made: Agent = message
        return made

    def _parts(self) -> list[Buffer]:
        try:
            name_raw = self.name.encode("utf-8")
        except UnicodeEncodeError:
            raise EncodeError("Agent", "name", self.name, "Unicode text") from None
        if len(name_raw) > 64:
            raise EncodeError("Agent", "name", self.name, "0..64 bytes of UTF-8")
        if not self.name.isprintable() and _CONTROLS.search(self.name):
            raise EncodeError("Agent", "name", self.name, "without control characters")
        return [name_raw]

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return b"".join(self._parts())


_UNLOCKED_AGENT: Final = _unlocked(Agent)


_EXTENSION: Final = struct.Struct(">B")
_EXTENSION_BASE: Final = struct.Struct(">BBB")


@attrs.frozen(weakref_slot=False)
class Extension:
    """One extension that the sender of HELLO understands.

    Bytes: `name_length u8 | name[name_length] | base u8 | count u8 | params_length u8 | params[params_length]`
    """

    name: str
    """Name and version of the extension (1..32 bytes of UTF-8, of the characters a-z0-9./-)."""
    base: int
    """First frame type that the other side uses for it (128..254)."""
    count: int
    """Frame types that it takes, one after another (1..16)."""
    params: bytes
    """Read by the extension's definition (0..255 bytes)."""

    @classmethod
    def read(cls, data: Buffer, at: int = 0) -> tuple[Extension, int]:
        """The message that begins at `at`, and where it ends. Raises `DecodeError`."""
        try:
            (name_length,) = _EXTENSION.unpack_from(data, at)
        except struct.error:
            raise _truncated("Extension", at, len(data), name_length=1) from None
        if not 1 <= name_length <= 32:
            raise DecodeError("Extension", "name_length", name_length, "1..32", at)
        end = at + 1 + name_length
        if end > len(data):
            raise _truncated("Extension", at + 1, len(data), name=name_length)
        raw = bytes(data[at + 1 : end])
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise DecodeError("Extension", "name", raw, "UTF-8", at + 1) from None
        if not _NAME.fullmatch(name):
            raise DecodeError("Extension", "name", name, "of the characters a-z0-9./-", at + 1)
        at = end
        try:
            base, count, params_length = _EXTENSION_BASE.unpack_from(data, at)
        except struct.error:
            raise _truncated("Extension", at, len(data), base=1, count=1, params_length=1) from None
        if not 128 <= base <= 254:
            raise DecodeError("Extension", "base", base, "128..254", at)
        if not 1 <= count <= 16:
            raise DecodeError("Extension", "count", count, "1..16", at + 1)
        if base + count - 1 > 254:
            raise DecodeError("Extension", "base", base, "such that base + count - 1 <= 254", at)
        end = at + 3 + params_length
        if end > len(data):
            raise _truncated("Extension", at + 3, len(data), params=params_length)
        params = bytes(data[at + 3 : end])
        message: Any = _UNLOCKED_EXTENSION()
        message.name = name
        message.base = base
        message.count = count
        message.params = params
        message.__class__ = cls
        made: Extension = message
        return made, end

    @classmethod
    def decode(cls, data: Buffer) -> Extension:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        message, end = cls.read(data)
        if end != len(data):
            raise _trailing("Extension", end, len(data))
        return message

    def _parts(self) -> list[Buffer]:
        if not 128 <= self.base <= 254:
            raise EncodeError("Extension", "base", self.base, "128..254")
        if not 1 <= self.count <= 16:
            raise EncodeError("Extension", "count", self.count, "1..16")
        if len(self.params) > 255:
            raise EncodeError("Extension", "params", len(self.params), "0..255 bytes")
        if self.base + self.count - 1 > 254:
            raise EncodeError("Extension", "base", self.base, "such that base + count - 1 <= 254")
        try:
            name_raw = self.name.encode("utf-8")
        except UnicodeEncodeError:
            raise EncodeError("Extension", "name", self.name, "Unicode text") from None
        if not 1 <= len(name_raw) <= 32:
            raise EncodeError("Extension", "name", self.name, "1..32 bytes of UTF-8")
        if not _NAME.fullmatch(self.name):
            raise EncodeError("Extension", "name", self.name, "of the characters a-z0-9./-")
        try:
            return [
                _EXTENSION.pack(len(name_raw)),
                name_raw,
                _EXTENSION_BASE.pack(self.base, self.count, len(self.params)),
                self.params,
            ]
        except struct.error:
            raise _unpackable(self, base=8, count=8) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return b"".join(self._parts())


_UNLOCKED_EXTENSION: Final = _unlocked(Extension)


@attrs.frozen(weakref_slot=False)
class Extensions:
    """The value of HELLO's parameter EXTENSIONS.

    Bytes: `entries Extension*`
    """

    entries: tuple[Extension, ...]
    """Extensions, one after another (0..24 elements, unique by name, frame types disjoint)."""

    @classmethod
    def decode(cls, data: Buffer) -> Extensions:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        at = 0
        entries_list: list[Extension] = []
        while at < len(data):
            try:
                element, at = Extension.read(data, at)
            except DecodeError as error:
                raise error.within("Extensions", f"entries[{len(entries_list)}]") from None
            entries_list.append(element)
        entries = tuple(entries_list)
        if len(entries) > 24:
            raise DecodeError("Extensions", "entries", len(entries), "0..24 elements", 0)
        if len({e.name for e in entries}) != len(entries):
            raise DecodeError("Extensions", "entries", entries, "unique by name", 0)
        if sum(e.count for e in entries) > len({t for e in entries for t in range(e.base, e.base + e.count)}):
            raise DecodeError("Extensions", "entries", entries, "frame types disjoint", 0)
        message: Any = _UNLOCKED_EXTENSIONS()
        message.entries = entries
        message.__class__ = cls
        made: Extensions = message
        return made

    def _parts(self) -> list[Buffer]:
        if len(self.entries) > 24:
            raise EncodeError("Extensions", "entries", len(self.entries), "0..24 elements")
        if len({e.name for e in self.entries}) != len(self.entries):
            raise EncodeError("Extensions", "entries", self.entries, "unique by name")
        if sum(e.count for e in self.entries) > len({t for e in self.entries for t in range(e.base, e.base + e.count)}):
            raise EncodeError("Extensions", "entries", self.entries, "frame types disjoint")
        return [*[e.encode() for e in self.entries]]

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return b"".join(self._parts())


_UNLOCKED_EXTENSIONS: Final = _unlocked(Extensions)


_HELLO: Final = struct.Struct(">HHH")


@attrs.frozen(weakref_slot=False)
class Hello:
    """Limits and parameters of the sender; the first frame each way.

    Bytes: `max_requests u16 | max_handles u16 | idle u16 | parameters HelloParameter*`
    """

    TYPE: ClassVar[int] = 0x00

    max_requests: int
    """Requests that the receiver may have open (1..1024)."""
    max_handles: int
    """Topics that the receiver may have joined (1..1024)."""
    idle: int
    """Time without a record after which the link is dead; the smaller of both sides' binds, in seconds (30..600)."""
    parameters: tuple[HelloParameter, ...]
    """Parameters (0..256 elements, ascending and unique by tag, with a value as its tag says (Agent for 1, Address for
    3, Extensions for 4))."""

    @classmethod
    def decode(cls, data: Buffer) -> Hello:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        if len(data) > 65516:
            raise DecodeError("Hello", "", len(data), "6..65516 bytes", 0)
        try:
            max_requests, max_handles, idle = _HELLO.unpack_from(data)
        except struct.error:
            raise _truncated("Hello", 0, len(data), max_requests=2, max_handles=2, idle=2) from None
        if not 1 <= max_requests <= 1024:
            raise DecodeError("Hello", "max_requests", max_requests, "1..1024", 0)
        if not 1 <= max_handles <= 1024:
            raise DecodeError("Hello", "max_handles", max_handles, "1..1024", 2)
        if not 30 <= idle <= 600:
            raise DecodeError("Hello", "idle", idle, "30..600", 4)
        at = 6
        parameters_list: list[HelloParameter] = []
        while at < len(data):
            try:
                element, at = HelloParameter.read(data, at)
            except DecodeError as error:
                raise error.within("Hello", f"parameters[{len(parameters_list)}]") from None
            if element.tag in HELLO_VALUES:
                try:
                    HELLO_VALUES[element.tag].decode(element.value)
                except DecodeError as error:
                    raise error.within(
                        "Hello", f"parameters[{len(parameters_list)}].value", at - len(element.value)
                    ) from None
            parameters_list.append(element)
        parameters = tuple(parameters_list)
        if len(parameters) > 256:
            raise DecodeError("Hello", "parameters", len(parameters), "0..256 elements", 6)
        if len(parameters) > 1 and any(a.tag >= b.tag for a, b in pairwise(parameters)):
            raise DecodeError("Hello", "parameters", parameters, "ascending and unique by tag", 6)
        message: Any = _UNLOCKED_HELLO()
        message.max_requests = max_requests
        message.max_handles = max_handles
        message.idle = idle
        message.parameters = parameters
        message.__class__ = cls
        made: Hello = message
        return made

    def _parts(self) -> list[Buffer]:
        if not 1 <= self.max_requests <= 1024:
            raise EncodeError("Hello", "max_requests", self.max_requests, "1..1024")
        if not 1 <= self.max_handles <= 1024:
            raise EncodeError("Hello", "max_handles", self.max_handles, "1..1024")
        if not 30 <= self.idle <= 600:
            raise EncodeError("Hello", "idle", self.idle, "30..600")
        if len(self.parameters) > 256:
            raise EncodeError("Hello", "parameters", len(self.parameters), "0..256 elements")
        if len(self.parameters) > 1 and any(a.tag >= b.tag for a, b in pairwise(self.parameters)):
            raise EncodeError("Hello", "parameters", self.parameters, "ascending and unique by tag")
        for e in self.parameters:
            if e.tag in HELLO_VALUES:
                try:
                    HELLO_VALUES[e.tag].decode(e.value)
                except DecodeError as error:
                    raise EncodeError("Hello", "parameters", e.value, f"valid: {error.text}") from None
        try:
            return [_HELLO.pack(self.max_requests, self.max_handles, self.idle), *[e.encode() for e in self.parameters]]
        except struct.error:
            raise _unpackable(self, max_requests=16, max_handles=16, idle=16) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        parts = self._parts()
        size = sum(map(len, parts))
        if size > 65516:
            raise EncodeError("Hello", "", size, "6..65516 bytes")
        return b"".join((_FRAME_HEADER.pack(0x00, size), *parts))


_UNLOCKED_HELLO: Final = _unlocked(Hello)


@attrs.frozen(weakref_slot=False)
class Pad:
    """Bytes without meaning.

    Bytes: `data (to the end)`
    """

    TYPE: ClassVar[int] = 0x01

    data: Buffer = attrs.field(repr=_size)
    """Ignored (0..65516 bytes)."""

    @classmethod
    def decode(cls, data: Buffer) -> Pad:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        if len(data) > 65516:
            raise DecodeError("Pad", "data", len(data), "0..65516 bytes", 0)
        data_ = memoryview(data)
        message: Any = _UNLOCKED_PAD()
        message.data = data_
        message.__class__ = cls
        made: Pad = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if len(self.data) > 65516:
            raise EncodeError("Pad", "data", len(self.data), "0..65516 bytes")
        parts: list[Buffer] = [_FRAME_HEADER.pack(0x01, len(self.data)), self.data]
        return b"".join(parts)


_UNLOCKED_PAD: Final = _unlocked(Pad)


_CLOSE: Final = struct.Struct(">HB")
_CLOSE_FRAME: Final = struct.Struct(">BHHB")


@attrs.frozen(weakref_slot=False)
class Close:
    """Why the link ends; the last frame.

    Bytes: `code u16 | frame_type u8 | detail (to the end)`
    """

    TYPE: ClassVar[int] = 0x02

    code: int
    """Why; an unknown code means INTERNAL (CloseCode)."""
    frame_type: int
    """Type of the frame to blame; 0xFF for none."""
    detail: str
    """A sentence for people (0..256 bytes of UTF-8, without control characters)."""

    @classmethod
    def decode(cls, data: Buffer) -> Close:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        try:
            code, frame_type = _CLOSE.unpack_from(data)
        except struct.error:
            raise _truncated("Close", 0, len(data), code=2, frame_type=1) from None
        if len(data) - 3 > 256:
            raise DecodeError("Close", "detail", len(data) - 3, "0..256 bytes", 3)
        raw = bytes(data[3:])
        try:
            detail = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise DecodeError("Close", "detail", raw, "UTF-8", 3) from None
        if not detail.isprintable() and _CONTROLS.search(detail):
            raise DecodeError("Close", "detail", detail, "without control characters", 3)
        message: Any = _UNLOCKED_CLOSE()
        message.code = code
        message.frame_type = frame_type
        message.detail = detail
        message.__class__ = cls
        made: Close = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        try:
            detail_raw = self.detail.encode("utf-8")
        except UnicodeEncodeError:
            raise EncodeError("Close", "detail", self.detail, "Unicode text") from None
        if len(detail_raw) > 256:
            raise EncodeError("Close", "detail", self.detail, "0..256 bytes of UTF-8")
        if not self.detail.isprintable() and _CONTROLS.search(self.detail):
            raise EncodeError("Close", "detail", self.detail, "without control characters")
        try:
            parts: list[Buffer] = [_CLOSE_FRAME.pack(0x02, 3 + len(detail_raw), self.code, self.frame_type), detail_raw]
        except struct.error:
            raise _unpackable(self, code=16, frame_type=8) from None
        return b"".join(parts)


_UNLOCKED_CLOSE: Final = _unlocked(Close)


_PING: Final = struct.Struct(">8s")
_PING_FRAME: Final = struct.Struct(">BH8s")


@attrs.frozen(weakref_slot=False)
class Ping:
    """Asks for a PONG.

    Bytes: `data[8]`
    """

    TYPE: ClassVar[int] = 0x04

    data: bytes
    """Any bytes (8 bytes)."""

    @classmethod
    def decode(cls, data: Buffer) -> Ping:
        """The message that fills `data` exactly (8 bytes). Raises `DecodeError`."""
        try:
            (data_,) = _PING.unpack(data)
        except struct.error:
            raise _wrong_size("Ping", len(data), data=8) from None
        message: Any = _UNLOCKED_PING()
        message.data = data_
        message.__class__ = cls
        made: Ping = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if len(self.data) != 8:
            raise EncodeError("Ping", "data", self.data, "8 bytes")
        try:
            return _PING_FRAME.pack(0x04, 8, self.data)
        except struct.error:
            raise _unpackable(self, data=0) from None


_UNLOCKED_PING: Final = _unlocked(Ping)


_PONG: Final = struct.Struct(">8s")
_PONG_FRAME: Final = struct.Struct(">BH8s")


@attrs.frozen(weakref_slot=False)
class Pong:
    """Answers a PING.

    Bytes: `data[8]`
    """

    TYPE: ClassVar[int] = 0x06

    data: bytes
    """The bytes of the PING (8 bytes)."""

    @classmethod
    def decode(cls, data: Buffer) -> Pong:
        """The message that fills `data` exactly (8 bytes). Raises `DecodeError`."""
        try:
            (data_,) = _PONG.unpack(data)
        except struct.error:
            raise _wrong_size("Pong", len(data), data=8) from None
        message: Any = _UNLOCKED_PONG()
        message.data = data_
        message.__class__ = cls
        made: Pong = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if len(self.data) != 8:
            raise EncodeError("Pong", "data", self.data, "8 bytes")
        try:
            return _PONG_FRAME.pack(0x06, 8, self.data)
        except struct.error:
            raise _unpackable(self, data=0) from None


_UNLOCKED_PONG: Final = _unlocked(Pong)


_JOIN: Final = struct.Struct(">HB32s32s")
_JOIN_FRAME: Final = struct.Struct(">BHHB32s32s")


@attrs.frozen(weakref_slot=False)
class Join:
    """Asks for and offers a topic.

    Bytes: `handle u16 | flags u8 | topic[32] | cap[32]`
    """

    TYPE: ClassVar[int] = 0x10

    handle: int
    """The sender's number for the topic."""
    flags: int
    """What the sender has and wants; reserved bits are sent 0 and ignored (JoinFlag)."""
    topic: bytes
    """The topic's id (32 bytes)."""
    cap: bytes
    """Proves that the sender knows the object's id (32 bytes)."""

    @classmethod
    def decode(cls, data: Buffer) -> Join:
        """The message that fills `data` exactly (67 bytes). Raises `DecodeError`."""
        try:
            handle, flags, topic, cap = _JOIN.unpack(data)
        except struct.error:
            raise _wrong_size("Join", len(data), handle=2, flags=1, topic=32, cap=32) from None
        message: Any = _UNLOCKED_JOIN()
        message.handle = handle
        message.flags = flags
        message.topic = topic
        message.cap = cap
        message.__class__ = cls
        made: Join = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if len(self.topic) != 32:
            raise EncodeError("Join", "topic", self.topic, "32 bytes")
        if len(self.cap) != 32:
            raise EncodeError("Join", "cap", self.cap, "32 bytes")
        try:
            return _JOIN_FRAME.pack(0x10, 67, self.handle, self.flags, self.topic, self.cap)
        except struct.error:
            raise _unpackable(self, handle=16, flags=8, topic=0, cap=0) from None


_UNLOCKED_JOIN: Final = _unlocked(Join)


_REFUSE: Final = struct.Struct(">HB")
_REFUSE_FRAME: Final = struct.Struct(">BHHB")


@attrs.frozen(weakref_slot=False)
class Refuse:
    """Answers a JOIN with no.

    Bytes: `handle u16 | code u8`
    """

    TYPE: ClassVar[int] = 0x12

    handle: int
    """The joiner's number for the topic."""
    code: int
    """0: one answer for every reason (0)."""

    @classmethod
    def decode(cls, data: Buffer) -> Refuse:
        """The message that fills `data` exactly (3 bytes). Raises `DecodeError`."""
        try:
            handle, code = _REFUSE.unpack(data)
        except struct.error:
            raise _wrong_size("Refuse", len(data), handle=2, code=1) from None
        if code != 0:
            raise DecodeError("Refuse", "code", code, "0", 2)
        message: Any = _UNLOCKED_REFUSE()
        message.handle = handle
        message.code = code
        message.__class__ = cls
        made: Refuse = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if self.code != 0:
            raise EncodeError("Refuse", "code", self.code, "0")
        try:
            return _REFUSE_FRAME.pack(0x12, 3, self.handle, self.code)
        except struct.error:
            raise _unpackable(self, handle=16, code=8) from None


_UNLOCKED_REFUSE: Final = _unlocked(Refuse)


_LEAVE: Final = struct.Struct(">H")
_LEAVE_FRAME: Final = struct.Struct(">BHH")


@attrs.frozen(weakref_slot=False)
class Leave:
    """Ends a topic.

    Bytes: `handle u16`
    """

    TYPE: ClassVar[int] = 0x14

    handle: int
    """The sender's number for the topic."""

    @classmethod
    def decode(cls, data: Buffer) -> Leave:
        """The message that fills `data` exactly (2 bytes). Raises `DecodeError`."""
        try:
            (handle,) = _LEAVE.unpack(data)
        except struct.error:
            raise _wrong_size("Leave", len(data), handle=2) from None
        message: Any = _UNLOCKED_LEAVE()
        message.handle = handle
        message.__class__ = cls
        made: Leave = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        try:
            return _LEAVE_FRAME.pack(0x14, 2, self.handle)
        except struct.error:
            raise _unpackable(self, handle=16) from None


_UNLOCKED_LEAVE: Final = _unlocked(Leave)


_OBJECT: Final = struct.Struct(">HBQ32s")
_OBJECT_FRAME: Final = struct.Struct(">BHHBQ32s")


@attrs.frozen(weakref_slot=False)
class Object:
    """What the topic names.

    Bytes: `handle u16 | kind u8 | length u64 | root[32]`
    """

    TYPE: ClassVar[int] = 0x16

    handle: int
    """The sender's number for the topic."""
    kind: int
    """What the object is (ObjectKind)."""
    length: int
    """Size of the object, in bytes (0..2^46)."""
    root: bytes
    """Root of the object's tree; 32 zero bytes if the length is 0 (32 bytes)."""

    @classmethod
    def decode(cls, data: Buffer) -> Object:
        """The message that fills `data` exactly (43 bytes). Raises `DecodeError`."""
        try:
            handle, kind, length, root = _OBJECT.unpack(data)
        except struct.error:
            raise _wrong_size("Object", len(data), handle=2, kind=1, length=8, root=32) from None
        if length > 70368744177664:
            raise DecodeError("Object", "length", length, "0..2^46", 3)
        message: Any = _UNLOCKED_OBJECT()
        message.handle = handle
        message.kind = kind
        message.length = length
        message.root = root
        message.__class__ = cls
        made: Object = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if not 0 <= self.length <= 70368744177664:
            raise EncodeError("Object", "length", self.length, "0..2^46")
        if len(self.root) != 32:
            raise EncodeError("Object", "root", self.root, "32 bytes")
        try:
            return _OBJECT_FRAME.pack(0x16, 43, self.handle, self.kind, self.length, self.root)
        except struct.error:
            raise _unpackable(self, handle=16, kind=8, length=64, root=0) from None


_UNLOCKED_OBJECT: Final = _unlocked(Object)


_SPAN: Final = struct.Struct(">HH")


@attrs.frozen(weakref_slot=False)
class Span:
    """Neighbouring units.

    Bytes: `first u16 | last u16`
    """

    first: int
    """First unit."""
    last: int
    """Last unit, included."""

    @classmethod
    def decode(cls, data: Buffer) -> Span:
        """The message that fills `data` exactly (4 bytes). Raises `DecodeError`."""
        try:
            first, last = _SPAN.unpack(data)
        except struct.error:
            raise _wrong_size("Span", len(data), first=2, last=2) from None
        if last < first:
            raise DecodeError("Span", "last", last, "at least first", 2)
        message: Any = _UNLOCKED_SPAN()
        message.first = first
        message.last = last
        message.__class__ = cls
        made: Span = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        if self.last < self.first:
            raise EncodeError("Span", "last", self.last, "at least first")
        try:
            return _SPAN.pack(self.first, self.last)
        except struct.error:
            raise _unpackable(self, first=16, last=16) from None


_UNLOCKED_SPAN: Final = _unlocked(Span)


_HAVE: Final = struct.Struct(">HH")
_HAVE_FRAME: Final = struct.Struct(">BHHH")


@attrs.frozen(weakref_slot=False)
class Have:
    """Units that the sender holds from now on.

    Bytes: `handle u16 | spans_count u16 | spans Span × spans_count`
    """

    TYPE: ClassVar[int] = 0x18

    handle: int
    """The sender's number for the topic."""
    spans: tuple[Span, ...]
    """Added to what was announced before (1..16378 elements, ascending and disjoint)."""

    @classmethod
    def decode(cls, data: Buffer) -> Have:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        try:
            handle, spans_count = _HAVE.unpack_from(data)
        except struct.error:
            raise _truncated("Have", 0, len(data), handle=2, spans_count=2) from None
        if not 1 <= spans_count <= 16378:
            raise DecodeError("Have", "spans_count", spans_count, "1..16378", 2)
        end = 4 + 4 * spans_count
        if end > len(data):
            raise _truncated("Have", 4, len(data), spans=4 * spans_count)
        spans_list: list[Span] = []
        for here in range(4, end, 4):
            first, last = _SPAN.unpack_from(data, here)
            if last < first:
                raise DecodeError("Have", f"spans[{len(spans_list)}].last", last, "at least first", here)
            element: Any = _UNLOCKED_SPAN()
            element.first = first
            element.last = last
            element.__class__ = Span
            spans_list.append(element)
        spans = tuple(spans_list)
        if len(spans) > 1 and any(a.last >= b.first for a, b in pairwise(spans)):
            raise DecodeError("Have", "spans", spans, "ascending and disjoint", 4)
        if end != len(data):
            raise _trailing("Have", end, len(data))
        message: Any = _UNLOCKED_HAVE()
        message.handle = handle
        message.spans = spans
        message.__class__ = cls
        made: Have = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if not 1 <= len(self.spans) <= 16378:
            raise EncodeError("Have", "spans", len(self.spans), "1..16378 elements")
        if len(self.spans) > 1 and any(a.last >= b.first for a, b in pairwise(self.spans)):
            raise EncodeError("Have", "spans", self.spans, "ascending and disjoint")
        try:
            parts: list[Buffer] = [
                _HAVE_FRAME.pack(0x18, 4 + 4 * len(self.spans), self.handle, len(self.spans)),
                *[e.encode() for e in self.spans],
            ]
        except struct.error:
            raise _unpackable(self, handle=16) from None
        return b"".join(parts)


_UNLOCKED_HAVE: Final = _unlocked(Have)


_LOST: Final = struct.Struct(">HH")
_LOST_FRAME: Final = struct.Struct(">BHHH")


@attrs.frozen(weakref_slot=False)
class Lost:
    """Units that the sender holds no longer.

    Bytes: `handle u16 | spans_count u16 | spans Span × spans_count`
    """

    TYPE: ClassVar[int] = 0x1A

    handle: int
    """The sender's number for the topic."""
    spans: tuple[Span, ...]
    """Removed from what was announced before (1..16378 elements, ascending and disjoint)."""

    @classmethod
    def decode(cls, data: Buffer) -> Lost:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        try:
            handle, spans_count = _LOST.unpack_from(data)
        except struct.error:
            raise _truncated("Lost", 0, len(data), handle=2, spans_count=2) from None
        if not 1 <= spans_count <= 16378:
            raise DecodeError("Lost", "spans_count", spans_count, "1..16378", 2)
        end = 4 + 4 * spans_count
        if end > len(data):
            raise _truncated("Lost", 4, len(data), spans=4 * spans_count)
        spans_list: list[Span] = []
        for here in range(4, end, 4):
            first, last = _SPAN.unpack_from(data, here)
            if last < first:
                raise DecodeError("Lost", f"spans[{len(spans_list)}].last", last, "at least first", here)
            element: Any = _UNLOCKED_SPAN()
            element.first = first
            element.last = last
            element.__class__ = Span
            spans_list.append(element)
        spans = tuple(spans_list)
        if len(spans) > 1 and any(a.last >= b.first for a, b in pairwise(spans)):
            raise DecodeError("Lost", "spans", spans, "ascending and disjoint", 4)
        if end != len(data):
            raise _trailing("Lost", end, len(data))
        message: Any = _UNLOCKED_LOST()
        message.handle = handle
        message.spans = spans
        message.__class__ = cls
        made: Lost = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if not 1 <= len(self.spans) <= 16378:
            raise EncodeError("Lost", "spans", len(self.spans), "1..16378 elements")
        if len(self.spans) > 1 and any(a.last >= b.first for a, b in pairwise(self.spans)):
            raise EncodeError("Lost", "spans", self.spans, "ascending and disjoint")
        try:
            parts: list[Buffer] = [
                _LOST_FRAME.pack(0x1A, 4 + 4 * len(self.spans), self.handle, len(self.spans)),
                *[e.encode() for e in self.spans],
            ]
        except struct.error:
            raise _unpackable(self, handle=16) from None
        return b"".join(parts)


_UNLOCKED_LOST: Final = _unlocked(Lost)


_INTEREST: Final = struct.Struct(">HB")
_INTEREST_FRAME: Final = struct.Struct(">BHHB")


@attrs.frozen(weakref_slot=False)
class Interest:
    """Whether the sender would request if it had credit.

    Bytes: `handle u16 | on u8`
    """

    TYPE: ClassVar[int] = 0x1C

    handle: int
    """The sender's number for the topic."""
    on: bool
    """1 if it would."""

    @classmethod
    def decode(cls, data: Buffer) -> Interest:
        """The message that fills `data` exactly (3 bytes). Raises `DecodeError`."""
        try:
            handle, on = _INTEREST.unpack(data)
        except struct.error:
            raise _wrong_size("Interest", len(data), handle=2, on=1) from None
        if on > 1:
            raise DecodeError("Interest", "on", on, "0..1", 2)
        message: Any = _UNLOCKED_INTEREST()
        message.handle = handle
        message.on = bool(on)
        message.__class__ = cls
        made: Interest = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if not 0 <= self.on <= 1:
            raise EncodeError("Interest", "on", self.on, "0..1")
        try:
            return _INTEREST_FRAME.pack(0x1C, 3, self.handle, self.on)
        except struct.error:
            raise _unpackable(self, handle=16, on=8) from None


_UNLOCKED_INTEREST: Final = _unlocked(Interest)


_CREDIT: Final = struct.Struct(">Q")
_CREDIT_FRAME: Final = struct.Struct(">BHQ")


@attrs.frozen(weakref_slot=False)
class Credit:
    """Total cost of requests that the receiver may ever spend on this link.

    Bytes: `blocks u64`
    """

    TYPE: ClassVar[int] = 0x1E

    blocks: int
    """The initial credit included, in blocks."""

    @classmethod
    def decode(cls, data: Buffer) -> Credit:
        """The message that fills `data` exactly (8 bytes). Raises `DecodeError`."""
        try:
            (blocks,) = _CREDIT.unpack(data)
        except struct.error:
            raise _wrong_size("Credit", len(data), blocks=8) from None
        message: Any = _UNLOCKED_CREDIT()
        message.blocks = blocks
        message.__class__ = cls
        made: Credit = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        try:
            return _CREDIT_FRAME.pack(0x1E, 8, self.blocks)
        except struct.error:
            raise _unpackable(self, blocks=64) from None


_UNLOCKED_CREDIT: Final = _unlocked(Credit)


_SUGGEST: Final = struct.Struct(">HHH")
_SUGGEST_FRAME: Final = struct.Struct(">BHHHH")


@attrs.frozen(weakref_slot=False)
class Suggest:
    """Units that are cheap to serve now.

    Bytes: `handle u16 | first u16 | last u16`
    """

    TYPE: ClassVar[int] = 0x1F

    handle: int
    """The sender's number for the topic."""
    first: int
    """First unit."""
    last: int
    """Last unit, included."""

    @classmethod
    def decode(cls, data: Buffer) -> Suggest:
        """The message that fills `data` exactly (6 bytes). Raises `DecodeError`."""
        try:
            handle, first, last = _SUGGEST.unpack(data)
        except struct.error:
            raise _wrong_size("Suggest", len(data), handle=2, first=2, last=2) from None
        if last < first:
            raise DecodeError("Suggest", "last", last, "at least first", 4)
        message: Any = _UNLOCKED_SUGGEST()
        message.handle = handle
        message.first = first
        message.last = last
        message.__class__ = cls
        made: Suggest = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if self.last < self.first:
            raise EncodeError("Suggest", "last", self.last, "at least first")
        try:
            return _SUGGEST_FRAME.pack(0x1F, 6, self.handle, self.first, self.last)
        except struct.error:
            raise _unpackable(self, handle=16, first=16, last=16) from None


_UNLOCKED_SUGGEST: Final = _unlocked(Suggest)


_REQUEST: Final = struct.Struct(">IHIIB")
_REQUEST_FRAME: Final = struct.Struct(">BHIHIIB")


@attrs.frozen(weakref_slot=False)
class Request:
    """Asks for 2^level blocks of one file.

    Bytes: `id u32 | handle u16 | file u32 | block u32 | level u8`
    """

    TYPE: ClassVar[int] = 0x20

    id: int
    """The requester's number for the request."""
    handle: int
    """The sender's number for the topic."""
    file: int
    """Index of the file in the manifest, 0 for a blob; 0xFFFFFFFF: the manifest itself."""
    block: int
    """First block; a multiple of 2^level."""
    level: int
    """Logarithm of the count of blocks (0..6)."""

    @classmethod
    def decode(cls, data: Buffer) -> Request:
        """The message that fills `data` exactly (15 bytes). Raises `DecodeError`."""
        try:
            id_, handle, file, block, level = _REQUEST.unpack(data)
        except struct.error:
            raise _wrong_size("Request", len(data), id=4, handle=2, file=4, block=4, level=1) from None
        if level > 6:
            raise DecodeError("Request", "level", level, "0..6", 14)
        if block & ((1 << level) - 1):
            raise DecodeError("Request", "block", block, "a multiple of 2^level", 10)
        message: Any = _UNLOCKED_REQUEST()
        message.id = id_
        message.handle = handle
        message.file = file
        message.block = block
        message.level = level
        message.__class__ = cls
        made: Request = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if not 0 <= self.level <= 6:
            raise EncodeError("Request", "level", self.level, "0..6")
        if self.block & ((1 << self.level) - 1):
            raise EncodeError("Request", "block", self.block, "a multiple of 2^level")
        try:
            return _REQUEST_FRAME.pack(0x20, 15, self.id, self.handle, self.file, self.block, self.level)
        except struct.error:
            raise _unpackable(self, id=32, handle=16, file=32, block=32, level=8) from None


_UNLOCKED_REQUEST: Final = _unlocked(Request)


_DATA: Final = struct.Struct(">IIB")
_DATA_FRAME: Final = struct.Struct(">BHIIB")


@attrs.frozen(weakref_slot=False)
class Data:
    """One block and its proof.

    Bytes: `id u32 | block u32 | proof_count u8 | proof[32] × proof_count | data (to the end)`
    """

    TYPE: ClassVar[int] = 0x22

    id: int
    """The requester's number for the request."""
    block: int
    """Number of the block."""
    proof: tuple[bytes, ...]
    """Sibling hashes, bottom-up (0..32 elements, 32 bytes each)."""
    data: Buffer = attrs.field(repr=_size)
    """The block's bytes (1..16384 bytes)."""

    @classmethod
    def decode(cls, data: Buffer) -> Data:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        try:
            id_, block, proof_count = _DATA.unpack_from(data)
        except struct.error:
            raise _truncated("Data", 0, len(data), id=4, block=4, proof_count=1) from None
        if proof_count > 32:
            raise DecodeError("Data", "proof_count", proof_count, "0..32", 8)
        end = 9 + 32 * proof_count
        if end > len(data):
            raise _truncated("Data", 9, len(data), proof=32 * proof_count)
        proof = struct.unpack_from("32s" * proof_count, data, 9)
        at = end
        if not 1 <= len(data) - at <= 16384:
            raise DecodeError("Data", "data", len(data) - at, "1..16384 bytes", at)
        data_ = memoryview(data)[at:]
        message: Any = _UNLOCKED_DATA()
        message.id = id_
        message.block = block
        message.proof = proof
        message.data = data_
        message.__class__ = cls
        made: Data = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if len(self.proof) > 32:
            raise EncodeError("Data", "proof", len(self.proof), "0..32 elements")
        if any(len(e) != 32 for e in self.proof):
            raise EncodeError("Data", "proof", self.proof, "of 32 bytes each")
        if not 1 <= len(self.data) <= 16384:
            raise EncodeError("Data", "data", len(self.data), "1..16384 bytes")
        try:
            parts: list[Buffer] = [
                _DATA_FRAME.pack(0x22, 9 + 32 * len(self.proof) + len(self.data), self.id, self.block, len(self.proof)),
                *self.proof,
                self.data,
            ]
        except struct.error:
            raise _unpackable(self, id=32, block=32) from None
        return b"".join(parts)


_UNLOCKED_DATA: Final = _unlocked(Data)


_REJECT: Final = struct.Struct(">IBH")
_REJECT_FRAME: Final = struct.Struct(">BHIBH")


@attrs.frozen(weakref_slot=False)
class Reject:
    """Ends a request without (more) data.

    Bytes: `id u32 | code u8 | retry u16`
    """

    TYPE: ClassVar[int] = 0x24

    id: int
    """The requester's number for the request."""
    code: int
    """Why (1..6; RejectCode)."""
    retry: int
    """Time to wait before a new request, in milliseconds."""

    @classmethod
    def decode(cls, data: Buffer) -> Reject:
        """The message that fills `data` exactly (7 bytes). Raises `DecodeError`."""
        try:
            id_, code, retry = _REJECT.unpack(data)
        except struct.error:
            raise _wrong_size("Reject", len(data), id=4, code=1, retry=2) from None
        if not 1 <= code <= 6:
            raise DecodeError("Reject", "code", code, "1..6", 4)
        if retry and code not in (2, 4):
            raise DecodeError("Reject", "retry", retry, "0 unless code is 2 or 4", 5)
        message: Any = _UNLOCKED_REJECT()
        message.id = id_
        message.code = code
        message.retry = retry
        message.__class__ = cls
        made: Reject = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        if not 1 <= self.code <= 6:
            raise EncodeError("Reject", "code", self.code, "1..6")
        if self.retry and self.code not in (2, 4):
            raise EncodeError("Reject", "retry", self.retry, "0 unless code is 2 or 4")
        try:
            return _REJECT_FRAME.pack(0x24, 7, self.id, self.code, self.retry)
        except struct.error:
            raise _unpackable(self, id=32, code=8, retry=16) from None


_UNLOCKED_REJECT: Final = _unlocked(Reject)


_CANCEL: Final = struct.Struct(">I")
_CANCEL_FRAME: Final = struct.Struct(">BHI")


@attrs.frozen(weakref_slot=False)
class Cancel:
    """The answer is no longer wanted.

    Bytes: `id u32`
    """

    TYPE: ClassVar[int] = 0x26

    id: int
    """The requester's number for the request."""

    @classmethod
    def decode(cls, data: Buffer) -> Cancel:
        """The message that fills `data` exactly (4 bytes). Raises `DecodeError`."""
        try:
            (id_,) = _CANCEL.unpack(data)
        except struct.error:
            raise _wrong_size("Cancel", len(data), id=4) from None
        message: Any = _UNLOCKED_CANCEL()
        message.id = id_
        message.__class__ = cls
        made: Cancel = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        try:
            return _CANCEL_FRAME.pack(0x26, 4, self.id)
        except struct.error:
            raise _unpackable(self, id=32) from None


_UNLOCKED_CANCEL: Final = _unlocked(Cancel)


_SHARED_RECORD: Final = struct.Struct(">BH")


@attrs.frozen(weakref_slot=False)
class SharedRecord:
    """A peer record and what the sender knows of it.

    Bytes: `flags u8 | record_length u16 | record[record_length]`
    """

    flags: int
    """Reserved bits are sent 0 and ignored (SharedRecordFlag)."""
    record: bytes
    """The peer record as its peer signed it (1..512 bytes)."""

    @classmethod
    def read(cls, data: Buffer, at: int = 0) -> tuple[SharedRecord, int]:
        """The message that begins at `at`, and where it ends. Raises `DecodeError`."""
        try:
            flags, record_length = _SHARED_RECORD.unpack_from(data, at)
        except struct.error:
            raise _truncated("SharedRecord", at, len(data), flags=1, record_length=2) from None
        if not 1 <= record_length <= 512:
            raise DecodeError("SharedRecord", "record_length", record_length, "1..512", at + 1)
        end = at + 3 + record_length
        if end > len(data):
            raise _truncated("SharedRecord", at + 3, len(data), record=record_length)
        record = bytes(data[at + 3 : end])
        message: Any = _UNLOCKED_SHARED_RECORD()
        message.flags = flags
        message.record = record
        message.__class__ = cls
        made: SharedRecord = message
        return made, end

    @classmethod
    def decode(cls, data: Buffer) -> SharedRecord:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        message, end = cls.read(data)
        if end != len(data):
            raise _trailing("SharedRecord", end, len(data))
        return message

    def _parts(self) -> list[Buffer]:
        if not 1 <= len(self.record) <= 512:
            raise EncodeError("SharedRecord", "record", len(self.record), "1..512 bytes")
        try:
            return [_SHARED_RECORD.pack(self.flags, len(self.record)), self.record]
        except struct.error:
            raise _unpackable(self, flags=8) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return b"".join(self._parts())


_UNLOCKED_SHARED_RECORD: Final = _unlocked(SharedRecord)


_PEERS: Final = struct.Struct(">HB")
_PEERS_DROPPED_COUNT: Final = struct.Struct(">B")


@attrs.frozen(weakref_slot=False)
class Peers:
    """Peer records added, and peers no longer vouched for.

    Bytes: `handle u16 | added_count u8 | added SharedRecord × added_count |
            dropped_count u8 | dropped[32] × dropped_count`
    """

    TYPE: ClassVar[int] = 0x30

    handle: int
    """The sender's number for the topic."""
    added: tuple[SharedRecord, ...]
    """Records that are new or newer (0..32 elements)."""
    dropped: tuple[bytes, ...]
    """Identities that the sender no longer vouches for (0..64 elements, 32 bytes each)."""

    @classmethod
    def decode(cls, data: Buffer) -> Peers:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        try:
            handle, added_count = _PEERS.unpack_from(data)
        except struct.error:
            raise _truncated("Peers", 0, len(data), handle=2, added_count=1) from None
        if added_count > 32:
            raise DecodeError("Peers", "added_count", added_count, "0..32", 2)
        at = 3
        added_list: list[SharedRecord] = []
        for _ in range(added_count):
            try:
                element, at = SharedRecord.read(data, at)
            except DecodeError as error:
                raise error.within("Peers", f"added[{len(added_list)}]") from None
            added_list.append(element)
        added = tuple(added_list)
        try:
            (dropped_count,) = _PEERS_DROPPED_COUNT.unpack_from(data, at)
        except struct.error:
            raise _truncated("Peers", at, len(data), dropped_count=1) from None
        if dropped_count > 64:
            raise DecodeError("Peers", "dropped_count", dropped_count, "0..64", at)
        end = at + 1 + 32 * dropped_count
        if end > len(data):
            raise _truncated("Peers", at + 1, len(data), dropped=32 * dropped_count)
        dropped = struct.unpack_from("32s" * dropped_count, data, at + 1)
        if not added and not dropped:
            raise DecodeError("Peers", "added", added, "not empty together with dropped", 3)
        if end != len(data):
            raise _trailing("Peers", end, len(data))
        message: Any = _UNLOCKED_PEERS()
        message.handle = handle
        message.added = added
        message.dropped = dropped
        message.__class__ = cls
        made: Peers = message
        return made

    def _parts(self) -> list[Buffer]:
        if len(self.added) > 32:
            raise EncodeError("Peers", "added", len(self.added), "0..32 elements")
        if len(self.dropped) > 64:
            raise EncodeError("Peers", "dropped", len(self.dropped), "0..64 elements")
        if any(len(e) != 32 for e in self.dropped):
            raise EncodeError("Peers", "dropped", self.dropped, "of 32 bytes each")
        if not self.added and not self.dropped:
            raise EncodeError("Peers", "added", self.added, "not empty together with dropped")
        try:
            return [
                _PEERS.pack(self.handle, len(self.added)),
                *[e.encode() for e in self.added],
                _PEERS_DROPPED_COUNT.pack(len(self.dropped)),
                *self.dropped,
            ]
        except struct.error:
            raise _unpackable(self, handle=16) from None

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        parts = self._parts()
        size = sum(map(len, parts))
        return b"".join((_FRAME_HEADER.pack(0x30, size), *parts))


_UNLOCKED_PEERS: Final = _unlocked(Peers)


_GET_PEERS: Final = struct.Struct(">HB")
_GET_PEERS_FRAME: Final = struct.Struct(">BHHB")


@attrs.frozen(weakref_slot=False)
class GetPeers:
    """Asks for PEERS.

    Bytes: `handle u16 | max u8`
    """

    TYPE: ClassVar[int] = 0x32

    handle: int
    """The sender's number for the topic."""
    max: int
    """Records wanted at most."""

    @classmethod
    def decode(cls, data: Buffer) -> GetPeers:
        """The message that fills `data` exactly (3 bytes). Raises `DecodeError`."""
        try:
            handle, max_ = _GET_PEERS.unpack(data)
        except struct.error:
            raise _wrong_size("GetPeers", len(data), handle=2, max=1) from None
        message: Any = _UNLOCKED_GET_PEERS()
        message.handle = handle
        message.max = max_
        message.__class__ = cls
        made: GetPeers = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return self.encode_frame()[3:]

    def encode_frame(self) -> bytes:
        """The whole frame: type, length and body. Raises `EncodeError`."""
        try:
            return _GET_PEERS_FRAME.pack(0x32, 3, self.handle, self.max)
        except struct.error:
            raise _unpackable(self, handle=16, max=8) from None


_UNLOCKED_GET_PEERS: Final = _unlocked(GetPeers)


_MANIFEST_HEADER: Final = struct.Struct(">5sI")


@attrs.frozen(weakref_slot=False)
class ManifestHeader:
    """Begins a manifest.

    Bytes: `50 32 50 4D 01 | count u32`
    """

    count: int
    """Entries that follow (0..2^20)."""

    @classmethod
    def decode(cls, data: Buffer) -> ManifestHeader:
        """The message that fills `data` exactly (9 bytes). Raises `DecodeError`."""
        try:
            magic, count = _MANIFEST_HEADER.unpack(data)
        except struct.error:
            raise _wrong_size("ManifestHeader", len(data), magic=5, count=4) from None
        if magic != b"P2PM\x01":
            raise DecodeError("ManifestHeader", "magic", magic, "50 32 50 4D 01", 0)
        if count > 1048576:
            raise DecodeError("ManifestHeader", "count", count, "0..2^20", 5)
        message: Any = _UNLOCKED_MANIFEST_HEADER()
        message.count = count
        message.__class__ = cls
        made: ManifestHeader = message
        return made

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        if not 0 <= self.count <= 1048576:
            raise EncodeError("ManifestHeader", "count", self.count, "0..2^20")
        try:
            return _MANIFEST_HEADER.pack(b"P2PM\x01", self.count)
        except struct.error:
            raise _unpackable(self, count=32) from None


_UNLOCKED_MANIFEST_HEADER: Final = _unlocked(ManifestHeader)


_MANIFEST_ENTRY: Final = struct.Struct(">BH")
_MANIFEST_ENTRY_LENGTH: Final = struct.Struct(">Q")
_MANIFEST_ENTRY_ROOT: Final = struct.Struct(">32s")


@attrs.frozen(weakref_slot=False)
class ManifestEntry:
    """One file or empty directory.

    Bytes: `type u8 | path_length u16 | path[path_length] | [length u64 unless type = 2] | [root[32] unless length = 0]`
    """

    type: int
    """What the entry is (0..2; EntryType)."""
    path: str
    """Where it lies below the folder, components parted by '/' (1..1024 bytes of UTF-8, at most 32 components of 1..255
    bytes, none '.' or '..', without control bytes and backslashes)."""
    length: int
    """Size of the file; not there for an empty directory, in bytes (0..2^46)."""
    root: bytes
    """Root of the file's tree; not there if the length is 0 (32 bytes)."""

    @classmethod
    def read(cls, data: Buffer, at: int = 0) -> tuple[ManifestEntry, int]:
        """The message that begins at `at`, and where it ends. Raises `DecodeError`."""
        try:
            type_, path_length = _MANIFEST_ENTRY.unpack_from(data, at)
        except struct.error:
            raise _truncated("ManifestEntry", at, len(data), type=1, path_length=2) from None
        if type_ > 2:
            raise DecodeError("ManifestEntry", "type", type_, "0..2", at)
        if not 1 <= path_length <= 1024:
            raise DecodeError("ManifestEntry", "path_length", path_length, "1..1024", at + 1)
        end = at + 3 + path_length
        if end > len(data):
            raise _truncated("ManifestEntry", at + 3, len(data), path=path_length)
        raw = bytes(data[at + 3 : end])
        try:
            path = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise DecodeError("ManifestEntry", "path", raw, "UTF-8", at + 3) from None
        if not _PATH.fullmatch(raw):
            raise DecodeError(
                "ManifestEntry",
                "path",
                path,
                "at most 32 components of 1..255 bytes, none '.' or '..', without control bytes and backslashes",
                at + 3,
            )
        at = end
        length = 0
        if type_ != 2:
            try:
                (length,) = _MANIFEST_ENTRY_LENGTH.unpack_from(data, at)
            except struct.error:
                raise _truncated("ManifestEntry", at, len(data), length=8) from None
            if length > 70368744177664:
                raise DecodeError("ManifestEntry", "length", length, "0..2^46", at)
            at += 8
        root = bytes(32)
        if length != 0:
            try:
                (root,) = _MANIFEST_ENTRY_ROOT.unpack_from(data, at)
            except struct.error:
                raise _truncated("ManifestEntry", at, len(data), root=32) from None
            at += 32
        message: Any = _UNLOCKED_MANIFEST_ENTRY()
        message.type = type_
        message.path = path
        message.length = length
        message.root = root
        message.__class__ = cls
        made: ManifestEntry = message
        return made, at

    @classmethod
    def decode(cls, data: Buffer) -> ManifestEntry:
        """The message that fills `data` exactly. Raises `DecodeError`."""
        message, end = cls.read(data)
        if end != len(data):
            raise _trailing("ManifestEntry", end, len(data))
        return message

    def _parts(self) -> list[Buffer]:
        if not 0 <= self.type <= 2:
            raise EncodeError("ManifestEntry", "type", self.type, "0..2")
        try:
            path_raw = self.path.encode("utf-8")
        except UnicodeEncodeError:
            raise EncodeError("ManifestEntry", "path", self.path, "Unicode text") from None
        if not 1 <= len(path_raw) <= 1024:
            raise EncodeError("ManifestEntry", "path", self.path, "1..1024 bytes of UTF-8")
        if not _PATH.fullmatch(path_raw):
            raise EncodeError(
                "ManifestEntry",
                "path",
                self.path,
                "at most 32 components of 1..255 bytes, none '.' or '..', without control bytes and backslashes",
            )
        try:
            parts: list[Buffer] = [_MANIFEST_ENTRY.pack(self.type, len(path_raw)), path_raw]
        except struct.error:
            raise _unpackable(self, type=8) from None
        if self.type == 2:
            if self.length != 0:
                raise EncodeError("ManifestEntry", "length", self.length, "0 if type is 2")
        else:
            if not 0 <= self.length <= 70368744177664:
                raise EncodeError("ManifestEntry", "length", self.length, "0..2^46")
            try:
                parts.append(_MANIFEST_ENTRY_LENGTH.pack(self.length))
            except struct.error:
                raise _unpackable(self, length=64) from None
        if self.length == 0:
            if self.root != bytes(32):
                raise EncodeError("ManifestEntry", "root", self.root, "zero bytes if length is 0")
        else:
            if len(self.root) != 32:
                raise EncodeError("ManifestEntry", "root", self.root, "32 bytes")
            try:
                parts.append(_MANIFEST_ENTRY_ROOT.pack(self.root))
            except struct.error:
                raise _unpackable(self, root=0) from None
        return parts

    def encode(self) -> bytes:
        """The message's bytes. Raises `EncodeError`."""
        return b"".join(self._parts())


_UNLOCKED_MANIFEST_ENTRY: Final = _unlocked(ManifestEntry)


Frame: TypeAlias = (
    Hello
    | Pad
    | Close
    | Ping
    | Pong
    | Join
    | Refuse
    | Leave
    | Object
    | Have
    | Lost
    | Interest
    | Credit
    | Suggest
    | Request
    | Data
    | Reject
    | Cancel
    | Peers
    | GetPeers
)
"""The body of any frame."""

FRAMES: Final[Mapping[int, type[Frame]]] = MappingProxyType(
    {
        0x00: Hello,
        0x01: Pad,
        0x02: Close,
        0x04: Ping,
        0x06: Pong,
        0x10: Join,
        0x12: Refuse,
        0x14: Leave,
        0x16: Object,
        0x18: Have,
        0x1A: Lost,
        0x1C: Interest,
        0x1E: Credit,
        0x1F: Suggest,
        0x20: Request,
        0x22: Data,
        0x24: Reject,
        0x26: Cancel,
        0x30: Peers,
        0x32: GetPeers,
    }
)
"""The class of each frame type."""

PreambleBody: TypeAlias = InitiatorPreamble | ResponderPreamble | Refusal
"""The body of any preamble."""

PREAMBLES: Final[Mapping[int, type[PreambleBody]]] = MappingProxyType(
    {
        0x01: InitiatorPreamble,
        0x02: ResponderPreamble,
        0x03: Refusal,
    }
)
"""The class of each kind of preamble."""

HelloValue: TypeAlias = Agent | Address | Extensions
"""The value of any known parameter of HELLO."""

HELLO_VALUES: Final[Mapping[int, type[HelloValue]]] = MappingProxyType(
    {
        0x01: Agent,
        0x03: Address,
        0x04: Extensions,
    }
)
"""The parameters of HELLO that have to be well-formed."""

_DECODERS: Final[Mapping[int, Callable[[Buffer], Frame]]] = {number: frame.decode for number, frame in FRAMES.items()}


def decode_frame(frame_type: int, body: Buffer) -> Frame:
    """The frame of a type that is in FRAMES, from its body. Raises `DecodeError`."""
    return _DECODERS[frame_type](body)


_COPIED: Final = 256


def decode_frames(plaintext: Buffer) -> list[Frame]:
    """The frames that a record holds; those of types that are not in FRAMES are passed over. Raises `DecodeError`, also
    where no whole frame is left.
    """
    frames: list[Frame] = []
    data = bytes(plaintext)
    at, size = 0, len(data)
    while at < size:
        begin = at + 3
        if begin > size:
            raise _truncated("FrameHeader", at, size, type=1, length=2)
        end = begin + (data[at + 1] << 8 | data[at + 2])
        if end > size:
            raise DecodeError("FrameHeader", "length", end - begin, f"0..{size - begin}", at + 1)
        body = data[begin:end] if end - begin <= _COPIED else memoryview(data)[begin:end]
        decode = _DECODERS.get(data[at])
        frame = None if decode is None else decode(body)
        if frame is not None:
            frames.append(frame)
        at = end
    return frames


def encode_frames(frames: Iterable[Frame]) -> bytes:
    """The bytes of frames, one after the other, as a record holds them. Raises `EncodeError`."""
    return b"".join([frame.encode_frame() for frame in frames])


def encode_preamble(body: PreambleBody) -> bytes:
    """The whole preamble: header and body. Raises `EncodeError`."""
    data = body.encode()
    return PreambleHeader(body.KIND, len(data)).encode() + data
