"""Nodes joined by a network in memory, on virtual time: the same seed gives the same run.

A `Network` has hosts; each host is a `Node` with an address and a memory for a disk. Latency, uplink bandwidth, refused
and cut connections, and hosts that go and come back can be set while it runs.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final

import attrs

from p2pwire.content.manifest import Entry, Manifest
from p2pwire.content.merkle import BLOCK, Tree, TreeBuilder, block_count
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.units import BlockMap
from p2pwire.crypto.identity import Identity
from p2pwire.node import actions as act
from p2pwire.node.address import Endpoint
from p2pwire.node.events import FetchComplete, NodeEvent
from p2pwire.node.node import Node, NodeConfig
from p2pwire.node.swarm import Resource
from p2pwire.testing.pair import seeded
from p2pwire.wire.registry import MANIFEST_FILE, EntryType, ObjectKind

PORT: Final = 7000
START: Final = 1_800_000_000.0
"""Unix time at which every network begins."""


class DiskFault(Exception):
    """What a faulty disk reports."""


def hashed(data: bytes) -> tuple[bytes, Tree | None]:
    """The root of a file, and its tree if it has more than one block."""
    builder = TreeBuilder()
    builder.update(data)
    leaves = builder.finish()
    return leaves.root, Tree.from_leaves(leaves.length, leaves.hashes) if leaves.length > BLOCK else None


@attrs.define(eq=False)
class MemoryStore:
    """The blocks of one object."""

    info: ObjectInfo
    manifest: Manifest | None = None
    files: dict[int, bytearray] = attrs.field(factory=dict)
    """By file index; for a blob 0."""
    finished: bool = False

    @classmethod
    def of_blob(cls, data: bytes) -> tuple[MemoryStore, Resource]:
        """A file."""
        root, tree = hashed(data)
        info = ObjectInfo(ObjectKind.BLOB, len(data), root)
        trees = {} if tree is None else {0: tree}
        return cls(info, None, {0: bytearray(data)}, finished=True), Resource(info, None, trees)

    @classmethod
    def of_files(cls, files: dict[str, bytes]) -> tuple[MemoryStore, Resource]:
        """A folder."""
        made = {path: hashed(data) for path, data in files.items()}
        entries = [Entry(EntryType.FILE, path, len(data), made[path][0]) for path, data in files.items()]
        manifest = Manifest.from_entries(entries)
        raw = bytes(manifest.data)
        root, tree = hashed(raw)
        info = ObjectInfo(ObjectKind.MANIFEST, len(raw), root)
        trees: dict[int, Tree] = {} if tree is None else {MANIFEST_FILE: tree}
        contents: dict[int, bytearray] = {}
        for index, entry in enumerate(manifest):
            contents[index] = bytearray(files[entry.path])
            found = made[entry.path][1]
            if found is not None:
                trees[index] = found
        return cls(info, manifest, contents, finished=True), Resource(info, manifest, trees)

    def length(self, file: int) -> int:
        """Bytes of one file."""
        return self.info.length if self.manifest is None else self.manifest.file(file)[0]

    def write(self, block: act.BlockToWrite) -> None:
        """Keep one block."""
        content = self.files.get(block.file)
        if content is None:
            content = self.files[block.file] = bytearray(self.length(block.file))
        content[block.block * BLOCK : block.block * BLOCK + len(block.data)] = block.data

    def read(self, file: int, block: int, count: int) -> bytes:
        """Whole blocks."""
        return bytes(self.files[file][block * BLOCK : (block + count) * BLOCK])


@attrs.define(eq=False)
class Carrier:
    """One direction of a connection: from a host's link to another host's link."""

    source: Host
    target: Host
    source_link: int
    target_link: int
    sending: bool = False
    ended: bool = False
    cut: bool = False
    arrived: deque[bytes] = attrs.field(factory=deque)
    """Bytes at the target that it does not want to read yet."""


class Host:
    """One node of a network."""

    def __init__(self, network: Network, name: str, endpoint: Endpoint, config: NodeConfig) -> None:
        self.network = network
        self.name = name
        self.endpoint = endpoint
        self.config = config
        self.reachable = True
        self.uplink: float | None = None
        """Bytes per second; None: no limit."""
        self.disk_delay = 0.0
        self.disk_fault: Callable[[act.DiskAction], Exception | None] = lambda action: None
        self.stores: dict[bytes, MemoryStore] = {}
        self.events: list[NodeEvent] = []
        self.up = False
        self._uplink_free = 0.0
        self._timer: float | None = None
        self._carriers: dict[int, Carrier] = {}
        self.start()

    @property
    def identity(self) -> bytes:
        """The public identity."""
        return self.node.identity.public

    def start(self) -> None:
        """(Re)start with a new identity's worth of randomness; stores that were finished or begun are kept."""
        network = self.network
        random = seeded(f"{network.seed}/{self.name}/{next(network.order)}")
        self.node = Node(
            Identity.from_seed(random(32)), self.config, now=network.now, unix_time=network.unix_time, random=random
        )
        self.up = True
        self._carriers = {}
        if self.reachable:
            self.node.set_listening([self.endpoint], network.now, network.unix_time)
        self.pump()

    def stop(self) -> None:
        """Vanish without a word; every link breaks."""
        self.up = False
        for carrier in list(self._carriers.values()):
            self.network.break_carrier(carrier)
        self._carriers = {}

    def share(self, made: tuple[MemoryStore, Resource]) -> bytes:
        """Share content; its topic."""
        store, resource = made
        self.stores[resource.info.topic] = store
        topic = self.node.share(resource, self.network.now)
        self.pump()
        return topic

    def fetch(self, oid: bytes, *peers: Host, sequential: bool = False) -> bytes:
        """Fetch an object from some hosts; its topic."""
        endpoints = [peer.endpoint for peer in peers]
        topic = self.node.fetch(oid, self.network.now, peers=endpoints, sequential=sequential)
        self.pump()
        return topic

    def complete(self, topic: bytes) -> bool:
        """Whether a fetch has ended well."""
        return any(isinstance(event, FetchComplete) and event.topic == topic for event in self.events)

    # --- driving the node ---

    def pump(self) -> None:
        """Do what the node wants, and set its timer."""
        while (action := self.node.next_action()) is not None:
            self._perform(action)
        while (event := self.node.next_event()) is not None:
            self.events.append(event)
        due = self.node.next_timeout()
        if due is not None and (self._timer is None or due < self._timer):
            self._timer = due
            self.network.at(due, self._on_timer)

    def _on_timer(self) -> None:
        if not self.up or self._timer is None or self.network.now < self._timer:
            return
        self._timer = None
        self.node.handle_timeout(self.network.now, self.network.unix_time)
        self.pump()

    def _perform(self, action: act.Action) -> None:
        network = self.network
        if isinstance(action, act.Dial):
            network.after(network.latency, lambda: self._connect(action))
        elif isinstance(action, act.Transmit):
            carrier = self._carriers.get(action.link)
            if carrier is not None and not carrier.sending:
                self._send(carrier)
        elif isinstance(action, act.ResumeReading):
            self._deliver(action.link)
        elif isinstance(action, act.HangUp):
            carrier = self._carriers.pop(action.link, None)
            if carrier is not None:
                self._end(carrier)
        else:
            node = self.node
            network.after(self.disk_delay, lambda: self._disk(node, action))

    def _disk(self, node: Node, action: act.DiskAction) -> None:
        if node is not self.node or not self.up:
            return
        fault = self.disk_fault(action)
        now = self.network.now
        if fault is not None:
            node.disk_failed(action.ticket, fault, now)
        else:
            node.disk_done(action.ticket, self._work(action), now)
        self.pump()

    def _work(self, action: act.DiskAction) -> object:
        if isinstance(action, act.OpenDownload):
            self.stores[action.topic] = MemoryStore(action.info)
            blocks = block_count(action.info.length) if action.info.kind == ObjectKind.BLOB else 0
            return act.Restored(None, BlockMap(blocks), {})
        store = self.stores[action.topic]
        if isinstance(action, act.StoreManifest):
            store.manifest = action.manifest
        elif isinstance(action, act.WriteBlocks):
            for block in action.blocks:
                store.write(block)
        elif isinstance(action, act.ReadBlocks):
            return store.read(action.file, action.block, action.count)
        else:
            store.finished = True
        return None

    # --- carriers ---

    def _connect(self, action: act.Dial) -> None:
        if not self.up:
            return
        network = self.network
        target = network.hosts.get(action.endpoint)
        accepted = None
        if target is not None and target.up and target.reachable and network.joined(self, target):
            source = Endpoint(self.endpoint.ip, 40000 + next(network.order) % 20000)
            accepted = target.node.accepted(source, network.now, local=target.endpoint)
        if target is None or accepted is None:
            self.node.dial_failed(action.dial, "refused", network.now)
            self.pump()
            if target is not None and target.up:
                target.pump()
            return
        link = self.node.dial_succeeded(action.dial, network.now, local=self.endpoint)
        self._carriers[link] = Carrier(self, target, link, accepted)
        target._carriers[accepted] = Carrier(target, self, accepted, link)
        self.pump()
        target.pump()

    def _send(self, carrier: Carrier) -> None:
        """Give what the node has to the wire; more when the uplink has taken it."""
        network = self.network
        if not self.up or carrier.cut:
            return
        buffers = self.node.data_to_send(carrier.source_link, network.now)
        if not buffers:
            carrier.sending = False
            if self.node.output_ended(carrier.source_link):
                self._end(carrier)
            self.pump()
            return
        carrier.sending = True
        data = b"".join(buffers)
        start = max(network.now, self._uplink_free)
        finish = start + (len(data) / self.uplink if self.uplink else 0.0)
        self._uplink_free = finish
        network.at(finish + network.latency, lambda: network.arrive(carrier, data))
        network.at(finish, lambda: self._send(carrier))
        self.pump()

    def _end(self, carrier: Carrier) -> None:
        if not carrier.ended:
            carrier.ended = True
            at = max(self.network.now, self._uplink_free) + self.network.latency
            self.network.at(at, lambda: self.network.arrive(carrier, b""))

    def _deliver(self, link: int) -> None:
        """Let the node read what has arrived."""
        own = self._carriers.get(link)
        carrier = None if own is None else own.target._carriers.get(own.target_link)
        incoming = self.network.incoming.get((self, link))
        if carrier is None and incoming is None:
            return
        if incoming is None:
            return
        while incoming and self.node.wants_data(link):
            self.node.receive_data(link, incoming.popleft(), self.network.now)
        self.pump()


class Network:
    """Hosts, virtual time, and what lies between them."""

    def __init__(self, seed: str = "0", *, latency: float = 0.02) -> None:
        self.seed = seed
        self.latency = latency
        self.now = 0.0
        self.order = count()
        self.hosts: dict[Endpoint, Host] = {}
        self.incoming: dict[tuple[Host, int], deque[bytes]] = {}
        self.partition: Callable[[Host, Host], bool] = lambda one, other: True
        self._queue: list[tuple[float, int, Callable[[], None]]] = []

    @property
    def unix_time(self) -> float:
        """The time of day everywhere."""
        return START + self.now

    def host(self, name: str, ip: str, config: NodeConfig | None = None, *, port: int = PORT) -> Host:
        """A new host, running."""
        endpoint = Endpoint.parse(ip, port)
        host = Host(self, name, endpoint, config or NodeConfig())
        self.hosts[endpoint] = host
        return host

    def joined(self, one: Host, other: Host) -> bool:
        """Whether the two can reach each other now."""
        return self.partition(one, other)

    def at(self, when: float, work: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._queue, (max(when, self.now), next(self.order), work))

    def after(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something in a while."""
        self.at(self.now + seconds, work)

    def arrive(self, carrier: Carrier, data: bytes) -> None:
        """Bytes reach the other end."""
        target = carrier.target
        if not target.up or carrier.cut or not self.joined(carrier.source, target):
            return
        waiting = self.incoming.setdefault((target, carrier.target_link), deque())
        for at in range(0, max(1, len(data)), 65536):
            waiting.append(data[at : at + 65536])
        target._deliver(carrier.target_link)

    def break_carrier(self, carrier: Carrier) -> None:
        """Both ends learn that the connection is gone."""
        back = carrier.target._carriers.pop(carrier.target_link, None)
        carrier.source._carriers.pop(carrier.source_link, None)
        carrier.cut = True
        for end, link in ((carrier.source, carrier.source_link), (carrier.target, carrier.target_link)):
            if end.up:
                end.node.link_lost(link, self.now)
                end.pump()
        if back is not None:
            back.cut = True

    def cut(self, one: Host, other: Host) -> int:
        """Break all connections between two hosts; how many there were."""
        found = [c for c in list(one._carriers.values()) if c.target is other]
        for carrier in found:
            self.break_carrier(carrier)
        return len(found)

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
