"""Links over sockets of the caller's own, in programs without an event loop."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pytest

from p2pwire.adapters.blocking import Link, open_connection
from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.config import Config, Timeouts
from p2pwire.connection.transfer import MAX_RUN
from p2pwire.content.merkle import BLOCK
from p2pwire.crypto.identity import Identity
from p2pwire.wire.registry import SEND_QUEUE_DATA, CloseCode
from tests.adapters.blobs import Blob, Fetcher, Seeder, some_bytes
from tests.adapters.streams import tls_contexts

GUARD = 20.0
"""seconds after which a test has failed."""

SocketPair: TypeAlias = tuple[socket.socket, socket.socket]


def socket_pair() -> SocketPair:
    """Two ends without a network."""
    return socket.socketpair()


def tcp_pair() -> SocketPair:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        return one, listener.accept()[0]


def unix_pair() -> SocketPair:
    with TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = str(Path(directory, "socket"))
        listener.bind(path)
        listener.listen()
        one = socket.socket(socket.AF_UNIX)
        one.connect(path)
        return one, listener.accept()[0]


def tls_pair() -> SocketPair:
    client, server = tls_contexts()
    one, other = tcp_pair()
    wrapped: list[ssl.SSLSocket] = []
    with in_thread(lambda: wrapped.append(server.wrap_socket(other, server_side=True))):
        stream = client.wrap_socket(one, server_hostname="peer")
    return stream, wrapped[0]


@contextmanager
def in_thread(work: Callable[[], object]) -> Iterator[None]:
    """Run something beside the block; what it raises is raised at the end."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(GUARD)
    assert not thread.is_alive(), "the other end hangs"
    if failures:
        raise failures[0]


def a_config(**changes: object) -> Config:
    return Config(Identity.from_seed(os.urandom(32)), **changes)  # type: ignore[arg-type]


def seed(link: Link, blob: Blob) -> list[ev.Event]:
    """Serve the blob until the link is over; the events."""
    events, seeder = [], Seeder(blob)
    for event in link:
        events.append(event)
        for command in seeder.react(event):
            link.send(command)
    return events


@pytest.mark.parametrize("open_pair", [socket_pair, tcp_pair, unix_pair, tls_pair])
def test_a_blob_moves_over_any_socket_and_the_link_ends_in_order(open_pair: Callable[[], SocketPair]) -> None:
    blob = Blob(some_bytes(2_500_000))
    fetcher = Fetcher(blob)
    served: list[ev.Event] = []
    one, other = open_pair()

    def serve() -> None:
        with open_connection(other, initiator=False, config=blob.config(known=True)) as link:
            served.extend(seed(link, blob))

    with in_thread(serve), open_connection(one, initiator=True, config=blob.config(known=False)) as link:
        for event in link:
            for command in fetcher.react(event):
                link.send(command)
            if fetcher.complete:
                break
    assert fetcher.received == blob.data
    assert served[-1] == ev.Closed(CloseCode.NONE, 0, "", by_peer=True, truncated=False)
    assert (one.fileno(), other.fileno()) == (-1, -1)


def test_a_carrier_that_breaks_is_told_from_an_orderly_end() -> None:
    one, other = socket_pair()
    with in_thread(lambda: half_a_handshake(other)), open_connection(one, initiator=True, config=a_config()) as link:
        *_, last = link
    assert isinstance(last, ev.Closed)
    assert last.truncated


def half_a_handshake(sock: socket.socket) -> None:
    """Read something, and vanish."""
    with sock:
        sock.recv(1)


def test_leaving_by_an_exception_says_shutdown() -> None:
    one, other = socket_pair()
    heard: list[ev.Event] = []

    def listen() -> None:
        with open_connection(other, initiator=False, config=a_config()) as link:
            heard.extend(link)

    def give_up() -> None:
        with open_connection(one, initiator=True, config=a_config()) as link:
            for event in link:
                if isinstance(event, ev.LinkEstablished):
                    raise LookupError("no longer wanted")

    with in_thread(listen), pytest.raises(LookupError, match="no longer wanted"):
        give_up()
    assert isinstance(heard[-1], ev.Closed)
    assert (heard[-1].code, heard[-1].by_peer) == (CloseCode.SHUTDOWN, True)


def test_send_waits_for_room_and_a_reader_that_stands_still_bounds_what_is_taken() -> None:
    """The other end reads nothing: what was taken is the queue, and what the sockets and the reader's buffers hold."""
    blob = Blob(some_bytes(1000 * BLOCK))
    one, other = socket_pair()
    for end in (one, other):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    sent = 0
    full = threading.Event()
    fetcher = Fetcher(blob)

    def serve() -> None:
        nonlocal sent
        seeder = Seeder(blob)
        with open_connection(other, initiator=False, config=blob.config(known=True)) as link:
            for event in link:
                for command in seeder.react(event):
                    if not link.connection.can_send:
                        full.set()
                    link.send(command)
                    sent += isinstance(command, cmd.SendBlock)

    with in_thread(serve), open_connection(one, initiator=True, config=blob.config(known=False)) as link:
        for event in link:
            for command in fetcher.react(event):
                link.send(command)
            if isinstance(event, ev.BlocksReceived) and event.block == 0:
                assert full.wait(GUARD)
                assert sent * BLOCK < 2 * SEND_QUEUE_DATA + 10 * 65536 + MAX_RUN * BLOCK
            if fetcher.complete:
                break
    assert fetcher.received == blob.data


def test_several_threads_may_send() -> None:
    one, other = socket_pair()
    pongs: list[bytes] = []

    def answer() -> None:
        with open_connection(other, initiator=False, config=a_config()) as link:
            list(link)

    with in_thread(answer), open_connection(one, initiator=True, config=a_config()) as link:
        with pytest.raises(cmd.LocalProtocolError):
            link.send(cmd.Ping(b"too soon"))
        for event in link:
            if isinstance(event, ev.LinkEstablished):
                pings = [cmd.Ping(bytes([n] * 8)) for n in range(4)]
                senders = [threading.Thread(target=link.send, args=(ping,)) for ping in pings]
                for sender in senders:
                    sender.start()
                for sender in senders:
                    sender.join()
            elif isinstance(event, ev.PongReceived):
                pongs.append(event.data)
            if len(pongs) == 4:
                break
        link.close()
        assert list(link) == []
    assert sorted(pongs) == [bytes([n] * 8) for n in range(4)]


def test_time_runs_out_by_itself() -> None:
    """Nobody speaks at the other end."""
    one, other = socket_pair()
    config = a_config(timeouts=Timeouts(handshake=0.01))
    with other, open_connection(one, initiator=True, config=config) as link:
        *_, last = link
    assert isinstance(last, ev.Closed)
    assert last.code is CloseCode.TIMEOUT
