"""Faults of the reference on the level of swarms: objects, topics, transfer, credit, peer exchange, storage."""

from __future__ import annotations

import hmac
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import attrs
from p2pwire.connection import incoming, topics, transfer
from p2pwire.connection.state import TopicInput, TopicState
from p2pwire.content import manifest
from p2pwire.testing.disks import Disk
from p2pwire.wire.registry import FrameType

import faults_files  # noqa: F401  (enters its faults)
import faults_peers  # noqa: F401
import faults_topics  # noqa: F401
import faults_transfer  # noqa: F401
import faults_uris  # noqa: F401
from faults import mutant

# --- topics, credit, transfer ---


@mutant
def cap_unchecked() -> None:
    topics.hmac = SimpleNamespace(compare_digest=lambda one, other: True)


@mutant
def cap_of_either_role() -> None:
    right = topics.Topics._right_cap

    def classify(one: bytes, other: bytes) -> bool:
        return hmac.compare_digest(one, other)

    def either(self: Any, name: bytes) -> Any:
        return _Either(right(self, name), self.own_cap(name) if name in self.catalogue else b"")

    topics.Topics._right_cap = either
    topics.hmac = SimpleNamespace(
        compare_digest=lambda one, other: (
            classify(other, one.other or other[:0]) or classify(one.cap, other)
            if isinstance(one, _Either)
            else classify(one, other)
        )
    )


@attrs.frozen
class _Either:
    cap: bytes
    other: bytes


@mutant
def stray_frames_ignored() -> None:
    arrive = topics.Topics._arrive

    def lenient(self: Any, topic: Any, arrived: TopicInput, text: str = "") -> None:
        if arrived is not TopicInput.STRAY:
            arrive(self, topic, arrived, text)

    topics.Topics._arrive = lenient


@mutant
def leave_unanswered() -> None:
    say = incoming.Session.say_leave
    incoming.Session.say_leave = lambda self, topic: None if topic.state is TopicState.FREE else say(self, topic)


@mutant
def max_requests_ignored() -> None:
    begin = transfer.Serving.__init__
    transfer.Serving.__init__ = lambda self, most: begin(self, 1 << 20)


@mutant
def max_handles_ignored() -> None:
    topics.Topics._live_remote = lambda self: 0


@mutant
def credit_ignored() -> None:
    def open_any(self: Any, frame: Any, topic: bytes) -> None:
        self.credit_total += 1 << frame.level
        admit(self, frame, topic)

    admit = transfer.Serving.open
    transfer.Serving.open = open_any


@mutant
def lower_credit_accepted() -> None:
    def grant(self: Any, total: int) -> bool:
        grew = total > self.credit_total
        self.credit_total = max(total, self.credit_total)
        return grew

    transfer.Requests.grant = grant


@mutant
def block_off_by_one() -> None:
    work = Disk.work

    def shifted(self: Any, action: Any) -> object:
        found = work(self, action)
        return found[1:] + found[:1] if isinstance(found, bytes) else found

    Disk.work = shifted


@mutant
def wrong_hash_accepted() -> None:
    prove = transfer.Requests._prove

    def lenient(self: Any, run: Any, siblings: Any, data: Any) -> None:
        with suppress(transfer.LinkFault):
            prove(self, run, siblings, data)

    transfer.Requests._prove = lenient


@mutant
def unsolicited_data_ignored() -> None:
    handle = incoming._HANDLERS[FrameType.DATA]

    def lenient(session: Any, frame: Any) -> bool:
        return frame.id not in session.requests._open or handle(session, frame)

    incoming._HANDLERS[FrameType.DATA] = lenient


@mutant
def manifest_order_unchecked() -> None:
    manifest.ManifestReader._check_order = lambda self, path: None
