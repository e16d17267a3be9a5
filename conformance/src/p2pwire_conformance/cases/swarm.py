"""What the cases with several peers at once have in common. All of it is inline: time is virtual, nobody is dialled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from p2pwire_conformance.case import INLINE, RESPONDER, case
from p2pwire_conformance.content import BLOCK, Object, blob
from p2pwire_conformance.keys import Identity
from p2pwire_conformance.link import Frame, Link, parameter
from p2pwire_conformance.message import Tree
from p2pwire_conformance.records import address, peer_record
from p2pwire_conformance.trial import UNIX_TIME, Trial
from p2pwire_conformance.verdict import Kind

SOUGHT: Final = blob(3 * BLOCK)
SHARED: Final = blob(1000)
OTHER: Final = blob(1000, 1)
WANTS_PEERS: Final = 4
FAR: Final = "11.1.0.1:7001"
"""A global address. Nothing is ever sent there: it is a number in a line to the adapter."""
LAN: Final = "10.0.0.1:7001"
HERE: Final = "127.0.0.1:7001"


def swarm(
    id: str, citations: str, features: str = "", *, depends: str = ""
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Enter a case with several inline links to one subject."""
    return case(id, citations, roles=RESPONDER, nets=INLINE, features=f"links {features}", depends=depends)


def split(text: str) -> Tree:
    """An address from `host:port`."""
    host, _, port = text.rpartition(":")
    return address(host.strip("[]"), int(port))


def record(name: str, *addresses: str, **changes: Any) -> bytes:
    """A good record of the peer of this name, unless it is told otherwise."""
    sequence = changes.pop("sequence", UNIX_TIME)
    return peer_record(Identity(name), sequence, addresses=[split(text) for text in addresses], **changes)


def peers(handle: int, *records: bytes, flags: int = 0, dropped: Sequence[bytes] = ()) -> Tree:
    """PEERS."""
    added = [Tree("SharedRecord", flags=flags, record=one) for one in records]
    return Tree("Peers", handle=handle, added=added, dropped=dropped)


def source(t: Trial, come_from: str = FAR, **config: Any) -> tuple[Link, int]:
    """A link of somebody who knows peers, to a subject that seeks `SOUGHT` and tells what it would dial."""
    sought = config.pop("sought", SOUGHT)
    given = {"fetch": [sought.oid.hex()], "dials": True, "remote": come_from, "unix_time": UNIX_TIME} | config
    t.start(**given)
    link = t.connect("source")
    link.shake()
    link.hello(idle=600)
    return link, link.open_topic(sought, tell=False)[0]


def more(t: Trial, name: str, come_from: str, sought: Object = SOUGHT) -> tuple[Link, int]:
    """One more of them."""
    link = t.peer(name, come_from, idle=600)
    return link, link.open_topic(sought, tell=False)[0]


def addresses(dials: Sequence[dict[str, Any]]) -> list[str]:
    """Where they go."""
    return [dial["addr"] for dial in dials]


def expect_dials(t: Trial, link: Link, *due: str, check: str = "dials") -> list[dict[str, Any]]:
    """The subject dialled these addresses since the last look, in any order, and no others."""
    found = t.dials()
    if sorted(addresses(found)) != sorted(due):
        link.fail(check, Kind.WRONG, f"dials to {', '.join(due) or 'nobody'}", f"{addresses(found) or 'none'}")
    return found


def expect_count(link: Link, found: int, least: int, most: int, what: str, check: str) -> None:
    """A number within bounds."""
    if not least <= found <= most:
        link.fail(check, Kind.WRONG, f"{least} to {most} {what}", str(found))


# --- a subject that shares ---


def sharing(t: Trial, come_from: str = FAR, **config: Any) -> None:
    """A subject that shares `SHARED`; its link 0 is there and not used."""
    t.start(**{"share": [SHARED.recipe], "remote": come_from, "unix_time": UNIX_TIME} | config)
    t.connect("unused")


def joined(
    t: Trial, name: str, come_from: str = "11.2.0.1:7001", *, own: str = "", flags: int = 0, shared: Object = SHARED
) -> tuple[Link, int, bytes]:
    """A peer in the topic, with a record of its own in HELLO if `own` says at which address: link, handle, record."""
    identity = Identity(f"{t.name} {name}")
    told = peer_record(identity, UNIX_TIME, addresses=[split(own)]) if own else b""
    link = t.peer(name, come_from, identity, parameters=[parameter(2, told)] if told else [], idle=600)
    handle, _ = link.open_topic(shared, flags=flags)
    return link, handle, told


def told(link: Link) -> list[Frame]:
    """The PEERS that came since the last look, up to a fence."""
    link.fence()
    found = [one for one in link.noticed if one.name == "Peers"]
    link.noticed[:] = [one for one in link.noticed if one.name != "Peers"]
    return found


def records_in(frames: Sequence[Frame]) -> list[bytes]:
    """All records added by them."""
    return [one["record"] for frame in frames for one in frame["added"]]
