"""EX: frames of extensions that the subject sends, and GREASE that it sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from p2pwire_conformance.case import INITIATOR, INLINE, add, case
from p2pwire_conformance.cases.hello import entry
from p2pwire_conformance.link import Link, hello, parameter
from p2pwire_conformance.message import Tree, decode
from p2pwire_conformance.protocol import constant, is_grease16
from p2pwire_conformance.trial import Trial
from p2pwire_conformance.verdict import Kind

OWN: Final = ({"name": "conformance/1", "base": 0xA0, "count": 2}, {"name": "grease/ours", "base": 0xB0, "count": 4})
"""What the subject lists."""
THEIRS: Final = (
    Tree("Extension", name=b"conformance/1", base=0x91, count=3),
    entry(b"grease/ours", 0xC1, 4),
    entry(b"other/1", 0xD1, 4),
)
RUNS: Final = 64
"""connections: with one in eight, none of them has GREASE once in 5000 times."""


def _listing(*entries: Tree) -> Tree:
    return hello(parameters=[parameter(4, b"".join(one.encode() for one in entries))])


def _frames(t: Trial, link: Link, name: str, index: int) -> list[int]:
    """The types of extension frames that come when the subject is to send this one."""
    t.running.do("extension", name=name, index=index, hex="0102")
    t.flush()
    if link.peer_hello is None:
        link.expect_hello()
    found: list[int] = []
    while (one := link.next_frame(0.2)) is not None:
        found.append(one.type)
    return [kind for kind in found if 0x80 <= kind < 0xFF]


def _sends(greeting: Tree | None, name: str, index: int, due: list[int]) -> Callable[[Trial], None]:
    def run(t: Trial) -> None:
        t.start(extensions=list(OWN))
        link = t.connect()
        link.shake()
        if greeting is not None:
            link.send(greeting)
            link.expect_hello()
        if (found := _frames(t, link, name, index)) != due:
            shown = " and ".join(f"{kind:#04x}" for kind in due) or "no frame of an extension"
            link.fail("extension-frame", Kind.WRONG, shown, f"{[hex(kind) for kind in found]} came")

    return run


_BOTH: Final = _listing(*THEIRS)
_SENT: Final[tuple[tuple[str, str, str, Tree | None, str, int, list[int]], ...]] = (
    ("EX-0040", "EX-007", "the first frame of an agreed extension", _BOTH, "conformance/1", 0, [0x91]),
    ("EX-0041", "EX-007", "the last frame of an agreed extension", _BOTH, "conformance/1", 2, [0x93]),
    ("EX-0042", "EX-012", "a frame beyond the count that the other side gave", _BOTH, "conformance/1", 3, []),
    ("EX-0043", "EX-005", "a frame before the other side's HELLO has come", None, "conformance/1", 0, []),
    ("EX-0044", "EX-005", "a frame of an extension that the other side does not list", hello(), "conformance/1", 0, []),
    ("EX-0045", "EX-006", "a frame of an extension that it does not list itself", _BOTH, "other/1", 0, []),
    ("EX-0046", "EX-023", "a frame of an extension with a GREASE name", _BOTH, "grease/ours", 0, []),
)
for _id, _cited, _what, _hello, _name, _index, _due in _SENT:
    _title = f"Has the subject send {_what}. It {'uses the number of the receiver' if _due else 'does not'}."
    add(_id, _cited, _title, _sends(_hello, _name, _index, _due), nets=INLINE, features="extensions frames")


def _some(t: Trial, look: Callable[[Link], bool]) -> bool:
    """Whether one of many connections has it."""
    for number in range(RUNS):
        t.start(seed=number.to_bytes(32, "big").hex())
        if look(t.connect()):
            return True
    return False


def _in_lists(link: Link) -> bool:
    offer = link.read_offer()
    return all(any(is_grease16(value) for value in offer[name]) for name in ("versions", "suites"))


@case("EX-0050", "VN-064 VN-062", roles=INITIATOR, nets=INLINE)
def grease_in_offers(t: Trial) -> None:
    """Reads the offers of up to 64 connections (T30). At least one has a GREASE version and a GREASE suite."""
    if not _some(t, _in_lists):
        t.connect().fail("grease", Kind.WRONG, f"GREASE in one of {RUNS} offers", "none has any")


def _in_frames(link: Link) -> bool:
    link.shake()
    parameters: list[dict[str, Any]] = link.hello()["parameters"]
    link.fence()
    tag = any(one["tag"] & 0x1F == 0x0B for one in parameters)
    listed = [decode("Extensions", one["value"])["entries"] for one in parameters if one["tag"] == 4]
    name = any(one["name"].startswith(b"grease/") for entries in listed for one in entries)
    return (tag or name) and any(one.type in constant("GREASE_FRAMES") for one in link.noticed)


@case("EX-0051", "EX-022 EX-020 EX-021", nets=INLINE)
def grease_in_frames(t: Trial) -> None:
    """Reads the first frames of up to 64 connections (T30). Among them are a GREASE frame and a GREASE tag or name."""
    if not _some(t, _in_frames):
        t.connect().fail("grease", Kind.WRONG, f"GREASE in one of {RUNS} connections", "none has any")
