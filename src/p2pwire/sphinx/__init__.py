"""A Sphinx extension that documents a wire protocol from its schema: `extensions = ["p2pwire.sphinx"]`.

It adds the domain `p2p` with the directives `message`, `packet`, `fields`, `enum`, `errors`, `limits`, `machine`,
`sequence`, `requirement` and `vectors`, a role for each kind of object, an index, and entries in `objects.inv`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from p2pwire.sphinx import directives
from p2pwire.sphinx.domain import ProtocolDomain
from p2pwire.sphinx.message import MessageDirective
from p2pwire.sphinx.tables import Drawn, visit_drawing_html, visit_drawing_other, visit_drawing_text

STYLE: Final = "p2p.css"
_CITED: Final = re.compile(r"\[([A-Z]{2}-\d{3})(?:@\d+)?\]")
_DIRECTIVES: Final = {
    "message": MessageDirective,
    "packet": directives.PacketDirective,
    "fields": directives.FieldsDirective,
    "enum": directives.EnumDirective,
    "errors": directives.ErrorsDirective,
    "limits": directives.LimitsDirective,
    "machine": directives.MachineDirective,
    "sequence": directives.SequenceDirective,
    "requirement": directives.RequirementDirective,
    "vectors": directives.VectorsDirective,
}


def _domain(app: Sphinx) -> ProtocolDomain:
    found = app.env.get_domain("p2p")
    assert isinstance(found, ProtocolDomain)
    return found


def _begin(app: Sphinx) -> None:
    _domain(app).confdir = Path(app.confdir)
    app.config.html_static_path.append(str(Path(__file__).parent / "static"))


def _cite(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
    """In a docstring `[FR-003]` leads to the requirement."""
    known = _domain(app).sources.requirements

    def role(found: re.Match[str]) -> str:
        return f":p2p:requirement:`{found[1]}`" if found[1] in known else found[0]

    lines[:] = [_CITED.sub(role, line) for line in lines]


def _read_docstrings(app: Sphinx, config: object) -> None:
    if "sphinx.ext.autodoc" in app.extensions:
        app.connect("autodoc-process-docstring", _cite)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    lists: Any = []
    app.add_config_value("p2p_schemas", lists, "env", list, "modules whose MESSAGES are documented")
    app.add_config_value("p2p_registries", lists, "env", list, "modules of enumerations and constants")
    for name, text in (
        ("p2p_requirements", "requirements.json"),
        ("p2p_trace", "what checks each requirement, as `p2pwire-conformance trace --json` writes it"),
        ("p2p_vectors", "directory of vectors"),
    ):
        app.add_config_value(name, "", "env", str, f"{text}, relative to conf.py")
    app.add_domain(ProtocolDomain)
    for directive, kind in _DIRECTIVES.items():
        app.add_directive_to_domain("p2p", directive, kind)
    other = (visit_drawing_other, None)
    app.add_node(
        Drawn,
        html=(visit_drawing_html, None),
        text=(visit_drawing_text, None),
        latex=other,
        man=other,
        texinfo=other,
    )
    app.connect("config-inited", _read_docstrings)
    app.connect("builder-inited", _begin)
    app.add_css_file(STYLE)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
