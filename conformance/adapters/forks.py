"""Copies of an adapter that has imported everything: what it costs to start one is paid once for all variants."""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable

ASKED_FOR = "forks"
"""What the variable that names a variant says if stdin is a socket on which names are to come."""


def serve(run: Callable[[str], None]) -> None:
    """For each name that comes, with the four descriptors of stdin, stdout, stderr and a lifeline, be a copy that runs
    that variant; its process id is the answer. The copy's exit code is written to the lifeline."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(0)) as control:
        while True:
            name, given, _, _ = socket.recv_fds(control, 4096, 4)
            if not name:
                return
            child = os.fork()
            if not child:
                control.detach()
                _be(name.decode(), given, run)
            for descriptor in given:
                os.close(descriptor)
            control.sendall(child.to_bytes(8, "big"))


def _be(name: str, given: list[int], run: Callable[[str], None]) -> None:
    code = 1
    try:
        for number, descriptor in enumerate(given[:3]):
            os.dup2(descriptor, number)
            os.close(descriptor)
        run(name)
        code = 0
    except SystemExit as ending:
        print(ending, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        os.write(given[3], bytes([code]))
        os._exit(code)
