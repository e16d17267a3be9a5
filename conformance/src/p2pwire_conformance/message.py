"""Messages as trees of fields with offsets, in whatever form a case wants them: well-formed, or wrong in one place.

>>> ping = Tree("Ping", data=b"8 bytes.")
>>> ping.encode().hex()
'382062797465732e'
>>> ping.with_(data=short(3)).encode().hex()
'3820627974'
>>> Tree("Close", code=2, frame_type=4, detail="no").with_(code=flip(0)).encode().hex()
'0003046e6f'
>>> decode("Ping", b"short")
Traceback (most recent call last):
...
p2pwire_conformance.message.Malformed: Ping.data at byte 0: 5 bytes, must be 8
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from p2pwire_conformance.protocol import Field, Layout, constant, is_grease16, protocol
from p2pwire_conformance.rules import OF_FIELD, OF_MESSAGE


class Malformed(Exception):
    """Bytes that are not what the layout says."""

    def __init__(self, path: str, offset: int, problem: str, requirement: str = "") -> None:
        super().__init__(f"{path} at byte {offset}: {problem}")
        self.path = path
        self.offset = offset
        self.problem = problem
        self.requirement = requirement


# --- changes ---


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to the bytes of a field after it was encoded."""

    text: str
    apply: Callable[[bytes], bytes]


absent: Final = Change("absent", lambda data: b"")
zero: Final = Change("zero", lambda data: bytes(len(data)))
duplicated: Final = Change("duplicated", lambda data: data + data)


def flip(bit: int) -> Change:
    """One bit is another; bit 0 is the lowest of the last byte."""

    def apply(data: bytes) -> bytes:
        return (int.from_bytes(data, "big") ^ 1 << bit % (8 * len(data))).to_bytes(len(data), "big")

    return Change(f"bit {bit} flipped", apply)


def short(count: int = 1) -> Change:
    """Bytes are missing at the end."""
    return Change(f"{count} bytes short", lambda data: data[: len(data) - count])


def long(count: int = 1) -> Change:
    """There are zero bytes too many."""
    return Change(f"{count} bytes long", lambda data: data + bytes(count))


def raw(data: bytes) -> Change:
    """These bytes instead."""
    return Change(f"{len(data)} other bytes", lambda _: data)


# --- trees ---


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a field lies."""

    path: str
    offset: int
    data: bytes
    change: str = ""


@dataclass(frozen=True)
class Tree:
    """A message with the values of its fields; sizes and counts are computed unless they are given."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Change] = field(default_factory=dict)

    def __init__(self, name: str, /, **values: Any) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "changes", {})
        unknown = set(values) - {known.name for known in self.layout.fields}
        if unknown:
            raise TypeError(f"{name} has no field {', '.join(sorted(unknown))}")

    @property
    def layout(self) -> Layout:
        """What `protocol.json` says of it."""
        return protocol().layouts[self.name]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def with_(self, **changes: Any) -> Tree:
        """The same with other values, or with `Change`s of their bytes. A size or count given here is a lie."""
        values = {name: value for name, value in changes.items() if not isinstance(value, Change)}
        changed = Tree(self.name, **{**self.values, **values})
        found = {name: change for name, change in changes.items() if isinstance(change, Change)}
        object.__setattr__(changed, "changes", {**self.changes, **found})
        return changed

    def pieces(self, offset: int = 0, path: str = "") -> Iterator[Piece]:
        """All fields in order."""
        path = path or self.name
        for known in self.layout.fields:
            if _is_absent(known, self.values):
                continue
            inner = list(self._inner(known, offset, f"{path}.{known.name}"))
            change = self.changes.get(known.name)
            if change is not None:
                whole = change.apply(b"".join(piece.data for piece in inner))
                inner = [Piece(f"{path}.{known.name}", offset, whole, change.text)]
            for piece in inner:
                yield piece
                offset += len(piece.data)

    def _inner(self, known: Field, offset: int, path: str) -> Iterator[Piece]:
        value = self._value(known)
        if not known.element:
            yield Piece(path, offset, _encode(known, value))
            return
        for number, element in enumerate(value):
            if isinstance(element, Tree):
                for piece in element.pieces(offset, f"{path}[{number}]"):
                    yield piece
                    offset += len(piece.data)
                continue
            data = element if isinstance(element, bytes) else int(element).to_bytes(int(known.element[1:]) // 8, "big")
            yield Piece(f"{path}[{number}]", offset, data)
            offset += len(data)

    def _value(self, known: Field) -> Any:
        if known.name in self.values:
            return self.values[known.name]
        if known.prefix_of:
            target = next(other for other in self.layout.fields if other.name == known.prefix_of)
            if target.element:
                return len(self._value(target))
            return len(_encode(target, self._value(target)))
        if known.element:
            return ()
        if known.value is not None:
            return known.value
        if known.width:
            return known.minimum
        return bytes(known.size or 0)

    def encode(self) -> bytes:
        """The bytes."""
        return b"".join(piece.data for piece in self.pieces())


def _is_absent(known: Field, values: Mapping[str, Any]) -> bool:
    return known.absent is not None and values.get(known.absent["if"], 0) == known.absent["equals"]


def _encode(known: Field, value: Any) -> bytes:
    if known.width:
        return int(value).to_bytes(known.width, "big")
    return value.encode("utf-8") if isinstance(value, str) else bytes(value)


# --- decoding ---


def decode(name: str, data: bytes) -> Tree:
    """Read a message strictly. Raises `Malformed` with the field, the offset and the rule."""
    layout = protocol().layouts[name]
    tree, end = _read(layout, data, 0, name)
    if end != len(data):
        raise Malformed(name, end, f"{len(data) - end} bytes after the last field", layout.requirement)
    if end > layout.maximum_size:
        raise Malformed(name, 0, f"{end} bytes, must be at most {layout.maximum_size}", layout.requirement)
    return tree


def _read(layout: Layout, data: bytes, offset: int, path: str) -> tuple[Tree, int]:
    values: dict[str, Any] = {}
    told: dict[str, int] = {}
    for known in layout.fields:
        here = f"{path}.{known.name}"
        if _is_absent(known, values):
            assert known.absent is not None
            meant = known.absent["value"]
            values[known.name] = bytes.fromhex(meant) if isinstance(meant, str) else meant
            continue
        start = offset
        value: Any
        if known.width:
            value, offset = _read_integer(known, data, offset, here)
        elif known.element:
            value, offset = _read_sequence(known, data, offset, here, told.get(known.name))
        else:
            value, offset = _read_bytes(known, data, offset, here, told.get(known.name))
        if known.prefix_of:
            told[known.prefix_of] = value
        values[known.name] = value
        for rule in known.rules:
            check = OF_FIELD.get(rule["rule"])
            if check is not None and not check(rule, value):
                raise Malformed(here, start, f"not {rule['limit']}", known.requirement)
            if rule["rule"] == "KnownValues":
                _read_known(rule, value, start, here)
    for rule in layout.rules:
        if not OF_MESSAGE[rule["rule"]](rule, values):
            raise Malformed(f"{path}.{rule['field']}", offset, f"not {rule['limit']}", layout.requirement)
    return Tree(layout.name, **values), offset


def _read_integer(known: Field, data: bytes, offset: int, path: str) -> tuple[int, int]:
    found = data[offset : offset + known.width]
    if len(found) < known.width:
        raise Malformed(path, offset, f"{len(found)} bytes, must be {known.width}", known.requirement)
    value = int.from_bytes(found, "big")
    if not known.minimum <= value <= known.maximum:
        raise Malformed(path, offset, f"{value}, must be {known.minimum} to {known.maximum}", known.requirement)
    if not known.grease and is_grease16(value):
        raise Malformed(path, offset, f"{value:#x} is a GREASE value", known.requirement)
    return value, offset + known.width


def _read_bytes(known: Field, data: bytes, offset: int, path: str, told: int | None) -> tuple[bytes, int]:
    size = known.size if known.size is not None else told if told is not None else len(data) - offset
    found = data[offset : offset + size]
    if len(found) < size:
        raise Malformed(path, offset, f"{len(found)} bytes, must be {size}", known.requirement)
    if known.size is None and not known.minimum_size <= size <= known.maximum_size:
        limits = f"{known.minimum_size} to {known.maximum_size}"
        raise Malformed(path, offset, f"{size} bytes, must be {limits}", known.requirement)
    if known.value is not None and found != known.value:
        raise Malformed(path, offset, f"{found.hex()}, must be {known.value.hex()}", known.requirement)
    if known.is_text:
        try:
            found.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(path, offset + error.start, "no UTF-8", "GN-010") from None
    return found, offset + size


def _read_sequence(known: Field, data: bytes, offset: int, path: str, told: int | None) -> tuple[list[Any], int]:
    found: list[Any] = []
    layout = protocol().layouts.get(known.element)
    size = 0
    if layout is None:
        size = int(known.element[6:-1]) if known.element.startswith("bytes") else int(known.element[1:]) // 8
    while len(found) < told if told is not None else offset < len(data):
        here = f"{path}[{len(found)}]"
        if len(found) == known.maximum_count:
            raise Malformed(here, offset, f"more than {known.maximum_count}", known.requirement)
        if layout is not None:
            element, offset = _read(layout, data, offset, here)
            found.append(element)
            continue
        part = data[offset : offset + size]
        if len(part) < size:
            raise Malformed(here, offset, f"{len(part)} bytes, must be {size}", known.requirement)
        found.append(part if known.element.startswith("bytes") else int.from_bytes(part, "big"))
        offset += size
    return found, offset


def _read_known(rule: Mapping[str, Any], values: list[Tree], offset: int, path: str) -> None:
    for number, value in enumerate(values):
        name = rule["messages"].get(str(value[rule["key"]]))
        # An own record in HELLO is judged by the checks of records and never makes HELLO malformed.
        if name is not None and name != "PeerRecord":
            try:
                decode(name, value[rule["value"]])
            except Malformed as error:
                raise Malformed(f"{path}[{number}]", offset, str(error), error.requirement) from None


# --- frames and preambles ---


def frame(tree: Tree, *, length: int | None = None, type: int | None = None) -> bytes:
    """A frame: type, length and body. A type or length that is given may be a lie."""
    body = tree.encode()
    own = tree.layout.frame_type
    if type is None and own is None:
        raise TypeError(f"{tree.name} is no frame")
    return raw_frame(own if type is None else type, body, length=length)  # type: ignore[arg-type]


def raw_frame(type: int, body: bytes, *, length: int | None = None) -> bytes:
    """A frame of any type and body."""
    return type.to_bytes(1, "big") + (len(body) if length is None else length).to_bytes(2, "big") + body


def preamble(tree: Tree, *, kind: int | None = None, length: int | None = None, magic: bytes | None = None) -> bytes:
    """A preamble: magic, kind, length and body. What is given may be a lie."""
    body = tree.encode()
    own = tree.layout.preamble_kind or 0
    head = bytes.fromhex(constant("MAGIC")) if magic is None else magic
    size = len(body) if length is None else length
    return head + (own if kind is None else kind).to_bytes(1, "big") + size.to_bytes(2, "big") + body
