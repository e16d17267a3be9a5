"""The rows of the specification's table of attacks, for `conformance/threats.json`: what has to be shown by a test."""

from __future__ import annotations

import json
import re
from typing import Final

_ROW: Final = re.compile(r"^\| (T\d+) \| (.+?) \| (.+?) \| ([A-Z, 0-9-]+) \|$", re.MULTILINE)


def threats_json(specification: str) -> str:
    """The table of section 16.2 as a list of `id`, `attack`, `answer` and `requirements`."""
    rows = [
        {"id": found[1], "attack": found[2], "answer": found[3], "requirements": found[4].split(", ")}
        for found in _ROW.finditer(specification)
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
