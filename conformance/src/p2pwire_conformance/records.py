"""Signed peer records."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from p2pwire_conformance.keys import Identity
from p2pwire_conformance.message import Tree


def address(text: str, port: int) -> Tree:
    """A TCP address."""
    packed = ip_address(text).packed
    return Tree("Address", type=1 if len(packed) == 4 else 2, value=packed + port.to_bytes(2, "big"))


def peer_record(
    signer: Identity, sequence: int, /, *, ttl: int = 3600, addresses: Sequence[Tree] = (), **changes: object
) -> bytes:
    """A record that the signer signs, whatever it says."""
    unsigned = Tree("PeerRecord", identity=signer.public, sequence=sequence, ttl=ttl, addresses=addresses)
    content = unsigned.with_(**changes, signature=b"").encode()
    return content + signer.sign("peer-record", content)
