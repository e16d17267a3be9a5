"""What frames do after the handshake: the rules of SPEC.md's sections on frames, topics, transfer and exchange.

Frames arrive decoded or not at all; what they cause goes out through the outbox, and is told through the events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.budget import ControlBudget
from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.config import Config, Role
from p2pwire.connection.extensions import ExtensionTable, hello_parameters, read_hello
from p2pwire.connection.faults import LinkFault
from p2pwire.connection.grease import Grease
from p2pwire.connection.records import Outbox
from p2pwire.connection.state import Input, LinkInput, TopicInput, TopicState
from p2pwire.connection.timers import Timer, Timers
from p2pwire.connection.topics import Topic, Topics
from p2pwire.connection.transfer import Requests, Serving
from p2pwire.content.hashing import NO_ROOT
from p2pwire.content.objects import ObjectInfo
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import (
    FRAME_HEADER,
    MAX_FRAME_BODY,
    MAX_OPEN_PINGS,
    CloseCode,
    FrameType,
    JoinFlag,
    RejectCode,
    is_critical,
)

PING_SIZE: Final = 8


class Session:
    """The frames of one link. Handlers return whether the frame counts against the control budget."""

    __slots__ = (
        "_budget",
        "_config",
        "_events",
        "_extensions",
        "_grease",
        "_identity",
        "_outbox",
        "_own_pings",
        "_pings",
        "_random",
        "_timers",
        "idle",
        "requests",
        "serving",
        "topics",
    )

    def __init__(
        self,
        config: Config,
        role: Role,
        outbox: Outbox,
        events: deque[ev.Event],
        timers: Timers,
        random: Callable[[int], bytes],
        *,
        grease: Grease | None,
        now: float,
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._events = events
        self._timers = timers
        self._random = random
        self._grease = grease
        self._budget = ControlBudget(config.limits, now)
        self._extensions = ExtensionTable(config.extensions)
        self.idle = float(config.limits.idle)
        self._identity = b""
        self._pings: list[bytes] = []
        self._own_pings: list[bytes] = []
        self.topics = Topics(config.topics, initiator=role is Role.INITIATOR, max_handles=config.limits.max_handles)
        self.requests = Requests()
        self.serving = Serving(config.limits.max_requests)

    # --- begin, and time ---

    def begin(self, handshake_hash: bytes, identity: bytes) -> None:
        """The handshake is over."""
        self.topics.handshake_hash = handshake_hash
        self._identity = identity

    def say_hello(self) -> None:
        """HELLO goes out, the first frame; with GREASE, a frame without meaning follows it."""
        limits = self._config.limits
        parameters = hello_parameters(self._config, self._grease)
        hello = msg.Hello(limits.max_requests, limits.max_handles, limits.idle, parameters)
        self._outbox.add(hello.encode_frame())
        if self._grease is not None:
            self._outbox.add(self._grease.frame)

    def record_received(self, now: float) -> None:
        """A complete record came: the other side lives."""
        timers = self._timers
        if timers.running(Timer.HELLO):
            return
        timers.start(Timer.IDLE, now + self.idle)
        timers.start(Timer.PING, now + self._ping_interval)

    def on_timer(self, timer: Timer, now: float) -> None:
        """PING, REQUEST or SERVE ran out."""
        if timer is Timer.PING:
            if len(self._pings) + len(self._own_pings) < MAX_OPEN_PINGS:
                ping = self._random(PING_SIZE)
                self._pings.append(ping)
                self._outbox.add(msg.Ping(ping).encode_frame())
            self._timers.start(Timer.PING, now + self._ping_interval)
        elif timer is Timer.REQUEST:
            for request in self.requests.cancel_all():
                self._outbox.add(msg.Cancel(request).encode_frame())
            self.requests.timeouts += 1
            self._timers.start(Timer.REQUEST, now + self._config.timeouts.request)
            self._events.append(ev.RequestsTimedOut(self.requests.timeouts))
        else:
            for request in self.serving.all():
                self._withdraw(request, RejectCode.BUSY)

    @property
    def _ping_interval(self) -> float:
        return min(self._config.timeouts.ping, self.idle / 3)

    # --- frames in ---

    def input_of(self, frame_type: int) -> Input:
        """What a frame type is in the link table."""
        known = _FRAME_TYPES.get(frame_type)
        if known is not None:
            return known
        if self._extensions.incoming(frame_type) is not None:
            return LinkInput.EXTENSION
        return LinkInput.UNKNOWN_CRITICAL if is_critical(frame_type) else LinkInput.UNKNOWN_IGNORABLE

    def receive(self, arrived: Input, frame_type: int, body: memoryview, now: float) -> msg.Close | None:
        """One frame that may come now. Returns CLOSE. Raises `DecodeError` and `LinkFault`."""
        if isinstance(arrived, FrameType):
            frame = msg.decode_frame(frame_type, body)
            if isinstance(frame, msg.Close):
                return frame
            counted = self._HANDLERS[frame_type](self, frame, now)
        else:
            counted = True
            if arrived is LinkInput.EXTENSION:
                self._on_extension(frame_type, body)
        if counted and not self._budget.spend(FRAME_HEADER + len(body), now):
            raise LinkFault(CloseCode.FLOOD, "more control frames than the budget")
        return None

    def _on_hello(self, frame: msg.Hello, now: float) -> bool:
        hello = read_hello(frame)
        self._extensions.agree(hello.extensions)
        self.requests.max_open = frame.max_requests
        self.topics.max_local = frame.max_handles
        self.idle = float(min(self._config.limits.idle, frame.idle))
        self._timers.stop(Timer.HELLO)
        self.record_received(now)
        self._events.append(
            ev.LinkEstablished(self._identity, hello.agent, hello.record, hello.observed, self._extensions.agreed)
        )
        return False

    def _on_pad(self, frame: msg.Pad, now: float) -> bool:
        return True

    def _on_ping(self, frame: msg.Ping, now: float) -> bool:
        # Everything that earlier frames cause is in the outbox already: this is the fence [KA-006].
        self._outbox.add(msg.Pong(frame.data).encode_frame(), answer=True)
        return True

    def _on_pong(self, frame: msg.Pong, now: float) -> bool:
        if frame.data in self._pings:
            self._pings.remove(frame.data)
        elif frame.data in self._own_pings:
            self._own_pings.remove(frame.data)
            self._events.append(ev.PongReceived(frame.data))
        else:
            return True
        return False

    def _on_join(self, frame: msg.Join, now: float) -> bool:
        answer = self.topics.join(frame)
        topic = answer.topic
        flags = JoinFlag(frame.flags & _JOIN_FLAGS)
        if answer.arrived is TopicInput.BAD_JOIN:
            self._outbox.add(msg.Refuse(frame.handle, 0).encode_frame(), answer=True)
        elif topic is None or topic.state is not TopicState.OPEN:
            pass
        elif answer.arrived is TopicInput.JOIN_AGAIN:
            self._events.append(ev.TopicFlagsChanged(topic.name, flags))
        else:
            if answer.unasked:
                self._say_join(topic, answer=True)
            self._events.append(ev.TopicOpened(topic.name, flags))
            offer = self._config.topics.get(topic.name)
            if offer is not None and offer.info is not None:
                self._say_object(topic, offer.info)
        return answer.counted

    def _on_refuse(self, frame: msg.Refuse, now: float) -> bool:
        ended = self.topics.refuse(frame.handle)
        if ended is None:
            return True
        topic, before = ended
        if before is TopicState.OPEN:
            self._outbox.add(msg.Leave(_handle(topic)).encode_frame(), answer=True)
            self._reject_topic(topic.name)
            self._events.append(ev.TopicClosed(topic.name))
        elif before is TopicState.ASKED:
            self._events.append(ev.TopicRefused(topic.name))
        return False

    def _on_leave(self, frame: msg.Leave, now: float) -> bool:
        ended = self.topics.left(frame.handle)
        if ended is None:
            return True
        topic, before = ended
        if before is not TopicState.OPEN:
            return False
        self._outbox.add(msg.Leave(_handle(topic)).encode_frame(), answer=True)
        self._reject_topic(topic.name)
        self._events.append(ev.TopicClosed(topic.name))
        return True

    def _on_object(self, frame: msg.Object, now: float) -> bool:
        topic = self.topics.of_remote(frame.handle)
        if topic is None:
            return True
        if topic.heard_object:
            raise LinkFault(CloseCode.PROTOCOL, "a second OBJECT for an open topic")
        info = ObjectInfo(frame.kind, frame.length, frame.root)
        if info.topic != topic.name or (not info.length and info.root != NO_ROOT):
            raise LinkFault(CloseCode.BAD_DATA, "OBJECT does not have the topic's id")
        topic.heard_object = True
        if info.fault is None:
            self._events.append(ev.ObjectLearned(topic.name, info))
        else:
            self._leave(topic)
            self._events.append(ev.TopicClosed(topic.name))
        return True

    def _on_have(self, frame: msg.Have, now: float) -> bool:
        topic = self.topics.of_remote(frame.handle)
        if topic is None:
            return True
        added = topic.units.add((span.first, span.last) for span in frame.spans)
        if added:
            self._events.append(ev.UnitsChanged(topic.name, tuple(added), ()))
        return not added

    def _on_lost(self, frame: msg.Lost, now: float) -> bool:
        topic = self.topics.of_remote(frame.handle)
        if topic is not None:
            removed = topic.units.remove((span.first, span.last) for span in frame.spans)
            if removed:
                self._events.append(ev.UnitsChanged(topic.name, (), tuple(removed)))
        return True

    def _on_interest(self, frame: msg.Interest, now: float) -> bool:
        topic = self.topics.of_remote(frame.handle)
        if topic is not None and topic.interest_heard is not frame.on:
            topic.interest_heard = frame.on
            self._events.append(ev.InterestChanged(topic.name, topic.interest_heard))
        return True

    def _on_credit(self, frame: msg.Credit, now: float) -> bool:
        if self.requests.grant(frame):
            self._events.append(ev.CreditReceived(frame.blocks))
        return True

    def _on_suggest(self, frame: msg.Suggest, now: float) -> bool:
        topic = self.topics.of_remote(frame.handle)
        if topic is not None:
            self._events.append(ev.UnitsSuggested(topic.name, frame.first, frame.last))
        return True

    def _on_request(self, frame: msg.Request, now: float) -> bool:
        topic = self.topics.of_remote(frame.handle)
        self.serving.open(frame, b"" if topic is None else topic.name)
        if topic is None:
            self._say_reject(cmd.RejectRequest(frame.id, RejectCode.NOT_JOINED))
            return False
        if not self._timers.running(Timer.SERVE):
            self._timers.start(Timer.SERVE, now + self._config.timeouts.serve)
        self._events.append(ev.RequestReceived(frame.id, topic.name, frame.file, frame.block, frame.level))
        return False

    def _on_data(self, frame: msg.Data, now: float) -> bool:
        block, ended = self.requests.data(frame)
        self._budget.earned()
        self._events.append(block)
        if ended is not None:
            self._events.append(ended)
        self._restart_request_timer(now)
        return False

    def _on_reject(self, frame: msg.Reject, now: float) -> bool:
        self._events.append(self.requests.reject(frame))
        self._restart_request_timer(now)
        return False

    def _on_cancel(self, frame: msg.Cancel, now: float) -> bool:
        if not self.serving.cancel(frame.id):
            return True
        self._events.append(ev.RequestCancelled(frame.id))
        return False

    def _on_peers(self, frame: msg.Peers, now: float) -> bool:
        topic = self.topics.of_remote(frame.handle)
        if topic is not None:
            self._events.append(ev.PeersReceived(topic.name, frame.added, frame.dropped))
        return True

    def _on_get_peers(self, frame: msg.GetPeers, now: float) -> bool:
        topic = self.topics.of_remote(frame.handle)
        if topic is not None:
            self._events.append(ev.PeersWanted(topic.name, frame.max))
        return True

    def _on_extension(self, frame_type: int, body: memoryview) -> None:
        found = self._extensions.incoming(frame_type)
        assert found is not None
        name, index = found
        self._events.append(ev.ExtensionReceived(name, index, bytes(body)))

    # --- commands ---

    def command(self, command: cmd.Command, now: float) -> None:
        """Carry out any command but `CloseLink`. Raises `LocalProtocolError`, having changed nothing."""
        self._COMMANDS[type(command)](self, command, now)

    def _do_join(self, command: cmd.Join, now: float) -> None:
        if command.topic not in self.topics.catalogue:
            raise LocalProtocolError("JOIN: the topic is not in the catalogue")
        topic = self.topics.get(command.topic)
        if topic is None:
            if not self.topics.can_join():
                raise LocalProtocolError(f"JOIN: the other side takes {self.topics.max_local} topics")
            self._say_join(self.topics.ask(command.topic), answer=False)
        elif topic.state is not TopicState.OPEN:
            raise LocalProtocolError(f"JOIN: the topic is {topic.state.name}")
        elif topic.flags_told != self.topics.catalogue[command.topic].flags:
            self._say_join(topic, answer=False)

    def _do_leave(self, command: cmd.Leave, now: float) -> None:
        topic = self.topics.get(command.topic)
        if topic is None:
            raise LocalProtocolError("LEAVE: the topic is not joined")
        self._leave(topic)

    def _do_tell_object(self, command: cmd.TellObject, now: float) -> None:
        topic = self._opened(command.topic, "OBJECT")
        if command.info.topic != command.topic:
            raise LocalProtocolError("OBJECT: it does not have the topic's id")
        self._say_object(topic, command.info)

    def _do_tell_units(self, command: cmd.TellUnits, now: float) -> None:
        topic = self._opened(command.topic, "HAVE")
        self._produce("HAVE", msg.Have(_handle(topic), _spans(command.spans)).encode_frame())

    def _do_tell_lost(self, command: cmd.TellLost, now: float) -> None:
        topic = self._opened(command.topic, "LOST")
        self._outbox.add(msg.Lost(_handle(topic), _spans(command.spans)).encode_frame())

    def _do_tell_interest(self, command: cmd.TellInterest, now: float) -> None:
        topic = self._opened(command.topic, "INTEREST")
        if topic.interest_told is not command.on:
            topic.interest_told = command.on
            self._outbox.add(msg.Interest(_handle(topic), command.on).encode_frame())

    def _do_grant(self, command: cmd.GrantCredit, now: float) -> None:
        if self.serving.grant(command.total):
            self._outbox.add(msg.Credit(command.total).encode_frame())

    def _do_suggest(self, command: cmd.SuggestUnits, now: float) -> None:
        topic = self._opened(command.topic, "SUGGEST")
        self._produce("SUGGEST", msg.Suggest(_handle(topic), command.first, command.last).encode_frame())

    def _do_request(self, command: cmd.RequestBlocks, now: float) -> None:
        topic = self._opened(command.topic, "REQUEST")
        self._outbox.add(self.requests.open(command, _handle(topic)).encode_frame())
        if not self._timers.running(Timer.REQUEST):
            self._timers.start(Timer.REQUEST, now + self._config.timeouts.request)

    def _do_cancel(self, command: cmd.CancelRequest, now: float) -> None:
        if self.requests.cancel(command.id):
            self._outbox.add(msg.Cancel(command.id).encode_frame())

    def _do_send_block(self, command: cmd.SendBlock, now: float) -> None:
        self._check_room("DATA")
        self._outbox.add(self.serving.send(command).encode_frame())
        self._budget.earned()
        self._restart_serving(now)

    def _do_reject(self, command: cmd.RejectRequest, now: float) -> None:
        self._say_reject(command)

    def _do_share_peers(self, command: cmd.SharePeers, now: float) -> None:
        topic = self._opened(command.topic, "PEERS")
        if not command.added and not command.dropped:
            raise LocalProtocolError("PEERS: nothing to tell")
        self._produce("PEERS", msg.Peers(_handle(topic), command.added, command.dropped).encode_frame())

    def _do_ask_peers(self, command: cmd.AskPeers, now: float) -> None:
        topic = self._opened(command.topic, "GET_PEERS")
        self._outbox.add(msg.GetPeers(_handle(topic), command.max).encode_frame())

    def _do_ping(self, command: cmd.Ping, now: float) -> None:
        if len(self._pings) + len(self._own_pings) >= MAX_OPEN_PINGS:
            raise LocalProtocolError(f"PING: {MAX_OPEN_PINGS} are open")
        self._outbox.add(msg.Ping(command.data).encode_frame())
        self._own_pings.append(command.data)

    def _do_extension(self, command: cmd.SendExtension, now: float) -> None:
        frame_type = self._extensions.outgoing(command.name, command.index)
        if frame_type is None:
            raise LocalProtocolError(f"extension {command.name!r} has no frame {command.index} on this link")
        if len(command.body) > MAX_FRAME_BODY:
            raise LocalProtocolError(f"extension frame of {len(command.body)} bytes, the limit is {MAX_FRAME_BODY}")
        self._produce("extension", bytes((frame_type,)) + len(command.body).to_bytes(2, "big") + command.body)

    # --- inside ---

    def _opened(self, name: bytes, what: str) -> Topic:
        topic = self.topics.opened(name)
        if topic is None:
            raise LocalProtocolError(f"{what}: the topic is not open")
        return topic

    def _check_room(self, what: str) -> None:
        if self._outbox.waiting >= self._config.limits.send_queue:
            raise LocalProtocolError(f"{what}: {self._outbox.waiting} bytes wait to be sent; see can_send")

    def _produce(self, what: str, frame: bytes) -> None:
        self._check_room(what)
        self._outbox.add(frame)

    def _say_join(self, topic: Topic, *, answer: bool) -> None:
        flags = self.topics.catalogue[topic.name].flags
        topic.flags_told = flags
        join = msg.Join(_handle(topic), flags, topic.name, self.topics.own_cap(topic.name))
        self._outbox.add(join.encode_frame(), answer=answer)

    def _say_object(self, topic: Topic, info: ObjectInfo) -> None:
        if not topic.told_object and not topic.heard_object:
            topic.told_object = True
            self._outbox.add(msg.Object(_handle(topic), info.kind, info.length, info.root).encode_frame(), answer=True)

    def _say_reject(self, command: cmd.RejectRequest) -> None:
        self._outbox.add(self.serving.reject(command).encode_frame(), answer=True)
        if not self.serving:
            self._timers.stop(Timer.SERVE)

    def _leave(self, topic: Topic) -> None:
        self.topics.leave(topic)
        self._outbox.add(msg.Leave(_handle(topic)).encode_frame(), answer=True)
        self._reject_topic(topic.name)

    def _reject_topic(self, name: bytes) -> None:
        for request in self.serving.of_topic(name):
            self._withdraw(request, RejectCode.NOT_JOINED)

    def _withdraw(self, request: int, code: RejectCode) -> None:
        self._say_reject(cmd.RejectRequest(request, code))
        self._events.append(ev.RequestWithdrawn(request))

    def _restart_serving(self, now: float) -> None:
        if self.serving:
            self._timers.start(Timer.SERVE, now + self._config.timeouts.serve)
        else:
            self._timers.stop(Timer.SERVE)

    def _restart_request_timer(self, now: float) -> None:
        # DATA and REJECT alone: a peer that answers with other frames for ever must not hold requests [TM-010].
        if self.requests:
            self._timers.start(Timer.REQUEST, now + self._config.timeouts.request)
        else:
            self._timers.stop(Timer.REQUEST)

    _HANDLERS: ClassVar[Mapping[int, Callable[[Session, Any, float], bool]]] = {
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
    """Frame type -> handler; a handler says whether the frame counts against the budget."""

    _COMMANDS: ClassVar[Mapping[type, Callable[[Session, Any, float], None]]] = {
        cmd.Join: _do_join,
        cmd.Leave: _do_leave,
        cmd.TellObject: _do_tell_object,
        cmd.TellUnits: _do_tell_units,
        cmd.TellLost: _do_tell_lost,
        cmd.TellInterest: _do_tell_interest,
        cmd.GrantCredit: _do_grant,
        cmd.SuggestUnits: _do_suggest,
        cmd.RequestBlocks: _do_request,
        cmd.CancelRequest: _do_cancel,
        cmd.SendBlock: _do_send_block,
        cmd.RejectRequest: _do_reject,
        cmd.SharePeers: _do_share_peers,
        cmd.AskPeers: _do_ask_peers,
        cmd.Ping: _do_ping,
        cmd.SendExtension: _do_extension,
    }


_FRAME_TYPES: Final[Mapping[int, FrameType]] = {int(frame_type): frame_type for frame_type in FrameType}
_JOIN_FLAGS: Final = int(JoinFlag.HAS_MANIFEST | JoinFlag.UPLOAD_ONLY | JoinFlag.WANTS_PEERS)


def _handle(topic: Topic) -> int:
    assert topic.local is not None
    return topic.local


def _spans(spans: tuple[tuple[int, int], ...]) -> tuple[msg.Span, ...]:
    return tuple(msg.Span(first, last) for first, last in spans)
