"""How much the other side may cost: token buckets over the caller's clock."""

from __future__ import annotations

import attrs

from p2pwire.connection.config import Limits


@attrs.define
class TokenBucket:
    """`burst` tokens at first, refilled by `rate` a second up to `burst` again."""

    rate: float
    burst: float
    now: float
    tokens: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = self.burst

    def add(self, tokens: float) -> None:
        """Put tokens in beside the refill, up to the burst."""
        self.tokens = min(self.burst, self.tokens + tokens)

    def take(self, tokens: float, now: float) -> bool:
        """Take tokens if there are enough; a clock that stands or goes back refills nothing."""
        if now > self.now:
            self.tokens = min(self.burst, self.tokens + (now - self.now) * self.rate)
            self.now = now
        if self.tokens < tokens:
            return False
        self.tokens -= tokens
        return True


class ControlBudget:
    """The counted control frames of one link: so many, and so many bytes [KA-020]."""

    __slots__ = ("_bytes", "_frames")

    def __init__(self, limits: Limits, now: float) -> None:
        self._frames = TokenBucket(limits.control_rate, limits.control_burst, now)
        self._bytes = TokenBucket(limits.control_bytes_rate, limits.control_bytes_burst, now)

    def earned(self, blocks: int) -> None:
        """DATA went or came: so many frames more."""
        self._frames.add(blocks)

    def spend(self, size: int, now: float) -> bool:
        """Whether one counted frame of `size` bytes, header included, is within the budget."""
        return self._frames.take(1, now) and self._bytes.take(size, now)
