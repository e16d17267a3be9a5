"""The peer book: signed records of peers, who vouches for them, and in which topics.

A record is stored only after every check of SPEC.md, "Peer exchange", the signature last. How much one source can bring
in is bounded per source peer and per source group, and which stored record gives way to a new one is chance, within
buckets that only the holder of a secret can tell; so nobody can flush the book, nor aim at a record in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum, auto
from hashlib import blake2s
from typing import Final, Generic, TypeAlias, TypeVar

import attrs

from p2pwire.crypto.record import verify_record
from p2pwire.node.address import Endpoint, Scope, endpoints_of
from p2pwire.node.alarms import Alarms
from p2pwire.wire.keys import is_acceptable_key
from p2pwire.wire.messages import Buffer, DecodeError, PeerRecord
from p2pwire.wire.registry import (
    BOOK_PER_GROUP,
    BOOK_PER_SOURCE,
    BOOK_TOTAL,
    CLOCK_SKEW,
)

BUCKETS: Final = 64
"""buckets of the book, of 256 records each: the most that one source brings fits into one."""

BUCKETS_PER_GROUP: Final = 4
"""buckets that the records of one source group may fall into: the rest of the book is out of its reach."""

MAX_VOUCHERS: Final = 4
"""sources remembered per record beside the peer itself: enough that no single one can hold a record back."""

SECRET_SIZE: Final = 32
"""bytes of the secret that places records in buckets."""

T = TypeVar("T")


class Outcome(Enum):
    """What became of an offered record."""

    STORED = auto()
    """New, and in the book now."""
    RENEWED = auto()
    """Replaced an older record of the same peer."""
    VOUCHED = auto()
    """The same bytes are in the book already; the source vouches for them too."""
    OWN = auto()
    """One's own record; not kept."""
    FOREIGN = auto()
    """A record in HELLO that is not that of the peer at the other end."""
    MALFORMED = auto()
    """Not the form of a record, or a size outside its bounds."""
    BAD_KEY = auto()
    """The identity is none that counts."""
    CLOCK = auto()
    """From the future, or expired."""
    OLD = auto()
    """Not newer than the record in the book."""
    OVER_BUDGET = auto()
    """The link has brought too many; dropped without a look at the signature."""
    FLOOD = auto()
    """The link has brought so many that it is to be closed."""
    FORGED = auto()
    """The signature does not verify."""


Admit: TypeAlias = Callable[[], Outcome | None]
"""Asked before a signature is checked: None to go on, else why not."""


@attrs.frozen
class Origin:
    """Where records come from: the peer at the other end of a link."""

    identity: bytes
    group: bytes
    """Of the link's remote end (`Endpoint.group`); b"" if the carrier has no IP address."""
    scope: Scope
    """Of the link's remote end; GLOBAL if the carrier has no IP address, which trusts it least."""

    @classmethod
    def of(cls, identity: bytes, remote: Endpoint | None) -> Origin:
        """The origin that a link to `identity` at `remote` is."""
        if remote is None:
            return cls(identity, b"", Scope.GLOBAL)
        return cls(identity, remote.group, remote.scope)


class _Bag(Generic[T]):
    """A set from which one can be drawn by chance in O(1)."""

    __slots__ = ("_items", "_places")

    def __init__(self) -> None:
        self._items: list[T] = []
        self._places: dict[T, int] = {}

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T) -> None:
        self._places[item] = len(self._items)
        self._items.append(item)

    def remove(self, item: T) -> None:
        place = self._places.pop(item)
        last = self._items.pop()
        if place < len(self._items):
            self._items[place] = last
            self._places[last] = place

    def draw(self, random: Callable[[int], bytes]) -> T:
        return self._items[int.from_bytes(random(4), "big") % len(self._items)]


@attrs.define(eq=False)
class _Group:
    """The source peers of one /16 or /32."""

    name: bytes
    sources: dict[bytes, _Source] = attrs.field(factory=dict)
    count: int = 0
    """Vouchers of all its sources."""


@attrs.define(eq=False)
class _Source:
    """A peer that brought records; it stays as long as it vouches for one."""

    identity: bytes
    group: _Group
    brought: _Bag[bytes] = attrs.field(factory=_Bag)


@attrs.frozen
class Voucher:
    """What one source says of a peer."""

    topics: dict[bytes, None]
    """In which it was named; none for a peer's own record in HELLO. The book adds and removes them in place: a peer may
    be named in as many topics as there are resources."""
    reachable: bool
    """Whether the source says that it dialled an address of the record."""
    scope: Scope
    """Of the link over which these very bytes came."""


@attrs.define(eq=False)
class KnownPeer:
    """A stored record, verified, and the sources that vouch for it."""

    identity: bytes
    record: bytes
    """The bytes that the peer signed."""
    sequence: int
    expires: int
    """Unix seconds after which the record counts no longer, the allowance for clocks included."""
    bucket: int
    vouchers: dict[bytes, Voucher] = attrs.field(factory=dict)
    """By the source's identity."""

    @property
    def topics(self) -> frozenset[bytes]:
        """The topics in which the peer was named."""
        return frozenset(topic for voucher in self.vouchers.values() for topic in voucher.topics)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The record's IP addresses, whatever their scope, in the peer's order of preference."""
        return endpoints_of(PeerRecord.decode(self.record).addresses)

    @property
    def dialable(self) -> tuple[Endpoint, ...]:
        """Those addresses that may be dialled, by their scope and port and by the links over which they came."""
        reach = max((voucher.scope for voucher in self.vouchers.values()), default=Scope.GLOBAL)
        return tuple(endpoint for endpoint in self.endpoints if endpoint.dialable(reach))


class PeerBook:
    """All that is known of other peers. `unix_time` is in seconds; records are from about then, or do not count."""

    def __init__(
        self,
        own_identity: bytes,
        *,
        random: Callable[[int], bytes],
        verify: Callable[[PeerRecord, bytes], bool] = verify_record,
        per_source: int = BOOK_PER_SOURCE,
        per_group: int = BOOK_PER_GROUP,
        total: int = BOOK_TOTAL,
    ) -> None:
        self._own_identity = own_identity
        self._random = random
        self._verify = verify
        self._per_source = per_source
        self._per_group = per_group
        self._per_bucket = max(1, total // BUCKETS)
        self._secret = random(SECRET_SIZE)
        self._peers: dict[bytes, KnownPeer] = {}
        self._sources: dict[bytes, _Source] = {}
        self._groups: dict[bytes, _Group] = {}
        self._buckets: tuple[_Bag[bytes], ...] = tuple(_Bag() for _ in range(BUCKETS))
        self._expiries: Alarms[bytes] = Alarms()
        self._changed: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[KnownPeer]:
        return iter(self._peers.values())

    def get(self, identity: bytes) -> KnownPeer | None:
        """What is known of a peer; None if nothing is."""
        return self._peers.get(identity)

    def take_changes(self) -> set[bytes]:
        """The identities of which something has changed since the last call: record, vouchers, or being known."""
        changed, self._changed = self._changed, set()
        return changed

    # --- What links bring -------------------------------------------------------------------------------------------

    def offer(
        self,
        record: Buffer,
        origin: Origin,
        unix_time: float,
        *,
        topic: bytes | None,
        reachable: bool = False,
        admit: Admit = lambda: None,
    ) -> Outcome:
        """Check a record that came over a link [PX-020] and store it, or the link's word for it [PX-028].

        `topic` is None for a peer's own record in HELLO. `admit` is asked once for each record that passes the checks
        before the budget [PX-049].
        """
        raw = bytes(record)
        checked = self._check(raw, unix_time)
        if isinstance(checked, Outcome):
            return checked
        if topic is None and checked.identity != origin.identity:
            return Outcome.FOREIGN  # [FR-027]
        known = self._peers.get(checked.identity)
        if known is not None and raw == known.record:
            self._vouch(known, origin, topic, reachable, renewed=False)
            return Outcome.VOUCHED
        if known is not None and checked.sequence <= known.sequence:
            return Outcome.OLD
        refusal = admit()
        if refusal is not None:
            return refusal
        if not self._verify(checked, raw):
            return Outcome.FORGED
        expires = checked.sequence + checked.ttl + CLOCK_SKEW
        if known is not None:
            self._renew(known, raw, checked.sequence, expires)
            self._vouch(known, origin, topic, reachable, renewed=True)
            return Outcome.RENEWED
        bucket = self._bucket(origin.group, checked.identity)
        known = KnownPeer(checked.identity, raw, checked.sequence, expires, bucket)
        self._vouch(known, origin, topic, reachable, renewed=True)  # first: what the source gives up may be room enough
        self._insert(known)
        return Outcome.STORED

    def _check(self, raw: bytes, unix_time: float) -> PeerRecord | Outcome:
        """The checks that need neither the book nor the signature."""
        try:
            record = PeerRecord.decode(raw)
        except DecodeError:
            return Outcome.MALFORMED
        if not is_acceptable_key(record.identity):
            return Outcome.BAD_KEY
        if record.identity == self._own_identity:
            return Outcome.OWN
        if record.sequence > unix_time + CLOCK_SKEW or record.sequence + record.ttl + CLOCK_SKEW < unix_time:
            return Outcome.CLOCK
        return record

    def vouch(self, identity: bytes, origin: Origin, topic: bytes) -> None:
        """The source names a peer, whose record came before, in one more topic; nothing if there is no such record."""
        known = self._peers.get(identity)
        if known is None:
            return
        voucher = known.vouchers.get(origin.identity)
        self._vouch(known, origin, topic, voucher is not None and voucher.reachable, renewed=False)

    def withdraw(self, identity: bytes, source: bytes, topic: bytes) -> None:
        """A source no longer vouches for a peer in a topic. Nobody's word, nobody's record; others' words stay."""
        known = self._peers.get(identity)
        voucher = None if known is None else known.vouchers.get(source)
        if known is None or voucher is None or topic not in voucher.topics:
            return
        del voucher.topics[topic]
        if voucher.topics or source == identity:  # a peer that leaves a topic is still where its record says
            self._changed.add(identity)
        else:
            self._revoke(known, source)

    def forget_topic(self, topic: bytes) -> None:
        """The topic is over here: nobody is known for it any more. O(records)."""
        for known in list(self._peers.values()):
            for source in list(known.vouchers):
                self.withdraw(known.identity, source, topic)

    def expire(self, unix_time: float) -> None:
        """Remove the records whose time is over."""
        limit = self._expiries.next()
        if limit is None or limit >= unix_time:
            return
        for identity in list(self._expiries.due(unix_time)):
            known = self._peers[identity]
            if known.expires < unix_time:
                self._remove(known)
            else:
                self._expiries.set(identity, known.expires)

    # --- Room -------------------------------------------------------------------------------------------------------

    def _bucket(self, group: bytes, identity: bytes) -> int:
        """Where a record that a source group brings belongs: one of few buckets of 64, both by the secret."""
        nth = blake2s(identity, key=self._secret, digest_size=4).digest()
        choice = int.from_bytes(nth, "big") % BUCKETS_PER_GROUP
        place = blake2s(bytes([choice]) + group, key=self._secret, digest_size=4).digest()
        return int.from_bytes(place, "big") % BUCKETS

    def _insert(self, known: KnownPeer) -> None:
        bucket = self._buckets[known.bucket]
        if len(bucket) >= self._per_bucket:
            self._remove(self._peers[bucket.draw(self._random)])
        bucket.add(known.identity)
        self._peers[known.identity] = known
        self._expiries.set(known.identity, known.expires)

    def _renew(self, known: KnownPeer, raw: bytes, sequence: int, expires: int) -> None:
        """The new bytes came over one link only: what others said of the addresses, they said of the old ones."""
        known.record, known.sequence, known.expires = raw, sequence, expires
        self._expiries.set(known.identity, expires)
        for source, voucher in known.vouchers.items():
            known.vouchers[source] = Voucher(voucher.topics, reachable=False, scope=Scope.GLOBAL)

    def _vouch(self, known: KnownPeer, origin: Origin, topic: bytes | None, reachable: bool, *, renewed: bool) -> None:
        self._changed.add(known.identity)
        last = known.vouchers.get(origin.identity)
        topics = {} if last is None else last.topics
        if topic is not None:
            topics[topic] = None
        scope = origin.scope if renewed or last is None else max(origin.scope, last.scope)
        known.vouchers[origin.identity] = Voucher(topics, reachable, scope)
        if last is None:
            self._make_room(known, origin)
            source = self._source(origin)
            source.brought.add(known.identity)
            source.group.count += 1

    def _make_room(self, known: KnownPeer, origin: Origin) -> None:
        """Withdraw what the new voucher displaces: of its source, of its source group, and of the record."""
        source = self._source(origin)
        if len(source.brought) >= self._per_source:
            self._revoke(self._peers[source.brought.draw(self._random)], source.identity)
        elif source.group.count >= self._per_group:
            victim = self._draw_source(source.group)
            self._revoke(self._peers[victim.brought.draw(self._random)], victim.identity)
        others = [name for name in known.vouchers if name not in (known.identity, origin.identity)]
        if len(others) >= MAX_VOUCHERS and origin.identity != known.identity:
            self._revoke(known, others[self._random(1)[0] % len(others)])

    def _source(self, origin: Origin) -> _Source:
        source = self._sources.get(origin.identity)
        if source is None:
            group = self._groups.setdefault(origin.group, _Group(origin.group))
            source = self._sources[origin.identity] = _Source(origin.identity, group)
            group.sources[origin.identity] = source
        return source

    def _draw_source(self, group: _Group) -> _Source:
        """A source of a full group, the likelier the more it brought. O(its sources)."""
        left = int.from_bytes(self._random(4), "big") % group.count
        for source in group.sources.values():
            left -= len(source.brought)
            if left < 0:
                break
        return source

    def _revoke(self, known: KnownPeer, name: bytes) -> None:
        """A source vouches for a record no longer; without any voucher the record goes."""
        del known.vouchers[name]
        self._changed.add(known.identity)
        source = self._sources[name]
        source.brought.remove(known.identity)
        source.group.count -= 1
        if not source.brought:
            del self._sources[name]
            del source.group.sources[name]
            if not source.group.sources:
                del self._groups[source.group.name]
        if not known.vouchers:
            self._drop(known)

    def _remove(self, known: KnownPeer) -> None:
        for name in list(known.vouchers):
            self._revoke(known, name)

    def _drop(self, known: KnownPeer) -> None:
        del self._peers[known.identity]
        self._buckets[known.bucket].remove(known.identity)
        self._expiries.cancel(known.identity)
