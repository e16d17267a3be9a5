"""The generated codec earns its keep: at least ten times interpreted construct for small messages."""

from __future__ import annotations

from collections.abc import Callable
from timeit import repeat
from typing import Any

import pytest

from p2pwire.wire import messages as msg
from tests.wire.oracle import SCHEMA, plain

SMALL = [
    msg.Ping(b"12345678"),
    msg.Join(1, 0, bytes(32), bytes(32)),
    msg.Object(1, 0, 5, bytes(32)),
    msg.Have(1, (msg.Span(4, 5),)),
    msg.Interest(1, True),
    msg.Credit(128),
    msg.Request(1, 2, 3, 64, 6),
    msg.Reject(1, 2, 500),
    msg.Cancel(1),
]


def best(call: Callable[[], object], times: int) -> float:
    """Seconds of one call in the best of several runs: what the machine does beside can only add."""
    return min(repeat(call, number=times, repeat=7)) / times


@pytest.mark.parametrize("message", SMALL, ids=lambda message: type(message).__name__)
def test_small_messages_are_ten_times_as_fast_as_construct(message: Any) -> None:
    title, raw, value = type(message).__name__, message.encode(), plain(message)
    decode, encode = type(message).decode, message.encode
    assert best(lambda: SCHEMA[title].parse(raw), 100) > 10 * best(lambda: decode(raw), 1000)
    assert best(lambda: SCHEMA[title].build(value), 100) > 10 * best(encode, 1000)
