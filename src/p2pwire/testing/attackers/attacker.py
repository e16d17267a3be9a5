"""What all attackers have: hosts of their own, an aim, and links on which they say what they like."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Final

from p2pwire.crypto.identity import Identity
from p2pwire.crypto.record import sign_record
from p2pwire.node.address import Endpoint
from p2pwire.storage.memory import SharedMemory
from p2pwire.testing.network import Host, Network, Puppet, Wire, address
from p2pwire.testing.network.network import GROUPS
from p2pwire.testing.speaker import Speaker
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import DEFAULT_HANDLES, DEFAULT_IDLE, MAX_REQUESTS, MAX_UNITS, HelloTag, JoinFlag

FIRST_GROUP: Final = GROUPS // 2
"""The number of the first /16 in which attackers live; honest hosts of scenarios are below."""

PLENTY: Final = 1 << 40
"""blocks of credit that an attacker grants who wants to be asked: as many as anyone can spend."""


class Attacker:
    """One kind of attack, by `count` peers, on the hosts of a network that share or fetch some contents.

    What it knows of them is what any peer of their swarms can know: the contents' ids, and where the hosts are. Set up
    everything, then `begin`.
    """

    name: ClassVar[str] = ""
    """As scenarios call it."""

    def __init__(
        self,
        network: Network,
        contents: Sequence[SharedMemory],
        victims: Sequence[Host],
        *,
        count: int = 1,
        group: int = FIRST_GROUP,
        spread: bool = True,
    ) -> None:
        """`group`: the number of the /16 in which the first peer lives; `spread`: whether each has one of its own."""
        self.network = network
        self.contents = {content.info.topic: content for content in contents}
        self.victims = list(victims)
        self.count = count
        self.group = group
        self.spread = spread
        self.puppets: list[Puppet] = []
        self.voices: list[Voice] = []
        """Every link that it ever had with a victim."""
        self.got = 0
        """Bytes of content that victims sent it, right ones."""

    def begin(self) -> None:
        """Do it, from now on."""
        for number in range(self.count):
            self.settle(number)
            for victim in self.victims:
                self.link(number, victim)

    def settle(self, number: int) -> Puppet:
        """The host of one of the peers, which answers whoever dials it."""
        ip = address(self.group + number) if self.spread else address(number, self.group)
        puppet = self.network.puppet(f"{self.name}{number}", ip)
        puppet.on_connect = partial(self.accept, number)
        self.puppets.append(puppet)
        return puppet

    def identity(self, number: int) -> Identity:
        """Who one of the peers is."""
        return self.someone(f"peer/{number}")

    def someone(self, name: str) -> Identity:
        """An identity by a name of the attacker's own."""
        return Identity.from_seed(hashlib.sha256(f"{self.network.seed}/{self.name}/{name}".encode()).digest())

    def record(self, identity: Identity, *endpoints: Endpoint, age: float = 0.0, ttl: int = 3600) -> bytes:
        """A record, signed as it has to be."""
        addresses = [endpoint.to_address() for endpoint in endpoints]
        return sign_record(identity, sequence=int(self.network.unix_time - age), ttl=ttl, flags=0, addresses=addresses)

    # --- links ---

    def link(self, number: int, victim: Host) -> Voice:
        """Connect one of the peers to a victim."""
        return self.voice(number, self.puppets[number].connect(victim), victim)

    def accept(self, number: int, wire: Wire) -> None:
        """A victim, or anyone, has dialled one of the peers."""
        self.voice(number, wire, None)

    def voice(self, number: int, wire: Wire, victim: Host | None) -> Voice:
        """Begin to talk on a connection."""
        voice = Voice(self, number, wire, victim)
        self.voices.append(voice)
        return voice

    def hello(self, number: int) -> msg.Hello:
        """What one of the peers says first."""
        return msg.Hello(MAX_REQUESTS, DEFAULT_HANDLES, DEFAULT_IDLE, self.parameters(number))

    def parameters(self, number: int) -> tuple[msg.HelloParameter, ...]:
        """What HELLO has to say beside that: nothing."""
        return ()

    def own_record(self, number: int) -> msg.HelloParameter:
        """The record of one of the peers, for HELLO."""
        record = self.record(self.identity(number), self.puppets[number].endpoint)
        return msg.HelloParameter(HelloTag.OWN_RECORD, record)

    def after(self, seconds: float, work: Callable[[], object]) -> None:
        """Do something in a while."""

        def do() -> None:
            work()

        self.network.after(seconds, do)

    # --- what a kind of attacker does differently ---

    def established(self, voice: Voice) -> None:
        """The handshake is over: HELLO, and JOIN for everything."""
        voice.say(self.hello(voice.number))
        for handle, topic in enumerate(self.contents):
            voice.join(topic, handle, self.join_flags())

    def join_flags(self) -> int:
        """Of JOIN."""
        return JoinFlag(0)

    def heard(self, voice: Voice, frame: msg.Frame) -> None:
        """The victim has said something."""


class Voice:
    """One link of an attacker."""

    def __init__(self, attacker: Attacker, number: int, wire: Wire, victim: Host | None) -> None:
        self.attacker = attacker
        self.number = number
        self.wire = wire
        self.victim = victim
        """Whom it has dialled; None: it was dialled."""
        self.speaker: Speaker | None = None
        self.topics: dict[int, bytes] = {}
        """The other side's handle -> topic."""
        self.handles: dict[bytes, int] = {}
        """topic -> this side's."""
        self.close: msg.Close | None = None
        """What the other side said at the end."""
        self.closed_at: float | None = None
        """When it said so, or broke the connection."""
        self.heard_bytes = 0
        """Bytes that came."""
        self.said: list[bytes] = []
        wire.on_end = self._ended
        if wire.outbound:
            wire.on_open = self._begin
        else:
            self._begin()

    @property
    def over(self) -> bool:
        """Whether the other side has had enough, or nothing came of it."""
        return self.closed_at is not None

    def say(self, *frames: msg.Frame | bytes) -> None:
        """Send frames, if the link is there."""
        if self.speaker is not None and self.speaker.established and not self.wire.over:
            self.speaker.say(*frames)

    def say_at_once(self, *frames: msg.Frame | bytes, rest: bytes = b"") -> None:
        """Send frames, and then bytes that are no record, in pieces as large as the way allows."""
        if self.speaker is None or not self.speaker.established or self.wire.over:
            return
        records: list[bytes] = []
        send, self.speaker._send = self.speaker._send, records.append
        self.speaker.say(*frames)
        self.speaker._send = send
        send(b"".join(records) + rest)

    def join(self, topic: bytes, handle: int, flags: int = 0) -> None:
        """JOIN for one of the contents, with the right cap."""
        assert self.speaker is not None
        self.handles[topic] = handle
        self.say(self.speaker.join(self.attacker.contents[topic].info, handle, flags))

    def claim(self, topic: bytes) -> None:
        """Tell what a content is, and that all of it is here; and grant any credit."""
        content, handle = self.attacker.contents[topic], self.handles[topic]
        info = content.info
        self.say(msg.Object(handle, info.kind, info.length, info.root))
        if content.held.total:
            self.say(msg.Have(handle, (msg.Span(0, min(content.held.total, MAX_UNITS) - 1),)))

    def _begin(self) -> None:
        attacker = self.attacker
        seed = f"{attacker.network.seed}/{attacker.name}/{self.number}/{len(attacker.voices)}"
        self.speaker = speaker = Speaker.over(self.wire, identity=attacker.identity(self.number), seed=seed)
        speaker.on_established = partial(attacker.established, self)
        speaker.on_frame = self._heard
        take = self.wire.on_data

        def count() -> None:
            self.heard_bytes += len(self.wire.received)
            take()
            speaker.frames.clear()  # what matters has been told

        self.wire.on_data = count

    def _heard(self, frame: msg.Frame) -> None:
        match frame:
            case msg.Close():
                self.close = frame
                self._ended()
            case msg.Join():
                self.topics[frame.handle] = frame.topic
            case msg.Leave():
                self.topics.pop(frame.handle, None)
        self.attacker.heard(self, frame)

    def _ended(self) -> None:
        if self.closed_at is None:
            self.closed_at = self.attacker.network.now
