"""Wireshark's dissector reads what p2pwire captures, and live streams as far as anybody can without the keys."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from p2pwire.adapters.capture import Capture
from p2pwire.connection.config import Role
from p2pwire.connection.tap import Piece
from p2pwire.generate.form import MESSAGES, MessageForm, Number, Sequence
from p2pwire.generate.rows import field_rows
from p2pwire.generate.transcripts import ALICE
from p2pwire.generate.transcripts import session as recorded
from p2pwire.generate.wording import constant_name, filter_name
from p2pwire.node.node import NodeConfig
from p2pwire.storage.memory import share_bytes
from p2pwire.testing.network import Network
from p2pwire.wire.messages import FrameHeader
from p2pwire.wire.registry import FrameType
from tests.interop.vectors import accepted
from tests.node.hosts import has_content

FRAMES = {message.frame_type: message for message in MESSAGES if message.frame_type is not None}
TITLES = {message.title: message for message in MESSAGES}


def tshark(home: Path, *arguments: str) -> bytes:
    """What tshark prints, with the dissector as `p2pwire dissector --install` puts it below the home directory."""
    environment = {**os.environ, "HOME": str(home)}
    install = [sys.executable, "-m", "p2pwire", "dissector", "--install"]
    subprocess.run(install, env=environment, check=True, capture_output=True, timeout=60)
    done = subprocess.run(["tshark", *arguments], env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    assert b"error" not in done.stderr.lower(), done.stderr.decode()
    return done.stdout


def dissected(path: Path, home: Path) -> list[ElementTree.Element]:
    """What tshark says of each packet of a capture."""
    return list(ElementTree.fromstring(tshark(home, "-r", str(path), "-T", "pdml")).iter("packet"))


def fields(packet: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """The fields of ours in a packet."""
    for proto in packet.iter("proto"):
        if proto.get("name") == "p2pwire":
            yield from proto.iter("field")


def names(packets: list[ElementTree.Element]) -> Counter[str]:
    return Counter(field.get("name", "") for packet in packets for field in fields(packet))


@pytest.fixture
def session(tmp_path: Path) -> tuple[Path, list[bytes]]:
    """A capture of a whole session, and the plaintexts of all records in it."""
    path, plain = tmp_path / "session.pcapng", []
    with Capture(path) as capture:

        def link(role: Role, remote: Any) -> Any:
            written = capture.link(role, remote)

            def tap(speaker: Role, piece: Piece, data: bytes) -> None:
                if piece is Piece.FRAMES:
                    plain.append(data)
                written(speaker, piece, data)

            return tap

        network = Network("dissected")
        alice = network.host("alice", "1.2.0.1", config=NodeConfig(tap=link))
        bob = network.host("bob", "2.2.0.1")
        charlie = network.host("charlie", "3.2.0.1")
        content = share_bytes(bytes(range(256)) * 1000, "content")
        charlie.share(content)
        bob.fetch(content, charlie)
        alice.fetch(content, bob)
        network.run(60)
        assert has_content(alice, content)
    return path, plain


def test_a_session_is_dissected_with_every_field_named(session: tuple[Path, list[bytes]], tmp_path: Path) -> None:
    path, plain = session
    packets = dissected(path, tmp_path)
    seen = names(packets)
    assert not seen["p2pwire.malformed"]
    assert not seen["p2pwire.frame_body"]
    expected: Counter[str] = Counter()
    for record in plain:
        at = 0
        while at < len(record):
            header = FrameHeader.decode(record[at : at + 3])
            form = FRAMES[header.type]
            expected[f"p2pwire.{constant_name(form.title).lower()}"] += 1
            for row in field_rows(form):
                # Elements are counted by the capture's reader and by nobody else.
                if row.prefix or not isinstance(row.field.form, Sequence):
                    expected[filter_name(form, row.name)] += 1
            at += 3 + header.length
    found = {name: count for name, count in seen.items() if name in expected}
    # An empty field has no bytes that could be shown.
    assert {n: c for n, c in expected.items() if found.get(n, 0) != c and not n.endswith((".detail", ".data"))} == {}
    assert {"p2pwire.initiator_preamble", "p2pwire.responder_preamble", "p2pwire.handshake_message"} <= set(seen)
    assert {"p2pwire.hello", "p2pwire.join", "p2pwire.data", "p2pwire.peers", "p2pwire.peer_record"} <= set(seen)


def test_every_message_of_the_vectors_is_read_to_its_last_byte(tmp_path: Path) -> None:
    path, some = tmp_path / "vectors.pcapng", []
    with Capture(path) as capture:
        tap = capture.link(Role.INITIATOR, None)
        for title, data, value in accepted():
            form = TITLES[title]
            if form.frame_type is not None:
                tap(Role.INITIATOR, Piece.FRAMES, FrameHeader(form.frame_type, len(data)).encode() + data)
                some.append((form, data, value))
    packets = dissected(path, tmp_path)
    assert len(packets) == len(some) > len(FRAMES)
    for packet, (form, data, value) in zip(packets, some, strict=True):
        found = list(fields(packet))
        assert not [field for field in found if field.get("name") == "p2pwire.malformed"] or _lenient(value)
        title = f"p2pwire.{constant_name(form.title).lower()}"
        (whole,) = [field for field in found if field.get("name") == title]
        assert int(whole.get("size", "")) == len(data)
        for field in form.fields:
            if isinstance(field.form, Number):
                (row,) = [each for each in found if each.get("name") == filter_name(form, field.name)]
                assert int(row.get("value", ""), 16) == int(value[field.name]), (form.title, field.name)


def _lenient(value: dict[str, Any]) -> bool:
    """Records that are taken as bytes may be no records."""
    return "added" in value or any(each["tag"] == 2 for each in value.get("parameters", ()))


def test_fields_have_the_names_that_the_documentation_gives(tmp_path: Path) -> None:
    known = tshark(tmp_path, "-G", "fields").decode()
    registered = set(re.findall(r"^F\t[^\t]*\t(p2pwire\.\w+\.\w+)\t", known, re.MULTILINE))
    assert {name for form in MESSAGES for name in _filters(form)} <= registered


def _filters(form: MessageForm) -> Iterator[str]:
    for row in field_rows(form):
        element = getattr(row.field.form, "element", None)
        if row.prefix or not isinstance(element, MessageForm):
            yield filter_name(form, row.name)


def test_a_cut_off_frame_and_an_unknown_one_are_told(tmp_path: Path) -> None:
    path = tmp_path / "odd.pcapng"
    with Capture(path) as capture:
        tap = capture.link(Role.INITIATOR, None)
        tap(Role.INITIATOR, Piece.FRAMES, FrameHeader(FrameType.PING, 8).encode() + bytes(5))
        tap(Role.INITIATOR, Piece.FRAMES, FrameHeader(FrameType.PING, 9).encode() + bytes(9))
        tap(Role.INITIATOR, Piece.FRAMES, FrameHeader(0x81, 3).encode() + b"abc")
    packets = dissected(path, tmp_path)
    assert [names([packet])["p2pwire.malformed"] for packet in packets] == [1, 1, 0]
    assert names(packets[2:])["p2pwire.frame_body"] == 1


# --- live streams ---


def tcp_packets(streams: list[tuple[int, bytes]], cut: int) -> Iterator[bytes]:
    """IPv4 packets that carry what two ports say in turn, `cut` bytes each at most."""
    sent = {4000: 1, 5000: 1}
    for port, data in streams:
        other = 9000 - port
        hosts = bytes([10, 0, 0, port // 1000]), bytes([10, 0, 0, other // 1000])
        for at in range(0, len(data), cut):
            part = data[at : at + cut]
            tcp = struct.pack(">HHIIBBHHH", port, other, sent[port], sent[other], 5 << 4, 0x18, 65535, 0, 0)
            size = 20 + len(tcp) + len(part)
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, size, 0, 0, 64, 6, 0, *hosts)
            yield ip + tcp + part
            sent[port] += len(part)


def write_pcap(path: Path, packets: Iterator[bytes]) -> None:
    """The oldest form of capture: raw IP packets."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 101))
        for number, packet in enumerate(packets):
            file.write(struct.pack("<IIII", number, 0, len(packet), len(packet)) + packet)


@pytest.mark.parametrize("cut", [60, 100, 1400, 60000])
def test_the_handshake_of_a_live_stream_is_read_however_it_is_cut_after_the_first_flight(
    cut: int, tmp_path: Path
) -> None:
    first, second, third = recorded().flights
    records = [(4000 if each.sender is ALICE else 5000, each.record) for each in recorded().hellos]
    said = [(4000, first), (5000, second), (4000, third), *records]
    path = tmp_path / "live.pcap"
    write_pcap(path, tcp_packets(said, cut))
    seen = names(dissected(path, tmp_path))
    assert not seen["p2pwire.malformed"]
    assert seen["p2pwire.initiator_preamble"] == seen["p2pwire.responder_preamble"] == 1
    assert seen["p2pwire.handshake_message"] == 3
    assert seen["p2pwire.record"] == 2


def test_other_protocols_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.pcap"
    write_pcap(path, tcp_packets([(4000, b"GET / HTTP/1.0\r\n\r\n" * 20)], 100))
    assert not names(dissected(path, tmp_path))
