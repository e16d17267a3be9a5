"""What a terminal sees: nothing wider than it, no colour where none is wanted, nothing that steers it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest

from p2pwire.cli.output import JsonOutput, TextOutput
from p2pwire.cli.text import part_text, printable, rate_text, size_text, time_text

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(columns: int, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Exit code and all that a terminal of so many columns was sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    surroundings = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "p2pwire", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**surroundings, "TERM": "xterm", **(env or {})},
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    return process.wait(), said.decode()


def test_a_bar_and_a_story_fit() -> None:
    columns = 60
    code, said = on_terminal(columns, "demo", "--size", "1MiB")
    assert code == 0
    assert "\x1b[?25h" in said  # the cursor is back
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", ESCAPE.sub("", said))]
    assert max(map(len, lines)) <= columns
    assert any(re.match("Alice .*100% 1.0/1.0 MiB", line) for line in lines)
    assert "6. All 1048576 bytes" in " ".join(lines)


def test_no_colour_is_honoured(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    coloured = on_terminal(80, "id", str(tmp_path / "file"))[1]
    plain = on_terminal(80, "id", str(tmp_path / "file"), env={"NO_COLOR": "1"})[1]
    assert re.search(r"\x1b\[[0-9;]*3[0-9]m|\x1b\[[0-9;]*9[0-9]m", coloured)
    assert not re.search(r"\x1b\[[0-9;]*[349][0-9]m", plain)


def test_names_of_others_do_a_terminal_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;owned\x07\u202eevil\udc80[bold]"
    output = TextOutput(quiet=False, verbose=True)
    output.peer("a" * 52, "127.0.0.1:1", None, hostile)
    output.say(hostile)
    output.detail(hostile)
    output.notice(hostile)
    output.trouble("changed", hostile)
    output.complete(hostile, 1, 1.0, {})
    output.result([hostile], {})
    output.listening("127.0.0.1:1", "a" * 52, "p2pwire:x", what=hostile)
    with output.meter(hostile) as meter:
        meter.show(1, 2, hostile)
    JsonOutput(verbose=True).complete(hostile, 1, 1.0, {hostile: 1})
    said = "".join(capsys.readouterr())
    assert not {"\x1b", "\x07", "\u202e", "\udc80"}.intersection(said)
    assert said.count(r"\x1b]0;owned\x07\u202eevil\udc80[bold]") == 8


def test_sizes_and_times() -> None:
    assert [size_text(size) for size in (0, 1, 1023, 1024, 1_048_524, 1_048_525, 2**26, 2**50)] == [
        "0 bytes",
        "1 byte",
        "1023 bytes",
        "1.0 KiB",
        "1023.9 KiB",
        "1.0 MiB",
        "64.0 MiB",
        "1024.0 TiB",
    ]
    assert part_text(27 << 20, 64 << 20) == "27.0/64.0 MiB"
    assert part_text(3, 17) == "3/17 bytes"
    assert [time_text(seconds) for seconds in (0.123, 9.99, 12.3, 119.4, 200, 7500)] == [
        "0.12 s",
        "9.99 s",
        "12 s",
        "119 s",
        "3 min 20 s",
        "2 h 5 min",
    ]
    assert rate_text(2**20, 2.0) == "512.0 KiB/s"
    assert rate_text(5, 0.0) == "at once"


def test_what_prints_is_left_alone() -> None:
    assert printable("Ärger, 東京\u3000\u00a0!") == "Ärger, 東京\u3000\u00a0!"
    assert printable("a\nb\x7f\x9b\u200f") == r"a\nb\x7f\x9b\u200f"
