"""Hypothesis strategies for every message of the protocol, derived from its schema.

`message(Request)` gives valid REQUESTs, `frames()` any valid frame. Needs the package `hypothesis`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs
from hypothesis import strategies as st

from p2pwire.generate.form import (
    MESSAGES,
    Constant,
    FixedBytes,
    Form,
    MessageForm,
    Number,
    Sequence,
    VariableBytes,
)
from p2pwire.wire import messages
from p2pwire.wire.constructs import KnownValues, SequenceRule
from p2pwire.wire.registry import is_grease16
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

M = TypeVar("M")

_FEW: Final = 5  # elements of a sequence, mostly
_SHORT: Final = 40  # bytes of a value, mostly

FORMS: Final = {message.title: message for message in MESSAGES}
"""The form of each message by the name of its class."""


def message(kind: type[M]) -> st.SearchStrategy[M]:
    """Valid messages of a class of `p2pwire.wire.messages`."""
    return _messages(FORMS[kind.__name__])


def frames() -> st.SearchStrategy[messages.Frame]:
    """Valid frames of every type."""
    return st.one_of([message(kind) for kind in messages.FRAMES.values()])


def _messages(form: MessageForm) -> st.SearchStrategy[Any]:
    made: st.SearchStrategy[Any] = _message(form)
    if form.size_is_limited:
        return made.filter(lambda each: len(_unchecked(each)) <= form.size_range[1])
    return made


def _unchecked(made: Any) -> bytes:
    """The bytes of a message that may be too long as a whole."""
    return b"".join(made._parts())


@st.composite
def _message(draw: st.DrawFn, form: MessageForm) -> Any:
    values: dict[str, Any] = {}
    for field in form.fields:
        if isinstance(field.form, Constant):
            continue
        if field.condition is not None and values[field.condition.other] == field.condition.absent_at:
            values[field.name] = field.condition.absent
        else:
            values[field.name] = draw(_values(field.form))
    for rule in form.rules:
        _keep(draw, form, rule, values)
    return getattr(messages, form.title)(**values)


def _values(form: Form) -> st.SearchStrategy[Any]:
    match form:
        case Number() as number:
            return _numbers(number)
        case FixedBytes(length=length):
            return st.binary(min_size=length, max_size=length)
        case VariableBytes(text=None, minimum=minimum, maximum=maximum) as bytes_form:
            short = st.binary(min_size=minimum, max_size=min(maximum, minimum + _SHORT))
            # Only what goes to the message's end may be long: other fields would not leave each other room.
            return short if bytes_form.prefix is not None else st.one_of(short, st.just(bytes(maximum)))
        case VariableBytes(text=rule, minimum=minimum, maximum=maximum) if rule is not None:
            return _texts(rule, minimum, maximum)
        case Sequence() as sequence:
            return _sequences(sequence)
    raise TypeError(f"{form!r} has no values")


def _numbers(number: Number) -> st.SearchStrategy[int]:
    if number.boolean:
        return st.booleans()
    any_number = st.integers(number.minimum, number.maximum)
    if number.names is not None:
        any_number = st.one_of(st.sampled_from([int(member) for member in number.names]), any_number)
    return any_number if number.grease else any_number.filter(lambda value: not is_grease16(value))


def _texts(rule: TextRule, minimum: int, maximum: int) -> st.SearchStrategy[str]:
    def fits(text: str) -> bool:
        return minimum <= len(text.encode()) <= maximum

    match rule:
        case NoControls():
            return st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=maximum).filter(fits)
        case Characters():
            allowed = [chr(c) for c in range(0x80) if rule.fault(chr(c)) is None]
            return st.text(st.sampled_from(allowed), min_size=minimum, max_size=maximum)
        case RelativePath(components=most, component=size):
            characters = st.characters(min_codepoint=0x20, exclude_categories=["Cs"], exclude_characters="/\\\x7f")
            component = st.text(characters, min_size=1, max_size=8) | st.just("x" * size)
            named = component.filter(lambda name: name not in (".", ".."))
            return st.lists(named, min_size=1, max_size=most).map("/".join).filter(fits)


# --- Sequences ------------------------------------------------------------------------------------------------------


def _sequences(form: Sequence) -> st.SearchStrategy[tuple[Any, ...]]:
    element = _messages(form.element) if isinstance(form.element, MessageForm) else _values(form.element)
    unique_by: Callable[[Any], Any] | None = None
    for rule in form.rules:
        match rule:
            case Unique():
                unique_by = _itself
            case UniqueKey(key=key) | AscendingKey(key=key):
                unique_by = _getter(key)
    most = min(form.maximum, max(form.minimum, _FEW))
    lists = st.lists(element, min_size=form.minimum, max_size=most, unique_by=unique_by)
    return _kept(lists, form.rules)


@st.composite
def _kept(draw: st.DrawFn, lists: st.SearchStrategy[list[Any]], rules: tuple[SequenceRule, ...]) -> tuple[Any, ...]:
    elements = draw(lists)
    for rule in rules:
        match rule:
            case AscendingKey(key=key):
                elements = sorted(elements, key=_getter(key))
            case AscendingSpans():
                elements = _ascending_spans(draw, len(elements))
            case DisjointRanges():
                elements = _disjoint(elements)
            case KnownValues():
                elements = [_known(draw, rule, element) for element in elements]
    return tuple(elements)


def _itself(value: Any) -> Any:
    return value


def _getter(key: str) -> Callable[[Any], Any]:
    return lambda element: getattr(element, key)


def _ascending_spans(draw: st.DrawFn, count: int) -> list[messages.Span]:
    numbers = st.lists(st.integers(0, 0xFFFF), min_size=count, max_size=2 * count, unique=True)
    ends = sorted(draw(numbers))
    # Some spans have two ends of their own, the others are single units.
    wide = len(ends) - count
    spans = [messages.Span(ends[2 * i], ends[2 * i + 1]) for i in range(wide)]
    return spans + [messages.Span(end, end) for end in ends[2 * wide :]]


def _disjoint(entries: list[messages.Extension]) -> list[messages.Extension]:
    """Each range moved behind the one before; those for which there is no room are left out."""
    kept: list[messages.Extension] = []
    base = 0x80
    for entry in entries:
        if base + entry.count - 1 <= 0xFE:
            kept.append(attrs.evolve(entry, base=base))
            base += entry.count
    return kept


def _known(draw: st.DrawFn, rule: KnownValues, element: Any) -> Any:
    known = rule.messages.get(getattr(element, rule.key))
    if known is None:
        return element
    return attrs.evolve(element, **{rule.value: draw(_messages(FORMS[known.title])).encode()})


# --- Rules between fields -------------------------------------------------------------------------------------------


def _keep(draw: st.DrawFn, form: MessageForm, rule: MessageRule, values: dict[str, Any]) -> None:
    """Changes values so that they keep the rule."""
    match rule:
        case Aligned(field=field, level=level):
            values[field] = values[field] >> values[level] << values[level]
        case NotBelow(field=field, other=other):
            values[other], values[field] = sorted((values[other], values[field]))
        case MemberOf(field=field, sequence=sequence):
            others = [value for value in values[sequence] if value != values[field]]
            values[sequence] = tuple(draw(st.permutations([values[field], *others[:-1]])))
        case ZeroUnless(field=field, other=other, values=allowed):
            if values[other] not in allowed:
                values[field] = 0
        case LengthBy(field=field, other=other, lengths=lengths):
            size = lengths.get(values[other])
            if size is not None:
                values[field] = draw(st.binary(min_size=size, max_size=size))
        case EndsBy(field=field, count=count, last=last):
            values[field] = min(values[field], last - values[count] + 1)
        case NotAllEmpty(field=field, other=other):
            if not values[field] and not values[other]:
                inner = next(each.form for each in form.fields if each.name == other)
                values[other] = draw(_values(inner).filter(bool))
