"""Attackers that hold a connection for as long as they can, with as little as they can."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import ClassVar

from p2pwire.storage.memory import SharedMemory
from p2pwire.testing.attackers.attacker import FIRST_GROUP, Attacker, Voice
from p2pwire.testing.network import Host, Network, Wire
from p2pwire.testing.speaker import Speaker
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import INITIAL_CREDIT


class Stall(Enum):
    """Where a link stands still."""

    BEGINNING = "says nothing at all"
    HANDSHAKE = "sends its handshake a byte a second"
    HELLO = "does not say HELLO"
    RECORD = "sends a record a byte a second"
    SILENCE = "says HELLO and nothing more, not even PONG"
    READING = "asks for content and PINGs, and reads no answers"


class SlowLoris(Attacker):
    """Opens connections, and lets them stand still somewhere: the peers take the ways of doing that in turn."""

    name = "slow-loris"
    PING_EVERY: ClassVar[float] = 5.0
    """seconds between two PINGs of a peer that reads no answers."""

    def __init__(
        self,
        network: Network,
        contents: Sequence[SharedMemory],
        victims: Sequence[Host],
        *,
        count: int = len(Stall),
        ways: Sequence[Stall] = tuple(Stall),
        group: int = FIRST_GROUP,
        spread: bool = True,
    ) -> None:
        super().__init__(network, contents, victims, count=count, group=group, spread=spread)
        self.ways = ways
        self.stalls: list[tuple[Stall, Wire]] = []
        """What was tried, on which connection."""
        self.opened: dict[Wire, float] = {}
        """When a connection was there."""
        self.ended: dict[Wire, float] = {}
        """When the victim closed it."""
        self.carried: dict[Wire, float] = {}
        """When the last bytes came that the carrier could take, for those that do not read them."""

    def way(self, number: int) -> Stall:
        """That of one of the peers."""
        return self.ways[number % len(self.ways)]

    def begin(self) -> None:
        """All at once."""
        for number in range(self.count):
            puppet = self.settle(number)
            for victim in self.victims:
                way, wire = self.way(number), puppet.connect(victim)
                self.stalls.append((way, wire))
                if way in (Stall.BEGINNING, Stall.HANDSHAKE):
                    self._mute(wire, way)
                else:
                    self._watch(self.voice(number, wire, victim))

    def _mute(self, wire: Wire, way: Stall) -> None:
        """A connection without a mind."""
        flight: list[bytes] = []
        if way is Stall.HANDSHAKE:
            Speaker(flight.append, initiator=True)

        def opened() -> None:
            self.opened[wire] = self.network.now
            self._trickle(wire, b"".join(flight))

        wire.on_open = opened
        wire.on_end = lambda: self._end(wire)

    def _watch(self, voice: Voice) -> None:
        wire, begin, end = voice.wire, voice.wire.on_open, voice.wire.on_end

        def opened() -> None:
            self.opened[wire] = self.network.now
            begin()

        def ended() -> None:
            end()
            self._end(wire)

        wire.on_open, wire.on_end = opened, ended

    def _end(self, wire: Wire) -> None:
        if wire in self.opened:
            self.ended.setdefault(wire, self.network.now)
        if not wire.over:
            wire.end()

    def _trickle(self, wire: Wire, data: bytes) -> None:
        if data and not wire.over and wire not in self.ended:
            wire.send(data[:1])
            self.after(1.0, lambda: self._trickle(wire, data[1:]))

    def established(self, voice: Voice) -> None:
        """The handshake is over, for those that get so far."""
        way = self.way(voice.number)
        if way is Stall.HELLO:
            return
        voice.say(self.hello(voice.number))
        if way is Stall.RECORD:
            self._trickle(voice.wire, b"\xff\xff" + bytes(65535))
        elif way is Stall.READING:
            for handle, topic in enumerate(self.contents):
                voice.join(topic, handle)
            voice.say(*(msg.Request(number, 0, 0, number, 0) for number in range(INITIAL_CREDIT)))
            voice.wire.reads = False
            self._ping(voice)

    def _ping(self, voice: Voice) -> None:
        """It is not that nothing comes from here."""
        if not voice.wire.over and voice.wire not in self.ended:
            self.carried[voice.wire] = voice.wire.last_arrival
            voice.say(msg.Ping(b"12345678"))
            self.after(self.PING_EVERY, lambda: self._ping(voice))
