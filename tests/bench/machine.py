"""Where it was measured: the machine's facts, and a network of its own where that is allowed."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

INSIDE: Final = "P2PWIRE_BENCH_NAMESPACE"
"""Set in the environment of a run that is in a network namespace of its own."""

_CONTROL: Final = Path("/proc/sys/net/ipv4/tcp_congestion_control")
_SET_FLAGS: Final = 0x8914
_UP: Final = 0x1

PACKAGES: Final = (
    "p2pwire", "cryptography", "attrs", "anyio", "trio", "construct", "libtorrent", "h11", "h11r", "h2", "wsproto",
    "aioquic", "noiseprotocol", "libp2p",
)  # fmt: skip


def enter_namespace(arguments: Sequence[str]) -> None:
    """Begin again in a network namespace of this run's own, if the system allows it; otherwise do nothing.

    There loopback has nobody else's traffic, and TCP's congestion control can be chosen: some defaults (bbr) pace
    loopback, which makes every transfer slower and noisier.
    """
    if INSIDE in os.environ or not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", [*command, sys.executable, "-m", "tests.bench", *arguments])


def settle_namespace() -> None:
    """In a namespace of its own: bring up loopback, and choose reno if that may be done."""
    if INSIDE not in os.environ:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP))
    try:
        _CONTROL.write_text("reno")
    except OSError as error:
        print(f"the congestion control stays as it is: {error}", file=sys.stderr)


def facts() -> dict[str, Any]:
    """What a reader of figures has to know of the machine."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "GiB_of_memory": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiled": compiled(),
        "network": "loopback in a namespace of its own" if INSIDE in os.environ else "the machine's loopback",
        "congestion_control": _CONTROL.read_text().strip() if _CONTROL.exists() else "unknown",
        "load_before": round(os.getloadavg()[0], 2),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    """The processor's name, and whether it has instructions for AES and SHA-256."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    found = {name.strip(): value.strip() for name, value in fields.items()}
    flags = (found.get("flags") or found.get("Features") or "").split()
    special = [name for name, marks in (("AES", ("aes",)), ("SHA", ("sha_ni", "sha2"))) if set(marks) & set(flags)]
    name = found.get("model name") or platform.machine()
    return f"{name}, {platform.machine()}" + (f" with {' and '.join(special)} instructions" if special else "")


def compiled() -> bool:
    """Whether the codec in use is a compiled one."""
    from p2pwire.wire import messages

    return not str(messages.__file__).endswith(".py")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
