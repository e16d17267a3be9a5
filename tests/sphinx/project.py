"""Small documentation projects, built in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "example"
CONF = """
extensions = ["myst_parser", "sphinx.ext.autodoc", "p2pwire.sphinx"]
source_suffix = {".md": "markdown"}
project = "test"
html_theme = "basic"
nitpicky = True
p2p_schemas = ["p2pwire.wire.schema"]
p2p_registries = ["p2pwire.wire.registry"]
"""


@attrs.frozen
class Built:
    """What a build has left."""

    out: Path
    warnings: str
    app: Sphinx

    def read(self, name: str) -> str:
        return (self.out / name).read_text(encoding="utf-8")


def build(
    place: Path,
    pages: Mapping[str, str],
    *,
    conf: str = CONF,
    builder: str = "html",
    parallel: int = 1,
) -> Built:
    """Pages by their names, without `.md`; the first one is `index`."""
    source = place / "source"
    source.mkdir(exist_ok=True)
    (source / "conf.py").write_text(conf)
    for name, text in pages.items():
        (source / f"{name}.md").write_text(text)
    out, warnings = place / builder, io.StringIO()
    path = sys.path[:]
    try:
        with docutils_namespace(), patch_docutils(str(source)):
            app = Sphinx(
                str(source),
                str(source),
                str(out),
                str(place / "doctrees"),
                builder,
                status=None,
                warning=warnings,
                freshenv=True,
                parallel=parallel,
            )
            app.build(force_all=True)
    finally:
        sys.path[:] = path
    return Built(out, warnings.getvalue(), app)
