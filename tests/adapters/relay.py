"""A wire between two peers that can be cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import SocketAttribute, SocketStream

from p2pwire.node.address import Endpoint


class Relay:
    """Passes on what comes to its address."""

    def __init__(self, target: Endpoint, port: int) -> None:
        self.address = Endpoint(target.ip, port)
        self._target = target
        self._wires: set[anyio.CancelScope] = set()

    def cut(self) -> None:
        """End all present links, without a word; new ones can be made."""
        for wire in self._wires:
            wire.cancel()

    async def carry(self, near: SocketStream) -> None:
        """Join an accepted stream to a new one."""
        with anyio.CancelScope() as wire:
            self._wires.add(wire)
            far = await anyio.connect_tcp(self._target.host, self._target.port)
            async with near, far, anyio.create_task_group() as group:
                group.start_soon(self._pass_on, near, far)
                await self._pass_on(far, near)
        self._wires.discard(wire)

    @staticmethod
    async def _pass_on(source: SocketStream, sink: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for data in source:
                await sink.send(data)
            await sink.send_eof()


@asynccontextmanager
async def relay(target: Endpoint) -> AsyncIterator[Relay]:
    """A relay to a listening peer."""
    listener = await anyio.create_tcp_listener(local_host=target.host)
    wire = Relay(target, listener.extra(SocketAttribute.local_port))
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, wire.carry)
        yield wire
        group.cancel_scope.cancel()
