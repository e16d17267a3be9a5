"""Many nodes on virtual time that crash, lose connections and are parted: in the end everyone has every byte."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from random import Random

import pytest

from p2pwire.node.events import BlocksStored, FetchFailed, PeerBanned, ShareFailed
from p2pwire.storage.memory import share_folder
from p2pwire.testing.network import Host, Network
from tests.node.hosts import all_complete, has_content, hosts, of

NODES = 50


class Churn:
    """What goes wrong in a swarm, drawn from a seed."""

    def __init__(self, network: Network, hosts: list[Host], random: Random) -> None:
        self.network = network
        self.hosts = hosts
        self.random = random

    def begin(self, times: int, seconds: float) -> None:
        """So much goes wrong in so many seconds."""
        for _ in range(times):
            self.network.after(self.random.uniform(1, seconds), self.strike)

    def strike(self) -> None:
        one, other = self.random.sample(self.hosts, 2)
        if not one.up:
            return
        kind = self.random.randrange(4)
        if kind == 0:
            one.crash(silently=self.random.random() < 0.3)
            self.network.after(self.random.uniform(0, 5), one.start)
        elif kind == 1:
            self.network.cut(one, other)
        elif kind == 2:
            self.network.partition(self.random.sample(self.hosts, len(self.hosts) // 4))
            self.network.after(self.random.uniform(0.1, 4), self.network.heal)
        else:
            one.disk.delay = self.random.uniform(0, 0.5)


@pytest.mark.parametrize("seed", range(3))
def test_fifty_nodes_with_churn_all_get_every_byte(seed: int) -> None:
    random = Random(seed)
    network = Network(f"swarm {seed}", latency=0.03)
    # Three are known to everybody from the start, and one has the content; some can not be dialled.
    swarm = [
        network.host(f"{n}", f"{1 + n % 40}.{n}.0.1", listens=n < 3 or random.random() < 0.8) for n in range(NODES)
    ]
    for host in swarm:
        host.uplink = 3_000_000
    content = share_folder({f"{n}": random.randbytes(random.randrange(40_000)) for n in range(12)})
    topic = swarm[0].share(content)
    others = swarm[1:]
    for number, host in enumerate(others, 1):
        known = swarm[random.randrange(min(number, 3))]
        network.after(random.uniform(0, 2), partial(host.fetch, content, known))
    network.run(2)
    Churn(network, others, random).begin(25, 8)
    network.run(8)
    assert network.run(300, until=all_complete(others, topic))
    assert all(has_content(host, content) for host in others)
    for host in swarm:
        assert not of(host, FetchFailed) + of(host, PeerBanned) + of(host, ShareFailed)
        # What a disk had taken is never fetched again, crash or not; nor is anything written twice.
        assert sum(event.blocks for event in of(host, BlocksStored)) <= content.held.total


def test_a_chain_of_strangers_becomes_a_swarm() -> None:
    network = Network("chain", latency=0.03)
    swarm = hosts(network, *(f"{n}" for n in range(20)))
    content = share_folder({"a": Random(1).randbytes(300_000)})
    topic = swarm[0].share(content)
    for before, host in pairwise(swarm):
        host.uplink = 1_000_000
        host.fetch(content, before)  # each knows the one before alone
    assert network.run(60, until=all_complete(swarm[1:], topic))
    assert all(has_content(host, content) for host in swarm[1:])
    # The last one learned of others, and did not wait for the one before.
    assert len(swarm[-1].node.progress(topic).sources) > 1


def test_when_the_only_source_goes_the_others_complete_each_other() -> None:
    network = Network("last words")
    seed, *others = hosts(network, *(f"{n}" for n in range(9)))
    content = share_folder({"a": Random(2).randbytes(5_000_000)})
    topic = seed.share(content)
    for host in (seed, *others):
        host.uplink = 1_000_000
    for host in others:
        host.fetch(content, seed, *others)

    def held_somewhere() -> int:
        maps = [host.node._core.swarms[topic].held for host in others]
        return len({block for held in maps for first, last in held.spans() for block in range(first, last + 1)})

    while held_somewhere() < content.held.total:
        network.run(0.05)
    assert sum(host.complete(topic) for host in others) < 4
    seed.crash()
    assert network.run(20, until=all_complete(others, topic))
    assert all(has_content(host, content) for host in others)
