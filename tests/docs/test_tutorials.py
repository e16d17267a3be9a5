"""What the tutorials show works, and prints what they say; what pages name exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from p2pwire.cli.command import COMMANDS
from p2pwire.generate.form import MESSAGES
from p2pwire.generate.rows import field_rows
from p2pwire.generate.wording import constant_name, filter_name

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROGRAMS = ("asyncio", "trio", "threads", "stream", "extension")
TUTORIALS = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "tutorials").glob("*.md")}
PAGES = {path: path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md") if "_build" not in path.parts}


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(command: list[str], place: Path, **environment: str) -> str:
    """What a command prints; it may warn of nothing."""
    done = subprocess.run(
        command, cwd=place, capture_output=True, text=True, check=False, timeout=90, env={**os.environ, **environment}
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_each_tutorial_is_run() -> None:
    assert TUTORIALS.keys() == {"index", "conformance", *PROGRAMS}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_tutorial_prints_what_it_says(name: str, tmp_path: Path) -> None:
    program = "\n\n".join(blocks(TUTORIALS[name], "python"))
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    printed = run([sys.executable, "-W", "error", "program.py"], tmp_path, PYTHONPATH=str(DOCS / "example"))
    (said,) = blocks(TUTORIALS[name], "text")
    assert printed == said


def test_the_suite_judges_as_the_tutorial_says() -> None:
    consoles = "".join(blocks(TUTORIALS["conformance"], "console"))
    commands = [line for line in re.findall(r"^\$ (.*)$", consoles, re.MULTILINE) if "minimal" in line]
    assert len(commands) == 2
    environment = {"PYTHONPATH": str(ROOT / "conformance" / "src")}
    for command in commands:
        first, *rest = [sys.executable if word == "python" else word for word in shlex.split(command)]
        assert first == "p2pwire-conformance"
        printed = run([sys.executable, "-m", "p2pwire_conformance", *rest], ROOT, **environment)
        if rest[0] == "smoke":
            assert printed in consoles
        else:
            assert re.search(r"\d+ pass", printed.splitlines()[-1])


def test_commands_exist() -> None:
    text = "".join(PAGES.values())
    shown = set(re.findall(r"(?:\$ |`)p2pwire ([a-z]+)", text))
    assert {"share", "get", "decode", "dissector"} <= shown <= COMMANDS.keys()
    assert "--capture" in run([sys.executable, "-m", "p2pwire", "get", "-h"], ROOT)


def test_each_message_has_a_page_with_words_of_its_own() -> None:
    for message in MESSAGES:
        path = DOCS / "messages" / f"{constant_name(message.title).lower().replace('_', '-')}.md"
        words, _, directive = PAGES[path].partition("```{p2p:message} ")
        assert directive.startswith(f"{message.title}\n"), message.title
        assert len(words.split()) >= 25, message.title
    assert len(list((DOCS / "messages").glob("*.md"))) == len(MESSAGES) + 1


def test_filters_exist() -> None:
    page = PAGES[DOCS / "wireshark.md"]
    known = {filter_name(message, row.name) for message in MESSAGES for row in field_rows(message)}
    shown = set(re.findall(r"\bp2pwire(?:\.[a-z_]+){2}\b", page)) - {"p2pwire.adapters.capture"}
    assert shown
    assert shown <= known


def test_lines_are_short() -> None:
    for path, text in PAGES.items():
        long = [line for line in text.splitlines() if len(line) > 140 and not line.startswith(("|", "FAIL", ":bytes:"))]
        assert not long, path
