"""Attackers that send more than they should: floods of each kind of frame, and one that wants to fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import ClassVar, Final, TypeAlias

from p2pwire.connection.connection import MAX_READ
from p2pwire.content.objects import ObjectInfo
from p2pwire.storage.memory import SharedMemory
from p2pwire.testing.attackers.attacker import FIRST_GROUP, PLENTY, Attacker, Voice
from p2pwire.testing.attackers.servers import Server
from p2pwire.testing.network import Host, Network, Way
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import (
    DEFAULT_HANDLES,
    INITIAL_CREDIT,
    MAX_PEERS_ADDED,
    MAX_REQUESTS,
    JoinFlag,
    ObjectKind,
    RejectCode,
)

Shower: TypeAlias = Callable[[int], msg.Frame | bytes]
"""The nth frame of a flood."""

FLOODS: Final[Mapping[str, Shower]] = {
    "PAD": lambda n: msg.Pad(b""),
    "PAD of 1 KiB": lambda n: msg.Pad(bytes(1024)),
    "PING": lambda n: msg.Ping(n.to_bytes(8)),
    "PONG": lambda n: msg.Pong(n.to_bytes(8)),
    "HELLO": lambda n: msg.Hello(1024, 64, 150, ()),
    "JOIN, unknown topics": lambda n: msg.Join(1 + n % 1000, 0, n.to_bytes(32), bytes(32)),
    "JOIN and LEAVE": lambda n: b"",  # made for the link, see `Flooder.frame`
    "REFUSE": lambda n: msg.Refuse(0, 0),
    "LEAVE": lambda n: msg.Leave(1 + n % 1000),
    "OBJECT": lambda n: b"",
    "HAVE, nothing new": lambda n: msg.Have(0, (msg.Span(0, 0),)),
    "HAVE, one unit each": lambda n: msg.Have(0, (msg.Span(n % 65536, n % 65536),)),
    "HAVE and LOST": lambda n: (msg.Lost if n % 2 else msg.Have)(0, (msg.Span(0, 65535),)),
    "LOST": lambda n: msg.Lost(0, (msg.Span(0, 65535),)),
    "INTEREST on and off": lambda n: msg.Interest(0, n % 2 == 0),
    "CREDIT": lambda n: msg.Credit(1),
    "SUGGEST": lambda n: msg.Suggest(0, 0, 0),
    "REQUEST, out of range": lambda n: msg.Request(n % 1024, 0, 7, 0, 0),
    "REQUEST, no topic": lambda n: msg.Request(n % 1024, 9, 0, 0, 0),
    "REQUEST and CANCEL": lambda n: msg.Cancel(n // 2 % 1024) if n % 2 else msg.Request(n // 2 % 1024, 0, 0, 0, 0),
    "REJECT": lambda n: msg.Reject(n % 1024, RejectCode.BUSY, 0),
    "CANCEL": lambda n: msg.Cancel(n % 1024),
    "PEERS": lambda n: msg.Peers(0, (), (n.to_bytes(32),)),
    "PEERS, 32 bad records": lambda n: msg.Peers(0, (msg.SharedRecord(0, bytes(512)),) * MAX_PEERS_ADDED, ()),
    "GET_PEERS": lambda n: msg.GetPeers(0, 32),
    "unknown frame, to be ignored": lambda n: bytes((0x41, 0, 1, n % 256)),
}
"""What is sent without end, by name."""


class Flooder(Attacker):
    """Sends one kind of frame as quickly as it is read, and reads what is answered."""

    name = "flooder"
    PIECE: ClassVar[int] = 50
    """frames that are sent at once."""

    def __init__(
        self,
        network: Network,
        contents: Sequence[SharedMemory],
        victims: Sequence[Host],
        *,
        count: int = len(FLOODS),
        kinds: Sequence[str] = tuple(FLOODS),
        most: int = 20_000,
        group: int = FIRST_GROUP,
        spread: bool = True,
    ) -> None:
        """`most`: frames after which a link ends by itself. The peers take the kinds in turn."""
        super().__init__(network, contents, victims, count=count, group=group, spread=spread)
        self.kinds = kinds
        self.most = most
        self.sent: dict[Voice, int] = {}
        """Frames that the network has taken."""
        self.poured: dict[Voice, list[tuple[float, int]]] = {}
        """When the network took frames, and how many it had taken then."""

    def kind(self, voice: Voice) -> str:
        """What is sent on a link."""
        return self.kinds[voice.number % len(self.kinds)]

    def established(self, voice: Voice) -> None:
        """Join, wait for the topic, and then go on and on."""
        super().established(voice)
        self.sent[voice] = 0
        self.poured[voice] = []
        self.after(1.0, lambda: self._pour(voice))

    def _pour(self, voice: Voice) -> None:
        if voice.over or voice.wire.over or self.sent[voice] >= self.most:
            return
        if not voice.wire.waiting:
            first = self.sent[voice]
            voice.say(*(self.frame(voice, number) for number in range(first, first + self.PIECE)))
            self.sent[voice] += self.PIECE
            self.poured[voice].append((self.network.now, self.sent[voice]))
        self.after(0.01, lambda: self._pour(voice))

    def frame(self, voice: Voice, number: int) -> msg.Frame | bytes:
        """The nth."""
        kind = self.kind(voice)
        info = next(iter(self.contents.values())).info
        if kind == "OBJECT":
            return msg.Object(0, info.kind, info.length, info.root)
        if kind == "JOIN and LEAVE":
            assert voice.speaker is not None
            handle = 1 + number // 2 % 1000
            return msg.Leave(handle) if number % 2 else voice.speaker.join(info, handle)
        return FLOODS[kind](number)


class Hog(Server):
    """Does everything that makes a victim keep something: joins all topics with maps full of holes, asks for as much as
    it may, reads nothing, sends blocks quicker than they are written, and at last a record that never ends.

    It knows the ids of all that its victim shares and wants.
    """

    name = "memory-hog"
    DEAF: ClassVar[float] = 3.0
    """seconds until it reads nothing any more."""
    REFUSED: ClassVar[int] = 150
    """JOIN in each of them, all of which are refused: the answers wait."""
    SERVES: ClassVar[float] = 18.0
    """seconds until it sends all that it was asked for: when the disk is slow."""
    FIRST: ClassVar[int] = 128
    """blocks that it sends at once."""

    def __init__(
        self,
        network: Network,
        contents: Sequence[SharedMemory],
        victims: Sequence[Host],
        *,
        wanted: Sequence[ObjectInfo] = (),
        count: int = 1,
        group: int = FIRST_GROUP,
        spread: bool = True,
    ) -> None:
        """`wanted`: objects that the victims fetch and that nobody has."""
        super().__init__(network, contents, victims, count=count, group=group, spread=spread)
        self.wanted = list(wanted)
        self.served = 0
        """Blocks that went out at once."""
        self.withheld: dict[Voice, list[msg.Data]] = {}
        self.credit: dict[Voice, int] = {}
        self.granted: dict[Voice, int] = {}
        self.open: dict[Voice, set[int]] = {}

    def join_flags(self) -> int:
        """Tell it of peers, too."""
        return JoinFlag.WANTS_PEERS

    def established(self, voice: Voice) -> None:
        """Everything but the last, in an order in which nothing holds up the rest."""
        speaker = voice.speaker
        assert speaker is not None
        for victim in self.victims:  # it is read from in pieces as large as there are
            self.network.set_way(self.puppets[voice.number], victim, Way(segment=MAX_READ))
        voice.say(self.hello(voice.number))
        for handle, topic in enumerate(self.contents):
            voice.join(topic, handle, self.join_flags())
            voice.claim(topic)
            voice.say(msg.Interest(handle, True))
        room = DEFAULT_HANDLES - len(self.contents)
        for handle, info in enumerate(self.wanted[:room], len(self.contents)):
            voice.say(speaker.join(info, handle, self.join_flags()))
            for first in range(0, 65536, 32000):
                last = min(first + 32000, 65536)
                voice.say(msg.Have(handle, tuple(msg.Span(unit, unit) for unit in range(first, last, 2))))
        voice.say(msg.Credit(PLENTY))
        self.withheld[voice] = []
        self.after(self.DEAF, lambda: self._be_deaf(voice))
        self.credit[voice] = self.granted[voice] = INITIAL_CREDIT
        self.open[voice] = set()
        self.after(self.SERVES, lambda: self._serve(voice))

    def heard(self, voice: Voice, frame: msg.Frame) -> None:
        """Take what there is, as quickly as it comes, so that it may ask for much at a time."""
        super().heard(voice, frame)
        match frame:
            case msg.Credit():
                self.credit[voice] += frame.blocks - self.granted[voice]
                self.granted[voice] = frame.blocks
            case msg.Data() | msg.Reject():
                self.open[voice].discard(frame.id)
            case msg.Object():
                pass
            case _:
                return
        if voice.wire.reads:
            self._ask(voice)

    def _ask(self, voice: Voice) -> None:
        """Spend all credit, on single blocks."""
        free = (number for number in range(MAX_REQUESTS) if number not in self.open[voice])
        blocks = next(iter(self.contents.values())).held.total
        for number in list(islice(free, self.credit[voice])):
            self.open[voice].add(number)
            self.credit[voice] -= 1
            voice.say(msg.Request(number, 0, 0, number % blocks, 0))

    def asked(self, voice: Voice, request: msg.Request) -> None:
        """At once at first, so that it is asked for more; and what it is asked for then all at the end."""
        self.withheld[voice] += self.blocks(voice, request)
        if self.served < self.FIRST:
            self.served += len(self.withheld[voice])
            voice.say(*self.withheld[voice])
            self.withheld[voice].clear()

    def _be_deaf(self, voice: Voice) -> None:
        """Read nothing any more."""
        voice.wire.reads = False
        for number in range(int(self.SERVES - self.DEAF) - 1):
            self.after(number, partial(self._refused, voice, number * self.REFUSED))

    def _serve(self, voice: Voice) -> None:
        """All of it, and a record that does not end."""
        voice.say_at_once(*self.withheld[voice], rest=b"\xff\xff" + bytes(65534))

    def _refused(self, voice: Voice, first: int) -> None:
        """Ask for answers, each of which waits to be sent."""
        numbers = range(first, first + self.REFUSED)
        voice.say(*(msg.Join(1000 + n % 60000, 0, n.to_bytes(32), bytes(32)) for n in numbers))


def unknown(name: str, length: int = 1 << 30) -> ObjectInfo:
    """An object that nobody has."""
    return ObjectInfo(ObjectKind.BLOB, length, name.encode().ljust(32, b".")[:32])
