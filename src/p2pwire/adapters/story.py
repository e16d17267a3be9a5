"""What happens in a peer, in order, for those who want to hear it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Final

from p2pwire.node.events import NodeEvent

STORY_LENGTH: Final = 1024
"""Events kept for one listener that does not listen; the oldest are lost then."""


class Story(ABC):
    """One listener's events: all but `BlocksStored`, of which a fetch gives the sum. An adapter adds the waiting."""

    def __init__(self) -> None:
        self._events: deque[NodeEvent] = deque(maxlen=STORY_LENGTH)
        self._ended = False

    def hear(self, event: NodeEvent) -> None:
        """Something happened."""
        self._events.append(event)
        self._stir()

    def end(self) -> None:
        """Nothing more will happen."""
        self._ended = True
        self._stir()

    @abstractmethod
    def _stir(self) -> None:
        """Wake who waits."""
