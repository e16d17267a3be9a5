"""The tables of the specification. A new one is a function here and its name in `TABLES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from p2pwire.generate import states
from p2pwire.generate.form import MESSAGES, MessageForm
from p2pwire.generate.markdown import table
from p2pwire.generate.registry import REGISTRY, Constant
from p2pwire.generate.rows import field_rows
from p2pwire.generate.wording import layout
from p2pwire.wire import schema
from p2pwire.wire.registry import FrameType, is_critical
from p2pwire.wire.rules import LengthBy

_BY_TITLE: Final = {message.title: message for message in MESSAGES}


def frames() -> str:
    """Every frame type with the layout of its body."""
    rows = []
    for message in MESSAGES:
        if message.frame_type is not None:
            kind = "critical" if is_critical(message.frame_type) else "ignorable"
            name, body = FrameType(message.frame_type).name, f"`{' | '.join(layout(message))}`"
            rows.append([f"0x{message.frame_type:02X}", name, kind, size_text(message), body, message.text])
    return table(["type", "frame", "kind", "body size", "body", "meaning"], rows)


def size_text(message: MessageForm) -> str:
    least, most = message.size_range
    return str(least) if least == most else f"{least}..{most}"


def fields(*titles: str) -> str:
    """The fields of some messages, one table each."""
    parts = []
    for title in titles:
        message = _BY_TITLE[title]
        rows = [
            [row.offset, f"`{row.name}`", row.type, row.limit, row.text + (f", in {row.unit}" if row.unit else "")]
            for row in field_rows(message)
        ]
        parts.append(f"**{heading(message)}**, {size_text(message)} bytes. {message.text}")
        parts.append(table(["offset", "field", "type", "limit", "meaning"], rows))
    return "\n\n".join(parts)


def heading(message: MessageForm) -> str:
    if message.frame_type is None:
        return message.title
    return f"{FrameType(message.frame_type).name} (0x{message.frame_type:02X})"


def values(name: str, *, width: int = 0) -> str:
    """An enumeration; `width` is that of hexadecimal values, 0 for decimal ones."""
    rows = [
        [f"0x{member.value:0{width}X}" if width else str(member.value), member.name, member.text]
        for member in REGISTRY.enumerations[name].members
    ]
    return table(["value", "name", "meaning"], rows)


def address_types() -> str:
    """Kinds of address with the size that the schema gives each."""
    rule = next(rule for rule in _BY_TITLE["Address"].rules if isinstance(rule, LengthBy))
    rows = [
        [str(member.value), member.name, str(rule.lengths[member.value]), member.text]
        for member in REGISTRY.enumerations["AddressType"].members
    ]
    return table(["value", "name", "size", "meaning"], rows)


def hello_tags() -> str:
    """Tags of HELLO with the message that each value is."""
    rows = []
    for member in REGISTRY.enumerations["HelloTag"].members:
        value = schema.HELLO_VALUES[member.value].title
        rows.append([str(member.value), member.name, f"`{value}`", member.text])
    return table(["tag", "name", "value", "meaning"], rows)


def constants(*sections: str) -> str:
    """The constants of some sections of the registry."""
    chosen = [constant for constant in REGISTRY.constants.values() if constant.section in sections]
    return table(["name", "value", "meaning"], [[f"`{c.name}`", value_text(c), c.text] for c in chosen])


def value_text(constant: Constant) -> str:
    """A value as people read it: powers of two are shown as such beside the number."""
    value = constant.value
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value)
    if isinstance(value, bytes):
        return f"`{value.hex(' ').upper()}`"
    if isinstance(value, float):
        return f"{value:g}"
    power = (value & -value).bit_length() - 1
    if power < 12:
        return str(value)
    if value >> power > 1:
        power -= power % 10
    factor = value >> power
    return f"{value} ({f'{factor} × ' if factor > 1 else ''}2^{power})"


def transcript(name: str) -> str:
    """A worked transcript."""
    # Not before it is wanted: it runs the protocol, whose messages this package may just have written anew.
    from p2pwire.generate.transcripts import TRANSCRIPTS

    return TRANSCRIPTS[name]()


TABLES: Final[Mapping[str, Callable[[], str]]] = {
    "messages": frames,
    "fields-preamble": partial(
        fields, "PreambleHeader", "InitiatorPreamble", "ResponderPreamble", "Refusal", "Parameter"
    ),
    "fields-handshake": partial(fields, "HandshakeHeader", "HandshakePayload"),
    "fields-frames": partial(
        fields,
        "RecordHeader",
        "FrameHeader",
        *("Hello", "HelloParameter", "Agent", "Extensions", "Extension", "Pad", "Close", "Ping", "Pong"),
        *("Join", "Refuse", "Leave", "Object", "Have", "Lost", "Span", "Interest", "Credit", "Suggest"),
        *("Request", "Data", "Reject", "Cancel", "Peers", "SharedRecord", "GetPeers"),
    ),
    "fields-record": partial(fields, "PeerRecord", "Address"),
    "fields-manifest": partial(fields, "ManifestHeader", "ManifestEntry"),
    "versions": partial(values, "Version", width=4),
    "suites": partial(values, "Suite", width=4),
    "refusal-reasons": partial(values, "RefusalReason"),
    "close-codes": partial(values, "CloseCode"),
    "reject-codes": partial(values, "RejectCode"),
    "object-kinds": partial(values, "ObjectKind"),
    "entry-types": partial(values, "EntryType"),
    "address-types": address_types,
    "hello-tags": hello_tags,
    "join-flags": partial(values, "JoinFlag"),
    "limits": partial(constants, "Sizes", "Counts on one link"),
    "budgets": partial(constants, "Budgets"),
    "exchange-limits": partial(constants, "Peer exchange"),
    "timers": partial(constants, "Times"),
    "link-states": states.link_states,
    "topic-states": states.topic_states,
    **{
        f"transcript-{name}": partial(transcript, name)
        for name in ("handshake", "join", "transfer", "manifest", "record", "uri")
    },
}
"""The writer of each table, by the name in its marker."""
