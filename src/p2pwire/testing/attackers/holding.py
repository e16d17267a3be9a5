"""What a host holds in memory, found by going through all of its objects, and not computed from limits."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable
from types import BuiltinFunctionType, CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType

from p2pwire.testing.network import Host

_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, CodeType, GetSetDescriptorType, MemberDescriptorType)
"""Kinds of objects that belong to the program and not to a host."""


def held(host: Host) -> int:
    """Bytes of all that a host's node holds: its links, topics and tables, the blocks that its disk is to write, and
    what its carriers were given and the wire has not taken. Content on the disk does not count."""
    roots: list[object] = [host.node, host._in_hand]
    roots += [end.out.unsent for end in host.ends()]
    outside = [host, host.network, host.disk, host.config, *(host.disk._shared.values())]
    return size_of(roots, outside)


def size_of(roots: Iterable[object], outside: Iterable[object] = ()) -> int:
    """Bytes of some objects and of all that they lead to, each counted once; without `outside` and what belongs to the
    program."""
    left = list(roots)
    seen = {id(thing) for thing in outside}
    total = 0
    while left:
        thing = left.pop()
        if id(thing) in seen or isinstance(thing, _SHARED):
            continue
        seen.add(id(thing))
        total += sys.getsizeof(thing)
        left += gc.get_referents(thing)
    return total
