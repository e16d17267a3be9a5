"""What lies between two hosts of a `Network`: how long bytes take, in what pieces they come, and what gets lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

SEGMENT: Final = 65536
"""bytes that go over the wire in one piece, at most, unless a way says otherwise."""


@attrs.frozen
class Way:
    """The way from one host to another; the way back may be another one. Times are in seconds."""

    latency: float = attrs.field(default=0.02, validator=attrs.validators.ge(0))
    """What every segment takes."""
    jitter: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    """By how much longer a segment may take, by chance. Segments of one connection stay in order."""
    segment: int = attrs.field(default=SEGMENT, validator=attrs.validators.ge(1))
    """Bytes of a segment, at most."""
    ragged: bool = False
    """Whether segments have any size up to that, by chance: a reader can rely on no boundary."""
    resets: float = attrs.field(default=0.0, validator=[attrs.validators.ge(0), attrs.validators.le(1)])
    """How likely it is that a segment breaks its connection instead of arriving."""

    def size(self, random: Callable[[int], bytes]) -> int:
        """Bytes that the next segment may have."""
        return 1 + int.from_bytes(random(4)) % self.segment if self.ragged else self.segment

    def delay(self, random: Callable[[int], bytes]) -> float:
        """Seconds that the next segment takes."""
        return self.latency + (self.jitter * fraction(random) if self.jitter else 0.0)

    def breaks(self, random: Callable[[int], bytes]) -> bool:
        """Whether the next segment breaks the connection."""
        return self.resets > 0 and fraction(random) < self.resets


def fraction(random: Callable[[int], bytes]) -> float:
    """A number from 0 to 1, without 1."""
    return int.from_bytes(random(4)) / 2**32
