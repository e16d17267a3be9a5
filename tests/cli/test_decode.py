"""`decode`: bytes of every kind explained, sound and damaged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from p2pwire.cli.command import p2pwire
from p2pwire.content.manifest import Entry, encode_manifest
from p2pwire.crypto.identity import Identity
from p2pwire.crypto.record import sign_record
from p2pwire.wire.messages import (
    Address,
    Close,
    HandshakePayload,
    InitiatorPreamble,
    Ping,
    encode_preamble,
)
from p2pwire.wire.registry import EntryType

from .program import Run, run

RECORD = sign_record(
    Identity.from_seed(bytes(32)),
    sequence=1_700_000_000,
    ttl=3600,
    flags=0,
    addresses=[Address(1, bytes((127, 0, 0, 1, 1, 2)))],
)
PREAMBLE = encode_preamble(InitiatorPreamble(versions=(1,), suites=(1, 2), key_suite=1, parameters=()))
RECORDS = b"\x00\x11" + bytes(17)
SOUND = {
    "stream": PREAMBLE + b"\x00\x20" + bytes(32) + b"\x00\x40" + bytes(64) + RECORDS,
    "preamble": PREAMBLE,
    "payload": HandshakePayload(identity=bytes(32), signature=bytes(64), parameters=()).encode(),
    "records": RECORDS * 2,
    "frames": Ping(b"\x01" * 8).encode_frame() + Close(2, 0xFF, "no").encode_frame(),
    "manifest": encode_manifest([Entry(EntryType.FILE, "a/b", 5, b"r" * 32), Entry(EntryType.EMPTY_DIRECTORY, "c")]),
    "peer-record": RECORD,
}
KEYS = {"event", "offset", "length", "path", "type", "value", "problem", "requirement"}
DAMAGED = {
    "stream": SOUND["stream"][:-1],
    "preamble": PREAMBLE[:8] + b"\x07" + PREAMBLE[9:],
    "payload": SOUND["payload"][:-1],
    "records": b"\x00\x10" + bytes(16),
    "frames": b"\x04\x00\x07" + bytes(7),
    "manifest": SOUND["manifest"].replace(b"a/b", b"a\x1bb"),
    "peer-record": RECORD[:-1] + bytes([RECORD[-1] ^ 1]),
}


def decode(data: bytes, *arguments: str) -> Run:
    result = CliRunner().invoke(p2pwire, ["decode", *arguments], input=data)
    return Run(result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize("kind", SOUND)
def test_sound_bytes_are_explained(kind: str) -> None:
    result = decode(SOUND[kind], "--as", kind)
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith(f"{len(SOUND[kind])} bytes: {kind}, nothing wrong\n")
    events = decode(SOUND[kind], "--as", kind, "--json").events
    assert all(event.keys() == KEYS for event in events)
    assert {event["event"] for event in events} == {"field"}
    # Every byte is in some row.
    covered = {at for event in events for at in range(event["offset"], event["offset"] + event["length"])}
    assert covered == set(range(len(SOUND[kind])))


@pytest.mark.parametrize("kind", ["stream", "frames", "manifest", "peer-record"])
def test_the_kind_is_guessed(kind: str) -> None:
    assert f" bytes: {kind}, nothing wrong" in decode(SOUND[kind], "-").out


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_named_with_its_requirement(kind: str) -> None:
    result = decode(DAMAGED[kind], "--as", kind)
    assert result.code == 1
    assert re.search(r"at byte \d+.*\[[A-Z]{2}-\d{3}\]$", result.sentence)
    assert re.search(r"^ +!  .*\[[A-Z]{2}-\d{3}\]$", result.out, re.MULTILINE)
    assert "\x1b" not in result.out + result.err
    events = decode(DAMAGED[kind], "--as", kind, "--json").events
    assert events[-1]["event"] == "error"
    assert events[-1]["code"] == "malformed"
    assert any(event.get("requirement") for event in events[:-1])


@pytest.mark.parametrize("kind", SOUND)
def test_truncated_bytes_are_explained_too(kind: str) -> None:
    whole = SOUND[kind]
    for size in range(0, len(whole), max(1, len(whole) // 12)):
        result = decode(whole[:size], "--as", kind)
        assert result.code in (0, 1)
        assert len(result.err.splitlines()) == result.code


def test_a_forged_record_is_told_from_a_sound_one() -> None:
    result = decode(DAMAGED["peer-record"], "--as", "peer-record")
    assert "it is not the identity's signature of the bytes before it [PX-027]" in result.sentence


def test_digits_are_read(tmp_path: Path) -> None:
    file = tmp_path / "digits"
    file.write_text("04 00 08\n" + "01" * 8)
    assert run("decode", "--hex", file).out == decode(Ping(b"\x01" * 8).encode_frame()).out
    file.write_text("04 00 0g")
    assert run("decode", "--hex", file).sentence == "p2pwire: byte 7 is no hexadecimal digit and no space"
    file.write_text("0")
    assert run("decode", "--hex", file).sentence == "p2pwire: a digit has no partner"
    file.write_bytes(b"\xff")
    assert "byte 0 is no hexadecimal digit" in run("decode", "--hex", file).sentence


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    result = run("decode", tmp_path / "none")
    assert (result.code, result.sentence) == (1, f"p2pwire: {tmp_path / 'none'}: No such file or directory")


def test_nothing_is_nothing_wrong() -> None:
    assert decode(b"").out == "0 bytes: frames, nothing wrong\n"
