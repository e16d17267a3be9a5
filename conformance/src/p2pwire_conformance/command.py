"""`p2pwire-conformance`: run, list, explain, replay, smoke, selfcheck."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

import p2pwire_conformance.cases  # noqa: F401  (enters all cases)
from p2pwire_conformance import VERSION, report
from p2pwire_conformance import selfcheck as proving
from p2pwire_conformance import trace as tracing
from p2pwire_conformance.adapter import Adapter
from p2pwire_conformance.badge import badge
from p2pwire_conformance.carrier import host_and_port
from p2pwire_conformance.case import BOTH, CASES, GROUPS, NETS, Case
from p2pwire_conformance.contract import problem
from p2pwire_conformance.matrix import matrix as compared
from p2pwire_conformance.outcome import (
    FINE,
    REGRESSION,
    STALE,
    UNUSABLE,
    USAGE,
    exit_code,
    is_known,
    read_baseline,
    stale,
)
from p2pwire_conformance.protocol import read_data, requirements, threats
from p2pwire_conformance.report_html import html
from p2pwire_conformance.runner import PATIENCE, Execution, Planned, Runner, plan, run_all
from p2pwire_conformance.smoke import smoke as check_adapter
from p2pwire_conformance.subject import AdapterSubject, BareSubject, Subject
from p2pwire_conformance.vectors_command import check as check_vectors
from p2pwire_conformance.verdict import RED, AdapterFault, Verdict

INTERRUPTED: Final = 130
"""As shells have it for Ctrl-C."""
F = TypeVar("F", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION)
def cli() -> None:
    """Judges implementations of p2pwire/1.

    Exit codes: 0 all is well or in the baseline; 1 something failed; 2 the baseline lists what passes now; 3 the
    subject cannot be used; 4 the suite is at fault; 64 wrong usage.
    """


def _filters(function: F) -> F:
    for option in (
        click.option("--net", "nets", multiple=True, type=click.Choice(NETS), help="Only these nets."),
        click.option(
            "--role", "roles", multiple=True, type=click.Choice(BOTH), help="Only these roles of the subject."
        ),
        click.option("--case", "ids", multiple=True, metavar="ID", help="Only these cases, or groups: HS, HS-00."),
        click.option("--req", "cited", multiple=True, metavar="ID", help="Only cases of these requirements."),
    ):
        function = option(function)
    return function


def _chosen(ids: Sequence[str], cited: Sequence[str]) -> list[Case]:
    unknown = [id for id in cited if id not in requirements()]
    if unknown:
        raise click.UsageError(f"{unknown[0]} is no requirement")
    found = [
        case
        for case in CASES.values()
        if (not ids or any(case.id.startswith(id) for id in ids))
        and (not cited or {requirement.id for requirement in case.requirements} & set(cited))
    ]
    if not found:
        raise click.UsageError("no case fits")
    return found


@cli.command(context_settings={"ignore_unknown_options": False})
@_filters
@click.option("--bare", metavar="HOST:PORT", help="Judge the responder at this address, without an adapter.")
@click.option("--patience", default=PATIENCE, show_default=True, help="Seconds for what has to happen at once.")
@click.option("--results", type=click.Path(path_type=Path), help="Write results.json here.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML here.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write a summary in Markdown here.")
@click.option("--html", "page", type=click.Path(path_type=Path), help="Write everything as one HTML file here.")
@click.option("--badge", "image", type=click.Path(path_type=Path), help="Write a badge in SVG here.")
@click.option(
    "--baseline", type=click.Path(path_type=Path, exists=True), help="Known failures: a CASE/ROLE/NET or CASE a line."
)
@click.option(
    "--jobs",
    default=min(4, os.cpu_count() or 1),
    show_default=True,
    type=click.IntRange(1, 64),
    help="So many adapters work at a time.",
)
@click.option(
    "--repeat",
    default=1,
    metavar="N",
    type=click.IntRange(1),
    help="Run all N times: a verdict that differs from the first run is a failure.",
)
@click.option("-v", "--verbose", is_flag=True, help="One line for every run, and a log for each that is red.")
@click.argument("adapter", nargs=-1)
def run(
    nets: Sequence[str],
    roles: Sequence[str],
    ids: Sequence[str],
    cited: Sequence[str],
    bare: str | None,
    patience: float,
    results: Path | None,
    junit: Path | None,
    markdown: Path | None,
    page: Path | None,
    image: Path | None,
    baseline: Path | None,
    jobs: int,
    repeat: int,
    verbose: bool,
    adapter: Sequence[str],
) -> None:
    """Run cases against an ADAPTER, given as a command after `--`, or against a bare address."""
    cases = _chosen(ids, cited)
    subject = _subject(bare, adapter)
    known = _baseline(baseline)
    began = time.monotonic()
    listed = _with_prerequisites(cases)
    chosen_roles = [role for role in subject.roles if not roles or role in roles]
    chosen_nets = [net for net in subject.nets if not nets or net in nets]
    planned = list(plan(listed, chosen_roles, chosen_nets))
    subjects = [subject, *(_subject(None, adapter) for _ in range(jobs - 1) if not bare)]
    try:
        executions = run_all(subjects, planned, patience=patience, each=lambda one: _told(one, known, verbose))
        seconds = time.monotonic() - began
        differing = _repeated(subjects, planned, executions, patience, repeat)
    finally:
        for one in subjects:
            if isinstance(one, AdapterSubject):
                one.adapter.close()
    reports: dict[Path | None, Callable[[], str]] = {
        results: lambda: _json(report.results(subject, executions, seconds)),
        junit: lambda: report.junit(subject, executions),
        markdown: lambda: report.markdown(subject, executions),
        page: lambda: html(subject, executions, seconds),
        image: lambda: badge(executions),
    }
    for path, write in reports.items():
        if path is not None:
            path.write_text(write(), encoding="utf-8")
    counted = ", ".join(f"{number} {verdict}" for verdict, number in report.totals(executions).items())
    ran = len({one.case for one in executions})
    click.echo(f"{subject.name}: {ran} cases, {len(executions)} runs in {seconds:.1f} s: {counted or 'nothing'}")
    code = exit_code(executions, known)
    if code == STALE:
        click.echo(f"stale in the baseline, since it passes now: {', '.join(stale(executions, known))}")
    raise SystemExit(REGRESSION if differing and code in (FINE, STALE) else code)


def _with_prerequisites(cases: Sequence[Case]) -> list[Case]:
    """What others depend on runs, even if it was not asked for."""
    found = {case.id: case for case in cases}
    waiting = list(cases)
    while waiting:
        for id in waiting.pop().depends:
            if id not in found:
                found[id] = CASES[id]
                waiting.append(CASES[id])
    return list(found.values())


def _repeated(
    subjects: Sequence[Subject], planned: Sequence[Planned], first: Sequence[Execution], patience: float, times: int
) -> int:
    """Run all again until it was run so many times; how many runs had another verdict than the first."""
    differing = 0
    for number in range(2, times + 1):
        began = time.monotonic()
        executions = run_all(subjects, planned, patience=patience)
        other = [b for a, b in zip(first, executions, strict=True) if a.verdict is not b.verdict]
        differing += len(other)
        click.echo(f"run {number} of {times}: {len(other)} differ, {time.monotonic() - began:.1f} s")
        for one in other:
            click.echo(one.line)
            click.echo("\n".join(report.log_lines(one.log)))
    return differing


def _json(found: Any) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _subject(bare: str | None, adapter: Sequence[str]) -> Subject:
    if bool(bare) is bool(adapter):
        raise click.UsageError("give either an adapter's command after `--`, or --bare HOST:PORT")
    if bare:
        try:
            host_and_port(bare)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        return BareSubject(bare)
    try:
        return AdapterSubject(Adapter(adapter))
    except AdapterFault as fault:
        click.echo(str(fault), err=True)
        raise SystemExit(UNUSABLE) from None


def _baseline(path: Path | None) -> set[str]:
    if path is None:
        return set()
    try:
        return read_baseline(path)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _told(one: Execution, known: set[str], verbose: bool) -> None:
    if one.verdict in RED and not is_known(one, known):
        click.echo(one.line)
        if verbose:
            click.echo("\n".join(report.log_lines(one.log)))
    elif verbose or one.verdict is Verdict.WARN:
        click.echo(one.line)


@cli.command(name="list")
@_filters
def list_cases(nets: Sequence[str], roles: Sequence[str], ids: Sequence[str], cited: Sequence[str]) -> None:
    """List cases with what they cite."""
    for case in sorted(_chosen(ids, cited), key=lambda case: (list(GROUPS).index(case.group), case.id)):
        if (not nets or set(nets) & set(case.nets)) and (not roles or set(roles) & set(case.roles)):
            click.echo(f"{case.id}  {' '.join(case.citations)}  {case.title}")


@cli.command()
@click.argument("id")
def explain(id: str) -> None:
    """Say what a case sends and expects, and which sentences of the specification it tests."""
    case = CASES.get(id.partition("/")[0].upper())
    if case is None:
        raise click.UsageError(f"{id} is no case; see `p2pwire-conformance list`")
    click.echo(f"{case.id} ({GROUPS[case.group]}): {case.title}")
    for citation, requirement in zip(case.citations, case.requirements, strict=True):
        click.echo(f"  {citation} (section {requirement.section}): {requirement.text}")
    click.echo(f"  subject as {' and '.join(case.roles)}; nets {', '.join(case.nets)}")
    if case.features:
        click.echo(f"  needs {', '.join(sorted(case.features))}")
    if case.depends:
        click.echo(f"  after {', '.join(case.depends)}")


@cli.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path))
@click.option("--case", "ids", multiple=True, metavar="ID", help="Only these.")
@click.argument("adapter", nargs=-1)
def replay(results: Path, ids: Sequence[str], adapter: Sequence[str]) -> None:
    """Run again what is red in a RESULTS file, with the same keys and bytes, and show all that happens. The ADAPTER is
    the one of the file unless another is given."""
    try:
        found = json.loads(results.read_text(encoding="utf-8"))
        red = [
            (CASES[one["case"]], one["role"], one["net"])
            for one in found["executions"]
            if Verdict(one["verdict"]) in RED and (not ids or one["case"] in ids)
        ]
        about = found["subject"]
    except (ValueError, KeyError, TypeError) as error:
        raise click.UsageError(f"{results} is no results file of this suite: {error}") from None
    if not red:
        click.echo("nothing to replay")
        return
    bare = about["name"] if about["kind"] == "bare" and not adapter else None
    subject = _subject(bare, adapter or about.get("command", ()))
    executions = [Runner(subject, again=0).one(*one) for one in red]
    for one in executions:
        click.echo(one.line)
        click.echo("\n".join(report.log_lines(one.log)))
    if isinstance(subject, AdapterSubject):
        subject.adapter.close()
    raise SystemExit(REGRESSION if any(one.verdict in RED for one in executions) else FINE)


@cli.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def matrix(results: Sequence[Path]) -> None:
    """Compare implementations, one RESULTS file each, group by group, in Markdown."""
    found = []
    for path in results:
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            wrong = problem(read, read_data("results.schema.json"))
        except ValueError as error:
            wrong = str(error)
        if wrong:
            raise click.UsageError(f"{path} is no results file of this suite: {wrong}")
        found.append(read)
    click.echo(compared(found), nl=False)


@cli.command()
@click.argument("adapter", nargs=-1, required=True)
def smoke(adapter: Sequence[str]) -> None:
    """Check an ADAPTER itself: that it skips what it does not know, keeps runs apart and gives ports back."""
    subject = Adapter(adapter)
    bad = 0
    for text, wrong in check_adapter(subject):
        click.echo(f"{'ok  ' if wrong is None else 'FAIL'} {text}{'' if wrong is None else f': {wrong}'}")
        bad += wrong is not None
    subject.close()
    raise SystemExit(UNUSABLE if bad else FINE)


_HERE: Final = Path(__file__).parents[2]
"""The suite's directory, where it runs from its source tree."""


def _listed(name: str) -> list[Path]:
    return sorted(_HERE.glob(name))


_MUTANTS: Final = click.option(
    "--mutants",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    default=lambda: _listed("adapters/mutants*.toml"),
    help="Lists of mutants.",
)


@cli.command()
@_MUTANTS
@click.option(
    "--benign",
    type=click.Path(exists=True, path_type=Path),
    default=lambda: next(iter(_listed("adapters/benign.toml")), None),
    help="The list of benign variants.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only mutants, benign or nothing, or what has this name.")
@click.option("--results", type=click.Path(path_type=Path), help="Write all of it as JSON here.")
@click.option(
    "--jobs",
    default=os.cpu_count() or 1,
    show_default="one a core",
    type=click.IntRange(1, 64),
    help="Tries at a time.",
)
@click.option(
    "--whole", is_flag=True, help="Have benign variants go through all cases in both roles, not a half in one."
)
@click.option("--accept", is_flag=True, help="Write what else mutants break into their lists, to be looked at.")
@click.argument("adapter", nargs=-1)
def selfcheck(
    mutants: Sequence[Path],
    benign: Path | None,
    only: Sequence[str],
    results: Path | None,
    jobs: int,
    whole: bool,
    accept: bool,
    adapter: Sequence[str],
) -> None:
    """Prove the suite: each mutant of the ADAPTER's subject has to be killed by the cases that its list names while the
    other groups stay green, each benign variant has to pass, and what does nothing right may pass nothing. Exit code 1
    if the suite is not as it has to be."""
    if not adapter:
        adapter = [sys.executable, *map(str, _listed("adapters/mutants.py"))]
        if len(adapter) < 2:
            raise click.UsageError("give the adapter of the mutants after `--`")
    nothing = [sys.executable, *map(str, _listed("adapters/nothing.py"))]
    try:
        if not mutants and benign is None and len(nothing) < 2:
            raise click.UsageError("there is nothing to try: give lists with --mutants or --benign")
        given = proving.Given(mutants, benign, adapter, nothing if len(nothing) > 1 else (), only, jobs, accept, whole)
        code, found = proving.check(given, click.echo)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if results is not None:
        results.write_text(_json(found), encoding="utf-8")
    raise SystemExit(code)


@cli.command()
@click.option(
    "--requirements", "sentences", type=click.Path(exists=True, path_type=Path), help="Another requirements.json."
)
@_MUTANTS
@click.option(
    "--exceptions",
    type=click.Path(exists=True, path_type=Path),
    help="The list of exceptions.",
    default=lambda: next(iter(_listed("exceptions.toml")), None),
)
@click.option(
    "--vectors",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The directory of the vectors.",
    default=lambda: next(iter(_listed("vectors")), None),
)
@click.option(
    "--source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Source code that cites.",
    default=lambda: next(iter(_listed("../src/p2pwire")), None),
)
@click.option(
    "--results", type=click.Path(exists=True, path_type=Path), help="What `selfcheck` found, in place of the lists."
)
@click.option("--markdown", type=click.Path(path_type=Path), help="Write all of it in Markdown here.")
@click.option("--json", "as_json", type=click.Path(path_type=Path), help="Write all of it as JSON here.")
def trace(
    sentences: Path | None,
    mutants: Sequence[Path],
    exceptions: Path | None,
    vectors: Path | None,
    source: Path | None,
    results: Path | None,
    markdown: Path | None,
    as_json: Path | None,
) -> None:
    """Say for each requirement what tests it: C3 a case that cites it kills a mutant that violates it, C2 a case or
    vector cites it, C1 source code does, C0 nothing does. Exit code 1 unless every MUST is at C3 or has an exception,
    and SHOULD at C2."""
    try:
        found = tracing.trace(
            tracing.read_requirements(sentences) if sentences else requirements(),
            threats(),
            list(CASES.values()),
            proving.read(mutants),
            exempt=tracing.read_exceptions(exceptions) if exceptions else {},
            evidence=exceptions.parent if exceptions else Path(),
            vectors=tracing.read_vectors(vectors) if vectors else None,
            in_code=tracing.read_source(source) if source else set(),
            kills=tracing.read_kills(results) if results else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise click.UsageError(f"a list cannot be read: {error!r}") from None
    for line in (*tracing.lines(found), "", *tracing.text_table(found), "", *found.faults):
        click.echo(line)
    if markdown is not None:
        markdown.write_text(tracing.markdown(found), encoding="utf-8")
    if as_json is not None:
        as_json.write_text(_json(tracing.as_json(found)), encoding="utf-8")
    click.echo(f"{len(found.faults) or 'nothing'} in the way")
    raise SystemExit(REGRESSION if found.faults else FINE)


@cli.command()
@click.option("--family", "families", multiple=True, metavar="NAME", help="Only these families.")
@click.argument("directory", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def vectors(families: Sequence[str], directory: Path | None) -> None:
    """Check the vectors, or those of another DIRECTORY, with the suite's own decoders."""
    try:
        fine = check_vectors(directory, families, click.echo)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    raise SystemExit(FINE if fine else REGRESSION)


def main() -> None:
    """The command; wrong usage ends with 64."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(USAGE if isinstance(error, click.UsageError) else error.exit_code) from None
    except click.Abort:
        raise SystemExit(INTERRUPTED) from None
