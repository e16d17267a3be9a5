"""What a caller asks of a `Connection`: the argument of `Connection.send`.

A command that may not be given now, or that no frame can carry, raises `LocalProtocolError` and leaves everything as it
was.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from p2pwire.content.objects import ObjectInfo
from p2pwire.wire.messages import Buffer, SharedRecord
from p2pwire.wire.registry import NO_FRAME_TYPE, CloseCode, RejectCode


class LocalProtocolError(Exception):
    """The caller asked for something that the protocol forbids here; nothing has changed."""


@attrs.frozen
class Join:
    """Join a topic of the catalogue; for a topic that is joined already: tell the catalogue's new flags."""

    topic: bytes


@attrs.frozen
class Leave:
    """Leave a joined topic. Requests of the other side that are open in it are rejected by the connection."""

    topic: bytes


@attrs.frozen
class TellObject:
    """Tell what an open topic names; without effect if either side has told it on this link."""

    topic: bytes
    info: ObjectInfo


@attrs.frozen
class TellUnits:
    """Announce held units, (first, last) inclusive, ascending and disjoint."""

    topic: bytes
    spans: tuple[tuple[int, int], ...]


@attrs.frozen
class TellLost:
    """Announce units that are held no longer."""

    topic: bytes
    spans: tuple[tuple[int, int], ...]


@attrs.frozen
class TellInterest:
    """Say whether one would request with more credit; without effect if that was the last word."""

    topic: bytes
    on: bool


@attrs.frozen
class GrantCredit:
    """Let the other side spend `total` on this link in all; without effect if that is what it may spend already."""

    total: int
    """Blocks, the initial 64 included; not less than before."""


@attrs.frozen
class SuggestUnits:
    """Say that these units are cheap to serve now."""

    topic: bytes
    first: int
    last: int


@attrs.frozen
class RequestBlocks:
    """Ask for 2^level blocks of one file; the answer is checked against the file's length and root."""

    id: int
    """u32, chosen by the caller, not that of an open request."""
    topic: bytes
    file: int
    """Index as in SPEC.md, "File indices"."""
    block: int
    """The first block, a multiple of 2^level."""
    level: int
    """0 to 6, and not above the file's tree."""
    length: int
    """Bytes of the file."""
    root: bytes = attrs.field(repr=False)
    """32 bytes. With the length it rebuilds the id of a blob, so it is not shown."""


@attrs.frozen
class CancelRequest:
    """Say that the answer is no longer wanted; the request stays open until it ends."""

    id: int


@attrs.frozen
class SendBlock:
    """The next block of an open request: `siblings` as `Tree.siblings` gives them, bottom-up."""

    id: int
    siblings: tuple[bytes, ...] = attrs.field(repr=False)
    """As many as SPEC.md, "DATA and proofs", gives: the tree's height for the first block of the request."""
    data: Buffer = attrs.field(repr=False)
    """16384 bytes, and for the file's last block what it has."""
    last: bool = False
    """Whether the request ends with this block: so it does where the file ends before 2^level blocks are full."""


@attrs.frozen
class SendBlocks:
    """The next blocks of an open request: the same as `SendBlock` for one after another, but all or none."""

    id: int
    siblings: tuple[tuple[bytes, ...], ...] = attrs.field(repr=False)
    """Those of each block."""
    data: memoryview = attrs.field(repr=False)
    """The blocks one after another, 16384 bytes each but for the file's last. To be left alone until it is sent."""
    last: bool = False
    """Whether the request ends with the last of these."""


@attrs.frozen
class RejectRequest:
    """End an open request of the other side without (more) data."""

    id: int
    code: RejectCode
    """CANCELLED only after `RequestCancelled`."""
    retry: float = 0.0
    """Seconds, with CHOKED and BUSY only."""


@attrs.frozen
class SharePeers:
    """Share signed records of peers in the topic, and withdraw one's word for others."""

    topic: bytes
    added: tuple[SharedRecord, ...]
    dropped: tuple[bytes, ...] = ()


@attrs.frozen
class AskPeers:
    """Ask for at most `max` records of peers in the topic."""

    topic: bytes
    max: int


@attrs.frozen
class Ping:
    """Ask for a PONG with the same 8 bytes."""

    data: bytes


@attrs.frozen
class SendExtension:
    """A frame of an extension that both sides listed; `index` counts from the other side's base."""

    name: str
    index: int
    body: bytes


@attrs.frozen
class CloseLink:
    """Say why, and end the link; in the handshake end it without a word. Without effect on a link that is over."""

    code: CloseCode
    detail: str = ""
    """For people, and nothing that the other side is not to know; cut at 256 bytes, without control characters."""
    frame_type: int = NO_FRAME_TYPE
    """The type of the frame to blame, if one is [CL-004]."""


Command: TypeAlias = (
    Join
    | Leave
    | TellObject
    | TellUnits
    | TellLost
    | TellInterest
    | GrantCredit
    | SuggestUnits
    | RequestBlocks
    | CancelRequest
    | SendBlock
    | SendBlocks
    | RejectRequest
    | SharePeers
    | AskPeers
    | Ping
    | SendExtension
    | CloseLink
)
