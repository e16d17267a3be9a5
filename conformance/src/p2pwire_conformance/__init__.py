"""Judges implementations of p2pwire/1. It shares no code with any of them."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
