"""Hosts joined by a network in memory, on virtual time: the same seed gives the same run, byte for byte.

    >>> from p2pwire.storage.memory import share_bytes
    >>> from p2pwire.testing.network import Network, Way
    >>> network = Network("a seed", latency=0.05)
    >>> bob, alice = network.host("bob", "1.2.0.1"), network.host("alice", "1.3.0.1")
    >>> content = share_bytes(b"hello" * 10_000)
    >>> topic = bob.share(content)
    >>> topic == alice.fetch(content, bob)
    True
    >>> network.run(60, until=lambda: alice.complete(topic))
    True
    >>> alice.content(topic) == b"hello" * 10_000
    True

What lies between hosts, and what they have, can be told for each; hosts crash and come back with their disks:

    >>> charlie = network.host("charlie", "1.4.0.1")
    >>> network.set_way(bob, charlie, Way(latency=0.2, jitter=0.1, segment=1400, ragged=True))
    >>> bob.uplink, charlie.disk.delay = 20_000.0, 0.01
    >>> _ = charlie.fetch(content, bob)
    >>> network.run(1)
    False
    >>> charlie.crash()
    >>> network.run(1)
    False
    >>> charlie.start()
    >>> network.run(60, until=lambda: charlie.complete(topic))
    True

`Network.trace` says whether two runs were the same. A program that embeds a `Node` of its own can be tested on the same
network: subclass `Station`, and let `program` be what has the carriers (see `Program`); `Puppet` is such a host, whose
bytes a test writes by hand, and `p2pwire.testing.speaker.Speaker` gives it the handshake and frames.

What is simplified: a connection is a reliable stream with a window of 256 KiB, without congestion control or slow
start; the connections of a host share its uplink alike, to the byte; a downlink takes segments as they
come; making a connection takes a round trip, and no bandwidth; NAT is a host that cannot be dialled.
"""

from __future__ import annotations

from p2pwire.testing.clocks import START, Clock
from p2pwire.testing.network.host import Host
from p2pwire.testing.network.network import CONNECT_TIMEOUT, PORT, WINDOW, Network, address
from p2pwire.testing.network.puppet import Puppet, Wire
from p2pwire.testing.network.station import Program, Reach, Station
from p2pwire.testing.ways import Way

__all__ = [
    "CONNECT_TIMEOUT",
    "PORT",
    "START",
    "WINDOW",
    "Clock",
    "Host",
    "Network",
    "Program",
    "Puppet",
    "Reach",
    "Station",
    "Way",
    "Wire",
    "address",
]
