"""Faults of the reference in HELLO and extensions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from p2pwire.connection import (
    commands,
    connection,
    events,
    extensions,
    session,
    topics,
)
from p2pwire.node import links, peerbook
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, FrameType

from faults import before, mutant


def _own_hello(change: Any) -> None:
    """Change the parameters of the own HELLO, told as pairs of tag and value."""
    hello = session._hello

    def changed(config: Any, grease: Any) -> Any:
        frame, *more = hello(config, grease)
        body, pairs, at = frame[3:9], [], 9
        while at < len(frame):
            size = int.from_bytes(frame[at + 1 : at + 3], "big")
            pairs.append((frame[at], frame[at + 3 : at + 3 + size]))
            at += 3 + size
        pairs = change(config, pairs)
        body += b"".join(bytes([tag]) + len(value).to_bytes(2, "big") + value for tag, value in pairs)
        return (bytes(1) + len(body).to_bytes(2, "big") + body, *more)

    session._hello = changed


@mutant
def hello_in_descending_order() -> None:
    _own_hello(lambda config, pairs: pairs[::-1])


@mutant
def no_own_record() -> None:
    _own_hello(lambda config, pairs: [pair for pair in pairs if pair[0] != 2])


@mutant
def host_named_in_the_agent() -> None:
    _own_hello(lambda config, pairs: [(1, f"p2pwire in {Path.home()}".encode()[:64]), *(p for p in pairs if p[0] > 1)])


def _listed(*entries: bytes) -> None:
    """List these extensions where any are."""
    _own_hello(
        lambda config, pairs: [
            (tag, b"".join(entries) if tag == 4 and config.extensions else value) for tag, value in pairs
        ]
    )


def _entry(name: str, base: int, count: int = 1) -> bytes:
    return bytes([len(name)]) + name.encode() + bytes([base, count, 0])


@mutant
def too_many_extensions() -> None:
    _listed(*(_entry(f"x/{number}", 0x80 + number) for number in range(25)))


@mutant
def extension_listed_twice() -> None:
    _listed(_entry("conformance/1", 0xA0, 2), _entry("conformance/1", 0xB0))


@mutant
def extensions_overlap() -> None:
    _listed(_entry("conformance/1", 0xA0, 2), _entry("conformance/2", 0xA1))


def _other_hellos(change: Any) -> None:
    """Read HELLO in another way where it is malformed."""
    decode = msg.decode_frame

    def lenient(kind: int, body: Any) -> Any:
        try:
            return decode(kind, body)
        except connection.DecodeError:
            if kind != FrameType.HELLO:
                raise
            return decode(kind, change(bytes(body)))

    msg.decode_frame = lenient


def _in_order(body: bytes) -> bytes:
    found, at = {}, 6
    while at < len(body):
        end = at + 3 + int.from_bytes(body[at + 1 : at + 3], "big")
        found[body[at]] = body[at:end]
        at = end
    return body[:6] + b"".join(found[tag] for tag in sorted(found))


@mutant
def hello_in_any_order() -> None:
    _other_hellos(_in_order)


@mutant
def unknown_hello_tag_rejected() -> None:
    def strict(session: Any, frame: Any) -> None:
        if any(parameter.tag > 4 for parameter in frame.parameters):
            raise connection.LinkFault(CloseCode.PROTOCOL, "an unknown tag")

    before(FrameType.HELLO, strict)


@mutant
def hello_values_unchecked() -> None:
    _other_hellos(lambda body: body[:6])


@mutant
def joins_without_hello() -> None:
    begin, identified = topics.Topics.__init__, links._HANDLERS[events.PeerIdentified]

    def generous(self: Any, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        self.max_local = 64

    def hasty(self: Any, link: Any, event: Any) -> None:
        identified(self, link, event)
        if link.outbound:
            for topic in link.connection._config.topics:
                link.connection.send(commands.Join(topic))

    topics.Topics.__init__ = generous
    links._HANDLERS[events.PeerIdentified] = hasty


@mutant
def limits_from_the_third_join() -> None:
    live = topics.Topics._live_remote
    counts: Counter[Any] = Counter()

    def late(self: Any) -> int:
        counts[self] += 1
        return 0 if counts[self] <= 3 else live(self)

    topics.Topics._live_remote = late


@mutant
def record_of_somebody_taken() -> None:
    extensions._record_of = lambda identity, record: record
    offer = peerbook.PeerBook.offer
    peerbook.PeerBook.offer = lambda self, *given, topic, **more: offer(self, *given, topic=topic or bytes(32), **more)


@mutant
def own_record_unverified() -> None:
    peerbook.PeerBook.__init__.__kwdefaults__["verify"] = lambda record, raw: True


@mutant
def judged_by_agent() -> None:
    def strict(session: Any, frame: Any) -> None:
        if any(parameter.tag == 1 and b"mallory" in parameter.value for parameter in frame.parameters):
            raise connection.LinkFault(CloseCode.NOT_ALLOWED, "an agent of ill repute")

    before(FrameType.HELLO, strict)


@mutant
def pad_has_to_be_zero() -> None:
    def strict(session: Any, frame: Any) -> None:
        if any(frame.data):
            raise connection.LinkFault(CloseCode.PROTOCOL, "PAD is not zero")

    before(FrameType.PAD, strict)


@mutant
def extension_taken_unagreed() -> None:
    extensions.ExtensionTable.incoming = lambda self, kind: next(
        ((one.name, kind - one.base) for one in self._own if one.base <= kind < one.base + one.count), None
    )


@mutant
def count_of_an_extension_ignored() -> None:
    incoming_type = extensions.ExtensionTable.incoming
    extensions.ExtensionTable.incoming = lambda self, kind: (
        incoming_type(self, kind) or (("conformance/1", 0) if kind >= 0xA0 and self.agreed else None)
    )


@mutant
def number_of_the_sender_taken() -> None:
    def theirs(self: Any, kind: int) -> Any:
        return next(
            (
                (name, kind - entry.base)
                for name, entry in self._theirs.items()
                if entry.base <= kind < entry.base + entry.count
            ),
            None,
        )

    extensions.ExtensionTable.incoming = theirs


@mutant
def unknown_extension_rejected() -> None:
    agree = extensions.ExtensionTable.agree

    def strict(self: Any, theirs: Any) -> None:
        if {entry.name for entry in theirs} - {one.name for one in self._own}:
            raise connection.LinkFault(CloseCode.PROTOCOL, "an unknown extension")
        agree(self, theirs)

    extensions.ExtensionTable.agree = strict


@mutant
def extension_lets_malformed_frames_pass() -> None:
    take = connection.receive

    def lenient(session: Any, *given: Any) -> Any:
        try:
            return take(session, *given)
        except connection.DecodeError:
            if session.extensions.agreed:
                return None
            raise

    connection.receive = lenient


def _outgoing(number: Any) -> None:
    """Number frames of extensions that are sent in another way: by the table, the name and the index."""
    right = extensions.ExtensionTable.outgoing
    extensions.ExtensionTable.outgoing = lambda self, name, index: number(self, name, index, right)


def _own_base(table: Any, name: str) -> int | None:
    return next((one.base for one in table._own if one.name == name), None)


@mutant
def own_numbers_sent() -> None:
    def number(table: Any, name: str, index: int, right: Any) -> int | None:
        base = _own_base(table, name)
        return base + index if base is not None and right(table, name, index) is not None else None

    _outgoing(number)


@mutant
def count_of_the_receiver_ignored() -> None:
    _outgoing(
        lambda table, name, index, right: (
            table._theirs[name].base + index if name in table._theirs and name[:6] != "grease" else None
        )
    )


@mutant
def extension_sent_unlisted() -> None:
    def number(table: Any, name: str, index: int, right: Any) -> int | None:
        found = right(table, name, index)
        base = _own_base(table, name)
        return found if found is not None or base is None or name in table._theirs else base + index

    _outgoing(number)


@mutant
def others_extension_sent() -> None:
    agree = extensions.ExtensionTable.agree

    def all_of_them(self: Any, theirs: Any) -> None:
        agree(self, theirs)
        self._theirs = {entry.name: entry for entry in theirs}

    extensions.ExtensionTable.agree = all_of_them


@mutant
def grease_extension_sent() -> None:
    extensions.NAME_PREFIX = "nothing begins so"
