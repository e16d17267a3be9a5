"""What has come and is not parsed yet: bytes go in; whole preambles, handshake messages and frames come out.

Each length is compared with its limit before anything waits for the bytes that it announces [GN-004].
"""

from __future__ import annotations

from p2pwire.connection.faults import LinkFault, SilentFault
from p2pwire.connection.records import LENGTH_SIZE, RecordOpener
from p2pwire.crypto.noise import CipherState, DecryptionFailed
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import (
    FRAME_HEADER,
    MAGIC,
    MAX_HANDSHAKE_MESSAGE,
    MAX_PREAMBLE_BODY,
    MIN_PREAMBLE_BODY,
    MIN_RECORD,
    PREAMBLE_HEADER,
    CloseCode,
)


class Inbox:
    """One stream of bytes, whatever pieces it comes in [GN-002]. `len()` is how many bytes are not parsed."""

    __slots__ = ("_at", "_buffer", "_end", "_opener", "_plain", "_start")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = self._end = 0
        self._opener: RecordOpener | None = None
        self._plain: memoryview | None = None
        self._at = 0

    def __len__(self) -> int:
        return self._end - self._start

    def add(self, data: Buffer) -> None:
        """Keep bytes."""
        size = len(data)
        start, end = self._start, self._end
        if start and end + size > len(self._buffer):
            self._buffer[: end - start] = self._buffer[start:end]
            start, end = 0, end - start
        self._buffer[end : end + size] = data
        self._start, self._end = start, end + size

    def clear(self) -> None:
        """Forget what is not parsed."""
        self._buffer = bytearray()
        self._start = self._end = self._at = 0
        self._plain = None

    def destroy(self) -> None:
        """Forget everything, the key too."""
        self.clear()
        self._opener = None

    # --- the handshake ---

    def preamble(self) -> bytes | None:
        """The preamble, if all of it is there. Raises `SilentFault` as soon as it can not be one."""
        head = bytes(self._buffer[self._start : min(self._end, self._start + PREAMBLE_HEADER)])
        if not MAGIC.startswith(head[: len(MAGIC)]):
            raise SilentFault("the stream does not begin with the magic")  # [VN-003]
        if len(head) < PREAMBLE_HEADER:
            return None
        length = int.from_bytes(head[-LENGTH_SIZE:], "big")
        if not MIN_PREAMBLE_BODY <= length <= MAX_PREAMBLE_BODY:
            # [VN-004]
            raise SilentFault(f"preamble body of {length} bytes, must be {MIN_PREAMBLE_BODY} to {MAX_PREAMBLE_BODY}")
        return self._take(PREAMBLE_HEADER + length)

    def handshake_message(self) -> bytes | None:
        """The next Noise message, if all of it is there. Raises `SilentFault` as soon as its length is none."""
        length = self._length()
        if length is None:
            return None
        if not 1 <= length <= MAX_HANDSHAKE_MESSAGE:
            # [HS-001]
            raise SilentFault(f"handshake message of {length} bytes, must be 1 to {MAX_HANDSHAKE_MESSAGE}")
        message = self._take(LENGTH_SIZE + length)
        return None if message is None else message[LENGTH_SIZE:]

    # --- records and frames ---

    def decrypt_with(self, cipher: CipherState) -> None:
        """What follows is records [HS-008]."""
        self._opener = RecordOpener(cipher)

    def open_record(self) -> bool:
        """Decrypt the next record, if all of it is there. Raises `SilentFault` if it is none [EN-004] [EN-005]."""
        assert self._opener is not None
        assert self._plain is None
        length = self._length()
        if length is None:
            return False
        if length < MIN_RECORD:
            raise SilentFault(f"record of {length} bytes, the least is {MIN_RECORD}")
        start = self._start + LENGTH_SIZE
        if start + length > self._end:
            return False
        try:
            with memoryview(self._buffer) as view, view[start : start + length] as ciphertext:
                plaintext = self._opener.open(ciphertext)
        except DecryptionFailed as error:
            raise SilentFault(str(error)) from None
        self._advance(start + length)
        self._plain = memoryview(plaintext)
        self._at = 0
        return True

    def frame(self) -> tuple[int, memoryview] | None:
        """Type and body of the open record's next frame; None: open the next record.

        Raises `LinkFault` where no whole frame is left [EN-008] [EN-009].
        """
        plain = self._plain
        if plain is None:
            return None
        body = self._at + FRAME_HEADER
        size = len(plain)
        if body > size:
            raise LinkFault(CloseCode.PROTOCOL, f"{size - self._at} bytes after the record's last frame")
        frame_type = plain[self._at]
        end = body + (plain[body - 2] << 8 | plain[body - 1])
        if end > size:
            raise LinkFault(CloseCode.PROTOCOL, f"a frame goes {end - size} bytes past its record's end", frame_type)
        self._at = end
        if end == size:
            self._plain = None
        return frame_type, plain[body:end]

    # --- inside ---

    def _length(self) -> int | None:
        start = self._start
        if self._end - start < LENGTH_SIZE:
            return None
        return self._buffer[start] << 8 | self._buffer[start + 1]

    def _take(self, size: int) -> bytes | None:
        end = self._start + size
        if end > self._end:
            return None
        taken = bytes(self._buffer[self._start : end])
        self._advance(end)
        return taken

    def _advance(self, start: int) -> None:
        """Everything before `start` is parsed. A link that has nothing to parse keeps no memory for it."""
        if start == self._end:
            self._buffer = bytearray()
            self._start = self._end = 0
        else:
            self._start = start
