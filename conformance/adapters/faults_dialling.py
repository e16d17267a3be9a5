"""Faults of the reference in whom it dials, and in what it keeps of peer records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from p2pwire.node import bans, dialer, dialqueue, exchange, links
from p2pwire.node.peerbook import Outcome, PeerBook

from faults import mutant

# --- how many are dialled ---


def _limits(**changes: Any) -> None:
    begin = dialer.Dialer.__init__

    def init(self: Any, *given: Any, limits: Any = None, **named: Any) -> None:
        begin(self, *given, limits=attrs.evolve(limits or dialer.DialLimits(), **changes), **named)

    dialer.Dialer.__init__ = init


@mutant
def dials_unbounded() -> None:
    _limits(parallel=100, slots=100)


@mutant
def dials_too_often() -> None:
    _limits(per_minute=1000)


@mutant
def ports_of_global_addresses_unbounded() -> None:
    _limits(global_ports=1000)


@mutant
def ports_of_local_addresses_unbounded() -> None:
    _limits(local_ports=1000)


@mutant
def wrong_identity_soon_again() -> None:
    _limits(wrong_identity_min=30.0)


@mutant
def wrong_identity_wait_does_not_grow() -> None:
    _limits(wrong_identity_max=600.0)


@mutant
def failed_dial_at_once_again() -> None:
    _limits(reconnect_min=0.1)


@mutant
def failed_dial_wait_does_not_grow() -> None:
    _limits(reconnect_max=1.0)


@mutant
def expected_identity_not_from_the_record() -> None:
    open_link = links.Links._open
    links.Links._open = lambda self, *given, **named: open_link(self, *given, **{**named, "expected": None})


@mutant
def dials_of_the_user_unbounded() -> None:
    begin = dialqueue.DialQueues.__init__

    def init(self: Any, *given: Any) -> None:
        begin(self, *given)
        self._given = dialqueue.SourceQueue(dialqueue.Local.USER, 100, None)

    dialqueue.DialQueues.__init__ = init


@mutant
def counted_against_the_first_source() -> None:
    prospects = dialer.Dialer._prospects

    def first(self: Any, candidate: Any) -> Any:
        endpoints, sources = prospects(self, candidate)
        return endpoints, dict(list(sources.items())[:1])

    dialer.Dialer._prospects = first


@mutant
def dials_itself_again() -> None:
    dialer.Dialer.add_own = lambda self, endpoint: None
    closed = dialer.Dialer.closed
    dialer.Dialer.closed = lambda self, identity, now, *, target=None, reconnect=True: closed(
        self, identity, now, target=target
    )


@mutant
def address_of_bad_data_dialled_again() -> None:
    add = bans.Bans.add
    bans.Bans.add = lambda self, identity, remote, now, *, dialled: add(self, identity, remote, now, dialled=False)
    bans.Bans.identity_until = lambda self, identity: bans.NEVER


# --- budgets of records, and what is kept ---


def exchange_limits(**changes: Any) -> None:
    begin = exchange.Exchange.__init__

    def init(self: Any, *given: Any, limits: Any = None, **named: Any) -> None:
        begin(self, *given, limits=attrs.evolve(limits or exchange.ExchangeLimits(), **changes), **named)

    exchange.Exchange.__init__ = init


@mutant
def any_number_of_records_taken() -> None:
    exchange_limits(kept_burst=100000)


@mutant
def no_flood_of_records() -> None:
    exchange_limits(flood_burst=100000)


@mutant
def any_number_of_peers_frames_taken() -> None:
    exchange_limits(frames_accepted=1000)


@mutant
def every_record_counted() -> None:
    offer = PeerBook.offer

    def counting(self: Any, raw: Any, *given: Any, admit: Any = lambda: None, **named: Any) -> Outcome:
        refusal = admit()
        return refusal if refusal is Outcome.FLOOD else offer(self, raw, *given, **named)

    PeerBook.offer = counting


def _when_equal(outcome: Callable[[Any], Outcome | None]) -> None:
    offer = PeerBook.offer

    def changed(self: Any, raw: Any, *given: Any, admit: Any = lambda: None, **named: Any) -> Outcome:
        known = self.get(bytes(raw[1:33]))
        if known is not None and bytes(raw) == known.record and (found := outcome(admit)) is not None:
            return found
        return offer(self, raw, *given, admit=admit, **named)

    PeerBook.offer = changed


@mutant
def equal_record_does_not_vouch() -> None:
    _when_equal(lambda admit: Outcome.OLD)


@mutant
def equal_record_costs() -> None:
    _when_equal(lambda admit: admit())


@mutant
def one_withdrawal_forgets() -> None:
    def forget(self: Any, identity: bytes, source: bytes, topic: bytes) -> None:
        known = self.get(identity)
        if known is not None:
            self._remove(known)

    PeerBook.withdraw = forget


@mutant
def withdrawal_ignored() -> None:
    PeerBook.withdraw = lambda self, identity, source, topic: None


@mutant
def any_number_of_records_from_one_source() -> None:
    PeerBook.__init__.__kwdefaults__["per_source"] = 100000


@mutant
def any_number_of_records_from_one_group() -> None:
    PeerBook.__init__.__kwdefaults__["per_group"] = 100000
