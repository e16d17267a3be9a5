"""Handshakes and records with the other side made by another implementation of Noise: PyPI's noiseprotocol."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from noise.connection import Keypair, NoiseConnection

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import Connection
from p2pwire.connection.state import LinkState
from p2pwire.crypto.identity import Purpose
from p2pwire.crypto.noise import derive_psk
from p2pwire.testing.pair import seeded
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, Suite
from tests.connection.remote import HELLO, START, config, identity, parse

NAMES = {
    Suite.XX_AESGCM: b"Noise_XX_25519_AESGCM_SHA256",
    Suite.XX_CHACHAPOLY: b"Noise_XX_25519_ChaChaPoly_SHA256",
    Suite.XXPSK0_AESGCM: b"Noise_XXpsk0_25519_AESGCM_SHA256",
}
PSK = derive_psk(b"a network's secret")
BOB = identity("bob")


class Foreign:
    """The other side: its Noise is not ours. It is never told the keys of the connection under test."""

    def __init__(self, suite: Suite, *, initiator: bool) -> None:
        self.suite = suite
        self.initiator = initiator
        self.noise: Any = NoiseConnection.from_name(NAMES[suite])
        if suite is Suite.XXPSK0_AESGCM:
            self.noise.set_psks(PSK)
        if initiator:
            self.noise.set_as_initiator()
        else:
            self.noise.set_as_responder()
        static = hashlib.sha256(b"a static key").digest()
        self.noise.set_keypair_from_private_bytes(Keypair.STATIC, static)

    def start(self, offer: bytes) -> None:
        self.noise.set_prologue(b"p2pwire/1\0" + offer + b"\0\0")
        self.noise.start_handshake()

    def write(self, payload: bytes) -> bytes:
        message = self.noise.write_message(payload)
        return len(message).to_bytes(2, "big") + bytes(message)

    def write_identity(self, response: bytes) -> bytes:
        """The message whose payload signs h as it is just before the payload."""
        # noiseprotocol writes a message in one step; the payload is put in its place where h is known.
        symmetric = self.noise.noise_protocol.handshake_state.symmetric_state
        encrypt = symmetric.encrypt_and_hash
        purpose = Purpose.HANDSHAKE_INITIATOR if self.initiator else Purpose.HANDSHAKE_RESPONDER

        def signing(plaintext: bytes) -> bytes:
            if bytes(plaintext) == b"the payload":
                plaintext = BOB.public + BOB.sign(purpose, symmetric.h + hashlib.sha256(response).digest())
            return bytes(encrypt(plaintext))

        symmetric.encrypt_and_hash = signing
        return self.write(b"the payload")

    def record(self, *frames: msg.Frame) -> bytes:
        ciphertext = self.noise.encrypt(b"".join(frame.encode_frame() for frame in frames))
        return len(ciphertext).to_bytes(2, "big") + bytes(ciphertext)

    def read_records(self, data: bytes) -> list[msg.Frame]:
        frames = []
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            frames += parse(bytes(self.noise.decrypt(data[2:end])))
            data = data[end:]
        return frames


def under_test(suite: Suite) -> Config:
    if suite is Suite.XXPSK0_AESGCM:
        return config("alice", psk=PSK)
    return config("alice", suites=(suite, *({Suite.XX_AESGCM} - {suite})))


def events(connection: Connection) -> list[ev.Event]:
    return list(iter(connection.next_event, None))


def split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """A preamble, the message after it, and the rest."""
    end = 11 + int.from_bytes(data[9:11], "big")
    after = end + 2 + int.from_bytes(data[end : end + 2], "big")
    return data[:end], data[end + 2 : after], data[after:]


@pytest.mark.parametrize("suite", Suite)
def test_our_responder_and_a_foreign_initiator(suite: Suite) -> None:
    connection = Connection(Role.RESPONDER, under_test(suite), now=START, random=seeded("responder"))
    foreign = Foreign(suite, initiator=True)
    offer = msg.encode_preamble(msg.InitiatorPreamble((1,), (suite,), suite, ()))
    foreign.start(offer)
    connection.receive_data(offer + foreign.write(b""), START)
    assert events(connection) == [ev.OfferReceived()]
    response, message, rest = split(b"".join(connection.data_to_send()))
    assert rest == b""
    foreign.noise.read_message(message)
    assert msg.ResponderPreamble.decode(response[11:]) == msg.ResponderPreamble(1, suite, ())
    connection.receive_data(foreign.write_identity(response), START)
    assert events(connection) == [ev.PeerIdentified(BOB.public)]
    talk(connection, foreign, b"".join(connection.data_to_send()))


@pytest.mark.parametrize("suite", Suite)
def test_our_initiator_and_a_foreign_responder(suite: Suite) -> None:
    connection = Connection(Role.INITIATOR, under_test(suite), now=START, random=seeded("initiator"))
    foreign = Foreign(suite, initiator=False)
    offer, message, rest = split(b"".join(connection.data_to_send()))
    assert rest == b""
    foreign.start(offer)
    assert foreign.noise.read_message(message) == b""
    response = msg.encode_preamble(msg.ResponderPreamble(1, suite, ()))
    connection.receive_data(response + foreign.write_identity(response), START)
    assert events(connection) == [ev.PeerIdentified(BOB.public)]
    flight = b"".join(connection.data_to_send())
    size = 2 + int.from_bytes(flight[:2], "big")
    payload = msg.HandshakePayload.decode(bytes(foreign.noise.read_message(flight[2:size])))
    assert payload.identity == identity("alice").public
    talk(connection, foreign, flight[size:])


def talk(connection: Connection, foreign: Foreign, records: bytes) -> None:
    """Records both ways, and the handshake hash that both sides have."""
    assert foreign.noise.handshake_finished
    assert [type(frame) for frame in foreign.read_records(records)] == [msg.Hello]
    assert connection._session.topics.handshake_hash == foreign.noise.get_handshake_hash()
    connection.receive_data(foreign.record(HELLO), START)
    assert [type(event) for event in events(connection)] == [ev.LinkEstablished]
    for number in range(100):
        ping = msg.Ping(b"%08d" % number)
        connection.receive_data(foreign.record(ping), START)
        assert events(connection) == []
        assert foreign.read_records(b"".join(connection.data_to_send())) == [msg.Pong(ping.data)]
    connection.send(cmd.CloseLink(CloseCode.SHUTDOWN, "bye"))
    assert foreign.read_records(b"".join(connection.data_to_send())) == [msg.Close(13, 0xFF, "bye")]
    assert connection.state is LinkState.DRAINING
