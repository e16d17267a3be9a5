"""A badge for a README: what a run amounts to, in one small image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Final

from p2pwire_conformance.runner import Execution
from p2pwire_conformance.verdict import RED, Verdict

LABEL: Final = "p2pwire/1"
WIDTH: Final = 6.6
"""pixels of a character, on average, at 11 px."""
PAD: Final = 6
COLOURS: Final = {"pass": "#1a7f37", "warn": "#8a5a00", "red": "#c3261b"}


def badge(executions: Sequence[Execution]) -> str:
    """SVG. Its text is also its title, for those who do not see it."""
    counted = Counter(one.verdict for one in executions)
    red = sum(counted[verdict] for verdict in RED)
    passed = counted[Verdict.PASS]
    text, colour = f"{passed} passed", "pass"
    if red or not passed:
        text, colour = (f"{red} red, {passed} passed", "red") if passed else ("nothing passed", "red")
    elif counted[Verdict.WARN]:
        text, colour = f"{passed} passed, {counted[Verdict.WARN]} warnings", "warn"
    left, right = (round(len(part) * WIDTH) + 2 * PAD for part in (LABEL, text))
    said = escape(f"{LABEL}: {text}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{said}">'
        f"<title>{said}</title>"
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{COLOURS[colour]}"/></g>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2}" y="14" textLength="{left - 2 * PAD}">{LABEL}</text>'
        f'<text x="{left + right / 2}" y="14" textLength="{right - 2 * PAD}">{escape(text)}</text></g></svg>\n'
    )
