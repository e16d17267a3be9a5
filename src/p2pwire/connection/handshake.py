"""The handshake: versions, suite, identity and keys, for both roles (SPEC.md, "Handshake").

Complete preambles and Noise messages go in and come out; waiting, lengths and time are the connection's business.
Whatever is wrong raises `SilentFault`: a handshake fails without a word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar

import attrs

from p2pwire.connection.config import KEY_SIZE, Config, Role
from p2pwire.connection.faults import SilentFault
from p2pwire.connection.grease import Grease
from p2pwire.crypto.identity import Purpose, verify
from p2pwire.crypto.noise import CipherState, HandshakeFailed, NoiseHandshake
from p2pwire.wire.messages import (
    Buffer,
    DecodeError,
    HandshakePayload,
    InitiatorPreamble,
    Parameter,
    Refusal,
    ResponderPreamble,
    encode_preamble,
)
from p2pwire.wire.registry import PREAMBLE_HEADER, PROTOCOL_NAME, RefusalReason, Suite

MANY_PREAMBLES: Final = 16
"""own preambles that are kept encoded: those without GREASE, which a process says again and again, are few."""


@lru_cache(MANY_PREAMBLES)
def _encoded_offer(
    versions: tuple[int, ...], suites: tuple[int, ...], key_suite: int, parameters: tuple[Parameter, ...]
) -> bytes:
    return encode_preamble(InitiatorPreamble(versions, suites, key_suite, parameters))


@lru_cache(MANY_PREAMBLES)
def _encoded_response(version: int, suite: int, parameters: tuple[Parameter, ...]) -> bytes:
    return encode_preamble(ResponderPreamble(version, suite, parameters))


def encode_message(message: bytes) -> bytes:
    """`m(x)`: length u16 and the Noise message."""
    return len(message).to_bytes(2, "big") + message


T = TypeVar("T")


def _decoded(decode: Callable[[Buffer], T], data: Buffer) -> T:
    """The decoded message. Raises `SilentFault` if it is malformed."""
    try:
        return decode(data)
    except DecodeError as error:
        raise SilentFault(str(error)) from None


@attrs.frozen
class Refusing:
    """A responder's answer when it can not go on: these bytes, then the end of the carrier."""

    data: bytes
    reason: RefusalReason


class Handshake:
    """One handshake of one connection."""

    __slots__ = (
        "_config",
        "_ephemeral_seed",
        "_grease",
        "_noise",
        "_offer",
        "_response",
        "_response_hash",
        "_role",
        "_static_seed",
        "suite",
    )

    def __init__(self, config: Config, role: Role, random: Callable[[int], bytes], grease: Grease | None) -> None:
        self._config = config
        self._role = role
        self._grease = grease
        # Of this process or connection, never stored: the identity key signs the handshake, not this one [HS-020].
        self._static_seed = random(KEY_SIZE) if config.static is None else config.static
        self._ephemeral_seed = random(KEY_SIZE)
        self._noise: NoiseHandshake
        """There is none before the suite is agreed on."""
        self._offer = b""
        self._response = b""
        self._response_hash = b""
        self.suite: int = Suite.XXPSK0_AESGCM if config.psk is not None else (config.key_suite or config.suites[0])

    # --- initiator ---

    def flight_1(self) -> bytes:
        """The initiator's preamble and message 1."""
        versions, suites = self._lists()
        self._offer = _encoded_offer(versions, suites, self.suite, self._parameters())
        noise = self._start(Suite(self.suite))
        noise.begin_message()
        return self._offer + encode_message(noise.finish_message(b""))

    def read_response(self, raw: bytes) -> None:
        """The responder's preamble, all of it."""
        response = _decoded(ResponderPreamble.decode, raw[PREAMBLE_HEADER:])
        # `versions` holds no GREASE [VN-037] [VN-038].
        if response.version not in self._config.versions or response.suite != self.suite:
            raise SilentFault(f"version {response.version:#06x}, suite {response.suite:#06x}: not what was offered")
        self._response_hash = hashlib.sha256(raw).digest()

    def read_refusal(self, raw: bytes) -> tuple[RefusalReason, Suite | None]:
        """A refusal: why, and with USE_SUITE the suite for the one further attempt."""
        refusal = _decoded(Refusal.decode, raw[PREAMBLE_HEADER:])
        if self._config.psk is not None:
            raise SilentFault("a private network never refuses")  # [VN-043]
        try:
            reason = RefusalReason(refusal.reason)
        except ValueError:
            raise SilentFault(f"refusal reason {refusal.reason} is unknown") from None  # [VN-059]
        if reason is not RefusalReason.USE_SUITE:
            return reason, None
        # Own suites without GREASE, in the own order: the other side's order must not count [VN-052].
        common = next((suite for suite in self._suites() if suite in refusal.suites), None)
        if common is None or common == self.suite:
            raise SilentFault("USE_SUITE names no other suite of the offer")  # [VN-053]
        return reason, Suite(common)

    def read_message_2(self, message: Buffer) -> bytes:
        """Message 2: the responder's identity, proved."""
        return self._read_identity(message, Purpose.HANDSHAKE_RESPONDER)

    def message_3(self) -> bytes:
        """Message 3: this side's proof."""
        return self._write_identity(Purpose.HANDSHAKE_INITIATOR)

    # --- responder ---

    def read_offer(self, raw: bytes) -> Refusing | None:
        """The initiator's preamble, all of it; a refusal if there is nothing to select, or not now."""
        offer = _decoded(InitiatorPreamble.decode, raw[PREAMBLE_HEADER:])
        self._offer = raw
        if self._config.busy:
            return self._refuse(RefusalReason.BUSY)  # [VN-036]
        common = [version for version in offer.versions if version in self._config.versions]
        if not common:
            return self._refuse(RefusalReason.NO_VERSION)  # [VN-033]
        own = self._suites()
        # The initiator's order decides [VN-031]. Neither list of one's own holds GREASE [VN-061].
        suite = next((suite for suite in offer.suites if suite in own), None)
        if suite is None:
            return self._refuse(RefusalReason.NO_SUITE)  # [VN-034]
        if suite != offer.key_suite:
            return self._refuse(RefusalReason.USE_SUITE)  # [VN-035]
        self.suite = suite
        self._response = _encoded_response(max(common), suite, self._parameters())
        self._response_hash = hashlib.sha256(self._response).digest()
        self._start(Suite(suite))
        return None

    def read_message_1(self, message: Buffer) -> None:
        """Message 1: the initiator's ephemeral key, no payload."""
        payload, _ = self._read(message)
        if payload:
            raise SilentFault(f"message 1 has a payload of {len(payload)} bytes; it has none")  # [HS-002]

    def flight_2(self) -> bytes:
        """The responder's preamble and message 2."""
        return self._response + self._write_identity(Purpose.HANDSHAKE_RESPONDER)

    def read_message_3(self, message: Buffer) -> bytes:
        """Message 3: the initiator's identity, proved."""
        return self._read_identity(message, Purpose.HANDSHAKE_INITIATOR)

    # --- both ---

    @property
    def hash(self) -> bytes:
        """The final handshake hash, 32 bytes."""
        return self._noise.handshake_hash

    def split(self) -> tuple[CipherState, CipherState]:
        """The keys of the records: (sending, receiving)."""
        return self._noise.split()

    def _suites(self) -> tuple[int, ...]:
        # With a network secret there is one suite, so that nothing else can be talked into [VN-040].
        return (Suite.XXPSK0_AESGCM,) if self._config.psk is not None else self._config.suites

    def _lists(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        versions, suites = self._config.versions, self._suites()
        if self._grease is not None:
            return (self._grease.version, *versions), (*suites, self._grease.suite)
        return versions, suites

    def _parameters(self) -> tuple[Parameter, ...]:
        return () if self._grease is None else (Parameter(self._grease.tag, self._grease.value),)

    def _refuse(self, reason: RefusalReason) -> Refusing:
        if self._config.psk is not None:
            raise SilentFault(f"{reason.name}, and a private network says nothing to strangers")  # [VN-042]
        versions, suites = self._lists()
        return Refusing(encode_preamble(Refusal(reason, versions, suites)), reason)

    def _start(self, suite: Suite) -> NoiseHandshake:
        binding = self._config.binding
        prologue = PROTOCOL_NAME + b"\0" + self._offer + len(binding).to_bytes(2, "big") + binding
        self._noise = NoiseHandshake(
            initiator=self._role is Role.INITIATOR,
            suite=suite,
            prologue=prologue,
            static_seed=self._static_seed,
            ephemeral_seed=self._ephemeral_seed,
            psk=self._config.psk,
        )
        return self._noise

    def _read(self, message: Buffer) -> tuple[bytes, bytes]:
        try:
            return self._noise.read_message(message)
        except HandshakeFailed as error:
            raise SilentFault(str(error)) from None

    def _read_identity(self, message: Buffer, purpose: Purpose) -> bytes:
        payload, bound = self._read(message)
        proof = _decoded(HandshakePayload.decode, payload)
        # Verified before anything else in the payload is looked at [HS-030].
        if not verify(proof.identity, purpose, bound + self._response_hash, proof.signature):
            raise SilentFault("the identity is not acceptable or its signature is wrong")
        return proof.identity

    def _write_identity(self, purpose: Purpose) -> bytes:
        _, bound = self._noise.begin_message()
        identity = self._config.identity
        signature = identity.sign(purpose, bound + self._response_hash)
        payload = HandshakePayload(identity.public, signature, self._parameters()).encode()
        return encode_message(self._noise.finish_message(payload))
