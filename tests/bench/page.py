"""docs/benchmarks.md and its picture, from the file that a run has written: no figure is typed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import Final

from tests.bench.figures import Results
from tests.bench.obstacles import obstacle
from tests.bench.plot import plot
from tests.bench.table import FIGURE_HEAD, QUICK, TARGET_HEAD, benches, figure_rows, markdown, target_rows
from tests.bench.targets import MISSED, UNMEASURED, Verdict, assess

PICTURE: Final = "benchmarks.svg"

WIDTH: Final = 120
"""characters of a line of text."""

HEAD: Final = """\
# Benchmarks

<!-- Written by `python -m tests.bench --page FILE.json`; do not edit. -->

All figures come from one run on one machine, which is named below. Whatever is compared was measured side by side: in
rounds, each in turn, beginning with another one each time. A figure is the median of its rounds, with their range; a
ratio is the median of the ratios round by round, so that what disturbs a whole round falls out of it. Only ratios,
exponents and sizes say something of another machine: rates and times belong to this one. To run it:

```console
$ pip install -e '.[bench]'
$ python -m tests.bench --json benchmarks.json && python -m tests.bench --page benchmarks.json
```

It takes about 9 GiB of memory for files, and 14 GiB of disk or memory for the file of 10 GiB. `--quick` shows within a
minute that it works, and makes no page; names (`python -m tests.bench codec link`) choose; `--check` names the targets
that are missed.
"""

SIDE_BY_SIDE: Final = """\
In the tables "times the others" is how many times the other's figure ours is, and "of the limit" the share of what the
machine allows (where less is better, both are better the smaller they are)."""

TITLES: Final = {
    "bulk": "Moving a file",
    "codec": "Codec",
    "link": "A link",
    "handshake": "Handshakes",
    "memory": "Memory",
    "bounds": "What the machine can do",
    "hash": "The id of content",
    "growth": "Growth",
}
"""The sections, in order."""

COMPILED: Final = """\
## The compiled build

A run of its own, with the same rivals beside it, of the core compiled by mypyc (`CONTRIBUTING.md` says how it is made):

```console
$ python -m tests.bench --page benchmarks.json --compiled compiled.json
```"""

TEXTS: Final = {
    "bulk": """\
1 GiB of random bytes, from disk to disk in memory (tmpfs), each side a process of its own; what arrived is compared
with what was sent. p2pwire encrypts (AES-256-GCM) and checks every block of 16 KiB; into memory it writes at once,
where a disk is written to in a thread of its own, which takes more (`--directory` measures that). libtorrent in clear
checks its pieces (v1) or blocks (v2) and encrypts nothing; with rc4 its stream is obfuscated. `https` is Python's ssl
on both sides with a SHA-256 of the whole file. `lean loop` is what remains of p2pwire without a protocol: the same
records, the same checks, nothing else, one thread on each side. The limit is the sum of the unavoidable parts, also in
one thread each.""",
    "codec": """\
Processor time in one process. `small frames` are all of p2pwire's small messages in turn, a hundred in a record; the
other codecs have as many messages with a body of 32 bytes. `Request frames` and the `hand-written loop` do the same
work on the same bytes, the latter knowing one message only; p2pwire's classes can not be changed, and neither can those
of the loop unless it says so. h11r is h11 in Rust.""",
    "link": """\
Both ends in one thread, bytes carried in memory. p2pwire's messages are encrypted and pass all rules of a link (a third
each of HAVE, REQUEST and REJECT); h2's are DATA frames of 32 bytes, not encrypted.""",
    "handshake": "Both sides in one thread, in memory, by processor time.",
    "memory": """\
What a process grows by for one session, of 1000 made (100 busy ones); and the most that each of the two processes of a
transfer had.""",
    "bounds": "Without any protocol.",
    "hash": """\
Of files in memory (tmpfs). `SHA-256` hashes blocks of 16 KiB from the processor's cache: nobody who reads anything can
be as quick. The loops read and hash and do nothing else: no names, no tree, no look whether a file changed meanwhile.
`per core` is by processor time.""",
    "growth": """\
Processor time at several sizes, and the exponent that fits: 1 is linear, 2 would be quadratic, below 1 a fixed part
weighs.""",
}
"""What a reader has to know of each."""


def write_page(results: Results, directory: Path, compiled: Results | None = None) -> None:
    """Write the page and its picture. `compiled`: a run of the compiled build, which has a section of its own."""
    directory.mkdir(exist_ok=True)
    (directory / PICTURE).write_text(plot(results))
    (directory / "benchmarks.md").write_text(page(results, compiled))


def page(results: Results, compiled: Results | None = None) -> str:
    """The page."""
    parts = [HEAD.rstrip()]
    if results.quick:
        parts.append(f"**{QUICK}**")
    parts += [_machine(results), _times(results), f"![The main figures as bars]({PICTURE})"]
    parts.append("## Targets\n\n" + markdown([TARGET_HEAD, *target_rows(results)]))
    parts += [_shortfalls(results), SIDE_BY_SIDE]
    parts += [f"## {TITLES[bench]}\n\n{TEXTS[bench]}\n\n{table}" for bench, table in _tables(results)]
    parts += [f"Not measured: {name} ({reason})." for name, reason in results.missing.items()]
    if compiled is not None:
        parts.append(_beside(compiled))
    return "\n\n".join(part for part in parts if part) + "\n"


def _beside(results: Results) -> str:
    """What was measured of the compiled build."""
    rows = [row for row in target_rows(results) if UNMEASURED not in row]
    tables = [f"### {TITLES[bench]}, compiled\n\n{table}" for bench, table in _tables(results)]
    parts = [COMPILED, _machine(results), _times(results), markdown([TARGET_HEAD, *rows]), *tables]
    return "\n\n".join(part for part in parts if part)


def _tables(results: Results) -> Iterator[tuple[str, str]]:
    """The figures of each bench that was measured."""
    measured = benches(results)
    for bench in TITLES:
        if bench in measured:
            yield bench, markdown([FIGURE_HEAD, *figure_rows(results, bench)])


def _times(results: Results) -> str:
    """How long the run took."""
    seconds: dict[str, float] = results.machine.get("seconds", {})
    if not seconds:
        return ""
    parts = ", ".join(f"{name} {spent:.0f}" for name, spent in seconds.items())
    return f"The run took {sum(seconds.values()) / 60:.0f} minutes; in seconds: {parts}."


def _shortfalls(results: Results) -> str:
    """The targets that are missed, by what stands in the way."""
    missed: dict[str, list[Verdict]] = {}
    for verdict in assess(results):
        if verdict.word == MISSED:
            missed.setdefault(obstacle(verdict.target), []).append(verdict)
    if not missed:
        return "Every target that was measured is met."
    lines = ["### What falls short, and what stands in the way"]
    for text, verdicts in missed.items():
        found = [f"- {verdict.target.text}: {verdict.shown}, wanted {verdict.target.wanted}" for verdict in verdicts]
        lines.append("\n".join(found))
        lines.append(fill(text, width=WIDTH, break_on_hyphens=False))
    return "\n\n".join(lines)


def _machine(results: Results) -> str:
    machine = dict(results.machine)
    packages = ", ".join(f"{name} {version}" for name, version in machine.pop("packages", {}).items())
    machine.pop("seconds", None)
    rows = [(name.replace("_", " "), str(value)) for name, value in machine.items()]
    return markdown([("measured on", "this"), *rows, ("packages", packages)])
