"""What every test of an adapter may want: each backend of anyio, and each adapter's peer."""

from __future__ import annotations

from typing import Any

import pytest

from p2pwire.adapters.anyio import Peer
from tests.adapters.facade import PeerFacade


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["asyncio", "trio", "blocking"])
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new_peer(adapter: str) -> Any:
    """The class of peers under test, with asynchronous names."""
    return PeerFacade if adapter == "blocking" else Peer
