"""The codec that is written for an extension's own schema."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from construct import Bytes
from hypothesis import given
from hypothesis import strategies as st

from p2pwire.generate.extension import SchemaError, extension_module, main
from p2pwire.wire.constructs import Message, u8
from p2pwire.wire.messages import DecodeError, EncodeError
from p2pwire.wire.schema import PING

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"


@pytest.fixture(scope="module")
def chat() -> Iterator[Any]:
    """The example's messages, as they are committed."""
    sys.path.insert(0, str(EXAMPLE))
    yield importlib.import_module("chat.messages")
    sys.path.remove(str(EXAMPLE))


def test_the_examples_codec_is_up_to_date(chat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLE)
    assert main(["chat.schema", "--check"]) == 0


@given(st.integers(0, 2**32 - 1), st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200))
def test_what_is_encoded_is_read_back_and_agrees_with_the_schema(number: int, text: str) -> None:
    messages, schema = sys.modules["chat.messages"], importlib.import_module("chat.schema")
    body = messages.Say(number, text).encode()
    assert messages.decode_frame(0, body) == messages.Say(number, text)
    parsed = schema.SAY.parse(body)
    assert (parsed.number, parsed.text) == (number, text)


def test_limits_and_rules_are_checked_both_ways(chat: Any) -> None:
    with pytest.raises(DecodeError, match=r"Say\.text at byte 4 is 0, must be 1\.\.1000 bytes"):
        chat.decode_frame(0, bytes(4))
    with pytest.raises(EncodeError, match="without control characters"):
        chat.Say(0, "a\nb").encode()
    with pytest.raises(DecodeError, match="without duplicates"):
        chat.decode_frame(1, bytes.fromhex("00000002 00000007 00000007"))
    with pytest.raises(DecodeError, match=r"Seen\.numbers"):
        chat.decode_frame(1, bytes.fromhex("00000002 00000007"))
    with pytest.raises(DecodeError):
        chat.decode_frame(1, bytes.fromhex("00000001 00000007 00"))
    assert [frame.INDEX for frame in chat.FRAMES] == [0, 1]


def module(**names: Any) -> ModuleType:
    made = ModuleType("made")
    vars(made).update(names)
    return made


ONE = Message("One", "A number.", "number" / u8 * "any")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({}, "MESSAGES: made has none"),
        ({"MESSAGES": (ONE,)}, "FRAMES: made has none"),
        ({"MESSAGES": (ONE,), "FRAMES": (Message("Two", "Another.", "x" / u8 * "any"),)}, "Two is not in MESSAGES"),
        ({"MESSAGES": (PING,), "FRAMES": (PING,)}, "Ping: frame_type belongs to the protocol"),
        ({"MESSAGES": (Message("Bad", "No text.", "x" / Bytes(2)),), "FRAMES": (ONE,)}, "needs a name and a text"),
    ],
)
def test_what_is_no_schema_is_refused(names: dict[str, Any], problem: str) -> None:
    with pytest.raises(SchemaError, match=problem):
        extension_module(module(**names))


def test_wrong_usage_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["no.such.module"]) == 2
    assert capsys.readouterr().err == "no.such.module: No module named 'no'\n"


def test_a_stale_file_is_found_and_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (tmp_path / "stale_schema.py").write_text((EXAMPLE / "chat" / "schema.py").read_text())
    monkeypatch.chdir(tmp_path)
    assert main(["stale_schema", "--check"]) == 1
    assert "not up to date" in capsys.readouterr().out
    assert not (tmp_path / "messages.py").exists()
    assert main(["stale_schema"]) == 0
    assert main(["stale_schema", "--check"]) == 0
