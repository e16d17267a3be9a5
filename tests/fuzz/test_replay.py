"""The corpus, and everything it was made from, without a fuzzer."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import CORPUS, TARGETS, corpus

MAX_CORPUS = 300_000


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_stays_mended(name: str) -> None:
    inputs = corpus(name)
    assert inputs
    for data in inputs:
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_fuzzing_begins_with(name: str) -> None:
    seeds = list(TARGETS[name].seeds())
    assert seeds
    for data in seeds[:: max(1, len(seeds) // 60)]:
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_bytes_by_chance(name: str) -> None:
    chance = random.Random(name)
    inputs = corpus(name)
    for _ in range(60):
        data = bytearray(chance.choice(inputs))
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data) + 1) :][:1] = chance.randbytes(chance.randrange(3))
        TARGETS[name].run(bytes(data))


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < MAX_CORPUS
