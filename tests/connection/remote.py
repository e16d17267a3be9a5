"""The other side of a connection, made by hand: it can say anything, and hears every byte.

It follows the specification with the Noise handshake and the message codec alone, so that both sides of a test never
share a mistake of `p2pwire.connection`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from p2pwire.connection.commands import Command
from p2pwire.connection.config import Config, Offer, Role
from p2pwire.connection.connection import MAX_READ, Connection
from p2pwire.connection.events import Closed, Event
from p2pwire.content.hashing import BLOCK, block_count
from p2pwire.content.merkle import Tree, TreeBuilder, proof_count, tree_height
from p2pwire.content.objects import ObjectInfo, cap
from p2pwire.crypto.identity import Identity, Purpose
from p2pwire.crypto.noise import NoiseHandshake
from p2pwire.testing.pair import seeded
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import MAX_RECORD_PLAINTEXT, REKEY_INTERVAL, JoinFlag, ObjectKind, Suite

START = 1000.0
"""When every test begins."""

NO_FLAGS = JoinFlag(0)

E = TypeVar("E")


def identity(name: str) -> Identity:
    """The same identity for the same name."""
    return Identity.from_seed(hashlib.sha256(name.encode()).digest())


def config(name: str = "alice", *blobs: Blob, **changes: Any) -> Config:
    """A config without GREASE, whose catalogue has these blobs."""
    topics = {blob.topic: blob.offer for blob in blobs}
    return Config(identity(name), **{"topics": topics, "grease": b"", **changes})


class Blob:
    """One file with its tree."""

    def __init__(self, blocks: int = 1, *, seed: str = "blob", tail: int = BLOCK) -> None:
        """`tail`: bytes of the last block."""
        length = (blocks - 1) * BLOCK + tail
        self.data = hashlib.shake_128(seed.encode()).digest(length)
        builder = TreeBuilder()
        builder.update(self.data)
        self.leaves = builder.finish()
        self.tree = Tree.from_leaves(length, self.leaves.hashes)
        self.info = ObjectInfo(ObjectKind.BLOB, length, self.leaves.root)

    @property
    def topic(self) -> bytes:
        return self.info.topic

    @property
    def root(self) -> bytes:
        return self.info.root

    @property
    def length(self) -> int:
        return len(self.data)

    @property
    def offer(self) -> Offer:
        return Offer(self.info.oid, NO_FLAGS, self.info)

    @property
    def unknown(self) -> Offer:
        """The offer of somebody who knows the id alone."""
        return Offer(self.info.oid, NO_FLAGS, None)

    def block(self, number: int) -> bytes:
        return self.data[number * BLOCK : (number + 1) * BLOCK]

    def siblings(self, number: int, first: int) -> tuple[bytes, ...]:
        return self.tree.siblings(number, proof_count(tree_height(self.length), number, first))

    def answer(self, request: int, first: int, level: int) -> list[msg.Data]:
        """All DATA of a request."""
        end = min(first + (1 << level), block_count(self.length))
        return [msg.Data(request, n, self.siblings(n, first), self.block(n)) for n in range(first, end)]


class Remote:
    """A connection under test, and the other side of it."""

    def __init__(self, role: Role, under_test: Config | None = None, *, name: str = "remote", suite: int = 1) -> None:
        """`role` is that of the connection under test."""
        self.config = under_test or config()
        self.now = START
        self.connection = Connection(role, self.config, now=START, random=seeded(f"test {role.value}"))
        self.initiator = role is Role.RESPONDER
        """Whether this remote is the initiator."""
        self.identity = identity(name)
        self.suite = Suite(suite)
        self.versions: tuple[int, ...] = (1,)
        self.suites: tuple[int, ...] = (suite,)
        self.events: list[Event] = []
        self.frames: list[msg.Frame] = []
        """What the connection said, decrypted."""
        self.records: list[bytes] = []
        """The plaintext of its records."""
        self.raw = bytearray()
        """What it sent in the handshake."""
        self.ended = False
        """Whether it has ended its direction of the carrier."""
        self.send_cipher: Any = None
        self.receive_cipher: Any = None
        self.handshake_hash = b""
        self._encrypted = bytearray()
        self._sent = self._received = 0
        self.preamble = self.other_preamble = b""
        self.noise: NoiseHandshake | None = None

    # --- bytes ---

    def feed(self, data: bytes) -> None:
        """Let bytes arrive."""
        for at in range(0, len(data), MAX_READ):
            self.connection.receive_data(data[at : at + MAX_READ], self.now)
            self.settle()

    def end(self) -> None:
        """Let the stream end."""
        self.connection.receive_data(b"", self.now)
        self.settle()

    def settle(self) -> None:
        """Take all events, and then all bytes."""
        self.take_events()
        self.take_bytes()

    def take_events(self) -> None:
        while (event := self.connection.next_event()) is not None:
            self.events.append(event)

    def take_bytes(self) -> None:
        data = b"".join(self.connection.data_to_send(self.now))
        assert not (data and self.ended), "bytes after the end"
        self.ended = self.connection.output_ended
        if self.receive_cipher is None:
            self.raw += data
        else:
            self._encrypted += data
            self._decrypt()

    def _decrypt(self) -> None:
        while len(self._encrypted) >= 2:
            end = 2 + int.from_bytes(self._encrypted[:2], "big")
            if len(self._encrypted) < end:
                break
            plain = self.receive_cipher.decrypt(bytes(self._encrypted[2:end]))
            self._received += 1
            if self._received % REKEY_INTERVAL == 0:
                self.receive_cipher.rekey()
            del self._encrypted[:end]
            self.records.append(plain)
            self.frames += parse(plain)

    def take_handshake(self, size: int) -> bytes:
        """The next bytes that the connection sent in the handshake."""
        taken = bytes(self.raw[:size])
        assert len(taken) == size
        del self.raw[:size]
        return taken

    # --- the handshake ---

    def offer(self) -> bytes:
        """Preamble and message 1."""
        self.preamble = msg.encode_preamble(
            msg.InitiatorPreamble(self.versions, self.suites, int(self.suite), ()),
        )
        self.start(self.preamble)
        return self.preamble + self.message(b"")

    def start(self, offer: bytes) -> None:
        binding = self.config.binding
        self.noise = NoiseHandshake(
            initiator=self.initiator,
            suite=self.suite,
            prologue=b"p2pwire/1\0" + offer + len(binding).to_bytes(2, "big") + binding,
            static_seed=hashlib.sha256(b"static").digest(),
            ephemeral_seed=hashlib.sha256(b"ephemeral").digest(),
            psk=self.config.psk,
        )

    def message(self, payload: bytes | None = None) -> bytes:
        """The next handshake message; without a payload, with the proof of this identity."""
        assert self.noise is not None
        _, h = self.noise.begin_message()
        message = self.noise.finish_message(self.proof(h) if payload is None else payload)
        return len(message).to_bytes(2, "big") + message

    def proof(self, h: bytes, parameters: tuple[msg.Parameter, ...] = ()) -> bytes:
        purpose = Purpose.HANDSHAKE_INITIATOR if self.initiator else Purpose.HANDSHAKE_RESPONDER
        response = self.other_preamble if self.initiator else self.preamble
        signature = self.identity.sign(purpose, h + hashlib.sha256(response).digest())
        return msg.HandshakePayload(self.identity.public, signature, parameters).encode()

    def read_message(self) -> bytes:
        """Read the next handshake message of the connection; its payload."""
        assert self.noise is not None
        size = int.from_bytes(self.take_handshake(2), "big")
        payload, _ = self.noise.read_message(self.take_handshake(size))
        return payload

    def read_preamble(self) -> bytes:
        header = self.take_handshake(11)
        self.other_preamble = header + self.take_handshake(int.from_bytes(header[9:], "big"))
        return self.other_preamble

    def answer(self) -> bytes:
        """As a responder: read flight 1, and what flight 2 has to be."""
        offer = self.read_preamble()
        self.preamble = msg.encode_preamble(msg.ResponderPreamble(1, int(self.suite), ()))
        self.start(offer)
        assert self.read_message() == b""
        return self.preamble + self.message()

    def split(self) -> None:
        assert self.noise is not None
        self.handshake_hash = self.noise.handshake_hash
        self.send_cipher, self.receive_cipher = self.noise.split()

    def handshake(self) -> Remote:
        """Up to the end of the handshake; the connection's HELLO is in `frames` then."""
        self.settle()
        if self.initiator:
            self.feed(self.offer())
            self.read_preamble()
            self.read_message()
            last = self.message()
            self.split()
            self.feed(last)
        else:
            flight = self.answer()
            self.connection.receive_data(flight, self.now)
            self.take_events()
            raw = b"".join(self.connection.data_to_send())
            self.raw += raw
            self.read_message()
            self.split()
            self._encrypted += self.raw
            self.raw.clear()
            self._decrypt()
            self.settle()
        return self

    def open(self, hello: msg.Hello | None = None) -> Remote:
        """Up to HELLO of both sides."""
        self.handshake()
        self.say(hello or HELLO)
        return self

    # --- frames ---

    def seal(self, plaintext: bytes) -> bytes:
        """A record."""
        record = self.send_cipher.encrypt(plaintext)
        self._sent += 1
        if self._sent % REKEY_INTERVAL == 0:
            self.send_cipher.rekey()
        return len(record).to_bytes(2, "big") + record

    def say(self, *frames: msg.Frame | bytes) -> None:
        """Let frames arrive, in as few records as they fit into."""
        self.feed(b"".join(map(self.seal, plaintexts(frames))))

    def join(self, blob: Blob, handle: int = 0, **changes: Any) -> msg.Join:
        """JOIN with the right cap."""
        values = {"flags": 0, "topic": blob.topic, "cap": self.cap(blob), **changes}
        return msg.Join(handle, values["flags"], values["topic"], values["cap"])

    def cap(self, blob: Blob) -> bytes:
        return cap(blob.info.oid, self.initiator, self.handshake_hash)

    def object(self, blob: Blob, handle: int = 0) -> msg.Object:
        return msg.Object(handle, blob.info.kind, blob.info.length, blob.info.root)

    def heard(self, kind: type[E]) -> list[E]:
        """What the connection said, of one kind."""
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def forget(self) -> Remote:
        """Hear and see afresh."""
        self.frames.clear()
        self.events.clear()
        return self

    # --- the connection ---

    def command(self, *commands: Command) -> None:
        """Give commands to the connection under test."""
        for command in commands:
            self.connection.send(command, self.now)
        self.settle()

    def of(self, kind: type[E]) -> list[E]:
        """Its events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def closed(self) -> Closed | None:
        """Its end, of which there is at most one, as the last event."""
        found = self.of(Closed)
        assert len(found) <= 1
        assert not found or self.events[-1] is found[0]
        return found[0] if found else None

    @property
    def close(self) -> msg.Close | None:
        """The CLOSE that it sent, which is the last frame."""
        found = self.heard(msg.Close)
        assert len(found) <= 1
        assert not found or self.frames[-1] is found[0]
        return found[0] if found else None

    def advance(self, seconds: float) -> None:
        """Let time go by, timer after timer."""
        end = self.now + seconds
        while (due := self.connection.next_timeout()) is not None and due <= end:
            self.now = max(self.now, due)
            self.connection.handle_timeout(self.now)
            self.settle()
        self.now = end


HELLO = msg.Hello(1024, 64, 150, ())


def raw(frame_type: int, body: bytes = b"") -> bytes:
    """A frame of any type."""
    return bytes((frame_type,)) + len(body).to_bytes(2, "big") + body


def plaintexts(frames: Iterable[msg.Frame | bytes]) -> list[bytes]:
    """The plaintexts of records with these frames."""
    plains = [b""]
    for frame in frames:
        data = frame if isinstance(frame, bytes) else frame.encode_frame()
        if len(plains[-1]) + len(data) > MAX_RECORD_PLAINTEXT:
            plains.append(b"")
        plains[-1] += data
    return [plain for plain in plains if plain]


def parse(plain: bytes) -> list[msg.Frame]:
    """The frames of a record that this side knows."""
    frames = []
    at = 0
    while at < len(plain):
        frame_type = plain[at]
        end = at + 3 + int.from_bytes(plain[at + 1 : at + 3], "big")
        assert end <= len(plain)
        if frame_type in msg.FRAMES:
            frames.append(msg.decode_frame(frame_type, plain[at + 3 : end]))
        at = end
    return frames


def responder(under_test: Config | None = None, **changes: Any) -> Remote:
    """A responder under test."""
    return Remote(Role.RESPONDER, under_test, **changes)


def initiator(under_test: Config | None = None, **changes: Any) -> Remote:
    """An initiator under test."""
    return Remote(Role.INITIATOR, under_test, **changes)


BOTH: tuple[Callable[..., Remote], ...] = (initiator, responder)
