"""Lets the suite judge the peer in peer.py: PCTL/1 on stdin and stdout."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from tcp import Host

ABOUT: dict[str, Any] = {
    "pctl": 1, "impl": "minimal-python", "version": "1", "spec": ["p2pwire/1"], "clock": "virtual",
    "roles": ["initiator", "responder"], "net": ["listen", "dial", "inline"],
    "features": ["identity", "record", "events"],
}  # fmt: skip
HOSTS: dict[str, Host] = {}


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def bytes_of(host: Host, asked: dict[str, Any]) -> dict[str, Any]:
    peer = host.peers[0] if host.peers else host.peer(0)
    peer.tick(peer.now + asked.get("ms", 0))
    if asked.get("hex"):
        peer.receive(bytes.fromhex(asked["hex"]), peer.now)
    if asked.get("eof"):
        peer.receive(b"", peer.now)
    tx, events, peer.events = b"".join(iter(peer.take, b"")).hex(), peer.events, []
    return {"tx": tx, "ended": peer.ended, "closed": peer.closed, "events": events}


async def answer(asked: dict[str, Any]) -> dict[str, Any]:
    op, run, net = asked["op"], asked.get("run", ""), asked.get("net", "")
    if op == "hello":
        return ABOUT
    if op == "start":
        config = {"unix_time": int(time.time()), "listening": [], **asked["config"]}
        seed, told = bytes.fromhex(config["identity"]), lambda event: say({**event, "run": run})
        HOSTS[run] = Host(asked["role"], seed, config["listening"], config["unix_time"], told)
    host = HOSTS.get(run)
    if host is None or asked.get("action", "close") != "close":
        return {"skip": "action"}
    if net == "listen":
        return {"addr": await host.listen()}
    if op in ("rx", "tick") or net == "inline":
        return bytes_of(host, asked)
    await host.dial(asked["addr"]) if op == "start" else host.close() if op == "do" else HOSTS.pop(run).stop()
    return {}


async def main() -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        say({"re": json.loads(line)["op"], **await answer(json.loads(line))})


asyncio.run(main())
