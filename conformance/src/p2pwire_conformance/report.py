"""Reports: results.json, JUnit XML, Markdown, and the lines of one run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final
from xml.etree import ElementTree

from p2pwire_conformance import VERSION
from p2pwire_conformance.adapter import SPEC
from p2pwire_conformance.case import CASES, GROUPS
from p2pwire_conformance.link import Line
from p2pwire_conformance.runner import Execution
from p2pwire_conformance.subject import AdapterSubject, Subject
from p2pwire_conformance.verdict import RED, Verdict

SHOWN_BYTES: Final = 256
"""bytes of a line of the log that a report keeps: a record's beginning says what it is."""
NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")
"""Characters that XML 1.0 cannot hold."""


def totals(executions: Sequence[Execution]) -> dict[str, int]:
    """How many of each verdict."""
    counted = Counter(execution.verdict for execution in executions)
    return {verdict.value: counted[verdict] for verdict in Verdict if counted[verdict]}


def results(subject: Subject, executions: Sequence[Execution], seconds: float) -> dict[str, Any]:
    """`results.json`; `results.schema.json` describes it."""
    about: dict[str, Any] = {"name": subject.name, "kind": "bare", "features": sorted(subject.features)}
    if isinstance(subject, AdapterSubject):
        about |= {"kind": "adapter", "command": subject.adapter.command, "choices": subject.choices}
    return {
        "format": 1,
        "suite": VERSION,
        "spec": SPEC,
        "subject": about,
        "totals": totals(executions),
        "seconds": round(seconds, 3),
        "executions": [_execution(execution) for execution in executions],
    }


def _execution(one: Execution) -> dict[str, Any]:
    found: dict[str, Any] = {
        "case": one.case,
        "role": one.role,
        "net": one.net,
        "verdict": one.verdict.value,
        "seconds": round(one.seconds, 4),
        "requirements": list(CASES[one.case].citations),
    }
    for name in ("check", "kind", "expected", "actual"):
        if getattr(one, name):
            found[name] = str(getattr(one, name))
    if one.verdict in RED | {Verdict.WARN}:
        found["log"] = [
            {"at": round(max(0.0, line.at), 4), "direction": line.direction, "text": line.text,
             "hex": line.data[:SHOWN_BYTES].hex()}
            for line in one.log
        ]  # fmt: skip
    return found


def junit(subject: Subject, executions: Sequence[Execution]) -> str:
    """JUnit XML: a suite for each group, role and net."""
    top = ElementTree.Element("testsuites", name=_xml(f"p2pwire-conformance {VERSION}: {subject.name}"))
    suites: dict[str, list[Execution]] = {}
    for one in executions:
        suites.setdefault(f"{one.case[:2]}.{one.role}.{one.net}", []).append(one)
    for name, members in suites.items():
        counted = Counter(_junit_kind(one) for one in members)
        suite = ElementTree.SubElement(
            top,
            "testsuite",
            name=name,
            tests=str(len(members)),
            failures=str(counted["failure"]),
            errors=str(counted["error"]),
            skipped=str(counted["skipped"]),
            time=f"{sum(one.seconds for one in members):.3f}",
        )
        for one in members:
            entry = ElementTree.SubElement(suite, "testcase", name=one.case, classname=name, time=f"{one.seconds:.3f}")
            kind = _junit_kind(one)
            if kind == "skipped":
                ElementTree.SubElement(entry, kind, message=_xml(f"{one.verdict}: {one.actual}"))
            elif kind:
                told = ElementTree.SubElement(entry, kind, message=_xml(one.line), type=one.kind or one.verdict.value)
                told.text = _xml("\n".join(log_lines(one.log)))
    ElementTree.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(top, encoding="unicode") + "\n"


def _junit_kind(one: Execution) -> str:
    if one.verdict in (Verdict.PASS, Verdict.INFO, Verdict.WARN):
        return ""
    if one.verdict in (Verdict.NOT_APPLICABLE, Verdict.BLOCKED):
        return "skipped"
    return "failure" if one.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE) else "error"


def _xml(text: str) -> str:
    return NO_XML.sub("\ufffd", text)


def log_lines(log: Sequence[Line]) -> Iterator[str]:
    """What happened, one line each."""
    for line in log:
        shown = f"  {line.data[:24].hex()}{'…' if len(line.data) > 24 else ''}" if line.data else ""
        yield f"{line.at:8.3f} {line.direction} {line.text}{shown}"


def markdown(subject: Subject, executions: Sequence[Execution]) -> str:
    """A summary by group, and what is red."""
    lines = [
        f"# p2pwire-conformance {VERSION}: {subject.name}",
        "",
        "| group | runs | passed | red | warnings | n/a, blocked, info |",
    ]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for group, text in GROUPS.items():
        members = [one for one in executions if one.case.startswith(group)]
        if members:
            counted = Counter(one.verdict for one in members)
            red = sum(counted[verdict] for verdict in RED)
            other = counted[Verdict.NOT_APPLICABLE] + counted[Verdict.BLOCKED] + counted[Verdict.INFO]
            row = (f"{group} {text}", len(members), counted[Verdict.PASS], red, counted[Verdict.WARN], other)
            lines.append(f"| {' | '.join(map(str, row))} |")
    found = [one for one in executions if one.verdict in RED | {Verdict.WARN}]
    if found:
        lines += ["", "## What is not as it should be", ""]
        lines += [f"- {_plain(one.line)}" for one in found]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return text.splitlines()[0].replace("|", "\\|").replace("<", "&lt;")
