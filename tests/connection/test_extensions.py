"""Extensions: how they are agreed, and numbered by the receiver."""

from __future__ import annotations

import attrs
import pytest

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.config import Extension, Role
from p2pwire.connection.connection import Connection
from p2pwire.connection.extensions import hello_parameters
from p2pwire.connection.grease import GREASE_SEED, Grease
from p2pwire.testing.pair import Pair, seeded
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import (
    GREASE_FRAMES,
    LAST_EXTENSION_FRAME,
    MAX_EXTENSIONS,
    MAX_FRAME_BODY,
    CloseCode,
    FrameType,
    is_grease_tag,
)
from tests.connection.remote import HELLO, START, Remote, config, raw, responder

CHAT = Extension("example.org/chat", 0x80, 4)
MOVES = Extension("example.org/moves", 0x90, 2, b"params")


def opened(*theirs: msg.Extension, own: tuple[Extension, ...] = (CHAT, MOVES)) -> Remote:
    remote = responder(config(extensions=own))
    value = msg.Extensions(theirs).encode()
    remote.open(attrs.evolve(HELLO, parameters=(msg.HelloParameter(4, value),)))
    return remote


def test_own_extensions_are_listed() -> None:
    remote = opened()
    (hello,) = remote.heard(msg.Hello)
    (parameter,) = hello.parameters
    assert parameter.tag == 4
    entries = (msg.Extension(CHAT.name, 0x80, 4, b""), msg.Extension(MOVES.name, 0x90, 2, b"params"))
    assert msg.Extensions.decode(parameter.value).entries == entries


def test_what_both_list_is_agreed() -> None:
    theirs = (
        msg.Extension(CHAT.name, 0xA0, 2, b""),
        msg.Extension("other", 0xB0, 1, b""),
        msg.Extension("grease/1", 0xC0, 16, b""),
    )
    remote = opened(*theirs)
    (established,) = remote.of(ev.LinkEstablished)
    assert established.extensions == {CHAT.name}


def test_frames_are_numbered_by_their_receiver() -> None:
    remote = opened(msg.Extension(CHAT.name, 0xA0, 2, b""))
    remote.records.clear()
    remote.command(cmd.SendExtension(CHAT.name, 1, b"body"))
    assert remote.records == [raw(0xA1, b"body")]
    remote.forget().say(raw(0x80), raw(0x83, b"x" * 100))
    assert remote.events == [ev.ExtensionReceived(CHAT.name, 0, b""), ev.ExtensionReceived(CHAT.name, 3, b"x" * 100)]


@pytest.mark.parametrize(("name", "index"), [(CHAT.name, 2), (CHAT.name, -1), (MOVES.name, 0), ("other", 0)])
def test_frames_that_the_other_side_has_not(name: str, index: int) -> None:
    remote = opened(msg.Extension(CHAT.name, 0xA0, 2, b""), msg.Extension("other", 0xB0, 1, b""))
    with pytest.raises(LocalProtocolError, match="has no frame"):
        remote.command(cmd.SendExtension(name, index, b""))


def test_no_frame_of_an_extension_with_a_grease_name() -> None:
    grease = Extension("grease/ours", 0xB0, 4)
    remote = opened(msg.Extension(grease.name, 0xA0, 4, b""), own=(grease,))
    with pytest.raises(LocalProtocolError, match="has no frame"):
        remote.command(cmd.SendExtension(grease.name, 0, b""))


def test_no_frame_of_an_extension_before_hello() -> None:
    remote = responder(config(extensions=(CHAT,))).handshake()
    with pytest.raises(LocalProtocolError, match="has no frame"):
        remote.command(cmd.SendExtension(CHAT.name, 0, b""))


def test_types_that_are_not_agreed_are_unknown() -> None:
    # 0x90 and 0x91 are of an extension that only this side lists.
    for frame_type in (0x84, 0x90, 0xA0, 0xFE):
        remote = opened(msg.Extension(CHAT.name, 0xA0, 2, b""))
        remote.say(raw(frame_type))
        assert remote.close is not None
        assert (remote.close.code, remote.close.frame_type) == (CloseCode.UNKNOWN_FRAME, frame_type)
    remote = opened(msg.Extension(CHAT.name, 0xA0, 2, b""))
    remote.say(*(raw(frame_type, b"x") for frame_type in (0x85, 0x91, 0xA1, 0xFD, 0xFF)))
    assert remote.close is None
    assert not remote.of(ev.ExtensionReceived)


def test_the_largest_frame() -> None:
    pair = Pair(config("alice", extensions=(CHAT,)), config("bob", extensions=(CHAT,)))
    pair.run()
    pair.initiator.send(cmd.SendExtension(CHAT.name, 0, bytes(MAX_FRAME_BODY)))
    pair.run()
    assert pair.responder.of(ev.ExtensionReceived) == [ev.ExtensionReceived(CHAT.name, 0, bytes(MAX_FRAME_BODY))]


def many(count: int) -> bytes:
    return b"".join(b"\x01" + bytes((ord("a") + n, 0x80 + n)) + b"\x01\0" for n in range(count))


MALFORMED = {
    "no name": b"\0\x80\x01\0",
    "a long name": b"\x21" + b"a" * 33 + b"\x80\x01\0",
    "a capital": b"\x01A\x80\x01\0",
    "an underscore": b"\x01_\x80\x01\0",
    "a base below": b"\x01a\x7f\x01\0",
    "a base above": b"\x01a\xff\x01\0",
    "a range beyond": b"\x01a\xfe\x02\0",
    "count 0": b"\x01a\x80\0\0",
    "count 17": b"\x01a\x80\x11\0",
    "params cut short": b"\x01a\x80\x01\x02x",
    "a name twice": b"\x01a\x80\x01\0\x01a\x90\x01\0",
    "ranges that overlap": b"\x01a\x80\x04\0\x01b\x83\x01\0",
    "25 of them": many(25),
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_lists_that_are_malformed(value: bytes) -> None:
    remote = responder().handshake()
    remote.say(raw(0, HELLO.encode() + b"\x04" + len(value).to_bytes(2, "big") + value))
    assert remote.close is not None
    assert (remote.close.code, remote.close.frame_type) == (CloseCode.PROTOCOL, FrameType.HELLO)


def test_24_extensions_are_as_many_as_may_be() -> None:
    remote = responder().handshake()
    remote.say(raw(0, HELLO.encode() + b"\x04" + len(many(24)).to_bytes(2, "big") + many(24)))
    assert remote.of(ev.LinkEstablished)


@pytest.mark.parametrize(
    "own",
    [
        (attrs.evolve(CHAT, name="")),
        (attrs.evolve(CHAT, name="UPPER")),
        (attrs.evolve(CHAT, base=0x7F)),
        (attrs.evolve(CHAT, base=0xFE)),
        (attrs.evolve(CHAT, count=0)),
        (attrs.evolve(CHAT, params=bytes(256))),
    ],
)
def test_own_lists_that_can_not_be_show_at_the_start(own: Extension) -> None:
    with pytest.raises(ValueError, match="Extension"):
        Connection(Role.RESPONDER, config(extensions=(own,)), now=START, random=seeded("x"))


# --- GREASE ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(16))
def test_grease_in_hello(number: int) -> None:
    grease = Grease.of(bytes((number * 17 + at * 31) % 256 for at in range(GREASE_SEED)))
    assert grease is not None
    parameters = hello_parameters(config(extensions=(CHAT,)), grease)
    tags = [parameter.tag for parameter in parameters]
    assert tags == sorted(tags)
    assert [tag for tag in tags if is_grease_tag(tag)] == [grease.tag]
    entries = msg.Extensions.decode(next(p.value for p in parameters if p.tag == 4)).entries
    assert [entry.name for entry in entries] == [CHAT.name, grease.name]
    assert entries[1].base == LAST_EXTENSION_FRAME
    assert grease.name.startswith("grease/")
    assert grease.frame[0] in GREASE_FRAMES
    assert len(grease.frame) == 3 + int.from_bytes(grease.frame[1:3], "big")


@pytest.mark.parametrize(
    "own",
    [
        (Extension("a", 0xFE, 1),),
        tuple(Extension(f"a{number}", 0x80 + number, 1) for number in range(MAX_EXTENSIONS)),
    ],
)
def test_grease_takes_nobodys_place(own: tuple[Extension, ...]) -> None:
    grease = Grease.of(bytes(GREASE_SEED))
    parameters = hello_parameters(config(extensions=own), grease)
    entries = msg.Extensions.decode(next(p.value for p in parameters if p.tag == 4)).entries
    assert [entry.name for entry in entries] == [extension.name for extension in own]


def test_grease_takes_the_place_that_is_left() -> None:
    own = (Extension("a", 0xF0, 14), *(Extension(f"b{number}", 0x80 + number, 1) for number in range(22)))
    parameters = hello_parameters(config(extensions=own), Grease.of(bytes(GREASE_SEED)))
    entries = msg.Extensions.decode(next(p.value for p in parameters if p.tag == 4)).entries
    assert len(entries) == MAX_EXTENSIONS
    assert (entries[0].base + entries[0].count, entries[-1].base) == (LAST_EXTENSION_FRAME, LAST_EXTENSION_FRAME)


def test_a_grease_frame_follows_hello() -> None:
    remote = responder(config(grease=bytes(range(GREASE_SEED)))).handshake()
    plain = b"".join(remote.records)
    end = 3 + int.from_bytes(plain[1:3], "big")
    assert plain[0] == FrameType.HELLO
    assert plain[end] in GREASE_FRAMES
    remote.say(HELLO)
    remote.say(*(raw(frame_type, b"whatever") for frame_type in GREASE_FRAMES))
    assert remote.close is None
