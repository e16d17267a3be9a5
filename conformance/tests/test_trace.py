"""The gate of `trace`: everything that has to shut it does, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from p2pwire_conformance import trace as tracing
from p2pwire_conformance.case import Case
from p2pwire_conformance.command import cli
from p2pwire_conformance.protocol import Requirement
from p2pwire_conformance.selfcheck import Mutant
from p2pwire_conformance.trace import Exempt, Trace, trace


def _requirement(id: str, level: str = "MUST", revision: int = 1) -> Requirement:
    return Requirement(id, level, "1 Some section", f"A Peer {level} do {id}.", revision)


def _case(id: str, *citations: str, title: str = "Does this.") -> Case:
    return Case(id, citations, title, lambda trial: None)


@dataclass
class World:
    """A small specification with its cases; a test spoils it in one place."""

    requirements: list[Requirement] = field(default_factory=lambda: [
        *(_requirement(f"GN-{number:03d}") for number in range(1, 14)),
        _requirement("GN-100", "SHOULD"), _requirement("GN-200", "MAY"),
    ])  # fmt: skip
    threats: list[str] = field(default_factory=lambda: ["T1", "T2"])
    cases: list[Case] = field(default_factory=lambda: [
        _case("FR-0001", *(f"GN-{number:03d}" for number in range(1, 13)), "GN-100", title="Attacks (T1, T2)."),
    ])  # fmt: skip
    mutants: list[Mutant] = field(default_factory=lambda: [
        Mutant("lazy", "does nothing", ("FR-0001",), tuple(f"GN-{number:03d}" for number in range(1, 13))),
    ])  # fmt: skip
    exempt: list[Exempt] = field(default_factory=lambda: [Exempt("GN-013", "Nobody sees it.", ("here.py::test_it",))])
    vectors: dict[str, int] = field(default_factory=dict)
    kills: dict[str, set[str]] | None = None

    def trace(self, directory: Path) -> Trace:
        """What the gate says."""
        (directory / "here.py").write_text("def test_it() -> None: ...\n", encoding="utf-8")
        return trace(
            {one.id: one for one in self.requirements},
            self.threats,
            self.cases,
            self.mutants,
            exempt={one.id: one for one in self.exempt},
            evidence=directory,
            vectors=self.vectors,
            in_code={"GN-013"},
            kills=self.kills,
        )


def test_open_gate(tmp_path: Path) -> None:
    found = World().trace(tmp_path)
    assert found.faults == ()
    assert [row.level for row in found.rows] == ["C3"] * 12 + ["C1", "C2", "C0"]
    assert found.threats == {"T1": ("FR-0001",), "T2": ("FR-0001",)}


def _no_mutant(world: World) -> None:
    world.mutants = [Mutant("lazy", "", ("FR-0001",), tuple(f"GN-{number:03d}" for number in range(2, 13)))]


def _other_killer(world: World) -> None:
    world.cases += [_case("FR-0002", "GN-002")]
    world.mutants = [
        Mutant("lazy", "", ("FR-0001",), tuple(f"GN-{number:03d}" for number in range(1, 12))),
        Mutant("other", "", ("FR-0002",), ("GN-012",)),
    ]


def _not_real(world: World) -> None:
    world.kills = {"lazy": {"FR-0009"}}


def _no_exception(world: World) -> None:
    world.exempt = []


def _stale_exception(world: World) -> None:
    world.exempt[0] = Exempt("GN-001", "It was so.", ("here.py",))
    world.cases += [_case("FR-0002", "GN-013")]
    world.mutants += [Mutant("other", "", ("FR-0002",), ("GN-013",))]


def _exempt(*changed: Exempt) -> Callable[[World], None]:
    return lambda world: world.exempt.extend(changed)


def _in_place(changed: Exempt) -> Callable[[World], None]:
    return lambda world: world.exempt.__setitem__(0, changed)


def _too_many(world: World) -> None:
    world.requirements += [_requirement("GN-014")]
    world.exempt += [Exempt("GN-014", "Nobody sees it either.", ("here.py",))]


def _should(world: World) -> None:
    world.requirements += [_requirement(f"GN-{number}", "SHOULD NOT") for number in range(101, 103)]


def _cites(*citations: str, title: str = "Does this.") -> Callable[[World], None]:
    return lambda world: world.cases.append(_case("FR-0009", *citations, title=title))


def _revised(world: World) -> None:
    world.requirements[0] = _requirement("GN-001", revision=2)


def _mutates(*violates: str) -> Callable[[World], None]:
    return lambda world: world.mutants.append(Mutant("other", "", ("FR-0001",), violates))


FAULTS: dict[str, tuple[Callable[[World], None], str]] = {
    "a MUST without a mutant": (_no_mutant, "GN-001: is MUST and at C2: A Peer MUST do GN-001."),
    "a mutant that only other cases kill": (_other_killer, "GN-012: is MUST and at C2: A Peer MUST do GN-012."),
    "a kill that is not real": (_not_real, "GN-001: is MUST and at C2: A Peer MUST do GN-001."),
    "a MUST without an exception": (_no_exception, "GN-013: is MUST and at C1: A Peer MUST do GN-013."),
    "a stale exception": (_stale_exception, "exception GN-001: is stale, since it is tested now"),
    "an exception without a reason": (
        _in_place(Exempt("GN-013", " ", ("here.py",))), "exception GN-013: gives no reason"),
    "an exception without evidence": (
        _in_place(Exempt("GN-013", "So.", ())), "exception GN-013: gives no other evidence"),
    "evidence that is not there": (
        _in_place(Exempt("GN-013", "So.", ("gone.py",))), "exception GN-013: gone.py does not exist"),
    "a test that is not there": (
        _in_place(Exempt("GN-013", "So.", ("here.py::test_other",))),
        "exception GN-013: here.py::test_other does not exist"),
    "a test of which there is but the beginning": (
        _in_place(Exempt("GN-013", "So.", ("here.py::test_i",))), "exception GN-013: here.py::test_i does not exist"),
    "an exception of nothing": (
        _exempt(Exempt("GN-999", "So.", ("here.py",))), "exception GN-999: is no requirement and no attack"),
    "an exception of a SHOULD": (
        _exempt(Exempt("GN-100", "So.", ("here.py",))), "exception GN-100: is SHOULD, which needs none"),
    "an exception of an attack that is made": (
        _exempt(Exempt("T1", "So.", ("here.py",))), "exception T1: is stale, since it is tested now"),
    "too many exceptions": (_too_many, "2 exceptions of 14 requirements with MUST, at most 8% may be"),
    "too few SHOULD": (
        _should, "1 of 3 requirements with SHOULD are cited, 95% have to be: GN-101, GN-102"),
    "a case without a requirement": (_cites(), "FR-0009: cites no requirement"),
    "a case of no requirement": (_cites("GN-998"), "FR-0009: GN-998 is no requirement"),
    "a case of a sentence that has changed": (_revised, "FR-0001: cites GN-001, and the sentence is in revision 2"),
    "a case of a later revision": (_cites("GN-002@3"), "FR-0009: cites GN-002@3, and the sentence is in revision 1"),
    "a case of no attack": (_cites("GN-001", title="Attacks (T31)."), "FR-0009: T31 is no attack"),
    "an attack that nobody makes": (lambda world: world.threats.append("T3"), "T3: no case makes this attack"),
    "a mutant without a requirement": (_mutates(), "other: violates no requirement"),
    "a mutant of no requirement": (_mutates("GN-997"), "other: GN-997 is no requirement"),
    "a vector of no requirement": (
        lambda world: world.vectors.update({"GN-996": 2}), "a vector: GN-996 is no requirement"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_gate_is_shut(name: str, tmp_path: Path) -> None:
    spoil, fault = FAULTS[name]
    world = World()
    if name == "too many exceptions":  # one of 13 is within 8 %
        world.requirements = world.requirements[:13]
    spoil(world)
    assert fault in world.trace(tmp_path).faults


def test_attack_with_an_exception(tmp_path: Path) -> None:
    world = World(threats=["T1", "T2", "T3"])
    world.exempt += [Exempt("T3", "Nobody sees it.", ("here.py",))]
    assert world.trace(tmp_path).faults == ()


def test_vectors_count_as_citations(tmp_path: Path) -> None:
    world = World(vectors={"GN-013": 4})
    assert world.trace(tmp_path).rows[12].level == "C2"


def test_what_vectors_cite_is_found_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    vectors = {"groups": [{"tests": [{"requirements": ["GN-001", "GN-002@2"]}, {"requirements": ["GN-001"]}]}]}
    (tmp_path / "deep" / "some.json").write_text(json.dumps(vectors), encoding="utf-8")
    assert tracing.read_vectors(tmp_path) == {"GN-001": 2, "GN-002": 1}


def test_lists_are_read(tmp_path: Path) -> None:
    exceptions = tmp_path / "exceptions.toml"
    exceptions.write_text('[GN-001]\nreason = "So."\nevidence = ["a.py"]\n[GN-002]\n', encoding="utf-8")
    assert tracing.read_exceptions(exceptions) == {
        "GN-001": Exempt("GN-001", "So.", ("a.py",)),
        "GN-002": Exempt("GN-002", "", ()),
    }
    kills = tmp_path / "kills.json"
    kills.write_text(json.dumps({"mutants": [{"name": "lazy", "killed_by": ["FR-0001"]}]}), encoding="utf-8")
    assert tracing.read_kills(kills) == {"lazy": {"FR-0001"}}


def test_reports(tmp_path: Path) -> None:
    found = World().trace(tmp_path)
    lines = list(tracing.lines(found))
    assert lines[0] == "GN-001 MUST       C3 FR-0001; mutants lazy"
    assert lines[12] == "GN-013 MUST       C1 (exception) "
    assert lines[-1] == "T2     attack     FR-0001"
    assert tracing.summary(found)[1:] == [
        ["GN", "15", "1", "1", "1", "12", "12 of 13", "1", "1 of 1"],
        ["all", "15", "1", "1", "1", "12", "12 of 13", "1", "1 of 1"],
    ]
    text = tracing.markdown(found)
    assert "- GN-013: Nobody sees it. See `here.py::test_it`." in text
    assert "## What is missing\n\nNone." in text
    assert json.loads(json.dumps(tracing.as_json(found)))["requirements"][12]["exception"] is True


def test_command(tmp_path: Path) -> None:
    """With another list of requirements, every case cites what is not there: the gate is shut, and all is said."""
    sentences = tmp_path / "requirements.json"
    entry = {"id": "GN-007", "level": "MUST", "section": "1", "text": "A Peer MUST be.", "revision": 1}
    sentences.write_text(json.dumps([entry]), encoding="utf-8")
    arguments = ["trace", "--requirements", str(sentences), "--json", str(tmp_path / "trace.json")]
    result = CliRunner().invoke(cli, [*arguments, "--markdown", str(tmp_path / "trace.md")])
    assert result.exit_code == 1
    assert "SA-0001: HS-010 is no requirement" in result.output
    assert json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))["requirements"][0]["id"] == "GN-007"
    assert (tmp_path / "trace.md").read_text(encoding="utf-8").startswith("# Requirements and their tests\n")


def test_command_with_a_list_that_is_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("[1]", encoding="utf-8")
    result = CliRunner().invoke(cli, ["trace", "--requirements", str(broken)])
    assert result.exit_code == 2
    assert "a list cannot be read" in result.output


LINK = ("GN", "VN", "HS", "ID", "EN", "FR", "KA", "EX", "CL", "TM", "PV")
"""The requirements on one link and between few."""


def test_the_link_level_is_tested() -> None:
    """What `trace` finds in this tree: each MUST of these groups is at C3 or has an exception that is not stale."""
    result = CliRunner().invoke(cli, ["trace"])
    shut = [line for line in result.output.splitlines() if re.match(rf"(exception )?({'|'.join(LINK)})-\d+: ", line)]
    assert shut == []
