"""Topics and handles of one link: who has joined what under which number (SPEC.md, "Topics").

Every frame names its sender's handle, except REFUSE, which names the handle of the JOIN that it refuses [FR-013].
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

NO_HANDLE: Final = -1
"""In place of the number of a handle: there is none."""

NO_FLAGS: Final = JoinFlag(0)

MAX_ASKED: Final = 64
"""topics remembered for which the other side asked in vain: 4 KiB."""

DUMMY_OID: Final = bytes(32)
"""The key of the HMAC that is made for an unknown topic, so that an answer takes as long as for a known one."""

# What every message asks for: before Python 3.12 a member read on its class costs more than a call.
_OPEN: Final = TopicState.OPEN
_CONTENT: Final = TopicInput.CONTENT
_LEAVING: Final = TopicState.LEAVING
_FREE: Final = TopicState.FREE


@attrs.define(eq=False)
class Topic:
    """One topic on one link. Its state changes in `Topics` alone."""

    name: bytes
    state: TopicState = TopicState.FREE
    local: int = NO_HANDLE
    """This side's handle: JOINED in the states ASKED and OPEN, LEFT in LEAVING."""
    remote: int = NO_HANDLE
    """The other side's handle: LIVE in the state OPEN, LEAVING in LEAVING."""
    remote_cap: bytes = attrs.field(default=b"", repr=False)
    told_object: bool = False
    """OBJECT was sent since the topic opened."""
    heard_object: bool = False
    """OBJECT was received since the topic opened."""
    interest_told: bool = False
    interest_heard: bool = False
    flags_told: JoinFlag = NO_FLAGS
    flags_heard: JoinFlag = NO_FLAGS
    units: UnitMap = attrs.field(factory=UnitMap, repr=False)
    """What the other side announced."""


@attrs.frozen
class JoinAnswer:
    """What a received JOIN leads to."""

    arrived: TopicInput
    topic: Topic
    """As it is after it."""
    unasked: bool
    """Whether this side had no handle for the topic: the JOIN is answered."""

    @property
    def counted(self) -> bool:
        """Whether it counts against the control budget: not if it is the other half of an own JOIN, and right."""
        return self.unasked or self.arrived is not TopicInput.JOIN


class Topics:
    """All topics of one link. Every change of a topic's state goes through `_move`."""

    __slots__ = (
        "_asked",
        "_by_local",
        "_by_name",
        "_by_remote",
        "_initiator",
        "_max_remote",
        "_next_local",
        "_opened",
        "_used",
        "catalogue",
        "handshake_hash",
        "leaving",
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
        # All topics that are not FREE, by their name and by the handles that they have.
        self._by_name: dict[bytes, Topic] = {}
        self._by_local: dict[int, Topic] = {}
        self._by_remote: dict[int, Topic] = {}
        self._next_local = 0
        # The numbers that the other side has ever used, as the bits of one integer: 8 KiB at most [TP-002].
        self._used = 0
        self._asked: dict[bytes, bytes] = {}
        self._opened = 0
        self.leaving = 0
        """How many topics are LEAVING."""

    # --- looking up ---

    def get(self, name: bytes) -> Topic | None:
        """The topic of this name if it is not FREE."""
        return self._by_name.get(name)

    def opened(self, name: bytes) -> Topic | None:
        """The topic of this name if it is open."""
        topic = self._by_name.get(name)
        return topic if topic is not None and topic.state is _OPEN else None

    def of_remote(self, handle: int) -> Topic | None:
        """The open topic of the other side's handle; None if the handle ended, or the topic is being left [TP-062].

        Raises `LinkFault` PROTOCOL for a handle that was never joined [TP-061].
        """
        topic = self._by_remote.get(handle)
        if topic is not None:
            if topic.state is not _OPEN:  # where it is, content changes nothing
                self._arrive(topic, _CONTENT)
                return None
            return topic
        if not self._used >> handle & 1:
            self._arrive(Topic(b""), TopicInput.STRAY, f"handle {handle} was never joined")
        return None

    def can_join(self) -> bool:
        """Whether one more handle of one's own is free [TP-012]."""
        return len(self._by_local) < self.max_local

    @property
    def most(self) -> int:
        """How many topics can be open at a time: each takes a handle of either side [TP-012] [TP-028]."""
        return min(self.max_local, self._max_remote)

    def asked_for(self, name: bytes) -> bool:
        """Whether the other side asked in vain, with the right cap, for what is in the catalogue now [TP-017]."""
        given = self._asked.get(name)
        return given is not None and name in self.catalogue and hmac.compare_digest(self._right_cap(name), given)

    def own_cap(self, name: bytes) -> bytes:
        """The proof that this side knows the object's id [TP-016]."""
        return cap(self.catalogue[name].oid, self._initiator, self.handshake_hash)

    # --- own steps ---

    def ask(self, name: bytes) -> Topic:
        """A new topic, for which JOIN goes out. The caller has checked `get` and `can_join`."""
        topic = Topic(name)
        self._step(topic, TopicStep.SEND_JOIN)
        return topic

    def leave(self, topic: Topic) -> None:
        """Own LEAVE goes out. Raises `LocalProtocolError` if it may not [TP-050]."""
        self._step(topic, TopicStep.SEND_LEAVE)

    # --- what arrives ---

    def join(self, join: Join) -> JoinAnswer:
        """A JOIN came: which input it is, and the topic after it [TP-020]. Raises `LinkFault` as the table says."""
        arrived, topic = self._classify(join)
        before = topic.state
        if arrived is TopicInput.JOIN and before is not _LEAVING and self._live_remote() >= self._max_remote:
            raise LinkFault(CloseCode.LIMIT, f"more than max_handles = {self._max_remote} topics joined")  # [TP-028]
        self._arrive(topic, arrived, f"handle {join.handle} or its topic is in use")
        self._used |= 1 << join.handle
        if topic.state is _FREE:
            self._remember(join)
        elif arrived is not TopicInput.JOIN_AGAIN:
            topic.remote, topic.remote_cap = join.handle, join.cap
            self._by_remote[join.handle] = topic
        return JoinAnswer(arrived, topic, unasked=before is _FREE)

    def refuse(self, handle: int) -> tuple[Topic, TopicState] | None:
        """REFUSE of own handle came: the topic that it ends and the state it had; None if the handle is FREE."""
        return self._over(self._by_local.get(handle), TopicInput.REFUSE)

    def left(self, handle: int) -> tuple[Topic, TopicState] | None:
        """LEAVE of the other's handle came: the topic that it ends and the state it had; None if there is none."""
        return self._over(self._by_remote.get(handle), TopicInput.LEAVE)

    # --- inside ---

    def _classify(self, join: Join) -> tuple[TopicInput, Topic]:
        """The first of the cases TP-021 to TP-030 that applies, as an input of a topic."""
        named = self._by_name.get(join.topic)
        live = self._by_remote.get(join.handle)
        if live is not None:
            same = live is named and hmac.compare_digest(live.remote_cap, join.cap)
            return (TopicInput.JOIN_AGAIN if same else TopicInput.JOIN_OTHER), live
        if named is not None and named.remote != NO_HANDLE:
            return TopicInput.JOIN_OTHER, named
        if named is not None and named.state is _LEAVING:
            return TopicInput.JOIN, named
        # Always compared, in constant time, with a key that the other side can not tell from a real one [PV-001].
        right = hmac.compare_digest(self._right_cap(join.topic), join.cap)
        welcome = right and join.topic in self.catalogue and (named is not None or self.can_join())
        return (TopicInput.JOIN if welcome else TopicInput.BAD_JOIN), named or Topic(join.topic)

    def _right_cap(self, name: bytes) -> bytes:
        """What the other side's cap has to be; for an unknown topic one that takes as long to make."""
        offer = self.catalogue.get(name)
        return cap(DUMMY_OID if offer is None else offer.oid, not self._initiator, self.handshake_hash)

    def _live_remote(self) -> int:
        return self._opened

    def _remember(self, join: Join) -> None:
        self._asked[join.topic] = join.cap
        if len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]

    def _over(self, topic: Topic | None, arrived: TopicInput) -> tuple[Topic, TopicState] | None:
        if topic is None:
            self._arrive(Topic(b""), arrived)
            return None
        before = topic.state
        self._arrive(topic, arrived)
        return topic, before

    def _arrive(self, topic: Topic, arrived: TopicInput, text: str = "") -> None:
        """Move as the table says. Raises `LinkFault` with this text if the cell is a close code."""
        cell = next_topic_state(topic.state, arrived)
        if isinstance(cell, CloseCode):
            raise LinkFault(cell, text)
        self._move(topic, cell)

    def _step(self, topic: Topic, step: TopicStep) -> None:
        after = step_topic(topic.state, step)
        if after is None:
            raise LocalProtocolError(f"{step.name}: the topic is {topic.state.name}")
        self._move(topic, after)

    def _move(self, topic: Topic, after: TopicState) -> None:
        """Enter a state, and keep what there is of the topic as the state says."""
        before, topic.state = topic.state, after
        if before is after:
            return
        if before is _FREE:
            topic.local = self._free_handle()
            self._by_name[topic.name] = self._by_local[topic.local] = topic
        elif after is _FREE:
            del self._by_name[topic.name], self._by_local[topic.local]
            if topic.remote != NO_HANDLE:
                del self._by_remote[topic.remote]
        if after is _OPEN:
            self._opened += 1
            self._asked.pop(topic.name, None)
        elif after is _LEAVING:
            self.leaving += 1
            topic.units = UnitMap()  # [TP-064]
        if before is _OPEN:
            self._opened -= 1
        elif before is _LEAVING:
            self.leaving -= 1

    def _free_handle(self) -> int:
        """A number that is FREE; one that was used is used again as late as can be, so that logs can be read."""
        while self._next_local in self._by_local:
            self._next_local = (self._next_local + 1) % HANDLE_NUMBERS
        number = self._next_local
        self._next_local = (number + 1) % HANDLE_NUMBERS
        return number
