"""Puts peers on TCP. `python tcp.py PORT` runs one that listens, for the suite's `--bare`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from keys import own_record
from peer import Peer

INBOUND = 200
"""links that are accepted at a time."""
ROOM = 65536
"""bytes that may wait for the network; while there are more nothing is read."""
LOOK = 0.05
"""seconds between two looks at a quiet connection: whether a timer has run out, or another link has ended this one."""


def milliseconds() -> int:
    """A monotonic clock."""
    return time.monotonic_ns() // 1_000_000


class Host:
    """An identity in one role, with any number of links."""

    def __init__(
        self, role: str, seed: bytes, listening: list[str], unix_time: int, told: Callable[[dict[str, Any]], object]
    ) -> None:
        self.role, self.seed, self.listening, self.unix_time, self.told = role, seed, listening, unix_time, told
        self.peers: list[Peer] = []
        self._links: list[Peer] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def peer(self, now: int) -> Peer:
        """One more peer, without a carrier."""
        record = own_record(self.seed, self.listening, self.unix_time) if self.listening else b""
        self.peers.append(Peer(self.role, self.seed, now, links=self._links, record=record))
        return self.peers[-1]

    async def listen(self, port: int = 0) -> str:
        """Take connections on 127.0.0.1; the address."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", port)
        address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.listening = self.listening or [address]
        return address

    async def dial(self, address: str) -> None:
        """Connect to `host:port`."""
        host, _, port = address.rpartition(":")
        task = asyncio.create_task(self._carry(*await asyncio.open_connection(host, int(port))))
        self._tasks.add(task)

    def close(self) -> None:
        """Say CLOSE on every link."""
        for peer in self.peers:
            peer.close()

    def stop(self) -> None:
        """Give everything back at once."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.role == "responder" and len(self.peers) >= INBOUND:
            writer.transport.abort()
            return
        task, peer, pipe = asyncio.current_task(), self.peer(milliseconds()), writer.transport
        assert task is not None
        self._tasks.add(task)
        try:
            while not peer.closed:
                await self._turn(peer, reader, pipe)
        finally:
            pipe.abort()
            self._tasks.discard(task)
            self.peers.remove(peer)

    async def _turn(self, peer: Peer, reader: asyncio.StreamReader, pipe: asyncio.WriteTransport) -> None:
        """Write what there is, read what comes, and look at the clock."""
        while pipe.get_write_buffer_size() <= ROOM and (data := peer.take()):
            pipe.write(data)
        if peer.ended:
            pipe.write_eof()
        waiting = pipe.get_write_buffer_size()
        try:
            if waiting > ROOM:
                await asyncio.sleep(LOOK)
            else:
                peer.receive(await asyncio.wait_for(reader.read(ROOM), LOOK), milliseconds())
        except TimeoutError:
            pass
        except OSError:
            peer.receive(b"", milliseconds())
        peer.tick(milliseconds(), waiting)
        for event in peer.events:
            self.told(event)
        peer.events.clear()


async def main() -> None:
    """Listen until the process is ended."""
    host = Host("responder", os.urandom(32), [], int(time.time()), print)
    print(await host.listen(int(sys.argv[1])), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
