"""A link's bytes on a socket, for whatever calls back when a socket is ready: a selector's thread, or asyncio.

Read while the traffic wants data, written while it has some. Nothing waits, so a turn is a few calls: tasks that wait
for a socket under an event loop take several times as long.
"""

from __future__ import annotations

import selectors
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from p2pwire.adapters.sockets import Outgoing
from p2pwire.adapters.traffic import Traffic

Call: TypeAlias = Callable[[], None]
OnReady: TypeAlias = Callable[[int], None]
"""Takes the events that are ready."""

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE

LEAVE_TIME: Final = 1.0
"""seconds that a link which is over, or a program which ends, still gives a carrier to take what was said last."""

READS_IN_A_ROW: Final = 4
"""Reads, 1 MiB, after which a socket that is never empty lets others have their turn: a turn with each read takes a
twentieth of what receiving takes."""

WRITES_IN_A_ROW: Final = 4
"""The same for what the traffic gives at a time, 128 KiB mostly."""

_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Reactor(Protocol):
    """What calls back. All its methods, and all calls, are for one thread."""

    def now(self) -> float:
        """Seconds on the clock of `at`."""

    def soon(self, call: Call) -> None:
        """Run a call after the one that runs now, once however often it is asked for."""

    def at(self, when: float | None, call: Call) -> None:
        """Run a call at a time, instead of the one given before; None: not at all."""

    def watch(self, sock: socket.socket, before: int, events: int, ready: OnReady) -> None:
        """Call `ready` when one of these events is; `before` is what was asked for until now."""


class SocketFlow:
    """Carries between a connected, non-blocking socket and its traffic, until `hang_up`; then closes the socket."""

    def __init__(
        self, reactor: Reactor, sock: socket.socket, buffer: memoryview, traffic: Traffic, ended: Callable[[], None]
    ) -> None:
        self._reactor = reactor
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

    def transmit(self) -> None:
        """The traffic may have data."""
        self._reactor.soon(self._go_on)

    def resume_reading(self) -> None:
        """The traffic may want data again."""
        self._reactor.soon(self._go_on)

    def hang_up(self) -> None:
        """Write what was taken from the traffic, if it goes quickly, and end."""
        self._hung_up = True
        self._reactor.at(self._reactor.now() + LEAVE_TIME, self.abort)
        self.transmit()

    def abort(self) -> None:
        """End now."""
        if self._closed:
            return
        self._closed = True
        self._reactor.at(None, self.abort)
        self._watch(0)
        self._socket.close()
        self._ended()

    def _go_on(self) -> None:
        if self._closed:
            return
        for _ in range(WRITES_IN_A_ROW):
            if not self._write():
                break
        else:
            self._reactor.soon(self._go_on)
        if self._hung_up and not self._outgoing:
            self.abort()
            return
        wants = self._readable and not self._hung_up and self._traffic.wants_data()
        self._watch((READ if wants else 0) | (WRITE if self._outgoing else 0))
        if wants and isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            # What TLS has decrypted already no selector can see.
            self._reactor.soon(self._read)

    def _watch(self, events: int) -> None:
        if events != self._watched:
            self._reactor.watch(self._socket, self._watched, events, self._ready)
            self._watched = events

    def _ready(self, events: int) -> None:
        if events & READ:
            self._read()
        self._reactor.soon(self._go_on)

    def _read(self) -> None:
        self._reactor.soon(self._go_on)
        for _ in range(READS_IN_A_ROW):
            if self._closed or not self._readable or not self._traffic.wants_data():
                return
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
            if size < len(self._buffer):
                return  # there was no more

    def _write(self) -> bool:
        """Write what was left; when that is done, the next that the traffic has; when there is none, the end. Whether
        there may be more to be written at once."""
        buffers = [] if self._outgoing or self._hung_up else self._traffic.data_to_send()
        if not self._broken:
            self._outgoing.add(buffers)
        try:
            if self._outgoing:
                self._outgoing.write(self._socket)
                return True
            if not buffers and not self._said_all and self._traffic.output_ended():
                self._say_all()
        except _NOT_NOW:
            return False
        except OSError:
            # The other side's last words may still be read; what would be said goes nowhere.
            self._broken = True
            self._outgoing = Outgoing()
            return True
        return bool(buffers)

    def _say_all(self) -> None:
        self._said_all = True
        if not isinstance(self._socket, ssl.SSLSocket):
            # TLS has no half-close: there the other side sees CLOSE, and closes.
            self._socket.shutdown(socket.SHUT_WR)
