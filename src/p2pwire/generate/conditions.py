"""Rules as Python: expressions that are true when a rule is broken, and what they need defined."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from p2pwire.generate.form import MessageForm, Number, UnknownConstructError, VariableBytes
from p2pwire.generate.wording import constant_name, range_limit
from p2pwire.wire.constructs import KnownValues, SequenceRule
from p2pwire.wire.rules import (
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
    TextRule,
    Unique,
    UniqueKey,
    ZeroUnless,
)

_RESERVED: Final = frozenset({"at", "begin", "cls", "data", "element", "end", "error", "here", "raw", "self"})


def local(name: str) -> str:
    """The name of a local variable for a field."""
    return f"{name}_" if name in _RESERVED or keyword.iskeyword(name) or hasattr(builtins, name) else name


def attribute(name: str) -> str:
    return f"self.{name}"


def number_broken(number: Number, value: str, *, read: bool = True) -> Iterator[tuple[str, str]]:
    """(condition, limit) for each limit beyond what the size itself holds; a number that was `read` keeps its size."""
    if not number.natural:
        if number.minimum == number.maximum:
            condition = f"{value} != {number.minimum}"
        elif not read:
            condition = f"not {number.minimum} <= {value} <= {number.maximum}"
        elif number.minimum == 0:
            condition = f"{value} > {number.maximum}"
        elif number.maximum == 256**number.size - 1:
            condition = f"{value} < {number.minimum}"
        else:
            condition = f"not {number.minimum} <= {value} <= {number.maximum}"
        yield condition, range_limit(number.minimum, number.maximum)
    if not number.grease:
        yield f"{value} & 0x0F0F == 0x0A0A", "no GREASE value"


def size_broken(size: str, minimum: int, maximum: int) -> str:
    return f"not {minimum} <= {size} <= {maximum}" if minimum else f"{size} > {maximum}"


def sequence_broken(rule: SequenceRule, value: str) -> str | None:
    """None for a rule that is checked element by element. Where elements ascend, at most one is the common case."""
    match rule:
        case Unique():
            return f"len(set({value})) != len({value})"
        case UniqueKey(key=key):
            return f"len({{e.{key} for e in {value}}}) != len({value})"
        case AscendingKey(key=key):
            return f"len({value}) > 1 and any(a.{key} >= b.{key} for a, b in pairwise({value}))"
        case AscendingSpans():
            return f"len({value}) > 1 and any(a.last >= b.first for a, b in pairwise({value}))"
        case DisjointRanges():
            taken = f"{{t for e in {value} for t in range(e.base, e.base + e.count)}}"
            return f"sum(e.count for e in {value}) > len({taken})"
        case KnownValues():
            return None


def message_broken(rule: MessageRule, title: str, ref: Callable[[str], str]) -> str:
    """`ref` gives the expression for a field."""
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


def rule_fields(rule: MessageRule) -> set[str]:
    """The fields that a rule speaks of."""
    match rule:
        case Aligned(level=other) | EndsBy(count=other) | MemberOf(sequence=other):
            return {rule.field, other}
        case NotBelow() | ZeroUnless() | LengthBy() | NotAllEmpty():
            return {rule.field, rule.other}


def text_broken(rule: TextRule, text: str, raw: str) -> str:
    match rule:
        case NoControls():
            # What can be printed has no controls, and is known to in a fraction of the time.
            return f"not {text}.isprintable() and _CONTROLS.search({text})"
        case Characters():
            return f"not _NAME.fullmatch({text})"
        case RelativePath():
            return f"not _PATH.fullmatch({raw})"


def lengths_name(title: str, rule: LengthBy) -> str:
    return f"_{constant_name(title)}_{rule.field.upper()}_LENGTHS"


def lengths_constants(message: MessageForm) -> Iterator[str]:
    for rule in message.rules:
        if isinstance(rule, LengthBy):
            pairs = ", ".join(f"{int(key)}: {length}" for key, length in rule.lengths.items())
            yield f"{lengths_name(message.title, rule)}: Final = {{{pairs}}}"


def patterns(messages: Iterable[MessageForm]) -> Iterator[str]:
    """Definitions of the patterns that the messages' texts need."""
    fields = [field.form for message in messages for field in message.fields]
    rules = {form.text for form in fields if isinstance(form, VariableBytes)} - {None}
    for kind in (NoControls, Characters, RelativePath):
        if sum(isinstance(rule, kind) for rule in rules) > 1:
            raise UnknownConstructError(f"two patterns would have one name: {rules}")
    for rule in sorted(rules, key=str):
        match rule:
            case NoControls():
                yield r'_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")'
            case Characters(allowed=allowed):
                yield f'_NAME: Final = re.compile("[{allowed}]*")'
            case RelativePath(components=components, component=size):
                # On bytes, since a component's limit counts bytes; no byte from 0x80 on is part of an ASCII character.
                part = r"(?!\.\.?(?:/|\Z))[^\x00-\x1f\x7f/\\]" + f"{{1,{size}}}"
                yield f'_PATH: Final = re.compile(\n    rb"{part}(?:/{part}){{0,{components - 1}}}"\n)'
