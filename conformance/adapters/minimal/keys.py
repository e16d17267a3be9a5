"""Proofs of identity, peer records, and Noise_XX_25519_AESGCM_SHA256."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

REKEY_AFTER: Final = 65536
"""records between two keys."""
FIELD: Final = 2**255 - 19
SMALL_ORDER: Final = {0, 1, FIELD - 1} | {
    int.from_bytes(bytes.fromhex(text), "little") & ((1 << 255) - 1)
    for text in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
}


class SilentError(Exception):
    """The carrier is to be closed without a word."""


def signed(purpose: str, content: bytes) -> bytes:
    """The text under a signature."""
    return b"p2pwire/1 " + purpose.encode() + b"\0" + content


def acceptable(identity: bytes) -> bool:
    """Whether an identity may be used; whether it is a point at all shows when a signature is verified."""
    y = int.from_bytes(identity, "little") & ((1 << 255) - 1)
    return y < FIELD and y not in SMALL_ORDER


def verified(identity: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is right."""
    try:
        Ed25519PublicKey.from_public_bytes(identity).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def own_record(seed: bytes, addresses: Sequence[str], unix_time: int) -> bytes:
    """A peer record with these addresses, `IPv4:port` each, good for an hour."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    record = b"\x01" + key.public_key().public_bytes_raw() + unix_time.to_bytes(8, "big") + (3600).to_bytes(4, "big")
    record += bytes([0, len(addresses)])
    for host, _, port in (address.rpartition(":") for address in addresses):
        record += b"\x01\x06" + bytes(map(int, host.split("."))) + int(port).to_bytes(2, "big")
    return record + key.sign(signed("peer-record", record))


def derive(chaining_key: bytes, material: bytes) -> tuple[bytes, bytes]:
    """Noise HKDF with two outputs."""
    key = hmac.digest(chaining_key, material, "sha256")
    first = hmac.digest(key, b"\x01", "sha256")
    return first, hmac.digest(key, first + b"\x02", "sha256")


class Cipher:
    """One direction's key and counter."""

    def __init__(self, key: bytes) -> None:
        self.key, self.n = AESGCM(key), 0

    def _nonce(self) -> bytes:
        self.n += 1
        return (self.n - 1).to_bytes(12, "big")

    def seal(self, plaintext: bytes, ad: bytes = b"") -> bytes:
        """Encrypt."""
        return self.key.encrypt(self._nonce(), plaintext, ad)

    def open(self, ciphertext: bytes, ad: bytes = b"") -> bytes:
        """Decrypt. Raises `SilentError`."""
        try:
            return self.key.decrypt(self._nonce(), ciphertext, ad)
        except InvalidTag:
            raise SilentError("does not decrypt") from None

    def rekey_when_due(self) -> None:
        """Replace the key after every 65536th record."""
        if self.n % REKEY_AFTER == 0:
            self.key = AESGCM(self.key.encrypt(b"\0" * 4 + b"\xff" * 8, bytes(32), b"")[:32])


class Noise:
    """The symmetric state of Noise_XX_25519_AESGCM_SHA256."""

    def __init__(self, prologue: bytes) -> None:
        self.h = self.ck = b"Noise_XX_25519_AESGCM_SHA256".ljust(32, b"\0")
        self.cipher: Cipher | None = None
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        """MixHash()."""
        self.h = hashlib.sha256(self.h + data).digest()

    def mix_key(self, own: X25519PrivateKey, other: bytes) -> None:
        """MixKey() of a Diffie-Hellman result, which must not be zero."""
        try:
            shared = own.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:
            raise SilentError("a key of low order") from None
        self.ck, key = derive(self.ck, shared)
        self.cipher = Cipher(key)

    def seal(self, plaintext: bytes) -> bytes:
        """EncryptAndHash()."""
        sealed = plaintext if self.cipher is None else self.cipher.seal(plaintext, self.h)
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        """DecryptAndHash()."""
        plaintext = sealed if self.cipher is None else self.cipher.open(sealed, self.h)
        self.mix_hash(sealed)
        return plaintext

    def split(self) -> tuple[Cipher, Cipher]:
        """Split(): the initiator's records, the responder's records."""
        first, second = derive(self.ck, b"")
        return Cipher(first), Cipher(second)
