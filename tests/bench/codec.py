"""Messages to bytes and back: p2pwire's generated codec, message by message and in a stream, against other codecs.

A stream is what a record's plaintext is to a connection: frames one after another in one buffer. The others get the
same number of messages with a body of 32 bytes, which is about what p2pwire's small frames have.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import attrs

from p2pwire.wire import messages as msg
from p2pwire.wire.registry import NO_FRAME_TYPE
from tests.bench import rivals
from tests.bench.machine import compiled
from tests.bench.run import Case, Run, repeated
from tests.wire.oracle import SCHEMA, plain

HASH: Final = bytes(range(32))

FRAMES: Final[Sequence[Any]] = (
    msg.Ping(b"12345678"),
    msg.Pong(b"12345678"),
    msg.Join(1, 0, HASH, HASH),
    msg.Refuse(1, 0),
    msg.Leave(1),
    msg.Object(1, 0, 5, HASH),
    msg.Have(1, (msg.Span(4, 5),)),
    msg.Lost(1, (msg.Span(4, 5),)),
    msg.Interest(1, True),
    msg.Credit(128),
    msg.Suggest(1, 2, 3),
    msg.Request(1, 2, 3, 64, 6),
    msg.Data(1, 2, (HASH,) * 3, bytes(16384)),
    msg.Reject(1, 2, 500),
    msg.Cancel(1),
    msg.Peers(1, (msg.SharedRecord(0, bytes(200)),), (HASH,)),
    msg.GetPeers(1, 20),
    msg.Pad(bytes(32)),
    msg.Close(0, NO_FRAME_TYPE, "bye"),
)
"""One of each that a link says after HELLO."""

SMALL: Final = tuple(frame for frame in FRAMES if len(frame.encode()) <= 80)
"""Those that come in great numbers; DATA and PEERS are as large as what they carry."""

COUNT: Final = 2000
"""messages of a stream."""

RECORD: Final = 100
"""small messages of a record, which is encoded or decoded by one call."""

BODY: Final = os.urandom(32)


# --- by hand ---


class OutOfRange(ValueError):
    """A field is not what it may be."""


@attrs.frozen
class Request:
    """What `msg.Request` is, written by hand."""

    id: int
    handle: int
    file: int
    block: int
    level: int


@attrs.define
class MutableRequest:
    """The same without protection from change, which makes a new one cost a third."""

    id: int
    handle: int
    file: int
    block: int
    level: int


_BODY: Final = struct.Struct(">IHIIB")
_FRAME: Final = struct.Struct(">BHIHIIB")


def _request(data: memoryview, kind: type[Request] | type[MutableRequest]) -> Request | MutableRequest:
    if len(data) != _BODY.size:
        raise OutOfRange(f"{len(data)} bytes")
    id_, handle, file, block, level = _BODY.unpack(data)
    if level > 6:
        raise OutOfRange(f"level {level}")
    if block & ((1 << level) - 1):
        raise OutOfRange(f"block {block}")
    return kind(id_, handle, file, block, level)


def decode_by_hand(kind: type[Request] | type[MutableRequest], stream: bytes) -> int:
    """The loop that one would write for one message: split, look up, check, make."""
    plain = memoryview(stream)
    size, at, found = len(plain), 0, 0
    handlers = {msg.Request.TYPE: _request}
    while at < size:
        body = at + 3
        end = body + (plain[at + 1] << 8 | plain[at + 2])
        if end > size:
            raise OutOfRange(f"a frame ends at {end}")
        handlers[plain[at]](plain[body:end], kind)
        found += 1
        at = end
    return found


def encode_by_hand(requests: Sequence[Request]) -> int:
    """The same the other way."""
    made = []
    for each in requests:
        if not 0 <= each.level <= 6:
            raise OutOfRange(f"level {each.level}")
        if each.block & ((1 << each.level) - 1):
            raise OutOfRange(f"block {each.block}")
        made.append(_FRAME.pack(msg.Request.TYPE, 15, each.id, each.handle, each.file, each.block, each.level))
    b"".join(made)
    return len(made)


# --- ours ---


def decode_records(records: Sequence[bytes]) -> int:
    """All frames of each record, dropped before those of the next, as the others' events are."""
    return sum([len(msg.decode_frames(record)) for record in records])


def encode_records(records: Sequence[Sequence[Any]]) -> int:
    """The same the other way."""
    for frames in records:
        msg.encode_frames(frames)
    return sum(map(len, records))


# --- the bench ---


def measure(run: Run) -> None:
    """Streams of small messages, then each message by itself."""
    measure_streams(run)
    measure_messages(run)


def measure_streams(run: Run) -> None:
    """p2pwire, the loop by hand, and other codecs, in thousands of messages a second."""
    count = 100 if run.quick else COUNT
    mixed = [SMALL[number % len(SMALL)] for number in range(count)]
    requests = [msg.Request(number, 2, 3, 64, 6) for number in range(count)]
    by_hand = [Request(number, 2, 3, 64, 6) for number in range(count)]
    said = {name: [frames[at : at + RECORD] for at in range(0, count, RECORD)]
            for name, frames in (("small", mixed), ("request", requests))}  # fmt: skip
    heard = {name: [msg.encode_frames(frames) for frames in records] for name, records in said.items()}
    stream = b"".join(heard["request"])
    works: dict[str, Callable[[], int]] = {
        "small frames, decode": partial(decode_records, heard["small"]),
        "small frames, encode": partial(encode_records, said["small"]),
        "Request frames, decode": partial(decode_records, heard["request"]),
        "Request frames, encode": partial(encode_records, said["request"]),
        "hand-written loop, decode": partial(decode_by_hand, Request, stream),
        "hand-written loop with mutable classes, decode": partial(decode_by_hand, MutableRequest, stream),
        "hand-written loop, encode": partial(encode_by_hand, by_hand),
    }
    cases: dict[str, Case] = {name: run.rate(partial(_same, work)) for name, work in works.items()}
    names: dict[str, str] = {}
    for rival, flow in {
        "h11": rivals.h11_flow,
        "h11r": rivals.h11r_flow,
        "h2": rivals.h2_flow,
        "wsproto": rivals.wsproto_flow,
    }.items():
        for way, prepare in (("encode", _encoding), ("decode", _decoding)):
            cases[f"{rival}, {way}"] = run.rate(partial(prepare, flow, count))
            names[f"{rival}, {way}"] = rival
    samples = run.interleave(cases, names)
    for name, found in samples.items():
        way = name.rpartition(", ")[2]
        against: list[str] = []
        if name.startswith("small"):
            against = [f"codec/{rival}, {way}" for rival in ("h11", "h2", "wsproto", "h11r")]
        elif name.startswith("Request"):
            against = [f"codec/hand-written loop{kind}, {way}" for kind in ("", " with mutable classes")]
            against.append(f"codec/h11r, {way}")
        note = "compiled" if against and compiled() else ""
        run.add(f"codec/{name}", "thousand/s", [value / 1000 for value in found], against=against, note=note)


def _same(work: Callable[[], int]) -> Callable[[], int]:
    return work


def _encoding(flow: Callable[[bytes, int], rivals.Flow], count: int) -> Callable[[], int]:
    encode, _ = flow(BODY, count)

    def work() -> int:
        encode()
        return count

    return work


def _decoding(flow: Callable[[bytes, int], rivals.Flow], count: int) -> Callable[[], int]:
    encode, decode = flow(BODY, count)
    wire = encode()

    def work() -> int:
        if (found := decode(wire)) != count:
            raise ValueError(f"{found} of {count} messages were decoded")
        return found

    return work


def measure_messages(run: Run) -> None:
    """Each message against construct, which interprets the schema that the codec is generated from."""
    for frame in FRAMES:
        name = type(frame).__name__
        raw, value, schema = frame.encode(), plain(frame), SCHEMA[name]
        times = 5 if run.quick else 200
        works: dict[str, Callable[[], object]] = {
            f"{name}, decode": partial(type(frame).decode, raw),
            f"{name}, encode": frame.encode,
            f"construct {name}, decode": partial(schema.parse, raw),
            f"construct {name}, encode": partial(schema.build, value),
        }
        cases = {key: run.rate(repeated(work, times)) for key, work in works.items()}
        for key, found in run.interleave(cases).items():
            against = () if key.startswith("construct") else (f"codec/construct {key}",)
            run.add(f"codec/{key}", "thousand/s", [each / 1000 for each in found], against=against)
