"""The dialer under any order of records, dials, links and time, against the rules read off one by one."""

from __future__ import annotations

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from p2pwire.node.address import Scope
from p2pwire.node.bans import Bans
from p2pwire.node.dialer import Dialer, DialFailure, DialLimits
from p2pwire.node.dialqueue import DialTarget, Local, SourceName
from p2pwire.node.peerbook import PeerBook
from tests.node.peers import OTHER_TOPIC, OWN, TOPIC, UNIX, Verifier, at, chance, identity, origin, record

HOSTS = ["8.8.1.1", "8.8.2.2", "8.8.3.3", "7.7.7.7", "6.6.6.6", "10.0.0.1", "127.0.0.1", "169.254.1.1"]
PORTS = [4000, 4001, 4002, 4003, 22]
ADDRESSES = st.builds("{}:{}".format, st.sampled_from(HOSTS), st.sampled_from(PORTS))
NAMES = st.integers(0, 14)
SOURCES = st.sampled_from(
    [("a", "9.9.9.9:1"), ("b", "9.8.9.9:1"), ("c", "10.0.0.9:1"), ("d", "127.0.0.1:1"), ("e", None)]
)
TOPICS = st.sampled_from([TOPIC, OTHER_TOPIC])
PER_MINUTE, PARALLEL, SLOTS, GLOBAL_PORTS = 5, 2, 8, 3


@attrs.frozen
class Begun:
    """One dial of the past."""

    time: float
    target: DialTarget


class DialMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.book = PeerBook(OWN, random=chance(1), verify=Verifier())
        self.bans = Bans()
        limits = DialLimits(parallel=PARALLEL, per_minute=PER_MINUTE)
        self.dialer = Dialer(self.book, self.bans, random=chance(2), limits=limits)
        self.now = 500.0
        self.wanted: set[bytes] = set()
        self.history: list[Begun] = []
        self.dialling: list[DialTarget] = []
        self.outbound: dict[DialTarget, int] = {}
        self.inbound: list[int] = []
        self.yielding: list[DialTarget] = []
        self.failed: dict[object, tuple[int, float]] = {}
        """endpoint, or (identity, endpoint) -> failures in a row, and the last"""

    @property
    def unix_time(self) -> float:
        return UNIX + self.now

    @property
    def linked(self) -> set[bytes]:
        return {identity(name) for name in [*self.outbound.values(), *self.inbound]}

    def follow(self) -> None:
        self.book.expire(self.unix_time)
        for changed in self.book.take_changes():
            self.dialer.refresh(changed, self.now)

    # --- What happens ---------------------------------------------------------------------------------------------

    @rule(
        name=NAMES,
        addresses=st.lists(ADDRESSES, min_size=1, max_size=3),
        source=SOURCES,
        topic=TOPICS,
        reachable=st.booleans(),
    )
    def learn(
        self, name: int, addresses: list[str], source: tuple[str, str | None], topic: bytes, reachable: bool
    ) -> None:
        raw = record(name, *addresses, sequence=int(self.unix_time), ttl=3600)
        self.book.offer(raw, origin(*source), self.unix_time, topic=topic, reachable=reachable)
        self.follow()

    @rule(name=NAMES, source=SOURCES, topic=TOPICS)
    def withdraw(self, name: int, source: tuple[str, str | None], topic: bytes) -> None:
        self.book.withdraw(identity(name), identity(source[0]), topic)
        self.follow()

    @rule(topic=TOPICS)
    def want(self, topic: bytes) -> None:
        self.dialer.want(topic, self.now)
        self.wanted.add(topic)

    @rule()
    def unwant(self) -> None:
        self.dialer.unwant(OTHER_TOPIC, self.now)
        self.wanted.discard(OTHER_TOPIC)

    @rule(
        address=ADDRESSES,
        source=st.sampled_from([Local.USER, Local.LAN]),
        expected=st.one_of(st.none(), NAMES),
        topics=st.lists(TOPICS, max_size=1),
    )
    def give(self, address: str, source: Local, expected: int | None, topics: list[bytes]) -> None:
        who = None if expected is None else identity(expected)
        self.dialer.give(at(address), self.now, source=source, identity=who, topics=topics)

    @rule(address=ADDRESSES)
    def take_back(self, address: str) -> None:
        self.dialer.take_back(at(address), self.now)

    @rule(name=NAMES, address=ADDRESSES, dialled=st.booleans())
    def ban(self, name: int, address: str, dialled: bool) -> None:
        self.bans.add(identity(name), at(address), self.now, dialled=dialled)

    @rule()
    def begin(self) -> None:
        while (target := self.dialer.next(self.now)) is not None:
            self.check(target)
            self.history.append(Begun(self.now, target))
            self.dialling.append(target)
        timeout = self.dialer.next_timeout(self.now)
        assert timeout is None or timeout > self.now

    @precondition(lambda self: self.dialling)
    @rule(data=st.data(), answer=NAMES, fate=st.sampled_from(["link", "link", "link", *DialFailure]))
    def finish(self, data: st.DataObject, answer: int, fate: object) -> None:
        target = data.draw(st.sampled_from(self.dialling))
        self.dialling.remove(target)
        if target.identity is not None and fate is not DialFailure.WRONG_IDENTITY:
            answer = next(name for name in range(15) if identity(name) == target.identity)
        who = identity(answer)
        if fate == "link" and who not in self.linked:
            self.yielding += self.dialer.succeeded(target, who, self.now)
            self.outbound[target] = answer
            self.failed.pop((who, target.endpoint), None)
        elif fate == "link" or fate is DialFailure.DUPLICATE:
            self.dialer.failed(target, DialFailure.DUPLICATE, self.now, identity=who)
        elif isinstance(fate, DialFailure):
            if fate is DialFailure.WRONG_IDENTITY and target.identity in (None, who):
                fate = DialFailure.UNREACHABLE
            self.dialer.failed(target, fate, self.now, identity=who if fate is DialFailure.WRONG_IDENTITY else None)
            if fate is DialFailure.SELF:
                self.failed[target.endpoint] = 99, float("inf")
            elif fate is DialFailure.WRONG_IDENTITY:
                self.count_failure((target.identity, target.endpoint), 86400)
            else:
                self.count_failure(target.endpoint, 900)

    def count_failure(self, key: object, longest: float) -> None:
        count, last = self.failed.get(key, (0, 0.0))
        self.failed[key] = (0 if self.now - last > longest else count) + 1, max(self.now, last)

    @rule(name=NAMES)
    def accept(self, name: int) -> None:
        if identity(name) not in self.linked:
            self.dialer.accepted(identity(name), self.now)
            self.inbound.append(name)

    @precondition(lambda self: self.outbound)
    @rule(data=st.data(), reconnect=st.booleans())
    def close_outbound(self, data: st.DataObject, reconnect: bool) -> None:
        target = data.draw(st.sampled_from(list(self.outbound)))
        name = self.outbound.pop(target)
        self.dialer.closed(identity(name), self.now, target=target, reconnect=reconnect)

    @precondition(lambda self: self.yielding)
    @rule()
    def hang_up(self) -> None:
        for target in self.yielding:
            if target in self.outbound:
                self.dialer.closed(identity(self.outbound.pop(target)), self.now, target=target)
        self.yielding.clear()

    @precondition(lambda self: self.inbound)
    @rule(data=st.data())
    def close_inbound(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.inbound))
        self.inbound.remove(name)
        self.dialer.closed(identity(name), self.now)

    @rule(seconds=st.one_of(st.floats(0.01, 5), st.floats(5, 1000)))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.follow()

    # --- What must hold -------------------------------------------------------------------------------------------

    def check(self, target: DialTarget) -> None:
        endpoint = target.endpoint
        given = target.source in (Local.USER, Local.LAN)
        assert target.topics
        assert target.topics <= self.wanted
        assert endpoint not in [other.endpoint for other in self.dialling]
        assert self.bans.endpoint_until(endpoint) <= self.now
        if target.identity is not None:
            assert target.identity not in self.linked
            assert target.identity not in [other.identity for other in self.dialling]
            assert self.bans.identity_until(target.identity) <= self.now
        count, last = self.failed.get((target.identity, endpoint), (0, 0.0))
        assert not count or self.now >= last + min(86400, 600 * 2 ** (count - 1))
        count, last = self.failed.get(endpoint, (0, 0.0))
        assert last != float("inf")
        if given or target.identity is None:
            assert not count or self.now >= last + min(900, 2 ** (count - 1))
        self.check_source(target, target.source if not given else Local.USER)
        if not given:
            self.check_record(target)

    def check_source(self, target: DialTarget, source: SourceName) -> None:
        def queue(other: DialTarget) -> SourceName:
            return Local.USER if other.source is Local.LAN else other.source

        assert sum(queue(other) == source for other in self.dialling) < PARALLEL
        if source is not Local.USER:
            recent = [dial for dial in self.history if queue(dial.target) == source and self.now - dial.time < 60]
            assert len(recent) < PER_MINUTE

    def check_record(self, target: DialTarget) -> None:
        endpoint = target.endpoint
        assert target.identity is not None
        known = self.book.get(target.identity)
        assert known is not None
        assert endpoint in known.dialable
        assert target.source in known.vouchers
        assert target.topics <= known.topics
        assert endpoint.scope is not Scope.NEVER
        assert endpoint.port != 22
        reach = {voucher.scope for voucher in known.vouchers.values()}
        assert endpoint.scope is not Scope.LOOPBACK or Scope.LOOPBACK in reach
        assert endpoint.scope is not Scope.PRIVATE or reach & {Scope.PRIVATE, Scope.LOOPBACK}
        ports = {
            dial.target.endpoint.port
            for dial in self.history
            if dial.target.learned_from is not None
            and dial.target.endpoint.ip == endpoint.ip
            and self.now - dial.time < 3600
        }
        assert endpoint.scope is not Scope.GLOBAL or len(ports | {endpoint.port}) <= GLOBAL_PORTS
        counted = [other for other in [*self.dialling, *self.outbound] if other.learned_from is not None]
        counted = [other for other in counted if other not in self.yielding]
        groups = [other.endpoint.group for other in self.occupying() if other.endpoint.scope is Scope.GLOBAL]
        if endpoint.scope is Scope.GLOBAL and endpoint.group in groups:
            assert len(counted) < SLOTS
        else:
            firsts = len({other.endpoint.group for other in counted if other.endpoint.scope is Scope.GLOBAL})
            assert firsts + sum(other.endpoint.scope is not Scope.GLOBAL for other in counted) < SLOTS

    def occupying(self) -> list[DialTarget]:
        return [*self.dialling, *self.outbound]

    @invariant()
    def slots_are_kept_once_links_have_yielded(self) -> None:
        counted = [
            target for target in self.outbound if target.learned_from is not None and target not in self.yielding
        ]
        groups = [target.endpoint.group for target in counted if target.endpoint.scope is Scope.GLOBAL]
        assert len(counted) <= SLOTS or len(groups) == len(set(groups))

    @invariant()
    def the_books_of_the_queues_agree(self) -> None:
        queues = self.dialer._queues
        waiting: dict[bytes | None, int] = {}
        for source in queues._sources.values():
            assert source.active == (source in queues._turns)
            assert source.dialling <= PARALLEL
            if source.active:
                for group, count in source.groups():
                    waiting[group] = waiting.get(group, 0) + count
        assert waiting == queues._groups
        assert len(self.dialer._known) == len(self.book)


TestDialMachine = DialMachine.TestCase
TestDialMachine.settings = settings(max_examples=50, stateful_step_count=60, deadline=None)
