"""One link without I/O: bytes and time go in, events and bytes come out (SPEC.md, "A session at a glance").

A byte's way in: `inbox` (whole messages) ▸ `handshake`, or `inbox` (decrypted frames) ▸ `state` (may it come now?) ▸
`incoming` (what it does) ▸ an event. A command's way out: `outgoing` ▸ `outbox` ▸ bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pwire.connection.commands import CloseLink, Command, LocalProtocolError
from p2pwire.connection.config import Config, Role
from p2pwire.connection.events import Closed, Event, OfferReceived, PeerIdentified, Refused
from p2pwire.connection.faults import LinkFault, SilentFault
from p2pwire.connection.grease import Grease, choose
from p2pwire.connection.handshake import Handshake, encode_message
from p2pwire.connection.inbox import Inbox
from p2pwire.connection.incoming import input_of, receive
from p2pwire.connection.outbox import Outbox
from p2pwire.connection.outgoing import carry_out, close_frame
from p2pwire.connection.session import Session
from p2pwire.connection.state import SILENT, Input, LinkInput, LinkState, LinkStep, next_link_state, step_link
from p2pwire.connection.tap import Piece, TappedCipher
from p2pwire.connection.timers import Timer, Timers
from p2pwire.wire.messages import Buffer, Close, DecodeError, EncodeError
from p2pwire.wire.registry import (
    DRAIN_BYTES,
    MAGIC,
    NO_FRAME_TYPE,
    CloseCode,
    FrameType,
    PreambleKind,
    RefusalReason,
)

MAX_READ: Final = 512 * 1024
"""bytes that a caller may hand over at once: large enough that calls cost little, small enough to stay in caches."""

MAX_INPUT: Final = MAX_READ + 64 * 1024
"""bytes that may wait unparsed: a read, and the record that is not whole before it."""

_PREAMBLES: Final = {
    int(PreambleKind.INITIATOR): LinkInput.PREAMBLE_INITIATOR,
    int(PreambleKind.RESPONDER): LinkInput.PREAMBLE_RESPONDER,
    int(PreambleKind.REFUSAL): LinkInput.REFUSAL,
}
_WANTS_PREAMBLE: Final = frozenset({LinkState.WAIT_RESPONSE, LinkState.WAIT_OFFER})
_WANTS_MESSAGE: Final = frozenset({LinkState.WAIT_MESSAGE_1, LinkState.WAIT_MESSAGE_2, LinkState.WAIT_MESSAGE_3})
_WANTS_FRAMES: Final = frozenset({LinkState.WAIT_HELLO, LinkState.OPEN})
_OVER: Final = frozenset({LinkState.DRAINING, LinkState.CLOSED})
_STEADY: Final = frozenset(
    int(frame_type) for frame_type in FrameType if next_link_state(LinkState.OPEN, frame_type) is LinkState.OPEN
)
"""Frames that leave an open link open: nearly all that come."""

# What every message asks for: before Python 3.12 a member read on its class costs more than a call.
_OPEN: Final = LinkState.OPEN
_DRAINING: Final = LinkState.DRAINING
_WAIT_MESSAGE_1: Final = LinkState.WAIT_MESSAGE_1
_WAIT_MESSAGE_2: Final = LinkState.WAIT_MESSAGE_2
_CLOSED: Final = LinkState.CLOSED
_HANDSHAKE_MESSAGE: Final = LinkInput.HANDSHAKE_MESSAGE
_OUTPUT: Final = Timer.OUTPUT
_DATA: Final = int(FrameType.DATA)


class Connection:
    """One side of one link, in either role: commands go in, events come out.

    After each `receive_data`, `send` and `handle_timeout`: call `next_event` until it returns None, send what
    `data_to_send` gives, read on if `wants_data`, and call `handle_timeout` when `next_timeout` has come. Close the
    carrier when it is `finished`. Calls in another order do no harm.
    """

    __slots__ = (
        "_config",
        "_discarded",
        "_ended",
        "_events",
        "_exhausted",
        "_handshake",
        "_held",
        "_inbox",
        "_outbox",
        "_role",
        "_session",
        "_state",
        "_timers",
        "identity",
    )

    def __init__(self, role: Role, config: Config, *, now: float, random: Callable[[int], bytes]) -> None:
        """The carrier has been opened. `now` is monotonic time in seconds, from any start; `random(n)` gives n
        unpredictable bytes. Raises `ValueError` for a config that HELLO can not say.
        """
        grease = Grease.of(choose(random) if config.grease is None else config.grease)
        self._role = role
        self._config = config
        self._inbox = Inbox()
        self._outbox = Outbox()
        self._events: list[Event] = []
        self._timers = Timers(now)
        self._held = False
        self._exhausted = False
        """All that can be parsed is, until bytes come or answers leave."""
        self._ended = False
        self._discarded = 0
        self._handshake: Handshake | None = Handshake(config, role, random, grease)
        self._session = Session(config, role, self._outbox, self._events, self._timers, random, grease=grease)
        self.identity: bytes | None = None
        """The other side's identity, 32 bytes, as soon as it is proved, also if the link is not wanted then."""
        self._timers.start(Timer.HANDSHAKE, config.timeouts.handshake)
        if role is Role.INITIATOR:
            self._state = LinkState.WAIT_RESPONSE
            self._send_clear(self._handshake.flight_1())
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
        """Where the link stands; events that are not taken yet may tell of it."""
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
    def room(self) -> int:
        """Bytes after which `can_send` is false: the frame that takes the last of them may be longer."""
        return max(0, self._config.limits.send_queue - self._outbox.waiting)

    @property
    def can_join(self) -> bool:
        """Whether the other side has room for one more topic."""
        return self._session.topics.can_join()

    @property
    def most_topics(self) -> int:
        """How many topics can be open at a time, as both sides limit it."""
        return self._session.topics.most

    @property
    def leaving(self) -> int:
        """How many topics this side has left that the other side has not: they still take a handle."""
        return self._session.topics.leaving

    @property
    def wants_data(self) -> bool:
        """Whether the caller should read: not while enough waits to be parsed, or while answers pile up [FC-032]."""
        if self._ended or self._state is _CLOSED:
            return False
        return self._state is _DRAINING or (len(self._inbox) <= MAX_INPUT - MAX_READ and not self._answers_full())

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
        """Whether nothing will be sent after `data_to_send` has been emptied: half-close the carrier then [CL-021]."""
        return self._state in _OVER and not self._outbox

    @property
    def finished(self) -> bool:
        """Whether the carrier is to be closed: nothing comes or goes any more."""
        return self._state is _CLOSED

    def asked_for(self, topic: bytes) -> bool:
        """Whether the other side asked for a topic in vain before it was in the catalogue: it may be joined now."""
        return self._session.topics.asked_for(topic)

    def is_open(self, topic: bytes) -> bool:
        """Whether the topic is open on this link, and the link is not over."""
        return self._state is _OPEN and self._session.topics.opened(topic) is not None

    def peer_units(self, topic: bytes) -> list[tuple[int, int]]:
        """What the other side holds of an open topic: inclusive spans of units."""
        opened = self._session.topics.opened(topic)
        return [] if opened is None else opened.units.spans()

    def peer_holds(self, topic: bytes, first: int, last: int | None = None) -> bool:
        """Whether the other side holds a unit of an open topic, or all from the first to the last."""
        opened = self._session.topics.opened(topic)
        if opened is None:
            return False
        return first in opened.units if last is None else opened.units.holds(first, last)

    def peer_count(self, topic: bytes) -> int:
        """How many units of an open topic the other side holds."""
        opened = self._session.topics.opened(topic)
        return 0 if opened is None else opened.units.count

    # --- bytes ---

    def receive_data(self, data: Buffer, now: float) -> None:
        """Take bytes as they came, at most `MAX_READ`; `b""` is the end of the stream. Nothing is parsed here.

        Raises `LocalProtocolError` for more at once, for more than `MAX_INPUT` unparsed, and for bytes after the end.
        """
        self._advance_clock(now)
        size = len(data)
        if size > MAX_READ:
            raise LocalProtocolError(f"{size} bytes at once, the limit is {MAX_READ}")
        if self._ended and size:
            raise LocalProtocolError("bytes after the end of the stream")
        self._exhausted = False
        if not size:
            self._ended = True
        elif self._state is _DRAINING:
            self._discarded += size
            if self._discarded >= DRAIN_BYTES:
                self._step(LinkStep.DRAINED)  # [CL-010]
        elif self._state is not _CLOSED:
            if len(self._inbox) + size > MAX_INPUT:
                raise LocalProtocolError(f"more than {MAX_INPUT} bytes unparsed: see wants_data")
            self._inbox.add(data)

    def next_event(self) -> Event | None:
        """The next event, after parsing no more than it takes; None: wait for bytes, time, or room to send."""
        events = self._events
        while not events:
            if self._exhausted:
                return None
            try:
                if not (self._read_frames() if self._state in _WANTS_FRAMES else self._read_clear()):
                    self._exhausted = not (self._ended and self._end_of_stream())
            except SilentFault as silent:
                self._session.requests.tell_blocks()
                self._give_up(silent.code, silent.text)
            except LinkFault as fault:
                self._session.requests.tell_blocks()
                self._close(fault.code, fault.text, fault.frame_type)
        return events.pop(0)

    def data_to_send(self, now: float | None = None) -> list[Buffer]:
        """Buffers to send, in order; they are the caller's from now on. Call it when those before are sent.

        Without `now`, if this makes room to read again, time counts again only when the connection is told the time.
        """
        if now is not None:
            self._advance_clock(now)
        if self._answers_full():
            self._exhausted = False
        buffers = self._outbox.take()
        self._timers.stop(_OUTPUT)
        if now is not None:
            self._timers.reading = not self._held  # no answers wait any more
        if self._ended and self._state is _DRAINING:
            self._end_of_stream()
        return buffers

    # --- commands ---

    def send(self, command: Command, now: float | None = None) -> None:
        """Carry out a command. Raises `LocalProtocolError`, having changed nothing, if the protocol forbids it now.

        Without `now` it counts as given when the connection was last told the time: the timers of requests, which
        `RequestBlocks` and `SendBlock` start, then run out early.
        """
        if now is not None:
            self._advance_clock(now)
        if isinstance(command, CloseLink):
            try:
                self._close(command.code, command.detail, command.frame_type)
            except EncodeError as error:
                raise LocalProtocolError(error.text) from None
        elif self._state not in _WANTS_FRAMES:
            raise LocalProtocolError(f"{type(command).__name__}: the link is {self._state.name}")
        else:
            carry_out(self._session, command)

    # --- time ---

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is to be called, on the caller's clock; None: not before something else happens."""
        self._watch_output()
        return self._timers.next(reading=not (self._held or self._answers_full()))

    def handle_timeout(self, now: float) -> None:
        """Do what is due. Calling it early does no harm."""
        self._advance_clock(now)
        self._watch_output()
        while (timer := self._timers.expired()) is not None:
            self._on_timer(timer)

    def pause(self, now: float) -> None:
        """The caller stops reading for reasons of its own, for which the other side is not to blame [KA-012]."""
        self._advance_clock(now)
        self._held = True
        self._timers.reading = False

    def resume(self, now: float) -> None:
        """The caller reads again."""
        self._held = False
        self._advance_clock(now)

    # --- inside: time ---

    def _advance_clock(self, now: float) -> None:
        timers = self._timers
        timers.advance(now)
        timers.reading = not (self._held or self._answers_full())

    def _answers_full(self) -> bool:
        return self._outbox.answers > self._config.limits.answers

    def _watch_output(self) -> None:
        """Time how long the carrier takes nothing of what waits [KA-014]."""
        if self._state not in _WANTS_FRAMES or not self._outbox:
            self._timers.stop(_OUTPUT)
        elif not self._timers.running(_OUTPUT):
            self._timers.start(_OUTPUT, self._session.idle)

    def _on_timer(self, timer: Timer) -> None:
        match timer:
            case Timer.HANDSHAKE:
                self._give_up(CloseCode.TIMEOUT, "the handshake took too long")  # [TM-004]
            case Timer.HELLO:
                self._close(CloseCode.TIMEOUT, "HELLO did not come")  # [TM-005]
            case Timer.IDLE:
                self._close(CloseCode.TIMEOUT, "nothing came for the idle time")  # [KA-011]
            case Timer.OUTPUT:
                self._close(CloseCode.TIMEOUT, "nothing could be sent for the idle time")  # [KA-014]
            case Timer.DRAIN:
                self._step(LinkStep.DRAINED)  # [CL-010]
            case _:
                self._session.on_timer(timer)

    # --- inside: input ---

    def _read_clear(self) -> bool:
        """A preamble or a message of the handshake. False if none is complete."""
        state = self._state
        if state in _WANTS_PREAMBLE:
            preamble = self._inbox.preamble()
            if preamble is not None:
                self._heard_clear(preamble)
                self._on_preamble(preamble)
                return True
        elif state in _WANTS_MESSAGE:
            message = self._inbox.handshake_message()
            if message is not None:
                if self._config.tap is not None:
                    self._heard_clear(encode_message(message))
                self._on_message(message)
                return True
        return False

    def _cell(self, arrived: Input, frame_type: int = NO_FRAME_TYPE) -> LinkState:
        """The state after this input. Raises the fault of the cell."""
        cell = next_link_state(self._state, arrived)
        if isinstance(cell, LinkState):
            return cell
        text = f"{arrived.name} while the link is {self._state.name}"
        if cell is SILENT:
            raise SilentFault(text)
        raise LinkFault(cell, text, frame_type)

    def _on_preamble(self, raw: bytes) -> None:
        kind = raw[len(MAGIC)]
        arrived = _PREAMBLES.get(kind)
        if arrived is None:
            raise SilentFault(f"preamble of kind {kind}")
        after = self._cell(arrived)  # [VN-005] [VN-006]
        handshake = self._running_handshake
        if arrived is LinkInput.PREAMBLE_RESPONDER:
            handshake.read_response(raw)
            self._enter(after)
        elif arrived is LinkInput.REFUSAL:
            reason, suite = handshake.read_refusal(raw)
            self._enter(after)
            self._events.append(Refused(reason, suite))
            self._report(_code_of(reason), f"the responder refuses: {reason.name}", by_peer=True)
        else:
            refusing = handshake.read_offer(raw)
            if refusing is None:
                self._enter(after)
            else:
                self._send_clear(refusing.data)
                self._step(LinkStep.SEND_REFUSAL)  # [VN-051]
                self._report(_code_of(refusing.reason), f"refused: {refusing.reason.name}")

    def _on_message(self, message: bytes) -> None:
        after = self._cell(_HANDSHAKE_MESSAGE)
        handshake = self._running_handshake
        if self._state is _WAIT_MESSAGE_1:
            handshake.read_message_1(message)
            self._send_clear(handshake.flight_2())
            self._enter(after)
            self._events.append(OfferReceived())
            return
        # What is looked at in an identity, and in which order [ID-016].
        if self._state is _WAIT_MESSAGE_2:
            identity = self._met(handshake.read_message_2(message))
            if identity != self._config.identity.public:
                self._check_wanted(identity)
            self._send_clear(handshake.message_3())
        else:
            identity = self._met(handshake.read_message_3(message))
        sending, receiving = handshake.split()
        if self._config.tap is not None:
            sending = TappedCipher(sending, self._config.tap, self._role)
            receiving = TappedCipher(receiving, self._config.tap, self._role.other)
        self._outbox.encrypt_with(sending)
        self._inbox.decrypt_with(receiving)
        handshake_hash = handshake.hash
        self._handshake = None  # [HS-015]
        self._timers.stop(Timer.HANDSHAKE)
        self._enter(after)
        if identity == self._config.identity.public:
            raise LinkFault(CloseCode.SELF, "both ends have the same identity")  # [ID-012] [ID-013]
        if identity in self._config.banned:
            raise LinkFault(CloseCode.NOT_ALLOWED, "this identity is banned")  # [TR-076]
        self._session.begin(handshake_hash, identity)
        self._events.append(PeerIdentified(identity))

    def _send_clear(self, data: bytes) -> None:
        self._outbox.add_plain(data)
        if self._config.tap is not None:
            self._config.tap(self._role, Piece.CLEAR, data)

    def _heard_clear(self, data: bytes) -> None:
        if self._config.tap is not None:
            self._config.tap(self._role.other, Piece.CLEAR, data)

    def _met(self, identity: bytes) -> bytes:
        """The other side has proved its identity."""
        self.identity = identity
        if self._config.expected not in (None, identity):
            raise SilentFault("another identity than the expected one", CloseCode.NOT_ALLOWED)  # [ID-010] [ID-011]
        return identity

    def _check_wanted(self, identity: bytes) -> None:
        """An initiator says no more to a peer with which it wants no link, or no second one."""
        if identity in self._config.banned:
            raise SilentFault("this identity is banned", CloseCode.NOT_ALLOWED)  # [TR-075]
        if identity in self._config.taken:
            raise SilentFault("there is a link to this identity already", CloseCode.DUPLICATE)  # [ID-022]

    @property
    def _running_handshake(self) -> Handshake:
        assert self._handshake is not None
        return self._handshake

    def _read_frames(self) -> bool:
        """The blocks that are due, or one frame. False if none is complete, or nothing more may be read now."""
        if self._outbox.answers and self._answers_full():
            self._timers.reading = False
            return self._session.requests.tell_blocks()
        inbox, session, state = self._inbox, self._session, self._state
        while True:
            if inbox.next_type == _DATA and state is _OPEN:
                inbox.take(_DATA, session.take_blocks, self._events)
                session.took_blocks()
                if self._events:
                    return True
            found = inbox.frame()
            if found is not None:
                break
            if not inbox.open_record():
                return session.requests.tell_blocks()
            session.record_received()
        frame_type, body = found
        try:
            if state is _OPEN and frame_type in _STEADY:
                receive(session, frame_type, body)
            else:
                self._receive_by_table(frame_type, body)
        except DecodeError as error:
            raise LinkFault(CloseCode.PROTOCOL, str(error), frame_type) from None  # [GN-007]
        except LinkFault as fault:
            raise LinkFault(fault.code, fault.text, frame_type) from None  # [CL-004]
        return True

    def _receive_by_table(self, frame_type: int, body: bytes) -> None:
        """A frame that may change the state of the link, or may not come now."""
        after = self._cell(input_of(self._session, frame_type), frame_type)
        close = receive(self._session, frame_type, body)
        if after is not self._state:
            self._enter(after)
        if close is not None:
            self._on_close(close)

    # --- inside: ends ---

    def _enter(self, state: LinkState) -> None:
        """Be in a state that a table gave, and let go of what it does not need."""
        self._state = state
        if state is _DRAINING:
            # A reset would destroy what was sent last: what comes is read for a while, unseen [CL-010].
            self._inbox.destroy()
            self._handshake = None
            self._timers.stop_all()
            self._timers.start(Timer.DRAIN, self._config.timeouts.drain)
        elif state is _CLOSED:
            self._inbox.destroy()
            self._outbox.destroy()
            self._handshake = None
            self._timers.stop_all()

    def _step(self, step: LinkStep) -> None:
        after = step_link(self._state, step)
        assert after is not None, f"{step.name} in {self._state.name}"
        self._enter(after)

    def _report(self, code: CloseCode, reason: str, *, by_peer: bool = False, truncated: bool = False) -> None:
        """The last event. Each way from a live state to DRAINING or CLOSED comes by here once."""
        self._events.append(Closed(code, int(code), reason, by_peer, truncated))

    def _end_of_stream(self) -> bool:
        """All of the stream is parsed. False if something is still to be sent, or it was seen before."""
        if self._state is _CLOSED or self._answers_full():
            return False
        if self._state is _DRAINING and self._outbox:
            return False
        truncated = self._state is not _DRAINING
        self._enter(self._cell(LinkInput.END))
        if truncated:
            # [CL-040]
            self._report(CloseCode.NONE, "the stream ended without CLOSE", by_peer=True, truncated=True)
        return True

    def _on_close(self, close: Close) -> None:
        try:
            code = CloseCode(close.code)
        except ValueError:
            code = CloseCode.INTERNAL  # [CL-006]
        self._events.append(Closed(code, close.code, close.detail, by_peer=True, truncated=False))

    def _give_up(self, code: CloseCode, text: str) -> None:
        """End without a word."""
        self._step(LinkStep.GIVE_UP)
        self._report(code, text)

    def _close(self, code: CloseCode, text: str, frame_type: int = NO_FRAME_TYPE) -> None:
        """Say CLOSE if the handshake is over, else end without a word; nothing on a link that is over."""
        if self._state in _WANTS_FRAMES:
            self._outbox.add(close_frame(code, text, frame_type), answer=True)
            self._step(LinkStep.SEND_CLOSE)
            self._report(code, text)
        elif self._state not in _OVER:
            self._give_up(code, text)


def _code_of(reason: RefusalReason) -> CloseCode:
    return CloseCode.BUSY if reason is RefusalReason.BUSY else CloseCode.NONE
