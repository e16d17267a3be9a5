"""VN, HS, ID: second attempts, many half-open links, and several links to one peer. All of it is inline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from p2pwire_conformance.carrier import Inline
from p2pwire_conformance.cases.swarm import SOUGHT, expect_dials, swarm
from p2pwire_conformance.cases.vn import UNKNOWN, refusal
from p2pwire_conformance.keys import Identity
from p2pwire_conformance.link import Link, close
from p2pwire_conformance.message import Tree
from p2pwire_conformance.protocol import constant, is_grease16
from p2pwire_conformance.trial import UNIX_TIME, Trial
from p2pwire_conformance.verdict import Kind, NotApplicable

HERE: Final = "11.80.0.1:7001"
HALF_OPEN: Final[int] = constant("HALF_OPEN_PER_GROUP")
MOST: Final[int] = constant("MAX_INBOUND")


def _dialled(t: Trial, **config: Any) -> tuple[Link, dict[str, Any]]:
    """A subject that dials `HERE` for its user: (its first link, which may be left alone; the dial)."""
    t.start(dials=True, unix_time=UNIX_TIME, **config)
    link = t.connect()
    t.do("fetch", oid=SOUGHT.oid.hex(), peers=[HERE])
    return link, expect_dials(t, link, HERE)[0]


# --- a second attempt ---


def _refused(t: Trial, suites: Sequence[int] = (UNKNOWN, 2)) -> tuple[Link, Tree, Link, dict[str, Any]]:
    """The subject's first attempt, refused with USE_SUITE: (its link, its offer, the first link, the next dial)."""
    first, dial = _dialled(t, suites=[1, 2])
    link = t.answer_dial(dial, "first")
    offer = link.read_offer()
    link.send_bytes(refusal(3, versions=[1, 7], suites=list(suites)), "refusal")
    link.expect_silence()
    dials = t.dials()
    if not dials:
        raise NotApplicable("a second attempt")
    if [one["addr"] for one in dials] != [HERE]:
        link.fail("second-attempt", Kind.WRONG, f"one dial to {HERE}", str(dials))
    return link, offer, first, dials[0]


@swarm("VN-0150", "VN-054 VN-055 VN-058 HS-012 PV-008", "chacha dials actions")
def second_attempt(t: Trial) -> None:
    """Refuses with USE_SUITE and suite 2 (T1, T6, T23). If the subject dials again, its second offer is the first one
    with another key_suite and a fresh ephemeral key, and has no byte of the refusal; and the handshake works."""
    one, offer, _, dial = _refused(t)
    other = t.answer_dial(dial, "second")
    again = other.read_offer()
    if again["key_suite"] != 2:
        other.fail("key-suite", Kind.WRONG, "key_suite 2", f"{again['key_suite']} came")
    for name in ("versions", "suites", "parameters"):
        if again[name] != offer[name]:
            other.fail("lists", Kind.WRONG, f"the same {name} as before, {offer[name]}", f"{again[name]} came")
    if one.noise.remote_ephemeral == other.noise.remote_ephemeral:
        other.fail("ephemeral-key", Kind.WRONG, "a fresh ephemeral key", "the same one came")
    other.send_answer()
    other.read_proof()
    other.hello()


@swarm("VN-0151", "VN-056", "chacha dials actions")
def no_third_attempt(t: Trial) -> None:
    """Refuses the second attempt too, with USE_SUITE and suite 1 (T6). The subject does not dial again at once."""
    _, _, first, dial = _refused(t)
    other = t.answer_dial(dial, "second")
    other.read_offer()
    other.send_bytes(refusal(3, suites=[1]), "refusal")
    other.expect_silence()
    expect_dials(t, first, check="third-attempt")


@swarm("VN-0152", "VN-058", "chacha dials actions")
def same_lists_after_failures(t: Trial) -> None:
    """Lets handshakes fail (T6): refuses with NO_VERSION, refuses with NO_SUITE, and ends the stream. The subject's
    later offers list what its first one did, GREASE left out."""
    first, dial = _dialled(t, suites=[1, 2])
    offers: list[list[list[int]]] = []
    for answer in (refusal(1, versions=[2]), refusal(2, suites=[UNKNOWN]), b"", b""):
        link = t.answer_dial(dial, f"attempt {len(offers)}")
        offer = link.read_offer()
        offers.append([[v for v in offer[name] if not is_grease16(v)] for name in ("versions", "suites")])
        link.send_bytes(answer, "refusal")
        link.finish()
        link.expect_silence()
        found: list[dict[str, Any]] = []
        for _ in range(30):
            t.pass_time(1.0)
            found = found or t.dials()
        dial = found[0] if found else first.fail("again", Kind.SILENT_DROP, "one more dial", "none came")
    if any(offer != offers[0] for offer in offers):
        first.fail("lists", Kind.WRONG, f"the same lists each time, {offers[0]}", f"{offers} came")


# --- many half-open links ---


def _admitted(t: Trial, come_from: str) -> bool:
    """Whether a carrier from there is kept, at least at first."""
    answer = t.running.do("open", **{"from": come_from})
    if "link" not in answer:
        return False
    carrier = t.running.further(answer)
    t.flush()
    return not (isinstance(carrier, Inline) and carrier.closed)


def _fill(t: Trial, link: Link, address: str, *, but: int = 0) -> None:
    """As many half-open links from one network as there may be; `address` has a place for their number."""
    for number in range(HALF_OPEN - but):
        if not _admitted(t, address.format(number + 1)):
            link.fail("half-open", Kind.REJECTED, f"{HALF_OPEN} half-open links from one network", f"{number} are kept")


def _half_open(t: Trial, inside: str, outside: str) -> None:
    link = t.connect()
    _fill(t, link, inside)
    if _admitted(t, inside.format(200)):
        link.fail("half-open", Kind.NOT_REJECTED, f"no half-open link beyond {HALF_OPEN}", "one more is kept")
    if not _admitted(t, outside):
        link.fail("other-network", Kind.REJECTED, "a link from another network", "it is not kept")


@swarm("HS-0120", "HS-040 HS-041")
def half_open_links_ipv4(t: Trial) -> None:
    """Opens 10 carriers from one IPv4 /24 and sends nothing (T9). The subject closes one more from there at once, and
    keeps one from another /24."""
    _half_open(t, "11.1.2.{}:7000", "11.1.3.1:7000")


@swarm("HS-0121", "HS-040 HS-041")
def half_open_links_ipv6(t: Trial) -> None:
    """Opens 10 carriers from one IPv6 /48 and sends nothing (T9). The subject closes one more from there at once, and
    keeps one from another /48."""
    _half_open(t, "[2a01:1:2:{}::1]:7000", "[2a01:1:3::1]:7000")


@swarm("HS-0122", "HS-040")
def half_open_links_of_this_machine(t: Trial) -> None:
    """Opens 15 carriers from loopback addresses and sends nothing. The subject keeps all: the limit is not for them."""
    link = t.connect()
    for number in range(15):
        if not _admitted(t, f"127.0.0.1:{7100 + number}"):
            link.fail("loopback", Kind.REJECTED, "any number from this machine", f"{number} are kept")


@swarm("HS-0123", "HS-040 HS-041")
def established_links_are_not_half_open(t: Trial) -> None:
    """Opens 10 carriers from one /24 and shakes hands on one of them. The subject keeps one more from there."""
    link = t.connect()
    met = t.stranger("met", "11.1.2.100:7000")
    _fill(t, link, "11.1.2.{}:7000", but=1)
    met.shake()
    met.hello()
    if not _admitted(t, "11.1.2.200:7000"):
        link.fail("half-open", Kind.REJECTED, "room for a carrier where a handshake is over", "it is not kept")


def _live(links: Sequence[Inline]) -> int:
    return sum(not link.closed for link in links)


def _crowd(t: Trial, count: int) -> list[Inline]:
    """Carriers from one group, each of another /24."""
    found = [
        t.running.further(answer)
        for number in range(count)
        if "link" in (answer := t.running.do("open", **{"from": f"11.1.{number}.1:7000"}))
    ]
    t.flush()
    return [carrier for carrier in found if isinstance(carrier, Inline)]


@swarm("HS-0124", "HS-042")
def maximum_of_links(t: Trial) -> None:
    """Opens more carriers than the subject may keep, 200 unless it says another number, from one /16, and sends nothing
    (T9, T29). The subject never has more."""
    link = t.connect()
    most = int(t.choice("inbound", str(MOST)))
    crowd = _crowd(t, most + 20)
    if (live := _live(crowd) + 1) > most:
        link.fail("maximum", Kind.NOT_REJECTED, f"at most {most} inbound links", f"{live} are open")


@swarm("HS-0125", "HS-043", "identity")
def room_for_another_group(t: Trial) -> None:
    """Fills the subject with carriers from one /16, and comes from another one (T29). The subject makes room for it: a
    carrier of the crowd goes, and a link that was alone in its group stays."""
    lonely = t.connect()
    lonely.shake()
    lonely.hello()
    crowd = _crowd(t, int(t.choice("inbound", str(MOST))) - 1)
    before = _live(crowd)
    if not _admitted(t, "12.1.1.1:7000"):
        lonely.fail("room", Kind.REJECTED, "room for a carrier of another group", "it is not kept")
    if _live(crowd) >= before:
        lonely.fail("evicted", Kind.WRONG, "a carrier of the crowd to go", "all stay")
    lonely.expect_open(but="Join")


@swarm("HS-0126", "HS-044", "fetch dials actions")
def outbound_links_are_safe(t: Trial) -> None:
    """Answers a dial of the subject, and then fills it with carriers of others (T25, T29). The link that it dialled
    goes on."""
    _, dial = _dialled(t)
    link = t.answer_dial(dial, "dialled")
    link.shake()
    link.hello()
    _crowd(t, int(t.choice("inbound", str(MOST))) + 20)
    for number in range(20):
        _admitted(t, f"12.{number}.1.1:7000")
    link.expect_open(but="Join")


# --- several links to one peer ---


@swarm("ID-0010", "ID-022 ID-016", "fetch dials actions")
def known_already(t: Trial) -> None:
    """Answers a dial of the subject with the identity of an open link. The subject closes silently, without message 3,
    and the open link goes on."""
    t.start(dials=True, unix_time=UNIX_TIME)
    first = t.connect("peer")
    first.shake()
    first.hello()
    t.do("fetch", oid=SOUGHT.oid.hex(), peers=[HERE])
    twin = t.answer_dial(expect_dials(t, first, HERE)[0], "twin", first.identity)
    twin.read_offer()
    twin.send_answer()
    twin.expect_silence()
    first.expect_open(but="Join")


def _crossing(higher: bool) -> Any:
    def run(t: Trial) -> None:
        _, dial = _dialled(t)
        own = t.subject_identity.public
        peer = next(one for n in range(99) if ((one := Identity(f"{t.name} {n}")).public > own) is higher)
        theirs = t.answer_dial(dial, "theirs", peer)
        theirs.read_offer()
        theirs.send_answer()
        theirs.read_proof()
        ours = t.stranger("ours", "11.80.0.1:9999", peer)
        ours.shake()
        theirs.hello()
        ours.hello()
        stays, goes = (theirs, ours) if higher else (ours, theirs)
        goes.expect_close("DUPLICATE", blame=0xFF)
        stays.expect_open(but="Join")

    return run


_title = "Answers a dial of the subject and dials it at the same time, with {} identity than the subject's. {} stays."
for _id, _higher, _what, _which in (
    ("ID-0011", True, "a higher", "The link that the subject dialled"),
    ("ID-0012", False, "a lower", "The link that the suite dialled"),
):
    _run = _crossing(_higher)
    _run.__doc__ = _title.format(_what, _which) + " The other is closed with DUPLICATE."
    swarm(_id, "ID-021", "identity fetch dials actions")(_run)


@swarm("ID-0013", "ID-025", "fetch dials actions")
def closed_as_a_duplicate(t: Trial) -> None:
    """Answers a dial of the subject, and closes the link with DUPLICATE. The subject does not dial again because of it,
    for a quarter of an hour."""
    first, dial = _dialled(t)
    link = t.answer_dial(dial, "peer")
    link.shake()
    link.hello()
    link.expect_open(but="Join")
    link.send(close(10))
    link.expect_dropped("close-not-answered")
    link.finish()
    t.pass_time(900.0)
    expect_dials(t, first, check="again")


# --- dialling again ---


@swarm("TM-0040", "TM-020 TM-021", "fetch dials actions")
def waits_a_random_time(t: Trial) -> None:
    """Lets the first dial of eight subjects fail. Each waits at least 1 s and at most 1.25 s before the next (T22), and
    not all wait equally long."""
    waits = []
    for number in range(8):
        first, dial = _dialled(t, seed=number.to_bytes(32, "big").hex())
        t.fail_dial(dial)
        waited, again = 0.0, t.dials()
        while not again and waited < 2.0:
            t.tick(first, 0.05)
            waited += 0.05
            again = t.running.events("dial")
        waits.append(round(waited, 2))
    if not all(0.95 <= wait <= 1.3 for wait in waits) or len(set(waits)) < 2:
        first.fail("waits", Kind.WRONG, "waits of 1 to 1.25 s that differ", str(waits))
