"""Proves the suite: by mutants, each of which a case has to find; by benign variants, at which no case may take
offence; and by subjects that do nothing right, which may pass nothing."""

from __future__ import annotations

import hashlib
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from p2pwire_conformance import VERSION
from p2pwire_conformance.adapter import Adapter
from p2pwire_conformance.breaks import accept
from p2pwire_conformance.case import CASES, GROUPS, INLINE, NETS, Case
from p2pwire_conformance.outcome import UNUSABLE, exit_code
from p2pwire_conformance.protocol import requirements
from p2pwire_conformance.runner import PATIENCE, Execution, Runner, plan
from p2pwire_conformance.subject import AdapterSubject, BareSubject, Subject
from p2pwire_conformance.variants import Variants
from p2pwire_conformance.verdict import AdapterFault, Verdict

PARTS: Final = ("mutants", "benign", "nothing")
CONTROLS: Final = ("SA-0001", "SA-0002")
"""Cases that have to pass for every mutant that is not told to break them: a subject that cannot do anything proves
nothing."""
KILLING: Final = 1.0
"""seconds that a mutant on a real clock has for what it is not expected to do anyway."""
NOTHING: Final = ("null", "echo", "slam", "random")
LONG: Final = ("EN-0050", "EN-0051", "EN-0054", "CL-0055")
"""Cases that send 65536 records or 20 MiB: benign variants that do nothing to records go without, and they are in no
sample."""
ONE_OF: Final = 50
"""cases, of which one is in the sample of a mutant: 24 for each mutant, and 8 mutants for each case."""
MANY: Final = 8
"""groups that a mutant may break without saying why."""
KILLED: Final = frozenset({Verdict.FAIL, Verdict.WARN})
"""Verdicts by which a case finds a fault: a warning where it is a SHOULD that is not followed. A mutant that crashes is
no mutant."""


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
    because: str = ""
    """Why it breaks many groups."""
    net: str = INLINE


@dataclass(frozen=True)
class Benign:
    """One oddity that nothing forbids."""

    name: str
    text: str
    nets: tuple[str, ...] = (INLINE,)
    not_applicable: tuple[str, ...] = ()
    """Cases that may find that it lacks what they need."""
    without: tuple[str, ...] = ()
    """Cases, or beginnings of their ids, that would take long and cannot tell more."""


@dataclass
class Trying:
    """What came of one subject."""

    part: str
    name: str
    text: str
    wrong: list[str] = field(default_factory=list)
    """Why the suite is not as it has to be."""
    executions: list[Execution] = field(default_factory=list)
    killers: list[str] = field(default_factory=list)
    violates: tuple[str, ...] = ()
    expected: frozenset[str] = frozenset()
    """What it is to be found by, or may break."""
    broken: set[str] = field(default_factory=set)
    """Groups that it was not told to break."""
    seconds: float = 0.0


def read(paths: Sequence[Path]) -> list[Mutant]:
    """The lists of mutants. Raises `ValueError` for a case or a requirement that there is not."""
    found = [
        Mutant(
            name,
            row["text"],
            tuple(row["killed_by"]),
            tuple(row.get("violates", ())),
            tuple(row.get("breaks", GROUPS if "because" in row else ())),
            row.get("because", ""),
            row.get("net", INLINE),
        )
        for name, row in _rows(paths)
    ]
    for mutant in found:
        unknown = [id for id in mutant.killed_by if id not in CASES]
        if unknown or not mutant.killed_by:
            raise ValueError(f"{mutant.name}: {unknown or 'nothing'} is no case")
        strange = [id for id in mutant.violates if id not in requirements()]
        if strange:
            raise ValueError(f"{mutant.name}: {strange} is no requirement")
        strange = [start for start in mutant.breaks if start[:2] not in GROUPS]
        if strange:
            raise ValueError(f"{mutant.name}: {strange} is the beginning of no case")
        if len({start[:2] for start in mutant.breaks}) > MANY and not mutant.because:
            raise ValueError(f"{mutant.name} breaks more than {MANY} groups and does not say because of what")
    return found


def read_benign(path: Path) -> list[Benign]:
    """The list of benign variants. Raises `ValueError` for a net or a case that there is not."""
    found = [
        Benign(
            name,
            row["text"],
            tuple(row.get("nets", (INLINE,))),
            tuple(row.get("not_applicable", ())),
            tuple(row.get("without", LONG)),
        )
        for name, row in _rows([path])
    ]
    for one in found:
        strange = [net for net in one.nets if net not in NETS]
        strange += [start for start in (*one.without, *one.not_applicable) if start[:2] not in GROUPS]
        if strange:
            raise ValueError(f"{one.name}: {strange} is neither net nor the beginning of a case")
    return found


def _rows(paths: Iterable[Path]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for path in paths:
        yield from tomllib.loads(path.read_text(encoding="utf-8")).items()


# --- mutants ---


def is_drawn(name: str, id: str, one_of: int) -> bool:
    """Whether a case is in a sample: by the names alone, so that neither another case nor another mutant changes it."""
    return int.from_bytes(hashlib.sha256(f"{name} {id}".encode()).digest()[:8], "big") % one_of == 0


def sample(mutant: Mutant) -> list[Case]:
    """Cases that it is not to break: others for each mutant, so that all mutants together try all."""
    expected = (*mutant.killed_by, *mutant.breaks, *LONG)
    return [
        case for case in CASES.values() if not case.id.startswith(expected) and is_drawn(mutant.name, case.id, ONE_OF)
    ]


def try_mutant(adapter: Adapter, mutant: Mutant) -> Trying:
    """Run what has to find it, the controls and the sample."""
    drawn = sample(mutant)
    found = Trying("mutants", mutant.name, mutant.text, violates=mutant.violates)
    found.expected = frozenset((*mutant.killed_by, *mutant.breaks))
    try:
        subject = AdapterSubject(adapter)
        for cases, patience in (
            ([CASES[id] for id in mutant.killed_by], KILLING),
            ([CASES[id] for id in CONTROLS if id not in mutant.killed_by] + drawn, PATIENCE),
        ):
            runner = Runner(subject, patience=patience, again=0)
            for case in cases:
                net = mutant.net if mutant.net in case.nets else case.nets[0]
                roles = [role for role in subject.roles if role in case.roles]
                if case in drawn:
                    roles = [one_role(mutant.name, case, roles)]
                found.executions += [runner.one(case, role, net) for role in roles]
    except AdapterFault as fault:
        found.wrong.append(f"it cannot be tried: {fault}")
        return found
    found.killers = sorted({one.case for one in found.executions if one.verdict in KILLED} & set(mutant.killed_by))
    for id in mutant.killed_by:
        if id not in found.killers:
            seen = {one.verdict.value for one in found.executions if one.case == id}
            found.wrong.append(f"{id} does not find it ({', '.join(sorted(seen))})")
    allowed = (*mutant.killed_by, *mutant.breaks)
    for one in found.executions:
        if one.verdict is Verdict.SUITE_ERROR:
            found.wrong.append(f"{one.name}: the suite is at fault: {one.actual.splitlines()[-1]}")
        elif not one.case.startswith(allowed) and not _is_green(one):
            found.broken.add(one.case[:2])
            found.wrong.append(f"it is not told to break {one.line}")
    return found


def one_role(name: str, case: Case, roles: Sequence[str]) -> str:
    """One is enough where the subject is one of many, and not always the same."""
    fitting = [role for role in sorted(roles) if role in case.roles]
    return fitting[is_drawn(f"{name} role", case.id, 2) % len(fitting)]


def _is_green(one: Execution) -> bool:
    return one.verdict in (Verdict.PASS, Verdict.INFO, Verdict.NOT_APPLICABLE)


# --- benign variants ---


def try_benign(adapter: Adapter, benign: Benign, *, whole: bool = False) -> Trying:
    """Run a half of all that applies to it, in one role, or all of it in both: everything has to pass."""
    found = Trying("benign", benign.name, benign.text)
    try:
        subject = AdapterSubject(adapter)
        cases = [case for case in CASES.values() if not case.id.startswith(benign.without)]
        planned = plan(cases, subject.roles, benign.nets)
        if not whole:
            roles = {one.id: one_role(benign.name, one, subject.roles) for one in cases}
            planned = (one for one in planned if is_drawn(benign.name, one[0].id, 2) and roles[one[0].id] == one[1])
        found.executions = Runner(subject, again=0).run(planned)
    except AdapterFault as fault:
        found.wrong.append(f"it cannot be tried: {fault}")
    for one in found.executions:
        lacks = one.verdict is Verdict.NOT_APPLICABLE and one.case.startswith(benign.not_applicable)
        if one.verdict not in (Verdict.PASS, Verdict.INFO) and not lacks:
            found.wrong.append(f"false failure: {one.line}")
    return found


# --- subjects that do nothing right ---


def try_nothing(kind: str, command: Sequence[str]) -> Trying:
    """Run everything against a subject that must not pass anything."""
    found = Trying("nothing", kind, f"{kind}: does nothing right")
    how, _, name = kind.partition(" ")
    adapter = Adapter([*command, f"raw-{name}" if how == "raw" else name])
    try:
        subject: Subject = AdapterSubject(adapter)
        if how == "bare":
            address = adapter.request("start", run="x", case="", role="responder", net="listen", via="tcp", config={})
            subject = BareSubject(address["addr"])
        runner = Runner(subject, patience=0.2, again=0)
        found.executions = runner.run(plan(CASES.values(), subject.roles, subject.nets))
        code = exit_code(found.executions, set())
        if code != UNUSABLE:
            found.wrong.append(f"exit code {code} and not {UNUSABLE}")
    except AdapterFault as fault:
        if how != "raw" or "\n" in str(fault):
            found.wrong.append(f"it cannot be tried: {fault}")
    else:
        if how == "raw":
            found.wrong.append("what speaks no PCTL is taken for an adapter")
    finally:
        adapter.close()
    found.wrong += [f"it passes {one.name}" for one in found.executions if one.verdict in (Verdict.PASS, Verdict.INFO)]
    return found


# --- all of it ---


@dataclass(frozen=True)
class Given:
    """What there is to try."""

    mutants: Sequence[Path]
    benign: Path | None
    command: Sequence[str]
    """The adapter of mutants and benign variants."""
    nothing: Sequence[str] = ()
    """The adapter of subjects that do nothing right."""
    only: Sequence[str] = ()
    """Parts and names; none: all."""
    jobs: int = 2
    accept: bool = False
    """Whether to write what else mutants break into their lists."""
    whole: bool = False
    """Whether benign variants go through all cases in both roles."""


def check(given: Given, say: Callable[[str], None]) -> tuple[int, dict[str, Any]]:
    """Try all: (0 if everything is as it has to be, the results for a file). Raises `ValueError` for lists that cannot
    be read, and for a name that nothing has."""
    _check_names(given)
    began = time.monotonic()
    variants = Variants(given.command)
    tried: list[Trying] = []
    lock = threading.Lock()

    def told(future: Future[Trying]) -> None:
        with lock:
            if not future.cancelled() and future.exception() is None:
                say(_line(future.result()))

    def timed(work: Callable[[], Trying]) -> Trying:
        start = time.monotonic()
        found = work()
        found.seconds = time.monotonic() - start
        return found

    # Those that do nothing take time by waiting, and hardly any work.
    with ThreadPoolExecutor(given.jobs) as pool, ThreadPoolExecutor(len(NOTHING)) as idle:
        futures = [idle.submit(timed, work) for work in _nothings(given)]
        futures += [pool.submit(timed, work) for work in _works(given, variants)]
        for future in futures:
            future.add_done_callback(told)
        try:
            tried = [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    variants.close()
    mutants = [one for one in tried if one.part == "mutants"]
    if mutants:
        say("\n" + "\n".join(matrix(mutants)) + "\n")
    if given.accept:
        number = accept(given.mutants, {one.name: one.broken for one in mutants if one.broken})
        say(f"{number} mutants are now told to break more than before: look at the difference")
    seconds = time.monotonic() - began
    bad = [one for one in tried if one.wrong]
    say(_summary(tried, seconds))
    return (1 if bad or not tried else 0), _results(tried, seconds)


def _check_names(given: Given) -> None:
    known = {*PARTS, *_kinds(given), *(one.name for one in read(given.mutants))}
    if given.benign is not None:
        known |= {one.name for one in read_benign(given.benign)}
    for name in given.only:
        if name not in known:
            raise ValueError(f"--only: is {name!r}, must be {', '.join(PARTS)}, or the name of one of them")


def _works(given: Given, variants: Variants) -> list[Callable[[], Trying]]:
    listed = [] if given.benign is None else read_benign(given.benign)
    works: list[Callable[[], Trying]] = [
        partial(_closing, variants.adapter(one.name), partial(try_benign, benign=one, whole=given.whole))
        for one in listed
        if _wanted(given, "benign", one.name)
    ]
    return works + [
        partial(_closing, variants.adapter(one.name), partial(try_mutant, mutant=one))
        for one in read(given.mutants)
        if _wanted(given, "mutants", one.name)
    ]


def _closing(adapter: Adapter, work: Callable[[Adapter], Trying]) -> Trying:
    try:
        return work(adapter)
    finally:
        adapter.close()


def _kinds(given: Given) -> list[str]:
    """The subjects that do nothing right."""
    return [f"{how} {name}" for how in ("raw", "bare", "adapter") for name in NOTHING] if given.nothing else []


def _nothings(given: Given) -> list[Callable[[], Trying]]:
    return [partial(try_nothing, kind, given.nothing) for kind in _kinds(given) if _wanted(given, "nothing", kind)]


def _wanted(given: Given, part: str, name: str) -> bool:
    return not given.only or part in given.only or name in given.only


# --- what is told ---


def _line(one: Trying) -> str:
    if one.wrong:
        return "\n".join([f"WRONG    {one.name}: {one.text}", *(f"         {text}" for text in one.wrong)])
    if one.part == "mutants":
        return f"killed   {one.name}: {', '.join(one.killers)}"
    count = sum(_is_green(execution) for execution in one.executions)
    return f"benign   {one.name}: {count} green" if one.part == "benign" else f"nothing  {one.name}: passes nothing"


def cell(one: Trying, group: str) -> str:
    """How the cases of a group see a mutant: K killed, b another failure that was foreseen, ! one that was not, the dot
    green."""
    members = [execution for execution in one.executions if execution.case[:2] == group]
    if any(not _is_green(execution) and not execution.case.startswith(tuple(one.expected)) for execution in members):
        return "!"
    if any(execution.case in one.killers for execution in members):
        return "K"
    if any(not _is_green(execution) for execution in members):
        return "b"
    return "." if members else " "


def matrix(mutants: Sequence[Trying]) -> list[str]:
    """Mutant by group, as text."""
    width = max(len(one.name) for one in mutants)
    head = f"{'':{width}}  {' '.join(GROUPS)}"
    rows = [f"{one.name:{width}}  {'  '.join(cell(one, group) for group in GROUPS)}".rstrip() for one in mutants]
    return [head, *rows, "K killed   . green   b failed too, as foreseen   ! failed, and was not to"]


def _summary(tried: Sequence[Trying], seconds: float) -> str:
    texts = []
    for part, what in zip(PARTS, ("mutants killed", "benign variants pass", "idle subjects pass nothing"), strict=True):
        members = [one for one in tried if one.part == part]
        if members:
            texts.append(f"{sum(not one.wrong for one in members)} of {len(members)} {what}")
    ran = sum(len(one.executions) for one in tried)
    sampled = {one.case for trying in tried for one in trying.executions if trying.part == "mutants"}
    return f"{'; '.join(texts)}; {ran} runs, {len(sampled)} of {len(CASES)} cases against mutants, in {seconds:.1f} s"


def _results(tried: Sequence[Trying], seconds: float) -> dict[str, Any]:
    return {
        "format": 1,
        "suite": VERSION,
        "seconds": round(seconds, 3),
        "groups": dict(GROUPS),
        **{part: [_result(one) for one in tried if one.part == part] for part in PARTS},
    }


def _result(one: Trying) -> dict[str, Any]:
    counted: dict[str, int] = {}
    for execution in one.executions:
        counted[execution.verdict.value] = counted.get(execution.verdict.value, 0) + 1
    found: dict[str, Any] = {
        "name": one.name,
        "text": one.text,
        "wrong": one.wrong,
        "seconds": round(one.seconds, 3),
        "totals": counted,
    }
    if one.part == "mutants":
        found["violates"] = list(one.violates)
        found["killed_by"] = one.killers
        found["groups"] = {group: cell(one, group) for group in GROUPS if cell(one, group).strip()}
        found["runs"] = [
            {"case": run.case, "role": run.role, "net": run.net, "verdict": run.verdict.value, "kind": str(run.kind)}
            for run in one.executions
        ]
    return found
