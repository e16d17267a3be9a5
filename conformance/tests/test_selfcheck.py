"""The suite's proof of itself tells a good suite from a bad one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from p2pwire_conformance import command, selfcheck
from p2pwire_conformance.breaks import accept
from p2pwire_conformance.case import CASES, GROUPS
from p2pwire_conformance.selfcheck import Given, read, read_benign, sample
from p2pwire_conformance.subject import AdapterSubject
from p2pwire_conformance.variants import Variants
from toys import ADAPTERS

MUTANTS = sorted(ADAPTERS.glob("mutants*.toml"))
COMMAND = [sys.executable, str(ADAPTERS / "mutants.py")]


@pytest.fixture
def variants() -> Iterator[Variants]:
    """Those of the reference."""
    made = Variants(COMMAND)
    yield made
    made.close()


def test_all_mutants_together_try_nearly_all_cases() -> None:
    tried: set[str] = set()
    for mutant in read(MUTANTS):
        drawn = {case.id for case in sample(mutant)}
        assert not any(id.startswith((*mutant.killed_by, *mutant.breaks)) for id in drawn)
        tried |= drawn | set(mutant.killed_by)
    assert len(set(CASES) - tried) <= len(CASES) // 100


def test_a_sample_does_not_change_with_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = read(MUTANTS)[0]
    drawn = sample(mutant)
    monkeypatch.delitem(CASES, drawn[0].id)
    assert sample(mutant) == drawn[1:]


def test_benign_variants_are_those_of_the_adapter() -> None:
    text = (ADAPTERS / "benign.py").read_text(encoding="utf-8")
    made = {name.replace("_", "-") for name in re.findall(r"@variant\ndef (\w+)", text)}
    listed = {one.name for one in read_benign(ADAPTERS / "benign.toml")}
    assert len(listed) >= 12
    assert made == listed


def test_a_copy_can_be_killed_and_made_again(variants: Variants) -> None:
    adapter = variants.adapter("no-close")
    for _ in range(3):
        AdapterSubject(adapter)
        assert (
            adapter.request("start", run="x", case="", role="responder", net="inline", via="tcp", config={})["tx"] == ""
        )
        adapter.kill()
    adapter.close()


def _check(tmp_path: Path, rows: str, only: str, *, benign: str = "") -> tuple[int, str]:
    mutants, listed = tmp_path / "mutants.toml", tmp_path / "benign.toml"
    mutants.write_text(rows, encoding="utf-8")
    listed.write_text(benign, encoding="utf-8")
    said: list[str] = []
    nothing = [sys.executable, str(ADAPTERS / "nothing.py")]
    given = Given([mutants], listed, COMMAND, nothing, [only])
    code, _ = selfcheck.check(given, said.append)
    return code, "\n".join(said)


def _row(name: str, killed_by: str, more: str = "") -> str:
    return f'[{name}]\ntext = "x"\nkilled_by = ["{killed_by}"]\n{more}\n'


def _breaks(*but: str) -> str:
    listed = ", ".join(f'"{group}"' for group in GROUPS if group not in but)
    return f'because = "of the test"\nbreaks = [{listed}]'


ELSE = _breaks("SA")
"""No samples."""


def test_a_mutant_that_is_killed(tmp_path: Path) -> None:
    code, said = _check(tmp_path, _row("unknown-even-ignored", "FR-0526", ELSE), "mutants")
    assert code == 0, said
    assert "killed   unknown-even-ignored: FR-0526" in said
    assert "1 of 1 mutants killed" in said


def test_a_mutant_that_lives(tmp_path: Path) -> None:
    code, said = _check(tmp_path, _row("unknown-even-ignored", "KA-0002", ELSE), "mutants")
    assert code == 1
    assert "KA-0002 does not find it (pass)" in said


def test_a_mutant_that_breaks_more_than_it_is_told(tmp_path: Path) -> None:
    code, said = _check(tmp_path, _row("pong-zeroed", "EN-0040", _breaks("SA", "KA")), "mutants")
    assert code == 1
    assert "it is not told to break FAIL SA-0001/answer" in said
    assert "!" in next(line for line in said.splitlines() if line.startswith("pong-zeroed"))


def test_what_else_a_mutant_breaks_is_written_into_its_list(tmp_path: Path) -> None:
    path = tmp_path / "mutants.toml"
    rows = _row("a", "KA-0002") + "# why\n" + _row("b", "KA-0002", 'breaks = ["TR",\n  "ST"]') + _row("c", "KA-0002")
    path.write_text(rows, encoding="utf-8")
    assert accept([path], {"a": {"SA", "FR"}, "b": {"ST", "EN"}}) == 2
    assert {one.name: one.breaks for one in read([path])} == {"a": ("FR", "SA"), "b": ("TR", "ST", "EN"), "c": ()}
    assert "# why" in path.read_text(encoding="utf-8")
    assert accept([path], {"a": {"SA"}}) == 0


def test_only_what_nothing_is_called(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--only: is 'unknown-evn-ignored', must be mutants, benign, nothing, or"):
        _check(tmp_path, _row("unknown-even-ignored", "FR-0526", ELSE), "unknown-evn-ignored")


def test_a_mutant_that_there_is_not(tmp_path: Path) -> None:
    code, said = _check(tmp_path, _row("made-up", "KA-0002", ELSE), "mutants")
    assert code == 1
    assert "it cannot be tried: the adapter ended with exit code 1" in said


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (_row("x", "KA-9999"), "KA-9999"),
        ('[x]\ntext = "x"\nkilled_by = []\n', "nothing"),
        (_row("x", "KA-0002", 'violates = ["KA-999"]'), "no requirement"),
        (_row("x", "KA-0002", 'breaks = ["QQ"]'), "QQ"),
        (_row("x", "KA-0002", ELSE.partition("\n")[2]), "does not say because of what"),
    ],
)
def test_a_list_that_is_wrong(tmp_path: Path, row: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        _check(tmp_path, row, "mutants")


@pytest.mark.parametrize("kind", ["raw echo", "raw slam", "raw random", "bare random", "adapter echo", "adapter slam"])
def test_what_does_nothing_right_passes_nothing(tmp_path: Path, kind: str) -> None:
    code, said = _check(tmp_path, "", kind)
    assert code == 0, said
    assert f"nothing  {kind}: passes nothing" in said


def test_a_variant_that_is_not_benign(tmp_path: Path) -> None:
    without = ", ".join(f'"{group}"' for group in GROUPS if group != "CL")
    code, said = _check(tmp_path, "", "benign", benign=f'[close-answered]\ntext = "x"\nwithout = [{without}]\n')
    assert code == 1
    assert "false failure: FAIL CL-0000/close-not-answered" in said


def test_nothing_to_try_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_HERE", tmp_path)
    ran = CliRunner().invoke(command.cli, ["selfcheck", "--", "an-adapter"])
    assert ran.exit_code == 2
    assert "there is nothing to try: give lists with --mutants or --benign" in ran.output
