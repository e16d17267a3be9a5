"""Whatever an adapter does wrong becomes one clear sentence, soon."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from p2pwire_conformance import adapter as module
from p2pwire_conformance.adapter import Adapter
from p2pwire_conformance.case import CASES, INLINE, LISTEN, RESPONDER
from p2pwire_conformance.runner import Runner
from p2pwire_conformance.subject import AdapterSubject
from p2pwire_conformance.verdict import AdapterFault, Untestable, Verdict
from toys import HELLO

Toy = Callable[..., Adapter]


def _verdict(adapter: Adapter) -> tuple[Verdict, str]:
    found = Runner(AdapterSubject(adapter), patience=0.2, again=0).one(CASES["SA-0001"], RESPONDER, INLINE)
    return found.verdict, found.actual


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("ask(); sys.exit(3)", "the adapter ended with exit code 3 during 'start'"),
        ("ask(); sys.exit('no such thing')", "the adapter ended with exit code 1 during 'start': no such thing"),
        ("ask(); say('hello?')", "the adapter wrote to stdout what is no JSON: 'hello?'"),
        ("ask(); say('[1]')", "the adapter wrote to stdout what is neither answer nor event: '[1]'"),
        ("ask(); say('{}')", "the adapter wrote to stdout what is neither answer nor event: '{}'"),
        ("""ask(); say('{"re": "stop"}')""", "the adapter answered 'stop' out of turn: 'start' was asked"),
        ("""ask(); say('{"re": "start", "tx": "0g"}')""", "the adapter broke the contract: tx is '0g', must match"),
        (
            """ask(); say('{"re": "start", "tx": 5}')""",
            "the adapter broke the contract: tx is 5, must be of type string",
        ),
        (
            """ask(); say('{"re": "start"}'); ask(); say('{"re": "rx"}'); ask()""",
            "the adapter broke the contract: the message has no field 'tx'",
        ),
        ("""ask(); say('{"ev": "party"}')""", "the adapter broke the contract: ev is 'party', must be one of"),
        (
            """ask(); sys.stdout.write('{"re": "sta'); sys.stdout.flush()""",
            "the adapter ended with exit code 0 during 'start' in the middle of a line",
        ),
        ("ask(); os.kill(os.getpid(), 9)", "the adapter was ended by signal 9 during 'start'"),
        ("ask(); os.close(1); sys.stdin.read()", "the adapter closed its output during 'start'"),
        ("ask(); say('[' * 100000)", "the adapter wrote to stdout what is no JSON: '[[[["),
        ("ask(); say('x' * 5000)", "the adapter wrote to stdout what is no JSON: 'xxxxxx"),
        ("ask(); say('9' * 5000)", "the adapter wrote to stdout what is no JSON: '9999"),
        (
            r"ask(); sys.stderr.write('\x1b[31mred\x00\n'); sys.exit(2)",
            "the adapter ended with exit code 2 during 'start':  [31mred",
        ),
        (
            """ask(); say('{"re": "start", "roles": [{}], "tx": ""}')""",
            "the adapter broke the contract: roles[0] is {}",
        ),
        ("""ask(); say('{"re": "start"}\\n' * 2); ask()""", "the adapter answered 'start' out of turn: 'rx' was asked"),
    ],
)
def test_faults(toy: Toy, monkeypatch: pytest.MonkeyPatch, body: str, sentence: str) -> None:
    monkeypatch.setattr(module, "END_TIME", 1.0)
    verdict, actual = _verdict(toy(body))
    assert verdict is Verdict.CRASH
    assert actual.startswith(sentence)
    assert "\n" not in actual


@pytest.mark.parametrize(
    "body",
    [
        "ask(); sys.stdin.read()",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); ask(); wait()",
        "subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])",
        'ask()\nwhile True: say(\'{"ev": "log", "text": "again"}\')',
        "ask()\nwhile True: sys.stderr.write('x' * 60000)",
    ],
    ids=["reads on", "ignores signals", "waits for a child", "tells without end", "complains without end"],
)
def test_hanging(toy: Toy, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    adapter = toy(body)
    adapter.ensure()
    monkeypatch.setattr(module, "ANSWER_TIME", 0.2)
    assert _verdict(adapter) == (Verdict.CRASH, "the adapter did not answer 'start' within 0 s")


def test_one_that_hangs_gets_less_time(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = toy("wait()")
    for allowed, expected in (0.2, "0 s"), (0.2, "0 s"), (0.2, "0 s"), (600.0, "1 s"):
        monkeypatch.setattr(module, "ANSWER_TIME", 20.0)
        adapter.ensure()
        monkeypatch.setattr(module, "ANSWER_TIME", allowed)
        with pytest.raises(AdapterFault, match=f"did not answer 'stop' within {expected}"):
            adapter.request("stop", run="x")


def test_one_that_does_not_read(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = toy("wait()")
    adapter.ensure()
    monkeypatch.setattr(module, "ANSWER_TIME", 0.2)
    with pytest.raises(AdapterFault, match=r"the adapter did not read 'rx': [0-9]+ of [0-9]+ bytes are left"):
        adapter.request("rx", run="x", hex="00" * (1 << 20))


def test_a_line_without_end(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE", 1 << 20)
    adapter = toy("ask()\nwhile True: sys.stdout.write('x' * 60000)")
    adapter.ensure()
    with pytest.raises(AdapterFault, match="the adapter wrote a line of more than 1 MiB to stdout"):
        adapter.request("stop", run="x")


def test_nobody_waits_for_an_event_among_many_others(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "END_TIME", 0.05)
    adapter = toy("""while True: say('{"ev": "log", "text": "again"}')""")
    adapter.ensure()
    while adapter.wait_event(0.05) and len(adapter.events) < module.MAX_LINES:
        pass
    assert adapter.wait_event(0.0) in (True, False)
    assert len(adapter.events) <= module.MAX_LINES
    adapter.close()


@pytest.mark.parametrize(
    "body", ["wait()", "signal.signal(signal.SIGTERM, signal.SIG_IGN); wait()"], ids=["sleeps", "ignores signals"]
)
def test_it_is_ended_at_the_end(toy: Toy, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr(module, "END_TIME", 0.05)
    adapter = toy(f'say(str(os.getpid()).join([\'{{"ev": "log", "text": "\', \'"}}\'])); {body}')
    adapter.ensure()
    assert adapter.wait_event(20.0)
    number = int(adapter.events[0]["text"])
    adapter.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_what_it_started_is_ended_too(toy: Toy) -> None:
    popen = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    adapter = toy(f'say(\'{{"ev": "log", "text": "%d"}}\' % {popen}.pid); wait()')
    adapter.ensure()
    assert adapter.wait_event(20.0)
    child = os.pidfd_open(int(adapter.events[0]["text"]))
    adapter.kill()
    ended, _, _ = select.select([child], [], [], 20)
    os.close(child)
    assert ended == [child]


@pytest.mark.parametrize(
    ("hello", "sentence"),
    [
        ('{"re": "hello", "error": "no licence"}', "the adapter refuses hello: no licence"),
        ('{"re": "hello", "skip": "not today"}', "the adapter refuses hello: not today"),
        ('{"re": "start"}', "the adapter answered 'start' out of turn: 'hello' was asked"),
        ('{"re": "hello"}', "the adapter broke the contract: the message has no field 'pctl'"),
        (HELLO.replace('"net": ["inline"]', '"net": []'), "the adapter broke the contract: net has 0 items"),
        (HELLO.replace('"pctl": 1', '"pctl": 2'), "the adapter broke the contract: pctl is 2, must be 1"),
        ("Welcome!", "the adapter wrote to stdout what is no JSON: 'Welcome!'"),
    ],
)
def test_hello(toy: Toy, hello: str, sentence: str) -> None:
    with pytest.raises(AdapterFault) as fault:
        toy("ask()", hello=hello).ensure()
    assert str(fault.value).startswith(sentence)


def test_a_name_that_cannot_be_printed(toy: Toy) -> None:
    adapter = toy("ask()", hello=HELLO.replace('"toy"', r'"\ud800\u001b[2J"'))
    assert AdapterSubject(adapter).name == "  [2J 1"


def test_skip_and_error(toy: Toy) -> None:
    assert _verdict(toy("""ask(); say('{"re": "start", "skip": "feature:x"}'); ask()""")) == (
        Verdict.NOT_APPLICABLE,
        "feature:x",
    )
    assert _verdict(toy("""ask(); say('{"re": "start", "error": "no port"}'); ask()""")) == (
        Verdict.UNTESTABLE,
        "the adapter says: no port",
    )


def test_events_may_come_before_an_answer(toy: Toy) -> None:
    adapter = toy("""ask(); say('{"ev": "log", "text": "hm"}'); say('{"re": "stop", "more": 1}')""")
    adapter.ensure()
    assert adapter.request("stop", run="x") == {"re": "stop", "more": 1}
    assert [event["text"] for event in adapter.events] == ["hm"]


def test_what_cannot_be_started(tmp_path: Path) -> None:
    text = tmp_path / "adapter"
    text.write_text("no program", encoding="utf-8")
    for command, reason in (
        ("/does/not/exist", "No such file or directory"),
        (str(text), "Permission denied"),
        (str(tmp_path), "Permission denied"),
        ("a\0b", "embedded null byte"),
    ):
        with pytest.raises(AdapterFault) as fault:
            Adapter([command]).ensure()
        assert str(fault.value) == f"the adapter {command!r} does not start: {reason}"
    text.chmod(0o755)
    with pytest.raises(AdapterFault, match="does not start: Exec format error"):
        Adapter([str(text)]).ensure()


def test_other_specification(toy: Toy) -> None:
    with pytest.raises(AdapterFault, match="the adapter speaks p2pwire/2, and not p2pwire/1"):
        toy("", hello=HELLO.replace("p2pwire/1", "p2pwire/2")).ensure()


def test_it_is_started_again_after_it_died(toy: Toy) -> None:
    adapter = toy("ask(); sys.exit(3)")
    for _ in range(2):
        assert _verdict(adapter)[0] is Verdict.CRASH


def test_an_event_is_not_waited_for_without_end(toy: Toy) -> None:
    listens = HELLO.replace("inline", "listen")
    answer = """ask(); say('{"re": "start", "addr": "127.0.0.1:1"}')\n"""
    adapter = toy(answer + """while True: say('{"ev": "log", "text": "again"}')""", hello=listens)
    running = AdapterSubject(adapter).start("x", "SA-0001", RESPONDER, LISTEN, {}, 5.0)
    with pytest.raises(Untestable, match="the subject did not tell of 'closed'"):
        running.event("closed", 0.1)


# --- the command ---


def _command(*arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "p2pwire_conformance", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr + done.stdout
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", [["run", "--case", "SA", "--net", "inline"], ["smoke"]])
@pytest.mark.parametrize(
    ("adapter", "sentence"),
    [
        (["/does/not/exist"], "the adapter '/does/not/exist' does not start: No such file or directory"),
        ([sys.executable, "-c", "import sys; sys.exit('no config')"], "exit code 1 during 'hello': no config"),
        ([sys.executable, "-c", "print('ready')"], "the adapter wrote to stdout what is no JSON: 'ready'"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], adapter: list[str], sentence: str) -> None:
    code, said, complained = _command(*arguments, "--", *adapter)
    assert code == 3
    assert (said + complained).count("\n") == 1
    assert sentence in said + complained


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run"], "give either an adapter's command after `--`, or --bare HOST:PORT"),
        (["run", "--bare", "127.0.0.1:1", "--", "x"], "give either an adapter's command"),
        (["run", "--case", "QQ", "--", "x"], "no case fits"),
        (["run", "--req", "QQ-001", "--", "x"], "QQ-001 is no requirement"),
        (["run", "--net", "moon", "--", "x"], "'moon' is not one of"),
        (["run", "--patience", "long", "--", "x"], "'long' is not a valid float"),
        (["smoke"], "Missing argument 'ADAPTER...'"),
        (["replay", "/does/not/exist"], "'/does/not/exist' does not exist"),
        (["explain", "QQ-0001"], "QQ-0001 is no case"),
        (["dance"], "No such command 'dance'"),
    ],
)
def test_wrong_usage(arguments: list[str], sentence: str) -> None:
    code, said, complained = _command(*arguments)
    assert (code, said) == (64, "")
    assert sentence in complained
