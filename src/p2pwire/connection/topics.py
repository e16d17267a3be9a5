"""Topics and handles of one link: who has joined what under which number (SPEC.md, "Topics").

Every frame names its sender's handle, except REFUSE, which names the handle of the JOIN that it refuses.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final

import attrs

from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.config import Offer
from p2pwire.connection.faults import LinkFault
from p2pwire.connection.state import TopicInput, TopicState, TopicStep, next_topic_state, step_topic
from p2pwire.content.objects import cap
from p2pwire.content.units import UnitMap
from p2pwire.wire.messages import Join
from p2pwire.wire.registry import ASSUMED_HANDLES, CloseCode, JoinFlag

HANDLE_NUMBERS: Final = 65536
"""handles that a u16 can name."""

NO_FLAGS: Final = JoinFlag(0)

MAX_ASKED: Final = 64
"""topics remembered for which the other side asked in vain: 4 KiB."""

DUMMY_OID: Final = bytes(32)
"""The key of the HMAC that is made for an unknown topic, so that an answer takes as long as for a known one."""


@attrs.define
class Topic:
    """One topic on one link."""

    name: bytes
    state: TopicState = TopicState.FREE
    local: int | None = None
    remote: int | None = None
    remote_cap: bytes = b""
    told_object: bool = False
    """OBJECT was sent since the topic opened."""
    heard_object: bool = False
    """OBJECT was received since the topic opened."""
    interest_told: bool = False
    interest_heard: bool = False
    flags_told: JoinFlag = NO_FLAGS
    units: UnitMap = attrs.field(factory=UnitMap)
    """What the other side holds."""


@attrs.frozen
class JoinAnswer:
    """What a received JOIN leads to."""

    arrived: TopicInput
    topic: Topic | None
    unasked: bool
    """Whether it came without a JOIN of this side before: it is answered, and counts as a control frame."""

    @property
    def counted(self) -> bool:
        """Whether it counts against the control budget."""
        return self.unasked or self.arrived is TopicInput.JOIN_AGAIN


class Topics:
    """All topics of one link. Every change of a topic's state goes through `_move`."""

    __slots__ = (
        "_asked",
        "_by_name",
        "_by_remote",
        "_ended",
        "_initiator",
        "_local_in_use",
        "_max_remote",
        "_next_local",
        "catalogue",
        "handshake_hash",
        "max_local",
    )

    def __init__(self, catalogue: Mapping[bytes, Offer], *, initiator: bool, max_handles: int) -> None:
        self.catalogue = catalogue
        self.handshake_hash = b""
        """Known once the handshake is over."""
        self.max_local = ASSUMED_HANDLES
        """The other side's max_handles."""
        self._initiator = initiator
        self._max_remote = max_handles
        self._by_name: dict[bytes, Topic] = {}
        self._by_remote: dict[int, Topic] = {}
        self._local_in_use: dict[int, Topic] = {}
        self._next_local = 0
        self._asked: dict[bytes, bytes] = {}
        self._ended = 0
        # A set of handle numbers as the bits of one int: at most 8 KiB however many are used.

    # --- looking up ---

    def get(self, name: bytes) -> Topic | None:
        """The topic of this name if it is not FREE."""
        return self._by_name.get(name)

    def opened(self, name: bytes) -> Topic | None:
        """The topic of this name if it is open."""
        topic = self._by_name.get(name)
        return topic if topic is not None and topic.state is TopicState.OPEN else None

    def of_remote(self, handle: int) -> Topic | None:
        """The open topic of the other side's handle; None if the handle ended, or the topic is being left.

        Raises `LinkFault` PROTOCOL for a handle that was never joined.
        """
        topic = self._by_remote.get(handle)
        if topic is None:
            if not self._ended >> handle & 1:
                raise LinkFault(CloseCode.PROTOCOL, f"handle {handle} was never joined")
            return None
        arrived = next_topic_state(topic.state, TopicInput.CONTENT)
        return topic if arrived is TopicState.OPEN else None

    def can_join(self) -> bool:
        """Whether one more handle of one's own is free [TP-012]."""
        return len(self._local_in_use) < self.max_local

    def asked_for(self, name: bytes) -> bool:
        """Whether the other side asked for a topic of the catalogue, with the right cap, before it was there [TP-017]."""
        given = self._asked.get(name)
        return given is not None and hmac.compare_digest(self._right_cap(name), given)

    # --- sending ---

    def ask(self, name: bytes) -> Topic:
        """A new topic with a handle of one's own, for which JOIN goes out. The caller has checked `can_join`."""
        topic = Topic(name)
        self._step(topic, TopicStep.SEND_JOIN)
        self._take_handle(topic)
        self._by_name[name] = topic
        return topic

    def leave(self, topic: Topic) -> None:
        """Own LEAVE goes out. Raises `LocalProtocolError` if it may not."""
        self._step(topic, TopicStep.SEND_LEAVE)

    def own_cap(self, name: bytes) -> bytes:
        """The proof that this side knows the object's id."""
        return cap(self.catalogue[name].oid, self._initiator, self.handshake_hash)

    # --- receiving ---

    def join(self, join: Join) -> JoinAnswer:
        """A JOIN came: which input it is, and the topic after it. Raises `LinkFault` as the table says."""
        arrived, topic = self._classify(join)
        state = topic.state if topic is not None else TopicState.FREE
        if arrived is TopicInput.JOIN and state is not TopicState.LEAVING and self._live_remote() >= self._max_remote:
            raise LinkFault(CloseCode.LIMIT, f"more than max_handles = {self._max_remote} topics joined")
        after = next_topic_state(state, arrived)
        if isinstance(after, CloseCode):
            raise LinkFault(after, f"handle {join.handle} or its topic is already in use")
        unasked = state is TopicState.FREE
        if arrived is TopicInput.JOIN:
            if topic is None:
                topic = self.ask(join.topic)
            self._take_remote(topic, join)
            topic.state = after
        elif arrived is TopicInput.BAD_JOIN:
            if topic is not None:
                self._take_remote(topic, join)
                topic.state = after
            else:
                self._ended |= 1 << join.handle
                self._asked[join.topic] = join.cap
                if len(self._asked) > MAX_ASKED:
                    del self._asked[next(iter(self._asked))]
        return JoinAnswer(arrived, topic, unasked)

    def refuse(self, handle: int) -> tuple[Topic, TopicState] | None:
        """REFUSE of own handle came: the topic that ends by it and the state it had; None if the handle is free."""
        topic = self._local_in_use.get(handle)
        if topic is None:
            return None
        before = topic.state
        self._end(topic, TopicInput.REFUSE)
        return topic, before

    def left(self, handle: int) -> tuple[Topic, TopicState] | None:
        """LEAVE of the other's handle came: the topic that ends and the state it had; None if the handle is free."""
        topic = self._by_remote.get(handle)
        if topic is None:
            return None
        before = topic.state
        self._end(topic, TopicInput.LEAVE)
        return topic, before

    # --- inside ---

    def _classify(self, join: Join) -> tuple[TopicInput, Topic | None]:
        named = self._by_name.get(join.topic)
        live = self._by_remote.get(join.handle)
        if live is not None:
            same = live is named and hmac.compare_digest(live.remote_cap, join.cap)
            return (TopicInput.JOIN_AGAIN if same else TopicInput.JOIN_OTHER), live
        if named is not None and named.remote is not None:
            return TopicInput.JOIN_OTHER, named
        if named is not None and named.state is TopicState.LEAVING:
            return TopicInput.JOIN, named
        right = hmac.compare_digest(self._right_cap(join.topic), join.cap)
        welcome = right and join.topic in self.catalogue and (named is not None or self.can_join())
        return (TopicInput.JOIN if welcome else TopicInput.BAD_JOIN), named

    def _step(self, topic: Topic, step: TopicStep) -> None:
        after = step_topic(topic.state, step)
        if after is None:
            raise LocalProtocolError(f"{step.name}: the topic is {topic.state.name}")
        topic.state = after

    def _right_cap(self, name: bytes) -> bytes:
        """What the other side's cap has to be; for an unknown topic one that takes as long to make [PV-001]."""
        offer = self.catalogue.get(name)
        return cap(DUMMY_OID if offer is None else offer.oid, not self._initiator, self.handshake_hash)

    def _live_remote(self) -> int:
        return sum(topic.state is TopicState.OPEN for topic in self._by_remote.values())

    def _take_handle(self, topic: Topic) -> None:
        while self._next_local in self._local_in_use:
            self._next_local = (self._next_local + 1) % HANDLE_NUMBERS
        topic.local = self._next_local
        self._local_in_use[self._next_local] = topic
        self._next_local = (self._next_local + 1) % HANDLE_NUMBERS

    def _take_remote(self, topic: Topic, join: Join) -> None:
        topic.remote, topic.remote_cap = join.handle, join.cap
        self._by_remote[join.handle] = topic

    def _end(self, topic: Topic, arrived: TopicInput) -> None:
        after = next_topic_state(topic.state, arrived)
        assert after is TopicState.FREE
        topic.state = after
        del self._by_name[topic.name]
        if topic.local is not None:
            del self._local_in_use[topic.local]
        if topic.remote is not None:
            del self._by_remote[topic.remote]
            self._ended |= 1 << topic.remote
