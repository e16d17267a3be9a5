"""The two tasks of a link: one moves bytes from the carrier to the traffic, the other one back."""

from __future__ import annotations

from math import inf
from typing import Final

import anyio

from p2pwire.adapters.anyio.carriers import Carrier, CarrierLostError
from p2pwire.adapters.traffic import Traffic
from p2pwire.wire.messages import Buffer

LEAVE_TIME: Final = 1.0
"""seconds that a link which is over, or a program which ends, still gives a carrier to take what was said last."""


class Wake:
    """Wakes the one task that waits; remembers being set until it waits."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        """Let the waiting task, or the next one, go on."""
        self._event.set()

    async def wait(self, until: float = inf) -> None:
        """Return when it has been set since the last time, or at `until`."""
        if until == inf:
            await self._event.wait()
        else:
            with anyio.CancelScope(deadline=until):
                await self._event.wait()
        if self._event.is_set():
            self._event = anyio.Event()


class Flow:
    """Reads while the traffic wants data, and writes while it has some, until `hang_up`; then closes the carrier."""

    def __init__(self, carrier: Carrier, traffic: Traffic) -> None:
        self._carrier = carrier
        self._traffic = traffic
        self._wanted = Wake()
        self._output = Wake()
        self._scope = anyio.CancelScope()
        self._hung_up = False

    def resume_reading(self) -> None:
        """The traffic may want data again."""
        self._wanted.set()

    def transmit(self) -> None:
        """The traffic may have data."""
        self._output.set()

    def hang_up(self) -> None:
        """Write what was taken from the traffic, if it goes quickly, and end."""
        self._hung_up = True
        self._scope.deadline = anyio.current_time() + LEAVE_TIME
        self._output.set()

    def abort(self) -> None:
        """End now."""
        self._hung_up = True
        self._scope.cancel()

    async def run(self) -> None:
        """Carry, until `hang_up` or `abort`."""
        try:
            with self._scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._read)
                    await self._write()
                    group.cancel_scope.cancel()
        finally:
            with anyio.move_on_after(LEAVE_TIME, shield=True):
                await self._carrier.aclose()

    async def _read(self) -> None:
        traffic = self._traffic
        while True:
            while not traffic.wants_data():
                await self._wanted.wait()
            try:
                data: Buffer = await self._carrier.receive()
            except CarrierLostError:
                traffic.lost()
                return
            traffic.receive_data(data)
            if not data:
                return

    async def _write(self) -> None:
        traffic = self._traffic
        said_all = lost = False
        while not self._hung_up:
            buffers = traffic.data_to_send()
            ended = not buffers and traffic.output_ended()
            try:
                if lost:
                    # The other side's last words may still be read; what would be said goes nowhere.
                    pass
                elif buffers:
                    await self._carrier.send(buffers)
                elif ended and not said_all:
                    said_all = True
                    await self._carrier.send_eof()
            except CarrierLostError:
                lost = True
            if not buffers:
                await self._output.wait()
