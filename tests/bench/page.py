"""docs/benchmarks.md and its picture, from the file that a run has written: no figure is typed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.bench.figures import Results
from tests.bench.plot import plot
from tests.bench.table import FIGURE_HEAD, QUICK, TARGET_HEAD, benches, figure_rows, markdown, target_rows

PICTURE: Final = "benchmarks.svg"

HEAD: Final = """\
# Benchmarks

<!-- Written by `python -m tests.bench --page FILE.json`; do not edit. -->

Figures beside those of others, taken side by side in one run: rounds in turns, the median of each, ratios round by
round. Only the ratios say something of another machine. To run it:

```console
$ pip install -e '.[bench]'
$ python -m tests.bench --json benchmarks.json && python -m tests.bench --page benchmarks.json
```

That takes about 20 minutes, and about 9 GiB of memory for files. `--quick` shows within a minute that it works; names
(`python -m tests.bench codec link`) choose; `--check` names the targets that are missed.
"""

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

TEXTS: Final = {
    "bulk": """\
1 GiB of random bytes, from disk to disk in memory (tmpfs), each side a process of its own; what arrived is compared
with what was sent. p2pwire encrypts (AES-256-GCM) and checks every block of 16 KiB. libtorrent in clear checks its
pieces (v1) or blocks (v2) and encrypts nothing; with rc4 its stream is obfuscated. `https` is Python's ssl on both
sides with a SHA-256 of the whole file. `lean loop` is what remains of p2pwire without a protocol: the same records, the
same checks, nothing else, one thread on each side. The limit is the sum of the unavoidable parts, also in one thread
each.""",
    "codec": """\
Processor time in one process. `small frames` are all of p2pwire's small messages in turn, in one buffer; the other
codecs have as many messages with a body of 32 bytes. `Request frames` and the `hand-written loop` do the same work on
the same bytes, the latter knowing one message only; p2pwire's classes can not be changed, and neither can those of the
loop unless it says so. h11r is h11 in Rust.""",
    "link": """\
Both ends in one thread, bytes carried in memory. p2pwire's messages are encrypted and pass all rules of a link (a third
each of HAVE, REQUEST and REJECT); h2's are DATA frames of 32 bytes, not encrypted.""",
    "handshake": "Both sides in one thread, in memory, by processor time.",
    "memory": """\
What a process grows by for one session, of 1000 made (100 busy ones); and the most that each of the two processes of a
transfer had.""",
    "bounds": "Without any protocol.",
    "hash": "From a file system in memory.",
    "growth": """\
Processor time at several sizes, and the exponent that fits: 1 is linear, 2 would be quadratic, below 1 a fixed part
weighs.""",
}
"""What a reader has to know of each."""


def write_page(results: Results, directory: Path) -> None:
    """Write the page and its picture."""
    directory.mkdir(exist_ok=True)
    (directory / PICTURE).write_text(plot(results))
    (directory / "benchmarks.md").write_text(page(results))


def page(results: Results) -> str:
    """The page."""
    parts = [HEAD.rstrip()]
    if results.quick:
        parts.append(f"**{QUICK}**")
    parts += [_machine(results), f"![The main figures as bars]({PICTURE})"]
    parts.append("## Targets\n\n" + markdown([TARGET_HEAD, *target_rows(results)]))
    for bench in [name for name in TITLES if name in benches(results)]:
        table = markdown([FIGURE_HEAD, *figure_rows(results, bench)])
        parts.append(f"## {TITLES[bench]}\n\n{TEXTS[bench]}\n\n{table}")
    parts += [f"Not measured: {name} ({reason})." for name, reason in results.missing.items()]
    return "\n\n".join(parts) + "\n"


def _machine(results: Results) -> str:
    machine = dict(results.machine)
    packages = ", ".join(f"{name} {version}" for name, version in machine.pop("packages", {}).items())
    machine.pop("seconds", None)
    rows = [(name.replace("_", " "), str(value)) for name, value in machine.items()]
    return markdown([("measured on", "this"), *rows, ("packages", packages)])
