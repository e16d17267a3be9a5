"""What the parts of a node share: links, resources, and the two queues towards the program around it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

import attrs

from p2pwire.connection.commands import Command, LocalProtocolError
from p2pwire.connection.config import Offer
from p2pwire.node.actions import Action, Transmit
from p2pwire.node.alarms import Horizon
from p2pwire.node.events import NodeEvent
from p2pwire.node.link import Link
from p2pwire.node.swarm import Swarm


@attrs.frozen
class Ticket:
    """Disk work that was asked for, and what its end leads to."""

    done: Callable[[Any], None]
    failed: Callable[[Exception], None]


@attrs.define(eq=False)
class Core:
    """The state that the parts of a node work on; each part changes only what its docstring says."""

    random: Callable[[int], bytes]
    now: float = -inf
    """Monotonic seconds."""
    unix_time: float = 0.0
    """Seconds since 1970."""
    closing: bool = False
    """The node stops: nothing is dialled or accepted any more."""
    links: dict[int, Link] = attrs.field(factory=dict)
    swarms: dict[bytes, Swarm] = attrs.field(factory=dict)
    catalogue: dict[bytes, Offer] = attrs.field(factory=dict)
    """topic -> offer: what connections may answer JOIN with. A fetch that failed is in `swarms` and not here."""
    actions: deque[Action] = attrs.field(factory=deque)
    events: deque[NodeEvent] = attrs.field(factory=deque)
    horizon: Horizon = attrs.field(factory=Horizon)
    """Before this time nothing is to be done unless something comes in."""
    unsettled: dict[Link, None] = attrs.field(factory=dict)
    """Links that have to be looked at again, in order."""
    restless: dict[Swarm, None] = attrs.field(factory=dict)
    """Swarms of which blocks may be asked for that could not be before."""
    unwritten: dict[Swarm, None] = attrs.field(factory=dict)
    """Swarms with blocks for the disk, and none on their way to it."""
    withdrawn: list[Swarm] = attrs.field(factory=list)
    """Swarms that are to be left on all links."""
    _tickets: dict[int, Ticket] = attrs.field(factory=dict)
    _last_ticket: int = 0

    def ticket(self, done: Callable[[Any], None], failed: Callable[[Exception], None]) -> int:
        """A number for disk work."""
        self._last_ticket += 1
        self._tickets[self._last_ticket] = Ticket(done, failed)
        return self._last_ticket

    def take_ticket(self, number: int) -> Ticket:
        """The work of this number, once. Raises `ValueError` for an unknown one."""
        ticket = self._tickets.pop(number, None)
        if ticket is None:
            raise ValueError(f"ticket {number} is not open")
        return ticket

    def publish(self, swarm: Swarm) -> None:
        """The catalogue says what the swarm is now."""
        self.catalogue[swarm.topic] = swarm.offer
        for number in swarm.links:
            self.review_use(swarm, self.links[number])

    def review_use(self, swarm: Swarm, link: Link) -> None:
        """What one side of a link has of an open topic has changed: perhaps both have all of it."""
        if swarm.complete_with(swarm.links[link.id]):
            link.spent[swarm.topic] = None
        else:
            link.spent.pop(swarm.topic, None)

    def current(self, swarm: Swarm) -> bool:
        """Whether the swarm is still served or fetched: neither forgotten nor failed."""
        return self.swarms.get(swarm.topic) is swarm and swarm.topic in self.catalogue

    def send(self, link: Link, command: Command) -> bool:
        """Give a link's connection a command, now; False if it is too late, since the request or the link has ended.

        The event that says so may still wait: a link that is stalled processes none.
        """
        given = self.give(link, command)
        if given:
            self.unsettle(link)
        return given

    def give(self, link: Link, command: Command) -> bool:
        """The same where the caller knows what is to be done next."""
        try:
            link.connection.send(command, self.now)
        except LocalProtocolError:
            return False
        return True

    def send_counted(self, link: Link, command: Command, cost: int = 1) -> bool:
        """The same for what counts as control frames, now or as it leads to some, within the allowance or not."""
        link.may_say(0, self.now)
        link.control.tokens -= cost
        return self.send(link, command)

    def unsettle(self, link: Link) -> None:
        """Look at a link again before the node comes to rest."""
        self.unsettled[link] = None

    def transmit(self, link: Link) -> None:
        """Tell the adapter, once, that there is something to send."""
        if not link.transmitting:
            link.transmitting = True
            self.actions.append(Transmit(link.id))
