"""`p2pwire id` and `p2pwire verify`: what content is called, and whether it is what a URI names."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial

import click

from p2pwire.cli.arguments import HostPort, peer_address, reporting, uri_argument
from p2pwire.cli.errors import CommandError
from p2pwire.cli.output import Output
from p2pwire.cli.text import count_text, size_text
from p2pwire.content.manifest import Manifest
from p2pwire.content.objects import ObjectInfo
from p2pwire.content.uri import Uri
from p2pwire.storage.interface import Shared
from p2pwire.storage.scan import scan
from p2pwire.storage.verify import verify as compare
from p2pwire.wire.registry import EntryType, ObjectKind


@click.command("id")
@click.argument("path", type=click.Path())
@reporting
def id_(output: Output, path: str) -> None:
    """Show the URI, kind, length and root of the file or folder PATH.

    The URI is the right to read it: give it only to those who may. A folder's length and root are those of its
    manifest, the list of its files.
    """
    with output.meter("hashing", events=False) as meter, closing(scan(path, meter.show)) as shared:
        uri = str(uri_of(shared.info, shared.name))
        kind, root = kind_name(shared.info), shared.info.root.hex()
        lines = [uri, f"kind    {kind}", f"length  {shared.info.length}", f"root    {root}"]
        lines += [f"({described(shared)})"] if shared.manifest is not None else []
        output.result(lines, {"uri": uri, "kind": kind, "length": shared.info.length, "root": root})
        tell_skipped(output, shared)


@click.command()
@click.argument("path", type=click.Path())
@click.argument("uri", type=uri_argument)
@click.option(
    "--peer",
    "peers",
    type=peer_address,
    metavar="HOST:PORT",
    multiple=True,
    help="A peer to ask which files differ, if some do; repeatable.",
)
@reporting
def verify(output: Output, path: str, uri: Uri, peers: tuple[HostPort, ...]) -> None:
    """Check that the file or folder PATH is exactly what URI names.

    Hashing tells that a folder differs, and not where. Only then the peers of the URI, and those given, are asked for
    the list of its files.
    """
    began = time.monotonic()
    with output.meter("verifying") as meter, closing(scan(path, meter.show)) as shared:
        tell_skipped(output, shared)
        info, size = shared.info, content_length(shared)
    if info.oid != uri.oid:
        manifest = _ask(uri, peers) if info.kind == ObjectKind.MANIFEST and (peers or uri.peers) else None
        what = _difference(info, uri) if manifest is None else _differences(output, path, uri, manifest)
        own = f"its own id is {uri_of(info, None)}"
        raise CommandError("mismatch", f"{path} is not what the URI names: {what}; {own}")
    if uri.length not in (None, info.length):
        output.notice(f"xl of the URI is {uri.length}, and the object that it names has {info.length} bytes")
    output.complete(path, size, time.monotonic() - began, {})


def _difference(info: ObjectInfo, uri: Uri) -> str:
    """What differs, as far as the URI alone can tell."""
    if uri.length in (None, info.length):
        return "it has other content"
    if info.kind == ObjectKind.BLOB:
        return f"it has {info.length} bytes instead of {uri.length}"
    lengths = f"its manifest has {info.length} bytes instead of {uri.length}"
    return f"{lengths}, so the names or the number of its files differ"


def _ask(uri: Uri, peers: tuple[HostPort, ...]) -> Manifest | None:
    """The manifest that a URI names, if a peer tells it."""
    # Loaded only here: hashing needs no peer.
    from p2pwire.cli.differences import fetch_manifest
    from p2pwire.cli.session import run_until_signal

    endpoints = [endpoint for peer in peers for endpoint in peer.resolve()]
    return run_until_signal(partial(fetch_manifest, uri, endpoints))


def _differences(output: Output, path: str, uri: Uri, manifest: Manifest) -> str:
    """Say of every file that differs how it does; in a few words."""
    with output.meter("comparing", events=False) as meter:
        found = compare(path, uri.oid, manifest=manifest, progress=meter.show).differences
    for difference in found:
        output.result([difference.text], {"event": "difference", "path": difference.path, "text": difference.text})
    if not found:
        return "it had other content, and was changed meanwhile"
    rest = f", and {count_text(len(found) - 1, 'more difference')}" if found[1:] else ""
    return f"{found[0].text}{rest}"


def uri_of(info: ObjectInfo, name: str | None) -> Uri:
    """The URI of an object, without peers."""
    return Uri(info.oid, length=info.length, name=name)


def kind_name(info: ObjectInfo) -> str:
    """`blob` or `manifest`."""
    return ObjectKind(info.kind).name.lower()


def content_length(shared: Shared) -> int:
    """Bytes of the file, or of all files of the folder."""
    return shared.info.length if shared.manifest is None else shared.manifest.total_length


def described(shared: Shared) -> str:
    """Name and size of content, for people."""
    name = f'"{shared.name}"' if shared.name is not None else "a nameless object"
    if shared.manifest is None:
        return f"{name}, {size_text(shared.info.length)}"
    files = sum(entry.type != EntryType.EMPTY_DIRECTORY for entry in shared.manifest)
    return f"{name}, {size_text(shared.manifest.total_length)} in {count_text(files, 'file')}"


def tell_skipped(output: Output, shared: Shared) -> None:
    """Say what of a folder is not shared."""
    for skipped in shared.skipped:
        output.notice(f"{skipped.path} is left out: {skipped.reason}")
