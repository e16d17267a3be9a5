"""Networks as they are: slow, far away, lossy, gone for a while; and IPv6."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from p2pwire.content.uri import Uri
from tests.world.trial import Command, World, make_file, same, sharing
from tests.world.wire import FAR, FAR_LOCAL, NEAR, NEAR_LOCAL, Host, Wire, check

PORT: Final = 40213
KIB: Final = 1024
NARROW: Final = 64 * KIB
"""bytes a second of a slow line, headers included."""


def ipv6(world: World) -> None:
    """Over ::1, and over link-local addresses."""
    content = make_file(world.place / "blob", 1 << 20)
    with sharing(content, listen="[::1]:0") as (_, uri):
        target = world.place / "loopback"
        with Command("get", uri, "-o", target, "--no-listen") as getting:
            assert getting.end() == 0, getting.events[-2:]
        assert same(content, target / content.name)
        world.say(f"::1: complete and right, from {uri.peers[0]}")
    with _hosts(content, Wire(), listen="[::]") as (wire, uri):
        target = world.place / "link-local"
        without = attrs.evolve(uri, peers=())
        where = f"[{FAR_LOCAL}%wire]:{PORT}"
        with Host(wire, NEAR, NEAR_LOCAL, "get", without, "-o", target, "--no-listen", "--peer", where) as getting:
            assert getting.end() == 0, getting.events[-2:]
        assert same(content, target / content.name)
        world.say(f"link-local: complete and right, from {where}")


def slow(world: World) -> None:
    """A line of 64 KiB/s: most of it carries content."""
    size = (256 if world.quick else 4096) * KIB
    seconds, wire = _over(world, Wire(rate=NARROW, delay=0.02), size)
    share = size / seconds / NARROW
    world.say(
        f"64 KiB/s: {size // KIB} KiB in {seconds:.1f} s, {100 * share:.0f} % of the line; {wire.lost} packets lost"
    )
    assert share > 0.5


def far(world: World) -> None:
    """A round trip of 200 ms, and one packet of a hundred lost."""
    size = (512 if world.quick else 16 * KIB) * KIB
    seconds, wire = _over(world, Wire(delay=0.1, loss=0.01), size)
    lost = 100 * wire.lost / (wire.lost + wire.carried)
    world.say(
        f"200 ms, 1 % loss: {size // KIB} KiB in {seconds:.1f} s, {size / KIB / seconds:.0f} KiB/s; lost {lost:.1f} %"
    )


def vanishing(world: World) -> None:
    """A peer that is gone in the middle, and comes back: first soon, then after the link is dead."""
    for gone in (3.0,) if world.quick else (5.0, 200.0):
        size = (1 if world.quick else 4) << 20
        wire = Wire(delay=0.01, rate=size / 6)
        content = make_file(world.place / f"blob {gone}", size)
        target = world.place / f"got {gone}"
        with (
            _hosts(content, wire) as (_, uri),
            Host(wire, NEAR, NEAR_LOCAL, "get", uri, "-o", target, "--no-listen") as getting,
        ):
            getting.wait_for_more(size // 4)
            wire.down = True
            time.sleep(gone)
            before = getting.done()
            wire.down = False
            back = time.monotonic()
            getting.wait_for_more(before)
            again = time.monotonic() - back
            assert getting.end() == 0, getting.events[-2:]
            assert same(content, target / content.name)
            dials = len(getting.of("peer"))
        world.say(
            f"gone for {gone:.0f} s: content again {again:.1f} s after its return, complete and right, {dials} link(s)"
        )


def _over(world: World, wire: Wire, size: int) -> tuple[float, Wire]:
    """Seconds from the first to the last of some content."""
    content = make_file(world.place / "blob", size)
    target = world.place / "got"
    with (
        _hosts(content, wire) as (_, uri),
        Host(wire, NEAR, NEAR_LOCAL, "get", uri, "-o", target, "--no-listen") as getting,
    ):
        getting.wait_for("peer")
        began = time.monotonic()
        assert getting.end() == 0, getting.events[-2:]
        seconds = time.monotonic() - began
    assert same(content, target / content.name)
    return seconds, wire


@contextmanager
def _hosts(content: Path, wire: Wire, listen: str = FAR) -> Iterator[tuple[Wire, Uri]]:
    """A host at the far end that shares; the near end is to be taken."""
    check()
    try:
        with Host(wire, FAR, FAR_LOCAL, "share", content, "--listen", f"{listen}:{PORT}") as command:
            event = command.wait_for("listening")
            assert event is not None, "it does not share"
            yield wire, Uri.parse(event["uri"])
    finally:
        wire.close()
