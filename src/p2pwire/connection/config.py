"""What a connection is told at the start: who this side is, what it offers, and every limit and timer."""

from __future__ import annotations

from collections.abc import Container, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

import attrs

from p2pwire.connection.tap import Tap
from p2pwire.content.objects import ObjectInfo
from p2pwire.crypto.identity import Identity
from p2pwire.crypto.noise import StaticKey
from p2pwire.wire import registry
from p2pwire.wire.messages import Address
from p2pwire.wire.registry import JoinFlag, ObjectKind, Suite, Version, is_grease16

KEY_SIZE: Final = 32
"""bytes of an identity, an object's id, a topic and a network's key."""

MAX_LISTED: Final = registry.MAX_OFFERED - 1
"""versions, and suites, that a peer may have: one place in the list is for GREASE."""

ALL_FLAGS: Final = JoinFlag.HAS_MANIFEST | JoinFlag.UPLOAD_ONLY | JoinFlag.WANTS_PEERS
"""The flags of JOIN that have a meaning; the other bits are reserved."""

MAX_BINDING: Final = 65535
"""bytes of a carrier binding: what its u16 length can say."""


class Role(Enum):
    """Which side of the handshake: the initiator speaks first."""

    INITIATOR = "I"
    RESPONDER = "R"

    @property
    def other(self) -> Role:
        """The role of the other side."""
        return Role.RESPONDER if self is Role.INITIATOR else Role.INITIATOR


@attrs.frozen
class Offer:
    """One topic of the catalogue: what this peer would say of it in JOIN and OBJECT."""

    oid: bytes = attrs.field(repr=False)
    """The object's id, which is also the right to read it: 32 bytes."""
    flags: JoinFlag
    info: ObjectInfo | None
    """None while only the id is known."""

    def __attrs_post_init__(self) -> None:
        if len(self.oid) != KEY_SIZE:
            raise ValueError(f"oid: {len(self.oid)} bytes, must be {KEY_SIZE}")
        if not 0 <= self.flags <= ALL_FLAGS:
            raise ValueError(f"flags: {int(self.flags):#x}, must be of {int(ALL_FLAGS):#x}")  # [GN-005]
        if self.info is None:
            return
        if self.info.oid != self.oid:
            raise ValueError("info: it does not have the id of the offer")
        if self.info.fault is not None:
            raise ValueError(f"info: {self.info.fault}")
        if JoinFlag.HAS_MANIFEST in self.flags and self.info.kind != ObjectKind.MANIFEST:
            raise ValueError("flags: HAS_MANIFEST, and the object is none")  # [TP-015]


@attrs.frozen
class Extension:
    """An extension that this side understands: `count` frame types from `base` on, in its own numbers."""

    name: str
    base: int
    count: int
    params: bytes = b""


@attrs.frozen
class Limits:
    """The bounds that one side sets for the other. Each default is that of SPEC.md."""

    max_requests: int = attrs.field(
        default=registry.MAX_REQUESTS, validator=[attrs.validators.ge(1), attrs.validators.le(registry.MAX_REQUESTS)]
    )
    """Requests that the other side may have open."""
    max_handles: int = attrs.field(
        default=registry.DEFAULT_HANDLES, validator=[attrs.validators.ge(1), attrs.validators.le(registry.MAX_HANDLES)]
    )
    """Topics that the other side may have joined."""
    idle: int = attrs.field(
        default=registry.DEFAULT_IDLE,
        validator=[attrs.validators.ge(registry.MIN_IDLE), attrs.validators.le(registry.MAX_IDLE)],
    )
    """Seconds without a complete record after which the link is dead."""
    send_queue: int = registry.SEND_QUEUE_DATA
    """Bytes waiting above which the caller should not add blocks: see `Connection.can_send`."""
    answers: int = registry.SEND_QUEUE_ANSWERS
    """Bytes of answers waiting above which nothing more is read."""
    control_rate: float = registry.CONTROL_RATE
    control_burst: float = registry.CONTROL_BURST
    control_bytes_rate: float = registry.CONTROL_BYTES_RATE
    control_bytes_burst: float = registry.CONTROL_BYTES_BURST


@attrs.frozen
class Timeouts:
    """All times in seconds."""

    handshake: float = registry.HANDSHAKE_TIMEOUT
    hello: float = registry.HELLO_TIMEOUT
    ping: float = registry.MAX_PING_INTERVAL
    """At most this long, and at most a third of the idle time, without a record before a PING."""
    request: float = registry.REQUEST_TIMEOUT
    serve: float = registry.SERVE_TIMEOUT
    drain: float = registry.DRAIN_TIMEOUT


NO_TOPICS: Final[Mapping[bytes, Offer]] = MappingProxyType({})
DEFAULT_SUITES: Final = (Suite.XX_AESGCM, Suite.XX_CHACHAPOLY)


@attrs.frozen
class Config:
    """Everything that a `Connection` needs to know of its own side. Raises `ValueError` for what can not be.

    `topics`, `taken` and `banned` are read whenever they are needed, and kept up to date by the caller alone.
    """

    identity: Identity
    static: StaticKey | None = attrs.field(default=None, repr=False, kw_only=True)
    """The static key of this process; None: one is made for the connection [HS-020]."""
    topics: Mapping[bytes, Offer] = attrs.field(default=NO_TOPICS, repr=False)
    """topic -> offer: what this peer is willing to exchange."""
    taken: Container[bytes] = frozenset()
    """Identities to which an initiator needs no second link: those of other links that are past their handshake."""
    banned: Container[bytes] = frozenset()
    """Identities with which there is to be no link."""
    expected: bytes | None = None
    """The identity that has to be met; None: any."""
    versions: tuple[int, ...] = (Version.P2PWIRE_1,)
    """What is offered, or understood."""
    suites: tuple[int, ...] = DEFAULT_SUITES
    """In the order of preference."""
    key_suite: Suite | None = None
    """The suite for which an initiator makes message 1; None: the first of `suites`."""
    psk: bytes | None = attrs.field(default=None, repr=False)
    """The key of a private network (`p2pwire.crypto.noise.derive_psk`): suite 3 alone is offered and accepted, whatever
    `suites` says."""
    busy: bool = False
    """Responder: refuse every handshake with BUSY, or in a private network without a word."""
    binding: bytes = b""
    """What ties the handshake to its carrier; the same bytes on both sides."""
    agent: str = ""
    """Name and version of the implementation: at most 64 bytes of UTF-8, no control characters; "": none is told."""
    record: bytes | None = None
    """Own signed peer record; given by a peer that listens."""
    observed: Address | None = None
    """The address from which this side sees the other."""
    extensions: tuple[Extension, ...] = ()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    tap: Tap | None = attrs.field(default=None, repr=False)
    """Hears all that is said, decrypted: for a capture that a person has asked for [PV-012]."""
    grease: bytes | None = None
    """Random bytes from which GREASE is made, `GREASE_SEED` of them; b"": none. None: one connection in eight has some.
    The one further attempt after USE_SUITE is given those of the first."""

    def __attrs_post_init__(self) -> None:
        for name, key in (("psk", self.psk), ("expected", self.expected)):
            if key is not None and len(key) != KEY_SIZE:
                raise ValueError(f"{name}: {len(key)} bytes, must be {KEY_SIZE}")
        for name, values in (("versions", self.versions), ("suites", self.suites)):
            if not 1 <= len(values) <= MAX_LISTED:
                raise ValueError(f"{name}: {len(values)} of them, must be 1 to {MAX_LISTED}")
            if len(set(values)) < len(values) or any(is_grease16(value) for value in values):
                raise ValueError(f"{name}: {values}, each may be there once and none is GREASE")
        if self.psk is None:
            self._check_suites()
        elif self.key_suite not in (None, Suite.XXPSK0_AESGCM):
            raise ValueError(f"key_suite: {self.key_suite!r}, a private network has one suite")
        if len(self.binding) > MAX_BINDING:
            raise ValueError(f"binding: {len(self.binding)} bytes, must be at most {MAX_BINDING}")

    def _check_suites(self) -> None:
        if Suite.XX_AESGCM not in self.suites:
            raise ValueError(f"suites: {self.suites}, {Suite.XX_AESGCM!r} must be among them")  # [VN-026]
        if not set(self.suites) <= {Suite.XX_AESGCM, Suite.XX_CHACHAPOLY}:
            # [VN-028]
            raise ValueError(f"suites: {self.suites}, must be of {[int(suite) for suite in DEFAULT_SUITES]}")
        if self.key_suite is not None and self.key_suite not in self.suites:
            raise ValueError(f"key_suite: {self.key_suite!r}, must be one of suites")
