from __future__ import annotations

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.node.alarms import Alarms, Horizon, earliest

STEP = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 9), st.integers(0, 30)),
    st.tuples(st.just("cancel"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("due"), st.just(0), st.integers(0, 30)),
)


@settings(max_examples=200)
@given(st.lists(STEP, max_size=120))
def test_alarms_are_a_dictionary_that_knows_its_earliest(steps: list[tuple[str, int, int]]) -> None:
    alarms: Alarms[int] = Alarms()
    model: dict[int, int] = {}
    for action, key, time in steps:
        if action == "set":
            alarms.set(key, time)
            model[key] = time
        elif action == "cancel":
            alarms.cancel(key)
            model.pop(key, None)
        else:
            came = list(alarms.due(time))
            assert sorted(came) == sorted(key for key, when in model.items() if when <= time)
            assert [model[key] for key in came] == sorted(model[key] for key in came)
            model = {key: when for key, when in model.items() if when > time}
        assert len(alarms) == len(model)
        assert alarms.next() == min(model.values(), default=None)


def test_times_that_change_do_not_pile_up() -> None:
    alarms: Alarms[str] = Alarms()
    for time in range(10_000):
        alarms.set("a", time)
        alarms.set("b", -time)
    assert len(alarms._heap) < 200
    assert list(alarms.due(10_000)) == ["b", "a"]


def test_a_key_may_be_set_again_while_it_comes_due() -> None:
    alarms: Alarms[str] = Alarms()
    alarms.set("a", 1)
    seen = []
    for key in alarms.due(3):
        seen.append(key)
        alarms.set(key, len(seen) + 1)
    assert seen == ["a", "a", "a"]
    assert alarms.next() == 4


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 30)), max_size=30))
def test_nothing_of_several_is_due_before_their_horizon(steps: list[tuple[int, int, int]]) -> None:
    horizon = Horizon()
    both: list[Alarms[int]] = [Alarms(horizon), Alarms(horizon)]
    assert horizon.at == inf
    for which, key, time in steps:
        both[which].set(key, time)
        assert horizon.at <= min(when for alarms in both if (when := alarms.next()) is not None)
    assert horizon.at == min((time for _, _, time in steps), default=inf)


@given(st.lists(st.one_of(st.none(), st.integers(-3, 3).map(float)), max_size=5))
def test_the_earliest_of_some_times(times: list[float | None]) -> None:
    assert earliest(*times) == min((time for time in times if time is not None), default=None)
