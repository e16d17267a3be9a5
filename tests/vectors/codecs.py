"""The codec of the reference as a judge, and its connection as a judge of what a malformed frame costs."""

from __future__ import annotations

from typing import Any

import attrs

from p2pwire.wire import messages
from p2pwire.wire.messages import DecodeError

from .links import established, silent_responder
from .reading import Json, Verdict


def plain(value: Any) -> Json:
    """A decoded value as the vectors write it."""
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return value if isinstance(value, str) else int(value)


def judge_message(given: Json) -> Verdict:
    """Families codec and reject."""
    data = bytes.fromhex(given["bytes"])
    kind = getattr(messages, given["message"])
    try:
        found = kind.decode(data)
    except DecodeError:
        return Verdict(False, outcome=_cost(kind, data))
    assert found.encode() == data, "it is written in another way than it is read"
    return Verdict(True, {"value": plain(found)})


def _cost(kind: Any, data: bytes) -> str | None:
    """What the connection does on what the codec does not take."""
    if kind is messages.InitiatorPreamble:
        return silent_responder(data)
    frame_type = getattr(kind, "TYPE", None)
    if frame_type is None or len(data) > 65516:
        return None
    frame = bytes((frame_type,)) + len(data).to_bytes(2, "big") + data
    if kind is messages.Hello:
        return established(hello=False).outcome_of(frame)
    return established().outcome_of(frame)
