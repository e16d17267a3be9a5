"""The id of what lies on a disk: a large file, and many small ones, against SHA-256 alone on all cores."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

from p2pwire.storage.scan import scan
from tests.bench.processes import Child
from tests.bench.run import Run

MIB: Final = 1 << 20
GIB: Final = 1 << 30
LARGE: Final = 4 * GIB
QUICK_LARGE: Final = 32 * MIB
SMALL: Final = 16384
"""bytes of a small file: one block."""
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


def identify(path: Path, size: int) -> float:
    """GiB a second."""
    begun = perf_counter()
    scan(path).close()
    return size / GIB / (perf_counter() - begun)


def hash_everywhere(size: int) -> float:
    """GiB a second of SHA-256 over 16 KiB, in one process on each core, from a buffer that is in the cache."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    children = [Child("roles.hasher", size // cores) for _ in range(cores)]
    try:
        for child in children:
            child.answer()
        begun = perf_counter()
        for child in children:
            child.tell("go")
        for child in children:
            child.answer()
        return size / GIB / (perf_counter() - begun)
    finally:
        for child in children:
            child.close()


def measure(run: Run) -> None:
    """GiB a second, in turns."""
    size, files = (QUICK_LARGE, QUICK_FILES) if run.quick else (LARGE, FILES)
    directory = run.directory / "hash"
    directory.mkdir()
    large, small = directory / "large.bin", directory / "small"
    try:
        write_large(large, size)
        write_small(small, files)
        samples = run.interleave(
            {
                "large file": partial(identify, large, size),
                "small files": partial(identify, small, files * SMALL),
                "SHA-256 on all cores": partial(hash_everywhere, size),
            }
        )
    finally:
        shutil.rmtree(directory)
    bound = "hash/SHA-256 on all cores"
    run.add("hash/large file", "GiB/s", samples["large file"], limit=bound, note="the id of one file of 4 GiB")
    run.add("hash/small files", "GiB/s", samples["small files"], limit=bound, note="that of 20 000 files of 16 KiB")
    run.add(bound, "GiB/s", samples["SHA-256 on all cores"], note="16 KiB at a time, from memory, a process each")
