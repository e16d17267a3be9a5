"""Attackers that take and never give: free riders, and a crowd of them that is one and the same."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from p2pwire.storage.memory import SharedMemory
from p2pwire.testing.attackers.attacker import FIRST_GROUP, Attacker, Voice
from p2pwire.testing.network import Host, Network
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import INITIAL_CREDIT


class FreeRider(Attacker):
    """Asks everyone for everything as far as its credit goes, grants no credit, and says of nothing that it has it.

    Each of `count` peers keeps what it got to itself; with `shared` they are one program with many names, and ask for a
    block once.
    """

    name = "free-rider"

    def __init__(
        self,
        network: Network,
        contents: Sequence[SharedMemory],
        victims: Sequence[Host],
        *,
        count: int = 1,
        shared: bool = False,
        group: int = FIRST_GROUP,
        spread: bool = True,
    ) -> None:
        super().__init__(network, contents, victims, count=count, group=group, spread=spread)
        total = {content.info.topic: content.held.total for content in contents}
        random = Random(f"{network.seed}/{self.name}")
        wanted = {topic: random.sample(range(blocks), blocks) for topic, blocks in total.items()}
        common = {topic: list(blocks) for topic, blocks in wanted.items()}
        self.missing = [
            common if shared else {topic: random.sample(blocks, len(blocks)) for topic, blocks in wanted.items()}
            for _ in range(count)
        ]
        """peer -> topic -> blocks that it has not asked anyone for, or asked in vain."""
        self.has: dict[tuple[Voice, bytes], set[int]] = {}
        """What the other side of a link has."""
        self.open: dict[Voice, dict[int, tuple[bytes, int]]] = {}
        self.credit: dict[Voice, int] = {}
        """Blocks that may still be asked for."""
        self.granted: dict[Voice, int] = {}
        self.complete_at: dict[int, float] = {}
        """When a peer had everything."""
        self.bytes: dict[int, int] = {}
        """peer -> bytes that it got."""

    def established(self, voice: Voice) -> None:
        """Interested in everything."""
        super().established(voice)
        self.credit[voice] = self.granted[voice] = INITIAL_CREDIT
        self.open[voice] = {}

    def heard(self, voice: Voice, frame: msg.Frame) -> None:
        """Ask on whenever something new can be asked for."""
        match frame:
            case msg.Join() if frame.topic in voice.handles:
                voice.say(msg.Interest(voice.handles[frame.topic], True))
            case msg.Have():
                self._announced(voice, frame)
            case msg.Credit():
                self.credit[voice] += max(0, frame.blocks - self.granted[voice])
                self.granted[voice] = max(frame.blocks, self.granted[voice])
            case msg.Data():
                self._came(voice, frame)
            case msg.Reject():
                self._refused(voice, frame)
            case _:
                return
        self._ask(voice)

    def _announced(self, voice: Voice, frame: msg.Have) -> None:
        topic = voice.topics.get(frame.handle)
        if topic in self.contents:
            has = self.has.setdefault((voice, topic), set())
            for span in frame.spans:
                has.update(range(span.first, span.last + 1))

    def _came(self, voice: Voice, frame: msg.Data) -> None:
        self.open[voice].pop(frame.id, None)
        self.got += len(frame.data)
        self.bytes[voice.number] = self.bytes.get(voice.number, 0) + len(frame.data)
        if not any(self.missing[voice.number].values()) and not self._waits(voice.number):
            self.complete_at.setdefault(voice.number, self.network.now)

    def _waits(self, number: int) -> bool:
        return any(self.open[voice] for voice in self.open if voice.number == number and not voice.over)

    def _refused(self, voice: Voice, frame: msg.Reject) -> None:
        topic, block = self.open[voice].pop(frame.id, (b"", 0))
        if topic:
            self.missing[voice.number][topic].append(block)
            self.has.get((voice, topic), set()).discard(block)

    def _ask(self, voice: Voice) -> None:
        """All that this link's credit allows, but no more than 16 at a time, so that others are asked too."""
        open_ = self.open.get(voice)
        if open_ is None:
            return
        for topic, left in self.missing[voice.number].items():
            has = self.has.get((voice, topic), set())
            chosen = [block for block in left if block in has][: min(self.credit[voice], 16 - len(open_))]
            for block in chosen:
                left.remove(block)
                number = next(n for n in range(1024) if n not in open_)
                open_[number] = topic, block
                self.credit[voice] -= 1
                voice.say(msg.Request(number, voice.handles[topic], 0, block, 0))


class Sybils(FreeRider):
    """One program behind many addresses and identities, each of which asks for a share."""

    name = "sybil-crowd"
