"""What has come and is not parsed yet: bytes go in; whole preambles, handshake messages and frames come out.

Each length is compared with its limit before anything waits for the bytes that it announces [GN-004].
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

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
    RECORD_TAG,
    CloseCode,
)

NO_FRAME: Final = -1
"""In place of a frame's type: there is none."""


class Inbox:
    """One stream of bytes, whatever pieces it comes in [GN-002]. `len()` is how many bytes are not parsed.

    Records are decrypted as they come, straight from the caller's buffer, and their frames parsed when they are asked
    for. Copied is the beginning of a record that is not whole, and what a frame says, but no content.
    """

    __slots__ = ("_at", "_failed", "_opener", "_plain", "_records", "_rest", "_size", "next_type")

    def __init__(self) -> None:
        self._size = 0
        self._rest = bytearray()
        """What is no whole record yet; before records come, all."""
        self._opener: RecordOpener | None = None
        self._records: list[bytes | SilentFault] = []
        """Decrypted and not looked at: as few as one read brings. A fault is raised where it is reached."""
        self._failed = False
        self._plain: bytes | None = None
        self._at = 0
        self.next_type = NO_FRAME
        """The type of the open record's next frame; `NO_FRAME`: none is left."""

    def __len__(self) -> int:
        return self._size

    def add(self, data: Buffer) -> None:
        """Take bytes; the buffer is the caller's again."""
        self._size += len(data)
        if self._opener is None:
            self._rest += data
        else:
            self._open_records(memoryview(data), self._opener)

    def clear(self) -> None:
        """Forget what is not parsed."""
        self._rest = bytearray()
        self._records.clear()
        self._size = self._at = 0
        self._plain = None
        self.next_type = NO_FRAME

    def destroy(self) -> None:
        """Forget everything, the key too."""
        self.clear()
        self._opener = None

    # --- the handshake ---

    def preamble(self) -> bytes | None:
        """The preamble, if all of it is there. Raises `SilentFault` as soon as it can not be one."""
        head = bytes(self._rest[:PREAMBLE_HEADER])
        if not MAGIC.startswith(head[: len(MAGIC)]):
            raise SilentFault("the stream does not begin with the magic")  # [VN-003]
        if len(head) < PREAMBLE_HEADER:
            return None
        length = int.from_bytes(head[-LENGTH_SIZE:], "big")
        if not MIN_PREAMBLE_BODY <= length <= MAX_PREAMBLE_BODY:
            # [VN-004]
            raise SilentFault(f"preamble body of {length} bytes, must be {MIN_PREAMBLE_BODY} to {MAX_PREAMBLE_BODY}")
        return self._take(0, PREAMBLE_HEADER + length)

    def handshake_message(self) -> bytes | None:
        """The next Noise message, if all of it is there. Raises `SilentFault` as soon as its length is none."""
        rest = self._rest
        if len(rest) < LENGTH_SIZE:
            return None
        length = rest[0] << 8 | rest[1]
        if not 1 <= length <= MAX_HANDSHAKE_MESSAGE:
            # [HS-001]
            raise SilentFault(f"handshake message of {length} bytes, must be 1 to {MAX_HANDSHAKE_MESSAGE}")
        return self._take(LENGTH_SIZE, LENGTH_SIZE + length)

    # --- records and frames ---

    def decrypt_with(self, cipher: CipherState) -> None:
        """What follows is records [HS-008]."""
        self._opener = RecordOpener(cipher)
        early, self._rest = self._rest, bytearray()
        self._open_records(memoryview(early), self._opener)

    def open_record(self) -> bool:
        """Go on to the next record, if all of it is there. Raises `SilentFault` if it is none [EN-004] [EN-005]."""
        assert self._plain is None
        if not self._records:
            return False
        record = self._records.pop(0)
        if isinstance(record, SilentFault):
            raise record
        self._size -= LENGTH_SIZE + len(record) + RECORD_TAG
        self._plain = record
        self._at = 0
        self.next_type = record[0]
        return True

    def take(self, frame_type: int, taker: Callable[[memoryview, int], int], told: Collection[object]) -> None:
        """While the open record goes on with a frame of this type, let somebody take whole frames of it: from a place
        in it to the one that he returns. If he takes all, go on with the next record, until something is told.

        Raises `SilentFault` as `open_record` does.
        """
        while (plain := self._plain) is not None and plain[self._at] == frame_type:
            self._at = at = taker(memoryview(plain), self._at)
            if at < len(plain):
                self.next_type = plain[at]
                return
            self._plain = None
            self.next_type = NO_FRAME
            if told or not self.open_record():
                return

    def frame(self) -> tuple[int, bytes] | None:
        """Type and a copy of the body of the open record's next frame; None: open the next record.

        Raises `LinkFault` where no whole frame is left [EN-008] [EN-009].
        """
        plain = self._plain
        if plain is None:
            return None
        body = self._at + FRAME_HEADER
        size = len(plain)
        if body > size:
            raise LinkFault(CloseCode.PROTOCOL, f"{size - self._at} bytes after the record's last frame")
        frame_type = self.next_type
        end = body + (plain[body - 2] << 8 | plain[body - 1])
        if end > size:
            raise LinkFault(CloseCode.PROTOCOL, f"a frame goes {end - size} bytes past its record's end", frame_type)
        if end < size:
            self._at = end
            self.next_type = plain[end]
        else:
            self._plain = None
            self.next_type = NO_FRAME
        return frame_type, plain[body:end]

    # --- inside ---

    def _take(self, begin: int, end: int) -> bytes | None:
        rest = self._rest
        if end > len(rest):
            return None
        taken = bytes(rest[begin:end])
        del rest[:end]
        self._size -= end
        return taken

    def _open_records(self, data: memoryview, opener: RecordOpener) -> None:
        """Decrypt the records that are whole now, and keep the rest. What follows a fault is of no meaning."""
        rest = self._rest
        at, size = 0, len(data)
        try:
            while at < size and not self._failed:
                if rest:
                    at = self._complete(data, at)
                    if len(rest) < LENGTH_SIZE or len(rest) < LENGTH_SIZE + _checked(rest, 0):
                        return
                    with memoryview(rest) as whole, whole[LENGTH_SIZE:] as ciphertext:
                        self._records.append(opener.open(ciphertext))
                    rest.clear()
                    continue
                start = at + LENGTH_SIZE
                if start > size or (end := start + _checked(data, at)) > size:
                    rest += data[at:]
                    return
                self._records.append(opener.open(data[start:end]))
                at = end
        except DecryptionFailed as error:
            self._fail(str(error))
        except SilentFault as fault:
            self._fail(fault.text)

    def _complete(self, data: memoryview, at: int) -> int:
        """Add to a record of which some bytes are there what it lacks, or less; where that ends in the data."""
        rest = self._rest
        if len(rest) < LENGTH_SIZE:
            end = at + LENGTH_SIZE - len(rest)
            rest += data[at:end]
            at = min(end, len(data))
        if len(rest) >= LENGTH_SIZE:
            end = at + LENGTH_SIZE + _checked(rest, 0) - len(rest)
            rest += data[at:end]
            at = min(end, len(data))
        return at

    def _fail(self, text: str) -> None:
        self._failed = True
        self._records.append(SilentFault(text))


def _checked(data: bytearray | memoryview, at: int) -> int:
    """The length of a record. Raises `SilentFault` for one that can not be."""
    length = data[at] << 8 | data[at + 1]
    if length < MIN_RECORD:
        raise SilentFault(f"record of {length} bytes, the least is {MIN_RECORD}")
    return length
