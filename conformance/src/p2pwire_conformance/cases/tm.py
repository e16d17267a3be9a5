"""TM: timers, on virtual time; ID: identities; PX: peer records on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from p2pwire_conformance.case import INITIATOR, INLINE, LISTEN, RESPONDER, add, case
from p2pwire_conformance.cases.fc import serve_all
from p2pwire_conformance.content import BLOCK, blob
from p2pwire_conformance.link import Link, ping
from p2pwire_conformance.message import Tree
from p2pwire_conformance.trial import UNIX_TIME, Trial
from p2pwire_conformance.verdict import Kind, NotApplicable

# --- the handshake's time ---


def _stalled(reach: Callable[[Link], None]) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.connect()
        reach(link)
        t.tick(link, 9.9)
        link.expect_nothing("before-10-s")
        t.tick(link, 0.2)
        link.expect_silence("after-10-s")

    return run


def _nothing(link: Link) -> None:
    if not link.initiator:
        link.read_offer()


def _within_preamble(link: Link) -> None:
    if link.initiator:
        link.send_bytes(link.flight_1()[:20])
    else:
        link.read_offer()
        link.send_bytes(link.answer()[:12])


def _after_preamble(link: Link) -> None:
    if link.initiator:
        flight = link.flight_1()
    else:
        link.read_offer()
        flight = link.answer()
    link.send_bytes(flight[: len(link.own_preamble) + 5])


def _before_message_3(link: Link) -> None:
    link.send_offer()
    link.read_answer()
    link.send_bytes(link.proof()[:-1])


_STALLS: Final[Mapping[str, tuple[str, Callable[[Link], None], bool]]] = {
    "TM-0001": ("nothing", _nothing, True),
    "TM-0002": ("half a preamble", _within_preamble, True),
    "TM-0003": ("a preamble and a few bytes of the message after it", _after_preamble, True),
    "TM-0004": ("all but the last byte of message 3", _before_message_3, False),
}
for _id, (_what, _reach, _both) in _STALLS.items():
    _title = f"Sends {_what}, and stalls (T8). The subject waits 10 s and closes without a byte."
    _roles = (RESPONDER, INITIATOR) if _both else (RESPONDER,)
    add(_id, "TM-004 HS-032", _title, _stalled(_reach), roles=_roles, nets=INLINE)


@case("TM-0005", "TM-004", nets=INLINE, roles=RESPONDER)
def dribbled_handshake(t: Trial) -> None:
    """Sends flight 1 a byte a second. The subject closes without a byte after 10 s: progress does not lengthen it."""
    link = t.connect()
    for byte in link.flight_1()[:10]:
        link.send_bytes(bytes([byte]))
        t.tick(link, 0.99)
    link.expect_nothing("before-10-s")
    t.tick(link, 0.2)
    link.expect_silence("after-10-s")


@case("TM-0006", "TM-005 HS-031", nets=INLINE)
def no_hello(t: Trial) -> None:
    """Shakes hands and sends no HELLO. The subject waits 10 s and closes with TIMEOUT."""
    link = t.handshaken()
    link.expect_hello()
    t.tick(link, 9.9)
    link.expect_nothing("before-10-s")
    t.tick(link, 0.2)
    link.expect_close("TIMEOUT", blame=0xFF)


# --- idle ---


def _idle_for(idle: int) -> Callable[[Trial], None]:
    """Nothing is sent any more: PING after a third, TIMEOUT at the end. More PINGs than are due are no fault."""

    def run(t: Trial) -> None:
        link = t.handshaken()
        link.hello(idle=idle)
        link.fence()
        first = min(60.0, link.idle / 3)
        t.tick(link, first + 0.1)
        found = link.drained()
        if not any(one.name == "Ping" for one in found):
            link.fail("ping", Kind.WRONG, f"PING after {first} s without a record", f"{found or 'nothing'} came")
        t.tick(link, link.idle - first - 0.2)
        found += link.drained()
        early = [one for one in found if not link.is_ambient(one)]
        if early:
            link.fail("idle", Kind.WRONG, "PINGs alone before the idle time is over", f"{early[0]} came")
        pings = sum(one.name == "Ping" for one in found)
        if pings > 4:
            link.fail("open-pings", Kind.WRONG, "at most 4 unanswered PINGs", f"{pings} came")
        t.tick(link, 0.2)
        _closed_with_timeout(link)

    return run


def _closed_with_timeout(link: Link) -> None:
    found = [one for one in link.drained() if not link.is_ambient(one)]
    if not found or found[0].name != "Close" or found[0]["code"] != 9:
        actual = f"{found[0] if found else 'nothing'} came"
        link.fail("idle", Kind.NOT_REJECTED, "CLOSE TIMEOUT at the end of the idle time", actual)


_title = (
    "Sends {} as its idle time and then nothing. The subject sends PING after a third of the time agreed on, and "
    "closes with TIMEOUT at its end{}."
)
add("TM-0010", "KA-010 KA-011", _title.format("30 s", ""), _idle_for(30), nets=INLINE)
add("TM-0011", "KA-010 KA-011", _title.format("150 s", ""), _idle_for(150), nets=INLINE)
add("TM-0012", "KA-010 KA-011", _title.format("600 s", ", which is its own"), _idle_for(600), nets=INLINE)


@case("TM-0013", "KA-003 KA-013 KA-010 KA-011", nets=INLINE, features="limits")
def four_pings(t: Trial) -> None:
    """Agrees on an idle time of 600 s and sends nothing. The subject sends PINGs each 60 s, four of them, and no more
    while they are unanswered; after 600 s it closes with TIMEOUT."""
    t.start(limits={"idle": 600})
    link = t.connect()
    link.shake()
    link.hello(idle=600)
    link.fence()
    pings = 0
    for _ in range(60):
        t.tick(link, 9.99)
        pings += sum(one.name == "Ping" for one in link.drained())
    if pings != 4:
        link.fail("open-pings", Kind.WRONG, "4 PINGs in 600 s", f"{pings} came")
    t.tick(link, 1.0)
    _closed_with_timeout(link)


@case("TM-0014", "KA-011 GN-008", nets=INLINE)
def kept_alive(t: Trial) -> None:
    """Sends one record each two thirds of the idle time, 15 times. The subject goes on."""
    link = t.handshaken()
    link.hello(idle=60)
    for _ in range(15):
        t.tick(link, link.idle * 2 / 3)
        link.fence()


@case("TM-0015", "KA-011 KA-010", nets=INLINE)
def bytes_are_no_record(t: Trial) -> None:
    """Sends a record byte by byte, so slowly that none is complete within the idle time of 30 s. The subject closes
    with TIMEOUT."""
    link = t.handshaken()
    link.hello(idle=30)
    link.fence()
    for byte in bytes(31):
        link.carrier.send(bytes([byte + 1]))
        t.tick(link, 1.0)
    _closed_with_timeout(link)


# --- requests ---


@case("TM-0020", "TM-010 TM-011 TM-015", nets=INLINE, features="fetch")
def request_timer(t: Trial) -> None:
    """Answers no REQUEST (T17), and keeps the link alive. After 30 s the subject cancels all of them, once, and goes
    on."""
    sought = blob(5 * BLOCK)
    link = t.open(fetch=[sought.oid.hex()])
    handle, _ = link.open_topic(sought)
    link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=4)]))
    first = link.expect("Request")
    asked = {first["id"], *(one["id"] for one in link.fence() if one.name == "Request")}
    t.tick(link, 15.0)
    early = link.fence()
    t.tick(link, 14.8)
    if any(one.name == "Cancel" for one in [*early, *link.fence()]):
        link.fail("before-30-s", Kind.WRONG, "no CANCEL before 30 s", "one came")
    t.tick(link, 0.4)
    cancelled = [one["id"] for one in link.fence() if one.name == "Cancel"]
    if sorted(cancelled) != sorted(asked):
        link.fail("cancel", Kind.WRONG, f"CANCEL of {sorted(asked)}", f"{sorted(cancelled)} came")
    t.tick(link, 15.0)
    link.fence()
    t.tick(link, 15.2)
    again = [one for one in link.fence() if one.name == "Cancel" and one["id"] in asked]
    if again:
        link.fail("cancel", Kind.WRONG, "no second CANCEL of a REQUEST", f"{again[0]} came")


@case("TM-0021", "TM-012 TR-065", nets=INLINE, features="fetch")
def late_data(t: Trial) -> None:
    """Answers a REQUEST after the subject has cancelled it. The subject takes the DATA."""
    sought = blob(3 * BLOCK)
    link = t.open(fetch=[sought.oid.hex()])
    handle, _ = link.open_topic(sought)
    link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=0)]))
    found = link.expect("Request")
    t.tick(link, 15.0)
    link.send(ping())
    t.tick(link, 15.1)
    link.expect("Pong")
    link.expect("Cancel", id=found["id"])
    block = found["block"]
    link.send(sought.main.data_frame(found["id"], block, block))
    link.expect_open(but="Join")


@case("TM-0022", "TM-016", nets=INLINE, features="share hold")
def serve_timer(t: Trial) -> None:
    """Requests a block while the subject's disk does not answer, and keeps the link alive. After 20 s the subject ends
    the REQUEST with REJECT 4 or 2."""
    shared = blob(100)
    link = t.open(share=[shared.recipe])
    handle, _ = link.open_topic(shared)
    t.do("hold", what="disk", on=True)
    link.send(Tree("Request", id=3, handle=handle))
    t.tick(link, 19.8)
    if early := [one for one in link.fence() if one.name == "Reject"]:
        link.fail("before-20-s", Kind.WRONG, "no REJECT before 20 s", f"{early[0]} came")
    t.tick(link, 0.4)
    found = link.expect("Reject", "serve-timer", id=3)
    if found["code"] not in (2, 4):
        link.fail("serve-timer", Kind.WRONG, "REJECT 4 or 2", f"{found} came")


@case("TM-0023", "TM-013 TM-014", nets=INLINE, features="fetch")
def snubbed(t: Trial) -> None:
    """Announces units, answers no REQUEST for 90 s (T17), and then rejects what was cancelled. After the third expiry
    the subject sends no more REQUESTs."""
    sought = blob(400 * BLOCK)
    link = t.open(fetch=[sought.oid.hex()])
    link.need(idle=60)
    handle, _ = link.open_topic(sought)
    link.send(Tree("Credit", blocks=1 << 20), Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=399)]))
    asked = [link.expect("Request")]
    for _ in range(3):
        asked += [one for one in link.fence() if one.name == "Request"]
        t.tick(link, 30.2)
    asked += [one for one in link.fence() if one.name == "Request"]
    link.send(*(Tree("Reject", id=one["id"], code=3) for one in asked))
    late = 0
    for _ in range(4):
        late += sum(one.name == "Request" for one in link.fence())
        t.tick(link, 30.2)
    if late:
        link.fail("snubbed", Kind.WRONG, "no REQUEST after three expiries", f"{late} came")


# --- time that does not count ---


@case("TM-0030", "KA-014", nets=INLINE, features="hold events")
def carrier_takes_nothing(t: Trial) -> None:
    """Has the carrier take nothing while a PONG waits, and keeps sending (T8). The subject tells its application
    TIMEOUT after the idle time of 60 s, and not before, and says CLOSE when the carrier takes it."""
    link = t.handshaken()
    link.hello(idle=60)
    link.need(idle=60)
    link.expect_open()
    t.do("hold", what="output", on=True)
    link.send(ping())
    for _ in range(5):
        t.tick(link, 11.9)
        link.send(Tree("Pad"))
    if t.told("closed"):
        link.fail("before-60-s", Kind.REJECTED, "the link to go on for 60 s", "it was closed before")
    t.tick(link, 1.0)
    if not t.told("closed"):
        link.fail("output-timer", Kind.NOT_REJECTED, "a close after 60 s", "the link goes on")
    t.do("hold", what="output", on=False)
    link.expect_close("TIMEOUT")


@case("TM-0031", "KA-012", nets=INLINE, features="fetch hold")
def not_reading_does_not_count(t: Trial) -> None:
    """Serves so many blocks to a subject whose disk does not answer that it reads no more, and lets more than the idle
    time of 60 s go by. When the disk answers, the subject goes on: it did not read, and so the silence was its own."""
    sought = blob(200 * BLOCK)
    t.start(fetch=[sought.oid.hex()])
    link = t.connect()
    link.shake()
    link.hello(idle=60)
    handle, _ = link.open_topic(sought)
    link.send(Tree("Credit", blocks=1 << 20), Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=199)]))
    t.do("hold", what="disk", on=True)
    serve_all(link, sought, 200)
    link.send(ping(b"unread?!"))
    if any(found.name == "Pong" for found in link.drained()):
        raise NotApplicable("it reads on while its disk does not answer")
    t.tick(link, 100.0)
    t.do("hold", what="disk", on=False)
    link.expect("Pong", "goes-on", but="Request", data=b"unread?!")
    link.fence()


@case("TM-0032", "TM-001", nets=INLINE, features="clock")
def time_of_day(t: Trial) -> None:
    """Has the subject's time of day put forward by a day, and back by two. No timer runs out: the link goes on, and
    nothing is sent."""
    t.start(unix_time=UNIX_TIME)
    link = t.connect()
    link.shake()
    link.hello()
    link.expect_open()
    for day in (1, -1):
        t.do("clock", unix_time=UNIX_TIME + day * 86400)
        t.tick(link, 1.0)
        link.expect_nothing("time-of-day")
    link.expect_open()


# --- identities ---


@case("ID-0001", "ID-013", roles=RESPONDER, features="identity")
def itself_dials(t: Trial) -> None:
    """Shows the subject's own identity in message 3 (T3). The subject closes with SELF."""
    t.start()
    link = t.connect(identity=t.subject_identity)
    link.shake()
    link.expect_close("SELF", blame=0xFF)


@case("ID-0002", "ID-012", roles=INITIATOR, features="identity")
def itself_answers(t: Trial) -> None:
    """Shows the subject's own identity in message 2. The subject sends message 3 and closes with SELF."""
    t.start()
    link = t.connect(identity=t.subject_identity)
    link.shake()
    link.expect_close("SELF", blame=0xFF)


@case("ID-0003", "ID-020 ID-024", roles=RESPONDER, nets=LISTEN)
def restarted_peer(t: Trial) -> None:
    """Comes back with the same identity while its first link is open. The subject closes the old link with DUPLICATE
    and keeps the new one."""
    old = t.open()
    old.expect_open()
    new = t.connect("again", identity=old.identity)
    new.shake()
    new.hello()
    old.expect_close("DUPLICATE", blame=0xFF)
    new.expect_open()


@case("ID-0004", "ID-020 GN-008", roles=RESPONDER, nets=LISTEN)
def two_peers(t: Trial) -> None:
    """Opens links of two identities. The subject keeps both."""
    one = t.open()
    other = t.connect("other")
    other.shake()
    other.hello()
    other.expect_open()
    one.expect_open()


@case("ID-0005", "ID-022", roles=RESPONDER, nets=LISTEN)
def failed_twin(t: Trial) -> None:
    """Begins a second handshake under the identity of an open link, and spoils its proof. The subject keeps the first
    link: a claim that was not proved changes nothing."""
    one = t.open()
    twin = t.connect("twin", identity=one.identity)
    twin.send_offer()
    twin.read_answer()
    message = twin.proof()
    twin.send_bytes(message[:-1] + bytes([message[-1] ^ 1]), "message 3 with a bit flipped")
    twin.expect_silence()
    one.expect_open()
