"""Writes `wire/messages.py`: a frozen class per message with its codec, straight code without an interpreter."""

from __future__ import annotations

import builtins
import keyword
import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from p2pwire.generate import form as f
from p2pwire.generate.form import Constant, Field, FixedBytes, MessageForm, Number, Sequence, VariableBytes
from p2pwire.generate.prologue import PROLOGUE
from p2pwire.wire import schema
from p2pwire.wire.constructs import (
    Aligned,
    AscendingKey,
    AscendingSpans,
    Characters,
    DisjointRanges,
    EndsBy,
    LengthBy,
    MemberOf,
    MessageRule,
    NoControls,
    NotAllEmpty,
    NotBelow,
    RelativePath,
    SequenceRule,
    Unique,
    UniqueKey,
    ZeroUnless,
)

WIDTH: Final = 120
_FORMATS: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_RESERVED: Final = frozenset({"at", "cls", "data", "element", "end", "error", "raw", "self"})


class Lines:
    """Lines of Python at an indentation, wrapped as the formatter would."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._depth = 0

    def __call__(self, line: str = "") -> None:
        self.lines.append("    " * self._depth + line if line else "")

    def indent(self) -> _Indent:
        return _Indent(self)

    def deeper(self, by: int) -> None:
        self._depth += by

    def call(self, head: str, arguments: Iterable[str], tail: str = ")") -> None:
        """`head arg, arg tail` on one line, else the arguments on one, else each on its own."""
        arguments = list(arguments)
        margin = "    " * self._depth
        line = margin + head + ", ".join(arguments) + tail
        if len(line) <= WIDTH:
            self.lines.append(line)
            return
        inner = margin + "    " + ", ".join(arguments)
        self.lines.append(margin + head)
        if len(inner) <= WIDTH:
            self.lines.append(inner)
        else:
            self.lines.extend(f"{margin}    {argument}," for argument in arguments)
        self.lines.append(margin + tail)

    def nested(self, head: str, parts: list[tuple[str, list[str], str]], tail: str) -> None:
        """A list whose elements are calls, on one line or an element on each."""
        texts = [start + ", ".join(arguments) + end for start, arguments, end in parts]
        if len("    " * self._depth + head + ", ".join(texts) + tail) <= WIDTH:
            self(head + ", ".join(texts) + tail)
            return
        self(head)
        with self.indent():
            for start, arguments, end in parts:
                self.call(start, arguments, f"{end},")
        self(tail)


class _Indent:
    def __init__(self, out: Lines) -> None:
        self._out = out

    def __enter__(self) -> None:
        self._out.deeper(1)

    def __exit__(self, *_: object) -> None:
        self._out.deeper(-1)


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


def local(name: str) -> str:
    """The name of a local variable for a field."""
    return f"{name}_" if name in _RESERVED or keyword.iskeyword(name) or hasattr(builtins, name) else name


def constant_name(title: str) -> str:
    """PeerRecord -> PEER_RECORD."""
    return "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(title)).upper()


def prefix_name(field: Field) -> str:
    """The name of the length or count before a field."""
    return f"{field.name}_{'count' if isinstance(field.form, Sequence) else 'length'}"


# --- Conditions: Python expressions that are true when a rule is broken ---------------------------------------------


def number_broken(number: Number, value: str) -> Iterator[tuple[str, str]]:
    """(condition, limit) pairs beyond what the size itself holds."""
    if not number.natural:
        top = 256**number.size - 1
        if number.minimum == number.maximum:
            condition = f"{value} != {number.minimum}"
        elif number.minimum == 0:
            condition = f"{value} > {number.maximum}"
        elif number.maximum == top:
            condition = f"{value} < {number.minimum}"
        else:
            condition = f"not {number.minimum} <= {value} <= {number.maximum}"
        yield condition, number_limit(number)
    if not number.grease:
        yield f"{value} & 0x0F0F == 0x0A0A", "no GREASE value"


def number_limit(number: Number) -> str:
    if number.minimum == number.maximum:
        return str(number.minimum)
    return f"{number.minimum}..{number.maximum}"


def sequence_broken(rule: SequenceRule, value: str) -> str:
    match rule:
        case Unique():
            return f"len(set({value})) != len({value})"
        case UniqueKey(key=key):
            return f"len({{e.{key} for e in {value}}}) != len({value})"
        case AscendingKey(key=key):
            return f"any(a.{key} >= b.{key} for a, b in pairwise({value}))"
        case AscendingSpans():
            return f"any(a.last >= b.first for a, b in pairwise({value}))"
        case DisjointRanges():
            return (
                f"sum(e.count for e in {value}) > len({{t for e in {value} for t in range(e.base, e.base + e.count)}})"
            )


def message_broken(rule: MessageRule, title: str, prefix: str) -> str:
    """`prefix` is "self." for attributes and "" for local variables."""

    def ref(name: str) -> str:
        return prefix + name if prefix else local(name)

    match rule:
        case Aligned(field=field, level=level):
            return f"{ref(field)} & ((1 << {ref(level)}) - 1)"
        case NotBelow(field=field, other=other):
            return f"{ref(field)} < {ref(other)}"
        case MemberOf(field=field, sequence=sequence):
            return f"{ref(field)} not in {ref(sequence)}"
        case ZeroUnless(field=field, other=other, values=values):
            return f"{ref(field)} and {ref(other)} not in {tuple(int(v) for v in values)}"
        case LengthBy(field=field, other=other):
            return f"{lengths_name(title, rule)}.get({ref(other)}, len({ref(field)})) != len({ref(field)})"
        case EndsBy(field=field, count=count, last=last):
            return f"{ref(field)} + {ref(count)} - 1 > {last}"
        case NotAllEmpty(field=field, other=other):
            return f"not {ref(field)} and not {ref(other)}"


def lengths_name(title: str, rule: LengthBy) -> str:
    return f"_{constant_name(title)}_{rule.field.upper()}_LENGTHS"


def text_broken(rule: NoControls | Characters | RelativePath, text: str, raw: str) -> str:
    match rule:
        case NoControls():
            return f"_CONTROLS.search({text})"
        case Characters():
            return f"not {charset_name(rule)}.fullmatch({text})"
        case RelativePath():
            return f"not _PATH.fullmatch({raw})"


def charset_name(rule: Characters) -> str:
    """A name for the pattern of a charset; there is one in the protocol."""
    return "_NAME"


def patterns(messages: Iterable[MessageForm]) -> Iterator[str]:
    """Definitions of the patterns that the messages' texts need."""
    rules = {
        field.form.text: None
        for message in messages
        for field in message.fields
        if isinstance(field.form, VariableBytes) and field.form.text is not None
    }
    names: set[str] = set()
    for rule in rules:
        match rule:
            case NoControls():
                name, line = "_CONTROLS", r're.compile("[\x00-\x1f\x7f-\x9f]")'
            case Characters(allowed=allowed):
                name, line = charset_name(rule), f're.compile("[{allowed}]*")'
            case RelativePath(components=components, component=size):
                # On bytes, since a component's limit counts bytes; bytes of 0x80 and above are never part of ASCII.
                part = r"(?!\.\.?(?:/|\Z))[^\x00-\x1f\x7f/\\]" + f"{{1,{size}}}"
                name, line = "_PATH", f're.compile(\n    rb"{part}(?:/{part}){{0,{components - 1}}}"\n)'
        if name in names:
            raise f.UnknownConstructError(f"two patterns would be named {name}")
        names.add(name)
        yield f"{name}: Final = {line}"


# --- Decoding ------------------------------------------------------------------------------------------------------


def run_items(fields: Iterable[Field]) -> tuple[list[Field], list[Field]]:
    """The longest beginning of fixed size (with the prefix of the field after it), and what is left."""
    fields = list(fields)
    for index, field in enumerate(fields):
        if field.fixed_size is None:
            return fields[:index], fields[index:]
    return fields, []


def struct_code(field: Field) -> str:
    match field.form:
        case Number(size=size):
            return _FORMATS[size]
        case FixedBytes(length=length):
            return f"{length}s"
        case Constant(value=value):
            return f"{len(value)}s"
    raise f.UnknownConstructError(f"{field.name} has no fixed size")


class Run:
    """Neighbouring fields of fixed size, read and written by one Struct."""

    def __init__(self, fields: list[Field], after: Field | None) -> None:
        self.fields = fields
        self.prefix: Number | None = None
        self.after = after
        if after is not None and after.condition is None and isinstance(after.form, VariableBytes | Sequence):
            self.prefix = after.form.prefix
        self.codes = [struct_code(field) for field in fields]
        if self.prefix is not None:
            self.codes.append(_FORMATS[self.prefix.size])
        self.size = sum(field.fixed_size or 0 for field in fields) + (self.prefix.size if self.prefix else 0)

    @property
    def format(self) -> str:
        return ">" + "".join(self.codes)

    @property
    def names(self) -> list[str]:
        """Of the fields, and of the length or count at the end."""
        names = [field.name for field in self.fields]
        if self.prefix is not None and self.after is not None:
            names.append(prefix_name(self.after))
        return names

    def locals(self) -> list[str]:
        return [local(name) for name in self.names]

    def sizes(self) -> list[str]:
        sizes = [f"{field.name}={field.fixed_size}" for field in self.fields]
        if self.prefix is not None and self.after is not None:
            sizes.append(f"{prefix_name(self.after)}={self.prefix.size}")
        return sizes


class MessageWriter:
    """Writes the class of one message."""

    def __init__(self, message: MessageForm, elements: dict[str, MessageForm], kinds: dict[str, int]) -> None:
        self.message = message
        self.title = message.title
        self.name = constant_name(message.title)
        self.elements = elements
        self.kind = kinds.get(message.title)
        self.out = Lines()
        self._structs: dict[str, str] = {}
        self._places: dict[str, At] = {}
        self._read: set[str] = set()
        self._checked: list[MessageRule] = []

    # --- the parts of the class ---

    def write(self) -> list[str]:
        body = self._class()
        constants = [f'{name}: Final = struct.Struct("{code}")' for code, name in self._structs.items()]
        for rule in self.message.rules:
            if isinstance(rule, LengthBy):
                pairs = ", ".join(f"{int(key)}: {length}" for key, length in rule.lengths.items())
                constants.append(f"{lengths_name(self.title, rule)}: Final = {{{pairs}}}")
        return ["", *constants, "", "", *body] if constants else ["", *body]

    def struct(self, code: str, role: str) -> str:
        """The name of the Struct with this format; the first is named for the message, others for their role too."""
        if code not in self._structs:
            self._structs[code] = f"_{self.name}_{role.upper()}" if self._structs else f"_{self.name}"
        return self._structs[code]

    def _class(self) -> list[str]:
        out, message = self.out, self.message
        out("@attrs.frozen")
        out(f"class {self.title}:")
        with out.indent():
            out.call('"""', [message.text], "")
            out()
            for line in layout_lines(message):
                out(line)
            out('"""')
            out()
            if message.frame_type is not None:
                out(f"TYPE: ClassVar[int] = 0x{message.frame_type:02X}")
                out()
            if self.kind is not None:
                out(f"KIND: ClassVar[int] = 0x{self.kind:02X}")
                out()
            for field in message.fields:
                if not isinstance(field.form, Constant):
                    self._attribute(field)
            out()
            if message.fixed_size is not None:
                self._fixed()
            else:
                self._variable()
        return out.lines

    def _attribute(self, field: Field) -> None:
        shown = isinstance(field.form, VariableBytes) and field.form.view
        default = " = attrs.field(repr=_size)" if shown else ""
        self.out(f"{field.name}: {python_type(field)}{default}")
        text = field.text[0].upper() + field.text[1:]
        limit = limit_text(field)
        unit = f", in {field.unit}" if field.unit else ""
        doc = f"{text}{unit}{f' ({limit})' if limit else ''}."
        for line in textwrap.wrap(f'"""{doc}"""', WIDTH - 4):
            self.out(line)

    # --- messages of one size ---

    def _fixed(self) -> None:
        out, message = self.out, self.message
        fields = list(message.fields)
        run = Run(fields, None)
        name = self.struct(run.format, "")
        out("@classmethod")
        out(f"def decode(cls, data: Buffer) -> {self.title}:")
        with out.indent():
            out(f'"""The message that fills `data` exactly ({run.size} bytes). Raises `DecodeError`."""')
            out("try:")
            with out.indent():
                self._unpack(run, f"{name}.unpack(data)")
            out("except struct.error:")
            with out.indent():
                out.call("raise _wrong_size(", [f'"{self.title}"', "len(data)", *run.sizes()], ") from None")
            self._check_run(run, At())
            self._check_rules(At())
            self._return()
        self._fixed_encode(run, name)

    def _fixed_encode(self, run: Run, name: str) -> None:
        out, message = self.out, self.message
        checks = Lines()
        checks.deeper(2)
        self._encode_checks(checks)
        if checks.lines:
            out()
            out("def _check(self) -> None:")
            out.lines.extend(checks.lines)
        values = [encoded_value(field) for field in run.fields]
        out()
        out("def encode(self) -> bytes:")
        with out.indent():
            out('"""The message\'s bytes. Raises `EncodeError`."""')
            self._pack(bool(checks.lines), name, values, run)
        if message.frame_type is None:
            return
        frame = self.struct(">BH" + run.format[1:], "frame")
        out()
        out("def encode_frame(self) -> bytes:")
        with out.indent():
            out('"""The whole frame: type, length and body. Raises `EncodeError`."""')
            self._pack(bool(checks.lines), frame, [f"0x{message.frame_type:02X}", str(run.size), *values], run)

    def _pack(self, check: bool, name: str, values: list[str], run: Run) -> None:
        out = self.out
        if check:
            out("self._check()")
        out("try:")
        with out.indent():
            out.call(f"return {name}.pack(", values)
        out("except struct.error:")
        with out.indent():
            out.call("raise _unpackable(", ["self", *bit_sizes(run.fields)], ") from None")

    # --- messages of many sizes ---

    def _variable(self) -> None:
        out, message = self.out, self.message
        reads = message.delimits_itself and message.frame_type is None
        out("@classmethod")
        if reads:
            out(f"def read(cls, data: Buffer, at: int = 0) -> tuple[{self.title}, int]:")
            with out.indent():
                out('"""The message that begins at `at`, and where it ends. Raises `DecodeError`."""')
                end = self._decode_fields(At("at"))
                self._return(str(end))
            out()
            out("@classmethod")
            out(f"def decode(cls, data: Buffer) -> {self.title}:")
            with out.indent():
                out('"""The message that fills `data` exactly. Raises `DecodeError`."""')
                self._check_size()
                out("message, end = cls.read(data)")
                out("if end != len(data):")
                with out.indent():
                    out(f'raise _trailing("{self.title}", end, len(data))')
                out("return message")
        else:
            out(f"def decode(cls, data: Buffer) -> {self.title}:")
            with out.indent():
                out('"""The message that fills `data` exactly. Raises `DecodeError`."""')
                self._check_size()
                end = self._decode_fields(At())
                if message.delimits_itself:
                    out(f"if {end} != len(data):")
                    with out.indent():
                        out(f'raise _trailing("{self.title}", {end}, len(data))')
                self._return()
        self._variable_encode()

    def _check_size(self) -> None:
        low, high = self.message.natural_range
        least, most = self.message.size_range
        if most < high or least > low:
            condition = f"len(data) > {most}" if least <= low else f"not {least} <= len(data) <= {most}"
            self.out(f"if {condition}:")
            with self.out.indent():
                self.out(f'raise DecodeError("{self.title}", "", len(data), "{least}..{most} bytes", 0)')

    def _decode_fields(self, at: At) -> At:
        """Reads and checks all fields from `at` on; gives the end."""
        left = list(self.message.fields)
        while left:
            fields, left = run_items(left)
            run = Run(fields, left[0] if left else None)
            if run.codes:
                self._read_run(run, at)
                self._check_run(run, at)
                self._check_rules(at)
                at = at.plus(run.size)
            if left:
                field = left.pop(0)
                self._places[field.name] = at
                end = self._read_variable(field, at)
                self._check_rules(at)
                at = self._move(end) if left and end.variable == "end" else end
        return at

    def _move(self, to: At) -> At:
        """Sets the variable `at`; places told by its old value are places no longer."""
        if str(to) != "at":
            self.out(f"at = {to}")
            self._places = {name: place for name, place in self._places.items() if place.variable != "at"}
        return At("at")

    def _check_rules(self, at: At) -> None:
        """Checks the rules between fields that have all been read by now and were not checked before."""
        for rule in self.message.rules:
            if rule not in self._checked and rule_fields(rule) <= self._read:
                self._checked.append(rule)
                condition, place = message_broken(rule, self.title, ""), self._places.get(rule.field, at)
                self._raise(condition, rule.field, local(rule.field), rule.limit, place)

    def _read_run(self, run: Run, at: At) -> None:
        out = self.out
        out("try:")
        with out.indent():
            place = f", {at}" if str(at) != "0" else ""
            self._unpack(run, f"{self.struct(run.format, run.names[0])}.unpack_from(data{place})")
        out("except struct.error:")
        with out.indent():
            out.call("raise _truncated(", [f'"{self.title}"', str(at), "len(data)", *run.sizes()], ") from None")

    def _unpack(self, run: Run, source: str) -> None:
        names = run.locals()
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
                    self._raise(f"{name} != {bytes_literal(value)}", field.name, name, f"{value.hex(' ')}", at)
            at = at.plus(field.fixed_size or 0)
        if run.prefix is not None and run.after is not None:
            form, name = run.after.form, prefix_name(run.after)
            assert isinstance(form, VariableBytes | Sequence)
            self._check_extent(form, run.prefix, name, at)

    def _check_extent(self, form: VariableBytes | Sequence, prefix: Number, name: str, at: At) -> None:
        extent = attrs.evolve(prefix, minimum=form.minimum, maximum=min(form.maximum, prefix.maximum))
        for condition, limit in number_broken(extent, name):
            self._raise(condition, name, name, limit, at)

    def _raise(self, condition: str, field: str, value: str, limit: str, at: At) -> None:
        self.out(f"if {condition}:")
        with self.out.indent():
            self.out.call("raise DecodeError(", [f'"{self.title}"', f'"{field}"', value, f'"{limit}"', str(at)])

    def _return(self, end: str = "") -> None:
        names = [decoded_value(field) for field in self.message.fields if not isinstance(field.form, Constant)]
        if end:
            self.out.call("return cls(", names, f"), {end}")
        else:
            self.out.call("return cls(", names)

    # --- fields of many sizes ---

    def _read_variable(self, field: Field, at: At) -> At:
        self._read.add(field.name)
        if field.condition is not None:
            return self._read_conditional(field, at)
        match field.form:
            case VariableBytes(prefix=None) as form:
                return self._read_rest(field, form, at)
            case VariableBytes() as form:
                return self._read_sized(field, form, at)
            case Sequence(prefix=None) as form:
                return self._read_until_end(field, form, at)
            case Sequence() as form:
                return self._read_counted(field, form, at)
        raise f.UnknownConstructError(f"{self.title}.{field.name}")

    def _read_conditional(self, field: Field, at: At) -> At:
        out, condition = self.out, field.condition
        assert condition is not None
        at = self._move(at)
        plain = attrs.evolve(field, condition=None)
        run = Run([plain], None)
        name, absent = local(field.name), literal(condition.absent)
        out(f"{name} = {absent}")
        out(f"if {local(condition.other)} != {condition.absent_at}:")
        with out.indent():
            self._read_run(run, at)
            self._check_run(run, at)
            out(f"at += {run.size}")
        return at

    def _slice(self, at: At, end: str) -> str:
        if str(at) == "0":
            return f"data[:{end}]" if end else "data"
        if at.variable and at.offset:
            return f"data[{at} : {end}]" if end else f"data[{at} :]"
        return f"data[{at}:{end}]"

    def _read_rest(self, field: Field, form: VariableBytes, at: At) -> At:
        name = local(field.name)
        size = f"len(data) - {at}" if at.offset else "len(data)"
        if form.minimum:
            self._raise(
                f"not {form.minimum} <= {size} <= {form.maximum}",
                field.name,
                size,
                f"{form.minimum}..{form.maximum} bytes",
                at,
            )
        else:
            self._raise(f"{size} > {form.maximum}", field.name, size, f"0..{form.maximum} bytes", at)
        if form.text is not None:
            self._read_text(field, form.text, self._slice(at, ""), at)
        elif form.view:
            self.out(f"{name} = {self._slice(at, '').replace('data', 'memoryview(data)')}")
        else:
            self.out(f"{name} = bytes({self._slice(at, '')})")
        return At("len(data)")

    def _read_sized(self, field: Field, form: VariableBytes, at: At) -> At:
        out, name, length = self.out, local(field.name), prefix_name(field)
        out(f"end = {at} + {length}")
        out("if end > len(data):")
        with out.indent():
            out.call("raise _truncated(", [f'"{self.title}"', str(at), "len(data)", f"{field.name}={length}"])
        if form.text is not None:
            self._read_text(field, form.text, self._slice(at, "end"), at)
        else:
            out(f"{name} = bytes({self._slice(at, 'end')})")
        return At("end")

    def _read_text(self, field: Field, rule: NoControls | Characters | RelativePath, source: str, at: At) -> None:
        out, name = self.out, local(field.name)
        out(f"raw = bytes({source})")
        out("try:")
        with out.indent():
            out(f'{name} = raw.decode("utf-8")')
        out("except UnicodeDecodeError:")
        with out.indent():
            out.call(
                "raise DecodeError(", [f'"{self.title}"', f'"{field.name}"', "raw", '"UTF-8"', str(at)], ") from None"
            )
        self._raise(text_broken(rule, name, "raw"), field.name, name, rule.limit, at)

    def _read_counted(self, field: Field, form: Sequence, at: At) -> At:
        out, name, count = self.out, local(field.name), prefix_name(field)
        element = form.element
        size = f.element_size(element)[0] if not isinstance(element, MessageForm) else element.fixed_size
        if size is not None:
            total = f"{size} * {count}"
            out(f"end = {at} + {total}")
            out("if end > len(data):")
            with out.indent():
                out.call("raise _truncated(", [f'"{self.title}"', str(at), "len(data)", f"{field.name}={total}"])
            self._read_fixed_elements(name, element, count, at)
            self._check_sequence(field, form, at)
            return At("end")
        assert isinstance(element, MessageForm)
        self._move(at)
        out(f"{name}_list: list[{element.title}] = []")
        out(f"for _ in range({count}):")
        with out.indent():
            self._read_element(field, element, f"{name}_list")
        out(f"{name} = tuple({name}_list)")
        self._check_sequence(field, form, At("at"))
        return At("at")

    def _read_until_end(self, field: Field, form: Sequence, at: At) -> At:
        out, name, element = self.out, local(field.name), form.element
        assert isinstance(element, MessageForm)
        self._move(at)
        out(f"{name}_list: list[{element.title}] = []")
        out("while at < len(data):")
        with out.indent():
            self._read_element(field, element, f"{name}_list")
        out(f"{name} = tuple({name}_list)")
        self._raise(f"len({name}) > {form.maximum}", field.name, f"len({name})", f"at most {form.maximum} elements", at)
        self._check_sequence(field, form, at)
        return At("len(data)")

    def _read_element(self, field: Field, element: MessageForm, into: str) -> None:
        out = self.out
        out("try:")
        with out.indent():
            out(f"element, at = {element.title}.read(data, at)")
        out("except DecodeError as error:")
        with out.indent():
            out(f'raise error.within("{self.title}", f"{field.name}[{{len({into})}}]") from None')
        out(f"{into}.append(element)")

    def _read_fixed_elements(self, name: str, element: Number | FixedBytes | MessageForm, count: str, at: At) -> None:
        out = self.out
        match element:
            case Number(size=size):
                out(f'{name} = struct.unpack_from(f">{{{count}}}{_FORMATS[size]}", data, {at})')
            case FixedBytes(length=length):
                out(f'{name} = struct.unpack_from("{length}s" * {count}, data, {at})')
            case MessageForm():
                run = Run(list(element.fields), None)
                names = ", ".join(run.locals())
                out(f"{name}_list: list[{element.title}] = []")
                view = self._slice(at, "end").replace("data", "memoryview(data)")
                source = f"_{constant_name(element.title)}.iter_unpack({view})"
                out(f"for {names} in {source}:")
                with out.indent():
                    for rule in element.rules:
                        index = f"{{len({name}_list)}}"
                        out(f"if {message_broken(rule, element.title, '')}:")
                        with out.indent():
                            out.call(
                                "raise DecodeError(",
                                [
                                    f'"{self.title}"',
                                    f'f"{name}[{index}].{rule.field}"',
                                    local(rule.field),
                                    f'"{rule.limit}"',
                                    f"{at} + {element.fixed_size} * len({name}_list)",
                                ],
                            )
                    out(f"{name}_list.append({element.title}({names}))")
                out(f"{name} = tuple({name}_list)")

    def _check_sequence(self, field: Field, form: Sequence, at: At) -> None:
        for rule in form.rules:
            self._raise(sequence_broken(rule, local(field.name)), field.name, local(field.name), rule.limit, at)

    # --- encoding ---

    def _encode_checks(self, out: Lines) -> None:
        for field in self.message.fields:
            value = f"self.{field.name}"
            match field.form:
                case Number() as number if field.condition is None:
                    for condition, limit in number_broken(number, value):
                        self._refuse(out, condition, field.name, value, limit)
                case FixedBytes(length=length) if field.condition is None:
                    self._refuse(out, f"len({value}) != {length}", field.name, value, f"{length} bytes")
                case VariableBytes(text=None) as form:
                    self._refuse_extent(out, f"len({value})", form, field.name, f"len({value})", "bytes")
                case Sequence() as form:
                    self._refuse_extent(out, f"len({value})", form, field.name, f"len({value})", "elements")
                    if isinstance(form.element, FixedBytes):
                        condition = f"any(len(e) != {form.element.length} for e in {value})"
                        self._refuse(out, condition, field.name, value, f"of {form.element.length} bytes each")
                    for rule in form.rules:
                        self._refuse(out, sequence_broken(rule, value), field.name, value, rule.limit)
        for message_rule in self.message.rules:
            condition = message_broken(message_rule, self.title, "self.")
            self._refuse(out, condition, message_rule.field, f"self.{message_rule.field}", message_rule.limit)

    def _refuse_extent(
        self, out: Lines, size: str, form: VariableBytes | Sequence, field: str, value: str, what: str
    ) -> None:
        condition = f"not {form.minimum} <= {size} <= {form.maximum}" if form.minimum else f"{size} > {form.maximum}"
        self._refuse(out, condition, field, value, f"{form.minimum}..{form.maximum} {what}")

    def _refuse(self, out: Lines, condition: str, field: str, value: str, limit: str) -> None:
        out(f"if {condition}:")
        with out.indent():
            out.call("raise EncodeError(", [f'"{self.title}"', f'"{field}"', value, f'"{limit}"'])

    def _variable_encode(self) -> None:
        out, message = self.out, self.message
        out()
        out("def _parts(self) -> list[Buffer]:")
        with out.indent():
            self._encode_checks(out)
            self._encode_texts()
            if any(field.condition is not None for field in message.fields):
                self._encode_conditional()
            else:
                self._encode_parts(message.fields)
        out()
        out("def encode(self) -> bytes:")
        with out.indent():
            out('"""The message\'s bytes. Raises `EncodeError`."""')
            self._join("self._parts()", message.size_range, message.natural_range)
        if message.frame_type is None:
            return
        out()
        out("def encode_frame(self) -> bytes:")
        with out.indent():
            out('"""The whole frame: type, length and body. Raises `EncodeError`."""')
            out("parts = self._parts()")
            out("size = sum(map(len, parts))")
            least, most = message.size_range
            if most < message.natural_range[1]:
                self._refuse(out, f"size > {most}", "", "size", f"{least}..{most} bytes")
            out(f'return b"".join((_FRAME_HEADER.pack(0x{message.frame_type:02X}, size), *parts))')

    def _join(self, parts: str, size: tuple[int, int], natural: tuple[int, int]) -> None:
        out = self.out
        if size == natural:
            out(f'return b"".join({parts})')
            return
        out(f'data = b"".join({parts})')
        condition = f"len(data) > {size[1]}" if size[0] <= natural[0] else f"not {size[0]} <= len(data) <= {size[1]}"
        self._refuse(out, condition, "", "len(data)", f"{size[0]}..{size[1]} bytes")
        out("return data")

    def _encode_texts(self) -> None:
        out = self.out
        for field in self.message.fields:
            if not isinstance(field.form, VariableBytes) or field.form.text is None:
                continue
            raw, value = f"{field.name}_raw", f"self.{field.name}"
            out("try:")
            with out.indent():
                out(f'{raw} = {value}.encode("utf-8")')
            out("except UnicodeEncodeError:")
            with out.indent():
                out.call(
                    "raise EncodeError(", [f'"{self.title}"', f'"{field.name}"', value, '"Unicode text"'], ") from None"
                )
            self._refuse_extent(out, f"len({raw})", field.form, field.name, value, "bytes of UTF-8")
            self._refuse(out, text_broken(field.form.text, value, raw), field.name, value, field.form.text.limit)

    def _encode_parts(self, fields: Iterable[Field], into: str = "return ") -> None:
        out = self.out
        left = list(fields)
        parts: list[tuple[str, list[str], str]] = []
        numbers: list[Field] = []
        while left:
            fields, left = run_items(left)
            run = Run(fields, left[0] if left else None)
            if run.codes:
                values = [encoded_value(field) for field in fields]
                if run.prefix is not None and run.after is not None:
                    values.append(f"len({part_source(run.after)})")
                parts.append((f"{self.struct(run.format, run.names[0])}.pack(", values, ")"))
                numbers.extend(fields)
            if left:
                field = left.pop(0)
                parts.append((self._part(field), [], ""))
                if isinstance(field.form, Sequence) and isinstance(field.form.element, Number):
                    numbers.append(field)
        if numbers:
            out("try:")
            with out.indent():
                out.nested(f"{into}[", parts, "]")
            out("except struct.error:")
            with out.indent():
                out.call("raise _unpackable(", ["self", *bit_sizes(numbers)], ") from None")
        else:
            out.nested(f"{into}[", parts, "]")

    def _part(self, field: Field) -> str:
        match field.form:
            case VariableBytes():
                return part_source(field)
            case Sequence(element=Number(size=size)):
                return f'struct.pack(f">{{len(self.{field.name})}}{_FORMATS[size]}", *self.{field.name})'
            case Sequence(element=FixedBytes()):
                return f"*self.{field.name}"
            case Sequence():
                return f"*(e.encode() for e in self.{field.name})"
        raise f.UnknownConstructError(f"{self.title}.{field.name}")

    def _encode_conditional(self) -> None:
        """Fields that may be absent come last and are of fixed size."""
        out = self.out
        always = [field for field in self.message.fields if field.condition is None]
        self._encode_parts(always, "parts: list[Buffer] = ")
        for field in self.message.fields:
            if field.condition is None:
                continue
            value, condition = f"self.{field.name}", field.condition
            plain = attrs.evolve(field, condition=None)
            run = Run([plain], None)
            out(f"if self.{condition.other} == {condition.absent_at}:")
            with out.indent():
                absent = literal(condition.absent)
                self._refuse(out, f"{value} != {absent}", field.name, value, absent_text(condition))
            out("else:")
            with out.indent():
                match plain.form:
                    case Number() as number:
                        for broken, limit in number_broken(number, value):
                            self._refuse(out, broken, field.name, value, limit)
                    case FixedBytes(length=length):
                        self._refuse(out, f"len({value}) != {length}", field.name, value, f"{length} bytes")
                out("try:")
                with out.indent():
                    out(f"parts.append({self.struct(run.format, run.names[0])}.pack({value}))")
                out("except struct.error:")
                with out.indent():
                    out.call("raise _unpackable(", ["self", *bit_sizes([plain])], ") from None")
        out("return parts")


def absent_text(condition: f.Condition) -> str:
    value = "zero bytes" if isinstance(condition.absent, bytes) else str(condition.absent)
    return f"{value} if {condition.other} is {condition.absent_at}"


def part_source(field: Field) -> str:
    if isinstance(field.form, VariableBytes) and field.form.text is not None:
        return f"{field.name}_raw"
    return f"self.{field.name}"


def rule_fields(rule: MessageRule) -> set[str]:
    """The fields that a rule speaks of."""
    match rule:
        case (
            Aligned(field=field, level=other) | EndsBy(field=field, count=other) | MemberOf(field=field, sequence=other)
        ):
            return {field, other}
        case NotBelow() | ZeroUnless() | LengthBy() | NotAllEmpty():
            return {rule.field, rule.other}


def decoded_value(field: Field) -> str:
    if isinstance(field.form, Number) and field.form.boolean:
        return f"bool({local(field.name)})"
    return local(field.name)


def encoded_value(field: Field) -> str:
    if isinstance(field.form, Constant):
        return bytes_literal(field.form.value)
    return f"self.{field.name}"


def bit_sizes(fields: Iterable[Field]) -> list[str]:
    """`name=bits` of each number (0 for bytes), for the error that names the culprit."""
    sizes = []
    for field in fields:
        match field.form:
            case Number(size=size) | Sequence(element=Number(size=size)):
                sizes.append(f"{field.name}={8 * size}")
            case FixedBytes():
                sizes.append(f"{field.name}=0")
    return sizes


def literal(value: int | bytes) -> str:
    if isinstance(value, bytes):
        return bytes_literal(value)
    return str(value)


def bytes_literal(value: bytes) -> str:
    if not any(value):
        return f"bytes({len(value)})"
    text = "".join(chr(b) if 0x20 <= b < 0x7F and b not in b'"\\' else f"\\x{b:02x}" for b in value)
    return f'b"{text}"'


def python_type(field: Field) -> str:
    match field.form:
        case Number(boolean=True):
            return "bool"
        case Number():
            return "int"
        case FixedBytes():
            return "bytes"
        case VariableBytes(view=True):
            return "Buffer"
        case VariableBytes(text=None):
            return "bytes"
        case VariableBytes():
            return "str"
        case Sequence(element=Number()):
            return "tuple[int, ...]"
        case Sequence(element=FixedBytes()):
            return "tuple[bytes, ...]"
        case Sequence(element=MessageForm(title=title)):
            return f"tuple[{title}, ...]"
    raise f.UnknownConstructError(field.name)


def limit_text(field: Field) -> str:
    """The field's limits in words; empty if its type says all."""
    match field.form:
        case Number(boolean=True):
            return ""
        case Number() as number:
            parts = [] if number.natural else [number_limit(number)]
            if number.names is not None:
                parts.append(number.names.__name__)
            if not number.grease:
                parts.append("no GREASE value")
            return "; ".join(parts)
        case FixedBytes(length=length):
            return f"{length} bytes"
        case VariableBytes() as form:
            size = f"{form.minimum}..{form.maximum} bytes"
            return f"{size} of UTF-8, {form.text.limit}" if form.text is not None else size
        case Sequence() as sequence:
            rules = "".join(f", {rule.limit}" for rule in sequence.rules)
            size = f", {sequence.element.length} bytes each" if isinstance(sequence.element, FixedBytes) else ""
            return f"{sequence.minimum}..{sequence.maximum} elements{size}{rules}"
    return ""


def layout(message: MessageForm) -> list[str]:
    """The message's bytes in the notation of the specification, a string per field."""
    parts = []
    for field in message.fields:
        match field.form:
            case Number() as number:
                text = f"{field.name} {number.type}"
            case FixedBytes(length=length):
                text = f"{field.name}[{length}]"
            case Constant(value=value):
                text = value.hex(" ").upper()
            case VariableBytes(prefix=None):
                text = f"{field.name} (to the end)"
            case VariableBytes(prefix=Number() as prefix):
                text = f"{prefix_name(field)} {prefix.type} | {field.name}"
            case Sequence(prefix=prefix, element=element):
                match element:
                    case Number():
                        each = f"{field.name} {element.type}"
                    case FixedBytes():
                        each = f"{field.name}[{element.length}]"
                    case MessageForm():
                        each = f"{field.name} {element.title}"
                text = (
                    f"{each}*"
                    if prefix is None
                    else f"{prefix_name(field)} {prefix.type} | {each} × {prefix_name(field)}"
                )
        if field.condition is not None:
            text = f"[{text} unless {field.condition.other} = {field.condition.absent_at}]"
        parts.append(text)
    return parts


def layout_lines(message: MessageForm) -> list[str]:
    """The layout wrapped for a docstring."""
    lines: list[str] = []
    line = "Bytes: `"
    for index, part in enumerate(layout(message)):
        piece = part if index == 0 else f" | {part}"
        if len(line) + len(piece) > WIDTH - 10:
            lines.append(line)
            line, piece = " " * 8, piece.lstrip()
        line += piece
    return [*lines, f"{line}`"]


def messages_module() -> str:
    """The text of `wire/messages.py`."""
    elements = {message.title: message for message in f.MESSAGES}
    kinds = {body.title: int(kind) for kind, body in schema.PREAMBLES.items()}
    lines = [PROLOGUE.rstrip("\n"), "", ""]
    lines.extend(patterns(f.MESSAGES))
    for message in f.MESSAGES:
        lines.extend(["", *MessageWriter(message, elements, kinds).write()])
    lines.extend(["", *_epilogue()])
    return "\n".join(lines).rstrip("\n") + "\n"


def _epilogue() -> list[str]:
    out = Lines()
    frames = [message for message in f.MESSAGES if message.frame_type is not None]
    bodies = [body.title for body in schema.PREAMBLES.values()]
    out()
    out("Frame: TypeAlias = (")
    with out.indent():
        out(frames[0].title)
        for frame in frames[1:]:
            out(f"| {frame.title}")
    out(")")
    out('"""The body of any frame."""')
    out()
    out("FRAMES: Final[Mapping[int, type[Frame]]] = MappingProxyType(")
    with out.indent():
        out("{")
        with out.indent():
            for frame in frames:
                out(f"0x{frame.frame_type:02X}: {frame.title},")
        out("}")
    out(")")
    out('"""The class of each frame type."""')
    out()
    out(f"PreambleBody: TypeAlias = {' | '.join(bodies)}")
    out('"""The body of any preamble."""')
    out()
    out("PREAMBLES: Final[Mapping[int, type[PreambleBody]]] = MappingProxyType(")
    with out.indent():
        out("{" + ", ".join(f"0x{int(kind):02X}: {body.title}" for kind, body in schema.PREAMBLES.items()) + "}")
    out(")")
    out('"""The class of each kind of preamble."""')
    out.lines.extend(EPILOGUE.split("\n"))
    return out.lines


EPILOGUE: Final = '''
_DECODERS: Final[Mapping[int, Callable[[Buffer], Frame]]] = {number: frame.decode for number, frame in FRAMES.items()}


def decode_frame(frame_type: int, body: Buffer) -> Frame:
    """The frame of a type that is in FRAMES, from its body. Raises `DecodeError`."""
    return _DECODERS[frame_type](body)


def encode_preamble(body: PreambleBody) -> bytes:
    """The whole preamble: header and body. Raises `EncodeError`."""
    data = body.encode()
    return PreambleHeader(body.KIND, len(data)).encode() + data'''
