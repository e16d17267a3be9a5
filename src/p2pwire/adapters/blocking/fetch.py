"""A fetch to wait for, to watch, and to give up; and the story to listen to."""

from __future__ import annotations

from threading import Condition
from types import TracebackType

from p2pwire.adapters.blocking.loop import Loop
from p2pwire.adapters.engine import Engine
from p2pwire.adapters.story import Story
from p2pwire.adapters.transfer import Fetched, Transfer
from p2pwire.content.uri import Uri
from p2pwire.node.events import NodeEvent
from p2pwire.node.node import Progress
from p2pwire.storage.interface import Storage


class Fetch:
    """A fetch that was begun. It goes on by itself; what it brought is shared until `cancel`.

    `wait` gives the result; `for progress in fetch` tells how far it is; leaving `with fetch` early cancels it.
    """

    def __init__(self, loop: Loop, engine: Engine, uri: Uri, place: Storage, *, sequential: bool) -> None:
        self._loop = loop
        self._engine = engine
        self._news = Condition()
        self._version = 0
        self._watchers = 0
        self._transfer = loop.call(lambda: engine.fetch(uri, place, self._changed, sequential=sequential))

    def _changed(self, over: bool) -> None:
        with self._news:
            self._version += 1
            # Who waits for the end is not to be woken for each block.
            if over or self._watchers:
                self._news.notify_all()

    @property
    def transfer(self) -> Transfer:
        """What it is for the engine."""
        return self._transfer

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._transfer.progress

    def wait(self, timeout: float | None = None) -> Fetched:
        """How it ended. Raises what ended it: `StorageError`, `ManifestError`, `FetchCancelledError`.

        TimeoutError if that takes more than `timeout` seconds; the fetch goes on.
        """
        with self._news:
            if not self._news.wait_for(lambda: self._transfer.over, timeout):
                raise TimeoutError(f"the fetch is not over after {timeout} seconds")
        return self._transfer.outcome()

    def cancel(self) -> None:
        """Give up, or share no longer. What was verified is kept, and a later fetch goes on from there."""
        self._loop.post(lambda: self._engine.cancel(self._transfer))

    def __iter__(self) -> _Watch:
        return _Watch(self)

    def __enter__(self) -> Fetch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._transfer.over:
            self.cancel()

    def change(self, seen: int) -> int:
        """Wait until there is news since version `seen`; the version now. The end is the last news."""
        with self._news:
            self._watchers += 1
            try:
                self._news.wait_for(lambda: self._version != seen or self._transfer.over)
            finally:
                self._watchers -= 1
            return self._version


class _Watch:
    """Progress each time there is some, however much came since the last time; the end of the fetch is its end."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._seen = -1

    def __iter__(self) -> _Watch:
        return self

    def __next__(self) -> Progress:
        seen, self._seen = self._seen, self._fetch.change(self._seen)
        if self._fetch.transfer.error is not None:
            raise self._fetch.transfer.error
        if self._seen == seen:
            raise StopIteration
        return self._fetch.progress


class Events(Story):
    """An endless iteration over what happens in a peer; it ends with the peer."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = Condition()

    def _stir(self) -> None:
        with self._heard:
            self._heard.notify_all()

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> NodeEvent:
        with self._heard:
            self._heard.wait_for(lambda: self._events or self._ended)
            if not self._events:
                raise StopIteration
            return self._events.popleft()
