"""The handshakes against code and vectors that others wrote."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from dissononce.cipher.aesgcm import AESGCMCipher
from dissononce.cipher.chachapoly import ChaChaPolyCipher
from noise.connection import Keypair, NoiseConnection

from p2pwire.crypto.noise import CipherState, NoiseHandshake
from p2pwire.wire.registry import Suite

from .handshakes import EPHEMERAL, NAMES, PROLOGUE, PSK, STATIC, pair, run, side, write

VECTORS = json.loads(Path(__file__).with_name("noise_vectors.json").read_text())["vectors"]
SUITE_OF = {name: suite for suite, name in NAMES.items()}
PAYLOADS = [b"", b"responder's identity and signature", b"initiator's"]


def peer_library(suite: Suite, *, initiator: bool) -> NoiseConnection:
    """The other side, played by noiseprotocol with the same fixed keys."""
    peer = NoiseConnection.from_name(NAMES[suite].encode())
    if initiator:
        peer.set_as_initiator()
    else:
        peer.set_as_responder()
    if suite is Suite.XXPSK0_AESGCM:
        peer.set_psks(psk=PSK)
    peer.set_prologue(PROLOGUE)
    peer.set_keypair_from_private_bytes(Keypair.STATIC, STATIC[initiator])
    peer.set_keypair_from_private_bytes(Keypair.EPHEMERAL, EPHEMERAL[initiator])
    with pytest.warns(UserWarning, match="ephemeral keypairs is already set"):
        peer.start_handshake()
    return peer


def handshake_with_library(suite: Suite, *, initiator: bool) -> tuple[NoiseHandshake, NoiseConnection]:
    """A complete handshake of our side with noiseprotocol, every payload and h compared."""
    ours, theirs = side(suite, initiator=initiator), peer_library(suite, initiator=not initiator)
    for number, payload in enumerate(PAYLOADS):
        if (number % 2 == 0) == initiator:
            tokens, h = ours.begin_message()
            message = ours.finish_message(payload)
            assert message.startswith(tokens)
            ciphertext = message[len(tokens) :]
            assert bytes(theirs.read_message(message)) == payload
        else:
            message = bytes(theirs.write_message(payload))
            read, h = ours.read_message(message)
            assert read == payload
            ciphertext = message[len(message) - len(payload) - (16 if number or suite is Suite.XXPSK0_AESGCM else 0) :]
        # What h was before the payload is right if it leads to what h is after it.
        after = theirs.get_handshake_hash() if theirs.handshake_finished else symmetric_hash(theirs)
        assert sha256(h + ciphertext).digest() == after
    assert ours.complete
    assert ours.handshake_hash == theirs.get_handshake_hash()
    return ours, theirs


def symmetric_hash(peer: NoiseConnection) -> bytes:
    h: bytes = peer.noise_protocol.handshake_state.symmetric_state.h
    return h


@pytest.mark.parametrize("initiator", [True, False], ids=["initiator", "responder"])
@pytest.mark.parametrize("suite", NAMES)
def test_a_session_with_noiseprotocol(suite: Suite, initiator: bool) -> None:
    ours, theirs = handshake_with_library(suite, initiator=initiator)
    send, receive = ours.split()
    for number in range(3):
        for size in (0, 1, 16384, 65519 - number):
            text = bytes([number]) * size
            assert theirs.decrypt(send.encrypt(text)) == text
            assert receive.decrypt(theirs.encrypt(text)) == text
        # The count goes on over a rekey, on either side.
        send.rekey()
        theirs.rekey_inbound_cipher()
        theirs.rekey_outbound_cipher()
        receive.rekey()
    assert send.n == receive.n == 12


@pytest.mark.parametrize("suite", NAMES)
def test_the_same_messages_as_noiseprotocol(suite: Suite) -> None:
    ours = run(*pair(suite), PAYLOADS)
    first, second = peer_library(suite, initiator=True), peer_library(suite, initiator=False)
    theirs = []
    for number, payload in enumerate(PAYLOADS):
        writer, reader = (first, second) if number % 2 == 0 else (second, first)
        theirs.append(bytes(writer.write_message(payload)))
        reader.read_message(theirs[-1])
    assert ours == theirs


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['source']}-{vector['protocol_name']}")
def test_published_vectors(vector: dict[str, object]) -> None:
    def data(name: str) -> bytes:
        return bytes.fromhex(str(vector[name]))

    initiator, responder = (
        NoiseHandshake(
            initiator=role == "init",
            suite=SUITE_OF[str(vector["protocol_name"])],
            prologue=data("prologue"),
            static_seed=data(f"{role}_static"),
            ephemeral_seed=data(f"{role}_ephemeral"),
            psk=None,
        )
        for role in ("init", "resp")
    )
    messages = vector["messages"]
    assert isinstance(messages, list)
    assert len(messages) >= 5
    exchanged = [(bytes.fromhex(each["payload"]), bytes.fromhex(each["ciphertext"])) for each in messages]
    for number, (payload, message) in enumerate(exchanged[:3]):
        writer, reader = (initiator, responder) if number % 2 == 0 else (responder, initiator)
        assert write(writer, payload) == message
        assert reader.read_message(message)[0] == payload
    assert initiator.handshake_hash == responder.handshake_hash
    if "handshake_hash" in vector:
        assert initiator.handshake_hash == data("handshake_hash")
    initiator_sends, initiator_receives = initiator.split()
    responder_sends, responder_receives = responder.split()
    for number, (payload, message) in enumerate(exchanged[3:], 3):
        sends, receives = (
            (initiator_sends, responder_receives) if number % 2 == 0 else (responder_sends, initiator_receives)
        )
        assert sends.encrypt(payload) == message
        assert receives.decrypt(message) == payload


def test_published_psk0_message() -> None:
    """Message 3 of XXpsk0 in snow, tests/general.rs, test_XXpsk0_expected_value.

    https://github.com/mcginty/snow at commit f0f00c9eafef904b3f6a03aee52124bbcb55ec86, the last one with AESGCM there.
    """

    def counting_from(start: int) -> bytes:
        return bytes(range(start, start + 32))

    initiator, responder = (
        NoiseHandshake(
            initiator=number == 0,
            suite=Suite.XXPSK0_AESGCM,
            prologue=bytes([1, 2, 3]),
            static_seed=counting_from(number),
            ephemeral_seed=counting_from(32 + number),
            psk=counting_from(4),
        )
        for number in range(2)
    )
    messages = run(initiator, responder, [b"abc", b"defg", b""])
    assert [len(message) for message in messages] == [51, 100, 64]
    assert messages[2].hex() == (
        "1b6d7cc3b13bd02217f9cdb98c50870db96281193dca4df570bf6230a603b686"
        "fd90d2914c7e797d9276ef8fb34b0c9d87faa048ce4bc7e7af21b6a450352275"
    )


@pytest.mark.parametrize(
    ("suite", "cipher"),
    [
        pytest.param(Suite.XX_AESGCM, AESGCMCipher(), id="AESGCM"),
        pytest.param(Suite.XX_CHACHAPOLY, ChaChaPolyCipher(), id="ChaChaPoly"),
    ],
)
def test_rekey_against_dissononce(suite: Suite, cipher: AESGCMCipher | ChaChaPolyCipher) -> None:
    key = bytes(range(100, 132))
    ours = CipherState(suite, key)
    for number in range(5):
        assert ours.encrypt(b"text", b"ad") == cipher.encrypt(key, number, b"ad", b"text")
        ours.rekey()
        # dissononce leaves the tag on; Noise cuts REKEY's result to 32 bytes.
        key = cipher.rekey(key)[:32]
