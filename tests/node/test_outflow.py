"""Whose block goes out next."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from p2pwire.node.outflow import Outflow, OutflowConfig, Rank
from p2pwire.wire.registry import BLOCK_SIZE


def alike(link: int) -> tuple[int, int]:
    """All are as rare as each other."""
    return 0, 0


def by(ranks: dict[int, int]) -> Rank:
    return lambda link: (ranks[link], 0)


def turns(outflow: Outflow, rank: Rank = alike, now: float = 0.0) -> list[int]:
    found = []
    while (link := outflow.next(rank, now)) is not None:
        found.append(link)
    return found


def ready(outflow: Outflow, *links: int) -> None:
    for link in links:
        outflow.ready(link)


def test_no_more_is_handed_out_than_the_least_until_something_is_taken() -> None:
    outflow = Outflow(OutflowConfig(least=2 * BLOCK_SIZE))
    ready(outflow, 1, 2, 3, 4)
    assert turns(outflow) == [1, 2]
    outflow.sent(1, BLOCK_SIZE, 0.0)
    assert turns(outflow) == []
    outflow.taken(1)
    assert turns(outflow) == [3]


def test_the_rarest_goes_first_and_among_equals_who_waits_longest() -> None:
    outflow = Outflow(OutflowConfig(least=BLOCK_SIZE))
    ready(outflow, 1, 2, 3)
    order = []
    for _ in range(3):
        (link,) = turns(outflow, by({1: 5, 2: 0, 3: 0}))
        order.append(link)
        outflow.sent(link, BLOCK_SIZE, 0.0)
        outflow.taken(link)
    assert order == [2, 3, 1]


def test_rare_blocks_bring_a_link_only_so_far_ahead() -> None:
    outflow = Outflow(OutflowConfig(least=BLOCK_SIZE, lead=4))
    served = {1: 0, 2: 0}
    for second in range(40):
        ready(outflow, 1, 2)
        (link,) = turns(outflow, by({1: 0, 2: 9}), float(second))
        served[link] += 1
        assert served[1] - served[2] <= 5
        outflow.sent(link, BLOCK_SIZE, float(second))
        outflow.taken(link)
    assert served[2] >= 17


def test_who_comes_late_is_owed_nothing_for_the_time_before() -> None:
    outflow = Outflow(OutflowConfig(least=BLOCK_SIZE, lead=2))
    order = []
    for second in range(26):
        ready(outflow, 1, *([2] if second >= 20 else []))
        (link,) = turns(outflow, now=float(second))
        order.append(link)
        outflow.sent(link, BLOCK_SIZE, float(second))
        outflow.taken(link)
    assert order[:20] == [1] * 20
    assert order[20:].count(1) >= 2


def test_a_carrier_that_takes_nothing_holds_up_the_others_only_for_a_while_and_rarely() -> None:
    outflow = Outflow(OutflowConfig(least=BLOCK_SIZE, probation=2))
    ready(outflow, 1, 2)
    assert turns(outflow) == [1]
    outflow.sent(1, BLOCK_SIZE, 0.0)
    due = outflow.next_timeout()
    assert due is not None
    assert turns(outflow, now=due - 0.01) == []
    assert turns(outflow, now=due) == [2]
    outflow.removed(2)
    # It is back: its next turns hold up nobody.
    for turn in range(3):
        now = due + 10 * turn
        outflow.taken(1)
        outflow.ready(1)
        assert turns(outflow, now=now) == [1]
        outflow.sent(1, BLOCK_SIZE, now)
        outflow.ready(3)
        assert turns(outflow, now=now) == ([3] if turn < 2 else [])
        outflow.removed(3)


def test_as_more_is_sent_more_is_handed_out() -> None:
    outflow = Outflow()
    assert outflow.bound(0.0) == BLOCK_SIZE
    for step in range(2000):
        now = step / 1000
        ready(outflow, 1)
        assert turns(outflow, now=now) == [1]
        outflow.sent(1, 65536, now)
        outflow.taken(1)
    assert outflow.bound(2.0) > 8 * 65536
    ready(outflow, 1, 2)
    assert turns(outflow, now=2.0) == [1, 2]
    assert outflow.share(2.0) > 65536
    assert outflow.bound(10.0) == BLOCK_SIZE, "it is forgotten"


def test_a_link_that_is_gone_gives_back_what_it_held() -> None:
    outflow = Outflow(OutflowConfig(least=BLOCK_SIZE))
    ready(outflow, 1, 2)
    assert turns(outflow) == [1]
    outflow.removed(1)
    assert turns(outflow) == [2]
    outflow.removed(2)
    outflow.removed(3)
    assert outflow.next_timeout() is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["ready", "taken", "sent", "removed", "next"]), st.integers(0, 3), st.floats(0, 3))
    )
)
def test_what_is_out_is_always_what_is_waited_for(steps: list[tuple[str, int, float]]) -> None:
    outflow, now = Outflow(), 0.0
    for kind, link, later in steps:
        now += later
        if kind == "sent":
            if outflow.has_turn(link):
                outflow.sent(link, BLOCK_SIZE * int(later), now)
        elif kind == "next":
            outflow.next(alike, now)
        else:
            getattr(outflow, kind)(link)
        assert outflow._out == sum(lane.given for lane in outflow._busy.values()) >= 0
        assert all((lane.until < inf) == (link in outflow._busy) for link, lane in outflow._lanes.items())
        assert not any(lane.given for link, lane in outflow._lanes.items() if link not in outflow._busy)


def test_of_many_only_so_many_are_ranked_for_a_turn_and_nobody_is_passed_over() -> None:
    outflow = Outflow(OutflowConfig(least=BLOCK_SIZE, ranked=8, lead=2))
    links = range(1000)
    ready(outflow, *links)
    asked: list[int] = []
    order = []

    def rank(link: int) -> tuple[int, int]:
        asked.append(link)
        return -link, 0

    for turn in range(3000):
        asked.clear()
        (link,) = turns(outflow, rank, float(turn * 10))
        assert len(asked) <= 8, turn
        order.append(link)
        outflow.sent(link, BLOCK_SIZE, float(turn * 10))
        outflow.taken(link)
        outflow.ready(link)
    assert order[:2] == [7, 8]
    assert {order.count(link) for link in links} <= {2, 3, 4}
