"""Families codec and reject: messages at every edge of every field, and what lies just beyond."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import construct

from p2pwire.generate.describe import Row, describe_message
from p2pwire.generate.form import MESSAGES, Constant, Field, MessageForm, Number, Sequence, VariableBytes
from p2pwire.generate.vectors.book import DROP, SILENT, UNUSABLE, Book, Vector
from p2pwire.generate.vectors.broken import BROKEN
from p2pwire.generate.vectors.citing import Citations
from p2pwire.generate.vectors.samples import LARGEST, SAMPLES, Values
from p2pwire.generate.wording import prefix_name
from p2pwire.wire import schema
from p2pwire.wire.constructs import Message

FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "handshake": (
        "PreambleHeader",
        "Parameter",
        "InitiatorPreamble",
        "ResponderPreamble",
        "Refusal",
        "HandshakeHeader",
        "HandshakePayload",
    ),
    "link": (
        "RecordHeader",
        "FrameHeader",
        "HelloParameter",
        "Agent",
        "Extension",
        "Extensions",
        "Hello",
        "Pad",
        "Close",
        "Ping",
        "Pong",
    ),
    "topics": ("Join", "Refuse", "Leave", "Object", "Span", "Have", "Lost", "Interest", "Suggest"),
    "requests": ("Credit", "Request", "Data", "Reject", "Cancel"),
    "peers": ("Address", "PeerRecord", "SharedRecord", "Peers", "GetPeers"),
    "manifests": ("ManifestHeader", "ManifestEntry"),
}
"""File -> messages."""

_FORMS: Final = {form.title: form for form in MESSAGES}
_SCHEMA: Final = {message.title: message for message in schema.MESSAGES}

_PREAMBLE_PARTS: Final = frozenset(FILES["handshake"])
_OUTCOMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(_PREAMBLE_PARTS, SILENT),
    "RecordHeader": SILENT,
    "Address": DROP,
    "PeerRecord": DROP,
    "ManifestHeader": UNUSABLE,
    "ManifestEntry": UNUSABLE,
}
"""What follows from a malformed message; for the others CLOSE PROTOCOL."""

_CITED: Final[Mapping[str, tuple[str, ...]]] = {
    "PreambleHeader": ("GN-001", "VN-003", "VN-004"),
    "InitiatorPreamble": ("GN-001", "VN-020", "VN-021", "VN-022"),
    "ResponderPreamble": ("GN-001", "VN-030", "VN-031"),
    "Refusal": ("GN-001", "VN-050"),
    "HandshakeHeader": ("GN-001", "HS-001"),
    "HandshakePayload": ("GN-001", "HS-024", "HS-025"),
    "RecordHeader": ("GN-001", "EN-015"),
    "Address": ("GN-001", "PX-006"),
    "PeerRecord": ("GN-001", "PX-021"),
    "ManifestHeader": ("GN-001", "OB-024"),
    "ManifestEntry": ("GN-001", "OB-024", "OB-028", "OB-032"),
    "Extension": ("GN-001", "EX-004"),
    "Extensions": ("GN-001", "EX-001", "EX-002", "EX-003"),
    "Have": ("GN-001", "GN-008", "TR-010"),
    "Lost": ("GN-001", "GN-008", "TR-010"),
    "Suggest": ("GN-001", "GN-008", "TR-010"),
    "Parameter": ("GN-001", "VN-011"),
    "HelloParameter": ("GN-001", "FR-022"),
    "Agent": ("GN-010", "FR-031"),
    "Pad": ("GN-008", "FR-040"),
}
"""What a well-formed message shows, for the others GN-001 and GN-008."""

_CITED_SAMPLES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("InitiatorPreamble", "grease"): ("VN-011", "VN-032", "VN-062"),
    ("ResponderPreamble", "parameters"): ("VN-009", "VN-011", "VN-063"),
    ("Refusal", "grease"): ("VN-063",),
    ("HandshakePayload", "parameters"): ("VN-009", "VN-011"),
    ("Hello", "every-tag"): ("FR-020", "FR-022", "FR-029", "FR-031", "EX-021"),
    ("Hello", "record-malformed"): ("FR-023", "FR-028"),
    ("Extension", "grease"): ("EX-009", "EX-021"),
    ("Close", "grease"): ("CL-006", "CL-014"),
    ("Join", "reserved"): ("GN-006",),
    ("Address", "unknown"): ("PX-007",),
    ("PeerRecord", "every-type"): ("PX-007",),
    ("Peers", "no-record"): ("PX-030",),
}
"""What a sample shows beside."""

_FALLBACK: Final = {"Parameter": "VN-007", "HandshakeHeader": "HS-001", "RecordHeader": "EN-004", "Address": "PX-006"}
"""What a malformed part breaks where the schema names nothing; for the others GN-007."""


def codec(citations: Citations) -> Iterator[Book]:
    """Both families, file by file."""
    for name, titles in FILES.items():
        accepted = Book(f"codec/{name}", "Bytes of one message, and the fields that they are.", citations)
        rejected = Book(f"reject/{name}", "Bytes that are no message, each one step from one that is.", citations)
        for title in titles:
            _Messages(_FORMS[title], accepted, rejected).all()
        yield accepted
        yield rejected
    for title, values in LARGEST.items():
        book = Book(f"codec/largest-{title.lower()}", "A message that fills a frame.", citations)
        book.accept(
            f"{title}/largest",
            f"{title} that fills a frame",
            ("GN-008", "EN-015"),
            {"message": title, "bytes": _SCHEMA[title].build(values)},
            {"value": values},
            flags=("large",),
        )
        yield book


class _Messages:
    """The vectors of one class of message."""

    def __init__(self, form: MessageForm, accepted: Book, rejected: Book) -> None:
        self.form = form
        self.title = form.title
        self.schema: Message = _SCHEMA[form.title]
        self.accepted = accepted
        self.rejected = rejected
        self.outcome = _OUTCOMES.get(form.title, "CLOSE PROTOCOL")
        self.seen: set[bytes] = set()

    def all(self) -> None:
        """Samples, edges, and damage."""
        made = {
            name: self._accept(name, f"{self.title}: {name}", self.schema.build(values), (self.title, name))
            for name, values in SAMPLES[self.title].items()
        }
        first = next(iter(made.values()))
        assert first is not None
        for name, values in SAMPLES[self.title].items():
            if made[name] is first:
                self._edges(first, values)
        for name, vector in made.items():
            if vector is not None and len(vector.input["bytes"]) < 700:
                self._damage(vector, name, deep=vector is first)
        for name, (sample, data, about) in BROKEN.get(self.title, {}).items():
            origin = made[sample]
            assert origin is not None
            self._reject(name, about, data, origin)

    def _accept(self, name: str, about: str, data: bytes, sample: tuple[str, str] | None = None) -> Vector | None:
        if data in self.seen:
            return None
        self.seen.add(data)
        cited = _CITED.get(self.title, ("GN-001", "GN-008"))
        value = json_value(self.form, self.schema.parse(data))
        return self.accepted.accept(
            f"{self.title}/{name}",
            about,
            (*cited, *(_CITED_SAMPLES.get(sample, ()) if sample else ())),
            {"message": self.title, "bytes": data},
            {"value": value},
        )

    def _reject(self, name: str, about: str, data: bytes, origin: Vector) -> None:
        """Enter what is malformed, once; what is a message after all is another's business."""
        if data in self.seen:
            return
        try:
            self.schema.parse(data)
        except construct.ConstructError:
            pass
        else:
            return
        self.seen.add(data)
        problem = next((row for row in describe_message(data, self.title) if row.problem), None)
        found = (problem.requirement if problem else None) or self.form.requirement
        cited = dict.fromkeys([found or _FALLBACK.get(self.title, "GN-007")])
        if self.outcome == "CLOSE PROTOCOL":
            cited["GN-007"] = None
        self.rejected.reject(
            f"{self.title}/{name}",
            f"{self.title}: {about}",
            cited,
            {"message": self.title, "bytes": data},
            self.outcome,
            origin=origin,
        )

    def _edges(self, first: Vector, values: Values) -> None:
        """Each number at its least, its greatest and each value that has a name; each size likewise."""
        for field in self.form.fields:
            for name, value in _edge_values(field):
                try:
                    data = self.schema.build({**values, field.name: value})
                except construct.ConstructError:
                    continue  # a rule between fields, for which there are samples
                self._accept(f"{field.name}={name}", f"{self.title} with {field.name} {name}", data)

    def _damage(self, vector: Vector, sample: str, *, deep: bool) -> None:
        data: bytes = vector.input["bytes"]
        rows = list(describe_message(data, self.title))
        for offset in sorted({row.offset for row in rows} | {row.offset + row.length - 1 for row in rows if deep}):
            if 0 <= offset < len(data):
                self._reject(f"{sample}/cut-{offset}", f"ends after {offset} bytes", data[:offset], vector)
        self._reject(f"{sample}/longer", "one byte follows", data + b"\0", vector)
        for row in rows:
            self._damage_row(vector, sample, row, data)

    def _damage_row(self, vector: Vector, sample: str, row: Row, data: bytes) -> None:
        raw = data[row.offset : row.offset + row.length]
        after = data[row.offset + row.length :]
        name = row.path.removeprefix(f"{self.title}.")
        for value in self._beyond(name, raw):
            if 0 <= value < 1 << 8 * row.length:
                changed = data[: row.offset] + value.to_bytes(row.length, "big") + after
                tag = name.replace("[", ".").replace("]", "")
                self._reject(f"{sample}/{tag}={value}", f"{name} is {value}", changed, vector)
        field = next((field for field in self.form.fields if field.name == name), None)
        if field is not None and isinstance(field.form, Constant):
            for at in range(len(raw)):
                changed = raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
                data_changed = data[: row.offset] + changed + after
                self._reject(f"{sample}/{name}-byte-{at}", f"byte {at} of {name} differs", data_changed, vector)

    def _beyond(self, name: str, raw: bytes) -> list[int]:
        """Numbers just out of range, and sizes and counts that lie."""
        now = int.from_bytes(raw, "big")
        for field in self.form.fields:
            match field.form:
                case Number() as number if field.name == name:
                    grease = () if number.grease else (0x0A0A, 0x5AFA)
                    return [number.minimum - 1, number.maximum + 1, *grease, 256**number.size - 1]
                case VariableBytes(prefix=Number() as prefix) | Sequence(prefix=Number() as prefix) as form:
                    if prefix_name(field) == name:
                        beyond = [form.minimum - 1, form.maximum + 1]
                        return [now - 1, now + 1, 0, *beyond, 256**prefix.size - 1]
        return []


def _edge_values(field: Field) -> Iterator[tuple[str, Any]]:
    """Legal values of a field at its edges, with a name each."""
    match field.form:
        case Number() as number:
            edges = {number.minimum, number.minimum + 1, number.maximum - 1, number.maximum}
            named = {int(member) for member in number.names} if number.names else set()
            for value in sorted(edges | named):
                if number.minimum <= value <= number.maximum:
                    yield str(value), bool(value) if number.boolean else value
        case VariableBytes(text=None) as form:
            for size in sorted({form.minimum, form.minimum + 1, min(form.maximum, 255)}):
                yield f"{size}-bytes", bytes(size)
        case VariableBytes() as form:
            for size in (form.minimum, form.minimum + 1, form.maximum):
                yield f"{size}-bytes", "t" * size


def json_value(form: MessageForm, found: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a message, constants left out."""
    value: dict[str, Any] = {}
    for field in form.fields:
        part = found[field.name]
        match field.form:
            case Constant():
                continue
            case Sequence(element=MessageForm() as inner):
                value[field.name] = [json_value(inner, each) for each in part]
            case Number():
                value[field.name] = int(part)
            case _:
                value[field.name] = part
    return value
