"""Targets: whatever reads bytes or text in one go. Each fails by an exception that is not meant."""

from __future__ import annotations

from typing import Any, Final

from p2pwire.content.hashing import BLOCK, block_count
from p2pwire.content.manifest import Manifest, ManifestError, ManifestReader
from p2pwire.content.proofs import ProofChecker, ProofError
from p2pwire.content.uri import Endpoint, Uri, UriError
from p2pwire.crypto.record import verify_record
from p2pwire.node.address import endpoints_of
from p2pwire.wire import messages as msg
from tests.connection.remote import Blob
from tests.fuzz.script import Script
from tests.wire.oracle import CLASSES, decoded, encoded, parsed

TITLES: Final = sorted(CLASSES)
"""Messages by the first byte of an input."""

INTERPRETED: Final = 2048
"""bytes up to which the schema is interpreted beside the generated codec, which is slow."""


def message(data: bytes) -> None:
    """Any message: read as the interpreted schema reads it, and written as it was read."""
    title, body = TITLES[data[0] % len(TITLES)] if data else TITLES[0], data[1:]
    if len(body) <= INTERPRETED:
        assert decoded(title, body) == parsed(title, body), f"{title}: the generated and the interpreted codec differ"
    try:
        read: Any = CLASSES[title].decode(memoryview(body))
    except msg.DecodeError as error:
        assert str(error)
        return
    assert encoded(read) == body, f"{title}: it is written in another way than it was read"


def manifest(data: bytes) -> None:
    """A manifest in pieces and as a whole: the same manifest, or the same fault."""
    script = Script(data)
    size = 1 + script.number(256)
    whole = script.rest()
    reader, found, error = ManifestReader(), None, None
    try:
        for at in range(0, len(whole), size):
            reader.feed(whole[at : at + size])
        found = reader.finish()
    except ManifestError as first:
        error = first
    try:
        again = Manifest.decode(whole)
    except ManifestError as second:
        assert error is not None
        assert (error.field, error.offset) == (second.field, second.offset)
        assert str(second).isprintable()
        return
    assert found is not None
    assert bytes(found.data) == bytes(again.data) == whole
    entries = list(found)
    assert bytes(Manifest.from_entries(entries).data) == whole
    assert found.total_blocks == sum(block_count(entry.length) for entry in entries)
    for entry in entries:
        components = entry.path.split("/")
        assert not {"", ".", ".."} & set(components)
        assert "\0" not in entry.path


def uri(data: bytes) -> None:
    """A URI and an address: refused, or written so that it is read the same."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        read = Uri.parse(text)
    except UriError as error:
        assert str(error).isprintable()
    else:
        assert Uri.parse(str(read)) == read
        assert read.name is None or not set("/\\") & set(read.name)
    try:
        endpoint = Endpoint.parse(text)
    except UriError as error:
        assert str(error).isprintable()
    else:
        assert Endpoint.parse(str(endpoint)) == endpoint


def record(data: bytes) -> None:
    """A record of a peer: its form, its addresses, its signature."""
    try:
        read = msg.PeerRecord.decode(data)
    except msg.DecodeError:
        return
    endpoints_of(read.addresses)
    if verify_record(read, data):
        changed = bytes((data[0], *data[1:-1], data[-1] ^ 1))
        assert not verify_record(msg.PeerRecord.decode(changed), changed)


BLOBS: Final = [Blob(), Blob(3, tail=1), Blob(9, tail=700), Blob(70)]


def proof(data: bytes) -> None:
    """The answer to a request, with whatever done to it: what is taken is what the file has, and nothing else."""
    script = Script(data)
    blob = script.choose(BLOBS)
    blocks = block_count(blob.length)
    first, level = script.number(80), script.number(8)
    try:
        checker = ProofChecker(blob.length, blob.root, first, level)
    except ValueError:
        return
    taken = first
    while script:
        block = checker.next_block if script.number(8) else script.number(80)
        right = block < blocks
        siblings = list(blob.siblings(block, first)) if right and block >= first else []
        content = bytearray(blob.block(block)) if right else bytearray(BLOCK)
        for _ in range(script.number(3)):
            _damage(script, siblings, content)
        try:
            checker.check(block, siblings, memoryview(content))
        except ProofError as error:
            assert error.block == block
            assert checker.next_block == taken
        else:
            assert block == taken < blocks
            assert bytes(content) == blob.block(block), "bytes that are not the file's were taken"
            assert tuple(siblings) == blob.siblings(block, first)
            taken += 1
            assert checker.next_block == taken <= min(blocks, first + (1 << level))


def _damage(script: Script, siblings: list[bytes], content: bytearray) -> None:
    match script.number(6):
        case 0:
            content[script.number(65536) % len(content) if content else 0 :] = script.take(1)
        case 1:
            content += script.take(2)
        case 2 if siblings:
            siblings[script.number(len(siblings))] = script.take(32)
        case 3 if siblings:
            siblings.pop(script.number(len(siblings)))
        case 4:
            siblings.insert(0, script.take(32))
        case 5 if content:
            content[script.number(65536) % len(content)] ^= script.number(256)
