"""The table of attacks, as it is written for the conformance suite."""

from __future__ import annotations

import json
from pathlib import Path

from p2pwire.generate.threats import threats_json

SPEC = Path(__file__).parents[2] / "SPEC.md"


def test_every_row_is_there() -> None:
    text = SPEC.read_text(encoding="utf-8")
    rows = json.loads(threats_json(text))
    assert [row["id"] for row in rows] == [f"T{number}" for number in range(1, 31)]
    assert rows[6] == {
        "id": "T7",
        "attack": "truncation",
        "answer": "an end without CLOSE is reported",
        "requirements": ["CL-040", "CL-041", "CL-042", "CL-043"],
    }


def test_other_tables_are_left_alone() -> None:
    assert json.loads(threats_json("| T1 | too few columns |\n| X1 | a | b | GN-001 |\n")) == []
