"""Hundreds of idle links to one process: what each costs."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from typing import Final

import anyio

from p2pwire.adapters.anyio import open_connection
from p2pwire.connection.config import Config
from p2pwire.connection.events import LinkEstablished
from p2pwire.crypto.identity import Identity
from tests.world.trial import World, processor_time, resident

LINKS: Final = 500
QUICK: Final = 50
WATCHED: Final = 60.0
"""seconds of idling over which processor time is taken: each side says something every 50 seconds."""
WATCHED_QUICK: Final = 3.0

SERVER: Final = """
import asyncio, sys
from p2pwire.adapters.anyio import Peer
from p2pwire.node.node import NodeConfig
async def main():
    async with Peer(config=NodeConfig(max_inbound=1000, useless_after=1e9)) as peer:
        (bound,) = await peer.listen("127.0.0.1")
        print(bound.port, flush=True)
        for line in iter(lambda: None, 1):
            asked = await asyncio.to_thread(sys.stdin.readline)
            if not asked:
                return
            print(len(peer.peers()), flush=True)
asyncio.run(main())
"""


def crowd(world: World) -> None:
    """Figures for one link: memory, and processor time, of the process that has them all."""
    count = QUICK if world.quick else LINKS
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            asyncio.run(_stay(world, server, port, count))
        finally:
            server.kill()


async def _stay(world: World, server: subprocess.Popen[str], port: int, count: int) -> None:
    before, began, took = resident(server.pid), time.monotonic(), processor_time(server.pid)
    ready = asyncio.Semaphore(0)
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.create_task(_hold(port, ready)))
        await ready.acquire()
    made = time.monotonic() - began
    assert server.stdin is not None
    assert server.stdout is not None
    grew = resident(server.pid) - before
    making = processor_time(server.pid) - took
    idle, at = processor_time(server.pid), time.monotonic()
    await asyncio.sleep(WATCHED_QUICK if world.quick else WATCHED)
    spent = (processor_time(server.pid) - idle) / (time.monotonic() - at)
    server.stdin.write("how many?\n")
    server.stdin.flush()
    open_now = int(server.stdout.readline())
    for task in tasks:
        task.cancel()
    world.say(
        f"{open_now} links, made in {made:.1f} s: {grew / count / 1024:.1f} KiB each, "
        f"{1000 * making / count:.1f} ms to make; "
        f"idle they take {100 * spent:.2f} % of a processor, {1e6 * spent / count:.0f} µs a second each"
    )
    assert open_now == count
    assert grew / count < 200 * 1024
    assert spent < 0.2


async def _hold(port: int, made: asyncio.Semaphore) -> None:
    """One link, which says what the protocol makes it say."""
    async with (
        await anyio.connect_tcp("127.0.0.1", port) as stream,
        open_connection(stream, initiator=True, config=Config(Identity.from_seed(os.urandom(32)))) as link,
    ):
        async for event in link:
            if isinstance(event, LinkEstablished):
                made.release()
