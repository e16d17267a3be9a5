"""`kill -9` again and again while a file or folder comes: nothing wrong has the final name, little comes twice."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from typing import Final

from p2pwire.content.hashing import BLOCK
from p2pwire.wire.registry import MAX_UNWRITTEN_BLOCKS
from tests.world.trial import Command, Counter, World, counted, make_file, make_folder, same, sharing

KILLS: Final = 200
QUICK: Final = 4
RATE: Final = 20e6
"""bytes a second: so slow that a process does not come to its end before it is killed."""

BEGINNING: Final = 2000
"""bytes at least that a link begins with: a handshake, HELLO, what the other has. They are not counted as content."""

IN_HAND: Final = 2 * MAX_UNWRITTEN_BLOCKS + 16
"""blocks that a killed process may have to have again: those verified and not written yet, those that are being
written, and one read."""
IN_SOCKETS: Final = 6 * 2**20 // BLOCK
"""blocks that may lie in the system's receive buffer, which it lets grow to 6 MiB: nobody has seen them."""


def kills(world: World) -> None:
    """One large file, then several files."""
    count = (QUICK if world.quick else KILLS) // 2
    size = 4 << 20 if world.quick else 16 << 20
    _killed(world, make_file(world.place / "large", size), size, count)
    _killed(world, make_folder(world.place / "several", 30, size // 40), 30 * (size // 40) + 435 * 1001, count)


def _killed(world: World, content: Path, size: int, count: int) -> None:
    chance = random.Random(content.name)
    target = world.place / f"got {content.name}"
    final = target / content.name
    began = time.monotonic()
    worst, lost, killed, complete = 0.0, 0, 0, 0
    with sharing(content) as (_, uri), counted(uri, RATE) as (counter, through):
        get = ("get", through, "-o", target, "--no-listen", "--timeout", "60")
        with Command(*get) as getting:
            assert getting.end() == 0, getting.events[-2:]
        once = counter.to_dialler
        while killed < count:
            shutil.rmtree(target)
            since, kills_here = counter.to_dialler, 0
            while True:
                before = counter.to_dialler
                with Command(*get) as getting:
                    if killed < count:
                        _wait(getting, counter, before + chance.choice((0, chance.randrange(size // 3))), chance)
                        finished = getting.popen.poll() is not None
                        getting.kill()
                    else:
                        finished = getting.end() == 0
                    killed += not finished
                    kills_here += not finished
                if final.exists():
                    assert same(content, final), "something wrong has the final name"
                    complete += 1
                    break
                assert not finished, f"it ended and left nothing: {getting.events[-2:]}"
            again = max(0, counter.to_dialler - since - once - kills_here * BEGINNING) / BLOCK
            lost += int(again)
            worst = max(worst, again / max(1, kills_here))
            assert again <= kills_here * (IN_HAND + IN_SOCKETS), f"{again} blocks came again after {kills_here} kills"
        assert [path.name for path in target.iterdir()] == [content.name], "something was left behind"
    shutil.rmtree(target)
    world.say(
        f"{content.name}: {killed} kills in {time.monotonic() - began:.0f} s, {complete} times complete and right; "
        f"blocks that came again after a kill: {lost / killed:.1f} on average, {worst:.1f} in the worst fetch "
        f"(bound: {IN_HAND} in hand, and what lies in the system's buffers, up to {IN_SOCKETS})"
    )


def _wait(getting: Command, counter: Counter, enough: int, chance: random.Random) -> None:
    """Until so many bytes have passed, or it has come to its end, and sometimes a little more."""
    while getting.popen.poll() is None and counter.to_dialler < enough:
        time.sleep(0.001)
    time.sleep(chance.choice((0.0, 0.0, chance.random())) / 2)
