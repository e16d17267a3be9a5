"""Requests, credit and proofs of one link, in both directions (SPEC.md, "Transfer").

`Requests` is the requesting side: what this side asked for and what it may still ask. `Serving` is the other side's
requests and what it may still spend. Neither knows a byte of framing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import attrs

from p2pwire.connection.commands import LocalProtocolError, RequestBlocks, SendBlock, SendBlocks
from p2pwire.connection.events import BlocksReceived, Event, RequestEnded
from p2pwire.connection.faults import LinkFault
from p2pwire.content.merkle import BLOCK, HASH, ProofChecker, ProofError, Proved, proof_count
from p2pwire.wire.messages import Data, Reject, Request
from p2pwire.wire.registry import FRAME_HEADER, INITIAL_CREDIT, MAX_PROOF_HASHES, CloseCode, FrameType, RejectCode

MAX_CREDIT: Final = 2**64 - 1
"""blocks: what CREDIT's u64 can say."""

MAX_RUN: Final = 32
"""blocks in one event: 512 KiB, about as many as come with one read."""

_DATA_HEAD: Final = struct.Struct(">BHIIB")
"""How a DATA frame begins: type and length, and then, as in `Data`, id, block and number of hashes."""

DATA_OVERHEAD: Final = _DATA_HEAD.size
"""bytes of a DATA frame beside its block and its hashes."""

_DATA_BODY: Final = DATA_OVERHEAD - FRAME_HEADER
"""bytes of its body beside these."""

_PROOFS: Final = tuple(struct.Struct(f"{HASH}s" * hashes) for hashes in range(MAX_PROOF_HASHES + 1))
"""How so many hashes lie behind that."""

_DATA: Final = int(FrameType.DATA)

_REJECT_CODES: Final = {int(code): code for code in RejectCode}


@attrs.define(eq=False)
class Asked:
    """One own request that has not ended."""

    topic: bytes
    file: int
    block: int
    level: int
    checker: ProofChecker
    cancelled: bool = False


@attrs.define(eq=False)
class _Run:
    """Neighbouring blocks of one request that have come and are not told of yet."""

    request: int
    asked: Asked
    block: int
    data: list[memoryview] = attrs.field(factory=list)
    proved: list[Proved] = attrs.field(factory=list)


class Requests:
    """Own requests: opened by the caller, ended by DATA or REJECT.

    Blocks are told of in runs: until the request ends, the run is long enough, or `tell_blocks` says so, which has to
    be called before anything else is told of.
    """

    __slots__ = ("_events", "_open", "_run", "credit_total", "max_open", "spent", "timeouts")

    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self._open: dict[int, Asked] = {}
        self._run: _Run | None = None
        self.max_open = 0
        """The other side's max_requests; none before its HELLO, for a request needs an open topic."""
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

    def check(self, command: RequestBlocks) -> Asked:
        """What `open` takes. Raises `LocalProtocolError` where the other side would close the link or could not
        answer."""
        if command.id in self._open:
            raise LocalProtocolError(f"REQUEST: id {command.id} is in use")  # [TR-030]
        if len(self._open) >= self.max_open:
            raise LocalProtocolError(f"REQUEST: max_requests = {self.max_open} are open")  # [TR-032]
        try:
            checker = ProofChecker(command.length, command.root, command.block, command.level)
        except ValueError as error:
            raise LocalProtocolError(f"REQUEST: {error}") from None  # [TR-034]
        cost = 1 << command.level
        if cost > self.credit:
            raise LocalProtocolError(f"REQUEST: it costs {cost}, the credit is {self.credit}")  # [FC-002]
        return Asked(command.topic, command.file, command.block, command.level, checker)

    def open(self, number: int, asked: Asked) -> None:
        """REQUEST goes out."""
        self._open[number] = asked
        self.spent += 1 << asked.level

    def cancel(self, number: int) -> bool:
        """Whether CANCEL goes out: once for each open request. Raises `LocalProtocolError` for one that is not open."""
        asked = self._open.get(number)
        if asked is None:
            raise LocalProtocolError(f"CANCEL: request id {number} is not open")
        first = not asked.cancelled
        asked.cancelled = True
        return first

    def cancel_all(self) -> list[int]:
        """The requests for which CANCEL goes out now."""
        return [number for number in self._open if self.cancel(number)]

    def data(self, frame: Data) -> None:
        """A block came: proved, or `LinkFault` UNSOLICITED or BAD_DATA."""
        asked = self._open.get(frame.id)
        if asked is None:
            raise LinkFault(CloseCode.UNSOLICITED, f"DATA for request {frame.id}, which is not open")  # [TR-054]
        due = asked.checker.next_block
        if frame.block != due:
            # [TR-055]
            raise LinkFault(CloseCode.UNSOLICITED, f"DATA has block {frame.block}, due is {due}")
        run = self._run
        if run is None or run.request != frame.id:
            self.tell_blocks()
            run = self._run = _Run(frame.id, asked, due)
        self._prove(run, frame.proof, memoryview(frame.data))

    def take_due(self, record: memoryview, at: int) -> tuple[int, int]:
        """Take what goes on with the run, or begins one, from one place of a record on: where the rest begins, and how
        many blocks.

        Content comes this way. Whatever else there is, faults too, is left to `data`: what is taken here is exactly
        what is due there. To make no `Data` of it saves a seventh of all that receiving takes, hashing included.
        """
        run, count, size = self._run, 0, len(record)
        while at + DATA_OVERHEAD <= size:
            kind, length, number, block, hashes = _DATA_HEAD.unpack_from(record, at)
            if kind != _DATA:
                break
            if run is None:
                asked = self._open.get(number)
                if asked is None:
                    break
                run = _Run(number, asked, asked.checker.next_block)
            if number != run.request:
                # What goes on now is told of by itself.
                self.tell_blocks()
                break
            if block != run.asked.checker.next_block:
                break
            start = at + DATA_OVERHEAD
            end = at + FRAME_HEADER + length
            if hashes > MAX_PROOF_HASHES or not start + hashes * HASH < end <= size:
                break
            siblings: tuple[bytes, ...] = ()
            if hashes:
                siblings = _PROOFS[hashes].unpack_from(record, start)
                start += hashes * HASH
            if end - start > BLOCK:
                break
            self._run = run
            self._prove(run, siblings, record[start:end])
            at = end
            count += 1
            if not run.data:
                # They are told of. With them comes what the caller waits for.
                break
        return at, count

    def _prove(self, run: _Run, siblings: Sequence[bytes], data: memoryview) -> None:
        """Add to a run the block that is due; `LinkFault` BAD_DATA if it is not what it should be."""
        checker = run.asked.checker
        try:
            proved = checker.check(checker.next_block, siblings, data)
        except ProofError as error:
            raise LinkFault(CloseCode.BAD_DATA, str(error), _DATA) from None  # [TR-056] [TR-057] [TR-058]
        self.timeouts = 0
        run.data.append(data)
        run.proved.append(proved)
        if checker.next_block == checker.end:
            self.tell_blocks()
            del self._open[run.request]
            self._events.append(_ended(run.request, run.asked, None, 0.0))
        elif len(run.data) == MAX_RUN:
            self._tell(run)

    def _tell(self, run: _Run) -> None:
        """Tell of a run, which goes on with the next block."""
        asked, data, proved = run.asked, tuple(run.data), tuple(run.proved)
        self._events.append(BlocksReceived(run.request, asked.topic, asked.file, run.block, data, proved))
        run.block += len(data)
        run.data.clear()
        run.proved.clear()

    def tell_blocks(self) -> bool:
        """Tell of the blocks that have come, if any are not told of; says whether there were any."""
        run, self._run = self._run, None
        if run is None or not run.data:
            return False
        self._tell(run)
        return True

    def reject(self, frame: Reject) -> RequestEnded:
        """A request ends without (more) data, or `LinkFault` UNSOLICITED."""
        asked = self._open.pop(frame.id, None)
        if asked is None:
            raise LinkFault(CloseCode.UNSOLICITED, f"REJECT for request {frame.id}, which is not open")  # [TR-063]
        return _ended(frame.id, asked, _REJECT_CODES[frame.code], frame.retry / 1000)

    def grant(self, total: int) -> bool:
        """CREDIT came: whether more may be spent. Raises `LinkFault` PROTOCOL if it is lower than before."""
        if total < self.credit_total:
            # [FC-006]
            raise LinkFault(CloseCode.PROTOCOL, f"CREDIT {total} is lower than {self.credit_total} before")
        grew = total > self.credit_total
        self.credit_total = total
        return grew


def _ended(number: int, asked: Asked, code: RejectCode | None, retry: float) -> RequestEnded:
    came = asked.checker.next_block - asked.block
    return RequestEnded(number, asked.topic, asked.file, asked.block, asked.level, came, code, retry)


@attrs.define(eq=False)
class Owed:
    """One open request of the other side."""

    topic: bytes
    first: int
    end: int
    """One past the last block of the request, not cut at the file's end."""
    next: int
    """The block that is sent next."""
    cancelled: bool = False

    @property
    def cost(self) -> int:
        """Blocks of credit that it takes."""
        return self.end - self.first


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

    @property
    def ahead(self) -> int:
        """Blocks granted and not yet used up: granted less the cost of requests that have ended [FC-010]."""
        return self.credit_total - self.ended_cost

    def open(self, frame: Request, topic: bytes) -> None:
        """REQUEST came. Raises `LinkFault` PROTOCOL, LIMIT or CREDIT_EXCEEDED, in this order [TR-037]."""
        if frame.id in self._open:
            raise LinkFault(CloseCode.PROTOCOL, f"request id {frame.id} is in use")  # [TR-038]
        if len(self._open) >= self._max_open:
            raise LinkFault(CloseCode.LIMIT, f"more than max_requests = {self._max_open} open")  # [TR-039]
        cost = 1 << frame.level
        left = self.credit_total - self.spent
        if cost > left:
            raise LinkFault(CloseCode.CREDIT_EXCEEDED, f"REQUEST costs {cost}, the credit is {left}")  # [FC-004]
        self.spent += cost
        self._open[frame.id] = Owed(topic, frame.block, frame.block + cost, frame.block)

    def owed(self, number: int) -> Owed:
        """An open request. Raises `LocalProtocolError` for one that is not."""
        owed = self._open.get(number)
        if owed is None:
            raise LocalProtocolError(f"request id {number} of the other side is not open")
        return owed

    def next_data(self, command: SendBlock) -> Data:
        """DATA with the next block of a request. Raises `LocalProtocolError` for what the other side would blame."""
        owed = self.owed(command.id)
        _check_size(len(command.data), last=command.last)
        _check_proof(owed, owed.next, command.siblings)
        return Data(command.id, owed.next, command.siblings, command.data)

    def next_frames(self, command: SendBlocks) -> list[tuple[bytes, memoryview]]:
        """The same for the next blocks: whole frames, each in two parts, of which the second is the block.

        Content goes this way. To make neither `Data` nor bytes of a block saves a seventh of what sending takes.
        """
        owed = self.owed(command.id)
        number, first, siblings, data = command.id, owed.next, command.siblings, command.data
        if not 0 < len(siblings) <= owed.end - first:
            raise LocalProtocolError(f"DATA: {len(siblings)} blocks at once, {owed.end - first} are left to send")
        if not (len(siblings) - 1) * BLOCK < len(data) <= len(siblings) * BLOCK:
            raise LocalProtocolError(f"DATA: {len(data)} bytes are not {len(siblings)} blocks")
        _check_size(len(data) - (len(siblings) - 1) * BLOCK, last=command.last)
        frames = []
        pack, start = _DATA_HEAD.pack, 0
        for block, proof in enumerate(siblings, first):
            piece = data[start : start + BLOCK]
            start += BLOCK
            if proof or not block - owed.first & 1:  # every second block takes no hash
                _check_proof(owed, block, proof)
                hashes = b"".join(proof)
                if len(hashes) != len(proof) * HASH:
                    raise LocalProtocolError(f"DATA: the proof of block {block} has a hash that is not one")
                head = pack(_DATA, _DATA_BODY + len(hashes) + len(piece), number, block, len(proof)) + hashes
            else:
                head = pack(_DATA, _DATA_BODY + len(piece), number, block, 0)
            frames.append((head, piece))
        return frames

    def sent(self, number: int, blocks: int, *, last: bool) -> None:
        """The next blocks went out; whether they are the last ones that there are."""
        owed = self._open[number]
        owed.next += blocks
        if last or owed.next == owed.end:
            self.end(number)

    def end(self, number: int) -> bool:
        """A request is over; says whether others are open."""
        self.ended_cost += self._open.pop(number).cost
        return bool(self._open)

    def cancel(self, number: int) -> bool:
        """Whether this is the first CANCEL of an open request."""
        owed = self._open.get(number)
        if owed is None or owed.cancelled:
            return False
        owed.cancelled = True
        return True

    def of_topic(self, topic: bytes) -> list[int]:
        """The open requests of one topic."""
        return [number for number, owed in self._open.items() if owed.topic == topic]

    def all(self) -> list[int]:
        """All open requests."""
        return list(self._open)

    def check_grant(self, total: int) -> bool:
        """Whether CREDIT with this total says anything. Raises `LocalProtocolError` for less than before [FC-005]."""
        if not self.credit_total <= total <= MAX_CREDIT:
            raise LocalProtocolError(f"CREDIT: {total}, must be {self.credit_total} to 2^64-1")
        return total > self.credit_total


def _check_size(size: int, *, last: bool) -> None:
    """Raises `LocalProtocolError` for a block that is short, and not the last of its answer."""
    if size != BLOCK and not last:
        raise LocalProtocolError(f"DATA: {size} bytes, only the last block may be short")  # [TR-053]


def _check_proof(owed: Owed, block: int, siblings: Sequence[bytes]) -> None:
    """Raises `LocalProtocolError` for a proof that the other side would blame."""
    # The height of the tree, which gives the count of the first proof, is for the caller to know.
    due = proof_count(len(siblings), block, owed.first)
    if len(siblings) != due:
        raise LocalProtocolError(f"DATA: {len(siblings)} hashes, block {block} takes {due}")  # [TR-051]
    if due > MAX_PROOF_HASHES:
        raise LocalProtocolError(f"DATA: a proof of {due} hashes, at most {MAX_PROOF_HASHES}")
