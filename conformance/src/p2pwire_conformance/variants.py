"""Variants of one adapter: processes of their own, or copies of one that has imported all there is to import."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from signal import SIGTERM
from typing import IO, Final

from p2pwire_conformance.adapter import Adapter, Process

VARIABLE: Final = "P2PWIRE_MUTANT"
"""Tells the adapter's process which variant to be."""
ASKED_FOR: Final = "forks"
"""What the variable says to have the process make copies of itself."""
LOST: Final = -1
"""The exit code of a copy that did not live to tell one."""


class Copy:
    """One copy, as far as an `Adapter` needs it."""

    def __init__(self, pid: int, pipes: tuple[int, int, int], lifeline: int) -> None:
        self._pid = pid
        self._lifeline = lifeline
        self._code: int | None = None
        self.stdin: IO[bytes] | None = os.fdopen(pipes[0], "wb")
        self.stdout: IO[bytes] | None = os.fdopen(pipes[1], "rb")
        self.stderr: IO[bytes] | None = os.fdopen(pipes[2], "rb")

    def poll(self) -> int | None:
        """See `Process`."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """See `Process`: the lifeline ends with the copy."""
        if self._code is None:
            if not select.select([self._lifeline], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("copy", timeout or 0.0)
            told = os.read(self._lifeline, 1)
            self._code = told[0] if told else LOST
            os.close(self._lifeline)
        return self._code

    def kill(self) -> None:
        """See `Process`."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, SIGTERM)


class Variants:
    """Adapters that differ in what one variable says. Where processes cannot be copied, each is started anew."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def adapter(self, name: str) -> Adapter:
        """The adapter of one variant; its process is made when it is needed."""
        if not hasattr(os, "fork") or not hasattr(socket, "send_fds"):
            return Adapter(self.command, env={VARIABLE: name})
        return Adapter(self.command, start=lambda: self._copy(name))

    def _copy(self, name: str) -> Process:
        stdin, stdout, stderr, lifeline = (os.pipe() for _ in range(4))
        theirs = [stdin[0], stdout[1], stderr[1], lifeline[1]]
        ours = [stdin[1], stdout[0], stderr[0], lifeline[0]]
        try:
            with self._lock:
                control = self._ensure()
                socket.send_fds(control, [name.encode()], theirs)
                pid = int.from_bytes(control.recv(8), "big")
            if not pid:
                raise OSError(0, "the process that is to be copied has ended")
        except OSError:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        return Copy(pid, (ours[0], ours[1], ours[2]), ours[3])

    def _ensure(self) -> socket.socket:
        if self._control is None:
            self._control, other = socket.socketpair()
            with other:
                env = {**os.environ, VARIABLE: ASKED_FOR}
                self._process = subprocess.Popen(self.command, stdin=other.fileno(), stdout=subprocess.DEVNULL, env=env)
        return self._control

    def close(self) -> None:
        """Make no more of them."""
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait()
            self._control = self._process = None
