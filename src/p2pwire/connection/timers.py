"""The clocks of one link: a closed set of timers over the caller's monotonic time."""

from __future__ import annotations

from enum import Enum, unique
from typing import Final


@unique
class Timer(Enum):
    """What may run out on a link."""

    HANDSHAKE = "the handshake is not over"
    HELLO = "HELLO has not come"
    PING = "no record for a while: ask"
    IDLE = "no record for too long: dead"
    REQUEST = "a request is open, and neither DATA nor REJECT comes"
    SERVE = "the other side's request is open, and no block went"
    OUTPUT = "bytes wait to be sent, and the carrier takes none"
    DRAIN = "CLOSE is sent, and the stream does not end"


OF_READING: Final = frozenset({Timer.PING, Timer.IDLE, Timer.REQUEST})
"""Timers that wait for the other side, and stand still while this side does not read [KA-012]."""


class Timers:
    """Deadlines in seconds of the caller's clock."""

    __slots__ = ("_deadlines", "_paused_at")

    def __init__(self) -> None:
        self._deadlines: dict[Timer, float] = {}
        self._paused_at: float | None = None

    def start(self, timer: Timer, deadline: float) -> None:
        """Start or restart one."""
        self._deadlines[timer] = deadline

    def stop(self, timer: Timer) -> None:
        """Stop one, running or not."""
        self._deadlines.pop(timer, None)

    def stop_all(self) -> None:
        """Stop all."""
        self._deadlines.clear()

    def running(self, timer: Timer) -> bool:
        """Whether it runs."""
        return timer in self._deadlines

    def next(self) -> float | None:
        """The earliest deadline."""
        return min((at for timer, at in self._deadlines.items() if self._runs(timer)), default=None)

    def expire(self, now: float) -> list[Timer]:
        """Stop and return those that have run out, earliest first."""
        due = [timer for timer, at in self._deadlines.items() if at <= now and self._runs(timer)]
        expired = sorted(due, key=self._deadlines.__getitem__)
        for timer in expired:
            del self._deadlines[timer]
        return expired

    def pause(self, now: float) -> None:
        """This side stops reading."""
        if self._paused_at is None:
            self._paused_at = now

    def resume(self, now: float) -> None:
        """This side reads again."""
        if self._paused_at is not None:
            for timer in OF_READING & self._deadlines.keys():
                self._deadlines[timer] += now - self._paused_at
            self._paused_at = None

    def _runs(self, timer: Timer) -> bool:
        return self._paused_at is None or timer not in OF_READING
