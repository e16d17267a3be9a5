"""What flows over one carrier, as an adapter sees it: bytes in, bytes out, and nothing of what they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from p2pwire.connection.connection import Connection
from p2pwire.wire.messages import Buffer


class Traffic(Protocol):
    """One end of a link. None of its methods waits."""

    def wants_data(self) -> bool:
        """Whether to read; if not, the adapter is told when it is time again."""

    def receive_data(self, data: Buffer) -> None:
        """Bytes came; none: the stream has ended."""

    def lost(self) -> None:
        """The carrier broke."""

    def data_to_send(self) -> list[Buffer]:
        """What to write next, when everything before is written; nothing: the adapter is told when there is more."""

    def output_ended(self) -> bool:
        """Whether nothing more will be written."""


@attrs.frozen
class ConnectionTraffic:
    """The traffic of a connection without a node."""

    _connection: Connection
    _now: Callable[[], float]
    _arrived: Callable[[], None]
    """Called when there is something to parse."""
    _taken: Callable[[], None]
    """Called when there is room to send."""

    def wants_data(self) -> bool:
        """See `Traffic`."""
        return self._connection.wants_data

    def receive_data(self, data: Buffer) -> None:
        """See `Traffic`."""
        self._connection.receive_data(data, self._now())
        self._arrived()

    def lost(self) -> None:
        """See `Traffic`."""
        self.receive_data(b"")

    def data_to_send(self) -> list[Buffer]:
        """See `Traffic`."""
        buffers = self._connection.data_to_send()
        if buffers:
            self._taken()
        return buffers

    def output_ended(self) -> bool:
        """See `Traffic`."""
        return self._connection.output_ended
