from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.node import bans as bans_module
from p2pwire.node.bans import NEVER, Bans
from p2pwire.wire.registry import BAN_TIME
from tests.node.peers import at, identity

LIAR = identity("liar")
GLOBAL = at("8.8.8.8:4000")


def test_an_identity_is_banned_for_an_hour_wherever_it_comes_from() -> None:
    bans = Bans()
    assert bans.identity_until(LIAR) == NEVER
    bans.add(LIAR, GLOBAL, 100.0, dialled=False)
    assert bans.refuses(LIAR, None, 100.0)
    assert bans.refuses(LIAR, at("1.1.1.1:1"), 100.0 + BAN_TIME - 1)
    assert not bans.refuses(LIAR, GLOBAL, 100.0 + BAN_TIME)


def test_only_a_dialled_endpoint_is_banned_and_not_its_neighbours() -> None:
    bans = Bans()
    bans.add(LIAR, at("10.0.0.1:4000"), 0.0, dialled=True)
    bans.add(identity(2), at("10.0.0.1:55555"), 0.0, dialled=False)
    assert bans.endpoint_until(at("10.0.0.1:4000")) == BAN_TIME
    assert bans.endpoint_until(at("10.0.0.1:55555")) == NEVER
    assert not bans.refuses(identity("neighbour"), at("10.0.0.1:4000"), 1.0)


@pytest.mark.parametrize("remote", ["127.0.0.1:1", "10.0.0.1:1", "[fd00::1]:1", "[::1]:1", "169.254.1.1:1"])
def test_an_ip_that_is_not_global_is_never_banned(remote: str) -> None:
    bans = Bans()
    for number in range(50):
        bans.add(identity(number), at(remote), 0.0, dialled=False)
    assert bans.ip_until(at(remote).ip) == NEVER


def test_a_global_ip_is_banned_with_its_third_identity_within_an_hour() -> None:
    bans = Bans()
    for number in (1, 1, 1, 2):
        bans.add(identity(number), at(f"8.8.8.8:{number}"), 0.0, dialled=False)
    assert not bans.refuses(identity("neighbour"), GLOBAL, 1.0)
    bans.add(identity(3), at("8.8.8.8:3"), 10.0, dialled=False)
    assert bans.refuses(identity("neighbour"), GLOBAL, 11.0)
    assert bans.endpoint_until(GLOBAL) == 10.0 + BAN_TIME
    assert not bans.refuses(identity("neighbour"), at("8.8.8.9:4000"), 11.0)
    assert not bans.refuses(identity("neighbour"), GLOBAL, 10.0 + BAN_TIME)


def test_identities_banned_in_different_hours_do_not_add_up() -> None:
    bans = Bans()
    for number in range(10):
        bans.add(identity(number), GLOBAL, number * (BAN_TIME / 2 + 1), dialled=False)
        assert bans.ip_until(GLOBAL.ip) == NEVER


def test_a_carrier_without_ip_bans_the_identity_alone() -> None:
    bans = Bans()
    bans.add(LIAR, None, 0.0, dialled=True)
    assert bans.refuses(LIAR, None, 1.0)
    assert not bans.refuses(identity("other"), None, 1.0)


@pytest.mark.interpreted
def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bans_module, "BANS_KEPT", 8)
    bans = Bans()
    for number in range(100):
        bans.add(identity(number), at(f"8.8.{number}.8:4000"), 0.0, dialled=True)
    assert len(bans._identities._ends) == len(bans._endpoints._ends) == len(bans._struck) == 8
    assert bans.refuses(identity(99), None, 1.0)
    assert not bans.refuses(identity(0), None, 1.0)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans(), st.floats(0, 2000)), max_size=40))
def test_bans_last_exactly_as_long_as_the_last_reason(steps: list[tuple[int, int, bool, float]]) -> None:
    bans, now = Bans(), 0.0
    history: list[tuple[float, int, int, bool]] = []
    for who, where, dialled, wait in steps:
        now += wait
        bans.add(identity(who), at(f"8.8.8.{where}:4000"), now, dialled=dialled)
        history.append((now, who, where, dialled))
        for person in range(6):
            last = max((time for time, name, _, _ in history if name == person), default=-BAN_TIME)
            assert (bans.identity_until(identity(person)) > now) == (last + BAN_TIME > now)
        for place in range(4):
            recent = {name for time, name, spot, _ in history if spot == place and time + BAN_TIME > now}
            banned = bans.ip_until(at(f"8.8.8.{place}:1").ip) > now
            assert not banned or len({name for _, name, spot, _ in history if spot == place}) >= 3
            assert len(recent) < 3 or banned
