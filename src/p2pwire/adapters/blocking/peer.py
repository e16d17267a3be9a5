"""A peer for programs without an event loop: plain sockets, and a thread that waits for them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

from p2pwire.adapters.blocking.doors import Connecting, Door, Listener
from p2pwire.adapters.blocking.fetch import Events, Fetch
from p2pwire.adapters.blocking.loop import Loop
from p2pwire.adapters.engine import Engine, NodeTraffic
from p2pwire.adapters.places import Destination, PeerAddress, host_and_port, literal, parse_uri, storage_at
from p2pwire.adapters.socketflow import LEAVE_TIME, READ, SocketFlow
from p2pwire.adapters.sockets import (
    ANY_HOST,
    READ_SIZE,
    begin_connect,
    endpoint_of,
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


class Peer:
    """One peer: listens, shares, fetches. To be used as `with Peer() as peer`; its methods may be called in any thread.

    `identity` None: a new one, for as long as the peer lives. `storage`: where fetches go that name no destination.
    Leaving the block says SHUTDOWN to all links and finishes the disk work in hand; unfinished fetches stay on disk.
    """

    def __init__(
        self, identity: Identity | None = None, storage: Storage | None = None, *, config: NodeConfig | None = None
    ) -> None:
        self._given = identity, config
        self._storage = storage

    def __enter__(self) -> Peer:
        identity, config = self._given
        self._loop = Loop("p2pwire peer")
        self._outside = _Outside(self._loop)
        self._engine = self._outside.engine = Engine(identity, config, self._outside)
        self._loop.on_failure = self._outside.fail
        self._loop.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def identity(self) -> Identity:
        """Who this peer is."""
        return self._engine.identity

    def listen(self, host: str | None = None, port: int = 0) -> list[Endpoint]:
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
                hosts = found_endpoints(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except UnicodeError as error:
                raise no_such_name(host, error) from None
        sockets = listening_sockets(hosts, port)
        bound = [endpoint for sock in sockets if (endpoint := endpoint_of(sock.getsockname())) is not None]

        def begin() -> None:
            for sock in sockets:
                self._outside.accept_from(sock)
            self._engine.listening(bound)

        self._loop.call(begin)
        return bound

    def share(
        self, content: str | os.PathLike[str] | Shared, progress: Callable[[int, int], None] | None = None
    ) -> Uri:
        """Hash and serve a file or folder, or content that is hashed; its URI, with the addresses that are listened on.

        `progress` is called with the bytes hashed and the bytes in all. Raises StorageError.
        """
        shared = scan(content, progress) if isinstance(content, str | os.PathLike) else content
        return self._loop.call(lambda: self._engine.share(shared))

    def fetch(
        self,
        uri: Uri | str,
        destination: Destination | None = None,
        peers: Iterable[PeerAddress] = (),
        *,
        sequential: bool = False,
    ) -> Fetch:
        """Begin to fetch what a URI names into a directory, from the peers that it and `peers` name, and from theirs.

        Names of hosts are looked up before this returns. Raises UriError; ValueError for a wrong address, or if the
        object is shared or fetched here already.
        """
        addresses = [host_and_port(peer) for peer in peers]
        place = storage_at(destination, self._storage)
        wanted = parse_uri(uri)
        fetch = Fetch(self._loop, self._engine, wanted, place, sequential=sequential)
        for host, port in addresses:
            self._add_peer(wanted.oid, host, port)
        return fetch

    def add_peers(self, uri: Uri | str, peers: Iterable[PeerAddress]) -> None:
        """More addresses at which peers of an object may be found that is shared or fetched here.

        Names of hosts are looked up before this returns. Raises UriError; ValueError for a wrong address, or an object
        that is neither.
        """
        oid = parse_uri(uri).oid
        addresses = [host_and_port(peer) for peer in peers]
        self._loop.call(lambda: self._engine.check_known(oid))
        for host, port in addresses:
            self._add_peer(oid, host, port)

    def _add_peer(self, oid: bytes, host: str, port: int) -> None:
        known = literal(host, port)
        endpoints = [] if known is None else [known]
        if known is None:
            try:
                endpoints = found_endpoints(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                self._loop.post(lambda: self._engine.cannot_resolve(host, reason))
                return
        # The node dials several at once, whatever their family: happy eyeballs.
        self._loop.post(lambda: self._engine.add_peers(oid, endpoints))

    def forget(self, uri: Uri | str) -> None:
        """Stop to share or fetch an object; what is on the disk stays."""
        oid = parse_uri(uri).oid
        self._loop.call(lambda: self._engine.forget(oid))

    def attach(self, sock: socket.socket, *, initiator: bool) -> int:
        """Make a connected socket of the caller's own a link of this peer, for all that it exchanges; its number.

        The socket is closed when the link ends.
        """

        def begin() -> int:
            traffic = self._engine.attached(Role.INITIATOR if initiator else Role.RESPONDER)
            self._outside.begin(tune(sock), traffic)
            return traffic.link

        return self._loop.call(begin)

    def send_extension(self, link: int, name: str, index: int, body: bytes) -> None:
        """Send a frame of an extension (`NodeConfig.extensions`) that the other side of an open link lists too.

        `link`: as `PeerConnected.link` and `ExtensionReceived.link` say. `index`: which of the extension's frames;
        `body`: at most `MAX_FRAME_BODY` bytes. Raises KeyError for a link that is not open; `LocalProtocolError` if the
        other side has no such frame, or if more would flood it: then it may be tried again later.
        """
        self._loop.call(lambda: self._engine.send_extension(link, name, index, body))

    def peers(self) -> list[PeerInfo]:
        """The open links."""
        return self._loop.call(self._engine.peers)

    def events(self) -> Events:
        """What happens from now on: who came and went, who was learned from whom, what became known and complete."""
        events = Events()
        self._loop.call(lambda: self._engine.tell(events))
        return events

    def close(self) -> None:
        """Leave in order. A second time does nothing."""
        self._loop.post(self._outside.leave)
        self._loop.join()


class _Outside:
    """The engine's hands: sockets, worker threads, the clock. For the thread of the loop."""

    engine: Engine

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.now = loop.now
        self._workers = Workers()
        self._flows: dict[int, SocketFlow] = {}
        self._doors: dict[Door, None] = {}
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._leaving = False
        self._stores_closed = False
        loop.watch(self._workers.ear, 0, READ, self._collect)

    # --- doors ---

    def accept_from(self, listener: socket.socket) -> None:
        """Accept until the peer leaves."""
        self._doors[Listener(self._loop, listener, self._welcome)] = None

    def _welcome(self, sock: socket.socket, remote: Endpoint | None) -> None:
        traffic = self.engine.accepted(remote, endpoint_of(sock.getsockname()))
        if traffic is None:
            sock.close()
        else:
            self.begin(tune(sock), traffic)

    def dial(self, dial: Dial) -> None:
        """See `Outside`."""

        def ended(door: Connecting, outcome: socket.socket | OSError) -> None:
            del self._doors[door]
            if isinstance(outcome, OSError):
                self.engine.dial_failed(dial, outcome)
            else:
                self.begin(outcome, self.engine.dialled(dial, endpoint_of(outcome.getsockname())))

        try:
            sock = begin_connect(dial.endpoint)
        except OSError as error:
            failure = error
            self._loop.soon(lambda: self.engine.dial_failed(dial, failure))
        else:
            self._doors[Connecting(self._loop, sock, ended)] = None

    # --- links ---

    def begin(self, sock: socket.socket, traffic: NodeTraffic) -> None:
        """Let a link's bytes flow."""
        link = traffic.link
        flow = self._flows[link] = SocketFlow(self._loop, sock, self._buffer, traffic, lambda: self._flow_ended(link))
        flow.transmit()
        self.engine.pump()

    def _flow_ended(self, link: int) -> None:
        del self._flows[link]
        self._leave_if_done()

    def transmit(self, link: int) -> None:
        """See `Outside`."""
        if link in self._flows:
            self._flows[link].transmit()

    def resume_reading(self, link: int) -> None:
        """See `Outside`."""
        self.transmit(link)

    def hang_up(self, link: int) -> None:
        """See `Outside`."""
        if link in self._flows:
            self._flows[link].hang_up()

    # --- workers and time ---

    def run_in_worker(self, work: Work, ending: Ending) -> None:
        """See `Outside`."""
        self._workers.submit(work, ending)

    def _collect(self, events: int) -> None:
        self._workers.collect()
        self._leave_if_done()

    def wake_at(self, when: float | None) -> None:
        """See `Outside`."""
        self._loop.at(when, self.engine.on_time)

    # --- the end ---

    def leave(self) -> None:
        """Close links and stores in order, then end the loop."""
        if self._leaving:
            return
        self._leaving = True
        self.engine.close_links()
        for door in list(self._doors):
            door.close()
        self._loop.at(self.now() + LEAVE_TIME, self._abort_links)
        self._leave_if_done()

    def _abort_links(self) -> None:
        for flow in list(self._flows.values()):
            flow.abort()

    def _leave_if_done(self) -> None:
        if not self._leaving or self._flows:
            return
        if not self._stores_closed:
            self._stores_closed = True
            self.engine.close_stores()
        if not self._workers.busy:
            self._loop.watch(self._workers.ear, READ, 0, self._collect)
            self._workers.close()
            self._loop.stop()

    def fail(self, error: BaseException) -> None:
        """The loop has ended by a mistake: nobody shall wait for ever."""
        self.engine.fail(error)
        self._abort_links()
        for door in list(self._doors):
            door.close()
        self._workers.close()
