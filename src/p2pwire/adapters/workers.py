"""Threads that wait for disks, so that nobody else has to."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Final, TypeAlias

Work: TypeAlias = Callable[[], object]
Ending: TypeAlias = Callable[[object, Exception | None], None]
"""Takes the result, or the error."""

WORKERS: Final = 4
"""Threads of one peer: several contents are read and written at a time, but few, because a disk has one arm."""


class Workers:
    """Runs work in threads. When some is done, `ear` becomes readable: then call `collect`, which calls the endings.

    All methods are for one and the same thread. A visit to a worker and back takes half the time of
    `anyio.to_thread.run_sync`, and works with any event loop, or none.
    """

    def __init__(self, count: int = WORKERS) -> None:
        self._count = count
        self._threads: list[threading.Thread] = []
        self._tasks: SimpleQueue[tuple[Work, Ending] | None] = SimpleQueue()
        self._done: deque[tuple[Ending, object, Exception | None]] = deque()
        self._bell, self.ear = socket.socketpair()
        self._lock = threading.Lock()
        self._rung = False
        self._closed = False
        self.busy = 0
        """Pieces of work that are not collected yet."""
        for end in (self._bell, self.ear):
            end.setblocking(False)

    def submit(self, work: Work, ending: Ending) -> None:
        """Run work in a thread; `collect` calls the ending. Nothing happens after `close`."""
        if self._closed:
            return
        self.busy += 1
        if self.busy > len(self._threads) < self._count:
            thread = threading.Thread(target=self._run, name="p2pwire disk", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._tasks.put((work, ending))

    def collect(self) -> None:
        """Call the endings of all work that is done."""
        with suppress(BlockingIOError):
            self.ear.recv(1)
        with self._lock:
            self._rung = False
        while self._done:
            ending, result, error = self._done.popleft()
            self.busy -= 1
            ending(result, error)

    def close(self) -> None:
        """End the threads, after the work that they have."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        self._bell.close()
        self.ear.close()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            work, ending = task
            try:
                self._done.append((ending, work(), None))
            except Exception as error:
                self._done.append((ending, None, error))
            with self._lock:
                ring, self._rung = not self._rung, True
            if ring:
                self._bell.send(b"\0")
