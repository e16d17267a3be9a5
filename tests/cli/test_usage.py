"""Wrong usage: exit code 2, one sentence that names the value, and nothing on standard output."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from p2pwire.cli.arguments import HostPort
from p2pwire.cli.command import COMMANDS as ALL_COMMANDS

from .program import call, run

OID = "p2pwire:tzsirkwz6nhellgxaxxcjvjerdb3toxccagq7ctzlishjda3d5ba"
COMMANDS = [name for name in ALL_COMMANDS if name != "demo-peer"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "Missing command"),
        (["fetch"], "No such command 'fetch'"),
        (["--jason"], "No such option"),
        (["identity"], "Missing command"),
        (["identity", "make"], "No such command 'make'"),
        (["identity", "new"], "Missing argument 'FILE'"),
        (["id"], "Missing argument 'PATH'"),
        (["id", "a", "b"], "unexpected extra argument"),
        (["verify", "a"], "Missing argument 'URI'"),
        (["decode", "--as", "frame"], "'frame' is not one of"),
        (["share"], "Missing argument 'PATH...'"),
        (["share", ".", "--listen", "4000"], "'4000' is not HOST:PORT"),
        (["share", ".", "--listen", "::1:4000"], "'::1:4000' is not HOST:PORT"),
        (["share", ".", "--listen", "[::1]"], "'[::1]' is not HOST:PORT"),
        (["share", ".", "--listen", "[bob]:4000"], "'bob' in brackets is no IPv6 address"),
        (["share", ".", "--listen", "127.0.0.1:65536"], "is 65536, which is not within 0 to 65535"),
        (["share", ".", "--listen", "127.0.0.1:-1"], "'127.0.0.1:-1' is not HOST:PORT"),
        (["share", ".", "--peer", "127.0.0.1:0"], "is 0, which is not within 1 to 65535"),
        (["share", ".", "--peer", ":4000"], "':4000' names no host"),
        (["share", ".", "--peer", "\x1b[31m"], r"'\x1b[31m' is not HOST:PORT"),
        (["get", OID, "--peer", "a:1"], "Missing option '-o'"),
        (["get", OID, "-o", "."], "there is nobody to ask"),
        (["get", "p2pwire:abc", "-o", "."], "oid is 'abc'"),
        (["get", f"{OID}?xl=x", "-o", "."], "xl is 'x'"),
        (["get", OID, "-o", ".", "--peer", "a:1", "--timeout", "0"], "'0' is no number of seconds above 0"),
        (["get", OID, "-o", ".", "--peer", "a:1", "--timeout", "nan"], "'nan' is no number of seconds above 0"),
        (["get", OID, "-o", ".", "--peer", "a:1", "--timeout", "soon"], "'soon' is no number of seconds above 0"),
        (["get", OID, "-o", ".", "--listen", "127.0.0.1:0", "--no-listen"], "exclude each other"),
        (["demo", "--size", "big"], "'big' is no size"),
        (["demo", "--size", "-1"], "'-1' is no size"),
        (["demo", "--size", "64iB"], "'64iB' is no size"),
        (["demo", "--size", "1"], "1 bytes are not within 65536 to 1099511627776"),
        (["demo", "--size", "2TiB"], "are not within"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], part: str) -> None:
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert part in result.sentence
    assert result.sentence.startswith("p2pwire")
    assert result.sentence.endswith("-h explains)")
    assert result.sentence.isprintable()


def test_wrong_usage_is_an_event_for_programs() -> None:
    result = run("get", OID, "--json", "-o", ".")
    assert result.code == 2
    (event,) = result.events
    assert event["event"] == "error"
    assert event["code"] == "usage"
    assert result.sentence == f"p2pwire get: {event['message']}"
    assert run("--json").events[0]["message"].startswith("Missing command")
    assert run("id", "--", "--json").out == ""


@pytest.mark.parametrize("arguments", [[], *[[name] for name in COMMANDS]])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_fits_a_terminal(arguments: list[str], option: str) -> None:
    result = run(*arguments, option)
    assert (result.code, result.err) == (0, "")
    assert "Usage: p2pwire" in result.out
    assert max(map(len, result.out.splitlines())) <= 80


def test_every_command_reports_to_programs() -> None:
    for name in COMMANDS:
        names = [f"{name} new", f"{name} show"] if name == "identity" else [name]
        for command in names:
            assert "--json" in run(*command.split(), "-h").out


def test_help_lists_the_commands() -> None:
    said = run("-h").out.partition("Commands:")[2]
    assert [line.split()[0] for line in said.splitlines() if line.strip()] == COMMANDS
    assert sorted(COMMANDS) == ["decode", "demo", "dissector", "get", "id", "identity", "share", "simulate", "verify"]


def test_version() -> None:
    result = run("--version")
    assert (result.code, result.err) == (0, "")
    name, number = result.out.split()
    assert name == "p2pwire"
    assert number[0].isdigit()


def test_files_that_are_not_there_fail(tmp_path: Path) -> None:
    none = tmp_path / "none"
    for option in ("--identity", "--network-secret"):
        result = run("share", tmp_path, option, none)
        assert (result.code, result.out) == (1, "")
        assert result.sentence == f"p2pwire: {none}: cannot be opened: No such file or directory"


def test_a_host_that_is_not_there_fails(tmp_path: Path) -> None:
    result = run("get", OID, "-o", tmp_path, "--peer", "nobody.invalid:4000", "--json")
    assert result.code == 1
    assert result.events[-1]["code"] == "unknown-host"
    assert "cannot find the host 'nobody.invalid'" in result.sentence


def test_the_module_is_the_command() -> None:
    result = call("--version")
    assert (result.code, result.err) == (0, "")
    assert result.out == run("--version").out


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_there_is_one_sentence(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from p2pwire.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"p2pwire: the command needs {missing}, which pip install 'p2pwire[cli]' brings\n"


def test_the_zone_of_an_address_is_kept() -> None:
    (found,) = HostPort("fe80::1%lo", 7).resolve()
    assert (found.host, found.port) == (f"fe80::1%{socket.if_nametoindex('lo')}", 7)
