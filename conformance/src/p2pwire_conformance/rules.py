"""The closed set of rules that a layout may have beside sizes and ranges, as `protocol.json` names them."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

Values = Mapping[str, Any]
Rule = Mapping[str, Any]


def _plain(value: object) -> bool:
    text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    return not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in text)


def _characters(rule: Rule, value: bytes) -> bool:
    allowed = rule["allowed"]
    # "a-z" and "0-9" are ranges; the hyphen itself stands last.
    for shown, meant in (("a-z", string.ascii_lowercase), ("0-9", string.digits)):
        allowed = allowed.replace(shown, meant)
    return set(value.decode("utf-8")) <= set(allowed)


def _path(rule: Rule, value: bytes) -> bool:
    parts = value.split(b"/")
    sizes = all(1 <= len(part) <= rule["component"] for part in parts)
    bytes_fine = not any(byte < 0x20 or byte in (0x7F, 0x5C) for byte in value)
    return sizes and bytes_fine and len(parts) <= rule["components"] and not {b".", b".."} & set(parts)


def _disjoint(entries: Sequence[Any]) -> bool:
    ranges = sorted((entry["base"], entry["base"] + entry["count"] - 1) for entry in entries)
    return all(one[1] < other[0] for one, other in pairwise(ranges))


def _unique(values: Sequence[Any]) -> bool:
    return len(set(values)) == len(values)


OF_FIELD: Final[Mapping[str, Callable[[Rule, Any], bool]]] = {
    "Unique": lambda rule, values: _unique(values),
    "UniqueKey": lambda rule, values: _unique([value[rule["key"]] for value in values]),
    "AscendingKey": lambda rule, values: all(a[rule["key"]] < b[rule["key"]] for a, b in pairwise(values)),
    "AscendingSpans": lambda rule, values: all(a["last"] < b["first"] for a, b in pairwise(values)),
    "DisjointRanges": lambda rule, values: _disjoint(values),
    "NoControls": lambda rule, value: _plain(value),
    "Characters": _characters,
    "RelativePath": _path,
}
"""Rules about one field's value. `KnownValues` is the decoder's, since it needs the layouts."""

OF_MESSAGE: Final[Mapping[str, Callable[[Rule, Values], bool]]] = {
    "MemberOf": lambda rule, v: v[rule["field"]] in v[rule["sequence"]],
    "NotBelow": lambda rule, v: bool(v[rule["field"]] >= v[rule["other"]]),
    "Aligned": lambda rule, v: bool(v[rule["field"]] % (1 << v[rule["level"]]) == 0),
    "LengthBy": lambda rule, v: (
        len(v[rule["field"]]) == rule["lengths"].get(str(v[rule["other"]]), len(v[rule["field"]]))
    ),
    "ZeroUnless": lambda rule, v: v[rule["field"]] == 0 or v[rule["other"]] in rule["values"],
    "NotAllEmpty": lambda rule, v: bool(v[rule["field"]] or v[rule["other"]]),
    "EndsBy": lambda rule, v: bool(v[rule["field"]] + v[rule["count"]] - 1 <= rule["last"]),
}
"""Rules about several fields of a message."""
