"""The picker against a naive model: sets of blocks, looked through in full each time."""

from __future__ import annotations

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from p2pwire.node.picker import PickedRequest, Picker, PickerConfig
from tests.node.rows import Row, numbers

rows = st.builds(
    Row,
    files=st.lists(st.integers(0, 80), min_size=1, max_size=6).filter(any).map(tuple),
    unit_exponent=st.integers(0, 7),
)
configs = st.builds(
    PickerConfig,
    max_level=st.integers(0, 6),
    random_picks=st.sampled_from([0, 4]),
    shares=st.sampled_from([1, 2]),
    begun_per_link=st.sampled_from([0, 2]),
    window=st.sampled_from([1, 8, 256]),
    endgame_blocks=st.sampled_from([0, 3, 64]),
)


@attrs.define(eq=False)
class Asked:
    """A request in flight."""

    link: int
    request: PickedRequest

    @property
    def blocks(self) -> range:
        return range(self.request.global_first, self.request.global_first + self.request.count)


class PickerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.held: dict[int, set[int]] = {}
        self.refused: dict[int, set[int]] = {}
        self.asked: list[Asked] = []
        self.now = 0.0

    @initialize(row=rows, config=configs, seed=st.integers(0, 2**16), data=st.data())
    def begin(self, row: Row, config: PickerConfig, seed: int, data: st.DataObject) -> None:
        self.row, self.config = row, config
        self.picker = Picker(row, numbers(seed), config)
        self.missing = set(range(row.total_blocks))
        for link in range(3):
            self.add_link(link)
            self.announce_spans(link, self.draw_spans(data))

    # What the model says.

    def open(self) -> set[int]:
        return self.missing - {block for asked in self.asked for block in asked.blocks}

    def may_ask(self, link: int, unannounced: bool) -> set[int]:
        return set(range(self.row.units)) - self.refused[link] if unannounced else self.held[link]

    def blocks_in(self, units: set[int], blocks: set[int]) -> set[int]:
        return {block for block in blocks if block >> self.row.unit_exponent in units}

    def may_duplicate(self, link: int, units: set[int]) -> set[int]:
        if len(self.missing) > self.config.endgame_blocks:
            return set()
        allowed = set()
        for block in self.blocks_in(units, self.missing):
            flights = [asked for asked in self.asked if block in asked.blocks]
            if (
                0 < len(flights) <= self.config.endgame_duplicates
                and all(asked.link != link for asked in flights)
                and max(asked.request.at for asked in flights) + self.config.endgame_patience <= self.now
            ):
                allowed.add(block)
        return allowed

    # What happens.

    @precondition(lambda self: len(self.held) < 5)
    @rule()
    def add_a_link(self) -> None:
        self.add_link(min(set(range(5)) - set(self.held)))

    def add_link(self, link: int) -> None:
        self.picker.link_added(link)
        self.held[link], self.refused[link] = set(), set()

    @precondition(lambda self: len(self.held) > 1)
    @rule(data=st.data())
    def remove_a_link(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(self.held)))
        self.picker.link_removed(link)
        del self.held[link], self.refused[link]
        self.asked = [asked for asked in self.asked if asked.link != link]

    @rule(data=st.data(), everything=st.booleans())
    def announce(self, data: st.DataObject, everything: bool) -> None:
        link = data.draw(st.sampled_from(sorted(self.held)))
        self.announce_spans(link, [(0, self.row.units + 3)] if everything else self.draw_spans(data))

    def announce_spans(self, link: int, spans: list[tuple[int, int]]) -> None:
        self.picker.units_added(link, spans)
        units = self.units_in(spans)
        self.held[link] |= units
        self.refused[link] -= units

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(self.held)))
        spans = self.draw_spans(data)
        self.picker.units_removed(link, spans)
        self.held[link] -= self.units_in(spans)

    def draw_spans(self, data: st.DataObject) -> list[tuple[int, int]]:
        unit = st.integers(0, self.row.units)
        pair = st.tuples(unit, unit).map(lambda ends: (min(ends), max(ends)))
        return data.draw(st.lists(pair, min_size=1, max_size=4))

    def units_in(self, spans: list[tuple[int, int]]) -> set[int]:
        return {unit for first, last in spans for unit in range(first, min(last + 1, self.row.units))}

    @rule(data=st.data(), max_costs=st.lists(st.integers(0, 70), min_size=1, max_size=8), unannounced=st.booleans())
    def ask(self, data: st.DataObject, max_costs: list[int], unannounced: bool) -> None:
        for max_cost in max_costs:
            self.ask_of(data.draw(st.sampled_from(sorted(self.held))), max_cost, unannounced)

    @rule()
    def ask_all(self) -> None:
        for link in self.held:
            while self.ask_of(link, 64, unannounced=False):
                pass

    def ask_of(self, link: int, max_cost: int, unannounced: bool) -> bool:
        units = self.may_ask(link, unannounced)
        candidates = self.blocks_in(units, self.open())
        duplicates = self.may_duplicate(link, units)
        request = self.picker.next_request(link, max_cost, self.now, unannounced=unannounced)
        if request is None:
            assert max_cost == 0 or not (candidates or duplicates)
            return False
        self.check_form(request, max_cost)
        asked = Asked(link, request)
        assert set(asked.blocks) <= (candidates or duplicates)
        self.asked.append(asked)
        return True

    def check_form(self, request: PickedRequest, max_cost: int) -> None:
        file_blocks = self.row.files[request.file]
        assert 1 <= request.cost <= max_cost
        assert request.cost == 2**request.level
        assert request.level <= self.config.max_level
        assert request.level <= (file_blocks - 1).bit_length()
        assert request.block % request.cost == 0
        assert request.count == min(request.cost, file_blocks - request.block)
        assert 2 * request.count > request.cost
        assert request.global_first == sum(self.row.files[: request.file]) + request.block
        assert request.at == self.now

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), whole=st.booleans())
    def deliver(self, data: st.DataObject, whole: bool) -> None:
        asked = data.draw(st.sampled_from(self.asked))
        blocks = [block for block in asked.blocks if block in self.missing]
        for block in blocks if whole else blocks[:1]:
            self.receive(asked.link, block)

    @rule(data=st.data(), link=st.integers(0, 6))
    def receive_late(self, data: st.DataObject, link: int) -> None:
        self.receive(link, data.draw(st.integers(0, self.row.total_blocks - 1)))

    def receive(self, link: int, block: int) -> None:
        was_missing = block in self.missing
        assert self.picker.missing(block) is was_missing
        useless = self.picker.block_received(link, block)
        self.missing.discard(block)
        over = [
            asked
            for asked in self.asked
            if was_missing and block in asked.blocks and self.missing.isdisjoint(asked.blocks)
        ]
        assert set(useless) == {
            (asked.link, asked.request) for asked in over if asked.link != link or asked.blocks[-1] != block
        }
        self.asked = [asked for asked in self.asked if asked not in over]

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), unavailable=st.booleans(), again=st.booleans())
    def end(self, data: st.DataObject, unavailable: bool, again: bool) -> None:
        asked = data.draw(st.sampled_from(self.asked))
        self.picker.request_ended(asked.link, asked.request, unavailable=unavailable)
        self.asked.remove(asked)
        left = [block for block in asked.blocks if block in self.missing]
        if unavailable and left:
            units = self.row.units_of(left[0], asked.blocks[-1] + 1 - left[0])
            self.held[asked.link] -= units
            self.refused[asked.link] |= units
        if again:
            self.picker.request_ended(asked.link, asked.request)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(sorted(self.held)))
        self.picker.release(link)
        self.asked = [asked for asked in self.asked if asked.link != link]

    @rule(data=st.data(), out=st.booleans())
    def exclude_or_include(self, data: st.DataObject, out: bool) -> None:
        first = data.draw(st.integers(0, self.row.total_blocks - 1))
        last = min(first + data.draw(st.sampled_from([0, 5, 100, 500])), self.row.total_blocks - 1)
        if out:
            self.picker.exclude(first, last)
            self.missing -= set(range(first, last + 1))
        else:
            self.picker.include(first, last)
            self.missing |= set(range(first, last + 1))

    @rule(data=st.data(), on=st.booleans())
    def prefer(self, data: st.DataObject, on: bool) -> None:
        block = st.integers(0, self.row.total_blocks - 1)
        first, last = sorted((data.draw(block), data.draw(block)))
        self.picker.prefer(first, last, on=on)

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        self.picker.read_from(data.draw(st.none() | st.integers(0, self.row.total_blocks)))

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def wait_for_timeout(self) -> None:
        when = self.picker.next_timeout(self.now)
        if when is not None:
            assert when > self.now
            assert len(self.missing) <= self.config.endgame_blocks
            self.now = when

    @invariant()
    def agrees(self) -> None:
        assert self.picker.remaining == len(self.missing)
        assert self.picker.endgame is (0 < len(self.missing) <= self.config.endgame_blocks)
        for unit in range(0, self.row.units, 7):
            assert self.picker.availability(unit) == sum(unit in units for units in self.held.values())
        for link, units in self.held.items():
            assert self.picker.wants_anything(link) is bool(self.blocks_in(units, self.missing))

    def teardown(self) -> None:
        if not hasattr(self, "picker"):
            return
        self.picker.link_added(9)
        self.held[9], self.refused[9] = set(range(self.row.units)), set()
        self.picker.units_added(9, [(0, self.row.units - 1)])
        for link in self.held:
            self.picker.release(link)
        self.asked = []
        while self.missing:
            assert self.ask_of(9, 64, unannounced=False)
            for block in self.asked[0].blocks:
                self.receive(9, block)
        assert not self.asked
        assert self.picker.remaining == 0
        assert self.picker.next_request(9, 64, self.now + 100) is None


PickerMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestPickerStates = PickerMachine.TestCase
