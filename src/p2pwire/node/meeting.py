"""Meeting peers: whom to dial, which links stay, what is told of whom.

Owns the peer book, the exchange, the dialer, the bans and one's own record; changes links' `exchange`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs

from p2pwire.connection.commands import CloseLink
from p2pwire.connection.events import Closed, PeersReceived
from p2pwire.connection.grease import choose
from p2pwire.crypto.identity import Identity
from p2pwire.crypto.record import sign_record
from p2pwire.node.actions import Dial
from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.bans import Bans
from p2pwire.node.core import Core
from p2pwire.node.dialer import Anchor, Dialer, DialFailure, DialLimits
from p2pwire.node.dialqueue import DialTarget
from p2pwire.node.events import LinkFailed, PeerBanned, PeerLearned
from p2pwire.node.exchange import Exchange, ExchangeLink
from p2pwire.node.link import Attempt, Link
from p2pwire.node.peerbook import Origin, PeerBook
from p2pwire.wire.messages import Address
from p2pwire.wire.registry import HALF_OPEN_PER_GROUP, MAX_ADDRESSES, CloseCode

RECORD_TTL: Final = 7200
"""seconds that an own record counts: a peer that is gone is forgotten within hours."""

RECORD_RENEWAL: Final = 3600.0
"""seconds after which the own record is signed anew."""

_WILDCARDS: Final = frozenset({bytes(4), bytes(16)})


@attrs.frozen
class Banned:
    """The identities that a link to one place may not have, as a connection asks for them."""

    meeting: Meeting
    remote: Endpoint | None
    now: Callable[[], float]

    def __contains__(self, identity: object) -> bool:
        return isinstance(identity, bytes) and self.meeting.bans.refuses(identity, self.remote, self.now())


class Meeting:
    """How a node comes by its links."""

    def __init__(self, core: Core, identity: Identity, limits: DialLimits, max_inbound: int) -> None:
        self._core = core
        self._identity = identity
        self._max_inbound = max_inbound
        self.bans = Bans()
        self.book = PeerBook(identity.public, random=core.random)
        self.exchange = Exchange(self.book, random=core.random)
        self.dialer = Dialer(self.book, self.bans, random=core.random, limits=limits)
        self.taken: dict[bytes, int] = {}
        """identity -> links that are past their handshake [ID-022]."""
        self.record: bytes | None = None
        """Own signed record; None while this peer does not listen."""
        self._listening: tuple[Endpoint, ...] = ()
        self._interfaces: dict[bytes, None] = {}
        self._sequence = 0
        self._renew_at = float("inf")
        self._attempts: dict[int, Attempt] = {}
        self._next_attempt = 0
        self._by_exchange: dict[ExchangeLink, Link] = {}

    # --- own record ---

    def listen(self, endpoints: Sequence[Endpoint], now: float, unix_time: float) -> None:
        """This peer can be reached at these addresses; a wildcard stands for those that links turn out to have."""
        self._listening = tuple(endpoints)
        for endpoint in endpoints:
            self.dialer.add_own(endpoint)
        self._sign(now, unix_time)

    def saw_interface(self, local: Endpoint | None, now: float, unix_time: float) -> None:
        """A link's own end has this address."""
        if local is None or local.ip in self._interfaces:
            return
        self._interfaces[local.ip] = None
        if any(endpoint.ip in _WILDCARDS for endpoint in self._listening):
            self._sign(now, unix_time)

    def _addresses(self) -> list[Address]:
        found: dict[Endpoint, None] = {}
        for endpoint in self._listening:
            if endpoint.ip not in _WILDCARDS:
                found[endpoint] = None
                continue
            for ip in self._interfaces:
                # A wildcard of IPv6 takes IPv4 too where the adapter listens on both.
                if len(ip) == len(endpoint.ip):
                    found[Endpoint(ip, endpoint.port)] = None
        dialable = [endpoint for endpoint in found if endpoint.scope is not Scope.NEVER]
        for endpoint in dialable:
            self.dialer.add_own(endpoint)
        return [endpoint.to_address() for endpoint in dialable[:MAX_ADDRESSES]]

    def _sign(self, now: float, unix_time: float) -> None:
        if not self._listening:
            return
        self._sequence = max(self._sequence + 1, int(unix_time))
        self.record = sign_record(
            self._identity, sequence=self._sequence, ttl=RECORD_TTL, flags=0, addresses=self._addresses()
        )
        self._renew_at = now + RECORD_RENEWAL
        self.exchange.set_own_record(self.record)

    # --- dialling ---

    def dial(self, now: float) -> None:
        """Begin the dials that are due."""
        while (target := self.dialer.next(now)) is not None:
            self._begin(Attempt(target, choose(self._core.random)))

    def _begin(self, attempt: Attempt) -> None:
        self._next_attempt += 1
        self._attempts[self._next_attempt] = attempt
        self._core.actions.append(Dial(self._next_attempt, attempt.target.endpoint))

    def dialled(self, number: int) -> Attempt:
        """The attempt that got its carrier. Raises `ValueError` for an unknown one."""
        attempt = self._attempts.pop(number, None)
        if attempt is None:
            raise ValueError(f"dial {number} is not in progress")
        return attempt

    def failed(self, number: int, reason: str, now: float) -> None:
        """No carrier could be opened."""
        attempt = self.dialled(number)
        self.dialer.failed(attempt.target, DialFailure.UNREACHABLE, now)
        self._core.events.append(LinkFailed(attempt.target.endpoint, reason))

    def retry(self, link: Link, now: float) -> bool:
        """Whether one further attempt is made with the suite that the responder wants [VN-054] [VN-056]."""
        attempt = link.attempt
        if attempt is None or link.wanted_suite is None or attempt.suite is not None:
            return False
        self._begin(Attempt(attempt.target, attempt.grease, link.wanted_suite))
        return True

    # --- links ---

    def admits(self, remote: Endpoint | None, now: float) -> bool:
        """Whether one more inbound carrier is taken, perhaps in place of another [HS-042] [HS-043]."""
        inbound = [link for link in self._core.links.values() if not link.outbound and not link.over]
        if remote is None:
            return len(inbound) < self._max_inbound
        if self.bans.ip_until(remote.ip) > now:
            return False
        if remote.scope is not Scope.LOOPBACK:
            group = remote.handshake_group
            half_open = sum(1 for link in inbound if not link.identity and link.handshake_group == group)
            if half_open >= HALF_OPEN_PER_GROUP:
                return False
        if len(inbound) < self._max_inbound:
            return True
        return self._evict(inbound, remote)

    def _evict(self, inbound: list[Link], remote: Endpoint) -> bool:
        """Make room: from the largest group, its least useful link; not for one more of that group."""
        groups: dict[bytes, list[Link]] = {}
        for link in inbound:
            groups.setdefault(link.handshake_group, []).append(link)
        crowd = max(groups.values(), key=len)
        if len(groups.get(remote.handshake_group, ())) + 1 >= len(crowd):
            crowd = [link for link in inbound if link.useless]
            if not crowd:
                return False
        worst = min(crowd, key=lambda link: (not link.useless, link.bytes_received + link.bytes_sent, -link.id))
        worst.connection.send(CloseLink(CloseCode.BUSY, "the room is needed"))
        self._core.unsettle(worst)
        return True

    def take(self, link: Link) -> None:
        """The link counts against further links to its identity."""
        if not link.counted:
            link.counted = True
            self.taken[link.identity] = self.taken.get(link.identity, 0) + 1

    def _release(self, link: Link) -> None:
        if link.counted:
            link.counted = False
            self.taken[link.identity] -= 1
            if not self.taken[link.identity]:
                del self.taken[link.identity]

    def others(self, link: Link) -> list[Link]:
        """Other established links to the same identity."""
        return [
            other
            for other in self._core.links.values()
            if other is not link and other.established and other.identity == link.identity
        ]

    def replace_older(self, link: Link) -> None:
        """Responder, message 3 accepted: a peer that came back replaces the link that it lost [ID-020]."""
        for other in self.others(link):
            if other.established_at < link.offered_at:
                self._close_duplicate(other)

    def settle_duplicates(self, link: Link) -> None:
        """HELLO has come: of two links that crossed, the one whose initiator has the lower identity stays [ID-021]."""
        for other in self.others(link):
            if other.outbound is link.outbound:
                if not link.outbound:
                    # The initiator lost the older one, or it would not have dialled [ID-024].
                    self._close_duplicate(min(link, other, key=lambda one: one.offered_at))
                continue
            ours, theirs = self._identity.public, link.identity
            outbound_goes = ours > theirs
            self._close_duplicate(link if link.outbound is outbound_goes else other)

    def _close_duplicate(self, link: Link) -> None:
        if not link.over:
            link.connection.send(CloseLink(CloseCode.DUPLICATE, "another link to the same peer stays"))
            self._core.unsettle(link)

    def established(self, link: Link, record: bytes | None, now: float, unix_time: float) -> None:
        """HELLO has come."""
        origin = Origin.of(link.identity, link.remote)
        link.exchange = self.exchange.open_link(origin, now, dialled=link.remote if link.outbound else None)
        self._by_exchange[link.exchange] = link
        if link.attempt is not None:
            link.reported = True
            for target in self.dialer.succeeded(link.attempt.target, link.identity, now):
                self._hang_up(target)
        else:
            link.reported = True
            self.dialer.accepted(link.identity, now)
        if record is not None:
            self.book.offer(record, origin, unix_time, topic=None)
            self.note_changes(now)

    def _hang_up(self, target: DialTarget) -> None:
        for link in self._core.links.values():
            if link.attempt is not None and link.attempt.target is target and not link.over:
                link.connection.send(CloseLink(CloseCode.NONE, "the slot goes to a peer of another network"))
                self._core.unsettle(link)

    def closed(self, link: Link, event: Closed, now: float) -> None:
        """A link is over."""
        self._release(link)
        if event.code is CloseCode.BAD_DATA and not event.by_peer and link.identity:
            self.bans.add(link.identity, link.remote, now, dialled=link.outbound)
            self._core.events.append(PeerBanned(link.identity, event.reason))
        if link.exchange is not None:
            self.exchange.close_link(link.exchange, now)
            del self._by_exchange[link.exchange]
            link.exchange = None
        target = None if link.attempt is None else link.attempt.target
        if link.reported:
            reconnect = event.code not in (CloseCode.DUPLICATE, CloseCode.SELF)
            self.dialer.closed(link.identity, now, target=target, reconnect=reconnect)
        elif target is not None and not self.retry(link, now):
            self.dialer.failed(target, _failure(link, event), now, identity=link.connection.identity)
            self._core.events.append(LinkFailed(link.remote, event.reason))

    # --- exchange ---

    def received(self, link: Link, event: PeersReceived, now: float, unix_time: float) -> None:
        """PEERS came."""
        if link.exchange is None:
            return
        result = self.exchange.receive(link.exchange, event.topic, event.added, event.dropped, now, unix_time)
        for identity in result.learned:
            self._core.events.append(PeerLearned(event.topic, identity, link.identity))
        self.note_changes(now)
        if result.flood:
            link.connection.send(CloseLink(CloseCode.FLOOD, "more peer records than the budget"))

    def note_changes(self, now: float) -> None:
        """Carry what changed in the book to the dialer and the exchange."""
        for identity in self.book.take_changes():
            self.dialer.refresh(identity, now)
            self.exchange.refresh(identity)

    def tell(self, now: float, unix_time: float) -> None:
        """Send the PEERS that are due."""
        for exchange_link in self.exchange.due(now):
            link = self._by_exchange.get(exchange_link)
            if link is None or not link.established:
                continue
            while link.connection.can_send:
                peers = self.exchange.next_peers(exchange_link, now, unix_time)
                if peers is None:
                    break
                link.connection.send(peers)
                self._core.unsettle(link)

    # --- time ---

    def on_time(self, now: float, unix_time: float) -> None:
        """Renew the own record, and let old ones go."""
        if now >= self._renew_at:
            self._sign(now, unix_time)
        self.book.expire(unix_time)
        self.note_changes(now)

    def next_timeout(self, now: float) -> float | None:
        """When `on_time`, `tell` or `dial` have something to do."""
        times = [self._renew_at, self.exchange.next_timeout(now), self.dialer.next_timeout(now)]
        return min((time for time in times if time is not None and time != float("inf")), default=None)

    def anchors(self) -> tuple[Anchor, ...]:
        """Outbound peers to remember over a restart."""
        return self.dialer.anchors()

    def add_anchors(self, anchors: Iterable[Anchor], now: float) -> None:
        """Peers remembered from an earlier run."""
        self.dialer.add_anchors(anchors, now)


def _failure(link: Link, event: Closed) -> DialFailure:
    if event.code is CloseCode.SELF:
        return DialFailure.SELF
    if event.code is CloseCode.DUPLICATE:
        return DialFailure.DUPLICATE
    if event.code is CloseCode.NOT_ALLOWED and not event.by_peer:
        return DialFailure.WRONG_IDENTITY
    return DialFailure.HANDSHAKE
