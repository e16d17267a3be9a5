"""Byte streams of a caller's own: each function opens the two ends of one carrier for one test."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import anyio
from anyio.abc import ByteStream, Listener, ObjectReceiveStream, ObjectSendStream, SocketAttribute
from anyio.streams.tls import TLSStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection as WebSocket
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

StreamPair: TypeAlias = tuple[ByteStream, ByteStream]
OpenPair: TypeAlias = Callable[[], AbstractAsyncContextManager[StreamPair]]


class MemoryStream(ByteStream):
    """One end of a pipe in memory."""

    def __init__(self, sending: ObjectSendStream[bytes], receiving: ObjectReceiveStream[bytes]) -> None:
        self._sending = sending
        self._receiving = receiving
        self._rest = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = self._rest or await self._receiving.receive()
        self._rest = data[max_bytes:]
        return data[:max_bytes]

    async def send(self, item: bytes) -> None:
        await self._sending.send(item)

    async def send_eof(self) -> None:
        await self._sending.aclose()

    async def aclose(self) -> None:
        await self._sending.aclose()
        await self._receiving.aclose()


class WebSocketStream(ByteStream):
    """A byte stream over a WebSocket: every message is some bytes of the stream."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._rest = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            data = self._rest or await self._websocket.recv(decode=False)
        except ConnectionClosed:
            raise anyio.EndOfStream from None
        self._rest = data[max_bytes:]
        return data[:max_bytes]

    async def send(self, item: bytes) -> None:
        try:
            await self._websocket.send(item)
        except ConnectionClosed as error:
            raise anyio.BrokenResourceError from error

    async def send_eof(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        await self._websocket.close()


@asynccontextmanager
async def memory_pair(messages: int = 1) -> AsyncIterator[StreamPair]:
    """A pipe in memory; `messages` is how many wait each way before the sender waits."""
    there = anyio.create_memory_object_stream[bytes](messages)
    back = anyio.create_memory_object_stream[bytes](messages)
    one, other = MemoryStream(there[0], back[1]), MemoryStream(back[0], there[1])
    async with one, other:
        yield one, other


@asynccontextmanager
async def _connected(
    listener: Listener[ByteStream], connect_to: Callable[[], Awaitable[ByteStream]]
) -> AsyncIterator[StreamPair]:
    """What one accepted connection and its other end are."""
    accepted: list[ByteStream] = []
    done, here = anyio.Event(), anyio.Event()

    async def handle(stream: ByteStream) -> None:
        accepted.append(stream)
        here.set()
        await done.wait()

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        async with await connect_to() as stream:
            await here.wait()
            async with accepted[0]:
                yield stream, accepted[0]
        done.set()
        group.cancel_scope.cancel()


@asynccontextmanager
async def tcp_pair() -> AsyncIterator[StreamPair]:
    """anyio's own TCP streams."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with _connected(listener, lambda: anyio.connect_tcp("127.0.0.1", port)) as pair:
        yield pair


@asynccontextmanager
async def unix_pair() -> AsyncIterator[StreamPair]:
    """A Unix socket."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "socket")
        listener = await anyio.create_unix_listener(path)
        async with _connected(listener, lambda: anyio.connect_unix(path)) as pair:
            yield pair


@cache
def _certificate() -> tuple[bytes, bytes]:
    """A self-signed certificate for "peer" and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("peer")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's and a server's context that trust each other."""
    certificate, key = _certificate()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with TemporaryDirectory() as directory:
        path = Path(directory, "peer.pem")
        path.write_bytes(certificate + key)
        server.load_cert_chain(path)
    return ssl.create_default_context(cadata=certificate.decode()), server


@asynccontextmanager
async def tls_pair() -> AsyncIterator[StreamPair]:
    """TLS over TCP."""
    client, server = tls_contexts()
    wrapped: list[ByteStream] = []
    async with tcp_pair() as (one, other):

        async def wrap_server() -> None:
            wrapped.append(await TLSStream.wrap(other, server_side=True, ssl_context=server))

        async with anyio.create_task_group() as group:
            group.start_soon(wrap_server)
            stream = await TLSStream.wrap(one, hostname="peer", ssl_context=client)
        yield stream, wrapped[0]


@asynccontextmanager
async def websocket_pair() -> AsyncIterator[StreamPair]:
    """A WebSocket of the `websockets` package, over TCP. Only under asyncio."""
    accepted: list[WebSocket] = []
    here = anyio.Event()

    async def handle(websocket: WebSocket) -> None:
        accepted.append(websocket)
        here.set()
        await websocket.wait_closed()

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None) as websocket:
            await here.wait()
            yield WebSocketStream(websocket), WebSocketStream(accepted[0])
