"""A peer of p2pwire/1 that has nothing and wants nothing: it proves who it is, says HELLO, answers PING, refuses every
topic, and closes as is due.

It was written from SPEC.md alone and shares nothing with any other implementation. It does no input or output: bytes
and milliseconds come in by `receive` and `tick`, bytes go out by `take`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Generator
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from forms import (
    CLOSE,
    CREDIT,
    DATA,
    FORMS,
    HELLO,
    JOIN,
    NEEDS_TOPIC,
    PING,
    PONG,
    REFUSE,
    REJECT,
    REQUEST,
    UNCOUNTED,
    MalformedError,
    Reader,
    grease,
    need,
    numbers,
    parameters,
)
from keys import Noise, SilentError, acceptable, signed, verified

MAGIC: Final = b"\x89P2PW\r\n\x1a"
VERSION, SUITE = 1, 1
INTERNAL, PROTOCOL, UNKNOWN_FRAME, UNSOLICITED, CREDIT_EXCEEDED, FLOOD, TIMEOUT = 1, 2, 3, 6, 7, 8, 9
DUPLICATE, SELF, SHUTDOWN = 10, 11, 13
NO_VERSION, NO_SUITE, USE_SUITE = 1, 2, 3
NO_FRAME: Final = 0xFF
GREASE_TAG, GREASE_FRAME = 0x0B, 0x4B
GREASE_SHARE: Final = 64
"""of 256 links carry numbers without a meaning."""
HANDSHAKE_TIME, HELLO_TIME, DRAIN_TIME, PING_TIME = 10_000, 10_000, 5_000, 60_000
IDLE: Final = 150
DRAIN_BYTES: Final = 20 << 20
ANSWERS: Final = 65536


class LinkFaultError(Exception):
    """The link is to be closed with a code and the type to blame."""

    def __init__(self, code: int, blame: int, detail: str = "") -> None:
        super().__init__(detail)
        self.code, self.blame = code, blame


Reading = Generator[int, bytes, None]


def preamble(kind: int, body: bytes) -> bytes:
    """A whole preamble."""
    return MAGIC + bytes([kind]) + len(body).to_bytes(2, "big") + body


def listed(*values: int) -> bytes:
    """Versions or suites in a preamble."""
    return bytes([len(values)]) + b"".join(value.to_bytes(2, "big") for value in values)


class Peer:
    """One link. `links` are the links of this identity in the order in which their message 1 went or came."""

    def __init__(
        self, role: str, seed: bytes, now: int, *, links: list[Peer] | None = None, record: bytes = b"",
        expected: bytes = b"",
    ) -> None:  # fmt: skip
        self.initiator = role == "initiator"
        random = os.urandom(3)
        self.greases = (0x0A0A | int.from_bytes(random[:2], "big") & 0xF0F0,) if random[2] < GREASE_SHARE else ()
        """A number without a meaning that goes into this link's lists, now and then."""
        self.identity_key = Ed25519PrivateKey.from_private_bytes(seed)
        self.identity = self.identity_key.public_key().public_bytes_raw()
        self.static, self.ephemeral = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        self.links = [] if links is None else links
        self.record, self.expected = record, expected
        self.ended = False
        """Whether nothing more will be sent."""
        self.closed = False
        """Whether the carrier is to be closed."""
        self.events: list[dict[str, Any]] = []
        self.peer = b""
        """The other side's identity, once it is proved."""
        self.shaken = self.established = False
        self.elders: list[Peer] = []
        self.now = self.opened = self.heard = self.asked = self.taken_at = now
        self.idle, self.drained, self.given, self.taken = IDLE * 1000, 0, 0, 0
        self.pings: set[bytes] = set()
        self.pings_sent = 0
        self.ever_joined = bytearray(65536)
        self.granted, self.left = 64, 64
        self.frames_left, self.bytes_left, self.filled = 1000_000, (1 << 20) * 1000, now
        self.buffer, self.out, self.at_end = bytearray(), bytearray(), False
        self.reading = self._shake()
        self.wanted = self.waiting = 0
        self._work()

    # --- in, out, time ---

    def receive(self, data: bytes, now: int) -> None:
        """Bytes of the other side; none: there will be no more."""
        self.tick(now, self.waiting)
        if self.ended:
            self.drained += len(data)
            self.closed = self.closed or not data or self.drained >= DRAIN_BYTES
            return
        self.buffer += data
        self.at_end = self.at_end or not data
        self._work()

    def take(self) -> bytes:
        """What is to be sent now. Call until there is nothing, as long as the carrier takes it."""
        self._work()
        out = bytes(self.out)
        self.given += len(out)
        self.out.clear()
        return out

    def tick(self, now: int, waiting: int = 0) -> None:
        """Let time go by. `waiting` bytes of what was taken have not gone out; above 64 KiB nothing is read."""
        self.waiting = waiting
        if waiting > ANSWERS:
            self.heard, self.asked = self.heard + now - self.now, self.asked + now - self.now
        if not waiting or self.given - waiting > self.taken:
            self.taken, self.taken_at = self.given - waiting, now
        while not self.closed and (due := self._due()) <= now:
            self.now = max(self.now, due)
            self._on_time()
        self.now = now

    def close(self, code: int = SHUTDOWN, blame: int = NO_FRAME, detail: str = "") -> None:
        """Say CLOSE, if the handshake is over, and go."""
        if self.ended:
            return
        if self.shaken:
            self._send(CLOSE, code.to_bytes(2, "big") + bytes([blame]) + detail.encode())
            self._over(code=code, by_peer=False, truncated=False)
            self.ended, self.opened = True, self.now
            self.buffer.clear()
        else:
            self._drop("closed before the handshake was over")

    def _due(self) -> int:
        if self.ended:
            return self.opened + DRAIN_TIME
        if not self.shaken:
            return self.opened + HANDSHAKE_TIME
        return min(self._end_of_patience(), self.asked + min(PING_TIME, self.idle // 3))

    def _end_of_patience(self) -> int:
        """When the link is dead, unless a record comes and the carrier takes something."""
        silent = min(self.heard, self.taken_at) + self.idle
        return silent if self.established else min(silent, self.opened + HELLO_TIME)

    def _on_time(self) -> None:
        if self.ended:
            self.closed = True
        elif not self.shaken:
            self._drop("the handshake took too long")
        elif self.now >= self._end_of_patience():
            self.close(TIMEOUT)
        else:
            self.asked = self.now
            if len(self.pings) < 4:
                self.pings_sent += 1
                self.pings.add(self.pings_sent.to_bytes(8, "big"))
                self._send(PING, self.pings_sent.to_bytes(8, "big"))

    def _work(self) -> None:
        """Read what is there, until too many answers wait."""
        try:
            while not self.ended and len(self.out) <= ANSWERS and len(self.buffer) >= self.wanted:
                piece = bytes(self.buffer[: self.wanted])
                del self.buffer[: self.wanted]
                self.wanted = self.reading.send(piece if self.wanted else None)  # type: ignore[arg-type]
            if self.at_end and not self.ended and len(self.out) <= ANSWERS:
                self._over(code=INTERNAL, by_peer=False, truncated=True)
                self._drop("the stream ended")
        except LinkFaultError as fault:
            self.close(fault.code, fault.blame, str(fault))
        except MalformedError:
            self._drop("malformed")
        except SilentError as reason:
            self._over(code=PROTOCOL, by_peer=False, truncated=False)
            self._drop(str(reason))
        self.closed = self.closed or (self.ended and self.at_end)

    def _drop(self, reason: str) -> None:
        if not self.shaken:
            self.events.append({"ev": "refused", "text": reason})
        self.ended = self.closed = True
        self.buffer.clear()

    def _over(self, **how: Any) -> None:
        if self in self.links:
            self.links.remove(self)
        if self.established:
            self.events.append({"ev": "closed", **how})

    # --- the handshake ---

    def _magic(self) -> Generator[int, bytes, tuple[int, bytes, bytes]]:
        """(kind, body, all bytes) of a preamble."""
        for byte in MAGIC:
            if (yield 1)[0] != byte:
                raise SilentError("no magic")
        head = yield 3
        size = int.from_bytes(head[1:], "big")
        if not 4 <= size <= 512 or head[0] not in ((2, 3) if self.initiator else (1,)):
            raise SilentError("no such preamble")
        body = yield size
        return head[0], body, MAGIC + head + body

    @staticmethod
    def _message() -> Generator[int, bytes, bytes]:
        size = int.from_bytes((yield 2), "big")
        if not 1 <= size <= 1024:
            raise SilentError("no such handshake message")
        return (yield size)

    def _shake(self) -> Reading:
        yield from self._initiate() if self.initiator else self._respond()
        self.shaken, self.opened, self.heard, self.asked = True, self.now, self.now, self.now
        if self.peer == self.identity:
            raise LinkFaultError(SELF, NO_FRAME)
        for other in self.elders:
            if other.peer == self.peer and not other.ended:
                other.close(DUPLICATE)
        agent = b"minimal-python/1"
        hello = (1024).to_bytes(2, "big") + (64).to_bytes(2, "big") + IDLE.to_bytes(2, "big")
        for tag, value in ((1, agent), (2, self.record), *((GREASE_TAG, b"grease") for _ in self.greases)):
            hello += bytes([tag]) + len(value).to_bytes(2, "big") + value if value else b""
        self._send(HELLO, hello)
        for _ in self.greases:
            self._send(GREASE_FRAME, b"grease")
        yield from self._records()

    def _initiate(self) -> Reading:
        offer = preamble(1, listed(*self.greases, VERSION) + listed(*self.greases, SUITE) + SUITE.to_bytes(2, "big"))
        noise = Noise(b"p2pwire/1\0" + offer + b"\0\0")
        e = self.ephemeral.public_key().public_bytes_raw()
        noise.mix_hash(e)
        noise.seal(b"")
        self.links.append(self)
        self.out += offer + len(e).to_bytes(2, "big") + e

        kind, raw, answer = yield from self._magic()
        body = Reader(raw)
        if kind == 3:
            body.number(1), numbers(body), numbers(body)
            need(not body.left)
            raise SilentError("refused")
        chosen = body.number(2), body.number(2)
        parameters(body, 1)
        if chosen != (VERSION, SUITE):
            raise SilentError("chose what was not offered")

        message = Reader((yield from self._message()))
        re = message.take(32)
        noise.mix_hash(re)
        noise.mix_key(self.ephemeral, re)
        noise.mix_key(self.ephemeral, noise.open(message.take(48)))
        h_r = noise.h
        peer = self._proved(noise.open(message.take(message.left)), "responder", h_r, answer)
        if any(other.peer == peer and other.shaken and not other.ended for other in self.links if other is not self):
            raise SilentError("there is a link to this peer already")
        self.peer = peer

        sealed = noise.seal(self.static.public_key().public_bytes_raw())
        noise.mix_key(self.static, re)
        sealed += noise.seal(self._proof("initiator", noise.h, answer))
        self.out += len(sealed).to_bytes(2, "big") + sealed
        self.sealer, self.opener = noise.split()

    def _respond(self) -> Reading:
        _, raw, offer = yield from self._magic()
        body = Reader(raw)
        versions, suites, key_suite = numbers(body), numbers(body), body.number(2)
        parameters(body, 1)
        if key_suite not in suites or grease(key_suite):
            raise SilentError("a key_suite that was not offered")
        reason = NO_VERSION if VERSION not in versions else NO_SUITE if SUITE not in suites else USE_SUITE
        if reason != USE_SUITE or key_suite != SUITE:
            self.out += preamble(3, bytes([reason]) + listed(VERSION) + listed(SUITE))
            self.ended, self.opened = True, self.now
            yield 0
        message = Reader((yield from self._message()))
        re = message.take(32)
        need(not message.left)
        noise = Noise(b"p2pwire/1\0" + offer + b"\0\0")
        noise.mix_hash(re)
        noise.open(b"")
        self.elders = [other for other in self.links if other.established]
        self.links.append(self)

        answer = preamble(2, VERSION.to_bytes(2, "big") + SUITE.to_bytes(2, "big"))
        sealed = self.ephemeral.public_key().public_bytes_raw()
        noise.mix_hash(sealed)
        noise.mix_key(self.ephemeral, re)
        sealed += noise.seal(self.static.public_key().public_bytes_raw())
        noise.mix_key(self.static, re)
        sealed += noise.seal(self._proof("responder", noise.h, answer))
        self.out += answer + len(sealed).to_bytes(2, "big") + sealed

        message = Reader((yield from self._message()))
        noise.mix_key(self.ephemeral, noise.open(message.take(48)))
        h_i = noise.h
        self.peer = self._proved(noise.open(message.take(message.left)), "initiator", h_i, answer)
        self.opener, self.sealer = noise.split()

    def _proof(self, role: str, h: bytes, answer: bytes) -> bytes:
        content = h + hashlib.sha256(answer).digest()
        return self.identity + self.identity_key.sign(signed(f"handshake-{role}", content))

    def _proved(self, payload: bytes, role: str, h: bytes, answer: bytes) -> bytes:
        """The identity that a payload proves."""
        body = Reader(payload)
        identity, signature = body.take(32), body.take(64)
        parameters(body, 1)
        content = h + hashlib.sha256(answer).digest()
        if not acceptable(identity) or not verified(identity, signed(f"handshake-{role}", content), signature):
            raise SilentError("no proof of identity")
        if self.expected and identity != self.expected:
            raise SilentError("another identity than expected")
        return identity

    # --- records and frames ---

    def _send(self, kind: int, body: bytes) -> None:
        sealed = self.sealer.seal(bytes([kind]) + len(body).to_bytes(2, "big") + body)
        self.sealer.rekey_when_due()
        self.out += len(sealed).to_bytes(2, "big") + sealed

    def _records(self) -> Reading:
        while True:
            size = int.from_bytes((yield 2), "big")
            if size < 17:
                raise SilentError("no such record")
            plaintext = self.opener.open((yield size))
            self.opener.rekey_when_due()
            self.heard = self.asked = self.now
            at = 0
            while at < len(plaintext) and not self.ended:
                if len(plaintext) - at < 3:
                    raise LinkFaultError(PROTOCOL, NO_FRAME, "bytes after the last frame")
                kind, end = plaintext[at], at + 3 + int.from_bytes(plaintext[at + 1 : at + 3], "big")
                if end > len(plaintext):
                    raise LinkFaultError(PROTOCOL, kind, "a frame beyond its record")
                self._frame(kind, plaintext[at + 3 : end])
                at = end

    def _frame(self, kind: int, body: bytes) -> None:
        if kind != CLOSE and self.established is (kind == HELLO):
            raise LinkFaultError(PROTOCOL, kind, "HELLO comes first, and once")
        if kind in FORMS:
            try:
                reader = Reader(body)
                FORMS[kind](reader)
                need(not reader.left)
            except MalformedError:
                raise LinkFaultError(PROTOCOL, kind, "malformed") from None
        elif kind % 2 == 0:
            raise LinkFaultError(UNKNOWN_FRAME, kind)
        answers_ping = kind == PONG and body in self.pings
        self._act(kind, body)
        if not (kind in UNCOUNTED or answers_ping):
            self._count(kind, len(body) + 3)

    def _act(self, kind: int, body: bytes) -> None:
        if kind == HELLO:
            self._established(int.from_bytes(body[4:6], "big"))
        elif kind == CLOSE:
            code = int.from_bytes(body[:2], "big")
            self._over(code=code if code <= 14 else INTERNAL, by_peer=True, truncated=False)
            self.out.clear()
            self._drop("")
        elif kind == PING:
            self._send(PONG, body)
        elif kind == PONG:
            self.pings.discard(body)
        elif kind == JOIN:
            # As long as for a topic that is known.
            hmac.compare_digest(hmac.digest(os.urandom(32), signed("cap", bytes(33)), "sha256"), body[35:])
            self.ever_joined[int.from_bytes(body[:2], "big")] = 1
            self._send(REFUSE, body[:2] + b"\0")
        elif kind in NEEDS_TOPIC and not self.ever_joined[int.from_bytes(body[:2], "big")]:
            raise LinkFaultError(PROTOCOL, kind, "a handle that was never joined")
        elif kind == REQUEST:
            self._reject(body)
        elif kind in (DATA, REJECT):
            raise LinkFaultError(UNSOLICITED, kind)
        elif kind == CREDIT:
            total = int.from_bytes(body, "big")
            if total < self.granted:
                raise LinkFaultError(PROTOCOL, kind, "credit is never taken back")
            self.granted = total

    def _reject(self, body: bytes) -> None:
        """End a REQUEST, since no topic is open."""
        if not self.ever_joined[int.from_bytes(body[4:6], "big")]:
            raise LinkFaultError(PROTOCOL, REQUEST, "a handle that was never joined")
        self.left -= 1 << body[14]
        if self.left < 0:
            raise LinkFaultError(CREDIT_EXCEEDED, REQUEST)
        self._send(REJECT, body[:4] + bytes([6, 0, 0]))

    def _established(self, idle: int) -> None:
        self.established, self.idle = True, min(IDLE, idle) * 1000
        self.events.append({"ev": "link", "identity": self.peer.hex()})
        for other in [one for one in self.links if one is not self and one.established and one.peer == self.peer]:
            first = min(self, other, key=self.links.index)
            if self.initiator is not other.initiator:
                # Of two links dialled by different sides that of the higher identity goes.
                first = self if self.initiator is (self.identity > self.peer) else other
            first.close(DUPLICATE)

    def _count(self, kind: int, size: int) -> None:
        """Take a frame from the control budget, which is kept in thousandths."""
        passed, self.filled = self.now - self.filled, self.now
        self.frames_left = min(1000_000, self.frames_left + 100 * passed) - 1000
        self.bytes_left = min((1 << 20) * 1000, self.bytes_left + 65536 * passed) - 1000 * size
        if min(self.frames_left, self.bytes_left) < 0:
            raise LinkFaultError(FLOOD, kind)
