"""The adapters in adapters/minimal share nothing with the reference: the suite passes them, and sees what is broken."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p2pwire_conformance.adapter import Adapter
from p2pwire_conformance.case import CASES, INLINE, RESPONDER, TCP
from p2pwire_conformance.runner import Execution, Runner, plan
from p2pwire_conformance.smoke import smoke
from p2pwire_conformance.subject import AdapterSubject
from p2pwire_conformance.verdict import Verdict
from toys import ADAPTERS

MINIMAL = ADAPTERS / "minimal"
LINES = 60
COMMANDS = {"python": [sys.executable, "adapter.py"], "node": ["node", "adapter.mjs"]}

language = pytest.mark.parametrize("language", COMMANDS)


@contextmanager
def _adapter(language: str, folder: Path = MINIMAL) -> Iterator[Adapter]:
    program, file = COMMANDS[language]
    adapter = Adapter([program, str(folder / file)])
    try:
        yield adapter
    finally:
        adapter.close()


def _run(adapter: Adapter, net: str, *groups: str, roles: tuple[str, ...] = ()) -> list[Execution]:
    subject = AdapterSubject(adapter)
    cases = [case for case in CASES.values() if not groups or case.group in groups]
    return Runner(subject, again=0).run(plan(cases, roles or subject.roles, [net]))


@language
def test_it_passes_all_without_a_socket(language: str) -> None:
    with _adapter(language) as adapter:
        found = _run(adapter, INLINE)
    assert [one.line for one in found if one.verdict not in (Verdict.PASS, Verdict.INFO, Verdict.NOT_APPLICABLE)] == []
    passed = [one for one in found if one.verdict is Verdict.PASS]
    assert len(passed) > 900
    assert {one.role for one in passed} == {"initiator", "responder"}


@language
@pytest.mark.parametrize("net", TCP)
def test_it_passes_over_tcp(language: str, net: str) -> None:
    with _adapter(language) as adapter:
        found = _run(adapter, net, "SA", "CL", "ID", "EN")
    assert [one.line for one in found if one.verdict not in (Verdict.PASS, Verdict.INFO, Verdict.NOT_APPLICABLE)] == []
    assert sum(one.verdict is Verdict.PASS for one in found) > 100


@language
def test_smoke(language: str) -> None:
    with _adapter(language) as adapter:
        assert {text: wrong for text, wrong in smoke(adapter) if wrong} == {}


@language
def test_the_adapter_is_short(language: str) -> None:
    text = (MINIMAL / COMMANDS[language][1]).read_text(encoding="utf-8")
    assert sum(bool(line.strip()) for line in text.splitlines()) < LINES


def test_they_import_nothing_of_the_reference() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in MINIMAL.iterdir() if path.is_file()}
    assert len(texts) == 10
    imports = re.compile(r"^\s*(?:from|import)\s.*", re.MULTILINE)
    for text in texts.values():
        assert not [line for line in imports.findall(text) if "p2pwire" in line or "construct" in line]
    for name in (name for name in texts if name.endswith(".mjs")):
        sources = re.findall(r"from '([^']+)'", texts[name])
        assert all(source.startswith(("./", "node:")) for source in sources), name


BREAKS = {
    # language, file, what, by what; group; what the first line has to begin with and to name
    "signed": ("python", "peer.py", "h + hashlib.sha256(answer)", "hashlib.sha256(answer)", "SA", "SA-0001/", "HS-024"),
    "no idle time": ("python", "peer.py", "+ self.idle\n", "+ 2 * self.idle\n", "TM", "TM-0010/idle", "KA-011"),
    "low-order identity": ("python", "keys.py", "and y not in SMALL_ORDER", "", "HS", "HS-", "ID-002"),
    "refuses with another code": ("python", "peer.py", 'body[:2] + b"\\0"', 'body[:2] + b"\\1"', "TP", "TP-", "TP-052"),
    "little-endian nonce": (
        "node", "keys.mjs", "nonce.writeBigUInt64BE", "nonce.writeBigUInt64LE", "SA", "SA-0001/answer", "HS-010",
    ),
    "short drain": ("node", "peer.mjs", "DRAIN_TIME = 5_000", "DRAIN_TIME = 2_000", "CL", "CL-0054/drain", "CL-010"),
    "half the budget": ("node", "peer.mjs", "BURST = 1000", "BURST = 500", "KA", "KA-0010/within-budget", "KA-020"),
    "any credit": ("node", "peer.mjs", "if (total < this.granted)", "if (false)", "KA", "FC-0010/close-code", "FC-006"),
}  # fmt: skip


@pytest.mark.parametrize("broken", BREAKS)
def test_the_first_line_leads_to_what_is_broken(broken: str, tmp_path: Path) -> None:
    language, file, old, new, group, begins, cites = BREAKS[broken]
    shutil.copytree(MINIMAL, tmp_path / "minimal")
    path = tmp_path / "minimal" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with _adapter(language, tmp_path / "minimal") as adapter:
        found = _run(adapter, INLINE, group, "FC" if group == "KA" else group, roles=(RESPONDER,))
    first = next(one.line for one in found if one.verdict is Verdict.FAIL)
    assert first.startswith(f"FAIL {begins}")
    assert cites in first


def test_the_readme_shows_the_whole_adapter() -> None:
    readme = (ADAPTERS.parent / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    text = (MINIMAL / "adapter.py").read_text(encoding="utf-8").partition('"""\n\n')[2]
    assert [line for line in "".join(shown).splitlines() if line] == [line for line in text.splitlines() if line]
