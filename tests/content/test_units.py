"""Bitmaps, unit maps, block maps and layouts, against plain sets."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from p2pwire.content.bitmap import Bitmap, Span, spans_of
from p2pwire.content.hashing import BLOCK
from p2pwire.content.units import BlockMap, Layout, UnitMap, unit_exponent
from p2pwire.wire.registry import MAX_BLOCKS, MAX_LENGTH, MAX_UNITS


def runs(numbers: set[int]) -> list[Span]:
    """The runs of a set of numbers."""
    found: list[Span] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


# --- Arithmetic ---


@pytest.mark.parametrize(
    ("total", "exponent"),
    [
        (0, 0),
        (1, 0),
        (65536, 0),
        (65537, 1),
        (131072, 1),
        (131073, 2),
        (2**31, 15),
        (2**31 + 1, 16),
        (MAX_BLOCKS, 16),
    ],
)
def test_unit_exponent(total: int, exponent: int) -> None:
    assert unit_exponent(total) == exponent


@given(st.integers(1, MAX_BLOCKS))
@settings(max_examples=200, derandomize=True)
def test_units_are_as_small_as_the_map_allows(total: int) -> None:
    exponent = unit_exponent(total)
    assert -(-total >> exponent) <= MAX_UNITS
    assert exponent == 0 or -(-total >> exponent - 1) > MAX_UNITS


# --- Spans and bitmaps ---


@given(st.sets(st.integers(0, 300)), st.integers(0, 10))
@settings(max_examples=100, derandomize=True)
def test_spans_of_bits(numbers: set[int], base: int) -> None:
    bits = sum(1 << number for number in numbers)
    assert spans_of(bits, base) == runs({number + base for number in numbers})


def test_a_bitmap_takes_room_for_what_was_in_it() -> None:
    bitmap = Bitmap(MAX_UNITS)
    assert 5 not in bitmap
    assert not bitmap.holds(5, 5)
    assert bitmap.add_number(5)
    assert not bitmap.add_number(5)
    assert len(bitmap._bits) < 16
    assert bitmap.add_span(MAX_UNITS - 1, MAX_UNITS - 1) == [(MAX_UNITS - 1, MAX_UNITS - 1)]
    assert len(bitmap._bits) == MAX_UNITS // 8
    assert (bitmap.count, bitmap.bits) == (2, 1 << 5 | 1 << MAX_UNITS - 1)
    assert -1 not in bitmap
    assert MAX_UNITS not in bitmap


class UnitMapMachine(RuleBasedStateMachine):
    """A unit map does what a set of numbers does."""

    spans = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)), max_size=4).map(
        lambda pairs: [(first, first + more) for first, more in pairs]
    )

    def __init__(self) -> None:
        super().__init__()
        self.map = UnitMap()
        self.model: set[int] = set()
        self.limit = MAX_UNITS

    def named(self, spans: list[Span]) -> set[int]:
        return {unit for first, last in spans for unit in range(first, last + 1) if unit < self.limit}

    @rule(spans=spans)
    def add(self, spans: list[Span]) -> None:
        added = self.map.add(iter(spans))
        assert sum(last - first + 1 for first, last in added) == len(self.named(spans) - self.model)
        assert self.named(added) == self.named(spans) - self.model
        self.model |= self.named(spans)

    @rule(spans=spans)
    def remove(self, spans: list[Span]) -> None:
        removed = self.map.remove(iter(spans))
        assert sum(last - first + 1 for first, last in removed) == len(self.named(spans) & self.model)
        assert self.named(removed) == self.named(spans) & self.model
        self.model -= self.named(spans)

    @rule(units=st.integers(0, 400))
    def limit_to(self, units: int) -> None:
        if units <= self.limit:
            self.map.limit_to(units)
            self.limit = units
            self.model = {unit for unit in self.model if unit < units}

    @rule(first=st.integers(0, 400), more=st.integers(0, 9))
    def holds(self, first: int, more: int) -> None:
        assert self.map.holds(first, first + more) == self.model.issuperset(range(first, first + more + 1))

    @invariant()
    def same(self) -> None:
        assert list(self.map) == sorted(self.model)
        assert self.map.spans() == runs(self.model)
        assert self.map.count == len(self.model)
        assert all((unit in self.map) == (unit in self.model) for unit in range(0, 470, 7))


TestUnitMap = UnitMapMachine.TestCase
TestUnitMap.settings = settings(max_examples=30, stateful_step_count=20, deadline=None, derandomize=True)


def test_units_past_the_end_are_ignored_before_and_after_the_end_is_known() -> None:
    units = UnitMap()
    assert units.add([(0, 3), (60000, 65535)]) == [(0, 3), (60000, 65535)]
    units.limit_to(2)
    assert units.spans() == [(0, 1)]
    assert units.add([(1, 9), (70, 80)]) == []
    assert units.remove([(1, 65535)]) == [(1, 1)]
    units.limit_to(0)
    assert units.add([(0, 0)]) == []
    assert (units.count, units.spans()) == (0, [])


# --- Blocks ---


class BlockMapMachine(RuleBasedStateMachine):
    """A block map over three pages does what a set of blocks does; units of 4 blocks lie in it across all borders."""

    total = 3 * MAX_UNITS - 5
    blocks = st.one_of(st.integers(0, total - 1), st.sampled_from([0, 65535, 65536, 131071, 131072, total - 1]))

    @initialize()
    def begin(self) -> None:
        self.map = BlockMap(self.total)
        self.model = 0

    def mask(self, first: int, last: int) -> int:
        return (1 << last - first + 1) - 1 << first

    @rule(block=blocks)
    def add(self, block: int) -> None:
        assert self.map.add(block) == (not self.model >> block & 1)
        self.model |= 1 << block

    @rule(one=blocks, other=blocks)
    def add_span(self, one: int, other: int) -> None:
        mask = self.mask(min(one, other), max(one, other))
        assert self.map.add_span(min(one, other), max(one, other)) == (mask & ~self.model).bit_count()
        self.model |= mask

    @rule(one=blocks, other=blocks)
    def remove_span(self, one: int, other: int) -> None:
        mask = self.mask(min(one, other), max(one, other))
        assert self.map.remove_span(min(one, other), max(one, other)) == (mask & self.model).bit_count()
        self.model &= ~mask

    @rule(one=blocks, other=blocks)
    def holds(self, one: int, other: int) -> None:
        mask = self.mask(min(one, other), max(one, other))
        assert self.map.holds(min(one, other), max(one, other)) == (mask & self.model == mask)
        assert self.map.holds_any(min(one, other), max(one, other)) == (mask & self.model != 0)
        assert (one in self.map) == bool(self.model >> one & 1)

    @rule(block=blocks)
    def holds_unit(self, block: int) -> None:
        first = block & ~3
        mask = self.mask(first, min(first + 3, self.total - 1))
        assert self.map.holds_unit(block >> 2) == (mask & self.model == mask)
        assert self.map.holds_unit(block >> 2) == any(first <= block >> 2 <= last for first, last in self.map.units())

    @invariant()
    def same(self) -> None:
        held = list(self.map.spans())
        assert held == spans_of(self.model)
        assert self.map.count == self.model.bit_count()
        assert self.map.complete == (self.model.bit_count() == self.total)
        assert list(self.map.missing()) == spans_of(((1 << self.total) - 1) & ~self.model)


TestBlockMap = BlockMapMachine.TestCase
TestBlockMap.settings = settings(max_examples=30, stateful_step_count=15, deadline=None, derandomize=True)


def test_a_unit_is_held_when_all_its_blocks_are() -> None:
    held = BlockMap(65537)  # units of 2 blocks; the last one has only one
    assert held.unit_exponent == 1
    assert held.add(3)
    assert list(held.units()) == []
    assert held.add(4)
    assert not held.holds_unit(1)
    assert held.add(2)
    assert held.holds_unit(1)
    assert list(held.units()) == [(1, 1)]
    held.add_span(5, 9)
    assert list(held.units()) == [(1, 4)]
    held.add(65536)
    assert list(held.units()) == [(1, 4), (32768, 32768)]
    held.remove_span(4, 4)
    assert list(held.units()) == [(1, 1), (3, 4), (32768, 32768)]


@given(st.sets(st.integers(0, 70), max_size=40), st.integers(1, 71))
@settings(max_examples=100, derandomize=True)
def test_units_from_runs_of_blocks(numbers: set[int], total: int) -> None:
    held = BlockMap(total)
    held.unit_exponent = 2
    for block in numbers:
        if block < total:
            held.add(block)
    count = -(-total // 4)
    units = {
        unit for unit in range(count) if all(block in numbers for block in range(unit * 4, min(unit * 4 + 4, total)))
    }
    assert list(held.units()) == runs(units)


def test_blocks_that_do_not_exist() -> None:
    held = BlockMap(10)
    for block in (-1, 10):
        with pytest.raises(IndexError, match="there are 10"):
            held.add(block)
        assert block not in held
    for first, last in ((-1, 3), (9, 10), (4, 3)):
        for change in (held.add_span, held.remove_span, held.holds, held.holds_any):
            with pytest.raises(IndexError, match=f"blocks {first} to {last}: there are 10"):
                change(first, last)
    with pytest.raises(IndexError, match="there are 10"):
        held.holds_unit(10)
    for total in (-1, MAX_BLOCKS + 1):
        with pytest.raises(ValueError, match="must be 0 to"):
            BlockMap(total)


def test_nothing_is_all_of_nothing() -> None:
    held = BlockMap(0)
    assert held.complete
    assert list(held.spans()) == list(held.missing()) == list(held.units()) == []


def test_the_largest_object_takes_room_only_where_it_is_broken() -> None:
    tracemalloc.start()
    held = BlockMap(MAX_BLOCKS)
    held.add(MAX_BLOCKS - 1)
    held.add_span(5, 2**24 + 4)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 64 * 1024
    assert held.count == 2**24 + 1
    assert list(held.spans()) == [(5, 2**24 + 4), (MAX_BLOCKS - 1, MAX_BLOCKS - 1)]
    assert list(held.units()) == [(1, 255)]
    assert not held.holds_unit(65535)
    assert list(held.missing()) == [(0, 4), (2**24 + 5, MAX_BLOCKS - 2)]


# --- Layouts ---


@given(st.lists(st.one_of(st.just(0), st.integers(0, 5 * BLOCK)), max_size=12))
@settings(max_examples=100, derandomize=True)
def test_layout(lengths: list[int]) -> None:
    layout = Layout.of_lengths(lengths)
    row = [(file, block) for file, length in enumerate(lengths) for block in range(-(-length // BLOCK))]
    assert (layout.files, layout.total_blocks, layout.unit_exponent) == (len(lengths), len(row), 0)
    assert layout.unit_count == len(row)
    for number, place in enumerate(row):
        assert layout.locate(number) == place
        assert layout.first_block(place[0]) + place[1] == number
        assert layout.unit_of(*place) == number
        assert layout.unit_span(number) == (number, number)
    for file, length in enumerate(lengths):
        assert layout.blocks_of(file) == -(-length // BLOCK)
    for first in range(len(row)):
        for last in range(first, min(first + 7, len(row))):
            parts = list(layout.files_of(first, last))
            assert [(file, block) for file, low, high in parts for block in range(low, high + 1)] == row[
                first : last + 1
            ]
            assert len({file for file, _, _ in parts}) == len(parts)
    assert list(layout.files_of(1, 0)) == []
    for block in (-1, len(row)):
        with pytest.raises(IndexError, match=f"there are {len(row)}"):
            layout.locate(block)


def test_units_across_files() -> None:
    layout = Layout.of_lengths([BLOCK, 65535 * BLOCK, 0, 3, 2 * BLOCK])
    assert (layout.total_blocks, layout.unit_exponent, layout.unit_count) == (65539, 1, 32770)
    assert layout.unit_of(0, 0) == layout.unit_of(1, 0) == 0
    assert layout.unit_of(3, 0) == layout.unit_of(4, 0) == 32768
    assert layout.unit_of(4, 1) == 32769
    assert layout.unit_span(32768) == (65536, 65537)
    assert layout.unit_span(32769) == (65538, 65538)
    assert list(layout.files_of(65535, 65538)) == [(1, 65534, 65534), (3, 0, 0), (4, 0, 1)]
    for unit in (-1, 32770):
        with pytest.raises(IndexError, match="there are 32770"):
            layout.unit_span(unit)
    for file, block in ((2, 0), (0, 1), (0, -1)):
        with pytest.raises(IndexError, match=f"block {block}: file {file} has"):
            layout.unit_of(file, block)
    for file in (-1, 5):
        for ask in (layout.first_block, layout.blocks_of):
            with pytest.raises(IndexError, match=f"file {file}: there are 5"):
                ask(file)


def test_the_largest_layout() -> None:
    layout = Layout.of_lengths([0, MAX_LENGTH, 0])
    assert (layout.total_blocks, layout.unit_count) == (MAX_BLOCKS, MAX_UNITS)
    assert layout.locate(MAX_BLOCKS - 1) == (1, MAX_BLOCKS - 1)
    assert layout.first_block(2) == MAX_BLOCKS
    with pytest.raises(ValueError, match="4294967297 in all, at most 4294967296"):
        Layout.of_lengths([MAX_LENGTH, 1])


def test_no_blocks_have_no_units() -> None:
    for lengths in ([], [0, 0]):
        layout = Layout.of_lengths(lengths)
        assert (layout.total_blocks, layout.unit_count) == (0, 0)
