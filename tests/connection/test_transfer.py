"""Requests, credit, DATA and proofs, in both directions."""

from __future__ import annotations

import random
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.config import Limits
from p2pwire.connection.transfer import MAX_RUN
from p2pwire.content.hashing import BLOCK, block_count
from p2pwire.content.merkle import Tree, tree_height
from p2pwire.testing.pair import Pair, Side
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import INITIAL_CREDIT, MAX_LENGTH, SEND_QUEUE_DATA, CloseCode, FrameType, RejectCode
from tests.connection.remote import BOTH, HELLO, Blob, Remote, config, raw, responder

BLOB = Blob(11, tail=777)
ONE = Blob(1, seed="one", tail=5)

MakeRemote = Callable[..., Remote]


def opened(make: MakeRemote = responder, blob: Blob = BLOB, hello: msg.Hello = HELLO, **limits: int) -> Remote:
    remote = make(config("alice", blob, limits=Limits(**limits))).open(hello)
    remote.say(remote.join(blob))
    return remote.forget()


def asking(level: int = 3, block: int = 0, blob: Blob = BLOB, make: MakeRemote = responder) -> Remote:
    """The connection has a request with id 1 open."""
    remote = opened(make, blob)
    remote.command(cmd.RequestBlocks(1, blob.topic, 0, block, level, blob.length, blob.root))
    return remote.forget()


def costs(remote: Remote, code: CloseCode, blamed: int) -> None:
    assert remote.close is not None
    assert (CloseCode(remote.close.code), remote.close.frame_type) == (code, blamed)


# --- own requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_a_request_and_its_answer(make: MakeRemote) -> None:
    remote = opened(make)
    remote.command(cmd.RequestBlocks(7, BLOB.topic, 0, 8, 2, BLOB.length, BLOB.root))
    assert remote.frames == [msg.Request(7, 0, 0, 8, 2)]
    assert remote.connection.credit == INITIAL_CREDIT - 4
    assert remote.connection.requests_left == 1023
    for number, data in enumerate(BLOB.answer(7, 8, 2), start=8):
        remote.say(data)
        blocks = remote.of(ev.BlocksReceived)
        assert (blocks[-1].request, blocks[-1].topic, blocks[-1].file) == (7, BLOB.topic, 0)
        assert (blocks[-1].block, blocks[-1].data) == (number, (BLOB.block(number),))
    # The file has 11 blocks: the request ends with the third of its four.
    assert len(blocks) == 3
    (ended,) = remote.of(ev.RequestEnded)
    assert ended == ev.RequestEnded(7, BLOB.topic, 0, 8, 2, blocks=3, code=None, retry=0.0)
    assert remote.connection.requests_left == 1024
    # Credit is spent all the same.
    assert remote.connection.credit == INITIAL_CREDIT - 4
    remote.command(cmd.RequestBlocks(7, BLOB.topic, 0, 8, 0, BLOB.length, BLOB.root))


def test_what_is_proved_is_told_for_ones_own_tree() -> None:
    remote = asking(level=1)
    remote.say(*BLOB.answer(1, 0, 1))
    (event,) = remote.of(ev.BlocksReceived)
    assert [proved.siblings for proved in event.proved] == [BLOB.siblings(0, 0), ()]


def spans_told(remote: Remote) -> list[tuple[int, int, int]]:
    return [(event.request, event.block, len(event.data)) for event in remote.of(ev.BlocksReceived)]


def test_blocks_that_come_together_are_told_together() -> None:
    blob = Blob(64, seed="many")
    remote = asking(level=6, blob=blob)
    answer = blob.answer(1, 0, 6)
    remote.say(*answer[:5])
    remote.say(*answer[5:40])
    remote.say(*answer[40:42], msg.Ping(bytes(8)), *answer[42:])
    spans = spans_told(remote)
    assert [block for _, block, _ in spans] == [sum(count for _, _, count in spans[:n]) for n in range(len(spans))]
    # Not beyond what has come, or another frame, and not too many at a time.
    assert 1 < max(count for _, _, count in spans) <= MAX_RUN
    assert {5, 40, 42} <= {block for _, block, _ in spans}
    assert len(spans) <= 9
    assert isinstance(remote.events[-1], ev.RequestEnded)
    assert b"".join(data for event in remote.of(ev.BlocksReceived) for data in event.data) == blob.data
    tree = Tree(blob.length, blob.root)
    for event in remote.of(ev.BlocksReceived):
        for block, proved in enumerate(event.proved, event.block):
            tree.add(block, proved.ancestors, proved.siblings)
    assert tree.dump() == blob.tree.dump()


@pytest.mark.parametrize("good", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "name", ["data", "another block", "another request", "a hash more", "no data", "33 hashes", "long"]
)
def test_what_is_wrong_in_the_midst_of_a_run_costs_what_it_costs_alone(name: str, good: int) -> None:
    bad = BLOB.answer(1, 0, 3)[good]
    frame, code = {
        "data": (attrs.evolve(bad, data=bytes(BLOCK)), CloseCode.BAD_DATA),
        "another block": (attrs.evolve(bad, block=good + 1), CloseCode.UNSOLICITED),
        "another request": (attrs.evolve(bad, id=2), CloseCode.UNSOLICITED),
        "a hash more": (attrs.evolve(bad, proof=(*bad.proof, bytes(32))), CloseCode.BAD_DATA),
        "no data": (raw(FrameType.DATA, bad.encode()[: 9 + 32 * len(bad.proof)]), CloseCode.PROTOCOL),
        "33 hashes": (raw(FrameType.DATA, bad.encode()[:8] + b"\x21" + bytes(33 * 32 + 100)), CloseCode.PROTOCOL),
        "long": (raw(FrameType.DATA, bad.encode() + b"x"), CloseCode.PROTOCOL),
    }[name]
    remote = asking()
    remote.say(*BLOB.answer(1, 0, 3)[:good], frame, *BLOB.answer(1, 0, 3)[good + 1 :])
    costs(remote, code, FrameType.DATA)
    assert spans_told(remote) == ([(1, 0, good)] if good else [])
    assert isinstance(remote.events[-1], ev.Closed)


def test_a_run_does_not_outlive_its_request() -> None:
    """The same id, asked for anew, begins at another block."""
    remote = asking()
    remote.say(*BLOB.answer(1, 0, 3)[:2], msg.Reject(1, RejectCode.BUSY, 0))
    remote.command(cmd.RequestBlocks(1, BLOB.topic, 0, 8, 1, BLOB.length, BLOB.root))
    remote.say(*BLOB.answer(1, 8, 1))
    assert spans_told(remote) == [(1, 0, 2), (1, 8, 2)]
    remote.say(BLOB.answer(1, 0, 3)[2])
    costs(remote, CloseCode.UNSOLICITED, FrameType.DATA)


def test_data_of_several_requests_may_be_mixed() -> None:
    remote = opened()
    for number in range(4):
        remote.command(cmd.RequestBlocks(number, BLOB.topic, 0, 2 * number, 1, BLOB.length, BLOB.root))
    answers = [BLOB.answer(number, 2 * number, 1) for number in range(4)]
    remote.say(*(answer[0] for answer in reversed(answers)))
    remote.say(*(answer[1] for answer in answers))
    assert [event.blocks for event in remote.of(ev.RequestEnded)] == [2] * 4


@pytest.mark.parametrize("came", [0, 1, 3])
def test_a_request_that_is_rejected_after_some_blocks(came: int) -> None:
    remote = asking()
    remote.say(*BLOB.answer(1, 0, 3)[:came], msg.Reject(1, RejectCode.CHOKED, 1500))
    (ended,) = remote.of(ev.RequestEnded)
    assert ended == ev.RequestEnded(1, BLOB.topic, 0, 0, 3, blocks=came, code=RejectCode.CHOKED, retry=1.5)


def test_a_cancelled_request_stays_open_until_it_ends() -> None:
    remote = asking()
    remote.command(cmd.CancelRequest(1), cmd.CancelRequest(1))
    assert remote.frames == [msg.Cancel(1)]
    remote.say(*BLOB.answer(1, 0, 3)[:2], msg.Reject(1, RejectCode.CANCELLED, 0))
    assert [event.blocks for event in remote.of(ev.RequestEnded)] == [2]
    with pytest.raises(LocalProtocolError, match="not open"):
        remote.command(cmd.CancelRequest(1))


REFUSED_REQUESTS = {
    "an id in use": ({"id": 1}, "in use"),
    "a level above 6": ({"level": 7}, "level"),
    "a negative level": ({"level": -1}, "level"),
    "a level above the tree": ({"level": 5}, "level"),
    "an odd block": ({"block": 1, "level": 1}, "first"),
    "a block beyond the last": ({"block": 11}, "first"),
    "a negative block": ({"block": -1}, "first"),
    "an empty file": ({"length": 0}, "length"),
    "a file that is too long": ({"length": MAX_LENGTH + 1}, "length"),
    "a short root": ({"root": bytes(31)}, "root"),
    "an id that is no u32": ({"id": 2**32}, "id"),
    "a file that is no u32": ({"file": -1}, "file"),
}


@pytest.mark.parametrize(("changes", "text"), REFUSED_REQUESTS.values(), ids=REFUSED_REQUESTS)
def test_requests_that_may_not_be(changes: dict[str, object], text: str) -> None:
    remote = asking(level=0)
    good = cmd.RequestBlocks(2, BLOB.topic, 0, 0, 0, BLOB.length, BLOB.root)
    with pytest.raises(LocalProtocolError, match=text):
        remote.command(attrs.evolve(good, **changes))
    assert remote.connection.credit == INITIAL_CREDIT - 1
    assert remote.connection.requests_left == 1023
    assert remote.frames == []
    remote.command(good)


def test_requests_stay_within_credit() -> None:
    blob = Blob(64, seed="long", tail=1)
    remote = opened(blob=blob)
    remote.command(cmd.RequestBlocks(1, blob.topic, 0, 0, 6, blob.length, blob.root))
    with pytest.raises(LocalProtocolError, match="costs 1, the credit is 0"):
        remote.command(cmd.RequestBlocks(2, blob.topic, 0, 0, 0, blob.length, blob.root))
    remote.say(msg.Credit(INITIAL_CREDIT + 3))
    assert remote.of(ev.CreditReceived) == [ev.CreditReceived(INITIAL_CREDIT + 3)]
    with pytest.raises(LocalProtocolError, match="costs 4, the credit is 3"):
        remote.command(cmd.RequestBlocks(2, blob.topic, 0, 0, 2, blob.length, blob.root))
    remote.command(cmd.RequestBlocks(2, blob.topic, 0, 0, 1, blob.length, blob.root))


def test_requests_stay_within_the_others_max_requests() -> None:
    remote = opened(hello=attrs.evolve(HELLO, max_requests=2))
    for number in range(2):
        remote.command(cmd.RequestBlocks(number, BLOB.topic, 0, number, 0, BLOB.length, BLOB.root))
    assert remote.connection.requests_left == 0
    with pytest.raises(LocalProtocolError, match="max_requests = 2"):
        remote.command(cmd.RequestBlocks(2, BLOB.topic, 0, 2, 0, BLOB.length, BLOB.root))
    remote.say(msg.Reject(0, 1, 0))
    remote.command(cmd.RequestBlocks(2, BLOB.topic, 0, 2, 0, BLOB.length, BLOB.root))


@pytest.mark.parametrize("totals", [(63,), (0,), (100, 99), (2**64 - 1, 2**64 - 2)])
def test_credit_never_shrinks(totals: tuple[int, ...]) -> None:
    remote = opened()
    remote.say(*map(msg.Credit, totals))
    costs(remote, CloseCode.PROTOCOL, FrameType.CREDIT)


def test_credit_of_the_same_total_has_no_effect() -> None:
    remote = opened()
    remote.say(msg.Credit(64), msg.Credit(64), msg.Credit(2**64 - 1), msg.Credit(2**64 - 1))
    assert [event.total for event in remote.of(ev.CreditReceived)] == [2**64 - 1]
    assert remote.connection.credit == 2**64 - 1


# --- DATA that is wrong ----------------------------------------------------------------------------------------------


def wrong_data() -> dict[str, tuple[msg.Data | msg.Reject, CloseCode]]:
    first, second = BLOB.answer(1, 0, 3)[:2]
    change = attrs.evolve
    flipped = bytes([BLOB.data[0] ^ 1]) + BLOB.block(0)[1:]
    return {
        "another id": (change(first, id=2), CloseCode.UNSOLICITED),
        "REJECT with another id": (msg.Reject(2, 1, 0), CloseCode.UNSOLICITED),
        "a block too far": (second, CloseCode.UNSOLICITED),
        "a block outside": (change(first, block=8), CloseCode.UNSOLICITED),
        "no hashes": (change(first, proof=()), CloseCode.BAD_DATA),
        "a hash less": (change(first, proof=first.proof[:-1]), CloseCode.BAD_DATA),
        "a hash more": (change(first, proof=(*first.proof, bytes(32))), CloseCode.BAD_DATA),
        "hashes in another order": (change(first, proof=first.proof[::-1]), CloseCode.BAD_DATA),
        "another hash": (change(first, proof=(bytes(32), *first.proof[1:])), CloseCode.BAD_DATA),
        "a byte less": (change(first, data=BLOB.block(0)[:-1]), CloseCode.BAD_DATA),
        "one byte": (change(first, data=b"x"), CloseCode.BAD_DATA),
        "another bit": (change(first, data=flipped), CloseCode.BAD_DATA),
        "another block's data": (change(first, data=BLOB.block(1)), CloseCode.BAD_DATA),
    }


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("name", wrong_data())
def test_wrong_data(make: MakeRemote, name: str) -> None:
    frame, code = wrong_data()[name]
    remote = asking(make=make)
    remote.say(frame)
    costs(remote, code, frame.TYPE)
    assert not remote.of(ev.BlocksReceived)


def test_data_twice_and_after_the_end() -> None:
    answer = BLOB.answer(1, 0, 1)
    remote = asking(level=1)
    remote.say(answer[0], answer[0])
    costs(remote, CloseCode.UNSOLICITED, FrameType.DATA)
    assert [len(event.data) for event in remote.of(ev.BlocksReceived)] == [1]
    for late in (answer[1], msg.Reject(1, 1, 0)):
        remote = asking(level=1)
        remote.say(*answer, late)
        costs(remote, CloseCode.UNSOLICITED, late.TYPE)
        assert [len(event.data) for event in remote.of(ev.BlocksReceived)] == [2]


def test_the_last_block_has_the_length_that_is_left() -> None:
    for data in (BLOB.block(10) + b"\0", BLOB.block(10)[:-1], bytes(BLOCK)):
        remote = asking(level=0, block=10)
        remote.say(msg.Data(1, 10, BLOB.siblings(10, 10), data))
        costs(remote, CloseCode.BAD_DATA, FrameType.DATA)


def test_900_random_changes_to_data_and_proofs_are_blamed_at_the_very_block() -> None:
    """In a whole answer one bit of one block's DATA is changed: what came before is kept, what follows never comes."""
    dice = random.Random(14)
    blob = Blob(37, seed="changed", tail=1234)
    height = tree_height(blob.length)
    answers = {
        (level, block): blob.answer(1, block, level)
        for level in range(min(6, height) + 1)
        for block in range(0, block_count(blob.length), 1 << level)
    }
    tried = set()
    for number in range(960):
        level, block = dice.choice(list(answers))
        answer = answers[level, block]
        index = dice.randrange(len(answer))
        frame = bytearray(answer[index].encode_frame())
        # The id, the block's number, the count of hashes, a hash or the data; often a hash.
        size = 12 + 32 * len(answer[index].proof) if number % 2 else len(frame)
        at = dice.randrange(3, size)
        frame[at] ^= 1 << dice.randrange(8)
        remote = asking(level, block, blob)
        remote.say(*answer[:index])
        remote.say(bytes(frame))
        assert sum(len(event.data) for event in remote.of(ev.BlocksReceived)) == index
        assert remote.close is not None
        code = CloseCode(remote.close.code)
        # A changed id or number is not asked for; a changed count of hashes may leave no form, or another proof.
        expected = {CloseCode.UNSOLICITED} if at < 11 else {CloseCode.BAD_DATA}
        if at == 11:
            expected = {CloseCode.BAD_DATA, CloseCode.PROTOCOL}
        assert code in expected
        assert remote.close.frame_type == FrameType.DATA
        if code is CloseCode.BAD_DATA:
            assert f"block {block + index}:" in remote.close.detail
        tried.add((code, at < 11, at == 11, at < 12 + 32 * len(answer[index].proof)))
    assert len(tried) >= 4


# --- the other side's requests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_serving_a_request(make: MakeRemote) -> None:
    remote = opened(make)
    remote.say(msg.Request(3, 0, 0, 8, 2))
    assert remote.of(ev.RequestReceived) == [ev.RequestReceived(3, BLOB.topic, 0, 8, 2)]
    for number in (8, 9, 10):
        remote.command(cmd.SendBlock(3, BLOB.siblings(number, 8), BLOB.block(number), last=number == 10))
    assert remote.frames == BLOB.answer(3, 8, 2)
    assert remote.connection.ahead == INITIAL_CREDIT - 4
    with pytest.raises(LocalProtocolError, match="3 of the other side is not open"):
        remote.command(cmd.RejectRequest(3, RejectCode.BUSY))
    remote.say(msg.Request(3, 0, 0, 0, 0))
    assert remote.close is None


def test_a_request_ends_with_its_last_block_by_itself() -> None:
    remote = opened()
    remote.say(msg.Request(3, 0, 0, 0, 1))
    for number in (0, 1):
        remote.command(cmd.SendBlock(3, BLOB.siblings(number, 0), BLOB.block(number)))
    with pytest.raises(LocalProtocolError, match="not open"):
        remote.command(cmd.SendBlock(3, BLOB.siblings(2, 0), BLOB.block(2)))


@pytest.mark.parametrize("came", [0, 1, 3])
@pytest.mark.parametrize("code", list(RejectCode))
def test_rejecting_a_request(code: RejectCode, came: int) -> None:
    remote = opened()
    remote.say(msg.Request(3, 0, 0, 0, 2), msg.Cancel(3))
    assert remote.of(ev.RequestCancelled) == [ev.RequestCancelled(3)]
    for number in range(came):
        remote.command(cmd.SendBlock(3, BLOB.siblings(number, 0), BLOB.block(number)))
    remote.command(cmd.RejectRequest(3, code, retry=2.5))
    # Other codes give no hint when to come back.
    retry = 2500 if code in (RejectCode.CHOKED, RejectCode.BUSY) else 0
    assert remote.heard(msg.Reject) == [msg.Reject(3, code, retry)]
    assert remote.connection.ahead == INITIAL_CREDIT - 4


@pytest.mark.parametrize(
    ("retry", "sent"), [(0.0, 0), (0.0004, 0), (65.5, 65500), (66.0, 65535), (float("inf"), 65535)]
)
def test_retry_in_milliseconds(retry: float, sent: int) -> None:
    remote = opened()
    remote.say(msg.Request(3, 0, 0, 0, 0))
    remote.command(cmd.RejectRequest(3, RejectCode.BUSY, retry))
    assert remote.heard(msg.Reject) == [msg.Reject(3, RejectCode.BUSY, sent)]


def blocks_that_may_not_be() -> dict[str, tuple[cmd.SendBlock, str]]:
    good = cmd.SendBlock(3, BLOB.siblings(0, 0), BLOB.block(0))
    change = attrs.evolve
    return {
        "another request": (change(good, id=4), "not open"),
        "a short block": (change(good, data=b"x" * 100), "only the last block may be short"),
        "no data": (change(good, data=b"", last=True), "data"),
        "a long block": (change(good, data=bytes(BLOCK + 1)), "16385"),
        "a long last block": (change(good, data=bytes(BLOCK + 1), last=True), "data"),
        "33 hashes": (change(good, siblings=(bytes(32),) * 33), "proof"),
        "a short hash": (change(good, siblings=(bytes(31),)), "proof"),
    }


def several_blocks_that_may_not_be() -> dict[str, tuple[cmd.SendBlocks, str]]:
    proofs = tuple(BLOB.siblings(number, 0) for number in range(4))
    data = memoryview(BLOB.data)
    good = cmd.SendBlocks(3, proofs, data[: 4 * BLOCK])
    change = attrs.evolve
    return {
        "another request": (change(good, id=4), "not open"),
        "none": (change(good, siblings=(), data=memoryview(b"")), "0 blocks at once"),
        "more than are left": (change(good, siblings=(*proofs, ())), "5 blocks at once, 4 are left"),
        "a block less": (change(good, data=data[: 3 * BLOCK]), "are not 4 blocks"),
        "a byte more": (change(good, data=data[: 4 * BLOCK + 1]), "are not 4 blocks"),
        "a short block": (
            change(good, data=data[: 4 * BLOCK - 1]),
            "only the last block may be short",
        ),
        "a hash less": (change(good, siblings=(*proofs[:2], (), proofs[3])), "0 hashes, block 2 takes 1"),
        "33 hashes": (change(good, siblings=((bytes(32),) * 33, *proofs[1:])), "proof of 33 hashes"),
        "a short hash": (
            change(good, siblings=(*proofs[:2], (bytes(31),), proofs[3])),
            "block 2 has a hash that is not",
        ),
    }


@pytest.mark.parametrize("name", several_blocks_that_may_not_be())
def test_several_blocks_that_may_not_be_sent(name: str) -> None:
    command, text = several_blocks_that_may_not_be()[name]
    remote = opened()
    remote.say(msg.Request(3, 0, 0, 0, 2))
    with pytest.raises(LocalProtocolError, match=text):
        remote.command(command)
    assert remote.frames == []
    remote.command(attrs.evolve(several_blocks_that_may_not_be()["another request"][0], id=3))
    assert remote.frames == BLOB.answer(3, 0, 2)


@pytest.mark.parametrize("first", [1, 2, 3])
def test_several_blocks_at_once_are_one_after_another(first: int) -> None:
    """The file has 11 blocks, of which the request has the last three."""
    remote = opened()
    remote.say(msg.Request(3, 0, 0, 8, 2))
    for low, high in ((8, 8 + first), (8 + first, 11)):
        if low < high:
            proofs = tuple(BLOB.siblings(number, 8) for number in range(low, high))
            data = memoryview(BLOB.data)[low * BLOCK : high * BLOCK]
            remote.command(cmd.SendBlocks(3, proofs, data, last=high == 11))
    assert remote.frames == BLOB.answer(3, 8, 2)
    with pytest.raises(LocalProtocolError, match="not open"):
        remote.command(cmd.SendBlock(3, (), BLOB.block(10)))


def test_more_blocks_at_once_than_there_is_room_for() -> None:
    blob = Blob(16, seed="much")
    remote = opened(blob=blob)
    remote.say(msg.Request(3, 0, 0, 0, 4))
    proofs = tuple(blob.siblings(number, 0) for number in range(16))
    room = remote.connection.room
    assert room == SEND_QUEUE_DATA
    for count in (9, 16):
        with pytest.raises(LocalProtocolError, match="see room"):
            remote.connection.send(
                cmd.SendBlocks(3, proofs[:count], memoryview(blob.data)[: count * BLOCK]), remote.now
            )
    assert remote.connection.room == room
    remote.connection.send(cmd.SendBlocks(3, proofs[:8], memoryview(blob.data)[: 8 * BLOCK]), remote.now)
    assert (remote.connection.room, remote.connection.can_send) == (0, False)


@pytest.mark.parametrize("name", blocks_that_may_not_be())
def test_blocks_that_may_not_be_sent(name: str) -> None:
    command, text = blocks_that_may_not_be()[name]
    remote = opened()
    remote.say(msg.Request(3, 0, 0, 0, 2))
    with pytest.raises(LocalProtocolError, match=text):
        remote.command(command)
    assert remote.frames == []
    for number in range(4):
        remote.command(cmd.SendBlock(3, BLOB.siblings(number, 0), BLOB.block(number)))
    assert remote.frames == BLOB.answer(3, 0, 2)


def test_later_blocks_take_as_many_hashes_as_are_new() -> None:
    remote = opened()
    remote.say(msg.Request(3, 0, 0, 0, 2))
    remote.command(cmd.SendBlock(3, BLOB.siblings(0, 0), BLOB.block(0)))
    with pytest.raises(LocalProtocolError, match="4 hashes, block 1 takes 0"):
        remote.command(cmd.SendBlock(3, BLOB.siblings(1, 1), BLOB.block(1)))


@pytest.mark.parametrize(
    ("code", "retry", "text"),
    [
        (RejectCode.CANCELLED, 0.0, "not cancelled"),
        (0, 0.0, "code"),
        (7, 0.0, "code"),
        (RejectCode.BUSY, -1.0, "retry"),
        (RejectCode.BUSY, float("nan"), "retry"),
    ],
)
def test_rejections_that_may_not_be(code: RejectCode, retry: float, text: str) -> None:
    remote = opened()
    remote.say(msg.Request(3, 0, 0, 0, 0))
    with pytest.raises(LocalProtocolError, match=text):
        remote.command(cmd.RejectRequest(3, code, retry))
    assert remote.frames == []
    remote.command(cmd.SendBlock(3, BLOB.siblings(0, 0), BLOB.block(0)))


def test_an_id_of_an_open_request() -> None:
    remote = opened()
    remote.say(msg.Request(3, 0, 0, 0, 0), msg.Request(3, 0, 0, 1, 0))
    costs(remote, CloseCode.PROTOCOL, FrameType.REQUEST)


def test_more_requests_than_max_requests() -> None:
    remote = opened(max_requests=3)
    remote.say(*(msg.Request(number, 0, 0, 0, 0) for number in range(3)))
    assert remote.close is None
    remote.command(cmd.RejectRequest(1, RejectCode.BUSY))
    remote.say(msg.Request(9, 0, 0, 0, 0))
    assert remote.close is None
    remote.say(msg.Request(10, 0, 0, 0, 0))
    costs(remote, CloseCode.LIMIT, FrameType.REQUEST)


def test_requests_beyond_the_credit() -> None:
    remote = opened()
    remote.say(msg.Request(1, 0, 0, 0, 5), msg.Request(2, 0, 0, 0, 5))
    assert remote.close is None
    # The cost is that of the frame, whatever becomes of the request.
    remote.command(cmd.RejectRequest(1, RejectCode.BUSY))
    remote.say(msg.Request(3, 0, 0, 0, 0))
    costs(remote, CloseCode.CREDIT_EXCEEDED, FrameType.REQUEST)


def test_granting_credit() -> None:
    remote = opened()
    assert (remote.connection.granted, remote.connection.ahead) == (64, 64)
    for total in (63, -1, 2**64):
        with pytest.raises(LocalProtocolError, match="CREDIT"):
            remote.command(cmd.GrantCredit(total))
    remote.command(cmd.GrantCredit(64), cmd.GrantCredit(66), cmd.GrantCredit(66))
    assert remote.frames == [msg.Credit(66)]
    remote.say(msg.Request(1, 0, 0, 0, 6), msg.Request(2, 0, 0, 0, 1))
    assert remote.close is None
    remote.command(cmd.GrantCredit(2**64 - 1))
    remote.say(*(msg.Request(number, 0, 0, 0, 6) for number in range(3, 100)))
    assert remote.close is None
    assert remote.connection.ahead == 2**64 - 1


@pytest.mark.parametrize(("block", "level"), [(1, 1), (3, 1), (32, 6), (2**32 - 1, 1)])
def test_a_request_that_is_not_aligned(block: int, level: int) -> None:
    remote = opened()
    remote.say(raw(0x20, bytes(10) + block.to_bytes(4, "big") + bytes((level,))))
    costs(remote, CloseCode.PROTOCOL, FrameType.REQUEST)


# --- two connections -------------------------------------------------------------------------------------------------


def serve(side: Side, blob: Blob) -> None:
    """Answer what there is room for."""
    side.take_events()
    owed = [event for event in side.events if isinstance(event, ev.RequestReceived)]
    for request in owed:
        if not side.connection.can_send:
            break
        for data in blob.answer(request.id, request.block, request.level):
            last = data.block == min(request.block + (1 << request.level), block_count(blob.length)) - 1
            side.send(cmd.SendBlock(request.id, data.proof, data.data, last))
        side.events.remove(request)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(1, 20), st.integers(1, BLOCK), st.integers(0, 3), st.integers(1, 100_000))
def test_any_file_travels(blocks: int, tail: int, level: int, piece: int) -> None:
    blob = Blob(blocks, seed="any", tail=tail)
    level = min(level, tree_height(blob.length))
    pair = Pair(config("alice", blob), config("bob", blob), piece=max(piece, 1000))
    pair.run()
    pair.initiator.send(cmd.Join(blob.topic))
    pair.run()
    for number, block in enumerate(range(0, blocks, 1 << level)):
        pair.initiator.send(cmd.RequestBlocks(number, blob.topic, 0, block, level, blob.length, blob.root))
    pair.run(lambda side: serve(side, blob) if side is pair.responder else side.take_events())
    got = {
        number: data
        for event in pair.initiator.of(ev.BlocksReceived)
        for number, data in enumerate(event.data, event.block)
    }
    assert b"".join(got[block] for block in range(blocks)) == blob.data
    assert all(event.code is None for event in pair.initiator.of(ev.RequestEnded))
