"""What the caller's commands do: the senders' rules of SPEC.md's sections on frames, topics, transfer and exchange.

A command is checked, and its frame encoded, before anything changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from p2pwire.connection import commands as cmd
from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.session import Session
from p2pwire.connection.state import TopicState
from p2pwire.connection.timers import Timer
from p2pwire.connection.topics import Topic
from p2pwire.connection.transfer import DATA_OVERHEAD
from p2pwire.content.merkle import HASH
from p2pwire.content.objects import topic_of
from p2pwire.wire import messages as msg
from p2pwire.wire.messages import EncodeError
from p2pwire.wire.registry import MAX_CLOSE_DETAIL, MAX_FRAME_BODY, MAX_OPEN_PINGS, CloseCode, RejectCode

MAX_QUEUE: Final = 2**19
"""bytes waiting above which commands that the protocol does not count are refused too: a caller that looks at
`Connection.can_send` never gets there."""

# What every message asks for: before Python 3.12 a member read on its class costs more than a call.
_OPEN: Final = TopicState.OPEN
_REQUEST: Final = Timer.REQUEST
_SERVE: Final = Timer.SERVE
_CANCELLED: Final = RejectCode.CANCELLED


def carry_out(session: Session, command: cmd.Command) -> None:
    """Any command but `CloseLink`. Raises `LocalProtocolError`, having changed nothing."""
    handler = _COMMANDS.get(type(command))
    if handler is None:
        raise TypeError(f"{type(command).__name__} is no command")
    try:
        handler(session, command)
    except EncodeError as error:
        raise LocalProtocolError(error.text) from None


def close_frame(code: CloseCode, text: str, frame_type: int) -> bytes:
    """CLOSE with as much of a text as it may say [GN-011]. Raises `EncodeError`."""
    cut = text.encode("utf-8", "replace")[:MAX_CLOSE_DETAIL].decode("utf-8", "ignore")
    detail = "".join(character if character.isprintable() else "?" for character in cut)
    return msg.Close(code, frame_type, detail).encode_frame()


# --- topics ---


def _join(session: Session, command: cmd.Join) -> None:
    topics = session.topics
    offer = topics.catalogue.get(command.topic)
    if offer is None:
        raise LocalProtocolError("JOIN: the topic is not in the catalogue")
    if topic_of(offer.oid) != command.topic:
        raise LocalProtocolError("JOIN: the catalogue has an offer of another topic")
    topic = topics.get(command.topic)
    if topic is None:
        if not topics.can_join():
            raise LocalProtocolError(f"JOIN: the other side takes {topics.max_local} topics")  # [TP-012]
        session.say_join(topics.ask(command.topic), answer=False)
    elif topic.state is not _OPEN:
        raise LocalProtocolError(f"JOIN: the topic is {topic.state.name}")  # [TP-011]
    elif topic.flags_told != offer.flags:
        _check_queue(session)
        session.say_join(topic, answer=False)  # [TP-014]


def _leave(session: Session, command: cmd.Leave) -> None:
    topic = session.topics.get(command.topic)
    if topic is None:
        raise LocalProtocolError("LEAVE: the topic is not joined")
    session.topics.leave(topic)
    session.say_leave(topic)


def _tell_object(session: Session, command: cmd.TellObject) -> None:
    topic = _opened(session, command.topic, "OBJECT")
    if command.info.topic != command.topic:
        raise LocalProtocolError("OBJECT: it does not have the topic's id")
    if command.info.fault is not None:
        raise LocalProtocolError(f"OBJECT: {command.info.fault}")
    session.say_object(topic, command.info)


def _tell_units(session: Session, command: cmd.TellUnits) -> None:
    topic = _opened(session, command.topic, "HAVE")
    _check_room(session, "HAVE")
    session.outbox.add(msg.Have(topic.local, _spans(command.spans)).encode_frame())


def _tell_lost(session: Session, command: cmd.TellLost) -> None:
    topic = _opened(session, command.topic, "LOST")
    _check_queue(session)
    session.outbox.add(msg.Lost(topic.local, _spans(command.spans)).encode_frame())


def _tell_interest(session: Session, command: cmd.TellInterest) -> None:
    topic = _opened(session, command.topic, "INTEREST")
    on = bool(command.on)
    if topic.interest_told is not on:
        _check_queue(session)
        topic.interest_told = on
        session.outbox.add(msg.Interest(topic.local, on).encode_frame())


def _suggest(session: Session, command: cmd.SuggestUnits) -> None:
    topic = _opened(session, command.topic, "SUGGEST")
    _check_room(session, "SUGGEST")
    session.outbox.add(msg.Suggest(topic.local, command.first, command.last).encode_frame())


def _share_peers(session: Session, command: cmd.SharePeers) -> None:
    topic = _opened(session, command.topic, "PEERS")
    _check_room(session, "PEERS")
    session.outbox.add(msg.Peers(topic.local, command.added, command.dropped).encode_frame())


def _ask_peers(session: Session, command: cmd.AskPeers) -> None:
    topic = _opened(session, command.topic, "GET_PEERS")
    _check_queue(session)
    session.outbox.add(msg.GetPeers(topic.local, command.max).encode_frame())


# --- transfer ---


def _grant(session: Session, command: cmd.GrantCredit) -> None:
    if session.serving.check_grant(command.total):
        _check_queue(session)
        session.outbox.add(msg.Credit(command.total).encode_frame())
        session.serving.credit_total = command.total


def _request(session: Session, command: cmd.RequestBlocks) -> None:
    topic = _opened(session, command.topic, "REQUEST")
    asked = session.requests.check(command)
    frame = msg.Request(command.id, topic.local, command.file, command.block, command.level)
    session.outbox.add(frame.encode_frame())
    session.requests.open(command.id, asked)
    if not session.timers.running(_REQUEST):
        session.timers.start(_REQUEST, session.config.timeouts.request)  # [TM-010]


def _cancel(session: Session, command: cmd.CancelRequest) -> None:
    if session.requests.cancel(command.id):
        session.outbox.add(msg.Cancel(command.id).encode_frame())


def _send_block(session: Session, command: cmd.SendBlock) -> None:
    _check_room(session, "DATA")
    session.outbox.add(session.serving.next_data(command).encode_frame())
    _blocks_sent(session, command.id, 1, last=command.last)


def _send_blocks(session: Session, command: cmd.SendBlocks) -> None:
    _check_room(session, "DATA")
    frames = session.serving.next_frames(command)
    size = len(frames) * DATA_OVERHEAD + sum(map(len, command.siblings)) * HASH + len(command.data)
    if session.outbox.waiting + size - sum(map(len, frames[-1])) >= session.config.limits.send_queue:
        raise LocalProtocolError(f"DATA: {len(frames)} blocks at once are more than fit; see room")  # [FC-030]
    session.outbox.add_run(frames, size)
    _blocks_sent(session, command.id, len(frames), last=command.last)


def _blocks_sent(session: Session, request: int, blocks: int, *, last: bool) -> None:
    serving = session.serving
    serving.sent(request, blocks, last=last)
    session.budget.earned(blocks)
    if serving:
        session.timers.start(_SERVE, session.config.timeouts.serve)
    else:
        session.timers.stop(_SERVE)


def _reject(session: Session, command: cmd.RejectRequest) -> None:
    owed = session.serving.owed(command.id)
    if command.code == _CANCELLED and not owed.cancelled:
        raise LocalProtocolError(f"REJECT: request id {command.id} was not cancelled")  # [TR-068]
    if not command.retry >= 0:
        raise LocalProtocolError(f"REJECT: retry is {command.retry} s, must be 0 or more")
    session.say_reject(command.id, command.code, command.retry)


# --- the link ---


def _ping(session: Session, command: cmd.Ping) -> None:
    if not session.may_ping:
        raise LocalProtocolError(f"PING: {MAX_OPEN_PINGS} are unanswered")
    session.outbox.add(msg.Ping(command.data).encode_frame())
    session.own_pings.append(bytes(command.data))


def _extension(session: Session, command: cmd.SendExtension) -> None:
    frame_type = session.extensions.outgoing(command.name, command.index)
    if frame_type is None:
        raise LocalProtocolError(f"extension {command.name!r} has no frame {command.index} on this link")
    if len(command.body) > MAX_FRAME_BODY:
        raise LocalProtocolError(f"extension: {len(command.body)} bytes, the limit is {MAX_FRAME_BODY}")
    _check_room(session, "extension")
    session.outbox.add(msg.FrameHeader(frame_type, len(command.body)).encode() + command.body)


# --- checks ---


def _opened(session: Session, name: bytes, what: str) -> Topic:
    topic = session.topics.opened(name)
    if topic is None:
        raise LocalProtocolError(f"{what}: the topic is not open")  # [TP-060]
    return topic


def _check_room(session: Session, what: str) -> None:
    if session.outbox.waiting >= session.config.limits.send_queue:
        # [FC-030]
        raise LocalProtocolError(f"{what}: {session.outbox.waiting} bytes wait to be sent; see can_send")


def _check_queue(session: Session) -> None:
    if session.outbox.waiting >= MAX_QUEUE:
        raise LocalProtocolError(f"{session.outbox.waiting} bytes wait to be sent; see can_send")  # [FC-035]


def _spans(spans: tuple[tuple[int, int], ...]) -> tuple[msg.Span, ...]:
    return tuple([msg.Span(first, last) for first, last in spans])


_COMMANDS: Final[Mapping[type, Callable[[Session, Any], None]]] = {
    cmd.Join: _join,
    cmd.Leave: _leave,
    cmd.TellObject: _tell_object,
    cmd.TellUnits: _tell_units,
    cmd.TellLost: _tell_lost,
    cmd.TellInterest: _tell_interest,
    cmd.GrantCredit: _grant,
    cmd.SuggestUnits: _suggest,
    cmd.RequestBlocks: _request,
    cmd.CancelRequest: _cancel,
    cmd.SendBlock: _send_block,
    cmd.SendBlocks: _send_blocks,
    cmd.RejectRequest: _reject,
    cmd.SharePeers: _share_peers,
    cmd.AskPeers: _ask_peers,
    cmd.Ping: _ping,
    cmd.SendExtension: _extension,
}
