"""One resource and the links on which its topic is open: what is known of it, what is held, who said what."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, unique
from typing import TYPE_CHECKING, NamedTuple

import attrs

from p2pwire.connection.config import Offer
from p2pwire.connection.events import RequestReceived
from p2pwire.content.manifest import Manifest
from p2pwire.content.merkle import Proved, Tree, block_count, proof_count, tree_height
from p2pwire.content.objects import ObjectInfo, topic_of
from p2pwire.content.units import BlockMap, Layout
from p2pwire.node.actions import RunToWrite
from p2pwire.node.picker import Picker
from p2pwire.wire.registry import BLOCK_SIZE, MANIFEST_FILE, JoinFlag, ObjectKind, RejectCode

if TYPE_CHECKING:
    from p2pwire.node.link import Link


@unique
class Phase(Enum):
    """How far a resource has come; only forward, but for FAILED."""

    SEEKING = "only the id is known"
    OPENING = "the storage looks for what is held already"
    MANIFEST = "the manifest is fetched"
    STORING = "the storage takes the manifest"
    CONTENT = "the files are fetched"
    FINISHING = "the storage puts the files under their name"
    COMPLETE = "everything is held and served"
    FAILED = "it can not go on, and the topic is left"


@attrs.frozen
class Resource:
    """Content of the user's own, hashed."""

    info: ObjectInfo
    manifest: Manifest | None
    """None for a blob."""
    trees: Mapping[int, Tree]
    """By file, of files (and the manifest) with more than one block; the node's from now on."""
    held: BlockMap | None = None
    """The blocks that can be read; None: all. The node's from now on."""


class Unwritten(NamedTuple):
    """Neighbouring verified blocks that wait for the disk."""

    link: Link
    """That they came over."""
    first: int
    """Global number of the first."""
    blocks: int
    """How many."""
    size: int
    """How many bytes."""
    run: RunToWrite


@attrs.define(eq=False)
class Swarm:
    """One resource of a node."""

    topic: bytes
    oid: bytes = attrs.field(repr=False)
    phase: Phase = Phase.SEEKING
    own: bool = False
    """The user's own content, as against a fetch."""
    sequential: bool = False
    expected_length: int | None = None
    """What the user was told; None: nothing."""
    info: ObjectInfo | None = None
    manifest: Manifest | None = None
    layout: Layout = attrs.field(factory=lambda: Layout.of_lengths(()))
    held: BlockMap = attrs.field(factory=lambda: BlockMap(0))
    trees: dict[int, Tree] = attrs.field(factory=dict)
    picker: Picker | None = None
    links: dict[int, JoinFlag] = attrs.field(factory=dict)
    """link -> the other side's flags, while the topic is open there."""
    idle: dict[int, None] = attrs.field(factory=dict)
    """Of these, those of which nothing is left to ask for."""
    holders: dict[int, int] = attrs.field(factory=dict)
    """unit -> links that hold it, where that was counted and has not changed since."""
    sources: dict[bytes, int] = attrs.field(factory=dict)
    """identity -> content bytes that came from it."""
    uploaded: dict[int, int] = attrs.field(factory=dict)
    """unit -> blocks of it that were sent, to whomever."""
    usual_wait: float = 0.0
    """Seconds from a request to its blocks, on average of late; 0 before any came."""
    moves: dict[int, int] = attrs.field(factory=dict)
    """block -> how often its request was given up for one to another link; of the last ones alone."""
    done: int = 0
    """Content bytes held."""
    total: int = 0
    """Content bytes in all, once the layout is known."""
    manifest_blocks: dict[int, bytes] = attrs.field(factory=dict)
    """While the manifest is fetched."""
    unwritten: deque[Unwritten] = attrs.field(factory=deque)
    """Verified blocks that wait for the disk."""
    waiting: int = 0
    """How many blocks these are."""
    backlog: int = 0
    """Verified blocks that are not written: those that wait, and those on their way to the disk."""
    writing: bool = False
    """Blocks are on their way to the disk: one piece of work at a time, so that neighbours gather meanwhile."""
    fresh: list[tuple[int, int]] = attrs.field(factory=list)
    """Units completed and not announced yet."""

    @classmethod
    def shared(cls, resource: Resource) -> Swarm:
        """Content of the user's own."""
        info = resource.info
        swarm = cls(info.topic, info.oid, Phase.COMPLETE, own=True, info=info, trees=dict(resource.trees))
        swarm.know_files(resource.manifest)
        if resource.held is not None:
            swarm.hold(resource.held)
        elif swarm.held.total:
            swarm.held.add_span(0, swarm.held.total - 1)
            swarm.done = swarm.total
        return swarm

    @classmethod
    def sought(cls, oid: bytes, *, length: int | None, sequential: bool) -> Swarm:
        """Content of which the id is known, and the length perhaps."""
        return cls(topic_of(oid), oid, sequential=sequential, expected_length=length)

    # --- what it is ---

    @property
    def knows_files(self) -> bool:
        """Whether the layout is known: the manifest of a folder, the length of a blob."""
        return self.info is not None and (self.info.kind == ObjectKind.BLOB or self.manifest is not None)

    @property
    def size(self) -> int | None:
        """Content bytes in all, as soon as they are known."""
        if self.info is not None and self.info.kind == ObjectKind.BLOB:
            return self.info.length
        return self.total if self.manifest is not None else None

    @property
    def flags(self) -> JoinFlag:
        """What own JOIN says."""
        flags = JoinFlag.WANTS_PEERS
        if self.manifest is not None:
            flags |= JoinFlag.HAS_MANIFEST
        if self.phase in (Phase.COMPLETE, Phase.FAILED):
            flags |= JoinFlag.UPLOAD_ONLY
        return flags

    def complete_with(self, flags: JoinFlag) -> bool:
        """Whether neither side wants anything, if the other one's JOIN says this."""
        return self.phase is Phase.COMPLETE and JoinFlag.UPLOAD_ONLY in flags

    @property
    def offer(self) -> Offer:
        """The entry of the catalogue."""
        return Offer(self.oid, self.flags, self.info)

    def know_files(self, manifest: Manifest | None) -> None:
        """The files are known: those of the manifest, or the one of a blob."""
        assert self.info is not None
        self.manifest = manifest
        self.layout = Layout.of_lengths([self.info.length]) if manifest is None else manifest.layout
        self.held = BlockMap(self.layout.total_blocks)
        self.total = self.info.length if manifest is None else manifest.total_length

    def hold(self, held: BlockMap) -> None:
        """These blocks are held. Raises `ValueError` for the map of another object."""
        if held.total != self.layout.total_blocks:
            raise ValueError(f"held: a map of {held.total} blocks, the object has {self.layout.total_blocks}")
        self.held = held
        self.done = sum(self.length_of(first, last) for first, last in held.spans())

    def file(self, index: int) -> tuple[int, bytes] | None:
        """Length and root of a file; None if there is none, or it is not known yet."""
        info = self.info
        if info is None:
            return None
        if index == MANIFEST_FILE:
            return (info.length, info.root) if info.kind == ObjectKind.MANIFEST else None
        if info.kind == ObjectKind.BLOB:
            return (info.length, info.root) if index == 0 else None
        if self.manifest is None or index >= len(self.manifest):
            return None
        return self.manifest.file(index)

    # --- links ---

    def holders_changed(self, spans: Iterable[tuple[int, int]]) -> None:
        """Inclusive spans of units are held by more links, or by fewer."""
        for first, last in spans:
            if last - first >= len(self.holders):
                self.holders = {unit: count for unit, count in self.holders.items() if not first <= unit <= last}
            else:
                for unit in range(first, last + 1):
                    self.holders.pop(unit, None)

    # --- blocks ---

    def length_of(self, first: int, last: int) -> int:
        """Content bytes of a span of global blocks."""
        size = 0
        for file, low, high in self.layout.files_of(first, last):
            found = self.file(file)
            assert found is not None
            size += min(found[0], (high + 1) * BLOCK_SIZE) - low * BLOCK_SIZE
        return size

    def keep_nodes(self, file: int, first: int, proofs: Sequence[Proved]) -> None:
        """Keep what the proofs of neighbouring blocks established, for proofs to others."""
        tree = self.trees.get(file)
        if tree is None:
            if not any(proved.siblings for proved in proofs):
                return  # a file of one block
            found = self.file(file)
            assert found is not None
            tree = self.trees[file] = Tree(*found)
        for block, proved in enumerate(proofs, first):
            if proved.siblings:
                tree.add(block, proved.ancestors, proved.siblings)

    def proofs(self, file: int, first: int, end: int, start: int) -> list[tuple[bytes, ...]]:
        """The proofs of held blocks, up to but without `end`, in the answer to a request from block `start` on."""
        found = self.file(file)
        assert found is not None
        if found[0] <= BLOCK_SIZE:
            return [()]
        tree = self.trees[file]
        siblings, height = tree.siblings, tree.height
        return [
            () if (block - start) & 1 else siblings(block, proof_count(height, block, start))
            for block in range(first, end)
        ]

    def judge(self, request: RequestReceived) -> RejectCode | None:
        """Why a request can not be served; None if it can [TR-041] [TR-042] [TR-043], in this order [TR-037]."""
        if self.info is None:
            return RejectCode.NOT_AVAILABLE
        manifest = request.file == MANIFEST_FILE
        if not self.knows_files and not (manifest and self.info.kind == ObjectKind.MANIFEST):
            return RejectCode.NOT_AVAILABLE
        found = self.file(request.file)
        if found is None or not found[0]:
            return RejectCode.OUT_OF_RANGE
        blocks = block_count(found[0])
        if request.block >= blocks or request.level > tree_height(found[0]):
            return RejectCode.OUT_OF_RANGE
        if manifest:
            return None if self.manifest is not None else RejectCode.NOT_AVAILABLE
        if not self.layout.files:
            return RejectCode.NOT_AVAILABLE  # the storage has not told yet what it has
        first = self.layout.first_block(request.file) + request.block
        last = first + min(1 << request.level, blocks - request.block) - 1
        return None if self.held.holds(first, last) else RejectCode.NOT_AVAILABLE
