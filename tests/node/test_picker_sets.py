"""The sets beneath the picker against Python's own."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from p2pwire.node.availability import Availability, each, lowest, random_unit, unit_range, unit_set
from p2pwire.node.blockset import BlockSet
from p2pwire.node.flights import Flights, OneFile, PickedRequest
from tests.node.rows import Row, numbers

units = st.integers(0, 200)
spans = st.lists(st.tuples(units, units).map(lambda ends: (min(ends), max(ends))), max_size=8)
sets = st.sets(units, max_size=40)


def bits_of(members: set[int]) -> int:
    return sum(1 << member for member in members)


@given(spans, st.integers(0, 220))
def test_spans_become_the_units_below_the_end(spans: list[tuple[int, int]], total: int) -> None:
    expected = {unit for first, last in spans for unit in range(first, last + 1) if unit < total}
    assert set(each(unit_set(spans, total))) == expected


def test_a_map_full_of_holes() -> None:
    holes = unit_set([(unit, unit) for unit in range(1, 65536, 2)], 65536)
    assert holes == int.from_bytes(b"\xaa" * 8192)


@given(sets.filter(bool))
def test_members_come_in_order(members: set[int]) -> None:
    assert list(each(bits_of(members))) == sorted(members)
    assert lowest(bits_of(members)) == min(members)


@given(sets.filter(bool), st.integers(0, 2**16))
def test_a_random_unit_is_a_member(members: set[int], seed: int) -> None:
    assert random_unit(bits_of(members), numbers(seed)) in members


def test_every_unit_can_be_the_random_one() -> None:
    members = {3, 4, 60, 199}
    assert {random_unit(bits_of(members), numbers(seed)) for seed in range(2000)} == members


@given(st.lists(sets, max_size=20), st.data())
def test_availability_counts(holdings: list[set[int]], data: st.DataObject) -> None:
    availability = Availability()
    for held in holdings:
        availability.add(bits_of(held))
    for _ in range(data.draw(st.integers(0, len(holdings)))):
        availability.remove(bits_of(holdings.pop(data.draw(st.integers(0, len(holdings) - 1)))))
    counts = Counter(unit for held in holdings for unit in held)
    assert [availability.count(unit) for unit in range(201)] == [counts[unit] for unit in range(201)]
    among = data.draw(sets)
    least = min((counts[unit] for unit in among), default=0)
    assert set(each(availability.rarest(bits_of(among)))) == {unit for unit in among if counts[unit] == least}


def test_no_units_are_in_an_empty_range() -> None:
    assert unit_range(5, 4) == 0
    assert unit_range(5, 5) == 1 << 5


@given(st.integers(1, 300), st.booleans(), st.data())
def test_block_set_is_a_set(total: int, full: bool, data: st.DataObject) -> None:
    blocks = BlockSet(total, full=full)
    model = set(range(total)) if full else set()
    for _ in range(data.draw(st.integers(0, 10))):
        first = data.draw(st.integers(0, total - 1))
        count = data.draw(st.integers(1, total - first))
        if data.draw(st.booleans()):
            window = data.draw(st.integers(0, 2**count - 1))
            blocks.assign(first, count, window)
            model -= set(range(first, first + count))
            model |= {first + bit for bit in each(window)}
        else:
            span = set(range(first, first + count))
            assert {first + bit for bit in each(blocks.take(first, count))} == model & span
            model -= span
        assert {first + bit for bit in each(blocks.window(first, count))} == model & set(range(first, first + count))
    assert {block for block in range(total) if block in blocks} == model
    assert set(each(blocks.window(0, total))) == model


@given(st.integers(65530, 200_000), st.booleans(), st.data())
def test_block_set_is_a_set_across_pages(total: int, full: bool, data: st.DataObject) -> None:
    blocks = BlockSet(total, full=full)
    model = (1 << total) - 1 if full else 0
    for _ in range(data.draw(st.integers(0, 6))):
        edge = data.draw(st.sampled_from([0, 65536, 131072, total]))
        first = max(0, min(total - 1, edge + data.draw(st.integers(-70, 70))))
        count = min(total - first, data.draw(st.sampled_from([1, 7, 64, 140, 70_000, 200_000])))
        mask = (1 << count) - 1
        window = data.draw(st.sampled_from([0, mask, mask // 3, mask & ~(mask >> 1)]))
        blocks.assign(first, count, window)
        model = model & ~(mask << first) | window << first
        around = max(0, first - 9)
        size = min(total - around, count + 18)
        assert blocks.window(around, size) == model >> around & ((1 << size) - 1)
        assert (first in blocks) == (model >> first & 1 == 1)
    assert blocks.window(0, total) == model
    at = max(0, min(total - 1, data.draw(st.sampled_from([0, 65530, 65536, total - 3]))))
    assert blocks.take(at, total - at) == model >> at
    assert blocks.window(0, total) == model & ((1 << at) - 1)


def test_the_longest_claim_takes_no_memory() -> None:
    total = 2**32
    for full in (True, False):
        blocks = BlockSet(total, full=full)
        assert (total - 1 in blocks) is full
        assert blocks.window(total - 64, 64) == (2**64 - 1 if full else 0)
        blocks.assign(total - 2, 2, 1)
        assert [block in blocks for block in (total - 3, total - 2, total - 1, total)] == [full, True, False, False]
        assert sum(map(len, blocks._pages.values())) == 8192


@given(st.lists(st.integers(1, 100), min_size=1, max_size=4), st.data())
def test_flights_are_found_by_any_of_their_blocks(files: list[int], data: st.DataObject) -> None:
    row = Row(tuple(files))
    flights = Flights(row)
    flying: list[tuple[int, PickedRequest]] = []
    for link in range(data.draw(st.integers(0, 12))):
        file, block = row.locate(data.draw(st.integers(0, row.total_blocks - 1)))
        level = data.draw(st.integers(0, 6))
        block -= block % (1 << level)
        count = min(1 << level, files[file] - block)
        flying.append((link, PickedRequest(file, block, level, sum(files[:file]) + block, count, 0.0)))
        flights.add(*flying[-1])
    for _ in range(data.draw(st.integers(0, len(flying)))):
        flights.remove(*flying.pop())
    covered = [
        {link for link, request in flying if 0 <= block - request.global_first < request.count}
        for block in range(row.total_blocks)
    ]
    for block, links in enumerate(covered):
        found = flights.covering(block)
        assert len(found) == len(links)
        assert {link for link, _ in found} == links
    first = data.draw(st.integers(0, row.total_blocks - 1))
    last = data.draw(st.integers(first, row.total_blocks - 1))
    assert {first + bit for bit in each(flights.within(first, last))} == {
        block for block in range(first, last + 1) if covered[block]
    }


def test_one_file_has_the_units_of_its_blocks() -> None:
    assert OneFile(5, 65536).unit_exponent == 0
    assert OneFile(5, 65537).unit_exponent == 1
    assert OneFile(5, 9).locate(7) == (5, 7)
    assert OneFile(5, 9).blocks_of(5) == 9
