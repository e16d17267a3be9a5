"""Slots and credit: who is served, how far ahead it may ask, and that nobody is starved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from p2pwire.node.rates import Recent
from p2pwire.node.uploads import Choke, Decision, Grant, UploadConfig, Uploads
from p2pwire.wire.registry import BLOCK_SIZE, INITIAL_CREDIT, MAX_AHEAD, MIN_AHEAD
from tests.node.rows import numbers

# --- How much lately ----------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 100)), max_size=60), st.sampled_from([2.0, 20.0]))
def test_recent_is_the_sum_over_the_span(steps: list[tuple[float, int]], span: float) -> None:
    recent = Recent(span)
    now = 1000.0
    happened: list[tuple[float, int]] = []
    for wait, amount in steps:
        now += wait
        recent.add(amount, now)
        happened.append((now, amount))
        most = sum(amount for when, amount in happened if when > now - span - 1e-6)
        least = sum(amount for when, amount in happened if when > now - span * 7 / 8 + 1e-6)
        assert least <= recent.total(now) <= most
    assert recent.total(now + span + 1) == 0


def test_recent_takes_a_clock_that_stands_still_or_lags() -> None:
    recent = Recent(2.0)
    recent.add(5, 10.0)
    recent.add(7, 9.0)
    assert recent.total(8.0) == 12


# --- Credit -------------------------------------------------------------------------------------------------------


def uploads_with(count: int, config: UploadConfig | None = None, *, interested: bool = True) -> Uploads:
    uploads = Uploads(numbers(), config)
    for link in range(count):
        uploads.link_added(link)
        if interested:
            uploads.interest(link, True, 0.0)
    return uploads


def slots(uploads: Uploads, count: int) -> set[int]:
    return {link for link in range(count) if uploads.in_slot(link)}


def test_a_link_has_its_initial_credit_and_no_more_until_it_is_interested() -> None:
    uploads = uploads_with(1, interested=False)
    assert uploads.request_ended(0, 64, 0.0) is None
    assert uploads.ahead(0) == 0
    assert uploads.next_timeout() is None
    assert uploads.interest(0, True, 0.0) == [Grant(0, 64 + 72)]
    assert uploads.interest(0, True, 1.0) == []
    assert uploads.ahead(0) == 72


def test_the_initial_credit_needs_no_grant() -> None:
    uploads = uploads_with(1, interested=False)
    assert uploads.interest(0, True, 0.0) == []
    assert uploads.ahead(0) == INITIAL_CREDIT


def test_credit_is_topped_up_in_steps() -> None:
    uploads = uploads_with(1)
    grants = [grant for _ in range(80) if (grant := uploads.request_ended(0, 1, 0.0))]
    assert grants == [Grant(0, 1 + 72 + 9 * step) for step in range(9)]


def test_what_may_be_asked_ahead_grows_with_what_is_sent() -> None:
    uploads = uploads_with(1)
    now, totals = 0.0, [INITIAL_CREDIT]
    for _ in range(5000):
        now += 1 / 1000
        uploads.block_sent(0, BLOCK_SIZE, now)
        if grant := uploads.request_ended(0, 1, now):
            totals.append(grant.total)
    assert uploads.ahead(0) > MAX_AHEAD * 7 / 8
    # From then on it goes by the eighth of 1024.
    assert totals[-1] - totals[-2] == pytest.approx(MAX_AHEAD / 8, abs=1)
    assert uploads.request_ended(0, 64, now + 60.0) is None, "granted credit is not taken back"


def test_a_slow_link_may_ask_ahead_at_least_a_largest_request() -> None:
    uploads = uploads_with(1)
    for second in range(100):
        uploads.block_sent(0, BLOCK_SIZE, float(second))
        uploads.request_ended(0, 1, float(second))
        assert MIN_AHEAD <= uploads.ahead(0) <= MIN_AHEAD * 9 / 8


# --- Slots --------------------------------------------------------------------------------------------------------


def test_with_fewer_links_than_slots_each_has_one() -> None:
    uploads = uploads_with(8)
    assert slots(uploads, 8) == set(range(8))
    assert uploads.next_timeout() == 10.0
    assert uploads.review(10.0) == []
    assert slots(uploads, 8) == set(range(8))


def test_a_free_slot_is_given_at_once() -> None:
    uploads = uploads_with(10)
    assert slots(uploads, 10) == set(range(8))
    uploads.request_ended(8, 64, 0.0)
    assert uploads.interest(3, False, 1.0) == [Grant(8, 136)]
    assert slots(uploads, 10) == {0, 1, 2, 4, 5, 6, 7, 8}
    assert uploads.link_removed(0, 2.0) == []
    assert uploads.in_slot(9)


def test_the_best_givers_keep_slots() -> None:
    uploads = uploads_with(30)
    for link in (10, 20, 25, 29):
        uploads.block_received(link, 1_000_000 + link, 9.0)
    uploads.block_received(5, 1000, 9.0)
    for review in range(1, 4):
        uploads.review(10.0 * review)
        assert {10, 20, 25, 29} <= slots(uploads, 30)
        assert len(slots(uploads, 30)) == 8
        for link in slots(uploads, 30):
            uploads.block_sent(link, BLOCK_SIZE, 10.0 * review)
        for link in (10, 20, 25, 29):
            uploads.block_received(link, 1_000_000 + link, 10.0 * review)
    uploads.review(100.0)
    uploads.review(110.0)
    assert not {10, 20, 25, 29} <= slots(uploads, 30), "what was given long ago does not count"


def test_a_review_before_its_time_changes_nothing() -> None:
    uploads = uploads_with(30)
    uploads.block_received(29, 10**6, 5.0)
    assert uploads.review(9.9) == []
    assert not uploads.in_slot(29)
    uploads.review(10.0)
    assert uploads.in_slot(29)
    assert uploads.next_timeout() == 20.0


def test_one_slot_is_drawn_by_lot_for_three_reviews() -> None:
    # Links 0..6 give the most, and the one slot that is left is the one drawn by lot.
    config = UploadConfig(rate_slots=7)
    uploads = uploads_with(10, config)
    drawn = []
    for review in range(1, 31):
        now = 10.0 * review
        for link in range(7):
            uploads.block_received(link, 10**6, now)
        uploads.review(now)
        (lot,) = slots(uploads, 10) - set(range(7))
        drawn.append(lot)
    for first in range(0, 30, 3):
        assert len(set(drawn[first : first + 3])) == 1
    assert all(drawn[at] != drawn[at + 3] for at in range(0, 27, 3))
    assert set(drawn) == {7, 8, 9}


@pytest.mark.parametrize(
    "config",
    [
        UploadConfig(rate_slots=8, lot_slots=0),
        UploadConfig(rate_slots=0, lot_slots=8),
        UploadConfig(rate_slots=0, lot_slots=0),
    ],
    ids=["by rate", "by lot", "by turn"],
)
def test_a_snubbed_link_comes_after_all_others(config: UploadConfig) -> None:
    uploads = uploads_with(20, config)
    for link in range(8, 12):
        uploads.block_received(link, 10**6, 9.0)
        uploads.snubbed(link)
    for review in range(1, 6):
        uploads.review(10.0 * review)
        assert slots(uploads, 20).isdisjoint(range(8, 12))
    for link in range(8, 12):
        uploads.snubbed(link, False)
    seen: set[int] = set()
    for review in range(6, 20):
        uploads.block_received(10, 10**6, 10.0 * review)
        uploads.review(10.0 * review)
        seen |= slots(uploads, 20)
    assert 10 in seen


def test_snubbed_links_are_served_if_nobody_else_wants_to_be() -> None:
    uploads = uploads_with(12)
    for link in range(12):
        uploads.snubbed(link)
    uploads.review(10.0)
    assert len(slots(uploads, 12)) == 8


def test_choking_takes_back_only_if_asked_to() -> None:
    kind = UploadConfig()
    strict = UploadConfig(reject_when_choked=True)
    for config in (kind, strict):
        uploads = uploads_with(20, config)
        for link in range(8):
            uploads.block_sent(link, BLOCK_SIZE, 1.0)
        before = slots(uploads, 20)
        decisions = uploads.review(10.0)
        lost = before - slots(uploads, 20)
        assert lost
        assert {decision.link for decision in decisions if isinstance(decision, Choke)} == (
            lost if config is strict else set()
        )


def test_reviews_end_when_nobody_is_interested() -> None:
    uploads = uploads_with(2)
    uploads.interest(0, False, 1.0)
    uploads.link_removed(1, 2.0)
    assert uploads.next_timeout() == 10.0
    assert uploads.review(10.0) == []
    assert uploads.next_timeout() is None
    uploads.interest(0, True, 100.0)
    assert uploads.next_timeout() == 110.0


def test_the_callers_mistakes_are_named() -> None:
    uploads = uploads_with(1)
    with pytest.raises(ValueError, match="link 0 was added before"):
        uploads.link_added(0)
    with pytest.raises(ValueError, match="rate_slots and lot_slots are 4 and 1, together more than slots, 4"):
        UploadConfig(slots=4)
    with pytest.raises(KeyError):
        uploads.request_ended(5, 1, 0.0)


# --- Fairness -----------------------------------------------------------------------------------------------------


@attrs.define
class Crowd:
    """Links that take what they get, each second an equal share of `capacity` blocks for each that asks."""

    uploads: Uploads
    count: int
    capacity: int = 400
    got: Counter[int] = attrs.field(factory=Counter)
    now: float = 0.0

    def run(self, seconds: int, *, silent: Collection[int] = (), slow: Mapping[int, int] | None = None) -> None:
        """`silent` links never ask; `slow` ones take at most so many blocks a second."""
        for _ in range(seconds):
            self.now += 1.0
            self.uploads.review(self.now)
            asking = slots(self.uploads, self.count).difference(silent)
            for link in asking:
                blocks = min(self.capacity // len(asking), (slow or {}).get(link, self.capacity))
                self.got[link] += blocks
                for _ in range(blocks):
                    self.uploads.block_sent(link, BLOCK_SIZE, self.now)


def test_a_seed_serves_all_alike() -> None:
    crowd = Crowd(uploads_with(30), 30)
    crowd.run(1200)
    mean = sum(crowd.got.values()) / 30
    assert all(0.75 * mean <= crowd.got[link] <= 1.25 * mean for link in range(30))


def test_who_comes_late_is_owed_nothing_for_the_time_before() -> None:
    uploads = uploads_with(20)
    crowd = Crowd(uploads, 20)
    crowd.run(600)
    uploads.link_added(20)
    uploads.interest(20, True, crowd.now)
    crowd.count = 21
    before = Counter(crowd.got)
    crowd.run(600)
    gained = {link: crowd.got[link] - before[link] for link in range(21)}
    mean = sum(gained.values()) / 21
    assert 0.5 * mean <= gained[20] <= 1.5 * mean


def test_links_that_hold_slots_without_asking_do_not_starve_others() -> None:
    crowd = Crowd(uploads_with(30), 30)
    crowd.run(900, silent=range(15))
    others = [crowd.got[link] for link in range(15, 30)]
    assert sum(others) >= 900 * 400 * 0.8
    assert min(others) >= 0.6 * max(others)


def test_a_slow_link_is_served_in_its_turn() -> None:
    crowd = Crowd(uploads_with(20), 20)
    crowd.run(900, slow={3: 5})
    # It can take 5 blocks a second and is in a slot for about 8/20 of the time.
    assert crowd.got[3] >= 900 * 5 * 0.25


def test_free_riders_get_less_than_those_that_give() -> None:
    # 20 that give as much as they get, 10 that give nothing, one uploader that still needs things itself.
    uploads = uploads_with(30)
    crowd = Crowd(uploads, 30)
    for _ in range(1800):
        before = Counter(crowd.got)
        crowd.run(1)
        for link in range(20):
            gained = crowd.got[link] - before[link]
            for _ in range(gained):
                uploads.block_received(link, BLOCK_SIZE, crowd.now)
    riders = [crowd.got[link] for link in range(20, 30)]
    givers = [crowd.got[link] for link in range(20)]
    everything = sum(riders) + sum(givers)
    assert sum(riders) <= everything / 4, "they are a third of all"
    assert max(riders) <= everything / 40, "a rider gets no more than a share of what is left over"
    assert sorted(givers)[-4] >= everything / 10, "who gives much gets much"
    assert min(riders) > 0
    assert min(givers) > 0


# --- Any order of calls -------------------------------------------------------------------------------------------


class UploadsMachine(RuleBasedStateMachine):
    """Credit and slots keep their promises whatever happens."""

    @initialize(
        config=st.builds(
            UploadConfig,
            slots=st.integers(2, 4),
            rate_slots=st.integers(0, 1),
            lot_slots=st.integers(0, 1),
            reject_when_choked=st.booleans(),
        )
    )
    def begin(self, config: UploadConfig) -> None:
        self.config = config
        self.uploads = Uploads(numbers(), config)
        self.now = 0.0
        self.granted: dict[int, int] = {}
        self.ended: dict[int, int] = {}
        self.interested: set[int] = set()

    def take(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            if isinstance(decision, Grant):
                assert decision.total > self.granted[decision.link], "never lower, never without effect"
                assert self.uploads.in_slot(decision.link)
                self.granted[decision.link] = decision.total
            else:
                assert self.config.reject_when_choked
                assert not self.uploads.in_slot(decision.link)

    @rule(link=st.integers(0, 7))
    def come_or_go(self, link: int) -> None:
        if link in self.granted:
            del self.granted[link], self.ended[link]
            self.interested.discard(link)
            self.take(self.uploads.link_removed(link, self.now))
        else:
            self.uploads.link_added(link)
            self.granted[link], self.ended[link] = INITIAL_CREDIT, 0

    @precondition(lambda self: self.granted)
    @rule(data=st.data(), on=st.booleans())
    def want(self, data: st.DataObject, on: bool) -> None:
        link = data.draw(st.sampled_from(sorted(self.granted)))
        (self.interested.add if on else self.interested.discard)(link)
        self.take(self.uploads.interest(link, on, self.now))

    @precondition(lambda self: self.granted)
    @rule(data=st.data(), level=st.integers(0, 6), blocks=st.integers(0, 64), times=st.integers(1, 20))
    def ask(self, data: st.DataObject, level: int, blocks: int, times: int) -> None:
        link = data.draw(st.sampled_from(sorted(self.granted)))
        for _ in range(times):
            if self.granted[link] - self.ended[link] < 1 << level:
                return
            for _ in range(min(blocks, 1 << level)):
                self.uploads.block_sent(link, BLOCK_SIZE, self.now)
            self.ended[link] += 1 << level
            grant = self.uploads.request_ended(link, 1 << level, self.now)
            self.take([grant] if grant else [])

    @precondition(lambda self: self.granted)
    @rule(data=st.data(), snubbed=st.booleans())
    def give(self, data: st.DataObject, snubbed: bool) -> None:
        link = data.draw(st.sampled_from(sorted(self.granted)))
        self.uploads.block_received(link, BLOCK_SIZE, self.now)
        self.uploads.snubbed(link, snubbed)

    @rule(seconds=st.sampled_from([0.1, 3.0, 10.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.uploads.review(self.now))

    @invariant()
    def promises_hold(self) -> None:
        holders = {link for link in self.granted if self.uploads.in_slot(link)}
        assert holders <= self.interested
        assert len(holders) == min(self.config.slots, len(self.interested))
        for link in self.granted:
            assert self.uploads.ahead(link) == self.granted[link] - self.ended[link]
            assert self.uploads.ahead(link) <= MAX_AHEAD
            if link in holders:
                assert self.uploads.ahead(link) >= MIN_AHEAD
        assert (self.uploads.next_timeout() is not None) or not self.interested


UploadsMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestUploadsStates = UploadsMachine.TestCase
