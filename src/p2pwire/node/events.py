"""What a `Node` tells the application, in order."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from p2pwire.content.objects import ObjectInfo
from p2pwire.node.address import Endpoint
from p2pwire.wire.registry import CloseCode, Suite


@attrs.frozen
class PeerConnected:
    """A link to an authenticated peer is open."""

    link: int
    identity: bytes
    endpoint: Endpoint | None
    """The address that was dialled or from which the peer came; None for a stream of the caller's own."""
    outbound: bool
    learned_from: bytes | None
    """The identity of the peer that named this address; None if the user did, or the peer came by itself."""
    agent: str
    extensions: frozenset[str] = frozenset()
    """The names of extensions that both sides listed."""


@attrs.frozen
class PeerDisconnected:
    """An open link is over."""

    link: int
    identity: bytes
    code: CloseCode
    reason: str
    by_peer: bool
    truncated: bool


@attrs.frozen
class ExtensionReceived:
    """A frame of an extension that both sides listed; `index` counts from the extension's first frame."""

    link: int
    identity: bytes
    name: str
    index: int
    body: bytes


@attrs.frozen
class LinkFailed:
    """A dial or a handshake failed; the node tries other addresses, and this one later if it may."""

    endpoint: Endpoint | None
    reason: str
    suite: Suite | None = None
    """The suite that the responder wants instead; on a carrier of the caller's own the caller may try it [VN-057]."""
    code: CloseCode | None = None
    """How the link ended that was begun; None: there was no carrier."""

    @property
    def own(self) -> bool:
        """This very peer answered: its own address is never dialled again [ID-015]."""
        return self.code is CloseCode.SELF

    @property
    def taken(self) -> bool:
        """A peer answered to whom there is a link already, perhaps one of which nothing was told yet [ID-022]."""
        return self.code is CloseCode.DUPLICATE


@attrs.frozen
class PeerLearned:
    """A signed record of a peer was accepted."""

    topic: bytes
    identity: bytes
    learned_from: bytes


@attrs.frozen
class PeerBanned:
    """A peer sent bad data."""

    identity: bytes
    reason: str


@attrs.frozen
class ObjectKnown:
    """A fetched object's kind, length and root are known and checked against its id."""

    topic: bytes
    info: ObjectInfo


@attrs.frozen
class ContentKnown:
    """The layout of a fetched object is known: how much there is, and how much of it is held already."""

    topic: bytes
    done: int
    total: int


@attrs.frozen
class BlocksStored:
    """Further blocks are verified and written."""

    topic: bytes
    source: bytes
    """The identity of the peer that they came from."""
    blocks: int
    """How many."""
    size: int
    """Bytes."""


@attrs.frozen
class FetchComplete:
    """Everything is verified, written and under its final name; it is shared on until forgotten."""

    topic: bytes
    total: int
    sources: dict[bytes, int]
    """identity -> content bytes that came from it in this process."""


@attrs.frozen
class FetchFailed:
    """A fetch can not go on; what was verified is kept."""

    topic: bytes
    error: Exception
    """The storage's own error."""


@attrs.frozen
class ShareFailed:
    """Blocks of a shared resource can not be read any more; they are announced as lost."""

    topic: bytes
    error: Exception


NodeEvent: TypeAlias = (
    PeerConnected
    | PeerDisconnected
    | ExtensionReceived
    | LinkFailed
    | PeerLearned
    | PeerBanned
    | ObjectKnown
    | ContentKnown
    | BlocksStored
    | FetchComplete
    | FetchFailed
    | ShareFailed
)
