"""Death at any instant: nothing that was stored is lost, and nothing unfinished has the final name."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from p2pwire.storage import scan

from .answers import in_memory, on_disk
from .receiver import CONTENT, NAME

KILLS = 50


@attrs.define
class Receiver:
    """The process that forks receivers, and what is certain about the directory that they work in."""

    process: subprocess.Popen[str]
    directory: Path
    stored: set[int] = attrs.field(factory=set)
    """Blocks that a receiver said to be stored."""
    finished: bool = False

    def run(self, seed: int, *, fatal: int = 0, lines: int | None = None) -> int:
        """Let one receiver work; kill it when it said so many lines. Its exit status, or the signal negated."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self.directory} {seed} {fatal}\n")
        self.process.stdin.flush()
        pid = 0
        for line in self.process.stdout:
            word, *values = line.split()
            numbers = {int(value) for value in values}
            if word == "pid":
                pid = int(values[0])
            elif word == "found":
                assert self.stored <= numbers or self.finished
            elif word == "stored":
                self.stored |= numbers
            elif word == "finished":
                self.finished = True
            else:
                self.check()
                return int(values[0])
            if lines is not None:
                if lines == 0:
                    with suppress(ProcessLookupError):  # it may have come to its end meanwhile
                        os.kill(pid, signal.SIGKILL)
                lines -= 1
        raise AssertionError("the process that forks receivers is gone")

    def check(self) -> None:
        """What must hold whenever no receiver runs."""
        final = self.directory / NAME
        if final.exists() or self.finished:
            assert on_disk(final) == in_memory(CONTENT)
            content = scan(final)
            content.close()
            assert content.info == CONTENT.info
            self.finished = True

    def start_over(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        self.stored.clear()
        self.finished = False


@pytest.fixture
def receiver(quick_path: Path) -> Iterator[Receiver]:
    command = [sys.executable, "-m", "tests.storage.receiver"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Receiver(process, quick_path / "destination")
        assert process.stdin is not None
        process.stdin.close()


def test_killed_at_random_instants(receiver: Receiver) -> None:
    chance = random.Random(2)
    kills = 0
    for seed in range(1000):
        status = receiver.run(seed, lines=chance.randrange(20))
        if status:
            assert status == -signal.SIGKILL
            kills += 1
        else:
            assert os.listdir(receiver.directory) == [NAME]
        if kills == KILLS:
            break
        if receiver.finished:
            receiver.start_over()
    assert kills == KILLS
    assert receiver.run(0) == 0
    assert os.listdir(receiver.directory) == [NAME]


def test_killed_within_each_call(receiver: Receiver) -> None:
    for fatal in range(1, 1000):
        receiver.start_over()
        status = receiver.run(fatal, fatal=fatal)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        assert receiver.run(fatal + 1) == 0
        assert os.listdir(receiver.directory) == [NAME]
    assert status == 0
    assert fatal > 80  # so many calls a life has


def test_killed_again_and_again(receiver: Receiver) -> None:
    # Each life dies a little later than the one before, in whatever state that one left.
    for fatal in range(1, 1000):
        status = receiver.run(fatal, fatal=fatal)
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert receiver.finished
    assert os.listdir(receiver.directory) == [NAME]
