"""When a peer hears of what a node has completed: soon of what it lacks, later of what it holds itself."""

from __future__ import annotations

import pytest

from p2pwire.testing.network import Network
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import HAVE_DELAY, HAVE_PATIENCE
from tests.node.hosts import Stranger, blob, hosts, when


def told(stranger: Stranger) -> set[int]:
    stranger.wait()
    spans = [span for have in stranger.heard(msg.Have) for span in have.spans]
    return {unit for span in spans for unit in range(span.first, span.last + 1)}


@pytest.mark.parametrize("holds", [(), (msg.Span(0, 2),), (msg.Span(0, 3),)])
def test_what_a_peer_lacks_is_told_soon_and_what_it_holds_itself_in_the_end(holds: tuple[msg.Span, ...]) -> None:
    network = Network("announcing")
    alice, bob = hosts(network, "alice", "bob")
    content = blob(4)
    topic = alice.share(content)
    bob.fetch(content)
    stranger = Stranger(bob).open()
    stranger.say(stranger.join_topic(content))
    if holds:
        stranger.say(msg.Have(0, holds))
    bob.add_peers(topic, alice)
    when(10, network, lambda: bob.complete(topic))
    network.run(2 * HAVE_DELAY)
    lacks = set(range(4)) - {unit for span in holds for unit in range(span.first, span.last + 1)}
    soon = told(stranger)
    assert lacks <= soon
    assert bool(soon) == bool(lacks), "nothing is said for the sake of what it holds alone"
    network.run(HAVE_PATIENCE)
    assert told(stranger) == set(range(4))
