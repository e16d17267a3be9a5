"""Identities, signatures, names and caps: everything that hangs on the protocol's name."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from p2pwire_conformance.protocol import constant

GROUP_ORDER: Final = (1 << 252) + 27742317777372353535851937790883648493

SMALL_ORDER_Y: Final = (
    bytes(32),
    (1).to_bytes(32, "little"),
    ((1 << 255) - 20).to_bytes(32, "little"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
)
"""The encodings of Ed25519 points of small order, the sign bit clear."""

LOW_ORDER_X25519: Final = (
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    ((1 << 255) - 20).to_bytes(32, "little"),
    ((1 << 255) - 19).to_bytes(32, "little"),
    ((1 << 255) - 18).to_bytes(32, "little"),
)
"""The X25519 public keys for which every result is zero (RFC 7748, section 6.1)."""


def labelled(purpose: str) -> bytes:
    """The beginning of every signed or hashed text: the protocol's name, the purpose and a zero byte."""
    return bytes.fromhex(constant("PROTOCOL_NAME")) + b" " + purpose.encode() + b"\0"


def digest(purpose: str, *parts: bytes) -> bytes:
    """SHA-256 of a labelled text."""
    return hashlib.sha256(labelled(purpose) + b"".join(parts)).digest()


class Identity:
    """An Ed25519 key from a name; the same name gives the same key."""

    def __init__(self, name: str) -> None:
        self.seed = hashlib.sha256(f"p2pwire-conformance {name}".encode()).digest()
        self._key = Ed25519PrivateKey.from_private_bytes(self.seed)
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, purpose: str, content: bytes) -> bytes:
        """A signature over a labelled text."""
        return self._key.sign(labelled(purpose) + content)


def verify(public: bytes, purpose: str, content: bytes, signature: bytes) -> bool:
    """Whether a signature over a labelled text is right."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, labelled(purpose) + content)
    except (InvalidSignature, ValueError):
        return False
    return True


def high_s(signature: bytes) -> bytes:
    """The same signature with the group order added to its S, as a malleable verifier would take it."""
    s = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    return signature[:32] + s.to_bytes(32, "little")


def psk_of(secret: bytes) -> bytes:
    """The key of a private network."""
    info = bytes.fromhex(constant("PROTOCOL_NAME")) + b" psk"
    return HKDF(algorithm=SHA256(), length=32, salt=b"", info=info).derive(secret)


def oid_of(kind: int, length: int, root: bytes) -> bytes:
    """An object's id."""
    return digest("object", bytes([kind]), length.to_bytes(8, "big"), root)


def topic_of(oid: bytes) -> bytes:
    """The name under which peers meet."""
    return digest("topic", oid)


def cap_of(oid: bytes, handshake_hash: bytes, *, initiator: bool) -> bytes:
    """The proof that its sender knows the oid."""
    return hmac.digest(oid, labelled("cap") + (b"I" if initiator else b"R") + handshake_hash, "sha256")


def base32(data: bytes) -> str:
    """As in URIs."""
    return base64.b32encode(data).decode().rstrip("=").lower()


def leaks(text: str, *secrets: bytes) -> str:
    """What a text has that nobody is to read: a secret in one of the usual spellings, or a name of this machine."""
    names = [socket.gethostname(), os.environ.get("USER", ""), os.path.expanduser("~")]
    names = [name for name in names if len(name) > 4]
    spelled = [s for one in secrets for s in (one.hex(), base64.b64encode(one).decode(), _base32(one), repr(one)[2:-1])]
    return next((found for found in (*spelled, *names) if found.casefold() in text.casefold()), "")


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")
