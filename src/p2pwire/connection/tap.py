"""Hearing what a link says, decrypted: for captures that a person has asked for [PV-012], and for nothing else."""

from __future__ import annotations

from enum import Enum, unique
from typing import TYPE_CHECKING, Protocol

from p2pwire.crypto.noise import CipherState
from p2pwire.wire.messages import Buffer

if TYPE_CHECKING:
    from p2pwire.connection.config import Role


@unique
class Piece(Enum):
    """What was said; the value is its number in captures."""

    CLEAR = 0
    """Bytes of the handshake as they go over the carrier: a preamble, a handshake message, or one after the other."""
    FRAMES = 1
    """The plaintext of a record: whole frames."""


class Tap(Protocol):
    """Hears one link. It is called as things are sent and processed; what it raises reaches the caller of the link."""

    def __call__(self, speaker: Role, piece: Piece, data: bytes) -> None:
        """Something was said by the initiator or the responder."""


class TappedCipher(CipherState):
    """A direction's cipher whose plaintexts a tap hears."""

    __slots__ = ("_speaker", "_tap")

    def __init__(self, cipher: CipherState, tap: Tap, speaker: Role) -> None:
        self.suite, self.n = cipher.suite, cipher.n
        self._cipher, self._aead = cipher._cipher, cipher._aead
        self._tap, self._speaker = tap, speaker

    def encrypt_into(self, plaintext: Buffer, out: bytearray | memoryview) -> None:
        """See `CipherState.encrypt_into`."""
        said = bytes(plaintext)  # which may lie where the ciphertext goes
        super().encrypt_into(plaintext, out)
        self._tap(self._speaker, Piece.FRAMES, said)

    def decrypt(self, ciphertext: Buffer, ad: bytes = b"") -> bytes:
        """See `CipherState.decrypt`."""
        plaintext = super().decrypt(ciphertext, ad)
        self._tap(self._speaker, Piece.FRAMES, plaintext)
        return plaintext
