from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pwire.node import dialrules
from p2pwire.node.dialrules import FREE, Backoff, PortLimits, Window
from p2pwire.wire.registry import PORTS_PER_GLOBAL_IP, PORTS_PER_LOCAL_IP
from tests.node.peers import at, chance


def backoff(jitter: float = 0.0) -> Backoff[str]:
    return Backoff(1.0, 900.0, jitter, chance())


def test_a_delay_doubles_with_each_failure_up_to_its_maximum() -> None:
    failures, now, delays = backoff(), 0.0, []
    assert failures.until("a") == FREE
    for _ in range(12):
        until = failures.failed("a", now)
        assert until == failures.until("a")
        delays.append(until - now)
        now = until
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert failures.until("b") == FREE
    failures.forget("a")
    assert failures.until("a") == FREE
    assert failures.failed("a", now) == now + 1


def test_jitter_lengthens_by_up_to_a_quarter_and_never_shortens() -> None:
    delays = []
    for seed in range(200):
        failures: Backoff[str] = Backoff(1.0, 900.0, 0.25, chance(seed))
        delays.append(failures.failed("a", 0.0))
    assert 1.0 <= min(delays) < 1.02
    assert 1.23 < max(delays) <= 1.25


def test_a_row_of_failures_is_forgotten_after_a_long_rest() -> None:
    failures = backoff()
    for _ in range(5):
        failures.failed("a", 0.0)
    assert failures.failed("a", failures.until("a") + 901) == pytest.approx(16 + 901 + 1)


def test_a_failure_is_not_held_against_the_one_who_answered() -> None:
    failures = backoff()
    failures.failed("a", 0.0, spared=b"who answered")
    assert failures.until("a", b"who answered") == FREE
    assert failures.until("a", b"who was expected") == 1.0
    assert failures.until("a") == 1.0


def test_at_once_means_the_longest_delay() -> None:
    assert backoff().failed("a", 0.0, at_once=True) == 900.0


def test_many_failures_do_not_overflow() -> None:
    failures: Backoff[str] = Backoff(600.0, 86400.0, 0.0, chance())
    for _ in range(5000):
        assert failures.failed("a", 0.0) <= 86400.0


@pytest.mark.interpreted
def test_failures_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialrules, "ENTRIES_KEPT", 4)
    failures = backoff()
    ports = PortLimits()
    for number in range(50):
        failures.failed(str(number), 0.0)
        ports.enter(at(f"8.8.8.{number}:4000"), 0.0)
    assert len(failures._failures) == len(ports._hosts) == 4
    assert failures.until("49") == 1.0


@given(st.integers(1, 5), st.lists(st.floats(0, 100), max_size=60))
def test_a_window_allows_its_limit_in_any_period(limit: int, waits: list[float]) -> None:
    window, now, done = Window(limit, 60.0), 0.0, []
    for wait in waits:
        now += wait
        recent = [time for time in done if time > now - 60.0]
        free = window.free_at() <= now
        assert free == (len(recent) < limit)
        assert window.enter(now) == free
        if free:
            done.append(now)
        assert window.idle_at() == (done[-1] + 60.0 if done else FREE)


@pytest.mark.parametrize(
    ("host", "limit"),
    [("8.8.8.8", PORTS_PER_GLOBAL_IP), ("10.0.0.1", PORTS_PER_LOCAL_IP), ("127.0.0.1", PORTS_PER_LOCAL_IP)],
)
def test_ports_of_one_ip_are_limited_per_hour(host: str, limit: int) -> None:
    ports = PortLimits()
    for port in range(limit):
        assert ports.free_at(at(f"{host}:{4000 + port}"), 0.0) <= 0.0
        ports.enter(at(f"{host}:{4000 + port}"), float(port))
    more = at(f"{host}:9999")
    now = float(limit)
    assert ports.free_at(more, now) == 3600.0
    assert ports.free_at(at(f"{host}:4001"), now) <= now  # a port dialled before
    assert ports.free_at(at("9.9.9.9:9999"), now) <= now  # another host
    assert ports.free_at(more, 3600.0) <= 3600.0
    ports.enter(more, 3600.0)
    assert ports.free_at(at(f"{host}:4000"), 3600.0) == 3601.0  # its hour is over, and its place taken


@given(st.lists(st.tuples(st.integers(1, 6), st.floats(0, 1500)), max_size=50))
def test_no_hour_sees_more_distinct_ports_than_allowed(steps: list[tuple[int, float]]) -> None:
    ports, now, dials = PortLimits(), 0.0, []
    for port, wait in steps:
        now += wait
        endpoint = at(f"8.8.8.8:{port}")
        recent = {other for time, other in dials if time + 3600.0 > now}
        allowed = ports.free_at(endpoint, now) <= now
        assert allowed == (port in recent or len(recent) < 3)
        if allowed:
            ports.enter(endpoint, now)
            dials.append((now, port))
