"""Time: every timer of a link, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.budget import TokenBucket
from p2pwire.connection.config import Limits, Timeouts
from p2pwire.connection.state import LinkState
from p2pwire.connection.timers import OF_READING, Timer, Timers
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import (
    DRAIN_TIMEOUT,
    HANDSHAKE_TIMEOUT,
    HELLO_TIMEOUT,
    REQUEST_TIMEOUT,
    SERVE_TIMEOUT,
    CloseCode,
    RejectCode,
)
from tests.connection.remote import BOTH, HELLO, START, Blob, Remote, config, initiator, responder

BLOB = Blob(4)
MakeRemote = Callable[..., Remote]
JUST = 0.001
"""seconds: a little less, or more."""


def opened(make: MakeRemote = responder, *, idle: int = 150, **limits: int) -> Remote:
    remote = make(config("alice", BLOB, limits=Limits(**limits))).open(attrs.evolve(HELLO, idle=idle))
    remote.say(remote.join(BLOB))
    return remote.forget()


def timed_out(remote: Remote, *, silently: bool = False) -> bool:
    if remote.closed is None:
        assert remote.close is None
        return False
    assert remote.closed.code is CloseCode.TIMEOUT
    assert (remote.closed.by_peer, remote.closed.truncated) == (False, False)
    if silently:
        assert remote.frames == []
        assert remote.connection.finished
    else:
        assert remote.close is not None
        assert (remote.close.code, remote.close.frame_type) == (CloseCode.TIMEOUT, 0xFF)
    return True


# --- the handshake, and HELLO ----------------------------------------------------------------------------------------


def halfway(remote: Remote) -> Remote:
    remote.settle()
    remote.feed((remote.offer() if remote.initiator else remote.answer())[:60])
    return remote


@pytest.mark.parametrize("make", [initiator, responder, lambda: halfway(initiator()), lambda: halfway(responder())])
def test_a_handshake_takes_10_seconds_at_most(make: MakeRemote) -> None:
    remote = make()
    remote.settle()
    remote.raw.clear()
    remote.advance(HANDSHAKE_TIMEOUT - JUST)
    assert not timed_out(remote, silently=True)
    remote.advance(JUST)
    assert timed_out(remote, silently=True)
    assert not remote.raw


def test_bytes_do_not_prolong_a_handshake() -> None:
    remote = responder()
    for byte in remote.offer()[:20]:
        remote.advance(0.49)
        remote.feed(bytes((byte,)))
    remote.advance(0.3)
    assert timed_out(remote, silently=True)


@pytest.mark.parametrize("make", BOTH)
def test_hello_takes_10_seconds_at_most_from_the_end_of_the_handshake(make: MakeRemote) -> None:
    remote = make()
    remote.advance(9)
    remote.handshake().frames.clear()
    remote.advance(HELLO_TIMEOUT - JUST)
    assert not timed_out(remote)
    remote.advance(JUST)
    assert timed_out(remote)


@pytest.mark.parametrize("make", BOTH)
def test_hello_in_time_is_soon_enough(make: MakeRemote) -> None:
    remote = make().handshake()
    remote.advance(HELLO_TIMEOUT - JUST)
    remote.say(HELLO)
    remote.advance(29)
    assert not timed_out(remote)


# --- PING and idle ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "others", "ping", "idle"), [(150, 150, 50, 150), (600, 600, 60, 600), (30, 600, 10, 30), (600, 33, 11, 33)]
)
def test_silence(own: int, others: int, ping: int, idle: int) -> None:
    remote = quiet(own, others)
    remote.advance(ping - JUST)
    assert remote.frames == []
    remote.advance(JUST)
    assert len(remote.heard(msg.Ping)) == 1
    remote.advance(ping)
    assert len(remote.heard(msg.Ping)) == 2
    # No more than four may be unanswered, the caller's among them.
    remote.advance(idle - 2 * ping - JUST)
    assert len(remote.heard(msg.Ping)) <= 4
    assert not timed_out(remote)
    remote.advance(JUST)
    assert timed_out(remote)


def quiet(own: int, others: int) -> Remote:
    remote = responder(config(limits=Limits(idle=own))).open(attrs.evolve(HELLO, idle=others))
    return remote.forget()


def test_no_more_than_four_pings_are_unanswered() -> None:
    remote = quiet(600, 600)
    remote.command(cmd.Ping(b"12345678"), cmd.Ping(b"23456789"))
    remote.advance(599)
    assert len(remote.heard(msg.Ping)) == 4


@pytest.mark.parametrize("record", [msg.Pad(b""), msg.Pong(b"whatever")])
def test_any_complete_record_is_a_sign_of_life(record: msg.Frame) -> None:
    remote = quiet(150, 150)
    for _ in range(20):
        remote.advance(49.9)
        remote.say(record)
    assert remote.frames == []
    remote.advance(50)
    assert len(remote.heard(msg.Ping)) == 1


def test_half_a_record_is_none() -> None:
    remote = quiet(150, 150)
    record = remote.seal(msg.Pad(bytes(200)).encode_frame())
    for byte in record[:149]:
        remote.advance(1)
        remote.feed(bytes((byte,)))
    assert len(remote.heard(msg.Ping)) == 2
    remote.advance(1)
    assert timed_out(remote)


def test_a_pong_keeps_a_link_alive() -> None:
    remote = quiet(150, 150)
    for _ in range(20):
        remote.advance(50)
        remote.say(*(msg.Pong(ping.data) for ping in remote.heard(msg.Ping)))
        remote.forget()
    assert remote.connection.state is LinkState.OPEN


# --- time in which this side does not read ---------------------------------------------------------------------------


def test_time_in_which_the_caller_does_not_read_does_not_count() -> None:
    remote = quiet(150, 150)
    remote.advance(40)
    remote.connection.pause(remote.now)
    assert remote.connection.next_timeout() is None
    remote.advance(1000)
    assert remote.frames == []
    remote.connection.pause(remote.now)  # twice does no harm
    remote.connection.resume(remote.now)
    remote.advance(10 - JUST)
    assert remote.frames == []
    remote.advance(JUST)
    assert len(remote.heard(msg.Ping)) == 1
    remote.advance(100 - JUST)
    assert not timed_out(remote)
    remote.advance(JUST)
    assert timed_out(remote)


def test_request_and_hello_timers_stand_still_too() -> None:
    remote = opened()
    remote.command(cmd.RequestBlocks(1, BLOB.topic, 0, 0, 0, BLOB.length, BLOB.root))
    remote.connection.pause(remote.now)
    remote.advance(500)
    remote.connection.resume(remote.now)
    remote.advance(REQUEST_TIMEOUT - JUST)
    assert not remote.of(ev.RequestsTimedOut)
    remote.advance(JUST)
    assert remote.of(ev.RequestsTimedOut) == [ev.RequestsTimedOut(1)]
    waiting = responder().handshake()
    waiting.connection.pause(waiting.now)
    waiting.advance(500)
    waiting.connection.resume(waiting.now)
    waiting.say(HELLO)
    assert waiting.connection.state is LinkState.OPEN


def test_timers_of_what_is_owed_go_on_while_nothing_is_read() -> None:
    remote = opened()
    remote.say(msg.Request(1, 0, 0, 0, 0))
    remote.connection.pause(remote.now)
    remote.advance(SERVE_TIMEOUT)
    assert remote.heard(msg.Reject) == [msg.Reject(1, RejectCode.BUSY, 0)]
    stuck = initiator()
    stuck.connection.pause(stuck.now)
    stuck.advance(HANDSHAKE_TIMEOUT)
    assert stuck.connection.finished


def full_of_answers() -> Remote:
    """The connection reads no more: the other side asks, and takes no answer."""
    remote = responder(config(limits=Limits(answers=100))).open().forget()
    remote.connection.receive_data(remote.seal(msg.Ping(b"12345678").encode_frame() * 10), remote.now)
    remote.take_events()
    assert not remote.connection.wants_data
    return remote


@pytest.mark.parametrize("tells_time", [True, False])
def test_time_in_which_answers_wait_does_not_count(tells_time: bool) -> None:
    remote = full_of_answers()
    connection = remote.connection
    # Nobody but the carrier is to blame, and it has as long as the idle time.
    remote.now += 140
    connection.handle_timeout(remote.now)
    assert connection.next_event() is None
    connection.data_to_send(remote.now if tells_time else None)
    assert connection.wants_data
    if not tells_time:
        # Nobody says when the carrier took them: the time until somebody says what time it is does not count either.
        remote.now += 40
        connection.handle_timeout(remote.now)
    remote.receive_cipher.n = 2
    remote.advance(50 - JUST)
    assert remote.heard(msg.Ping) == []
    remote.advance(JUST)
    assert len(remote.heard(msg.Ping)) == 1
    remote.advance(100 - JUST)
    assert not timed_out(remote)
    remote.advance(JUST)
    assert timed_out(remote)


def test_a_carrier_that_takes_nothing_is_given_up() -> None:
    remote = full_of_answers()
    start = remote.now
    assert remote.connection.next_timeout() == start + 150
    remote.connection.handle_timeout(start + 150 - JUST)
    assert remote.connection.next_event() is None
    remote.connection.handle_timeout(start + 150)
    closed = remote.connection.next_event()
    assert isinstance(closed, ev.Closed)
    assert closed.code is CloseCode.TIMEOUT
    remote.connection.handle_timeout(start + 150 + DRAIN_TIMEOUT)
    assert remote.connection.finished
    assert remote.connection.data_to_send() == []


def test_a_carrier_that_takes_something_now_and_then_is_not_given_up() -> None:
    remote = quiet(150, 150)
    for _ in range(5):
        remote.connection.send(cmd.Ping(b"12345678"))
        assert remote.connection.next_timeout() is not None
        remote.now += 40
        remote.connection.handle_timeout(remote.now)
        remote.settle()
        remote.say(msg.Pong(b"12345678"))
    assert remote.closed is None


# --- requests --------------------------------------------------------------------------------------------------------


def requesting(count: int = 2) -> Remote:
    remote = opened(idle=600)
    for number in range(count):
        remote.command(cmd.RequestBlocks(number, BLOB.topic, 0, number, 0, BLOB.length, BLOB.root))
    return remote.forget()


def test_requests_that_nobody_answers() -> None:
    remote = requesting()
    remote.advance(REQUEST_TIMEOUT - JUST)
    assert remote.heard(msg.Cancel) == []
    remote.advance(JUST)
    assert remote.heard(msg.Cancel) == [msg.Cancel(0), msg.Cancel(1)]
    assert remote.of(ev.RequestsTimedOut) == [ev.RequestsTimedOut(1)]
    assert remote.connection.snub_count == 1
    # What was cancelled is not cancelled again, what is new is.
    remote.command(cmd.RequestBlocks(7, BLOB.topic, 0, 2, 0, BLOB.length, BLOB.root))
    remote.forget().advance(2 * REQUEST_TIMEOUT)
    assert remote.heard(msg.Cancel) == [msg.Cancel(7)]
    assert remote.of(ev.RequestsTimedOut) == [ev.RequestsTimedOut(2), ev.RequestsTimedOut(3)]
    # The link stays, and DATA for what was cancelled is taken.
    remote.say(*BLOB.answer(0, 0, 0))
    assert remote.of(ev.BlocksReceived)
    assert remote.connection.snub_count == 0


@pytest.mark.parametrize(
    "frame", [BLOB.answer(0, 0, 0)[0], msg.Reject(0, RejectCode.BUSY, 0)], ids=lambda frame: type(frame).__name__
)
def test_data_and_reject_restart_the_request_timer(frame: msg.Frame) -> None:
    remote = requesting()
    remote.advance(29)
    remote.say(frame)
    remote.advance(REQUEST_TIMEOUT - JUST)
    assert not remote.of(ev.RequestsTimedOut)
    remote.advance(JUST)
    assert remote.of(ev.RequestsTimedOut)


def test_no_other_frame_does() -> None:
    remote = requesting()
    for _ in range(29):
        remote.advance(1)
        remote.say(msg.Have(0, (msg.Span(0, 0),)), msg.Ping(b"12345678"), msg.Credit(64))
    assert not remote.of(ev.RequestsTimedOut)
    remote.advance(1)
    assert remote.of(ev.RequestsTimedOut)


def test_the_request_timer_runs_only_while_a_request_is_open() -> None:
    remote = requesting(1)
    remote.say(msg.Reject(0, 1, 0))
    remote.advance(100)
    assert not remote.of(ev.RequestsTimedOut)
    remote.command(cmd.RequestBlocks(1, BLOB.topic, 0, 0, 0, BLOB.length, BLOB.root))
    remote.advance(20)
    # A further request does not restart it.
    remote.command(cmd.RequestBlocks(2, BLOB.topic, 0, 0, 0, BLOB.length, BLOB.root))
    remote.advance(10)
    assert remote.of(ev.RequestsTimedOut)


def test_a_reject_does_not_make_up_for_a_snub() -> None:
    remote = requesting()
    remote.advance(REQUEST_TIMEOUT)
    remote.say(msg.Reject(0, 1, 0))
    assert remote.connection.snub_count == 1


def test_requests_that_are_not_served_are_rejected() -> None:
    remote = opened()
    remote.say(msg.Request(1, 0, 0, 0, 1))
    remote.advance(10)
    remote.say(msg.Request(2, 0, 0, 2, 1))
    remote.advance(SERVE_TIMEOUT - 10 - JUST)
    assert remote.heard(msg.Reject) == []
    remote.advance(JUST)
    assert remote.heard(msg.Reject) == [msg.Reject(1, RejectCode.BUSY, 0), msg.Reject(2, RejectCode.BUSY, 0)]
    assert remote.of(ev.RequestWithdrawn) == [ev.RequestWithdrawn(1), ev.RequestWithdrawn(2)]


def test_data_restarts_the_serving_timer() -> None:
    remote = opened()
    remote.say(msg.Request(1, 0, 0, 0, 2), msg.Request(2, 0, 0, 0, 0))
    for number in range(4):
        remote.advance(SERVE_TIMEOUT - JUST)
        remote.command(cmd.SendBlock(1, BLOB.siblings(number, 0), BLOB.block(number)))
    remote.advance(SERVE_TIMEOUT - JUST)
    remote.command(cmd.SendBlock(2, BLOB.siblings(0, 0), BLOB.block(0)))
    remote.advance(40)
    assert not remote.heard(msg.Reject)
    # It is counted anew when the first request arrives.
    remote.say(msg.Request(3, 0, 0, 0, 0))
    remote.advance(SERVE_TIMEOUT - JUST)
    assert not remote.heard(msg.Reject)


@pytest.mark.parametrize("served", [True, False])
def test_the_serving_timer_is_counted_anew_when_a_first_request_arrives(served: bool) -> None:
    remote = opened()
    remote.say(msg.Request(1, 0, 0, 0, 0))
    if served:
        remote.command(cmd.SendBlock(1, BLOB.siblings(0, 0), BLOB.block(0)))
    else:
        remote.command(cmd.RejectRequest(1, RejectCode.BUSY))
    remote.forget().advance(15)
    remote.say(msg.Request(2, 0, 0, 0, 0))
    remote.advance(SERVE_TIMEOUT - JUST)
    assert remote.frames == []
    remote.advance(JUST)
    assert remote.frames == [msg.Reject(2, RejectCode.BUSY, 0)]


# --- several at once, and the clock ----------------------------------------------------------------------------------


def test_timers_that_run_out_together_do_not_act_on_a_link_that_is_over() -> None:
    """IDLE ends the link; REQUEST and SERVE, due at the same call, have nothing more to say."""
    remote = opened()
    remote.command(cmd.RequestBlocks(1, BLOB.topic, 0, 0, 0, BLOB.length, BLOB.root))
    remote.say(msg.Request(1, 0, 0, 0, 0))
    remote.forget()
    remote.now += 10_000
    remote.connection.handle_timeout(remote.now)
    remote.settle()
    assert isinstance(remote.frames[-1], msg.Close)
    assert len(remote.heard(msg.Close)) == 1
    assert isinstance(remote.events[-1], ev.Closed)


def test_a_refused_initiator_has_no_timer() -> None:
    remote = initiator()
    remote.settle()
    remote.feed(msg.encode_preamble(msg.Refusal(4, (1,), (1,))))
    assert remote.connection.next_timeout() is None
    remote.connection.handle_timeout(START + 1000)
    assert remote.connection.next_event() is None


@pytest.mark.parametrize("make", BOTH)
def test_a_clock_that_goes_back_is_taken_as_standing_still(make: MakeRemote) -> None:
    remote = make().open()
    due = remote.connection.next_timeout()
    for call in (remote.connection.handle_timeout, remote.connection.pause, remote.connection.resume):
        call(0.0)
    remote.connection.receive_data(remote.seal(msg.Ping(b"12345678").encode_frame()), 0.0)
    remote.settle()
    assert remote.connection.next_timeout() == due


def test_early_calls_do_no_harm() -> None:
    remote = quiet(150, 150)
    for _ in range(1000):
        remote.connection.handle_timeout(remote.now + 49.9)
    assert remote.connection.next_event() is None
    assert not remote.connection.has_output


def test_other_times_can_be_configured() -> None:
    timeouts = Timeouts(handshake=3, hello=2, ping=7, request=11, serve=5, drain=1)
    remote = responder(config("alice", BLOB, timeouts=timeouts))
    assert remote.connection.next_timeout() == START + 3
    remote.handshake()
    assert remote.connection.next_timeout() == START + 2
    remote.say(HELLO)
    assert remote.connection.next_timeout() == START + 7
    remote.say(remote.join(BLOB), msg.Request(1, 0, 0, 0, 0))
    assert remote.connection.next_timeout() == START + 5
    remote.command(cmd.CloseLink(CloseCode.NONE))
    assert remote.connection.next_timeout() == START + 1


# --- the parts -------------------------------------------------------------------------------------------------------


def test_timers_run_out_in_the_order_of_their_deadlines() -> None:
    timers = Timers(0.0)
    timers.start(Timer.SERVE, 3)
    timers.start(Timer.IDLE, 1)
    timers.start(Timer.DRAIN, 2)
    timers.start(Timer.OUTPUT, 9)
    timers.advance(5)
    assert [timers.expired() for _ in range(4)] == [Timer.IDLE, Timer.DRAIN, Timer.SERVE, None]
    assert timers.next(reading=True) == 9
    timers.stop_all()
    assert timers.next(reading=True) is None


@pytest.mark.parametrize("timer", Timer)
def test_which_timers_stand_still(timer: Timer) -> None:
    timers = Timers(0.0)
    timers.start(timer, 10)
    timers.advance(4)
    timers.reading = False
    timers.advance(20)
    stands = timer in OF_READING
    assert (timers.next(reading=False) is None) is stands
    assert (timers.expired() is None) is stands
    timers.reading = True
    if stands:
        assert timers.next(reading=True) == 26
        timers.advance(26)
        assert timers.expired() is timer


def test_a_bucket() -> None:
    bucket = TokenBucket(rate=2.0, burst=3.0, now=0.0)
    assert [bucket.take(1, 0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(1, 0.5)
    assert not bucket.take(1, 0.5)
    assert not bucket.take(1, 0.1)  # a clock that goes back
    bucket.add(1)
    assert bucket.take(1, 0.5)
    assert bucket.take(3, 100.0)
    assert not bucket.take(1, 100.0)
    assert not bucket.take(4, 1000.0)
