"""How much of something happened lately."""

from __future__ import annotations

from typing import Final

_SLOTS: Final = 8
"""parts of the span: what is older than it leaves in steps of an eighth."""


class Recent:
    """An amount over the last `span` seconds: eight counters in a ring, of constant size and cost."""

    __slots__ = ("_counts", "_newest", "_sum", "_width")

    def __init__(self, span: float) -> None:
        self._width = span / _SLOTS
        self._counts = [0] * _SLOTS
        self._newest = 0  # the number of the slot that is being filled, counted from time 0
        self._sum = 0

    def add(self, amount: int, now: float) -> None:
        """So much happened now."""
        self._advance(now)
        self._counts[self._newest % _SLOTS] += amount
        self._sum += amount

    def total(self, now: float) -> int:
        """How much happened in the last `span` seconds, of which the oldest eighth may be missing in part."""
        self._advance(now)
        return self._sum

    def _advance(self, now: float) -> None:
        number = int(now // self._width)
        if number <= self._newest:
            return
        for slot in range(max(self._newest, number - _SLOTS) + 1, number + 1):
            self._sum -= self._counts[slot % _SLOTS]
            self._counts[slot % _SLOTS] = 0
        self._newest = number
