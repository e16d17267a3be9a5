"""The exchange under any order of links, topics, records and time: every frame is allowed, and everyone learns all."""

from __future__ import annotations

from math import inf

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from p2pwire.connection.commands import SharePeers
from p2pwire.node.exchange import Exchange, ExchangeLimits, ExchangeLink
from p2pwire.node.peerbook import PeerBook
from p2pwire.wire.messages import PeerRecord
from p2pwire.wire.registry import CLOCK_SKEW, MAX_PEERS_ADDED, MAX_PEERS_DROPPED, VOUCH_WINDOW
from tests.node.peers import OTHER_TOPIC, OWN, TOPIC, UNIX, Verifier, at, chance, identity, origin, record

NAMES = st.integers(0, 7)
TOPICS = st.sampled_from([TOPIC, OTHER_TOPIC])
BURST, RATE = 6, 0.1
DIALLED = "8.8.8.8:4000"


@attrs.define
class Opening:
    """What the far end of a link knows of one topic."""

    pushes: bool
    knows: dict[bytes, int] = attrs.field(factory=dict)
    frames: list[float] = attrs.field(factory=list)
    asked: int = 0


@attrs.define(eq=False)
class Far:
    """The far end of a link."""

    name: int
    dialled: bool
    openings: dict[bytes, Opening] = attrs.field(factory=dict)
    sent: list[float] = attrs.field(factory=list)


def within(times: list[float], burst: float, rate: float) -> bool:
    """Whether a bucket of this size and refill would have let all of them through."""
    return all(
        last - first + 1 <= burst + (times[last] - times[first]) * rate + 0.001
        for first in range(len(times))
        for last in range(first, len(times))
    )


class ExchangeMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        limits = ExchangeLimits(sent_burst=BURST, sent_rate=RATE, members=64)
        self.book = PeerBook(OWN, random=chance(1), verify=Verifier())
        self.exchange = Exchange(self.book, random=chance(2), limits=limits)
        self.now = 50.0
        self.links: dict[ExchangeLink, Far] = {}
        self.until: dict[tuple[bytes, int], float] = {}
        """(topic, name) -> how long it may be shared"""
        self.latest: dict[int, tuple[int, int]] = {}
        """name -> sequence and end of its newest record"""
        self.reached: set[int] = set()

    @property
    def unix_time(self) -> float:
        return UNIX + self.now

    def present(self, topic: bytes, name: int) -> bool:
        return any(far.name == name and topic in far.openings for far in self.links.values())

    # --- What happens ---------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.links) < 12)
    @rule(name=NAMES, dialled=st.booleans())
    def open_link(self, name: int, dialled: bool) -> None:
        link = self.exchange.open_link(origin(name), self.now, dialled=at(DIALLED) if dialled else None)
        self.links[link] = Far(name, dialled)

    @precondition(lambda self: self.links)
    @rule(data=st.data(), topic=TOPICS, pushes=st.booleans())
    def open_topic(self, data: st.DataObject, topic: bytes, pushes: bool) -> None:
        link = data.draw(st.sampled_from(list(self.links)))
        far = self.links[link]
        self.exchange.open_topic(link, topic, self.now, pushes=pushes)
        if topic in far.openings:
            far.openings[topic].pushes = pushes
        else:
            far.openings[topic] = Opening(pushes)
        self.until[topic, far.name] = inf
        if far.dialled:
            self.reached.add(far.name)
        self.run_due()

    @precondition(lambda self: self.links)
    @rule(data=st.data(), topic=TOPICS)
    def close_topic(self, data: st.DataObject, topic: bytes) -> None:
        link = data.draw(st.sampled_from(list(self.links)))
        far = self.links[link]
        self.exchange.close_topic(link, topic, self.now)
        if far.openings.pop(topic, None) is not None and not self.present(topic, far.name):
            self.until[topic, far.name] = self.now
        self.run_due()

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def close_link(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(list(self.links)))
        far = self.links.pop(link)
        self.exchange.close_link(link, self.now)
        for topic in far.openings:
            if not self.present(topic, far.name):
                self.until[topic, far.name] = self.now + VOUCH_WINDOW
        self.run_due()

    @precondition(lambda self: self.links)
    @rule(data=st.data(), topic=TOPICS, count=st.integers(0, 40))
    def ask(self, data: st.DataObject, topic: bytes, count: int) -> None:
        link = data.draw(st.sampled_from(list(self.links)))
        self.exchange.ask(link, topic, count)
        if topic in self.links[link].openings:
            self.links[link].openings[topic].asked = count
        self.run_due()

    @rule(name=NAMES, ttl=st.integers(60, 4000))
    def renew(self, name: int, ttl: int) -> None:
        sequence = int(self.unix_time)
        address = DIALLED if name % 2 else "8.8.4.4:4000"
        raw = record(name, address, "127.0.0.1:1", sequence=sequence, ttl=ttl)
        self.book.offer(raw, origin("someone"), self.unix_time, topic=TOPIC)
        self.latest.setdefault(name, (-1, -1))
        if sequence > self.latest[name][0]:
            self.latest[name] = sequence, sequence + ttl + CLOCK_SKEW
        self.follow()
        self.run_due()

    @rule(seconds=st.floats(0.01, 500))
    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (timeout := self.exchange.next_timeout(self.now)) is not None and timeout <= end:
            assert timeout > self.now
            self.now = timeout
            self.run_due()
        self.now = end
        self.run_due()

    @rule()
    def rest(self) -> None:
        """Until nothing is left to tell: then everyone who wants to knows all that may be told, and no more."""
        for _ in range(2000):
            timeout = self.exchange.next_timeout(self.now)
            if timeout is None:
                break
            self.now = max(timeout, self.now)
            self.run_due()
        else:
            raise AssertionError("it never comes to rest")
        for far in self.links.values():
            for topic, opening in far.openings.items():
                if opening.pushes:
                    assert self.alive(opening.knows) == self.alive(self.sharable(topic, far.name))

    # --- What must hold -------------------------------------------------------------------------------------------

    def follow(self) -> None:
        self.book.expire(self.unix_time)
        for changed in self.book.take_changes():
            self.exchange.refresh(changed)

    def sharable(self, topic: bytes, receiver: int) -> dict[bytes, int]:
        return {
            identity(name): self.latest[name][0]
            for (where, name), until in self.until.items()
            if where == topic and until > self.now and name != receiver and name in self.latest
        }

    def alive(self, knows: dict[bytes, int]) -> dict[bytes, int]:
        ends = {identity(name): latest for name, latest in self.latest.items()}
        return {
            key: sequence
            for key, sequence in knows.items()
            if sequence == ends[key][0] and ends[key][1] >= self.unix_time
        }

    def run_due(self) -> None:
        self.follow()
        for link in self.exchange.due(self.now):
            while (command := self.exchange.next_peers(link, self.now, self.unix_time)) is not None:
                self.check(self.links[link], command)

    def check(self, far: Far, command: SharePeers) -> None:
        opening = far.openings[command.topic]
        assert opening.pushes or opening.asked
        assert command.added or command.dropped
        assert len(command.added) <= (MAX_PEERS_ADDED if opening.pushes else opening.asked)
        assert len(command.dropped) <= MAX_PEERS_DROPPED
        opening.frames.append(self.now)
        assert within(opening.frames, 2, 1 / 60)
        far.sent += [self.now] * len(command.added)
        assert within(far.sent, BURST, RATE)
        sharable = self.sharable(command.topic, far.name)
        for item in command.added:
            shared = PeerRecord.decode(item.record)
            assert sharable[shared.identity] == shared.sequence
            assert opening.knows.get(shared.identity) != shared.sequence
            assert shared.sequence + shared.ttl + CLOCK_SKEW >= self.unix_time
            opening.knows[shared.identity] = shared.sequence
            name = next(name for name in range(8) if identity(name) == shared.identity)
            assert item.flags == (name in self.reached and name % 2)
        for gone in command.dropped:
            assert gone not in self.alive(sharable)
            del opening.knows[gone]
        if command.added:
            opening.asked = 0


TestExchangeMachine = ExchangeMachine.TestCase
TestExchangeMachine.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
