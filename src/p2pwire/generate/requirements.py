"""SPEC.md's normative sentences: their form is checked, and `conformance/requirements.json` is made from them.

A normative sentence has exactly one RFC 2119 keyword, exactly one subject before it, and ends with its id in brackets.
Keywords stand nowhere else, and every id that the text or the source code mentions is defined. The JSON is committed,
so that a sentence that changes without a new revision, or an id that vanishes, is noticed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import attrs

PREFIXES: Final = {
    "GN": "general",
    "VN": "versions, suites, preamble",
    "HS": "handshake",
    "ID": "identities, self, duplicates",
    "EN": "records",
    "FR": "framing",
    "KA": "keepalive, fence, control budget",
    "EX": "extensions, GREASE",
    "OB": "objects, manifests",
    "UR": "URI",
    "TP": "topics",
    "TR": "requests, data, proofs",
    "FC": "credit, back-pressure",
    "FS": "writing to a file system",
    "PX": "peer exchange",
    "CL": "close",
    "TM": "timers",
    "PV": "privacy",
}
"""The two letters that ids begin with; the conformance groups have the same names."""

SUBJECTS: Final = ("Initiator", "Responder", "Sender", "Receiver", "Peer")
DRAFT: Final = "1.0-draft"
"""While this is the version, `--accept` may take changed sentences without a new revision."""

_KEYWORD: Final = re.compile(r"\b(MUST NOT|MUST|SHOULD NOT|SHOULD|MAY)\b")
_FOREIGN: Final = re.compile(r"\b(SHALL|REQUIRED|RECOMMENDED|OPTIONAL)\b")
_SUBJECT: Final = re.compile(rf"\b({'|'.join(SUBJECTS)})\b")
_ID: Final = re.compile(r"\[([A-Z]{2}-\d{3})(?:@(\d+))?\]$")
_BRACKETED: Final = re.compile(r"\[[A-Z]{2}-[^\]\s]*\]")
_MENTION: Final = re.compile(r"\b[A-Z]{2}-\d{3}\b")
_END: Final = re.compile(r"(?<=[.!?])\s+(?!\[[A-Z]{2}-)|(?<=\d\])\s+(?!\[)")
_CODE: Final = re.compile(r"`[^`]*`")
_HEADING: Final = re.compile(r"(#+)\s+(.*)")
_ITEM: Final = re.compile(r"(?:[-*]|\d+\.)\s+")
_VERSION: Final = re.compile(r"^Version:\s*(\S+)$", re.MULTILINE)


@attrs.frozen
class Requirement:
    """One normative sentence."""

    id: str
    level: str
    """The keyword."""
    section: str
    """Number and title of the section that it stands in."""
    text: str
    """The sentence, without its id."""
    revision: int
    line: int
    """Where it begins in SPEC.md; not written to the JSON."""

    def entry(self) -> dict[str, str | int]:
        """The JSON object."""
        return {
            "id": self.id,
            "level": self.level,
            "section": self.section,
            "text": self.text,
            "revision": self.revision,
        }


@attrs.frozen
class Problem:
    """Something to mend. `line` is 0 if no line is to blame."""

    line: int
    text: str
    file: str = "SPEC.md"
    """Relative to the project."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else self.text


@attrs.frozen
class Specification:
    """What one reading of SPEC.md gives."""

    version: str
    requirements: tuple[Requirement, ...]
    problems: tuple[Problem, ...]


# --- From lines to passages ----------------------------------------------------------------------------------------


@attrs.frozen
class _Passage:
    """Lines that belong together: a paragraph or list item, or text that may not bind anyone."""

    line: int
    section: str
    text: str
    may_bind: bool


def _passages(text: str) -> Iterator[_Passage]:
    """Split Markdown. Headings, tables, asides, code and everything between `generated` markers may not bind."""
    section = ""
    pending: list[str] = []
    begun = 0
    fence = generated = False
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("<!-- generated:"):
            generated = True
        marker = stripped.startswith(("```", "<!--"))
        heading = None if fence else _HEADING.match(line)
        alone = marker or fence or generated or heading is not None or stripped.startswith(("|", ">")) or not stripped
        if pending and (alone or _ITEM.match(stripped)):
            yield _Passage(begun, section, " ".join(pending), True)
            pending = []
        if heading is not None:
            section = heading.group(2)
        if alone:
            if stripped:
                yield _Passage(number, section, stripped, False)
        else:
            if not pending:
                begun = number
            pending.append(_ITEM.sub("", stripped, count=1) if not pending else stripped)
        if stripped.startswith("```"):
            fence = not fence
        if stripped.startswith("<!-- /generated:"):
            generated = False
    if pending:
        yield _Passage(begun, section, " ".join(pending), True)


# --- From passages to sentences ------------------------------------------------------------------------------------


def _sentences(passage: str) -> list[str]:
    """Split at full stops outside code; an id in brackets belongs to the sentence before it."""
    blanked = _CODE.sub(lambda code: "`" + "_" * (len(code.group()) - 2) + "`", passage)
    cuts = [0, *(match.end() for match in _END.finditer(blanked)), len(passage)]
    sentences = [passage[a:b].strip() for a, b in pairwise(cuts)]
    return [sentence for sentence in sentences if sentence]


def _read_sentence(sentence: str, passage: _Passage) -> Requirement | list[str] | None:
    """The requirement, or what is wrong with it; None if the sentence binds nobody."""
    prose = _CODE.sub("`_`", sentence)
    keywords = _KEYWORD.findall(prose)
    found = _ID.search(sentence)
    bracketed = _BRACKETED.findall(prose)
    if not keywords and not bracketed:
        return None
    faults = []
    shown = sentence if len(sentence) <= 60 else sentence[:57] + "..."
    if len(keywords) != 1:
        faults.append(f"{len(keywords) or 'no'} keywords instead of one in: {shown}")
    subjects = _SUBJECT.findall(prose)
    if len(subjects) != 1:
        faults.append(f"{len(subjects) or 'no'} subjects ({', '.join(SUBJECTS)}) instead of one in: {shown}")
    elif keywords and prose.index(subjects[0]) > prose.index(keywords[0]):
        faults.append(f"the subject stands after the keyword in: {shown}")
    if found is None or len(bracketed) != 1:
        faults.append(f"does not end with one id such as [HS-012]: {shown}")
    elif not sentence[: found.start()].rstrip().endswith((".", "!", "?")):
        faults.append(f"no full stop before [{found.group(1)}]: {shown}")
    if faults or found is None:
        return faults
    revision = int(found.group(2) or 1)
    if revision < 1 or found.group(2) == "1":
        return [f"[{found.group(1)}@{found.group(2)}]: revisions are written from 2 on"]
    if found.group(1)[:2] not in PREFIXES:
        return [f"[{found.group(1)}]: the prefix is none of {', '.join(PREFIXES)}"]
    text = sentence[: found.start()].rstrip()
    return Requirement(found.group(1), keywords[0], passage.section, text, revision, passage.line)


def read_specification(text: str) -> Specification:
    """Read SPEC.md's text: its requirements in the order of the text, and everything that is wrong with its form."""
    requirements: dict[str, Requirement] = {}
    problems: list[Problem] = []
    mentions: list[tuple[int, str]] = []
    for passage in _passages(text):
        prose = _CODE.sub("`_`", passage.text)
        at = passage.line
        problems += [Problem(at, f"{word} is not a keyword of this document") for word in _FOREIGN.findall(prose)]
        mentions += [(at, mention) for mention in _MENTION.findall(_BRACKETED.sub("", prose))]
        if not passage.may_bind:
            words = _KEYWORD.findall(prose) + _BRACKETED.findall(prose)
            problems += [Problem(at, f"{word} in a heading, table, aside, code or generated text") for word in words]
            continue
        for sentence in _sentences(passage.text):
            outcome = _read_sentence(sentence, passage)
            if isinstance(outcome, Requirement):
                first = requirements.setdefault(outcome.id, outcome)
                if first is not outcome:
                    problems.append(Problem(at, f"[{outcome.id}] is used already in line {first.line}"))
            elif outcome is not None:
                problems += [Problem(at, fault) for fault in outcome]
    problems += [Problem(line, f"{name} is not defined") for line, name in mentions if name not in requirements]
    version = _VERSION.search(text)
    if version is None:
        problems.append(Problem(0, 'SPEC.md has no line "Version: ..."'))
    problems.sort(key=lambda problem: problem.line)
    return Specification(version.group(1) if version else "", tuple(requirements.values()), tuple(problems))


# --- The committed list --------------------------------------------------------------------------------------------


def encode_requirements(requirements: Iterable[Requirement]) -> str:
    """The text of `requirements.json`: one requirement a line, in the order of SPEC.md."""
    lines = [json.dumps(requirement.entry(), ensure_ascii=False) for requirement in requirements]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def compare(spec: Specification, committed: Sequence[Mapping[str, object]]) -> list[Problem]:
    """What changed against the committed list without saying so."""
    now = {requirement.id: requirement for requirement in spec.requirements}
    problems = []
    for entry in committed:
        number, old = str(entry["id"]), entry["revision"]
        requirement = now.get(number)
        if requirement is None:
            problems.append(Problem(0, f"[{number}] has vanished; an id is never given up or used again"))
        elif requirement.text != entry["text"] and requirement.revision == old:
            text = f"[{number}] changed its text but not its revision: write [{number}@{requirement.revision + 1}]"
            problems.append(Problem(requirement.line, text))
        elif isinstance(old, int) and requirement.revision < old:
            problems.append(Problem(requirement.line, f"[{number}] went back from revision {old}"))
    return problems


def dangling_citations(root: Path, spec: Specification) -> list[Problem]:
    """Ids in the source code below `root`/src that SPEC.md does not define."""
    defined = {requirement.id for requirement in spec.requirements}
    problems = []
    for path in sorted((root / "src").rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for name in _MENTION.findall(line):
                if name[:2] in PREFIXES and name not in defined:
                    file = path.relative_to(root).as_posix()
                    problems.append(Problem(number, f"{name} is not defined in SPEC.md", file))
    return problems


def update(root: Path, *, check: bool, accept: bool = False) -> list[Problem]:
    """Check `root`/SPEC.md, and write `root`/conformance/requirements.json or, with `check`, compare it: all problems.

    `accept` takes changed sentences without a new revision; only a draft allows that.
    """
    spec = read_specification((root / "SPEC.md").read_text(encoding="utf-8"))
    path = root / "conformance" / "requirements.json"
    old = path.read_text(encoding="utf-8") if path.exists() else None
    problems = list(spec.problems)
    if accept and spec.version != DRAFT:
        problems.append(Problem(0, f"--accept is for version {DRAFT} only; this is {spec.version}"))
    if old is not None and not accept:
        problems += compare(spec, json.loads(old))
    if check:
        problems += dangling_citations(root, spec)
    new = encode_requirements(spec.requirements)
    if new == old or problems:
        return problems
    if check:
        problems.append(Problem(0, "conformance/requirements.json is not up to date: run python -m p2pwire.generate"))
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text(new, encoding="utf-8")
    return problems


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m p2pwire.generate.requirements [--check] [--accept] [--root DIR]`; 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(prog="p2pwire.generate.requirements", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the committed list differs")
    parser.add_argument("--accept", action="store_true", help="draft: take changed sentences without a new revision")
    parser.add_argument("--root", type=Path, default=Path(), help="the directory with SPEC.md")
    options = parser.parse_args(argv)
    problems = update(options.root, check=options.check, accept=options.accept)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
