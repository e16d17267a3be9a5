"""One file from disk to disk between processes, from one sender and from three: p2pwire against what else moves files.

Each sender and the receiver is a process of its own, new for each transfer. What arrived is compared with what was sent
after the clock has stopped; p2pwire, libtorrent, the HTTPS client and the lean loop check hashes before it does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeAlias

from p2pwire.wire.registry import BLOCK_SIZE
from tests.bench.processes import Child
from tests.bench.run import Run
from tests.bench.tls import write_certificate

MIB: Final = 1 << 20
GIB: Final = 1 << 30
SIZE: Final = GIB
QUICK_SIZE: Final = 8 * MIB

BACKENDS: Final = ("asyncio", "trio", "blocking")
TORRENTS: Final = (("v1", "clear"), ("v1", "rc4"), ("v2", "clear"), ("v2", "rc4"))
SIDES: Final = ("sending", "receiving")
THREE: Final = ", three to one"
BOUND: Final = "bounds/one thread each side"

Transfer: TypeAlias = tuple[list[Child], Callable[[list[dict[str, Any]]], Child]]
"""The senders, and what makes the receiver of what they said."""
Mover: TypeAlias = Callable[[int], Transfer]
"""Begins a transfer from so many senders."""


class Field:
    """The file, and what the rivals need to know of it."""

    def __init__(self, directory: Path, size: int) -> None:
        self.directory = directory
        self.size = size
        self.source = directory / "source.bin"
        self.target = directory / "target"
        self.leaves = directory / "leaves"
        self.certificate = directory / "certificate.pem"
        whole = sha256()
        with self.source.open("wb") as file, self.leaves.open("wb") as leaves:
            leaves.write(size.to_bytes(8, "big"))
            for _ in range(size // MIB):
                data = os.urandom(MIB)
                whole.update(data)
                file.write(data)
                for at in range(0, MIB, BLOCK_SIZE):
                    leaves.write(sha256(data[at : at + BLOCK_SIZE]).digest())
        self.digest = whole.hexdigest()
        write_certificate(self.certificate)

    def torrent(self, version: str) -> Path:
        """The file's torrent, written when it is first asked for."""
        path = self.directory / f"{version}.torrent"
        if not path.exists():
            with Child("roles.torrent", "write", version, "clear", path, self.source) as child:
                child.answer()
        return path

    def check(self, path: Path) -> None:
        """Raise ValueError if what arrived is not what was sent."""
        with path.open("rb") as received, self.source.open("rb") as sent:
            while data := sent.read(MIB):
                if received.read(MIB) != data:
                    raise ValueError(f"{path} is not what was sent, near {sent.tell()}")
            if received.read(1):
                raise ValueError(f"{path} is longer than what was sent")

    def clear(self) -> None:
        """Room for the next transfer."""
        shutil.rmtree(self.target, ignore_errors=True)
        self.target.mkdir()


def ours(field: Field, backend: str, senders: int) -> Transfer:
    """p2pwire."""
    shares = [Child("roles.ours", "share", backend, field.source) for _ in range(senders)]
    return shares, lambda said: Child("roles.ours", "fetch", backend, field.target, *[each["uri"] for each in said])


def torrent(field: Field, version: str, cipher: str, senders: int) -> Transfer:
    """libtorrent."""
    file = field.torrent(version)
    shares = [Child("roles.torrent", "share", version, cipher, file, field.source) for _ in range(senders)]
    begin = partial(Child, "roles.torrent", "fetch", version, cipher, file, field.target)
    return shares, lambda said: begin(*[each["port"] for each in said])


def https(field: Field, senders: int) -> Transfer:
    """Python's ssl."""
    shares = [Child("roles.https", "share", field.certificate, field.source) for _ in range(senders)]
    path = field.target / "file"
    return shares, lambda said: Child("roles.https", "fetch", field.digest, path, said[0]["port"])


def lean(field: Field, senders: int) -> Transfer:
    """The leanest loop."""
    shares = [Child("roles.lean", "share", field.source) for _ in range(senders)]
    begin = partial(Child, "roles.lean", "fetch", field.leaves, field.target / "file")
    return shares, lambda said: begin(*[each["port"] for each in said])


def move(field: Field, mover: Mover, senders: int) -> dict[str, float]:
    """One transfer: seconds, the processor time of both sides in seconds, and the most memory of both in bytes."""
    field.clear()
    with ExitStack() as stack:
        shares, receive = mover(senders)
        for child in shares:
            stack.enter_context(child)
        said = [child.answer() for child in shares]
        before = [child.ask("usage") for child in shares]
        receiver = stack.enter_context(receive(said))
        receiver.answer()
        done = receiver.ask("go")
        after = [child.ask("usage") for child in shares]
    field.check(Path(done["path"]))
    return {
        "seconds": done["seconds"],
        "receiving CPU": done["cpu"],
        "receiving memory": done["peak"],
        "sending CPU": sum(one["cpu"] - two["cpu"] for one, two in zip(after, before, strict=True)),
        "sending memory": max(each["peak"] for each in after),
    }


def movers(field: Field) -> Iterator[tuple[str, str | None, Mover]]:
    """Name, the rival that may be missing, and how its transfers begin."""
    for backend in BACKENDS:
        yield f"p2pwire {backend}", None, partial(ours, field, backend)
    for version, cipher in TORRENTS:
        yield f"libtorrent {version} {cipher}", "libtorrent", partial(torrent, field, version, cipher)
    yield "https", None, partial(https, field)
    yield "lean loop", None, partial(lean, field)


def measure(run: Run) -> None:
    """Everything from one sender, then from three."""
    size = QUICK_SIZE if run.quick else SIZE
    need = 2 * size + size // 8
    if shutil.disk_usage(run.directory).free < need:
        raise OSError(f"{run.directory} has no room for {need} bytes; name another place with --directory")
    directory = run.directory / "bulk"
    directory.mkdir()
    field = Field(directory, size)
    try:
        for senders, suffix in ((1, ""), (3, THREE)):
            measure_from(run, field, senders, suffix)
    finally:
        shutil.rmtree(directory)


def measure_from(run: Run, field: Field, senders: int, suffix: str) -> None:
    """All movers in turn, as often as there are rounds."""
    moved: dict[str, list[dict[str, float]]] = {}

    def sample(name: str, mover: Mover) -> float:
        done = move(field, mover, senders)
        moved.setdefault(name, []).append(done)
        rate = field.size / MIB / done["seconds"]
        run.say(f"  {name}{suffix}: {rate:.0f} MiB/s")
        return rate

    chosen = [each for each in movers(field) if senders == 1 or each[0] != "https"]
    cases = {name: partial(sample, name, mover) for name, _, mover in chosen}
    rivals = {name: rival for name, rival, _ in chosen if rival is not None}
    rates = run.interleave(cases, rivals)
    others = [f"bulk/{name}{suffix}" for name in cases if not name.startswith("p2pwire")]
    for name in cases:
        against = others if name.startswith("p2pwire") else ()
        run.add(f"bulk/{name}{suffix}", "MiB/s", rates[name], against=against, limit=BOUND if senders == 1 else None)
    for name in cases:
        whole = f"bulk/{name}{suffix}"
        for side in SIDES:
            found = moved.get(name, []) if rates[name] else []
            cpu = [each[f"{side} CPU"] * GIB / field.size for each in found]
            run.add(f"{whole}, {side} CPU", "s/GiB", cpu, less=True, detail_of=whole)
            memory = [each[f"{side} memory"] / 1e6 for each in found]
            run.add(f"{whole}, {side} memory", "MB", memory, less=True, detail_of=whole)
