"""Small SVG drawings that stand in a page's own HTML: no script, no file of their own, the page's colours."""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree

_CHARACTER: Final = 7.3
"""Width of a character of 12 units in the fonts that browsers take; a little too much rather than too little."""


class Drawing:
    """An SVG of a size in units, which scales to the width there is.

    `kind` of each element is its class: the style sheet says how it looks, in light and in dark.
    """

    def __init__(
        self, width: float, height: float, *, title: str, description: str, identifier: str, kind: str
    ) -> None:
        self._root = ElementTree.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {width:g} {height:g}",
                "width": f"{width:g}",
                "height": f"{height:g}",
                "class": f"p2p-drawing p2p-{kind}",
                "role": "img",
                "aria-labelledby": f"{identifier}-title",
                "aria-describedby": f"{identifier}-description",
            },
        )
        for tag, text in (("title", title), ("desc", description)):
            name = "title" if tag == "title" else "description"
            ElementTree.SubElement(self._root, tag, {"id": f"{identifier}-{name}"}).text = text

    def __str__(self) -> str:
        return ElementTree.tostring(self._root, encoding="unicode")

    def rectangle(self, x: float, y: float, width: float, height: float, *, kind: str, round: float = 0) -> None:
        self._add("rect", kind, x=x, y=y, width=width, height=height, rx=round)

    def line(self, x1: float, y1: float, x2: float, y2: float, *, kind: str = "line") -> None:
        self._add("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def path(self, d: str, *, kind: str = "line") -> None:
        ElementTree.SubElement(self._root, "path", {"d": d, "class": kind})

    def text(
        self, x: float, y: float, text: str, *, kind: str, anchor: str = "middle", width: float | None = None
    ) -> None:
        """A line of text; one that is wider than `width` is squeezed into it."""
        attributes = {"x": f"{x:g}", "y": f"{y:g}", "class": kind, "text-anchor": anchor}
        if width is not None and len(text) * _CHARACTER > width:
            attributes |= {"textLength": f"{width:g}", "lengthAdjust": "spacingAndGlyphs"}
        ElementTree.SubElement(self._root, "text", attributes).text = text

    def _add(self, tag: str, kind: str, **numbers: float) -> None:
        places = {name: f"{value:g}" for name, value in numbers.items()}
        ElementTree.SubElement(self._root, tag, {**places, "class": kind})
