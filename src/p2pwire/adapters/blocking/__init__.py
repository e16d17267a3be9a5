"""p2pwire for programs without an event loop: plain sockets and threads."""

from __future__ import annotations

from p2pwire.adapters.blocking.fetch import Events, Fetch
from p2pwire.adapters.blocking.link import Link, open_connection
from p2pwire.adapters.blocking.peer import Peer
from p2pwire.adapters.transfer import FetchCancelledError, Fetched, PeerClosedError

__all__ = ["Peer", "Fetch", "Fetched", "FetchCancelledError", "PeerClosedError", "Events", "Link", "open_connection"]
