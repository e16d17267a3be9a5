"""A peer without I/O: many links and many resources at once.

Bytes, time and finished disk work go in; actions for the program around it and events for the application come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from p2pwire.connection.commands import SendExtension
from p2pwire.connection.config import Role
from p2pwire.content.objects import ObjectInfo
from p2pwire.crypto.identity import Identity
from p2pwire.node.actions import Action
from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.config import NodeConfig, PeerInfo, Progress
from p2pwire.node.core import Core
from p2pwire.node.dialer import Anchor
from p2pwire.node.events import NodeEvent
from p2pwire.node.links import Links
from p2pwire.node.swarm import Resource, Swarm
from p2pwire.wire.messages import Buffer

__all__ = ["Node", "NodeConfig", "PeerInfo", "Progress"]


class Node:
    """One peer. `now` is monotonic seconds, `unix_time` seconds since 1970; `random(n)` gives n unpredictable bytes.

    After any call that can change something, take `next_action` until None, and `next_event` until None, and look at
    `next_timeout` again.
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
        self._core = Core(random)
        self._links = Links(self._core, identity, config or NodeConfig())
        self._unix_offset = 0.0
        self._set_clock(now, unix_time)

    def __repr__(self) -> str:
        return f"<Node of {len(self._core.links)} links, {len(self._core.swarms)} resources>"

    # --- resources ---

    def set_listening(self, endpoints: Sequence[Endpoint], now: float, unix_time: float) -> None:
        """This peer accepts carriers at these addresses; 0.0.0.0 and :: stand for all of its own."""
        self._set_clock(now, unix_time)
        self._links.meeting.listen(endpoints)
        self._links.rest()

    def share(self, resource: Resource, now: float) -> bytes:
        """Serve content of the user's own; its topic. Raises `ValueError` if the topic is there already."""
        swarm = Swarm.shared(resource)
        self._add(swarm, now)
        self._links.rest()
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
        the beginning on, for a reader who does not wait. Raises `ValueError` if the topic is there already, one of a
        failed fetch included: `forget` it first.
        """
        swarm = Swarm.sought(oid, length=length, sequential=sequential)
        self._add(swarm, now)
        self.add_peers(swarm.topic, peers, now, identity=identity)
        return swarm.topic

    def describe(self, topic: bytes, info: ObjectInfo, now: float) -> None:
        """What a fetched object is, known from elsewhere than a peer; peers that lack it are told [TR-001, TR-002].

        Ignored for a topic that is not fetched. Raises `ValueError` for another object than the topic's.
        """
        if info.topic != topic or info.fault is not None:
            raise ValueError(f"info: {info.fault or 'it is of another topic'}")
        self._tick(now)
        swarm = self._core.swarms.get(topic)
        if swarm is not None:
            self._links.describe(swarm, info)
        self._links.rest()

    def add_peers(
        self, topic: bytes, endpoints: Iterable[Endpoint], now: float, *, identity: bytes | None = None
    ) -> None:
        """Addresses at which peers of a topic may be found, and who they are, from the user."""
        self._tick(now)
        if topic in self._core.catalogue:
            self._links.give(topic, endpoints, identity)
        self._links.rest()

    def knows(self, topic: bytes) -> bool:
        """Whether a topic is shared or fetched."""
        return topic in self._core.swarms

    def forget(self, topic: bytes, now: float) -> None:
        """Stop to share or fetch; unknown topics are ignored. What the storage holds is its own."""
        self._tick(now)
        swarm = self._core.swarms.pop(topic, None)
        if swarm is not None:
            self._links.leave(swarm)
        self._links.rest()

    def progress(self, topic: bytes) -> Progress:
        """How far a resource is. Raises `KeyError` for an unknown topic."""
        swarm = self._core.swarms[topic]
        return Progress(swarm.phase, swarm.done, swarm.size, dict(swarm.sources), len(swarm.links))

    # --- peers ---

    def send_extension(self, link: int, name: str, index: int, body: bytes, now: float) -> None:
        """Send a frame of an extension that both sides listed.

        Raises `KeyError` for a link that is not open; `LocalProtocolError` if the other side has no such frame, if the
        body is too long, or if too much waits to be sent: then it may be tried again later.
        """
        self._tick(now)
        self._links.send_extension(link, SendExtension(name, index, body))
        self._links.rest()

    def peers(self) -> list[PeerInfo]:
        """The established links."""
        return [
            PeerInfo(
                link=link.id,
                identity=link.identity,
                endpoint=link.remote,
                outbound=link.outbound,
                agent=link.agent,
                learned_from=link.learned_from,
                bytes_sent=link.bytes_sent,
                bytes_received=link.bytes_received,
            )
            for link in self._core.links.values()
            if link.established
        ]

    def anchors(self) -> tuple[Anchor, ...]:
        """Outbound peers that are worth remembering over a restart [PX-097]."""
        return self._links.meeting.anchors()

    def add_anchors(self, anchors: Iterable[Anchor], now: float) -> None:
        """Peers remembered from an earlier run, which are dialled first, for the topics that are wanted."""
        self._tick(now)
        self._links.meeting.add_anchors(anchors)
        self._links.rest()

    # --- links ---

    def accepted(self, remote: Endpoint | None, now: float, *, local: Endpoint | None = None) -> int | None:
        """An inbound carrier; its link, or None: close it, there is no room."""
        self._tick(now)
        link = self._links.accepted(remote, local)
        self._links.rest()
        return None if link is None else link.id

    def dial_succeeded(self, dial: int, now: float, *, local: Endpoint | None = None) -> int:
        """The carrier of an action `Dial` is open; its link. Raises `ValueError` if this dial is not in progress."""
        self._tick(now)
        link = self._links.dialled(dial, local)
        self._links.rest()
        return link.id

    def dial_failed(self, dial: int, reason: str, now: float) -> None:
        """The carrier of an action `Dial` could not be opened. Raises `ValueError` if this dial is not in progress."""
        self._tick(now)
        self._links.meeting.failed(dial, reason)
        self._links.rest()

    def attach(
        self,
        role: Role,
        now: float,
        *,
        remote: Endpoint | None = None,
        expected: bytes | None = None,
        scope: Scope | None = None,
    ) -> int:
        """A stream of the caller's own, over which all topics are joined; its link.

        `expected`: who has to be at the other end. `scope`: how far that is, if `remote` does not say it.
        """
        self._tick(now)
        link = self._links.attach(role, remote, expected, scope)
        self._links.rest()
        return link.id

    def receive_data(self, link: int, data: Buffer, now: float) -> None:
        """Bytes of a link as they came, at most `MAX_READ` at once, and only while `wants_data`; `b""` is the end."""
        self._tick(now)
        found = self._core.links.get(link)
        if found is not None:
            found.connection.receive_data(data, self._core.now)
            self._core.unsettle(found)
        self._links.rest()

    def link_lost(self, link: int, now: float) -> None:
        """The carrier broke: nothing can be sent or received."""
        self._tick(now)
        found = self._core.links.get(link)
        if found is not None:
            self._links.lost(found)
        self._links.rest()

    def wants_data(self, link: int) -> bool:
        """Whether the adapter should read; `ResumeReading` comes when this turns true again."""
        found = self._core.links.get(link)
        return found is not None and self._links.wants_data(found)

    def data_to_send(self, link: int, now: float) -> list[Buffer]:
        """What a link has to send. Call it when the buffers before are written; [] means: wait for `Transmit`."""
        self._tick(now)
        found = self._core.links.get(link)
        if found is None or self._links.says_nothing(found):
            return []
        buffers = self._links.data_to_send(found)
        self._links.rest()
        return buffers

    def output_ended(self, link: int) -> bool:
        """Whether nothing more will be sent on a link: half-close the carrier."""
        found = self._core.links.get(link)
        return found is None or found.connection.output_ended

    # --- disk ---

    def disk_done(self, ticket: int, result: object, now: float) -> None:
        """Disk work is done; `result` as the action says. Raises `ValueError` for a ticket that is not open."""
        self._tick(now)
        self._core.take_ticket(ticket).done(result)
        self._links.rest()

    def disk_failed(self, ticket: int, error: Exception, now: float) -> None:
        """Disk work failed. Raises `ValueError` for a ticket that is not open."""
        self._tick(now)
        self._core.take_ticket(ticket).failed(error)
        self._links.rest()

    # --- output and time ---

    @property
    def has_news(self) -> bool:
        """Whether `next_action` or `next_event` has something."""
        return bool(self._core.actions or self._core.events)

    def next_action(self) -> Action | None:
        """What the program around is to do next."""
        return self._core.actions.popleft() if self._core.actions else None

    def next_event(self) -> NodeEvent | None:
        """What happened next."""
        return self._core.events.popleft() if self._core.events else None

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is to be called."""
        return self._links.next_timeout()

    def handle_timeout(self, now: float, unix_time: float) -> None:
        """Do what is due. Calling it early does no harm; `unix_time` may jump."""
        self._set_clock(now, unix_time)
        self._links.on_time()
        self._links.rest()

    def close(self, now: float) -> None:
        """Say SHUTDOWN on all links; `HangUp` follows for each. Nothing is dialled or accepted any more."""
        self._tick(now)
        self._links.close()
        self._links.rest()

    # --- inside ---

    def _set_clock(self, now: float, unix_time: float) -> None:
        self._unix_offset = unix_time - now
        self._tick(now)
        self._core.unix_time = self._core.now + self._unix_offset

    def _tick(self, now: float) -> None:
        # Monotonic time can not go back, whatever the caller's clock does.
        core = self._core
        if now > core.now:
            core.now = now
            core.unix_time = now + self._unix_offset

    def _add(self, swarm: Swarm, now: float) -> None:
        self._tick(now)
        if swarm.topic in self._core.swarms:
            raise ValueError("this object is shared or fetched already")
        self._core.swarms[swarm.topic] = swarm
        self._core.publish(swarm)
        self._links.added(swarm)
