"""Two connections joined by a pipe in memory, on virtual time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, TypeVar

from p2pwire.connection.commands import Command
from p2pwire.connection.config import Config, Role
from p2pwire.connection.connection import MAX_READ, Connection
from p2pwire.connection.events import Event

WHOLE: Final = MAX_READ
"""Pieces of this size: as much at once as a connection takes."""

E = TypeVar("E")


def seeded(seed: str) -> Callable[[int], bytes]:
    """A source of bytes that looks random and is the same each time."""
    stream = 0

    def random(size: int) -> bytes:
        nonlocal stream
        stream += 1
        return hashlib.shake_128(f"{seed}/{stream}".encode()).digest(size)

    return random


class Side:
    """One end: a connection, the events that it gave, and what is on its way to it."""

    def __init__(self, role: Role, config: Config, now: float) -> None:
        self.connection = Connection(role, config, now=now, random=seeded(role.value))
        self.events: list[Event] = []
        self.sent = bytearray()
        """Everything that it sent."""
        self.arriving = bytearray()
        """Sent by the other side and not taken yet."""

    def of(self, kind: type[E]) -> list[E]:
        """The events of one class."""
        return [event for event in self.events if isinstance(event, kind)]

    def send(self, *commands: Command) -> None:
        """Give commands, in order."""
        for command in commands:
            self.connection.send(command)

    def take_events(self) -> None:
        """Move what the connection has to tell into `events`."""
        while (event := self.connection.next_event()) is not None:
            self.events.append(event)


class Pair:
    """An initiator and a responder; `run` carries bytes until nothing moves.

    A side is given bytes only while it wants them. `piece` is the most that it is given at once, `capacity` the most
    that is under way in one direction before the other side has nothing taken from it.
    """

    def __init__(self, initiator: Config, responder: Config, *, piece: int = WHOLE, capacity: int = 1) -> None:
        self.now = 1000.0
        self.piece = piece
        self.capacity = capacity
        self.initiator = Side(Role.INITIATOR, initiator, self.now)
        self.responder = Side(Role.RESPONDER, responder, self.now)

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both."""
        return self.initiator, self.responder

    def other(self, side: Side) -> Side:
        """The one at the other end."""
        return self.responder if side is self.initiator else self.initiator

    def run(self, each: Callable[[Side], None] = Side.take_events) -> None:
        """Carry bytes both ways until both sides are quiet. `each` is called whenever a side may have events."""
        moved = True
        while moved:
            moved = self.carry(self.initiator, each)
            moved = self.carry(self.responder, each) or moved

    def carry(self, target: Side, each: Callable[[Side], None] = Side.take_events) -> bool:
        """Let one piece move towards a side. Whether anything did."""
        source = self.other(target)
        each(source)
        moved = False
        if len(target.arriving) < self.capacity:
            data = b"".join(source.connection.data_to_send(self.now))
            source.sent += data
            target.arriving += data
            moved = bool(data)
        if target.connection.wants_data:
            if target.arriving:
                target.connection.receive_data(target.arriving[: self.piece], self.now)
                del target.arriving[: self.piece]
                moved = True
            elif source.connection.output_ended:
                target.connection.receive_data(b"", self.now)
                moved = True
        each(target)
        return moved

    def advance(self, seconds: float) -> None:
        """Let time go by, timer after timer."""
        end = self.now + seconds
        while True:
            due = [t for side in self.sides if (t := side.connection.next_timeout()) is not None]
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
            for side in self.sides:
                side.connection.handle_timeout(self.now)
            self.run()
        self.now = end
