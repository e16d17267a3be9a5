"""Faults of the reference in objects, manifests, transfer and credit."""

from __future__ import annotations

from typing import Any

from p2pwire.connection import connection, incoming, outgoing, session, transfer
from p2pwire.connection.faults import LinkFault
from p2pwire.connection.outbox import Outbox
from p2pwire.connection.session import Session
from p2pwire.content import merkle
from p2pwire.node import asking, bans, links, meeting, outflow, seeding, swarm, uploads
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, FrameType, RejectCode

from faults import mutant

MANIFEST = 0xFFFFFFFF


def on_frame(kind: FrameType, change: Any) -> None:
    """Handle a frame by this, which gets the right handler, too."""
    handle = incoming._HANDLERS[kind]
    incoming._HANDLERS[kind] = lambda session, frame: bool(change(handle, session, frame))
    if kind is FrameType.DATA:
        transfer.Requests.take_due = lambda self, record, at: (at, 0)  # the quick way past the handlers


def _decodes(kind: FrameType, change: Any) -> None:
    """Read what this makes of the body of one kind of frame."""
    decode = msg.decode_frame
    msg.decode_frame = lambda found, body: decode(found, change(bytes(body)) if found == kind else body)


def _sends(kind: FrameType, change: Any) -> None:
    """Send what this makes of each frame of one kind."""
    add = Outbox.add

    def changed(self: Any, frame: Any, *, answer: bool = False) -> None:
        if frame[0] == kind:
            frame = change(msg.decode_frame(kind, memoryview(frame)[3:])).encode_frame()
        add(self, frame, answer=answer)

    def one_by_one(self: Any, frames: Any, size: int) -> None:
        for parts in frames:
            self.add(b"".join(parts))

    Outbox.add = changed
    Outbox.add_run = one_by_one


# --- own REQUESTs ---


@mutant
def request_ids_repeat() -> None:
    _sends(FrameType.REQUEST, lambda found: msg.Request(1, found.handle, found.file, found.block, found.level))


@mutant
def max_requests_of_others_ignored() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        counted = handle(session, frame)
        session.requests.max_open = 1000
        return counted

    on_frame(FrameType.HELLO, lenient)
    begin = asking.Asking.established

    def wide(self: Any, link: Any, *rest: Any) -> Any:
        begun = begin(self, link, *rest)
        link.window = 64
        return begun

    asking.Asking.established = wide
    asking.WINDOW_PARTS = 1000  # a request for each block


@mutant
def requests_before_object() -> None:
    def hasty(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None and not topic.heard_object:
            session.outbox.add(msg.Request(1, topic.local, 0, 0, 0).encode_frame())
        return handle(session, frame)

    on_frame(FrameType.HAVE, hasty)


@mutant
def requests_beyond_the_end() -> None:
    _sends(FrameType.REQUEST, lambda found: msg.Request(found.id, found.handle, found.file, 0, 6))


@mutant
def own_credit_ignored() -> None:
    transfer.Requests.credit = property(lambda self: 100000)


@mutant
def cancelled_request_forgotten() -> None:
    cancel = transfer.Requests.cancel

    def forget(self: Any, number: int) -> bool:
        first = cancel(self, number)
        self._open.pop(number)
        return bool(first)

    transfer.Requests.cancel = forget
    transfer.Requests.cancel_all = lambda self: [number for number in list(self._open) if self.cancel(number)]


# --- serving ---


@mutant
def request_size_unchecked() -> None:
    def aligned(body: bytes) -> bytes:
        level = min(body[14], 6)
        block = int.from_bytes(body[10:14], "big") >> level << level
        return body[:10] + block.to_bytes(4, "big") + bytes([level])

    _decodes(FrameType.REQUEST, aligned)


@mutant
def id_in_use_accepted() -> None:
    on_frame(
        FrameType.REQUEST,
        lambda handle, session, frame: False if frame.id in session.serving._open else handle(session, frame),
    )


@mutant
def credit_before_limit() -> None:
    admit = transfer.Serving.open

    def early(self: Any, frame: Any, topic: bytes) -> None:
        if 1 << frame.level > self.credit_total - self.spent:
            raise LinkFault(CloseCode.CREDIT_EXCEEDED, "no credit")
        admit(self, frame, topic)

    transfer.Serving.open = early


@mutant
def cancelled_and_served() -> None:
    def both(handle: Any, session: Any, frame: Any) -> Any:
        if frame.id in session.serving._open:
            session.outbox.add(msg.Reject(frame.id, RejectCode.CANCELLED, 0).encode_frame())
        return True

    on_frame(FrameType.CANCEL, both)


def _judges(change: Any) -> None:
    judge = swarm.Swarm.judge
    swarm.Swarm.judge = lambda self, request: change(self, request, judge(self, request))


@mutant
def unknown_object_out_of_range() -> None:
    _judges(lambda self, request, code: RejectCode.OUT_OF_RANGE if self.info is None else code)


@mutant
def out_of_range_not_available() -> None:
    _judges(lambda self, request, code: RejectCode.NOT_AVAILABLE if code is RejectCode.OUT_OF_RANGE else code)


@mutant
def not_held_busy() -> None:
    def busy(self: Any, request: Any, code: Any) -> Any:
        return RejectCode.BUSY if code is RejectCode.NOT_AVAILABLE and self.info is not None else code

    _judges(busy)


@mutant
def not_available_called_cancelled() -> None:
    right = msg.Reject
    session.msg = _With(Reject=lambda number, code, delay: right(number, 3 if code == 1 else code, delay))


class _With:
    """The messages, but for some."""

    def __init__(self, **others: Any) -> None:
        self._others = others

    def __getattr__(self, name: str) -> Any:
        return self._others[name] if name in self._others else getattr(msg, name)


@mutant
def retry_with_every_reject() -> None:
    right = msg.Reject

    class Hint:
        def __init__(self, id: int, code: int, delay: int) -> None:
            self._body = right(id, code, 0).encode_frame()[:-2] + b"\0\5"

        def encode_frame(self) -> bytes:
            return self._body

    session.msg = _With(Reject=Hint)


@mutant
def blocks_out_of_order() -> None:
    _sends(FrameType.DATA, lambda data: msg.Data(data.id, data.block ^ 1, data.proof, data.data))


@mutant
def whole_proofs_always() -> None:
    _sends(FrameType.DATA, lambda data: msg.Data(data.id, data.block, (*data.proof, bytes(32)), data.data))


@mutant
def padding_left_out_of_proofs() -> None:
    def short(data: Any) -> Any:
        return msg.Data(data.id, data.block, tuple(one for one in data.proof if bytes(one) != bytes(32)), data.data)

    _sends(FrameType.DATA, short)


@mutant
def last_block_padded() -> None:
    _sends(
        FrameType.DATA,
        lambda data: msg.Data(data.id, data.block, data.proof, bytes(data.data).ljust(16384, b"\0")),
    )


@mutant
def padding_hashed() -> None:
    other = bytes([7] * 32)

    def changed(data: Any) -> Any:
        proof = tuple(other if bytes(one) == bytes(32) else one for one in data.proof)
        return msg.Data(data.id, data.block, proof, data.data)

    _sends(FrameType.DATA, changed)


def _file_index(change: Any) -> None:
    def other(handle: Any, session: Any, frame: Any) -> Any:
        file = change(frame.file)
        return handle(session, msg.Request(frame.id, frame.handle, file, frame.block, frame.level))

    on_frame(FrameType.REQUEST, other)


@mutant
def blob_is_file_1() -> None:
    _file_index(lambda file: {0: 1, 1: 0}.get(file, file))


@mutant
def files_counted_from_1() -> None:
    _file_index(lambda file: file - 1 if 0 < file < MANIFEST else file)


@mutant
def manifest_at_another_index() -> None:
    _file_index(lambda file: file - 1 if file == MANIFEST else file)


@mutant
def cancel_of_nothing_closes() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        if frame.id not in session.serving._open:
            raise LinkFault(CloseCode.UNSOLICITED, "CANCEL of nothing")
        return handle(session, frame)

    on_frame(FrameType.CANCEL, strict)


# --- DATA and REJECT ---


@mutant
def block_number_unchecked() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        asked = session.requests._open.get(frame.id)
        if asked is not None and frame.block != asked.checker.next_block:
            return False
        return handle(session, frame)

    on_frame(FrameType.DATA, lenient)


@mutant
def proof_size_from_the_message() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        asked = session.requests._open.get(frame.id)
        due = None if asked is None else merkle.proof_count(asked.checker._height, frame.block, asked.block)
        return False if due is not None and len(frame.proof) != due else handle(session, frame)

    on_frame(FrameType.DATA, lenient)


@mutant
def block_length_unchecked() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        asked = session.requests._open.get(frame.id)
        if asked is not None and frame.block == asked.checker._final:
            asked.checker._final_length = len(frame.data)
        return handle(session, frame)

    on_frame(FrameType.DATA, lenient)


@mutant
def reject_form_unchecked() -> None:
    def fine(body: bytes) -> bytes:
        code = body[4] if 1 <= body[4] <= 6 else 1
        return body[:4] + bytes([code]) + (body[5:] if code in (2, 4) else b"\0\0")

    _decodes(FrameType.REJECT, fine)


@mutant
def reject_of_nothing_ignored() -> None:
    on_frame(
        FrameType.REJECT,
        lambda handle, session, frame: frame.id not in session.requests._open or handle(session, frame),
    )


# --- blame ---


@mutant
def nobody_banned() -> None:
    bans.Bans.add = lambda self, identity, remote, now, *, dialled: None


@mutant
def address_banned() -> None:
    def neighbours(self: Any, identity: bytes, remote: Any, now: float, *, dialled: bool) -> None:
        self._ips.add(remote.ip, now + self.duration, now)

    bans.Bans.add = neighbours


@mutant
def bad_data_ends_the_fetch() -> None:
    closed = links.Links._on_closed

    def giving_up(self: Any, link: Any, event: Any) -> None:
        swarms = list(link.topics.values())
        closed(self, link, event)
        if event.code is CloseCode.BAD_DATA:
            for found in swarms:
                self._downloads.fail(found, ValueError("bad data"))

    links._HANDLERS = {**links._HANDLERS, links.ev.Closed: giving_up}


@mutant
def bad_data_begins_the_fetch_anew() -> None:
    closed = links.Links._on_closed

    def anew(self: Any, link: Any, event: Any) -> None:
        swarms = list(link.topics.values())
        closed(self, link, event)
        if event.code is CloseCode.BAD_DATA:
            for found in swarms:
                self._asking.end(found)
                found.held = swarm.BlockMap(found.held.total)
                self._downloads._begin_content(found)

    links._HANDLERS = {**links._HANDLERS, links.ev.Closed: anew}


@mutant
def bans_not_looked_at() -> None:
    meeting.Banned.__contains__ = lambda self, identity: False


@mutant
def announced_before_it_is_verified() -> None:
    def eager(handle: Any, session: Any, frame: Any) -> Any:
        asked = session.requests._open.get(frame.id)
        for other in _SESSIONS:
            topic = None if asked is None else other.topics.opened(asked.topic)
            if topic is not None and other is not session:
                span = msg.Span(frame.block, frame.block)
                other.outbox.add(msg.Have(topic.local, (span,)).encode_frame())
        return handle(session, frame)

    begin = Session.__init__

    def init(self: Any, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        _SESSIONS.append(self)

    Session.__init__ = init
    on_frame(FrameType.DATA, eager)


_SESSIONS: list[Any] = []


# --- credit and back-pressure ---


@mutant
def initial_credit_too_low() -> None:
    transfer.INITIAL_CREDIT = 32


@mutant
def rejected_requests_cost_nothing() -> None:
    say = Session.say_reject

    def refund(self: Any, request: int, code: Any, retry: float = 0.0) -> None:
        owed = self.serving._open.get(request)
        if owed is not None:
            self.serving.spent -= owed.cost
        say(self, request, code, retry)

    Session.say_reject = refund


@mutant
def equal_credit_closes() -> None:
    grant = transfer.Requests.grant

    def strict(self: Any, total: int) -> bool:
        if total == self.credit_total:
            raise LinkFault(CloseCode.PROTOCOL, "nothing new")
        return bool(grant(self, total))

    transfer.Requests.grant = strict


@mutant
def credit_signed() -> None:
    grant = transfer.Requests.grant
    transfer.Requests.grant = lambda self, total: grant(self, total - (1 << 64) if total >> 63 else total)


@mutant
def no_credit_granted() -> None:
    uploads.Uploads._top_up = lambda self, link, upload, now: None


@mutant
def granted_totals_fall() -> None:
    seen = {"count": 0}
    right = msg.Credit

    def falling(total: int) -> Any:
        seen["count"] += 1
        return right(total if seen["count"] % 2 else total - 40)

    outgoing.msg = _With(Credit=falling)


@mutant
def data_without_room() -> None:
    begin = Session.__init__

    def wide(self: Any, config: Any, *given: Any, **named: Any) -> None:
        object.__setattr__(config.limits, "send_queue", 1 << 30)
        begin(self, config, *given, **named)

    Session.__init__ = wide
    outflow.Outflow.share = lambda self, now: 1 << 40
    have_read = seeding.Seeding._have_read

    def at_once(self: Any, link: Any, *given: Any) -> None:
        have_read(self, link, *given)
        self._outflow.ready(link.id)
        self._use_turn(link)

    seeding.Seeding._have_read = at_once


@mutant
def data_stop_the_reading() -> None:
    wants = links.Links.wants_data
    links.Links.wants_data = lambda self, link: not link.readings and wants(self, link)


@mutant
def answers_do_not_stop_the_reading() -> None:
    connection.Connection._answers_full = lambda self: False


@mutant
def blocks_do_not_stop_the_reading() -> None:
    links.MAX_UNWRITTEN_BLOCKS = links._ENOUGH_UNWRITTEN = 100000
