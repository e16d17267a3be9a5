"""Writes the `encode` and `encode_frame` methods of one message, which check every limit before a byte is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import attrs

from p2pwire.generate.conditions import (
    attribute,
    message_broken,
    number_broken,
    sequence_broken,
    size_broken,
    text_broken,
)
from p2pwire.generate.form import (
    Condition,
    Constant,
    Field,
    FixedBytes,
    MessageForm,
    Number,
    Sequence,
    UnknownConstructError,
    VariableBytes,
    element_size,
)
from p2pwire.generate.lines import Lines, bytes_literal
from p2pwire.generate.runs import FORMATS, Run, Structs, split_run
from p2pwire.generate.wording import constant_name, range_limit
from p2pwire.wire.constructs import KnownValues
from p2pwire.wire.registry import FRAME_HEADER


class EncodeWriter:
    """Writes how one message is made."""

    def __init__(self, message: MessageForm, structs: Structs, out: Lines) -> None:
        self.message = message
        self.title = message.title
        self.structs = structs
        self.out = out

    def write(self) -> None:
        if self.message.fixed_size is not None:
            self._fixed()
        else:
            self._variable()

    def _refuse(self, condition: str, field: str, value: str, limit: str) -> None:
        self.out(f"if {condition}:")
        with self.out.indent():
            self.out.call("raise EncodeError(", [f'"{self.title}"', f'"{field}"', value, f'"{limit}"'])

    def _refuse_size(self, size: str, form: VariableBytes | Sequence, field: str, value: str, what: str) -> None:
        condition = size_broken(size, form.minimum, form.maximum)
        self._refuse(condition, field, value, f"{range_limit(form.minimum, form.maximum)} {what}")

    # --- the methods ---

    @contextmanager
    def _encode(self) -> Iterator[None]:
        self.out("def encode(self) -> bytes:")
        with self.out.indent():
            self.out('"""The message\'s bytes. Raises `EncodeError`."""')
            yield

    @contextmanager
    def _encode_frame(self) -> Iterator[None]:
        """`encode_frame`, and before it an `encode` that cuts a body out: whole frames are what is sent."""
        with self._encode():
            self.out(f"return self.encode_frame()[{FRAME_HEADER}:]")
        self.out()
        self.out("def encode_frame(self) -> bytes:")
        with self.out.indent():
            self.out('"""The whole frame: type, length and body. Raises `EncodeError`."""')
            yield

    @property
    def _frame_type(self) -> str:
        return f"0x{self.message.frame_type:02X}"

    # --- messages of one size ---

    def _fixed(self) -> None:
        run = Run(list(self.message.fields))
        values = [_packed(field) for field in run.fields]
        if self.message.frame_type is None:
            with self._encode():
                self._checks()
                self._pack(self.structs.call(run.format, "", "pack"), values, run)
        else:
            with self._encode_frame():
                self._checks()
                call = self.structs.call(_framed(run.format), "frame", "pack")
                self._pack(call, [self._frame_type, str(run.size), *values], run)

    def _pack(self, call: str, values: list[str], run: Run) -> None:
        with self._packing(run.fields):
            self.out.call(f"return {call}", values)

    def _packing(self, fields: Iterable[Field]) -> _Packing:
        return _Packing(self.out, list(fields))

    def _checks(self) -> None:
        """Limits of fields that are always there, and rules."""
        for field in self.message.fields:
            if field.condition is None:
                self._check_field(field)
        for rule in self.message.rules:
            condition = message_broken(rule, self.title, attribute)
            self._refuse(condition, rule.field, attribute(rule.field), rule.limit)

    def _check_field(self, field: Field) -> None:
        value = attribute(field.name)
        match field.form:
            case Number() as number:
                for condition, limit in number_broken(number, value, read=False):
                    self._refuse(condition, field.name, value, limit)
            case FixedBytes(length=length):
                self._refuse(f"len({value}) != {length}", field.name, value, f"{length} bytes")
            case VariableBytes(text=None) as form:
                self._refuse_size(f"len({value})", form, field.name, f"len({value})", "bytes")
            case Sequence() as form:
                self._refuse_size(f"len({value})", form, field.name, f"len({value})", "elements")
                self._check_elements(field, form, value)

    def _check_elements(self, field: Field, form: Sequence, value: str) -> None:
        if isinstance(form.element, FixedBytes):
            size = form.element.length
            self._refuse(f"any(len(e) != {size} for e in {value})", field.name, value, f"of {size} bytes each")
        for rule in form.rules:
            if isinstance(rule, KnownValues):
                self._check_values(field, rule)
            condition = sequence_broken(rule, value)
            if condition is not None:
                self._refuse(condition, field.name, value, rule.limit)

    def _check_values(self, field: Field, rule: KnownValues) -> None:
        out, values = self.out, f"{constant_name(self.title)}_VALUES"
        out(f"for e in {attribute(field.name)}:")
        with out.indent():
            out(f"if e.{rule.key} in {values}:")
            with out.indent():
                out("try:")
                with out.indent():
                    out(f"{values}[e.{rule.key}].decode(e.{rule.value})")
                out("except DecodeError as error:")
                with out.indent():
                    limit = "valid: {error.text}"
                    out.call(
                        "raise EncodeError(",
                        [f'"{self.title}"', f'"{field.name}"', f"e.{rule.value}", f'f"{limit}"'],
                        ") from None",
                    )

    # --- messages of many sizes ---

    def _variable(self) -> None:
        out, message = self.out, self.message
        size = None if message.frame_type is None or message.size_is_limited else self._size()
        if size is not None:
            with self._encode_frame():
                self._checks()
                self._encode_texts()
                self._frame(size)
            return
        out("def _parts(self) -> list[Buffer]:")
        with out.indent():
            self._checks()
            self._encode_texts()
            self._parts()
        out()
        if message.frame_type is not None:
            with self._encode_frame():
                out("parts = self._parts()")
                out("size = sum(map(len, parts))")
                if message.size_is_limited:
                    self._check_size("size")
                out(f'return b"".join((_FRAME_HEADER.pack({self._frame_type}, size), *parts))')
            return
        with self._encode():
            if message.size_is_limited:
                out('data = b"".join(self._parts())')
                self._check_size("len(data)")
                out("return data")
            else:
                out('return b"".join(self._parts())')

    def _size(self) -> str | None:
        """The expression for the message's size; None if it takes more than the lengths of its fields."""
        fixed, lengths = 0, []
        for field in self.message.fields:
            match field.form:
                case _ if field.fixed_size is not None:
                    fixed += field.fixed_size
                    continue
                case VariableBytes(prefix=prefix):
                    least = most = 1
                case Sequence(prefix=prefix, element=element):
                    least, most = element_size(element)
            if field.condition is not None or least != most:
                return None
            fixed += 0 if prefix is None else prefix.size
            lengths.append(f"{'' if least == 1 else f'{least} * '}len({_source(field)})")
        return " + ".join([str(fixed), *lengths] if fixed else lengths)

    def _frame(self, size: str) -> None:
        """A frame whose size is known before its parts are made."""
        calls, packed = self._part_calls(list(self.message.fields), [self._frame_type, size])
        with self._packing(packed):
            self.out.list_of_calls("parts: list[Buffer] = ", calls)
        self.out('return b"".join(parts)')

    def _check_size(self, size: str) -> None:
        least, most = self.message.size_range
        self._refuse(f"{size} > {most}", "", size, f"{least}..{most} bytes")

    def _encode_texts(self) -> None:
        out = self.out
        for field in self.message.fields:
            if not isinstance(field.form, VariableBytes) or field.form.text is None:
                continue
            raw, value = _source(field), attribute(field.name)
            out("try:")
            with out.indent():
                out(f'{raw} = {value}.encode("utf-8")')
            out("except UnicodeEncodeError:")
            with out.indent():
                error = [f'"{self.title}"', f'"{field.name}"', value, '"Unicode text"']
                out.call("raise EncodeError(", error, ") from None")
            self._refuse_size(f"len({raw})", field.form, field.name, value, "bytes of UTF-8")
            self._refuse(text_broken(field.form.text, value, raw), field.name, value, field.form.text.limit)

    def _parts(self) -> None:
        out = self.out
        always = [field for field in self.message.fields if field.condition is None]
        conditional = [field for field in self.message.fields if field.condition is not None]
        if self.message.fields[len(always) :] != tuple(conditional):
            raise UnknownConstructError(f"{self.title}: fields that may be absent come last")
        calls, packed = self._part_calls(always)
        with self._packing(packed):
            out.list_of_calls("parts: list[Buffer] = " if conditional else "return ", calls)
        for field in conditional:
            assert field.condition is not None
            self._conditional_part(attrs.evolve(field, condition=None), field.condition)
        if conditional:
            out("return parts")

    def _part_calls(
        self, fields: list[Field], frame: list[str] | None = None
    ) -> tuple[list[tuple[str, list[str], str]], list[Field]]:
        """The elements of the list of parts, and the fields that are packed in them; `frame`: type and size of the
        frame that they begin with."""
        calls: list[tuple[str, list[str], str]] = []
        packed: list[Field] = []
        left = fields
        while left:
            run, left = split_run(left)
            values = [_packed(field) for field in run.fields]
            if run.after is not None and run.prefix is not None:
                values.append(f"len({_source(run.after)})")
            if frame is not None:
                call = self.structs.call(_framed(run.format), "frame", "pack") if values else "_FRAME_HEADER.pack("
                calls.append((call, [*frame, *values], ")"))
                frame = None
            elif values:
                calls.append((self.structs.call(run.format, run.names[0], "pack"), values, ")"))
            packed.extend(run.fields)
            if left:
                field, *left = left
                calls.append((self._part(field), [], ""))
                if isinstance(field.form, Sequence) and isinstance(field.form.element, Number):
                    packed.append(field)
        return calls, packed

    def _part(self, field: Field) -> str:
        value = attribute(field.name)
        match field.form:
            case VariableBytes():
                return _source(field)
            case Sequence(element=Number(size=size)):
                return f'struct.pack(f">{{len({value})}}{FORMATS[size]}", *{value})'
            case Sequence(element=FixedBytes()):
                return f"*{value}"
            case Sequence():
                return f"*[e.encode() for e in {value}]"
        raise UnknownConstructError(f"{self.title}.{field.name}")

    def _conditional_part(self, field: Field, condition: Condition) -> None:
        out, value, run = self.out, attribute(field.name), Run([field])
        zero = isinstance(condition.absent, bytes)
        absent = bytes_literal(condition.absent) if isinstance(condition.absent, bytes) else str(condition.absent)
        out(f"if {attribute(condition.other)} == {condition.absent_at}:")
        with out.indent():
            limit = f"{'zero bytes' if zero else absent} if {condition.other} is {condition.absent_at}"
            self._refuse(f"{value} != {absent}", field.name, value, limit)
        out("else:")
        with out.indent():
            self._check_field(field)
            with self._packing([field]):
                out(f"parts.append({self.structs.call(run.format, field.name, 'pack')}{value}))")


class _Packing:
    """Turns `struct.error` in the lines written within into an error that names the culprit."""

    def __init__(self, out: Lines, fields: list[Field]) -> None:
        self._out = out
        self._bits = []
        for field in fields:
            match field.form:
                case Number(size=size) | Sequence(element=Number(size=size)):
                    self._bits.append(f"{field.name}={8 * size}")
                case FixedBytes():
                    self._bits.append(f"{field.name}=0")
        self._indent = out.indent()

    def __enter__(self) -> None:
        if self._bits:
            self._out("try:")
            self._indent.__enter__()

    def __exit__(self, *_: object) -> None:
        if self._bits:
            self._indent.__exit__(None, None, None)
            self._out("except struct.error:")
            with self._out.indent():
                self._out.call("raise _unpackable(", ["self", *self._bits], ") from None")


def _packed(field: Field) -> str:
    return bytes_literal(field.form.value) if isinstance(field.form, Constant) else attribute(field.name)


def _framed(code: str) -> str:
    """The format of a frame whose body begins with what this format has."""
    return f">BH{code[1:]}"


def _source(field: Field) -> str:
    """The expression for a field's bytes or elements."""
    if isinstance(field.form, VariableBytes) and field.form.text is not None:
        return f"{field.name}_raw"
    return attribute(field.name)
