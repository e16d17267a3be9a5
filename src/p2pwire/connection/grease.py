"""GREASE: versions, suites, tags, names and frames that mean nothing, so that receivers keep ignoring the unknown.

RFC 8701 and RFC 9170 give the reasons. All of it is made from a few random bytes, so that it can be made again for the
further attempt after USE_SUITE, which has to be the same [VN-055].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from p2pwire.wire.registry import GREASE_FRAMES, GREASE_ONE_IN

GREASE_SEED: Final = 12
"""random bytes that one connection's GREASE takes."""

NAME_PREFIX: Final = "grease/"
"""Extensions whose names begin so have no frames [EX-023]."""

_TAGS: Final = (0x0B, 0x2B, 0x4B, 0x6B, 0x8B, 0xAB, 0xCB, 0xEB)


def choose(random: Callable[[int], bytes]) -> bytes:
    """The seed for a connection: one in eight has one, b"" else [VN-064] [EX-022]."""
    return random(GREASE_SEED) if random(1)[0] % GREASE_ONE_IN == 0 else b""


@attrs.frozen
class Grease:
    """What one connection carries."""

    seed: bytes

    @classmethod
    def of(cls, seed: bytes) -> Grease | None:
        """That of a seed; None for an empty one. Raises `ValueError` for one of another size."""
        if seed and len(seed) != GREASE_SEED:
            raise ValueError(f"grease: {len(seed)} bytes, must be {GREASE_SEED} or none")
        return cls(seed) if seed else None

    @property
    def version(self) -> int:
        """A version that nobody has."""
        return _u16(self.seed[0])

    @property
    def suite(self) -> int:
        """A suite that nobody has."""
        return _u16(self.seed[1])

    @property
    def tag(self) -> int:
        """A tag that means nothing."""
        return _TAGS[self.seed[2] % len(_TAGS)]

    @property
    def value(self) -> bytes:
        """What the tag holds."""
        return self.seed[3 : 3 + self.seed[3] % 4]

    @property
    def name(self) -> str:
        """The name of an extension that nobody has."""
        return f"{NAME_PREFIX}{self.seed[4:6].hex()}"

    @property
    def frame(self) -> bytes:
        """A frame that everyone ignores."""
        body = self.seed[6 : 6 + self.seed[7] % 7]
        return bytes((GREASE_FRAMES[self.seed[6] % len(GREASE_FRAMES)],)) + len(body).to_bytes(2, "big") + body


def _u16(byte: int) -> int:
    """0x?A?A with the high halves of both bytes from one."""
    return (byte & 0xF0 | 0x0A) << 8 | (byte << 4 & 0xF0) | 0x0A
