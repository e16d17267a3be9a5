"""Runs cases against a subject, and makes a verdict of what happens."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from p2pwire_conformance.case import CASES, GROUPS, Case
from p2pwire_conformance.link import PROBES, Line
from p2pwire_conformance.subject import Subject
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import AdapterFault, Failed, Informed, NotApplicable, Untestable, Verdict

PATIENCE: Final = 5.0
"""seconds that a subject on a real clock has for what it must do at once: below every timer of the specification."""
AGAIN: Final = 2
"""more runs of what failed, alone, before it is said to have failed."""
SHOWN: Final = 120
"""characters of what was sent, in a line."""
SWITCH: Final = 0.001
"""seconds that one worker may keep the interpreter from another that has an answer to read."""


@dataclass(frozen=True)
class Execution:
    """One run of one case, and what came of it."""

    case: str
    role: str
    net: str
    verdict: Verdict
    seconds: float
    check: str = ""
    kind: str = ""
    expected: str = ""
    actual: str = ""
    log: Sequence[Line] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """Case, role and net."""
        return f"{self.case}/{self.role}/{self.net}"

    @property
    def sent(self) -> str:
        """What the suite sent last before it judged, but for PINGs by which it looks whether anything comes."""
        for line in reversed(self.log):
            if line.direction == "→" and not line.data[3:].startswith(PROBES):
                return line.text.removeprefix("record: ")
        return ""

    @property
    def line(self) -> str:
        """What there is to say in one line."""
        if self.verdict in (Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE):
            cited = ", ".join(CASES[self.case].citations)
            where = f"{self.case}/{self.check} [{cited}] as {self.role}, {self.net}"
            sent = self.sent if len(self.sent) <= SHOWN else f"{self.sent[:SHOWN]}…"
            told = f"sent {sent}; " if sent else ""
            return f"{self.verdict.upper()} {where}: {self.kind}: {told}expected {self.expected}; {self.actual}"
        return f"{self.verdict.upper()} {self.name}{f': {self.actual}' if self.actual else ''}"


def plan(cases: Iterable[Case], roles: Sequence[str], nets: Sequence[str]) -> Iterator[tuple[Case, str, str]]:
    """The order of a run: net by net, group by group; the sanity cases come first."""
    order = {group: number for number, group in enumerate(GROUPS)}
    listed = sorted(cases, key=lambda case: (order[case.group], case.id))
    for net in nets:
        for role in roles:
            fitting = [case for case in listed if net in case.nets and role in case.roles]
            for case in fitting:
                yield case, role, net


Planned = tuple[Case, str, str]
"""A case, the subject's role, and the net."""


def run_all(
    subjects: Sequence[Subject],
    planned: Sequence[Planned],
    *,
    patience: float = PATIENCE,
    again: int = AGAIN,
    each: Callable[[Execution], None] = lambda execution: None,
) -> list[Execution]:
    """Run all, each subject working on a part; they are of one kind. `each` hears of every one, in the order planned.

    What others depend on comes first and alone, and so is run again what failed.
    """
    runner = Runner(subjects[0], patience=patience, again=again)
    if len(subjects) == 1:
        return runner.run(planned, each)
    first = {id for case, _, _ in planned for id in case.depends}
    found: dict[int, Execution] = {}
    for number, (case, role, net) in enumerate(planned):
        if case.id in first:
            found[number] = runner.done[f"{case.id}/{role}/{net}"] = runner.one(case, role, net)
    _share(subjects, [(n, one) for n, one in enumerate(planned) if n not in found], found, runner.done, patience)
    ordered: list[Execution] = []
    for number, one in enumerate(planned):
        execution = found[number] if one[0].id in first else runner.confirm(found[number], one[0])
        ordered.append(execution)
        each(execution)
    return ordered


def _share(
    subjects: Sequence[Subject],
    planned: Sequence[tuple[int, Planned]],
    found: dict[int, Execution],
    done: MutableMapping[str, Execution],
    patience: float,
) -> None:
    """Run these once, each by the next worker that is free."""
    left = list(reversed(planned))
    lock = threading.Lock()
    stop = threading.Event()

    def work(subject: Subject) -> None:
        runner = Runner(subject, patience=patience, again=0, done=done)
        while not stop.is_set():
            with lock:
                if not left:
                    return
                number, one = left.pop()
            found[number] = runner.one(*one)

    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        with ThreadPoolExecutor(len(subjects)) as pool:
            try:
                for worker in [pool.submit(work, subject) for subject in subjects]:
                    worker.result()
            finally:
                stop.set()
    finally:
        sys.setswitchinterval(before)


class Runner:
    """Runs cases one after another and remembers what passed."""

    def __init__(
        self,
        subject: Subject,
        *,
        patience: float = PATIENCE,
        again: int = AGAIN,
        done: MutableMapping[str, Execution] | None = None,
    ) -> None:
        self.subject = subject
        self.patience = patience
        self.again = again
        self.done: MutableMapping[str, Execution] = {} if done is None else done

    def run(
        self, cases: Iterable[Planned], each: Callable[[Execution], None] = lambda execution: None
    ) -> list[Execution]:
        """Run all; `each` hears of every one as it ends."""
        found: list[Execution] = []
        for case, role, net in cases:
            execution = self.one(case, role, net)
            self.done[execution.name] = execution
            found.append(execution)
            each(execution)
        return found

    def one(self, case: Case, role: str, net: str) -> Execution:
        """One case, run again where it fails."""
        missing = case.features - self.subject.features
        if missing:
            return Execution(case.id, role, net, Verdict.NOT_APPLICABLE, 0.0, actual=f"feature:{min(missing)}")
        for id in case.depends:
            before = self.done.get(f"{id}/{role}/{net}")
            if before is not None and before.verdict is not Verdict.PASS:
                lacks = before.verdict is Verdict.NOT_APPLICABLE
                verdict = Verdict.NOT_APPLICABLE if lacks else Verdict.BLOCKED
                return Execution(case.id, role, net, verdict, 0.0, actual=f"{id}: {before.verdict}")
        return self.confirm(self._once(case, role, net), case)

    def confirm(self, first: Execution, case: Case) -> Execution:
        """Run what failed again, to see whether it always does."""
        if first.verdict not in (Verdict.FAIL, Verdict.WARN):
            return first
        for _ in range(self.again):
            other = self._once(case, first.role, first.net)
            if (other.verdict, other.check) != (first.verdict, first.check):
                told = f"{first.actual}; and when run again: {other.verdict} {other.actual}".rstrip()
                return replace(first, verdict=Verdict.INCONCLUSIVE, actual=told)
        return first

    def _once(self, case: Case, role: str, net: str) -> Execution:
        trial = Trial(self.subject, case, role, net, self.patience)
        began = time.monotonic()
        verdict, check, kind, expected, actual = Verdict.PASS, "", "", "", ""
        try:
            try:
                case.run(trial)
            except AdapterFault:
                with suppress(AdapterFault):
                    trial.end()
                raise
            except BaseException:
                # If the subject did not survive, that is what there is to say.
                trial.end()
                raise
            trial.end()
        except Failed as failed:
            verdict = Verdict.FAIL if case.is_must else Verdict.WARN
            check, kind, expected, actual = failed.check, failed.kind, failed.expected, failed.actual
        except Informed as measured:
            verdict, actual = Verdict.INFO, str(measured)
        except NotApplicable as reason:
            verdict, actual = Verdict.NOT_APPLICABLE, str(reason)
        except Untestable as reason:
            verdict, actual = Verdict.UNTESTABLE, str(reason)
        except AdapterFault as fault:
            verdict, actual = Verdict.CRASH, str(fault)
        except Exception:
            verdict, actual = Verdict.SUITE_ERROR, traceback.format_exc().strip()
        seconds = time.monotonic() - began
        return Execution(case.id, role, net, verdict, seconds, check, kind, expected, actual, tuple(trial.log))
