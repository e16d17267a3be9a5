"""Identities: Ed25519 keys (RFC 8032), what they sign, which of them count, and how people write them.

An identity is its 32-byte public key. Everything signed is `"p2pwire/1 " purpose 00 | content`, so that a signature
made for one purpose serves no other.
"""

from __future__ import annotations

from base64 import b32decode, b32encode
from binascii import Error as Base32Error
from enum import Enum
from typing import TYPE_CHECKING, Final

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from p2pwire.wire.registry import PROTOCOL_NAME

if TYPE_CHECKING:
    from p2pwire.wire.messages import Buffer

IDENTITY_SIZE: Final = 32
"""bytes of an identity, and of the seed that it is made from."""

SIGNATURE_SIZE: Final = 64
"""bytes of a signature."""

PEER_ID_LENGTH: Final = 52
"""characters of an identity as text: 32 bytes at 5 bits each, the last 4 bits zero."""

_FIELD_PRIME: Final = 2**255 - 19

_SMALL_ORDER_Y: Final = frozenset(
    (
        0,  # two points of order 4
        1,  # the neutral point
        _FIELD_PRIME - 1,  # the point of order 2
        # Four points of order 8.
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    )
)
"""The y coordinates of the 8 points whose order divides 8. Anyone can make signatures that verify under such a key:
under the one with y = 1 a single signature, whatever the message."""


class Purpose(Enum):
    """What a signature is for. The value is the purpose's name in the signed text."""

    HANDSHAKE_INITIATOR = b"handshake-initiator"
    HANDSHAKE_RESPONDER = b"handshake-responder"
    PEER_RECORD = b"peer-record"


def signed_text(purpose: Purpose, content: Buffer) -> bytes:
    """The bytes that a signature of `content` for `purpose` signs."""
    return b"".join((PROTOCOL_NAME, b" ", purpose.value, b"\0", content))


@attrs.frozen(repr=False)
class Identity:
    """An own identity: the key pair. Two are equal if their public keys are."""

    public: bytes
    _private: Ed25519PrivateKey = attrs.field(eq=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> Identity:
        """The identity of 32 secret random bytes (RFC 8032's private key). ValueError for another size."""
        if len(seed) != IDENTITY_SIZE:
            raise ValueError(f"seed: {len(seed)} bytes instead of {IDENTITY_SIZE}")
        private = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(private.public_key().public_bytes_raw(), private)

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes; only for keeping the identity."""
        return self._private.private_bytes_raw()

    def sign(self, purpose: Purpose, content: Buffer) -> bytes:
        """A signature of `content`, 64 bytes, good for `purpose` alone."""
        return self._private.sign(signed_text(purpose, content))

    def __repr__(self) -> str:
        return f"Identity({peer_id_text(self.public)})"


def is_acceptable_key(public: Buffer) -> bool:
    """Whether a remote's key may count as an identity: 32 bytes, y below 2^255-19, and no point of small order.

    The sign bit plays no part in it: some verifiers take the neutral point with either sign, and both are as weak.
    A key that is no point of the curve at all may pass here, and verifies nothing.
    """
    if len(public) != IDENTITY_SIZE:
        return False
    y = int.from_bytes(public, "little") & (2**255 - 1)
    return y < _FIELD_PRIME and y not in _SMALL_ORDER_Y


def verify(public: Buffer, purpose: Purpose, content: Buffer, signature: Buffer) -> bool:
    """Whether the acceptable key `public` signed `content` for `purpose`. Never raises, whatever the bytes are."""
    if not is_acceptable_key(public):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes(public)).verify(signature, signed_text(purpose, content))
    except (InvalidSignature, ValueError):
        return False
    return True


def peer_id_text(public: bytes) -> str:
    """An identity for people: 52 characters of base32 (RFC 4648) in lower case, without padding."""
    return b32encode(public).decode("ascii").rstrip("=").lower()


def parse_peer_id(text: str) -> bytes:
    """The identity that `peer_id_text` wrote; upper case is read too.

    Raises ValueError for another length, other characters, or last bits that are not zero.
    """
    if len(text) != PEER_ID_LENGTH:
        raise ValueError(f"peer id: {len(text)} characters instead of {PEER_ID_LENGTH}")
    try:
        public = b32decode(text + "====", casefold=True)
    except (Base32Error, ValueError):
        raise ValueError(f"peer id: {text!r} has a character outside a-z and 2-7") from None
    if peer_id_text(public) != text.lower():
        raise ValueError(f"peer id: the last 4 bits of {text!r} are not zero")
    return public
