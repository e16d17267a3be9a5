"""The vectors of messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "conformance" / "vectors"


def accepted() -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """(title of the message, its bytes, the values of its fields) of every vector of a message that is right."""
    for path in sorted((VECTORS / "codec").glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8"))["vectors"]:
            if row["result"] == "accept":
                yield row["input"]["message"], bytes.fromhex(row["input"]["bytes"]), row["output"]["value"]
