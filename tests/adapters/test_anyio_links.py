"""Links over byte streams of the caller's own, under asyncio and trio."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import anyio
import pytest

from p2pwire.adapters.anyio import Link, open_connection
from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.config import Config, Timeouts
from p2pwire.connection.transfer import MAX_RUN
from p2pwire.content.merkle import BLOCK
from p2pwire.crypto.identity import Identity
from p2pwire.wire.registry import SEND_QUEUE_DATA, CloseCode
from tests.adapters.blobs import Blob, Fetcher, Seeder, some_bytes
from tests.adapters.streams import OpenPair, memory_pair, tcp_pair, tls_pair, unix_pair, websocket_pair

pytestmark = pytest.mark.anyio

GUARD = 20.0
"""seconds after which a test has failed."""

PAIRS = [memory_pair, tcp_pair, unix_pair, tls_pair]


def a_config(**changes: object) -> Config:
    return Config(Identity.from_seed(os.urandom(32)), **changes)  # type: ignore[arg-type]


async def seed(link: Link, blob: Blob) -> list[ev.Event]:
    """Serve the blob until the link is over; the events."""
    events, seeder = [], Seeder(blob)
    async for event in link:
        events.append(event)
        for command in seeder.react(event):
            await link.send(command)
    return events


async def fetch(link: Link, blob: Blob) -> bytes:
    """Fetch the blob; its bytes."""
    fetcher = Fetcher(blob)
    async for event in link:
        for command in fetcher.react(event):
            await link.send(command)
        if fetcher.complete:
            break
    return bytes(fetcher.received)


async def move_blob(open_pair: OpenPair) -> tuple[Blob, bytes, list[ev.Event]]:
    blob = Blob(some_bytes(2_500_000))
    served: list[ev.Event] = []
    with anyio.fail_after(GUARD):
        async with open_pair() as (one, other), anyio.create_task_group() as group:

            async def serve() -> None:
                async with open_connection(other, initiator=False, config=blob.config(known=True)) as link:
                    served.extend(await seed(link, blob))

            group.start_soon(serve)
            async with open_connection(one, initiator=True, config=blob.config(known=False)) as link:
                received = await fetch(link, blob)
    return blob, received, served


@pytest.mark.parametrize("open_pair", PAIRS)
async def test_a_blob_moves_over_any_stream_and_the_link_ends_in_order(open_pair: OpenPair) -> None:
    blob, received, served = await move_blob(open_pair)
    assert received == blob.data
    assert served[-1] == ev.Closed(CloseCode.NONE, 0, "", by_peer=True, truncated=False)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_blob_moves_over_a_websocket() -> None:
    blob, received, served = await move_blob(websocket_pair)
    assert received == blob.data
    assert isinstance(served[-1], ev.Closed)
    assert not served[-1].truncated


async def test_a_carrier_that_breaks_is_told_from_an_orderly_end() -> None:
    with anyio.fail_after(GUARD):
        async with memory_pair() as (one, other), anyio.create_task_group() as group:
            established = anyio.Event()

            async def vanish() -> None:
                async with open_connection(other, initiator=False, config=a_config()) as link:
                    async for event in link:
                        if isinstance(event, ev.LinkEstablished):
                            established.set()

            group.start_soon(vanish)
            async with open_connection(one, initiator=True, config=a_config()) as link:
                async for event in link:
                    if isinstance(event, ev.LinkEstablished):
                        await established.wait()
                        await other.aclose()
            assert isinstance(event, ev.Closed)
            assert event.truncated


@pytest.mark.parametrize("how", ["cancelled", "raised"])
async def test_leaving_without_warning_says_shutdown(how: str) -> None:
    last: list[ev.Event] = []
    with anyio.fail_after(GUARD):
        async with memory_pair() as (one, other), anyio.create_task_group() as group:

            async def watch() -> None:
                async with open_connection(other, initiator=False, config=a_config()) as link:
                    last.extend([event async for event in link])

            group.start_soon(watch)
            with anyio.CancelScope() as scope:
                expected: AbstractContextManager[object] = (
                    pytest.raises(LookupError) if how == "raised" else nullcontext()
                )  # and not in a group
                with expected:
                    async with open_connection(one, initiator=True, config=a_config()) as link:
                        async for event in link:
                            if isinstance(event, ev.LinkEstablished):
                                if how == "raised":
                                    raise LookupError("no longer wanted")
                                scope.cancel()
    assert isinstance(last[-1], ev.Closed)
    assert last[-1].code is CloseCode.SHUTDOWN
    assert last[-1].by_peer


async def test_send_waits_for_room_and_a_reader_that_stands_still_bounds_what_is_taken() -> None:
    """The other side reads nothing: what was taken from the sender is the queue and what the carrier holds."""
    blob = Blob(some_bytes(300 * BLOCK))
    sent = 0
    with anyio.fail_after(GUARD):
        async with memory_pair() as (one, other), anyio.create_task_group() as group:
            go_on = anyio.Event()

            async def serve() -> None:
                nonlocal sent
                seeder = Seeder(blob)
                async with open_connection(other, initiator=False, config=blob.config(known=True)) as link:
                    async for event in link:
                        for command in seeder.react(event):
                            await link.send(command)
                            sent += isinstance(command, cmd.SendBlock)

            group.start_soon(serve)
            async with open_connection(one, initiator=True, config=blob.config(known=False)) as link:
                fetcher = Fetcher(blob)
                async for event in link:
                    for command in fetcher.react(event):
                        await link.send(command)
                    if isinstance(event, ev.BlocksReceived) and not go_on.is_set():
                        await anyio.wait_all_tasks_blocked()
                        go_on.set()
                        # The queue twice (one part waits in the carrier), this end's buffers, a run, and a frame more.
                        assert sent * BLOCK < 2 * SEND_QUEUE_DATA + 6 * 65536 + (MAX_RUN + 1) * BLOCK
                    if fetcher.complete:
                        break
    assert fetcher.received == blob.data


async def test_a_command_that_is_forbidden_raises_and_the_link_goes_on() -> None:
    with anyio.fail_after(GUARD):
        async with memory_pair() as (one, other), anyio.create_task_group() as group:

            async def answer() -> None:
                async with open_connection(other, initiator=False, config=a_config()) as link:
                    async for _ in link:
                        pass

            group.start_soon(answer)
            async with open_connection(one, initiator=True, config=a_config()) as link:
                with pytest.raises(cmd.LocalProtocolError):
                    await link.send(cmd.Ping(b"too soon"))
                async for event in link:
                    if isinstance(event, ev.LinkEstablished):
                        await link.send(cmd.Ping(b"8 bytes."))
                    elif isinstance(event, ev.PongReceived):
                        break
                assert event == ev.PongReceived(b"8 bytes.")
                await link.aclose()
                assert [event async for event in link] == []


async def test_time_runs_out_by_itself() -> None:
    """Nobody speaks at the other end."""
    config = a_config(timeouts=Timeouts(handshake=0.01))
    with anyio.fail_after(GUARD):
        async with memory_pair() as (one, _), open_connection(one, initiator=True, config=config) as link:
            events = [event async for event in link]
    assert [event.code for event in events if isinstance(event, ev.Closed)] == [CloseCode.TIMEOUT]
