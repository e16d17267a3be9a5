"""The id of what lies on a disk: a large file, and many small ones, against loops that only read and hash, and against
SHA-256 alone, on all cores."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

import attrs

from p2pwire.storage.scan import scan
from tests.bench.processes import Child
from tests.bench.run import Run

MIB: Final = 1 << 20
GIB: Final = 1 << 30
LARGE: Final = 4 * GIB
QUICK_LARGE: Final = 32 * MIB
SMALL: Final = 16384
"""bytes of a small file: one block."""
ROLE: Final = "roles.hasher"
EVERYWHERE: Final = "all cores"
PER_CORE: Final = "per core"
FILES: Final = 20_000
QUICK_FILES: Final = 200
PER_DIRECTORY: Final = 200


def write_large(path: Path, size: int) -> None:
    """Random bytes, repeated."""
    data = os.urandom(64 * MIB)
    with path.open("wb", buffering=0) as file:
        while size:
            size -= file.write(data[: min(size, len(data))])


def write_small(folder: Path, count: int) -> None:
    """So many files in directories of some hundred."""
    data = bytearray(os.urandom(SMALL))
    for number in range(count):
        directory = folder / f"{number // PER_DIRECTORY:05}"
        if number % PER_DIRECTORY == 0:
            directory.mkdir(parents=True)
        data[:8] = number.to_bytes(8, "big")
        (directory / f"{number:06}.bin").write_bytes(data)


@attrs.define
class Clock:
    """GiB in a second, and in a second of processor time, of what was done in turns."""

    by_processor: dict[str, list[float]] = attrs.field(factory=dict)

    def rate(self, name: str, size: int, work: Callable[[], float]) -> float:
        """GiB a second of work that says how much processor time it took."""
        begun = perf_counter()
        spent = work()
        seconds = perf_counter() - begun
        self.by_processor.setdefault(name, []).append(size / GIB / spent)
        return size / GIB / seconds


def identify(path: Path) -> float:
    """The id of what lies there; seconds of processor time."""
    begun = process_time()
    scan(path).close()
    return process_time() - begun


def hash_everywhere(children: Sequence[Child]) -> float:
    """The same work in a process on each core; seconds of processor time."""
    for child in children:
        child.tell("go")
    return sum(float(child.answer()["cpu"]) for child in children)


NOTES: Final = {
    "large file": "the id of one file of 4 GiB",
    "loop over a large file": "it is read and hashed by 16 KiB, a process for each core",
    "small files": "the id of 20 000 files of 16 KiB",
    "loop over small files": "each is opened, read, hashed and closed, a process for each core",
    "SHA-256": "of 16 KiB from the cache, a process for each core",
}


def measure(run: Run) -> None:
    """In turns: a large file, small files, loops over them, and the hash alone."""
    size, files = (QUICK_LARGE, QUICK_FILES) if run.quick else (LARGE, FILES)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    directory = run.directory / "hash"
    directory.mkdir()
    large, small = directory / "large.bin", directory / "small"
    clock = Clock()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        write_large(large, size)
        write_small(small, files)
        share = size // cores // MIB * MIB
        groups: dict[str, list[Child]] = {
            "loop over a large file": [Child(ROLE, "large", large, core * share, share) for core in range(cores)],
            "loop over small files": [Child(ROLE, "small", small, core, cores) for core in range(cores)],
            "SHA-256": [Child(ROLE, "memory", share) for _ in range(cores)],
        }
        for children in groups.values():
            for child in children:
                stack.enter_context(child).answer()
        works: dict[str, tuple[int, Callable[[], float]]] = {
            "large file": (size, partial(identify, large)),
            "small files": (files * SMALL, partial(identify, small)),
            **{name: (size, partial(hash_everywhere, children)) for name, children in groups.items()},
        }
        works["loop over small files"] = (files * SMALL, works["loop over small files"][1])
        samples = run.interleave({name: partial(clock.rate, name, *work) for name, work in works.items()})
    for way, unit, found in ((EVERYWHERE, "GiB/s", samples), (PER_CORE, "GiB/CPU s", clock.by_processor)):
        for name, note in NOTES.items():
            limit = None if name == "SHA-256" else f"hash/SHA-256, {way}"
            loop = {"large file": "loop over a large file", "small files": "loop over small files"}.get(name)
            against = () if loop is None else (f"hash/{loop}, {way}",)
            run.add(f"hash/{name}, {way}", unit, found[name], against=against, limit=limit, note=note)
