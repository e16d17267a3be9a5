"""The reference with one fault, which the variable P2PWIRE_MUTANT names: for proving that the suite finds it.

Each fault is a small change of the reference's own parts at run time, in `faults_*.py` and nowhere else. The oddities
of `benign.py`, which are no faults, go by the same variable.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import benign
import faults_dialling  # noqa: F401  (enters its faults)
import faults_frames  # noqa: F401
import faults_handshake  # noqa: F401
import faults_hello  # noqa: F401
import faults_link  # noqa: F401
import faults_objects  # noqa: F401
import faults_swarm  # noqa: F401
import faults_versions  # noqa: F401
import forks
import reference
from faults import MUTANTS


def run(name: str) -> None:
    """Be the reference with this fault, or this oddity."""
    known = {**MUTANTS, **benign.VARIANTS}
    if name not in known:
        sys.exit(f"P2PWIRE_MUTANT is {name!r}, must be one of: {', '.join(sorted(known))}")
    known[name]()
    reference.Control().serve()


if __name__ == "__main__":
    asked = os.environ.get("P2PWIRE_MUTANT", "")
    if asked == forks.ASKED_FOR:
        forks.serve(run)
    else:
        run(asked)
