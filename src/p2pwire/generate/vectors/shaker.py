"""A handshake from the text of the Noise framework and SPEC.md alone, which can also be done wrong on purpose."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

import attrs
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from p2pwire.generate.vectors.ciphers import Sealer
from p2pwire.wire.registry import PROTOCOL_NAME, Suite

NAMES: Final = {
    Suite.XX_AESGCM: "Noise_XX_25519_AESGCM_SHA256",
    Suite.XX_CHACHAPOLY: "Noise_XX_25519_ChaChaPoly_SHA256",
    Suite.XXPSK0_AESGCM: "Noise_XXpsk0_25519_AESGCM_SHA256",
}


def hkdf(key: bytes, material: bytes, count: int) -> list[bytes]:
    """Noise's HKDF."""
    temp, last = hmac.digest(key, material, "sha256"), b""
    found = []
    for number in range(count):
        last = hmac.digest(temp, last + bytes((number + 1,)), "sha256")
        found.append(last)
    return found


def psk_of(secret: bytes) -> bytes:
    """The key of a private network: HKDF with an empty salt and an info (RFC 5869), 32 bytes."""
    return hmac.digest(hmac.digest(bytes(32), secret, "sha256"), PROTOCOL_NAME + b" psk\x01", "sha256")


def prologue_of(offer: bytes, binding: bytes) -> bytes:
    """What both sides have to agree on before the first message."""
    return PROTOCOL_NAME + b"\0" + offer + len(binding).to_bytes(2, "big") + binding


@attrs.frozen
class KeyPair:
    """An X25519 key; `shown` are other bytes than its public key, with which every result is zero."""

    private: bytes
    shown: bytes | None = None

    @property
    def public(self) -> bytes:
        """What is sent."""
        own = X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()
        return own if self.shown is None else self.shown

    def shared(self, other: bytes) -> bytes:
        """The result of Diffie-Hellman; zero where the library refuses it."""
        if self.shown is not None:
            return bytes(32)
        try:
            return X25519PrivateKey.from_private_bytes(self.private).exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:
            return bytes(32)


class Shaker:
    """One side; messages are written and read in turn. `h` and the keys may be looked at at any time."""

    def __init__(
        self, suite: Suite, prologue: bytes, static: KeyPair, ephemeral: KeyPair, *, initiator: bool, psk: bytes | None
    ) -> None:
        name = NAMES[suite].encode()
        self.suite = suite
        self.h = name.ljust(32, b"\0") if len(name) <= 32 else sha256(name).digest()
        self.ck = self.h
        self.static, self.ephemeral = static, ephemeral
        self.psk = psk
        self.initiator = initiator
        self.remote_static = self.remote_ephemeral = b""
        self._sealer: Sealer | None = None
        self._mix_hash(prologue)

    def _mix_hash(self, data: bytes) -> None:
        self.h = sha256(self.h + data).digest()

    def _mix_key(self, material: bytes) -> None:
        self.ck, key = hkdf(self.ck, material, 2)
        self._sealer = Sealer(self.suite, key, 0)

    def _encrypt(self, plaintext: bytes) -> bytes:
        sealed = plaintext
        if self._sealer is not None:
            sealed = self._sealer.encrypt_with(self._sealer.n, plaintext, self.h)
            self._sealer.n += 1
        self._mix_hash(sealed)
        return sealed

    def _decrypt(self, sealed: bytes) -> bytes:
        plaintext = sealed
        if self._sealer is not None:
            plaintext = self._sealer.decrypt_with(self._sealer.n, sealed, self.h)
            self._sealer.n += 1
        self._mix_hash(sealed)
        return plaintext

    def _mix_ephemeral(self, public: bytes) -> None:
        self._mix_hash(public)
        if self.psk is not None:
            self._mix_key(public)

    def _mix_psk(self) -> None:
        if self.psk is not None:
            self.ck, temp, key = hkdf(self.ck, self.psk, 3)
            self._mix_hash(temp)
            self._sealer = Sealer(self.suite, key, 0)

    # --- writing: all before the payload, then the payload ---

    def begin(self, number: int) -> bytes:
        """Message 1, 2 or 3 without its payload; `h` is then what the payload signs."""
        if number == 3:
            sealed = self._encrypt(self.static.public)
            self._mix_key(self.static.shared(self.remote_ephemeral))
            return sealed
        if number == 1:
            self._mix_psk()
        self._mix_ephemeral(self.ephemeral.public)
        if number == 1:
            return self.ephemeral.public
        self._mix_key(self.ephemeral.shared(self.remote_ephemeral))
        sealed = self._encrypt(self.static.public)
        self._mix_key(self.static.shared(self.remote_ephemeral))
        return self.ephemeral.public + sealed

    def finish(self, payload: bytes) -> bytes:
        """The payload as it is sent."""
        return self._encrypt(payload)

    # --- reading ---

    def read(self, number: int, message: bytes) -> tuple[bytes, bytes]:
        """(payload, h before it). Raises `InvalidTag`."""
        if number == 3:
            self.remote_static = self._decrypt(message[:48])
            self._mix_key(self.ephemeral.shared(self.remote_static))
            h = self.h
            return self._decrypt(message[48:]), h
        if number == 1:
            self._mix_psk()
        self.remote_ephemeral = message[:32]
        self._mix_ephemeral(self.remote_ephemeral)
        if number == 1:
            return self._decrypt(message[32:]), self.h
        self._mix_key(self.ephemeral.shared(self.remote_ephemeral))
        self.remote_static = self._decrypt(message[32:80])
        self._mix_key(self.ephemeral.shared(self.remote_static))
        h = self.h
        return self._decrypt(message[80:]), h

    def split(self) -> list[bytes]:
        """The keys of records from the initiator and from the responder."""
        return hkdf(self.ck, b"", 2)
