"""Family records: ciphertexts under a given key and number, and what may not decrypt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from p2pwire.generate.vectors.book import SILENT, Book, Vector
from p2pwire.generate.vectors.ciphers import KEY, LAST, OTHER_KEY, Sealer, frame, record
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.samples import counting
from p2pwire.wire.registry import MIN_RECORD, RECORD_TAG, REKEY_INTERVAL, Suite

PING: Final = frame(4, b"12345678")
SIZES: Final = (1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1024)
NUMBERS: Final = (
    0,
    1,
    255,
    256,
    REKEY_INTERVAL - 2,
    REKEY_INTERVAL - 1,
    REKEY_INTERVAL,
    2 * REKEY_INTERVAL - 1,
    2 * REKEY_INTERVAL,
    2**24 - 1,
    2**32 - 2,
    2**32 - 1,
    2**32,
    2**48,
    2**63 - 1,
    2**63,
    LAST - 2,
    LAST - 1,
)


def records(citations: Citations) -> Iterator[Book]:
    """One file a suite."""
    for suite in Suite:
        about = f"Records of suite {suite:#06x}: key and number before them, and what is in them."
        book = Book(f"records/suite-{int(suite)}", about, citations)
        _Records(book, suite).all()
        yield book


class _Records:
    def __init__(self, book: Book, suite: Suite) -> None:
        self.book = book
        self.suite = suite

    def all(self) -> None:
        for size in SIZES:
            self._accept(f"size-{size}", 0, [counting(size)], ("EN-001", "EN-002", "EN-015"))
        largest = 65519 if self.suite is Suite.XX_AESGCM else 16384
        self._accept(f"size-{largest}", 0, [bytes(largest)], ("EN-001", "EN-015"), flags=("large",))
        for n in NUMBERS:
            self._accept(f"number-{n}", n, [PING], ("EN-001", "EN-002"))
        three = self._accept("three", 0, [PING, b"\x01\x00\x00", PING + PING], ("EN-001", "EN-002", "EN-007"))
        rekeying = [frame(4, bytes((n,)) * 8) for n in range(4)]
        for turn in (1, 2, 3):
            n = turn * REKEY_INTERVAL - 2
            cited = ("EN-011", "EN-012")
            rekeyed = self._accept(f"rekey-{turn}", n, rekeying, cited, flags=("rekey",))
        self._damage_one()
        self._damage_three(three)
        self._damage_rekey(rekeyed, 3 * REKEY_INTERVAL - 2, rekeying)

    def _id(self, name: str) -> str:
        return f"suite-{int(self.suite)}/{name}"

    def _accept(
        self, name: str, n: int, plaintexts: Sequence[bytes], cited: Sequence[str], *, flags: Sequence[str] = ()
    ) -> Vector:
        sealer = Sealer(self.suite, KEY, n)
        sent = [sealer.seal(plaintext) for plaintext in plaintexts]
        return self.book.accept(
            self._id(name),
            f"suite {int(self.suite)}: {name}",
            cited,
            self._input(n, sent),
            {"plaintexts": plaintexts, "key": sealer.key, "n": sealer.n},
            flags=flags,
        )

    def _input(self, n: int, sent: Sequence[bytes], key: bytes = KEY) -> dict[str, Any]:
        return {"suite": self.suite, "key": key, "n": n, "records": sent}

    def _reject(
        self,
        name: str,
        about: str,
        cited: Sequence[str],
        given: dict[str, Any],
        origin: Vector,
        opened: Sequence[bytes] = (),
    ) -> None:
        """`opened`: what the records before the fault hold."""
        self.book.reject(self._id(name), about, cited, given, SILENT, origin=origin, output={"plaintexts": opened})

    def _damage_one(self) -> None:
        origin = self._accept("ping", 7, [PING], ("EN-001", "EN-002"))
        whole: bytes = origin.input["records"][0]
        size = len(whole) - 2
        for at in range(2, len(whole)):
            part = "tag" if at >= len(whole) - RECORD_TAG else "ciphertext"
            changed = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :]
            about = f"a bit of byte {at - 2} of the record, {part}, differs"
            self._reject(f"ping/byte-{at - 2}", about, ("EN-005",), self._input(7, [changed]), origin)
        for length in (MIN_RECORD, size - 1):
            cut = record(whole[2 : 2 + length])
            about = f"the record has {length} bytes in place of {size}"
            self._reject(f"ping/length-{length}", about, ("EN-005",), self._input(7, [cut]), origin)
        longer = self._input(7, [record(whole[2:] + b"\0")])
        self._reject("ping/longer", "the record has a byte more", ("EN-005",), longer, origin)
        for length in range(MIN_RECORD):
            short = record(whole[2 : 2 + length])
            about = f"a record of {length} bytes"
            self._reject(f"ping/length-{length}", about, ("EN-004",), self._input(7, [short]), origin)
        for n in (0, 6, 8, 7 << 32, 7 << 56):
            self._reject(
                f"ping/number-{n}", f"number {n} is due", ("EN-002", "EN-005"), self._input(n, [whole]), origin
            )
        other = self._input(7, [whole], OTHER_KEY)
        self._reject("ping/other-key", "another key", ("EN-005",), other, origin)
        if self.suite is not Suite.XXPSK0_AESGCM:
            suite = Suite.XX_CHACHAPOLY if self.suite is Suite.XX_AESGCM else Suite.XX_AESGCM
            swapped = {**self._input(7, [whole]), "suite": suite}
            self._reject("ping/other-cipher", "another cipher", ("EN-001", "EN-005"), swapped, origin)
        plain = self._input(7, [record(PING + bytes(RECORD_TAG))])
        self._reject("ping/plaintext", "nothing is encrypted", ("EN-005",), plain, origin)
        sealer = Sealer(self.suite, KEY, 7)
        backwards = sealer.encrypt(int.from_bytes((7).to_bytes(8, "big"), "little"), PING)
        given = self._input(7, [record(backwards)])
        self._reject("ping/nonce-byte-order", "the nonce has the other byte order", ("EN-001", "EN-005"), given, origin)

    def _damage_three(self, origin: Vector) -> None:
        one, two, three = origin.input["records"]
        plain = [PING, b"\x01\x00\x00"]
        for name, sent, opened in (
            ("replayed", [one, one, three], plain[:1]),
            ("first-left-out", [two, two, three], []),
            ("second-left-out", [one, three, three], plain[:1]),
            ("swapped", [two, one, three], []),
            ("last-replays-first", [one, two, one], plain),
        ):
            about = f"three records, {name.replace('-', ' ')}"
            given = self._input(0, sent)
            self._reject(f"three/{name}", about, ("EN-002", "EN-005"), given, origin, opened)

    def _damage_rekey(self, origin: Vector, n: int, plaintexts: Sequence[bytes]) -> None:
        def sent(*, early: int = 0, never: bool = False, reset: bool = False) -> list[bytes]:
            sealer, found = Sealer(self.suite, KEY, n), []
            for index, plaintext in enumerate(plaintexts):
                number = n + index
                if index == 2 - early and not never:
                    sealer.key = sealer.rekeyed()
                if reset and index >= 2:
                    number = index - 2
                found.append(record(sealer.encrypt(number, plaintext)))
            return found

        for name, records_, opened, cited in (
            ("no-rekey", sent(never=True), 2, "EN-011"),
            ("rekey-early", sent(early=1), 1, "EN-011"),
            ("rekey-late", sent(early=-1), 2, "EN-011"),
            ("number-reset", sent(reset=True), 2, "EN-012"),
        ):
            about = f"{name.replace('-', ' ')} at record {n + 2}"
            given = self._input(n, records_)
            self._reject(f"rekey-3/{name}", about, (cited, "EN-005"), given, origin, plaintexts[:opened])
