"""ID: whom a subject meets: itself, one peer twice, and what it looks at first."""

from __future__ import annotations

from p2pwire_conformance.bugs import Bug
from p2pwire_conformance.case import LISTEN, RESPONDER, case
from p2pwire_conformance.link import Plan, hello
from p2pwire_conformance.message import frame
from p2pwire_conformance.trial import Trial


@case("ID-0006", "HS-030 ID-016 HS-029", features="identity")
def claims_to_be_the_subject(t: Trial) -> None:
    """Claims the subject's own identity with the signature of another key. The subject closes silently, without SELF:
    it verifies before it looks at anything else."""
    t.start()
    link = t.connect()
    plan = Plan(identity=t.subject_identity.public, bugs=frozenset({Bug.OTHER_KEY_SIGNED}))
    if t.responds:
        link.send_offer()
        link.read_answer()
        link.send_bytes(link.proof(plan) + link.seal(frame(hello())), "message 3 and HELLO")
    else:
        link.read_offer()
        link.send_answer(plan)
    link.expect_silence()


@case("ID-0007", "ID-020", roles=RESPONDER, nets=LISTEN)
def back_before_hello(t: Trial) -> None:
    """Comes back with the same identity, and sends no HELLO yet. The subject closes the old link with DUPLICATE as soon
    as it has accepted message 3."""
    old = t.open()
    old.expect_open()
    new = t.connect("again", identity=old.identity)
    new.shake()
    old.expect_close("DUPLICATE", blame=0xFF)
    new.hello()
    new.expect_open()


@case("ID-0008", "ID-024", roles=RESPONDER, nets=LISTEN)
def two_at_a_time(t: Trial) -> None:
    """Opens two links with one identity, and says HELLO on both when both handshakes are over, first on the newer. The
    subject closes the one whose message 1 came first, with DUPLICATE."""
    old = t.connect("one")
    old.shake()
    new = t.connect("two", identity=old.identity)
    new.shake()
    new.hello()
    new.expect_open()
    old.hello()
    old.expect_close("DUPLICATE", blame=0xFF)
    new.expect_open()
