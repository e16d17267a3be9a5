"""The handshakes of the reference as judges."""

from __future__ import annotations

import hashlib

from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import Connection
from p2pwire.connection.events import Closed, PeerIdentified, Refused
from p2pwire.connection.handshake import Handshake
from p2pwire.connection.records import RecordOpener
from p2pwire.connection.state import LinkState
from p2pwire.crypto.identity import Identity, Purpose, verify
from p2pwire.crypto.noise import NoiseHandshake, derive_psk, hkdf
from p2pwire.wire.messages import HandshakePayload, decode_frame
from p2pwire.wire.registry import Suite

from .links import events, output
from .reading import Json, Verdict
from .streaming import cipher_at


def keys_of(noise: NoiseHandshake) -> list[str]:
    """What Split() is to give: the keys themselves, which a cipher does not tell."""
    return [key.hex() for key in hkdf(noise._symmetric._ck, b"", b"", 2)]


def judge_noise(given: Json) -> Verdict:
    """Family noise."""
    raw = {name: bytes.fromhex(value) for name, value in given.items() if name.startswith(("init_", "resp_"))}
    psk = None if given["network_secret"] is None else derive_psk(bytes.fromhex(given["network_secret"]))
    sides = [
        NoiseHandshake(
            initiator=name == "init",
            suite=Suite(given["suite"]),
            prologue=raw["init_prologue"],
            static_seed=raw[f"{name}_static"],
            ephemeral_seed=raw[f"{name}_ephemeral"],
            psk=psk,
        )
        for name in ("init", "resp")
    ]
    messages, bound = [], []
    for number, payload in enumerate(given["payloads"]):
        writer, reader = sides[number % 2], sides[1 - number % 2]
        bound.append(writer.begin_message()[1])
        message = writer.finish_message(bytes.fromhex(payload))
        assert reader.read_message(message) == (bytes.fromhex(payload), bound[-1])
        messages.append({"payload": payload, "ciphertext": message.hex()})
    response = hashlib.sha256(bytes.fromhex(given["preamble_r"])).digest()
    identities = [Identity.from_seed(raw[f"{name}_identity_seed"]).public for name in ("init", "resp")]
    for number, identity, purpose in (
        (1, identities[1], Purpose.HANDSHAKE_RESPONDER),
        (2, identities[0], Purpose.HANDSHAKE_INITIATOR),
    ):
        proof = HandshakePayload.decode(bytes.fromhex(given["payloads"][number]))
        assert proof.identity == identity
        assert verify(identity, purpose, bound[number] + response, proof.signature)
    one, other = sides
    assert keys_of(one) == keys_of(other)
    return Verdict(
        True,
        {
            "init_psks": [] if psk is None else [psk.hex()],
            "messages": messages,
            "h_r": bound[1].hex(),
            "h_i": bound[2].hex(),
            "handshake_hash": one.handshake_hash.hex(),
            "keys": keys_of(one),
            "identities": [identity.hex() for identity in identities],
        },
    )


def _config(given: Json) -> Config:
    secret = given["network_secret"]
    return Config(
        Identity.from_seed(bytes.fromhex(given["identity_seed"])),
        versions=tuple(given["versions"]),
        suites=tuple(Suite(suite) for suite in given["suites"]) if secret is None else (Suite.XX_AESGCM,),
        key_suite=None if given["key_suite"] is None else Suite(given["key_suite"]),
        psk=None if secret is None else derive_psk(bytes.fromhex(secret)),
        busy=given["busy"],
        binding=bytes.fromhex(given["binding"]),
        expected=None if given["expected"] is None else bytes.fromhex(given["expected"]),
        banned=frozenset(map(bytes.fromhex, given["banned"])),
        grease=b"",
    )


def judge_handshake(given: Json) -> Verdict:
    """Family handshake: the reference's connection, byte by byte."""
    config = _config(given)
    drawn = [bytes.fromhex(given["static"]), bytes.fromhex(given["ephemeral"])]
    left = iter(drawn)
    role = Role.INITIATOR if given["role"] == "initiator" else Role.RESPONDER
    connection = Connection(role, config, now=0.0, random=lambda size: next(left, bytes(size)))
    sends = [output(connection)]
    seen = events(connection)
    for flight in given["receives"]:
        for byte in bytes.fromhex(flight):
            connection.receive_data(bytes((byte,)), 0.0)
            seen += events(connection)
        sends.append(output(connection))
    over = [event for event in seen if isinstance(event, PeerIdentified)]
    ends = [event for event in seen if isinstance(event, Closed)]
    refused = [event for event in seen if isinstance(event, Refused)]
    told, spoke = _handshake_part(role, sends)
    if over and not ends:
        return Verdict(True, {**_established(config, role, drawn, given), "sends": told})
    if refused:
        suite = None if refused[0].suite is None else int(refused[0].suite)
        return Verdict(True, {"link": "refused", "reason": refused[0].reason.name, "retry": suite, "sends": told})
    assert ends, "the handshake is not over"
    if role is Role.RESPONDER and sends[-1][8:9] == b"\x03":
        return Verdict(True, {"link": "refused", "reason": ends[0].reason.removeprefix("refused: "), "sends": told})
    assert connection.state is (LinkState.DRAINING if spoke else LinkState.CLOSED)
    return Verdict(False, {"sends": told}, f"CLOSE {ends[0].code.name}" if spoke else "silent")


def _handshake_part(role: Role, sends: list[bytes]) -> tuple[list[str], bool]:
    """What was sent in the handshake, and whether records followed."""
    parts = [part for part in sends if part]
    rest = b""
    if role is Role.INITIATOR and len(parts) > 1:
        size = 2 + int.from_bytes(parts[1][:2], "big")
        parts[1], rest = parts[1][:size], parts[1][size:]
    elif role is Role.RESPONDER and len(parts) > 1:
        parts, rest = parts[:1], parts[1]
    return [part.hex() for part in parts], bool(rest)


def _established(config: Config, role: Role, drawn: list[bytes], given: Json) -> dict[str, Json]:
    """The same without a connection, which keeps its keys to itself."""
    left = iter(drawn)
    handshake = Handshake(config, role, lambda size: next(left, bytes(size)), None)
    flights = [bytes.fromhex(flight) for flight in given["receives"]]
    end = 11 + int.from_bytes(flights[0][9:11], "big")
    if role is Role.INITIATOR:
        handshake.flight_1()
        handshake.read_response(flights[0][:end])
        identity = handshake.read_message_2(flights[0][end + 2 :])
        handshake.message_3()
    else:
        assert handshake.read_offer(flights[0][:end]) is None
        handshake.read_message_1(flights[0][end + 2 :])
        handshake.flight_2()
        identity = handshake.read_message_3(flights[1][2:])
    return {
        "link": "established",
        "identity": identity.hex(),
        "handshake_hash": handshake.hash.hex(),
        "keys": keys_of(handshake._noise),
    }


def judge_trace(given: Json) -> Verdict:
    """Family trace: both handshakes, then every record and every frame."""
    one, two, three = given["flights"]
    first = judge_handshake({**given["initiator"], "receives": [two]})
    second = judge_handshake({**given["responder"], "receives": [one, three]})
    assert first.output is not None
    assert second.output is not None
    assert first.output["sends"] == [one, three]
    assert second.output["sends"] == [two]
    keys = first.output["keys"]
    assert keys == second.output["keys"]
    suite = int.from_bytes(bytes.fromhex(two)[13:15], "big")
    openers = {side: RecordOpener(cipher_at(suite, key, 0)) for side, key in zip("IR", keys, strict=True)}
    plaintexts = [openers[each["from"]].open(bytes.fromhex(each["record"])[2:]) for each in given["records"]]
    for plain in plaintexts:
        at = 0
        while at < len(plain):
            end = at + 3 + int.from_bytes(plain[at + 1 : at + 3], "big")
            decode_frame(plain[at], plain[at + 3 : end])
            at = end
        assert at == len(plain)
    hash_ = first.output["handshake_hash"]
    return Verdict(True, {"handshake_hash": hash_, "keys": keys, "plaintexts": [plain.hex() for plain in plaintexts]})
