"""The diagram of a message: rows of 32 bits, as cells; as SVG, and as the text that says the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from p2pwire.generate.form import MessageForm, Number
from p2pwire.generate.rows import FieldRow, field_rows
from p2pwire.sphinx.drawing import Drawing

ROW_BITS: Final = 32
EXACT_BITS: Final = 64
"""Fields up to this size are drawn to the bit; of longer ones the middle is one row."""

BIT: Final = 22.0
HEIGHT: Final = 34.0
GUTTER: Final = 116.0
"""Units of the drawing: a bit's width, a row's height, the room for offsets."""


@attrs.frozen
class Cell:
    """A piece of a field within one row: bits from `first` to `last`, both included."""

    row: int
    first: int
    last: int
    label: str
    """Empty if another piece of the field bears it."""
    begins: bool
    ends: bool
    """Whether the field begins and ends with this piece."""
    torn: bool = False
    """Whether the piece stands for more bytes than are drawn."""

    @property
    def bits(self) -> int:
        return self.last - self.first + 1


@attrs.frozen
class Packet:
    """The cells of a message, and where in it each row begins."""

    title: str
    cells: tuple[Cell, ...]
    offsets: tuple[str, ...]
    """Per row, bytes from the message's start, as an expression; empty within a field of which rows are left out."""

    @property
    def rows(self) -> int:
        return len(self.offsets)

    def row(self, number: int) -> list[Cell]:
        """The cells of a row; none of a row that there is not."""
        return [cell for cell in self.cells if cell.row == number]

    def lines_above(self, number: int) -> list[tuple[int, int]]:
        """Where the border above a row is drawn, as first and last bits: not where a field goes on over it."""
        above, below = self.row(number - 1), self.row(number)
        covered = {bit for cell in (*above, *below) for bit in range(cell.first, cell.last + 1)}
        for upper in above:
            for lower in below:
                if not upper.ends and not lower.begins:
                    covered -= set(range(max(upper.first, lower.first), min(upper.last, lower.last) + 1))
        return _runs(sorted(covered))


def _runs(bits: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for bit in bits:
        if runs and runs[-1][1] == bit - 1:
            runs[-1] = runs[-1][0], bit
        else:
            runs.append((bit, bit))
    return runs


class _Layout:
    def __init__(self) -> None:
        self.cells: list[Cell] = []
        self.offsets: list[str] = ["0"]
        self._bit = 0
        self._known: int | None = 0
        """Bytes before the current row; None once a field of unknown size lies before it."""

    def row(self, field: FieldRow) -> None:
        size, begun = field_size(field), len(self.cells)
        if size is None:
            self._torn(field)
        elif 8 * size > EXACT_BITS:
            self._long(field, size)
        else:
            self._exact(field, 8 * size)
        # The label goes where it fits.
        label = _label(field, size)
        pieces = range(begun, len(self.cells))
        wide = [piece for piece in pieces if 2 * self.cells[piece].bits > len(label)]
        bearer = wide[0] if wide else max(pieces, key=lambda piece: self.cells[piece].bits)
        self.cells[bearer] = attrs.evolve(self.cells[bearer], label=label)

    def _next_row(self, bytes_passed: int | None, offset: str | None = None) -> None:
        self._bit = 0
        self._known = None if self._known is None or bytes_passed is None else self._known + bytes_passed
        self.offsets.append((str(self._known) if self._known is not None else "") if offset is None else offset)

    def _begin(self, field: FieldRow) -> None:
        """A row for what comes after a piece that ended at the right edge."""
        if self._bit == ROW_BITS:
            self._next_row(4)
        if not self.offsets[-1] and self._bit == 0:
            self.offsets[-1] = field.offset

    def _exact(self, field: FieldRow, bits: int) -> None:
        self._begin(field)
        left = bits
        while left:
            if self._bit == ROW_BITS:
                self._next_row(4)
            taken = min(left, ROW_BITS - self._bit)
            self._cell(taken, begins=left == bits, ends=left == taken)
            left -= taken

    def _long(self, field: FieldRow, size: int) -> None:
        """First piece, one row for the middle, last piece."""
        self._begin(field)
        before = (ROW_BITS - self._bit) % ROW_BITS
        after = (8 * size - before) % ROW_BITS
        if before:
            self._cell(before, begins=True, ends=False)
            self._next_row(4)
        self._cell(ROW_BITS, begins=not before, ends=not after, torn=True)
        if after:
            self._next_row((8 * size - before - after) // 8)
            self._cell(after, begins=False, ends=True)
        elif self._known is not None:
            # The row stands for several.
            self._known += (8 * size - before) // 8 - 4

    def _torn(self, field: FieldRow) -> None:
        """To the end of this row, and one row that stands for all that follows."""
        self._begin(field)
        if self._bit:
            self._cell(ROW_BITS - self._bit, begins=True, ends=False)
            self._next_row(None, "")
            self._cell(ROW_BITS, begins=False, ends=True, torn=True)
        else:
            self._cell(ROW_BITS, begins=True, ends=True, torn=True)
        self._known = None

    def _cell(self, bits: int, *, begins: bool, ends: bool, torn: bool = False) -> None:
        self.cells.append(Cell(len(self.offsets) - 1, self._bit, self._bit + bits - 1, "", begins, ends, torn))
        self._bit += bits

    def after_torn(self, field: FieldRow) -> None:
        """What follows a field of unknown size begins a row of its own, whose offset is an expression."""
        if self.cells and self._known is None and self.cells[-1].torn:
            self._next_row(None, field.offset)


def field_size(row: FieldRow) -> int | None:
    """Bytes that a row of a message's table always takes; None if they vary."""
    if row.prefix:
        prefix = getattr(row.field.form, "prefix", None)
        assert isinstance(prefix, Number)
        return prefix.size
    return row.field.fixed_size


def _label(row: FieldRow, size: int | None) -> str:
    if size is None:
        there = "" if row.field.condition is None else ", if present"
        return f"{row.name}: {row.type}{there}"
    return f"{row.name} ({size} bytes)" if size > 4 else row.name


def packet(message: MessageForm) -> Packet:
    """The cells of a message's own bytes; what comes before them, as a frame's header, is not drawn."""
    layout = _Layout()
    for row in field_rows(message):
        layout.after_torn(row)
        layout.row(row)
    return Packet(message.title, tuple(layout.cells), tuple(layout.offsets))


# --- Text ----------------------------------------------------------------------------------------------------------


def ascii_packet(drawn: Packet) -> str:
    """The diagram as text, two characters a bit."""
    if not drawn.cells:
        return "(no bytes)"
    margin = max(len(offset) for offset in drawn.offsets) + 1
    lines = [
        " " * margin + "".join(f" {tens if not bit % 10 else ' '}" for bit, tens in _tens()),
        " " * margin + "".join(f" {bit % 10}" for bit in range(ROW_BITS)),
    ]
    for number in range(drawn.rows):
        lines.append(" " * margin + _border(drawn, number))
        lines.extend(_text_row(drawn.offsets[number], drawn.row(number), margin))
    lines.append(" " * margin + _border(drawn, drawn.rows))
    return "\n".join(line.rstrip() for line in lines)


def _tens() -> Iterator[tuple[int, int]]:
    return ((bit, bit // 10) for bit in range(ROW_BITS))


def _border(drawn: Packet, number: int) -> str:
    """The line above a row."""
    line = [" "] * (2 * ROW_BITS + 1)
    for cell in (*drawn.row(number - 1), *drawn.row(number)):
        line[2 * cell.first] = line[2 * cell.last + 2] = "+"
    for first, last in drawn.lines_above(number):
        for at in range(2 * first, 2 * last + 3):
            line[at] = "-" if at % 2 else "+"
    return "".join(line)


def _text_row(offset: str, cells: list[Cell], margin: int) -> list[str]:
    line, torn = offset.rjust(margin - 1) + " |", any(cell.torn for cell in cells)
    for cell in cells:
        width = 2 * cell.bits - 1
        text = cell.label if len(cell.label) <= width else cell.label[: width - 1] + "…" if width > 1 else ""
        line += f"{text:^{width}}|"
    lines = [line]
    if torn:
        lines.append(" " * margin + "/" + " " * (2 * ROW_BITS - 1) + "/")
    return lines


# --- SVG -----------------------------------------------------------------------------------------------------------


def svg_packet(drawn: Packet, *, identifier: str) -> str:
    """The diagram as SVG, with a title and the text as its description; lines and text take the page's colour."""
    heights = [HEIGHT * (1.6 if any(cell.torn for cell in drawn.row(row)) else 1.0) for row in range(drawn.rows)]
    tops = [24.0 + sum(heights[:row]) for row in range(drawn.rows + 1)]
    picture = Drawing(
        GUTTER + ROW_BITS * BIT + 2,
        tops[-1] + 2,
        title=f"Layout of {drawn.title}",
        description=ascii_packet(drawn),
        identifier=identifier,
        kind="layout",
    )
    for bit in range(0, ROW_BITS, 8):
        picture.text(GUTTER + (bit + 0.5) * BIT, 14, str(bit), kind="scale")
    picture.text(GUTTER + (ROW_BITS - 0.5) * BIT, 14, str(ROW_BITS - 1), kind="scale")
    for row, offset in enumerate(drawn.offsets):
        picture.text(GUTTER - 8, tops[row] + 21, offset, kind="offset", anchor="end", width=GUTTER - 10)
    for cell in drawn.cells:
        _draw(picture, cell, tops[cell.row], heights[cell.row])
    for row, top in enumerate(tops):
        for first, last in drawn.lines_above(row):
            picture.line(GUTTER + first * BIT, top, GUTTER + (last + 1) * BIT, top)
    return str(picture)


def _draw(picture: Drawing, cell: Cell, top: float, height: float) -> None:
    left, right = GUTTER + cell.first * BIT, GUTTER + (cell.last + 1) * BIT
    picture.rectangle(left, top, right - left, height, kind="torn cell" if cell.torn else "cell")
    for x in (left, right):
        if cell.torn:
            picture.path(f"M{x:g} {top:g} V{top + height * 0.62 - 6:g} l-5 4 l10 4 l-5 4 V{top + height:g}")
        else:
            picture.line(x, top, x, top + height)
    if cell.label:
        picture.text((left + right) / 2, top + 21, cell.label, kind="name", width=right - left - 4)
