"""Identities: what a signature is good for, which keys count, and how an identity is written."""

from __future__ import annotations

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.crypto.identity import (
    Identity,
    Purpose,
    is_acceptable_key,
    parse_peer_id,
    peer_id_text,
    signed_text,
    verify,
)
from p2pwire.wire.keys import is_identity

SEED = bytes(range(32))
ALICE = Identity.from_seed(SEED)
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


# --- Signing and verifying ---


@pytest.mark.parametrize("purpose", Purpose)
def test_a_signature_serves_one_purpose_one_key_and_one_content(purpose: Purpose) -> None:
    signature = ALICE.sign(purpose, b"content")
    text = b"p2pwire/1 " + purpose.value + b"\0content"
    assert signature == Ed25519PrivateKey.from_private_bytes(SEED).sign(text)
    assert verify(ALICE.public, purpose, b"content", signature)
    assert verify(*(memoryview(ALICE.public), purpose, memoryview(b"content"), memoryview(signature)))
    assert [other for other in Purpose if verify(ALICE.public, other, b"content", signature)] == [purpose]
    assert not verify(ALICE.public, purpose, b"contents", signature)
    assert not verify(Identity.from_seed(bytes(32)).public, purpose, b"content", signature)


def test_the_names_of_the_purposes() -> None:
    assert {purpose.value for purpose in Purpose} == {b"handshake-initiator", b"handshake-responder", b"peer-record"}
    assert signed_text(Purpose.PEER_RECORD, memoryview(b"x")) == b"p2pwire/1 peer-record\0x"


def test_every_changed_bit_of_key_and_signature_fails() -> None:
    signature = ALICE.sign(Purpose.PEER_RECORD, b"content")
    for number in range(8 * 96):
        changed = bytearray(ALICE.public + signature)
        changed[number // 8] ^= 1 << number % 8
        assert not verify(changed[:32], Purpose.PEER_RECORD, b"content", changed[32:])


def test_a_signature_has_one_form() -> None:
    """Adding the group's order to S gives the same point; RFC 8032 has S below it."""
    signature = ALICE.sign(Purpose.PEER_RECORD, b"content")
    s = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    assert not verify(ALICE.public, Purpose.PEER_RECORD, b"content", signature[:32] + s.to_bytes(32, "little"))


@settings(max_examples=100, deadline=None)
@given(
    public=st.binary(max_size=40) | st.binary(min_size=32, max_size=32) | st.just(ALICE.public),
    signature=st.binary(max_size=70) | st.binary(min_size=64, max_size=64),
    content=st.binary(max_size=40),
)
def test_verify_never_raises(public: bytes, signature: bytes, content: bytes) -> None:
    assert verify(public, Purpose.PEER_RECORD, content, signature) is False


# --- Keys that do not count ---


def x_coordinates(y: int) -> list[int]:
    """The x of the points (x, y) of edwards25519, -x² + y² = 1 + d x² y² (RFC 8032, 5.1)."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    return sorted({root, -root % P}) if root * root % P == square else []


def double(point: tuple[int, int]) -> tuple[int, int]:
    x, y = point
    product = D * x * x * y * y
    return 2 * x * y * pow(1 + product, -1, P) % P, (y * y + x * x) * pow(1 - product, -1, P) % P


SMALL_ORDER_Y = [
    0,
    1,
    P - 1,
    int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
    int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
]
# Either sign, and y + p too where it fits in 255 bits: 8 points, 14 encodings.
SMALL_ORDER_KEYS = [
    (value | sign).to_bytes(32, "little")
    for y in SMALL_ORDER_Y
    for value in (y, y + P)
    if value < 2**255
    for sign in (0, 1 << 255)
]


def test_the_list_is_all_the_points_of_small_order() -> None:
    points = [(x, y) for y in SMALL_ORDER_Y for x in x_coordinates(y)]
    assert len(set(points)) == 8  # as many as there are: the curve's order is 8 times a prime
    assert {double(double(double(point))) for point in points} == {(0, 1)}
    assert len(SMALL_ORDER_KEYS) == 14


@pytest.mark.parametrize("key", SMALL_ORDER_KEYS, ids=bytes.hex)
def test_keys_of_small_order_are_refused_where_the_library_is_fooled(key: bytes) -> None:
    """R the neutral point and S zero: a signature that nobody had to make."""
    signature = (1).to_bytes(32, "little") + bytes(32)
    fooled = 0
    for number in range(64):
        content = bytes([number])
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, signed_text(Purpose.PEER_RECORD, content))
            fooled += 1
        except InvalidSignature:
            pass
        assert not verify(key, Purpose.PEER_RECORD, content, signature)
    assert not is_acceptable_key(key)
    neutral = int.from_bytes(key, "little") % 2**255 % P == 1
    assert fooled == 64 if neutral else 0 < fooled < 64


@pytest.mark.parametrize("y", range(P, 2**255))
def test_y_beyond_the_field_is_refused(y: int) -> None:
    for sign in (0, 1 << 255):
        assert not is_acceptable_key((y | sign).to_bytes(32, "little"))
        assert not is_acceptable_key(bytearray((y | sign).to_bytes(32, "little")))


def test_keys_that_count() -> None:
    assert is_acceptable_key(ALICE.public)
    assert is_acceptable_key(memoryview(ALICE.public))
    for y in (2, 3, P - 2):  # next to the refused ones
        assert is_acceptable_key(y.to_bytes(32, "little"))
    for size in (0, 31, 33):
        assert not is_acceptable_key(bytes([7]) * size)


def test_an_identity_that_comes_without_a_signature_has_to_be_a_point() -> None:
    """ID-003, by another way to the same answer: x is computed, as RFC 8032 has it."""
    points = 0
    for y in range(2, 40):
        key = y.to_bytes(32, "little")
        ratio = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        root = pow(ratio, (P + 3) // 8, P)
        is_point = root * root % P in (ratio, P - ratio)
        assert is_identity(key) is is_point
        points += is_point
        if not is_point:
            with pytest.raises(ValueError, match="or nobody"):
                parse_peer_id(peer_id_text(key))
    assert not is_identity((2).to_bytes(32, "little"))
    assert 10 < points < 30
    assert is_identity(ALICE.public)


# --- Making and showing ---


def test_an_identity_is_its_public_key() -> None:
    same = Identity.from_seed(SEED)
    assert same == ALICE
    assert hash(ALICE) == hash(same)
    assert Identity.from_seed(bytes(32)) != ALICE
    assert ALICE.seed == SEED


def test_the_seed_does_not_show() -> None:
    assert repr(ALICE) == str(ALICE) == f"Identity({peer_id_text(ALICE.public)})"


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_has_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match=rf"^seed: {size} bytes instead of 32$"):
        Identity.from_seed(bytes(size))


@given(public=st.binary(min_size=32, max_size=32).filter(is_identity))
def test_text_and_back(public: bytes) -> None:
    text = peer_id_text(public)
    assert len(text) == 52
    assert text == base64.b32encode(public).decode().lower()[:52]
    assert parse_peer_id(text) == parse_peer_id(text.upper()) == public


def test_the_last_bits_are_zero() -> None:
    text = peer_id_text(ALICE.public)
    accepted = []
    for last in "abcdefghijklmnopqrstuvwxyz234567":
        try:
            parse_peer_id(text[:-1] + last)
            accepted.append(last)
        except ValueError as error:
            assert "4 zero bits" in str(error)  # noqa: PT017  (not every character is refused)
    assert accepted == ["a", "q"]


@pytest.mark.parametrize("changed", ["0", "1", "8", "=", " ", "-", "ä", "ı", "ſ", "\0"])
def test_other_characters_are_refused(changed: str) -> None:
    text = peer_id_text(ALICE.public)
    for position in (0, 20, 51):
        with pytest.raises(ValueError, match="a to z and 2 to 7"):
            parse_peer_id(text[:position] + changed + text[position + 1 :])


@pytest.mark.parametrize("text", ["", "a" * 51, "a" * 53, "a" * 52 + "===="])
def test_other_lengths_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^peer id: .* must be 52 characters of base32"):
        parse_peer_id(text)


def test_a_key_under_which_anyone_can_sign_is_no_peer() -> None:
    with pytest.raises(ValueError, match="anyone can sign"):
        parse_peer_id("a" * 52)


@settings(max_examples=100)
@given(text=st.text("abq27AQ19= é", min_size=51, max_size=53) | st.text("abcdefghijAQ234567", min_size=52, max_size=52))
def test_parsing_accepts_only_what_is_written(text: str) -> None:
    try:
        public = parse_peer_id(text)
    except ValueError:
        return
    assert peer_id_text(public) == text.lower()
