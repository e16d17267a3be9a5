"""Every cell of the tables of states, brought about with bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.config import Extension
from p2pwire.connection.state import (
    LINK_INPUTS,
    LINK_STEPS,
    LINK_TABLE,
    SILENT,
    TOPIC_STEPS,
    TOPIC_TABLE,
    Input,
    LinkInput,
    LinkState,
    LinkStep,
    TopicInput,
    TopicState,
    TopicStep,
)
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, FrameType, RefusalReason, RejectCode
from tests.connection.remote import BOTH, HELLO, Blob, Remote, config, initiator, raw, responder

BLOB = Blob(2)
OTHER = Blob(1, seed="other")
EXTENDED = msg.Hello(
    1024,
    64,
    150,
    (msg.HelloParameter(4, msg.Extensions((msg.Extension("test/1", 0xA0, 2, b""),)).encode()),),
)


def under_test(**changes: object) -> object:
    return config("alice", BLOB, OTHER, extensions=(Extension("test/1", 0x90, 2),), **changes)


# --- links -----------------------------------------------------------------------------------------------------------


def at_response() -> Remote:
    remote = initiator(under_test())
    remote.settle()
    return remote


def at_message_2() -> Remote:
    remote = at_response()
    remote.flight = remote.answer()
    remote.feed(remote.preamble)
    return remote


def at_message_1() -> Remote:
    remote = responder(under_test())
    remote.flight = remote.offer()
    remote.feed(remote.preamble)
    return remote


def at_message_3() -> Remote:
    remote = responder(under_test())
    remote.feed(remote.offer())
    remote.read_preamble()
    remote.read_message()
    return remote


def at_open(make: Callable[..., Remote]) -> Remote:
    """A topic is open, and the connection has a request open in it."""
    remote = make(under_test()).open(EXTENDED)
    remote.say(remote.join(BLOB))
    remote.command(cmd.RequestBlocks(1, BLOB.topic, 0, 0, 0, BLOB.length, BLOB.root))
    return remote


def at_draining(make: Callable[..., Remote]) -> Remote:
    remote = at_open(make)
    remote.command(cmd.CloseLink(CloseCode.NONE))
    return remote


def at_closed(make: Callable[..., Remote]) -> Remote:
    remote = at_open(make)
    remote.say(msg.Close(CloseCode.NONE, 0xFF, ""))
    return remote


STATES: dict[LinkState, list[Callable[[], Remote]]] = {
    LinkState.WAIT_RESPONSE: [at_response],
    LinkState.WAIT_MESSAGE_2: [at_message_2],
    LinkState.WAIT_OFFER: [lambda: responder(under_test())],
    LinkState.WAIT_MESSAGE_1: [at_message_1],
    LinkState.WAIT_MESSAGE_3: [at_message_3],
    LinkState.WAIT_HELLO: [lambda make=make: make(under_test()).handshake() for make in BOTH],
    LinkState.OPEN: [lambda make=make: at_open(make) for make in BOTH],
    LinkState.DRAINING: [lambda make=make: at_draining(make) for make in BOTH],
    LinkState.CLOSED: [lambda make=make: at_closed(make) for make in BOTH],
}
RECORDS = (LinkState.WAIT_HELLO, LinkState.OPEN, LinkState.DRAINING, LinkState.CLOSED)

FRAMES: dict[Input, bytes] = {
    FrameType.HELLO: HELLO.encode_frame(),
    FrameType.PAD: msg.Pad(b"").encode_frame(),
    FrameType.CLOSE: msg.Close(CloseCode.SHUTDOWN, 0xFF, "").encode_frame(),
    FrameType.PING: msg.Ping(b"12345678").encode_frame(),
    FrameType.PONG: msg.Pong(b"12345678").encode_frame(),
    FrameType.JOIN: msg.Join(9, 0, bytes(32), bytes(32)).encode_frame(),
    FrameType.REFUSE: msg.Refuse(0, 0).encode_frame(),
    FrameType.LEAVE: msg.Leave(0).encode_frame(),
    FrameType.OBJECT: msg.Object(0, BLOB.info.kind, BLOB.info.length, BLOB.root).encode_frame(),
    FrameType.HAVE: msg.Have(0, (msg.Span(0, 1),)).encode_frame(),
    FrameType.LOST: msg.Lost(0, (msg.Span(0, 1),)).encode_frame(),
    FrameType.INTEREST: msg.Interest(0, True).encode_frame(),
    FrameType.CREDIT: msg.Credit(64).encode_frame(),
    FrameType.SUGGEST: msg.Suggest(0, 0, 1).encode_frame(),
    FrameType.REQUEST: msg.Request(1, 0, 0, 0, 0).encode_frame(),
    FrameType.DATA: BLOB.answer(1, 0, 0)[0].encode_frame(),
    FrameType.REJECT: msg.Reject(1, RejectCode.BUSY, 0).encode_frame(),
    FrameType.CANCEL: msg.Cancel(1).encode_frame(),
    FrameType.PEERS: msg.Peers(0, (), (bytes(32),)).encode_frame(),
    FrameType.GET_PEERS: msg.GetPeers(0, 8).encode_frame(),
    LinkInput.EXTENSION: raw(0x91, b"body"),
    LinkInput.UNKNOWN_CRITICAL: raw(0x40, b"body"),
    LinkInput.UNKNOWN_IGNORABLE: raw(0x41, b"body"),
}
PREAMBLES: dict[Input, bytes] = {
    LinkInput.PREAMBLE_INITIATOR: msg.encode_preamble(msg.InitiatorPreamble((1,), (1,), 1, ())),
    LinkInput.PREAMBLE_RESPONDER: msg.encode_preamble(msg.ResponderPreamble(1, 1, ())),
    LinkInput.REFUSAL: msg.encode_preamble(msg.Refusal(RefusalReason.BUSY, (1,), (1,))),
    LinkInput.HANDSHAKE_MESSAGE: (96).to_bytes(2, "big") + bytes(96),
}


def bytes_of(remote: Remote, state: LinkState, arrives: Input) -> bytes:
    if arrives in FRAMES:
        return remote.seal(FRAMES[arrives]) if state in RECORDS else FRAMES[arrives]
    if arrives is LinkInput.HANDSHAKE_MESSAGE and LINK_TABLE[state][arrives] in LinkState:
        if state in (LinkState.WAIT_MESSAGE_1, LinkState.WAIT_MESSAGE_2):
            return remote.flight[len(remote.preamble) :]
        if state is LinkState.WAIT_MESSAGE_3:
            return remote.message()
    return PREAMBLES[arrives]


def test_the_link_table_is_whole() -> None:
    assert set(LINK_TABLE) == set(LINK_STEPS) == set(LinkState) == set(STATES)
    assert set(LINK_INPUTS) == {*LinkInput, *FrameType}
    assert all(set(row) == set(LINK_INPUTS) for row in LINK_TABLE.values())
    assert all(set(row) == set(LinkStep) for row in LINK_STEPS.values())


@pytest.mark.parametrize("arrives", LINK_INPUTS, ids=lambda arrives: arrives.name)
@pytest.mark.parametrize("state", LinkState, ids=lambda state: state.name)
def test_every_cell_of_the_link_table(state: LinkState, arrives: Input) -> None:
    cell = LINK_TABLE[state][arrives]
    for make in STATES[state]:
        remote = make()
        assert remote.connection.state is state
        events, frames = len(remote.events), len(remote.frames)
        remote.raw.clear()
        if arrives is LinkInput.END:
            remote.end()
        else:
            # Bytes that mean something else may announce more bytes: these follow.
            remote.feed(bytes_of(remote, state, arrives) + (bytes(65537) if cell is SILENT else b""))
        new_events, new_frames = remote.events[events:], remote.frames[frames:]
        if cell is SILENT:
            assert remote.connection.state is LinkState.CLOSED
            assert [type(event) for event in new_events] == [ev.Closed]
            assert not new_frames
            assert not remote.raw
        elif isinstance(cell, CloseCode):
            assert remote.connection.state is LinkState.DRAINING
            assert [type(event) for event in new_events] == [ev.Closed]
            blamed = FRAMES[arrives][0]
            assert new_frames == [msg.Close(cell, blamed, new_events[0].reason)]
            assert (new_events[0].code, new_events[0].by_peer) == (cell, False)
        else:
            assert remote.connection.state is cell
            over = state in (LinkState.DRAINING, LinkState.CLOSED)
            ends = cell is LinkState.CLOSED and not over
            assert (remote.closed is not None) is (over or ends)
            assert not (over and (new_events or new_frames))


@pytest.mark.parametrize("state", LinkState, ids=lambda state: state.name)
def test_every_step_of_a_link(state: LinkState) -> None:
    steps = LINK_STEPS[state]
    for make in STATES[state]:
        remote = make()
        before = len(remote.frames)
        remote.command(cmd.CloseLink(CloseCode.SHUTDOWN, "bye"))
        assert remote.connection.state is (steps[LinkStep.SEND_CLOSE] or steps[LinkStep.GIVE_UP] or state)
        if steps[LinkStep.SEND_CLOSE]:
            assert remote.frames[before:] == [msg.Close(CloseCode.SHUTDOWN, 0xFF, "bye")]
        else:
            assert remote.frames[before:] == []
        assert remote.closed is not None
        remote.advance(5)
        assert remote.connection.state is LinkState.CLOSED
        assert remote.connection.finished


def test_the_step_of_a_refusal() -> None:
    remote = responder(under_test(busy=True))
    remote.feed(remote.offer())
    assert remote.connection.state is LINK_STEPS[LinkState.WAIT_OFFER][LinkStep.SEND_REFUSAL] is LinkState.DRAINING


# --- topics ----------------------------------------------------------------------------------------------------------


def state_of(remote: Remote) -> TopicState:
    topic = remote.connection._session.topics.get(BLOB.topic)
    return TopicState.FREE if topic is None else topic.state


def free(make: Callable[..., Remote]) -> Remote:
    return make(under_test()).open()


def ended(make: Callable[..., Remote]) -> Remote:
    """FREE, and handle 0 of the remote has ended."""
    remote = free(make)
    remote.say(remote.join(BLOB, 0, cap=bytes(32)))
    return remote


def asked(make: Callable[..., Remote]) -> Remote:
    """ASKED, and handle 0 of the remote has ended."""
    remote = ended(make)
    remote.command(cmd.Join(BLOB.topic))
    return remote


def opened(make: Callable[..., Remote]) -> Remote:
    remote = free(make)
    remote.say(remote.join(BLOB))
    return remote


def left(make: Callable[..., Remote]) -> Remote:
    """LEAVING after the topic was open."""
    remote = opened(make)
    remote.command(cmd.Leave(BLOB.topic))
    return remote


def left_early(make: Callable[..., Remote]) -> Remote:
    """LEAVING before the other side has joined."""
    remote = asked(make)
    remote.command(cmd.Leave(BLOB.topic))
    return remote


def with_other(make: Callable[[Callable[..., Remote]], Remote]) -> Callable[[Callable[..., Remote]], Remote]:
    """With another topic open, as the remote's handle 7."""

    def made(kind: Callable[..., Remote]) -> Remote:
        remote = make(kind)
        remote.say(remote.join(OTHER, 7))
        return remote

    return made


T, I = TopicState, TopicInput  # noqa: E741
Frames = Callable[[Remote], msg.Frame]
WAYS: dict[tuple[TopicState, TopicInput], list[tuple[Callable[..., Remote], Frames]]] = {
    (T.FREE, I.JOIN): [(free, lambda r: r.join(BLOB)), (ended, lambda r: r.join(BLOB))],
    (T.ASKED, I.JOIN): [(asked, lambda r: r.join(BLOB)), (asked, lambda r: r.join(BLOB, 3))],
    (T.OPEN, I.JOIN): [(opened, lambda r: r.join(BLOB, 3))],
    (T.LEAVING, I.JOIN): [(left_early, lambda r: r.join(BLOB)), (left_early, lambda r: r.join(BLOB, 3))],
    (T.FREE, I.BAD_JOIN): [
        (free, lambda r: r.join(BLOB, cap=bytes(32))),
        (ended, lambda r: r.join(BLOB, cap=b"x" * 32)),
    ],
    (T.ASKED, I.BAD_JOIN): [(asked, lambda r: r.join(BLOB, cap=bytes(32)))],
    (T.OPEN, I.BAD_JOIN): [(opened, lambda r: r.join(BLOB, 3, cap=bytes(32)))],
    (T.LEAVING, I.BAD_JOIN): [(left_early, lambda r: r.join(BLOB, 3, cap=bytes(32)))],
    (T.FREE, I.JOIN_AGAIN): [],
    (T.ASKED, I.JOIN_AGAIN): [],
    (T.OPEN, I.JOIN_AGAIN): [(opened, lambda r: r.join(BLOB)), (opened, lambda r: r.join(BLOB, flags=2))],
    (T.LEAVING, I.JOIN_AGAIN): [(left, lambda r: r.join(BLOB))],
    (T.FREE, I.JOIN_OTHER): [(with_other(free), lambda r: r.join(BLOB, 7))],
    (T.ASKED, I.JOIN_OTHER): [(with_other(asked), lambda r: r.join(BLOB, 7))],
    (T.OPEN, I.JOIN_OTHER): [
        (opened, lambda r: r.join(BLOB, cap=bytes(32))),
        (opened, lambda r: r.join(OTHER, 0)),
        (with_other(opened), lambda r: r.join(BLOB, 7)),
    ],
    (T.LEAVING, I.JOIN_OTHER): [
        (left, lambda r: r.join(BLOB, cap=bytes(32))),
        (left, lambda r: r.join(OTHER, 0)),
        (left, lambda r: r.join(BLOB, 3)),
    ],
    (T.FREE, I.REFUSE): [(free, lambda r: msg.Refuse(0, 0)), (ended, lambda r: msg.Refuse(0, 0))],
    (T.ASKED, I.REFUSE): [(asked, lambda r: msg.Refuse(0, 0))],
    (T.OPEN, I.REFUSE): [(opened, lambda r: msg.Refuse(0, 0))],
    (T.LEAVING, I.REFUSE): [(left, lambda r: msg.Refuse(0, 0)), (left_early, lambda r: msg.Refuse(0, 0))],
    (T.FREE, I.LEAVE): [(free, lambda r: msg.Leave(0)), (ended, lambda r: msg.Leave(0))],
    (T.ASKED, I.LEAVE): [(asked, lambda r: msg.Leave(0)), (asked, lambda r: msg.Leave(5))],
    (T.OPEN, I.LEAVE): [(opened, lambda r: msg.Leave(0))],
    (T.LEAVING, I.LEAVE): [(left, lambda r: msg.Leave(0))],
    (T.FREE, I.CONTENT): [(ended, lambda r: msg.Have(0, (msg.Span(0, 0),)))],
    (T.ASKED, I.CONTENT): [(asked, lambda r: msg.Have(0, (msg.Span(0, 0),)))],
    (T.OPEN, I.CONTENT): [(opened, lambda r: msg.Have(0, (msg.Span(0, 0),)))],
    (T.LEAVING, I.CONTENT): [(left, lambda r: msg.Have(0, (msg.Span(0, 0),)))],
    **{
        (state, I.STRAY): [(make, lambda r: msg.Have(99, (msg.Span(0, 0),)))]
        for state, make in {T.FREE: free, T.ASKED: asked, T.OPEN: opened, T.LEAVING: left}.items()
    },
}


def test_the_topic_table_is_whole() -> None:
    assert set(TOPIC_TABLE) == set(TOPIC_STEPS) == set(TopicState)
    assert all(set(row) == set(TopicInput) for row in TOPIC_TABLE.values())
    assert all(set(row) == set(TopicStep) for row in TOPIC_STEPS.values())
    assert set(WAYS) == {(state, arrives) for state in TopicState for arrives in TopicInput}
    # A topic without a live handle has none that could be repeated; these cells fail closed all the same.
    unreachable = [where for where, ways in WAYS.items() if not ways]
    assert unreachable == [(T.FREE, I.JOIN_AGAIN), (T.ASKED, I.JOIN_AGAIN)]
    assert all(TOPIC_TABLE[state][arrives] is CloseCode.PROTOCOL for state, arrives in unreachable)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize(("state", "arrives"), WAYS, ids=lambda value: value.name)
def test_every_cell_of_the_topic_table(make: Callable[..., Remote], state: TopicState, arrives: TopicInput) -> None:
    cell = TOPIC_TABLE[state][arrives]
    for way, frame in WAYS[state, arrives]:
        remote = way(make)
        assert state_of(remote) is state
        remote.say(frame(remote))
        if isinstance(cell, CloseCode):
            assert remote.close is not None
            assert remote.close.code == cell
            assert remote.close.frame_type == frame(remote).TYPE
        else:
            assert remote.close is None
            assert state_of(remote) is cell


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize(
    ("state", "way"),
    [(T.FREE, free), (T.ASKED, asked), (T.OPEN, opened), (T.LEAVING, left), (T.LEAVING, left_early)],
)
def test_every_step_of_a_topic(make: Callable[..., Remote], state: TopicState, way: Callable[..., Remote]) -> None:
    commands = {TopicStep.SEND_JOIN: cmd.Join(BLOB.topic), TopicStep.SEND_LEAVE: cmd.Leave(BLOB.topic)}
    for step, command in commands.items():
        remote = way(make)
        frames = len(remote.frames)
        after = TOPIC_STEPS[state][step]
        if after is not None:
            remote.command(command)
            assert state_of(remote) is after
        elif (state, step) == (T.OPEN, TopicStep.SEND_JOIN):
            # Joining again tells new flags, and these are the old ones.
            remote.command(command)
            assert remote.frames[frames:] == []
        else:
            with pytest.raises(cmd.LocalProtocolError):
                remote.command(command)
            assert state_of(remote) is state
            assert remote.frames[frames:] == []
