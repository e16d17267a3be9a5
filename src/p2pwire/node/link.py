"""What a node knows of one of its links, beside the `Connection` itself."""

from __future__ import annotations

from collections import deque

import attrs

from p2pwire.connection.connection import Connection
from p2pwire.node.address import Endpoint


@attrs.define(eq=False)
class ReadyBlock:
    """A block that was read and waits for room in the connection's queue."""

    request: int
    siblings: tuple[bytes, ...]
    data: memoryview
    last: bool


@attrs.define(eq=False)
class Link:
    """One link of a node. Times are ordinals: a later event of the node has a higher number."""

    id: int
    connection: Connection
    outbound: bool
    remote: Endpoint | None
    """None for a stream of the caller's own."""
    dial: int | None = None
    wanted: frozenset[bytes] = frozenset()
    """Topics for which this link was made."""
    topics: dict[bytes, None] = attrs.field(factory=dict)
    """Topics that are open, in the order in which they are asked for blocks."""
    untold: dict[bytes, list[tuple[int, int]]] = attrs.field(factory=dict)
    """topic -> units that are to be announced."""
    learned_from: bytes | None = None
    identity: bytes = b""
    """Known from the handshake on."""
    agent: str = ""
    offered_at: int = 0
    """When the other side's message 1 had come."""
    established_at: int = 0
    """When HELLO had come; 0 before."""
    over: bool = False
    """`Closed` has been seen."""
    hung_up: bool = False
    """The adapter has been asked to close the carrier."""
    transmitting: bool = False
    """The adapter has been told that there is something to send."""
    stalled: bool = False
    """Nothing is read: too many verified blocks of this link wait for the disk."""
    asked_to_read: bool = True
    """Whether the adapter may be reading."""
    unwritten: int = 0
    """Verified blocks of this link that wait for the disk."""
    next_request: int = 0
    in_flight: int = 0
    """Blocks that are requested and have not come."""
    quiet_until: float = 0.0
    """No requests before: the other side said BUSY or CHOKED, or is snubbed."""
    ready: deque[ReadyBlock] = attrs.field(factory=deque)
    ready_bytes: int = 0
    reading: int = 0
    """Bytes that are being read from the disk for this link."""
    bytes_sent: int = 0
    """Content bytes."""
    bytes_received: int = 0
    """Content bytes, verified."""

    @property
    def established(self) -> bool:
        """Whether frames of topics may flow."""
        return self.established_at > 0 and not self.over

    def request_id(self) -> int:
        """A fresh id for a request."""
        self.next_request = (self.next_request + 1) & 0xFFFFFFFF
        return self.next_request
