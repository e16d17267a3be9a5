"""Lines of Python, indented and wrapped as the project's formatter would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

WIDTH: Final = 120
_INDENT: Final = "    "


class Lines:
    """Collects lines; call it with one."""

    def __init__(self, depth: int = 0) -> None:
        self.lines: list[str] = []
        self._depth = depth

    def __call__(self, line: str = "") -> None:
        self.lines.append(_INDENT * self._depth + line if line else "")

    @contextmanager
    def indent(self) -> Iterator[None]:
        """Lines within are one level deeper."""
        self._depth += 1
        yield
        self._depth -= 1

    def call(self, head: str, arguments: Iterable[str], tail: str = ")") -> None:
        """`head arg, arg tail` on one line, else the arguments on one line, else each on its own."""
        arguments = list(arguments)
        margin = _INDENT * self._depth
        line = margin + head + ", ".join(arguments) + tail
        if len(line) <= WIDTH:
            self.lines.append(line)
            return
        inner = margin + _INDENT + ", ".join(arguments)
        self.lines.append(margin + head)
        if len(inner) <= WIDTH:
            self.lines.append(inner)
        else:
            self.lines.extend(f"{margin}{_INDENT}{argument}," for argument in arguments)
        self.lines.append(margin + tail)

    def list_of_calls(self, head: str, calls: Iterable[tuple[str, list[str], str]]) -> None:
        """`head[...]` with an element `start arg, arg end` per call: on one line, or each on its own."""
        calls = list(calls)
        texts = [start + ", ".join(arguments) + end for start, arguments, end in calls]
        if len(_INDENT * self._depth + head + "[" + ", ".join(texts) + "]") <= WIDTH:
            self(head + "[" + ", ".join(texts) + "]")
            return
        self(head + "[")
        with self.indent():
            for start, arguments, end in calls:
                self.call(start, arguments, f"{end},")
        self("]")


def bytes_literal(value: bytes) -> str:
    """Bytes as the formatter would write them; zeros as a call."""
    if not any(value):
        return f"bytes({len(value)})"
    text = "".join(chr(b) if 0x20 <= b < 0x7F and b not in b'"\\' else f"\\x{b:02x}" for b in value)
    return f'b"{text}"'
