"""Bounds: what the other side can make a connection hold, and two sides that both have much to say."""

from __future__ import annotations

import gc
import tracemalloc
from collections import deque
from collections.abc import Callable

import pytest

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.config import Config, Limits
from p2pwire.connection.connection import MAX_INPUT, MAX_READ
from p2pwire.content.hashing import BLOCK, block_count
from p2pwire.testing.pair import Pair, Side
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import SEND_QUEUE_ANSWERS, SEND_QUEUE_DATA, CloseCode, FrameType
from tests.connection.remote import BOTH, Blob, Remote, config, plaintexts, responder

MakeRemote = Callable[..., Remote]
UNLIMITED = {"control_burst": 10**9, "control_bytes_burst": 10**12}


def flood(remote: Remote, frame: msg.Frame, count: int) -> int:
    """Feed as long as the connection reads, and never take what it says; how many bytes it took."""
    plains = plaintexts([frame] * min(count, 3000))
    taken = 0
    while count > 0 and remote.connection.wants_data:
        for plain in plains:
            record = remote.seal(plain)
            for at in range(0, len(record), MAX_READ):
                if not remote.connection.wants_data:
                    return taken
                piece = record[at : at + MAX_READ]
                remote.connection.receive_data(piece, remote.now)
                taken += len(piece)
                remote.take_events()
        count -= 3000
    return taken


# --- floods ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_100_000_pings_without_reading_the_replies_are_a_flood(make: MakeRemote) -> None:
    remote = make().open().forget()
    tracemalloc.start()
    flood(remote, msg.Ping(b"12345678"), 100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert remote.closed is not None
    assert remote.closed.code is CloseCode.FLOOD
    assert peak < 2_400_000
    remote.take_bytes()
    assert len(remote.heard(msg.Pong)) == 1001
    assert remote.close is not None
    assert remote.close.frame_type == FrameType.PING


@pytest.mark.parametrize("make", BOTH)
def test_without_a_budget_100_000_pings_stop_the_reading(make: MakeRemote) -> None:
    remote = make(config(limits=Limits(**UNLIMITED))).open().forget()
    connection = remote.connection
    tracemalloc.start()
    flood(remote, msg.Ping(b"12345678"), 100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert remote.closed is None
    assert not connection.wants_data
    assert SEND_QUEUE_ANSWERS < connection._outbox.answers <= SEND_QUEUE_ANSWERS + 11
    assert peak < 2_400_000
    # When the answers are taken it reads on, as far as the next ones go.
    while connection.next_event() is not None or connection.has_output:
        remote.take_bytes()
    assert connection.wants_data


@pytest.mark.parametrize(
    "frame",
    [msg.Join(1, 0, bytes(32), bytes(32)), msg.Request(1, 0, 0, 0, 0), msg.Leave(0)],
    ids=lambda frame: type(frame).__name__,
)
def test_no_answer_grows_without_bounds(frame: msg.Frame) -> None:
    blob = Blob()
    remote = responder(config("alice", blob, limits=Limits(**UNLIMITED))).open()
    remote.say(remote.join(blob), msg.Leave(0))
    remote.command(cmd.GrantCredit(2**64 - 1))
    flood(remote, frame, 20_000)
    assert remote.connection._outbox.answers <= SEND_QUEUE_ANSWERS + 100
    assert remote.closed is None


def test_unparsed_input_is_bounded() -> None:
    remote = responder().open()
    connection = remote.connection
    record = remote.seal(msg.Pad(bytes(60_000)).encode_frame())
    taken = 0
    while connection.wants_data:
        connection.receive_data(record, remote.now)
        taken += len(record)
    assert taken <= MAX_INPUT


# --- memory of a link that is at rest ---------------------------------------------------------------------------------


def at_rest(make: MakeRemote, blobs: list[Blob]) -> Remote:
    """A link over which much went, and that is at rest again."""
    remote = make(config("alice", *blobs)).open()
    for handle, blob in enumerate(blobs):
        remote.say(remote.join(blob, handle))
    blob = blobs[0]
    for _ in range(20):
        remote.command(cmd.RequestBlocks(1, blob.topic, 0, 0, 1, blob.length, blob.root))
        remote.say(*blob.answer(1, 0, 1), msg.Credit(10**6), msg.Request(1, 0, 0, 0, 1))
        remote.command(cmd.SendBlock(1, blob.siblings(0, 0), blob.block(0)), cmd.SendBlock(1, (), blob.block(1)))
        remote.forget()
    remote.records.clear()
    return remote


def test_a_link_at_rest_takes_about_10_kb() -> None:
    blobs = [Blob(2)]
    at_rest(responder, blobs)
    gc.collect()
    tracemalloc.start()
    remotes = [at_rest(responder, blobs) for _ in range(10)]
    connections = [remote.connection for remote in remotes]
    del remotes
    gc.collect()
    size = tracemalloc.get_traced_memory()[0] / len(connections)
    tracemalloc.stop()
    assert size < 12_000


# --- both sides have much to say (T11) -------------------------------------------------------------------------------


class Half:
    """A peer that holds one half of a blob, wants the other, and says as much as it may."""

    def __init__(self, blob: Blob, side: Side, own: range, wanted: range, level: int) -> None:
        self.blob = blob
        self.side = side
        self.own = own
        self.wanted = deque(range(wanted.start, wanted.stop, 1 << level))
        self.level = level
        self.got: dict[int, bytes] = {}
        self.owed: deque[tuple[int, int, int]] = deque()
        self.most = 0
        side.send(cmd.GrantCredit(10**6))

    def move(self, side: Side) -> None:
        """Take events, ask, serve, and chat, as far as the connection lets."""
        connection = side.connection
        side.take_events()
        for event in side.events:
            match event:
                case ev.BlocksReceived():
                    self.got.update(enumerate(map(bytes, event.data), event.block))
                case ev.RequestReceived():
                    assert event.block in self.own
                    self.owed += [
                        (event.id, event.block, number)
                        for number in range(event.block, min(event.block + (1 << event.level), self.own.stop))
                    ]
                case ev.Closed():
                    raise AssertionError(event)
        side.events.clear()
        if not connection.is_open(self.blob.topic):
            return
        while self.wanted and connection.requests_left and connection.credit >= 1 << self.level:
            block = self.wanted.popleft()
            side.send(cmd.RequestBlocks(block, self.blob.topic, 0, block, self.level, self.blob.length, self.blob.root))
        while self.owed and connection.can_send:
            number, first, block = self.owed.popleft()
            last = block == min(first + (1 << self.level), block_count(self.blob.length)) - 1
            side.send(cmd.SendBlock(number, self.blob.siblings(block, first), self.blob.block(block), last))
        self.most = max(self.most, connection._outbox.waiting)


@pytest.mark.parametrize(("piece", "capacity"), [(1, 1), (7, 20), (1500, 3000), (4096, 65536), (MAX_READ, MAX_INPUT)])
def test_two_peers_exchange_halves_over_small_buffers(piece: int, capacity: int) -> None:
    """Both sides are willing to fill every queue, and neither waits for ever."""
    blocks = {1: 4, 7: 16}.get(piece, 64)
    blob = Blob(blocks, seed="halves", tail=99)
    limits = Limits(send_queue=20_000, answers=100)
    half = blocks // 2
    pair = Pair(
        config("alice", blob, limits=limits), config("bob", blob, limits=limits), piece=piece, capacity=capacity
    )
    pair.run()
    sides = {
        pair.initiator: Half(blob, pair.initiator, range(half), range(half, blocks), 1),
        pair.responder: Half(blob, pair.responder, range(half, blocks), range(half), 1),
    }
    pair.initiator.send(cmd.Join(blob.topic))
    pair.run(lambda side: sides[side].move(side))
    for peer in sides.values():
        assert not peer.wanted
        assert not peer.owed
        assert peer.side.connection.requests_left == 1024
        assert peer.most < 20_000 + BLOCK + 600
    got = {**sides[pair.initiator].got, **sides[pair.responder].got}
    assert b"".join(got[number] for number in range(blocks)) == blob.data


def test_reading_never_stops_for_data_that_waits() -> None:
    """Blocks and the like may wait for ever; only answers stop the reading [FC-031]."""
    blob = Blob(16)
    remote = responder(config("alice", blob)).open()
    remote.say(remote.join(blob), msg.Request(1, 0, 0, 0, 4))
    connection = remote.connection
    number = 0
    while connection.can_send:
        connection.send(cmd.SendBlock(1, blob.siblings(number, 0), blob.block(number)), remote.now)
        number += 1
    assert connection._outbox.waiting >= SEND_QUEUE_DATA
    assert connection.wants_data
    connection.receive_data(remote.seal(msg.Have(0, (msg.Span(0, 0),)).encode_frame()), remote.now)
    assert isinstance(connection.next_event(), ev.UnitsChanged)


def test_a_caller_that_takes_no_events_is_not_flooded() -> None:
    """Each call of `next_event` parses no more than it takes to give one event."""
    blob = Blob()
    remote = responder(config("alice", blob, limits=Limits(**UNLIMITED))).open()
    remote.say(remote.join(blob))
    connection = remote.connection
    frames = [msg.Interest(0, number % 2 == 0) for number in range(5000)]
    for plain in plaintexts(frames):
        connection.receive_data(remote.seal(plain), remote.now)
    for _ in range(10):
        assert isinstance(connection.next_event(), ev.InterestChanged)
        assert len(connection._events) == 0
    assert len(connection._inbox) == 0


def test_the_worst_that_one_link_can_hold() -> None:
    """All that FC-036 lists, as far as it is the connection's: maps, requests, unparsed input, answers and blocks."""
    blobs = [Blob(1, seed=f"{number}", tail=10) for number in range(64)]
    made: Config = config("alice", *blobs)
    remote = responder(made).open()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for handle, blob in enumerate(blobs):
        remote.say(remote.join(blob, handle), msg.Have(handle, (msg.Span(0, 65535),)))
    remote.command(cmd.GrantCredit(10**6))
    remote.say(*(msg.Request(number, number % 64, 0, 0, 0) for number in range(1024)))
    remote.forget().records.clear()
    connection = remote.connection
    while connection.can_send:
        connection.send(cmd.TellUnits(blobs[0].topic, tuple((2 * n, 2 * n) for n in range(16000))))
    connection.receive_data(remote.seal(msg.Pad(bytes(60_000)).encode_frame())[:-1], remote.now)
    assert connection.next_event() is None
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    # Own requests' proofs, identities in PEERS and the 64 blocks that wait for the disk come on top.
    assert held < 1_200_000
