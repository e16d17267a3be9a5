"""`python -m p2pwire.testing.attackers`: what was found (`--page FILE`), for the documentation."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from p2pwire.testing.attackers.trials import findings_of, page


def main(arguments: list[str]) -> int:
    """Print the figures of a file that `p2pwire simulate attacks --json` made, as a page part."""
    if len(arguments) != 2 or arguments[0] != "--page":
        print("usage: python -m p2pwire.testing.attackers --page RESULTS.json", file=sys.stderr)
        return 2
    print(page(findings_of(json.loads(Path(arguments[1]).read_text(encoding="utf-8")))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
