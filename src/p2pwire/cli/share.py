"""`p2pwire share`."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.to_thread
import click

from p2pwire.cli.arguments import reporting
from p2pwire.cli.objects import described, tell_skipped
from p2pwire.cli.output import Output
from p2pwire.cli.session import PeerOptions, cancellable, listen, open_peer, peer_options, run_until_signal
from p2pwire.crypto.identity import peer_id_text
from p2pwire.storage.scan import scan


@click.command()
@click.argument("paths", type=click.Path(), metavar="PATH...", nargs=-1, required=True)
@peer_options
@reporting
def share(output: Output, paths: tuple[str, ...], options: PeerOptions) -> None:
    """Share files and folders until Ctrl-C, and print the URI of each.

    Whoever has the URI may read what it names, and is told of the other peers that have it.
    """
    run_until_signal(partial(_share, output, paths, options))


async def _share(output: Output, paths: tuple[str, ...], options: PeerOptions) -> None:
    peers = await options.resolve_peers()
    async with open_peer(output, options) as (peer, _):
        bound = await listen(peer, options)
        identity = peer_id_text(peer.identity.public)
        for path in paths:
            with output.meter(f"hashing {path}", events=False) as meter:
                content = await anyio.to_thread.run_sync(scan, path, cancellable(meter.show))
            tell_skipped(output, content)
            what = described(content)
            uri = await peer.share(content)
            peer.add_peers(uri, peers)
            address = str(uri.peers[0] if uri.peers else bound[0])
            output.listening(address, identity, str(uri), what=what)
        await anyio.sleep_forever()
