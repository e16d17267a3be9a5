"""What is judged: an adapter that can do anything, or a bare address at which somebody answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from p2pwire_conformance.adapter import Adapter
from p2pwire_conformance.carrier import Carrier, Inline, Listener, dial
from p2pwire_conformance.verdict import NotApplicable, Untestable

OWN_KEYS = frozenset({"identity", "seed"})
"""Fields of a config that every subject may ignore."""


class Subject(Protocol):
    """An implementation under test."""

    @property
    def name(self) -> str:
        """For reports."""

    @property
    def roles(self) -> Sequence[str]:
        """What it can be."""

    @property
    def nets(self) -> Sequence[str]:
        """How it can be reached."""

    @property
    def features(self) -> frozenset[str]:
        """What it says it has."""

    @property
    def choices(self) -> dict[str, str]:
        """What it does where the specification leaves it a choice."""

    def start(self, run: str, case: str, role: str, net: str, config: dict[str, Any], patience: float) -> Running:
        """Have it ready for a link. Raises `AdapterFault`, `NotApplicable`, `Untestable`."""

    def renew(self) -> None:
        """End its program; the next `start` begins it anew. Raises `NotApplicable`."""


class Running:
    """A subject that is ready for one case."""

    def carrier(self, patience: float) -> Carrier:
        """One more carrier to it."""
        raise NotImplementedError

    def event(self, name: str, patience: float) -> dict[str, Any]:
        """What it told its application. Raises `Untestable` if it does not."""
        raise Untestable(f"this subject does not tell of {name!r}")

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it told its application until now, under this name, and was not asked for before."""
        return []

    def do(self, action: str, **args: Any) -> dict[str, Any]:
        """Have it act; what came of it, `error` if it refuses."""
        raise NotApplicable(f"action:{action}")

    def further(self, answer: dict[str, Any]) -> Inline:
        """The carrier of one more inline link, of which an action told the number."""
        raise NotApplicable("feature:links")

    def stop(self) -> None:
        """Let it go."""


class BareSubject:
    """A peer at an address, of which nothing else is known."""

    roles: Sequence[str] = ("responder",)
    nets: Sequence[str] = ("listen",)
    features: frozenset[str] = frozenset()

    def __init__(self, address: str) -> None:
        self.name = address
        self.choices: dict[str, str] = {}

    def start(self, run: str, case: str, role: str, net: str, config: dict[str, Any], patience: float) -> Running:
        """See `Subject`."""
        if set(config) - OWN_KEYS:
            raise NotApplicable(f"config:{min(set(config) - OWN_KEYS)}")
        return _BareRunning(self.name)

    def renew(self) -> None:
        """See `Subject`."""
        raise NotApplicable("adapter")


class _BareRunning(Running):
    def __init__(self, address: str) -> None:
        self._address = address

    def carrier(self, patience: float) -> Carrier:
        return dial(self._address, patience)


class AdapterSubject:
    """An implementation behind PCTL/1."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        adapter.ensure()

    @property
    def name(self) -> str:
        """See `Subject`."""
        return f"{self.adapter.about['impl']} {self.adapter.about['version']}"

    @property
    def roles(self) -> Sequence[str]:
        """See `Subject`."""
        return list(self.adapter.about["roles"])

    @property
    def nets(self) -> Sequence[str]:
        """See `Subject`."""
        return list(self.adapter.about["net"])

    @property
    def features(self) -> frozenset[str]:
        """See `Subject`."""
        return frozenset(self.adapter.about["features"])

    @property
    def choices(self) -> dict[str, str]:
        """See `Subject`."""
        return dict(self.adapter.about.get("choices", {}))

    def start(self, run: str, case: str, role: str, net: str, config: dict[str, Any], patience: float) -> Running:
        """See `Subject`."""
        self.adapter.ensure()
        self.adapter.events.clear()
        listener = Listener() if net == "dial" else None
        where = {} if listener is None else {"addr": listener.address}
        try:
            answer = self.adapter.request(
                "start", run=run, case=case, role=role, net=net, via="tcp", config=config, **where
            )
            if "skip" in answer:
                raise NotApplicable(answer["skip"])
            if "error" in answer:
                raise Untestable(f"the adapter says: {answer['error']}")
            if net == "listen" and "addr" not in answer:
                raise Untestable("the adapter listens and does not say where")
        except BaseException:
            if listener is not None:
                listener.close()
            raise
        return _AdapterRunning(self.adapter, run, net, answer, listener)

    def renew(self) -> None:
        """See `Subject`."""
        self.adapter.close()


class _AdapterRunning(Running):
    def __init__(self, adapter: Adapter, run: str, net: str, answer: dict[str, Any], listener: Listener | None) -> None:
        self._adapter = adapter
        self._run = run
        self._net = net
        self._answer = answer
        self._listener = listener
        self._first: Inline | None = None

    def carrier(self, patience: float) -> Carrier:
        if self._net == "inline":
            self._first = Inline(self._adapter, self._run, self._answer)
            return self._first
        if self._listener is not None:
            return self._listener.accept(patience)
        return dial(self._answer["addr"], patience)

    def event(self, name: str, patience: float) -> dict[str, Any]:
        until = time.monotonic() + patience
        while True:
            while self._adapter.events:
                found = self._adapter.events.popleft()
                if found["ev"] == name and found.get("run", self._run) == self._run:
                    return found
            left = until - time.monotonic()
            if self._net == "inline" or left <= 0 or not self._adapter.wait_event(left):
                raise Untestable(f"the subject did not tell of {name!r}")

    def events(self, name: str) -> list[dict[str, Any]]:
        listed = list(self._adapter.events)
        self._adapter.events.clear()
        found = [one for one in listed if one["ev"] == name and one.get("run", self._run) == self._run]
        self._adapter.events.extend(one for one in listed if one not in found)
        return found

    def do(self, action: str, **args: Any) -> dict[str, Any]:
        answer = self._adapter.request("do", run=self._run, action=action, args=args)
        if "skip" in answer:
            raise NotApplicable(answer["skip"])
        return answer

    def further(self, answer: dict[str, Any]) -> Inline:
        return Inline(self._adapter, self._run, answer, self._first)

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._adapter.request("stop", run=self._run)
