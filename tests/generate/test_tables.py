"""The tables of the specification."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from p2pwire.connection.state import LINK_TABLE, TOPIC_TABLE, LinkState, TopicState
from p2pwire.generate.markdown import fill, table
from p2pwire.generate.registry import REGISTRY, Registry
from p2pwire.generate.tables import TABLES
from p2pwire.wire import registry
from p2pwire.wire.registry import CloseCode, FrameType

SPEC = Path(__file__).parents[2] / "SPEC.md"


def cells(text: str) -> list[list[str]]:
    """The rows of a table, without its head."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return rows[2:]


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_well_formed_and_has_a_place(name: str) -> None:
    text = TABLES[name]()
    for part in text.split("\n\n"):
        if part.startswith("|"):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in part.splitlines()}
            assert len(widths) == 1
    assert f"<!-- generated:{name} -->" in SPEC.read_text(encoding="utf-8")


def test_messages_lists_every_frame_with_its_layout() -> None:
    rows = cells(TABLES["messages"]())
    assert [int(row[0], 16) for row in rows] == [int(frame) for frame in FrameType]
    by_name = {row[1]: row for row in rows}
    assert by_name["CLOSE"][2:5] == ["critical", "3..259", "`code u16 \\| frame_type u8 \\| detail (to the end)`"]
    assert by_name["SUGGEST"][2] == "ignorable"


def test_codes_have_the_registry_texts() -> None:
    rows = cells(TABLES["close-codes"]())
    assert [(int(row[0]), row[1]) for row in rows] == [(code.value, code.name) for code in CloseCode]
    assert rows[6][2] == "DATA or REJECT that answers no open request."
    assert ["0x0001", "P2PWIRE_1", "This specification."] in cells(TABLES["versions"]())
    assert ["1", "TCP4", "6", "IPv4 address (4 bytes) and port (u16)."] in cells(TABLES["address-types"]())
    assert cells(TABLES["hello-tags"]())[1][2] == "`PeerRecord`"


def test_fields_have_expression_offsets() -> None:
    text = TABLES["fields-preamble"]()
    assert "| 2 + 2 × versions_count + 2 × suites_count | `key_suite` | u16 |" in text
    assert "| 47 + len(addresses) | `signature` | bytes[64] |" in TABLES["fields-record"]()
    manifest = TABLES["fields-manifest"]()
    assert "| 3 + path_length | `length` | u64 | 0..2^46; absent if type = 2 |" in manifest
    assert "| 3 + path_length + len(length) | `root` | bytes[32] | absent if length = 0 |" in manifest


def test_limits_show_powers_of_two() -> None:
    rows = {row[0]: row[1] for row in cells(TABLES["limits"]())}
    assert rows["`MAX_LENGTH`"] == "70368744177664 (2^46)"
    assert rows["`MAX_FRAME_BODY`"] == "65516"
    budgets = {row[0]: row[1] for row in cells(TABLES["budgets"]())}
    assert budgets["`DRAIN_BYTES`"] == "20971520 (20 × 2^20)"
    timers = {row[0]: row[1] for row in cells(TABLES["timers"]())}
    assert timers["`HAVE_DELAY`"] == "0.1"


def test_every_constant_is_in_one_table_or_a_fixed_text() -> None:
    shown = [
        row[0].strip("`")
        for name in ("limits", "budgets", "exchange-limits", "timers")
        for row in cells(TABLES[name]())
    ]
    elsewhere = {constant.name for constant in REGISTRY.constants.values() if constant.section == "Fixed texts"}
    assert len(set(shown)) == len(shown)
    assert set(shown) | elsewhere == set(REGISTRY.constants)


def test_states_have_a_cell_for_every_state_and_arrival() -> None:
    link = TABLES["link-states"]()
    head = "|  | " + " | ".join(state.name for state in LinkState) + " |"
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in link.splitlines()]
    arrivals = [row for row in rows if len(row) == len(LinkState) + 1 and row[0] not in ("", "---")]
    named = [name for row in arrivals for name in row[0].split(", ")]
    assert head in link
    assert {column.name for row in LINK_TABLE.values() for column in row} <= set(named)
    assert (
        "| HELLO | *silent* | *silent* | *silent* | *silent* | *silent* | OPEN | **PROTOCOL** | DRAINING | CLOSED |"
        in link
    )
    topic = TABLES["topic-states"]()
    assert "|  | " + " | ".join(state.name for state in TopicState) + " |" in topic
    assert {column.name for column in TOPIC_TABLE[TopicState.FREE]} <= {row[0] for row in cells(topic)}


def test_the_registry_is_read_whole() -> None:
    names = {name for name in vars(registry) if name.isupper() and not name.startswith("_")}
    assert set(REGISTRY.constants) == names
    assert all(getattr(registry, name).__members__ for name in REGISTRY.enumerations)
    assert REGISTRY.constants["MAX_PATH"].text.startswith("bytes of a path")


def test_a_constant_without_a_text_is_refused() -> None:
    with pytest.raises(ValueError, match="MAX_PATH has no text"):
        Registry(registry, "MAX_PATH: Final = 1024\n")


def test_cells_with_bars_are_escaped() -> None:
    assert table(["a"], [["x | y"]]) == "| a |\n| --- |\n| x \\| y |"


def test_markers_are_filled_once_and_unknown_ones_kept() -> None:
    text = "a\n<!-- generated:x -->\nold\n<!-- /generated:x -->\nb\n<!-- generated:y -->\nkept\n<!-- /generated:y -->\n"
    new, unknown = fill(text, {"x": lambda: "new"})
    assert new == text.replace("old", "\nnew\n")
    assert unknown == ["y"]
    assert fill(new, {"x": lambda: "new"})[0] == new
