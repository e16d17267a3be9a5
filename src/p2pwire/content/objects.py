"""Objects and their names: what is shared, the id that is the right to read it, and the topic that others may see.

    oid   = SHA-256("p2pwire/1 object" 00 | kind u8 | length u64 | root[32])
    topic = SHA-256("p2pwire/1 topic" 00 | oid)
    cap   = HMAC-SHA256(oid, "p2pwire/1 cap" 00 | 'I' or 'R' | handshake hash)

The length is part of the id because a tree does not tell leaves from nodes: the two leaf hashes of a file, taken as a
file of 64 bytes, have the same root.
"""

from __future__ import annotations

import hmac
import struct
from functools import cached_property
from hashlib import sha256
from typing import Final

import attrs

from p2pwire.content.hashing import HASH, NO_ROOT
from p2pwire.wire.registry import (
    MAX_LENGTH,
    MAX_MANIFEST_LENGTH,
    MIN_MANIFEST_LENGTH,
    PROTOCOL_NAME,
    ObjectKind,
)

_OBJECT: Final = PROTOCOL_NAME + b" object\0"
_TOPIC: Final = PROTOCOL_NAME + b" topic\0"
_CAP: Final = PROTOCOL_NAME + b" cap\0"
_DESCRIPTION: Final = struct.Struct(">BQ")


def object_id(kind: int, length: int, root: bytes) -> bytes:
    """The id of an object, 32 bytes: of any kind (u8), with its length in bytes (u64) and its 32-byte root."""
    if len(root) != HASH:
        raise ValueError(f"root: {len(root)} bytes, must be {HASH}")
    return sha256(_OBJECT + _DESCRIPTION.pack(kind, length) + root).digest()


def topic_of(oid: bytes) -> bytes:
    """The name under which peers speak of an object to those who may not know its id, 32 bytes."""
    return sha256(_TOPIC + oid).digest()


def cap(oid: bytes, initiator: bool, handshake_hash: bytes) -> bytes:
    """What proves on one connection that a peer knows an id: 32 bytes, to be compared in constant time.

    `initiator` is the role of the peer that sends it, so that a cap can not be sent back as one's own.
    """
    return hmac.digest(oid, _CAP + (b"I" if initiator else b"R") + handshake_hash, "sha256")


@attrs.frozen
class ObjectInfo:
    """What OBJECT says of an object; it may be one that this version does not understand (`fault`).

    Length and root rebuild the id, so the root is as secret as the id and not shown.
    """

    kind: ObjectKind | int = attrs.field(validator=[attrs.validators.ge(0), attrs.validators.lt(2**8)])
    """A number that is no `ObjectKind`: this version does not understand it."""
    length: int = attrs.field(validator=[attrs.validators.ge(0), attrs.validators.lt(2**64)])
    """Bytes of its content: the file, or the manifest."""
    root: bytes = attrs.field(repr=False, validator=[attrs.validators.min_len(HASH), attrs.validators.max_len(HASH)])
    """32 bytes; `NO_ROOT` if the length is 0."""

    @cached_property
    def oid(self) -> bytes:
        """The id, 32 bytes: the right to read the object."""
        return object_id(self.kind, self.length, self.root)

    @cached_property
    def topic(self) -> bytes:
        """The topic, 32 bytes."""
        return topic_of(self.oid)

    @property
    def fault(self) -> str | None:
        """Why there can be no such object in this version of the protocol, or None."""
        if self.kind == ObjectKind.BLOB:
            low, high = 0, MAX_LENGTH
        elif self.kind == ObjectKind.MANIFEST:
            low, high = MIN_MANIFEST_LENGTH, MAX_MANIFEST_LENGTH
        else:
            return f"kind: {self.kind} is unknown"
        if not low <= self.length <= high:
            return f"length: {self.length}, must be {low} to {high} for kind {self.kind}"
        if not self.length and self.root != NO_ROOT:
            return "root: must be 32 zero bytes for length 0"
        return None
