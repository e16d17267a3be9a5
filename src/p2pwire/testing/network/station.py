"""What every host of a `Network` has, whoever drives it: an address, an uplink and a downlink, a clock, connections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from p2pwire.node.address import Endpoint
from p2pwire.testing.carriers import End
from p2pwire.testing.clocks import Clock
from p2pwire.testing.network.uplink import Uplink
from p2pwire.testing.pair import seeded
from p2pwire.wire.messages import Buffer

if TYPE_CHECKING:
    from p2pwire.node.actions import Dial
    from p2pwire.testing.network.network import Network


class Reach(Enum):
    """What others meet when they dial a host."""

    OPEN = "it answers, if it listens"
    SILENT = "a NAT or firewall that drops what it did not expect: a dial is given up after a while"
    REFUSING = "a NAT or firewall that refuses at once"


class Program(Protocol):
    """What runs on a host, as its connections see it: the part of a `Node` that has to do with carriers. Links are the
    program's numbers; `now` is the host's monotonic time."""

    def accepted(self, remote: Endpoint | None, now: float, *, local: Endpoint | None = None) -> int | None:
        """An inbound connection; its link, or None: refuse it."""

    def dial_succeeded(self, dial: int, now: float, *, local: Endpoint | None = None) -> int:
        """A connection that was dialled is there; its link."""

    def dial_failed(self, dial: int, reason: str, now: float) -> None:
        """It could not be made."""

    def receive_data(self, link: int, data: Buffer, now: float) -> None:
        """Bytes came, or b"": the other side has ended its direction."""

    def link_lost(self, link: int, now: float) -> None:
        """The connection broke."""

    def wants_data(self, link: int) -> bool:
        """Whether `receive_data` may be called."""

    def data_to_send(self, link: int, now: float) -> Sequence[Buffer]:
        """What is to be sent, once what was given before has left; nothing: ask again when the host says so."""

    def output_ended(self, link: int) -> bool:
        """Whether nothing more will be sent, so that this direction ends."""


class Station:
    """A host without a mind of its own. `Host` runs a node, `Puppet` is driven by hand."""

    program: Program
    """What runs there now; a new one after each start."""

    def __init__(self, network: Network, name: str, endpoint: Endpoint, *, listens: bool = True) -> None:
        self.network = network
        self.name = name
        self.endpoint = endpoint
        self.listens = listens
        """Whether it takes connections."""
        self.up = False
        self.reach = Reach.OPEN
        """What others meet when they dial it; connections that it has made itself work both ways."""
        self.line = Uplink(network)
        self.downlink: float | None = None
        """Bytes per second that can come to it; None: no limit."""
        self.clock = Clock()
        self.random = seeded(f"{network.seed}/{name}")
        self._ends: dict[int, End] = {}
        self._downlink_free = 0.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def uplink(self) -> float | None:
        """Bytes per second that it can send; None: no limit. All connections share it alike."""
        return self.line.rate

    @uplink.setter
    def uplink(self, rate: float | None) -> None:
        self.line.rate = rate

    @property
    def now(self) -> float:
        """Its monotonic time."""
        return self.clock.monotonic(self.network.now)

    @property
    def unix_time(self) -> float:
        """What it takes for the time of day."""
        return self.clock.unix(self.network.now)

    @property
    def group(self) -> bytes:
        """Its /16 (or /32 of IPv6)."""
        return self.endpoint.group

    def pump(self) -> None:
        """Let the program do what it has to after something came in."""
        raise NotImplementedError

    def links(self) -> int:
        """How many connections it has."""
        return len(self._ends)

    def ends(self) -> Iterable[End]:
        """Its ends of all connections."""
        return list(self._ends.values())

    def begin_link(self, end: End, link: int) -> None:
        """A connection is made on this side."""
        end.link = link
        self._ends[link] = end
        self.pump()
        end.read()

    def dial(self, action: Dial) -> None:
        """Connect to an endpoint, for the program that runs now."""
        self.network.dial(self, action)

    def drop_links(self, *, silently: bool = False) -> None:
        """All connections are gone at once; the others hear of it by resets, or not at all."""
        ends, self._ends = self._ends, {}
        for end in ends.values():
            if silently:
                end.dead = True
            else:
                end.reset()

    def occupy_downlink(self, size: int, at: float) -> float:
        """So many bytes reach the downlink at a time, after all that have before; when the last of them is through."""
        if self.downlink is None:
            return at
        self._downlink_free = max(self._downlink_free, at) + size / self.downlink
        return self._downlink_free
