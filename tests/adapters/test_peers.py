"""Peers over real sockets on loopback: one set of tests for every adapter."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from p2pwire.adapters.anyio import Peer
from p2pwire.adapters.transfer import FetchCancelledError, PeerClosedError
from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.config import Extension
from p2pwire.connection.transfer import MAX_RUN
from p2pwire.content.merkle import BLOCK
from p2pwire.content.uri import Uri
from p2pwire.crypto.identity import Identity
from p2pwire.node import events as happened
from p2pwire.node.dialer import DialLimits
from p2pwire.node.node import NodeConfig
from p2pwire.storage.errors import StorageError, StorageErrorKind
from p2pwire.storage.filesystem import FileSystemStorage
from p2pwire.storage.memory import MemoryStorage, share_bytes
from p2pwire.wire.registry import MAX_UNWRITTEN_BLOCKS, CloseCode
from tests.adapters.blobs import some_bytes
from tests.adapters.relay import relay
from tests.adapters.storages import FullDisk, Gate, WatchedStorage, holding, leave

pytestmark = pytest.mark.anyio

GUARD = 20.0
LONG = "x" * 64 + ".invalid"
"""what can be no name, for a part of it is too long"""
"""seconds after which a test has failed."""


@pytest.fixture
def anyio_backend(adapter: str) -> str:
    """The blocking adapter's threads are waited for under asyncio."""
    return "asyncio" if adapter == "blocking" else adapter


def make_folder(folder: Path) -> Path:
    """Files of all lengths that matter, an executable one, a folder in a folder, and an empty one."""
    for name, size in {"empty": 0, "one": 1, "block": BLOCK, "more": BLOCK + 1, "deep/er/large": 700_001}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(some_bytes(size))
    (folder / "one").chmod(0o755)
    (folder / "nothing").mkdir()
    return folder


def content_of(folder: Path) -> dict[str, tuple[bytes, bool] | None]:
    """Every file's bytes and whether it is executable; None for directories."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in folder.rglob("*")
    }


async def until(events: Any, kind: type[Any]) -> Any:
    """The next event of a class."""
    async for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"the story ended without {kind.__name__}")


@pytest.mark.parametrize("size", [0, 1, BLOCK, 3_000_001])
async def test_a_file_arrives(new_peer: Any, tmp_path: Path, size: int) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(some_bytes(size))
    with anyio.fail_after(GUARD):
        async with new_peer() as bob, new_peer() as alice:
            await bob.listen("127.0.0.1")
            uri = await bob.share(source)
            done = await alice.fetch(str(uri), tmp_path / "here")
            assert done.path == tmp_path / "here" / "source.bin"
            assert done.path.read_bytes() == source.read_bytes()
            assert done.bytes == size
            assert dict(done.sources) == ({bob.identity.public: size} if size else {})
            assert done.seconds > 0


async def test_a_folder_arrives_and_can_be_fetched_from_who_fetched_it(new_peer: Any, tmp_path: Path) -> None:
    source = make_folder(tmp_path / "things")
    with anyio.fail_after(GUARD):
        async with new_peer() as alice:
            async with new_peer() as bob:
                await bob.listen("127.0.0.1")
                uri = await bob.share(source)
                await alice.fetch(uri, tmp_path / "alice")
            (address,) = await alice.listen("127.0.0.1")
            async with new_peer() as charlie:
                fetch = charlie.fetch(f"p2pwire:{str(uri)[8:60]}", tmp_path / "charlie", [str(address)])
                done = await fetch
    assert content_of(tmp_path / "alice" / "things") == content_of(source)
    assert done.path == tmp_path / "charlie" / str(uri)[8:24]  # without dn the id names it
    assert content_of(done.path) == content_of(source)
    assert dict(done.sources) == {alice.identity.public: done.bytes}


async def test_progress_grows_to_the_end(new_peer: Any) -> None:
    shared = share_bytes(some_bytes(3_000_000), "blob")
    with anyio.fail_after(GUARD):
        async with new_peer() as bob, new_peer(storage=MemoryStorage()) as alice:
            await bob.listen("127.0.0.1")
            seen = [progress async for progress in alice.fetch(await bob.share(shared))]
    assert seen[0].total is None
    assert seen[-1].done == seen[-1].total == 3_000_000
    assert seen[-1].sources == {bob.identity.public: 3_000_000}
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)


async def test_alice_who_knows_only_bob_learns_of_charlie_and_takes_half_from_each(new_peer: Any) -> None:
    """Dora tells Bob and Charlie what the object is, and goes; each of them holds half of it, and can store no more."""
    shared = share_bytes(some_bytes(256 * BLOCK), "blob")
    full = Gate()
    of_bob, of_charlie = (WatchedStorage(holding(shared, "blob", *half), full) for half in ((0, 127), (128, 255)))
    target = MemoryStorage()
    with anyio.fail_after(GUARD):
        async with new_peer(storage=of_bob) as bob, new_peer(storage=of_charlie) as charlie, new_peer() as alice:
            try:
                async with new_peer() as dora:
                    await dora.listen("127.0.0.1")
                    uri = await dora.share(shared)
                    (at_bob,) = await bob.listen("127.0.0.1")
                    await charlie.listen("127.0.0.1")
                    told = [bob.events(), charlie.events()]
                    first, second = bob.fetch(uri), charlie.fetch(uri, peers=[at_bob])
                    for events in told:
                        await until(events, happened.ContentKnown)
                story = alice.events()
                done = await alice.fetch(Uri(uri.oid, name="blob"), target, [at_bob])
                met = await until(story, happened.PeerConnected)
                while met.identity != charlie.identity.public:
                    met = await until(story, happened.PeerConnected)
                assert met.learned_from == bob.identity.public
            finally:
                full.open()
            await first
            await second
    half = 128 * BLOCK
    assert dict(done.sources) == {bob.identity.public: half, charlie.identity.public: half}
    assert target.finished["blob"] == some_bytes(256 * BLOCK)


async def test_a_cancelled_fetch_keeps_what_it_has_and_goes_on_later(new_peer: Any, tmp_path: Path) -> None:
    size = 400 * BLOCK
    shared = share_bytes(some_bytes(size), "blob")
    later = Gate()
    stored = [0]

    def count(blocks: int) -> None:
        if stored[0]:
            later(blocks)
        stored[0] += blocks

    with anyio.fail_after(GUARD):
        async with new_peer() as bob, new_peer() as alice:
            await bob.listen("127.0.0.1")
            uri = await bob.share(shared)
            fetch = alice.fetch(uri, WatchedStorage(FileSystemStorage(tmp_path), count))
            async for progress in fetch:
                if progress.done:
                    break
            fetch.cancel()
            later.open()
            with pytest.raises(FetchCancelledError):
                await fetch
            assert not (tmp_path / "blob").exists()
            done = await alice.fetch(uri, tmp_path)
    assert (tmp_path / "blob").read_bytes() == some_bytes(size)
    assert 0 < sum(done.sources.values()) < size
    assert done.bytes == size


async def test_leaving_the_block_of_a_fetch_early_cancels_it(new_peer: Any) -> None:
    with anyio.fail_after(GUARD):
        async with new_peer(storage=MemoryStorage()) as alice:
            async with alice.fetch(Uri(bytes(32))) as fetch:
                assert fetch.progress.done == 0
            with pytest.raises(FetchCancelledError):
                await fetch
            await closes(alice.fetch(Uri(bytes(32))))  # it can be fetched anew


async def closes(fetch: Any) -> None:
    """Cancel a fetch, and see its iteration end by that."""
    fetch.cancel()
    with pytest.raises(FetchCancelledError):
        async for _ in fetch:
            pass


async def test_a_link_that_is_cut_costs_no_block_that_was_verified(new_peer: Any) -> None:
    """The wire breaks in the middle of the content, without a word; Alice dials again."""
    size = 400 * BLOCK
    shared = share_bytes(some_bytes(size), "blob")
    target, gate = MemoryStorage(), Gate()
    storage = WatchedStorage(target, gate)
    config = NodeConfig(dialling=DialLimits(reconnect_min=0.01))
    with anyio.fail_after(GUARD):
        async with new_peer() as bob, new_peer(storage=storage, config=config) as alice:
            (at_bob,) = await bob.listen("127.0.0.1")
            uri = await bob.share(shared)
            async with relay(at_bob) as wire:
                story = alice.events()
                fetch = alice.fetch(Uri(uri.oid, name="blob"), peers=[wire.address])
                try:
                    await gate.reached()
                    wire.cut()
                finally:
                    # A link that waits for the disk does not see its end.
                    gate.open()
                gone = await until(story, happened.PeerDisconnected)
                assert gone.truncated
                done = await fetch
                assert (await until(story, happened.PeerConnected)).identity == bob.identity.public
    assert target.finished["blob"] == some_bytes(size)
    assert dict(done.sources) == {bob.identity.public: size}  # each byte counts once


async def test_a_slow_disk_stops_the_sender(new_peer: Any) -> None:
    """Of what nobody writes, only so much is taken from the network as a link may leave unwritten."""
    shared = share_bytes(some_bytes(1000 * BLOCK), "blob")
    gate = Gate()
    with anyio.fail_after(GUARD):
        async with new_peer() as bob, new_peer(storage=WatchedStorage(MemoryStorage(), gate)) as alice:
            await bob.listen("127.0.0.1")
            fetch = alice.fetch(await bob.share(shared))
            try:
                await gate.reached()
                # A run that might go over the bound is not begun.
                while alice.peers()[0].bytes_received <= (MAX_UNWRITTEN_BLOCKS + 1 - MAX_RUN) * BLOCK:
                    await anyio.wait_all_tasks_blocked()
                await settled(lambda: bob.peers()[0].bytes_sent)
                # One record may be read to its end after the bound is reached.
                assert alice.peers()[0].bytes_received <= (MAX_UNWRITTEN_BLOCKS + 4) * BLOCK
            finally:
                gate.open()
            assert (await fetch).bytes == 1000 * BLOCK


async def settled(look: Callable[[], object]) -> None:
    """Wait until what one sees has stayed the same for a while."""
    seen, same = look(), 0
    while same < 20:
        await anyio.wait_all_tasks_blocked()
        now = look()
        seen, same = now, same + 1 if now == seen else 0


async def test_a_full_disk_ends_the_fetch_with_its_error_and_keeps_the_rest(new_peer: Any, tmp_path: Path) -> None:
    shared = share_bytes(some_bytes(300 * BLOCK), "blob")
    with anyio.fail_after(GUARD):
        async with new_peer() as bob, new_peer() as alice:
            await bob.listen("127.0.0.1")
            uri = await bob.share(shared)
            fetch = alice.fetch(uri, WatchedStorage(FileSystemStorage(tmp_path), FullDisk(100)))
            with pytest.raises(StorageError) as caught:
                await fetch
            assert caught.value.kind is StorageErrorKind.NO_SPACE
            with pytest.raises(StorageError):
                async for _ in fetch:
                    pass
            assert not (tmp_path / "blob").exists()
            done = await alice.fetch(uri, tmp_path)  # there is room now
    assert (tmp_path / "blob").read_bytes() == some_bytes(300 * BLOCK)
    assert 0 < sum(done.sources.values()) < 300 * BLOCK


async def test_a_dial_that_fails_is_told_and_harms_nothing(new_peer: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with anyio.fail_after(GUARD):
        async with new_peer(storage=MemoryStorage()) as alice:
            story = alice.events()
            alice.fetch(Uri(bytes(32)), peers=[f"127.0.0.1:{port}", ("name.invalid", 4000), (LONG, 4000)])
            reasons = {(await until(story, happened.LinkFailed)).reason for _ in range(3)}
            assert "Connection refused" in reasons
            assert any(reason.startswith("name.invalid: ") for reason in reasons)
            assert any(reason.startswith(f"{LONG}: ") for reason in reasons)


async def test_a_dial_without_an_answer_ends_in_time(new_peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pwire.adapters.anyio.peer.HANDSHAKE_TIMEOUT", 0.01)
    monkeypatch.setattr("p2pwire.adapters.blocking.doors.HANDSHAKE_TIMEOUT", 0.01)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        # The system takes one more than the backlog, and then answers no longer.
        with anyio.fail_after(GUARD):
            async with new_peer(storage=MemoryStorage()) as alice:
                story = alice.events()
                alice.fetch(Uri(bytes(32)), peers=[full.getsockname()])
                assert (await until(story, happened.LinkFailed)).reason == "no answer in time"


async def test_a_peer_without_room_for_a_newcomer_accepts_the_next(
    new_peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, failures = socket.socket.accept, [OSError(errno.EMFILE, "Too many open files")]

    def accept_later(listener: socket.socket) -> Any:
        if failures:
            raise failures.pop()
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", accept_later)
    with anyio.fail_after(GUARD):
        async with new_peer() as bob, new_peer(storage=MemoryStorage()) as alice:
            await bob.listen("127.0.0.1")
            assert (await alice.fetch(await bob.share(share_bytes(b"hello", "blob")))).bytes == 5
    assert not failures


async def test_a_peer_with_another_identity_than_the_uris_is_not_talked_to(new_peer: Any) -> None:
    shared = share_bytes(b"hello", "blob")
    with anyio.fail_after(GUARD):
        async with new_peer() as bob, new_peer(storage=MemoryStorage()) as alice:
            (at_bob,) = await bob.listen("127.0.0.1")
            uri = await bob.share(shared)
            story = alice.events()
            fetch = alice.fetch(attrs.evolve(uri, identity=Identity.from_seed(bytes(32)).public))
            failed = await until(story, happened.LinkFailed)
            assert failed.endpoint == at_bob
            fetch.cancel()
        async with new_peer() as bob, new_peer(storage=MemoryStorage()) as alice:
            await bob.listen("127.0.0.1")
            uri = await bob.share(shared)
            assert (await alice.fetch(attrs.evolve(uri, identity=bob.identity.public))).bytes == 5


@pytest.mark.parametrize("wrong", ["127.0.0.1", "::1:4000", "127.0.0.1:0", ("127.0.0.1", 65536), ":4000"])
async def test_a_wrong_address_is_the_callers_mistake(new_peer: Any, wrong: Any) -> None:
    async with new_peer(storage=MemoryStorage()) as alice:
        with pytest.raises(ValueError, match="peer: "):
            alice.fetch(Uri(bytes(32)), peers=[wrong])


async def test_what_is_here_already_can_not_be_fetched(new_peer: Any) -> None:
    async with new_peer() as alice:
        uri = await alice.share(share_bytes(b"hello", "blob"))
        with pytest.raises(ValueError, match="already"):
            alice.fetch(uri, MemoryStorage())
        with pytest.raises(ValueError, match="destination"):
            alice.fetch(Uri(bytes(32)))
        assert await alice.share(share_bytes(b"hello", "again")) == attrs.evolve(uri, name="again")
        alice.forget(uri)
        fetch = alice.fetch(uri, MemoryStorage())
        assert fetch.progress.total is None


async def test_holders_of_parts_find_together_what_nobody_has_as_a_whole(new_peer: Any, tmp_path: Path) -> None:
    """All who had it are gone, and those who had begun come back with its id alone: their storages know the rest."""
    shared = share_bytes(some_bytes(40 * BLOCK), "blob")
    left, right = FileSystemStorage(tmp_path / "left"), MemoryStorage()
    leave(left, shared, "blob", 0, 19)
    leave(right, shared, "blob", 20, 39)
    uri = Uri(shared.info.oid, name="blob")
    with anyio.fail_after(GUARD):
        async with new_peer(storage=left) as bob, new_peer(storage=right) as charlie:
            first = bob.fetch(uri)
            second = charlie.fetch(uri, peers=await bob.listen("127.0.0.1"))
            assert dict((await first).sources) == {charlie.identity.public: 20 * BLOCK}
            assert dict((await second).sources) == {bob.identity.public: 20 * BLOCK}
    assert (tmp_path / "left" / "blob").read_bytes() == right.finished["blob"] == some_bytes(40 * BLOCK)


async def test_peers_can_be_named_later(new_peer: Any) -> None:
    """To whoever fetches, and to whoever shares; for anything else it is the caller's mistake."""
    shared = share_bytes(some_bytes(100_000), "blob")
    with anyio.fail_after(GUARD):
        async with new_peer() as alice, new_peer(storage=MemoryStorage()) as bob, new_peer() as charlie:
            uri = await charlie.share(shared)
            nowhere = attrs.evolve(uri, peers=())
            with pytest.raises(ValueError, match="neither shared nor fetched"):
                bob.add_peers(nowhere, ["127.0.0.1:4000"])
            fetch = bob.fetch(nowhere)
            with pytest.raises(ValueError, match="peer: "):
                bob.add_peers(nowhere, ["127.0.0.1"])
            bob.add_peers(nowhere, await charlie.listen("127.0.0.1"))
            assert (await fetch).bytes == 100_000
            # Who shares finds others too.
            other = share_bytes(b"hello", "greeting")
            theirs = attrs.evolve(await bob.share(other), peers=())
            bound = await alice.listen("127.0.0.1")
            fetch = alice.fetch(theirs, MemoryStorage())
            bob.add_peers(theirs, bound)
            assert (await fetch).bytes == 5


async def test_frames_of_an_extension_go_both_ways(new_peer: Any) -> None:
    """Each side numbers for itself; whoever has no such extension is sent nothing."""
    content = share_bytes(b"hello", "greeting")

    def config(base: int) -> NodeConfig:
        return NodeConfig(extensions=(Extension("chat/1", base, 2),))

    with anyio.fail_after(GUARD):
        async with new_peer(config=config(0x80)) as alice, new_peer(config=config(0x90)) as bob:
            said, heard = alice.events(), bob.events()
            uri = await alice.share(content)
            bob.fetch(uri, MemoryStorage(), await alice.listen("127.0.0.1"))
            async for event in said:
                if isinstance(event, happened.PeerConnected):
                    assert event.extensions == {"chat/1"}
                    alice.send_extension(event.link, "chat/1", 1, b"what is new?")
                if isinstance(event, happened.ExtensionReceived):
                    assert (event.identity, event.index, event.body) == (bob.identity.public, 0, b"nothing")
                    break
                async for answer in heard:
                    if isinstance(answer, happened.ExtensionReceived):
                        assert (answer.identity, answer.index, answer.body) == (
                            alice.identity.public,
                            1,
                            b"what is new?",
                        )
                        bob.send_extension(answer.link, "chat/1", 0, b"nothing")
                        break
            with pytest.raises(LocalProtocolError, match="no frame 2"):
                alice.send_extension(event.link, "chat/1", 2, b"")
            with pytest.raises(KeyError):
                alice.send_extension(event.link + 100, "chat/1", 0, b"")


async def test_one_port_serves_both_families(new_peer: Any, tmp_path: Path) -> None:
    shared = share_bytes(some_bytes(100_000), "blob")
    with anyio.fail_after(GUARD):
        async with new_peer() as bob:
            bound = await bob.listen()
            assert [str(endpoint).rpartition(":")[0] for endpoint in bound] == ["0.0.0.0", "[::]"]
            assert bound[0].port == bound[1].port
            uri = await bob.share(shared)
            assert uri.peers
            assert all(peer.port == bound[0].port and peer.host not in ("0.0.0.0", "::") for peer in uri.peers)
            for host in ("127.0.0.1", "[::1]", "localhost"):
                async with new_peer(storage=MemoryStorage()) as alice:
                    done = await alice.fetch(Uri(uri.oid, name="blob"), peers=[f"{host}:{bound[0].port}"])
                    assert done.bytes == 100_000


async def test_a_port_that_is_taken_is_an_error(new_peer: Any) -> None:
    async with new_peer() as bob, new_peer() as alice:
        (at_bob,) = await bob.listen("127.0.0.1")
        with pytest.raises(OSError, match="in use"):
            await alice.listen("127.0.0.1", at_bob.port)


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "ü" * 70, "a..b"])
async def test_a_name_that_nobody_can_have_is_an_error_of_listening_like_any_other(new_peer: Any, name: str) -> None:
    async with new_peer() as bob:
        with pytest.raises(OSError, match=r"name|known"):
            await bob.listen(name)
        assert await bob.listen("127.0.0.1")


async def test_a_name_that_stands_for_a_link_local_address_is_listened_at_with_its_zone(
    new_peer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone, _ = socket.if_nameindex()[0]
    row = (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("fe80::dead:beef", 0, 0, zone))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [row, row])
    async with new_peer() as bob:
        with pytest.raises(OSError, match=r".") as caught:
            await bob.listen("router.example")
    # No interface has it; without its zone it would be no valid address.
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_a_peer_that_leaves_says_so_and_its_story_ends(new_peer: Any) -> None:
    with anyio.fail_after(GUARD):
        async with new_peer() as bob, new_peer(storage=MemoryStorage()) as alice:
            await bob.listen("127.0.0.1")
            told, own = bob.events(), alice.events()
            fetch = alice.fetch(await bob.share(share_bytes(b"hello")), MemoryStorage())
            waiting = alice.fetch(Uri(bytes(32)))
            await fetch
            await alice.aclose()
            gone = await until(told, happened.PeerDisconnected)
            assert (gone.code, gone.by_peer, gone.truncated) == (CloseCode.SHUTDOWN, True, False)
            with pytest.raises(FetchCancelledError):
                await waiting
            assert [type(event) async for event in own][-1] is happened.PeerDisconnected
            for work in (alice.listen("127.0.0.1"), alice.share(share_bytes(b"hello"))):
                with pytest.raises(PeerClosedError):
                    await work
            with pytest.raises(PeerClosedError):
                alice.fetch(Uri(bytes(32)))


PROGRAMS = {
    "anyio": """
import anyio, sys
from p2pwire.adapters.anyio import Peer
from p2pwire.storage.memory import MemoryStorage
async def main():
    async with Peer(storage=MemoryStorage()) as peer:
        fetch = peer.fetch(sys.argv[1])
        async for progress in fetch:
            if progress.done:
                break
        print(progress, flush=True)
        await fetch
        await anyio.sleep_forever()
anyio.run(main, backend=sys.argv[2])
""",
    "blocking": """
import sys, threading
from p2pwire.adapters.blocking import Peer
from p2pwire.storage.memory import MemoryStorage
with Peer(storage=MemoryStorage()) as peer:
    fetch = peer.fetch(sys.argv[1])
    for progress in fetch:
        if progress.done:
            break
    print(progress, flush=True)
    fetch.wait()
    threading.Event().wait()
""",
}


async def test_a_program_that_is_interrupted_leaves_in_order(new_peer: Any, adapter: str) -> None:
    """Ctrl-C in the middle of a fetch."""
    program = PROGRAMS.get(adapter, PROGRAMS["anyio"])
    with anyio.fail_after(GUARD):
        async with new_peer() as bob:
            await bob.listen("127.0.0.1")
            uri = await bob.share(share_bytes(some_bytes(64_000_000), "blob"))
            told = bob.events()
            command = [sys.executable, "-c", program, str(uri), adapter]
            async with await anyio.open_process(command, stderr=subprocess.DEVNULL) as alice:
                assert alice.stdout is not None
                assert await alice.stdout.receive()
                alice.send_signal(signal.SIGINT)
                gone = await until(told, happened.PeerDisconnected)
                assert (gone.code, gone.truncated) == (CloseCode.SHUTDOWN, False)
                await alice.wait()


@pytest.mark.parametrize("adapter", ["asyncio", "trio"])
async def test_a_peer_that_is_cancelled_leaves_in_order(adapter: str) -> None:
    with anyio.fail_after(GUARD):
        async with Peer() as bob:
            await bob.listen("127.0.0.1")
            uri = await bob.share(share_bytes(b"hello", "blob"))
            told = bob.events()
            with anyio.CancelScope() as scope:
                async with Peer(storage=MemoryStorage()) as alice:
                    await alice.fetch(uri)
                    scope.cancel()
                    await anyio.sleep_forever()
            gone = await until(told, happened.PeerDisconnected)
    assert (gone.code, gone.truncated) == (CloseCode.SHUTDOWN, False)


@pytest.mark.interpreted
@pytest.mark.parametrize("where", ["disk_done", "receive_data", "data_to_send"])
@pytest.mark.parametrize("adapter", ["asyncio", "trio"])
async def test_a_mistake_in_the_program_shows_and_does_not_hang(
    adapter: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*arguments: object) -> None:
        raise RuntimeError("a mistake of ours")

    with anyio.fail_after(GUARD):
        async with Peer() as bob:
            await bob.listen("127.0.0.1")
            uri = await bob.share(share_bytes(some_bytes(1_000_000), "blob"))
            with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a mistake of ours"), flatten_subgroups=True):
                async with Peer(storage=MemoryStorage()) as alice:
                    monkeypatch.setattr(alice._engine.node, where, mistaken)
                    alice.fetch(uri)
                    await anyio.sleep_forever()


async def test_what_the_block_raises_is_not_wrapped(new_peer: Any) -> None:
    with pytest.raises(LookupError, match="no longer wanted"):
        async with new_peer():
            raise LookupError("no longer wanted")


async def test_nothing_is_left_behind(new_peer: Any) -> None:
    threads = set(threading.enumerate())
    with anyio.fail_after(GUARD):
        async with new_peer() as bob, new_peer() as alice:
            await bob.listen("127.0.0.1")
            await alice.fetch(await bob.share(share_bytes(some_bytes(100_000), "blob")), MemoryStorage())
    left = [thread for thread in set(threading.enumerate()) - threads if "p2pwire" in thread.name]
    assert left == []
