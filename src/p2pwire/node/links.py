"""The links of a node: opened, brought to rest after everything that happens, and closed.

Hands each event of a connection to the part of the node that it concerns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any, Final

from p2pwire.connection import events as ev
from p2pwire.connection.commands import CloseLink, LocalProtocolError, SendExtension
from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import Connection
from p2pwire.connection.state import LinkState
from p2pwire.connection.transfer import MAX_RUN
from p2pwire.content.objects import ObjectInfo
from p2pwire.crypto.identity import Identity
from p2pwire.crypto.noise import KEY_SIZE, StaticKey
from p2pwire.node.actions import HangUp, ResumeReading
from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.admission import Admission
from p2pwire.node.alarms import Alarms, earliest
from p2pwire.node.announcing import Announcing
from p2pwire.node.asking import Asking
from p2pwire.node.config import NodeConfig
from p2pwire.node.core import Core
from p2pwire.node.downloads import Downloads
from p2pwire.node.events import ExtensionReceived, PeerConnected, PeerDisconnected
from p2pwire.node.joining import Joining
from p2pwire.node.link import Attempt, Link, control_allowance, extension_allowance
from p2pwire.node.meeting import Banned, Meeting
from p2pwire.node.seeding import Seeding
from p2pwire.node.swarm import Swarm
from p2pwire.wire.messages import Buffer
from p2pwire.wire.registry import FRAME_HEADER, MAX_UNWRITTEN_BLOCKS, CloseCode

_ENOUGH_UNWRITTEN: Final = MAX_UNWRITTEN_BLOCKS + 1 - MAX_RUN
"""verified blocks that wait for the disk above which a link is held: a further run, which comes as a whole, is then
still within the limit [FC-033]."""

_OPEN: Final = LinkState.OPEN

_REQUESTS_LIKE_A_BLOCK: Final = 50
"""open requests of the other side that take about as much memory as a block."""


class Links:
    """All links of a node. Call `rest` after each other call."""

    def __init__(self, core: Core, identity: Identity, config: NodeConfig) -> None:
        self.meeting = Meeting(core, identity, config.dialling)
        self._core = core
        self._identity = identity
        self._config = config
        self._static = StaticKey.from_seed(core.random(KEY_SIZE))
        self._admission = Admission(core, identity.public, config.max_inbound)
        self._asking = Asking(core, config.asking)
        self._announcing = Announcing(core)
        self._downloads = Downloads(core, self._asking, self._announcing, config.picker)
        self._seeding = Seeding(core, config.uploads, self._downloads, self._announcing, config.outflow)
        self._joining = Joining(core, self.meeting, self._downloads, self._seeding)
        self._alarms: Alarms[Link] = Alarms(core.horizon)
        self._last_link = 0
        self._ordinal = 0

    # --- resources ---

    def added(self, swarm: Swarm) -> None:
        """A new resource."""
        self.meeting.want(swarm.topic)
        self._joining.added(swarm)

    def give(self, topic: bytes, endpoints: Iterable[Endpoint], identity: bytes | None) -> None:
        """Addresses at which peers of a topic may be found, and who they are, from the user."""
        given = dict.fromkeys(endpoints)
        there = {identity, *(self.meeting.give(topic, endpoint, identity) for endpoint in given)} - {None}
        for link in self._core.links.values():
            if (link.outbound and link.remote in given) or link.identity in there:
                self._joining.want(link, (topic,))

    def describe(self, swarm: Swarm, info: ObjectInfo) -> None:
        """What a swarm's object is has become known, though no peer told it."""
        self._downloads.describe(swarm, info)

    def leave(self, swarm: Swarm) -> None:
        """A resource is forgotten."""
        self._downloads.forget(swarm)
        self._joining.leave(swarm)

    # --- carriers ---

    def accepted(self, remote: Endpoint | None, local: Endpoint | None) -> Link | None:
        """An inbound carrier, if there is room for it."""
        if self._core.closing or not self.meeting.admits(remote) or not self._admission.admits(remote):
            return None
        self.meeting.saw_interface(local)
        return self._open(Role.RESPONDER, remote, outbound=False)

    def dialled(self, dial: int, local: Endpoint | None) -> Link:
        """The carrier of a dial is open. Raises `ValueError` for an unknown dial."""
        attempt = self.meeting.dialled(dial)
        self.meeting.saw_interface(local)
        target = attempt.target
        link = self._open(Role.INITIATOR, target.endpoint, outbound=True, expected=target.identity, attempt=attempt)
        link.learned_from = target.learned_from
        self._joining.want(link, sorted(target.topics))
        if self._core.closing:
            self._close(link, CloseCode.SHUTDOWN, "this peer stops")
        return link

    def attach(self, role: Role, remote: Endpoint | None, expected: bytes | None, scope: Scope | None) -> Link:
        """A stream of the caller's own."""
        link = self._open(role, remote, outbound=role is Role.INITIATOR, expected=expected)
        link.given, link.scope = True, scope
        return link

    def lost(self, link: Link) -> None:
        """The carrier broke."""
        if not link.connection.ended:
            link.connection.receive_data(b"", self._core.now)
        link.broken = True
        self._core.unsettle(link)

    def wants_data(self, link: Link) -> bool:
        """Whether the adapter should read."""
        link.asked_to_read = link.connection.wants_data and not link.stalled
        return link.asked_to_read

    def says_nothing(self, link: Link) -> bool:
        """Whether an open link has nothing to send, which changes nothing: so ends each answer to `Transmit`."""
        connection = link.connection
        self._seeding.carrier_free(link)
        nothing = not connection.has_output and connection.state is _OPEN
        if nothing and not self._seeding.has_turn(link):
            link.transmitting = False
            return True
        return False

    def data_to_send(self, link: Link) -> list[Buffer]:
        """What there is to send."""
        connection = link.connection
        free = connection.can_send and connection.wants_data and connection.state is _OPEN
        self._seeding.feed(link)
        buffers = connection.data_to_send(self._core.now)
        if not buffers:
            link.transmitting = False
        # What waits for room, or for control frames that blocks earn, may go now.
        if not free or link.waiting or link.sated or link.hungry or link.tells or link.peers_due or link.stalled:
            self._core.unsettle(link)
        return buffers

    def send_extension(self, number: int, command: SendExtension) -> None:
        """A frame of the application's own. Raises `KeyError`, `LocalProtocolError`."""
        link = self._core.links.get(number)
        if link is None or not link.established:
            raise KeyError(f"link {number} is not open")
        now, size = self._core.now, FRAME_HEADER + len(command.body)
        link.extensions.take(0, now)
        if not link.may_say(1, now) or link.extensions.tokens < size:
            raise LocalProtocolError("extension: more would be a flood for the other side; try again later")  # [KA-023]
        link.connection.send(command, now)
        link.control.tokens -= 1
        link.extensions.take(size, now)
        self._core.unsettle(link)

    def close(self) -> None:
        """This peer stops."""
        self._core.closing = True
        for link in self._core.links.values():
            self._close(link, CloseCode.SHUTDOWN, "this peer stops")  # [CL-011]

    def _close(self, link: Link, code: CloseCode, detail: str) -> None:
        self._core.send(link, CloseLink(code, detail))

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
        grease = config.grease if attempt is None or config.grease is not None else attempt.grease
        settings = Config(
            self._identity,
            static=self._static,
            topics=self._core.catalogue,
            taken=self._admission.taken,
            banned=Banned(self.meeting, remote),
            expected=expected,
            suites=config.suites,
            key_suite=None if attempt is None else attempt.suite,
            psk=config.psk,
            agent=config.agent,
            record=self.meeting.record,
            observed=None if remote is None else remote.to_address(),
            extensions=config.extensions,
            limits=config.limits,
            timeouts=config.timeouts,
            tap=None if config.tap is None else config.tap(role, remote),
            grease=grease,
        )
        connection = Connection(role, settings, now=self._core.now, random=self._core.random)
        self._last_link += 1
        now = self._core.now
        allowances = control_allowance(now), extension_allowance(now)
        link = Link(self._last_link, connection, outbound, remote, *allowances, now, attempt)
        self._core.links[link.id] = link
        self._admission.opened(link)
        self._core.unsettle(link)
        return link

    # --- coming to rest ---

    def rest(self) -> None:
        """Bring the node to rest: nothing is left to do before something comes in."""
        core = self._core
        while True:
            while core.unsettled:
                link = next(iter(core.unsettled))
                del core.unsettled[link]
                if link.id in core.links:
                    self._settle(link)
            while core.withdrawn:
                self._joining.leave(core.withdrawn.pop())
            if core.restless:
                self._asking.wake()
            if core.horizon.at <= core.now:
                self.meeting.tell()
            self._seeding.give_turns()
            if core.unwritten:
                self._downloads.write()
            if not core.unsettled:
                break
        if core.horizon.at <= core.now:
            self.meeting.dial()
            core.horizon.at = self._next_due()

    def _settle(self, link: Link) -> None:
        connection = link.connection
        if link.broken:
            connection.data_to_send(self._core.now)
        self._take_events(link)
        self._core.unsettled.pop(link, None)  # what the events led to is looked at in what follows
        if link.established:
            # Most of these have nothing to do most of the time.
            if (link.waiting or link.sated) and link.may_say(self._joining.least_cost(link), self._core.now):
                self._joining.join(link)
                self._asking.lose_interest(link)
            if link.hungry:
                self._asking.fill(link)
            if link.tells:
                self._announcing.tell(link)
            if link.peers_due:
                self.meeting.tell_link(link)
            if len(link.serving):
                self._seeding.serve(link)
        if connection.has_output:
            if link.broken:
                self._core.unsettle(link)
            else:
                self._core.transmit(link)
        if link.readings:
            self._seeding.offer(link)
        if link.over and connection.finished and not link.stalled:
            self._hang_up(link)
            return
        if not link.asked_to_read and connection.wants_data and not link.stalled:
            link.asked_to_read = True
            self._core.actions.append(ResumeReading(link.id))
        self._set_alarm(link)

    def _take_events(self, link: Link) -> None:
        """Take what happened on a link, until too many of its blocks wait for the disk [FC-033]."""
        connection, handlers = link.connection, _HANDLERS
        while True:
            if link.unwritten or link.stalled:
                self._hold_or_go_on(link)
            if link.stalled or (event := connection.next_event()) is None:
                return
            handlers[type(event)](self, link, event)

    def _hold_or_go_on(self, link: Link) -> None:
        connection = link.connection
        # A link that this side has closed processes no input anyway, and its end is not to wait.
        # What is held for what the other side asked for counts as well, so that one link does not fill the memory both
        # ways. What waits for the disk gets less by itself, so nothing is held up for ever.
        enough = max(0, _ENOUGH_UNWRITTEN - link.serving.prepared - len(link.serving) // _REQUESTS_LIKE_A_BLOCK)
        stalled = link.unwritten > enough and connection.state is _OPEN
        if stalled is not link.stalled:
            link.stalled = stalled
            if stalled:
                connection.pause(self._core.now)
            else:
                connection.resume(self._core.now)

    def _hang_up(self, link: Link) -> None:
        self._alarms.cancel(link)
        self._admission.gone(link)
        del self._core.links[link.id]
        self._core.actions.append(HangUp(link.id))

    # --- time ---

    def _set_alarm(self, link: Link) -> None:
        due = link.connection.next_timeout()
        at = inf if due is None else due
        if self._core.now < link.quiet_until < at:
            at = link.quiet_until
        if link.refused:
            at = min(at, next(iter(link.refused.values())))
        if link.waiting or link.sated:
            at = min(at, link.may_say_at(self._joining.least_cost(link), self._core.now))
        if link.waiting and link.look_at > self._core.now:
            at = min(at, link.look_at)
        if link.idle_since < inf and not self.meeting.keeps(link):
            at = min(at, link.idle_since + self._config.useless_after)
        # An alarm that comes early does no harm, and most of them are only put off.
        if at < link.alarm_at:
            link.alarm_at = at
            self._alarms.set(link, at)

    def on_time(self) -> None:
        """Do what is due."""
        for link in list(self._alarms.due(self._core.now)):
            link.alarm_at = inf
            link.connection.handle_timeout(self._core.now)
            self._joining.rejoin(link)
            useless = link.established and link.idle_since + self._config.useless_after <= self._core.now
            if useless and not self.meeting.keeps(link):
                self._close(link, CloseCode.NONE, "there is nothing to exchange")  # [CL-009]
            self._core.unsettle(link)
        for swarm in self._announcing.on_time():
            self._asking.review_interest(swarm)
        self._asking.on_time()
        self._downloads.on_time()
        self._seeding.review()
        self.meeting.on_time()

    def next_timeout(self) -> float | None:
        """When `on_time` is to be called."""
        at = self._core.horizon.at
        return None if at == inf else at

    def _next_due(self) -> float:
        due = earliest(
            self._alarms.next(),
            self._asking.next_timeout(),
            self._downloads.next_timeout(),
            self._announcing.next_timeout(),
            self._seeding.next_timeout(),
            self.meeting.next_timeout(),
        )
        return inf if due is None else due

    # --- events: the handshake ---

    def _next_ordinal(self) -> int:
        self._ordinal += 1
        return self._ordinal

    def _on_offer(self, link: Link, event: ev.OfferReceived) -> None:
        link.offered_at = self._next_ordinal()

    def _on_identified(self, link: Link, event: ev.PeerIdentified) -> None:
        link.identity = event.identity
        self.meeting.identified(link)
        self._admission.identified(link)
        if link.connection.role is Role.RESPONDER:
            self._admission.replace_older(link)

    def _on_refused(self, link: Link, event: ev.Refused) -> None:
        link.wanted_suite = event.suite

    def _on_established(self, link: Link, event: ev.LinkEstablished) -> None:
        link.agent = event.agent
        link.established_at = self._next_ordinal()
        link.idle_since = self._core.now
        self._asking.established(link)
        if self.meeting.refuses(link.identity, link.remote):
            self._close(link, CloseCode.NOT_ALLOWED, "this peer is banned")  # since the handshake [TR-070]
        self._admission.settle_duplicates(link)
        if not link.established:
            return
        self._seeding.link_established(link)
        link.announced = True
        self._core.events.append(
            PeerConnected(
                link.id,
                link.identity,
                link.remote,
                link.outbound,
                link.learned_from,
                link.agent,
                event.extensions,
            )
        )
        self._joining.want(link, (*link.wanted, *self.meeting.established(link, event)))

    def _on_closed(self, link: Link, event: ev.Closed) -> None:
        link.over = True
        link.quiet_until = link.idle_since = inf
        if link.connection.identity is not None:
            self.meeting.identified(link)
        self._admission.closed(link)
        self._joining.link_over(link)
        if link.announced:
            self._seeding.link_over(link)
            self._core.events.append(
                PeerDisconnected(link.id, link.identity, event.code, event.reason, event.by_peer, event.truncated)
            )
        self.meeting.closed(link, event)
        if event.code is CloseCode.DUPLICATE:
            # What it was made for goes over the link that stays.
            for other in self._admission.taken.get(link.connection.identity or b"", ()):
                self._joining.want(other, link.wanted)

    # --- events: topics and transfer ---

    def _on_topic_opened(self, link: Link, event: ev.TopicOpened) -> None:
        self._joining.opened(link, event)

    def _on_topic_flags(self, link: Link, event: ev.TopicFlagsChanged) -> None:
        swarm = link.topics.get(event.topic)
        if swarm is not None:
            swarm.links[link.id] = event.flags
            self._core.review_use(swarm, link)
            self.meeting.topic_opened(link, event.topic, event.flags)
            self._asking.manifest_offered(swarm, link)

    def _on_topic_refused(self, link: Link, event: ev.TopicRefused) -> None:
        self._joining.refused(link, event)

    def _on_topic_closed(self, link: Link, event: ev.TopicClosed) -> None:
        self._joining.closed(link, event)

    def _on_object(self, link: Link, event: ev.ObjectLearned) -> None:
        swarm = link.topics.get(event.topic)
        if swarm is not None:
            self._downloads.describe(swarm, event.info)

    def _on_units(self, link: Link, event: ev.UnitsChanged) -> None:
        swarm = link.topics.get(event.topic)
        if swarm is not None:
            swarm.holders_changed((*event.added, *event.removed))
            self._asking.units_changed(swarm, link, event)

    def _on_interest(self, link: Link, event: ev.InterestChanged) -> None:
        if event.topic in link.topics:
            self._seeding.interest_changed(link, event)

    def _on_request(self, link: Link, event: ev.RequestReceived) -> None:
        self._seeding.request_received(link, event)

    def _on_cancelled(self, link: Link, event: ev.RequestCancelled) -> None:
        self._seeding.cancelled(link, event.id)

    def _on_withdrawn(self, link: Link, event: ev.RequestWithdrawn) -> None:
        self._seeding.withdrawn(link, event.id)

    def _on_blocks(self, link: Link, event: ev.BlocksReceived) -> None:
        self._asking.answered(link, event.request, len(event.data))
        if self._asking.forgive(link):
            self._seeding.snubbed(link, on=False)
        blocks, size = self._downloads.blocks_received(link, event)
        if blocks:
            self._seeding.blocks_received(link, blocks, size)

    def _on_request_ended(self, link: Link, event: ev.RequestEnded) -> None:
        self._asking.request_ended(link, event)

    def _on_timed_out(self, link: Link, event: ev.RequestsTimedOut) -> None:
        if self._asking.timed_out(link, event):
            self._seeding.snubbed(link, on=True)

    def _on_peers(self, link: Link, event: ev.PeersReceived) -> None:
        for identity in self.meeting.peers_received(link, event):
            for other in self._admission.taken.get(identity, ()):
                self._joining.want(other, (event.topic,))

    def _on_peers_wanted(self, link: Link, event: ev.PeersWanted) -> None:
        self.meeting.peers_wanted(link, event.topic, event.max)

    def _on_extension(self, link: Link, event: ev.ExtensionReceived) -> None:
        self._core.events.append(ExtensionReceived(link.id, link.identity, event.name, event.index, event.body))

    def _ignore(self, link: Link, event: object) -> None:
        """Nothing follows from it here."""


_HANDLERS: Final[Mapping[type, Callable[[Links, Link, Any], None]]] = {
    ev.OfferReceived: Links._on_offer,
    ev.PeerIdentified: Links._on_identified,
    ev.LinkEstablished: Links._on_established,
    ev.Refused: Links._on_refused,
    ev.TopicOpened: Links._on_topic_opened,
    ev.TopicFlagsChanged: Links._on_topic_flags,
    ev.TopicRefused: Links._on_topic_refused,
    ev.TopicClosed: Links._on_topic_closed,
    ev.ObjectLearned: Links._on_object,
    ev.UnitsChanged: Links._on_units,
    ev.InterestChanged: Links._on_interest,
    ev.CreditReceived: Links._ignore,
    ev.UnitsSuggested: Links._ignore,
    ev.RequestReceived: Links._on_request,
    ev.RequestCancelled: Links._on_cancelled,
    ev.RequestWithdrawn: Links._on_withdrawn,
    ev.BlocksReceived: Links._on_blocks,
    ev.RequestEnded: Links._on_request_ended,
    ev.RequestsTimedOut: Links._on_timed_out,
    ev.PeersReceived: Links._on_peers,
    ev.PeersWanted: Links._on_peers_wanted,
    ev.PongReceived: Links._ignore,
    ev.ExtensionReceived: Links._on_extension,
    ev.Closed: Links._on_closed,
}
