"""Clocks that jump while a fetch is under way: that of the wall to and fro by a day, and that of the system by an hour,
as after a sleep."""

from __future__ import annotations

from typing import Final

from tests.world.trial import Command, World, counted, make_file, same, sharing

JUMPING: Final = """
import sys, time
real, steady = time.time, time.monotonic
begin = steady()
# To and fro every 0.3 seconds.
time.time = lambda: real() + (86_400.0, -86_400.0, 0.0)[int((steady() - begin) / 0.3) % 3]
if {sleeps}:
    # An hour more after each half second, as if the machine had slept.
    time.monotonic = lambda: steady() + 3600.0 * int((steady() - begin) / {sleeps})
from p2pwire.cli import main
main()
"""


def clocks(world: World) -> None:
    """The getter's clocks jump; it gets everything all the same."""
    size = (2 << 20) if world.quick else (16 << 20)
    content = make_file(world.place / "blob", size)
    with sharing(content) as (_, uri), counted(uri, 4e6) as (_, through):
        for name, sleeps in (("wall clock to and fro", 0), ("system that sleeps an hour, again and again", 2.5)):
            target = world.place / name
            program = ("-c", JUMPING.format(sleeps=sleeps))
            with Command("get", through, "-o", target, "--no-listen", program=program) as getting:
                assert getting.end() == 0, getting.events[-2:]
                links = len(getting.of("peer"))
            assert same(content, target / content.name)
            world.say(f"{name}: complete and right, with {links} link(s)")
