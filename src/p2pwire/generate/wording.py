"""How fields are worded: names, layouts and limits, the same in code, tables and explanations."""

from __future__ import annotations

from collections.abc import Iterator

from p2pwire.generate.form import Constant, Field, FixedBytes, MessageForm, Number, Sequence, VariableBytes


def constant_name(title: str) -> str:
    """PeerRecord -> PEER_RECORD."""
    return "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(title)).upper()


def filter_name(message: MessageForm, row: str) -> str:
    """What a dissector calls a field, or the length or count before one: p2pwire.peer_record.sequence."""
    return f"p2pwire.{constant_name(message.title).lower()}.{row}"


def prefix_name(field: Field) -> str:
    """The name of the length or count before a field."""
    return f"{field.name}_{'count' if isinstance(field.form, Sequence) else 'length'}"


def number_text(number: int) -> str:
    """A number; large powers of two as such."""
    power = number.bit_length() - 1
    return f"2^{power}" if power >= 20 and number == 1 << power else str(number)


def range_limit(minimum: int, maximum: int) -> str:
    return number_text(minimum) if minimum == maximum else f"{number_text(minimum)}..{number_text(maximum)}"


def number_limits(number: Number) -> Iterator[str]:
    """What limits a number beyond its size."""
    if not number.natural and not number.boolean:
        yield range_limit(number.minimum, number.maximum)
    if number.names is not None:
        yield number.names.__name__
    if not number.grease:
        yield "no GREASE value"


def limit_text(field: Field) -> str:
    """The field's limits; empty if its type says all."""
    match field.form:
        case Number() as number:
            return "; ".join(number_limits(number))
        case FixedBytes(length=length):
            return f"{length} bytes"
        case Constant(value=value):
            return value.hex(" ").upper()
        case VariableBytes() as form:
            size = f"{range_limit(form.minimum, form.maximum)} bytes"
            return f"{size} of UTF-8, {form.text.limit}" if form.text is not None else size
        case Sequence() as sequence:
            rules = "".join(f", {rule.limit}" for rule in sequence.rules)
            size = f", {sequence.element.length} bytes each" if isinstance(sequence.element, FixedBytes) else ""
            return f"{range_limit(sequence.minimum, sequence.maximum)} elements{size}{rules}"


def element_layout(element: Number | FixedBytes | MessageForm, name: str) -> str:
    match element:
        case Number():
            return f"{name} {element.type}"
        case FixedBytes(length=length):
            return f"{name}[{length}]"
        case MessageForm(title=title):
            return f"{name} {title}"


def field_layout(field: Field) -> str:
    """The field's bytes in the notation of the specification."""
    match field.form:
        case Number() | FixedBytes() as form:
            text = element_layout(form, field.name)
        case Constant(value=value):
            text = value.hex(" ").upper()
        case VariableBytes(prefix=None):
            text = f"{field.name} (to the end)"
        case VariableBytes(prefix=Number() as prefix):
            text = f"{prefix_name(field)} {prefix.type} | {field.name}[{prefix_name(field)}]"
        case Sequence(prefix=None, element=element):
            text = f"{element_layout(element, field.name)}*"
        case Sequence(prefix=Number() as prefix, element=element):
            each = element_layout(element, field.name)
            text = f"{prefix_name(field)} {prefix.type} | {each} × {prefix_name(field)}"
    if field.condition is not None:
        return f"[{text} unless {field.condition.other} = {field.condition.absent_at}]"
    return text


def layout(message: MessageForm) -> list[str]:
    """The message's bytes in the notation of the specification, a string per field."""
    return [field_layout(field) for field in message.fields]
