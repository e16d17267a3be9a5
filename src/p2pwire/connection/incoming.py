"""What arriving frames do: the receivers' rules of SPEC.md's sections on frames, topics, transfer and exchange.

A frame arrives decoded or not at all; what it causes goes into the outbox and the events. Faults are looked for in the
order of GN-009.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from p2pwire.connection import events as ev
from p2pwire.connection.config import ALL_FLAGS
from p2pwire.connection.extensions import read_hello
from p2pwire.connection.faults import LinkFault
from p2pwire.connection.session import Session
from p2pwire.connection.state import Input, LinkInput, TopicInput, TopicState
from p2pwire.connection.timers import Timer
from p2pwire.content.hashing import NO_ROOT
from p2pwire.content.objects import ObjectInfo
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import FRAME_HEADER, CloseCode, FrameType, JoinFlag, RejectCode, is_critical

# What every message asks for: before Python 3.12 a member read on its class costs more than a call.
_CLOSE: Final = int(FrameType.CLOSE)
_DATA: Final = int(FrameType.DATA)
_SERVE: Final = Timer.SERVE
_OPEN: Final = TopicState.OPEN


def input_of(session: Session, frame_type: int) -> Input:
    """What a frame type is in the link table."""
    known = _FRAME_TYPES.get(frame_type)
    if known is not None:
        return known
    if session.extensions.incoming(frame_type) is not None:
        return LinkInput.EXTENSION
    return LinkInput.UNKNOWN_CRITICAL if is_critical(frame_type) else LinkInput.UNKNOWN_IGNORABLE


def receive(session: Session, frame_type: int, body: bytes) -> msg.Close | None:
    """One frame that may come now. Returns CLOSE. Raises `DecodeError` and `LinkFault`."""
    if frame_type != _DATA:
        session.requests.tell_blocks()
    handler = _HANDLERS.get(frame_type)
    if handler is not None:
        counted = handler(session, msg.decode_frame(frame_type, body))
    elif frame_type == _CLOSE:
        close = msg.decode_frame(frame_type, body)
        assert isinstance(close, msg.Close)
        return close
    else:
        counted = True
        extension = session.extensions.incoming(frame_type)
        if extension is not None:
            session.events.append(ev.ExtensionReceived(*extension, body))
    if counted and not session.budget.spend(FRAME_HEADER + len(body), session.timers.now):
        raise LinkFault(CloseCode.FLOOD, "more control frames than the budget")  # [KA-022]
    return None


# Each handler returns whether its frame counts against the control budget (SPEC.md, "The control budget").


def _on_hello(session: Session, frame: msg.Hello) -> bool:
    established = read_hello(frame, session.identity, session.extensions)
    session.established = True
    session.requests.max_open = frame.max_requests
    session.topics.max_local = frame.max_handles
    session.idle = float(min(session.config.limits.idle, frame.idle))
    session.timers.stop(Timer.HELLO)
    session.record_received()
    session.events.append(established)
    return False


def _on_pad(session: Session, frame: msg.Pad) -> bool:
    return True


def _on_ping(session: Session, frame: msg.Ping) -> bool:
    # Everything that earlier frames cause is in the outbox already: this is the fence [KA-006].
    session.outbox.add(msg.Pong(frame.data).encode_frame(), answer=True)
    return True


def _on_pong(session: Session, frame: msg.Pong) -> bool:
    if frame.data in session.pings:
        session.pings.remove(frame.data)
    elif frame.data in session.own_pings:
        session.own_pings.remove(frame.data)
        session.events.append(ev.PongReceived(frame.data))
    else:
        return True
    return False


def _on_join(session: Session, frame: msg.Join) -> bool:
    answer = session.topics.join(frame)
    topic = answer.topic
    if answer.arrived is TopicInput.BAD_JOIN:
        session.outbox.add(msg.Refuse(frame.handle, 0).encode_frame(), answer=True)  # [TP-027]
        if topic.state is TopicState.LEAVING:
            session.events.append(ev.TopicRefused(topic.name))
    elif topic.state is _OPEN:
        flags = JoinFlag(frame.flags & ALL_FLAGS)  # [GN-006]
        if answer.arrived is TopicInput.JOIN:
            if answer.unasked:
                session.say_join(topic, answer=True)  # [TP-030]
            session.events.append(ev.TopicOpened(topic.name, flags))
            offer = session.topics.catalogue.get(topic.name)
            if offer is not None and offer.info is not None:
                session.say_object(topic, offer.info)
        elif flags != topic.flags_heard:
            session.events.append(ev.TopicFlagsChanged(topic.name, flags))  # [TP-021]
        topic.flags_heard = flags
    return answer.counted


def _on_refuse(session: Session, frame: msg.Refuse) -> bool:
    ended = session.topics.refuse(frame.handle)
    if ended is None:
        return True
    topic, before = ended
    if before is _OPEN:
        session.say_leave(topic)  # [TP-046]
        session.events.append(ev.TopicClosed(topic.name))
    if before is not TopicState.LEAVING:
        session.events.append(ev.TopicRefused(topic.name))
    return False


def _on_leave(session: Session, frame: msg.Leave) -> bool:
    ended = session.topics.left(frame.handle)
    if ended is None:
        return True
    topic, before = ended
    if before is not _OPEN:
        return False
    session.say_leave(topic)  # [TP-054]
    session.events.append(ev.TopicClosed(topic.name))
    return True


def _on_object(session: Session, frame: msg.Object) -> bool:
    topic = session.topics.of_remote(frame.handle)
    if topic is None:
        return True
    if topic.heard_object:
        raise LinkFault(CloseCode.PROTOCOL, "a second OBJECT for an open topic")  # [TR-004]
    info = ObjectInfo(frame.kind, frame.length, frame.root)
    if info.topic != topic.name or (not info.length and info.root != NO_ROOT):
        raise LinkFault(CloseCode.BAD_DATA, "OBJECT does not have the topic's id")  # [TR-005] [TR-006]
    topic.heard_object = True
    if info.fault is None:
        session.events.append(ev.ObjectLearned(topic.name, info))
    else:
        session.topics.leave(topic)
        session.say_leave(topic)  # [TR-007]
        session.events.append(ev.TopicClosed(topic.name))
    return True


def _on_have(session: Session, frame: msg.Have) -> bool:
    topic = session.topics.of_remote(frame.handle)
    if topic is None:
        return True
    added = topic.units.add([(span.first, span.last) for span in frame.spans])
    if added:
        session.events.append(ev.UnitsChanged(topic.name, tuple(added), ()))
    return not added


def _on_lost(session: Session, frame: msg.Lost) -> bool:
    topic = session.topics.of_remote(frame.handle)
    if topic is not None:
        removed = topic.units.remove([(span.first, span.last) for span in frame.spans])
        if removed:
            session.events.append(ev.UnitsChanged(topic.name, (), tuple(removed)))
    return True


def _on_interest(session: Session, frame: msg.Interest) -> bool:
    topic = session.topics.of_remote(frame.handle)
    if topic is not None and topic.interest_heard is not frame.on:
        topic.interest_heard = frame.on
        session.events.append(ev.InterestChanged(topic.name, frame.on))
    return True


def _on_credit(session: Session, frame: msg.Credit) -> bool:
    if session.requests.grant(frame.blocks):
        session.events.append(ev.CreditReceived(frame.blocks))
    return True


def _on_suggest(session: Session, frame: msg.Suggest) -> bool:
    topic = session.topics.of_remote(frame.handle)
    if topic is not None:
        session.events.append(ev.UnitsSuggested(topic.name, frame.first, frame.last))
    return True


def _on_request(session: Session, frame: msg.Request) -> bool:
    topic = session.topics.of_remote(frame.handle)
    session.serving.open(frame, b"" if topic is None else topic.name)
    if topic is None:
        session.say_reject(frame.id, RejectCode.NOT_JOINED)  # [TP-063]
        return False
    if not session.timers.running(_SERVE):
        session.timers.start(_SERVE, session.config.timeouts.serve)  # [TM-016]
    session.events.append(ev.RequestReceived(frame.id, topic.name, frame.file, frame.block, frame.level))
    return False


def _on_data(session: Session, frame: msg.Data) -> bool:
    session.requests.data(frame)
    session.blocks_came(1)
    return False


def _on_reject(session: Session, frame: msg.Reject) -> bool:
    session.events.append(session.requests.reject(frame))
    session.restart_request_timer()
    return False


def _on_cancel(session: Session, frame: msg.Cancel) -> bool:
    if not session.serving.cancel(frame.id):
        return True
    session.events.append(ev.RequestCancelled(frame.id))
    return False


def _on_peers(session: Session, frame: msg.Peers) -> bool:
    topic = session.topics.of_remote(frame.handle)
    if topic is not None:
        session.events.append(ev.PeersReceived(topic.name, frame.added, frame.dropped))
    return True


def _on_get_peers(session: Session, frame: msg.GetPeers) -> bool:
    topic = session.topics.of_remote(frame.handle)
    if topic is not None:
        session.events.append(ev.PeersWanted(topic.name, frame.max))
    return True


_FRAME_TYPES: Final[Mapping[int, FrameType]] = {int(frame_type): frame_type for frame_type in FrameType}

_HANDLERS: Final[Mapping[int, Callable[[Session, Any], bool]]] = {
    FrameType.HELLO: _on_hello,
    FrameType.PAD: _on_pad,
    FrameType.PING: _on_ping,
    FrameType.PONG: _on_pong,
    FrameType.JOIN: _on_join,
    FrameType.REFUSE: _on_refuse,
    FrameType.LEAVE: _on_leave,
    FrameType.OBJECT: _on_object,
    FrameType.HAVE: _on_have,
    FrameType.LOST: _on_lost,
    FrameType.INTEREST: _on_interest,
    FrameType.CREDIT: _on_credit,
    FrameType.SUGGEST: _on_suggest,
    FrameType.REQUEST: _on_request,
    FrameType.DATA: _on_data,
    FrameType.REJECT: _on_reject,
    FrameType.CANCEL: _on_cancel,
    FrameType.PEERS: _on_peers,
    FrameType.GET_PEERS: _on_get_peers,
}
