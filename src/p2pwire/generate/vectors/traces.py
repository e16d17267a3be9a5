"""Family trace: whole sessions of two reference connections, with the keys to read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from p2pwire.connection import commands as cmd
from p2pwire.connection.config import DEFAULT_SUITES, Config, Offer, Role
from p2pwire.connection.connection import Connection
from p2pwire.content.objects import ObjectInfo
from p2pwire.generate.vectors.book import Book
from p2pwire.generate.vectors.ciphers import Sealer
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.handshakes import peers
from p2pwire.generate.vectors.peer_records import signed
from p2pwire.generate.vectors.peers import Peer
from p2pwire.generate.vectors.shaker import Shaker, prologue_of, psk_of
from p2pwire.generate.vectors.trees import levels, pattern, root_of
from p2pwire.wire.messages import SharedRecord
from p2pwire.wire.registry import BLOCK_SIZE, CloseCode, JoinFlag, RejectCode, SharedRecordFlag, Suite

LENGTH: Final = 2 * BLOCK_SIZE + 100
INFO: Final = ObjectInfo(0, LENGTH, root_of(LENGTH))
TOPIC: Final = INFO.topic


class _Session:
    """One link; each record is kept with who sent it and what is in it."""

    def __init__(self, suite: Suite, *, binding: bytes = b"", known: bool = True) -> None:
        one, other = peers(suite)
        self.one, self.other = (attrs.evolve(peer, binding=binding) for peer in (one, other))
        offers = (Offer(INFO.oid, JoinFlag(0), None), Offer(INFO.oid, JoinFlag.UPLOAD_ONLY, INFO))
        self.sides = [
            self._connection(self.one, Role.INITIATOR, {TOPIC: offers[0]}),
            self._connection(self.other, Role.RESPONDER, {TOPIC: offers[1]} if known else {}),
        ]
        self.sent: list[bytes] = []
        self.records: list[dict[str, Any]] = []
        self._shake()

    @staticmethod
    def _connection(peer: Peer, role: Role, topics: dict[bytes, Offer]) -> Connection:
        given = peer.given
        order = (Suite.XX_CHACHAPOLY, Suite.XX_AESGCM) if peer.suites == (2, 1) else DEFAULT_SUITES
        config = Config(
            peer.identity,
            topics=topics,
            suites=order,
            psk=None if peer.secret is None else psk_of(peer.secret),
            binding=peer.binding,
            grease=b"",
        )
        drawn = iter((given["static"], given["ephemeral"]))
        return Connection(role, config, now=0.0, random=lambda size: next(drawn, bytes(size)))

    def _shake(self) -> None:
        """The flights, and the keys by a listener that has the seeds of both."""
        first = self._flush(0)
        end = 11 + int.from_bytes(first[9:11], "big")
        shakers = [
            Shaker(
                Suite(self.one.key_suite),
                prologue_of(first[:end], self.one.binding),
                peer.shaker(peer.key_suite, b"").static,
                peer.shaker(peer.key_suite, b"").ephemeral,
                initiator=peer.initiator,
                psk=None if peer.secret is None else psk_of(peer.secret),
            )
            for peer in (self.one, self.other)
        ]
        shakers[0].begin(1)
        shakers[0].finish(b"")
        shakers[1].read(1, first[end + 2 :])
        second = self._flush(1)
        message = second[15 + 2 :]
        payload, _ = shakers[0].read(2, message)
        shakers[1].begin(2)
        shakers[1].finish(payload)
        rest = self._flush(0)
        size = 2 + int.from_bytes(rest[:2], "big")
        payload, _ = shakers[1].read(3, rest[2:size])
        self.sent = [first, second, rest[:size]]
        self.hash = shakers[1].h
        self.keys = shakers[1].split()
        self.ciphers = [Sealer(Suite(self.one.key_suite), key, 0) for key in self.keys]
        self._keep(0, rest[size:])
        self.move(1)

    def _flush(self, side: int) -> bytes:
        data = b"".join(map(bytes, self.sides[side].data_to_send()))
        other = self.sides[1 - side]
        if data:
            other.receive_data(data, 0.0)
        while other.next_event() is not None:
            pass
        return data

    def _keep(self, side: int, data: bytes) -> None:
        cipher = self.ciphers[side]
        while data:
            size = 2 + int.from_bytes(data[:2], "big")
            plain = cipher.decrypt_with(cipher.n, data[2:size], b"")
            cipher.n += 1
            self.records.append({"from": "IR"[side], "record": data[:size], "plaintext": plain})
            data = data[size:]

    def move(self, side: int) -> None:
        """All that a side has to say, and what the other one answers."""
        while data := self._flush(side):
            self._keep(side, data)
            side = 1 - side

    def tell(self, side: int, *commands: cmd.Command) -> None:
        """Commands of one side, and what comes of them."""
        for command in commands:
            self.sides[side].send(command)
        self.move(side)


def _join(session: _Session) -> None:
    session.tell(0, cmd.Join(TOPIC))


def _fetch(session: _Session, level: int = 2) -> None:
    _join(session)
    session.tell(1, cmd.TellUnits(TOPIC, ((0, 2),)))
    session.tell(0, cmd.TellInterest(TOPIC, on=True))
    session.tell(1, cmd.GrantCredit(128))
    session.tell(0, cmd.RequestBlocks(1, TOPIC, 0, 0, level, LENGTH, INFO.root))
    for block in range(3):
        session.tell(1, _block(block))


def _block(block: int) -> cmd.SendBlock:
    count = (block & -block).bit_length() - 1 if block else 2
    siblings = tuple(levels(LENGTH)[height][block >> height ^ 1] for height in range(count))
    size = min(BLOCK_SIZE, LENGTH - block * BLOCK_SIZE)
    return cmd.SendBlock(1, siblings, pattern(size, 0, block * BLOCK_SIZE), last=block == 2)


def trace(citations: Citations) -> Iterator[Book]:
    """Sessions, one after another."""
    book = Book("trace/sessions", "Sessions of two peers from the first byte to the last.", citations)
    for suite in Suite:
        session = _Session(suite)
        session.tell(0, cmd.Ping(b"12345678"))
        session.tell(1, cmd.CloseLink(CloseCode.NONE, "done"))
        _enter(book, f"suite-{int(suite)}/ping", "HELLO, PING and CLOSE", session, ("HS-014", "KA-001", "FR-002"))
        session = _Session(suite, known=False)
        _join(session)
        session.tell(0, cmd.CloseLink(CloseCode.SHUTDOWN))
        _enter(book, f"suite-{int(suite)}/refused", "a JOIN that is refused", session, ("TP-016", "TP-027"))
    session = _Session(Suite.XX_AESGCM, binding=bytes(range(32)))
    _fetch(session)
    session.tell(0, cmd.Leave(TOPIC))
    session.tell(0, cmd.CloseLink(CloseCode.NONE))
    cited = ("HS-011", "TP-016", "TP-030", "TR-001", "TR-010", "TR-050", "TR-051", "TR-052", "TP-054")
    _enter(book, "transfer/whole", "a file of three blocks", session, cited)
    session = _Session(Suite.XX_AESGCM)
    _join(session)
    session.tell(1, cmd.TellUnits(TOPIC, ((0, 0), (2, 2))), cmd.TellLost(TOPIC, ((2, 2),)))
    session.tell(0, cmd.RequestBlocks(1, TOPIC, 0, 0, 2, LENGTH, INFO.root), cmd.CancelRequest(1))
    session.tell(1, _block(0), cmd.RejectRequest(1, RejectCode.CANCELLED))
    session.tell(0, cmd.RequestBlocks(2, TOPIC, 0, 2, 0, LENGTH, INFO.root))
    session.tell(1, cmd.RejectRequest(2, RejectCode.BUSY, 1.5))
    session.tell(0, cmd.CloseLink(CloseCode.BAD_DATA, "not what was promised", 0x22))
    _enter(book, "transfer/rejected", "requests that end early", session, ("TR-040", "TR-061", "TR-065"))
    session = _Session(Suite.XX_AESGCM)
    _join(session)
    record = SharedRecord(int(SharedRecordFlag.REACHABLE), signed())
    session.tell(0, cmd.AskPeers(TOPIC, 8))
    session.tell(1, cmd.SharePeers(TOPIC, (record,), (bytes(range(32)),)))
    session.tell(1, cmd.SuggestUnits(TOPIC, 0, 1))
    session.tell(1, cmd.CloseLink(CloseCode.BUSY))
    _enter(book, "peers/shared", "a record that is shared", session, ("PX-009", "PX-055"))
    yield book


def _enter(book: Book, name: str, about: str, session: _Session, cited: Sequence[str]) -> None:
    given = {
        "initiator": session.one.given,
        "responder": session.other.given,
        "flights": session.sent,
        "records": [{"from": each["from"], "record": each["record"]} for each in session.records],
        "oid": INFO.oid,
    }
    output = {
        "handshake_hash": session.hash,
        "keys": session.keys,
        "plaintexts": [each["plaintext"] for each in session.records],
    }
    suite = 1 if name.startswith(("transfer", "peers")) else int(name[6])
    book.accept(
        name, f"suite {suite}: {about}", (*cited, "EN-001", "EN-007"), given, output,
        flags=("optional-suite",) if suite == 2 else (),
    )  # fmt: skip
