"""One file from one process to another over loopback: encrypted, verified, on the disk at both ends.

python -m tests.bench.bulk [--mib 1024] [--backend asyncio|trio|blocking] [--directory DIR] [--runs 1] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

MIB = 1 << 20


def main() -> int:
    """Measure, or be one of the two processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--backend", choices=["asyncio", "trio", "blocking"], default="asyncio")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--share", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--fetch", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.share is not None or options.fetch is not None:
        be_a_peer(options)
        return 0
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        source = Path(directory, "source.bin")
        with source.open("wb") as file:
            for _ in range(options.mib):
                file.write(os.urandom(MIB))
        for number in range(options.runs):
            report(measure(source, Path(directory, f"run {number}"), options.backend), as_json=options.json)
    return 0


def be_a_peer(options: argparse.Namespace) -> None:
    """Share until the standard input ends, or fetch; say so in one line of JSON."""
    if options.backend == "blocking":
        run = blocking_share if options.share else blocking_fetch
        run(options)
    else:
        import anyio

        anyio.run(anyio_share if options.share else anyio_fetch, options, backend=options.backend)


async def anyio_share(options: argparse.Namespace) -> None:
    import anyio.to_thread

    from p2pwire.adapters.anyio import Peer

    async with Peer() as peer:
        await peer.listen("127.0.0.1")
        say(uri=str(await peer.share(options.share)))
        await anyio.to_thread.run_sync(sys.stdin.read)
        say(**usage())


async def anyio_fetch(options: argparse.Namespace) -> None:
    from p2pwire.adapters.anyio import Peer

    async with Peer() as peer:
        done = await peer.fetch(options.fetch, options.directory)
        say(seconds=done.seconds, bytes=done.bytes, path=str(done.path), **usage())


def blocking_share(options: argparse.Namespace) -> None:
    from p2pwire.adapters.blocking import Peer

    with Peer() as peer:
        peer.listen("127.0.0.1")
        say(uri=str(peer.share(options.share)))
        sys.stdin.read()
        say(**usage())


def blocking_fetch(options: argparse.Namespace) -> None:
    from p2pwire.adapters.blocking import Peer

    with Peer() as peer:
        done = peer.fetch(options.fetch, options.directory).wait()
        say(seconds=done.seconds, bytes=done.bytes, path=str(done.path), **usage())


def usage() -> dict[str, float]:
    """Processor time of this process so far, in seconds, and the most memory that it had, in MiB."""
    return {"cpu": process_time(), "rss_mib": peak_memory() / MIB}


def peak_memory() -> int:
    """The largest resident set of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike ru_maxrss this does not begin with what the parent had at the fork.
        found = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(found[0].split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def say(**values: object) -> None:
    """One line for the measuring process."""
    print(json.dumps(values), flush=True)


def measure(source: Path, target: Path, backend: str) -> dict[str, Any]:
    """One transfer between two new processes."""
    command = [sys.executable, "-m", "tests.bench.bulk", "--backend", backend]
    share = [*command, "--share", str(source)]
    with subprocess.Popen(share, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sharing:
        assert sharing.stdin is not None
        assert sharing.stdout is not None
        uri = json.loads(sharing.stdout.readline())["uri"]
        fetch = [*command, "--directory", str(target), "--fetch", uri]
        fetched = json.loads(subprocess.run(fetch, capture_output=True, text=True, check=True).stdout)
        sharing.stdin.close()
        shared = json.loads(sharing.stdout.readline())
    path = Path(fetched["path"])
    equal = subprocess.run(["cmp", "--silent", source, path], check=False).returncode == 0
    path.unlink()
    return {
        "backend": backend,
        "bytes": fetched["bytes"],
        "seconds": round(fetched["seconds"], 3),
        "mb_per_s": round(fetched["bytes"] / fetched["seconds"] / 1e6, 1),
        "equal": equal,
        "receiver_cpu_s": round(fetched["cpu"], 2),
        "receiver_rss_mib": round(fetched["rss_mib"], 1),
        "sender_cpu_s": round(shared["cpu"], 2),
        "sender_rss_mib": round(shared["rss_mib"], 1),
    }


def report(figures: dict[str, Any], *, as_json: bool) -> None:
    """Print what was measured."""
    if as_json:
        print(json.dumps(figures))
    else:
        print(", ".join(f"{name} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    sys.exit(main())
