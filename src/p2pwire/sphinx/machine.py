"""State machines from their tables: a drawing by Graphviz, and the whole table with every illegal cell and its code."""

from __future__ import annotations

import importlib
import re
import subprocess
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final
from xml.sax.saxutils import escape

import attrs

from p2pwire.sphinx.sources import SourceError

_BEYOND_XML: Final = re.compile(r"^.*?(?=<svg)", re.DOTALL)
LEAST_COMMON: Final = 4
"""states from which a cause has to lead to one state to be written there."""
DOT_TIMEOUT: Final = 20
"""seconds; it takes a tenth of one."""


class DrawingError(RuntimeError):
    """Graphviz is not there, or failed."""


@attrs.frozen
class Machine:
    """A state machine: tables of (state, what arrives or is done) -> outcome."""

    name: str
    states: tuple[Enum, ...]
    arrivals: Mapping[Any, Mapping[Any, Enum]]
    steps: Mapping[Any, Mapping[Any, Enum | None]]

    def columns(self) -> list[Enum]:
        """All that can arrive."""
        return list(next(iter(self.arrivals.values())))

    def edges(self) -> dict[tuple[str, str], list[str]]:
        """(from, to) -> what leads there, where the state changes; steps of its own are written in italics there."""
        edges: dict[tuple[str, str], list[str]] = {}
        for table, mark in ((self.arrivals, ""), (self.steps, "own ")):
            for state, cells in table.items():
                for what, outcome in cells.items():
                    if outcome in self.states and outcome is not state:
                        edges.setdefault((state.name, outcome.name), []).append(mark + what.name)
        return edges


def read_machine(name: str, states: str, arrivals: str, steps: str) -> Machine:
    """From dotted names of an enumeration and of two tables. Raises SourceError."""
    kinds = _named(states)
    return Machine(name, tuple(kinds), _named(arrivals), _named(steps) if steps else {})


def _named(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SourceError(f"table: {dotted} can not be had: {error}") from error


def outcome_text(cell: Enum | None, states: tuple[Enum, ...]) -> tuple[str, str]:
    """What a cell says, and its class: state, code, silent or never."""
    if cell is None:
        return "never", "never"
    if cell in states:
        return cell.name, "state"
    return ("silent", "silent") if cell.name == "SILENT" else (cell.name, "code")


# --- The drawing ---------------------------------------------------------------------------------------------------


def dot_source(machine: Machine) -> str:
    """The machine for Graphviz. What leads to one state from nearly all is written there and not drawn."""
    common = _common(machine)
    lines = [
        "digraph {",
        'rankdir=TB; bgcolor="transparent"; nodesep=0.4; ranksep=0.5;',
        'node [shape=box, style="rounded", fontname="monospace", fontsize=11, margin="0.14,0.07"];',
        'edge [fontname="monospace", fontsize=10, arrowsize=0.7];',
    ]
    for state in machine.states:
        notes = [
            _from_where(machine, state.name, cause, sources) for cause, sources in common.get(state.name, {}).items()
        ]
        label = "\\n".join([state.name, *notes])
        lines.append(f'"{state.name}" [label="{label}"];')
    for (one, other), causes in machine.edges().items():
        drawn = [cause for cause in causes if cause not in common.get(other, {})]
        if drawn:
            lines.append(f'"{one}" -> "{other}" [label="{_label(drawn)}"];')
    return "\n".join([*lines, "}"])


def _common(machine: Machine) -> dict[str, dict[str, list[str]]]:
    """State -> what leads there from all others but one or two -> from where."""
    found: dict[str, dict[str, list[str]]] = {}
    for (one, other), causes in machine.edges().items():
        for cause in causes:
            found.setdefault(other, {}).setdefault(cause, []).append(one)
    least = max(LEAST_COMMON, len(machine.states) - 3)
    return {
        other: {cause: sources for cause, sources in causes.items() if len(sources) >= least}
        for other, causes in found.items()
    }


def _from_where(machine: Machine, target: str, cause: str, sources: list[str]) -> str:
    """`END from any state`."""
    others = [state.name for state in machine.states if state.name not in (target, *sources)]
    return f"{cause} from any state" + (f" but {', '.join(others)}" if others else "")


def _label(causes: list[str]) -> str:
    """At most a few causes; the table has all."""
    shown = causes if len(causes) <= 4 else [*causes[:3], f"and {len(causes) - 3} more"]
    return "\\n".join(f" {cause} " for cause in shown)


def text_machine(machine: Machine) -> str:
    """The drawing as text: a line for each way from one state to another."""
    return "\n".join(f"{a} -> {b}: {', '.join(causes)}" for (a, b), causes in machine.edges().items())


def svg_machine(machine: Machine, *, identifier: str) -> str:
    """The drawing as SVG in the page's colours, with a title and a description. Raises DrawingError."""
    try:
        made = subprocess.run(
            ["dot", "-Tsvg"],
            input=dot_source(machine),
            capture_output=True,
            text=True,
            check=True,
            timeout=DOT_TIMEOUT,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise DrawingError(f"machine: {machine.name} can not be drawn, Graphviz's dot is needed: {error}") from error
    svg = _BEYOND_XML.sub("", made.stdout)
    svg = re.sub(r"<title>.*?</title>\n?|<!--.*?-->\n?", "", svg)
    svg = re.sub(r'id="(\w+)"', rf'id="{identifier}-\1"', svg)
    svg = re.sub(r'"(black|#000000)"', '"currentColor"', svg)
    svg = re.sub(r"(<text[^>]*)>", r'\1 fill="currentColor">', svg)
    description = escape(text_machine(machine))
    head = (
        f'<svg class="p2p-drawing p2p-machine" role="img" aria-labelledby="{identifier}-title" '
        f'aria-describedby="{identifier}-description"'
    )
    titles = (
        f'<title id="{identifier}-title">States of {escape(machine.name)}</title>'
        f'<desc id="{identifier}-description">{description}</desc>'
    )
    svg = svg.replace("<svg", head, 1)
    end = svg.index(">") + 1
    return svg[:end] + titles + svg[end:]
