"""The handshake's own rules: turns, sizes, changed bytes, weak keys, secrets; and the ciphers that it ends in."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.crypto import noise
from p2pwire.crypto.noise import (
    LAST_NONCE,
    CipherState,
    DecryptionFailed,
    HandshakeFailed,
    HandshakeOrderError,
    NoiseHandshake,
    NonceExhaustedError,
    StaticKey,
    derive_psk,
)
from p2pwire.wire.registry import MAX_HANDSHAKE_MESSAGE, Suite

from .handshakes import EPHEMERAL, PSK, STATIC, pair, run, side, write

SUITES = list(Suite)
SIZES = {Suite.XX_AESGCM: (32, 96, 64), Suite.XX_CHACHAPOLY: (32, 96, 64), Suite.XXPSK0_AESGCM: (48, 96, 64)}
P = 2**255 - 19


def at_message(suite: Suite, number: int) -> tuple[NoiseHandshake, NoiseHandshake]:
    """The writer and the reader of message `number` (from 0), all before it being done."""
    initiator, responder = pair(suite)
    run(initiator, responder, [b""] * number)
    return (initiator, responder) if number % 2 == 0 else (responder, initiator)


# --- Turns and sizes ---


@pytest.mark.parametrize("suite", SUITES)
def test_both_sides_agree(suite: Suite) -> None:
    initiator, responder = pair(suite)
    payloads = [b"", b"r" * 96, b"i" * 96]
    messages = []
    for number, payload in enumerate(payloads):
        writer, reader = (initiator, responder) if number % 2 == 0 else (responder, initiator)
        assert not writer.complete
        tokens, h = writer.begin_message()
        message = writer.finish_message(payload)
        assert message.startswith(tokens)
        assert reader.read_message(memoryview(bytearray(message))) == (payload, h)
        messages.append(message)
    assert tuple(map(len, messages)) == tuple(n + len(p) for n, p in zip(SIZES[suite], payloads, strict=True))
    assert initiator.complete
    assert responder.complete
    assert initiator.handshake_hash == responder.handshake_hash
    initiator_sends, initiator_receives = initiator.split()
    responder_sends, responder_receives = responder.split()
    assert responder_receives.decrypt(initiator_sends.encrypt(b"there")) == b"there"
    assert initiator_receives.decrypt(responder_sends.encrypt(b"back")) == b"back"
    # The two directions have different keys.
    with pytest.raises(DecryptionFailed):
        initiator_receives.decrypt(initiator_sends.encrypt(b"reflected"))


@pytest.mark.parametrize("difference", ["prologue", "psk", "suite"])
def test_sides_that_differ_never_complete(difference: str) -> None:
    responder = side(Suite.XXPSK0_AESGCM, initiator=False)
    if difference == "suite":
        initiator = side(Suite.XX_AESGCM, initiator=True)
    elif difference == "psk":
        initiator = side(Suite.XXPSK0_AESGCM, initiator=True, psk=PSK[::-1])
    else:
        initiator = side(Suite.XXPSK0_AESGCM, initiator=True, prologue=b"other words")
    with pytest.raises(HandshakeFailed, match=r"^message 1: "):
        responder.read_message(write(initiator))


def test_another_prologue_shows_in_message_2() -> None:
    initiator = side(Suite.XX_AESGCM, initiator=True, prologue=b"offers: 1 and 2")
    responder = side(Suite.XX_AESGCM, initiator=False, prologue=b"offers: 1")
    responder.read_message(write(initiator))
    with pytest.raises(HandshakeFailed, match=r"^message 2: a tag does not fit$"):
        initiator.read_message(write(responder))


@pytest.mark.parametrize("number", range(3))
def test_steps_out_of_turn_change_nothing(number: int) -> None:
    writer, reader = at_message(Suite.XX_AESGCM, number)

    def out_of_turn(handshake: NoiseHandshake, *steps: str) -> None:
        for step, arguments in {
            "begin_message": (),
            "finish_message": (b"",),
            "read_message": (bytes(96),),
            "split": (),
        }.items():
            if step in steps:
                with pytest.raises(HandshakeOrderError):
                    getattr(handshake, step)(*arguments)
        with pytest.raises(HandshakeOrderError, match="handshake_hash"):
            _ = handshake.handshake_hash

    out_of_turn(writer, "finish_message", "read_message", "split")
    out_of_turn(reader, "begin_message", "finish_message", "split")
    _, h = writer.begin_message()
    out_of_turn(writer, "begin_message", "read_message", "split")
    assert reader.read_message(writer.finish_message(b"payload")) == (b"payload", h)


def test_after_the_end_only_split_is_left_and_only_once() -> None:
    initiator, responder = pair(Suite.XX_AESGCM)
    run(initiator, responder)
    for handshake in (initiator, responder):
        with pytest.raises(HandshakeOrderError, match="complete"):
            handshake.begin_message()
        with pytest.raises(HandshakeOrderError, match="complete"):
            handshake.finish_message(b"")
        with pytest.raises(HandshakeOrderError, match="complete"):
            handshake.read_message(bytes(64))
        handshake.split()
        with pytest.raises(HandshakeOrderError, match="split"):
            handshake.split()
    assert initiator.handshake_hash == responder.handshake_hash


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("number", range(3))
def test_the_longest_message(suite: Suite, number: int) -> None:
    writer, reader = at_message(suite, number)
    room = MAX_HANDSHAKE_MESSAGE - SIZES[suite][number]
    writer.begin_message()
    with pytest.raises(ValueError, match=rf"^payload: .*{MAX_HANDSHAKE_MESSAGE + 1} .*{MAX_HANDSHAKE_MESSAGE}$"):
        writer.finish_message(bytes(room + 1))
    message = writer.finish_message(bytes(room))
    assert len(message) == MAX_HANDSHAKE_MESSAGE
    assert reader.read_message(message)[0] == bytes(room)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("number", range(3))
def test_a_message_over_the_limit_fails(suite: Suite, number: int) -> None:
    _, reader = at_message(suite, number)
    with pytest.raises(HandshakeFailed, match=f"{MAX_HANDSHAKE_MESSAGE + 1} bytes"):
        reader.read_message(bytes(MAX_HANDSHAKE_MESSAGE + 1))


def test_wrong_arguments() -> None:
    def make(suite: Suite, **changed: bytes | None) -> NoiseHandshake:
        arguments: dict[str, bytes | None] = {"static_seed": bytes(32), "ephemeral_seed": bytes(32), "psk": None}
        return NoiseHandshake(initiator=True, suite=suite, prologue=b"", **{**arguments, **changed})  # type: ignore[arg-type]

    for name in ("static_seed", "ephemeral_seed"):
        with pytest.raises(ValueError, match=rf"^{name}: 31 bytes instead of 32$"):
            make(Suite.XX_AESGCM, **{name: bytes(31)})
    with pytest.raises(ValueError, match=r"^psk: 33 bytes instead of 32$"):
        make(Suite.XXPSK0_AESGCM, psk=bytes(33))
    with pytest.raises(ValueError, match=r"^psk: suite XX_AESGCM has none$"):
        make(Suite.XX_AESGCM, psk=bytes(32))
    with pytest.raises(ValueError, match=r"^psk: suite XXPSK0_AESGCM needs one$"):
        make(Suite.XXPSK0_AESGCM)
    with pytest.raises(ValueError, match=r"^key: 16 bytes instead of 32$"):
        CipherState(Suite.XX_AESGCM, bytes(16))


# --- Changed messages ---


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("number", range(3))
def test_every_changed_bit_ends_the_handshake(suite: Suite, number: int) -> None:
    """One bit in each byte, not the same in all; the reader fails, or at the latest the one who reads its answer."""
    original = write(at_message(suite, number)[0], b"payload")
    for position in range(len(original)):
        writer, reader = at_message(suite, number)
        write(writer, b"payload")
        message = bytearray(original)
        message[position] ^= 1 << (position % 8)
        if suite is not Suite.XXPSK0_AESGCM and number == 0:
            # Without a key nothing protects message 1 yet, but it is in h, and so message 2 does not fit.
            reader.read_message(message)
            with pytest.raises(HandshakeFailed, match=r"^message 2: "):
                writer.read_message(write(reader))
            assert not writer.complete
        else:
            with pytest.raises(HandshakeFailed, match=f"^message {number + 1}: "):
                reader.read_message(message)
            assert not reader.complete
            with pytest.raises(HandshakeOrderError, match="failed"):
                reader.read_message(original)
            with pytest.raises(HandshakeOrderError, match="failed"):
                reader.begin_message()


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("number", range(3))
def test_every_cut_and_a_tail_end_the_handshake(suite: Suite, number: int) -> None:
    original = write(at_message(suite, number)[0], b"")
    for changed in (*(original[:size] for size in range(len(original))), original + b"\0"):
        _, reader = at_message(suite, number)
        if suite is not Suite.XXPSK0_AESGCM and number == 0 and len(changed) > 32:
            assert reader.read_message(changed)[0] == b"\0"  # without a key a tail is payload
            continue
        reason = "a tag does not fit" if len(changed) > len(original) else f"{len(changed)} bytes instead of "
        with pytest.raises(HandshakeFailed, match=f"^message {number + 1}: {reason}"):
            reader.read_message(changed)


@settings(max_examples=60, deadline=None)
@given(suite=st.sampled_from(SUITES), number=st.integers(0, 2), message=st.binary(max_size=1100))
def test_noise_of_another_kind_raises_nothing_else(suite: Suite, number: int, message: bytes) -> None:
    _, reader = at_message(suite, number)
    try:
        payload, h = reader.read_message(message)
    except HandshakeFailed:
        return
    assert number == 0
    assert suite is not Suite.XXPSK0_AESGCM
    assert (payload, len(h)) == (message[32:], 32)


def test_a_replayed_first_message_gets_another_answer_and_a_replayed_third_one_fails() -> None:
    initiator, responder = pair(Suite.XX_AESGCM)
    first, second, third = run(initiator, responder)
    again = NoiseHandshake(
        initiator=False,
        suite=Suite.XX_AESGCM,
        prologue=b"the same words on both sides",
        static_seed=STATIC[False],
        ephemeral_seed=bytes(range(32)),
        psk=None,
    )
    again.read_message(first)
    assert write(again) != second
    with pytest.raises(HandshakeFailed, match=r"^message 3: a tag does not fit$"):
        again.read_message(third)


# --- Weak keys ---

LOW_ORDER_U = [
    0,
    1,
    P - 1,
    P,
    P + 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]
LOW_ORDER_KEYS = [(u | top).to_bytes(32, "little") for u in LOW_ORDER_U for top in (0, 1 << 255)]


class WeakKey:
    """A static key pair that a hostile peer pretends to have: it knows that every result with it is zero."""

    def __init__(self, public: bytes) -> None:
        self.public = public

    def public_key(self) -> WeakKey:
        return self

    def public_bytes_raw(self) -> bytes:
        return self.public

    def exchange(self, peer: X25519PublicKey) -> bytes:
        return bytes(32)


@pytest.mark.parametrize("key", LOW_ORDER_KEYS, ids=bytes.hex)
def test_low_order_keys_are_refused_wherever_they_come(key: bytes) -> None:
    with pytest.raises(ValueError, match="shared key"):  # the list is right: such a key leads to zero
        X25519PrivateKey.from_private_bytes(STATIC[True]).exchange(X25519PublicKey.from_public_bytes(key))
    for number, attribute in ((0, "_ephemeral"), (1, "_ephemeral"), (1, "_static"), (2, "_static")):
        writer, reader = at_message(Suite.XX_AESGCM, number)
        weak: Any = WeakKey(key)
        setattr(writer, attribute, weak if attribute == "_ephemeral" else StaticKey(weak, key))
        message = write(writer)
        with pytest.raises(HandshakeFailed, match=f"^message {number + 1}: a public key has a low order$"):
            reader.read_message(message)


@pytest.mark.interpreted
def test_a_zero_result_ends_the_handshake_even_without_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "_LOW_ORDER", frozenset())
    responder = side(Suite.XX_AESGCM, initiator=False)
    responder.read_message(bytes(32))
    with pytest.raises(HandshakeFailed, match="Diffie-Hellman result is zero"):
        responder.begin_message()
    with pytest.raises(HandshakeOrderError, match="failed"):
        responder.begin_message()


@pytest.mark.parametrize("u", [2, P + 2, P + 18, 2**255 + 9], ids=hex)
def test_other_unusual_keys_are_read_as_rfc_7748_says(u: int) -> None:
    """A coordinate over 2^255-19 and the top bit are no reason to refuse."""
    responder = side(Suite.XX_AESGCM, initiator=False)
    responder.read_message(u.to_bytes(32, "little"))
    assert len(write(responder)) == 96


# --- Ciphers ---

CIPHERS = [
    (Suite.XX_AESGCM, AESGCM, ">Q"),
    (Suite.XX_CHACHAPOLY, ChaCha20Poly1305, "<Q"),
    (Suite.XXPSK0_AESGCM, AESGCM, ">Q"),
]


@pytest.mark.parametrize(("suite", "aead", "layout"), CIPHERS)
@pytest.mark.parametrize("n", [0, 1, 255, 256, 2**32, LAST_NONCE - 1])
def test_the_nonce_is_four_zero_bytes_and_the_count(
    suite: Suite, aead: type[AESGCM | ChaCha20Poly1305], layout: str, n: int
) -> None:
    key = bytes(range(32))
    cipher = CipherState(suite, key)
    cipher.n = n
    nonce = bytes(4) + struct.pack(layout, n)
    assert cipher.encrypt(b"text", b"ad") == aead(key).encrypt(nonce, b"text", b"ad")
    assert cipher.n == n + 1


@pytest.mark.parametrize("suite", SUITES)
def test_the_last_nonce_is_never_used(suite: Suite) -> None:
    cipher = CipherState(suite, bytes(32))
    cipher.n = LAST_NONCE
    out = bytearray(17)
    for attempt in (
        lambda: cipher.encrypt(b"x"),
        lambda: cipher.decrypt(bytes(17)),
        lambda: cipher.encrypt_into(b"x", out),
    ):
        with pytest.raises(NonceExhaustedError):
            attempt()
    assert out == bytes(17)


@settings(max_examples=60, deadline=None)
@given(suite=st.sampled_from(SUITES), texts=st.lists(st.binary(max_size=300), max_size=6), rekey=st.integers(0, 6))
def test_what_is_encrypted_in_order_is_decrypted_in_order(suite: Suite, texts: list[bytes], rekey: int) -> None:
    sender, receiver, twin, in_place = (CipherState(suite, bytes(range(32))) for _ in range(4))
    for number, text in enumerate(texts):
        if number == rekey:
            for cipher in (sender, receiver, twin, in_place):
                cipher.rekey()
                assert cipher.n == number
        out = bytearray(len(text) + 18)
        sender.encrypt_into(memoryview(text), memoryview(out)[1:-1])
        assert (out[0], out[-1]) == (0, 0)
        assert out[1:-1] == twin.encrypt(text)
        assert receiver.decrypt(memoryview(out)[1:-1]) == text
        place = memoryview(bytearray(text + bytes(16)))
        in_place.encrypt_into(place[:-16], place)
        assert place == out[1:-1]
    assert sender.n == receiver.n == len(texts)


@pytest.mark.parametrize("suite", SUITES)
def test_a_failure_leaves_the_count_and_the_buffer(suite: Suite) -> None:
    sender, receiver = (CipherState(suite, bytes(32)) for _ in range(2))
    first, second = sender.encrypt(b"first", b"ad"), sender.encrypt(b"second")
    changed = [bytes([*first[:i], first[i] ^ 1 << (i % 8), *first[i + 1 :]]) for i in range(len(first))]
    cut = [first[:size] for size in range(len(first))]
    for wrong in (*changed, *cut, first + b"\0", second):
        with pytest.raises(DecryptionFailed):
            receiver.decrypt(wrong, b"ad")
    with pytest.raises(DecryptionFailed):
        receiver.decrypt(first, b"other")
    assert receiver.n == 0
    assert receiver.decrypt(first, b"ad") == b"first"
    receiver.rekey()
    with pytest.raises(DecryptionFailed):
        receiver.decrypt(second)
    for size in (0, 4, 19, 21):
        out = bytearray(size)
        with pytest.raises(ValueError, match="buffer"):
            sender.encrypt_into(b"four", out)
        assert out == bytes(size)
    assert sender.n == 2


# --- Secrets ---


@pytest.mark.parametrize("suite", SUITES)
def test_no_secret_shows(suite: Suite) -> None:
    initiator, responder = pair(suite)
    secrets = [PSK, *STATIC.values(), *EPHEMERAL.values()]
    shown = []
    for number in range(3):
        writer, reader = (initiator, responder) if number % 2 == 0 else (responder, initiator)
        writer.begin_message()
        shown += [repr(writer), repr(writer._symmetric)]
        reader.read_message(writer.finish_message(b""))
        shown += [repr(reader), repr(reader._symmetric)]
        secrets += [writer._symmetric._ck]
    secrets += noise.hkdf(initiator._symmetric._ck, b"", b"", 2)
    ciphers = initiator.split()
    shown += [repr(initiator), repr(initiator._symmetric), *map(repr, ciphers)]
    assert all(secrets)
    for text in shown:
        for secret in secrets:
            assert secret.hex() not in text
            assert repr(secret)[2:-1] not in text
    assert repr(ciphers[0]) == f"CipherState(suite={suite!r}, n=0)"
    # After split nothing is left in the handshake from which the two keys follow.
    assert initiator._symmetric._ck == b""
    assert initiator._symmetric._cipher is None


def test_the_psk_is_hkdf_of_the_secret() -> None:
    secret = b"correct horse battery staple"
    expected = HKDF(SHA256(), 32, salt=None, info=b"p2pwire/1 psk").derive(secret)
    assert derive_psk(secret) == expected
    with pytest.raises(ValueError, match="empty secret"):
        derive_psk(b"")
