"""A blob, and the little that two ends of one link have to say to move it: commands that follow from events."""

from __future__ import annotations

import os
from collections.abc import Iterator

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.config import Config, Offer
from p2pwire.content.merkle import BLOCK, Tree, TreeBuilder, block_count, tree_height
from p2pwire.content.objects import ObjectInfo
from p2pwire.crypto.identity import Identity
from p2pwire.wire.registry import JoinFlag, ObjectKind


def some_bytes(size: int) -> bytes:
    """Bytes of which no two blocks are equal, and the same each time."""
    return b"".join(number.to_bytes(8, "big") * 1024 for number in range(-(-size // 8192)))[:size]


class Blob:
    """Content of one file, with its tree."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        builder = TreeBuilder()
        builder.update(data)
        leaves = builder.finish()
        self.info = ObjectInfo(ObjectKind.BLOB, len(data), leaves.root)
        self.tree = Tree.from_leaves(len(data), leaves.hashes)
        self.blocks = block_count(len(data))

    def config(self, *, known: bool) -> Config:
        """For an end that has the blob, or knows only its id."""
        offer = Offer(self.info.oid, JoinFlag(0), self.info if known else None)
        return Config(Identity.from_seed(os.urandom(32)), topics={self.info.topic: offer})

    def block(self, number: int) -> bytes:
        """One block."""
        return self.data[number * BLOCK : (number + 1) * BLOCK]


class Seeder:
    """The end that has it."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob

    def react(self, event: ev.Event) -> Iterator[cmd.Command]:
        """What follows from an event."""
        if isinstance(event, ev.TopicOpened):
            yield cmd.GrantCredit(2 * self._blob.blocks + 64)
        elif isinstance(event, ev.RequestReceived):
            end = min(event.block + 2**event.level, self._blob.blocks)
            height = tree_height(len(self._blob.data))
            for number in range(event.block, end):
                offset = number - event.block
                count = height if not offset else (offset & -offset).bit_length() - 1
                yield cmd.SendBlock(
                    event.id, self._blob.tree.siblings(number, count), self._blob.block(number), number + 1 == end
                )


class Fetcher:
    """The end that wants it: one request for each 2^level blocks, all at once."""

    def __init__(self, blob: Blob, level: int = 4) -> None:
        self._blob = blob
        self._level = min(level, tree_height(len(blob.data)))
        self._open = 0
        self.received = bytearray(len(blob.data))
        self.complete = False

    def react(self, event: ev.Event) -> Iterator[cmd.Command]:
        """What follows from an event."""
        info = self._blob.info
        if isinstance(event, ev.LinkEstablished):
            yield cmd.Join(info.topic)
        elif isinstance(event, ev.CreditReceived):
            for block in range(0, self._blob.blocks, 2**self._level):
                self._open += 1
                yield cmd.RequestBlocks(block, info.topic, 0, block, self._level, info.length, info.root)
        elif isinstance(event, ev.BlocksReceived):
            data = b"".join(event.data)
            self.received[event.block * BLOCK : event.block * BLOCK + len(data)] = data
        elif isinstance(event, ev.RequestEnded):
            self._open -= 1
            self.complete = not self._open and event.code is None
