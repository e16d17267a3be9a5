"""What a node knows of one of its links, beside the `Connection` itself."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final

import attrs

from p2pwire.connection.budget import TokenBucket
from p2pwire.connection.connection import Connection
from p2pwire.connection.state import LinkState
from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.dialqueue import DialTarget
from p2pwire.node.exchange import ExchangeLink
from p2pwire.node.flights import PickedRequest
from p2pwire.node.picker import Picker
from p2pwire.node.serving import Chunk, Serving
from p2pwire.node.swarm import Swarm
from p2pwire.wire.registry import CONTROL_BURST, CONTROL_BYTES_BURST, CONTROL_BYTES_RATE, CONTROL_RATE, Suite

_OPEN: Final = LinkState.OPEN


@attrs.frozen(eq=False)
class Attempt:
    """A dial."""

    target: DialTarget
    grease: bytes
    """What the GREASE of its handshakes is made from."""
    suite: Suite | None = None
    """The suite of the one further attempt after USE_SUITE."""


@attrs.define(eq=False)
class Asked:
    """An own request that has not ended, and for what it was picked."""

    swarm: Swarm
    picker: Picker
    """Of that time: when the swarm has another one, or none, the blocks are of no use any more."""
    picked: PickedRequest
    cancelled: bool = False


@attrs.define(eq=False)
class Reading:
    """Blocks of one request that are read for a link, and then wait for room in the connection's queue."""

    chunk: Chunk
    data: memoryview | None = None
    """None until they are read."""
    sent: int = 0
    """Blocks handed to the connection."""


ALLOWANCE_STEP: Final = 0.02
"""seconds by which the allowance is looked at late rather than early, so that rounding can not wake anyone twice."""


def control_allowance(now: float) -> TokenBucket:
    """Half of what the other side grants in control frames, so that an honest peer never floods [KA-023]."""
    return TokenBucket(CONTROL_RATE / 2, CONTROL_BURST / 2, now)


def extension_allowance(now: float) -> TokenBucket:
    """Half of what the other side grants in bytes of control frames, of which extensions alone need many [KA-023]."""
    return TokenBucket(CONTROL_BYTES_RATE / 2, CONTROL_BYTES_BURST / 2, now)


@attrs.define(eq=False)
class Link:
    """One link of a node. Ordinals tell what came first: a later event of the node has a higher one."""

    id: int
    connection: Connection
    outbound: bool
    remote: Endpoint | None
    """None for a stream of the caller's own without an IP address."""
    control: TokenBucket
    """Counted control frames that may be sent."""
    extensions: TokenBucket
    """Bytes of extensions' frames that may be sent."""

    opened_at: float = 0.0
    """When the carrier was there."""

    # How it came about.
    attempt: Attempt | None = None
    """The dial that it came of; None for other links."""
    given: bool = False
    """A stream of the caller's own: good for all topics."""
    scope: Scope | None = None
    """How far the far end is from here, as the caller says; None: as `remote` says."""
    learned_from: bytes | None = None
    """The peer that named the address; None if no peer did."""
    wanted_suite: Suite | None = None
    """The suite that the responder wants, after a refusal."""

    # Where it stands.
    identity: bytes = b""
    """Known from the handshake on."""
    agent: str = ""
    offered_at: int = 0
    """Ordinal of the other side's message 1."""
    established_at: int = 0
    """Ordinal of HELLO; 0 before."""
    announced: bool = False
    """`PeerConnected` was told."""
    over: bool = False
    """`Closed` has been seen."""
    broken: bool = False
    """The carrier is gone: nothing can be sent."""
    exchange: ExchangeLink | None = None
    idle_since: float = inf
    """Since when no topic has been open on the established link."""
    alarm_at: float = inf
    """When the node looks at it again."""

    # Topics.
    wanted: dict[bytes, None] = attrs.field(factory=dict)
    """For which this link may be used unasked [TP-017]."""
    waiting: dict[bytes, None] = attrs.field(factory=dict)
    """Of these, those to be joined as soon as that may be."""
    joining: dict[bytes, None] = attrs.field(factory=dict)
    """JOIN went out, and is not answered."""
    sought: dict[bytes, None] = attrs.field(factory=dict)
    """Those joined at this side's wish: asked for, or open."""
    topics: dict[bytes, Swarm] = attrs.field(factory=dict)
    """Open."""
    spent: dict[bytes, None] = attrs.field(factory=dict)
    """Of these, those of which both sides have everything."""
    quiet: frozenset[bytes] = frozenset()
    """Of these, those in which neither side wanted anything when they were last looked at."""
    look_at: float = -inf
    """When they are looked at again, if others wait."""
    refused: dict[bytes, float] = attrs.field(factory=dict)
    """topic -> when it may be joined again [TP-018]; the earliest comes first."""

    # Fetching.
    hungry: dict[bytes, Swarm] = attrs.field(factory=dict)
    """Topics in which there may be something to ask for, in turn."""
    interested: dict[bytes, None] = attrs.field(factory=dict)
    """Topics in which INTEREST is on."""
    sated: dict[bytes, Swarm] = attrs.field(factory=dict)
    """Of these, those in which it is to be turned off."""
    asked: dict[int, Asked] = attrs.field(factory=dict)
    """Request id -> own request that has not ended."""
    numbers: dict[PickedRequest, int] = attrs.field(factory=dict)
    """The same the other way round."""
    window: int = 1
    """Blocks that may be asked of it and not have come, as quickly as it answers."""
    answered: bool = False
    """Whether a block has ever come."""
    delay: float = 0.0
    """Seconds from the carrier to HELLO: no less than a round trip."""
    in_flight: int = 0
    """Blocks that are requested and have not come."""
    quiet_until: float = 0.0
    """No requests before: the other side said BUSY or CHOKED; infinite while it is snubbed."""
    unwritten: int = 0
    """Verified blocks of this link that wait for the disk."""
    stalled: bool = False
    """Nothing is processed: too many verified blocks of this link wait for the disk [FC-033]."""
    asked_to_read: bool = True
    """Whether the adapter may be reading."""
    bytes_received: int = 0
    """Content bytes, verified."""
    _last_request: int = 0

    # Serving.
    untold: dict[bytes, list[tuple[int, int]]] = attrs.field(factory=dict)
    """topic -> units that are to be announced."""
    tells: bool = False
    """Whether that is to happen as soon as there is room; else it may wait."""
    serving: Serving = attrs.field(factory=Serving)
    """What the other side asked for."""
    readings: deque[Reading] = attrs.field(factory=deque)
    """What is read for it, in the order of sending."""
    reads: int = 0
    """Reads that the disk has not answered, those for requests that are over included."""
    interests: dict[bytes, None] = attrs.field(factory=dict)
    """Topics of which the other side wants something."""
    peers_due: bool = False
    """PEERS wait for room in the connection's queue."""
    transmitting: bool = False
    """The adapter has been told that there is something to send."""
    bytes_sent: int = 0
    """Content bytes."""

    def __repr__(self) -> str:
        return f"<Link {self.id} {self.connection.state.name}>"

    @property
    def established(self) -> bool:
        """Whether frames of topics may flow."""
        return self.established_at > 0 and self.connection.state is _OPEN

    @property
    def group(self) -> bytes:
        """What counts as one operator's: a /16 or /32; all carriers without IP addresses are one group."""
        return b"" if self.remote is None else self.remote.group

    def may_say(self, cost: int, now: float) -> bool:
        """Whether so many counted control frames are within the allowance."""
        self.control.take(0, now)
        return self.control.tokens >= cost

    def may_say_at(self, cost: int, now: float) -> float:
        """When that will be so; infinity if it is now."""
        if self.may_say(cost, now):
            return inf
        return now + (cost - self.control.tokens) / self.control.rate + ALLOWANCE_STEP

    def request_id(self) -> int:
        """A fresh id for a request [TR-030]."""
        while True:
            self._last_request = (self._last_request + 1) & 0xFFFFFFFF
            if self._last_request not in self.asked:
                return self._last_request
