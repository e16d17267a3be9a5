"""Callbacks under asyncio: for sockets they take a fraction of what tasks do that wait."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable

from p2pwire.adapters.socketflow import READ, WRITE, Call, OnReady


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of asyncio in which this runs; None under trio."""
    try:
        return None if asyncio.current_task() is None else asyncio.get_running_loop()
    except RuntimeError:
        return None


class AsyncioReactor:
    """An event loop of asyncio's kind as a `Reactor`. The first error of a call goes to `failed`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, failed: Callable[[Exception], None]) -> None:
        self._loop = loop
        self._failed = failed
        self._soon: dict[Call, None] = {}
        self._timers: dict[Call, asyncio.TimerHandle] = {}
        self.now = self._loop.time

    @classmethod
    def find(cls, failed: Callable[[Exception], None]) -> AsyncioReactor | None:
        """That of the running event loop; None under trio, and on Windows, where asyncio watches no sockets."""
        loop = running_loop()
        return None if loop is None or sys.platform == "win32" else cls(loop, failed)

    def soon(self, call: Call) -> None:
        """See `Reactor`."""
        if not self._soon:
            self._loop.call_soon(self._run_soon)
        self._soon[call] = None

    def at(self, when: float | None, call: Call) -> None:
        """See `Reactor`."""
        timer = self._timers.pop(call, None)
        if timer is not None:
            timer.cancel()
        if when is not None:
            self._timers[call] = self._loop.call_at(when, self._ring, call)

    def watch(self, sock: socket.socket, before: int, events: int, ready: OnReady) -> None:
        """See `Reactor`."""
        changed = before ^ events
        if changed & READ:
            if events & READ:
                self._loop.add_reader(sock, self._run, ready, READ)
            else:
                self._loop.remove_reader(sock)
        if changed & WRITE:
            if events & WRITE:
                self._loop.add_writer(sock, self._run, ready, WRITE)
            else:
                self._loop.remove_writer(sock)

    def _run_soon(self) -> None:
        calls, self._soon = self._soon, {}
        for call in calls:
            self._run(call)

    def _ring(self, call: Call) -> None:
        del self._timers[call]
        self._run(call)

    def _run(self, call: Callable[..., None], *arguments: int) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self._failed(error)
