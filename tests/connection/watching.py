"""What holds of a connection whatever is done to it, looked at from outside after each call."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import MAX_INPUT, Connection
from p2pwire.connection.outgoing import MAX_QUEUE
from p2pwire.connection.state import LINK_STEPS, LINK_TABLE, LinkState, TopicState
from p2pwire.connection.topics import MAX_ASKED
from p2pwire.content.bitmap import Bitmap
from p2pwire.wire.registry import MAX_OPEN_PINGS, MAX_RECORD_PLAINTEXT

MAX_EVENTS: Final = 2000
"""events that may wait: what one message causes is told before the next is parsed, and the most that one ends is 1024
requests; each command and timer adds as few."""


def _reachable() -> Mapping[LinkState, frozenset[LinkState]]:
    """The states that can follow on each, by the tables alone."""
    after = {
        state: {cell for cell in LINK_TABLE[state].values() if isinstance(cell, LinkState)}
        | {cell for cell in LINK_STEPS[state].values() if cell is not None}
        | {state}
        for state in LinkState
    }
    for _ in LinkState:
        after = {state: set[LinkState]().union(*(after[each] for each in found)) for state, found in after.items()}
    return {state: frozenset(found) for state, found in after.items()}


REACHABLE: Final = _reachable()
_OVER: Final = (LinkState.DRAINING, LinkState.CLOSED)
_BEFORE_OPEN: Final = (ev.OfferReceived, ev.PeerIdentified, ev.LinkEstablished, ev.Refused, ev.Closed)
_PARSED_ONE_BY_ONE: Final = 3


class Watch:
    """Told of all commands that were carried out and all events in order, it fails where they make no sense."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.closed: ev.Closed | None = None
        self.established = False
        self._state = connection.state
        self._told: list[type] = []
        self._open: set[bytes] = set()
        self._left: set[bytes] = set()
        """Topics left by a command: events from before may still tell of them."""
        self._learned: set[bytes] = set()
        self._asked: dict[int, cmd.RequestBlocks] = {}
        self._next: dict[int, int] = {}
        self._owed: set[int] = set()

    # --- what is done, and what is told ---

    def did(self, command: cmd.Command) -> None:
        """A command was carried out."""
        match command:
            case cmd.Leave():
                self._left.add(command.topic)
                self._open.discard(command.topic)
            case cmd.RequestBlocks():
                assert command.id not in self._asked, "an id was taken twice"
                self._asked[command.id] = command
                self._next[command.id] = command.block
            case cmd.RejectRequest():
                self._owed.discard(command.id)
            case cmd.SendBlock() | cmd.SendBlocks():
                if command.last:
                    self._owed.discard(command.id)

    def ended(self, request: int) -> None:
        """A request of the other side was answered."""
        self._owed.discard(request)

    def told(self, event: ev.Event) -> None:
        """The next event."""
        assert self.closed is None, f"{event} after the last event"
        assert self.established or isinstance(event, _BEFORE_OPEN), f"{event} before the link was open"
        self._told.append(type(event)) if len(self._told) < _PARSED_ONE_BY_ONE else None
        match event:
            case ev.OfferReceived():
                assert self.connection.role is Role.RESPONDER
                assert self._told == [ev.OfferReceived]
            case ev.PeerIdentified():
                first = [ev.OfferReceived] if self.connection.role is Role.RESPONDER else []
                assert self._told == [*first, ev.PeerIdentified]
                assert event.identity == self.connection.identity
            case ev.LinkEstablished():
                assert self._told[-1] is ev.LinkEstablished
                assert self._told.count(ev.PeerIdentified) == 1
                assert not self.established
                self.established = True
            case ev.Refused():
                assert self.connection.role is Role.INITIATOR
                assert self._told == [ev.Refused]
            case ev.Closed():
                self.closed = event
            case _:
                self._session_told(event)

    def _session_told(self, event: ev.Event) -> None:
        match event:
            case ev.TopicOpened():
                assert event.topic not in self._open, "a topic was opened twice"
                self._open.add(event.topic)
                self._left.discard(event.topic)
                self._learned.discard(event.topic)
            case ev.TopicClosed():
                self._has(event.topic)
                self._open.discard(event.topic)
            case ev.TopicRefused():
                assert event.topic not in self._open, "an open topic was refused"
            case ev.ObjectLearned():
                self._has(event.topic)
                assert event.info.topic == event.topic, "an object of another topic"
                assert event.topic not in self._learned or event.topic in self._left, "an object was told twice"
                self._learned.add(event.topic)
            case ev.UnitsChanged():
                self._has(event.topic)
                assert event.added or event.removed
                for spans in (event.added, event.removed):
                    assert all(first <= last for first, last in spans)
                    assert list(spans) == sorted(spans)
            case ev.TopicFlagsChanged() | ev.InterestChanged() | ev.UnitsSuggested():
                self._has(event.topic)
            case ev.PeersReceived() | ev.PeersWanted():
                self._has(event.topic)
            case _:
                self._transfer_told(event)

    def _transfer_told(self, event: ev.Event) -> None:
        match event:
            case ev.RequestReceived():
                self._has(event.topic)
                assert event.id not in self._owed, "a request was opened twice"
                self._owed.add(event.id)
            case ev.RequestWithdrawn():
                self._owed.discard(event.id)
            case ev.BlocksReceived():
                asked = self._asked[event.request]
                assert (event.topic, event.file) == (asked.topic, asked.file)
                assert event.block == self._next[event.request], "a block out of turn"
                assert 0 < len(event.data) == len(event.proved)
                self._next[event.request] += len(event.data)
                assert self._next[event.request] <= asked.block + (1 << asked.level), "more blocks than were asked for"
            case ev.RequestEnded():
                asked = self._asked.pop(event.request)
                assert (event.topic, event.file, event.block, event.level) == (
                    *(asked.topic, asked.file, asked.block, asked.level),
                )
                assert event.blocks == self._next.pop(event.request) - asked.block, "blocks were not told of"

    def _has(self, topic: bytes) -> None:
        assert topic in self._open or topic in self._left, "a topic that is not open"

    # --- what can be seen ---

    def look(self) -> None:
        """Compare what can be seen with what is promised."""
        connection = self.connection
        state = connection.state
        assert state in REACHABLE[self._state], f"{state.name} after {self._state.name}"
        self._state = state
        if self.closed is not None:
            assert state in _OVER
        for number in (connection.credit, connection.requests_left, connection.ahead, connection.room):
            assert number >= 0
        if connection.finished:
            assert not connection.has_output
            assert not connection.wants_data
            assert connection.next_timeout() is None
        else:
            due = connection.next_timeout()
            # Each timer runs for a time that has a bound, and stands still only where nothing is read.
            assert due is None or due < connection._timers.now + connection._timers._stood + 4000
        assert connection.output_ended is (state in _OVER and not connection.has_output)
        self._held()

    def _held(self) -> None:
        """How much is held, class by class."""
        connection, session, limits = self.connection, self.connection._session, self.connection._config.limits
        topics, outbox, inbox = session.topics, connection._outbox, connection._inbox
        assert len(inbox) <= MAX_INPUT
        assert len(inbox._rest) <= 2 + 65535
        assert outbox.answers <= outbox.waiting < MAX_QUEUE + limits.answers + 2 * MAX_RECORD_PLAINTEXT
        assert len(connection._events) <= MAX_EVENTS
        assert len(topics._by_local) <= topics.max_local
        states = [topic.state for topic in topics._by_name.values()]
        assert TopicState.FREE not in states
        assert states.count(TopicState.OPEN) == topics._opened <= limits.max_handles
        assert states.count(TopicState.LEAVING) == topics.leaving
        assert len(topics._by_remote) <= len(topics._by_name) == len(topics._by_local)
        assert topics._used.bit_length() <= 65536
        assert len(topics._asked) <= MAX_ASKED
        assert len(session.requests) <= session.requests.max_open
        assert len(session.serving) <= limits.max_requests
        assert len(session.pings) + len(session.own_pings) <= MAX_OPEN_PINGS


# --- comparing ---


def snapshot(connection: Connection) -> object:
    """All that a connection knows and holds, as something that can be compared."""
    return _plain(connection, set())


_SAME: Final = (Enum, int, float, str, bytes, bytearray, memoryview, type(None))


def attributes(cls: type) -> tuple[str, ...]:
    """The names of what objects of a class hold, beside those of its bases; compiled or not."""
    return tuple(getattr(cls, "__mypyc_attrs__", getattr(cls, "__slots__", ())))


def _plain(value: Any, seen: set[int]) -> object:
    if isinstance(value, _SAME):
        return bytes(value) if isinstance(value, bytearray | memoryview) else value
    if id(value) in seen or isinstance(value, Config | ev.BlocksReceived):
        # Met before, or frozen and large.
        return id(value)
    seen.add(id(value))
    if isinstance(value, Bitmap):
        return value.spans()
    if isinstance(value, Mapping):
        return tuple((key, _plain(each, seen)) for key, each in value.items())
    if isinstance(value, list | tuple | deque):
        return tuple(_plain(each, seen) for each in value)
    if isinstance(value, set | frozenset):
        return frozenset(value)
    names = [name for cls in type(value).__mro__ for name in attributes(cls)]
    if type(value).__module__.startswith("p2pwire.") and names:
        return tuple((name, _plain(getattr(value, name), seen)) for name in names if hasattr(value, name))
    return id(value)
