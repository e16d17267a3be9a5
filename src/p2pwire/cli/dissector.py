"""`p2pwire dissector`: teaches Wireshark and tshark to read p2pwire."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from p2pwire.cli.arguments import reporting
from p2pwire.cli.output import Output
from p2pwire.generate.wireshark import dissector_lua
from p2pwire.storage.errors import reported

NAME: Final = "p2pwire.lua"
_PLUGINS: Final = Path(".local", "lib", "wireshark", "plugins")
"""Below the user's home: where Wireshark looks for plugins of the user's own."""


@click.command()
@click.option("--install", is_flag=True, help="Put it where Wireshark finds it: ~/.local/lib/wireshark/plugins.")
@reporting
def dissector(output: Output, install: bool) -> None:
    """Print Wireshark's dissector of p2pwire, or install it.

    It reads the handshake of live streams, and all of a file that `p2pwire get --capture FILE` has written.
    """
    text = dissector_lua()
    if not install:
        output.result(text.splitlines(), {"dissector": text})
        return
    place = Path.home() / _PLUGINS / NAME
    with reported("write", place):
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f".{NAME}.{os.getpid()}")
        partial.write_text(text, encoding="utf-8")
        partial.replace(place)
    output.result([f"{place}: Wireshark reads p2pwire from its next start on"], {"path": str(place)})
