"""Attackers that pretend to have everything: one sends wrong bytes, others send nothing, or hardly anything."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from p2pwire.content.merkle import block_count, proof_count, tree_height
from p2pwire.storage.memory import SharedMemory
from p2pwire.testing.attackers.attacker import FIRST_GROUP, PLENTY, Attacker, Voice
from p2pwire.testing.network import Host, Network
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import JoinFlag


class Server(Attacker):
    """Announces everything, to everyone, and answers requests as it likes."""

    def join_flags(self) -> int:
        """It wants nothing."""
        return JoinFlag.UPLOAD_ONLY

    def established(self, voice: Voice) -> None:
        """All of it is here, ask as much as you like."""
        super().established(voice)
        for topic in self.contents:
            voice.claim(topic)
        voice.say(msg.Credit(PLENTY))

    def heard(self, voice: Voice, frame: msg.Frame) -> None:
        """A request is the only thing that matters."""
        if isinstance(frame, msg.Request):
            self.asked(voice, frame)

    def asked(self, voice: Voice, request: msg.Request) -> None:
        """Answer, or do not."""

    def blocks(self, voice: Voice, request: msg.Request) -> list[msg.Data]:
        """The right answer to a request for a blob."""
        content = self.contents.get(voice.topics.get(request.handle, b""))
        return [] if content is None else answer(content, request)


def answer(content: SharedMemory, request: msg.Request) -> list[msg.Data]:
    """The DATA that answer a request for blocks of a blob."""
    length = content.info.length
    last = min(request.block + (1 << request.level), block_count(length))
    frames = []
    for block in range(request.block, last):
        count = proof_count(tree_height(length), block, request.block)
        proof = content.trees[request.file].siblings(block, count) if count else ()
        frames.append(msg.Data(request.id, block, proof, content.read_blocks(request.file, block, 1)))
    return frames


class Silent(Server):
    """Announces everything and serves nothing."""

    name = "silent"


class Dripper(Server):
    """Sends a block just before the request times out, and so never lets go of what was asked of it."""

    name = "dripper"
    EVERY: ClassVar[float] = 29.0
    """seconds."""

    def asked(self, voice: Voice, request: msg.Request) -> None:
        """One block at a time."""
        for number, frame in enumerate(self.blocks(voice, request), 1):
            self.after(number * self.EVERY, partial(voice.say, frame))


class Liar(Server):
    """Serves some right blocks, and then one with a wrong bit."""

    name = "liar"

    def __init__(
        self,
        network: Network,
        contents: Sequence[SharedMemory],
        victims: Sequence[Host],
        *,
        count: int = 1,
        good: int = 3,
        group: int = FIRST_GROUP,
        spread: bool = True,
    ) -> None:
        """`good`: right blocks on each link before the first wrong one."""
        super().__init__(network, contents, victims, count=count, group=group, spread=spread)
        self.good = good
        self.right: dict[Voice, int] = {}
        """Right blocks that each link has sent."""
        self.wrong: dict[Voice, int] = {}
        """Wrong ones."""

    def asked(self, voice: Voice, request: msg.Request) -> None:
        """At once: the truth for a while."""
        for frame in self.blocks(voice, request):
            if voice.over:
                return
            if self.right.get(voice, 0) < self.good:
                self.right[voice] = self.right.get(voice, 0) + 1
            else:
                self.wrong[voice] = self.wrong.get(voice, 0) + 1
                data = bytearray(frame.data)
                data[self.network.random(1)[0] % len(data)] ^= 1
                frame = msg.Data(frame.id, frame.block, frame.proof, bytes(data))
            voice.say(frame)
