"""Only the protocol, over a byte stream of the caller's own, under asyncio or trio."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

import anyio
from anyio.abc import ByteStream, TaskStatus
from anyio.lowlevel import checkpoint

from p2pwire.adapters.anyio.carriers import Carrier, StreamCarrier
from p2pwire.adapters.anyio.flow import LEAVE_TIME, Flow, Wake
from p2pwire.adapters.anyio.interrupts import hold_interrupts_out
from p2pwire.adapters.traffic import ConnectionTraffic
from p2pwire.connection.commands import CloseLink, Command, LocalProtocolError
from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import Connection
from p2pwire.connection.events import Closed, Event
from p2pwire.wire.registry import CloseCode


@asynccontextmanager
async def open_connection(stream: ByteStream, *, initiator: bool, config: Config) -> AsyncIterator[Link]:
    """One p2pwire link over any reliable, ordered stream of bytes, which it closes at the end.

    Leaving the block says CLOSE(NONE); leaving it by an exception or a cancellation, CLOSE(SHUTDOWN).

        async with open_connection(stream, initiator=True, config=Config(identity)) as link:
            async for event in link:
                ...
    """
    hold_interrupts_out(Link, ConnectionTraffic, Flow, StreamCarrier)
    link = Link(StreamCarrier(stream), Role.INITIATOR if initiator else Role.RESPONDER, config)
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        await group.start(link.carry)
        try:
            yield link
            await link.aclose()
        except Exception as error:
            # Raised after the group, which would wrap it.
            failure = error
        finally:
            try:
                with anyio.move_on_after(LEAVE_TIME, shield=True):
                    await link.aclose(CloseCode.SHUTDOWN)
            finally:
                # Whoever interrupts that too wants to wait no longer.
                link.stop()
    if failure is not None:
        raise failure


class Link:
    """A `Connection` whose bytes flow by themselves. One task iterates over its events; any task may send."""

    def __init__(self, carrier: Carrier, role: Role, config: Config) -> None:
        self._connection = Connection(role, config, now=anyio.current_time(), random=os.urandom)
        self._arrived = Wake()
        self._room = anyio.Event()
        self._over = False
        traffic = ConnectionTraffic(self._connection, anyio.current_time, self._arrived.set, self._made_room)
        self._flow = Flow(carrier, traffic)

    @property
    def connection(self) -> Connection:
        """The state of the link, to look at: `identity`, `credit`, `can_send`, …"""
        return self._connection

    def __aiter__(self) -> Link:
        return self

    async def __anext__(self) -> Event:
        """The next event; the last one is `Closed`. While nobody waits here little is read, and no time runs out."""
        await checkpoint()
        connection = self._connection
        connection.resume(anyio.current_time())
        try:
            while not self._over:
                event = self._next_event()
                if event is not None:
                    return event
                await self._wait()
            raise StopAsyncIteration
        finally:
            connection.pause(anyio.current_time())

    async def send(self, command: Command) -> None:
        """Carry out a command. Waits while there is no room for it; another task has to iterate meanwhile.

        Raises `LocalProtocolError`, having changed nothing, if the protocol forbids the command now.
        """
        await checkpoint()
        while True:
            try:
                self._connection.send(command)
            except LocalProtocolError:
                if self._connection.can_send:
                    raise
                await self._room.wait()
            else:
                self._flow.transmit()
                return

    async def aclose(self, code: CloseCode = CloseCode.NONE, detail: str = "") -> None:
        """Say CLOSE, unless the link is over; wait until the other side has closed too, or the time for that is up."""
        connection = self._connection
        connection.resume(anyio.current_time())
        connection.send(CloseLink(code, detail))
        while True:
            while self._next_event() is not None:
                pass
            if connection.finished:
                return
            await self._wait()

    def _next_event(self) -> Event | None:
        event = self._connection.next_event()
        self._over = self._over or isinstance(event, Closed)
        # Parsing makes room to read, and may make answers.
        self._flow.transmit()
        self._flow.resume_reading()
        return event

    async def _wait(self) -> None:
        """Until bytes have come or time is up."""
        deadline = self._connection.next_timeout()
        await self._arrived.wait(inf if deadline is None else deadline)
        self._connection.handle_timeout(anyio.current_time())

    def _made_room(self) -> None:
        self._room.set()
        self._room = anyio.Event()

    async def carry(self, *, task_status: TaskStatus[None]) -> None:
        """Let the bytes flow until `stop`. Nothing else ends it: CLOSE has to go out while the program is cancelled."""
        with anyio.CancelScope(shield=True):
            task_status.started()
            await self._flow.run()

    def stop(self) -> None:
        """Close the carrier."""
        self._flow.abort()
