"""The tables of states, from `connection/state.py`: what each arriving message does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from p2pwire.connection import state
from p2pwire.generate.markdown import table
from p2pwire.wire.registry import CloseCode


def link_states() -> str:
    """The states of a link, and the whole state × message table."""
    return "\n\n".join(
        [
            _meanings("state", state.LinkState),
            _meanings("arrives", state.LinkInput),
            _matrix(state.LINK_TABLE, state.LINK_INPUTS),
            "What a peer does of its own accord:",
            _meanings("step", state.LinkStep),
            _matrix(state.LINK_STEPS, tuple(state.LinkStep)),
        ]
    )


def topic_states() -> str:
    """The states of a topic of a link, and the whole state × message table."""
    return "\n\n".join(
        [
            _meanings("state", state.TopicState),
            _meanings("arrives", state.TopicInput),
            _matrix(state.TOPIC_TABLE, tuple(state.TopicInput)),
            "What a peer does of its own accord:",
            _meanings("step", state.TopicStep),
            _matrix(state.TOPIC_STEPS, tuple(state.TopicStep)),
        ]
    )


def machines() -> dict[str, Any]:
    """Both machines for the machine-readable protocol."""
    return {
        "link": _machine(state.LinkState, state.LINK_TABLE, state.LINK_STEPS),
        "topic": _machine(state.TopicState, state.TOPIC_TABLE, state.TOPIC_STEPS),
    }


def _machine(
    states: type[Enum], arrivals: Mapping[Any, Mapping[Any, Any]], steps: Mapping[Any, Mapping[Any, Any]]
) -> dict[str, Any]:
    return {
        "states": {member.name: member.value for member in states},
        "arrivals": {row.name: {column.name: _name(cell) for column, cell in arrivals[row].items()} for row in states},
        "steps": {row.name: {column.name: _name(cell) for column, cell in steps[row].items()} for row in states},
    }


def _name(cell: Enum | None) -> str | None:
    if cell is None:
        return None
    return f"CLOSE {cell.name}" if isinstance(cell, CloseCode) else cell.name


def _cell(cell: Enum | None) -> str:
    match cell:
        case None:
            return "never"
        case CloseCode():
            return f"**{cell.name}**"
        case state.SILENT:
            return "*silent*"
    return cell.name


def _meanings(head: str, members: Iterable[Enum]) -> str:
    return table([head, "meaning"], [[member.name, str(member.value)] for member in members])


def _matrix(rows: Mapping[Any, Mapping[Any, Enum | None]], columns: Sequence[Any]) -> str:
    """A line per arrival, a column per state; neighbouring arrivals with the same cells share a line."""
    states = list(rows)
    lines: list[tuple[list[str], list[str]]] = []
    for column in columns:
        cells = [_cell(rows[row][column]) for row in states]
        if lines and lines[-1][1] == cells:
            lines[-1][0].append(column.name)
        else:
            lines.append(([column.name], cells))
    return table(["", *(row.name for row in states)], [[", ".join(names), *cells] for names, cells in lines])
