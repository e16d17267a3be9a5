"""Attackers of peer exchange: too many records, records that point at somebody, records that are not true, and crowds
that want to be all that a peer knows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from p2pwire.node.address import Endpoint
from p2pwire.storage.memory import SharedMemory
from p2pwire.testing.attackers.attacker import FIRST_GROUP, Attacker, Voice
from p2pwire.testing.network import Host, Network
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import MAX_ADDRESSES, MAX_PEERS_ADDED, PEERS_ACCEPTED, PEERS_INTERVAL, HelloTag, JoinFlag


class Teller(Attacker):
    """Tells of peers, as much as is taken from it: so many PEERS in each minute as do not end the link."""

    FRAMES: ClassVar[int] = PEERS_ACCEPTED
    """PEERS within a minute."""

    def __init__(
        self,
        network: Network,
        contents: Sequence[SharedMemory],
        victims: Sequence[Host],
        *,
        count: int = 1,
        records: int = 1000,
        group: int = FIRST_GROUP,
        spread: bool = True,
    ) -> None:
        """`records`: how many there are to tell, over all peers and links."""
        super().__init__(network, contents, victims, count=count, group=group, spread=spread)
        self.records = records
        self.told = 0
        """Records sent."""

    def join_flags(self) -> int:
        """It wants nothing but to tell."""
        return JoinFlag.UPLOAD_ONLY

    def heard(self, voice: Voice, frame: msg.Frame) -> None:
        """The topic is open: begin."""
        if isinstance(frame, msg.Join) and frame.topic in voice.handles:
            self._tell(voice, frame.topic)

    def _tell(self, voice: Voice, topic: bytes) -> None:
        """The records of one minute."""
        if voice.over or self.told >= self.records:
            return
        for _ in range(self.FRAMES):
            size = min(MAX_PEERS_ADDED, self.records - self.told)
            added = tuple(msg.SharedRecord(1, self.tell(voice, self.told + n)) for n in range(size))
            self.told += size
            if added:
                voice.say(msg.Peers(voice.handles[topic], added, ()))
        self.after(PEERS_INTERVAL + 1, lambda: self._tell(voice, topic))

    def tell(self, voice: Voice, number: int) -> bytes:
        """The nth record."""
        raise NotImplementedError


class Poisoner(Teller):
    """Tells of peers that do not exist: every record is rightly signed, and each has an address of its own."""

    name = "poisoner"

    def tell(self, voice: Voice, number: int) -> bytes:
        """Somebody new."""
        number += 1
        ip = f"{120 + number // 65536 % 40}.{number // 256 % 256}.{number % 256}.9"
        return self.record(self.someone(f"nobody/{number}"), Endpoint.parse(ip, 7000))


class Reflector(Teller):
    """Tells of peers that all live at one address, which is somebody else's."""

    name = "reflector"
    TARGET: ClassVar[str] = "77.77.77.77"

    def tell(self, voice: Voice, number: int) -> bytes:
        """Eight ports that nobody has named yet."""
        first = 1024 + number * MAX_ADDRESSES % 60000
        ports = [first + n for n in range(MAX_ADDRESSES)]
        return self.record(self.someone(f"reflected/{number}"), *(Endpoint.parse(self.TARGET, p) for p in ports))

    def parameters(self, number: int) -> tuple[msg.HelloParameter, ...]:
        """Its own record points there too."""
        record = self.record(self.identity(number), Endpoint.parse(self.TARGET, 900 + number))
        return (msg.HelloParameter(HelloTag.OWN_RECORD, record),)


class Forger(Teller):
    """Tells what is not true: other peers' records with another address, old and future ones, and such as are none."""

    name = "forger"
    ADDRESS: ClassVar[str] = "88.88.88.88"
    """Where all of these records point, except for those of an accomplice, which are true."""
    KINDS: ClassVar[tuple[str, ...]] = (
        "accomplice", "old", "signature", "changed", "expired", "future", "own", "short", "long", "version", "key"
    )  # fmt: skip

    def tell(self, voice: Voice, number: int) -> bytes:
        """The kinds in turn."""
        there = Endpoint.parse(self.ADDRESS, 2000 + number % 10000)
        someone, accomplice = self.someone(f"forged/{number}"), self.someone("accomplice")
        good = self.record(someone, there)
        match self.KINDS[number % len(self.KINDS)]:
            case "accomplice":
                return self.record(accomplice, Endpoint.parse("89.89.89.89", 7000))
            case "old":
                return self.record(accomplice, there, age=80_000, ttl=86_400)
            case "signature":
                return good[:-1] + bytes((good[-1] ^ 1,))
            case "changed":
                return good[:1] + self.victims[-1].identity + good[33:]
            case "expired":
                return self.record(someone, there, age=5000, ttl=60)
            case "future":
                return self.record(someone, there, age=-700)
            case "own":
                return good[:1] + (voice.speaker.peer if voice.speaker is not None else bytes(32)) + good[33:]
            case "short":
                return good[:-1]
            case "long":
                return good + b"!"
            case "version":
                return b"\x02" + good[1:]
            case _:
                return good.replace(someone.public, bytes(32))

    def parameters(self, number: int) -> tuple[msg.HelloParameter, ...]:
        """As its own it names a record that is somebody else's."""
        record = self.record(self.someone("else"), Endpoint.parse(self.ADDRESS, 1999))
        return (msg.HelloParameter(HelloTag.OWN_RECORD, record),)


class Eclipse(Teller):
    """A crowd in one /16 that wants to be all that a peer is connected to: each dials it, answers when dialled, names
    itself, and tells of the others."""

    name = "eclipse"

    def __init__(
        self,
        network: Network,
        contents: Sequence[SharedMemory],
        victims: Sequence[Host],
        *,
        count: int = 1,
        rate: float = 100.0,
        group: int = FIRST_GROUP,
    ) -> None:
        """`rate`: how many of them come per second."""
        super().__init__(network, contents, victims, count=count, records=count * 32, group=group, spread=False)
        self.rate = rate
        self._records: dict[int, bytes] = {}

    def begin(self) -> None:
        """One after the other, without end."""
        for number in range(self.count):
            self.settle(number)
        for number in range(self.count):
            self.after(number / self.rate, partial(self._come, number))

    def _come(self, number: int) -> None:
        for victim in self.victims:
            self.link(number, victim)

    def parameters(self, number: int) -> tuple[msg.HelloParameter, ...]:
        """Its own record."""
        return (msg.HelloParameter(HelloTag.OWN_RECORD, self._record_of(number)),)

    def tell(self, voice: Voice, number: int) -> bytes:
        """Any of the others."""
        return self._record_of(int.from_bytes(self.network.random(4)) % self.count)

    def _record_of(self, number: int) -> bytes:
        if number not in self._records:
            self._records[number] = self.record(self.identity(number), self.puppets[number].endpoint, ttl=86_400)
        return self._records[number]
