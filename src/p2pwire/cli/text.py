"""How sizes, times, names and identities are written for people."""

from __future__ import annotations

import unicodedata
from typing import Final

SHORT_ID: Final = 8
"""characters of an identity that tell the peers of one swarm apart at a glance: 40 bits."""

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")


def printable(text: str) -> str:
    """The text with everything escaped that could steer a terminal or hide what is there: names come from others."""
    return "".join(letter if _prints(letter) else letter.encode("unicode_escape").decode("ascii") for letter in text)


def _prints(letter: str) -> bool:
    return letter.isprintable() or unicodedata.category(letter) == "Zs"


def size_text(size: int) -> str:
    """`17 bytes`, `64.0 MiB`."""
    if size < 1024:
        return count_text(size, "byte")
    power = _power(size)
    return f"{size / 1024**power:.1f} {_UNITS[power - 1]}"


def part_text(done: int, total: int) -> str:
    """`27.0/64.0 MiB`."""
    if total < 1024:
        return f"{done}/{count_text(total, 'byte')}"
    return f"{done / 1024 ** _power(total):.1f}/{size_text(total)}"


def _power(size: int) -> int:
    """Of 1024: the largest unit of which there is at least one."""
    power = 1
    while size / 1024**power >= 1023.95 and power < len(_UNITS):
        power += 1
    return power


def rate_text(size: float, seconds: float) -> str:
    """Bytes in a time, as a rate."""
    return f"{size_text(int(size / seconds))}/s" if seconds > 0 else "at once"


def time_text(seconds: float) -> str:
    """`0.82 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count_text(count: int, thing: str) -> str:
    """`1 file`, `3 files`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def short_id(peer: str) -> str:
    """The beginning of an identity's text."""
    return peer[:SHORT_ID]
