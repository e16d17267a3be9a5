"""Only the protocol, over a connected socket of the caller's own: TCP, a Unix socket, TLS, a socket pair."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from threading import Condition

from p2pwire.adapters.blocking.loop import Loop
from p2pwire.adapters.socketflow import LEAVE_TIME, SocketFlow
from p2pwire.adapters.sockets import READ_SIZE, tune
from p2pwire.adapters.traffic import ConnectionTraffic
from p2pwire.connection.commands import CloseLink, Command, LocalProtocolError
from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import Connection
from p2pwire.connection.events import Closed, Event
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import CloseCode


@contextmanager
def open_connection(sock: socket.socket, *, initiator: bool, config: Config) -> Iterator[Link]:
    """One p2pwire link over a connected stream socket (TLS after its handshake), which it closes at the end.

    Leaving the block says CLOSE(NONE); leaving it by an exception, CLOSE(SHUTDOWN).

        with open_connection(sock, initiator=True, config=Config(identity)) as link:
            for event in link:
                ...
    """
    link = Link(sock, Role.INITIATOR if initiator else Role.RESPONDER, config)
    try:
        yield link
        link.close()
    finally:
        link.leave()


class Link:
    """A `Connection` whose bytes flow in a thread. One thread iterates over its events; any thread may send."""

    def __init__(self, sock: socket.socket, role: Role, config: Config) -> None:
        self._loop = Loop("p2pwire link")
        self._changed = Condition()
        self._connection = Connection(role, config, now=self._loop.now(), random=os.urandom)
        self._over = False
        self._traffic = _Guarded(self._connection, self._loop, self._changed)
        buffer = memoryview(bytearray(READ_SIZE))
        self._flow = SocketFlow(self._loop, tune(sock), buffer, self._traffic, self._loop.stop)
        self._loop.start()
        self._loop.post(self._flow.transmit)

    @property
    def connection(self) -> Connection:
        """The state of the link, to look at: `identity`, `credit`, `can_send`, …"""
        return self._connection

    def __iter__(self) -> Link:
        return self

    def __next__(self) -> Event:
        """The next event; the last one is `Closed`. While nobody waits here little is read, and no time runs out."""
        with self._changed:
            self._connection.resume(self._loop.now())
            try:
                while not self._over:
                    event = self._next_event()
                    if event is not None:
                        return event
                    self._wait()
                raise StopIteration
            finally:
                self._connection.pause(self._loop.now())

    def send(self, command: Command) -> None:
        """Carry out a command. Waits while there is no room for it; another thread has to iterate meanwhile.

        Raises `LocalProtocolError`, having changed nothing, if the protocol forbids the command now.
        """
        with self._changed:
            while True:
                try:
                    self._connection.send(command)
                except LocalProtocolError:
                    if self._connection.can_send:
                        raise
                    self._changed.wait()
                else:
                    self._loop.post(self._flow.transmit)
                    return

    def close(self, code: CloseCode = CloseCode.NONE, detail: str = "", *, patience: float = inf) -> None:
        """Say CLOSE, unless the link is over; wait until the other side has closed too, or the time for that is up.

        `patience`: seconds to wait at most.
        """
        with self._changed:
            connection = self._connection
            end = self._loop.now() + patience
            connection.resume(self._loop.now())
            connection.send(CloseLink(code, detail))
            while True:
                while self._next_event() is not None:
                    pass
                if connection.finished or self._loop.now() >= end:
                    return
                self._wait(end)

    def leave(self) -> None:
        """Close the socket; if the link is not over, say CLOSE(SHUTDOWN) first and wait a moment."""
        try:
            self.close(CloseCode.SHUTDOWN, patience=LEAVE_TIME)
        finally:
            self._loop.post(self._flow.abort)
            self._loop.join()

    def _next_event(self) -> Event | None:
        event = self._connection.next_event()
        self._over = self._over or isinstance(event, Closed)
        # Parsing makes room to read, and may make answers.
        if self._connection.has_output or (self._traffic.stalled and self._connection.wants_data):
            self._loop.post(self._flow.transmit)
        return event

    def _wait(self, end: float = inf) -> None:
        """Until something came or was sent, or time is up."""
        due = self._connection.next_timeout()
        end = end if due is None else min(end, due)
        self._changed.wait(None if end == inf else max(0.0, end - self._loop.now()))
        self._connection.handle_timeout(self._loop.now())


class _Guarded:
    """The traffic of a connection that several threads use."""

    def __init__(self, connection: Connection, loop: Loop, changed: Condition) -> None:
        self._changed = changed
        self._inner = ConnectionTraffic(connection, loop.now, changed.notify_all, changed.notify_all)
        self.stalled = False
        """Whether reading has stopped."""

    def wants_data(self) -> bool:
        """See `Traffic`."""
        with self._changed:
            wants = self._inner.wants_data()
            self.stalled = not wants
            return wants

    def receive_data(self, data: Buffer) -> None:
        """See `Traffic`."""
        with self._changed:
            self._inner.receive_data(data)

    def lost(self) -> None:
        """See `Traffic`."""
        with self._changed:
            self._inner.lost()

    def data_to_send(self) -> list[Buffer]:
        """See `Traffic`."""
        with self._changed:
            return self._inner.data_to_send()

    def output_ended(self) -> bool:
        """See `Traffic`."""
        with self._changed:
            return self._inner.output_ended()
