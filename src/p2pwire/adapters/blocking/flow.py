"""A link's bytes on a socket in a loop: read while the traffic wants data, written while it has some."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Final

from p2pwire.adapters.blocking.loop import READ, WRITE, Loop
from p2pwire.adapters.sockets import Outgoing
from p2pwire.adapters.traffic import Traffic

LEAVE_TIME: Final = 1.0
"""seconds that a link which is over, or a program which ends, still gives a carrier to take what was said last."""

_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Flow:
    """Carries between a connected, non-blocking socket and its traffic, until `hang_up`; then closes the socket."""

    def __init__(
        self, loop: Loop, sock: socket.socket, buffer: memoryview, traffic: Traffic, ended: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._buffer = buffer
        self._traffic = traffic
        self._ended = ended
        self._outgoing = Outgoing()
        self._watched = 0
        self._readable = True
        self._broken = False
        self._said_all = False
        self._hung_up = False
        self._closed = False

    def stir(self) -> None:
        """There may be something to write, or reason to read again."""
        self._loop.soon(self._go_on)

    def hang_up(self) -> None:
        """Write what was taken from the traffic, if it goes quickly, and end."""
        self._hung_up = True
        self._loop.at(self._loop.now() + LEAVE_TIME, self.abort)
        self.stir()

    def abort(self) -> None:
        """End now."""
        if self._closed:
            return
        self._closed = True
        self._loop.at(None, self.abort)
        self._watch(0)
        self._socket.close()
        self._ended()

    def _go_on(self) -> None:
        if self._closed:
            return
        self._write()
        if self._hung_up and not self._outgoing:
            self.abort()
            return
        wants = self._readable and not self._hung_up and self._traffic.wants_data()
        self._watch((READ if wants else 0) | (WRITE if self._outgoing else 0))
        if wants and isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            # What TLS has decrypted already no selector can see.
            self._loop.soon(self._read)

    def _watch(self, events: int) -> None:
        self._loop.watch(self._socket, self._watched, events, self._ready)
        self._watched = events

    def _ready(self, events: int) -> None:
        if events & READ:
            self._read()
        self.stir()

    def _read(self) -> None:
        if self._closed or not self._readable or not self._traffic.wants_data():
            return
        self.stir()
        try:
            size = self._socket.recv_into(self._buffer)
        except _NOT_NOW:
            return
        except OSError:
            self._readable = False
            self._traffic.lost()
            return
        self._readable = size > 0
        self._traffic.receive_data(self._buffer[:size])

    def _write(self) -> None:
        """Write what was left; when that is done, the next that the traffic has; when there is none, the end."""
        buffers = [] if self._outgoing or self._hung_up else self._traffic.data_to_send()
        if not self._broken:
            self._outgoing.add(buffers)
        try:
            if self._outgoing:
                self._outgoing.write(self._socket)
                self.stir()
            elif buffers:
                self.stir()
            elif not self._said_all and self._traffic.output_ended():
                self._say_all()
        except _NOT_NOW:
            return
        except OSError:
            # The other side's last words may still be read; what would be said goes nowhere.
            self._broken = True
            self._outgoing = Outgoing()
            self.stir()

    def _say_all(self) -> None:
        self._said_all = True
        if not isinstance(self._socket, ssl.SSLSocket):
            # TLS has no half-close: there the other side sees CLOSE, and closes.
            self._socket.shutdown(socket.SHUT_WR)
