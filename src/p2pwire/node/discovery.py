"""Finding peers: the peer book, the exchange, the dialer and the bans, kept in step with each other.

A node tells what happens on its links and asks whom to dial, what to send, and when to ask again.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from p2pwire.connection.commands import SharePeers
from p2pwire.crypto.record import verify_record
from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.bans import Bans
from p2pwire.node.dialer import Dialer, DialFailure, DialLimits
from p2pwire.node.dialqueue import DialTarget
from p2pwire.node.exchange import Exchange, ExchangeLimits, ExchangeLink, Received
from p2pwire.node.peerbook import Origin, PeerBook
from p2pwire.wire.messages import PeerRecord, SharedRecord
from p2pwire.wire.registry import CloseCode


@attrs.frozen
class Established:
    """What a new link leads to."""

    link: ExchangeLink
    """Stands for the link from now on."""
    hang_up: tuple[DialTarget, ...]
    """Outbound links that make room for it: of a group that has another one."""


class Discovery:
    """All of it for one node. `now` is monotonic, `unix_time` is the wall clock, both in seconds."""

    def __init__(
        self,
        own_identity: bytes,
        *,
        random: Callable[[int], bytes],
        verify: Callable[[PeerRecord, bytes], bool] = verify_record,
        dials: DialLimits | None = None,
        exchange: ExchangeLimits | None = None,
    ) -> None:
        self.book = PeerBook(own_identity, random=random, verify=verify)
        self.bans = Bans()
        self.exchange = Exchange(self.book, random=random, limits=exchange)
        self.dialer = Dialer(self.book, self.bans, random=random, limits=dials)
        self._targets: dict[ExchangeLink, DialTarget] = {}

    # --- Topics of this node ----------------------------------------------------------------------------------------

    def want(self, topic: bytes, now: float) -> None:
        """Look for peers of this topic."""
        self.dialer.want(topic, now)

    def unwant(self, topic: bytes, now: float) -> None:
        """Look for no more peers of this topic; what is known of its peers stays, and is shared."""
        self.dialer.unwant(topic, now)

    def forget(self, topic: bytes, now: float) -> None:
        """This node has left the topic on all links: nobody is known for it any more."""
        self.dialer.unwant(topic, now)
        self.book.forget_topic(topic)
        self._follow(now)

    # --- Links ------------------------------------------------------------------------------------------------------

    def link_established(
        self,
        identity: bytes,
        remote: Endpoint | None,
        now: float,
        unix_time: float,
        *,
        record: bytes | None = None,
        target: DialTarget | None = None,
        scope: Scope | None = None,
    ) -> Established:
        """HELLO came over a link to `remote` (None: the carrier has no IP address).

        `record`: the own record in it. `target`: if the link was dialled. `scope`: what the caller takes the far end
        for, if it knows better than its address.
        """
        origin = Origin.of(identity, remote)
        if scope is not None:
            origin = attrs.evolve(origin, scope=scope)
        link = self.exchange.open_link(origin, now, dialled=None if target is None else target.endpoint)
        hang_up: tuple[DialTarget, ...] = ()
        if target is None:
            self.dialer.accepted(identity, now)
        else:
            self._targets[link] = target
            hang_up = self.dialer.succeeded(target, identity, now)
        if record is not None and record[1:33] == identity:  # the identity of a record [FR-027]
            self.book.offer(record, origin, unix_time, topic=None, admit=lambda: link.admit(now))
            self._follow(now)
        return Established(link, hang_up)

    def link_closed(self, link: ExchangeLink, code: CloseCode, now: float) -> None:
        """An established link is over."""
        self.exchange.close_link(link, now)
        reconnect = code not in (CloseCode.DUPLICATE, CloseCode.SELF)  # [ID-014, ID-025]
        self.dialer.closed(link.origin.identity, now, target=self._targets.pop(link, None), reconnect=reconnect)

    def ban(self, link: ExchangeLink, remote: Endpoint | None, now: float) -> None:
        """The link's peer sent bad data; it is closed beside."""
        self.bans.add(link.origin.identity, remote, now, dialled=link in self._targets)

    def refuses(self, identity: bytes, remote: Endpoint | None, now: float) -> bool:
        """Whether a link to this peer, from this place, is to be closed with NOT_ALLOWED."""
        return self.bans.refuses(identity, remote, now)

    # --- Exchange ---------------------------------------------------------------------------------------------------

    def topic_opened(self, link: ExchangeLink, topic: bytes, now: float, *, wants_peers: bool) -> None:
        """A topic is open on the link."""
        self.book.vouch(link.origin.identity, link.origin, topic)
        self._follow(now)
        self.exchange.open_topic(link, topic, now, pushes=wants_peers)

    def topic_changed(self, link: ExchangeLink, topic: bytes, *, wants_peers: bool) -> None:
        """The other side changed its flags."""
        self.exchange.set_pushes(link, topic, wants_peers)

    def topic_closed(self, link: ExchangeLink, topic: bytes, now: float) -> None:
        """A topic ended on the link, while the link goes on."""
        self.exchange.close_topic(link, topic, now)
        self.book.withdraw(link.origin.identity, link.origin.identity, topic)
        self._follow(now)

    def peers_received(
        self,
        link: ExchangeLink,
        topic: bytes,
        added: tuple[SharedRecord, ...],
        dropped: tuple[bytes, ...],
        now: float,
        unix_time: float,
    ) -> Received:
        """PEERS came."""
        received = self.exchange.receive(link, topic, added, dropped, now, unix_time)
        self._follow(now)
        return received

    def peers_wanted(self, link: ExchangeLink, topic: bytes, count: int) -> None:
        """GET_PEERS came."""
        self.exchange.ask(link, topic, count)

    def due(self, now: float) -> list[ExchangeLink]:
        """Links on which to ask `next_peers`, until None, as soon as PEERS may be produced there. Each comes once."""
        return self.exchange.due(now)

    def next_peers(self, link: ExchangeLink, now: float, unix_time: float) -> SharePeers | None:
        """What to send on the link now; None if nothing."""
        return self.exchange.next_peers(link, now, unix_time)

    def knows(self, identity: bytes, topic: bytes) -> bool:
        """Whether the peer was named in the topic, so that it may be asked to join it there."""
        known = self.book.get(identity)
        return known is not None and topic in known.topics

    # --- Dials ------------------------------------------------------------------------------------------------------

    def next_dial(self, now: float, unix_time: float) -> DialTarget | None:
        """Whom to dial now; None if nobody. Ask until None after every change and at every `next_timeout`."""
        self.book.expire(unix_time)
        self._follow(now)
        return self.dialer.next(now)

    def dial_failed(
        self, target: DialTarget, failure: DialFailure, now: float, *, identity: bytes | None = None
    ) -> None:
        """No link came of a dial. `identity`: who answered, if anyone did."""
        self.dialer.failed(target, failure, now, identity=identity)

    # --- Time -------------------------------------------------------------------------------------------------------

    def next_timeout(self, now: float) -> float | None:
        """When to ask `due` and `next_dial` again; None: not before something else happens."""
        times = [time for time in (self.exchange.next_timeout(now), self.dialer.next_timeout(now)) if time is not None]
        return min(times, default=None)

    def _follow(self, now: float) -> None:
        """Let the exchange and the dialer know what has changed in the book."""
        for identity in self.book.take_changes():
            self.exchange.refresh(identity)
            self.dialer.refresh(identity, now)
