"""Admission: which inbound carriers are taken, and which of several links to one peer stays.

Changes nothing but its own lists; links that have to go are closed.
"""

from __future__ import annotations

from typing import Final

from p2pwire.connection.commands import CloseLink
from p2pwire.node.address import Endpoint, Scope
from p2pwire.node.core import Core
from p2pwire.node.link import Link
from p2pwire.wire.registry import HALF_OPEN_PER_GROUP, CloseCode

CLOSING_INBOUND: Final = 64
"""inbound carriers beyond the maximum, of links that are over and linger: making room must cost less than it gives."""


class Admission:
    """The room for inbound links, and the links by identity."""

    def __init__(self, core: Core, identity: bytes, max_inbound: int) -> None:
        self._core = core
        self._identity = identity
        self._max_inbound = max_inbound
        self._inbound: dict[Link, None] = {}
        self._live: dict[Link, None] = {}
        """Of these, those of links that are not over."""
        self._half_open: dict[bytes, set[Link]] = {}
        """Handshake group -> of these, those that have not proved an identity."""
        self.taken: dict[bytes, list[Link]] = {}
        """identity -> its links that are past their handshake, in the order in which they came there [ID-022]."""

    # --- inbound carriers ---

    def admits(self, remote: Endpoint | None) -> bool:
        """Whether one more inbound carrier is taken, perhaps in place of another [HS-042] [HS-043]."""
        if remote is not None and remote.scope is not Scope.LOOPBACK:
            half_open = self._half_open.get(remote.handshake_group, ())
            if len(half_open) >= HALF_OPEN_PER_GROUP:
                return False  # [HS-040] [HS-041]
        if len(self._live) < self._max_inbound:
            return True
        return len(self._inbound) < self._max_inbound + CLOSING_INBOUND and self._make_room(remote)

    def _make_room(self, remote: Endpoint | None) -> bool:
        """Close the least useful link of the largest group; none for one more of a group that is as large."""
        groups: dict[bytes, list[Link]] = {}
        for link in self._live:
            groups.setdefault(link.group, []).append(link)
        crowd = max(groups.values(), key=len, default=[])
        newcomers = groups.get(b"" if remote is None else remote.group, [])
        if len(newcomers) + 1 >= len(crowd):
            crowd = [link for link in crowd if not link.topics]
        if not crowd:
            return False
        worst = min(crowd, key=lambda link: (len(link.topics) > 0, link.bytes_received + link.bytes_sent, -link.id))
        self._core.send(worst, CloseLink(CloseCode.BUSY, "the room is needed"))
        return True

    def opened(self, link: Link) -> None:
        """A carrier is there."""
        if not link.outbound:
            self._inbound[link] = self._live[link] = None
            if link.remote is not None:
                self._half_open.setdefault(link.remote.handshake_group, set()).add(link)

    def gone(self, link: Link) -> None:
        """A carrier is to be closed."""
        self._inbound.pop(link, None)

    def _not_half_open(self, link: Link) -> None:
        group = b"" if link.remote is None else link.remote.handshake_group
        waiting = self._half_open.get(group)
        if waiting is not None:
            waiting.discard(link)
            if not waiting:
                del self._half_open[group]

    # --- links by identity ---

    def identified(self, link: Link) -> None:
        """The other side has proved its identity: the link counts against further ones to it."""
        self._not_half_open(link)
        self.taken.setdefault(link.identity, []).append(link)

    def closed(self, link: Link) -> None:
        """The link is over."""
        self._live.pop(link, None)
        self._not_half_open(link)
        links = self.taken.get(link.identity)
        if links is not None and link in links:
            links.remove(link)
            if not links:
                del self.taken[link.identity]

    def others(self, link: Link) -> list[Link]:
        """Other links to the same identity that are past their handshake."""
        return [other for other in self.taken.get(link.identity, ()) if other is not link]

    def replace_older(self, link: Link) -> None:
        """Responder, message 3 accepted: a peer that came back replaces the link that it lost [ID-020]."""
        for other in self.others(link):
            if other.established and other.established_at < link.offered_at:
                self._close_duplicate(other)

    def settle_duplicates(self, link: Link) -> None:
        """HELLO has come: of two established links to one peer, one stays."""
        for other in self.others(link):
            if not (other.established and link.established):
                continue
            if other.outbound is not link.outbound:
                # They crossed: the one whose initiator has the lower identity stays [ID-021].
                outbound_goes = self._identity > link.identity
                self._close_duplicate(link if link.outbound is outbound_goes else other)
            elif not link.outbound:
                # The initiator lost the older one, or it would not have dialled [ID-024].
                self._close_duplicate(min(link, other, key=lambda one: one.offered_at))

    def _close_duplicate(self, link: Link) -> None:
        self._core.send(link, CloseLink(CloseCode.DUPLICATE, "another link to the same peer stays"))
