"""Many sessions of one kind in a process: `KIND COUNT DIRECTORY`. Says what the process grew by for each, in bytes."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from p2pwire.connection import commands as cmd
from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import MAX_READ, Connection
from p2pwire.crypto.identity import Identity
from p2pwire.node.node import Node
from p2pwire.storage.memory import share_bytes
from p2pwire.wire.registry import BLOCK_SIZE
from tests.bench import rivals, tls
from tests.bench.handshake import shake_hands
from tests.bench.link import NOW, Ends, carry, take
from tests.bench.processes import resident_memory, say

WARM: Final = 20
"""sessions made and dropped beforehand, so that what all share is there."""

UNIX_TIME: Final = 1_800_000_000.0


def idle_links() -> Callable[[], object]:
    """One end of a link."""
    near, far = (Config(Identity.from_seed(os.urandom(32))) for _ in range(2))
    return lambda: shake_hands((near, far))[1]


def busy_links() -> Callable[[], object]:
    """The asking end of a link on which as much is asked for as may be, and much has come that is not parsed."""
    content = share_bytes(os.urandom(512 * BLOCK_SIZE))

    def make() -> Connection:
        info = content.info
        ends = Ends(info)
        ends.grant(512)
        for number in range(min(256, ends.asking.requests_left)):
            ends.asking.send(cmd.RequestBlocks(number, info.topic, 0, number, 0, info.length, info.root))
        carry(ends.asking, ends.serving)
        take(ends.serving)
        for number in range(MAX_READ // BLOCK_SIZE - 1):
            siblings = content.trees[0].siblings(number, content.trees[0].height)
            ends.serving.send(cmd.SendBlock(number, siblings, content.read_blocks(0, number, 1), last=True))
            carry(ends.serving, ends.asking)
        return ends.asking

    return make


def node_links() -> Callable[[], object]:
    """A further link of one node, with its other end at a connection that is dropped."""
    node = Node(Identity.from_seed(os.urandom(32)), None, now=NOW, unix_time=UNIX_TIME, random=os.urandom)
    return lambda: attach(node)


def attach(node: Node) -> int:
    """A link of a node that is open; its other end is a connection of its own, which ends without a word."""
    far = Connection(Role.INITIATOR, Config(Identity.from_seed(os.urandom(32))), now=NOW, random=os.urandom)
    link = node.attach(Role.RESPONDER, NOW)
    moved = True
    while moved:
        moved = False
        for data in far.data_to_send(NOW):
            node.receive_data(link, data, NOW)
            moved = True
        for data in node.data_to_send(link, NOW):
            far.receive_data(data, NOW)
            moved = True
        take(far)
        while node.next_action() is not None or node.next_event() is not None:
            pass
    return link


def tls_sessions(directory: Path) -> Callable[[], object]:
    """The server's end of a TLS session, with its buffers."""
    certificate = directory / "sessions.pem"
    tls.write_certificate(certificate)
    contexts = tls.mutual_contexts(certificate)
    return lambda: tls.handshake(*contexts)[1]


def quic_connections(directory: Path) -> Callable[[], object]:
    """The server's end of a QUIC connection."""
    certificate = directory / "quic.pem"
    tls.write_certificate(certificate)
    configurations = rivals.aioquic_configurations(str(certificate))
    return lambda: rivals.aioquic_handshake(configurations)[1]


def maker(kind: str, directory: Path) -> Callable[[], object]:
    """What makes one more session of a kind."""
    found: dict[str, Callable[[], Callable[[], Any]]] = {
        "idle link": idle_links,
        "link of a node": node_links,
        "busy link": busy_links,
        "h11": lambda: rivals.h11_idle,
        "h2": lambda: rivals.h2_idle,
        "wsproto": lambda: rivals.wsproto_idle,
        "aioquic": lambda: quic_connections(directory),
        "ssl": lambda: tls_sessions(directory),
    }
    return found[kind]()


def weigh(make: Callable[[], object], count: int) -> float:
    """Bytes that the process grows by for each."""
    for _ in range(WARM):
        make()
    gc.collect()
    kept: list[object] = [None] * count
    before = resident_memory()
    for number in range(count):
        kept[number] = make()
    gc.collect()
    return (resident_memory() - before) / count


def main(kind: str, count: str, directory: str) -> None:
    """Weigh, and say it; or what a rival lacks."""
    try:
        say(bytes=weigh(maker(kind, Path(directory)), int(count)))
    except ImportError as error:
        say(error=str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
