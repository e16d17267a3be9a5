"""Where new links come from: sockets that listen, and sockets on their way."""

from __future__ import annotations

import socket
from collections.abc import Callable

from p2pwire.adapters.blocking.loop import Loop
from p2pwire.adapters.socketflow import READ, WRITE
from p2pwire.adapters.sockets import ACCEPT_PAUSE, endpoint_of, finish_connect
from p2pwire.node.address import Endpoint
from p2pwire.wire.registry import HANDSHAKE_TIMEOUT


class Door:
    """A socket that a loop watches until it is closed."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self._loop = loop
        self._socket = sock
        self._watched = 0

    def close(self) -> None:
        """Close the socket."""
        self._watch(0)
        self._socket.close()

    def _watch(self, events: int) -> None:
        self._loop.watch(self._socket, self._watched, events, self._ready)
        self._watched = events

    def _ready(self, events: int) -> None:
        raise NotImplementedError


class Listener(Door):
    """Accepts until it is closed."""

    def __init__(
        self, loop: Loop, sock: socket.socket, welcome: Callable[[socket.socket, Endpoint | None], None]
    ) -> None:
        super().__init__(loop, sock)
        self._welcome = welcome
        self._open()

    def close(self) -> None:
        """See `Door`."""
        self._loop.at(None, self._open)
        super().close()

    def _open(self) -> None:
        self._watch(READ)

    def _ready(self, events: int) -> None:
        try:
            sock, name = self._socket.accept()
        except BlockingIOError:
            return
        except OSError:
            # The newcomer is gone again, or there is no room for it: for the others it goes on.
            self._watch(0)
            self._loop.at(self._loop.now() + ACCEPT_PAUSE, self._open)
        else:
            self._welcome(sock, endpoint_of(name))


class Connecting(Door):
    """Waits for the end of a connection attempt: calls `ended` with the open socket, or the error."""

    def __init__(
        self, loop: Loop, sock: socket.socket, ended: Callable[[Connecting, socket.socket | OSError], None]
    ) -> None:
        super().__init__(loop, sock)
        self._ended = ended
        self._loop.at(loop.now() + HANDSHAKE_TIMEOUT, self._too_late)
        self._watch(WRITE)

    def close(self) -> None:
        """See `Door`."""
        self._loop.at(None, self._too_late)
        super().close()

    def _too_late(self) -> None:
        self.close()
        self._ended(self, TimeoutError())

    def _ready(self, events: int) -> None:
        try:
            finish_connect(self._socket)
        except OSError as error:
            self.close()
            self._ended(self, error)
        else:
            self._loop.at(None, self._too_late)
            self._watch(0)
            self._ended(self, self._socket)
