"""The picker: which blocks of one resource to ask of which link next.

At first at random, so that newcomers differ in what they can offer; then the rarest units first, in requests as large
as fit. A reader's window comes before that, and before both what was preferred. When few blocks are left, those that
are in flight for a while are asked of others too.

A block is *missing* until it is received, and *open* while it is missing and asked of nobody. Blocks are counted over
all files; units are 2^u blocks each, as HAVE announces them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import attrs

from p2pwire.node.availability import Availability, UnitSet, each, lowest, random_unit, unit_range, unit_set
from p2pwire.node.blockset import BlockSet
from p2pwire.node.flights import Flights, Layout, OneFile, PickedRequest
from p2pwire.wire.registry import MAX_BLOCKS, MAX_LEVEL

__all__ = ["Layout", "OneFile", "PickedRequest", "Picker", "PickerConfig", "SEQUENTIAL"]

_NEVER: Final = float("-inf")


@attrs.frozen
class PickerConfig:
    """The figures of the policy. None of them is visible to other peers as a rule."""

    max_level: int = MAX_LEVEL
    """The largest request is 2^max_level blocks."""
    random_picks: int = 4
    """Requests at the start for which rarity does not count."""
    shares: int = 2
    """A request takes about one of so many shares per link of what is open: no link is left alone with much."""
    begun_per_link: int = 2
    """Units begun and not finished, per link, above which these are finished first, since only whole units can be
    offered. This holds for units larger than a request; smaller ones finish as their neighbours come, and to hurry
    them would take seven times as many requests."""
    window: int = 256
    """Blocks ahead of a reader that are fetched in order: 4 MiB."""
    window_level: int = 4
    """The largest request within the window: the reader waits for it, and several links share the window."""
    endgame_blocks: int = 64
    """Missing blocks at the end of which any may be asked of further links."""
    endgame_duplicates: int = 2
    """Further requests for one block in the endgame."""
    endgame_patience: float = 1.0
    """Seconds, at least, that a block is in flight before it is asked of one more link."""
    first_patience: float = 1.0
    """The same before it is known how quickly blocks come."""


SEQUENTIAL: Final = PickerConfig(window=MAX_BLOCKS, window_level=MAX_LEVEL)
"""From front to back wherever the reader is: for a manifest, with `read_from(0)`."""


@attrs.define(eq=False)
class _Link:
    """What the picker knows of one link."""

    units: UnitSet = 0
    """Announced, and not refused since."""
    refused: UnitSet = 0
    """Not held after all."""
    requests: set[PickedRequest] = attrs.field(factory=set)


class Picker:
    """Picks requests for one resource, all of whose blocks are missing at first (see `exclude`).

    Links are the caller's numbers. A block out of range raises IndexError; announced units past the end are ignored.
    """

    def __init__(self, layout: Layout, random: Callable[[int], bytes], config: PickerConfig | None = None) -> None:
        self.total_blocks = total_blocks = layout.total_blocks
        self.remaining = total_blocks
        """Missing blocks."""
        self._exponent = layout.unit_exponent
        self._total_units = -(-total_blocks >> self._exponent)
        self._layout = layout
        self._random = random
        self._config = config or PickerConfig()
        self.patience = self._config.first_patience
        """Seconds that a block is in flight before it is asked of one more link; changed as blocks come."""
        self._links: dict[int, _Link] = {}
        self._holding = 0  # links that hold anything
        self._flights = Flights(layout)
        self._availability = Availability()
        self._missing = BlockSet(total_blocks, full=True)
        self._open = BlockSet(total_blocks, full=True)
        self._open_count = total_blocks
        everything = unit_range(0, self._total_units - 1)
        self._all_units: Final = everything
        self._missing_units: UnitSet = everything  # at least one block is missing
        self._open_units: UnitSet = everything  # at least one block is open
        self._begun: UnitSet = 0  # not all blocks are open; of meaning only where at least one is
        self._preferred: UnitSet = 0
        self._position: int | None = None
        self._picks = 0
        # The missing blocks at the end: copies in flight, and when the newest of them was asked for.
        self._tail: dict[int, tuple[int, float]] | None = None
        self._find_tail()

    # --- What links hold ------------------------------------------------------------------------------------------

    def link_added(self, link: int) -> None:
        """A link that holds nothing yet."""
        if link in self._links:
            raise ValueError(f"link {link} was added before")
        self._links[link] = _Link()

    def link_removed(self, link: int) -> None:
        """Forget a link; what was asked of it is open again."""
        self.release(link)
        units = self._links.pop(link).units
        self._availability.remove(units)
        self._holding -= units != 0

    def units_added(self, link: int, spans: Iterable[tuple[int, int]]) -> None:
        """A link holds the units of these inclusive spans (too)."""
        state = self._links[link]
        added = unit_set(spans, self._total_units)
        added ^= added & state.units
        self._availability.add(added)
        self._holding += added != 0 and state.units == 0
        state.units |= added
        state.refused ^= state.refused & added

    def units_removed(self, link: int, spans: Iterable[tuple[int, int]]) -> None:
        """A link holds the units of these inclusive spans no longer. Requests in flight are left to their end."""
        self._take_units(self._links[link], unit_set(spans, self._total_units))

    def availability(self, unit: int) -> int:
        """How many links hold a unit."""
        return self._availability.count(unit)

    def wants_anything(self, link: int) -> bool:
        """Whether a link holds a unit of which a block is missing, in flight or not: what INTEREST tells."""
        return self._links[link].units & self._missing_units != 0

    def _take_units(self, state: _Link, units: UnitSet) -> None:
        units &= state.units
        self._availability.remove(units)
        state.units ^= units
        self._holding -= units != 0 and state.units == 0

    # --- What is wanted -------------------------------------------------------------------------------------------

    def exclude(self, first: int, last: int) -> None:
        """Blocks `first` to `last` are held already, or not wanted: they are not missing. Requests for them go on."""
        self._check(first, last)
        count = last - first + 1
        self._open_count -= self._open.window(first, count).bit_count()
        self.remaining -= self._missing.window(first, count).bit_count()
        self._close(first, count)
        self._missing.assign(first, count, 0)
        self._missing_units ^= self._missing_units & self._done_units(first, last)
        self._find_tail()

    def include(self, first: int, last: int) -> None:
        """Blocks `first` to `last` are missing (again): lost, or wanted after all."""
        self._check(first, last)
        count = last - first + 1
        everything = (1 << count) - 1
        self.remaining += count - self._missing.window(first, count).bit_count()
        self._missing.assign(first, count, everything)
        self._missing_units |= unit_range(first >> self._exponent, last >> self._exponent)
        self._reopen(first, count, everything ^ self._flights.within(first, last))
        self._find_tail()

    def missing(self, block: int) -> bool:
        """Whether a block is missing: one that is not need not be written."""
        return block in self._missing

    def missing_of(self, first: int, count: int) -> int:
        """Which of these blocks are missing: bit n speaks of the n-th."""
        return self._missing.window(first, count)

    def prefer(self, first: int, last: int, *, on: bool = True) -> None:
        """Fetch the units of blocks `first` to `last` before all others, or (`on` false) in their turn again."""
        self._check(first, last)
        units = unit_range(first >> self._exponent, last >> self._exponent)
        self._preferred = self._preferred | units if on else self._preferred & ~units

    def read_from(self, position: int | None) -> None:
        """Somebody reads in order, and is at this block: the window begins here. None: nobody reads."""
        if position is not None and not 0 <= position <= self.total_blocks:
            raise IndexError(f"position is {position}, not within 0..{self.total_blocks}")
        self._position = position

    # --- Requests -------------------------------------------------------------------------------------------------

    def next_request(self, link: int, max_cost: int, now: float, *, unannounced: bool = False) -> PickedRequest | None:
        """What to ask of a link now, at a cost of at most `max_cost`; it counts as in flight. None: nothing.

        With `unannounced`, units that the link did not announce may be asked for too.
        """
        state = self._links[link]
        if max_cost < 1:
            return None
        units = self._all_units ^ state.refused if unannounced else state.units
        candidates = units & self._open_units
        if not candidates:
            return self._duplicate(link, state, units, now)
        share = self._open_count // (self._config.shares * max(1, self._holding))
        top = min(self._config.max_level, max_cost.bit_length() - 1, (max(1, share) - 1).bit_length())
        seed = self._next_in_window(candidates)
        if seed is None:
            seed, units = self._choose(candidates, units)
        else:
            top = min(top, self._config.window_level)
        request = self._fit(seed, units, top, now)
        self._picks += 1
        self._open_count -= request.count
        self._close(request.global_first, request.count)
        self._depart(link, state, request)
        return request

    def block_received(self, link: int, first: int, count: int = 1) -> list[tuple[int, PickedRequest]]:
        """One verified block, or neighbours of one file, have come, asked for or not. Returns the requests that have
        become useless: CANCEL them.

        A request whose last missing block is among these counts as ended.
        """
        last = first + count - 1
        self._check(first, last)
        came = self._missing.take(first, count)
        if not came:
            return []
        self.remaining -= came.bit_count()
        if opened := self._open.window(first, count):
            self._open_count -= opened.bit_count()
            self._close(first, count)
        self._missing_units ^= self._missing_units & self._done_units(first, last)
        useless: list[tuple[int, PickedRequest]] = []
        for holder, request in self._flights.touching(first, count):
            if not self._missing.window(request.global_first, request.count):
                self._land(holder, self._links[holder], request)
                # A request that ends with its last block ends by itself.
                if holder != link or last != request.global_first + request.count - 1:
                    useless.append((holder, request))
        if self._tail is not None:
            for block in range(first, last + 1):
                self._tail.pop(block, None)
        elif self.remaining <= self._config.endgame_blocks:
            self._find_tail()
        return useless

    def request_ended(self, link: int, request: PickedRequest, *, unavailable: bool = False) -> None:
        """A request is over, or not waited for any longer: what it did not bring is open again.

        Without effect for one that has ended before. `unavailable`: the link does not hold the blocks; their units
        are not asked of it again until it announces them anew.
        """
        state = self._links.get(link)
        if state is None:
            return
        if unavailable and (left := self._missing.window(request.global_first, request.count)):
            first = request.global_first + lowest(left)
            last = request.global_first + request.count - 1
            units = unit_range(first >> self._exponent, last >> self._exponent)
            self._take_units(state, units)
            state.refused |= units
        if request in state.requests:
            self._land(link, state, request)
            self._reopen_missing(request)

    def release(self, link: int) -> None:
        """All requests of a link count as ended: it timed out or is choked. Late blocks are welcome."""
        state = self._links[link]
        for request in list(state.requests):
            self._land(link, state, request)
            self._reopen_missing(request)

    def askable(self, links: Iterable[int], now: float) -> list[int]:
        """Those of some links of which `next_request` would ask something, as far as they announced it."""
        found, ripe = [], None
        for link in links:
            units = self._links[link].units
            if not units & self._open_units:
                if ripe is None:
                    ripe = self._ripe(now)
                if self._copy_for(link, units, ripe) < 0:
                    continue
            found.append(link)
        return found

    def holds_alone(self, link: int) -> bool:
        """Whether a link holds something that may be asked for and that no other link holds."""
        units = self._links[link].units & self._open_units
        return units != 0 and self._availability.count(lowest(self._availability.rarest(units))) == 1

    def asked_for(self, block: int) -> list[tuple[int, PickedRequest]]:
        """All (link, request) in flight that cover a block."""
        return self._flights.covering(block)

    @property
    def least_patience(self) -> float:
        """Seconds that a block is in flight in any case before it is asked of one more link."""
        return self._config.endgame_patience

    @property
    def endgame(self) -> bool:
        """Whether so few blocks are missing that one may be asked of several links."""
        return 0 < self.remaining <= self._config.endgame_blocks

    def next_timeout(self, now: float) -> float | None:
        """When, after `now`, a block in flight may be asked of one more link; None outside the endgame."""
        times = [
            newest + self.patience
            for copies, newest in (self._tail or {}).values()
            if 0 < copies <= self._config.endgame_duplicates
        ]
        return min((time for time in times if time > now), default=None)

    # --- Choosing -------------------------------------------------------------------------------------------------

    def _next_in_window(self, candidates: UnitSet) -> int | None:
        """The first open block of these units in the reader's window."""
        if self._position is None:
            return None
        end = min(self._position + self._config.window, self.total_blocks)
        base = self._position >> self._exponent
        near = candidates >> base & unit_range(0, ((end - 1) >> self._exponent) - base)
        while near:
            first, count = self._blocks_of(base + lowest(near))
            start, stop = max(first, self._position), min(first + count, end)
            if free := self._open.window(start, stop - start):
                return start + lowest(free)
            near &= near - 1
        return None

    def _choose(self, candidates: UnitSet, units: UnitSet) -> tuple[int, UnitSet]:
        """The block to begin with, and the units that the request may touch."""
        config = self._config
        finish = False
        candidates = candidates & self._preferred or candidates
        if self._picks >= config.random_picks:
            begun = candidates & self._begun
            limit = config.random_picks + config.begun_per_link * len(self._links)
            finish = begun != 0 and self._exponent > config.max_level and begun.bit_count() > limit
            candidates = self._availability.rarest(begun if finish else candidates)
            candidates = candidates & begun or candidates
        unit = random_unit(candidates, self._random)
        first, count = self._blocks_of(unit)
        # To finish a unit, the request stays within it: going on into the next one would begin another.
        return first + lowest(self._open.window(first, count)), 1 << unit if finish else units

    def _fit(self, seed: int, units: UnitSet, top: int, now: float) -> PickedRequest:
        """The largest request around an open block, all of it open and within the given units."""
        file, offset = self._layout.locate(seed)
        file_first, file_count = seed - offset, self._layout.blocks_of(file)
        top = min(top, (file_count - 1).bit_length())
        tile = seed - (offset & ((1 << top) - 1))
        tile_count = min(1 << top, file_first + file_count - tile)
        free = self._open.window(tile, tile_count) & self._blocks_within(units, tile, tile_count)
        for level in range(top, 0, -1):
            first = seed - (offset & ((1 << level) - 1))
            count = min(1 << level, file_first + file_count - first)
            wanted = (1 << count) - 1
            # Where the file ends in the lower half, the next level covers the same blocks at half the cost.
            if count > 1 << (level - 1) and free >> (first - tile) & wanted == wanted:
                return PickedRequest(file, first - file_first, level, first, count, now)
        return PickedRequest(file, offset, 0, seed, 1, now)

    def _duplicate(self, link: int, state: _Link, units: UnitSet, now: float) -> PickedRequest | None:
        """In the endgame: the block that the fewest links have been asked for, and then that waits the longest."""
        block = self._copy_for(link, units, self._ripe(now))
        if block < 0:
            return None
        request = PickedRequest(*self._layout.locate(block), 0, block, 1, now)
        self._depart(link, state, request)
        return request

    def _ripe(self, now: float) -> list[tuple[int, float, int]]:
        """The blocks of which one more copy may be asked for: copies in flight, when the newest was asked for, block;
        in the order in which they are."""
        if not self._tail:
            return []
        most, patience = self._config.endgame_duplicates, self.patience
        ripe = [
            (copies, newest, block)
            for block, (copies, newest) in self._tail.items()
            if 0 < copies <= most and newest + patience <= now
        ]
        ripe.sort()
        return ripe

    def _copy_for(self, link: int, units: UnitSet, ripe: list[tuple[int, float, int]]) -> int:
        """The first of these that a link holds and has not been asked for; -1: none."""
        for _, _, block in ripe:
            held = units >> (block >> self._exponent) & 1
            if held and all(holder != link for holder, _ in self._flights.covering(block)):
                return block
        return -1

    # --- Books ----------------------------------------------------------------------------------------------------

    def _blocks_of(self, unit: int) -> tuple[int, int]:
        """The first block of a unit and how many it has."""
        first = unit << self._exponent
        return first, min(1 << self._exponent, self.total_blocks - first)

    def _done_units(self, first: int, last: int) -> UnitSet:
        """The units of some blocks that are not missing of which no block is."""
        if not self._exponent:
            return unit_range(first, last)
        low, high = first >> self._exponent, last >> self._exponent
        done = unit_range(low + 1, high - 1)
        for unit in (low, high):
            if not self._missing.window(*self._blocks_of(unit)):
                done |= 1 << unit
        return done

    def _blocks_within(self, units: UnitSet, first: int, count: int) -> int:
        """The window of blocks that lie within the given units."""
        everything = (1 << count) - 1
        low, high = first >> self._exponent, (first + count - 1) >> self._exponent
        near = unit_range(0, high - low)
        absent = near & ~(units >> low)
        if not self._exponent:
            return everything ^ absent
        for unit in each(absent):
            unit_first, size = self._blocks_of(low + unit)
            start, stop = max(first, unit_first), min(first + count, unit_first + size)
            everything ^= ((1 << (stop - start)) - 1) << (start - first)
        return everything

    def _close(self, first: int, count: int) -> None:
        """These blocks are not open any longer. `_open_count` is the caller's."""
        self._open.assign(first, count, 0)
        low, high = first >> self._exponent, (first + count - 1) >> self._exponent
        if self._open.window(*self._blocks_of(low)):
            self._begun |= 1 << low
            low += 1
        if low <= high and self._open.window(*self._blocks_of(high)):
            self._begun |= 1 << high
            high -= 1
        self._open_units ^= self._open_units & unit_range(low, high)

    def _reopen(self, first: int, count: int, blocks: int) -> None:
        """Those blocks of the window that are in `blocks` are open again."""
        if not blocks:
            return
        before = self._open.window(first, count)
        self._open_count += (blocks & ~before).bit_count()
        self._open.assign(first, count, before | blocks)
        low, high = first >> self._exponent, (first + count - 1) >> self._exponent
        opened = begun = 0
        for unit in range(low, high + 1):
            start, size = self._blocks_of(unit)
            free = self._open.window(start, size).bit_count()
            opened |= (free > 0) << (unit - low)
            begun |= (0 < free < size) << (unit - low)
        self._open_units |= opened << low
        self._begun = self._begun & ~unit_range(low, high) | begun << low

    def _reopen_missing(self, request: PickedRequest) -> None:
        """What a request that has landed did not bring is open, unless it is in flight elsewhere."""
        first = request.global_first
        blocks = self._missing.window(first, request.count)
        for index in each(blocks):
            if self._flights.covering(first + index):
                blocks ^= 1 << index
        self._reopen(first, request.count, blocks)

    def _depart(self, link: int, state: _Link, request: PickedRequest) -> None:
        state.requests.add(request)
        self._flights.add(link, request)
        self._count_copies(request)

    def _land(self, link: int, state: _Link, request: PickedRequest) -> None:
        state.requests.remove(request)
        self._flights.remove(link, request)
        self._count_copies(request)

    def _count_copies(self, request: PickedRequest) -> None:
        """Brings the tail up to date after a request has departed or landed."""
        if self._tail is not None:
            for block in range(request.global_first, request.global_first + request.count):
                if block in self._tail:
                    self._tail[block] = self._copies(block)

    def _copies(self, block: int) -> tuple[int, float]:
        flights = self._flights.covering(block)
        return len(flights), max((request.at for _, request in flights), default=_NEVER)

    def _find_tail(self) -> None:
        """Looks for the last missing blocks, if they are few enough."""
        self._tail = None
        if self.remaining <= self._config.endgame_blocks:
            spans = [self._blocks_of(unit) for unit in each(self._missing_units)]
            blocks = [first + n for first, count in spans for n in each(self._missing.window(first, count))]
            self._tail = {block: self._copies(block) for block in blocks}

    def _check(self, first: int, last: int) -> None:
        if not 0 <= first <= last < self.total_blocks:
            raise IndexError(f"blocks {first} to {last}: there are {self.total_blocks}")
