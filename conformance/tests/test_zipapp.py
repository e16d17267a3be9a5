"""The suite as one file."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from p2pwire_conformance.case import CASES
from p2pwire_conformance.protocol import requirements
from toys import ADAPTERS

BUILD = Path(__file__).parents[1] / "build_zipapp.py"
MINIMAL = [sys.executable, str(ADAPTERS / "minimal" / "adapter.py")]


def _run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    # -I: nothing but what is installed, and what is in the file.
    command = [sys.executable, "-I", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("zipapp") / "p2pwire-conformance.pyz"
    done = _run(BUILD, target)
    assert (done.returncode, done.stderr) == (0, "")
    return target


def test_all_of_it_is_in_the_file(pyz: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(pyz)!r}); import p2pwire_conformance.command as c, click as d"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"{code}; print(c.__file__, d.__file__, len(c.CASES), len(c.requirements()))"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.count(str(pyz)) == 2
    assert done.stdout.split()[2:] == [str(len(CASES)), str(len(requirements()))]


def test_it_judges(pyz: Path, tmp_path: Path) -> None:
    done = _run(pyz, "run", "--case", "SA", "--results", tmp_path / "results.json", "--", *MINIMAL)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert found["totals"]["pass"] == 12


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["explain", "HS-0049"], "HS-0049 (handshake): "),
        (["smoke", "--", *MINIMAL], "ok   it starts and says hello"),
        (["vectors", "--family", "codec"], "codec: "),
        (["--version"], "p2pwire-conformance.pyz, version "),
    ],
)
def test_other_commands(pyz: Path, arguments: list[str], says: str, tmp_path: Path) -> None:
    done = _run(pyz, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(says)


def test_the_same_sources_make_the_same_bytes(tmp_path: Path) -> None:
    made = [tmp_path / name for name in ("one.pyz", "other.pyz")]
    assert [_run(BUILD, target).returncode for target in made] == [0, 0]
    assert made[0].read_bytes() == made[1].read_bytes()


def test_without_what_is_compiled_it_says_what_is_missing(pyz: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty" / "bin" / "python"
    done = subprocess.run([python, pyz, "list"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "needs the package cryptography" in done.stderr
    assert f"{python} -m pip install 'cryptography" in done.stderr


def test_wrong_usage() -> None:
    done = _run(BUILD)
    assert (done.returncode, done.stderr) == (64, "usage: python build_zipapp.py FILE\n")
