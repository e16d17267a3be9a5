"""How the pages of an extension are built: `sphinx-build -n -W docs/example docs/_build/example`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "chat"
author = "Whoever writes the extension"
extensions = ["myst_parser", "sphinx.ext.doctest", "p2pwire.sphinx"]
source_suffix = {".md": "markdown"}
p2p_schemas = ["chat.schema"]
p2p_registries = ["chat.registry"]
html_theme = "furo"
nitpicky = True
