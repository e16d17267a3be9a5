"""Networks for the tests of whole nodes: content, hosts, and strangers who can say anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any, TypeVar

from p2pwire.connection.config import Role
from p2pwire.content.merkle import BLOCK
from p2pwire.content.objects import ObjectInfo, cap
from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.events import NodeEvent, PeerConnected, PeerDisconnected
from p2pwire.storage.memory import SharedMemory, share_bytes, share_folder
from p2pwire.testing.network import Host, Network
from p2pwire.wire import messages as msg
from tests.connection.remote import Remote, config

E = TypeVar("E")


def blob(blocks: float = 1, seed: object = "blob") -> SharedMemory:
    """A file of so many blocks."""
    return share_bytes(Random(f"{seed}").randbytes(int(blocks * BLOCK)))


def folder(files: int = 3, size: int = 3 * BLOCK, seed: object = "folder") -> SharedMemory:
    """A folder of files of up to so many bytes, one of which is empty, and an empty directory."""
    random = Random(f"{seed}")
    content: dict[str, bytes | None] = {f"f{n}": random.randbytes(random.randrange(size + 1)) for n in range(files)}
    return share_folder({**content, "sub/empty": b"", "nothing here": None})


def original(content: SharedMemory) -> bytes | dict[str, bytes | None]:
    """What a fetch of it has to bring."""
    if content.manifest is None:
        return content.read_blocks(0, 0, content.held.total) if content.info.length else b""
    found: dict[str, bytes | None] = {}
    for file, entry in enumerate(content.manifest):
        blocks = content.manifest.layout.blocks_of(file)
        data = content.read_blocks(file, 0, blocks) if blocks else b""
        found[entry.path] = None if entry.type == 2 else data
    return found


def hosts(network: Network, *names: str, **options: Any) -> list[Host]:
    """Hosts in networks of their own."""
    first = len(network.hosts)
    return [network.host(name, f"{first + n + 1}.2.0.1", **options) for n, name in enumerate(names)]


def of(host: Host, kind: type[E]) -> list[E]:
    """What a host was told of one kind."""
    return [event for event in host.events if isinstance(event, kind)]


def connected(host: Host) -> set[bytes]:
    """The identities to which a host has a link now."""
    return {peer.identity for peer in host.node.peers()}


def has_content(host: Host, content: SharedMemory) -> bool:
    """Whether a fetch is complete, and byte for byte what it has to be."""
    return host.complete(content.info.topic) and host.content(content.info.topic) == original(content)


def lasting(host: Host) -> list[PeerConnected]:
    """Links that were opened and have not ended."""
    over = {event.link for event in of(host, PeerDisconnected)}
    return [event for event in of(host, PeerConnected) if event.link not in over]


class _NodeEnd:
    """A link of a node, as if it were a connection under test."""

    def __init__(self, host: Host, link: int) -> None:
        self.host = host
        self.link = link

    def receive_data(self, data: bytes, now: float) -> None:
        while data and not self.host.node.wants_data(self.link):
            if not self.host.network.run(60, until=lambda: self.host.node.wants_data(self.link)):
                return
        self.host.node.receive_data(self.link, data, self.host.network.now)
        self.host.pump()

    def next_event(self) -> None:
        return None

    def data_to_send(self, now: float | None = None) -> list[Any]:
        buffers = self.host.node.data_to_send(self.link, self.host.network.now)
        self.host.pump()
        return buffers

    @property
    def output_ended(self) -> bool:
        return self.host.node.output_ended(self.link)


class Stranger(Remote):
    """A peer made by hand, on a link of a host's node."""

    def __init__(
        self,
        host: Host,
        remote: str = "9.9.9.9:5000",
        *,
        name: str = "stranger",
        dialled: bool = False,
        expected: bytes | None = None,
        scope: Scope | None = None,
    ) -> None:
        """`dialled`: the host's node speaks first, over a stream that was given to it."""
        super().__init__(Role.INITIATOR if dialled else Role.RESPONDER, config("unused"), name=name)
        address, _, port = remote.rpartition(":")
        self.host = host
        endpoint = Endpoint.parse(address, int(port))
        link: int | None
        if dialled:
            now = host.network.now
            link = host.node.attach(Role.INITIATOR, now, remote=endpoint, expected=expected, scope=scope)
        else:
            link = host.node.accepted(endpoint, host.network.now)
        host.pump()
        assert link is not None
        self.link = link
        self.connection = _NodeEnd(host, link)  # type: ignore[assignment]

    def join_topic(self, content: SharedMemory, handle: int = 0, flags: int = 0) -> msg.Join:
        """JOIN with the right cap."""
        return self.join_object(content.info, handle, flags)

    def join_object(self, info: ObjectInfo, handle: int = 0, flags: int = 0) -> msg.Join:
        """The same for an object that nobody has."""
        return msg.Join(handle, flags, info.topic, cap(info.oid, self.initiator, self.handshake_hash))

    @staticmethod
    def object_of(content: SharedMemory, handle: int = 0) -> msg.Object:
        """What it is."""
        return msg.Object(handle, content.info.kind, content.info.length, content.info.root)

    def wait(self, seconds: float = 0.0) -> Stranger:
        """Let time go by, and hear what is said."""
        end = self.host.network.now + seconds
        while True:
            self.host.network.run(min(1.0, end - self.host.network.now))
            self.take_bytes()
            while data := b"".join(self.connection.data_to_send()):
                self._encrypted += data
                self._decrypt()
            if self.host.network.now >= end:
                return self


def when(seconds: float, network: Network, condition: Callable[[], bool]) -> None:
    """Let time go by until something holds, which it has to."""
    assert network.run(seconds, until=condition), f"not after {seconds} s"


def all_complete(some: Iterable[Host], topic: bytes) -> Callable[[], bool]:
    """Whether all of them have it."""
    chosen = list(some)
    return lambda: all(host.complete(topic) for host in chosen)


def kinds(events: Iterable[NodeEvent]) -> list[str]:
    """The names of events, in order."""
    return [type(event).__name__ for event in events]
