"""`p2pwire demo`: three processes on this machine, and a folder that travels."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
import anyio.to_thread
import attrs
import click
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from p2pwire.cli.arguments import reporting, size_argument
from p2pwire.cli.errors import CommandError
from p2pwire.cli.folder import check_equal, halves, make_folder, store_blocks
from p2pwire.cli.output import Output
from p2pwire.cli.session import run_until_signal
from p2pwire.cli.text import count_text, rate_text, size_text, time_text
from p2pwire.content.uri import Uri
from p2pwire.storage.filesystem import FileSystemStorage
from p2pwire.storage.scan import scan
from p2pwire.wire.registry import EntryType

FOLDER: Final = "holiday"

Event: TypeAlias = Mapping[str, Any]
"""What a process says on one line of its output."""

LEAST: Final = 64 * 1024
"""bytes of a folder from which every file of it has something in it."""

MOST: Final = 2**40
"""bytes of a folder that nobody means."""

SILENCE: Final = 30
"""seconds without a byte after which Alice gives up; she has never needed one."""

LAST_WORDS: Final = 5.0
"""seconds that a peer has for an orderly end."""

MAX_LINE: Final = 65536
"""bytes of one event of a child; the longest hold a URI."""


@click.command()
@click.option(
    "--size", type=size_argument, metavar="SIZE", default="64MiB", help="How large the folder is.  [default: 64MiB]"
)
@reporting
def demo(output: Output, size: int) -> None:
    """Watch a folder travel between three peers on this machine.

    Bob and Charlie hold a different half of it each. Alice is told of Bob alone; she learns of Charlie from him, and
    gets verified pieces from both at once. Succeeds only if every byte of her copy equals the original.
    """
    if not LEAST <= size <= MOST:
        raise click.BadParameter(f"{size} bytes are not within {LEAST} to {MOST}", param_hint="'--size'")
    run_until_signal(partial(_demo, output, size))


async def _demo(output: Output, size: int) -> None:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < 3 * size:  # the original, both halves together, and the copy
        text = f"{size_text(3 * size)} are needed in {tempfile.gettempdir()}, {size_text(free)} are free"
        raise CommandError("no-space", text)
    with tempfile.TemporaryDirectory(prefix="p2pwire-demo-") as place:
        await _play(output, Path(place), size)


async def _play(output: Output, place: Path, size: int) -> None:
    with output.meter("making a folder", events=False) as meter:
        meter.wait(f"{size_text(size)}, and its halves")
        stage = await anyio.to_thread.run_sync(_set_stage, place, size)
    output.say(f"a folder of {size_text(size)} in {count_text(stage.files, 'file')} is cut into two halves")
    async with AsyncExitStack() as stack:
        bob = await _enter(stack, output, stage, "Bob", stage.first)
        charlie = await _enter(stack, output, stage, "Charlie", stage.second, "--peer", bob.address)
        await charlie.wait_for("peer", id=bob.identity)
        output.say("Charlie knows Bob's address, and has dialled him; Alice is told of Bob alone")
        uri = str(attrs.evolve(stage.uri, peers=Uri.parse(bob.uri).peers))
        options = ("-o", str(place / "alice"), "--no-listen", "--timeout", str(SILENCE), "--json", "--verbose")
        alice = await stack.enter_async_context(_actor("Alice", place, "get", uri, *options))
        complete, story = await _watch(output, alice, (bob, charlie))
    compared = await anyio.to_thread.run_sync(check_equal, place / "alice" / FOLDER, place / FOLDER)
    names = {bob.identity: "Bob", charlie.identity: "Charlie"}
    got, seconds = complete["bytes"], complete["seconds"]
    parts = " and ".join(f"{size_text(part)} from {name}" for name, part in _parts(names, complete))
    lines = [
        f"Bob listened at {bob.address}, and Charlie at {charlie.address}.",
        "Charlie dialled Bob: so Bob knew Charlie.",
        *story,
        f"Alice got {parts}: {size_text(got)} in {time_text(seconds)} ({rate_text(got, seconds)}).",
        f"All {compared} bytes of Alice's folder, read again from the disk, equal the original.",
    ]
    for number, line in enumerate(lines, 1):
        output.say(f"{number}. {line}")
    output.result([], complete)


async def _enter(stack: AsyncExitStack, output: Output, stage: Stage, name: str, size: int, *arguments: str) -> Actor:
    """Start one who holds a half, and wait until it listens."""
    words = ("demo-peer", str(stage.uri), "-o", str(stage.place / name.lower()), "--root", stage.root.hex())
    actor = await stack.enter_async_context(_actor(name, stage.place, *words, *arguments))
    said = await actor.wait_for("listening")
    actor.identity, actor.address, actor.uri = said["id"], said["address"], said["uri"]
    output.name(actor.identity, name)
    output.listening(actor.address, actor.identity, actor.uri, what=size_text(size), name=name)
    return actor


async def _watch(output: Output, alice: Actor, holders: Sequence[Actor]) -> tuple[Event, list[str]]:
    """Show what Alice does until she has everything: what she said then, and whom she met, as sentences."""
    names = {holder.identity: holder.name for holder in holders}
    story: list[str] = []
    async with anyio.create_task_group() as group:
        for holder in holders:
            group.start_soon(holder.stay)
        with output.meter("Alice") as meter:
            async for event in alice.events():
                match event["event"]:
                    case "peer":
                        output.peer(event["id"], event["address"], event["learned_from"], "")
                        story.append(_meeting(names, event))
                    case "progress":
                        note = ", ".join(f"{name} {size_text(part)}" for name, part in _parts(names, event))
                        meter.show(event["done"], event["total"], note)
                    case "complete":
                        group.cancel_scope.cancel()
                        return event, story
                    case "error":
                        raise CommandError(event["code"], f"Alice failed: {event['message']}")
    raise await alice.end_of_play()


def _parts(names: Mapping[str, str], event: Event) -> list[tuple[str, int]]:
    """How many bytes came from whom."""
    return [(name, event["sources"][peer]) for peer, name in names.items() if peer in event["sources"]]


def _meeting(names: Mapping[str, str], event: Event) -> str:
    """How Alice met someone."""
    name, through = names.get(event["id"], "a stranger"), event["learned_from"]
    if through is None:
        return f"Alice dialled {name}, the only peer that she was told of."
    return f"{names.get(through, 'A stranger')} told Alice of {name}, and Alice dialled {name}."


# --- The actors ---


@attrs.define(eq=False)
class Actor:
    """A peer in a process of its own, and what it says."""

    name: str
    _process: Process
    _lines: BufferedByteReceiveStream
    _log: Path
    """Its standard error."""
    identity: str = ""
    address: str = ""
    uri: str = ""

    async def events(self) -> AsyncIterator[Event]:
        """What it says, until it ends."""
        while True:
            try:
                line = await self._lines.receive_until(b"\n", MAX_LINE)
            except (anyio.EndOfStream, anyio.IncompleteRead):
                return
            yield json.loads(line)

    async def wait_for(self, name: str, /, **fields: str) -> Event:
        """The next event of this name, with these fields. Raises CommandError if it ends before."""
        async for event in self.events():
            if event["event"] == name and all(event[key] == value for key, value in fields.items()):
                return event
        raise await self.end_of_play()

    async def stay(self) -> None:
        """Raise CommandError if it ends."""
        async for _ in self.events():
            pass
        raise await self.end_of_play()

    async def end_of_play(self) -> CommandError:
        """What to say of one that ended too early."""
        code = await self._process.wait()
        words = self._log.read_text(errors="replace").split("\n")
        last = next((line for line in reversed(words) if line), "it said nothing")
        return CommandError("peer-ended", f"{self.name} ended with code {code}: {last}")


@asynccontextmanager
async def _actor(name: str, place: Path, *arguments: str) -> AsyncIterator[Actor]:
    """A process; leaving the block ends it, in order if it can."""
    log = place / f"{name}.log"
    with log.open("wb") as errors:
        # In a session of its own, so that Ctrl-C reaches this process alone, and all others in order.
        command = [sys.executable, "-m", "p2pwire", *arguments]
        process = await anyio.open_process(command, stderr=errors, start_new_session=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Actor(name, process, BufferedByteReceiveStream(process.stdout), log)
    finally:
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                process.terminate()
                with anyio.move_on_after(LAST_WORDS):
                    await process.wait()
                if process.returncode is None:
                    process.kill()
            await process.aclose()


# --- The stage ---


@attrs.frozen
class Stage:
    """The folder, and who has what of it."""

    uri: Uri
    root: bytes
    files: int
    first: int
    """Bytes of Bob's half."""
    second: int
    """Bytes of Charlie's."""
    place: Path


def _set_stage(place: Path, size: int) -> Stage:
    make_folder(place / FOLDER, size)
    shared = scan(place / FOLDER)
    manifest = shared.manifest
    assert manifest is not None
    first, second = [
        store_blocks(shared, FileSystemStorage(place / name), FOLDER, *half)
        for name, half in zip(("bob", "charlie"), halves(manifest.layout), strict=True)
    ]
    files = sum(entry.type != EntryType.EMPTY_DIRECTORY for entry in manifest)
    uri = Uri(shared.info.oid, shared.info.length, FOLDER)
    shared.close()
    return Stage(uri, shared.info.root, files, first, second, place)
