"""Strangers who say what no honest peer would: a node does not break, grow, or tell what is not theirs to know."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from p2pwire.content.merkle import BLOCK
from p2pwire.content.objects import ObjectInfo
from p2pwire.node import actions as act
from p2pwire.node.events import FetchFailed, PeerBanned, PeerConnected, PeerDisconnected
from p2pwire.node.seeding import MAX_READS
from p2pwire.node.serving import ServingConfig
from p2pwire.node.swarm import Phase
from p2pwire.storage.memory import share_folder
from p2pwire.testing.network import Host, Network
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import (
    INITIAL_CREDIT,
    MANIFEST_FILE,
    MAX_LENGTH,
    MAX_LEVEL,
    CloseCode,
    JoinFlag,
    ObjectKind,
    RejectCode,
)
from tests.node.hosts import Stranger, blob, folder, hosts, of, when


@pytest.fixture
def bob() -> Host:
    return hosts(Network("hostile"), "bob")[0]


def spoken(stranger: Stranger) -> list[str]:
    """What a node has said, less what says nothing."""
    return [type(frame).__name__ for frame in stranger.wait().frames if not isinstance(frame, msg.Pad)]


# --- privacy ---


def test_an_unknown_topic_a_wrong_cap_and_what_was_left_are_refused_alike(bob: Host) -> None:
    shared, unshared, forgotten, failed = (blob(1, name) for name in ("shared", "unshared", "forgotten", "failed"))
    bob.share(shared)
    bob.forget(bob.share(forgotten))
    bob.node.fetch(failed.info.oid, 0.0, length=1)
    informer = Stranger(bob, "8.8.8.8:5000", name="informer").open()
    informer.say(informer.join_topic(failed), informer.object_of(failed))
    assert len(of(bob, FetchFailed)) == 1
    answers = []
    for number, content in enumerate((shared, unshared, forgotten, failed)):
        stranger = Stranger(bob, f"9.9.{number}.9:5000", name=f"{number}").open()
        good = stranger.join_topic(content, handle=5)
        wrong = msg.Join(5, 0, good.topic, bytes(32))
        stranger.forget().say(wrong if content is shared else good, msg.Ping(b"fence..."))
        answers.append(stranger.records)
        assert [type(frame) for frame in stranger.frames] == [msg.Refuse, msg.Pong]
    said = [records[-1] for records in answers]
    assert said == [said[0]] * 4


def test_nothing_is_told_of_what_nobody_asked_for(bob: Host) -> None:
    for seed in range(5):
        bob.share(blob(2, seed))
    bob.fetch(blob(2, "wanted"))
    stranger = Stranger(bob).open()
    assert set(spoken(stranger.wait(140))) == {"Hello", "Ping"}
    dialled = Stranger(bob, "7.7.7.7:5000", name="other", dialled=True)
    bob.node._core.links[dialled.link].given = False  # as if the address alone were known
    assert "Join" not in spoken(dialled.open())


def test_who_has_the_cap_is_told_of_its_topic_alone(bob: Host) -> None:
    contents = [blob(2, seed) for seed in range(5)]
    for content in contents:
        bob.share(content)
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(contents[3]))
    stranger.wait(5)
    assert [join.topic for join in stranger.heard(msg.Join)] == [contents[3].info.topic]
    assert [frame.root for frame in stranger.heard(msg.Object)] == [contents[3].info.root]
    assert contents[3].info.oid not in b"".join(stranger.records)


# --- requests ---


def requests(content_kind: str) -> Iterator[tuple[int, int, int, RejectCode | None]]:
    """(file, block, level) and how it has to end; None: by data."""
    if content_kind == "blob":
        yield 0, 0, 0, None
        yield 0, 4, 2, None
        yield 0, 0, 3, None
        yield 0, 0, 4, RejectCode.OUT_OF_RANGE  # above the tree
        yield 0, 5, 0, RejectCode.OUT_OF_RANGE
        yield 0, 8, 2, RejectCode.OUT_OF_RANGE
        yield 0, 2**32 - 1, 0, RejectCode.OUT_OF_RANGE
        yield 1, 0, 0, RejectCode.OUT_OF_RANGE
        yield MANIFEST_FILE, 0, 0, RejectCode.OUT_OF_RANGE
    else:
        yield MANIFEST_FILE, 0, 0, None
        yield MANIFEST_FILE, 1, 0, RejectCode.OUT_OF_RANGE
        yield 0, 0, 0, None
        yield 1, 0, 0, RejectCode.OUT_OF_RANGE  # an empty file
        yield 2, 0, 0, RejectCode.OUT_OF_RANGE  # an empty directory
        yield 3, 0, 0, RejectCode.OUT_OF_RANGE  # no entry
        yield MANIFEST_FILE - 1, 0, 0, RejectCode.OUT_OF_RANGE


@pytest.mark.parametrize("kind", ["blob", "folder"])
def test_every_request_ends_in_the_one_right_way(bob: Host, kind: str) -> None:
    content = blob(5) if kind == "blob" else share_folder({"a": b"x", "b": b"", "c": None})
    bob.share(content)
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(content))
    for number, (file, block, level, code) in enumerate(requests(kind)):
        stranger.wait().forget()
        stranger.say(msg.Request(number, 0, file, block, level))
        stranger.wait(0.1)
        rejects, data = stranger.heard(msg.Reject), stranger.heard(msg.Data)
        if code is None:
            assert data
            assert not rejects
            assert [frame.block for frame in data] == list(range(block, block + len(data)))
        else:
            assert [(reject.id, reject.code) for reject in rejects] == [(number, code)]
            assert not data
    assert not of(bob, PeerDisconnected)


def test_what_is_not_known_yet_is_not_available(bob: Host) -> None:
    content = folder(3)
    topic = bob.fetch(content)
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(content), msg.Request(1, 0, MANIFEST_FILE, 0, 0))
    assert [reject.code for reject in stranger.wait().heard(msg.Reject)] == [RejectCode.NOT_AVAILABLE]
    stranger.say(stranger.object_of(content))
    stranger.wait(1).forget()
    assert bob.node.progress(topic).phase is Phase.MANIFEST
    for number, file in enumerate((MANIFEST_FILE, 0, 99), 2):
        stranger.say(msg.Request(number, 0, file, 0, 0))
    assert [reject.code for reject in stranger.wait().heard(msg.Reject)] == [RejectCode.NOT_AVAILABLE] * 3


def test_asking_and_cancelling_without_end_reads_no_more_than_a_little(bob: Host) -> None:
    content = blob(64)
    bob.share(content)
    bob.disk.delay = 1e9
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(content), msg.Interest(0, True))
    spent = 0
    for number in range(2000):
        if spent + 64 > max([INITIAL_CREDIT, *(frame.blocks for frame in stranger.heard(msg.Credit))]):
            stranger.wait()
        stranger.say(msg.Request(number, 0, 0, 0, MAX_LEVEL))
        stranger.say(msg.Cancel(number))
        spent += 64
    stranger.wait()
    assert stranger.close is None
    assert len(stranger.heard(msg.Reject)) == 2000
    assert len(bob._in_hand) == MAX_READS
    (link,) = bob.node._core.links.values()
    assert len(link.serving) == 0
    assert len(link.readings) == 0


def test_a_peer_that_asks_for_all_and_reads_nothing_costs_little(bob: Host) -> None:
    content = blob(2000)
    bob.share(content)
    (link,) = (Stranger(bob).open().link,)
    stranger = Stranger(bob, "8.8.8.8:5000", name="other").open()
    stranger.say(stranger.join_topic(content), msg.Interest(0, True))
    for number in range(10):
        stranger.connection.receive_data(stranger.seal(msg.Request(number, 0, 0, 0, 2).encode_frame()), 0.0)
    bob.network.run(5)
    links = bob.node._core.links
    state = links[stranger.link]
    prepared = sum(len(reading.data) for reading in state.readings if reading.data is not None)
    assert prepared <= ServingConfig().prepared_blocks * BLOCK
    assert not links[link].readings


def test_a_request_behind_one_that_is_cancelled_while_it_is_read_is_answered(bob: Host) -> None:
    content = blob(64)
    bob.share(content)
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(content))
    for frame in (msg.Request(1, 0, 0, 0, 5), msg.Request(2, 0, 0, 32, 5), msg.Cancel(1)):
        stranger.connection.receive_data(stranger.seal(frame.encode_frame()), 0.0)
    assert len(bob._in_hand) == MAX_READS
    bob.network.run(0.5)  # what is read for the first comes before the stranger has taken its REJECT
    (link,) = bob.node._core.links.values()
    assert link.transmitting
    assert [reading.chunk.request.id for reading in link.readings] == [2, 2]
    stranger.wait()
    assert [reject.code for reject in stranger.heard(msg.Reject)] == [RejectCode.CANCELLED]
    assert [(data.id, data.block) for data in stranger.heard(msg.Data)] == [(2, block) for block in range(32, 64)]


# --- content ---


def seeking(bob: Host, blocks: int = 3) -> tuple[Stranger, bytes]:
    """Bob fetches a blob; a stranger has joined and told what it is."""
    content = blob(blocks)
    topic = bob.fetch(content)
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(content), stranger.object_of(content))
    stranger.wait(0.1)
    return stranger, topic


def test_units_beyond_the_end_are_ignored_and_never_asked_for(bob: Host) -> None:
    stranger, topic = seeking(bob)
    stranger.say(msg.Have(0, (msg.Span(3, 65535),)))
    assert not stranger.wait(1).heard(msg.Request)
    assert not stranger.heard(msg.Interest)
    stranger.say(msg.Have(0, (msg.Span(1, 2),)))
    asked = stranger.wait(1).heard(msg.Request)
    assert sorted(
        request.block + n for request in asked for n in range(1 << request.level) if request.block + n < 3
    ) == [1, 2]
    stranger.say(msg.Lost(0, (msg.Span(0, 65535),)), msg.Have(0, (msg.Span(0, 65535),)))
    stranger.wait(1)
    assert bob.node.progress(topic).phase is Phase.CONTENT
    assert not of(bob, PeerDisconnected)


@pytest.mark.parametrize("code", list(RejectCode))
def test_a_peer_that_rejects_everything_is_not_asked_without_end(bob: Host, code: RejectCode) -> None:
    stranger, topic = seeking(bob, 64)
    stranger.say(msg.Have(0, (msg.Span(0, 63),)), msg.Credit(10**6))
    answered: set[int] = set()
    for _ in range(200):
        new = [request.id for request in stranger.wait(0.1).heard(msg.Request) if request.id not in answered]
        for number in new:
            stranger.say(msg.Reject(number, code, 0))
            answered.add(number)
    # Twenty seconds: not more than a few batches, and nothing at all where it said that it has nothing.
    most = 64 if code in (RejectCode.NOT_AVAILABLE, RejectCode.OUT_OF_RANGE) else 22 * 8
    assert len(answered) <= most
    assert stranger.close is None
    assert bob.node.progress(topic).phase is Phase.CONTENT


def test_another_object_than_the_topics_is_bad_data_and_bans(bob: Host) -> None:
    content = blob(3)
    bob.fetch(content)
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(content), msg.Object(0, 0, 49151, content.info.root))
    assert stranger.wait().close is not None
    assert stranger.close.code == CloseCode.BAD_DATA
    assert [event.identity for event in of(bob, PeerBanned)] == [stranger.identity.public]
    again = Stranger(bob, "8.8.8.8:5000").handshake()
    assert again.close is not None
    assert again.close.code == CloseCode.NOT_ALLOWED  # [TR-076]
    assert len(of(bob, PeerConnected)) == 1


@pytest.mark.parametrize("kind", [ObjectKind.BLOB, ObjectKind.MANIFEST])
def test_the_longest_object_that_can_be_claimed_takes_no_memory(kind: ObjectKind) -> None:
    length = MAX_LENGTH if kind == ObjectKind.BLOB else 64 * 2**20
    info = ObjectInfo(kind, length, b"r" * 32)
    bob = hosts(Network("huge"), "bob")[0]
    topic = bob.node.fetch(info.oid, 0.0)
    stranger = Stranger(bob).open()
    tracemalloc.start()
    joined = stranger.join_object(info, flags=JoinFlag.HAS_MANIFEST)
    stranger.say(joined, msg.Object(0, info.kind, info.length, info.root), msg.Have(0, (msg.Span(0, 65535),)))
    stranger.say(msg.Credit(2**40))
    stranger.wait(1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bob.node.progress(topic).phase is (Phase.CONTENT if kind == ObjectKind.BLOB else Phase.MANIFEST)
    assert stranger.heard(msg.Request)
    assert peak < 3_000_000


def test_a_peer_that_says_it_has_the_manifest_and_has_not(bob: Host) -> None:
    content = folder(3)
    topic = bob.fetch(content)
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(content, flags=JoinFlag.HAS_MANIFEST), stranger.object_of(content))
    for _ in range(5):
        for request in stranger.wait(1).heard(msg.Request):
            assert request.file == MANIFEST_FILE
            stranger.say(msg.Reject(request.id, RejectCode.NOT_AVAILABLE, 0))
        stranger.forget()
    (charlie,) = hosts(bob.network, "charlie")
    charlie.share(content)
    bob.node.add_peers(topic, [charlie.endpoint], bob.network.now)
    bob.pump()
    when(10, bob.network, lambda: bob.complete(topic))


# --- floods ---


@pytest.mark.parametrize(
    "frame",
    [
        msg.Pad(b""),
        msg.Interest(0, False),
        msg.Leave(77),
        msg.Join(9, 0, bytes(32), bytes(32)),
        msg.Lost(0, (msg.Span(0, 0),)),
        msg.GetPeers(0, 5),
        msg.Suggest(0, 0, 0),
        msg.Ping(b"12345678"),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_a_flood_of_control_frames_ends_the_link_and_nothing_else(bob: Host, frame: msg.Frame) -> None:
    content = blob(3)
    bob.share(content)
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(content))
    for _ in range(30):
        if stranger.wait().close is not None:
            break
        stranger.say(*[frame] * 50)
    assert stranger.close is not None
    assert stranger.close.code == CloseCode.FLOOD
    (alice,) = hosts(bob.network, "alice")
    topic = alice.fetch(content, bob)
    when(5, bob.network, lambda: alice.complete(topic))


def test_records_without_end_and_without_sense_are_dropped_or_end_the_link(bob: Host) -> None:
    content = blob(3)
    bob.share(content)
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(content))
    for _ in range(6):
        junk = tuple(msg.SharedRecord(n & 1, bytes((n,)) * (n * 9 + 1)) for n in range(32))
        stranger.say(msg.Peers(0, junk, (b"i" * 32,)))
        if stranger.wait().close is not None:
            break
    assert stranger.close is not None
    assert stranger.close.code == CloseCode.FLOOD  # the fifth PEERS within a minute
    assert not [action for action in iter(bob.node.next_action, None) if isinstance(action, act.Dial)]


def test_many_small_records_are_no_burden(bob: Host) -> None:
    content = blob(3)
    bob.share(content)
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(content))
    # What announces one more unit each time is not counted, and there are but 65536 units.
    for unit in range(3, 8000):
        stranger.connection.receive_data(stranger.seal(msg.Have(0, (msg.Span(unit, unit),)).encode_frame()), 0.0)
    assert stranger.wait().close is None
    assert bob.node.peers()
