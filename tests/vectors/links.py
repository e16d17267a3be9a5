"""Links between the reference and fixed keys, to which vectors send what they like."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import attrs

from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import Connection
from p2pwire.connection.events import Closed, Event
from p2pwire.crypto.identity import Identity, Purpose
from p2pwire.crypto.noise import CipherState, NoiseHandshake
from p2pwire.wire.messages import Close, Hello
from p2pwire.wire.registry import CloseCode, PreambleKind, Suite

from .reading import Json, Verdict

HELLO = Hello(256, 64, 150, ()).encode_frame()
MAGIC = bytes.fromhex("89503250570d0a1a")


def seeds(*numbers: int) -> Callable[[int], bytes]:
    """What a connection draws, one after another."""
    drawn: Iterator[bytes] = iter([bytes((number,)) * 32 for number in numbers])
    return lambda size: next(drawn)[:size]


def events(connection: Connection) -> list[Event]:
    """All that there are."""
    return list(iter(connection.next_event, None))


def output(connection: Connection) -> bytes:
    """All that is to be sent."""
    return b"".join(map(bytes, connection.data_to_send()))


@attrs.define
class Remote:
    """The other side of an established link to the reference, whose ciphers it holds."""

    connection: Connection
    seal: CipherState
    open: CipherState

    def send(self, plaintext: bytes) -> list[Event]:
        """One record, and what the reference makes of it."""
        sealed = self.seal.encrypt(plaintext)
        self.connection.receive_data(len(sealed).to_bytes(2, "big") + sealed, 0.0)
        return events(self.connection)

    def answers(self) -> list[tuple[int, bytes]]:
        """The frames that came, type and body."""
        data, found = output(self.connection), []
        while data:
            size = 2 + int.from_bytes(data[:2], "big")
            plain, data = self.open.decrypt(data[2:size]), data[size:]
            while plain:
                end = 3 + int.from_bytes(plain[1:3], "big")
                found.append((plain[0], plain[3:end]))
                plain = plain[end:]
        return found

    def outcome_of(self, *records: bytes) -> str:
        """What the link comes to: `CLOSE` and a code, `closed` by the other side's CLOSE, `silent` or `open`."""
        for plaintext in records:
            self.send(plaintext)
        sent = [Close.decode(body) for kind, body in self.answers() if kind == Close.TYPE]
        if sent:
            return f"CLOSE {CloseCode(sent[-1].code).name}"
        return "silent" if self.connection.finished else "open"


def established(*, hello: bool = True, suite: Suite = Suite.XX_AESGCM) -> Remote:
    """A link whose responder is the reference; HELLO of the other side has come, or is yet to."""
    config = Config(Identity.from_seed(bytes([9]) * 32), grease=b"", suites=(Suite.XX_AESGCM, Suite.XX_CHACHAPOLY))
    connection = Connection(Role.RESPONDER, config, now=0.0, random=seeds(1, 2, 0, 0))
    offer = MAGIC + bytes((PreambleKind.INITIATOR,)) + b"\0\x08" + b"\x01\0\x01\x01" + suite.to_bytes(2, "big") * 2
    noise = NoiseHandshake(
        initiator=True,
        suite=suite,
        prologue=b"p2pwire/1\0" + offer + b"\0\0",
        static_seed=bytes([3]) * 32,
        ephemeral_seed=bytes([4]) * 32,
        psk=None,
    )
    noise.begin_message()
    message = noise.finish_message(b"")
    connection.receive_data(offer + len(message).to_bytes(2, "big") + message, 0.0)
    events(connection)
    flight = output(connection)
    response, answer = flight[:15], flight[17:]
    noise.read_message(answer)
    _, h = noise.begin_message()
    identity = Identity.from_seed(bytes([5]) * 32)
    proof = identity.sign(Purpose.HANDSHAKE_INITIATOR, h + _sha256(response))
    message = noise.finish_message(identity.public + proof)
    connection.receive_data(len(message).to_bytes(2, "big") + message, 0.0)
    events(connection)
    remote = Remote(connection, *noise.split())
    if hello:
        remote.send(HELLO)
    remote.answers()
    return remote


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def silent_responder(body: bytes) -> str | None:
    """What a responder does on a preamble with this body, from its first byte to its last."""
    if not 4 <= len(body) <= 512:
        return None
    config = Config(Identity.from_seed(bytes([9]) * 32), grease=b"")
    connection = Connection(Role.RESPONDER, config, now=0.0, random=seeds(1, 2))
    connection.receive_data(MAGIC + b"\x01" + len(body).to_bytes(2, "big") + body, 0.0)
    assert any(isinstance(event, Closed) for event in events(connection))
    return "answer" if output(connection) else "silent"


def judge_close(given: Json) -> Verdict:
    """Family close."""
    remote = established(hello=False)
    seen: list[Event] = []
    answers: list[tuple[int, bytes]] = []
    for text in given["records"]:
        seen += remote.send(bytes.fromhex(text))
        answers += remote.answers()
    replies = [(bytes((kind,)) + len(body).to_bytes(2, "big") + body).hex() for kind, body in answers]
    closed = [event for event in seen if isinstance(event, Closed)]
    if not closed:
        return Verdict(True, {"link": "open", "answers": replies})
    (end,) = closed
    if end.by_peer:
        assert remote.connection.finished
        told = {"code": end.number, "meaning": end.code.name, "detail": end.reason}
        # What was still to be sent is dropped with CLOSE [CL-031]; it was looked at before.
        return Verdict(True, {"link": "closed", **told, "answers": replies})
    last = Close.decode(answers[-1][1])
    output = {"answers": replies[:-1], "frame_type": last.frame_type}
    return Verdict(False, output, f"CLOSE {CloseCode(last.code).name}")
