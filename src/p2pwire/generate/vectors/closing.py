"""Family close: what one side does with frames that come right after the handshake, and which close code they cost.

The side that is tested has joined nothing, knows no object, and has nothing to ask for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from p2pwire.connection.state import LINK_TABLE, LinkInput, LinkState
from p2pwire.generate.vectors.book import Book, Vector
from p2pwire.generate.vectors.ciphers import frame
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.samples import SAMPLES, counting
from p2pwire.wire import schema
from p2pwire.wire.registry import GREASE_FRAMES, NO_FRAME_TYPE, CloseCode, FrameType

HELLO: Final = frame(0, b"\x01\x00\x00\x40\x00\x96")
PING: Final = frame(4, b"12345678")
PONG: Final = frame(6, b"12345678")

_BODIES: Final = {
    int(body.frame_type): body.build(next(iter(SAMPLES[body.title].values())))
    for body in schema.MESSAGES
    if body.frame_type is not None
}
"""A well-formed body for each type."""

_NEVER_JOINED: Final = (
    FrameType.OBJECT,
    FrameType.HAVE,
    FrameType.LOST,
    FrameType.INTEREST,
    FrameType.SUGGEST,
    FrameType.REQUEST,
    FrameType.PEERS,
    FrameType.GET_PEERS,
)
"""Frames of a topic, on a handle that was never joined."""

_UNASKED: Final = {FrameType.DATA: ("TR-054",), FrameType.REJECT: ("TR-063",)}
_IGNORED: Final = {
    FrameType.PAD: ("FR-040",),
    FrameType.PONG: ("KA-004",),
    FrameType.REFUSE: ("TP-043",),
    FrameType.LEAVE: ("TP-052",),
    FrameType.CANCEL: ("TR-066",),
}
_UNKNOWN_EVEN: Final = (0x08, 0x0A, 0x2A, 0x7E, 0x80, 0xFE)
_UNKNOWN_ODD: Final = (0x03, 0x05, 0x09, 0x7F, 0x81, 0xFD, 0xFF)


def close(citations: Citations) -> Iterator[Book]:
    """Before HELLO, after it, and CLOSE itself."""
    book = Book("close/first", "The first frames of a link.", citations)
    base = _first(book)
    yield book
    book = Book("close/open", "Frames after HELLO, where no topic is open.", citations)
    _Open(book, base).all()
    yield book
    book = Book("close/close", "CLOSE, and what comes with it.", citations)
    _closes(book, base)
    yield book


def _input(records: Sequence[bytes]) -> dict[str, Any]:
    return {"records": list(records)}


def _first(book: Book) -> Vector:
    """Whatever comes first is HELLO or CLOSE."""
    base = book.accept(
        "first/hello",
        "HELLO",
        ("FR-002", "FR-003"),
        _input([HELLO]),
        {"link": "open", "answers": []},
    )
    types = [*sorted(_BODIES), *_UNKNOWN_EVEN, *_UNKNOWN_ODD, *GREASE_FRAMES]
    for number in types:
        if number in (FrameType.HELLO, FrameType.CLOSE):
            continue
        cell = LINK_TABLE[LinkState.WAIT_HELLO][FrameType(number) if number in _BODIES else LinkInput.UNKNOWN_CRITICAL]
        assert cell is CloseCode.PROTOCOL
        name = FrameType(number).name if number in _BODIES else f"{number:#04x}"
        first = frame(number, _BODIES.get(number, b""))
        _reject(book, f"first/{name}", f"{name} is the first frame", ("FR-003",), [first], base, number)
        about = f"{name} comes before HELLO in one record"
        _reject(book, f"first/{name}-then-hello", about, ("FR-003", "EN-010"), [first + HELLO], base, number)
        empty = frame(number)
        if first != empty:
            about = f"{name} without a body is the first frame; its place is looked at before its form"
            _reject(book, f"first/{name}-malformed", about, ("FR-003", "GN-009"), [empty], base, number)
    return base


def _reject(
    book: Book,
    name: str,
    about: str,
    cited: Sequence[str],
    records: Sequence[bytes],
    origin: Vector,
    frame_type: int,
    *,
    code: CloseCode = CloseCode.PROTOCOL,
    answers: Sequence[bytes] = (),
) -> None:
    """Frames that cost a link; `answers` come before CLOSE."""
    cited = (*cited, "CL-003", "CL-005" if frame_type == NO_FRAME_TYPE else "CL-004")
    output = {"answers": list(answers), "frame_type": frame_type}
    outcome = f"CLOSE {code.name}"
    book.reject(name, about, cited, _input(records), outcome, origin=origin, output=output)


class _Open:
    def __init__(self, book: Book, base: Vector) -> None:
        self.book = book
        self.base = base

    def all(self) -> None:
        self._harmless()
        self._faults()
        self._order_of_faults()
        self._record_faults()

    def _accept(
        self, name: str, cited: Sequence[str], records: Sequence[bytes], answers: Sequence[bytes] = ()
    ) -> Vector:
        given = _input([HELLO, *records])
        about = f"after HELLO: {name.replace('-', ' ')}"
        return self.book.accept(f"open/{name}", about, cited, given, {"link": "open", "answers": list(answers)})

    def _harmless(self) -> None:
        for kind, shown in _IGNORED.items():
            self._accept(kind.name, (*shown, "GN-008"), [frame(kind, _BODIES[kind])])
        for number in (*_UNKNOWN_ODD, *GREASE_FRAMES):
            # What no peer may send is all the same ignored.
            grease = ("EX-020",) if number in GREASE_FRAMES else ()
            self._accept(f"{number:#04x}", ("FR-007", *grease), [frame(number, b"whatever")])
            self._accept(f"{number:#04x}-empty", ("FR-007", *grease), [frame(number)])
        self._accept("pad-empty", ("FR-040",), [frame(1)])
        self._accept("ping", ("KA-001",), [PING], [PONG])
        pings = [frame(4, bytes((n,)) * 8) for n in range(6)]
        pongs = [frame(6, bytes((n,)) * 8) for n in range(6)]
        self._accept("pings-in-one-record", ("KA-001", "KA-002", "KA-005"), [b"".join(pings)], pongs)
        self._accept("pings", ("KA-001", "KA-002", "KA-005"), pings, pongs)
        self._accept("hello-and-ping-in-one-record", ("FR-001", "KA-001"), [PING], [PONG])
        for total in (64, 65, 128, 2**32, 2**63, 2**64 - 1):
            credit = frame(0x1E, total.to_bytes(8, "big"))
            cited = ("FC-007",) if total == 64 else ("FC-001", "FC-008")
            self._accept(f"credit-{total}", cited, [credit])
            self._accept(f"credit-{total}-twice", ("FC-007",), [credit, credit])
        for handle in (0, 1, 65535):
            refuse = frame(0x12, handle.to_bytes(2, "big") + b"\x00")
            join = frame(0x10, handle.to_bytes(2, "big") + b"\x04" + counting(64))
            self._accept(f"join-unknown-{handle}", ("TP-027",), [join], [refuse])
            self._accept(f"join-unknown-{handle}-ping", ("TP-027", "KA-006"), [join + PING], [refuse, PONG])
            self._accept(f"join-unknown-{handle}-twice", ("TP-027",), [join, join], [refuse, refuse])
            leave = frame(0x14, handle.to_bytes(2, "big"))
            self._accept(f"join-unknown-{handle}-leave", ("TP-027", "TP-052"), [join + leave], [refuse])
            for kind in _NEVER_JOINED:
                if kind is FrameType.REQUEST:
                    continue
                body = handle.to_bytes(2, "big") + _BODIES[kind][2:]
                name = f"join-unknown-{handle}-{kind.name}"
                self._accept(name, ("TP-041", "TP-062"), [join, frame(kind, body)], [refuse])
            body = _BODIES[FrameType.REQUEST]
            request = frame(0x20, body[:4] + handle.to_bytes(2, "big") + body[6:])
            reject = frame(0x24, body[:4] + b"\x06\x00\x00")
            name = f"join-unknown-{handle}-REQUEST"
            self._accept(name, ("TP-041", "TP-063", "KA-006"), [join, request + PING], [refuse, reject, PONG])
        reserved = frame(0x10, b"\x00\x01\xf8" + counting(64))
        self._accept("join-reserved-flags", ("GN-006", "TP-027"), [reserved], [frame(0x12, b"\x00\x01\x00")])

    def _faults(self) -> None:
        ping = self._accept("ping-then-fault", ("KA-001",), [PING + frame(1)], [PONG])

        def both(name: str, about: str, cited: Sequence[str], bad: bytes, code: CloseCode = CloseCode.PROTOCOL) -> None:
            """Alone, after a PING in the same record, and before one, which is not answered any more."""
            kind = bad[0]
            _reject(self.book, f"open/{name}", about, cited, [HELLO, bad], self.base, kind, code=code)
            cited = (*cited, "EN-010")
            after = f"{about}, after a PING in its record"
            _reject(
                self.book, f"open/{name}-after-ping", after, cited, [HELLO, PING + bad], ping, kind, code=code,
                answers=[PONG],
            )  # fmt: skip
            before = f"{about}, before a PING in its record"
            _reject(self.book, f"open/{name}-before-ping", before, cited, [HELLO, bad + PING], ping, kind, code=code)

        both("hello-twice", "HELLO comes twice", ("FR-005",), HELLO)
        for number in _UNKNOWN_EVEN:
            about = f"{number:#04x} is an unknown even type"
            cited = ("FR-006", "EX-008") if number >= 0x80 else ("FR-006",)
            both(f"{number:#04x}", about, cited, frame(number, b"whatever"), CloseCode.UNKNOWN_FRAME)
        for kind in _NEVER_JOINED:
            both(
                f"{kind.name}-never", f"{kind.name} on a handle that is NEVER", ("TP-061",), frame(kind, _BODIES[kind])
            )
        for kind, cited in _UNASKED.items():
            about = f"{kind.name} without a REQUEST"
            both(f"{kind.name}-unasked", about, cited, frame(kind, _BODIES[kind]), CloseCode.UNSOLICITED)
        for total in (0, 1, 63):
            both(f"credit-{total}", f"CREDIT of {total}", ("FC-006",), frame(0x1E, total.to_bytes(8, "big")))
        higher, lower = (frame(0x1E, total.to_bytes(8, "big")) for total in (200, 199))
        about = "a lower total after a higher one"
        _reject(self.book, "open/credit-200-199", about, ("FC-006",), [HELLO, higher, lower], self.base, 0x1E)
        for kind in FrameType:
            body = _BODIES[kind]
            if kind is FrameType.PAD or kind is FrameType.HELLO:
                continue
            both(f"{kind.name}-empty", f"{kind.name} without a body", ("GN-007", "FR-011"), frame(kind))
            if kind is not FrameType.CLOSE:
                longer = body + bytes(17000) if kind is FrameType.DATA else body + b"\0"
                both(f"{kind.name}-longer", f"{kind.name} with bytes after its end", ("FR-009",), frame(kind, longer))

    def _order_of_faults(self) -> None:
        """GN-009."""
        for name, about, cited, bad, code in (
            (
                "malformed-never",
                "HAVE whose spans descend, on a handle that is NEVER: form first",
                ("GN-009", "TR-011"),
                frame(0x18, b"\x00\x01\x00\x02\x00\x05\x00\x05\x00\x00\x00\x02"),
                CloseCode.PROTOCOL,
            ),
            (
                "request-malformed-never",
                "REQUEST of level 7 on a handle that is NEVER: form first",
                ("GN-009", "TR-036"),
                frame(0x20, bytes(14) + b"\x07"),
                CloseCode.PROTOCOL,
            ),
            (
                "data-malformed-unasked",
                "DATA without data and without a REQUEST: form first",
                ("GN-009", "GN-007"),
                frame(0x22, bytes(9)),
                CloseCode.PROTOCOL,
            ),
            (
                "reject-malformed-unasked",
                "REJECT with a code of 7 and without a REQUEST: form first",
                ("GN-009", "TR-062"),
                frame(0x24, b"\0\0\0\x07\x07\0\0"),
                CloseCode.PROTOCOL,
            ),
            (
                "hello-malformed-twice",
                "a second HELLO, which is malformed",
                ("GN-009", "FR-005"),
                frame(0),
                CloseCode.PROTOCOL,
            ),
        ):
            _reject(self.book, f"open/{name}", about, cited, [HELLO, bad], self.base, bad[0], code=code)
        over = b"\x08\x00\x01"
        about = "an unknown even type that goes past its record: the record's end first"
        _reject(self.book, "open/unknown-over", about, ("GN-009", "EN-008"), [HELLO, over], self.base, 8)

    def _record_faults(self) -> None:
        for count in (1, 2):
            about = f"{count} bytes are left after a frame"
            rest = bytes(count)
            _reject(
                self.book, f"open/left-{count}", about, ("EN-009", "EN-010"), [HELLO, PING + rest], self.base,
                NO_FRAME_TYPE, answers=[PONG],
            )  # fmt: skip
        for over in (1, 65508):
            bad = b"\x04" + (8 + over).to_bytes(2, "big") + b"12345678"
            about = f"a PING goes {over} bytes past its record"
            _reject(self.book, f"open/over-{over}", about, ("EN-008",), [HELLO, bad], self.base, 4)
            about = f"a frame goes {over} bytes past its record, after a PING"
            second = PING + b"\x01" + over.to_bytes(2, "big")
            _reject(
                self.book, f"open/ping-over-{over}", about, ("EN-008", "EN-010"), [HELLO, second], self.base, 1,
                answers=[PONG],
            )  # fmt: skip


def _closes(book: Book, base: Vector) -> None:
    """CLOSE with every code, and what comes after it."""
    known = {int(code): code for code in CloseCode}
    for state, before in (("first", []), ("open", [HELLO])):
        for number in (*known, 15, 255, 256, 0x0A0A, 0xFAFA, 0xFFFF):
            meaning = known.get(number, CloseCode.INTERNAL)
            shown = ["CL-030"] if number in known else ["CL-006"]
            shown += ["FR-003"] if state == "first" else []
            shown += ["CL-014"] if number & 0x0F0F == 0x0A0A else []
            frame_type = NO_FRAME_TYPE if number not in (2, 3) else 0x20
            body = number.to_bytes(2, "big") + bytes((frame_type,))
            book.accept(
                f"{state}/code-{number}",
                f"CLOSE with code {number}, which means {meaning.name}",
                shown,
                _input([*before, frame(2, body)]),
                {"link": "closed", "code": number, "meaning": meaning.name, "detail": "", "answers": []},
            )
        for name, detail in (("text", "a sentence"), ("unicode", "näher — 近 🦊"), ("most", "d" * 256)):
            book.accept(
                f"{state}/detail-{name}",
                f"CLOSE with {len(detail.encode())} bytes of detail",
                ("CL-007", "CL-030"),
                _input([*before, frame(2, b"\x00\x01\xff" + detail.encode())]),
                {"link": "closed", "code": 1, "meaning": "INTERNAL", "detail": detail, "answers": []},
            )
    none = frame(2, b"\x00\x00\xff")
    closed = {"link": "closed", "code": 0, "meaning": "NONE", "detail": ""}
    for name, records, answers, cited in (
        ("pad-before", [HELLO, frame(1) + none], [], ("CL-032",)),
        # A PING before CLOSE is left out: CL-031 drops its PONG if that still waits.
        ("ping-after", [HELLO, none + PING], [], ("CL-002",)),
        ("rubbish-after", [HELLO, none + b"\x08\x00"], [], ("CL-002", "EN-009")),
        ("unknown-after", [HELLO, none + frame(8)], [], ("CL-002",)),
        ("over-after", [HELLO, none + b"\x04\xff\xff"], [], ("CL-002",)),
        ("close-after", [HELLO, none + frame(2, b"\x00\x02\xff")], [], ("CL-002",)),
        ("record-after", [HELLO, none, PING], [], ("CL-002",)),
        ("hello-before", [HELLO + none], [], ("CL-032",)),
    ):
        about = f"CLOSE, {name.replace('-', ' ')}"
        book.accept(f"open/{name}", about, cited, _input(records), {**closed, "answers": answers})
    origin = book.accept(
        "open/refused-before",
        "JOIN of an unknown topic, then CLOSE in the next record",
        ("CL-032", "TP-027"),
        _input([HELLO, frame(0x10, b"\x00\x01\x00" + counting(64)), none]),
        {**closed, "answers": [frame(0x12, b"\x00\x01\x00")]},
    )
    for name, body, about in (
        ("empty", b"", "CLOSE without a body"),
        ("cut-1", b"\x00", "CLOSE of one byte"),
        ("cut-2", b"\x00\x00", "CLOSE of two bytes"),
        ("detail-257", b"\x00\x00\xff" + b"d" * 257, "CLOSE with 257 bytes of detail"),
        ("detail-escape", b"\x00\x00\xff\x1b[2J", "CLOSE with an escape sequence"),
        ("detail-utf-8", b"\x00\x00\xff\xc3", "CLOSE with a detail that is no UTF-8"),
    ):
        given = [HELLO, origin.input["records"][1], frame(2, body)]
        form = "FR-009" if "detail" not in name else "GN-012" if "escape" in name else "GN-010"
        refuse = frame(0x12, b"\x00\x01\x00")
        cited = ("GN-007", form)
        _reject(book, f"open/malformed-{name}", about, cited, given, origin, 2, answers=[refuse])
        _reject(book, f"first/malformed-{name}", about, cited, [frame(2, body)], base, 2)
