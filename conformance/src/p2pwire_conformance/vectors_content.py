"""Judges of vectors about content: trees, proofs, manifests, peer records, names, identities and URIs."""

from __future__ import annotations

import base64
import hashlib
import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import unquote_to_bytes

from p2pwire_conformance.content import BLOCK, NO_ROOT, File, blocks_of, pattern, unit_shift
from p2pwire_conformance.keys import base32, cap_of, digest, oid_of, psk_of, topic_of, verify
from p2pwire_conformance.message import Malformed, Tree, decode
from p2pwire_conformance.protocol import constant
from p2pwire_conformance.vectors import Json, Verdict
from p2pwire_conformance.vectors_handshake import acceptable, public_of, signed
from p2pwire_conformance.vectors_wire import value_of

FIELD_PRIME: Final = (1 << 255) - 19
CURVE_D: Final = -121665 * pow(121666, -1, FIELD_PRIME) % FIELD_PRIME
SHOWN_LEVELS: Final = 4
"""levels of a tree that vectors write out at most."""


def content(given: Json) -> bytes:
    """Bytes as vectors write them: hexadecimal, or a piece of a pattern."""
    if isinstance(given, str):
        return bytes.fromhex(given)
    data = bytearray(pattern(given["length"], given["salt"] + given["start"]))
    if "flip" in given:
        data[given["flip"]] ^= 1
    return bytes(data)


# --- trees and proofs ---


def judge_tree(given: Json) -> Verdict:
    """Family tree: a content, a length, or a number of blocks."""
    if "blocks" in given:
        u = unit_shift(given["blocks"])
        return Verdict(True, {"u": u, "units": -(-given["blocks"] // (1 << u))})
    if "length" in given:
        blocks = blocks_of(given["length"])
        last = given["length"] - (blocks - 1) * BLOCK if blocks else 0
        return Verdict(True, {"blocks": blocks, "height": _height(blocks), "last_block": last})
    file = File(content(given["content"]))
    shown = file.levels if len(file.levels) <= SHOWN_LEVELS else []
    return Verdict(
        True,
        {
            "blocks": file.count,
            "height": file.height,
            "root": file.root.hex(),
            "levels": [[node.hex() for node in level] for level in shown],
        },
    )


def _height(blocks: int) -> int:
    return (blocks - 1).bit_length() if blocks else 0


def judge_proof(given: Json) -> Verdict:
    """Family proof: an answer, block by block, after section 9.6."""
    root, first = bytes.fromhex(given["root"]), given["first"]
    count = blocks_of(given["length"])
    due = range(first, min(first + (1 << given["level"]), count))
    proved: dict[tuple[int, int], bytes] = {}
    good: list[int] = []
    for number, answer in enumerate(given["answers"]):
        if number >= len(due) or answer["block"] != due[number]:
            return Verdict(False, {"blocks": good}, "CLOSE UNSOLICITED")
        block, data = answer["block"], content(answer["data"])
        size = given["length"] - block * BLOCK if block == count - 1 else BLOCK
        hashes = [bytes.fromhex(text) for text in answer["proof"]]
        offset = block - first
        climb = _trailing_zeros(offset) if offset else _height(count)
        if len(hashes) != climb or len(data) != size:
            return Verdict(False, {"blocks": good}, "CLOSE BAD_DATA")
        node, seen = hashlib.sha256(data).digest(), {}
        for height, sibling in enumerate(hashes):
            seen[height, block >> height ^ 1] = sibling
            pair = (sibling, node) if block >> height & 1 else (node, sibling)
            node = hashlib.sha256(pair[0] + pair[1]).digest()
        if node != (proved[climb, block >> climb] if offset else root):
            return Verdict(False, {"blocks": good}, "CLOSE BAD_DATA")
        proved |= seen
        good.append(block)
    if len(good) != len(due):
        raise ValueError("the answer is not complete")
    return Verdict(True, {"blocks": good})


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1


# --- manifests ---


def judge_manifest(given: Json) -> Verdict:
    """Family manifest."""
    data = bytes.fromhex(given["bytes"])
    try:
        entries = _entries(data)
    except Malformed as error:
        return Verdict(False, None, "unusable", str(error))
    return Verdict(
        True,
        {
            "entries": [value_of(entry) for entry in entries],
            "blocks": sum(blocks_of(entry["length"]) for entry in entries),
            "oid": oid_of(1, len(data), File(data).root).hex(),
        },
    )


def _entries(data: bytes) -> list[Tree]:
    head = decode("ManifestHeader", data[:9])
    entries: list[Tree] = []
    at, last = 9, b""
    while len(entries) < head["count"]:
        size = _entry_size(data[at:])
        entry = decode("ManifestEntry", data[at : at + size])
        key = entry["path"].replace(b"/", b"\0")
        if entries and (key <= last or key.startswith(last + b"\0")):
            raise Malformed("entries", at, "not in order, or below another", "OB-021")
        entries.append(entry)
        at, last = at + size, key
    if at != len(data):
        raise Malformed("entries", at, "bytes after the last one", "OB-023")
    length = sum(entry["length"] for entry in entries)
    if length > constant("MAX_LENGTH") or sum(blocks_of(entry["length"]) for entry in entries) > constant("MAX_BLOCKS"):
        raise Malformed("entries", 0, "too long together", "OB-027")
    return entries


def _entry_size(data: bytes) -> int:
    """How many bytes an entry says that it has; the decoder finds out whether it can be one."""
    size = 3 + int.from_bytes(data[1:3], "big")
    if data[:1] == b"\2":
        return size
    return size + 8 + (32 if any(data[size : size + 8]) else 0)


# --- peer records ---


def judge_peer_record(given: Json) -> Verdict:
    """Family peer-record: the checks of section 11.2 in their order."""
    raw, now = bytes.fromhex(given["bytes"]), given["now"]
    failed = _failed(raw, now, bytes.fromhex(given["own"]))
    if failed:
        return Verdict(False, {"check": failed}, "drop")
    held = None if given["held"] is None else bytes.fromhex(given["held"])
    if raw == held:
        return Verdict(True, {"becomes": "vouched"})
    record = decode("PeerRecord", raw)
    if held is not None and record["sequence"] <= decode("PeerRecord", held)["sequence"]:
        return Verdict(False, {"check": "PX-024"}, "drop")
    if not verify(record["identity"], "peer-record", raw[:-64], record["signature"]):
        return Verdict(False, {"check": "PX-027"}, "drop")
    return Verdict(True, {"becomes": "stored" if held is None else "renewed"})


def _failed(raw: bytes, now: int, own: bytes) -> str:
    try:
        record = decode("PeerRecord", raw)
    except Malformed:
        return "PX-021"
    if not acceptable(record["identity"]) or record["identity"] == own:
        return "PX-022"
    skew = constant("CLOCK_SKEW")
    if record["sequence"] > now + skew or record["sequence"] + record["ttl"] + skew < now:
        return "PX-023"
    return ""


# --- names and identities ---


def judge_name(given: Json) -> Verdict:
    """Family name."""
    match given["derive"]:
        case "object":
            root = bytes.fromhex(given["root"])
            if not given["length"] and root != NO_ROOT:
                raise ValueError("an empty object has no root")
            oid = oid_of(given["kind"], given["length"], root)
            return Verdict(True, {"oid": oid.hex(), "topic": topic_of(oid).hex(), "text": base32(oid)})
        case "cap":
            oid, hash_ = bytes.fromhex(given["oid"]), bytes.fromhex(given["handshake_hash"])
            return Verdict(True, {"cap": cap_of(oid, hash_, initiator=given["role"] == "initiator").hex()})
        case "psk":
            return Verdict(True, {"psk": psk_of(bytes.fromhex(given["network_secret"])).hex()})
        case "signature":
            seed, content_ = bytes.fromhex(given["seed"]), bytes.fromhex(given["content"])
            signature = signed(seed, given["purpose"], content_)
            return Verdict(True, {"identity": public_of(seed).hex(), "signature": signature.hex()})
        case "webrtc":
            parts = (bytes.fromhex(given[f"fingerprint_{side}"]) for side in "ir")
            return Verdict(True, {"binding": digest("webrtc", *parts).hex()})
    raise ValueError(f"nothing derives {given['derive']}")


def is_identity(key: bytes) -> bool:
    """Section 4.4, whole: also that it is a point."""
    y = int.from_bytes(key, "little") & (1 << 255) - 1
    square = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, FIELD_PRIME) % FIELD_PRIME
    return acceptable(key) and pow(square, (FIELD_PRIME - 1) // 2, FIELD_PRIME) in (0, 1)


def judge_identity(given: Json) -> Verdict:
    """Family identity."""
    key = bytes.fromhex(given["identity"])
    if not is_identity(key):
        return Verdict(False, None, "error")
    return Verdict(True, {"text": base32(key)})


# --- URIs ---

_URI: Final = re.compile(r"p2pwire:([a-z2-7]{52})(?:\?(.*))?", re.IGNORECASE | re.ASCII | re.DOTALL)
_QUERY: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?\[\]-]|%[0-9A-Fa-f]{2})*")
_PEER: Final = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\]):([1-9][0-9]{0,4})")


class _NotOne(Exception):
    """A URI that is none."""


def judge_uri(given: Json) -> Verdict:
    """Family uri, after section 7.6."""
    try:
        return Verdict(True, _uri(given["uri"]))
    except _NotOne as error:
        return Verdict(False, None, "error", str(error))


def _uri(text: str) -> dict[str, Json]:
    found = _URI.fullmatch(text)
    if len(text) > constant("MAX_URI") or found is None:
        raise _NotOne("the form")
    values: dict[str, list[str]] = {"xl": [], "dn": [], "pe": [], "id": []}
    query = found[2] or ""
    if not _QUERY.fullmatch(query):
        raise _NotOne("the query")
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key in values:
            try:
                values[key].append(unquote_to_bytes(value).decode("utf-8"))
            except UnicodeDecodeError:
                raise _NotOne(key) from None
    if any(len(values[key]) > 1 for key in ("xl", "dn", "id")) or len(values["pe"]) > constant("MAX_URI_PEERS"):
        raise _NotOne("too often")
    return {
        "oid": _name(found[1]).hex(),
        "xl": _length(values["xl"][0]) if values["xl"] else None,
        "dn": _label(values["dn"][0]) if values["dn"] else None,
        "pe": [_peer(value) for value in values["pe"]],
        "id": _identity(values["id"][0]).hex() if values["id"] else None,
    }


def _name(text: str) -> bytes:
    if not re.fullmatch("[A-Za-z2-7]{52}", text):
        raise _NotOne("no base32")
    raw = base64.b32decode(text.upper() + "====")
    if base32(raw) != text.lower():
        raise _NotOne("last bits")
    return raw


def _identity(text: str) -> bytes:
    raw = _name(text)
    if not is_identity(raw):
        raise _NotOne("no identity")
    return raw


def _length(text: str) -> int:
    if not re.fullmatch("0|[1-9][0-9]{0,19}", text) or int(text) > constant("MAX_LENGTH"):
        raise _NotOne("xl")
    return int(text)


def _label(text: str) -> str:
    controls = any(ord(char) < 0x20 or 0x7F <= ord(char) <= 0x9F for char in text)
    if not 1 <= len(text.encode()) <= 255 or text in (".", "..") or {"/", "\\"} & set(text) or controls:
        raise _NotOne("dn")
    return text


def _peer(text: str) -> dict[str, Json]:
    found = _PEER.fullmatch(text)
    if found is None or int(found[3]) > 65535:
        raise _NotOne("pe")
    try:
        host = IPv4Address(found[1]) if found[1] else IPv6Address(found[2])
    except AddressValueError:
        raise _NotOne("pe") from None
    return {"host": str(host), "port": int(found[3])}
