"""Lets the suite judge the peer in peer.py: PCTL/1 on stdin and stdout."""

from __future__ import annotations

import asyncio
import functools
import json
import os
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


def say(message: dict[str, Any], **more: str) -> None:
    print(json.dumps({**message, **more}), flush=True)


def bytes_of(host: Host, asked: dict[str, Any]) -> dict[str, Any]:
    peer = host.peers[0] if host.peers else host.peer(0)
    peer.tick(peer.now + asked.get("ms", 0))
    data, tx = bytes.fromhex(asked.get("hex", "")), b""
    step = asked.get("piece") or len(data) or 1
    for at in range(0, len(data), step):
        peer.receive(data[at : at + step], peer.now)
        tx += b"".join(iter(peer.take, b""))
    if asked.get("eof"):
        peer.receive(b"", peer.now)
    tx, events, peer.events = tx + b"".join(iter(peer.take, b"")), peer.events, []
    return {"tx": tx.hex(), "ended": peer.ended, "closed": peer.closed, "events": events}


async def answer(asked: dict[str, Any]) -> dict[str, Any]:
    op, run, net = asked["op"], asked.get("run", ""), asked.get("net")
    if op == "hello":
        return ABOUT
    if op == "start":
        own = {"identity": os.urandom(32).hex(), "unix_time": int(time.time()), "listening": []}
        config = {**own, **asked["config"]}
        seed, told = bytes.fromhex(config["identity"]), functools.partial(say, run=run)
        HOSTS[run] = Host(asked["role"], seed, config["listening"], config["unix_time"], told)
    host = HOSTS.get(run)
    if host is None or asked.get("action", "close") != "close":
        return {"skip": "action"}
    if op in ("rx", "tick") or net == "inline":
        return bytes_of(host, asked)
    if net == "listen":
        return {"addr": await host.listen()}
    if net == "dial":
        await host.dial(asked["addr"])
    elif op == "do":
        host.close()
    elif op == "stop":
        HOSTS.pop(run).stop()
    return {}


async def main() -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        say(await answer(asked), re=asked["op"])


asyncio.run(main())
