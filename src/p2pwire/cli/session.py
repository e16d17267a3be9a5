"""A peer as a command runs it: its options, its sockets, the story that it tells, and what a signal does."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from typing import Final, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
import attrs
import click

from p2pwire import __version__
from p2pwire.adapters.anyio import Peer
from p2pwire.adapters.capture import Capture
from p2pwire.cli.arguments import HostPort, listen_address, peer_address
from p2pwire.cli.errors import CommandError
from p2pwire.cli.output import Output
from p2pwire.cli.text import short_id, size_text
from p2pwire.crypto.identity import peer_id_text
from p2pwire.crypto.noise import derive_psk
from p2pwire.node.address import Endpoint
from p2pwire.node.events import (
    ContentKnown,
    FetchComplete,
    FetchFailed,
    LinkFailed,
    NodeEvent,
    ObjectKnown,
    PeerBanned,
    PeerConnected,
    PeerDisconnected,
    PeerLearned,
    ShareFailed,
)
from p2pwire.node.node import NodeConfig
from p2pwire.storage.errors import StorageError
from p2pwire.storage.identity_file import load_identity, load_network_secret
from p2pwire.storage.interface import Progress
from p2pwire.wire.registry import ObjectKind

T = TypeVar("T")

AGENT: Final = f"p2pwire-python/{__version__}"


@attrs.frozen
class PeerOptions:
    """What a user says about the own peer."""

    listen: HostPort | None
    """None: every address of this machine, on a free port."""
    peers: tuple[HostPort, ...]
    identity: str | None
    network_secret: str | None
    capture: str | None = None
    """Where all that is said is written, decrypted."""

    def config(self) -> NodeConfig:
        """What the node is told. Raises SecretFileError."""
        if self.network_secret is None:
            return NodeConfig(agent=AGENT)
        return NodeConfig(agent=AGENT, psk=derive_psk(load_network_secret(self.network_secret)))

    @contextmanager
    def captured(self, config: NodeConfig) -> Iterator[NodeConfig]:
        """The same, with a capture if one is asked for, until the block is left. Raises CommandError."""
        if self.capture is None:
            yield config
            return
        try:
            capture = Capture(self.capture)
        except OSError as error:
            text = f"cannot write the capture {self.capture}: {error.strerror or error}"
            raise CommandError("cannot-capture", text) from None
        with capture:
            yield attrs.evolve(config, tap=capture.link)

    async def resolve_peers(self) -> list[Endpoint]:
        """Where the peers are, each address once. Raises CommandError for a name that has none."""
        found: dict[Endpoint, None] = {}
        for peer in self.peers:
            found.update(dict.fromkeys(await anyio.to_thread.run_sync(peer.resolve, abandon_on_cancel=True)))
        return list(found)


def peer_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a peer, as its argument `options`."""

    @click.option(
        "--listen",
        type=listen_address,
        metavar="HOST:PORT",
        help="Where to take connections; port 0 is a free one.  [default: every address, a free port]",
    )
    @click.option(
        "--peer", "peers", type=peer_address, metavar="HOST:PORT", multiple=True, help="A peer to ask; repeatable."
    )
    @click.option("--identity", type=click.Path(), metavar="FILE", help="A lasting identity: see p2pwire identity.")
    @click.option(
        "--network-secret",
        type=click.Path(),
        metavar="FILE",
        help="The secret of a private network: only peers that know it are talked to.",
    )
    @click.option(
        "--capture",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="Write all that is said, decrypted, for Wireshark. Keep that file to yourself.",
    )
    @wraps(command)
    def with_options(
        *args: object,
        listen: HostPort | None,
        peers: tuple[HostPort, ...],
        identity: str | None,
        network_secret: str | None,
        capture: str | None,
        **arguments: object,
    ) -> None:
        command(*args, options=PeerOptions(listen, peers, identity, network_secret, capture), **arguments)

    return with_options


@asynccontextmanager
async def open_peer(output: Output, options: PeerOptions) -> AsyncIterator[tuple[Peer, Narrator]]:
    """A peer, and who tells what happens to it. Leaving the block says SHUTDOWN and keeps what is unfinished."""
    identity = load_identity(options.identity) if options.identity is not None else None
    with options.captured(options.config()) as config:
        async with Peer(identity, config=config) as peer, anyio.create_task_group() as group:
            narrator = Narrator(output, peer)
            group.start_soon(narrator.tell)
            try:
                yield peer, narrator
            finally:
                group.cancel_scope.cancel()


async def listen(peer: Peer, options: PeerOptions) -> list[Endpoint]:
    """Listen where the user said. Raises CommandError."""
    where = options.listen or HostPort("", 0)
    try:
        return await peer.listen(where.host or None, where.port)
    except OSError as error:
        raise CommandError("cannot-listen", f"cannot listen at {where}: {error.strerror or error}") from None


def cancellable(progress: Progress) -> Progress:
    """For hashing in a worker thread: it ends when the task that waits for it is cancelled."""

    def hashed(done: int, total: int) -> None:
        anyio.from_thread.check_cancelled()
        progress(done, total)

    return hashed


class Narrator:
    """Tells the story of a peer, in order, as it happens."""

    def __init__(self, output: Output, peer: Peer) -> None:
        self._output = output
        self._events = peer.events()
        self._failures: dict[Endpoint | None, str] = {}
        self._linked = 0
        self.fetch_over = anyio.Event()
        """Set when all that happened before the end of the fetch is told."""

    @property
    def troubles(self) -> str:
        """What was tried in vain last, for people; empty if nothing was."""
        return ", ".join(f"{endpoint}: {reason}" if endpoint else reason for endpoint, reason in self._failures.items())

    async def tell(self) -> None:
        """Tell until the peer ends."""
        async for event in self._events:
            self._on_event(event)

    def _on_event(self, event: NodeEvent) -> None:
        output = self._output
        match event:
            case PeerConnected():
                self._linked += 1
                self._failures.pop(event.endpoint, None)
                address = str(event.endpoint) if event.endpoint is not None else None
                through = peer_id_text(event.learned_from) if event.learned_from is not None else None
                output.peer(peer_id_text(event.identity), address, through, event.agent)
            case PeerDisconnected():
                self._linked -= 1
                how = "in mid-stream" if event.truncated else f"{event.code.name}{' by it' if event.by_peer else ''}"
                reason = f": {event.reason}" if event.reason else ""
                output.detail(f"parted from {_name(event.identity)} ({how}{reason})")
            case PeerLearned():
                output.detail(f"{_name(event.learned_from)} told of {_name(event.identity)}")
            case PeerBanned():
                output.notice(f"peer {_name(event.identity)} is banned: {event.reason}")
            case LinkFailed():
                self._failed(event)
            case ObjectKnown():
                what = "a folder" if event.info.kind == ObjectKind.MANIFEST else "a file"
                output.detail(f"it is {what}")
            case ContentKnown():
                output.detail(f"{size_text(event.done)} of {size_text(event.total)} are here already")
            case FetchComplete() | FetchFailed():
                self.fetch_over.set()
            case ShareFailed():
                code = event.error.kind.value if isinstance(event.error, StorageError) else "failed"
                output.trouble(code, f"{event.error}; it is shared no longer")

    def _failed(self, event: LinkFailed) -> None:
        if event.taken:
            self._output.detail(f"{event.endpoint}: {event.reason}")
            return
        news = self._failures.get(event.endpoint) != event.reason
        self._failures[event.endpoint] = event.reason
        text = f"cannot reach {event.endpoint}: {event.reason}" if event.endpoint else event.reason
        if event.own:
            self._output.notice(f"{event.endpoint} is this peer itself; looking for others")
        elif news and not self._linked and not self.fetch_over.is_set():
            self._output.notice(f"{text}; trying again")
        else:
            self._output.detail(text)


def _name(identity: bytes) -> str:
    return short_id(peer_id_text(identity))


def run_until_signal(work: Callable[[], Awaitable[T]]) -> T:
    """Run a task to its end; what it returns.

    Ctrl-C and SIGTERM cancel it, so that it leaves in order; then raises click.Abort. A second one ends the process.
    """
    (result,) = anyio.run(_run, work)
    return result


async def _run(work: Callable[[], Awaitable[T]]) -> list[T]:
    interrupted = False
    results = []
    failure: Exception | None = None
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            nonlocal interrupted
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    interrupted = True
                    group.cancel_scope.cancel()
                    return

        group.start_soon(watch)
        try:
            results.append(await work())
        except Exception as error:
            # Raised after the group, which would wrap it.
            failure = error
        group.cancel_scope.cancel()
    if interrupted:
        raise click.Abort
    if failure is not None:
        raise failure
    return results
