"""What bytes of a log mean: which field of which frame, preamble or message each of them belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from p2pwire_conformance.link import Line
from p2pwire_conformance.message import Malformed, decode
from p2pwire_conformance.protocol import constant, protocol

LENGTH_SIZE = 2
"""bytes before a handshake message."""


@dataclass(frozen=True)
class Part:
    """Some bytes that belong together."""

    offset: int
    data: bytes
    name: str
    note: str = ""


def parts(line: Line) -> list[Part]:
    """What the bytes of a line of the log are. Bytes that are not understood are one part without a name."""
    data = line.data
    if not data:
        return []
    magic = bytes.fromhex(constant("MAGIC"))
    if data.startswith(magic) and len(data) >= constant("PREAMBLE_HEADER"):
        return list(_preamble(data, len(magic)))
    if line.text.startswith("record:") or (line.direction == "←" and not line.text.startswith("message")):
        return list(_frames(data))
    return [Part(0, data, "")]


def _preamble(data: bytes, magic: int) -> Iterator[Part]:
    kind, head = data[magic], constant("PREAMBLE_HEADER")
    size = int.from_bytes(data[magic + 1 : head], "big")
    yield Part(0, data[:magic], "magic")
    yield Part(magic, data[magic : magic + 1], "kind", f"{kind}")
    yield Part(magic + 1, data[magic + 1 : head], "length", f"{size}")
    names = [name for name, layout in protocol().layouts.items() if layout.preamble_kind == kind]
    body = data[head : head + size]
    yield from _message(names[0] if names else "", body, head)
    at = head + size
    if len(data) > at + LENGTH_SIZE:
        length = int.from_bytes(data[at : at + LENGTH_SIZE], "big")
        yield Part(at, data[at : at + LENGTH_SIZE], "message length", f"{length}")
        yield Part(at + LENGTH_SIZE, data[at + LENGTH_SIZE :], "handshake message")
    elif len(data) > at:
        yield Part(at, data[at:], "", "cut")


def _frames(data: bytes) -> Iterator[Part]:
    at = 0
    while at < len(data):
        if len(data) < at + 3:
            yield Part(at, data[at:], "", "no whole frame header")
            return
        kind, size = data[at], int.from_bytes(data[at + 1 : at + 3], "big")
        yield Part(at, data[at : at + 1], "frame type", protocol().frame_name(kind))
        body = data[at + 3 : at + 3 + size]
        cut = "" if len(body) == size else f", and {len(body)} are there"
        yield Part(at + 1, data[at + 1 : at + 3], "frame length", f"{size}{cut}")
        layout = protocol().by_type.get(kind)
        yield from _message("" if layout is None else layout.name, body, at + 3)
        at += 3 + size


def _message(name: str, body: bytes, offset: int) -> Iterator[Part]:
    if not body:
        return
    try:
        tree = decode(name, body) if name else None
    except Malformed as error:
        yield Part(offset, body, name, str(error))
        return
    if tree is None:
        yield Part(offset, body, "body", "of an unknown type")
        return
    for piece in tree.pieces(offset):
        if piece.data:
            note = f"{int.from_bytes(piece.data, 'big')}" if len(piece.data) <= 4 else _text(piece.data)
            yield Part(piece.offset, piece.data, piece.path, note)


def _text(data: bytes) -> str:
    """Bytes as text, if that is what they are."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return repr(text) if text.isprintable() and len(text) <= 64 else ""
