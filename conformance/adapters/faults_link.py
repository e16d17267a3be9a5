"""Faults of the reference on an established link: frames, records, HELLO, extensions, keepalive, closing."""

from __future__ import annotations

from typing import Any

import attrs
from p2pwire.connection import (
    connection,
    incoming,
    timers,
    transfer,
)
from p2pwire.connection.budget import ControlBudget
from p2pwire.connection.state import LinkState
from p2pwire.connection.timers import Timer, Timers
from p2pwire.crypto import identity
from p2pwire.node import asking
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, FrameType

import reference
from faults import before, cell, mutant, without_timer

# --- keepalive ---


@mutant
def pong_zeroed() -> None:
    incoming._HANDLERS[FrameType.PING] = lambda session, frame: bool(
        session.outbox.add(msg.Pong(bytes(8)).encode_frame(), answer=True) or True
    )


@mutant
def pong_twice() -> None:
    answer = incoming._HANDLERS[FrameType.PING]
    incoming._HANDLERS[FrameType.PING] = lambda session, frame: answer(session, frame) and answer(session, frame)


@mutant
def silent_peer_never_timed_out() -> None:
    without_timer(Timer.IDLE)


@mutant
def no_control_budget() -> None:
    ControlBudget.spend = lambda self, size, now: True


@mutant
def bytes_not_counted() -> None:
    spend = ControlBudget.spend
    ControlBudget.spend = lambda self, size, now: spend(self, 0, now)


@mutant
def pong_first() -> None:
    def first(session: Any, ping: Any) -> bool:
        frame = msg.Pong(ping.data).encode_frame()
        session.outbox._frames.insert(0, (frame, b""))
        session.outbox.waiting += len(frame)
        session.outbox.answers += len(frame)
        return True

    incoming._HANDLERS[FrameType.PING] = first


@mutant
def unasked_pong_rejected() -> None:
    def strict(session: Any, pong: Any) -> None:
        if pong.data not in (*session.pings, *session.own_pings):
            raise connection.LinkFault(CloseCode.PROTOCOL, "a PONG that nobody asked for")

    before(FrameType.PONG, strict)


@mutant
def open_pings_limited() -> None:
    def strict(session: Any, ping: Any) -> None:
        if session.outbox.answers > 11 * 8:
            raise connection.LinkFault(CloseCode.FLOOD, "too many PINGs")

    before(FrameType.PING, strict)


@mutant
def no_pings() -> None:
    without_timer(Timer.PING)


@mutant
def any_number_of_pings() -> None:
    connection.Session.may_ping = True


@mutant
def hello_not_timed() -> None:
    without_timer(Timer.HELLO)


# --- timers ---


@mutant
def request_timer_missing() -> None:
    without_timer(Timer.REQUEST)


@mutant
def serve_timer_missing() -> None:
    without_timer(Timer.SERVE)


@mutant
def output_timer_missing() -> None:
    without_timer(Timer.OUTPUT)


@mutant
def request_timer_closes() -> None:
    on_timer = connection.Connection._on_timer

    def closing(self: Any, timer: Timer) -> None:
        if timer is Timer.REQUEST:
            self._close(CloseCode.TIMEOUT, "a REQUEST was not answered")
        else:
            on_timer(self, timer)

    connection.Connection._on_timer = closing


@mutant
def cancelled_requests_forgotten() -> None:
    cancel_all = transfer.Requests.cancel_all

    def forgetting(self: Any) -> Any:
        found = list(cancel_all(self))
        for number in found:
            del self._open[number]
        return found

    transfer.Requests.cancel_all = forgetting


@mutant
def snubs_nobody() -> None:
    asking.Asking.timed_out = lambda self, link, event: False


@mutant
def time_always_counts() -> None:
    timers.OF_READING = frozenset()


@mutant
def timers_by_the_time_of_day() -> None:
    clock = reference.Run.do_clock

    def jump(self: Any, unix_time: float) -> None:
        ahead = unix_time - self.unix - self.now
        clock(self, unix_time)
        self.on_time(max(0, round(ahead * 1000)))

    reference.Run.do_clock = jump


# --- closing ---


@mutant
def no_close() -> None:
    connection.Connection._close = lambda self, code, text, frame_type=255: (
        self._give_up(code, text) if self._state not in connection._OVER else None
    )


@mutant
def wrong_code() -> None:
    close = connection.Connection._close
    connection.Connection._close = lambda self, code, text, frame_type=255: close(
        self, CloseCode.INTERNAL if code is CloseCode.PROTOCOL else code, text, frame_type
    )


@mutant
def nobody_blamed() -> None:
    close = connection.Connection._close
    connection.Connection._close = lambda self, code, text, frame_type=255: close(self, code, text)


@mutant
def truncation_hidden() -> None:
    report = connection.Connection._report
    connection.Connection._report = lambda self, code, reason, *, by_peer=False, truncated=False: report(
        self, code, reason, by_peer=by_peer
    )


@mutant
def close_answered() -> None:
    cell(LinkState.OPEN, FrameType.CLOSE, LinkState.OPEN)
    connection.Connection._on_close = lambda self, frame: self._close(CloseCode.NONE, "likewise")


@mutant
def no_drain() -> None:
    enter = connection.Connection._enter
    connection.Connection._enter = lambda self, state: enter(
        self, LinkState.CLOSED if state is LinkState.DRAINING and not self._outbox else state
    )
    _short_drain()


def _short_drain() -> None:
    start = Timers.start
    Timers.start = lambda self, which, *given: start(self, which, *((0.0,) if which is Timer.DRAIN else given))


@mutant
def ping_after_close() -> None:
    frame = connection.close_frame
    connection.close_frame = lambda *given: frame(*given) + msg.Ping(b"and this").encode_frame()


@mutant
def goes_on_after_close() -> None:
    cell(LinkState.OPEN, FrameType.CLOSE, LinkState.OPEN)
    connection.Connection._on_close = lambda self, frame: None


@mutant
def somebody_always_blamed() -> None:
    close = connection.close_frame
    connection.close_frame = lambda code, text, frame_type: close(code, text, 0 if frame_type == 0xFF else frame_type)


def _told_of_close(change: Any) -> None:
    """Tell the application something else of a CLOSE that came."""
    on_close = connection.Connection._on_close

    def changed(self: Any, frame: Any) -> None:
        on_close(self, frame)
        self._events.append(change(frame, self._events.pop()))

    connection.Connection._on_close = changed


@mutant
def unknown_code_means_nothing() -> None:
    _told_of_close(
        lambda frame, told: attrs.evolve(told, code=CloseCode.NONE) if frame.code not in set(CloseCode) else told
    )


@mutant
def detail_believed() -> None:
    _told_of_close(
        lambda frame, told: attrs.evolve(told, code=CloseCode.BAD_DATA) if "BAD_DATA" in frame.detail else told
    )


@mutant
def close_called_a_truncation() -> None:
    _told_of_close(lambda frame, told: attrs.evolve(told, truncated=True))


@mutant
def detail_tells_too_much() -> None:
    close = connection.Connection._close

    def telling(self: Any, code: CloseCode, text: str, *given: Any) -> None:
        close(self, code, f"{text} (key {self._config.identity.seed.hex()})", *given)

    connection.Connection._close = telling


@mutant
def drains_for_ever() -> None:
    without_timer(Timer.DRAIN)


@mutant
def content_forgotten_at_a_truncation() -> None:
    tell = reference.Run.tell

    def forgetting(self: Any, event: Any) -> None:
        tell(self, event)
        if isinstance(event, reference.ev.PeerDisconnected) and event.truncated:
            for topic, oid in list(self.oids.items()):
                self.node.forget(topic, self.now)
                self.fetch(bytes.fromhex(oid))

    reference.Run.tell = forgetting


# --- what must not show ---


@mutant
def refusal_tells_why() -> None:
    refuse = incoming._HANDLERS[FrameType.JOIN]

    def telling(session: Any, frame: Any) -> bool:
        known = frame.topic in session.topics.catalogue
        before = session.outbox.waiting
        found = refuse(session, frame)
        if known and session.outbox.waiting - before == 6:
            session.outbox.add(msg.Refuse(frame.handle, 0).encode_frame(), answer=True)
        return found

    incoming._HANDLERS[FrameType.JOIN] = telling


@mutant
def reject_tells_what_is_shared() -> None:
    heard: set[tuple[Any, int]] = set()

    def noting(session: Any, frame: Any) -> None:
        if frame.topic in session.topics.catalogue:
            heard.add((session, frame.handle))

    before(FrameType.JOIN, noting)
    say = connection.Session.say_reject
    handle = incoming._HANDLERS[FrameType.REQUEST]

    def telling(session: Any, frame: Any) -> bool:
        known = (session, frame.handle) in heard and session.topics.of_remote(frame.handle) is None
        connection.Session.say_reject = lambda self, request, code, *more: say(
            self, request, 2 if known else code, *more
        )
        try:
            return handle(session, frame)
        finally:
            connection.Session.say_reject = say

    incoming._HANDLERS[FrameType.REQUEST] = telling


@mutant
def identity_kept() -> None:
    from_seed = identity.Identity.from_seed
    identity.Identity.from_seed = staticmethod(lambda seed: from_seed(bytes([7]) * 32))
