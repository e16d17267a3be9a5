"""Ids, topics and caps."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from p2pwire.content.merkle import BLOCK, NO_ROOT, TreeBuilder, root_of_leaves
from p2pwire.content.objects import ObjectInfo, cap, object_id, topic_of
from p2pwire.wire.keys import encode_name
from p2pwire.wire.registry import MAX_LENGTH, MAX_MANIFEST_LENGTH, ObjectKind

HELLO = hashlib.sha256(b"hello").digest()


def test_the_blob_hello() -> None:
    info = ObjectInfo(ObjectKind.BLOB, 5, HELLO)
    assert info.oid == object_id(0, 5, HELLO)
    assert encode_name(info.oid) == "tzsirkwz6nhellgxaxxcjvjerdb3toxccagq7ctzlishjda3d5ba"


def test_formulas() -> None:
    oid = hashlib.sha256(b"p2pwire/1 object\0\x01" + (9).to_bytes(8, "big") + HELLO).digest()
    info = ObjectInfo(ObjectKind.MANIFEST, 9, HELLO)
    assert info.oid == oid
    assert info.topic == topic_of(oid) == hashlib.sha256(b"p2pwire/1 topic\0" + oid).digest()
    for initiator, role in ((True, b"I"), (False, b"R")):
        expected = hmac.new(oid, b"p2pwire/1 cap\0" + role + b"h" * 32, "sha256").digest()
        assert cap(oid, initiator, b"h" * 32) == expected


def test_kind_length_and_root_each_make_another_object() -> None:
    ids = {object_id(0, 5, HELLO), object_id(1, 5, HELLO), object_id(0, 6, HELLO), object_id(0, 5, NO_ROOT)}
    assert len(ids) == 4


def test_two_files_with_one_root_are_two_objects() -> None:
    """32768 zero bytes, and the 64 bytes of that file's two leaves: a tree does not tell leaves from nodes."""
    builder = TreeBuilder()
    builder.update(bytes(2 * BLOCK))
    zeros = builder.finish()
    short = hashlib.sha256(bytes(zeros.hashes)).digest()
    assert zeros.root == short == root_of_leaves(zeros.hashes)
    assert object_id(0, 2 * BLOCK, zeros.root) != object_id(0, 64, short)


@pytest.mark.parametrize(
    ("kind", "length", "root", "fault"),
    [
        (0, 0, NO_ROOT, None),
        (0, MAX_LENGTH, HELLO, None),
        (1, 9, HELLO, None),
        (1, MAX_MANIFEST_LENGTH, HELLO, None),
        (0, MAX_LENGTH + 1, HELLO, "length: "),
        (0, 2**64 - 1, HELLO, "length: "),
        (0, 0, HELLO, "root: must be 32 zero bytes for length 0"),
        (1, 8, HELLO, "length: 8, must be 9 to 67108864 for kind 1"),
        (1, MAX_MANIFEST_LENGTH + 1, HELLO, "length: "),
        (2, 9, HELLO, "kind: 2 is unknown"),
        (255, 0, HELLO, "kind: 255 is unknown"),
    ],
)
def test_what_can_be_an_object(kind: int, length: int, root: bytes, fault: str | None) -> None:
    found = ObjectInfo(kind, length, root).fault
    assert found == fault if fault is None else found is not None and found.startswith(fault)


@pytest.mark.parametrize("arguments", [(-1, 0, HELLO), (256, 0, HELLO), (0, -1, HELLO), (0, 2**64, HELLO)])
def test_what_no_frame_can_say(arguments: tuple[int, int, bytes]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ObjectInfo(*arguments)


@pytest.mark.parametrize("root", [b"", bytes(31), bytes(33)])
def test_a_root_has_32_bytes(root: bytes) -> None:
    with pytest.raises(ValueError, match="root"):
        ObjectInfo(0, 1, root)
    with pytest.raises(ValueError, match=r"root: .* bytes, must be 32"):
        object_id(0, 1, root)


def test_what_gives_the_right_to_read_is_not_shown() -> None:
    info = ObjectInfo(ObjectKind.BLOB, 5, HELLO)
    assert repr(info) == "ObjectInfo(kind=<ObjectKind.BLOB: 0>, length=5)"
    assert info == ObjectInfo(0, 5, HELLO)
    assert hash(info) == hash(ObjectInfo(0, 5, HELLO))
