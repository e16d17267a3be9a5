"""Judges of vectors about handshakes: Noise alone, and one side of a link from its first byte to its keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from p2pwire_conformance.keys import LOW_ORDER_X25519, SMALL_ORDER_Y, cap_of, labelled, psk_of, verify
from p2pwire_conformance.message import Malformed, Tree, decode, preamble
from p2pwire_conformance.noise import NAMES, Cipher, Handshake, KeyPair, Undecryptable
from p2pwire_conformance.protocol import constant, is_grease16, protocol
from p2pwire_conformance.vectors import Json, Verdict
from p2pwire_conformance.vectors_wire import Fault, Stream

FIELD_PRIME: Final = (1 << 255) - 19
HEAD: Final = 11
"""bytes of a preamble before its body."""
BODIES: Final = {1: "InitiatorPreamble", 2: "ResponderPreamble", 3: "Refusal"}


def acceptable(identity: bytes) -> bool:
    """Section 4.4, but for points that are none: no signature verifies under these."""
    y = int.from_bytes(identity, "little") & (1 << 255) - 1
    return y < FIELD_PRIME and y.to_bytes(32, "little") not in SMALL_ORDER_Y


def low_order(key: bytes) -> bool:
    """Whether every Diffie-Hellman result with this key is zero."""
    u = int.from_bytes(key, "little") & (1 << 255) - 1
    return u % FIELD_PRIME in {int.from_bytes(low, "little") % FIELD_PRIME for low in LOW_ORDER_X25519}


def signed(seed: bytes, purpose: str, content: bytes) -> bytes:
    """A signature with the key of a seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(labelled(purpose) + content)


def public_of(seed: bytes) -> bytes:
    """The identity of a seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


# --- Noise alone ---


def judge_noise(given: Json) -> Verdict:
    """Family noise: both sides, and every payload."""
    raw = {name: bytes.fromhex(value) for name, value in given.items() if name.startswith(("init_", "resp_"))}
    if NAMES[given["suite"]].decode() != given["protocol_name"]:
        raise ValueError("the suite has another name")
    psk = b"" if given["network_secret"] is None else psk_of(bytes.fromhex(given["network_secret"]))
    one, other = (
        Handshake(
            given["suite"],
            raw["init_prologue"],
            KeyPair(raw[f"{side}_static"]),
            KeyPair(raw[f"{side}_ephemeral"]),
            initiator=side == "init",
            psk=psk,
        )
        for side in ("init", "resp")
    )
    payloads = [bytes.fromhex(payload) for payload in given["payloads"]]
    response = hashlib.sha256(bytes.fromhex(given["preamble_r"])).digest()
    first = one.write_1(payloads[0])
    other.read_1(first)
    begun = other.begin_2()
    h_r = other.h
    second = begun + other.encrypt(payloads[1])
    one.read_2(second)
    begun = one.begin_3()
    h_i = one.h
    third = begun + one.encrypt(payloads[2])
    other.read_3(third)
    identities = [public_of(raw[f"{side}_identity_seed"]) for side in ("init", "resp")]
    for payload, side, purpose, h in (
        (payloads[1], "resp", "handshake-responder", h_r),
        (payloads[2], "init", "handshake-initiator", h_i),
    ):
        seed = raw[f"{side}_identity_seed"]
        if payload[:96] != public_of(seed) + signed(seed, purpose, h + response):
            raise ValueError(f"the payload of {side} does not prove its identity")
    if one.h != other.h:
        raise ValueError("the two sides do not agree")
    messages = zip(given["payloads"], (first, second, third), strict=True)
    return Verdict(
        True,
        {
            "init_psks": [psk.hex()] if psk else [],
            "messages": [{"payload": payload, "ciphertext": message.hex()} for payload, message in messages],
            "h_r": h_r.hex(),
            "h_i": h_i.hex(),
            "handshake_hash": one.h.hex(),
            "keys": [cipher.key.hex() for cipher in one.split() if cipher.key is not None],
            "identities": [identity.hex() for identity in identities],
        },
    )


# --- one side ---


class _Side:
    """What one side does with what comes. Every step raises `Fault`."""

    def __init__(self, given: Json) -> None:
        self.given = given
        self.initiator = given["role"] == "initiator"
        secret = given["network_secret"]
        self.psk = b"" if secret is None else psk_of(bytes.fromhex(secret))
        self.suites = [3] if self.psk else list(given["suites"])
        self.seed = bytes.fromhex(given["identity_seed"])
        self.sends: list[bytes] = []
        self.output: dict[str, Json] = {}
        self.offer = self.response = b""
        self.noise: Handshake | None = None
        self.stream = Stream({"stage": "handshake"})
        self.identity = b""
        if self.initiator:
            body = Tree(
                "InitiatorPreamble",
                versions=given["versions"],
                suites=self.suites,
                key_suite=given["key_suite"],
            )
            self.offer = preamble(body)
            self._start(given["key_suite"])
            self.sends.append(self.offer + _enveloped(self._noise.write_1()))

    @property
    def _noise(self) -> Handshake:
        assert self.noise is not None
        return self.noise

    def _start(self, suite: int) -> None:
        binding = bytes.fromhex(self.given["binding"])
        prologue = bytes.fromhex(constant("PROTOCOL_NAME")) + b"\0" + self.offer
        self.noise = Handshake(
            suite,
            prologue + len(binding).to_bytes(2, "big") + binding,
            KeyPair(bytes.fromhex(self.given["static"])),
            KeyPair(bytes.fromhex(self.given["ephemeral"])),
            initiator=self.initiator,
            psk=self.psk,
        )

    def receive(self, data: bytes) -> bool:
        """Whether it goes on after this flight."""
        seen = (bool(self.stream.output["preamble"]), len(self.stream.output["messages"]))
        try:
            self.stream.add(data)
        except Fault:
            # What came before the fault counts; of a refusal or another preamble, that is all there is to it.
            self._read(*seen)
            raise
        return self._read(*seen)

    def _read(self, known: bool, count: int) -> bool:
        raw = bytes.fromhex(self.stream.output["preamble"])
        if raw and not known and not self._preamble(raw):
            return False
        for message in self.stream.output["messages"][count:]:
            self._message(bytes.fromhex(message))
        return True

    def _preamble(self, raw: bytes) -> bool:
        kind = raw[8]
        if kind not in ((2, 3) if self.initiator else (1,)):
            raise Fault("silent")
        try:
            found = decode(BODIES[kind], raw[HEAD:])
        except Malformed:
            raise Fault("silent") from None
        if kind == 1:
            return self._select(raw, found)
        if kind == 3:
            return self._refused(found)
        if found["version"] not in self.given["versions"] or found["suite"] != self.given["key_suite"]:
            raise Fault("silent")
        self.response = raw
        return True

    def _select(self, raw: bytes, found: Tree) -> bool:
        common = [version for version in found["versions"] if version in self.given["versions"]]
        suite = next((suite for suite in found["suites"] if suite in self.suites), None)
        reason = ""
        if self.given["busy"]:
            reason = "BUSY"
        elif not common:
            reason = "NO_VERSION"
        elif suite is None:
            reason = "NO_SUITE"
        elif suite != found["key_suite"]:
            reason = "USE_SUITE"
        if reason and self.psk:
            raise Fault("silent")
        if reason:
            number = protocol().number("RefusalReason", reason)
            body = Tree("Refusal", reason=number, versions=self.given["versions"], suites=self.suites)
            self.sends.append(preamble(body))
            self.output = {"link": "refused", "reason": reason}
            return False
        assert suite is not None
        self.offer = raw
        self.response = preamble(Tree("ResponderPreamble", version=max(common), suite=suite))
        self._start(suite)
        return True

    def _refused(self, found: Tree) -> bool:
        names = protocol().enumerations["RefusalReason"]
        reason = next((name for name, number in names.items() if number == found["reason"]), None)
        if self.psk or reason is None:
            raise Fault("silent")
        retry = None
        if reason == "USE_SUITE":
            common = (suite for suite in self.suites if suite in found["suites"] and not is_grease16(suite))
            retry = next(common, None)
            if retry in (None, self.given["key_suite"]):
                raise Fault("silent")
        self.output = {"link": "refused", "reason": reason, "retry": retry}
        return False

    def _message(self, message: bytes) -> None:
        noise = self._noise
        try:
            if self.initiator:
                self._prove(*self._checked_2(message), "handshake-responder")
                if self.identity != public_of(self.seed):
                    self._unwanted("silent")
                self.sends.append(_enveloped(noise.begin_3() + noise.encrypt(self._proof("handshake-initiator"))))
            elif not noise.remote_ephemeral:
                if len(message) < 32 or low_order(message[:32]) or noise.read_1(message):
                    raise Fault("silent")
                begun = noise.begin_2()
                answer = begun + noise.encrypt(self._proof("handshake-responder"))
                self.sends.append(self.response + _enveloped(answer))
                return
            else:
                self._prove(*self._checked_3(message), "handshake-initiator")
        except Undecryptable:
            raise Fault("silent") from None
        if self.identity == public_of(self.seed):
            raise Fault("CLOSE SELF")
        self._unwanted("CLOSE NOT_ALLOWED")
        keys = [cipher.key.hex() for cipher in noise.split() if cipher.key is not None]
        self.output = {
            "link": "established",
            "identity": self.identity.hex(),
            "handshake_hash": noise.h.hex(),
            "keys": keys,
        }

    def _unwanted(self, outcome: str) -> None:
        if self.identity.hex() in self.given["banned"]:
            raise Fault(outcome)

    def _checked_2(self, message: bytes) -> tuple[bytes, bytes]:
        if len(message) < 96 or low_order(message[:32]):
            raise Fault("silent")
        found = self._noise.read_2(message)
        return self._with_good_static(found)

    def _checked_3(self, message: bytes) -> tuple[bytes, bytes]:
        if len(message) < 64:
            raise Fault("silent")
        return self._with_good_static(self._noise.read_3(message))

    def _with_good_static(self, found: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        if low_order(self._noise.remote_static):
            raise Fault("silent")
        return found

    def _prove(self, payload: bytes, h: bytes, purpose: str) -> None:
        try:
            found = decode("HandshakePayload", payload)
        except Malformed:
            raise Fault("silent") from None
        self.identity = found["identity"]
        text = h + hashlib.sha256(self.response).digest()
        if not acceptable(self.identity) or not verify(self.identity, purpose, text, found["signature"]):
            raise Fault("silent")
        if self.given["expected"] not in (None, self.identity.hex()):
            raise Fault("silent")

    def _proof(self, purpose: str) -> bytes:
        text = self._noise.h + hashlib.sha256(self.response).digest()
        return public_of(self.seed) + signed(self.seed, purpose, text)


def _enveloped(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def judge_handshake(given: Json) -> Verdict:
    """Family handshake: one side, and the flights of the other."""
    side = _Side(given)
    try:
        for flight in given["receives"]:
            if not side.receive(bytes.fromhex(flight)):
                break
    except Fault as fault:
        return Verdict(False, {"sends": [each.hex() for each in side.sends]}, fault.outcome)
    if not side.output:
        raise ValueError("the handshake is not over")
    return Verdict(True, {**side.output, "sends": [each.hex() for each in side.sends]})


# --- sessions ---


def judge_trace(given: Json) -> Verdict:
    """Family trace: the handshake of either side, every record, every frame, and every cap."""
    one, two, three = given["flights"]
    first = judge_handshake({**given["initiator"], "receives": [two]}).output or {}
    second = judge_handshake({**given["responder"], "receives": [one, three]}).output or {}
    if first["sends"] != [one, three] or second["sends"] != [two] or first["keys"] != second["keys"]:
        raise ValueError("the two sides do not agree")
    suite = int.from_bytes(bytes.fromhex(two)[13:15], "big")
    ciphers = {side: Cipher(suite, bytes.fromhex(key)) for side, key in zip("IR", first["keys"], strict=True)}
    hash_, oid = bytes.fromhex(first["handshake_hash"]), bytes.fromhex(given["oid"])
    plaintexts = []
    for each in given["records"]:
        plain = ciphers[each["from"]].decrypt(b"", bytes.fromhex(each["record"])[2:])
        plaintexts.append(plain.hex())
        for tree in _frames(plain):
            if tree.name == "Join" and tree["cap"] != cap_of(oid, hash_, initiator=each["from"] == "I"):
                raise ValueError("a cap is not that of its sender")
    return Verdict(True, {"handshake_hash": hash_.hex(), "keys": first["keys"], "plaintexts": plaintexts})


def _frames(plain: bytes) -> Iterator[Tree]:
    while plain:
        end = 3 + int.from_bytes(plain[1:3], "big")
        if end > len(plain):
            raise ValueError("a frame goes past its record")
        yield decode(protocol().by_type[plain[0]].name, plain[3:end])
        plain = plain[end:]
