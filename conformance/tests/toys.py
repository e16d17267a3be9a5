"""Facts that several tests share."""

from __future__ import annotations

from pathlib import Path

ADAPTERS = Path(__file__).parents[1] / "adapters"

HELLO = (
    '{"re": "hello", "pctl": 1, "impl": "toy", "version": "1", "spec": ["p2pwire/1"], "roles": ["responder"],'
    ' "net": ["inline"], "features": [], "clock": "virtual"}'
)
