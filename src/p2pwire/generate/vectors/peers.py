"""Two honest sides of a handshake with fixed keys, and every step at which one may be made to go wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import attrs
from cryptography.exceptions import InvalidTag

from p2pwire.crypto.identity import Identity
from p2pwire.generate.vectors.samples import Values
from p2pwire.generate.vectors.shaker import KeyPair, Shaker, prologue_of, psk_of
from p2pwire.wire import schema
from p2pwire.wire.registry import MAGIC, PROTOCOL_NAME, RefusalReason, Suite, is_grease16

Bytes = Callable[[bytes], bytes]


def same(data: bytes) -> bytes:
    """As it was."""
    return data


@attrs.frozen
class Wrong:
    """What a side does to what it sends; each hook gets what an honest side would send."""

    preamble: Bytes = same
    payload: Bytes = same
    """Before it is encrypted."""
    signed: Bytes = same
    """What the identity signs, without the beginning that all signed texts have."""
    purpose: str = ""
    signature: Bytes = same
    identity: bytes | None = None
    """Shown in place of the own one."""
    static: bytes | None = None
    ephemeral: bytes | None = None
    """Public keys of low order in place of the own ones."""
    message_1: bytes = b""
    """Payload of message 1."""


HONEST: Final = Wrong()


@attrs.frozen
class Peer:
    """One side: its keys and what it is willing to speak."""

    initiator: bool
    versions: tuple[int, ...] = (1,)
    suites: tuple[int, ...] = (1, 2)
    key_suite: int = 1
    secret: bytes | None = None
    binding: bytes = b""
    parameters: tuple[Values, ...] = ()
    payload_parameters: tuple[Values, ...] = ()
    seed: int = 0
    expected: bytes | None = None
    busy: bool = False
    banned: tuple[bytes, ...] = ()
    wrong: Wrong = HONEST

    def _seed(self, number: int) -> bytes:
        first = self.seed + 96 * (not self.initiator) + 32 * number
        return bytes(n % 256 for n in range(first, first + 32))

    @property
    def identity(self) -> Identity:
        """Its identity key."""
        return Identity.from_seed(self._seed(0))

    @property
    def given(self) -> dict[str, Any]:
        """The part of a vector's input that tells an implementation to be this side."""
        return {
            "role": "initiator" if self.initiator else "responder",
            "versions": self.versions,
            "suites": self.suites,
            "key_suite": self.key_suite if self.initiator else None,
            "network_secret": self.secret,
            "binding": self.binding,
            "identity_seed": self._seed(0),
            "static": self._seed(1),
            "ephemeral": self._seed(2),
            "expected": self.expected,
            "busy": self.busy,
            "banned": self.banned,
        }

    def shaker(self, suite: int, offer: bytes) -> Shaker:
        """Its Noise state before message 1."""
        return Shaker(
            Suite(suite),
            prologue_of(offer, self.binding),
            KeyPair(self._seed(1), self.wrong.static),
            KeyPair(self._seed(2), self.wrong.ephemeral),
            initiator=self.initiator,
            psk=None if self.secret is None else psk_of(self.secret),
        )

    def proof(self, h: bytes, response: bytes) -> bytes:
        """The payload of its message 2 or 3."""
        wrong = self.wrong
        purpose = wrong.purpose or f"handshake-{'initiator' if self.initiator else 'responder'}"
        signed = wrong.signed(h + sha256(response).digest())
        signature = self.identity._private.sign(PROTOCOL_NAME + b" " + purpose.encode() + b"\0" + signed)
        payload = schema.HANDSHAKE_PAYLOAD.build(
            {
                "identity": self.identity.public if wrong.identity is None else wrong.identity,
                "signature": wrong.signature(signature),
                "parameters": list(self.payload_parameters),
            }
        )
        return wrong.payload(payload)


def preamble(kind: int, values: Mapping[str, Any]) -> bytes:
    """A whole preamble."""
    body = schema.PREAMBLES[kind].build(values)
    return MAGIC + bytes((kind,)) + len(body).to_bytes(2, "big") + body


def enveloped(message: bytes) -> bytes:
    """m(x)."""
    return len(message).to_bytes(2, "big") + message


@attrs.define
class Talk:
    """A handshake step by step; what is sent is kept."""

    one: Peer
    """The initiator."""
    other: Peer
    sent: dict[int, bytes] = attrs.field(factory=dict)
    """Flight -> its bytes."""
    h: dict[int, bytes] = attrs.field(factory=dict)
    """Message -> h just before its payload."""
    payloads: dict[int, bytes] = attrs.field(factory=dict)
    messages: dict[int, bytes] = attrs.field(factory=dict)
    hash: bytes = b""
    keys: list[bytes] = attrs.field(factory=list)

    def run(self) -> Talk:
        """All three messages."""
        one, other = self.one, self.other
        values = {
            "versions": list(one.versions),
            "suites": list(one.suites),
            "key_suite": one.key_suite,
            "parameters": list(one.parameters),
        }
        offer = one.wrong.preamble(preamble(1, values))
        first = one.shaker(one.key_suite, offer)
        self._write(1, first, first.begin(1), one.wrong.message_1, offer)
        second = other.shaker(one.key_suite, offer)
        second.read(1, self.messages[1])
        version = max(v for v in set(one.versions) & set(other.versions) if not is_grease16(v))
        chosen = {"version": version, "suite": one.key_suite, "parameters": list(other.parameters)}
        response = other.wrong.preamble(preamble(2, chosen))
        begun = second.begin(2)
        self._write(2, second, begun, other.proof(second.h, response), response)
        first.read(2, self.messages[2])
        begun = first.begin(3)
        self._write(3, first, begun, one.proof(first.h, response), b"")
        self.hash, self.keys = first.h, first.split()
        return self

    def _write(self, number: int, side: Shaker, begun: bytes, payload: bytes, head: bytes) -> None:
        self.h[number] = side.h
        self.payloads[number] = payload
        self.messages[number] = begun + side.finish(payload)
        self.sent[number] = head + enveloped(self.messages[number])


def respond(peer: Peer, flight: bytes) -> tuple[str, bytes]:
    """What an honest responder does with a first flight: (silent, refused or answered; its bytes)."""
    end = 11 + int.from_bytes(flight[9:11], "big")
    offer, message = flight[:end], flight[end + 2 :]
    if offer[:9] != MAGIC + b"\x01" or not 1 <= int.from_bytes(flight[end : end + 2], "big") <= 1024:
        return "silent", b""
    try:
        found = schema.INITIATOR_PREAMBLE.parse(offer[11:])
    except Exception:
        return "silent", b""
    own = (3,) if peer.secret is not None else peer.suites
    version = max((v for v in found.versions if v in peer.versions), default=None)
    suite = next((s for s in found.suites if s in own), None)
    reason = None
    if peer.busy:
        reason = RefusalReason.BUSY
    elif version is None:
        reason = RefusalReason.NO_VERSION
    elif suite is None:
        reason = RefusalReason.NO_SUITE
    elif suite != found.key_suite:
        reason = RefusalReason.USE_SUITE
    if reason is not None:
        values = {"reason": reason, "versions": list(peer.versions), "suites": list(own)}
        return ("silent", b"") if peer.secret is not None else ("refused", preamble(3, values))
    assert suite is not None
    side = peer.shaker(suite, offer)
    try:
        if side.read(1, message)[0]:
            return "silent", b""
    except InvalidTag:
        return "silent", b""
    if len(message) < 32 or not any(side.ephemeral.shared(side.remote_ephemeral)):
        return "silent", b""
    response = preamble(2, {"version": version, "suite": suite, "parameters": []})
    begun = side.begin(2)
    return "answered", response + enveloped(begun + side.finish(peer.proof(side.h, response)))


def wanted(own: tuple[int, ...], listed: tuple[int, ...]) -> int | None:
    """The suite for a second attempt [VN-052]."""
    return next((suite for suite in own if suite in listed and not is_grease16(suite)), None)
