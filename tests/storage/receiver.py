"""A process that receives an object and may be killed, for test_kill.py. Run as a module it forks one per line read.

A line is `directory seed fatal`: the forked process receives the rest of the object into the directory, in an order and
in batches that the seed decides, and dies by SIGKILL within its call number `fatal` to the operating system (0: never).
It says on standard output, a line each: its pid, the blocks that it found, those that it stored once that is certain,
and `finished`; then its parent says `end`.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from p2pwire.content.units import BlockMap
from p2pwire.storage import BlockWrite, FileSystemStorage

from .answers import answers, folder, number

CONTENT = folder(7)
NAME = "received"

FATAL = ("open", "mkdir", "rename", "link", "unlink", "rmdir", "ftruncate", "fsync", "pwrite", "pwritev", "fchmod")
"""The calls that change something, or make sure of it."""


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def numbers(held: BlockMap) -> Iterable[int]:
    return (block for first, last in held.spans() for block in range(first, last + 1))


def die_within(fatal: int) -> None:
    """Let the process die in its `fatal`-th call: before or after it did its work, or when a write did half of it."""
    calls = 0

    def wrap(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls != fatal:
                return call(*args, **kwargs)
            try:
                if name == "pwritev":
                    whole = b"".join(args[1])
                    real_pwrite(args[0], whole[: len(whole) // 2 + 1], args[2])
                elif name == "pwrite":
                    call(args[0], args[1][: len(args[1]) // 2], args[2])
                elif fatal % 2:
                    call(*args, **kwargs)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)

        return counted

    real_pwrite = os.pwrite
    for name in FATAL:
        setattr(os, name, wrap(name, getattr(os, name)))


def receive(directory: Path, seed: int, fatal: int) -> None:
    say("pid", os.getpid())
    if fatal:
        die_within(fatal)
    chance = random.Random(seed)
    download = FileSystemStorage(directory).open_download(CONTENT.info, NAME)
    say("found", *numbers(download.held))
    if download.path is None:
        assert CONTENT.manifest is not None
        if download.manifest is None:
            download.put_manifest(bytes(CONTENT.manifest.data), CONTENT.manifest)
        todo = [answer for answer in answers(CONTENT, 3) if number(CONTENT, answer[0]) not in download.held]
        chance.shuffle(todo)
        while todo:
            batch: list[BlockWrite] = []
            for _ in range(chance.randrange(1, 4)):
                batch += todo.pop() if todo else []
            download.write_blocks(batch)
            say("stored", *(number(CONTENT, write) for write in batch))
        download.finish()
    say("finished")


def serve() -> None:
    ended = 0
    for line in sys.stdin:
        if ended:
            os.waitpid(ended, 0)
        directory, seed, fatal = line.split()
        child = os.fork()
        if not child:
            receive(Path(directory), int(seed), int(fatal))
            os._exit(0)
        end = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert end is not None
        say("end", end.si_status if end.si_code == os.CLD_EXITED else -end.si_status)
        ended = child  # whose pid stays its own, for those who still want to kill it, until the next line comes


if __name__ == "__main__":
    serve()
