"""What a `Connection` reports: a closed set of frozen classes, in the order in which things happened.

Each event is complete and checked: content in it is proved, records in it are well formed. Topics are 32-byte names
(`p2pwire.content.objects.topic_of`); handles never leave the connection. Integers are those of the frames in SPEC.md.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from p2pwire.content.merkle import Proved
from p2pwire.content.objects import ObjectInfo
from p2pwire.wire.messages import Address, SharedRecord
from p2pwire.wire.registry import CloseCode, JoinFlag, RefusalReason, RejectCode, Suite


@attrs.frozen
class OfferReceived:
    """Responder: message 1 is complete. A link to the same peer that was established before this moment is older."""


@attrs.frozen
class PeerIdentified:
    """The other side proved its identity. An initiator has sent message 3; HELLO has not come yet."""

    identity: bytes
    """32 bytes, an Ed25519 public key."""


@attrs.frozen
class LinkEstablished:
    """HELLO has come: the link is open."""

    identity: bytes
    agent: str
    """The other implementation's name, "" if it gave none; untrusted, but without control characters."""
    record: bytes | None
    """The other's own peer record as it came, well-formed and of this identity, its signature unverified; None if there
    is none."""
    observed: Address | None
    """The address from which the other side sees this one; a claim."""
    extensions: frozenset[str]
    """The names that both sides listed."""


@attrs.frozen
class Refused:
    """Initiator: the responder refuses the handshake; `Closed` follows."""

    reason: RefusalReason
    suite: Suite | None
    """With USE_SUITE: the suite for one further attempt with the same lists; else None."""


@attrs.frozen
class TopicOpened:
    """Both sides have joined and know the object's id."""

    topic: bytes
    flags: JoinFlag
    """The other side's flags."""


@attrs.frozen
class TopicFlagsChanged:
    """The other side joined an open topic again with other flags."""

    topic: bytes
    flags: JoinFlag


@attrs.frozen
class TopicRefused:
    """The other side has not joined, or not with the right cap; wait 60 s before asking again unasked [TP-018]."""

    topic: bytes


@attrs.frozen
class TopicClosed:
    """An open topic ended, not by `Leave`; own requests in it still end one by one, the other side's are rejected."""

    topic: bytes


@attrs.frozen
class ObjectLearned:
    """What the topic names, checked against its id."""

    topic: bytes
    info: ObjectInfo


@attrs.frozen
class UnitsChanged:
    """The other side's holdings changed; each span (first, last) is inclusive and really new or really gone."""

    topic: bytes
    added: tuple[tuple[int, int], ...]
    removed: tuple[tuple[int, int], ...]


@attrs.frozen
class InterestChanged:
    """The other side would, or would no longer, request if it had credit."""

    topic: bytes
    on: bool


@attrs.frozen
class CreditReceived:
    """More may be requested: `Connection.credit` grew."""

    total: int


@attrs.frozen
class UnitsSuggested:
    """Units `first` to `last` are cheap to serve now."""

    topic: bytes
    first: int
    last: int


@attrs.frozen
class RequestReceived:
    """Answer with `SendBlock` for each block in ascending order, or with `RejectRequest`.

    OUT_OF_RANGE has to be said before the next event is asked for: it may not come after a later PONG [KA-006].
    """

    id: int
    topic: bytes
    file: int
    block: int
    level: int


@attrs.frozen
class RequestCancelled:
    """The answer to an open request is no longer wanted; it still has to be ended."""

    id: int


@attrs.frozen
class RequestWithdrawn:
    """An open request of the other side was ended by this connection: no DATA for too long, or its topic ended."""

    id: int


@attrs.frozen
class BlocksReceived:
    """Neighbouring blocks of one request, each proved against the root of its file."""

    request: int
    topic: bytes
    file: int
    block: int
    """The first one; those that came up to here in one go follow, at most `transfer.MAX_RUN` in all."""
    data: tuple[memoryview, ...]
    """One for each block, of 1 to 16384 bytes; stay valid as long as they are held. Only the file's last is short."""
    proved: tuple[Proved, ...]
    """For each block the nodes that its proof established, for one's own tree."""


@attrs.frozen
class RequestEnded:
    """An own request is over."""

    request: int
    topic: bytes
    file: int
    block: int
    level: int
    blocks: int
    """How many of its blocks came."""
    code: RejectCode | None
    """None: all of them came."""
    retry: float
    """With CHOKED and BUSY: seconds after which it may be worth another try."""


@attrs.frozen
class RequestsTimedOut:
    """Nothing came for the request time: all open requests are cancelled, and stay open until they end."""

    count: int
    """How often this has happened on this link; from 3 on the peer counts as snubbed."""


@attrs.frozen
class PeersReceived:
    """Records of peers in the topic, unverified, and identities for which the other side vouches no longer."""

    topic: bytes
    added: tuple[SharedRecord, ...]
    dropped: tuple[bytes, ...]


@attrs.frozen
class PeersWanted:
    """The other side asks for at most `max` records."""

    topic: bytes
    max: int


@attrs.frozen
class PongReceived:
    """A PONG answered a PING of the caller."""

    data: bytes


@attrs.frozen
class ExtensionReceived:
    """A frame of an extension that both sides listed; `index` counts from the extension's base."""

    name: str
    index: int
    body: bytes


@attrs.frozen
class Closed:
    """The link is over. Exactly one, and the last event."""

    code: CloseCode
    """An unknown code of the other side is INTERNAL; `number` has it as it came."""
    number: int
    reason: str
    by_peer: bool
    """Whether the other side ended the link."""
    truncated: bool
    """Whether the stream ended without CLOSE."""


Event: TypeAlias = (
    OfferReceived
    | PeerIdentified
    | LinkEstablished
    | Refused
    | TopicOpened
    | TopicFlagsChanged
    | TopicRefused
    | TopicClosed
    | ObjectLearned
    | UnitsChanged
    | InterestChanged
    | CreditReceived
    | UnitsSuggested
    | RequestReceived
    | RequestCancelled
    | RequestWithdrawn
    | BlocksReceived
    | RequestEnded
    | RequestsTimedOut
    | PeersReceived
    | PeersWanted
    | PongReceived
    | ExtensionReceived
    | Closed
)
