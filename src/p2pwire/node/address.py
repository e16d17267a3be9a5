"""Where a peer can be reached: IP addresses with ports, how far they reach, and which of them belong together.

An IPv4-mapped IPv6 address (::ffff:0:0/96), which is what a dual-stack socket says, is the IPv4 address in it. In a
record it is no address to dial.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

import attrs

from p2pwire.wire.messages import Address
from p2pwire.wire.registry import BLOCKED_PORTS, AddressType

PORTS: Final = 65536
"""ports that a u16 can name."""

_MAPPED: Final = bytes(10) + b"\xff\xff"
_IP_SIZES: Final[Mapping[int, int]] = {AddressType.TCP4: 4, AddressType.TCP6: 16}


class Scope(IntEnum):
    """How far an address reaches, from nowhere to home: what came over a link of one scope may not lead to a higher."""

    NEVER = 0
    """Not dialled from a record: multicast, link-local, documentation, tunnels, unspecified, reserved."""
    GLOBAL = 1
    """The public internet."""
    PRIVATE = 2
    """RFC 1918, fc00::/7 and 100.64.0.0/10: someone's own network."""
    LOOPBACK = 3
    """This machine."""


_RANGES: Final[Mapping[str, Scope]] = {
    "0.0.0.0/8": Scope.NEVER,  # this network
    "10.0.0.0/8": Scope.PRIVATE,
    "100.64.0.0/10": Scope.PRIVATE,  # behind a carrier's translator
    "127.0.0.0/8": Scope.LOOPBACK,
    "169.254.0.0/16": Scope.NEVER,  # link-local; clouds keep secrets at 169.254.169.254
    "172.16.0.0/12": Scope.PRIVATE,
    "192.0.0.0/24": Scope.NEVER,  # IETF protocol assignments
    "192.0.2.0/24": Scope.NEVER,  # documentation
    "192.88.99.0/24": Scope.NEVER,  # 6to4 relays
    "192.168.0.0/16": Scope.PRIVATE,
    "198.18.0.0/15": Scope.NEVER,  # benchmarks
    "198.51.100.0/24": Scope.NEVER,  # documentation
    "203.0.113.0/24": Scope.NEVER,  # documentation
    "224.0.0.0/3": Scope.NEVER,  # multicast, reserved, broadcast
    "::1/128": Scope.LOOPBACK,
    "2001::/23": Scope.NEVER,  # IETF protocol assignments, Teredo and ORCHID among them
    "2001:db8::/32": Scope.NEVER,  # documentation
    "2002::/16": Scope.NEVER,  # 6to4: the IPv4 address in it may be anything
    "3fff::/20": Scope.NEVER,  # documentation
    "fc00::/7": Scope.PRIVATE,
}
"""The ranges with a scope of their own (IANA special-purpose registries). The rest of IPv4, and of 2000::/3, is global;
the rest of IPv6 is never dialled: NAT64 (64:ff9b::/96), link-local, site-local and multicast addresses among it."""


@attrs.frozen
class _Ranges:
    """Disjoint ranges of addresses of one size: the last range that begins at or before an address is the only one
    that can hold it."""

    firsts: tuple[bytes, ...]
    lasts: tuple[bytes, ...]
    scopes: tuple[Scope, ...]

    @classmethod
    def of(cls, kind: type[IPv4Network] | type[IPv6Network]) -> _Ranges:
        found = [(ip_network(text), scope) for text, scope in _RANGES.items()]
        rows = sorted((net[0].packed, net[-1].packed, scope) for net, scope in found if isinstance(net, kind))
        return cls(tuple(row[0] for row in rows), tuple(row[1] for row in rows), tuple(row[2] for row in rows))

    def scope_of(self, ip: bytes) -> Scope | None:
        index = bisect_right(self.firsts, ip) - 1
        return self.scopes[index] if index >= 0 and ip <= self.lasts[index] else None


_RANGES4: Final = _Ranges.of(IPv4Network)
_RANGES6: Final = _Ranges.of(IPv6Network)


def _unmapped(ip: bytes) -> bytes:
    return ip[12:] if len(ip) == 16 and ip.startswith(_MAPPED) else ip


def scope_of(ip: bytes) -> Scope:
    """How far the address of 4 or 16 bytes reaches."""
    ip = _unmapped(ip)
    found = (_RANGES4 if len(ip) == 4 else _RANGES6).scope_of(ip)
    if found is not None:
        return found
    return Scope.GLOBAL if len(ip) == 4 or ip[0] & 0xE0 == 0x20 else Scope.NEVER


@attrs.frozen
class Endpoint:
    """An IP address and a port: where a carrier is opened, or where it comes from."""

    ip: bytes = attrs.field(converter=_unmapped)
    """4 bytes for IPv4, 16 for IPv6."""
    port: int = attrs.field()
    zone: str = ""
    """The interface of a link-local address; only for addresses that this machine's user or network gave."""

    @ip.validator
    def _check_ip(self, attribute: object, ip: bytes) -> None:
        if len(ip) not in (4, 16):
            raise ValueError(f"ip: {len(ip)} bytes instead of 4 or 16")

    @port.validator
    def _check_port(self, attribute: object, port: int) -> None:
        if not 0 <= port < PORTS:
            raise ValueError(f"port: {port} is not within 0 to {PORTS - 1}")

    @classmethod
    def parse(cls, host: str, port: int) -> Endpoint:
        """The endpoint of an IP address as text (no names), with `%zone` or without.

        Raises ValueError, which names the field, for anything else.
        """
        text, _, zone = host.partition("%")
        try:
            ip = (IPv6Address(text) if ":" in text else IPv4Address(text)).packed
        except ValueError:
            raise ValueError(f"host: {host!r} is no IP address") from None
        return cls(ip, port, zone)

    @classmethod
    def from_address(cls, address: Address) -> Endpoint | None:
        """The endpoint of an address in a record; None if it is not one of TCP, or is IPv4-mapped."""
        size = _IP_SIZES.get(address.type)
        if size is None or len(address.value) != size + 2 or address.value.startswith(_MAPPED):
            return None
        return cls(bytes(address.value[:size]), int.from_bytes(address.value[size:], "big"))

    def to_address(self) -> Address:
        """The address for a record or HELLO."""
        kind = AddressType.TCP4 if len(self.ip) == 4 else AddressType.TCP6
        return Address(kind, self.ip + self.port.to_bytes(2, "big"))

    @property
    def host(self) -> str:
        """The IP address as text, with its zone."""
        text = str(IPv4Address(self.ip) if len(self.ip) == 4 else IPv6Address(self.ip))
        return f"{text}%{self.zone}" if self.zone else text

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if len(self.ip) == 16 else f"{self.host}:{self.port}"

    @property
    def scope(self) -> Scope:
        """How far the address reaches."""
        return scope_of(self.ip)

    @property
    def group(self) -> bytes:
        """The /16 (IPv4) or /32 (IPv6): what one operator is taken to own."""
        return self.ip[:2] if len(self.ip) == 4 else self.ip[:4]

    @property
    def handshake_group(self) -> bytes:
        """The /24 (IPv4) or /48 (IPv6): what shares one allowance of half-open links."""
        return self.ip[:3] if len(self.ip) == 4 else self.ip[:6]

    def dialable(self, reach: Scope) -> bool:
        """Whether a record that came over a link may make one dial this [PX-071 to PX-074]. `reach`: the scope of the
        link's far end."""
        if not self.port or self.port in BLOCKED_PORTS:
            return False
        return Scope.NEVER < self.scope <= max(reach, Scope.GLOBAL)


def endpoints_of(addresses: Iterable[Address]) -> tuple[Endpoint, ...]:
    """The addresses of TCP among those of a record, in its order."""
    found = (Endpoint.from_address(address) for address in addresses)
    return tuple(endpoint for endpoint in found if endpoint is not None)
