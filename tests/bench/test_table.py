"""Tables, the page and the picture."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.__main__ import check, main, read
from tests.bench.figures import Figure, Results
from tests.bench.obstacles import obstacle
from tests.bench.page import page, write_page
from tests.bench.plot import plot
from tests.bench.table import aligned, figure_rows, markdown, number, render
from tests.bench.targets import TARGETS, Target


@pytest.fixture
def results() -> Results:
    """Two movers, one of them ours, and what the machine allows."""
    results = Results({"cores": 2, "packages": {"attrs": "26.1"}}, missing={"libp2p": "ImportError: no such module"})
    for figure in (
        Figure("bounds/one thread each side", "MiB/s", (1000.0,)),
        Figure(
            "bulk/p2pwire blocking",
            "MiB/s",
            (400.0, 500.0, 600.0),
            against=("bulk/libtorrent v1 clear", "bulk/gone"),
            limit="bounds/one thread each side",
        ),
        Figure("bulk/p2pwire blocking, sending CPU", "s/GiB", (0.9,), detail_of="bulk/p2pwire blocking"),
        Figure("bulk/libtorrent v1 clear", "MiB/s", (400.0, 400.0, 400.0), note="in <clear>"),
    ):
        results.add(figure)
    return results


def test_a_row_says_everything_of_a_figure(results: Results) -> None:
    ours, other = figure_rows(results, "bulk")
    assert ours == (
        "p2pwire blocking", "500", "400 – 600", "MiB/s", "1.25 × libtorrent v1 clear", "50%", "sending CPU 0.9 s/GiB"
    )  # fmt: skip
    assert other == ("libtorrent v1 clear", "400", "400 – 400", "MiB/s", "", "", "in <clear>")


def test_names_are_shortened_where_they_say_the_same() -> None:
    results = Results()
    results.add(
        Figure("codec/Ping, decode", "1/s", (20.0,), against=("codec/construct Ping, decode", "codec/h11, decode"))
    )
    results.add(Figure("codec/construct Ping, decode", "1/s", (2.0,)))
    results.add(Figure("codec/h11, decode", "1/s", (4.0,)))
    assert next(figure_rows(results, "codec"))[4] == "10.00 × construct, 5.00 × h11"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1234.5, "1234"), (100.0, "100"), (99.94, "99.9"), (1.234, "1.23"), (0.05, "0.05"), (-0.1, "-0.1")],
)
def test_three_digits_are_enough(value: float, shown: str) -> None:
    assert number(value) == shown


def test_columns_that_say_nothing_are_left_out() -> None:
    rows = [("a", "b", "c"), ("1", "", "333"), ("22", "", "3")]
    assert aligned(rows) == "  a   c\n  1   333\n  22  3"
    assert markdown(rows) == "| a | c |\n|---|---|\n| 1 | 333 |\n| 22 | 3 |"


def test_the_whole_table_names_what_is_missing(results: Results) -> None:
    shown = render(results)
    assert "not measured: libp2p: ImportError: no such module" in shown
    assert "blocking, one to one, over libtorrent v1 in clear" in shown
    assert "met, beyond the aim" in shown
    assert "only that it works" not in shown
    results.quick = True
    assert "only that it works" in render(results)


def test_only_what_was_measured_can_be_missed(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(results) == 0
    assert "all targets that were measured are met" in capsys.readouterr().out
    results.add(Figure("memory/idle link", "KB", (11.0,), less=True))
    assert check(results) == 1
    assert "missed: an idle link, KB: 11, wanted at most 10\n1 target is missed" in capsys.readouterr().out


def test_the_picture_is_well_formed_and_has_a_bar_for_each_figure(results: Results) -> None:
    picture = ElementTree.fromstring(plot(results))
    bars = picture.findall("{http://www.w3.org/2000/svg}rect")
    assert [bar.get("class") for bar in bars] == ["ours", "other"]
    assert [float(bar.get("width", 0)) for bar in bars] == [400.0, 320.0]
    assert float(picture.get("height", 0)) > float(bars[-1].get("y", 0))


def test_nothing_measured_draws_nothing() -> None:
    assert ElementTree.fromstring(plot(Results())).findall("{http://www.w3.org/2000/svg}rect") == []


def test_the_page_has_the_machine_the_targets_and_the_tables(results: Results, tmp_path: Path) -> None:
    write_page(results, tmp_path / "docs")
    text = (tmp_path / "docs/benchmarks.md").read_text()
    assert "| cores | 2 |" in text
    assert "| packages | attrs 26.1 |" in text
    assert "## Moving a file" in text
    assert "| 500 | 400 – 600 | MiB/s |" in text
    assert "Not measured: libp2p (ImportError: no such module)." in text
    assert "![The main figures as bars](benchmarks.svg)" in text
    assert "in seconds" not in text
    assert (tmp_path / "docs/benchmarks.svg").read_text() == plot(results)


def test_the_page_says_what_falls_short_and_why(results: Results, tmp_path: Path) -> None:
    assert "Every target that was measured is met." in page(results)
    results.add(Figure("bulk/libtorrent v2 clear", "MiB/s", (500.0, 625.0, 700.0)))
    results.add(Figure("bulk/p2pwire blocking, three to one", "MiB/s", (400.0,)))
    results.add(Figure("bulk/libtorrent v2 clear, three to one", "MiB/s", (800.0,)))
    results.machine["seconds"] = {"bulk": 250.4, "codec": 109.0}
    text = page(results)
    missed = (
        "- blocking, one to one, over libtorrent v2 in clear: 0.80 ×, wanted at least 1 ×, better 1.25",
        "- blocking, three to one, over libtorrent v2 in clear: 0.50 ×, wanted at least 1 ×",
        "",
        "libtorrent in clear has no cipher",  # what stands in the way of both is said once
    )
    assert "\n".join(missed) in text
    assert text.count("wanted at least") == 2
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("|"))
    assert "The run took 6 minutes; in seconds: bulk 250, codec 109." in text


def test_the_compiled_build_has_a_section_of_its_own(results: Results, tmp_path: Path) -> None:
    compiled = Results({"cores": 3, "compiled": True})
    compiled.add(Figure("codec/small frames, decode", "1/s", (30.0,)))
    compiled.add(Figure("codec/h11r, decode", "1/s", (20.0,)))
    text, alone = page(results, compiled), page(results)
    assert text.startswith(alone.rstrip())
    section = text.removeprefix(alone.rstrip())
    assert "| cores | 3 |" in section
    assert "| decode, small messages, compiled, over h11r | at least 1 × | 1.50 × | met |" in section
    assert "not measured" not in section
    assert "### Codec, compiled" in section
    assert "over h11r" not in alone
    files = tmp_path / "pure.json", tmp_path / "compiled.json"
    for file, each in zip(files, (results, compiled), strict=True):
        file.write_text(json.dumps(each.to_json()))
        assert read(file, compiled=each is compiled, quick=False).figures == each.figures
        with pytest.raises(ValueError, match="build, must be of the other one"):
            read(file, compiled=each is not compiled, quick=False)


def test_each_target_has_something_in_its_way() -> None:
    for target in TARGETS:
        text = obstacle(target)
        assert text.endswith(".")
        assert not re.search(r"\d{3}|\d %|\d\.\d", text.replace("SHA-256", "")), text
    with pytest.raises(ValueError, match="juggling"):
        obstacle(Target("juggling", "circus/balls", least=3))


def test_a_quick_run_makes_a_page_only_where_that_is_wanted(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results.quick = True
    file, docs = tmp_path / "run.json", tmp_path / "docs"
    file.write_text(json.dumps(results.to_json()))
    command = ["bench", "--page", str(file), "--into", str(docs)]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "is of a quick run" in capsys.readouterr().err
    assert not docs.exists()
    monkeypatch.setattr("sys.argv", [*command, "--quick"])
    assert main() == 0
    assert "**Everything was small and measured once" in (docs / "benchmarks.md").read_text()
