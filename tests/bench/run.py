"""What a bench is handed: how much to measure, where to put figures, and the way in which rounds are taken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Final, TypeAlias

import attrs

from tests.bench.figures import Figure, Results

Case: TypeAlias = Callable[[], float]
"""Measures one sample."""
Prepare: TypeAlias = Callable[[], Callable[[], int]]
"""Makes ready, untimed, a piece of work that returns how many things it did."""

SLICE: Final = 0.06
"""seconds of processor time for one sample of what happens in memory."""

QUICK_SLICE: Final = 0.002
"""The same where only the working of it is shown."""


@attrs.define
class Run:
    """One run of the benchmark."""

    directory: Path
    """For the files of this run."""
    quick: bool = False
    results: Results = attrs.field(factory=Results)

    @property
    def rounds(self) -> int:
        """Samples of each figure."""
        return 1 if self.quick else 5

    @property
    def slice(self) -> float:
        """Seconds of processor time for one sample of what happens in memory."""
        return QUICK_SLICE if self.quick else SLICE

    def say(self, text: str) -> None:
        """Tell those who wait."""
        print(text, file=sys.stderr, flush=True)

    def add(
        self,
        key: str,
        unit: str,
        samples: Iterable[float],
        *,
        less: bool = False,
        against: Iterable[str] = (),
        limit: str | None = None,
        note: str = "",
        detail_of: str | None = None,
    ) -> None:
        """Keep a figure (see `Figure`); nothing without samples, since its rival was not there."""
        taken = tuple(samples)
        if taken:
            self.results.add(Figure(key, unit, taken, less, tuple(against), limit, note, detail_of))

    @contextmanager
    def rival(self, name: str) -> Iterator[None]:
        """What may be missing, or work differently in another version: one line, and the rest goes on."""
        try:
            yield
        except Exception as error:
            self.miss(name, error)

    def miss(self, name: str, error: BaseException) -> None:
        """A rival can not be measured."""
        if name not in self.results.missing:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            self.results.missing[name] = reason
            self.say(f"  {name} is not measured: {reason}")

    def interleave(self, cases: Mapping[str, Case], rivals: Mapping[str, str] | None = None) -> dict[str, list[float]]:
        """Samples of each case, a round of all cases at a time, each round beginning with another one.

        `rivals`: case -> whose it is, for those that may fail; such a case is left out then.
        """
        samples: dict[str, list[float]] = {name: [] for name in cases}
        names = list(cases)
        for number in range(self.rounds):
            first = number * len(names) // self.rounds
            for name in names[first:] + names[:first]:
                if name not in samples:
                    continue
                try:
                    samples[name].append(cases[name]())
                except Exception as error:
                    if rivals is None or name not in rivals:
                        raise
                    del samples[name]
                    self.miss(rivals[name], error)
        return {name: samples.get(name, []) for name in names}

    def rate(self, prepare: Prepare) -> Case:
        """A case: things done in a second of this process's time, which other processes do not change much."""
        seconds = self.slice

        def sample() -> float:
            spent, done = 0.0, 0
            while spent < seconds:
                work = prepare()
                begun = process_time()
                done += work()
                spent += process_time() - begun
            return done / spent

        return sample


def repeated(work: Callable[[], object], times: int) -> Prepare:
    """Work without preparation, done so often in a row that looking at the clock costs nothing beside it."""

    def loop() -> int:
        for _ in range(times):
            work()
        return times

    return lambda: loop
