"""The keys of records: how plaintext becomes a record and back, and when a key is replaced (SPEC.md, "Records")."""

from __future__ import annotations

from typing import Final

from p2pwire.crypto.noise import CipherState
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import RECORD_TAG, REKEY_INTERVAL

LENGTH_SIZE: Final = 2
"""bytes of a record's length field, and of that before a handshake message."""

_TAG_ROOM: Final = bytes(RECORD_TAG)


class RecordOpener:
    """The receiving direction: decrypts record after record and changes the key when it is due [EN-002] [EN-011]."""

    __slots__ = ("_cipher", "_until_rekey")

    def __init__(self, cipher: CipherState) -> None:
        self._cipher = cipher
        self._until_rekey = REKEY_INTERVAL

    def open(self, ciphertext: Buffer) -> bytes:
        """The plaintext of the next record. Raises `DecryptionFailed`, after which nothing can be opened any more."""
        plaintext = self._cipher.decrypt(ciphertext)
        self._until_rekey -= 1
        if not self._until_rekey:
            self._cipher.rekey()
            self._until_rekey = REKEY_INTERVAL
        return plaintext


class RecordSealer:
    """The sending direction [EN-001] [EN-011]."""

    __slots__ = ("_cipher", "_until_rekey")

    def __init__(self, cipher: CipherState) -> None:
        self._cipher = cipher
        self._until_rekey = REKEY_INTERVAL

    def seal(self, *parts: Buffer) -> bytearray:
        """The whole record of a plaintext of 1 to 65519 bytes, given in parts."""
        length = sum(map(len, parts)) + RECORD_TAG
        # Joined where it will be encrypted: to fill another buffer first takes four times as long.
        record = bytearray().join((length.to_bytes(LENGTH_SIZE, "big"), *parts, _TAG_ROOM))
        with memoryview(record) as view:
            self._cipher.encrypt_into(view[LENGTH_SIZE:-RECORD_TAG], view[LENGTH_SIZE:])
        self._until_rekey -= 1
        if not self._until_rekey:
            self._cipher.rekey()
            self._until_rekey = REKEY_INTERVAL
        return record
