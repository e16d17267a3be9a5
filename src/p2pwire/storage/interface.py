"""What storage offers: content whose blocks can be read, downloads that take blocks, and places for them.

All calls block and may come from any thread: adapters make them in worker threads, and the core only names them. A file
is named by its index: 0 for a blob, the position of its entry in a manifest, `MANIFEST_FILE` for the manifest itself.
Blocks are 16 KiB and counted from 0 in each file. Every call raises `StorageError` for what the world does, and
`ValueError` or `IndexError` for what only a mistake of the caller can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import attrs

from p2pwire.content.manifest import Manifest
from p2pwire.content.merkle import Proved, Tree
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.units import BlockMap

if TYPE_CHECKING:
    from p2pwire.wire.messages import Buffer

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) while content is hashed; what it raises ends the hashing and is passed on."""


class ProvedBlock(Protocol):
    """One block to be stored. It is proved: storage does not check it again before it is written."""

    @property
    def file(self) -> int:
        """The file's index."""

    @property
    def block(self) -> int:
        """The block in the file."""

    @property
    def data(self) -> Buffer:
        """The whole block: 16384 bytes, or less for the last one of a file."""

    @property
    def proved(self) -> Proved:
        """What the check of the block established; kept so that it can be checked again."""


class ProvedRun(Protocol):
    """Neighbouring blocks of a file, each as in `ProvedBlock`."""

    @property
    def file(self) -> int:
        """The file's index."""

    @property
    def block(self) -> int:
        """The first block in the file."""

    @property
    def data(self) -> Sequence[Buffer]:
        """The blocks, at least one."""

    @property
    def proved(self) -> Sequence[Proved]:
        """For each of them what its check established."""


@attrs.frozen
class RunWrite:
    """A `ProvedRun` for those who have none of their own."""

    file: int
    block: int
    data: Sequence[Buffer] = attrs.field(repr=False)
    proved: Sequence[Proved] = attrs.field(repr=False)


@attrs.frozen
class BlockWrite:
    """A `ProvedBlock` for those who have none of their own."""

    file: int
    block: int
    data: Buffer = attrs.field(repr=False)
    proved: Proved = attrs.field(repr=False)


class Content(Protocol):
    """An object of which blocks can be read."""

    @property
    def info(self) -> ObjectInfo:
        """What the object is."""

    @property
    def manifest(self) -> Manifest | None:
        """The files; None for a blob, and while the manifest is not known."""

    @property
    def held(self) -> BlockMap:
        """The blocks of the files that could be read when the content was opened. The caller's own, as are the trees:
        storage does not touch them afterwards."""

    @property
    def trees(self) -> dict[int, Tree]:
        """The hash trees by file, of files (and the manifest) with more than one block of which something is known."""

    def read_blocks(self, file: int, first: int, count: int) -> bytes:
        """Blocks `first` to `first + count - 1` of a file, one after another; the last may be short.

        Only of blocks that are held. Raises `StorageError`: CHANGED or VANISHED if the file is not what it was.
        """

    def close(self) -> None:
        """Give back descriptors and locks. A second time does nothing."""


@runtime_checkable
class CachedContent(Protocol):
    """What content may offer beside: to read without waiting."""

    def read_cached(self, file: int, first: int, count: int) -> Buffer | None:
        """What `Content.read_blocks` would give, if that can be said without waiting for a disk or another thread.

        None if not, and wherever `read_blocks` would raise a `StorageError`. In contrast to all else it may be called
        where nobody may wait.
        """


class Shared(Content, Protocol):
    """Content of the user's own: complete, and outside our control."""

    @property
    def name(self) -> str | None:
        """What the file or folder is called; None if a URI cannot say it."""

    @property
    def skipped(self) -> Sequence[Skipped]:
        """What lies in the folder and is not part of the object."""


class Download(Content, Protocol):
    """An object that is being received. `held` and `trees` tell what an earlier attempt left, checked again."""

    @property
    def path(self) -> Path | None:
        """Where the finished file or folder is; None until then. What was there already is finished at once."""

    def put_manifest(self, raw: bytes, manifest: Manifest) -> None:
        """Take a folder's manifest: its bytes, which hash to the object's root, and what they mean.

        Blocks can be written only after it.
        Raises `StorageError`: NAME, OVER_QUOTA or NO_SPACE if the folder cannot be stored here.
        """

    def write_runs(self, runs: Sequence[ProvedRun]) -> None:
        """Store blocks. When this returns they survive the death of the process, at any instant.

        Neighbours are written together. Blocks that are held already are passed over.
        After an error any number of them may be stored, and are kept; they can be written again.
        """

    def write_blocks(self, blocks: Sequence[ProvedBlock]) -> None:
        """The same for blocks that are not put together to runs."""

    def finish(self) -> Path:
        """Let the complete file or folder appear under its name, in one step; its path.

        The partial area is gone afterwards, and blocks can still be read. Raises `ValueError` if blocks are missing,
        `StorageError` (EXISTS) if the name was taken meanwhile; then everything is kept.
        """

    def discard(self) -> None:
        """Give up: remove all that was stored. What `finish` delivered stays."""


@runtime_checkable
class PromptDownload(Protocol):
    """What a download may offer beside: to store blocks without waiting."""

    def write_at_once(self, runs: Sequence[ProvedRun]) -> bool:
        """What `Download.write_runs` does, if that can be done without waiting for a disk or another thread.

        False if not, and wherever `write_runs` would raise a `StorageError`: then it is to be called. In contrast to
        all else this may be called where nobody may wait.
        """


class Storage(Protocol):
    """A place for downloads."""

    def open_download(self, info: ObjectInfo, name: str, progress: Progress | None = None) -> Download:
        """Begin to receive an object that shall be called `name`, or go on where an earlier attempt ended.

        `progress` is called while stored blocks are checked.
        """


@runtime_checkable
class RecallingStorage(Protocol):
    """What a place for downloads may offer beside: to say what it is of which an earlier attempt left something."""

    def recall(self, oid: bytes) -> ObjectInfo | None:
        """What the object is; None if nothing here tells. Its id is that which was asked for."""


@attrs.frozen
class Skipped:
    """Something in a folder that is not shared, because it is neither a file nor a directory."""

    path: str
    """Relative to the folder, with "/"."""
    reason: str
