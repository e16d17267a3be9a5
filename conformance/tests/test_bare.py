"""`--bare`: programs that run by themselves, and know nothing of the suite."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from p2pwire_conformance.case import CASES, LISTEN, RESPONDER
from p2pwire_conformance.command import USAGE, cli, main
from p2pwire_conformance.runner import Runner, plan
from p2pwire_conformance.subject import BareSubject
from p2pwire_conformance.verdict import Verdict
from toys import ADAPTERS

MINIMAL = ADAPTERS / "minimal"
GROUPS = ("SA", "VN", "HS", "EN", "CL")


@contextmanager
def _running(*command: str | Path) -> Iterator[str]:
    """The first line that the program prints."""
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline()
        finally:
            process.kill()


def _python(folder: Path) -> list[str | Path]:
    return [sys.executable, MINIMAL / "tcp.py", "0"]


def _node(folder: Path) -> list[str | Path]:
    return ["node", MINIMAL / "tcp.mjs", "0"]


def _share(folder: Path) -> list[str | Path]:
    (folder / "shared").write_bytes(bytes(300_000))
    return [sys.executable, "-m", "p2pwire", "share", folder / "shared", "--listen", "127.0.0.1:0", "--json"]


@pytest.mark.parametrize("made", [_python, _node, _share])
def test_a_running_peer(made: Callable[[Path], list[str | Path]], tmp_path: Path) -> None:
    with _running(*made(tmp_path)) as line:
        address = json.loads(line)["address"] if line.startswith("{") else line.strip()
        cases = [case for case in CASES.values() if case.group in GROUPS]
        found = Runner(BareSubject(address), again=0).run(plan(cases, [RESPONDER], [LISTEN]))
    assert [one.line for one in found if one.verdict not in (Verdict.PASS, Verdict.INFO, Verdict.NOT_APPLICABLE)] == []
    assert sum(one.verdict is Verdict.PASS for one in found) > 150


def test_the_command(tmp_path: Path) -> None:
    with _running(*_python(tmp_path)) as line:
        done = CliRunner().invoke(cli, ["run", "--case", "SA", "--bare", line.strip()])
    assert done.exit_code == 0
    assert re.match(rf"{line.strip()}: \d+ cases, \d+ runs in .* s: 2 pass, ", done.output)


def test_nobody_there() -> None:
    done = CliRunner().invoke(cli, ["run", "--case", "SA-0001", "--bare", "127.0.0.1:1"])
    assert done.exit_code == 3
    assert "UNTESTABLE SA-0001/responder/listen: nothing can be reached at 127.0.0.1:1: " in done.output


@pytest.mark.parametrize("address", ["nobody", "127.0.0.1", ":", "127.0.0.1:port", "127.0.0.1:99999"])
def test_what_is_no_address(address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["p2pwire-conformance", "run", "--bare", address])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == USAGE
    assert f"{address!r} is not HOST:PORT" in capsys.readouterr().err
