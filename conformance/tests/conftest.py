"""What several tests need."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

import p2pwire_conformance.cases  # noqa: F401  (enters all cases)
from p2pwire_conformance.adapter import Adapter
from toys import ADAPTERS, HELLO


@pytest.fixture
def reference() -> Iterator[Adapter]:
    """The reference behind its adapter."""
    adapter = Adapter([sys.executable, str(ADAPTERS / "reference.py")])
    yield adapter
    adapter.close()


@pytest.fixture
def toy() -> Iterator[Callable[[str], Adapter]]:
    """An adapter that says hello and then runs these lines, with `ask()` for the next request, `say(text)` and
    `wait()`."""
    made: list[Adapter] = []

    def make(body: str, *, hello: str = HELLO) -> Adapter:
        script = (
            "import json, os, signal, subprocess, sys, time\n"
            "def wait(): time.sleep(600)\n"
            "def ask(): return json.loads(sys.stdin.readline() or sys.exit(0))\n"
            "def say(text): print(text, flush=True)\n"
            f"ask(); say({hello!r})\n{body}\n"
        )
        made.append(Adapter([sys.executable, "-c", script]))
        return made[-1]

    yield make
    for adapter in made:
        adapter.close()
