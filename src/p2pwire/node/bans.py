"""Who is not talked to for a while, because it sent data that do not match their hash."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

import attrs

from p2pwire.node.address import Endpoint, Scope, scope_of
from p2pwire.wire.registry import BAN_TIME, BANNED_IDENTITIES_PER_IP

Key = TypeVar("Key")

BANS_KEPT: Final = 16384
"""bans of one kind that are remembered; beyond it the oldest end early. Each cost its owner a link."""

NEVER: Final = float("-inf")
"""The end of a ban that there is not."""


class _Terms(Generic[Key]):
    """Keys that all stay equally long, so that the oldest comes first."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends: OrderedDict[Key, float] = OrderedDict()

    def add(self, key: Key, until: float, now: float) -> None:
        self._ends[key] = until
        self._ends.move_to_end(key)
        oldest = next(iter(self._ends))
        if len(self._ends) > BANS_KEPT or self._ends[oldest] <= now:
            del self._ends[oldest]

    def until(self, key: Key) -> float:
        return self._ends.get(key, NEVER)


@attrs.define(eq=False)
class Bans:
    """Bans of identities, of dialled endpoints, and of global addresses that several banned identities came from.

    Other addresses are never banned: a liar behind a translator must not take its neighbours with it. Times are
    monotonic seconds.
    """

    duration: float = BAN_TIME
    strikes: int = BANNED_IDENTITIES_PER_IP
    """Banned identities within `duration` after which a global IP is banned."""
    _identities: _Terms[bytes] = attrs.field(factory=_Terms, init=False)
    _endpoints: _Terms[Endpoint] = attrs.field(factory=_Terms, init=False)
    _ips: _Terms[bytes] = attrs.field(factory=_Terms, init=False)
    _struck: OrderedDict[bytes, dict[bytes, float]] = attrs.field(factory=OrderedDict, init=False)

    def add(self, identity: bytes, remote: Endpoint | None, now: float, *, dialled: bool) -> None:
        """Ban the peer of a link to `remote` (None: the carrier has no IP address), which was dialled or not."""
        until = now + self.duration
        self._identities.add(identity, until, now)
        if remote is None:
            return
        if dialled:
            self._endpoints.add(remote, until, now)
        if scope_of(remote.ip) is Scope.GLOBAL:
            self._strike(remote.ip, identity, now)

    def _strike(self, ip: bytes, identity: bytes, now: float) -> None:
        struck = {other: end for other, end in self._struck.pop(ip, {}).items() if end > now}
        struck[identity] = now + self.duration
        if len(struck) >= self.strikes:
            self._ips.add(ip, now + self.duration, now)
            return
        self._struck[ip] = struck
        if len(self._struck) > BANS_KEPT:
            self._struck.popitem(last=False)

    def identity_until(self, identity: bytes) -> float:
        """When the ban of an identity ends; `NEVER`, or a time past, if there is none."""
        return self._identities.until(identity)

    def ip_until(self, ip: bytes) -> float:
        """When the ban of a global IP ends."""
        return self._ips.until(ip)

    def endpoint_until(self, endpoint: Endpoint) -> float:
        """When an endpoint may be dialled again, as far as bans go: of itself and of its IP."""
        return max(self._endpoints.until(endpoint), self._ips.until(endpoint.ip))

    def refuses(self, identity: bytes, remote: Endpoint | None, now: float) -> bool:
        """Whether a link with this identity, from this place, must not be."""
        place = NEVER if remote is None else self.ip_until(remote.ip)
        return max(place, self.identity_until(identity)) > now
