"""The suite's own decoders agree with the committed vectors, and would disagree with damaged ones."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from p2pwire_conformance.command import cli
from p2pwire_conformance.vectors import Collection, undo
from p2pwire_conformance.vectors_judges import JUDGES

ROOT = Path(__file__).parents[1]
ALL = Collection()
FEWEST = 1000


def test_there_are_enough_and_each_family_has_a_judge() -> None:
    assert len(ALL.by_id) >= FEWEST
    assert set(ALL.families) == set(JUDGES)


def test_files_keep_their_schema_and_size() -> None:
    assert list(ALL.form_problems()) == []
    assert max(path.stat().st_size for path in (ROOT / "vectors").rglob("*.json")) < 1 << 20


@pytest.mark.parametrize("family", ALL.families)
def test_the_suite_agrees(family: str) -> None:
    found = list(ALL.problems(family, JUDGES[family]))
    assert not found, "\n".join(found[:5])


@pytest.mark.parametrize("family", ALL.families)
def test_wrong_vectors_are_found(family: str) -> None:
    """Each vector says the opposite, another output or another origin, in turn: all of them are found."""
    changed = Collection()
    wrong = [_spoiled(vector, number) for number, vector in enumerate(changed.of(family))]
    wrong = [vector for vector in wrong if not vector["result"].startswith("choice:")]
    found = {problem.partition(": ")[0] for vector in wrong for problem in changed._problems(vector, JUDGES[family])}
    assert found == {vector["id"] for vector in wrong}


def _spoiled(vector: Any, number: int) -> Any:
    spoiled = copy.deepcopy(vector)
    if vector["result"] == "accept":
        if number % 2:
            spoiled["output"] = {"nothing": 0}
        else:
            spoiled["result"] = "reject"
    elif number % 2:
        spoiled["result"] = "accept"
    else:
        spoiled["from"] = "codec/Ping/zero" if vector["from"] != "codec/Ping/zero" else "codec/Ping/one"
    return spoiled


def test_damage_that_is_not_there_is_an_error() -> None:
    vector = copy.deepcopy(ALL.by_id["reject/Credit/one/longer"])
    vector["damage"][0]["is"] = "01"
    with pytest.raises(ValueError, match="not what the damage says"):
        undo(vector)


def _run(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(cli, ["vectors", *arguments])
    return outcome.exit_code, outcome.output


def test_the_command_tells_what_it_found() -> None:
    code, told = _run("--family", "codec", "--family", "reject")
    assert code == 0
    assert f"codec: {len(ALL.of('codec'))} vectors, all agree" in told


def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    place = tmp_path / "vectors"
    shutil.copytree(ROOT / "vectors" / "codec", place / "codec")
    path = place / "codec" / "requests.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"bytes": "00000007"', '"bytes": "00000008"', 1), encoding="utf-8")
    code, told = _run(str(place))
    assert code == 1
    assert "codec/Cancel/one: it comes to {'value': {'id': 8}}, not to {'value': {'id': 7}}" in told


@pytest.mark.parametrize("text", ["", "{}", '{"family": "codec"}', json.dumps({"family": "codec", "vectors": [{}]})])
def test_the_command_refuses_what_is_no_file_of_vectors(tmp_path: Path, text: str) -> None:
    (tmp_path / "codec").mkdir()
    (tmp_path / "codec" / "x.json").write_text(text, encoding="utf-8")
    code, told = _run(str(tmp_path))
    assert code == 2
    assert "no file of vectors" in told


def test_the_command_refuses_a_directory_without_vectors(tmp_path: Path) -> None:
    code, told = _run(str(tmp_path))
    assert code == 2
    assert "there are no vectors" in told


def _example(language: str) -> str:
    page = (ROOT / "VECTORS.md").read_text(encoding="utf-8")
    return page.partition(f"```{language}\n")[2].partition("```")[0]


@pytest.mark.parametrize(("language", "command"), [("python", sys.executable), ("javascript", "node")])
def test_the_examples_of_the_page_run(tmp_path: Path, language: str, command: str) -> None:
    script = tmp_path / f"example.{'cjs' if language == 'javascript' else 'py'}"
    script.write_text(_example(language), encoding="utf-8")
    ended = subprocess.run(
        [command, str(script), str(ROOT / "vectors")], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stderr == ""
    assert int(ended.stdout.removesuffix(" vectors agree\n")) >= 30


def test_the_page_names_every_family() -> None:
    page = (ROOT / "VECTORS.md").read_text(encoding="utf-8")
    named = {name for row in re.findall(r"^\| ([a-z, -]+) \|", page, re.MULTILINE) for name in row.split(", ")}
    assert set(ALL.families) <= named
