"""Nodes joined by a network in memory, on virtual time: the same seed gives the same run, byte for byte.

    >>> from p2pwire.storage.memory import share_bytes
    >>> from p2pwire.testing.network import Network
    >>> network = Network("a seed", latency=0.05)
    >>> bob, alice = network.host("bob", "1.2.0.1"), network.host("alice", "1.3.0.1")
    >>> content = share_bytes(b"hello" * 10_000)
    >>> topic = bob.share(content)
    >>> topic == alice.fetch(content, bob)
    True
    >>> network.run(60, until=lambda: alice.complete(topic))
    True
    >>> alice.content(topic) == b"hello" * 10_000
    True

Hosts crash and come back with their disks, lose their connections, and find themselves on different sides of a
partition; uplinks and disks are as slow as they are told to be. `Network.trace` says whether two runs were the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from itertools import count
from typing import Final

from p2pwire.content.units import BlockMap
from p2pwire.crypto.identity import Identity
from p2pwire.node import actions as act
from p2pwire.node.address import Endpoint
from p2pwire.node.events import FetchComplete, FetchFailed, NodeEvent
from p2pwire.node.node import Node, NodeConfig
from p2pwire.node.swarm import Resource
from p2pwire.storage.interface import Shared
from p2pwire.testing.carriers import End, Pipe
from p2pwire.testing.disks import Disk
from p2pwire.testing.pair import seeded

PORT: Final = 7000
"""The port on which hosts listen unless told otherwise."""

START: Final = 1_800_000_000.0
"""Unix time at which every network begins."""

WINDOW: Final = 262144
"""bytes of one direction of a connection that may be sent and not read."""

CONNECT_TIMEOUT: Final = 10.0
"""seconds after which a dial is given up that nobody answers."""


class Host:
    """One peer of a network. It runs from the beginning; made by `Network.host`."""

    def __init__(self, network: Network, name: str, endpoint: Endpoint, config: NodeConfig, *, listens: bool) -> None:
        self.network = network
        self.name = name
        self.endpoint = endpoint
        self.config = config
        self.listens = listens
        """Whether it takes connections; one that does not has no record of its own."""
        self.uplink: float | None = None
        """Bytes per second that it can send; None: no limit."""
        self.disk = Disk()
        self.up = False
        self.node: Node
        """A new one after each start."""
        self.identity: bytes
        self.events: list[NodeEvent] = []
        """Everything that its nodes told, in order."""
        self._completed: dict[bytes, None] = {}
        self._failed: dict[bytes, Exception] = {}
        self._shares: dict[bytes, Shared] = {}
        self._fetches: dict[bytes, tuple[bytes, tuple[Endpoint, ...], bool]] = {}
        self._ends: dict[int, End] = {}
        self._uplink_free = 0.0
        self._timer: float | None = None
        self._random = seeded(f"{network.seed}/{name}")
        self._seed = self._random(32)
        self._in_hand: dict[int, act.DiskAction] = {}
        self.start()

    def __repr__(self) -> str:
        return f"<Host {self.name}>"

    # --- life ---

    def start(self, *, identity: Identity | None = None) -> None:
        """Run, again perhaps: what was shared and fetched goes on. The identity stays unless another one is given."""
        if self.up:
            raise ValueError(f"{self.name} is up")
        network = self.network
        own = identity or Identity.from_seed(self._seed)
        self.identity = own.public
        self.node = Node(own, self.config, now=network.now, unix_time=network.unix_time, random=self._random)
        self.up = True
        self._ends = {}
        self._timer = None
        if self.listens:
            self.node.set_listening([self.endpoint], network.now, network.unix_time)
        for content in self._shares.values():
            self._share(content)
        for topic, (oid, peers, sequential) in self._fetches.items():
            self._completed.pop(topic, None)
            self.node.fetch(oid, network.now, peers=peers, sequential=sequential)
        self.pump()

    def crash(self, *, silently: bool = False) -> None:
        """Die at once. The others' systems hear of it by resets, or, if the power failed, not at all."""
        self.up = False
        for action in self._in_hand.values():
            self.disk.tear(action, self._random(1)[0] / 256)
        self._in_hand = {}
        self.disk.close_all()
        ends, self._ends = self._ends, {}
        for end in ends.values():
            if silently:
                end.dead = True
            else:
                end.reset()

    def stop(self, *, within: float = 10.0) -> None:
        """Say SHUTDOWN on all links, let it reach the others, and end. Time goes by."""
        self.node.close(self.network.now)
        self.pump()
        self.network.run(within, until=lambda: not self._ends)
        self.crash()

    # --- what it shares and fetches ---

    def share(self, content: Shared) -> bytes:
        """Share content (`p2pwire.storage.memory.share_bytes`, `share_folder`), whatever happens; its topic."""
        self._shares[content.info.topic] = content
        self._share(content)
        self.pump()
        return content.info.topic

    def _share(self, content: Shared) -> None:
        self.disk.keep(content)
        held = BlockMap(content.held.total)  # a copy, since the node takes it over
        for first, last in content.held.spans():
            held.add_span(first, last)
        self.node.share(Resource(content.info, content.manifest, content.trees, held), self.network.now)

    def fetch(self, what: bytes | Shared, *peers: Host | Endpoint, sequential: bool = False) -> bytes:
        """Fetch an object, of which the id is given or the content that another host shares; its topic."""
        oid = what if isinstance(what, bytes) else what.info.oid
        endpoints = tuple(peer.endpoint if isinstance(peer, Host) else peer for peer in peers)
        topic = self.node.fetch(oid, self.network.now, peers=endpoints, sequential=sequential)
        self._fetches[topic] = (oid, endpoints, sequential)
        self.pump()
        return topic

    def forget(self, topic: bytes) -> None:
        """Share or fetch it no longer; what is on the disk stays there."""
        self._shares.pop(topic, None)
        self._fetches.pop(topic, None)
        self._completed.pop(topic, None)
        self._failed.pop(topic, None)
        self.node.forget(topic, self.network.now)
        self.disk.close(topic)
        self.pump()

    def complete(self, topic: bytes) -> bool:
        """Whether a fetch has ended well, since the last start."""
        return topic in self._completed

    def failure(self, topic: bytes) -> Exception | None:
        """What ended a fetch."""
        return self._failed.get(topic)

    def content(self, topic: bytes) -> bytes | dict[str, bytes | None] | None:
        """What a fetch brought: a blob's bytes, or a folder's by path, None for an empty directory. None: not yet."""
        return self.disk.finished(topic)

    def links(self) -> int:
        """How many connections it has."""
        return len(self._ends)

    # --- driving the node ---

    def pump(self) -> None:
        """Do what the node wants, hear what it tells, and set its timer."""
        node = self.node
        while (action := node.next_action()) is not None:
            self._perform(action)
        while (event := node.next_event()) is not None:
            self._hear(event)
        due = node.next_timeout()
        if due is not None and (self._timer is None or due < self._timer):
            self._timer = due
            self.network.at(due, lambda: self._on_timer(node, due))

    def _hear(self, event: NodeEvent) -> None:
        self.events.append(event)
        if isinstance(event, FetchComplete):
            self._completed[event.topic] = None
        elif isinstance(event, FetchFailed):
            self._failed[event.topic] = event.error

    def _on_timer(self, node: Node, due: float) -> None:
        if self.up and node is self.node and due == self._timer:
            self._timer = None
            node.handle_timeout(self.network.now, self.network.unix_time)
            self.pump()

    def _perform(self, action: act.Action) -> None:
        match action:
            case act.Dial():
                self.network.dial(self, action)
            case act.Transmit():
                end = self._ends.get(action.link)
                if end is not None:
                    end.out.write()
            case act.ResumeReading():
                end = self._ends.get(action.link)
                if end is not None:
                    self.network.at(self.network.now, end.read)
            case act.HangUp():
                end = self._ends.pop(action.link, None)
                if end is not None:
                    end.hang_up()
            case _:
                self._begin_work(action)

    def _begin_work(self, action: act.DiskAction) -> None:
        self._in_hand[action.ticket] = action
        node, took = self.node, self.disk.delay
        if self.disk.jitter:
            took += self.disk.jitter * self._random(1)[0] / 255
        self.network.after(took, lambda: self._end_work(node, action))

    def _end_work(self, node: Node, action: act.DiskAction) -> None:
        if node is not self.node or not self.up:
            return
        del self._in_hand[action.ticket]
        try:
            fault = self.disk.fault(action)
            if fault is not None:
                raise fault
            result = self.disk.work(action)
        except Exception as error:
            node.disk_failed(action.ticket, error, self.network.now)
        else:
            node.disk_done(action.ticket, result, self.network.now)
        self.pump()

    # --- connections ---

    def begin_link(self, end: End, link: int) -> None:
        """A connection is made on this side."""
        end.link = link
        self._ends[link] = end
        self.pump()
        end.read()

    def ends(self) -> Iterable[End]:
        """Its ends of all connections."""
        return list(self._ends.values())

    def occupy_uplink(self, size: int) -> float:
        """Send so many bytes after all that are being sent; when the last of them has left."""
        self._uplink_free = max(self._uplink_free, self.network.now)
        if self.uplink is not None:
            self._uplink_free += size / self.uplink
        return self._uplink_free


class Network:
    """Hosts, virtual time, and what lies between them. Times are in seconds."""

    def __init__(self, seed: str = "0", *, latency: float = 0.02, window: int = WINDOW) -> None:
        self.seed = seed
        self.latency = latency
        """Of every way, in one direction."""
        self.window = window
        """Bytes of one direction of a connection that may be sent and not read."""
        self.now = 0.0
        self.hosts: dict[Endpoint, Host] = {}
        self._order = count()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sides: dict[Host, int] = {}
        self._held: dict[Pipe, None] = {}
        self._trace = sha256()

    @property
    def unix_time(self) -> float:
        """The time of day everywhere."""
        return START + self.now

    @property
    def trace(self) -> str:
        """A digest of all that has arrived anywhere, and when: equal for two runs that were the same."""
        return self._trace.hexdigest()

    def host(
        self, name: str, ip: str, config: NodeConfig | None = None, *, port: int = PORT, listens: bool = True
    ) -> Host:
        """A new host, running. Raises `ValueError` if the address is taken."""
        endpoint = Endpoint.parse(ip, port)
        if endpoint in self.hosts:
            raise ValueError(f"{endpoint} is taken by {self.hosts[endpoint].name}")
        host = Host(self, name, endpoint, config or NodeConfig(), listens=listens)
        self.hosts[endpoint] = host
        return host

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

    # --- what goes wrong ---

    def partition(self, *groups: Iterable[Host]) -> None:
        """Nothing passes between these groups, nor between them and the rest; it waits for `heal`."""
        self._sides = {host: number for number, group in enumerate(groups, 1) for host in group}

    def heal(self) -> None:
        """Everything passes again, and first what has waited."""
        self._sides = {}
        held, self._held = self._held, {}
        for pipe in held:
            self.after(self.latency, partial(self._release, pipe))

    def joined(self, one: Host, other: Host) -> bool:
        """Whether the two can reach each other now."""
        return self._sides.get(one, 0) == self._sides.get(other, 0)

    def cut(self, one: Host, other: Host) -> int:
        """Break all connections between two hosts; how many there were."""
        found = [end for end in one.ends() if end.out.target.host is other and not end.dead]
        for end in found:
            end.lose()
            end.out.target.lose()
        return len(found)

    def connections(self, one: Host, other: Host) -> int:
        """How many connections there are between two hosts."""
        return sum(end.out.target.host is other and not end.dead for end in one.ends())

    # --- carrying ---

    def send(self, pipe: Pipe, piece: bytes | None) -> float:
        """Carry a segment, or None for a reset; when it has left the source."""
        left = pipe.source.host.occupy_uplink(len(piece or b""))
        self.at(left + self.latency, lambda: self._arrive(pipe, piece))
        return left

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

    def dial(self, host: Host, action: act.Dial) -> None:
        """Connect a host to an endpoint."""
        self.after(self.latency, partial(self._reach, host, host.node, action))

    def _reach(self, host: Host, node: Node, action: act.Dial) -> None:
        target = self.hosts.get(action.endpoint)
        if target is not None and not self.joined(host, target):
            self.after(CONNECT_TIMEOUT, lambda: self._refuse(host, node, action, "no answer in time"))
            return
        accepted = None
        if target is not None and target.up and target.listens:
            source = Endpoint(host.endpoint.ip, 40000 + next(self._order) % 20000)
            accepted = target.node.accepted(source, self.now, local=target.endpoint)
            target.pump()
        if target is None or accepted is None:
            self.after(self.latency, lambda: self._refuse(host, node, action, "refused"))
            return
        near, far = End(host, node), End(target, target.node)
        near.out = far.arriving = Pipe(self, near, far)
        far.out = near.arriving = Pipe(self, far, near)
        target.begin_link(far, accepted)
        self.after(self.latency, lambda: self._connect(near, action))

    def _connect(self, near: End, action: act.Dial) -> None:
        host = near.host
        if host.node is not near.node or not host.up:
            near.reset()
            return
        host.begin_link(near, near.node.dial_succeeded(action.dial, self.now, local=host.endpoint))

    def _refuse(self, host: Host, node: Node, action: act.Dial, reason: str) -> None:
        if host.node is node and host.up:
            node.dial_failed(action.dial, reason, self.now)
            host.pump()
