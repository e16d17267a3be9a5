"""The command `p2pwire`."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Final, NoReturn

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C (128 + SIGINT), and after SIGTERM, which is answered in the same orderly way."""


def main() -> NoReturn:
    """Run the command with the arguments of this process, and exit with its code."""
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            from p2pwire.cli.command import p2pwire
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing not in ("click", "rich"):
                raise
            sys.exit(f"p2pwire: the command needs {missing}, which pip install 'p2pwire[cli]' brings")
        p2pwire.main(prog_name="p2pwire")
    except KeyboardInterrupt:
        # Before the command itself could take it.
        pass
    sys.exit(INTERRUPTED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
