"""One link without I/O: bytes and time go in, events and bytes come out (SPEC.md, "Links")."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from p2pwire.connection.commands import CloseLink, Command, LocalProtocolError
from p2pwire.connection.config import Config, Role
from p2pwire.connection.events import Closed, Event, OfferReceived, PeerIdentified, Refused
from p2pwire.connection.faults import LinkFault, SilentFault
from p2pwire.connection.grease import Grease, choose
from p2pwire.connection.handshake import Handshake
from p2pwire.connection.records import LENGTH_SIZE, Outbox, RecordOpener
from p2pwire.connection.session import Session
from p2pwire.connection.state import SILENT, Input, LinkInput, LinkState, LinkStep, next_link_state, step_link
from p2pwire.connection.timers import Timer, Timers
from p2pwire.crypto.noise import DecryptionFailed
from p2pwire.wire.messages import Buffer, Close, DecodeError
from p2pwire.wire.registry import (
    DRAIN_BYTES,
    FRAME_HEADER,
    MAGIC,
    MAX_CLOSE_DETAIL,
    MAX_HANDSHAKE_MESSAGE,
    MAX_PREAMBLE_BODY,
    MIN_PREAMBLE_BODY,
    MIN_RECORD,
    NO_FRAME_TYPE,
    PREAMBLE_HEADER,
    CloseCode,
    FrameType,
    PreambleKind,
    RefusalReason,
)

MAX_READ: Final = 256 * 1024
"""bytes that a caller should hand over at once: large enough that calls cost little, small enough to stay in caches."""

MAX_INPUT: Final = 2 * MAX_READ
"""bytes that may wait unparsed: one read more than there may be for a further read to be welcome."""

_PREAMBLES = {
    PreambleKind.INITIATOR: LinkInput.PREAMBLE_INITIATOR,
    PreambleKind.RESPONDER: LinkInput.PREAMBLE_RESPONDER,
    PreambleKind.REFUSAL: LinkInput.REFUSAL,
}
_WANTS_PREAMBLE = frozenset({LinkState.WAIT_RESPONSE, LinkState.WAIT_OFFER})
_WANTS_MESSAGE = frozenset({LinkState.WAIT_MESSAGE_1, LinkState.WAIT_MESSAGE_2, LinkState.WAIT_MESSAGE_3})
_WANTS_FRAMES = frozenset({LinkState.WAIT_HELLO, LinkState.OPEN})


class Connection:
    """One side of one link, in either role: `commands` go in, `events` come out.

    `now` is monotonic time in seconds, from any start. `random(n)` gives n unpredictable bytes.
    After `receive_data`, call `next_event` until it returns None, then send what `data_to_send` gives.
    """

    __slots__ = (
        "_buffer",
        "_config",
        "_discarded",
        "_end",
        "_ended",
        "_events",
        "_handshake",
        "_now",
        "_opener",
        "_outbox",
        "_plain",
        "_plain_at",
        "_role",
        "_session",
        "_start",
        "_state",
        "_timers",
        "identity",
    )

    def __init__(self, role: Role, config: Config, *, now: float, random: Callable[[int], bytes]) -> None:
        grease = Grease.of(choose(random) if config.grease is None else config.grease)
        self._role = role
        self._config = config
        self._now = now
        self._buffer = bytearray()
        self._start = self._end = 0
        self._plain: memoryview | None = None
        self._plain_at = 0
        self._ended = False
        self._discarded = 0
        self._events: deque[Event] = deque()
        self._outbox = Outbox()
        self._timers = Timers()
        self._opener: RecordOpener | None = None
        self._handshake: Handshake | None = Handshake(config, role, random, grease)
        self._session = Session(config, role, self._outbox, self._events, self._timers, random, grease=grease, now=now)
        self.identity: bytes | None = None
        """The other side's identity, 32 bytes, once it is proved."""
        self._timers.start(Timer.HANDSHAKE, now + config.timeouts.handshake)
        if role is Role.INITIATOR:
            self._state = LinkState.WAIT_RESPONSE
            self._outbox.add_plain(self._handshake.flight_1())
        else:
            self._state = LinkState.WAIT_OFFER

    def __repr__(self) -> str:
        return f"<Connection {self._role.name} {self._state.name}>"

    # --- what a caller may look at ---

    @property
    def role(self) -> Role:
        """Which side this is."""
        return self._role

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self._state

    @property
    def credit(self) -> int:
        """Blocks that may still be requested."""
        return self._session.requests.credit

    @property
    def requests_left(self) -> int:
        """How many more requests may be open."""
        return self._session.requests.max_open - len(self._session.requests)

    @property
    def snub_count(self) -> int:
        """How often requests timed out since the last block."""
        return self._session.requests.timeouts

    @property
    def ahead(self) -> int:
        """Blocks granted to the other side and not used up by requests that have ended."""
        return self._session.serving.ahead

    @property
    def granted(self) -> int:
        """Blocks granted to the other side in all."""
        return self._session.serving.credit_total

    @property
    def can_send(self) -> bool:
        """Whether blocks, HAVE, PEERS and SUGGEST may be added: little enough waits to be sent [FC-030]."""
        return self._outbox.waiting < self._config.limits.send_queue

    @property
    def can_join(self) -> bool:
        """Whether the other side has room for one more topic."""
        return self._session.topics.can_join()

    @property
    def wants_data(self) -> bool:
        """Whether the caller should read more: not while a complete message waits, or while answers pile up."""
        if self._state is LinkState.CLOSED or self._ended:
            return False
        return self._end - self._start <= MAX_INPUT - MAX_READ and not self._answers_full()

    @property
    def ended(self) -> bool:
        """Whether the end of the stream was received."""
        return self._ended

    @property
    def has_output(self) -> bool:
        """Whether `data_to_send` has something."""
        return bool(self._outbox)

    @property
    def output_ended(self) -> bool:
        """Whether nothing will be sent after `data_to_send` has been emptied: half-close the carrier then."""
        return self._state in (LinkState.DRAINING, LinkState.CLOSED) and not self._outbox

    @property
    def finished(self) -> bool:
        """Whether the carrier is to be closed."""
        return self._state is LinkState.CLOSED and not self._outbox

    def asked_for(self, topic: bytes) -> bool:
        """Whether the other side asked for a topic in vain before it was in the catalogue: it may be joined now."""
        return self._session.topics.asked_for(topic)

    def is_open(self, topic: bytes) -> bool:
        """Whether the topic is open on this link."""
        return self._session.topics.opened(topic) is not None

    def peer_units(self, topic: bytes) -> list[tuple[int, int]]:
        """What the other side holds of an open topic: inclusive spans of units."""
        opened = self._session.topics.opened(topic)
        return [] if opened is None else opened.units.spans()

    # --- input ---

    def receive_data(self, data: Buffer, now: float) -> None:
        """Take bytes as they came, any number; `b""` is the end of the stream. Nothing is parsed here.

        Raises `LocalProtocolError` for bytes after the end, or for more unparsed bytes than `MAX_INPUT`.
        """
        self._advance_clock(now)
        size = len(data)
        if self._ended and size:
            raise LocalProtocolError("bytes after the end of the stream")
        if self._state is LinkState.DRAINING and size:
            self._discarded += size
            if self._discarded >= DRAIN_BYTES:
                self._finish()
            return
        if self._state is LinkState.CLOSED:
            return
        if not size:
            self._ended = True
            return
        if self._end - self._start + size > MAX_INPUT:
            raise LocalProtocolError(f"more than {MAX_INPUT} bytes unparsed: call next_event")
        self._keep(data, size)

    def next_event(self) -> Event | None:
        """The next event, after parsing no more than it takes; None: wait for bytes, time, or room to send."""
        while not self._events:
            if not self._advance():
                return None
        return self._events.popleft()

    # --- commands and output ---

    def send(self, command: Command) -> None:
        """Carry out a command. Raises `LocalProtocolError`, having changed nothing, if the protocol forbids it now."""
        if isinstance(command, CloseLink):
            self._close(command.code, command.detail)
        elif self._state not in _WANTS_FRAMES:
            raise LocalProtocolError(f"{type(command).__name__}: the link is {self._state.name}")
        else:
            self._session.command(command, self._now)

    def data_to_send(self) -> list[Buffer]:
        """Buffers to send, in order; they are the caller's from now on."""
        buffers = self._outbox.take()
        self._timers.stop(Timer.OUTPUT)
        if self._ended and self._state is LinkState.DRAINING:
            self._end_of_stream()
        return buffers

    # --- time ---

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is to be called, on the caller's clock; None: not before something else happens."""
        self._watch_output()
        return self._timers.next()

    def handle_timeout(self, now: float) -> None:
        """Do what is due. Calling it early does no harm."""
        self._advance_clock(now)
        self._watch_output()
        for timer in self._timers.expire(now):
            self._on_timer(timer)

    def pause(self, now: float) -> None:
        """The caller stops reading for reasons of its own, for which the other side is not to blame [KA-012]."""
        self._advance_clock(now)
        self._timers.pause(self._now)

    def resume(self, now: float) -> None:
        """The caller reads again."""
        self._advance_clock(now)
        self._timers.resume(self._now)

    def _watch_output(self) -> None:
        """Time how long the carrier takes nothing of what waits [KA-014]."""
        if self._state not in _WANTS_FRAMES or not self._outbox:
            self._timers.stop(Timer.OUTPUT)
        elif not self._timers.running(Timer.OUTPUT):
            self._timers.start(Timer.OUTPUT, self._now + self._session.idle)

    # --- inside: input ---

    def _advance_clock(self, now: float) -> None:
        # Time can not go back, whatever the caller's clock does.
        if now > self._now:
            self._now = now

    def _keep(self, data: Buffer, size: int) -> None:
        buffer, start, end = self._buffer, self._start, self._end
        if start == end:
            start = end = 0
        elif start and end + size > len(buffer):
            buffer[: end - start] = buffer[start:end]
            start, end = 0, end - start
        buffer[end : end + size] = data
        self._start, self._end = start, end + size

    def _answers_full(self) -> bool:
        return self._outbox.answers > self._config.limits.answers

    def _advance(self) -> bool:
        """Parse one message. False if none is complete, or nothing more may be read now."""
        state = self._state
        try:
            if self._plain is not None:
                return self._read_frame(self._plain)
            if state in _WANTS_FRAMES:
                done = self._read_record()
            elif state in _WANTS_PREAMBLE:
                done = self._read_preamble()
            elif state in _WANTS_MESSAGE:
                done = self._read_message()
            else:
                done = False
            if not done and self._at_end():
                self._end_of_stream()
                return bool(self._events)
            return done
        except SilentFault as fault:
            self._give_up(fault.code, fault.text)
        except LinkFault as fault:
            self._close(fault.code, fault.text, fault.frame_type)
        return True

    def _enter(self, arrived: Input, text: str, frame_type: int = NO_FRAME_TYPE) -> None:
        """Move as the table says. Raises the fault of the cell."""
        cell = next_link_state(self._state, arrived)
        if cell is SILENT:
            raise SilentFault(text)
        if isinstance(cell, CloseCode):
            raise LinkFault(cell, text, frame_type)
        self._state = cell

    def _available(self, size: int) -> memoryview | None:
        """The next `size` unparsed bytes, still unparsed."""
        if self._end - self._start < size:
            return None
        return memoryview(self._buffer)[self._start : self._start + size]

    def _read_preamble(self) -> bool:
        have = self._end - self._start
        seen = bytes(self._buffer[self._start : self._start + min(have, PREAMBLE_HEADER)])
        if not MAGIC.startswith(seen[: len(MAGIC)]):
            raise SilentFault("the stream does not begin with the magic")
        if have < PREAMBLE_HEADER:
            return False
        length = int.from_bytes(seen[9:11], "big")
        arrived = _PREAMBLES.get(seen[8])  # type: ignore[call-overload]
        if arrived is None or not MIN_PREAMBLE_BODY <= length <= MAX_PREAMBLE_BODY:
            raise SilentFault(f"preamble of kind {seen[8]} and length {length}")
        raw = self._available(PREAMBLE_HEADER + length)
        if raw is None:
            return False
        preamble = bytes(raw)
        raw.release()
        self._start += len(preamble)
        self._enter(arrived, f"a preamble of kind {seen[8]} is not for this role")
        self._on_preamble(arrived, preamble)
        return True

    def _on_preamble(self, arrived: LinkInput, raw: bytes) -> None:
        handshake = self._running_handshake
        body = raw[PREAMBLE_HEADER:]
        if arrived is LinkInput.PREAMBLE_RESPONDER:
            handshake.read_response(raw, body)
        elif arrived is LinkInput.REFUSAL:
            reason, suite = handshake.read_refusal(body)
            self._events.append(Refused(reason, suite))
            code = CloseCode.BUSY if reason is RefusalReason.BUSY else CloseCode.NONE
            self._over(code, f"the responder refuses: {reason.name}", by_peer=True)
        else:
            refusing = handshake.read_offer(raw, body)
            if refusing is not None:
                self._outbox.add_plain(refusing.data)
                self._state = step_link(LinkState.WAIT_OFFER, LinkStep.SEND_REFUSAL)
                self._linger()
                code = CloseCode.BUSY if refusing.reason is RefusalReason.BUSY else CloseCode.NONE
                self._over(code, f"refused: {refusing.reason.name}")

    def _read_message(self) -> bool:
        have = self._end - self._start
        if have < LENGTH_SIZE:
            return False
        length = int.from_bytes(self._buffer[self._start : self._start + LENGTH_SIZE], "big")
        if not 1 <= length <= MAX_HANDSHAKE_MESSAGE:
            raise SilentFault(f"handshake message of {length} bytes, must be 1 to {MAX_HANDSHAKE_MESSAGE}")
        raw = self._available(LENGTH_SIZE + length)
        if raw is None:
            return False
        message = bytes(raw[LENGTH_SIZE:])
        raw.release()
        self._start += LENGTH_SIZE + length
        before = self._state
        self._enter(LinkInput.HANDSHAKE_MESSAGE, "a handshake message is not due")
        self._on_message(before, message)
        return True

    def _on_message(self, state: LinkState, message: bytes) -> None:
        handshake = self._running_handshake
        if state is LinkState.WAIT_MESSAGE_1:
            handshake.read_message_1(message)
            self._outbox.add_plain(handshake.flight_2())
            self._events.append(OfferReceived())
            return
        if state is LinkState.WAIT_MESSAGE_2:
            self.identity = identity = handshake.read_message_2(message)
            self._check_expected(identity)
            if identity in self._config.taken:
                raise SilentFault("there is a link to this identity already", CloseCode.DUPLICATE)  # [ID-022]
            if identity in self._config.banned:
                raise SilentFault("this identity is banned", CloseCode.NOT_ALLOWED)  # [TR-075]
            self._outbox.add_plain(handshake.message_3())
        else:
            identity = handshake.read_message_3(message)
            self._check_expected(identity)
        self._begin_session(handshake, identity)

    def _check_expected(self, identity: bytes) -> None:
        if self._config.expected not in (None, identity):
            raise SilentFault("another identity than the expected one", CloseCode.NOT_ALLOWED)  # [ID-010] [ID-011]

    def _begin_session(self, handshake: Handshake, identity: bytes) -> None:
        self.identity = identity
        sending, receiving = handshake.split()
        self._outbox.encrypt_with(sending)
        self._opener = RecordOpener(receiving)
        self._session.begin(handshake.hash, identity)
        self._handshake = None
        self._timers.stop(Timer.HANDSHAKE)
        if identity == self._config.identity.public:
            raise LinkFault(CloseCode.SELF, "both ends have the same identity")
        if identity in self._config.banned:
            raise LinkFault(CloseCode.NOT_ALLOWED, "this identity is banned")  # [TR-076]
        self._events.append(PeerIdentified(identity))
        self._session.say_hello()
        self._timers.start(Timer.HELLO, self._now + self._config.timeouts.hello)

    def _read_record(self) -> bool:
        if self._answers_full():
            return False
        start, buffer = self._start, self._buffer
        if self._end - start < LENGTH_SIZE:
            return False
        length = buffer[start] << 8 | buffer[start + 1]
        if length < MIN_RECORD:
            # A record that can hold no frame is as final as one that does not decrypt [EN-004].
            raise SilentFault(f"record of {length} bytes, the least is {MIN_RECORD}")
        raw = self._available(LENGTH_SIZE + length)
        if raw is None:
            return False
        assert self._opener is not None
        try:
            with raw:
                plaintext = self._opener.open(raw[LENGTH_SIZE:])
        except DecryptionFailed as error:
            raise SilentFault(str(error)) from None
        self._start = start + LENGTH_SIZE + length
        self._session.record_received(self._now)
        self._plain = memoryview(plaintext)
        self._plain_at = 0
        return True

    def _read_frame(self, plain: memoryview) -> bool:
        if self._answers_full():
            return False
        at = self._plain_at
        body_at = at + FRAME_HEADER
        if body_at > len(plain):
            raise LinkFault(CloseCode.PROTOCOL, f"{len(plain) - at} bytes after the record's last frame")
        frame_type = plain[at]
        after = body_at + (plain[at + 1] << 8 | plain[at + 2])
        if after > len(plain):
            raise LinkFault(CloseCode.PROTOCOL, "a frame goes past its record's end", frame_type)
        if after == len(plain):
            self._plain = None
        self._plain_at = after
        arrived = self._session.input_of(frame_type)
        state = self._state
        self._enter(arrived, f"frame {frame_type:#04x} while the link is {state.name}", frame_type)
        try:
            closing = self._session.receive(arrived, frame_type, plain[body_at:after], self._now)
        except DecodeError as error:
            raise LinkFault(CloseCode.PROTOCOL, str(error), frame_type) from None
        except LinkFault as fault:
            raise LinkFault(fault.code, fault.text, frame_type) from None
        if closing is not None:
            self._closed_by_peer(closing)
        elif arrived is FrameType.HELLO:
            self._timers.stop(Timer.HELLO)
        return True

    # --- inside: ends ---

    @property
    def _running_handshake(self) -> Handshake:
        assert self._handshake is not None
        return self._handshake

    def _at_end(self) -> bool:
        """Whether the stream ended and all of it is read; what is still to be said goes out first."""
        if not self._ended or self._state is LinkState.CLOSED or self._answers_full():
            return False
        return self._state is not LinkState.DRAINING or not self._outbox

    def _end_of_stream(self) -> None:
        draining = self._state is LinkState.DRAINING
        self._enter(LinkInput.END, "the stream ended")
        self._finish()
        if not draining:
            self._over(CloseCode.NONE, "the stream ended without CLOSE", by_peer=True, truncated=True)

    def _closed_by_peer(self, close: Close) -> None:
        self._finish()
        try:
            code = CloseCode(close.code)
        except ValueError:
            code = CloseCode.INTERNAL
        self._events.append(Closed(code, close.code, close.detail, by_peer=True, truncated=False))

    def _give_up(self, code: CloseCode, text: str) -> None:
        """End without a word."""
        self._finish()
        self._over(code, text)

    def _close(self, code: CloseCode, text: str, frame_type: int = NO_FRAME_TYPE) -> None:
        """Send CLOSE if the handshake is over, else end without a word; after that nothing is sent."""
        if self._state in (LinkState.DRAINING, LinkState.CLOSED):
            return
        detail = text.encode("utf-8", "replace")[:MAX_CLOSE_DETAIL].decode("utf-8", "ignore")
        detail = "".join(c if c.isprintable() else "?" for c in detail)
        in_session = self._opener is not None
        if in_session:
            self._outbox.add(Close(code, frame_type, detail).encode_frame(), answer=True)
        else:
            self._outbox.drop()
        self._state = step_link(self._state, LinkStep.SEND_CLOSE)
        if in_session:
            self._linger()
        else:
            self._finish()
        self._over(code, text)

    def _linger(self) -> None:
        """Discard what comes until stream, time or bytes end: a reset would destroy what was sent [CL-010]."""
        self._plain = None
        self._start = self._end = 0
        self._timers.stop_all()
        self._timers.start(Timer.DRAIN, self._now + self._config.timeouts.drain)

    def _finish(self) -> None:
        """Nothing comes or goes any more."""
        self._outbox.drop()
        self._state = step_link(self._state, LinkStep.DRAINED)
        self._timers.stop_all()
        self._plain = None
        self._start = self._end = 0

    def _over(self, code: CloseCode, reason: str, *, by_peer: bool = False, truncated: bool = False) -> None:
        self._events.append(Closed(code, int(code), reason, by_peer, truncated))

    def _on_timer(self, timer: Timer) -> None:
        if timer is Timer.HANDSHAKE:
            self._give_up(CloseCode.TIMEOUT, "the handshake took too long")
        elif timer is Timer.HELLO:
            self._close(CloseCode.TIMEOUT, "HELLO did not come")
        elif timer is Timer.IDLE:
            if self._answers_full():
                self._timers.start(Timer.IDLE, self._now + self._session.idle)
            else:
                self._close(CloseCode.TIMEOUT, "nothing came for the idle time")
        elif timer is Timer.OUTPUT:
            self._close(CloseCode.TIMEOUT, "nothing could be sent for the idle time")
        elif timer is Timer.DRAIN:
            self._finish()
        else:
            self._session.on_timer(timer, self._now)
