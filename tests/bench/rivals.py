"""Other sans-IO codecs and sessions, ready to be measured: each imports its library only when it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

Flow: TypeAlias = tuple[Callable[[], bytes], Callable[[bytes], int]]
"""What encodes all messages, and what decodes them and says how many came."""

READ: Final = 65536
"""bytes that a decoder is given at once, as a socket would."""

STREAM: Final = 1
WINDOW: Final = 2**31 - 1


def pieces(wire: bytes) -> Iterator[bytes]:
    """As a socket would give it."""
    for at in range(0, len(wire), READ):
        yield wire[at : at + READ]


# --- HTTP/1.1 ---


def h11_idle() -> Any:
    """A server's connection between two requests."""
    import h11

    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    request = h11.Request(method="GET", target="/", headers=[("Host", "a")])
    server.receive_data(client.send(request) + client.send(h11.EndOfMessage()))
    while not isinstance(server.next_event(), h11.EndOfMessage):
        pass
    response = h11.Response(status_code=200, headers=[("Content-Length", "0")])
    client.receive_data(server.send(response) + server.send(h11.EndOfMessage()))
    while not isinstance(client.next_event(), h11.EndOfMessage):
        pass
    server.start_next_cycle()
    return server


def h11_flow(body: bytes, count: int) -> Flow:
    """One chunk of a body a message."""
    import h11

    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    headers = [("Host", "a"), ("Transfer-Encoding", "chunked")]
    server.receive_data(client.send(h11.Request(method="POST", target="/", headers=headers)))
    server.next_event()
    message = h11.Data(data=body)

    def encode() -> bytes:
        return b"".join([client.send(message) for _ in range(count)])

    def decode(wire: bytes) -> int:
        found = 0
        for piece in pieces(wire):
            server.receive_data(piece)
            while (event := server.next_event()) is not h11.NEED_DATA:
                found += event.chunk_end
        return found

    return encode, decode


def h11r_flow(body: bytes, count: int) -> Flow:
    """The same in Rust."""
    import h11r

    client, server = h11r.Connection(h11r.Role.CLIENT), h11r.Connection(h11r.Role.SERVER)
    server.receive_data(client.send_request("POST", "/", [("Host", "a"), ("Transfer-Encoding", "chunked")]))
    server.next_event()

    def encode() -> bytes:
        return b"".join([client.send_data(body) for _ in range(count)])

    def decode(wire: bytes) -> int:
        found = 0
        for piece in pieces(wire):
            server.receive_data(piece)
            while (event := server.next_event()) is not h11r.ReceiveStatus.NEED_DATA:
                found += event.chunk_end
        return found

    return encode, decode


# --- HTTP/2 ---


def h2_pair() -> tuple[Any, Any]:
    """Client and server with a stream open both ways and all the window that there is."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.settings import SettingCodes

    client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    server = H2Connection(H2Configuration(client_side=False, header_encoding=None))
    for end, other in ((client, server), (server, client)):
        end.initiate_connection()
        end.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: WINDOW})
        end.increment_flow_control_window(WINDOW - 65535)
        other.receive_data(end.data_to_send())
    client.receive_data(server.data_to_send())
    server.receive_data(client.data_to_send())
    client.send_headers(STREAM, [(":method", "POST"), (":path", "/"), (":scheme", "https"), (":authority", "a")])
    server.receive_data(client.data_to_send())
    server.send_headers(STREAM, [(":status", "200")])
    client.receive_data(server.data_to_send())
    return client, server


def h2_idle() -> Any:
    """A server's connection without streams."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection

    client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    server = H2Connection(H2Configuration(client_side=False, header_encoding=None))
    client.initiate_connection()
    server.initiate_connection()
    server.receive_data(client.data_to_send())
    client.receive_data(server.data_to_send())
    server.receive_data(client.data_to_send())
    server.data_to_send()
    return server


def h2_flow(body: bytes, count: int) -> Flow:
    """One DATA frame a message."""
    from h2.events import DataReceived

    client, server = h2_pair()

    def encode() -> bytes:
        made = []
        for number in range(count):
            client.send_data(STREAM, body)
            if number % 64 == 63:
                made.append(client.data_to_send())
        made.append(client.data_to_send())
        return b"".join(made)

    def decode(wire: bytes) -> int:
        return sum(isinstance(event, DataReceived) for piece in pieces(wire) for event in server.receive_data(piece))

    return encode, decode


# --- WebSocket ---


def wsproto_idle() -> Any:
    """A server's connection after the handshake."""
    from wsproto import ConnectionType, WSConnection
    from wsproto.events import AcceptConnection, Request

    client, server = WSConnection(ConnectionType.CLIENT), WSConnection(ConnectionType.SERVER)
    server.receive_data(client.send(Request(host="a", target="/")))
    list(server.events())
    client.receive_data(server.send(AcceptConnection()))
    list(client.events())
    return server


def wsproto_flow(body: bytes, count: int) -> Flow:
    """One unmasked binary message a message."""
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import BytesMessage

    server, client = Connection(ConnectionType.SERVER), Connection(ConnectionType.CLIENT)
    message = BytesMessage(data=body)

    def encode() -> bytes:
        return b"".join([server.send(message) for _ in range(count)])

    def decode(wire: bytes) -> int:
        found = 0
        for piece in pieces(wire):
            client.receive_data(piece)
            found += sum(event.message_finished for event in client.events())
        return found

    return encode, decode


# --- QUIC ---


def aioquic_handshake(configurations: tuple[Any, Any]) -> tuple[Any, Any]:
    """Client and server after the handshake."""
    from aioquic.quic.connection import QuicConnection
    from aioquic.quic.events import HandshakeCompleted

    client = QuicConnection(configuration=configurations[0])
    server = QuicConnection(
        configuration=configurations[1],
        original_destination_connection_id=client.original_destination_connection_id,
    )
    client.connect(("127.0.0.1", 1), now=0.0)
    done: set[int] = set()
    for _ in range(10):
        for end, other, address in ((client, server, 2), (server, client, 1)):
            for datagram, _ in end.datagrams_to_send(now=0.0):
                other.receive_datagram(datagram, ("127.0.0.1", address), now=0.0)
            while (event := other.next_event()) is not None:
                if isinstance(event, HandshakeCompleted):
                    done.add(id(other))
        if len(done) == 2:
            return client, server
    raise RuntimeError("aioquic: no handshake within ten flights")


def aioquic_configurations(certificate: str) -> tuple[Any, Any]:
    """Client and server; only the server shows a certificate, since aioquic has no other way."""
    from aioquic.quic.configuration import QuicConfiguration

    client = QuicConfiguration(is_client=True, alpn_protocols=["bench"], server_name="localhost")
    client.load_verify_locations(certificate)
    server = QuicConfiguration(is_client=False, alpn_protocols=["bench"])
    server.load_cert_chain(certificate, certificate)
    return client, server
