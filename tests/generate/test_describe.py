"""Explaining bytes: complete, in order, never an exception, and of one mind with the decoders."""

from __future__ import annotations

import re
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.generate.describe import Kind, Row, describe, guess
from p2pwire.testing.strategies import frames, message
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import MAGIC

quick = partial(settings, deadline=None, derandomize=True)

KEY = bytes(range(32))
RECORD = msg.PeerRecord(1, KEY, 7, 60, 0, (msg.Address(1, b"\x7f\0\0\1\x1f\x90"),), bytes(64))


def problems(data: bytes, kind: Kind | None = None) -> list[tuple[int, str, str | None]]:
    return [(row.offset, row.path, row.requirement) for row in describe(data, kind) if row.problem is not None]


def rows(data: bytes, kind: Kind | None = None) -> dict[str, Row]:
    return {row.path: row for row in describe(data, kind)}


def test_a_frame_is_explained_field_by_field() -> None:
    raw = msg.Request(9, 1, 0xFFFFFFFF, 64, 6).encode_frame()
    assert [(row.offset, row.length, row.path, row.type, row.value) for row in describe(raw, Kind.FRAMES)] == [
        (0, 1, "REQUEST.type", "u8", "32 (REQUEST)"),
        (1, 2, "REQUEST.length", "u16", "15"),
        (3, 4, "REQUEST.id", "u32", "9"),
        (7, 2, "REQUEST.handle", "u16", "1"),
        (9, 4, "REQUEST.file", "u32", "4294967295"),
        (13, 4, "REQUEST.block", "u32", "64"),
        (17, 1, "REQUEST.level", "u8", "6"),
    ]


def test_values_are_for_people() -> None:
    hello = msg.Hello(1, 1, 30, (msg.HelloParameter(1, b"me"), msg.HelloParameter(2, RECORD.encode())))
    found = rows(hello.encode_frame())
    assert found["HELLO.parameters[0].Agent.name"].value == '"me"'
    assert found["HELLO.parameters[1].tag"].value == "2 (OWN_RECORD)"
    assert found["HELLO.parameters[1].PeerRecord.addresses[0].value"].value == "127.0.0.1:8080"
    v6 = msg.Address(2, bytes(15) + b"\1" + b"\0\x50")
    record = rows(msg.PeerRecord(1, KEY, 7, 60, 0, (v6,), bytes(64)).encode(), Kind.PEER_RECORD)
    assert record["PeerRecord.addresses[0].value"].value == "[::1]:80"
    assert rows(msg.Join(1, 5, KEY, KEY).encode_frame())["JOIN.flags"].value == "5 (HAS_MANIFEST | WANTS_PEERS)"
    assert rows(msg.Close(0x1A1A, 0xFF, "").encode_frame())["CLOSE.code"].value == "6682 (GREASE)"
    assert rows(msg.Close(99, 0xFF, "").encode_frame())["CLOSE.code"].value == "99 (unknown)"


def test_text_can_not_drive_a_terminal() -> None:
    raw = b"\x02\x00\x08" + b"\0\0\xff" + b"\x1b[0m\x07"
    row = rows(raw)["CLOSE.detail"]
    assert row.value == '"\\x1b[0m\\x07"'
    assert (row.problem, row.requirement) == ("must be without control characters", "GN-012")


def test_it_goes_on_after_a_fault() -> None:
    raw = b"\x20\0\x0f" + bytes(13) + b"\x01\x07" + b"\x08\0\x01?" + b"\x0b\0\x01?" + msg.Leave(1).encode_frame()
    assert problems(raw, Kind.FRAMES) == [
        (17, "REQUEST.level", "TR-036"),
        (13, "REQUEST.block", "TR-036"),
        (18, "frame 0x08.type", "FR-006"),
    ]
    found = rows(raw, Kind.FRAMES)
    assert found["frame 0x0B.type"].value == "0x0B (GREASE)"
    assert found["LEAVE.handle"].value == "1"


def test_faults_of_size_are_told() -> None:
    assert problems(msg.Ping(bytes(8)).encode_frame()[:-1], Kind.FRAMES) == [(3, "PING.data", "FR-009")]
    assert problems(b"\x14\0\x03\0\1\2", Kind.FRAMES) == [(5, "LEAVE", "FR-009")]
    assert problems(b"\x14\0\x05\0\1", Kind.FRAMES) == [(5, "LEAVE", "EN-008")]
    assert problems(b"\x0b\0\x05\0\1", Kind.FRAMES) == [(3, "frame 0x0B", "EN-008")]
    assert problems(b"\x14\0", Kind.FRAMES) == [(1, "LEAVE.length", "EN-008")]
    assert problems(RECORD.encode() + b"?", Kind.PEER_RECORD) == [(119, "PeerRecord", "PX-021")]


def test_both_directions_of_a_link_are_explained() -> None:
    offer = msg.encode_preamble(msg.InitiatorPreamble((1,), (1,), 1, ()))
    flights = offer + b"\0\x20" + bytes(32) + b"\0\x03abc" + b"\0\x11" + bytes(17) + b"\0\x10" + bytes(16)
    found = rows(flights)
    assert guess(flights) is Kind.STREAM
    assert found["preamble.InitiatorPreamble.suites[0]"].value == "1 (XX_AESGCM)"
    assert found["message 1.length"].value == "32"
    assert found["message 3.ciphertext"].length == 3
    assert problems(flights) == [(len(flights) - 18, "record 1.length", "EN-004")]
    answer = msg.PreambleHeader(2, 4).encode() + b"\0\1\x0a\x0a" + b"\0\0"
    assert problems(answer) == [(13, "preamble.ResponderPreamble.suite", "VN-038"), (15, "message 2.length", "HS-001")]
    refusal = msg.encode_preamble(msg.Refusal(4, (1,), (1,)))
    assert problems(refusal) == []
    assert problems(refusal + b"?") == [(len(refusal), "", None)]
    assert problems(MAGIC + b"\x07\0\x04abcd") == [(8, "preamble.kind", "VN-005")]


def test_manifests_are_explained_with_their_order() -> None:
    header = msg.ManifestHeader(3).encode()
    first = msg.ManifestEntry(0, "b", 5, KEY).encode()
    second = msg.ManifestEntry(2, "a", 0, bytes(32)).encode()
    third = msg.ManifestEntry(0, "a/b", 0, bytes(32)).encode()
    found = problems(header + first + second + third + b"?")
    begin = len(header + first)
    assert found == [
        (begin, "entries[1]", "OB-021"),
        (begin + len(second), "entries[2]", "OB-022"),
        (begin + len(second + third), "manifest", "OB-023"),
    ]
    assert problems(header + first)[-1] == (len(header + first), "entries[1].type", "OB-023")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Kind.FRAMES),
        (MAGIC, Kind.STREAM),
        (b"P2PM\x01", Kind.MANIFEST),
        (RECORD.encode(), Kind.PEER_RECORD),
        (msg.Leave(1).encode_frame() * 2, Kind.FRAMES),
        (b"\0\x11" + bytes(17), Kind.RECORDS),
        (b"?", Kind.FRAMES),
    ],
)
def test_guesses(data: bytes, kind: Kind) -> None:
    assert guess(data) is kind


@st.composite
def nearly_valid(draw: st.DrawFn) -> bytes:
    """Bytes of all kinds with a few changes."""
    bodies = st.one_of(message(msg.InitiatorPreamble), message(msg.ResponderPreamble), message(msg.Refusal))
    entries = st.lists(message(msg.ManifestEntry), max_size=3)
    raw = draw(
        st.one_of(
            st.binary(max_size=60),
            st.lists(frames(), max_size=3).map(lambda each: b"".join(frame.encode_frame() for frame in each)),
            bodies.map(msg.encode_preamble),
            message(msg.HandshakePayload).map(lambda payload: payload.encode()),
            message(msg.PeerRecord).map(lambda record: record.encode()),
            entries.map(lambda all_: msg.ManifestHeader(3).encode() + b"".join(entry.encode() for entry in all_)),
        )
    )
    changed = bytearray(raw)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, min(len(changed), 100)))
        changed[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(changed)


@quick(max_examples=200)
@given(data=nearly_valid(), kind=st.none() | st.sampled_from(Kind))
def test_nothing_is_raised_and_rows_lie_within_the_bytes(data: bytes, kind: Kind | None) -> None:
    for row in describe(data, kind):
        assert 0 <= row.offset <= row.offset + row.length <= len(data)
        assert row.value.isprintable()
        assert row.requirement is None or row.problem is not None


def covered(data: bytes, kind: Kind) -> bool:
    """Whether each byte is in some row."""
    seen = bytearray(len(data))
    for row in describe(data, kind):
        seen[row.offset : row.offset + row.length] = b"\1" * row.length
    return all(seen)


def told(data: bytes) -> list[Row]:
    """Problems of frames. A shared record is judged apart from its frame: PEERS may carry what is no valid record."""
    shared = re.compile(r"PEERS\.added\[\d+\]\.PeerRecord")
    return [row for row in describe(data, Kind.FRAMES) if row.problem and not shared.match(row.path)]


@quick(max_examples=80)
@given(all_=st.lists(frames(), max_size=3))
def test_valid_frames_have_no_problems_and_every_byte_a_row(all_: list[msg.Frame]) -> None:
    data = b"".join(frame.encode_frame() for frame in all_)
    assert not told(data)
    assert covered(data, Kind.FRAMES)


@quick(max_examples=150)
@given(data=st.data())
def test_a_body_has_a_problem_exactly_if_its_decoder_refuses_it(data: st.DataObject) -> None:
    frame = data.draw(frames())
    body = bytearray(frame.encode()[:300])
    at = data.draw(st.integers(0, min(len(body), 60)))
    body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    raw = bytes([frame.TYPE]) + len(body).to_bytes(2, "big") + body
    try:
        msg.decode_frame(frame.TYPE, bytes(body))
    except msg.DecodeError:
        assert told(raw)
    else:
        assert not told(raw)


@quick(max_examples=80)
@given(record=message(msg.PeerRecord), data=st.data())
def test_a_record_has_a_problem_exactly_if_its_decoder_refuses_it(record: msg.PeerRecord, data: st.DataObject) -> None:
    raw = bytearray(record.encode())
    at = data.draw(st.integers(0, min(len(raw), 80)))
    raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    found = problems(bytes(raw), Kind.PEER_RECORD)
    try:
        msg.PeerRecord.decode(bytes(raw))
    except msg.DecodeError:
        assert found
    else:
        assert not found
