"""Targets: the whole connection, in both roles, before the handshake is over and after it.

Before it the fuzzer's bytes are the stream itself. Afterwards they are a script, carried out by a friendly peer: frames
of any bytes, encrypted as they have to be, frames as they should be and almost so, time, commands, cuts and pauses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.config import Config, Extension, Limits, Role
from p2pwire.connection.connection import MAX_READ
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, RejectCode
from tests.connection.remote import HELLO, Blob, Remote, config, raw
from tests.connection.watching import Watch, snapshot
from tests.fuzz.script import Script

MAX_EVENTS: Final = 100_000
"""events that the few KiB of an input may cause, by far: more is a hang."""

BLOBS: Final = [Blob(5, seed="one", tail=100), Blob(1, seed="two", tail=7), Blob(2, seed="three")]
UNKNOWN: Final = Blob(1, seed="in no catalogue")
TIMES: Final = (0.0, 0.01, 1.0, 5.0, 31.0, 61.0, 151.0, 4000.0)
LIMITS: Final = Limits(max_handles=2, max_requests=3, send_queue=50_000, answers=300, control_burst=64)


def _configs(role: Role) -> list[Config]:
    """Settings of which the first byte of a stream takes one."""
    return [
        config("alice", *BLOBS),
        config("alice", psk=bytes(range(32))),
        config("alice", busy=True),
        config("alice", suites=(1, 2), key_suite=2 if role is Role.INITIATOR else None),
        config("alice", binding=b"tied"),
    ]


class Watched(Remote):
    """A friendly peer that watches, and looks at each thing as it happens."""

    def __init__(self, role: Role, under_test: Config, suite: int = 1) -> None:
        super().__init__(role, under_test, suite=suite)
        self.watch = Watch(self.connection)
        self._count = 0

    def take_events(self) -> None:
        while self.take_event() is not None:
            pass

    def take_event(self) -> ev.Event | None:
        event = self.connection.next_event()
        if event is not None:
            self._count += 1
            assert self._count < MAX_EVENTS, "no end of events"
            self.watch.told(event)
            self.heard_event(event)
        return event

    def heard_event(self, event: ev.Event) -> None:
        """For those who want to know."""

    def finish(self) -> None:
        """Close, let time go by: it comes to its end, with one last event."""
        self.connection.resume(self.now)
        self.settle()
        self.connection.send(cmd.CloseLink(CloseCode.NONE), self.now)
        self.settle()
        self.now += 1000
        self.connection.handle_timeout(self.now)
        self.settle()
        self.watch.look()
        assert self.connection.finished
        assert self.watch.closed is not None


# --- before the handshake is over ---


def initiator(data: bytes) -> None:
    """Any bytes as the answer to an initiator."""
    _stream(Role.INITIATOR, data)


def responder(data: bytes) -> None:
    """Any bytes to a responder."""
    _stream(Role.RESPONDER, data)


def _stream(role: Role, data: bytes) -> None:
    script = Script(data)
    remote = Watched(role, script.choose(_configs(role)))
    size = (MAX_READ, 1, 7, 64)[script.number(4)]
    stream = script.rest()
    for at in range(0, len(stream), size):
        if remote.connection.wants_data:
            remote.connection.receive_data(stream[at : at + size], remote.now)
        remote.take_events()
        remote.connection.data_to_send(remote.now)
        remote.watch.look()
    if not remote.connection.finished:
        remote.connection.receive_data(b"", remote.now)
    remote.take_events()
    remote.connection.data_to_send(remote.now)
    remote.now += 1000
    remote.connection.handle_timeout(remote.now)
    remote.take_events()
    remote.watch.look()
    assert remote.connection.finished
    assert remote.watch.closed is not None


def transcript(role: Role, setting: int, *frames: bytes) -> bytes:
    """An input for these targets: a handshake as it should be, and frames."""

    class Recorder(Remote):
        def feed(self, data: bytes) -> None:
            heard.extend(data)
            super().feed(data)

    heard = bytearray((setting, 0))
    under_test = _configs(role)[setting]
    suite = 3 if under_test.psk is not None else under_test.key_suite or 1
    remote = Recorder(role, under_test, suite=suite)
    if role is Role.RESPONDER:
        remote.open()
        remote.say(*frames)
    else:
        # A responder hears before it speaks; its handshake does not go through `feed`.
        remote.settle()
        flight = remote.answer()
        heard += flight
        remote.connection.receive_data(flight, remote.now)
        remote.take_events()
        remote.raw += b"".join(remote.connection.data_to_send())
        remote.read_message()
        remote.split()
        remote._encrypted += remote.raw
        remote.raw.clear()
        remote._decrypt()
        remote.say(HELLO, *frames)
    return bytes(heard)


# --- after the handshake ---


def link_initiator(data: bytes) -> None:
    """A script for the peer of an initiator."""
    Friendly(Role.INITIATOR, data).run()


def link_responder(data: bytes) -> None:
    """A script for the peer of a responder."""
    Friendly(Role.RESPONDER, data).run()


class Friendly(Watched):
    """Carries out a script, one step for each byte."""

    def __init__(self, role: Role, data: bytes) -> None:
        super().__init__(role, config("alice", *BLOBS, limits=LIMITS, extensions=(Extension("test/1", 0x80, 2),)))
        self.script = Script(data)
        self.plain = bytearray()
        """Frames that are not in a record yet."""
        self.arriving = bytearray()
        self.owed: dict[int, tuple[Blob, ev.RequestReceived, int]] = {}
        self.asked: dict[int, tuple[Blob, cmd.RequestBlocks, int]] = {}

    def run(self) -> None:
        """All of it, and the end."""
        script = self.script
        self.handshake()
        theirs = msg.Extensions((msg.Extension("test/1", 0x90, 2, b""),)).encode()
        greeting = msg.Hello(3, 2, 150, (msg.HelloParameter(4, theirs),))
        # Most scripts begin with an open link.
        if script.number(8):
            self.say(greeting)
        while script:
            STEPS[script.number(len(STEPS))](self)
            self.watch.look()
        self.seal_plain()
        self.deliver(len(self.arriving))
        self.finish()

    def heard_event(self, event: ev.Event) -> None:
        match event:
            case ev.RequestReceived():
                blob = next(blob for blob in BLOBS if blob.topic == event.topic)
                self.owed[event.id] = (blob, event, event.block)
            case ev.RequestWithdrawn():
                self.owed.pop(event.id, None)
            case ev.BlocksReceived():
                blob = next(blob for blob in BLOBS if blob.topic == event.topic)
                for number, block in enumerate(event.data, event.block):
                    assert bytes(block) == blob.block(number), "unverified bytes came out"
            case ev.ObjectLearned():
                assert event.info in [blob.info for blob in BLOBS]
            case ev.RequestEnded():
                self.asked.pop(event.request, None)

    # --- steps ---

    def any_frame(self) -> None:
        """A frame of any type, with any bytes."""
        frame_type = self.script.number(256)
        self.plain += raw(frame_type, self.script.take(self.script.number(256)))

    def any_bytes(self) -> None:
        """What may be no frame at all."""
        self.plain += self.script.take(self.script.number(64))

    def good_join(self) -> None:
        """JOIN with the right cap."""
        blob = self.script.choose([*BLOBS, UNKNOWN])
        self.plain += self.join(blob, self.script.number(4), flags=self.script.number(8)).encode_frame()

    def good_object(self) -> None:
        """OBJECT of one blob."""
        self.plain += self.object(self.script.choose(BLOBS), self.script.number(4)).encode_frame()

    def good_data(self) -> None:
        """The next block of a request, unless it is changed."""
        script = self.script
        if not self.asked:
            return
        number = script.choose(list(self.asked))
        blob, request, block = self.asked[number]
        answer = blob.answer(number, request.block, request.level)
        index = block - request.block
        if index >= len(answer):
            return
        frame = answer[index].encode_frame()
        change = script.number(16)
        if change < 4:
            damaged = bytearray(frame)
            damaged[3 + script.number(65536) % (len(damaged) - 3)] ^= 1 + script.number(255)
            frame = bytes(damaged)
        elif change == 4:
            frame = raw(frame[0], frame[3 : len(frame) - 1 - script.number(64)])
        self.asked[number] = (blob, request, block + 1)
        self.plain += frame

    def seal_plain(self) -> None:
        """Put the frames into records."""
        for at in range(0, len(self.plain), 60_000):
            self.arriving += self.seal(bytes(self.plain[at : at + 60_000]))
        self.plain.clear()

    def arrive(self) -> None:
        """Let some of it arrive."""
        self.seal_plain()
        self.deliver((1, 2, 30, 70_000)[self.script.number(4)])

    def deliver(self, size: int) -> None:
        """So many bytes, if they are wanted."""
        if self.connection.wants_data and not self.connection.ended:
            self.connection.receive_data(self.arriving[:size], self.now) if self.arriving[:size] else None
            del self.arriving[:size]
        self.take_events()

    def bytes_out(self) -> None:
        """Take what it says, which has to be well-formed."""
        self.take_bytes()

    def event(self) -> None:
        """Take one event."""
        self.take_event()

    def damage(self) -> None:
        """Bytes that no cipher made."""
        self.arriving += self.script.take(self.script.number(32))

    def time(self) -> None:
        """Time goes by."""
        self.now += self.script.choose(TIMES)
        due = self.connection.next_timeout()
        if due is not None and due <= self.now:
            self.connection.handle_timeout(self.now)

    def clock_back(self) -> None:
        """A clock that jumps back."""
        self.connection.handle_timeout(self.now - self.script.choose(TIMES))

    def hold(self) -> None:
        """Stop to read, or go on."""
        (self.connection.pause if self.script.number(2) else self.connection.resume)(self.now)

    def stream_end(self) -> None:
        """The end of the stream; rarely, for little follows."""
        if not self.script.number(8):
            self.connection.receive_data(b"", self.now)

    def tell(self) -> None:
        """A command."""
        script = self.script
        command = COMMANDS[script.number(len(COMMANDS))](self, script)
        if isinstance(command, cmd.CloseLink) and script.number(8):
            return
        self.connection._advance_clock(self.now)
        before = snapshot(self.connection)
        try:
            self.connection.send(command, self.now)
        except LocalProtocolError as error:
            assert str(error)
            assert snapshot(self.connection) == before, f"{command} was refused, and something has changed"
            return
        self.watch.did(command)
        self._did(command)

    def _did(self, command: cmd.Command) -> None:
        match command:
            case cmd.RequestBlocks():
                blob = next(blob for blob in BLOBS if blob.topic == command.topic)
                self.asked[command.id] = (blob, command, command.block)
            case cmd.RejectRequest():
                self.owed.pop(command.id, None)
            case cmd.SendBlock():
                blob, request, block = self.owed[command.id]
                self.owed[command.id] = (blob, request, block + 1)
                if command.last or block + 1 == request.block + (1 << request.level):
                    del self.owed[command.id]
                    self.watch.ended(command.id)


def _blob(script: Script) -> Blob:
    return script.choose([*BLOBS, UNKNOWN])


def _spans(script: Script) -> tuple[tuple[int, int], ...]:
    return tuple((script.number(6), script.number(6)) for _ in range(script.number(4)))


def _request(friend: Friendly, script: Script) -> cmd.Command:
    blob = _blob(script)
    length = blob.length if script.number(8) else script.number(65536)
    place = (script.number(5), blob.topic, script.number(2), script.number(8), script.number(4))
    return cmd.RequestBlocks(*place, length, blob.root)


def _block(friend: Friendly, script: Script) -> cmd.Command:
    """The next block of a request, or one that no request has."""
    if not friend.owed:
        return cmd.SendBlock(script.number(4), (), b"x", True)
    number = script.choose(list(friend.owed))
    blob, request, block = friend.owed[number]
    answer = blob.answer(number, request.block, min(request.level, 3))
    index = min(block - request.block, len(answer) - 1)
    if index < 0:
        return cmd.SendBlock(number, (), b"", True)
    data = answer[index]
    return cmd.SendBlock(number, data.proof[: script.number(16) or 20], data.data, index + 1 >= len(answer))


def _object(friend: Friendly, script: Script) -> cmd.Command:
    return cmd.TellObject(_blob(script).topic, _blob(script).info)


def _peers(friend: Friendly, script: Script) -> cmd.Command:
    shared = (msg.SharedRecord(script.number(256), script.take(script.number(40))),)
    return cmd.SharePeers(_blob(script).topic, shared, (script.take(32),) * script.number(2))


COMMANDS: Final[tuple[Callable[[Friendly, Script], cmd.Command], ...]] = (
    lambda f, s: cmd.Join(_blob(s).topic),
    lambda f, s: cmd.Leave(_blob(s).topic),
    _object,
    lambda f, s: cmd.TellUnits(_blob(s).topic, _spans(s)),
    lambda f, s: cmd.TellLost(_blob(s).topic, _spans(s)),
    lambda f, s: cmd.TellInterest(_blob(s).topic, bool(s.number(2))),
    lambda f, s: cmd.GrantCredit(s.choose((s.number(65536), -1, 2**64, 2**64 - 1))),
    lambda f, s: cmd.SuggestUnits(_blob(s).topic, s.number(65536) - 1, s.number(65536)),
    _request,
    _request,
    _block,
    _block,
    lambda f, s: cmd.CancelRequest(s.number(5)),
    lambda f, s: cmd.RejectRequest(s.number(5), RejectCode(1 + s.number(len(RejectCode))), s.number(300) - 1.0),
    _peers,
    lambda f, s: cmd.AskPeers(_blob(s).topic, s.number(300)),
    lambda f, s: cmd.Ping(s.take(8)),
    lambda f, s: cmd.SendExtension(s.choose(("test/1", "none")), s.number(4) - 1, s.take(s.number(64))),
    lambda f, s: cmd.CloseLink(s.choose(list(CloseCode)), s.take(8).decode("latin-1")),
)

STEPS: Final[tuple[Callable[[Friendly], None], ...]] = (
    Friendly.any_frame,
    Friendly.any_bytes,
    Friendly.good_join,
    Friendly.good_object,
    Friendly.good_data,
    Friendly.arrive,
    Friendly.arrive,
    Friendly.bytes_out,
    Friendly.event,
    Friendly.damage,
    Friendly.time,
    Friendly.clock_back,
    Friendly.hold,
    Friendly.stream_end,
    Friendly.tell,
    Friendly.tell,
)
