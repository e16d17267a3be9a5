"""Hosts that are driven by hand: bytes in, bytes out, whatever the protocol says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from p2pwire.node import actions as act
from p2pwire.node.address import Endpoint
from p2pwire.testing.network.station import Station
from p2pwire.wire.messages import Buffer

if TYPE_CHECKING:
    from p2pwire.testing.network.network import Network


class Wire:
    """A connection of a `Puppet`. Set `on_data` and `on_end` to be called, or look at the rest."""

    def __init__(self, puppet: Puppet, link: int, remote: Endpoint, *, outbound: bool) -> None:
        self.puppet = puppet
        self.link = link
        self.remote = remote
        """The other end, as this one sees it."""
        self.outbound = outbound
        self.open = not outbound
        """Whether the connection is made, on this side; bytes that are given before wait for that."""
        self.over = False
        """It is broken, or could not be made."""
        self.ended = False
        """The other side has ended its direction."""
        self.received = bytearray()
        """What came; the reader takes out what it has used."""
        self.reads = True
        """Whether bytes are taken from the network: False fills the window, as a slow reader does. See `resume`."""
        self.sent = 0
        """Bytes that the network has taken."""
        self.on_open: Callable[[], None] = lambda: None
        self.on_data: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None
        self._unsent: list[bytes] = []
        self._ending = False

    def send(self, data: bytes) -> None:
        """Send bytes, after those before."""
        if data and not self.over:
            self._unsent.append(data)
            self.puppet.write(self.link)

    def end(self) -> None:
        """End this direction when all is sent."""
        self._ending = True
        self.puppet.write(self.link)

    def reset(self) -> None:
        """Break the connection at once; the other side hears of it."""
        self.over = True
        self.puppet.reset(self.link)

    def resume(self) -> None:
        """Read again."""
        self.reads = True
        self.puppet.read(self.link)

    def take(self) -> Sequence[Buffer]:
        """What is to be sent now."""
        taken, self._unsent = self._unsent, []
        self.sent += sum(map(len, taken))
        return taken

    @property
    def last_arrival(self) -> float:
        """When the last bytes came, whether they were taken or not; 0 if there is no connection."""
        return self.puppet.last_arrival(self.link)

    @property
    def waiting(self) -> bool:
        """Whether the network has not asked for all that was given: the window is full, or the uplink busy."""
        return bool(self._unsent)

    @property
    def ending(self) -> bool:
        """Whether nothing more will be sent."""
        return self.over or (self._ending and not self._unsent)


class _Hands:
    """A `Program` that hands everything to the wires of a puppet."""

    def __init__(self, puppet: Puppet) -> None:
        self._puppet = puppet

    def accepted(self, remote: Endpoint | None, now: float, *, local: Endpoint | None = None) -> int | None:
        assert remote is not None
        return self._puppet.welcome(remote)

    def dial_succeeded(self, dial: int, now: float, *, local: Endpoint | None = None) -> int:
        wire = self._puppet.wires[dial]
        wire.open = True
        wire.on_open()
        return dial

    def dial_failed(self, dial: int, reason: str, now: float) -> None:
        self.link_lost(dial, now)

    def receive_data(self, link: int, data: Buffer, now: float) -> None:
        wire = self._puppet.wires[link]
        if data:
            wire.received += data
            wire.on_data()
        else:
            wire.ended = True
            wire.on_end()

    def link_lost(self, link: int, now: float) -> None:
        wire = self._puppet.wires[link]
        wire.over = True
        wire.on_end()

    def wants_data(self, link: int) -> bool:
        return self._puppet.wires[link].reads

    def data_to_send(self, link: int, now: float) -> Sequence[Buffer]:
        return self._puppet.wires[link].take()

    def output_ended(self, link: int) -> bool:
        return self._puppet.wires[link].ending


class Puppet(Station):
    """A host of which a test writes every byte. Made by `Network.puppet`.

    `connect` dials; `on_connect` is called with each connection that others make, and refuses them unless it is set.
    What it is to say can be made of raw bytes, by a `Speaker` (frames by hand), or by a `Connection`.
    """

    def __init__(self, network: Network, name: str, endpoint: Endpoint, *, listens: bool = True) -> None:
        super().__init__(network, name, endpoint, listens=listens)
        self.program = _Hands(self)
        self.up = True
        self.wires: dict[int, Wire] = {}
        """All connections that there ever were, by number."""
        self.on_connect: Callable[[Wire], None] | None = None

    def pump(self) -> None:
        """Send what was given before a connection was there."""
        for end in self.ends():
            end.out.write()

    def connect(self, target: Station | Endpoint) -> Wire:
        """Dial; the wire is `open` after a round trip, or `over`."""
        endpoint = target.endpoint if isinstance(target, Station) else target
        number = len(self.wires) + 1
        wire = self.wires[number] = Wire(self, number, endpoint, outbound=True)
        self.dial(act.Dial(number, endpoint))
        return wire

    def welcome(self, remote: Endpoint) -> int | None:
        """Somebody connects; the wire's number, or None to refuse."""
        if self.on_connect is None:
            return None
        number = len(self.wires) + 1
        wire = self.wires[number] = Wire(self, number, remote, outbound=False)
        self.on_connect(wire)
        return number

    def write(self, link: int) -> None:
        """A wire has something to send."""
        end = self._ends.get(link)
        if end is not None:
            end.out.write()

    def read(self, link: int) -> None:
        """A wire reads again."""
        end = self._ends.get(link)
        if end is not None:
            end.read()

    def last_arrival(self, link: int) -> float:
        """When the last bytes came on a wire."""
        end = self._ends.get(link)
        return 0.0 if end is None else end.arriving.last_arrival

    def reset(self, link: int) -> None:
        """Break a connection."""
        end = self._ends.pop(link, None)
        if end is not None and not end.dead:
            end.reset()
