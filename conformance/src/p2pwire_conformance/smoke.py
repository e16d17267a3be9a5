"""Checks of the adapter itself, before any of what it adapts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from p2pwire_conformance.adapter import Adapter
from p2pwire_conformance.carrier import Inline, dial
from p2pwire_conformance.keys import Identity
from p2pwire_conformance.verdict import AdapterFault, Untestable

ROUNDS: Final = 50
"""Runs started and stopped one after another."""


def _start(adapter: Adapter, run: str, net: str, **more: Any) -> dict[str, Any]:
    role = adapter.about["roles"][-1]
    if net == "listen" and "responder" in adapter.about["roles"]:
        role = "responder"
    config = {"identity": Identity(run).seed.hex()}
    answer = adapter.request("start", run=run, case="smoke", role=role, net=net, via="tcp", config=config, **more)
    if "error" in answer:
        raise AdapterFault(f"the adapter did not start {run!r}: {answer['error']}")
    return answer


def _reachable(adapter: Adapter) -> str:
    return "listen" if "listen" in adapter.about["net"] else "inline"


def _unknown_op(adapter: Adapter) -> str | None:
    answer = adapter.request("do", run="smoke-none", action="conformance-made-this-up", args={})
    return None if "skip" in answer else "an action that nobody knows was not answered with skip"


def _unknown_field(adapter: Adapter) -> str | None:
    _start(adapter, "smoke-field", _reachable(adapter), conformance_made_this_up=[1])
    adapter.request("stop", run="smoke-field")
    return None


def _isolated(adapter: Adapter) -> str | None:
    net = _reachable(adapter)
    answers = [_start(adapter, name, net) for name in ("smoke-one", "smoke-two")]
    adapter.request("stop", run="smoke-one")
    try:
        if net == "listen":
            if answers[0].get("addr") == answers[1].get("addr"):
                return "two runs listen at the same address"
            dial(answers[1]["addr"], 5.0).close()
        else:
            Inline(adapter, "smoke-two", answers[1]).send(b"\x89")
    except Untestable as fault:
        return f"the end of one run ended another: {fault}"
    finally:
        adapter.request("stop", run="smoke-two")
    return None


def _port_freed(adapter: Adapter) -> str | None:
    if _reachable(adapter) != "listen":
        return None
    answer = _start(adapter, "smoke-port", "listen")
    adapter.request("stop", run="smoke-port")
    with suppress(Untestable):
        dial(answer["addr"], 5.0).close()
        return f"{answer['addr']} is still open after stop"
    return None


def _many(adapter: Adapter) -> str | None:
    for number in range(ROUNDS):
        _start(adapter, f"smoke-{number}", _reachable(adapter))
        adapter.request("stop", run=f"smoke-{number}")
    return None


CHECKS: Final[tuple[tuple[str, Callable[[Adapter], str | None]], ...]] = (
    ("what it does not know is skipped", _unknown_op),
    ("fields that it does not know are ignored", _unknown_field),
    ("two runs at a time do not disturb each other", _isolated),
    ("stop frees the port", _port_freed),
    (f"{ROUNDS} runs one after another", _many),
)


def smoke(adapter: Adapter) -> Iterator[tuple[str, str | None]]:
    """(what was checked, what is wrong or None), one after another."""
    try:
        adapter.ensure()
    except AdapterFault as fault:
        yield "it starts and says hello", str(fault)
        return
    yield "it starts and says hello", None
    for text, check in CHECKS:
        try:
            adapter.ensure()
            yield text, check(adapter)
        except AdapterFault as fault:
            yield text, str(fault)
