"""Faults of the reference in what it tells of objects, and in manifests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p2pwire.connection import commands as cmd
from p2pwire.connection import incoming, outgoing
from p2pwire.connection.faults import LinkFault
from p2pwire.connection.session import Session
from p2pwire.content import manifest
from p2pwire.content.manifest import Manifest, ManifestError, ManifestReader
from p2pwire.node import announcing, downloads
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import CloseCode, FrameType, RejectCode

from faults import mutant
from faults_transfer import MANIFEST, on_frame

# --- what is told of an object ---


@mutant
def object_never_told() -> None:
    Session.say_object = lambda self, topic, info: None


@mutant
def object_told_with_each_join() -> None:
    say = Session.say_object

    def again(self: Any, topic: Any, info: Any) -> None:
        topic.told_object = False
        say(self, topic, info)

    Session.say_object = again
    on_frame(FrameType.JOIN, _tell_again)


def _tell_again(handle: Any, session: Any, frame: Any) -> Any:
    known = session.topics.get(frame.topic)
    counted = handle(session, frame)
    if known is not None and known.told_object:
        session.say_object(known, session.topics.catalogue[frame.topic].info)
    return counted


@mutant
def object_learned_later_not_told() -> None:
    outgoing._COMMANDS = {**outgoing._COMMANDS, cmd.TellObject: lambda session, command: None}


@mutant
def second_object_accepted() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None:
            topic.heard_object = False
        return handle(session, frame)

    on_frame(FrameType.OBJECT, lenient)


@mutant
def object_unchecked() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        found = incoming.ObjectInfo(frame.kind, frame.length, frame.root)
        return True if topic is not None and found.topic != topic.name else handle(session, frame)

    on_frame(FrameType.OBJECT, lenient)


@mutant
def root_of_nothing_unchecked() -> None:
    def lenient(handle: Any, session: Any, frame: Any) -> Any:
        return True if not frame.length and frame.root != bytes(32) else handle(session, frame)

    on_frame(FrameType.OBJECT, lenient)


@mutant
def unusable_object_closes() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        if incoming.ObjectInfo(frame.kind, frame.length, frame.root).fault is not None:
            raise LinkFault(CloseCode.BAD_DATA, "an object that cannot be")
        return handle(session, frame)

    on_frame(FrameType.OBJECT, strict)


@mutant
def hash_of_nothing_as_root() -> None:
    def hashed(self: Any, topic: Any, info: Any) -> None:
        root = info.root if info.length else bytes([7] * 32)
        topic.told_object = True
        self.outbox.add(msg.Object(topic.local, info.kind, info.length, root).encode_frame())

    Session.say_object = hashed


@mutant
def oid_in_a_frame() -> None:
    say = Session.say_join

    def telling(self: Any, topic: Any, *, answer: bool) -> None:
        say(self, topic, answer=answer)
        self.outbox.add(msg.Pad(self.topics.catalogue[topic.name].oid).encode_frame())

    Session.say_join = telling


@mutant
def spans_sent_in_any_order() -> None:
    def backwards(session: Any, command: Any) -> None:
        topic = session.topics.opened(command.topic)
        spans = b"".join(first.to_bytes(2, "big") + last.to_bytes(2, "big") for first, last in command.spans[::-1])
        body = topic.local.to_bytes(2, "big") + len(command.spans).to_bytes(2, "big") + spans
        session.outbox.add(bytes([FrameType.HAVE]) + len(body).to_bytes(2, "big") + body)

    outgoing._COMMANDS = {**outgoing._COMMANDS, cmd.TellUnits: backwards}


@mutant
def spans_read_in_any_order() -> None:
    decode = msg.decode_frame

    def lenient(kind: int, body: Any) -> Any:
        try:
            return decode(kind, body)
        except msg.DecodeError:
            if kind in (FrameType.HAVE, FrameType.LOST, FrameType.SUGGEST):
                return msg.Pad(b"")
            raise

    msg.decode_frame = lenient
    for kind in (FrameType.HAVE, FrameType.LOST, FrameType.SUGGEST):
        on_frame(kind, lambda handle, session, frame: isinstance(frame, msg.Pad) or handle(session, frame))


@mutant
def announces_nothing() -> None:
    announcing.Announcing.tell = lambda self, link: link.untold.clear()


@mutant
def announces_a_unit_too_few() -> None:
    link_opened = announcing.Announcing.link_opened

    def short(self: Any, found: Any, link: Any) -> None:
        link_opened(self, found, link)
        if found.topic in link.untold:
            first, last = link.untold[found.topic][-1]
            link.untold[found.topic][-1] = (first, max(first, last - 1))

    announcing.Announcing.link_opened = short


@mutant
def loss_not_told() -> None:
    lose = announcing.Announcing.lose

    def quiet(self: Any, found: Any, first: int, last: int) -> bool:
        numbers, found.links = found.links, {}
        try:
            return bool(lose(self, found, first, last))
        finally:
            found.links = numbers

    announcing.Announcing.lose = quiet


@mutant
def have_before_object_closes() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None and not (topic.heard_object or topic.told_object):
            raise LinkFault(CloseCode.PROTOCOL, "HAVE before OBJECT")
        return handle(session, frame)

    on_frame(FrameType.HAVE, strict)


@mutant
def lost_without_have_closes() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None and not topic.units.remove((span.first, span.last) for span in frame.spans):
            raise LinkFault(CloseCode.PROTOCOL, "LOST of what was not announced")
        return handle(session, frame)

    on_frame(FrameType.LOST, strict)


@mutant
def units_beyond_the_end_close() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        if any(span.last > 60000 for span in frame.spans):
            raise LinkFault(CloseCode.PROTOCOL, "units beyond the end")
        return handle(session, frame)

    on_frame(FrameType.HAVE, strict)


@mutant
def interest_not_told() -> None:
    outgoing._COMMANDS = {**outgoing._COMMANDS, cmd.TellInterest: lambda session, command: None}


@mutant
def uninterested_not_served() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        topic = session.topics.of_remote(frame.handle)
        if topic is not None and not topic.interest_heard:
            session.serving.open(frame, b"")
            session.say_reject(frame.id, RejectCode.BUSY)
            return False
        return handle(session, frame)

    on_frame(FrameType.REQUEST, strict)


# --- manifests ---


def _accepts(when: Callable[[ManifestError], bool]) -> None:
    """Take manifests with some faults for empty ones."""
    decode = Manifest.decode

    def lenient(data: Any) -> Any:
        try:
            return decode(data)
        except ManifestError as error:
            if not when(error):
                raise
            return decode(b"P2PM\x01" + bytes(4))

    Manifest.decode = lenient


def _parts(error: ManifestError) -> list[str]:
    path = error.value
    return (path if isinstance(path, str) else bytes(path).decode("latin-1")).split("/") if _of_path(error) else []


def _of_path(error: ManifestError) -> bool:
    return error.field.endswith("path") and "components" in error.limit


@mutant
def nested_paths_accepted() -> None:
    _accepts(lambda error: "below" in error.limit)


@mutant
def bytes_after_a_manifest_accepted() -> None:
    _accepts(lambda error: error.field in ("end", "length"))


@mutant
def manifest_header_unchecked() -> None:
    _accepts(lambda error: error.field in ("magic", "count") or error.field.endswith(" length"))


@mutant
def manifest_sums_unchecked() -> None:
    _accepts(lambda error: "makes" in error.limit)


@mutant
def unknown_entry_type_accepted() -> None:
    _accepts(lambda error: error.field.endswith(" type"))


@mutant
def dots_in_paths_accepted() -> None:
    _accepts(lambda error: any(part in (".", "..") for part in _parts(error)))


@mutant
def odd_components_accepted() -> None:
    _accepts(lambda error: len(_parts(error)) > 32 or any(not 1 <= len(part) <= 255 for part in _parts(error)))


@mutant
def controls_in_paths_accepted() -> None:
    _accepts(lambda error: any(ord(c) < 32 or c in "\x7f\\" for part in _parts(error) for c in part))


@mutant
def ill_formed_paths_accepted() -> None:
    _accepts(lambda error: "UTF-8" in error.limit or error.field.endswith("path_length"))


@mutant
def manifest_of_nothing_rejected() -> None:
    decode = Manifest.decode

    def strict(data: Any) -> Any:
        found = decode(data)
        if not len(found):
            raise ManifestError("count", 0, "nothing in it", 5)
        return found

    Manifest.decode = strict


@mutant
def reserved_names_rejected() -> None:
    decode = Manifest.decode

    def strict(data: Any) -> Any:
        found = decode(data)
        seen: set[str] = set()
        for entry in found:
            if entry.path.rstrip(". ") != entry.path or entry.path == "con" or entry.path.lower() in seen:
                raise ManifestError("path", entry.path, "not here", 0)
            if not entry.path.isascii() or len(entry.path) > 200 or "A" in entry.path:
                raise ManifestError("path", entry.path, "not here", 0)
            seen.add(entry.path.lower())
        return found

    Manifest.decode = strict


@mutant
def bad_manifest_blamed() -> None:
    fail = downloads.Downloads.fail

    def blame(self: Any, found: Any, error: Exception) -> None:
        if isinstance(error, ManifestError):
            for number in found.links:
                link = self._core.links[number]
                self._core.send(link, cmd.CloseLink(CloseCode.BAD_DATA, "a bad manifest"))
        fail(self, found, error)

    downloads.Downloads.fail = blame


@mutant
def manifest_sorted_by_plain_bytes() -> None:
    manifest._sort_key = lambda path: path.encode()
    ManifestReader._check_order = lambda self, path: None


@mutant
def files_asked_before_the_manifest_is_complete() -> None:
    def hasty(handle: Any, session: Any, frame: Any) -> Any:
        asked = session.requests._open.get(frame.id)
        counted = handle(session, frame)
        topic = None if asked is None else session.topics.opened(asked.topic)
        if asked is not None and asked.file == MANIFEST and topic is not None:
            session.outbox.add(msg.Request(9999, topic.local, 0, 0, 0).encode_frame())
        return counted

    on_frame(FrameType.DATA, hasty)


@mutant
def empty_blobs_rejected() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        if not frame.length:
            raise LinkFault(CloseCode.BAD_DATA, "nothing")
        return handle(session, frame)

    on_frame(FrameType.OBJECT, strict)


@mutant
def small_manifests_rejected() -> None:
    def strict(handle: Any, session: Any, frame: Any) -> Any:
        if frame.kind == 1 and frame.length < 13:
            raise LinkFault(CloseCode.BAD_DATA, "a small manifest")
        return handle(session, frame)

    on_frame(FrameType.OBJECT, strict)
