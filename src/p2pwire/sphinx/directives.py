"""The directives of small things: diagrams, tables, enumerations, machines, recordings, requirements, vectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from enum import IntFlag
from typing import Any, ClassVar, Final

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from p2pwire.generate.form import MessageForm, Number
from p2pwire.generate.registry import Enumeration
from p2pwire.generate.rows import field_rows
from p2pwire.generate.tables import value_text
from p2pwire.sphinx.domain import ProtocolDomain
from p2pwire.sphinx.machine import DrawingError, Machine, outcome_text, read_machine, svg_machine, text_machine
from p2pwire.sphinx.packet import ascii_packet, packet, svg_packet
from p2pwire.sphinx.sequence import recorded, svg_sequence, text_sequence
from p2pwire.sphinx.sources import Requirement, SourceError, Sources
from p2pwire.sphinx.tables import Cell, Drawn, Part, breakable, code, commas, reference, table

_LOGGER: Final = logging.getLogger(__name__)
MOST_CASES: Final = 6
"""cases of a requirement that a table names; the rest is counted."""


class ProtocolDirective(SphinxDirective):
    """What all of them share: sources, anchors, references; what is missing is an error at the directive's line."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """The nodes."""
        try:
            return self.build()
        except SourceError as error:
            raise self.error(str(error)) from error

    def build(self) -> list[nodes.Node]:
        """The nodes. Raises SourceError."""
        raise NotImplementedError

    @property
    def sources(self) -> Sources:
        return self.domain.sources

    @property
    def domain(self) -> ProtocolDomain:
        found = self.env.get_domain("p2p")
        assert isinstance(found, ProtocolDomain)
        return found

    def note(self, kind: str, name: str, *, shown: str = "") -> str:
        """An object is described here; its anchor."""
        return self.domain.note(kind, name, self.get_location(), shown=shown)

    def reference(self, kind: str, name: str, text: str = "", *, code: bool = False) -> nodes.Node:
        """To an object of the domain."""
        return reference(kind, name, text, document=self.env.docname, code=code)

    def drawing(self, svg: Callable[..., str], text: str, caption: str = "") -> nodes.Node:
        """An SVG whose ids are this page's own."""
        identifier = f"p2p-drawing-{self.env.new_serialno('p2p')}"
        return Drawn("", svg=svg(identifier=identifier), text=text, caption=caption)

    def section(self, title: str, name: str, *content: nodes.Node) -> nodes.section:
        """A section of the page."""
        return nodes.section(
            "", nodes.title(title, title), *content, ids=[name], names=[nodes.fully_normalize_name(name)]
        )

    # --- parts that several directives show ---

    def diagram(self, message: MessageForm) -> nodes.Node:
        """A message's layout."""
        drawn = packet(message)
        return self.drawing(lambda identifier: svg_packet(drawn, identifier=identifier), ascii_packet(drawn))

    def field_table(self, message: MessageForm, *, anchored: bool) -> nodes.Node:
        """Offset, size, type, limit, meaning and requirement of each field; each row an anchor."""
        rows: list[list[Cell]] = []
        for row in field_rows(message):
            name: nodes.Node = code(row.name)
            if anchored:
                anchor = self.note("field", f"{message.title}.{row.name}")
                name = nodes.inline("", "", name, ids=[anchor])
            meaning = row.text + (f", in {row.unit}" if row.unit else "")
            cited: Cell = self.reference("requirement", row.requirement) if row.requirement else ""
            kind = self.linked(row.type, "message", self.sources.messages)
            rows.append(
                [row.offset, name, kind, self.linked(row.limit, "enum", self.sources.enumerations), meaning, cited]
            )
        head = ("offset", "field", "type", "limit", "meaning", "rule")
        return table(head, rows, widths=(14, 14, 16, 20, 30, 8), kind="fields")

    def linked(self, text: str, kind: str, known: Container[str]) -> Cell:
        """A type or a limit; the messages or enumerations in it are references."""
        parts: list[Part] = [self.reference(kind, word) if word in known else word for word in re.split(r"(\w+)", text)]
        return [part for part in parts if part]

    def flags(self, message: MessageForm) -> list[nodes.Node]:
        """The bits of each field of flags, the most significant one first, as the diagram has them."""
        made: list[nodes.Node] = []
        for field in message.fields:
            form = field.form
            if not isinstance(form, Number) or form.names is None or not issubclass(form.names, IntFlag):
                continue
            width, known = 8 * form.size, self.sources.enumerations.get(form.names.__name__)
            texts = {member.name: member.text for member in known.members} if known else {}
            rows: list[list[Cell]] = [
                [code(bits_text(int(flag), width)), code(str(flag.name)), texts.get(str(flag.name), "")]
                for flag in form.names
            ]
            reserved = (1 << width) - 1 & ~sum(form.names)
            if reserved:
                rows.append([code(bits_text(reserved, width, "x")), "", "reserved: sent 0, ignored"])
            head = ("bits", "name", "meaning")
            made += [
                nodes.paragraph("", "", nodes.Text("The bits of "), code(field.name), nodes.Text(":")),
                table(head, rows, widths=(20, 25, 55), kind="flags"),
            ]
        return made

    def requirement_table(self, requirements: Sequence[Requirement]) -> list[nodes.Node]:
        """Sentences, each with what checks it."""
        rows: list[list[Cell]] = [[self.reference("requirement", each.id), each.text] for each in requirements]
        if not self.sources.traced:
            note = "Which cases check a rule is not shown: p2p_trace was not given when these pages were made."
            return [
                table(("rule", "sentence"), rows, widths=(10, 90), kind="requirements"),
                nodes.paragraph("", note, classes=["p2p-note"]),
            ]
        for row, each in zip(rows, requirements, strict=True):
            row.append(checked_by(each))
        return [table(("rule", "sentence", "checked by"), rows, widths=(10, 60, 30), kind="requirements")]


def bits_text(value: int, width: int, mark: str = "1") -> str:
    """Which bits of a number are meant: 4 of 8 bits is `.....1..`."""
    return "".join(mark if value >> bit & 1 else "." for bit in reversed(range(width)))


def checked_by(requirement: Requirement) -> Cell:
    """The cases, and how many vectors."""
    shown = commas(code(case) for case in requirement.cases[:MOST_CASES])
    more = len(requirement.cases) - MOST_CASES
    if more > 0:
        shown.append(f" and {more} more")
    if requirement.vectors:
        shown.append(f"{', ' if shown else ''}{requirement.vectors} vectors")
    return shown or "–"


class PacketDirective(ProtocolDirective):
    """`{p2p:packet} Ping`: the diagram of a message."""

    required_arguments = 1

    def build(self) -> list[nodes.Node]:
        return [self.diagram(self.sources.message(self.arguments[0]))]


class FieldsDirective(ProtocolDirective):
    """`{p2p:fields} Ping`: the table of a message's fields."""

    required_arguments = 1

    def build(self) -> list[nodes.Node]:
        message = self.sources.message(self.arguments[0])
        return [self.field_table(message, anchored=False), *self.flags(message)]


class EnumDirective(ProtocolDirective):
    """`{p2p:enum} ObjectKind`: the values of an enumeration."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"hex": directives.nonnegative_int}
    kind = "value"

    def build(self) -> list[nodes.Node]:
        found = self.sources.enumeration(self.arguments[0])
        anchor = self.note("enum", found.name)
        rows: list[list[Cell]] = [self.member_row(found, index) for index in range(len(found.members))]
        about = nodes.paragraph("", found.text, ids=[anchor])
        return [about, table(self.head(), rows, widths=self.widths(), kind="values")]

    def head(self) -> tuple[str, ...]:
        return ("value", "name", "meaning")

    def widths(self) -> tuple[int, ...]:
        return (12, 22, 66)

    def member_row(self, found: Enumeration, index: int) -> list[Cell]:
        member = found.members[index]
        width = self.options.get("hex", 0)
        anchor = self.note(self.kind, f"{found.name}.{member.name}", shown=member.name)
        value = f"0x{member.value:0{width}X}" if width else str(member.value)
        return [value, nodes.inline("", "", code(member.name), ids=[anchor]), member.text]


class ErrorsDirective(EnumDirective):
    """`{p2p:errors} CloseCode`: codes, and the requirements that name each."""

    kind = "error"

    def head(self) -> tuple[str, ...]:
        return ("value", "name", "meaning", "rules")

    def widths(self) -> tuple[int, ...]:
        return (10, 18, 42, 30)

    def member_row(self, found: Enumeration, index: int) -> list[Cell]:
        name = found.members[index].name
        naming = [each for each in self.sources.requirements.values() if re.search(rf"\b{name}\b", each.text)]
        rules: Cell = commas(self.reference("requirement", each.id) for each in naming)
        return [*super().member_row(found, index), rules or "–"]


class LimitsDirective(ProtocolDirective):
    """`{p2p:limits} Sizes`: the constants below a heading of the registry."""

    required_arguments = 1
    final_argument_whitespace = True

    def build(self) -> list[nodes.Node]:
        section = self.arguments[0]
        found = [constant for constant in self.sources.constants.values() if constant.section == section]
        if not found:
            sections = dict.fromkeys(constant.section for constant in self.sources.constants.values())
            raise SourceError(f"limits: {section!r} is no heading of a registry; there are {', '.join(sections)}")
        rows: list[list[Cell]] = []
        for constant in found:
            name = nodes.inline("", "", code(constant.name), ids=[self.note("limit", constant.name)])
            rows.append([name, value_text(constant).strip("`"), constant.text])
        return [table(("name", "value", "what and why"), rows, widths=(26, 16, 58), kind="limits")]


class MachineDirective(ProtocolDirective):
    """`{p2p:machine} a link`: its drawing, and the whole table; the options are dotted names."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {
        "states": directives.unchanged_required,
        "arrivals": directives.unchanged_required,
        "steps": directives.unchanged,
    }

    def build(self) -> list[nodes.Node]:
        name = self.arguments[0]
        for option in ("states", "arrivals"):
            if option not in self.options:
                raise SourceError(f"machine: {name} needs the option {option}")
        found = read_machine(name, self.options["states"], self.options["arrivals"], self.options.get("steps", ""))
        anchor = self.note("machine", name)
        made = [
            nodes.target("", "", ids=[anchor]),
            self.picture(found),
            self.states_table(found),
            self.matrix("arrives", found.arrivals, found),
        ]
        return [*made, self.matrix("of its own accord", found.steps, found)] if found.steps else made

    def picture(self, found: Machine) -> nodes.Node:
        """The drawing; its text alone, and a warning, where there is no Graphviz."""
        text = text_machine(found)
        try:
            return self.drawing(lambda identifier: svg_machine(found, identifier=identifier), text)
        except DrawingError as error:
            _LOGGER.warning("%s", error, location=self.get_location(), type="p2p", subtype="dot")
            return nodes.literal_block(text, text)

    def states_table(self, found: Machine) -> nodes.Node:
        """What each state means."""
        kind = type(found.states[0]).__name__
        rows: list[list[Cell]] = []
        for state in found.states:
            anchor = self.note("state", f"{kind}.{state.name}", shown=state.name)
            rows.append([nodes.inline("", "", code(state.name), ids=[anchor]), str(state.value)])
        return table(("state", "meaning"), rows, widths=(24, 76), kind="states")

    def matrix(self, corner: str, cells: Mapping[Any, Mapping[Any, Any]], found: Machine) -> nodes.Node:
        """A line for each arrival, a column for each state; arrivals with the same cells share a line."""
        lines: dict[tuple[Any, ...], list[str]] = {}
        for line in next(iter(cells.values())):
            lines.setdefault(tuple(cells[state][line] for state in cells), []).append(line.name)
        rows: list[list[Cell]] = []
        for outcomes, names in lines.items():
            row: list[Cell] = [commas(code(name) for name in names)]
            for state, outcome in zip(cells, outcomes, strict=True):
                text, kind = outcome_text(outcome, found.states)
                kind = "stays" if outcome is state else kind
                row.append(nodes.inline(text, "", *breakable(text), classes=[f"p2p-cell-{kind}"]))
            rows.append(row)
        head: list[Cell] = [corner, *(breakable(state.name) for state in cells)]
        return table(head, rows, widths=[20] + [10] * len(cells), kind="matrix")


class SequenceDirective(ProtocolDirective):
    """`{p2p:sequence} module.function`: draws what the function has recorded."""

    required_arguments = 1

    def build(self) -> list[nodes.Node]:
        found = recorded(self.arguments[0])
        anchor = self.note("sequence", found.title)
        picture = self.drawing(lambda identifier: svg_sequence(found, identifier=identifier), text_sequence(found))
        return [nodes.target("", "", ids=[anchor]), picture]


class RequirementDirective(ProtocolDirective):
    """`{p2p:requirement} FR`: those whose ids begin so, or `FR-003 FR-004`, with what checks each."""

    required_arguments = 1
    final_argument_whitespace = True

    def build(self) -> list[nodes.Node]:
        begins = tuple(self.arguments[0].split())
        found = [each for each in self.sources.requirements.values() if each.id.startswith(begins)]
        if not found:
            raise SourceError(f"requirement: none begins with {' or '.join(begins)}")
        return self.requirement_table(found)


class VectorsDirective(ProtocolDirective):
    """`{p2p:vectors} codec`: how many vectors a family has, and its first ones; `:shown:` how many."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"shown": directives.nonnegative_int}

    def build(self) -> list[nodes.Node]:
        family = self.arguments[0]
        found = list(self.sources.vectors(f"{family}/*.json"))
        if not found:
            raise SourceError(f"vectors: there is no family {family!r}")
        anchor = self.note("vectors", family)
        shown = found[: self.options.get("shown", 8)]
        rows: list[list[Cell]] = [
            [
                code(each.id),
                each.about,
                each.result,
                commas(self.reference("requirement", r.partition("@")[0], r) for r in each.requirements),
            ]
            for each in shown
        ]
        count = f"{len(found)} vectors; the first of them:" if len(shown) < len(found) else f"{len(found)} vectors:"
        head = ("id", "about", "result", "rules")
        return [
            nodes.paragraph("", count, ids=[anchor]),
            table(head, rows, widths=(34, 34, 10, 22), kind="vectors"),
        ]
