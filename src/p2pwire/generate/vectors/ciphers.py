"""Records as a sender with a given key and number makes them, written down from the Noise framework's text alone."""

from __future__ import annotations

from typing import Final

import attrs
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from p2pwire.wire.registry import REKEY_INTERVAL, Suite

LAST: Final = 2**64 - 1
KEY: Final = bytes(range(0xA0, 0xC0))
OTHER_KEY: Final = bytes(range(0x40, 0x60))


@attrs.define
class Sealer:
    """One direction: the key of the next record, and its number."""

    suite: Suite
    key: bytes
    n: int

    def seal(self, plaintext: bytes) -> bytes:
        """The next record, with its length; the key changes when it is due [EN-011]."""
        sealed = self.encrypt(self.n, plaintext)
        self.n += 1
        if self.n % REKEY_INTERVAL == 0:
            self.key = self.rekeyed()
        return record(sealed)

    def encrypt(self, n: int, plaintext: bytes) -> bytes:
        """The ciphertext under a number."""
        return self.encrypt_with(n, plaintext, b"")

    def encrypt_with(self, n: int, plaintext: bytes, ad: bytes) -> bytes:
        """The same, with what is authenticated beside."""
        return self._aead.encrypt(self._nonce(n), plaintext, ad)

    def decrypt_with(self, n: int, sealed: bytes, ad: bytes) -> bytes:
        """Back again. Raises `InvalidTag`."""
        return self._aead.decrypt(self._nonce(n), sealed, ad)

    @property
    def _aead(self) -> AESGCM | ChaCha20Poly1305:
        return ChaCha20Poly1305(self.key) if self.suite is Suite.XX_CHACHAPOLY else AESGCM(self.key)

    def _nonce(self, n: int) -> bytes:
        return bytes(4) + n.to_bytes(8, "little" if self.suite is Suite.XX_CHACHAPOLY else "big")

    def rekeyed(self) -> bytes:
        """REKEY(k)."""
        return self.encrypt(LAST, bytes(32))[:32]


def record(sealed: bytes) -> bytes:
    """A ciphertext behind its length."""
    return len(sealed).to_bytes(2, "big") + sealed


def frame(frame_type: int, body: bytes = b"") -> bytes:
    """A frame of any type and body."""
    return bytes((frame_type,)) + len(body).to_bytes(2, "big") + body
