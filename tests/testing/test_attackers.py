"""Every attack, small: what is promised is kept, honest peers get everything, and a seed gives the same figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p2pwire.storage.memory import share_bytes
from p2pwire.testing.attackers import ATTACKERS, TRIALS, Figure, Finding, event_of, findings_of, page
from p2pwire.testing.attackers.arena import Arena, Swarm
from p2pwire.testing.attackers.holding import held, size_of
from p2pwire.testing.network import Network

FULL = Path(__file__).parents[2] / "docs" / "attacks.jsonl"


@pytest.mark.parametrize("attack", TRIALS)
def test_what_is_promised_is_kept(attack: str) -> None:
    finding = TRIALS[attack].small("1")
    assert finding.attack == attack
    assert [figure for figure in finding.figures if not figure.kept] == []
    assert any(figure.most is not None for figure in finding.figures)


@pytest.mark.parametrize("attack", ["liar", "forger"])
def test_one_seed_gives_one_finding(attack: str) -> None:
    first, second = (TRIALS[attack].small("2").figures for _ in range(2))
    assert [figure for figure in first if figure.exact] == [figure for figure in second if figure.exact]


def test_the_published_figures_are_of_every_attack_and_keep_what_is_promised() -> None:
    lines = FULL.read_text(encoding="utf-8").splitlines()
    findings = findings_of(lines)
    assert [finding.attack for finding in findings] == list(TRIALS)
    assert {finding.size for finding in findings} == {"full"}
    assert all(finding.kept for finding in findings)
    assert [json.loads(json.dumps(event_of(finding))) for finding in findings] == list(map(json.loads, lines))
    assert FULL.with_suffix(".inc").read_text(encoding="utf-8") == page(findings) + "\n"


def test_a_broken_promise_is_seen() -> None:
    finding = Finding("test", "nothing", (Figure("one", 1, "", 0), Figure("two", 5)))
    assert not finding.kept
    assert finding.figure("two") == 5
    with pytest.raises(KeyError):
        finding.figure("three")


def test_every_kind_is_there_by_its_name() -> None:
    assert set(TRIALS) <= set(ATTACKERS)
    assert all(kind.name == name for name, kind in ATTACKERS.items())


def test_sizes_count_everything_once_and_nothing_of_the_program() -> None:
    block = bytearray(100_000)
    view = memoryview(block)
    assert 100_000 < size_of([view]) < 101_000
    assert size_of([[view, view], block]) < 101_000
    assert size_of([[block]], [block]) < 1_000
    assert size_of([Network, size_of, json]) == 0


def test_what_a_host_holds_does_not_count_its_disk() -> None:
    arena = Arena("held", Swarm(leechers=1, blocks=64))
    before = held(arena.source)
    arena.source.share(share_bytes(bytes(2**20)))
    assert held(arena.source) - before < 100_000
