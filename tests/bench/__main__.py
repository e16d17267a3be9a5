"""python -m tests.bench [NAME…] [--quick] [--json FILE] [--svg FILE] [--check],
or --page FILE.json [--compiled FILE.json] [--into DIR]."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Final

from tests.bench.figures import Results
from tests.bench.machine import enter_namespace, facts, settle_namespace
from tests.bench.page import write_page
from tests.bench.plot import plot
from tests.bench.run import Run
from tests.bench.table import render
from tests.bench.targets import MISSED, assess

BENCHES: Final = {
    "bounds": "bounds",
    "codec": "codec",
    "link": "link",
    "handshake": "handshake",
    "memory": "memory",
    "hash": "hashing",
    "growth": "growth",
    "bulk": "bulk",
}
"""What can be measured, in the order in which it is, and the module that does it."""

MEMORY_DISK: Final = Path("/dev/shm")
"""Preferred for files, so that no disk has a part in the figures."""

ROOM: Final = 9 << 30
"""bytes that the files of one bench take at most, but for those of 10 GiB, which look for a place of their own."""

QUICK_ROOM: Final = 256 << 20
"""The same of a quick run."""


def main() -> int:
    """Measure, or show what was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Figures beside those of others.")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(BENCHES)}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="show only that it works, within a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample and the machine's facts")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw a picture")
    parser.add_argument("--check", action="store_true", help="name the targets that are missed; exit code 1 if any is")
    parser.add_argument("--directory", type=Path, help="where files are put, about 9 GiB (default: in memory)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="measure nothing; make the page of a full run")
    parser.add_argument("--compiled", type=Path, metavar="FILE", help="with --page: a run of the compiled build")
    parser.add_argument("--into", type=Path, default=Path("docs"), help="where --page puts it (default: docs)")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHES]:
        parser.error(f"no bench is called {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    if options.page is not None:
        try:
            results = read(options.page, compiled=False, quick=options.quick)
            beside = options.compiled and read(options.compiled, compiled=True, quick=options.quick)
        except ValueError as error:
            parser.error(str(error))
        write_page(results, options.into, beside)
    else:
        enter_namespace(sys.argv[1:])
        settle_namespace()
        results = measure(options.names or list(BENCHES), options.directory, quick=options.quick)
        if options.json is not None:
            options.json.write_text(json.dumps(results.to_json(), indent=1) + "\n")
    print(render(results))
    if options.svg is not None:
        options.svg.write_text(plot(results))
    return check(results) if options.check else 0


def read(file: Path, *, compiled: bool, quick: bool) -> Results:
    """What a run has written. Raises `ValueError` if it was of the other build, or quick where that will not do."""
    results = Results.from_json(json.loads(file.read_text()))
    if results.quick and not quick:
        raise ValueError(f"{file} is of a quick run, whose figures say nothing (with --quick: a page all the same)")
    if results.machine.get("compiled", False) != compiled:
        raise ValueError(f"{file} is of the {'pure' if compiled else 'compiled'} build, must be of the other one")
    return results


def measure(names: list[str], directory: Path | None, *, quick: bool) -> Results:
    """Run the benches. A failure of p2pwire's own ends everything; rivals may be missing."""
    place = directory or scratch_place(QUICK_ROOM if quick else ROOM)
    results = Results(facts(), quick=quick)
    results.machine["files_in"] = "memory" if place == MEMORY_DISK else str(place)
    results.machine["seconds"] = {}
    with tempfile.TemporaryDirectory(dir=place, prefix="p2pwire-bench-") as scratch:
        run = Run(Path(scratch), quick, results)
        for name in names:
            run.say(f"{name}:")
            begun = perf_counter()
            import_module(f"tests.bench.{BENCHES[name]}").measure(run)
            results.machine["seconds"][name] = round(perf_counter() - begun, 1)
    results.machine["load_after"] = round(os.getloadavg()[0], 2)
    return results


def scratch_place(room: int) -> Path:
    """Where there is room for so many bytes: in memory, or on a disk."""
    if os.access(MEMORY_DISK, os.W_OK) and shutil.disk_usage(MEMORY_DISK).free >= room:
        return MEMORY_DISK
    return Path(tempfile.gettempdir())


def check(results: Results) -> int:
    """Say which targets fall short."""
    missed = [verdict for verdict in assess(results) if verdict.word == MISSED]
    for verdict in missed:
        print(f"missed: {verdict.target.text}: {verdict.shown}, wanted {verdict.target.wanted}")
    count = f"{len(missed)} target{' is' if len(missed) == 1 else 's are'} missed"
    print(count if missed else "all targets that were measured are met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
