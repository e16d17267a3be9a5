"""Family manifest: whole manifests, what they list, and what makes them invalid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

from p2pwire.generate.vectors.book import UNUSABLE, Book, Vector
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.samples import counting
from p2pwire.generate.vectors.trees import blocks_of
from p2pwire.wire.registry import BLOCK_SIZE, MANIFEST_MAGIC, MAX_LENGTH, PROTOCOL_NAME

Row = tuple[int, str, int]
"""Type, path, length."""

FOLDERS: Final[dict[str, tuple[Row, ...]]] = {
    "empty": (),
    "one-file": ((0, "a", 5),),
    "one-empty-file": ((0, "a", 0),),
    "one-executable": ((1, "run.sh", 21),),
    "one-empty-executable": ((1, "run.sh", 0),),
    "one-directory": ((2, "d", 0),),
    "two-files": ((0, "a", 5), (0, "b", 7)),
    "every-type": ((0, "a", 1), (1, "b", 2), (2, "c", 0), (0, "d", 0)),
    "slash-before-dash": ((0, "a/x", 1), (0, "a-b", 1)),
    "slash-before-space": ((0, "a/z", 1), (0, "a b", 1), (0, "a!", 1)),
    "deep-before-sibling": ((0, "a/b/c/d", 1), (0, "a/b-", 1), (0, "a-", 1)),
    "bytes-and-not-letters": ((0, "B", 1), (0, "a", 1), (0, "é", 1), (0, "\U0001f98a", 1)),
    "case-differs": ((0, "README", 1), (0, "Readme", 1), (0, "readme", 1)),
    "normal-forms": ((0, "e\u0301", 1), (0, "\u00e9", 1)),
    "prefix-of-a-name": ((0, "a", 1), (0, "ab", 1), (0, "abc/d", 1)),
    "digits": ((0, "1", 1), (0, "10", 1), (0, "2", 1)),
    "directories": ((2, "a/b", 0), (2, "a/c", 0), (0, "d/e", 1)),
    "many": tuple((0, f"file-{n:03}", n) for n in range(100)),
    "largest": ((0, "a", MAX_LENGTH),),
    "sum-most": ((0, "a", MAX_LENGTH - BLOCK_SIZE), (0, "b", BLOCK_SIZE)),
    "windows-names": ((0, "CON", 1), (0, "a:b", 1), (0, "trailing.", 1)),
    "replacement": ((0, "\ufffd", 1), (0, "\U0010ffff", 1)),
    "surrogate-order": ((0, "\ufb01", 1), (0, "\U00010000", 1)),
}
"""Name -> entries in order."""


def entry(row: Row) -> bytes:
    """One entry, right or wrong."""
    kind, path, length = row
    raw = path.encode("utf-8", "surrogatepass")
    head = bytes((kind,)) + len(raw).to_bytes(2, "big") + raw
    if kind == 2:
        return head
    return head + length.to_bytes(8, "big") + (counting(32, length % 256) if length else b"")


def encoded(rows: Sequence[Row], count: int | None = None) -> bytes:
    """A manifest in the order given."""
    number = len(rows) if count is None else count
    return MANIFEST_MAGIC + number.to_bytes(4, "big") + b"".join(map(entry, rows))


def manifest(citations: Citations) -> Iterator[Book]:
    """Valid, then invalid."""
    book = Book("manifest/manifests", "Manifests, and what they list.", citations)
    made = {name: _accept(book, name, rows) for name, rows in FOLDERS.items()}
    yield book
    book = Book("manifest/invalid", "What is no manifest.", citations)
    _Invalid(book, made).all()
    yield book


def _accept(book: Book, name: str, rows: Sequence[Row]) -> Vector:
    data = encoded(rows)
    total = sum(blocks_of(length) for _, _, length in rows)
    root = sha256(data).digest()
    oid = sha256(PROTOCOL_NAME + b" object\0\x01" + len(data).to_bytes(8, "big") + root).digest()
    listed = [
        {"type": kind, "path": path, "length": length, "root": counting(32, length % 256) if length else bytes(32)}
        for kind, path, length in rows
    ]
    cited = ["OB-020", "OB-024", "OB-032"] + (["OB-026"] if not rows else []) + (["OB-027"] if total > 2**20 else [])
    output: dict[str, Any] = {"entries": listed, "blocks": total, "oid": oid}
    return book.accept(f"valid/{name}", name.replace("-", " "), cited, {"bytes": data}, output)


class _Invalid:
    def __init__(self, book: Book, made: dict[str, Vector]) -> None:
        self.book = book
        self.made = made

    def all(self) -> None:
        self._order()
        self._prefixes()
        self._ends()
        self._sums()
        self._types()

    def _reject(self, name: str, about: str, cited: str, data: bytes, origin: str) -> None:
        cite = (cited, "OB-033", "OB-034")
        self.book.reject(f"invalid/{name}", about, cite, {"bytes": data}, UNUSABLE, origin=self.made[origin])

    def _order(self) -> None:
        for name in (
            "two-files",
            "slash-before-dash",
            "slash-before-space",
            "deep-before-sibling",
            "bytes-and-not-letters",
            "case-differs",
            "normal-forms",
            "prefix-of-a-name",
            "digits",
            "directories",
            "surrogate-order",
            "every-type",
        ):
            rows = FOLDERS[name]
            for at in range(len(rows) - 1):
                swapped = [*rows[:at], rows[at + 1], rows[at], *rows[at + 2 :]]
                about = f"{name.replace('-', ' ')}: entries {at} and {at + 1} swapped"
                self._reject(f"{name}-swapped-{at}", about, "OB-021", encoded(swapped), name)
            for at in range(len(rows)):
                twice = [*rows[: at + 1], *rows[at:]]
                about = f"{name.replace('-', ' ')}: entry {at} twice"
                self._reject(f"{name}-twice-{at}", about, "OB-021", encoded(twice), name)
        rows = FOLDERS["two-files"]
        again = [*rows, rows[0]]
        self._reject("two-files-first-again", "the first entry again at the end", "OB-021", encoded(again), "two-files")
        for kind in (1, 2):
            both = [(0, "a", 5), (kind, "a", 7)]
            about = f"the same path as types 0 and {kind}"
            self._reject(f"same-path-type-{kind}", about, "OB-021", encoded(both), "two-files")

    def _prefixes(self) -> None:
        for name, upper, lower in (
            ("file", (0, "a", 5), (0, "a/b", 7)),
            ("empty-file", (0, "a", 0), (0, "a/b", 7)),
            ("executable", (1, "a", 5), (1, "a/b", 7)),
            ("directory", (2, "a", 0), (0, "a/b", 7)),
            ("directory-directory", (2, "a", 0), (2, "a/b", 0)),
            ("deep", (0, "a/b", 5), (0, "a/b/c/d", 7)),
            ("far-below", (0, "a", 5), (0, "a/b/c/d/e", 7)),
        ):
            about = f"{upper[1]} is an entry, and {lower[1]} lies below it"
            self._reject(f"prefix-{name}", about, "OB-022", encoded([upper, lower]), "two-files")
            between = [upper, (lower[0], lower[1] + "0", lower[2]), (0, "z", 1)]
            self._reject(f"prefix-{name}-more", f"{about}, and more follows", "OB-022", encoded(between), "two-files")

    def _ends(self) -> None:
        for name in ("two-files", "every-type", "one-directory", "empty"):
            rows = FOLDERS[name]
            data = encoded(rows)
            origin = name
            self._reject(f"{name}-longer", "a byte follows", "OB-023", data + b"\0", origin)
            more = data + entry((0, "zz", 3))
            self._reject(f"{name}-entry-more", "an entry more than the count says", "OB-023", more, origin)
            fewer = encoded(rows, len(rows) + 1)
            self._reject(f"{name}-entry-fewer", "an entry fewer than the count says", "OB-023", fewer, origin)
            if rows:
                less = encoded(rows, len(rows) - 1)
                self._reject(f"{name}-count-lower", "the count is lower", "OB-023", less, origin)
            ends = [9]
            for row in rows:
                ends.append(ends[-1] + len(entry(row)))
            cuts = {0, 4, 5, 8, *(end - 1 for end in ends[1:]), *(end for end in ends[:-1])}
            cuts |= {ends[0] + 1, ends[0] + 3, ends[0] + 4, ends[0] + 12} if rows else set()
            for cut in sorted(cuts):
                if cut < len(data):
                    cited = "OB-024" if cut < 9 else "OB-023"
                    self._reject(f"{name}-cut-{cut}", f"ends after {cut} bytes", cited, data[:cut], origin)
        data = encoded(FOLDERS["two-files"])
        for at in range(5):
            changed = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
            self._reject(f"magic-{at}", f"byte {at} of the magic differs", "OB-024", changed, "two-files")
        for count in (2**20 + 1, 2**31, 2**32 - 1):
            changed = data[:5] + count.to_bytes(4, "big") + data[9:]
            self._reject(f"count-{count}", f"a count of {count}", "OB-024", changed, "two-files")

    def _sums(self) -> None:
        for name, rows in (
            ("bytes-one-more", [(0, "a", MAX_LENGTH), (0, "b", 1)]),
            ("bytes-many", [(0, "a", MAX_LENGTH), (0, "b", MAX_LENGTH)]),
            ("blocks-one-more", [(0, "a", MAX_LENGTH - 1), (0, "b", 1)]),
            ("blocks-two-more", [(0, "a", MAX_LENGTH - 2), (0, "b", 1), (0, "c", 1)]),
        ):
            about = f"{sum(r[2] for r in rows)} bytes, {sum(blocks_of(r[2]) for r in rows)} blocks"
            self._reject(f"sum-{name}", about, "OB-027", encoded(rows), "sum-most")
        for length in (MAX_LENGTH + 1, 2**63, 2**64 - 1):
            rows = [(0, "a", length)]
            self._reject(f"length-{length}", f"a file of {length} bytes", "OB-024", encoded(rows), "largest")

    def _types(self) -> None:
        data = encoded(FOLDERS["one-file"])
        for kind in (3, 4, 0x80, 255):
            changed = data[:9] + bytes((kind,)) + data[10:]
            self._reject(f"type-{kind}", f"an entry of type {kind}", "OB-025", changed, "one-file")
        for name, path, cited in (
            ("dot", ".", "OB-030"),
            ("dot-dot", "..", "OB-030"),
            ("dot-dot-inside", "a/../b", "OB-030"),
            ("absolute", "/a", "OB-029"),
            ("double-slash", "a//b", "OB-029"),
            ("trailing-slash", "a/", "OB-029"),
            ("backslash", "a\\b", "OB-031"),
            ("zero", "a\0b", "OB-031"),
            ("newline", "a\nb", "OB-031"),
            ("delete", "a\x7fb", "OB-031"),
            ("component-256", "c" * 256, "OB-029"),
            ("components-33", "/".join("a" * 33), "OB-029"),
            ("path-1025", "/".join(["p" * 204] * 4 + ["q" * 205]), "OB-028"),
            ("surrogate", "\ud800", "OB-028"),
            ("empty", "", "OB-028"),
        ):
            rows = [(0, path, 5)]
            self._reject(f"path-{name}", f"the path is {name}", cited, encoded(rows), "one-file")
