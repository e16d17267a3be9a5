"""Two connections on which every public method is called in any order."""

from __future__ import annotations

from typing import ClassVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.config import Config, Extension, Limits
from p2pwire.connection.connection import MAX_READ
from p2pwire.connection.state import LinkState
from p2pwire.testing.pair import Pair, Side
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, RejectCode
from tests.connection.remote import Blob, config
from tests.connection.watching import Watch, snapshot

BLOBS = [Blob(5, seed="one", tail=100), Blob(1, seed="two", tail=7), Blob(2, seed="three")]
UNKNOWN = Blob(1, seed="in no catalogue")

blobs = st.sampled_from([*BLOBS, UNKNOWN])
topics = blobs.map(lambda blob: blob.topic)
sides = st.sampled_from(["initiator", "responder"])
units = st.integers(-1, 70000)
ids = st.integers(-1, 4)
spans = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=3).map(tuple)
pieces = st.one_of(st.integers(1, 40), st.integers(1, 5000), st.just(MAX_READ))

chatter = st.one_of(
    st.builds(cmd.Join, topics),
    st.builds(cmd.Leave, topics),
    st.builds(lambda blob: cmd.TellObject(blob.topic, blob.info), blobs),
    st.builds(cmd.TellUnits, topics, spans),
    st.builds(cmd.TellLost, topics, spans),
    st.builds(cmd.TellInterest, topics, st.booleans()),
    st.builds(cmd.GrantCredit, st.integers(60, 400) | st.sampled_from([-1, 2**64 - 1, 2**64])),
    st.builds(cmd.SuggestUnits, topics, units, units),
    st.builds(
        lambda blob, *rest: cmd.RequestBlocks(rest[0], blob.topic, *rest[1:], blob.length, blob.root),
        *(blobs, ids, st.integers(0, 1), st.integers(0, 5), st.integers(0, 3)),
    ),
    st.builds(cmd.CancelRequest, ids),
    st.builds(cmd.RejectRequest, ids, st.sampled_from([*RejectCode, 0]), st.floats(-1, 100)),
    st.builds(cmd.SharePeers, topics, st.just((msg.SharedRecord(0, b"x"),)), st.just(())),
    st.builds(cmd.AskPeers, topics, st.integers(0, 256)),
    st.builds(cmd.Ping, st.binary(min_size=7, max_size=8)),
    st.builds(cmd.SendExtension, st.sampled_from(["test/1", "none"]), st.integers(-1, 3), st.binary(max_size=9)),
)


class Calls(RuleBasedStateMachine):
    """Whatever is called: no more is raised, kept or reported than is said; honest sides never blame each other."""

    HONEST: ClassVar = frozenset({CloseCode.NONE, CloseCode.TIMEOUT, CloseCode.SHUTDOWN, CloseCode.FLOOD})

    @initialize(handles=st.integers(1, 3), requests=st.integers(1, 3), answers=st.sampled_from([20, 65536]))
    def begin(self, handles: int, requests: int, answers: int) -> None:
        limits = Limits(max_handles=handles, max_requests=requests, answers=answers, send_queue=40_000)
        self.pair = Pair(*(self.config(name, limits) for name in ("alice", "bob")))
        self.watches = {side: Watch(side.connection) for side in self.pair.sides}
        self.tampered = False
        self.served: dict[tuple[str, int], tuple[Blob, ev.RequestReceived, int]] = {}

    @staticmethod
    def config(name: str, limits: Limits) -> Config:
        known = BLOBS if name == "alice" else BLOBS[:2]
        return config(name, *known, limits=limits, extensions=(Extension("test/1", 0x80, 2),))

    def side(self, name: str) -> Side:
        return getattr(self.pair, name)

    # --- bytes ---

    @rule(name=sides, size=pieces)
    def carry(self, name: str, size: int) -> None:
        side = self.side(name)
        if side.arriving and side.connection.wants_data:
            side.connection.receive_data(side.arriving[:size], self.pair.now)
            del side.arriving[:size]

    @rule(name=sides, tells_time=st.booleans())
    def take_bytes(self, name: str, tells_time: bool) -> None:
        source = self.side(name)
        over = source.connection.output_ended
        data = b"".join(source.connection.data_to_send(self.pair.now if tells_time else None))
        assert not (over and data)
        self.pair.other(source).arriving += data

    @rule(name=sides)
    def run_until_quiet(self, name: str) -> None:
        self.pair.run(self.take)
        self.agree()

    def agree(self) -> None:
        """Both sides of an open link on which nothing is under way say the same of each topic."""
        one, other = (side.connection for side in self.pair.sides)
        waits = any(side.arriving or side.connection.has_output or side.connection.ended for side in self.pair.sides)
        if waits or not one.state is other.state is LinkState.OPEN:
            return
        for blob in (*BLOBS, UNKNOWN):
            assert one.is_open(blob.topic) is other.is_open(blob.topic)
        assert (one.leaving, other.leaving) == (0, 0)

    @rule(name=sides)
    def end(self, name: str) -> None:
        side = self.side(name)
        if self.pair.other(side).connection.output_ended and not side.arriving:
            side.connection.receive_data(b"", self.pair.now)

    @rule(name=sides, data=st.binary(min_size=1, max_size=30))
    def bytes_that_may_not_be(self, name: str, data: bytes) -> None:
        """Too many, or after the end."""
        connection = self.side(name).connection
        try:
            connection.receive_data(bytes(MAX_READ + 1), self.pair.now)
        except LocalProtocolError:
            pass
        else:
            raise AssertionError("more than may be was taken")
        if connection.ended:
            try:
                connection.receive_data(data, self.pair.now)
            except LocalProtocolError:
                pass
            else:
                raise AssertionError("bytes were taken after the end")

    # --- events ---

    @rule(name=sides, count=st.integers(1, 5))
    def take_some(self, name: str, count: int) -> None:
        for _ in range(count):
            self.take_one(self.side(name))

    def take(self, side: Side) -> None:
        while self.take_one(side):
            pass

    def take_one(self, side: Side) -> bool:
        event = side.connection.next_event()
        if event is None:
            return False
        self.watches[side].told(event)
        side.events.append(event)
        name = side.connection.role.name
        match event:
            case ev.RequestReceived():
                blob = next(blob for blob in BLOBS if blob.topic == event.topic)
                self.served[name, event.id] = (blob, event, event.block)
            case ev.RequestWithdrawn():
                self.served.pop((name, event.id), None)
            case ev.Closed():
                assert self.tampered or event.code in self.HONEST, event
        return True

    # --- commands ---

    @rule(name=sides, command=chatter)
    def send(self, name: str, command: cmd.Command) -> None:
        side = self.side(name)
        if not self.carried_out(side, command):
            return
        if isinstance(command, cmd.RejectRequest):
            self.served.pop((side.connection.role.name, command.id), None)

    def carried_out(self, side: Side, command: cmd.Command) -> bool:
        """Give a command. If it is refused, everything has to be as it was."""
        side.connection._advance_clock(self.pair.now)
        before = snapshot(side.connection)
        try:
            side.connection.send(command, self.pair.now)
        except LocalProtocolError:
            assert snapshot(side.connection) == before, f"{command} was refused, and something has changed"
            return False
        self.watches[side].did(command)
        return True

    @rule(name=sides)
    def serve(self, name: str) -> None:
        """The next block of each request, as a caller does that is told of requests by events."""
        side = self.side(name)
        for (owner, number), (blob, request, block) in list(self.served.items()):
            if owner != side.connection.role.name:
                continue
            answer = blob.answer(number, request.block, request.level)
            index = block - request.block
            if index >= len(answer):
                continue
            data = answer[index]
            last = data is answer[-1]
            if not self.carried_out(side, cmd.SendBlock(number, data.proof, data.data, last)):
                continue
            if last:
                self.watches[side].ended(number)
            self.served[owner, number] = (blob, request, block + 1)

    @rule(name=sides, code=st.sampled_from([CloseCode.NONE, CloseCode.SHUTDOWN]), close=st.integers(0, 30))
    def close(self, name: str, code: CloseCode, close: int) -> None:
        if not close:
            self.side(name).connection.send(cmd.CloseLink(code), self.pair.now)

    # --- time ---

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 11.0, 25.0]), name=sides)
    def wait(self, seconds: float, name: str) -> None:
        self.pair.now += seconds
        due = self.side(name).connection.next_timeout()
        if due is not None and due <= self.pair.now:
            self.side(name).connection.handle_timeout(self.pair.now)

    @rule(name=sides, back=st.floats(0, 2000))
    def look_at_the_clock_early(self, name: str, back: float) -> None:
        self.side(name).connection.handle_timeout(self.pair.now - back)

    @rule(name=sides, reads=st.booleans())
    def hold(self, name: str, reads: bool) -> None:
        connection = self.side(name).connection
        (connection.resume if reads else connection.pause)(self.pair.now)

    # --- what always holds ---

    @invariant()
    def bounded(self) -> None:
        for side in self.pair.sides:
            self.watches[side].look()

    def teardown(self) -> None:
        """Left alone, both sides come to rest, with one last event each if the link is over."""
        for side in self.pair.sides:
            side.connection.resume(self.pair.now)
        self.pair.run(self.take)
        self.pair.initiator.connection.send(cmd.CloseLink(CloseCode.NONE), self.pair.now)
        self.pair.run(self.take)
        self.pair.advance(10)
        for side in self.pair.sides:
            self.take(side)
            assert side.connection.finished
            assert isinstance(side.events[-1], ev.Closed)


class TamperedCalls(Calls):
    """The same with a carrier that changes and cuts bytes."""

    @rule(name=sides, at=st.integers(0, 10_000), bit=st.integers(0, 7), rare=st.integers(0, 5))
    def tamper(self, name: str, at: int, bit: int, rare: int) -> None:
        arriving = self.side(name).arriving
        if arriving and not rare:
            self.tampered = True
            arriving[at % len(arriving)] ^= 1 << bit

    @rule(name=sides, rare=st.integers(0, 20))
    def cut(self, name: str, rare: int) -> None:
        if not rare:
            self.tampered = True
            side = self.side(name)
            side.arriving.clear()
            side.connection.receive_data(b"", self.pair.now)
            # What the other side sends from now on never arrives.
            self.pair.other(side).connection.receive_data(b"", self.pair.now)


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=40, stateful_step_count=60, deadline=None, derandomize=True)
TestTamperedCalls = TamperedCalls.TestCase
TestTamperedCalls.settings = settings(max_examples=25, stateful_step_count=60, deadline=None, derandomize=True)
