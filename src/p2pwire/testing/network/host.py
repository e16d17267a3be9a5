"""Hosts that run a node, with a disk that outlives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pwire.content.units import BlockMap
from p2pwire.crypto.identity import Identity
from p2pwire.node import actions as act
from p2pwire.node.address import Endpoint
from p2pwire.node.events import FetchComplete, FetchFailed, NodeEvent
from p2pwire.node.node import Node, NodeConfig
from p2pwire.node.swarm import Resource
from p2pwire.storage.interface import Shared
from p2pwire.testing.clocks import Clock
from p2pwire.testing.disks import Disk
from p2pwire.testing.network.station import Station
from p2pwire.testing.ways import fraction

if TYPE_CHECKING:
    from p2pwire.testing.network.network import Network


class Host(Station):
    """One peer of a network. It runs from the beginning; made by `Network.host`."""

    program: Node

    def __init__(
        self,
        network: Network,
        name: str,
        endpoint: Endpoint,
        config: NodeConfig,
        *,
        listens: bool = True,
        record: bool = True,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(network, name, endpoint, listens=listens)
        self.config = config
        self.record = record
        """Whether it tells others where it listens. Who does not listen has nothing to tell."""
        self.clock = clock or Clock()
        self.disk = Disk()
        self.identity: bytes
        self.events: list[NodeEvent] = []
        """Everything that its nodes told, in order."""
        self._completed: dict[bytes, float] = {}
        self._failed: dict[bytes, Exception] = {}
        self._shares: dict[bytes, Shared] = {}
        self._fetches: dict[bytes, tuple[bytes, tuple[Endpoint, ...], bool]] = {}
        self._timer: float | None = None
        self._seed = self.random(32)
        self._in_hand: dict[int, act.DiskAction] = {}
        self.start()

    @property
    def node(self) -> Node:
        """What runs; a new one after each start."""
        return self.program

    # --- life ---

    def start(self, *, identity: Identity | None = None) -> None:
        """Run, again perhaps: what was shared and fetched goes on. The identity stays unless another one is given."""
        if self.up:
            raise ValueError(f"{self.name} is up")
        own = identity or Identity.from_seed(self._seed)
        self.identity = own.public
        self.program = Node(own, self.config, now=self.now, unix_time=self.unix_time, random=self.random)
        self.up = True
        self._ends = {}
        self._timer = None
        if self.listens and self.record:
            self.node.set_listening([self.endpoint], self.now, self.unix_time)
        for content in self._shares.values():
            self._share(content)
        for topic, (oid, peers, sequential) in self._fetches.items():
            self._completed.pop(topic, None)
            self.node.fetch(oid, self.now, peers=peers, sequential=sequential)
            info = self.disk.storage.recall(oid)
            if info is not None:
                self.node.describe(topic, info, self.now)
        self.pump()

    def crash(self, *, silently: bool = False) -> None:
        """Die at once. The others' systems hear of it by resets, or, if the power failed, not at all; then the disk
        loses what it had not really written (`Disk.unsynced`)."""
        self.up = False
        for action in self._in_hand.values():
            self.disk.tear(action, self.random(1)[0] / 256)
        self._in_hand = {}
        if silently:
            self.disk.now = self.network.now
            self.disk.lose_unsynced()
        self.disk.close_all()
        self.drop_links(silently=silently)

    def stop(self, *, within: float = 10.0) -> None:
        """Say SHUTDOWN on all links, let it reach the others, and end. Time goes by."""
        self.node.close(self.now)
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
        self.node.share(Resource(content.info, content.manifest, content.trees, held), self.now)

    def fetch(self, what: bytes | Shared, *peers: Station | Endpoint, sequential: bool = False) -> bytes:
        """Fetch an object, of which the id is given or the content that another host shares; its topic."""
        oid = what if isinstance(what, bytes) else what.info.oid
        endpoints = tuple(peer.endpoint if isinstance(peer, Station) else peer for peer in peers)
        topic = self.node.fetch(oid, self.now, peers=endpoints, sequential=sequential)
        self._fetches[topic] = (oid, endpoints, sequential)
        self.pump()
        return topic

    def add_peers(self, topic: bytes, *peers: Station | Endpoint) -> None:
        """Tell it where further peers of a topic may be."""
        endpoints = [peer.endpoint if isinstance(peer, Station) else peer for peer in peers]
        self.node.add_peers(topic, endpoints, self.now)
        self.pump()

    def forget(self, topic: bytes) -> None:
        """Share or fetch it no longer; what is on the disk stays there."""
        self._shares.pop(topic, None)
        self._fetches.pop(topic, None)
        self._completed.pop(topic, None)
        self._failed.pop(topic, None)
        self.node.forget(topic, self.now)
        self.disk.close(topic)
        self.pump()

    def complete(self, topic: bytes) -> bool:
        """Whether a fetch has ended well, since the last start."""
        return topic in self._completed

    def completed_at(self, topic: bytes) -> float | None:
        """When that was, in the network's time."""
        return self._completed.get(topic)

    def failure(self, topic: bytes) -> Exception | None:
        """What ended a fetch."""
        return self._failed.get(topic)

    def content(self, topic: bytes) -> bytes | dict[str, bytes | None] | None:
        """What a fetch brought: a blob's bytes, or a folder's by path, None for an empty directory. None: not yet."""
        return self.disk.finished(topic)

    # --- driving the node ---

    def pump(self) -> None:
        """Do what the node wants, hear what it tells, and set its timer."""
        node = self.program
        if node.has_news:
            while (action := node.next_action()) is not None:
                self._perform(action)
            while (event := node.next_event()) is not None:
                self._hear(event)
        due = node.next_timeout()
        if due is not None and (self._timer is None or due < self._timer):
            self._timer = due
            self.network.at(self.clock.time_of(due), lambda: self._on_timer(node, due))
        if self.network.watch is not None:
            self.network.watch(self)

    def _hear(self, event: NodeEvent) -> None:
        if self.network.keeps_events:
            self.events.append(event)
        if isinstance(event, FetchComplete):
            self._completed[event.topic] = self.network.now
        elif isinstance(event, FetchFailed):
            self._failed[event.topic] = event.error

    def _on_timer(self, node: Node, due: float) -> None:
        if self.up and node is self.node and due == self._timer:
            self._timer = None
            # The network's time was computed from the host's, and may have been rounded down.
            node.handle_timeout(max(self.now, due), self.unix_time)
            self.pump()

    def _perform(self, action: act.Action) -> None:
        match action:
            case act.Dial():
                self.dial(action)
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
        node, took = self.node, self.disk.takes(action, self.network.now)
        if self.disk.jitter:
            took += self.disk.jitter * fraction(self.random)
        self.network.after(took, lambda: self._end_work(node, action))

    def _end_work(self, node: Node, action: act.DiskAction) -> None:
        if node is not self.node or not self.up:
            return
        del self._in_hand[action.ticket]
        try:
            self.disk.now = self.network.now
            fault = self.disk.fault(action)
            if fault is not None:
                raise fault
            result = self.disk.work(action)
        except Exception as error:
            node.disk_failed(action.ticket, error, self.now)
        else:
            node.disk_done(action.ticket, result, self.now)
        self.pump()
