"""What a caller may write where a peer, a URI or a destination is meant."""

from __future__ import annotations

import os
from typing import TypeAlias

from p2pwire.content.uri import Uri
from p2pwire.node.address import Endpoint
from p2pwire.storage.filesystem import FileSystemStorage
from p2pwire.storage.interface import Storage

PeerAddress: TypeAlias = Endpoint | tuple[str, int] | str
"""An endpoint, or a host (or its name) and a port, or both as text: `bob.example:4000`, `[2001:db8::1]:4000`."""
Destination: TypeAlias = str | os.PathLike[str] | Storage
"""The directory in which the file or folder shall appear, or another place for it."""


def host_and_port(address: PeerAddress) -> tuple[str, int]:
    """Host and port of an address. Raises ValueError."""
    if isinstance(address, Endpoint):
        return address.host, address.port
    if isinstance(address, str):
        host, colon, port = address.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        if not (colon and host and port.isdecimal()) or (":" in host) is not bracketed:
            raise ValueError(f"peer: {address!r} is not HOST:PORT, with [] around an IPv6 address")
        address = host, int(port)
    if not 0 < address[1] < 65536:
        raise ValueError(f"peer: port {address[1]} is not within 1 to 65535")
    return address


def literal(host: str, port: int) -> Endpoint | None:
    """The endpoint of an IP address; None for a name, which has to be resolved."""
    try:
        return Endpoint.parse(host, port)
    except ValueError:
        return None


def parse_uri(uri: Uri | str) -> Uri:
    """A URI as text or parsed. Raises UriError."""
    return uri if isinstance(uri, Uri) else Uri.parse(uri)


def storage_at(destination: Destination | None, default: Storage | None) -> Storage:
    """The storage at a destination. Raises ValueError if neither is given."""
    if destination is None:
        if default is None:
            raise ValueError("destination: none is given, and the peer has no storage of its own")
        return default
    return FileSystemStorage(destination) if isinstance(destination, str | os.PathLike) else destination
