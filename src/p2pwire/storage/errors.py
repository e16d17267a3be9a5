"""The one error of this room: what went wrong, where, in one sentence."""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final


class StorageErrorKind(Enum):
    """What went wrong. The value is the name that programs see."""

    NO_SPACE = "no-space"
    """The disk, or the user's quota on it, is full, or the file system cannot hold so long a file."""
    OVER_QUOTA = "over-quota"
    """The object is larger than the caller of this library consented to."""
    READ_ONLY = "read-only"
    """The file system takes no writes."""
    DENIED = "denied"
    """The permissions forbid it."""
    VANISHED = "vanished"
    """A file or directory that was there is gone."""
    CHANGED = "changed"
    """A file is not what it was when it was hashed or written."""
    EXISTS = "exists"
    """The name in the destination belongs to something else."""
    NAME = "name"
    """A name that this file system, or a manifest, cannot hold, or that means the same as another one there."""
    OUTSIDE = "outside"
    """A link, or something else that leads out of the directory, stands in the way."""
    BUSY = "busy"
    """Another download of the same object into the same directory is open."""
    UNSUITABLE = "unsuitable"
    """Neither a file nor a directory, or more of them than a manifest can name."""
    FAILED = "failed"
    """Anything else that the operating system reports."""


class StorageError(Exception):
    """Content could not be read or written. What was verified and stored before is kept.

    `kind` is for programs, `path` names the file or directory, `str(error)` is one sentence for a person.
    """

    def __init__(self, kind: StorageErrorKind, path: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.path = path

    @property
    def text(self) -> str:
        """The sentence."""
        return str(self)


_REASONS: Final[dict[int, tuple[StorageErrorKind, str]]] = {
    errno.ENOSPC: (StorageErrorKind.NO_SPACE, "the disk is full"),
    errno.EDQUOT: (StorageErrorKind.NO_SPACE, "the disk quota is used up"),
    errno.EFBIG: (StorageErrorKind.NO_SPACE, "the file system holds no file of this length"),
    errno.EROFS: (StorageErrorKind.READ_ONLY, "the file system is read-only"),
    errno.EACCES: (StorageErrorKind.DENIED, "permission denied"),
    errno.EPERM: (StorageErrorKind.DENIED, "not permitted"),
    errno.ENOENT: (StorageErrorKind.VANISHED, "it does not exist"),
    errno.ESTALE: (StorageErrorKind.VANISHED, "it is gone from the file server"),
    errno.EEXIST: (StorageErrorKind.EXISTS, "something else has this name"),
    errno.ENOTEMPTY: (StorageErrorKind.EXISTS, "something else has this name"),
    errno.ELOOP: (StorageErrorKind.OUTSIDE, "a symbolic link stands there, and links are never followed"),
    errno.ENOTDIR: (StorageErrorKind.OUTSIDE, "a file or a link stands where a directory belongs"),
    errno.EISDIR: (StorageErrorKind.OUTSIDE, "a directory stands where a file belongs"),
    errno.ENXIO: (StorageErrorKind.OUTSIDE, "it is not a regular file"),
    errno.ENAMETOOLONG: (StorageErrorKind.NAME, "the file system holds no name of this length"),
    errno.EILSEQ: (StorageErrorKind.NAME, "the file system does not take this name"),
}


def shown(path: str | bytes | os.PathLike[str]) -> str:
    """A path for people: as it is if every character prints, else escaped, so that no name can steer a terminal."""
    text = os.fsdecode(path)
    if all(letter.isprintable() or unicodedata.category(letter) == "Zs" for letter in text):
        return text
    return ascii(text)


def storage_error(error: OSError, doing: str, path: str | bytes | os.PathLike[str]) -> StorageError:
    """The StorageError for what the operating system reported; `doing` is a verb: "read", "write", "create"."""
    place = shown(path)
    kind, reason = _REASONS.get(error.errno or 0, (StorageErrorKind.FAILED, error.strerror or type(error).__name__))
    return StorageError(kind, place, f"cannot {doing} {place}: {reason}")


@contextmanager
def reported(doing: str, path: str | bytes | os.PathLike[str], below: str = "") -> Iterator[None]:
    """Within this block an OSError becomes a StorageError about `path`, or about `below` in that directory."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, doing, os.path.join(os.fsdecode(path), below) if below else path) from error
