"""Moving: one of the last blocks that does not come is asked of another link, and given up at the first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from p2pwire.node.asking import MOST_MOVES, AskingConfig
from p2pwire.node.config import NodeConfig
from p2pwire.node.picker import PickerConfig
from p2pwire.storage.memory import SharedMemory
from p2pwire.testing.network import Host, Network
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import RejectCode
from tests.node.hosts import Stranger, blob, has_content, hosts

PATIENCE = PickerConfig().first_patience
COPIES = 1 + PickerConfig().endgame_duplicates


def bob_of(network: Network, **asking: int) -> Host:
    (bob,) = hosts(network, "bob", config=NodeConfig(asking=AskingConfig(**asking)))
    return bob


def holders(bob: Host, content: SharedMemory, count: int) -> list[Stranger]:
    """Peers that say that they hold everything, in networks of their own."""
    found = []
    for number in range(count):
        stranger = Stranger(bob, f"{100 + number}.9.9.9:5000", name=f"holder {number}")
        stranger.open()
        spans = (msg.Span(0, content.held.total - 1),)
        stranger.say(stranger.join_topic(content), stranger.object_of(content), msg.Have(0, spans), msg.Credit(64))
        found.append(stranger)
    return found


def wait(strangers: Sequence[Stranger], seconds: float = 0.0) -> None:
    for stranger in strangers:
        stranger.wait(seconds)
        seconds = 0.0


def asked(stranger: Stranger) -> list[int]:
    """The blocks that it was asked for, each by itself."""
    return [request.block for request in stranger.heard(msg.Request)]


def given_up(stranger: Stranger) -> list[int]:
    """The numbers of the requests that it need not answer."""
    return [cancel.id for cancel in stranger.heard(msg.Cancel)]


def test_a_block_that_does_not_come_is_asked_of_another_link_and_given_up_at_the_first() -> None:
    network, content = Network("moving"), blob(1)
    bob = bob_of(network)
    bob.fetch(content)
    one, other = both = holders(bob, content, 2)
    wait(both, 0.9 * PATIENCE)
    first, second = (one, other) if asked(one) else (other, one)
    assert (asked(first), asked(second)) == ([0], [])
    assert given_up(first) == []
    wait(both, 0.3 * PATIENCE)
    assert asked(second) == [0]
    assert given_up(first) == [request.id for request in first.heard(msg.Request)]
    assert given_up(second) == []


def test_what_was_given_up_is_welcome_if_it_comes_all_the_same() -> None:
    network, content = Network("too late"), blob(1)
    bob = bob_of(network)
    bob.fetch(content)
    both = holders(bob, content, 2)
    wait(both, 1.2 * PATIENCE)
    first, second = sorted(both, key=lambda stranger: len(given_up(stranger)), reverse=True)
    (request,) = first.heard(msg.Request)
    first.say(msg.Data(request.id, 0, (), content.read_blocks(0, 0, 1)))
    wait(both, 0.1)
    assert has_content(bob, content)
    assert given_up(second) == [request.id for request in second.heard(msg.Request)]
    assert not first.heard(msg.Close)


def test_a_block_moves_no_more_than_so_often_and_then_stands_beside() -> None:
    network, content = Network("from one to the next"), blob(1)
    bob = bob_of(network)
    bob.fetch(content)
    crowd = holders(bob, content, MOST_MOVES + 6)
    answered: set[tuple[int, int]] = set()
    for _ in range(40):
        wait(crowd, 0.5 * PATIENCE)
        for number, stranger in enumerate(crowd):
            for request in given_up(stranger):
                if (number, request) not in answered:
                    answered.add((number, request))
                    stranger.say(msg.Reject(request, RejectCode.CANCELLED, 0))
        waiting = sum(len(asked(stranger)) - len(given_up(stranger)) for stranger in crowd)
        assert waiting <= COPIES
    assert sum(len(given_up(stranger)) for stranger in crowd) == MOST_MOVES
    assert waiting == COPIES


@pytest.mark.parametrize("blocks", [8])
def test_a_request_for_more_than_the_block_is_not_given_up(blocks: int) -> None:
    network, content = Network("the whole of it"), blob(blocks)
    bob = bob_of(network, first_window=64)
    bob.fetch(content)
    (first,) = holders(bob, content, 1)
    wait([first], 0.5 * PATIENCE)
    large = [request.id for request in first.heard(msg.Request) if request.level]
    assert large
    (second,) = holders(bob, content, 1)
    wait([first, second], 2 * PATIENCE)
    assert asked(second), "what does not come is asked of the newcomer"
    assert not set(given_up(first)) & set(large)


@pytest.mark.parametrize("beyond", [0, 2])
def test_a_slow_link_is_asked_beyond_its_window_for_what_it_alone_holds(beyond: int) -> None:
    network, content = Network("alone"), blob(16)
    bob = bob_of(network, first_window=1, beyond=beyond)
    bob.fetch(content)
    (alone,) = holders(bob, content, 1)
    wait([alone], 0.5)
    assert len(asked(alone)) == len(set(asked(alone))) == 1 + beyond


def test_a_slow_link_is_not_asked_beyond_its_window_for_what_others_hold() -> None:
    network, content = Network("not alone"), blob(16)
    bob = bob_of(network, first_window=1)
    bob.fetch(content)
    both = holders(bob, content, 2)
    wait(both, 0.5)
    assert [len(asked(stranger)) for stranger in both] == [1, 1]
