"""Names of 32 bytes, which are hashes and public keys: how people write them, and which keys count as identities.

The text is base32 (RFC 4648) in lower case without padding: 52 characters, the last 4 bits zero [UR-001] [UR-003].
"""

from __future__ import annotations

import re
from base64 import b32decode, b32encode
from typing import Final

NAME_SIZE: Final = 32
"""bytes of a name."""

NAME_LENGTH: Final = 52
"""characters of a name as text: 32 bytes at 5 bits each, the last 4 bits zero."""

_TEXT: Final = re.compile(f"[A-Za-z2-7]{{{NAME_LENGTH}}}")
_FIELD_PRIME: Final = 2**255 - 19

_CURVE_D: Final = -121665 * pow(121666, -1, _FIELD_PRIME) % _FIELD_PRIME
"""d of the curve (RFC 8032, section 5.1)."""

_WORTHLESS: Final = frozenset(
    (y | sign).to_bytes(NAME_SIZE, "little")
    for y in (
        # The 8 points whose order divides 8. Anyone can make signatures that verify under such a key: under the one
        # with y = 1 a single signature, whatever the message.
        0,  # two points of order 4
        1,  # the neutral point
        _FIELD_PRIME - 1,  # the point of order 2
        # Four points of order 8.
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
        # What is no element of the field: other ways to write 0 to 18.
        *range(_FIELD_PRIME, 2**255),
    )
    for sign in (0, 2**255)
)
"""Keys that count for nothing. The sign bit plays no part in it: some verifiers take the neutral point with either
sign, and both are as weak."""


def encode_name(name: bytes) -> str:
    """32 bytes as text."""
    return b32encode(name).decode("ascii").rstrip("=").lower()


def decode_name(text: str) -> bytes:
    """The 32 bytes of a text; upper case is read too. Raises ValueError that says what it has to be."""
    if not _TEXT.fullmatch(text):
        raise ValueError(f"must be {NAME_LENGTH} characters of base32: a to z and 2 to 7")
    name = b32decode(text.upper() + "====")
    if encode_name(name) != text.lower():
        raise ValueError("must end with 4 zero bits")
    return name


def is_acceptable_key(public: bytes | bytearray | memoryview) -> bool:
    """Whether a remote's Ed25519 key may count as an identity: 32 bytes, y below 2^255-19, and no point of small order.

    A key that is no point of the curve at all may pass here, and verifies nothing; see `is_identity`.
    [ID-001] [ID-002]
    """
    return len(public) == NAME_SIZE and bytes(public) not in _WORTHLESS


def is_identity(public: bytes | bytearray | memoryview) -> bool:
    """Whether a key is acceptable and a point of the curve: for keys that people give, with which no signature comes.

    It takes as long as a signature, so that what a remote sends in numbers is left to its signature. [ID-003]
    """
    return is_acceptable_key(public) and _is_on_curve(int.from_bytes(public, "little") & (2**255 - 1))


def _is_on_curve(y: int) -> bool:
    """Whether -x^2 + y^2 = 1 + d x^2 y^2 has a solution for x: (y^2 - 1) / (d y^2 + 1) is a square, and so is their
    product. No y of these has a product of 0 but those of small order."""
    square = y * y
    return pow((square - 1) * (_CURVE_D * square + 1), (_FIELD_PRIME - 1) // 2, _FIELD_PRIME) == 1
