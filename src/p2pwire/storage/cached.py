"""What need not wait for a disk: done at once, in whatever thread, without the way to a worker and back."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from p2pwire.wire.messages import Buffer

_NOWAIT: Final[int] = getattr(os, "RWF_NOWAIT", 0)
"""The flag by which Linux reads nothing that is not in memory; where there is none, nothing is read at once."""

_NOT_NOW: Final = frozenset({errno.EAGAIN, errno.EOPNOTSUPP})

_MOUNTS: Final = Path("/proc/self/mountinfo")
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
"""File systems that do not know the flag, and wait for a disk no more than any memory of a process does."""


@attrs.define(eq=False)
class CachedReader:
    """Reads files of one place, and knows which of them lie in memory."""

    _in_memory: dict[int, bool] = attrs.field(factory=dict)
    """device number -> whether what it holds is never anywhere but in memory."""

    def read(self, fd: int, size: int, offset: int) -> Buffer | None:
        """`size` bytes from `offset`; None if not all of them are in memory, or there. Raises OSError."""
        if not _NOWAIT:
            return None
        if self.in_memory(fd):
            data = os.pread(fd, size, offset)
            return data if len(data) == size else None
        buffer = bytearray(size)
        try:
            return buffer if os.preadv(fd, [buffer], offset, _NOWAIT) == size else None
        except OSError as error:
            if error.errno in _NOT_NOW:
                return None
            raise

    def in_memory(self, fd: int) -> bool:
        """Whether a file never lies anywhere else, so that nothing that is done with it waits. Raises OSError."""
        device = os.fstat(fd).st_dev
        found = self._in_memory.get(device)
        if found is None:
            found = self._in_memory[device] = _lies_in_memory(device)
        return found


def _lies_in_memory(device: int) -> bool:
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return False
    for mount in mounts:
        # id, parent, device, root, place, options, optional fields; "-"; type, source, options
        about, _, system = mount.partition(" - ")
        if about.split(" ")[2] == number:
            return system.split(" ")[0] in _MEMORY
    return False
