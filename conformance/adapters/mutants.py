"""The reference with one fault, which the variable P2PWIRE_MUTANT names: for proving that the suite finds it.

Each fault is a small change of the reference's own parts at run time, in `faults_link.py` or `faults_swarm.py` and
nowhere else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import faults_link  # noqa: F401  (enters its faults)
import faults_swarm  # noqa: F401
import reference
from faults import MUTANTS

if __name__ == "__main__":
    name = os.environ.get("P2PWIRE_MUTANT", "")
    if name not in MUTANTS:
        sys.exit(f"P2PWIRE_MUTANT is {name!r}, must be one of: {', '.join(sorted(MUTANTS))}")
    MUTANTS[name]()
    reference.Control().serve()
