"""The published outputs of the longer commands: everything that they try is in them, and went well."""

from __future__ import annotations

import re
from pathlib import Path

from tests.fuzz.targets import TARGETS
from tests.world.__main__ import TRIALS

DOCS = Path(__file__).parents[2] / "docs"


def test_every_trial_of_the_world_is_published_and_none_failed() -> None:
    text = (DOCS / "world.txt").read_text(encoding="utf-8")
    over = re.findall(r"^([a-z0-9-]+): over after \d+ s$", text, re.MULTILINE)
    assert over == list(TRIALS)
    said = set(re.findall(r"^([a-z0-9-]+): (?!over after)", text, re.MULTILINE))
    assert said == set(TRIALS)
    assert "FAILED" not in text
    assert "Traceback" not in text


def test_every_target_of_the_fuzzers_is_published_and_nothing_was_found() -> None:
    lines = (DOCS / "fuzz.txt").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"([a-z-]+): (\d+) inputs in (\d+) s, .*", line) for line in lines]
    told = {match[1]: (int(match[2]), int(match[3])) for match in found if match is not None}
    assert len(told) == len(lines)
    assert set(told) == set(TARGETS)
    for inputs, seconds in told.values():
        assert inputs > 1000
        assert seconds >= 60
