"""Bytes as a script: decisions are read off them one by one, and when they are used up all answers are 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Script:
    """Reads a fuzzer's bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self._at < len(self._data)

    def number(self, below: int) -> int:
        """A number from 0 on; one byte for up to 256 of them, else two."""
        size = 1 if below <= 256 else 2
        return int.from_bytes(self.take(size), "big") % below

    def take(self, size: int) -> bytes:
        """The next bytes, as many as there are."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def piece(self) -> bytes:
        """Bytes with their length before them."""
        return self.take(self.number(65536))

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))

    def choose(self, among: Sequence[T]) -> T:
        """One of these."""
        return among[self.number(len(among))]
