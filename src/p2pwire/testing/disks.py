"""A disk in memory for a `Host`: it outlives the host's crashes, takes its time, and fails when it is told to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from p2pwire.node import actions as act
from p2pwire.storage.errors import StorageError, StorageErrorKind
from p2pwire.storage.interface import Content, Shared
from p2pwire.storage.memory import MemoryDownload, MemoryFile, MemoryStorage
from p2pwire.wire.registry import BLOCK_SIZE


class Disk:
    """Shared content and downloads, by topic. Change `delay`, `jitter`, `rate`, `capacity`, `unsynced` and `fault` at
    any time."""

    def __init__(self) -> None:
        self.delay = 0.0
        """Seconds that each piece of work takes."""
        self.jitter = 0.0
        """Seconds by which a piece of work may take longer, by chance: reads then end in any order."""
        self.rate: float | None = None
        """Bytes that are read or written per second, one piece of work after the other; None: any number."""
        self.capacity: int | None = None
        """Bytes of downloads that there is room for; a write that needs more fails with NO_SPACE. None: any number."""
        self.unsynced = 0.0
        """Seconds for which what was written is lost if the host crashes, though the disk said that it was written. The
        storage of this library waits for the disk to be sure; a disk that lies about it does this."""
        self.fault: Callable[[act.DiskAction], Exception | None] = lambda action: None
        """Asked before each piece of work: what it fails with; None: it succeeds."""
        self.storage = MemoryStorage()
        self.now = 0.0
        """The time, as whoever uses the disk says: it matters for `unsynced` alone."""
        self.used = 0
        """Bytes of blocks that were written."""
        self._shared: dict[bytes, Shared] = {}
        self._downloads: dict[bytes, MemoryDownload] = {}
        self._recent: deque[tuple[float, MemoryDownload, tuple[tuple[int, int], ...]]] = deque()
        self._free_at = 0.0

    def keep(self, content: Shared) -> None:
        """Content of the host's own."""
        self._shared[content.info.topic] = content

    def takes(self, action: act.DiskAction, now: float) -> float:
        """Seconds until a piece of work that begins now is done, without what `jitter` adds."""
        if self.rate is None:
            return self.delay
        self._free_at = max(self._free_at, now) + _size(action) / self.rate
        return self.delay + self._free_at - now

    def work(self, action: act.DiskAction) -> object:
        """Do what a node asks for; the answer is as the action says. Raises what storage raises."""
        match action:
            case act.OpenDownload():
                return self._open(action)
            case act.StoreManifest():
                self._downloads[action.topic].put_manifest(action.raw, action.manifest)
            case act.WriteBlocks():
                self._write(action)
            case act.ReadBlocks():
                content: Content = self._shared.get(action.topic) or self._downloads[action.topic]
                return content.read_blocks(action.file, action.block, action.count)
            case act.FinishDownload():
                self._downloads[action.topic].finish()
        return None

    def _open(self, action: act.OpenDownload) -> act.Restored:
        download = self.storage.open_download(action.info, action.topic.hex())
        self._downloads[action.topic] = download
        return act.Restored(download.manifest, download.held, download.trees)

    def _write(self, action: act.WriteBlocks) -> None:
        size = _size(action)
        if self.capacity is not None and self.used + size > self.capacity:
            free = self.capacity - self.used
            raise StorageError(StorageErrorKind.NO_SPACE, "disk", f"{size} bytes to write, {free} are free")
        download = self._downloads[action.topic]
        download.write_blocks(action.blocks)
        self.used += size
        if self.unsynced:
            while self._recent and self._recent[0][0] < self.now - self.unsynced:
                self._recent.popleft()
            self._recent.append((self.now, download, tuple((block.file, block.block) for block in action.blocks)))

    def tear(self, action: act.DiskAction, chance: float) -> None:
        """The power fails during a piece of work: of blocks that are being written, that fraction is."""
        if isinstance(action, act.WriteBlocks) and action.topic in self._downloads:
            self._downloads[action.topic].write_blocks(action.blocks[: int(len(action.blocks) * chance)])

    def lose_unsynced(self) -> int:
        """The power is gone: what was written lately is not there. How many blocks that are."""
        lost = 0
        for at, download, blocks in self._recent:
            if at >= self.now - self.unsynced:
                lost += download.lose_blocks(blocks)
        self._recent.clear()
        return lost

    def close(self, topic: bytes) -> None:
        """A download is used no longer; it can be opened again."""
        download = self._downloads.pop(topic, None)
        if download is not None:
            download.close()

    def close_all(self) -> None:
        """The process that used the disk is gone."""
        for topic in list(self._downloads):
            self.close(topic)

    def finished(self, topic: bytes) -> bytes | dict[str, bytes | None] | None:
        """What a download brought: a blob's bytes, or a folder's by path (None: an empty directory). None: not yet."""
        found = self.storage.finished.get(topic.hex())
        if not isinstance(found, dict):
            return found
        return {path: file.data if isinstance(file, MemoryFile) else file for path, file in found.items()}


def _size(action: act.DiskAction) -> int:
    """Bytes that a piece of work moves."""
    match action:
        case act.WriteBlocks():
            return sum(len(block.data) for block in action.blocks)
        case act.ReadBlocks():
            return action.count * BLOCK_SIZE
        case _:
            return 0
