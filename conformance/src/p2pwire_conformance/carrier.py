"""The stream below a link: a TCP connection, or lines to an adapter that has no socket at all."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Any, Final, Protocol

from p2pwire_conformance.adapter import Adapter
from p2pwire_conformance.verdict import Untestable

READ: Final = 1 << 18


class Carrier(Protocol):
    """One stream in both directions."""

    exact: bool
    """Whether nothing came means that nothing will come until something is sent or time goes by."""

    def send(self, data: bytes) -> None:
        """Send. What does not go out any more is lost without an error: the subject's answer tells."""

    def receive(self, patience: float) -> bytes | None:
        """Some bytes; b"" at the end of the stream; None: nothing came within the time."""

    def finish(self) -> None:
        """End the own direction."""

    def reset(self) -> None:
        """End both directions at once, without order."""

    def close(self) -> None:
        """Give the carrier back."""


class Tcp:
    """A TCP connection."""

    exact = False

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(30.0)

    def send(self, data: bytes) -> None:
        """See `Carrier`."""
        with suppress(OSError):
            self._socket.sendall(data)

    def receive(self, patience: float) -> bytes | None:
        """See `Carrier`; a reset is an end."""
        self._socket.settimeout(patience)
        try:
            return self._socket.recv(READ)
        except TimeoutError:
            return None
        except OSError:
            return b""
        finally:
            self._socket.settimeout(30.0)

    def finish(self) -> None:
        """See `Carrier`."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """See `Carrier`."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """See `Carrier`."""
        self._socket.close()


def host_and_port(address: str) -> tuple[str, int]:
    """Take `host:port` apart. Raises `ValueError`."""
    host, _, port = address.rpartition(":")
    if not host.strip("[]") or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def dial(address: str, patience: float) -> Tcp:
    """Connect to `host:port`. Raises `Untestable`."""
    try:
        return Tcp(socket.create_connection(host_and_port(address), patience))
    except (OSError, ValueError) as error:
        raise Untestable(f"nothing can be reached at {address}: {error}") from None


class Listener:
    """A port at which the subject is to call."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def accept(self, patience: float) -> Tcp:
        """The subject's connection. Raises `Untestable`."""
        self._socket.settimeout(patience)
        try:
            return Tcp(self._socket.accept()[0])
        except OSError:
            raise Untestable(f"the subject did not dial {self.address} within {patience:.0f} s") from None

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


class Inline:
    """No stream at all: bytes go through the adapter's control line, and time is virtual."""

    exact = True

    def __init__(self, adapter: Adapter, run: str, started: dict[str, Any], first: Inline | None = None) -> None:
        """`first` is the run's first link, if this is another one: then `started` has its number."""
        self._adapter = adapter
        self._run = run
        self._arrived = bytearray()
        self._which = {} if first is None else {"link": started["link"]}
        self._links: dict[int, Inline] = {} if first is None else first._links
        self._links[0 if first is None else started["link"]] = self
        self.ended = False
        """Whether the subject will send nothing more."""
        self.closed = False
        """Whether the subject closed its carrier."""
        if first is None:
            self._take(started)

    def _add(self, answer: dict[str, Any]) -> None:
        self._arrived += bytes.fromhex(answer.get("tx", ""))
        self.ended = self.ended or answer.get("ended", False)
        self.closed = self.closed or answer.get("closed", False)

    def _take(self, answer: dict[str, Any]) -> None:
        if "error" in answer:
            raise Untestable(f"the adapter says: {answer['error']}")
        self._links[0]._add(answer)
        for other in answer.get("links", ()):
            if other["link"] in self._links:
                self._links[other["link"]]._add(other)
        self._adapter.events.extend({**event, "run": self._run} for event in answer.get("events", ()))

    def send(self, data: bytes, piece: int = 0) -> None:
        """See `Carrier`. With `piece`, the subject is handed so many bytes at a time, and says after each what it has
        to say."""
        if data and not self.closed:
            more = {"piece": piece} if piece else {}
            self._take(self._adapter.request("rx", run=self._run, hex=data.hex(), **self._which, **more))

    def receive(self, patience: float) -> bytes | None:
        """See `Carrier`; it never waits."""
        if self._arrived:
            found = bytes(self._arrived)
            self._arrived.clear()
            return found
        return b"" if self.ended or self.closed else None

    def finish(self) -> None:
        """See `Carrier`."""
        if not self.closed:
            self._take(self._adapter.request("rx", run=self._run, hex="", eof=True, **self._which))

    def reset(self) -> None:
        """See `Carrier`."""
        self.finish()

    def tick(self, ms: int) -> None:
        """Let time go by, for all links of the run."""
        self._take(self._adapter.request("tick", run=self._run, ms=ms))

    def close(self) -> None:
        """See `Carrier`."""
