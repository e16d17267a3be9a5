"""`python -m p2pwire.generate.native FILE`: writes the codec in the manner that suits mypyc, for the compiled build.

Decoders and encoders are those of `wire/messages.py`, statement by statement; what differs is how objects come to be.
mypyc knows how to make objects of its own classes, but makes those of attrs as slowly as the interpreter does. So the
classes are mypyc's here, and get the rest from attrs afterwards: equality, hash, repr, fields, and no changes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from struct import calcsize
from typing import Final

from p2pwire.generate.codec import Manner, messages_module, value_fields
from p2pwire.generate.decoding import At, DecodeWriter
from p2pwire.generate.form import MessageForm, VariableBytes
from p2pwire.generate.lines import Lines
from p2pwire.generate.prologue import PROLOGUE
from p2pwire.generate.runs import Run, Structs

_IMPORTS: Final = """\
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, final

import attrs

if TYPE_CHECKING:
    # For the compiler alone, which reads the decorator: the compiled module does not import it.
    from mypy_extensions import mypyc_attr
"""

_ADDED: Final = '''
def _copied(data: Buffer, at: int, end: int) -> bytes:
    """Bytes are cut by one call, without a slice object and a second copy; mypyc's way to cut them fails where the end
    is before the beginning."""
    return data[at:end] if isinstance(data, bytes) and 0 <= at <= end else bytes(data[at:end])


def _complete(message: Any, **sized: bool) -> None:
    """Gives a class what attrs gives; `sized`: its fields, and whether only the size of one is shown."""
    fields = {name: attrs.field(repr=_size if shown else True) for name, shown in sized.items()}
    attrs.frozen(message, these=fields, init=False, slots=False)
    message.__slots__ = tuple(fields)

'''


class NativeStructs(Structs):
    """Packs by methods that are constants of their own, since to find them takes compiled code long, and unpacks by
    functions that read the bytes themselves."""

    def __init__(self, message: MessageForm) -> None:
        super().__init__(message)
        self._calls: dict[tuple[str, str], str] = {}
        if message.fixed_size is not None and message.is_element:
            # Messages that hold many of these read them where they are.
            self.call(Run(list(message.fields)).format, "", "unpack_from")

    def call(self, code: str, role: str, method: str) -> str:
        """The beginning of a call."""
        self._calls[self.name(code, role), method] = code
        return super().call(code, role, method)

    def of(self, name: str, method: str) -> str:
        """The same, of a constant that may be another message's."""
        return f"{name}_PACK(" if method == "pack" else f"{_reader_name(name, method)}("

    def constants(self) -> list[str]:
        """The formats, those of their methods that are used, and what reads in their place."""
        lines = super().constants()
        for name, method in self._calls:
            lines.append(f"{name}_{method.upper()}: Final = {name}.{method}")
        for (name, method), code in self._calls.items():
            if method != "pack":
                lines.extend(_reader(name, method, code))
        return lines


def _reader_name(name: str, method: str) -> str:
    return f"{name.lower()}_{method}"


def _reader(name: str, method: str, code: str) -> list[str]:
    """A function that says what a method of a format says, and leaves to it what is no `bytes` or has another size.

    Compiled, it takes a third of the method's time: it makes no tuple, and looks at no format.
    """
    size, values, types, offset = calcsize(code), [], [], 0
    at, parameter, argument = At(), "", ""
    fits = f"len(data) == {size}"
    if method == "unpack_from":
        at, parameter, argument = At("at"), ", at: int = 0", ", at"
        fits = f"0 <= at <= len(data) - {size}"
    for count, letter in re.findall(r"(\d*)([a-zA-Z])", code):
        end = offset + calcsize(f">{count}{letter}")
        if letter == "s":
            values.append(f"data[{at.plus(offset)} : {at.plus(end)}]")
            types.append("bytes")
        else:
            values.append(" | ".join(_shifted(f"data[{at.plus(n)}]", 8 * (end - n - 1)) for n in range(offset, end)))
            types.append("int")
        offset = end
    return [
        "",
        "",
        f"def {_reader_name(name, method)}(data: Buffer{parameter}) -> tuple[{', '.join(types)}]:",
        f"    if isinstance(data, bytes) and {fits}:",
        f"        return ({', '.join(values)},)",
        f"    return {name}_{method.upper()}(data{argument})",
    ]


def _shifted(value: str, bits: int) -> str:
    return f"{value} << {bits}" if bits else value


class NativeDecodeWriter(DecodeWriter):
    """Makes objects by calling their class."""

    def _return_made(self, values: list[str], end: str) -> None:
        made = f"{self.title}({', '.join(values)})"
        self.out(f"return {made}, {end}" if end else f"return {made}")

    def _make(self, name: str, cls: str, message: MessageForm, values: list[str]) -> None:
        self.out(f"{name} = {message.title}({', '.join(values)})")

    def _copied(self, at: At, end: str) -> str:
        return f"_copied(data, {at}, {end or 'len(data)'})"


class Native(Manner):
    """Classes of mypyc's own. Their fields take any object, as those of the reference do."""

    prologue: str = PROLOGUE.replace(PROLOGUE[PROLOGUE.index("from typing") : PROLOGUE.index("\nBuffer:")], _IMPORTS)
    prologue += _ADDED
    structs: type[Structs] = NativeStructs
    decoder: type[DecodeWriter] = NativeDecodeWriter
    known: str = "frame = _decode_known(data[at], body)"

    def decorate(self, out: Lines) -> None:
        """Messages hold no messages that hold them: the collector of cycles need not look at them."""
        out("@mypyc_attr(acyclic=True)")
        out("@final")

    def attributes(self, message: MessageForm, out: Lines) -> None:
        """The fields, and what fills them."""
        names = [field.name for field in value_fields(message)]
        for name in names:
            out(f"{name}: Any")
        out()
        out.call("def __init__(", ["self", *(f"{name}: Any" for name in names)], ") -> None:")
        with out.indent():
            for name in names:
                out(f"self.{name} = {name}")
        out()
        out("def __reduce__(self) -> tuple[Any, ...]:")
        with out.indent():
            out(f"return {message.title}, ({', '.join(f'self.{name}' for name in names)},)")

    def complete(self, message: MessageForm) -> str:
        """A call that lists the fields."""
        shown = [f"{f.name}={isinstance(f.form, VariableBytes) and f.form.view}" for f in value_fields(message)]
        return f"_complete({message.title}, {', '.join(shown)})"

    def lookup(self, frames: Mapping[int, str]) -> str:
        """Comparisons, each of which takes a thousandth of a microsecond, and direct calls."""
        lines = ["def _decode_known(frame_type: int, body: Buffer) -> Frame | None:"]
        for number, title in frames.items():
            lines += [f"    if frame_type == 0x{number:02X}:", f"        return {title}.decode(body)"]
        return "\n".join([*lines, "    return None"]) + _DECODE_FRAME


_DECODE_FRAME: Final = '''


def decode_frame(frame_type: int, body: Buffer) -> Frame:
    """The frame of a type that is in FRAMES, from its body. Raises `DecodeError`."""
    frame = _decode_known(frame_type, body)
    if frame is None:
        raise KeyError(frame_type)
    return frame'''


def native_module() -> str:
    """The text of the codec."""
    return messages_module(Native())


def main(argv: Sequence[str]) -> int:
    """0: written; 2: wrong usage."""
    if len(argv) != 1:
        print("usage: python -m p2pwire.generate.native FILE", file=sys.stderr)
        return 2
    Path(argv[0]).write_text(native_module(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
