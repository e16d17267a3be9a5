"""Bytes through a socket and nothing else: `send BYTES`, or `receive PORT`."""

from __future__ import annotations

import os
import socket
import sys
import threading
from time import perf_counter, process_time
from typing import Final

from tests.bench.processes import say, serve

CALL: Final = 256 * 1024


def send(size: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    spent: list[float] = []
    thread = threading.Thread(target=answer, args=(listener, size, spent))
    thread.start()
    say(port=listener.getsockname()[1])

    def usage() -> dict[str, float]:
        thread.join()
        return {"cpu": spent[0]}

    serve({"usage": usage})


def answer(listener: socket.socket, size: int, spent: list[float]) -> None:
    """Send so much to one receiver as soon as it asks."""
    sock, _ = listener.accept()
    data = memoryview(bytearray(os.urandom(CALL)))
    with sock:
        sock.recv(1)
        cpu = process_time()
        for start in range(0, size, CALL):
            sock.sendall(data[: size - start])
        spent.append(process_time() - cpu)


def receive(port: int) -> None:
    say(ready=True)
    sys.stdin.readline()
    buffer = memoryview(bytearray(CALL))
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"!")
        cpu, begun = process_time(), perf_counter()
        while sock.recv_into(buffer):
            pass
    say(seconds=perf_counter() - begun, cpu=process_time() - cpu)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(int(sys.argv[2]))
    else:
        receive(int(sys.argv[2]))
