"""Checks of the adapter itself, before any of what it adapts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from p2pwire_conformance.adapter import Adapter
from p2pwire_conformance.carrier import Inline, Listener, dial
from p2pwire_conformance.keys import Identity
from p2pwire_conformance.verdict import AdapterFault, Untestable

ROUNDS: Final = 50
"""Runs started and stopped one after another."""
PATIENCE: Final = 5.0
"""seconds for a connection."""


def _start(adapter: Adapter, run: str, net: str, **more: Any) -> dict[str, Any]:
    roles = adapter.about["roles"]
    role = "responder" if "responder" in roles else roles[0]
    config = {"identity": Identity(run).seed.hex()}
    answer = adapter.request("start", run=run, case="smoke", role=role, net=net, via="tcp", config=config, **more)
    if wrong := answer.get("error") or answer.get("skip"):
        raise AdapterFault(f"the adapter did not start {run!r}: {wrong}")
    if net == "listen" and "addr" not in answer:
        raise AdapterFault("the adapter listens and does not say where")
    return answer


@contextmanager
def _started(adapter: Adapter, run: str, **more: Any) -> Iterator[dict[str, Any]]:
    """A run in the first net that will do, until the end of the block."""
    nets = adapter.about["net"]
    net = next(one for one in ("listen", "inline", "dial") if one in nets)
    listener = Listener() if net == "dial" else None
    try:
        where = {} if listener is None else {"addr": listener.address}
        yield _start(adapter, run, net, **where, **more)
        adapter.request("stop", run=run)
    finally:
        if listener is not None:
            listener.close()


def _unknown(adapter: Adapter) -> str | None:
    if "skip" not in adapter.request("conformance-made-this-up"):
        return "an op that nobody knows was not answered with skip"
    with _started(adapter, "smoke-unknown"):
        answer = adapter.request("do", run="smoke-unknown", action="conformance-made-this-up", args={})
    return None if "skip" in answer else "an action that nobody knows was not answered with skip"


def _unknown_field(adapter: Adapter) -> str | None:
    with _started(adapter, "smoke-field", conformance_made_this_up=[1]):
        return None


def _isolated(adapter: Adapter) -> str | None:
    with _started(adapter, "smoke-two") as two:
        with _started(adapter, "smoke-one") as one:
            if "addr" in one and one["addr"] == two["addr"]:
                return "two runs listen at the same address"
        try:
            if "addr" in two:
                dial(two["addr"], PATIENCE).close()
            elif "tx" in two:
                Inline(adapter, "smoke-two", two).send(b"\x89")
        except Untestable as fault:
            return f"the end of one run ended another: {fault}"
    return None


def _port_freed(adapter: Adapter) -> str | None:
    with _started(adapter, "smoke-port") as answer:
        pass
    if "addr" in answer:
        with suppress(Untestable):
            dial(answer["addr"], PATIENCE).close()
            return f"{answer['addr']} is still open after stop"
    return None


def _many(adapter: Adapter) -> str | None:
    for number in range(ROUNDS):
        with _started(adapter, f"smoke-{number}"):
            pass
    return None


CHECKS: Final[tuple[tuple[str, Callable[[Adapter], str | None]], ...]] = (
    ("what it does not know is skipped", _unknown),
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
