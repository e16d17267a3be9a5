"""Topics: handles, limits, crossings and what becomes of requests."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import attrs
import pytest

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.config import Limits, Offer
from p2pwire.connection.topics import MAX_ASKED
from p2pwire.content.objects import ObjectInfo, cap, topic_of
from p2pwire.testing.pair import Pair
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, FrameType, JoinFlag, RejectCode
from tests.connection.remote import BOTH, HELLO, NO_FLAGS, Blob, Remote, config, responder

BLOB, OTHER = Blob(3), Blob(1, seed="other")
MANY = [Blob(1, seed=f"blob {number}", tail=100 + number) for number in range(8)]

MakeRemote = Callable[..., Remote]


def opened(make: MakeRemote = responder, **changes: object) -> Remote:
    remote = make(config("alice", BLOB, OTHER, **changes)).open()
    remote.say(remote.join(BLOB))
    return remote.forget()


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_more_open_topics_than_max_handles(make: MakeRemote) -> None:
    remote = make(config("alice", *MANY, limits=Limits(max_handles=4))).open()
    for handle in range(4):
        remote.say(remote.join(MANY[handle], handle))
    # What is refused needs no room.
    remote.say(msg.Join(9, 0, bytes(32), bytes(32)))
    assert remote.close is None
    assert len(remote.of(ev.TopicOpened)) == 4
    remote.say(remote.join(MANY[4], 4))
    assert remote.close is not None
    assert (remote.close.code, remote.close.frame_type) == (CloseCode.LIMIT, FrameType.JOIN)


@pytest.mark.parametrize("make", BOTH)
def test_room_comes_back_when_a_topic_ends(make: MakeRemote) -> None:
    remote = make(config("alice", *MANY, limits=Limits(max_handles=1))).open()
    for handle in range(4):
        remote.say(remote.join(MANY[handle], 0), msg.Leave(0))
    assert remote.close is None
    # One that this side has left does not count either, though the other side's end has not come.
    remote.say(remote.join(MANY[0], 0))
    remote.command(cmd.Leave(MANY[0].topic))
    remote.say(remote.join(MANY[1], 1))
    assert remote.close is None
    assert remote.connection.is_open(MANY[1].topic)


def test_the_limit_counts_what_the_connection_asked_for_itself() -> None:
    remote = responder(config("alice", *MANY, limits=Limits(max_handles=1))).open()
    remote.command(cmd.Join(MANY[0].topic), cmd.Join(MANY[1].topic))
    remote.say(remote.join(MANY[0], 0))
    remote.say(remote.join(MANY[1], 1))
    assert remote.close is not None
    assert remote.close.code == CloseCode.LIMIT


@pytest.mark.parametrize("make", BOTH)
def test_the_others_max_handles(make: MakeRemote) -> None:
    remote = make(config("alice", *MANY)).open(attrs.evolve(HELLO, max_handles=2))
    assert remote.connection.can_join
    remote.command(cmd.Join(MANY[0].topic), cmd.Join(MANY[1].topic))
    assert not remote.connection.can_join
    with pytest.raises(cmd.LocalProtocolError, match="takes 2 topics"):
        remote.command(cmd.Join(MANY[2].topic))
    # An unasked JOIN can not be answered with one's own.
    remote.say(remote.join(MANY[3], 5))
    assert remote.heard(msg.Refuse) == [msg.Refuse(5, 0)]
    # A handle that is LEFT is not free before the other side's end.
    remote.command(cmd.Leave(MANY[0].topic))
    assert not remote.connection.can_join
    remote.say(msg.Refuse(0, 0))
    assert remote.connection.can_join
    assert remote.connection.asked_for(MANY[3].topic)


@pytest.mark.parametrize("make", BOTH)
def test_one_handle_before_hello(make: MakeRemote) -> None:
    remote = make(config("alice", *MANY)).handshake()
    remote.command(cmd.Join(MANY[0].topic))
    with pytest.raises(cmd.LocalProtocolError, match="takes 1 topics"):
        remote.command(cmd.Join(MANY[1].topic))
    remote.say(HELLO)
    remote.command(cmd.Join(MANY[1].topic))
    assert [join.handle for join in remote.heard(msg.Join)] == [0, 1]


# --- opening ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_an_unasked_join_is_answered_with_join_and_object(make: MakeRemote) -> None:
    remote = make(config(topics={BLOB.topic: Offer(BLOB.info.oid, JoinFlag.WANTS_PEERS, BLOB.info)})).open().forget()
    remote.say(remote.join(BLOB, 7, flags=0xFF))
    role = not remote.initiator
    own = cap(BLOB.info.oid, role, remote.handshake_hash)
    assert remote.frames == [msg.Join(0, 4, BLOB.topic, own), remote.object(BLOB)]
    # Reserved flags are ignored.
    assert remote.events == [ev.TopicOpened(BLOB.topic, JoinFlag(7))]
    assert remote.connection.is_open(BLOB.topic)


@pytest.mark.parametrize("make", BOTH)
def test_the_other_half_of_an_own_join_is_not_answered(make: MakeRemote) -> None:
    remote = make(config("alice", BLOB)).open().forget()
    remote.command(cmd.Join(BLOB.topic))
    assert [type(frame) for frame in remote.frames] == [msg.Join]
    remote.forget().say(remote.join(BLOB, 3))
    assert remote.frames == [remote.object(BLOB)]
    assert remote.of(ev.TopicOpened) == [ev.TopicOpened(BLOB.topic, NO_FLAGS)]


@pytest.mark.parametrize("make", BOTH)
def test_a_cap_of_the_other_role_or_another_link_is_wrong(make: MakeRemote) -> None:
    remote = make(config("alice", BLOB)).open().forget()
    own = cap(BLOB.info.oid, not remote.initiator, remote.handshake_hash)
    old = cap(BLOB.info.oid, remote.initiator, bytes(32))
    for handle, wrong in enumerate((own, old, bytes(32))):
        remote.say(remote.join(BLOB, handle, cap=wrong))
    assert remote.frames == [msg.Refuse(handle, 0) for handle in range(3)]
    assert not remote.of(ev.TopicOpened)


def test_a_topic_that_is_not_known_gets_the_same_answer_after_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    digest = hmac.digest

    def counting(key: bytes, message: bytes, name: str) -> bytes:
        made.append(key)
        return digest(key, message, name)

    remote = responder(config("alice", BLOB)).open().forget()
    joins = remote.join(BLOB, 0, cap=bytes(32)), remote.join(OTHER, 1)
    monkeypatch.setattr(hmac, "digest", counting)
    remote.say(joins[0])
    remote.say(joins[1])
    assert remote.frames == [msg.Refuse(0, 0), msg.Refuse(1, 0)]
    assert made == [BLOB.info.oid, bytes(32)]


def test_a_known_key_opens_no_unknown_topic() -> None:
    remote = responder(config("alice", BLOB)).open().forget()
    remote.say(msg.Join(0, 0, topic_of(bytes(32)), cap(bytes(32), remote.initiator, remote.handshake_hash)))
    assert remote.frames == [msg.Refuse(0, 0)]


def test_flags_are_told_when_they_change() -> None:
    topics = {BLOB.topic: BLOB.unknown}
    remote = responder(config(topics=topics)).open()
    remote.say(remote.join(BLOB))
    remote.forget().command(cmd.Join(BLOB.topic))
    assert remote.frames == []
    topics[BLOB.topic] = Offer(BLOB.info.oid, JoinFlag.UPLOAD_ONLY, None)
    remote.command(cmd.Join(BLOB.topic), cmd.Join(BLOB.topic))
    (join,) = remote.frames
    assert join == msg.Join(0, 2, BLOB.topic, cap(BLOB.info.oid, not remote.initiator, remote.handshake_hash))


def test_flags_are_heard_when_they_change() -> None:
    remote = opened()
    remote.say(remote.join(BLOB), remote.join(BLOB, flags=3), remote.join(BLOB, flags=3), remote.join(BLOB, flags=0x80))
    topic = BLOB.topic
    assert remote.events == [ev.TopicFlagsChanged(topic, JoinFlag(3)), ev.TopicFlagsChanged(topic, NO_FLAGS)]
    assert remote.frames == []


# --- ending ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_leave_by_the_other_side(make: MakeRemote) -> None:
    remote = opened(make)
    remote.say(msg.Leave(0))
    assert remote.frames == [msg.Leave(0)]
    assert remote.events == [ev.TopicClosed(BLOB.topic)]
    # Both numbers are free.
    remote.command(cmd.Join(BLOB.topic))
    remote.say(remote.join(BLOB))
    assert remote.connection.is_open(BLOB.topic)


@pytest.mark.parametrize("make", BOTH)
def test_leave_by_this_side(make: MakeRemote) -> None:
    remote = opened(make)
    remote.command(cmd.Leave(BLOB.topic))
    assert remote.frames == [msg.Leave(0)]
    assert remote.events == []
    with pytest.raises(cmd.LocalProtocolError, match="LEAVING"):
        remote.command(cmd.Join(BLOB.topic))
    # While the end is due the number is not used again.
    remote.command(cmd.Join(OTHER.topic))
    assert remote.heard(msg.Join)[-1].handle == 1
    remote.say(msg.Leave(0))
    remote.command(cmd.Join(BLOB.topic))
    assert remote.heard(msg.Join)[-1].handle == 2


@pytest.mark.parametrize("make", BOTH)
def test_a_refusal(make: MakeRemote) -> None:
    remote = make(config("alice", BLOB)).open()
    remote.command(cmd.Join(BLOB.topic))
    remote.forget().say(msg.Refuse(0, 0))
    assert remote.events == [ev.TopicRefused(BLOB.topic)]
    assert remote.frames == []
    remote.command(cmd.Join(BLOB.topic))


@pytest.mark.parametrize("make", BOTH)
def test_a_refusal_that_crossed_a_join(make: MakeRemote) -> None:
    """The other side refuses a topic that is open here: it found the cap wrong, or does not want it any more."""
    remote = make(config("alice", BLOB)).open()
    remote.command(cmd.Join(BLOB.topic))
    remote.say(remote.join(BLOB), msg.Request(5, 0, 0, 0, 0))
    remote.forget().say(msg.Refuse(0, 0))
    assert remote.frames == [msg.Leave(0), msg.Reject(5, 6, 0)]
    topic = BLOB.topic
    assert remote.events == [ev.RequestWithdrawn(5), ev.TopicClosed(topic), ev.TopicRefused(topic)]


@pytest.mark.parametrize("make", BOTH)
def test_a_wrong_cap_in_answer_to_an_own_join(make: MakeRemote) -> None:
    remote = make(config("alice", BLOB)).open()
    remote.command(cmd.Join(BLOB.topic))
    remote.forget().say(remote.join(BLOB, 5, cap=bytes(32)))
    assert remote.frames == [msg.Refuse(5, 0)]
    assert remote.events == [ev.TopicRefused(BLOB.topic)]
    with pytest.raises(cmd.LocalProtocolError, match="LEAVING"):
        remote.command(cmd.Join(BLOB.topic))
    # Requests that crossed the refusal, and the other side's end, which is LEAVE for a topic that is open there.
    remote.forget().say(msg.Request(1, 5, 0, 0, 0), msg.Leave(5))
    assert remote.frames == [msg.Reject(1, 6, 0)]
    remote.command(cmd.Join(BLOB.topic))


@pytest.mark.parametrize("make", BOTH)
def test_a_join_that_crosses_a_leave_is_not_answered(make: MakeRemote) -> None:
    remote = make(config("alice", BLOB)).open()
    remote.command(cmd.Join(BLOB.topic), cmd.Leave(BLOB.topic))
    remote.forget().say(remote.join(BLOB, 5))
    assert remote.frames == []
    assert remote.events == []
    remote.say(msg.Leave(5))
    assert remote.frames == []
    remote.command(cmd.Join(BLOB.topic))


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("by_peer", [True, False])
def test_requests_outlive_their_topic(make: MakeRemote, by_peer: bool) -> None:
    remote = opened(make)
    remote.command(cmd.RequestBlocks(1, BLOB.topic, 0, 0, 1, BLOB.length, BLOB.root))
    remote.say(msg.Request(1, 0, 0, 0, 1), msg.Request(2, 0, 0, 2, 0))
    remote.command(cmd.SendBlock(1, BLOB.siblings(0, 0), BLOB.block(0)))
    remote.forget()
    if by_peer:
        remote.say(msg.Leave(0))
    else:
        remote.command(cmd.Leave(BLOB.topic))
    # The other side's requests end with REJECT 6, one's own stay open until they end.
    assert remote.frames == [msg.Leave(0), msg.Reject(1, 6, 0), msg.Reject(2, 6, 0)]
    assert remote.of(ev.RequestWithdrawn) == [ev.RequestWithdrawn(1), ev.RequestWithdrawn(2)]
    remote.forget().say(*BLOB.answer(1, 0, 1))
    assert [type(event) for event in remote.events] == [ev.BlocksReceived, ev.RequestEnded]
    with pytest.raises(cmd.LocalProtocolError, match="not open"):
        remote.command(cmd.SendBlock(1, (), BLOB.block(1)))


def test_a_request_belongs_to_the_topic_that_its_handle_named() -> None:
    remote = opened()
    remote.say(msg.Request(1, 0, 0, 0, 0), msg.Leave(0))
    remote.forget().say(remote.join(OTHER, 0), msg.Request(1, 0, 0, 0, 0))
    (request,) = remote.of(ev.RequestReceived)
    assert request.topic == OTHER.topic
    remote.command(cmd.Leave(OTHER.topic))
    assert remote.heard(msg.Reject) == [msg.Reject(1, 6, 0)]


# --- memory of the other side ----------------------------------------------------------------------------------------


def test_every_number_that_was_used_is_remembered() -> None:
    remote = responder(config("alice", BLOB, limits=Limits(control_burst=10**6, control_bytes_burst=10**9))).open()
    used = [*range(0, 65536, 32), 65535]
    remote.say(*(msg.Join(handle, 0, bytes(32), bytes(32)) for handle in used[:900]))
    remote.say(*(msg.Join(handle, 0, bytes(32), bytes(32)) for handle in used[900:1800]))
    remote.say(*(msg.Join(handle, 0, bytes(32), bytes(32)) for handle in used[1800:]))
    remote.say(*(msg.Lost(handle, (msg.Span(0, 0),)) for handle in used))
    assert remote.close is None
    remote.say(msg.Lost(33, (msg.Span(0, 0),)))
    assert remote.close is not None
    assert remote.close.code == CloseCode.PROTOCOL


def test_a_topic_that_was_asked_for_in_vain_may_be_joined_when_it_is_known() -> None:
    topics: dict[bytes, Offer] = {}
    remote = responder(config(topics=topics)).open()
    remote.say(remote.join(BLOB, 0), remote.join(OTHER, 1, cap=bytes(32)))
    assert not remote.connection.asked_for(BLOB.topic)
    topics.update({BLOB.topic: BLOB.offer, OTHER.topic: OTHER.offer})
    assert remote.connection.asked_for(BLOB.topic)
    assert not remote.connection.asked_for(OTHER.topic)
    remote.command(cmd.Join(BLOB.topic))
    remote.say(remote.join(BLOB, 2))
    assert not remote.connection.asked_for(BLOB.topic)


def test_only_so_many_are_remembered() -> None:
    remote = responder().open()
    names = [hashlib.sha256(b"%d" % number).digest() for number in range(MAX_ASKED + 9)]
    remote.say(*(msg.Join(number, 0, name, bytes(32)) for number, name in enumerate(names)))
    assert list(remote.connection._session.topics._asked) == names[9:]


def test_handles_go_round() -> None:
    remote = responder(config("alice", BLOB, OTHER)).open()
    remote.connection._session.topics._next_local = 65535
    remote.command(cmd.Join(BLOB.topic), cmd.Join(OTHER.topic))
    assert [join.handle for join in remote.heard(msg.Join)] == [65535, 0]
    remote.say(msg.Refuse(65535, 0))
    remote.connection._session.topics._next_local = 0
    remote.command(cmd.Join(BLOB.topic))
    assert remote.heard(msg.Join)[-1].handle == 1


# --- catalogues ------------------------------------------------------------------------------------------------------


def test_only_what_is_in_the_catalogue_can_be_joined() -> None:
    remote = responder(config(topics={OTHER.topic: BLOB.offer})).open()
    with pytest.raises(cmd.LocalProtocolError, match="not in the catalogue"):
        remote.command(cmd.Join(BLOB.topic))
    with pytest.raises(cmd.LocalProtocolError, match="another topic"):
        remote.command(cmd.Join(OTHER.topic))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ((bytes(31), NO_FLAGS, None), "oid"),
        ((bytes(32), JoinFlag(8), None), "flags"),
        ((bytes(32), NO_FLAGS, BLOB.info), "info"),
        ((ObjectInfo(7, 1, bytes(32)).oid, NO_FLAGS, ObjectInfo(7, 1, bytes(32))), "info"),
        ((BLOB.info.oid, JoinFlag.HAS_MANIFEST, BLOB.info), "flags"),
    ],
)
def test_offers_that_can_not_be(values: tuple[bytes, JoinFlag, ObjectInfo | None], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        Offer(*values)


def test_an_offer_may_have_all_flags() -> None:
    topics = {BLOB.topic: Offer(BLOB.info.oid, JoinFlag(7), None)}
    remote = responder(config(topics=topics)).open()
    remote.say(remote.join(BLOB))
    assert [join.flags for join in remote.heard(msg.Join)] == [7]


def test_an_object_of_no_use_can_not_be_told() -> None:
    info = ObjectInfo(7, 1, bytes(32))
    odd = Blob()
    odd.info = info
    remote = responder(config(topics={odd.topic: odd.unknown})).open()
    remote.say(remote.join(odd))
    with pytest.raises(cmd.LocalProtocolError, match="kind: 7 is unknown"):
        remote.command(cmd.TellObject(odd.topic, info))


def test_oids_and_caps_do_not_show() -> None:
    remote = opened()
    topic = remote.connection._session.topics.get(BLOB.topic)
    assert topic is not None
    assert repr(topic.remote_cap)[2:-1] not in repr(topic)
    shown = repr(BLOB.offer) + repr(cmd.RequestBlocks(1, BLOB.topic, 0, 0, 0, BLOB.length, BLOB.root))
    assert repr(BLOB.info.oid)[2:-1] not in shown
    assert repr(BLOB.root)[2:-1] not in shown


# --- two connections -------------------------------------------------------------------------------------------------


def test_joins_that_cross_open_the_topic_once_on_each_side() -> None:
    pair = Pair(config("alice", BLOB), config("bob", BLOB))
    pair.run()
    for side in pair.sides:
        side.send(cmd.Join(BLOB.topic))
    pair.run()
    for side in pair.sides:
        assert len(side.of(ev.TopicOpened)) == 1
        assert len(side.of(ev.ObjectLearned)) == 1
        assert not side.of(ev.Closed)


def test_leaves_that_cross_are_each_others_answer() -> None:
    pair = Pair(config("alice", BLOB), config("bob", BLOB))
    pair.run()
    pair.initiator.send(cmd.Join(BLOB.topic))
    pair.run()
    for _ in range(3):
        for side in pair.sides:
            side.send(cmd.Leave(BLOB.topic))
        pair.run()
        for side in pair.sides:
            assert not side.connection.is_open(BLOB.topic)
            assert not side.of(ev.TopicClosed)
            side.send(cmd.Join(BLOB.topic))
        pair.run()
        assert all(side.connection.is_open(BLOB.topic) for side in pair.sides)


def test_a_rejection_is_not_by_the_topic_alone() -> None:
    remote = opened()
    remote.say(remote.join(OTHER, 1), msg.Request(1, 0, 0, 0, 0), msg.Request(2, 1, 0, 0, 0))
    remote.forget().say(msg.Leave(1))
    assert remote.heard(msg.Reject) == [msg.Reject(2, RejectCode.NOT_JOINED, 0)]
