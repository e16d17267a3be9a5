"""Peer records: signed by the peer itself, over every byte before the signature."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.crypto.identity import Identity, Purpose
from p2pwire.crypto.record import sign_record, verify_record
from p2pwire.wire.messages import Address, DecodeError, EncodeError, PeerRecord
from p2pwire.wire.registry import MAX_RECORD_TTL, MIN_RECORD_TTL, AddressType

ALICE = Identity.from_seed(bytes(range(32)))
TCP4 = Address(AddressType.TCP4, bytes([192, 0, 2, 1, 0x1F, 0x90]))
TCP6 = Address(AddressType.TCP6, bytes(16) + b"\x1f\x90")
UNKNOWN = Address(200, b"an address of the future")


def record(*addresses: Address) -> bytes:
    return sign_record(ALICE, sequence=1_700_000_000, ttl=3600, flags=0, addresses=addresses)


def test_a_record_to_the_byte() -> None:
    raw = record(TCP4)
    assert len(raw) == 119
    content = b"".join(
        [
            b"\x01",
            ALICE.public,
            (1_700_000_000).to_bytes(8, "big"),
            (3600).to_bytes(4, "big"),
            b"\0",
            b"\x01",
            b"\x01\x06\xc0\x00\x02\x01\x1f\x90",
        ]
    )
    assert raw[:-64] == content
    Ed25519PublicKey.from_public_bytes(ALICE.public).verify(raw[-64:], b"p2pwire/1 peer-record\0" + content)


@settings(max_examples=50, deadline=None)
@given(
    sequence=st.integers(0, 2**64 - 1),
    ttl=st.integers(MIN_RECORD_TTL, MAX_RECORD_TTL),
    flags=st.integers(0, 255),
    addresses=st.lists(st.sampled_from([TCP4, TCP6, UNKNOWN]), max_size=8),
)
def test_what_is_signed_is_verified(sequence: int, ttl: int, flags: int, addresses: list[Address]) -> None:
    raw = sign_record(ALICE, sequence=sequence, ttl=ttl, flags=flags, addresses=addresses)
    decoded = PeerRecord.decode(raw)
    assert (decoded.identity, decoded.sequence, decoded.ttl) == (ALICE.public, sequence, ttl)
    assert (decoded.flags, decoded.addresses) == (flags, tuple(addresses))
    assert verify_record(decoded, raw)
    assert verify_record(decoded, memoryview(bytearray(raw)))


def test_every_changed_bit_is_noticed() -> None:
    raw = record(TCP4, UNKNOWN)
    decoded = 0
    for number in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[number // 8] ^= 1 << number % 8
        try:
            altered = PeerRecord.decode(changed)
        except DecodeError:
            continue
        decoded += 1
        assert not verify_record(altered, changed)
    assert decoded > 8 * (32 + 8 + 64)  # at least the bits of identity, sequence and signature leave the form intact


def test_another_purpose_or_signer_does_not_count() -> None:
    content = record(TCP4)[:-64]
    for signature in (
        ALICE.sign(Purpose.HANDSHAKE_INITIATOR, content),
        Identity.from_seed(bytes(32)).sign(Purpose.PEER_RECORD, content),
        bytes(64),
    ):
        raw = content + signature
        assert not verify_record(PeerRecord.decode(raw), raw)


def test_a_record_of_a_weak_identity_does_not_count() -> None:
    """The neutral point, with either sign: one signature verifies for whatever its record says."""
    for identity in (b"\x01" + bytes(31), b"\x01" + bytes(30) + b"\x80"):
        decoded = PeerRecord(1, identity, 1_700_000_000, 3600, 0, (TCP4,), b"\x01" + bytes(63))
        raw = decoded.encode()
        Ed25519PublicKey.from_public_bytes(identity).verify(raw[-64:], b"p2pwire/1 peer-record\0" + raw[:-64])
        assert not verify_record(decoded, raw)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"sequence": -1}, "sequence"),
        ({"sequence": 2**64}, "sequence"),
        ({"ttl": MIN_RECORD_TTL - 1}, "ttl"),
        ({"ttl": MAX_RECORD_TTL + 1}, "ttl"),
        ({"flags": 256}, "flags"),
        ({"addresses": [TCP4] * 9}, "addresses"),
        ({"addresses": [Address(AddressType.TCP4, b"short")]}, "value"),
        ({"addresses": [Address(200, bytes(255))] * 2}, "512"),
    ],
)
def test_fields_outside_the_format_are_refused(changed: dict[str, object], field: str) -> None:
    arguments: dict[str, object] = {"sequence": 1, "ttl": 3600, "flags": 0, "addresses": [], **changed}
    with pytest.raises(EncodeError, match=field):
        sign_record(ALICE, **arguments)  # type: ignore[arg-type]
