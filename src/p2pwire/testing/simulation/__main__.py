"""`python -m p2pwire.testing.simulation --page RESULTS.jsonl`: what runs came to, for the documentation."""

from __future__ import annotations

import sys
from pathlib import Path

from p2pwire.testing.simulation.page import page, rows_of


def main(arguments: list[str]) -> int:
    """Print the figures of a file of lines that `p2pwire simulate --json` printed, as a page part."""
    if len(arguments) != 2 or arguments[0] != "--page":
        print("usage: python -m p2pwire.testing.simulation --page RESULTS.jsonl", file=sys.stderr)
        return 2
    print(page(rows_of(Path(arguments[1]).read_text(encoding="utf-8").splitlines())), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
