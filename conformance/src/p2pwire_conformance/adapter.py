"""The suite's end of PCTL/1: it starts an adapter's process and asks it one thing after another.

Whatever an adapter does instead of answering becomes one `AdapterFault` with one sentence, within the time allowed.
"""

from __future__ import annotations

import json
import os
import queue
import selectors
import signal
import subprocess
import threading
import time
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
LESS_TIME: Final = 1.0
"""seconds that it has once it has hung too often."""
HANGS: Final = 3
"""times that an adapter may hang before it gets less time, so that a run ends before its user gives up."""
END_TIME: Final = 2.0
"""seconds in which an adapter ends whose input has ended."""
LOOK: Final = 0.5
"""seconds between two looks at whether an adapter whose lines nobody takes still runs."""
MAX_LINE: Final = 64 << 20
"""bytes of one answer."""
MAX_LINES: Final = 10_000
"""lines that wait to be read; then the adapter waits."""
MAX_SHOWN: Final = 500
"""characters of a text of the adapter that are shown."""
SAID: Final = frozenset({"impl", "version", "skip", "error", "text", "re", "ev"})
"""Fields of its messages that are shown to people."""
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
        self.events: deque[dict[str, Any]] = deque(maxlen=MAX_LINES)
        """Events that came between answers, the oldest first."""
        self.about: dict[str, Any] = {}
        """Its answer to `hello`."""
        self._env = {**os.environ, **(env or {})}
        self._schema = read_data("pctl.schema.json")
        self._process: Process | None = None
        self._lines: queue.Queue[bytes] = queue.Queue(MAX_LINES)
        self._said: deque[str] = deque(maxlen=STDERR_LINES)
        self._listener: threading.Thread | None = None
        self._hung = 0

    # --- life ---

    def ensure(self) -> None:
        """Have it run. Raises `AdapterFault` if it does not start or does not say hello."""
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()
        self._lines, self._said = queue.Queue(MAX_LINES), deque(maxlen=STDERR_LINES)
        self.events.clear()
        try:
            self._process = process = self._start()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise AdapterFault(f"the adapter {self.command[0]!r} does not start: {reason}") from None
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        for target in (self._read_answers, self._read_stderr):
            self._listener = threading.Thread(target=target, args=(process, self._lines, self._said), daemon=True)
            self._listener.start()
        about = self.request("hello", pctl=1, suite=VERSION, spec=SPEC)
        if refusal := about.get("error") or about.get("skip"):
            raise self._fault(f"the adapter refuses hello: {refusal}")
        if SPEC not in about["spec"]:
            raise self._fault(f"the adapter speaks {_plain(', '.join(about['spec']))}, and not {SPEC}")
        self.about = about

    def _popen(self) -> Process:
        pipe = subprocess.PIPE
        return _Group(self.command, stdin=pipe, stdout=pipe, stderr=pipe, env=self._env, start_new_session=True)

    def kill(self) -> None:
        """End it. The next `ensure` starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        # Its outputs are closed by those who read them: who closes what another reads may wait for ever.
        process.kill()
        process.wait()
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()

    def close(self) -> None:
        """Let it end by itself, since its input ends; kill it if it does not."""
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_TIME)
        self.kill()

    @staticmethod
    def _read_answers(process: Process, lines: queue.Queue[bytes], said: deque[str]) -> None:
        """Lines of stdout, and b"" at its end. They wait here for a suite that is slower than the adapter."""
        assert process.stdout is not None
        with process.stdout, suppress(OSError, ValueError):
            line = b"more"
            while line:
                line = process.stdout.readline(MAX_LINE)
                while True:
                    with suppress(queue.Full):
                        lines.put(line, timeout=LOOK)
                        break
                    if process.poll() is not None:
                        return

    @staticmethod
    def _read_stderr(process: Process, lines: queue.Queue[bytes], said: deque[str]) -> None:
        assert process.stderr is not None
        with process.stderr, suppress(OSError, ValueError):
            while line := process.stderr.readline(MAX_SHOWN):
                if text := _plain(line.decode("utf-8", "replace").strip()):
                    said.append(text)

    # --- talking ---

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """Ask, and wait for the answer. Raises `AdapterFault`."""
        allowed = ANSWER_TIME if self._hung < HANGS else LESS_TIME
        until = time.monotonic() + allowed
        self._write(op, json.dumps({"op": op, **fields}, separators=(",", ":")).encode() + b"\n", until)
        while (answer := self._next(op, until)) is not None:
            if "ev" in answer:
                self.events.append(answer)
                continue
            if answer["re"] != op:
                raise self._fault(f"the adapter answered {answer['re']!r} out of turn: {op!r} was asked")
            if "skip" not in answer and "error" not in answer:
                self._check(answer, {"hello": "answer_hello", "rx": "answer_bytes", "tick": "answer_bytes"}.get(op))
            return answer
        raise self._hangs(f"the adapter did not answer {op!r} within {allowed:.0f} s")

    def _write(self, op: str, data: bytes, until: float) -> None:
        """Hand it a line. An adapter that hangs does not read either, and must not keep the suite with it. Why one
        reads no more shows in what it has written."""
        process = self._process
        if process is None or process.stdin is None:
            raise AdapterFault("the adapter does not run")
        left = memoryview(data)
        try:
            pipe = process.stdin.fileno()
            while left:
                with suppress(BlockingIOError):
                    left = left[os.write(pipe, left) :]
                    continue
                with selectors.DefaultSelector() as selector:
                    selector.register(pipe, selectors.EVENT_WRITE)
                    if not selector.select(max(0.0, until - time.monotonic())):
                        raise self._hangs(f"the adapter did not read {op!r}: {len(left)} of {len(data)} bytes are left")
        except (OSError, ValueError):
            return

    def wait_event(self, patience: float) -> bool:
        """Wait for one more event. Whether one came."""
        message = self._next("", time.monotonic() + patience)
        if message is None:
            return False
        if "ev" not in message:
            raise self._fault(f"the adapter answered {message['re']!r} and nothing was asked")
        self.events.append(message)
        return True

    def _next(self, op: str, until: float) -> dict[str, Any] | None:
        """Its next message; None: none came in time. Many events do not lengthen the time for an answer."""
        left = until - time.monotonic()
        if left <= 0 and op:
            return None
        try:
            line = self._lines.get(left > 0, max(0.0, left))
        except queue.Empty:
            return None
        if not line:
            raise self._died(op)
        if len(line) >= MAX_LINE:
            raise self._fault(f"the adapter wrote a line of more than {MAX_LINE >> 20} MiB to stdout")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            if not line.endswith(b"\n"):
                raise self._died(op, " in the middle of a line") from None
            raise self._fault(f"the adapter wrote to stdout what is no JSON: {_shown(line)}") from None
        if not isinstance(message, dict) or not ("re" in message or "ev" in message):
            raise self._fault(f"the adapter wrote to stdout what is neither answer nor event: {_shown(line)}")
        message = {name: _plain(value) if name in SAID else value for name, value in message.items()}
        self._check(message, "event" if "ev" in message else "answer")
        return message

    def _check(self, message: dict[str, Any], form: str | None) -> None:
        wrong = form and contract.problem(message, self._schema["$defs"][form], self._schema)
        if wrong:
            raise self._fault(f"the adapter broke the contract: {wrong}")

    def _hangs(self, sentence: str) -> AdapterFault:
        self._hung += 1
        return self._fault(sentence)

    def _fault(self, sentence: str) -> AdapterFault:
        self.kill()
        return AdapterFault(sentence)

    def _died(self, op: str, where: str = "") -> AdapterFault:
        process = self._process
        code: int | None = None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(END_TIME)
        if self._listener is not None:
            # Its last words may still be on their way.
            self._listener.join(LOOK)
        last = f": {self._said[-1]}" if self._said else ""
        how = "closed its output"
        if code is not None:
            how = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
        return self._fault(f"the adapter {how}{f' during {op!r}' if op else ''}{where}{last}")


class _Group(subprocess.Popen[bytes]):
    """A process that leads a group of its own, so that a shell does not leave behind what it runs."""

    def kill(self) -> None:
        if self.poll() is None:
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)


def _plain(text: Any) -> Any:
    """A text of the adapter as it can be shown: printable, in one line, and not too long."""
    if not isinstance(text, str):
        return text
    shown = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}…"


def _shown(line: bytes) -> str:
    return repr(line[:60].decode("utf-8", "replace").rstrip("\n"))
