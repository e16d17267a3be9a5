"""Messages through whole connections: both ends in one thread, bytes carried in memory, p2pwire's encrypted.

Small messages: HAVE, REQUEST and REJECT in equal parts, both ways, with all the rules of a link, against DATA frames of
h2 with 32 bytes, both ways. Blocks: requests of 64 blocks, each answered and its proofs checked, against DATA frames of
16 KiB in h2 and records of 16 KiB in TLS, neither of which checks content.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from p2pwire.connection import commands as cmd
from p2pwire.connection.config import Config, Limits, Offer, Role
from p2pwire.connection.connection import Connection
from p2pwire.connection.events import Event, RequestEnded, RequestReceived, TopicOpened
from p2pwire.content.merkle import proof_count, tree_height
from p2pwire.content.objects import ObjectInfo
from p2pwire.crypto.identity import Identity
from p2pwire.storage.memory import share_bytes
from p2pwire.wire.registry import BLOCK_SIZE, JoinFlag, ObjectKind, RejectCode
from tests.bench import rivals, tls
from tests.bench.run import Run

NOW: Final = 1000.0
MIB: Final = 1 << 20
PLENTY: Final = 1e15
"""tokens of a control budget that never ends: what is measured here is more than anyone may say."""
UNMETERED: Final = Limits(
    control_rate=PLENTY, control_burst=PLENTY, control_bytes_rate=PLENTY, control_bytes_burst=PLENTY
)
BATCH: Final = 32
"""small messages of a kind given before bytes are carried."""
LEVEL: Final = 6
BLOCKS: Final = 1 << LEVEL


def config(topics: Mapping[bytes, Offer]) -> Config:
    """Of a new identity, with no end to the control budget."""
    return Config(Identity.from_seed(os.urandom(32)), topics, limits=UNMETERED)


class Ends:
    """Two connections on which the topic of one blob is open; the first one asks."""

    def __init__(self, info: ObjectInfo) -> None:
        topics = {info.topic: Offer(info.oid, JoinFlag(0), info)}
        self.asking, self.serving = (
            Connection(role, config(topics), now=NOW, random=os.urandom) for role in (Role.INITIATOR, Role.RESPONDER)
        )
        self.settle()
        self.asking.send(cmd.Join(info.topic))
        if not any(isinstance(event, TopicOpened) for event in self.settle()):
            raise RuntimeError("the topic did not open")

    def settle(self) -> list[Event]:
        """Carry everything both ways until nothing moves; all events."""
        events: list[Event] = []
        moved = True
        while moved:
            moved = False
            for source, target in ((self.asking, self.serving), (self.serving, self.asking)):
                while (event := source.next_event()) is not None:
                    events.append(event)
                moved = bool(carry(source, target)) or moved
        return events

    def grant(self, blocks: int) -> None:
        """Let the asking side ask for so many more."""
        self.serving.send(cmd.GrantCredit(self.serving.granted + blocks))
        carry(self.serving, self.asking)
        take(self.asking)


def carry(source: Connection, target: Connection) -> int:
    """What one has to send goes to the other; how many buffers."""
    buffers = source.data_to_send(NOW)
    for data in buffers:
        target.receive_data(data, NOW)
    return len(buffers)


def take(end: Connection) -> list[Event]:
    """Everything that a connection has to tell."""
    events = []
    while (event := end.next_event()) is not None:
        events.append(event)
    return events


def small_messages(count: int) -> Callable[[], int]:
    """Announce, ask and refuse, in batches."""
    info = ObjectInfo(ObjectKind.BLOB, count * BLOCK_SIZE, os.urandom(32))
    ends = Ends(info)
    asking, serving = ends.asking, ends.serving
    ends.grant(count)

    def work() -> int:
        done = 0
        for batch in range(count // (3 * BATCH)):
            numbers = range(batch * BATCH, (batch + 1) * BATCH)
            for number in numbers:
                serving.send(cmd.TellUnits(info.topic, ((number, number),)))
            carry(serving, asking)
            done += len(take(asking))
            for number in numbers:
                asking.send(cmd.RequestBlocks(number, info.topic, 0, number, 0, info.length, info.root))
            carry(asking, serving)
            for event in take(serving):
                if isinstance(event, RequestReceived):
                    serving.send(cmd.RejectRequest(event.id, RejectCode.BUSY))
                    done += 1
            carry(serving, asking)
            done += sum(isinstance(event, RequestEnded) for event in take(asking))
        if done != count // (3 * BATCH) * 3 * BATCH:
            raise ValueError(f"{done} messages came of {count}")
        return done

    return work


def blocks(requests: int) -> Callable[[], int]:
    """Ask for 64 blocks, send them, check them; so often."""
    content = share_bytes(os.urandom(BLOCKS * BLOCK_SIZE))
    info = content.info
    ends = Ends(info)
    asking, serving, tree = ends.asking, ends.serving, content.trees[0]
    height = tree_height(info.length)
    data = memoryview(content.read_blocks(0, 0, BLOCKS))
    pieces = [
        (tree.siblings(block, proof_count(height, block, 0)), data[block * BLOCK_SIZE : (block + 1) * BLOCK_SIZE])
        for block in range(BLOCKS)
    ]
    ends.grant(BLOCKS * (requests + 1))

    def work() -> int:
        done = 0
        for number in range(requests):
            asking.send(cmd.RequestBlocks(number, info.topic, 0, 0, LEVEL, info.length, info.root))
            carry(asking, serving)
            take(serving)
            for at, (siblings, piece) in enumerate(pieces):
                serving.send(cmd.SendBlock(number, siblings, piece, last=at == BLOCKS - 1))
                if at % 8 == 7:
                    carry(serving, asking)
                    done += sum(isinstance(event, RequestEnded) for event in take(asking))
        if done != requests:
            raise ValueError(f"{done} requests ended of {requests}")
        return done * BLOCKS * BLOCK_SIZE

    return work


def h2_messages(count: int, body: bytes, batch: int) -> Callable[[], int]:
    """DATA frames in batches, in turns both ways; the receiver gives back the window."""
    from h2.events import DataReceived

    client, server = rivals.h2_pair()

    def work() -> int:
        done = 0
        for _ in range(count // (2 * batch)):
            for source, target in ((client, server), (server, client)):
                for _ in range(batch):
                    source.send_data(rivals.STREAM, body)
                for event in target.receive_data(source.data_to_send()):
                    if isinstance(event, DataReceived):
                        target.acknowledge_received_data(event.flow_controlled_length, rivals.STREAM)
                        done += 1
                source.receive_data(target.data_to_send())
        return done

    return work


def tls_blocks(run: Run, count: int) -> Callable[[], int]:
    """Blocks through TLS 1.3 in memory."""
    certificate = run.directory / "link.pem"
    tls.write_certificate(certificate)
    (near, _, sent), (far, arrived, _) = tls.handshake(*tls.mutual_contexts(certificate))
    data = os.urandom(BLOCK_SIZE)

    def work() -> int:
        done = 0
        for _ in range(count):
            near.write(data)
            arrived.write(sent.read())
            done += len(far.read(BLOCK_SIZE))
        return done

    return work


def measure(run: Run) -> None:
    """Thousands of messages a second, and MiB of blocks a second."""
    count = 2 * 3 * BATCH if run.quick else 40 * 3 * BATCH
    requests = 1 if run.quick else 16
    body, block = os.urandom(32), os.urandom(BLOCK_SIZE)
    samples = run.interleave(
        {
            "small messages": run.rate(lambda: small_messages(count)),
            "h2": run.rate(lambda: h2_messages(count, body, BATCH)),
            "blocks": run.rate(lambda: blocks(requests)),
            "h2 blocks": run.rate(lambda: h2_messages(requests * BLOCKS, block, 2)),
            "TLS 1.3 blocks": run.rate(lambda: tls_blocks(run, requests * BLOCKS)),
        },
        {"h2": "h2", "h2 blocks": "h2"},
    )
    small, others = scaled(samples["small messages"], 1000), scaled(samples["h2"], 1000)
    run.add("link/small messages", "thousand/s", small, against=["link/h2"])
    run.add("link/h2", "thousand/s", others, note="not encrypted")
    ours, bytes_of_tls = scaled(samples["blocks"], MIB), scaled(samples["TLS 1.3 blocks"], MIB)
    run.add("link/blocks", "MiB/s", ours, against=["link/h2 blocks", "link/TLS 1.3 blocks"])
    bytes_of_h2 = scaled(samples["h2 blocks"], MIB / BLOCK_SIZE)
    run.add("link/h2 blocks", "MiB/s", bytes_of_h2, note="not encrypted, nothing checked")
    run.add("link/TLS 1.3 blocks", "MiB/s", bytes_of_tls, note="nothing checked")


def scaled(samples: Sequence[float], unit: float) -> list[float]:
    """In larger units."""
    return [value / unit for value in samples]
