"""What the figures are to be: the one list of targets, and how each is judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from tests.bench.figures import Results, advantage

MET, AIMED, MISSED, UNMEASURED = "met", "met, beyond the aim", "missed", "not measured"

THREE: Final = ", three to one"


@attrs.frozen
class Target:
    """A figure, alone or beside others, and how far it is to reach."""

    text: str
    figure: str
    """The key of ours."""
    over: tuple[str, ...] = ()
    """Keys of the others; the best of them counts. Empty: the figure itself is judged."""
    least: float | None = None
    """How many times better than the others; or of a figure alone its least value."""
    most: float | None = None
    """Of a figure alone: its largest value."""
    aim: float | None = None
    """What would be better still than `least`."""
    compiled: bool = False
    """Whether it is one for the compiled build alone."""

    @property
    def wanted(self) -> str:
        """What has to be reached, in words."""
        if self.most is not None:
            return f"at most {self.most:g}"
        aim = "" if self.aim is None else f", better {self.aim:g}"
        return f"at least {self.least:g}{' ×' if self.over else ''}{aim}"


@attrs.frozen
class Verdict:
    """What became of a target."""

    target: Target
    value: float | None
    """None: not measured."""

    @property
    def word(self) -> str:
        """met, missed or not measured."""
        target, value = self.target, self.value
        if value is None:
            return UNMEASURED
        if target.most is not None:
            return MET if value <= target.most else MISSED
        assert target.least is not None
        if value < target.least:
            return MISSED
        return AIMED if target.aim is not None and value >= target.aim else MET

    @property
    def shown(self) -> str:
        """The value, as the table has it."""
        if self.value is None:
            return "–"
        if not self.target.over:
            return f"{self.value:.3g}"
        text = f"{self.value:.2f}"
        if self.word == MISSED and float(text) >= (self.target.least or 0):
            text = f"{self.value:.3f}"  # missed by a hair
        return f"{text} ×"


def assess(results: Results) -> list[Verdict]:
    """A verdict for each target."""
    return [Verdict(target, _value(target, results)) for target in TARGETS]


def _value(target: Target, results: Results) -> float | None:
    figure = results.figures.get(target.figure)
    if figure is None or (target.compiled and not results.machine.get("compiled")):
        return None
    if not target.over:
        return figure.middle
    found = [advantage(figure, other) for key in target.over if (other := results.figures.get(key)) is not None]
    return min(found) if found else None


def _bulk() -> Iterator[Target]:
    for backend in ("asyncio", "blocking"):
        ours = f"bulk/p2pwire {backend}"
        for version in ("v1", "v2"):
            over = (f"bulk/libtorrent {version} clear",)
            yield Target(f"{backend}, one to one, over libtorrent {version} in clear", ours, over, least=1, aim=1.25)
        for version in ("v1", "v2"):
            over = (f"bulk/libtorrent {version} rc4",)
            yield Target(f"{backend}, one to one, over libtorrent {version} encrypted", ours, over, least=2.7)
        yield Target(f"{backend}, one to one, over Python's ssl with SHA-256", ours, ("bulk/https",), least=1)
        yield Target(f"{backend}, one to one, of the leanest loop", ours, ("bulk/lean loop",), least=0.8)
        for version in ("v1", "v2"):
            over = (f"bulk/libtorrent {version} clear{THREE}",)
            yield Target(f"{backend}, three to one, over libtorrent {version} in clear", ours + THREE, over, least=1)
    for backend in ("asyncio", "trio"):
        over = ("bulk/p2pwire blocking",)
        yield Target(f"{backend}'s adapter, of the blocking one", f"bulk/p2pwire {backend}", over, least=0.8, aim=0.95)


def _memory_bulk() -> Iterator[Target]:
    for side in ("sending", "receiving"):
        yield Target(f"a process {side} 10 GiB, MB", f"memory/process {side} 10 GiB", most=120)


def _codec() -> Iterator[Target]:
    for way in ("decode", "encode"):
        ours = f"codec/small frames, {way}"
        for rival in ("h11", "h2"):
            yield Target(f"{way}, small messages, over {rival}", ours, (f"codec/{rival}, {way}",), least=5)
        name = f"{way}, small messages, compiled, over h11r"
        yield Target(name, ours, (f"codec/h11r, {way}",), least=1, compiled=True)
        over = (f"codec/hand-written loop, {way}",)
        yield Target(f"{way}, REQUEST, of the hand-written loop", f"codec/Request frames, {way}", over, least=0.8)


def _hash() -> Iterator[Target]:
    for way in ("all cores", "per core"):
        over = (f"hash/SHA-256, {way}",)
        yield Target(f"id of a large file, of SHA-256, {way}", f"hash/large file, {way}", over, least=0.9)
        over = (f"hash/loop over small files, {way}",)
        yield Target(f"id of small files, of a loop over them, {way}", f"hash/small files, {way}", over, least=0.9)


def _growth() -> Iterator[Target]:
    for what in ("blocks in a tree", "blocks picked", "blocks of a file moved", "files in a manifest", "files hashed",
                 "files of a folder moved", "links", "objects moved", "peers known"):  # fmt: skip
        yield Target(f"cost against {what}, exponent", f"growth/{what}", most=1.15)


TARGETS: Final = (
    *_bulk(),
    *_codec(),
    Target("messages through a link, over h2", "link/small messages", ("link/h2",), least=2),
    Target("handshakes, of the key operations alone", "handshake/p2pwire", ("handshake/key operations",), least=0.7),
    Target(
        "handshakes, over the better of TLS 1.3 and py-libp2p",
        "handshake/p2pwire",
        ("handshake/TLS 1.3 mutual", "handshake/py-libp2p noise"),
        least=1.2,
    ),
    Target("an idle link, KB", "memory/idle link", most=10),
    *_memory_bulk(),
    *_hash(),
    *_growth(),
)
"""Every target. Times of another run are no part of it: all are ratios, sizes and exponents."""
