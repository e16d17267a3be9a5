"""Peers that may be shared, by number: so that sets of them are Python integers with a bit per peer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

import attrs

from p2pwire.node.address import Endpoint, Scope, endpoints_of
from p2pwire.wire.messages import PeerRecord
from p2pwire.wire.registry import BOOK_TOTAL, CLOCK_SKEW, AddressType

OWN_NUMBER: Final = 0
"""The number of one's own record."""

SWEEP: Final = 64
"""peers no longer shared that keep their numbers before it is looked whether someone still has to hear of it."""

_RELAYED: Final = frozenset((AddressType.RELAY, AddressType.ONION3, AddressType.WEBRTC))
"""Kinds of address that need no dialling by IP."""


class Telling(Protocol):
    """Who was told of whom."""

    told: int
    """A bit for each number."""


@attrs.define(eq=False)
class Member:
    """A peer that may be shared, or has been, and whose number is still in use."""

    identity: bytes
    number: int
    record: bytes = b""
    """b"" while none is known that counts: then it can not be shared."""
    sequence: int = -1
    expires: int = -1
    endpoints: tuple[Endpoint, ...] = ()
    dialled: Endpoint | None = None
    """Where this side reached it last."""
    topics: set[bytes] = attrs.field(factory=set)
    """In which it may be shared."""

    @property
    def bit(self) -> int:
        """The member as a set."""
        return 1 << self.number

    @property
    def reachable(self) -> bool:
        """Whether this side dialled an address of the record [PX-042]."""
        return self.dialled in self.endpoints


class Members:
    """Numbers 0 to `limit` - 1: own, in use, or free."""

    def __init__(self, limit: int = BOOK_TOTAL) -> None:
        self._limit = limit
        self.own = Member(b"", OWN_NUMBER)
        self.dialable = {Scope.GLOBAL: 0, Scope.PRIVATE: 0, Scope.LOOPBACK: 0}
        """Those of whose addresses a peer could dial one, if told over a link whose far end has that scope [PX-057]."""
        self._members: dict[bytes, Member] = {}
        self._numbers: list[Member | None] = [self.own]
        self._free: list[int] = []
        self._retired: dict[bytes, None] = {}
        self._sweep_at = SWEEP

    def get(self, identity: bytes) -> Member | None:
        """The member of an identity, if it has a number."""
        return self._members.get(identity)

    def at(self, number: int) -> Member:
        """The member that has a number. LookupError if none has."""
        member = self._numbers[number]
        if member is None:
            raise LookupError(f"member number {number} is not in use")
        return member

    def enter(self, identity: bytes, tellings: Callable[[], Iterable[Telling]]) -> Member | None:
        """The member of an identity, which is shared from now on; None if all numbers are in use."""
        self._retired.pop(identity, None)
        return self._members.get(identity) or self._number(identity, tellings)

    def retire(self, member: Member) -> None:
        """The member is shared no longer. It keeps its number until everyone has been told."""
        self._retired[member.identity] = None

    def renew(self, member: Member, record: bytes) -> None:
        """The member's record is this one from now on."""
        decoded = PeerRecord.decode(record)
        member.record, member.sequence, member.endpoints = record, decoded.sequence, endpoints_of(decoded.addresses)
        member.expires = decoded.sequence + decoded.ttl + CLOCK_SKEW
        relayed = any(address.type in _RELAYED for address in decoded.addresses)
        for reach in self.dialable:
            able = relayed or any(endpoint.dialable(reach) for endpoint in member.endpoints)
            self.dialable[reach] = self.dialable[reach] & ~member.bit | able << member.number

    def _number(self, identity: bytes, tellings: Callable[[], Iterable[Telling]]) -> Member | None:
        full = not self._free and len(self._numbers) >= self._limit
        if (full and self._retired) or len(self._retired) >= self._sweep_at:
            self._sweep(tellings)
        if self._free:
            number = self._free.pop()
        elif len(self._numbers) < self._limit:
            number = len(self._numbers)
            self._numbers.append(None)
        else:
            return None
        member = self._members[identity] = self._numbers[number] = Member(identity, number)
        return member

    def _sweep(self, tellings: Callable[[], Iterable[Telling]]) -> None:
        """Free the numbers of those no longer shared, except while someone still has to be told so.

        If none comes free and all numbers are in use, nobody is told of the half that left first.
        """
        told = 0
        for telling in tellings():
            told |= telling.told
        gone = [self._members[identity] for identity in self._retired]
        heard = [member for member in gone if not told & member.bit]
        if not heard and not self._free and len(self._numbers) >= self._limit:
            heard = gone[: (len(gone) + 1) // 2]
            mask = ~sum(member.bit for member in heard)
            for telling in tellings():
                telling.told &= mask
        for member in heard:
            del self._retired[member.identity]
            del self._members[member.identity]
            self._numbers[member.number] = None
            self._free.append(member.number)
        self._sweep_at = max(SWEEP, 2 * len(self._retired))
