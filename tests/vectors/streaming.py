"""The reference's inbox and record keys as judges of streams and records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from p2pwire.connection.faults import LinkFault, SilentFault
from p2pwire.connection.inbox import Inbox
from p2pwire.connection.records import RecordOpener, RecordSealer
from p2pwire.crypto.noise import CipherState, DecryptionFailed
from p2pwire.wire.registry import MIN_RECORD, REKEY_INTERVAL, CloseCode, Suite

from .reading import Json, Verdict


def cipher_at(suite: int, key: str, n: int) -> CipherState:
    """A cipher that has come to a number."""
    cipher = CipherState(Suite(suite), bytes.fromhex(key))
    cipher.n = n
    return cipher


def judge_records(given: Json) -> Verdict:
    """Family records."""
    suite, key, n = given["suite"], given["key"], given["n"]
    opener, sealer = RecordOpener(cipher_at(suite, key, n)), RecordSealer(cipher_at(suite, key, n))
    # There is no way but this to a number that takes years to reach.
    opener._until_rekey = sealer._until_rekey = REKEY_INTERVAL - n % REKEY_INTERVAL
    plaintexts: list[str] = []
    for text in given["records"]:
        raw = bytes.fromhex(text)
        assert int.from_bytes(raw[:2], "big") == len(raw) - 2
        try:
            if len(raw) - 2 < MIN_RECORD:
                raise DecryptionFailed("too short")
            plaintext = opener.open(raw[2:])
        except DecryptionFailed:
            return Verdict(False, {"plaintexts": plaintexts}, "silent")
        assert bytes(sealer.seal(plaintext)) == raw
        plaintexts.append(plaintext.hex())
    return Verdict(True, {"plaintexts": plaintexts, "key": _key_of(opener._cipher, suite, key), "n": opener._cipher.n})


def _key_of(cipher: CipherState, suite: int, first: str) -> str:
    """The key of a cipher, which it does not tell: the first one, or what REKEY makes of it."""
    aead = ChaCha20Poly1305 if suite == Suite.XX_CHACHAPOLY else AESGCM
    rekeyed = aead(bytes.fromhex(first)).encrypt(bytes(4) + b"\xff" * 8, bytes(32), None)[:32]
    now: Any = cipher._aead
    same = [key for key in (bytes.fromhex(first), rekeyed) if aead(key).encrypt(bytes(12), b"", None) == _mark(now)]
    assert len(same) == 1
    return same[0].hex()


def _mark(aead: Any) -> bytes:
    mark: bytes = aead.encrypt(bytes(12), b"", None)
    return mark


class _Reader:
    """What one inbox made of a stream."""

    def __init__(self, given: Json) -> None:
        self.inbox = Inbox()
        self.output: dict[str, Json] = {"frames": []}
        self._step: Callable[[], bool] = self._read_frame
        if given["stage"] == "handshake":
            self.output = {"preamble": "", "messages": []}
            self._step = self._read_handshake
        else:
            self.inbox.decrypt_with(cipher_at(given["suite"], given["key"], given["n"]))

    def add(self, data: bytes) -> None:
        self.inbox.add(data)
        while self._step():
            pass

    def _read_frame(self) -> bool:
        found = self.inbox.frame()
        if found is not None:
            self.output["frames"].append({"type": found[0], "body": bytes(found[1]).hex()})
            return True
        return self.inbox.open_record()

    def _read_handshake(self) -> bool:
        if not self.output["preamble"]:
            preamble = self.inbox.preamble()
            self.output["preamble"] = (preamble or b"").hex()
            return preamble is not None
        message = self.inbox.handshake_message()
        if message is not None:
            self.output["messages"].append(message.hex())
        return message is not None


def _read(given: Json, pieces: Iterable[bytes]) -> tuple[Verdict, int]:
    """The verdict, and how many bytes it took."""
    reader, came = _Reader(given), 0
    for piece in pieces:
        came += len(piece)
        try:
            reader.add(piece)
        except SilentFault:
            return Verdict(False, reader.output, "silent"), came
        except LinkFault as fault:
            reader.output["frame_type"] = int(fault.frame_type)
            return Verdict(False, reader.output, f"CLOSE {CloseCode(fault.code).name}"), came
    reader.output["left"] = len(reader.inbox)
    return Verdict(True, reader.output), came


def judge_stream(given: Json) -> Verdict:
    """Family stream: bytewise, and with each of the cuts."""
    data = bytes.fromhex(given["bytes"])
    verdict, after = _read(given, (data[at : at + 1] for at in range(len(data))))
    for cuts in given["cuts"]:
        other, _ = _read(given, [data[a:b] for a, b in pairwise([0, *cuts, len(data)])])
        assert other == verdict, f"it comes to something else with cuts at {cuts}"
    if not verdict.accepted:
        assert verdict.output is not None
        return Verdict(False, {**verdict.output, "after": after}, verdict.outcome)
    return verdict
