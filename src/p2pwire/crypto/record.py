"""Peer records signed and verified: where a peer says that it can be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pwire.crypto.identity import SIGNATURE_SIZE, Identity, Purpose, verify
from p2pwire.wire.messages import PeerRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pwire.wire.messages import Address, Buffer

RECORD_VERSION: Final = 1
"""The version of the record format that is written here."""


def sign_record(identity: Identity, *, sequence: int, ttl: int, flags: int, addresses: Sequence[Address]) -> bytes:
    """The bytes of a record of `identity` itself, good from `sequence` (Unix seconds) for `ttl` seconds.

    Raises EncodeError, a ValueError, where a field is outside the limits of the format.
    """
    record = PeerRecord(
        version=RECORD_VERSION,
        identity=identity.public,
        sequence=sequence,
        ttl=ttl,
        flags=flags,
        addresses=tuple(addresses),
        signature=bytes(SIGNATURE_SIZE),
    )
    content = record.encode()[:-SIGNATURE_SIZE]
    return content + identity.sign(Purpose.PEER_RECORD, content)


def verify_record(record: PeerRecord, raw: Buffer) -> bool:
    """Whether the identity of `record` signed it; `raw` is what it was decoded from.

    The signature covers the received bytes, so a record is never encoded again to be checked. False for an identity
    that no one may have. Sizes, clock and budget are for the caller to check before this, the dearest of all checks.
    """
    return verify(record.identity, Purpose.PEER_RECORD, memoryview(raw)[:-SIGNATURE_SIZE], record.signature)
