"""What holds in every node at every moment between two calls."""

from __future__ import annotations

from p2pwire.connection.state import LinkState
from p2pwire.node.asking import BACKLOG
from p2pwire.node.link import Link
from p2pwire.node.node import Node
from p2pwire.node.seeding import MAX_READS
from p2pwire.node.swarm import Phase, Swarm
from p2pwire.wire.registry import CONTROL_BURST, MAX_REQUESTS, MAX_UNWRITTEN_BLOCKS

FETCHING = (Phase.MANIFEST, Phase.CONTENT)


def check(node: Node) -> None:
    """The parts of a node agree with each other, and every queue is within its bound."""
    core = node._core
    assert not any((core.unsettled, core.restless, core.withdrawn, core.unwritten))
    assert core.horizon.at <= node._links._next_due()
    assert set(core.catalogue) == {t for t, swarm in core.swarms.items() if swarm.phase is not Phase.FAILED}
    for swarm in core.swarms.values():
        check_swarm(node, swarm)
    for link in core.links.values():
        check_link(node, link)
    taken = node._links._admission.taken
    proved = {id(link) for link in core.links.values() if link.identity and not link.over}
    assert {id(link) for links in taken.values() for link in links} == proved


def check_swarm(node: Node, swarm: Swarm) -> None:
    links = node._core.links
    assert set(swarm.links) == {link.id for link in links.values() if swarm.topic in link.topics}
    assert set(swarm.idle) <= set(swarm.links)
    assert (swarm.picker is not None) == (swarm.phase in FETCHING)
    assert len(swarm.unwritten) <= swarm.backlog <= BACKLOG + (MAX_UNWRITTEN_BLOCKS + 1) * (len(links) + 1)
    if swarm.knows_files:
        assert swarm.done == sum(swarm.length_of(first, last) for first, last in swarm.held.spans())
    if not any(links[number].stalled for number in swarm.links):
        for unit, count in swarm.holders.items():
            assert count == sum(links[number].connection.peer_holds(swarm.topic, unit) for number in swarm.links)
    if swarm.phase is Phase.FAILED:
        assert not swarm.links
        assert not swarm.unwritten
    if swarm.phase is Phase.CONTENT and swarm.picker is not None:
        picker = swarm.picker
        assert not any(block in swarm.held and picker.missing(block) for block in range(swarm.layout.total_blocks))
        for link in (links[number] for number in swarm.links if links[number].established):
            # Who is in the swarm is asked in its turn, or has been found to have nothing.
            assert swarm.topic in link.hungry or link.id in swarm.idle
            assert swarm.topic in link.interested or not picker.wants_anything(link.id)


def check_link(node: Node, link: Link) -> None:
    connection = link.connection
    if link.over:
        assert not any((link.topics, link.joining, link.waiting))
    assert set(link.interested) <= set(link.topics)
    assert set(link.sated) <= set(link.interested)
    assert not set(link.waiting) & (set(link.topics) | set(link.joining))
    for topic, swarm in link.topics.items():
        assert node._core.swarms.get(topic) is swarm
        assert connection.is_open(topic) or connection.state is not LinkState.OPEN or link.stalled
    assert 0 <= link.unwritten <= MAX_UNWRITTEN_BLOCKS + 1
    assert link.stalled == (link.unwritten > MAX_UNWRITTEN_BLOCKS and connection.state is LinkState.OPEN)
    assert len(link.asked) == len(link.numbers) <= MAX_REQUESTS
    assert 0 <= link.in_flight <= sum(asked.picked.count for asked in link.asked.values())
    assert 0 <= link.reads <= MAX_READS
    assert len(link.serving) <= MAX_REQUESTS
    assert len(link.readings) <= MAX_REQUESTS
    assert link.control.tokens > -CONTROL_BURST / 2
