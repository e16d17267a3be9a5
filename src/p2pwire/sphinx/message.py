"""The directive of a message: all that can be known of it, on one page."""

from __future__ import annotations

import importlib
import textwrap
from enum import Enum
from typing import Any, ClassVar, Final

from docutils import nodes
from docutils.parsers.rst import directives

from p2pwire.connection.state import LINK_TABLE, TOPIC_TABLE, Input, LinkInput, LinkState, TopicInput
from p2pwire.generate.describe import Row, describe_form
from p2pwire.generate.form import MessageForm
from p2pwire.generate.rows import field_rows
from p2pwire.generate.tables import size_text
from p2pwire.generate.wording import filter_name
from p2pwire.sphinx.directives import ProtocolDirective
from p2pwire.sphinx.machine import outcome_text
from p2pwire.sphinx.sources import MOST_BYTES, SourceError, Vector
from p2pwire.sphinx.tables import Cell, code, commas, table
from p2pwire.wire.registry import CloseCode, FrameType, is_critical

MOST_SHOWN: Final = 100
"""characters of a field that an example shows."""


class MessageDirective(ProtocolDirective):
    """`{p2p:message} Ping`. Options: `:module:` of its class for the example, `:bytes:` (hexadecimal) if no vector has
    any, `:extension:` if it is a frame of an extension, `:codes:` the enumeration of codes that close a link."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "module": directives.unchanged_required,
        "bytes": directives.unchanged_required,
        "extension": directives.unchanged_required,
        "codes": directives.unchanged_required,
    }

    def build(self) -> list[nodes.Node]:
        message = self.sources.message(self.arguments[0])
        anchor = self.note("message", message.title)
        made: list[nodes.Node] = [self.summary(message, anchor), self.diagram(message)]
        made.append(self.section("Fields", "fields", self.field_table(message, anchored=True), *self.flags(message)))
        vector = self.vector(message)
        if vector is not None:
            made.append(self.section("Bytes", "bytes", *self.annotated(message, vector)))
        states = self.states(message)
        if states:
            made.append(self.section("When it may come", "when-it-may-come", *states))
        requirements = self.sources.requirements_of(message)
        codes = self.sources.codes_of(requirements, self.options.get("codes", "CloseCode"))
        if codes:
            listed = commas(self.reference("error", f"{self.options.get('codes', 'CloseCode')}.{c}", c) for c in codes)
            text = nodes.paragraph("", "", nodes.Text("The rules below name: "), *_texts(listed), nodes.Text("."))
            made.append(self.section("Close codes", "close-codes", text))
        if requirements:
            made.append(self.section("Rules", "rules", *self.requirement_table(requirements)))
        if vector is not None and "module" in self.options:
            made.append(self.section("Example", "example", self.example(message, vector)))
        if "extension" not in self.options:
            made.append(self.section("In Wireshark", "in-wireshark", self.filters(message)))
        return made

    def summary(self, message: MessageForm, anchor: str) -> nodes.Node:
        """One line: what it is, its number, its size."""
        facts = [f"{size_text(message)} bytes"]
        if message.frame_type is not None:
            critical = is_critical(message.frame_type)
            facts.insert(0, f"frame 0x{message.frame_type:02X}, {'critical' if critical else 'ignorable'}")
        elif "extension" in self.options:
            facts.insert(0, f"frame of the extension {self.options['extension']}")
        return nodes.paragraph("", f"{message.text} ({'; '.join(facts)})", ids=[anchor], classes=["p2p-summary"])

    # --- bytes ---

    def vector(self, message: MessageForm) -> Vector | None:
        """Bytes of the message that are right. Raises SourceError for given ones that are not."""
        if "bytes" not in self.options:
            return self.sources.example(message)
        try:
            data = bytes.fromhex(self.options["bytes"])
        except ValueError as error:
            raise SourceError(f"bytes: {error}") from error
        for row in describe_form(data, message):
            if row.problem:
                raise SourceError(f"bytes: {row.path}: {row.problem}")
        return Vector("", "", "accept", (), message.title, data)

    def annotated(self, message: MessageForm, vector: Vector) -> list[nodes.Node]:
        """Every byte with the field that it belongs to."""
        rows: list[list[Cell]] = []
        known = {f"{message.title}.{row.name}" for row in field_rows(message)}
        for row in describe_form(vector.data, message):
            raw = vector.data[row.offset : row.offset + row.length]
            name = row.path.partition("[")[0]
            field = self.reference("field", name, row.path.partition(".")[2], code=True) if name in known else row.path
            value = code(_value(row)) if row.value else ""
            rows.append([str(row.offset), code(_hex(raw)), field, value])
        source = [nodes.paragraph("", "", nodes.Text("Vector "), code(vector.id))] if vector.id else []
        return [*source, table(("offset", "bytes", "field", "value"), rows, widths=(8, 44, 22, 26), kind="bytes")]

    def example(self, message: MessageForm, vector: Vector) -> nodes.Node:
        """Decodes and encodes the vector; runs as a doctest."""
        module = self.options["module"]
        kind = getattr(importlib.import_module(module), message.title, None)
        if kind is None:
            raise SourceError(f"module: {module} has no {message.title}")
        value = kind.decode(vector.data)
        name = message.title.lower()
        shown = textwrap.wrap(vector.data.hex(), 96)
        lines = [f">>> from {module} import {message.title}"]
        if len(shown) == 1:
            lines.append(f'>>> body = bytes.fromhex("{shown[0]}")')
        else:
            lines += [">>> body = bytes.fromhex(", *(f'...     "{line}"' for line in shown), "... )"]
        lines.append(f">>> {name} = {message.title}.decode(body)")
        for field in message.fields:
            found = getattr(value, field.name, None)
            view = isinstance(found, memoryview)
            text = repr(bytes(found) if isinstance(found, memoryview) else found)
            if found is not None and len(text) <= MOST_SHOWN:
                lines += [f">>> {name}.{field.name}{'.tobytes()' if view else ''}", text]
        lines += [f">>> {name}.encode() == body", "True"]
        text = "\n".join(lines)
        return nodes.doctest_block(text, text, language="pycon")

    # --- states ---

    def states(self, message: MessageForm) -> list[nodes.Node]:
        """What the message does in each state of the link and of its topic."""
        arrives: Input
        if "extension" in self.options:
            arrives = LinkInput.EXTENSION
        elif message.frame_type in list(FrameType):
            arrives = FrameType(message.frame_type)
        else:
            return []
        links = [state for state in LinkState if state not in (LinkState.CLOSED,)]
        made = [self.outcomes("state of the link", [(s, LINK_TABLE[s][arrives]) for s in links], tuple(LinkState))]
        topical = self.topic_input(message)
        if topical is not None:
            cells = [(state, TOPIC_TABLE[state][topical]) for state in TOPIC_TABLE]
            made.append(self.outcomes("state of the topic", cells, tuple(TOPIC_TABLE)))
        return made

    def topic_input(self, message: MessageForm) -> TopicInput | None:
        """How the table of topics calls the message; None if it is not of a topic."""
        if message.frame_type is None or not any(field.name == "handle" for field in message.fields):
            return None
        name = FrameType(message.frame_type).name
        return TopicInput.__members__.get(name, TopicInput.CONTENT)

    def outcomes(self, head: str, cells: list[tuple[Any, Any]], states: tuple[Any, ...]) -> nodes.Node:
        """State by state."""
        rows: list[list[Cell]] = []
        for state, cell in cells:
            text, kind = outcome_text(cell, states)
            text = "stays" if cell is state else f"closes with {text}" if isinstance(cell, CloseCode) else text
            shown = nodes.inline(text, text, classes=[f"p2p-cell-{kind}"])
            rows.append([self.state_cell(state), shown])
        return table((head, "then"), rows, widths=(40, 60), kind="outcomes")

    def state_cell(self, state: Enum) -> nodes.Node:
        """The name of a state; an extension's pages do not describe the states, so there it leads nowhere."""
        if "extension" in self.options:
            return code(state.name)
        return self.reference("state", f"{type(state).__name__}.{state.name}", state.name)

    def filters(self, message: MessageForm) -> nodes.Node:
        """The names by which the dissector calls the fields."""
        rows: list[list[Cell]] = [
            [code(filter_name(message, row.name)), self.reference("field", f"{message.title}.{row.name}", row.name)]
            for row in field_rows(message)
        ]
        return table(("filter", "field"), rows, widths=(60, 40), kind="filters")


def _texts(parts: Any) -> list[nodes.Node]:
    return [nodes.Text(part) if isinstance(part, str) else part for part in parts]


def _hex(raw: bytes) -> str:
    if len(raw) > MOST_BYTES:
        return f"{raw[:16].hex(' ')} … ({len(raw)} bytes)"
    return raw.hex(" ")


def _value(row: Row) -> str:
    return row.value if len(row.value) <= 80 else f"{row.value[:77]}…"
