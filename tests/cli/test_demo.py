"""`demo`: three processes, one folder, and no trace left."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import anyio
import pytest

from p2pwire.cli.demo import LEAST, _actor
from p2pwire.cli.errors import CommandError
from p2pwire.cli.folder import check_equal, make_folder

from .program import Process, call

SIZE = 2 * 2**20


def test_a_folder_travels(tmp_path: Path) -> None:
    result = call("demo", "--size", "2MiB", "--json", env={"TMPDIR": str(tmp_path)})
    assert (result.code, result.err) == (0, "")
    events = result.events
    bob, charlie = (event for event in events if event["event"] == "listening")
    assert (bob["name"], charlie["name"]) == ("Bob", "Charlie")
    met = [event for event in events if event["event"] == "peer"]
    assert [(event["id"], event["learned_from"]) for event in met] == [(bob["id"], None), (charlie["id"], bob["id"])]
    assert [event["address"] for event in met] == [bob["address"], charlie["address"]]
    progress = [(event["done"], event["total"]) for event in events if event["event"] == "progress"]
    assert progress == sorted(progress)
    assert progress[-1] == (SIZE, SIZE)
    complete = events[-1]
    assert complete["event"] == "complete"
    assert complete["bytes"] == SIZE
    assert complete["sources"].keys() == {bob["id"], charlie["id"]}
    assert sum(complete["sources"].values()) == SIZE
    assert os.listdir(tmp_path) == []


def test_the_story_is_told_in_order(tmp_path: Path) -> None:
    result = call("demo", "--size", str(LEAST), env={"TMPDIR": str(tmp_path)})
    assert (result.code, result.err) == (0, "")
    story = [line for line in result.out.splitlines() if line[:2].rstrip(".").isdigit()]
    assert story[1:4] == [
        "2. Charlie dialled Bob: so Bob knew Charlie.",
        "3. Alice dialled Bob, the only peer that she was told of.",
        "4. Bob told Alice of Charlie, and Alice dialled Charlie.",
    ]
    assert story[-1] == f"6. All {LEAST} bytes of Alice's folder, read again from the disk, equal the original."


def test_an_interrupted_play_leaves_nothing(tmp_path: Path) -> None:
    for moment in ("listening", "peer"):
        with Process("demo", "--size", "16MiB", "--json", env={"TMPDIR": str(tmp_path)}) as process:
            process.wait_for(moment)
            ended = process.interrupt()
        assert ended.code == 130
        assert ended.err == "p2pwire: interrupted\n"
        assert os.listdir(tmp_path) == []


def test_an_actor_that_fails_is_named(tmp_path: Path) -> None:
    async def play(*arguments: str) -> None:
        async with _actor("Bob", tmp_path, *arguments) as bob:
            await bob.wait_for("listening")

    with pytest.raises(CommandError, match=r"Bob ended with code 2: p2pwire demo-peer: .*scheme is 'nonsense'"):
        anyio.run(play, "demo-peer", "nonsense", "-o", str(tmp_path), "--root", "")
    with pytest.raises(CommandError, match=r"Bob ended with code 1: p2pwire: .* is not what the URI names"):
        anyio.run(play, "verify", "-q", "--json", str(tmp_path), "p2pwire:" + "a" * 52)


@pytest.mark.parametrize("size", [LEAST, LEAST + 1, 1_234_567])
def test_the_folder_has_its_size_and_its_kinds(tmp_path: Path, size: int) -> None:
    make_folder(tmp_path / "one", size)
    assert check_equal(tmp_path / "one", tmp_path / "one") == size
    assert os.listdir(tmp_path / "one" / "empty") == []
    assert os.access(tmp_path / "one" / "hello.sh", os.X_OK)
    assert all(path.stat().st_size for path in (tmp_path / "one").rglob("*.raw"))


def test_every_difference_is_found(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    make_folder(one, LEAST)

    def differs(match: str) -> None:
        with pytest.raises(CommandError, match=match):
            check_equal(other, one)

    def restore() -> None:
        shutil.rmtree(other, ignore_errors=True)
        shutil.copytree(one, other)
        assert check_equal(other, one) == LEAST

    restore()
    film = other / "film.raw"
    film.write_bytes(film.read_bytes()[:-1] + bytes([film.read_bytes()[-1] ^ 1]))
    differs("film.raw differs from the original within")
    restore()
    film.write_bytes(film.read_bytes() + b"\0")
    differs("film.raw differs from the original")
    restore()
    (other / "hello.sh").chmod(0o644)
    differs("hello.sh is not there, or not of the same kind")
    restore()
    (other / "empty").rmdir()
    differs("empty is not there")
    restore()
    (other / "more").mkdir()
    differs("more is not there")
    (other / "more").rmdir()
    film.unlink()
    film.symlink_to(one / "film.raw")
    differs("film.raw is not there, or not of the same kind")
