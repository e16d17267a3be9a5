"""A whole session, with every kind of frame, is the same in whatever pieces its bytes come."""

from __future__ import annotations

import attrs
import pytest

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.config import Config, Extension, Offer
from p2pwire.crypto.record import sign_record
from p2pwire.testing.pair import WHOLE, Pair, Side
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, JoinFlag, RejectCode
from tests.connection.remote import NO_FLAGS, Blob, config, identity

BLOB = Blob(4, tail=1000)
WANTED = Blob(1, seed="only alice asks")
TOPIC = BLOB.topic
EXTENSION = Extension("example.org/chat", 0x80, 2)


def alice_does(event: ev.Event, topics: dict[bytes, Offer]) -> list[cmd.Command]:
    match event:
        case ev.LinkEstablished():
            return [cmd.Join(TOPIC), cmd.Join(WANTED.topic), cmd.SendExtension(EXTENSION.name, 1, b"hello")]
        case ev.ObjectLearned():
            return [cmd.TellInterest(TOPIC, on=True), cmd.AskPeers(TOPIC, 5)]
        case ev.UnitsChanged(added=((0, 3),)):
            return [request(0, 0, 1), request(1, 2, 1)]
        case ev.RequestEnded(request=0):
            return [request(2, 0, 1), cmd.CancelRequest(2)]
        case ev.RequestEnded(request=2):
            topics[TOPIC] = Offer(BLOB.info.oid, JoinFlag.UPLOAD_ONLY, None)
            return [cmd.TellUnits(TOPIC, ((0, 3),)), cmd.Join(TOPIC), cmd.TellInterest(TOPIC, on=False)]
        case ev.CreditReceived():
            return [cmd.Leave(TOPIC), cmd.Ping(b"the end?")]
        case ev.PongReceived():
            return [cmd.CloseLink(CloseCode.NONE, "thanks")]
    return []


def request(number: int, block: int, level: int) -> cmd.RequestBlocks:
    return cmd.RequestBlocks(number, TOPIC, 0, block, level, BLOB.length, BLOB.root)


def bob_does(event: ev.Event) -> list[cmd.Command]:
    match event:
        case ev.TopicOpened():
            return [cmd.TellUnits(TOPIC, ((0, 3),)), cmd.SuggestUnits(TOPIC, 1, 2)]
        case ev.PeersWanted():
            record = sign_record(identity("carol"), sequence=1, ttl=60, flags=0, addresses=())
            return [cmd.SharePeers(TOPIC, (msg.SharedRecord(1, record),), (bytes(32),))]
        case ev.RequestReceived(id=2):
            return []
        case ev.RequestReceived():
            answer = BLOB.answer(event.id, event.block, event.level)
            return [cmd.SendBlock(event.id, data.proof, data.data, data is answer[-1]) for data in answer]
        case ev.RequestCancelled():
            return [cmd.RejectRequest(event.id, RejectCode.CANCELLED), cmd.TellLost(TOPIC, ((1, 1),))]
        case ev.InterestChanged(on=False):
            return [cmd.GrantCredit(200)]
    return []


def session(piece: int) -> tuple[Pair, Config]:
    topics = {TOPIC: BLOB.unknown, WANTED.topic: WANTED.offer}
    record = sign_record(identity("bob"), sequence=1, ttl=60, flags=0, addresses=())
    alice = config("alice", topics=topics, extensions=(EXTENSION,), grease=bytes(range(12)))
    bob = config("bob", BLOB, extensions=(attrs.evolve(EXTENSION, base=0x90),), agent="bob/1", record=record)
    pair = Pair(alice, bob, piece=piece)

    def each(side: Side) -> None:
        while (event := side.connection.next_event()) is not None:
            side.events.append(event)
            side.send(*(alice_does(event, topics) if side is pair.initiator else bob_does(event)))

    pair.run(each)
    return pair, alice


def test_the_session_has_everything() -> None:
    pair, _ = session(WHOLE)
    seen = {type(event) for side in pair.sides for event in side.events}
    missing = set(ev.Event.__args__) - seen - {ev.Refused, ev.RequestsTimedOut}
    assert missing == {ev.RequestWithdrawn}
    for side in pair.sides:
        (closed,) = side.of(ev.Closed)
        assert (closed.code, closed.reason, closed.truncated) == (CloseCode.NONE, "thanks", False)
        assert side.connection.finished
    blocks = {
        number: data
        for event in pair.initiator.of(ev.BlocksReceived)
        for number, data in enumerate(event.data, event.block)
    }
    assert b"".join(blocks[number] for number in range(4)) == BLOB.data
    assert pair.initiator.of(ev.TopicRefused) == [ev.TopicRefused(WANTED.topic)]
    assert pair.responder.of(ev.TopicFlagsChanged) == [ev.TopicFlagsChanged(TOPIC, JoinFlag.UPLOAD_ONLY)]
    assert pair.responder.of(ev.ExtensionReceived) == [ev.ExtensionReceived(EXTENSION.name, 1, b"hello")]
    assert pair.responder.of(ev.TopicOpened)[0].flags == NO_FLAGS


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 17, 1000, 16400])
def test_pieces_make_no_difference(piece: int) -> None:
    whole, _ = session(WHOLE)
    pieces, _ = session(piece)
    for one, other in zip(whole.sides, pieces.sides, strict=True):
        assert one.events == other.events
