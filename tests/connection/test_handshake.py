"""The handshake: flights, versions, suites, refusals, identities."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import attrs
import pytest

from p2pwire.connection import events as ev
from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import Connection
from p2pwire.connection.grease import GREASE_SEED
from p2pwire.connection.state import LinkState
from p2pwire.crypto.identity import Purpose
from p2pwire.crypto.noise import derive_psk
from p2pwire.testing.pair import Pair, seeded
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import (
    HANDSHAKE_TIMEOUT,
    MAGIC,
    MAX_BUFFERED_HANDSHAKE,
    CloseCode,
    RefusalReason,
    Suite,
    is_grease16,
    is_grease_tag,
)
from tests.connection.remote import BOTH, HELLO, START, Remote, config, identity, initiator, responder

PSK = derive_psk(b"a network's secret")
BY_SUITE = {
    Suite.XX_AESGCM: {"suites": (Suite.XX_AESGCM,)},
    Suite.XX_CHACHAPOLY: {"suites": (Suite.XX_CHACHAPOLY, Suite.XX_AESGCM)},
    Suite.XXPSK0_AESGCM: {"psk": PSK},
}


def flights(pair: Pair) -> list[bytes]:
    """The three flights of a pair that is not running yet; records that follow the last one are cut off."""
    i, r = pair.initiator.connection, pair.responder.connection
    first = b"".join(i.data_to_send())
    r.receive_data(first, START)
    pair.responder.take_events()
    second = b"".join(r.data_to_send())
    i.receive_data(second, START)
    pair.initiator.take_events()
    third = b"".join(i.data_to_send())
    return [first, second, third[: 2 + int.from_bytes(third[:2], "big")]]


def silent(remote: Remote) -> ev.Closed:
    """The connection has ended without a word."""
    assert remote.connection.state is LinkState.CLOSED
    assert remote.closed is not None
    assert not remote.raw
    assert not remote.frames
    assert not remote.of(ev.PeerIdentified)
    return remote.closed


# --- flights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sizes"),
    [
        ({"suites": (Suite.XX_AESGCM,)}, [53, 209, 162]),
        ({"suites": (Suite.XX_CHACHAPOLY, Suite.XX_AESGCM)}, [55, 209, 162]),
        ({"psk": PSK}, [69, 209, 162]),
    ],
)
def test_the_size_of_each_flight(changes: dict[str, object], sizes: list[int]) -> None:
    pair = Pair(config("alice", **changes), config("bob", **changes))
    assert [len(flight) for flight in flights(pair)] == sizes


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("make", BOTH)
def test_a_handshake_in_each_suite(make: Callable[..., Remote], suite: Suite) -> None:
    remote = make(config(**BY_SUITE[suite]), suite=suite).open()
    assert remote.connection.identity == remote.identity.public
    assert [type(event) for event in remote.events if type(event) is not ev.OfferReceived] == [
        ev.PeerIdentified,
        ev.LinkEstablished,
    ]
    assert remote.heard(msg.Hello)
    assert remote.connection.state is LinkState.OPEN


def test_the_initiator_speaks_first_and_frames_follow_message_3_at_once() -> None:
    pair = Pair(config("alice"), config("bob"))
    assert pair.initiator.connection.has_output
    assert not pair.responder.connection.has_output
    first, second, third = flights(pair)
    assert first.startswith(MAGIC + b"\x01")
    assert second.startswith(MAGIC + b"\x02")
    # HELLO went out with message 3, in a record of its own.
    pair.responder.connection.receive_data(third, START)
    pair.responder.take_events()
    assert [type(event) for event in pair.responder.events] == [ev.OfferReceived, ev.PeerIdentified]


def test_the_responder_says_nothing_before_message_1_is_complete() -> None:
    remote = responder()
    offer = remote.offer()
    for at in range(len(offer) - 1):
        remote.feed(offer[at : at + 1])
        assert not remote.raw
    remote.feed(offer[-1:])
    assert 0 < len(remote.raw) <= MAX_BUFFERED_HANDSHAKE


@pytest.mark.parametrize("suite", Suite)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_changed_bit_in_each_byte_of_each_flight_is_the_end(number: int, suite: Suite) -> None:
    changes = BY_SUITE[suite]
    alice, bob = config("alice", **changes), config("bob", **changes)
    true = flights(Pair(alice, bob))
    for at in range(len(true[number - 1])):
        pair = Pair(alice, bob)
        flip(pair, true, number, at)
        pair.advance(HANDSHAKE_TIMEOUT)
        for side in pair.sides:
            met = [type(event) for event in side.events if isinstance(event, ev.PeerIdentified)]
            # Message 3 is the answer to a flight 2 that was right: whoever sent it has met the responder.
            assert met == ([ev.PeerIdentified] if number == 3 and side is pair.initiator else []), at
            assert not side.of(ev.LinkEstablished)
            assert len(side.of(ev.Closed)) == 1
        if number != 3:
            assert pair.initiator.connection.identity is pair.responder.connection.identity is None


def flip(pair: Pair, true: list[bytes], number: int, at: int) -> None:
    """Run a handshake in which one bit of one flight is changed on the way."""
    changed = bytearray(true[number - 1])
    changed[at] ^= 1 << at % 8
    i, r = pair.initiator.connection, pair.responder.connection
    b"".join(i.data_to_send())
    r.receive_data(changed if number == 1 else true[0], START)
    pair.responder.take_events()
    second = b"".join(r.data_to_send())
    if number == 1:
        # A responder can not always tell; what it answers then is of no use to the initiator.
        if second:
            i.receive_data(second, START)
    else:
        i.receive_data(changed if number == 2 else second, START)
    pair.initiator.take_events()
    i.data_to_send()
    if number == 3:
        r.receive_data(changed, START)
        pair.responder.take_events()


def test_all_bits_of_the_preambles_are_protected() -> None:
    alice, bob = config("alice"), config("bob")
    true = flights(Pair(alice, bob))
    preambles = [11 + int.from_bytes(flight[9:11], "big") for flight in true[:2]]
    for number, size in enumerate(preambles, start=1):
        for bit in range(size * 8):
            pair = Pair(alice, bob)
            changed = [bytearray(flight) for flight in true]
            changed[number - 1][bit // 8] ^= 1 << bit % 8
            i, r = pair.initiator.connection, pair.responder.connection
            i.data_to_send()
            r.receive_data(changed[0], START)
            pair.responder.take_events()
            second = b"".join(r.data_to_send())
            i.receive_data(changed[1] if number == 2 else second or b"\0", START)
            pair.advance(HANDSHAKE_TIMEOUT)
            assert not pair.initiator.of(ev.PeerIdentified), bit
            assert not pair.responder.of(ev.PeerIdentified), bit


@pytest.mark.parametrize("number", [1, 2, 3])
def test_flights_of_another_handshake_are_of_no_use(number: int) -> None:
    alice, bob = config("alice"), config("bob")
    old = flights(Pair(alice, bob))
    new = Connection(Role.INITIATOR, alice, now=START, random=seeded("another run"))
    newer = Connection(Role.RESPONDER, bob, now=START, random=seeded("yet another run"))
    first = b"".join(new.data_to_send())
    newer.receive_data(old[0] if number == 1 else first, START)
    assert isinstance(newer.next_event(), ev.OfferReceived)
    second = b"".join(newer.data_to_send())
    if number == 3:
        newer.receive_data(old[2], START)
        assert isinstance(newer.next_event(), ev.Closed)
        assert newer.identity is None
        return
    # A flight 1 can be said again, but nobody who does so can read the answer; nor is an old answer one.
    new.receive_data(old[1] if number == 2 else second, START)
    assert isinstance(new.next_event(), ev.Closed)
    assert new.identity is None


@pytest.mark.parametrize("make", BOTH)
def test_a_handshake_cut_short_at_any_byte_is_a_truncation(make: Callable[..., Remote]) -> None:
    whole = make()
    whole.settle()
    flight = whole.offer() if whole.initiator else whole.answer()
    for size in range(len(flight)):
        remote = make()
        remote.settle()
        remote.feed(flight[:size])
        remote.raw.clear()
        remote.end()
        closed = silent(remote)
        assert (closed.truncated, closed.by_peer) == (True, True)


def test_frames_that_come_in_the_same_piece_as_message_3_are_read() -> None:
    remote = responder()
    remote.feed(remote.offer())
    remote.read_preamble()
    remote.read_message()
    last = remote.message()
    remote.split()
    remote.feed(last + remote.seal(HELLO.encode_frame() + msg.Ping(b"12345678").encode_frame()))
    assert [type(event) for event in remote.events[1:]] == [ev.PeerIdentified, ev.LinkEstablished]
    assert remote.heard(msg.Pong) == [msg.Pong(b"12345678")]


# --- preambles and messages that are none ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", BOTH)
def test_the_first_byte_that_is_not_the_magic_ends_it(make: Callable[..., Remote]) -> None:
    for at in range(len(MAGIC)):
        remote = make()
        remote.settle()
        remote.raw.clear()
        remote.feed(MAGIC[:at])
        assert remote.closed is None
        remote.feed(bytes((MAGIC[at] ^ 1,)))
        silent(remote)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("length", [0, 3, 513, 65535])
def test_a_preamble_of_a_wrong_length_is_not_waited_for(make: Callable[..., Remote], length: int) -> None:
    remote = make()
    remote.settle()
    remote.raw.clear()
    remote.feed(MAGIC + (b"\x01" if remote.initiator else b"\x02") + length.to_bytes(2, "big"))
    silent(remote)


@pytest.mark.parametrize(
    "body",
    [
        msg.ResponderPreamble(1, 1, ()),
        msg.Refusal(RefusalReason.BUSY, (1,), (1,)),
    ],
)
def test_a_responder_reads_no_other_preamble(body: msg.PreambleBody) -> None:
    remote = responder()
    remote.feed(msg.encode_preamble(body))
    silent(remote)


@pytest.mark.parametrize("kind", [0, 1, 4, 255])
def test_an_initiator_reads_no_other_preamble(kind: int) -> None:
    remote = initiator()
    remote.settle()
    remote.raw.clear()
    remote.feed(MAGIC + bytes((kind,)) + b"\0\x04\0\x01\0\x01")
    silent(remote)


OFFERS = {
    "no version": "00 01 0001 0001",
    "17 versions": "11" + "".join(f"{n:04x}" for n in range(1, 18)) + "01 0001 0001",
    "a version twice": "02 0001 0001 01 0001 0001",
    "no suite": "01 0001 00 0001",
    "17 suites": "01 0001 11" + "".join(f"{n:04x}" for n in range(1, 18)) + "0001",
    "a suite twice": "01 0001 02 0001 0001 0001",
    "key_suite is not in the list": "01 0001 01 0001 0002",
    "key_suite is GREASE": "01 0001 02 0001 0a0a 0a0a",
    "key_suite is cut short": "01 0001 01 0001 00",
    "half a TLV": "01 0001 01 0001 0001 05",
    "a TLV that goes too far": "01 0001 01 0001 0001 05 02 00",
    "TLVs of equal tags": "01 0001 01 0001 0001 05 00 05 00",
    "TLVs in descending order": "01 0001 01 0001 0001 06 00 05 00",
}


@pytest.mark.parametrize("body", OFFERS.values(), ids=OFFERS)
def test_malformed_offers(body: str) -> None:
    remote = responder()
    data = bytes.fromhex(body)
    remote.feed(MAGIC + b"\x01" + len(data).to_bytes(2, "big") + data + bytes(2000))
    silent(remote)


@pytest.mark.parametrize(
    "body", ["0001 0002", "0002 0001", "0a0a 0001", "0001 0a0a", "0001 0001 05", "0001 0001 0600 0500"]
)
def test_answers_that_the_offer_does_not_allow(body: str) -> None:
    remote = initiator(config(suites=(Suite.XX_AESGCM, Suite.XX_CHACHAPOLY)))
    remote.settle()
    remote.raw.clear()
    data = bytes.fromhex(body)
    remote.feed(MAGIC + b"\x02" + len(data).to_bytes(2, "big") + data)
    silent(remote)


def test_unknown_parameters_are_ignored_everywhere() -> None:
    unknown = (msg.Parameter(1, b"what?"), msg.Parameter(0x0B, b""), msg.Parameter(255, bytes(200)))
    remote = responder()
    remote.preamble = msg.encode_preamble(msg.InitiatorPreamble((1,), (1,), 1, unknown))
    remote.start(remote.preamble)
    remote.feed(remote.preamble + remote.message(b""))
    remote.read_preamble()
    remote.read_message()
    assert remote.noise is not None
    _, h = remote.noise.begin_message()
    message = remote.noise.finish_message(remote.proof(h, unknown))
    remote.feed(len(message).to_bytes(2, "big") + message)
    assert remote.of(ev.PeerIdentified)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("length", [0, 1025, 65535])
def test_a_handshake_message_of_a_wrong_length_is_not_waited_for(make: Callable[..., Remote], length: int) -> None:
    remote = make()
    remote.settle()
    flight = remote.offer() if remote.initiator else remote.answer()
    remote.feed(flight[: len(remote.preamble)])
    remote.raw.clear()
    remote.feed(length.to_bytes(2, "big"))
    silent(remote)


def test_no_more_is_kept_of_a_stranger_than_the_longest_flight_1() -> None:
    remote = responder()
    parameters = (msg.Parameter(1, bytes(250)), msg.Parameter(2, bytes(250)))
    preamble = msg.encode_preamble(msg.InitiatorPreamble((1,), (1,), 1, parameters))
    assert len(preamble) == 523
    remote.feed(preamble + (1024).to_bytes(2, "big") + bytes(1023))
    assert remote.closed is None
    remote.feed(bytes(1))
    silent(remote)


@pytest.mark.parametrize("payload", [b"x", bytes(96)])
def test_message_1_has_no_payload(payload: bytes) -> None:
    remote = responder()
    remote.offer()
    remote.start(remote.preamble)
    remote.feed(remote.preamble + remote.message(payload))
    silent(remote)


LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
    bytes(31) + b"\x80",
]


@pytest.mark.parametrize("key", LOW_ORDER)
@pytest.mark.parametrize("make", BOTH)
def test_keys_of_low_order(make: Callable[..., Remote], key: bytes) -> None:
    remote = make()
    remote.settle()
    flight = bytearray(remote.offer() if remote.initiator else remote.answer())
    at = len(remote.preamble) + 2
    flight[at : at + 32] = key
    remote.feed(bytes(flight))
    silent(remote)


# --- what is selected ------------------------------------------------------------------------------------------------


def test_the_highest_common_version_is_selected() -> None:
    remote = responder(config(versions=(2, 1, 4)))
    remote.versions = (1, 0x0A0A, 3, 2, 5)
    remote.feed(remote.offer())
    assert msg.ResponderPreamble.decode(remote.read_preamble()[11:]).version == 2


def test_the_first_suite_of_the_initiator_is_selected() -> None:
    for suites in [(2, 1), (1, 2), (0x1A2A, 2, 1), (77, 1, 0x0A0A)]:
        remote = responder(config(suites=(Suite.XX_AESGCM, Suite.XX_CHACHAPOLY)))
        remote.suites = suites
        remote.suite = Suite(next(suite for suite in suites if suite in (1, 2)))
        remote.feed(remote.offer())
        assert msg.ResponderPreamble.decode(remote.read_preamble()[11:]).suite == remote.suite


REFUSALS = {
    "no version": ((7, 0x0A0A), (1,), 1, RefusalReason.NO_VERSION),
    "no version and no suite": ((7,), (77,), 77, RefusalReason.NO_VERSION),
    "no suite": ((1,), (77, 3), 77, RefusalReason.NO_SUITE),
    "another suite": ((1,), (1, 77), 77, RefusalReason.USE_SUITE),
    "another suite by the initiator's order": ((1,), (2, 1), 1, RefusalReason.USE_SUITE),
}


@pytest.mark.parametrize(("versions", "suites", "key_suite", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(versions: tuple[int, ...], suites: tuple[int, ...], key_suite: int, reason: RefusalReason) -> None:
    remote = responder()
    offer = msg.encode_preamble(msg.InitiatorPreamble(versions, suites, key_suite, ()))
    remote.feed(offer)
    refusal = bytes(remote.raw)
    assert msg.PreambleHeader.decode(refusal[:11]).kind == 3
    assert msg.Refusal.decode(refusal[11:]) == msg.Refusal(reason, (1,), (1, 2))
    assert remote.connection.state is LinkState.DRAINING
    assert remote.connection.output_ended
    assert remote.closed is not None
    assert remote.closed.code is CloseCode.NONE
    remote.feed(bytes(1000))
    remote.end()
    assert remote.connection.finished


def test_a_busy_responder_refuses_whatever_is_offered() -> None:
    for versions, suites, key_suite, _ in REFUSALS.values():
        remote = responder(config(busy=True))
        remote.feed(msg.encode_preamble(msg.InitiatorPreamble(versions, suites, key_suite, ())))
        assert msg.Refusal.decode(bytes(remote.raw[11:])).reason == RefusalReason.BUSY
        assert remote.closed is not None
        assert remote.closed.code is CloseCode.BUSY


@pytest.mark.parametrize("busy", [False, True])
def test_a_private_network_does_not_refuse(busy: bool) -> None:
    for versions, suites, key_suite, _ in REFUSALS.values():
        remote = responder(config(psk=PSK, busy=busy))
        remote.feed(msg.encode_preamble(msg.InitiatorPreamble(versions, suites, key_suite, ())))
        silent(remote)


@pytest.mark.parametrize("reason", [RefusalReason.NO_VERSION, RefusalReason.NO_SUITE, RefusalReason.BUSY])
def test_what_an_initiator_makes_of_a_refusal(reason: RefusalReason) -> None:
    remote = initiator()
    remote.settle()
    remote.feed(msg.encode_preamble(msg.Refusal(reason, (1,), (1, 2))))
    code = CloseCode.BUSY if reason is RefusalReason.BUSY else CloseCode.NONE
    text = f"the responder refuses: {reason.name}"
    assert remote.events == [ev.Refused(reason, None), ev.Closed(code, code, text, by_peer=True, truncated=False)]
    remote.advance(100)
    assert remote.connection.finished
    assert len(remote.events) == 2


@pytest.mark.parametrize(
    ("offered", "key", "listed", "wanted"),
    [
        ((2, 1), 2, (1,), 1),
        ((2, 1), 2, (0x0A0A, 1), 1),
        ((1, 2), 2, (2, 1), 1),
        ((2, 1), 2, (77,), None),
        ((2, 1), 2, (2,), None),
        ((2, 1), 2, (1, 2), None),
    ],
)
def test_use_suite(offered: tuple[int, ...], key: int, listed: tuple[int, ...], wanted: int | None) -> None:
    remote = initiator(config(suites=tuple(map(Suite, offered)), key_suite=Suite(key)))
    remote.settle()
    remote.raw.clear()
    remote.feed(msg.encode_preamble(msg.Refusal(RefusalReason.USE_SUITE, (1,), listed)))
    if wanted is None:
        silent(remote)
        assert not remote.of(ev.Refused)
    else:
        assert remote.of(ev.Refused) == [ev.Refused(RefusalReason.USE_SUITE, Suite(wanted))]


@pytest.mark.parametrize("reason", [0, 5, 255])
def test_a_refusal_for_an_unknown_reason_is_a_failed_handshake(reason: int) -> None:
    remote = initiator()
    remote.settle()
    remote.raw.clear()
    remote.feed(MAGIC + b"\x03\0\x07" + bytes((reason,)) + b"\x01\0\x01\x01\0\x01")
    silent(remote)
    assert not remote.of(ev.Refused)


def test_a_private_network_takes_no_advice() -> None:
    remote = initiator(config(psk=PSK))
    remote.settle()
    remote.raw.clear()
    remote.feed(msg.encode_preamble(msg.Refusal(RefusalReason.USE_SUITE, (1,), (1,))))
    silent(remote)
    assert not remote.of(ev.Refused)


def test_the_further_attempt_changes_the_key_suite_alone() -> None:
    grease = bytes(range(GREASE_SEED))
    alice = config("alice", suites=(Suite.XX_CHACHAPOLY, Suite.XX_AESGCM), grease=grease)
    bob = config("bob", suites=(Suite.XX_AESGCM,))
    first = Pair(alice, bob)
    first.run()
    (refused,) = first.initiator.of(ev.Refused)
    assert refused.suite is Suite.XX_AESGCM
    second = Pair(attrs.evolve(alice, key_suite=refused.suite), bob)
    second.run()
    assert second.initiator.of(ev.LinkEstablished)
    offers = [offer_of(pair) for pair in (first, second)]
    assert offers[0].key_suite == Suite.XX_CHACHAPOLY
    assert attrs.evolve(offers[0], key_suite=Suite.XX_AESGCM) == offers[1]
    assert any(map(is_grease16, offers[1].versions))


def offer_of(pair: Pair) -> msg.InitiatorPreamble:
    return msg.InitiatorPreamble.decode(pair.initiator.sent[11 : 11 + int.from_bytes(pair.initiator.sent[9:11], "big")])


def test_grease_is_sent_and_tolerated_by_both_sides() -> None:
    for number in range(40):
        seeds = [hashlib.sha256(b"%d %d" % (number, side)).digest()[:GREASE_SEED] for side in range(2)]
        pair = Pair(config("alice", grease=seeds[0]), config("bob", grease=seeds[1]))
        pair.run()
        offer = offer_of(pair)
        assert sum(map(is_grease16, offer.versions)) == sum(map(is_grease16, offer.suites)) == 1
        assert [is_grease_tag(parameter.tag) for parameter in offer.parameters] == [True]
        assert not is_grease16(offer.key_suite)
        for side in pair.sides:
            assert side.of(ev.LinkEstablished)
            assert side.connection.state is LinkState.OPEN


def test_one_connection_in_eight_has_grease() -> None:
    greased = 0
    for number in range(400):
        connection = Connection(Role.INITIATOR, config(grease=None), now=START, random=seeded(f"run {number}"))
        greased += len(b"".join(connection.data_to_send())) > 55
    assert 25 <= greased <= 80


# --- keys and identities ---------------------------------------------------------------------------------------------


def test_another_network_secret_meets_silence() -> None:
    pair = Pair(config("alice", psk=PSK), config("bob", psk=derive_psk(b"another")))
    pair.run()
    assert not pair.responder.sent
    pair.advance(HANDSHAKE_TIMEOUT)
    for side in pair.sides:
        assert len(side.of(ev.Closed)) == 1
        assert not side.of(ev.PeerIdentified)


def test_another_carrier_binding_meets_silence() -> None:
    pair = Pair(config("alice", binding=b"one carrier"), config("bob", binding=b"another"))
    pair.run()
    assert not pair.initiator.of(ev.PeerIdentified)
    assert not pair.responder.of(ev.PeerIdentified)
    for binding in (b"one carrier", bytes(65535)):
        same = Pair(config("alice", binding=binding), config("bob", binding=binding))
        same.run()
        assert same.initiator.of(ev.LinkEstablished)


def forged(remote: Remote, payload: Callable[[bytes], bytes]) -> None:
    """Send, where this remote's identity is due, what a function makes of h."""
    remote.settle()
    if remote.initiator:
        remote.feed(remote.offer())
        remote.read_preamble()
        remote.read_message()
    else:
        offer = remote.read_preamble()
        remote.preamble = msg.encode_preamble(msg.ResponderPreamble(1, 1, ()))
        remote.start(offer)
        remote.read_message()
        remote.feed(remote.preamble)
    assert remote.noise is not None
    _, h = remote.noise.begin_message()
    message = remote.noise.finish_message(payload(h))
    remote.raw.clear()
    remote.feed(len(message).to_bytes(2, "big") + message)


def signed(remote: Remote, h: bytes, *, purpose: Purpose | None = None, response: bytes | None = None) -> bytes:
    due = Purpose.HANDSHAKE_INITIATOR if remote.initiator else Purpose.HANDSHAKE_RESPONDER
    preamble = remote.other_preamble if remote.initiator else remote.preamble
    content = h + hashlib.sha256(preamble if response is None else response).digest()
    return remote.identity.sign(purpose or due, content)


@pytest.mark.parametrize("make", BOTH)
def test_the_forger_of_these_tests_can_tell_the_truth(make: Callable[..., Remote]) -> None:
    remote = make()
    forged(remote, lambda h: remote.identity.public + signed(remote, h))
    assert remote.of(ev.PeerIdentified) == [ev.PeerIdentified(remote.identity.public)]


@pytest.mark.parametrize("make", BOTH)
def test_proofs_that_prove_nothing(make: Callable[..., Remote]) -> None:
    other = identity("somebody else").public
    swapped = {True: Purpose.HANDSHAKE_RESPONDER, False: Purpose.HANDSHAKE_INITIATOR}
    lies: list[Callable[[Remote, bytes], bytes]] = [
        lambda remote, h: b"",
        lambda remote, h: remote.identity.public + signed(remote, h)[:-1],
        lambda remote, h: remote.identity.public + signed(remote, h) + b"\x01",
        lambda remote, h: remote.identity.public + signed(remote, h) + b"\x02\0\x01\0",
        lambda remote, h: remote.identity.public + bytes(64),
        lambda remote, h: other + signed(remote, h),
        lambda remote, h: remote.identity.public + signed(remote, bytes(32)),
        lambda remote, h: remote.identity.public + signed(remote, h, response=b"another preamble"),
        lambda remote, h: remote.identity.public + signed(remote, h, purpose=swapped[remote.initiator]),
        lambda remote, h: remote.identity.public + signed(remote, h, purpose=Purpose.PEER_RECORD),
        # The identity of order 1 "verifies" R = identity, S = 0 for every message.
        lambda remote, h: b"\x01" + bytes(31) + b"\x01" + bytes(63),
        lambda remote, h: b"\x01" + bytes(30) + b"\x80" + b"\x01" + bytes(63),
    ]
    for lie in lies:
        remote = make()
        forged(remote, lambda h, lie=lie, remote=remote: lie(remote, h))
        silent(remote)
        assert remote.connection.identity is None


def test_an_initiator_says_no_more_to_an_unexpected_peer() -> None:
    remote = initiator(config(expected=identity("somebody else").public))
    remote.settle()
    flight = remote.answer()
    remote.feed(flight)
    assert silent(remote).code is CloseCode.NOT_ALLOWED
    assert remote.connection.identity == remote.identity.public


def test_a_responder_says_no_more_to_an_unexpected_peer() -> None:
    remote = responder(config(expected=identity("somebody else").public))
    remote.handshake()
    assert silent(remote).code is CloseCode.NOT_ALLOWED
    assert remote.connection.identity == remote.identity.public


@pytest.mark.parametrize("make", BOTH)
def test_the_expected_peer_is_met(make: Callable[..., Remote]) -> None:
    assert make(config(expected=identity("remote").public)).open().of(ev.LinkEstablished)


@pytest.mark.parametrize("make", BOTH)
def test_meeting_oneself(make: Callable[..., Remote]) -> None:
    remote = make(config("remote")).handshake()
    assert [type(frame) for frame in remote.frames] == [msg.Close]
    assert remote.close is not None
    assert (remote.close.code, remote.close.frame_type) == (CloseCode.SELF, 0xFF)
    assert remote.closed is not None
    assert remote.closed.code is CloseCode.SELF
    assert not remote.of(ev.PeerIdentified)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"taken"}, CloseCode.DUPLICATE),
        ({"banned"}, CloseCode.NOT_ALLOWED),
        ({"banned", "taken"}, CloseCode.NOT_ALLOWED),
    ],
)
def test_an_initiator_needs_no_second_link_and_none_to_the_banned(fields: set[str], code: CloseCode) -> None:
    remote = initiator(config(**{field: {identity("remote").public} for field in fields}))
    remote.settle()
    remote.feed(remote.answer())
    assert silent(remote).code is code


@pytest.mark.parametrize("make", BOTH)
def test_meeting_oneself_comes_before_bans_and_other_links(make: Callable[..., Remote]) -> None:
    own = {identity("remote").public}
    remote = make(config("remote", taken=own, banned=own)).handshake()
    assert [frame.code for frame in remote.heard(msg.Close)] == [CloseCode.SELF]


@pytest.mark.parametrize("make", BOTH)
def test_another_identity_than_the_expected_one_comes_before_all(make: Callable[..., Remote]) -> None:
    own = {identity("remote").public}
    remote = make(config("remote", taken=own, banned=own, expected=identity("somebody else").public))
    forged(remote, lambda h: remote.identity.public + signed(remote, h))
    assert silent(remote).code is CloseCode.NOT_ALLOWED
    assert remote.connection.identity == remote.identity.public


def test_a_responder_tells_the_banned() -> None:
    remote = responder(config(banned={identity("remote").public})).handshake()
    assert [type(frame) for frame in remote.frames] == [msg.Close]
    assert remote.close is not None
    assert remote.close.code == CloseCode.NOT_ALLOWED
    assert not remote.of(ev.PeerIdentified)


def test_a_responder_takes_a_second_link() -> None:
    assert responder(config(taken={identity("remote").public})).open().of(ev.LinkEstablished)


# --- configs that can not be -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"psk": bytes(31)}, "psk"),
        ({"expected": bytes(33)}, "expected"),
        ({"versions": ()}, "versions"),
        ({"versions": tuple(range(1, 17))}, "versions"),
        ({"versions": (1, 1)}, "versions"),
        ({"versions": (1, 0x0A0A)}, "versions"),
        ({"suites": ()}, "suites"),
        ({"suites": (Suite.XX_CHACHAPOLY,)}, "suites"),
        ({"suites": (Suite.XX_AESGCM, Suite.XXPSK0_AESGCM)}, "suites"),
        ({"suites": (Suite.XX_AESGCM,), "key_suite": Suite.XX_CHACHAPOLY}, "key_suite"),
        ({"psk": PSK, "key_suite": Suite.XX_AESGCM}, "key_suite"),
        ({"binding": bytes(65536)}, "binding"),
    ],
)
def test_a_config_that_can_not_be_names_the_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        config(**changes)


def test_as_many_versions_as_may_be() -> None:
    pair = Pair(config("alice", versions=tuple(range(1, 16)), grease=bytes(GREASE_SEED)), config("bob"))
    pair.run()
    assert len(offer_of(pair).versions) == 16
    assert pair.initiator.of(ev.LinkEstablished)


@pytest.mark.parametrize(
    "changes",
    [{"agent": "x" * 65}, {"agent": "\x1b[31m"}, {"record": b"no record"}, {"grease": b"short"}],
)
def test_what_hello_can_not_say_shows_at_the_start(changes: dict[str, object]) -> None:
    made: Config = config(**changes)
    with pytest.raises(ValueError, match=r"."):
        Connection(Role.RESPONDER, made, now=START, random=seeded("x"))


def test_no_secret_shows() -> None:
    made = config(psk=PSK)
    connection = Connection(Role.INITIATOR, made, now=START, random=seeded("x"))
    for shown in (repr(made), repr(connection), str(connection)):
        assert repr(PSK)[2:-1] not in shown
        assert PSK.hex() not in shown
        assert identity("alice").seed.hex() not in shown
        assert repr(identity("alice").seed)[2:-1] not in shown
