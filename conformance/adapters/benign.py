"""The reference with one oddity that the specification allows: for proving that the suite takes no offence at it.

Each is a small change of the reference's own parts at run time, like those of `faults_link.py`, and breaks no rule.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs
from p2pwire.connection import connection, outgoing
from p2pwire.connection.config import Extension
from p2pwire.connection.outbox import Outbox
from p2pwire.connection.session import Session
from p2pwire.node import picker
from p2pwire.node.asking import AskingConfig
from p2pwire.node.exchange import Exchange
from p2pwire.node.joining import Joining
from p2pwire.wire import messages as msg
from p2pwire.wire.registry import GREASE_FRAMES, MAX_CLOSE_DETAIL, MAX_RECORD_PLAINTEXT, FrameType

import reference

VARIANTS: Final[dict[str, Callable[[], None]]] = {}
IN_BYTES: Final = 4096
"""bytes of one output that leave one by one; the rest follows in small pieces."""


def variant(function: Callable[[], None]) -> Callable[[], None]:
    """Enter an oddity under its function's name."""
    VARIANTS[function.__name__.replace("_", "-")] = function
    return function


# --- how bytes leave ---


@variant
def byte_by_byte() -> None:
    def flush(self: Any, link: int) -> None:
        carrier, unsent = self.sockets[link], self.unsent[link]
        try:
            for count in range(len(unsent)):
                if not unsent:
                    break
                del unsent[: carrier.send(unsent[: 1 if count < IN_BYTES else 999])]
            if self.node.output_ended(link):
                carrier.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            unsent.clear()

    reference.Run.flush = flush


@variant
def coalesced() -> None:
    _late(0.02)


@variant
def latency() -> None:
    """Bytes that come have taken 200 ms: so much of its own time goes by before each."""
    receive = reference.Run.receive

    def late(self: Any, link: int, data: bytes) -> None:
        if self.inline:
            self.on_time(200)
        if link in self.sockets:
            receive(self, link, data)

    reference.Run.receive = late


@variant
def simultaneous_open() -> None:
    """It opens a second connection at the same time, on which nobody answers."""
    begin = reference.Run.open

    def twice(self: Any, carrier: socket.socket | None, address: str = reference.REMOTE) -> int | None:
        link = begin(self, carrier, address)
        if carrier is not None and self.listener is None:
            begin(self, socket.create_connection(carrier.getpeername(), 5))
        return link

    reference.Run.open = twice


def _late(seconds: float) -> None:
    """All that a link has to say is kept for so long, and sent as one."""
    flush, hang_up, on_time, wait = (
        reference.Run.flush, reference.Run.hang_up, reference.Run.on_time, reference.Control.wait,
    )  # fmt: skip
    kept: dict[tuple[int, int], tuple[Any, float, bytearray]] = {}

    def keep(self: Any, link: int) -> None:
        _, _, data = kept.setdefault((id(self), link), (self, self.now + seconds, bytearray()))
        data += self.unsent[link]
        self.unsent[link].clear()

    def send(self: Any, link: int) -> None:
        found = kept.pop((id(self), link), None)
        if found is not None and link in self.unsent:
            self.unsent[link][:0] = found[2]
            flush(self, link)

    def send_and_hang_up(self: Any, link: int) -> None:
        send(self, link)
        hang_up(self, link)

    def send_in_time(self: Any, ms: int = 0) -> None:
        on_time(self, ms)
        for run, due, _ in list(kept.values()):
            if run is self and due <= self.now:
                send(self, next(link for key, link in kept if key == id(self) and kept[key, link][1] == due))

    def sooner(self: Any) -> float | None:
        others = [max(0.0, due - run.now) for run, due, _ in kept.values() if run in self.runs.values()]
        first = wait(self)
        return min([*others, *([] if first is None else [first])], default=None)

    reference.Run.flush, reference.Run.hang_up = keep, send_and_hang_up
    reference.Run.on_time, reference.Control.wait = send_in_time, sooner


# --- how frames leave ---


def _parted(plain: bytes) -> Iterable[bytes]:
    """The frames one after another."""
    at = 0
    while at < len(plain):
        end = at + 3 + int.from_bytes(plain[at + 1 : at + 3], "big")
        yield plain[at:end]
        at = end


@variant
def frame_per_record() -> None:
    def take(self: Any) -> list[Any]:
        ready, self._plain = self._plain, []
        if self._sealer is not None:
            frames, self._frames, self._gathered = self._frames, [], None
            for frame in frames:
                ready += map(self._sealer.seal, _parted(b"".join(frame)))
            self.waiting = self.answers = 0
        return ready

    Outbox.take = take


def _before_each(make: Callable[[int], Iterable[bytes]]) -> None:
    """Frames before every frame but HELLO; `make` is told how many there were."""
    add = Outbox.add
    begun: dict[int, int] = {}

    def more(self: Any, frame: Any, *, answer: bool = False) -> None:
        first = bytes(frame[:1])
        count = begun[id(self)] = 0 if first == bytes([FrameType.HELLO]) else begun.get(id(self), 0) + 1
        for before in make(count) if count else ():
            add(self, before)
        add(self, frame, answer=answer)

    Outbox.add = more


def _frame(kind: int, body: bytes = b"") -> bytes:
    return bytes([kind]) + len(body).to_bytes(2, "big") + body


@variant
def ignorable_between() -> None:
    def some(n: int) -> Iterable[bytes]:
        yield _frame(GREASE_FRAMES[n % len(GREASE_FRAMES)], bytes([n % 256]) * (n * 37 % 300))
        yield _frame(FrameType.PAD, bytes(n * 11 % 90))

    _before_each(some)


@variant
def least_padding() -> None:
    _before_each(lambda n: [_frame(FrameType.PAD)] * 2)


@variant
def most_padding() -> None:
    """Each record has the largest size."""
    take = Outbox.take

    def padded(self: Any) -> list[Any]:
        if self._sealer is not None and self._frames:
            waiting = [frame for parts in self._frames for frame in _parted(b"".join(parts))]
            room = MAX_RECORD_PLAINTEXT - sum(map(len, waiting)) % MAX_RECORD_PLAINTEXT - 3
            if room > 0 and len(waiting) < 50 and waiting[-1][0] != FrameType.CLOSE:
                self.add(_frame(FrameType.PAD, bytes(room)))
        return take(self)

    Outbox.take = padded


@variant
def grease_everywhere() -> None:
    connection.choose = lambda random: b"\x4a" + random(11)
    _before_each(lambda n: [_frame(GREASE_FRAMES[n % len(GREASE_FRAMES)], b"grease")])


@variant
def own_pings() -> None:
    received = Session.record_received
    count = 0

    def and_ping(self: Any) -> None:
        nonlocal count
        received(self)
        count += 1
        if self.established and self.may_ping and not count % 5:
            ping = self._random(8)
            self.pings.append(ping)
            self.outbox.add(msg.Ping(ping).encode_frame())

    Session.record_received = and_ping


# --- what HELLO and CLOSE say ---


def _config(change: Callable[[Any], Any]) -> None:
    """Change what a node is told at the start."""
    make = reference.NodeConfig
    reference.NodeConfig = lambda **given: change(make(**given))


def _limits(**own: int) -> None:
    make = reference.Limits
    reference.Limits = lambda **given: make(**{**own, **given})


@variant
def smallest_limits() -> None:
    _limits(max_requests=1, max_handles=1, idle=30)


@variant
def largest_limits() -> None:
    _limits(max_requests=1024, max_handles=1024, idle=600)


@variant
def shortest_keepalive() -> None:
    _limits(idle=30)
    make = reference.Timeouts
    reference.Timeouts = lambda **given: make(**{"ping": 1.0, **given})


@variant
def all_optional_fields() -> None:
    listed = tuple(Extension(f"odd-{n}/1", 0xE0 + n, 1, b"p" * n) for n in range(5))
    _config(lambda c: attrs.evolve(c, agent="ä" * 32, extensions=(*c.extensions, *listed)))
    begin = reference.Run.__init__

    def listening(self: Any, config: dict[str, Any], role: str, inline: bool) -> None:
        begin(self, {"listening": ["127.0.0.1:7999", "[::1]:7999"], **config}, role, inline)

    reference.Run.__init__ = listening


@variant
def no_optional_fields() -> None:
    _config(lambda c: attrs.evolve(c, agent="", grease=b""))


@variant
def reasons_given() -> None:
    make = outgoing.close_frame
    connection.close_frame = lambda code, text, kind: make(code, (text + " " + "é" * 200)[:MAX_CLOSE_DETAIL], kind)


@variant
def no_reasons() -> None:
    make = outgoing.close_frame
    connection.close_frame = lambda code, text, kind: make(code, "", kind)


# --- transfer and exchange ---


@variant
def random_order() -> None:
    """One block a request, in any order."""
    begin = picker.Picker.__init__
    odd = picker.PickerConfig(max_level=0, random_picks=1 << 40, window_level=0)
    picker.Picker.__init__ = lambda self, layout, random, config=None: begin(self, layout, random, odd)


@variant
def small_pipeline() -> None:
    """Never more than one block on its way."""
    _config(lambda c: attrs.evolve(c, asking=AskingConfig(first_window=1, least_window=1, pipeline=1)))


@variant
def duplicate_have() -> None:
    """What it holds it says in one frame, and again unit by unit."""
    tell = outgoing._tell_units

    def again(session: Any, command: Any) -> None:
        tell(session, command)
        for first, last in command.spans:
            for unit in range(first, min(last, first + 20) + 1):
                tell(session, attrs.evolve(command, spans=((unit, unit),)))

    outgoing._COMMANDS[outgoing.cmd.TellUnits] = again


@variant
def peers_at_once() -> None:
    """It listens, so that it has itself to share."""
    begin = reference.Run.__init__

    def listening(self: Any, config: dict[str, Any], role: str, inline: bool) -> None:
        begin(self, {"listening": ["127.0.0.1:7999"], **config}, role, inline)

    reference.Run.__init__ = listening


@variant
def peers_never() -> None:
    """It shares only when it is asked."""
    reference.ABOUT["choices"]["peers"] = "asked"
    opened = Exchange.open_topic
    Exchange.open_topic = lambda self, link, topic, now, *, pushes: opened(self, link, topic, now, pushes=False)


@variant
def joins_never_first() -> None:
    """It opens no topic unasked on a link that it was told to open."""
    reference.ABOUT["features"].remove("joins")
    join = Joining.join
    Joining.join = lambda self, link: None if link.given else join(self, link)


@variant
def closes_first() -> None:
    """It closes as soon as it has what it sought, without the other side's asking."""
    tell = reference.Run.tell

    def and_close(self: Any, event: Any) -> None:
        tell(self, event)
        if isinstance(event, reference.ev.FetchComplete):
            self.node.close(self.now)
            self.pump()

    reference.Run.tell = and_close
