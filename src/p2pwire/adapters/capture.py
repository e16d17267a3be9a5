"""Captures of what a peer says and hears, decrypted, for Wireshark and `tshark`.

The file is pcapng with packets of the link type "Wireshark upper PDU": each names the dissector `p2pwire` and the
addresses of both ends, and carries one piece of a link behind a byte that tells which: 0, bytes of the handshake; 1,
the frames of a record. It holds all that the keys of links protect: it is made only if a person asks for it [PV-012].
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import Final

from p2pwire.connection.config import Role
from p2pwire.connection.tap import Piece, Tap
from p2pwire.node.address import Endpoint

LINK_TYPE: Final = 252
"""LINKTYPE_WIRESHARK_UPPER_PDU."""
DISSECTOR: Final = b"p2pwire"

_BYTE_ORDER: Final = 0x1A2B3C4D
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
"""Types of pcapng blocks."""
_RESOLUTION, _NANOSECONDS = 9, 9
"""The option of an interface that says in which unit its times are: 10^-9 seconds."""
_TAG_DISSECTOR, _TAG_PORT_TYPE, _TAG_SOURCE_PORT, _TAG_DESTINATION_PORT = 12, 24, 25, 26
_TAG_ADDRESSES: Final = {4: (20, 21), 6: (22, 23)}
"""Tags of an upper PDU: IP version -> (source, destination)."""
_PORT_TCP: Final = 2


class Capture:
    """A capture file; several peers may write to one. To be closed, or used as `with Capture(path) as capture`.

    `NodeConfig(tap=capture.link)` lets a peer write to it. What a full disk does not take is lost; the peer goes on.
    """

    def __init__(self, path: str | os.PathLike[str], now: Callable[[], int] = time_ns) -> None:
        """Begins a new file, readable by its owner alone, over one that is there. `now`: nanoseconds of Unix time.

        Raises OSError.
        """
        self.path = Path(path)
        self._now = now
        self._links = 0
        self._lock = threading.Lock()
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._file.write(_block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1)))
        resolution = _padded(struct.pack("<HHB", _RESOLUTION, 1, _NANOSECONDS)) + bytes(4)
        self._file.write(_block(_INTERFACE, struct.pack("<HHI", LINK_TYPE, 0, 0) + resolution))

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish the file; what comes afterwards is not written."""
        with self._lock, suppress(OSError):
            self._file.close()

    def link(self, role: Role, remote: Endpoint | None) -> Tap:
        """Hears one more link, on which this side has that role. `remote` None: the other end has no IP address.

        The own end's port is the link's number in the file, since a peer that listens everywhere has many addresses.
        """
        with self._lock:
            self._links += 1
            number = self._links & 0xFFFF
        theirs = remote or Endpoint.parse("127.0.0.1", 1)
        host = "127.0.0.1" if ip_address(theirs.host).version == 4 else "::1"
        heads = {
            role: _head(Endpoint.parse(host, number), theirs),
            role.other: _head(theirs, Endpoint.parse(host, number)),
        }

        def tap(speaker: Role, piece: Piece, data: bytes) -> None:
            self._write(heads[speaker] + bytes([piece.value]) + data)

        return tap

    def _write(self, packet: bytes) -> None:
        time = self._now()
        fixed = struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(packet), len(packet))
        with self._lock, suppress(OSError):
            if not self._file.closed:
                self._file.write(_block(_PACKET, fixed + _padded(packet)))


def _head(source: Endpoint, destination: Endpoint) -> bytes:
    """What stands before the data of an upper PDU."""
    ends = [ip_address(end.host) for end in (source, destination)]
    tags = _TAG_ADDRESSES[ends[0].version]
    return b"".join(
        [
            _tag(_TAG_DISSECTOR, DISSECTOR),
            *(_tag(tag, end.packed) for tag, end in zip(tags, ends, strict=True)),
            _tag(_TAG_PORT_TYPE, struct.pack(">I", _PORT_TCP)),
            _tag(_TAG_SOURCE_PORT, struct.pack(">I", source.port)),
            _tag(_TAG_DESTINATION_PORT, struct.pack(">I", destination.port)),
            bytes(4),
        ]
    )


def _tag(tag: int, value: bytes) -> bytes:
    value = _padded(value)
    return struct.pack(">HH", tag, len(value)) + value


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length
