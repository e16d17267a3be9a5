"""Checks JSON against the part of JSON Schema that the suite's own schemas use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
KNOWN: Final = frozenset(
    [
        "$schema",
        "$id",
        "$defs",
        "$ref",
        "title",
        "description",
        "type",
        "const",
        "enum",
        "required",
        "properties",
        "items",
        "pattern",
        "minimum",
        "oneOf",
        "minItems",
        "additionalProperties",
    ]
)

HEX: Final = "^([0-9a-f]{2})*$"
"""Bytes, as all schemas of the suite write them."""


def problem(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any] | None = None, path: str = "") -> str | None:
    """The first thing that is wrong with a value, or None. Raises `ValueError` for a schema that is not understood."""
    root = root or schema
    if unknown := set(schema) - KNOWN:
        raise ValueError(f"schema at {path or 'the top'}: {', '.join(sorted(unknown))} is not understood")
    if "$ref" in schema:
        return problem(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, path)
    here = path or "the message"
    if "type" in schema and not _is(value, schema["type"]):
        return f"{here} is {value!r:.60}, must be of type {schema['type']}"
    if "const" in schema and value != schema["const"]:
        return f"{here} is {value!r:.60}, must be {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{here} is {value!r:.60}, must be one of {', '.join(map(str, schema['enum']))}"
    if "pattern" in schema and not _fits(schema["pattern"], value):
        return f"{here} is {value!r:.60}, must match {schema['pattern']}"
    if "minimum" in schema and value < schema["minimum"]:
        return f"{here} is {value}, must be at least {schema['minimum']}"
    if "oneOf" in schema and sum(problem(value, option, root, path) is None for option in schema["oneOf"]) != 1:
        return f"{here} is {value!r:.60}, which is none of the forms allowed"
    return _inside(value, schema, root, path)


def _fits(pattern: str, value: str) -> bool:
    if pattern == HEX:
        # Answers have it by the megabyte, and the expression would take most of the suite's time.
        try:
            return bytes.fromhex(value).hex() == value
        except ValueError:
            return False
    return re.search(pattern, value) is not None


def _is(value: Any, wanted: str | list[str]) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    return any(isinstance(value, TYPES[name]) and (name == "boolean" or value is not True) for name in names)


def _inside(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], path: str) -> str | None:
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                return f"{path or 'the message'} has no field {name!r}"
        others = schema.get("additionalProperties")
        for name, inner in value.items():
            found = schema.get("properties", {}).get(name, others if isinstance(others, dict) else None)
            if found is not None and (wrong := problem(inner, found, root, f"{path}.{name}" if path else name)):
                return wrong
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            return f"{path} has {len(value)} items, must have at least {schema['minItems']}"
        for number, inner in enumerate(value):
            if "items" in schema and (wrong := problem(inner, schema["items"], root, f"{path}[{number}]")):
                return wrong
    return None
