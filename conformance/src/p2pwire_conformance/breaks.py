"""Writes into the lists of mutants what else they break, for a person to look at and to commit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_BREAKS: Final = re.compile(r"^breaks = \[(.*?)\]\n", re.MULTILINE | re.DOTALL)
_KILLED_BY: Final = re.compile(r"^killed_by = \[.*?\]\n", re.MULTILINE | re.DOTALL)


def accept(paths: Iterable[Path], found: Mapping[str, Iterable[str]]) -> int:
    """Add groups to `breaks` of these mutants; how many rows changed."""
    changed = 0
    for path in paths:
        parts = re.split(r"(?m)^(?=\[)", path.read_text(encoding="utf-8"))
        for number, part in enumerate(parts):
            name = part[1:].partition("]")[0]
            if part.startswith("[") and name in found:
                parts[number] = _with(part, sorted(found[name]))
                changed += parts[number] != part
        path.write_text("".join(parts), encoding="utf-8")
    return changed


def _with(row: str, groups: Iterable[str]) -> str:
    known = _BREAKS.search(row)
    listed = re.findall(r'"([^"]+)"', known[1]) if known else []
    listed += [group for group in groups if group not in listed]
    text = _line(listed)
    if known:
        return row[: known.start()] + text + row[known.end() :]
    killers = _KILLED_BY.search(row)
    at = killers.end() if killers else len(row)
    return row[:at] + text + row[at:]


def _line(listed: Iterable[str]) -> str:
    quoted = ", ".join(f'"{one}"' for one in listed)
    return f"breaks = [{quoted}]\n"
