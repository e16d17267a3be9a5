"""Ctrl-C under trio: it is raised wherever the program happens to be, which must not be in the midst of a node.

Under asyncio Ctrl-C cancels the main task, so there is nothing to do.
"""

from __future__ import annotations

import sys
from inspect import isfunction


def hold_interrupts_out(*classes: type) -> None:
    """Let KeyboardInterrupt wait while a method of these classes runs; trio raises it in the main task then."""
    trio = sys.modules.get("trio")
    if trio is None:
        return
    for cls in classes:
        for function in vars(cls).values():
            # A decorated function shares its outer code with others.
            if isfunction(function) and not hasattr(function, "__wrapped__"):
                trio.lowlevel.enable_ki_protection(function)
