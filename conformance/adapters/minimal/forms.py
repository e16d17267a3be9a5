"""What the bodies of frames look like: readers that raise `MalformedError` where a layout of SPEC.md is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

HELLO, CLOSE, PING, PONG, JOIN, REFUSE, LEAVE, CREDIT, REQUEST, DATA, REJECT, CANCEL = (
    0x00, 0x02, 0x04, 0x06, 0x10, 0x12, 0x14, 0x1E, 0x20, 0x22, 0x24, 0x26,
)  # fmt: skip
NEEDS_TOPIC: Final = frozenset([0x16, 0x18, 0x1A, 0x1C, 0x1F, 0x30, 0x32])
"""Frames that name a handle of their sender, REQUEST apart."""
UNCOUNTED: Final = frozenset([HELLO, CLOSE, REQUEST, DATA, REJECT])
"""Frames that the control budget exempts where no topic is open, PONG apart."""


class MalformedError(Exception):
    """Bytes without the layout that they have to have."""


def need(condition: bool) -> None:
    """Raises `MalformedError` unless it holds."""
    if not condition:
        raise MalformedError


class Reader:
    """Reads fields from the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        need(self.at + size <= len(self.data))
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int, least: int = 0, most: int = 1 << 64) -> int:
        """The next integer of so many bytes."""
        value = int.from_bytes(self.take(size), "big")
        need(least <= value <= most)
        return value

    @property
    def left(self) -> int:
        """Bytes that are not read yet."""
        return len(self.data) - self.at


def grease(value: int) -> bool:
    """Whether a version or suite never gets a meaning."""
    return value & 0x0F0F == 0x0A0A


def text(data: bytes, most: int) -> None:
    """Raises `MalformedError` unless it is UTF-8 without control characters."""
    need(len(data) <= most)
    try:
        need(not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in data.decode()))
    except UnicodeDecodeError:
        raise MalformedError from None


def parameters(body: Reader, size_of_length: int) -> dict[int, bytes]:
    """Tagged values to the end, by strictly ascending tag."""
    found: dict[int, bytes] = {}
    while body.left:
        tag = body.number(1)
        need(not found or tag > max(found))
        found[tag] = body.take(body.number(size_of_length))
    return found


def numbers(body: Reader) -> list[int]:
    """1 to 16 versions or suites, none twice."""
    found = [body.number(2) for _ in range(body.number(1, 1, 16))]
    need(len(set(found)) == len(found))
    return found


def hello_form(body: Reader) -> None:
    """Raises `MalformedError` unless it is that of HELLO."""
    body.number(2, 1, 1024), body.number(2, 1, 1024), body.number(2, 30, 600)
    found = parameters(body, 2)
    text(found.get(1, b""), 64)
    if 3 in found:
        address = Reader(found[3])
        kind, size = address.number(1), address.number(1)
        address.take(size)
        need(not address.left and size == {1: 6, 2: 18, 3: 32, 4: 34, 5: 32}.get(kind, size))
    entries, names, used = Reader(found.get(4, b"")), set(), set[int]()
    while entries.left:
        name = entries.take(entries.number(1, 1, 32))
        need(name not in names and not set(name) - set(b"abcdefghijklmnopqrstuvwxyz0123456789./-"))
        names.add(name)
        base = entries.number(1, 0x80)
        types = set(range(base, base + entries.number(1, 1, 16)))
        need(max(types) <= 0xFE and not types & used and len(names) <= 24)
        used |= types
        entries.take(entries.number(1))


def close_form(body: Reader) -> None:
    """Raises `MalformedError` unless it is that of CLOSE."""
    body.number(2), body.number(1)
    text(body.take(body.left), 256)


def spans_form(body: Reader) -> None:
    """Raises `MalformedError` unless it is that of HAVE or LOST."""
    body.number(2)
    before = -1
    for _ in range(body.number(2, 1, 16378)):
        before = body.number(2, body.number(2, before + 1))


def request_form(body: Reader) -> None:
    """Raises `MalformedError` unless it is that of REQUEST."""
    body.take(10)
    block, level = body.number(4), body.number(1, 0, 6)
    need(block % (1 << level) == 0)


def data_form(body: Reader) -> None:
    """Raises `MalformedError` unless it is that of DATA."""
    body.take(8)
    body.take(32 * body.number(1, 0, 32))
    need(1 <= body.left <= 16384)
    body.take(body.left)


def reject_form(body: Reader) -> None:
    """Raises `MalformedError` unless it is that of REJECT."""
    body.take(4)
    code, retry = body.number(1, 1, 6), body.number(2)
    need(retry == 0 or code in (2, 4))


def peers_form(body: Reader) -> None:
    """Raises `MalformedError` unless it is that of PEERS."""
    body.take(2)
    added = body.number(1, 0, 32)
    for _ in range(added):
        body.take(1)
        body.take(body.number(2, 1, 512))
    dropped = body.number(1, 0, 64)
    body.take(32 * dropped)
    need(added + dropped > 0)


def fixed(size: int) -> Callable[[Reader], object]:
    """Any bytes, so many."""
    return lambda body: body.take(size)


FORMS: Final[dict[int, Callable[[Reader], object]]] = {
    HELLO: hello_form, 0x01: lambda body: body.take(body.left), CLOSE: close_form, PING: fixed(8), PONG: fixed(8),
    JOIN: fixed(67), REFUSE: lambda body: (body.take(2), body.number(1, 0, 0)), LEAVE: fixed(2),
    0x16: lambda body: (body.take(3), body.number(8, 0, 1 << 46), body.take(32)), 0x18: spans_form, 0x1A: spans_form,
    0x1C: lambda body: (body.take(2), body.number(1, 0, 1)), CREDIT: fixed(8),
    0x1F: lambda body: (body.take(2), body.number(2, body.number(2))), REQUEST: request_form, DATA: data_form,
    REJECT: reject_form, CANCEL: fixed(4), 0x30: peers_form, 0x32: fixed(3),
}  # fmt: skip
"""Frame type -> what reads its body and raises `MalformedError` where it is none."""
