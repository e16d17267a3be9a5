"""Attackers as hosts of a network in memory, and trials that measure what each of them comes to.

    >>> from p2pwire.storage.memory import share_bytes
    >>> from p2pwire.testing.attackers import Liar
    >>> from p2pwire.testing.network import Network
    >>> network = Network("attackers")
    >>> bob, alice = network.host("bob", "1.2.0.1"), network.host("alice", "1.3.0.1")
    >>> content = share_bytes(b"hello" * 10_000)
    >>> topic = bob.share(content)
    >>> _ = alice.fetch(content, bob)
    >>> Liar(network, [content], [alice], count=3).begin()
    >>> network.run(60, until=lambda: alice.complete(topic))
    True

Each attacker knows what any peer of the swarm may know, and lives at addresses of its own; scenarios name them in
`[[attackers]]`. `TRIALS` has one trial per attack, which says what is promised and what was measured; `p2pwire simulate
attacks` runs them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from p2pwire.testing.attackers.arena import Figure, Finding
from p2pwire.testing.attackers.attacker import Attacker
from p2pwire.testing.attackers.exchanging import Eclipse, Forger, Poisoner, Reflector
from p2pwire.testing.attackers.floods import Flooder, Hog
from p2pwire.testing.attackers.replays import Replayer
from p2pwire.testing.attackers.servers import Dripper, Liar, Silent
from p2pwire.testing.attackers.stallers import SlowLoris
from p2pwire.testing.attackers.takers import FreeRider, Sybils
from p2pwire.testing.attackers.trials import TRIALS, Trial, event_of, findings_of, page

ATTACKERS: Final[Mapping[str, type[Attacker]]] = {
    kind.name: kind
    for kind in (
        Liar, Silent, Dripper, SlowLoris, Flooder, Hog,
        Poisoner, Reflector, Eclipse, FreeRider, Sybils, Replayer, Forger,
    )
}  # fmt: skip
"""By the name that scenarios call them by."""

__all__ = [
    "ATTACKERS",
    "TRIALS",
    "Attacker",
    "Figure",
    "Finding",
    "Trial",
    "event_of",
    "findings_of",
    "page",
    *sorted(kind.__name__ for kind in ATTACKERS.values()),
]
