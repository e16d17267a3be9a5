"""A disk that becomes full, and a directory that may no longer be written, in the middle of a fetch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.world.trial import Command, NotHere, World, counted, make_file, same, sharing

MIB = 1 << 20


def full_disk(world: World) -> None:
    """Somebody else fills the disk: the fetch ends and says why, and goes on when there is room again."""
    disk = world.place / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", disk], capture_output=True, check=False)
    if mounted.returncode:
        raise NotHere(f"no file system may be mounted: {mounted.stderr.decode().strip()}")
    try:
        hog = disk / "hog"
        events = _disturbed(world, disk / "got", lambda: _fill(hog), hog.unlink, 8 * MIB)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    world.say(f"the error was {events[-1]['code']}: {events[-1]['message'][:100]}")
    assert events[-1]["code"] == "no-space"


def _fill(hog: Path) -> None:
    with hog.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def permission(world: World) -> None:
    """The directory's owner takes the right to write away, and gives it back."""
    without_power = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")
    before: tuple[str, ...] = ()
    if os.geteuid() == 0:
        # Root may write anywhere; so the process is a root that may not.
        if subprocess.run([*without_power, "true"], capture_output=True, check=False).returncode:
            raise NotHere("root may write anywhere, and its power can not be taken from it")
        before = without_power
    target = world.place / "got"

    def take() -> None:
        for path in [target, *target.rglob("*")]:
            path.chmod(0o500 if path.is_dir() else 0o400)

    def give_back() -> None:
        target.chmod(0o700)
        for path in target.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)

    events = _disturbed(world, target, take, give_back, 8 * MIB, before)
    world.say(f"the error was {events[-1]['code']}: {events[-1]['message'][:100]}")


def _disturbed(
    world: World,
    target: Path,
    disturb: Callable[[], object],
    mend: Callable[[], object],
    size: int,
    before: tuple[str, ...] = (),
) -> list[dict[str, Any]]:
    """A fetch that is disturbed in the middle must fail and say so; mended, it goes on, and all is right."""
    content = make_file(world.place / "blob", size)
    final = target / content.name
    with sharing(content) as (_, uri), counted(uri, 4e6) as (counter, through):
        get = ("get", through, "-o", target, "--no-listen", "--timeout", "60")
        with Command(*get, before=before) as getting:
            getting.wait_for_more(size // 4)
            disturb()
            status = getting.end()
            events = getting.events
        assert not final.exists(), "what is not complete has the final name"
        assert status == 1, f"it ended with {status}: {events[-2:]}"
        assert events[-1]["event"] == "error"
        assert events[-1]["code"] != "internal"
        mend()
        came = counter.to_dialler
        with Command(*get, before=before) as getting:
            assert getting.end() == 0, getting.events[-2:]
        assert same(content, final)
        world.say(f"of {size >> 10} KiB, {(counter.to_dialler - came) >> 10} KiB came after it was mended")
    return events
