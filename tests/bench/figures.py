"""What a measurement gives: figures with all their samples, and what can be said of several of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Final

import attrs

FORMAT: Final = 1
"""Version of the JSON file."""


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(values)


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


@attrs.frozen
class Figure:
    """One thing that was measured, once a round."""

    key: str
    """`bench/name`, by which others refer to it."""
    unit: str
    samples: tuple[float, ...] = attrs.field(converter=_floats)
    """In the order of the rounds; those of one bench were taken side by side."""
    less: bool = False
    """Whether less is better."""
    against: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    """Keys of the figures that it is compared with in the table."""
    limit: str | None = None
    """Key of what the machine allows at most."""
    note: str = ""
    detail_of: str | None = None
    """Key of the figure beside which it is shown."""

    def __attrs_post_init__(self) -> None:
        if not self.samples:
            raise ValueError(f"{self.key}: no samples")

    @property
    def bench(self) -> str:
        """The bench that it belongs to."""
        return self.key.partition("/")[0]

    @property
    def name(self) -> str:
        """What it is called in its bench."""
        return self.key.partition("/")[2]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.samples)


@attrs.define
class Results:
    """Everything that one run of the benchmark brought."""

    machine: dict[str, Any] = attrs.field(factory=dict)
    figures: dict[str, Figure] = attrs.field(factory=dict)
    missing: dict[str, str] = attrs.field(factory=dict)
    """Rival -> why it was not measured."""
    points: dict[str, list[tuple[float, float]]] = attrs.field(factory=dict)
    """What the exponents of `growth` were fitted to: (size, seconds of processor time)."""
    quick: bool = False
    """Whether everything was small, so that only the working of it is shown."""

    def add(self, figure: Figure) -> None:
        """Take a figure. Raises ValueError if there is one of this key."""
        if figure.key in self.figures:
            raise ValueError(f"{figure.key} was measured before")
        self.figures[figure.key] = figure

    def to_json(self) -> dict[str, Any]:
        """What a file keeps."""
        return {
            "format": FORMAT,
            "quick": self.quick,
            "machine": self.machine,
            "missing": self.missing,
            "figures": [attrs.asdict(figure) for figure in self.figures.values()],
            "points": self.points,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Results:
        """What a file kept. Raises ValueError for another format."""
        if data.get("format") != FORMAT:
            raise ValueError(f"format: {data.get('format')!r}, must be {FORMAT}")
        results = cls(dict(data["machine"]), {}, dict(data["missing"]), {}, bool(data["quick"]))
        for figure in data["figures"]:
            results.add(Figure(**figure))
        results.points = {key: [(size, cost) for size, cost in found] for key, found in data["points"].items()}
        return results


def ratio(figure: Figure, other: Figure) -> float:
    """How many times the other one: the median of the rounds' ratios if they were taken side by side.

    Noise that lasts longer than a round falls out of it. Otherwise the ratio of the medians.
    """
    if figure.bench == other.bench and len(figure.samples) == len(other.samples):
        return median(one / two for one, two in zip(figure.samples, other.samples, strict=True))
    return figure.middle / other.middle


def advantage(figure: Figure, other: Figure) -> float:
    """How many times better: above 1 where `figure` is ahead, whichever way is better."""
    return 1 / ratio(figure, other) if figure.less else ratio(figure, other)


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The e of cost = c * size^e that fits best (least squares of logarithms). Raises ValueError for too few sizes."""
    if len({size for size, _ in points}) < 2:
        raise ValueError(f"{len(points)} points: an exponent needs two sizes at least")
    xs = [math.log(size) for size, _ in points]
    ys = [math.log(cost) for _, cost in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
