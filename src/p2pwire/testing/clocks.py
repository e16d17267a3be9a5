"""Clocks that differ: what a host of a `Network` takes for the time."""

from __future__ import annotations

import attrs

START = 1_800_000_000.0
"""Unix time at which every network begins."""


@attrs.frozen
class Clock:
    """One host's two clocks, over the network's time, which begins at 0 and is nobody's.

    Monotonic time is `offset + rate * time`: a host that has been up for long, and whose crystal is off. The time of
    day is that of the network and `wrong_by` seconds more, and is off by the same crystal.
    """

    offset: float = 0.0
    """Seconds."""
    rate: float = attrs.field(default=1.0, validator=[attrs.validators.ge(0.5), attrs.validators.le(2.0)])
    """Seconds of this clock in a second of the network; a real one is within 1 ± 0.0002."""
    wrong_by: float = 0.0
    """Seconds by which the time of day is ahead of the right one."""

    def monotonic(self, time: float) -> float:
        """What the monotonic clock says."""
        return self.offset + time * self.rate

    def time_of(self, monotonic: float) -> float:
        """When it says that."""
        return (monotonic - self.offset) / self.rate

    def unix(self, time: float) -> float:
        """What the clock on the wall says: seconds since 1970."""
        return START + time * self.rate + self.wrong_by
