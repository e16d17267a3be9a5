"""Serving: from a REQUEST to blocks on their way, and who is served at all.

Changes links' `serving`, `ready` and `interests`; credit is granted as `Uploads` decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial
from math import inf
from typing import Final

from p2pwire.connection import events as ev
from p2pwire.connection.commands import GrantCredit, RejectRequest, SendBlocks
from p2pwire.connection.transfer import DATA_OVERHEAD
from p2pwire.content.merkle import HASH, block_count
from p2pwire.node.actions import ReadBlocks
from p2pwire.node.alarms import earliest
from p2pwire.node.announcing import Announcing
from p2pwire.node.core import Core
from p2pwire.node.downloads import Downloads
from p2pwire.node.events import ShareFailed
from p2pwire.node.link import Link, Reading
from p2pwire.node.outflow import Outflow, OutflowConfig
from p2pwire.node.serving import InboundRequest, Serving
from p2pwire.node.swarm import Phase, Swarm
from p2pwire.node.uploads import Choke, Decision, UploadConfig, Uploads
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import BLOCK_SIZE, MANIFEST_FILE, RejectCode

MAX_READS: Final = 2
"""reads under way for one link: a peer that asks and cancels without end must not fill the disk's queue."""

DATA_EARNS: Final = 0.5
"""control frames that a block, sent or received, allows: half of what it adds to the other side's bucket [KA-023]."""

_UNFINISHED: Final = (Phase.CONTENT, Phase.FINISHING)


class ShortReadError(Exception):
    """The storage gave less than it was asked for."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"read: {actual} bytes came instead of {expected}")


class Seeding:
    """All serving of a node."""

    def __init__(
        self,
        core: Core,
        config: UploadConfig,
        downloads: Downloads,
        announcing: Announcing,
        outflow: OutflowConfig | None = None,
    ) -> None:
        self._core = core
        self._downloads = downloads
        self._announcing = announcing
        self._uploads = Uploads(core.random, config)
        self._outflow = Outflow(outflow)
        self._rejects_choked = config.reject_when_choked
        self._retry = config.review_interval

    # --- links ---

    def link_established(self, link: Link) -> None:
        """HELLO has come: the link has its initial credit."""
        self._uploads.link_added(link.id)

    def link_over(self, link: Link) -> None:
        """An established link is over."""
        link.serving = Serving()
        link.readings.clear()
        self._outflow.removed(link.id)
        self._carry_out(self._uploads.link_removed(link.id, self._core.now))

    def interest_changed(self, link: Link, event: ev.InterestChanged) -> None:
        """The other side wants something of a topic, or nothing more."""
        if event.on:
            link.interests[event.topic] = None
        else:
            link.interests.pop(event.topic, None)
        self._interest(link)

    def topic_over(self, link: Link, topic: bytes) -> None:
        """A topic is open no longer; its requests were withdrawn by the connection."""
        link.interests.pop(topic, None)
        self._interest(link)

    def _interest(self, link: Link) -> None:
        if link.established:
            self._carry_out(self._uploads.interest(link.id, bool(link.interests), self._core.now))
            due = self._uploads.next_timeout()
            self._core.horizon.near(inf if due is None else due)

    def blocks_received(self, link: Link, blocks: int, size: int) -> None:
        """Verified blocks that were missing came: so many, of so many bytes."""
        link.control.add(DATA_EARNS * blocks)
        if link.established:
            self._uploads.block_received(link.id, size, self._core.now)

    def snubbed(self, link: Link, *, on: bool) -> None:
        """The other side does not serve what it is asked for, or does again."""
        if link.established:
            self._uploads.snubbed(link.id, on)

    # --- requests ---

    def request_received(self, link: Link, event: ev.RequestReceived) -> None:
        """Answer at once with REJECT, or put it into the link's turns."""
        swarm = self._core.swarms.get(event.topic)
        code = RejectCode.NOT_JOINED if swarm is None else swarm.judge(event)
        cost = 1 << event.level
        if code is None and self._rejects_choked and not self._uploads.in_slot(link.id):
            code = RejectCode.CHOKED
        if code is not None:
            self._core.send(link, RejectRequest(event.id, code, self._retry))
            self._ended(link, cost)
            return
        assert swarm is not None
        found = swarm.file(event.file)
        assert found is not None
        count = min(cost, block_count(found[0]) - event.block)
        link.serving.add(InboundRequest(event.id, event.topic, event.file, event.block, event.level, count))

    def cancelled(self, link: Link, request: int) -> None:
        """CANCEL came: end the request; blocks that are on their way come all the same [TR-067]."""
        found = link.serving.get(request)
        if found is not None:
            self._reject(link, found, RejectCode.CANCELLED)

    def withdrawn(self, link: Link, request: int) -> None:
        """The connection has rejected a request itself."""
        found = link.serving.get(request)
        if found is not None:
            self._drop(link, found)

    def _reject(self, link: Link, request: InboundRequest, code: RejectCode) -> None:
        self._core.send(link, RejectRequest(request.id, code, self._retry))
        self._drop(link, request)

    def _drop(self, link: Link, request: InboundRequest) -> None:
        link.serving.remove(request)
        link.readings = deque(reading for reading in link.readings if reading.chunk.request.open)
        self._ended(link, request.cost)

    def _ended(self, link: Link, cost: int) -> None:
        self._core.unsettle(link)
        if link.established:
            grant = self._uploads.request_ended(link.id, cost, self._core.now)
            if grant is not None:
                self._carry_out([grant])

    # --- blocks ---

    def serve(self, link: Link) -> None:
        """Read ahead as far as the bounds allow."""
        while link.reads < MAX_READS and (chunk := link.serving.next_chunk()) is not None:
            reading = Reading(chunk)
            link.readings.append(reading)
            self._read(link, reading)

    def _read(self, link: Link, reading: Reading) -> None:
        chunk = reading.chunk
        request = chunk.request
        swarm = self._core.swarms.get(request.topic)
        if swarm is None:
            self._reject(link, request, RejectCode.NOT_JOINED)
        elif request.file == MANIFEST_FILE:
            assert swarm.manifest is not None
            start = chunk.block * BLOCK_SIZE
            reading.data = swarm.manifest.data[start : start + chunk.count * BLOCK_SIZE]
        else:
            link.reads += 1
            ticket = self._core.ticket(
                partial(self._have_read, link, swarm, reading), partial(self._read_failed, link, swarm, reading)
            )
            self._core.actions.append(ReadBlocks(ticket, swarm.topic, request.file, chunk.block, chunk.count))

    def _have_read(self, link: Link, swarm: Swarm, reading: Reading, result: Buffer) -> None:
        chunk, data = reading.chunk, memoryview(result)
        found = swarm.file(chunk.request.file)
        assert found is not None
        expected = min(chunk.count * BLOCK_SIZE, found[0] - chunk.block * BLOCK_SIZE)
        if len(data) != expected:
            self._read_failed(link, swarm, reading, ShortReadError(expected, len(data)))
            return
        link.reads -= 1
        if chunk.request.open:
            reading.data = data
            if link.transmitting:
                return  # The adapter will come for it: then there is time enough to see what follows.
        self._core.unsettle(link)

    def _read_failed(self, link: Link, swarm: Swarm, reading: Reading, error: Exception) -> None:
        link.reads -= 1
        request = reading.chunk.request
        if self._core.current(swarm):
            self._lose(swarm, request.file, error)  # LOST comes before the REJECT [TR-015]
        if request.open and link.established:
            self._reject(link, request, RejectCode.NOT_AVAILABLE)
        self._core.unsettle(link)

    def _lose(self, swarm: Swarm, file: int, error: Exception) -> None:
        """A file can not be read. A fetch that is not complete ends with that: its storage does not work."""
        if swarm.phase in _UNFINISHED:
            self._downloads.fail(swarm, error)
            return
        first = swarm.layout.first_block(file)
        if self._announcing.lose(swarm, first, first + swarm.layout.blocks_of(file) - 1):
            self._core.events.append(ShareFailed(swarm.topic, error))

    def carrier_free(self, link: Link) -> None:
        """The carrier has taken what it was given: it may be this link's turn again, or another's."""
        if self._outflow.taken(link.id) or link.readings:
            self.offer(link)
            self.give_turns()

    def has_turn(self, link: Link) -> bool:
        """Whether the link may send blocks now."""
        return self._outflow.has_turn(link.id)

    def feed(self, link: Link) -> None:
        """Move blocks that were read into the connection's queue, in order, as far as it has room [FC-030], if it is
        this link's turn."""
        if self._outflow.has_turn(link.id):
            self._use_turn(link)

    def offer(self, link: Link) -> None:
        """The link may have a block to send."""
        if link.readings and link.readings[0].data is not None and link.established:
            self._outflow.ready(link.id)

    def give_turns(self) -> None:
        """Let links send whose turn it is."""
        outflow = self._outflow
        if not outflow.waits:
            return
        while (number := outflow.next(self._rank, self._core.now)) is not None:
            self._core.transmit(self._core.links[number])
        self._core.horizon.near(outflow.forgives_at)

    def _rank(self, number: int) -> tuple[int, int]:
        """Of what the link would send: how many of its swarm hold it, or were sent it; then how much the peer has."""
        link = self._core.links[number]
        if not link.readings:
            return 0, 0
        if len(link.readings) > 1:
            self._rarest_first(link)
        reading = link.readings[0]
        return self._copies(reading), link.connection.peer_count(reading.chunk.request.topic)

    def _rarest_first(self, link: Link) -> None:
        """Requests for one block each are answered in the order in which these are rare: the other side can not know
        which of them were sent to others meanwhile."""
        if all(reading.data is not None and reading.chunk.request.count == 1 for reading in link.readings):
            link.readings = deque(sorted(link.readings, key=self._copies))

    def _copies(self, reading: Reading) -> int:
        """How many links hold what would be sent, or were sent it."""
        request = reading.chunk.request
        swarm = self._core.swarms.get(request.topic)
        if swarm is None or request.file == MANIFEST_FILE or request.file >= swarm.layout.files:
            return 0
        block = swarm.layout.first_block(request.file) + reading.chunk.block + reading.sent
        unit = block >> swarm.layout.unit_exponent
        holders = swarm.holders.get(unit)
        if holders is None:
            links = self._core.links
            holders = sum(links[other].connection.peer_holds(swarm.topic, unit) for other in swarm.links)
            swarm.holders[unit] = holders
        return swarm.uploaded.get(unit, 0) + holders

    def _use_turn(self, link: Link) -> None:
        before, size = link.bytes_sent, 0
        share = self._outflow.share(self._core.now)
        while size <= share and link.readings and link.established and (room := link.connection.room):
            reading = link.readings[0]
            if reading.data is None:
                break
            self._send(link, reading, reading.data, min(room, share - size + 1))
            size = link.bytes_sent - before
            if reading.sent == reading.chunk.count:
                link.readings.popleft()
        self._outflow.sent(link.id, size, self._core.now)
        self.serve(link)

    def _send(self, link: Link, reading: Reading, data: memoryview, room: int) -> None:
        request, first = reading.chunk.request, reading.chunk.block + reading.sent
        swarm = self._core.swarms.get(request.topic)
        if swarm is None or swarm.file(request.file) is None:
            self._drop(link, request)  # the topic is left
            return
        most = min(reading.chunk.count - reading.sent, -(-room // (DATA_OVERHEAD + BLOCK_SIZE)))
        proofs = swarm.proofs(request.file, first, first + most, request.block)
        before = (most - 1) * (DATA_OVERHEAD + BLOCK_SIZE) + sum(map(len, proofs[:-1])) * HASH
        while before >= room:  # for their proofs
            proofs.pop()
            before -= DATA_OVERHEAD + BLOCK_SIZE + len(proofs[-1]) * HASH
        count = len(proofs)
        piece = data[reading.sent * BLOCK_SIZE : (reading.sent + count) * BLOCK_SIZE]
        last = first + count == request.block + request.count
        if not self._core.give(link, SendBlocks(request.id, tuple(proofs), piece, last)):
            self._drop(link, request)
            return
        reading.sent += count
        if request.file != MANIFEST_FILE:
            start, exponent = swarm.layout.first_block(request.file) + first, swarm.layout.unit_exponent
            uploaded = swarm.uploaded
            for unit in range(start >> exponent, (start + count - 1 >> exponent) + 1):
                uploaded[unit] = uploaded.get(unit, 0) + 1
        link.bytes_sent += len(piece)
        link.control.add(DATA_EARNS * count)
        self._uploads.block_sent(link.id, len(piece), self._core.now, count)
        if link.serving.block_sent(request, count):
            self._ended(link, request.cost)

    # --- slots ---

    def review(self) -> None:
        """Give the slots anew, if it is time."""
        self._carry_out(self._uploads.review(self._core.now))
        self.give_turns()

    def next_timeout(self) -> float | None:
        """When `review` is due."""
        return earliest(self._uploads.next_timeout(), self._outflow.next_timeout())

    def _carry_out(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            link = self._core.links[decision.link]
            if not link.established:
                continue
            if isinstance(decision, Choke):
                self._choke(link)
            else:
                self._core.send_counted(link, GrantCredit(decision.total))

    def _choke(self, link: Link) -> None:
        for request in link.serving.requests():
            self._reject(link, request, RejectCode.CHOKED)
