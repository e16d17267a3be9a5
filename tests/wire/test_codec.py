"""The generated codec against interpreted construct: valid, mutated, truncated and continued bytes."""

from __future__ import annotations

from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pwire.testing.strategies import frames, message
from p2pwire.wire import messages
from tests.wire.oracle import CLASSES, SCHEMA, built, decoded, encoded, parsed, plain, prefixes

quick = partial(settings, deadline=None, derandomize=True)
every_message = pytest.mark.parametrize("title", CLASSES)


@every_message
@quick(max_examples=25)
@given(data=st.data())
def test_valid_messages_go_both_ways_like_the_schema(title: str, data: st.DataObject) -> None:
    value = data.draw(message(CLASSES[title]))
    raw = value.encode()
    assert raw == built(title, value)
    assert CLASSES[title].decode(raw) == value
    assert parsed(title, raw) == plain(value)


@st.composite
def mutations(draw: st.DrawFn, raw: bytes) -> bytes:
    """Some bytes flipped, replaced, inserted, deleted or repeated."""
    changed = bytearray(raw)
    for _ in range(draw(st.integers(1, 3))):
        # The first bytes hold the lengths and counts.
        at = draw(st.integers(0, min(len(changed), 80)) | st.integers(0, len(changed)))
        match draw(st.sampled_from(["flip", "replace", "insert", "delete", "repeat"])):
            case "flip" if at < len(changed):
                changed[at] ^= 1 << draw(st.integers(0, 7))
            case "replace" if at < len(changed):
                changed[at] = draw(st.sampled_from([0, 1, 0x2E, 0x2F, 0x5C, 0x7F, 0x80, 0xC2, 0xFF]))
            case "insert":
                changed[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "delete":
                del changed[at : at + draw(st.integers(1, 4))]
            case "repeat":
                changed[at:at] = changed[at : at + draw(st.integers(1, 40))]
    return bytes(changed)


@every_message
@quick(max_examples=50)
@given(data=st.data())
def test_mutated_messages_are_read_or_refused_like_the_schema(title: str, data: st.DataObject) -> None:
    raw = data.draw(message(CLASSES[title])).encode()
    changed = data.draw(mutations(raw))
    assert decoded(title, changed) == parsed(title, changed)


@every_message
@quick(max_examples=12)
@given(raw=st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused_like_the_schema(title: str, raw: bytes) -> None:
    assert decoded(title, raw) == parsed(title, raw)


@every_message
@quick(max_examples=3)
@given(data=st.data())
def test_every_truncation_is_read_or_refused_like_the_schema(title: str, data: st.DataObject) -> None:
    raw = data.draw(message(CLASSES[title])).encode()
    for prefix in prefixes(raw):
        assert decoded(title, prefix) == parsed(title, prefix)


@every_message
@quick(max_examples=15)
@given(data=st.data(), tail=st.binary(min_size=1, max_size=40))
def test_trailing_bytes_are_read_or_refused_like_the_schema(title: str, data: st.DataObject, tail: bytes) -> None:
    raw = data.draw(message(CLASSES[title])).encode() + tail
    assert decoded(title, raw) == parsed(title, raw)
    if decoded(title, raw) is not None:
        # Only a message that ends with "all that follows" can take more.
        assert not title_delimits_itself(title)


def title_delimits_itself(title: str) -> bool:
    return hasattr(CLASSES[title], "read") or title in ("PeerRecord", "Have", "Lost", "Peers") or is_fixed(title)


def is_fixed(title: str) -> bool:
    try:
        SCHEMA[title].sizeof()
    except Exception:  # construct can not tell: the size varies
        return False
    return True


# --- Encoding what is wrong ----------------------------------------------------------------------------------------


def strange(value: Any) -> st.SearchStrategy[Any]:
    """Values of the same type, mostly out of bounds."""
    match value:
        case bool():
            return st.booleans()
        case int():
            return st.one_of(
                st.integers(-2, 70), st.integers(-(2**65), 2**65), st.sampled_from([2**8, 2**16, 2**32, 2**46])
            )
        case bytes() | memoryview():
            return st.binary(max_size=600)
        case str():
            return st.text(max_size=40) | st.sampled_from(["x" * 2000, "a/../b", "/", "\x1b[0m", "é" * 33, "\ud800"])
        case tuple():
            return st.one_of(
                st.permutations(value).map(tuple),
                st.just(value + value),
                st.just(()),
                st.lists(st.sampled_from(value), max_size=70).map(tuple) if value else st.just(()),
            )
    raise TypeError(value)


@every_message
@quick(max_examples=25)
@given(data=st.data())
def test_wrong_values_are_refused_like_the_schema(title: str, data: st.DataObject) -> None:
    value = data.draw(message(CLASSES[title]))
    names = [field.name for field in attrs.fields(type(value))]
    chosen = sorted(data.draw(st.sets(st.sampled_from(names), min_size=1, max_size=2)))
    changed = {name: data.draw(strange(getattr(value, name))) for name in chosen}
    wrong = attrs.evolve(value, **changed)
    assert encoded(wrong) == built(title, wrong)


# --- Buffers -------------------------------------------------------------------------------------------------------


@every_message
@quick(max_examples=10)
@given(data=st.data())
def test_every_kind_of_buffer_reads_alike_and_is_not_kept(title: str, data: st.DataObject) -> None:
    value = data.draw(message(CLASSES[title]))
    buffer = bytearray(value.encode())
    assert CLASSES[title].decode(memoryview(bytes(buffer))) == value
    copy = CLASSES[title].decode(buffer)
    assert copy == value
    views = [name for name in ("data",) if isinstance(getattr(copy, name, None), memoryview)]
    if not views:
        buffer[:] = bytes(len(buffer))
        assert copy == value


@quick(max_examples=60)
@given(frame=frames())
def test_frames_are_header_and_body(frame: messages.Frame) -> None:
    whole, body = frame.encode_frame(), frame.encode()
    assert whole == bytes([frame.TYPE]) + len(body).to_bytes(2, "big") + body
    assert messages.decode_frame(frame.TYPE, memoryview(whole)[3:]) == frame


@pytest.mark.parametrize("title", [title for title in CLASSES if hasattr(CLASSES[title], "read")])
@quick(max_examples=15)
@given(data=st.data(), before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_elements_are_read_from_within(title: str, data: st.DataObject, before: bytes, after: bytes) -> None:
    value = data.draw(message(CLASSES[title]))
    raw = value.encode()
    assert CLASSES[title].read(before + raw + after, len(before)) == (value, len(before) + len(raw))
    for prefix in prefixes(raw):
        with pytest.raises(messages.TruncatedError) as fault:
            CLASSES[title].read(before + prefix, len(before))
        assert len(before) <= fault.value.offset <= len(before + prefix)
