"""RB: abuse on one connection, and an honest peer on the next, whom the same subject has to serve."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from p2pwire_conformance.case import LISTEN, RESPONDER, add
from p2pwire_conformance.link import Link, hello, parameter, ping, unknown
from p2pwire_conformance.message import Tree, raw_frame
from p2pwire_conformance.trial import Trial

Abuse = Callable[[Trial], None]


def _canary(abuse: Abuse) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        abuse(t)
        link = t.connect("honest")
        link.shake()
        link.hello()
        link.send(ping(b"canary.."))
        link.expect("Pong", "canary", data=b"canary..")
        link.send(Tree("Join", handle=1, topic=b"nobody knows this topic at all.."))
        link.expect("Refuse", "canary", handle=1)

    return run


def _raw(data: bytes, count: int = 1) -> Abuse:
    """Bytes in place of a preamble, on so many connections, which stay open."""

    def run(t: Trial) -> None:
        for number in range(count):
            t.connect(f"raw {number}").send_bytes(data)

    return run


def _linked(act: Callable[[Link], None]) -> Abuse:
    """Something on a link after both HELLOs; the link stays open."""
    return lambda t: act(t.open())


def _noise(seed: int, size: int) -> bytes:
    return hashlib.shake_256(f"noise {seed}".encode()).digest(size)


def _frames(seed: int) -> Callable[[Link], None]:
    """Frames of a known type and any bytes, in one record each."""

    def act(link: Link) -> None:
        for number in range(20):
            noise = _noise(seed * 100 + number, 64)
            link.send(raw_frame(noise[0] & 0x3F, noise[2 : 2 + noise[1] % 62]))

    return act


def _many_tiny_records(link: Link) -> None:
    link.send_bytes(b"".join(link.seal(raw_frame(0x01, b"")) for _ in range(500)), "500 records with an empty PAD")


def _dribble(link: Link) -> None:
    link.send_slowly(link.seal(b"".join(raw_frame(0x04, b"8 bytes.") for _ in range(20))))


def _half_a_record(link: Link) -> None:
    link.send_bytes(link.seal(bytes(60000))[:30000], "half a record")


def _reset(link: Link) -> None:
    link.carrier.reset()


def _half_handshakes(t: Trial) -> None:
    for number in range(40):
        link = t.connect(f"half {number}")
        link.send_bytes(link.flight_1()[: 20 + number])


def _handshakes_without_an_end(t: Trial) -> None:
    for number in range(20):
        t.connect(f"unproved {number}").send_offer()


def _handshakes_reset(t: Trial) -> None:
    for number in range(20):
        link = t.connect(f"reset {number}")
        link.send_offer()
        link.carrier.reset()


def _come_and_go(t: Trial) -> None:
    for number in range(40):
        t.connect(f"gone {number}").carrier.close()


def _wide_hello(t: Trial) -> None:
    link = t.handshaken()
    link.send(hello(parameters=[parameter(tag, bytes(200)) for tag in range(5, 256)]))


def _slow_handshake(t: Trial) -> None:
    link = t.connect()
    link.send_slowly(link.flight_1())


_ABUSES: Final[dict[str, tuple[str, str, Abuse]]] = {
    "RB-0001": ("VN-003", "sends an HTTP request", _raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
    "RB-0002": ("VN-003", "sends the beginning of a TLS handshake", _raw(bytes.fromhex("16030102000100") + bytes(512))),
    "RB-0003": ("VN-003", "sends 100000 zero bytes", _raw(bytes(100000))),
    "RB-0004": ("VN-003", "sends 100000 bytes of noise", _raw(_noise(1, 100000))),
    "RB-0005": ("HS-007", "opens 40 connections and sends nothing", _raw(b"", 40)),
    "RB-0006": ("HS-007", "opens 40 connections and sends half of the magic", _raw(bytes.fromhex("89503250"), 40)),
    "RB-0007": ("HS-007", "begins 40 handshakes and goes silent", _half_handshakes),
    "RB-0008": ("HS-007", "leaves 20 handshakes without message 3", _handshakes_without_an_end),
    "RB-0009": ("HS-032", "resets 20 handshakes", _handshakes_reset),
    "RB-0010": ("HS-007", "opens 40 connections and closes them", _come_and_go),
    "RB-0011": ("GN-002", "sends a whole handshake byte by byte", _slow_handshake),
    "RB-0020": ("EN-015 KA-020", "sends 500 records with an empty frame each", _linked(_many_tiny_records)),
    "RB-0021": ("GN-002", "sends a record byte by byte", _linked(_dribble)),
    "RB-0022": ("EN-006", "sends half a record and goes silent", _linked(_half_a_record)),
    "RB-0023": ("CL-040", "resets an established link", _linked(_reset)),
    "RB-0024": ("CL-040", "ends its direction of an established link", _linked(lambda link: link.finish())),
    "RB-0025": ("FR-022", "sends HELLO with 251 unknown parameters", _wide_hello),
    "RB-0026": ("FR-007", "sends 900 frames of an unknown type", _linked(
        lambda link: link.send(*[unknown(0x0B)] * 900))),
    "RB-0027": ("KA-005", "sends 900 PINGs and reads no PONG", _linked(lambda link: link.send(*[ping()] * 900))),
    "RB-0028": ("KA-004", "sends 900 PONGs that answer nothing", _linked(
        lambda link: link.send(*[Tree("Pong", data=b"nothing!")] * 900))),
    "RB-0029": ("FC-007", "sends 900 CREDITs", _linked(lambda link: link.send(*[Tree("Credit", blocks=64)] * 900))),
    "RB-0030": ("TP-027", "sends 900 JOINs of unknown topics", _linked(
        lambda link: link.send(*(Tree("Join", handle=n, topic=n.to_bytes(32, "big")) for n in range(900))))),
    "RB-0031": ("FR-040", "sends the largest PAD there can be", _linked(
        lambda link: link.send(raw_frame(1, bytes(65516))))),
    "RB-0032": ("EN-005", "sends 100000 bytes that are no records", _linked(
        lambda link: link.send_bytes(_noise(2, 100000)))),
    "RB-0033": ("EN-008", "sends a frame that is longer than its record", _linked(
        lambda link: link.send(raw_frame(1, b"x", length=65000)))),
    "RB-0034": ("TR-054", "sends DATA that nobody asked for", _linked(
        lambda link: link.send(Tree("Data", id=1, data=bytes(16384))))),
}  # fmt: skip
for _seed in range(8):
    _ABUSES[f"RB-004{_seed}"] = ("GN-007", f"sends 20 frames of noise, number {_seed}", _linked(_frames(_seed)))
for _id, (_cited, _what, _abuse) in _ABUSES.items():
    _title = f"One peer {_what} (T11, T12). Another one comes, and is served."
    add(_id, _cited, _title, _canary(_abuse), roles=RESPONDER, nets=LISTEN)
