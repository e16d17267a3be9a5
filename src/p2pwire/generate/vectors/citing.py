"""Requirements as vectors cite them, and as cases do: with the revision that SPEC.md has now, unless that is 1."""

from __future__ import annotations

from collections.abc import Mapping

from p2pwire.generate.requirements import read_specification


class Citations:
    """`FR-003` -> `FR-003`, or `FR-003@2`. KeyError for an id that SPEC.md does not define."""

    def __init__(self, specification: str) -> None:
        found = read_specification(specification).requirements
        self._cited: Mapping[str, str] = {
            each.id: each.id if each.revision == 1 else f"{each.id}@{each.revision}" for each in found
        }

    def __getitem__(self, id: str) -> str:
        return self._cited[id]
