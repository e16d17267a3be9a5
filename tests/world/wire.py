"""A wire between two hosts, each with a kernel's network of its own: it delays packets, loses some, and can be cut."""

from __future__ import annotations

import heapq
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from tests.world.trial import Command, NotHere

MTU: Final = 1500
QUEUE: Final = 0.3
"""seconds of packets that wait where the wire is too slow; what comes beside them is lost, as in any router."""

NEAR, FAR = "10.77.0.1", "10.77.0.2"
NEAR_LOCAL, FAR_LOCAL = "fe80::1", "fe80::2"


class Wire:
    """Carries packets between two devices, each way alike."""

    def __init__(self, *, delay: float = 0.0, loss: float = 0.0, rate: float = 1e9) -> None:
        """Seconds one way, the chance that a packet is lost, bytes a second."""
        self.down = False
        self.carried = self.lost = 0
        self._delay, self._loss, self._rate = delay, loss, rate
        self._chance = random.Random(1)
        self._devices: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def join(self, ours: socket.socket) -> None:
        """Take the device that a host has made."""
        ours.settimeout(30)
        _, found, _, _ = socket.recv_fds(ours, 1, 1)
        os.set_blocking(found[0], False)
        self._devices.append(found[0])
        if len(self._devices) == 2:
            self._thread.start()

    def _run(self) -> None:
        pending: list[tuple[float, int, int, bytes]] = []
        numbers = count()
        free = dict.fromkeys(self._devices, 0.0)
        other = {self._devices[0]: self._devices[1], self._devices[1]: self._devices[0]}
        while not self._stop.is_set():
            wait = max(0.0, pending[0][0] - time.monotonic()) if pending else 0.05
            for device in select.select(self._devices, [], [], min(wait, 0.05))[0]:
                with suppress(BlockingIOError):
                    while packet := os.read(device, MTU + 100):
                        now = time.monotonic()
                        starts = max(now, free[device])
                        if self.down or starts - now > QUEUE or self._chance.random() < self._loss:
                            self.lost += 1
                            continue
                        free[device] = starts + len(packet) / self._rate
                        heapq.heappush(pending, (free[device] + self._delay, next(numbers), other[device], packet))
            while pending and pending[0][0] <= time.monotonic():
                _, _, device, packet = heapq.heappop(pending)
                if not self.down:
                    self.carried += 1
                    with suppress(OSError):
                        os.write(device, packet)

    def close(self) -> None:
        """Let go of both devices."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for device in self._devices:
            os.close(device)


class Host(Command):
    """The command on a host of its own, at one end of a wire."""

    def __init__(self, wire: Wire, address: str, link_local: str, *arguments: object) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            words = [
                "unshare",
                "-rn",
                sys.executable,
                "-m",
                "tests.world.host",
                address,
                link_local,
                str(theirs.fileno()),
            ]
            super().__init__(*arguments, before=words, pass_fds=(theirs.fileno(),))
            theirs.close()
            wire.join(ours)


def check() -> None:
    """Raise NotHere where there are no such hosts."""
    if not Path("/dev/net/tun").exists() or not shutil.which("unshare") or not shutil.which("ip"):
        raise NotHere("it takes /dev/net/tun, unshare and ip")
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        raise NotHere("no network namespace may be made")
