"""The clock of one link, and what may run out on it: a closed set of timers over the caller's monotonic time."""

from __future__ import annotations

from enum import Enum, unique
from typing import Final


@unique
class Timer(Enum):
    """What may run out on a link."""

    __hash__ = object.__hash__  # a key that is looked up with every frame: quicker than that of its name

    HANDSHAKE = "the handshake is not over"
    HELLO = "HELLO has not come"
    PING = "no record for a while: ask"
    IDLE = "no record for too long: dead"
    REQUEST = "a request is open, and neither DATA nor REJECT comes"
    SERVE = "the other side's request is open, and no block went"
    OUTPUT = "bytes wait to be sent, and the carrier takes none"
    DRAIN = "CLOSE is sent, and the stream does not end"


OF_READING: Final = frozenset({Timer.HELLO, Timer.PING, Timer.IDLE, Timer.REQUEST})
"""Timers that wait for the other side, and stand still while this side does not read [KA-012]."""


class Timers:
    """Time in seconds of the caller's clock, and at most one deadline of each kind.

    Set `reading` to whether this side reads. Time between two calls of `advance` counts for the timers of `OF_READING`
    only if it was set when the second one came.
    """

    __slots__ = ("_deadlines", "_stood", "now", "reading")

    def __init__(self, now: float) -> None:
        self.now = now
        """Never goes back, whatever the caller's clock does."""
        self.reading = True
        self._deadlines: dict[Timer, float] = {}
        # How long the timers of reading have stood still; their deadlines are as if they never had.
        self._stood = 0.0

    def advance(self, now: float) -> None:
        """The caller says what time it is."""
        if now > self.now:
            if not self.reading:
                self._stood += now - self.now
            self.now = now

    def start(self, timer: Timer, seconds: float) -> None:
        """Start or restart one, to run out in so many seconds."""
        self._deadlines[timer] = self.now + seconds - (self._stood if timer in OF_READING else 0.0)

    def stop(self, timer: Timer) -> None:
        """Stop one, running or not."""
        self._deadlines.pop(timer, None)

    def stop_all(self) -> None:
        """Stop all."""
        self._deadlines.clear()

    def running(self, timer: Timer) -> bool:
        """Whether it runs."""
        return timer in self._deadlines

    def next(self, *, reading: bool) -> float | None:
        """The earliest deadline; without those of reading if nothing is read."""
        earliest = None
        for timer, at in self._deadlines.items():
            if timer in OF_READING:
                if not reading:
                    continue
                at += self._stood
            if earliest is None or at < earliest:
                earliest = at
        return earliest

    def expired(self) -> Timer | None:
        """The one that ran out first, which stops it; None if none did."""
        due = None
        earliest = self.now
        for timer in self._deadlines:
            at = self._deadline(timer, self.reading)
            if at is not None and at <= earliest:
                due, earliest = timer, at
        if due is not None:
            del self._deadlines[due]
        return due

    def _deadline(self, timer: Timer, reading: bool) -> float | None:
        """On the caller's clock, if nothing happens before; None: it stands still."""
        at = self._deadlines[timer]
        if timer not in OF_READING:
            return at
        return at + self._stood if reading else None
