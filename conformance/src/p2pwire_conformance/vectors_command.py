"""`p2pwire-conformance vectors`: the suite's own decoders against the committed vectors, or a copy of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from p2pwire_conformance.vectors import Collection
from p2pwire_conformance.vectors_judges import JUDGES

SHOWN = 20
"""problems of one family that are written out."""


def check(place: Path | None, families: Sequence[str], tell: Callable[[str], None]) -> bool:
    """Whether all is well. Raises `ValueError` for a directory without vectors, or a family that is none."""
    collection = Collection(place)
    unknown = [family for family in families if family not in collection.families]
    if unknown:
        raise ValueError(f"{unknown[0]} is no family; there are {', '.join(collection.families)}")
    wrong = list(collection.form_problems())
    for problem in wrong[:SHOWN]:
        tell(problem)
    for family in families or collection.families:
        judge = JUDGES.get(family)
        if judge is None:
            raise ValueError(f"{family} is no family of this suite")
        found = list(collection.problems(family, judge))
        for problem in found[:SHOWN]:
            tell(problem)
        count = len(collection.of(family))
        tell(f"{family}: {count} vectors, {f'{len(found)} problems' if found else 'all agree'}")
        wrong += found
    return not wrong
