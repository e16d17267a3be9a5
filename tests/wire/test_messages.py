"""Messages byte by byte, and what their errors say."""

from __future__ import annotations

import ast
import copy
import pickle
import struct
from pathlib import Path
from typing import Any

import attrs
import pytest

from p2pwire.wire import messages as msg
from p2pwire.wire.registry import FrameType, HelloTag, PreambleKind

KEY = bytes(range(32))
SIGNATURE = bytes(range(64))

VECTORS: list[tuple[Any, str]] = [
    (msg.PreambleHeader(2, 4), "89503250570d0a1a 02 0004"),
    (
        msg.InitiatorPreamble((1, 0x1A2A), (2, 1), 1, (msg.Parameter(0x2B, b"x"),)),
        "02 0001 1a2a 02 0002 0001 0001 2b 01 78",
    ),
    (msg.ResponderPreamble(1, 1, ()), "0001 0001"),
    (msg.Refusal(3, (1,), (1, 2)), "03 01 0001 02 0001 0002"),
    (msg.HandshakeHeader(194), "00c2"),
    (msg.HandshakePayload(KEY, SIGNATURE, ()), KEY.hex() + SIGNATURE.hex()),
    (msg.RecordHeader(17), "0011"),
    (msg.FrameHeader(0x20, 15), "20 000f"),
    (
        msg.PeerRecord(1, KEY, 1_700_000_000, 3600, 0, (msg.Address(1, b"\x7f\0\0\1\x1f\x90"),), SIGNATURE),
        "01" + KEY.hex() + "000000006553f100 00000e10 00 01 01 06 7f0000011f90" + SIGNATURE.hex(),
    ),
    (msg.Agent("p2pwire é"), "7032707769726520c3a9"),
    (
        msg.Extensions((msg.Extension("relay/1", 0x80, 2, b""), msg.Extension("a.b/2", 0x82, 1, b"!"))),
        "07 72656c61792f31 80 02 00 05 612e622f32 82 01 01 21",
    ),
    (msg.Hello(1024, 64, 150, (msg.HelloParameter(1, b"x"),)), "0400 0040 0096 01 0001 78"),
    (msg.Pad(b"\0\1"), "0001"),
    (msg.Close(2, 0xFF, "why"), "0002 ff 776879"),
    (msg.Ping(b"12345678"), "3132333435363738"),
    (msg.Pong(b"12345678"), "3132333435363738"),
    (msg.Join(1, 5, KEY, KEY), "0001 05" + KEY.hex() + KEY.hex()),
    (msg.Refuse(2, 0), "0002 00"),
    (msg.Leave(3), "0003"),
    (msg.Object(4, 1, 2**46, KEY), "0004 01 0000400000000000" + KEY.hex()),
    (msg.Have(5, (msg.Span(0, 1), msg.Span(2, 65535))), "0005 0002 0000 0001 0002 ffff"),
    (msg.Lost(5, (msg.Span(7, 7),)), "0005 0001 0007 0007"),
    (msg.Interest(6, True), "0006 01"),
    (msg.Credit(128), "0000000000000080"),
    (msg.Suggest(7, 1, 2), "0007 0001 0002"),
    (msg.Request(9, 1, 0xFFFFFFFF, 64, 6), "00000009 0001 ffffffff 00000040 06"),
    (msg.Data(9, 64, (KEY,), b"abc"), "00000009 00000040 01" + KEY.hex() + "616263"),
    (msg.Reject(9, 2, 500), "00000009 02 01f4"),
    (msg.Cancel(9), "00000009"),
    (msg.Peers(1, (msg.SharedRecord(1, b"rec"),), (KEY,)), "0001 01 01 0003 726563 01" + KEY.hex()),
    (msg.GetPeers(1, 32), "0001 20"),
    (msg.ManifestHeader(3), "5032504d01 00000003"),
    (msg.ManifestEntry(1, "bin/é", 5, KEY), "01 0006 62696e2fc3a9 0000000000000005" + KEY.hex()),
    (msg.ManifestEntry(0, "e", 0, bytes(32)), "00 0001 65 0000000000000000"),
    (msg.ManifestEntry(2, "d", 0, bytes(32)), "02 0001 64"),
]


@pytest.mark.parametrize(("message", "text"), VECTORS, ids=lambda value: type(value).__name__)
def test_bytes_are_as_the_specification_lays_them_out(message: Any, text: str) -> None:
    raw = bytes.fromhex(text)
    assert message.encode() == raw
    assert type(message).decode(raw) == message


def test_every_class_has_a_vector() -> None:
    nested = {"Parameter", "Address", "HelloParameter", "Extension", "Span", "SharedRecord"}
    classes = {name for name, value in vars(msg).items() if isinstance(value, type) and attrs.has(value)}
    assert {type(message).__name__ for message, _ in VECTORS} | nested == classes


FAULTS: list[tuple[Any, str, str, object, str, int]] = [
    (msg.PreambleHeader, "88503250570d0a1a 01 0004", "magic", bytes.fromhex("88503250570d0a1a"), "89 50 32", 0),
    (msg.PreambleHeader, "89503250570d0a1a 04 0004", "kind", 4, "1..3", 8),
    (msg.PreambleHeader, "89503250570d0a1a 01 0201", "length", 513, "4..512", 9),
    (msg.InitiatorPreamble, "00 01 0001 0001", "versions_count", 0, "1..16", 0),
    (msg.InitiatorPreamble, "02 0001 0001 01 0001 0001", "versions", (1, 1), "without duplicates", 1),
    (msg.InitiatorPreamble, "01 0001 01 0001 0002", "key_suite", 2, "one of suites", 6),
    (msg.InitiatorPreamble, "01 0001 01 0a0a 0a0a", "key_suite", 0x0A0A, "no GREASE value", 6),
    (msg.InitiatorPreamble, "01 0001 01 0001 0001 02 00 01 00", "parameters", None, "ascending", 8),
    (msg.InitiatorPreamble, "01 0001 01 0001 0001 02 02 aa", "parameters[0].value", 1, "2 bytes", 10),
    (msg.ResponderPreamble, "0001 0a0a", "suite", 0x0A0A, "no GREASE value", 2),
    (msg.PeerRecord, "02" + bytes(110).hex(), "version", 2, "1", 0),
    (msg.PeerRecord, bytes(513).hex(), "", 513, "111..512 bytes", 0),
    (msg.Address, "01 05 0000000000", "value", bytes(5), "as long as type says", 2),
    (msg.Agent, "41 1b", "name", "A\x1b", "without control characters", 0),
    (msg.Agent, "41 ff", "name", b"A\xff", "UTF-8", 0),
    (msg.Agent, "c2 9b", "name", "\x9b", "without control characters", 0),
    (msg.Extension, "01 41 80 01 00", "name", "A", "of the characters", 1),
    (msg.Extension, "01 61 fe 02 00", "base", 0xFE, "such that", 2),
    (msg.Extensions, "01 61 80 02 00 01 62 81 01 00", "entries", None, "frame types disjoint", 0),
    (msg.Extensions, "01 61 80 01 00 01 61 81 01 00", "entries", None, "unique by name", 0),
    (msg.Hello, "0000 0001 001e", "max_requests", 0, "1..1024", 0),
    (msg.Hello, "0001 0001 001d", "idle", 29, "30..600", 4),
    (msg.Hello, "0001 0001 001e 01 0002 411b", "parameters[0].value.name", "A\x1b", "without control", 9),
    (msg.Hello, "0001 0001 001e 03 0001 01", "parameters[0].value.value_length", 0, "1 bytes", 10),
    (msg.Refuse, "0001 01", "code", 1, "0", 2),
    (msg.Have, "0001 0000", "spans_count", 0, "1..16378", 2),
    (msg.Have, "0001 0001 0002 0001", "spans[0].last", 1, "at least first", 4),
    (msg.Have, "0001 0002 0001 0002 0002 0003", "spans", None, "ascending and disjoint", 4),
    (msg.Interest, "0001 02", "on", 2, "0..1", 2),
    (msg.Object, "0001 00 0000400000000001" + KEY.hex(), "length", 2**46 + 1, "0..2^46", 3),
    (msg.Request, bytes(14).hex() + "07", "level", 7, "0..6", 14),
    (msg.Request, bytes(10).hex() + "00000002 02", "block", 2, "a multiple of 2^level", 10),
    (msg.Data, bytes(8).hex() + "21", "proof_count", 33, "0..32", 8),
    (msg.Data, bytes(8).hex() + "00", "data", 0, "1..16384 bytes", 9),
    (msg.Data, bytes(9 + 16385).hex(), "data", 16385, "1..16384 bytes", 9),
    (msg.Reject, "00000000 07 0000", "code", 7, "1..6", 4),
    (msg.Reject, "00000000 01 0001", "retry", 1, "0 unless code is 2 or 4", 5),
    (msg.Peers, "0001 00 00", "added", (), "not empty together with dropped", 3),
    (msg.Peers, "0001 01 00 0201", "added[0].record_length", 513, "1..512", 4),
    (msg.ManifestEntry, "03 0001 61", "type", 3, "0..2", 0),
    (msg.ManifestEntry, "02 0002 2e2e", "path", "..", "none '.' or '..'", 3),
]


@pytest.mark.parametrize(("kind", "text", "field", "value", "limit", "offset"), FAULTS)
def test_errors_name_field_value_limit_and_place(
    kind: Any, text: str, field: str, value: object, limit: str, offset: int
) -> None:
    with pytest.raises(msg.DecodeError) as caught:
        kind.decode(bytes.fromhex(text))
    error = caught.value
    assert error.message == kind.__name__
    assert error.field == field
    assert value is None or error.value == value
    assert limit in error.limit
    assert error.offset == offset
    assert f"{kind.__name__}{'.' if field else ''}{field} at byte {offset} is " in str(error)


def test_short_and_long_bodies_say_so() -> None:
    with pytest.raises(msg.TruncatedError) as short:
        msg.Join.decode(bytes(40))
    assert (short.value.field, short.value.offset) == ("cap", 35)
    with pytest.raises(msg.DecodeError, match="is 68, must be 67 bytes") as long:
        msg.Join.decode(bytes(68))
    assert not isinstance(long.value, msg.TruncatedError)
    assert long.value.offset == 67


@pytest.mark.parametrize(
    ("message", "field", "limit"),
    [
        (msg.Request(2**32, 0, 0, 0, 0), "id", "0..4294967295"),
        (msg.Request(0, 0, 0, 1, 1), "block", "a multiple of 2^level"),
        (msg.Request(0, -1, 0, 0, 0), "handle", "0..65535"),
        (msg.Ping(b"1234567"), "data", "8 bytes"),
        (msg.Credit(2**64), "blocks", "0..18446744073709551615"),
        (msg.Close(0, 0xFF, "\x07"), "detail", "without control characters"),
        (msg.Close(0, 0xFF, "\ud800"), "detail", "Unicode text"),
        (msg.Close(0, 0xFF, "é" * 129), "detail", "0..256 bytes of UTF-8"),
        (msg.Hello(1, 1, 30, (msg.HelloParameter(1, b"\x07"),)), "parameters", "valid: Agent.name"),
        (msg.Hello(1, 1, 30, tuple(msg.HelloParameter(9 + i, bytes(40000)) for i in range(2))), "", "6..65516 bytes"),
        (msg.Have(0, ()), "spans", "1..16378 elements"),
        (msg.Data(0, 0, (b"short",), b"x"), "proof", "of 32 bytes each"),
        (msg.InitiatorPreamble((1, 2**16), (1,), 1, ()), "versions", "0..65535"),
        (msg.ManifestEntry(2, "d", 1, bytes(32)), "length", "0 if type is 2"),
        (msg.ManifestEntry(0, "f", 0, KEY), "root", "zero bytes if length is 0"),
    ],
    ids=lambda value: type(value).__name__ if attrs.has(type(value)) else "",
)
def test_encoders_refuse_what_a_decoder_would(message: Any, field: str, limit: str) -> None:
    for encode in (message.encode, getattr(message, "encode_frame", message.encode)):
        with pytest.raises(msg.EncodeError) as caught:
            encode()
        error = caught.value
        assert (error.message, error.field) == (type(message).__name__, field)
        assert limit in error.limit


def test_bytes_of_another_type_are_refused_by_name() -> None:
    with pytest.raises(msg.EncodeError, match=r"Ping\.data"):
        msg.Ping(memoryview(b"12345678")).encode()  # type: ignore[arg-type]


def test_the_largest_data_frame_is_read_without_copying_its_block() -> None:
    frame = msg.Data(1, 2, (KEY,) * 32, bytes(16384)).encode_frame()
    buffer = bytearray(frame)
    data = msg.Data.decode(memoryview(buffer)[3:])
    assert isinstance(data.data, memoryview)
    buffer[-1] = 7
    assert data.data[-1] == 7
    assert all(isinstance(each, bytes) for each in data.proof)
    assert "16384 bytes" in repr(data)


def test_frames_and_preambles_are_found_by_number() -> None:
    assert set(msg.FRAMES) == set(FrameType)
    assert all(number == frame.TYPE for number, frame in msg.FRAMES.items())
    assert set(msg.PREAMBLES) == set(PreambleKind)
    assert all(kind == body.KIND for kind, body in msg.PREAMBLES.items())
    body = msg.ResponderPreamble(1, 2, ())
    assert msg.encode_preamble(body) == msg.PreambleHeader(2, 4).encode() + body.encode()


def test_messages_are_values() -> None:
    request = msg.Request(1, 2, 3, 4, 0)
    assert request == msg.Request(1, 2, 3, 4, 0)
    assert hash(request) == hash(msg.Request(1, 2, 3, 4, 0))
    assert not hasattr(request, "__dict__")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        request.id = 2  # type: ignore[misc]


def test_the_module_needs_nothing_of_the_world() -> None:
    # Beside the module itself, where that is compiled.
    tree = ast.parse(Path(msg.__file__).with_name("messages.py").read_text(encoding="utf-8"))
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"__future__", "re", "struct", "collections.abc", "itertools", "types", "typing", "attrs"}


def test_messages_can_be_copied_and_kept() -> None:
    request = msg.Request(1, 2, 3, 4, 0)
    for each in (copy.copy(request), copy.deepcopy(request), pickle.loads(pickle.dumps(request))):
        assert each == request
        assert each is not request


def test_structs_are_big_endian() -> None:
    formats = [value.format for value in vars(msg).values() if isinstance(value, struct.Struct)]
    assert formats
    assert all(each.startswith(">") for each in formats)


def test_a_wrong_own_record_leaves_hello_well_formed() -> None:
    """[FR-028]: the record is judged by whoever uses it; other known parameters are part of HELLO's form [FR-023]."""
    wrong = msg.HelloParameter(HelloTag.OWN_RECORD, b"no record")
    hello = msg.Hello(1, 1, 60, (wrong,))
    assert msg.Hello.decode(hello.encode()) == hello
    for tag in (HelloTag.AGENT, HelloTag.OBSERVED_ADDRESS, HelloTag.EXTENSIONS):
        body = hello.encode()[:6] + bytes((tag, 0, 1)) + b"\xff"
        with pytest.raises(msg.DecodeError):
            msg.Hello.decode(body)
