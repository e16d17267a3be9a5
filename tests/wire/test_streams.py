"""Many frames in one buffer, as a record holds them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pwire.testing.strategies import frames
from p2pwire.wire import messages as msg

MANY = st.lists(frames(), max_size=6)

SAMPLE: list[msg.Frame] = [msg.Ping(b"12345678"), msg.Data(9, 64, (bytes(32),), bytes(300)), msg.Cancel(1)]


@given(MANY)
def test_what_is_encoded_together_is_decoded_together(several: list[msg.Frame]) -> None:
    raw = msg.encode_frames(several)
    assert raw == b"".join(frame.encode_frame() for frame in several)
    for buffer in (raw, bytearray(raw), memoryview(raw)):
        assert msg.decode_frames(buffer) == several


def test_frames_keep_what_came_when_the_buffer_changes() -> None:
    raw = bytearray(msg.encode_frames(SAMPLE))
    found = msg.decode_frames(raw)
    raw[:] = bytes(len(raw))
    assert found == SAMPLE


def test_types_that_are_not_known_are_passed_over() -> None:
    unknown = b"\xfd\x00\x02??"
    ends = unknown + SAMPLE[0].encode_frame() + unknown
    assert msg.decode_frames(ends) == SAMPLE[:1]
    assert msg.decode_frames(unknown) == []
    with pytest.raises(KeyError):
        msg.decode_frame(0xFD, b"??")


def test_each_cut_leaves_a_frame_that_is_not_whole() -> None:
    raw = msg.encode_frames(SAMPLE)
    whole = {sum(len(frame.encode_frame()) for frame in SAMPLE[:count]): SAMPLE[:count] for count in range(4)}
    for size in range(len(raw) + 1):
        if size in whole:
            assert msg.decode_frames(raw[:size]) == whole[size]
        else:
            with pytest.raises(msg.DecodeError):
                msg.decode_frames(raw[:size])


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("06", "FrameHeader.length at byte 1 is 0, must be 2 bytes"),
        ("24 0000", "Reject.id at byte 0 is 0, must be 4 bytes"),
        ("06 0008", "FrameHeader.length at byte 1 is 8, must be 0..0"),
        ("fd 0000 26 0004 000000", "FrameHeader.length at byte 4 is 4, must be 0..3"),
    ],
)
def test_errors_name_what_is_wrong(raw: str, text: str) -> None:
    with pytest.raises(msg.DecodeError) as caught:
        msg.decode_frames(bytes.fromhex(raw))
    assert caught.value.text == text


def test_what_can_not_be_encoded_is_named() -> None:
    with pytest.raises(msg.EncodeError, match=r"Credit\.blocks"):
        msg.encode_frames([msg.Cancel(1), msg.Credit(-1)])
