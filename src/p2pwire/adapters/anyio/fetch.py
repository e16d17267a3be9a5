"""A fetch to wait for, to watch, and to give up; and the story to listen to."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from p2pwire.adapters.anyio.flow import Wake
from p2pwire.adapters.engine import Engine
from p2pwire.adapters.story import Story
from p2pwire.adapters.transfer import Fetched, Transfer
from p2pwire.content.uri import Uri
from p2pwire.node.events import NodeEvent
from p2pwire.node.node import Progress
from p2pwire.storage.interface import Storage


class Fetch:
    """A fetch that was begun. It goes on by itself; what it brought is shared until `cancel`.

    `await fetch` gives the result; `async for progress in fetch` tells how far it is; leaving `async with fetch` early
    cancels it.
    """

    def __init__(self, engine: Engine, uri: Uri, place: Storage, *, sequential: bool) -> None:
        self._engine = engine
        self._news = anyio.Event()
        self._end = anyio.Event()
        self._watched = False
        self._version = 0
        self._transfer = engine.fetch(uri, place, self._changed, sequential=sequential)

    def _changed(self, over: bool) -> None:
        self._version += 1
        if over:
            self._end.set()
        if self._watched:
            self._watched = False
            self._news.set()
            self._news = anyio.Event()

    @property
    def transfer(self) -> Transfer:
        """What it is for the engine."""
        return self._transfer

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._transfer.progress

    async def wait(self) -> Fetched:
        """How it ended. Raises what ended it: `StorageError`, `ManifestError`, `FetchCancelledError`."""
        await checkpoint()
        if not self._transfer.over:
            await self._end.wait()
        return self._transfer.outcome()

    def __await__(self) -> Generator[Any, Any, Fetched]:
        return self.wait().__await__()

    def cancel(self) -> None:
        """Give up, or share no longer. What was verified is kept, and a later fetch goes on from there."""
        self._engine.cancel(self._transfer)

    def __aiter__(self) -> Watch:
        return Watch(self)

    async def __aenter__(self) -> Fetch:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._transfer.over:
            self.cancel()

    async def change(self, seen: int) -> int:
        """Wait until there is news since version `seen`; the version now. The end is the last news."""
        await checkpoint()
        while self._version == seen and not self._transfer.over:
            self._watched = True
            await self._news.wait()
        return self._version


class Watch:
    """Progress each time there is some, however much came since the last time; the end of the fetch is its end."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._seen = -1

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Progress:
        seen, self._seen = self._seen, await self._fetch.change(self._seen)
        if self._fetch.transfer.error is not None:
            raise self._fetch.transfer.error
        if self._seen == seen:
            raise StopAsyncIteration
        return self._fetch.progress


class Events(Story):
    """An endless iteration over what happens in a peer; it ends with the peer."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = Wake()

    def _stir(self) -> None:
        self._heard.set()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> NodeEvent:
        await checkpoint()
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            await self._heard.wait()
        return self._events.popleft()
