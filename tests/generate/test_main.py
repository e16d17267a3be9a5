"""`python -m p2pwire.generate`: the committed files are up to date, and drift is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from p2pwire.generate.__main__ import generated_files, main

ROOT = Path(__file__).parents[2]
VECTORS = tuple(path.relative_to(ROOT).as_posix() for path in (ROOT / "conformance" / "vectors").rglob("*.*"))
FILES = (
    "src/p2pwire/wire/messages.py", "conformance/protocol.json", "conformance/requirements.json",
    "conformance/threats.json", "conformance/p2pwire.ksy", "conformance/p2pwire.lua", "SPEC.md", *VECTORS,
)  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the committed files that are generated."""
    for name in FILES:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    return tmp_path


def test_the_committed_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    for path, text in generated_files(ROOT):
        assert path.read_text(encoding="utf-8") == text, f"{path} is not up to date: run python -m p2pwire.generate"
    capsys.readouterr()


def test_check_passes_on_an_up_to_date_tree(tree: Path) -> None:
    before = {name: (tree / name).read_bytes() for name in FILES}
    assert main(["--check", "--root", str(tree)]) == 0
    assert {name: (tree / name).read_bytes() for name in FILES} == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("src/p2pwire/wire/messages.py", "if level > 6:", "if level > 7:"),
        ("conformance/protocol.json", '"maximum": 6', '"maximum": 7'),
        ("SPEC.md", "| 0..6 | logarithm", "| 0..7 | logarithm"),
        ("conformance/vectors/codec/requests.json", '"bytes": "00000007"', '"bytes": "00000008"'),
    ],
)
def test_check_names_the_file_that_differs_and_writing_mends_it(
    tree: Path, capsys: pytest.CaptureFixture[str], name: str, old: str, new: str
) -> None:
    committed = (tree / name).read_text(encoding="utf-8")
    assert old in committed
    (tree / name).write_text(committed.replace(old, new), encoding="utf-8")
    assert main(["--check", "--root", str(tree)]) == 1
    assert capsys.readouterr().out == f"{tree / name}: not up to date\n"
    assert main(["--root", str(tree)]) == 0
    assert capsys.readouterr().out == f"{tree / name}: written\n"
    assert (tree / name).read_text(encoding="utf-8") == committed


def test_a_missing_file_differs_and_is_written(tree: Path) -> None:
    (tree / "conformance" / "protocol.json").unlink()
    assert main(["--check", "--root", str(tree)]) == 1
    assert main(["--root", str(tree)]) == 0
    assert main(["--check", "--root", str(tree)]) == 0


def test_a_tree_without_a_specification_is_generated_too(tree: Path) -> None:
    (tree / "SPEC.md").unlink()
    assert main(["--check", "--root", str(tree)]) == 0


def test_another_directory_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path)]) == 2
    assert "is not the project's root" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_text_outside_the_markers_stays(tree: Path) -> None:
    path = tree / "SPEC.md"
    changed = path.read_text(encoding="utf-8").replace("## 20. References", "A sentence more.\n\n## 20. References")
    path.write_text(changed, encoding="utf-8")
    assert main(["--root", str(tree)]) == 0
    assert path.read_text(encoding="utf-8") == changed


def test_protocol_json_says_what_the_schema_says() -> None:
    protocol = json.loads((ROOT / "conformance" / "protocol.json").read_text(encoding="utf-8"))
    messages = {message["name"]: message for message in protocol["messages"]}
    data = messages["Data"]
    assert (data["frame_type"], data["minimum_size"], data["maximum_size"]) == (0x22, 10, 17417)
    assert [(field["name"], field["offset"], field["type"]) for field in data["fields"]] == [
        ("id", "0", "u32"),
        ("block", "4", "u32"),
        ("proof_count", "8", "u8"),
        ("proof", "9", "bytes[32] × proof_count"),
        ("data", "9 + 32 × proof_count", "bytes to the end"),
    ]
    assert messages["Request"]["rules"] == [
        {"rule": "Aligned", "field": "block", "level": "level", "limit": "a multiple of 2^level"}
    ]
    assert messages["Refusal"]["preamble_kind"] == 3
    constants = {constant["name"]: constant for constant in protocol["constants"]}
    assert constants["MAX_LENGTH"]["value"] == 2**46
    assert constants["MAGIC"]["value"] == "89503250570d0a1a"
    enumerations = {each["name"]: each for each in protocol["enumerations"]}
    assert {member["name"]: member["value"] for member in enumerations["RejectCode"]["members"]}["CHOKED"] == 2
    assert protocol["states"]["link"]["arrivals"]["WAIT_HELLO"]["HELLO"] == "OPEN"
    assert protocol["states"]["link"]["arrivals"]["OPEN"]["HELLO"] == "CLOSE PROTOCOL"


def test_requirements_that_the_schema_names_exist() -> None:
    protocol = json.loads((ROOT / "conformance" / "protocol.json").read_text(encoding="utf-8"))
    known = {entry["id"] for entry in json.loads((ROOT / "conformance" / "requirements.json").read_text("utf-8"))}
    named = {message[key] for message in protocol["messages"] for key in ("requirement", "size_requirement")}
    named |= {field["requirement"] for message in protocol["messages"] for field in message["fields"]}
    assert named - {""} <= known
