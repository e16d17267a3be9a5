"""What is said and not sent yet: frames wait here whole, and leave in records of as many whole frames as fit.

Waiting bytes are counted in two classes, because different rules bound them: answers, which stop reading [FC-032], and
all [FC-030].
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from p2pwire.connection.records import RecordSealer
from p2pwire.crypto.noise import CipherState
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import MAX_RECORD_PLAINTEXT

SMALL: Final = 256
"""bytes up to which a frame is copied to those before it: an object for each would take many times its size, and
whoever reads nothing could make thousands wait."""

GATHERED: Final = 4096
"""bytes of small frames, at most, that are kept together: they go into one record."""


class Outbox:
    """Bytes on their way out, in order. It is true while there are any."""

    __slots__ = ("_frames", "_gathered", "_plain", "_sealer", "answers", "waiting")

    def __init__(self) -> None:
        self._sealer: RecordSealer | None = None
        self._plain: list[Buffer] = []
        self._frames: list[tuple[Buffer, Buffer]] = []
        """Whole frames, each in two parts: a block is a part by itself. Small ones are several together."""
        self._gathered: bytearray | None = None
        """The last of these, if more small frames may go into it."""
        self.waiting = 0
        """Bytes of frames not yet handed out."""
        self.answers = 0
        """Bytes of them that are answers."""

    def __bool__(self) -> bool:
        return bool(self._plain or self._frames)

    def encrypt_with(self, cipher: CipherState) -> None:
        """What follows is records."""
        self._sealer = RecordSealer(cipher)

    def add_plain(self, data: bytes) -> None:
        """Handshake bytes, which go as they are and before all frames."""
        self._plain.append(data)

    def add(self, frame: Buffer, answer: bool = False) -> None:
        """One whole frame."""
        size = len(frame)
        gathered = self._gathered
        if size > SMALL:
            self._frames.append((frame, b""))
            self._gathered = None
        elif gathered is not None and len(gathered) + size <= GATHERED:
            gathered += frame
        else:
            self._gathered = bytearray(frame)
            self._frames.append((self._gathered, b""))
        self.waiting += size
        if answer:
            self.answers += size

    def add_run(self, frames: Iterable[tuple[Buffer, Buffer]], size: int) -> None:
        """Frames with blocks, which are not small, of so many bytes together; each in two parts that are joined only
        inside a record [EN-007]."""
        self._frames.extend(frames)
        self._gathered = None
        self.waiting += size

    def drop(self) -> None:
        """Forget all that waits."""
        self._frames.clear()
        self._gathered = None
        self._plain = []
        self.waiting = self.answers = 0

    def destroy(self) -> None:
        """Forget everything, the key too."""
        self.drop()
        self._sealer = None

    def take(self) -> list[Buffer]:
        """Everything that can be sent now, in order, encrypted."""
        ready, self._plain = self._plain, []
        if self._sealer is not None:
            frames, self._frames, self._gathered = self._frames, [], None
            parts: list[Buffer] = []
            room = MAX_RECORD_PLAINTEXT
            for head, block in frames:
                room -= len(head) + len(block)
                if room < 0:
                    ready.append(self._sealer.seal(*parts))
                    parts, room = [], MAX_RECORD_PLAINTEXT - len(head) - len(block)
                parts += head, block
            if parts:
                ready.append(self._sealer.seal(*parts))
            self.waiting = self.answers = 0
        return ready
