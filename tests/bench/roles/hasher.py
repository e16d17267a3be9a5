"""SHA-256 of 16 KiB at a time and next to nothing else.

`memory BYTES`: of what is in the processor's cache. `large FILE FROM BYTES`: of a part of a file. `small FOLDER PART
PARTS`: of every so many-th file of at most one block below a folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from time import process_time

from p2pwire.wire.registry import BLOCK_SIZE
from tests.bench.processes import say, serve

BUFFER = 16 * BLOCK_SIZE


def memory(size: int) -> Callable[[], None]:
    """From the cache."""
    data = memoryview(os.urandom(4 * BUFFER))
    blocks = [data[at : at + BLOCK_SIZE] for at in range(0, len(data), BLOCK_SIZE)]

    def work() -> None:
        for _ in range(size // len(data)):
            for block in blocks:
                sha256(block).digest()

    return work


def large(path: Path, start: int, size: int) -> Callable[[], None]:
    """Read, and hash what was read."""
    view = memoryview(bytearray(BUFFER))
    blocks = [view[at : at + BLOCK_SIZE] for at in range(0, len(view), BLOCK_SIZE)]

    def work() -> None:
        fd = os.open(path, os.O_RDONLY)
        for at in range(start, start + size, BUFFER):
            os.preadv(fd, [view], at)
            for block in blocks:
                sha256(block).digest()
        os.close(fd)

    return work


def small(folder: Path, part: int, parts: int) -> Callable[[], None]:
    """Open, read, hash and close."""
    paths = sorted(str(path) for path in folder.glob("*/*"))[part::parts]

    def work() -> None:
        for path in paths:
            fd = os.open(path, os.O_RDONLY)
            sha256(os.read(fd, BLOCK_SIZE)).digest()
            os.close(fd)

    return work


def main(what: str, *arguments: str) -> None:
    """Work whenever it is said, and tell how much processor time it took."""
    if what == "memory":
        work = memory(int(arguments[0]))
    elif what == "large":
        work = large(Path(arguments[0]), int(arguments[1]), int(arguments[2]))
    else:
        work = small(Path(arguments[0]), int(arguments[1]), int(arguments[2]))
    say(ready=True)

    def go() -> dict[str, float]:
        begun = process_time()
        work()
        return {"cpu": process_time() - begun}

    serve({"go": go})


if __name__ == "__main__":
    main(*sys.argv[1:])
