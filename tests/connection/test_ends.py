"""The end of a link: CLOSE sent, CLOSE received, and streams that just end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.connection import MAX_READ
from p2pwire.connection.state import LinkState
from p2pwire.testing.pair import Pair
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import DRAIN_BYTES, DRAIN_TIMEOUT, CloseCode
from tests.connection.remote import BOTH, Blob, Remote, config, responder

BLOB = Blob(2)
MakeRemote = Callable[..., Remote]
PING = msg.Ping(b"12345678")


def opened(make: MakeRemote = responder) -> Remote:
    remote = make(config("alice", BLOB)).open()
    remote.say(remote.join(BLOB))
    return remote.forget()


def closing(make: MakeRemote = responder) -> Remote:
    """CLOSE is sent, and the other side has not closed."""
    remote = opened(make)
    remote.command(cmd.CloseLink(CloseCode.SHUTDOWN, "bye"))
    assert remote.frames == [msg.Close(CloseCode.SHUTDOWN, 0xFF, "bye")]
    assert remote.connection.state is LinkState.DRAINING
    return remote


# --- CLOSE is sent ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_what_close_tells_oneself(make: MakeRemote) -> None:
    remote = closing(make)
    assert remote.closed == ev.Closed(CloseCode.SHUTDOWN, 13, "bye", by_peer=False, truncated=False)
    assert remote.connection.output_ended
    assert not remote.connection.finished
    assert remote.connection.wants_data


@pytest.mark.parametrize("make", BOTH)
def test_the_link_lingers_until_the_stream_ends(make: MakeRemote) -> None:
    remote = closing(make)
    remote.feed(bytes(100_000))
    remote.say(PING)
    assert not remote.connection.finished
    remote.end()
    assert remote.connection.finished
    assert len(remote.frames) == 1
    assert remote.closed is not None
    assert not remote.closed.truncated


def test_the_link_lingers_for_5_seconds() -> None:
    remote = closing()
    remote.advance(DRAIN_TIMEOUT - 0.001)
    remote.feed(b"still here")
    assert not remote.connection.finished
    remote.advance(0.001)
    assert remote.connection.finished
    assert remote.connection.next_timeout() is None


def test_the_link_lingers_for_20_mib() -> None:
    remote = closing()
    for _ in range(DRAIN_BYTES // MAX_READ - 1):
        remote.feed(bytes(MAX_READ))
    remote.feed(bytes(MAX_READ - 1))
    assert not remote.connection.finished
    assert remote.connection.wants_data
    remote.feed(b"x")
    assert remote.connection.finished
    assert not remote.connection.wants_data
    # What comes now, as from a task that was reading, is no mistake.
    remote.feed(b"x")
    remote.end()
    assert remote.closed is not None


def test_close_goes_out_after_what_was_said_before() -> None:
    remote = opened()
    remote.connection.send(PING_COMMAND)
    remote.connection.send(cmd.CloseLink(CloseCode.NONE))
    remote.settle()
    assert [type(frame) for frame in remote.frames] == [msg.Ping, msg.Close]


PING_COMMAND = cmd.Ping(b"12345678")


@pytest.mark.parametrize("ended_first", [True, False])
def test_close_goes_out_also_when_the_other_side_has_ended(ended_first: bool) -> None:
    """The stream ends after CLOSE was said and before it was sent: it is sent, and the link is over then."""
    remote = opened()
    connection = remote.connection
    connection.send(cmd.CloseLink(CloseCode.NONE))
    connection.receive_data(b"", remote.now)
    if ended_first:
        assert isinstance(connection.next_event(), ev.Closed)
        assert connection.next_event() is None
        assert connection.state is LinkState.DRAINING
    remote.take_bytes()
    assert remote.heard(msg.Close)
    assert connection.finished


def test_a_fault_is_told_in_the_same_words_to_both_sides() -> None:
    remote = opened()
    remote.say(msg.Have(99, (msg.Span(0, 0),)))
    assert remote.close is not None
    assert remote.closed is not None
    assert remote.close.detail == remote.closed.reason == "handle 99 was never joined"


# --- CLOSE is received -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("code", list(CloseCode))
def test_what_close_of_the_other_side_tells(make: MakeRemote, code: CloseCode) -> None:
    remote = opened(make)
    remote.say(msg.Close(code, 0x10, "a reason"))
    assert remote.closed == ev.Closed(code, int(code), "a reason", by_peer=True, truncated=False)
    assert remote.connection.finished
    assert remote.frames == []


@pytest.mark.parametrize("number", [15, 0x0A0A, 0x8000, 0xFFFF])
def test_an_unknown_code_means_internal(number: int) -> None:
    remote = opened()
    remote.say(msg.Close(number, 0xFF, ""))
    assert remote.closed == ev.Closed(CloseCode.INTERNAL, number, "", by_peer=True, truncated=False)


@pytest.mark.parametrize("rest", [PING.encode_frame(), b"\x40\x00\x00", b"x", bytes(100)])
def test_bytes_after_close_are_ignored(rest: bytes) -> None:
    remote = opened()
    remote.say(PING, msg.Close(CloseCode.NONE, 0xFF, ""), rest)
    # What came before it was processed.
    assert remote.of(ev.Closed)[0].by_peer
    assert remote.close is None
    remote.feed(bytes(1000))
    remote.end()
    assert remote.closed is not None
    assert not remote.closed.truncated


def test_frames_before_close_are_processed() -> None:
    remote = opened()
    remote.say(msg.Have(0, (msg.Span(0, 0),)), msg.Request(1, 0, 0, 0, 0), msg.Close(CloseCode.NONE, 0xFF, ""))
    assert [type(event) for event in remote.events] == [ev.UnitsChanged, ev.RequestReceived, ev.Closed]


def test_the_send_queue_is_dropped() -> None:
    remote = opened()
    remote.connection.send(PING_COMMAND)
    remote.connection.receive_data(remote.seal(msg.Close(0, 0xFF, "").encode_frame()), remote.now)
    remote.take_events()
    assert not remote.connection.has_output
    assert remote.connection.data_to_send() == []


def test_close_of_both_sides_crosses() -> None:
    pair = Pair(config("alice"), config("bob"))
    pair.run()
    for side in pair.sides:
        side.send(cmd.CloseLink(CloseCode.NONE))
    pair.run()
    for side in pair.sides:
        assert side.connection.finished
        (closed,) = side.of(ev.Closed)
        assert (closed.code, closed.by_peer, closed.truncated) == (CloseCode.NONE, False, False)


# --- the stream ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_an_end_without_close_is_a_truncation(make: MakeRemote) -> None:
    remote = opened(make)
    remote.end()
    assert remote.closed is not None
    assert (remote.closed.code, remote.closed.by_peer, remote.closed.truncated) == (CloseCode.NONE, True, True)
    assert remote.connection.finished
    assert remote.frames == []


def test_what_came_before_the_end_is_processed() -> None:
    remote = opened()
    record = remote.seal(msg.Have(0, (msg.Span(0, 0),)).encode_frame())
    remote.connection.receive_data(record, remote.now)
    remote.connection.receive_data(b"", remote.now)
    remote.settle()
    assert [type(event) for event in remote.events] == [ev.UnitsChanged, ev.Closed]
    assert remote.closed is not None
    assert remote.closed.truncated


def test_close_before_the_end_is_no_truncation() -> None:
    remote = opened()
    remote.connection.receive_data(remote.seal(msg.Close(0, 0xFF, "").encode_frame()), remote.now)
    remote.connection.receive_data(b"", remote.now)
    remote.settle()
    assert remote.closed is not None
    assert not remote.closed.truncated


def test_a_faulty_frame_before_the_end_is_a_fault() -> None:
    remote = opened()
    remote.connection.receive_data(remote.seal(b"\x40\x00\x00"), remote.now)
    remote.connection.receive_data(b"", remote.now)
    remote.settle()
    assert remote.closed is not None
    assert (remote.closed.code, remote.closed.truncated) == (CloseCode.UNKNOWN_FRAME, False)
    # CLOSE was still sent, and nothing more can come.
    assert remote.close is not None
    assert remote.connection.finished


@pytest.mark.parametrize("make", BOTH)
def test_nothing_happens_after_the_end(make: MakeRemote) -> None:
    remote = opened(make)
    remote.end()
    connection = remote.connection
    assert connection.next_event() is None
    assert connection.next_timeout() is None
    connection.handle_timeout(remote.now + 1e6)
    connection.pause(remote.now)
    connection.resume(remote.now)
    connection.receive_data(b"", remote.now)
    connection.send(cmd.CloseLink(CloseCode.NONE))
    assert connection.next_event() is None
    assert connection.data_to_send() == []
    assert not connection.has_output
    assert connection.output_ended
    assert not connection.is_open(BLOB.topic)


def test_keys_are_forgotten() -> None:
    remote = opened()
    remote.end()
    connection = remote.connection
    assert connection._inbox._opener is None
    assert connection._outbox._sealer is None
    assert connection._handshake is None
    failed = responder()
    failed.feed(b"GET / HTTP/1.1\r\n")
    assert failed.connection._handshake is None
