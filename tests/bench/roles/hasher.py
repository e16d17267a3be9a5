"""SHA-256 of 16 KiB at a time and nothing else: `BYTES`."""

from __future__ import annotations

import os
import sys
from hashlib import sha256

from p2pwire.wire.registry import BLOCK_SIZE
from tests.bench.processes import say


def main(size: int) -> None:
    data = memoryview(os.urandom(64 * BLOCK_SIZE))
    blocks = [data[at : at + BLOCK_SIZE] for at in range(0, len(data), BLOCK_SIZE)]
    say(ready=True)
    sys.stdin.readline()
    for _ in range(size // len(data)):
        for block in blocks:
            sha256(block).digest()
    say(done=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
