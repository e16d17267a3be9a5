"""A peer without I/O: many links and many resources at once.

Bytes, time and finished disk work go in; actions for the program around it and events for the application come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import attrs

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.connection.commands import LocalProtocolError
from p2pwire.connection.config import DEFAULT_SUITES, Config, Extension, Limits, Role, Timeouts
from p2pwire.connection.connection import Connection
from p2pwire.connection.state import LinkState
from p2pwire.crypto.identity import Identity
from p2pwire.node.actions import Action, HangUp, ResumeReading
from p2pwire.node.address import Endpoint
from p2pwire.node.alarms import Alarms
from p2pwire.node.core import Core
from p2pwire.node.dialer import DialLimits
from p2pwire.node.downloads import PIPELINE, Downloads
from p2pwire.node.events import NodeEvent, PeerConnected, PeerDisconnected
from p2pwire.node.link import Attempt, Link
from p2pwire.node.meeting import Banned, Meeting
from p2pwire.node.seeding import Seeding
from p2pwire.node.swarm import Phase, Resource, Swarm
from p2pwire.node.uploads import UploadConfig
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import MAX_INBOUND, MAX_UNWRITTEN_BLOCKS, REJOIN_DELAY, CloseCode, JoinFlag


@attrs.frozen
class NodeConfig:
    """What a node is told at the start. Every default is that of SPEC.md."""

    agent: str = "p2pwire-python"
    suites: tuple[int, ...] = DEFAULT_SUITES
    psk: bytes | None = attrs.field(default=None, repr=False)
    """The key of a private network (`p2pwire.crypto.noise.derive_psk`)."""
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    dialling: DialLimits = DialLimits()
    uploads: UploadConfig = UploadConfig()
    max_inbound: int = MAX_INBOUND
    pipeline: int = PIPELINE
    """Blocks asked of one link and not come yet."""
    extensions: tuple[Extension, ...] = ()
    grease: bytes | None = None


@attrs.frozen
class Progress:
    """How far a resource is. Sizes are content bytes."""

    phase: Phase
    done: int
    total: int | None
    """None until the layout is known."""
    sources: dict[bytes, int]
    """identity -> bytes that came from it in this process."""
    peers: int
    """Links on which the topic is open."""


@attrs.frozen
class PeerInfo:
    """One established link."""

    link: int
    identity: bytes
    endpoint: Endpoint | None
    outbound: bool
    agent: str
    learned_from: bytes | None
    bytes_sent: int
    bytes_received: int


class Node:
    """One peer. `now` is monotonic seconds, `unix_time` seconds since 1970; `random(n)` gives n unpredictable bytes.

    After any call that can change something, take `next_action` until None, and `next_event` until None.
    """

    def __init__(
        self,
        identity: Identity,
        config: NodeConfig | None = None,
        *,
        now: float,
        unix_time: float,
        random: Callable[[int], bytes],
    ) -> None:
        self.identity = identity
        self._config = config or NodeConfig()
        self._now = now
        self._unix_offset = unix_time - now
        self._core = Core(random)
        self._meeting = Meeting(self._core, identity, self._config.dialling, self._config.max_inbound)
        self._downloads = Downloads(self._core, self._config.pipeline)
        self._seeding = Seeding(self._core, self._config.uploads)
        self._alarms: Alarms[int | bytes] = Alarms()
        self._last_link = 0
        self._ordinal = 0
        self._closing = False

    def __repr__(self) -> str:
        return f"<Node of {len(self._core.links)} links, {len(self._core.swarms)} resources>"

    # --- resources ---

    def set_listening(self, endpoints: Sequence[Endpoint], now: float, unix_time: float) -> None:
        """This peer accepts carriers at these addresses; 0.0.0.0 and :: stand for all of its own."""
        self._set_clock(now, unix_time)
        self._meeting.listen(endpoints, self._now, unix_time)
        self._rest()

    def share(self, resource: Resource, now: float) -> bytes:
        """Serve content of the user's own; its topic. Raises `ValueError` if the topic is there already."""
        swarm = Swarm.shared(resource)
        self._add(swarm, now)
        return swarm.topic

    def fetch(
        self,
        oid: bytes,
        now: float,
        *,
        peers: Iterable[Endpoint] = (),
        identity: bytes | None = None,
        length: int | None = None,
        sequential: bool = False,
    ) -> bytes:
        """Fetch an object of which the id is known; its topic.

        `identity`: who has to answer at `peers`. `length`: what the object's has to be, in bytes. `sequential`: from
        the beginning on, for a reader who does not wait. Raises `ValueError` if the topic is there already.
        """
        swarm = Swarm.sought(oid, length=length, sequential=sequential)
        self._add(swarm, now)
        self.add_peers(swarm.topic, peers, now, identity=identity)
        return swarm.topic

    def add_peers(
        self, topic: bytes, endpoints: Iterable[Endpoint], now: float, *, identity: bytes | None = None
    ) -> None:
        """Addresses at which peers of a topic may be found, from the user."""
        self._tick(now)
        given = set(endpoints)
        for endpoint in given:
            self._meeting.dialer.give(endpoint, self._now, identity=identity, topics=(topic,))
        for link in self._core.links.values():
            if link.outbound and link.remote in given:
                self._join(link, topic)
        self._rest()

    def forget(self, topic: bytes, now: float) -> None:
        """Stop to share or fetch; unknown topics are ignored. What the storage holds is its own."""
        self._tick(now)
        swarm = self._core.swarms.pop(topic, None)
        if swarm is None:
            return
        del self._core.catalogue[topic]
        self._meeting.dialer.unwant(topic, self._now)
        self._meeting.book.forget_topic(topic)
        self._meeting.note_changes(self._now)
        for number in list(swarm.links):
            link = self._core.links[number]
            self._leave(link, swarm)
        self._downloads.forget(swarm)
        self._rest()

    def progress(self, topic: bytes) -> Progress:
        """How far a resource is. Raises `KeyError` for an unknown topic."""
        swarm = self._core.swarms[topic]
        total = swarm.total if swarm.knows_files else None
        return Progress(swarm.phase, swarm.done, total, dict(swarm.sources), len(swarm.links))

    def peers(self) -> list[PeerInfo]:
        """The established links."""
        return [
            PeerInfo(
                link.id,
                link.identity,
                link.remote,
                link.outbound,
                link.agent,
                link.learned_from,
                link.bytes_sent,
                link.bytes_received,
            )
            for link in self._core.links.values()
            if link.established
        ]

    # --- links ---

    def accepted(self, remote: Endpoint | None, now: float, *, local: Endpoint | None = None) -> int | None:
        """An inbound carrier; its link, or None: close it, there is no room."""
        self._tick(now)
        if self._closing or not self._meeting.admits(remote, self._now):
            self._rest()
            return None
        self._meeting.saw_interface(local, self._now, self._unix_time)
        return self._open(Role.RESPONDER, remote, outbound=False).id

    def dial_succeeded(self, dial: int, now: float, *, local: Endpoint | None = None) -> int:
        """The carrier of an action `Dial` is open; its link."""
        self._tick(now)
        attempt = self._meeting.dialled(dial)
        target = attempt.target
        self._meeting.saw_interface(local, self._now, self._unix_time)
        link = self._open(Role.INITIATOR, target.endpoint, outbound=True, expected=target.identity, attempt=attempt)
        link.attempt = attempt
        link.wanted = target.topics
        link.learned_from = target.learned_from
        return link.id

    def dial_failed(self, dial: int, reason: str, now: float) -> None:
        """The carrier of an action `Dial` could not be opened."""
        self._tick(now)
        self._meeting.failed(dial, reason, self._now)
        self._rest()

    def attach(self, role: Role, now: float, *, remote: Endpoint | None = None, expected: bytes | None = None) -> int:
        """A stream of the caller's own, over which all topics are joined; its link."""
        self._tick(now)
        link = self._open(role, remote, outbound=role is Role.INITIATOR, expected=expected)
        link.wanted = frozenset(self._core.swarms)
        return link.id

    def receive_data(self, link: int, data: Buffer, now: float) -> None:
        """Bytes of a link as they came, at most 256 KiB at once; `b""` is the end of the stream."""
        self._tick(now)
        found = self._core.links.get(link)
        if found is not None:
            found.connection.receive_data(data, self._now)
            self._core.unsettle(found)
        self._rest()

    def link_lost(self, link: int, now: float) -> None:
        """The carrier broke: nothing can be sent or received."""
        self._tick(now)
        found = self._core.links.get(link)
        if found is not None:
            if not found.connection.ended:
                found.connection.receive_data(b"", self._now)
            found.broken = True
            self._core.unsettle(found)
        self._rest()

    def wants_data(self, link: int) -> bool:
        """Whether the adapter should read; `ResumeReading` comes when this turns true again."""
        found = self._core.links.get(link)
        if found is None:
            return False
        wants = found.connection.wants_data and not found.stalled
        found.asked_to_read = wants
        return wants

    def data_to_send(self, link: int, now: float | None = None) -> list[Buffer]:
        """What a link has to send. Call it when the buffers before are written; [] means: wait for `Transmit`."""
        if now is not None:
            self._tick(now)
        found = self._core.links.get(link)
        if found is None:
            return []
        self._seeding.feed(found, self._now)
        buffers = found.connection.data_to_send()
        if not buffers:
            found.transmitting = False
        self._core.unsettle(found)
        self._rest()
        return buffers

    def output_ended(self, link: int) -> bool:
        """Whether nothing more will be sent on a link: half-close the carrier."""
        found = self._core.links.get(link)
        return found is None or found.connection.output_ended

    # --- disk ---

    def disk_done(self, ticket: int, result: object, now: float) -> None:
        """Disk work is done; `result` as the action says."""
        self._tick(now)
        self._core.take_ticket(ticket).done(result, self._now)
        self._rest()

    def disk_failed(self, ticket: int, error: Exception, now: float) -> None:
        """Disk work failed."""
        self._tick(now)
        self._core.take_ticket(ticket).failed(error, self._now)
        self._rest()

    # --- output and time ---

    def next_action(self) -> Action | None:
        """What the program around is to do next."""
        return self._core.actions.popleft() if self._core.actions else None

    def next_event(self) -> NodeEvent | None:
        """What happened next."""
        return self._core.events.popleft() if self._core.events else None

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is to be called."""
        times = (
            self._alarms.next(),
            self._downloads.next_timeout(),
            self._seeding.next_timeout(),
            self._meeting.next_timeout(self._now),
        )
        return min((time for time in times if time is not None), default=None)

    def handle_timeout(self, now: float, unix_time: float) -> None:
        """Do what is due. Calling it early does no harm; `unix_time` may jump."""
        self._set_clock(now, unix_time)
        for key in list(self._alarms.due(self._now)):
            if isinstance(key, int):
                self._link_alarm(key)
            else:
                self._topic_alarm(key)
        self._downloads.announce(self._now)
        self._seeding.review(self._now)
        self._meeting.on_time(self._now, self._unix_time)
        self._rest()

    def close(self, now: float) -> None:
        """Say SHUTDOWN on all links; `HangUp` follows for each. Nothing is dialled or accepted any more."""
        self._tick(now)
        self._closing = True
        for topic in list(self._core.swarms):
            self._meeting.dialer.unwant(topic, self._now)
        for link in self._core.links.values():
            if not link.over:
                link.connection.send(cmd.CloseLink(CloseCode.SHUTDOWN, "this peer stops"))
                self._core.unsettle(link)
        self._rest()

    # --- inside: time ---

    @property
    def _unix_time(self) -> float:
        return self._now + self._unix_offset

    def _set_clock(self, now: float, unix_time: float) -> None:
        self._tick(now)
        self._unix_offset = unix_time - self._now

    def _tick(self, now: float) -> None:
        self._now = max(self._now, now)

    def _count(self) -> int:
        self._ordinal += 1
        return self._ordinal

    def _link_alarm(self, number: int) -> None:
        link = self._core.links.get(number)
        if link is None:
            return
        link.connection.handle_timeout(self._now)
        for topic in [topic for topic, at in link.refused.items() if at <= self._now]:
            del link.refused[topic]
            if topic in link.wanted:
                self._join(link, topic)
        self._core.unsettle(link)

    def _topic_alarm(self, topic: bytes) -> None:
        swarm = self._core.swarms.get(topic)
        for number in swarm.links if swarm is not None else ():
            self._core.unsettle(self._core.links[number])

    # --- inside: links ---

    def _add(self, swarm: Swarm, now: float) -> None:
        self._tick(now)
        if swarm.topic in self._core.swarms:
            raise ValueError("this object is shared or fetched already")
        self._core.swarms[swarm.topic] = swarm
        self._core.publish(swarm)
        self._meeting.dialer.want(swarm.topic, self._now)
        for link in self._core.links.values():
            if link.established and link.connection.asked_for(swarm.topic):
                self._join(link, swarm.topic)
        self._rest()

    def _open(
        self,
        role: Role,
        remote: Endpoint | None,
        *,
        outbound: bool,
        expected: bytes | None = None,
        attempt: Attempt | None = None,
    ) -> Link:
        config = self._config
        self._last_link += 1
        connection = Connection(
            role,
            Config(
                self.identity,
                topics=self._core.catalogue,
                taken=self._meeting.taken,
                banned=Banned(self._meeting, remote, lambda: self._now),
                expected=expected,
                suites=config.suites,
                key_suite=None if attempt is None else attempt.suite,
                psk=config.psk,
                agent=config.agent,
                record=self._meeting.record,
                observed=None if remote is None else remote.to_address(),
                extensions=config.extensions,
                limits=config.limits,
                timeouts=config.timeouts,
                grease=config.grease if attempt is None or config.grease is not None else attempt.grease,
            ),
            now=self._now,
            random=self._core.random,
        )
        link = Link(self._last_link, connection, outbound, remote)
        self._core.links[link.id] = link
        self._core.unsettle(link)
        self._rest()
        return link

    def _rest(self) -> None:
        """Bring the node to rest: nothing is left to do before something comes in."""
        now = self._now
        unsettled = self._core.unsettled
        while True:
            while unsettled:
                number = next(iter(unsettled))
                del unsettled[number]
                link = self._core.links.get(number)
                if link is not None:
                    self._settle(link)
            self._meeting.tell(now, self._unix_time)
            self._downloads.write(now)
            if not unsettled:
                break
        if not self._closing:
            self._meeting.dial(now)

    def _settle(self, link: Link) -> None:
        now, connection = self._now, link.connection
        link.stalled = link.unwritten > MAX_UNWRITTEN_BLOCKS and not link.over
        while not link.stalled and (event := connection.next_event()) is not None:
            self._HANDLERS[type(event)](self, link, event)
            link.stalled = link.unwritten > MAX_UNWRITTEN_BLOCKS and not link.over
        if link.stalled:
            connection.pause(now)
        else:
            connection.resume(now)
        if link.established:
            self._downloads.fill(link, now)
            self._downloads.tell_units(link)
            self._seeding.serve(link, now)
        if link.broken:
            connection.data_to_send()
        if connection.finished and link.over and not link.stalled:
            self._alarms.cancel(link.id)
            self._core.actions.append(HangUp(link.id))
            del self._core.links[link.id]
            return
        if connection.has_output or link.ready:
            self._core.transmit(link)
        if not link.asked_to_read and connection.wants_data and not link.stalled:
            link.asked_to_read = True
            self._core.actions.append(ResumeReading(link.id))
        due = connection.next_timeout()
        quiet = link.quiet_until if now < link.quiet_until < float("inf") else None
        times = [time for time in (due, quiet, *link.refused.values()) if time is not None]
        if times:
            self._alarms.set(link.id, min(times))
        else:
            self._alarms.cancel(link.id)

    # --- inside: events of links ---

    def _on_offer(self, link: Link, event: ev.OfferReceived) -> None:
        link.offered_at = self._count()

    def _on_identified(self, link: Link, event: ev.PeerIdentified) -> None:
        link.identity = event.identity
        self._meeting.take(link)
        if link.connection.role is Role.RESPONDER:
            self._meeting.replace_older(link)

    def _on_established(self, link: Link, event: ev.LinkEstablished) -> None:
        link.agent = event.agent
        link.established_at = self._count()
        self._seeding.link_established(link)
        self._meeting.settle_duplicates(link)
        if link.connection.state is not LinkState.OPEN:
            return
        self._meeting.established(link, event.record, self._now, self._unix_time)
        self._core.events.append(
            PeerConnected(link.id, link.identity, link.remote, link.outbound, link.learned_from, link.agent)
        )
        known = self._meeting.book.get(link.identity)
        for topic in link.wanted | (known.topics if known is not None else frozenset()):
            self._join(link, topic)

    def _join(self, link: Link, topic: bytes) -> None:
        """Join a topic for which this link is good, now or when the other side may be asked again."""
        if topic not in self._core.swarms or topic in link.topics or not link.established:
            return
        link.wanted |= {topic}
        if link.refused.get(topic, 0.0) > self._now or not link.connection.can_join:
            return
        try:
            link.connection.send(cmd.Join(topic))
        except LocalProtocolError:
            # Joined and not answered yet, or on its way out: the answer decides.
            return
        self._core.unsettle(link)

    def _leave(self, link: Link, swarm: Swarm) -> None:
        if link.established and link.connection.is_open(swarm.topic):
            link.connection.send(cmd.Leave(swarm.topic))
        self._topic_over(link, swarm)

    def _on_topic_opened(self, link: Link, event: ev.TopicOpened) -> None:
        swarm = self._core.swarms[event.topic]
        swarm.links[link.id] = event.flags
        link.topics[event.topic] = None
        if link.exchange is not None:
            pushes = JoinFlag.WANTS_PEERS in event.flags
            self._meeting.exchange.open_topic(link.exchange, event.topic, self._now, pushes=pushes)
        self._downloads.link_opened(swarm, link)
        units = list(swarm.held.units())
        if units:
            link.untold[event.topic] = units

    def _on_flags(self, link: Link, event: ev.TopicFlagsChanged) -> None:
        swarm = self._core.swarms.get(event.topic)
        if swarm is not None and link.id in swarm.links:
            swarm.links[link.id] = event.flags
            if link.exchange is not None:
                pushes = JoinFlag.WANTS_PEERS in event.flags
                self._meeting.exchange.set_pushes(link.exchange, event.topic, pushes)
            self._downloads.flags_changed(swarm, link)

    def _on_topic_refused(self, link: Link, event: ev.TopicRefused) -> None:
        link.refused[event.topic] = self._now + REJOIN_DELAY

    def _on_topic_closed(self, link: Link, event: ev.TopicClosed) -> None:
        swarm = self._core.swarms.get(event.topic)
        if swarm is not None:
            self._topic_over(link, swarm)

    def _topic_over(self, link: Link, swarm: Swarm) -> None:
        if swarm.links.pop(link.id, None) is None:
            return
        link.topics.pop(swarm.topic, None)
        link.untold.pop(swarm.topic, None)
        if link.exchange is not None:
            self._meeting.exchange.close_topic(link.exchange, swarm.topic, self._now)
        self._downloads.link_closed(swarm, link)
        self._seeding.topic_over(link, swarm.topic, self._now)

    def _on_object(self, link: Link, event: ev.ObjectLearned) -> None:
        swarm = self._core.swarms.get(event.topic)
        if swarm is not None:
            self._downloads.describe(swarm, event.info, self._now)

    def _on_units(self, link: Link, event: ev.UnitsChanged) -> None:
        swarm = self._core.swarms.get(event.topic)
        if swarm is not None and link.id in swarm.links:
            self._downloads.units_changed(swarm, link, event)

    def _on_interest(self, link: Link, event: ev.InterestChanged) -> None:
        self._seeding.interest_changed(link, event, self._now)

    def _on_request(self, link: Link, event: ev.RequestReceived) -> None:
        self._seeding.request_received(link, event, self._now)

    def _on_cancelled(self, link: Link, event: ev.RequestCancelled) -> None:
        self._seeding.cancelled(link, event.id, self._now)

    def _on_withdrawn(self, link: Link, event: ev.RequestWithdrawn) -> None:
        self._seeding.withdrawn(link, event.id, self._now)

    def _on_block(self, link: Link, event: ev.BlockReceived) -> None:
        self._downloads.block_received(link, event, self._now)
        self._seeding.bytes_received(link, len(event.data), self._now)

    def _on_request_ended(self, link: Link, event: ev.RequestEnded) -> None:
        self._downloads.request_ended(link, event, self._now)

    def _on_timed_out(self, link: Link, event: ev.RequestsTimedOut) -> None:
        self._downloads.timed_out(link, event, self._now)

    def _on_peers(self, link: Link, event: ev.PeersReceived) -> None:
        self._meeting.received(link, event, self._now, self._unix_time)
        self._join_learned(event)

    def _join_learned(self, event: ev.PeersReceived) -> None:
        """A peer that is linked already was named in a topic: it may be joined there too [TP-017]."""
        for other in self._core.links.values():
            known = self._meeting.book.get(other.identity) if other.established else None
            if known is not None and event.topic in known.topics and event.topic not in other.topics:
                self._join(other, event.topic)
                self._core.unsettle(other)

    def _join_instead(self, link: Link) -> None:
        """A duplicate goes: what it was made for goes over the link that stays."""
        for other in self._core.links.values():
            if other.established and other.identity == link.connection.identity:
                for topic in link.wanted:
                    self._join(other, topic)

    def _on_peers_wanted(self, link: Link, event: ev.PeersWanted) -> None:
        if link.exchange is not None:
            self._meeting.exchange.ask(link.exchange, event.topic, event.max)

    def _on_refused(self, link: Link, event: ev.Refused) -> None:
        link.wanted_suite = event.suite

    def _ignore(self, link: Link, event: object) -> None:
        """Nothing follows from it here."""

    def _on_closed(self, link: Link, event: ev.Closed) -> None:
        established = link.established
        link.over = True
        for topic in list(link.topics):
            self._topic_over(link, self._core.swarms[topic])
        if established:
            self._seeding.link_over(link, self._now)
        self._meeting.closed(link, event, self._now)
        if event.code is CloseCode.DUPLICATE:
            self._join_instead(link)
        if established:
            self._core.events.append(
                PeerDisconnected(link.id, link.identity, event.code, event.reason, event.by_peer, event.truncated)
            )

    _HANDLERS: ClassVar[dict[type, Callable[[Node, Link, Any], None]]] = {
        ev.OfferReceived: _on_offer,
        ev.PeerIdentified: _on_identified,
        ev.LinkEstablished: _on_established,
        ev.Refused: _on_refused,
        ev.TopicOpened: _on_topic_opened,
        ev.TopicFlagsChanged: _on_flags,
        ev.TopicRefused: _on_topic_refused,
        ev.TopicClosed: _on_topic_closed,
        ev.ObjectLearned: _on_object,
        ev.UnitsChanged: _on_units,
        ev.InterestChanged: _on_interest,
        ev.CreditReceived: _ignore,
        ev.UnitsSuggested: _ignore,
        ev.RequestReceived: _on_request,
        ev.RequestCancelled: _on_cancelled,
        ev.RequestWithdrawn: _on_withdrawn,
        ev.BlockReceived: _on_block,
        ev.RequestEnded: _on_request_ended,
        ev.RequestsTimedOut: _on_timed_out,
        ev.PeersReceived: _on_peers,
        ev.PeersWanted: _on_peers_wanted,
        ev.PongReceived: _ignore,
        ev.ExtensionReceived: _ignore,
        ev.Closed: _on_closed,
    }
