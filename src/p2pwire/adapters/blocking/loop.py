"""The one thread of a blocking peer or link that waits: for sockets, for time, and for calls from other threads."""

from __future__ import annotations

import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import TypeVar

from p2pwire.adapters.socketflow import READ, Call, OnReady
from p2pwire.adapters.transfer import PeerClosedError
from p2pwire.node.alarms import Alarms

_Result = TypeVar("_Result")


class Loop:
    """Runs calls in its thread. Methods are for that thread, unless they say otherwise."""

    def __init__(self, name: str) -> None:
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._lock = threading.Lock()
        self._calls: deque[tuple[Call, Call | None]] = deque()
        """What to run, and what to do instead if the thread has ended."""
        self._rung = False
        self._over = False
        self._soon: dict[Call, None] = {}
        self._alarms: Alarms[Call] = Alarms()
        self.failure: BaseException | None = None
        """What ended the thread before its time."""
        self.on_failure: Callable[[BaseException], None] | None = None
        for end in (self._bell, self._ear):
            end.setblocking(False)
        self._selector.register(self._ear, READ, self._hear)

    # --- for any thread ---

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def post(self, call: Call, otherwise: Call | None = None) -> None:
        """Run a call in the thread, soon; or, if the thread ends before that, another one anywhere."""
        with self._lock:
            if self._over:
                self._reject(otherwise)
                return
            self._calls.append((call, otherwise))
            ring, self._rung = not self._rung, True
            if ring:
                # Under the lock: the thread that ends closes the bell after it had it.
                self._bell.send(b"\0")

    def call(self, function: Callable[[], _Result]) -> _Result:
        """Run a function in the thread and wait for its result. Raises what it raises, and PeerClosedError."""
        future: Future[_Result] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)

        self.post(run, lambda: future.set_exception(PeerClosedError("the peer is closed")))
        return future.result()

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def now(self) -> float:
        """Seconds on the clock of `at`."""
        return monotonic()

    # --- for its own thread ---

    def soon(self, call: Call) -> None:
        """Run a call after the one that runs now, once however often it is asked for."""
        self._soon[call] = None

    def at(self, when: float | None, call: Call) -> None:
        """Run a call at a time, instead of the one given before; None: not at all."""
        if when is None:
            self._alarms.cancel(call)
        else:
            self._alarms.set(call, when)

    def watch(self, sock: socket.socket, before: int, events: int, ready: OnReady) -> None:
        """Call `ready` when one of these events is; `before` is what was asked for until now."""
        if events == before:
            return
        if not events:
            self._selector.unregister(sock)
        elif not before:
            self._selector.register(sock, events, ready)
        else:
            self._selector.modify(sock, events, ready)

    def stop(self) -> None:
        """End when the present calls have run."""
        self._over = True

    # --- inside ---

    def _run(self) -> None:
        try:
            while not self._over:
                self._turn()
        except BaseException as error:
            self.failure = error
            if self.on_failure is not None:
                self.on_failure(error)
        finally:
            with self._lock:
                self._over = True
                calls, self._calls = self._calls, deque()
            self._selector.close()
            self._bell.close()
            self._ear.close()
            for _, otherwise in calls:
                self._reject(otherwise)

    @staticmethod
    def _reject(otherwise: Call | None) -> None:
        if otherwise is not None:
            otherwise()

    def _turn(self) -> None:
        for key, events in self._selector.select(self._patience()):
            key.data(events)
        while self._calls:
            self._calls.popleft()[0]()
        soon, self._soon = self._soon, {}
        for call in soon:
            call()
        for call in list(self._alarms.due(monotonic())):
            call()

    def _patience(self) -> float | None:
        if self._soon:
            return 0.0
        when = self._alarms.next()
        return None if when is None else max(0.0, when - monotonic())

    def _hear(self, events: int) -> None:
        self._ear.recv(1)
        with self._lock:
            self._rung = False
