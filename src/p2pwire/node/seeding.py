"""Serving: from a REQUEST to blocks on their way, and who is served at all.

Changes links' `serving`, `ready` and `interests`; credit is granted as `Uploads` decides.
"""

from __future__ import annotations

from collections.abc import Iterable

from p2pwire.connection import events as ev
from p2pwire.connection.commands import GrantCredit, RejectRequest, SendBlock, TellLost
from p2pwire.content.merkle import block_count, proof_count, tree_height
from p2pwire.node.actions import ReadBlocks
from p2pwire.node.core import Core
from p2pwire.node.events import ShareFailed
from p2pwire.node.link import Link, ReadyBlock
from p2pwire.node.serving import Chunk, InboundRequest
from p2pwire.node.swarm import Phase, Swarm
from p2pwire.node.uploads import Choke, Decision, UploadConfig, Uploads
from p2pwire.wire.registry import BLOCK_SIZE, MANIFEST_FILE, RejectCode


class Seeding:
    """All serving of a node."""

    def __init__(self, core: Core, config: UploadConfig) -> None:
        self._core = core
        self._uploads = Uploads(core.random, config)
        self._rejects_choked = config.reject_when_choked
        self._retry = config.review_interval

    # --- links ---

    def link_established(self, link: Link) -> None:
        """HELLO has come: the link has its initial credit."""
        self._uploads.link_added(link.id)

    def link_over(self, link: Link, now: float) -> None:
        """An established link is over."""
        link.ready.clear()
        self._carry_out(self._uploads.link_removed(link.id, now))

    def interest_changed(self, link: Link, event: ev.InterestChanged, now: float) -> None:
        """The other side wants something of a topic, or nothing more."""
        if event.on:
            link.interests.add(event.topic)
        else:
            link.interests.discard(event.topic)
        self._interest(link, now)

    def topic_over(self, link: Link, topic: bytes, now: float) -> None:
        """A topic is open no longer; its requests were withdrawn by the connection."""
        link.interests.discard(topic)
        self._interest(link, now)

    def _interest(self, link: Link, now: float) -> None:
        if link.established:
            self._carry_out(self._uploads.interest(link.id, bool(link.interests), now))

    def bytes_received(self, link: Link, size: int, now: float) -> None:
        """A verified block that was missing came."""
        if link.established:
            self._uploads.block_received(link.id, size, now)

    def snubbed(self, link: Link, *, on: bool) -> None:
        """The other side does not serve what it is asked for, or does again."""
        if link.established:
            self._uploads.snubbed(link.id, on)

    # --- requests ---

    def request_received(self, link: Link, event: ev.RequestReceived, now: float) -> None:
        """Answer at once with REJECT, or put it into the link's turns."""
        swarm = self._core.swarms.get(event.topic)
        code = RejectCode.NOT_JOINED if swarm is None else swarm.judge(event)
        cost = 1 << event.level
        if code is None and self._rejects_choked and not self._uploads.in_slot(link.id):
            code = RejectCode.CHOKED
        if code is not None:
            link.connection.send(RejectRequest(event.id, code, self._retry))
            self._ended(link, cost, now)
            return
        assert swarm is not None
        found = swarm.file(event.file)
        assert found is not None
        count = min(cost, block_count(found[0]) - event.block)
        link.serving.add(InboundRequest(event.id, event.topic, event.file, event.block, event.level, count))

    def cancelled(self, link: Link, request: int, now: float) -> None:
        """CANCEL came: end the request, blocks that are on their way notwithstanding [TR-031]."""
        self._reject(link, request, RejectCode.CANCELLED, now)

    def withdrawn(self, link: Link, request: int, now: float) -> None:
        """The connection has rejected a request itself."""
        found = link.serving.get(request)
        if found is not None:
            link.serving.remove(found)
            self._ended(link, found.cost, now)

    def _reject(self, link: Link, request: int, code: RejectCode, now: float) -> None:
        found = link.serving.get(request)
        if found is not None:
            link.serving.remove(found)
            link.connection.send(RejectRequest(request, code))
            self._ended(link, found.cost, now)

    def _ended(self, link: Link, cost: int, now: float) -> None:
        if not link.established:
            return
        grant = self._uploads.request_ended(link.id, cost, now)
        if grant is not None:
            self._carry_out([grant])

    # --- blocks ---

    def serve(self, link: Link, now: float) -> None:
        """Read ahead as far as the bounds allow."""
        while (chunk := link.serving.next_chunk()) is not None:
            self._read(link, chunk, now)

    def _read(self, link: Link, chunk: Chunk, now: float) -> None:
        request = chunk.request
        swarm = self._core.swarms.get(request.topic)
        if swarm is None:
            self._reject(link, request.id, RejectCode.NOT_JOINED, now)
            return
        if request.file == MANIFEST_FILE:
            assert swarm.manifest is not None
            start = chunk.block * BLOCK_SIZE
            self._have_read(link, swarm, chunk, swarm.manifest.data[start : start + chunk.count * BLOCK_SIZE], now)
            return
        ticket = self._core.ticket(
            lambda data, at: self._have_read(link, swarm, chunk, memoryview(data), at),
            lambda error, at: self._read_failed(link, swarm, chunk, error, at),
        )
        self._core.actions.append(ReadBlocks(ticket, swarm.topic, request.file, chunk.block, chunk.count))

    def _have_read(self, link: Link, swarm: Swarm, chunk: Chunk, data: memoryview, now: float) -> None:
        request = chunk.request
        found = swarm.file(request.file)
        if not request.open or link.over or found is None:
            return
        height = tree_height(found[0])
        for index in range(chunk.count):
            block = chunk.block + index
            siblings = swarm.siblings(request.file, block, proof_count(height, block, request.block))
            piece = data[index * BLOCK_SIZE : (index + 1) * BLOCK_SIZE]
            link.ready.append(ReadyBlock(request, siblings, piece, block + 1 == request.block + request.count))
        self._core.unsettle(link)

    def _read_failed(self, link: Link, swarm: Swarm, chunk: Chunk, error: Exception, now: float) -> None:
        if chunk.request.open and not link.over:
            self._reject(link, chunk.request.id, RejectCode.NOT_AVAILABLE, now)
        if self._core.swarms.get(swarm.topic) is swarm and swarm.phase is not Phase.FAILED:
            self._lose(swarm, chunk)
            self._core.events.append(ShareFailed(swarm.topic, error))
        self._core.unsettle(link)

    def _lose(self, swarm: Swarm, chunk: Chunk) -> None:
        """A file can not be read: none of its blocks is held any more, and everyone hears of it."""
        file = chunk.request.file
        first = swarm.layout.first_block(file)
        last = first + swarm.layout.blocks_of(file) - 1
        if not swarm.held.remove_span(first, last):
            return
        units = ((first >> swarm.layout.unit_exponent, last >> swarm.layout.unit_exponent),)
        for number in swarm.links:
            other = self._core.links[number]
            if other.established and other.connection.is_open(swarm.topic):
                other.connection.send(TellLost(swarm.topic, units))
                self._core.unsettle(other)

    def feed(self, link: Link, now: float) -> None:
        """Move blocks that were read into the connection's queue, as far as it has room."""
        ready, connection = link.ready, link.connection
        while ready and connection.can_send and link.established:
            block = ready.popleft()
            request = block.request
            if not request.open:
                continue
            connection.send(SendBlock(request.id, block.siblings, block.data, block.last))
            size = len(block.data)
            link.bytes_sent += size
            self._uploads.block_sent(link.id, size, now)
            if link.serving.block_sent(request):
                self._ended(link, request.cost, now)
                self._core.unsettle(link)

    # --- slots ---

    def review(self, now: float) -> None:
        """Give the slots anew, if it is time."""
        self._carry_out(self._uploads.review(now))

    def next_timeout(self) -> float | None:
        """When `review` is due."""
        return self._uploads.next_timeout()

    def _carry_out(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            link = self._core.links.get(decision.link)
            if link is None or link.over:
                continue
            if isinstance(decision, Choke):
                for request in link.serving.requests():
                    link.serving.remove(request)
                    link.connection.send(RejectRequest(request.id, RejectCode.CHOKED, self._retry))
            else:
                link.connection.send(GrantCredit(decision.total))
            self._core.unsettle(link)
