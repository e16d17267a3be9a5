"""An uplink that all connections of a host share alike."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from p2pwire.testing.network.network import Network


class Uplink:
    """Every connection that has something to send gets the same part of it, as it does where systems send packets of
    each in turn: what is short on one connection does not wait for what is long on another. This is the ideal that fair
    queueing comes near to, generalised processor sharing, with the virtual time of Parekh and Gallager (1993)."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._rate: float | None = None
        self._sending: list[tuple[float, int, Callable[[], None]]] = []
        """When, counted in `_served`, which segment has left, and what happens then."""
        self._served = 0.0
        """Bytes that a connection has sent which has been sending all along."""
        self._reckoned = 0.0
        """The time of the network to which that is reckoned."""
        self._order = count()
        self._plan = 0
        """Which of the planned ends is the current one."""

    @property
    def rate(self) -> float | None:
        """Bytes per second for all together; None: no limit."""
        return self._rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        self._reckon()
        self._rate = rate
        self._go_on()

    def send(self, size: int, left: Callable[[], None]) -> None:
        """Begin with a segment; `left` is called when the last byte of it has left."""
        self._reckon()
        heapq.heappush(self._sending, (self._served + size, next(self._order), left))
        self._go_on()

    def _reckon(self) -> None:
        now = self._network.now
        if not self._sending:
            self._served = 0.0
        elif self._rate is not None:
            self._served += (now - self._reckoned) * self._rate / len(self._sending)
        self._reckoned = now

    def _go_on(self) -> None:
        self._plan += 1
        if self._sending:
            ahead = max(0.0, self._sending[0][0] - self._served) * len(self._sending)
            self._network.after(ahead / self._rate if self._rate else 0.0, partial(self._first_left, self._plan))

    def _first_left(self, plan: int) -> None:
        if plan == self._plan:
            self._reckon()
            _, _, left = heapq.heappop(self._sending)
            self._go_on()
            left()
