"""The clocks of one link: a closed set of timers over the caller's monotonic time."""

from __future__ import annotations

from enum import Enum, unique


@unique
class Timer(Enum):
    """What may run out on a link."""

    HANDSHAKE = "the handshake is not over"
    HELLO = "HELLO has not come"
    PING = "no record for a while: ask"
    IDLE = "no record for too long: dead"
    REQUEST = "a request is open, and nothing comes"
    SERVE = "the other side's request is open, and no block went"
    DRAIN = "CLOSE is sent, and the stream does not end"


class Timers:
    """Deadlines in seconds of the caller's clock."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        self._deadlines: dict[Timer, float] = {}

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
        return min(self._deadlines.values(), default=None)

    def expire(self, now: float) -> list[Timer]:
        """Stop and return those that have run out, earliest first."""
        expired = sorted((t for t, at in self._deadlines.items() if at <= now), key=self._deadlines.__getitem__)
        for timer in expired:
            del self._deadlines[timer]
        return expired

    def shift(self, seconds: float) -> None:
        """Move all deadlines back: this side itself stood still for so long."""
        for timer in self._deadlines:
            self._deadlines[timer] += seconds
