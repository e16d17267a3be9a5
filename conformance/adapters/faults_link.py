"""Faults of the reference on the level of one link: framing, versions, handshake, records, keepalive, closing."""

from __future__ import annotations

from typing import Any

import attrs
from p2pwire.connection import connection, handshake, inbox, incoming, records
from p2pwire.connection.budget import ControlBudget
from p2pwire.connection.state import LinkInput, LinkState
from p2pwire.connection.timers import Timer, Timers
from p2pwire.crypto import identity, noise
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, FrameType

from faults import cell, mutant, without_timer

# --- framing ---


@mutant
def unknown_even_ignored() -> None:
    cell(LinkState.OPEN, LinkInput.UNKNOWN_CRITICAL, LinkState.OPEN)


@mutant
def unknown_odd_rejected() -> None:
    cell(LinkState.OPEN, LinkInput.UNKNOWN_IGNORABLE, CloseCode.UNKNOWN_FRAME)


@mutant
def trailing_bytes_accepted() -> None:
    decode = msg.decode_frame

    def lenient(kind: int, body: Any) -> Any:
        return decode(kind, body[:8] if kind == FrameType.PING else body)

    msg.decode_frame = lenient


@mutant
def record_split_frames_dropped() -> None:
    frame = inbox.Inbox.frame

    def lenient(self: Any) -> Any:
        try:
            return frame(self)
        except connection.LinkFault:
            self._plain = None
            return None

    inbox.Inbox.frame = lenient


@mutant
def first_frame_of_a_record_only() -> None:
    frame = inbox.Inbox.frame

    def one(self: Any) -> Any:
        found = frame(self)
        self._plain = None
        return found

    inbox.Inbox.frame = one


# --- versions ---


@mutant
def suite_by_own_order() -> None:
    decode = handshake.InitiatorPreamble.decode

    def sorted_suites(data: Any) -> Any:
        found = decode(data)
        return attrs.evolve(found, suites=tuple(sorted(found.suites)))

    handshake.InitiatorPreamble.decode = sorted_suites


@mutant
def wrong_suite_accepted() -> None:
    decode = handshake.ResponderPreamble.decode

    def always_one(data: Any) -> Any:
        return attrs.evolve(decode(data), suite=1)

    handshake.ResponderPreamble.decode = always_one


@mutant
def duplicates_in_lists_accepted() -> None:
    decode = handshake.InitiatorPreamble.decode

    def lenient(data: bytes) -> Any:
        count = data[0]
        listed = dict.fromkeys(data[1 + 2 * n : 3 + 2 * n] for n in range(count))
        return decode(bytes([len(listed)]) + b"".join(listed) + data[1 + 2 * count :])

    handshake.InitiatorPreamble.decode = lenient


# --- handshake ---


@mutant
def magic_unchecked() -> None:
    preamble = inbox.Inbox.preamble

    def blind(self: Any) -> bytes | None:
        size = min(len(self._rest), len(inbox.MAGIC))
        self._rest[:size] = inbox.MAGIC[:size]
        return preamble(self)

    inbox.Inbox.preamble = blind


@mutant
def second_hello_accepted() -> None:
    cell(LinkState.OPEN, FrameType.HELLO, LinkState.OPEN)
    first = incoming._HANDLERS[FrameType.HELLO]
    incoming._HANDLERS[FrameType.HELLO] = lambda session, frame: session.established or first(session, frame)


@mutant
def signature_unchecked() -> None:
    handshake.verify = lambda *given: True


@mutant
def small_order_identity_accepted() -> None:
    identity.is_acceptable_key = lambda key: True


@mutant
def responder_hash_unsigned() -> None:
    verify = identity.verify
    # Whoever checks a shorter text accepts the signature that leaves preamble_R out.
    handshake.verify = lambda key, purpose, content, s: (
        verify(key, purpose, content, s) or verify(key, purpose, content[:32], s)
    )


@mutant
def ephemeral_constant() -> None:
    begin = handshake.Handshake.__init__

    def constant(self: Any, config: Any, role: Any, random: Any, grease: Any) -> None:
        begin(self, config, role, lambda size: b"\7" * size, grease)

    handshake.Handshake.__init__ = constant


@mutant
def expected_identity_unchecked() -> None:
    def met(self: Any, found: bytes) -> bytes:
        self.identity = found
        return found

    connection.Connection._met = met


@mutant
def no_handshake_timeout() -> None:
    without_timer(Timer.HANDSHAKE)


# --- records ---


@mutant
def counter_gap_accepted() -> None:
    decrypt = noise.CipherState.decrypt

    def lenient(self: Any, sealed: Any, ad: bytes = b"") -> bytes:
        first = self.n
        for n in (first, first + 1, first + 2):
            self.n = n
            try:
                return decrypt(self, sealed, ad)
            except noise.DecryptionFailed:
                continue
        self.n = first
        return decrypt(self, sealed, ad)

    noise.CipherState.decrypt = lenient


@mutant
def replay_accepted() -> None:
    decrypt = noise.CipherState.decrypt

    def lenient(self: Any, sealed: Any, ad: bytes = b"") -> bytes:
        try:
            return decrypt(self, sealed, ad)
        except noise.DecryptionFailed:
            if not self.n:
                raise
            self.n -= 1
            return decrypt(self, sealed, ad)

    noise.CipherState.decrypt = lenient


@mutant
def no_rekey() -> None:
    records.RecordOpener.open = lambda self, sealed: self._cipher.decrypt(sealed)


@mutant
def close_after_a_bad_tag() -> None:
    give_up = connection.Connection._give_up

    def talkative(self: Any, code: CloseCode, text: str) -> None:
        if self._state in connection._WANTS_FRAMES:
            self._close(CloseCode.PROTOCOL, text)
        else:
            give_up(self, code, text)

    connection.Connection._give_up = talkative


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
