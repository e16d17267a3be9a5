"""PX: which peer records are kept."""

from __future__ import annotations

from typing import Any

from p2pwire_conformance.cases.px import DIALS, GOOD, MINUTE
from p2pwire_conformance.cases.swarm import (
    SOUGHT,
    expect_count,
    more,
    peers,
    record,
    source,
    swarm,
)
from p2pwire_conformance.content import BLOCK, blob
from p2pwire_conformance.keys import Identity
from p2pwire_conformance.trial import UNIX_TIME, Trial


def _keeps(t: Trial) -> int:
    found: int = t.do("count")["records"]
    return found


def _fakes(first: int, count: int) -> list[bytes]:
    """Records that pass every check but that of the signature, which is the last."""
    good = record("fake", "11.80.0.1:7001")
    return [good[:1] + Identity(f"fake {n}").public + good[33:] for n in range(first, first + count)]


@swarm("PX-0400", "PX-025 PX-046", f"{DIALS} count")
def records_beyond_the_bucket(t: Trial) -> None:
    """Names 160 peers at once, in two topics (T21). The subject keeps 128 and drops the others; it takes one more of
    them a second later."""
    second = blob(4 * BLOCK)
    link, handle = source(t, fetch=[SOUGHT.oid.hex(), second.oid.hex()], dials=False)
    other, _ = link.open_topic(second, tell=False)
    named = [record(f"p{n}", f"11.{100 + n % 100}.{n}.1:7001") for n in range(160)]
    for part in range(5):
        link.send(peers(handle if part < 3 else other, *named[part * 32 : part * 32 + 32]))
    expect_count(link, _keeps(t), 128, 128, "records", "bucket")
    t.pass_time(1.5, link)
    link.send(peers(other, *named[128:131]))
    expect_count(link, _keeps(t), 129, 129, "records a second later", "refill")


@swarm("PX-0401", "PX-047", DIALS)
def flood_of_records(t: Trial) -> None:
    """Sends 512 records that are wrong only in their signatures, and one more, in five topics (T21). The subject closes
    with FLOOD on the last."""
    link, handles = _five_topics(t)
    named = _fakes(0, 513)
    for part in range(16):
        link.send(peers(handles[part // 4], *named[part * 32 : part * 32 + 32]))
    link.expect_open("512-records")
    link.send(peers(handles[4], named[512]))
    link.expect_close("FLOOD", blame=0x30)


def _five_topics(t: Trial) -> tuple[Any, list[int]]:
    sought = [SOUGHT, *(blob(n * BLOCK) for n in range(4, 8))]
    link, handle = source(t, fetch=[one.oid.hex() for one in sought], dials=False)
    return link, [handle, *(link.open_topic(one, tell=False)[0] for one in sought[1:])]


@swarm("PX-0402", "PX-049", DIALS)
def old_records_do_not_count(t: Trial) -> None:
    """Sends 639 records that are expired, and one that is good. The subject goes on: only what passes the checks before
    the budgets is counted."""
    link, handles = _five_topics(t)
    good = record("fake", "11.80.0.1:7001", sequence=UNIX_TIME - 90000)
    for part in range(20):
        named = [good[:1] + Identity(f"old {part} {n}").public + good[33:] for n in range(32)]
        if part == 19:
            named[31] = record("good", GOOD)
        link.send(peers(handles[part // 4], *named))
    link.expect_open()


@swarm("PX-0403", "PX-028 PX-054 PX-098", f"{DIALS} count")
def vouchers(t: Trial) -> None:
    """Two sources name a peer by the same record. The first withdraws its word: the subject keeps the record. The
    second does: it forgets it."""
    link, handle = source(t, dials=False)
    other, others = more(t, "second", "11.2.0.1:7001")
    named = record("a", "11.80.0.1:7001")
    link.send(peers(handle, named))
    expect_count(link, _keeps(t), 1, 1, "records", "told")
    other.send(peers(others, named))
    link.send(peers(handle, dropped=[Identity("a").public]))
    expect_count(link, _keeps(t), 1, 1, "records while one source vouches", "one-voucher")
    other.send(peers(others, dropped=[Identity("a").public]))
    expect_count(link, _keeps(t), 0, 0, "records when no source vouches", "no-voucher")


@swarm("PX-0404", "PX-028 PX-025", f"{DIALS} count")
def equal_records_cost_nothing(t: Trial) -> None:
    """Names the same 32 peers four times and then 96 others, 128 in all. The subject keeps them all: an equal record
    takes no token."""
    second = blob(4 * BLOCK)
    link, handle = source(t, fetch=[SOUGHT.oid.hex(), second.oid.hex()], dials=False)
    other, _ = link.open_topic(second, tell=False)
    named = [record(f"p{n}", f"11.{100 + n % 100}.{n}.1:7001") for n in range(128)]
    for _ in range(4):
        link.send(peers(handle, *named[:32]))
    for part in range(1, 4):
        link.send(peers(other, *named[part * 32 : part * 32 + 32]))
    expect_count(link, _keeps(t), 128, 128, "records", "equal")


@swarm("PX-0405", "PX-090", f"{DIALS} count")
def records_of_one_source(t: Trial) -> None:
    """One source names 384 peers, as fast as the budgets allow. The subject keeps 256 of them."""
    link, handle = source(t, dials=False)
    for part in range(12):
        first = part * 32
        link.send(
            peers(handle, *(record(f"p{n}", f"11.{n % 200}.{n // 200}.1:7001") for n in range(first, first + 32)))
        )
        if part % 4 == 3:
            t.pass_time(130.0, link)
    expect_count(link, _keeps(t), 200, 256, "records of one source", "per-source")


@swarm("PX-0406", "PX-091", f"{DIALS} count")
def records_of_one_group(t: Trial) -> None:
    """Three sources in one group name 256 peers each (T25). The subject keeps 512 of them."""
    link, handle = source(t, dials=False)
    sources = [(link, handle), *(more(t, f"s{n}", f"11.1.{n}.1:7001") for n in (1, 2))]
    links = [one for one, _ in sources]
    for part in range(8):
        for place, (one, number) in enumerate(sources):
            first = part * 32
            named = [record(f"s{place} {n}", f"11.{n % 200}.{place}.1:7001") for n in range(first, first + 32)]
            one.send(peers(number, *named))
        if part == 3:
            t.pass_time(130.0, *links)
    expect_count(link, _keeps(t), 400, 512, "records of one group", "per-group")


@swarm("PX-0407", "PX-029 PX-098", f"{DIALS} count")
def expired_records_go(t: Trial) -> None:
    """Names a peer by a record that ends in 30 s. After a minute the subject keeps it no more."""
    link, handle = source(t, dials=False)
    link.send(peers(handle, record("late", "11.80.0.1:7001", sequence=UNIX_TIME - 630, ttl=60)))
    expect_count(link, _keeps(t), 1, 1, "records", "told")
    t.pass_time(MINUTE, link)
    expect_count(link, _keeps(t), 0, 0, "records", "expired")


@swarm("PX-0408", "PX-093", f"{DIALS} count")
def replaced_at_random(t: Trial) -> None:
    """One source names 384 peers, of which the subject keeps 256, and then withdraws the first 64. Some of these were
    kept and some were not: what gives way is not the oldest, nor what comes last (T25)."""
    link, handle = source(t, dials=False)
    for part in range(12):
        named = range(part * 32, part * 32 + 32)
        link.send(peers(handle, *(record(f"p{n}", f"11.{n % 200}.{n // 200}.1:7001") for n in named)))
        if part % 4 == 3:
            t.pass_time(130.0, link)
    before = _keeps(t)
    link.send(peers(handle, dropped=[Identity(f"p{n}").public for n in range(64)]))
    expect_count(link, before - _keeps(t), 1, 63, "of the first 64 kept", "random")
