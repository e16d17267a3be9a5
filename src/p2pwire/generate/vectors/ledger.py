"""Ids that were ever given away: what each stood for, so that none ever means something else unsaid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from p2pwire.generate.vectors.book import Vector


@attrs.frozen
class Entry:
    """What an id stands for."""

    revision: int
    digest: str


def read(text: str) -> dict[str, Entry]:
    """The committed ledger: one id a line, with its revision and the digest of what it stands for."""
    rows = (line.split() for line in text.splitlines())
    return {name: Entry(int(revision), digest) for name, revision, digest in rows}


def write(entries: Mapping[str, Entry]) -> str:
    """Its text."""
    return "".join(f"{name} {entry.revision} {entry.digest}\n" for name, entry in sorted(entries.items()))


def enter(known: Mapping[str, Entry], vectors: Iterable[Vector]) -> dict[str, Entry]:
    """The ledger with these vectors. A vector that is another than before gets the next revision; an id that is not
    there any more stays. Raises `ValueError` for an id that is used twice."""
    entries = dict(known)
    seen: set[str] = set()
    for vector in vectors:
        if vector.id in seen:
            raise ValueError(f"{vector.id} is used twice")
        seen.add(vector.id)
        old = known.get(vector.id)
        digest = vector.digest
        if old is None:
            entries[vector.id] = Entry(1, digest)
        elif old.digest != digest:
            entries[vector.id] = Entry(old.revision + 1, digest)
    return entries
