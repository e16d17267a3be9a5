"""SA: can anything be tested at all?"""

from __future__ import annotations

from p2pwire_conformance.case import case
from p2pwire_conformance.content import blob
from p2pwire_conformance.link import close, ping
from p2pwire_conformance.message import Tree
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind


@case("SA-0001", "HS-010 HS-011 HS-014 HS-024 HS-025 VN-025 VN-026 FR-002 KA-001")
def first_contact(t: Trial) -> None:
    """Shakes hands, exchanges HELLO and sends one PING. The subject proves its identity over this handshake, sends
    HELLO first, and answers with the same 8 bytes."""
    link = t.open()
    link.send(ping(b"\x00\xffsanity"))
    link.expect("Pong", data=b"\x00\xffsanity")


@case("SA-0002", "CL-030 CL-031", depends="SA-0001")
def orderly_close(t: Trial) -> None:
    """Sends CLOSE NONE. The subject answers nothing and closes the carrier."""
    link = t.open()
    link.send(close())
    link.expect_dropped("close-not-answered")


@case("SA-0003", "TP-030 TR-001 FR-013", features="share", depends="SA-0001")
def opens_a_topic(t: Trial) -> None:
    """Joins the topic of a blob that the subject shares. It joins too, with the right cap, and tells OBJECT."""
    shared = blob(20000)
    link = t.open(share=[shared.recipe])
    _, handle = link.open_topic(shared, tell=False)
    found = next((one for one in link.noticed if one.name == "Object"), None) or link.expect("Object", "object")
    expected = shared.object_frame(handle)
    for field in ("handle", "kind", "length", "root"):
        if found[field] != expected[field]:
            link.fail("object", Kind.WRONG, f"{field} {expected[field]!r}", f"{found[field]!r} came")


@case("SA-0004", "TR-040 TR-050 TR-051 TR-053", features="share", depends="SA-0003")
def serves_a_block(t: Trial) -> None:
    """Requests the only block of a blob that the subject shares. It comes as one DATA, without hashes."""
    shared = blob(1000)
    link = t.open(share=[shared.recipe])
    handle, _ = link.open_topic(shared)
    link.send(Tree("Request", id=7, handle=handle, file=0, block=0, level=0))
    link.expect("Data", "data", id=7, block=0, proof=[], data=shared.main.data)
