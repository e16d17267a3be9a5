"""Captures: everything that a link says, once, decrypted, in a form that others read."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pwire.adapters.capture import DISSECTOR, LINK_TYPE, Capture
from p2pwire.connection.config import Role
from p2pwire.connection.tap import Piece
from p2pwire.node.address import Endpoint
from p2pwire.node.node import NodeConfig
from p2pwire.storage.memory import share_bytes
from p2pwire.testing.network import Network
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import FRAME_HEADER, MAGIC
from tests.node.hosts import has_content


def blocks(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """The blocks of a pcapng file, as its specification lays them out."""
    at = 0
    while at < len(raw):
        kind, length = struct.unpack_from("<II", raw, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", raw, at + length - 4) == (length,)
        yield kind, raw[at + 8 : at + length - 4]
        at += length


def packets(path: Path) -> Iterator[tuple[int, dict[int, bytes], int, bytes]]:
    """(time in ns, tags, piece, data) of each packet."""
    (head, section), (second, interface), *rest = blocks(path.read_bytes())
    assert (head, second) == (0x0A0D0D0A, 1)
    assert struct.unpack_from("<IHH", section) == (0x1A2B3C4D, 1, 0)
    assert struct.unpack_from("<H", interface) == (LINK_TYPE,)
    for kind, body in rest:
        assert kind == 6
        number, high, low, captured, size = struct.unpack_from("<IIIII", body)
        assert (number, captured) == (0, size)
        packet, tags, at = body[20 : 20 + size], {}, 0
        while packet[at : at + 4] != bytes(4):
            tag, length = struct.unpack_from(">HH", packet, at)
            tags[tag] = packet[at + 4 : at + 4 + length]
            at += 4 + length
        yield high << 32 | low, tags, packet[at + 4], packet[at + 5 :]


def frames(data: bytes) -> list[str]:
    """The names of the frames of a record."""
    names, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        names.append(type(msg.decode_frame(data[at], data[at + 3 : at + 3 + size])).__name__)
        at += FRAME_HEADER + size
    return names


def test_both_ends_hear_the_same_in_the_same_words(tmp_path: Path) -> None:
    with Capture(tmp_path / "alice", now=lambda: 5) as first, Capture(tmp_path / "bob") as second:
        network = Network("capture")
        alice = network.host("alice", "1.2.0.1", config=NodeConfig(tap=first.link))
        bob = network.host("bob", "2.2.0.1", config=NodeConfig(tap=second.link))
        content = share_bytes(bytes(range(256)) * 200, "content")
        bob.share(content)
        alice.fetch(content, bob)
        network.run(5)
        assert has_content(alice, content)
    heard = [list(packets(tmp_path / name)) for name in ("alice", "bob")]
    assert {time for time, *_ in heard[0]} == {5}
    said = []
    for one, theirs in zip(heard, (bob, alice), strict=True):
        assert all(tags[12].rstrip(b"\0") == DISSECTOR for _, tags, _, _ in one)
        inbound = [packet for packet in one if packet[1][20] == theirs.endpoint.ip]
        outbound = [packet for packet in one if packet[1][21] == theirs.endpoint.ip]
        assert len(inbound) + len(outbound) == len(one)
        said.append(
            [
                (
                    b"".join(data for _, _, piece, data in way if piece == Piece.CLEAR.value),
                    [data for _, _, piece, data in way if piece == Piece.FRAMES.value],
                )
                for way in (outbound, inbound)
            ]
        )
    (alice_said, alice_heard), (bob_said, bob_heard) = said
    assert alice_said == bob_heard
    assert bob_said == alice_heard
    assert alice_said[0].startswith(MAGIC)
    names = [name for record in bob_said[1] for name in frames(record)]
    assert names[0] == "Hello"
    assert names.count("Data") == 4


def test_only_its_owner_may_read_it_and_no_more_is_written_once_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "c.pcapng"
    path.write_bytes(b"something older, and longer than what is written now" * 10)
    capture = Capture(path)
    tap = capture.link(Role.INITIATOR, None)
    tap(Role.RESPONDER, Piece.FRAMES, b"x")
    tap_6 = capture.link(Role.RESPONDER, Endpoint.parse("2001:db8::1", 7))
    tap_6(Role.RESPONDER, Piece.CLEAR, b"yy")
    capture.close()
    tap(Role.RESPONDER, Piece.FRAMES, b"z")
    (_, first, piece, data), (_, second, *_) = packets(path)
    assert (piece, data, first[20], first[21]) == (1, b"x", b"\x7f\0\0\1", b"\x7f\0\0\1")
    assert second[23] == Endpoint.parse("2001:db8::1", 7).ip
    assert struct.unpack(">I", second[26]) == (7,)
    assert struct.unpack(">I", second[25]) == (2,)


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        Capture(tmp_path / "c").close()
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o600


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Capture(tmp_path / "missing" / "c")
    full = Capture("/dev/full")
    full.link(Role.INITIATOR, None)(Role.INITIATOR, Piece.FRAMES, bytes(1 << 20))
    full.close()
