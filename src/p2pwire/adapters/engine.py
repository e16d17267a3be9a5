"""What both adapters do around a `Node`, without waiting or sockets: actions, disk work, fetches, the story."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from time import time as unix_time
from typing import Final, Protocol
from weakref import WeakSet

import attrs

from p2pwire.adapters.disk import Line, Store
from p2pwire.adapters.sockets import reachable_endpoints
from p2pwire.adapters.story import Story
from p2pwire.adapters.transfer import FetchCancelledError, Fetched, PeerClosedError, Transfer
from p2pwire.adapters.workers import Ending, Work
from p2pwire.connection.config import Role
from p2pwire.content.objects import ObjectInfo, topic_of
from p2pwire.content.uri import Uri
from p2pwire.crypto.identity import Identity
from p2pwire.node.actions import (
    Dial,
    DiskAction,
    FinishDownload,
    HangUp,
    ReadBlocks,
    ResumeReading,
    Transmit,
    WriteBlocks,
)
from p2pwire.node.address import Endpoint
from p2pwire.node.events import (
    BlocksStored,
    ContentKnown,
    FetchComplete,
    FetchFailed,
    LinkFailed,
    NodeEvent,
    ObjectKnown,
)
from p2pwire.node.node import Node, NodeConfig, PeerInfo
from p2pwire.node.swarm import Resource
from p2pwire.storage.interface import Content, Shared, Storage
from p2pwire.wire.keys import encode_name
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import MAX_URI_PEERS

_OF_FETCHES: Final = (BlocksStored, ObjectKnown, ContentKnown, FetchComplete, FetchFailed)

NAME_LENGTH: Final = 16
"""characters of an id that name what has no name."""


class Outside(Protocol):
    """What an adapter does. None of these methods waits, and all are called where the node lives."""

    def now(self) -> float:
        """Monotonic seconds."""

    def dial(self, dial: Dial) -> None:
        """Begin to connect; then `Engine.dialled` or `Engine.dial_failed`."""

    def transmit(self, link: int) -> None:
        """Write what the link's traffic has."""

    def resume_reading(self, link: int) -> None:
        """Read again."""

    def hang_up(self, link: int) -> None:
        """Close the carrier when what was taken from the link's traffic is written."""

    def run_in_worker(self, work: Work, ending: Ending) -> None:
        """Run work in a thread that may wait, and then call the ending."""

    def wake_at(self, when: float | None) -> None:
        """Call `Engine.on_time` then, instead of at the time named before."""


class Engine:
    """A node and the work around it. All methods are to be called in one thread, and none waits."""

    def __init__(self, identity: Identity | None, config: NodeConfig | None, outside: Outside) -> None:
        self._outside = outside
        self.now = outside.now
        self.identity = identity or Identity.from_seed(os.urandom(32))
        self.node = Node(self.identity, config, now=self.now(), unix_time=unix_time(), random=os.urandom)
        self._stores: dict[bytes, Store] = {}
        self._lines: dict[bytes, Line] = {}
        self._transfers: dict[bytes, Transfer] = {}
        self._stories: WeakSet[Story] = WeakSet()
        self._bound: list[Endpoint] = []
        self._closed = False
        self.wakes_at: float | None = None
        """What `Outside.wake_at` was told."""

    # --- what the application asks for ---

    def check_open(self) -> None:
        """Raise PeerClosedError if the peer has left."""
        if self._closed:
            raise PeerClosedError("the peer is closed")

    def listening(self, bound: Iterable[Endpoint]) -> None:
        """These addresses are listened on too."""
        self.check_open()
        self._bound += bound
        self.node.set_listening(self._bound, self.now(), unix_time())
        self.pump()

    def share(self, content: Shared) -> Uri:
        """Serve content that was hashed; its URI, with the addresses that are listened on."""
        self.check_open()
        info = content.info
        self._clear_failed(info.topic)
        if info.topic in self._stores:
            # It is served already, or will be as soon as it is complete.
            content.close()
        else:
            self.node.share(Resource(info, content.manifest, content.trees, content.held), self.now())
            self._stores[info.topic] = self._store(info.topic, content=content)
            self.pump()
        reachable = [endpoint for endpoint in reachable_endpoints(self._bound) if not endpoint.zone]
        peers = tuple((endpoint.host, endpoint.port) for endpoint in reachable[:MAX_URI_PEERS])
        return Uri(info.oid, info.length, content.name, peers)

    def fetch(self, uri: Uri, place: Storage, on_change: Callable[[bool], None], *, sequential: bool) -> Transfer:
        """Begin a fetch. Raises ValueError if the object is shared or fetched already."""
        self.check_open()
        self._clear_failed(topic_of(uri.oid))
        peers = [Endpoint.parse(peer.host, peer.port) for peer in uri.peers]
        begun = self.now()
        topic = self.node.fetch(
            uri.oid, begun, peers=peers, identity=uri.identity, length=uri.length, sequential=sequential
        )
        name = uri.name or encode_name(uri.oid)[:NAME_LENGTH]
        store = self._stores[topic] = self._store(topic, place=place, name=name)
        store.recall(uri.oid, lambda info, error: self._recalled(topic, store, info))
        transfer = Transfer(topic, begun, self.node.progress(topic), on_change)
        self._transfers[topic] = transfer
        self.pump()
        return transfer

    def _recalled(self, topic: bytes, store: Store, info: object) -> None:
        """What an earlier attempt left may say what the object is, when no peer can."""
        if isinstance(info, ObjectInfo) and self._stores.get(topic) is store:
            self.node.describe(topic, info, self.now())
            self.pump()

    def check_known(self, oid: bytes) -> None:
        """Raises ValueError for an object that is neither shared nor fetched here."""
        if not self.node.knows(topic_of(oid)):
            raise ValueError(f"oid: {oid.hex()} is neither shared nor fetched here")

    def add_peers(self, oid: bytes, endpoints: Iterable[Endpoint]) -> None:
        """Addresses at which peers of an object may be found; ignored if it is neither shared nor fetched any more."""
        self.node.add_peers(topic_of(oid), endpoints, self.now())
        self.pump()

    def send_extension(self, link: int, name: str, index: int, body: bytes) -> None:
        """A frame of the application's own. Raises KeyError, LocalProtocolError."""
        self.node.send_extension(link, name, index, body, self.now())
        self.pump()

    def cannot_resolve(self, host: str, reason: str) -> None:
        """A name that the user gave has no address."""
        self._tell(LinkFailed(None, f"{host}: {reason}"))

    def cancel(self, transfer: Transfer) -> None:
        """End a fetch; after its end: share no longer what it brought. What was verified is kept."""
        if self._transfers.get(transfer.topic) is transfer:
            self._forget(transfer.topic)

    def _clear_failed(self, topic: bytes) -> None:
        transfer = self._transfers.get(topic)
        if transfer is not None and transfer.error is not None:
            self._forget(topic)

    def forget(self, oid: bytes) -> None:
        """Stop to share or fetch an object."""
        self._forget(topic_of(oid))

    def _forget(self, topic: bytes) -> None:
        self.node.forget(topic, self.now())
        store = self._stores.pop(topic, None)
        if store is not None:
            store.writing.submit(store.close, lambda result, error: self._store_closed(topic))
        transfer = self._transfers.pop(topic, None)
        if transfer is not None and not transfer.over:
            transfer.error = FetchCancelledError("the fetch was cancelled; what was verified is kept")
            transfer.changed()
        self.pump()

    def _store_closed(self, topic: bytes) -> None:
        if topic not in self._stores:
            self._lines.pop(topic, None)

    def peers(self) -> list[PeerInfo]:
        """The open links."""
        return self.node.peers()

    def tell(self, story: Story) -> None:
        """Tell this listener, as long as it exists, what happens from now on."""
        self._stories.add(story)

    def close_links(self) -> None:
        """Say SHUTDOWN to everybody; `Outside.hang_up` follows for each link."""
        self._closed = True
        self.node.close(self.now())
        self.pump()

    def close_stores(self) -> None:
        """Forget everything, when the disk work in hand is done; the story ends."""
        for topic in list(self._stores):
            self._forget(topic)
        for story in list(self._stories):
            story.end()

    def fail(self, error: BaseException) -> None:
        """Nothing goes on any more, by a mistake: whoever waits hears of it."""
        for transfer in self._transfers.values():
            if not transfer.over:
                transfer.error = error if isinstance(error, Exception) else FetchCancelledError(str(error))
                transfer.changed()
        for story in list(self._stories):
            story.end()

    # --- what comes from outside ---

    def accepted(self, remote: Endpoint | None, local: Endpoint | None) -> NodeTraffic | None:
        """An inbound carrier; None: close it, there is no room. Call `pump` when the link can be told to transmit."""
        link = self.node.accepted(remote, self.now(), local=local)
        return None if link is None else NodeTraffic(self, link)

    def dialled(self, dial: Dial, local: Endpoint | None) -> NodeTraffic:
        """A dial succeeded. Call `pump` when the link can be told to transmit."""
        return NodeTraffic(self, self.node.dial_succeeded(dial.dial, self.now(), local=local))

    def dial_failed(self, dial: Dial, error: OSError) -> None:
        """A dial failed."""
        self.node.dial_failed(dial.dial, error.strerror or "no answer in time", self.now())
        self.pump()

    def attached(self, role: Role) -> NodeTraffic:
        """A carrier of the application's own. Call `pump` when the link can be told to transmit."""
        self.check_open()
        return NodeTraffic(self, self.node.attach(role, self.now()))

    def on_time(self) -> None:
        """The time of `Outside.wake_at` has come."""
        self.node.handle_timeout(self.now(), unix_time())
        self.pump()

    # --- what the node asks for ---

    def pump(self) -> None:
        """Carry out all actions, tell all events, and say when to wake."""
        node, outside = self.node, self._outside
        while (action := node.next_action()) is not None:
            match action:
                case Transmit():
                    outside.transmit(action.link)
                case ResumeReading():
                    outside.resume_reading(action.link)
                case Dial():
                    outside.dial(action)
                case HangUp():
                    outside.hang_up(action.link)
                case _:
                    self._to_disk(action)
        changed: dict[bytes, Transfer] = {}
        while (event := node.next_event()) is not None:
            self._on_event(event, changed)
        for topic, transfer in changed.items():
            transfer.progress = node.progress(topic)
            transfer.changed()
        self.wakes_at = node.next_timeout()
        outside.wake_at(self.wakes_at)

    def _to_disk(self, action: DiskAction) -> None:
        store = self._stores.get(action.topic)
        if store is None:
            # Forgotten while the action was on its way.
            self.node.disk_failed(action.ticket, FetchCancelledError(f"{action.topic.hex()} is forgotten"), self.now())
        elif isinstance(action, ReadBlocks) and (data := store.read_cached(action)) is not None:
            # The way to a worker and back, with two changes of threads, takes several times longer than to copy.
            self.node.disk_done(action.ticket, data, self.now())
        elif isinstance(action, WriteBlocks) and store.write_at_once(action):
            self.node.disk_done(action.ticket, None, self.now())
        else:
            store.submit(action, lambda result, error: self._from_disk(action, result, error))

    def _from_disk(self, action: DiskAction, result: object, error: Exception | None) -> None:
        if error is not None:
            self.node.disk_failed(action.ticket, error, self.now())
        else:
            if isinstance(action, FinishDownload):
                transfer = self._transfers.get(action.topic)
                if transfer is not None and isinstance(result, Path):
                    transfer.path = result
                result = None
            self.node.disk_done(action.ticket, result, self.now())
        self.pump()

    def _on_event(self, event: NodeEvent, changed: dict[bytes, Transfer]) -> None:
        if isinstance(event, _OF_FETCHES):
            transfer = self._transfers.get(event.topic)
            if transfer is not None and not transfer.over:
                if isinstance(event, FetchFailed):
                    transfer.error = event.error
                elif isinstance(event, FetchComplete):
                    transfer.result = Fetched(transfer.path, event.total, self.now() - transfer.begun, event.sources)
                changed[event.topic] = transfer
        if not isinstance(event, BlocksStored):
            self._tell(event)

    def _tell(self, event: NodeEvent) -> None:
        for story in list(self._stories):
            story.hear(event)

    def _store(
        self, topic: bytes, content: Content | None = None, place: Storage | None = None, name: str = ""
    ) -> Store:
        run = self._outside.run_in_worker
        # A topic's line outlives its store: what is fetched anew has to wait until what was forgotten is closed.
        return Store(self._lines.setdefault(topic, Line(run)), Line(run), content, place, name)


@attrs.frozen
class NodeTraffic:
    """The traffic of one link of a node."""

    _engine: Engine
    link: int

    def wants_data(self) -> bool:
        """See `Traffic`."""
        return self._engine.node.wants_data(self.link)

    def receive_data(self, data: Buffer) -> None:
        """See `Traffic`."""
        self._engine.node.receive_data(self.link, data, self._engine.now())
        self._engine.pump()

    def lost(self) -> None:
        """See `Traffic`."""
        self._engine.node.link_lost(self.link, self._engine.now())
        self._engine.pump()

    def data_to_send(self) -> list[Buffer]:
        """See `Traffic`."""
        node = self._engine.node
        buffers = node.data_to_send(self.link, self._engine.now())
        if node.has_news or node.next_timeout() != self._engine.wakes_at:
            self._engine.pump()
        return buffers

    def output_ended(self) -> bool:
        """See `Traffic`."""
        return self._engine.node.output_ended(self.link)
