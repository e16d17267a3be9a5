"""`share` and `get` as processes of their own, over sockets: what they say, what they leave, how they end."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from p2pwire.cli.folder import halves, make_folder, store_blocks
from p2pwire.content.uri import Uri
from p2pwire.storage.area import AREA_PREFIX
from p2pwire.storage.filesystem import FileSystemStorage
from p2pwire.storage.scan import scan

from .program import Process, call, run

SIZE = 300_000
LOOPBACK = ("--listen", "127.0.0.1:0")
KEYS = {
    "listening": {"event", "address", "id", "uri"},
    "peer": {"event", "id", "address", "learned_from"},
    "progress": {"event", "done", "total"},
    "complete": {"event", "path", "bytes", "seconds", "sources"},
    "error": {"event", "code", "message"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "origin" / "holiday"
    make_folder(path, SIZE)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "origin" / "film.raw"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.urandom(SIZE))
    return path


@contextmanager
def shared(*arguments: object, **options: Any) -> Iterator[tuple[Process, dict[str, Any]]]:
    """A process that shares, and what it said when it did."""
    with Process("share", "--json", *LOOPBACK, *arguments, **options) as process:
        yield process, process.wait_for("listening")


def same_trees(one: Path, other: Path) -> bool:
    return tree(one) == tree(other)


def tree(path: Path) -> dict[str, tuple[bool, bytes | None]]:
    found = {}
    for place in path.rglob("*"):
        executable = bool(place.stat().st_mode & stat.S_IXUSR) and place.is_file()
        found[str(place.relative_to(path))] = executable, place.read_bytes() if place.is_file() else None
    return found


def store_halves(tmp_path: Path, folder: Path) -> list[list[str]]:
    """For each half of a folder the command line of a process that holds it."""
    content = scan(folder)
    assert content.manifest is not None
    uri = str(Uri(content.info.oid, content.info.length, "holiday"))
    commands = []
    for name, half in zip(("bob", "charlie"), halves(content.manifest.layout), strict=True):
        store_blocks(content, FileSystemStorage(tmp_path / name), "holiday", *half)
        commands.append(["demo-peer", uri, "-o", str(tmp_path / name), "--root", content.info.root.hex()])
    content.close()
    return commands


# --- All goes well ---


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_shared_arrives(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    origin: Path = request.getfixturevalue(kind)
    with shared(origin) as (process, listening):
        assert listening.keys() == KEYS["listening"]
        uri = Uri.parse(listening["uri"])
        assert uri.name == origin.name
        assert uri.length == Uri.parse(run("id", "--json", origin).events[0]["uri"]).length
        assert [str(peer) for peer in uri.peers] == [listening["address"]]
        got = run("get", listening["uri"], "-o", tmp_path / "new" / "copy", "--json", "--no-listen")
        assert (got.code, got.err) == (0, "")
        assert all(event.keys() == KEYS[event["event"]] for event in got.events)
        events = {event["event"]: event for event in got.events}
        assert events["peer"] | {"event": 0} == {
            "event": 0,
            "id": listening["id"],
            "address": listening["address"],
            "learned_from": None,
        }
        copy = tmp_path / "new" / "copy" / origin.name
        assert events["progress"]["done"] == events["progress"]["total"] == SIZE
        assert events["complete"]["path"] == str(copy)
        assert events["complete"]["bytes"] == SIZE
        assert events["complete"]["sources"] == {listening["id"]: SIZE}
        order = [event["event"] for event in got.events]
        assert order[0] == "peer"
        assert order[-1] == "complete"
        if kind == "file":
            assert copy.read_bytes() == origin.read_bytes()
        else:
            assert same_trees(copy, origin)
            assert (copy / "empty").is_dir()
        assert os.listdir(copy.parent) == [origin.name]
        assert run("verify", copy, listening["uri"]).code == 0
        process.wait_for("peer", learned_from=None)
        ended = process.interrupt()
    assert ended.code == 130
    assert ended.events[-1] == {"event": "error", "code": "interrupted", "message": "interrupted"}
    assert ended.err == "p2pwire: interrupted\n"


def test_people_in_a_pipe_get_plain_lines(file: Path, tmp_path: Path) -> None:
    with shared(file) as (_, listening):
        got = call("get", listening["uri"], "-o", tmp_path / "a", env={"FORCE_COLOR": "1"})
        quiet = run("get", "-q", listening["uri"], "-o", tmp_path / "b")
        verbose = run("get", "-v", listening["uri"], "-o", tmp_path / "c")
    assert (got.code, quiet.code, verbose.code) == (0, 0, 0)
    lines = got.out.splitlines()
    assert lines[0] == f"met {listening['id'][:8]} at {listening['address']}"
    assert lines[-1] == str(tmp_path / "a" / "film.raw")
    assert "\x1b" not in got.out
    assert quiet.out == f"{tmp_path / 'b' / 'film.raw'}\n"
    assert "it is a file" in verbose.out
    assert "(p2pwire-python/" in verbose.out


def test_several_paths_have_a_uri_each(file: Path, folder: Path, tmp_path: Path) -> None:
    with Process("share", *LOOPBACK, file, folder, "--quiet") as process:
        assert process.popen.stdout is not None
        uris = [process.popen.stdout.readline().strip() for _ in range(2)]
        for uri in uris:
            assert run("get", uri, "-o", tmp_path / "copy", "-q").code == 0
        assert process.interrupt(signal.SIGTERM).code == 130
    assert sorted(os.listdir(tmp_path / "copy")) == ["film.raw", "holiday"]


def test_without_a_name_the_id_is_the_name(file: Path, tmp_path: Path) -> None:
    with shared(file) as (_, listening):
        bare = listening["uri"].partition("?")[0]
        assert run("get", bare, "-o", tmp_path, "--peer", listening["address"], "-q").code == 0
    assert (tmp_path / bare.removeprefix("p2pwire:")[:16]).read_bytes() == file.read_bytes()


def test_a_getter_shares_on(file: Path, tmp_path: Path) -> None:
    with shared(file) as (first, listening), ExitStack() as stack:
        options = ("-o", tmp_path / "b", "--keep-sharing", "--json", *LOOPBACK)
        second = stack.enter_context(Process("get", listening["uri"], *options))
        again = second.wait_for("listening")
        second.wait_for("complete")
        assert first.interrupt().code == 130
        got = run("get", again["uri"], "-o", tmp_path / "c", "--json")
        assert got.events[-1]["sources"] == {again["id"]: SIZE}
        assert second.interrupt().code == 130
        # What is complete needs no peer to be shared on.
        third = stack.enter_context(Process("get", listening["uri"], *options))
        again = third.wait_for("listening")
        got = run("get", again["uri"], "-o", tmp_path / "d", "--json")
        assert got.events[-1]["sources"] == {again["id"]: SIZE}


def test_the_one_who_shares_may_be_the_one_who_dials(file: Path, tmp_path: Path) -> None:
    uri = run("id", "--json", file).events[0]["uri"]
    with Process("get", uri, "-o", tmp_path / "copy", "--json", *LOOPBACK) as getter:
        where = getter.wait_for("listening")
        with shared(file, "--peer", where["address"]) as (_, listening):
            complete = getter.wait_for("complete")
        assert complete["sources"] == {listening["id"]: SIZE}
        assert getter.finish().code == 0


def test_a_lasting_identity_and_a_private_network(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("correct horse battery staple\n")
    (tmp_path / "secret").chmod(0o600)
    identity = run("identity", "new", tmp_path / "bob").out.strip()
    secret = ("--network-secret", tmp_path / "secret")
    with shared(file, "--identity", tmp_path / "bob", *secret) as (_, listening):
        assert listening["id"] == identity
        stranger = run("get", listening["uri"], "-o", tmp_path / "a", "--timeout", "0.5", "--json")
        assert (stranger.code, stranger.events[-1]["code"]) == (1, "timeout")
        named = f"{listening['uri']}&id={identity}"
        assert run("get", named, "-o", tmp_path / "b", "-q", *secret).code == 0


@pytest.mark.parametrize("host", ["localhost", "[::1]"])
def test_hosts_are_listened_on(host: str, file: Path, tmp_path: Path) -> None:
    if host == "[::1]" and not has_ipv6():
        result = run("share", file, "--listen", "[::1]:0")
        assert (result.code, result.out) == (1, "")
        assert result.sentence.startswith("p2pwire: cannot listen at [::1]:0: ")
        return
    with Process("share", "--json", file, "--listen", f"{host}:0") as process:
        address = process.wait_for("listening")["address"]
        assert address.rpartition(":")[0] in ("127.0.0.1", "[::1]")
        bare = run("id", "--json", file).events[0]["uri"]
        peer = f"{host}:{address.rpartition(':')[2]}"
        assert run("get", bare, "-o", tmp_path / "copy", "--peer", peer, "-q").code == 0


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


# --- What is interrupted goes on ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_get_goes_on_where_it_was(number: signal.Signals, folder: Path, tmp_path: Path) -> None:
    bob, charlie = store_halves(tmp_path, folder)
    with ExitStack() as stack:
        holder = stack.enter_context(Process(*bob, stdin=subprocess.PIPE))
        uri = holder.wait_for("listening")["uri"]
        command = ("get", uri, "-o", tmp_path / "alice", "--json", "--no-listen")
        getter = stack.enter_context(Process(*command))
        half = first_half(getter)
        ended = getter.interrupt(number)
        assert ended.code == (-9 if number == signal.SIGKILL else 130)
        assert [name[: len(AREA_PREFIX)] for name in os.listdir(tmp_path / "alice")] == [AREA_PREFIX]
        other = stack.enter_context(Process(*charlie, stdin=subprocess.PIPE))
        where = other.wait_for("listening")
        got = run(*command, "--peer", where["address"])
        assert got.code == 0
        assert got.events[-1]["sources"] == {where["id"]: SIZE - half}
        assert got.events[-1]["bytes"] == SIZE
        # Standard input is the life of a process of the demonstration.
        assert holder.finish().code == 0
    assert same_trees(tmp_path / "alice" / "holiday", folder)


def test_three_processes_and_a_link_that_is_cut_in_the_middle(tmp_path: Path) -> None:
    """Alice knows Bob alone, learns of Charlie from him, and goes on with Charlie when Bob is killed."""
    film = tmp_path / "film.raw"
    film.write_bytes(os.urandom(100_000_000))
    with shared(film) as (bob, at), shared(film, "--peer", at["address"]) as (_, other), ExitStack() as stack:
        bob.wait_for("peer", id=other["id"])
        command = ("get", at["uri"], "-o", tmp_path / "copy", "--json", "--no-listen")
        getter = stack.enter_context(Process(*command))
        getter.wait_for("peer", id=other["id"], learned_from=at["id"])
        assert bob.interrupt(signal.SIGKILL).code == -9
        complete = getter.wait_for("complete")
        assert getter.finish().code == 0
    assert complete["sources"][other["id"]] > 0
    assert sum(complete["sources"].values()) == film.stat().st_size
    assert (tmp_path / "copy" / "film.raw").read_bytes() == film.read_bytes()


def first_half(getter: Process) -> int:
    """Wait until half of the folder has come; its bytes."""
    for event in getter.events():
        if event["event"] == "progress" and event["done"] > SIZE * 0.45:
            done: int = event["done"]
            assert done < SIZE
            return done
    raise AssertionError(getter.finish())


def test_what_is_here_needs_nobody(folder: Path, tmp_path: Path) -> None:
    uri = run("id", "--json", folder).events[0]["uri"]
    got = run("get", uri, "-o", folder.parent, "--peer", "127.0.0.1:1", "--json")
    assert got.code == 0
    (complete,) = got.events
    assert complete["path"] == str(folder)
    assert complete["sources"] == {}


def test_verify_asks_which_files_differ(folder: Path, tmp_path: Path) -> None:
    with shared(folder) as (_, listening):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        assert run("verify", copy, listening["uri"]).code == 0
        change_a_byte(copy / "film.raw", 0, secretly=True)
        (copy / "hello.sh").unlink()
        (copy / "more").touch()
        told = run("verify", copy, listening["uri"], "--json")
        bare = listening["uri"].partition("?")[0]
        asked = run("verify", copy, bare, "--peer", listening["address"])
        alone = run("verify", copy, bare)
    differences = [event for event in told.events if event["event"] == "difference"]
    assert [event["path"] for event in differences] == ["film.raw", "hello.sh", "more"]
    assert all(event.keys() == {"event", "path", "text"} for event in differences)
    assert (told.code, told.events[-1]["code"]) == (1, "mismatch")
    assert asked.out.splitlines()[:3] == [event["text"] for event in differences]
    assert f"{differences[0]['text']}, and 2 more differences; its own id is p2pwire:" in asked.sentence
    assert (alone.code, alone.out) == (1, "")
    assert "it has other content" in alone.sentence


# --- What goes wrong ---


def test_a_name_that_is_taken_is_told_at_once(file: Path, tmp_path: Path) -> None:
    uri = run("id", "--json", file).events[0]["uri"]
    for taken in (file.with_name("longer"), file.with_name("other")):
        taken.mkdir()
    (file.parent / "longer" / "film.raw").write_bytes(file.read_bytes() + b"!")
    (file.parent / "other" / "film.raw").write_bytes(bytes(SIZE))
    (tmp_path / "film.raw").symlink_to(file)
    for place in (file.parent / "longer", file.parent / "other", tmp_path):
        got = run("get", uri, "-o", place, "--peer", "127.0.0.1:1", "--json")
        assert (got.code, got.events[-1]["code"]) == (1, "exists")
        assert got.sentence == f"p2pwire: {place / 'film.raw'} exists and is not the same content"


def test_a_directory_that_cannot_be_is_told_at_once(file: Path) -> None:
    uri = run("id", "--json", file).events[0]["uri"]
    got = run("get", uri, "-o", file / "below", "--peer", "127.0.0.1:1")
    assert (got.code, got.out) == (1, "")
    assert got.sentence.startswith(f"p2pwire: cannot create {file / 'below'}: ")


def test_who_does_not_answer_is_named(file: Path, tmp_path: Path) -> None:
    uri = run("id", "--json", file).events[0]["uri"]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        peer = f"127.0.0.1:{closed.getsockname()[1]}"
        got = run("get", uri, "-o", tmp_path / "copy", "--peer", peer, "--timeout", "1", "--json")
    assert (got.code, got.events[-1]["code"]) == (1, "timeout")
    notice, sentence = got.err.splitlines()
    assert notice == f"p2pwire: cannot reach {peer}: Connection refused; trying again"
    assert sentence.startswith(f"p2pwire: nothing came for 1 s ({peer}: Connection refused)")
    assert os.listdir(tmp_path / "copy") == []


def test_who_dials_its_own_address_is_told(file: Path, tmp_path: Path) -> None:
    uri = run("id", "--json", file).events[0]["uri"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = f"127.0.0.1:{port}"
    got = run(
        "get", uri, "-o", tmp_path / "copy", "--listen", f"0.0.0.0:{port}", "--peer", own, "--timeout", "1", "--json"
    )
    assert (got.code, got.events[-1]["code"]) == (1, "timeout")
    assert f"p2pwire: {own} is this peer itself; looking for others" in got.err.splitlines()


def test_a_full_disk_is_one_sentence_and_no_loss(file: Path, tmp_path: Path) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, SIZE // 2))

    with shared(file) as (_, listening):
        command = ("get", listening["uri"], "-o", tmp_path / "copy", "--json")
        full = call(*command, preexec_fn=small)
        assert (full.code, full.events[-1]["code"]) == (1, "no-space")
        assert "cannot write" in full.sentence
        assert not (tmp_path / "copy" / "film.raw").exists()
        assert run(*command).code == 0
    assert (tmp_path / "copy" / "film.raw").read_bytes() == file.read_bytes()


def test_another_length_than_the_uri_says_ends_it(file: Path, tmp_path: Path) -> None:
    with shared(file) as (_, listening):
        wrong = listening["uri"].replace(f"xl={SIZE}", "xl=77")
        got = run("get", wrong, "-o", tmp_path / "copy", "--json")
    assert (got.code, got.events[-1]["code"]) == (1, "wrong-length")
    assert f"the object has {SIZE} bytes, expected are 77" in got.sentence
    assert not (tmp_path / "copy" / "film.raw").exists()


def test_a_port_that_is_taken_is_one_sentence(file: Path) -> None:
    with shared(file) as (_, listening):
        result = run("share", file, "--listen", listening["address"])
    assert (result.code, result.out) == (1, "")
    assert result.sentence == f"p2pwire: cannot listen at {listening['address']}: Address already in use"


def change_a_byte(file: Path, at: int, *, secretly: bool) -> None:
    before = file.stat()
    with file.open("r+b") as target:
        target.seek(at)
        (byte,) = target.read(1)
        target.seek(at)
        target.write(bytes([byte ^ 1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + (0 if secretly else 10**9)))


def test_a_file_that_changes_is_shared_no_longer(file: Path, tmp_path: Path) -> None:
    with shared(file) as (process, listening):
        change_a_byte(file, SIZE // 2, secretly=False)
        with Process("get", listening["uri"], "-o", tmp_path / "copy", "--json") as getter:
            told = process.wait_for("error")
            assert getter.interrupt().code == 130
    assert told["code"] == "changed"
    assert str(file) in told["message"]
    assert not (tmp_path / "copy" / "film.raw").exists()


def test_a_rotten_byte_is_never_taken(file: Path, tmp_path: Path) -> None:
    sound = file.read_bytes()
    with shared(file) as (_, rotten):
        change_a_byte(file, SIZE // 2, secretly=True)
        command = ("get", rotten["uri"], "-o", tmp_path / "copy", "--json")
        with Process(*command) as alone:
            alone.wait_for_notice(f"peer {rotten['id'][:8]} is banned")
            assert alone.interrupt().code == 130
        assert not (tmp_path / "copy" / "film.raw").exists()
        good = tmp_path / "good" / "film.raw"
        good.parent.mkdir()
        good.write_bytes(sound)
        with shared(good) as (_, listening):
            both = run(*command, "--peer", listening["address"])
        assert both.code == 0
        assert both.events[-1]["sources"][listening["id"]] > 0
    assert (tmp_path / "copy" / "film.raw").read_bytes() == sound
