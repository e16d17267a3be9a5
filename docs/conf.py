"""How Sphinx builds these pages: `sphinx-build -n -W --keep-going docs docs/_build/html`."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path

from docutils.nodes import Node, TextElement
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

HERE = Path(__file__).parent
ROOT = HERE.parent
TRACE_TIMEOUT = 60
"""seconds; it takes one or two."""

project = "p2pwire"
author = "The p2pwire authors"
project_copyright = "The p2pwire authors"
release = version = version_of("p2pwire")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx_copybutton",
    "sphinx_design",
    "p2pwire.sphinx",
]
exclude_patterns = ["_build", "example"]
source_suffix = {".md": "markdown"}

# --- the protocol's own pages ---

p2p_schemas = ["p2pwire.wire.schema"]
p2p_registries = ["p2pwire.wire.registry"]
p2p_requirements = "../conformance/requirements.json"
p2p_vectors = "../conformance/vectors"
# `p2p_trace`, what checks each requirement, is asked of the conformance suite where that is installed: see `setup`.

# --- text ---

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "attrs_inline"]
myst_heading_anchors = 4
nitpicky = True
# What other projects document, what is no part of the reference, type variables, and names for several types.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(abc|anyio|array|attrs?|collections|construct|cryptography|enum|hypothesis|os|pathlib|socket|types)(\..*)?",
    ),
    ("py:class", r"p2pwire\.adapters\.(engine|anyio\.carriers|blocking\.loop)\..*"),
    ("py:class", r"p2pwire\.node\.(asking|bans|core|dialqueue|outflow|peerbook|picker|rates|serving)\..*"),
    ("py:class", r"p2pwire\.(content\.bitmap|generate\.form|storage\.(directory|files)|testing)\..*"),
    ("py:class", r"(.*\.)?(_\w+|[A-Z])"),
    ("py:class", r"(Buffer|Clock|Input|LinkCell|TopicCell)"),
]
# Names without a module in the types of attributes, of which there are several.
suppress_warnings = ["ref.python"]
toc_object_entries = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# --- how it looks ---

html_theme = "furo"
html_title = f"p2pwire {release}"
html_static_path: list[str] = ["static"]
html_css_files = ["docs.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

# Links between the project's files, which on these pages lead to pages.
_PAGES = {
    "../SPEC.md": "specification.md",
    "VECTORS.md": "vectors.md",
}
_LINK = re.compile(r"\]\(([^)#]+)\)")
_CITED = re.compile(r"\[([A-Z]{2}-\d{3}(?:@\d+)?)\]")
_CODE = re.compile(r"(?<![`:])`([^`]+)`(?!`)")


def _read_included(app: Sphinx, relative: Path, parent: str, text: list[str]) -> None:
    """Links lead to pages; in the specification each requirement's id is what references to it lead to."""
    if parent == "specification" and relative.name == "SPEC.md":
        text[0] = _CITED.sub(r"{p2p:anchor}`\1`", text[0])
    text[0] = _LINK.sub(lambda link: f"]({_PAGES.get(link[1], link[1])})", text[0])


def _write_code(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
    """Docstrings have code between single backticks; reStructuredText wants two."""
    lines[:] = _CODE.sub(r"``\1``", "\n".join(lines)).split("\n")


def _find_message(app: Sphinx, env: BuildEnvironment, node: pending_xref, inner: TextElement) -> Node | None:
    """The class of a message is described on the message's page."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].removeprefix("p2pwire.wire.messages.")
    return env.domains["p2p"].resolve_xref(env, node["refdoc"], app.builder, "message", name, node, inner)


def _trace(app: Sphinx, config: Config) -> None:
    """Ask the conformance suite which of its cases check which requirement."""
    if find_spec("p2pwire_conformance") is None:
        return
    path = Path(app.doctreedir, "trace.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "p2pwire_conformance", "trace", "--json", str(path)]
    with suppress(subprocess.TimeoutExpired):
        # Whether all is traced is a gate of the suite, and none of these pages.
        subprocess.run(command, cwd=ROOT, capture_output=True, timeout=TRACE_TIMEOUT, check=False)
    if path.exists() and path.stat().st_size:
        config.p2p_trace = str(path)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("config-inited", _trace)
    app.connect("missing-reference", _find_message)
    app.connect("include-read", _read_included)
    # Before references are written into docstrings.
    app.connect("autodoc-process-docstring", _write_code, priority=400)
