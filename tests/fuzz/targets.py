"""The targets by name, with the modules that each is for, and what to begin with."""

from __future__ import annotations

import json
from base64 import b85decode, b85encode
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from p2pwire.connection.config import Role
from p2pwire.wire import messages as msg
from tests.connection.remote import raw
from tests.fuzz import decoders, links
from tests.vectors.reading import everything

CORPUS: Final = Path(__file__).parent / "corpus"
MAX_SEED: Final = 2048
"""bytes of the longest input of the corpus that vectors give."""


@attrs.frozen
class Target:
    """One function that takes any bytes."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    covers: tuple[str, ...]
    """Prefixes of the modules that it is for, for figures of coverage."""
    longest: int
    """Bytes of an input."""
    words: tuple[bytes, ...] = ()
    """What is worth a try as a whole."""


def _messages() -> Iterator[bytes]:
    for vector in everything().values():
        given = vector["input"]
        if "message" in given and len(given["bytes"]) <= 2 * MAX_SEED:
            yield bytes((decoders.TITLES.index(given["message"]),)) + bytes.fromhex(given["bytes"])


def _given(family: str, key: str = "bytes") -> Iterator[bytes]:
    for name, vector in everything().items():
        if name.startswith(family + "/") and isinstance(vector["input"].get(key), str):
            text = vector["input"][key]
            found = text.encode("utf-8", "surrogatepass") if key == "uri" else bytes.fromhex(text)
            if len(found) <= MAX_SEED:
                yield found


def _records() -> Iterator[bytes]:
    yield from _given("peer-record")
    yield from (seed[1:] for seed in _messages() if decoders.TITLES[seed[0]] == "PeerRecord")


def _proofs() -> Iterator[bytes]:
    for blob, first, level in ((0, 0, 0), (1, 0, 1), (1, 2, 0), (2, 8, 3), (2, 0, 3), (3, 64, 6), (3, 0, 6)):
        yield bytes((blob, first, level)) + bytes((1, 0)) * 12
    for damage in range(6):
        yield bytes((2, 0, 3)) + bytes((1, 0)) * damage + bytes((1, 1, damage, 0, 1, 2, 3))


def _transcripts(role: Role) -> Iterator[bytes]:
    for setting in range(5):
        frames = (msg.Ping(bytes(8)).encode_frame(), msg.Credit(100).encode_frame())
        if setting != 2:
            yield links.transcript(role, setting, *frames)
            yield links.transcript(
                role, setting, raw(0x7E), raw(0x7D, b"unknown"), msg.Close(0, 255, "bye").encode_frame()
            )


def _scripts() -> Iterator[bytes]:
    steps = {name: number for number, name in enumerate(step.__name__ for step in links.STEPS)}
    arrive = bytes((steps["arrive"], 3))
    join = bytes((steps["good_join"], 0, 0, 0))
    opened = bytes((1, *join, *arrive))
    tell = steps["tell"]
    request = bytes((tell, 8, 0, 1, 0, 0, 0, 2, 1))
    answer = bytes((steps["good_data"], 0, 9))
    out = bytes((steps["bytes_out"],))
    yield opened
    yield opened + request + out + answer * 4 + arrive
    yield opened + request + answer + arrive + answer[:2] + bytes((1, 0, 40, 5)) + arrive
    for command in range(len(links.COMMANDS)):
        yield opened + bytes((tell, command, 0, 1, 2, 3, 0)) + out
    for vector in _messages():
        kind = getattr(msg, decoders.TITLES[vector[0]])
        if hasattr(kind, "TYPE") and len(vector) <= 256:
            yield opened + bytes((steps["any_frame"], kind.TYPE, len(vector) - 1)) + vector[1:] + arrive + out
    asked = msg.Request(7, 0, 0, 0, 2).encode()
    said = opened + bytes((steps["any_frame"], msg.Request.TYPE, len(asked))) + asked + arrive
    yield said + bytes((tell, 10, 0, 1)) * 4 + out
    yield said + bytes((steps["time"], 5)) + out + bytes((steps["time"], 7))
    yield said + bytes((tell, 13, 7, 3, 0)) + out
    yield bytes((0, *join, *arrive))
    yield opened + bytes((steps["damage"], 20)) + bytes(20) + arrive


_CODEC: Final = ("p2pwire.wire.messages", "p2pwire.wire.rules")
_LINK: Final = ("p2pwire.connection",)

TARGETS: Final = {
    "messages": Target(decoders.message, _messages, _CODEC, 4096),
    "manifest": Target(
        decoders.manifest, lambda: (b"\7" + each for each in _given("manifest")), ("p2pwire.content.manifest",), 4096
    ),
    "uri": Target(
        decoders.uri,
        lambda: _given("uri", "uri"),
        ("p2pwire.content.uri", "p2pwire.wire.keys"),
        1024,
        (b"p2pwire:", b"xl=", b"&dn=", b"&pe=", b"&id=", b"%2F", b"127.0.0.1:1", b"[::1]:65535", b"[fe80::1%251]:1"),
    ),
    "record": Target(decoders.record, _records, ("p2pwire.crypto.record", "p2pwire.node.address"), 1024),
    "proof": Target(decoders.proof, _proofs, ("p2pwire.content.proofs",), 1024),
    "initiator": Target(links.initiator, lambda: _transcripts(Role.INITIATOR), _LINK, 2048, (b"p2pwire\0",)),
    "responder": Target(links.responder, lambda: _transcripts(Role.RESPONDER), _LINK, 2048, (b"p2pwire\0",)),
    "link-initiator": Target(links.link_initiator, _scripts, _LINK, 2048),
    "link-responder": Target(links.link_responder, _scripts, _LINK, 2048),
}


def corpus(name: str) -> list[bytes]:
    """The committed inputs of a target."""
    path = CORPUS / f"{name}.json"
    if not path.exists():
        return []
    return [b85decode(line) for line in json.loads(path.read_text(encoding="ascii"))]


def write_corpus(name: str, inputs: Iterable[bytes]) -> int:
    """Commit these; how many bytes that takes."""
    lines = json.dumps([b85encode(each).decode() for each in sorted(set(inputs), key=lambda each: (len(each), each))])
    text = lines.replace('", "', '",\n"') + "\n"
    (CORPUS / f"{name}.json").write_text(text, encoding="ascii")
    return len(text)
