"""The hidden command `p2pwire demo-peer`: one of the two peers of the demonstration that hold a half of the folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import attrs
import click

from p2pwire.cli.arguments import HostPort, peer_address, uri_argument
from p2pwire.cli.output import JsonOutput
from p2pwire.cli.session import PeerOptions, listen, open_peer, run_until_signal
from p2pwire.content.manifest import Manifest
from p2pwire.content.merkle import Tree
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.units import BlockMap
from p2pwire.content.uri import Uri
from p2pwire.crypto.identity import peer_id_text
from p2pwire.storage.errors import StorageError, StorageErrorKind, shown
from p2pwire.storage.filesystem import FileSystemStorage
from p2pwire.storage.interface import Download, Skipped
from p2pwire.wire.registry import ObjectKind


@click.command("demo-peer", hidden=True)
@click.argument("uri", type=uri_argument)
@click.option("-o", "directory", type=click.Path(path_type=Path), required=True)
@click.option("--root", required=True)
@click.option("--peer", "peers", type=peer_address, multiple=True)
def demo_peer(uri: Uri, directory: Path, root: str, peers: tuple[HostPort, ...]) -> None:
    """Share what an unfinished download in a directory has, and fetch nothing; until standard input ends."""
    info = ObjectInfo(ObjectKind.MANIFEST, uri.length or 0, bytes.fromhex(root))
    download = FileSystemStorage(directory).open_download(info, uri.name or "")
    run_until_signal(partial(_hold, PartialContent(download, uri.name, directory), peers))


async def _hold(content: PartialContent, peers: tuple[HostPort, ...]) -> None:
    output = JsonOutput(verbose=False)
    options = PeerOptions(HostPort("127.0.0.1", 0), peers, None, None)
    async with open_peer(output, options) as (peer, _):
        await listen(peer, options)
        uri = await peer.share(content)
        output.listening(str(uri.peers[0]), peer_id_text(peer.identity.public), str(uri))
        peer.add_peers(uri, await options.resolve_peers())
        # Whoever plays is gone when nobody holds the other end of standard input.
        await anyio.wait_readable(sys.stdin.fileno())


@attrs.define(eq=False)
class PartialContent:
    """What an unfinished download has, as content to be shared (`Shared`)."""

    _download: Download
    name: str | None
    _directory: Path
    held: BlockMap = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.held = self._download.held

    @property
    def info(self) -> ObjectInfo:
        """See `Content`."""
        return self._download.info

    @property
    def manifest(self) -> Manifest | None:
        """See `Content`."""
        return self._download.manifest

    @property
    def trees(self) -> dict[int, Tree]:
        """See `Content`."""
        return self._download.trees

    @property
    def skipped(self) -> Sequence[Skipped]:
        """See `Shared`."""
        return ()

    def read_blocks(self, file: int, first: int, count: int) -> bytes:
        """See `Content`."""
        assert self.manifest is not None
        start = self.manifest.first_block(file) + first
        if not self.held.holds(start, start + count - 1):
            place = shown(self._directory)
            raise StorageError(StorageErrorKind.VANISHED, place, f"cannot read blocks from {place}: they never came")
        return self._download.read_blocks(file, first, count)

    def close(self) -> None:
        """See `Content`."""
        self._download.close()
