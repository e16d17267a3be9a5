"""The Noise handshakes of the suites, XX and XXpsk0, and the ciphers that they end in.

Source: The Noise Protocol Framework, revision 34. The names are that document's: h, ck, k and n; e and s for the
ephemeral and static keys; MixHash, MixKey, EncryptAndHash and so on. Nothing here makes a random number: the caller
brings seeds, fresh ones for every handshake.

The remote's faults raise HandshakeFailed and DecryptionFailed; everything else raised is the caller's own mistake.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from p2pwire.wire.registry import MAX_HANDSHAKE_MESSAGE, PROTOCOL_NAME, RECORD_TAG, Suite

if TYPE_CHECKING:
    from p2pwire.wire.messages import Buffer

KEY_SIZE: Final = 32
"""bytes of a key, a seed, a hash and a Diffie-Hellman result in every suite."""

LAST_NONCE: Final = 2**64 - 1
"""The nonce that Noise keeps for REKEY; no message may use it."""


class HandshakeFailed(Exception):
    """The remote's message cannot be accepted; this handshake is over. `str()` says why."""


class DecryptionFailed(Exception):
    """The tag does not fit: a changed, reordered or foreign ciphertext, or another key."""


class HandshakeOrderError(RuntimeError):
    """The caller asked for a step whose turn it is not; the handshake is as it was."""


class NonceExhaustedError(RuntimeError):
    """2^64-1 messages under one cipher: the caller should have ended long ago."""


@attrs.frozen
class _Cipher:
    """An AEAD and how it lays out its nonce: 4 zero bytes, then n as u64."""

    aead: type[AESGCM] | type[ChaCha20Poly1305]
    nonce: struct.Struct


_AESGCM: Final = _Cipher(AESGCM, struct.Struct(">4xQ"))
_CHACHAPOLY: Final = _Cipher(ChaCha20Poly1305, struct.Struct("<4xQ"))


MESSAGES: Final = 3
"""messages of a handshake, in both patterns."""


@attrs.frozen
class _Noise:
    """What a suite's name stands for."""

    name: bytes
    cipher: _Cipher
    sizes: tuple[int, ...]  # bytes of each message with an empty payload, tags included
    psk: bool


_SUITES: Final = {
    Suite.XX_AESGCM: _Noise(b"Noise_XX_25519_AESGCM_SHA256", _AESGCM, (32, 96, 64), psk=False),
    Suite.XX_CHACHAPOLY: _Noise(b"Noise_XX_25519_ChaChaPoly_SHA256", _CHACHAPOLY, (32, 96, 64), psk=False),
    Suite.XXPSK0_AESGCM: _Noise(b"Noise_XXpsk0_25519_AESGCM_SHA256", _AESGCM, (48, 96, 64), psk=True),
}


_FIELD_PRIME: Final = 2**255 - 19

_SHA256: Final = SHA256()

_BLOCKS: Final = tuple(struct.Struct(f"{KEY_SIZE}s" * blocks) for blocks in range(4))
"""How so many keys lie one behind the other."""

_LOW_ORDER: Final = frozenset(
    (u | top).to_bytes(KEY_SIZE, "little")
    for u in (
        0,
        1,
        _FIELD_PRIME - 1,
        _FIELD_PRIME,
        _FIELD_PRIME + 1,
        0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
        0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
    )
    for top in (0, 2**255)
)
"""The keys whose u coordinate, on Curve25519 or on its twist, has an order that divides 8: every private key takes them
to zero. RFC 7748: the top bit is ignored, and a coordinate of 2^255-19 or more stands for its remainder."""


def hkdf(salt: bytes, key_material: bytes, info: bytes, blocks: int) -> tuple[bytes, ...]:
    """HKDF-SHA256 (RFC 5869), its output cut into `blocks` pieces of 32 bytes. Noise's HKDF is this with no `info`."""
    # One call into the library: an HMAC for each block takes twice as long, and a handshake has eight of these.
    output = HKDF(_SHA256, blocks * KEY_SIZE, salt, info).derive(key_material)
    return _BLOCKS[blocks].unpack(output)


def derive_psk(secret: bytes) -> bytes:
    """The 32-byte pre-shared key of a private network, from the secret that its members share.

    Raises ValueError for an empty secret, which everybody shares.
    """
    if not secret:
        raise ValueError("network secret: it has 0 bytes; an empty secret protects nothing")
    return hkdf(b"", secret, PROTOCOL_NAME + b" psk", 1)[0]


@attrs.define(eq=False, init=False)
class CipherState:
    """One direction's cipher: a key and the count of messages so far.

    `n` counts up by one with each message that succeeds and goes on over `rekey()`; a failure leaves it as it was.
    """

    suite: Suite
    n: int
    _cipher: _Cipher = attrs.field(repr=False)
    _aead: AESGCM | ChaCha20Poly1305 = attrs.field(repr=False)

    def __init__(self, suite: Suite, key: bytes) -> None:
        """`key` is 32 bytes long, else ValueError."""
        _check_size("key", key)
        self.suite = suite
        self.n = 0
        self._cipher = _SUITES[suite].cipher
        self._aead = self._cipher.aead(key)

    def encrypt_into(self, plaintext: Buffer, out: bytearray | memoryview) -> None:
        """Write the ciphertext and its 16-byte tag to `out`, which is where `plaintext` is or does not overlap it.

        Raises ValueError unless len(out) == len(plaintext) + 16.
        """
        self._aead.encrypt_into(self._nonce(), plaintext, None, out)
        self.n += 1

    def encrypt(self, plaintext: Buffer, ad: bytes = b"") -> bytes:
        """The ciphertext and its 16-byte tag; `ad` is authenticated with it and not sent."""
        ciphertext = self._aead.encrypt(self._nonce(), plaintext, ad)
        self.n += 1
        return ciphertext

    def decrypt(self, ciphertext: Buffer, ad: bytes = b"") -> bytes:
        """The plaintext; DecryptionFailed if the tag does not fit or is not even there."""
        try:
            plaintext = self._aead.decrypt(self._nonce(), ciphertext, ad)
        except InvalidTag:
            # `from None`: the library's exception has nothing to add.
            raise DecryptionFailed(f"message {self.n}: the tag of {len(ciphertext)} bytes does not fit") from None
        self.n += 1
        return plaintext

    def rekey(self) -> None:
        """Replace the key by REKEY(k): the first 32 bytes of 32 zeros encrypted under the last nonce. `n` stays."""
        nonce = self._cipher.nonce.pack(LAST_NONCE)
        self._aead = self._cipher.aead(self._aead.encrypt(nonce, bytes(KEY_SIZE), None)[:KEY_SIZE])

    def _nonce(self) -> bytes:
        n = self.n
        if n >= LAST_NONCE:
            raise NonceExhaustedError(f"message {n}: the last one under a cipher is {LAST_NONCE - 1}")
        return self._cipher.nonce.pack(n)


@attrs.define(eq=False, init=False)
class _SymmetricState:
    """Noise's SymmetricState: everything said so far (h), and everything secret so far (ck and a cipher)."""

    h: bytes
    _suite: Suite
    _ck: bytes = attrs.field(repr=False)
    _cipher: CipherState | None

    def __init__(self, suite: Suite, name: bytes, prologue: bytes) -> None:
        # A name of at most 32 bytes is padded with zeros, a longer one hashed.
        self.h = self._ck = name.ljust(KEY_SIZE, b"\0") if len(name) <= KEY_SIZE else sha256(name).digest()
        self._suite = suite
        self._cipher = None
        self.mix_hash(prologue)

    def mix_hash(self, data: bytes) -> None:
        self.h = sha256(self.h + data).digest()

    def mix_key(self, key_material: bytes) -> None:
        self._ck, key = hkdf(self._ck, key_material, b"", 2)
        self._cipher = CipherState(self._suite, key)

    def mix_key_and_hash(self, key_material: bytes) -> None:
        self._ck, mixed, key = hkdf(self._ck, key_material, b"", 3)
        self.mix_hash(mixed)
        self._cipher = CipherState(self._suite, key)

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        ciphertext = plaintext if self._cipher is None else self._cipher.encrypt(plaintext, self.h)
        self.h = sha256(self.h + ciphertext).digest()
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        """Raises DecryptionFailed and then changes nothing."""
        plaintext = ciphertext if self._cipher is None else self._cipher.decrypt(ciphertext, self.h)
        self.h = sha256(self.h + ciphertext).digest()
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        """The ciphers of the initiator's and the responder's messages; the secrets that led to them are forgotten."""
        first, second = hkdf(self._ck, b"", b"", 2)
        self._ck = b""
        self._cipher = None
        return CipherState(self._suite, first), CipherState(self._suite, second)


@attrs.frozen(eq=False, repr=False)
class StaticKey:
    """A static key of one's own for many handshakes of one process, which is never stored [HS-020] [HS-021]. To make
    it anew for each handshake takes a tenth of the handshake's time."""

    private: X25519PrivateKey
    public: bytes

    @classmethod
    def from_seed(cls, seed: bytes) -> StaticKey:
        """The key of 32 random bytes. ValueError for another size."""
        _check_size("static_seed", seed)
        private = X25519PrivateKey.from_private_bytes(seed)
        return cls(private, private.public_key().public_bytes_raw())


@attrs.define(eq=False, init=False)
class NoiseHandshake:
    """One side of one handshake of three messages, of which the initiator writes the first and the last.

    A message is written in two steps, so that its payload can sign what it is sent in: `begin_message()` gives h as it
    is just before the payload, `finish_message(payload)` the message. `read_message` gives the payload and the same h.
    After the third message `complete` is true, and `split()` gives the two ciphers, once.

    Steps out of turn raise HandshakeOrderError. Once HandshakeFailed was raised every step does.
    """

    suite: Suite
    initiator: bool
    _noise: _Noise = attrs.field(repr=False)
    _symmetric: _SymmetricState = attrs.field(repr=False)
    _static: StaticKey = attrs.field(repr=False)
    _ephemeral: X25519PrivateKey = attrs.field(repr=False)
    _psk: bytes | None = attrs.field(repr=False)
    _remote_ephemeral: X25519PublicKey | None = attrs.field(repr=False)
    _done: int = attrs.field(repr=False)  # messages written and read
    _begun: bytes | None = attrs.field(repr=False)  # the tokens of a message that waits for its payload
    _failed: bool
    _split: bool = attrs.field(repr=False)

    def __init__(
        self,
        *,
        initiator: bool,
        suite: Suite,
        prologue: bytes,
        static_seed: bytes | StaticKey,
        ephemeral_seed: bytes,
        psk: bytes | None,
    ) -> None:
        """The seeds are 32 random bytes each; the ephemeral one serves this handshake alone. In place of the static one
        there may be the key itself.

        `psk` is 32 bytes for a suite that has one and None for the others. Raises ValueError for anything else.
        """
        noise = _SUITES[suite]
        if noise.psk != (psk is not None):
            raise ValueError(f"psk: suite {suite.name} {'needs one' if noise.psk else 'has none'}")
        _check_size("ephemeral_seed", ephemeral_seed)
        if psk is not None:
            _check_size("psk", psk)
        self.suite = suite
        self.initiator = initiator
        self._noise = noise
        self._symmetric = _SymmetricState(suite, noise.name, prologue)
        self._static = static_seed if isinstance(static_seed, StaticKey) else StaticKey.from_seed(static_seed)
        self._ephemeral = X25519PrivateKey.from_private_bytes(ephemeral_seed)
        self._psk = psk
        self._remote_ephemeral = None
        self._done = 0
        self._begun = None
        self._failed = self._split = False

    @property
    def complete(self) -> bool:
        """Whether all three messages were written and read."""
        return self._done == MESSAGES

    @property
    def handshake_hash(self) -> bytes:
        """The final h: 32 bytes that name this session, the same on both sides. HandshakeOrderError before the end."""
        if not self.complete:
            raise HandshakeOrderError(f"handshake_hash: message {self._done + 1} is still to come")
        return self._symmetric.h

    def begin_message(self) -> tuple[bytes, bytes]:
        """Write the next message up to its payload: those bytes, and h just before the payload."""
        self._check_turn("begin_message", write=True)
        if self._begun is not None:
            raise HandshakeOrderError("begin_message: finish_message comes next")
        begun = self._begun = _WRITERS[self._done](self)
        return begun, self._symmetric.h

    def finish_message(self, payload: bytes) -> bytes:
        """The whole message, with its payload. ValueError if it would be longer than a message may be."""
        begun = self._begun
        if begun is None:
            self._check_turn("finish_message", write=True)
            raise HandshakeOrderError("finish_message: begin_message comes first")
        size = self._noise.sizes[self._done] + len(payload)
        if size > MAX_HANDSHAKE_MESSAGE:
            raise ValueError(f"payload: a message of {size} bytes is over the limit of {MAX_HANDSHAKE_MESSAGE}")
        message = begun + self._symmetric.encrypt_and_hash(payload)
        self._begun = None
        self._done += 1
        return message

    def read_message(self, message: Buffer) -> tuple[bytes, bytes]:
        """Read the next message, whole: its payload, and h just before the payload.

        Raises HandshakeFailed if the message is too short or too long, a key has a low order, or a tag does not fit.
        """
        self._check_turn("read_message", write=False)
        size, least = len(message), self._noise.sizes[self._done]
        if not least <= size <= MAX_HANDSHAKE_MESSAGE:
            raise self._fail(f"{size} bytes instead of {least} to {MAX_HANDSHAKE_MESSAGE}")
        try:
            sealed = _READERS[self._done](self, bytes(message))
            h = self._symmetric.h
            payload = self._symmetric.decrypt_and_hash(sealed)
        except DecryptionFailed:
            raise self._fail("a tag does not fit") from None
        self._done += 1
        return payload, h

    def split(self) -> tuple[CipherState, CipherState]:
        """The ciphers for sending and for receiving. A second call would reuse nonces: HandshakeOrderError."""
        if not self.complete or self._split:
            raise HandshakeOrderError(f"split: {'it was called before' if self._split else 'the handshake goes on'}")
        self._split = True
        of_initiator, of_responder = self._symmetric.split()
        return (of_initiator, of_responder) if self.initiator else (of_responder, of_initiator)

    def _check_turn(self, step: str, *, write: bool) -> None:
        if self._failed:
            raise HandshakeOrderError(f"{step}: the handshake has failed")
        if self._done == MESSAGES:
            raise HandshakeOrderError(f"{step}: the handshake is complete")
        # The initiator writes messages 0 and 2, the responder message 1.
        if write != ((self._done % 2 == 0) == self.initiator):
            raise HandshakeOrderError(f"{step}: it is {'the other side' if write else 'this side'} that writes now")

    # What each message does before its payload: in the names of Noise `psk`, `e`, `s`, `ee`, `es`, `se`.

    def _write_1(self) -> bytes:
        """(psk) e"""
        self._mix_psk()
        return self._write_ephemeral()

    def _read_1(self, message: bytes) -> bytes:
        """The sealed payload."""
        self._mix_psk()
        return self._read_ephemeral(message)

    def _write_2(self) -> bytes:
        """e, ee, s, es"""
        begun = self._write_ephemeral()
        self._mix_secret(self._ephemeral, self._remote_ephemeral)
        begun += self._symmetric.encrypt_and_hash(self._static.public)
        self._mix_secret(self._static.private, self._remote_ephemeral)
        return begun

    def _read_2(self, message: bytes) -> bytes:
        """The sealed payload."""
        rest = self._read_ephemeral(message)
        self._mix_secret(self._ephemeral, self._remote_ephemeral)
        static, sealed = self._read_static(rest)
        self._mix_secret(self._ephemeral, static)
        return sealed

    def _write_3(self) -> bytes:
        """s, se"""
        begun = self._symmetric.encrypt_and_hash(self._static.public)
        self._mix_secret(self._static.private, self._remote_ephemeral)
        return begun

    def _read_3(self, message: bytes) -> bytes:
        """The sealed payload."""
        static, sealed = self._read_static(message)
        self._mix_secret(self._ephemeral, static)
        return sealed

    def _mix_psk(self) -> None:
        if self._psk is not None:
            self._symmetric.mix_key_and_hash(self._psk)

    def _write_ephemeral(self) -> bytes:
        key = self._ephemeral.public_key().public_bytes_raw()
        self._mix_ephemeral(key)
        return key

    def _read_ephemeral(self, message: bytes) -> bytes:
        """What follows the key."""
        key = message[:KEY_SIZE]
        self._remote_ephemeral = self._public_key(key)
        self._mix_ephemeral(key)
        return message[KEY_SIZE:]

    def _mix_ephemeral(self, key: bytes) -> None:
        self._symmetric.mix_hash(key)
        if self._psk is not None:
            self._symmetric.mix_key(key)

    def _read_static(self, rest: bytes) -> tuple[X25519PublicKey, bytes]:
        """The key, and what follows it."""
        size = KEY_SIZE + RECORD_TAG
        return self._public_key(self._symmetric.decrypt_and_hash(rest[:size])), rest[size:]

    def _mix_secret(self, private: X25519PrivateKey, public: X25519PublicKey | None) -> None:
        """Mix in a Diffie-Hellman result."""
        assert public is not None  # both patterns bring a key before they use it
        try:
            secret = private.exchange(public)
        except ValueError:
            # The library refuses an all-zero result. Only keys that _public_key rejects give one: a second lock.
            raise self._fail("a Diffie-Hellman result is zero") from None
        self._symmetric.mix_key(secret)

    def _public_key(self, key: bytes) -> X25519PublicKey:
        """A key of the other side, checked when it is read: its first use may be in writing the answer."""
        if key in _LOW_ORDER:
            raise self._fail("a public key has a low order")
        return X25519PublicKey.from_public_bytes(key)

    def _fail(self, reason: str) -> HandshakeFailed:
        """The exception to raise for the other side's fault; no step is possible any more."""
        self._failed = True
        return HandshakeFailed(f"message {self._done + 1}: {reason}")


_WRITERS: Final = (NoiseHandshake._write_1, NoiseHandshake._write_2, NoiseHandshake._write_3)
_READERS: Final = (NoiseHandshake._read_1, NoiseHandshake._read_2, NoiseHandshake._read_3)


def _check_size(name: str, secret: bytes) -> None:
    """The caller's secrets: an error names the size and never the bytes."""
    if len(secret) != KEY_SIZE:
        raise ValueError(f"{name}: {len(secret)} bytes instead of {KEY_SIZE}")
