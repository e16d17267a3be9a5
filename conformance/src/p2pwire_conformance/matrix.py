"""Implementations beside each other: a column for each results file, a row for each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from p2pwire_conformance.case import GROUPS
from p2pwire_conformance.verdict import RED, Verdict


def matrix(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: of the runs that applied, how many passed, and how many were red. An empty cell: none applied."""
    names = [str(one["subject"]["name"]).replace("|", "\\|") for one in found]
    lines = ["| group | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    for group, text in GROUPS.items():
        cells = [_cell([run for run in one["executions"] if run["case"].startswith(group)]) for one in found]
        if any(cells):
            lines.append(f"| {group} {text} | " + " | ".join(cells) + " |")
    lines.append("| all | " + " | ".join(_cell(one["executions"]) for one in found) + " |")
    return "\n".join(lines) + "\n"


def _cell(runs: Sequence[Mapping[str, Any]]) -> str:
    verdicts = [Verdict(run["verdict"]) for run in runs]
    applied = [verdict for verdict in verdicts if verdict not in (Verdict.NOT_APPLICABLE, Verdict.INFO)]
    if not applied:
        return ""
    red = sum(verdict in RED for verdict in applied)
    return f"{applied.count(Verdict.PASS)} of {len(applied)}{f', {red} red' if red else ''}"
