"""What a case is, and the list of all of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pwire_conformance.protocol import Requirement, requirements

if TYPE_CHECKING:
    from p2pwire_conformance.trial import Trial

INITIATOR: Final = "initiator"
RESPONDER: Final = "responder"
BOTH: Final = (RESPONDER, INITIATOR)
LISTEN: Final = "listen"
DIAL: Final = "dial"
INLINE: Final = "inline"
TCP: Final = (LISTEN, DIAL)
NETS: Final = (LISTEN, DIAL, INLINE)

GROUPS: Final[Mapping[str, str]] = {
    "SA": "sanity",
    "VN": "versions and suites",
    "HS": "handshake",
    "EN": "records",
    "FR": "frames",
    "EX": "extensions and GREASE",
    "KA": "keepalive and control budget",
    "CL": "closing",
    "UR": "URIs",
    "OB": "objects, manifests and units",
    "TP": "topics",
    "TR": "transfer",
    "FC": "credit and back-pressure",
    "PX": "peer exchange",
    "FS": "writing what was received",
    "ID": "identities",
    "TM": "timers",
    "PV": "privacy",
    "RB": "robustness",
    "PF": "performance, for information",
    "ST": "the table of states, cell by cell",
}
"""The groups in the order in which they run."""


@dataclass(frozen=True)
class Case:
    """One test with an id that never means another."""

    id: str
    citations: tuple[str, ...]
    """Requirement ids, with `@revision` unless that is 1."""
    title: str
    """What is sent, and what is expected."""
    run: Callable[[Trial], None]
    roles: tuple[str, ...] = BOTH
    """Of the subject."""
    nets: tuple[str, ...] = NETS
    features: frozenset[str] = frozenset()
    """What the subject has to declare."""
    depends: tuple[str, ...] = ()
    """Cases that have to pass first, in the same role and net."""

    @property
    def group(self) -> str:
        """The two letters of the id."""
        return self.id[:2]

    @property
    def requirements(self) -> list[Requirement]:
        """The sentences that it tests."""
        return [requirements()[citation.partition("@")[0]] for citation in self.citations]

    @property
    def threats(self) -> list[str]:
        """The attacks of the specification's table that it makes, which its title names: "(T3)" or "(T18, T19)"."""
        return [found for told in re.findall(r"\((T\d+(?:, T\d+)*)\)", self.title) for found in told.split(", ")]

    @property
    def is_must(self) -> bool:
        """Whether a failure is one, or a warning."""
        return any(requirement.is_must for requirement in self.requirements)

    @property
    def stale(self) -> list[str]:
        """Citations of sentences that have changed since the case was written."""
        return [
            citation
            for citation, requirement in zip(self.citations, self.requirements, strict=True)
            if int(citation.partition("@")[2] or 1) != requirement.revision
        ]


CASES: Final[dict[str, Case]] = {}
"""All cases, by id."""


def add(
    id: str,
    citations: str,
    title: str,
    run: Callable[[Trial], None],
    *,
    roles: tuple[str, ...] | str = BOTH,
    nets: tuple[str, ...] | str = NETS,
    features: str = "",
    depends: str = "",
) -> None:
    """Enter a case. Raises `ValueError` for one that cannot be."""
    if not re.fullmatch(r"[A-Z]{2}-\d{4}", id) or id[:2] not in GROUPS or id in CASES:
        raise ValueError(f"{id}: an id is two letters of a group and four digits, and used once")
    cited = tuple(citations.split())
    unknown = [citation for citation in cited if citation.partition("@")[0] not in requirements()]
    if unknown or not cited:
        raise ValueError(f"{id}: {unknown or 'nothing'} is no requirement")
    after = tuple(depends.split()) or (("SA-0001",) if id[:2] != "SA" else ())
    CASES[id] = Case(
        id,
        cited,
        " ".join(title.split()),
        run,
        (roles,) if isinstance(roles, str) else roles,
        (nets,) if isinstance(nets, str) else nets,
        frozenset(features.split()),
        after,
    )


def case(
    id: str,
    citations: str,
    *,
    roles: tuple[str, ...] | str = BOTH,
    nets: tuple[str, ...] | str = NETS,
    features: str = "",
    depends: str = "",
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Enter a function as a case; its docstring says what is sent and what is expected."""

    def enter(run: Callable[[Trial], None]) -> Callable[[Trial], None]:
        add(id, citations, inspect.getdoc(run) or "", run, roles=roles, nets=nets, features=features, depends=depends)
        return run

    return enter
