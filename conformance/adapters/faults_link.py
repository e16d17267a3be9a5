"""Faults of the reference on an established link: frames, records, HELLO, extensions, keepalive, closing."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
from p2pwire.connection import (
    commands,
    connection,
    events,
    extensions,
    inbox,
    incoming,
    records,
    session,
    timers,
    topics,
    transfer,
)
from p2pwire.connection.budget import ControlBudget
from p2pwire.connection.state import LinkInput, LinkState
from p2pwire.connection.timers import Timer, Timers
from p2pwire.crypto import identity, noise
from p2pwire.node import asking, links, peerbook
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, FrameType

import reference
from faults import before, cell, mutant, without_timer

# --- bytes, integers, the form of frames ---


@mutant
def unknown_even_ignored() -> None:
    cell(LinkState.OPEN, LinkInput.UNKNOWN_CRITICAL, LinkState.OPEN)


@mutant
def unknown_odd_rejected() -> None:
    cell(LinkState.OPEN, LinkInput.UNKNOWN_IGNORABLE, CloseCode.UNKNOWN_FRAME)


@mutant
def trailing_bytes_accepted() -> None:
    decode = msg.decode_frame

    def lenient(kind: int, body: Any) -> Any:
        return decode(kind, body[:8] if kind == FrameType.PING else body)

    msg.decode_frame = lenient


@mutant
def record_split_frames_dropped() -> None:
    frame = inbox.Inbox.frame

    def lenient(self: Any) -> Any:
        try:
            return frame(self)
        except connection.LinkFault:
            self._plain = None
            return None

    inbox.Inbox.frame = lenient


@mutant
def first_frame_of_a_record_only() -> None:
    frame = inbox.Inbox.frame

    def one(self: Any) -> Any:
        found = frame(self)
        self._plain = None
        return found

    inbox.Inbox.frame = one


@mutant
def little_endian_handles() -> None:
    encode = msg.Refuse.encode_frame

    def swapped(self: Any) -> bytes:
        found = encode(self)
        return found[:3] + found[3:5][::-1] + found[5:]

    msg.Refuse.encode_frame = swapped


@mutant
def partial_record_dropped() -> None:
    add = inbox.Inbox.add

    def whole(self: Any, data: Any) -> None:
        add(self, data)
        if self._opener is not None:
            self._rest.clear()

    inbox.Inbox.add = whole


@mutant
def acts_before_the_form_is_checked() -> None:
    take = connection.receive

    def hasty(session: Any, arrived: Any, frame_type: int, body: Any) -> Any:
        size = {FrameType.PING: 8, FrameType.JOIN: 67}.get(frame_type)
        if size is not None and len(body) > size:
            take(session, arrived, frame_type, body[:size])
        return take(session, arrived, frame_type, body)

    connection.receive = hasty


@mutant
def lengths_checked_late() -> None:
    preamble, message = inbox.Inbox.preamble, inbox.Inbox.handshake_message

    def late_preamble(self: Any) -> bytes | None:
        rest = self._rest
        waits = len(rest) >= 11 and len(rest) < 11 + int.from_bytes(rest[9:11], "big")
        return None if waits else preamble(self)

    def late_message(self: Any) -> bytes | None:
        rest = self._rest
        return None if len(rest) < 2 + int.from_bytes(rest[:2], "big") else message(self)

    inbox.Inbox.preamble, inbox.Inbox.handshake_message = late_preamble, late_message


@mutant
def reserved_bits_sent() -> None:
    encode = msg.Join.encode_frame

    def noisy(self: Any) -> bytes:
        found = bytearray(encode(self))
        found[5] |= 0x80
        return bytes(found)

    msg.Join.encode_frame = noisy


@mutant
def reserved_bits_rejected() -> None:
    def strict(session: Any, frame: Any) -> None:
        if frame.flags & 0xF8:
            raise connection.LinkFault(CloseCode.PROTOCOL, "reserved bits")

    before(FrameType.JOIN, strict)


@mutant
def unknown_type_before_order() -> None:
    cell(LinkState.WAIT_HELLO, LinkInput.UNKNOWN_CRITICAL, CloseCode.UNKNOWN_FRAME)


@mutant
def ill_formed_text_accepted() -> None:
    decode = msg.Agent.decode
    msg.Agent.decode = lambda data: decode(bytes(data).decode("utf-8", "replace").encode())


@mutant
def control_characters_accepted() -> None:
    decode = msg.Agent.decode
    msg.Agent.decode = lambda data: decode(bytes(b for b in bytes(data).replace(b"\xc2\x85", b"") if b >= 32))


@mutant
def control_character_in_detail() -> None:
    close = connection.close_frame

    def coloured(code: CloseCode, text: str, frame_type: int) -> bytes:
        body = close(code, text, frame_type)[3:][:250] + b"\x1b[0m"
        return bytes([FrameType.CLOSE]) + len(body).to_bytes(2, "big") + body

    connection.close_frame = coloured


def _records_signed(sign: Any) -> None:
    """Sign peer records in another way."""
    right = identity.Identity.sign

    def wrong(self: Any, purpose: Any, content: Any) -> bytes:
        if purpose is identity.Purpose.PEER_RECORD:
            return sign(self._private, bytes(content))
        return right(self, purpose, content)

    identity.Identity.sign = wrong


@mutant
def record_signed_without_purpose() -> None:
    _records_signed(lambda key, content: key.sign(content))


@mutant
def record_signed_with_prehash() -> None:
    _records_signed(
        lambda key, content: key.sign(
            hashlib.sha512(identity.signed_text(identity.Purpose.PEER_RECORD, content)).digest()
        )
    )


@mutant
def left_bytes_ignored() -> None:
    frame = inbox.Inbox.frame

    def lenient(self: Any) -> Any:
        if self._plain is not None and len(self._plain) - self._at < 3:
            self._plain = None
        return frame(self)

    inbox.Inbox.frame = lenient


@mutant
def record_judged_as_a_whole() -> None:
    def judge(self: Any) -> None:
        at, plain = 0, self._plain
        while at < len(plain):
            size = int.from_bytes(plain[at + 1 : at + 3], "big")
            if len(plain) < at + 3 or len(plain) < at + 3 + size:
                raise connection.LinkFault(CloseCode.PROTOCOL, "a frame is cut")
            if plain[at] == FrameType.PING and size != 8:
                raise connection.LinkFault(CloseCode.PROTOCOL, "a PING is malformed")
            at += 3 + size

    _opened_records(judge)


def _opened_records(change: Any) -> None:
    """Do something with each record that was opened."""
    open_record = inbox.Inbox.open_record

    def changed(self: Any) -> bool:
        found = open_record(self)
        if found:
            change(self)
        return found

    inbox.Inbox.open_record = changed


@mutant
def frames_reversed() -> None:
    def turn(self: Any) -> None:
        self._plain = memoryview(b"".join(reversed(_frames(self._plain))))

    _opened_records(turn)


def _frames(plain: Any) -> list[bytes]:
    found, at = [], 0
    while at < len(plain):
        end = at + 3 + int.from_bytes(plain[at + 1 : at + 3], "big")
        found.append(bytes(plain[at:end]))
        at = end
    return found


@mutant
def frames_before_close_dropped() -> None:
    def skip(self: Any) -> None:
        frames = _frames(self._plain)
        if frames[-1][0] == FrameType.CLOSE:
            self._plain = memoryview(frames[-1])

    _opened_records(skip)


@mutant
def ping_before_hello() -> None:
    begin = connection.Session.begin

    def eager(self: Any, *given: Any) -> None:
        self.outbox.add(msg.Ping(b"too soon").encode_frame())
        begin(self, *given)

    connection.Session.begin = eager


@mutant
def hello_not_awaited() -> None:
    cell(LinkState.WAIT_HELLO, FrameType.PING, LinkState.WAIT_HELLO)


def _from_the_fourth_ping(frame: Any) -> None:
    """Send something more before the answer to each PING but the first three."""
    counts: Counter[Any] = Counter()

    def more(session: Any, ping: Any) -> None:
        counts[session] += 1
        if counts[session] > 3:
            session.outbox.add(frame(session), answer=True)

    before(FrameType.PING, more)


@mutant
def hello_said_twice() -> None:
    _from_the_fourth_ping(lambda session: msg.Hello(1, 1, 30, ()).encode_frame())


@mutant
def type_ff_sent() -> None:
    _from_the_fourth_ping(lambda session: b"\xff\0\0")


@mutant
def get_peers_unknown() -> None:
    del incoming._FRAME_TYPES[FrameType.GET_PEERS]


@mutant
def form_of_what_is_ignored_unchecked() -> None:
    decode = msg.decode_frame

    def lenient(kind: int, body: Any) -> Any:
        try:
            return decode(kind, body)
        except connection.DecodeError:
            if kind == FrameType.SUGGEST:
                return msg.Pad(b"")
            raise

    msg.decode_frame = lenient
    suggest = incoming._HANDLERS[FrameType.SUGGEST]
    incoming._HANDLERS[FrameType.SUGGEST] = lambda session, frame: isinstance(frame, msg.Pad) or suggest(session, frame)


@mutant
def handle_of_the_other_side() -> None:
    say = connection.Session.say_object

    def wrong(self: Any, topic: Any, info: Any) -> None:
        own, topic.local = topic.local, topic.remote
        say(self, topic, info)
        topic.local = own

    connection.Session.say_object = wrong


# --- records ---


@mutant
def counter_gap_accepted() -> None:
    decrypt = noise.CipherState.decrypt

    def lenient(self: Any, sealed: Any, ad: bytes = b"") -> bytes:
        first = self.n
        for n in (first, first + 1, first + 2):
            self.n = n
            try:
                return decrypt(self, sealed, ad)
            except noise.DecryptionFailed:
                continue
        self.n = first
        return decrypt(self, sealed, ad)

    noise.CipherState.decrypt = lenient


@mutant
def replay_accepted() -> None:
    decrypt = noise.CipherState.decrypt

    def lenient(self: Any, sealed: Any, ad: bytes = b"") -> bytes:
        try:
            return decrypt(self, sealed, ad)
        except noise.DecryptionFailed:
            if not self.n:
                raise
            self.n -= 1
            return decrypt(self, sealed, ad)

    noise.CipherState.decrypt = lenient


@mutant
def no_rekey() -> None:
    records.RecordOpener.open = lambda self, sealed: self._cipher.decrypt(sealed)


@mutant
def close_after_a_bad_tag() -> None:
    give_up = connection.Connection._give_up

    def talkative(self: Any, code: CloseCode, text: str) -> None:
        if self._state in connection._WANTS_FRAMES:
            self._close(CloseCode.PROTOCOL, text)
        else:
            give_up(self, code, text)

    connection.Connection._give_up = talkative


def _sealed(change: Any) -> None:
    """Seal each record but the first three in another way."""
    seal = records.RecordSealer.seal
    counts: Counter[Any] = Counter()

    def changed(self: Any, plaintext: Any) -> Any:
        counts[self] += 1
        if counts[self] <= 3:
            return seal(self, plaintext)
        return change(self, seal, bytes(plaintext))

    records.RecordSealer.seal = changed


@mutant
def nonce_used_twice() -> None:
    def again(self: Any, seal: Any, plaintext: bytes) -> Any:
        self._cipher.n -= 1
        return seal(self, plaintext)

    _sealed(again)


@mutant
def empty_record_sent() -> None:
    def twice(self: Any, seal: Any, plaintext: bytes) -> Any:
        return seal(self, plaintext) + seal(self, b"")

    _sealed(twice)


@mutant
def frame_over_two_records() -> None:
    def halves(self: Any, seal: Any, plaintext: bytes) -> Any:
        return seal(self, plaintext[:5]) + seal(self, plaintext[5:])

    _sealed(halves)


@mutant
def records_compressed() -> None:
    _sealed(lambda self, seal, plaintext: seal(self, zlib.compress(plaintext)))


@mutant
def short_record_awaited() -> None:
    length = inbox._length
    inbox._checked = lambda data, at: max(17, length(data, at))


@mutant
def n_begins_anew() -> None:
    rekey = noise.CipherState.rekey

    def anew(self: Any) -> None:
        rekey(self)
        self.n = 0

    noise.CipherState.rekey = anew


@mutant
def large_records_rejected() -> None:
    right = records.RecordOpener.open

    def strict(self: Any, ciphertext: Any) -> bytes:
        if len(ciphertext) > 32768:
            raise noise.DecryptionFailed("a large record")
        return right(self, ciphertext)

    records.RecordOpener.open = strict


# --- HELLO and extensions ---


def _own_hello(change: Any) -> None:
    """Change the parameters of the own HELLO, told as pairs of tag and value."""
    hello = session._hello

    def changed(config: Any, grease: Any) -> Any:
        frame, *more = hello(config, grease)
        body, pairs, at = frame[3:9], [], 9
        while at < len(frame):
            size = int.from_bytes(frame[at + 1 : at + 3], "big")
            pairs.append((frame[at], frame[at + 3 : at + 3 + size]))
            at += 3 + size
        pairs = change(config, pairs)
        body += b"".join(bytes([tag]) + len(value).to_bytes(2, "big") + value for tag, value in pairs)
        return (bytes(1) + len(body).to_bytes(2, "big") + body, *more)

    session._hello = changed


@mutant
def hello_in_descending_order() -> None:
    _own_hello(lambda config, pairs: pairs[::-1])


@mutant
def no_own_record() -> None:
    _own_hello(lambda config, pairs: [pair for pair in pairs if pair[0] != 2])


@mutant
def host_named_in_the_agent() -> None:
    _own_hello(lambda config, pairs: [(1, f"p2pwire in {Path.home()}".encode()[:64]), *(p for p in pairs if p[0] > 1)])


def _listed(*entries: bytes) -> None:
    """List these extensions where any are."""
    _own_hello(
        lambda config, pairs: [
            (tag, b"".join(entries) if tag == 4 and config.extensions else value) for tag, value in pairs
        ]
    )


def _entry(name: str, base: int, count: int = 1) -> bytes:
    return bytes([len(name)]) + name.encode() + bytes([base, count, 0])


@mutant
def too_many_extensions() -> None:
    _listed(*(_entry(f"x/{number}", 0x80 + number) for number in range(25)))


@mutant
def extension_listed_twice() -> None:
    _listed(_entry("conformance/1", 0xA0, 2), _entry("conformance/1", 0xB0))


@mutant
def extensions_overlap() -> None:
    _listed(_entry("conformance/1", 0xA0, 2), _entry("conformance/2", 0xA1))


def _other_hellos(change: Any) -> None:
    """Read HELLO in another way where it is malformed."""
    decode = msg.decode_frame

    def lenient(kind: int, body: Any) -> Any:
        try:
            return decode(kind, body)
        except connection.DecodeError:
            if kind != FrameType.HELLO:
                raise
            return decode(kind, change(bytes(body)))

    msg.decode_frame = lenient


def _in_order(body: bytes) -> bytes:
    found, at = {}, 6
    while at < len(body):
        end = at + 3 + int.from_bytes(body[at + 1 : at + 3], "big")
        found[body[at]] = body[at:end]
        at = end
    return body[:6] + b"".join(found[tag] for tag in sorted(found))


@mutant
def hello_in_any_order() -> None:
    _other_hellos(_in_order)


@mutant
def unknown_hello_tag_rejected() -> None:
    def strict(session: Any, frame: Any) -> None:
        if any(parameter.tag > 4 for parameter in frame.parameters):
            raise connection.LinkFault(CloseCode.PROTOCOL, "an unknown tag")

    before(FrameType.HELLO, strict)


@mutant
def hello_values_unchecked() -> None:
    _other_hellos(lambda body: body[:6])


@mutant
def joins_without_hello() -> None:
    begin, identified = topics.Topics.__init__, links.Links._HANDLERS[events.PeerIdentified]

    def generous(self: Any, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        self.max_local = 64

    def hasty(self: Any, link: Any, event: Any) -> None:
        identified(self, link, event)
        if link.outbound:
            for topic in link.connection._config.topics:
                link.connection.send(commands.Join(topic))

    topics.Topics.__init__ = generous
    links.Links._HANDLERS[events.PeerIdentified] = hasty


@mutant
def limits_from_the_third_join() -> None:
    live = topics.Topics._live_remote
    counts: Counter[Any] = Counter()

    def late(self: Any) -> int:
        counts[self] += 1
        return 0 if counts[self] <= 3 else live(self)

    topics.Topics._live_remote = late


@mutant
def record_of_somebody_taken() -> None:
    extensions._record_of = lambda identity, record: record
    offer = peerbook.PeerBook.offer
    peerbook.PeerBook.offer = lambda self, *given, topic, **more: offer(self, *given, topic=topic or bytes(32), **more)


@mutant
def own_record_unverified() -> None:
    peerbook.PeerBook.__init__.__kwdefaults__["verify"] = lambda record, raw: True


@mutant
def judged_by_agent() -> None:
    def strict(session: Any, frame: Any) -> None:
        if any(parameter.tag == 1 and b"mallory" in parameter.value for parameter in frame.parameters):
            raise connection.LinkFault(CloseCode.NOT_ALLOWED, "an agent of ill repute")

    before(FrameType.HELLO, strict)


@mutant
def pad_has_to_be_zero() -> None:
    def strict(session: Any, frame: Any) -> None:
        if any(frame.data):
            raise connection.LinkFault(CloseCode.PROTOCOL, "PAD is not zero")

    before(FrameType.PAD, strict)


@mutant
def extension_taken_unagreed() -> None:
    agree = extensions.ExtensionTable.agree

    def all_of_them(self: Any, theirs: Any) -> None:
        agree(self, theirs)
        self.agreed = frozenset(one.name for one in self._own)

    extensions.ExtensionTable.agree = all_of_them


@mutant
def count_of_an_extension_ignored() -> None:
    incoming_type = extensions.ExtensionTable.incoming
    extensions.ExtensionTable.incoming = lambda self, kind: (
        incoming_type(self, kind) or (("conformance/1", 0) if kind >= 0xA0 and self.agreed else None)
    )


@mutant
def number_of_the_sender_taken() -> None:
    def theirs(self: Any, kind: int) -> Any:
        return next(
            (
                (name, kind - entry.base)
                for name, entry in self._theirs.items()
                if entry.base <= kind < entry.base + entry.count
            ),
            None,
        )

    extensions.ExtensionTable.incoming = theirs


@mutant
def unknown_extension_rejected() -> None:
    agree = extensions.ExtensionTable.agree

    def strict(self: Any, theirs: Any) -> None:
        if {entry.name for entry in theirs} - {one.name for one in self._own}:
            raise connection.LinkFault(CloseCode.PROTOCOL, "an unknown extension")
        agree(self, theirs)

    extensions.ExtensionTable.agree = strict


@mutant
def extension_lets_malformed_frames_pass() -> None:
    take = connection.receive

    def lenient(session: Any, *given: Any) -> Any:
        try:
            return take(session, *given)
        except connection.DecodeError:
            if session.extensions.agreed:
                return None
            raise

    connection.receive = lenient


def _outgoing(number: Any) -> None:
    """Number frames of extensions that are sent in another way: by the table, the name and the index."""
    right = extensions.ExtensionTable.outgoing
    extensions.ExtensionTable.outgoing = lambda self, name, index: number(self, name, index, right)


def _own_base(table: Any, name: str) -> int | None:
    return next((one.base for one in table._own if one.name == name), None)


@mutant
def own_numbers_sent() -> None:
    def number(table: Any, name: str, index: int, right: Any) -> int | None:
        base = _own_base(table, name)
        return base + index if base is not None and right(table, name, index) is not None else None

    _outgoing(number)


@mutant
def count_of_the_receiver_ignored() -> None:
    _outgoing(
        lambda table, name, index, right: (
            table._theirs[name].base + index if name in table._theirs and name[:6] != "grease" else None
        )
    )


@mutant
def extension_sent_unlisted() -> None:
    def number(table: Any, name: str, index: int, right: Any) -> int | None:
        found = right(table, name, index)
        base = _own_base(table, name)
        return found if found is not None or base is None or name in table._theirs else base + index

    _outgoing(number)


@mutant
def others_extension_sent() -> None:
    agree = extensions.ExtensionTable.agree

    def all_of_them(self: Any, theirs: Any) -> None:
        agree(self, theirs)
        self._theirs = {entry.name: entry for entry in theirs}

    extensions.ExtensionTable.agree = all_of_them


@mutant
def grease_extension_sent() -> None:
    extensions.NAME_PREFIX = "nothing begins so"


# --- keepalive ---


@mutant
def pong_zeroed() -> None:
    incoming._HANDLERS[FrameType.PING] = lambda session, frame: bool(
        session.outbox.add(msg.Pong(bytes(8)).encode_frame(), answer=True) or True
    )


@mutant
def pong_twice() -> None:
    answer = incoming._HANDLERS[FrameType.PING]
    incoming._HANDLERS[FrameType.PING] = lambda session, frame: answer(session, frame) and answer(session, frame)


@mutant
def silent_peer_never_timed_out() -> None:
    without_timer(Timer.IDLE)


@mutant
def no_control_budget() -> None:
    ControlBudget.spend = lambda self, size, now: True


@mutant
def bytes_not_counted() -> None:
    spend = ControlBudget.spend
    ControlBudget.spend = lambda self, size, now: spend(self, 0, now)


@mutant
def pong_first() -> None:
    def first(session: Any, ping: Any) -> bool:
        frame = msg.Pong(ping.data).encode_frame()
        session.outbox.add(frame, answer=True)
        session.outbox._frames.rotate(1)
        return True

    incoming._HANDLERS[FrameType.PING] = first


@mutant
def unasked_pong_rejected() -> None:
    def strict(session: Any, pong: Any) -> None:
        if pong.data not in (*session.pings, *session.own_pings):
            raise connection.LinkFault(CloseCode.PROTOCOL, "a PONG that nobody asked for")

    before(FrameType.PONG, strict)


@mutant
def open_pings_limited() -> None:
    def strict(session: Any, ping: Any) -> None:
        if session.outbox.answers > 11 * 8:
            raise connection.LinkFault(CloseCode.FLOOD, "too many PINGs")

    before(FrameType.PING, strict)


@mutant
def no_pings() -> None:
    without_timer(Timer.PING)


@mutant
def any_number_of_pings() -> None:
    connection.Session.may_ping = True


@mutant
def hello_not_timed() -> None:
    without_timer(Timer.HELLO)


# --- timers ---


@mutant
def request_timer_missing() -> None:
    without_timer(Timer.REQUEST)


@mutant
def serve_timer_missing() -> None:
    without_timer(Timer.SERVE)


@mutant
def output_timer_missing() -> None:
    without_timer(Timer.OUTPUT)


@mutant
def request_timer_closes() -> None:
    on_timer = connection.Connection._on_timer

    def closing(self: Any, timer: Timer) -> None:
        if timer is Timer.REQUEST:
            self._close(CloseCode.TIMEOUT, "a REQUEST was not answered")
        else:
            on_timer(self, timer)

    connection.Connection._on_timer = closing


@mutant
def cancelled_requests_forgotten() -> None:
    cancel_all = transfer.Requests.cancel_all

    def forgetting(self: Any) -> Any:
        found = list(cancel_all(self))
        for number in found:
            del self._open[number]
        return found

    transfer.Requests.cancel_all = forgetting


@mutant
def snubs_nobody() -> None:
    asking.Asking.timed_out = lambda self, link, event: False


@mutant
def time_always_counts() -> None:
    timers.OF_READING = frozenset()


@mutant
def timers_by_the_time_of_day() -> None:
    clock = reference.Run.do_clock

    def jump(self: Any, unix_time: float) -> None:
        ahead = unix_time - self.unix - self.now
        clock(self, unix_time)
        self.on_time(max(0, round(ahead * 1000)))

    reference.Run.do_clock = jump


# --- closing ---


@mutant
def no_close() -> None:
    connection.Connection._close = lambda self, code, text, frame_type=255: (
        self._give_up(code, text) if self._state not in connection._OVER else None
    )


@mutant
def wrong_code() -> None:
    close = connection.Connection._close
    connection.Connection._close = lambda self, code, text, frame_type=255: close(
        self, CloseCode.INTERNAL if code is CloseCode.PROTOCOL else code, text, frame_type
    )


@mutant
def nobody_blamed() -> None:
    close = connection.Connection._close
    connection.Connection._close = lambda self, code, text, frame_type=255: close(self, code, text)


@mutant
def truncation_hidden() -> None:
    report = connection.Connection._report
    connection.Connection._report = lambda self, code, reason, *, by_peer=False, truncated=False: report(
        self, code, reason, by_peer=by_peer
    )


@mutant
def close_answered() -> None:
    cell(LinkState.OPEN, FrameType.CLOSE, LinkState.OPEN)
    connection.Connection._on_close = lambda self, frame: self._close(CloseCode.NONE, "likewise")


@mutant
def no_drain() -> None:
    enter = connection.Connection._enter
    connection.Connection._enter = lambda self, state: enter(
        self, LinkState.CLOSED if state is LinkState.DRAINING and not self._outbox else state
    )
    _short_drain()


def _short_drain() -> None:
    start = Timers.start
    Timers.start = lambda self, which, *given: start(self, which, *((0.0,) if which is Timer.DRAIN else given))


@mutant
def ping_after_close() -> None:
    frame = connection.close_frame
    connection.close_frame = lambda *given: frame(*given) + msg.Ping(b"and this").encode_frame()


@mutant
def goes_on_after_close() -> None:
    cell(LinkState.OPEN, FrameType.CLOSE, LinkState.OPEN)
    connection.Connection._on_close = lambda self, frame: None


@mutant
def somebody_always_blamed() -> None:
    close = connection.close_frame
    connection.close_frame = lambda code, text, frame_type: close(code, text, 0 if frame_type == 0xFF else frame_type)


def _told_of_close(change: Any) -> None:
    """Tell the application something else of a CLOSE that came."""
    on_close = connection.Connection._on_close

    def changed(self: Any, frame: Any) -> None:
        on_close(self, frame)
        self._events.append(change(frame, self._events.pop()))

    connection.Connection._on_close = changed


@mutant
def unknown_code_means_nothing() -> None:
    _told_of_close(
        lambda frame, told: attrs.evolve(told, code=CloseCode.NONE) if frame.code not in set(CloseCode) else told
    )


@mutant
def detail_believed() -> None:
    _told_of_close(
        lambda frame, told: attrs.evolve(told, code=CloseCode.BAD_DATA) if "BAD_DATA" in frame.detail else told
    )


@mutant
def close_called_a_truncation() -> None:
    _told_of_close(lambda frame, told: attrs.evolve(told, truncated=True))


@mutant
def detail_tells_too_much() -> None:
    close = connection.Connection._close

    def telling(self: Any, code: CloseCode, text: str, *given: Any) -> None:
        close(self, code, f"{text} (key {self._config.identity.seed.hex()})", *given)

    connection.Connection._close = telling


@mutant
def drains_for_ever() -> None:
    without_timer(Timer.DRAIN)


@mutant
def content_forgotten_at_a_truncation() -> None:
    tell = reference.Run.tell

    def forgetting(self: Any, event: Any) -> None:
        tell(self, event)
        if isinstance(event, reference.ev.PeerDisconnected) and event.truncated:
            for topic, oid in list(self.oids.items()):
                self.node.forget(topic, self.now)
                self.fetch(bytes.fromhex(oid))

    reference.Run.tell = forgetting


# --- what must not show ---


@mutant
def refusal_tells_why() -> None:
    refuse = incoming._HANDLERS[FrameType.JOIN]

    def telling(session: Any, frame: Any) -> bool:
        known = frame.topic in session.topics.catalogue
        before = session.outbox.waiting
        found = refuse(session, frame)
        if known and session.outbox.waiting - before == 6:
            session.outbox.add(msg.Refuse(frame.handle, 0).encode_frame(), answer=True)
        return found

    incoming._HANDLERS[FrameType.JOIN] = telling


@mutant
def reject_tells_what_is_shared() -> None:
    heard: set[tuple[Any, int]] = set()

    def noting(session: Any, frame: Any) -> None:
        if frame.topic in session.topics.catalogue:
            heard.add((session, frame.handle))

    before(FrameType.JOIN, noting)
    say = connection.Session.say_reject
    handle = incoming._HANDLERS[FrameType.REQUEST]

    def telling(session: Any, frame: Any) -> bool:
        known = (session, frame.handle) in heard and session.topics.of_remote(frame.handle) is None
        connection.Session.say_reject = lambda self, request, code, *more: say(
            self, request, 2 if known else code, *more
        )
        try:
            return handle(session, frame)
        finally:
            connection.Session.say_reject = say

    incoming._HANDLERS[FrameType.REQUEST] = telling


@mutant
def identity_kept() -> None:
    from_seed = identity.Identity.from_seed
    identity.Identity.from_seed = staticmethod(lambda seed: from_seed(bytes([7]) * 32))
