"""The network itself: virtual time, the ways between hosts, and what goes wrong on them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from itertools import count
from typing import Final

from p2pwire.node import actions as act
from p2pwire.node.address import Endpoint
from p2pwire.node.node import NodeConfig
from p2pwire.testing.carriers import End, Pipe
from p2pwire.testing.clocks import START, Clock
from p2pwire.testing.network.host import Host
from p2pwire.testing.network.puppet import Puppet
from p2pwire.testing.network.station import Program, Reach, Station
from p2pwire.testing.pair import seeded
from p2pwire.testing.ways import Way

PORT: Final = 7000
"""The port on which hosts listen unless told otherwise."""

WINDOW: Final = 262144
"""bytes of one direction of a connection that may be sent and not read."""

CONNECT_TIMEOUT: Final = 10.0
"""seconds after which a dial is given up that nobody answers."""

GROUPS: Final = 89 * 256
"""groups of addresses that `address` knows: the /16s from 11.0 to 99.255, all of which are global."""

GROUP_HOSTS: Final = 65534
"""hosts in one of them."""


class Network:
    """Hosts, virtual time, and what lies between them. Times are in seconds."""

    def __init__(
        self, seed: str = "0", *, latency: float = 0.02, window: int = WINDOW, keeps_events: bool = True
    ) -> None:
        self.seed = seed
        self.usual = Way(latency)
        """The way between two hosts of which nothing else is said."""
        self.window = window
        """Bytes of one direction of a connection that may be sent and not read."""
        self.keeps_events = keeps_events
        """Whether hosts keep what their nodes tell in `Host.events`."""
        self.watch: Callable[[Host], None] | None = None
        """Called whenever a host's node has been given something and has come to rest: for checks of what holds."""
        self.now = 0.0
        self.hosts: dict[Endpoint, Station] = {}
        self.random = seeded(f"{seed}/network")
        self._order = count()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sides: dict[Station, int] = {}
        self._held: dict[Pipe, None] = {}
        self._ways: dict[tuple[Station, Station], Way] = {}
        self._trace = sha256()

    @property
    def unix_time(self) -> float:
        """The right time of day."""
        return START + self.now

    @property
    def latency(self) -> float:
        """Of every way of which nothing else is said, in one direction."""
        return self.usual.latency

    @property
    def trace(self) -> str:
        """A digest of all that has arrived anywhere, and when: equal for two runs that were the same."""
        return self._trace.hexdigest()

    # --- hosts ---

    def host(
        self,
        name: str,
        ip: str,
        config: NodeConfig | None = None,
        *,
        port: int = PORT,
        listens: bool = True,
        record: bool = True,
        clock: Clock | None = None,
    ) -> Host:
        """A new host with a node, running. Raises `ValueError` if the address is taken."""
        endpoint = self._free(ip, port)
        host = Host(self, name, endpoint, config or NodeConfig(), listens=listens, record=record, clock=clock)
        self.hosts[endpoint] = host
        return host

    def puppet(self, name: str, ip: str, *, port: int = PORT, listens: bool = True) -> Puppet:
        """A new host that is driven by hand. Raises `ValueError` if the address is taken."""
        endpoint = self._free(ip, port)
        puppet = Puppet(self, name, endpoint, listens=listens)
        self.hosts[endpoint] = puppet
        return puppet

    def _free(self, ip: str, port: int) -> Endpoint:
        endpoint = Endpoint.parse(ip, port)
        if endpoint in self.hosts:
            raise ValueError(f"{endpoint} is taken by {self.hosts[endpoint].name}")
        return endpoint

    # --- time ---

    def at(self, when: float, work: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._queue, (max(when, self.now), next(self._order), work))

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something in a while."""
        self.at(self.now + seconds, work)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time go by; True as soon as `until` holds."""
        end = self.now + seconds
        while not until():
            if not self._queue or self._queue[0][0] > end:
                self.now = end
                return until()
            self.now, _, work = heapq.heappop(self._queue)
            work()
        return True

    # --- the ways ---

    def set_way(self, one: Station, other: Station, way: Way, back: Way | None = None) -> None:
        """What lies between two hosts, and on the way back (None: the same). It counts for what is sent from now on."""
        self._ways[one, other] = way
        self._ways[other, one] = way if back is None else back

    def way(self, one: Station, other: Station) -> Way:
        """What lies between two hosts."""
        return self._ways.get((one, other), self.usual) if self._ways else self.usual

    # --- what goes wrong ---

    def partition(self, *groups: Iterable[Station]) -> None:
        """Nothing passes between these groups, nor between them and the rest; it waits for `heal`."""
        self._sides = {host: number for number, group in enumerate(groups, 1) for host in group}

    def heal(self) -> None:
        """Everything passes again, and first what has waited."""
        self._sides = {}
        held, self._held = self._held, {}
        for pipe in held:
            self.after(self.way(pipe.source.host, pipe.target.host).latency, partial(self._release, pipe))

    def joined(self, one: Station, other: Station) -> bool:
        """Whether the two can reach each other now."""
        return not self._sides or self._sides.get(one, 0) == self._sides.get(other, 0)

    def cut(self, one: Station, other: Station) -> int:
        """Break all connections between two hosts; how many there were."""
        found = self._between(one, other)
        for end in found:
            end.lose()
            end.out.target.lose()
        return len(found)

    def half_open(self, one: Station, other: Station) -> int:
        """Break all connections between two hosts, of which the second one does not hear: it finds out when it sends
        something, and is answered with a reset. How many there were."""
        found = self._between(one, other)
        for end in found:
            end.lose()
        return len(found)

    def connections(self, one: Station, other: Station) -> int:
        """How many connections there are between two hosts."""
        return len(self._between(one, other))

    def _between(self, one: Station, other: Station) -> list[End]:
        return [end for end in one.ends() if end.out.target.host is other and not end.dead]

    # --- carrying ---

    def carry(self, pipe: Pipe, piece: bytes | None) -> None:
        """Carry a segment that has left the source, or None for a reset."""
        way = self.way(pipe.source.host, pipe.target.host)
        if piece and way.breaks(self.random):
            self.after(way.latency, lambda: self._break(pipe))
        else:
            # In order: no segment overtakes the one before it.
            there = max(self.now + way.delay(self.random), pipe.last_arrival)
            pipe.last_arrival = pipe.target.host.occupy_downlink(len(piece or b""), there)
            self.at(pipe.last_arrival, lambda: self._arrive(pipe, piece))

    def _break(self, pipe: Pipe) -> None:
        pipe.source.lose()
        pipe.target.lose()

    def _arrive(self, pipe: Pipe, piece: bytes | None) -> None:
        if pipe.held or not self.joined(pipe.source.host, pipe.target.host):
            pipe.held.append(piece)
            self._held[pipe] = None
            return
        names = f"{self.now.hex()} {pipe.source.host.name} {pipe.target.host.name} "
        self._trace.update(names.encode() + (b"reset" if piece is None else piece))
        pipe.arrive(piece)

    def _release(self, pipe: Pipe) -> None:
        held, pipe.held = list(pipe.held), type(pipe.held)()
        for piece in held:
            self._arrive(pipe, piece)

    def dial(self, host: Station, action: act.Dial) -> None:
        """Connect a host to an endpoint."""
        target = self.hosts.get(action.endpoint)
        latency = self.latency if target is None else self.way(host, target).latency
        self.after(latency, partial(self._reach, host, host.program, action))

    def _reach(self, host: Station, program: Program, action: act.Dial) -> None:
        target = self.hosts.get(action.endpoint)
        if target is None:
            self.after(self.latency, lambda: self._refuse(host, program, action, "refused"))
            return
        latency = self.way(target, host).latency
        if not self.joined(host, target) or (target.reach is Reach.SILENT and host is not target):
            self.after(CONNECT_TIMEOUT, lambda: self._refuse(host, program, action, "no answer in time"))
            return
        accepted = None
        if target.up and target.listens and target.reach is Reach.OPEN:
            source = Endpoint(host.endpoint.ip, 40000 + next(self._order) % 20000)
            accepted = target.program.accepted(source, target.now, local=target.endpoint)
            target.pump()
        if accepted is None:
            self.after(latency, lambda: self._refuse(host, program, action, "refused"))
            return
        near, far = End(host, program), End(target, target.program)
        near.out = far.arriving = Pipe(self, near, far)
        far.out = near.arriving = Pipe(self, far, near)
        target.begin_link(far, accepted)
        self.after(latency, lambda: self._connect(near, action))

    def _connect(self, near: End, action: act.Dial) -> None:
        host = near.host
        if host.program is not near.program or not host.up:
            near.reset()
            return
        host.begin_link(near, near.program.dial_succeeded(action.dial, host.now, local=host.endpoint))

    def _refuse(self, host: Station, program: Program, action: act.Dial, reason: str) -> None:
        if host.program is program and host.up:
            program.dial_failed(action.dial, reason, host.now)
            host.pump()


def address(number: int, group: int | None = None) -> str:
    """A global IPv4 address for the host of a number: in a /16 of its own, or in that of `group`.

    The same for the same arguments. Raises `ValueError` for a number or group that is too large.
    """
    place, within = (number, 1) if group is None else (group, number + 1)
    if not 0 <= place < GROUPS:
        raise ValueError(f"group is {place}, must be 0 to {GROUPS - 1}")
    if not 0 < within <= GROUP_HOSTS:
        raise ValueError(f"number is {number}, must be 0 to {GROUP_HOSTS - 1} in one group")
    return f"{11 + place // 256}.{place % 256}.{within // 256}.{within % 256}"
