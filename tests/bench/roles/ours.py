"""A p2pwire peer: `share BACKEND FILE`, or `fetch BACKEND DIRECTORY URI…`, with asyncio, trio or blocking."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time

import anyio
import anyio.to_thread

from p2pwire.adapters import anyio as with_anyio
from p2pwire.adapters import blocking
from p2pwire.content.uri import Uri
from tests.bench.processes import say, serve, usage


def share_blocking(path: str) -> None:
    with blocking.Peer() as peer:
        peer.listen("127.0.0.1")
        say(uri=str(peer.share(path)))
        serve({"usage": usage})


async def share_anyio(path: str) -> None:
    async with with_anyio.Peer() as peer:
        await peer.listen("127.0.0.1")
        say(uri=str(await peer.share(path)))
        await anyio.to_thread.run_sync(serve, {"usage": usage})


def fetch_blocking(directory: str, uri: str, more: Sequence[tuple[str, int]]) -> None:
    with blocking.Peer() as peer:
        say(ready=True)
        sys.stdin.readline()
        cpu, begun = process_time(), perf_counter()
        done = peer.fetch(uri, directory, peers=more).wait()
        report(cpu, begun, done.path)


async def fetch_anyio(directory: str, uri: str, more: Sequence[tuple[str, int]]) -> None:
    async with with_anyio.Peer() as peer:
        say(ready=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        cpu, begun = process_time(), perf_counter()
        done = await peer.fetch(uri, directory, peers=more)
        report(cpu, begun, done.path)


def report(cpu: float, begun: float, path: Path | None) -> None:
    """What a transfer took."""
    seconds = perf_counter() - begun
    assert path is not None
    spent = usage()
    say(seconds=seconds, path=str(path), cpu=spent["cpu"] - cpu, peak=spent["peak"])


def main(role: str, backend: str, place: str, *uris: str) -> None:
    """Be one of the two."""
    if role == "share":
        if backend == "blocking":
            share_blocking(place)
        else:
            anyio.run(share_anyio, place, backend=backend)
        return
    more = [(peer.host, peer.port) for uri in uris[1:] for peer in Uri.parse(uri).peers]
    if backend == "blocking":
        fetch_blocking(place, uris[0], more)
    else:
        anyio.run(fetch_anyio, place, uris[0], more, backend=backend)


if __name__ == "__main__":
    main(*sys.argv[1:])
