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
from p2pwire_conformance.verdict import AdapterFault, NotApplicable, Untestable

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

    def choice(self, name: str, otherwise: str) -> str:
        """What the subject says that it does."""
        return self._subject.choices.get(name, otherwise)

    # --- the subject ---

    def start(self, **config: Any) -> None:
        """Have the subject ready, in place of one that was started before. What is given goes into its config; None
        leaves a field out."""
        if self._running is not None:
            self._running.stop()
            self._running = None
        given: dict[str, Any] = {
            "identity": self.subject_identity.seed.hex(),
            "seed": hashlib.sha256(self.name.encode()).hexdigest(),
        }
        given |= config
        given = {name: value for name, value in given.items() if value is not None}
        self._running = self._subject.start(self.name, self.case.id, self.role, self.net, given, self.patience)

    def restart(self, **config: Any) -> None:
        """End the subject, and start it again with this."""
        self.running.stop()
        self._carriers.clear()
        self.start(**config)

    @property
    def running(self) -> Running:
        """The subject, started."""
        if self._running is None:
            self.start()
        assert self._running is not None
        return self._running

    def connect(self, label: str = "", identity: Identity | None = None) -> Link:
        """A carrier to the subject, and nothing sent yet. Only listening subjects take more than one."""
        return self._link(self.running.carrier(self.patience), label, identity, initiator=self.responds)

    def _link(self, carrier: Carrier, label: str, identity: Identity | None, *, initiator: bool) -> Link:
        self._carriers.append(carrier)
        return Link(
            carrier,
            initiator=initiator,
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

    def told(self, name: str) -> bool:
        """Whether the subject told its application this."""
        try:
            self.event(name)
        except Untestable:
            return False
        return True

    def renew(self) -> None:
        """Have the subject's program end and start anew."""
        self.running.stop()
        self._running = None
        self._subject.renew()

    def tick(self, link: Link, seconds: float) -> None:
        """Inline: let time go by."""
        assert isinstance(link.carrier, Inline)
        link.note("·", f"{seconds} s go by")
        link.carrier.tick(round(seconds * 1000))

    # --- swarms: several inline links to one subject ---

    def do(self, action: str, **args: Any) -> dict[str, Any]:
        """Have the subject act. Raises `Untestable` if it cannot."""
        answer = self.running.do(action, **args)
        if "error" in answer:
            raise Untestable(f"the adapter says: {answer['error']}")
        self.log.append(Line(0.0, "·", f"{action} {args}", b""))
        self.flush()
        return answer

    def flush(self) -> None:
        """Inline: take what the subject has to say."""
        for carrier in self._carriers[:1]:
            if isinstance(carrier, Inline):
                carrier.tick(0)

    def stranger(self, label: str, come_from: str, identity: Identity | None = None) -> Link:
        """One more inline link that comes to the subject from an address, and nothing sent yet."""
        answer = self.running.do("open", **{"from": come_from})
        if "link" not in answer:
            raise Untestable(f"the subject takes no link from {come_from}")
        return self._link(self.running.further(answer), label, identity, initiator=True)

    def peer(
        self, label: str, come_from: str = "127.0.0.1:7001", identity: Identity | None = None, **hello: Any
    ) -> Link:
        """The same after both HELLOs."""
        link = self.stranger(label, come_from, identity)
        link.shake()
        link.hello(**hello)
        return link

    def dials(self) -> list[dict[str, Any]]:
        """What the subject dialled since this was last asked."""
        self.flush()
        return self.running.events("dial")

    def fail_dial(self, dial: dict[str, Any]) -> None:
        """Nobody is at this address."""
        self.do("dialled", dial=dial["dial"], ok=False)

    def answer_dial(self, dial: dict[str, Any], label: str, identity: Identity | None = None) -> Link:
        """The suite is at this address: the link, and nothing sent yet."""
        answer = self.running.do("dialled", dial=dial["dial"], ok=True)
        link = self._link(self.running.further(answer), label, identity, initiator=False)
        self.flush()
        return link

    def pass_time(self, seconds: float, *links: Link) -> None:
        """Let time go by and keep these links alive."""
        left = seconds
        while left > 0:
            step = min([40.0, left, *(link.idle / 2 for link in links)])
            left -= step
            self.log.append(Line(0.0, "·", f"{step} s go by", b""))
            for carrier in self._carriers[:1]:
                assert isinstance(carrier, Inline)
                carrier.tick(round(step * 1000))
            for link in links:
                link.fence()

    def end(self) -> None:
        """Give all back. Raises `AdapterFault` if the subject did not survive."""
        try:
            if self._running is not None:
                self._running.stop()
        finally:
            for carrier in self._carriers:
                with suppress(OSError, AdapterFault):
                    carrier.close()
