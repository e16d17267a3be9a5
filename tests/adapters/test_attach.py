"""Peers over streams of the caller's own."""

from __future__ import annotations

import socket

import anyio
import pytest

from p2pwire.adapters import blocking
from p2pwire.adapters.anyio import Peer
from p2pwire.storage.memory import MemoryStorage, share_bytes
from tests.adapters.blobs import some_bytes
from tests.adapters.streams import OpenPair, memory_pair, tls_pair, unix_pair, websocket_pair

GUARD = 20.0
"""seconds after which a test has failed."""

DATA = some_bytes(1_000_000)


async def move_over(open_pair: OpenPair) -> None:
    """Share and fetch over a pair of streams, without an address on either side."""
    target = MemoryStorage()
    with anyio.fail_after(GUARD):
        async with open_pair() as (one, other), Peer() as bob, Peer(storage=target) as alice:
            uri = await bob.share(share_bytes(DATA, "blob"))
            fetch = alice.fetch(uri)
            await bob.attach(other, initiator=False)
            await alice.attach(one, initiator=True)
            await fetch
            (link,) = alice.peers()
            assert link.identity == bob.identity.public
            assert link.endpoint is None
    assert target.finished["blob"] == DATA


@pytest.mark.anyio
@pytest.mark.parametrize("open_pair", [memory_pair, unix_pair, tls_pair])
async def test_peers_meet_over_any_stream(open_pair: OpenPair) -> None:
    await move_over(open_pair)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_peers_meet_over_a_websocket() -> None:
    await move_over(websocket_pair)


def test_peers_meet_over_a_socket_pair() -> None:
    target = MemoryStorage()
    one, other = socket.socketpair()
    with blocking.Peer() as bob, blocking.Peer(storage=target) as alice:
        uri = bob.share(share_bytes(DATA, "blob"))
        fetch = alice.fetch(uri)
        assert bob.attach(other, initiator=False) == 1
        alice.attach(one, initiator=True)
        assert fetch.wait(GUARD).sources == {bob.identity.public: len(DATA)}
    assert target.finished["blob"] == DATA


def mistake() -> None:
    raise ZeroDivisionError


def test_a_mistake_in_the_peers_thread_is_heard_by_who_waits() -> None:
    with blocking.Peer(storage=MemoryStorage()) as alice:
        alice.listen("127.0.0.1")
        fetch, story = alice.fetch("p2pwire:" + "a" * 52), alice.events()
        alice._loop.post(mistake)
        with pytest.raises(ZeroDivisionError):
            fetch.wait(GUARD)
        assert list(story) == []
        with pytest.raises(blocking.PeerClosedError):
            alice.peers()


def test_waiting_can_be_bounded_and_a_closed_peer_says_so() -> None:
    with blocking.Peer(storage=MemoryStorage()) as alice:
        fetch = alice.fetch("p2pwire:" + "a" * 52)
        with pytest.raises(TimeoutError):
            fetch.wait(0)
    with pytest.raises(blocking.FetchCancelledError):
        fetch.wait()
    with pytest.raises(blocking.PeerClosedError):
        alice.peers()
    alice.close()
