"""p2pwire: a peer-to-peer wire protocol that can be trusted to the byte.

This module names the sans-IO core: `Connection`, one link, and `Node`, a peer with many links. They touch no socket,
no file and no clock. `p2pwire.adapters.anyio` and `p2pwire.adapters.blocking` have the `Peer` that does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from p2pwire.connection import commands, events
    from p2pwire.connection.commands import LocalProtocolError
    from p2pwire.connection.config import Config, Extension, Limits, Offer, Role, Timeouts
    from p2pwire.connection.connection import Connection
    from p2pwire.content.manifest import Manifest
    from p2pwire.content.objects import ObjectInfo
    from p2pwire.content.uri import Uri
    from p2pwire.crypto.identity import Identity
    from p2pwire.node.node import Node, NodeConfig
    from p2pwire.wire.registry import CloseCode

__version__ = "0.1.0"

__all__ = [
    "Connection",
    "Role",
    "Config",
    "Offer",
    "Limits",
    "Timeouts",
    "Extension",
    "commands",
    "events",
    "LocalProtocolError",
    "CloseCode",
    "Node",
    "NodeConfig",
    "Identity",
    "Uri",
    "ObjectInfo",
    "Manifest",
    "__version__",
]

_HOMES: Final = {
    "connection.commands": ("LocalProtocolError",),
    "connection.config": ("Config", "Extension", "Limits", "Offer", "Role", "Timeouts"),
    "connection.connection": ("Connection",),
    "content.manifest": ("Manifest",),
    "content.objects": ("ObjectInfo",),
    "content.uri": ("Uri",),
    "crypto.identity": ("Identity",),
    "node.node": ("Node", "NodeConfig"),
    "wire.registry": ("CloseCode",),
}


def __getattr__(name: str) -> object:
    # Loaded when asked for: the generator has to import its own package while the messages that it writes are missing.
    if name in ("commands", "events"):
        return import_module(f"p2pwire.connection.{name}")
    for home, names in _HOMES.items():
        if name in names:
            found: object = getattr(import_module(f"p2pwire.{home}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
