"""UR: URIs, as a subject's user gives them and as it writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pwire_conformance.case import BOTH, add, case
from p2pwire_conformance.cases.swarm import SOUGHT, expect_dials, swarm
from p2pwire_conformance.keys import SMALL_ORDER_Y, Identity, base32
from p2pwire_conformance.message import Tree
from p2pwire_conformance.trial import UNIX_TIME, Trial
from p2pwire_conformance.verdict import Kind

OID: Final = base32(SOUGHT.oid)
PEER: Final = base32(Identity("named in a URI").public)
LENGTH: Final = len(SOUGHT.main.data)
PLACE: Final = "11.80.0.1:7001"


def _tail(name: str) -> str:
    """The same base32 with the lowest of the last 4 bits set, which have to be 0."""
    return name[:-1] + {"a": "b", "q": "r"}[name[-1]]


def _accepted(uri: str) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        t.start(dials=True)
        link = t.open()
        answer = t.running.do("fetch", uri=uri)
        if "error" in answer:
            link.fail("accepted", Kind.REJECTED, "the URI to be accepted", str(answer["error"]))
        link.send(link.join_frame(SOUGHT))
        link.topic_joined(SOUGHT)

    return run


def _rejected(uri: str) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        t.start(dials=True)
        link = t.open()
        if "error" not in t.running.do("fetch", uri=uri):
            link.fail("rejected", Kind.NOT_REJECTED, "the URI to be refused", "it is accepted")

    return run


_LONG: Final = "x" * (4096 - len("p2pwire:") - len(OID) - len("?y="))
_GOOD: Final = {
    "UR-0001": ("UR-002", "with scheme and oid in upper case", f"P2PWIRE:{OID.upper()}"),
    "UR-0002": ("UR-002", "with scheme and oid in mixed case", f"p2pWire:{OID[:9].upper()}{OID[9:]}"),
    "UR-0003": ("UR-005", "with unknown keys, an empty pair and one without =", f"p2pwire:{OID}?a=b&&c&xt=1&XL=2&id2"),
    "UR-0004": ("UR-015", "with percent-encoding in every value", f"p2pwire:{OID}?dn=%C3%A9%20%2B&xl=%34%39%31%35%32"),
    "UR-0005": ("UR-004", "with brackets, and what else a query may have", f"p2pwire:{OID}?q=[a]:@!$'()*,;/?-._~+"),
    "UR-0006": ("UR-009", "with an xl of 2^46", f"p2pwire:{OID}?xl={1 << 46}"),
    "UR-0007": ("UR-009", "with an xl of 0", f"p2pwire:{OID}?xl=0"),
    "UR-0008": ("UR-012", "with a dn of 255 bytes", f"p2pwire:{OID}?dn={'a' * 255}"),
    "UR-0009": ("UR-014", "of 4096 characters", f"p2pwire:{OID}?y={_LONG}"),
    "UR-0010": ("UR-014 UR-007", "with 32 addresses", f"p2pwire:{OID}?" + "&".join(
        f"pe=11.80.0.{n}:1" for n in range(1, 33))),
    "UR-0011": ("UR-008", "with IPv4 and IPv6 addresses", f"p2pwire:{OID}?pe=11.80.0.1:65535&pe=[2a00::1]:1"),
    "UR-0012": ("UR-016", "with an id in upper case", f"p2pwire:{OID}?id={PEER.upper()}"),
    "UR-0013": ("UR-006", "with each key once", f"p2pwire:{OID}?xl={LENGTH}&dn=a&id={PEER}&pe=11.80.0.1:7001"),
}  # fmt: skip
_BAD: Final = {
    "UR-0100": ("UR-003", "an oid of 51 characters", f"p2pwire:{OID[:-1]}"),
    "UR-0101": ("UR-003", "an oid of 53 characters", f"p2pwire:{OID}a"),
    "UR-0102": ("UR-003", "a character in the oid that base32 has not", f"p2pwire:{OID[:9]}0{OID[10:]}"),
    "UR-0103": ("UR-003", "an oid that has one of its last 4 bits set", f"p2pwire:{_tail(OID)}"),
    "UR-0104": ("UR-003", "an oid with padding", f"p2pwire:{OID}===="),
    "UR-0110": ("UR-004", "a percent sign at its end", f"p2pwire:{OID}?dn=a%"),
    "UR-0111": ("UR-004", "a percent sign and one digit", f"p2pwire:{OID}?x=%4"),
    "UR-0112": ("UR-004", "a percent sign and no digits", f"p2pwire:{OID}?dn=%zz"),
    "UR-0113": ("UR-004", "a space", f"p2pwire:{OID}?dn=a b"),
    "UR-0114": ("UR-004", "a quotation mark", f'p2pwire:{OID}?x="'),
    "UR-0115": ("UR-004", "a letter beyond ASCII", f"p2pwire:{OID}?dn=é"),
    "UR-0116": ("UR-004", "a line feed", f"p2pwire:{OID}?x=a\n"),
    "UR-0120": ("UR-015", "a dn that is no UTF-8", f"p2pwire:{OID}?dn=%ff"),
    "UR-0121": ("UR-015", "a pe that is no UTF-8", f"p2pwire:{OID}?pe=%c3"),
    "UR-0130": ("UR-006", "xl twice", f"p2pwire:{OID}?xl=5&xl=5"),
    "UR-0131": ("UR-006", "dn twice", f"p2pwire:{OID}?dn=a&dn=a"),
    "UR-0132": ("UR-006", "id twice", f"p2pwire:{OID}?id={PEER}&id={PEER}"),
    "UR-0140": ("UR-008", "a pe with a name", f"p2pwire:{OID}?pe=example.org:7001"),
    "UR-0141": ("UR-008", "a pe with port 0", f"p2pwire:{OID}?pe=11.80.0.1:0"),
    "UR-0142": ("UR-008", "a pe with port 65536", f"p2pwire:{OID}?pe=11.80.0.1:65536"),
    "UR-0143": ("UR-008", "a pe with a leading zero in its port", f"p2pwire:{OID}?pe=11.80.0.1:07001"),
    "UR-0144": ("UR-008", "a pe without a port", f"p2pwire:{OID}?pe=11.80.0.1"),
    "UR-0145": ("UR-008", "a pe with a zone", f"p2pwire:{OID}?pe=[fe80::1%251]:7001"),
    "UR-0146": ("UR-008", "a pe of IPv6 without brackets", f"p2pwire:{OID}?pe=2a00::1:7001"),
    "UR-0150": ("UR-009", "an xl with a sign", f"p2pwire:{OID}?xl=+5"),
    "UR-0151": ("UR-009", "an xl with a leading zero", f"p2pwire:{OID}?xl=05"),
    "UR-0152": ("UR-009", "an xl above 2^46", f"p2pwire:{OID}?xl={(1 << 46) + 1}"),
    "UR-0153": ("UR-009", "an empty xl", f"p2pwire:{OID}?xl="),
    "UR-0160": ("UR-012", "an empty dn", f"p2pwire:{OID}?dn="),
    "UR-0161": ("UR-012", "a dn of 256 bytes", f"p2pwire:{OID}?dn={'a' * 256}"),
    "UR-0162": ("UR-012", "a dn with a slash", f"p2pwire:{OID}?dn=a%2Fb"),
    "UR-0163": ("UR-012", "a dn with a backslash", f"p2pwire:{OID}?dn=a%5Cb"),
    "UR-0164": ("UR-012", "a dn with a control character", f"p2pwire:{OID}?dn=a%1Bb"),
    "UR-0165": ("UR-012", "a dn of two dots", f"p2pwire:{OID}?dn=.."),
    "UR-0170": ("UR-014", "4097 characters", f"p2pwire:{OID}?y={_LONG}x"),
    "UR-0171": ("UR-014", "33 addresses", f"p2pwire:{OID}?" + "&".join(f"pe=11.80.0.{n}:1" for n in range(1, 34))),
    "UR-0172": ("UR-014", "a fragment", f"p2pwire:{OID}#part"),
    "UR-0173": ("UR-014", "a fragment after a query", f"p2pwire:{OID}?dn=a#part"),
    "UR-0180": ("UR-016 ID-004", "an id of small order", f"p2pwire:{OID}?id={base32(SMALL_ORDER_Y[1])}"),
    "UR-0181": ("UR-016", "an id of 51 characters", f"p2pwire:{OID}?id={PEER[:-1]}"),
    "UR-0182": ("UR-016", "an id that has one of its last 4 bits set", f"p2pwire:{OID}?id={_tail(PEER)}"),
}  # fmt: skip
for _id, (_cited, _what, _uri) in _GOOD.items():
    _title = f"Has the subject fetch by a URI {_what}. It accepts it and joins the topic."
    add(_id, _cited, _title, _accepted(_uri), roles=BOTH, nets="inline", features="uris dials fetch")
for _id, (_cited, _what, _uri) in _BAD.items():
    _title = f"Has the subject fetch by a URI that has {_what}. It rejects it."
    add(_id, _cited, _title, _rejected(_uri), roles="responder", nets="inline", features="uris dials fetch")


@case("UR-0200", "UR-001", roles="responder", nets="inline", features="uris")
def writes(t: Trial) -> None:
    """Has the subject write a URI. The oid is in lower case without padding, and the rest is as it was given."""
    link = t.open()
    identity = Identity("named in a URI").public.hex()
    given = {"oid": SOUGHT.oid.hex(), "length": LENGTH, "name": "a name", "peers": [PLACE], "identity": identity}
    found = t.do("uri", **given)["uri"]
    if not found.startswith(f"p2pwire:{OID}?"):
        link.fail("oid", Kind.WRONG, f"p2pwire:{OID}?…", found)
    if set(found.partition("?")[2].split("&")) != {f"xl={LENGTH}", "dn=a%20name", f"pe={PLACE}", f"id={PEER}"}:
        link.fail("pairs", Kind.WRONG, "xl, dn, pe and id as they were given", found)


@swarm("UR-0201", "UR-010", "uris dials fetch")
def addresses_of_the_user(t: Trial) -> None:
    """Has the subject fetch by a URI with a private address and a blocked port. It dials there: its user said so."""
    t.start(dials=True, remote="11.1.0.1:7001", unix_time=UNIX_TIME)
    link = t.connect()
    t.do("fetch", uri=f"p2pwire:{OID}?pe=10.0.0.9:22&pe=[::1]:7009")
    expect_dials(t, link, "10.0.0.9:22", "[::1]:7009")


@swarm("UR-0202", "UR-011", "uris dials fetch")
def identity_of_the_uri(t: Trial) -> None:
    """Has the subject fetch by a URI with an address and an id, and answers the dial with another identity. The subject
    ends the handshake without message 3."""
    t.start(dials=True, unix_time=UNIX_TIME)
    link = t.connect()
    t.do("fetch", uri=f"p2pwire:{OID}?pe={PLACE}&id={PEER}")
    other = t.answer_dial(expect_dials(t, link, PLACE)[0], "other")
    other.read_offer()
    other.send_answer()
    other.expect_silence("another-identity")


@swarm("UR-0203", "UR-015 UR-011", "uris dials fetch")
def decoded_address(t: Trial) -> None:
    """Has the subject fetch by a URI whose pe and id are percent-encoded, and answers the dial with that identity. The
    subject goes on and joins the topic."""
    t.start(dials=True, unix_time=UNIX_TIME)
    link = t.connect()
    encoded = "".join(f"%{ord(one):02X}" for one in PEER)
    t.do("fetch", uri=f"p2pwire:{OID}?pe=11.80.0.1%3A7001&id={encoded}")
    met = t.answer_dial(expect_dials(t, link, PLACE)[0], "met", Identity("named in a URI"))
    met.shake()
    met.hello()
    met.topic_joined(SOUGHT)


def _length(told: int, due: bool) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        t.start()
        link = t.open()
        t.do("fetch", uri=f"p2pwire:{OID}?xl={told}")
        handle, theirs = link.open_topic(SOUGHT)
        link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=SOUGHT.units - 1)]))
        if due:
            link.expect("Request", "goes-on", handle=theirs)
        else:
            link.fence()
            if not t.running.events("failed"):
                link.fail("failed", Kind.WRONG, "the fetch to fail", "the subject does not say so")
            if any(one.name == "Request" for one in link.fence()):
                link.fail("request", Kind.WRONG, "no REQUEST for an object of another length", "one came")

    return run


_title = "Has the subject fetch by a URI with an xl, and tells it an OBJECT with {}. {}."
add("UR-0204", "UR-013", _title.format("another length", "The fetch fails"), _length(LENGTH + 1, due=False),
    roles="responder", nets="inline", features="uris fetch events")  # fmt: skip
add("UR-0205", "UR-013", _title.format("that length", "The subject requests it"), _length(LENGTH, due=True),
    roles="responder", nets="inline", features="uris fetch events")  # fmt: skip
