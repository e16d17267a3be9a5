"""What parties said to each other, in the order in which it happened: as a drawing, and as lines."""

from __future__ import annotations

import importlib
from typing import Final

import attrs

from p2pwire.sphinx.drawing import Drawing
from p2pwire.sphinx.sources import SourceError

LANE: Final = 230.0
STEP: Final = 42.0
TOP: Final = 52.0
"""Units of the drawing: between two parties, between two steps, above the first step."""


@attrs.frozen
class Step:
    """One thing that happened."""

    time: float
    """seconds since the beginning."""
    sender: str
    receiver: str
    """Who it went to; the sender itself for what happened there alone."""
    text: str
    detail: str = ""
    """What is to be said of it besides."""


@attrs.frozen
class Recording:
    """What happened between some parties."""

    title: str
    parties: tuple[str, ...]
    steps: tuple[Step, ...]


def recorded(dotted: str) -> Recording:
    """What a function without arguments, named `module.function`, has recorded. Raises SourceError."""
    module, _, name = dotted.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SourceError(f"sequence: {dotted} can not be had: {error}") from error
    found = function()
    if not isinstance(found, Recording):
        raise SourceError(f"sequence: {dotted} is no recording")
    return found


def text_sequence(recording: Recording) -> str:
    """A line a step."""
    lines = []
    for step in recording.steps:
        who = step.sender if step.sender == step.receiver else f"{step.sender} -> {step.receiver}"
        detail = f"  ({step.detail})" if step.detail else ""
        lines.append(f"{1000 * step.time:7.1f} ms  {who}: {step.text}{detail}")
    return "\n".join(lines)


def svg_sequence(recording: Recording, *, identifier: str) -> str:
    """The drawing, with a title and the lines as its description."""
    height = TOP + STEP * len(recording.steps) + 16
    left = 90.0
    width = left + LANE * (len(recording.parties) - 1) + 150
    picture = Drawing(
        width,
        height,
        title=recording.title,
        description=text_sequence(recording),
        identifier=identifier,
        kind="sequence",
    )
    lanes = {party: left + LANE * index + 10 for index, party in enumerate(recording.parties)}
    for party, x in lanes.items():
        picture.rectangle(x - 48, 4, 96, 28, kind="party", round=6)
        picture.text(x, 23, party, kind="name")
        picture.line(x, 32, x, height - 4, kind="lane")
    for number, step in enumerate(recording.steps):
        y = TOP + STEP * number + 14
        picture.text(4, y + 4, f"{1000 * step.time:.0f} ms", kind="scale", anchor="start")
        _draw(picture, step, lanes[step.sender], lanes[step.receiver], y)
    return str(picture)


def _draw(picture: Drawing, step: Step, start: float, end: float, y: float) -> None:
    if start == end:
        picture.rectangle(start - 4, y - 4, 8, 8, kind="moment", round=4)
        picture.text(start + 10, y + 4, step.text, kind="label", anchor="start")
        return
    way = 1 if end > start else -1
    picture.line(start, y, end - 7 * way, y, kind="arrow")
    picture.path(f"M{end:g} {y:g} l{-9 * way} -4 v8 z", kind="head")
    room = abs(end - start) - 16
    picture.text((start + end) / 2, y - 6, step.text, kind="label", width=room)
    if step.detail:
        picture.text((start + end) / 2, y + 13, step.detail, kind="scale", width=room)
