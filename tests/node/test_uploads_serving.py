"""The order in which one link's requests are read and sent, and the bound on what is prepared."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pwire.node.serving import Chunk, InboundRequest, Serving, ServingConfig

TOPIC, OTHER = bytes(32), bytes([1]) * 32


def request(id: int, count: int, block: int = 0, topic: bytes = TOPIC) -> InboundRequest:
    return InboundRequest(id, topic, 0, block, max(0, count - 1).bit_length(), count)


def serving(*requests: InboundRequest, chunk: int = 2, prepared: int = 4) -> Serving:
    link = Serving(ServingConfig(chunk_blocks=chunk, prepared_blocks=prepared))
    for each in requests:
        link.add(each)
    return link


def chunk_of(link: Serving) -> Chunk:
    chunk = link.next_chunk()
    assert chunk is not None
    return chunk


def order_of(link: Serving) -> list[tuple[int, int, int]]:
    """Id, first block and number of blocks of each chunk."""
    order = []
    while chunk := link.next_chunk():
        order.append((chunk.request.id, chunk.block, chunk.count))
    return order


def test_requests_of_several_topics_take_turns() -> None:
    link = serving(request(1, 4, block=8), request(2, 1, 5, OTHER), request(3, 3, 0, OTHER), prepared=100)
    assert order_of(link) == [(1, 8, 2), (2, 5, 1), (3, 0, 2), (1, 10, 2), (3, 2, 1)]


def test_requests_of_one_topic_are_answered_one_after_another() -> None:
    link = serving(request(1, 4, block=8), request(2, 1, block=5), request(3, 3), prepared=100)
    assert order_of(link) == [(1, 8, 2), (1, 10, 2), (2, 5, 1), (3, 0, 2), (3, 2, 1)]


def test_no_more_is_prepared_than_the_bound() -> None:
    first, second = request(1, 64), request(2, 64, topic=OTHER)
    link = serving(first, second)
    chunks = [chunk_of(link), chunk_of(link)]
    assert [chunk.request for chunk in chunks] == [first, second]
    assert link.next_chunk() is None
    assert link.block_sent(first) is False
    assert link.next_chunk() is None, "no small reads: there is room for one block only"
    link.block_sent(second)
    assert chunk_of(link) == Chunk(first, 2, 2)


def test_a_request_ends_with_its_last_block() -> None:
    only = request(7, 3)
    link = serving(only, prepared=3)
    while link.next_chunk():
        pass
    assert [link.block_sent(only) for _ in range(3)] == [False, False, True]
    assert not only.open
    assert link.get(7) is None
    assert len(link) == 0
    link.add(request(7, 3))
    assert chunk_of(link).count == 2


def test_a_rejected_request_makes_room() -> None:
    first, second = request(1, 64), request(2, 2)
    link = serving(first, chunk=4, prepared=4)
    stale = chunk_of(link)
    link.add(second)
    link.block_sent(first)
    assert link.next_chunk() is None
    link.remove(first)
    assert not stale.request.open
    assert chunk_of(link) == Chunk(second, 0, 2)
    assert link.next_chunk() is None
    assert link.requests() == [second]


def test_an_id_that_is_used_again_is_another_request() -> None:
    link = serving(request(1, 8))
    stale = chunk_of(link)
    link.remove(stale.request)
    link.add(request(1, 8))
    assert chunk_of(link).request != stale.request
    with pytest.raises(ValueError, match="request 1 is open"):
        link.add(request(1, 8))


def test_a_request_costs_its_level_even_if_it_brings_less() -> None:
    assert request(1, 5).cost == 8


@given(
    st.lists(
        st.tuples(st.integers(1, 64), st.integers(0, 100), st.sampled_from([TOPIC, OTHER])), min_size=1, max_size=8
    ),
    st.integers(1, 8),
    st.integers(8, 16),
    st.randoms(use_true_random=False),
)
def test_everything_is_read_once_in_order_and_within_the_bound(
    asked: list[tuple[int, int, bytes]], chunk_blocks: int, prepared_blocks: int, chance: Random
) -> None:
    requests = [request(number, *each) for number, each in enumerate(asked)]
    link = serving(*requests, chunk=chunk_blocks, prepared=prepared_blocks)
    ready: list[InboundRequest] = []
    following = {each: each.block for each in requests}
    turn = 0
    turns: dict[InboundRequest, int] = {}
    while len(link):
        while chunk := link.next_chunk():
            assert chunk.block == following[chunk.request]
            following[chunk.request] += chunk.count
            ready += [chunk.request] * chunk.count
            assert len(ready) <= prepared_blocks
            before, turn = turns.get(chunk.request, -1), turn + 1
            turns[chunk.request] = turn
            waiting = [each for each in requests if following[each] < each.block + each.count]
            if before >= 0:
                others = [turns.get(each, 0) for each in waiting if each.topic != chunk.request.topic]
                assert all(other > before for other in others)
            if len({each.topic for each in requests}) == 1:
                assert len([each for each in waiting if each in turns]) <= 1
        sent = ready.pop(chance.randrange(len(ready)))
        assert link.block_sent(sent) is (sent not in ready and following[sent] == sent.block + sent.count)
    assert all(following[each] == each.block + each.count for each in requests)
    assert not any(each.open for each in requests)
