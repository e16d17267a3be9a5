"""Disk work: what the node asks for in terms of topics, done on storage, in worker threads, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

import attrs

from p2pwire.adapters.workers import Ending, Work
from p2pwire.node.actions import (
    DiskAction,
    FinishDownload,
    OpenDownload,
    ReadBlocks,
    Restored,
    StoreManifest,
    WriteBlocks,
)
from p2pwire.storage.interface import Content, Download, ProvedRun, RecallingStorage, Storage
from p2pwire.wire.messages import Buffer

_Part = TypeVar("_Part")
ReadCached: TypeAlias = Callable[[int, int, int], Buffer | None]
"""`CachedContent.read_cached`, if there is one: to ask for it once more with each read takes less than `isinstance`."""
WriteAtOnce: TypeAlias = Callable[[Sequence[ProvedRun]], bool]
"""`PromptDownload.write_at_once`, likewise."""
RunInWorker: TypeAlias = Callable[[Work, Ending], None]
"""Runs work in a worker thread, and then calls the ending where the node lives. Returns at once."""


@attrs.define(eq=False)
class Line:
    """Disk work in order, for one worker at a time. What gathers during its visit is done in the next."""

    _run: RunInWorker
    _waiting: deque[tuple[Work, Ending]] = attrs.field(factory=deque)
    _busy: bool = False

    @property
    def idle(self) -> bool:
        """Whether nothing is being done."""
        return not self._busy

    def submit(self, work: Work, ending: Ending) -> None:
        """Do this work after all that was submitted before."""
        self._waiting.append((work, ending))
        if not self._busy:
            self._visit()

    def _visit(self) -> None:
        self._busy = True
        taken = list(self._waiting)
        self._waiting.clear()
        outcomes: list[tuple[object, Exception | None]] = []

        def work() -> None:
            outcomes.extend(_outcome(piece) for piece, _ in taken)

        def end(result: object, error: Exception | None) -> None:
            for (_, ending), outcome in zip(taken, outcomes, strict=True):
                ending(*outcome)
            self._busy = False
            if self._waiting:
                self._visit()

        self._run(work, end)


def _outcome(work: Work) -> tuple[object, Exception | None]:
    try:
        return work(), None
    except Exception as error:
        return None, error


@attrs.define(eq=False)
class Store:
    """Where the blocks of one topic are: content of the user's own, or a download."""

    writing: Line
    """For everything but reading, which does not wait for slow writes."""
    reading: Line
    content: Content | None = None
    """What blocks are read from."""
    place: Storage | None = None
    """For a download: where it goes."""
    name: str = ""
    """For a download: how it shall be called."""
    _download: Download | None = None

    def recall(self, oid: bytes, ending: Ending) -> None:
        """Find out what the object is, before all else; without effect if the storage does not say such things."""
        place: object = self.place
        if isinstance(place, RecallingStorage):
            self.writing.submit(partial(place.recall, oid), ending)

    def read_cached(self, action: ReadBlocks) -> Buffer | None:
        """The blocks, if they can be had without waiting."""
        read: ReadCached | None = getattr(self.content, "read_cached", None)
        if read is None:
            return None
        try:
            return read(action.file, action.block, action.count)
        except Exception:  # which reading in a worker meets as well, and tells
            return None

    def write_at_once(self, action: WriteBlocks) -> bool:
        """Store the blocks, if nothing has to be waited for; what was to be done before is done then."""
        write: WriteAtOnce | None = getattr(self._download, "write_at_once", None)
        if write is None or not self.writing.idle:
            return False
        try:
            return write(action.runs)
        except Exception:  # which writing in a worker meets as well, and tells
            return False

    def submit(self, action: DiskAction, ending: Ending) -> None:
        """Do what an action says, in its line. The result is its answer, but that of `FinishDownload` is a path."""
        line = self.reading if isinstance(action, ReadBlocks) else self.writing
        line.submit(lambda: self._work(action), ending)

    def _work(self, action: DiskAction) -> object:
        match action:
            case ReadBlocks():
                return self._opened(self.content).read_blocks(action.file, action.block, action.count)
            case WriteBlocks():
                self._opened(self._download).write_runs(action.runs)
            case OpenDownload():
                self._download = self._opened(self.place).open_download(action.info, self.name)
                self.content = self._download
                return Restored(self._download.manifest, self._download.held, self._download.trees)
            case StoreManifest():
                self._opened(self._download).put_manifest(action.raw, action.manifest)
            case FinishDownload():
                return self._opened(self._download).finish()
        return None

    def close(self) -> None:
        """Give back what the content holds."""
        if self.content is not None:
            self.content.close()
        self.content = self._download = None

    @staticmethod
    def _opened(part: _Part | None) -> _Part:
        if part is None:
            raise ValueError("the store is closed")
        return part
