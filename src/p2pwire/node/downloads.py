"""Fetching: from an object's description to files under their name.

Changes swarms' phases, holdings and blocks for the disk, and links' `unwritten`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Final

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.content.bitmap import spans_of
from p2pwire.content.manifest import Manifest, ManifestError
from p2pwire.content.merkle import block_count
from p2pwire.content.objects import ObjectInfo
from p2pwire.node.actions import FinishDownload, OpenDownload, Restored, RunToWrite, StoreManifest, WriteBlocks
from p2pwire.node.alarms import Alarms
from p2pwire.node.announcing import Announcing
from p2pwire.node.asking import BACKLOG, Asking
from p2pwire.node.core import Core
from p2pwire.node.events import BlocksStored, ContentKnown, FetchComplete, FetchFailed, ObjectKnown
from p2pwire.node.flights import OneFile
from p2pwire.node.link import Link
from p2pwire.node.picker import SEQUENTIAL, Picker, PickerConfig
from p2pwire.node.swarm import Phase, Swarm, Unwritten
from p2pwire.wire.registry import MANIFEST_FILE, ObjectKind

BATCH: Final = 256
"""blocks from which a piece of disk work takes no more: 4 MiB."""


WRITE_FROM: Final = 16
"""blocks from which the disk is given them at once: to hand over fewer costs more than to write them."""

WRITE_DELAY: Final = 0.02
"""seconds that fewer blocks wait for others to come."""


class LengthError(Exception):
    """The object has another length than the user was told [UR-013]."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"length: the object has {actual} bytes, expected are {expected}")


class Downloads:
    """All fetches of a node."""

    def __init__(self, core: Core, asking: Asking, announcing: Announcing, picking: PickerConfig | None = None) -> None:
        self._core = core
        self._asking = asking
        self._announcing = announcing
        self._picking = picking
        self._alarms: Alarms[Swarm] = Alarms(core.horizon)

    # --- phases ---

    def describe(self, swarm: Swarm, info: ObjectInfo) -> None:
        """What the object is has become known; without effect if it was."""
        if swarm.info is not None:
            return
        swarm.info = info
        self._core.events.append(ObjectKnown(swarm.topic, info))
        if swarm.expected_length not in (None, info.length):
            self.fail(swarm, LengthError(swarm.expected_length or 0, info.length))
            return
        swarm.phase = Phase.OPENING
        self._core.publish(swarm)
        self._tell(swarm, cmd.TellObject(swarm.topic, info))
        # Nothing is reserved for the length before the storage has agreed to it [TR-008].
        ticket = self._core.ticket(partial(self._opened, swarm), partial(self._disk_failed, swarm))
        self._core.actions.append(OpenDownload(ticket, swarm.topic, info))

    def _opened(self, swarm: Swarm, restored: Restored) -> None:
        if not self._core.current(swarm):
            return
        assert swarm.info is not None
        swarm.trees = dict(restored.trees)
        if swarm.info.kind == ObjectKind.BLOB or restored.manifest is not None:
            swarm.know_files(restored.manifest)
            swarm.hold(restored.held)
            self._begin_content(swarm)
        else:
            swarm.phase = Phase.MANIFEST
            picker = Picker(OneFile(MANIFEST_FILE, block_count(swarm.info.length)), self._core.random, SEQUENTIAL)
            picker.read_from(0)
            self._asking.begin(swarm, picker)

    def _manifest_fetched(self, swarm: Swarm) -> None:
        self._asking.end(swarm)
        raw = b"".join(swarm.manifest_blocks[index] for index in range(len(swarm.manifest_blocks)))
        swarm.manifest_blocks = {}
        try:
            manifest = Manifest.decode(raw)  # completely, before any entry is used [OB-033]
        except ManifestError as error:
            self.fail(swarm, error)  # the topic is left, and nothing held against anybody [OB-034]
            return
        swarm.phase = Phase.STORING
        ticket = self._core.ticket(partial(self._manifest_stored, swarm, manifest), partial(self._disk_failed, swarm))
        self._core.actions.append(StoreManifest(ticket, swarm.topic, raw, manifest))

    def _manifest_stored(self, swarm: Swarm, manifest: Manifest, result: None) -> None:
        if self._core.current(swarm):
            swarm.know_files(manifest)
            self._begin_content(swarm)

    def _begin_content(self, swarm: Swarm) -> None:
        swarm.phase = Phase.CONTENT
        self._core.publish(swarm)
        self._tell(swarm, cmd.Join(swarm.topic))  # the manifest is there now [TP-014]
        picker = Picker(swarm.layout, self._core.random, SEQUENTIAL if swarm.sequential else self._picking)
        for first, last in swarm.held.spans():
            picker.exclude(first, last)
        if swarm.sequential:
            picker.read_from(0)
        self._core.events.append(ContentKnown(swarm.topic, swarm.done, swarm.total))
        self._announcing.units_held(swarm, list(swarm.held.units()))
        self._asking.begin(swarm, picker)
        self._finish_if_complete(swarm)

    def _finish_if_complete(self, swarm: Swarm) -> None:
        if swarm.phase is not Phase.CONTENT or not swarm.held.complete:
            return
        swarm.phase = Phase.FINISHING
        self._asking.end(swarm)
        ticket = self._core.ticket(partial(self._finished, swarm), partial(self._disk_failed, swarm))
        self._core.actions.append(FinishDownload(ticket, swarm.topic))

    def _finished(self, swarm: Swarm, result: None) -> None:
        if not self._core.current(swarm):
            return
        swarm.phase = Phase.COMPLETE
        self._core.publish(swarm)
        self._tell(swarm, cmd.Join(swarm.topic))  # nothing is wanted any more [TP-014]
        self._core.events.append(FetchComplete(swarm.topic, swarm.total, dict(swarm.sources)))

    def _disk_failed(self, swarm: Swarm, error: Exception) -> None:
        self.fail(swarm, error)

    def fail(self, swarm: Swarm, error: Exception) -> None:
        """The fetch can not go on: its topic is left everywhere; what was verified is the storage's."""
        if self._core.current(swarm):
            swarm.phase = Phase.FAILED
            self.forget(swarm)
            self._core.withdrawn.append(swarm)
            self._core.events.append(FetchFailed(swarm.topic, error))

    def forget(self, swarm: Swarm) -> None:
        """Nothing is fetched or announced for this swarm any more."""
        self._asking.end(swarm)
        self._announcing.forget(swarm)
        self._alarms.cancel(swarm)
        unwritten, swarm.unwritten = swarm.unwritten, deque()
        swarm.waiting = 0
        self._core.unwritten.pop(swarm, None)
        self._release(swarm, unwritten)

    # --- links ---

    def link_opened(self, swarm: Swarm, link: Link) -> None:
        """The topic is open on a link."""
        self._asking.link_opened(swarm, link)
        self._announcing.link_opened(swarm, link)

    def link_closed(self, swarm: Swarm, link: Link) -> None:
        """The topic is open on a link no longer."""
        self._asking.link_closed(swarm, link)
        self._announcing.link_closed(swarm, link)

    def _tell(self, swarm: Swarm, command: cmd.Join | cmd.TellObject) -> None:
        for number in swarm.links:
            link = self._core.links[number]
            if link.established and link.connection.is_open(swarm.topic):
                self._core.send_counted(link, command)

    # --- blocks ---

    def blocks_received(self, link: Link, event: ev.BlocksReceived) -> tuple[int, int]:
        """Verified blocks came: how many of them were missing, and their bytes."""
        count, size = len(event.data), sum(map(len, event.data))
        link.bytes_received += size
        link.in_flight -= count
        asked = link.asked[event.request]
        swarm, picker = asked.swarm, asked.picker
        if swarm.picker is not picker:
            return 0, 0
        # Of each block, missing or not: proofs that come later lean on it.
        swarm.keep_nodes(event.file, event.block, event.proved)
        first = asked.picked.global_first + event.block - asked.picked.block
        missing = picker.missing_of(first, count)
        if not missing:
            return 0, 0
        self._asking.arrived(picker, link, first, count)
        found = missing.bit_count()
        if found == count:
            run = RunToWrite(event.file, event.block, event.data, event.proved)
            self._keep(swarm, Unwritten(link, first, count, size, run))
        else:
            size = 0
            for low, high in spans_of(missing):
                run = RunToWrite(
                    event.file, event.block + low, event.data[low : high + 1], event.proved[low : high + 1]
                )
                part = sum(map(len, run.data))
                self._keep(swarm, Unwritten(link, first + low, len(run.data), part, run))
                size += part
        if swarm.phase is Phase.MANIFEST and not picker.remaining:
            self._manifest_fetched(swarm)
        return found, size

    def _keep(self, swarm: Swarm, waiting: Unwritten) -> None:
        """Keep missing blocks until they are written; those of the manifest, until it is complete."""
        if swarm.phase is Phase.MANIFEST:
            for block, data in enumerate(waiting.run.data, waiting.run.block):
                swarm.manifest_blocks[block] = bytes(data)
            return
        waiting.link.unwritten += waiting.blocks
        swarm.unwritten.append(waiting)
        swarm.waiting += waiting.blocks
        swarm.backlog += waiting.blocks
        if not swarm.writing:
            self._core.unwritten[swarm] = None

    def write(self) -> None:
        """Hand verified blocks to the disk, where it is idle; a few only when they have waited, or are the last."""
        while self._core.unwritten:
            swarm, _ = self._core.unwritten.popitem()
            if swarm.waiting >= WRITE_FROM or swarm.picker is None or not swarm.picker.remaining:
                self._write(swarm)
            elif swarm not in self._alarms:
                # It stays set when they are written before, and comes early then for those that follow.
                self._alarms.set(swarm, self._core.now + WRITE_DELAY)

    def _write(self, swarm: Swarm) -> None:
        batch: list[Unwritten] = []
        count = 0
        while swarm.unwritten and count < BATCH:
            batch.append(swarm.unwritten.popleft())
            count += batch[-1].blocks
        swarm.waiting -= count
        swarm.writing = True
        ticket = self._core.ticket(partial(self._wrote, swarm, batch), partial(self._write_failed, swarm, batch))
        self._core.actions.append(WriteBlocks(ticket, swarm.topic, tuple(waiting.run for waiting in batch)))

    def on_time(self) -> None:
        """Blocks that are still few are written."""
        for swarm in self._alarms.due(self._core.now):
            if swarm.unwritten and not swarm.writing:
                self._core.unwritten.pop(swarm, None)
                self._write(swarm)

    def next_timeout(self) -> float | None:
        """When `on_time` has something to do."""
        return self._alarms.next()

    def _wrote(self, swarm: Swarm, batch: list[Unwritten], result: None) -> None:
        self._release(swarm, batch)
        if not self._core.current(swarm):
            return
        swarm.writing = False
        if swarm.unwritten:
            self._core.unwritten[swarm] = None
        given: dict[bytes, tuple[int, int]] = {}
        for link, first, count, size, _ in batch:
            # Only what was missing is written, so all of it is new.
            swarm.held.add_span(first, first + count - 1)
            self._announcing.blocks_held(swarm, first, first + count - 1)
            blocks, total = given.get(link.identity, (0, 0))
            given[link.identity] = blocks + count, total + size
        for source, (blocks, total) in given.items():
            swarm.done += total
            swarm.sources[source] = swarm.sources.get(source, 0) + total
            self._core.events.append(BlocksStored(swarm.topic, source, blocks, total))
        self._finish_if_complete(swarm)

    def _write_failed(self, swarm: Swarm, batch: list[Unwritten], error: Exception) -> None:
        self._release(swarm, batch)
        self.fail(swarm, error)

    def _release(self, swarm: Swarm, batch: Iterable[Unwritten]) -> None:
        before = swarm.backlog
        for waiting in batch:
            swarm.backlog -= waiting.blocks
            waiting.link.unwritten -= waiting.blocks
            self._core.unsettle(waiting.link)
        if before > BACKLOG >= swarm.backlog:
            self._core.restless[swarm] = None
