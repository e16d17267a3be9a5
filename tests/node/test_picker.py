"""What the picker prefers: rarity, size, order, and the end of a download."""

from __future__ import annotations

import pytest

from p2pwire.content.units import Layout
from p2pwire.node.picker import SEQUENTIAL, OneFile, PickedRequest, Picker, PickerConfig
from p2pwire.wire.registry import BLOCK_SIZE, MANIFEST_FILE
from tests.node.rows import Row, numbers

CERTAIN = PickerConfig(random_picks=0, shares=1)
"""Nothing but rarity and size decide."""


def picker_of(row: Row, *holdings: list[tuple[int, int]], config: PickerConfig = CERTAIN, seed: int = 0) -> Picker:
    """A picker with links 0, 1, ... that hold these units."""
    picker = Picker(row, numbers(seed), config)
    for link, spans in enumerate(holdings):
        add_link(picker, link, spans)
    return picker


def add_link(picker: Picker, link: int, spans: list[tuple[int, int]]) -> None:
    picker.link_added(link)
    picker.units_added(link, spans)


def pick(
    picker: Picker, link: int, max_cost: int = 64, now: float = 0.0, *, unannounced: bool = False
) -> PickedRequest:
    request = picker.next_request(link, max_cost, now, unannounced=unannounced)
    assert request is not None
    return request


def blocks_of(request: PickedRequest) -> range:
    return range(request.global_first, request.global_first + request.count)


def receive(picker: Picker, link: int, request: PickedRequest) -> None:
    for block in blocks_of(request):
        assert picker.block_received(link, block) == []


def drain(picker: Picker, link: int, max_cost: int = 64) -> list[PickedRequest]:
    """Everything that a link is asked for, one request after another."""
    requests = []
    while (request := picker.next_request(link, max_cost, 0.0)) is not None:
        requests.append(request)
    return requests


# --- Which units -------------------------------------------------------------------------------------------------


def test_the_rarest_unit_comes_first() -> None:
    picker = picker_of(Row((8,)), [(0, 7)], [(0, 4), (6, 7)], [(0, 2), (4, 7)], [(0, 7)])
    assert [picker.availability(unit) for unit in range(8)] == [4, 4, 4, 3, 4, 3, 4, 4]
    order = [pick(picker, 0, 1).block for _ in range(8)]
    assert set(order[:2]) == {3, 5}
    assert set(order) == set(range(8))


def test_rarity_follows_what_links_gain_and_lose() -> None:
    picker = picker_of(Row((4,)), [(0, 3)], [(0, 3)], [(0, 3)])
    picker.units_removed(1, [(2, 2)])
    assert pick(picker, 0, 1).block == 2
    picker.link_removed(2)
    picker.units_added(1, [(2, 2)])
    picker.units_removed(1, [(1, 1)])
    assert pick(picker, 0, 1).block == 1


def test_a_link_that_alone_holds_something_is_known() -> None:
    picker = picker_of(Row((3,)), [(0, 2)], [(0, 1)])
    assert picker.holds_alone(0)
    assert not picker.holds_alone(1)
    assert pick(picker, 0, 1).block == 2
    assert not picker.holds_alone(0), "what it was asked for does not count"
    picker.units_removed(0, [(0, 0)])
    assert picker.holds_alone(1)
    assert not picker.holds_alone(0)


def test_the_start_is_random() -> None:
    config = PickerConfig(random_picks=4)
    # Unit 0 is the only rare one: without a random start everyone would begin with it.
    firsts = {
        pick(picker_of(Row((64,)), [(0, 63)], [(1, 63)], config=config, seed=seed), 0, 1).block for seed in range(20)
    }
    assert len(firsts) > 10


def test_after_the_random_start_rarity_counts() -> None:
    picker = picker_of(Row((64,)), [(0, 63)], [(1, 63)], config=PickerConfig(random_picks=2), seed=3)
    early = [pick(picker, 0, 1).block for _ in range(2)]
    assert 0 not in early
    assert pick(picker, 0, 1).block == 0


def test_equally_rare_units_are_begun_at_random() -> None:
    firsts = {pick(picker_of(Row((64,)), [(0, 63)], seed=seed), 0, 1).block for seed in range(20)}
    assert len(firsts) > 10


def test_a_begun_unit_is_finished_before_another_is_begun() -> None:
    picker = picker_of(Row((64,), unit_exponent=3), [(0, 7)])
    order = [pick(picker, 0, 1).block >> 3 for _ in range(64)]
    assert [order[at] for at in range(0, 64, 8) for _ in range(8)] == order
    assert len(set(order)) == 8


@pytest.mark.parametrize(("begun_per_link", "most"), [(0, 2), (100, 20)])
def test_when_too_many_units_are_begun_they_are_finished_first(begun_per_link: int, most: int) -> None:
    # Units of 16 blocks, requests of 4; the second file's requests lie across the borders of units. The other link
    # comes to hold what is begun, so that rarity leads away from it.
    config = PickerConfig(random_picks=0, shares=1, max_level=2, begun_per_link=begun_per_link)
    row = Row((2, 318), unit_exponent=4)
    picker = picker_of(row, [(0, 19)], config=config)
    add_link(picker, 1, [])
    left = dict.fromkeys(range(20), 16)
    begun = []
    while request := picker.next_request(0, 4, 0.0):
        for block in blocks_of(request):
            left[block >> 4] -= 1
            picker.units_added(1, [(block >> 4, block >> 4)])
        begun.append(sum(0 < count < 16 for count in left.values()))
    assert begun[-1] == 0
    assert most / 2 <= max(begun) <= most


def test_a_unit_whose_requests_all_failed_is_not_begun() -> None:
    seconds = set()
    for seed in range(20):
        picker = picker_of(Row((512,), unit_exponent=3), [(0, 63)], seed=seed)
        first = pick(picker, 0, 4)
        picker.request_ended(0, first)
        seconds.add(pick(picker, 0, 1).block >> 3 == first.block >> 3)
    assert seconds == {False}


def test_a_unit_of_which_a_part_failed_is_finished() -> None:
    picker = picker_of(Row((512,), unit_exponent=3), [(0, 63)])
    halves = [pick(picker, 0, 4), pick(picker, 0, 4)]
    assert {half.block >> 3 for half in halves} == {halves[0].block >> 3}
    picker.request_ended(0, halves[0])
    assert blocks_of(pick(picker, 0, 4)) == blocks_of(halves[0])


def test_begun_units_of_few_blocks_do_not_make_requests_small() -> None:
    config = PickerConfig(random_picks=0, shares=1, begun_per_link=0)
    picker = picker_of(Row((8, 640), unit_exponent=4), [(0, 40)], config=config)
    requests = drain(picker, 0)
    assert sorted(request.count for request in requests) == [8] + 10 * [64]


def test_preferred_blocks_come_before_rare_ones() -> None:
    picker = picker_of(Row((32,)), [(0, 31)], [(0, 15)])
    picker.prefer(4, 5)
    assert {pick(picker, 0, 1).block for _ in range(2)} == {4, 5}
    picker.prefer(6, 9)
    picker.prefer(6, 9, on=False)
    assert pick(picker, 0, 1).block >= 16


def test_only_what_the_link_announced_is_asked_for() -> None:
    picker = picker_of(Row((64,)), [(3, 9)])
    assert sorted(block for request in drain(picker, 0) for block in blocks_of(request)) == list(range(3, 10))


def test_units_past_the_end_are_ignored() -> None:
    picker = picker_of(Row((10,)), [(8, 500), (65000, 65535)])
    assert sorted(block for request in drain(picker, 0) for block in blocks_of(request)) == [8, 9]


def test_blocks_that_were_not_announced_can_be_asked_for() -> None:
    picker = picker_of(Row((64,)), [])
    assert picker.next_request(0, 64, 0.0) is None
    assert pick(picker, 0, unannounced=True).count == 64


def test_a_link_is_not_asked_again_for_what_it_refused_until_it_announces_it() -> None:
    picker = picker_of(Row((8,)), [(0, 3)])
    request = pick(picker, 0)
    assert blocks_of(request) == range(4)
    picker.block_received(0, 0)
    picker.request_ended(0, request, unavailable=True)
    assert [picker.availability(unit) for unit in range(4)] == [1, 0, 0, 0]
    assert picker.next_request(0, 64, 0.0) is None
    assert blocks_of(pick(picker, 0, unannounced=True)) == range(4, 8)
    assert picker.next_request(0, 64, 0.0, unannounced=True) is None
    picker.units_added(0, [(1, 1)])
    assert blocks_of(pick(picker, 0)) == range(1, 2)


def test_what_was_refused_and_announced_anew_counts_as_any_other() -> None:
    picker = picker_of(Row((2,)), [(0, 1)])
    picker.request_ended(0, pick(picker, 0), unavailable=True)
    picker.units_added(0, [(0, 1)])
    picker.units_removed(0, [(0, 1)])
    assert pick(picker, 0, unannounced=True).count == 2


# --- How large ----------------------------------------------------------------------------------------------------


def test_requests_are_as_large_as_files_and_alignment_let_them_be() -> None:
    row = Row((1, 200, 0, 3, 64))
    requests = drain(picker_of(row, [(0, row.total_blocks)]), 0)
    assert sorted((request.file, request.block, request.level, request.count) for request in requests) == [
        (0, 0, 0, 1),
        (1, 0, 6, 64),
        (1, 64, 6, 64),
        (1, 128, 6, 64),
        (1, 192, 3, 8),  # 8 blocks are left: to ask for 64 would cost as much
        (3, 0, 2, 3),
        (4, 0, 6, 64),
    ]


@pytest.mark.parametrize(("credit", "level"), [(1, 0), (2, 1), (3, 1), (4, 2), (63, 5), (64, 6), (10**6, 6)])
def test_a_request_fits_the_credit(credit: int, level: int) -> None:
    assert pick(picker_of(Row((640,)), [(0, 639)]), 0, credit).level == level


def test_a_request_cut_by_the_files_end_costs_its_full_level() -> None:
    picker = picker_of(Row((3,)), [(0, 2)])
    assert pick(picker, 0, 3).cost == 2
    picker = picker_of(Row((3,)), [(0, 2)])
    assert (pick(picker, 0, 4).cost, picker.next_request(0, 64, 0.0)) == (4, None)


@pytest.mark.parametrize("credit", [0, -5])
def test_without_credit_nothing_is_asked(credit: int) -> None:
    assert picker_of(Row((640,)), [(0, 639)]).next_request(0, credit, 0.0) is None


def test_what_is_left_is_shared_among_links() -> None:
    everything = [(0, 255)]
    config = PickerConfig(shares=2)
    assert pick(picker_of(Row((256,)), everything, config=config), 0).level == 6
    assert pick(picker_of(Row((256,)), *[everything] * 4, config=config), 0).level == 5
    assert pick(picker_of(Row((256,)), *[everything] * 40, config=config), 0).level == 2
    # Links that hold nothing take no part.
    assert pick(picker_of(Row((256,)), everything, [], [], [], config=config), 0).level == 6


def test_a_request_leaves_out_what_is_held_or_asked_for() -> None:
    picker = picker_of(Row((64,)), [(0, 63)])
    picker.exclude(40, 40)
    asked = sorted((request.block, request.count) for request in drain(picker, 0))
    assert asked == [(0, 32), (32, 8), (41, 1), (42, 2), (44, 4), (48, 16)]


# --- In order -----------------------------------------------------------------------------------------------------


def test_a_readers_window_is_fetched_in_order() -> None:
    picker = picker_of(Row((1024,)), [(0, 1023)], config=PickerConfig(window=128, window_level=4))
    picker.read_from(500)
    places = [(request.block, request.count) for request in (pick(picker, 0) for _ in range(10))]
    # Block 500 lies within 496..511; later ones follow without a gap up to 628.
    assert places[:9] == [(496 + 16 * at, 16) for at in range(9)]
    assert not 496 <= places[9][0] < 640
    picker.read_from(None)
    assert pick(picker, 0).level == 6


def test_the_window_skips_what_comes_before_the_reader_in_its_unit() -> None:
    picker = picker_of(
        Row((64,), unit_exponent=4), [(0, 3)], config=PickerConfig(window=4, window_level=1, random_picks=0)
    )
    picker.read_from(30)
    assert [pick(picker, 0, 1).block for _ in range(4)] == [30, 31, 32, 33]
    picker.read_from(29)
    assert pick(picker, 0, 1).block == 29


def test_a_window_that_a_link_does_not_hold_does_not_stop_it() -> None:
    picker = picker_of(Row((512,)), [(300, 400)])
    picker.read_from(0)
    assert 300 <= pick(picker, 0, 1).block <= 400
    picker.read_from(512)
    assert 300 <= pick(picker, 0, 1).block <= 400


def test_a_manifest_is_fetched_from_front_to_back() -> None:
    picker = Picker(OneFile(MANIFEST_FILE, 200), numbers(), SEQUENTIAL)
    picker.read_from(0)
    picker.link_added(7)
    assert not picker.wants_anything(7)
    picker.units_added(7, [(0, 65535)])
    assert picker.wants_anything(7)
    requests = drain(picker, 7)
    assert {request.file for request in requests} == {MANIFEST_FILE}
    assert [block for request in requests for block in blocks_of(request)] == list(range(200))
    assert requests[0].level == 6


# --- What is missing ----------------------------------------------------------------------------------------------


def test_a_held_block_is_not_fetched() -> None:
    picker = picker_of(Row((100,), unit_exponent=2), [(0, 24)])
    picker.exclude(0, 97)
    assert picker.remaining == 2
    assert sorted(block for request in drain(picker, 0) for block in blocks_of(request)) == [98, 99]
    assert picker.wants_anything(0)
    picker.units_removed(0, [(24, 24)])
    assert not picker.wants_anything(0)


def test_a_lost_block_is_fetched_again() -> None:
    picker = picker_of(Row((4,)), [(0, 3)])
    receive(picker, 0, pick(picker, 0))
    assert (picker.remaining, picker.missing(2), picker.wants_anything(0)) == (0, False, False)
    picker.include(2, 2)
    assert (picker.remaining, picker.missing(2), picker.wants_anything(0)) == (1, True, True)
    assert blocks_of(pick(picker, 0)) == range(2, 3)


def test_a_request_that_brought_only_a_part_leaves_the_rest_open() -> None:
    picker = picker_of(Row((64,)), [(0, 63)])
    request = pick(picker, 0)
    add_link(picker, 1, [(0, 63)])
    for block in range(10):
        picker.block_received(0, block)
    assert picker.next_request(1, 64, 0.0) is None
    picker.request_ended(0, request)
    assert sorted(block for request in drain(picker, 1) for block in blocks_of(request)) == list(range(10, 64))


def test_what_was_asked_of_a_lost_link_is_open_again() -> None:
    picker = picker_of(Row((200,)), [(0, 199)], [(0, 199)])
    drain(picker, 0)
    assert picker.next_request(1, 64, 0.0) is None
    picker.link_removed(0)
    assert sum(request.count for request in drain(picker, 1)) == 200
    assert picker.availability(0) == 1


def test_a_late_block_is_welcome_and_ends_what_was_asked_elsewhere() -> None:
    picker = picker_of(Row((4,)), [(0, 3)])
    late = pick(picker, 0)
    picker.release(0)
    add_link(picker, 1, [(0, 3)])
    picker.units_removed(0, [(0, 3)])
    again = pick(picker, 1)
    assert blocks_of(again) == blocks_of(late) == range(4)
    assert [picker.block_received(0, block) for block in range(4)] == [[], [], [], [(1, again)]]
    picker.request_ended(1, again)
    picker.request_ended(0, late)
    assert picker.remaining == 0


def test_a_request_whose_rest_came_from_elsewhere_is_useless() -> None:
    picker = picker_of(Row((4,)), [(0, 3)])
    request = pick(picker, 0)
    assert picker.block_received(1, 2) == []
    assert picker.block_received(1, 3) == []
    assert picker.block_received(0, 0) == []
    assert picker.block_received(0, 1) == [(0, request)]
    assert picker.block_received(0, 2) == []


# --- The end ------------------------------------------------------------------------------------------------------


def test_blocks_in_flight_for_a_while_are_asked_of_others_at_the_end() -> None:
    picker = picker_of(Row((64,)), [(0, 63)])
    assert pick(picker, 0).count == 64
    for link in range(1, 5):
        add_link(picker, link, [(0, 63)])
    assert picker.endgame
    assert picker.next_request(1, 64, 0.5) is None
    assert picker.next_timeout(0.5) == 1.0
    copy = pick(picker, 1, now=1.0)
    assert (copy.level, copy.count) == (0, 1)
    assert picker.next_request(0, 64, 1.0) is None, "its own request"
    # The block with the fewest copies comes next, and none is asked for three times more.
    assert pick(picker, 2, now=1.0).block != copy.block
    for link in range(5):
        while picker.next_request(link, 64, 1.0):
            pass
    for link in range(5):
        while picker.next_request(link, 64, 2.0):
            pass
    assert picker.next_timeout(2.0) is None
    picker.units_added(0, [])
    assert all(picker.next_request(link, 64, 100.0) is None for link in range(5))
    useless = picker.block_received(1, copy.global_first)
    assert len(useless) == 1, "the other copy; the first request has more to bring"
    assert picker.next_timeout(2.0) is None


def test_the_block_with_the_fewest_copies_is_copied_first() -> None:
    picker = picker_of(Row((2,)), [(0, 1)])
    assert pick(picker, 0).count == 2
    add_link(picker, 1, [(0, 0)])
    add_link(picker, 2, [(0, 1)])
    assert pick(picker, 1, now=1.0).block == 0
    assert [pick(picker, 2, now=9.0).block for _ in range(2)] == [1, 0]


def test_there_are_no_copies_before_the_end() -> None:
    picker = picker_of(Row((65,)), [(0, 64)], [(0, 64)])
    requests = drain(picker, 0)
    assert not picker.endgame
    assert picker.next_timeout(0.0) is None
    assert picker.next_request(1, 64, 1000.0) is None
    picker.block_received(0, requests[0].global_first)
    assert picker.endgame
    assert picker.next_request(1, 64, 1000.0) is not None


def test_no_copy_is_asked_for_of_a_block_that_has_come() -> None:
    picker = picker_of(Row((2,)), [(0, 1)])
    assert pick(picker, 0).count == 2
    add_link(picker, 1, [(0, 1)])
    picker.block_received(5, 0)
    assert pick(picker, 1, now=9.0).block == 1
    assert picker.next_timeout(0.0) == 10.0


def test_only_a_link_that_holds_a_block_gets_its_copy() -> None:
    picker = picker_of(Row((2,)), [(0, 1)])
    assert pick(picker, 0).count == 2
    add_link(picker, 1, [(1, 1)])
    assert pick(picker, 1, now=9.0).block == 1
    assert picker.next_request(1, 64, 99.0) is None


def test_the_end_begins_again_when_blocks_are_lost() -> None:
    picker = picker_of(Row((100,)), [(0, 99)], [(0, 99)])
    picker.exclude(0, 98)
    pick(picker, 0)
    assert picker.next_timeout(0.0) == 1.0
    picker.include(0, 98)
    assert picker.next_timeout(0.0) is None
    picker.exclude(0, 98)
    assert picker.next_timeout(0.0) == 1.0


def test_the_whole_cost_of_copies_is_bounded() -> None:
    picker = picker_of(Row((64,)), *[[(0, 63)]] * 9, config=PickerConfig())
    asked = 0
    for second in range(100):
        for link in range(9):
            while request := picker.next_request(link, 64, float(second)):
                asked += request.count
    assert asked == 64 * 3


# --- Form ---------------------------------------------------------------------------------------------------------


def test_a_resource_without_blocks_wants_nothing() -> None:
    picker = Picker(Layout.of_lengths([0, 0]), numbers())
    picker.link_added(1)
    picker.units_added(1, [(0, 65535)])
    assert picker.next_request(1, 64, 0.0, unannounced=True) is None
    assert (picker.remaining, picker.endgame, picker.wants_anything(1)) == (0, False, False)
    picker.link_removed(1)


def test_the_callers_mistakes_are_named() -> None:
    picker = picker_of(Row((10,)), [])
    with pytest.raises(IndexError, match="blocks 10 to 10: there are 10"):
        picker.block_received(0, 10)
    with pytest.raises(IndexError, match="blocks -1 to 3"):
        picker.exclude(-1, 3)
    with pytest.raises(IndexError, match="blocks 4 to 3"):
        picker.include(4, 3)
    with pytest.raises(IndexError, match=r"position is 11, not within 0\.\.10"):
        picker.read_from(11)
    with pytest.raises(ValueError, match="link 0 was added before"):
        picker.link_added(0)


def test_a_million_blocks_over_many_files_are_each_asked_for_once() -> None:
    layout = Layout.of_lengths([(1 + at * 7919 % 2000) * BLOCK_SIZE for at in range(1000)])
    assert layout.unit_exponent == 4
    picker = Picker(layout, numbers())
    for link in range(3):
        picker.link_added(link)
        picker.units_added(link, [(0, 65535)] if link == 0 else [(at, at + 40) for at in range(link, 65000, 90)])
    seen = bytearray(layout.total_blocks)
    requests = 0
    while request := picker.next_request(requests % 3, 64, 0.0) or picker.next_request(0, 64, 0.0):
        assert not any(seen[request.global_first : request.global_first + request.count])
        seen[request.global_first : request.global_first + request.count] = b"\x01" * request.count
        requests += 1
    assert all(seen)
    assert requests < layout.total_blocks / 40, "on average they are large"
