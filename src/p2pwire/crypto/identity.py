"""Identities: Ed25519 keys (RFC 8032), what they sign, which of them count, and how people write them.

An identity is its 32-byte public key. Everything signed is `"p2pwire/1 " purpose 00 | content`, so that a signature
made for one purpose serves no other.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from p2pwire.wire.keys import NAME_SIZE, decode_name, encode_name, is_acceptable_key, is_identity
from p2pwire.wire.registry import PROTOCOL_NAME

if TYPE_CHECKING:
    from p2pwire.wire.messages import Buffer

IDENTITY_SIZE: Final = NAME_SIZE
"""bytes of an identity, and of the seed that it is made from."""

SIGNATURE_SIZE: Final = 64
"""bytes of a signature."""


class Purpose(bytes, Enum):
    """What a signature is for, under the name that it has in the signed text."""

    HANDSHAKE_INITIATOR = b"handshake-initiator"
    HANDSHAKE_RESPONDER = b"handshake-responder"
    PEER_RECORD = b"peer-record"


def signed_text(purpose: Purpose, content: Buffer) -> bytes:
    """The bytes that a signature of `content` for `purpose` signs."""
    return b"".join((PROTOCOL_NAME, b" ", purpose, b"\0", content))


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
    return encode_name(public)


def parse_peer_id(text: str) -> bytes:
    """The identity that `peer_id_text` wrote; upper case is read too.

    Raises ValueError for another length, other characters, last bits that are not zero, or a key that counts for
    nothing.
    """
    try:
        public = decode_name(text)
    except ValueError as error:
        raise ValueError(f"peer id: {text!r} {error}") from None
    if not is_identity(public):
        raise ValueError(f"peer id: {text!r} is a key under which anyone can sign, or nobody")
    return public
