"""Handshakes between two sides with fixed keys, for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence

from p2pwire.crypto.noise import NoiseHandshake
from p2pwire.wire.registry import Suite

PROLOGUE = b"the same words on both sides"
PSK = bytes(range(32))
STATIC = {True: b"\x11" * 32, False: b"\x22" * 32}
EPHEMERAL = {True: b"\x33" * 32, False: b"\x44" * 32}

NAMES = {
    Suite.XX_AESGCM: "Noise_XX_25519_AESGCM_SHA256",
    Suite.XX_CHACHAPOLY: "Noise_XX_25519_ChaChaPoly_SHA256",
    Suite.XXPSK0_AESGCM: "Noise_XXpsk0_25519_AESGCM_SHA256",
}


def side(suite: Suite, *, initiator: bool, prologue: bytes = PROLOGUE, psk: bytes = PSK) -> NoiseHandshake:
    """One side with its fixed keys; `psk` counts only where the suite has one."""
    return NoiseHandshake(
        initiator=initiator,
        suite=suite,
        prologue=prologue,
        static_seed=STATIC[initiator],
        ephemeral_seed=EPHEMERAL[initiator],
        psk=psk if suite is Suite.XXPSK0_AESGCM else None,
    )


def pair(suite: Suite) -> tuple[NoiseHandshake, NoiseHandshake]:
    """An initiator and a responder."""
    return side(suite, initiator=True), side(suite, initiator=False)


def write(writer: NoiseHandshake, payload: bytes = b"") -> bytes:
    """The next whole message."""
    writer.begin_message()
    return writer.finish_message(payload)


def run(
    initiator: NoiseHandshake, responder: NoiseHandshake, payloads: Sequence[bytes] = (b"", b"", b"")
) -> list[bytes]:
    """As many messages as there are payloads, written by one side and read by the other."""
    messages = []
    for number, payload in enumerate(payloads):
        writer, reader = (initiator, responder) if number % 2 == 0 else (responder, initiator)
        message = write(writer, payload)
        reader.read_message(message)
        messages.append(message)
    return messages
