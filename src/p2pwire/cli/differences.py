"""Which manifest a URI names: asked of peers, so that it can be said which files of a folder differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import anyio

from p2pwire.adapters.anyio import Peer
from p2pwire.cli.session import AGENT
from p2pwire.content.manifest import Manifest
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.uri import Uri
from p2pwire.node.address import Endpoint
from p2pwire.node.node import NodeConfig
from p2pwire.storage.interface import Progress
from p2pwire.storage.memory import MemoryDownload, MemoryStorage

PATIENCE: Final = 10.0
"""seconds for a manifest, without which the answer is only less precise."""


async def fetch_manifest(uri: Uri, peers: Sequence[Endpoint]) -> Manifest | None:
    """The manifest of a folder; None if it is a file, or nobody answers in time."""
    place = _Place()
    async with Peer(config=NodeConfig(agent=AGENT)) as peer:
        with anyio.move_on_after(PATIENCE):
            async for progress in peer.fetch(uri, place, peers):
                if progress.total is not None:
                    break
    return place.opened.manifest if place.opened is not None else None


class _Place(MemoryStorage):
    """Remembers what is fetched into it, which is given up as soon as the manifest is there."""

    opened: MemoryDownload | None = None

    def open_download(self, info: ObjectInfo, name: str, progress: Progress | None = None) -> MemoryDownload:
        """See `MemoryStorage`."""
        self.opened = super().open_download(info, name, progress)
        return self.opened
