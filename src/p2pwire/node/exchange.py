"""Peer exchange on many links: what may be told to whom and when, and how much each link may bring in.

Peers that may be shared have numbers, and what a link was told in a topic is a Python integer with a bit per peer:
2 KiB at 16384 peers. So what is to be added is `members & ~told`, and what is to be withdrawn `told & ~members`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Final

import attrs

from p2pwire.connection.budget import TokenBucket
from p2pwire.connection.commands import SharePeers
from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.alarms import Alarms, Horizon, earliest
from p2pwire.node.dialrules import Window
from p2pwire.node.members import OWN_NUMBER, Member, Members
from p2pwire.node.peerbook import Origin, Outcome, PeerBook
from p2pwire.wire.messages import PeerRecord, SharedRecord
from p2pwire.wire.registry import (
    BOOK_TOTAL,
    MAX_PEERS_ADDED,
    MAX_PEERS_DROPPED,
    PEERS_ACCEPTED,
    PEERS_BURST,
    PEERS_INTERVAL,
    RECORDS_FLOOD_BURST,
    RECORDS_FLOOD_RATE,
    RECORDS_KEPT_BURST,
    RECORDS_KEPT_RATE,
    RECORDS_SENT_BURST,
    RECORDS_SENT_RATE,
    VOUCH_WINDOW,
    SharedRecordFlag,
)

_OWN: Final = 1 << OWN_NUMBER
"""The bit of one's own record, which may be told to everyone in every topic [PX-058]."""

_MARGIN: Final = 0.001
"""seconds by which a bucket is looked at late rather than early, so that rounding can not wake anyone twice."""


@attrs.frozen
class ExchangeLimits:
    """What a peer sends, what it takes, and how long it vouches. Each default is that of SPEC.md."""

    frames_burst: int = PEERS_BURST
    frames_interval: float = PEERS_INTERVAL
    frames_accepted: int = PEERS_ACCEPTED
    """PEERS per topic of a link within `frames_interval` above which it floods."""
    sent_burst: int = RECORDS_SENT_BURST
    sent_rate: float = RECORDS_SENT_RATE
    kept_burst: int = RECORDS_KEPT_BURST
    kept_rate: float = RECORDS_KEPT_RATE
    flood_burst: int = RECORDS_FLOOD_BURST
    flood_rate: float = RECORDS_FLOOD_RATE
    vouch_window: float = VOUCH_WINDOW
    members: int = BOOK_TOTAL
    """Peers shared at one time, over all topics."""


@attrs.define(eq=False)
class _Swarm:
    """The peers of one topic."""

    members: int = _OWN
    """A bit for each that may be shared now."""
    present: dict[bytes, int] = attrs.field(factory=dict)
    """identity -> links over which it is in the topic now."""
    recent: set[bytes] = attrs.field(factory=set)
    """Identities that are present, or were within the time for which they may be shared."""
    links: dict[ExchangeLink, None] = attrs.field(factory=dict)


@attrs.define(eq=False)
class _Share:
    """One opening of a topic on one link."""

    frames: TokenBucket
    received: Window
    pushes: bool
    asked: int = 0
    """Records that GET_PEERS asked for and that have not been sent."""
    told: int = 0
    """A bit for each whose present record was sent and not withdrawn."""


@attrs.define(eq=False)
class ExchangeLink:
    """One link's part in the exchange. Made by `Exchange.open_link`; its fields are the exchange's business."""

    origin: Origin
    dialled: Endpoint | None
    own_sequence: int
    """Of the own record that the other side has; -1 if it has none."""
    sent: TokenBucket
    kept: TokenBucket
    flood: TokenBucket
    shares: dict[bytes, _Share] = attrs.field(factory=dict)
    """Topics that are open, in turn."""

    @property
    def reach(self) -> Scope:
        """Of which scope an address may be for the other side to dial it, as far as can be told from this side."""
        return max(self.origin.scope, Scope.GLOBAL)

    def admit(self, now: float) -> Outcome | None:
        """One more record passed the checks before the budget [PX-046, PX-047]."""
        if not self.flood.take(1, now):
            return Outcome.FLOOD
        return None if self.kept.take(1, now) else Outcome.OVER_BUDGET


@attrs.frozen
class Received:
    """What came of a PEERS frame."""

    flood: bool
    """Close the link with FLOOD."""
    learned: tuple[bytes, ...] = ()
    """Identities whose record was stored or renewed."""


class Exchange:
    """All links' exchange. Times are monotonic seconds except `unix_time`."""

    def __init__(
        self,
        book: PeerBook,
        *,
        random: Callable[[int], bytes],
        limits: ExchangeLimits | None = None,
        horizon: Horizon | None = None,
    ) -> None:
        self._book = book
        self._horizon = horizon or Horizon()
        self._random = random
        self._limits = ExchangeLimits() if limits is None else limits
        self._members = Members(self._limits.members)
        self._swarms: dict[bytes, _Swarm] = {}
        self._links: dict[ExchangeLink, None] = {}
        self._lapses: Alarms[tuple[bytes, bytes]] = Alarms(self._horizon)
        self._deadlines: Alarms[tuple[ExchangeLink, bytes]] = Alarms(self._horizon)
        self._stale: dict[tuple[ExchangeLink, bytes], None] = {}
        """Topics of links whose deadline may be another one."""
        self._ready: dict[ExchangeLink, dict[bytes, None]] = {}
        """Topics whose deadline has come, in turn."""

    # --- Links and topics -------------------------------------------------------------------------------------------

    def open_link(self, origin: Origin, now: float, *, dialled: Endpoint | None = None) -> ExchangeLink:
        """A link is established; own HELLO carried the record given to `set_own_record`, if any."""
        limits = self._limits
        link = ExchangeLink(
            origin,
            dialled,
            self._members.own.sequence,
            TokenBucket(limits.sent_rate, limits.sent_burst, now),
            TokenBucket(limits.kept_rate, limits.kept_burst, now),
            TokenBucket(limits.flood_rate, limits.flood_burst, now),
        )
        self._links[link] = None
        return link

    def close_link(self, link: ExchangeLink, now: float) -> None:
        """The link is over; its peer may be shared for a while yet."""
        for topic in list(link.shares):
            self._leave(link, topic, now + self._limits.vouch_window)
        self._links.pop(link, None)

    def open_topic(self, link: ExchangeLink, topic: bytes, now: float, *, pushes: bool) -> None:
        """The topic is open on the link; `pushes`: the other side wants PEERS unasked."""
        if topic in link.shares:
            self.set_pushes(link, topic, pushes)
            return
        frames = TokenBucket(1 / self._limits.frames_interval, self._limits.frames_burst, now)
        received = Window(self._limits.frames_accepted, self._limits.frames_interval)
        told = _OWN if link.own_sequence == self._members.own.sequence else 0
        link.shares[topic] = _Share(frames, received, pushes, told=told)
        swarm = self._swarms.setdefault(topic, _Swarm())
        swarm.links[link] = None
        self._review(link, topic)
        identity = link.origin.identity
        self._book.vouch(identity, link.origin, topic)  # that it is in the swarm is the peer's own word
        swarm.present[identity] = swarm.present.get(identity, 0) + 1
        self._enter(identity, topic, swarm, link.dialled)

    def close_topic(self, link: ExchangeLink, topic: bytes, now: float) -> None:
        """One side left the topic, so the peer is not shared in it any more."""
        if topic in link.shares:
            self._leave(link, topic, now)
            self._book.withdraw(link.origin.identity, link.origin.identity, topic)

    def set_pushes(self, link: ExchangeLink, topic: bytes, pushes: bool) -> None:
        """The other side changed its mind on PEERS unasked."""
        share = link.shares.get(topic)
        if share is not None:
            share.pushes = pushes
            self._review(link, topic)

    def ask(self, link: ExchangeLink, topic: bytes, count: int) -> None:
        """GET_PEERS came: `count` records at most, as soon as the buckets allow it, if there are any now [PX-055].

        An earlier question that waits is forgotten [PX-056]. Where there is nobody to tell of, nothing waits: what
        comes later would be unasked [PX-043].
        """
        share = link.shares.get(topic)
        if share is not None:
            added, _ = self._news(link, topic, share)
            share.asked = count if added else 0
            self._review(link, topic)

    def set_own_record(self, record: bytes) -> None:
        """One's own signed record, made or renewed: told to everyone who has an older one or none."""
        self._members.renew(self._members.own, record)
        self._untell(self._members.own, self._swarms)

    def refresh(self, identity: bytes) -> None:
        """The book has changed: a newer record of a shared peer is told again."""
        member = self._members.get(identity)
        known = self._book.get(identity)
        if member is None or known is None or known.sequence <= member.sequence:
            return
        self._members.renew(member, known.record)
        for topic in member.topics:
            self._swarms[topic].members |= member.bit
        self._untell(member, member.topics)

    # --- Who may be shared ------------------------------------------------------------------------------------------

    def _enter(self, identity: bytes, topic: bytes, swarm: _Swarm, dialled: Endpoint | None) -> None:
        """The peer is in the topic on an authenticated link."""
        self._lapses.cancel((topic, identity))
        swarm.recent.add(identity)
        member = self._members.enter(identity, self._tellings)
        if member is None:
            return
        member.topics.add(topic)
        if dialled is not None:
            member.dialled = dialled
        self.refresh(identity)
        if member.record and not swarm.members & member.bit:
            swarm.members |= member.bit
            self._changed(topic, swarm)

    def _leave(self, link: ExchangeLink, topic: bytes, until: float) -> None:
        """The link is in the topic no longer; its peer may be shared `until` then."""
        swarm, identity = self._swarms[topic], link.origin.identity
        del link.shares[topic], swarm.links[link]
        self._stale.pop((link, topic), None)
        self._deadlines.cancel((link, topic))
        self._unready(link, topic)
        swarm.present[identity] -= 1
        if not swarm.present[identity]:
            del swarm.present[identity]
            self._lapses.set((topic, identity), until)

    def _lapse(self, topic: bytes, identity: bytes) -> None:
        """The time for which the peer could be shared in the topic is over."""
        swarm = self._swarms[topic]
        swarm.recent.discard(identity)
        member = self._members.get(identity)
        if member is not None and topic in member.topics:
            self._unshare(member, topic)
            member.topics.discard(topic)
            if not member.topics:
                self._members.retire(member)
        if not swarm.recent:
            del self._swarms[topic]

    def _unshare(self, member: Member, topic: bytes) -> None:
        swarm = self._swarms[topic]
        if swarm.members & member.bit:
            swarm.members ^= member.bit
            self._changed(topic, swarm)

    def _untell(self, member: Member, topics: Iterable[bytes]) -> None:
        """The record is a new one: nobody was told it."""
        mask = ~member.bit
        for topic in topics:
            swarm = self._swarms[topic]
            for link in swarm.links:
                link.shares[topic].told &= mask
            self._changed(topic, swarm)

    def _tellings(self) -> Iterable[_Share]:
        return (share for link in self._links for share in link.shares.values())

    # --- Sending ----------------------------------------------------------------------------------------------------

    def next_peers(self, link: ExchangeLink, now: float, unix_time: float) -> SharePeers | None:
        """What to send on the link now; None if nothing. Ask until None, whenever `due` names the link and PEERS may be
        produced on it; topics take turns."""
        self._collect(now)
        link.sent.take(0, now)
        for topic in list(self._ready.get(link, ())):
            self._unready(link, topic)
            self._review(link, topic)  # it comes to the end of the turn
            share = link.shares[topic]
            if self._ready_at(link, topic, share, now) > now:
                continue
            command = self._compose(link, topic, share, now, unix_time)
            if command is not None:
                return command
        return None

    def _news(self, link: ExchangeLink, topic: bytes, share: _Share) -> tuple[int, int]:
        """Bits of those to tell of, and of those to withdraw. Never the receiver itself."""
        members = self._swarms[topic].members
        added, dropped = members & ~share.told & self._members.dialable[link.reach], share.told & ~members & ~_OWN
        if not self._members.own.record:
            added &= ~_OWN
        receiver = self._members.get(link.origin.identity)
        if receiver is not None:
            added &= ~receiver.bit  # [PX-041]
        return added, dropped

    def _ready_at(self, link: ExchangeLink, topic: bytes, share: _Share, now: float) -> float:
        """When the next PEERS of the topic may go; infinity if there is nothing to tell.

        Withdrawals alone wait until the bucket is full: the last frame in it is for newcomers.
        """
        if not (share.pushes or share.asked):
            return inf
        added, dropped = self._news(link, topic, share)
        if added:
            return max(_refilled_at(share.frames, 1, now), _refilled_at(link.sent, 1, now))
        return _refilled_at(share.frames, share.frames.burst, now) if dropped and share.pushes else inf

    def _compose(
        self, link: ExchangeLink, topic: bytes, share: _Share, now: float, unix_time: float
    ) -> SharePeers | None:
        added, dropped = self._news(link, topic, share)
        room = min(MAX_PEERS_ADDED, int(link.sent.tokens), MAX_PEERS_ADDED if share.pushes else share.asked)
        records: list[SharedRecord] = []
        while added and len(records) < room:
            number = self._draw(added)
            added ^= 1 << number
            member = self._members.at(number)
            if member.expires < unix_time:
                self._forget_record(member)
                continue
            share.told |= 1 << number
            flags = SharedRecordFlag.REACHABLE if member.reachable else SharedRecordFlag(0)
            records.append(SharedRecord(flags, member.record))
        names: list[bytes] = []
        while dropped and len(names) < MAX_PEERS_DROPPED:
            bit = dropped & -dropped
            dropped ^= bit
            share.told ^= bit
            names.append(self._members.at(bit.bit_length() - 1).identity)
        if not records and not names:
            return None
        share.frames.take(1, now)
        link.sent.take(len(records), now)
        if records:
            share.asked = 0
        if share.told & _OWN and link.own_sequence != self._members.own.sequence:
            self._told_own(link)
        return SharePeers(topic, tuple(records), tuple(names))

    def _draw(self, bits: int) -> int:
        """One of some numbers: the first from a random place on, so that not everyone hears of the same few."""
        place = int.from_bytes(self._random(4), "big") % bits.bit_length()
        rest = bits >> place
        return place + (rest & -rest).bit_length() - 1

    def _told_own(self, link: ExchangeLink) -> None:
        """One's own record went to the link: once is enough for all topics."""
        link.own_sequence = self._members.own.sequence
        for share in link.shares.values():
            share.told |= _OWN

    def _forget_record(self, member: Member) -> None:
        """The record is past its time; a newer one may come."""
        member.record = b""
        for topic in member.topics:
            self._unshare(member, topic)

    # --- Receiving --------------------------------------------------------------------------------------------------

    def receive(
        self,
        link: ExchangeLink,
        topic: bytes,
        added: tuple[SharedRecord, ...],
        dropped: tuple[bytes, ...],
        now: float,
        unix_time: float,
    ) -> Received:
        """A PEERS frame of an open topic came: checks its records and puts them into the book."""
        share = link.shares.get(topic)
        if share is None:
            return Received(flood=False)  # the topic was left, and the other side does not know it yet
        if not share.received.enter(now):
            return Received(flood=True)
        learned: list[bytes] = []
        for item in added:
            outcome = self._book.offer(
                item.record,
                link.origin,
                unix_time,
                topic=topic,
                reachable=bool(item.flags & SharedRecordFlag.REACHABLE),
                admit=lambda: link.admit(now),
            )
            if outcome is Outcome.FLOOD:
                return Received(flood=True, learned=tuple(learned))
            if outcome in (Outcome.STORED, Outcome.RENEWED):
                learned.append(PeerRecord.decode(item.record).identity)
        for identity in dropped:
            self._book.withdraw(identity, link.origin.identity, topic)
        return Received(flood=False, learned=tuple(learned))

    # --- Time -------------------------------------------------------------------------------------------------------

    def due(self, now: float) -> list[ExchangeLink]:
        """The links on which `next_peers` may have something; each is named until `next_peers` is asked, which may
        wait until PEERS may be produced on it."""
        for topic, identity in self._lapses.due(now):
            self._lapse(topic, identity)
        self._collect(now)
        return list(self._ready)

    def next_timeout(self, now: float) -> float | None:
        """When `due` has something new; None: not before something else happens."""
        self._settle(now)
        return earliest(self._lapses.next(), self._deadlines.next())

    def _collect(self, now: float) -> None:
        """Make ready what is due. Whether a bucket was emptied meanwhile is looked at when it is its turn."""
        self._settle(now)
        for link, topic in self._deadlines.due(now):
            self._ready.setdefault(link, {})[topic] = None

    def _settle(self, now: float) -> None:
        if not self._stale:
            return
        stale, self._stale = self._stale, {}
        for link, topic in stale:
            when = self._ready_at(link, topic, link.shares[topic], now)
            if when == inf:
                self._deadlines.cancel((link, topic))
                self._unready(link, topic)
            else:
                self._deadlines.set((link, topic), when)

    def _changed(self, topic: bytes, swarm: _Swarm) -> None:
        """Others may be shared in the topic now."""
        for link in swarm.links:
            self._review(link, topic)

    def _review(self, link: ExchangeLink, topic: bytes) -> None:
        """What is to be told on the link may be due at another time."""
        self._stale[link, topic] = None
        self._horizon.near(-inf)

    def _unready(self, link: ExchangeLink, topic: bytes) -> None:
        ready = self._ready.get(link)
        if ready is not None and topic in ready:
            del ready[topic]
            if not ready:
                del self._ready[link]


def _refilled_at(bucket: TokenBucket, tokens: float, now: float) -> float:
    """When the bucket has so many tokens: `now` if it has them already."""
    bucket.take(0, now)
    return now if bucket.tokens >= tokens else now + (tokens - bucket.tokens) / bucket.rate + _MARGIN
