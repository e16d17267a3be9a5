"""The suite's side of a link: records, frames, topics, and what is to come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from p2pwire_conformance.bugs import Bug
from p2pwire_conformance.content import Object
from p2pwire_conformance.keys import cap_of
from p2pwire_conformance.message import Malformed, Tree, decode, frame, raw_frame
from p2pwire_conformance.noise import Cipher, Undecryptable
from p2pwire_conformance.protocol import close_code, constant, protocol
from p2pwire_conformance.shaking import Line as Line
from p2pwire_conformance.shaking import Plan as Plan
from p2pwire_conformance.shaking import Shaker
from p2pwire_conformance.verdict import Kind, NotApplicable

REKEY: Final[int] = constant("REKEY_INTERVAL")
NO_TYPE: Final[int] = constant("NO_FRAME_TYPE")
FIRST_LOOK: Final = 1.0
"""seconds on a real clock before a fence is sent after a fault, so that a PING never meets a socket that is closing."""
AMBIENT: Final = frozenset(
    ["Pad", "Ping", "Credit", "Have", "Lost", "Interest", "Suggest", "Peers", "GetPeers", "Join", "Object"]
)
"""Frames that a subject may send whenever it likes; they are noted, and not taken for an answer."""
UNPROMPTED: Final = frozenset(map(close_code, ("NONE", "INTERNAL", "NOT_ALLOWED", "SHUTDOWN", "BUSY")))
"""Codes with which a subject may end a link for reasons of its own (GN-014)."""
PROBES: Final = (b"fence", b"go on?!!")
"""How the data of PINGs begins that only ask whether the link goes on."""
ANSWERS: Final = frozenset(["Close", "Join", "Refuse", "Leave"])
"""What a fence proves the absence of, beside REJECT 5 and 6."""


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
    if isinstance(value, list) and (len(value) > 3 or any(isinstance(one, Tree) for one in value)):
        return f"{len(value)} items"
    return str(value)


class Link(Shaker):
    """A link to the subject, from the handshake on."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.peer_hello: Frame | None = None
        self.noticed: list[Frame] = []
        """Ambient frames of the subject, in order."""
        self._frames: list[Frame] = []
        self._fences = 0
        self._handles = 0
        self._opened = 0
        self._own_idle: int = hello()["idle"]

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
        plaintext = self._record(patience)
        if not isinstance(plaintext, bytes):
            return plaintext
        self._split(plaintext)
        return True

    def skip_records(self) -> None:
        """Inline: read what has come as far as that it decrypts, without a line in the log: for tens of thousands."""
        while isinstance(self._record(0.0), bytes):
            pass

    def _record(self, patience: float) -> bytes | bool | None:
        """The next record's plaintext. None: nothing came. False: the stream ended."""
        while len(self._buffer) < 2 or len(self._buffer) < 2 + int.from_bytes(self._buffer[:2], "big"):
            more = self._more(patience)
            if not more:
                return None if more is None else False
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
        return plaintext

    def _split(self, plaintext: bytes) -> None:
        if not plaintext:
            self.fail("record", Kind.WRONG, "at least one frame in a record", "there is none")
        at = 0
        while at < len(plaintext):
            kind, size = plaintext[at], int.from_bytes(plaintext[at + 1 : at + 3], "big")
            if kind == NO_TYPE:
                self.fail("frame-type", Kind.WRONG, "no frame of type 0xff", "one came")
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

    def expect(self, name: str, check: str = "answer", *, but: str = "", **fields: Any) -> Frame:
        """The subject's next frame that is not ambient, nor named as `but` says, has this name and these fields."""
        wanted = f"{name}({', '.join(f'{k}={_shown(v)}' for k, v in fields.items())})" if fields else name
        while True:
            found = self.next_frame()
            if found is None:
                self.fail(check, Kind.SILENT_DROP, wanted, f"nothing came{self._within()}")
            if found.name == name and all(found[key] == value for key, value in fields.items()):
                return found
            if found.name == name and name not in AMBIENT:
                self.fail(check, Kind.WRONG, wanted, f"{found} came")
            if found.name != but and not self._ambient(found):
                kind = _kind_of_close(found, Kind.REJECTED) if found.name == "Close" else Kind.WRONG
                self.fail(check, kind, wanted, f"{_close_text(found)} came")

    def _within(self) -> str:
        return "" if self.carrier.exact else f" within {self.patience:.0f} s"

    def hello(self, **values: Any) -> Frame:
        """HELLOs both ways."""
        own = hello(**values)
        self._own_idle = own["idle"]
        self.send(own)
        return self.expect_hello()

    @property
    def idle(self) -> int:
        """Seconds: the shorter of both sides' idle times."""
        return min(self._own_idle, self.peer_hello["idle"] if self.peer_hello is not None else self._own_idle)

    def need(self, **granted: int) -> None:
        """Go on only with a subject whose HELLO grants so much."""
        for name, value in granted.items():
            if self.peer_hello is not None and self.peer_hello[name] < value:
                raise NotApplicable(f"limit:{name} below {value}")

    def expect_hello(self) -> Frame:
        """The subject's HELLO, which comes before all else."""
        found = self.next_frame()
        if found is None or found.name != "Hello":
            actual = f"nothing came{self._within()}" if found is None else f"{_close_text(found)} came"
            self.fail("hello", Kind.SILENT_DROP if found is None else Kind.WRONG, "HELLO first", actual)
        self.peer_hello = found
        return found

    def drained(self) -> list[Frame]:
        """Inline: all frames that have come, until CLOSE. PINGs among them are not answered."""
        found: list[Frame] = []
        while (one := self.next_frame(0.0)) is not None:
            found.append(one)
            if one.name == "Close":
                break
        return found

    def expect_nothing(self, check: str = "nothing-sent") -> None:
        """Inline: nothing came that is an answer, and the stream is open. After the handshake a subject may always have
        something of its own to say, and is not answered here."""
        if self.peer_hello is None:
            super().expect_nothing(check)
            return
        for found in self.drained():
            if not self.is_ambient(found):
                self.fail(check, Kind.NOT_SILENT, "nothing", f"{_close_text(found)} came")
            self.noticed.append(found)
        if self._buffer:
            self.fail(check, Kind.NOT_SILENT, "nothing", f"{len(self._buffer)} bytes of a record came")

    @staticmethod
    def is_ambient(found: Frame) -> bool:
        """Whether a subject may send this whenever it likes."""
        return found.name in AMBIENT or (found.tree is None and found.type % 2 == 1)

    def fence(self, check: str = "fence") -> list[Frame]:
        """PING, and what comes until its PONG: all that earlier frames caused."""
        self._fences += 1
        data = PROBES[0] + self._fences.to_bytes(3, "big")
        self.send(Tree("Ping", data=data))
        found: list[Frame] = []
        while True:
            one = self.next_frame()
            if one is None:
                self.fail(check, Kind.SILENT_DROP, "the PONG of a PING", f"nothing came{self._within()}")
            if one.name == "Pong" and one["data"] == data:
                return found
            if one.name == "Close":
                kind = _kind_of_close(one, Kind.REJECTED)
                self.fail(check, kind, "the link to go on", f"{_close_text(one)} came")
            if self._ambient(one):
                if one.name == "Join":
                    found.append(one)
                continue
            found.append(one)

    def expect_open(self, check: str = "goes-on", *, but: str = "") -> None:
        """The link goes on, and earlier frames caused no answer; `but` names a frame that may come unasked."""
        found = [one for one in self.fence(check) if _is_answer(one) and one.name != but]
        if found:
            self.fail(check, Kind.WRONG, "no answer", f"{found[0]} came")

    def expect_close(self, *codes: str, check: str = "close-code", blame: int | None = None, never: str = "") -> Frame:
        """The subject says CLOSE with one of these codes, and no frame that is named `never` before."""
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
                self.send(Tree("Ping", data=PROBES[1]))
                continue
            found = self._frames.pop(0)
            if found.name == "Close":
                break
            if found.name == "Pong" and found["data"] == PROBES[1]:
                self.fail(check, Kind.NOT_REJECTED, wanted, "the link goes on")
            if found.name == never:
                self.fail("acted", Kind.NOT_SILENT, f"no {never} before {wanted}", f"{found} came")
            self.noticed.append(found)  # what was under way when the fault arrived; nothing is sent after it
        if found["code"] not in {close_code(code) for code in codes}:
            self.fail(check, _kind_of_close(found, Kind.WRONG_CODE), wanted, f"{_close_text(found)} came")
        if blame is not None and found["frame_type"] != blame:
            self.fail("close-blame", Kind.WRONG, f"frame_type {blame:#04x}", f"{found['frame_type']:#04x} came")
        return found

    def expect_dropped(self, check: str = "dropped-silently", *, never: str = "Close") -> None:
        """The stream ends, and neither CLOSE nor a frame that is named `never` came before."""
        while True:
            if self._frames:
                found = self._frames.pop(0)
                if found.name in ("Close", never):
                    wanted = f"the stream to end without {found.name.upper()}"
                    self.fail(check, Kind.NOT_SILENT, wanted, f"{_close_text(found)} came")
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
        self._opened += 1
        self.need(max_handles=self._opened)
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
            self.noticed.append(one)
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


def _kind_of_close(found: Frame, otherwise: Kind) -> Kind:
    return Kind.UNPROMPTED if found["code"] in UNPROMPTED else otherwise


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
