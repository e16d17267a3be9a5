"""The suite's own handshake, trees, proofs, names and records agree with themselves and with the specification."""

from __future__ import annotations

import hashlib

import pytest

from p2pwire_conformance.content import BLOCK, NO_ROOT, File, blob, folder, unit_shift
from p2pwire_conformance.keys import (
    LOW_ORDER_X25519,
    SMALL_ORDER_Y,
    Identity,
    base32,
    high_s,
    oid_of,
    psk_of,
    verify,
)
from p2pwire_conformance.message import decode
from p2pwire_conformance.noise import Handshake, KeyPair, Undecryptable
from p2pwire_conformance.records import address, peer_record

KEYS = [KeyPair(bytes([n]) * 32) for n in range(1, 5)]


def _pair(suite: int, psk: bytes = bytes(32), prologue: bytes = b"p") -> tuple[Handshake, Handshake]:
    return (
        Handshake(suite, b"p", KEYS[0], KEYS[1], initiator=True, psk=bytes(32)),
        Handshake(suite, prologue, KEYS[2], KEYS[3], initiator=False, psk=psk),
    )


def _shake(one: Handshake, other: Handshake) -> None:
    assert other.read_1(one.write_1()) == b""
    begun = other.begin_2()
    payload, signed = one.read_2(begun + other.encrypt(b"responder"))
    assert payload == b"responder"
    assert len(signed) == 32
    begun = one.begin_3()
    assert other.read_3(begun + one.encrypt(b"initiator"))[0] == b"initiator"


@pytest.mark.parametrize("suite", [1, 2, 3])
def test_both_sides_agree(suite: int) -> None:
    one, other = _pair(suite)
    _shake(one, other)
    assert one.h == other.h
    sending, receiving = one.split()[0], other.split()[0]
    for number in range(3):
        assert receiving.decrypt(b"", sending.encrypt(b"", bytes([number]))) == bytes([number])
    sending.rekey()
    with pytest.raises(Undecryptable):
        receiving.decrypt(b"", sending.encrypt(b"", b"x"))
    receiving.rekey()
    sending.n = receiving.n
    assert receiving.decrypt(b"", sending.encrypt(b"", b"x")) == b"x"


@pytest.mark.parametrize(("suite", "psk", "prologue"), [(1, b"", b"q"), (3, bytes([1]) * 32, b"p")])
def test_other_prologue_or_key_fails(suite: int, psk: bytes, prologue: bytes) -> None:
    one, other = _pair(suite, psk, prologue)
    with pytest.raises(Undecryptable):
        _shake(one, other)


@pytest.mark.parametrize("key", LOW_ORDER_X25519)
def test_low_order_keys_give_zero(key: bytes) -> None:
    assert KEYS[0].shared(key) == bytes(32)


def test_signatures() -> None:
    identity = Identity("a name")
    signature = identity.sign("peer-record", b"content")
    assert verify(identity.public, "peer-record", b"content", signature)
    assert not verify(identity.public, "handshake-initiator", b"content", signature)
    assert not verify(identity.public, "peer-record", b"contenT", signature)
    assert high_s(signature) != signature
    assert verify(SMALL_ORDER_Y[1], "peer-record", b"anything", b"\x01" + bytes(63)), "the hole that ID-002 closes"


def test_psk_and_uri_of_the_specification() -> None:
    assert len(psk_of(b"secret")) == 32
    oid = oid_of(0, 5, hashlib.sha256(b"hello").digest())
    assert base32(oid) == "tzsirkwz6nhellgxaxxcjvjerdb3toxccagq7ctzlishjda3d5ba"


def _root(data: bytes) -> bytes:
    """Section 7.1 by recursion, apart from the class under test."""
    leaves = [hashlib.sha256(data[at : at + BLOCK]).digest() for at in range(0, len(data), BLOCK)]
    while len(leaves) & (len(leaves) - 1):
        leaves.append(bytes(32))
    while len(leaves) > 1:
        leaves = [hashlib.sha256(leaves[n] + leaves[n + 1]).digest() for n in range(0, len(leaves), 2)]
    return leaves[0]


@pytest.mark.parametrize("length", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 7, 8 * BLOCK])
def test_trees_and_proofs(length: int) -> None:
    file = File(blob(length).main.data)
    assert file.root == _root(file.data)
    for level in range(file.height + 1):
        for first in range(0, file.count, 1 << level):
            proved: dict[tuple[int, int], bytes] = {}
            for block in range(first, min(first + (1 << level), file.count)):
                tree = file.data_frame(0, first, block)
                node = hashlib.sha256(tree["data"]).digest()
                for height, sibling in enumerate(tree["proof"]):
                    proved[height, block >> height ^ 1] = sibling
                    pair = (sibling, node) if block >> height & 1 else (node, sibling)
                    node = hashlib.sha256(b"".join(pair)).digest()
                height = len(tree["proof"])
                due = file.root if block == first else proved[height, block >> height]
                assert node == due


def test_empty_file_has_no_tree() -> None:
    assert (File(b"").root, File(b"").height, File(b"").count) == (NO_ROOT, 0, 0)


def test_folder_is_in_canonical_order() -> None:
    made = folder({"a-b": 1, "a/x": 1, "b": None})
    assert [row["path"] for row in made.recipe["files"]] == ["a/x", "a-b", "b"]
    assert made.main.data.startswith(b"P2PM\x01\0\0\0\3")


@pytest.mark.parametrize(("blocks", "shift"), [(0, 0), (1, 0), (65536, 0), (65537, 1), (1 << 32, 16)])
def test_units(blocks: int, shift: int) -> None:
    assert unit_shift(blocks) == shift


def test_records_are_well_formed_and_signed() -> None:
    raw = peer_record(Identity("x"), 7, addresses=[address("127.0.0.1", 9), address("::1", 9)])
    record = decode("PeerRecord", raw)
    assert verify(record["identity"], "peer-record", raw[:-64], record["signature"])
    assert [len(one["value"]) for one in record["addresses"]] == [6, 18]
