"""Proves cases by mutants: faults in an implementation of the suite's own choice, each of which a case has to find."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from p2pwire_conformance.adapter import Adapter
from p2pwire_conformance.case import CASES, INLINE
from p2pwire_conformance.protocol import requirements
from p2pwire_conformance.runner import Execution, Runner
from p2pwire_conformance.subject import AdapterSubject
from p2pwire_conformance.verdict import RED, AdapterFault, Verdict

VARIABLE: Final = "P2PWIRE_MUTANT"
"""Tells the adapter's process which fault to have."""
AT_ONCE: Final = 2
"""mutants tried at a time, each a process of its own."""
CONTROLS: Final = ("SA-0001", "SA-0002")
"""Cases that have to pass for every mutant that is not told to break them: a subject that cannot do anything proves
nothing."""


@dataclass(frozen=True)
class Mutant:
    """One fault, and what finds it."""

    name: str
    text: str
    killed_by: tuple[str, ...]
    violates: tuple[str, ...] = ()
    """Requirements that it does not meet."""
    breaks: tuple[str, ...] = ()
    """Other cases and groups that may fail because of it."""
    net: str = INLINE


def read(paths: Sequence[Path]) -> list[Mutant]:
    """The lists of mutants. Raises `ValueError` for a case or a requirement that there is not."""
    found = [
        Mutant(
            name,
            row["text"],
            tuple(row["killed_by"]),
            tuple(row.get("violates", ())),
            tuple(row.get("breaks", ())),
            row.get("net", INLINE),
        )
        for path in paths
        for name, row in tomllib.loads(path.read_text(encoding="utf-8")).items()
    ]
    for mutant in found:
        unknown = [id for id in mutant.killed_by if id not in CASES]
        if unknown or not mutant.killed_by:
            raise ValueError(f"{mutant.name}: {unknown or 'nothing'} is no case")
        strange = [id for id in mutant.violates if id not in requirements()]
        if strange:
            raise ValueError(f"{mutant.name}: {strange} is no requirement")
    return found


def check(paths: Sequence[Path], only: Sequence[str], command: list[str], say: Callable[[str], None]) -> int:
    """Run all; 0 if each is killed by each of its cases, and by no control."""
    began = time.monotonic()
    mutants = [mutant for mutant in read(paths) if not only or mutant.name in only]
    bad = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mutant, (wrong, killers) in zip(mutants, pool.map(partial(_try, command), mutants), strict=True):
            bad += bool(wrong)
            say(f"{'SURVIVED ' if wrong else 'killed   '} {mutant.name}: {wrong or killers}")
    say(f"{len(mutants) - bad} of {len(mutants)} mutants killed in {time.monotonic() - began:.1f} s")
    return 1 if bad or not mutants else 0


def _try(command: list[str], mutant: Mutant) -> tuple[str, str]:
    """(why it is not killed as it has to be, or "", what killed it)."""
    adapter = Adapter(command, env={VARIABLE: mutant.name})
    try:
        executions = _run(AdapterSubject(adapter), mutant)
    except AdapterFault as fault:
        return f"it cannot be tried: {fault}", ""
    finally:
        adapter.close()
    killers = [f"{one.case} {one.kind or one.verdict}" for one in executions if one.verdict in RED]
    return _judge(mutant, executions), ", ".join(dict.fromkeys(killers))


def _run(subject: AdapterSubject, mutant: Mutant) -> list[Execution]:
    cases = [CASES[id] for id in (*CONTROLS, *mutant.killed_by)]
    wanted = list(dict.fromkeys((case, role) for case in cases for role in subject.roles if role in case.roles))
    runner = Runner(subject, patience=1.0, again=0)
    return [runner.one(case, role, mutant.net if mutant.net in case.nets else case.nets[0]) for case, role in wanted]


def _judge(mutant: Mutant, executions: Sequence[Execution]) -> str:
    """Why the mutant is not killed as it has to be, or ""."""
    for id in mutant.killed_by:
        if not any(one.case == id and one.verdict in (Verdict.FAIL, Verdict.CRASH) for one in executions):
            seen = {one.verdict.value for one in executions if one.case == id}
            return f"{id} does not find it ({', '.join(sorted(seen))})"
    for one in executions:
        expected = {*mutant.killed_by, *mutant.breaks}
        if one.case in CONTROLS and one.case not in expected and one.verdict is not Verdict.PASS:
            return f"{one.name} fails too ({one.actual})"
        if one.verdict is Verdict.SUITE_ERROR:
            return f"{one.name}: the suite is at fault"
    return ""
