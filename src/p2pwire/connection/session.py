"""What both directions of one link share after the handshake, and the frames that either of them may cause.

`incoming` says what arriving frames do to it, `outgoing` what the caller's commands do.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from p2pwire.connection import events as ev
from p2pwire.connection.budget import ControlBudget
from p2pwire.connection.config import Config, Role
from p2pwire.connection.extensions import ExtensionTable, hello_parameters
from p2pwire.connection.grease import Grease
from p2pwire.connection.outbox import Outbox
from p2pwire.connection.timers import Timer, Timers
from p2pwire.connection.topics import Topic, Topics
from p2pwire.connection.transfer import Requests, Serving
from p2pwire.content.objects import ObjectInfo
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import MAX_OPEN_PINGS, RejectCode

PING_SIZE: Final = 8
"""bytes of a PING."""

RETRY_CODES: Final = frozenset({RejectCode.CHOKED, RejectCode.BUSY})
"""Codes of REJECT that say when to ask again [TR-061]."""

MAX_RETRY: Final = 65.535
"""seconds: what the u16 of milliseconds in REJECT can say."""

# What every message asks for: before Python 3.12 a member read on its class costs more than a call.
_REQUEST: Final = Timer.REQUEST
_SERVE: Final = Timer.SERVE
_PING: Final = Timer.PING
_IDLE: Final = Timer.IDLE


class Session:
    """The frames of one link."""

    __slots__ = (
        "_heard_at",
        "_hello",
        "_random",
        "_taken",
        "budget",
        "config",
        "established",
        "events",
        "extensions",
        "identity",
        "idle",
        "outbox",
        "own_pings",
        "pings",
        "requests",
        "serving",
        "timers",
        "topics",
    )

    def __init__(
        self,
        config: Config,
        role: Role,
        outbox: Outbox,
        events: list[ev.Event],
        timers: Timers,
        random: Callable[[int], bytes],
        *,
        grease: Grease | None,
    ) -> None:
        """Raises `ValueError` for a config that HELLO can not say."""
        self._hello = _hello(config, grease)
        self._heard_at = -inf
        self._taken = 0
        self._random = random
        self.config = config
        self.outbox = outbox
        self.events = events
        self.timers = timers
        self.budget = ControlBudget(config.limits, timers.now)
        self.extensions = ExtensionTable(config.extensions)
        self.topics = Topics(config.topics, initiator=role is Role.INITIATOR, max_handles=config.limits.max_handles)
        self.requests = Requests(events)
        self.serving = Serving(config.limits.max_requests)
        self.identity = b""
        """The other side's, once it is proved."""
        self.established = False
        """Whether HELLO has come."""
        self.idle = float(config.limits.idle)
        """Seconds."""
        self.pings: list[bytes] = []
        """Unanswered PINGs of the connection itself."""
        self.own_pings: list[bytes] = []
        """Unanswered PINGs of the caller."""

    # --- begin, and time ---

    def begin(self, handshake_hash: bytes, identity: bytes) -> None:
        """The handshake is over, and the link is wanted: HELLO goes out, the first frame [FR-002]."""
        self.topics.handshake_hash = handshake_hash
        self.identity = identity
        for frame in self._hello:
            self.outbox.add(frame)
        self._hello = ()
        self.timers.start(Timer.HELLO, self.config.timeouts.hello)

    def record_received(self) -> None:
        """A complete record came: the other side lives."""
        # Once for all that came together.
        if self.established and self._heard_at != self.timers.now:
            self._heard_at = self.timers.now
            self.timers.start(_IDLE, self.idle)
            self.timers.start(_PING, self._ping_interval)

    def on_timer(self, timer: Timer) -> None:
        """PING, REQUEST or SERVE ran out."""
        if timer is _PING:
            if self.may_ping:
                ping = self._random(PING_SIZE)
                self.pings.append(ping)
                self.outbox.add(msg.Ping(ping).encode_frame())
            self.timers.start(_PING, self._ping_interval)
        elif timer is _REQUEST:
            for request in self.requests.cancel_all():
                self.outbox.add(msg.Cancel(request).encode_frame())
            self.requests.timeouts += 1
            self.timers.start(_REQUEST, self.config.timeouts.request)
            self.events.append(ev.RequestsTimedOut(self.requests.timeouts))
        else:
            for request in self.serving.all():
                self.withdraw(request, RejectCode.BUSY)  # [TM-016]

    @property
    def may_ping(self) -> bool:
        """Whether one more PING may be unanswered [KA-003]."""
        return len(self.pings) + len(self.own_pings) < MAX_OPEN_PINGS

    @property
    def _ping_interval(self) -> float:
        return min(self.config.timeouts.ping, self.idle / 3)  # [KA-010]

    def take_blocks(self, record: memoryview, at: int) -> int:
        """Take the blocks that are due, from one place of a record on; where what follows begins. Call `took_blocks`
        before anything else happens.
        """
        end, count = self.requests.take_due(record, at)
        self._taken += count
        return end

    def took_blocks(self) -> None:
        """What `take_blocks` has taken is accounted for, once for all that came together."""
        if self._taken:
            count, self._taken = self._taken, 0
            self.blocks_came(count)

    def blocks_came(self, count: int) -> None:
        """So many DATA came, and were good."""
        self.budget.earned(count)
        self.restart_request_timer()

    def restart_request_timer(self) -> None:
        """DATA or REJECT came. No other frame holds requests open: it might come for ever [TM-010]."""
        if self.requests:
            self.timers.start(_REQUEST, self.config.timeouts.request)
        else:
            self.timers.stop(_REQUEST)

    # --- frames out ---

    def say_join(self, topic: Topic, *, answer: bool) -> None:
        """JOIN of a topic whose handle is JOINED."""
        topic.flags_told = self.topics.catalogue[topic.name].flags
        join = msg.Join(topic.local, topic.flags_told, topic.name, self.topics.own_cap(topic.name))
        self.outbox.add(join.encode_frame(), answer=answer)

    def say_object(self, topic: Topic, info: ObjectInfo) -> None:
        """OBJECT of an open topic, unless either side has told it [TR-001] [TR-003]."""
        if not topic.told_object and not topic.heard_object:
            frame = msg.Object(topic.local, info.kind, info.length, info.root).encode_frame()
            topic.told_object = True
            self.outbox.add(frame, answer=True)

    def say_leave(self, topic: Topic) -> None:
        """The answer to the end of an open topic by the other side, or the end itself; its requests are rejected."""
        self.outbox.add(msg.Leave(topic.local).encode_frame(), answer=True)
        for request in self.serving.of_topic(topic.name):
            self.withdraw(request, RejectCode.NOT_JOINED)  # [TP-070]

    def say_reject(self, request: int, code: RejectCode, retry: float = 0.0) -> None:
        """REJECT of an open request of the other side; `retry` in seconds counts with CHOKED and BUSY only."""
        delay = round(min(retry, MAX_RETRY) * 1000) if retry and code in RETRY_CODES else 0
        frame = msg.Reject(request, code, delay).encode_frame()
        self.outbox.add(frame, answer=True)
        if not self.serving.end(request):
            self.timers.stop(_SERVE)

    def withdraw(self, request: int, code: RejectCode) -> None:
        """REJECT that the caller did not ask for."""
        self.say_reject(request, code)
        self.events.append(ev.RequestWithdrawn(request))


def _hello(config: Config, grease: Grease | None) -> tuple[bytes, ...]:
    """HELLO; with GREASE, a frame without meaning follows it [EX-020]."""
    limits = config.limits
    hello = msg.Hello(limits.max_requests, limits.max_handles, limits.idle, hello_parameters(config, grease))
    frame = hello.encode_frame()
    return (frame,) if grease is None else (frame, grease.frame)
