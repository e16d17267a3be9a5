"""The domain `p2p`: what of a protocol can be pointed at, from this project's pages and from others'."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
from docutils import nodes
from docutils.nodes import Element
from sphinx import addnodes
from sphinx.builders import Builder
from sphinx.domains import Domain, Index, IndexEntry, ObjType
from sphinx.environment import BuildEnvironment
from sphinx.roles import XRefRole
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole
from sphinx.util.nodes import make_refnode

from p2pwire.sphinx.sources import Sources

_LOGGER: Final = logging.getLogger(__name__)

TYPES: Final = {
    "message": ("message", "messages"),
    "field": ("field of a message", "fields"),
    "enum": ("enumeration", "enumerations"),
    "value": ("value of an enumeration", "values"),
    "error": ("code of an error", "errors"),
    "machine": ("state machine", "machines"),
    "state": ("state", "states"),
    "limit": ("limit", "limits"),
    "requirement": ("requirement", "requirements"),
    "vectors": ("family of vectors", "vectors"),
    "sequence": ("recorded exchange", "sequences"),
}
"""Kinds of objects, each also the name of the role that points at one: what one is, and the heading in the index."""


@attrs.frozen
class Target:
    """Where an object is described."""

    document: str
    anchor: str
    shown: str
    """What a reference to it says if it is given no text."""


def anchor_of(kind: str, name: str) -> str:
    """`field`, `Ping.data` -> `p2p-field-ping-data`."""
    return f"p2p-{kind}-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


class _Reference(XRefRole):
    """`{p2p:message}` and its like: `{p2p:field}`Ping.data``."""


class AnchorRole(SphinxRole):
    """Where a requirement stands: shows its id, and is what references to it lead to."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        name = self.text.partition("@")[0]
        domain = self.env.get_domain("p2p")
        assert isinstance(domain, ProtocolDomain)
        anchor = domain.note("requirement", name, self.get_location())
        return [nodes.inline("", f"[{self.text}]", ids=[anchor], classes=["p2p-requirement"])], []


class ProtocolIndex(Index):
    """All of it in one list."""

    name = "index"
    localname = "Protocol index"
    shortname = "protocol"

    def generate(self, docnames: Iterable[str] | None = None) -> tuple[list[tuple[str, list[IndexEntry]]], bool]:
        """Entries under the name of their kind; requirements, of which there are hundreds, stand in their own pages."""
        assert isinstance(self.domain, ProtocolDomain)
        groups: dict[str, list[IndexEntry]] = {}
        for (kind, _), target in sorted(self.domain.targets.items()):
            if kind != "requirement" and (docnames is None or target.document in set(docnames)):
                entry = IndexEntry(target.shown, 0, target.document, target.anchor, "", "", TYPES[kind][0])
                groups.setdefault(TYPES[kind][1], []).append(entry)
        return sorted(groups.items()), False


class ProtocolDomain(Domain):
    """Messages, fields, codes, states, limits and requirements of a protocol."""

    name = "p2p"
    label = "Wire protocol"
    object_types: ClassVar[dict[str, ObjType]] = {kind: ObjType(text, kind) for kind, (text, _) in TYPES.items()}
    roles: ClassVar[dict[str, Any]] = {**{kind: _Reference() for kind in TYPES}, "anchor": AnchorRole()}
    indices: ClassVar[list[type[Index]]] = [ProtocolIndex]
    initial_data: ClassVar[dict[str, Any]] = {"targets": {}}
    data_version = 1

    confdir: Path | None = None
    """Where conf.py is; set as the build begins."""
    _sources: Sources | None = None

    @property
    def sources(self) -> Sources:
        """The sources that the configuration names, read once. Raises SourceError."""
        if self._sources is None:
            config, confdir = self.env.config, self.confdir or Path()

            def path(name: str) -> Path | None:
                return confdir / config[name] if config[name] else None

            self._sources = Sources(
                schemas=config.p2p_schemas,
                registries=config.p2p_registries,
                requirements=path("p2p_requirements"),
                trace=path("p2p_trace"),
                vectors=path("p2p_vectors"),
            )
        return self._sources

    @property
    def targets(self) -> dict[tuple[str, str], Target]:
        """(kind, name) -> where it is described."""
        found: dict[tuple[str, str], Target] = self.data["targets"]
        return found

    def note(self, kind: str, name: str, location: Any, *, shown: str = "") -> str:
        """An object is described in the document that is being read; its anchor."""
        anchor = anchor_of(kind, name)
        other = self.targets.get((kind, name))
        if other is not None and other.document != self.env.docname:
            _LOGGER.warning("%s %s is described in %s too", kind, name, other.document, location=location, type="p2p")
        self.targets[kind, name] = Target(self.env.docname, anchor, shown or name)
        return anchor

    def clear_doc(self, docname: str) -> None:
        """A document is about to be read anew."""
        for key in [key for key, target in self.targets.items() if target.document == docname]:
            del self.targets[key]

    def merge_domaindata(self, docnames: AbstractSet[str], otherdata: dict[str, Any]) -> None:
        """What another process has read."""
        for key, target in otherdata["targets"].items():
            if target.document in docnames:
                self.targets[key] = target

    def resolve_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        typ: str,
        target: str,
        node: addnodes.pending_xref,
        contnode: Element,
    ) -> nodes.reference | None:
        """A reference to an object of that kind."""
        found = self.targets.get((typ, target))
        if found is None:
            return None
        return make_refnode(builder, fromdocname, found.document, found.anchor, contnode, f"{typ} {target}")

    def resolve_any_xref(
        self,
        env: BuildEnvironment,
        fromdocname: str,
        builder: Builder,
        target: str,
        node: addnodes.pending_xref,
        contnode: Element,
    ) -> list[tuple[str, nodes.reference]]:
        """References of `{any}`."""
        found = []
        for kind in TYPES:
            made = self.resolve_xref(env, fromdocname, builder, kind, target, node, contnode)
            if made is not None:
                found.append((f"p2p:{kind}", made))
        return found

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """For the search and for `objects.inv`."""
        for (kind, name), target in self.targets.items():
            # Requirements and fields are found by their names, but do not come before messages.
            priority = 1 if kind in ("message", "enum", "machine") else 0
            yield name, target.shown, kind, target.document, target.anchor, priority
