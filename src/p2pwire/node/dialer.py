"""Whom to dial next, under all the dial rules of SPEC.md, "Peer exchange".

A candidate is in exactly one of three places: in the queues of the sources that named it (ready), among the alarms
(held back until a known time), or nowhere (linked, being dialled, or not wanted), until something changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from enum import Enum, auto
from math import inf
from typing import Final

import attrs

from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.alarms import Alarms, Horizon, earliest
from p2pwire.node.bans import Bans
from p2pwire.node.dialqueue import Candidate, DialQueues, DialTarget, Local, SourceName, SourceQueue
from p2pwire.node.dialrules import Backoff, PortLimits
from p2pwire.node.peerbook import PeerBook
from p2pwire.wire.registry import (
    ANCHORS,
    DIALS_PARALLEL,
    DIALS_PER_MINUTE,
    HANDSHAKE_TIMEOUT,
    MIN_OUTBOUND_SLOTS,
    PORTS_PER_GLOBAL_IP,
    PORTS_PER_LOCAL_IP,
    RECONNECT_JITTER,
    RECONNECT_MAX,
    RECONNECT_MIN,
    WRONG_IDENTITY_MAX,
    WRONG_IDENTITY_MIN,
)

OWN_ADDRESSES: Final = 256
"""own addresses remembered; each was configured, or a dial to it met this very peer."""

GIVEN_KEPT: Final = 1024
"""addresses taken from one local source: anyone in the local network can announce as many as they like."""


class DialFailure(Enum):
    """How a dial ended without a link."""

    UNREACHABLE = auto()
    """No carrier could be opened."""
    HANDSHAKE = auto()
    """No handshake came of it, or no HELLO, for another reason than those below."""
    WRONG_IDENTITY = auto()
    """Another peer than the expected one answered."""
    SELF = auto()
    """This very peer answered."""
    DUPLICATE = auto()
    """There is a link to the peer that answered."""


@attrs.frozen
class DialLimits:
    """How widely and how often a peer dials. Each default is that of SPEC.md; times are in seconds."""

    slots: int = attrs.field(default=MIN_OUTBOUND_SLOTS, validator=attrs.validators.ge(MIN_OUTBOUND_SLOTS))
    """Outbound links that come of records or anchors."""
    parallel: int = DIALS_PARALLEL
    per_minute: int = DIALS_PER_MINUTE
    global_ports: int = PORTS_PER_GLOBAL_IP
    local_ports: int = PORTS_PER_LOCAL_IP
    attempt: float = HANDSHAKE_TIMEOUT
    """How long another candidate with the same address waits while it is being dialled."""
    reconnect_min: float = RECONNECT_MIN
    reconnect_max: float = RECONNECT_MAX
    jitter: float = RECONNECT_JITTER
    wrong_identity_min: float = WRONG_IDENTITY_MIN
    wrong_identity_max: float = WRONG_IDENTITY_MAX
    stable: float = 60.0
    """A link that lasted so long worked: its end is the first failure again."""
    anchors: int = ANCHORS


@attrs.frozen
class Anchor:
    """An outbound peer worth remembering over a restart."""

    identity: bytes
    endpoint: Endpoint
    topics: frozenset[bytes]


@attrs.define(eq=False)
class _Slot:
    """An outbound dial or link."""

    candidate: Candidate
    queue: SourceQueue
    named: tuple[bytes, ...]
    """Identities that count as busy while the dial lasts."""
    group: bytes | None
    counted: bool
    """Whether it takes one of the outbound slots; what the user or the local network gave does not."""
    identity: bytes | None = None
    """Who answered; None while dialling."""
    yielded: bool = False
    """Asked to make room for a peer of another group."""


@attrs.define(eq=False)
class _Linked:
    """The links to one identity: more than one while it is being settled which is a duplicate."""

    since: float
    count: int = 0


class Dialer:
    """Chooses dials; the caller makes them and reports what came of each. Times are monotonic seconds."""

    def __init__(
        self,
        book: PeerBook,
        bans: Bans,
        *,
        random: Callable[[int], bytes],
        limits: DialLimits | None = None,
        horizon: Horizon | None = None,
    ) -> None:
        self._book = book
        self._bans = bans
        self._limits = limits = DialLimits() if limits is None else limits
        self._endpoints: Backoff[Endpoint] = Backoff(limits.reconnect_min, limits.reconnect_max, limits.jitter, random)
        self._identities: Backoff[bytes] = Backoff(limits.reconnect_min, limits.reconnect_max, limits.jitter, random)
        self._claims: Backoff[tuple[bytes, Endpoint]] = Backoff(
            limits.wrong_identity_min, limits.wrong_identity_max, 0.0, random
        )
        self._ports = PortLimits(limits.global_ports, limits.local_ports)
        self._own: OrderedDict[Endpoint, None] = OrderedDict()
        self._topics: set[bytes] = set()
        self._known: dict[bytes, Candidate] = {}
        self._given: dict[tuple[Local, Endpoint], Candidate] = {}
        self._aliases: dict[bytes, set[Candidate]] = {}
        self._busy: dict[bytes, int] = {}
        self._links: dict[bytes, _Linked] = {}
        self._slots: dict[DialTarget, _Slot] = {}
        self._dialled: set[Endpoint] = set()
        self._horizon = horizon = horizon or Horizon()
        self._queues = DialQueues(limits.parallel, limits.per_minute, horizon)
        self._alarms: Alarms[Candidate] = Alarms(horizon)
        self._quiet = True

    # --- What is wanted ---------------------------------------------------------------------------------------------

    def want(self, topic: bytes, now: float) -> None:
        """Dial peers of this topic from now on. O(candidates)."""
        self._topics.add(topic)
        self._settle_topic(topic, now)

    def unwant(self, topic: bytes, now: float) -> None:
        """Dial nobody for this topic any more; links stay. O(candidates)."""
        self._topics.discard(topic)
        self._settle_topic(topic, now)

    def give(
        self,
        endpoint: Endpoint,
        now: float,
        *,
        source: Local = Local.USER,
        identity: bytes | None = None,
        topics: Iterable[bytes] = (),
    ) -> bool:
        """An address from the user or the local network, for some topics or (none named) for all that are wanted.

        It is dialled again and again while there is no link to it, until `take_back`. False: the source gave too many.
        """
        candidate = self._given.get((source, endpoint))
        if candidate is None:
            if sum(name is source for name, _ in self._given) >= GIVEN_KEPT:
                return False
            candidate = Candidate(identity, source, endpoint, frozenset(topics))
            self._given[source, endpoint] = candidate
        else:
            named = frozenset(topics)
            candidate.topics = candidate.topics | named if candidate.topics and named else frozenset()
            candidate.identity = identity or candidate.identity
        self._alias(candidate, identity)
        self._settle(candidate, now)
        return True

    def take_back(self, endpoint: Endpoint, now: float, *, source: Local = Local.USER) -> None:
        """Do not dial a given address any more; a dial or link that there is stays."""
        candidate = self._given.pop((source, endpoint), None)
        if candidate is None:
            return
        self._queues.dequeue(candidate, now)
        self._alarms.cancel(candidate)
        for name in candidate.names:
            self._aliases.get(name, set()).discard(candidate)
            if not self._aliases.get(name):
                self._aliases.pop(name, None)

    def add_own(self, endpoint: Endpoint) -> None:
        """An address of this very peer: never dialled."""
        self._own[endpoint] = None
        self._own.move_to_end(endpoint)
        if len(self._own) > OWN_ADDRESSES:
            self._own.popitem(last=False)

    def refresh(self, identity: bytes, now: float) -> None:
        """Something changed in the book (`PeerBook.take_changes`)."""
        candidate = self._known.get(identity) or Candidate(identity)
        if self._book.get(identity) is None:
            self._known.pop(identity, None)
        else:
            self._known[identity] = candidate
        self._settle(candidate, now)

    # --- Anchors ----------------------------------------------------------------------------------------------------

    def anchors(self) -> tuple[Anchor, ...]:
        """The outbound peers to remember over a restart: those linked longest, of different groups."""
        chosen: list[Anchor] = []
        groups: set[bytes] = set()
        for target, slot in self._slots.items():
            if slot.identity is None or slot.yielded or slot.group in groups or len(chosen) >= self._limits.anchors:
                continue
            if slot.group is not None:
                groups.add(slot.group)
            chosen.append(Anchor(slot.identity, target.endpoint, target.topics))
        return tuple(chosen)

    def add_anchors(self, anchors: Iterable[Anchor], now: float) -> None:
        """Remembered peers: each is dialled until there is a link to it, or someone else answers."""
        for anchor in list(anchors)[: self._limits.anchors]:
            self.give(anchor.endpoint, now, source=Local.ANCHOR, identity=anchor.identity, topics=sorted(anchor.topics))

    # --- Dials ------------------------------------------------------------------------------------------------------

    def next(self, now: float) -> DialTarget | None:
        """Whom to dial now; None if nobody. Ask until None after every change and at every `next_timeout`."""
        for candidate in self._alarms.due(now):
            self._settle(candidate, now)
        if self._queues.wake(now):
            self._quiet = False
        while not self._quiet:
            choice = self._choose()
            if choice is None:
                self._quiet = True
                break
            source, candidate = choice
            assert candidate.endpoint is not None  # it was ready
            if self._free_at(candidate, candidate.endpoint, now) <= now:
                return self._begin(source, candidate, candidate.endpoint, now)
            self._settle(candidate, now)  # something has happened to the address since it became ready
        return None

    def next_timeout(self, now: float) -> float | None:
        """When `next` is to be asked again; None: not before something else happens."""
        if not self._quiet:
            return now
        return earliest(self._alarms.next(), self._queues.next_timeout())

    def failed(self, target: DialTarget, failure: DialFailure, now: float, *, identity: bytes | None = None) -> None:
        """No link came of a dial. `identity`: who answered, if anyone did."""
        slot = self._slots.pop(target)
        candidate = slot.candidate
        self._meet(candidate, identity)
        if failure is DialFailure.SELF:
            self.add_own(target.endpoint)  # [ID-015]
        elif failure is not DialFailure.DUPLICATE or identity not in self._links:
            spared = identity if failure is DialFailure.WRONG_IDENTITY else None
            self._endpoints.failed(target.endpoint, now, spared=spared)
        if failure is DialFailure.WRONG_IDENTITY and target.identity is not None:
            self._claims.failed((target.identity, target.endpoint), now)
            if candidate.local is Local.ANCHOR:
                self.take_back(target.endpoint, now, source=Local.ANCHOR)
        self._end_dial(target, slot, now)

    def succeeded(self, target: DialTarget, identity: bytes, now: float) -> tuple[DialTarget, ...]:
        """A dial became an established link. Returns the links to hang up in its favour; `closed` is reported of them
        as of any other."""
        slot = self._slots[target]
        slot.identity = identity
        self._claims.forget((identity, target.endpoint))
        self._meet(slot.candidate, identity)
        self._begin_link(identity, now)
        if slot.candidate.local is Local.ANCHOR:
            self.take_back(target.endpoint, now, source=Local.ANCHOR)
        self._end_dial(target, slot, now)
        return self._yield()

    def accepted(self, identity: bytes, now: float) -> None:
        """A link that was not dialled here is established: its peer is not dialled while it lasts."""
        self._begin_link(identity, now)

    def closed(self, identity: bytes, now: float, *, target: DialTarget | None = None, reconnect: bool = True) -> None:
        """An established link is over. `target`: what was dialled for it; `reconnect`: False for DUPLICATE and SELF,
        which cause no new dial to the peer."""
        self._stir()
        link = self._links[identity]
        link.count -= 1
        worked = now - link.since >= self._limits.stable  # [TM-022]
        if target is not None and self._slots.pop(target, None) is not None:
            if worked:
                self._endpoints.forget(target.endpoint)
            self._endpoints.failed(target.endpoint, now)
        if not link.count:
            del self._links[identity]
            if worked:
                self._identities.forget(identity)
            self._identities.failed(identity, now, at_once=not reconnect)
        self._release(identity, now)

    # --- Choosing ---------------------------------------------------------------------------------------------------

    def _choose(self) -> tuple[SourceQueue, Candidate] | None:
        """The next candidate whose turn it is. One in the group of another outbound link gets a slot only while none
        of another group can be dialled [PX-095], and does not keep such a one from being tried later [PX-096]."""
        given = self._queues.next_given()
        if given is not None:
            return given
        occupied = {slot.group for slot in self._slots.values() if slot.group is not None}
        counted = [slot for slot in self._slots.values() if slot.counted and not slot.yielded]
        if len(counted) - len(self._surplus()) < self._limits.slots:
            choice = self._queues.next_outside(occupied)
            if choice is not None:
                return choice
        return self._queues.next_outside(()) if len(counted) < self._limits.slots else None

    def _surplus(self) -> list[_Slot]:
        """Counted dials and links in a group that has an earlier one, or one that the user gave."""
        seen = {slot.group for slot in self._slots.values() if not slot.counted}
        found = []
        for slot in self._slots.values():
            if slot.group is None or not slot.counted or slot.yielded:
                continue
            if slot.group in seen:
                found.append(slot)
            seen.add(slot.group)
        return found

    def _yield(self) -> tuple[DialTarget, ...]:
        """Links beyond the slots, those of crowded groups, the newest first."""
        linked = sum(slot.counted and slot.identity is not None and not slot.yielded for slot in self._slots.values())
        surplus = [slot for slot in self._surplus() if slot.identity is not None]
        chosen = surplus[::-1][: max(0, linked - self._limits.slots)]
        for slot in chosen:
            slot.yielded = True
        return tuple(target for target, slot in self._slots.items() if slot in chosen)

    def _free_at(self, candidate: Candidate, endpoint: Endpoint, now: float) -> float:
        """From which time on the candidate may be dialled at the address."""
        if endpoint in self._own:
            return inf
        times = [self._bans.endpoint_until(endpoint), self._endpoints.until(endpoint, candidate.identity)]
        for name in candidate.names:
            times += self._bans.identity_until(name), self._identities.until(name)
        if candidate.identity is not None:
            times.append(self._claims.until((candidate.identity, endpoint)))
        if endpoint in self._dialled:
            times.append(now + self._limits.attempt)
        if not candidate.exempt:
            times.append(self._ports.free_at(endpoint, now))
        return max(times)

    # --- A candidate's place ----------------------------------------------------------------------------------------

    def _settle_topic(self, topic: bytes, now: float) -> None:
        candidates = dict.fromkeys(self._given.values())
        for known in self._book:
            if topic in known.topics:
                candidates.update(dict.fromkeys(self._standing(known.identity)))
        for candidate in candidates:
            self._settle(candidate, now)

    def _settle(self, candidate: Candidate, now: float) -> None:
        """Put the candidate where it belongs now."""
        self._stir()
        self._queues.dequeue(candidate, now)
        self._alarms.cancel(candidate)
        if any(name in self._busy for name in candidate.names):
            return
        endpoints, sources = self._prospects(candidate)
        wake = inf
        for endpoint in endpoints:
            free_at = self._free_at(candidate, endpoint, now)
            if free_at <= now:
                candidate.endpoint, candidate.group = endpoint, _limited_group(endpoint)
                self._queues.enqueue(candidate, sources, now)
                return
            wake = min(wake, free_at)
        if wake < inf:
            self._alarms.set(candidate, wake)

    def _stir(self) -> None:
        """Somebody may be dialled now who could not be before."""
        self._quiet = False
        self._horizon.near(-inf)

    def _prospects(self, candidate: Candidate) -> tuple[tuple[Endpoint, ...], dict[SourceName, bool]]:
        """Where the candidate could be dialled, and by whose word; nowhere if no topic wants it."""
        if candidate.fixed is not None and candidate.local is not None:
            wanted = not self._topics.isdisjoint(candidate.topics) if candidate.topics else bool(self._topics)
            return ((candidate.fixed,) if wanted else ()), {candidate.local: False}
        known = None if candidate.identity is None else self._book.get(candidate.identity)
        if known is None:
            return (), {}
        sources: dict[SourceName, bool] = {
            name: voucher.reachable
            for name, voucher in known.vouchers.items()
            if not self._topics.isdisjoint(voucher.topics)
        }
        return (known.dialable if sources else ()), sources

    def _topics_of(self, candidate: Candidate) -> frozenset[bytes]:
        """For which wanted topics the candidate would be dialled."""
        if candidate.local is not None:
            return frozenset(candidate.topics & self._topics if candidate.topics else self._topics)
        known = None if candidate.identity is None else self._book.get(candidate.identity)
        return frozenset() if known is None else known.topics & self._topics

    # --- Dials and links --------------------------------------------------------------------------------------------

    def _begin(self, source: SourceQueue, candidate: Candidate, endpoint: Endpoint, now: float) -> DialTarget:
        target = DialTarget(endpoint, candidate.identity, self._topics_of(candidate), candidate.local or source.name)
        named = candidate.names
        slot = _Slot(candidate, source, named, _limited_group(endpoint), counted=not candidate.exempt)
        self._slots[target] = slot
        self._queues.begin(source, now)  # first, so that the source is not forgotten with its last candidate
        self._queues.dequeue(candidate, now)
        self._dialled.add(endpoint)
        if not candidate.exempt:
            self._ports.enter(endpoint, now)
        for name in named:
            self._occupy(name, now)
        return target

    def _end_dial(self, target: DialTarget, slot: _Slot, now: float) -> None:
        self._stir()
        candidate = slot.candidate
        self._queues.end(slot.queue, now)
        self._dialled.discard(target.endpoint)
        for name in slot.named:
            self._release(name, now)
        if candidate.local is not None:
            current = self._given.get((candidate.local, target.endpoint))
        else:
            current = None if candidate.identity is None else self._known.get(candidate.identity)
        if current is candidate:  # else it was withdrawn meanwhile
            self._settle(candidate, now)

    def _begin_link(self, identity: bytes, now: float) -> None:
        link = self._links.setdefault(identity, _Linked(now))
        link.count += 1
        self._occupy(identity, now)

    def _occupy(self, identity: bytes, now: float) -> None:
        """One dial or link more to an identity."""
        self._busy[identity] = self._busy.get(identity, 0) + 1
        if self._busy[identity] == 1:
            self._settle_named(identity, now)

    def _release(self, identity: bytes, now: float) -> None:
        self._busy[identity] -= 1
        if not self._busy[identity]:
            del self._busy[identity]
            self._settle_named(identity, now)

    def _settle_named(self, identity: bytes, now: float) -> None:
        """What stands for this peer becomes free to be dialled, or no longer is."""
        for candidate in self._standing(identity):
            self._settle(candidate, now)

    def _standing(self, identity: bytes) -> list[Candidate]:
        """The candidates that stand for an identity: of the book, and of local sources."""
        known = self._known.get(identity)
        return [*([] if known is None else [known]), *self._aliases.get(identity, ())]

    def _meet(self, candidate: Candidate, identity: bytes | None) -> None:
        """A peer answered at the address of a local source."""
        if candidate.local is not None and identity is not None and candidate.met != identity:
            if candidate.met is not None and candidate.met != candidate.identity:
                self._aliases[candidate.met].discard(candidate)
            candidate.met = identity
            self._alias(candidate, identity)

    def _alias(self, candidate: Candidate, identity: bytes | None) -> None:
        if identity is not None:
            self._aliases.setdefault(identity, set()).add(candidate)


def _limited_group(endpoint: Endpoint) -> bytes | None:
    """The group whose limit binds the address; None: it is not global, and no limit does."""
    return endpoint.group if endpoint.scope is Scope.GLOBAL else None
