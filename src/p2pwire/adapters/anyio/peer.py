"""A peer under asyncio or trio."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from math import inf
from types import TracebackType

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import ByteStream, TaskGroup, TaskStatus

from p2pwire.adapters.anyio.carriers import Carrier, SocketCarrier, StreamCarrier
from p2pwire.adapters.anyio.fetch import Events, Fetch, Watch
from p2pwire.adapters.anyio.flow import LEAVE_TIME, Flow, Wake
from p2pwire.adapters.anyio.interrupts import hold_interrupts_out
from p2pwire.adapters.anyio.reactor import AsyncioReactor, running_loop
from p2pwire.adapters.engine import Engine, NodeTraffic
from p2pwire.adapters.places import Destination, PeerAddress, host_and_port, literal, parse_uri, storage_at
from p2pwire.adapters.socketflow import READ, SocketFlow
from p2pwire.adapters.sockets import (
    ACCEPT_PAUSE,
    ANY_HOST,
    READ_SIZE,
    begin_connect,
    endpoint_of,
    finish_connect,
    found_endpoints,
    listening_sockets,
    no_such_name,
    tune,
)
from p2pwire.adapters.workers import Ending, Work, Workers
from p2pwire.connection.config import Role
from p2pwire.content.uri import Uri
from p2pwire.crypto.identity import Identity
from p2pwire.node.actions import Dial
from p2pwire.node.address import Endpoint
from p2pwire.node.node import NodeConfig, PeerInfo
from p2pwire.storage.interface import Shared, Storage
from p2pwire.storage.scan import scan
from p2pwire.wire.registry import HANDSHAKE_TIMEOUT


class Peer:
    """One peer: listens, shares, fetches. To be used as `async with Peer() as peer`.

    `identity` None: a new one, for as long as the peer lives. `storage`: where fetches go that name no destination.
    Leaving the block says SHUTDOWN to all links and finishes the disk work in hand; unfinished fetches stay on disk.
    """

    def __init__(
        self, identity: Identity | None = None, storage: Storage | None = None, *, config: NodeConfig | None = None
    ) -> None:
        self._given = identity, config
        self._storage = storage
        self._life: AbstractAsyncContextManager[None] | None = None

    async def __aenter__(self) -> Peer:
        hold_interrupts_out(_Outside, Engine, NodeTraffic, Flow, SocketCarrier, StreamCarrier)
        # Not in the midst of their waiting either: trio's events take it amiss.
        hold_interrupts_out(Peer, Fetch, Watch, Events)
        return await self._enter()

    async def _enter(self) -> Peer:
        identity, config = self._given
        outside = _Outside()
        self._outside = outside
        self._engine = outside.engine = Engine(identity, config, outside)
        self._life = outside.living()
        await self._life.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._life is not None
        return await self._life.__aexit__(kind, error, trace)

    @property
    def identity(self) -> Identity:
        """Who this peer is."""
        return self._engine.identity

    async def listen(self, host: str | None = None, port: int = 0) -> list[Endpoint]:
        """Accept links at all addresses of a host (None: of this machine, IPv4 and IPv6), on one port (0: a free one).

        Returns the addresses with the port. Raises OSError, of names that nobody can have too; ValueError for what is
        no port.
        """
        self._engine.check_open()
        if host is None:
            hosts: Sequence[Endpoint] = ANY_HOST
        elif (known := literal(host, port)) is not None:
            hosts = [known]
        else:
            try:
                hosts = found_endpoints(await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except UnicodeError as error:
                raise no_such_name(host, error) from None
        sockets = listening_sockets(hosts, port)
        bound = [endpoint for sock in sockets if (endpoint := endpoint_of(sock.getsockname())) is not None]
        for sock in sockets:
            self._outside.doors.start_soon(self._outside.accept_from, sock)
        self._engine.listening(bound)
        return bound

    async def share(
        self, content: str | os.PathLike[str] | Shared, progress: Callable[[int, int], None] | None = None
    ) -> Uri:
        """Hash and serve a file or folder, or content that is hashed; its URI, with the addresses that are listened on.

        `progress` is called in a worker thread with the bytes hashed and the bytes in all. Raises StorageError.
        """
        if isinstance(content, str | os.PathLike):
            content = await anyio.to_thread.run_sync(_scan, content, progress)
        return self._engine.share(content)

    def fetch(
        self,
        uri: Uri | str,
        destination: Destination | None = None,
        peers: Iterable[PeerAddress] = (),
        *,
        sequential: bool = False,
    ) -> Fetch:
        """Begin to fetch what a URI names into a directory, from the peers that it and `peers` name, and from theirs.

        Raises UriError; ValueError for a wrong address, or if the object is shared or fetched here already.
        """
        addresses = [host_and_port(peer) for peer in peers]
        wanted = parse_uri(uri)
        fetch = Fetch(self._engine, wanted, storage_at(destination, self._storage), sequential=sequential)
        self._find(wanted.oid, addresses)
        return fetch

    def add_peers(self, uri: Uri | str, peers: Iterable[PeerAddress]) -> None:
        """More addresses at which peers of an object may be found that is shared or fetched here.

        Raises UriError; ValueError for a wrong address, or an object that is neither.
        """
        oid = parse_uri(uri).oid
        addresses = [host_and_port(peer) for peer in peers]
        self._engine.check_known(oid)
        self._find(oid, addresses)

    def _find(self, oid: bytes, addresses: Iterable[tuple[str, int]]) -> None:
        for host, port in addresses:
            self._outside.doors.start_soon(self._add_peer, oid, host, port)

    async def _add_peer(self, oid: bytes, host: str, port: int) -> None:
        known = literal(host, port)
        endpoints = [] if known is None else [known]
        if known is None:
            try:
                endpoints = found_endpoints(await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                self._engine.cannot_resolve(host, getattr(error, "strerror", None) or str(error))
                return
        # The node dials several at once, whatever their family: happy eyeballs.
        self._engine.add_peers(oid, endpoints)

    def forget(self, uri: Uri | str) -> None:
        """Stop to share or fetch an object; what is on the disk stays."""
        self._engine.forget(parse_uri(uri).oid)

    async def attach(self, stream: ByteStream, *, initiator: bool) -> int:
        """Make a byte stream of the caller's own a link of this peer, for all that it exchanges; its number.

        The stream is closed when the link ends.
        """
        await anyio.lowlevel.checkpoint()
        traffic = self._engine.attached(Role.INITIATOR if initiator else Role.RESPONDER)
        self._outside.begin(StreamCarrier(stream), traffic)
        return traffic.link

    def send_extension(self, link: int, name: str, index: int, body: bytes) -> None:
        """Send a frame of an extension (`NodeConfig.extensions`) that the other side of an open link lists too.

        `link`: as `PeerConnected.link` and `ExtensionReceived.link` say. `index`: which of the extension's frames;
        `body`: at most `MAX_FRAME_BODY` bytes. Raises KeyError for a link that is not open; `LocalProtocolError` if the
        other side has no such frame, or if more would flood it: then it may be tried again later.
        """
        self._engine.send_extension(link, name, index, body)

    def peers(self) -> list[PeerInfo]:
        """The open links."""
        return self._engine.peers()

    def events(self) -> Events:
        """What happens from now on: who came and went, who was learned from whom, what became known and complete."""
        events = Events()
        self._engine.tell(events)
        return events

    async def aclose(self) -> None:
        """Leave in order, now; what is called afterwards has no effect on anybody else."""
        await self._outside.leave()


class _Outside:
    """The engine's hands: sockets, tasks, worker threads, the clock."""

    engine: Engine
    _links: TaskGroup
    """Links and disk work, which live until they are done."""
    doors: TaskGroup
    """What brings new links: listening, dialling, looking up names."""

    def __init__(self) -> None:
        self.now = _clock()
        self._flows: dict[int, Flow | SocketFlow] = {}
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._workers = Workers()
        self._ended = Wake()
        self._alarm = Wake()
        self._when: float | None = None
        self._leaving = False
        self._collecting = False
        self._gone = anyio.Event()
        self._reactor = AsyncioReactor.find(self._fail)
        self._failure: Exception | None = None
        self._failed = anyio.Event()

    # --- life and death ---

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """Everything happens within this."""
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            scope = await group.start(self._live)
            try:
                yield
            except Exception as error:
                # Raised after the group, which would wrap it.
                failure = error
            finally:
                try:
                    await self.leave()
                finally:
                    # Whoever interrupts that too wants to wait no longer.
                    scope.cancel()
        if failure is not None:
            raise failure

    async def _live(self, *, task_status: TaskStatus[anyio.CancelScope]) -> None:
        # Shielded: a program that is being cancelled still says goodbye, and finishes what it writes.
        with anyio.CancelScope(shield=True) as scope:
            async with anyio.create_task_group() as self._links, anyio.create_task_group() as self.doors:
                self.doors.start_soon(self._keep_time)
                self._collecting = True
                self._links.start_soon(self._collect)
                self._links.start_soon(self._watch_failures)
                task_status.started(scope)

    def _fail(self, error: Exception) -> None:
        """A call outside all tasks met a mistake."""
        self._failure = self._failure or error
        self._failed.set()

    async def _watch_failures(self) -> None:
        """Tell of it as if it had been in a task."""
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    async def leave(self) -> None:
        """Close links and stores in order; once begun it is not cancelled, for others wait for it."""
        with anyio.CancelScope(shield=True):
            if self._leaving:
                await self._gone.wait()
                return
            self._leaving = True
            try:
                await self._leave()
            finally:
                self._gone.set()

    async def _leave(self) -> None:
        self.engine.close_links()
        with anyio.move_on_after(LEAVE_TIME):
            while self._flows:
                await self._ended.wait()
        self.doors.cancel_scope.cancel()
        self._abort_links()
        self.engine.close_stores()
        # Without the task that collects, which only an error ends, what the workers do would be waited for in vain.
        while (self._workers.busy and self._collecting) or self._flows:
            await self._ended.wait()

    def _abort_links(self) -> None:
        for flow in list(self._flows.values()):
            flow.abort()

    # --- doors ---

    async def accept_from(self, listener: socket.socket) -> None:
        """Accept until cancelled."""
        with listener:
            while True:
                try:
                    sock, name = listener.accept()
                except BlockingIOError:
                    await anyio.wait_readable(listener)
                except OSError:
                    # The newcomer is gone again, or there is no room for it: for the others it goes on.
                    await anyio.sleep(ACCEPT_PAUSE)
                else:
                    self._welcome(sock, endpoint_of(name))

    def _welcome(self, sock: socket.socket, remote: Endpoint | None) -> None:
        traffic = self.engine.accepted(remote, endpoint_of(sock.getsockname()))
        if traffic is None:
            sock.close()
        else:
            self._begin_socket(tune(sock), traffic)

    def dial(self, dial: Dial) -> None:
        """See `Outside`."""
        self.doors.start_soon(self._dial, dial)

    async def _dial(self, dial: Dial) -> None:
        try:
            with anyio.fail_after(HANDSHAKE_TIMEOUT):
                sock = await _connect(dial.endpoint)
        except OSError as error:
            self.engine.dial_failed(dial, error)
        else:
            traffic = self.engine.dialled(dial, endpoint_of(sock.getsockname()))
            self._begin_socket(sock, traffic)

    # --- links ---

    def _begin_socket(self, sock: socket.socket, traffic: NodeTraffic) -> None:
        if self._reactor is None:
            self.begin(SocketCarrier(sock, self._buffer), traffic)
            return
        link = traffic.link
        ended = partial(self._flow_ended, link)
        flow = self._flows[link] = SocketFlow(self._reactor, sock, self._buffer, traffic, ended)
        flow.transmit()
        self.engine.pump()

    def begin(self, carrier: Carrier, traffic: NodeTraffic) -> None:
        """Let a link's bytes flow."""
        flow = self._flows[traffic.link] = Flow(carrier, traffic)
        self._links.start_soon(self._carry, traffic.link, flow)
        self.engine.pump()

    async def _carry(self, link: int, flow: Flow) -> None:
        try:
            await flow.run()
        finally:
            self._flow_ended(link)

    def _flow_ended(self, link: int) -> None:
        del self._flows[link]
        self._ended.set()

    def transmit(self, link: int) -> None:
        """See `Outside`."""
        if link in self._flows:
            self._flows[link].transmit()

    def resume_reading(self, link: int) -> None:
        """See `Outside`."""
        if link in self._flows:
            self._flows[link].resume_reading()

    def hang_up(self, link: int) -> None:
        """See `Outside`."""
        if link in self._flows:
            self._flows[link].hang_up()

    # --- workers and time ---

    def run_in_worker(self, work: Work, ending: Ending) -> None:
        """See `Outside`."""
        self._workers.submit(work, ending)

    async def _collect(self) -> None:
        ear, reactor = self._workers.ear, self._reactor
        try:
            if reactor is not None:
                reactor.watch(ear, 0, READ, self._collect_now)
                await anyio.sleep_forever()
            while True:
                await anyio.wait_readable(ear)
                self._collect_now(READ)
        finally:
            if reactor is not None:
                # After an error there are links left that are no tasks, which would end with this one.
                self._abort_links()
                reactor.watch(ear, READ, 0, self._collect_now)
            self._collecting = False
            self._ended.set()
            self._workers.close()

    def _collect_now(self, events: int) -> None:
        self._workers.collect()
        self._ended.set()

    def wake_at(self, when: float | None) -> None:
        """See `Outside`."""
        if when is not None and (self._when is None or when < self._when):
            self._alarm.set()
        self._when = when

    async def _keep_time(self) -> None:
        while True:
            await self._alarm.wait(inf if self._when is None else self._when)
            if self._when is not None and self._when <= anyio.current_time():
                self.engine.on_time()


def _clock() -> Callable[[], float]:
    """The event loop's clock. Asyncio's own is forty times as quick as by way of anyio, and asked for each event."""
    loop = running_loop()
    return anyio.current_time if loop is None else loop.time


def _scan(path: str | os.PathLike[str], progress: Callable[[int, int], None] | None) -> Shared:
    def hashed(done: int, total: int) -> None:
        anyio.from_thread.check_cancelled()
        if progress is not None:
            progress(done, total)

    return scan(path, hashed)


async def _connect(endpoint: Endpoint) -> socket.socket:
    sock = begin_connect(endpoint)
    try:
        await anyio.wait_writable(sock)
        finish_connect(sock)
    except BaseException:
        sock.close()
        raise
    return sock
