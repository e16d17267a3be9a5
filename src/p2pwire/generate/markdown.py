"""Markdown tables, and texts between markers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

_MARKED: Final = re.compile(
    r"(?P<begin><!-- generated:(?P<name>[a-z0-9-]+) -->)\n.*?(?P<end><!-- /generated:(?P=name) -->)", re.DOTALL
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a line per row."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def fill(text: str, writers: Mapping[str, Callable[[], str]]) -> tuple[str, list[str]]:
    """The text with new content between its markers, and the names of markers for which there is no writer."""
    unknown: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match["name"] not in writers:
            unknown.append(match["name"])
            return match[0]
        return f"{match['begin']}\n\n{writers[match['name']]()}\n\n{match['end']}"

    return _MARKED.sub(replace, text), unknown
