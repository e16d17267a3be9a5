"""Faults of the reference in peer exchange: records, the book of them, whom it dials, whom it tells of whom."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import attrs
from p2pwire.connection import incoming
from p2pwire.node import exchange, members, ownrecord, peerbook
from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.peerbook import Outcome, PeerBook
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import BLOCKED_PORTS, FrameType

from faults import mutant
from faults_dialling import exchange_limits

# --- which addresses are dialled ---


def _dialable(rule: Callable[[Endpoint, Scope], bool]) -> None:
    Endpoint.dialable = rule


def _port_fine(endpoint: Endpoint) -> bool:
    return bool(endpoint.port) and endpoint.port not in BLOCKED_PORTS


@mutant
def never_scope_dialled() -> None:
    _dialable(lambda self, reach: _port_fine(self) and self.scope <= max(reach, Scope.GLOBAL))


@mutant
def blocked_ports_dialled() -> None:
    _dialable(lambda self, reach: Scope.NEVER < self.scope <= max(reach, Scope.GLOBAL))


@mutant
def loopback_dialled() -> None:
    right = Endpoint.dialable
    _dialable(lambda self, reach: self.scope is Scope.LOOPBACK or right(self, reach))


@mutant
def private_dialled() -> None:
    right = Endpoint.dialable
    _dialable(lambda self, reach: self.scope is Scope.PRIVATE or right(self, reach))


@mutant
def near_addresses_never_dialled() -> None:
    _dialable(lambda self, reach: _port_fine(self) and self.scope is Scope.GLOBAL)


@mutant
def unknown_type_dialled() -> None:
    right = Endpoint.from_address

    def any_type(address: Any) -> Endpoint | None:
        return right(msg.Address(1, address.value) if len(address.value) == 6 else address)

    Endpoint.from_address = any_type


@mutant
def mapped_addresses_dialled() -> None:
    right = Endpoint.from_address

    def mapped(address: Any) -> Endpoint | None:
        if len(address.value) == 18:
            found = Endpoint(bytes(address.value[:16]), int.from_bytes(address.value[16:], "big"))
            if len(found.ip) == 4:
                return Endpoint(bytes([11]) + found.ip[1:], found.port)
        return right(address)

    Endpoint.from_address = mapped


# --- which records count ---


@mutant
def record_signature_unchecked() -> None:
    PeerBook.__init__.__kwdefaults__["verify"] = lambda record, raw: True


@mutant
def bad_record_drops_its_frame() -> None:
    receive = exchange.Exchange.receive

    def strict(self: Any, link: Any, topic: bytes, added: Any, dropped: Any, now: float, unix_time: float) -> Any:
        for item in added:
            found = self._book._check(item.record, unix_time)
            if isinstance(found, Outcome) or not self._book._verify(found, item.record):
                added = ()
        return receive(self, link, topic, added, dropped, now, unix_time)

    exchange.Exchange.receive = strict


@mutant
def bad_record_closes_the_link() -> None:
    receive = exchange.Exchange.receive

    def strict(self: Any, link: Any, topic: bytes, added: Any, dropped: Any, now: float, unix_time: float) -> Any:
        if any(isinstance(self._book._check(item.record, unix_time), Outcome) for item in added):
            return exchange.Received(flood=True)
        return receive(self, link, topic, added, dropped, now, unix_time)

    exchange.Exchange.receive = strict


def _read_anything(data: Any) -> msg.PeerRecord:
    """A record by its sizes alone."""
    raw = bytes(data)
    at, found = 47, []
    for _ in range(raw[46]):
        found.append(msg.Address(raw[at], raw[at + 2 : at + 2 + raw[at + 1]]))
        at += 2 + raw[at + 1]
    sequence, ttl = int.from_bytes(raw[33:41], "big"), int.from_bytes(raw[41:45], "big")
    return msg.PeerRecord(1, raw[1:33], sequence, ttl, raw[45], tuple(found), raw[at : at + 64])


def _lenient(when: Callable[[msg.DecodeError], bool]) -> None:
    right = msg.PeerRecord.decode

    def decode(data: Any) -> Any:
        try:
            return right(data)
        except msg.DecodeError as error:
            if when(error):
                return _read_anything(data)
            raise

    msg.PeerRecord.decode = decode


@mutant
def record_version_unchecked() -> None:
    _lenient(lambda error: error.field == "version")


@mutant
def record_ttl_unchecked() -> None:
    _lenient(lambda error: error.field == "ttl")


@mutant
def record_address_length_unchecked() -> None:
    _lenient(lambda error: "value" in error.field)


@mutant
def record_clock_too_patient() -> None:
    peerbook.CLOCK_SKEW = 700


@mutant
def own_record_of_others_taken() -> None:
    begin = PeerBook.__init__
    defaults = begin.__kwdefaults__

    def init(self: Any, own: bytes, **given: Any) -> None:
        begin(self, b"", **{**defaults, **given})

    PeerBook.__init__ = init


@mutant
def small_order_record_taken() -> None:
    peerbook.is_acceptable_key = lambda key: True
    PeerBook.__init__.__kwdefaults__["verify"] = lambda record, raw: (
        not peerbook_right(record.identity) or peerbook.verify_record(record, raw)
    )


def peerbook_right(key: bytes) -> bool:
    """Whether an identity is acceptable."""
    from p2pwire.wire.keys import is_acceptable_key

    return is_acceptable_key(key)


@mutant
def older_record_taken() -> None:
    offer = PeerBook.offer

    def lenient(self: Any, raw: Any, *given: Any, **named: Any) -> Outcome:
        known = self.get(bytes(raw[1:33]))
        if known is not None and bytes(raw) != known.record:
            known.sequence = -1
        return offer(self, raw, *given, **named)

    PeerBook.offer = lenient


@mutant
def newer_record_ignored() -> None:
    offer = PeerBook.offer

    def stubborn(self: Any, raw: Any, *given: Any, **named: Any) -> Outcome:
        known = self.get(bytes(raw[1:33]))
        return Outcome.OLD if known is not None and bytes(raw) != known.record else offer(self, raw, *given, **named)

    PeerBook.offer = stubborn


@mutant
def expired_record_kept() -> None:
    PeerBook.expire = lambda self, unix_time: None


@mutant
def expired_record_told() -> None:
    renew = members.Members.renew

    def for_ever(self: Any, member: Any, record: bytes) -> None:
        renew(self, member, record)
        member.expires = inf

    members.Members.renew = for_ever
    PeerBook.expire = lambda self, unix_time: None


@mutant
def empty_peers_accepted() -> None:
    decode = msg.decode_frame
    msg.decode_frame = lambda kind, body: (
        msg.Pad(b"") if kind == FrameType.PEERS and bytes(body[2:]) == b"\0\0" else decode(kind, body)
    )
    handle = incoming._HANDLERS[FrameType.PEERS]
    incoming._HANDLERS[FrameType.PEERS] = lambda session, frame: isinstance(frame, msg.Pad) or handle(session, frame)


# --- its own record ---


def _signs(change: Callable[[dict[str, Any]], None]) -> None:
    sign = ownrecord.sign_record

    def changed(identity: Any, **given: Any) -> bytes:
        change(given)
        return sign(identity, **given)

    ownrecord.sign_record = changed


@mutant
def own_record_unsigned() -> None:
    sign = ownrecord.sign_record
    ownrecord.sign_record = lambda identity, **given: sign(identity, **given)[:-64] + bytes(64)


@mutant
def own_seq_constant() -> None:
    _signs(lambda given: given.update(sequence=1_800_000_000, ttl=86400))


@mutant
def host_name_in_own_record() -> None:
    _signs(lambda given: given.update(addresses=[*given["addresses"], msg.Address(77, b"example.org:7001")]))


@mutant
def foreign_address_in_own_record() -> None:
    _signs(lambda given: given.update(addresses=[*given["addresses"], msg.Address(1, bytes([9, 9, 9, 9, 1, 1]))]))


# --- whom it tells of whom ---


def _news(change: Callable[[Any, Any, bytes, int], int]) -> None:
    news = exchange.Exchange._news

    def changed(self: Any, link: Any, topic: bytes, share: Any) -> tuple[int, int]:
        added, dropped = news(self, link, topic, share)
        return change(self, link, topic, added) & ~share.told, dropped

    exchange.Exchange._news = changed


@mutant
def peers_of_other_topics_told() -> None:
    def all_swarms(self: Any, link: Any, topic: bytes, added: int) -> int:
        receiver = self._members.get(link.origin.identity)
        for swarm in self._swarms.values():
            added |= swarm.members & ~1
        return added & ~(receiver.bit if receiver is not None else 0)

    _news(all_swarms)


@mutant
def receivers_own_record_told() -> None:
    _news(lambda self, link, topic, added: added | self._swarms[topic].members & ~1)


@mutant
def peers_told_for_ever() -> None:
    exchange_limits(vouch_window=1e6)


@mutant
def hearsay_told() -> None:
    receive = exchange.Exchange.receive

    def believing(self: Any, link: Any, topic: bytes, added: Any, *given: Any) -> Any:
        found = receive(self, link, topic, added, *given)
        for identity in found.learned:
            self._enter(identity, topic, self._swarms[topic], None)
        return found

    exchange.Exchange.receive = believing


@mutant
def everyone_reachable() -> None:
    members.Member.reachable = property(lambda self: True)


@mutant
def dialled_anywhere_is_reachable() -> None:
    members.Member.reachable = property(lambda self: self.dialled is not None)


@mutant
def peers_unasked_to_all() -> None:
    open_topic = exchange.Exchange.open_topic
    exchange.Exchange.open_topic = lambda self, link, topic, now, *, pushes: open_topic(
        self, link, topic, now, pushes=True
    )


@mutant
def peers_too_often() -> None:
    exchange_limits(frames_burst=100)


@mutant
def too_many_records_told() -> None:
    exchange_limits(sent_burst=10000)


@mutant
def empty_peers_sent() -> None:
    handle = incoming._HANDLERS[FrameType.GET_PEERS]

    def eager(session: Any, frame: Any) -> bool:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None:
            session.outbox.add(bytes([FrameType.PEERS, 0, 4]) + topic.local.to_bytes(2, "big") + b"\0\0")
        return bool(handle(session, frame))

    incoming._HANDLERS[FrameType.GET_PEERS] = eager


@mutant
def peers_told_again() -> None:
    compose = exchange.Exchange._compose

    def forgetful(self: Any, link: Any, topic: bytes, share: Any, *given: Any) -> Any:
        found = compose(self, link, topic, share, *given)
        share.told = 0
        return found

    exchange.Exchange._compose = forgetful


def _asks(change: Callable[[Any, int], int]) -> None:
    ask = exchange.Exchange.ask

    def changed(self: Any, link: Any, topic: bytes, count: int) -> None:
        share = link.shares.get(topic)
        if share is not None and (wanted := change(share, count)) >= 0:
            ask(self, link, topic, wanted)

    exchange.Exchange.ask = changed


@mutant
def get_peers_unanswered() -> None:
    _asks(lambda share, count: -1)


@mutant
def get_peers_max_ignored() -> None:
    _asks(lambda share, count: 32)


@mutant
def first_get_peers_answered() -> None:
    _asks(lambda share, count: -1 if share.asked else count)


@mutant
def undialable_peers_told() -> None:
    renew = members.Members.renew

    def any_reach(self: Any, member: Any, record: bytes) -> None:
        renew(self, member, record)
        for reach in self.dialable:
            self.dialable[reach] |= member.bit

    members.Members.renew = any_reach


@mutant
def relayed_peers_not_told() -> None:
    members._RELAYED = frozenset()


@mutant
def records_told_without_unknown_addresses() -> None:
    renew = members.Members.renew

    def tidy(self: Any, member: Any, record: bytes) -> None:
        read = msg.PeerRecord.decode(record)
        known = tuple(address for address in read.addresses if address.type <= 5)
        renew(self, member, attrs.evolve(read, addresses=known).encode())

    members.Members.renew = tidy
