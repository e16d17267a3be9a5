"""`p2pwire identity`: lasting identities and the files that keep them."""

from __future__ import annotations

import click

from p2pwire.cli.arguments import reporting
from p2pwire.cli.output import Output
from p2pwire.crypto.identity import Identity, peer_id_text
from p2pwire.storage.identity_file import create_identity_file, load_identity


@click.group(no_args_is_help=False)
def identity() -> None:
    """Make or show a lasting identity.

    Without one, a peer takes a new identity each time it starts, and nobody can tell that it is the same one.
    """


@identity.command()
@click.argument("file", type=click.Path())
@reporting
def new(output: Output, file: str) -> None:
    """Make an identity and keep it in FILE (mode 0600), which must not exist."""
    _show(output, create_identity_file(file), file)


@identity.command()
@click.argument("file", type=click.Path())
@reporting
def show(output: Output, file: str) -> None:
    """Show whose identity FILE keeps; its secret is never shown."""
    _show(output, load_identity(file), file)


def _show(output: Output, found: Identity, file: str) -> None:
    peer = peer_id_text(found.public)
    output.result([peer], {"event": "identity", "id": peer, "path": file})
