"""URIs: how people hand an object to each other.

    p2pwire:<oid in base32>[?xl=<length>&dn=<name>&pe=<ip:port>&pe=...&id=<peer identity in base32>]

Base32 is that of RFC 4648, written in lower case and without padding; 32 bytes are 52 characters, whose last 4 bits are
zero. Parameters may come in any order, and unknown ones are ignored. Their values are percent-encoded (RFC 3986) UTF-8;
"+" means itself.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

import attrs

from p2pwire.wire.keys import decode_name, encode_name, is_identity
from p2pwire.wire.registry import MAX_LENGTH, MAX_PATH_COMPONENT, MAX_URI, MAX_URI_PEERS

SCHEME: Final = "p2pwire"

_QUERY: Final = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]]|%[0-9A-Fa-f]{2})*")
_NUMBER: Final = re.compile("0|[1-9][0-9]*")
_ENDPOINT: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([1-9][0-9]{0,4})")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


class UriError(ValueError):
    """A URI that is not one of this protocol's."""

    def __init__(self, field: str, value: object, limit: str) -> None:
        shown = ascii(value)
        super().__init__(f"{field} is {shown if len(shown) <= 80 else shown[:77] + '...'}: {limit}")
        self.field = field
        """What is wrong: "scheme", "oid", "xl", "dn", "pe", "id", "query" or "uri"."""
        self.value = value
        self.limit = limit
        """The rule that is broken."""


class Endpoint(NamedTuple):
    """Where a peer may be reached: what a socket takes, and comparable to it."""

    host: str
    """An IPv4 or IPv6 address in its shortest form, without brackets; never a name."""
    port: int
    """1 to 65535."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read `192.0.2.1:4000` or `[2001:db8::1]:4000`. Raises `UriError`."""
        match = _ENDPOINT.fullmatch(text)
        if match is None or int(match[3]) > 65535:
            raise UriError("pe", text, "must be an address and a port, like 192.0.2.1:4000 or [2001:db8::1]:4000")
        try:
            host = str(IPv6Address(match[1]) if match[1] else IPv4Address(match[2]))
        except AddressValueError as error:
            raise UriError("pe", text, f"is no IP address: {error}") from None
        return cls(host, int(match[3]))


def _name_of(text: str, field: str) -> bytes:
    """The 32 bytes of a parameter. Raises `UriError` that names the field."""
    try:
        return decode_name(text)
    except ValueError as error:
        raise UriError(field, text, str(error)) from None


def check_name(name: str) -> None:
    """Raise `UriError` for what can not be the name of one file or folder, and so not a `dn`.

    A name is for display, and below a directory that the user chose; it is never a path.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise UriError("dn", name, "must be UTF-8") from None
    if not 1 <= size <= MAX_PATH_COMPONENT:
        raise UriError("dn", name, f"must have 1 to {MAX_PATH_COMPONENT} bytes, has {size}")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise UriError("dn", name, 'must be a name and no path: no "/" or "\\", and not "." or ".."')
    if _CONTROL.search(name):
        raise UriError("dn", name, "must have no control characters")


def _check_oid(uri: Uri, attribute: attrs.Attribute[bytes], value: bytes) -> None:
    if len(value) != 32:
        raise UriError("oid", value, "must be 32 bytes")


def _check_length(uri: Uri, attribute: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and not 0 <= value <= MAX_LENGTH:
        raise UriError("xl", value, f"must be 0 to {MAX_LENGTH}")


def _check_name(uri: Uri, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None:
        check_name(value)


def _check_peers(uri: Uri, attribute: attrs.Attribute[tuple[Endpoint, ...]], value: tuple[Endpoint, ...]) -> None:
    if len(value) > MAX_URI_PEERS:
        raise UriError("pe", len(value), f"at most {MAX_URI_PEERS} peers")


def _check_identity(uri: Uri, attribute: attrs.Attribute[bytes | None], value: bytes | None) -> None:
    if value is not None and not is_identity(value):
        raise UriError("id", value, "must be 32 bytes, and a key under which one alone can sign")  # [UR-016]


def _endpoints(peers: tuple[tuple[str, int], ...]) -> tuple[Endpoint, ...]:
    return tuple(Endpoint.parse(str(Endpoint(*peer))) for peer in peers)


@attrs.frozen
class Uri:
    """What a URI says. `str()` gives its canonical text. Raises `UriError` for values that no URI can have."""

    oid: bytes = attrs.field(repr=False, validator=_check_oid)
    """The object's id, 32 bytes; who knows it may read the object."""
    length: int | None = attrs.field(default=None, validator=_check_length)
    """Bytes of the object's content (`xl`): the file's, or the manifest's."""
    name: str | None = attrs.field(default=None, validator=_check_name)
    """What to call it (`dn`): one path component, for display."""
    peers: tuple[Endpoint, ...] = attrs.field(default=(), converter=_endpoints, validator=_check_peers)
    """Where to ask (`pe`)."""
    identity: bytes | None = attrs.field(default=None, validator=_check_identity)
    """The identity of a peer that has it (`id`), 32 bytes."""

    @classmethod
    def parse(cls, text: str) -> Uri:
        """Read a URI. Raises `UriError`."""
        if len(text) > MAX_URI:
            raise UriError("uri", text, f"at most {MAX_URI} characters, has {len(text)}")
        scheme, colon, rest = text.partition(":")
        if not colon or scheme.lower() != SCHEME:
            raise UriError("scheme", scheme, f'must be "{SCHEME}:"')
        oid, _, query = rest.partition("?")
        once, peers = _parameters(query)
        xl, dn, identity = once.get("xl"), once.get("dn"), once.get("id")
        if xl is not None and not (_NUMBER.fullmatch(xl) and len(xl) <= len(str(MAX_LENGTH))):
            raise UriError("xl", xl, f"must be a number from 0 to {MAX_LENGTH}, in decimal")
        return cls(
            oid=_name_of(oid, "oid"),
            length=None if xl is None else int(xl),
            name=dn,
            peers=tuple(Endpoint.parse(peer) for peer in peers),
            identity=None if identity is None else _name_of(identity, "id"),
        )

    def __str__(self) -> str:
        parameters = []
        if self.length is not None:
            parameters.append(f"xl={self.length}")
        if self.name is not None:
            parameters.append(f"dn={quote(self.name, safe='')}")
        parameters += [f"pe={peer}" for peer in self.peers]
        if self.identity is not None:
            parameters.append(f"id={encode_name(self.identity)}")
        return f"{SCHEME}:{encode_name(self.oid)}" + ("?" + "&".join(parameters) if parameters else "")


def _parameters(query: str) -> tuple[dict[str, str], list[str]]:
    """The known parameters that come at most once, and those of `pe`; all decoded."""
    if not _QUERY.fullmatch(query):
        raise UriError("query", query, "must be characters of a URI (RFC 3986), any other percent-encoded")
    once: dict[str, str] = {}
    peers: list[str] = []
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        if name not in ("xl", "dn", "pe", "id"):
            continue
        try:
            decoded = unquote_to_bytes(value).decode()
        except UnicodeDecodeError:
            raise UriError(name, value, "must be UTF-8, percent-encoded") from None
        if name == "pe":
            peers.append(decoded)
        elif name in once:
            raise UriError(name, decoded, "is there twice")
        else:
            once[name] = decoded
    return once, peers
