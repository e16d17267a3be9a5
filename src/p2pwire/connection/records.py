"""Records: frames in, ciphertext out, and back (SPEC.md, "Records")."""

from __future__ import annotations

from collections import deque
from typing import Final

from p2pwire.crypto.noise import CipherState
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import MAX_RECORD_PLAINTEXT, RECORD_TAG, REKEY_INTERVAL

LENGTH_SIZE: Final = 2
"""bytes of a record's length field."""


class RecordOpener:
    """The receiving direction: decrypts record after record and changes the key when it is due."""

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


class Outbox:
    """The sending direction: frames wait here whole, and leave in records of as many whole frames as fit.

    Waiting bytes are counted in two classes, because different rules bound them: answers (which stop reading) and all.
    """

    __slots__ = ("_cipher", "_frames", "_ready", "_until_rekey", "answers", "waiting")

    def __init__(self) -> None:
        self._cipher: CipherState | None = None
        self._until_rekey = REKEY_INTERVAL
        self._frames: deque[tuple[int, bool, tuple[Buffer, ...]]] = deque()
        self._ready: list[Buffer] = []
        self.waiting = 0
        """Bytes of frames not yet handed out."""
        self.answers = 0
        """Bytes of them that are answers."""

    def __bool__(self) -> bool:
        return bool(self._ready or self._frames)

    def encrypt_with(self, cipher: CipherState) -> None:
        """Frames may leave from now on."""
        self._cipher = cipher

    def add_plain(self, data: bytes) -> None:
        """Handshake bytes, which go as they are."""
        self._ready.append(data)

    def add(self, *parts: Buffer, answer: bool = False) -> None:
        """One whole frame, in parts that are joined only inside a record."""
        size = 0
        for part in parts:
            size += len(part)
        self._frames.append((size, answer, parts))
        self.waiting += size
        if answer:
            self.answers += size

    def drop(self) -> None:
        """Forget all that waits."""
        self._frames.clear()
        self._ready = []
        self.waiting = self.answers = 0

    def take(self) -> list[Buffer]:
        """Everything that can be sent now, in order, encrypted."""
        ready, self._ready = self._ready, []
        if self._cipher is not None:
            frames = self._frames
            while frames:
                size = 0
                parts: list[Buffer] = []
                while frames and size + frames[0][0] <= MAX_RECORD_PLAINTEXT:
                    frame_size, _, frame_parts = frames.popleft()
                    size += frame_size
                    parts += frame_parts
                ready.append(self._seal(self._cipher, b"".join(parts)))
            self.waiting = self.answers = 0
        return ready

    def _seal(self, cipher: CipherState, plaintext: bytes) -> bytearray:
        length = len(plaintext) + RECORD_TAG
        record = bytearray(LENGTH_SIZE + length)
        record[:LENGTH_SIZE] = length.to_bytes(LENGTH_SIZE, "big")
        with memoryview(record) as view:
            cipher.encrypt_into(plaintext, view[LENGTH_SIZE:])
        self._until_rekey -= 1
        if not self._until_rekey:
            cipher.rekey()
            self._until_rekey = REKEY_INTERVAL
        return record
