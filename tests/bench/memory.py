"""Memory: of one side of a link, of a node with many, and of processes that move much.

Sessions are made in a new process, many of a kind, and what the process grew by is shared among them: so what OpenSSL
keeps counts too.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.bench.processes import Child
from tests.bench.run import Run

GIB: Final = 1 << 30
MIB: Final = 1 << 20

IDLE: Final = 1000
"""sessions of a kind that are made to weigh one."""
BUSY: Final = 100
QUICK: Final = 100

RIVALS: Final = {"h11": "h11", "h2": "h2", "wsproto": "wsproto", "aioquic": "aioquic", "ssl": None}

LARGE: Final = 10 * GIB
QUICK_LARGE: Final = 16 * MIB


def measure(run: Run) -> None:
    """Sessions, then processes."""
    measure_sessions(run)
    measure_processes(run)


def weigh(run: Run, kind: str, count: int) -> float:
    """KB of one of so many sessions."""
    with Child("roles.sessions", kind, count, run.directory) as child:
        said = child.answer()
    if "error" in said:
        raise RuntimeError(said["error"])
    return max(float(said["bytes"]), 1.0) / 1000  # what fits into what was free already seems to weigh nothing


def measure_sessions(run: Run) -> None:
    """KB of each, in a process of its own each time."""
    counts = {"idle link": IDLE, "link of a node": IDLE, "busy link": BUSY, **dict.fromkeys(RIVALS, IDLE)}
    cases = {kind: partial(weigh, run, kind, QUICK if run.quick else count) for kind, count in counts.items()}
    names = {kind: rival for kind, rival in RIVALS.items() if rival is not None}
    notes = {
        "idle link": "one connection after the handshake, cipher contexts included",
        "link of a node": "the same in a node that has 1000 of them",
        "busy link": "downloading: a full queue of requests, a topic open, 256 KiB not parsed yet",
    }
    samples = run.interleave(cases, names)
    others = [f"memory/{kind}" for kind in RIVALS]
    for kind, found in samples.items():
        against = others if kind == "idle link" else ()
        run.add(f"memory/{kind}", "KB", found, less=True, against=against, note=notes.get(kind, ""))


def measure_processes(run: Run) -> None:
    """The most memory of each of two processes while a large file goes from one to the other."""
    size = QUICK_LARGE if run.quick else LARGE
    roomy = run.quick or shutil.disk_usage(run.directory).free >= size + 4 * GIB
    # What is in memory may have no room for it; a disk may.
    with TemporaryDirectory(dir=run.directory if roomy else None) as place:
        source = Path(place, "source.bin")
        with source.open("wb") as file:
            file.truncate(size)  # all holes: it is read as any other, and takes no room
        done = move(source, Path(place, "target"))
    for side in ("sending", "receiving"):
        run.add(f"memory/process {side} 10 GiB", "MB", [done[side] / 1e6], less=True, note="blocking adapter")


def move(source: Path, target: Path) -> dict[str, Any]:
    """One transfer: the most memory of both processes, in bytes."""
    with Child("roles.ours", "share", "blocking", source) as sharing:
        uri = sharing.answer()["uri"]
        with Child("roles.ours", "fetch", "blocking", target, uri) as fetching:
            fetching.answer()
            fetched = fetching.ask("go")
        return {"sending": sharing.ask("usage")["peak"], "receiving": fetched["peak"]}
