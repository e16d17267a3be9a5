"""Family handshake, beside whole handshakes: what is selected of two lists, refusals, and the second attempt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import attrs

from p2pwire.generate.vectors.book import SILENT, Book, Vector
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.handshakes import SECRET, peers
from p2pwire.generate.vectors.peers import Peer, Talk, preamble, respond, wanted
from p2pwire.wire.registry import RefusalReason, Suite

Lists = tuple[tuple[int, ...], tuple[int, ...], int]
"""Versions, suites and key_suite of an initiator."""


def negotiation(citations: Citations) -> Iterator[Book]:
    """Responders, then initiators."""
    book = Book("handshake/refusing", "Responders that refuse, or say nothing.", citations)
    _refusing(book)
    yield book
    book = Book("handshake/refused", "Initiators that are refused.", citations)
    _refused(book)
    yield book


def _offer(lists: Lists) -> bytes:
    versions, suites, key_suite = lists
    values = {"versions": list(versions), "suites": list(suites), "key_suite": key_suite, "parameters": []}
    return preamble(1, values)


def _refusing(book: Book) -> None:
    _, plain = peers(Suite.XX_AESGCM)
    private = attrs.evolve(plain, suites=(3,), secret=SECRET)
    only = attrs.evolve(plain, suites=(1,))
    two = attrs.evolve(plain, versions=(1, 2))
    numbers = count(1)

    def accept(name: str, peer: Peer, lists: Lists, reason: RefusalReason, cited: Sequence[str]) -> Vector:
        what, sent = respond(peer, _offer(lists) + b"\0\x20" + bytes(32))
        assert what == "refused"
        return book.accept(
            f"refusing/{name}",
            f"versions {lists[0]}, suites {lists[1]}, key_suite {lists[2]}: {reason.name}",
            (*cited, "VN-050"),
            {**peer.given, "receives": [_offer(lists)]},
            {"link": "refused", "reason": reason.name, "sends": [sent]},
        )

    for versions in ((2,), (0,), (0xFFFF,), (0x0A0A,), (0x0A0A, 2, 3), tuple(range(2, 18))):
        name = f"version-{next(numbers)}"
        accept(name, plain, (versions, (1,), 1), RefusalReason.NO_VERSION, ("VN-033", "VN-032"))
    for unknown, key in (((3,), 3), ((0x100,), 0x100), ((0x1A1A, 3), 3), ((3, 4, 5, 0xFAFA), 5)):
        accept(f"suite-{next(numbers)}", plain, ((1,), unknown, key), RefusalReason.NO_SUITE, ("VN-034", "VN-032"))
    accept("both", plain, ((2,), (3,), 3), RefusalReason.NO_VERSION, ("VN-033",))
    asked: tuple[tuple[Peer, tuple[int, ...], int], ...] = (
        (plain, (2, 1), 1),
        (plain, (1, 2), 2),
        (plain, (3, 1), 3),
        (plain, (3, 2, 1), 1),
        (plain, (0x0A0A, 2, 1), 1),
        (only, (2, 1), 2),
        (only, (0x100, 1), 0x100),
    )
    for peer, suites, key in asked:
        name = f"use-suite-{next(numbers)}"
        accept(name, peer, ((1,), suites, key), RefusalReason.USE_SUITE, ("VN-035", "VN-031"))
    use = accept("use-suite", plain, ((1,), (2, 1), 1), RefusalReason.USE_SUITE, ("VN-035", "VN-031"))
    busy = attrs.evolve(plain, busy=True)
    accept("busy", busy, ((1,), (1,), 1), RefusalReason.BUSY, ("VN-036",))
    accept("busy-no-version", busy, ((9,), (1,), 1), RefusalReason.BUSY, ("VN-036",))
    accept("two-versions", two, ((3,), (1,), 1), RefusalReason.NO_VERSION, ("VN-033",))
    _silent(book, "private", "the responder has a network secret", ("VN-041", "VN-042"), private, use)
    _silent(book, "private-busy", "with a network secret, busy", ("VN-042",), attrs.evolve(private, busy=True), use)
    data = use.input["receives"][0]
    for name, about, cited, changed in (
        ("key-suite-elsewhere", "key_suite is not in the list", ("VN-024",), data[:-2] + b"\x00\x03"),
        ("key-suite-grease", "key_suite is a GREASE value", ("VN-024",), data[:-2] + b"\x1a\x1a"),
        ("version-twice", "no version is common, and one is there twice", ("VN-008",), _twice()),
    ):
        _reject(book, name, about, cited, {**use.input, "receives": [changed]}, use)


def _twice() -> bytes:
    body = b"\x02\0\x02\0\x02\x01\0\x01\0\x01"
    return _offer(((1,), (1,), 1))[:9] + len(body).to_bytes(2, "big") + body


def _silent(book: Book, name: str, about: str, cited: Sequence[str], peer: Peer, origin: Vector) -> None:
    given = {**peer.given, "receives": origin.input["receives"]}
    _reject(book, name, about, cited, given, origin)


def _reject(
    book: Book,
    name: str,
    about: str,
    cited: Sequence[str],
    given: dict[str, Any],
    origin: Vector,
    sends: Sequence[bytes] = (),
) -> None:
    role = "refused" if sends else "refusing"
    output = {"sends": list(sends)}
    book.reject(f"{role}/{name}", about, cited, given, SILENT, origin=origin, output=output)


def _refused(book: Book) -> None:
    one, other = peers(Suite.XX_AESGCM)
    numbers = count(1)

    def first(peer: Peer) -> bytes:
        return Talk(peer, attrs.evolve(other, suites=peer.suites, secret=peer.secret)).run().sent[1]

    def refusal(reason: int, suites: Sequence[int], versions: Sequence[int] = (1,)) -> bytes:
        return preamble(3, {"reason": reason, "versions": list(versions), "suites": list(suites)})

    def accept(
        peer: Peer, reason: RefusalReason, suites: Sequence[int], cited: Sequence[str], name: str = ""
    ) -> Vector:
        retry = wanted(peer.suites, tuple(suites)) if reason is RefusalReason.USE_SUITE else None
        return book.accept(
            f"refused/{name or f'{reason.name.lower()}-{next(numbers)}'}",
            f"suites {peer.suites}, key_suite {peer.key_suite}: {reason.name} with suites {tuple(suites)}",
            cited,
            {**peer.given, "receives": [refusal(reason, suites)]},
            {"link": "refused", "reason": reason.name, "retry": retry, "sends": [first(peer)]},
        )

    for reason in (RefusalReason.NO_VERSION, RefusalReason.NO_SUITE, RefusalReason.BUSY):
        accept(one, reason, (1,), ("VN-057",))
        accept(one, reason, (0x1A1A, 7), ("VN-063",))
    wants_two = attrs.evolve(one, suites=(2, 1), key_suite=1)
    swapped = attrs.evolve(one, suites=(1, 2), key_suite=2)
    base = accept(wants_two, RefusalReason.USE_SUITE, (1, 2), ("VN-052", "VN-054"), "use-suite")
    for peer, suites in (
        (wants_two, (2, 1)),
        (wants_two, (2,)),
        (wants_two, (0x0A0A, 2)),
        (wants_two, (9, 8, 2, 1)),
        (swapped, (1,)),
        (swapped, (2, 1)),
        (swapped, (1, 0x1A1A)),
    ):
        accept(peer, RefusalReason.USE_SUITE, suites, ("VN-052",))
    sends = base.output["sends"] if base.output else []
    for name, about, cited, reply in (
        ("same-suite", "the suite that was tried already", ("VN-053",), refusal(3, (1,))),
        ("no-suite", "no suite of the own list", ("VN-053",), refusal(3, (7, 8))),
        ("grease-suites", "GREASE suites alone", ("VN-053",), refusal(3, (0x0A0A, 0x1A1A))),
        ("private-suite", "the suite of private networks", ("VN-053",), refusal(3, (3,))),
        ("reason-0", "reason 0", ("VN-059",), refusal(0, (1, 2))),
        ("reason-5", "reason 5", ("VN-059",), refusal(5, (1, 2))),
        ("reason-255", "reason 255", ("VN-059",), refusal(255, (1, 2))),
        ("suites-twice", "a suite is listed twice", ("VN-008",), _listed_twice(refusal(3, (1, 2)))),
        ("longer", "a byte follows", ("VN-007",), _longer(refusal(3, (1, 2)))),
        ("kind-1", "an offer comes back", ("VN-006",), _offer(((1,), (1, 2), 1))),
        ("kind-4", "a preamble of kind 4", ("VN-006",), refusal(3, (1, 2))[:8] + b"\x04" + refusal(3, (1, 2))[9:]),
        ("kind-0", "a preamble of kind 0", ("VN-006",), refusal(3, (1, 2))[:8] + b"\x00" + refusal(3, (1, 2))[9:]),
    ):
        _reject(book, name, about, cited, {**base.input, "receives": [reply]}, base, sends)
    private = attrs.evolve(one, suites=(3,), key_suite=3, secret=SECRET)
    given = {**private.given, "receives": base.input["receives"]}
    about = "an initiator with a network secret takes no refusal for advice"
    _reject(book, "private", about, ("VN-043",), given, base, [first(private)])


def _listed_twice(data: bytes) -> bytes:
    return data[:-2] + data[-4:-2]


def _longer(data: bytes) -> bytes:
    return data[:9] + (len(data) - 10).to_bytes(2, "big") + data[11:] + b"\0"
