"""Where attacks are tried: an honest swarm, run once in peace and once with attackers in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import attrs

from p2pwire.node import actions as act
from p2pwire.node.address import Endpoint
from p2pwire.node.config import NodeConfig
from p2pwire.storage.memory import SharedMemory, share_bytes
from p2pwire.testing.network import Host, Network, Station, address
from p2pwire.wire.registry import (
    BLOCK_SIZE,
    DEFAULT_HANDLES,
    MAX_RECORD,
    MAX_RECORD_PLAINTEXT,
    MAX_REQUESTS,
    MAX_UNITS,
    MAX_UNWRITTEN_BLOCKS,
    SEND_QUEUE_ANSWERS,
    SEND_QUEUE_DATA,
)

LINK_MEMORY: Final = (
    (2 + MAX_RECORD + MAX_RECORD_PLAINTEXT)  # a record, and what is in it
    + DEFAULT_HANDLES * MAX_UNITS // 8  # maps
    + MAX_REQUESTS * 24  # of the other side
    + 128 * 1024  # identities that it was told of
    + (SEND_QUEUE_DATA + SEND_QUEUE_ANSWERS + 64 * 1024)  # what waits to be sent, and a record of it
    + MAX_REQUESTS * 224  # proofs of own requests
    + MAX_UNWRITTEN_BLOCKS * BLOCK_SIZE
    + 8192  # HELLO
)
"""bytes that one hostile link may make a peer hold: the sum below FC-036, 2.36 MB. That is what is allowed; what is
held is measured."""


@attrs.frozen
class Figure:
    """Something that was measured."""

    name: str
    value: float
    unit: str = ""
    most: float | None = None
    """What is promised: no more than that. None: it is stated, and nothing is promised."""
    exact: bool = True
    """Whether the same seed gives the same value; processor time does not."""

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return self.most is None or self.value <= self.most


@attrs.frozen
class Finding:
    """What came of an attack."""

    attack: str
    promise: str
    figures: tuple[Figure, ...]
    size: str = "small"
    """Of the trial: `small` or `full`."""
    seed: str = "0"
    """With which the same comes out again."""

    @property
    def kept(self) -> bool:
        """Whether all that is promised was kept."""
        return all(figure.kept for figure in self.figures)

    def figure(self, name: str) -> float:
        """What was measured. Raises `KeyError`."""
        return {figure.name: figure.value for figure in self.figures}[name]


class WatchedNetwork(Network):
    """A network that writes down who dials whom."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.dials: list[tuple[float, Station, Endpoint]] = []

    def dial(self, host: Station, action: act.Dial) -> None:
        """See `Network.dial`."""
        self.dials.append((self.now, host, action.endpoint))
        super().dial(host, action)


@attrs.frozen
class Swarm:
    """The honest peers of a trial."""

    leechers: int = 3
    blocks: int = 32
    uplink: float = 262_144.0
    """Of each host, in bytes per second."""
    known: int = 3
    """Leechers of which each is told, beside the source."""
    config: NodeConfig = attrs.field(factory=NodeConfig)


class Arena:
    """A source, and leechers that fetch one blob from it and from each other."""

    def __init__(self, seed: str, swarm: Swarm) -> None:
        self.network = WatchedNetwork(seed)
        self.content: SharedMemory = share_bytes(data(seed, swarm.blocks))
        self.topic = self.content.info.topic
        self.source = self._host("source", 0, swarm)
        self.source.share(self.content)
        self.leechers = [self._host(f"leecher{n}", 1 + n, swarm) for n in range(swarm.leechers)]
        self.lost = 0
        """Blocks that an honest host had and has no longer."""
        self._known = swarm.known
        self._done: dict[Host, int] = {}
        self.network.watch = self._watch
        self.watches: list[Callable[[Host], None]] = []
        """Called with a host whenever it has come to rest."""

    @property
    def hosts(self) -> list[Host]:
        """The honest ones."""
        return [self.source, *self.leechers]

    def _host(self, name: str, number: int, swarm: Swarm) -> Host:
        host = self.network.host(name, address(number), swarm.config)
        host.uplink = swarm.uplink
        return host

    def _watch(self, host: Host) -> None:
        if host.node.knows(self.topic):
            done = host.node.progress(self.topic).done
            self.lost += max(0, self._done.get(host, 0) - done) // BLOCK_SIZE
            self._done[host] = done
        for watch in self.watches:
            watch(host)

    def begin(self) -> None:
        """Let all leechers fetch."""
        count = len(self.leechers)
        for number, leecher in enumerate(self.leechers):
            others = [self.leechers[(number + n) % count] for n in range(1, min(self._known, count - 1) + 1)]
            leecher.fetch(self.content, self.source, *others)

    def run(self, limit: float = 1200.0) -> float:
        """Until all have everything; the time at which the last one had."""
        self.network.run(limit, until=lambda: all(host.complete(self.topic) for host in self.leechers))
        return max(host.completed_at(self.topic) or self.network.now for host in self.leechers)

    def unserved(self) -> int:
        """Leechers that have not got all of it, or wrong bytes."""
        whole = self.content.read_blocks(0, 0, self.content.held.total)
        return sum(not host.complete(self.topic) or host.content(self.topic) != whole for host in self.leechers)

    def honest(self, time: float, peaceful: float) -> tuple[Figure, ...]:
        """What every attack has to leave alone: all fetches complete; and how much longer they took."""
        return (
            Figure("honest fetches that failed", self.unserved(), "", 0),
            Figure("honest blocks lost", self.lost, "blocks", 0),
            Figure("time without the attack", round(peaceful, 2), "s"),
            Figure("time with it", round(time, 2), "s"),
        )


def data(seed: str, blocks: int) -> bytes:
    """Bytes of so many blocks, the same for the same seed."""
    return hashlib.shake_128(f"{seed}/content".encode()).digest(blocks * BLOCK_SIZE)


def peace(seed: str, swarm: Swarm) -> float:
    """How long the swarm takes when nobody attacks it."""
    arena = Arena(seed, swarm)
    arena.begin()
    return arena.run()
