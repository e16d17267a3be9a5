"""What the files of faults share: how a fault is entered under its name, and two changes that several make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from p2pwire.connection import connection, incoming
from p2pwire.connection.state import LinkState, next_link_state
from p2pwire.connection.timers import Timer, Timers
from p2pwire.wire.registry import FrameType

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


def before(frame_type: FrameType, change: Callable[[Any, Any], Any]) -> None:
    """Do something with a session and a frame of this type before it is handled."""
    handle = incoming._HANDLERS[frame_type]

    def changed(session: Any, frame: Any) -> bool:
        change(session, frame)
        return handle(session, frame)

    incoming._HANDLERS[frame_type] = changed


def without_tag(key: bytes, nonce: bytes, sealed: bytes) -> bytes:
    """What AES-GCM would give if its tag were not looked at."""
    counter = Cipher(algorithms.AES(key), modes.CTR(nonce + (2).to_bytes(4, "big")))
    return counter.decryptor().update(sealed[:-16])
