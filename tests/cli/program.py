"""The command, run in this process or as one of its own, and what it said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs
from click.testing import CliRunner

from p2pwire.cli.command import p2pwire

PATIENCE = 30.0
"""seconds that a process has for all it does; nothing takes as long as this."""


@attrs.frozen
class Run:
    """A command that is over."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The objects on standard output, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def sentence(self) -> str:
        """The only line on standard error."""
        (line,) = self.err.splitlines()
        return line


def run(*arguments: object) -> Run:
    """Run the command in this process."""
    result = CliRunner().invoke(p2pwire, [os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments])
    return Run(result.exit_code, result.stdout, result.stderr)


class Process:
    """The command as a process of its own. Leaving the block ends it."""

    def __init__(self, *arguments: object, env: Mapping[str, str] | None = None, **options: Any) -> None:
        words = [os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments]
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "p2pwire", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            env={**os.environ, **(env or {})},
            text=True,
            **options,
        )
        self.seen: list[dict[str, Any]] = []
        self._watchdog = threading.Timer(PATIENCE, self.popen.kill)
        self._watchdog.start()
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self.popen.kill()
            self.finish()
        self._watchdog.cancel()
        self._watchdog.join()

    def events(self) -> Iterator[dict[str, Any]]:
        """Events as they come, until the process closes its output."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            event: dict[str, Any] = json.loads(line)
            self.seen.append(event)
            yield event

    def wait_for(self, name: str, /, **fields: object) -> dict[str, Any]:
        """The next event of this name, with these fields."""
        for event in self.events():
            if event["event"] == name and all(event[key] == value for key, value in fields.items()):
                return event
        raise AssertionError(f"no {name} {fields} among {self.seen}: {self.finish().err}")

    def wait_for_notice(self, part: str) -> str:
        """The next line on standard error that has this part."""
        assert self.popen.stderr is not None
        return next(line for line in self.popen.stderr if part in line)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> Run:
        """Send a signal, and wait for the end."""
        self.popen.send_signal(number)
        return self.finish()

    def finish(self) -> Run:
        """Wait for the end; what was said since the last event read."""
        self._finished = True
        out, err = self.popen.communicate()
        return Run(self.popen.returncode, out, err)


def call(*arguments: object, **options: Any) -> Run:
    """Run the command as a process of its own to its end."""
    with Process(*arguments, **options) as process:
        return process.finish()
