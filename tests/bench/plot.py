"""A picture of the figures that matter most: bars, as SVG, legible on light and dark ground."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

import attrs

from tests.bench.figures import Figure, Results
from tests.bench.table import number

WIDTH: Final = 720
LABEL: Final = 210
"""Where bars begin."""
LONGEST: Final = 400
BAR: Final = 16
STEP: Final = 22
GAP: Final = 30

STYLE: Final = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .ours { fill: #0969da } .other { fill: #8c959f } .limit { fill: #d0d7de }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .ours { fill: #4493f8 } .other { fill: #7d8590 } .limit { fill: #3d444d }
  }
"""

OURS: Final = ("p2pwire", "small frames", "small messages", "idle link", "large file", "small files")
LIMITS: Final = ("lean loop", "key operations", "SHA-256")


@attrs.frozen
class Panel:
    """Bars on one scale."""

    title: str
    bench: str
    names: Sequence[str]


_TORRENTS: Final = tuple(f"libtorrent {version} {cipher}" for cipher in ("clear", "rc4") for version in ("v1", "v2"))
_MOVERS: Final = ("p2pwire blocking", "p2pwire asyncio", "p2pwire trio", *_TORRENTS, "https", "lean loop")
_HASHED: Final = ("large file", "loop over a large file", "small files", "loop over small files")

PANELS: Final = (
    Panel("Moving a file of 1 GiB, one to one (MiB/s)", "bulk", _MOVERS),
    Panel("The same, three to one (MiB/s)", "bulk", tuple(f"{name}, three to one" for name in _MOVERS)),
    *(
        Panel(
            f"Small messages, {way} (thousand/s)",
            "codec",
            tuple(f"{name}, {way}" for name in ("small frames", "h11", "h2", "wsproto", "h11r")),
        )
        for way in ("decode", "encode")
    ),
    Panel("Small messages through whole links (thousand/s)", "link", ("small messages", "h2")),
    Panel(
        "Handshakes, both sides (1/s)",
        "handshake",
        ("p2pwire", "TLS 1.3 mutual", "noiseprotocol XX", "py-libp2p noise", "aioquic", "key operations"),
    ),
    Panel(
        "The id of content, on all cores (GiB/s)",
        "hash",
        tuple(f"{name}, all cores" for name in (*_HASHED, "SHA-256")),
    ),
    Panel("An idle session (KB)", "memory", ("idle link", "h11", "h2", "wsproto", "ssl", "aioquic")),
)
"""What is drawn, where it was measured."""


def plot(results: Results) -> str:
    """The picture, as a file of SVG."""
    parts: list[str] = []
    y = 0
    for panel in PANELS:
        found = [figure for name in panel.names if (figure := results.figures.get(f"{panel.bench}/{name}")) is not None]
        if found:
            y += GAP
            parts.append(f'<text class="title" x="0" y="{y}">{escape(panel.title)}</text>')
            parts += _bars(found, y + 8)
            y += 8 + STEP * len(found)
    height = y + 8
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def _bars(figures: Sequence[Figure], y: int) -> list[str]:
    longest = max(figure.middle for figure in figures) or 1.0
    parts = []
    for place, figure in enumerate(figures):
        top = y + place * STEP
        width = max(1.0, figure.middle / longest * LONGEST)
        name = figure.name.partition(", ")[0]
        kind = "ours" if name.startswith(OURS) else "limit" if name in LIMITS else "other"
        parts += [
            f'<text x="{LABEL - 8}" y="{top + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{LABEL}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{LABEL + width + 6:.1f}" y="{top + 12}">{number(figure.middle)}</text>',
        ]
    return parts
