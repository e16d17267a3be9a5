"""Joining: which topics are open on which links, from the wish to the end.

A link has fewer handles than a peer may have resources. Each side takes half of them at most for what it wishes itself,
so that the other one's wishes find room; and while some wait, it leaves others: those of which both sides have all, and
in turn those in which neither wants anything.

Changes links' `wanted`, `waiting`, `joining`, `sought`, `topics`, `spent`, `quiet`, `refused` and `idle_since`, and
swarms' `links`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from math import inf
from typing import Final

from p2pwire.connection import commands as cmd
from p2pwire.connection import events as ev
from p2pwire.node.asking import INTEREST_COST
from p2pwire.node.core import Core
from p2pwire.node.downloads import Downloads
from p2pwire.node.link import Link
from p2pwire.node.meeting import Meeting
from p2pwire.node.seeding import Seeding
from p2pwire.node.swarm import Swarm
from p2pwire.wire.registry import REJOIN_DELAY

JOIN_COST: Final = 3
"""counted frames that a JOIN leads to: itself, OBJECT and INTEREST."""

ANSWER_COST: Final = 2
"""counted frames that an answered JOIN leads to: OBJECT and INTEREST."""

COST_AT_ONCE: Final = 48
"""counted frames that are waited for where they are used up: a JOIN alone, or the end of INTEREST in one topic, would
wake both sides, and be a record of its own, as soon as there is room for it. They take a second to come together."""

TURN: Final = 10.0
"""seconds that a topic stays open, at least, in which neither side wants anything, while others wait for its handle:
long enough to hear in it what the other side has."""

STAGGER: Final = 5.0
"""seconds for which a responder puts off longer what was refused: two sides that refuse each other for lack of handles
would else do it again and again."""


class Joining:
    """The topics of all links."""

    def __init__(self, core: Core, meeting: Meeting, downloads: Downloads, seeding: Seeding) -> None:
        self._core = core
        self._meeting = meeting
        self._downloads = downloads
        self._seeding = seeding

    # --- own wishes ---

    def want(self, link: Link, topics: Iterable[bytes]) -> None:
        """The link may be used for these topics: join those of the catalogue, now or as soon as that may be."""
        for topic in topics:
            link.wanted[topic] = None
            self._await(link, topic)

    def _await(self, link: Link, topic: bytes) -> None:
        known = topic in link.topics or topic in link.joining or topic in link.refused
        if not known and topic in self._core.catalogue:
            link.waiting[topic] = None
            self._core.unsettle(link)

    def join(self, link: Link) -> None:
        """Send the JOINs that wait, as far as handles and the control frames allow that lost interest leaves."""
        if not link.waiting:
            return
        if not self._room(link):
            self._make_room(link)
        affordable = (int(link.control.tokens) - INTEREST_COST * len(link.sated)) // JOIN_COST
        for topic in list(islice(link.waiting, max(0, min(self._room(link), affordable)))):
            if not link.connection.can_join:
                return
            del link.waiting[topic]
            if self._core.send(link, cmd.Join(topic)):
                link.control.tokens -= JOIN_COST
                link.joining[topic] = link.sought[topic] = None
            else:
                # It was left, and the other side's end is still due: it can be joined when that has come.
                link.waiting[topic] = None

    def least_cost(self, link: Link) -> int:
        """Counted frames that are to be free before waiting topics are joined, and interest is lost in others."""
        return min(JOIN_COST * len(link.waiting) + INTEREST_COST * len(link.sated), COST_AT_ONCE)

    def _room(self, link: Link) -> int:
        """How many more topics may be asked for."""
        connection = link.connection
        own = len(link.sought) + connection.leaving
        return max(0, max(1, connection.most_topics // 2) - own) if connection.can_join else 0

    def _make_room(self, link: Link) -> None:
        """Leave topics of no use, no more than wait, and as far as the control frames allow."""
        link.may_say(0, self._core.now)
        needed = max(0, min(len(link.waiting) - link.connection.leaving, int(link.control.tokens)))
        useless = list(islice(link.spent, needed))
        if self._core.now >= link.look_at:
            link.look_at = self._core.now + TURN
            before, link.quiet = link.quiet, frozenset(topic for topic in link.topics if _is_quiet(link, topic))
            still = before & link.quiet
            useless += [topic for topic in link.topics if topic in still and topic not in link.spent]
        for topic in useless[:needed]:
            # What both sides have is worth as little to the other one, and need not be asked for again.
            again = topic in link.wanted and topic not in link.spent
            if not again:
                link.wanted.pop(topic, None)
            self._core.send_counted(link, cmd.Leave(topic))
            self._over(link, topic)
            if again:
                link.waiting[topic] = None  # its turn comes again

    def rejoin(self, link: Link) -> None:
        """Ask again where the time after a refusal is over."""
        while link.refused and (first := next(iter(link.refused.items())))[1] <= self._core.now:
            topic = first[0]
            del link.refused[topic]
            if topic in link.wanted:
                self._await(link, topic)

    def added(self, swarm: Swarm) -> None:
        """A new resource: join it where the other side asked for it in vain, and on the caller's own streams."""
        for link in self._core.links.values():
            if link.established and (link.given or link.connection.asked_for(swarm.topic)):
                self.want(link, (swarm.topic,))

    def leave(self, swarm: Swarm) -> None:
        """Leave a topic on all links."""
        self._core.catalogue.pop(swarm.topic, None)
        self._meeting.forget(swarm.topic)
        for link in self._core.links.values():
            link.wanted.pop(swarm.topic, None)
            link.waiting.pop(swarm.topic, None)
            if swarm.topic in link.topics or swarm.topic in link.joining:
                self._core.send_counted(link, cmd.Leave(swarm.topic))
            link.joining.pop(swarm.topic, None)
            link.sought.pop(swarm.topic, None)
            self._over(link, swarm.topic)

    # --- what the other side does ---

    def opened(self, link: Link, event: ev.TopicOpened) -> None:
        """The topic is open."""
        topic = event.topic
        if topic not in link.joining:
            link.control.tokens -= ANSWER_COST
        for topics in (link.joining, link.waiting, link.refused):
            topics.pop(topic, None)
        if topic not in self._core.catalogue:
            link.sought.pop(topic, None)
            self._core.send_counted(link, cmd.Leave(topic))
            return
        swarm = self._core.swarms[topic]
        link.topics[topic] = swarm
        link.idle_since = inf
        swarm.links[link.id] = event.flags
        swarm.holders.clear()
        self._core.review_use(swarm, link)
        self._core.send(link, cmd.Join(topic))  # tells flags that have changed since own JOIN [TP-014]
        self._meeting.topic_opened(link, topic, event.flags)
        self._downloads.link_opened(swarm, link)

    def refused(self, link: Link, event: ev.TopicRefused) -> None:
        """The other side does not know the topic, or does not want it: ask again later."""
        link.joining.pop(event.topic, None)
        link.sought.pop(event.topic, None)
        self._put_off(link, event.topic)

    def closed(self, link: Link, event: ev.TopicClosed) -> None:
        """The other side has left an open topic, or refused it after all: it may come back."""
        if event.topic in link.spent:
            link.wanted.pop(event.topic, None)
        self._over(link, event.topic)
        self._put_off(link, event.topic)

    def _put_off(self, link: Link, topic: bytes) -> None:
        link.waiting.pop(topic, None)
        link.refused.pop(topic, None)
        link.refused[topic] = self._core.now + REJOIN_DELAY + (0.0 if link.outbound else STAGGER)

    def link_over(self, link: Link) -> None:
        """The link is over, and with it all that was open on it."""
        for topic in list(link.topics):
            self._over(link, topic)
        for topics in (link.joining, link.sought, link.waiting, link.refused):
            topics.clear()

    def _over(self, link: Link, topic: bytes) -> None:
        swarm = link.topics.pop(topic, None)
        link.sought.pop(topic, None)
        link.spent.pop(topic, None)
        if swarm is None:
            return
        del swarm.links[link.id]
        swarm.holders.clear()
        if not link.topics and not link.over:
            link.idle_since = self._core.now
        self._meeting.topic_closed(link, topic)
        self._downloads.link_closed(swarm, link)
        self._seeding.topic_over(link, topic)


def _is_quiet(link: Link, topic: bytes) -> bool:
    return not (topic in link.interested or topic in link.interests or topic in link.untold)
