"""`python -m tests.world [NAME…] [--quick]`: what the world does to processes, sockets and disks, and how they take it.

All trials without names. Each says its figures; what this machine does not let us try is named with the reason.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from functools import partial
from pathlib import Path

from tests.world.clocks import clocks
from tests.world.crowd import crowd
from tests.world.disks import full_disk, permission
from tests.world.kills import kills
from tests.world.nets import far, ipv6, slow, vanishing
from tests.world.trial import NotHere, World

TRIALS = {
    "kills": kills,
    "full-disk": full_disk,
    "permission": permission,
    "clocks": clocks,
    "crowd": crowd,
    "ipv6": ipv6,
    "slow": slow,
    "far": far,
    "vanishing": vanishing,
}


def main() -> int:
    """Returns how many trials failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TRIALS)}")
    parser.add_argument("--quick", action="store_true", help="less of everything: about a minute in all")
    options = parser.parse_args()
    names = options.names or list(TRIALS)
    if set(names) - set(TRIALS):
        parser.error(f"names of trials: {', '.join(TRIALS)}")
    failed = 0
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            try:
                TRIALS[name](World(Path(place), options.quick, partial(_say, name)))
            except NotHere as reason:
                print(f"{name}: not here: {reason}")
            except Exception:
                failed += 1
                traceback.print_exc()
                print(f"{name}: FAILED")
        print(f"{name}: over after {time.monotonic() - began:.0f} s", flush=True)
    return failed


def _say(name: str, text: str) -> None:
    print(f"{name}: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
