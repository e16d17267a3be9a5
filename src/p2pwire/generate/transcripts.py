"""The worked transcripts of the specification: what two connections with fixed keys say to each other, byte by byte.

Alice and Bob are two `Connection`s. A listener that was given both sides' seeds runs the handshake along with them, and
so knows what no listener can: the values that are signed, and the plaintext of the records.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Final

import attrs

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.config import Config, Offer, Role
from p2pwire.connection.connection import Connection
from p2pwire.content.manifest import Entry, Manifest
from p2pwire.content.merkle import BLOCK, Tree, TreeBuilder, proof_count, tree_height
from p2pwire.content.objects import ObjectInfo, cap
from p2pwire.content.units import unit_exponent
from p2pwire.content.uri import Endpoint, Uri
from p2pwire.crypto.identity import Identity
from p2pwire.crypto.noise import CipherState, NoiseHandshake
from p2pwire.crypto.record import sign_record
from p2pwire.generate.describe import Kind, describe
from p2pwire.generate.markdown import table
from p2pwire.generate.values import hex_text
from p2pwire.wire.messages import Address, PeerRecord
from p2pwire.wire.registry import (
    PREAMBLE_HEADER,
    PROTOCOL_NAME,
    AddressType,
    CloseCode,
    EntryType,
    JoinFlag,
    ObjectKind,
    Suite,
)

NOW: Final = 0.0
WIDTH: Final = 16
"""Bytes in a line."""
SHOWN: Final = 1024
"""Bytes of one field that are written out; of longer ones the first two lines are."""
SHORT: Final = 96
"""Bytes of a record that is shown as it is sent, and not only as it is meant."""

_DRAWN: Final = ("identity seed", "static key", "ephemeral key")
_MESSAGE_NAMES: Final = re.compile(r"\b[A-Z][a-z]\w*\.")


@attrs.frozen
class Keys:
    """What one side draws."""

    name: str
    first: int

    def seed(self, number: int) -> bytes:
        """32 bytes that follow each other: easy to type, and secret from nobody."""
        start = self.first + 32 * number
        return bytes(range(start, start + 32))

    @property
    def identity(self) -> Identity:
        """Its identity key."""
        return Identity.from_seed(self.seed(0))

    def random(self) -> Callable[[int], bytes]:
        """What a connection of this side draws: its static and its ephemeral key."""
        seeds = iter((self.seed(1), self.seed(2)))
        return lambda size: next(seeds)[:size]

    def noise(self, offer: bytes, *, initiator: bool) -> NoiseHandshake:
        """Its side of the handshake."""
        return NoiseHandshake(
            initiator=initiator,
            suite=Suite.XX_AESGCM,
            prologue=PROTOCOL_NAME + b"\0" + offer + b"\0\0",
            static_seed=self.seed(1),
            ephemeral_seed=self.seed(2),
            psk=None,
        )


ALICE: Final = Keys("Alice", 0)
BOB: Final = Keys("Bob", 128)

CONTENT: Final = bytes(number % 251 for number in range(40000))
"""What is transferred: three blocks, of which the last is short."""


@attrs.frozen
class Said:
    """One record: who said it, all its bytes, and what is in it."""

    sender: Keys
    record: bytes
    plaintext: bytes


class Session:
    """One link, from its first byte to its last."""

    def __init__(self) -> None:
        builder = TreeBuilder()
        builder.update(CONTENT)
        leaves = builder.finish()
        self.tree = Tree.from_leaves(leaves.length, leaves.hashes)
        self.info = ObjectInfo(ObjectKind.BLOB, len(CONTENT), leaves.root)
        self.alice = self._connection(ALICE, Role.INITIATOR, Offer(self.info.oid, JoinFlag(0), None))
        self.bob = self._connection(BOB, Role.RESPONDER, Offer(self.info.oid, JoinFlag.UPLOAD_ONLY, self.info))
        self.flights: list[bytes] = []
        self.h: list[bytes] = []
        """h just before the payloads of messages 2 and 3."""
        self.payloads: list[bytes] = []
        self.handshake_hash = b""
        self.hellos: list[Said] = []
        self.joining: list[Said] = []
        self.transfer: list[Said] = []
        self._ciphers: dict[Keys, CipherState] = {}
        self._shake_hands()
        self._join()
        self._transfer()

    def _connection(self, keys: Keys, role: Role, offer: Offer) -> Connection:
        config = Config(keys.identity, topics={self.info.topic: offer}, suites=(Suite.XX_AESGCM,), grease=b"")
        return Connection(role, config, now=NOW, random=keys.random())

    def _shake_hands(self) -> None:
        first = b"".join(self.alice.data_to_send())
        offer, message_1 = _parted(first)
        noise = {ALICE: ALICE.noise(offer, initiator=True), BOB: BOB.noise(offer, initiator=False)}
        noise[ALICE].begin_message()
        noise[ALICE].finish_message(b"")
        noise[BOB].read_message(message_1)
        self.bob.receive_data(first, NOW)
        _events(self.bob)
        second = b"".join(self.bob.data_to_send())
        self._listen(noise[BOB], noise[ALICE], _parted(second)[1])
        self.alice.receive_data(second, NOW)
        _events(self.alice)
        rest = b"".join(self.alice.data_to_send())
        size = 2 + int.from_bytes(rest[:2], "big")
        third, records = rest[:size], rest[size:]
        self._listen(noise[ALICE], noise[BOB], third[2:])
        self.flights = [first, second, third]
        self.handshake_hash = noise[ALICE].handshake_hash
        self._ciphers = {ALICE: noise[BOB].split()[1], BOB: noise[ALICE].split()[1]}
        self.bob.receive_data(third, NOW)
        _events(self.bob)
        self.hellos = [self._said(ALICE, records), *self._move(BOB)]
        self.bob.receive_data(records, NOW)
        _events(self.bob)

    def _listen(self, sender: NoiseHandshake, receiver: NoiseHandshake, message: bytes) -> None:
        """Read a message, and write the same one, so that both go on."""
        payload, h = receiver.read_message(message)
        sender.begin_message()
        sender.finish_message(payload)
        self.payloads.append(payload)
        self.h.append(h)

    def _join(self) -> None:
        self.alice.send(cmd.Join(self.info.topic))
        self.joining += self._move(ALICE)
        self.bob.send(cmd.TellUnits(self.info.topic, ((0, 2),)))
        self.joining += self._move(BOB)
        self.alice.send(cmd.TellInterest(self.info.topic, on=True))
        self.joining += self._move(ALICE)

    def _transfer(self) -> None:
        info = self.info
        self.alice.send(cmd.RequestBlocks(1, info.topic, 0, 0, 2, info.length, info.root))
        self.transfer += self._move(ALICE)
        height = tree_height(info.length)
        for block in range(3):
            siblings = self.tree.siblings(block, proof_count(height, block, 0))
            data = CONTENT[block * BLOCK : (block + 1) * BLOCK]
            self.bob.send(cmd.SendBlock(1, siblings, data, last=block == 2))
        self.transfer += self._move(BOB)
        self.alice.send(cmd.CloseLink(CloseCode.NONE, "done"))
        self.transfer += self._move(ALICE)

    def _move(self, sender: Keys) -> list[Said]:
        """What one side has to say arrives at the other one."""
        source, target = (self.alice, self.bob) if sender is ALICE else (self.bob, self.alice)
        said = []
        for record in source.data_to_send():
            said.append(self._said(sender, bytes(record)))
            target.receive_data(record, NOW)
            assert not any(isinstance(event, ev.Closed) and not event.by_peer for event in _events(target))
        return said

    def _said(self, sender: Keys, record: bytes) -> Said:
        return Said(sender, record, self._ciphers[sender].decrypt(record[2:]))


def _events(connection: Connection) -> list[ev.Event]:
    return list(iter(connection.next_event, None))


def _parted(flight: bytes) -> tuple[bytes, bytes]:
    """A flight's preamble and message."""
    end = PREAMBLE_HEADER + int.from_bytes(flight[9:11], "big")
    return flight[:end], flight[end + 2 :]


session: Final = cache(Session)


# --- how bytes are shown ---------------------------------------------------------------------------------------------


def _block(lines: Sequence[str]) -> str:
    return "\n".join(("```text", *lines, "```"))


def annotated(data: bytes, kind: Kind) -> str:
    """Bytes field by field: offset, bytes, name, and the value where the bytes alone do not tell it."""
    lines: list[str] = []
    for row in describe(data, kind):
        name = _MESSAGE_NAMES.sub("", row.path)
        raw = data[row.offset : row.offset + row.length]
        lines += _rows(row.offset, raw, name if row.value == hex_text(raw) else f"{name}: {row.value}")
    return _block(lines)


def _rows(offset: int, data: bytes, note: str) -> Iterator[str]:
    shown = data if len(data) <= SHOWN else data[: 2 * WIDTH]
    for at in range(0, len(shown), WIDTH):
        text = shown[at : at + WIDTH].hex(" ").upper()
        yield f"{offset + at:5}  {text:<{3 * WIDTH}} {note if not at else ''}".rstrip()
    if len(shown) < len(data):
        yield f"{'':5}  ... {len(data)} bytes in all"


def _values(rows: Sequence[tuple[str, bytes | str]]) -> str:
    """Names and values, bytes in hexadecimal."""
    return table(["", "value"], [[name, f"`{_text(value)}`"] for name, value in rows])


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.hex()


def _records(said: Sequence[Said]) -> list[str]:
    """Records, each as it is sent, if it is short, and as it is meant."""
    parts = []
    for each in said:
        size = len(each.record)
        if size <= SHORT:
            parts.append(f"{each.sender.name} sends a record of {size} bytes,")
            parts.append(_block(list(_rows(0, each.record, ""))))
            parts.append("in which is:")
        else:
            parts.append(f"{each.sender.name} sends a record of {size} bytes, in which is:")
        parts.append(annotated(each.plaintext, Kind.FRAMES))
    return parts


# --- the transcripts -------------------------------------------------------------------------------------------------


def handshake() -> str:
    """The three flights, what is signed in them, and HELLO of both sides."""
    made = session()
    first, second, third = made.flights
    keys = [(f"{who.name}'s {what}", who.seed(number)) for who in (ALICE, BOB) for number, what in enumerate(_DRAWN)]
    identities = [(f"{who.name}'s identity", who.identity.public) for who in (ALICE, BOB)]
    response_hash = hashlib.sha256(_parted(second)[0]).digest()
    return "\n\n".join(
        [
            "Alice is the initiator. Both sides have suite 0x0001 alone, send no GREASE, and draw these keys:",
            _values([*keys, *identities]),
            f"Flight 1, {len(first)} bytes from Alice to Bob:",
            annotated(first, Kind.STREAM),
            f"Flight 2, {len(second)} bytes from Bob to Alice:",
            annotated(second, Kind.STREAM),
            "The payload of message 2:",
            annotated(made.payloads[0], Kind.PAYLOAD),
            f"Flight 3, {len(third)} bytes from Alice to Bob, after which records follow:",
            _block([*_rows(0, third[:2], "message 3.length"), *_rows(2, third[2:], "message 3.ciphertext")]),
            "The payload of message 3:",
            annotated(made.payloads[1], Kind.PAYLOAD),
            "What the signatures and the caps stand on:",
            _values(
                [
                    ("h_R", made.h[0]),
                    ("h_I", made.h[1]),
                    ("SHA-256(preamble_R)", response_hash),
                    ("handshake hash", made.handshake_hash),
                ]
            ),
            "HELLO of both sides, the first record of each:",
            *_records(made.hellos),
        ]
    )


def join() -> str:
    """JOIN of both sides, and what follows it."""
    made = session()
    info, hash_ = made.info, made.handshake_hash
    text = (
        "The same link goes on. Bob has a file of 40000 bytes, of which byte i is i mod 251. Alice knows its oid, and "
        "joins; Bob answers with JOIN and tells what the object is and that he has all its units; Alice is interested."
    )
    values = [
        *_object(info),
        ("Alice's cap", cap(info.oid, initiator=True, handshake_hash=hash_)),
        ("Bob's cap", cap(info.oid, initiator=False, handshake_hash=hash_)),
    ]
    return "\n\n".join([text, _values(values), *_records(made.joining)])


def transfer() -> str:
    """A REQUEST, its three blocks, and CLOSE."""
    made = session()
    leaves = [hashlib.sha256(CONTENT[at : at + BLOCK]).digest() for at in range(0, len(CONTENT), BLOCK)]
    right = hashlib.sha256(leaves[2] + bytes(32)).digest()
    values = [
        *((f"leaf {number}", leaf) for number, leaf in enumerate(leaves)),
        ("leaf 3, padding", bytes(32)),
        ("node over leaves 0 and 1", hashlib.sha256(leaves[0] + leaves[1]).digest()),
        ("node over leaves 2 and 3", right),
        ("root", made.info.root),
    ]
    text = (
        "And on. The tree has a height of 2. Alice asks for four blocks, of which the file has three. The first DATA "
        "has two hashes; the second none, for the first one's proof had its leaf; the third has one, which is padding."
    )
    return "\n\n".join([text, _values(values), *_records(made.transfer)])


def manifest() -> str:
    """A small folder."""
    files = {"docs/empty.txt": b"", "docs/hello.txt": b"hello", "run.sh": b"#!/bin/sh\necho hello\n"}
    entries = [
        Entry(EntryType.EXECUTABLE if path == "run.sh" else EntryType.FILE, path, len(data), _root(data))
        for path, data in files.items()
    ]
    made = Manifest.from_entries([*entries, Entry(EntryType.EMPTY_DIRECTORY, "docs-old")])
    data = bytes(made.data)
    info = ObjectInfo(ObjectKind.MANIFEST, len(data), _root(data))
    total = made.layout.total_blocks
    text = (
        'A folder with `docs/hello.txt` of the 5 bytes "hello", the empty file `docs/empty.txt`, the executable '
        "`run.sh` of 21 bytes and the empty directory `docs-old`. Compared by OB-020, `docs/...` comes before "
        "`docs-old`, though `-` is less than `/`."
    )
    values = [*_object(info), ("blocks, T", str(total)), ("exponent of units, u", str(unit_exponent(total)))]
    return "\n\n".join([text, annotated(data, Kind.MANIFEST), _values(values)])


def _object(info: ObjectInfo) -> list[tuple[str, bytes | str]]:
    return [("length", str(info.length)), ("root", info.root), ("oid", info.oid), ("topic", info.topic)]


def _root(data: bytes) -> bytes:
    builder = TreeBuilder()
    builder.update(data)
    return builder.finish().root


def record() -> str:
    """A peer record with two addresses."""
    addresses = (
        Address(AddressType.TCP4, bytes((192, 0, 2, 7)) + (7000).to_bytes(2, "big")),
        Address(AddressType.TCP6, bytes.fromhex("20010db8000000000000000000000007") + (7000).to_bytes(2, "big")),
    )
    data = sign_record(BOB.identity, sequence=1_800_000_000, ttl=7200, flags=0, addresses=addresses)
    signed = len(data) - len(PeerRecord.decode(data).signature)
    text = (
        f'Bob\'s record, {len(data)} bytes. His signature covers `"{PROTOCOL_NAME.decode()} peer-record" 00` and the '
        f"first {signed} of them."
    )
    return f"{text}\n\n{annotated(data, Kind.PEER_RECORD)}"


def uri() -> str:
    """The object of the transfer, as people hand it on."""
    info = session().info
    peers = (Endpoint("192.0.2.7", 7000), Endpoint("2001:db8::7", 7000))
    long = Uri(info.oid, length=info.length, name="counting up.bin", peers=peers, identity=BOB.identity.public)
    return "\n\n".join(
        [
            "The file of 19.2 alone, and with its length, a name, two addresses of Bob and his identity:",
            _block([str(Uri(info.oid)), "", str(long)]),
        ]
    )


TRANSCRIPTS: Final = {
    "handshake": handshake,
    "join": join,
    "transfer": transfer,
    "manifest": manifest,
    "record": record,
    "uri": uri,
}
"""The writers, by name."""
