"""Faults of the reference in bytes, frames and records."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from typing import Any

from p2pwire.connection import (
    connection,
    inbox,
    incoming,
    records,
)
from p2pwire.connection.state import LinkInput, LinkState
from p2pwire.crypto import identity, noise
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, FrameType

from faults import before, cell, mutant

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

    def hasty(session: Any, frame_type: int, body: Any) -> Any:
        size = {FrameType.PING: 8, FrameType.JOIN: 67}.get(frame_type)
        if size is not None and len(body) > size:
            take(session, frame_type, body[:size])
        return take(session, frame_type, body)

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
    connection._STEADY -= {FrameType.GET_PEERS}


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
def own_key_kept() -> None:
    seal = records.RecordSealer.seal
    rekey = noise.CipherState.rekey

    def keeping(self: Any, *parts: Any) -> bytes:
        noise.CipherState.rekey = lambda self: None
        try:
            return seal(self, *parts)
        finally:
            noise.CipherState.rekey = rekey

    records.RecordSealer.seal = keeping


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

    def changed(self: Any, *parts: Any) -> Any:
        counts[self] += 1
        if counts[self] <= 3:
            return seal(self, *parts)
        return change(self, seal, b"".join(parts))

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
    inbox._checked = lambda data, at: max(17, data[at] << 8 | data[at + 1])


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
