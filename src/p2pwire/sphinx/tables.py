"""Docutils nodes that the directives put together: tables, references, drawings with their text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from docutils import nodes
from sphinx import addnodes
from sphinx.writers.html5 import HTML5Translator
from sphinx.writers.text import TextTranslator

Part: TypeAlias = str | nodes.Node
Cell: TypeAlias = Part | Sequence[Part]


class Drawn(nodes.General, nodes.Element):
    """An SVG in HTML (attribute `svg`), and the text that says the same wherever else (attribute `text`)."""


def visit_drawing_html(translator: HTML5Translator, node: Drawn) -> None:
    """The SVG itself, so that it takes the page's colours, and its text for who can not see it or wants to copy it."""
    translator.body.append(f'<figure class="p2p-figure">{node["svg"]}')
    if node.get("caption"):
        translator.body.append(f"<figcaption>{translator.encode(node['caption'])}</figcaption>")
    translator.body.append(
        f"<details><summary>as text</summary><pre>{translator.encode(node['text'])}</pre></details></figure>"
    )
    raise nodes.SkipNode


def visit_drawing_text(translator: TextTranslator, node: Drawn) -> None:
    """The text."""
    translator.new_state(2)
    translator.add_text(node["text"])
    translator.end_state(wrap=False)
    raise nodes.SkipNode


def visit_drawing_other(translator: nodes.NodeVisitor, node: Drawn) -> None:
    """The text, as a literal block."""
    block = nodes.literal_block(node["text"], node["text"])
    block.walkabout(translator)
    raise nodes.SkipNode


def reference(kind: str, name: str, text: str = "", *, document: str, code: bool = False) -> addnodes.pending_xref:
    """To an object of the domain, by its kind and name."""
    shown = text or name
    inner: nodes.Node = nodes.literal(shown, shown) if code else nodes.inline(shown, shown)
    return addnodes.pending_xref(
        "", inner, refdomain="p2p", reftype=kind, reftarget=name, refexplicit=True, refwarn=True, refdoc=document
    )


def code(text: str) -> nodes.literal:
    """A piece of code."""
    return nodes.literal(text, text)


def commas(parts: Iterable[nodes.Node]) -> list[Part]:
    """Parts with commas between them."""
    made: list[Part] = []
    for part in parts:
        if made:
            made.append(", ")
        made.append(part)
    return made


def breakable(name: str) -> list[nodes.Node]:
    """A NAME_OF_PARTS that a narrow column of a page may break after its underscores."""
    made: list[nodes.Node] = []
    for part in name.split("_"):
        if made:
            made += [nodes.Text("_"), nodes.raw("", "<wbr>", format="html")]
        made.append(nodes.Text(part))
    return made


def table(head: Sequence[Cell], rows: Iterable[Sequence[Cell]], *, widths: Sequence[int], kind: str) -> nodes.table:
    """A table; `ids` of a cell's first node stay where they are, so that rows can be pointed at."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *(_row(row) for row in rows))
    return nodes.table("", group, classes=["p2p-table", f"p2p-{kind}"])


def _row(cells: Sequence[Cell]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", _paragraph(cell)) for cell in cells))


def _paragraph(cell: Cell) -> nodes.paragraph:
    parts = [cell] if isinstance(cell, str | nodes.Node) else cell
    return nodes.paragraph("", "", *(nodes.Text(part) if isinstance(part, str) else part for part in parts))
