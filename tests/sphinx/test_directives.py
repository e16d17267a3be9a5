"""The directives and roles, each in a small project of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sphinx.util.inventory import InventoryFile

from p2pwire.connection.state import LINK_STEPS, LINK_TABLE, TOPIC_TABLE, LinkState
from p2pwire.sphinx.machine import dot_source, read_machine, text_machine
from p2pwire.sphinx.sequence import Recording, Step
from p2pwire.wire.registry import CloseCode, RejectCode
from tests.sphinx.project import CONF, ROOT, build

SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)
LINK = """```{p2p:machine} a link
:states: p2pwire.connection.state.LinkState
:arrivals: p2pwire.connection.state.LINK_TABLE
:steps: p2pwire.connection.state.LINK_STEPS
```
"""
TOPIC = """```{p2p:machine} a topic
:states: p2pwire.connection.state.TopicState
:arrivals: p2pwire.connection.state.TOPIC_TABLE
```
"""
SOURCES = f"""
p2p_requirements = {str(ROOT / "conformance" / "requirements.json")!r}
p2p_vectors = {str(ROOT / "conformance" / "vectors")!r}
"""
SPECIFICATION = "# Rules\n\n" + "\n".join(
    f"- {{p2p:anchor}}`{row['id']}`" for row in json.loads((ROOT / "conformance" / "requirements.json").read_text())
)
"""A page with an anchor for each requirement."""


def recording() -> Recording:
    """What a page draws."""
    steps = (
        Step(0.0, "A", "B", "hello"),
        Step(0.02, "B", "A", "DATA × 3", "until 30 ms, 9 bytes"),
        Step(0.03, "A", "A", "has all"),
    )
    return Recording("A asks B", ("A", "B"), steps)


def no_recording() -> str:
    """Not what a page can draw."""
    return "no"


def test_a_message_has_its_parts(tmp_path: Path) -> None:
    built = build(
        tmp_path,
        {
            "index": "# Index\n\n```{toctree}\njoin\nstates\nrules\n```\n\n```{p2p:enum} JoinFlag\n```\n\n"
            "```{p2p:errors} CloseCode\n```\n",
            "join": "# JOIN\n\n```{p2p:message} Join\n:module: p2pwire.wire.messages\n```\n",
            "states": f"# States\n\n{LINK}\n{TOPIC}",
            "rules": SPECIFICATION,
        },
        conf=CONF + SOURCES + "suppress_warnings = ['p2p.dot']\n",
    )
    assert built.warnings == ""
    page = built.read("join.html")
    for section in ("fields", "bytes", "when-it-may-come", "close-codes", "rules", "example", "in-wireshark"):
        assert f'id="{section}"' in page
    for field in ("handle", "flags", "topic", "cap"):
        assert f'id="p2p-field-join-{field}"' in page
        assert f"p2pwire.join.{field}" in page
    # Flags bit by bit, the most significant one first; and the reserved ones.
    assert ".....1.." in page
    assert "xxxxx..." in page
    # References: to the enumeration, a state, a code, a rule.
    for target in (
        "p2p-enum-joinflag",
        "p2p-state-linkstate-open",
        "p2p-error-closecode-limit",
        "p2p-requirement-tp-017",
    ):
        assert f"#{target}" in page
    assert "p2p_trace was not given" in page
    assert len(SVG.findall(page)) == 1


def test_rules_name_what_checks_them(tmp_path: Path) -> None:
    trace = {"requirements": [{"id": "KA-001", "level": "C3", "cases": [f"KA-{n:04}" for n in range(8)], "vectors": 2}]}
    (tmp_path / "trace.json").write_text(json.dumps(trace))
    built = build(
        tmp_path,
        {
            "index": "# Index\n\n```{p2p:requirement} KA-001 KA-002\n```\n\n```{toctree}\nrules\n```\n",
            "rules": SPECIFICATION,
        },
        conf=CONF + SOURCES + f"p2p_trace = {str(tmp_path / 'trace.json')!r}\n",
    )
    assert built.warnings == ""
    page = built.read("index.html")
    assert "KA-0005" in page
    assert "KA-0006" not in page
    assert "and 2 more, 2 vectors" in page
    assert "p2p_trace" not in page


def test_small_directives(tmp_path: Path) -> None:
    built = build(
        tmp_path,
        {
            "index": """# Index

```{p2p:packet} Reject
```

```{p2p:fields} Reject
```

```{p2p:enum} ObjectKind
:hex: 2
```

```{p2p:errors} RejectCode
```

```{p2p:limits} Budgets
```

```{p2p:vectors} close
:shown: 3
```

```{p2p:sequence} tests.sphinx.test_directives.recording
```

{p2p:enum}`ObjectKind` {p2p:value}`ObjectKind.BLOB` {p2p:error}`RejectCode.CHOKED` {p2p:limit}`DRAIN_BYTES`
{p2p:vectors}`close` {p2p:sequence}`A asks B` {p2p:value}`files <ObjectKind.MANIFEST>` {any}`DRAIN_BYTES`

```{toctree}
rules
```
""",
            "rules": SPECIFICATION,
        },
        conf=CONF + SOURCES,
    )
    assert built.warnings == ""
    page = built.read("index.html")
    assert "0x01" in page
    for code in RejectCode:
        assert f'id="p2p-error-rejectcode-{code.name.lower().replace("_", "-")}"' in page
    assert "20971520 (20 × 2^20)" in page
    assert page.count("close/") == 3
    assert 'href="#p2p-value-objectkind-manifest"' in page
    assert page.count('href="#p2p-limit-drain-bytes"') == 2
    drawings = [ElementTree.fromstring(svg) for svg in SVG.findall(page)]
    titles = [drawing.findtext("{*}title") for drawing in drawings]
    assert titles == ["Layout of Reject", "A asks B"]
    # No id twice on a page.
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_a_machine_shows_every_cell(tmp_path: Path) -> None:
    text = f"# States\n\n{LINK}\n{TOPIC}"
    built = build(tmp_path, {"index": text}, conf=CONF + "suppress_warnings = ['p2p.dot']\n")
    assert built.warnings == ""
    page = built.read("index.html")
    tables = re.findall(r'<table class="p2p-table p2p-matrix.*?</table>', page, re.DOTALL)
    assert len(tables) == 3
    for table, cells in zip(tables, (LINK_TABLE, LINK_STEPS, TOPIC_TABLE), strict=True):
        shown: dict[str, list[str]] = {}
        for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)[1:]:
            first, *rest = re.findall(r"<td>(.*?)</td>", row, re.DOTALL)
            for name in re.findall(r'<span class="pre">(\w+)</span>', first):
                shown[name] = [re.sub(r"<[^>]+>", "", each).strip() for each in rest]
        lines = next(iter(cells.values()))
        assert set(shown) == {line.name for line in lines}
        for line in lines:
            for state, said in zip(cells, shown[line.name], strict=True):
                outcome = cells[state][line]  # type: ignore[index]
                wanted = "never" if outcome is None else "silent" if outcome.name == "SILENT" else outcome.name
                assert said == wanted, (state, line)
    for state in LinkState:
        assert f'id="p2p-state-linkstate-{state.name.lower().replace("_", "-")}"' in page


def test_what_leads_to_one_state_from_nearly_all_is_not_drawn() -> None:
    machine = read_machine(
        "a link", *(f"p2pwire.connection.state.{name}" for name in ("LinkState", "LINK_TABLE", "LINK_STEPS"))
    )
    source = dot_source(machine)
    (closed,) = (line for line in source.splitlines() if line.startswith('"CLOSED" ['))
    assert "END from any state" in closed
    assert "own GIVE_UP from any state but DRAINING" in closed
    arrows = "".join(line for line in source.splitlines() if "->" in line)
    assert "GIVE_UP" not in arrows
    assert not re.search(r"\bEND\b", arrows)
    # Whatever is not said at the state is drawn, and the text has all of it.
    for (one, other), causes in machine.edges().items():
        for cause in causes:
            assert cause in ("END", "own GIVE_UP") or f'"{one}" -> "{other}"' in source
        assert f"{one} -> {other}: {', '.join(causes)}" in text_machine(machine)


def test_objects_are_in_the_inventory_and_the_index(tmp_path: Path) -> None:
    pages = {
        "index": "# Index\n\n```{toctree}\nping\n```\n\n```{p2p:errors} CloseCode\n```\n",
        "ping": "# PING\n\n```{p2p:packet} Ping\n```\n\n```{p2p:limits} Times\n```\n",
    }
    built = build(tmp_path, pages)
    assert built.warnings == ""
    inventory = InventoryFile.loads((built.out / "objects.inv").read_bytes(), uri="").data
    found = inventory["p2p:error"]["CloseCode.FLOOD"]
    assert found.uri == "index.html#p2p-error-closecode-flood"
    assert "DRAIN_TIMEOUT" in inventory["p2p:limit"]
    index = built.read("p2p-index.html")
    for code in CloseCode:
        assert f">{code.name}<" in re.sub(r"</?(strong|code|span)[^>]*>", "", index)


def test_pages_read_in_parallel_are_the_same(tmp_path: Path) -> None:
    names = ["Ping", "Pong", "Leave", "Cancel", "Credit", "Refuse"]
    pages = {
        name.lower(): f"# {name}\n\n```{{p2p:packet}} {name}\n```\n\n{{p2p:limit}}`IDLE{name}`\n" for name in names
    }
    pages = {name: text.split("{p2p:limit}")[0] for name, text in pages.items()}
    index = "# Index\n\n```{toctree}\n" + "\n".join(pages) + "\n```\n\n```{p2p:limits} Times\n```\n"
    pages["ping"] += "\n{p2p:limit}`DRAIN_TIMEOUT`\n"
    outs = []
    for jobs in (1, 2):
        place = tmp_path / str(jobs)
        place.mkdir()
        built = build(place, {"index": index, **pages}, parallel=jobs)
        assert built.warnings == ""
        outs.append(
            {name: built.read(f"{name}.html") for name in pages} | {"inv": (built.out / "objects.inv").read_bytes()}
        )
    assert outs[0] == outs[1]


def test_text_has_what_drawings_say(tmp_path: Path) -> None:
    page = "# Index\n\n```{p2p:packet} Request\n```\n\n```{p2p:sequence} tests.sphinx.test_directives.recording\n```\n"
    built = build(tmp_path, {"index": page}, builder="text")
    assert built.warnings == ""
    text = built.read("index.txt")
    assert re.search(r"^ +4 \| +handle +\| +file", text, re.MULTILINE)
    assert "20.0 ms  B -> A: DATA × 3  (until 30 ms, 9 bytes)" in text
    assert "30.0 ms  A: has all" in text


@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        ("```{p2p:message} Nothing\n```", "message: 'Nothing' is unknown; there are Address"),
        ("```{p2p:enum} Nothing\n```", "enumeration: 'Nothing' is unknown"),
        ("```{p2p:limits} Nothing\n```", "limits: 'Nothing' is no heading of a registry; there are Fixed texts"),
        ("```{p2p:machine} nothing\n:states: a.b\n```", "machine: nothing needs the option arrivals"),
        ("```{p2p:machine} nothing\n:states: a.b\n:arrivals: c.d\n```", "table: a.b can not be had"),
        ("```{p2p:sequence} no.where\n```", "sequence: no.where can not be had"),
        ("```{p2p:sequence} tests.sphinx.test_directives.no_recording\n```", "is no recording"),
        ("```{p2p:requirement} XX\n```", "requirement: none begins with XX"),
        ("```{p2p:vectors} codec\n```", "vectors: p2p_vectors names no directory"),
        (
            "```{p2p:message} Ping\n:extension: x/1\n:bytes: 0011\n```",
            "bytes: Ping.data: 8 bytes are needed, 2 are left",
        ),
        ("```{p2p:message} Ping\n:extension: x/1\n:bytes: xyz\n```", "bytes: non-hexadecimal"),
        (
            "```{p2p:message} Ping\n:extension: x/1\n:module: p2pwire.cli\n:bytes: 0011223344556677\n```",
            "module: p2pwire.cli has no Ping",
        ),
        ("{p2p:message}`Nothing`", "p2p:message reference target not found: Nothing"),
    ],
)
def test_what_is_not_there_is_named_with_its_line(tmp_path: Path, page: str, wanted: str) -> None:
    built = build(tmp_path, {"index": f"# Index\n\n{page}\n"})
    found = re.search(r"index\.md:(\d+): (?:WARNING|ERROR): (.*)", built.warnings, re.DOTALL)
    assert found is not None, built.warnings
    assert int(found[1]) == 3
    assert wanted in found[2]


def test_what_is_described_twice_is_named(tmp_path: Path) -> None:
    text = "\n\n```{p2p:limits} Times\n```\n"
    built = build(tmp_path, {"index": f"# Index{text}\n```{{toctree}}\nother\n```\n", "other": f"# Other{text}"})
    assert "limit DRAIN_TIMEOUT is described in index too" in built.warnings


def test_without_graphviz_a_machine_is_text_and_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    built = build(tmp_path, {"index": f"# States\n\n{TOPIC}"})
    assert "Graphviz's dot is needed" in built.warnings
    page = built.read("index.html")
    assert not SVG.findall(page)
    assert "ASKED -&gt; OPEN: JOIN" in re.sub(r"</?span[^>]*>", "", page)


def test_docstrings_cite_requirements(tmp_path: Path) -> None:
    page = (
        "# Index\n\n```{eval-rst}\n.. autoclass:: p2pwire.connection.tap.Tap\n.. automodule:: tests.sphinx.cited\n```\n"
    )
    built = build(
        tmp_path,
        {"index": f"{page}\n```{{toctree}}\nrules\n```\n", "rules": SPECIFICATION},
        conf=CONF + SOURCES,
    )
    assert built.warnings == ""
    shown = built.read("index.html")
    assert 'href="rules.html#p2p-requirement-pv-012"' in shown
    # An id that no requirement has stays as it is.
    assert "[ZZ-999]" in shown
