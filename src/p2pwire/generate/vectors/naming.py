"""Families name, identity and uri: what is derived, which keys count, and what people hand on."""

from __future__ import annotations

import hmac
from base64 import b32encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

from p2pwire.crypto.identity import Identity
from p2pwire.generate.vectors.book import ERROR, Book, Vector
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.handshakes import weak_identities
from p2pwire.generate.vectors.samples import counting
from p2pwire.generate.vectors.shaker import psk_of
from p2pwire.generate.vectors.trees import root_of
from p2pwire.wire.registry import MAX_LENGTH, PROTOCOL_NAME

PURPOSES: Final = ("handshake-initiator", "handshake-responder", "peer-record")
IDENTITY: Final = Identity.from_seed(counting(32)).public


def base32(data: bytes) -> str:
    """As in URIs."""
    return b32encode(data).decode().rstrip("=").lower()


def name(citations: Citations) -> Iterator[Book]:
    """Ids, caps, keys, and signed texts."""
    book = Book("name/derived", "What is made with a text that begins with the protocol's name.", citations)
    objects = [(0, 0, bytes(32)), (0, 5, sha256(b"hello").digest()), (0, MAX_LENGTH, counting(32))]
    objects += [(0, length, root_of(length)) for length in (1, 16384, 16385, 40000)]
    objects += [(1, 9, counting(32, 9)), (1, 205, counting(32, 1)), (1, 2**26, counting(32, 2)), (7, 5, counting(32))]
    for kind, length, root in objects:
        oid = _labelled("object", bytes((kind,)) + length.to_bytes(8, "big") + root)
        given: dict[str, Any] = {"derive": "object", "kind": kind, "length": length, "root": root}
        output = {"oid": oid, "topic": _labelled("topic", oid), "text": base32(oid)}
        about = f"an object of kind {kind} and {length} bytes"
        cited = ("OB-002", "OB-004") if not length else ("OB-002", "UR-001")
        book.accept(f"object/{kind}-{length}", about, cited, given, output)
    for number, handshake_hash in enumerate((bytes(32), counting(32), b"\xff" * 32)):
        for role in ("initiator", "responder"):
            oid = counting(32, 100 + number)
            text = PROTOCOL_NAME + b" cap\0" + (b"I" if role == "initiator" else b"R") + handshake_hash
            given = {"derive": "cap", "oid": oid, "role": role, "handshake_hash": handshake_hash}
            output = {"cap": hmac.digest(oid, text, "sha256")}
            book.accept(f"cap/{role}-{number}", f"the cap of the {role}", ("TP-016",), given, output)
    for number, secret in enumerate((b"\0", b"secret", counting(16), counting(32), counting(64), counting(65))):
        given = {"derive": "psk", "network_secret": secret}
        about = f"the key of a network secret of {len(secret)} bytes"
        book.accept(f"psk/{number}", about, ("VN-040", "VN-044"), given, {"psk": psk_of(secret)})
    for purpose in PURPOSES:
        for number, content in enumerate((b"", b"x", counting(64), counting(200))):
            seed = counting(32, number)
            signer = Identity.from_seed(seed)
            signature = signer._private.sign(PROTOCOL_NAME + b" " + purpose.encode() + b"\0" + content)
            given = {"derive": "signature", "seed": seed, "purpose": purpose, "content": content}
            output = {"identity": signer.public, "signature": signature}
            about = f"{len(content)} bytes signed for {purpose}"
            book.accept(f"signature/{purpose}-{number}", about, ("GN-020", "GN-021"), given, output)
    for number, (one, other) in enumerate(((bytes(32), bytes(32)), (counting(32), counting(32, 32)))):
        given = {"derive": "webrtc", "fingerprint_i": one, "fingerprint_r": other}
        output = {"binding": _labelled("webrtc", one + other)}
        book.accept(f"webrtc/{number}", "the binding of a WebRTC data channel", ("HS-011",), given, output)
    yield book


def _labelled(purpose: str, content: bytes) -> bytes:
    return sha256(PROTOCOL_NAME + b" " + purpose.encode() + b"\0" + content).digest()


def identity(citations: Citations) -> Iterator[Book]:
    """Which 32 bytes may be somebody."""
    book = Book("identity/keys", "32 bytes, and whether they are acceptable as an identity (4.4).", citations)
    made = [
        book.accept(
            f"keys/seed-{number}",
            f"the public key of a seed that counts up from {number}",
            ("ID-001", "ID-002", "ID-003"),
            {"identity": Identity.from_seed(counting(32, number)).public},
            {"text": base32(Identity.from_seed(counting(32, number)).public)},
        )
        for number in range(8)
    ]
    for value in _points(range(2, 12)):
        raw = value.to_bytes(32, "little")
        about = f"y = {value}, a point of the curve of large order"
        for top in (0, 0x80):
            key = raw[:31] + bytes((raw[31] | top,))
            output = {"text": base32(key)}
            book.accept(f"keys/y-{value}-{top}", about, ("ID-002", "ID-003"), {"identity": key}, output)
    for label, raw in weak_identities():
        cited = "ID-002" if int.from_bytes(raw, "little") & (2**255 - 1) < 2**255 - 19 else "ID-001"
        _weak(book, label, f"the encoding {label} of a weak point", cited, raw, made[0])
    for value in [v for v in range(2, 24) if v not in set(_points(range(2, 24)))]:
        for top in (0, 0x80):
            raw = value.to_bytes(32, "little")
            raw = raw[:31] + bytes((raw[31] | top,))
            _weak(book, f"no-point-{value}-{top}", f"y = {value}, which is no point", "ID-003", raw, made[0])
    yield book


def _points(values: Sequence[int]) -> Iterator[int]:
    """Those that are y of a point: (y^2 - 1) / (d y^2 + 1) is a square."""
    prime = 2**255 - 19
    d = -121665 * pow(121666, -1, prime) % prime
    for y in values:
        square = (y * y - 1) * pow(d * y * y + 1, -1, prime) % prime
        if pow(square, (prime - 1) // 2, prime) == 1:
            yield y


def _weak(book: Book, label: str, about: str, cited: str, raw: bytes, origin: Vector) -> None:
    book.reject(f"keys/{label}", about, (cited, "ID-004"), {"identity": raw}, ERROR, origin=origin)


# --- URIs ---

_OID: Final = sha256(b"an object").digest()
_TEXT: Final = base32(_OID)


def uri(citations: Citations) -> Iterator[Book]:
    """URIs that are, and URIs that are none."""
    book = Book("uri/uris", "URIs, what they say, and how a sender writes them.", citations)
    made = {label: _accept(book, label, text, said, cited) for label, text, said, cited in _valid()}
    yield book
    book = Book("uri/invalid", "What is no URI of this protocol.", citations)
    for label, text, cited, origin in _invalid():
        given = {"uri": text}
        book.reject(f"invalid/{label}", label.replace("-", " "), cited, given, ERROR, origin=made[origin])
    yield book


def _accept(book: Book, label: str, text: str, said: dict[str, Any], cited: Sequence[str]) -> Vector:
    output = {"oid": _OID, "xl": None, "dn": None, "pe": [], "id": None, **said}
    return book.accept(f"valid/{label}", label.replace("-", " "), cited, {"uri": text}, output)


def _valid() -> Iterator[tuple[str, str, dict[str, Any], Sequence[str]]]:
    plain = f"p2pwire:{_TEXT}"
    text = base32(IDENTITY)
    yield "oid", plain, {}, ("UR-001", "UR-002")
    yield "upper-oid", f"p2pwire:{_TEXT.upper()}", {}, ("UR-002",)
    yield "upper-scheme", f"P2PWIRE:{_TEXT}", {}, ("UR-002",)
    yield "mixed", f"P2pWire:{_TEXT[:20].upper()}{_TEXT[20:]}", {}, ("UR-002",)
    yield "empty-query", f"{plain}?", {}, ("UR-005",)
    for length in (0, 1, 5, MAX_LENGTH - 1, MAX_LENGTH):
        yield f"xl-{length}", f"{plain}?xl={length}", {"xl": length}, ("UR-009",)
    names = {
        "plain": ("file.bin", "file.bin"),
        "space": ("two%20words", "two words"),
        "plus": ("a+b", "a+b"),
        "unicode": ("%C3%A9%F0%9F%A6%8A", "é🦊"),
        "lower-hex": ("%c3%a9", "é"),
        "percent": ("100%25", "100%"),
        "ampersand": ("a%26b", "a&b"),
        "equals": ("a=b", "a=b"),
        "question": ("a?b", "a?b"),
        "dots": ("...", "..."),
        "brackets": ("[a]", "[a]"),
        "most": ("n" * 255, "n" * 255),
        "encoded-letter": ("%61", "a"),
        "bidi": ("%E2%80%AE", "\u202e"),
    }
    for label, (raw, meant) in names.items():
        yield f"dn-{label}", f"{plain}?dn={raw}", {"dn": meant}, ("UR-015", "UR-012")
    for label, raw, host, port in (
        ("ipv4", "192.0.2.7:7000", "192.0.2.7", 7000),
        ("ipv4-least", "0.0.0.0:1", "0.0.0.0", 1),
        ("ipv4-most", "255.255.255.255:65535", "255.255.255.255", 65535),
        ("ipv6", "[2001:db8::7]:7000", "2001:db8::7", 7000),
        ("ipv6-long", "[2001:0DB8:0:0:0:0:0:7]:80", "2001:db8::7", 80),
        ("ipv6-loopback", "[::1]:1", "::1", 1),
        ("ipv6-encoded", "%5B::1%5D:1", "::1", 1),
    ):
        said = {"pe": [{"host": host, "port": port}]}
        yield f"pe-{label}", f"{plain}?pe={raw}", said, ("UR-008",)
    many = [{"host": "192.0.2.7", "port": n} for n in range(1, 33)]
    query = "&".join(f"pe=192.0.2.7:{n}" for n in range(1, 33))
    yield "pe-32", f"{plain}?{query}", {"pe": many}, ("UR-007", "UR-014")
    yield "id", f"{plain}?id={text}", {"id": IDENTITY}, ("UR-016",)
    yield "id-upper", f"{plain}?id={text.upper()}", {"id": IDENTITY}, ("UR-016",)
    for label, query in {
        "unknown": "zz=1",
        "unknown-twice": "zz=1&zz=2",
        "unknown-empty": "&&",
        "unknown-no-value": "zz",
        "unknown-case": "XL=-1&Dn=/",
        "unknown-encoded-key": "%78l=-1",
        "unknown-not-utf-8": "zz=%FF",
    }.items():
        yield label, f"{plain}?{query}", {}, ("UR-005",)
    every = f"{plain}?xl=5&dn=a&pe=192.0.2.7:7000&id={text}"
    told: dict[str, Any] = {"xl": 5, "dn": "a", "pe": [{"host": "192.0.2.7", "port": 7000}], "id": IDENTITY}
    yield "every-key", every, told, ("UR-005", "UR-008", "UR-009", "UR-012", "UR-016")
    backwards = f"{plain}?id={text}&pe=192.0.2.7:7000&zz&dn=a&xl=5"
    yield "every-key-backwards", backwards, told, ("UR-005",)
    size = 4096 - len(plain) - len("?zz=")
    yield "size-4096", f"{plain}?zz={'z' * size}", {}, ("UR-014",)


def _invalid() -> Iterator[tuple[str, str, Sequence[str], str]]:
    plain = f"p2pwire:{_TEXT}"
    text = base32(IDENTITY)
    for label, whole in {
        "oid-51": f"p2pwire:{_TEXT[:-1]}",
        "oid-53": f"p2pwire:{_TEXT}a",
        "oid-56-padded": f"p2pwire:{_TEXT}====",
        "oid-empty": "p2pwire:",
        "oid-digit-0": f"p2pwire:0{_TEXT[1:]}",
        "oid-digit-1": f"p2pwire:1{_TEXT[1:]}",
        "oid-digit-8": f"p2pwire:8{_TEXT[1:]}",
        "oid-slashes": f"p2pwire://{_TEXT}",
        "oid-encoded": f"p2pwire:%{ord(_TEXT[0]):02x}{_TEXT[1:]}",
        "oid-dotless": f"p2pwire:\u0131{_TEXT[1:]}",
        **{f"oid-bit-{bit}": f"p2pwire:{_TEXT[:-1]}{_with_bit(_TEXT[-1], bit)}" for bit in range(4)},
    }.items():
        yield label, whole, ("UR-003",), "oid"
    for label, whole in {
        "percent-alone": f"{plain}?dn=%",
        "percent-one-digit": f"{plain}?dn=%4",
        "percent-no-hex": f"{plain}?dn=%zz",
        "percent-unknown-key": f"{plain}?zz=%4",
        "space": f"{plain}?dn=a b",
        "quote": f'{plain}?dn="a"',
        "angle": f"{plain}?dn=<a>",
        "backslash-raw": f"{plain}?zz=\\",
        "caret": f"{plain}?zz=^",
        "pipe": f"{plain}?zz=|",
        "brace": f"{plain}?zz={{}}",
        "unicode-raw": f"{plain}?dn=é",
        "newline": f"{plain}?zz=\n",
    }.items():
        yield label, whole, ("UR-004",), "dn-plain" if "dn=" in whole else "unknown"
    for label, value in {"ff": "%FF", "cut": "%C3", "overlong": "%C0%AF", "surrogate": "%ED%A0%80"}.items():
        yield f"dn-utf-8-{label}", f"{plain}?dn={value}", ("UR-015",), "dn-plain"
    for key, value in (("xl", "5"), ("dn", "a"), ("id", text)):
        twice = f"{plain}?{key}={value}&{key}={value}"
        yield f"{key}-twice", twice, ("UR-006",), {"xl": "xl-5", "dn": "dn-plain", "id": "id"}[key]
    for label, value in {
        "name": "example.org:80",
        "no-port": "192.0.2.7",
        "empty-port": "192.0.2.7:",
        "port-0": "192.0.2.7:0",
        "port-65536": "192.0.2.7:65536",
        "port-leading-zero": "192.0.2.7:080",
        "port-sign": "192.0.2.7:+80",
        "port-hex": "192.0.2.7:0x50",
        "empty": "",
        "octet-256": "192.0.2.256:80",
        "octets-3": "192.0.2:80",
        "octet-zero": "192.0.02.7:80",
        "number": "3221225991:80",
        "ipv6-bare": "::1:80",
        "ipv6-open": "[::1:80",
        "ipv6-zone": "[fe80::1%25eth0]:80",
        "ipv6-bad": "[:::]:80",
        "ipv4-brackets": "[192.0.2.7]:80",
        "space-in": "192.0.2.7:80%20",
        "arabic-digits": "192.0.2.7:%D9%A8",
    }.items():
        yield f"pe-{label}", f"{plain}?pe={value}", ("UR-008",), "pe-ipv4"
    for label, value in {
        "empty": "",
        "sign": "+5",
        "minus": "-5",
        "leading-zero": "05",
        "hex": "0x5",
        "fraction": "5.0",
        "space": "%205",
        "underscore": "5_0",
        "too-large": str(MAX_LENGTH + 1),
        "far-too-large": "9" * 40,
        "arabic-digits": "%D9%A5",
    }.items():
        yield f"xl-{label}", f"{plain}?xl={value}", ("UR-009",), "xl-5"
    for label, value in {
        "empty": "",
        "slash": "a/b",
        "slash-encoded": "a%2Fb",
        "backslash": "a%5Cb",
        "dot": ".",
        "dot-dot": "..",
        "dot-dot-encoded": "%2E%2E",
        "zero": "%00",
        "newline": "a%0A",
        "delete": "%7F",
        "c1": "%C2%85",
        "size-256": "n" * 256,
        "size-256-bytes": "%C3%A9" * 128,
    }.items():
        yield f"dn-{label}", f"{plain}?dn={value}", ("UR-012",), "dn-plain"
    for label, value in {
        "empty": "",
        "short": text[:-1],
        "long": f"{text}a",
        "padded": f"{text}====",
        "bit": text[:-1] + _with_bit(text[-1], 0),
        "digit-1": f"1{text[1:]}",
        "weak-one": base32((1).to_bytes(32, "little")),
        "weak-zero": base32(bytes(32)),
        "weak-p": base32((2**255 - 19).to_bytes(32, "little")),
        "no-point": base32((2).to_bytes(32, "little")),
    }.items():
        yield f"id-{label}", f"{plain}?id={value}", ("UR-016",), "id"
    size = 4096 - len(plain) - len("?zz=")
    yield "size-4097", f"{plain}?zz={'z' * (size + 1)}", ("UR-014",), "size-4096"
    query = "&".join(f"pe=192.0.2.7:{n}" for n in range(1, 34))
    yield "pe-33", f"{plain}?{query}", ("UR-014",), "pe-32"
    yield "fragment", f"{plain}#a", ("UR-014",), "oid"
    yield "fragment-empty", f"{plain}#", ("UR-014",), "oid"
    yield "fragment-after-query", f"{plain}?zz=1#a", ("UR-014",), "unknown"
    for label, whole in {
        "scheme-other": f"magnet:{_TEXT}",
        "scheme-longer": f"p2pwires:{_TEXT}",
        "scheme-none": _TEXT,
        "scheme-space": f" p2pwire:{_TEXT}",
    }.items():
        yield label, whole, ("UR-002",), "oid"


def _with_bit(letter: str, bit: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    return letters[letters.index(letter) | 1 << bit]
