"""A node's own peer record: where it believes that it can be reached, signed, and renewed in time."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

from p2pwire.crypto.identity import Identity
from p2pwire.crypto.record import sign_record
from p2pwire.node.address import Endpoint, Scope
from p2pwire.wire.registry import MAX_ADDRESSES

RECORD_TTL: Final = 7200
"""seconds that an own record counts: a peer that is gone is forgotten within hours."""

RECORD_RENEWAL: Final = RECORD_TTL / 2
"""seconds after which the own record is signed anew [PX-005]."""

INTERFACES_KEPT: Final = 16
"""own addresses learned from links; a record has room for eight."""

REPORTED_KEPT: Final = 64
"""addresses that other peers say this one has."""

REPORTS_NEEDED: Final = 2
"""groups of peers that have to report an address before it is believed [PX-010]."""

_WILDCARDS: Final = frozenset({bytes(4), bytes(16)})


class OwnRecord:
    """What a node says of itself. `now` is monotonic, `unix_time` the time of day, both in seconds."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.record: bytes | None = None
        """The signed bytes; None while this peer does not listen."""
        self._listening: tuple[Endpoint, ...] = ()
        self._interfaces: dict[bytes, None] = {}
        self._reports: dict[bytes, set[bytes]] = {}
        self._stated: tuple[Endpoint, ...] = ()
        self._sequence = 0
        self._renew_at = inf

    def listen(self, endpoints: Sequence[Endpoint], now: float, unix_time: float) -> None:
        """This peer can be reached at these addresses; a wildcard stands for those that links turn out to have."""
        self._listening = tuple(dict.fromkeys(endpoints))
        self._sign(now, unix_time)

    def saw_interface(self, local: Endpoint | None, now: float, unix_time: float) -> None:
        """The near end of a carrier has this address."""
        if local is None or local.ip in self._interfaces or len(self._interfaces) >= INTERFACES_KEPT:
            return
        self._interfaces[local.ip] = None
        self._review(now, unix_time)

    def reported(self, seen: Endpoint, group: bytes, now: float, unix_time: float) -> None:
        """A peer of this group says that it sees this one at that address: a claim."""
        if seen.scope is not Scope.GLOBAL:
            return
        if seen.ip not in self._reports and len(self._reports) >= REPORTED_KEPT:
            del self._reports[next(iter(self._reports))]
        groups = self._reports.setdefault(seen.ip, set())
        if group and len(groups) < REPORTS_NEEDED and group not in groups:
            groups.add(group)
            self._review(now, unix_time)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where this peer believes that it can be reached [PX-004], best first."""
        found: dict[Endpoint, None] = {}
        believed = [ip for ip, groups in self._reports.items() if len(groups) >= REPORTS_NEEDED]
        for endpoint in self._listening:
            if endpoint.ip not in _WILDCARDS:
                found[endpoint] = None
                continue
            # A wildcard of IPv6 takes IPv4 only where the adapter listens on that too, and says so.
            for ip in (*believed, *self._interfaces):
                if len(ip) == len(endpoint.ip):
                    found[Endpoint(ip, endpoint.port)] = None
        return tuple(endpoint for endpoint in found if endpoint.scope is not Scope.NEVER)[:MAX_ADDRESSES]

    def on_time(self, now: float, unix_time: float) -> bool:
        """Sign anew if it is time, by either clock; whether it was."""
        if self._listening and (now >= self._renew_at or unix_time >= self._sequence + RECORD_RENEWAL):
            self._sign(now, unix_time)
            return True
        return False

    def next_timeout(self) -> float | None:
        """When `on_time` has something to do."""
        return None if self._renew_at == inf else self._renew_at

    def _review(self, now: float, unix_time: float) -> None:
        if self._listening and self.endpoints() != self._stated:
            self._sign(now, unix_time)

    def _sign(self, now: float, unix_time: float) -> None:
        if not self._listening:
            self.record, self._renew_at = None, inf
            return
        self._sequence = max(self._sequence + 1, int(unix_time))  # [PX-002]
        self._stated = self.endpoints()
        addresses = [endpoint.to_address() for endpoint in self._stated]
        self.record = sign_record(self._identity, sequence=self._sequence, ttl=RECORD_TTL, flags=0, addresses=addresses)
        self._renew_at = now + RECORD_RENEWAL
