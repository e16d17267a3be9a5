"""The reference with one oddity that the specification allows: for proving that the suite takes no offence at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

VARIANTS: Final[dict[str, Callable[[], None]]] = {}


def variant(function: Callable[[], None]) -> Callable[[], None]:
    """Enter an oddity under its function's name."""
    VARIANTS[function.__name__.replace("_", "-")] = function
    return function
