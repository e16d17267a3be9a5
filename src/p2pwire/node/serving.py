"""Serving one link: in which order the blocks that its other side asked for are read and sent.

Requests of several topics take turns, a chunk each; those of one topic are answered one after another, blocks in
ascending order. What is being read, or was read and waits to be sent, is bounded, so that a slow link does not fill the
memory.
"""

from __future__ import annotations

from collections import deque

import attrs


@attrs.frozen
class ServingConfig:
    """The figures of the policy."""

    chunk_blocks: int = 16
    """Blocks read at a time: 256 KiB, so that two chunks are under way within the bound."""
    prepared_blocks: int = 32
    """Blocks of one link that are being read or wait to be sent: 512 KiB."""


@attrs.define(eq=False)
class InboundRequest:
    """A request of the other side, until its last DATA or its REJECT. Equal only to itself: ids are used again."""

    id: int
    topic: bytes
    file: int
    block: int
    """The first block, counted within the file."""
    level: int
    count: int
    """Blocks that it really covers."""
    read: int = attrs.field(default=0, init=False)
    """Blocks handed out by `next_chunk`."""
    sent: int = attrs.field(default=0, init=False)
    """Blocks sent."""
    open: bool = attrs.field(default=True, init=False)
    """Whether it is still to be answered: data read for one that is not are to be dropped."""

    @property
    def cost(self) -> int:
        """What it took from the credit."""
        return 1 << self.level


@attrs.frozen
class Chunk:
    """Blocks to read next: `count` from `block` of `request.file` on."""

    request: InboundRequest
    block: int
    count: int


class Serving:
    """The open inbound requests of one link."""

    def __init__(self, config: ServingConfig | None = None) -> None:
        self._config = config or ServingConfig()
        self._requests: dict[int, InboundRequest] = {}
        self._unread: deque[InboundRequest] = deque()
        self._prepared = 0

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def prepared(self) -> int:
        """Blocks that are being read or wait to be sent."""
        return self._prepared

    def get(self, id: int) -> InboundRequest | None:
        """The open request with this id."""
        return self._requests.get(id)

    def requests(self) -> list[InboundRequest]:
        """All open requests, the oldest first."""
        return list(self._requests.values())

    def add(self, request: InboundRequest) -> None:
        """A request that will be answered with data. ValueError if its id is in use."""
        if request.id in self._requests:
            raise ValueError(f"request {request.id} is open")
        self._requests[request.id] = request
        self._unread.append(request)

    def next_chunk(self) -> Chunk | None:
        """What to read now; None: nothing, or enough is prepared."""
        if not self._unread:
            return None
        request = self._unread[0]
        count = min(self._config.chunk_blocks, request.count - request.read)
        if self._prepared + count > self._config.prepared_blocks:
            return None
        chunk = Chunk(request, request.block + request.read, count)
        self._prepared += count
        request.read += count
        self._unread.popleft()
        if request.read < request.count:
            self._put_back(request)
        return chunk

    def _put_back(self, request: InboundRequest) -> None:
        """Others come first if they are of another topic; if none is, to go on costs both sides less than to change."""
        if any(other.topic != request.topic for other in self._unread):
            self._unread.append(request)
        else:
            self._unread.appendleft(request)

    def block_sent(self, request: InboundRequest, blocks: int = 1) -> bool:
        """The next blocks of an open request were sent. Whether they were the last: then the request is over."""
        request.sent += blocks
        self._prepared -= blocks
        if request.sent == request.count:
            self._forget(request)
        return not request.open

    def remove(self, request: InboundRequest) -> None:
        """An open request is over before its last block: it is rejected. Drop what was read for it."""
        self._prepared -= request.read - request.sent
        if request.read < request.count:
            self._unread.remove(request)
        self._forget(request)

    def _forget(self, request: InboundRequest) -> None:
        request.open = False
        del self._requests[request.id]
