"""p2pwire under anyio: asyncio and trio alike."""

from __future__ import annotations

from p2pwire.adapters.anyio.fetch import Events, Fetch
from p2pwire.adapters.anyio.link import Link, open_connection
from p2pwire.adapters.anyio.peer import Peer
from p2pwire.adapters.transfer import FetchCancelledError, Fetched, PeerClosedError

__all__ = ["Peer", "Fetch", "Fetched", "FetchCancelledError", "PeerClosedError", "Events", "Link", "open_connection"]
