"""Manifests: one text for one folder, and each rule broken once."""

from __future__ import annotations

import struct
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.content.manifest import Entry, Manifest, ManifestError, ManifestReader, encode_manifest
from p2pwire.content.merkle import BLOCK, NO_ROOT, block_count
from p2pwire.wire.messages import ManifestEntry, ManifestHeader
from p2pwire.wire.registry import (
    MANIFEST_MAGIC,
    MAX_LENGTH,
    MAX_MANIFEST_ENTRIES,
    MAX_MANIFEST_LENGTH,
    EntryType,
)

ROOT = bytes(range(32))
FILE, EXECUTABLE, EMPTY = EntryType.FILE, EntryType.EXECUTABLE, EntryType.EMPTY_DIRECTORY

FOLDER = [
    Entry(FILE, "a/b/c.txt", 50_000, ROOT),
    Entry(EMPTY, "a/b/d"),
    Entry(EXECUTABLE, "a/run", 1, ROOT),
    Entry(FILE, "a.txt"),
    Entry(FILE, "ä", 16384, ROOT),
]
"""In the order of a manifest: "a/run" before "a.txt", since components are compared."""


def raw(*entries: bytes, count: int | None = None) -> bytes:
    return MANIFEST_MAGIC + struct.pack(">I", len(entries) if count is None else count) + b"".join(entries)


def item(path: bytes, length: int = 0, *, kind: int = 0, root: bytes = ROOT) -> bytes:
    return struct.pack(">BH", kind, len(path)) + path + struct.pack(">Q", length) + (root if length else b"")


def folder(path: bytes) -> bytes:
    return struct.pack(">BH", 2, len(path)) + path


def feed_bytewise(reader: ManifestReader, data: bytes) -> ManifestReader:
    for at in range(len(data)):
        reader.feed(data[at : at + 1])
    return reader


# --- What is valid ---


def test_a_folder_and_back() -> None:
    manifest = Manifest.from_entries(reversed(FOLDER))
    assert list(manifest) == FOLDER
    assert len(manifest) == 5
    assert [manifest.file(index) for index in range(5)] == [
        (50_000, ROOT),
        (0, NO_ROOT),
        (1, ROOT),
        (0, NO_ROOT),
        (16384, ROOT),
    ]
    assert [manifest.first_block(index) for index in range(5)] == [0, 4, 4, 5, 5]
    assert (manifest.total_blocks, manifest.total_length) == (6, 66_385)
    assert [manifest.locate(block) for block in range(6)] == [(0, 0), (0, 1), (0, 2), (0, 3), (2, 0), (4, 0)]
    assert repr(manifest) == "<Manifest of 5 entries, 6 blocks>"
    data = encode_manifest(FOLDER)
    assert bytes(manifest.data) == data
    assert manifest.length == len(data)
    assert list(Manifest.decode(data)) == FOLDER
    assert data == raw(
        item(b"a/b/c.txt", 50_000),
        folder(b"a/b/d"),
        item(b"a/run", 1, kind=1),
        item(b"a.txt"),
        item("ä".encode(), 16384),
    )


def test_the_schema_says_the_same() -> None:
    parts = [ManifestHeader(len(FOLDER)).encode()]
    parts += [ManifestEntry(entry.type, entry.path, entry.length, entry.root).encode() for entry in FOLDER]
    assert encode_manifest(FOLDER) == b"".join(parts)


def test_roots_can_be_filled_in() -> None:
    roots = [bytes([index]) * 32 if entry.length else NO_ROOT for index, entry in enumerate(FOLDER, 1)]
    wanted = [Entry(entry.type, entry.path, entry.length, root) for entry, root in zip(FOLDER, roots, strict=True)]
    manifest = Manifest.from_entries(FOLDER)
    before = bytes(manifest.data)
    filled = manifest.with_roots(roots)
    assert filled.data == Manifest.from_entries(wanted).data
    assert list(filled) == wanted
    assert filled.layout.total_blocks == manifest.total_blocks
    assert manifest.data == before
    assert Manifest.from_entries([]).with_roots([]).data == raw()


@pytest.mark.parametrize(
    ("index", "root", "error"),
    [
        (0, NO_ROOT, "root 0: 0000.* for 4 blocks"),
        (1, ROOT, "root 1: 0001.* for 0 blocks"),
        (3, ROOT, "root 3: 0001.* for 0 blocks"),
        (4, ROOT[1:], "root 4: 0102.* for 1 blocks"),
        (4, ROOT + b"x", "root 4: 0001.* for 1 blocks"),
    ],
)
def test_roots_have_to_fit(index: int, root: bytes, error: str) -> None:
    roots = [entry.root for entry in FOLDER]
    manifest = Manifest.from_entries(FOLDER)
    for wrong in (roots[:-1], [*roots, ROOT]):
        with pytest.raises(ValueError, match="zip"):
            manifest.with_roots(wrong)
    roots[index] = root
    with pytest.raises(ValueError, match=error):
        manifest.with_roots(roots)


def test_no_entries() -> None:
    manifest = Manifest.decode(raw())
    assert (len(manifest), manifest.total_blocks, manifest.length, list(manifest)) == (0, 0, 9, [])
    assert encode_manifest([]) == raw()


def test_file_indices_outside() -> None:
    manifest = Manifest.from_entries(FOLDER)
    for index in (-1, 5, 0xFFFFFFFF):
        for ask in (manifest.file, manifest.__getitem__, manifest.first_block):
            with pytest.raises(IndexError):
                ask(index)
    for block in (-1, 6):
        with pytest.raises(IndexError):
            manifest.locate(block)


@pytest.mark.parametrize(
    "path",
    [
        b"a" * 255,
        b"/".join([b"a" * 31] * 32),
        b"/".join([b"b"] * 32),
        b"a/" * 31 + b"c",
        b"...",
        b"..a/.b/c.",
        b" ",
        b"-rf",
        b"CON",
        b"a:b*?",
        "\u202e\u00a0\ufeff\u0085".encode(),
        "\U0010ffff".encode(),
        "e\u0301".encode(),
    ],
)
def test_paths_that_are_valid(path: bytes) -> None:
    manifest = Manifest.decode(raw(item(path, 1)))
    assert manifest[0].path.encode() == path
    assert encode_manifest(manifest) == raw(item(path, 1))


def test_sizes_at_their_limits() -> None:
    manifest = Manifest.decode(raw(item(b"a", MAX_LENGTH - BLOCK), item(b"b", BLOCK)))
    assert (manifest.total_length, manifest.total_blocks) == (MAX_LENGTH, 2**32)
    assert manifest.locate(2**32 - 1) == (1, 0)


# --- Each rule broken once ---

BROKEN = {
    "magic, first byte": ("magic", b"X2PM\x01\0\0\0\0"),
    "magic, version": ("magic", b"P2PM\x02\0\0\0\0"),
    "count above the limit": ("count", raw(count=MAX_MANIFEST_ENTRIES + 1)),
    "nothing where entries should be": ("length", raw(count=1)),
    "fewer entries than counted": ("length", raw(item(b"a"), count=2)),
    "more entries than counted": ("end", raw(item(b"a"), item(b"b"), count=1)),
    "a byte after the last entry": ("end", raw(item(b"a")) + b"\0"),
    "a byte after no entry": ("end", raw() + b"\0"),
    "unknown type": ("entry 0 type", raw(item(b"a", kind=3))),
    "type 255": ("entry 0 type", raw(item(b"a", kind=255))),
    "no path": ("entry 0 path_length", raw(item(b""))),
    "long path": ("entry 0 path_length", raw(item(b"/".join([b"a" * 40] * 25) + b"bb"))),
    "long path unsent": ("entry 0 path_length", raw(b"\0\xff\xff", count=1)),
    "long component": ("entry 0 path", raw(item(b"a" * 256))),
    "long component below": ("entry 0 path", raw(item(b"b/" + b"a" * 256))),
    "33 components": ("entry 0 path", raw(item(b"/".join([b"a"] * 33)))),
    "dot": ("entry 0 path", raw(item(b"."))),
    "dot inside": ("entry 0 path", raw(item(b"a/./b"))),
    "dot at the end": ("entry 0 path", raw(item(b"a/."))),
    "dots": ("entry 0 path", raw(item(b".."))),
    "dots first": ("entry 0 path", raw(item(b"../x"))),
    "dots inside": ("entry 0 path", raw(item(b"a/../b"))),
    "dots at the end": ("entry 0 path", raw(item(b"a/.."))),
    "absolute": ("entry 0 path", raw(item(b"/x"))),
    "slash at the end": ("entry 0 path", raw(item(b"x/"))),
    "two slashes": ("entry 0 path", raw(item(b"x//y"))),
    "slash alone": ("entry 0 path", raw(item(b"/"))),
    "backslash": ("entry 0 path", raw(item(b"a\\b"))),
    "NUL": ("entry 0 path", raw(item(b"a\0b"))),
    "newline": ("entry 0 path", raw(item(b"a\n"))),
    "escape": ("entry 0 path", raw(item(b"\x1b[2J"))),
    "unit separator": ("entry 0 path", raw(item(b"a\x1f"))),
    "delete": ("entry 0 path", raw(item(b"a\x7f"))),
    "no UTF-8": ("entry 0 path", raw(item(b"\xff"))),
    "cut UTF-8": ("entry 0 path", raw(item(b"a\xc3"))),
    "overlong UTF-8": ("entry 0 path", raw(item(b"\xc0\xaf"))),
    "surrogate": ("entry 0 path", raw(item(b"\xed\xa0\x80"))),
    "above U+10FFFF": ("entry 0 path", raw(item(b"\xf4\x90\x80\x80"))),
    "bad path of a folder": ("entry 0 path", raw(folder(b".."))),
    "twice": ("entry 1 path", raw(item(b"a"), item(b"a"))),
    "twice, as file and folder": ("entry 1 path", raw(item(b"a"), folder(b"a"))),
    "out of order": ("entry 1 path", raw(item(b"b"), item(b"a"))),
    "in the order of bytes, not of components": ("entry 1 path", raw(item(b"a.txt"), item(b"a/b"))),
    "below a file": ("entry 1 path", raw(item(b"a"), item(b"a/b"))),
    "below an executable": ("entry 1 path", raw(item(b"a", kind=1), folder(b"a/b/c"))),
    "below an empty folder": ("entry 1 path", raw(folder(b"a"), item(b"a/b"))),
    "in an empty folder deep down": ("entry 2 path", raw(item(b"a"), folder(b"b/c"), folder(b"b/c/d"))),
    "long file": ("entry 0 length", raw(item(b"a", MAX_LENGTH + 1))),
    "longest length": ("entry 0 length", raw(item(b"a", 2**64 - 1))),
    "long files": ("entry 1 length", raw(item(b"a", MAX_LENGTH), item(b"b", 1))),
    "many blocks": ("entry 1 length", raw(item(b"a", MAX_LENGTH - 1), item(b"b", 1))),
}


@pytest.mark.parametrize(("field", "data"), BROKEN.values(), ids=BROKEN.keys())
def test_each_rule_broken_once(field: str, data: bytes) -> None:
    with pytest.raises(ManifestError) as whole:
        Manifest.decode(data)
    assert whole.value.field == field
    assert str(whole.value).isprintable()
    assert str(whole.value).startswith(f"{field} at byte {whole.value.offset} is ")
    reader = ManifestReader()
    with pytest.raises(ManifestError) as bytewise:
        feed_bytewise(reader, data).finish()
    assert (bytewise.value.field, bytewise.value.offset) == (field, whole.value.offset)


def test_errors_name_entry_place_value_and_rule() -> None:
    with pytest.raises(ManifestError, match=r"^entry 1 path at byte 24 is 'a/\.\./b': must be .*\.\.") as caught:
        Manifest.decode(raw(item(b"\x20"), item(b"a/../b")))
    assert (caught.value.value, caught.value.offset) == ("a/../b", 24)
    with pytest.raises(ManifestError, match=r"^count at byte 5 is 4294967295: must be 0\.\."):
        Manifest.decode(raw(count=2**32 - 1))


def test_errors_of_order_name_the_rule() -> None:
    for second, rule in ((b"b", "is there twice"), (b"a", "must come after"), (b"b/c", "lies below")):
        with pytest.raises(ManifestError, match=rule):
            Manifest.decode(raw(item(b"b"), item(second)))


def test_paths_that_only_begin_alike_are_no_prefixes() -> None:
    data = raw(item(b"a"), item(b"a!"), item(b"aa"), item(b"b/c"), item(b"b/cd"), item(b"bc"))
    assert [entry.path for entry in Manifest.decode(data)] == ["a", "a!", "aa", "b/c", "b/cd", "bc"]


# --- Pieces, ends, bounds ---


def test_every_truncation_is_an_error_and_every_cut_is_not() -> None:
    data = encode_manifest(FOLDER)
    for end in range(len(data)):
        reader = ManifestReader()
        reader.feed(data[:end])
        assert reader.length == end
        with pytest.raises(ManifestError) as caught:
            reader.finish()
        assert caught.value.field == "length"
    for cut in range(len(data) + 1):
        reader = ManifestReader()
        reader.feed(bytearray(data[:cut]))
        reader.feed(memoryview(data)[cut:])
        assert list(reader.finish()) == FOLDER


def test_an_error_stays() -> None:
    reader = ManifestReader()
    for _ in range(3):
        with pytest.raises(ManifestError, match="magic"):
            reader.feed(b"X2PM\x01\0\0\0\0")
    with pytest.raises(ManifestError, match="magic"):
        reader.finish()
    assert reader.length == 9


def test_a_manifest_is_bounded_by_its_length() -> None:
    reader = ManifestReader()
    reader.feed(raw(count=MAX_MANIFEST_ENTRIES))
    reader.feed(item(b"a"))
    with pytest.raises(ManifestError, match=f"at most {MAX_MANIFEST_LENGTH} bytes") as caught:
        reader.feed(bytes(MAX_MANIFEST_LENGTH))
    assert caught.value.field == "length"


def test_memory_is_the_bytes_and_12_for_each_entry() -> None:
    count = 20_000
    data = raw(*(item(b"%06d" % number, 1) for number in range(count)))
    tracemalloc.start()
    reader = ManifestReader()
    for at in range(0, len(data), BLOCK):
        reader.feed(data[at : at + BLOCK])
    manifest = reader.finish()
    assert manifest.file(count - 1) == (1, ROOT)
    assert manifest.locate(count - 1) == (count - 1, 0)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Growing arrays keep an eighth in reserve, and may be copied while they grow.
    assert most < (len(data) + 12 * count) * 1.15 + 2 * BLOCK


# --- Writing ---


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ([Entry(FILE, "\udcff")], "entry 0 path"),
        ([Entry(FILE, "")], "entry 0 path"),
        ([Entry(FILE, "a" * 1025)], "entry 0 path"),
        ([Entry(FILE, "a" * 70_000)], "entry 0 path"),
        ([Entry(FILE, "../x")], "entry 0 path"),
        ([Entry(FILE, "a"), Entry(FILE, "a")], "entry 1 path"),
        ([Entry(FILE, "a/b"), Entry(FILE, "a")], "entry 1 path"),
        ([Entry(FILE, "a", -1, ROOT)], "entry 0 length"),
        ([Entry(FILE, "a", MAX_LENGTH + 1, ROOT)], "entry 0 length"),
        ([Entry(FILE, "a", MAX_LENGTH, ROOT), Entry(FILE, "b", 1, ROOT)], "entry 1 length"),
        ([Entry(FILE, "a", 1, bytes(31))], "entry 0 root"),
        ([Entry(FILE, "a", 0, ROOT)], "entry 0 root"),
        ([Entry(EMPTY, "a", 1, ROOT)], "entry 0 length"),
    ],
)
def test_what_can_not_be_written(entries: list[Entry], field: str) -> None:
    with pytest.raises(ManifestError) as caught:
        encode_manifest(entries)
    assert caught.value.field == field
    assert str(caught.value).isprintable()


def components() -> st.SearchStrategy[str]:
    forbidden = "/\\" + "".join(map(chr, [*range(0x20), 0x7F]))
    letters = st.characters(codec="utf-8", exclude_characters=forbidden) | st.sampled_from("a.!-")
    return st.text(letters, min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))


def paths() -> st.SearchStrategy[str]:
    return st.lists(components() | st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)


@st.composite
def folders(draw: st.DrawFn) -> list[Entry]:
    """Entries in any order, none below another."""
    names = draw(st.lists(paths(), unique=True, max_size=8))
    kept = [name for name in names if not any(other.startswith(name + "/") for other in names)]
    entries = []
    for name in kept:
        kind = draw(st.sampled_from(EntryType))
        length = 0 if kind == EMPTY else draw(st.integers(0, 5 * BLOCK))
        entries.append(Entry(kind, name, length, draw(st.binary(min_size=32, max_size=32)) if length else NO_ROOT))
    return entries


@given(folders(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_folder_has_one_manifest(entries: list[Entry], random: st.random.Random) -> None:
    data = encode_manifest(entries)
    random.shuffle(entries)
    assert encode_manifest(entries) == data
    manifest = Manifest.decode(data)
    assert sorted(manifest, key=lambda entry: entry.path) == sorted(entries, key=lambda entry: entry.path)
    order = [entry.path.encode().split(b"/") for entry in manifest]
    assert all(one < other for one, other in pairwise(order))
    assert manifest.total_blocks == sum(block_count(entry.length) for entry in entries)
    for index, entry in enumerate(manifest):
        assert manifest[index] == entry
        assert manifest.file(index) == (entry.length, entry.root)
        for block in range(block_count(entry.length)):
            assert manifest.locate(manifest.first_block(index) + block) == (index, block)


@given(folders(), st.data())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_changed_manifest_is_refused_or_another_folder(entries: list[Entry], data: st.DataObject) -> None:
    """Whatever bytes are accepted are the only ones for what they say."""
    changed = bytearray(encode_manifest(entries))
    for at in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=3)):
        changed[at] = data.draw(st.integers(0, 255) | st.sampled_from(b"/.\0a"))
    try:
        manifest = Manifest.decode(changed)
    except ManifestError:
        return
    assert encode_manifest(manifest) == changed
