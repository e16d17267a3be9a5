"""A disk in memory for a `Host`: it outlives the host's crashes, takes its time, and fails when it is told to."""

from __future__ import annotations

from collections.abc import Callable

from p2pwire.node import actions as act
from p2pwire.storage.interface import Content, Shared
from p2pwire.storage.memory import MemoryDownload, MemoryFile, MemoryStorage


class Disk:
    """Shared content and downloads, by topic. Change `delay`, `jitter` and `fault` at any time."""

    def __init__(self) -> None:
        self.delay = 0.0
        """Seconds that each piece of work takes."""
        self.jitter = 0.0
        """Seconds by which a piece of work may take longer, by chance: reads then end in any order."""
        self.fault: Callable[[act.DiskAction], Exception | None] = lambda action: None
        """Asked before each piece of work: what it fails with; None: it succeeds."""
        self.storage = MemoryStorage()
        self._shared: dict[bytes, Shared] = {}
        self._downloads: dict[bytes, MemoryDownload] = {}

    def keep(self, content: Shared) -> None:
        """Content of the host's own."""
        self._shared[content.info.topic] = content

    def work(self, action: act.DiskAction) -> object:
        """Do what a node asks for; the answer is as the action says. Raises what storage raises."""
        match action:
            case act.OpenDownload():
                return self._open(action)
            case act.StoreManifest():
                self._downloads[action.topic].put_manifest(action.raw, action.manifest)
            case act.WriteBlocks():
                self._downloads[action.topic].write_blocks(action.blocks)
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

    def tear(self, action: act.DiskAction, chance: float) -> None:
        """The power fails during a piece of work: of blocks that are being written, that fraction is."""
        if isinstance(action, act.WriteBlocks) and action.topic in self._downloads:
            self._downloads[action.topic].write_blocks(action.blocks[: int(len(action.blocks) * chance)])

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
