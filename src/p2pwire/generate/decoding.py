"""Writes the `decode` and `read` methods of one message: straight code that checks while it reads."""

from __future__ import annotations

import attrs

from p2pwire.generate.conditions import (
    local,
    message_broken,
    number_broken,
    rule_fields,
    sequence_broken,
    size_broken,
    text_broken,
)
from p2pwire.generate.form import (
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
from p2pwire.generate.wording import constant_name, prefix_name, range_limit
from p2pwire.wire.constructs import KnownValues
from p2pwire.wire.rules import MessageRule, TextRule


@attrs.frozen
class At:
    """A place in the buffer: a variable (or the start) and a known distance from it."""

    variable: str = ""
    offset: int = 0

    def plus(self, distance: int) -> At:
        return At(self.variable, self.offset + distance)

    def __str__(self) -> str:
        if not self.variable:
            return str(self.offset)
        return f"{self.variable} + {self.offset}" if self.offset else self.variable

    def slice(self, end: str, data: str = "data") -> str:
        """The buffer from here to `end` (empty: to its end)."""
        if self == At():
            return f"{data}[:{end}]" if end else data
        colon = " :" if self.variable and self.offset else ":"
        return f"{data}[{self}{colon}{' ' if colon == ' :' and end else ''}{end}]"


class DecodeWriter:
    """Writes how one message is read."""

    def __init__(self, message: MessageForm, structs: Structs, out: Lines) -> None:
        self.message = message
        self.title = message.title
        self.structs = structs
        self.out = out
        self._places: dict[str, At] = {}
        self._read: set[str] = set()
        self._checked: list[MessageRule] = []

    def write(self) -> None:
        if self.message.fixed_size is not None:
            self._fixed()
        elif self.message.is_element:
            self._element()
        else:
            self._whole()

    # --- the methods ---

    def _fixed(self) -> None:
        out, run = self.out, Run(list(self.message.fields))
        out("@classmethod")
        out(f"def decode(cls, data: Buffer) -> {self.title}:")
        with out.indent():
            out(f'"""The message that fills `data` exactly ({run.size} bytes). Raises `DecodeError`."""')
            out("try:")
            with out.indent():
                self._unpack(run, f"{self.structs.call(run.format, '', 'unpack')}data)")
            out("except struct.error:")
            with out.indent():
                out.call("raise _wrong_size(", [f'"{self.title}"', "len(data)", *run.sizes], ") from None")
            self._check_run(run, At())
            self._check_rules(At())
            self._return()

    def _element(self) -> None:
        out = self.out
        out("@classmethod")
        out(f"def read(cls, data: Buffer, at: int = 0) -> tuple[{self.title}, int]:")
        with out.indent():
            out('"""The message that begins at `at`, and where it ends. Raises `DecodeError`."""')
            end = self._fields(At("at"))
            self._return(str(end))
        out()
        out("@classmethod")
        out(f"def decode(cls, data: Buffer) -> {self.title}:")
        with out.indent():
            out('"""The message that fills `data` exactly. Raises `DecodeError`."""')
            out("message, end = cls.read(data)")
            self._check_end("end")
            out("return message")

    def _whole(self) -> None:
        out = self.out
        out("@classmethod")
        out(f"def decode(cls, data: Buffer) -> {self.title}:")
        with out.indent():
            out('"""The message that fills `data` exactly. Raises `DecodeError`."""')
            if self.message.size_is_limited:
                least, most = self.message.size_range
                self._raise(f"len(data) > {most}", "", "len(data)", f"{least}..{most} bytes", At())
            end = self._fields(At())
            if self.message.delimits_itself:
                self._check_end(str(end))
            self._return()

    def _check_end(self, end: str) -> None:
        self.out(f"if {end} != len(data):")
        with self.out.indent():
            self.out(f'raise _trailing("{self.title}", {end}, len(data))')

    def _return(self, end: str = "") -> None:
        values = []
        for field in self.message.fields:
            match field.form:
                case Constant():
                    pass
                case Number(boolean=True):
                    values.append(f"bool({local(field.name)})")
                case _:
                    values.append(local(field.name))
        self._return_made(values, end)

    # --- what is made, which `native.py` writes in another manner ---

    def _return_made(self, values: list[str], end: str) -> None:
        self._make("message", "cls", self.message, values)
        self.out(f"made: {self.title} = message")
        self.out(f"return made, {end}" if end else "return made")

    def _make(self, name: str, cls: str, message: MessageForm, values: list[str]) -> None:
        """Sets a variable to a new message: not by the `__init__` of a frozen class, which takes longer than the rest
        of most decoders."""
        out = self.out
        out(f"{name}: Any = _UNLOCKED_{constant_name(message.title)}()")
        names = [field.name for field in message.fields if not isinstance(field.form, Constant)]
        for field, value in zip(names, values, strict=True):
            out(f"{name}.{field} = {value}")
        out(f"{name}.__class__ = {cls}")

    def _copied(self, at: At, end: str) -> str:
        """The bytes from a place to `end` (empty: all that are left)."""
        return f"bytes({at.slice(end)})"

    # --- errors ---

    def _raise(self, condition: str, field: str, value: str, limit: str, at: At) -> None:
        self.out(f"if {condition}:")
        with self.out.indent():
            self.out.call("raise DecodeError(", [f'"{self.title}"', f'"{field}"', value, f'"{limit}"', str(at)])

    # --- fields in order ---

    def _fields(self, at: At) -> At:
        """Reads and checks all fields from `at` on; gives the end."""
        left = list(self.message.fields)
        while left:
            run, left = split_run(left)
            if run.names:
                self._read_run(run, at)
                self._check_run(run, at)
                self._check_rules(at)
                at = at.plus(run.size)
            if left:
                field = left.pop(0)
                self._places[field.name] = at
                end = self._read_variable(field, at)
                self._read.add(field.name)
                self._check_rules(at)
                at = self._move(end) if left and end.variable == "end" else end
        return at

    def _move(self, to: At) -> At:
        """Sets the variable `at`; places told by its old value are places no longer."""
        if to != At("at"):
            self.out(f"at += {to.offset}" if to.variable == "at" else f"at = {to}")
            self._places = {name: place for name, place in self._places.items() if place.variable != "at"}
        return At("at")

    def _check_rules(self, at: At) -> None:
        """Checks the rules between fields that have all been read by now and were not checked before."""
        for rule in self.message.rules:
            if rule not in self._checked and rule_fields(rule) <= self._read:
                self._checked.append(rule)
                condition, place = message_broken(rule, self.title, local), self._places.get(rule.field, at)
                self._raise(condition, rule.field, local(rule.field), rule.limit, place)

    def _read_run(self, run: Run, at: At) -> None:
        out = self.out
        out("try:")
        with out.indent():
            place = "" if at == At() else f", {at}"
            self._unpack(run, f"{self.structs.call(run.format, run.names[0], 'unpack_from')}data{place})")
        out("except struct.error:")
        with out.indent():
            out.call("raise _truncated(", [f'"{self.title}"', str(at), "len(data)", *run.sizes], ") from None")

    def _unpack(self, run: Run, source: str) -> None:
        names = run.locals
        self.out(f"{', '.join(names) if len(names) > 1 else f'({names[0]},)'} = {source}")

    def _check_run(self, run: Run, at: At) -> None:
        for field in run.fields:
            name = local(field.name)
            self._places[field.name] = at
            self._read.add(field.name)
            match field.form:
                case Number() as number:
                    for condition, limit in number_broken(number, name):
                        self._raise(condition, field.name, name, limit, at)
                case Constant(value=value):
                    self._raise(f"{name} != {bytes_literal(value)}", field.name, name, value.hex(" ").upper(), at)
            at = at.plus(field.fixed_size or 0)
        if run.prefix is not None and run.after is not None:
            form, name = run.after.form, prefix_name(run.after)
            assert isinstance(form, VariableBytes | Sequence)
            maximum = min(form.maximum, run.prefix.maximum)
            for condition, limit in number_broken(
                attrs.evolve(run.prefix, minimum=form.minimum, maximum=maximum), name
            ):
                self._raise(condition, name, name, limit, at)

    # --- fields of many sizes ---

    def _read_variable(self, field: Field, at: At) -> At:
        if field.condition is not None:
            return self._read_conditional(field, at)
        match field.form:
            case VariableBytes(prefix=None) as form:
                return self._read_rest(field, form, at)
            case VariableBytes() as form:
                return self._read_sized(field, form, at)
            case Sequence(prefix=None) as form:
                return self._read_until_end(field, form, at)
            case Sequence(element=MessageForm() as element) as form if element.fixed_size is None:
                return self._read_counted(field, form, element, at)
            case Sequence() as form:
                return self._read_array(field, form, at)
        raise UnknownConstructError(f"{self.title}.{field.name}")

    def _read_conditional(self, field: Field, at: At) -> At:
        out, condition = self.out, field.condition
        assert condition is not None
        at = self._move(at)
        run = Run([attrs.evolve(field, condition=None)])
        absent = bytes_literal(condition.absent) if isinstance(condition.absent, bytes) else condition.absent
        out(f"{local(field.name)} = {absent}")
        out(f"if {local(condition.other)} != {condition.absent_at}:")
        with out.indent():
            self._read_run(run, at)
            self._check_run(run, at)
            out(f"at += {run.size}")
        return at

    def _read_rest(self, field: Field, form: VariableBytes, at: At) -> At:
        name = local(field.name)
        size = "len(data)" if at == At() else f"len(data) - {at}"
        limit = f"{range_limit(form.minimum, form.maximum)} bytes"
        self._raise(size_broken(size, form.minimum, form.maximum), field.name, size, limit, at)
        if form.text is not None:
            self._read_text(field, form.text, self._copied(at, ""), at)
        elif form.view:
            self.out(f"{name} = {at.slice('', 'memoryview(data)')}")
        else:
            self.out(f"{name} = {self._copied(at, '')}")
        return At("len(data)")

    def _bounds(self, field: Field, size: str, at: At) -> None:
        """Sets `end`, `size` bytes further, and checks that the buffer reaches it."""
        out = self.out
        out(f"end = {at} + {size}")
        out("if end > len(data):")
        with out.indent():
            name = f'"{self.title}"'
            # A keyword argument, so that the error can name the field.
            out.call("raise _truncated(", [name, str(at), "len(data)", f"{field.name}={size}"])

    def _read_sized(self, field: Field, form: VariableBytes, at: At) -> At:
        self._bounds(field, prefix_name(field), at)
        if form.text is not None:
            self._read_text(field, form.text, self._copied(at, "end"), at)
        else:
            self.out(f"{local(field.name)} = {self._copied(at, 'end')}")
        return At("end")

    def _read_text(self, field: Field, rule: TextRule, source: str, at: At) -> None:
        out, name = self.out, local(field.name)
        out(f"raw = {source}")
        out("try:")
        with out.indent():
            out(f'{name} = raw.decode("utf-8")')
        out("except UnicodeDecodeError:")
        with out.indent():
            out.call(
                "raise DecodeError(", [f'"{self.title}"', f'"{field.name}"', "raw", '"UTF-8"', str(at)], ") from None"
            )
        self._raise(text_broken(rule, name, "raw"), field.name, name, rule.limit, at)

    # --- sequences ---

    def _read_array(self, field: Field, form: Sequence, at: At) -> At:
        """Elements of one size."""
        out, name, count, element = self.out, local(field.name), prefix_name(field), form.element
        self._bounds(field, f"{element_size(element)[0]} * {count}", at)
        match element:
            case Number(size=size):
                out(f'{name} = struct.unpack_from(f">{{{count}}}{FORMATS[size]}", data, {at})')
            case FixedBytes(length=length):
                out(f'{name} = struct.unpack_from("{length}s" * {count}, data, {at})')
            case MessageForm():
                self._read_fixed_messages(name, element, at)
        self._check_sequence(field, form, at)
        return At("end")

    def _read_fixed_messages(self, name: str, element: MessageForm, at: At) -> None:
        out = self.out
        run = Run(list(element.fields))
        into, names = f"{name}_list", ", ".join(run.locals)
        out(f"{into}: list[{element.title}] = []")
        out(f"for here in range({at}, end, {element.fixed_size}):")
        with out.indent():
            source = self.structs.of(f"_{constant_name(element.title)}", "unpack_from")
            out(f"{names} = {source}data, here)")
            for rule in element.rules:
                path, place = f'f"{name}[{{len({into})}}].{rule.field}"', "here"
                out(f"if {message_broken(rule, element.title, local)}:")
                with out.indent():
                    out.call(
                        "raise DecodeError(", [f'"{self.title}"', path, local(rule.field), f'"{rule.limit}"', place]
                    )
            self._make("element", element.title, element, run.locals)
            out(f"{into}.append(element)")
        out(f"{name} = tuple({into})")

    def _read_counted(self, field: Field, form: Sequence, element: MessageForm, at: At) -> At:
        out, into = self.out, f"{local(field.name)}_list"
        begin = self._begin(form, at)
        out(f"{into}: list[{element.title}] = []")
        out(f"for _ in range({prefix_name(field)}):")
        with out.indent():
            self._read_element(field, form, element, into)
        out(f"{local(field.name)} = tuple({into})")
        self._check_sequence(field, form, begin)
        return At("at")

    def _read_until_end(self, field: Field, form: Sequence, at: At) -> At:
        out, name, into = self.out, local(field.name), f"{local(field.name)}_list"
        element = form.element
        assert isinstance(element, MessageForm)
        begin = self._begin(form, at)
        out(f"{into}: list[{element.title}] = []")
        out("while at < len(data):")
        with out.indent():
            self._read_element(field, form, element, into)
        out(f"{name} = tuple({into})")
        limit = f"0..{form.maximum} elements"
        self._raise(f"len({name}) > {form.maximum}", field.name, f"len({name})", limit, begin)
        self._check_sequence(field, form, begin)
        return At("at")

    def _begin(self, form: Sequence, at: At) -> At:
        """Moves `at` to the first element; gives a place that stays."""
        self._move(at)
        if at.variable and form.rules:
            self.out("begin = at")
            return At("begin")
        return at

    def _read_element(self, field: Field, form: Sequence, element: MessageForm, into: str) -> None:
        out = self.out
        path = f"{field.name}[{{len({into})}}]"
        out("try:")
        with out.indent():
            out(f"element, at = {element.title}.read(data, at)")
        out("except DecodeError as error:")
        with out.indent():
            out(f'raise error.within("{self.title}", f"{path}") from None')
        for rule in form.rules:
            if isinstance(rule, KnownValues):
                value = f"element.{rule.value}"
                out(f"if element.{rule.key} in {constant_name(self.title)}_VALUES:")
                with out.indent():
                    out("try:")
                    with out.indent():
                        out(f"{constant_name(self.title)}_VALUES[element.{rule.key}].decode({value})")
                    out("except DecodeError as error:")
                    with out.indent():
                        inner = [f'"{self.title}"', f'f"{path}.{rule.value}"', f"at - len({value})"]
                        out.call("raise error.within(", inner, ") from None")
        out(f"{into}.append(element)")

    def _check_sequence(self, field: Field, form: Sequence, at: At) -> None:
        for rule in form.rules:
            condition = sequence_broken(rule, local(field.name))
            if condition is not None:
                self._raise(condition, field.name, local(field.name), rule.limit, at)
