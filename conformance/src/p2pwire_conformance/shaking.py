"""The suite's side of a handshake, step by step, and the bytes below it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from p2pwire_conformance.bugs import Bug
from p2pwire_conformance.carrier import Carrier
from p2pwire_conformance.keys import Identity, high_s, verify
from p2pwire_conformance.message import Malformed, Tree, decode, preamble
from p2pwire_conformance.noise import NAMES, Cipher, Handshake, KeyPair, Undecryptable
from p2pwire_conformance.protocol import constant, protocol
from p2pwire_conformance.verdict import Failed, Kind


@dataclass(frozen=True)
class Plan:
    """How the suite's side shakes hands; what is not said is as an honest peer has it."""

    versions: Sequence[int] = (1,)
    suites: Sequence[int] = (1,)
    key_suite: int = 0
    """0: the first of `suites`; of a responder: what it selects."""
    version: int = 1
    """What a responder selects."""
    parameters: Sequence[Tree] = ()
    payload_parameters: Sequence[Tree] = ()
    preamble: Callable[[Tree], Tree] = lambda tree: tree
    head: Mapping[str, Any] = field(default_factory=dict)
    """`kind`, `length` or `magic` of the preamble, where it lies."""
    trail: bytes = b""
    """After the preamble's last field, counted in its length."""
    message_1: bytes = b""
    """The payload of message 1."""
    length: int | None = None
    """What the last handshake message's header says."""
    psk: bytes = b""
    ephemeral: bytes | None = None
    """The public key of low order to send in place of the true one."""
    static: bytes | None = None
    identity: bytes | None = None
    """The identity to claim."""
    bugs: frozenset[Bug] = frozenset()


@dataclass(frozen=True)
class Line:
    """One line of what happened."""

    at: float
    direction: str
    text: str
    data: bytes


class Shaker:
    """A carrier to the subject, and the handshake over it. `initiator` is the suite's own role."""

    def __init__(
        self, carrier: Carrier, *, initiator: bool, seed: bytes, identity: Identity, patience: float, log: list[Line]
    ) -> None:
        self.carrier = carrier
        self.initiator = initiator
        self.identity = identity
        self.patience = patience
        self.hash = b""
        self.peer: bytes = b""
        """The subject's identity."""
        self.out: Cipher
        self.into: Cipher
        self.received = 0
        """Bytes of the subject."""
        self.own_preamble = b""
        self.peer_preamble = b""
        self._seed = seed
        self._log = log
        self._began = time.monotonic()
        self._buffer = bytearray()
        self._ended = False
        self._noise: Handshake | None = None

    # --- bytes ---

    def note(self, direction: str, text: str, data: bytes = b"") -> None:
        """Write a line of the log."""
        self._log.append(Line(time.monotonic() - self._began, direction, text, data))

    def send_bytes(self, data: bytes, text: str = "bytes") -> None:
        """Send as it is."""
        self.note("→", f"{text} ({len(data)} bytes)", data)
        self.carrier.send(data)

    def send_slowly(self, data: bytes, size: int = 1) -> None:
        """Send in pieces."""
        self.note("→", f"{len(data)} bytes in pieces of {size}", data)
        for at in range(0, len(data), size):
            self.carrier.send(data[at : at + size])

    def _more(self, patience: float) -> bool | None:
        """Take what came. None: nothing came."""
        if self._ended:
            return False
        data = self.carrier.receive(patience)
        if data is None:
            return None
        if not data:
            self._ended = True
            self.note("←", "end of the stream")
            return False
        self._buffer += data
        self.received += len(data)
        return True

    def read(self, size: int, what: str) -> bytes:
        """Exactly so many bytes of the subject's stream."""
        while len(self._buffer) < size:
            more = self._more(self.patience)
            if not more:
                how = "the stream ended" if more is False else f"nothing came within {self.patience:.0f} s"
                self.fail("answer", Kind.SILENT_DROP, what, f"{how} after {len(self._buffer)} of {size} bytes")
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def fail(self, check: str, kind: Kind, expected: str, actual: str) -> NoReturn:
        """The subject did not pass a check."""
        self.note("!", f"{check}: expected {expected}; {actual}")
        raise Failed(check, kind, expected, actual)

    def expect_silence(self, check: str = "silent-close", *, but: int = 0) -> None:
        """The subject ends the stream without a byte more; `but` of them it may have sent."""
        while (more := self._more(self.patience)) is not False:
            if more is None:
                text = f"the stream is open after {self.patience:.0f} s" if not self.carrier.exact else "it is open"
                self.fail(check, Kind.NOT_REJECTED, "the stream to end without a byte", text)
        if len(self._buffer) > but:
            sent = bytes(self._buffer[:32]).hex()
            self.fail(check, Kind.NOT_SILENT, "the stream to end without a byte", f"{len(self._buffer)} bytes: {sent}…")

    def expect_nothing(self, check: str = "nothing-sent") -> None:
        """Inline: nothing came, and the stream is open."""
        if self._more(0.1) is not None or self._buffer:
            actual = f"{len(self._buffer)} bytes came" if self._buffer else "the stream ended"
            self.fail(check, Kind.NOT_SILENT, "nothing", actual)

    # --- handshake ---

    def _pair(self, label: str, public: bytes | None) -> KeyPair:
        return KeyPair(hashlib.sha256(self._seed + label.encode()).digest(), public, zero=public is not None)

    def _begin(self, suite: int, offer: bytes, plan: Plan) -> Handshake:
        bound = offer[:-1] + bytes([offer[-1] ^ 1]) if Bug.OTHER_PROLOGUE in plan.bugs else offer
        self._noise = Handshake(
            suite if suite in NAMES else 1,  # of an unknown suite nobody knows the message; any bytes will do
            bytes.fromhex(constant("PROTOCOL_NAME")) + b"\0" + bound + bytes(2),
            self._pair("static", plan.static),
            self._pair("ephemeral", plan.ephemeral),
            initiator=self.initiator,
            psk=plan.psk,
        )
        return self._noise

    @property
    def noise(self) -> Handshake:
        """The handshake, once it has begun."""
        assert self._noise is not None
        return self._noise

    def shake(self, plan: Plan | None = None) -> None:
        """The whole handshake in the suite's role."""
        plan = plan or Plan()
        if self.initiator:
            self.send_offer(plan)
            self.read_answer(plan)
            self.send_proof(plan)
        else:
            self.read_offer(plan)
            self.send_answer(plan)
            self.read_proof()

    def offer(self, plan: Plan) -> bytes:
        """The preamble of kind 01, as planned."""
        key_suite = plan.key_suite or plan.suites[0]
        tree = Tree(
            "InitiatorPreamble",
            versions=list(plan.versions),
            suites=list(plan.suites),
            key_suite=key_suite,
            parameters=plan.parameters,
        )
        tree = plan.preamble(tree)
        head = dict(plan.head)
        if plan.trail and "length" not in head:
            head["length"] = len(tree.encode()) + len(plan.trail)
        return preamble(tree, **head) + plan.trail

    def flight_1(self, plan: Plan | None = None) -> bytes:
        """Preamble and message 1."""
        plan = plan or Plan()
        self.own_preamble = self.offer(plan)
        noise = self._begin(plan.key_suite or plan.suites[0], self.own_preamble, plan)
        return self.own_preamble + self._message(noise.write_1(plan.message_1), plan, last=True)

    def send_offer(self, plan: Plan | None = None) -> None:
        """Flight 1."""
        self.send_bytes(self.flight_1(plan), "flight 1")

    def _message(self, message: bytes, plan: Plan, *, last: bool) -> bytes:
        if last:
            if Bug.NOISE_FLIPPED in plan.bugs:
                message = message[:-1] + bytes([message[-1] ^ 1])
            if Bug.NOISE_SHORT in plan.bugs:
                message = message[:-1]
            if Bug.NOISE_LONG in plan.bugs:
                message += b"\0"
        length = plan.length if last and plan.length is not None else len(message)
        return length.to_bytes(2, "big") + message

    def read_preamble(self, kinds: Mapping[int, str]) -> Tree:
        """A preamble of the subject, which is to be well-formed and of one of these kinds."""
        head = self.read(constant("PREAMBLE_HEADER"), "a preamble")
        try:
            header = decode("PreambleHeader", head)
            name = kinds.get(header["kind"])
            if name is None:
                self.fail("preamble", Kind.WRONG, f"a preamble of kind {sorted(kinds)}", f"kind {header['kind']} came")
            body = self.read(header["length"], "the preamble's body")
            self.peer_preamble = head + body
            tree = decode(name, body)
        except Malformed as error:
            self.fail("preamble", Kind.WRONG, "a well-formed preamble", str(error))
        self.note("←", f"{name} {dict(tree.values)}", self.peer_preamble)
        return tree

    def read_refusal(self, reason: str) -> Tree:
        """A refusal for this reason, and the end of the stream."""
        tree = self.read_preamble({2: "ResponderPreamble", 3: "Refusal"})
        if tree.name != "Refusal":
            self.fail("refusal", Kind.NOT_REJECTED, f"a refusal with {reason}", "the responder selected")
        due = protocol().number("RefusalReason", reason)
        if tree["reason"] != due:
            shown = protocol().name("RefusalReason", tree["reason"])
            self.fail("refusal-reason", Kind.WRONG_CODE, f"reason {reason}", f"reason {shown} came")
        self.expect_silence("nothing-after-refusal")
        return tree

    def read_answer(self, plan: Plan | None = None) -> None:
        """The responder's flight; its proof is judged."""
        plan = plan or Plan()
        tree = self.read_preamble({2: "ResponderPreamble"})
        asked = (plan.key_suite or plan.suites[0], max(v for v in plan.versions if v == 1))
        if (tree["suite"], tree["version"]) != asked:
            actual = f"suite {tree['suite']:#x} and version {tree['version']:#x}"
            self.fail("selection", Kind.WRONG, f"suite {asked[0]:#x} and version {asked[1]:#x}", actual)
        self._judge(self._read_message("message 2"), self.noise.read_2, "handshake-responder", self.peer_preamble)

    def _read_message(self, name: str) -> bytes:
        size = int.from_bytes(self.read(2, f"{name}'s length"), "big")
        if not 1 <= size <= constant("MAX_HANDSHAKE_MESSAGE"):
            self.fail("message-length", Kind.WRONG, "a length of 1 to 1024", f"{size} came")
        message = self.read(size, name)
        self.note("←", f"{name} ({size} bytes)", message)
        return message

    def _judge(self, message: bytes, read: Callable[[bytes], tuple[bytes, bytes]], purpose: str, answer: bytes) -> None:
        try:
            payload, signed = read(message)
            tree = decode("HandshakePayload", payload)
        except (Undecryptable, Malformed) as error:
            self.fail("handshake-message", Kind.WRONG, "a handshake message that decrypts to a payload", str(error))
        self.peer = tree["identity"]
        if not verify(self.peer, purpose, signed + hashlib.sha256(answer).digest(), tree["signature"]):
            self.fail("signature", Kind.WRONG, "a signature over this handshake", "it does not verify")

    def _proof(self, purpose: str, signed: bytes, early: bytes, answer: bytes, plan: Plan) -> bytes:
        bugs = plan.bugs
        content = (early if Bug.OTHER_HASH_SIGNED in bugs else signed) + (
            b"" if Bug.ANSWER_NOT_SIGNED in bugs else hashlib.sha256(answer).digest()
        )
        if Bug.OTHER_ROLE_SIGNED in bugs:
            purpose = {"handshake-initiator": "handshake-responder"}.get(purpose, "handshake-initiator")
        signer = Identity("another") if Bug.OTHER_KEY_SIGNED in bugs else self.identity
        signature = signer.sign(purpose, content)
        if Bug.SIGNATURE_ZERO in bugs:
            signature = bytes(64)
        if Bug.UNIVERSAL_SIGNATURE in bugs:
            signature = b"\x01" + bytes(63)
        if Bug.HIGH_S in bugs:
            signature = high_s(signature)
        parameters = list(plan.payload_parameters)
        if Bug.TLV_ORDER in bugs:
            parameters = [Tree("Parameter", tag=9), Tree("Parameter", tag=9)]
        if Bug.TLV_LYING in bugs:
            parameters = [Tree("Parameter", tag=9, value=b"x").with_(value_length=2)]
        claimed = self.identity.public if plan.identity is None else plan.identity
        tree = Tree("HandshakePayload", identity=claimed, signature=signature, parameters=parameters)
        payload = b"" if Bug.PAYLOAD_EMPTY in bugs else tree.encode()
        return payload[:-1] if Bug.PAYLOAD_SHORT in bugs else payload

    def _static(self, plan: Plan) -> None:
        if Bug.OTHER_STATIC in plan.bugs:
            self.noise.static = KeyPair(hashlib.sha256(b"another static").digest(), self.noise.static.public)

    def proof(self, plan: Plan | None = None) -> bytes:
        """Message 3 with its length; the records' keys are known from then on."""
        plan = plan or Plan()
        self._static(plan)
        early = self.noise.h
        head = self.noise.begin_3()
        payload = self._proof("handshake-initiator", self.noise.h, early, self.peer_preamble, plan)
        message = self._message(head + self.noise.encrypt(payload), plan, last=True)
        self._established()
        return message

    def send_proof(self, plan: Plan | None = None) -> None:
        """Flight 3."""
        self.send_bytes(self.proof(plan), "message 3")

    def read_offer(self, plan: Plan | None = None) -> Tree:
        """The initiator's flight."""
        tree = self.read_preamble({1: "InitiatorPreamble"})
        message = self._read_message("message 1")
        noise = self._begin(tree["key_suite"], self.peer_preamble, plan or Plan())
        try:
            payload = noise.read_1(message)
        except Undecryptable as error:
            self.fail("handshake-message", Kind.WRONG, "message 1 that decrypts", str(error))
        if payload:
            self.fail("message-1", Kind.WRONG, "an empty payload in message 1", f"{len(payload)} bytes")
        return tree

    def answer(self, plan: Plan | None = None) -> bytes:
        """Preamble and message 2."""
        plan = plan or Plan()
        selected = plan.key_suite or self.noise.suite
        tree = Tree("ResponderPreamble", version=plan.version, suite=selected, parameters=plan.parameters)
        tree = plan.preamble(tree)
        head = dict(plan.head)
        if plan.trail and "length" not in head:
            head["length"] = len(tree.encode()) + len(plan.trail)
        self.own_preamble = preamble(tree, **head) + plan.trail
        self._static(plan)
        begun = self.noise.begin_2()
        early = hashlib.sha256(self.noise.h).digest()
        payload = self._proof("handshake-responder", self.noise.h, early, self.own_preamble, plan)
        return self.own_preamble + self._message(begun + self.noise.encrypt(payload), plan, last=True)

    def send_answer(self, plan: Plan | None = None) -> None:
        """Flight 2."""
        self.send_bytes(self.answer(plan), "flight 2")

    def read_proof(self) -> None:
        """Message 3; its proof is judged."""
        message = self._read_message("message 3")
        self._judge(message, self.noise.read_3, "handshake-initiator", self.own_preamble)
        self._established()

    def _established(self) -> None:
        self.hash = self.noise.h
        from_initiator, from_responder = self.noise.split()
        self.out, self.into = from_responder, from_initiator
        if self.initiator:
            self.out, self.into = from_initiator, from_responder
