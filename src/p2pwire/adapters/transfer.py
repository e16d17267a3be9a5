"""One fetch as the application sees it: how far it is, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import attrs

from p2pwire.node.node import Progress

Sources: TypeAlias = Mapping[bytes, int]
"""identity -> content bytes that came from it."""


class PeerClosedError(Exception):
    """The peer has left: it does nothing any more."""


class FetchCancelledError(Exception):
    """The fetch was given up before its end; what was verified is kept, and another fetch goes on from there."""


@attrs.frozen
class Fetched:
    """A fetch that is complete."""

    path: Path | None
    """The file or folder; None if the storage has no files."""
    bytes: int
    """Of content."""
    seconds: float
    """From the call on."""
    sources: Sources
    """Who gave how much; what an earlier attempt had fetched is not in it."""


@attrs.define(eq=False)
class Transfer:
    """The state of one fetch."""

    topic: bytes
    begun: float
    progress: Progress
    on_change: Callable[[bool], None]
    """Called after every change, with whether it was the last."""
    path: Path | None = None
    result: Fetched | None = None
    error: Exception | None = None

    def changed(self) -> None:
        """Something is different now."""
        self.on_change(self.over)

    @property
    def over(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self.result is not None or self.error is not None

    def outcome(self) -> Fetched:
        """How it ended. Raises what ended it: `StorageError`, `ManifestError`, `LengthError`, `FetchCancelledError`."""
        if self.error is not None:
            raise self.error
        if self.result is None:
            raise ValueError("the fetch is not over")
        return self.result
