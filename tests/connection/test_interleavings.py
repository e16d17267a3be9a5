"""All interleavings of two honest sides that join, leave and refuse one topic as they like (SPEC.md, "LEAVE").

Two sessions without their records: frames that are under way lie in two queues. Every state that can be reached is
visited once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Self

import pytest

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.config import Offer, Role
from p2pwire.connection.incoming import receive
from p2pwire.connection.outbox import Outbox
from p2pwire.connection.outgoing import carry_out
from p2pwire.connection.session import Session
from p2pwire.connection.state import TopicState
from p2pwire.connection.timers import Timers
from p2pwire.connection.topics import NO_HANDLE
from p2pwire.wire.registry import FrameType
from tests.connection.remote import HELLO, Blob, config

BLOB = Blob()
TOPIC = BLOB.topic
CONFIG = config(topics={})
WILLING, UNWILLING = {TOPIC: BLOB.unknown}, dict[bytes, Offer]()


def session(role: Role) -> Session:
    made = Session(CONFIG, role, Outbox(), deque(), Timers(0.0), bytes, grease=None)
    made.begin(bytes(32), bytes(32))
    receive(made, FrameType.HELLO, memoryview(HELLO.encode()))
    made.outbox.drop()
    made.events.clear()
    made.topics.catalogue = WILLING
    return made


class World:
    """Both sides, and what is under way to each."""

    def __init__(self) -> None:
        self.sides = (session(Role.INITIATOR), session(Role.RESPONDER))
        self.arriving: tuple[deque[bytes], deque[bytes]] = (deque(), deque())

    def copy(self) -> Self:
        shared = (CONFIG, WILLING, UNWILLING, *(side.budget for side in self.sides), bytes)
        return deepcopy(self, {id(each): each for each in shared})

    def key(self) -> tuple[Any, ...]:
        """All that can make a difference to what happens from here on."""
        parts: list[Any] = []
        for side, arriving in zip(self.sides, self.arriving, strict=True):
            topics = side.topics
            topic = topics.get(TOPIC)
            known = None if topic is None else (topic.state, topic.local, topic.remote)
            parts.append((known, topics._used, topics.catalogue is WILLING, tuple(arriving)))
        return tuple(parts)

    def settle(self, number: int) -> None:
        """What a side said is under way; a number that is free is used again at once, which is the hardest case."""
        side = self.sides[number]
        said = b"".join(part for parts in side.outbox._frames for part in parts)
        side.outbox.drop()
        while said:
            end = 3 + int.from_bytes(said[1:3], "big")
            self.arriving[1 - number].append(said[:end])
            said = said[end:]
        side.events.clear()
        side.topics._next_local = 0
        side.topics._asked.clear()

    def steps(self) -> Iterator[Self]:
        for number in (0, 1):
            if self.arriving[number]:
                yield self.arrive(number)
            willing = self.copy()
            topics = willing.sides[number].topics
            topics.catalogue = UNWILLING if topics.catalogue is WILLING else WILLING
            yield willing
            for command in (cmd.Join(TOPIC), cmd.Leave(TOPIC)):
                said = self.copy()
                try:
                    carry_out(said.sides[number], command)
                except LocalProtocolError:
                    continue
                said.settle(number)
                yield said

    def arrive(self, number: int) -> Self:
        """The next frame reaches a side, which must not find fault with it."""
        after = self.copy()
        frame = after.arriving[number].popleft()
        frame_type = FrameType(frame[0])
        receive(after.sides[number], frame_type, memoryview(frame)[3:])
        assert not [event for event in after.sides[number].events if isinstance(event, ev.Closed)]
        after.settle(number)
        return after

    def check(self) -> None:
        """What holds when nothing is under way."""
        if self.arriving[0] or self.arriving[1]:
            return
        one, other = (side.topics.get(TOPIC) for side in self.sides)
        states = {TopicState.FREE if topic is None else topic.state for topic in (one, other)}
        assert TopicState.LEAVING not in states
        assert TopicState.ASKED not in states
        assert len(states) == 1
        if one is not None and other is not None:
            assert (one.local, other.local) == (other.remote, one.remote)
            assert NO_HANDLE not in (one.local, one.remote)


@pytest.mark.interpreted
def test_no_honest_side_is_ever_blamed_and_nothing_is_left_over() -> None:
    start = World()
    seen = {start.key()}
    front = deque([start])
    while front:
        world = front.popleft()
        world.check()
        for after in world.steps():
            key = after.key()
            if key not in seen:
                seen.add(key)
                front.append(after)
    # The rules alone keep the number of frames under way, and so that of the states, finite.
    assert 500 < len(seen) < 5000
