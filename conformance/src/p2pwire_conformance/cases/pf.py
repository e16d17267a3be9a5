"""PF: how fast the subject is on this machine. For information: nothing is too slow to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from p2pwire_conformance.case import INLINE, LISTEN, RESPONDER, add
from p2pwire_conformance.cases.tr import request
from p2pwire_conformance.content import BLOCK, blob
from p2pwire_conformance.link import ping
from p2pwire_conformance.message import Tree
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Failed, Informed, NotApplicable

MIB: Final = 1 << 20
WIDE: Final = blob(64 * BLOCK)


def _measured(run: Callable[[Trial], None]) -> Callable[[Trial], None]:
    """What cannot be measured is not red here: the cases that are about it are."""

    def measured(t: Trial) -> None:
        try:
            run(t)
        except Failed as failed:
            raise NotApplicable(f"cannot be measured: {failed.actual}") from None

    return measured


def _told(t: Trial, count: float, unit: str, began: float) -> None:
    """The result of a measurement."""
    seconds = max(1e-6, time.monotonic() - began)
    raise Informed(f"{count / seconds:.0f} {unit} ({count:g} in {seconds:.3f} s)")


def _pings(count: int, together: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open()
        link.fence()
        began = time.monotonic()
        for _ in range(0, count, together):
            link.send(*[ping()] * together)
            for _ in range(together):
                link.expect("Pong")
        _told(t, count, "PINGs/s", began)

    return run


def _handshakes(count: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        t.start()
        began = time.monotonic()
        for number in range(count):
            link = t.connect(f"link {number}")
            link.shake()
            link.hello()
            link.carrier.close()
        _told(t, count, "handshakes/s", began)

    return run


def _served(level: int) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        link = t.open(share=[WIDE.recipe])
        handle, _ = link.open_topic(WIDE)
        link.fence()
        began = time.monotonic()
        step = 1 << level
        for first in range(0, 64, step):
            link.send(request(first, handle, first, level))
        for block in range(64):
            link.expect("Data", block=block)
        _told(t, 64 * BLOCK / MIB, "MiB/s", began)

    return run


def _fetched(t: Trial) -> None:
    link = t.open(fetch=[WIDE.oid.hex()])
    handle, _ = link.open_topic(WIDE)
    link.send(Tree("Credit", blocks=1024))
    began = time.monotonic()
    link.send(Tree("Have", handle=handle, spans=[Tree("Span", first=0, last=63)]))
    left = 64
    while left:
        found = link.expect("Request")
        for block in range(found["block"], min(found["block"] + (1 << found["level"]), 64)):
            link.send(WIDE.main.data_frame(found["id"], found["block"], block))
            left -= 1
    link.fence()
    _told(t, 64 * BLOCK / MIB, "MiB/s", began)


def _joins(t: Trial) -> None:
    link = t.open()
    link.fence()
    began = time.monotonic()
    link.send(*(Tree("Join", handle=n, topic=n.to_bytes(32, "big")) for n in range(400)))
    for number in range(400):
        link.expect("Refuse", handle=number)
    _told(t, 400, "JOINs refused/s", began)


_MEASURED: Final = {
    "PF-0001": ("KA-001", "sends 500 PINGs one by one", _pings(500, 1), ""),
    "PF-0002": ("KA-001", "sends 500 PINGs, 50 in a record", _pings(500, 50), ""),
    "PF-0003": ("TR-040", "requests 1 MiB block by block", _served(0), "share"),
    "PF-0004": ("TR-040", "requests 1 MiB in pieces of 128 KiB", _served(3), "share"),
    "PF-0005": ("TR-040", "requests 1 MiB at once", _served(6), "share"),
    "PF-0006": ("TR-059", "serves 1 MiB", _fetched, "fetch"),
    "PF-0007": ("TP-027", "sends 400 JOINs of unknown topics", _joins, ""),
}
for _id, (_cited, _what, _run, _features) in _MEASURED.items():
    add(_id, _cited, f"Measures the time while it {_what}.", _measured(_run), roles=RESPONDER, nets=(LISTEN, INLINE),
        features=_features)  # fmt: skip
add(
    "PF-0010", "HS-010", "Measures the time of 20 handshakes.", _measured(_handshakes(20)), roles=RESPONDER, nets=LISTEN
)
