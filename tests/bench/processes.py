"""Processes of the benchmark's own: each answers words on its input with lines of JSON on its output."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Timer
from time import process_time
from types import TracebackType
from typing import Any, Final

PATIENCE: Final = 300.0
"""seconds after which a process that answers nothing is given up."""


class Child:
    """A module of this package run as a process."""

    def __init__(self, module: str, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
        self.module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=None if environment is None else {**os.environ, **environment},
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def answer(self) -> dict[str, Any]:
        """The next line that it says. Raises RuntimeError if it ends or takes too long."""
        assert self._process.stdout is not None
        watch = Timer(PATIENCE, self._process.kill)
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise RuntimeError(f"{self.module} ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def tell(self, word: str) -> None:
        """Say a word."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the answer tells how it ended
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()

    def ask(self, word: str) -> dict[str, Any]:
        """Say a word and hear the answer."""
        self.tell(word)
        return self.answer()

    def close(self) -> None:
        """End its input, on which it leaves, and see that it does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def say(**values: object) -> None:
    """In a child: one line for the measuring process."""
    print(json.dumps(values), flush=True)


def serve(words: Mapping[str, Callable[[], Mapping[str, object]]]) -> None:
    """In a child: answer words until the input ends."""
    for line in sys.stdin:
        say(**words[line.strip()]())


def usage() -> dict[str, float]:
    """Processor time of this process so far, in seconds, and the most memory that it had, in bytes."""
    return {"cpu": process_time(), "peak": peak_memory()}


def peak_memory() -> int:
    """The largest resident set of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike ru_maxrss this does not begin with what the parent had at the fork.
        return _field(status, "VmHWM:")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def resident_memory() -> int:
    """What this process has in memory now, in bytes. Raises OSError where /proc does not tell."""
    return _field(Path("/proc/self/smaps_rollup"), "Rss:")


def _field(file: Path, name: str) -> int:
    """A field of /proc that is in kB, as bytes."""
    for line in file.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(f"{file} has no {name}")
