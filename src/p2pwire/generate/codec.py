"""Writes `wire/messages.py`: a frozen class per message with its codec, straight code without an interpreter."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Final

from p2pwire.generate.conditions import lengths_constants, patterns
from p2pwire.generate.decoding import DecodeWriter
from p2pwire.generate.encoding import EncodeWriter
from p2pwire.generate.form import MESSAGES, Constant, Field, FixedBytes, MessageForm, Number, Sequence, VariableBytes
from p2pwire.generate.lines import WIDTH, Lines
from p2pwire.generate.prologue import PROLOGUE
from p2pwire.generate.runs import Structs
from p2pwire.generate.wording import constant_name, layout, limit_text
from p2pwire.wire import schema
from p2pwire.wire.constructs import Message

_KINDS: Final = {body.title: int(kind) for kind, body in schema.PREAMBLES.items()}


class Manner:
    """How classes are written: this one's are classes of attrs, which any interpreter runs.

    `native.py` has another, for a compiler.
    """

    prologue: str = PROLOGUE
    structs: type[Structs] = Structs
    decoder: type[DecodeWriter] = DecodeWriter

    def decorate(self, out: Lines) -> None:
        """What is before the class."""
        # No weak references: an instance of the unlocked class has the same layout only without.
        out("@attrs.frozen(weakref_slot=False)")

    def attributes(self, message: MessageForm, out: Lines) -> None:
        """The fields."""
        for field in value_fields(message):
            _attribute(field, out)

    def complete(self, message: MessageForm) -> str:
        """What follows the class."""
        return f"_UNLOCKED_{constant_name(message.title)}: Final = _unlocked({message.title})"

    def lookup(self, frames: Mapping[int, str]) -> str:
        """`decode_frame`, and what else finds the class of a frame."""
        return _LOOKUP

    known: str = "decode = _DECODERS.get(data[at])\n        frame = None if decode is None else decode(body)"
    """Statements that set `frame` to that of the type in `data[at]`, or to None."""


REFERENCE: Final = Manner()


def value_fields(message: MessageForm) -> list[Field]:
    """Those that an instance has."""
    return [field for field in message.fields if not isinstance(field.form, Constant)]


def messages_module(manner: Manner = REFERENCE) -> str:
    """The text of `wire/messages.py`."""
    lines = [manner.prologue, *patterns(MESSAGES)]
    for message in MESSAGES:
        lines.extend(message_class(message, number=_number(message), manner=manner))
    lines.extend(_epilogue(manner))
    return "\n".join(lines) + "\n"


def _number(message: MessageForm) -> tuple[str, int] | None:
    if message.frame_type is not None:
        return "TYPE", message.frame_type
    return ("KIND", _KINDS[message.title]) if message.title in _KINDS else None


def message_class(message: MessageForm, *, number: tuple[str, int] | None, manner: Manner = REFERENCE) -> list[str]:
    """The constants and the class of one message; `number`: the name and value of the number that stands for it."""
    out, structs = Lines(), manner.structs(message)
    manner.decorate(out)
    out(f"class {message.title}:")
    with out.indent():
        _docstring(message, out)
        out()
        if number is not None:
            out(f"{number[0]}: ClassVar[int] = 0x{number[1]:02X}")
            out()
        manner.attributes(message, out)
        out()
        manner.decoder(message, structs, out).write()
        out()
        EncodeWriter(message, structs, out).write()
    constants = [*structs.constants(), *lengths_constants(message)]
    out()
    out()
    out(manner.complete(message))
    return ["", "", *constants, *(["", ""] if constants else []), *out.lines]


def _docstring(message: MessageForm, out: Lines) -> None:
    out(f'"""{message.text}')
    out()
    parts = layout(message)
    lines = textwrap.wrap(
        "Bytes: `" + " | ".join(part.replace(" ", "\0") for part in parts) + "`", WIDTH - 4, subsequent_indent=" " * 8
    )
    for line in lines:
        out(line.replace("\0", " "))
    out('"""')


def _attribute(field: Field, out: Lines) -> None:
    shown = isinstance(field.form, VariableBytes) and field.form.view
    out(f"{field.name}: {_python_type(field)}{' = attrs.field(repr=_size)' if shown else ''}")
    text = field.text[0].upper() + field.text[1:]
    unit = f", in {field.unit}" if field.unit else ""
    limit = limit_text(field)
    doc = f"{text}{unit}{f' ({limit})' if limit else ''}."
    for line in textwrap.wrap(f'"""{doc}"""', WIDTH - 4):
        out(line)


def _python_type(field: Field) -> str:
    match field.form:
        case Number(boolean=boolean):
            return "bool" if boolean else "int"
        case VariableBytes(view=True):
            return "Buffer"
        case VariableBytes(text=rule) if rule is not None:
            return "str"
        case Sequence(element=Number()):
            return "tuple[int, ...]"
        case Sequence(element=FixedBytes()):
            return "tuple[bytes, ...]"
        case Sequence(element=MessageForm(title=title)):
            return f"tuple[{title}, ...]"
    return "bytes"


# --- What follows the classes ---------------------------------------------------------------------------------------


def union(name: str, doc: str, titles: Iterable[str]) -> list[str]:
    """An alias for any of some classes."""
    titles = list(titles)
    line = f"{name}: TypeAlias = {' | '.join(titles)}"
    if len(line) <= WIDTH:
        return [line, f'"""{doc}"""', ""]
    alternatives = [f"    {'| ' if i else ''}{title}" for i, title in enumerate(titles)]
    return [f"{name}: TypeAlias = (", *alternatives, ")", f'"""{doc}"""', ""]


def _table(name: str, of: str, doc: str, rows: Mapping[int, str]) -> list[str]:
    entries = [f"        0x{number:02X}: {title}," for number, title in rows.items()]
    head = f"{name}: Final[Mapping[int, type[{of}]]] = MappingProxyType("
    return [head, "    {", *entries, "    }", ")", f'"""{doc}"""', ""]


def _titles(messages: Mapping[int, Message]) -> dict[int, str]:
    return {int(number): message.title for number, message in messages.items()}


def _epilogue(manner: Manner) -> list[str]:
    frames = {message.frame_type: message.title for message in MESSAGES if message.frame_type is not None}
    bodies, values = (
        _titles(schema.PREAMBLES),
        _titles(
            {tag: message for tag, message in schema.HELLO_VALUES.items() if tag not in schema.LENIENT_HELLO_VALUES}
        ),
    )
    return [
        "",
        "",
        *union("Frame", "The body of any frame.", frames.values()),
        *_table("FRAMES", "Frame", "The class of each frame type.", frames),
        *union("PreambleBody", "The body of any preamble.", bodies.values()),
        *_table("PREAMBLES", "PreambleBody", "The class of each kind of preamble.", bodies),
        *union("HelloValue", "The value of any known parameter of HELLO.", values.values()),
        *_table(
            "HELLO_VALUES",
            "HelloValue",
            "The parameters of HELLO that have to be well-formed.",
            values,
        ),
        *f"{manner.lookup(frames)}\n{_FUNCTIONS}".replace("{known}", manner.known).split("\n"),
    ]


_LOOKUP: Final = '''\
_DECODERS: Final[Mapping[int, Callable[[Buffer], Frame]]] = {number: frame.decode for number, frame in FRAMES.items()}


def decode_frame(frame_type: int, body: Buffer) -> Frame:
    """The frame of a type that is in FRAMES, from its body. Raises `DecodeError`."""
    return _DECODERS[frame_type](body)'''

_FUNCTIONS: Final = '''

_COPIED: Final = 256


def decode_frames(plaintext: Buffer) -> list[Frame]:
    """The frames that a record holds; those of types that are not in FRAMES are passed over. Raises `DecodeError`, also
    where no whole frame is left.
    """
    frames: list[Frame] = []
    data = bytes(plaintext)
    at, size = 0, len(data)
    while at < size:
        begin = at + 3
        if begin > size:
            raise _truncated("FrameHeader", at, size, type=1, length=2)
        end = begin + (data[at + 1] << 8 | data[at + 2])
        if end > size:
            raise DecodeError("FrameHeader", "length", end - begin, f"0..{size - begin}", at + 1)
        body = data[begin:end] if end - begin <= _COPIED else memoryview(data)[begin:end]
        {known}
        if frame is not None:
            frames.append(frame)
        at = end
    return frames


def encode_frames(frames: Iterable[Frame]) -> bytes:
    """The bytes of frames, one after the other, as a record holds them. Raises `EncodeError`."""
    return b"".join([frame.encode_frame() for frame in frames])


def encode_preamble(body: PreambleBody) -> bytes:
    """The whole preamble: header and body. Raises `EncodeError`."""
    data = body.encode()
    return PreambleHeader(body.KIND, len(data)).encode() + data'''
