"""What carries a link under anyio: a TCP socket, which is the quick way, or any byte stream of the caller's own."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

import anyio
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

from p2pwire.adapters.sockets import READ_SIZE, Outgoing
from p2pwire.wire.messages import Buffer

_BROKEN: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


READS_IN_A_ROW: Final = 4
"""Reads, 1 MiB, after which a socket that is never empty lets the other tasks run: a turn of the loop with each read
takes a twentieth of what receiving takes."""


class CarrierLostError(Exception):
    """The carrier broke: nothing more comes or goes."""


class Carrier(Protocol):
    """A reliable, ordered stream of bytes. One task reads, another one writes."""

    async def receive(self) -> Buffer:
        """The next bytes, at most READ_SIZE; none at the end. Valid until the caller waits. Raises CarrierLostError."""

    async def send(self, buffers: Sequence[Buffer]) -> None:
        """Send all of them. Raises CarrierLostError."""

    async def send_eof(self) -> None:
        """Say that nothing more will be sent, if the carrier can say so. Raises CarrierLostError."""

    async def aclose(self) -> None:
        """Close it, when nobody reads or writes any more."""


class SocketCarrier:
    """A connected, non-blocking socket. `buffer` is what it reads into; the sockets of one event loop share one."""

    def __init__(self, sock: socket.socket, buffer: memoryview) -> None:
        self._socket = sock
        self._buffer = buffer
        self._outgoing = Outgoing()
        self._reads = 0

    async def receive(self) -> memoryview:
        """See `Carrier`."""
        self._reads += 1
        if self._reads >= READS_IN_A_ROW:
            self._reads = 0
            await checkpoint()
        while True:
            try:
                return self._buffer[: self._socket.recv_into(self._buffer)]
            except BlockingIOError:
                self._reads = 0
                await anyio.wait_readable(self._socket)
            except OSError as error:
                raise CarrierLostError from error

    async def send(self, buffers: Sequence[Buffer]) -> None:
        """See `Carrier`."""
        self._outgoing.add(buffers)
        while self._outgoing:
            try:
                self._outgoing.write(self._socket)
            except BlockingIOError:
                await anyio.wait_writable(self._socket)
            except OSError as error:
                raise CarrierLostError from error

    async def send_eof(self) -> None:
        """See `Carrier`."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise CarrierLostError from error

    async def aclose(self) -> None:
        """See `Carrier`."""
        self._socket.close()


class StreamCarrier:
    """A byte stream of the caller's own: TLS, a Unix socket, a WebSocket, a pipe in memory."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def receive(self) -> bytes:
        """See `Carrier`."""
        try:
            return await self._stream.receive(READ_SIZE)
        except anyio.EndOfStream:
            return b""
        except _BROKEN as error:
            raise CarrierLostError from error

    async def send(self, buffers: Sequence[Buffer]) -> None:
        """See `Carrier`."""
        try:
            await self._stream.send(b"".join(buffers))
        except _BROKEN as error:
            raise CarrierLostError from error

    async def send_eof(self) -> None:
        """See `Carrier`."""
        try:
            # TLS and WebSockets cannot half-close: there the other side sees CLOSE, and closes.
            with suppress(NotImplementedError):
                await self._stream.send_eof()
        except _BROKEN as error:
            raise CarrierLostError from error

    async def aclose(self) -> None:
        """See `Carrier`."""
        with suppress(*_BROKEN):
            await self._stream.aclose()
