"""What holds for every case, and that a subject that does nothing right passes nothing."""

from __future__ import annotations

import json
import re
import socket
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from p2pwire_conformance import contract, report
from p2pwire_conformance.adapter import Adapter
from p2pwire_conformance.case import CASES, GROUPS, LISTEN, RESPONDER
from p2pwire_conformance.command import cli, main
from p2pwire_conformance.outcome import USAGE
from p2pwire_conformance.protocol import protocol, read_data, requirements
from p2pwire_conformance.runner import Execution, Runner, plan
from p2pwire_conformance.smoke import smoke
from p2pwire_conformance.subject import AdapterSubject, BareSubject
from p2pwire_conformance.verdict import Verdict
from toys import ADAPTERS


def test_no_case_tests_a_sentence_that_has_changed() -> None:
    assert {case.id: case.stale for case in CASES.values() if case.stale} == {}


@pytest.mark.parametrize("id", sorted(CASES))
def test_a_case_says_what_it_does(id: str) -> None:
    case = CASES[id]
    assert case.title[0].isupper()
    assert case.title.endswith(".")
    assert case.group in GROUPS
    assert all(before in CASES and before != id for before in case.depends)
    assert id.startswith("SA") or case.depends


def test_every_cell_of_the_link_table_has_a_case() -> None:
    states = set(protocol().states["link"]["arrivals"]) - {"CLOSED"}
    titles = {case.title.partition(" arrives")[0] for case in CASES.values() if case.group == "ST"}
    goes_on = {"WAIT_RESPONSE: PREAMBLE_RESPONDER", "WAIT_MESSAGE_2: HANDSHAKE_MESSAGE"}
    goes_on |= {"WAIT_OFFER: PREAMBLE_INITIATOR", "WAIT_MESSAGE_1: HANDSHAKE_MESSAGE"}
    goes_on |= {"WAIT_MESSAGE_3: HANDSHAKE_MESSAGE"}
    cells = {f"{state}: {arrived}" for state in states for arrived in protocol().states["link"]["arrivals"][state]}
    assert cells - titles - {f"{cell}" for cell in cells if cell.endswith(": END")} == goes_on


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        (
            "mutants.toml",
            ["faults_frames.py", "faults_handshake.py", "faults_hello.py", "faults_link.py", "faults_versions.py"],
        ),
        ("mutants-swarm.toml", ["faults_swarm.py"]),
        ("mutants-peers.toml", ["faults_dialling.py", "faults_peers.py"]),
        ("mutants-uris.toml", ["faults_uris.py"]),
        ("mutants-files.toml", ["faults_files.py"]),
        ("mutants-transfer.toml", ["faults_objects.py", "faults_transfer.py"]),
        ("mutants-topics.toml", ["faults_topics.py"]),
    ],
)
def test_the_lists_of_mutants_are_those_of_the_adapter(rows: str, faults: list[str]) -> None:
    listed = set(tomllib.loads((ADAPTERS / rows).read_text(encoding="utf-8")))
    text = "".join((ADAPTERS / name).read_text(encoding="utf-8") for name in faults)
    made = {name.replace("_", "-") for name in re.findall(r"@mutant\ndef (\w+)", text)}
    assert listed == made


# --- subjects that do nothing right ---


def _null(one: socket.socket) -> None:
    while one.recv(65536):
        pass


def _echo(one: socket.socket) -> None:
    while data := one.recv(65536):
        one.sendall(data)


def _slam(one: socket.socket) -> None:
    return


def _garbage(one: socket.socket) -> None:
    one.sendall(bytes(range(256)) * 8)
    _null(one)


@contextmanager
def _served(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(one: socket.socket) -> None:
            with one, suppress(OSError):
                answer(one)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("answer", [_null, _echo, _slam, _garbage])
def test_a_subject_that_does_nothing_right_passes_nothing(answer: Callable[[socket.socket], None]) -> None:
    with _served(answer) as address:
        found = Runner(BareSubject(address), patience=0.1, again=0).run(plan(CASES.values(), [RESPONDER], [LISTEN]))
    assert {one.verdict for one in found} == {Verdict.FAIL, Verdict.BLOCKED, Verdict.NOT_APPLICABLE}
    assert sum(one.verdict is not Verdict.NOT_APPLICABLE for one in found) > 400


def test_bare_address_of_nobody() -> None:
    found = Runner(BareSubject("127.0.0.1:1"), again=0).one(CASES["SA-0001"], RESPONDER, LISTEN)
    assert found.verdict is Verdict.UNTESTABLE
    assert found.actual.startswith("nothing can be reached at 127.0.0.1:1: ")


# --- the reference ---


def test_reference_passes_the_sanity_cases_in_all_nets(reference: Adapter) -> None:
    subject = AdapterSubject(reference)
    cases = [case for case in CASES.values() if case.group == "SA"]
    found = Runner(subject, again=0).run(plan(cases, subject.roles, subject.nets))
    assert {one.line for one in found if one.verdict not in (Verdict.PASS, Verdict.INFO)} == set()
    assert len(found) == len(cases) * 6


def test_smoke(reference: Adapter) -> None:
    assert {text: wrong for text, wrong in smoke(reference) if wrong} == {}


# --- reports and the command ---


def _executions() -> list[Execution]:
    return [
        Execution("SA-0001", "responder", "listen", Verdict.PASS, 0.1),
        Execution(
            "FR-0001", "responder", "listen", Verdict.FAIL, 0.1, "close-code", "wrong-code", "<PROTOCOL>", "\x00&"
        ),
        Execution("FR-0002", "initiator", "inline", Verdict.BLOCKED, 0.0, actual="SA-0001: fail"),
        Execution("FR-0003", "initiator", "inline", Verdict.CRASH, 0.0, actual="the adapter died"),
    ]


def test_results_fit_their_schema() -> None:
    found = report.results(BareSubject("127.0.0.1:1"), _executions(), 1.0)
    assert contract.problem(json.loads(json.dumps(found)), read_data("results.schema.json")) is None
    assert found["totals"] == {"pass": 1, "fail": 1, "blocked": 1, "crash": 1}


def test_junit_is_well_formed_and_adds_up() -> None:
    top = ElementTree.fromstring(report.junit(BareSubject("127.0.0.1:1"), _executions()))
    suites = {suite.get("name"): suite for suite in top}
    assert set(suites) == {"SA.responder.listen", "FR.responder.listen", "FR.initiator.inline"}
    for suite in top:
        for kind, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert len(suite.findall(f"testcase/{kind}")) == int(suite.get(count, ""))
        assert len(suite.findall("testcase")) == int(suite.get("tests", ""))


def test_markdown_names_what_is_red() -> None:
    text = report.markdown(BareSubject("127.0.0.1:1"), _executions())
    assert "| FR frames | 3 | 0 | 2 | 0 | 1 |" in text
    assert "FR-0001/close-code [FR-003]" in text


def _run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, arguments)
    return result.exit_code, result.output


def test_exit_codes(tmp_path: Path) -> None:
    with _served(_slam) as address:
        assert _run("run", "--bare", address, "--case", "FR-0001", "--patience", "0.1")[0] == 3
    command = ["run", "--net", "inline", "--role", "responder"]
    adapter = ["--", "python", str(ADAPTERS / "reference.py")]
    assert _run(*command, "--case", "SA-0001", *adapter)[0] == 0
    baseline = tmp_path / "baseline"
    baseline.write_text("SA-0002  # a fault that is mended\n", encoding="utf-8")
    code, output = _run(*command, "--case", "SA", "--baseline", str(baseline), *adapter)
    assert code == 2
    assert "stale in the baseline, since it passes now: SA-0002" in output
    assert _run("run", "--case", "SA", "--", "/does/not/exist")[0] == 3


def test_wrong_usage_ends_with_64(monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (["run"], ["run", "--case", "XX", "--", "x"], ["explain", "XX-0001"], ["run", "--net", "moon"]):
        monkeypatch.setattr("sys.argv", ["p2pwire-conformance", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == USAGE


def test_list_and_explain() -> None:
    code, output = _run("list", "--req", "GN-022")
    assert code == 0
    assert output.startswith("HS-0049  GN-022 HS-029 HS-032  ")
    code, output = _run("explain", "HS-0049")
    assert code == 0
    assert requirements()["GN-022"].text in output


def test_replay_shows_every_byte(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    subject = {"name": "x", "kind": "adapter", "command": ["python", str(ADAPTERS / "mutants.py")]}
    red = {"case": "SA-0002", "role": "responder", "net": "inline", "verdict": "fail"}
    results.write_text(json.dumps({"subject": subject, "executions": [red]}), encoding="utf-8")
    code, output = _run("replay", str(results), "--", "python", str(ADAPTERS / "reference.py"))
    assert code == 0
    assert "PASS SA-0002/responder/inline" in output
    assert "→ record: CLOSE[3]" in output


def test_the_suite_imports_nothing_of_the_reference() -> None:
    source = Path(report.__file__).parent
    for path in source.rglob("*.py"):
        assert not re.search(r"^\s*(from|import) p2pwire(\.|\s|$)", path.read_text(encoding="utf-8"), re.MULTILINE), (
            path
        )
