"""Records: what is whole, in order, unchanged and under the right key."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection import records as rules
from p2pwire.connection.config import Limits
from p2pwire.connection.inbox import Inbox
from p2pwire.connection.outbox import Outbox
from p2pwire.connection.records import RecordOpener, RecordSealer
from p2pwire.connection.state import LinkState
from p2pwire.crypto.noise import CipherState, DecryptionFailed
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import (
    MAX_FRAME_BODY,
    MAX_RECORD,
    MAX_RECORD_PLAINTEXT,
    REKEY_INTERVAL,
    CloseCode,
    FrameType,
    Suite,
)
from tests.connection.remote import BOTH, Remote, config, raw

KEY = bytes(range(32))
PING = msg.Ping(b"12345678")
PONG = msg.Pong(b"12345678")


def opened(make: Callable[..., Remote]) -> Remote:
    return make(config(limits=Limits(control_burst=10**9, control_bytes_burst=10**9))).open().forget()


def closed_without_a_word(remote: Remote) -> None:
    assert remote.connection.state is LinkState.CLOSED
    assert remote.closed is not None
    assert (remote.closed.code, remote.closed.by_peer, remote.closed.truncated) == (CloseCode.PROTOCOL, False, False)
    assert remote.frames == []
    assert remote.connection.data_to_send() == []


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", [Suite.XX_AESGCM, Suite.XX_CHACHAPOLY])
def test_the_key_changes_after_each_65536th_record(suite: Suite) -> None:
    sealer, opener = RecordSealer(CipherState(suite, KEY)), RecordOpener(CipherState(suite, KEY))
    plain = CipherState(suite, KEY)
    for number in range(REKEY_INTERVAL + 2):
        record = sealer.seal(b"x")
        if number in (0, 1, REKEY_INTERVAL - 1):
            # The record of number 65535 is the last one under the first key.
            assert record[2:] == CipherStateAt(plain, number).encrypt(b"x")
        assert opener.open(record[2:]) == b"x"
    assert opener._cipher.n == sealer._cipher.n == REKEY_INTERVAL + 2
    rekeyed = CipherState(suite, KEY)
    rekeyed.rekey()
    rekeyed.n = REKEY_INTERVAL + 2
    assert sealer.seal(b"y")[2:] == rekeyed.encrypt(b"y")


@pytest.mark.interpreted
@pytest.mark.parametrize("suite", [Suite.XX_AESGCM, Suite.XX_CHACHAPOLY])
def test_the_key_changes_again_and_again(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "REKEY_INTERVAL", 3)
    sealer, opener = RecordSealer(CipherState(suite, KEY)), RecordOpener(CipherState(suite, KEY))
    model = CipherState(suite, KEY)
    for number in range(20):
        if number and number % 3 == 0:
            model.rekey()
        record = sealer.seal(b"x")
        assert record[2:] == model.encrypt(b"x")
        assert opener.open(record[2:]) == b"x"


def CipherStateAt(cipher: CipherState, number: int) -> CipherState:  # noqa: N802
    """The cipher as it is for one record."""
    cipher.n = number
    return cipher


def test_a_record_that_does_not_decrypt_leaves_the_count() -> None:
    opener = RecordOpener(CipherState(Suite.XX_AESGCM, KEY))
    with pytest.raises(DecryptionFailed):
        opener.open(bytes(17))
    assert opener._cipher.n == 0


# --- packing ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.integers(0, 40), st.integers(0, MAX_FRAME_BODY), st.just(MAX_FRAME_BODY)), max_size=12))
def test_frames_leave_whole_in_as_few_records_as_fit_in_order(sizes: Sequence[int]) -> None:
    outbox, opener = Outbox(), RecordOpener(CipherState(Suite.XX_AESGCM, KEY))
    frames = [raw(number, bytes((number,)) * size) for number, size in enumerate(sizes)]
    for number, frame in enumerate(frames):
        if number % 2 == 0:
            outbox.add(frame, answer=True)
        else:
            outbox.add_run([(frame[:3], frame[3:])], len(frame))
    assert outbox.waiting == sum(map(len, frames))
    assert outbox.answers == sum(map(len, frames[::2]))
    assert outbox.take() == []  # without a key
    outbox.encrypt_with(CipherState(Suite.XX_AESGCM, KEY))
    records = outbox.take()
    assert not outbox
    assert outbox.waiting == outbox.answers == 0
    plains = []
    for record in records:
        assert int.from_bytes(record[:2], "big") == len(record) - 2 <= MAX_RECORD
        plains.append(opener.open(record[2:]))
    packed = [b""]
    for frame in frames:
        if len(packed[-1]) + len(frame) > MAX_RECORD_PLAINTEXT:
            packed.append(b"")
        packed[-1] += frame
    assert plains == [plain for plain in packed if plain]


def test_small_frames_that_wait_take_little_more_than_their_bytes() -> None:
    outbox, opener = Outbox(), RecordOpener(CipherState(Suite.XX_AESGCM, KEY))
    outbox.encrypt_with(CipherState(Suite.XX_AESGCM, KEY))
    frames = [raw(number % 256, number.to_bytes(4)) for number in range(10_000)]
    tracemalloc.start()
    for frame in frames:
        outbox.add(bytes(bytearray(frame)), answer=True)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert outbox.waiting == sum(map(len, frames))
    assert taken < 1.3 * outbox.waiting
    outbox.add(raw(1, bytes(5000)))
    outbox.add(frames[0])
    plains = [opener.open(record[2:]) for record in outbox.take()]
    assert b"".join(plains) == b"".join([*frames, raw(1, bytes(5000)), frames[0]])
    assert not outbox


def test_an_outbox_forgets() -> None:
    outbox = Outbox()
    outbox.encrypt_with(CipherState(Suite.XX_AESGCM, KEY))
    outbox.add_plain(b"handshake")
    outbox.add(b"frame", answer=True)
    outbox.drop()
    assert (outbox.take(), outbox.waiting, outbox.answers) == ([], 0, 0)


# --- unpacking -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=4), max_size=8),
    st.lists(st.integers(1, 700), min_size=1, max_size=20),
)
def test_an_inbox_takes_records_in_any_pieces(records: list[list[int]], pieces: list[int]) -> None:
    cipher = CipherState(Suite.XX_AESGCM, KEY)
    sealer = RecordSealer(CipherState(Suite.XX_AESGCM, KEY))
    bodies = [[hashlib.shake_128(b"%d" % size).digest(size) for size in sizes] for sizes in records]
    stream = b"".join(sealer.seal(b"".join(raw(5, body) for body in record)) for record in bodies)
    inbox = Inbox()
    inbox.decrypt_with(cipher)
    found = []
    at = turn = 0
    while at < len(stream):
        inbox.add(memoryview(stream)[at : at + pieces[turn % len(pieces)]])
        at, turn = at + pieces[turn % len(pieces)], turn + 1
        while True:
            frame = inbox.frame()
            if frame is not None:
                found.append((frame[0], bytes(frame[1])))
            elif not inbox.open_record():
                break
    assert found == [(5, body) for record in bodies for body in record]
    assert len(inbox) == 0


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("length", range(17))
def test_a_record_that_can_hold_no_frame_is_the_end(make: Callable[..., Remote], length: int) -> None:
    remote = opened(make)
    remote.feed(length.to_bytes(2, "big"))
    closed_without_a_word(remote)


@pytest.mark.parametrize("make", BOTH)
def test_one_changed_bit_in_a_record_is_the_end(make: Callable[..., Remote]) -> None:
    size = len(opened(make).seal(PING.encode_frame()))
    for bit in range(16, size * 8, 5):
        remote = opened(make)
        record = bytearray(remote.seal(PING.encode_frame()))
        record[bit // 8] ^= 1 << bit % 8
        remote.feed(bytes(record))
        closed_without_a_word(remote)


@pytest.mark.parametrize("make", BOTH)
def test_the_length_is_bound_by_the_count_and_the_tag(make: Callable[..., Remote]) -> None:
    for change in (-1, 1):
        remote = opened(make)
        record = bytearray(remote.seal(PING.encode_frame()))
        record[1] += change
        remote.feed(bytes(record) + bytes(5))
        closed_without_a_word(remote)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("order", [(1,), (1, 0), (0, 0), (0, 1, 0), (0, 2)])
def test_records_in_another_order_are_the_end(make: Callable[..., Remote], order: tuple[int, ...]) -> None:
    remote = opened(make)
    records = [remote.seal(PING.encode_frame()) for _ in range(3)]
    good = 0
    while good < len(order) and order[good] == good:
        good += 1
    for number in order[:good]:
        remote.feed(records[number])
    assert remote.frames == [PONG] * good
    remote.forget()
    remote.feed(records[order[good]])
    closed_without_a_word(remote)


@pytest.mark.parametrize("make", BOTH)
def test_nothing_of_a_changed_record_is_looked_at(make: Callable[..., Remote]) -> None:
    remote = opened(make)
    record = bytearray(remote.seal(b"".join([PING.encode_frame()] * 100)))
    record[-1] ^= 1
    remote.feed(bytes(record[:-1]))
    assert remote.frames == []
    remote.feed(bytes(record[-1:]))
    closed_without_a_word(remote)


@pytest.mark.parametrize("make", BOTH)
def test_a_record_of_the_other_direction_is_none(make: Callable[..., Remote]) -> None:
    remote = opened(make)
    remote.send_cipher = remote.receive_cipher
    remote.feed(remote.seal(PING.encode_frame()))
    assert remote.connection.state is LinkState.CLOSED


@pytest.mark.parametrize("make", BOTH)
def test_a_record_cut_short_at_any_byte_is_a_truncation(make: Callable[..., Remote]) -> None:
    size = len(opened(make).seal(PING.encode_frame()))
    for end in range(size + 1):
        remote = opened(make)
        remote.feed(remote.seal(PING.encode_frame())[:end])
        remote.end()
        assert remote.closed is not None
        assert (remote.closed.truncated, remote.closed.by_peer) == (True, True)
        assert remote.frames == ([PONG] if end == size else [])


@pytest.mark.parametrize("make", BOTH)
def test_the_shortest_and_the_longest_record(make: Callable[..., Remote]) -> None:
    remote = opened(make)
    remote.say(msg.Pad(b""))
    longest = remote.seal(msg.Pad(bytes(MAX_FRAME_BODY)).encode_frame())
    assert len(longest) == 2 + MAX_RECORD
    remote.feed(longest)
    remote.say(PING)
    assert remote.frames == [PONG]


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("rest", [b"\x01", b"\x01\x00", b"\x00", b"\x40\x00"])
def test_bytes_left_of_a_record_are_a_fault_after_its_frames(make: Callable[..., Remote], rest: bytes) -> None:
    remote = opened(make)
    remote.say(PING, rest)
    assert remote.frames[0] == PONG
    assert remote.close is not None
    assert (remote.close.code, remote.close.frame_type) == (CloseCode.PROTOCOL, 0xFF)
    lone = opened(make)
    lone.feed(lone.seal(rest))
    assert lone.close is not None
    assert (lone.close.code, lone.close.frame_type) == (CloseCode.PROTOCOL, 0xFF)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("frame_type", [FrameType.PING, FrameType.DATA, 0x41])
def test_a_frame_past_its_record_is_a_fault_after_the_frames_before(
    make: Callable[..., Remote], frame_type: int
) -> None:
    for length, have in [(1, 0), (8, 7), (MAX_FRAME_BODY, 20), (0xFFFF, 100)]:
        remote = opened(make)
        remote.say(PING, bytes((frame_type,)) + length.to_bytes(2, "big") + bytes(have))
        assert remote.frames[0] == PONG
        assert remote.close is not None
        assert (remote.close.code, remote.close.frame_type) == (CloseCode.PROTOCOL, frame_type)


@pytest.mark.parametrize("make", BOTH)
def test_frames_before_a_malformed_one_are_processed(make: Callable[..., Remote]) -> None:
    remote = opened(make)
    remote.say(PING, PING, raw(FrameType.PING, b"short"), PING)
    assert remote.frames[:2] == [PONG, PONG]
    assert isinstance(remote.frames[2], msg.Close)
    assert len(remote.frames) == 3


@pytest.mark.parametrize("make", BOTH)
def test_what_was_said_before_a_broken_record_is_not_sent_after_it(make: Callable[..., Remote]) -> None:
    remote = opened(make)
    remote.connection.send(cmd.Ping(b"unsent.."))
    remote.feed(bytes(2))
    closed_without_a_word(remote)
    assert remote.of(ev.Closed)
