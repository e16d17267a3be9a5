"""The suite's end of PCTL/1: it starts an adapter's process and asks it one thing after another.

Whatever an adapter does instead of answering becomes one `AdapterFault` with one sentence, within the time allowed.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Final, Protocol

from p2pwire_conformance import VERSION, contract
from p2pwire_conformance.protocol import read_data
from p2pwire_conformance.verdict import AdapterFault

SPEC: Final = "p2pwire/1"
ANSWER_TIME: Final = 20.0
"""seconds that an adapter has for an answer: far more than any needs, far less than a human waits."""
MAX_LINE: Final = 64 << 20
"""bytes of one answer."""
STDERR_LINES: Final = 5
"""lines of the adapter's stderr that are kept for the sentence about its death."""


class Process(Protocol):
    """As much of `subprocess.Popen` as an adapter needs."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises `subprocess.TimeoutExpired`."""

    def kill(self) -> None:
        """End it."""


class Adapter:
    """One adapter, as a process. It is started when it is needed, and again after it died."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        start: Callable[[], Process] | None = None,
    ) -> None:
        """`start` makes the process, if it is not to be made from `command` and `env`."""
        self.command = list(command)
        self._start = start or self._popen
        self.events: deque[dict[str, Any]] = deque()
        """Events that came between answers, the oldest first."""
        self.about: dict[str, Any] = {}
        """Its answer to `hello`."""
        self._env = {**os.environ, **(env or {})}
        self._schema = read_data("pctl.schema.json")
        self._process: Process | None = None
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._said: deque[str] = deque(maxlen=STDERR_LINES)

    # --- life ---

    def ensure(self) -> None:
        """Have it run. Raises `AdapterFault` if it does not start or does not say hello."""
        if self._process is not None and self._process.poll() is None:
            return
        self._lines, self._said = queue.Queue(), deque(maxlen=STDERR_LINES)
        self.events.clear()
        try:
            self._process = self._start()
        except OSError as error:
            raise AdapterFault(f"the adapter {self.command[0]!r} does not start: {error.strerror}") from None
        for target in (self._read_answers, self._read_stderr):
            threading.Thread(target=target, args=(self._process, self._lines, self._said), daemon=True).start()
        self.about = self.request("hello", pctl=1, suite=VERSION, spec=SPEC)
        if SPEC not in self.about["spec"]:
            self.kill()
            raise AdapterFault(f"the adapter speaks {', '.join(self.about['spec'])}, and not {SPEC}")

    def _popen(self) -> Process:
        pipe = subprocess.PIPE
        return subprocess.Popen(self.command, stdin=pipe, stdout=pipe, stderr=pipe, env=self._env)

    def kill(self) -> None:
        """End it. The next `ensure` starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()

    def close(self) -> None:
        """Let it end by itself, since its input ends; kill it if it does not."""
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(2.0)
        self.kill()

    @staticmethod
    def _read_answers(process: Process, lines: queue.Queue[bytes], said: deque[str]) -> None:
        assert process.stdout is not None
        with suppress(OSError, ValueError):
            while line := process.stdout.readline(MAX_LINE):
                lines.put(line)
        lines.put(b"")

    @staticmethod
    def _read_stderr(process: Process, lines: queue.Queue[bytes], said: deque[str]) -> None:
        assert process.stderr is not None
        with suppress(OSError, ValueError):
            for line in process.stderr:
                said.append(line.decode("utf-8", "replace").strip())

    # --- talking ---

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Ask, and wait for the answer. Raises `AdapterFault`."""
        process = self._process
        if process is None or process.stdin is None:
            raise AdapterFault("the adapter does not run")
        line = json.dumps({"op": op, **fields}, separators=(",", ":"))
        try:
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
        except (OSError, ValueError):
            raise self._died(op) from None
        while True:
            answer = self._next(op, ANSWER_TIME)
            assert answer is not None
            if "ev" in answer:
                self.events.append(answer)
                continue
            if answer["re"] != op:
                raise self._fault(f"the adapter answered {answer['re']!r} out of turn: {op!r} was asked")
            if "skip" not in answer and "error" not in answer:
                self._check(answer, {"hello": "answer_hello", "rx": "answer_bytes", "tick": "answer_bytes"}.get(op))
            return answer

    def wait_event(self, patience: float) -> bool:
        """Wait for one more event. Whether one came."""
        message = self._next("", patience)
        if message is None:
            return False
        if "ev" not in message:
            raise self._fault(f"the adapter answered {message['re']!r} and nothing was asked")
        self.events.append(message)
        return True

    def _next(self, op: str, patience: float) -> dict[str, Any] | None:
        try:
            line = self._lines.get(timeout=patience)
        except queue.Empty:
            if not op:
                return None
            raise self._fault(f"the adapter did not answer {op!r} within {patience:.0f} s") from None
        if not line:
            raise self._died(op)
        try:
            message = json.loads(line)
        except ValueError:
            raise self._fault(f"the adapter wrote to stdout what is no JSON: {_shown(line)}") from None
        if not isinstance(message, dict) or not ("re" in message or "ev" in message):
            raise self._fault(f"the adapter wrote to stdout what is neither answer nor event: {_shown(line)}")
        self._check(message, "event" if "ev" in message else "answer")
        return message

    def _check(self, message: dict[str, Any], form: str | None) -> None:
        wrong = form and contract.problem(message, self._schema["$defs"][form], self._schema)
        if wrong:
            raise self._fault(f"the adapter broke the contract: {wrong}")

    def _fault(self, sentence: str) -> AdapterFault:
        self.kill()
        return AdapterFault(sentence)

    def _died(self, op: str) -> AdapterFault:
        process = self._process
        code: int | None = None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(2.0)
        last = f": {self._said[-1]}" if self._said else ""
        how = "closed its output" if code is None else f"ended with exit code {code}"
        return self._fault(f"the adapter {how}{f' during {op!r}' if op else ''}{last}")


def _shown(line: bytes) -> str:
    return repr(line[:60].decode("utf-8", "replace").rstrip("\n"))
