"""What a caller asks of a `Connection`: the argument of `Connection.send`.

A command that may not be given now raises `LocalProtocolError` and leaves everything as it was.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from p2pwire.content.objects import ObjectInfo
from p2pwire.wire.messages import Buffer, SharedRecord
from p2pwire.wire.registry import CloseCode, RejectCode


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
    """Let the other side spend `total` on this link in all (not less than before)."""

    total: int


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
    block: int
    level: int
    length: int
    root: bytes


@attrs.frozen
class CancelRequest:
    """Say that the answer is no longer wanted; the request stays open until it ends."""

    id: int


@attrs.frozen
class SendBlock:
    """The next block of an open request: `siblings` as `Tree.siblings` gives them, bottom-up."""

    id: int
    siblings: tuple[bytes, ...]
    data: Buffer
    last: bool = False
    """Whether the file ends with this block, before the request's 2^level blocks are full."""


@attrs.frozen
class RejectRequest:
    """End an open request of the other side without (more) data."""

    id: int
    code: RejectCode
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
    """Say why, and end the link."""

    code: CloseCode
    detail: str = ""
    """At most 256 bytes of UTF-8 without control characters."""


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
    | RejectRequest
    | SharePeers
    | AskPeers
    | Ping
    | SendExtension
    | CloseLink
)
