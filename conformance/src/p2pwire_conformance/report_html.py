"""One HTML file with everything a run found: no script, style or image from elsewhere."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib import resources
from typing import Final

from p2pwire_conformance import VERSION
from p2pwire_conformance.adapter import SPEC
from p2pwire_conformance.case import CASES, GROUPS, Case
from p2pwire_conformance.hexdump import Part, parts
from p2pwire_conformance.link import Line
from p2pwire_conformance.report import totals
from p2pwire_conformance.runner import Execution
from p2pwire_conformance.subject import AdapterSubject, Subject
from p2pwire_conformance.verdict import RED, Verdict

MAX_SHOWN: Final = 300
"""Runs whose log is in the report; a subject that fails more has a reason that is in the first ones."""
MAX_LINES: Final = 60
"""lines of one log: the last ones, where the failure is."""
MAX_PART: Final = 64
"""bytes of one field."""
MAX_DUMP: Final = 512
"""bytes of one line of the log."""
MAX_PARTS: Final = 120
"""fields of one line of the log."""
WORST: Final = (
    Verdict.SUITE_ERROR,
    Verdict.CRASH,
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.UNTESTABLE,
    Verdict.WARN,
    Verdict.BLOCKED,
    Verdict.PASS,
    Verdict.INFO,
    Verdict.NOT_APPLICABLE,
)
"""Of several verdicts of one case, the first in this list is shown."""


def html(subject: Subject, executions: Sequence[Execution], seconds: float) -> str:
    """The whole report."""
    style = (resources.files("p2pwire_conformance") / "report.css").read_text(encoding="utf-8")
    script = (resources.files("p2pwire_conformance") / "report.js").read_text(encoding="utf-8")
    by_case: dict[str, list[Execution]] = {}
    for one in executions:
        by_case.setdefault(one.case, []).append(one)
    shown = {id(one) for one in [one for one in executions if _has_log(one)][:MAX_SHOWN]}
    pieces = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(subject.name)} · p2pwire conformance</title>",
        f"<style>{style}</style></head><body>",
        *_head(subject, executions, seconds),
        "<main>",
    ]
    for group, text in GROUPS.items():
        members = {name: runs for name, runs in sorted(by_case.items()) if name.startswith(group)}
        if members:
            pieces.append(f'<section data-group="{group}"><h2>{group} <span>{escape(text)}</span></h2>')
            for name, runs in members.items():
                pieces += _case(CASES[name], runs, subject, shown)
            pieces.append("</section>")
    pieces += ['<p id="nothing" hidden>No case fits.</p>', "</main>", f"<script>{script}</script></body></html>", ""]
    return "\n".join(pieces)


def _has_log(one: Execution) -> bool:
    return one.verdict in RED or one.verdict is Verdict.WARN


def _head(subject: Subject, executions: Sequence[Execution], seconds: float) -> Iterator[str]:
    counted = totals(executions)
    red = sum(number for verdict, number in counted.items() if Verdict(verdict) in RED)
    outcome = "red" if red or not counted.get("pass") else "warn" if counted.get("warn") else "pass"
    said = f"{red} red" if red else "nothing passed" if outcome == "red" else "all is well"
    cases = len({one.case for one in executions})
    yield f'<header class="{outcome}"><p class="suite">p2pwire conformance {VERSION} · {SPEC}</p>'
    yield f"<h1>{escape(subject.name)} <strong>{said}</strong></h1>"
    yield f"<p>{cases} cases, {len(executions)} runs in {seconds:.1f} s. The numbers below count runs.</p>"
    yield '<div class="filters" role="group" aria-label="verdicts">'
    yield '<button data-filter="verdict" data-value="" aria-pressed="true">all</button>'
    if red:
        yield '<button class="fail" data-filter="verdict" data-value="red" aria-pressed="false">'
        yield f"red <b>{red}</b></button>"
    for verdict, number in counted.items():
        name = _class(Verdict(verdict))
        yield (
            f'<button class="{name}" data-filter="verdict" data-value="{name}" aria-pressed="false">'
            f"{verdict} <b>{number}</b></button>"
        )
    yield '</div><div class="filters"><label>Group <select data-filter="group"><option value="">all</option>'
    present = {one.case[:2] for one in executions}
    for group, text in GROUPS.items():
        if group in present:
            yield f'<option value="{group}">{group} {escape(text)}</option>'
    yield '</select></label><label>Find <input type="search" placeholder="FR-0001, REKEY, CL-010"></label></div>'
    yield "</header>"


def _class(verdict: Verdict) -> str:
    return "na" if verdict is Verdict.NOT_APPLICABLE else verdict.value


def _worst(runs: Iterable[Execution]) -> Verdict:
    seen = {one.verdict for one in runs}
    return next(verdict for verdict in WORST if verdict in seen)


def _case(case: Case, runs: Sequence[Execution], subject: Subject, shown: set[int]) -> Iterator[str]:
    worst = _worst(runs)
    counted = Counter(one.verdict for one in runs)
    verdicts = " ".join(sorted({_class(one.verdict) for one in runs} | ({"red"} if worst in RED else set())))
    tags = "".join(_tag(verdict, counted[verdict]) for verdict in WORST if counted[verdict])
    opened = " open" if worst in RED else ""
    yield f'<details class="case {_class(worst)}" id="{case.id}" data-verdicts="{verdicts}"{opened}>'
    yield f"<summary><code>{case.id}</code><span class=what>{escape(case.title)}</span>"
    yield f"<span class=tags>{tags}</span></summary>"
    yield "<dl>"
    for citation, requirement in zip(case.citations, case.requirements, strict=True):
        yield f"<dt>{citation}</dt><dd>{escape(requirement.text)}</dd>"
    yield "</dl>"
    fine = [one for one in runs if not _has_log(one)]
    if fine:
        listed = ", ".join(
            f"{one.role} {one.net}{'' if one.verdict is Verdict.PASS else f' {one.verdict.value}: {one.actual}'}"
            for one in fine
        )
        yield f"<p class=runs>{escape(listed)}</p>"
    for one in runs:
        if _has_log(one):
            yield from _run(one, subject, with_log=id(one) in shown)
    yield "</details>"


def _tag(verdict: Verdict, count: int) -> str:
    text = verdict.value if count == 1 else f"{verdict.value} {count}"
    return f'<span class="tag {_class(verdict)}">{text}</span>'


def _run(one: Execution, subject: Subject, *, with_log: bool) -> Iterator[str]:
    name = _class(one.verdict)
    yield f"<article class={name}><h3><span class='tag {name}'>{one.verdict.value}</span> as {one.role}, {one.net}"
    yield f"{f' · {one.check} · {one.kind}' if one.check else ''}</h3><dl class=told>"
    if one.sent:
        yield f"<dt>sent</dt><dd>{escape(one.sent)}</dd>"
    if one.expected:
        yield f"<dt>expected</dt><dd>{escape(one.expected)}</dd>"
    yield f"<dt>came</dt><dd><pre>{escape(one.actual)}</pre></dd>"
    yield f"<dt>again</dt><dd><code class=replay>{escape(replay_line(one, subject))}</code></dd></dl>"
    if with_log and one.log:
        lines = list(one.log)[-MAX_LINES:]
        yield f"<details class=log><summary>What happened, {len(lines)} lines</summary><ol>"
        if len(lines) < len(one.log):
            yield f"<li class=left>{len(one.log) - len(lines)} lines before are left out</li>"
        for line in lines:
            yield from _line(line)
        yield "</ol></details>"
    elif one.log:
        yield f"<p class=left>The log is left out: this report has those of the first {MAX_SHOWN} runs.</p>"
    yield "</article>"


def replay_line(one: Execution, subject: Subject) -> str:
    """A command that does this run again, with the same keys and bytes."""
    command = ["p2pwire-conformance", "run", "-v", "--case", one.case, "--role", one.role, "--net", one.net]
    if isinstance(subject, AdapterSubject):
        return shlex.join([*command, "--", *subject.adapter.command])
    return shlex.join([*command, "--bare", subject.name])


DIRECTIONS: Final = {"→": "sent", "←": "came", "·": "note", "!": "wrong"}


def _line(line: Line) -> Iterator[str]:
    text = line.text if len(line.text) < 1000 else f"{line.text[:1000]}…"
    yield f"<li class={DIRECTIONS.get(line.direction, 'note')}><time>{max(0.0, line.at):.3f}</time>"
    yield f"<span class=way>{line.direction}</span><span class=said>{escape(text)}</span>"
    if line.data:
        yield "<table class=hex>"
        shown = 0
        found = parts(line)
        for number, part in enumerate(found):
            if shown >= MAX_DUMP or number >= MAX_PARTS:
                left = len(line.data) - part.offset
                yield f"<tr><td colspan=3 class=left>{left} bytes more</td></tr>"
                break
            yield _part(part)
            shown += len(part.data[:MAX_PART])
        yield "</table>"
    yield "</li>"


def _part(part: Part) -> str:
    data = part.data[:MAX_PART].hex(" ")
    more = f" … {len(part.data)} bytes" if len(part.data) > MAX_PART else ""
    note = f" <i>{escape(part.note)}</i>" if part.note else ""
    return f"<tr><td>{part.offset:04x}</td><td>{data}{more}</td><td>{escape(part.name)}{note}</td></tr>"
