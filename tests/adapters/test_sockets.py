"""What both adapters do with sockets, and what callers may write as an address."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from select import select

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pwire.adapters.places import host_and_port, literal
from p2pwire.adapters.sockets import (
    MAX_BUFFERS,
    Outgoing,
    begin_connect,
    endpoint_of,
    finish_connect,
    found_endpoints,
    listening_sockets,
    reachable_endpoints,
    socket_address,
    tune,
)
from p2pwire.node.address import Endpoint


class FakeSocket:
    """Takes as many bytes at a time as it is told, and no more than so many buffers."""

    def __init__(self, takes: list[int]) -> None:
        self._takes = takes
        self.taken = bytearray()

    def sendmsg(self, buffers: object) -> int:
        given = [bytes(buffer) for buffer in buffers]  # type: ignore[attr-defined]
        assert 0 < len(given) <= MAX_BUFFERS
        if not self._takes:
            raise BlockingIOError
        size = self._takes.pop(0)
        data = b"".join(given)[:size]
        self.taken += data
        return len(data)


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 40), max_size=30))
def test_outgoing_loses_and_repeats_nothing_however_little_the_socket_takes(
    buffers: list[bytes], takes: list[int]
) -> None:
    sock = FakeSocket(takes)
    outgoing = Outgoing()
    outgoing.add(buffer for buffer in buffers if buffer)
    for _ in range(100):
        try:
            outgoing.write(sock)  # type: ignore[arg-type]
        except BlockingIOError:
            sock._takes.append(7)
    assert bytes(sock.taken) == b"".join(buffers)
    assert not outgoing


def test_outgoing_gives_the_system_no_more_buffers_than_it_takes() -> None:
    one, other = socket.socketpair()
    with one, other:
        tune(one)
        outgoing = Outgoing()
        outgoing.add(bytes([number % 256]) for number in range(3 * MAX_BUFFERS))
        outgoing.write(one)
        received = b""
        while len(received) < 3 * MAX_BUFFERS:
            received += other.recv(4096)
    assert received == bytes(number % 256 for number in range(3 * MAX_BUFFERS))


def connect(endpoint: Endpoint) -> None:
    """Connect, and close."""
    with begin_connect(endpoint) as sock:
        select([], [sock], [])
        finish_connect(sock)


def test_a_connection_attempt_ends_with_its_error_or_a_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = endpoint_of(listener.getsockname())
        assert endpoint is not None
        with begin_connect(endpoint) as sock:
            accepted, name = listener.accept()
            accepted.close()
            finish_connect(sock)
            assert endpoint_of(name) == endpoint_of(sock.getsockname())
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    with pytest.raises(OSError, match="refused"):
        connect(endpoint)


def hosts(*addresses: str) -> list[Endpoint]:
    return [Endpoint.parse(address, 0) for address in addresses]


def test_a_free_port_is_found_for_both_families() -> None:
    sockets = listening_sockets(hosts("127.0.0.1", "::1"), 0)
    ports = {sock.getsockname()[1] for sock in sockets}
    for sock in sockets:
        sock.close()
    assert len(sockets) == 2
    assert len(ports) == 1


def test_an_address_that_this_machine_has_not_is_left_out_unless_it_is_the_only_one() -> None:
    for sock in listening_sockets(hosts("192.0.2.1", "127.0.0.1"), 0):
        with sock:
            assert sock.getsockname()[0] == "127.0.0.1"
    with pytest.raises(OSError, match=r".") as caught:
        listening_sockets(hosts("192.0.2.1"), 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_what_a_name_stands_for_is_taken_once_and_with_its_zone() -> None:
    rows = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 7, 0, 3)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 7, 0, 3)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 7)),
    ]
    assert list(map(str, found_endpoints(rows))) == ["[fe80::1%3]:7", "192.0.2.1:7"]


def test_wildcards_are_named_by_addresses_that_can_be_dialled() -> None:
    bound = [Endpoint.parse("0.0.0.0", 4000), Endpoint.parse("::", 4000), Endpoint.parse("127.0.0.2", 4001)]
    reachable = reachable_endpoints(bound)
    assert reachable[0].port == 4000
    assert reachable[-1] == bound[-1]
    assert all(any(endpoint.ip) for endpoint in reachable)


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        (Endpoint.parse("192.0.2.1", 1), (socket.AF_INET, ("192.0.2.1", 1))),
        (Endpoint.parse("2001:db8::1", 2), (socket.AF_INET6, ("2001:db8::1", 2, 0, 0))),
        (Endpoint.parse("fe80::1%7", 3), (socket.AF_INET6, ("fe80::1", 3, 0, 7))),
        (Endpoint.parse("fe80::1%lo", 3), (socket.AF_INET6, ("fe80::1", 3, 0, socket.if_nametoindex("lo")))),
    ],
)
def test_endpoints_and_socket_addresses_are_each_other(endpoint: Endpoint, address: object) -> None:
    assert socket_address(endpoint) == address


def test_only_addresses_of_tcp_are_endpoints() -> None:
    assert endpoint_of("/run/socket") is None
    assert endpoint_of(("::ffff:192.0.2.1", 5, 0, 0)) == Endpoint.parse("192.0.2.1", 5)
    assert endpoint_of(("fe80::1%lo", 5, 0, 1)) == Endpoint.parse("fe80::1%lo", 5)
    assert endpoint_of(("fe80::1", 5, 0, 7)) == Endpoint.parse("fe80::1%7", 5)


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("192.0.2.1:4000", "192.0.2.1", 4000),
        ("[2001:db8::1]:4000", "2001:db8::1", 4000),
        ("bob.example:65535", "bob.example", 65535),
        (("2001:db8::1", 1), "2001:db8::1", 1),
        (Endpoint.parse("2001:db8::1", 2), "2001:db8::1", 2),
    ],
)
def test_addresses_are_read(address: str | tuple[str, int] | Endpoint, host: str, port: int) -> None:
    assert host_and_port(address) == (host, port)
    assert (literal(host, port) is None) is (host == "bob.example")


@pytest.mark.parametrize("module", ["p2pwire", "p2pwire.adapters", "p2pwire.adapters.blocking"])
def test_no_event_loop_is_imported_where_none_is_needed(module: str) -> None:
    program = f"import sys, {module}; print(sorted({{'anyio', 'trio', 'asyncio', 'construct'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def test_asyncio_needs_no_trio() -> None:
    program = "import sys, p2pwire.adapters.anyio; print('trio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
