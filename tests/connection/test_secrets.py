"""What no peer can see from outside: how caps are compared, what keys are for, and that secrets are let go of."""

from __future__ import annotations

import gc
import hmac
import re
import weakref
from pathlib import Path

import pytest

from p2pwire.connection import topics
from p2pwire.testing.pair import Pair, Side
from p2pwire.wire import messages as msg
from tests.connection.remote import START, Blob, Remote, config, responder

SOURCE = Path(topics.__file__).parents[1]
BLOB = Blob()


def _join(remote: Remote, topic: bytes, cap: bytes) -> None:
    remote.say(msg.Join(0, 0, topic, cap))


@pytest.mark.parametrize("known", [True, False])
def test_caps_are_compared_in_constant_time(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """PV-002: each JOIN is judged by one comparison, which takes as long wherever the first wrong byte is."""
    compared: list[tuple[int, int]] = []
    right = hmac.compare_digest

    def recorded(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return right(one, other)

    remote = responder(config("alice", BLOB)).open()
    monkeypatch.setattr(hmac, "compare_digest", recorded)
    _join(remote, BLOB.topic if known else bytes(32), bytes(32))
    assert compared == [(32, 32)]
    assert not re.search(r"\bcap\s*[!=]=", (SOURCE / "connection" / "topics.py").read_text(encoding="utf-8"))


@pytest.mark.interpreted
def test_keys_of_the_handshake_are_forgotten() -> None:
    """HS-015: when the handshake is over nothing holds its state any more."""
    pair = Pair(config("alice"), config("bob"))
    one, other = pair.initiator, pair.responder
    states = [_state(one)]
    _carry(one, other)
    states.append(_state(other))
    _carry(other, one)
    _carry(one, other)
    gc.collect()
    assert [state() for state in states] == [None, None]
    assert one.connection._handshake is other.connection._handshake is None


def _state(side: Side) -> weakref.ref[object]:
    handshake = side.connection._handshake
    assert handshake is not None
    assert handshake._noise is not None
    return weakref.ref(handshake._noise)


def _carry(sender: Side, receiver: Side) -> None:
    receiver.connection.receive_data(b"".join(sender.connection.data_to_send()), START)
    receiver.take_events()


def test_keys_are_used_for_nothing_else() -> None:
    """PV-004: the identity key signs handshakes and records, and is read to be kept; the secret becomes a psk."""
    product = [
        path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in ("generate", "testing")
    ]
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in product
        if re.search(r"identity\.(sign\(|seed\b|_private\b)", path.read_text(encoding="utf-8"))
    }
    assert users == {"connection/handshake.py", "crypto/record.py", "storage/identity_file.py"}
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in product
        if re.search(r"\.psk\b", path.read_text(encoding="utf-8"))
    }
    assert users <= {"connection/handshake.py", "connection/config.py", "crypto/noise.py", "node/links.py"}
