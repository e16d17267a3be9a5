"""The committed files of all vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

from p2pwire.generate.vectors import ledger
from p2pwire.generate.vectors.book import Book
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.closing import close
from p2pwire.generate.vectors.codec import codec
from p2pwire.generate.vectors.handshakes import handshake, noise
from p2pwire.generate.vectors.manifests import manifest
from p2pwire.generate.vectors.naming import identity, name, uri
from p2pwire.generate.vectors.negotiations import negotiation
from p2pwire.generate.vectors.peer_records import peer_record
from p2pwire.generate.vectors.records import records
from p2pwire.generate.vectors.streams import stream
from p2pwire.generate.vectors.traces import trace
from p2pwire.generate.vectors.trees import proof, tree

FAMILIES: Final[tuple[Callable[[Citations], Iterator[Book]], ...]] = (
    codec,
    stream,
    records,
    close,
    noise,
    handshake,
    negotiation,
    peer_record,
    tree,
    proof,
    manifest,
    name,
    identity,
    uri,
    trace,
)
"""What makes them."""

DIRECTORY: Final = Path("conformance", "vectors")
LEDGER: Final = "ids.txt"


@cache
def books(specification: str) -> tuple[Book, ...]:
    """All vectors, with the requirements of SPEC.md as it is."""
    citations = Citations(specification)
    return tuple(chain.from_iterable(family(citations) for family in FAMILIES))


def vector_files(root: Path, specification: str) -> Iterator[tuple[Path, str]]:
    """Every file below `root`, and the text that it should have."""
    directory = root / DIRECTORY
    path = directory / LEDGER
    found = books(specification)
    known = ledger.read(path.read_text(encoding="utf-8")) if path.exists() else {}
    entries = ledger.enter(known, (vector for book in found for vector in book.vectors))
    revisions = {name: entry.revision for name, entry in entries.items()}
    for book in found:
        yield directory / f"{book.name}.json", book.text(revisions)
    yield path, ledger.write(entries)
