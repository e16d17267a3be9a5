"""PV: what must not show."""

from __future__ import annotations

from p2pwire_conformance.case import INLINE, RESPONDER, case
from p2pwire_conformance.content import blob
from p2pwire_conformance.keys import leaks
from p2pwire_conformance.message import Tree
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind


@case("PV-0010", "PV-009")
def anonymous_agent(t: Trial) -> None:
    """Reads the agent in the subject's HELLO. The names of its machine and user are not in it."""
    link = t.connect()
    link.shake()
    agent = b"".join(one["value"] for one in link.hello()["parameters"] if one["tag"] == 1).decode()
    if found := leaks(agent):
        link.fail("agent", Kind.NOT_SILENT, "an agent without names", f"{found!r} is in {agent!r}")


@case("PV-0011", "PV-010 PV-003", roles=RESPONDER, features="share")
def asks_around(t: Trial) -> None:
    """Asks in every way about a topic that the subject shares and one that nobody knows, on handles that were refused
    (T27): REQUEST, GET_PEERS, INTEREST and HAVE. The subject answers the same for both."""
    shared = blob(1000)
    link = t.open(share=[shared.recipe])
    answers = []
    for handle, topic in ((1, shared.topic), (2, b"nobody knows this topic at all..")):
        link.send(Tree("Join", handle=handle, topic=topic, cap=bytes(32)))
        link.expect("Refuse", handle=handle)
        link.noticed.clear()
        link.send(
            Tree("GetPeers", handle=handle, max=8),
            Tree("Interest", handle=handle, on=1),
            Tree("Have", handle=handle, spans=[Tree("Span")]),
            Tree("Request", id=handle, handle=handle),
        )
        came = link.fence()
        answers.append(
            [
                (one.name, one["code"] if one.name == "Reject" else None)
                for one in (*came, *link.noticed)
                if one.name not in ("Pad", "Ping") and one.tree is not None
            ]
        )
    if answers[0] != answers[1]:
        link.fail("answers", Kind.NOT_SILENT, f"the same as for an unknown topic, {answers[1]}", f"{answers[0]} came")


@case("PV-0012", "PV-006", roles=RESPONDER, nets=INLINE)
def identity_of_a_process(t: Trial) -> None:
    """Gives the subject no identity, shakes hands, and does the same after its program was started anew. The identities
    differ."""
    found = []
    for number in range(2):
        if number:
            t.renew()
        t.start(seed=None, identity=None)
        link = t.connect()
        link.shake()
        found.append(link.peer)
    if found[0] == found[1]:
        link.fail("identity", Kind.WRONG, "another identity in another process", "the same one came")
