"""The registry as data: every constant and enumeration with the text that stands below it in the source."""

from __future__ import annotations

import ast
import re
from enum import IntEnum, IntFlag
from pathlib import Path
from types import ModuleType
from typing import Final

import attrs

from p2pwire.wire import registry

_SECTION: Final = re.compile(r"# --- (.+?) -+$")

Scalar = int | float | bytes


@attrs.frozen
class Constant:
    """A named number, time or text, or several of them."""

    name: str
    value: Scalar | tuple[Scalar, ...]
    text: str
    section: str
    """The heading in the registry below which it stands."""


@attrs.frozen
class Member:
    name: str
    value: int
    text: str


@attrs.frozen
class Enumeration:
    name: str
    text: str
    members: tuple[Member, ...]


class Registry:
    """What a module of constants and enumerations says, as `wire/registry.py` is one."""

    def __init__(self, module: ModuleType, source: str | None = None) -> None:
        """`source`: what is read instead of the module's own file. Raises ValueError for a name without a text."""
        source = Path(str(module.__file__)).read_text(encoding="utf-8") if source is None else source
        self.constants: dict[str, Constant] = {}
        self.enumerations: dict[str, Enumeration] = {}
        sections = [
            (number, match[1])
            for number, line in enumerate(source.splitlines(), 1)
            if (match := _SECTION.match(line)) is not None
        ]
        body = ast.parse(source).body
        for node, text in _with_texts(body):
            section = next((title for number, title in reversed(sections) if number < node.lineno), "")
            match node:
                case ast.AnnAssign(target=ast.Name(id=name)):
                    self.constants[name] = Constant(name, _value(getattr(module, name)), _text(name, text), section)
                case ast.ClassDef(name=name):
                    self.enumerations[name] = _enumeration(node, getattr(module, name))


def _with_texts(body: list[ast.stmt]) -> list[tuple[ast.stmt, str]]:
    """Each statement with the string below it."""
    pairs = []
    for node, below in zip(body, [*body[1:], None], strict=True):
        text = ""
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            text = " ".join(below.value.value.split())
        pairs.append((node, text))
    return pairs


def _text(name: str, text: str) -> str:
    if not text:
        raise ValueError(f"{name} has no text below it in the registry")
    return text


def _value(value: object) -> Scalar | tuple[Scalar, ...]:
    if isinstance(value, int | float | bytes):
        return value
    if isinstance(value, tuple | set | frozenset):
        return tuple(sorted(value))
    raise TypeError(f"{value!r} is no value for a registry")


def _enumeration(node: ast.ClassDef, kind: type[IntEnum] | type[IntFlag]) -> Enumeration:
    members = [
        Member(target.id, int(kind[target.id]), _text(f"{node.name}.{target.id}", text))
        for statement, text in _with_texts(node.body)
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    ]
    return Enumeration(node.name, " ".join((ast.get_docstring(node) or "").split()), tuple(members))


REGISTRY: Final = Registry(registry)
