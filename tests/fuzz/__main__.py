"""`python -m tests.fuzz NAME… | --all [--time 60] [--jobs N]`: feed targets any bytes, from the corpus on.

Needs atheris: `pip install -e '.[dev,fuzz]'`. The corpus is replayed without it by `test_replay`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from tests.fuzz.coverage import covered, least
from tests.fuzz.targets import CORPUS, TARGETS, Target, corpus, write_corpus

HANG: Final = 20
"""seconds that one input may take on a loaded machine; each takes some milliseconds."""

MEMORY: Final = 2048
"""MiB that a process may take: far more than it needs, far less than a machine has."""

MAX_CORPUS: Final = 60_000
"""bytes of one target's committed inputs: the whole corpus stays below 300 KB."""


def main() -> int:
    """Returns how many targets failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--all", action="store_true", help="all targets, one after the other")
    parser.add_argument("--time", type=int, default=60, metavar="SECONDS", help="for each target (default: 60)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many targets at a time (default: 1)")
    parser.add_argument("--keep", action="store_true", help="minimise what was found, and put it into the corpus")
    parser.add_argument("--coverage", action="store_true", help="only say which lines the corpus reaches")
    options = parser.parse_args()
    names = list(TARGETS) if options.all else options.names
    if not names or set(names) - set(TARGETS):
        parser.error(f"names of targets, or --all: {', '.join(TARGETS)}")
    if options.coverage:
        for name in names:
            print(f"{name}: {covered(TARGETS[name], corpus(name))}")
        return 0
    with ThreadPoolExecutor(options.jobs) as pool:
        return list(pool.map(partial(fuzz, seconds=options.time, keep=options.keep), names)).count(False)


def fuzz(name: str, *, seconds: int, keep: bool) -> bool:
    """One target; whether nothing was found."""
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as directory:
        seeds, found, words = Path(directory, "seeds"), Path(directory, "found"), Path(directory, "words")
        seeds.mkdir()
        found.mkdir()
        for number, each in enumerate(corpus(name) or target.seeds()):
            (seeds / str(number)).write_bytes(each)
        quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
        words.write_text("".join(f'"{word}"\n' for word in quoted))
        options = [f"-max_total_time={seconds}", f"-timeout={HANG}", f"-rss_limit_mb={MEMORY}", "-print_final_stats=1"]
        options += [f"-max_len={target.longest}", f"-artifact_prefix={Path.cwd()}/{name}-"]
        options += [f"-dict={words}"] if target.words else []
        done = _engine(name, *options, str(found), str(seeds))
        if done.returncode:
            print(_told(done.stdout))
            print(f"{name}: FAILED; the input is in the file that is named above")
            return False
        print(f"{name}: {_figures(done.stdout)}", flush=True)
        if keep:
            _keep(name, target, found)
    return True


def _engine(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.engine", name, *options]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def _told(said: str) -> str:
    return "\n".join(line for line in said.splitlines()[-80:] if not line.startswith(("INFO", "WARNING", "#")))


def _figures(said: str) -> str:
    last = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", said)[-1]
    runs = re.findall(r"Done (\d+) runs in (\d+) second", said)[-1]
    rate = int(runs[0]) / max(1, int(runs[1]))
    return f"{runs[0]} inputs in {runs[1]} s, {rate:.0f} a second; {last[0]} branches, {last[2]} inputs of interest"


def _keep(name: str, target: Target, found: Path) -> None:
    """The smallest set that reaches as much, as far as there is room."""
    inputs = least(target, [*corpus(name), *target.seeds(), *(path.read_bytes() for path in found.iterdir())])
    kept, size = [], 0
    for each in inputs:
        size += len(each) * 5 // 4 + 4
        if size <= MAX_CORPUS:
            kept.append(each)
    if len(kept) < len(inputs):
        print(f"{name}: the {len(inputs) - len(kept)} longest inputs are left out")
    print(f"{name}: {len(kept)} inputs, {write_corpus(name, kept)} bytes, in {CORPUS}", flush=True)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
