"""Records, addresses and chance for the tests of finding peers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from random import Random

from p2pwire.node.address import Endpoint
from p2pwire.node.peerbook import Origin
from p2pwire.wire.keys import is_acceptable_key
from p2pwire.wire.messages import Address, PeerRecord

UNIX = 1_800_000_000
"""The wall clock of most tests."""

OWN = sha256(b"own").digest()
TOPIC = sha256(b"topic").digest()
OTHER_TOPIC = sha256(b"other topic").digest()
FORGED = bytes(64)
"""A signature that `Verifier` does not take."""


def chance(seed: int = 0) -> Callable[[int], bytes]:
    """Randomness that is the same each time."""
    return Random(seed).randbytes


def identity(name: object) -> bytes:
    """A key that could be somebody's; nobody has its private half."""
    key = sha256(repr(name).encode()).digest()
    return key if is_acceptable_key(key) else identity((name,))


def at(text: str) -> Endpoint:
    """ "1.2.3.4:80" or "[::1]:80"."""
    host, _, port = text.rpartition(":")
    return Endpoint.parse(host.strip("[]"), int(port))


def origin(name: object, remote: str | None = "9.9.9.9:4000") -> Origin:
    """A link to the peer `name` at `remote`."""
    return Origin.of(identity(name), None if remote is None else at(remote))


def record(
    name: object,
    *addresses: str | Address,
    sequence: int = UNIX,
    ttl: int = 86400,
    signature: bytes = b"s" * 64,
) -> bytes:
    """A record of the peer `name`, which `Verifier` takes unless the signature is `FORGED`."""
    parts = tuple(address if isinstance(address, Address) else at(address).to_address() for address in addresses)
    return PeerRecord(1, identity(name), sequence, ttl, 0, parts, signature).encode()


def records(names: Iterable[object], address: str = "8.8.8.8:4000") -> list[bytes]:
    """One record each."""
    return [record(name, address) for name in names]


class Verifier:
    """Stands for the check of a signature, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, decoded: PeerRecord, raw: bytes) -> bool:
        self.calls += 1
        return decoded.signature != FORGED
