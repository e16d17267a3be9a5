"""Frames: form, order, faults and what each of them costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.config import Limits
from p2pwire.connection.state import LinkState
from p2pwire.content.objects import ObjectInfo
from p2pwire.crypto.record import sign_record
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import (
    INITIAL_CREDIT,
    MANIFEST_FILE,
    MAX_LENGTH,
    MAX_MANIFEST_LENGTH,
    CloseCode,
    FrameType,
    ObjectKind,
    RejectCode,
)
from tests.connection.remote import BOTH, HELLO, Blob, Remote, config, identity, initiator, raw, responder

BLOB = Blob(5)
OTHER = Blob(1, seed="other")
PING, PONG = msg.Ping(b"fence..."), msg.Pong(b"fence...")
SPAN = (msg.Span(0, 3),)

MakeRemote = Callable[..., Remote]


def opened(make: MakeRemote = responder, **limits: float) -> Remote:
    """A topic is open under the remote's handle 0."""
    remote = make(config("alice", BLOB, OTHER, limits=Limits(**limits))).open()
    remote.say(remote.join(BLOB))
    return remote.forget()


def requesting(make: MakeRemote = responder, level: int = 0) -> Remote:
    """And the connection has a request open, with id 1."""
    remote = opened(make)
    remote.command(cmd.RequestBlocks(1, BLOB.topic, 0, 0, level, BLOB.length, BLOB.root))
    return remote.forget()


def costs(remote: Remote, code: CloseCode, blamed: int) -> None:
    assert remote.close is not None
    assert (CloseCode(remote.close.code), remote.close.frame_type) == (code, blamed)
    assert remote.closed is not None
    assert (remote.closed.code, remote.closed.by_peer, remote.closed.truncated) == (code, False, False)
    assert remote.connection.state is LinkState.DRAINING


def lives(remote: Remote) -> None:
    remote.forget()
    remote.say(PING)
    assert remote.frames == [PONG]
    assert remote.connection.state is LinkState.OPEN


# --- form ------------------------------------------------------------------------------------------------------------

VALID: dict[FrameType, msg.Frame] = {
    FrameType.HELLO: HELLO,
    FrameType.CLOSE: msg.Close(CloseCode.NONE, 0xFF, "bye"),
    FrameType.PING: PING,
    FrameType.PONG: PONG,
    FrameType.JOIN: msg.Join(1, 0, bytes(32), bytes(32)),
    FrameType.REFUSE: msg.Refuse(9, 0),
    FrameType.LEAVE: msg.Leave(9),
    FrameType.OBJECT: msg.Object(0, BLOB.info.kind, BLOB.info.length, BLOB.root),
    FrameType.HAVE: msg.Have(0, (msg.Span(0, 1), msg.Span(3, 3))),
    FrameType.LOST: msg.Lost(0, (msg.Span(0, 1), msg.Span(3, 3))),
    FrameType.INTEREST: msg.Interest(0, True),
    FrameType.CREDIT: msg.Credit(INITIAL_CREDIT),
    FrameType.SUGGEST: msg.Suggest(0, 0, 0),
    FrameType.REQUEST: msg.Request(0, 0, 0, 0, 0),
    FrameType.DATA: BLOB.answer(1, 0, 0)[0],
    FrameType.REJECT: msg.Reject(1, RejectCode.BUSY, 5),
    FrameType.CANCEL: msg.Cancel(0),
    FrameType.PEERS: msg.Peers(0, (msg.SharedRecord(1, b"record"),), (bytes(32),)),
    FrameType.GET_PEERS: msg.GetPeers(0, 8),
}


@pytest.mark.parametrize("frame_type", VALID, ids=lambda frame_type: frame_type.name)
def test_a_body_of_another_size_is_malformed(frame_type: FrameType) -> None:
    if frame_type is FrameType.CLOSE:
        bodies = [VALID[frame_type].encode()[:size] for size in range(3)] + [bytes(3) + b"x" * 257]
    elif frame_type is FrameType.HELLO:
        bodies = [HELLO.encode()[:-1], HELLO.encode() + b"\x01"]
    else:
        body = VALID[frame_type].encode()
        bodies = [body[:-1], body[: len(body) // 2], b""]
        if frame_type is not FrameType.DATA:
            bodies.append(body + b"\0")
    for body in bodies:
        remote = responder().handshake() if frame_type is FrameType.HELLO else requesting()
        remote.say(raw(frame_type, body))
        code = CloseCode.PROTOCOL
        if frame_type is FrameType.DATA and body and len(body) > 400:
            # A shorter block is well-formed, and not what the root says.
            code = CloseCode.BAD_DATA
        costs(remote, code, frame_type)


MALFORMED = {
    "REFUSE with a code": raw(0x12, b"\0\x09\x01"),
    "HAVE of nothing": raw(0x18, b"\0\0\0\0"),
    "HAVE that goes back": raw(0x18, b"\0\0\0\x01\0\x02\0\x01"),
    "HAVE twice the same": raw(0x18, b"\0\0\0\x02\0\x01\0\x02\0\x02\0\x03"),
    "HAVE in descending order": raw(0x18, b"\0\0\0\x02\0\x05\0\x06\0\x01\0\x02"),
    "LOST of nothing": raw(0x1A, b"\0\0\0\0"),
    "SUGGEST that goes back": raw(0x1F, b"\0\0\0\x02\0\x01"),
    "INTEREST of 2": raw(0x1C, b"\0\0\x02"),
    "REQUEST of level 7": raw(0x20, bytes(14) + b"\x07"),
    "REQUEST of an odd block at level 1": raw(0x20, bytes(13) + b"\x01\x01"),
    "REJECT of code 0": raw(0x24, b"\0\0\0\x01\0\0\0"),
    "REJECT of code 7": raw(0x24, b"\0\0\0\x01\x07\0\0"),
    "REJECT that says when, without a reason to": raw(0x24, b"\0\0\0\x01\x01\0\x01"),
    "DATA with 33 hashes": raw(0x22, b"\0\0\0\x01\0\0\0\0\x21" + bytes(33 * 32 + 1)),
    "DATA without data": raw(0x22, b"\0\0\0\x01\0\0\0\0\0"),
    "DATA of 16385 bytes": raw(0x22, b"\0\0\0\x01\0\0\0\0\0" + bytes(16385)),
    "OBJECT that is too long": raw(0x16, b"\0\0\0" + (MAX_LENGTH + 1).to_bytes(8, "big") + bytes(32)),
    "PEERS of nothing": raw(0x30, b"\0\0\0\0"),
    "PEERS of 33": raw(0x30, b"\0\0\x21" + b"\0\0\x01x" * 33 + b"\0"),
    "PEERS with an empty record": raw(0x30, b"\0\0\x01\0\0\0\0"),
    "PEERS with a long record": raw(0x30, b"\0\0\x01\0\x02\x01" + bytes(513) + b"\0"),
    "PEERS of 65 dropped": raw(0x30, b"\0\0\0\x41" + bytes(65 * 32)),
    "CLOSE with a control character": raw(0x02, b"\0\0\xffa\x1bb"),
    "CLOSE with C1": raw(0x02, b"\0\0\xff\xc2\x9b"),
    "CLOSE that is no UTF-8": raw(0x02, b"\0\0\xff\xff"),
}


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("frame", MALFORMED.values(), ids=MALFORMED)
def test_malformed_frames(make: MakeRemote, frame: bytes) -> None:
    remote = requesting(make)
    remote.say(frame)
    costs(remote, CloseCode.PROTOCOL, frame[0])


@pytest.mark.parametrize("frame", [value for name, value in MALFORMED.items() if "HAVE" in name or "SUGGEST" in name])
def test_the_form_counts_also_where_a_frame_is_ignored(frame: bytes) -> None:
    remote = opened()
    remote.say(msg.Leave(0))
    remote.say(frame)
    costs(remote, CloseCode.PROTOCOL, frame[0])


# --- order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("frame_type", sorted({*FrameType, 0x0B, 0x40, 0x41, 0x80, 0x81, 0xFF} - {0x00, 0x02}))
def test_hello_comes_first(make: MakeRemote, frame_type: int) -> None:
    remote = make().handshake()
    remote.say(raw(frame_type, b"whatever"))
    costs(remote, CloseCode.PROTOCOL, frame_type)


@pytest.mark.parametrize("make", BOTH)
def test_close_may_come_first(make: MakeRemote) -> None:
    remote = make().handshake()
    remote.say(msg.Close(CloseCode.BUSY, 0xFF, "full"))
    assert remote.closed == ev.Closed(CloseCode.BUSY, 14, "full", by_peer=True, truncated=False)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("hello", [HELLO.encode_frame(), raw(0, b"malformed")])
def test_hello_comes_once(make: MakeRemote, hello: bytes) -> None:
    remote = make().open()
    remote.say(hello)
    costs(remote, CloseCode.PROTOCOL, FrameType.HELLO)


@pytest.mark.parametrize("make", BOTH)
def test_unknown_frames(make: MakeRemote) -> None:
    for frame_type in set(range(256)) - set(FrameType):
        remote = make().open().forget()
        remote.say(raw(frame_type, b"whatever"))
        if frame_type % 2:
            lives(remote)
        else:
            costs(remote, CloseCode.UNKNOWN_FRAME, frame_type)


# The order of faults: a frame with several has the outcome of the first.
def first_of(remote: Remote, frame: msg.Frame | bytes, code: CloseCode) -> None:
    remote.say(frame)
    costs(remote, code, frame[0] if isinstance(frame, bytes) else frame.TYPE)


def test_the_order_of_hello_comes_before_an_unknown_type() -> None:
    first_of(responder().handshake(), raw(0x40), CloseCode.PROTOCOL)


def test_an_unknown_type_comes_before_the_budget() -> None:
    first_of(opened(control_burst=1, control_rate=0), raw(0x40), CloseCode.UNKNOWN_FRAME)


def test_the_form_comes_before_the_state() -> None:
    # No such request would be UNSOLICITED, another block too.
    first_of(opened(), MALFORMED["DATA with 33 hashes"], CloseCode.PROTOCOL)
    first_of(opened(), MALFORMED["REJECT of code 7"], CloseCode.PROTOCOL)


def test_the_form_comes_before_counts_and_credit() -> None:
    remote = opened(max_requests=1)
    remote.say(msg.Request(1, 0, 0, 0, 6))
    first_of(remote, raw(0x20, bytes(14) + b"\x07"), CloseCode.PROTOCOL)


def test_the_form_comes_before_content_and_the_budget() -> None:
    first_of(opened(control_burst=1, control_rate=0), MALFORMED["OBJECT that is too long"], CloseCode.PROTOCOL)


def test_the_state_comes_before_counts() -> None:
    remote = opened(max_requests=1)
    remote.say(msg.Request(1, 0, 0, 0, 0))
    first_of(remote, msg.Request(2, 99, 0, 0, 0), CloseCode.PROTOCOL)
    remote = opened(max_requests=1)
    remote.say(msg.Request(1, 0, 0, 0, 0))
    first_of(remote, msg.Request(1, 0, 0, 0, 0), CloseCode.PROTOCOL)


def test_the_state_comes_before_credit() -> None:
    remote = opened()
    remote.say(msg.Request(1, 0, 0, 0, 6))
    first_of(remote, msg.Request(1, 0, 0, 0, 0), CloseCode.PROTOCOL)


def test_counts_come_before_credit() -> None:
    remote = opened(max_requests=1)
    remote.say(msg.Request(1, 0, 0, 0, 6))
    first_of(remote, msg.Request(2, 0, 0, 0, 0), CloseCode.LIMIT)


def test_credit_comes_before_an_ended_handle() -> None:
    remote = opened()
    remote.say(msg.Request(1, 0, 0, 0, 6), msg.Leave(0))
    first_of(remote, msg.Request(2, 0, 0, 0, 0), CloseCode.CREDIT_EXCEEDED)


def test_the_state_comes_before_content() -> None:
    # The block is wrong too, and the second OBJECT is of another object.
    data = msg.Data(1, 1, (), bytes(16384))
    first_of(requesting(), data, CloseCode.UNSOLICITED)
    remote = opened()
    remote.say(remote.object(BLOB))
    first_of(remote, remote.object(OTHER), CloseCode.PROTOCOL)


def test_content_comes_before_the_budget() -> None:
    remote = opened(control_burst=1, control_rate=0)
    first_of(remote, remote.object(OTHER), CloseCode.BAD_DATA)


# --- HELLO -----------------------------------------------------------------------------------------------------------


def hello(*parameters: tuple[int, bytes]) -> msg.Hello:
    return msg.Hello(1, 1, 30, tuple(msg.HelloParameter(tag, value) for tag, value in parameters))


def hello_raw(*parameters: tuple[int, bytes]) -> bytes:
    body = b"".join(bytes((tag,)) + len(value).to_bytes(2, "big") + value for tag, value in parameters)
    return raw(0, b"\0\x01\0\x01\0\x1e" + body)


def record_of(name: str) -> bytes:
    return sign_record(identity(name), sequence=1, ttl=3600, flags=0, addresses=())


@pytest.mark.parametrize("make", BOTH)
def test_what_hello_tells(make: MakeRemote) -> None:
    address = msg.Address(1, bytes((10, 0, 0, 1, 0, 80)))
    remote = make()
    values = [(1, b"agent/1"), (2, record_of("remote")), (3, address.encode()), (0x6B, b"grease"), (200, b"unknown")]
    remote.open(hello(*values))
    (established,) = remote.of(ev.LinkEstablished)
    assert established == ev.LinkEstablished(
        remote.identity.public, "agent/1", record_of("remote"), address, frozenset()
    )


def test_what_hello_does_not_tell() -> None:
    (established,) = responder().open().of(ev.LinkEstablished)
    assert established == ev.LinkEstablished(identity("remote").public, "", None, None, frozenset())


@pytest.mark.parametrize("record", [b"", b"no record", record_of("remote")[:-1], record_of("somebody else")])
def test_an_own_record_that_is_none_is_ignored(record: bytes) -> None:
    remote = responder().handshake()
    remote.say(hello_raw((2, record)))
    (established,) = remote.of(ev.LinkEstablished)
    assert established.record is None
    lives(remote)


BAD_HELLOS = {
    "an agent of 65 bytes": hello_raw((1, b"x" * 65)),
    "an agent that is no UTF-8": hello_raw((1, b"\xff")),
    "an agent with a control character": hello_raw((1, b"\x1b[2J")),
    "half an address": hello_raw((3, b"\x01\x06\x0a")),
    "an address of a wrong length": hello_raw((3, b"\x01\x05" + bytes(5))),
    "half an extension": hello_raw((4, b"\x03ab")),
    "descending tags": hello_raw((3, b"\x01\x06" + bytes(6)), (1, b"")),
    "a tag twice": hello_raw((1, b""), (1, b"")),
    "an unknown tag twice": hello_raw((99, b""), (99, b"")),
    "half a parameter": raw(0, b"\0\x01\0\x01\0\x1e\x63\0"),
    "a parameter that goes too far": raw(0, b"\0\x01\0\x01\0\x1e\x63\0\x02x"),
    "max_requests = 0": raw(0, b"\0\0\0\x01\0\x1e"),
    "max_requests = 1025": raw(0, b"\x04\x01\0\x01\0\x1e"),
    "max_handles = 0": raw(0, b"\0\x01\0\0\0\x1e"),
    "max_handles = 1025": raw(0, b"\0\x01\x04\x01\0\x1e"),
    "idle = 29": raw(0, b"\0\x01\0\x01\0\x1d"),
    "idle = 601": raw(0, b"\0\x01\0\x01\x02\x59"),
}


@pytest.mark.parametrize("frame", BAD_HELLOS.values(), ids=BAD_HELLOS)
def test_hellos_that_are_none(frame: bytes) -> None:
    remote = responder().handshake()
    remote.say(frame)
    costs(remote, CloseCode.PROTOCOL, FrameType.HELLO)
    assert not remote.of(ev.LinkEstablished)


def test_own_hello() -> None:
    record = record_of("alice")
    address = msg.Address(2, bytes(16) + b"\x1f\x90")
    remote = responder(
        config(
            agent="p2pwire/0.1", record=record, observed=address, limits=Limits(max_requests=5, max_handles=6, idle=99)
        )
    )
    remote.handshake()
    (said,) = remote.frames
    assert said == msg.Hello(
        5,
        6,
        99,
        (msg.HelloParameter(1, b"p2pwire/0.1"), msg.HelloParameter(2, record), msg.HelloParameter(3, address.encode())),
    )


# --- PING and PONG, and frames without an effect ---------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_pings_are_answered_in_order(make: MakeRemote) -> None:
    remote = make().open().forget()
    pings = [msg.Ping(b"%08d" % number) for number in range(50)]
    remote.say(*pings)
    assert remote.frames == [msg.Pong(ping.data) for ping in pings]


def test_a_pong_that_answers_nothing_is_ignored() -> None:
    remote = responder().open()
    remote.say(msg.Pong(b"whatever"))
    lives(remote)
    assert remote.events == []


def test_own_pings_are_told_when_they_are_answered() -> None:
    remote = responder().open().forget()
    remote.command(*(cmd.Ping(b"%08d" % number) for number in range(4)))
    assert remote.frames == [msg.Ping(b"%08d" % number) for number in range(4)]
    with pytest.raises(cmd.LocalProtocolError, match="4 are unanswered"):
        remote.command(cmd.Ping(b"one more"))
    remote.say(msg.Pong(b"00000002"), msg.Pong(b"00000002"))
    assert remote.of(ev.PongReceived) == [ev.PongReceived(b"00000002")]
    remote.command(cmd.Ping(b"one more"))


def test_pad_is_ignored_whatever_is_in_it() -> None:
    remote = responder().open()
    remote.say(msg.Pad(b""), msg.Pad(bytes(range(256)) * 200))
    lives(remote)


@pytest.mark.parametrize("make", BOTH)
def test_the_fence(make: MakeRemote) -> None:
    """Each answer that KA-006 names is sent before the PONG that follows it."""
    remote = opened(make)
    remote.say(
        msg.Request(1, 0, 0, 0, 0),
        msg.Leave(0),
        msg.Request(2, 0, 0, 0, 0),
        msg.Join(1, 0, bytes(32), bytes(32)),
        remote.join(OTHER, 2),
        PING,
    )
    assert [type(frame) for frame in remote.frames] == [
        msg.Leave,
        msg.Reject,
        msg.Reject,
        msg.Refuse,
        msg.Join,
        msg.Object,
        msg.Pong,
    ]
    assert remote.heard(msg.Reject) == [msg.Reject(1, 6, 0), msg.Reject(2, 6, 0)]


def test_a_rejection_for_range_can_be_said_before_the_pong() -> None:
    remote = opened()
    remote.connection.receive_data(
        remote.seal(msg.Request(1, 0, 7, 0, 0).encode_frame() + PING.encode_frame()), remote.now
    )
    assert isinstance(remote.connection.next_event(), ev.RequestReceived)
    remote.connection.send(cmd.RejectRequest(1, RejectCode.OUT_OF_RANGE))
    remote.settle()
    assert remote.frames == [msg.Reject(1, 5, 0), PONG]


# --- the control budget ----------------------------------------------------------------------------------------------


def counted(remote: Remote, frame: msg.Frame | bytes) -> bool:
    """Whether a frame counts: with an empty bucket it costs the link, or not."""
    budget = remote.connection._session.budget
    budget._frames.tokens = 0.0
    remote.say(frame)
    flood = remote.close is not None and remote.close.code == CloseCode.FLOOD
    assert flood or remote.close is None
    return flood


def joined(make: MakeRemote) -> Remote:
    """The connection has joined, and the remote not yet."""
    remote = make(config("alice", BLOB, OTHER, limits=Limits(control_rate=0))).open()
    remote.command(cmd.Join(BLOB.topic))
    return remote


def left_early(make: MakeRemote) -> Remote:
    """The connection has joined and left, and the remote has not heard of it."""
    remote = joined(make)
    remote.command(cmd.Leave(BLOB.topic))
    return remote


def topic_open(make: MakeRemote) -> Remote:
    return opened(make, control_rate=0)


def asked_and_asking(make: MakeRemote) -> Remote:
    """Both sides have a request open in an open topic."""
    remote = topic_open(make)
    remote.command(cmd.RequestBlocks(1, BLOB.topic, 0, 0, 0, BLOB.length, BLOB.root))
    remote.say(msg.Request(1, 0, 0, 0, 0))
    return remote


def pinged(make: MakeRemote) -> Remote:
    remote = topic_open(make)
    remote.command(cmd.Ping(PING.data))
    return remote


def ended(make: MakeRemote) -> Remote:
    remote = topic_open(make)
    remote.say(msg.Leave(0))
    return remote


def leaving(make: MakeRemote) -> Remote:
    remote = topic_open(make)
    remote.command(cmd.Leave(BLOB.topic))
    return remote


def cancelled(make: MakeRemote) -> Remote:
    remote = asked_and_asking(make)
    remote.say(msg.Cancel(1))
    return remote


def holding(make: MakeRemote) -> Remote:
    remote = topic_open(make)
    remote.say(msg.Have(0, SPAN))
    return remote


BUDGET = {
    "PONG that answers": (pinged, lambda r: PONG, False),
    "REJECT": (asked_and_asking, lambda r: msg.Reject(1, 1, 0), False),
    "REFUSE of a joined handle": (joined, lambda r: msg.Refuse(0, 0), False),
    "REFUSE of an open topic": (topic_open, lambda r: msg.Refuse(0, 0), False),
    "JOIN that was asked for": (joined, lambda r: r.join(BLOB), False),
    "JOIN that crosses a LEAVE": (left_early, lambda r: r.join(BLOB), False),
    "LEAVE of a topic that was ended": (leaving, lambda r: msg.Leave(0), False),
    "the first CANCEL": (asked_and_asking, lambda r: msg.Cancel(1), False),
    "HAVE that adds": (topic_open, lambda r: msg.Have(0, SPAN), False),
    "HAVE that adds one": (holding, lambda r: msg.Have(0, (msg.Span(3, 4),)), False),
    "DATA": (asked_and_asking, lambda r: BLOB.answer(1, 0, 0)[0], False),
    "REQUEST": (topic_open, lambda r: msg.Request(1, 0, 0, 0, 0), False),
    "REQUEST on a handle that ended": (ended, lambda r: msg.Request(1, 0, 0, 0, 0), False),
    "PAD": (topic_open, lambda r: msg.Pad(b""), True),
    "PING": (topic_open, lambda r: PING, True),
    "PONG without a PING": (topic_open, lambda r: PONG, True),
    "unasked JOIN": (topic_open, lambda r: r.join(OTHER, 1), True),
    "JOIN that is refused": (topic_open, lambda r: msg.Join(1, 0, bytes(32), bytes(32)), True),
    "JOIN that was asked for and is refused": (joined, lambda r: r.join(BLOB, cap=bytes(32)), True),
    "JOIN that crosses a LEAVE again": (leaving, lambda r: r.join(BLOB), True),
    "repeated JOIN": (topic_open, lambda r: r.join(BLOB, flags=1), True),
    "REFUSE without effect": (topic_open, lambda r: msg.Refuse(9, 0), True),
    "unasked LEAVE": (topic_open, lambda r: msg.Leave(0), True),
    "LEAVE without effect": (topic_open, lambda r: msg.Leave(9), True),
    "OBJECT": (topic_open, lambda r: r.object(BLOB), True),
    "HAVE that adds nothing": (holding, lambda r: msg.Have(0, SPAN), True),
    "HAVE on a handle that ended": (ended, lambda r: msg.Have(0, SPAN), True),
    "LOST": (holding, lambda r: msg.Lost(0, SPAN), True),
    "INTEREST": (topic_open, lambda r: msg.Interest(0, True), True),
    "CREDIT": (topic_open, lambda r: msg.Credit(100), True),
    "SUGGEST": (topic_open, lambda r: msg.Suggest(0, 0, 0), True),
    "a further CANCEL": (cancelled, lambda r: msg.Cancel(1), True),
    "CANCEL of nothing": (topic_open, lambda r: msg.Cancel(5), True),
    "PEERS": (topic_open, lambda r: msg.Peers(0, (), (bytes(32),)), True),
    "GET_PEERS": (topic_open, lambda r: msg.GetPeers(0, 1), True),
    "an unknown odd type": (topic_open, lambda r: raw(0x41), True),
}


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize(("state", "frame", "counts"), BUDGET.values(), ids=BUDGET)
def test_what_counts(
    make: MakeRemote, state: Callable[[MakeRemote], Remote], frame: Callable[[Remote], msg.Frame], counts: bool
) -> None:
    remote = state(make)
    assert counted(remote, frame(remote)) is counts


def test_hello_and_close_do_not_count() -> None:
    remote = responder(config(limits=Limits(control_burst=0))).open()
    assert remote.connection.state is LinkState.OPEN
    remote.say(msg.Close(0, 0xFF, ""))
    assert remote.close is None


def test_the_bucket_of_frames() -> None:
    remote = responder().open()
    remote.say(*[msg.Pad(b"")] * 1000)
    assert remote.close is None
    remote.advance(0.0101)
    remote.say(msg.Pad(b""))
    assert remote.close is None
    remote.say(msg.Pad(b""))
    costs(remote, CloseCode.FLOOD, FrameType.PAD)


def test_the_bucket_of_bytes() -> None:
    remote = responder().open()
    pad = msg.Pad(bytes(2**16 - 23))  # 2^16 - 20 bytes with its header
    for _ in range(16):
        remote.say(pad)
    assert remote.close is None
    left = 2**20 - 16 * (2**16 - 20)
    remote.say(msg.Pad(bytes(left - 3)))
    assert remote.close is None
    remote.say(msg.Pad(b""))
    costs(remote, CloseCode.FLOOD, FrameType.PAD)


def test_the_buckets_fill_with_time_and_data_up_to_the_burst() -> None:
    remote = requesting(level=2)
    remote.say(*[msg.Pad(b"")] * 999)  # and JOIN before
    remote.say(*BLOB.answer(1, 0, 2)[:3])
    remote.say(*[msg.Pad(b"")] * 3)
    assert remote.close is None
    remote.advance(10)
    remote.say(*[msg.Pad(b"")] * 1000)
    assert remote.close is None
    remote.say(msg.Pad(b""))
    costs(remote, CloseCode.FLOOD, FrameType.PAD)


def test_the_bucket_fills_with_data_that_is_sent() -> None:
    remote = opened(control_rate=0)
    remote.say(msg.Request(1, 0, 0, 0, 1), *[msg.Pad(b"")] * 999)  # and JOIN before
    for number in range(2):
        remote.command(cmd.SendBlock(1, BLOB.siblings(number, 0), BLOB.block(number)))
    remote.say(*[msg.Pad(b"")] * 2)
    assert remote.close is None
    remote.say(msg.Pad(b""))
    costs(remote, CloseCode.FLOOD, FrameType.PAD)


# --- frames of a topic -----------------------------------------------------------------------------------------------


def frames_of_topic(handle: int) -> list[msg.Frame]:
    return [
        msg.Object(handle, BLOB.info.kind, BLOB.info.length, BLOB.root),
        msg.Have(handle, SPAN),
        msg.Lost(handle, SPAN),
        msg.Interest(handle, True),
        msg.Suggest(handle, 0, 0),
        msg.Peers(handle, (), (bytes(32),)),
        msg.GetPeers(handle, 8),
        msg.Request(1, handle, 0, 0, 0),
    ]


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("number", range(8))
def test_frames_of_a_topic_by_the_state_of_their_handle(make: MakeRemote, number: int) -> None:
    remote = opened(make)
    frame = frames_of_topic(99)[number]
    remote.say(frame)
    costs(remote, CloseCode.PROTOCOL, frame.TYPE)
    for way in (ended, leaving):
        remote = way(make).forget()
        frame = frames_of_topic(0)[number]
        remote.say(frame)
        assert remote.frames == ([msg.Reject(1, 6, 0)] if isinstance(frame, msg.Request) else [])
        assert remote.events == []
        lives(remote)
    remote = opened(make)
    if number == 2:
        remote.say(msg.Have(0, SPAN))
    remote.forget().say(frames_of_topic(0)[number])
    assert len(remote.events) == 1


def test_what_frames_of_a_topic_tell() -> None:
    remote = opened()
    remote.say(remote.object(BLOB))
    remote.say(msg.Have(0, (msg.Span(0, 9), msg.Span(20, 20))), msg.Have(0, (msg.Span(5, 12),)))
    remote.say(msg.Lost(0, (msg.Span(1, 2), msg.Span(30, 40))))
    remote.say(msg.Interest(0, True), msg.Interest(0, True), msg.Interest(0, False))
    remote.say(msg.Suggest(0, 4, 5), msg.GetPeers(0, 3))
    shared = msg.SharedRecord(1, b"record")
    remote.say(msg.Peers(0, (shared,), (bytes(32),)))
    remote.say(msg.Credit(64), msg.Credit(65), msg.Credit(2**64 - 1))
    topic = BLOB.topic
    assert remote.events == [
        ev.ObjectLearned(topic, BLOB.info),
        ev.UnitsChanged(topic, ((0, 9), (20, 20)), ()),
        ev.UnitsChanged(topic, ((10, 12),), ()),
        ev.UnitsChanged(topic, (), ((1, 2),)),
        ev.InterestChanged(topic, on=True),
        ev.InterestChanged(topic, on=False),
        ev.UnitsSuggested(topic, 4, 5),
        ev.PeersWanted(topic, 3),
        ev.PeersReceived(topic, (shared,), (bytes(32),)),
        ev.CreditReceived(65),
        ev.CreditReceived(2**64 - 1),
    ]
    assert remote.connection.peer_units(topic) == [(0, 0), (3, 12), (20, 20)]
    assert remote.connection.credit == 2**64 - 1


def test_what_was_told_is_forgotten_with_the_topic() -> None:
    remote = opened()
    remote.say(msg.Have(0, SPAN), msg.Interest(0, True), remote.object(BLOB), msg.Leave(0))
    assert remote.connection.peer_units(BLOB.topic) == []
    remote.forget().say(remote.join(BLOB), msg.Interest(0, True), remote.object(BLOB))
    assert remote.connection.peer_units(BLOB.topic) == []
    assert [type(event) for event in remote.events] == [ev.TopicOpened, ev.InterestChanged, ev.ObjectLearned]


def odd_object(kind: int, length: int, root: bytes = b"r" * 32) -> Blob:
    blob = Blob(1)
    blob.info = ObjectInfo(kind, length, root)
    return blob


UNUSABLE = [
    (ObjectKind.MANIFEST, 8),
    (ObjectKind.MANIFEST, 0),
    (ObjectKind.MANIFEST, MAX_MANIFEST_LENGTH + 1),
    (2, 100),
    (255, 0),
]


@pytest.mark.parametrize(("kind", "length"), UNUSABLE)
def test_an_object_of_no_use_is_left(kind: int, length: int) -> None:
    blob = odd_object(kind, length, bytes(32) if not length else b"r" * 32)
    remote = responder(config(topics={blob.topic: blob.unknown})).open()
    remote.say(remote.join(blob))
    remote.forget().say(remote.object(blob))
    assert remote.frames == [msg.Leave(0)]
    assert remote.events == [ev.TopicClosed(blob.topic)]
    lives(remote)


@pytest.mark.parametrize(("kind", "length"), [(0, 0), (0, 1), (0, MAX_LENGTH), (1, 9), (1, MAX_MANIFEST_LENGTH)])
def test_objects_at_the_limits_are_learned(kind: int, length: int) -> None:
    blob = odd_object(kind, length, bytes(32) if not length else b"r" * 32)
    remote = responder(config(topics={blob.topic: blob.unknown})).open()
    remote.say(remote.join(blob))
    remote.forget().say(remote.object(blob))
    assert remote.events == [ev.ObjectLearned(blob.topic, blob.info)]


def test_an_empty_object_has_no_root() -> None:
    blob = odd_object(0, 0, b"r" * 32)
    remote = responder(config(topics={blob.topic: blob.unknown})).open()
    remote.say(remote.join(blob), remote.object(blob))
    costs(remote, CloseCode.BAD_DATA, FrameType.OBJECT)


@pytest.mark.parametrize(("field", "value"), [("kind", 1), ("length", 1), ("root", bytes(32))])
def test_an_object_that_is_not_the_topics(field: str, value: object) -> None:
    remote = opened()
    values = {"kind": 0, "length": BLOB.length, "root": BLOB.root, field: value}
    remote.say(msg.Object(0, **values))
    costs(remote, CloseCode.BAD_DATA, FrameType.OBJECT)


def test_objects_may_cross() -> None:
    remote = opened()
    # OBJECT of the connection went out when the topic opened.
    remote.say(remote.object(BLOB))
    lives(remote)


def test_object_is_not_told_to_who_told_it_or_twice() -> None:
    remote = initiator(config(topics={BLOB.topic: BLOB.unknown})).open()
    remote.say(remote.join(BLOB))
    assert not remote.heard(msg.Object)
    remote.command(cmd.TellObject(BLOB.topic, BLOB.info), cmd.TellObject(BLOB.topic, BLOB.info))
    assert len(remote.heard(msg.Object)) == 1
    remote = initiator(config(topics={BLOB.topic: BLOB.unknown})).open()
    remote.say(remote.join(BLOB), remote.object(BLOB))
    remote.command(cmd.TellObject(BLOB.topic, BLOB.info))
    assert not remote.heard(msg.Object)


def test_requests_of_every_shape_reach_the_caller() -> None:
    remote = opened()
    remote.say(msg.Request(2**32 - 1, 0, MANIFEST_FILE, 2**32 - 64, 5))
    assert remote.events == [ev.RequestReceived(2**32 - 1, BLOB.topic, MANIFEST_FILE, 2**32 - 64, 5)]
