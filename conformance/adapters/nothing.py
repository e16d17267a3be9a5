"""Subjects that do nothing right: `nothing.py null`, `echo`, `slam` or `random`, and with `raw-` before it an adapter
that does not even speak PCTL. For proving that none of them passes anything."""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

Answer = Callable[[bytes], bytes | None]
DICE: Final = random.Random(0)
KINDS: Final[Mapping[str, Answer]] = {
    "null": lambda data: b"",
    "echo": lambda data: data,
    "slam": lambda data: None,
    "random": lambda data: DICE.randbytes(DICE.randrange(600)),
}
"""What it says to bytes that come, or at first, when none have; None: it hangs up."""
ABOUT: Final = {
    "pctl": 1, "impl": "nothing", "version": "1", "spec": ["p2pwire/1"], "clock": "virtual",
    "roles": ["responder", "initiator"], "net": ["listen", "dial", "inline"], "features": [],
}  # fmt: skip


def talk(carrier: socket.socket, answer: Answer) -> None:
    """Answer a TCP connection until its end."""
    with carrier, suppress(OSError):
        data = b""
        while (said := answer(data)) is not None:
            carrier.sendall(said)
            data = carrier.recv(65536)
            if not data:
                return


def listen(answer: Answer) -> str:
    """Take connections for ever; where."""
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(server.accept()[0], answer), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return f"127.0.0.1:{server.getsockname()[1]}"


def inline(data: bytes, answer: Answer, *, eof: bool = False) -> dict[str, Any]:
    """What an inline subject says."""
    said = None if eof else answer(data)
    return {"tx": (said or b"").hex(), "ended": said is None, "closed": said is None, "events": []}


def serve(answer: Answer, port: str) -> None:
    """PCTL, spoken well, with nothing behind it. All runs listen at one port."""
    for line in sys.stdin:
        asked = json.loads(line)
        op, said = asked["op"], {}
        if op == "hello":
            said = ABOUT
        elif op == "start" and asked["net"] == "listen":
            said = {"addr": port}
        elif op == "start" and asked["net"] == "dial":
            host, _, number = asked["addr"].rpartition(":")
            carrier = socket.create_connection((host, int(number)))
            threading.Thread(target=talk, args=(carrier, answer), daemon=True).start()
        elif op in ("start", "rx", "tick"):
            said = inline(bytes.fromhex(asked.get("hex", "")), answer, eof=asked.get("eof", False))
        elif op == "do":
            said = {"skip": "action"}
        print(json.dumps({"re": op, **said}), flush=True)


def raw(answer: Answer) -> None:
    """Treat the lines of PCTL like bytes of a link."""
    data = b""
    while (said := answer(data)) is not None:
        sys.stdout.buffer.write(said)
        sys.stdout.flush()
        data = sys.stdin.buffer.readline()
        if not data:
            return


if __name__ == "__main__":
    kind = sys.argv[1]
    if kind.startswith("raw-"):
        raw(KINDS[kind.removeprefix("raw-")])
    else:
        serve(KINDS[kind], listen(KINDS[kind]))
