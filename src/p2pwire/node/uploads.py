"""Upload slots and credit: whom a node serves, and how far ahead it lets them ask.

A link in a slot is kept in credit; to choke one is to grant it no more. With fewer interested links than slots, each
has one. Otherwise some slots go to those that gave the most lately, one goes to a link drawn by lot, and the others
take turns by what they were served: so a peer that gives nothing gets no more than a share of what is left over, and a
node that has everything serves all alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from p2pwire.node.rates import Recent
from p2pwire.wire.registry import BLOCK_SIZE, INITIAL_CREDIT, MAX_AHEAD, MIN_AHEAD


@attrs.frozen
class UploadConfig:
    """The figures of the policy."""

    slots: int = 8
    """Links that are served at a time."""
    rate_slots: int = 4
    """Of these, for those that gave the most within `rate_span`."""
    lot_slots: int = 1
    """Of these, drawn by lot, so that better peers are found and newcomers get something to give."""
    review_interval: float = 10.0
    """Seconds between two reviews of the slots."""
    lot_interval: float = 30.0
    """Seconds that a slot drawn by lot is kept: three reviews, time to answer in kind."""
    rate_span: float = 20.0
    """Seconds over which receiving is compared."""
    ahead_span: float = 2.0
    """Seconds of sending that a link in a slot may ask ahead."""
    reject_when_choked: bool = False
    """Whether a choked link's open requests are rejected with CHOKED; else what was granted is honoured."""

    def __attrs_post_init__(self) -> None:
        if self.rate_slots + self.lot_slots > self.slots:
            kinds = f"{self.rate_slots} and {self.lot_slots}"
            raise ValueError(f"rate_slots and lot_slots are {kinds}, together more than slots, {self.slots}")


@attrs.frozen
class Grant:
    """Send CREDIT: the link may spend `total` in all."""

    link: int
    total: int


@attrs.frozen
class Choke:
    """REJECT with CHOKED what the link has open, and what it asks for while `Uploads.in_slot` is false."""

    link: int


Decision: TypeAlias = Grant | Choke


@attrs.define(eq=False)
class _Upload:
    """One link, as the slots see it."""

    received: Recent
    """Bytes."""
    sent: Recent
    """Blocks."""
    granted: int = INITIAL_CREDIT
    ended: int = 0
    """Cost of its requests that are over."""
    interested: bool = False
    in_slot: bool = False
    by_lot: bool = False
    snubbed: bool = False
    paid: int = 0
    """Bytes that its turns are counted with: what it was served, and for a slot left unused what others were."""
    served: int = 0
    """Bytes since the last review."""

    @property
    def turn(self) -> tuple[bool, int]:
        """Whose turn comes first."""
        return self.snubbed, self.paid + self.served


class Uploads:
    """The slots of one node, over all its links. Links are the caller's numbers; sizes are bytes of content.

    Do what the returned decisions say, in order.
    """

    def __init__(self, random: Callable[[int], bytes], config: UploadConfig | None = None) -> None:
        self._random = random
        self._config = config or UploadConfig()
        self._links: dict[int, _Upload] = {}
        self._review_at: float | None = None
        self._lot_until = 0.0
        self._usual = BLOCK_SIZE
        """Bytes that a slot was last used for between two reviews."""

    def link_added(self, link: int) -> None:
        """A link with its initial credit."""
        if link in self._links:
            raise ValueError(f"link {link} was added before")
        config = self._config
        self._links[link] = _Upload(received=Recent(config.rate_span), sent=Recent(config.ahead_span))

    def link_removed(self, link: int, now: float) -> list[Decision]:
        """Forget a link."""
        del self._links[link]
        return self._fill(now)

    def interest(self, link: int, on: bool, now: float) -> list[Decision]:
        """A link would, or would no longer, request if it had credit, in any of its topics."""
        upload = self._links[link]
        if on == upload.interested:
            return []
        if on:
            # Turns are counted from now on: one that comes late or after a pause is neither owed for the time before,
            # nor pays for it.
            others = [other.turn[1] for other in self._links.values() if other.interested]
            upload.paid = max(upload.paid, min(others, default=0))
            if self._review_at is None:
                self._review_at = now + self._config.review_interval
        else:
            upload.in_slot = upload.by_lot = False
        upload.interested = on
        return self._fill(now)

    def snubbed(self, link: int, on: bool = True) -> None:
        """A link does not serve what was asked of it: from the next review on it comes after all others."""
        self._links[link].snubbed = on

    def block_sent(self, link: int, size: int, now: float, blocks: int = 1) -> None:
        """One block or several went to a link, of so many bytes together."""
        upload = self._links[link]
        upload.sent.add(blocks, now)
        upload.served += size

    def block_received(self, link: int, size: int, now: float) -> None:
        """One verified block or several, which were missing, came from a link."""
        self._links[link].received.add(size, now)

    def request_ended(self, link: int, cost: int, now: float) -> Grant | None:
        """A request of a link's other side is over: its last DATA, or its REJECT, is on the way."""
        upload = self._links[link]
        upload.ended += cost
        return self._top_up(link, upload, now) if upload.in_slot else None

    def in_slot(self, link: int) -> bool:
        """Whether a link is in a slot."""
        return self._links[link].in_slot

    def ahead(self, link: int) -> int:
        """Granted less the cost of what has ended: what a link may still ask for, and what it waits for."""
        upload = self._links[link]
        return upload.granted - upload.ended

    def next_timeout(self) -> float | None:
        """When to call `review`; None while nobody is interested."""
        return self._review_at

    def review(self, now: float) -> list[Decision]:
        """Give the slots anew, if it is time to."""
        if self._review_at is None or now < self._review_at:
            return []
        self._settle()
        wanting = {link: upload for link, upload in self._links.items() if upload.interested}
        self._review_at = now + self._config.review_interval if wanting else None
        chosen = self._choose(wanting, now)
        decisions: list[Decision] = []
        for link, upload in wanting.items():
            if upload.in_slot and link not in chosen and self._config.reject_when_choked:
                decisions.append(Choke(link))
            upload.in_slot = link in chosen
        for link in wanting:
            if link in chosen:
                decisions += self._grants(link, now)
        return decisions

    def _settle(self) -> None:
        """Enters what was served since the last review. Who held a slot without much use pays what others used theirs
        for: else a peer that never asks would keep it for ever."""
        used = [upload.served for upload in self._links.values() if upload.in_slot and upload.served]
        if used:
            self._usual = sum(used) // len(used)
        for upload in self._links.values():
            upload.paid += max(upload.served, self._usual) if upload.in_slot else upload.served
            upload.served = 0

    def _choose(self, wanting: dict[int, _Upload], now: float) -> set[int]:
        """Who gets a slot: all, if there are enough."""
        config = self._config
        rates = {link: upload.received.total(now) for link, upload in wanting.items() if not upload.snubbed}
        givers = sorted((link for link, rate in rates.items() if rate), key=lambda link: -rates[link])
        chosen = set(givers[: config.rate_slots])
        chosen |= self._draw({link: upload for link, upload in wanting.items() if link not in chosen}, now)
        waiting = sorted((link for link in wanting if link not in chosen), key=lambda link: wanting[link].turn)
        return chosen | set(waiting[: config.slots - len(chosen)])

    def _draw(self, others: dict[int, _Upload], now: float) -> set[int]:
        """Those in slots by lot: the same for `lot_interval`, except that who leaves or earns a slot is replaced."""
        renew = now >= self._lot_until
        if renew:
            self._lot_until = now + self._config.lot_interval
        drawn = {link for link, upload in others.items() if upload.by_lot and not renew}
        hat = [link for link, upload in others.items() if not upload.by_lot]
        hat = [link for link in hat if not others[link].snubbed] or hat
        while len(drawn) < self._config.lot_slots and hat:
            drawn.add(hat.pop(int.from_bytes(self._random(4)) % len(hat)))
        for link, upload in self._links.items():
            upload.by_lot = link in drawn
        return drawn

    def _fill(self, now: float) -> list[Decision]:
        """Gives free slots to whose turn it is."""
        decisions: list[Decision] = []
        free = self._config.slots - sum(upload.in_slot for upload in self._links.values())
        if free > 0:
            waiting = [link for link, upload in self._links.items() if upload.interested and not upload.in_slot]
            for link in sorted(waiting, key=lambda link: self._links[link].turn)[:free]:
                self._links[link].in_slot = True
                decisions += self._grants(link, now)
        return decisions

    def _grants(self, link: int, now: float) -> list[Grant]:
        grant = self._top_up(link, self._links[link], now)
        return [grant] if grant else []

    def _top_up(self, link: int, upload: _Upload, now: float) -> Grant | None:
        """Keeps a link in credit: 2 s of what it takes, at least 64, in steps of an eighth."""
        goal = min(MAX_AHEAD, max(MIN_AHEAD, upload.sent.total(now)))
        step = goal // 8
        low = max(MIN_AHEAD, goal - step)
        if upload.granted - upload.ended >= low:
            return None
        upload.granted = upload.ended + max(goal, low + step)
        return Grant(link, upload.granted)
