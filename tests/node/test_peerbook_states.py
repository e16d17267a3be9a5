"""The peer book under any order of what links bring, with small caps."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from p2pwire.node.address import Scope
from p2pwire.node.peerbook import MAX_VOUCHERS, Origin, Outcome, PeerBook
from p2pwire.wire.messages import PeerRecord
from p2pwire.wire.registry import CLOCK_SKEW
from tests.node.peers import FORGED, OTHER_TOPIC, OWN, TOPIC, UNIX, Verifier, chance, identity, origin, record

PER_SOURCE, PER_GROUP, TOTAL = 3, 5, 64
PEERS = st.integers(0, 11)
TOPICS = st.sampled_from([TOPIC, OTHER_TOPIC])
ORIGINS = st.sampled_from(
    [
        origin("a", "9.9.1.1:1"),
        origin("b", "9.9.2.2:1"),
        origin("c", "9.9.3.3:1"),
        origin("d", "127.0.0.1:1"),
        origin("e", "10.0.0.1:1"),
        origin("f", None),
    ]
)


class BookMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.verifier = Verifier()
        self.book = PeerBook(
            OWN, random=chance(1), verify=self.verifier, per_source=PER_SOURCE, per_group=PER_GROUP, total=TOTAL
        )
        self.unix_time = float(UNIX)
        self.good: dict[bytes, set[bytes]] = {}
        """identity -> records that would verify and have been offered"""
        self.reach: dict[tuple[bytes, bytes], Scope] = {}
        """(record, source) -> the widest scope over which it came"""

    @rule(
        peer=PEERS,
        source=ORIGINS,
        topic=TOPICS,
        age=st.integers(-700, 900),
        ttl=st.integers(60, 600),
        forged=st.booleans(),
        reachable=st.booleans(),
        refusal=st.sampled_from([None, None, None, Outcome.OVER_BUDGET, Outcome.FLOOD]),
    )
    def offer(
        self,
        peer: int,
        source: Origin,
        topic: bytes,
        age: int,
        ttl: int,
        forged: bool,
        reachable: bool,
        refusal: Outcome | None,
    ) -> None:
        sequence = int(self.unix_time) - age
        signature = FORGED if forged else bytes([peer]) * 64
        raw = record(peer, "127.0.0.1:4000", "10.0.0.1:4000", sequence=sequence, ttl=ttl, signature=signature)
        self._offer(raw, source, topic, reachable, refusal)

    @rule(peer=PEERS, source=ORIGINS, topic=TOPICS)
    def repeat(self, peer: int, source: Origin, topic: bytes) -> None:
        known = self.book.get(identity(peer))
        if known is not None:
            self._offer(known.record, source, topic, reachable=False, refusal=None)

    def _offer(self, raw: bytes, source: Origin, topic: bytes, reachable: bool, refusal: Outcome | None) -> None:
        decoded = PeerRecord.decode(raw)
        known = self.book.get(decoded.identity)
        before = None if known is None else (known.record, known.sequence)
        calls = self.verifier.calls
        outcome = self.book.offer(raw, source, self.unix_time, topic=topic, reachable=reachable, admit=lambda: refusal)
        current = (
            decoded.sequence <= self.unix_time + CLOCK_SKEW
            and decoded.sequence + decoded.ttl + CLOCK_SKEW >= self.unix_time
        )
        if not current:
            expected = Outcome.CLOCK
        elif before is not None and before[0] == raw:
            expected = Outcome.VOUCHED
        elif before is not None and decoded.sequence <= before[1]:
            expected = Outcome.OLD
        elif refusal is not None:
            expected = refusal
        elif decoded.signature == FORGED:
            expected = Outcome.FORGED
        else:
            expected = Outcome.STORED if before is None else Outcome.RENEWED
        assert outcome is expected
        assert self.verifier.calls - calls == (outcome in (Outcome.STORED, Outcome.RENEWED, Outcome.FORGED))
        if outcome in (Outcome.STORED, Outcome.RENEWED, Outcome.VOUCHED):
            self.good.setdefault(decoded.identity, set()).add(raw)
            key = raw, source.identity
            self.reach[key] = max(source.scope, self.reach.get(key, Scope.NEVER))
            stored = self.book.get(decoded.identity)
            assert stored is not None
            assert stored.record == raw
            assert topic in stored.vouchers[source.identity].topics

    @rule(peer=PEERS, source=ORIGINS, topic=TOPICS)
    def withdraw(self, peer: int, source: Origin, topic: bytes) -> None:
        self.book.withdraw(identity(peer), source.identity, topic)
        known = self.book.get(identity(peer))
        if known is not None and source.identity in known.vouchers:
            assert topic not in known.vouchers[source.identity].topics

    @rule(topic=TOPICS)
    def forget(self, topic: bytes) -> None:
        self.book.forget_topic(topic)
        assert all(topic not in known.topics for known in self.book)

    @rule(seconds=st.integers(-100, 400))
    def wait(self, seconds: int) -> None:
        self.unix_time += seconds
        self.book.expire(self.unix_time)
        assert all(known.expires >= self.unix_time for known in self.book)

    @invariant()
    def caps_hold_and_all_counts_agree(self) -> None:
        book = self.book
        assert len(book) <= TOTAL
        by_source: dict[bytes, int] = {}
        for known in book:
            assert known.vouchers
            assert len(known.vouchers) <= MAX_VOUCHERS
            for name in known.vouchers:
                by_source[name] = by_source.get(name, 0) + 1
        assert all(count <= PER_SOURCE for count in by_source.values())
        assert by_source == {name: len(source.brought) for name, source in book._sources.items()}
        for group in book._groups.values():
            assert 0 < group.count <= PER_GROUP
            assert group.count == sum(len(source.brought) for source in group.sources.values())
        assert sum(len(bucket) for bucket in book._buckets) == len(book) == len(book._expiries)

    @invariant()
    def nothing_unverified_is_stored(self) -> None:
        for known in self.book:
            assert known.record in self.good[known.identity]

    @invariant()
    def no_voucher_reaches_further_than_its_links(self) -> None:
        for known in self.book:
            for name, voucher in known.vouchers.items():
                came = self.reach.get((known.record, name), Scope.NEVER)
                assert voucher.scope <= max(came, Scope.GLOBAL)


TestBookMachine = BookMachine.TestCase
TestBookMachine.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)
