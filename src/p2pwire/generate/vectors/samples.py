"""Well-formed messages from which the vectors of the codec are made: field values by the names of the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from p2pwire.wire.registry import BLOCK_SIZE, MAX_FRAME_BODY, MAX_OFFERED

Values = Mapping[str, Any]


def counting(size: int, first: int = 0) -> bytes:
    """Bytes that count up: easy to see in a dump, and each at a place of its own."""
    return bytes((first + number) % 256 for number in range(size))


def parameter(tag: int, value: bytes = b"") -> Values:
    """One parameter of a preamble, of a payload or of HELLO."""
    return {"tag": tag, "value": value}


def extension(name: str, base: int, count: int = 1, params: bytes = b"") -> Values:
    """One extension of HELLO."""
    return {"name": name, "base": base, "count": count, "params": params}


def extension_bytes(name: str, base: int, count: int = 1, params: bytes = b"") -> bytes:
    """The same as HELLO's parameter holds it, right or wrong."""
    return bytes((len(name),)) + name.encode() + bytes((base, count, len(params))) + params


TCP4: Final = {"type": 1, "value": bytes.fromhex("c00002071b58")}
TCP6: Final = {"type": 2, "value": bytes.fromhex("20010db80000000000000000000000071b58")}
RELAY: Final = {"type": 3, "value": counting(32, 1)}
ONION: Final = {"type": 4, "value": counting(34, 2)}
WEBRTC: Final = {"type": 5, "value": counting(32, 3)}
FUTURE: Final = {"type": 200, "value": b"what this is, nobody knows yet"}

_RECORD: Final = {
    "version": 1,
    "identity": counting(32, 16),
    "sequence": 1_800_000_000,
    "ttl": 7200,
    "flags": 0,
    "addresses": [TCP4, TCP6],
    "signature": counting(64, 64),
}
_HELLO: Final = {"max_requests": 256, "max_handles": 64, "idle": 150, "parameters": []}
_OFFER: Final = {"versions": [1], "suites": [1], "key_suite": 1, "parameters": []}
_ENTRY: Final = {"type": 0, "path": "a/b", "length": 5, "root": counting(32, 5)}
_CLOSE: Final = {"code": 2, "frame_type": 0x20, "detail": "level 7"}

SAMPLES: Final[Mapping[str, Mapping[str, Values]]] = {
    "PreambleHeader": {
        "one": {"magic": None, "kind": 1, "length": 10},
        "least": {"magic": None, "kind": 2, "length": 4},
        "most": {"magic": None, "kind": 3, "length": 512},
    },
    "Parameter": {
        "one": parameter(1, b"value"),
        "empty": parameter(0),
        "grease": parameter(0x0B, b"\x0b"),
        "most": parameter(255, counting(255)),
    },
    "InitiatorPreamble": {
        "one": _OFFER,
        "two": {**_OFFER, "versions": [1, 2], "suites": [2, 1], "key_suite": 2},
        "grease": {
            "versions": [0x1A1A, 1],
            "suites": [1, 2, 0xFAFA],
            "key_suite": 1,
            "parameters": [parameter(0x2B, b"x")],
        },
        "most": {
            "versions": list(range(1, 1 + MAX_OFFERED)),
            "suites": list(range(1, 1 + MAX_OFFERED)),
            "key_suite": MAX_OFFERED,
            "parameters": [parameter(1), parameter(2, counting(200)), parameter(3, counting(236))],
        },
    },
    "ResponderPreamble": {
        "one": {"version": 1, "suite": 1, "parameters": []},
        "parameters": {"version": 1, "suite": 3, "parameters": [parameter(7, b"seven"), parameter(0xEB)]},
        "most": {
            "version": 0xFFFF,
            "suite": 0xFFFF,
            "parameters": [parameter(1, counting(255)), parameter(2, counting(249))],
        },
    },
    "Refusal": {
        "one": {"reason": 1, "versions": [1], "suites": [1]},
        "grease": {"reason": 3, "versions": [1, 0x2A3A], "suites": [2, 1, 0x4A5A]},
        "most": {"reason": 255, "versions": list(range(100, 116)), "suites": list(range(16))},
    },
    "HandshakeHeader": {"one": {"length": 32}},
    "HandshakePayload": {
        "one": {"identity": counting(32), "signature": counting(64, 32), "parameters": []},
        "parameters": {
            "identity": counting(32),
            "signature": counting(64, 32),
            "parameters": [parameter(1, b"one"), parameter(0x4B), parameter(0xFF, b"last")],
        },
        "most": {
            "identity": counting(32),
            "signature": counting(64, 32),
            "parameters": [parameter(n, counting(255 if n < 3 else 59)) for n in range(4)],
        },
    },
    "RecordHeader": {"one": {"length": 27}, "nineteen": {"length": 19}},
    "FrameHeader": {"one": {"type": 4, "length": 8}, "unknown": {"type": 0x81, "length": 3}},
    "Address": {
        "tcp4": TCP4,
        "tcp6": TCP6,
        "relay": RELAY,
        "onion": ONION,
        "webrtc": WEBRTC,
        "unknown": FUTURE,
        "unknown-empty": {"type": 0, "value": b""},
        "unknown-most": {"type": 255, "value": counting(255)},
    },
    "PeerRecord": {
        "two": _RECORD,
        "none": {**_RECORD, "addresses": []},
        "every-type": {**_RECORD, "addresses": [TCP4, TCP6, RELAY, ONION, WEBRTC, FUTURE]},
        "eight": {**_RECORD, "addresses": [TCP4] * 8},
        "most": {**_RECORD, "addresses": [{"type": 99, "value": counting(255)}, {"type": 99, "value": counting(142)}]},
    },
    "HelloParameter": {
        "one": parameter(1, b"agent/1"),
        "empty": parameter(255),
        "unknown": parameter(77, counting(300)),
    },
    "Agent": {
        "one": {"name": "someone/1.0"},
        "empty": {"name": ""},
        "unicode": {"name": "Zoë 🦊"},
        "most": {"name": "x" * 64},
    },
    "Extension": {
        "one": extension("chat/1", 0x80, 2, b"\x01"),
        "grease": extension("grease/1", 0xFE),
        "most": extension("a-z.0/9" * 4 + "abcd", 0xEF, 16, counting(255)),
    },
    "Extensions": {
        "none": {"entries": []},
        "two": {"entries": [extension("a/1", 0x82, 2), extension("b/1", 0x80, 2)]},
        "most": {"entries": [extension(f"x/{n}", 0x80 + n) for n in range(24)]},
    },
    "Hello": {
        "one": _HELLO,
        "every-tag": {
            **_HELLO,
            "parameters": [
                parameter(1, b"someone/1.0"),
                parameter(2, counting(111)),
                parameter(3, bytes.fromhex("0106c00002071b58")),
                parameter(4, extension_bytes("chat/1", 0x80, 2)),
                parameter(0x0B, b"grease"),
                parameter(0x60, b"a tag of the future"),
            ],
        },
        "record-malformed": {**_HELLO, "parameters": [parameter(2, b"no record at all")]},
    },
    "Pad": {"one": {"data": b"\x00\x01\x02"}, "empty": {"data": b""}},
    "Close": {
        "one": _CLOSE,
        "none": {"code": 0, "frame_type": 0xFF, "detail": ""},
        "grease": {"code": 0x0A0A, "frame_type": 0xFF, "detail": ""},
        "unicode": {**_CLOSE, "detail": "näher — 近 🦊"},
        "edges": {**_CLOSE, "detail": " ~\u00a0\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"},
        "most": {**_CLOSE, "detail": "d" * 256},
    },
    "Ping": {"one": {"data": b"12345678"}, "zero": {"data": bytes(8)}},
    "Pong": {"one": {"data": b"12345678"}, "ones": {"data": b"\xff" * 8}},
    "Join": {
        "one": {"handle": 1, "flags": 4, "topic": counting(32), "cap": counting(32, 32)},
        "reserved": {"handle": 1, "flags": 0xF8, "topic": counting(32), "cap": counting(32, 32)},
    },
    "Refuse": {"one": {"handle": 1, "code": 0}},
    "Leave": {"one": {"handle": 258}},
    "Object": {
        "blob": {"handle": 1, "kind": 0, "length": 40000, "root": counting(32)},
        "manifest": {"handle": 1, "kind": 1, "length": 205, "root": counting(32)},
        "empty": {"handle": 1, "kind": 0, "length": 0, "root": bytes(32)},
    },
    "Span": {
        "one": {"first": 1, "last": 2},
        "single": {"first": 7, "last": 7},
        "all": {"first": 0, "last": 0xFFFF},
    },
    "Have": {
        "two": {"handle": 1, "spans": [{"first": 0, "last": 2}, {"first": 5, "last": 5}]},
        "adjacent": {"handle": 1, "spans": [{"first": 1, "last": 2}, {"first": 3, "last": 4}]},
        "all": {"handle": 1, "spans": [{"first": 0, "last": 0xFFFF}]},
        "many": {"handle": 1, "spans": [{"first": n, "last": n} for n in range(0, 512, 2)]},
    },
    "Lost": {
        "two": {"handle": 1, "spans": [{"first": 0, "last": 2}, {"first": 5, "last": 5}]},
        "adjacent": {"handle": 1, "spans": [{"first": 1, "last": 2}, {"first": 3, "last": 4}]},
        "all": {"handle": 1, "spans": [{"first": 0, "last": 0xFFFF}]},
    },
    "Interest": {"on": {"handle": 1, "on": True}, "off": {"handle": 1, "on": False}},
    "Credit": {"one": {"blocks": 128}, "most": {"blocks": 2**64 - 1}},
    "Suggest": {"one": {"handle": 1, "first": 3, "last": 4}, "single": {"handle": 1, "first": 3, "last": 3}},
    "Request": {
        "one": {"id": 7, "handle": 1, "file": 0, "block": 64, "level": 2},
        "manifest": {"id": 7, "handle": 1, "file": 0xFFFFFFFF, "block": 0, "level": 0},
        "last": {"id": 7, "handle": 1, "file": 0, "block": 0xFFFFFFC0, "level": 6},
        **{f"level-{n}": {"id": 1, "handle": 1, "file": 0, "block": 1 << n, "level": n} for n in range(7)},
    },
    "Data": {
        "one": {"id": 7, "block": 64, "proof": [counting(32), counting(32, 32)], "data": b"content"},
        "no-proof": {"id": 7, "block": 65, "proof": [], "data": b"c"},
        "proof-most": {"id": 7, "block": 0, "proof": [counting(32, n) for n in range(32)], "data": b"c"},
        "most": {"id": 7, "block": 0, "proof": [counting(32, n) for n in range(32)], "data": counting(BLOCK_SIZE)},
    },
    "Reject": {
        "one": {"id": 7, "code": 1, "retry": 0},
        "choked": {"id": 7, "code": 2, "retry": 1500},
        "busy": {"id": 7, "code": 4, "retry": 65535},
    },
    "Cancel": {"one": {"id": 7}},
    "SharedRecord": {
        "one": {"flags": 1, "record": counting(111)},
        "least": {"flags": 0, "record": b"r"},
        "most": {"flags": 0xFF, "record": counting(512)},
    },
    "Peers": {
        "both": {"handle": 1, "added": [{"flags": 1, "record": counting(111)}], "dropped": [counting(32)]},
        "added": {"handle": 1, "added": [{"flags": 0, "record": counting(111)}], "dropped": []},
        "dropped": {"handle": 1, "added": [], "dropped": [counting(32)]},
        "no-record": {"handle": 1, "added": [{"flags": 0, "record": b"no record"}], "dropped": []},
        "most": {
            "handle": 1,
            "added": [{"flags": 0, "record": counting(512, n)} for n in range(32)],
            "dropped": [counting(32, n) for n in range(64)],
        },
    },
    "GetPeers": {"one": {"handle": 1, "max": 32}},
    "ManifestHeader": {"one": {"magic": None, "count": 3}},
    "ManifestEntry": {
        "file": _ENTRY,
        "executable": {**_ENTRY, "type": 1},
        "empty": {"type": 0, "path": "a", "length": 0, "root": bytes(32)},
        "directory": {"type": 2, "path": "a", "length": 0, "root": bytes(32)},
        "unicode": {**_ENTRY, "path": "Zoë/🦊"},
        "decomposed": {**_ENTRY, "path": "Zoe\u0308"},
        "dots": {**_ENTRY, "path": "..../.a/a./..a"},
        "odd": {**_ENTRY, "path": "CON/a:b/ x /\u202e~*?\u0080\u009f"},
        "component-most": {**_ENTRY, "path": "c" * 255},
        "components-most": {**_ENTRY, "path": "/".join("abcdefghijklmnopqrstuvwxyz012345")},
        "path-1023": {**_ENTRY, "path": "/".join(["p" * 255] * 4)},
        "path-1024": {**_ENTRY, "path": "/".join(["p" * 203] * 4 + ["q" * 208])},
    },
}
"""Message -> name -> values. The first of each message is the one that is damaged everywhere."""

LARGEST: Final[Mapping[str, Values]] = {
    "Pad": {"data": bytes(MAX_FRAME_BODY)},
    "Hello": {**_HELLO, "parameters": [parameter(99, bytes(MAX_FRAME_BODY - 9))]},
    "Have": {"handle": 1, "spans": [{"first": 4 * n, "last": 4 * n + 1} for n in range(16378)]},
}
"""Messages that fill a frame."""
