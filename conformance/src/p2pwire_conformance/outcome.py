"""What a whole run amounts to: its exit code, and how it stands to a baseline of known failures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from p2pwire_conformance.case import BOTH, CASES, NETS
from p2pwire_conformance.runner import Execution
from p2pwire_conformance.verdict import RED, Verdict

FINE: Final = 0
REGRESSION: Final = 1
STALE: Final = 2
UNUSABLE: Final = 3
SUITE_ERROR: Final = 4
USAGE: Final = 64


def read_baseline(path: Path) -> set[str]:
    """Known failures, a `CASE` or `CASE/ROLE/NET` a line. Raises `ValueError` for a line that is neither."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    found = {line for line in lines if line}
    for line in sorted(found):
        id, *where = line.split("/")
        if id not in CASES:
            raise ValueError(f"{path}: {line}: there is no case {id}")
        if where and (len(where) != 2 or where[0] not in BOTH or where[1] not in NETS):
            raise ValueError(f"{path}: {line} is neither CASE nor CASE/ROLE/NET")
    return found


def is_known(one: Execution, baseline: set[str]) -> bool:
    """Whether a baseline has this failure."""
    return one.case in baseline or one.name in baseline


def stale(executions: Iterable[Execution], baseline: set[str]) -> list[str]:
    """What a baseline has and is no failure any more. What did not run, or could not, is not judged."""
    red = {name for one in executions if one.verdict in RED for name in (one.case, one.name)}
    ran = {name for one in executions if one.verdict is Verdict.PASS for name in (one.case, one.name)}
    return sorted(line for line in baseline if line in ran and line not in red)


def exit_code(executions: Sequence[Execution], baseline: set[str]) -> int:
    """One of the codes above."""
    verdicts = {one.verdict for one in executions}
    if Verdict.SUITE_ERROR in verdicts:
        return SUITE_ERROR
    if Verdict.PASS not in verdicts:
        return UNUSABLE
    if any(one.verdict in RED and not is_known(one, baseline) for one in executions):
        return REGRESSION
    return STALE if stale(executions, baseline) else FINE
