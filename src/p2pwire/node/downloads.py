"""Fetching: from an object's description to files under their name.

Changes swarms' phases, holdings and requests, and links' `in_flight`, `unwritten` and `quiet_until`.
"""

from __future__ import annotations

from functools import partial

import attrs

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.content.manifest import Manifest, ManifestError
from p2pwire.content.merkle import block_count
from p2pwire.content.objects import ObjectInfo
from p2pwire.node.actions import (
    BlockToWrite,
    FinishDownload,
    OpenDownload,
    Restored,
    StoreManifest,
    WriteBlocks,
)
from p2pwire.node.core import Core
from p2pwire.node.events import BlockStored, ContentKnown, FetchComplete, FetchFailed, ObjectKnown
from p2pwire.node.flights import OneFile, PickedRequest
from p2pwire.node.link import Link
from p2pwire.node.picker import Picker
from p2pwire.node.swarm import Phase, Swarm
from p2pwire.wire.registry import (
    HAVE_DELAY,
    MANIFEST_FILE,
    SNUB_TIMEOUTS,
    JoinFlag,
    ObjectKind,
    RejectCode,
)

PIPELINE = 256
"""blocks asked of one link and not come yet: 4 MiB keep a link of 300 Mbit/s and 100 ms busy."""

REQUEST_BATCH = 32
"""blocks of room for which further requests wait while more than so many blocks are on their way."""

BATCH = 256
"""blocks written in one piece of disk work at most: 4 MiB."""

DEFAULT_RETRY = 1.0
"""seconds before a link is asked again that said CHOKED or BUSY without a time."""


class LengthError(Exception):
    """The object has another length than the user was told [UR-013]."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"length: the object has {actual} bytes, the URI says {expected}")


@attrs.define(eq=False)
class Unwritten:
    """A verified block that waits for the disk."""

    link: Link | None
    source: bytes
    block: BlockToWrite
    number: int
    """Global."""


@attrs.define(eq=False)
class Writing:
    """The disk work of one swarm: one piece at a time, so that neighbours gather meanwhile."""

    waiting: list[Unwritten] = attrs.field(factory=list)
    busy: bool = False


class Downloads:
    """All fetches of a node."""

    def __init__(self, core: Core, pipeline: int = PIPELINE) -> None:
        self._core = core
        self._pipeline = pipeline
        self._writing: dict[bytes, Writing] = {}
        self._announce_at: dict[bytes, float] = {}

    # --- phases ---

    def describe(self, swarm: Swarm, info: ObjectInfo, now: float) -> None:
        """What the object is has become known; without effect if it was."""
        if swarm.info is not None:
            return
        swarm.info = info
        swarm.phase = Phase.OPENING
        self._core.publish(swarm)
        self._core.events.append(ObjectKnown(swarm.topic, info))
        if swarm.expected_length not in (None, info.length):
            self._failed(swarm, LengthError(swarm.expected_length or 0, info.length))
            return
        ticket = self._core.ticket(
            lambda restored, at: self._opened(swarm, restored, at), lambda error, at: self._failed(swarm, error)
        )
        self._core.actions.append(OpenDownload(ticket, swarm.topic, info))
        self._each_link(swarm, cmd.TellObject(swarm.topic, info))

    def _opened(self, swarm: Swarm, restored: Restored, now: float) -> None:
        if self._gone(swarm):
            return
        assert swarm.info is not None
        swarm.trees = dict(restored.trees)
        if swarm.info.kind == ObjectKind.MANIFEST and restored.manifest is None:
            self._begin_manifest(swarm)
        else:
            self._begin_content(swarm, restored.manifest, now)
            swarm.held = restored.held
            swarm.done = sum(swarm.length_of(first, last) for first, last in restored.held.spans())
            self._begin_picking(swarm, now)

    def _begin_manifest(self, swarm: Swarm) -> None:
        assert swarm.info is not None
        blocks = block_count(swarm.info.length)
        swarm.phase = Phase.MANIFEST
        swarm.picker = Picker(OneFile(MANIFEST_FILE, blocks), self._core.random)
        swarm.picker.read_from(0)
        for number in swarm.links:
            swarm.picker.link_added(number)
            self._offer_manifest(swarm, number)
        self._refresh(swarm)

    def _manifest_fetched(self, swarm: Swarm, now: float) -> None:
        raw = b"".join(swarm.manifest_blocks[index] for index in range(len(swarm.manifest_blocks)))
        try:
            manifest = Manifest.decode(raw)
        except ManifestError as error:
            self._failed(swarm, error)
            return
        swarm.phase = Phase.STORING
        swarm.picker = None
        ticket = self._core.ticket(
            lambda _, at: self._manifest_stored(swarm, manifest, at), lambda error, at: self._failed(swarm, error)
        )
        self._core.actions.append(StoreManifest(ticket, swarm.topic, raw, manifest))

    def _manifest_stored(self, swarm: Swarm, manifest: Manifest, now: float) -> None:
        if not self._gone(swarm):
            self._begin_content(swarm, manifest, now)
            self._begin_picking(swarm, now)

    def _begin_content(self, swarm: Swarm, manifest: Manifest | None, now: float) -> None:
        swarm.know_files(manifest)
        swarm.phase = Phase.CONTENT

    def _begin_picking(self, swarm: Swarm, now: float) -> None:
        picker = Picker(swarm.layout, self._core.random)
        for first, last in swarm.held.spans():
            picker.exclude(first, last - first + 1)
        if swarm.sequential:
            picker.read_from(0)
        swarm.picker = picker
        for number in swarm.links:
            picker.link_added(number)
            connection = self._core.links[number].connection
            picker.units_added(number, connection.peer_units(swarm.topic))
        self._core.publish(swarm)
        self._each_link(swarm, cmd.Join(swarm.topic))  # tells the new flags
        swarm.fresh = list(swarm.held.units())
        self._announce_soon(swarm, now)
        self._core.events.append(ContentKnown(swarm.topic, swarm.done, swarm.total))
        self._refresh(swarm)
        self._finish_if_complete(swarm, now)

    def _finish_if_complete(self, swarm: Swarm, now: float) -> None:
        if swarm.phase is not Phase.CONTENT or not swarm.held.complete:
            return
        swarm.phase = Phase.FINISHING
        swarm.picker = None
        self._refresh(swarm)
        ticket = self._core.ticket(
            lambda _, at: self._finished(swarm, at), lambda error, at: self._failed(swarm, error)
        )
        self._core.actions.append(FinishDownload(ticket, swarm.topic))

    def _finished(self, swarm: Swarm, now: float) -> None:
        if self._gone(swarm):
            return
        swarm.phase = Phase.COMPLETE
        self._core.publish(swarm)
        self._each_link(swarm, cmd.Join(swarm.topic))
        self._core.events.append(FetchComplete(swarm.topic, swarm.total, dict(swarm.sources)))

    def _failed(self, swarm: Swarm, error: Exception) -> None:
        if self._gone(swarm) or swarm.phase is Phase.FAILED:
            return
        swarm.phase = Phase.FAILED
        swarm.picker = None
        for number, request in list(swarm.asked):
            link = self._core.links.get(number)
            if link is not None and not link.over:
                link.connection.send(cmd.CancelRequest(request))
        self._writing.pop(swarm.topic, None)
        self._core.publish(swarm)
        self._refresh(swarm)
        self._core.events.append(FetchFailed(swarm.topic, error))

    def forget(self, swarm: Swarm) -> None:
        """Nothing is fetched or announced for this swarm any more."""
        for waiting in self._writing.pop(swarm.topic, Writing()).waiting:
            self._written(waiting)
        self._announce_at.pop(swarm.topic, None)

    def _gone(self, swarm: Swarm) -> bool:
        return self._core.swarms.get(swarm.topic) is not swarm

    # --- links ---

    def link_opened(self, swarm: Swarm, link: Link) -> None:
        """The topic is open on a link."""
        if swarm.picker is not None:
            swarm.picker.link_added(link.id)
            if swarm.phase is Phase.MANIFEST:
                self._offer_manifest(swarm, link.id)
        self.tell_interest(swarm, link)

    def flags_changed(self, swarm: Swarm, link: Link) -> None:
        """The other side has the manifest now, perhaps."""
        if swarm.phase is Phase.MANIFEST:
            self._offer_manifest(swarm, link.id)
        self.tell_interest(swarm, link)

    def units_changed(self, swarm: Swarm, link: Link, event: ev.UnitsChanged) -> None:
        """The other side holds more, or less."""
        if swarm.picker is not None and swarm.phase is Phase.CONTENT:
            swarm.picker.units_added(link.id, event.added)
            swarm.picker.units_removed(link.id, event.removed)
            self.tell_interest(swarm, link)

    def link_closed(self, swarm: Swarm, link: Link) -> None:
        """The topic is open on a link no longer."""
        if swarm.picker is not None:
            swarm.picker.link_removed(link.id)
            self._refresh(swarm)

    def _offer_manifest(self, swarm: Swarm, number: int) -> None:
        assert swarm.picker is not None
        if JoinFlag.HAS_MANIFEST in swarm.links[number]:
            swarm.picker.units_added(number, [(0, swarm.picker.total_blocks - 1)])

    def tell_interest(self, swarm: Swarm, link: Link) -> None:
        """Say whether more would be asked for; the connection sends only changes."""
        if link.established and link.connection.is_open(swarm.topic):
            wants = swarm.picker is not None and swarm.picker.wants_anything(link.id)
            link.connection.send(cmd.TellInterest(swarm.topic, wants))

    def _each_link(self, swarm: Swarm, command: cmd.Command) -> None:
        for number in swarm.links:
            link = self._core.links[number]
            if link.established and link.connection.is_open(swarm.topic):
                link.connection.send(command)
                self._core.unsettle(link)

    def _refresh(self, swarm: Swarm) -> None:
        for number in swarm.links:
            link = self._core.links[number]
            self.tell_interest(swarm, link)
            self._core.unsettle(link)

    # --- requests ---

    def fill(self, link: Link, now: float) -> None:
        """Ask a link for as much as it may be asked for."""
        connection = link.connection
        if not link.established or now < link.quiet_until:
            return
        for topic in link.topics:
            swarm = self._core.swarms.get(topic)
            if swarm is None or swarm.picker is None:
                continue
            while connection.requests_left and (room := min(connection.credit, self._pipeline - link.in_flight)) > 0:
                if room < REQUEST_BATCH < link.in_flight:
                    break  # credit comes in drops, and many small requests cost more than a few large ones
                picked = swarm.picker.next_request(link.id, room, now)
                if picked is None:
                    break
                self._ask(swarm, link, picked)

    def _ask(self, swarm: Swarm, link: Link, picked: PickedRequest) -> None:
        found = swarm.file(picked.file)
        assert found is not None
        number = link.request_id()
        command = cmd.RequestBlocks(number, swarm.topic, picked.file, picked.block, picked.level, *found)
        link.connection.send(command)
        swarm.asked[link.id, number] = picked
        link.in_flight += picked.count

    def request_ended(self, link: Link, event: ev.RequestEnded, now: float) -> None:
        """An own request is over; what it did not bring is asked for elsewhere, or again."""
        swarm = self._core.swarms.get(event.topic)
        picked = swarm.asked.pop((link.id, event.request), None) if swarm is not None else None
        if swarm is None or picked is None:
            return
        if event.code is not None:
            link.in_flight -= min(link.in_flight, picked.count - event.blocks)
            if event.code in (RejectCode.CHOKED, RejectCode.BUSY):
                link.quiet_until = max(link.quiet_until, now + (event.retry or DEFAULT_RETRY))
        if swarm.picker is not None:
            refused = event.code in (RejectCode.NOT_AVAILABLE, RejectCode.OUT_OF_RANGE)
            swarm.picker.request_ended(link.id, picked, unavailable=refused)
            self._refresh(swarm)

    def timed_out(self, link: Link, event: ev.RequestsTimedOut, now: float) -> None:
        """Nothing came: ask others; after the third time ask this one no more until something comes."""
        for swarm in self._core.swarms.values():
            if link.id in swarm.links and swarm.picker is not None:
                swarm.picker.release(link.id)
                self._refresh(swarm)
        if event.count >= SNUB_TIMEOUTS:
            link.quiet_until = float("inf")

    # --- blocks ---

    def block_received(self, link: Link, event: ev.BlockReceived, now: float) -> None:
        """A verified block came."""
        size = len(event.data)
        link.bytes_received += size
        link.in_flight = max(0, link.in_flight - 1)
        if link.quiet_until == float("inf"):
            link.quiet_until = now
        swarm = self._core.swarms.get(event.topic)
        if swarm is None or swarm.picker is None:
            return
        manifest = event.file == MANIFEST_FILE
        if manifest is not (swarm.phase is Phase.MANIFEST):
            return
        number = event.block if manifest else swarm.layout.first_block(event.file) + event.block
        if not swarm.picker.missing(number):
            return
        for holder, picked in swarm.picker.block_received(link.id, number):
            self._cancel(swarm, holder, picked)
        swarm.keep_nodes(event.file, event.block, event.proved)
        if manifest:
            swarm.manifest_blocks[event.block] = bytes(event.data)
            if not swarm.picker.remaining:
                self._manifest_fetched(swarm, now)
            return
        link.unwritten += 1
        block = BlockToWrite(event.file, event.block, event.data, event.proved)
        writing = self._writing.setdefault(swarm.topic, Writing())
        writing.waiting.append(Unwritten(link, link.identity, block, number))
        if not writing.busy:
            self._core.unsettle(link)

    def _cancel(self, swarm: Swarm, holder: int, picked: PickedRequest) -> None:
        for (number, request), other in swarm.asked.items():
            if other is picked and number == holder:
                self._core.links[holder].connection.send(cmd.CancelRequest(request))
                self._core.unsettle(self._core.links[holder])

    def write(self, now: float) -> None:
        """Hand verified blocks to the disk, where it is idle."""
        for topic, writing in self._writing.items():
            if writing.busy or not writing.waiting:
                continue
            swarm = self._core.swarms[topic]
            batch, writing.waiting = writing.waiting[:BATCH], writing.waiting[BATCH:]
            writing.busy = True
            ticket = self._core.ticket(partial(self._wrote, swarm, batch), partial(self._write_failed, swarm, batch))
            self._core.actions.append(WriteBlocks(ticket, topic, tuple(waiting.block for waiting in batch)))

    def _wrote(self, swarm: Swarm, batch: list[Unwritten], result: None, now: float) -> None:
        for waiting in batch:
            self._written(waiting)
        if self._gone(swarm) or swarm.phase is Phase.FAILED:
            return
        self._writing[swarm.topic].busy = False
        before = swarm.held.unit_exponent
        for waiting in batch:
            size = len(waiting.block.data)
            if swarm.held.add(waiting.number):
                swarm.done += size
                swarm.sources[waiting.source] = swarm.sources.get(waiting.source, 0) + size
                self._core.events.append(BlockStored(swarm.topic, waiting.source, size))
                unit = waiting.number >> before
                if swarm.held.holds_unit(unit):
                    _add_unit(swarm.fresh, unit)
        self._announce_soon(swarm, now)
        self._finish_if_complete(swarm, now)

    def _write_failed(self, swarm: Swarm, batch: list[Unwritten], error: Exception, now: float) -> None:
        for waiting in batch:
            self._written(waiting)
        self._failed(swarm, error)

    def _written(self, waiting: Unwritten) -> None:
        link = waiting.link
        if link is not None:
            link.unwritten -= 1
            self._core.unsettle(link)

    # --- announcing ---

    def _announce_soon(self, swarm: Swarm, now: float) -> None:
        if swarm.fresh:
            self._announce_at.setdefault(swarm.topic, now + HAVE_DELAY)

    def announce(self, now: float) -> None:
        """Tell the units that were completed since the last time, on all links with room."""
        for topic, at in list(self._announce_at.items()):
            if at > now:
                continue
            del self._announce_at[topic]
            swarm = self._core.swarms[topic]
            spans, swarm.fresh = merged(swarm.fresh), []
            for number in swarm.links:
                link = self._core.links[number]
                link.untold.setdefault(topic, []).extend(spans)
                self._core.unsettle(link)

    def tell_units(self, link: Link) -> None:
        """Send the HAVEs that are due on a link, as far as there is room."""
        for topic in list(link.untold):
            if not link.established or not link.connection.is_open(topic):
                del link.untold[topic]
            elif link.connection.can_send:
                spans = merged(link.untold.pop(topic))
                link.connection.send(cmd.TellUnits(topic, tuple(spans[:MAX_SPANS])))
                if len(spans) > MAX_SPANS:
                    link.untold[topic] = spans[MAX_SPANS:]

    def next_timeout(self) -> float | None:
        """When `announce` is due."""
        return min(self._announce_at.values(), default=None)


MAX_SPANS = 8192
"""spans in one HAVE: 32 KiB of the 64 KiB that a frame holds."""


def _add_unit(spans: list[tuple[int, int]], unit: int) -> None:
    """Add a unit, joined to the last span where it follows it."""
    if spans and spans[-1][0] <= unit <= spans[-1][1]:
        return
    if spans and spans[-1][1] + 1 == unit:
        spans[-1] = (spans[-1][0], unit)
    else:
        spans.append((unit, unit))


def merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending disjoint spans that cover the same units, as few as can be."""
    result: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(last, result[-1][1]))
        else:
            result.append((first, last))
    return result
