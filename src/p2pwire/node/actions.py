"""What a `Node` asks of the program around it: dial, send, hang up, and work on the disk.

An action with a `ticket` is answered by `Node.disk_done` or `Node.disk_failed` with the same ticket, in any order; one
with a `dial` by `Node.dial_succeeded` or `Node.dial_failed`. Links are small integers that the node chose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import attrs

from p2pwire.content.manifest import Manifest
from p2pwire.content.merkle import Proved
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.tree import Tree
from p2pwire.content.units import BlockMap
from p2pwire.node.address import Endpoint


@attrs.frozen
class Dial:
    """Open a TCP connection."""

    dial: int
    endpoint: Endpoint


@attrs.frozen
class Transmit:
    """`Node.data_to_send(link)` has something."""

    link: int


@attrs.frozen
class ResumeReading:
    """`Node.wants_data(link)` is true again."""

    link: int


@attrs.frozen
class HangUp:
    """Close the carrier of a link when all that `data_to_send` gave is written. The node has forgotten the link."""

    link: int


@attrs.frozen
class Restored:
    """What an earlier attempt left of an object, checked again."""

    manifest: Manifest | None
    """None for a blob, and while it is not known."""
    held: BlockMap
    """The blocks of the files that are held; the node's from now on."""
    trees: Mapping[int, Tree]
    """By file, of files (and the manifest) with more than one block of which something is known; the node's, too."""


@attrs.frozen
class OpenDownload:
    """Make or resume the partial area of an object. Answer: `Restored`."""

    ticket: int
    topic: bytes
    info: ObjectInfo


@attrs.frozen
class StoreManifest:
    """Keep a verified manifest beside the blocks. Answer: None."""

    ticket: int
    topic: bytes
    raw: bytes
    manifest: Manifest


class BlockToWrite(NamedTuple):
    """One verified block and the nodes that its proof established."""

    file: int
    block: int
    data: memoryview
    proved: Proved


@attrs.frozen
class RunToWrite:
    """Neighbouring verified blocks of a file, and for each the nodes that its proof established."""

    file: int
    block: int
    """The first one."""
    data: tuple[memoryview, ...]
    proved: tuple[Proved, ...]

    @property
    def blocks(self) -> list[BlockToWrite]:
        """The same, block by block."""
        numbered = enumerate(zip(self.data, self.proved, strict=True), self.block)
        return [BlockToWrite(self.file, number, data, proved) for number, (data, proved) in numbered]


@attrs.frozen
class WriteBlocks:
    """Write verified blocks. Answer: None."""

    ticket: int
    topic: bytes
    runs: tuple[RunToWrite, ...]

    @property
    def blocks(self) -> list[BlockToWrite]:
        """All of them, one by one: work for those who write."""
        return [block for run in self.runs for block in run.blocks]


@attrs.frozen
class ReadBlocks:
    """Read whole blocks of one file; the last may be short. Answer: the bytes."""

    ticket: int
    topic: bytes
    file: int
    block: int
    count: int


@attrs.frozen
class FinishDownload:
    """Everything is verified and written: make the object appear under its name. Answer: None."""

    ticket: int
    topic: bytes


Action: TypeAlias = (
    Dial | Transmit | ResumeReading | HangUp | OpenDownload | StoreManifest | WriteBlocks | ReadBlocks | FinishDownload
)
DiskAction: TypeAlias = OpenDownload | StoreManifest | WriteBlocks | ReadBlocks | FinishDownload
