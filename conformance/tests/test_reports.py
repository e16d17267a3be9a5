"""Reports say what happened, in forms that others read, and a whole run ends with one code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import xmlschema
from click.testing import CliRunner

from p2pwire_conformance import contract, report
from p2pwire_conformance.badge import badge
from p2pwire_conformance.case import CASES
from p2pwire_conformance.command import cli
from p2pwire_conformance.hexdump import parts
from p2pwire_conformance.link import Line, ping
from p2pwire_conformance.message import Tree, frame, preamble
from p2pwire_conformance.outcome import (
    FINE,
    REGRESSION,
    STALE,
    SUITE_ERROR,
    UNUSABLE,
    exit_code,
    read_baseline,
    stale,
)
from p2pwire_conformance.protocol import read_data
from p2pwire_conformance.report_html import html, replay_line
from p2pwire_conformance.runner import Execution
from p2pwire_conformance.subject import BareSubject
from p2pwire_conformance.verdict import Verdict
from toys import ADAPTERS

SUBJECT = BareSubject("127.0.0.1:7000")
XSD = Path(__file__).parent / "junit.xsd"
PING = frame(ping(b"12345678"))
NAUGHTY = "</pre><script>alert(1)</script>\x00\x1b&"


def _execution(case: str, verdict: Verdict, **more: Any) -> Execution:
    return Execution(case, "responder", "listen", verdict, 0.25, **more)


def _log() -> tuple[Line, ...]:
    return (
        Line(
            0.0, "→", "flight 1", preamble(Tree("InitiatorPreamble", versions=[1], suites=[1], key_suite=1)) + b"\0\1x"
        ),
        Line(0.1, "→", "record: PING[8]", PING),
        Line(0.2, "→", "record: PING[8]", frame(ping(b"fence\0\0\1"))),
        Line(0.3, "←", "frame 0x7e of 3 bytes", b"\x7e\0\3abc"),
        Line(0.4, "!", "answer: expected PONG; nothing came", b""),
    )


def _runs() -> list[Execution]:
    failed = {"check": "answer", "kind": "silent-drop", "expected": "PONG", "log": _log()}
    return [
        _execution("SA-0001", Verdict.PASS),
        _execution("FR-0001", Verdict.FAIL, actual=NAUGHTY, **failed),
        _execution("FR-0002", Verdict.WARN, actual="nothing came", **failed),
        _execution("FR-0003", Verdict.NOT_APPLICABLE, actual="feature:chacha"),
        _execution("FR-0004", Verdict.BLOCKED, actual="SA-0001: fail"),
        _execution("KA-0001", Verdict.CRASH, actual="the adapter died"),
        _execution("KA-0002", Verdict.SUITE_ERROR, actual="Traceback\nKeyError: 'x'"),
        _execution("KA-0003", Verdict.INCONCLUSIVE, actual="and when run again: pass", **failed),
        _execution("CL-0000", Verdict.UNTESTABLE, actual="it does not listen"),
        _execution("PF-0001", Verdict.INFO, actual="9 PINGs/s"),
    ]


def test_first_line_of_a_failure_says_what_was_sent_expected_and_came() -> None:
    failed = _execution("FR-0001", Verdict.FAIL, actual="nothing came", check="answer", kind="silent-drop", log=_log(),
                        expected="PONG")  # fmt: skip
    assert failed.line == (
        "FAIL FR-0001/answer [FR-003] as responder, listen: silent-drop: sent PING[8]; expected PONG; nothing came"
    )


# --- results.json, JUnit, Markdown, badge ---


def test_results_of_every_verdict_fit_their_schema() -> None:
    found = json.loads(json.dumps(report.results(SUBJECT, _runs(), 1.0)))
    assert contract.problem(found, read_data("results.schema.json")) is None
    assert {one["verdict"] for one in found["executions"]} == {verdict.value for verdict in Verdict}


@pytest.mark.parametrize(
    "break_it",
    [
        lambda found: found.pop("totals"),
        lambda found: found["executions"][0].update(verdict="maybe"),
        lambda found: found["executions"][0].update(case="SA-1"),
        lambda found: found["executions"][1]["log"][0].update(hex="0"),
        lambda found: found["executions"][0].update(requirements=[]),
    ],
)
def test_the_schema_of_results_is_strict(break_it: Any) -> None:
    found = json.loads(json.dumps(report.results(SUBJECT, _runs(), 1.0)))
    break_it(found)
    assert contract.problem(found, read_data("results.schema.json")) is not None


def test_junit_fits_its_schema_and_counts_right() -> None:
    text = report.junit(SUBJECT, _runs())
    schema = xmlschema.XMLSchema(XSD)
    schema.validate(text)
    for suite in ElementTree.fromstring(text.encode()):
        for kind, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert len(suite.findall(f"testcase/{kind}")) == int(suite.attrib[count])
        assert len(suite) == int(suite.attrib["tests"])


def test_the_schema_of_junit_is_strict() -> None:
    schema = xmlschema.XMLSchema(XSD)
    text = report.junit(SUBJECT, _runs())
    assert not schema.is_valid(text.replace('time="0.250"', 'time="-1"', 1))
    assert not schema.is_valid(text.replace("<failure", "<fault").replace("</failure", "</fault"))
    assert not schema.is_valid(text.replace(' errors="0"', "", 1))


def test_markdown_is_a_table_and_a_list() -> None:
    lines = report.markdown(SUBJECT, _runs()).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {7}
    assert sum(line.startswith("- ") for line in lines) == 6
    assert "<script>" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        ([Verdict.PASS, Verdict.PASS], "2 passed"),
        ([Verdict.PASS, Verdict.WARN], "1 passed, 1 warnings"),
        ([Verdict.PASS, Verdict.CRASH], "1 red, 1 passed"),
        ([Verdict.NOT_APPLICABLE], "nothing passed"),
        ([], "nothing passed"),
    ],
)
def test_badge(verdicts: list[Verdict], text: str) -> None:
    top = ElementTree.fromstring(badge([_execution("SA-0001", verdict) for verdict in verdicts]))
    assert top.attrib["aria-label"] == f"p2pwire/1: {text}"
    assert [one.text for one in top.iter() if one.tag.endswith("}text")] == ["p2pwire/1", text]


# --- HTML ---


class _Page(HTMLParser):
    """What a page has, and whether its elements are closed in order."""

    VOID = ("meta", "input", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _page(text: str) -> _Page:
    page = _Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


def test_html_is_one_file_that_needs_no_other_and_runs_nothing_of_the_subject() -> None:
    text = html(SUBJECT, _runs(), 1.0)
    page = _page(text)
    tags = [tag for tag, _ in page.seen]
    assert tags.count("script") == tags.count("style") == 1
    assert not {"link", "img", "iframe"} & set(tags)
    assert not any({"src", "href", "onclick"} & set(attributes) for _, attributes in page.seen)
    assert not re.search(r"url\(|@import|https?://", text)
    assert {attributes["id"] for tag, attributes in page.seen if tag == "details" and "id" in attributes} == {
        one.case for one in _runs()
    }
    for one in _runs():
        assert all(requirement.id in text for requirement in CASES[one.case].requirements)


def test_html_names_the_fields_of_what_was_sent_and_came() -> None:
    text = html(SUBJECT, _runs(), 1.0)
    for shown in ("InitiatorPreamble.key_suite", "Ping.data", "of an unknown type", replay_line(_runs()[1], SUBJECT)):
        assert shown in text


def test_html_of_a_green_run_of_everything_is_small() -> None:
    runs = [
        Execution(case.id, role, net, Verdict.PASS, 0.1) for case in CASES.values() for role in case.roles
        for net in case.nets
    ]  # fmt: skip
    assert len(html(SUBJECT, runs, 1.0).encode()) < 2_000_000


# --- hexdumps ---


def _lines() -> Iterator[Line]:
    yield from _log()
    yield Line(0, "→", "record: PING[8]", PING[:-1])
    yield Line(0, "→", "record: 2 bytes", PING[:2])
    yield Line(0, "→", "record: PING[7]", frame(ping(b"1234567")))
    yield Line(0, "→", "bytes", b"\x89P2PWIRE")
    yield Line(0, "←", "message 2 (3 bytes)", b"abc")


@pytest.mark.parametrize("line", list(_lines()), ids=lambda line: line.text)
def test_parts_are_all_the_bytes_one_after_another(line: Line) -> None:
    at = 0
    for part in parts(line):
        assert part.offset == at
        at += len(part.data)
    assert b"".join(part.data for part in parts(line)) == line.data


def test_a_field_that_is_wrong_is_said_to_be() -> None:
    found = parts(Line(0, "→", "record: PING[7]", frame(ping(b"1234567"))))
    assert found[-1].note == "Ping.data at byte 0: 7 bytes, must be 8"
    assert "7 are there" in parts(Line(0, "→", "record: PING[8]", PING[:-1]))[1].note


# --- codes and baselines ---


@pytest.mark.parametrize(
    ("verdicts", "baseline", "code"),
    [
        ([Verdict.PASS], set(), FINE),
        ([Verdict.PASS, Verdict.WARN, Verdict.BLOCKED, Verdict.NOT_APPLICABLE], set(), FINE),
        ([Verdict.PASS, Verdict.FAIL], set(), REGRESSION),
        ([Verdict.PASS, Verdict.CRASH], set(), REGRESSION),
        ([Verdict.PASS, Verdict.UNTESTABLE], set(), REGRESSION),
        ([Verdict.PASS, Verdict.INCONCLUSIVE], set(), REGRESSION),
        ([Verdict.PASS, Verdict.FAIL], {"FR-0001"}, FINE),
        ([Verdict.PASS, Verdict.FAIL], {"FR-0001/responder/listen"}, FINE),
        ([Verdict.PASS, Verdict.FAIL], {"FR-0001/initiator/listen"}, REGRESSION),
        ([Verdict.PASS, Verdict.PASS], {"FR-0001"}, STALE),
        ([Verdict.PASS, Verdict.NOT_APPLICABLE], {"FR-0001"}, FINE),
        ([Verdict.PASS, Verdict.FAIL, Verdict.FAIL], {"FR-0001", "SA-0001"}, REGRESSION),
        ([Verdict.FAIL], {"SA-0001"}, UNUSABLE),
        ([Verdict.PASS, Verdict.FAIL, Verdict.SUITE_ERROR], {"FR-0001"}, SUITE_ERROR),
        ([], set(), UNUSABLE),
    ],
)
def test_exit_codes(verdicts: list[Verdict], baseline: set[str], code: int) -> None:
    ids = ("SA-0001", "FR-0001", "KA-0001", "CL-0001")
    assert exit_code([_execution(*pair) for pair in zip(ids, verdicts, strict=False)], baseline) == code


def test_stale_is_what_passes_in_each_way_that_the_line_means() -> None:
    runs = [
        Execution("FR-0001", "responder", "listen", Verdict.PASS, 0.1),
        Execution("FR-0001", "initiator", "listen", Verdict.FAIL, 0.1),
    ]
    assert stale(runs, {"FR-0001"}) == []
    assert stale(runs, {"FR-0001", "FR-0001/responder/listen"}) == ["FR-0001/responder/listen"]


def test_baseline(tmp_path: Path) -> None:
    path = tmp_path / "known"
    path.write_text("# all known\n\nFR-0001 # why\n FR-0002/responder/inline\n", encoding="utf-8")
    assert read_baseline(path) == {"FR-0001", "FR-0002/responder/inline"}


@pytest.mark.parametrize("line", ["FR-9999", "FR-0001/responder", "FR-0001/referee/listen", "FR-0001/responder/moon"])
def test_baseline_with_a_line_that_is_nothing(tmp_path: Path, line: str) -> None:
    path = tmp_path / "known"
    path.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=line):
        read_baseline(path)


def test_all_reports_of_a_run_and_its_repetition(tmp_path: Path) -> None:
    names = ("results", "junit", "markdown", "html", "badge")
    files = [argument for name in names for argument in (f"--{name}", str(tmp_path / name))]
    adapter = ["python", str(ADAPTERS / "reference.py")]
    chosen = ["--net", "inline", "--case", "SA", "--jobs", "2", "--repeat", "2"]
    result = CliRunner().invoke(cli, ["run", *chosen, *files, "--", *adapter])
    assert result.exit_code == FINE, result.output
    assert "run 2 of 2: 0 differ" in result.output
    found = json.loads((tmp_path / "results").read_text(encoding="utf-8"))
    assert contract.problem(found, read_data("results.schema.json")) is None
    assert [one["case"] for one in found["executions"]][:2] == ["SA-0001", "SA-0002"]
    xmlschema.XMLSchema(XSD).validate(tmp_path / "junit")
    _page((tmp_path / "html").read_text(encoding="utf-8"))
    assert "# p2pwire-conformance" in (tmp_path / "markdown").read_text(encoding="utf-8")
    assert "passed" in (tmp_path / "badge").read_text(encoding="utf-8")


def test_matrix_of_implementations(tmp_path: Path) -> None:
    paths = []
    for name, runs in (("one", _runs()), ("two", [_execution("FR-0001", Verdict.PASS)])):
        found = report.results(BareSubject(name), runs, 1.0)
        paths.append(str(tmp_path / name))
        Path(paths[-1]).write_text(json.dumps(found), encoding="utf-8")
    result = CliRunner().invoke(cli, ["matrix", *paths])
    assert result.exit_code == 0, result.output
    assert "| group | one | two |" in result.output
    assert "| FR frames | 0 of 3, 1 red | 1 of 1 |" in result.output
    assert "| SA sanity | 1 of 1 |  |" in result.output
    assert "| all | 1 of 8, 5 red | 1 of 1 |" in result.output


def test_matrix_of_what_is_no_results_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{}", encoding="utf-8")
    result = CliRunner().invoke(cli, ["matrix", str(tmp_path / "x")])
    assert result.exit_code != 0
    assert "is no results file of this suite: the message has no field 'format'" in result.output
