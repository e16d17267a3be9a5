"""What the files of faults share: how a fault is entered under its name, and two changes that several make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from p2pwire.connection import connection
from p2pwire.connection.state import LinkState, next_link_state
from p2pwire.connection.timers import Timer, Timers

MUTANTS: Final[dict[str, Callable[[], None]]] = {}


def mutant(function: Callable[[], None]) -> Callable[[], None]:
    """Enter a fault under its function's name."""
    MUTANTS[function.__name__.replace("_", "-")] = function
    return function


def cell(state: LinkState, arrived: Any, other: Any) -> None:
    """Change one cell of the table of states."""

    def changed(now: LinkState, what: Any) -> Any:
        return other if (now, what) == (state, arrived) else next_link_state(now, what)

    connection.next_link_state = changed


def without_timer(timer: Timer) -> None:
    """Never start this timer."""
    start = Timers.start
    Timers.start = lambda self, which, *given: None if which is timer else start(self, which, *given)
