"""An uplink that connections share: who is done when."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pwire.storage.memory import share_bytes
from p2pwire.testing.network import Network
from p2pwire.testing.network.uplink import Uplink

FOREVER = 1e9


def sent(
    rate: float, segments: list[tuple[float, int]], changes: dict[float, float | None] | None = None
) -> list[float]:
    """When each of these segments has left, of which it is told when they begin and how many bytes they are."""
    network = Network()
    uplink = Uplink(network)
    uplink.rate = rate
    left: dict[int, float] = {}

    def begin(number: int, size: int) -> None:
        uplink.send(size, lambda: left.update({number: network.now}))

    for number, (at, size) in enumerate(segments):
        network.at(at, partial(begin, number, size))
    for at, changed in (changes or {}).items():
        network.at(at, partial(setattr, uplink, "rate", changed))
    network.run(FOREVER)
    return [left[number] for number in range(len(segments))]


def test_one_alone_has_all_of_it() -> None:
    assert sent(1000, [(2, 500), (4, 250)]) == [2.5, 4.25]


def test_two_share_it_alike_and_a_short_one_does_not_wait_for_a_long_one() -> None:
    # From 0.5 to 0.7 both go at half the pace, and the long one has 400 bytes to go after that.
    assert sent(1000, [(0, 1000), (0.5, 100)]) == pytest.approx([1.1, 0.7])
    assert sent(1000, [(0, 300), (0, 300), (0, 600)]) == pytest.approx([0.9, 0.9, 1.2])


def test_a_segment_without_bytes_leaves_at_once() -> None:
    assert sent(1000, [(0, 1000), (0.25, 0)]) == pytest.approx([1.0, 0.25])


def test_its_pace_may_change_on_the_way() -> None:
    assert sent(1000, [(0, 1000)], {0.5: 250}) == pytest.approx([2.5])
    assert sent(1000, [(0, 1000), (0, 10)], {0.5: None}) == pytest.approx([0.5, 0.02])
    network = Network()
    uplink = Uplink(network)
    assert uplink.rate is None
    uplink.send(10**9, lambda: None)
    assert network.run(FOREVER, until=lambda: True)
    assert network.now == 0


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.integers(0, 100_000)),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([1.0, 16384.0, 1e6]),
)
def test_it_is_never_idle_while_there_is_something_to_send(segments: list[tuple[float, int]], rate: float) -> None:
    left = sent(rate, segments)
    # What a line that sends them one after the other takes for all of them, this one takes too.
    free = 0.0
    for at, size in sorted(segments):
        free = max(free, at) + size / rate
    assert max(left) == pytest.approx(free, abs=1e-6)
    for (at, size), when in zip(segments, left, strict=True):
        assert when - at >= size / rate - 1e-6


def test_what_a_host_has_not_sent_when_its_connections_break_does_not_arrive() -> None:
    network = Network("break")
    content = share_bytes(bytes(64 * 16384))
    bob, alice = network.host("bob", "1.2.0.1"), network.host("alice", "1.3.0.1")
    topic = bob.share(content)
    alice.fetch(content, bob)
    bob.uplink = 16384.0
    network.run(10)
    held = alice.node.progress(topic).done
    assert 5 * 16384 <= held <= 10 * 16384
    bob.crash()
    network.run(10)
    assert alice.node.progress(topic).done == held
