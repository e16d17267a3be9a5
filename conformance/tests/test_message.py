"""The wire layer says what `protocol.json` says, for every message."""

from __future__ import annotations

import pytest

from p2pwire_conformance.message import (
    Malformed,
    Tree,
    absent,
    decode,
    duplicated,
    flip,
    frame,
    long,
    preamble,
    raw,
    short,
    zero,
)
from p2pwire_conformance.protocol import Field, Layout, protocol

NAMES = sorted(protocol().layouts)


def _value(known: Field, layout: Layout, most: bool) -> object:
    """The least or the most of what a field may hold, as far as it fits with the others."""
    if known.width:
        return known.maximum if most and not known.names else known.minimum
    if known.value is not None:
        return known.value
    if known.element:
        return []
    size = known.size if known.size is not None else known.minimum_size
    return b"a" * size


def sample(name: str) -> Tree:
    """A well-formed message with the least values; what the rules about several fields ask for is set here."""
    layout = protocol().layouts[name]
    values = {f.name: _value(f, layout, False) for f in layout.fields if not f.prefix_of}
    special: dict[str, dict[str, object]] = {
        "InitiatorPreamble": {"versions": [1], "suites": [1], "key_suite": 1},
        "ResponderPreamble": {"version": 1, "suite": 1},
        "Refusal": {"versions": [1], "suites": [1]},
        "Have": {"spans": [Tree("Span", first=1, last=2)]},
        "Lost": {"spans": [Tree("Span", first=1, last=2)]},
        "Peers": {"dropped": [bytes(32)]},
        "ManifestEntry": {"length": 1},
    }
    return Tree(name, **{**values, **special.get(name, {})})


@pytest.mark.parametrize("name", NAMES)
def test_well_formed_message_is_read_back(name: str) -> None:
    tree = sample(name)
    data = tree.encode()
    layout = tree.layout
    assert layout.minimum_size <= len(data) <= layout.maximum_size
    found = decode(name, data)
    assert found.encode() == data
    assert {key: found[key] for key in tree.values} == dict(tree.values) | {
        key: [part if isinstance(part, (bytes, int)) else decode(part.name, part.encode()) for part in value]
        for key, value in tree.values.items()
        if isinstance(value, list)
    }


def _problem(name: str, data: bytes) -> Malformed | None:
    """Why bytes are malformed; None if they are a message, which then is those bytes."""
    try:
        found = decode(name, data)
    except Malformed as error:
        return error
    assert found.encode() == data
    return None


@pytest.mark.parametrize("name", NAMES)
def test_message_cut_anywhere_is_malformed_or_another_message(name: str) -> None:
    data = sample(name).encode()
    for size in range(len(data)):
        problem = _problem(name, data[:size])
        assert problem is None or (problem.offset <= size and problem.path.startswith(name))


@pytest.mark.parametrize("name", [n for n in NAMES if not protocol().layouts[n].fields[-1].greedy])
def test_trailing_byte_is_malformed(name: str) -> None:
    data = sample(name).encode()
    with pytest.raises(Malformed, match=f"^{name} at byte {len(data)}: 1 bytes after"):
        decode(name, data + b"\0")


@pytest.mark.parametrize("name", NAMES)
def test_integers_out_of_range_are_malformed(name: str) -> None:
    tree = sample(name)
    for known in tree.layout.fields:
        full = (1 << 8 * known.width) - 1
        outside = [v for v in (known.minimum - 1, known.maximum + 1) if 0 <= v <= full]
        for value in outside if known.width and not known.prefix_of else ():
            with pytest.raises(Malformed, match=f"{name}.{known.name} at byte"):
                decode(name, tree.with_(**{known.name: value}).encode())


@pytest.mark.parametrize("name", NAMES)
def test_pieces_lie_one_after_another(name: str) -> None:
    at = 0
    for piece in sample(name).pieces():
        assert piece.offset == at
        at += len(piece.data)


def test_fixed_offsets_are_those_of_the_protocol() -> None:
    for name in ("Join", "Object", "Request", "Reject", "Credit", "Interest", "GetPeers", "Span"):
        offset = 0
        for known, piece in zip(protocol().layouts[name].fields, sample(name).pieces(), strict=True):
            assert (piece.path, piece.offset) == (f"{name}.{known.name}", offset)
            offset += known.width or known.size or 0


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("InitiatorPreamble", Tree("InitiatorPreamble", versions=[1, 1], suites=[1], key_suite=1)),
        ("InitiatorPreamble", Tree("InitiatorPreamble", versions=[1], suites=[1], key_suite=2)),
        ("InitiatorPreamble", Tree("InitiatorPreamble", versions=[1], suites=[0x1A1A], key_suite=0x1A1A)),
        ("Have", Tree("Have", spans=[Tree("Span", first=2, last=1)])),
        ("Have", Tree("Have", spans=[Tree("Span", first=2, last=2), Tree("Span", first=2, last=3)])),
        ("Request", Tree("Request", block=1, level=1)),
        ("Reject", Tree("Reject", code=1, retry=1)),
        ("Peers", Tree("Peers")),
        ("Extension", Tree("Extension", name=b"x", base=254, count=2)),
        ("Extension", Tree("Extension", name=b"X", base=128, count=1)),
        ("Address", Tree("Address", type=1, value=bytes(5))),
        ("Agent", Tree("Agent", name=b"\x1b")),
        ("Agent", Tree("Agent", name=b"\xff")),
        ("ManifestEntry", Tree("ManifestEntry", path=b"a/../b", length=0)),
        ("Hello", Tree("Hello", max_requests=1, max_handles=1, idle=30, parameters=[
            Tree("HelloParameter", tag=2), Tree("HelloParameter", tag=1)])),
        ("Hello", Tree("Hello", max_requests=1, max_handles=1, idle=30, parameters=[
            Tree("HelloParameter", tag=1, value=b"\n")])),
    ],
)  # fmt: skip
def test_broken_rules_are_malformed(name: str, broken: Tree) -> None:
    with pytest.raises(Malformed):
        decode(name, broken.encode())


def test_extensions_with_overlapping_ranges_are_malformed() -> None:
    one, other = Tree("Extension", name=b"x", base=128, count=2), Tree("Extension", name=b"y", base=129, count=1)
    with pytest.raises(Malformed, match="frame types disjoint"):
        decode("Extensions", one.encode() + other.encode())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (absent, b""),
        (zero, bytes(8)),
        (duplicated, b"12345678" * 2),
        (flip(0), b"12345679"),
        (flip(63), b"\xb12345678"[:1] + b"2345678"),
        (short(3), b"12345"),
        (long(2), b"12345678\0\0"),
        (raw(b"x"), b"x"),
    ],
)
def test_changes(change: object, expected: bytes) -> None:
    tree = Tree("Ping", data=b"12345678").with_(data=change)
    assert tree.encode() == expected
    assert [piece.change for piece in tree.pieces()] == [getattr(change, "text", "")]


def test_counts_and_lengths_may_lie() -> None:
    data = Tree("Data", id=1, proof=[bytes(32)], data=b"x")
    assert data.with_(proof_count=9).encode()[8] == 9
    assert frame(data, length=3)[1:3] == b"\0\3"
    assert frame(data, type=0x23)[0] == 0x23
    assert preamble(Tree("ResponderPreamble", version=1, suite=1), kind=9, length=513)[8:11] == b"\x09\x02\x01"


def test_unknown_field_is_an_error_of_the_case() -> None:
    with pytest.raises(TypeError, match="Ping has no field date"):
        Tree("Ping", date=b"")
