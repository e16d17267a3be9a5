"""What the user may write on the command line, and how it is read."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable
from functools import wraps
from ipaddress import IPv6Address
from typing import Final

import attrs
import click

from p2pwire.adapters.sockets import found_endpoints
from p2pwire.cli.errors import CommandError
from p2pwire.cli.output import JsonOutput, Output, TextOutput
from p2pwire.content.uri import Uri, UriError
from p2pwire.node.address import Endpoint

_HOST_PORT: Final = re.compile(r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})", re.ASCII)
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)(i?)(B?)", re.ASCII | re.IGNORECASE)


@attrs.frozen
class HostPort:
    """A host, by name or address, and a port."""

    host: str
    """Empty: every address of this machine."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def resolve(self) -> list[Endpoint]:
        """The endpoints that the name stands for. Raises CommandError."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CommandError("unknown-host", f"cannot find the host {self.host!r}: {reason}") from None
        return found_endpoints(found)


def listen_address(text: str) -> HostPort:
    """Read `HOST:PORT` or `[IPV6]:PORT`; port 0 is a free one, and no host every address. Raises click.BadParameter."""
    return _host_port(text, 0)


def peer_address(text: str) -> HostPort:
    """Read `HOST:PORT` or `[IPV6]:PORT` of a peer. Raises click.BadParameter."""
    found = _host_port(text, 1)
    if not found.host:
        raise click.BadParameter(f"{text!r} names no host")
    return found


def _host_port(text: str, lowest: int) -> HostPort:
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        example = "192.0.2.1:4000, [2001:db8::1]:4000 or example.org:4000"
        raise click.BadParameter(f"{text!r} is not HOST:PORT, like {example}")
    port = int(match["port"])
    if not lowest <= port <= 65535:
        raise click.BadParameter(f"the port of {text!r} is {port}, which is not within {lowest} to 65535")
    if match["six"] is not None:
        try:
            IPv6Address(match["six"])
        except ValueError:
            raise click.BadParameter(f"{match['six']!r} in brackets is no IPv6 address") from None
    return HostPort(match["six"] or match["host"], port)


def uri_argument(text: str) -> Uri:
    """Read a URI. Raises click.BadParameter."""
    try:
        return Uri.parse(text)
    except UriError as error:
        raise click.BadParameter(str(error)) from None


def size_argument(text: str) -> int:
    """Read a number of bytes, like `64MiB`, `1.5GB` or `100000`. Raises click.BadParameter."""
    match = _SIZE.fullmatch(text)
    if match is None or (match[3] and not match[2]):
        raise click.BadParameter(f"{text!r} is no size, like 64MiB, 1.5GB or 100000")
    power = " KMGT".index(match[2].upper() or " ")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def seconds_argument(text: str) -> float:
    """Read a time in seconds, above 0. Raises click.BadParameter."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise click.BadParameter(f"{text!r} is no number of seconds above 0")
    return seconds


def reporting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --json, --quiet and --verbose, and what they select as its first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Report as one JSON object a line.")
    @click.option("-q", "--quiet", is_flag=True, help="Only results and errors.")
    @click.option("-v", "--verbose", is_flag=True, help="Tell more of what happens.")
    @wraps(command)
    def reports(as_json: bool, quiet: bool, verbose: bool, **arguments: object) -> None:
        output: Output
        if as_json or click.get_current_context().find_root().params["as_json"]:
            output = JsonOutput(verbose=verbose)
        else:
            output = TextOutput(quiet=quiet, verbose=verbose)
        command(output, **arguments)

    return reports
