"""One run of one case: the subject in a role, over a net, and the links that the case opens to it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any, Final

from p2pwire_conformance.carrier import Carrier, Inline
from p2pwire_conformance.case import RESPONDER, Case
from p2pwire_conformance.keys import Identity
from p2pwire_conformance.link import Line, Link, Plan
from p2pwire_conformance.subject import Running, Subject
from p2pwire_conformance.verdict import AdapterFault, NotApplicable

UNIX_TIME: Final = 1_800_000_000
"""The time of day at which subjects begin that can be told so."""


class Trial:
    """What a case works with. `role` is the subject's."""

    def __init__(self, subject: Subject, case: Case, role: str, net: str, patience: float) -> None:
        self.case = case
        self.role = role
        self.net = net
        self.patience = patience
        self.log: list[Line] = []
        self.subject_identity = Identity(f"subject {case.id} {role} {net}")
        self._subject = subject
        self._running: Running | None = None
        self._carriers: list[Carrier] = []

    @property
    def name(self) -> str:
        """Of this run."""
        return f"{self.case.id}/{self.role}/{self.net}"

    @property
    def responds(self) -> bool:
        """Whether the subject is the responder."""
        return self.role == RESPONDER

    @property
    def inline(self) -> bool:
        """Whether time is virtual."""
        return self.net == "inline"

    def identity(self, label: str = "") -> Identity:
        """An identity for the suite's side; each case has its own."""
        return Identity(f"suite {self.name} {label}")

    def need(self, choice: str, value: str) -> None:
        """Go on only with a subject that chose this."""
        if self._subject.choices.get(choice, value) != value:
            raise NotApplicable(f"choice:{choice}")

    # --- the subject ---

    def start(self, **config: Any) -> None:
        """Have the subject ready. What is given goes into its config."""
        given: dict[str, Any] = {
            "identity": self.subject_identity.seed.hex(),
            "seed": hashlib.sha256(self.name.encode()).hexdigest(),
        }
        given |= config
        self._running = self._subject.start(self.name, self.case.id, self.role, self.net, given, self.patience)

    @property
    def running(self) -> Running:
        """The subject, started."""
        if self._running is None:
            self.start()
        assert self._running is not None
        return self._running

    def connect(self, label: str = "", identity: Identity | None = None) -> Link:
        """A carrier to the subject, and nothing sent yet. Only listening subjects take more than one."""
        carrier = self.running.carrier(self.patience)
        self._carriers.append(carrier)
        return Link(
            carrier,
            initiator=self.responds,
            seed=hashlib.sha256(f"{self.name} {label}".encode()).digest(),
            identity=identity or self.identity(label),
            patience=self.patience,
            log=self.log,
        )

    def handshaken(self, plan: Plan | None = None, **config: Any) -> Link:
        """A link after its handshake, before any HELLO of the suite's."""
        if config:
            self.start(**config)
        link = self.connect()
        link.shake(plan)
        return link

    def open(self, hello: dict[str, Any] | None = None, **config: Any) -> Link:
        """A link after both HELLOs."""
        link = self.handshaken(**config)
        link.hello(**(hello or {}))
        return link

    def event(self, name: str) -> dict[str, Any]:
        """What the subject told its application."""
        return self.running.event(name, self.patience)

    def tick(self, link: Link, seconds: float) -> None:
        """Inline: let time go by."""
        assert isinstance(link.carrier, Inline)
        link.note("·", f"{seconds} s go by")
        link.carrier.tick(round(seconds * 1000))

    def end(self) -> None:
        """Give all back. Raises `AdapterFault` if the subject did not survive."""
        try:
            if self._running is not None:
                self._running.stop()
        finally:
            for carrier in self._carriers:
                with suppress(OSError, AdapterFault):
                    carrier.close()
