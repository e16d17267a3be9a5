"""Runs: neighbouring fields of fixed size, which one `struct.Struct` reads and writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from p2pwire.generate.conditions import local
from p2pwire.generate.form import (
    Constant,
    Field,
    FixedBytes,
    MessageForm,
    Number,
    Sequence,
    UnknownConstructError,
    VariableBytes,
)
from p2pwire.generate.wording import constant_name, prefix_name

FORMATS: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
"""struct's letters by size."""


class Run:
    """Fields of fixed size, and the length or count before the field `after` them."""

    def __init__(self, fields: list[Field], after: Field | None = None) -> None:
        self.fields = fields
        self.after = after
        self.prefix: Number | None = None
        if after is not None and after.condition is None and isinstance(after.form, VariableBytes | Sequence):
            self.prefix = after.form.prefix
        sized = [(field.name, field.fixed_size or 0) for field in fields]
        codes = [_code(field) for field in fields]
        if after is not None and self.prefix is not None:
            sized.append((prefix_name(after), self.prefix.size))
            codes.append(FORMATS[self.prefix.size])
        self.names = [name for name, _ in sized]
        self.size = sum(size for _, size in sized)
        self.sizes = [f"{name}={size}" for name, size in sized]
        """Keyword arguments that tell an error the sizes."""
        self.format = ">" + "".join(codes)

    @property
    def locals(self) -> list[str]:
        return [local(name) for name in self.names]


def split_run(fields: Iterable[Field]) -> tuple[Run, list[Field]]:
    """The run at the beginning (it may be empty) and the fields after it."""
    fields = list(fields)
    count = next((i for i, field in enumerate(fields) if field.fixed_size is None), len(fields))
    return Run(fields[:count], fields[count] if count < len(fields) else None), fields[count:]


def _code(field: Field) -> str:
    match field.form:
        case Number(size=size):
            return FORMATS[size]
        case FixedBytes(length=length):
            return f"{length}s"
        case Constant(value=value):
            return f"{len(value)}s"
    raise UnknownConstructError(f"{field.name} has no fixed size")


class Structs:
    """The `struct.Struct` constants of one message."""

    def __init__(self, message: MessageForm) -> None:
        self._name = f"_{constant_name(message.title)}"
        self._names: dict[str, str] = {}

    def name(self, code: str, role: str) -> str:
        """The constant for a format: the first is named for the message, others for their role in it too."""
        if code not in self._names:
            self._names[code] = f"{self._name}_{role.upper()}" if self._names else self._name
        return self._names[code]

    def call(self, code: str, role: str, method: str) -> str:
        """The beginning of a call: `pack`, `unpack` or `unpack_from` of the constant for a format."""
        return self.of(self.name(code, role), method)

    def of(self, name: str, method: str) -> str:
        """The same, of a constant that may be another message's."""
        return f"{name}.{method}("

    def constants(self) -> list[str]:
        return [f'{name}: Final = struct.Struct("{code}")' for code, name in self._names.items()]
