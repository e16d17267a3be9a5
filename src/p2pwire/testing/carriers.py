"""Connections between the hosts of a `Network`: what TCP does to bytes, without TCP.

Each direction takes segments at the pace of the sending host's uplink, carries them with a latency and in order, and
takes no more while a window's worth of them is not read. A sender is asked for more only when the wire has taken what
it gave before.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from p2pwire.testing.network.network import Network
    from p2pwire.testing.network.station import Program, Station

_FIN: Final = b""


@attrs.define(eq=False)
class End:
    """One end of a connection: a link of a program, as long as that program runs."""

    host: Station
    program: Program
    link: int | None = None
    """None until the connection is made on this side."""
    over: bool = False
    """The node uses it no longer; what it gave is still sent."""
    dead: bool = False
    """The connection, or the process, is gone."""
    out: Pipe = attrs.field(init=False, repr=False)
    """To the other end."""
    arriving: Pipe = attrs.field(init=False, repr=False)
    """From the other end."""

    def read(self) -> None:
        """Let the node have what has arrived, as long as it wants some."""
        if self.link is None:
            return
        while not (self.dead or self.over) and self.arriving.unread and self.program.wants_data(self.link):
            self.program.receive_data(self.link, self.arriving.take(), self.host.now)
            self.host.pump()

    def hang_up(self) -> None:
        """The node closes its end: what it gave before still goes; what comes is not wanted."""
        self.over = True
        self.arriving.unread.clear()
        self.out.write()

    def lose(self) -> None:
        """The connection breaks, as this end sees it."""
        if self.dead:
            return
        self.dead = True
        self.arriving.unread.clear()
        self.out.unsent.clear()
        if not self.over and self.link is not None:
            self.program.link_lost(self.link, self.host.now)
            self.host.pump()

    def reset(self) -> None:
        """The connection breaks here, and the other end hears of it."""
        self.dead = True
        self.out.network.carry(self.out, None)


class Pipe:
    """One direction of a connection."""

    def __init__(self, network: Network, source: End, target: End) -> None:
        self.network = network
        self.source = source
        self.target = target
        self.unsent: deque[memoryview] = deque()
        """What the node gave, and the wire has not taken."""
        self.unread: deque[bytes] = deque()
        """What has arrived, and the other node has not read."""
        self.held: deque[bytes | None] = deque()
        """What waits for the network to be whole again."""
        self.last_arrival = 0.0
        """When the segment before reaches the other end."""
        self._outstanding = 0
        self._busy = False
        self._ended = False

    def write(self) -> None:
        """Put the next segment on the wire, if the wire is free and the window is open."""
        end = self.source
        if self._busy or self._ended or end.dead or end.link is None:
            return
        if not self.unsent and not end.over:
            buffers = end.program.data_to_send(end.link, end.host.now)
            self.unsent.extend(map(memoryview, buffers))
        if self.unsent:
            self._segment()
        elif end.over or end.program.output_ended(end.link):
            self._ended = True
            self.network.carry(self, _FIN)

    def _segment(self) -> None:
        end = self.source
        segment = self.network.way(end.host, self.target.host).size(self.network.random)
        room = min(segment, self.network.window - self._outstanding)
        if room <= 0:
            return  # the reader opens it again
        buffer = self.unsent.popleft()
        piece = bytes(buffer[:room])
        if len(buffer) > room:
            self.unsent.appendleft(buffer[room:])
        self._outstanding += len(piece)
        self._busy = True
        end.host.line.send(len(piece), partial(self._left, piece))

    def _left(self, piece: bytes) -> None:
        self._busy = False
        if self.source.dead:
            return  # what a system has not sent when a connection breaks, it throws away
        self.network.carry(self, piece)
        self._go_on()

    def _go_on(self) -> None:
        self.write()
        self.source.host.pump()

    def arrive(self, piece: bytes | None) -> None:
        """A segment is at the other end; None: a reset."""
        target = self.target
        if piece is None:
            target.lose()
        elif target.dead or target.host.program is not target.program:
            # Nobody is there who knows of this connection; a host that is down does not even say that.
            if target.host.up and piece:
                target.reset()
        elif target.over:
            if piece:
                target.reset()
        else:
            self.unread.append(piece)
            target.read()

    def take(self) -> bytes:
        """The next segment that has arrived; the window opens by its size."""
        piece = self.unread.popleft()
        self._outstanding -= len(piece)
        if not self._busy and self.unsent:
            self.network.at(self.network.now, self._go_on)
        return piece
