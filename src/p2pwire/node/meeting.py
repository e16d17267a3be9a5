"""Meeting peers: whom to dial, and what is told of whom on the links.

Owns the peer book, the exchange, the dialer, the bans and the own record; it keeps them in step with the links and with
each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Final

import attrs

from p2pwire.connection.commands import CloseLink
from p2pwire.connection.events import Closed, LinkEstablished, PeersReceived
from p2pwire.connection.grease import choose
from p2pwire.crypto.identity import Identity
from p2pwire.node.actions import Dial
from p2pwire.node.address import Endpoint
from p2pwire.node.alarms import earliest
from p2pwire.node.bans import Bans
from p2pwire.node.core import Core
from p2pwire.node.dialer import Anchor, Dialer, DialFailure, DialLimits
from p2pwire.node.dialqueue import DialTarget, Local
from p2pwire.node.events import LinkFailed, PeerBanned, PeerLearned
from p2pwire.node.exchange import Exchange, ExchangeLink
from p2pwire.node.link import Attempt, Link
from p2pwire.node.ownrecord import OwnRecord
from p2pwire.node.peerbook import Origin, PeerBook
from p2pwire.wire.registry import CloseCode, FrameType, JoinFlag

_OF_USER: Final = (Local.USER, Local.LAN)


@attrs.frozen
class Banned:
    """The identities that a link to one place may not have, as a connection asks for them."""

    meeting: Meeting
    remote: Endpoint | None

    def __contains__(self, identity: object) -> bool:
        return isinstance(identity, bytes) and self.meeting.refuses(identity, self.remote)


class Meeting:
    """How a node comes by its links, and what it tells of them."""

    def __init__(self, core: Core, identity: Identity, limits: DialLimits) -> None:
        self._core = core
        self._own = OwnRecord(identity)
        self._published: bytes | None = None
        self._book = PeerBook(identity.public, random=core.random)
        self._bans = Bans()
        self._exchange = Exchange(self._book, random=core.random, horizon=core.horizon)
        self._dialer = Dialer(self._book, self._bans, random=core.random, limits=limits, horizon=core.horizon)
        self._attempts: dict[int, Attempt] = {}
        self._last_attempt = 0
        self._given: dict[Endpoint, dict[bytes, None]] = {}
        self._met: dict[Endpoint, bytes] = {}
        """Who answered last at an address that the user gave."""
        self._by_exchange: dict[ExchangeLink, Link] = {}
        self._by_target: dict[DialTarget, Link] = {}

    # --- own record ---

    @property
    def record(self) -> bytes | None:
        """Own signed record; None while this peer does not listen."""
        return self._own.record

    def listen(self, endpoints: Sequence[Endpoint]) -> None:
        """This peer can be reached at these addresses; a wildcard stands for those that links turn out to have."""
        self._own.listen(endpoints, self._core.now, self._core.unix_time)
        self._publish()

    def saw_interface(self, local: Endpoint | None) -> None:
        """The near end of a carrier has this address."""
        self._own.saw_interface(local, self._core.now, self._core.unix_time)
        self._publish()

    def _publish(self) -> None:
        self._core.horizon.near(-inf)
        if self._own.record is None or self._own.record == self._published:
            return
        self._published = self._own.record
        for endpoint in self._own.endpoints():
            self._dialer.add_own(endpoint)
        self._exchange.set_own_record(self._own.record)

    def _follow(self) -> None:
        """Let the exchange and the dialer know what has changed in the book."""
        for identity in sorted(self._book.take_changes()):
            self._exchange.refresh(identity)
            self._dialer.refresh(identity, self._core.now)

    # --- what is wanted ---

    def want(self, topic: bytes) -> None:
        """Look for peers of this topic."""
        self._dialer.want(topic, self._core.now)

    def unwant(self, topic: bytes) -> None:
        """Dial nobody for this topic any more."""
        self._dialer.unwant(topic, self._core.now)

    def forget(self, topic: bytes) -> None:
        """The topic is left: nobody is known for it any more, and addresses given for it alone are not dialled."""
        self._dialer.unwant(topic, self._core.now)
        self._book.forget_topic(topic)
        self._follow()
        for endpoint in [endpoint for endpoint, topics in self._given.items() if topic in topics]:
            del self._given[endpoint][topic]
            if not self._given[endpoint]:
                del self._given[endpoint]
                self._met.pop(endpoint, None)
                self._dialer.take_back(endpoint, self._core.now)

    def give(self, topic: bytes, endpoint: Endpoint, identity: bytes | None) -> bytes | None:
        """An address at which a peer of the topic may be found, from the user; who is there, as far as is known."""
        if self._dialer.give(endpoint, self._core.now, identity=identity, topics=(topic,)):
            self._given.setdefault(endpoint, {})[topic] = None
        return identity or self._met.get(endpoint)

    def add_anchors(self, anchors: Iterable[Anchor]) -> None:
        """Peers remembered from an earlier run."""
        self._dialer.add_anchors(anchors, self._core.now)

    def anchors(self) -> tuple[Anchor, ...]:
        """Outbound peers to remember over a restart."""
        return self._dialer.anchors()

    def knows(self, identity: bytes, topic: bytes) -> bool:
        """Whether the peer was named in the topic, so that it may be asked to join it [TP-017]."""
        known = self._book.get(identity)
        return known is not None and topic in known.topics

    # --- dialling ---

    def dial(self) -> None:
        """Begin the dials that are due."""
        if self._core.closing:
            return
        self._book.expire(self._core.unix_time)
        self._follow()
        while (target := self._dialer.next(self._core.now)) is not None:
            self._begin(Attempt(target, choose(self._core.random)))

    def _begin(self, attempt: Attempt) -> None:
        self._last_attempt += 1
        self._attempts[self._last_attempt] = attempt
        self._core.actions.append(Dial(self._last_attempt, attempt.target.endpoint))

    def dialled(self, number: int) -> Attempt:
        """The attempt that got its carrier. Raises `ValueError` for an unknown one."""
        attempt = self._attempts.pop(number, None)
        if attempt is None:
            raise ValueError(f"dial {number} is not in progress")
        return attempt

    def failed(self, number: int, reason: str) -> None:
        """No carrier could be opened."""
        target = self.dialled(number).target
        self._dialer.failed(target, DialFailure.UNREACHABLE, self._core.now)
        self._core.events.append(LinkFailed(target.endpoint, reason))

    def _retry(self, link: Link) -> bool:
        """One further attempt with the suite that the responder wants, with the same lists [VN-054] to [VN-056]."""
        attempt = link.attempt
        if attempt is None or link.wanted_suite is None or attempt.suite is not None or self._core.closing:
            return False
        self._begin(Attempt(attempt.target, attempt.grease, link.wanted_suite))
        return True

    # --- links ---

    def refuses(self, identity: bytes, remote: Endpoint | None) -> bool:
        """Whether there is to be no link with this identity, from this place [TR-070]."""
        return self._bans.refuses(identity, remote, self._core.now)

    def admits(self, remote: Endpoint | None) -> bool:
        """Whether carriers from there are taken at all [TR-073]."""
        return remote is None or self._bans.ip_until(remote.ip) <= self._core.now

    def established(self, link: Link, event: LinkEstablished) -> list[bytes]:
        """HELLO has come; the topics for which the link is good [TP-017]."""
        seen = None if event.observed is None else Endpoint.from_address(event.observed)
        if seen is not None:
            self._own.reported(seen, link.group, self._core.now, self._core.unix_time)
            self._publish()
        origin = Origin.of(link.identity, link.remote)
        if link.scope is not None:
            origin = Origin(origin.identity, origin.group, link.scope)
        target = None if link.attempt is None else link.attempt.target
        dialled = None if target is None else target.endpoint
        link.exchange = self._exchange.open_link(origin, self._core.now, dialled=dialled)
        self._by_exchange[link.exchange] = link
        if event.record is not None:
            self._book.offer(event.record, origin, self._core.unix_time, topic=None)
            self._follow()
        if target is None:
            self._dialer.accepted(link.identity, self._core.now)
        else:
            self._by_target[target] = link
            for other in self._dialer.succeeded(target, link.identity, self._core.now):
                self._hang_up(other)
        return self._topics_for(link)

    def _topics_for(self, link: Link) -> list[bytes]:
        """Those in which the other side was dialled, or in which its identity was learned [TP-017]."""
        topics = set(self._core.swarms) if link.given else set()
        known = self._book.get(link.identity)
        if known is not None:
            topics |= known.topics
        if link.attempt is not None:
            topics |= link.attempt.target.topics
        for endpoint, met in self._met.items():
            if met == link.identity:
                topics |= self._given[endpoint].keys()
        return sorted(topics)

    def identified(self, link: Link) -> None:
        """The other side has proved who it is, whatever becomes of the link."""
        if link.attempt is not None and link.attempt.target.endpoint in self._given:
            self._met[link.attempt.target.endpoint] = link.connection.identity or b""

    def _hang_up(self, target: DialTarget) -> None:
        link = self._by_target.get(target)
        if link is not None:
            self._core.send(link, CloseLink(CloseCode.NONE, "the slot goes to a peer of another network"))  # [PX-096]

    def keeps(self, link: Link) -> bool:
        """Whether a link is worth keeping on which no topic has been open for long: not one that this side dialled
        because of a record, nor one for topics that are not wanted any more [CL-009]."""
        if link.attempt is None:
            return True
        return link.attempt.target.source in _OF_USER and any(topic in self._core.catalogue for topic in link.wanted)

    def closed(self, link: Link, event: Closed) -> None:
        """A link is over."""
        if event.code is CloseCode.BAD_DATA and not event.by_peer and link.exchange is not None:
            self._bans.add(link.identity, link.remote, self._core.now, dialled=link.attempt is not None)
            self._core.events.append(PeerBanned(link.identity, event.reason))
        target = None if link.attempt is None else link.attempt.target
        if link.exchange is not None:
            self._exchange.close_link(link.exchange, self._core.now)
            del self._by_exchange[link.exchange]
            link.exchange = None
            reconnect = event.code not in (CloseCode.DUPLICATE, CloseCode.SELF)  # [ID-025] [ID-014]
            self._dialer.closed(link.identity, self._core.now, target=target, reconnect=reconnect)
            if target is not None:
                del self._by_target[target]
        elif not self._retry(link):
            if target is not None:
                failure = _failure(link, target, event)
                self._dialer.failed(target, failure, self._core.now, identity=link.connection.identity)
            if target is not None or link.given:
                self._core.events.append(LinkFailed(link.remote, event.reason, link.wanted_suite, event.code))

    # --- topics and exchange ---

    def topic_opened(self, link: Link, topic: bytes, flags: JoinFlag) -> None:
        """A topic is open on a link, or the other side has other flags."""
        if link.exchange is not None:
            self._exchange.open_topic(link.exchange, topic, self._core.now, pushes=JoinFlag.WANTS_PEERS in flags)
            self._follow()

    def topic_closed(self, link: Link, topic: bytes) -> None:
        """A topic is open on a link no longer, though the link goes on."""
        if link.exchange is not None and not link.over:
            self._exchange.close_topic(link.exchange, topic, self._core.now)
            self._follow()

    def peers_wanted(self, link: Link, topic: bytes, count: int) -> None:
        """GET_PEERS came."""
        if link.exchange is not None:
            self._exchange.ask(link.exchange, topic, count)

    def peers_received(self, link: Link, event: PeersReceived) -> list[bytes]:
        """PEERS came; the identities that were named in it, and count."""
        if link.exchange is None:
            return []
        result = self._exchange.receive(
            link.exchange, event.topic, event.added, event.dropped, self._core.now, self._core.unix_time
        )
        self._follow()
        for identity in result.learned:
            self._core.events.append(PeerLearned(event.topic, identity, link.identity))
        if result.flood:
            self._core.send(
                link, CloseLink(CloseCode.FLOOD, "more PEERS than the budget", FrameType.PEERS)
            )  # [PX-047] [PX-048]
            return []
        named = (shared.record[1:33] for shared in event.added)  # where the identity is, if the record is one
        return [identity for identity in named if self.knows(identity, event.topic)]

    def tell(self) -> None:
        """Send the PEERS that are due, where there is room; else as soon as there is."""
        when = self._exchange.next_timeout(self._core.now)
        if when is None or when > self._core.now:
            return
        for exchange_link in self._exchange.due(self._core.now):
            link = self._by_exchange[exchange_link]
            link.peers_due = True
            self.tell_link(link)

    def tell_link(self, link: Link) -> None:
        """Send the PEERS that are due on one link, as far as there is room [FC-030]."""
        while link.peers_due and link.exchange is not None and link.established and link.connection.can_send:
            peers = self._exchange.next_peers(link.exchange, self._core.now, self._core.unix_time)
            if peers is None:
                link.peers_due = False
            else:
                self._core.send_counted(link, peers)

    # --- time ---

    def on_time(self) -> None:
        """Renew the own record."""
        if self._own.on_time(self._core.now, self._core.unix_time):
            self._publish()

    def next_timeout(self) -> float | None:
        """When `on_time`, `tell` or `dial` have something to do."""
        if self._core.closing:
            return None
        now = self._core.now
        return earliest(self._own.next_timeout(), self._exchange.next_timeout(now), self._dialer.next_timeout(now))


def _failure(link: Link, target: DialTarget, event: Closed) -> DialFailure:
    met = link.connection.identity
    if event.code is CloseCode.SELF:
        return DialFailure.SELF
    if event.code is CloseCode.DUPLICATE:
        return DialFailure.DUPLICATE
    if met is not None and target.identity not in (None, met):
        return DialFailure.WRONG_IDENTITY
    return DialFailure.HANDSHAKE
