"""The worked transcripts of SPEC.md: what is printed there is read back, and holds."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path
from typing import Any

import pytest
from noise.connection import Keypair, NoiseConnection

from p2pwire.connection import events as ev
from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import Connection
from p2pwire.content.manifest import Manifest
from p2pwire.content.uri import Uri
from p2pwire.crypto.identity import Identity, Purpose, verify
from p2pwire.crypto.record import verify_record
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import EntryType, Suite

SPEC = Path(__file__).parents[2] / "SPEC.md"
LINE = re.compile(r" *\d+  ((?:[0-9A-F]{2} ?)+)(?: .*)?")


def text(name: str) -> str:
    found = re.search(rf"<!-- generated:transcript-{name} -->(.*?)<!-- /", SPEC.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def blocks(name: str) -> list[str]:
    return re.findall(r"```text\n(.*?)```", text(name), re.DOTALL)


def printed(block: str) -> bytes:
    """The bytes of a block; where a field is cut short, up to there."""
    data = bytearray()
    for line in block.splitlines():
        if "..." in line:
            break
        found = LINE.fullmatch(line)
        assert found is not None, line
        assert int(line[:5]) == len(data)
        data += bytes.fromhex(found[1])
    return bytes(data)


def values(name: str) -> dict[str, str]:
    return dict(re.findall(r"^\| (.+?) \| `(.+?)` \|$", text(name), re.MULTILINE))


@pytest.fixture(scope="module")
def keys() -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in values("handshake").items()}


@pytest.fixture(scope="module")
def flights() -> list[bytes]:
    first, second, _, third, *_ = map(printed, blocks("handshake"))
    return [first, second, third]


def connection(role: Role, name: str, keys: dict[str, bytes]) -> Connection:
    draws = iter((keys[f"{name}'s static key"], keys[f"{name}'s ephemeral key"]))
    config = Config(Identity.from_seed(keys[f"{name}'s identity seed"]), suites=(Suite.XX_AESGCM,), grease=b"")
    return Connection(role, config, now=0.0, random=lambda size: next(draws))


def test_whoever_draws_these_keys_says_these_flights(keys: dict[str, bytes], flights: list[bytes]) -> None:
    first, second, third = flights
    assert [len(flight) for flight in flights] == [53, 209, 162]
    alice, bob = connection(Role.INITIATOR, "Alice", keys), connection(Role.RESPONDER, "Bob", keys)
    assert b"".join(alice.data_to_send()) == first
    bob.receive_data(first, 0.0)
    assert bob.next_event() == ev.OfferReceived()
    assert b"".join(bob.data_to_send()) == second
    alice.receive_data(second, 0.0)
    assert alice.next_event() == ev.PeerIdentified(keys["Bob's identity"])
    hello = printed(blocks("handshake")[5])
    assert b"".join(alice.data_to_send()) == third + hello
    bob.receive_data(third + hello, 0.0)
    assert bob.next_event() == ev.PeerIdentified(keys["Alice's identity"])
    assert isinstance(bob.next_event(), ev.LinkEstablished)


class Foreign:
    """Another implementation of Noise, with the keys of one side."""

    def __init__(self, keys: dict[str, bytes], name: str, *, initiator: bool, offer: bytes) -> None:
        self.noise: Any = NoiseConnection.from_name(b"Noise_XX_25519_AESGCM_SHA256")
        if initiator:
            self.noise.set_as_initiator()
        else:
            self.noise.set_as_responder()
        self.noise.set_prologue(b"p2pwire/1\0" + offer + b"\0\0")
        self.noise.set_keypair_from_private_bytes(Keypair.STATIC, keys[f"{name}'s static key"])
        self.noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, keys[f"{name}'s ephemeral key"])
        self.noise.start_handshake()


@pytest.mark.filterwarnings("ignore:One of ephemeral keypairs is already set")
def test_another_noise_reads_and_writes_the_same(keys: dict[str, bytes], flights: list[bytes]) -> None:
    first, second, third = flights
    offer, response = first[:19], second[:15]
    payloads = [printed(blocks("handshake")[number]) for number in (2, 4)]
    alice = Foreign(keys, "Alice", initiator=True, offer=offer).noise
    bob = Foreign(keys, "Bob", initiator=False, offer=offer).noise
    assert bytes(alice.write_message()) == first[21:]
    assert bytes(bob.read_message(first[21:])) == b""
    assert bytes(bob.write_message(payloads[0])) == second[17:]
    assert bytes(alice.read_message(second[17:])) == payloads[0]
    assert bytes(alice.write_message(payloads[1])) == third[2:]
    assert bytes(bob.read_message(third[2:])) == payloads[1]
    assert alice.get_handshake_hash() == bob.get_handshake_hash() == keys["handshake hash"]
    # What is signed.
    assert hashlib.sha256(response).digest() == keys["SHA-256(preamble_R)"]
    for payload, name, h, purpose in (
        (payloads[0], "Bob", "h_R", Purpose.HANDSHAKE_RESPONDER),
        (payloads[1], "Alice", "h_I", Purpose.HANDSHAKE_INITIATOR),
    ):
        assert payload[:32] == keys[f"{name}'s identity"]
        assert verify(payload[:32], purpose, keys[h] + keys["SHA-256(preamble_R)"], payload[32:])
    # The records of the whole link, as far as they are printed as they are sent.
    records = [
        (alice, blocks("handshake")[5:7]),
        (bob, blocks("handshake")[7:9]),
        (alice, blocks("join")[0:2]),
        (alice, blocks("join")[3:5]),
        (alice, blocks("transfer")[0:2]),
        (alice, blocks("transfer")[3:5]),
    ]
    for sender, (sent, meant) in records:
        plain = printed(meant)
        assert len(printed(sent)) == 2 + len(plain) + 16
        assert bytes(sender.encrypt(plain)) == printed(sent)[2:]


def test_names_and_caps(keys: dict[str, bytes]) -> None:
    said = values("join")
    content = bytes(number % 251 for number in range(40000))
    leaves = [hashlib.sha256(content[at : at + 16384]).digest() for at in range(0, 40000, 16384)] + [bytes(32)]
    pairs = [hashlib.sha256(leaves[at] + leaves[at + 1]).digest() for at in (0, 2)]
    root = hashlib.sha256(pairs[0] + pairs[1]).digest()
    oid = hashlib.sha256(b"p2pwire/1 object\0\0" + (40000).to_bytes(8, "big") + root).digest()
    assert (said["length"], said["root"], said["oid"]) == ("40000", root.hex(), oid.hex())
    assert said["topic"] == hashlib.sha256(b"p2pwire/1 topic\0" + oid).hexdigest()
    for name, role in (("Alice", b"I"), ("Bob", b"R")):
        cap = hmac.digest(oid, b"p2pwire/1 cap\0" + role + keys["handshake hash"], "sha256")
        assert said[f"{name}'s cap"] == cap.hex()
    shown = values("transfer")
    assert [shown[f"leaf {number}"] for number in range(3)] == [leaf.hex() for leaf in leaves[:3]]
    assert [shown["node over leaves 0 and 1"], shown["node over leaves 2 and 3"]] == [pair.hex() for pair in pairs]
    # The first DATA carries the leaf and the node beside the way of block 0.
    data = msg.Data.decode(printed(blocks("transfer")[2])[3:])
    assert data.proof == (leaves[1], pairs[1])
    assert content.startswith(bytes(data.data))


def test_the_manifest() -> None:
    data = printed(blocks("manifest")[0])
    manifest = Manifest.decode(data)
    assert [(entry.type, entry.path, entry.length) for entry in manifest] == [
        (EntryType.FILE, "docs/empty.txt", 0),
        (EntryType.FILE, "docs/hello.txt", 5),
        (EntryType.EMPTY_DIRECTORY, "docs-old", 0),
        (EntryType.EXECUTABLE, "run.sh", 21),
    ]
    said = values("manifest")
    assert (said["length"], said["root"]) == (str(len(data)), hashlib.sha256(data).hexdigest())
    assert (said["blocks, T"], said["exponent of units, u"]) == ("2", "0")


def test_the_record(keys: dict[str, bytes]) -> None:
    data = printed(blocks("record")[0])
    record = msg.PeerRecord.decode(data)
    assert record.identity == keys["Bob's identity"]
    assert verify_record(record, data)


def test_the_uris(keys: dict[str, bytes]) -> None:
    short, long = blocks("uri")[0].split()
    assert Uri.parse(short).oid.hex() == values("join")["oid"]
    made = Uri.parse(long)
    assert (made.oid, made.length, made.name) == (Uri.parse(short).oid, 40000, "counting up.bin")
    assert made.identity == keys["Bob's identity"]
    assert [str(peer) for peer in made.peers] == ["192.0.2.7:7000", "[2001:db8::7]:7000"]
