"""The Noise handshakes XX and XXpsk0 with X25519 and SHA-256, from the framework's text (revision 34)."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

MAX_NONCE: Final = (1 << 64) - 1
NAMES: Final = {
    1: b"Noise_XX_25519_AESGCM_SHA256",
    2: b"Noise_XX_25519_ChaChaPoly_SHA256",
    3: b"Noise_XXpsk0_25519_AESGCM_SHA256",
}
"""Suite -> the name of the protocol."""


class Undecryptable(Exception):
    """A ciphertext that does not decrypt."""


class Cipher:
    """A key and a counter (Noise, 5.1)."""

    def __init__(self, suite: int, key: bytes | None = None) -> None:
        self.suite = suite
        self.key = key
        self.n = 0
        self._made: tuple[bytes, AESGCM | ChaCha20Poly1305] | None = None

    def _aead(self) -> AESGCM | ChaCha20Poly1305:
        """Made once for a key: a case may seal tens of thousands of records with one."""
        assert self.key is not None
        if self._made is None or self._made[0] != self.key:
            self._made = self.key, ChaCha20Poly1305(self.key) if self.suite == 2 else AESGCM(self.key)
        return self._made[1]

    def nonce(self, n: int) -> bytes:
        """The 12 bytes of a counter."""
        return bytes(4) + n.to_bytes(8, "little" if self.suite == 2 else "big")

    def encrypt(self, ad: bytes, plaintext: bytes) -> bytes:
        """Noise's EncryptWithAd."""
        if self.key is None:
            return plaintext
        sealed = self._aead().encrypt(self.nonce(self.n), plaintext, ad)
        self.n += 1
        return sealed

    def decrypt(self, ad: bytes, sealed: bytes) -> bytes:
        """Noise's DecryptWithAd. Raises `Undecryptable`."""
        if self.key is None:
            return sealed
        try:
            plaintext = self._aead().decrypt(self.nonce(self.n), sealed, ad)
        except InvalidTag:
            raise Undecryptable(f"{len(sealed)} bytes with n = {self.n}") from None
        self.n += 1
        return plaintext

    def rekey(self) -> None:
        """Noise's REKEY."""
        self.key = self._aead().encrypt(self.nonce(MAX_NONCE), bytes(32), b"")[:32]


def _hkdf(chaining_key: bytes, material: bytes, outputs: int) -> list[bytes]:
    temp = hmac.digest(chaining_key, material, "sha256")
    found: list[bytes] = []
    last = b""
    for number in range(1, outputs + 1):
        last = hmac.digest(temp, last + bytes([number]), "sha256")
        found.append(last)
    return found


class KeyPair:
    """An X25519 key pair. For a peer with a bug: `public` may be other bytes than belong to it, and with `zero` every
    result is zero, as it is on the other side if those bytes are a key of low order."""

    def __init__(self, seed: bytes, public: bytes | None = None, *, zero: bool = False) -> None:
        self.private = X25519PrivateKey.from_private_bytes(seed)
        self._zero = zero
        self.public = self.private.public_key().public_bytes_raw() if public is None else public

    def shared(self, other: bytes) -> bytes:
        """The result of Diffie-Hellman. Zero where the library refuses it, as a careless peer would have it."""
        if self._zero:
            return bytes(32)
        try:
            return self.private.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:
            return bytes(32)


class Handshake:
    """One side of one handshake, message by message; `h` and `ck` may be looked at and spoiled between them."""

    def __init__(
        self, suite: int, prologue: bytes, static: KeyPair, ephemeral: KeyPair, *, initiator: bool, psk: bytes = b""
    ) -> None:
        name = NAMES[suite]
        self.h = name.ljust(32, b"\0") if len(name) <= 32 else hashlib.sha256(name).digest()
        self.ck = self.h
        self.cipher = Cipher(suite)
        self.suite = suite
        self.initiator = initiator
        self.static = static
        self.ephemeral = ephemeral
        self.remote_static = b""
        self.remote_ephemeral = b""
        self._psk = psk if suite == 3 else b""
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        """Noise's MixHash."""
        self.h = hashlib.sha256(self.h + data).digest()

    def mix_key(self, material: bytes) -> None:
        """Noise's MixKey."""
        self.ck, key = _hkdf(self.ck, material, 2)
        self.cipher = Cipher(self.suite, key)

    def _mix_psk(self) -> None:
        self.ck, temp, key = _hkdf(self.ck, self._psk, 3)
        self.mix_hash(temp)
        self.cipher = Cipher(self.suite, key)

    def encrypt(self, plaintext: bytes) -> bytes:
        """Noise's EncryptAndHash."""
        sealed = self.cipher.encrypt(self.h, plaintext)
        self.mix_hash(sealed)
        return sealed

    def decrypt(self, sealed: bytes) -> bytes:
        """Noise's DecryptAndHash."""
        plaintext = self.cipher.decrypt(self.h, sealed)
        self.mix_hash(sealed)
        return plaintext

    def _mix_ephemeral(self, public: bytes) -> None:
        self.mix_hash(public)
        if self._psk:
            self.mix_key(public)

    # --- message 1 ---

    def write_1(self, payload: bytes = b"") -> bytes:
        """-> e, or -> psk, e."""
        if self._psk:
            self._mix_psk()
        self._mix_ephemeral(self.ephemeral.public)
        return self.ephemeral.public + self.encrypt(payload)

    def read_1(self, message: bytes) -> bytes:
        """The payload, which is to be empty."""
        if self._psk:
            self._mix_psk()
        self.remote_ephemeral = message[:32]
        self._mix_ephemeral(self.remote_ephemeral)
        return self.decrypt(message[32:])

    # --- message 2; its payload is encrypted apart, since it signs h ---

    def begin_2(self) -> bytes:
        """<- e, ee, s, es."""
        self._mix_ephemeral(self.ephemeral.public)
        self.mix_key(self.ephemeral.shared(self.remote_ephemeral))
        sealed = self.encrypt(self.static.public)
        self.mix_key(self.static.shared(self.remote_ephemeral))
        return self.ephemeral.public + sealed

    def read_2(self, message: bytes) -> tuple[bytes, bytes]:
        """(payload, the h that it signs)."""
        self.remote_ephemeral = message[:32]
        self._mix_ephemeral(self.remote_ephemeral)
        self.mix_key(self.ephemeral.shared(self.remote_ephemeral))
        self.remote_static = self.decrypt(message[32:80])
        self.mix_key(self.ephemeral.shared(self.remote_static))
        signed = self.h
        return self.decrypt(message[80:]), signed

    # --- message 3 ---

    def begin_3(self) -> bytes:
        """-> s, se."""
        sealed = self.encrypt(self.static.public)
        self.mix_key(self.static.shared(self.remote_ephemeral))
        return sealed

    def read_3(self, message: bytes) -> tuple[bytes, bytes]:
        """(payload, the h that it signs)."""
        self.remote_static = self.decrypt(message[:48])
        self.mix_key(self.ephemeral.shared(self.remote_static))
        signed = self.h
        return self.decrypt(message[48:]), signed

    def split(self) -> tuple[Cipher, Cipher]:
        """(of records from the initiator, of records from the responder)."""
        one, two = _hkdf(self.ck, b"", 2)
        return Cipher(self.suite, one), Cipher(self.suite, two)
