"""What README.md shows works: its examples run, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from p2pwire.cli.command import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = dict(
    re.findall(r"^## (From [a-z]+|With your own sockets).*?^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
)


def run_example(name: str, place: Path) -> str:
    """What an example prints; it may warn of nothing."""
    command = [sys.executable, "-W", "error", "-c", EXAMPLES[name]]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_there_are_three_examples() -> None:
    assert list(EXAMPLES) == ["From asyncio", "From threads", "With your own sockets"]
    for example in EXAMPLES.values():
        assert len([line for line in example.splitlines() if line and not line.startswith(("import", "from"))]) <= 15


@pytest.mark.parametrize("name", ["From asyncio", "From threads"])
def test_a_folder_is_shared_and_fetched(name: str, tmp_path: Path) -> None:
    (tmp_path / "holiday" / "photos").mkdir(parents=True)
    (tmp_path / "holiday" / "photos" / "harbour.raw").write_bytes(b"h" * 100_000)
    lines = run_example(name, tmp_path).splitlines()
    assert lines[-1] == "complete: downloads/holiday"
    assert lines[-2] == "100000 of 100000"
    assert (tmp_path / "downloads" / "holiday" / "photos" / "harbour.raw").read_bytes() == b"h" * 100_000


def test_two_ends_meet_in_memory(tmp_path: Path) -> None:
    lines = run_example("With your own sockets", tmp_path).splitlines()
    assert "alice LinkEstablished" in lines
    assert "bob LinkEstablished" in lines


def test_the_commands_exist() -> None:
    shown = set(re.findall(r"[$&`] ?p2pwire ([a-z]+)", README))
    assert {"demo", "share", "get", "id"} <= shown <= COMMANDS.keys()


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
