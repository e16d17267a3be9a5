"""An attacker on the way: it carries a session between two peers, writes it down, and plays it again."""

from __future__ import annotations

from p2pwire.testing.attackers.attacker import Attacker
from p2pwire.testing.network import Wire


class Replayer(Attacker):
    """Whoever dials it talks to the first victim through it. `replay` sends again what was said, to a victim that has
    just the same in front of it."""

    name = "replayer"

    def begin(self) -> None:
        """Wait for somebody to come."""
        self.said: list[bytes] = []
        """What the initiators said, by session."""
        self.answered = 0
        """Bytes that came back to replays."""
        self.replays: list[Wire] = []
        self._sides: list[tuple[Wire, Wire]] = []
        for number in range(self.count):
            self.settle(number)

    def accept(self, number: int, wire: Wire) -> None:
        """Carry everything to the victim, and back."""
        onward = self.puppets[number].connect(self.victims[0])
        self._sides.append((wire, onward))
        log = bytearray()
        session = len(self.said)
        self.said.append(b"")

        def forth() -> None:
            log.extend(wire.received)
            self.said[session] = bytes(log)
            onward.send(bytes(wire.received))
            wire.received.clear()

        def back() -> None:
            wire.send(bytes(onward.received))
            onward.received.clear()

        wire.on_data, onward.on_data = forth, back
        wire.on_end, onward.on_end = onward.end, wire.end

    def replay(self, session: int, upto: int | None = None) -> Wire:
        """Say again what an initiator said, or the first bytes of it."""
        wire = self.puppets[0].connect(self.victims[0])
        wire.on_data = lambda: self._count(wire)
        wire.on_end = wire.end
        wire.send(self.said[session][:upto])
        self.replays.append(wire)
        return wire

    def repeat(self, session: int, size: int = 4096) -> None:
        """Send the last bytes of a session once more, in the middle of it."""
        self._sides[session][1].send(self.said[session][-size:])

    def _count(self, wire: Wire) -> None:
        self.answered += len(wire.received)
        wire.received.clear()
