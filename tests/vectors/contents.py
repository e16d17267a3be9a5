"""The reference's hashing, proofs, manifests, peer book and names as judges."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

from p2pwire.connection.config import Role
from p2pwire.content.hashing import block_count, block_length, tree_height
from p2pwire.content.manifest import Manifest, ManifestError
from p2pwire.content.merkle import ProofChecker, ProofError, Tree, TreeBuilder
from p2pwire.content.objects import ObjectInfo, cap
from p2pwire.content.units import unit_exponent
from p2pwire.content.uri import Uri, UriError
from p2pwire.crypto.identity import Identity, Purpose, parse_peer_id, peer_id_text, verify
from p2pwire.crypto.noise import derive_psk
from p2pwire.node.address import Scope
from p2pwire.node.peerbook import Origin, Outcome, PeerBook
from p2pwire.wire.keys import encode_name, is_identity
from p2pwire.wire.messages import PeerRecord

from .reading import Json, Verdict


@cache
def _turn(salt: int) -> bytes:
    return bytes((salt + n) % 251 for n in range(251))


def content(given: Json) -> bytes:
    """Bytes as vectors write them: hexadecimal, or a piece of a pattern."""
    if isinstance(given, str):
        return bytes.fromhex(given)
    start = (given["salt"] + given["start"]) % 251
    data = bytearray((_turn(0)[start:] + _turn(0) * (given["length"] // 251 + 1))[: given["length"]])
    if "flip" in given:
        data[given["flip"]] ^= 1
    return bytes(data)


def judge_tree(given: Json) -> Verdict:
    """Family tree."""
    if "blocks" in given:
        total = given["blocks"]
        u = unit_exponent(total)
        return Verdict(True, {"u": u, "units": -(-total >> u)})
    if "length" in given:
        length = given["length"]
        last = block_length(length, block_count(length) - 1) if length else 0
        return Verdict(True, {"blocks": block_count(length), "height": tree_height(length), "last_block": last})
    builder = TreeBuilder()
    builder.update(content(given["content"]))
    leaves = builder.finish()
    height = tree_height(leaves.length)
    rows: list[list[str]] = []
    if leaves.length and height < 4:
        tree = Tree.from_leaves(leaves.length, leaves.hashes)
        for level in range(height):
            # The sibling of a block's neighbour is the block's own node.
            count = 1 << (height - level)
            firsts = [index << level for index in range(count)]
            known = [_node(tree, level, first) for first in firsts]
            rows.append([node.hex() for node in known])
        rows.append([leaves.root.hex()])
    blocks = block_count(leaves.length)
    return Verdict(True, {"blocks": blocks, "height": height, "root": leaves.root.hex(), "levels": rows})


def _node(tree: Tree, level: int, first: int) -> bytes:
    return tree.siblings(first ^ (1 << level), level + 1)[level]


def judge_proof(given: Json) -> Verdict:
    """Family proof."""
    checker = ProofChecker(given["length"], bytes.fromhex(given["root"]), given["first"], given["level"])
    blocks: list[int] = []
    for answer in given["answers"]:
        try:
            proof = tuple(map(bytes.fromhex, answer["proof"]))
            checker.check(answer["block"], proof, content(answer["data"]))
        except ProofError as error:
            code = "UNSOLICITED" if error.field == "block" else "BAD_DATA"
            return Verdict(False, {"blocks": blocks}, f"CLOSE {code}")
        blocks.append(answer["block"])
    assert checker.complete
    return Verdict(True, {"blocks": blocks})


def judge_manifest(given: Json) -> Verdict:
    """Family manifest."""
    data = bytes.fromhex(given["bytes"])
    try:
        found = Manifest.decode(data)
    except ManifestError:
        return Verdict(False, outcome="unusable")
    builder = TreeBuilder()
    builder.update(data)
    info = ObjectInfo(1, len(data), builder.finish().root)
    listed = [
        {"type": int(entry.type), "path": entry.path, "length": entry.length, "root": entry.root.hex()}
        for entry in found
    ]
    assert bytes(Manifest.from_entries(reversed(list(found))).data) == data
    return Verdict(True, {"entries": listed, "blocks": found.total_blocks, "oid": info.oid.hex()})


_CHECKS = {
    Outcome.MALFORMED: "PX-021",
    Outcome.BAD_KEY: "PX-022",
    Outcome.OWN: "PX-022",
    Outcome.CLOCK: "PX-023",
    Outcome.OLD: "PX-024",
    Outcome.FORGED: "PX-027",
}


def judge_peer_record(given: Json) -> Verdict:
    """Family peer-record."""
    book = PeerBook(bytes.fromhex(given["own"]), random=bytes)
    origin = Origin(bytes([1]) * 32, b"group", Scope.GLOBAL)
    if given["held"] is not None:
        held = bytes.fromhex(given["held"])
        made = PeerRecord.decode(held).sequence
        assert book.offer(held, origin, made, topic=bytes(32)) is Outcome.STORED
    outcome = book.offer(bytes.fromhex(given["bytes"]), origin, given["now"], topic=bytes(32))
    if outcome in _CHECKS:
        return Verdict(False, {"check": _CHECKS[outcome]}, "drop")
    return Verdict(True, {"becomes": outcome.name.lower()})


def judge_name(given: Json) -> Verdict:
    """Family name."""
    raw = {name: bytes.fromhex(given[name]) for name in ("root", "oid", "handshake_hash", "seed") if name in given}
    match given["derive"]:
        case "object":
            info = ObjectInfo(given["kind"], given["length"], raw["root"])
            text = encode_name(info.oid)
            return Verdict(True, {"oid": info.oid.hex(), "topic": info.topic.hex(), "text": text})
        case "cap":
            made = cap(raw["oid"], Role[given["role"].upper()] is Role.INITIATOR, raw["handshake_hash"])
            return Verdict(True, {"cap": made.hex()})
        case "psk":
            return Verdict(True, {"psk": derive_psk(bytes.fromhex(given["network_secret"])).hex()})
        case "signature":
            signer, purpose = Identity.from_seed(raw["seed"]), Purpose(given["purpose"].encode())
            signature = signer.sign(purpose, bytes.fromhex(given["content"]))
            assert verify(signer.public, purpose, bytes.fromhex(given["content"]), signature)
            return Verdict(True, {"identity": signer.public.hex(), "signature": signature.hex()})
        case "webrtc":
            # The reference has no such carrier yet.
            parts = bytes.fromhex(given["fingerprint_i"] + given["fingerprint_r"])
            return Verdict(True, {"binding": sha256(b"p2pwire/1 webrtc\0" + parts).hexdigest()})
    raise AssertionError(given["derive"])


def judge_identity(given: Json) -> Verdict:
    """Family identity."""
    key = bytes.fromhex(given["identity"])
    if not is_identity(key):
        return Verdict(False, outcome="error")
    text = peer_id_text(key)
    assert parse_peer_id(text.upper()) == key
    return Verdict(True, {"text": text})


def judge_uri(given: Json) -> Verdict:
    """Family uri."""
    try:
        found = Uri.parse(given["uri"])
    except UriError:
        return Verdict(False, outcome="error")
    assert Uri.parse(str(found)) == found
    return Verdict(
        True,
        {
            "oid": found.oid.hex(),
            "xl": found.length,
            "dn": found.name,
            "pe": [{"host": peer.host, "port": peer.port} for peer in found.peers],
            "id": None if found.identity is None else found.identity.hex(),
        },
    )
