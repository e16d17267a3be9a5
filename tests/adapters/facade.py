"""The blocking adapter behind the asynchronous names, so that one test can try every adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from p2pwire.adapters import blocking

_Result = TypeVar("_Result")


async def in_thread(function: Callable[..., _Result], *arguments: Any, **named: Any) -> _Result:
    """Call something that waits; a cancelled test does not wait with it."""
    return await anyio.to_thread.run_sync(partial(function, *arguments, **named), abandon_on_cancel=True)


class AsyncIteration:
    """A blocking iterator, waited for in a thread."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator

    def __aiter__(self) -> AsyncIteration:
        return self

    async def __anext__(self) -> Any:
        item = await in_thread(next, self._iterator, self)
        if item is self:
            raise StopAsyncIteration
        return item


class FetchFacade:
    """See `p2pwire.adapters.blocking.Fetch`."""

    def __init__(self, fetch: blocking.Fetch) -> None:
        self._fetch = fetch
        self.cancel = fetch.cancel

    @property
    def progress(self) -> Any:
        return self._fetch.progress

    async def wait(self) -> blocking.Fetched:
        return await in_thread(self._fetch.wait)

    def __await__(self) -> Any:
        return self.wait().__await__()

    def __aiter__(self) -> AsyncIteration:
        return AsyncIteration(iter(self._fetch))

    async def __aenter__(self) -> FetchFacade:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fetch.__exit__(kind, error, trace)


class PeerFacade:
    """See `p2pwire.adapters.blocking.Peer`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._peer = blocking.Peer(*arguments, **named)

    async def __aenter__(self) -> PeerFacade:
        self._peer.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.aclose()

    async def aclose(self) -> None:
        await in_thread(self._peer.close)

    @property
    def identity(self) -> Any:
        return self._peer.identity

    async def listen(self, host: str | None = None, port: int = 0) -> Any:
        return await in_thread(self._peer.listen, host, port)

    async def share(self, content: Any, progress: Any = None) -> Any:
        return await in_thread(self._peer.share, content, progress)

    def fetch(self, uri: Any, destination: Any = None, peers: Iterable[Any] = (), **named: Any) -> FetchFacade:
        return FetchFacade(self._peer.fetch(uri, destination, peers, **named))

    def add_peers(self, uri: Any, peers: Iterable[Any]) -> None:
        self._peer.add_peers(uri, peers)

    def forget(self, uri: Any) -> None:
        self._peer.forget(uri)

    def send_extension(self, link: int, name: str, index: int, body: bytes) -> None:
        self._peer.send_extension(link, name, index, body)

    def peers(self) -> Any:
        return self._peer.peers()

    def events(self) -> AsyncIteration:
        return AsyncIteration(self._peer.events())
