"""What was measured as a table, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from tests.bench.figures import Figure, Results, ratio
from tests.bench.targets import assess

Row: TypeAlias = tuple[str, ...]

FIGURE_HEAD: Final[Row] = ("what", "median", "range", "unit", "times the others", "of the limit", "remarks")
TARGET_HEAD: Final[Row] = ("target", "wanted", "found", "verdict")
QUICK: Final = "Everything was small and measured once: this shows only that it works."


def number(value: float) -> str:
    """Three digits that count, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def figure_rows(results: Results, bench: str) -> Iterator[Row]:
    """A row for each figure of a bench, those of rivals too."""
    for figure in results.figures.values():
        if figure.bench == bench and figure.detail_of is None:
            low, high = min(figure.samples), max(figure.samples)
            spread = f"{number(low)} – {number(high)}" if len(figure.samples) > 1 else ""
            shares = _share(figure, results)
            remarks = "; ".join([figure.note] * bool(figure.note) + _details(figure, results))
            yield figure.name, number(figure.middle), spread, figure.unit, _times(figure, results), shares, remarks


def _details(figure: Figure, results: Results) -> list[str]:
    found = [other for other in results.figures.values() if other.detail_of == figure.key]
    return [f"{other.key.removeprefix(figure.key + ', ')} {number(other.middle)} {other.unit}" for other in found]


def _times(figure: Figure, results: Results) -> str:
    found = [other for key in figure.against if (other := results.figures.get(key)) is not None]
    return ", ".join(f"{ratio(figure, other):.2f} × {_short(other, figure)}" for other in found)


def _short(other: Figure, figure: Figure) -> str:
    """Its name without what both names end with, and nothing more than construct's own name."""
    _, comma, end = figure.name.partition(", ")
    name = other.name.removesuffix(comma + end) if comma else other.name
    return "construct" if name.startswith("construct ") else name


def _share(figure: Figure, results: Results) -> str:
    limit = results.figures.get(figure.limit or "")
    return "" if limit is None else f"{ratio(figure, limit):.0%}"


def target_rows(results: Results) -> Iterator[Row]:
    """A row for each target of this build."""
    for verdict in assess(results):
        if results.machine.get("compiled") or not verdict.target.compiled:
            yield verdict.target.text, verdict.target.wanted, verdict.shown, verdict.word


def benches(results: Results) -> list[str]:
    """Those that were measured, in order."""
    return list(dict.fromkeys(figure.bench for figure in results.figures.values()))


def render(results: Results) -> str:
    """Everything, for a terminal."""
    parts = [", ".join(f"{name} {value}" for name, value in _facts(results))]
    parts += [f"{bench}\n" + aligned([FIGURE_HEAD, *figure_rows(results, bench)]) for bench in benches(results)]
    parts.append("targets\n" + aligned([TARGET_HEAD, *target_rows(results)]))
    parts += [f"not measured: {name}: {reason}" for name, reason in results.missing.items()]
    if results.quick:
        parts.append(QUICK)
    return "\n\n".join(parts)


def _facts(results: Results) -> Iterator[tuple[str, object]]:
    for name, value in results.machine.items():
        if not isinstance(value, dict):
            yield name.replace("_", " "), value


def aligned(rows: Iterable[Row]) -> str:
    """Columns under each other; columns without anything but a head are left out."""
    table = _used(list(rows))
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def markdown(rows: Iterable[Row]) -> str:
    """The same for a page."""
    table = _used(list(rows))
    head, *body = [f"| {' | '.join(cell.replace('|', '¦') for cell in row)} |" for row in table]
    return "\n".join([head, "|" + "---|" * len(table[0]), *body])


def _used(rows: Sequence[Row]) -> list[Row]:
    used = [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])]
    return [tuple(row[column] for column in used or range(len(row))) for row in rows]
