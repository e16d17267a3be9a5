"""Judges of vectors about bytes: messages, streams of them, and what a link makes of frames."""

from __future__ import annotations

from itertools import pairwise

from p2pwire_conformance.message import Malformed, Tree, decode, frame
from p2pwire_conformance.noise import Cipher, Undecryptable
from p2pwire_conformance.protocol import constant, protocol
from p2pwire_conformance.vectors import Json, Verdict


def value_of(tree: Tree) -> dict[str, Json]:
    """The fields of a message as vectors write them."""
    value: dict[str, Json] = {}
    for known in tree.layout.fields:
        if known.prefix_of or known.value is not None:
            continue
        found = tree[known.name]
        if isinstance(found, list):
            value[known.name] = [
                value_of(part) if isinstance(part, Tree) else part.hex() if isinstance(part, bytes) else part
                for part in found
            ]
        elif isinstance(found, bytes):
            value[known.name] = found.decode("utf-8") if known.is_text else found.hex()
        else:
            value[known.name] = found
    return value


def judge_message(given: Json) -> Verdict:
    """Families codec and reject."""
    data = bytes.fromhex(given["bytes"])
    try:
        tree = decode(given["message"], data)
    except Malformed as error:
        return Verdict(False, why=str(error))
    if tree.encode() != data:
        raise ValueError("it is written in another way than it is read")
    return Verdict(True, {"value": value_of(tree)})


# --- records ---


def judge_records(given: Json) -> Verdict:
    """Family records: each is opened, and made again from what was in it."""
    opening, sealing = (Cipher(given["suite"], bytes.fromhex(given["key"])) for _ in range(2))
    opening.n = sealing.n = given["n"]
    plaintexts: list[str] = []
    for text in given["records"]:
        raw = bytes.fromhex(text)
        if int.from_bytes(raw[:2], "big") != len(raw) - 2:
            raise ValueError("the length of a record is not its own")
        try:
            plaintext = _open(opening, raw[2:])
        except Undecryptable as error:
            return Verdict(False, {"plaintexts": plaintexts}, "silent", str(error))
        if sealing.encrypt(b"", plaintext) != raw[2:]:
            raise ValueError("it is written in another way than it is read")
        _rekey_if_due(sealing)
        plaintexts.append(plaintext.hex())
    assert opening.key is not None
    return Verdict(True, {"plaintexts": plaintexts, "key": opening.key.hex(), "n": opening.n})


def _open(cipher: Cipher, sealed: bytes) -> bytes:
    if len(sealed) < constant("MIN_RECORD"):
        raise Undecryptable(f"a record of {len(sealed)} bytes")
    plaintext = cipher.decrypt(b"", sealed)
    _rekey_if_due(cipher)
    return plaintext


def _rekey_if_due(cipher: Cipher) -> None:
    if cipher.n % constant("REKEY_INTERVAL") == 0:
        cipher.rekey()


# --- streams ---


class Fault(Exception):
    """A stream that has to end here."""

    def __init__(self, outcome: str, frame_type: int | None = None) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.frame_type = frame_type


class Stream:
    """Reads what comes, as far as it is complete."""

    def __init__(self, given: Json) -> None:
        self.buffer = b""
        self.cipher: Cipher | None = None
        self.output: dict[str, Json] = {"preamble": "", "messages": []}
        if given["stage"] == "records":
            self.cipher = Cipher(given["suite"], bytes.fromhex(given["key"]))
            self.cipher.n = given["n"]
            self.output = {"frames": []}

    def add(self, data: bytes) -> None:
        """Raises `Fault`."""
        self.buffer += data
        while self._record() if self.cipher is not None else self._handshake():
            pass

    def _handshake(self) -> bool:
        if self.output["preamble"]:
            message = self._prefixed(2, 1, constant("MAX_HANDSHAKE_MESSAGE"))
            if message is not None:
                self.output["messages"].append(message[2:].hex())
            return message is not None
        magic = bytes.fromhex(constant("MAGIC"))
        if self.buffer[:8] != magic[: len(self.buffer)]:
            raise Fault("silent")
        preamble = self._prefixed(11, constant("MIN_PREAMBLE_BODY"), constant("MAX_PREAMBLE_BODY"))
        if preamble is not None:
            self.output["preamble"] = preamble.hex()
        return preamble is not None

    def _prefixed(self, head: int, least: int, most: int) -> bytes | None:
        """What a length at the end of a head announces, with the head."""
        if len(self.buffer) < head:
            return None
        size = int.from_bytes(self.buffer[head - 2 : head], "big")
        if not least <= size <= most:
            raise Fault("silent")
        if len(self.buffer) < head + size:
            return None
        found, self.buffer = self.buffer[: head + size], self.buffer[head + size :]
        return found

    def _record(self) -> bool:
        assert self.cipher is not None
        record = self._prefixed(2, constant("MIN_RECORD"), constant("MAX_RECORD"))
        if record is None:
            return False
        try:
            plaintext = _open(self.cipher, record[2:])
        except Undecryptable:
            raise Fault("silent") from None
        while plaintext:
            if len(plaintext) < 3:
                raise Fault("CLOSE PROTOCOL", 0xFF)
            end = 3 + int.from_bytes(plaintext[1:3], "big")
            if end > len(plaintext):
                raise Fault("CLOSE PROTOCOL", plaintext[0])
            self.output["frames"].append({"type": plaintext[0], "body": plaintext[3:end].hex()})
            plaintext = plaintext[end:]
        return True


def _read_stream(given: Json, pieces: list[bytes]) -> tuple[Verdict, int]:
    """The verdict, and how many bytes it took."""
    stream, came = Stream(given), 0
    for piece in pieces:
        came += len(piece)
        try:
            stream.add(piece)
        except Fault as fault:
            blamed = {} if fault.frame_type is None else {"frame_type": fault.frame_type}
            return Verdict(False, {**stream.output, **blamed}, fault.outcome), came
    return Verdict(True, {**stream.output, "left": len(stream.buffer)}), came


def judge_stream(given: Json) -> Verdict:
    """Family stream: byte by byte, and in the pieces that the cuts make."""
    data = bytes.fromhex(given["bytes"])
    verdict, after = _read_stream(given, [data[at : at + 1] for at in range(len(data))])
    for cuts in given["cuts"]:
        if _read_stream(given, [data[a:b] for a, b in pairwise([0, *cuts, len(data)])])[0] != verdict:
            raise ValueError(f"it comes to something else with cuts at {cuts}")
    if verdict.accepted:
        return verdict
    return Verdict(False, {**(verdict.output or {}), "after": after}, verdict.outcome)


# --- what a link makes of frames ---


class _Link:
    """One side that has joined nothing, from the end of the handshake on; after the table of states and SPEC.md."""

    def __init__(self) -> None:
        self.state = "WAIT_HELLO"
        self.answers: list[str] = []
        self.credit: int = constant("INITIAL_CREDIT")
        self.ended: set[int] = set()
        self.closed: dict[str, Json] | None = None

    def record(self, plaintext: bytes) -> None:
        """Raises `Fault`."""
        while plaintext and self.closed is None:
            if len(plaintext) < 3:
                raise Fault("CLOSE PROTOCOL", 0xFF)
            kind, end = plaintext[0], 3 + int.from_bytes(plaintext[1:3], "big")
            if end > len(plaintext):
                raise Fault("CLOSE PROTOCOL", kind)
            self._frame(kind, plaintext[3:end])
            plaintext = plaintext[end:]

    def _frame(self, kind: int, body: bytes) -> None:
        layout = protocol().by_type.get(kind)
        unknown = "UNKNOWN_IGNORABLE" if kind % 2 else "UNKNOWN_CRITICAL"
        cell = protocol().states["link"]["arrivals"][self.state][protocol().frame_name(kind) if layout else unknown]
        if cell.startswith("CLOSE "):
            raise Fault(cell, kind)
        if layout is None:
            return
        try:
            tree = decode(layout.name, body)
        except Malformed:
            raise Fault("CLOSE PROTOCOL", kind) from None
        if layout.name == "Close":
            names = protocol().enumerations["CloseCode"]
            code = tree["code"]
            meaning = next((name for name, number in names.items() if number == code), "INTERNAL")
            self.closed = {"code": code, "meaning": meaning, "detail": tree["detail"].decode("utf-8")}
        self._act(layout.name, kind, tree)
        self.state = cell

    def _act(self, name: str, kind: int, tree: Tree) -> None:
        match name:
            case "Ping":
                self._answer(Tree("Pong", data=tree["data"]))
            case "Join":
                self.ended.add(tree["handle"])
                self._answer(Tree("Refuse", handle=tree["handle"], code=0))
            case "Credit":
                if tree["blocks"] < self.credit:
                    raise Fault("CLOSE PROTOCOL", kind)
                self.credit = tree["blocks"]
            case "Data" | "Reject":
                raise Fault("CLOSE UNSOLICITED", kind)
            case "Object" | "Have" | "Lost" | "Interest" | "Suggest" | "Request" | "Peers" | "GetPeers":
                if tree["handle"] not in self.ended:
                    raise Fault("CLOSE PROTOCOL", kind)
                if name == "Request":
                    not_joined = protocol().number("RejectCode", "NOT_JOINED")
                    self._answer(Tree("Reject", id=tree["id"], code=not_joined, retry=0))

    def _answer(self, tree: Tree) -> None:
        self.answers.append(frame(tree).hex())


def judge_close(given: Json) -> Verdict:
    """Family close."""
    link = _Link()
    for text in given["records"]:
        try:
            link.record(bytes.fromhex(text))
        except Fault as fault:
            output = {"answers": link.answers, "frame_type": fault.frame_type}
            return Verdict(False, output, fault.outcome)
        if link.closed is not None:
            return Verdict(True, {"link": "closed", **link.closed, "answers": link.answers})
    return Verdict(True, {"link": "open", "answers": link.answers})
