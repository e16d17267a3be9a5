from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs
import pytest

from p2pwire.node.bans import Bans
from p2pwire.node.dialer import Anchor, Dialer, DialFailure, DialLimits
from p2pwire.node.dialqueue import DialTarget, Local
from p2pwire.node.peerbook import PeerBook
from tests.node.peers import OTHER_TOPIC, OWN, TOPIC, UNIX, Verifier, at, chance, identity, origin, record


@attrs.define
class Bench:
    """A dialer with a clock; what it dials succeeds or fails as the test says."""

    limits: DialLimits = attrs.field(factory=lambda: DialLimits(jitter=0.0))
    now: float = 1000.0
    book: PeerBook = attrs.field(init=False)
    bans: Bans = attrs.field(factory=Bans)
    begun: list[DialTarget] = attrs.field(factory=list)
    dialer: Dialer = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.book = PeerBook(OWN, random=chance(1), verify=Verifier())
        self.dialer = Dialer(self.book, self.bans, random=chance(2), limits=self.limits)
        self.dialer.want(TOPIC, self.now)

    @property
    def unix_time(self) -> float:
        return UNIX + self.now - 1000.0

    def learn(
        self,
        name: object,
        *addresses: str,
        source: object = "bob",
        remote: str | None = "9.9.9.9:4000",
        topic: bytes | None = TOPIC,
        reachable: bool = False,
        sequence: int = UNIX,
    ) -> None:
        raw = record(name, *addresses, sequence=sequence)
        self.book.offer(raw, origin(source, remote), self.unix_time, topic=topic, reachable=reachable)
        self.follow()

    def follow(self) -> None:
        for changed in self.book.take_changes():
            self.dialer.refresh(changed, self.now)

    def dials(self) -> list[DialTarget]:
        """All that are to begin now."""
        found, self.begun = self.begun, []
        while (target := self.dialer.next(self.now)) is not None:
            found.append(target)
        timeout = self.dialer.next_timeout(self.now)
        assert timeout is None or timeout > self.now
        return found

    def dial(self) -> DialTarget:
        (target,) = self.dials()
        return target

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def wake(self) -> float | None:
        """Nothing is to begin now: go from timeout to timeout until something is. How long that took; None: never."""
        assert self.dials() == []
        before = self.now
        while not self.begun:
            timeout = self.dialer.next_timeout(self.now)
            if timeout is None:
                return None
            self.now = timeout
            self.begun = self.dials()
        return self.now - before

    def fail(self, target: DialTarget, failure: DialFailure = DialFailure.UNREACHABLE, who: object = None) -> None:
        self.dialer.failed(target, failure, self.now, identity=None if who is None else identity(who))

    def succeed(self, target: DialTarget, who: object = None) -> tuple[DialTarget, ...]:
        met = target.identity if who is None else identity(who)
        assert met is not None
        return self.dialer.succeeded(target, met, self.now)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def hosts(targets: Iterable[DialTarget]) -> list[str]:
    return [target.endpoint.host for target in targets]


# --- Whom ------------------------------------------------------------------------------------------------------------


def test_a_learned_peer_is_dialled_once_for_the_topics_in_which_it_was_learned(bench: Bench) -> None:
    bench.dialer.want(OTHER_TOPIC, bench.now)
    bench.learn("charlie", "8.8.8.8:4000")
    bench.learn("charlie", "8.8.8.8:4000", source="dave", topic=OTHER_TOPIC)
    bench.learn("charlie", "8.8.8.8:4000", source="dave", topic=b"not wanted")
    target = bench.dial()
    assert (target.endpoint, target.identity) == (at("8.8.8.8:4000"), identity("charlie"))
    assert target.topics == {TOPIC, OTHER_TOPIC}
    assert target.learned_from in (identity("bob"), identity("dave"))
    bench.succeed(target)
    bench.wait(10_000)
    assert bench.dials() == []


def test_only_wanted_topics_lead_to_dials(bench: Bench) -> None:
    bench.learn("charlie", "8.8.8.8:4000", topic=OTHER_TOPIC)
    bench.learn("hello", "8.7.8.8:4000", source="hello", topic=None)
    assert bench.dials() == []
    assert bench.dialer.next_timeout(bench.now) is None
    bench.dialer.want(OTHER_TOPIC, bench.now)
    assert bench.dialer.next_timeout(bench.now) == bench.now
    assert bench.dial().identity == identity("charlie")
    bench.learn("erin", "8.6.8.8:4000", topic=OTHER_TOPIC)
    bench.dialer.unwant(OTHER_TOPIC, bench.now)
    assert bench.dials() == []


def test_a_peer_that_is_linked_or_being_dialled_is_not_dialled(bench: Bench) -> None:
    bench.dialer.accepted(identity("inbound"), bench.now)
    bench.learn("inbound", "8.8.8.8:4000")
    bench.learn("charlie", "8.7.8.8:4000", "8.6.8.8:4000")
    target = bench.dial()
    assert target.identity == identity("charlie")
    assert bench.dials() == []
    bench.dialer.give(at("8.5.8.8:4000"), bench.now, identity=identity("charlie"))
    bench.dialer.give(at("8.4.8.8:4000"), bench.now, identity=identity("inbound"))
    assert bench.dials() == []
    bench.fail(target)
    assert sorted(hosts(bench.dials())) == ["8.5.8.8"]


def test_what_is_ready_and_then_linked_is_not_dialled(bench: Bench) -> None:
    bench.learn("charlie", "8.7.8.8:4000")
    bench.dialer.accepted(identity("charlie"), bench.now)
    assert bench.dials() == []


def test_what_the_book_forgets_is_not_dialled(bench: Bench) -> None:
    bench.learn("charlie", "8.7.8.8:4000")
    bench.book.withdraw(identity("charlie"), identity("bob"), TOPIC)
    bench.follow()
    assert bench.dials() == []
    bench.learn("charlie", "8.7.8.8:4000")
    target = bench.dial()
    bench.book.withdraw(identity("charlie"), identity("bob"), TOPIC)
    bench.follow()
    bench.learn("charlie", "8.7.8.8:4000")
    bench.fail(target)
    bench.wait(1)
    assert len(bench.dials()) == 1
    bench.wait(10)
    assert bench.dials() == []


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("9.9.9.9:1", {"8.8.8.8"}),
        (None, {"8.8.8.8"}),
        ("10.9.9.9:1", {"8.8.8.8", "10.0.0.1"}),
        ("127.0.0.1:1", {"8.8.8.8", "10.0.0.1", "127.0.0.1"}),
    ],
)
def test_no_address_is_dialled_outside_the_scope_of_its_link(
    bench: Bench, remote: str | None, expected: set[str]
) -> None:
    for host in ("8.8.8.8", "10.0.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1"):
        bench.learn(host, f"{host}:4000", source=host, remote=remote)
    bench.learn("blocked", "8.4.4.4:25", "8.4.4.4:0", source="blocked", remote=remote)
    assert set(hosts(bench.dials())) == expected


def test_own_addresses_are_not_dialled(bench: Bench) -> None:
    bench.dialer.add_own(at("8.8.8.8:4000"))
    bench.learn("charlie", "8.8.8.8:4000")
    assert bench.dials() == []
    bench.learn("charlie", "8.8.8.8:4000", "8.8.8.8:4001", sequence=UNIX + 1)
    assert bench.dial().endpoint == at("8.8.8.8:4001")


def test_banned_peers_and_addresses_are_not_dialled_until_the_ban_ends(bench: Bench) -> None:
    bench.learn("liar", "8.8.8.8:4000")
    bench.learn("other", "8.7.8.8:4000")
    bench.bans.add(identity("liar"), at("8.7.8.8:4000"), bench.now, dialled=True)
    assert bench.wake() == pytest.approx(3600)
    assert len(bench.dials()) == 2


# --- How often -------------------------------------------------------------------------------------------------------


def test_four_at_once_per_source(bench: Bench) -> None:
    for number in range(10):
        bench.learn(number, f"8.{number}.8.8:4000")
    first = bench.dials()
    assert len(first) == 4
    bench.fail(first[0])
    bench.succeed(first[1])
    assert len(bench.dials()) == 2
    bench.learn("x", "7.7.7.7:4000", source="dave", remote="6.6.6.6:1")
    assert hosts(bench.dials()) == ["7.7.7.7"]


def test_sixteen_a_minute_per_source(bench: Bench) -> None:
    for number in range(40):
        bench.learn(number, f"8.{number}.8.8:4000")
    begun = []
    while bench.now < 1125:
        while targets := bench.dials():
            for target in targets:
                begun.append(bench.now)
                bench.fail(target)
        bench.wake()
    assert len(begun) > 32
    for start in begun:
        assert sum(start <= time < start + 60 for time in begun) <= 16


def test_the_minute_of_a_source_outlives_its_records(bench: Bench) -> None:
    count = 0
    for number in range(40):
        bench.learn(number, f"8.{number}.8.8:4000")
        for target in bench.dials():
            count += 1
            bench.fail(target)
        bench.book.withdraw(identity(number), identity("bob"), TOPIC)
        bench.follow()
    assert count == 16
    bench.wait(60)
    assert bench.dials() == []
    bench.learn("more", "8.99.8.8:4000")
    assert len(bench.dials()) == 1


def test_sources_that_have_nothing_left_are_forgotten(bench: Bench) -> None:
    for number in range(200):
        bench.learn(number, "8.8.8.8:22", source=number)
        bench.learn((number, "x"), f"8.{number}.8.8:4000", source=number, remote=f"7.{number}.1.1:1")
        for target in bench.dials():
            bench.fail(target, DialFailure.UNREACHABLE)
        bench.book.withdraw(identity((number, "x")), identity(number), TOPIC)
        bench.follow()
    bench.wait(61)
    bench.dials()
    assert len(bench.dialer._queues._sources) == 0


def test_sources_take_turns(bench: Bench) -> None:
    bench = Bench(limits=DialLimits(slots=100))
    for source in range(5):
        for number in range(10):
            bench.learn((source, number), f"{source + 20}.{number}.1.1:4000", source=source, remote=f"9.{source}.1.1:1")
    counts = Counter(target.source for target in bench.dials()[:15])
    assert set(counts.values()) == {3}


def test_what_its_source_calls_reachable_comes_first(bench: Bench) -> None:
    for number in range(10):
        bench.learn(number, f"8.{number}.8.8:4000", reachable=number in (3, 7))
    assert set(hosts(bench.dials())[:2]) == {"8.3.8.8", "8.7.8.8"}


def test_a_peer_named_by_several_sources_waits_in_no_single_queue(bench: Bench) -> None:
    for number in range(100):
        bench.learn(number, f"8.{number}.8.8:4000", source="mallory", remote="6.6.6.6:1")
    bench.learn("charlie", "7.7.7.7:4000", source="mallory", remote="6.6.6.6:1")
    bench.learn("charlie", "7.7.7.7:4000", source="bob")
    target = next(target for target in bench.dials() if target.identity == identity("charlie"))
    assert target.learned_from == identity("bob")


# --- After a failure -------------------------------------------------------------------------------------------------


def test_an_address_that_fails_is_tried_again_after_a_doubling_wait(bench: Bench) -> None:
    bench.learn("charlie", "8.8.8.8:4000")
    waits = []
    for _ in range(12):
        bench.fail(bench.dial(), DialFailure.HANDSHAKE)
        waits.append(bench.wake())
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900])


def test_the_next_address_of_a_record_is_tried_at_once(bench: Bench) -> None:
    bench.learn("charlie", "8.8.8.8:4000", "8.7.8.8:4000", "8.6.8.8:4000")
    tried = []
    for _ in range(3):
        target = bench.dial()
        tried.append(target.endpoint.host)
        bench.fail(target)
    assert tried == ["8.8.8.8", "8.7.8.8", "8.6.8.8"]
    assert bench.dials() == []


def test_neither_a_newer_record_nor_a_new_voucher_shortens_the_wait(bench: Bench) -> None:
    bench.learn("charlie", "8.8.8.8:4000")
    for _ in range(6):
        bench.fail(bench.dial())
        bench.learn("charlie", "8.8.8.8:4000", sequence=int(bench.unix_time) + 1)
        bench.learn("charlie", "8.8.8.8:4000", source="dave", sequence=int(bench.unix_time) + 1)
        bench.book.withdraw(identity("charlie"), identity("bob"), TOPIC)
        bench.book.withdraw(identity("charlie"), identity("dave"), TOPIC)
        bench.follow()
        bench.learn("charlie", "8.8.8.8:4000", sequence=int(bench.unix_time) + 1)
        bench.wake()
    assert bench.now - 1000 == pytest.approx(63)


def test_an_address_with_another_peer_is_dropped_for_that_identity(bench: Bench) -> None:
    bench.learn("liar", "8.8.8.8:4000")
    waits = []
    for _ in range(10):
        bench.fail(bench.dial(), DialFailure.WRONG_IDENTITY, who="innocent")
        waits.append(bench.wake())
    assert waits == pytest.approx([600, 1200, 2400, 4800, 9600, 19200, 38400, 76800, 86400, 86400])


def test_a_peer_that_is_met_after_all_starts_the_wait_anew(bench: Bench) -> None:
    bench.learn("charlie", "8.8.8.8:4000")
    waits = []
    for _ in range(3):
        bench.fail(bench.dial(), DialFailure.WRONG_IDENTITY, who="somebody else")
        waits.append(bench.wake())
        target = bench.dial()
        bench.succeed(target)
        bench.wait(100)
        bench.dialer.closed(identity("charlie"), bench.now, target=target)
        bench.wake()
    assert waits == pytest.approx([600, 600, 600])


def test_false_claims_do_not_keep_the_one_who_is_there_from_being_dialled(bench: Bench) -> None:
    bench.learn("liar", "8.8.8.8:4000")
    bench.fail(bench.dial(), DialFailure.WRONG_IDENTITY, who="innocent")
    bench.learn("other liar", "8.8.8.8:4000")
    assert bench.dials() == []
    bench.learn("innocent", "8.8.8.8:4000", source="dave")
    assert bench.dial().identity == identity("innocent")


@pytest.mark.parametrize("answer", [DialFailure.UNREACHABLE, DialFailure.HANDSHAKE, DialFailure.WRONG_IDENTITY])
@pytest.mark.parametrize(("host", "ports"), [("8.8.8.8", 3), ("10.0.0.1", 64)])
def test_a_thousand_records_lead_to_few_dials_of_one_host(
    bench: Bench, answer: DialFailure, host: str, ports: int
) -> None:
    for number in range(1000):
        bench.learn(
            number, f"{host}:{7000 + number}", source=number % 10, remote=f"10.{number % 10}.1.1:1", reachable=True
        )
    dialled: Counter[int] = Counter()
    while bench.now < 1000 + 3600:
        while targets := bench.dials():
            for target in targets:
                dialled[target.endpoint.port] += 1
                bench.fail(target, answer, who="victim" if answer is DialFailure.WRONG_IDENTITY else None)
        if bench.wake() is None:
            break
    assert len(dialled) == ports
    assert max(dialled.values()) <= 13  # 1 + 2 + 4 + ... + 512, then 900 s each


def test_a_thousand_identities_at_one_address_share_its_wait(bench: Bench) -> None:
    for number in range(1000):
        bench.learn(number, "8.8.8.8:4000", source=number % 10, remote=f"9.{number % 10}.1.1:1")
    count = 0
    while bench.now < 1000 + 3600:
        while targets := bench.dials():
            for target in targets:
                count += 1
                bench.wait(0.1)
                bench.fail(target, DialFailure.WRONG_IDENTITY, who="victim")
        bench.wake()
    assert count <= 13


def test_another_claim_to_an_address_waits_while_it_is_dialled(bench: Bench) -> None:
    bench.learn("charlie", "8.8.8.8:4000")
    bench.learn("erin", "8.8.8.8:4000")
    bench.dialer.give(at("8.8.8.8:4000"), bench.now)
    assert len(bench.dials()) == 1


def test_the_fourth_port_of_a_global_host_waits_for_its_hour(bench: Bench) -> None:
    for port in range(4):
        bench.learn(port, f"8.8.8.8:{4000 + port}")
        for target in bench.dials():
            bench.succeed(target)
        bench.wait(1)
    bench.wait(3000)
    assert bench.dials() == []
    bench.wait(596)
    assert len(bench.dials()) == 1


# --- Links that end --------------------------------------------------------------------------------------------------


def test_a_lost_link_is_dialled_again_with_a_growing_wait(bench: Bench) -> None:
    bench.learn("charlie", "8.8.8.8:4000")
    waits = []
    for _ in range(4):
        target = bench.dial()
        bench.succeed(target)
        bench.wait(5)
        bench.dialer.closed(identity("charlie"), bench.now, target=target)
        waits.append(bench.wake())
    assert waits == pytest.approx([1, 2, 4, 8])
    target = bench.dial()
    bench.succeed(target)
    bench.wait(60)
    bench.dialer.closed(identity("charlie"), bench.now, target=target)
    assert bench.wake() == pytest.approx(1)


def test_success_alone_does_not_shorten_the_wait_of_an_address(bench: Bench) -> None:
    bench.learn("charlie", "8.8.8.8:4000")
    for _ in range(5):
        bench.fail(bench.dial())
        bench.wake()
    target = bench.dial()
    bench.succeed(target)
    bench.dialer.closed(identity("charlie"), bench.now, target=target)
    assert bench.wake() == pytest.approx(32)


def test_a_peer_that_came_by_itself_is_dialled_when_its_link_is_lost(bench: Bench) -> None:
    bench.learn("charlie", "8.8.8.8:4000", source="charlie")
    bench.dialer.accepted(identity("charlie"), bench.now)
    bench.wait(100)
    bench.dialer.closed(identity("charlie"), bench.now)
    assert bench.wake() == pytest.approx(1)
    assert bench.dial().identity == identity("charlie")


def test_while_one_of_two_links_stays_nothing_is_dialled(bench: Bench) -> None:
    bench.learn("charlie", "8.8.8.8:4000")
    target = bench.dial()
    bench.dialer.accepted(identity("charlie"), bench.now)
    bench.succeed(target)
    bench.dialer.closed(identity("charlie"), bench.now, target=target, reconnect=False)
    bench.wait(5000)
    assert bench.dials() == []
    bench.dialer.closed(identity("charlie"), bench.now)
    assert bench.wake() == pytest.approx(1)
    assert len(bench.dials()) == 1


def test_a_link_that_ended_as_a_duplicate_is_not_dialled_for_it(bench: Bench) -> None:
    bench.learn("charlie", "8.8.8.8:4000")
    target = bench.dial()
    bench.succeed(target)
    bench.dialer.closed(identity("charlie"), bench.now, target=target, reconnect=False)
    bench.wait(899)
    assert bench.dials() == []


def test_a_dial_that_met_a_linked_peer_waits_for_the_end_of_that_link(bench: Bench) -> None:
    bench.dialer.give(at("8.8.8.8:4000"), bench.now)
    target = bench.dial()
    bench.dialer.accepted(identity("bob"), bench.now)
    bench.fail(target, DialFailure.DUPLICATE, who="bob")
    bench.wait(5000)
    assert bench.dials() == []
    bench.dialer.closed(identity("bob"), bench.now)
    assert bench.wake() == pytest.approx(1)
    assert bench.dial().endpoint == at("8.8.8.8:4000")


def test_a_dial_that_met_a_peer_whose_other_dial_goes_on_is_not_repeated_in_a_row(bench: Bench) -> None:
    bench.dialer.give(at("8.8.8.8:4000"), bench.now)
    bench.dialer.give(at("8.8.8.8:4001"), bench.now)
    first, second = bench.dials()
    bench.fail(second, DialFailure.DUPLICATE, who="bob")
    assert bench.dials() == []
    bench.succeed(first, who="bob")
    bench.wait(5000)
    assert bench.dials() == []


def test_an_address_of_this_very_peer_is_never_dialled_again(bench: Bench) -> None:
    bench.dialer.give(at("8.8.8.8:4000"), bench.now)
    bench.fail(bench.dial(), DialFailure.SELF)
    bench.learn("charlie", "8.8.8.8:4000")
    bench.wait(100_000)
    assert bench.dials() == []


# --- What the user gave ----------------------------------------------------------------------------------------------


def test_given_addresses_are_bound_by_parallel_dials_and_waits_alone(bench: Bench) -> None:
    for number in range(40):
        bench.dialer.give(at(f"169.254.1.1:{number}"), bench.now)
        bench.dialer.give(at(f"8.8.8.8:{number}"), bench.now, source=Local.LAN)
    dialled = set()
    links = 0
    while targets := bench.dials():
        assert len(targets) <= 4
        for target in targets:
            assert target.endpoint not in dialled
            dialled.add(target.endpoint)
            if target.endpoint.port % 2:
                bench.fail(target)
            else:
                links += 1
                assert bench.succeed(target, who=links) == ()
    assert len(dialled) == 80
    assert bench.now == 1000
    for number in range(20):
        bench.learn(("record", number), f"7.{number}.8.8:4000", source=number, remote=f"9.{number}.1.1:1")
    assert len([target for target in bench.dials() if target.learned_from]) == 8  # the slots are all free


def test_a_given_address_needs_no_port_that_records_left_over(bench: Bench) -> None:
    for port in range(4):
        bench.learn(port, f"8.8.8.8:{4000 + port}")
        for target in bench.dials():
            bench.fail(target)
    bench.dialer.give(at("8.8.8.8:9999"), bench.now)
    assert bench.dial().endpoint.port == 9999


def test_a_given_address_is_not_dialled_twice_at_once(bench: Bench) -> None:
    bench.dialer.give(at("8.8.8.8:4000"), bench.now)
    assert len(bench.dials()) == 1
    bench.dialer.give(at("8.8.8.8:4000"), bench.now)
    bench.wait(11)
    assert bench.dials() == []


def test_given_addresses_wait_after_failures_like_all_others(bench: Bench) -> None:
    bench.dialer.give(at("127.0.0.1:4000"), bench.now)
    waits = []
    for _ in range(5):
        target = bench.dial()
        assert (target.identity, target.learned_from, target.source) == (None, None, Local.USER)
        bench.fail(target)
        waits.append(bench.wake())
    assert waits == pytest.approx([1, 2, 4, 8, 16])


def test_whoever_answers_at_a_given_address_is_welcome_each_time(bench: Bench) -> None:
    bench.dialer.give(at("127.0.0.1:4000"), bench.now)
    for life in range(5):
        target = bench.dial()
        bench.succeed(target, who=life)
        assert bench.dials() == []
        bench.wait(100)
        bench.dialer.closed(identity(life), bench.now, target=target)
        assert bench.wake() == pytest.approx(1)


def test_given_addresses_are_for_their_topics_or_for_all(bench: Bench) -> None:
    bench.dialer.give(at("127.0.0.1:1"), bench.now, topics=[OTHER_TOPIC])
    bench.dialer.give(at("127.0.0.1:2"), bench.now, topics=[TOPIC, OTHER_TOPIC])
    bench.dialer.give(at("127.0.0.1:3"), bench.now)
    topics = {target.endpoint.port: target.topics for target in bench.dials()}
    assert topics == {2: {TOPIC}, 3: {TOPIC}}
    bench.dialer.give(at("127.0.0.1:1"), bench.now, topics=[TOPIC])
    assert bench.dial().topics == {TOPIC}


def test_a_given_address_with_an_expected_peer_waits_for_that_one(bench: Bench) -> None:
    bench.dialer.give(at("127.0.0.1:1"), bench.now, identity=identity("bob"))
    target = bench.dial()
    assert target.identity == identity("bob")
    bench.fail(target, DialFailure.WRONG_IDENTITY, who="mallory")
    bench.wait(599)
    assert bench.dials() == []
    bench.wait(2)
    assert bench.dial().identity == identity("bob")


def test_a_given_address_can_be_taken_back(bench: Bench) -> None:
    for port in (1, 2, 3):
        bench.dialer.give(at(f"127.0.0.1:{port}"), bench.now)
    bench.dialer.take_back(at("127.0.0.1:1"), bench.now)
    bench.dialer.take_back(at("127.0.0.1:9"), bench.now)
    first, second = bench.dials()
    bench.dialer.take_back(first.endpoint, bench.now)
    bench.fail(first)
    bench.succeed(second, who="bob")
    bench.dialer.take_back(second.endpoint, bench.now)
    bench.dialer.closed(identity("bob"), bench.now, target=second)
    bench.wait(10_000)
    assert bench.dials() == []
    bench.dialer.give(first.endpoint, bench.now)
    assert bench.dial().endpoint == first.endpoint


def test_a_local_network_can_not_fill_the_memory(bench: Bench) -> None:
    taken = [bench.dialer.give(at(f"10.0.{n // 250}.{n % 250}:1"), bench.now, source=Local.LAN) for n in range(1500)]
    assert sum(taken) == 1024
    assert bench.dialer.give(at("10.0.0.1:1"), bench.now, source=Local.LAN)
    assert bench.dialer.give(at("10.0.0.1:1"), bench.now)


# --- Slots and groups ------------------------------------------------------------------------------------------------


def fill(bench: Bench) -> list[DialTarget]:
    """Link all that can be linked now; what was asked to make room is closed."""
    links: list[DialTarget] = []
    while targets := bench.dials():
        for target in targets:
            links.append(target)
            for other in bench.succeed(target):
                assert other is not target
                assert other.identity is not None
                bench.dialer.closed(other.identity, bench.now, target=other)
    return links


def test_records_lead_to_as_many_links_as_there_are_slots(bench: Bench) -> None:
    for number in range(20):
        bench.learn(number, f"8.{number}.8.8:4000")
    links = fill(bench)
    assert len(links) == 8
    bench.wait(61)
    assert bench.dials() == []
    assert links[0].identity is not None
    bench.dialer.closed(links[0].identity, bench.now, target=links[0])
    assert len(bench.dials()) == 1


def test_a_lonely_group_may_use_all_slots(bench: Bench) -> None:
    for number in range(20):
        bench.learn(number, f"8.8.{number}.8:4000")
    assert len(fill(bench)) == 8


def test_private_and_loopback_addresses_have_no_groups(bench: Bench) -> None:
    for number in range(20):
        bench.learn(number, f"127.0.{number}.1:4000", remote="127.0.0.1:1")
        bench.learn((number,), f"10.0.{number}.1:4000", remote="127.0.0.1:1", source="dave")
    links = fill(bench)
    bench.learn("global", "8.8.8.8:4000")
    assert len(links) == 8
    assert bench.dials() == []


def test_other_groups_come_first_and_crowded_ones_make_room(bench: Bench) -> None:
    for number in range(20):
        bench.learn(number, f"8.8.{number}.8:4000", source="mallory", remote="6.6.6.6:1")
    links = fill(bench)
    assert len(links) == 8
    for number in range(7):
        bench.learn(("other", number), f"7.{number}.8.8:4000")
        (target,) = bench.dials()
        (gone,) = bench.succeed(target)
        assert gone in links[1:]
        assert gone.identity is not None
        bench.dialer.closed(gone.identity, bench.now, target=gone)
        bench.wait(60)
        assert bench.dials() == []
    bench.learn("late", "7.9.8.8:4000")
    assert bench.dials() == []  # every slot is the first of its group now


def test_a_candidate_that_does_not_answer_takes_no_slot_from_a_crowded_group(bench: Bench) -> None:
    for number in range(20):
        bench.learn(number, f"8.8.{number}.8:4000", source="mallory", remote="6.6.6.6:1")
    fill(bench)
    bench.learn("dead", "7.7.7.7:4000")
    bench.fail(bench.dial())
    assert bench.wake() == pytest.approx(1)
    assert hosts(bench.dials()) == ["7.7.7.7"]


def test_a_given_link_counts_as_the_first_of_its_group(bench: Bench) -> None:
    bench.dialer.give(at("8.8.8.8:4000"), bench.now)
    bench.succeed(bench.dial(), who="bob")
    bench.learn("near", "8.8.1.1:4000")
    bench.learn("far", "7.7.7.7:4000")
    assert hosts(bench.dials())[0] == "7.7.7.7"


def test_a_link_in_the_group_of_a_given_one_makes_room(bench: Bench) -> None:
    bench.dialer.give(at("8.8.8.8:4000"), bench.now)
    bench.succeed(bench.dial(), who="bob")
    bench.learn("near", "8.8.1.1:4000")
    for number in range(8):
        near = [target for target in bench.dials() if target.identity == identity("near")]
        for target in near:
            assert bench.succeed(target) == ()
        bench.learn(number, f"7.{number}.7.7:4000", source=number, remote=f"7.{number}.7.7:4000")
        gone = bench.succeed(bench.dial())
        assert [other.identity for other in gone] == ([identity("near")] if number == 7 else [])


def test_no_link_makes_room_twice(bench: Bench) -> None:
    for number in range(20):
        bench.learn(number, f"8.8.{number}.8:4000", source="mallory", remote="6.6.6.6:1")
    fill(bench)
    for number in range(3):
        bench.learn(("other", number), f"7.{number}.8.8:4000")
    gone = [other for target in bench.dials() for other in bench.succeed(target)]
    assert len(gone) == len(set(gone)) == 3


def test_ten_thousand_identities_of_one_group_keep_one_slot_once_others_are_known(bench: Bench) -> None:
    for number in range(10_000):
        address = f"8.8.{number % 250}.{number // 250}:4000"
        bench.learn(("evil", number), address, source=("evil", number % 40), remote=f"8.8.1.{number % 40}:1")
    assert len(fill(bench)) == 8
    for number in range(10):
        bench.learn(("good", number), f"{20 + number}.1.1.1:4000", source=number, remote=f"{20 + number}.1.1.1:1")
    for _ in range(50):
        fill(bench)
        bench.wait(10)
    slots = [slot for slot in bench.dialer._slots.values() if not slot.yielded]
    assert len(slots) == 8
    assert sum(slot.group == bytes([8, 8]) for slot in slots) <= 1


# --- Anchors ---------------------------------------------------------------------------------------------------------


def test_the_longest_linked_of_different_groups_are_dialled_first_after_a_restart(bench: Bench) -> None:
    for number, host in enumerate(["8.8.1.1", "8.8.2.2", "7.7.7.7", "6.6.6.6"]):
        bench.learn(number, f"{host}:4000")
        bench.succeed(bench.dial())
    anchors = bench.dialer.anchors()
    assert anchors == (
        Anchor(identity(0), at("8.8.1.1:4000"), frozenset([TOPIC])),
        Anchor(identity(2), at("7.7.7.7:4000"), frozenset([TOPIC])),
    )
    later = Bench()
    later.dialer.add_anchors([*anchors, Anchor(identity(9), at("5.5.5.5:1"), frozenset([TOPIC]))], later.now)
    first, second = later.dials()
    assert {first.endpoint, second.endpoint} == {at("8.8.1.1:4000"), at("7.7.7.7:4000")}
    assert (first.source, first.learned_from) == (Local.ANCHOR, None)
    assert first.identity is not None
    later.succeed(first)
    later.dialer.closed(first.identity, later.now, target=first)
    later.fail(second)
    later.wait(1)
    again = later.dial()  # the one that has not answered yet; the other is in the book, or was worth nothing
    assert again.endpoint == second.endpoint
    later.fail(again, DialFailure.WRONG_IDENTITY, who="somebody else")
    later.wait(100_000)
    assert later.dials() == []


def test_without_outbound_links_there_are_no_anchors(bench: Bench) -> None:
    bench.dialer.accepted(identity("inbound"), bench.now)
    bench.learn("charlie", "8.8.8.8:4000")
    bench.dials()
    assert bench.dialer.anchors() == ()


# --- Limits ----------------------------------------------------------------------------------------------------------


def test_fewer_slots_than_the_protocol_asks_for_are_refused() -> None:
    with pytest.raises(ValueError, match="slots"):
        DialLimits(slots=7)
