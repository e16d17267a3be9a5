"""The story of Alice, Bob and Charlie, as it happened: three peers on a network in memory, whose links were recorded.

Alice knows Bob's address and no other. Bob and Charlie have a folder; Alice takes it from both. She does not listen
herself: else Charlie, to whom Bob tells of her, would dial her at the same moment, and one of the two links be closed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from random import Random
from typing import Final, TypeVar

import attrs

from p2pwire.connection.config import Role
from p2pwire.connection.tap import Piece, Tap
from p2pwire.node.address import Endpoint
from p2pwire.node.asking import AskingConfig
from p2pwire.node.events import FetchComplete, NodeEvent, PeerLearned
from p2pwire.node.node import NodeConfig
from p2pwire.sphinx.sequence import Recording, Step
from p2pwire.storage.memory import SharedMemory, share_folder
from p2pwire.testing.network import Network
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import FRAME_HEADER, FrameType

BLOCKS: Final = 96
"""blocks of the larger file: enough that one peer has not sent all before the other one is found."""
UPLINK: Final = 1_000_000
"""bytes per second that Bob and Charlie can send."""
PATIENCE: Final = 60.0
"""seconds of virtual time after which the story would have failed."""
_NAMES: Final = ("Alice", "Bob", "Charlie")

K = TypeVar("K", bound=Hashable)


@attrs.frozen
class Said:
    """One frame or flight on its way."""

    time: float
    sender: str
    receiver: str
    name: str
    size: int


class Recorder:
    """Hears all links of some hosts; each thing is noted once, by who says it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.said: list[Said] = []

    def config(self, name: str, who: Callable[[Endpoint | None], str]) -> NodeConfig:
        """For the host of that name; `who` tells the names of others by their addresses."""

        def tap(role: Role, remote: Endpoint | None) -> Tap:
            flights = iter(("preamble, message 1", "message 3") if role is Role.INITIATOR else ("preamble, message 2",))

            def hear(speaker: Role, piece: Piece, data: bytes) -> None:
                if speaker is not role:
                    return
                names = [(next(flights), len(data))] if piece is Piece.CLEAR else frames(data)
                now, other = self._network.now, who(remote)
                self.said += [Said(now, name, other, said, size) for said, size in names]

            return hear

        return NodeConfig(tap=tap, grease=b"", asking=AskingConfig(first_window=64, pipeline=64))


def frames(data: bytes) -> Iterator[tuple[str, int]]:
    """The frames of a record: name and size."""
    at = 0
    while at < len(data):
        header = msg.FrameHeader.decode(data[at : at + FRAME_HEADER])
        size = FRAME_HEADER + header.length
        yield FrameType(header.type).name, size
        at += size


def alice_bob_charlie() -> Recording:
    """The recording that the pages draw."""
    network = Network("alice, bob, charlie")
    recorder = Recorder(network)
    addresses = {f"{number}.2.0.1": name for number, name in enumerate(_NAMES, 1)}

    def who(remote: Endpoint | None) -> str:
        return addresses[remote.host] if remote is not None else "?"

    alice, bob, charlie = (
        network.host(name, address, recorder.config(name, who), listens=name != "Alice")
        for address, name in addresses.items()
    )
    content = _holiday()
    topic = bob.share(content)
    charlie.fetch(content, bob)
    _wait(network, lambda: charlie.complete(topic))
    network.run(1.0)
    bob.uplink = charlie.uplink = UPLINK
    began, already = network.now, len(recorder.said)
    alice.fetch(content, bob)
    moments: list[Step] = []
    heard = len(alice.events)

    def over() -> bool:
        nonlocal heard
        for event in alice.events[heard:]:
            text = _moment(event, {bob.identity: "Bob", charlie.identity: "Charlie"})
            if text:
                moments.append(Step(network.now - began, "Alice", "Alice", text))
        heard = len(alice.events)
        return alice.complete(topic)

    _wait(network, over)
    steps = [*_gathered(recorder.said[already:], began), *moments]
    steps.sort(key=lambda step: step.time)
    return Recording("Alice fetches a folder from Bob and Charlie", _NAMES, tuple(steps))


def _holiday() -> SharedMemory:
    random = Random("holiday")
    return share_folder({"harbour.raw": random.randbytes(BLOCKS * 16384), "notes.txt": random.randbytes(900)})


def _wait(network: Network, until: Callable[[], bool]) -> None:
    if not network.run(PATIENCE, until=until):
        raise RuntimeError("the story did not end")


def _moment(event: NodeEvent, names: dict[bytes, str]) -> str:
    """What is told of an event at Alice; nothing of most."""
    match event:
        case PeerLearned(identity=identity, learned_from=source):
            return f"learns of {names[identity]} from {names[source]}"
        case FetchComplete(sources=sources):
            return "has all: " + ", ".join(f"{size} bytes from {names[peer]}" for peer, size in sources.items())
    return ""


def _gathered(said: list[Said], began: float) -> Iterator[Step]:
    """A step for all that one side says at a time; and one for each kind of frame that it says again and again."""
    for (sender, receiver), found in _by(said, lambda each: (each.sender, each.receiver)).items():
        at_once: list[Said] = []
        for name, same in _by(found, lambda each: each.name).items():
            if same[-1].time == same[0].time:
                at_once += same
            else:
                size, end = sum(each.size for each in same), 1000 * (same[-1].time - began)
                detail = f"until {end:.0f} ms, {size} bytes"
                yield Step(same[0].time - began, sender, receiver, f"{name} × {len(same)}", detail)
        for time, group in _by(at_once, lambda each: each.time).items():
            names = (
                f"{name} × {len(same)}" if len(same) > 1 else name
                for name, same in _by(group, lambda each: each.name).items()
            )
            yield Step(time - began, sender, receiver, ", ".join(names))


def _by(said: Iterable[Said], key: Callable[[Said], K]) -> dict[K, list[Said]]:
    found: dict[K, list[Said]] = {}
    for each in said:
        found.setdefault(key(each), []).append(each)
    return found
