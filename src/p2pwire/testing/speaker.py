"""A peer at the level of frames: it keeps the handshake, and then says whatever it is told to, right or wrong.

It is made of the Noise handshake and the message codec alone, so that it shares no rule with `p2pwire.connection`:

    >>> from p2pwire.storage.memory import share_bytes
    >>> from p2pwire.testing.network import Network
    >>> from p2pwire.wire import messages as msg
    >>> network = Network("speaker")
    >>> bob, mallory = network.host("bob", "1.2.0.1"), network.puppet("mallory", "1.3.0.1")
    >>> topic = bob.share(share_bytes(b"hello"))
    >>> speaker = Speaker.over(mallory.connect(bob))
    >>> network.run(1, until=lambda: speaker.established)
    True
    >>> speaker.say(msg.Hello(1024, 64, 150, ()), msg.Request(1, 0, 0, 0, 0))
    >>> network.run(1, until=lambda: bool(speaker.heard(msg.Close)))
    True
    >>> speaker.heard(msg.Close)[0].detail
    'handle 0 was never joined'
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TypeVar

from p2pwire.content.objects import ObjectInfo, cap
from p2pwire.crypto.identity import Identity, Purpose
from p2pwire.crypto.noise import CipherState, NoiseHandshake
from p2pwire.testing.network.puppet import Wire
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import MAX_RECORD_PLAINTEXT, REKEY_INTERVAL, Suite

E = TypeVar("E")

_PREAMBLE_HEAD = 11
"""bytes of a preamble before its body."""


class Speaker:
    """One side of a link. Give what comes to `receive`; what it says goes to `send` at once."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        *,
        initiator: bool,
        identity: Identity | None = None,
        suite: Suite = Suite.XX_AESGCM,
        psk: bytes | None = None,
        seed: str = "speaker",
    ) -> None:
        self.initiator = initiator
        self.identity = identity or Identity.from_seed(hashlib.sha256(seed.encode()).digest())
        self.established = False
        """Whether the handshake is over, so that frames may flow."""
        self.peer: bytes = b""
        """The other side's identity, which is not checked."""
        self.handshake_hash = b""
        self.frames: list[msg.Frame] = []
        """What the other side said."""
        self.records: list[bytes] = []
        """The plaintexts of its records, if `keeps_records`."""
        self.keeps_records = False
        self.on_established: Callable[[], None] = lambda: None
        self.on_frame: Callable[[msg.Frame], None] = lambda frame: None
        self._send = send
        self._suite, self._psk, self._seed = suite, psk, seed
        self._inbox = bytearray()
        self._noise: NoiseHandshake | None = None
        self._sealing: CipherState | None = None
        self._opening: CipherState | None = None
        self._sealed = self._opened = 0
        self._response = b""
        """The responder's preamble."""
        self._offer = b""
        """The initiator's."""
        self._theirs = b""
        """The other side's."""
        if initiator:
            self._offer = msg.encode_preamble(msg.InitiatorPreamble((1,), (int(suite),), int(suite), ()))
            self._begin()
            send(self._offer + self._message(b""))

    @classmethod
    def over(cls, wire: Wire, *, identity: Identity | None = None, seed: str = "speaker") -> Speaker:
        """A speaker at one end of a puppet's connection."""
        speaker = cls(wire.send, initiator=wire.outbound, identity=identity, seed=seed)

        def take() -> None:
            data = bytes(wire.received)
            wire.received.clear()
            speaker.receive(data)

        wire.on_data = take
        return speaker

    # --- what it says ---

    def say(self, *frames: msg.Frame | bytes) -> None:
        """Send frames, or bytes that need not be any, in as few records as they fit into."""
        for plain in _plaintexts(frames):
            self.say_record(plain)

    def say_record(self, plaintext: bytes) -> None:
        """Send one record. Raises `ValueError` before the handshake is over."""
        if self._sealing is None:
            raise ValueError("say: the handshake is not over, see `established`")
        record = self._sealing.encrypt(plaintext)
        self._sealed += 1
        if self._sealed % REKEY_INTERVAL == 0:
            self._sealing.rekey()
        self._send(len(record).to_bytes(2, "big") + record)

    def join(self, info: ObjectInfo, handle: int = 0, flags: int = 0) -> msg.Join:
        """JOIN for an object, with the right cap."""
        return msg.Join(handle, flags, info.topic, cap(info.oid, self.initiator, self.handshake_hash))

    # --- what it hears ---

    def heard(self, kind: type[E]) -> list[E]:
        """What the other side said, of one kind."""
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def receive(self, data: bytes) -> None:
        """Bytes of the other side, in any pieces."""
        self._inbox += data
        while (self._read_record if self._opening is not None else self._read_handshake)():
            pass

    def _read_record(self) -> bool:
        record = self._message_of(2)
        if record is None:
            return False
        assert self._opening is not None
        plain = bytes(self._opening.decrypt(record))
        self._opened += 1
        if self._opened % REKEY_INTERVAL == 0:
            self._opening.rekey()
        if self.keeps_records:
            self.records.append(plain)
        for frame in parse(plain):
            self.frames.append(frame)
            self.on_frame(frame)
        return True

    def _read_handshake(self) -> bool:
        """Take one preamble or message of the handshake; whether there was a whole one."""
        if not self._theirs:
            head = bytes(self._inbox[:_PREAMBLE_HEAD])
            body = self._message_of(_PREAMBLE_HEAD)
            if body is None:
                return False
            self._theirs = head + body
            if self.initiator:
                self._response = self._theirs
            else:
                self._offer = self._theirs
                self._begin()
            return True
        message = self._message_of(2)
        if message is None:
            return False
        assert self._noise is not None
        payload, _ = self._noise.read_message(message)
        if payload:
            self.peer = bytes(payload[:32])
            if self.initiator:
                self._send(self._message())
            self._split()
        else:
            self._response = msg.encode_preamble(msg.ResponderPreamble(1, int(self._suite), ()))
            self._send(self._response + self._message())
        return True

    def _message_of(self, head: int) -> bytes | None:
        """Take out the message whose head, of so many bytes, ends with its length; None: not all of it is there."""
        if len(self._inbox) < head:
            return None
        end = head + int.from_bytes(self._inbox[head - 2 : head], "big")
        if len(self._inbox) < end:
            return None
        message = bytes(self._inbox[head:end])
        del self._inbox[:end]
        return message

    # --- the handshake ---

    def _begin(self) -> None:
        self._noise = NoiseHandshake(
            initiator=self.initiator,
            suite=self._suite,
            prologue=b"p2pwire/1\0" + self._offer + bytes(2),
            static_seed=hashlib.sha256(f"{self._seed}/static".encode()).digest(),
            ephemeral_seed=hashlib.sha256(f"{self._seed}/ephemeral/{self.initiator}".encode()).digest(),
            psk=self._psk,
        )

    def _message(self, payload: bytes | None = None) -> bytes:
        assert self._noise is not None
        _, h = self._noise.begin_message()
        if payload is None:
            purpose = Purpose.HANDSHAKE_INITIATOR if self.initiator else Purpose.HANDSHAKE_RESPONDER
            signature = self.identity.sign(purpose, h + hashlib.sha256(self._response).digest())
            payload = msg.HandshakePayload(self.identity.public, signature, ()).encode()
        message = self._noise.finish_message(payload)
        return len(message).to_bytes(2, "big") + message

    def _split(self) -> None:
        assert self._noise is not None
        self.handshake_hash = self._noise.handshake_hash
        self._sealing, self._opening = self._noise.split()
        self.established = True
        self.on_established()


def parse(plain: bytes) -> list[msg.Frame]:
    """The frames of a record that this version knows; others are passed over."""
    frames = []
    at = 0
    while at < len(plain):
        end = at + 3 + int.from_bytes(plain[at + 1 : at + 3], "big")
        if plain[at] in msg.FRAMES:
            frames.append(msg.decode_frame(plain[at], plain[at + 3 : end]))
        at = end
    return frames


def _plaintexts(frames: Iterable[msg.Frame | bytes]) -> list[bytes]:
    plains = [b""]
    for frame in frames:
        data = frame if isinstance(frame, bytes) else frame.encode_frame()
        if len(plains[-1]) + len(data) > MAX_RECORD_PLAINTEXT:
            plains.append(b"")
        plains[-1] += data
    return [plain for plain in plains if plain]
