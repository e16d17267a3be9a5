"""The site, built once: everything of the protocol has an anchor and a text, and nothing comes from elsewhere."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sphinx.util.inventory import InventoryFile

from p2pwire.connection.state import LinkState, TopicState
from p2pwire.generate.describe import describe_form
from p2pwire.generate.form import MESSAGES
from p2pwire.generate.registry import REGISTRY
from p2pwire.generate.rows import field_rows
from p2pwire.wire import messages, registry

# The pages are written from objects with the text of their source.
pytestmark = pytest.mark.interpreted

ROOT = Path(__file__).parents[2]
DOCS, EXAMPLE = ROOT / "docs", ROOT / "docs" / "example"
CODES = ("CloseCode", "RejectCode", "RefusalReason")
WITHOUT_DOT = ("-D", "suppress_warnings=p2p.dot,ref.python")
"""Graphviz is no Python package: without it the drawings of state machines are missing, and nothing else."""
TIME = 600
"""seconds after which a build hangs; what it takes on a quiet machine is a gate of CI."""


def sphinx(source: Path, out: Path, builder: str) -> None:
    """Builds, and accepts no warning."""
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", "-j", "2", "-b", builder]
    command += [*(WITHOUT_DOT if shutil.which("dot") is None else ()), "-d", str(out / "doctrees"), str(source)]
    done = subprocess.run([*command, str(out / builder)], capture_output=True, text=True, check=False, timeout=TIME)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The HTML."""
    place = tmp_path_factory.mktemp("site")
    sphinx(DOCS, place, "html")
    return place / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, str]:
    """Every page, by its name."""
    return {str(path.relative_to(site)): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}


@pytest.fixture(scope="module")
def inventory(site: Path) -> Any:
    """What others can point at: type -> name -> item."""
    return InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data


def text_of(page: str) -> str:
    """What a reader sees."""
    return plain(html.unescape(re.sub(r"<[^>]+>", "", page)))


def plain(text: str) -> str:
    """With single spaces and straight quotes."""
    return " ".join(text.translate(str.maketrans("“”‘’", "\"\"''")).split())


def check_anchor(pages: dict[str, str], inventory: Any, kind: str, name: str, text: str) -> None:
    """It can be pointed at, the anchor is there, and its page says the text."""
    item = inventory[f"p2p:{kind}"][name]
    page, _, anchor = item.uri.partition("#")
    assert f'id="{anchor}"' in pages[page], name
    assert text
    assert plain(text) in text_of(pages[page]), name


def test_messages_and_fields_have_anchors_and_texts(pages: dict[str, str], inventory: Any) -> None:
    for message in MESSAGES:
        check_anchor(pages, inventory, "message", message.title, message.text)
        for row in field_rows(message):
            check_anchor(pages, inventory, "field", f"{message.title}.{row.name}", row.text)


def test_values_codes_and_limits_have_anchors_and_texts(pages: dict[str, str], inventory: Any) -> None:
    for found in REGISTRY.enumerations.values():
        check_anchor(pages, inventory, "enum", found.name, found.text)
        kind = "error" if found.name in CODES else "value"
        for member in found.members:
            check_anchor(pages, inventory, kind, f"{found.name}.{member.name}", member.text)
    for name, constant in REGISTRY.constants.items():
        check_anchor(pages, inventory, "limit", name, constant.text)


def test_states_and_requirements_have_anchors_and_texts(pages: dict[str, str], inventory: Any) -> None:
    kinds: tuple[type[Enum], ...] = (LinkState, TopicState)
    for kind in kinds:
        for state in kind:
            check_anchor(pages, inventory, "state", f"{kind.__name__}.{state.name}", str(state.value))
    for row in json.loads((ROOT / "conformance" / "requirements.json").read_text(encoding="utf-8")):
        check_anchor(pages, inventory, "requirement", row["id"], row["id"])


def test_bytes_on_the_pages_decode_and_encode_back(pages: dict[str, str]) -> None:
    for message in MESSAGES:
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", message.title).lower()
        text = html.unescape(re.sub(r"<[^>]+>", "", pages[f"messages/{name}.html"]))
        found = re.search(r"body = bytes\.fromhex\(([^)]*)\)", text)
        assert found is not None, message.title
        data = bytes.fromhex("".join(re.findall(r'"([0-9a-f]+)"', found[1])))
        assert data
        assert getattr(messages, message.title).decode(data).encode() == data
        # The annotated bytes are what `p2pwire decode` says.
        shown = plain(text)
        for row in describe_form(data, message):
            assert row.problem is None
            assert plain(row.value)[:70] in shown, row


def test_pages_and_the_command_explain_bytes_alike(pages: dict[str, str], tmp_path: Path) -> None:
    """Both ask `p2pwire.generate.describe`: offset, bytes and value of each field."""
    page = pages["messages/peer-record.html"]
    table = re.search(r'<table class="p2p-table p2p-bytes.*?</table>', page, re.DOTALL)
    assert table is not None
    rows = [
        re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", table[0], re.DOTALL)[1:]
    ]
    shown = [tuple(text_of(cell) for cell in row) for row in rows]
    (tmp_path / "bytes").write_text(" ".join(row[1] for row in shown))
    command = [sys.executable, "-m", "p2pwire", "decode", "--json", "--hex", "--as", "peer-record"]
    command.append(str(tmp_path / "bytes"))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    # The record of the vector is not signed: its form is what the vector is about.
    fields = [row for row in said if row["event"] == "field" and row["problem"] is None]
    assert len(fields) == len(shown)
    for row, (offset, raw, name, value) in zip(fields, shown, strict=True):
        assert (row["offset"], row["length"]) == (int(offset), len(bytes.fromhex(raw)))
        assert row["path"] == f"PeerRecord.{name}"
        assert plain(row["value"])[:70] == value[:70]


def test_nothing_comes_from_other_hosts(site: Path, pages: dict[str, str]) -> None:
    loaded = re.compile(
        r"<(?:script|img|iframe|source|embed|object|audio|video)\b[^>]*?(?:src|data|srcset)=\"([^\"]*)\""
    )
    linked = re.compile(r"<link\b[^>]*>")
    for name, page in pages.items():
        for found in loaded.findall(page):
            assert not re.match(r"(?:[a-z]+:)?//", found), (name, found)
        for found in linked.findall(page):
            if re.search(r'rel="(?:stylesheet|preload|icon|preconnect|dns-prefetch|modulepreload)', found):
                assert not re.search(r'href="(?:[a-z]+:)?//', found), (name, found)
    styles = list(site.rglob("*.css"))
    assert any(path.name == "p2p.css" for path in styles)
    for path in styles:
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"(?:url\(|@import)\s*[\"']?(?:[a-z]+:)?//", text), path


def test_drawings_parse_and_have_titles(pages: dict[str, str]) -> None:
    count = 0
    for name, page in pages.items():
        for svg in re.findall(r'<svg[^>]*class="p2p-drawing.*?</svg>', page, re.DOTALL):
            drawing = ElementTree.fromstring(re.sub(r'\sxlink:href="[^"]*"', "", svg))
            title, description = drawing.find("{*}title"), drawing.find("{*}desc")
            if title is None:  # Graphviz's namespace is declared after our head
                title, description = drawing.find("title"), drawing.find("desc")
            assert title is not None, name
            assert title.text, name
            assert description is not None, name
            assert description.text, name
            assert drawing.get("aria-labelledby") == title.get("id")
            count += 1
    machines = 2 if shutil.which("dot") else 0
    assert count == len(MESSAGES) + machines + 1


def test_references_to_the_registry_are_of_the_registry() -> None:
    """A page that names a constant in code names one that exists."""
    for path in DOCS.glob("*.md"):
        for name in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", path.read_text(encoding="utf-8")):
            assert hasattr(registry, name) or any(
                name in kind.__members__ for kind in (registry.CloseCode, registry.FrameType)
            )


def test_examples_run(site: Path) -> None:
    sphinx(DOCS, site.parent, "doctest")


def test_the_pages_of_an_extension(tmp_path: Path) -> None:
    sphinx(EXAMPLE, tmp_path, "html")
    say = (tmp_path / "html" / "say.html").read_text(encoding="utf-8")
    assert 'id="p2p-field-say-text"' in say
    assert "frame of the extension chat/1" in text_of(say)
    assert '"hello"' in text_of(say)
    for section in ("fields", "bytes", "when-it-may-come", "example"):
        assert f'id="{section}"' in say
    sphinx(EXAMPLE, tmp_path, "doctest")
