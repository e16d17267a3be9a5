"""`p2pwire get`."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import attrs
import click

from p2pwire.adapters.anyio import Fetch, Peer
from p2pwire.adapters.engine import NAME_LENGTH
from p2pwire.adapters.sockets import reachable_endpoints
from p2pwire.cli.arguments import reporting, seconds_argument, uri_argument
from p2pwire.cli.errors import CommandError
from p2pwire.cli.objects import content_length
from p2pwire.cli.output import Meter, Output
from p2pwire.cli.session import (
    Narrator,
    PeerOptions,
    cancellable,
    listen,
    open_peer,
    peer_options,
    run_until_signal,
)
from p2pwire.cli.text import count_text
from p2pwire.content.uri import Uri
from p2pwire.crypto.identity import peer_id_text
from p2pwire.node.node import Progress
from p2pwire.node.swarm import Phase
from p2pwire.storage.errors import StorageErrorKind, reported, shown
from p2pwire.storage.interface import Shared
from p2pwire.storage.scan import Survey
from p2pwire.wire.keys import encode_name

TICK: Final = 0.1
"""seconds after which progress is looked at, news or not: what was shown last is never long out of date."""

_AT_WORK: Final = (Phase.OPENING, Phase.STORING, Phase.FINISHING)
"""Phases in which the disk is waited for, and no peer."""


@attrs.frozen
class Wanted:
    """What is to be had, and how."""

    uri: Uri
    directory: Path
    keep_sharing: bool
    sequential: bool
    no_listen: bool
    timeout: float | None

    @property
    def place(self) -> Path:
        """Where it will be: under the URI's name, or the beginning of its id."""
        return self.directory / (self.uri.name or encode_name(self.uri.oid)[:NAME_LENGTH])


@click.command()
@click.argument("uri", type=uri_argument)
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    required=True,
    help="The directory into which the file or folder is put; made if it is missing.",
)
@click.option("--keep-sharing", is_flag=True, help="Share it on, when it is complete, until Ctrl-C.")
@click.option("--sequential", is_flag=True, help="From the beginning on, for a reader who does not wait.")
@click.option("--no-listen", is_flag=True, help="Take no connections; only ask others.")
@click.option(
    "--timeout",
    type=seconds_argument,
    metavar="SECONDS",
    help="Give up when nothing came for so long.  [default: go on trying]",
)
@peer_options
@reporting
def get(
    output: Output,
    uri: Uri,
    directory: Path,
    keep_sharing: bool,
    sequential: bool,
    no_listen: bool,
    timeout: float | None,
    options: PeerOptions,
) -> None:
    """Get what URI names, from all peers that have it, and put it into a directory.

    It appears under its name when it is complete and every byte is verified. Until then what came is kept beside it:
    the same command goes on from there, after Ctrl-C, a power cut, or whatever else.
    """
    if no_listen and options.listen is not None:
        raise click.UsageError("--no-listen and --listen exclude each other")
    if not (uri.peers or options.peers or options.listen):
        raise click.UsageError("there is nobody to ask: the URI has no pe, and there is no --peer and no --listen")
    wanted = Wanted(uri, directory, keep_sharing, sequential, no_listen, timeout)
    run_until_signal(partial(_get, output, wanted, options))


async def _get(output: Output, wanted: Wanted, options: PeerOptions) -> None:
    began = time.monotonic()
    with reported("create", wanted.directory):
        wanted.directory.mkdir(parents=True, exist_ok=True)
    with output.meter("checking", events=False) as meter:
        found = await anyio.to_thread.run_sync(_existing, wanted, meter)
    if found is not None:
        output.say(f"{wanted.place} is here already")
        output.complete(str(wanted.place), content_length(found), time.monotonic() - began, {})
        if not wanted.keep_sharing:
            found.close()
            return
    peers = await options.resolve_peers()
    async with open_peer(output, options) as (peer, narrator):
        await _listen(output, peer, wanted, options)
        if found is not None:
            await peer.share(found)
            peer.add_peers(wanted.uri, [*peers, *((known.host, known.port) for known in wanted.uri.peers)])
        else:
            fetch = peer.fetch(wanted.uri, wanted.directory, peers, sequential=wanted.sequential)
            with output.meter("getting") as meter:
                await _watch(fetch, peer, narrator, meter, wanted.timeout)
            await narrator.fetch_over.wait()
            fetched = await fetch
            sources = {peer_id_text(source): size for source, size in fetched.sources.items()}
            output.complete(str(fetched.path or wanted.place), fetched.bytes, fetched.seconds, sources)
        if wanted.keep_sharing:
            output.say("sharing it on; Ctrl-C ends")
            await anyio.sleep_forever()


def _existing(wanted: Wanted, meter: Meter) -> Shared | None:
    """What stands under the final name if it is what is wanted; None if nothing does. Raises CommandError if it is not.

    This needs no peer; and whoever waits for one should hear at once that the name is taken.
    """
    place = wanted.place
    taken = CommandError(StorageErrorKind.EXISTS.value, f"{shown(place)} exists and is not the same content")
    if place.is_symlink():
        raise taken
    if not place.exists():
        return None
    survey = Survey.of(place)
    try:
        if wanted.uri.length not in (None, survey.length):
            raise taken
        found = survey.hash(cancellable(meter.show))
        if found.info.oid != wanted.uri.oid:
            raise taken
    except BaseException:
        survey.directory.close()
        raise
    return found


async def _listen(output: Output, peer: Peer, wanted: Wanted, options: PeerOptions) -> None:
    """Listen, unless the user does not want it; where nobody asked for it, it may fail."""
    if wanted.no_listen:
        return
    try:
        bound = await listen(peer, options)
    except CommandError as error:
        if options.listen is not None:
            raise
        output.notice(f"{error.message}; going on without")
        return
    reachable = reachable_endpoints(bound) or bound
    peers = tuple((endpoint.host, endpoint.port) for endpoint in reachable if not endpoint.zone)
    own = Uri(wanted.uri.oid, wanted.uri.length, wanted.uri.name, peers)
    output.listening(str(reachable[0]), peer_id_text(peer.identity.public), str(own))


async def _watch(fetch: Fetch, peer: Peer, narrator: Narrator, meter: Meter, timeout: float | None) -> None:
    """Show the progress of a fetch to its end. Raises CommandError if nothing comes for `timeout` seconds."""
    meter.wait("waiting for a peer")
    news = aiter(fetch)
    shown = heard = time.monotonic()
    received = 0
    over = False
    while not over:
        with anyio.move_on_after(TICK) as tick:
            try:
                await anext(news)
            except StopAsyncIteration:
                over = True
        now = time.monotonic()
        if over or now >= shown + TICK:
            shown = now
            _show(meter, fetch.progress)
        if not tick.cancelled_caught:
            heard = now
            continue
        # A manifest on its way is no news of the fetch, but it is no silence either.
        before, received = received, sum(link.bytes_received for link in peer.peers())
        if received != before or fetch.progress.phase in _AT_WORK:
            heard = now
        elif timeout is not None and now >= heard + timeout:
            known = narrator.troubles or _seeking(fetch.progress)
            troubles = f" ({known})" if known else ""
            raise CommandError("timeout", f"nothing came for {timeout:g} s{troubles}; what came before is kept")


def _seeking(progress: Progress) -> str:
    """What is the matter while there are peers, and nobody of them can say what the object is."""
    if progress.phase is not Phase.SEEKING or not progress.peers:
        return ""
    return f"{count_text(progress.peers, 'peer')} found, but none that knows yet what it is"


def _show(meter: Meter, progress: Progress) -> None:
    if seeking := _seeking(progress):
        meter.wait(seeking)
    elif progress.total is not None:
        sources = {peer_id_text(source): size for source, size in progress.sources.items()}
        meter.show(progress.done, progress.total, count_text(progress.peers, "peer"), sources)
