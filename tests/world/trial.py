"""What a trial is, and what all of them use: content, the command as a process, a wire that counts."""

from __future__ import annotations

import filecmp
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs

from p2pwire.content.uri import Uri

PATIENCE: Final = 300.0
"""seconds after which a process that should have ended is taken for hung."""

Say: TypeAlias = Callable[[str], None]


class NotHere(Exception):
    """This machine does not let us try; the text says why."""


@attrs.frozen
class World:
    """Where a trial takes place, and how thorough it is."""

    place: Path
    quick: bool
    say: Say
    """Report a figure."""


def make_file(path: Path, size: int) -> Path:
    """A file of bytes by chance."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = random.Random(path.name)
    with path.open("wb") as file:
        for at in range(0, size, 1 << 20):
            file.write(chance.randbytes(min(1 << 20, size - at)))
    return path


def make_folder(path: Path, files: int, size: int) -> Path:
    """A folder of files, some of them in folders of their own."""
    for number in range(files):
        make_file(path / f"part {number % 3}" / f"{number}.bin", size + number * 1001)
    return path


def same(one: Path, other: Path) -> bool:
    """Whether two files or folders have the same content."""
    if one.is_file():
        return other.is_file() and filecmp.cmp(one, other, shallow=False)
    names = {path.relative_to(one) for path in one.rglob("*")}
    if names != {path.relative_to(other) for path in other.rglob("*")}:
        return False
    return all(filecmp.cmp(one / name, other / name, shallow=False) for name in names if (one / name).is_file())


class Command:
    """The command as a process; its events are read as they come."""

    def __init__(
        self,
        *arguments: object,
        before: Sequence[str] = (),
        program: Sequence[str] = ("-m", "p2pwire"),
        pass_fds: Sequence[int] = (),
    ) -> None:
        words = [*before, sys.executable, *program, *map(str, arguments), "--json"]
        self.popen = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, pass_fds=pass_fds
        )
        self.events: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            # The last line of a process that was killed may be half a line.
            with self._news, suppress(json.JSONDecodeError):
                self.events.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def of(self, name: str) -> list[dict[str, Any]]:
        """The events of one name so far."""
        with self._news:
            return [event for event in self.events if event["event"] == name]

    def wait_for(self, name: str, more_than: int = -1) -> dict[str, Any] | None:
        """The first such event, with more content than so many bytes; None if the process ends without."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for event in self.of(name):
                if event.get("done", 0) > more_than:
                    return event
            if not self._reader.is_alive():
                return None
            with self._news:
                self._news.wait(0.2)
        raise AssertionError(f"no {name} within {PATIENCE} s, but {self.events[-3:]}")

    def wait_for_more(self, than: int) -> None:
        """Wait until it has more content than so many bytes."""
        assert self.wait_for("progress", than) is not None, self.events[-2:]

    def done(self) -> int:
        """Content bytes that it says to have."""
        return max((event["done"] for event in self.of("progress")), default=0)

    def end(self) -> int:
        """Wait for its end; the exit status."""
        try:
            status = self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            raise AssertionError(f"it hangs; the last it said: {self.events[-3:]}") from None
        self._reader.join()
        return status

    def kill(self) -> None:
        """As `kill -9` does."""
        self.popen.kill()
        self.popen.wait()
        self._reader.join()

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()


@contextmanager
def sharing(*content: Path, listen: str = "127.0.0.1:0", before: Sequence[str] = ()) -> Iterator[tuple[Command, Uri]]:
    """A process that shares, and the URI of what it shares."""
    with Command("share", *content, "--listen", listen, before=before) as command:
        event = command.wait_for("listening")
        assert event is not None, command.events
        yield command, Uri.parse(event["uri"])


class Counter:
    """A wire to an address on this machine, that counts what goes to the one who dials, and is no quicker than told."""

    def __init__(self, port: int, rate: float) -> None:
        self.to_dialler = 0
        self._target = port
        self._rate = rate
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._carry, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, True), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                if counts:
                    self.to_dialler += len(data)
                    time.sleep(len(data) / self._rate)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """No more dials."""
        self._listener.close()


@contextmanager
def counted(uri: Uri, rate: float = 1e9) -> Iterator[tuple[Counter, Uri]]:
    """A wire that counts to the peer of a URI, and the URI that leads through it. `rate`: bytes a second."""
    counter = Counter(uri.peers[0].port, rate)
    try:
        yield counter, attrs.evolve(uri, peers=((("127.0.0.1", counter.port)),))
    finally:
        counter.close()


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
