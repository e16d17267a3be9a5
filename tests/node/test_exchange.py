from __future__ import annotations

import sys
from collections.abc import Iterable

import attrs
import pytest

from p2pwire.connection.commands import SharePeers
from p2pwire.node.address import Endpoint
from p2pwire.node.exchange import Exchange, ExchangeLimits, ExchangeLink, Received
from p2pwire.node.peerbook import PeerBook
from p2pwire.wire.messages import Address, PeerRecord, SharedRecord
from p2pwire.wire.registry import AddressType, SharedRecordFlag
from tests.node.peers import (
    FORGED,
    OTHER_TOPIC,
    OWN,
    TOPIC,
    UNIX,
    Verifier,
    at,
    chance,
    identity,
    origin,
    record,
)

ADDRESS = "8.8.8.8:4000"


@attrs.define
class Bench:
    """An exchange with a clock, and links that come and go."""

    verifier: Verifier = attrs.field(factory=Verifier)
    limits: ExchangeLimits = attrs.field(factory=ExchangeLimits)
    now: float = 1000.0
    book: PeerBook = attrs.field(init=False)
    exchange: Exchange = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.book = PeerBook(OWN, random=chance(), verify=self.verifier)
        self.exchange = Exchange(self.book, random=chance(), limits=self.limits)

    @property
    def unix_time(self) -> float:
        return UNIX + self.now - 1000.0

    def link(
        self,
        name: object,
        *topics: bytes,
        address: str | None = ADDRESS,
        remote: str | None = "9.9.9.9:4000",
        pushes: bool = True,
        dialled: Endpoint | None = None,
    ) -> ExchangeLink:
        """A peer that listens at `address`, if that is not None."""
        source = origin(name, remote)
        if address is not None:
            self.offer(record(name, address), name, remote)
        link = self.exchange.open_link(source, self.now, dialled=dialled)
        for topic in topics or (TOPIC,):
            self.exchange.open_topic(link, topic, self.now, pushes=pushes)
        return link

    def offer(self, raw: bytes, name: object, remote: str | None = "9.9.9.9:4000") -> None:
        self.book.offer(raw, origin(name, remote), self.unix_time, topic=TOPIC)
        for changed in self.book.take_changes():
            self.exchange.refresh(changed)

    def sent(self, link: ExchangeLink) -> list[SharePeers]:
        """Everything that may go on the link now."""
        self.exchange.due(self.now)
        commands = []
        while (command := self.exchange.next_peers(link, self.now, self.unix_time)) is not None:
            commands.append(command)
        return commands

    def wait(self, seconds: float) -> None:
        self.now += seconds


def names(commands: Iterable[SharePeers]) -> list[bytes]:
    return [PeerRecord.decode(item.record).identity for command in commands for item in command.added]


def shared(*raws: bytes, flags: int = 0) -> tuple[SharedRecord, ...]:
    return tuple(SharedRecord(flags, raw) for raw in raws)


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- Sending ---------------------------------------------------------------------------------------------------------
def test_whoever_comes_first_or_last_learns_of_the_other_at_once(bench: Bench) -> None:
    alice = bench.link("alice")
    assert bench.exchange.due(bench.now) == []
    assert bench.sent(alice) == []
    charlie = bench.link("charlie")
    assert set(bench.exchange.due(bench.now)) == {alice, charlie}
    assert names(bench.sent(charlie)) == [identity("alice")]
    (command,) = bench.sent(alice)
    assert command == SharePeers(TOPIC, shared(record("charlie", ADDRESS)), ())
    assert bench.sent(alice) == []
    assert bench.exchange.next_timeout(bench.now) is None


def test_a_third_batch_of_newcomers_waits_for_at_most_a_minute(bench: Bench) -> None:
    alice = bench.link("alice")
    told = []
    for newcomer in ("a", "b", "c", "d"):
        bench.link(newcomer, pushes=False)
        told.append(names(bench.sent(alice)))
    assert told == [[identity("a")], [identity("b")], [], []]
    timeout = bench.exchange.next_timeout(bench.now)
    assert timeout == pytest.approx(bench.now + 60, abs=0.01)
    bench.wait(59.9)
    assert bench.exchange.due(bench.now) == []
    assert bench.sent(alice) == []
    timeout = bench.exchange.next_timeout(bench.now)
    assert timeout is not None
    bench.now = timeout
    assert bench.exchange.due(bench.now) == [alice]
    (command,) = bench.sent(alice)
    assert sorted(names([command])) == sorted([identity("c"), identity("d")])


def test_nothing_is_pushed_to_those_who_do_not_want_it(bench: Bench) -> None:
    alice = bench.link("alice", pushes=False)
    bench.link("charlie")
    assert bench.sent(alice) == []
    bench.exchange.set_pushes(alice, TOPIC, True)
    assert names(bench.sent(alice)) == [identity("charlie")]


def test_get_peers_is_answered_once_with_no_more_than_asked_for(bench: Bench) -> None:
    alice = bench.link("alice", pushes=False)
    for number in range(9):
        bench.link(number)
    bench.exchange.ask(alice, TOPIC, 5)
    bench.exchange.ask(alice, TOPIC, 2)
    (first,) = bench.sent(alice)
    assert len(first.added) == 2
    bench.exchange.ask(alice, TOPIC, 255)
    (second,) = bench.sent(alice)
    assert len({*names([first]), *names([second])}) == 9
    bench.link("late")
    bench.exchange.ask(alice, TOPIC, 255)
    assert bench.sent(alice) == []  # the buckets of push and pull are the same
    timeout = bench.exchange.next_timeout(bench.now)
    assert timeout == pytest.approx(bench.now + 60, abs=0.01)
    bench.wait(60.1)
    assert names(bench.sent(alice)) == [identity("late")]


def test_get_peers_where_there_is_nobody_to_tell_of_gets_no_answer(bench: Bench) -> None:
    alice = bench.link("alice", pushes=False)
    bench.exchange.ask(alice, TOPIC, 5)
    assert bench.sent(alice) == []
    assert bench.exchange.next_timeout(bench.now) is None
    bench.link("charlie", pushes=False)
    assert bench.sent(alice) == []  # it would be unasked
    bench.exchange.ask(alice, TOPIC, 0)
    assert bench.sent(alice) == []
    bench.exchange.ask(alice, TOPIC, 1)
    assert names(bench.sent(alice)) == [identity("charlie")]


def test_get_peers_is_not_answered_by_withdrawals(bench: Bench) -> None:
    alice, charlie = bench.link("alice"), bench.link("charlie")
    bench.sent(alice)
    bench.exchange.set_pushes(alice, TOPIC, False)
    bench.exchange.ask(alice, TOPIC, 5)
    bench.exchange.close_topic(charlie, TOPIC, bench.now)
    bench.wait(300)
    assert bench.sent(alice) == []
    bench.exchange.set_pushes(alice, TOPIC, True)
    assert [command.dropped for command in bench.sent(alice)] == [(identity("charlie"),)]
    bench.exchange.set_pushes(alice, TOPIC, False)
    bench.link("dave")
    assert bench.sent(alice) == []


def test_a_peer_that_comes_back_in_time_is_shared_on(bench: Bench) -> None:
    alice, charlie = bench.link("alice"), bench.link("charlie")
    bench.sent(alice)
    bench.exchange.close_link(charlie, bench.now)
    bench.wait(300)
    bench.link("charlie")
    bench.wait(400)
    assert bench.sent(alice) == []
    assert set(names(bench.sent(bench.link("late")))) == {identity("alice"), identity("charlie")}


def test_one_link_gets_64_records_at_once_and_one_each_two_seconds(bench: Bench) -> None:
    alice = bench.link("alice", TOPIC, OTHER_TOPIC)
    for number in range(100):
        bench.link(number, TOPIC, OTHER_TOPIC, pushes=False)
    first = bench.sent(alice)
    assert [(len(command.added), command.topic) for command in first] == [(32, TOPIC), (32, OTHER_TOPIC)]
    total = 64
    start = bench.now
    while (timeout := bench.exchange.next_timeout(bench.now)) is not None:
        bench.now = max(bench.now, timeout)
        for link in bench.exchange.due(bench.now):
            assert link is alice
            for command in bench.sent(link):
                assert len(command.added) <= 32
                total += len(command.added)
                assert total <= 64 + (bench.now - start) / 2
    assert total == 200
    assert bench.now - start > 270


def test_a_frame_names_at_most_64_dropped(bench: Bench) -> None:
    bench = Bench(limits=ExchangeLimits(sent_burst=1000))
    alice = bench.link("alice")
    others = [bench.link(number, pushes=False) for number in range(100)]
    while len(names(bench.sent(alice))):
        bench.wait(120)
    bench.wait(240)
    for other in others:
        bench.exchange.close_topic(other, TOPIC, bench.now)
    (first,) = bench.sent(alice)
    bench.wait(120)
    (second,) = bench.sent(alice)
    assert (len(first.dropped), len(second.dropped)) == (64, 36)
    assert {*first.dropped, *second.dropped} == {identity(number) for number in range(100)}


def test_a_peer_is_shared_for_ten_minutes_after_its_link_and_then_withdrawn(bench: Bench) -> None:
    alice, charlie = bench.link("alice"), bench.link("charlie")
    assert names(bench.sent(alice)) == [identity("charlie")]
    bench.wait(5000)
    bench.exchange.close_link(charlie, bench.now)
    bench.wait(599)
    late = bench.link("late")
    assert set(names(bench.sent(late))) == {identity("alice"), identity("charlie")}
    assert names(bench.sent(alice)) == [identity("late")]
    bench.wait(1)
    assert bench.sent(alice) == []  # the last frame of the bucket is kept for newcomers
    bench.wait(60)
    (command,) = bench.sent(alice)
    assert command == SharePeers(TOPIC, (), (identity("charlie"),))
    later = bench.link("later")
    assert set(names(bench.sent(later))) == {identity("alice"), identity("late")}


def test_who_leaves_the_topic_is_not_shared_any_more_and_may_come_back(bench: Bench) -> None:
    alice, charlie = bench.link("alice"), bench.link("charlie", TOPIC, OTHER_TOPIC)
    bench.sent(alice)
    bench.exchange.close_topic(charlie, TOPIC, bench.now)
    bench.wait(60)
    assert [command.dropped for command in bench.sent(alice)] == [(identity("charlie"),)]
    bench.exchange.open_topic(charlie, TOPIC, bench.now, pushes=True)
    assert names(bench.sent(alice)) == [identity("charlie")]


def test_back_before_it_was_told_is_as_if_it_had_never_left(bench: Bench) -> None:
    alice, charlie = bench.link("alice"), bench.link("charlie")
    bench.sent(alice)
    bench.exchange.close_topic(charlie, TOPIC, bench.now)
    assert bench.sent(alice) == []
    bench.exchange.open_topic(charlie, TOPIC, bench.now, pushes=True)
    bench.wait(1000)
    assert bench.sent(alice) == []


def test_a_second_link_keeps_a_peer_in_the_swarm(bench: Bench) -> None:
    alice, first = bench.link("alice"), bench.link("charlie")
    second = bench.link("charlie")
    bench.sent(alice)
    bench.exchange.close_link(first, bench.now)
    bench.wait(2000)
    assert bench.sent(alice) == []
    bench.exchange.close_link(second, bench.now)
    bench.wait(700)
    assert [command.dropped for command in bench.sent(alice)] == [(identity("charlie"),)]


def test_a_peer_in_the_topic_vouches_for_itself_there(bench: Bench) -> None:
    charlie = bench.exchange.open_link(origin("charlie"), bench.now)
    bench.book.offer(record("charlie", ADDRESS), charlie.origin, UNIX, topic=None)
    known = bench.book.get(identity("charlie"))
    assert known is not None
    assert known.topics == frozenset()
    bench.exchange.open_topic(charlie, TOPIC, bench.now, pushes=True)
    bench.exchange.open_topic(charlie, OTHER_TOPIC, bench.now, pushes=True)
    bench.exchange.close_topic(charlie, OTHER_TOPIC, bench.now)
    assert known.topics == {TOPIC}
    bench.exchange.close_link(charlie, bench.now)
    assert known.topics == {TOPIC}  # where to find it again


def test_a_link_is_named_until_it_was_asked(bench: Bench) -> None:
    alice = bench.link("alice")
    charlie = bench.link("charlie", pushes=False)
    for _ in range(3):
        assert bench.exchange.due(bench.now) == [alice]
        assert bench.exchange.next_timeout(bench.now) is None  # it is for the link to have room, not for a clock
    assert bench.exchange.next_peers(alice, bench.now, UNIX) is not None
    assert bench.exchange.next_peers(alice, bench.now, UNIX) is None
    assert bench.exchange.due(bench.now) == []
    dave = bench.link("dave", pushes=False)
    assert bench.exchange.due(bench.now) == [alice]
    bench.exchange.close_topic(dave, TOPIC, bench.now)
    assert bench.exchange.due(bench.now) == []  # nothing is left to tell
    bench.exchange.open_topic(dave, TOPIC, bench.now, pushes=False)
    assert bench.exchange.due(bench.now) == [alice]
    bench.exchange.close_link(alice, bench.now)
    assert bench.exchange.due(bench.now) == []
    bench.exchange.close_link(charlie, bench.now)


def test_topics_do_not_mix(bench: Bench) -> None:
    alice = bench.link("alice", TOPIC)
    bench.link("other", OTHER_TOPIC)
    bench.link("both", TOPIC, OTHER_TOPIC)
    assert names(bench.sent(alice)) == [identity("both")]


def test_an_opening_begins_anew(bench: Bench) -> None:
    alice = bench.link("alice")
    bench.link("charlie")
    assert names(bench.sent(alice)) == [identity("charlie")]
    bench.exchange.close_topic(alice, TOPIC, bench.now)
    bench.link("dave")
    assert bench.sent(alice) == []
    bench.exchange.open_topic(alice, TOPIC, bench.now, pushes=True)
    assert set(names(bench.sent(alice))) == {identity("charlie"), identity("dave")}


def test_a_newer_record_is_told_again_and_an_older_one_never(bench: Bench) -> None:
    alice = bench.link("alice")
    bench.link("charlie")
    bench.sent(alice)
    bench.offer(record("charlie", "8.8.4.4:4000", sequence=UNIX + 5), "dave")
    assert bench.sent(alice)[0].added == shared(record("charlie", "8.8.4.4:4000", sequence=UNIX + 5))
    bench.offer(record("charlie", ADDRESS), "dave")
    bench.wait(1000)
    assert bench.sent(alice) == []


def test_who_does_not_listen_is_not_shared_until_it_does(bench: Bench) -> None:
    alice = bench.link("alice")
    bench.link("charlie", address=None)
    assert bench.sent(alice) == []
    bench.offer(record("charlie", ADDRESS), "charlie")
    assert names(bench.sent(alice)) == [identity("charlie")]


def test_a_record_past_its_time_is_not_shared_and_is_withdrawn(bench: Bench) -> None:
    alice = bench.link("alice")
    bench.link("charlie", address=None)
    bench.offer(record("charlie", ADDRESS, ttl=60), "charlie")
    assert names(bench.sent(alice)) == [identity("charlie")]
    bench.wait(661)
    late = bench.link("late", address=None)
    assert names(bench.sent(late)) == [identity("alice")]
    assert [command.dropped for command in bench.sent(alice)] == [(identity("charlie"),)]
    bench.offer(record("charlie", ADDRESS, sequence=UNIX + 661), "charlie")
    assert names(bench.sent(alice)) == [identity("charlie")]


def test_the_book_may_forget_a_record_that_is_still_shared(bench: Bench) -> None:
    alice = bench.link("alice")
    bench.link("charlie", pushes=False)
    bench.book.expire(UNIX + 100_000)
    for changed in bench.book.take_changes():
        bench.exchange.refresh(changed)
    assert bench.book.get(identity("charlie")) is None
    assert names(bench.sent(alice)) == [identity("charlie")]


def test_reachable_is_said_only_of_an_address_that_was_dialled(bench: Bench) -> None:
    alice = bench.link("alice")
    bench.link("dialled", dialled=at(ADDRESS))
    bench.link("elsewhere", dialled=at("8.8.4.4:4000"))
    bench.link("inbound")
    flags = {PeerRecord.decode(item.record).identity: item.flags for c in bench.sent(alice) for item in c.added}
    assert flags == {
        identity("dialled"): SharedRecordFlag.REACHABLE,
        identity("elsewhere"): 0,
        identity("inbound"): 0,
    }


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        ("9.9.9.9:1", {"global", "relayed"}),
        (None, {"global", "relayed"}),
        ("169.254.1.1:1", {"global", "relayed"}),
        ("10.0.0.5:1", {"global", "relayed", "private"}),
        ("127.0.0.1:1", {"global", "relayed", "private", "loopback"}),
    ],
)
def test_only_what_the_receiver_could_dial_is_shared(bench: Bench, remote: str | None, told: set[str]) -> None:
    addresses: dict[str, str | Address] = {
        "global": ADDRESS,
        "private": "10.0.0.1:4000",
        "loopback": "127.0.0.1:4000",
        "blocked": "8.8.8.8:22",
        "never": "169.254.169.254:4000",
        "relayed": Address(AddressType.RELAY, bytes(32)),
        "unknown": Address(200, bytes(4)),
    }
    for name, address in addresses.items():
        bench.link(name, address=None)
        bench.offer(record(name, address), name)
    alice = bench.link("alice", remote=remote)
    assert set(names(bench.sent(alice))) == {identity(name) for name in told}


# --- One's own record ------------------------------------------------------------------------------------------------
def test_the_own_record_is_told_in_one_topic_of_those_links_that_have_an_older_one(bench: Bench) -> None:
    bench.exchange.set_own_record(record("me", ADDRESS))
    alice = bench.link("alice", TOPIC, OTHER_TOPIC)
    assert bench.sent(alice) == []  # HELLO had it
    renewed = record("me", ADDRESS, sequence=UNIX + 100)
    bench.exchange.set_own_record(renewed)
    assert [command.added for command in bench.sent(alice)] == [shared(renewed)]
    assert bench.sent(bench.link("late")) == [SharePeers(TOPIC, shared(record("alice", ADDRESS)), ())]
    bench.exchange.open_topic(alice, b"third", bench.now, pushes=True)
    assert names(bench.sent(alice)) == [identity("late")]


def test_a_topic_that_opens_after_the_record_was_renewed_tells_it(bench: Bench) -> None:
    bench.exchange.set_own_record(record("me", ADDRESS))
    alice = bench.exchange.open_link(origin("alice"), bench.now)
    bench.exchange.set_own_record(record("me", ADDRESS, sequence=UNIX + 100))
    bench.exchange.open_topic(alice, TOPIC, bench.now, pushes=True)
    assert names(bench.sent(alice)) == [identity("me")]


def test_an_own_record_past_its_time_is_not_told(bench: Bench) -> None:
    alice = bench.link("alice")
    bench.exchange.set_own_record(record("me", ADDRESS, ttl=60))
    bench.wait(661)
    assert bench.sent(alice) == []
    bench.exchange.set_own_record(record("me", ADDRESS, sequence=UNIX + 661))
    assert names(bench.sent(alice)) == [identity("me")]


# --- Receiving -------------------------------------------------------------------------------------------------------
def receive(bench: Bench, link: ExchangeLink, *raws: bytes, topic: bytes = TOPIC, flags: int = 0) -> Received:
    return bench.exchange.receive(link, topic, shared(*raws, flags=flags), (), bench.now, bench.unix_time)


def test_received_records_go_into_the_book_with_their_source(bench: Bench) -> None:
    bob = bench.link("bob")
    raws = [record("charlie", ADDRESS), record("forged", ADDRESS, signature=FORGED), b"junk"]
    assert receive(bench, bob, *raws, flags=1) == Received(flood=False, learned=(identity("charlie"),))
    known = bench.book.get(identity("charlie"))
    assert known is not None
    assert known.topics == {TOPIC}
    assert known.vouchers[identity("bob")].reachable
    assert receive(bench, bob, *raws).learned == ()
    bench.exchange.receive(bob, TOPIC, (), (identity("charlie"), identity("nobody")), bench.now, bench.unix_time)
    assert bench.book.get(identity("charlie")) is None


def test_a_topic_that_is_not_open_brings_nothing(bench: Bench) -> None:
    bob = bench.link("bob")
    assert receive(bench, bob, record("charlie", ADDRESS), topic=OTHER_TOPIC) == Received(flood=False)
    assert bench.book.get(identity("charlie")) is None


def test_a_fifth_peers_within_a_minute_of_an_opening_floods(bench: Bench) -> None:
    bob = bench.link("bob", TOPIC, OTHER_TOPIC)
    for number in range(4):
        assert not receive(bench, bob, record(number, ADDRESS)).flood
        assert not receive(bench, bob, record(number, ADDRESS), topic=OTHER_TOPIC).flood
        bench.wait(10)
    bench.wait(19.9)
    assert receive(bench, bob, record(9, ADDRESS)).flood
    bench.wait(0.1)
    assert not receive(bench, bob, record(9, ADDRESS)).flood
    bench.exchange.close_topic(bob, TOPIC, bench.now)
    bench.exchange.open_topic(bob, TOPIC, bench.now, pushes=True)
    assert not receive(bench, bob, record(10, ADDRESS)).flood


def many(start: int, count: int) -> list[bytes]:
    template = record("x", ADDRESS)
    return [template[:1] + number.to_bytes(4, "big") + template[5:] for number in range(start, start + count)]


def test_a_link_brings_128_records_and_one_a_second_and_the_rest_is_dropped() -> None:
    bench = Bench(limits=ExchangeLimits(frames_accepted=1000))
    bob = bench.link("bob", address=None)
    bench.verifier.calls = 0
    assert len(receive(bench, bob, *many(0, 200)).learned) == 128
    assert bench.verifier.calls == 128
    bench.wait(10)
    assert len(receive(bench, bob, *many(1000, 20)).learned) == 10
    assert bench.verifier.calls == 138
    # What fails a check before the budget costs nothing, nor does what is known.
    bench.wait(1)
    old = [record(number, ADDRESS, sequence=UNIX - 100_000) for number in range(600)]
    assert receive(bench, bob, *old) == Received(flood=False)
    assert receive(bench, bob, *many(0, 128)) == Received(flood=False)
    assert len(receive(bench, bob, *many(2000, 5)).learned) == 1


def test_a_link_that_brings_512_records_and_two_a_second_floods() -> None:
    bench = Bench(limits=ExchangeLimits(frames_accepted=1000))
    bob = bench.link("bob", address=None)
    assert not receive(bench, bob, *many(0, 512)).flood
    bench.wait(5)
    assert not receive(bench, bob, *many(1000, 10)).flood
    assert receive(bench, bob, *many(2000, 1)).flood
    dave = bench.link("dave", address=None)
    assert not receive(bench, dave, *many(0, 512)).flood


def test_a_hundred_thousand_records_in_peers_frames_stop_at_the_first_excess() -> None:
    bench = Bench()
    bob = bench.link("bob", address=None)
    bench.verifier.calls = 0
    frames = 0
    while not receive(bench, bob, *many(frames * 32, 32)).flood:
        frames += 1
        bench.wait(15)
        assert frames < 100_000 // 32
    assert len(bench.book) <= 256
    assert bench.verifier.calls <= 128 + (bench.now - 1000)


# --- Size ------------------------------------------------------------------------------------------------------------
def test_what_a_link_was_told_is_packed(bench: Bench) -> None:
    limits = ExchangeLimits(sent_burst=20_000, frames_burst=1000, members=16384)
    bench = Bench(limits=limits)
    alice = bench.link("alice")
    for number in range(17_000):
        name = number.to_bytes(32, "big")
        link = bench.exchange.open_link(attrs.evolve(alice.origin, identity=name), bench.now)
        bench.exchange.open_topic(link, TOPIC, bench.now, pushes=False)
        raw = record("x", ADDRESS)
        bench.book.offer(raw[:1] + name + raw[33:], link.origin, UNIX, topic=None)
        bench.book.take_changes()
        bench.exchange.refresh(name)
        bench.exchange.close_link(link, bench.now)
    total = sum(len(command.added) for command in bench.sent(alice))
    assert 16_000 < total < 16_384
    assert sys.getsizeof(alice.shares[TOPIC].told) < 131_072 / 64 * 1.2
