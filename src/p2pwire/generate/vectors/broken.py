"""Messages that break a rule which no single number out of range breaks: the codec's hand-made damage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from p2pwire.generate.vectors.samples import SAMPLES, Values, counting, extension_bytes
from p2pwire.wire import schema
from p2pwire.wire.registry import MAX_FRAME_BODY

Broken = tuple[str, bytes, str]
"""The sample that it is a damage of, its bytes, and what is wrong."""

ILL_FORMED: Final[Mapping[str, bytes]] = {
    "lone-continuation": b"\x80",
    "lone-lead": b"\xc3",
    "overlong-2": b"\xc0\xaf",
    "overlong-3": b"\xe0\x80\xaf",
    "overlong-4": b"\xf0\x80\x80\xaf",
    "surrogate-high": b"\xed\xa0\x80",
    "surrogate-low": b"\xed\xbf\xbf",
    "surrogate-pair": b"\xed\xa0\x80\xed\xb0\x80",
    "above-10ffff": b"\xf4\x90\x80\x80",
    "five-bytes": b"\xf8\x88\x80\x80\x80",
    "cut-3": b"\xe2\x82",
    "cut-4": b"\xf0\x9f\xa6",
    "fe": b"\xfe",
    "ff": b"\xff",
    "latin-1": "ë".encode("latin-1"),
}
"""What is no UTF-8 (RFC 3629)."""

CONTROLS: Final = (*range(0x20), *range(0x7F, 0xA0))
"""U+0000 to U+001F and U+007F to U+009F."""


def _build(title: str, values: Values) -> bytes:
    return next(message for message in schema.MESSAGES if message.title == title).build(values)


def _texts(sample: str, head: bytes) -> Iterator[tuple[str, Broken]]:
    """Text to the end of a message, with what no text may hold."""
    for code in CONTROLS:
        name = f"{sample}/u+{code:04x}"
        yield name, (sample, head + b"a" + chr(code).encode() + b"b", f"the text holds U+{code:04X}")
    for what, raw in ILL_FORMED.items():
        yield f"{sample}/utf-8-{what}", (sample, head + b"a" + raw, "the text is no UTF-8")


def _lists(title: str) -> Iterator[tuple[str, Broken]]:
    """Preambles with lists that can not be."""
    values = SAMPLES[title]["one"]
    key = values.get("key_suite")
    tail = b"" if key is None else key.to_bytes(2, "big")
    head = bytes((values["reason"],)) if "reason" in values else b""

    def made(versions: Sequence[int], suites: Sequence[int]) -> bytes:
        lists = (bytes((len(each),)) + b"".join(n.to_bytes(2, "big") for n in each) for each in (versions, suites))
        return head + b"".join(lists) + tail

    yield "one/versions-twice", ("one", made([1, 1], [1]), "a version is there twice")
    yield "one/versions-twice-apart", ("one", made([1, 2, 1], [1]), "a version is there twice, another between")
    yield "one/versions-grease-twice", ("one", made([0x1A1A, 1, 0x1A1A], [1]), "a GREASE version is there twice")
    yield "one/suites-twice", ("one", made([1], [1, 1]), "a suite is there twice")
    yield "one/suites-grease-twice", ("one", made([1], [0x1A1A, 1, 0x1A1A]), "a GREASE suite is there twice")
    yield "one/versions-none", ("one", made([], [1]), "there is no version")
    yield "one/suites-none", ("one", made([1], []), "there is no suite")
    yield "one/versions-17", ("one", made(list(range(1, 18)), [1]), "there are 17 versions")
    yield "one/suites-17", ("one", made([1], list(range(1, 18))), "there are 17 suites")
    if key is not None:
        yield "one/key-suite-elsewhere", ("one", made([1], [2]), "key_suite is not in the list")
        yield "one/key-suite-grease", ("one", made([1], [1])[:-2] + b"\x0a\x0a", "key_suite is a GREASE value")
        grease = made([1], [1, 0x0A0A])[:-2] + b"\x0a\x0a"
        yield "one/key-suite-grease-listed", ("one", grease, "key_suite is a GREASE value of the list")


def _parameters(title: str, sample: str, limit: int) -> Iterator[tuple[str, Broken]]:
    """Parameters out of order, cut, or too many."""
    head = _build(title, SAMPLES[title][sample])

    def tlv(tag: int, size: int = 0) -> bytes:
        return bytes((tag, size)) + bytes(size)

    yield f"{sample}/tags-descend", (sample, head + tlv(2) + tlv(1), "tags descend")
    yield f"{sample}/tag-twice", (sample, head + tlv(2) + tlv(2), "a tag is there twice")
    yield f"{sample}/tag-twice-apart", (sample, head + tlv(1) + tlv(2) + tlv(1), "a tag is there twice")
    yield f"{sample}/tag-without-length", (sample, head + b"\x01", "a tag without a length")
    yield f"{sample}/value-cut", (sample, head + b"\x01\x02\x00", "a value is shorter than its length")
    yield f"{sample}/grease-descends", (sample, head + tlv(0x2B) + tlv(0x0B), "GREASE tags descend")
    too_long = head + _filling(limit + 1 - len(head))
    yield f"{sample}/one-too-long", (sample, too_long, f"{limit + 1} bytes in all")


def _filling(room: int) -> bytes:
    """Parameters in order that take so many bytes, at least 2."""
    found = b""
    for tag in range(1, 256):
        size = min(255, room - 2)
        size -= room - 2 - size == 1  # the last one takes two bytes itself
        found += bytes((tag, size)) + bytes(size)
        room -= 2 + size
        if not room:
            break
    return found


def _hello() -> Iterator[tuple[str, Broken]]:
    head = _build("Hello", SAMPLES["Hello"]["one"])

    def tlv(tag: int, value: bytes = b"") -> bytes:
        return bytes((tag,)) + len(value).to_bytes(2, "big") + value

    for name, parameters, about in (
        ("tags-descend", tlv(2) + tlv(1, b"a"), "tags descend"),
        ("tag-twice", tlv(1, b"a") + tlv(1, b"a"), "a tag is there twice"),
        ("unknown-tags-descend", tlv(99) + tlv(98), "unknown tags descend"),
        ("unknown-tag-twice", tlv(99) + tlv(99), "an unknown tag is there twice"),
        ("tag-without-length", b"\x05\x00", "a tag with half a length"),
        ("value-cut", b"\x05\x00\x02x", "a value is shorter than its length"),
        ("agent-65", tlv(1, b"a" * 65), "the agent has 65 bytes"),
        ("agent-65-bytes-33-characters", tlv(1, ("é" * 32 + "a").encode()), "the agent has 33 characters, 65 bytes"),
        ("agent-newline", tlv(1, b"a\nb"), "the agent holds a line feed"),
        ("agent-utf-8", tlv(1, b"\xff"), "the agent is no UTF-8"),
        ("observed-empty", tlv(3), "the observed address is empty"),
        ("observed-short", tlv(3, b"\x01\x05" + bytes(5)), "the observed IPv4 address has 5 bytes"),
        ("observed-long", tlv(3, b"\x01\x07" + bytes(7)), "the observed IPv4 address has 7 bytes"),
        ("observed-two", tlv(3, (b"\x01\x06" + bytes(6)) * 2), "there are two observed addresses"),
        ("extensions-name-twice", tlv(4, _extensions("a", 0x80, "a", 0x81)), "an extension is there twice"),
        ("extensions-overlap", tlv(4, _extensions("a", 0x80, "b", 0x80)), "ranges overlap"),
        ("extensions-cut", tlv(4, _extensions("a", 0x80, "b", 0x81)[:-1]), "an extension is cut"),
    ):
        yield f"one/{name}", ("one", head + parameters, about)
    room = MAX_FRAME_BODY - len(head) - 3
    yield "one/one-too-long", ("one", head + tlv(99, bytes(room + 1)), f"{MAX_FRAME_BODY + 1} bytes in all")


def _extensions(one: str, base: int, other: str, other_base: int) -> bytes:
    return extension_bytes(one, base) + extension_bytes(other, other_base)


def _extension() -> Iterator[tuple[str, Broken]]:
    for name in ("A", "a_b", "a b", "ä", "a\0", "a:1", "a+b", "`", "{", "@", "a\\b"):
        data = bytes((len(name.encode()),)) + name.encode() + b"\x80\x01\x00"
        tag = name.encode().hex()
        yield f"one/name-{tag}", ("one", data, f"the name {name!a} holds another character")
    for base, count in ((0xFE, 2), (0xF0, 16), (0xFF, 1), (0x7F, 1), (0x80, 0), (0x80, 17)):
        about = f"types {base:#x} to {base + count - 1:#x}"
        yield f"one/range-{base}-{count}", ("one", extension_bytes("a", base, count), about)
    yield "one/name-empty", ("one", b"\x00\x80\x01\x00", "the name is empty")
    yield "one/name-33", ("one", extension_bytes("n" * 33, 0x80), "the name has 33 bytes")
    yield "one/name-utf-8", ("one", b"\x01\xff\x80\x01\x00", "the name is no UTF-8")


def _extension_lists() -> Iterator[tuple[str, Broken]]:
    many = b"".join(extension_bytes(f"x/{n}", 0x80 + n) for n in range(25))
    for name, data, about in (
        ("name-twice", _extensions("a", 0x80, "a", 0x81), "a name is there twice"),
        ("overlap-same", _extensions("a", 0x80, "b", 0x80), "two ranges are the same"),
        (
            "overlap-last",
            extension_bytes("a", 0x80, 3) + extension_bytes("b", 0x82),
            "the last type of one range is the first of another",
        ),
        (
            "overlap-inside",
            extension_bytes("a", 0x80, 5) + extension_bytes("b", 0x82),
            "one range lies in another",
        ),
        (
            "overlap-backwards",
            extension_bytes("a", 0x82) + extension_bytes("b", 0x80, 3),
            "a range overlaps with one before it",
        ),
        ("twenty-five", many, "there are 25"),
    ):
        yield f"two/{name}", ("two", data, about)


def _spans(title: str) -> Iterator[tuple[str, Broken]]:
    def made(*spans: tuple[int, int]) -> bytes:
        rows = b"".join(n.to_bytes(2, "big") for span in spans for n in span)
        return b"\x00\x01" + len(spans).to_bytes(2, "big") + rows

    for name, data, about in (
        ("none", made(), "there is no span"),
        ("first-above-last", made((3, 2)), "a first is above its last"),
        ("second-first-above-last", made((0, 2), (5, 4)), "the second span's first is above its last"),
        ("touch", made((0, 2), (2, 4)), "one unit is in both spans"),
        ("overlap", made((0, 5), (3, 8)), "spans overlap"),
        ("inside", made((0, 9), (3, 4)), "one span lies in the other"),
        ("same", made((3, 4), (3, 4)), "a span is there twice"),
        ("descend", made((5, 5), (0, 2)), "spans descend"),
        ("third-descends", made((0, 0), (4, 5), (2, 2)), "the third span lies before the second"),
        ("count-16379", b"\x00\x01\x3f\xfb" + bytes(4), "16379 spans are announced"),
    ):
        yield f"two/{name}", ("two", data, about)


def _records() -> Iterator[tuple[str, Broken]]:
    values = SAMPLES["PeerRecord"]["none"]
    whole = _build("PeerRecord", values)
    head, signature = whole[:46], whole[47:]
    for kind, size in ((1, 6), (2, 18), (3, 32), (4, 34), (5, 32)):
        for wrong in (size - 1, size + 1, 0):
            data = head + b"\x01" + bytes((kind, wrong)) + bytes(wrong) + signature
            about = f"an address of type {kind} has {wrong} bytes"
            yield f"none/type-{kind}-{wrong}-bytes", ("none", data, about)
    nine = head + b"\x09" + (b"\x63\x00") * 9 + signature
    yield "none/nine-addresses", ("none", nine, "there are nine addresses")
    fill = b"\x63\xff" + bytes(255) + b"\x63\x8f" + bytes(143)
    yield "most/513-bytes", ("most", head + b"\x02" + fill + signature, "513 bytes in all")


def _addresses() -> Iterator[tuple[str, Broken]]:
    for sample, kind, size in (
        ("tcp4", 1, 6),
        ("tcp6", 2, 18),
        ("relay", 3, 32),
        ("onion", 4, 34),
        ("webrtc", 5, 32),
    ):
        for wrong in (0, size - 1, size + 1, 255):
            data = bytes((kind, wrong)) + bytes(wrong)
            yield f"{sample}/{wrong}-bytes", (sample, data, f"type {kind} with {wrong} bytes")


def _paths() -> Iterator[tuple[str, Broken]]:
    def made(path: bytes) -> bytes:
        return b"\x00" + len(path).to_bytes(2, "big") + path + (5).to_bytes(8, "big") + counting(32, 5)

    named = {
        "empty": b"",
        "slash": b"/",
        "leading-slash": b"/a",
        "trailing-slash": b"a/",
        "two-slashes": b"a//b",
        "dot": b".",
        "dot-dot": b"..",
        "dot-first": b"./a",
        "dot-dot-first": b"../a",
        "dot-last": b"a/.",
        "dot-dot-last": b"a/..",
        "dot-inside": b"a/./b",
        "dot-dot-inside": b"a/../b",
        "backslash": b"a\\b",
        "drive": b"C:\\a",
        "component-256": b"c" * 256,
        "second-component-256": b"a/" + b"c" * 256,
        "component-256-bytes": "é".encode() * 128,
        "components-33": b"/".join([b"a"] * 33),
        "path-1025": b"/".join([b"p" * 204] * 4 + [b"q" * 205]),
    }
    for name, path in named.items():
        yield f"file/path-{name}", ("file", made(path), f"the path is {name}")
    for code in (*range(0x20), 0x7F):
        yield f"file/path-byte-{code:02x}", ("file", made(b"a" + bytes((code,)) + b"b"), f"a byte is {code:#04x}")
    for name, raw in ILL_FORMED.items():
        yield f"file/path-utf-8-{name}", ("file", made(b"a" + raw), "the path is no UTF-8")
    directory = b"\x02\x00\x01a"
    yield "directory/with-length", ("directory", directory + bytes(8), "a directory has a length")
    yield "empty/with-root", ("empty", b"\x00\x00\x01a" + bytes(8) + bytes(32), "an empty file has a root")


def _others() -> Iterator[tuple[str, str, Broken]]:
    for level in range(1, 7):
        for block in ((1 << level) - 1, (1 << level) + 1, 1 << level - 1):
            values = {"id": 1, "handle": 1, "file": 0, "block": 0, "level": level}
            whole = _build("Request", values)
            request = whole[:10] + block.to_bytes(4, "big") + whole[14:]
            about = f"block {block} is no multiple of {1 << level}"
            yield "Request", f"level-{level}/block-{block}", (f"level-{level}", request, about)
    for code in (1, 3, 5, 6):
        for retry in (1, 65535):
            data = b"\0\0\0\x07" + bytes((code,)) + retry.to_bytes(2, "big")
            yield "Reject", f"one/code-{code}-retry-{retry}", ("one", data, f"code {code} with a time to wait")
    yield "Peers", "both/both-empty", ("both", b"\x00\x01\x00\x00", "both lists are empty")
    yield "Peers", "both/empty-record", ("both", b"\x00\x01\x01\x00\x00\x00\x00", "a record has no bytes")
    long = b"\x00\x01\x01\x00\x02\x01" + bytes(513) + b"\x00"
    yield "Peers", "both/record-513", ("both", long, "a record has 513 bytes")
    yield "Suggest", "one/first-above-last", ("one", b"\x00\x01\x00\x05\x00\x04", "first is above last")
    yield "Span", "one/first-above-last", ("one", b"\x00\x05\x00\x04", "first is above last")
    yield "Data", "one/no-data", ("one", b"\0\0\0\x07\0\0\0\x40\x00", "there is no data")
    yield (
        "Data",
        "one/16385-bytes",
        ("one", b"\0\0\0\x07\0\0\0\x40\x00" + bytes(16385), "there are 16385 bytes"),
    )
    yield "Close", "one/detail-257", ("one", b"\x00\x02\x20" + b"d" * 257, "the detail has 257 bytes")
    yield "Agent", "one/65-bytes", ("one", b"a" * 65, "there are 65 bytes")


def _all() -> dict[str, dict[str, Broken]]:
    found: dict[str, dict[str, Broken]] = {
        "Agent": dict(_texts("one", b"")),
        "Close": dict(_texts("one", b"\x00\x02\x20")),
        "InitiatorPreamble": {
            **dict(_lists("InitiatorPreamble")),
            **dict(_parameters("InitiatorPreamble", "one", 512)),
        },
        "ResponderPreamble": dict(_parameters("ResponderPreamble", "one", 512)),
        "Refusal": dict(_lists("Refusal")),
        "HandshakePayload": dict(_parameters("HandshakePayload", "one", 928)),
        "Hello": dict(_hello()),
        "Extension": dict(_extension()),
        "Extensions": dict(_extension_lists()),
        "Have": dict(_spans("Have")),
        "Lost": dict(_spans("Lost")),
        "PeerRecord": dict(_records()),
        "Address": dict(_addresses()),
        "ManifestEntry": dict(_paths()),
    }
    for title, name, broken in _others():
        found.setdefault(title, {})[name] = broken
    return found


BROKEN: Final[Mapping[str, Mapping[str, Broken]]] = _all()
"""Message -> name -> damage."""
