"""Two connections joined by a pipe in memory, on virtual time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from p2pwire.connection.commands import Command
from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import Connection
from p2pwire.connection.events import Event

WHOLE: Final = 2**30
"""Pieces of this size: everything in one."""


def seeded(seed: str) -> Callable[[int], bytes]:
    """A source of bytes that looks random and is the same each time."""
    stream = 0

    def random(size: int) -> bytes:
        nonlocal stream
        stream += 1
        return hashlib.shake_128(f"{seed}/{stream}".encode()).digest(size)

    return random


class Side:
    """One end: a connection and the events that it gave."""

    def __init__(self, role: Role, config: Config, now: float) -> None:
        self.connection = Connection(role, config, now=now, random=seeded(role.value))
        self.events: list[Event] = []

    def of(self, kind: type[Event]) -> list[Event]:
        """The events of one class."""
        return [event for event in self.events if isinstance(event, kind)]

    def send(self, *commands: Command) -> None:
        """Give commands, in order."""
        for command in commands:
            self.connection.send(command)


class Pair:
    """An initiator and a responder; `run` carries bytes until nothing moves."""

    def __init__(self, initiator: Config, responder: Config, *, piece: int = WHOLE) -> None:
        self.now = 1000.0
        self.piece = piece
        self.initiator = Side(Role.INITIATOR, initiator, self.now)
        self.responder = Side(Role.RESPONDER, responder, self.now)

    def run(self) -> None:
        """Carry bytes both ways, in pieces, and take all events, until both sides are quiet."""
        moved = True
        while moved:
            moved = self._carry(self.initiator, self.responder)
            moved = self._carry(self.responder, self.initiator) or moved

    def advance(self, seconds: float) -> None:
        """Let time go by, timer after timer."""
        end = self.now + seconds
        while True:
            due = [t for s in (self.initiator, self.responder) if (t := s.connection.next_timeout()) is not None]
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
            for side in (self.initiator, self.responder):
                side.connection.handle_timeout(self.now)
            self.run()
        self.now = end

    def _carry(self, source: Side, target: Side) -> bool:
        self.take_events(source)
        data = b"".join(source.connection.data_to_send())
        for at in range(0, len(data), self.piece):
            target.connection.receive_data(data[at : at + self.piece], self.now)
            self.take_events(target)
        ended = source.connection.output_ended and target.connection.wants_data
        if ended:
            target.connection.receive_data(b"", self.now)
        self.take_events(target)
        return bool(data) or ended

    @staticmethod
    def take_events(side: Side) -> None:
        """Move what the connection has to tell into `events`."""
        while (event := side.connection.next_event()) is not None:
            side.events.append(event)
