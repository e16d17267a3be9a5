"""Which lines of a target's modules inputs reach, without a fuzzer."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.fuzz.targets import Target


def covered(target: Target, inputs: Iterable[bytes]) -> str:
    """Lines reached of lines that are in functions, for each module."""
    files = _files(target.covers)
    reached: dict[str, set[int]] = {file: set() for file in files}
    for data in inputs:
        for file, _, line in _steps(target, data, files):
            reached[file].add(line)
    parts, total, got = [], 0, 0
    for file, name in sorted(files.items(), key=lambda item: item[1]):
        lines = set(_lines(compile(Path(file).read_text(encoding="utf-8"), file, "exec")))
        here = len(lines & reached[file])
        total, got = total + len(lines), got + here
        if lines:
            parts.append(f"{name.removeprefix('p2pwire.')} {here}/{len(lines)}")
    return f"{got} of {total} lines ({100 * got // max(1, total)} %): {', '.join(parts)}"


def least(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """Inputs that go from line to line as all of them do; the short ones first."""
    files = _files(("p2pwire.",))
    seen: set[tuple[str, int, int]] = set()
    kept = []
    for data in sorted(set(inputs), key=lambda each: (len(each), each)):
        new = _steps(target, data, files) - seen
        if new:
            seen |= new
            kept.append(data)
    return kept


def _files(prefixes: tuple[str, ...]) -> dict[str, str]:
    """Modules by their file."""
    return {str(module.__file__): name for name, module in list(sys.modules.items()) if name.startswith(prefixes)}


def _steps(target: Target, data: bytes, files: Container[str]) -> set[tuple[str, int, int]]:
    """Each step from a line to another one that an input leads to."""
    steps: set[tuple[str, int, int]] = set()
    before: dict[FrameType, int] = {}

    def each_line(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            steps.add((frame.f_code.co_filename, before.get(frame, 0), frame.f_lineno))
            before[frame] = frame.f_lineno
        elif event == "return":
            before.pop(frame, None)
        return each_line

    def each_call(frame: FrameType, event: str, argument: Any) -> Any:
        return each_line if frame.f_code.co_filename in files else None

    sys.settrace(each_call)
    try:
        target.run(data)
    finally:
        sys.settrace(None)
    return steps


def _lines(code: CodeType, inside: bool = False) -> Iterator[int]:
    """The lines within functions, without the one that begins each."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            function = bool(constant.co_flags & 2)  # CO_NEWLOCALS: a function and no class
            yield from _lines(constant, function)
    if inside:
        yield from (line for _, _, line in code.co_lines() if line is not None and line != code.co_firstlineno)
