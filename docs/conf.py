"""How Sphinx builds these pages: `sphinx-build -n -W --keep-going docs docs/_build/html`."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
ROOT = HERE.parent

project = "p2pwire"
author = "The p2pwire authors"
project_copyright = "The p2pwire authors"
release = version = version_of("p2pwire")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
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

# --- text ---

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "attrs_inline"]
myst_heading_anchors = 4
nitpicky = True

# --- how it looks ---

html_theme = "furo"
html_title = f"p2pwire {release}"
html_static_path: list[str] = []
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

_CITED = re.compile(r"\[([A-Z]{2}-\d{3}(?:@\d+)?)\]")


def _anchor_requirements(app: Sphinx, relative: Path, parent: str, text: list[str]) -> None:
    """In the specification each requirement's id is what references to it lead to."""
    if parent == "specification" and relative.name == "SPEC.md":
        text[0] = _CITED.sub(r"{p2p:anchor}`\1`", text[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("include-read", _anchor_requirements)
