"""Family stream: one side's bytes, in whatever pieces they come, and what is read of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from p2pwire.generate.vectors.book import SILENT, Book, Vector
from p2pwire.generate.vectors.ciphers import KEY, Sealer, frame
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.samples import counting
from p2pwire.wire.registry import MAGIC, Suite

FRAMES: Final[dict[str, tuple[bytes, ...]]] = {
    "ping": (frame(4, b"12345678"),),
    "empty-body": (frame(1),),
    "two-in-one": (frame(4, b"12345678") + frame(1, b"x"),),
    "three-in-one": (frame(1) * 3,),
    "two-records": (frame(4, b"12345678"), frame(6, b"87654321")),
    "mixed": (frame(1, b"ab") + frame(4, b"12345678"), frame(1), frame(0x0B) + frame(0x0B, b"grease") + frame(1)),
    "unknown": (frame(0x81, b"odd") + frame(0x41) + frame(0xFD, b"\x00" * 5),),
    "size-256": (frame(1, counting(256)),),
    "size-255": (frame(1, counting(255)),),
    "size-257-and-more": (frame(1, counting(257)) + frame(4, b"12345678"),),
    "hello-join": (frame(0, b"\x01\x00\x00\x40\x00\x96") + frame(0x10, counting(67)),),
}


def stream(citations: Citations) -> Iterator[Book]:
    """Records, and what comes before them."""
    book = Book("stream/records", "Encrypted records in pieces, and the frames in them.", citations)
    _Records(book).all()
    yield book
    book = Book("stream/handshake", "Preambles and handshake messages in pieces.", citations)
    _Handshakes(book).all()
    yield book


def cuts(size: int) -> list[list[int]]:
    """Places at which a stream is cut: nowhere, once anywhere, everywhere."""
    once = range(1, size) if size <= 64 else (*range(1, 32), size // 2, *range(size - 8, size))
    return [[], *([at] for at in once), list(range(1, size))] if size > 1 else [[]]


class _Records:
    def __init__(self, book: Book) -> None:
        self.book = book

    def all(self) -> None:
        made = {name: self._accept(name, plaintexts) for name, plaintexts in FRAMES.items()}
        ping, two, mixed = made["ping"], made["two-in-one"], made["mixed"]
        whole: bytes = ping.input["bytes"]
        for size in (1, 2, 3, len(whole) - 1):
            self._accept(f"ping/cut-{size}", FRAMES["ping"], size=size)
        self._frame_faults(ping, two)
        self._record_faults(ping, mixed)

    def _accept(self, name: str, plaintexts: Sequence[bytes], size: int | None = None) -> Vector:
        """`size`: how many bytes of the stream have come; what is not complete is kept."""
        sealer = Sealer(Suite.XX_AESGCM, KEY, 0)
        sent = [sealer.seal(plaintext) for plaintext in plaintexts]
        frames = [each for plaintext in plaintexts for each in _frames(plaintext)] if size is None else []
        data = b"".join(sent)[:size]
        return self.book.accept(
            f"records/{name}",
            f"{name}: {len(data)} bytes" if size is None else f"{name}: not complete, so nothing is read yet",
            ("GN-002", "GN-003", "EN-006", "FR-001"),
            {"stage": "records", "suite": 1, "key": KEY, "n": 0, "bytes": data, "cuts": cuts(len(data))},
            {"frames": frames, "left": 0 if size is None else size},
        )

    def _reject(
        self, name: str, about: str, cited: str, plaintexts: Sequence[bytes], origin: Vector, **after: Any
    ) -> None:
        sealer = Sealer(Suite.XX_AESGCM, KEY, 0)
        data = b"".join(sealer.seal(plaintext) for plaintext in plaintexts)
        given = {**origin.input, "bytes": data, "cuts": cuts(len(data))}
        output = {"frames": [], "after": len(data), **after}
        outcome = "CLOSE PROTOCOL"
        self.book.reject(f"records/{name}", about, (cited, "EN-010"), given, outcome, origin=origin, output=output)

    def _frame_faults(self, ping: Vector, two: Vector) -> None:
        one = [{"type": 4, "body": b"12345678"}]
        body = frame(4, b"12345678")
        for count in (1, 2):
            rest = bytes(count)
            about = f"{count} bytes are left where a frame would begin"
            self._reject(f"ping/left-{count}", about, "EN-009", [body + rest], ping, frames=one, frame_type=0xFF)
            about = f"a record with {count} bytes of plaintext"
            self._reject(f"ping/plain-{count}", about, "EN-009", [body[:count]], ping, frame_type=0xFF)
        for over in (1, 2, 65527):
            lying = body[:1] + (8 + over).to_bytes(2, "big") + body[3:]
            about = f"the frame ends {over} bytes after its record"
            self._reject(f"ping/over-{over}", about, "EN-008", [lying], ping, frame_type=4)
            about = f"the second frame ends {over} bytes after its record"
            both = [body + b"\x01" + (1 + over).to_bytes(2, "big") + b"x"]
            self._reject(f"two-in-one/over-{over}", about, "EN-008", both, two, frames=one, frame_type=1)
        halves = [body[:5], body[5:]]
        sealer = Sealer(Suite.XX_AESGCM, KEY, 0)
        size = len(sealer.seal(halves[0]))
        about = "a frame goes on in the next record"
        self._reject("ping/over-records", about, "EN-008", halves, ping, frame_type=4, after=size)
        unknown = [b"\x81\x00\x04odd"]
        about = "a frame of an unknown type ends after its record"
        self._reject("ping/unknown-over", about, "EN-008", unknown, ping, frame_type=0x81)

    def _record_faults(self, ping: Vector, mixed: Vector) -> None:
        whole: bytes = ping.input["bytes"]
        for length in (0, 1, 15, 16):
            data = length.to_bytes(2, "big") + whole[2:]
            self._silent(f"ping/length-{length}", f"a record length of {length}", "EN-004", data, ping, 2, [])
        data = whole[:-1] + bytes((whole[-1] ^ 0x80,))
        self._silent("ping/tag", "the tag differs", "EN-005", data, ping, len(data), [])
        data = mixed.input["bytes"]
        first = 2 + int.from_bytes(data[:2], "big")
        second = first + 2 + int.from_bytes(data[first : first + 2], "big")
        frames = _frames(FRAMES["mixed"][0])
        spoiled = data[: first + 2] + bytes((data[first + 2] ^ 1,)) + data[first + 3 :]
        about = "the second record does not decrypt; the first one counts"
        self._silent("mixed/second", about, "EN-005", spoiled, mixed, second, frames)
        twice = data[:first] + data[:first] + data[first:]
        about = "the first record comes again"
        self._silent("mixed/replayed", about, "EN-002", twice, mixed, 2 * first, frames)

    def _silent(
        self, name: str, about: str, cited: str, data: bytes, origin: Vector, after: int, frames: list[Any]
    ) -> None:
        given = {**origin.input, "bytes": data, "cuts": cuts(len(data))}
        output = {"frames": frames, "after": after}
        cite = dict.fromkeys((cited, "EN-005" if cited != "EN-004" else "GN-004"))
        self.book.reject(f"records/{name}", about, cite, given, SILENT, origin=origin, output=output)


def _frames(plaintext: bytes) -> list[dict[str, Any]]:
    found = []
    while plaintext:
        end = 3 + int.from_bytes(plaintext[1:3], "big")
        found.append({"type": plaintext[0], "body": plaintext[3:end]})
        plaintext = plaintext[end:]
    return found


class _Handshakes:
    """What a responder (kind 1) or an initiator (kinds 2 and 3) reads before any key is there."""

    def __init__(self, book: Book) -> None:
        self.book = book

    def all(self) -> None:
        offer = _preamble(1, b"\x01\x00\x01\x01\x00\x01\x00\x01")
        response = _preamble(2, b"\x00\x01\x00\x01")
        refusal = _preamble(3, b"\x01\x01\x00\x01\x01\x00\x01")
        padded = _preamble(1, b"\x01\x00\x01\x01\x00\x01\x00\x01" + b"\x0b\xff" + bytes(255))
        least = b"\x00\x01x"
        most = b"\x04\x00" + counting(1024)
        for name, parts in {
            "offer": [offer],
            "response": [response],
            "refusal": [refusal],
            "offer-padded": [padded],
            "offer-message": [offer, b"\x00\x20" + counting(32)],
            "response-message": [response, b"\x00\xc0" + counting(192)],
            "message-least": [offer, least],
            "message-most": [offer, most],
        }.items():
            vector = self._accept(name, parts)
            if name == "offer":
                self._preamble_faults(vector, offer)
            if name == "offer-message":
                self._message_faults(vector, offer)
        for size in (0, 7, 8, 10, 11, len(offer) - 1):
            self._accept(f"offer/cut-{size}", [offer[:size]], complete=False)

    def _accept(self, name: str, parts: Sequence[bytes], *, complete: bool = True) -> Vector:
        data = b"".join(parts)
        output: dict[str, Any] = {"preamble": parts[0] if complete else b"", "messages": [p[2:] for p in parts[1:]]}
        return self.book.accept(
            f"handshake/{name}",
            f"{name}: {len(data)} bytes",
            ("GN-002", "GN-003", "VN-001") if complete else ("GN-003", "VN-002"),
            {"stage": "handshake", "bytes": data, "cuts": cuts(len(data))},
            {**output, "left": 0 if complete else len(data)},
        )

    def _preamble_faults(self, origin: Vector, offer: bytes) -> None:
        for at in range(8):
            for changed in (offer[at] ^ 1, offer[at] ^ 0x80):
                data = offer[:at] + bytes((changed,)) + offer[at + 1 :]
                about = f"byte {at} of the magic is {changed:#04x}"
                self._reject(f"offer/magic-{at}-{changed:02x}", about, "VN-003", data, origin, at + 1)
        for name, text in (
            ("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            ("tls", bytes.fromhex("16030100c8010000c40303")),
            ("ssh", b"SSH-2.0-OpenSSH_9.6\r\n"),
            ("png", bytes.fromhex("89504e470d0a1a0a0000000d")),
            ("bittorrent", b"\x13BitTorrent protocol"),
        ):
            after = next(n for n in range(8) if text[n] != offer[n]) + 1
            self._reject(f"offer/is-{name}", f"the stream is {name}", "VN-003", text, origin, after)
        for length in (0, 1, 3, 513, 1024, 65535):
            data = offer[:9] + length.to_bytes(2, "big") + offer[11:]
            self._reject(f"offer/length-{length}", f"a body of {length} bytes", "VN-004", data, origin, 11)

    def _message_faults(self, origin: Vector, offer: bytes) -> None:
        message = b"\x00\x20" + counting(32)
        for length in (0, 1025, 2048, 65535):
            data = offer + length.to_bytes(2, "big") + message[2:]
            about = f"a handshake message of {length} bytes"
            self._reject(f"offer-message/length-{length}", about, "HS-001", data, origin, len(offer) + 2, offer)

    def _reject(
        self, name: str, about: str, cited: str, data: bytes, origin: Vector, after: int, preamble: bytes = b""
    ) -> None:
        output = {"preamble": preamble, "messages": [], "after": after}
        given = {"stage": "handshake", "bytes": data, "cuts": cuts(len(data))}
        cite = (cited,) if cited == "VN-003" else (cited, "GN-004")
        self.book.reject(f"handshake/{name}", about, cite, given, SILENT, origin=origin, output=output)


def _preamble(kind: int, body: bytes) -> bytes:
    return MAGIC + bytes((kind,)) + len(body).to_bytes(2, "big") + body
