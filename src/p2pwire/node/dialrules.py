"""What holds a dial back: earlier failures, and how often and how widely a host was dialled."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

import attrs

from p2pwire.node.address import Endpoint, Scope
from p2pwire.wire.registry import PORTS_PER_GLOBAL_IP, PORTS_PER_LOCAL_IP

Key = TypeVar("Key", bound=Hashable)

ENTRIES_KEPT: Final = 16384
"""failures of one kind, and hosts, that are remembered; beyond it the oldest are forgotten. Each cost a dial."""

PORT_PERIOD: Final = 3600.0
"""seconds within which the distinct ports dialled on one IP are counted."""

FREE: Final = float("-inf")
"""The time from which something may be done that nothing holds back."""


@attrs.frozen
class Failure:
    """How often something failed in a row, and what follows."""

    count: int
    until: float
    """Not to be tried before this time."""
    spared: bytes | None
    """The one identity that this is not held against."""


class Backoff(Generic[Key]):
    """Delays that double with each failure in a row."""

    __slots__ = ("_failures", "_jitter", "_maximum", "_minimum", "_random")

    def __init__(self, minimum: float, maximum: float, jitter: float, random: Callable[[int], bytes]) -> None:
        """Seconds of the first and of the longest delay, and the fraction by which each is lengthened at random."""
        self._minimum = minimum
        self._maximum = maximum
        self._jitter = jitter
        self._random = random
        self._failures: OrderedDict[Key, Failure] = OrderedDict()

    def failed(self, key: Key, now: float, *, at_once: bool = False, spared: bytes | None = None) -> float:
        """Count a failure; returns the time before which `key` is not to be tried. `at_once`: with the longest delay.

        A row of failures is forgotten if the key was left alone for the longest delay after it might be tried.
        """
        last = self._failures.pop(key, None)
        count = 0 if last is None or now > last.until + self._maximum else last.count
        delay = self._maximum if at_once or count >= 62 else min(self._maximum, self._minimum * 2.0**count)
        part = int.from_bytes(self._random(4), "big") / 0xFFFFFFFF if self._jitter else 0.0
        until = now + delay * (1 + self._jitter * part)  # never shorter than the delay [TM-020], up to a quarter longer
        self._failures[key] = Failure(count + 1, until, spared)
        if len(self._failures) > ENTRIES_KEPT:
            self._failures.popitem(last=False)
        return until

    def until(self, key: Key, identity: bytes | None = None) -> float:
        """Before which time `key` is not to be tried, by the given identity's claim."""
        failure = self._failures.get(key)
        if failure is None or (identity is not None and identity == failure.spared):
            return FREE
        return failure.until

    def forget(self, key: Key) -> None:
        """It worked: the next failure is the first."""
        self._failures.pop(key, None)


class Window:
    """At most `limit` times within any `period` seconds."""

    __slots__ = ("_limit", "_period", "_times")

    def __init__(self, limit: int, period: float) -> None:
        self._limit = limit
        self._period = period
        self._times: deque[float] = deque(maxlen=limit)

    def free_at(self) -> float:
        """From which time on it may be done once more."""
        return FREE if len(self._times) < self._limit else self._times[0] + self._period

    def idle_at(self) -> float:
        """From which time on nothing of the past counts."""
        return self._times[-1] + self._period if self._times else FREE

    def enter(self, now: float) -> bool:
        """Do it once more, if that is within the limit."""
        if self.free_at() > now:
            return False
        self._times.append(now)
        return True


class PortLimits:
    """Few distinct ports per IP and hour, so that records can not turn peers against a host."""

    __slots__ = ("_hosts", "global_ports", "local_ports")

    def __init__(self, global_ports: int = PORTS_PER_GLOBAL_IP, local_ports: int = PORTS_PER_LOCAL_IP) -> None:
        self.global_ports = global_ports
        self.local_ports = local_ports
        self._hosts: OrderedDict[bytes, dict[int, float]] = OrderedDict()

    def free_at(self, endpoint: Endpoint, now: float) -> float:
        """From which time on the endpoint may be dialled."""
        ports = self._recent(endpoint.ip, now)
        limit = self.global_ports if endpoint.scope is Scope.GLOBAL else self.local_ports
        if endpoint.port in ports or len(ports) < limit:
            return FREE
        return min(ports.values()) + PORT_PERIOD

    def enter(self, endpoint: Endpoint, now: float) -> None:
        """The endpoint is being dialled."""
        self._hosts[endpoint.ip] = {**self._recent(endpoint.ip, now), endpoint.port: now}
        self._hosts.move_to_end(endpoint.ip)
        if len(self._hosts) > ENTRIES_KEPT:
            self._hosts.popitem(last=False)

    def _recent(self, ip: bytes, now: float) -> dict[int, float]:
        return {port: last for port, last in self._hosts.get(ip, {}).items() if last + PORT_PERIOD > now}
