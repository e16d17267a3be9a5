"""PX: the subject's own peer record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from p2pwire_conformance.carrier import Inline
from p2pwire_conformance.case import INLINE, LISTEN, RESPONDER, add, case
from p2pwire_conformance.content import blob
from p2pwire_conformance.keys import SMALL_ORDER_Y, Identity
from p2pwire_conformance.link import Link, parameter, ping
from p2pwire_conformance.message import Tree
from p2pwire_conformance.records import address, peer_record
from p2pwire_conformance.trial import UNIX_TIME, Trial
from p2pwire_conformance.verdict import Kind

SHARED: Final = blob(1000)
NEIGHBOUR: Final = Identity("neighbour")
HERE: Final = (address("127.0.0.1", 7777),)


def _good() -> bytes:
    return peer_record(NEIGHBOUR, UNIX_TIME, addresses=HERE)


def _spoiled() -> bytes:
    return _good()[:-1] + bytes([_good()[-1] ^ 1])


def _bad_address() -> bytes:
    wrong = Tree("Address", type=1, value=bytes(5))
    return peer_record(NEIGHBOUR, UNIX_TIME, addresses=[wrong])


_RECORDS: Final[Mapping[str, tuple[str, str, Callable[[], bytes]]]] = {
    "PX-0001": ("PX-027", "a wrong signature", _spoiled),
    "PX-0002": ("PX-021", "bytes that are no record", lambda: b"no record at all"),
    "PX-0003": ("PX-021", "version 2", lambda: peer_record(NEIGHBOUR, UNIX_TIME, addresses=HERE, version=2)),
    "PX-0004": ("PX-006", "an IPv4 address of 5 bytes", _bad_address),
    "PX-0005": ("PX-021", "a ttl of 59 s", lambda: peer_record(NEIGHBOUR, UNIX_TIME, ttl=59)),
    "PX-0006": ("PX-021", "a ttl of 86401 s", lambda: peer_record(NEIGHBOUR, UNIX_TIME, ttl=86401)),
    "PX-0007": ("PX-023", "a seq a year ahead", lambda: peer_record(NEIGHBOUR, UNIX_TIME + 31536000, addresses=HERE)),
    "PX-0008": ("PX-023", "a seq of a year ago", lambda: peer_record(NEIGHBOUR, UNIX_TIME - 31536000, addresses=HERE)),
    "PX-0009": (
        "PX-022 ID-004",
        "an identity of small order",
        lambda: peer_record(NEIGHBOUR, UNIX_TIME, addresses=HERE, identity=SMALL_ORDER_Y[1]),
    ),
    "PX-0010": ("PX-021", "a byte too many", lambda: _good() + b"\0"),
    "PX-0011": ("PX-007", "an address of an unknown type", lambda: peer_record(
        NEIGHBOUR, UNIX_TIME, addresses=[Tree("Address", type=200, value=b"somewhere")])),
}  # fmt: skip


def _told(record: Callable[[], bytes]) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open(share=[SHARED.recipe], unix_time=UNIX_TIME)
        handle, _ = link.open_topic(SHARED)
        link.send(Tree("Peers", handle=handle, added=[Tree("SharedRecord", record=record())]))
        link.expect_open()

    return run


for _id, (_cited, _what, _record) in _RECORDS.items():
    _title = f"Shares a record with {_what}, in a well-formed PEERS. The subject drops it and goes on."
    add(_id, f"PX-030 {_cited}", _title, _told(_record), features="share record")


@case("PX-0020", "PX-048", features="share")
def fifth_peers(t: Trial) -> None:
    """Sends PEERS five times in one opening of a topic. The subject takes four and closes with FLOOD on the fifth."""
    link = t.open(share=[SHARED.recipe], unix_time=UNIX_TIME)
    handle, _ = link.open_topic(SHARED)
    peers = Tree("Peers", handle=handle, dropped=[NEIGHBOUR.public])
    link.send(*([peers] * 4))
    link.expect_open("four-peers")
    link.send(peers)
    link.expect_close("FLOOD", blame=0x30)


@case("PX-0021", "PX-048", nets=INLINE, features="share")
def peers_each_minute(t: Trial) -> None:
    """Sends PEERS four times, and once more after 61 s. The subject takes all."""
    link = t.open(share=[SHARED.recipe], unix_time=UNIX_TIME)
    handle, _ = link.open_topic(SHARED)
    peers = Tree("Peers", handle=handle, dropped=[NEIGHBOUR.public])
    link.send(*([peers] * 4))
    t.pass_time(61.0, link)
    link.send(peers)
    link.expect_open()


@case("PX-0022", "PX-055@2 PX-040 PX-009 PX-041 FR-028", roles=RESPONDER, nets=LISTEN, features="share record")
def asked_for_peers(t: Trial) -> None:
    """Two peers with records of their own in HELLO open a topic with the subject, and the second asks for one peer. The
    subject answers with the first one's record, byte for byte, and not with the second's own."""
    t.start(share=[SHARED.recipe], unix_time=UNIX_TIME)
    records: list[bytes] = []
    links: list[Link] = []
    for number, label in enumerate(("first", "second")):
        link = t.connect(label)
        link.shake()
        records.append(peer_record(link.identity, UNIX_TIME, addresses=[address("127.0.0.1", 7800 + number)]))
        link.hello(parameters=[parameter(2, records[-1])])
        links.append(link)
    handles = [link.open_topic(SHARED)[0] for link in links]
    for link in links:
        link.fence()
    links[1].send(Tree("GetPeers", handle=handles[1], max=1))
    told = [one["record"] for one in links[1].expect("Peers", "peers")["added"]]
    if told != records[:1]:
        links[1].fail(
            "records", Kind.WRONG, "the record of the first peer, as it was signed", f"{len(told)} others came"
        )


@case("PX-0023", "PX-043", features="share record")
def not_asked_for_peers(t: Trial) -> None:
    """Joins a topic of a subject that listens without wants_peers. No PEERS comes."""
    t.start(share=[SHARED.recipe], listening=["127.0.0.1:7001"], unix_time=UNIX_TIME)
    link = t.connect()
    link.shake()
    link.hello()
    link.open_topic(SHARED, flags=0)
    link.fence()
    link.send(ping())
    link.expect("Pong")
    if isinstance(link.carrier, Inline):
        t.tick(link, 5.0)
        link.fence()
    if any(one.name == "Peers" for one in link.noticed):
        link.fail("peers", Kind.NOT_SILENT, "no PEERS unasked", "one came")


@case("PX-0024", "PX-048 TP-064", features="share")
def peers_of_another_opening(t: Trial) -> None:
    """Sends PEERS four times, leaves the topic, joins it again and sends PEERS once more. The subject counts for each
    opening and goes on."""
    link = t.open(share=[SHARED.recipe], unix_time=UNIX_TIME)
    handle, theirs = link.open_topic(SHARED)
    peers = Tree("Peers", handle=handle, dropped=[NEIGHBOUR.public])
    link.send(*([peers] * 4), Tree("Leave", handle=handle))
    link.expect("Leave", handle=theirs)
    link.noticed.clear()
    link.send(link.join_frame(SHARED, handle=handle))
    link.topic_joined(SHARED)
    link.send(peers)
    link.expect_open(but="Join")
