"""The suite's side of one link: handshake, records, frames, and what is to come back."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from p2pwire_conformance.bugs import Bug
from p2pwire_conformance.carrier import Carrier
from p2pwire_conformance.content import Object
from p2pwire_conformance.keys import Identity, cap_of, high_s, verify
from p2pwire_conformance.message import Malformed, Tree, decode, frame, preamble, raw_frame
from p2pwire_conformance.noise import NAMES, Cipher, Handshake, KeyPair, Undecryptable
from p2pwire_conformance.protocol import close_code, constant, protocol
from p2pwire_conformance.verdict import Failed, Kind

REKEY: Final[int] = constant("REKEY_INTERVAL")
FIRST_LOOK: Final = 1.0
"""seconds on a real clock before a fence is sent after a fault, so that a PING never meets a socket that is closing."""
AMBIENT: Final = frozenset(
    ["Pad", "Ping", "Credit", "Have", "Lost", "Interest", "Suggest", "Peers", "GetPeers", "Join", "Object"]
)
"""Frames that a subject may send whenever it likes; they are noted, and not taken for an answer."""
ANSWERS: Final = frozenset(["Close", "Join", "Refuse", "Leave"])
"""What a fence proves the absence of, beside REJECT 5 and 6."""


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
class Frame:
    """One frame of the subject."""

    type: int
    body: bytes
    tree: Tree | None
    """None for a type that the specification does not know."""

    @property
    def name(self) -> str:
        """Of its layout, or its type."""
        return self.tree.name if self.tree is not None else f"frame {self.type:#04x}"

    def __getitem__(self, name: str) -> Any:
        assert self.tree is not None
        return self.tree[name]

    def __str__(self) -> str:
        if self.tree is None:
            return f"{self.name} of {len(self.body)} bytes"
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in self.tree.values.items())
        return f"{self.name}({shown})"


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{value[:8].hex()}…({len(value)})" if len(value) > 16 else value.hex() or "empty"
    return f"{len(value)} items" if isinstance(value, list) and len(value) > 3 else str(value)


@dataclass(frozen=True)
class Line:
    """One line of what happened."""

    at: float
    direction: str
    text: str
    data: bytes


class Link:
    """A link to the subject. `initiator` is the suite's own role."""

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
        self.peer_hello: Frame | None = None
        self.noticed: list[Frame] = []
        """Ambient frames of the subject, in order."""
        self.out: Cipher
        self.into: Cipher
        self.own_preamble = b""
        self.peer_preamble = b""
        self._seed = seed
        self._log = log
        self._began = time.monotonic()
        self._buffer = bytearray()
        self._frames: list[Frame] = []
        self._ended = False
        self._fences = 0
        self._noise: Handshake | None = None
        self._handles = 0

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

    # --- records ---

    def seal(self, plaintext: bytes, bug: Bug | None = None) -> bytes:
        """One record."""
        cipher = self.out
        if bug is Bug.SKIPPED_COUNTER:
            cipher.n += 1
        if bug is Bug.REUSED_COUNTER:
            cipher.n -= 1
        if bug is Bug.OTHER_DIRECTION:
            assert self.into.key is not None
            cipher = Cipher(cipher.suite, self.into.key)
            cipher.n = self.out.n
        sealed = cipher.encrypt(b"", plaintext)
        if bug is Bug.BAD_TAG:
            sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
        if bug is Bug.BAD_CIPHERTEXT:
            sealed = bytes([sealed[0] ^ 1]) + sealed[1:]
        if bug is Bug.PLAINTEXT:
            sealed = plaintext.ljust(constant("MIN_RECORD"), b"\0")
        if cipher.n % REKEY == 0 and bug is not Bug.NO_REKEY:
            cipher.rekey()
        return len(sealed).to_bytes(2, "big") + sealed

    def send(self, *frames: Tree | bytes, bug: Bug | None = None) -> None:
        """Frames in one record."""
        parts = [item if isinstance(item, bytes) else frame(item) for item in frames]
        plaintext = b"".join(parts)
        shown = " ".join(_named(part) for part in parts)
        self.note("→", f"record: {shown}{f' [{bug.name}]' if bug else ''}", plaintext)
        self.carrier.send(self.seal(plaintext, bug))

    def next_frame(self, patience: float | None = None) -> Frame | None:
        """The subject's next frame; None: nothing came. A stream that ended fails `answer`."""
        while not self._frames:
            opened = self._open_record(self.patience if patience is None else patience)
            if opened is None:
                return None
            if not opened:
                self.fail("answer", Kind.SILENT_DROP, "a frame", "the stream ended without CLOSE")
        return self._frames.pop(0)

    def _open_record(self, patience: float) -> bool | None:
        while len(self._buffer) < 2 or len(self._buffer) < 2 + int.from_bytes(self._buffer[:2], "big"):
            more = self._more(patience)
            if not more:
                return more
        size = int.from_bytes(self._buffer[:2], "big")
        if size < constant("MIN_RECORD"):
            self.fail("record", Kind.WRONG, "a record length of 17 to 65535", f"{size} came")
        sealed = bytes(self._buffer[2 : 2 + size])
        del self._buffer[: 2 + size]
        try:
            plaintext = self.into.decrypt(b"", sealed)
        except Undecryptable as error:
            self.fail("record", Kind.WRONG, "a record that decrypts", str(error))
        if self.into.n % REKEY == 0:
            self.into.rekey()
        self._split(plaintext)
        return True

    def _split(self, plaintext: bytes) -> None:
        if not plaintext:
            self.fail("record", Kind.WRONG, "at least one frame in a record", "there is none")
        at = 0
        while at < len(plaintext):
            kind, size = plaintext[at], int.from_bytes(plaintext[at + 1 : at + 3], "big")
            body = plaintext[at + 3 : at + 3 + size]
            if len(plaintext) < at + 3 + size:
                self.fail("record", Kind.WRONG, "whole frames in a record", f"frame {kind:#04x} is cut")
            layout = protocol().by_type.get(kind)
            try:
                tree = None if layout is None else decode(layout.name, body)
            except Malformed as error:
                self.note("←", "malformed frame", plaintext[at : at + 3 + size])
                self.fail("well-formed", Kind.WRONG, "well-formed frames", str(error))
            found = Frame(kind, body, tree)
            self.note("←", str(found), plaintext[at : at + 3 + size])
            self._frames.append(found)
            at += 3 + size

    # --- frames ---

    def _ambient(self, found: Frame) -> bool:
        """Take note of a frame that is no answer, and answer a PING. Whether it was one."""
        if found.name == "Ping":
            self.send(Tree("Pong", data=found["data"]))
        elif found.tree is not None and found.name not in AMBIENT:
            return False
        elif found.tree is None and found.type % 2 == 0:
            self.fail("frame-type", Kind.WRONG, "a frame type that was agreed on", str(found))
        self.noticed.append(found)
        return True

    def expect(self, name: str, check: str = "answer", **fields: Any) -> Frame:
        """The subject's next frame that is not ambient has this name and these fields."""
        wanted = f"{name}({', '.join(f'{k}={_shown(v)}' for k, v in fields.items())})" if fields else name
        while True:
            found = self.next_frame()
            if found is None:
                self.fail(check, Kind.SILENT_DROP, wanted, f"nothing came{self._within()}")
            if found.name == name and all(found[key] == value for key, value in fields.items()):
                return found
            if found.name == name and name not in AMBIENT:
                self.fail(check, Kind.WRONG, wanted, f"{found} came")
            if not self._ambient(found):
                kind = Kind.REJECTED if found.name == "Close" else Kind.WRONG
                self.fail(check, kind, wanted, f"{_close_text(found)} came")

    def _within(self) -> str:
        return "" if self.carrier.exact else f" within {self.patience:.0f} s"

    def hello(self, **values: Any) -> Frame:
        """HELLOs both ways."""
        self.send(hello(**values))
        return self.expect_hello()

    def expect_hello(self) -> Frame:
        """The subject's HELLO, which comes before all else."""
        found = self.next_frame()
        if found is None or found.name != "Hello":
            actual = f"nothing came{self._within()}" if found is None else f"{_close_text(found)} came"
            self.fail("hello", Kind.SILENT_DROP if found is None else Kind.WRONG, "HELLO first", actual)
        self.peer_hello = found
        return found

    def fence(self, check: str = "fence") -> list[Frame]:
        """PING, and what comes until its PONG: all that earlier frames caused."""
        self._fences += 1
        data = b"fence" + self._fences.to_bytes(3, "big")
        self.send(Tree("Ping", data=data))
        found: list[Frame] = []
        while True:
            one = self.next_frame()
            if one is None:
                self.fail(check, Kind.SILENT_DROP, "the PONG of a PING", f"nothing came{self._within()}")
            if one.name == "Pong" and one["data"] == data:
                return found
            if one.name == "Close":
                self.fail(check, Kind.REJECTED, "the link to go on", f"{_close_text(one)} came")
            if self._ambient(one):
                if one.name == "Join":
                    found.append(one)
                continue
            found.append(one)

    def expect_open(self, check: str = "goes-on", *, but: str = "") -> None:
        """The link goes on, and earlier frames caused no answer; `but` names a frame that the subject may send unasked."""
        found = [one for one in self.fence(check) if _is_answer(one) and one.name != but]
        if found:
            self.fail(check, Kind.WRONG, "no answer", f"{found[0]} came")

    def expect_close(self, *codes: str, check: str = "close-code", blame: int | None = None) -> Frame:
        """The subject says CLOSE with one of these codes."""
        wanted = f"CLOSE {' or '.join(codes)}"
        fenced = False
        while True:
            look = self.patience if fenced or self.carrier.exact else min(FIRST_LOOK, self.patience)
            if not self._frames and (opened := self._open_record(look)) is not True:
                if opened is False:
                    self.fail(check, Kind.SILENT_DROP, wanted, "the stream ended without CLOSE")
                if fenced:
                    self.fail(check, Kind.SILENT_DROP, wanted, f"nothing came{self._within()}")
                fenced = True
                self.send(Tree("Ping", data=b"go on?!!"))
                continue
            found = self._frames.pop(0)
            if found.name == "Close":
                break
            if found.name == "Pong" and found["data"] == b"go on?!!":
                self.fail(check, Kind.NOT_REJECTED, wanted, "the link goes on")
            self._ambient(found)  # what was under way when the fault arrived
        if found["code"] not in {close_code(code) for code in codes}:
            self.fail(check, Kind.WRONG_CODE, wanted, f"{_close_text(found)} came")
        if blame is not None and found["frame_type"] != blame:
            self.fail("close-blame", Kind.WRONG, f"frame_type {blame:#04x}", f"{found['frame_type']:#04x} came")
        return found

    def expect_dropped(self, check: str = "dropped-silently") -> None:
        """The stream ends, and no CLOSE came before."""
        while True:
            if self._frames:
                found = self._frames.pop(0)
                if found.name == "Close":
                    self.fail(check, Kind.NOT_SILENT, "the stream to end without CLOSE", f"{_close_text(found)} came")
                continue
            opened = self._open_record(self.patience)
            if opened is None:
                self.fail(check, Kind.NOT_REJECTED, "the stream to end", f"it is open{self._within()}")
            if opened is False:
                break
        if self._buffer:
            self.fail(check, Kind.NOT_SILENT, "the stream to end", f"{len(self._buffer)} bytes of a record came")

    def expect_end(self, check: str = "end") -> None:
        """The stream ends, and nothing comes before."""
        if self._frames:
            self.fail(check, Kind.NOT_SILENT, "nothing more", f"{self._frames[0]} came")
        self.expect_silence(check)

    # --- topics ---

    def join_frame(
        self, object: Object, *, flags: int = 0, handle: int | None = None, cap: bytes | None = None
    ) -> Tree:
        """JOIN with the right cap."""
        if handle is None:
            handle, self._handles = self._handles + 100, self._handles + 1
        right = cap_of(object.oid, self.hash, initiator=self.initiator)
        return Tree("Join", handle=handle, flags=flags, topic=object.topic, cap=right if cap is None else cap)

    def open_topic(self, object: Object, *, flags: int = 0, tell: bool = True) -> tuple[int, int]:
        """Open a topic that the subject shares or fetches: (own handle, the subject's)."""
        join = self.join_frame(object, flags=flags)
        self.send(join)
        answer = self.topic_joined(object)
        if tell:
            self.send(object.object_frame(join["handle"]))
        return join["handle"], answer["handle"]

    def topic_joined(self, object: Object) -> Frame:
        """The subject's JOIN of a topic, from before or to come; its cap is judged."""
        found = next((one for one in self.noticed if one.name == "Join" and one["topic"] == object.topic), None)
        while found is None:
            one = self.expect("Join", "join")
            found = one if one["topic"] == object.topic else None
        if found["cap"] != cap_of(object.oid, self.hash, initiator=not self.initiator):
            self.fail("cap", Kind.WRONG, "the cap of this link and role", "another one came")
        return found

    def finish(self) -> None:
        """End the own direction."""
        self.note("→", "end of the stream")
        self.carrier.finish()


def _is_answer(found: Frame) -> bool:
    return found.name in ANSWERS or (found.name == "Reject" and found["code"] in (5, 6))


def _close_text(found: Frame) -> str:
    if found.name != "Close":
        return str(found)
    detail = found["detail"].decode("utf-8", "replace")
    return f"CLOSE {protocol().name('CloseCode', found['code'])} {f'({detail})' if detail else ''}".strip()


def _named(data: bytes) -> str:
    if len(data) < 3:
        return f"{len(data)} bytes"
    return f"{protocol().frame_name(data[0])}[{len(data) - 3}]"


def hello(**values: Any) -> Tree:
    """An honest HELLO, unless it is told otherwise."""
    return Tree("Hello", **{"max_requests": 1024, "max_handles": 64, "idle": 150, **values})


def parameter(tag: int, value: bytes) -> Tree:
    """A parameter of HELLO."""
    return Tree("HelloParameter", tag=tag, value=value)


def close(code: int = 0, blame: int = 0xFF, detail: str = "") -> Tree:
    """CLOSE."""
    return Tree("Close", code=code, frame_type=blame, detail=detail)


def unknown(type: int, body: bytes = b"") -> bytes:
    """A frame of a type without a meaning."""
    return raw_frame(type, body)


def ping(data: bytes = b"12345678") -> Tree:
    """PING."""
    return Tree("Ping", data=data)
