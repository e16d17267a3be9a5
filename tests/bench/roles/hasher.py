"""SHA-256 of 16 KiB at a time and nothing else: `BYTES`."""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from time import process_time

from p2pwire.wire.registry import BLOCK_SIZE
from tests.bench.processes import say, serve


def main(size: int) -> None:
    data = memoryview(os.urandom(64 * BLOCK_SIZE))
    blocks = [data[at : at + BLOCK_SIZE] for at in range(0, len(data), BLOCK_SIZE)]
    say(ready=True)

    def go() -> dict[str, float]:
        begun = process_time()
        for _ in range(size // len(data)):
            for block in blocks:
                sha256(block).digest()
        return {"cpu": process_time() - begun}

    serve({"go": go})


if __name__ == "__main__":
    main(int(sys.argv[1]))
