"""Commands where they may not be given: `LocalProtocolError`, and everything is as it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from struct import Struct
from typing import Any

import attrs
import pytest

from p2pwire.connection import commands as cmd
from p2pwire.connection import outgoing
from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.config import Config, Extension, Limits
from p2pwire.connection.connection import MAX_INPUT, MAX_READ, Connection
from p2pwire.connection.session import Session
from p2pwire.connection.state import LinkState
from p2pwire.crypto.noise import CipherState
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import MAX_FRAME_BODY, SEND_QUEUE_DATA, CloseCode, RejectCode
from tests.connection.remote import HELLO, Blob, Remote, config, initiator, responder
from tests.connection.watching import attributes

BLOB, OTHER = Blob(2), Blob(1, seed="other")
TOPIC = BLOB.topic

COMMANDS: list[cmd.Command] = [
    cmd.Join(TOPIC),
    cmd.Leave(TOPIC),
    cmd.TellObject(TOPIC, BLOB.info),
    cmd.TellUnits(TOPIC, ((0, 0),)),
    cmd.TellLost(TOPIC, ((0, 0),)),
    cmd.TellInterest(TOPIC, on=True),
    cmd.GrantCredit(100),
    cmd.SuggestUnits(TOPIC, 0, 0),
    cmd.RequestBlocks(1, TOPIC, 0, 0, 0, BLOB.length, BLOB.root),
    cmd.CancelRequest(1),
    cmd.SendBlock(1, BLOB.siblings(0, 0), BLOB.block(0)),
    cmd.SendBlocks(1, (BLOB.siblings(0, 0),), memoryview(BLOB.block(0))),
    cmd.RejectRequest(1, RejectCode.BUSY),
    cmd.SharePeers(TOPIC, (), (bytes(32),)),
    cmd.AskPeers(TOPIC, 8),
    cmd.Ping(b"12345678"),
    cmd.SendExtension("test/1", 0, b"body"),
]


_COUNTED = (cmd.SendBlock, cmd.SendBlocks, cmd.TellUnits, cmd.SharePeers, cmd.SuggestUnits, cmd.SendExtension)


def frozen(value: object, seen: set[int] | None = None) -> Any:
    """All that an object is made of, as plain values that can be compared."""
    seen = set() if seen is None else seen
    if isinstance(value, int | float | str | bytes | bool | type(None) | Enum):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Config | Struct) or callable(value) or type(value).__module__.startswith("cryptography."):
        return type(value).__name__
    if id(value) in seen:
        return "seen"
    seen.add(id(value))
    if isinstance(value, dict):
        return {repr(key): frozen(each, seen) for key, each in value.items()}
    if isinstance(value, list | tuple | deque | set | frozenset):
        return [frozen(each, seen) for each in value]
    slots = [name for kind in type(value).__mro__ for name in attributes(kind)]
    assert slots or hasattr(value, "__dict__"), type(value)
    names = [name for name in slots if name not in ("__weakref__", "__dict__")] or list(vars(value))
    return type(value).__name__, {name: frozen(getattr(value, name, None), seen) for name in names}


def test_everything_of_a_connection_is_looked_at() -> None:
    remote = opened()
    before = frozen(remote.connection)
    assert before == frozen(remote.connection)
    for kind in (Connection, Session, CipherState):
        assert kind.__name__ in repr(before)
    remote.connection.send(cmd.Ping(b"12345678"))
    assert before != frozen(remote.connection)


# --- in each state ---------------------------------------------------------------------------------------------------


def under_test() -> Config:
    return config("alice", BLOB, OTHER, extensions=(Extension("test/1", 0x80, 2),))


def handshaking(make: Callable[..., Remote]) -> Remote:
    return make(under_test())


def waiting_for_hello() -> Remote:
    return responder(under_test()).handshake()


def opened() -> Remote:
    """Everything is allowed: a topic is open, and each side has a request open; the other side has the extension."""
    remote = responder(under_test())
    extension = msg.Extensions((msg.Extension("test/1", 0x90, 1, b""),)).encode()
    remote.open(attrs.evolve(HELLO, parameters=(msg.HelloParameter(4, extension),)))
    remote.say(remote.join(OTHER, 1))
    remote.command(cmd.RequestBlocks(5, OTHER.topic, 0, 0, 0, OTHER.length, OTHER.root))
    return remote.forget()


def topic_open() -> Remote:
    remote = opened()
    remote.say(remote.join(BLOB), msg.Request(1, 0, 0, 0, 1), msg.Cancel(1))
    remote.command(cmd.RequestBlocks(9, TOPIC, 0, 0, 0, BLOB.length, BLOB.root))
    return remote.forget()


def leaving() -> Remote:
    remote = topic_open()
    remote.command(cmd.Leave(TOPIC))
    return remote.forget()


def draining() -> Remote:
    remote = topic_open()
    remote.command(cmd.CloseLink(CloseCode.NONE))
    return remote.forget()


def closed() -> Remote:
    remote = topic_open()
    remote.end()
    return remote.forget()


ALLOWED: dict[str, tuple[Callable[[], Remote], set[type]]] = {
    "the initiator's handshake": (lambda: handshaking(initiator), set()),
    "the responder's handshake": (lambda: handshaking(responder), set()),
    "before HELLO": (waiting_for_hello, {cmd.Join, cmd.GrantCredit, cmd.Ping}),
    "without the topic": (opened, {cmd.Join, cmd.GrantCredit, cmd.Ping, cmd.SendExtension}),
    "in the topic": (topic_open, {type(command) for command in COMMANDS} - {cmd.CancelRequest}),
    "leaving the topic": (leaving, {cmd.GrantCredit, cmd.Ping, cmd.SendExtension}),
    "after CLOSE": (draining, set()),
    "after the end": (closed, set()),
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
@pytest.mark.parametrize("place", ALLOWED)
def test_each_command_in_each_state(place: str, command: cmd.Command) -> None:
    make, allowed = ALLOWED[place]
    remote = make()
    if type(command) in allowed:
        remote.connection.send(command)
        return
    before = frozen(remote.connection)
    with pytest.raises(LocalProtocolError):
        remote.connection.send(command)
    assert frozen(remote.connection) == before


def test_every_command_is_tried() -> None:
    assert {type(command) for command in COMMANDS} | {cmd.CloseLink} == set(cmd.Command.__args__)


# --- values that no frame can carry ----------------------------------------------------------------------------------

IMPOSSIBLE: dict[str, cmd.Command] = {
    "spans: none": cmd.TellUnits(TOPIC, ()),
    "spans: backwards": cmd.TellUnits(TOPIC, ((5, 4),)),
    "spans: descending": cmd.TellUnits(TOPIC, ((5, 6), (1, 2))),
    "spans: beyond u16": cmd.TellUnits(TOPIC, ((0, 65536),)),
    "spans: negative": cmd.TellUnits(TOPIC, ((-1, 5),)),
    "spans: too many": cmd.TellUnits(TOPIC, tuple((2 * n, 2 * n) for n in range(16379))),
    "lost: none": cmd.TellLost(TOPIC, ()),
    "lost: backwards": cmd.TellLost(TOPIC, ((5, 4),)),
    "suggest: backwards": cmd.SuggestUnits(TOPIC, 5, 4),
    "suggest: beyond u16": cmd.SuggestUnits(TOPIC, 0, 65536),
    "object: another": cmd.TellObject(TOPIC, OTHER.info),
    "credit: less": cmd.GrantCredit(63),
    "credit: beyond u64": cmd.GrantCredit(2**64),
    "request: id": cmd.RequestBlocks(2**32, TOPIC, 0, 0, 0, BLOB.length, BLOB.root),
    "request: file": cmd.RequestBlocks(2, TOPIC, 2**32, 0, 0, BLOB.length, BLOB.root),
    "request: level": cmd.RequestBlocks(2, TOPIC, 0, 0, 2, BLOB.length, BLOB.root),
    "cancel: another": cmd.CancelRequest(77),
    "block: no data": cmd.SendBlock(1, BLOB.siblings(0, 0), b"", last=True),
    "block: too long": cmd.SendBlock(1, BLOB.siblings(0, 0), bytes(16385), last=True),
    "block: a short hash": cmd.SendBlock(1, (bytes(31),), BLOB.block(0)),
    "blocks: none": cmd.SendBlocks(1, (), memoryview(b""), last=True),
    "blocks: no data": cmd.SendBlocks(1, (BLOB.siblings(0, 0),), memoryview(b""), last=True),
    "blocks: too long": cmd.SendBlocks(1, (BLOB.siblings(0, 0),), memoryview(bytes(16385)), last=True),
    "blocks: a short hash": cmd.SendBlocks(1, ((bytes(31),),), memoryview(BLOB.block(0))),
    "blocks: more than asked for": cmd.SendBlocks(1, (BLOB.siblings(0, 0), (), ()), memoryview(BLOB.data)),
    "reject: code": cmd.RejectRequest(1, 99),
    "peers: none": cmd.SharePeers(TOPIC, ()),
    "peers: an empty record": cmd.SharePeers(TOPIC, (msg.SharedRecord(0, b""),)),
    "peers: a long record": cmd.SharePeers(TOPIC, (msg.SharedRecord(0, bytes(513)),)),
    "peers: too many": cmd.SharePeers(TOPIC, (msg.SharedRecord(0, b"x"),) * 33),
    "peers: a short identity": cmd.SharePeers(TOPIC, (), (bytes(31),)),
    "ask: more than u8": cmd.AskPeers(TOPIC, 256),
    "ping: size": cmd.Ping(b"1234567"),
    "extension: name": cmd.SendExtension("other/1", 0, b""),
    "extension: index": cmd.SendExtension("test/1", 1, b""),
    "extension: negative index": cmd.SendExtension("test/1", -1, b""),
    "extension: size": cmd.SendExtension("test/1", 0, bytes(MAX_FRAME_BODY + 1)),
    "close: code": cmd.CloseLink(65536),
    "close: frame type": cmd.CloseLink(CloseCode.NONE, "", 256),
}


@pytest.mark.parametrize("command", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_values_that_can_not_be(command: cmd.Command) -> None:
    remote = topic_open()
    before = frozen(remote.connection)
    with pytest.raises(LocalProtocolError):
        remote.connection.send(command)
    assert frozen(remote.connection) == before
    remote.say(msg.Ping(b"12345678"))
    assert remote.heard(msg.Pong)


def test_something_that_is_no_command() -> None:
    remote = topic_open()
    with pytest.raises(TypeError, match=r"str is no command|got str$"):
        remote.connection.send("hello")


# --- room ------------------------------------------------------------------------------------------------------------


def test_blocks_and_the_like_wait_for_room() -> None:
    remote = topic_open()
    connection = remote.connection
    count = 0
    while connection.can_send:
        connection.send(cmd.SendExtension("test/1", 0, bytes(1000)))
        count += 1
    assert count == -(-SEND_QUEUE_DATA // 1003)
    before = frozen(connection)
    for command in COMMANDS:
        if isinstance(command, _COUNTED):
            with pytest.raises(LocalProtocolError, match="can_send"):
                connection.send(command)
    assert frozen(connection) == before
    # All else may be said.
    connection.send(cmd.RejectRequest(1, RejectCode.BUSY))
    connection.send(cmd.TellLost(TOPIC, ((0, 0),)))
    connection.data_to_send()
    assert connection.can_send


def test_the_queue_is_full_when_it_holds_as_much_as_its_limit() -> None:
    extension = msg.Extensions((msg.Extension("test/1", 0x90, 1, b""),)).encode()
    remote = responder(config(extensions=(Extension("test/1", 0x80, 1),), limits=Limits(send_queue=103)))
    remote.open(attrs.evolve(HELLO, parameters=(msg.HelloParameter(4, extension),)))
    remote.connection.send(cmd.SendExtension("test/1", 0, bytes(99)))
    assert remote.connection.can_send
    remote.connection.data_to_send()
    remote.connection.send(cmd.SendExtension("test/1", 0, bytes(100)))
    assert not remote.connection.can_send
    with pytest.raises(LocalProtocolError, match="103 bytes wait"):
        remote.connection.send(cmd.SendExtension("test/1", 0, b""))


@pytest.mark.interpreted
@pytest.mark.parametrize(
    "commands",
    [
        lambda number: cmd.TellLost(TOPIC, tuple((2 * n, 2 * n) for n in range(16000))),
        lambda number: cmd.TellInterest(TOPIC, on=number % 2 == 0),
        lambda number: cmd.GrantCredit(100 + number),
        lambda number: cmd.AskPeers(TOPIC, 1),
    ],
)
def test_no_command_fills_the_memory(commands: Callable[[int], cmd.Command], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "MAX_QUEUE", 4096)
    connection = topic_open().connection
    sent = 0
    while connection._outbox.waiting < 4096:
        connection.send(commands(sent))
        sent += 1
    before = frozen(connection)
    with pytest.raises(LocalProtocolError, match="can_send"):
        connection.send(commands(sent))
    assert frozen(connection) == before
    connection.data_to_send()
    connection.send(commands(sent))


# --- CLOSE -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("bye", "bye"),
        ("x" * 300, "x" * 256),
        ("ü" * 200, "ü" * 128),
        ("x" + "€" * 100, "x" + "€" * 85),
        ("a\x1b[2Jb\nc\x9bd", "a?[2Jb?c?d"),
        ("\ud800", "?"),
    ],
)
def test_the_detail_of_close_is_cut_and_cleaned(detail: str, said: str) -> None:
    remote = topic_open()
    remote.command(cmd.CloseLink(CloseCode.FLOOD, detail, 0x30))
    assert remote.frames == [msg.Close(CloseCode.FLOOD, 0x30, said)]
    assert remote.connection.state is LinkState.DRAINING
    # A second one says nothing.
    remote.command(cmd.CloseLink(CloseCode.INTERNAL))
    assert len(remote.frames) == 1
    assert remote.closed is not None


# --- input -----------------------------------------------------------------------------------------------------------


def test_more_input_than_may_be() -> None:
    remote = topic_open()
    connection = remote.connection
    before = frozen(connection)
    with pytest.raises(LocalProtocolError, match="at once"):
        connection.receive_data(bytes(MAX_READ + 1), remote.now)
    assert frozen(connection) == before
    for _ in range(MAX_INPUT // MAX_READ):
        assert connection.wants_data
        connection.receive_data(b"\xff" * MAX_READ, remote.now)
    assert not connection.wants_data
    before = frozen(connection)
    with pytest.raises(LocalProtocolError, match="unparsed"):
        connection.receive_data(bytes(MAX_INPUT % MAX_READ + 1), remote.now)
    assert frozen(connection) == before


def test_no_bytes_after_the_end() -> None:
    remote = topic_open()
    remote.connection.receive_data(b"", remote.now)
    assert remote.connection.ended
    assert not remote.connection.wants_data
    before = frozen(remote.connection)
    with pytest.raises(LocalProtocolError, match="after the end"):
        remote.connection.receive_data(b"x", remote.now)
    assert frozen(remote.connection) == before
    remote.end()
    remote.end()
    assert remote.closed is not None
