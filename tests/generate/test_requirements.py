"""The lint of SPEC.md's normative sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.generate.requirements import (
    DRAFT,
    PREFIXES,
    SUBJECTS,
    Requirement,
    encode_requirements,
    main,
    read_specification,
    update,
)

ROOT = Path(__file__).parents[2]
HEAD = f"Version: {DRAFT}\n\n## 4. Handshake\n\n"
GOOD = "- A Sender MUST send HELLO as its first frame. [FR-002]\n"


def faults(text: str) -> list[str]:
    """The problems of a small SPEC.md, as they are printed."""
    return [str(problem) for problem in read_specification(HEAD + text).problems]


def test_reads_a_sentence() -> None:
    spec = read_specification(HEAD + "Words before it.\n\n" + GOOD)
    assert spec.version == DRAFT
    assert spec.problems == ()
    assert spec.requirements == (
        Requirement("FR-002", "MUST", "4. Handshake", "A Sender MUST send HELLO as its first frame.", 1, 7),
    )


def test_reads_levels_revisions_and_several_sentences_of_a_paragraph() -> None:
    text = (
        "A Peer MAY wait. [TM-001] An Initiator\nMUST NOT wait `10.0 s. MUST` long. [TM-002@3] Nobody is bound here.\n"
        "1. A Receiver SHOULD NOT care. [TM-003]\n2. The Responder SHOULD care. [TM-004]\n"
    )
    spec = read_specification(HEAD + text)
    assert spec.problems == ()
    assert [(r.id, r.level, r.revision, r.line) for r in spec.requirements] == [
        ("TM-001", "MAY", 1, 5),
        ("TM-002", "MUST NOT", 3, 5),
        ("TM-003", "SHOULD NOT", 1, 7),
        ("TM-004", "SHOULD", 1, 8),
    ]
    assert spec.requirements[1].text == "An Initiator MUST NOT wait `10.0 s. MUST` long."


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("- A Sender MUST go and MAY stay. [FR-001]\n", "SPEC.md:5: 2 keywords instead of one in: A Sender MUST"),
        ("- A Sender goes. [FR-001]\n", "SPEC.md:5: no keywords instead of one in: A Sender goes. [FR-001]"),
        ("- It MUST go. [FR-001]\n", "SPEC.md:5: no subjects (Initiator, Responder, Sender,"),
        ("- A Sender MUST obey a Receiver. [FR-001]\n", "SPEC.md:5: 2 subjects"),
        ("- Thus MUST a Sender go. [FR-001]\n", "SPEC.md:5: the subject stands after the keyword"),
        ("- A Sender MUST go.\n", "SPEC.md:5: does not end with one id such as [HS-012]: A Sender MUST go."),
        ("- A Sender MUST go. [FR-1]\n", "SPEC.md:5: does not end with one id"),
        ("- A Sender MUST go. [FR-001] [FR-002]\n", "SPEC.md:5: does not end with one id"),
        ("- A Sender MUST [FR-001] go.\n", "SPEC.md:5: no full stop before [FR-001]"),
        ("- A Sender MUST go [FR-001]\n", "SPEC.md:5: no full stop before [FR-001]"),
        ("- A Sender MUST go. [FR-001@1]\n", "SPEC.md:5: [FR-001@1]: revisions are written from 2 on"),
        ("- A Sender MUST go. [FR-001@0]\n", "SPEC.md:5: [FR-001@0]: revisions are written from 2 on"),
        ("- A Sender MUST go. [QQ-001]\n", "SPEC.md:5: [QQ-001]: the prefix is none of GN, VN"),
        (GOOD + "\n" + GOOD, "SPEC.md:7: [FR-002] is used already in line 5"),
        ("As FR-009 says.\n", "SPEC.md:5: FR-009 is not defined"),
        ("| see FR-009 |\n", "SPEC.md:5: FR-009 is not defined"),
        ("An orphan. [FR-001]\n", "SPEC.md:5: no keywords instead of one"),
        ("### It MUST\n", "SPEC.md:5: MUST in a heading, table, aside, code or generated text"),
        ("| a Sender MUST |\n", "SPEC.md:5: MUST in a heading"),
        ("> Why: it SHOULD NOT.\n", "SPEC.md:5: SHOULD NOT in a heading"),
        ("```\nit MAY\n```\n", "SPEC.md:6: MAY in a heading"),
        ("<!-- generated:x -->\nA Sender MUST go. [FR-001]\n<!-- /generated:x -->\n", "SPEC.md:6: MUST in a heading"),
        ("| [FR-001] |\n", "SPEC.md:5: [FR-001] in a heading"),
        ("A Sender SHALL go.\n", "SPEC.md:5: SHALL is not a keyword of this document"),
    ],
)
def test_names_the_fault_and_its_line(text: str, fault: str) -> None:
    found = faults(text)
    assert any(problem.startswith(fault) for problem in found), found


def test_code_markers_and_later_text_do_not_confuse_it() -> None:
    text = "The words `MUST` and `MAY`.\n\n<!-- generated:a -->\n| x |\n<!-- /generated:a -->\n```\n# x\n```\n" + GOOD
    spec = read_specification(HEAD + text + "\nSee FR-002, and (FR-002).\n")
    assert spec.problems == ()
    assert [(r.id, r.section) for r in spec.requirements] == [("FR-002", "4. Handshake")]


def test_wants_a_version() -> None:
    assert [str(p) for p in read_specification(GOOD).problems] == ['SPEC.md has no line "Version: ..."']


words = st.lists(st.sampled_from(["goes", "if", "it", "can", "`a. MUST b`", "(see 4.2)"]), min_size=1, max_size=5)
sentence = st.tuples(
    st.sampled_from(["A ", "The ", "If so, a "]),
    st.sampled_from(SUBJECTS),
    words,
    st.sampled_from(["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"]),
    words,
    st.sampled_from(sorted(PREFIXES)),
    st.integers(1, 9),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(sentence, min_size=1, max_size=5), st.sampled_from(["- ", "", "1. "]))
def test_whatever_is_written_in_the_form_comes_back(sentences: list[tuple[object, ...]], bullet: str) -> None:
    expected = []
    text = HEAD
    for n, (article, subject, before, level, after, prefix, revision) in enumerate(sentences):
        assert isinstance(before, list)
        assert isinstance(after, list)
        body = f"{article}{subject} {' '.join(before)} {level} {' '.join(after)}."
        number = f"{prefix}-{n:03}"
        text += f"{bullet}{body} [{number}{f'@{revision}' if revision != 1 else ''}]\n\n"
        expected.append({"id": number, "level": level, "section": "4. Handshake", "text": body, "revision": revision})
    spec = read_specification(text)
    assert spec.problems == ()
    assert json.loads(encode_requirements(spec.requirements)) == expected


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "SPEC.md").write_text(HEAD + GOOD, encoding="utf-8")
    assert update(tmp_path, check=False) == []
    return tmp_path


def write(root: Path, text: str, version: str = DRAFT) -> None:
    (root / "SPEC.md").write_text(HEAD.replace(DRAFT, version) + text, encoding="utf-8")


def committed(root: Path) -> str:
    return (root / "conformance" / "requirements.json").read_text(encoding="utf-8")


def test_writes_the_list_and_checks_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(committed(root)) == [
        {
            "id": "FR-002",
            "level": "MUST",
            "section": "4. Handshake",
            "text": "A Sender MUST send HELLO as its first frame.",
            "revision": 1,
        }
    ]
    assert main(["--check", "--root", str(root)]) == 0
    write(root, GOOD + "- A Peer MAY wait. [TM-001]\n")
    before = committed(root)
    assert main(["--check", "--root", str(root)]) == 1
    assert "not up to date" in capsys.readouterr().err
    assert committed(root) == before
    assert main(["--root", str(root)]) == 0
    assert main(["--check", "--root", str(root)]) == 0
    assert '"TM-001"' in committed(root)


@pytest.mark.parametrize("check", [True, False])
def test_a_changed_sentence_needs_a_new_revision(root: Path, check: bool) -> None:
    before = committed(root)
    write(root, GOOD.replace("first", "second"))
    found = [str(problem) for problem in update(root, check=check)]
    assert found == ["SPEC.md:5: [FR-002] changed its text but not its revision: write [FR-002@2]"]
    assert committed(root) == before
    write(root, GOOD.replace("first", "second").replace("FR-002", "FR-002@2"))
    assert update(root, check=False) == []
    assert json.loads(committed(root))[0]["revision"] == 2
    write(root, GOOD)
    assert [str(p) for p in update(root, check=False)] == ["SPEC.md:5: [FR-002] went back from revision 2"]


def test_an_id_does_not_vanish(root: Path) -> None:
    write(root, "- A Peer MAY wait. [TM-001]\n")
    found = [str(problem) for problem in update(root, check=False)]
    assert found == ["[FR-002] has vanished; an id is never given up or used again"]


def test_a_draft_may_accept_changes_and_nothing_else_may(root: Path) -> None:
    write(root, GOOD.replace("first", "second"))
    assert update(root, check=False, accept=True) == []
    assert "second" in committed(root)
    write(root, GOOD, version="1.0")
    found = [str(problem) for problem in update(root, check=False, accept=True)]
    assert found == [f"--accept is for version {DRAFT} only; this is 1.0"]


def test_a_malformed_text_writes_nothing(root: Path) -> None:
    before = committed(root)
    write(root, GOOD + "- A Sender MUST go.\n")
    assert main(["--root", str(root)]) == 1
    assert committed(root) == before


def test_the_source_code_cites_nothing_that_is_not_there(root: Path) -> None:
    (root / "src" / "room").mkdir(parents=True)
    module = root / "src" / "room" / "module.py"
    module.write_text("# RFC-793, SHA-256, [FR-002]\n", encoding="utf-8")
    assert update(root, check=True) == []
    module.write_text("#\n# as it is said [FR-002, TM-999]\n", encoding="utf-8")
    assert [str(p) for p in update(root, check=True)] == ["src/room/module.py:2: TM-999 is not defined in SPEC.md"]


def test_the_project_itself() -> None:
    assert update(ROOT, check=True) == []


def test_every_prefix_has_requirements_and_every_attack_an_answer() -> None:
    text = (ROOT / "SPEC.md").read_text(encoding="utf-8")
    spec = read_specification(text)
    assert {requirement.id[:2] for requirement in spec.requirements} == set(PREFIXES)
    rows = [line for line in text.splitlines() if line.startswith("| T")]
    assert [row.split("|")[1].strip() for row in rows] == [f"T{n}" for n in range(1, 31)]
    assert all("-0" in row.split("|")[4] for row in rows)
