"""Whatever an adapter does wrong becomes one clear sentence, soon."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pwire_conformance import adapter as module
from p2pwire_conformance.adapter import Adapter
from p2pwire_conformance.case import CASES, INLINE, RESPONDER
from p2pwire_conformance.runner import Runner
from p2pwire_conformance.subject import AdapterSubject
from p2pwire_conformance.verdict import AdapterFault, Verdict
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
    ],
)
def test_faults(toy: Toy, body: str, sentence: str) -> None:
    verdict, actual = _verdict(toy(body))
    assert verdict is Verdict.CRASH
    assert actual.startswith(sentence)
    assert "\n" not in actual


def test_hanging(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = toy("ask(); sys.stdin.read()")
    adapter.ensure()
    monkeypatch.setattr(module, "ANSWER_TIME", 0.2)
    assert _verdict(adapter) == (Verdict.CRASH, "the adapter did not answer 'start' within 0 s")


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


def test_not_there() -> None:
    with pytest.raises(AdapterFault, match="'/does/not/exist' does not start: No such file"):
        Adapter(["/does/not/exist"]).ensure()


def test_other_specification(toy: Toy) -> None:
    with pytest.raises(AdapterFault, match="the adapter speaks p2pwire/2, and not p2pwire/1"):
        toy("", hello=HELLO.replace("p2pwire/1", "p2pwire/2")).ensure()


def test_it_is_started_again_after_it_died(toy: Toy) -> None:
    adapter = toy("ask(); sys.exit(3)")
    for _ in range(2):
        assert _verdict(adapter)[0] is Verdict.CRASH
