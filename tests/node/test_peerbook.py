from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pwire.crypto.identity import Identity
from p2pwire.crypto.record import sign_record
from p2pwire.node.address import Scope
from p2pwire.node.peerbook import MAX_VOUCHERS, Origin, Outcome, PeerBook
from p2pwire.wire.messages import Address
from p2pwire.wire.registry import BOOK_PER_GROUP, BOOK_PER_SOURCE, BOOK_TOTAL, MAX_PEER_RECORD
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
    records,
)

BOB = origin("bob")
DAVE = origin("dave", "7.7.7.7:4000")
ADDRESS = "8.8.8.8:4000"


@pytest.fixture
def verifier() -> Verifier:
    return Verifier()


@pytest.fixture
def book(verifier: Verifier) -> PeerBook:
    return PeerBook(OWN, random=chance(), verify=verifier)


def offer(book: PeerBook, raw: bytes, source: Origin = BOB, **more: object) -> Outcome:
    """With the topic and time of most tests."""
    return book.offer(raw, source, UNIX, **{"topic": TOPIC, **more})  # type: ignore[arg-type]


class Admission:
    """Counts who asks, and answers as told."""

    def __init__(self, answer: Outcome | None = None) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self) -> Outcome | None:
        self.asked += 1
        return self.answer


# --- The checks and their order --------------------------------------------------------------------------------------


def test_a_good_record_is_stored_with_who_named_it(book: PeerBook) -> None:
    raw = record("charlie", ADDRESS, "10.0.0.1:4000")
    assert offer(book, raw, reachable=True) is Outcome.STORED
    known = book.get(identity("charlie"))
    assert known is not None
    assert known.record == raw
    assert known.topics == {TOPIC}
    assert known.endpoints == (at(ADDRESS), at("10.0.0.1:4000"))
    assert known.vouchers[BOB.identity].reachable
    assert len(book) == 1
    assert book.take_changes() == {identity("charlie")}
    assert book.take_changes() == set()


def test_a_really_signed_record_is_stored_and_a_changed_one_is_not() -> None:
    peer = Identity.from_seed(b"\1" * 32)
    raw = sign_record(peer, sequence=UNIX, ttl=3600, flags=0, addresses=[at(ADDRESS).to_address()])
    book = PeerBook(OWN, random=chance())
    for place in range(33, len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        assert offer(book, bytes(changed)) not in (Outcome.STORED, Outcome.VOUCHED)
    assert len(book) == 0
    assert offer(book, memoryview(raw)) is Outcome.STORED  # type: ignore[arg-type]
    known = book.get(peer.public)
    assert known is not None
    assert type(known.record) is bytes


SMALL_ORDER = b"\1" + bytes(31)
NON_CANONICAL = (2**255 - 19 + 5).to_bytes(32, "little")


def with_key(key: bytes) -> bytes:
    raw = record("charlie", ADDRESS)
    return raw[:1] + key + raw[33:]


def big_record() -> bytes:
    return record("charlie", *[Address(200, bytes(98))] * 3, Address(201, bytes(99)))


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        (b"", Outcome.MALFORMED),
        (record("charlie", ADDRESS)[:-1], Outcome.MALFORMED),
        (record("charlie", ADDRESS) + b"\0", Outcome.MALFORMED),
        (b"\2" + record("charlie", ADDRESS)[1:], Outcome.MALFORMED),
        (bytes(MAX_PEER_RECORD + 1), Outcome.MALFORMED),
        (with_key(SMALL_ORDER), Outcome.BAD_KEY),
        (with_key(NON_CANONICAL), Outcome.BAD_KEY),
        (with_key(OWN), Outcome.OWN),
        (record("charlie", ADDRESS, sequence=UNIX + 601), Outcome.CLOCK),
        (record("charlie", ADDRESS, sequence=UNIX - 60 - 601, ttl=60), Outcome.CLOCK),
    ],
)
def test_what_is_dropped_before_the_budget_is_asked(
    book: PeerBook, verifier: Verifier, raw: bytes, outcome: Outcome
) -> None:
    admission = Admission()
    assert offer(book, raw, admit=admission) is outcome
    assert (admission.asked, verifier.calls, len(book)) == (0, 0, 0)
    assert book.take_changes() == set()


def test_the_largest_record_with_unknown_addresses_is_kept(book: PeerBook) -> None:
    raw = big_record()
    assert len(raw) == MAX_PEER_RECORD
    assert offer(book, raw) is Outcome.STORED
    known = book.get(identity("charlie"))
    assert known is not None
    assert known.record == raw
    assert known.dialable == ()


def test_every_truncation_of_a_record_is_dropped(book: PeerBook) -> None:
    raw = record("charlie", ADDRESS, "[2600::1]:4000")
    for size in range(len(raw)):
        assert offer(book, raw[:size]) is Outcome.MALFORMED


@pytest.mark.parametrize(
    ("sequence", "ttl"), [(UNIX + 600, 60), (UNIX - 660, 60), (UNIX - 86400 - 600, 86400), (UNIX, 60)]
)
def test_the_clock_window_includes_its_ends(book: PeerBook, sequence: int, ttl: int) -> None:
    assert offer(book, record("charlie", ADDRESS, sequence=sequence, ttl=ttl)) is Outcome.STORED


def test_the_budget_comes_before_the_signature(book: PeerBook, verifier: Verifier) -> None:
    for answer in (Outcome.OVER_BUDGET, Outcome.FLOOD):
        assert offer(book, record("charlie", ADDRESS), admit=Admission(answer)) is answer
    assert verifier.calls == 0
    assert len(book) == 0


def test_a_forged_record_costs_budget_and_changes_nothing(book: PeerBook, verifier: Verifier) -> None:
    offer(book, record("charlie", ADDRESS, sequence=UNIX - 10))
    book.take_changes()
    admission = Admission()
    assert offer(book, record("charlie", ADDRESS, signature=FORGED), DAVE, admit=admission) is Outcome.FORGED
    assert offer(book, record("erin", ADDRESS, signature=FORGED), DAVE, admit=admission) is Outcome.FORGED
    assert (admission.asked, verifier.calls) == (2, 3)
    known = book.get(identity("charlie"))
    assert known is not None
    assert known.sequence == UNIX - 10
    assert set(known.vouchers) == {BOB.identity}
    assert book.take_changes() == set()


# --- Newer and older -------------------------------------------------------------------------------------------------


def test_only_a_newer_record_replaces_one(book: PeerBook, verifier: Verifier) -> None:
    new = record("charlie", ADDRESS)
    assert offer(book, new) is Outcome.STORED
    assert offer(book, record("charlie", ADDRESS, sequence=UNIX - 1)) is Outcome.OLD
    assert offer(book, record("charlie", "8.8.4.4:4000")) is Outcome.OLD  # as old, but other bytes
    assert verifier.calls == 1
    newer = record("charlie", "8.8.4.4:4000", sequence=UNIX + 1)
    assert offer(book, newer, DAVE) is Outcome.RENEWED
    assert offer(book, new) is Outcome.OLD
    known = book.get(identity("charlie"))
    assert known is not None
    assert known.record == newer


def test_the_same_bytes_add_a_voucher_without_a_signature_check(book: PeerBook, verifier: Verifier) -> None:
    raw, admission = record("charlie", ADDRESS), Admission(Outcome.OVER_BUDGET)
    offer(book, raw)
    assert offer(book, raw, DAVE, topic=OTHER_TOPIC, admit=admission) is Outcome.VOUCHED
    known = book.get(identity("charlie"))
    assert known is not None
    assert known.topics == {TOPIC, OTHER_TOPIC}
    assert set(known.vouchers) == {BOB.identity, DAVE.identity}
    assert (verifier.calls, admission.asked) == (1, 0)


# --- Vouching --------------------------------------------------------------------------------------------------------


def test_dropped_withdraws_only_this_source_in_this_topic(book: PeerBook) -> None:
    raw, charlie = record("charlie", ADDRESS), identity("charlie")
    offer(book, raw)
    offer(book, raw, topic=OTHER_TOPIC)
    offer(book, raw, DAVE)
    book.withdraw(charlie, identity("stranger"), TOPIC)
    book.withdraw(identity("unknown"), BOB.identity, TOPIC)
    book.withdraw(charlie, BOB.identity, TOPIC)
    known = book.get(charlie)
    assert known is not None
    assert known.vouchers[BOB.identity].topics == {OTHER_TOPIC: None}
    assert known.vouchers[DAVE.identity].topics == {TOPIC: None}
    book.withdraw(charlie, BOB.identity, OTHER_TOPIC)
    assert set(known.vouchers) == {DAVE.identity}
    book.withdraw(charlie, DAVE.identity, TOPIC)
    assert book.get(charlie) is None
    assert charlie in book.take_changes()


def test_a_peer_that_leaves_a_topic_is_still_known(book: PeerBook) -> None:
    charlie = origin("charlie")
    offer(book, record("charlie", ADDRESS), charlie, topic=None)
    known = book.get(charlie.identity)
    assert known is not None
    assert known.topics == frozenset()
    book.vouch(charlie.identity, charlie, TOPIC)
    assert known.topics == {TOPIC}
    book.withdraw(charlie.identity, charlie.identity, TOPIC)
    assert known.topics == frozenset()
    assert book.get(charlie.identity) is known
    book.vouch(identity("unknown"), charlie, TOPIC)
    assert book.get(identity("unknown")) is None


def test_a_forgotten_topic_leaves_no_trace(book: PeerBook) -> None:
    offer(book, record(1, ADDRESS))
    offer(book, record(2, ADDRESS))
    offer(book, record(2, ADDRESS), DAVE, topic=OTHER_TOPIC)
    book.forget_topic(TOPIC)
    assert book.get(identity(1)) is None
    known = book.get(identity(2))
    assert known is not None
    assert known.topics == {OTHER_TOPIC}


def test_hello_brings_nobody_elses_record(book: PeerBook, verifier: Verifier) -> None:
    assert offer(book, record("charlie", ADDRESS), BOB, topic=None) is Outcome.FOREIGN
    assert verifier.calls == len(book) == 0


def test_vouchers_of_one_record_are_bounded_and_its_own_word_stays(book: PeerBook) -> None:
    raw, charlie = record("charlie", ADDRESS), origin("charlie")
    offer(book, raw, charlie, topic=None)
    for number in range(50):
        offer(book, raw, origin(number, f"7.{number}.1.1:4000"))
        known = book.get(charlie.identity)
        assert known is not None
        assert charlie.identity in known.vouchers
        assert origin(number).identity in known.vouchers
        assert len(known.vouchers) <= MAX_VOUCHERS + 1
    assert len(book._sources) <= MAX_VOUCHERS + 1


# --- Scopes ----------------------------------------------------------------------------------------------------------

MIXED = ("127.0.0.1:4000", "10.0.0.1:4000", "8.8.8.8:4000", "169.254.169.254:4000", "0.0.0.0:4000", "8.8.8.8:22")


@pytest.mark.parametrize(
    ("remote", "dialable"),
    [
        ("127.0.0.1:1", MIXED[:3]),
        ("[::1]:1", MIXED[:3]),
        ("10.9.9.9:1", MIXED[1:3]),
        ("8.8.4.4:1", MIXED[2:3]),
        ("169.254.1.1:1", MIXED[2:3]),
        (None, MIXED[2:3]),
    ],
)
def test_what_may_be_dialled_depends_on_the_link(book: PeerBook, remote: str | None, dialable: tuple[str, ...]) -> None:
    offer(book, record("charlie", *MIXED), origin("bob", remote))
    known = book.get(identity("charlie"))
    assert known is not None
    assert known.dialable == tuple(at(text) for text in dialable)


def test_new_bytes_over_a_global_link_do_not_inherit_the_reach_of_an_old_voucher(book: PeerBook) -> None:
    local = origin("bob", "127.0.0.1:1")
    offer(book, record("charlie", "127.0.0.1:4000"), local)
    newer = record("charlie", "127.0.0.1:631", sequence=UNIX + 1)
    assert offer(book, newer, origin("mallory", "8.8.4.4:1")) is Outcome.RENEWED
    known = book.get(identity("charlie"))
    assert known is not None
    assert known.dialable == ()
    assert set(known.vouchers) == {local.identity, identity("mallory")}
    offer(book, newer, local)
    assert known.dialable == (at("127.0.0.1:631"),)


def test_a_link_of_less_reach_takes_nothing_from_the_same_bytes(book: PeerBook) -> None:
    raw = record("charlie", "10.0.0.1:4000")
    offer(book, raw, origin("bob", "10.0.0.2:1"))
    offer(book, raw, origin("bob", "8.8.4.4:1"))
    known = book.get(identity("charlie"))
    assert known is not None
    assert known.vouchers[identity("bob")].scope is Scope.PRIVATE


# --- Expiry ----------------------------------------------------------------------------------------------------------


def test_expired_records_are_gone(book: PeerBook) -> None:
    offer(book, record("short", ADDRESS, ttl=60))
    offer(book, record("long", ADDRESS, ttl=7200))
    offer(book, record("renewed", ADDRESS, ttl=60))
    offer(book, record("renewed", ADDRESS, sequence=UNIX + 300, ttl=600))
    book.expire(UNIX + 660)
    assert len(book) == 3
    book.expire(UNIX + 660.5)
    assert {known.identity for known in book} == {identity("long"), identity("renewed")}
    book.expire(UNIX + 300 + 600 + 601)
    assert {known.identity for known in book} == {identity("long")}
    book.expire(UNIX + 100_000)
    assert len(book) == 0
    assert not book._sources
    assert not book._groups


# --- Caps ------------------------------------------------------------------------------------------------------------


def test_one_peer_keeps_at_most_its_share_and_costs_at_most_its_budget(book: PeerBook, verifier: Verifier) -> None:
    budget = 128

    def admit() -> Outcome | None:
        nonlocal budget
        budget -= 1
        return None if budget >= 0 else Outcome.OVER_BUDGET

    template = record("x", ADDRESS)
    stored = 0
    for number in range(100_000):
        raw = template[:1] + number.to_bytes(4, "big") + template[5:]
        stored += offer(book, raw, admit=admit) is Outcome.STORED
    assert verifier.calls == stored == 128
    assert len(book) == 128


def test_one_peer_without_budget_still_keeps_at_most_256(book: PeerBook) -> None:
    for raw in records(range(2000)):
        assert offer(book, raw) is Outcome.STORED
        assert len(book) <= BOOK_PER_SOURCE
    assert len(book) == BOOK_PER_SOURCE
    survivors = {known.identity for known in book}
    early = sum(identity(number) in survivors for number in range(1000))
    assert 0 < early < 128  # chance decides, and the old fade


def test_one_source_group_keeps_at_most_512(book: PeerBook) -> None:
    for source in range(20):
        for raw in records((source, number) for number in range(100)):
            offer(book, raw, origin(source, f"9.9.{source}.1:4000"))
        assert sum(len(group.sources) > 0 for group in book._groups.values()) == 1
    assert len(book) <= BOOK_PER_GROUP
    assert len(book) > BOOK_PER_GROUP * 0.9


@pytest.mark.parametrize("spread", ["[26%02x:%x::1]:4000", "%d.%d.1.1:4000"])
def test_the_book_is_bounded_and_one_group_can_not_flush_it(spread: str) -> None:
    book = PeerBook(OWN, random=chance(), verify=Verifier(), total=1024)
    honest = [origin(("honest", number), spread % (1 + number, number)) for number in range(8)]
    for source in honest:
        for raw in records((source.identity, number) for number in range(20)):
            offer(book, raw, source)
    before = {known.identity for known in book}
    for source in range(100):
        attacker = origin(("mallory", source), spread % (99, 7))
        for raw in records(("attack", source, number) for number in range(50)):
            offer(book, raw, attacker)
        assert len(book) <= 1024
    after = {known.identity for known in book}
    assert len(before & after) > len(before) * 0.8


def test_the_whole_book_is_bounded() -> None:
    book = PeerBook(OWN, random=chance(), verify=Verifier())
    template = record("x", ADDRESS)
    for group in range(80):
        source = origin(group, f"{1 + group}.9.1.1:4000")
        second = origin((group, 2), f"{1 + group}.9.1.2:4000")
        for number in range(500):
            raw = template[:1] + (group * 500 + number).to_bytes(4, "big") + template[5:]
            offer(book, raw, source if number % 2 else second)
    assert BOOK_TOTAL * 0.9 < len(book) <= BOOK_TOTAL
    assert sum(len(bucket) for bucket in book._buckets) == len(book)


def test_buckets_depend_on_the_secret() -> None:
    def places(random: Callable[[int], bytes]) -> list[int]:
        book = PeerBook(OWN, random=random, verify=Verifier())
        for number, raw in enumerate(records(range(64))):
            offer(book, raw, origin(number, f"{1 + number}.1.1.1:1"))
        return [known.bucket for known in book]

    assert places(chance(1)) == places(chance(1))
    assert places(chance(1)) != places(chance(2))
    assert len(set(places(chance(1)))) > 20
