"""What people are told of links, where processes could not be brought to do it in a certain order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from unittest.mock import Mock, create_autospec

import anyio
import pytest

from p2pwire.adapters.anyio import Peer
from p2pwire.cli.output import Output
from p2pwire.cli.session import Narrator
from p2pwire.node.address import Endpoint
from p2pwire.node.events import LinkFailed, NodeEvent
from p2pwire.wire.registry import CloseCode

BOB = Endpoint.parse("192.0.2.1", 40213)


def told(*events: NodeEvent) -> tuple[Mock, str]:
    """What an output is given of a story, and the troubles in the end."""

    async def story() -> AsyncIterator[NodeEvent]:
        for event in events:
            yield event

    output = create_autospec(Output, instance=True)
    peer = create_autospec(Peer, instance=True)
    peer.events.return_value = story()
    narrator = Narrator(output, peer)
    anyio.run(narrator.tell)
    return output, narrator.troubles


def test_a_second_link_to_a_peer_is_no_trouble() -> None:
    output, troubles = told(LinkFailed(BOB, "there is a link to this identity already", code=CloseCode.DUPLICATE))
    output.detail.assert_called_once_with(f"{BOB}: there is a link to this identity already")
    output.notice.assert_not_called()
    assert troubles == ""


@pytest.mark.parametrize("times", [1, 3])
def test_a_peer_that_can_not_be_reached_is_named_once(times: int) -> None:
    output, troubles = told(*[LinkFailed(BOB, "Connection refused")] * times)
    output.notice.assert_called_once_with(f"cannot reach {BOB}: Connection refused; trying again")
    assert troubles == f"{BOB}: Connection refused"
