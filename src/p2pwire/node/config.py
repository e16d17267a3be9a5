"""What a node is told at the start, and what it says of itself when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from p2pwire.connection.config import DEFAULT_SUITES, Extension, Limits, Role, Timeouts
from p2pwire.connection.tap import Tap
from p2pwire.node.address import Endpoint
from p2pwire.node.asking import AskingConfig
from p2pwire.node.dialer import DialLimits
from p2pwire.node.outflow import OutflowConfig
from p2pwire.node.picker import PickerConfig
from p2pwire.node.swarm import Phase
from p2pwire.node.uploads import UploadConfig
from p2pwire.wire.registry import MAX_INBOUND

USELESS_AFTER = 120.0
"""seconds without an open topic after which a link that is of no more use is closed: one refusal and one more try."""


@attrs.frozen
class NodeConfig:
    """What a node is told at the start. Every default that SPEC.md names is that of SPEC.md."""

    agent: str = "p2pwire-python"
    suites: tuple[int, ...] = DEFAULT_SUITES
    psk: bytes | None = attrs.field(default=None, repr=False)
    """The key of a private network (`p2pwire.crypto.noise.derive_psk`)."""
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    dialling: DialLimits = DialLimits()
    uploads: UploadConfig = UploadConfig()
    max_inbound: int = attrs.field(default=MAX_INBOUND, validator=attrs.validators.ge(1))
    """Inbound links."""
    asking: AskingConfig = AskingConfig()
    outflow: OutflowConfig = OutflowConfig()
    picker: PickerConfig = PickerConfig()
    useless_after: float = USELESS_AFTER
    """Seconds."""
    extensions: tuple[Extension, ...] = ()
    tap: Callable[[Role, Endpoint | None], Tap] | None = attrs.field(default=None, repr=False)
    """Called with this side's role and the other's address as a link begins; the result hears the link [PV-012]."""
    grease: bytes | None = None
    """For all links; None: as each link draws it."""


@attrs.frozen
class Progress:
    """How far a resource is. Sizes are content bytes."""

    phase: Phase
    done: int
    total: int | None
    """None until the layout is known."""
    sources: Mapping[bytes, int]
    """identity -> bytes that came from it in this process."""
    peers: int
    """Links on which the topic is open."""


@attrs.frozen
class PeerInfo:
    """One established link."""

    link: int
    identity: bytes
    endpoint: Endpoint | None
    outbound: bool
    agent: str
    learned_from: bytes | None
    bytes_sent: int
    """Of content."""
    bytes_received: int
    """Of content, verified."""
