"""TCP as both adapters use it: non-blocking sockets, many buffers in one write, both families behind one port."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from p2pwire.connection.connection import MAX_READ
from p2pwire.node.address import Endpoint
from p2pwire.wire.messages import Buffer

READ_SIZE: Final = MAX_READ
"""bytes read at once: as many as a connection takes whenever it wants data."""

BACKLOG: Final = 128
"""Connections that the system completes while nobody accepts them: a burst of newcomers, and few enough to serve."""

MAX_BUFFERS: Final = 1024
"""buffers in one sendmsg: IOV_MAX of Linux, macOS and the BSDs."""

PORT_ATTEMPTS: Final = 16
"""How often a port that the system chose for one family may turn out to be taken in the other."""

ANY_HOST: Final = (Endpoint(bytes(4), 0), Endpoint(bytes(16), 0))
"""The wildcard of each family: what is listened on if no host is named."""

ACCEPT_PAUSE: Final = 0.1
"""seconds after which accepting is tried again when there was no room for a newcomer: not spinning, and not noticed."""

_PROBES: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses of documentation: looking up the route to one sends nothing."""

_NO_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})
_IN_PROGRESS: Final = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK})


def tune(sock: socket.socket) -> socket.socket:
    """Make a connected or accepted socket fit for a link."""
    sock.setblocking(False)
    if sock.family in _PROBES:
        # Records are written whole; waiting for more would only delay requests.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def endpoint_of(name: object) -> Endpoint | None:
    """The endpoint that `getpeername`, `getsockname` or `accept` gave; None if it is not one of TCP."""
    if not isinstance(name, tuple) or len(name) < 2:
        return None
    endpoint = Endpoint.parse(name[0], name[1])
    if len(name) == 4 and name[3] and not endpoint.zone:
        return Endpoint(endpoint.ip, endpoint.port, str(name[3]))
    return endpoint


def found_endpoints(rows: Iterable[Sequence[object]]) -> list[Endpoint]:
    """What `getaddrinfo` found, each once, and with the zone of a link-local address: without it it leads nowhere."""
    return list(dict.fromkeys(endpoint for row in rows if (endpoint := endpoint_of(row[4])) is not None))


def no_such_name(host: str, error: UnicodeError) -> socket.gaierror:
    """The error of a name that cannot be asked for, as of one that nobody has: `getaddrinfo` raises another."""
    return socket.gaierror(socket.EAI_NONAME, f"{host!r} can be no host's name: {error}")


def socket_address(endpoint: Endpoint) -> tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]:
    """The family and address of an endpoint, as sockets take them."""
    if len(endpoint.ip) == 4:
        return socket.AF_INET, (endpoint.host, endpoint.port)
    scope = _scope_id(endpoint.zone)
    return socket.AF_INET6, (endpoint.host.partition("%")[0], endpoint.port, 0, scope)


def _scope_id(zone: str) -> int:
    if not zone:
        return 0
    return int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)


def begin_connect(endpoint: Endpoint) -> socket.socket:
    """A socket on its way to an endpoint: when it is writable, `finish_connect` says how it went. Raises OSError."""
    family, address = socket_address(endpoint)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        tune(sock)
        code = sock.connect_ex(address)
        if code and code not in _IN_PROGRESS:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


def finish_connect(sock: socket.socket) -> None:
    """Raise OSError if the connection of a socket that has become writable failed."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def listening_sockets(hosts: Sequence[Endpoint], port: int) -> list[socket.socket]:
    """Sockets that listen on every address that this machine has, all on one port, whatever the endpoints'; 0: a free
    one.

    Raises OSError if it can listen on none, or if the port is taken on one; ValueError for what is no port.
    """
    for attempt in range(PORT_ATTEMPTS):
        try:
            return _listen_on(hosts, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _listen_on(hosts: Sequence[Endpoint], port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for host in hosts:
            try:
                sock = _listen(Endpoint(host.ip, port, host.zone))
            except OSError as error:
                if error.errno not in _NO_FAMILY:
                    raise
                missing = error
                continue
            sockets.append(sock)
            port = sock.getsockname()[1]
        if not sockets:
            raise missing or OSError(errno.EADDRNOTAVAIL, "there is no address to listen on")
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _listen(endpoint: Endpoint) -> socket.socket:
    family, address = socket_address(endpoint)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own: what comes is what it says it is.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def reachable_endpoints(bound: Iterable[Endpoint]) -> list[Endpoint]:
    """What others can dial: a wildcard becomes the address from which this machine would reach the internet."""
    found: list[Endpoint] = []
    for endpoint in bound:
        if any(endpoint.ip):
            found.append(endpoint)
        elif (ip := _own_address(socket.AF_INET if len(endpoint.ip) == 4 else socket.AF_INET6)) is not None:
            found.append(Endpoint.parse(ip, endpoint.port))
    return found


def _own_address(family: socket.AddressFamily) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_PROBES[family], 9))
            return str(probe.getsockname()[0])
    except OSError:
        # Without a route there is still this machine.
        return "127.0.0.1" if family == socket.AF_INET else None


class Outgoing:
    """Buffers on their way into a socket, without joining them, and how far the last write got."""

    __slots__ = ("_buffers",)

    def __init__(self) -> None:
        self._buffers: deque[Buffer] = deque()

    def __bool__(self) -> bool:
        return bool(self._buffers)

    def add(self, buffers: Iterable[Buffer]) -> None:
        """Send these next, in order. They must not change until they are sent."""
        self._buffers.extend(buffers)

    def write(self, sock: socket.socket) -> None:
        """Send what the socket takes. Raises BlockingIOError when it takes no more, and OSError if the link broke."""
        buffers = self._buffers
        while buffers:
            if isinstance(sock, ssl.SSLSocket):
                sent = sock.send(buffers[0])
            else:
                sent = sock.sendmsg(islice(buffers, MAX_BUFFERS))
            while buffers and sent >= (size := len(buffers[0])):
                sent -= size
                buffers.popleft()
            if sent:
                buffers[0] = memoryview(buffers[0])[sent:]
