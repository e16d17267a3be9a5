"""The diagram of a message: every field is in it once, its bits add up, and both forms say the same."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from construct import Bytes
from hypothesis import given
from hypothesis import strategies as st

from p2pwire.generate.form import MESSAGES, MessageForm, read_message
from p2pwire.generate.rows import field_rows
from p2pwire.sphinx.packet import EXACT_BITS, ROW_BITS, Cell, Packet, ascii_packet, field_size, packet, svg_packet
from p2pwire.wire.constructs import Counted, Message, Rest, Sized, u8, u16, u32, u64

_NUMBERS = st.sampled_from([u8, u16, u32, u64])
_FIELDS = st.one_of(
    _NUMBERS,
    st.integers(1, 70).map(Bytes),
    st.builds(Sized, st.sampled_from([u8, u16]), st.just(0), st.integers(1, 200)),
    st.builds(Counted, st.just(u8), _NUMBERS, st.just(0), st.integers(1, 20)),
)


@st.composite
def forms(draw: st.DrawFn) -> MessageForm:
    """Messages of any fields, the last of which may go to the end."""
    kinds = draw(st.lists(_FIELDS, min_size=1, max_size=8))
    if draw(st.booleans()):
        kinds.append(Rest(0, draw(st.integers(1, 100))))
    fields = (f"f{number}" / kind * "a field" for number, kind in enumerate(kinds))
    return read_message(Message("Any", "Any message.", *fields))


def pieces(drawn: Packet) -> list[list[Cell]]:
    """The cells of each field, in order."""
    found: list[list[Cell]] = []
    for cell in drawn.cells:
        if cell.begins:
            found.append([])
        found[-1].append(cell)
    return found


def check(form: MessageForm) -> None:
    drawn, rows = packet(form), field_rows(form)
    fields = pieces(drawn)
    assert len(fields) == len(rows)
    place = 0
    for row, cells in zip(rows, fields, strict=True):
        # One label, which names the field; one beginning, one end.
        assert next(cell.label for cell in cells if cell.label).startswith(row.name)
        assert sum(bool(cell.label) for cell in cells) == 1
        assert [cell.ends for cell in cells] == [False] * (len(cells) - 1) + [True]
        size = field_size(row)
        bits = sum(cell.bits for cell in cells)
        torn = any(cell.torn for cell in cells)
        assert torn == (size is None or 8 * size > EXACT_BITS)
        if not torn:
            assert size is not None
            assert bits == 8 * size
        # Cells follow each other without a gap: in a row, or at the beginning of the next.
        for cell in cells:
            at = ROW_BITS * cell.row + cell.first
            assert at == place or (cell.first == 0 and at == -(-place // ROW_BITS) * ROW_BITS)
            place = at + cell.bits
        # What is written at the left is true where the field begins a row.
        if cells[0].first == 0:
            assert drawn.offsets[cells[0].row] == row.offset
        elif row.offset.isdigit() and drawn.offsets[cells[0].row].isdigit():
            assert int(drawn.offsets[cells[0].row]) + cells[0].first // 8 == int(row.offset)
    assert {cell.row for cell in drawn.cells} == set(range(drawn.rows))


def check_drawings(form: MessageForm) -> None:
    drawn = packet(form)
    text = ascii_packet(drawn)
    svg = ElementTree.fromstring(svg_packet(drawn, identifier="x"))
    # The picture describes itself by the text, and has the same labels and offsets.
    assert svg.findtext("{*}desc") == text
    assert svg.findtext("{*}title") == f"Layout of {form.title}"
    assert svg.get("aria-labelledby") == svg.find("{*}title").get("id")  # type: ignore[union-attr]
    labels = [each.text for each in svg.iter("{http://www.w3.org/2000/svg}text") if each.get("class") == "name"]
    assert labels == [cell.label for cell in drawn.cells if cell.label]
    offsets = [
        each.text or "" for each in svg.iter("{http://www.w3.org/2000/svg}text") if each.get("class") == "offset"
    ]
    assert offsets == list(drawn.offsets)
    for label in labels:
        assert str(label)[:3] in text
    width = {len(line) for line in text.splitlines() if line.rstrip().endswith("+") and "-" in line}
    assert max(width) <= 2 * ROW_BITS + 1 + max(len(offset) for offset in drawn.offsets) + 1
    boxes = [line for line in text.splitlines() if "|" in line]
    for number, line in enumerate(boxes):
        assert len(re.findall(r"\|", line)) == len(drawn.row(number)) + 1
    # Nothing is drawn outside the picture.
    right, bottom = (float(str(svg.get(side))) for side in ("width", "height"))
    for box in svg.iter("{http://www.w3.org/2000/svg}rect"):
        x, y, w, h = (float(str(box.get(name))) for name in ("x", "y", "width", "height"))
        assert x + w <= right
        assert y + h <= bottom


@pytest.mark.parametrize("form", MESSAGES, ids=lambda form: form.title)
def test_the_protocols_messages(form: MessageForm) -> None:
    check(form)
    check_drawings(form)


@given(forms())
def test_any_message(form: MessageForm) -> None:
    check(form)
    check_drawings(form)


def test_a_diagram_as_text() -> None:
    leave = next(form for form in MESSAGES if form.title == "Refuse")
    assert ascii_packet(packet(leave)).splitlines()[2:] == [
        "  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+",
        "0 |            handle             |     code      |",
        "  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+",
    ]
