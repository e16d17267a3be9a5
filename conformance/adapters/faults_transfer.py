"""Faults of the reference in objects, manifests, transfer and credit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p2pwire.connection import commands as cmd
from p2pwire.connection import connection, incoming, outgoing, session, transfer
from p2pwire.connection.faults import LinkFault
from p2pwire.connection.outbox import Outbox
from p2pwire.connection.session import Session
from p2pwire.content import manifest, merkle
from p2pwire.content.manifest import Manifest, ManifestError, ManifestReader
from p2pwire.node import announcing, bans, downloads, links, meeting, seeding, swarm, uploads
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, FrameType, RejectCode

from faults import mutant

MANIFEST = 0xFFFFFFFF


def _on(kind: FrameType, change: Any) -> None:
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

    def changed(self: Any, *parts: Any, answer: bool = False) -> None:
        frame = b"".join(parts)
        if frame[0] == kind:
            frame = change(msg.decode_frame(kind, memoryview(frame)[3:])).encode_frame()
        add(self, frame, answer=answer)

    Outbox.add = changed


# --- what is told of an object ---


@mutant
def object_never_told() -> None:
    Session.say_object = lambda self, topic, info: None


@mutant
def object_told_with_each_join() -> None:
    say = Session.say_object

    def again(self: Any, topic: Any, info: Any) -> None:
        topic.told_object = False
        say(self, topic, info)

    Session.say_object = again
    _on(FrameType.JOIN, _tell_again)


def _tell_again(handle: Any, session: Any, frame: Any) -> Any:
    known = session.topics.get(frame.topic)
    counted = handle(session, frame)
    if known is not None and known.told_object:
        session.say_object(known, session.topics.catalogue[frame.topic].info)
    return counted


@mutant
def object_learned_later_not_told() -> None:
    outgoing._COMMANDS = {**outgoing._COMMANDS, cmd.TellObject: lambda session, command: None}


@mutant
def second_object_accepted() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None:
            topic.heard_object = False
        return handle(session, frame)

    _on(FrameType.OBJECT, lenient)


@mutant
def object_unchecked() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        found = incoming.ObjectInfo(frame.kind, frame.length, frame.root)
        return True if topic is not None and found.topic != topic.name else handle(session, frame)

    _on(FrameType.OBJECT, lenient)


@mutant
def root_of_nothing_unchecked() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        return True if not frame.length and frame.root != bytes(32) else handle(session, frame)

    _on(FrameType.OBJECT, lenient)


@mutant
def unusable_object_closes() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        if incoming.ObjectInfo(frame.kind, frame.length, frame.root).fault is not None:
            raise LinkFault(CloseCode.BAD_DATA, "an object that cannot be")
        return handle(session, frame)

    _on(FrameType.OBJECT, strict)


@mutant
def hash_of_nothing_as_root() -> None:
    def hashed(self: Any, topic: Any, info: Any) -> None:
        root = info.root if info.length else bytes([7] * 32)
        topic.told_object = True
        self.outbox.add(msg.Object(topic.local, info.kind, info.length, root).encode_frame())

    Session.say_object = hashed


@mutant
def oid_in_a_frame() -> None:
    say = Session.say_join

    def telling(self: Any, topic: Any, *, answer: bool) -> None:
        say(self, topic, answer=answer)
        self.outbox.add(msg.Pad(self.topics.catalogue[topic.name].oid).encode_frame())

    Session.say_join = telling


@mutant
def spans_sent_in_any_order() -> None:
    def backwards(session: Any, command: Any) -> None:
        topic = session.topics.opened(command.topic)
        spans = b"".join(first.to_bytes(2, "big") + last.to_bytes(2, "big") for first, last in command.spans[::-1])
        body = topic.local.to_bytes(2, "big") + len(command.spans).to_bytes(2, "big") + spans
        session.outbox.add(bytes([FrameType.HAVE]) + len(body).to_bytes(2, "big") + body)

    outgoing._COMMANDS = {**outgoing._COMMANDS, cmd.TellUnits: backwards}


@mutant
def spans_read_in_any_order() -> None:
    decode = msg.decode_frame

    def lenient(kind: int, body: Any) -> Any:
        try:
            return decode(kind, body)
        except msg.DecodeError:
            if kind in (FrameType.HAVE, FrameType.LOST, FrameType.SUGGEST):
                return msg.Pad(b"")
            raise

    msg.decode_frame = lenient
    for kind in (FrameType.HAVE, FrameType.LOST, FrameType.SUGGEST):
        _on(kind, lambda handle, session, frame: isinstance(frame, msg.Pad) or handle(session, frame))


@mutant
def announces_nothing() -> None:
    announcing.Announcing.tell = lambda self, link: link.untold.clear()


@mutant
def announces_a_unit_too_few() -> None:
    link_opened = announcing.Announcing.link_opened

    def short(self: Any, found: Any, link: Any) -> None:
        link_opened(self, found, link)
        if found.topic in link.untold:
            first, last = link.untold[found.topic][-1]
            link.untold[found.topic][-1] = (first, max(first, last - 1))

    announcing.Announcing.link_opened = short


@mutant
def loss_not_told() -> None:
    lose = announcing.Announcing.lose

    def quiet(self: Any, found: Any, first: int, last: int) -> bool:
        numbers, found.links = found.links, {}
        try:
            return bool(lose(self, found, first, last))
        finally:
            found.links = numbers

    announcing.Announcing.lose = quiet


@mutant
def have_before_object_closes() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None and not (topic.heard_object or topic.told_object):
            raise LinkFault(CloseCode.PROTOCOL, "HAVE before OBJECT")
        return handle(session, frame)

    _on(FrameType.HAVE, strict)


@mutant
def lost_without_have_closes() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None and not topic.units.remove((span.first, span.last) for span in frame.spans):
            raise LinkFault(CloseCode.PROTOCOL, "LOST of what was not announced")
        return handle(session, frame)

    _on(FrameType.LOST, strict)


@mutant
def units_beyond_the_end_close() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        if any(span.last > 60000 for span in frame.spans):
            raise LinkFault(CloseCode.PROTOCOL, "units beyond the end")
        return handle(session, frame)

    _on(FrameType.HAVE, strict)


@mutant
def interest_not_told() -> None:
    outgoing._COMMANDS = {**outgoing._COMMANDS, cmd.TellInterest: lambda session, command: None}


@mutant
def uninterested_not_served() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None and not topic.interest_heard:
            session.serving.open(frame, b"")
            session.say_reject(frame.id, RejectCode.BUSY)
            return False
        return handle(session, frame)

    _on(FrameType.REQUEST, strict)


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

    _on(FrameType.HELLO, lenient)


@mutant
def requests_before_object() -> None:
    def hasty(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None and not topic.heard_object:
            session.outbox.add(msg.Request(1, topic.local, 0, 0, 0).encode_frame())
        return handle(session, frame)

    _on(FrameType.HAVE, hasty)


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
    _on(
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

    _on(FrameType.CANCEL, both)


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

    _on(FrameType.REQUEST, other)


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

    _on(FrameType.CANCEL, strict)


# --- DATA and REJECT ---


@mutant
def block_number_unchecked() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        asked = session.requests._open.get(frame.id)
        if asked is not None and frame.block != asked.checker.next_block:
            return False
        return handle(session, frame)

    _on(FrameType.DATA, lenient)


@mutant
def proof_size_from_the_message() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        asked = session.requests._open.get(frame.id)
        due = None if asked is None else merkle.proof_count(asked.checker._height, frame.block, asked.block)
        return False if due is not None and len(frame.proof) != due else handle(session, frame)

    _on(FrameType.DATA, lenient)


@mutant
def block_length_unchecked() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        asked = session.requests._open.get(frame.id)
        if asked is not None and frame.block == asked.checker._final:
            asked.checker._final_length = len(frame.data)
        return handle(session, frame)

    _on(FrameType.DATA, lenient)


@mutant
def reject_form_unchecked() -> None:
    def fine(body: bytes) -> bytes:
        code = body[4] if 1 <= body[4] <= 6 else 1
        return body[:4] + bytes([code]) + (body[5:] if code in (2, 4) else b"\0\0")

    _decodes(FrameType.REJECT, fine)


@mutant
def reject_of_nothing_ignored() -> None:
    _on(
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

    links.Links._HANDLERS = {**links.Links._HANDLERS, links.ev.Closed: giving_up}


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

    links.Links._HANDLERS = {**links.Links._HANDLERS, links.ev.Closed: anew}


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
    _on(FrameType.DATA, eager)


_SESSIONS: list[Any] = []


# --- manifests ---


def _accepts(when: Callable[[ManifestError], bool]) -> None:
    """Take manifests with some faults for empty ones."""
    decode = Manifest.decode

    def lenient(data: Any) -> Any:
        try:
            return decode(data)
        except ManifestError as error:
            if not when(error):
                raise
            return decode(b"P2PM\x01" + bytes(4))

    Manifest.decode = lenient


def _parts(error: ManifestError) -> list[str]:
    path = error.value
    return (path if isinstance(path, str) else bytes(path).decode("latin-1")).split("/") if _of_path(error) else []


def _of_path(error: ManifestError) -> bool:
    return error.field.endswith("path") and "components" in error.limit


@mutant
def nested_paths_accepted() -> None:
    _accepts(lambda error: "below" in error.limit)


@mutant
def bytes_after_a_manifest_accepted() -> None:
    _accepts(lambda error: error.field in ("end", "length"))


@mutant
def manifest_header_unchecked() -> None:
    _accepts(lambda error: error.field in ("magic", "count") or error.field.endswith(" length"))


@mutant
def manifest_sums_unchecked() -> None:
    _accepts(lambda error: "makes" in error.limit)


@mutant
def unknown_entry_type_accepted() -> None:
    _accepts(lambda error: error.field.endswith(" type"))


@mutant
def dots_in_paths_accepted() -> None:
    _accepts(lambda error: any(part in (".", "..") for part in _parts(error)))


@mutant
def odd_components_accepted() -> None:
    _accepts(lambda error: len(_parts(error)) > 32 or any(not 1 <= len(part) <= 255 for part in _parts(error)))


@mutant
def controls_in_paths_accepted() -> None:
    _accepts(lambda error: any(ord(c) < 32 or c in "\x7f\\" for part in _parts(error) for c in part))


@mutant
def ill_formed_paths_accepted() -> None:
    _accepts(lambda error: "UTF-8" in error.limit or error.field.endswith("path_length"))


@mutant
def manifest_of_nothing_rejected() -> None:
    decode = Manifest.decode

    def strict(data: Any) -> Any:
        found = decode(data)
        if not len(found):
            raise ManifestError("count", 0, "nothing in it", 5)
        return found

    Manifest.decode = strict


@mutant
def reserved_names_rejected() -> None:
    decode = Manifest.decode

    def strict(data: Any) -> Any:
        found = decode(data)
        seen: set[str] = set()
        for entry in found:
            if entry.path.rstrip(". ") != entry.path or entry.path == "con" or entry.path.lower() in seen:
                raise ManifestError("path", entry.path, "not here", 0)
            if not entry.path.isascii() or len(entry.path) > 200 or "A" in entry.path:
                raise ManifestError("path", entry.path, "not here", 0)
            seen.add(entry.path.lower())
        return found

    Manifest.decode = strict


@mutant
def bad_manifest_blamed() -> None:
    fail = downloads.Downloads.fail

    def blame(self: Any, found: Any, error: Exception) -> None:
        if isinstance(error, ManifestError):
            for number in found.links:
                link = self._core.links[number]
                self._core.send(link, cmd.CloseLink(CloseCode.BAD_DATA, "a bad manifest"))
        fail(self, found, error)

    downloads.Downloads.fail = blame


@mutant
def manifest_sorted_by_plain_bytes() -> None:
    manifest._sort_key = lambda path: path.encode()
    ManifestReader._check_order = lambda self, path: None


@mutant
def files_asked_before_the_manifest_is_complete() -> None:
    def hasty(handle: Any, session: Any, frame: Any) -> Any:
        asked = session.requests._open.get(frame.id)
        counted = handle(session, frame)
        topic = None if asked is None else session.topics.opened(asked.topic)
        if asked is not None and asked.file == MANIFEST and topic is not None:
            session.outbox.add(msg.Request(9999, topic.local, 0, 0, 0).encode_frame())
        return counted

    _on(FrameType.DATA, hasty)


@mutant
def empty_blobs_rejected() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        if not frame.length:
            raise LinkFault(CloseCode.BAD_DATA, "nothing")
        return handle(session, frame)

    _on(FrameType.OBJECT, strict)


@mutant
def small_manifests_rejected() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        if frame.kind == 1 and frame.length < 13:
            raise LinkFault(CloseCode.BAD_DATA, "a small manifest")
        return handle(session, frame)

    _on(FrameType.OBJECT, strict)


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
    have_read = seeding.Seeding._have_read

    def at_once(self: Any, link: Any, *given: Any) -> None:
        have_read(self, link, *given)
        self.feed(link)

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
