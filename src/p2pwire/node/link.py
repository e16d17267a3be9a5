"""What a node knows of one of its links, beside the `Connection` itself."""

from __future__ import annotations

from collections import deque

import attrs

from p2pwire.connection.connection import Connection
from p2pwire.node.address import Endpoint
from p2pwire.node.dialqueue import DialTarget
from p2pwire.node.exchange import ExchangeLink
from p2pwire.node.serving import InboundRequest, Serving
from p2pwire.wire.registry import Suite


@attrs.frozen(eq=False)
class Attempt:
    """A dial."""

    target: DialTarget
    grease: bytes
    """What the GREASE of its handshakes is made from."""
    suite: Suite | None = None
    """The suite of the one further attempt after USE_SUITE."""


@attrs.define(eq=False)
class ReadyBlock:
    """A block that was read and waits for room in the connection's queue."""

    request: InboundRequest
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
    attempt: Attempt | None = None
    """The dial that it came of; None for other links."""
    wanted_suite: Suite | None = None
    """The suite that the responder wants, after a refusal."""
    wanted: frozenset[bytes] = frozenset()
    """Topics for which this link was made."""
    refused: dict[bytes, float] = attrs.field(factory=dict)
    """topic -> when it may be joined again after a REFUSE."""
    exchange: ExchangeLink | None = None
    reported: bool = False
    """The dialer counts it as a link."""
    counted: bool = False
    """It counts against further links to its identity."""
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
    serving: Serving = attrs.field(factory=Serving)
    """What the other side asked for."""
    ready: deque[ReadyBlock] = attrs.field(factory=deque)
    """Blocks that wait for room in the connection's queue, in the order of sending."""
    interests: set[bytes] = attrs.field(factory=set)
    """Topics of which the other side wants something."""
    broken: bool = False
    """The carrier is gone: nothing can be sent."""
    bytes_sent: int = 0
    """Content bytes."""
    bytes_received: int = 0
    """Content bytes, verified."""

    @property
    def established(self) -> bool:
        """Whether frames of topics may flow."""
        return self.established_at > 0 and not self.over

    @property
    def handshake_group(self) -> bytes:
        """What shares one allowance of half-open links."""
        return b"" if self.remote is None else self.remote.handshake_group

    @property
    def useless(self) -> bool:
        """Established, and no topic is open."""
        return self.established and not self.topics

    def request_id(self) -> int:
        """A fresh id for a request."""
        self.next_request = (self.next_request + 1) & 0xFFFFFFFF
        return self.next_request
