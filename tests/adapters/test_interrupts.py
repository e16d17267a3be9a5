"""Ctrl-C, and cancelling, at the worst moments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import anyio
import pytest

from p2pwire.adapters.anyio import Peer
from p2pwire.content.uri import Uri
from p2pwire.storage.memory import MemoryStorage
from tests.adapters.blobs import some_bytes

GUARD: Final = 20.0
"""seconds after which a test has failed"""

WHILE_WAITING: Final = """
import signal, sys, anyio
from p2pwire.adapters.anyio import Peer
from p2pwire.storage.memory import MemoryStorage

def interrupt(at):
    lines = 0
    def each(frame, event, argument):
        nonlocal lines
        callers, caller = [], frame
        while (caller := caller.f_back) is not None and len(callers) < 3:
            callers.append(caller.f_code.co_qualname)
        # The innards of what a fetch waits with.
        if event == "line" and "Fetch.wait" in callers and "Event.wait" in (frame.f_code.co_qualname, *callers):
            lines += 1
            if lines == at:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return each
    sys.settrace(each)

async def fetch_and_be_interrupted(at):
    async with Peer() as bob, Peer() as alice:
        await bob.listen("127.0.0.1")
        fetch = alice.fetch(await bob.share(sys.argv[2]), MemoryStorage())
        async for progress in fetch:
            if progress.done:
                break
        interrupt(at)
        await fetch

for at in range(1, 8):
    try:
        anyio.run(fetch_and_be_interrupted, at, backend=sys.argv[1])
    except* KeyboardInterrupt:
        print(at, flush=True)
"""
"""Interrupts the wait for a fetch at one line after the other, of which there are some."""

WHILE_LEAVING: Final = """
import signal, sys, anyio
from p2pwire.adapters.anyio import Peer
from p2pwire.adapters.engine import Engine
from p2pwire.content.uri import Uri
from p2pwire.storage.memory import MemoryStorage

closing = Engine.close_links
def interrupted(self):
    closing(self)
    signal.raise_signal(signal.SIGINT)
Engine.close_links = interrupted

async def main():
    async with Peer() as peer:
        peer.fetch(Uri(bytes(32)), MemoryStorage())
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep_forever()

try:
    anyio.run(main, backend=sys.argv[1])
except* KeyboardInterrupt:
    print("left")
"""

WHILE_CLOSING: Final = """
import signal, socket, sys, anyio
from p2pwire.adapters.anyio import Link, open_connection
from p2pwire.connection.config import Config
from p2pwire.crypto.identity import Identity

async def interrupted(self, *arguments):
    signal.raise_signal(signal.SIGINT)
    await anyio.sleep(60)
Link.aclose = interrupted

async def main():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stream = await anyio.connect_tcp(*silent.getsockname())
        async with open_connection(stream, initiator=True, config=Config(Identity.from_seed(bytes(32)))):
            signal.raise_signal(signal.SIGINT)
            await anyio.sleep_forever()

try:
    anyio.run(main, backend=sys.argv[1])
except* KeyboardInterrupt:
    print("left")
"""


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=GUARD, check=True).stdout


@pytest.mark.parametrize("adapter", ["asyncio", "trio"])
def test_an_interrupt_in_the_midst_of_waiting_breaks_nothing(adapter: str, tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(some_bytes(8_000_000))
    assert run(WHILE_WAITING, adapter, str(blob)).startswith("1\n2\n3\n")


@pytest.mark.parametrize("adapter", ["asyncio", "trio"])
def test_a_second_interrupt_ends_the_program_at_once(adapter: str) -> None:
    assert run(WHILE_LEAVING, adapter) == "left\n"


@pytest.mark.parametrize("adapter", ["asyncio", "trio"])
def test_a_second_interrupt_ends_a_link_at_once(adapter: str) -> None:
    assert run(WHILE_CLOSING, adapter) == "left\n"


@pytest.mark.parametrize("adapter", ["asyncio", "trio"])
def test_who_gives_up_to_wait_for_the_end_does_not_stop_it(adapter: str) -> None:
    async def main() -> None:
        with anyio.fail_after(GUARD):
            async with Peer() as peer:
                fetch = peer.fetch(Uri(bytes(32)), MemoryStorage())
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await peer.aclose()
                assert fetch.transfer.over

    anyio.run(main, backend=adapter)
