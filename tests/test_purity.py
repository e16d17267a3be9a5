"""The core does no I/O, reads no clock, makes no random number, and needs neither construct nor anyio."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import p2pwire

PACKAGE = Path(p2pwire.__file__).parent
CORE = ("wire", "crypto", "content", "connection", "node")
FORBIDDEN = frozenset(
    {"socket", "ssl", "asyncio", "anyio", "trio", "threading", "multiprocessing", "subprocess", "selectors", "signal"}
    | {"time", "datetime", "random", "secrets", "os", "pathlib", "io", "tempfile", "logging", "construct"}
)
SCHEMA = frozenset({"schema.py", "constructs.py", "rules.py"})
"""The description of the messages, which construct is for; nothing of the core imports it."""

MODULES = sorted(path for room in CORE for path in (PACKAGE / room).rglob("*.py"))


def imports(tree: ast.AST) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports hide where a thing comes from"
            found.add(node.module or "")
    return found


def test_there_is_a_core() -> None:
    assert {path.parent.name for path in MODULES} == set(CORE)
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_module_of_the_core_imports_the_world(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = imports(tree)
    allowed = {"construct", "io"} if path.name in SCHEMA and path.parent.name == "wire" else set()
    assert not {name.partition(".")[0] for name in named} & (FORBIDDEN - allowed)
    if path.name not in SCHEMA:
        assert not {
            name for name in named if name.startswith("p2pwire.wire.") and f"{name.rpartition('.')[2]}.py" in SCHEMA
        }
    # What needs no import to touch the world.
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"open", "print", "input", "eval", "exec", "__import__", "breakpoint"}


RUN = '''
"""A transfer in memory, in a process in which touching the world is an error."""
import sys

import p2pwire
from p2pwire.connection import commands as cmd, events as ev
from p2pwire.connection.config import Config, Offer, Role
from p2pwire.connection.connection import Connection
from p2pwire.content.manifest import Manifest
from p2pwire.content.merkle import BLOCK, Tree, TreeBuilder
from p2pwire.content.objects import ObjectInfo
from p2pwire.crypto.identity import Identity
from p2pwire.node.node import Node
from p2pwire.wire import messages, registry

loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"construct", "anyio", "asyncio", "trio", "ssl", "click", "rich"}, loaded
assert "p2pwire.wire.schema" not in sys.modules

import builtins, os, random, secrets, socket, subprocess, threading, time


def forbid(owner, *names):
    for name in names:
        def touched(*arguments, name=name, **more):
            raise AssertionError(f"the core called {name}")
        setattr(owner, name, touched)


forbid(time, "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "sleep")
forbid(time, "localtime", "gmtime")
forbid(os, "urandom", "open", "read", "write", "stat", "listdir", "getpid", "getenv", "getrandom", "fork", "system")
forbid(random, "random", "randrange", "randint", "choice", "getrandbits", "seed", "shuffle", "Random", "SystemRandom")
forbid(secrets, "token_bytes", "randbits", "choice")
forbid(socket, "socket", "create_connection", "getaddrinfo", "gethostname")
forbid(threading, "Thread", "Timer")
forbid(subprocess, "Popen", "run")
forbid(builtins, "open", "print", "input")

state = 0


def bytes_of(size):
    global state
    state += 1
    return __import__("hashlib").shake_128(b"%d" % state).digest(size)


data = bytes_of(5 * BLOCK + 321)
builder = TreeBuilder()
builder.update(data)
leaves = builder.finish()
tree = Tree.from_leaves(leaves.length, leaves.hashes)
info = ObjectInfo(registry.ObjectKind.BLOB, len(data), leaves.root)
topics = {info.topic: Offer(info.oid, registry.JoinFlag(0), info)}
alice = Connection(Role.INITIATOR, Config(Identity.from_seed(bytes_of(32)), topics=topics), now=0.0, random=bytes_of)
bob = Connection(Role.RESPONDER, Config(Identity.from_seed(bytes_of(32)), topics=topics), now=0.0, random=bytes_of)
got = {}
closed = 0


def react(connection, event):
    global closed
    match event:
        case ev.LinkEstablished() if connection is alice:
            alice.send(cmd.Join(info.topic))
        case ev.TopicOpened() if connection is alice:
            alice.send(cmd.RequestBlocks(0, info.topic, 0, 0, 3, len(data), leaves.root))
        case ev.RequestReceived():
            for block in range(6):
                siblings = tree.siblings(block, 3 if not block else (block & -block).bit_length() - 1)
                bob.send(cmd.SendBlock(0, siblings, data[block * BLOCK : (block + 1) * BLOCK], block == 5))
        case ev.BlocksReceived():
            got.update(enumerate(map(bytes, event.data), event.block))
        case ev.RequestEnded():
            alice.send(cmd.CloseLink(registry.CloseCode.NONE))
        case ev.Closed():
            closed += 1


moved = True
now = 0.0
while moved:
    moved = False
    now += 0.01
    for source, target in ((alice, bob), (bob, alice)):
        for connection in (source, target):
            while (event := connection.next_event()) is not None:
                react(connection, event)
            connection.next_timeout()
            connection.handle_timeout(now)
        for piece in source.data_to_send(now):
            target.receive_data(piece, now)
            moved = True
        if source.output_ended and not target.ended:
            target.receive_data(b"", now)
            moved = True
assert b"".join(got[block] for block in range(6)) == data
assert closed == 2

node = Node(Identity.from_seed(bytes_of(32)), now=0.0, unix_time=1.8e9, random=bytes_of)
topic = node.fetch(info.oid, 0.0)
node.next_action(), node.next_event(), node.next_timeout()
node.handle_timeout(1.0, 1.8e9 + 1)
node.close(2.0)
sys.stdout.write("pure")
'''


def test_a_transfer_touches_nothing_of_the_world() -> None:
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("pure", "")
