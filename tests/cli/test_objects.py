"""`id` and `verify`: names and checks without a network."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from p2pwire.content.manifest import Entry, Manifest
from p2pwire.content.merkle import TreeBuilder
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.uri import Uri
from p2pwire.wire.registry import EntryType, ObjectKind

from .program import Process, run

HELLO = "p2pwire:tzsirkwz6nhellgxaxxcjvjerdb3toxccagq7ctzlishjda3d5ba"


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    path = tmp_path / "hello.txt"
    path.write_bytes(b"hello")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    (path / "sub").mkdir(parents=True)
    (path / "empty").mkdir()
    (path / "sub" / "a.txt").write_bytes(b"a" * 40_000)
    (path / "run.sh").write_bytes(b"#!/bin/sh\n")
    (path / "run.sh").chmod(0o755)
    return path


def test_id_of_a_file_is_one_object_of_four_keys(hello: Path) -> None:
    result = run("id", "--json", hello)
    assert result.code == 0
    assert run("--json", "id", hello) == result
    assert json.loads(result.out) == {
        "uri": f"{HELLO}?xl=5&dn=hello.txt",
        "kind": "blob",
        "length": 5,
        "root": hashlib.sha256(b"hello").hexdigest(),
    }


def test_id_of_a_folder_is_that_of_its_manifest(folder: Path) -> None:
    tree = TreeBuilder()
    tree.update(b"a" * 40_000)
    manifest = Manifest.from_entries(
        [
            Entry(EntryType.FILE, "sub/a.txt", 40_000, tree.finish().root),
            Entry(EntryType.EMPTY_DIRECTORY, "empty"),
            Entry(EntryType.EXECUTABLE, "run.sh", 10, hashlib.sha256(b"#!/bin/sh\n").digest()),
        ]
    )
    root = hashlib.sha256(manifest.data).digest()
    uri = Uri(ObjectInfo(ObjectKind.MANIFEST, manifest.length, root).oid, length=manifest.length, name="folder")
    said = json.loads(run("id", folder, "--json").out)
    assert said == {"uri": str(uri), "kind": "manifest", "length": manifest.length, "root": root.hex()}


def test_id_for_people_begins_with_the_uri(folder: Path) -> None:
    said = json.loads(run("id", "--json", folder).out)
    lines = run("id", folder).out.splitlines()
    assert lines[0] == said["uri"]
    assert [line.split() for line in lines[1:4]] == [
        ["kind", "manifest"],
        ["length", str(said["length"])],
        ["root", said["root"]],
    ]
    assert "39.1 KiB in 2 files" in lines[4]


def test_id_says_what_it_leaves_out(folder: Path) -> None:
    before = run("id", folder).out
    (folder / "link").symlink_to("/etc/passwd")
    result = run("id", folder)
    assert result.out == before
    assert result.sentence.startswith("p2pwire: link is left out: ")


def test_id_escapes_what_a_name_would_do_to_a_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "\x1b[31mred\u202e"
    folder.mkdir()
    (folder / "\x1b]0;title\x07").symlink_to("x")
    result = run("id", folder)
    assert result.code == 0
    assert "\x1b" not in result.out + result.err
    assert "\u202e" not in result.out + result.err
    assert r"\x1b]0;title\x07 is left out" in result.err


@pytest.mark.parametrize(("command", "code"), [("id", 1), ("verify", 1)])
def test_a_missing_path_is_one_sentence(tmp_path: Path, command: str, code: int) -> None:
    path = tmp_path / "none"
    result = run(command, path, *([HELLO] if command == "verify" else []))
    assert (result.code, result.sentence) == (code, f"p2pwire: cannot read {path}: it does not exist")
    assert result.out == ""


def test_an_error_for_programs_is_an_event_too(tmp_path: Path) -> None:
    result = run("id", "--json", tmp_path / "none")
    assert result.code == 1
    (event,) = result.events
    assert event == {"event": "error", "code": "vanished", "message": result.sentence.removeprefix("p2pwire: ")}


def test_a_fifo_is_nothing_to_share(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = run("id", tmp_path / "pipe")
    assert result.code == 1
    assert "neither a file nor a directory" in result.sentence


def test_verify_says_yes(hello: Path, folder: Path) -> None:
    result = run("verify", "--json", hello, HELLO)
    assert result.code == 0
    complete = result.events[-1]
    assert complete.keys() == {"event", "path", "bytes", "seconds", "sources"}
    assert (complete["event"], complete["path"], complete["bytes"], complete["sources"]) == (
        "complete",
        str(hello),
        5,
        {},
    )
    assert all(event == {"event": "progress", "done": 5, "total": 5} for event in result.events[:-1])
    uri = json.loads(run("id", "--json", folder).out)["uri"]
    assert run("verify", "-q", folder, uri).out == f"{folder}\n"


def test_verify_says_what_differs(hello: Path, folder: Path) -> None:
    uri = json.loads(run("id", "--json", hello).out)["uri"]
    hello.write_bytes(b"jello")
    result = run("verify", hello, uri)
    assert result.code == 1
    assert result.sentence.startswith(f"p2pwire: {hello} is not what the URI names: it has other content; its own")
    hello.write_bytes(b"hello!")
    assert "it has 6 bytes instead of 5" in run("verify", hello, uri).sentence
    assert "mismatch" in run("verify", "--json", hello, uri).out
    uri = json.loads(run("id", "--json", folder).out)["uri"]
    (folder / "run.sh").unlink()
    assert "so the names or the number of its files differ" in run("verify", folder, uri).sentence


def test_verify_trusts_the_id_and_not_the_length_beside_it(hello: Path) -> None:
    result = run("verify", hello, f"{HELLO}?xl=6")
    assert result.code == 0
    assert result.sentence == "p2pwire: xl of the URI is 6, and the object that it names has 5 bytes"


def test_hashing_can_be_interrupted(tmp_path: Path) -> None:
    with (tmp_path / "endless").open("wb") as file:
        file.truncate(2**40)
    with Process("verify", "--json", tmp_path / "endless", HELLO) as process:
        process.wait_for("progress")
        ended = process.interrupt()
    assert ended.code == 130
    assert ended.err.strip() == "p2pwire: interrupted"
    assert ended.events[-1]["code"] == "interrupted"


def test_who_stops_reading_hears_no_complaint(hello: Path) -> None:
    with Process("id", hello) as process:
        assert process.popen.stdout is not None
        process.popen.stdout.close()
        process.popen.stdout = None
        ended = process.finish()
    assert (ended.code, ended.err) == (1, "")


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("http://example.org", "scheme is 'http'"),
        ("p2pwire:abc", "oid is 'abc': must be 52 characters"),
        (HELLO[:-1] + "b", "must end with 4 zero bits"),
        (f"{HELLO}?xl=-1", "xl is '-1': must be a number from 0 to 70368744177664"),
        (f"{HELLO}?dn=a%2Fb", "dn is 'a/b': must be a name and no path"),
        (f"{HELLO}?dn=%1B", r"dn is '\x1b': must have no control characters"),
        (f"{HELLO}?pe=example.org:1", "pe is 'example.org:1'"),
        (f"{HELLO}?id=abc", "id is 'abc'"),
        (f"{HELLO}?x l=1", "query is 'x l=1'"),
        (f"{HELLO}?a=" + "b" * 5000, "at most 4096 characters"),
    ],
)
def test_a_wrong_uri_is_wrong_usage_that_names_the_part(hello: Path, uri: str, part: str) -> None:
    result = run("verify", hello, uri)
    assert (result.code, result.out) == (2, "")
    assert part in result.sentence
    assert len(result.sentence) < 300
