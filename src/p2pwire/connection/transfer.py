"""Requests, credit and proofs of one link, in both directions (SPEC.md, "Transfer").

`Requests` is the requesting side: what this side asked for and what it may still ask. `Serving` is the other side's
requests and what it may still spend. Neither knows a byte of framing.
"""

from __future__ import annotations

from typing import Final

import attrs

from p2pwire.connection.commands import LocalProtocolError, RejectRequest, RequestBlocks, SendBlock
from p2pwire.connection.events import BlockReceived, RequestEnded
from p2pwire.connection.faults import LinkFault
from p2pwire.content.merkle import ProofChecker, ProofError, block_count, tree_height
from p2pwire.wire.messages import Credit, Data, Reject, Request
from p2pwire.wire.registry import ASSUMED_HANDLES, INITIAL_CREDIT, MAX_LEVEL, CloseCode, RejectCode

MAX_CREDIT: Final = 2**64 - 1
"""blocks: what CREDIT's u64 can say."""

RETRY_CODES: Final = frozenset({RejectCode.CHOKED, RejectCode.BUSY})
"""Codes of REJECT that say when to ask again."""


@attrs.define
class Asked:
    """One own request that has not ended."""

    topic: bytes
    file: int
    block: int
    level: int
    checker: ProofChecker
    left: int
    """Blocks still to come."""
    next: int
    """The block that comes next."""
    cancelled: bool = False


class Requests:
    """Own requests: opened by the caller, ended by DATA or REJECT."""

    __slots__ = ("_open", "credit_total", "max_open", "spent", "timeouts")

    def __init__(self) -> None:
        self._open: dict[int, Asked] = {}
        self.max_open = ASSUMED_HANDLES
        """The other side's max_requests."""
        self.credit_total = INITIAL_CREDIT
        self.spent = 0
        self.timeouts = 0
        """How often nothing came for the request time since the last block."""

    def __len__(self) -> int:
        return len(self._open)

    @property
    def credit(self) -> int:
        """Blocks that may still be asked for."""
        return self.credit_total - self.spent

    def open(self, command: RequestBlocks, handle: int) -> Request:
        """The frame of a new request. Raises `LocalProtocolError` where the other side would close the link."""
        if command.id in self._open:
            raise LocalProtocolError(f"request id {command.id} is in use")
        if len(self._open) >= self.max_open:
            raise LocalProtocolError(f"max_requests = {self.max_open} are open")
        if not 0 <= command.level <= min(MAX_LEVEL, tree_height(command.length)):
            raise LocalProtocolError(f"level {command.level} is not 0 to {MAX_LEVEL} or above the file's tree")
        cost = 1 << command.level
        blocks = block_count(command.length)
        if not 0 <= command.block < blocks or command.block % cost:
            raise LocalProtocolError(f"block {command.block} is not a multiple of {cost} below {blocks}")
        if cost > self.credit:
            raise LocalProtocolError(f"the request costs {cost}, the credit is {self.credit}")
        self._open[command.id] = Asked(
            topic=command.topic,
            file=command.file,
            block=command.block,
            level=command.level,
            checker=ProofChecker(command.length, command.root, command.block, command.level),
            left=min(cost, blocks - command.block),
            next=command.block,
        )
        self.spent += cost
        return Request(command.id, handle, command.file, command.block, command.level)

    def cancel(self, request: int) -> bool:
        """Whether CANCEL goes out: once for each open request."""
        asked = self._open.get(request)
        if asked is None:
            raise LocalProtocolError(f"request id {request} is not open")
        first = not asked.cancelled
        asked.cancelled = True
        return first

    def cancel_all(self) -> list[int]:
        """The requests for which CANCEL goes out now."""
        return [number for number in self._open if self.cancel(number)]

    def data(self, frame: Data) -> tuple[BlockReceived, RequestEnded | None]:
        """A block came: proved, or `LinkFault` UNSOLICITED or BAD_DATA."""
        asked = self._open.get(frame.id)
        if asked is None:
            raise LinkFault(CloseCode.UNSOLICITED, f"DATA for request {frame.id}, which is not open")
        if frame.block != asked.next:
            raise LinkFault(CloseCode.UNSOLICITED, f"DATA has block {frame.block}, due is {asked.next}")
        try:
            proved = asked.checker.check(frame.block, frame.proof, frame.data)
        except ProofError as error:
            raise LinkFault(CloseCode.BAD_DATA, str(error)) from None
        self.timeouts = 0
        asked.next += 1
        asked.left -= 1
        data = frame.data if isinstance(frame.data, memoryview) else memoryview(frame.data)
        block = BlockReceived(frame.id, asked.topic, asked.file, frame.block, data, proved)
        if asked.left:
            return block, None
        del self._open[frame.id]
        return block, self._ended(frame.id, asked, None, 0.0)

    def reject(self, frame: Reject) -> RequestEnded:
        """A request ends without (more) data, or `LinkFault` UNSOLICITED."""
        asked = self._open.pop(frame.id, None)
        if asked is None:
            raise LinkFault(CloseCode.UNSOLICITED, f"REJECT for request {frame.id}, which is not open")
        return self._ended(frame.id, asked, RejectCode(frame.code), frame.retry / 1000)

    @staticmethod
    def _ended(number: int, asked: Asked, code: RejectCode | None, retry: float) -> RequestEnded:
        came = asked.next - asked.block
        return RequestEnded(number, asked.topic, asked.file, asked.block, asked.level, came, code, retry)

    def grant(self, frame: Credit) -> bool:
        """CREDIT came: whether more may be spent. Raises `LinkFault` PROTOCOL if it is lower than before."""
        if frame.blocks < self.credit_total:
            raise LinkFault(CloseCode.PROTOCOL, f"CREDIT {frame.blocks} is lower than {self.credit_total} before")
        grew = frame.blocks > self.credit_total
        self.credit_total = frame.blocks
        return grew


@attrs.define
class Owed:
    """One open request of the other side."""

    topic: bytes
    next: int
    """The block that is sent next."""
    end: int
    """One past the last block of the request, not cut at the file's end."""
    cost: int
    cancelled: bool = False


class Serving:
    """The other side's requests: opened by REQUEST, ended by the caller's blocks or REJECT."""

    __slots__ = ("_max_open", "_open", "credit_total", "ended_cost", "spent")

    def __init__(self, max_open: int) -> None:
        self._open: dict[int, Owed] = {}
        self._max_open = max_open
        self.credit_total = INITIAL_CREDIT
        """Blocks granted in all."""
        self.spent = 0
        self.ended_cost = 0
        """The cost of requests that have ended."""

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, request: int) -> bool:
        return request in self._open

    @property
    def ahead(self) -> int:
        """Blocks granted and not yet used up: granted less the cost of requests that have ended [FC-010]."""
        return self.credit_total - self.ended_cost

    def open(self, frame: Request, topic: bytes) -> None:
        """REQUEST came. Raises `LinkFault` PROTOCOL, LIMIT or CREDIT_EXCEEDED."""
        if frame.id in self._open:
            raise LinkFault(CloseCode.PROTOCOL, f"request id {frame.id} is in use")
        if len(self._open) >= self._max_open:
            raise LinkFault(CloseCode.LIMIT, f"more than max_requests = {self._max_open} open")
        cost = 1 << frame.level
        if self.spent + cost > self.credit_total:
            raise LinkFault(
                CloseCode.CREDIT_EXCEEDED, f"REQUEST costs {cost}, the credit is {self.credit_total - self.spent}"
            )
        self.spent += cost
        self._open[frame.id] = Owed(topic, frame.block, frame.block + cost, cost)

    def send(self, command: SendBlock) -> Data:
        """The frame of the next block. Raises `LocalProtocolError` for a request that is not open."""
        owed = self._open.get(command.id)
        if owed is None:
            raise LocalProtocolError(f"request id {command.id} of the other side is not open")
        frame = Data(command.id, owed.next, command.siblings, command.data)
        owed.next += 1
        if command.last or owed.next == owed.end:
            self._end(command.id)
        return frame

    def reject(self, command: RejectRequest) -> Reject:
        """The frame that ends a request. Raises `LocalProtocolError` for a request that is not open."""
        if command.id not in self._open:
            raise LocalProtocolError(f"request id {command.id} of the other side is not open")
        retry = 0
        if command.code in RETRY_CODES:
            retry = min(65535, max(0, round(command.retry * 1000)))
        self._end(command.id)
        return Reject(command.id, command.code, retry)

    def cancel(self, request: int) -> bool:
        """Whether this is the first CANCEL of an open request."""
        owed = self._open.get(request)
        if owed is None or owed.cancelled:
            return False
        owed.cancelled = True
        return True

    def of_topic(self, topic: bytes) -> list[int]:
        """The open requests of one topic."""
        return [request for request, owed in self._open.items() if owed.topic == topic]

    def all(self) -> list[int]:
        """All open requests."""
        return list(self._open)

    def grant(self, total: int) -> bool:
        """Whether CREDIT goes out. Raises `LocalProtocolError` for less than before."""
        if not self.credit_total <= total <= MAX_CREDIT:
            raise LocalProtocolError(f"credit {total} is not between {self.credit_total} and 2^64-1")
        grew = total > self.credit_total
        self.credit_total = total
        return grew

    def _end(self, request: int) -> None:
        self.ended_cost += self._open.pop(request).cost
