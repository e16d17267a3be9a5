"""`python -m p2pwire.testing.simulation --page|--others RESULTS.jsonl`: what runs came to, for the documentation."""

from __future__ import annotations

import sys
from pathlib import Path

from p2pwire.testing.simulation.page import others, page, results_of


def main(arguments: list[str]) -> int:
    """Print the figures of a file of lines that `p2pwire simulate --json` printed, as a part of a page: those of flash
    crowds, or those of the other scenarios."""
    if len(arguments) != 2 or arguments[0] not in ("--page", "--others"):
        print("usage: python -m p2pwire.testing.simulation --page|--others RESULTS.jsonl", file=sys.stderr)
        return 2
    rows, sums = results_of(Path(arguments[1]).read_text(encoding="utf-8").splitlines())
    print(page(rows) if arguments[0] == "--page" else others(sums), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
